import math
from datetime import date

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from processors.hedge.wacc import (
    Capital,
    MonthlyWacc,
    hedge_scale,
    monthly,
    required_return,
    scaled_h0,
    wacc,
)
from topics.hedge_rules import WaccRules

RULES = WaccRules()
generated = settings(max_examples=200, deadline=None, derandomize=True, database=None)
values = st.floats(0, 1e12).filter(lambda x: x == 0 or x > 1)
costs = st.floats(-0.05, 0.5)


def test_the_worked_example() -> None:
    # E 60, D 40, V 100: 0.6 x 10 % + 0.4 x 5 % x (1 - 0.25) = 6 % + 1.5 % = 7.5 %.
    assert wacc(Capital(60e6, 40e6, 0.10, 0.05, 0.25)) == pytest.approx(0.075, abs=1e-15)
    # 8.5 / 7.5 = 1.1333.
    assert hedge_scale(RULES, 0.075) == pytest.approx(17 / 15, abs=1e-15)
    assert scaled_h0(RULES, 0.10, 0.075) == pytest.approx(0.11333333333333333, abs=1e-15)


def test_a_fund_without_tax_has_no_shield() -> None:
    assert wacc(Capital(60e6, 40e6, 0.10, 0.05)) == pytest.approx(0.08, abs=1e-15)


def test_the_required_return_is_that_of_the_capm() -> None:
    assert required_return(0.04, 1.2, 0.046) == pytest.approx(0.0952, abs=1e-15)


@pytest.mark.parametrize(
    ("cost", "scale"),
    [(0.085, 1.0), (0.17, 0.5), (0.30, 0.5), (0.085 / 1.5, 1.5), (0.01, 1.5), (0.0, 1.5), (-0.02, 1.5), (1e-300, 1.5)],
)
def test_the_scale_is_clipped_at_both_ends(cost: float, scale: float) -> None:
    assert hedge_scale(RULES, cost) == pytest.approx(scale, abs=1e-12)


@pytest.mark.parametrize("missing", ["equity_value", "debt_value", "cost_equity", "cost_debt", "tax_rate"])
def test_anything_missing_scales_nothing(missing: str) -> None:
    figures = {"equity_value": 6.0, "debt_value": 4.0, "cost_equity": 0.1, "cost_debt": 0.05, "tax_rate": 0.2}
    cost = wacc(Capital(**{**figures, missing: None}))
    assert cost is None
    assert hedge_scale(RULES, cost) is None
    assert scaled_h0(RULES, 0.10, cost) == 0.10


def test_a_cost_without_weight_may_be_missing() -> None:
    assert wacc(Capital(5.0, 0.0, 0.09, None, None)) == 0.09
    assert wacc(Capital(0.0, 5.0, None, 0.05)) == 0.05
    assert wacc(Capital(0.0, 0.0, 0.09, 0.05)) is None


@generated
@given(values, values, costs, costs, st.floats(0, 0.9))
def test_it_lies_between_the_costs_of_its_parts(e: float, d: float, re: float, rd: float, tax: float) -> None:
    assume(not 0 < e + d < 1e-200)  # the formula written out underflows there
    cost = wacc(Capital(e, d, re, rd, tax))
    if e + d == 0:
        assert cost is None
        return
    after_tax = rd * (1 - tax)
    assert cost is not None
    assert min(re, after_tax) - 1e-12 <= cost <= max(re, after_tax) + 1e-12
    assert cost == pytest.approx((e * re + d * rd * (1 - tax)) / (e + d), abs=1e-12)


@generated
@given(costs, costs)
def test_costlier_capital_never_buys_more_hedge(a: float, b: float) -> None:
    low, high = hedge_scale(RULES, min(a, b)), hedge_scale(RULES, max(a, b))
    assert low is not None
    assert high is not None
    assert 0.5 <= high <= low <= 1.5


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", range(5))
def test_nan_and_infinities_are_refused(field: int, bad: float) -> None:
    figures = [6.0, 4.0, 0.1, 0.05, 0.2]
    figures[field] = bad
    with pytest.raises(ValueError, match="must"):
        Capital(*figures)
    with pytest.raises(ValueError, match="cost of capital"):
        hedge_scale(RULES, bad)


@pytest.mark.parametrize("figures", [(-1, 1, 0.1, 0.1), (1, -1, 0.1, 0.1), (1, 1, -1, 0.1), (1, 1, 0.1, 0.1, 1.0)])
def test_figures_out_of_range_are_refused(figures: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must"):
        Capital(*figures)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"reference": 0}, r"reference\s+Input should be greater than 0"),
        ({"least": 1.1}, "least and most must enclose 1, got 1.1 and 1.5"),
        ({"most": 0.9}, "least and most must enclose 1, got 0.5 and 0.9"),
        ({"least": 0}, r"least\s+Input should be greater than 0"),
    ],
)
def test_rules_that_do_not_enclose_one_are_refused(rules: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        WaccRules(**rules)


def test_within_a_month_the_first_cost_stands() -> None:
    first = monthly(None, date(2018, 1, 3), 0.08)
    assert first == MonthlyWacc(date(2018, 1, 1), 0.08)
    assert monthly(first, date(2018, 1, 31), 0.12) is first
    assert monthly(first, date(2018, 2, 1), 0.12) == MonthlyWacc(date(2018, 2, 1), 0.12)


def test_a_cost_is_kept_one_month_and_then_given_up() -> None:
    first = MonthlyWacc(date(2017, 12, 1), 0.08)
    assert monthly(first, date(2018, 1, 31), None) is first
    assert monthly(first, date(2018, 2, 1), None) is None
    assert monthly(None, date(2018, 2, 1), None) is None
    with pytest.raises(ValueError, match="before the month"):
        monthly(first, date(2017, 11, 30), 0.08)
