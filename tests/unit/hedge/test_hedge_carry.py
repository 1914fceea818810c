import math
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.hedge.carry import (
    BUDGETED,
    carry_budget,
    efficiency,
    limit_carry,
    limit_premium,
    premium_room,
    project,
    roll_yields,
)
from processors.hedge.lines import Line, Lines
from processors.hedge.weights import SLEEVES, base, sleeves, vector
from processors.pricing import greeks, price
from processors.signals.curve import VxCurve
from processors.signals.expiry import is_monthly
from topics.calibration import HedgeRules
from topics.hedge_rules import CarryRules
from topics.message import LAYERS

RULES = CarryRules()
generated = settings(max_examples=200, deadline=None, derandomize=True, database=None)
EMPTY = dict.fromkeys(SLEEVES, 0.0)


def test_roll_yields_worked_by_hand() -> None:
    # VX1 15 at 20 days, VX2 16.5 at 48, VX3 16.5 at 83: ln(15/16.5)/28 = -0.0034039 a day, and 0.
    found = roll_yields([20, 48, 83], [15.0, 16.5, 16.5], [5, 20, 21, 48, 49, 83, 200])
    assert found is not None
    steep = math.log(15 / 16.5) / 28
    assert found.tolist() == pytest.approx([steep, steep, steep, steep, 0.0, 0.0, 0.0], abs=1e-15)
    assert steep == pytest.approx(-0.0034039, abs=1e-7)


def test_the_sign_is_the_holders() -> None:
    contango = roll_yields([20, 48], [15.0, 16.5], [48, 48])
    assert contango is not None
    carry = project(RULES, Lines.of([Line("L1", 2, 1000, 16.5, 48), Line("TT", -1, 1000, 16.5, 48)]), contango)
    assert carry.total("L1") < 0 < carry.total("TT")
    assert carry.total("L1") == pytest.approx(-2 * carry.total("TT"), rel=1e-12)
    inverted = roll_yields([20, 48], [30.0, 25.0], [48])
    assert inverted is not None
    assert inverted[0] > 0


def test_fewer_than_two_contracts_have_no_roll() -> None:
    assert roll_yields([], [], [30]) is None
    assert roll_yields([20], [15.0], [30]) is None


def test_a_future_worked_by_hand() -> None:
    # 16.5 at -0.0034039 a day over 30 days is 16.5 x e^-0.102118 = 14.8982: -1.60182 points, 2 x 1000 of them,
    # 365/30 times a year: -38,978 USD.
    roll = roll_yields([20, 48], [15.0, 16.5], [48])
    assert roll is not None
    carry = project(RULES, Lines.of([Line("L1", 2, 1000, 16.5, 48)]), roll)
    assert carry.roll["L1"] == pytest.approx(-38_978, abs=2)
    assert carry.decay["L1"] == 0.0
    assert carry.premium["L1"] == 0.0


def test_an_option_slides_and_decays() -> None:
    line = Line("L2", 3, 100, 20.0, 110, 1, 23.0, 0.8, 0.02)
    carry = project(RULES, Lines.of([line]), [-0.001])
    now = price(20.0, 23.0, 0.8, 110 / 365, 0.02, 1)
    slid = price(20.0 * math.exp(-0.03), 23.0, 0.8, 110 / 365, 0.02, 1)
    end = price(20.0 * math.exp(-0.03), 23.0, 0.8, 80 / 365, 0.02, 1)
    annual = 300 * 365 / 30
    assert carry.roll["L2"] == pytest.approx(annual * float(slid - now), rel=1e-12)
    assert carry.decay["L2"] == pytest.approx(annual * float(end - slid), rel=1e-12)
    assert carry.total("L2") == pytest.approx(annual * float(end - now), rel=1e-12)
    assert carry.premium["L2"] == pytest.approx(300 * float(now), rel=1e-12)


@generated
@given(st.floats(12, 40), st.floats(0.8, 2.0), st.floats(0.4, 1.2), st.integers(30, 300), st.floats(-0.004, 0.004))
def test_over_a_short_horizon_it_is_theta_and_delta_times_the_roll(
    f: float, moneyness: float, vol: float, dte: int, y: float
) -> None:
    line = Line("L2", 1, 100, f, dte, 1, f * moneyness, vol)
    g = greeks(f, f * moneyness, vol, dte / 365, 0.0, 1)
    carry = project(CarryRules(horizon_days=1e-3), Lines.of([line]), [y])
    assert carry.decay["L2"] == pytest.approx(100 * 365 * float(g.theta), rel=1e-3, abs=0.05)
    assert carry.roll["L2"] == pytest.approx(100 * 365 * float(g.delta) * f * y, rel=1e-3, abs=0.05)


@generated
@given(st.floats(9, 60), st.floats(9, 90), st.floats(0.3, 1.5), st.integers(1, 300), st.floats(-0.01, 0.01))
def test_a_long_option_never_loses_more_than_its_premium_over_the_days_followed(
    f: float, k: float, vol: float, dte: int, y: float
) -> None:
    carry = project(RULES, Lines.of([Line("L3", 1, 100, f, dte, 1, k, vol)]), [y])
    days = min(dte, RULES.horizon_days)
    assert carry.total("L3") * days / 365 >= -carry.premium["L3"] - 1e-9
    opposite = project(RULES, Lines.of([Line("L3", -1, 100, f, dte, 1, k, vol)]), [y])
    assert opposite.total("L3") == -carry.total("L3")


def test_beyond_expiry_nothing_is_followed() -> None:
    # Ten days left: it ends worthless, and a programme of such calls costs 36.5 premiums a year.
    carry = project(RULES, Lines.of([Line("L1", 1, 100, 15.0, 10, 1, 20.0, 0.9)]), [0.0])
    assert carry.total("L1") == pytest.approx(-36.5 * carry.premium["L1"], rel=1e-12)


def test_an_empty_hedge_carries_nothing() -> None:
    carry = project(RULES, Lines.of([]), [])
    assert all(carry.total(layer) == 0 for layer in SLEEVES)


@pytest.mark.data
def test_the_yield_of_the_second_contract_is_the_curves_own(alvh_data: Any) -> None:
    frame = pd.read_csv(alvh_data / "vix-futures/vx_contracts_2004_2019.csv.gz", low_memory=False)
    frame = frame[(frame["trade_date"] >= "2010-01-01") & (frame["settle"] > 0)]
    monthly = frame["expiry"].map({e: is_monthly(date.fromisoformat(e)) for e in frame["expiry"].unique()})
    frame = frame[monthly & (frame["expiry"] > frame["trade_date"])]
    costs, worst = [], 0.0
    for day, rows in list(frame.groupby("trade_date"))[::5]:
        settles = {date.fromisoformat(e): float(s) for e, s in zip(rows["expiry"], rows["settle"], strict=True)}
        curve = VxCurve.from_settles(date.fromisoformat(str(day)), settles)
        dte = [(expiry - curve.session_date).days for expiry in curve.expiries]
        found = roll_yields(dte, curve.settles, [dte[1]])
        assert found is not None
        assert curve.roll_yield_long is not None
        worst = max(worst, abs(float(found[0]) - curve.roll_yield_long))
        costs.append(float(found[0]) * 365)
    assert len(costs) > 450
    assert worst < 1e-15
    # Long VX2 paid more than a third of its notional a year in the median session, and contango ruled.
    assert -0.9 < np.median(costs) < -0.35
    assert np.mean(np.array(costs) < 0) > 0.75


# ---- the budget

costs_of = st.fixed_dictionaries({layer: st.one_of(st.none(), st.floats(-0.1, 0.3)) for layer in BUDGETED})
weights_of = st.fixed_dictionaries({layer: st.floats(0, 0.25) for layer in SLEEVES})


def test_adds_are_shrunk_alike_to_the_budget() -> None:
    # From nothing to 20 / 25 / 10 % at costs of 3 / 2 / 4 % of market value for a weight of 1: 0.6 + 0.5 + 0.4 = 1.5 %.
    # A budget of 1 % pays for two thirds of each.
    target = base(HedgeRules(), "moderate")
    found = limit_carry(0.01, EMPTY, target, {"L1": 0.03, "L2": 0.02, "L3": 0.04})
    assert found.weights["L1"] == pytest.approx(0.4 / 3, abs=1e-12)
    assert found.weights["L2"] == pytest.approx(0.5 / 3, abs=1e-12)
    assert found.weights["L3"] == pytest.approx(0.2 / 3, abs=1e-12)
    assert found.weights["R"] == pytest.approx(1 - 1.1 / 3, abs=1e-12)
    assert found.cost == pytest.approx(0.01, abs=1e-12)
    assert found.kept == pytest.approx(2 / 3, abs=1e-12)
    # One of 1.5 % pays for all of it.
    assert limit_carry(0.0150001, EMPTY, target, {"L1": 0.03, "L2": 0.02, "L3": 0.04}).weights == target


def test_a_floor_gives_way_to_no_budget_and_what_it_costs_is_spent() -> None:
    # At 10 % for a weight of 1 the floor of 0.15 costs 1.5 %; a budget of 2 % leaves 0.5 % for the rest, which costs
    # 0.05 x 10 % + 0.10 x 2 % + 0.05 x 4 % = 0.9 %: five ninths of each.
    target = base(HedgeRules(), "low")
    assert sleeves(target) == pytest.approx({"L1": 0.20, "L2": 0.10, "L3": 0.05, "TT": 0.0})
    costs = {"L1": 0.10, "L2": 0.02, "L3": 0.04}
    found = limit_carry(0.02, EMPTY, target, costs, {"L1": 0.15})
    wanted = {"L1": 0.15 + 0.25 / 9, "L2": 0.5 / 9, "L3": 0.25 / 9, "TT": 0.0}
    assert sleeves(found.weights) == pytest.approx(wanted, abs=1e-12)
    # At 20 % the floor alone costs 3 %: it is reached all the same, and nothing else is added.
    found = limit_carry(0.02, EMPTY, target, {**costs, "L1": 0.20}, {"L1": 0.15})
    assert sleeves(found.weights) == pytest.approx({"L1": 0.15, "L2": 0.0, "L3": 0.0, "TT": 0.0}, abs=1e-12)
    assert found.cost == pytest.approx(0.03, abs=1e-12)
    # Without a floor a tenth is all that 2 % pay for, shared with the others: 2 % / (4 + 0.2 + 0.2) %.
    found = limit_carry(0.02, EMPTY, target, {**costs, "L1": 0.20})
    assert found.weights["L1"] == pytest.approx(0.20 * 2 / 4.4, abs=1e-12)


def test_what_is_held_beyond_the_budget_is_kept_but_not_added_to() -> None:
    held = {"L1": 0.20, "L2": 0.10, "L3": 0.05, "TT": 0.0}
    costs = {"L1": 0.10, "L2": 0.10, "L3": 0.10}  # 3.5 % held
    target = vector({"L1": 0.15, "L2": 0.30, "L3": 0.05, "TT": 0.10})
    found = limit_carry(0.02, held, target, costs)
    assert sleeves(found.weights) == pytest.approx({"L1": 0.15, "L2": 0.10, "L3": 0.05, "TT": 0.10}, abs=1e-12)
    assert found.kept == 0.0


def test_a_layer_that_earns_is_added_in_full_and_pays_for_no_other() -> None:
    # L1 earns 0.2 x 5 % = 1 %, which counts for nothing; L2 and L3 cost 0.25 x 2 % + 0.1 x 4 % = 0.9 %.
    target = base(HedgeRules(), "moderate")
    costs = {"L1": -0.05, "L2": 0.02, "L3": 0.04}
    found = limit_carry(0.01, EMPTY, target, costs)
    assert found.weights == target
    assert found.cost == pytest.approx(0.009, abs=1e-12)
    assert found.kept == 1.0
    half = limit_carry(0.0045, EMPTY, target, costs)
    assert sleeves(half.weights) == pytest.approx({"L1": 0.20, "L2": 0.125, "L3": 0.05, "TT": 0.0}, abs=1e-12)


def test_an_unknown_carry_gets_no_adds_and_while_held_stops_those_of_others() -> None:
    target = base(HedgeRules(), "moderate")
    found = limit_carry(0.01, EMPTY, target, {"L1": 0.01, "L2": None})
    assert sleeves(found.weights) == pytest.approx({"L1": 0.20, "L2": 0, "L3": 0, "TT": 0}, abs=1e-12)
    assert found.cost == pytest.approx(0.002, abs=1e-12)
    found = limit_carry(0.01, {**EMPTY, "L2": 0.1}, target, {"L1": 0.01, "L2": None, "L3": -0.01})
    assert sleeves(found.weights) == pytest.approx({"L1": 0, "L2": 0.1, "L3": 0.10, "TT": 0}, abs=1e-12)
    assert found.cost is None


@generated
@given(weights_of, weights_of, costs_of, st.floats(0, 0.25), st.floats(0, 0.05))
def test_the_budget_holds_and_nothing_rises_above_what_was_wanted(
    held: dict[Any, float], wanted: dict[Any, float], costs: dict[Any, float | None], floor: float, budget: float
) -> None:
    target = vector(wanted)
    found = limit_carry(budget, held, target, costs, {"L1": floor})
    after = found.weights
    assert sum(after[layer] for layer in LAYERS) == pytest.approx(1.0, abs=1e-9)
    assert after["TT"] == target["TT"]
    for layer in BUDGETED:
        assert min(held[layer], target[layer]) - 1e-9 <= after[layer] <= target[layer] + 1e-12
        if (costs[layer] or 0.0) < 0.0:
            assert after[layer] == pytest.approx(target[layer], abs=1e-12)
    if found.cost is not None:
        # What is there without adds that cost, and the floor that no budget stands against; earnings count for nothing.
        paid = {layer: max(0.0, cost) for layer, cost in costs.items() if cost is not None}
        least = sum(cost * min(held[layer], target[layer]) for layer, cost in paid.items())
        demanded = paid.get("L1", 0.0) * max(0.0, min(after["L1"], floor) - held["L1"])
        assert found.cost <= max(least + demanded, budget) + 1e-9
        assert after["L1"] >= min(floor, target["L1"]) - 1e-9 or costs["L1"] is None
    again = limit_carry(budget, held, after, costs, {"L1": floor})
    assert all(again.weights[layer] == pytest.approx(after[layer], abs=1e-9) for layer in LAYERS)


@generated
@given(weights_of, weights_of, costs_of)
def test_a_larger_budget_never_keeps_less(held: dict[Any, float], wanted: dict[Any, float], costs: Any) -> None:
    target = vector(wanted)
    small = limit_carry(0.01, held, target, costs).weights
    large = limit_carry(0.04, held, target, costs).weights
    assert all(small[layer] <= large[layer] + 1e-12 for layer in BUDGETED)


def test_cumulative_premium_worked_by_hand() -> None:
    # 5 % of 10 million is 500,000; 470,000 are paid, 30,000 are left; the adds would pay 0.25 x 200,000 + 0.1 x 100,000
    # = 60,000: half of them.
    room = premium_room(RULES, 10e6, 470e3)
    assert room == pytest.approx(30e3)
    target = base(HedgeRules(), "moderate")
    found = limit_premium(EMPTY, target, {"L2": 200e3, "L3": 100e3}, room)
    assert sleeves(found) == pytest.approx({"L1": 0.20, "L2": 0.125, "L3": 0.05, "TT": 0.0}, abs=1e-12)
    assert premium_room(RULES, 10e6, 570e3) == 0.0
    assert premium_room(RULES, 10e6, -20e3) == pytest.approx(520e3)
    assert premium_room(CarryRules(premium=0.01), 10e6, 70e3) == pytest.approx(30e3)


@pytest.mark.parametrize(("gdp_z", "budget"), [(None, 0.02), (1.0, 0.015), (-1.0, 0.025), (-9.0, 0.03), (9.0, 0.01)])
def test_the_budget_is_larger_while_growth_is_revised_down(gdp_z: float | None, budget: float) -> None:
    # 2 % x (1 - 0.25 x clip(z, -2, 2))
    signals: dict[str, Any] = {} if gdp_z is None else {"gdp_z": gdp_z}
    assert carry_budget(HedgeRules(), signals) == pytest.approx(budget)


@generated
@given(weights_of, weights_of, st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 2e5))
def test_adds_pay_no_more_premium_than_there_is_room_for(
    held: dict[Any, float], wanted: dict[Any, float], l2: float, l3: float, room: float
) -> None:
    target, premiums = vector(wanted), {"L2": l2, "L3": l3}
    after = limit_premium(held, target, premiums, room)
    paid = sum(max(0.0, after[layer] - held[layer]) * premium for layer, premium in premiums.items())
    assert paid <= room + 1e-5
    for layer in BUDGETED:
        assert min(held[layer], target[layer]) - 1e-9 <= after[layer] <= target[layer] + 1e-12
    assert (after["L1"], after["TT"]) == (target["L1"], target["TT"])


def test_efficiency_is_payoff_over_cost() -> None:
    assert efficiency(500e3, 50e3) == 10.0
    assert efficiency(500e3, 0.0) is None
    assert efficiency(500e3, -10.0) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_figures_that_are_no_numbers_are_refused(bad: float) -> None:
    target = base(HedgeRules(), "low")
    for call in (
        lambda: roll_yields([20, 48], [15.0, bad], [30]),
        lambda: roll_yields([20, bad], [15.0, 16.0], [30]),
        lambda: roll_yields([20, 48], [15.0, 16.0], [bad]),
        lambda: project(RULES, Lines.of([Line("L1", 1, 1000, 15.0, 30)]), [bad]),
        lambda: limit_carry(0.01, EMPTY, target, {"L1": bad}),
        lambda: limit_premium(EMPTY, target, {"L2": bad}, 1.0),
        lambda: limit_premium(EMPTY, target, {"L2": 1.0}, bad),
        lambda: premium_room(RULES, bad, 0.0),
        lambda: premium_room(RULES, 1.0, bad),
        lambda: efficiency(bad, 1.0),
    ):
        with pytest.raises(ValueError, match=r"must|hold one finite"):
            call()
    for name in ("soft", "hard", "premium", "horizon_days"):
        with pytest.raises(ValueError, match=rf"{name}\s+Value error, expected a finite number"):
            CarryRules(**{name: bad})


def test_impossible_figures_are_refused() -> None:
    for dte, prices in [([48, 20], [15.0, 16.0]), ([20, 48], [15.0]), ([20, 48], [0.0, 16.0]), ([-1, 2], [1.0, 1.0])]:
        with pytest.raises(ValueError, match="must"):
            roll_yields(dte, prices, [30])
    with pytest.raises(ValueError, match="roll must hold one"):
        project(RULES, Lines.of([Line("L1", 1, 1000, 15.0, 30)]), [])
    with pytest.raises(ValueError, match="no finite price"):
        project(RULES, Lines.of([Line("L1", 1, 1000, 15.0, 30)]), [1e3])
    with pytest.raises(ValueError, match="soft must lie"):
        CarryRules(soft=0.03)
