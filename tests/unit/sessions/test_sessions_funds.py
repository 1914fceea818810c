"""Published figures of volatility products through the engine: the newest of each, from when it was public."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions_support import (
    Row,
    at,
    closes,
    columns,
    day_of_closes,
    feed,
    generated,
    give,
    history,
    mark_until,
    marks,
    new_engine,
    restarted,
    sessions_from,
    text,
)

from processors.sessions.engine import Engine
from processors.sessions.funds import Funds
from topics.codec import MAX_JSON
from topics.flows import Flow
from topics.instrument import ETPS
from topics.message import canonical_json
from topics.regime import FundFigure, Regime
from topics.times import DAY, HOUR, MINUTE, SECOND

TODAY = "2018-01-05"
NOON = at(TODAY, "12:00")
BEFORE = date(2018, 1, 4)


def started() -> Engine:
    engine = new_engine()
    feed(engine, [*history("2018-01-02", 3), mark_until(at("2018-01-04", "17:00"))])
    return engine


def flow(ts: int, symbol: str = "UVXY", **figures: Any) -> Flow:
    return Flow(symbol=symbol, event_ts=ts, source="issuer", **figures)


def regime(engine: Engine, ts: int) -> Regime:
    """The mark at that minute."""
    return marks(feed(engine, [Row("VIX", ts - SECOND, last=15.0), mark_until(ts + 1)]))[-1]


def push(engine: Engine, flows: Iterable[Flow]) -> list[Any]:
    return [emission.message for each in flows for emission in engine.flow(each)]


def test_marks_and_closes_show_the_figures_and_the_price_now() -> None:
    engine = started()
    ts = at(TODAY, "08:00")
    push(engine, [flow(ts, leverage=2.0, aum=5e8, nav_date=BEFORE, nav=10.5, volume=2e7), flow(ts, "SVXY", nav=120.0)])
    engine.ticks(columns([Row("UVXY", NOON - MINUTE, last=10.0), Row("UVXY", NOON - SECOND, bid=10.0, ask=10.5)]))
    expected = FundFigure(
        symbol="UVXY", leverage=2.0, aum=5e8, nav_date=BEFORE, price=10.25, nav=10.5, volume=2e7
    )
    assert regime(engine, NOON).funds == (FundFigure(symbol="SVXY", nav=120.0), expected)
    last = Row("UVXY", at(TODAY, "15:59"), last=11.0)
    out = feed(engine, [last, *day_of_closes(TODAY), mark_until(at(TODAY, "16:40"))])
    (close,) = closes(out)
    assert close.funds[1] == expected.model_copy(update={"price": 11.0})


def test_without_figures_a_regime_is_what_it_was() -> None:
    document = regime(started(), NOON).document()
    assert (document["funds"], document["volumes"]) == ([], {})


def test_figures_decide_nothing() -> None:
    told, untold = started(), started()
    push(told, [flow(at(TODAY, "08:00"), leverage=2.0, aum=5e8, nav=10.0, volume=2e7)])
    ours, theirs = regime(told, NOON), regime(untold, NOON)
    assert ours.funds
    assert (ours.event_id, ours.inputs_digest) == (theirs.event_id, theirs.inputs_digest)


def test_each_figure_is_replaced_by_a_newer_one_of_its_kind_alone() -> None:
    engine, ts = started(), at(TODAY, "08:00")
    push(
        engine,
        [
            flow(ts, leverage=2.0, aum=5e8, nav_date=BEFORE, nav=10.5),
            flow(ts + 2, nav=11.0),
            flow(ts + 1, nav=9.0, volume=5.0),
            flow(ts + 2, nav=8.0),
            flow(ts + 3, aum=4e8),
        ],
    )
    (found,) = regime(engine, NOON).funds
    assert found == FundFigure(symbol="UVXY", leverage=2.0, aum=4e8, nav=11.0, volume=5.0), "no session for the new aum"
    assert engine.counts["flows:used"] == 4
    assert engine.counts["flows:superseded"] == 1


def test_a_figure_counts_from_when_it_was_public() -> None:
    engine = started()
    engine.ticks(columns([Row("VIX", NOON - SECOND, last=15.0)]))
    (mark,) = marks([(0, m) for m in push(engine, [flow(NOON + 1, leverage=2.0)])])
    assert (mark.event_ts, mark.funds) == (NOON, ())
    assert regime(engine, NOON + MINUTE).funds[0].leverage == 2.0
    other = started()
    other.ticks(columns([Row("VIX", NOON - SECOND, last=15.0)]))
    assert push(other, [flow(NOON, leverage=2.0)]) == []
    assert regime(other, NOON).funds[0].leverage == 2.0


def test_after_ten_days_a_figure_is_forgotten() -> None:
    engine, ts = started(), at(TODAY, "08:00")
    push(engine, [flow(ts, leverage=2.0, nav=10.0), flow(ts, "VX/2018-02-14", volume=1e5)])
    push(engine, [flow(ts + 5 * DAY, nav=11.0)])
    days = sessions_from(TODAY, 12)
    rows = [row for day in days for row in day_of_closes(day)]
    found = closes(feed(engine, [*rows, mark_until(at(days[-1], "20:00"))]))
    by_day = {each.session_date.isoformat(): each for each in found}
    assert by_day["2018-01-12"].funds == (FundFigure(symbol="UVXY", leverage=2.0, nav=11.0),)
    assert by_day["2018-01-16"].funds == (FundFigure(symbol="UVXY", nav=11.0),)
    assert by_day["2018-01-22"].funds == ()
    assert (by_day["2018-01-12"].volumes, by_day["2018-01-16"].volumes) == ({"VX/2018-02-14": 1e5}, {})
    assert engine.snapshot()["funds"] == {}


def test_only_products_appear_and_only_with_a_figure() -> None:
    engine, ts = started(), at(TODAY, "08:00")
    push(engine, [flow(ts, "SPY", leverage=1.0, aum=1e11), flow(ts, "VXX", volume=1e6), flow(ts, "UVXY")])
    assert regime(engine, NOON).funds == ()
    assert {name: n for name, n in engine.counts.items() if name.startswith("flows:")} == {
        "flows:used": 1,
        "flows:unfollowed": 2,
    }


def test_a_message_of_depth_and_figures_is_used_for_both() -> None:
    engine = started()
    push(engine, [flow(NOON - SECOND, aum=1e8, depth_bid_usd=1e6, depth_ask_usd=2e6)])
    found = regime(engine, NOON)
    assert (found.features["depth_bid_usd"], found.funds[0].aum) == (1e6, 1e8)
    assert engine.counts["flows:used"] == 1


def test_volumes_are_those_of_live_vx_contracts() -> None:
    engine, ts = started(), at(TODAY, "08:00")
    symbols = ("VX/2018-01-17", "VX/2018-02-14", "VX/2018-01-05", "VX/2017-12-20", "VX/2020-01-01", "ES/2018-03-16")
    push(engine, [flow(ts, symbol, volume=1000.0 + i) for i, symbol in enumerate(symbols)])
    push(engine, [flow(ts + 1, "VX/2018-02-14", volume=7.0), flow(ts + 1, "VX/2018-02-14", aum=7.0)])
    assert regime(engine, NOON).volumes == {"VX/2018-01-17": 1000.0, "VX/2018-02-14": 7.0}
    assert len(engine.snapshot()["funds"]) == 2
    push(engine, [flow(at("2018-01-12", "08:00"), symbol, volume=9.0) for symbol in symbols])
    for day in sessions_from(TODAY, 8):
        feed(engine, [*day_of_closes(day), mark_until(at(day, "17:00"))])
    assert list(engine.snapshot()["funds"]) == ["VX/2018-02-14"], "a contract that has settled leaves the state"


@pytest.mark.parametrize(
    ("clock", "age", "there"),
    [("12:00", 15 * MINUTE, True), ("12:00", 16 * MINUTE, False), ("18:00", 5 * HOUR, True), ("12:00", 0, True)],
)
def test_a_stale_price_is_missing(clock: str, age: int, there: bool) -> None:
    engine, ts = started(), at(TODAY, clock)
    push(engine, [flow(at(TODAY, "08:00"), leverage=2.0)])
    engine.ticks(columns([Row("UVXY", ts - age, last=10.0)]))
    assert (regime(engine, ts).funds[0].price is not None) is there


def test_prices_of_products_make_no_session_wait_and_an_older_one_replaces_nothing() -> None:
    with_prices, without = started(), started()
    for engine in (with_prices, without):
        push(engine, [flow(at(TODAY, "08:00"), leverage=2.0)])
    rows = [Row("UVXY", NOON, last=10.0), Row("UVXY", NOON - SECOND, last=99.0), Row("UVXY", NOON, bid=-1.0)]
    official = Row("UVXY", at(TODAY, "16:00"), last=10.5, official=True)
    with_prices.ticks(columns([*rows, official]))
    assert with_prices.prices.products.quote("UVXY").price == 10.5  # type: ignore[union-attr]
    for day in (TODAY, "2018-01-08"):
        times = []
        for engine in (with_prices, without):
            (close,) = closes(feed(engine, [*day_of_closes(day), mark_until(at(day, "17:00"))]))
            times.append(close.event_ts)
        assert times[0] == times[1]


def test_all_products_with_all_figures_fit_into_a_regime() -> None:
    engine, ts = started(), at(TODAY, "08:00")
    for symbol in ETPS:
        push(engine, [flow(ts, symbol, leverage=-1.123456789, aum=1e15, nav_date=BEFORE, nav=1e15, volume=1e15)])
    days = [date.fromordinal(date(2018, 1, 6).toordinal() + n) for n in range(300)]
    push(engine, [flow(ts, f"VX/{day}", volume=123456789.123) for day in days])
    assert len(regime(engine, NOON).canonical()) < MAX_JSON


@pytest.mark.parametrize(
    ("name", "value"), [("nav", 0.0), ("nav", -1.0), ("volume", 0.0), ("nav", 1e16), ("volume", 1e16)]
)
def test_figures_that_cannot_be_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        flow(NOON, **{name: value})


_FLOWS = st.lists(
    st.tuples(
        st.sampled_from(("UVXY", "SVXY", "VXX", "VX/2018-02-14", "SPY", "VX/2018-01-17")),
        st.integers(0, 20),
        st.sampled_from(("leverage", "aum", "nav", "volume", "depth_bid_usd", "tick")),
        st.integers(1, 5),
        st.booleans(),
    ),
    max_size=40,
)


@settings(generated, max_examples=60)
@given(_FLOWS)
def test_a_restart_anywhere_changes_nothing(steps: list[tuple[str, int, str, int, bool]]) -> None:
    first, second = started(), started()
    ours: list[bytes] = []
    theirs: list[bytes] = []
    for n, (symbol, back, name, value, restart) in enumerate(steps):
        ts = NOON + (10 * n - back) * SECOND
        for engine, out in ((first, ours), (second, theirs)):
            if name == "tick":
                emissions = give(engine, [Row(symbol, ts, last=10.0 + value), Row("VIX", ts, last=15.0)])
            else:
                emissions = engine.flow(flow(ts, symbol, **{name: float(value)}))
            out += [text(emission.message) for emission in emissions]
        if restart:
            second = restarted(second)
    tail = [*day_of_closes(TODAY), mark_until(at(TODAY, "17:00"))]
    assert [*ours, *(text(m) for _, m in feed(first, tail))] == [*theirs, *(text(m) for _, m in feed(second, tail))]
    assert canonical_json(first.snapshot()) == canonical_json(second.snapshot())
    assert Funds.restore(json.loads(canonical_json(first.funds.snapshot()))).snapshot() == first.funds.snapshot()
