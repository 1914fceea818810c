"""The judge of the soak: it sees a leak and a slowdown, and no trend where there is only noise."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from soak_market import FIRST, REASONS, ROWS, Market, Session, batches
from soak_trend import line, quantile, rising, robust_line

from processors.stream.log import Out
from topics.catalog import MARKET_TICKS

TICKS = np.linspace(2, 10, 400)


def memory(leak: float, seed: int) -> np.ndarray:
    """Bytes: a level, a leak per million ticks, and noise that lasts for some samples."""
    noise = np.convolve(np.random.default_rng(seed).normal(0, 2e6, 419), np.ones(20) / 20, "valid")
    return 150e6 + leak * TICKS + noise


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_is_seen_and_noise_is_not(seed: int) -> None:
    leaking, still = line(TICKS, memory(1e6, seed)), line(TICKS, memory(0.0, seed))
    assert leaking.low > 0.5e6
    assert leaking.value == pytest.approx(1e6, rel=0.3)
    assert abs(still.value) < 0.2e6


def test_the_interval_allows_for_noise_that_lasts() -> None:
    """White noise of the same size tells less about its slope than it would without memory."""
    lasting = memory(0.0, 1)
    shuffled = np.random.default_rng(1).permutation(lasting)
    assert line(TICKS, lasting).high - line(TICKS, lasting).low > 2 * (
        line(TICKS, shuffled).high - line(TICKS, shuffled).low
    )


def test_a_slowdown_is_seen_through_outliers() -> None:
    rng = np.random.default_rng(2)
    at = np.arange(30.0)
    still = 0.02 + rng.normal(0, 0.002, 30)
    still[7] = 3.0
    slower = still + 0.0005 * at
    assert robust_line(at, still).low < 0 < robust_line(at, still).high
    assert robust_line(at, slower).low > 0
    assert rising(still) > 0.05 > rising(slower)


def test_quantiles_of_what_came_between_two_moments() -> None:
    before = {0.01: 5.0, 0.1: 5.0, float("inf"): 5.0}
    after = {0.01: 5.0, 0.1: 15.0, float("inf"): 15.0}
    assert quantile(before, after, 0.5) == pytest.approx(0.055)
    assert quantile(before, after, 1.0) == pytest.approx(0.1)
    assert np.isnan(quantile(after, after, 0.5))
    assert quantile({}, {0.01: 0.0, float("inf"): 2.0}, 0.5) == 0.01


@pytest.mark.parametrize("form", ["blocks", "singles", "mixed"])
def test_sessions_say_how_many_rows_are_refused(form: str) -> None:
    market = Market(20_000, form, portfolios=3)
    first, second = market.session(), market.session()
    assert first.day < second.day
    assert sum(first.rows) > 20_000
    assert first.refused == dict.fromkeys(REASONS, 1)
    alone = sum(1 for out, rows in zip(first.outs, first.rows, strict=True) if rows == 1 and out.topic == MARKET_TICKS)
    assert (alone > 0) == (form != "blocks")
    assert [out.value for out in first.outs] == [out.value for out in Market(20_000, form, 3).session().outs]


def test_batches_hold_every_record_once_and_no_more_rows_than_allowed() -> None:
    rows = [0, 1, 2000, ROWS, 5, 1, 1]
    outs = [Out(MARKET_TICKS, b"US", str(n).encode()) for n in range(len(rows))]
    found = list(batches(Session(FIRST, outs, rows, Counter())))
    assert [out for part, _ in found for out in part] == outs
    assert sum(held for _, held in found) == sum(rows)
    assert all(held <= ROWS for _, held in found)
    assert all(a[1] + b[1] > ROWS for a, b in pairwise(found[:2]))
