"""Each pure step of the hedge by hand: table, tilt, activation, sizing, band."""

from __future__ import annotations

from typing import Any

import pytest
from hedge_support import FEB_5, JAN_2, RULES
from hypothesis import given
from hypothesis import strategies as st

from processors.hedge.activation import activate, beta_trigger
from processors.hedge.band import Pace, Step, partial, stands, target
from processors.hedge.sizing import deployable, exposure, hedge_notional, limit_exposure
from processors.hedge.tilt import macd_tilt, tilt
from processors.hedge.weights import SLEEVES, base, deployed, vector
from topics.calibration import HedgeRules
from topics.message import STATES, Feature, State


def _cross(direction: str, sessions: float, **more: Feature) -> dict[str, Feature]:
    return {"macd_acting": True, "macd_last_cross": direction, "macd_sessions_since_cross": sessions, **more}


def test_the_table_holds_what_the_methodology_asks_for() -> None:
    rows = {state: base(RULES, state) for state in STATES}
    for row in rows.values():
        assert sum(row.values()) == pytest.approx(1, abs=1e-9)
        assert row["R"] >= 0.25
    l23 = [rows[state]["L2"] + rows[state]["L3"] for state in ("low", "moderate", "elevated")]
    assert l23 == sorted(set(l23))
    assert 0.15 <= rows["low"]["L1"] <= 0.25
    assert all(rows["high"]["L1"] < rows[state]["L1"] for state in STATES if state != "high")
    assert all(rows["high"]["TT"] > rows[state]["TT"] for state in STATES if state != "high")
    assert rows["low"]["TT"] == rows["moderate"]["TT"] == 0


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        (_cross("bullish", 0), 0.05),
        (_cross("bullish", 4), 0.03),
        (_cross("bearish", 5.0), -0.025),
        (_cross("bullish", 10), 0.0),
        (_cross("bullish", 40), 0.0),
        (_cross("bullish", 0, macd_acting=False), 0.0),
        ({"macd_acting": True}, 0.0),
        ({"macd_acting": True, "macd_last_cross": "bullish"}, 0.0),
        ({}, 0.0),
    ],
)
def test_macd_tilt_decays_over_ten_sessions(signals: dict[str, Feature], expected: float) -> None:
    assert macd_tilt(RULES, signals) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("state", "signals", "l1"),
    [
        ("low", {}, 0.20),
        ("low", _cross("bullish", 0), 0.25),
        ("low", _cross("bullish", 0, rsi14=40.0), 0.25),
        ("low", _cross("bearish", 0), 0.15),
        ("low", _cross("bearish", 0, rsi14=45.0), 0.175),
        ("low", {"rsi14": 45.0}, 0.225),
        ("low", {"rsi14": 45.01}, 0.20),
        ("moderate", {"rsi14": 30.0}, 0.20),
        ("moderate", _cross("bullish", 5), 0.225),
        ("elevated", _cross("bearish", 0), 0.10),
        ("high", _cross("bullish", 0), 0.10),
        ("high", _cross("bearish", 0), 0.0),
    ],
)
def test_tilt_moves_only_layer_1_and_the_reserve(state: State, signals: dict[str, Feature], l1: float) -> None:
    before = base(RULES, state)
    after = tilt(RULES, state, before, signals)
    assert after["L1"] == pytest.approx(l1)
    assert [after[s] for s in ("L2", "L3", "TT")] == [before[s] for s in ("L2", "L3", "TT")]
    assert sum(after.values()) == pytest.approx(1, abs=1e-9)


def test_a_tilt_larger_than_the_clamp_is_clamped() -> None:
    rules = HedgeRules(macd_tilt=0.5)
    assert tilt(rules, "low", base(rules, "low"), _cross("bearish", 0))["L1"] == 0.15
    assert tilt(rules, "moderate", base(rules, "moderate"), _cross("bullish", 0))["L1"] == 0.25
    assert tilt(rules, "high", base(rules, "high"), _cross("bearish", 0))["L1"] == 0.0


def test_the_beta_trigger_has_hysteresis_and_outlives_a_missing_beta() -> None:
    on = False
    walk = []
    for beta in (1.10, 1.1001, 1.07, None, 1.05, 1.0499, None, 1.10):
        on = beta_trigger(RULES, beta, on)
        walk.append(on)
    assert walk == [False, True, True, True, True, False, False, False]


def test_layer_3_without_a_trigger_keeps_a_quarter() -> None:
    weights = base(RULES, "elevated")
    assert activate(RULES, weights, on=True) == weights
    inactive = activate(RULES, weights, on=False)
    assert inactive["L3"] == pytest.approx(0.05)
    assert inactive["R"] == pytest.approx(0.40)


def test_h() -> None:
    assert hedge_notional(RULES, 1.2, 10_000_000.0) == pytest.approx(1_200_000)
    assert hedge_notional(RULES, None, 10_000_000.0) is None
    assert hedge_notional(RULES, 0.0, 10_000_000.0) == 0
    assert hedge_notional(RULES, -0.5, 10_000_000.0) == 0


def test_h_is_scaled_by_the_cost_of_capital() -> None:
    assert hedge_notional(RULES, 1.2, 10_000_000.0, 0.5) == pytest.approx(600_000)


def test_the_exposure_limit_scales_every_layer_alike() -> None:
    weights = base(RULES, "elevated")
    # 0.5 / (4 x 0.1) = 1.25 of H; with a scale of 1.25 and a kappa of 8 it is 0.5.
    assert deployable(RULES, 4.0) == pytest.approx(1.25)
    assert deployable(RULES, 8.0, 1.25) == pytest.approx(0.5)
    assert limit_exposure(weights, deployable(RULES, 4.0)) == weights
    # kappa x h0 x 0.75 = 4 x 0.25 x 0.75 = 0.75 of the portfolio's beta dollars, limit 0.5: two thirds stay.
    rules = HedgeRules(h0=0.25)
    limited = limit_exposure(weights, deployable(rules, 4.0))
    assert exposure(rules, limited, 4.0) == pytest.approx(0.5)
    assert exposure(rules, limited, 4.0, 0.5) == pytest.approx(0.25)
    assert [limited[s] for s in SLEEVES] == pytest.approx([weights[s] * 2 / 3 for s in SLEEVES])
    assert sum(limited.values()) == pytest.approx(1, abs=1e-9)
    assert limit_exposure(limited, deployable(rules, 4.0)) == limited
    assert deployed(limited) == pytest.approx(0.5)


BAND = 0.025


@pytest.mark.parametrize(
    ("held", "aim", "pace", "expected"),
    [
        (0.20, 0.225, 0.5, 0.20),
        (0.20, 0.2251, 0.5, 0.20005),
        (0.0, 0.20, 0.5, 0.0875),
        (0.0, 0.20, 1.0, 0.175),
        (0.30, 0.20, 0.5, 0.2625),
        (0.30, 0.20, 1.0, 0.225),
    ],
)
def test_partial_adjustment(held: float, aim: float, pace: float, expected: float) -> None:
    assert partial(held, aim, Pace(BAND, pace)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("held", "aim", "expected"),
    [
        (0.20, 0.2299, 0.20),  # 0.0049 beyond the band: less than the least step
        (0.20, 0.2301, 0.205),  # 0.0051 beyond it: half would be 0.00255, the least step is 0.005
        (0.20, 0.26, 0.2175),  # 0.035 beyond it: half of it is 0.0175
        (0.26, 0.2301, 0.26),
        (0.26, 0.2299, 0.255),
        (0.0, 0.0299, 0.0),
    ],
)
def test_a_step_has_a_least_size(held: float, aim: float, expected: float) -> None:
    assert partial(held, aim, Pace(BAND, 0.5, 0.005)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("held", "aim", "unit", "expected"),
    [
        (0.0, 0.10, 0.06, 0.06),  # half of 0.075 is less than one contract: one contract
        (0.0, 0.10, 0.03, 0.0375),
        (0.0, 0.10, 0.10, 0.10),
        (0.0, 0.10, 0.11, 0.0375),  # one contract would lead beyond the aim
        (0.05, 0.10, 0.06, 0.0625),
        (0.16, 0.10, 0.06, 0.1425),  # a step down is no larger for it
    ],
)
def test_a_step_up_is_at_least_one_contract_unless_that_leads_beyond_the_aim(
    held: float, aim: float, unit: float, expected: float
) -> None:
    assert partial(held, aim, Pace(BAND, 0.5, 0.005, unit)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("held", "unit", "expected"),
    [
        (0.20, 0.01, 0.10),  # no band around 0: half of what is held
        (0.02, 0.01, 0.01),
        (0.01, 0.01, 0.0),  # what is left is closed
        (0.004, 0.001, 0.0),  # as is less than the least step
        (0.0, 0.01, 0.0),
        (-0.02, 0.01, -0.02),
    ],
)
def test_an_aim_of_nothing_has_no_band(held: float, unit: float, expected: float) -> None:
    assert partial(held, 0.0, Pace(BAND, 0.5, 0.005, unit)) == pytest.approx(expected)


@given(
    st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.1), st.floats(0, 1), st.floats(0, 0.02), st.floats(0, 0.2)
)
def test_a_step_goes_towards_the_aim_and_never_beyond_it(
    held: float, aim: float, band: float, pace: float, least: float, unit: float
) -> None:
    found = partial(held, aim, Pace(band, pace, least, unit))
    low, high = sorted((held, aim))
    assert low - 2e-9 <= found <= high + 2e-9
    if abs(aim - held) <= band and aim > 1e-9:
        assert found == held


HARD = (0.15, 0.25)


@pytest.mark.parametrize(
    ("held", "aim", "expected"),
    [
        (0.0, 0.20, 0.175),  # to the edge of the band at once
        (0.0, 0.15, 0.15),  # whose edge 0.125 is outside of the hard band
        (0.14, 0.16, 0.15),  # trades although the aim is within the band
        (0.26, 0.25, 0.25),
        (0.40, 0.20, 0.225),
        (0.16, 0.25, 0.1925),  # inside: the usual pace
        (0.15, 0.17, 0.15),
    ],
)
def test_the_hard_band_comes_first(held: float, aim: float, expected: float) -> None:
    assert target(held, aim, Pace(BAND, 0.5, 0.005, 0.01), HARD) == pytest.approx(expected)


FEB, MAR = "VX/2018-02-14", "VX/2018-03-21"


def _step(held: dict[str, int], **changes: object) -> Step:
    fields: dict[str, Any] = {
        "session_date": JAN_2,
        "key": "low|0.200",
        "outside": False,
        "h": 2_000_000.0,
        "held": held,
        "advised": {},
    } | changes
    return Step(**fields)


#: A roll of two contracts from February to March, and two more of March.
LAST = _step({FEB: 2, MAR: 3}, advised={FEB: 0, MAR: 7})


def test_one_step_a_session() -> None:
    for held in ({FEB: 2, MAR: 3}, {FEB: 1, MAR: 3}, {MAR: 5}, {FEB: 2, MAR: 7}, {MAR: 7}):
        assert stands(LAST, _step(held), 0.10), held
    assert not stands(None, _step({MAR: 3}), 0.10)
    assert not stands(LAST, _step({MAR: 7}, session_date=FEB_5), 0.10)
    assert not stands(LAST, _step({MAR: 7}, key="low|0.225"), 0.10)


@pytest.mark.parametrize(
    "held", [{FEB: 3, MAR: 3}, {FEB: -1, MAR: 7}, {FEB: 2, MAR: 2}, {MAR: 8}, {MAR: 7, "VX/2018-04-18": 1}]
)
def test_a_step_does_not_stand_against_what_it_never_led_through(held: dict[str, int]) -> None:
    assert not stands(LAST, _step(held), 0.10)


def test_leaving_the_hard_band_ends_the_step() -> None:
    assert not stands(LAST, _step({MAR: 7}, outside=True), 0.10)
    began = LAST.model_copy(update={"outside": True})
    assert stands(began, _step({MAR: 7}, outside=True), 0.10)
    assert stands(began, _step({MAR: 7}), 0.10)


def test_a_change_of_h_beyond_its_tolerance_ends_the_step() -> None:
    for h, stays in ((2_200_000.0, True), (2_200_000.5, False), (1_800_000.0, True), (1_799_999.5, False)):
        assert stands(LAST, _step({MAR: 7}, h=h), 0.10) is stays


def test_vectors_sum_to_one_whatever_is_in_them() -> None:
    weights = vector({"L1": 0.1, "L2": 1 / 3, "L3": 1 / 7, "TT": -0.02})
    assert sum(weights.values()) == pytest.approx(1, abs=1e-9)
