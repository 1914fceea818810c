"""What the tests of pricing share: cases, the worked example of the Cboe, and a second variance written as a loop."""

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, settings

GOLDEN = Path(__file__).parent / "golden"

# No deadline: the machine may be busy. Derandomised: a test that fails must fail again.
generated = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Case(NamedTuple):
    forward: float
    strike: float
    vol: float
    t: float
    r: float
    right: int


def cases() -> list[Case]:
    """Deep in and out of the money, an hour to two years, low and wild vols, rates of zero and either sign."""
    moneyness = [0.2, 0.5, 0.8, 0.95, 0.999, 1.0, 1.001, 1.05, 1.3, 2.0, 5.0]
    years = [1 / 8760, 1 / 365, 7 / 365, 30 / 365, 220 / 365, 2.0]
    grid = product([17.35], moneyness, [0.05, 0.3, 0.85, 2.5], years, [0.0, 0.05, -0.005], [1, -1])
    return [Case(f, f * m, v, t, r, right) for f, m, v, t, r, right in grid]


def columns(rows: Sequence[Case]) -> list[np.ndarray]:
    return [np.array(column) for column in zip(*rows, strict=True)]


def worked_example(term: str) -> list[np.ndarray]:
    """Strikes, call bid, call ask, put bid, put ask of the `near` or `next` term."""
    table = pd.read_csv(GOLDEN / "cboe_vix_example.csv", comment="#")
    table = table[table.term == term]
    return [table[name].to_numpy(float) for name in ("strike", "call_bid", "call_ask", "put_bid", "put_ask")]


def loop_variance(
    rows: Sequence[tuple[float, float | None, float | None, float | None, float | None]],
    years: float,
    r: float,
    forward: float | None = None,
    two_zero_bids_end: bool = True,
) -> float | None:
    """The published method word for word, one strike at a time; None when it cannot be applied.

    Rows are (strike, call bid, call ask, put bid, put ask) by ascending strike.
    """

    def mid(bid: float | None, ask: float | None) -> float | None:
        if bid is None or ask is None or bid <= 0 or ask < bid:
            return None
        return (bid + ask) / 2

    call = {k: mid(b, a) for k, b, a, _, _ in rows}
    put = {k: mid(b, a) for k, _, _, b, a in rows}
    strikes = [row[0] for row in rows]
    if forward is None:
        closest: tuple[float, float] | None = None
        for k in strikes:
            if call[k] is not None and put[k] is not None:
                gap = abs(call[k] - put[k])
                if closest is None or gap < closest[0]:
                    closest = (gap, k)
        if closest is None:
            return None
        k = closest[1]
        forward = k + math.exp(r * years) * (call[k] - put[k])
    below = [k for k in strikes if k <= forward]
    if not below:
        return None
    k0 = below[-1]
    if call[k0] is None or put[k0] is None:
        return None
    price = {k0: (call[k0] + put[k0]) / 2}
    for side, walk in ((put, reversed([k for k in strikes if k < k0])), (call, [k for k in strikes if k > k0])):
        absent = 0
        for k in walk:
            if side[k] is None:
                absent += 1
                if absent == 2 and two_zero_bids_end:
                    break
            else:
                absent = 0
                price[k] = side[k]
    used = sorted(price)
    if len(used) < 2:
        return None
    total = 0.0
    for i, k in enumerate(used):
        if i == 0:
            width = used[1] - used[0]
        elif i == len(used) - 1:
            width = used[-1] - used[-2]
        else:
            width = (used[i + 1] - used[i - 1]) / 2
        total += width / k**2 * math.exp(r * years) * price[k]
    return 2 / years * total - 1 / years * (forward / k0 - 1) ** 2
