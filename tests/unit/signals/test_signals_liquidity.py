import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import test_signals_battery as battery
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, run, through_json

from processors.signals.liquidity import QuickRatio, QuickRatioGate, quick_ratio, top_depth_usd

UNBOUNDED = QuickRatio(None, True)
amounts = st.floats(min_value=0, max_value=1e12)
readings = st.one_of(
    st.none(),
    st.just(UNBOUNDED),
    st.sampled_from([0.5, 0.99, 1.0, 1.1, 1.19, 1.2, 3.0]).map(lambda ratio: QuickRatio(ratio, False)),
)


def made_readings(n: int, seed: int) -> list[QuickRatio | None]:
    rng = np.random.default_rng(seed)
    kinds = rng.random(n)
    return [
        None if kind < 0.05 else UNBOUNDED if kind < 0.1 else QuickRatio(float(ratio), False)
        for kind, ratio in zip(kinds, np.round(rng.normal(1.2, 0.15, n), 2), strict=True)
    ]


def of(*ratios: float | None) -> list[QuickRatio | None]:
    return [None if ratio is None else QuickRatio(ratio, False) for ratio in ratios]


def test_the_worked_ratio() -> None:
    # 100,000 cash + half of 400,000 depth + 20,000 receivable = 320,000, against 250,000: 1.28.
    assert quick_ratio(100e3, 400e3, 20e3, 250e3) == QuickRatio(pytest.approx(1.28, abs=1e-12), False)
    # All of the depth: 520 / 250.
    assert quick_ratio(100e3, 400e3, 20e3, 250e3, haircut=1.0) == QuickRatio(pytest.approx(2.08, abs=1e-12), False)
    # Overdrawn: (-300 + 200 + 20) / 250.
    assert quick_ratio(-300e3, 400e3, 20e3, 250e3) == QuickRatio(pytest.approx(-0.32, abs=1e-12), False)


def test_the_worked_depth_of_five_levels() -> None:
    # VX bids 18.50 x 10, 18.45 x 20, 18.40 x 30, 18.35 x 40, 18.30 x 50 at 1000 USD a point:
    # 185 + 369 + 552 + 734 + 915 = 2755 thousand.
    levels = [(18.50, 10), (18.45, 20), (18.40, 30), (18.35, 40), (18.30, 50)]
    assert math.fsum(top_depth_usd(price, size, 1000) for price, size in levels) == pytest.approx(2_755_000.0, abs=1e-6)


@pytest.mark.parametrize("missing", range(4))
def test_any_missing_term_makes_the_ratio_missing_even_when_nothing_falls_due(missing: int) -> None:
    terms: list[float | None] = [1.0, 1.0, 1.0, 0.0]
    terms[missing] = None
    assert quick_ratio(*terms) is None


def test_without_obligations_the_ratio_is_unbounded_and_not_a_number() -> None:
    assert quick_ratio(-5.0, 0.0, 0.0, 0.0) == UNBOUNDED
    assert through_json(quick_ratio(1.0, 1.0, 1.0, 0.0)._asdict()) == {"value": None, "unbounded": True}


@generated
@given(st.floats(-1e12, 1e12), amounts, amounts, st.floats(1.0, 1e12), st.floats(0.0, 1.0))
def test_the_ratio_is_the_sum_of_its_shares(cash: float, depth: float, vm: float, due: float, haircut: float) -> None:
    ratio = quick_ratio(cash, depth, vm, due, haircut)
    expected = math.fsum([cash / due, haircut * (depth / due), vm / due])
    scale = (abs(cash) + depth + vm) / due
    assert ratio.value == pytest.approx(expected, abs=1e-12 * max(scale, 1.0))
    assert not ratio.unbounded


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinities_are_refused_by_name(bad: float) -> None:
    for i, name in enumerate(("cash", "depth_usd", "receivable_vm", "obligations")):
        # Even when another term is missing: a wrong figure is worse than none.
        for other in (1.0, None):
            terms: list[float | None] = [other] * 4
            terms[i] = bad
            with pytest.raises(ValueError, match=f"^{name} must be a finite number.*{bad}"):
                quick_ratio(*terms)
    for i, name in enumerate(("price", "size", "multiplier")):
        factors = [1.0, 1.0, 1.0]
        factors[i] = bad
        with pytest.raises(ValueError, match=f"^{name} must be a finite number.*{bad}"):
            top_depth_usd(*factors)


def test_figures_out_of_range_are_refused_by_name() -> None:
    for i, name in ((1, "depth_usd"), (2, "receivable_vm"), (3, "obligations")):
        terms = [1.0] * 4
        terms[i] = -1.0
        with pytest.raises(ValueError, match=f"^{name} must be at least 0"):
            quick_ratio(*terms)
    for haircut in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"^haircut must lie in 0 to 1"):
            quick_ratio(1.0, 1.0, 1.0, 1.0, haircut)
    for factors, name in (((-1.0, 1.0, 1.0), "price"), ((1.0, -1.0, 1.0), "size"), ((1.0, 1.0, 0.0), "multiplier")):
        with pytest.raises(ValueError, match=f"^{name} must"):
            top_depth_usd(*factors)


@dataclass(frozen=True)
class GateCase(battery.Case):
    def observations(self, n: int, seed: int) -> list[Any]:
        return made_readings(n, seed)


@pytest.mark.parametrize(
    "law",
    [
        battery.test_a_peek_changes_nothing_and_is_the_value_that_an_update_gives,
        battery.test_a_restored_snapshot_goes_on_bit_for_bit_from_any_point,
        battery.test_a_snapshot_is_not_touched_by_what_comes_later,
        battery.test_a_snapshot_with_a_key_missing_or_of_the_wrong_type_is_refused_by_name,
    ],
)
def test_the_gate_keeps_the_laws_of_a_statistic(law: Any) -> None:
    law(GateCase(QuickRatioGate, first_value=0))


def test_a_gate_is_closed_until_proven_open() -> None:
    gate = QuickRatioGate()
    assert gate.ready
    assert gate.value is False


@pytest.mark.parametrize(
    ("ratios", "is_open"),
    [
        ((1.2, 1.2), [False, True]),
        ((1.2, 1.19, 1.2, 1.2), [False, False, False, True]),  # one in between breaks the row
        ((1.3, None, 1.3), [False, False, False]),
        ((1.3, 1.3, 1.19, 1.0, 1.1), [False, True, True, True, True]),  # between keeps it open, 1.0 too
        ((1.3, 1.3, 0.99, 1.3, 1.3), [False, True, False, False, True]),
        ((1.3, 1.3, None, 1.3, 1.3), [False, True, False, False, True]),
        ((1.1, 1.1, 1.1), [False] * 3),
    ],
)
def test_the_gate_opens_after_two_and_closes_at_once(ratios: tuple[float | None, ...], is_open: list[bool]) -> None:
    assert run(QuickRatioGate(), of(*ratios)) == is_open


def test_an_unbounded_ratio_counts_as_one_that_is_high_enough() -> None:
    assert run(QuickRatioGate(), [UNBOUNDED, UNBOUNDED, *of(1.1, 0.9, 1.2), UNBOUNDED]) == [
        False,
        True,
        True,
        False,
        False,
        True,
    ]


@generated
@given(st.lists(readings, max_size=30))
def test_the_gate_is_open_exactly_since_an_unbroken_pair(series: list[QuickRatio | None]) -> None:
    gate = run(QuickRatioGate(), series)
    sizes = [-1.0 if r is None else 9.0 if r.value is None else r.value for r in series]
    for t in range(len(series)):
        opened = [s for s in range(1, t + 1) if sizes[s - 1] >= 1.2 and sizes[s] >= 1.2]
        assert gate[t] == any(all(size >= 1.0 for size in sizes[s : t + 1]) for s in opened)


def test_what_comes_later_changes_nothing_before_it() -> None:
    one, other = made_readings(200, 1), made_readings(200, 2)
    assert run(QuickRatioGate(), one[:100] + other[100:])[:100] == run(QuickRatioGate(), one)[:100]


def test_a_million_readings_leave_a_gate_that_knows_only_the_last_ones() -> None:
    series = made_readings(1_000_000, 3)
    gate = QuickRatioGate()
    for reading in series:
        gate.update(reading)
    # The last missing reading closed it, whatever was before.
    since = max(i for i, reading in enumerate(series) if reading is None)
    assert gate.value == run(QuickRatioGate(), series[since:])[-1]


@pytest.mark.parametrize("bad", [QuickRatio(math.nan, False), QuickRatio(math.inf, False), QuickRatio(None, False)])
def test_the_gate_refuses_impossible_readings_by_name_and_without_a_trace(bad: QuickRatio) -> None:
    gate = QuickRatioGate()
    run(gate, of(1.3, 1.3))
    before = gate.snapshot()
    for call in (gate.update, gate.peek):
        with pytest.raises(ValueError, match=r"^value must be"):
            call(bad)
    assert gate.snapshot() == before


@pytest.mark.parametrize(("parameters", "name"), [((0.0, 1.0), "on"), ((1.2, math.nan), "off"), ((1.0, 1.2), "off")])
def test_impossible_parameters_are_refused_by_name(parameters: tuple[float, float], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must"):
        QuickRatioGate(*parameters)
