"""Sessions worked by hand: when one is committed, from what, and which official closes are refused."""

from __future__ import annotations

import pytest
from sessions_support import (
    CALENDAR,
    Item,
    Row,
    at,
    closes,
    day_of_closes,
    feed,
    give,
    history,
    mark_until,
    new_engine,
    official,
    refusals,
    sessions_from,
    settled,
    text,
)

from processors.sessions.engine import Pace
from topics.market import Watermark
from topics.message import canonical_json
from topics.times import HOUR, MINUTE, SECOND

DAY = "2018-02-05"
NEXT = "2018-02-06"


def _traded(day: str, vix: float = 17.5) -> list[Item]:
    """Prices within the session, none of them official."""
    return [
        Row("VX/2018-02-14", at(day, "15:58"), bid=18.0, ask=18.1),
        Row("VX/2018-03-21", at(day, "15:58"), bid=17.0, ask=17.2),
        Row("SPX", at(day, "15:59"), last=2650.0),
        Row("VIX3M", at(day, "16:10"), last=18.0),
        Row("VVIX", at(day, "16:10"), last=110.0),
        Row("VIX", at(day, "16:14"), last=vix),
    ]


def test_a_feed_without_official_closes_commits_after_the_grace_with_stand_ins() -> None:
    engine, out = settled([*_traded(DAY), mark_until(at(DAY, "16:30"))])
    assert closes(out) == [], "an instant fires when the stream has passed it, not when it reaches it"
    (regime,) = closes(feed(engine, [mark_until(at(DAY, "16:30") + 1)]))
    assert regime.event_ts == at(DAY, "16:30")
    assert regime.stand_ins == ("SPX", "VIX", "VIX3M", "VVIX", "VX/2018-02-14", "VX/2018-03-21")
    assert regime.degraded == (
        "rv21:warm_up", "spx:stand_in", "vix3m:stand_in", "vix:stand_in", "vvix:stand_in", "vx:stand_in"
    )  # fmt: skip
    assert (regime.features["vix"], regime.features["spx"], regime.features["vx1"]) == (17.5, 2650.0, 18.05)


def test_each_instrument_is_stood_in_for_by_its_price_at_its_own_close() -> None:
    after = [
        Row("SPX", at(DAY, "16:00:01"), last=1111.0),
        Row("VIX", at(DAY, "16:15"), last=17.25),
        Row("VIX", at(DAY, "16:15:01"), last=99.0),
        Row("VX/2018-02-14", at(DAY, "16:15:02"), bid=98.0, ask=99.0),  # settled at 16:15 until 2020
        mark_until(at(DAY, "17:00")),
    ]
    (regime,) = closes(settled([*_traded(DAY), *after])[1])
    features = regime.features
    assert (features["spx"], features["vix"], features["vx1"]) == (2650.0, 17.25, 18.05)


def test_from_october_2020_on_vx_is_stood_in_for_by_its_price_at_the_close_of_the_shares() -> None:
    day, later = "2020-10-26", [Row("VX/2020-11-18", at("2020-10-26", "16:05"), last=50.0)]
    items = [Row("VIX", at(day, "15:00"), last=30.0), Row("VX/2020-11-18", at(day, "15:59"), last=31.0), *later]
    (regime,) = closes(settled([*items, mark_until(at(day, "17:00"))])[1])
    assert regime.features["vx1"] == 31.0


def test_a_price_of_an_earlier_session_never_stands_in() -> None:
    engine, _ = settled([*history("2018-01-29", 5), Row("VIX", at("2018-02-02", "18:00"), last=19.0)])
    # A tick without a price renews nothing.
    tick = Row("VIX", at(DAY, "11:00"), size=3.0)
    (regime,) = closes(feed(engine, [tick, mark_until(at(DAY, "23:00"))]))
    assert regime.session_date.isoformat() == DAY
    assert regime.held
    assert "vix:missing" in regime.degraded
    assert regime.stand_ins == ()


def test_a_session_is_committed_at_the_vix_close_once_its_official_closes_are_complete() -> None:
    out = settled([*day_of_closes("2018-02-02"), *day_of_closes(DAY), mark_until(at(DAY, "16:15") + 1)])[1]
    first, second = closes(out)
    assert first.event_ts == at("2018-02-02", "16:30"), "nobody knows yet what the feed sends"
    assert second.event_ts == at(DAY, "16:15")
    assert second.stand_ins == ()


def test_without_a_minor_official_close_a_session_waits_for_the_grace_only() -> None:
    items = [*day_of_closes("2018-02-02"), *day_of_closes(DAY)[:-1], mark_until(at(DAY, "20:00"))]
    regime = closes(settled(items)[1])[-1]
    assert regime.event_ts == at(DAY, "16:30")
    assert "vvix:missing" in regime.degraded


@pytest.mark.parametrize("missing", ["VIX", "SPX"])
def test_the_official_closes_of_vix_and_spx_are_waited_for_for_hours(missing: str) -> None:
    some = [row for row in day_of_closes(DAY) if row.symbol != missing]
    price = Row(missing, at(DAY, "15:30"), last=20.0)
    engine, out = settled([*day_of_closes("2018-02-02"), price, *some, mark_until(at(DAY, "22:15"))])
    assert len(closes(out)) == 1
    (regime,) = closes(feed(engine, [mark_until(at(DAY, "22:15") + 1)]))
    assert regime.event_ts == at(DAY, "22:15")
    assert regime.stand_ins == (missing,)


def test_a_session_whose_last_official_close_comes_late_is_committed_when_it_comes() -> None:
    others = [row for row in day_of_closes(DAY) if row.symbol != "VIX"]
    late = [Row("VX/2018-02-14", at(DAY, "18:00:10"), last=18.0), official("VIX", DAY, 37.32)]
    # The rows of the very moment at which it came still count; whether they come with it makes no difference.
    tail = [Row("VX/2018-02-14", at(DAY, "18:00:10"), last=18.5), Row("VX/2018-02-14", at(DAY, "18:00:20"), last=19.0)]
    items: list[Item] = [*day_of_closes("2018-02-02"), *others, *late, *tail]
    engine, out = settled(items)
    regime = closes(out)[-1]
    assert regime.event_ts == at(DAY, "18:00:10")
    assert regime.features["vix"] == 37.32
    assert regime.stand_ins == ()
    whole = new_engine()
    assert [text(e.message) for e in give(whole, items)] == [text(message) for _, message in out]
    assert canonical_json(whole.snapshot()) == canonical_json(engine.snapshot())


def test_an_early_close_is_committed_at_its_own_vix_close() -> None:
    items = [*day_of_closes("2018-11-21"), *day_of_closes("2018-11-23"), mark_until(at("2018-11-24", "00:00"))]
    assert closes(settled(items)[1])[-1].event_ts == at("2018-11-23", "13:15")


def test_official_closes_of_an_early_close_that_are_stamped_at_the_usual_time_are_taken() -> None:
    stamped = day_of_closes("2018-11-23")[:1] + [
        official(row.symbol, "2018-11-23", 21.52 if row.symbol == "VIX" else row.last or 0.0, clock="16:15")
        for row in day_of_closes("2018-11-23")[1:]
    ]
    _, out = settled([*day_of_closes("2018-11-21"), *stamped, mark_until(at("2018-11-23", "18:00"))])
    assert refusals(out) == []
    regime = closes(out)[-1]
    assert regime.event_ts == at("2018-11-23", "16:15")
    assert regime.features["vix"] == 21.52


def test_an_official_close_on_a_holiday_is_refused_and_the_stream_goes_on() -> None:
    items = [*day_of_closes("2018-11-21"), official("VIX", "2018-11-23", 22.0), mark_until(at("2018-11-23", "14:00"))]
    holiday = Row("VIX", at("2018-11-22", "16:15"), last=50.0, official=True)
    engine, out = settled([items[0], *items[1:4], holiday, *items[4:]])
    (refused,) = refusals(out)
    assert refused.reason == "not_a_session"
    assert "VIX on 2018-11-22" in refused.detail
    quote = engine.prices.board.quote("VIX")
    assert quote is not None
    assert quote.price == 22.0


def test_an_official_close_of_a_committed_session_is_refused() -> None:
    items = [*day_of_closes("2018-02-02"), *day_of_closes(DAY), mark_until(at(DAY, "17:00"))]
    out = settled([*items, official("VVIX", DAY, 190.0)])[1]
    (refused,) = refusals(out)
    assert (refused.reason, "VVIX for 2018-02-05" in refused.detail) == ("session_committed", True)


def test_a_settlement_that_comes_after_the_commit_is_refused_and_its_price_stands_in() -> None:
    contract = "VX/2018-02-14"
    day1 = [*day_of_closes("2018-02-02"), official(contract, "2018-02-02", 17.0)]
    day2 = [Row(contract, at(DAY, "16:14"), last=33.0), *day_of_closes(DAY)]
    late = Row(contract, at(DAY, "17:00"), settle=33.2, official=True)
    regimes = closes(out := settled([*day1, *day2, late])[1])
    assert regimes[-1].event_ts == at(DAY, "16:30")
    assert regimes[-1].features["vx1"] == 33.0
    assert [r.reason for r in refusals(out)] == ["session_committed"]


def test_a_feed_whose_spx_close_always_comes_after_the_commit_is_waited_for_from_then_on() -> None:
    items: list[Item] = []
    for day in sessions_from("2018-01-29", 6):
        spx, *others = day_of_closes(day)
        items += [*others, Row("SPX", at(day, "17:30"), last=spx.last, official=True)]
    out = settled([*items, mark_until(at(DAY, "23:00"))])[1]
    assert [r.reason for r in refusals(out)] == ["session_committed"], "the first one only"
    regimes = closes(out)
    assert regimes[-1].event_ts == at(DAY, "17:30")
    assert regimes[-1].features["spx"] == day_of_closes(DAY)[0].last


def test_an_official_close_before_the_open_is_refused() -> None:
    out = settled([Row("VIX", at(DAY, "09:00"), last=17.0), Row("VIX", at(DAY, "09:29"), last=18.0, official=True)])[1]
    assert [r.reason for r in refusals(out)] == ["invalid"]


def test_an_official_close_that_comes_again_corrects_the_first() -> None:
    wrong = official("VIX", DAY, 173.2, clock="16:15")
    items = [*day_of_closes("2018-02-02"), official("SPX", DAY, 2648.94), wrong, official("VIX", DAY, 37.32, "16:15")]
    regime = closes(settled([*items, mark_until(at(DAY, "22:00"))])[1])[-1]
    assert regime.features["vix"] == 37.32
    assert regime.bars["VIX"].document() == {"open": "37.32", "high": "37.32", "low": "37.32", "close": "37.32"}


def test_an_older_or_a_repeated_official_close_replaces_no_correction() -> None:
    first = official("VIX", DAY, 17.32, "16:15", seq=7)
    right = official("VIX", DAY, 37.32, "16:15", seq=8)
    older = official("VIX", DAY, 11.0, "16:14")
    items = [*day_of_closes("2018-02-02"), first, right, first, older, official("SPX", DAY, 2648.94)]
    engine, out = settled([*items, mark_until(at(DAY, "22:00"))])
    assert closes(out)[-1].features["vix"] == 37.32
    assert engine.counts["ticks:duplicate"] == 1


def test_a_first_official_close_is_taken_though_its_number_comes_out_of_order() -> None:
    items = [
        *day_of_closes("2018-02-02"),
        Row("VIX", at(DAY, "16:15:01"), last=40.0, seq=9),
        official("VIX", DAY, 37.32, "16:15", seq=8),
        official("SPX", DAY, 2648.94),
        mark_until(at(DAY, "22:00")),
    ]
    assert closes(settled(items)[1])[-1].features["vix"] == 37.32


def test_bars_hold_the_prices_within_the_hours_and_the_close() -> None:
    items: list[Item] = [
        Row("SPX", at(DAY, "09:29:59"), last=3000.0),
        Row("VIX", at(DAY, "09:29:59"), last=99.0),
        Row("SPX", at(DAY, "09:30"), last=2741.06),
        Row("VIX", at(DAY, "09:31"), last=18.44),
        Row("SPX", at(DAY, "12:00"), last=2763.39),
        Row("SPX", at(DAY, "15:10"), last=2638.17),
        Row("VIX", at(DAY, "15:10"), last=38.8),
        Row("SPX", at(DAY, "16:00:01"), last=1.0e5),
        Row("VIX", at(DAY, "16:15:00.5"), last=5.5),
        Row("VIX", at(DAY, "16:10:01"), last=16.8),  # out of order, and within its hours
        official("SPX", DAY, 2648.94),
        official("VIX", DAY, 37.32),
        official("VVIX", DAY, 150.0),
    ]
    (regime,) = closes(settled([*items, mark_until(at(DAY, "17:00"))])[1])
    assert {symbol: tuple(bar.document().values()) for symbol, bar in regime.bars.items()} == {
        "SPX": ("2741.06", "2763.39", "2638.17", "2648.94"),
        "VIX": ("18.44", "38.8", "16.8", "37.32"),
        "VVIX": ("150", "150", "150", "150"),
    }


def test_a_session_without_a_word_is_held_and_each_one_of_a_gap_of_months_is_committed() -> None:
    engine, _ = settled([*history("2018-01-02", 10)])
    out = feed(engine, [Row("VIX", at("2018-05-01", "10:00"), last=15.0), mark_until(at("2018-05-01", "10:05"))])
    gap = closes(out)
    days = CALENDAR.sessions(gap[0].session_date, CALENDAR.previous_session(gap[-1].session_date))
    assert [regime.session_date for regime in gap] == [*days, gap[-1].session_date]
    assert gap[-1].session_date.isoformat() == "2018-04-30"
    assert all(r.held and r.state == gap[0].state_prev for r in gap[1:])
    assert gap[-1].degraded == ("spx:missing", "vix3m:missing", "vix:missing", "vvix:missing", "vx:missing")


def test_however_long_a_session_may_wait_it_is_committed_before_the_next_one_opens() -> None:
    pace = Pace(official_wait=24 * HOUR)
    engine = new_engine(pace)
    waiting = [*day_of_closes("2018-02-02"), official("SPX", DAY, 2648.94), Row("VIX", at(DAY, "16:14"), last=37.0)]
    regime = closes(feed(engine, [*waiting, Row("VIX", at(NEXT, "09:30"), last=44.0)]))[-1]
    assert regime.session_date.isoformat() == DAY
    assert regime.event_ts == at(NEXT, "09:30") - 1
    (following,) = closes(feed(engine, [*day_of_closes(NEXT, vix=29.98), mark_until(at(NEXT, "17:00"))]))
    assert following.bars["VIX"].high == 44.0


@pytest.mark.parametrize(
    ("first", "session"),
    [
        (Row("VIX", at("2018-02-03", "12:00"), last=17.0), "2018-02-05"),  # a Saturday
        (Row("VIX", at("2018-02-02", "16:15:01"), last=17.0), "2018-02-05"),  # after the close of VIX
        (Row("VIX", at("2018-02-02", "16:15"), last=17.0), "2018-02-02"),
        (Row("VIX", at("2018-02-02", "18:00"), last=17.0, official=True), "2018-02-02"),  # a late official close
        (Row("VIX", at("2018-02-03", "18:00"), last=17.0, official=True), "2018-02-05"),
    ],
)
def test_the_first_tick_decides_the_first_session(first: Row, session: str) -> None:
    _, out = settled([first, Row("VIX", at("2018-02-05", "11:00"), last=18.0), mark_until(at(DAY, "22:16"))])
    days = [regime.session_date.isoformat() for regime in closes(out)]
    if session == DAY:
        assert days == [DAY]
    else:
        assert days == [session, DAY]


def test_on_expiry_morning_vx1_is_the_next_contract_and_the_old_one_is_forgotten_at_the_close() -> None:
    front, second, third = "VX/2018-02-14", "VX/2018-03-21", "VX/2018-04-18"
    weekly = "VX/2018-02-28"

    def day(d: str, *settles: tuple[str, float]) -> list[Item]:
        return [*day_of_closes(d), *(official(symbol, d, value) for symbol, value in settles)]

    items = [
        *day("2018-02-12", (third, 19.0), (second, 20.0), (front, 25.0), (weekly, 22.0)),
        *day("2018-02-13", (second, 20.5), (front, 24.0), (third, 19.5), (weekly, 21.0)),
    ]
    engine, out = settled([*items, Row("VIX", at("2018-02-14", "09:00"), last=25.0)])
    regime = closes(out)[-1]
    assert [(p.symbol, p.price, p.dte) for p in regime.curve] == [
        (front, 24.0, 1),
        (second, 20.5, 36),
        (third, 19.5, 64),
    ]
    assert regime.features["inverted"] is True
    assert front in engine.prices.board.symbols
    # The expiry day is complete without a settlement of the contract that has just expired.
    closing = feed(
        engine,
        [*day("2018-02-14", (second, 19.0), (third, 18.5), (weekly, 19.2)), mark_until(at("2018-02-14", "17:00"))],
    )
    regime = closes(closing)[-1]
    assert regime.event_ts == at("2018-02-14", "16:15")
    assert [p.symbol for p in regime.curve] == [second, third]
    assert front not in engine.prices.board.symbols


def test_the_source_of_each_input_is_named_and_a_modelled_one_as_such() -> None:
    items = [
        *day_of_closes(DAY)[:3],
        official("VVIX", DAY, 100.0, source="model"),
        official("VX/2018-02-14", DAY, 30.0, source="model"),
        official("VX/2018-03-21", DAY, 28.0, source="cfe"),
    ]
    (regime,) = closes(settled([*items, mark_until(at(DAY, "17:00"))])[1])
    assert regime.sources == {"vix": "cboe", "vix3m": "cboe", "spx": "cboe", "vvix": "model", "vx": "model"}


@pytest.mark.parametrize("clock", ["1990-01-01T04:00:00+00:00", "2036-03-03T15:00:00+00:00"])
def test_a_time_that_the_exchange_calendar_does_not_cover_is_refused_in_words(clock: str) -> None:
    ts = at(clock[:10], clock[11:19])
    engine, out = settled(
        [Row("VIX", ts, last=20.0), Watermark(watermark_ts=ts), Row("VIX", at(DAY, "10:00"), last=20.0)]
    )
    assert [r.reason for r in refusals(out)] == ["invalid", "invalid"]
    assert all("outside the exchange calendar" in r.detail for r in refusals(out))
    assert engine.time == at(DAY, "10:00")


def test_tens_of_thousands_of_options_far_from_thirty_days_add_nothing_to_the_state() -> None:
    options = [
        Row(f"VIX/2018-{month:02d}-15/{right}/{strike}", at(DAY, "10:00"), bid=1.0, ask=1.2, seq=strike)
        for month in range(5, 11)
        for right in "CP"
        for strike in range(1, 1500)
    ]
    engine, _ = settled([*history("2018-01-02", 23), Row("VIX", at(DAY, "10:00"), last=18.0)])
    before = canonical_json(engine.snapshot())
    give(engine, options)
    assert len(canonical_json(engine.snapshot())) < len(before) + 100
    assert engine.counts["ticks:unfollowed"] == len(options)


def test_ticks_of_sources_that_are_gone_are_forgotten() -> None:
    items: list[Item] = []
    for i, day in enumerate(sessions_from("2018-01-02", 20)):
        items += [Row("VIX", at(day, "10:00"), last=15.0, seq=i, source=f"feed{i}"), *day_of_closes(day)]
    engine, _ = settled([*items, mark_until(at("2018-01-31", "09:00"))])
    assert len(engine.snapshot()["prices"]["sequences"]) == 0
    assert engine.time == at("2018-01-31", "09:00")
    assert MINUTE == 60 * SECOND
