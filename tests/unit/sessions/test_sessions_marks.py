"""Marks worked by hand: when there is one, what it says, that it commits nothing, and what the fast path does."""

from __future__ import annotations

from typing import Any

import pytest
from sessions_support import (
    Item,
    Row,
    at,
    closes,
    day_of_closes,
    feed,
    give,
    history,
    mark_until,
    marks,
    new_engine,
    official,
    refusals,
    restarted,
    sessions_from,
    settled,
    text,
    transitions,
)

from processors.sessions.engine import Engine
from topics.macro import Release
from topics.regime import Regime
from topics.times import MINUTE

DAY = "2018-02-05"


def _calm(**prices: float) -> Engine:
    """An engine with 23 committed sessions up to Friday 2018-02-02, in the state that the prices make."""
    return settled([*history("2018-01-02", 23, **prices), mark_until(at("2018-02-03", "00:00"))])[0]


def _open(engine: Engine, clock: str = "10:00", **prices: float) -> None:
    """Fresh prices of every index within the session."""
    values = {"SPX": 2700.0, "VIX3M": 17.0, "VVIX": 90.0, "VIX": 15.0} | prices
    feed(engine, [Row(symbol, at(DAY, clock), last=value) for symbol, value in values.items()])


def _every_minute(first: str, vix: list[float]) -> list[Item]:
    """A VIX price half a minute after each whole minute, and a watermark behind the last mark."""
    start = at(DAY, first)
    rows: list[Item] = [Row("VIX", start + i * MINUTE + MINUTE // 2, last=value) for i, value in enumerate(vix)]
    return [*rows, mark_until(start + len(vix) * MINUTE + 1)]


def test_there_is_a_mark_at_the_end_of_each_interval_that_had_a_tick_and_no_other() -> None:
    engine = _calm()
    items = [
        Row("VIX", at(DAY, "10:00:10"), last=15.0),
        Row("VIX", at(DAY, "10:00:50"), last=15.1),
        Row("SPY", at(DAY, "10:04:00"), last=270.0),  # an instrument that is not followed is a tick too
        official("VIX3M", DAY, 17.0, clock="10:07:30"),  # an official close is none
        Row("VIX", at(DAY, "10:09:59"), last=300.0),  # nor one that is refused
        Row("VIX", at(DAY, "10:20:01"), last=15.2),
    ]
    out = feed(engine, [*items, mark_until(at(DAY, "10:30"))])
    assert [m.event_ts for m in marks(out)] == [at(DAY, "10:01"), at(DAY, "10:04"), at(DAY, "10:21")]
    assert [m.features["vix"] for m in marks(out)] == [15.1, 15.1, 15.2]


def test_a_tick_that_is_sent_again_makes_no_mark() -> None:
    engine = _calm()
    tick = Row("VIX", at(DAY, "10:00:10"), last=15.0, seq=5)
    feed(engine, [tick, official("VIX3M", DAY, 17.0, clock="10:01:10")])
    assert marks(feed(engine, [tick, mark_until(at(DAY, "10:30"))])) == []
    assert engine.counts["ticks:duplicate"] == 1
    # Its number alone is no repetition: the feed may have started anew.
    anew = Row("VIX", at(DAY, "10:31"), last=16.0, seq=1)
    assert marks(feed(engine, [anew, mark_until(at(DAY, "10:40"))]))[0].features["vix"] == 16.0


def test_a_mark_sees_the_rows_of_its_own_moment_and_none_after_it() -> None:
    engine = _calm()
    out = feed(engine, [Row("VIX", at(DAY, "10:01"), last=16.0), Row("VIX", at(DAY, "10:01"), last=16.5)])
    assert out == []
    out = feed(engine, [Row("VIX", at(DAY, "10:01") + 1, last=30.0)])
    assert [(m.event_ts, m.features["vix"]) for m in marks(out)] == [(at(DAY, "10:01"), 16.5)]


def test_there_is_no_mark_before_the_first_session_is_committed() -> None:
    _, out = settled([Row("VIX", at(DAY, "10:00"), last=15.0), mark_until(at(DAY, "16:00"))])
    assert out == []


def test_a_tick_out_of_order_never_replaces_a_newer_one() -> None:
    engine = _calm()
    _open(engine)
    feed(engine, [Row("VIX", at(DAY, "10:01:30"), last=16.0), Row("VIX", at(DAY, "10:01:29"), last=44.0)])
    assert engine.counts["ticks:out_of_order"] == 1
    out = feed(engine, [mark_until(at(DAY, "10:03"))])
    assert marks(out)[-1].features["vix"] == 16.0


def test_a_late_tick_is_refused_in_words_and_an_official_close_never_is() -> None:
    engine = _calm()
    _open(engine, "10:10")
    out = feed(engine, [Row("VIX", at(DAY, "10:05"), last=16.0), Row("VIX", at(DAY, "10:05") - 1, last=16.0)])
    (refused,) = refusals(out)
    assert (refused.reason, refused.detail) == (
        "late",
        "VIX at 2018-02-05T15:04:59.999999999Z came when the stream had reached 2018-02-05T15:10:00Z; "
        "ticks may be 300 s late",
    )
    assert refusals(feed(engine, [official("VIX", DAY, 16.0, clock="09:45")])) == []


def test_provisional_values_are_never_committed() -> None:
    def closed(with_marks: bool) -> Regime:
        engine = _calm()
        day: list[Item] = []
        for i in range(200):
            day.append(Row("VIX", at(DAY, "09:31") + i * MINUTE, last=15.0 + (i * 13) % 11))
            day.append(Row("SPX", at(DAY, "09:31") + i * MINUTE, last=2600.0 + (i * 7) % 101))
            day.append(Row("VX/2018-02-14", at(DAY, "09:31") + i * MINUTE, last=14.0 + (i * 3) % 7))
        out = feed(engine, [*(day if with_marks else ()), *day_of_closes(DAY, vix=16.0), mark_until(at(DAY, "16:16"))])
        assert len(marks(out)) == (200 if with_marks else 0)
        return closes(out)[-1]

    marked, plain = closed(with_marks=True), closed(with_marks=False)
    session_only = {"vx1"}
    assert {k: v for k, v in marked.features.items() if k not in session_only} == plain.features
    assert {"rsi14", "rv21", "vix_change"} <= plain.features.keys()


def test_overnight_marks_keep_what_rests_on_yesterdays_closes() -> None:
    rows: list[Item] = []
    contracts = [f"VX/2018-0{m}" for m in ("2-14", "3-21", "4-18", "5-16", "6-20", "7-18", "8-22")]
    for i, day in enumerate(sessions_from("2018-01-02", 23)):
        rows += history(day, 1, spx=2700.0 + 10 * (i % 5))
        # The last curve is steeper, and its front higher, than five sessions before it, but not than four before.
        front, back = (14.0, 15.0) if i < 18 else (20.0, 21.0) if i < 22 else (16.0, 25.0)
        rows += [official(s, day, front if n == 0 else back, "16:15") for n, s in enumerate(contracts)]
    engine, _ = settled(rows)
    feed(engine, [mark_until(at("2018-02-02", "16:31"))])
    committed = engine.panel.signals
    (mark,) = marks(feed(engine, [Row("SPY", at("2018-02-04", "20:00:10"), last=270.0), mark_until(at(DAY, "03:00"))]))
    assert mark.session_date.isoformat() == DAY
    assert mark.features["rv21"] == pytest.approx(committed.rv21, rel=1e-11)
    for name in ("rsi14", "vix_change", "macd_sessions_since_cross", "macd_hist", "bear_steepening", "compressed"):
        value = getattr(committed, name)
        assert mark.features.get(name) == (pytest.approx(value, rel=1e-11) if isinstance(value, float) else value)
    assert mark.features["bear_steepening"] is True
    # A quote since then counts as the new session's.
    (mark,) = marks(feed(engine, [Row("VIX", at(DAY, "03:30"), last=30.0), mark_until(at(DAY, "03:31"))]))
    assert mark.features["vix_change"] == pytest.approx(1.0)
    assert mark.features["rv21"] == pytest.approx(committed.rv21, rel=1e-11)


def test_within_the_session_a_vix_older_than_a_quarter_of_an_hour_holds_the_state() -> None:
    engine = _calm()
    _open(engine, "10:00")
    beat = [Row("SPX", at(DAY, "10:15"), last=2701.0), Row("SPX", at(DAY, "10:15") + 1, last=2701.0)]
    fresh, stale = marks(feed(engine, [*beat, mark_until(at(DAY, "10:17"))]))[-2:]
    assert (fresh.event_ts, fresh.held, fresh.degraded) == (at(DAY, "10:15"), False, ("vx:missing",))
    assert stale.held
    assert stale.degraded == ("vix3m:stale", "vix:stale", "vvix:stale", "vx:missing")
    assert (stale.score, stale.raw, stale.state, stale.state_prev) == (None, None, fresh.state, fresh.state)


def test_a_tick_without_a_price_keeps_no_price_alive() -> None:
    engine = _calm()
    _open(engine, "10:00")
    beat = [Row("VIX", at(DAY, "10:20"), size=5.0), mark_until(at(DAY, "10:21"))]
    mark = marks(feed(engine, beat))[-1]
    assert "vix:stale" in mark.degraded
    assert mark.held


def test_the_spx_is_not_stale_after_its_own_close() -> None:
    engine = _calm()
    _open(engine, "15:59:59")
    out = feed(engine, [Row("VIX", at(DAY, "16:14:30"), last=15.0), Row("VIX", at(DAY, "16:15") + 1, last=15.0)])
    mark = marks(out)[-1]
    assert mark.event_ts == at(DAY, "16:15")
    assert mark.features["spx"] == 2700.0
    assert [fault for fault in mark.degraded if fault.startswith(("spx", "rv21"))] == []


def test_an_old_price_may_be_used_outside_of_the_session_until_it_is_days_old() -> None:
    engine = _calm()
    feed(engine, [mark_until(at("2018-02-02", "16:31"))])
    (mark,) = marks(feed(engine, [Row("SPY", at("2018-02-04", "12:00"), last=270.0), mark_until(at(DAY, "03:00"))]))
    assert (mark.held, mark.features["vix"]) == (False, 15.0)
    engine, _ = settled([*history("2018-08-01", 22)])  # to Thursday, August 30, before Labor Day
    feed(engine, [mark_until(at("2018-08-30", "22:16"))])
    tick = Row("SPY", at("2018-09-03", "16:16:00"), last=290.0)
    mark = marks(feed(engine, [tick, mark_until(at("2018-09-03", "16:17"))]))[-1]
    assert mark.held
    assert "vix:stale" in mark.degraded


def test_a_single_bad_print_never_moves_the_state_however_long_it_stands() -> None:
    engine = _calm()
    _open(engine)
    beats = [Row("SPX", at(DAY, "10:02") + i * MINUTE, last=2700.0 + i) for i in range(14)]
    out = feed(engine, [Row("VIX", at(DAY, "10:01:30"), last=85.0), *beats, mark_until(at(DAY, "10:16"))])
    assert len(marks(out)) == 15
    assert all("high:vix>=30" in m.floors_hit for m in marks(out)[1:])
    assert {m.state for m in marks(out)} == {"low"}
    # Nor when ticks without a price, older ones, or the same one again come with it.
    again = Row("VIX", at(DAY, "10:01:30"), last=85.0)
    engine = _calm()
    _open(engine)
    rows: list[Item] = []
    for i in range(4):
        rows += [again, Row("VIX", at(DAY, "10:02") + i * MINUTE, size=1.0), Row("VIX", at(DAY, "10:01:29"), last=85.0)]
    out = feed(engine, [again, *rows, mark_until(at(DAY, "10:07"))])
    assert {m.state for m in marks(out)} == {"low"}


def test_a_floor_that_holds_over_two_fresh_marks_a_minute_apart_lifts_the_state() -> None:
    engine = _calm()
    _open(engine)
    out = feed(engine, _every_minute("10:01", [31.0, 31.5]))
    assert [(m.state_prev, m.state) for m in marks(out)] == [("low", "low"), ("low", "low"), ("low", "high")]
    (change,) = transitions(out)
    assert (change.trigger, change.state, change.event_ts) == ("fast_path", "high", at(DAY, "10:03"))
    assert change.regime_event_id == marks(out)[-1].event_id
    # It stays when VIX falls again: only committed sessions bring it down.
    out = feed(engine, _every_minute("10:04", [12.0, 12.0, 12.0]))
    assert {m.state for m in marks(out)} == {"high"}


def test_a_floor_that_is_left_in_between_starts_anew() -> None:
    engine = _calm()
    _open(engine, VIX3M=30.0)
    out = feed(engine, _every_minute("10:01", [31.0, 24.0, 31.0, 24.0]))
    assert {m.state for m in marks(out)} == {"low", "elevated"}, (
        "VIX was above 22 all the time, above 30 never for long"
    )


def test_marks_leave_the_dwell_untouched() -> None:
    engine = _calm(vix=24.0, vix3m=24.5)
    assert engine.memory.state == "elevated"
    days = [
        *day_of_closes(DAY, vix=12.5),
        *day_of_closes("2018-02-06", vix=12.5),
        mark_until(at("2018-02-06", "16:16")),
    ]
    feed(engine, days)
    assert engine.memory.below == 2
    noise = [Row("VIX", at("2018-02-07", "09:31") + i * MINUTE, last=12.0 if i % 2 else 29.0) for i in range(60)]
    out = feed(engine, [*noise, mark_until(at("2018-02-07", "10:40"))])
    assert {(m.below, m.state) for m in marks(out)} == {(2, "elevated")}
    (regime,) = closes(feed(engine, [*day_of_closes("2018-02-07", vix=12.5), mark_until(at("2018-02-07", "16:16"))]))
    assert (regime.state, regime.below) == ("moderate", 0)


def test_what_the_fast_path_saw_before_a_commit_does_not_lift_the_state_after_it() -> None:
    engine = _calm()
    _open(engine, "16:12:30")
    before = [Row("VIX", at(DAY, "16:13:30"), last=31.0), *day_of_closes(DAY, vix=15.0)]
    after = [Row("VIX", at(DAY, "16:15:20"), last=31.0), Row("VIX", at(DAY, "16:16:20"), last=31.0)]
    out = feed(engine, [*before, *after, mark_until(at(DAY, "16:17") + 1)])
    assert [(m.kind, m.event_ts, m.state) for _, m in out if isinstance(m, Regime)][-4:] == [
        ("mark", at(DAY, "16:14"), "low"),
        ("close", at(DAY, "16:15"), "low"),
        ("mark", at(DAY, "16:16"), "low"),
        ("mark", at(DAY, "16:17"), "high"),
    ]


def test_what_is_missing_is_named() -> None:
    engine, _ = settled([official("VIX", "2018-02-02", 15.0), official("SPX", "2018-02-02", 2700.0)])
    (mark,) = marks(feed(engine, [Row("VIX", at(DAY, "10:00:01"), last=15.0), mark_until(at(DAY, "10:02"))]))
    assert mark.degraded == ("spx:stale", "vix3m:missing", "vvix:missing", "vx:missing")
    assert mark.score is not None
    assert set(mark.score_parts) == {"vix"}
    assert mark.sources == {"vix": "cboe"}


def test_a_mark_ranks_the_curve_by_expiry_and_leaves_weeklies_out() -> None:
    engine = _calm()
    quotes = [
        Row("VX/2018-03-21", at(DAY, "10:00"), bid=19.0, ask=19.2),
        Row("VX/2018-02-14", at(DAY, "10:00"), bid=21.0, ask=21.2, source="model"),
        Row("VX/2018-02-07", at(DAY, "10:00"), last=30.0),
        Row("VX/2018-04-18", at(DAY, "10:00"), bid=19.4, ask=19.0),  # crossed: refused
        Row("VX/2018-05-16", at(DAY, "10:00"), settle=18.0),
    ]
    mark = marks(feed(engine, [*quotes, mark_until(at(DAY, "10:02"))]))[-1]
    assert [(p.symbol, p.price) for p in mark.curve] == [
        ("VX/2018-02-14", 21.1),
        ("VX/2018-03-21", 19.1),
        ("VX/2018-05-16", 18.0),
    ]
    assert mark.sources["vx"] == "model"
    assert mark.features["inverted"] is True


def test_of_prices_of_the_same_moment_the_settlement_counts_then_the_quote_then_the_trade() -> None:
    engine = _calm()
    now = at(DAY, "10:00")
    rows: list[Item] = [
        Row("VX/2018-02-14", now, last=21.0, bid=22.0, ask=22.2, settle=23.0),
        Row("VX/2018-03-21", now, last=19.0, bid=18.0, ask=18.2),
        Row("VX/2018-04-18", now - 1, bid=18.0, ask=18.2),
        Row("VX/2018-04-18", now, last=17.0),
    ]
    mark = marks(feed(engine, [*rows, mark_until(at(DAY, "10:02"))]))[-1]
    assert [p.price for p in mark.curve] == [23.0, 18.1, 17.0]


def _cpi(clock: str, vintage: int = 1, actual: float = 0.3, day: str = DAY) -> Release:
    return Release(
        series_id="CPI_CORE_MOM", release_ts=at(day, clock), ref_period="2018-01", vintage=vintage, actual=actual
    )


def test_instants_before_a_release_fire_without_it_and_one_of_its_own_moment_with_it() -> None:
    engine = _calm()
    tick = Row("VIX", at(DAY, "08:29:30"), last=15.0)
    (mark,) = marks(feed(engine, [tick, _cpi("08:30:01")]))
    assert mark.releases == ()
    engine = _calm()
    (mark,) = marks(feed(engine, [tick, _cpi("08:30"), mark_until(at(DAY, "08:31"))]))
    (applied,) = mark.releases
    assert (applied.actual, applied.release_ts, applied.applied_ts) == (0.3, at(DAY, "08:30"), at(DAY, "08:30"))


def test_a_release_that_comes_late_acts_from_the_streams_time_on_and_says_so() -> None:
    engine = _calm()
    _open(engine, "10:00")
    feed(engine, [_cpi("08:30")])
    mark = marks(feed(engine, [mark_until(at(DAY, "10:02"))]))[-1]
    assert (mark.releases[0].release_ts, mark.releases[0].applied_ts) == (at(DAY, "08:30"), at(DAY, "10:00"))


def test_a_release_that_is_not_newer_is_superseded() -> None:
    engine = _calm()
    feed(engine, [_cpi("08:30", 2, 0.35), _cpi("08:30", 1, 0.3), _cpi("08:30", 2, 0.4)])
    assert (engine.counts["releases:used"], engine.counts["releases:superseded"]) == (1, 2)
    assert [r.actual for r in engine.releases.newest] == [0.35]
    feed(engine, [_cpi("08:30", 3, 0.1)])
    assert [r.actual for r in engine.releases.newest] == [0.1]


def test_releases_may_come_before_the_first_tick() -> None:
    engine, out = settled([_cpi("08:30"), Row("VIX", at(DAY, "08:29"), last=15.0), *day_of_closes(DAY)])
    assert out == []
    (regime,) = closes(feed(engine, [mark_until(at(DAY, "17:00"))]))
    assert [r.series_id for r in regime.releases] == ["CPI_CORE_MOM"]


def test_a_watermark_fires_what_lies_before_it_and_nothing_at_it() -> None:
    engine = _calm()
    tick = Row("VIX", at(DAY, "10:00:10"), last=15.0)
    assert feed(engine, [tick, mark_until(at(DAY, "10:01"))]) == []
    assert len(marks(feed(engine, [mark_until(at(DAY, "10:01") + 1)]))) == 1
    assert engine.time == at(DAY, "10:01") + 1
    feed(engine, [mark_until(at(DAY, "09:00"))])
    assert engine.time == at(DAY, "10:01") + 1, "time never goes back"


def test_a_restart_in_the_middle_of_the_fast_path_changes_nothing() -> None:
    items: list[Any] = _every_minute("10:01", [31.0, 31.5])
    engine = _calm()
    _open(engine)
    whole = [text(m) for _, m in feed(restarted(engine), items)]
    parts: list[bytes] = []
    for item in items:
        engine = restarted(engine)
        parts += [text(m) for _, m in feed(engine, [item])]
    assert parts == whole


def test_a_state_of_another_version_is_refused() -> None:
    engine = new_engine()
    with pytest.raises(ValueError, match="version 1 cannot be read"):
        engine.restore({**engine.snapshot(), "version": 1})


def test_refused_rows_of_a_block_keep_their_places_among_the_decisions() -> None:
    rows: list[Any] = [
        Row("NOPE", at(DAY, "10:00"), last=1.0),
        Row("VIX", at(DAY, "10:00:30"), last=15.0),
        Row("VIX", 1, last=15.0),
        Row("VIX", at(DAY, "10:01:30"), last=15.0),
        Row("VIX", at(DAY, "09:50"), last=15.0),
        Row("VIX", at(DAY, "10:02:30"), last=15.0),
    ]
    emissions = give(_calm(), rows)
    assert [(e.row, getattr(e.message, "reason", "mark")) for e in emissions] == [
        (0, "unknown_symbol"),
        (2, "invalid"),
        (3, "mark"),
        (4, "late"),
        (5, "mark"),
    ]
