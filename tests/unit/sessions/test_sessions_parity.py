"""Put-call parity of VIX options against VX: edges by hand, what is stale, and what makes no edge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions_support import CALENDAR, Row, at, columns, feed, generated, history, mark_until, marks, new_engine

from processors.sessions.chains import Future, Sides
from processors.sessions.parity import LOTS, Parity, parity
from topics.macro import Release
from topics.times import SECOND

FEB, MAR = date(2018, 2, 14), date(2018, 3, 21)
#: One call, one put and a tenth of a future: 2 x 1 USD / 100 and 2 USD / 1,000 a point.
FEES = 0.022
MINUTES = 525_600 / 10
RATE = 0.02
GROWTH = math.exp(RATE / 10)
NAN = math.nan


def expiry(
    *rows: Sequence[float], future: tuple[float | None, float | None] = (14.95, 15.05), day: date = FEB
) -> Sides:
    """Rows of strike, bid and ask of the call, bid and ask of the put."""
    table = np.array(rows, dtype=float)
    return Sides(
        day,
        MINUTES,
        table[:, 0],
        table[:, 1:].T.copy(),
        np.zeros((4, len(rows)), dtype=np.int64),
        np.full(len(rows), np.nan),
        frozenset({"opra"}),
        Future(15.0, *future),
    )


def test_the_fees_are_those_of_one_pair_and_its_share_of_a_future() -> None:
    assert LOTS.cost == pytest.approx(FEES)


def test_edges_by_hand() -> None:
    # Strike 15: sells the call at 1.30, buys the put at 1.10 and the future at 15.05; and the other way round.
    found = parity([expiry((15, 1.30, 1.40, 1.00, 1.10))], RATE)
    assert found.conversion == pytest.approx(15 - 15.05 + 0.20 * GROWTH - FEES)
    assert found.reversal == pytest.approx(14.95 - 15 - 0.40 * GROWTH - FEES)
    assert found.stale == frozenset()
    assert found.features == {"conversion_edge": found.conversion, "reversal_edge": found.reversal}


def test_the_best_of_all_strikes_and_expiries_counts() -> None:
    first = expiry((15, 1.0, 1.1, 1.0, 1.1), (16, 0.8, 0.9, 1.6, 1.7))
    second = expiry((20, 0.5, 0.6, 5.2, 5.3), future=(14.5, 14.6), day=MAR)
    found = parity([first, second], RATE)
    assert found.conversion == pytest.approx(20 - 14.6 - 4.8 * GROWTH - FEES), "0.58: the second expiry"
    assert found.reversal == pytest.approx(max(14.95 - 15 - 0.1 * GROWTH, 14.95 - 16 + 0.7 * GROWTH) - FEES)


@pytest.mark.parametrize(
    ("row", "future", "names"),
    [
        ((15, 1.0, 1.1, 1.0, 1.1), (14.95, 15.05), {"conversion_edge", "reversal_edge"}),
        ((15, NAN, 1.1, 1.0, 1.1), (14.95, 15.05), {"reversal_edge"}),
        ((15, 1.0, 1.1, 1.0, NAN), (14.95, 15.05), {"reversal_edge"}),
        ((15, 1.0, NAN, 1.0, 1.1), (14.95, 15.05), {"conversion_edge"}),
        ((15, 1.0, 1.1, NAN, 1.1), (14.95, 15.05), {"conversion_edge"}),
        ((15, 1.0, 1.1, 1.0, 1.1), (None, 15.05), {"conversion_edge"}),
        ((15, 1.0, 1.1, 1.0, 1.1), (14.95, None), {"reversal_edge"}),
        ((15, 1.0, 1.1, 1.0, 1.1), (None, None), set()),
        ((15, NAN, NAN, 1.0, 1.1), (14.95, 15.05), set()),
    ],
)
def test_a_side_that_is_not_quoted_cannot_be_dealt_on(row: Any, future: Any, names: set[str]) -> None:
    assert parity([expiry(row, future=future)], RATE).features.keys() == names


def test_crossed_quotes_are_no_edge() -> None:
    # Crossed by less than the widths of put and future and the fees: not known to be stale, and not to be dealt on.
    found = parity([expiry((15, 1.2, 1.1, 0.9, 1.1), (16, 0.8, 0.9, 1.6, 1.7))], RATE)
    assert found == parity([expiry((16, 0.8, 0.9, 1.6, 1.7))], RATE)
    crossed_future = parity([expiry((15, 1.0, 1.1, 1.0, 1.1), future=(15.01, 15.0))], RATE)
    assert crossed_future == Parity()


@pytest.mark.parametrize(
    ("row", "future"),
    [
        ((15, 2.0, 1.1, 1.0, 1.1), (14.95, 15.05)),
        ((15, 1.0, 1.1, 2.0, 1.1), (14.95, 15.05)),
        ((15, 1.0, 1.1, 1.0, 1.1), (16.0, 15.0)),
    ],
)
def test_one_strike_that_gains_both_ways_makes_its_expiry_stale(row: Any, future: Any) -> None:
    good = expiry((15, 1.0, 1.1, 1.0, 1.1), day=MAR)
    found = parity([expiry((16, 0.8, 0.9, 1.6, 1.7), row, future=future), good], RATE)
    assert found.stale == {FEB}
    assert found == Parity(parity([good], RATE).conversion, parity([good], RATE).reversal, frozenset({FEB}))


def test_an_edge_of_one_direction_is_not_stale() -> None:
    found = parity([expiry((15, 3.0, 3.1, 1.0, 1.1))], RATE)
    assert found.conversion is not None
    assert found.conversion > 1.8
    assert found.stale == frozenset()


@pytest.mark.parametrize("rate", [None, math.nan, math.inf, 1e13, -1.01])
def test_without_a_rate_that_can_be_nothing_is_said(rate: float | None) -> None:
    assert parity([expiry((15, 2.0, 1.1, 1.0, 1.1))], rate) == Parity()


def test_without_options_nothing_is_said() -> None:
    assert parity([], RATE) == Parity()


_PRICES = st.one_of(st.just(NAN), st.floats(0.01, 50).map(lambda x: round(x, 2)))


@settings(generated, max_examples=200)
@given(
    st.lists(st.tuples(*[_PRICES] * 4), min_size=1, max_size=8),
    st.tuples(st.floats(5, 80), st.floats(5, 80)),
    st.floats(-1, 1),
)
def test_quotes_of_one_moment_are_never_stale_and_never_gain_both_ways(
    quotes: list[tuple[float, ...]], future: tuple[float, float], rate: float
) -> None:
    ordered = []
    for i, (a, b, c, d) in enumerate(quotes):
        call, put = sorted((a, b)) if a == a and b == b else (a, b), sorted((c, d)) if c == c and d == d else (c, d)
        ordered.append((10.0 + i, *call, *put))
    found = parity([expiry(*ordered, future=(min(future), max(future)))], rate)
    assert found.stale == frozenset()
    for row in ordered:
        alone = parity([expiry(row, future=(min(future), max(future)))], rate)
        if alone.conversion is not None and alone.reversal is not None:
            assert alone.conversion + alone.reversal <= -2 * FEES + 1e-9


def test_the_engine_shows_them_with_the_rate_of_three_months() -> None:
    day, ts = "2018-01-05", at("2018-01-05", "12:01")
    engine = new_engine()
    feed(engine, [*history("2018-01-02", 3), mark_until(at("2018-01-04", "17:00"))])
    rows = [
        Row(f"VX/{FEB}", ts - 9 * SECOND, bid=14.95, ask=15.05),
        Row(f"VIX/{FEB}/C/15", ts - 9 * SECOND, bid=1.30, ask=1.40),
        Row(f"VIX/{FEB}/P/15", ts - 9 * SECOND, bid=1.00, ask=1.10),
        Row("VIX", ts - SECOND, last=15.0),
    ]
    engine.ticks(columns(rows))
    assert "conversion_edge" not in marks(feed(engine, [mark_until(ts + 1)]))[0].features
    engine.release(Release(series_id="US_3M", ref_period=day, release_ts=ts + 2, actual=2.0))
    ts += 60 * SECOND
    (mark,) = marks(feed(engine, [Row("VIX", ts - SECOND, last=15.0), mark_until(ts + 1)]))
    growth = math.exp(0.02 * (at(FEB, "09:30") - ts) / (365 * 24 * 3600 * SECOND))
    assert mark.features["conversion_edge"] == pytest.approx(15 - 15.05 + 0.20 * growth - FEES, abs=1e-11)
    assert mark.features["reversal_edge"] == pytest.approx(14.95 - 15 - 0.40 * growth - FEES, abs=1e-11)
    assert CALENDAR.is_session(date(2018, 1, 5))
