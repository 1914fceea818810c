"""The order books of VX futures through the engine: order flow by the minute, and what stands at the best prices."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions_support import (
    Row,
    at,
    columns,
    feed,
    generated,
    history,
    mark_until,
    marks,
    new_engine,
    official,
    restarted,
    text,
)

from processors.sessions.engine import Engine
from processors.signals.order_flow import OrderFlow
from topics.message import canonical_json
from topics.regime import Regime
from topics.ticks import TickColumns, invalid_rows
from topics.times import MINUTE, SECOND

DAY = "2018-01-05"
NOON = at(DAY, "12:00")
VX1, VX2 = "VX/2018-01-17", "VX/2018-02-14"
NAMES = ("bid", "bid_size", "ask", "ask_size")


@dataclass(frozen=True)
class Quote(Row):
    """A tick with the sizes at its best prices."""

    bid_size: float | None = None
    ask_size: float | None = None


def block(rows: Sequence[Row]) -> TickColumns:
    made = columns(rows)
    for i, row in enumerate(rows):
        for name in ("bid_size", "ask_size"):
            value = getattr(row, name, None)
            if value is not None:
                made.values[name][i] = value
    made.invalid[:] = invalid_rows(made)
    assert not made.invalid.any()
    return made


def give(engine: Engine, rows: Sequence[Row], size: int | None = None) -> list[Any]:
    """The messages that the rows cause, in blocks of that size."""
    size = size or len(rows)
    pieces = [rows[i : i + size] for i in range(0, len(rows), size)]
    return [e.message for piece in pieces for e in engine.ticks(block(piece))]


def started() -> Engine:
    """An engine that has committed three sessions with a curve."""
    engine = new_engine()
    rows = history("2018-01-02", 3)
    for day in ("2018-01-02", "2018-01-03", "2018-01-04"):
        rows += [official(VX1, day, 11.0), official(VX2, day, 12.0)]
    feed(engine, [*sorted(rows, key=lambda row: row.ts), mark_until(at("2018-01-04", "17:00"))])
    return engine


def book(seed: int, symbol: str = VX1, count: int = 150, step: int = 3 * SECOND) -> list[Row]:
    """Quotes, some of which show one side only, and trades."""
    chance = random.Random(seed)
    rows: list[Row] = []
    ts, tick = NOON, 0
    for i in range(count):
        ts += chance.choice((0, step // 3, step))
        tick += chance.choice((-1, 0, 0, 1))
        bid = 11.0 + 0.05 * (tick % 7)
        sizes = {"bid_size": float(chance.randint(0, 90)), "ask_size": float(chance.randint(0, 90))}
        if i and chance.random() < 0.2:
            rows.append(Row(symbol, ts, last=bid, size=float(chance.randint(1, 9))))
        elif i and chance.random() < 0.2:
            rows.append(Quote(symbol, ts, bid=bid, bid_size=sizes["bid_size"]))
        else:
            rows.append(Quote(symbol, ts, bid=bid, ask=bid + 0.05, **sizes))
    return rows


def directly(rows: Sequence[Row]) -> OrderFlow:
    """The same rows told to the statistic itself."""
    flow = OrderFlow()
    for row in rows:
        trades = np.array([row.ts] if row.size is not None else [], dtype=np.int64)
        shows = row.bid is not None or row.ask is not None
        sides = [np.array([_nan(getattr(row, name, None))] if shows else []) for name in NAMES]
        flow.add(np.array([row.ts] if shows else [], dtype=np.int64), *sides, trades)
    return flow


def _nan(value: float | None) -> float:
    return np.nan if value is None else value


def shown(regime: Regime) -> dict[str, Any]:
    names = ("ofi", "book_depth", "quote_to_trade", "top_bid_usd", "top_ask_usd")
    return {name: regime.features[name] for name in names if name in regime.features}


@pytest.mark.parametrize("seed", range(5))
def test_order_flow_through_the_engine_is_that_of_the_statistic(seed: int) -> None:
    engine, rows = started(), book(seed)
    found = {regime.event_ts: regime for regime in marks((0, m) for m in give(engine, rows))}
    compared = 0
    for ts, regime in found.items():
        # A row at the very moment of a mark is older than what fires it.
        expected = directly([row for row in rows if row.ts <= ts]).close(ts)
        if expected is None:
            assert "ofi" not in regime.features
            continue
        compared += 1
        assert regime.features["ofi"] == expected.ofi
        assert regime.features["book_depth"] == float(f"{expected.depth:.12g}")
        if expected.quote_to_trade is None:
            assert "quote_to_trade" not in regime.features
        else:
            assert regime.features["quote_to_trade"] == float(f"{expected.quote_to_trade:.12g}")
    assert compared >= 2


@settings(generated, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from((1, 2, 3, 10, 70)), st.booleans())
def test_singles_and_blocks_give_the_same_bits(seed: int, size: int, restart: bool) -> None:
    rows = sorted([*book(seed), *book(seed + 1, VX2)], key=lambda row: row.ts)
    whole, cut = started(), started()
    expected = [text(m) for m in give(whole, rows)]
    half = len(rows) // 2
    found = [text(m) for m in give(cut, rows[:half], size)]
    if restart:
        cut = restarted(cut)
    found += [text(m) for m in give(cut, rows[half:], size)]
    assert found == expected
    assert canonical_json(cut.prices.books.snapshot()) == canonical_json(whole.prices.books.snapshot())


def test_a_worked_minute() -> None:
    """Bid 11.00 x 10, ask 11.05 x 20; then the bid rises: + its 15; then 5 lots leave the ask: + 5; then a trade.

    Imbalance 15 + 5 = 20. Depth: (10 + 20 + 15 + 20 + 15 + 15) / 3 = 95/3. Three quotes for one trade.
    """
    engine = started()
    give(
        engine,
        [
            Quote(VX1, NOON, bid=11.0, ask=11.05, bid_size=10.0, ask_size=20.0),
            Quote(VX1, NOON + SECOND, bid=11.05, ask=11.05, bid_size=15.0, ask_size=20.0),
            Quote(VX1, NOON + 57 * SECOND, bid=11.05, ask=11.05, bid_size=15.0, ask_size=15.0),
            Row(VX1, NOON + 58 * SECOND, last=11.05, size=3.0),
            Quote(VX2, NOON + 58 * SECOND, bid=12.0, ask=12.05, bid_size=500.0, ask_size=500.0),
        ],
    )
    (mark,) = [m for m in marks(feed(engine, [mark_until(NOON + MINUTE + 1)])) if m.event_ts == NOON + MINUTE]
    assert shown(mark) == {
        "ofi": 20.0,
        "book_depth": pytest.approx(95 / 3, abs=1e-10),
        "quote_to_trade": 3.0,
        "top_bid_usd": pytest.approx(11.05 * 15 * 1000),
        "top_ask_usd": pytest.approx(11.05 * 15 * 1000),
    }


def test_order_flow_is_gone_when_the_last_finished_minute_is_older() -> None:
    engine = started()
    sizes = {"bid_size": 10.0, "ask_size": 20.0}
    give(engine, [Quote(VX1, NOON + i * SECOND, bid=11.0, ask=11.05, **sizes) for i in range(1, 50)])
    quiet = [Row("VIX", NOON + MINUTE - SECOND, last=15.0), Row("VIX", NOON + 2 * MINUTE - SECOND, last=15.0)]
    first, second = marks(feed(engine, [*quiet, mark_until(NOON + 2 * MINUTE + 1)]))[-2:]
    assert (first.event_ts, second.event_ts) == (NOON + MINUTE, NOON + 2 * MINUTE)
    assert "ofi" in first.features
    assert shown(second) == {}


@pytest.mark.parametrize(("age", "there"), [(0, True), (5 * SECOND, True), (5 * SECOND + 1, False)])
def test_what_stands_at_the_best_prices_is_gone_after_five_seconds(age: int, there: bool) -> None:
    engine = started()
    ts = NOON + MINUTE
    give(engine, [Quote(VX1, ts - age, bid=11.0, ask=11.05, bid_size=10.0, ask_size=20.0)])
    (mark,) = marks(feed(engine, [Row("VIX", ts, last=15.0), mark_until(ts + 1)]))[-1:]
    assert mark.event_ts == ts
    assert shown(mark) == ({"top_bid_usd": 110_000.0, "top_ask_usd": 221_000.0} if there else {})


def test_only_the_front_contract_is_shown_and_after_it_expires_the_next_one() -> None:
    engine = started()
    sizes = {"bid_size": 10.0, "ask_size": 20.0}
    give(engine, [Quote(VX2, NOON + i * SECOND, bid=12.0, ask=12.05, **sizes) for i in range(59)])
    (mark,) = marks(feed(engine, [Row("VIX", NOON + MINUTE - 1, last=15.0), mark_until(NOON + MINUTE + 1)]))[-1:]
    assert mark.curve[0].symbol == VX1
    assert shown(mark) == {}
    feed(engine, [official("VIX", "2018-01-17", 15.0), mark_until(at("2018-01-17", "23:00"))])
    assert VX1 not in engine.prices.books.snapshot(), "what has expired leaves the state"
    ts = at("2018-01-18", "12:00")
    give(engine, [Quote(VX2, ts + i * SECOND, bid=12.0, ask=12.05, **sizes) for i in range(60)])
    (mark,) = marks(feed(engine, [mark_until(ts + MINUTE + 1)]))[-1:]
    assert mark.curve[0].symbol == VX2
    assert shown(mark).keys() >= {"ofi", "book_depth", "top_bid_usd"}


def test_rows_that_come_late_do_not_count_twice_nor_stop_the_stream() -> None:
    rows = book(9)
    engine, clean = started(), started()
    give(clean, rows)
    late = [Quote(VX1, row.ts - MINUTE, bid=12.0, ask=12.1, bid_size=99.0, ask_size=99.0) for row in rows[60:]]
    mixed = rows[:60] + [row for pair in zip(rows[60:], late, strict=True) for row in pair]
    give(engine, mixed, 7)
    assert engine.prices.books.snapshot() == clean.prices.books.snapshot()


def test_options_and_other_futures_have_no_book() -> None:
    engine = started()
    rows = [
        Quote("ES/2018-03-16", NOON, bid=2700.0, ask=2700.25, bid_size=1.0, ask_size=1.0),
        Quote("VIX/2018-02-14/C/20", NOON, bid=1.0, ask=1.1, bid_size=1.0, ask_size=1.0),
        Quote("VIX", NOON, bid=15.0, ask=15.1, bid_size=1.0, ask_size=1.0),
    ]
    before = engine.prices.books.snapshot()
    give(engine, rows)
    assert engine.prices.books.snapshot() == before == {}
