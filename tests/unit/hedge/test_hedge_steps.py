"""Each pure step of the hedge by hand: table, tilt, activation, sizing, band."""

from __future__ import annotations

import pytest
from hedge_support import FEB_5, JAN_2, RULES

from processors.hedge.activation import activate, beta_trigger
from processors.hedge.band import Step, partial, step
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


def test_the_exposure_limit_scales_every_layer_alike() -> None:
    weights = base(RULES, "elevated")
    assert deployable(RULES) == pytest.approx(1.25)
    assert limit_exposure(RULES, weights) == weights
    # kappa x h0 x 0.75 = 4 x 0.25 x 0.75 = 0.75 of the portfolio's beta dollars, limit 0.5: two thirds stay.
    rules = HedgeRules(h0=0.25)
    limited = limit_exposure(rules, weights)
    assert exposure(rules, limited) == pytest.approx(0.5)
    assert [limited[s] for s in SLEEVES] == pytest.approx([weights[s] * 2 / 3 for s in SLEEVES])
    assert sum(limited.values()) == pytest.approx(1, abs=1e-9)
    assert limit_exposure(rules, limited) == limited
    assert deployed(limited) == pytest.approx(0.5)


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
    assert partial(held, aim, 0.025, pace) == pytest.approx(expected)


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
    assert step(None, JAN_2, held, aim, 0.025, 0.5, HARD).target == pytest.approx(expected)


def test_one_step_a_session() -> None:
    first = step(None, JAN_2, 0.0, 0.20, 0.025, 0.5)
    for held in (0.0, 0.04, 0.0875, 0.09):
        assert step(first, JAN_2, held, 0.20, 0.025, 0.5) is first
    assert step(first, FEB_5, 0.0875, 0.20, 0.025, 0.5).target == pytest.approx(0.13125)
    changed = step(first, JAN_2, 0.0875, 0.30, 0.025, 0.5)
    assert changed.target == pytest.approx(0.0875 + 0.5 * 0.1875)
    drifted = step(first, JAN_2, 0.30, 0.20, 0.025, 0.5)
    assert drifted.target == pytest.approx(0.2625)


def test_a_step_that_moved_nothing_does_not_stand() -> None:
    rest = step(None, JAN_2, 0.19, 0.20, 0.025, 0.5)
    assert not rest.moved
    assert step(rest, JAN_2, 0.21, 0.20, 0.025, 0.5).target == 0.21


def test_leaving_the_hard_band_ends_the_step() -> None:
    last = Step(session_date=JAN_2, anchor=0.17, aim=0.245, target=0.24)
    assert step(last, JAN_2, 0.24, 0.245, 0.025, 0.5, HARD) is last
    assert step(last, JAN_2, 0.255, 0.245, 0.025, 0.5, HARD).target == 0.25


def test_vectors_sum_to_one_whatever_is_in_them() -> None:
    weights = vector({"L1": 0.1, "L2": 1 / 3, "L3": 1 / 7, "TT": -0.02})
    assert sum(weights.values()) == pytest.approx(1, abs=1e-9)
