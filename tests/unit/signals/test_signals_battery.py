"""The laws of the Statistic contract, for every statistic."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, made_curves, random_closes, run, through_json

from processors.signals import (
    BearSteepening,
    Compression,
    Macd,
    RealisedVolatility,
    Rsi,
    SessionChange,
    Statistic,
    TrailingWindow,
)


@dataclass(frozen=True)
class Case:
    make: Callable[[], Statistic[Any, Any]]
    first_value: int
    """The observation, counted from 1, that gives the first value."""
    curves: bool = False

    def observations(self, n: int, seed: int) -> list[Any]:
        return made_curves(n, seed) if self.curves else random_closes(n, seed).tolist()


CASES = {
    "rsi": Case(Rsi, 15),
    "rsi-5": Case(lambda: Rsi(5), 6),
    "macd": Case(Macd, 34),
    "macd-3-7-4": Case(lambda: Macd(3, 7, 4, min_bars=20), 10),
    "rv": Case(RealisedVolatility, 22),
    "rv-5": Case(lambda: RealisedVolatility(5), 6),
    "window": Case(lambda: TrailingWindow(50), 51),
    "window-early": Case(lambda: TrailingWindow(50, minimum=10), 11),
    "change": Case(lambda: SessionChange(5), 6),
    "change-relative": Case(lambda: SessionChange(1, relative=True), 2),
    "bear-steepening": Case(BearSteepening, 6, curves=True),
    "compression": Case(lambda: Compression(30), 31, curves=True),
}
each_statistic = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
each_numeric = pytest.mark.parametrize("case", [c for c in CASES.values() if not c.curves])


@each_statistic
def test_there_is_no_value_before_it_is_ready_and_one_ever_after(case: Case) -> None:
    statistic = case.make()
    assert statistic.value is None
    assert not statistic.ready
    for count, observation in enumerate(case.observations(90, seed=1), start=1):
        statistic.update(observation)
        assert statistic.ready == (count >= case.first_value)
        assert (statistic.value is not None) == statistic.ready


@each_statistic
def test_a_peek_changes_nothing_and_is_the_value_that_an_update_gives(case: Case) -> None:
    statistic = case.make()
    untouched = case.make()
    observations = case.observations(120, seed=2)
    for i, observation in enumerate(observations):
        before = statistic.snapshot()
        for other in observations[i : i + 3]:
            statistic.peek(other)
        peeked = statistic.peek(observation)
        assert statistic.snapshot() == before
        statistic.update(observation)
        untouched.update(observation)
        assert statistic.value == peeked
        assert statistic.value == untouched.value


@each_statistic
def test_a_restored_snapshot_goes_on_bit_for_bit_from_any_point(case: Case) -> None:
    observations = case.observations(100, seed=3)
    uninterrupted = case.make()
    values = run(uninterrupted, observations)
    running = case.make()
    for cut in range(len(observations)):
        restored = type(running).restore(through_json(running.snapshot()))
        assert restored.snapshot() == running.snapshot()
        assert restored.value == running.value
        assert restored.ready == running.ready
        assert run(restored, observations[cut:]) == values[cut:]
        assert restored.snapshot() == uninterrupted.snapshot()
        running.update(observations[cut])


@each_statistic
def test_a_snapshot_is_not_touched_by_what_comes_later(case: Case) -> None:
    statistic = case.make()
    observations = case.observations(80, seed=4)
    run(statistic, observations[:60])
    snapshot = statistic.snapshot()
    kept = copy.deepcopy(snapshot)
    run(statistic, observations[60:])
    assert snapshot == kept


@each_numeric
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinities_are_refused_by_name_and_leave_no_trace(case: Case, bad: float) -> None:
    statistic = case.make()
    run(statistic, case.observations(60, seed=5))
    before = statistic.snapshot()
    for call in (statistic.update, statistic.peek):
        with pytest.raises(ValueError, match=f"finite number.*{bad}"):
            call(bad)
    assert statistic.snapshot() == before


@pytest.mark.parametrize("name", ["rv", "change-relative"])
@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_statistics_of_returns_refuse_prices_that_are_not_above_zero(name: str, bad: float) -> None:
    statistic = CASES[name].make()
    for call in (statistic.update, statistic.peek):
        with pytest.raises(ValueError, match="above 0"):
            call(bad)


@each_statistic
def test_a_snapshot_with_a_key_missing_or_of_the_wrong_type_is_refused_by_name(case: Case) -> None:
    statistic = case.make()
    run(statistic, case.observations(60, seed=6))
    snapshot = through_json(statistic.snapshot())
    for key in snapshot:
        with pytest.raises(ValueError, match=key):
            type(statistic).restore({k: v for k, v in snapshot.items() if k != key})
        with pytest.raises(ValueError, match="crossover" if "cross" in key else key):
            type(statistic).restore({**snapshot, key: "nonsense"})


@each_numeric
@generated
@given(data=st.data())
def test_restoring_anywhere_in_any_series_changes_nothing(case: Case, data: st.DataObject) -> None:
    prices = st.floats(min_value=0.01, max_value=1e6, allow_nan=False)
    series = data.draw(st.lists(prices, max_size=70))
    cut = data.draw(st.integers(0, len(series)))
    whole, first = case.make(), case.make()
    values = run(whole, series)
    run(first, series[:cut])
    restored = type(first).restore(through_json(first.snapshot()))
    assert run(restored, series[cut:]) == values[cut:]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Rsi(1), "n"),
        (lambda: RealisedVolatility(1), "n"),
        (lambda: SessionChange(0), "n"),
        (lambda: TrailingWindow(0), "sessions"),
        (lambda: TrailingWindow(5, minimum=0), "minimum"),
        (lambda: TrailingWindow(5, minimum=6), "minimum"),
        (lambda: Macd(12, 12), "slow"),
        (lambda: Macd(1, 26), "fast"),
        (lambda: Macd(12, 26, 1), "signal"),
        (lambda: Macd(min_bars=-1), "min_bars"),
        (lambda: BearSteepening(0), "sessions"),
        (lambda: Compression(low_share=1.0), "low_share"),
    ],
)
def test_impossible_parameters_are_refused_by_name(make: Callable[[], object], name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must"):
        make()
