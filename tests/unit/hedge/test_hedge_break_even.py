import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from processors.hedge.break_even import BreakEvenMark, BreakEvenValue, BreakEvenWatch, distance
from processors.pricing import CallSpread
from topics.hedge_rules import BreakEvenRules

generated = settings(max_examples=200, deadline=None, derandomize=True, database=None)
marks = st.builds(BreakEvenMark, st.floats(9, 60), st.floats(0.3, 1.5), st.floats(1, 300))
kinds = st.sampled_from([("above", False), ("above", True), ("below", False), ("below", True)])


def at(away: float, break_even: float = 20.0) -> BreakEvenMark:
    """A mark whose break-even is so many standard deviations up: vol 1 and a year, so ln(BE/F) itself."""
    return BreakEvenMark(break_even * math.exp(-away), 1.0, 365.0)


def run(watch: BreakEvenWatch, aways: list[float]) -> list[BreakEvenValue]:
    values = []
    for away in aways:
        watch.update(at(away))
        assert watch.value is not None
        values.append(watch.value)
    return values


def test_the_worked_example() -> None:
    # Call spread 23/33 on 20 for 2.00: break-even 25. 90 % vol over 110 days: 0.9 x sqrt(110/365) = 0.494075.
    # ln(25/20) = 0.223144; 0.223144 / 0.494075 = 0.451640 standard deviations.
    break_even = CallSpread(23.0, 33.0, 0.9, 0.95, 110 / 365, 0.0).break_even_at_expiry(2.0)
    assert break_even == 25.0
    assert float(distance(break_even, 20.0, 0.9, 110)) == pytest.approx(0.451640, abs=1e-6)
    watch = BreakEvenWatch(break_even, "above", short=False)
    watch.update(BreakEvenMark(20.0, 0.9, 110))
    assert watch.value is not None
    assert watch.value.cushion == pytest.approx(-0.451640, abs=1e-6)
    assert not watch.value.alert  # it has not gained yet, so no gain is about to be lost
    sold = BreakEvenWatch(break_even, "below", short=True)
    sold.update(BreakEvenMark(20.0, 0.9, 110))
    assert sold.value is not None
    assert sold.value.cushion == pytest.approx(0.451640, abs=1e-6)
    assert sold.value.alert  # under half a standard deviation from losing its credit


def test_it_is_the_normal_quantile_of_finishing_beyond_without_drift() -> None:
    # If ln F_T is normal about ln F with sd vol sqrt(T), P(F_T > BE) = N(-distance): checked by simulation.
    rng = np.random.default_rng(1)
    ends = 20.0 * np.exp(0.8 * math.sqrt(60 / 365) * rng.standard_normal(400_000))
    away = float(distance(24.0, 20.0, 0.8, 60))
    assert np.mean(ends > 24.0) == pytest.approx(norm.cdf(-away), abs=0.003)


def test_many_structures_at_once() -> None:
    found = distance([20.0, 25.0], [[20.0, 25.0], [10.0, 50.0]], 1.0, 365)
    assert found.shape == (2, 2)
    assert found.tolist()[0] == [0.0, 0.0]
    assert found.tolist()[1] == pytest.approx([math.log(2), -math.log(2)])


def test_a_short_structure_is_watched_from_the_start_with_hysteresis() -> None:
    watch = BreakEvenWatch(20.0, "below", short=True)
    values = run(watch, [1.0, 0.51, 0.49, 0.6, 0.74, 0.76, 0.6, 0.4, -0.3, -2.0, 0.3, 0.8])
    assert [value.alert for value in values] == [
        False, False, True, True, True, False, False, True, True, True, True, False
    ]


def test_a_long_structure_is_watched_once_it_has_a_gain_to_lose() -> None:
    watch = BreakEvenWatch(20.0, "above", short=False)
    # cushion is minus the distance: bought at -1, then up to 0.6 (no cushion of 0.75 yet), down, up to 0.8, and away.
    values = run(watch, [1.0, -0.6, 0.2, -0.8, -0.6, -0.4, 0.3, 0.74, 0.8, 0.3, -0.3])
    assert [value.alert for value in values] == [
        False, False, False, False, False, True, True, True, False, False, False
    ]


def test_a_crossing_needs_to_go_beyond() -> None:
    watch = BreakEvenWatch(20.0, "below", short=True)
    values = run(watch, [0.5, 0.01, -0.05, 0.05, -0.099, -0.11, -0.02, 0.09, -0.2, 0.11, 0.2, -0.5])
    assert [value.crossed for value in values] == [
        None, None, None, None, None, "up", None, None, None, "down", None, "up"
    ]


@generated
@given(st.lists(st.floats(-2, 2), min_size=1, max_size=40), kinds)
def test_crossings_alternate_and_each_is_well_beyond(aways: list[float], kind: Any) -> None:
    values = run(BreakEvenWatch(20.0, kind[0], kind[1]), aways)
    crossings = [value.crossed for value in values if value.crossed is not None]
    assert all(a != b for a, b in pairwise(crossings))
    for value in values:
        if value.crossed == "up":
            assert value.distance <= -0.1
        if value.crossed == "down":
            assert value.distance >= 0.1


@generated
@given(st.lists(st.floats(-2, 2), min_size=1, max_size=40), kinds)
def test_an_alert_means_a_thin_cushion_and_a_short_one_beyond_always_alerts(aways: list[float], kind: Any) -> None:
    good, short = kind
    for value in run(BreakEvenWatch(20.0, good, short), aways):
        assert value.cushion == (-value.distance if good == "above" else value.distance)
        if value.alert:
            assert value.cushion < 0.75
        if short and value.cushion < 0.5:
            assert value.alert
        if not short and value.cushion <= -0.75:
            assert not value.alert


@generated
@given(st.lists(marks, min_size=1, max_size=25), kinds, st.integers(0, 25))
def test_peeks_and_restored_snapshots_agree(seen: list[BreakEvenMark], kind: Any, cut: int) -> None:
    watch, whole = (BreakEvenWatch(22.0, kind[0], kind[1]) for _ in range(2))
    for i, mark in enumerate(seen):
        if i == cut:
            watch = BreakEvenWatch.restore(json.loads(json.dumps(watch.snapshot(), allow_nan=False)))
        before = watch.snapshot()
        assert watch.ready == (i > 0)
        peeked = watch.peek(mark)
        assert watch.snapshot() == before
        watch.update(mark)
        whole.update(mark)
        assert watch.value == peeked == whole.value
    assert watch.snapshot() == whole.snapshot()


@generated
@given(st.lists(marks, min_size=2, max_size=20), kinds)
def test_what_comes_later_changes_no_earlier_value(seen: list[BreakEvenMark], kind: Any) -> None:
    half = len(seen) // 2

    def values(series: list[BreakEvenMark]) -> list[BreakEvenValue | None]:
        watch, found = BreakEvenWatch(22.0, kind[0], kind[1]), []
        for mark in series:
            watch.update(mark)
            found.append(watch.value)
        return found

    later = [mark._replace(forward=mark.forward * 2) for mark in seen[half:]]
    assert values(seen)[:half] == values([*seen[:half], *later])[:half]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 0.0, -1.0])
@pytest.mark.parametrize("field", ["forward", "vol", "dte"])
def test_figures_that_are_no_numbers_leave_no_trace(field: str, bad: float) -> None:
    watch = BreakEvenWatch(20.0, "below", short=True)
    run(watch, [0.3, 0.1])
    before = watch.snapshot()
    for call in (watch.update, watch.peek):
        with pytest.raises(ValueError, match=f"{field} must be a finite number above 0"):
            call(at(0.2)._replace(**{field: bad}))
    assert watch.snapshot() == before


def test_a_vol_that_leaves_no_deviation_is_refused() -> None:
    with pytest.raises(ValueError, match="distance must be finite"):
        distance(25.0, 20.0, 1e-308, 1e-300)


def test_a_mark_exactly_on_the_break_even_counts_as_below() -> None:
    watch = BreakEvenWatch(20.0, "below", short=True, rules=BreakEvenRules(crossing=0.0))
    assert [value.crossed for value in run(watch, [0.0, 0.0, -0.1, 0.0, 0.1])] == [None, None, "up", None, "down"]


def test_impossible_parameters_and_snapshots_are_refused() -> None:
    for rules, words in (
        ({"alert": 1.0}, "must rise from 0, got 0.1, 1 and 0.75"),
        ({"crossing": 0.6}, "must rise from 0, got 0.6, 0.5 and 0.75"),
        ({"crossing": -0.1}, r"crossing\s+Input should be greater than or equal to 0"),
        ({"clear": math.nan}, r"clear\s+Value error, expected a finite number"),
    ):
        with pytest.raises(ValueError, match=words):
            BreakEvenRules(**rules)
    with pytest.raises(ValueError, match="good must be"):
        BreakEvenWatch(20.0, "over", short=True)
    watch = BreakEvenWatch(20.0, "below", short=True)
    run(watch, [0.3])
    snapshot = watch.snapshot()
    for bad in ({"good": None}, {"good": "over"}, {"side": None}, {"value": None}, {"value": 3}, {"break_even": -1}):
        with pytest.raises(ValueError, match="must"):
            BreakEvenWatch.restore({**snapshot, **bad})
    with pytest.raises(ValueError, match="crossed"):
        BreakEvenWatch.restore({**snapshot, "value": {**snapshot["value"], "crossed": "sideways"}})
