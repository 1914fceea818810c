"""Chains of VIX options through the engine: when they are published, what they show, and that they can be read back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions_support import (
    CALIBRATION,
    Row,
    at,
    closes,
    columns,
    day_of_closes,
    feed,
    generated,
    history,
    mark_until,
    marks,
    new_engine,
    restarted,
    text,
)

from processors.alerts.degraded import degraded_alerts
from processors.hedge.chain import read_chain
from processors.hedge.model_chain import model_chain
from processors.hedger import Hedger
from processors.market import Market, MarketTask
from processors.sessions import strips as strips_module
from processors.sessions.chains import Future, Sides, chain
from processors.sessions.engine import Engine, Pace
from processors.signals.curve import VxCurve
from processors.signals.expiry import is_monthly, vx_expiries
from processors.stream.log import Record
from processors.stream.processor import Segment
from topics.catalog import HEDGE_REGIMES
from topics.codec import JSON_HEADERS, MAX_JSON, encode
from topics.macro import Release
from topics.message import canonical_json
from topics.option_chain import MAX_EXPIRIES, MAX_STRIKES, OptionChain
from topics.regime import Regime
from topics.times import HOUR, MINUTE, SECOND

DAY = "2018-01-05"
SESSION = date(2018, 1, 5)
#: A moment of quotes, and the first mark after it.
NOON = at(DAY, "12:00") + 20 * SECOND
MARK = at(DAY, "12:01")
RATE = 1.4
EXPIRIES = vx_expiries(date(2018, 1, 17), date(2018, 9, 19))
CURVE = VxCurve(SESSION, EXPIRIES, tuple(11.0 + 0.5 * i for i in range(len(EXPIRIES))))
FEB = date(2018, 2, 14)


def started(with_rate: bool = True, pace: Pace | None = None) -> Engine:
    """An engine that has committed three sessions and stands before the morning of the fourth."""
    engine = new_engine(pace)
    feed(engine, [*history("2018-01-02", 3), mark_until(at("2018-01-04", "17:00"))])
    if with_rate:
        ts = at(DAY, "08:00")
        engine.release(Release(series_id="US_3M", ref_period="2018-01-04", release_ts=ts, actual=RATE))
    return engine


def block(engine: Engine, rows: Sequence[Row]) -> list[tuple[int, Any]]:
    return [(e.row, e.message) for e in engine.ticks(columns(rows))]


def chains(out: Sequence[tuple[int, Any]]) -> list[OptionChain]:
    return [message for _, message in out if isinstance(message, OptionChain)]


def vx(expiry: date, ts: int, price: float, half: float = 0.05, **more: Any) -> Row:
    return Row(f"VX/{expiry}", ts, bid=round(price - half, 4), ask=round(price + half, 4), **more)


def option(ts: int, bid: float | None, ask: float | None, name: str = f"{FEB}/C/15", **more: Any) -> Row:
    return Row(f"VIX/{name}", ts, bid=bid, ask=ask, **{"source": "opra", **more})


def ticks_of(message: OptionChain, ts: int, source: str = "opra") -> list[Row]:
    """The ticks that a chain stands for."""
    rows = []
    for each in message.expiries:
        assert each.forward is not None
        rows.append(vx(each.expiry, ts, each.forward, source=source))
        for i, strike in enumerate(each.strikes):
            for right, bids, asks in (("C", each.call_bid, each.call_ask), ("P", each.put_bid, each.put_ask)):
                rows.append(option(ts, bids[i] or 0.0, asks[i], f"{each.expiry}/{right}/{strike:g}", source=source))
    return rows


def modelled(ts: int = NOON, curve: VxCurve = CURVE) -> OptionChain:
    return model_chain(curve, 90.0, ts, RATE / 100)


def minute(engine: Engine, ts: int) -> list[tuple[int, Any]]:
    """What the mark at ``ts`` gives."""
    return feed(engine, [Row("VIX", ts - SECOND, last=15.0), mark_until(ts + 1)])


def one(engine: Engine, rows: Sequence[Row], ts: int = MARK) -> OptionChain:
    block(engine, rows)
    (found,) = chains(minute(engine, ts))
    assert found.event_ts == ts
    return found


# The whole way: from a chain to ticks to the chain that the hedge reads


@pytest.mark.parametrize("source", ["opra", "model"])
def test_a_chain_of_ticks_is_read_as_the_chain_that_it_was_made_of(source: str) -> None:
    sent = modelled(MARK)
    engine = started()
    found = one(engine, ticks_of(sent, NOON, source))
    far = [each for each in sent.expiries if (each.expiry - SESSION).days >= 8]
    assert len(far) == len(found.expiries) == 9
    assert found.source == source
    for ours, theirs in zip(found.expiries, far, strict=True):
        assert (ours.strikes, ours.forward) == (theirs.strikes, theirs.forward)
        assert (ours.call_bid, ours.call_ask) == (theirs.call_bid, theirs.call_ask)
        assert (ours.put_bid, ours.put_ask) == (theirs.put_bid, theirs.put_ask)
        assert (ours.forward_bid, ours.forward_ask) == pytest.approx((theirs.forward - 0.05, theirs.forward + 0.05))  # type: ignore[operator]
        assert ours.quotes_ts == NOON
        assert ours.open_interest is None
    ours, theirs = (read_chain(message, MARK, RATE / 100) for message in (found, sent))
    assert ours.executable is (source != "model")
    for mine, yours in zip(ours.expiries, theirs.expiries, strict=True):
        np.testing.assert_array_equal(mine.vols, yours.vols)
        assert (mine.t, mine.forward, mine.dte) == (yours.t, yours.forward, yours.dte)
    assert len(encode(found)[0]) < MAX_JSON


def test_every_chain_reaches_every_partition_before_the_regime_of_its_instant_and_the_hedge_takes_it() -> None:
    task = Market(CALIBRATION, partitions=3).task(0)
    assert isinstance(task, MarketTask)
    emissions = []
    engine = started()
    block(engine, ticks_of(modelled(), NOON))
    for item in (Row("VIX", NOON + SECOND, last=15.0), *day_of_closes(DAY), mark_until(at(DAY, "17:00"))):
        emissions += engine.watermark(item) if not isinstance(item, Row) else engine.ticks(columns([item]))
    kinds = [(type(e.message), e.message.event_ts) for e in emissions if isinstance(e.message, OptionChain | Regime)]
    for i, (kind, ts) in enumerate(kinds):
        if kind is OptionChain:
            assert kinds[i + 1] == (Regime, ts)
    (made,) = [e for e in emissions if isinstance(e.message, OptionChain) and e.message.expiries]
    record = Record(HEDGE_REGIMES, 0, 0, made.message.event_ts, b"US", b"", ())
    outs = task.outs(made, Segment([record], None, 0, 1, np.zeros(1, dtype=np.int64)), 0)
    assert [(out.topic, out.key, out.partition) for out in outs] == [(HEDGE_REGIMES, b"US", p) for p in range(3)]
    hedger = Hedger(CALIBRATION)
    sent = Record(HEDGE_REGIMES, 0, 0, made.message.event_ts, b"US", outs[0].value, JSON_HEADERS)
    decoded = hedger.decode(sent)
    assert decoded.body == made.message
    hedge = hedger.task(0)
    assert hedge.process([Segment([sent], decoded.body, 0, 1, decoded.times)]) == []
    assert set(hedge.snapshot()) == {b"chain/US"}


# When


def test_without_options_nothing_is_published() -> None:
    engine = started()
    out = [*block(engine, [vx(FEB, NOON, 11.5)]), *feed(engine, day_of_closes(DAY)), *minute(engine, at(DAY, "17:00"))]
    assert chains(out) == []
    assert closes(out)
    assert engine.snapshot()["chain"] == [0, None]


def test_it_is_published_at_a_mark_when_it_shows_something_new_and_at_every_close() -> None:
    engine = started()
    rows = [option(NOON, 1.0, 1.2), vx(FEB, NOON, 11.5)]
    one(engine, rows)
    assert chains(minute(engine, MARK + MINUTE)) == [], "nothing new"
    (newer,) = chains(feed(engine, [option(MARK + 90 * SECOND, 1.1, 1.2), mark_until(MARK + 2 * MINUTE + 1)]))
    assert newer.expiries[0].call_bid == (1.1,)
    (moved,) = chains(feed(engine, [vx(FEB, MARK + 150 * SECOND, 11.6), mark_until(MARK + 3 * MINUTE + 1)]))
    assert (moved.expiries[0].forward, moved.expiries[0].call_bid) == (11.6, (1.1,))
    again = at(DAY, "15:59")
    block(engine, [option(again, 1.1, 1.2), vx(FEB, again, 11.6)])
    (before,) = chains(feed(engine, [mark_until(again + 2)]))
    out = feed(engine, [*day_of_closes(DAY), mark_until(at(DAY, "16:30"))])
    (close,) = closes(out)
    (at_close,) = chains(out)
    assert at_close.event_ts == close.event_ts
    assert before.expiries == at_close.expiries
    assert at_close.session_date == SESSION


def test_at_most_one_a_minute_whatever_the_interval_of_the_marks() -> None:
    engine = started(pace=Pace(evaluation=10 * SECOND))
    rows = [option(MARK + 5 * n * SECOND, 1.0 + 0.01 * n, 2.0) for n in range(60)]
    out = [*block(engine, rows), *feed(engine, [mark_until(MARK + 400 * SECOND)])]
    assert len(marks(out)) == 31
    assert [(each.event_ts - MARK) // SECOND for each in chains(out)] == [0, 60, 120, 180, 240, 300]


def test_when_the_last_quote_is_too_old_one_empty_chain_says_so() -> None:
    engine = started()
    one(engine, [option(NOON, 1.0, 1.2)])
    assert chains(minute(engine, MARK + HOUR - MINUTE)) == []
    (gone,) = chains(minute(engine, MARK + HOUR))
    assert gone.expiries == ()
    out = [*minute(engine, MARK + HOUR + MINUTE), *feed(restarted(engine), day_of_closes(DAY))]
    assert chains(out) == []
    assert one(engine, [option(NOON + 2 * HOUR, 1.0, 1.2)], MARK + 2 * HOUR).expiries


def test_quotes_after_an_instant_do_not_change_what_was_published_before() -> None:
    rows = ticks_of(modelled(), NOON)[:200]
    first, second = started(), started()
    later = [replace(row, ts=row.ts + 90 * SECOND, bid=0.5, ask=99.0) for row in rows if row.symbol.startswith("VIX/")]
    ours = block(first, [*rows, *later])
    theirs = [*block(second, rows), *feed(second, [mark_until(MARK + 1)])]
    expected = [text(message) for _, message in theirs]
    assert chains(ours)
    assert [text(message) for _, message in ours][: len(expected)] == expected


# What


def test_missing_zero_and_crossed_sides() -> None:
    found = one(
        started(),
        [
            vx(FEB, NOON, 11.5),
            option(NOON, 1.0, 1.2, f"{FEB}/C/10"),
            option(NOON, 0.0, 1.2, f"{FEB}/C/11"),
            option(NOON, 1.0, None, f"{FEB}/C/12"),
            option(NOON, None, 1.3, f"{FEB}/C/13"),
            option(NOON, 0.0, None, f"{FEB}/C/14"),
            option(NOON, 2.0, None, f"{FEB}/C/15"),
            option(NOON + SECOND, None, 1.9, f"{FEB}/C/15"),
            option(NOON + SECOND, 0.4, 0.5, f"{FEB}/P/15"),
            option(NOON, 2.0, None, f"{FEB}/C/16"),
            option(NOON + SECOND, None, 1.9, f"{FEB}/C/16"),
        ],
    )
    (each,) = found.expiries
    assert each.strikes == (10.0, 11.0, 12.0, 13.0, 15.0)
    assert each.call_bid == (1.0, None, 1.0, None, None)
    assert each.call_ask == (1.2, 1.2, None, 1.3, None)
    assert each.put_bid == (None, None, None, None, 0.4)
    assert each.put_ask == (None, None, None, None, 0.5)
    assert each.quotes_ts == NOON


def test_the_time_of_an_expiry_is_that_of_its_oldest_side_and_an_old_side_is_missing() -> None:
    engine = started()
    block(engine, [option(NOON - 50 * MINUTE, 1.0, 1.4)])
    each = one(engine, [option(NOON, None, 1.3)]).expiries[0]
    assert (each.call_bid, each.call_ask, each.quotes_ts) == ((1.0,), (1.3,), NOON - 50 * MINUTE)
    (later,) = chains(minute(engine, MARK + 10 * MINUTE))
    assert (later.expiries[0].call_bid, later.expiries[0].quotes_ts) == ((None,), NOON)
    # A trade or a count of contracts makes no quote younger.
    block(engine, [Row(f"VIX/{FEB}/C/15", NOON + HOUR, last=1.3), Row(f"VIX/{FEB}/C/15", NOON + HOUR, open_interest=5)])
    (gone,) = chains(minute(engine, MARK + HOUR))
    assert gone.expiries == ()


def test_open_interest_is_that_of_the_calls() -> None:
    rows = [option(NOON, 1.0, 1.2, f"{FEB}/{right}/{strike}") for right in "CP" for strike in (15, 16)]
    told = [option(NOON, None, None, f"{FEB}/{right}/15", open_interest=n) for right, n in (("C", 250.0), ("P", 9.0))]
    assert one(started(), [*rows, *told]).expiries[0].open_interest == (250, None)


def test_the_future_of_the_expiry_is_its_forward_and_without_one_there_is_none() -> None:
    mar = date(2018, 3, 21)
    found = one(
        started(),
        [
            vx(FEB, NOON, 11.5),
            option(NOON, 1.0, 1.2),
            option(NOON, 1.0, 1.2, f"{mar}/C/15"),
            Row(f"VX/{mar}", NOON, last=12.25),
            option(NOON, 1.0, 1.2, "2018-04-18/C/15"),
        ],
    )
    futures = [(each.forward, each.forward_bid, each.forward_ask) for each in found.expiries]
    assert futures == [(11.5, 11.45, 11.55), (12.25, None, None), (None, None, None)]


def test_a_crossed_or_old_quote_of_the_future_is_none_and_its_price_stays() -> None:
    engine = started()
    block(engine, [vx(FEB, NOON - 2 * HOUR, 11.5)])
    old = one(engine, [option(NOON, 1.0, 1.2)]).expiries[0]
    assert (old.forward, old.forward_bid, old.forward_ask) == (11.5, None, None)
    block(engine, [Row(f"VX/{FEB}", NOON + 2 * MINUTE, last=11.5), Row(f"VX/{FEB}", NOON + 2 * MINUTE, bid=12.0)])
    block(engine, [Row(f"VX/{FEB}", NOON + 2 * MINUTE + 1, ask=11.9), option(NOON + 2 * MINUTE, 1.0, 1.3)])
    crossed = chains(minute(engine, MARK + 2 * MINUTE))[0].expiries[0]
    assert (crossed.forward, crossed.forward_bid, crossed.forward_ask) == (11.5, None, None)


def test_who_sent_the_quotes_is_said_and_one_modelled_value_makes_a_modelled_chain() -> None:
    rows = [option(NOON, 1.0, 1.2), option(NOON, 1.0, 1.2, f"{FEB}/C/16", source="cboe")]
    assert one(started(), rows[:1]).source == "opra"
    assert one(started(), rows).source == "several"
    assert one(started(), [*rows, vx(FEB, NOON, 11.5, source="model")]).source == "model"


def test_one_strike_under_two_names_is_one_strike_with_its_newer_quote() -> None:
    rows = [option(NOON + 1, 1.0, 1.2, f"{FEB}/C/15.0"), option(NOON, 3.0, 3.2, f"{FEB}/C/15")]
    each = one(started(), rows).expiries[0]
    assert (each.strikes, each.call_bid) == ((15.0,), (1.0,))


def test_more_digits_and_larger_numbers_than_a_chain_shows() -> None:
    rows = [
        option(NOON, 1.000049, 1.20006, f"{FEB}/C/15"),
        option(NOON, 0.00004, 1001.0, f"{FEB}/P/15"),
        option(NOON, 1.0, 2.0, f"{FEB}/C/1000.5"),
    ]
    each = one(started(), rows).expiries[0]
    assert (each.strikes, each.call_bid, each.call_ask) == ((15.0,), (1.0,), (1.2001,))
    assert (each.put_bid, each.put_ask) == ((None,), (None,))


def test_weeklies_far_ahead_are_left_out() -> None:
    names = ("2018-02-07/C/15", "2018-03-14/C/15", "2018-03-21/C/15", "2018-10-17/C/15", "2018-11-21/C/15")
    found = one(started(), [option(NOON, 1.0, 1.2, name) for name in names])
    assert [str(each.expiry) for each in found.expiries] == ["2018-02-07", "2018-03-21", "2018-10-17"]


def _sides(expiry: date, strikes: Sequence[float], price: float | None = 15.0) -> Sides:
    n = len(strikes)
    return Sides(
        expiry,
        1e5,
        np.array(strikes, dtype=float),
        np.tile([[999.1234], [999.2345], [999.3456], [999.4567]], (1, n)),
        np.full((4, n), NOON),
        np.full(n, 99_999_999.0),
        frozenset({"x" * 64}),
        Future(price, 999.1234, 999.2345),
    )


def test_of_too_many_expiries_the_monthly_ones_stay_then_the_nearest() -> None:
    days = [SESSION + timedelta(days=n) for n in range(8, 76)]
    quoted = [_sides(day, (15.0, 16.0)) for day in days] + [_sides(day, (15.0,)) for day in EXPIRIES[3:]]
    found = chain(NOON, SESSION, "US", quoted)
    assert len(found.expiries) == MAX_EXPIRIES
    kept = [each.expiry for each in found.expiries]
    assert set(EXPIRIES) <= set(kept)
    weekly = [day for day in kept if not is_monthly(day)]
    assert weekly == [day for day in days if not is_monthly(day)][: len(weekly)]


def test_of_too_many_strikes_those_nearest_to_the_forward_stay_and_the_message_fits() -> None:
    strikes = [round(5.0001 + 0.1 * i, 4) for i in range(300)]
    quoted = [_sides(day, strikes) for day in EXPIRIES] + [_sides(date(2018, 1, 24), (15.0,))]
    found = chain(NOON + 1, SESSION, "ABCDEFGH", sorted(quoted, key=lambda each: each.expiry))
    sizes = [len(each.strikes) for each in found.expiries]
    assert sum(sizes) <= MAX_STRIKES
    assert sizes == [88, 1, *[88] * 8], "the weekly expiry takes one of the eight that are left"
    middle = list(found.expiries[0].strikes)
    nearest = sorted(strikes, key=lambda strike: abs(np.log(strike / 15.0)))[: len(middle)]
    assert middle == sorted(nearest)
    assert len(encode(found)[0]) < MAX_JSON


# What else rests on the same options


@settings(generated, max_examples=15)
@given(st.integers(0, 10**6))
def test_what_is_kept_for_the_chain_does_not_change_the_volatility_over_thirty_days(seed: int) -> None:
    """Against strips that keep 8 to 75 days alone, over the midnight at which an expiry comes within them."""
    chance = random.Random(seed)
    near, far = date(2018, 1, 17), date(2018, 3, 21)
    start = int(at("2018-01-04", "18:30"))  # half an hour before midnight UTC: 76 days
    rows = []
    for _ in range(300):
        expiry = chance.choice((near, far, far, date(2018, 6, 20)))
        mid, ts = 1 + 2 * chance.random(), start + chance.randrange(HOUR)
        sides = chance.choice(({"bid": mid, "ask": mid + 0.1}, {"bid": mid}, {"ask": mid + 0.2}, {"bid": 0.0}))
        rows.append(Row(f"VIX/{expiry}/{chance.choice('CP')}/{chance.randrange(10, 20)}", ts, **sides))
    rows.sort(key=lambda row: row.ts)

    def said() -> list[dict[str, float]]:
        engine = started(with_rate=False)
        found = []
        for i in range(0, len(rows), 50):
            block(engine, rows[i : i + 50])
            found.append(engine.prices.strips.surface(rows[min(i + 49, len(rows) - 1)].ts, RATE))
        return found

    ours = said()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips_module, "CHAINS", {})
        strips_module._followed.cache_clear()
        theirs = said()
    strips_module._followed.cache_clear()
    assert ours == theirs


def test_the_volatility_over_thirty_days_of_that_midnight_is_there() -> None:
    engine = started(with_rate=False)
    ts = int(at("2018-01-04", "19:01"))
    sent = modelled(ts, VxCurve(date(2018, 1, 4), EXPIRIES, CURVE.settles))
    block(engine, [row for row in ticks_of(sent, ts) if row.symbol.split("/")[1] in ("2018-01-17", "2018-03-21")])
    assert engine.prices.strips.surface(ts, RATE)["vov30"] > 50


def test_the_room_holds_the_options_of_vix_beside_those_of_the_index() -> None:
    assert strips_module._MOST >= 9_000 + 24 * 60 * 2
    engine = started()
    names = [f"{day}/{right}/{strike}" for day in EXPIRIES for right in "CP" for strike in range(9, 99)]
    block(engine, [option(NOON, 1.0, 1.2, name) for name in names])
    assert len(engine.prices.strips) == len(EXPIRIES) * 180


def test_a_chain_changes_the_regime_through_features_alone() -> None:
    first, second = started(with_rate=False), started(with_rate=False)
    block(first, ticks_of(modelled(), NOON))
    block(second, [row for row in ticks_of(modelled(), NOON) if row.symbol.startswith("VX/")])
    ours, theirs = (minute(engine, MARK) for engine in (first, second))
    assert chains(ours)
    assert [text(regime) for regime in marks(ours)] == [text(regime) for regime in marks(theirs)]


def test_quotes_that_cannot_be_of_one_moment_leave_the_expiry_out_and_call_a_person() -> None:
    engine = started()
    rows = ticks_of(modelled(), NOON)
    block(engine, rows)
    good = minute(engine, MARK)
    assert marks(good)[-1].features["conversion_edge"] < 0
    assert "chain:stale" not in marks(good)[-1].degraded
    block(engine, [option(NOON + 70 * SECOND, 9.0, None, f"{FEB}/C/12")])
    out = minute(engine, MARK + MINUTE)
    (regime,), (found,) = marks(out), chains(out)
    assert "chain:stale" in regime.degraded
    assert FEB not in [each.expiry for each in found.expiries]
    assert len(found.expiries) == len(chains(good)[-1].expiries) - 1
    alerts, _ = degraded_alerts(regime, {})
    assert [alert.severity for alert in alerts if alert.dedupe_key == "degraded:US:chain"] == ["warning"]
    block(engine, [option(NOON + 130 * SECOND, 0.4, 0.5, f"{FEB}/C/12")])
    assert "chain:stale" not in marks(minute(engine, MARK + 2 * MINUTE))[-1].degraded


# Cuts and restarts


def _random_rows(seed: int) -> list[Row]:
    """Quotes of some expiries and their futures over ten minutes, old, one-sided, crossed or without bid."""
    chance = random.Random(seed)
    strikes = {"10", "12", "14", "17", "25"}
    ends = {str(day) for day in EXPIRIES[1:5]}
    base = [row for row in ticks_of(modelled(), NOON) if row.symbol.split("/")[1] in ends]
    base = [row for row in base if row.symbol.startswith("VX/") or row.symbol.split("/")[3] in strikes]
    rows, now = list(base), NOON
    for _ in range(200):
        now += chance.choice((0, SECOND, 3 * SECOND, 5 * SECOND))
        row = chance.choice(base)
        ts = now - chance.choice((0, 0, 0, MINUTE, 6 * MINUTE))
        bid, ask = row.bid or 0.05, (row.ask or 0.1) * (1 + 0.02 * chance.random())
        future = row.symbol.startswith("VX/")
        sides = chance.choice(
            (
                *[{"bid": bid, "ask": ask}] * 6,
                {"bid": ask + 0.5},
                {"ask": ask},
                {"last": ask},
                {"bid": bid} if future else {"bid": 0.0},
                {"ask": ask} if future else {"open_interest": float(chance.randrange(1000))},
            )
        )
        rows.append(Row(row.symbol, ts, **sides, source=chance.choice(("opra", "opra", "cboe"))))
        if chance.random() < 0.1:
            rows.append(Row("VIX", now, last=15.0))
    return rows


_CUTS = st.lists(st.tuples(st.sampled_from((1, 2, 7, 40, 200)), st.booleans()), min_size=1, max_size=20)


@settings(generated, max_examples=20)
@given(st.integers(0, 10**6), _CUTS)
def test_any_cut_with_restarts_gives_the_same_bytes(seed: int, cuts: list[tuple[int, bool]]) -> None:
    rows = _random_rows(seed)
    whole = started()
    expected = [text(m) for _, m in [*block(whole, rows), *feed(whole, [mark_until(at(DAY, "14:00"))])]]
    engine, found, place, turn = started(), [], 0, 0
    while place < len(rows):
        size, restart = cuts[turn % len(cuts)]
        found += block(engine, rows[place : place + size])
        place, turn = place + size, turn + 1
        if restart and turn < 12:
            engine = restarted(engine)
    found += feed(engine, [mark_until(at(DAY, "14:00"))])
    assert [text(m) for _, m in found] == expected
    assert sorted(engine.prices.strips.snapshot()) == sorted(whole.prices.strips.snapshot())
    assert canonical_json(engine.snapshot()) == canonical_json(whole.snapshot())


def test_the_random_rows_say_something() -> None:
    engine = started()
    found = block(engine, _random_rows(3))
    published = chains(found)
    assert len(published) > 5
    assert "several" in {each.source for each in published}
    assert any("chain:stale" in regime.degraded for regime in marks(found))
    assert len({regime.features.get("conversion_edge") for regime in marks(found)}) > 2


def test_options_leave_the_state_with_their_expiry() -> None:
    engine = started()
    block(engine, ticks_of(modelled(), NOON))
    for day in ("2018-01-05", "2018-01-08", "2018-01-09"):
        feed(engine, [*day_of_closes(day), mark_until(at(day, "17:00"))])
    assert {symbol.split("/")[1] for symbol in engine.prices.strips._symbols} == {str(day) for day in EXPIRIES[1:]}
