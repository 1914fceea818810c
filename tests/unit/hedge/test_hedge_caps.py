"""Caps: bounds, idempotence, and where the overflow goes."""

from __future__ import annotations

import pytest
from hedge_support import RULES
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.hedge.caps import cap, cap_adds, most_deployed, reserve_floor
from processors.hedge.sizing import deployable, limit_exposure
from processors.hedge.weights import SLEEVES, Vector, deployed, vector
from topics.calibration import HedgeRules
from topics.hedge_rules import Policy, Sleeve
from topics.message import STATES, State

weights = st.floats(0, 0.9).map(lambda x: round(x, 6))
sleeves = st.fixed_dictionaries(dict.fromkeys(SLEEVES, weights))
states = st.sampled_from(STATES)
policies = st.sampled_from(["steward", "promoter"])
rules = st.sampled_from([RULES, HedgeRules(h0=0.3), HedgeRules(gross_max=0.4), HedgeRules(deployed_share_max=0.4)])
TINY = 2e-9
KAPPA = 4.0
#: Nothing is limited by exposure.
FREE = 99.0


def _within(numbers: HedgeRules, policy: Policy, state: State, found: Vector) -> None:
    posture = numbers.postures[policy]
    assert sum(found.values()) == pytest.approx(1, abs=1e-9)
    assert max(found["L1"], found["L2"], found["L3"]) <= 0.40 + TINY
    assert found["TT"] <= 0.25 + TINY
    assert found["R"] >= {"steward": 0.50 if state == "low" else 0.25, "promoter": 0.10}[policy] - TINY
    assert deployed(found) <= numbers.gross_max + TINY
    assert found["R"] >= reserve_floor(posture, state) - TINY
    if deployed(found) >= 0.5 + TINY:
        assert max(found["L1"], found["L2"], found["L3"]) <= numbers.deployed_share_max * deployed(found) + 10 * TINY


@given(rules, policies, states, sleeves)
@settings(max_examples=500, deadline=None)
def test_caps_bind_only_lower_and_are_idempotent(
    numbers: HedgeRules, policy: Policy, state: State, given_weights: dict[Sleeve, float]
) -> None:
    posture, before = numbers.postures[policy], vector(given_weights)
    found = cap(numbers, posture, state, before)
    _within(numbers, policy, state, found)
    assert all(found[sleeve] <= before[sleeve] + TINY for sleeve in SLEEVES)  # overflow only to the reserve
    assert found["R"] >= before["R"] - TINY
    again = cap(numbers, posture, state, found)
    assert [again[s] for s in SLEEVES] == pytest.approx([found[s] for s in SLEEVES], abs=1e-8)
    aim = limit_exposure(found, deployable(numbers, KAPPA))
    _within(numbers, policy, state, aim)
    assert all(aim[sleeve] <= found[sleeve] + TINY for sleeve in SLEEVES)


@given(policies, sleeves)
def test_in_low_the_reserve_is_not_made_from_layer_1s_hard_band(
    policy: Policy, given_weights: dict[Sleeve, float]
) -> None:
    before = vector({**given_weights, "L1": 0.15 + given_weights["L1"] / 9})
    found = cap(RULES, RULES.postures[policy], "low", before)
    assert 0.15 - TINY <= found["L1"] <= 0.25 + TINY


@given(policies, states, sleeves, sleeves, st.floats(0.05, 2.0))
@settings(max_examples=500, deadline=None)
def test_adds_never_take_a_target_further_beyond_a_cap_than_what_is_held(
    policy: Policy, state: State, held: dict[Sleeve, float], wanted: dict[Sleeve, float], most: float
) -> None:
    posture = RULES.postures[policy]
    found = cap_adds(RULES, posture, state, held, vector(wanted), most)
    for sleeve in SLEEVES:
        own = 0.25 if sleeve == "TT" else 0.40
        assert found[sleeve] <= max(own, held[sleeve]) + TINY
        assert found[sleeve] <= wanted[sleeve] + TINY
    limit = min(most_deployed(RULES, posture, state), most)
    assert deployed(found) <= max(limit, sum(held.values())) + 10 * TINY
    if sum(wanted.values()) <= limit:
        untouched = [found[s] for s in SLEEVES if wanted[s] <= held[s]]
        assert untouched == [wanted[s] for s in SLEEVES if wanted[s] <= held[s]]
    if state == "low":
        assert found["L1"] >= min(0.15, wanted["L1"], most) - TINY


def test_by_hand() -> None:
    steward = RULES.postures["steward"]
    one = cap(RULES, steward, "moderate", vector({"L1": 0.5, "L2": 0.2, "L3": 0.0, "TT": 0.3}))
    # 0.40, 0.20, 0, 0.25 deploys 0.85 of at most 0.75: scaled alike by 0.75 / 0.85.
    assert [one[s] for s in SLEEVES] == pytest.approx([0.3529411765, 0.1764705882, 0, 0.2205882353])
    # 0.40 of 0.52 is more than 60 %: 1.5 x 0.12 stays.
    two = cap(RULES, steward, "moderate", vector({"L1": 0.4, "L2": 0.12, "L3": 0.0, "TT": 0.0}))
    assert two["L1"] == pytest.approx(0.18)
    assert two["R"] == pytest.approx(0.70)
    # under 0.50 deployed there is no cap on the share
    three = cap(RULES, steward, "moderate", vector({"L1": 0.4, "L2": 0.05, "L3": 0.0, "TT": 0.0}))
    assert three["L1"] == 0.4


def test_what_is_held_beyond_a_cap_is_reduced_by_the_pace_and_not_in_haste() -> None:
    steward = RULES.postures["steward"]
    held: dict[Sleeve, float] = {"L1": 0.0, "L2": 0.45, "L3": 0.30, "TT": 0.10}
    found = cap_adds(RULES, steward, "elevated", held, vector({"L1": 0.05, "L2": 0.42, "L3": 0.28, "TT": 0.10}), FREE)
    # Deploys 0.85 as before: beyond 0.75 by what is held, and not further.
    assert [found[s] for s in SLEEVES] == pytest.approx([0.05, 0.42, 0.28, 0.10])
    more = cap_adds(RULES, steward, "elevated", held, vector({"L1": 0.15, "L2": 0.42, "L3": 0.28, "TT": 0.10}), FREE)
    assert more["L1"] == pytest.approx(0.05)


def test_the_exposure_limit_binds_adds_as_the_caps_do() -> None:
    steward = RULES.postures["steward"]
    held: dict[Sleeve, float] = {"L1": 0.10, "L2": 0.10, "L3": 0.0, "TT": 0.0}
    # 0.40 may be deployed: of the adds 0.10 + 0.30 + 0.20 of 0.60 there is room for 0.20, a third of each.
    found = cap_adds(RULES, steward, "elevated", held, vector({"L1": 0.20, "L2": 0.40, "L3": 0.20, "TT": 0.0}), 0.40)
    assert [found[s] for s in SLEEVES] == pytest.approx([0.10 + 0.1 / 3, 0.20, 0.2 / 3, 0.0], abs=1e-9)
    # Nothing more is added where as much is held as may be, and nothing is sold for it.
    full = cap_adds(RULES, steward, "elevated", held, vector({"L1": 0.20, "L2": 0.10, "L3": 0.20, "TT": 0.0}), 0.15)
    assert [full[s] for s in SLEEVES] == pytest.approx([0.10, 0.10, 0.0, 0.0], abs=1e-9)


def test_the_exposure_limit_goes_before_the_hard_band_of_layer_1() -> None:
    # Only 0.10 may be deployed, though Layer 1's band in low begins at 0.15.
    steward = RULES.postures["steward"]
    none: dict[Sleeve, float] = dict.fromkeys(SLEEVES, 0.0)
    found = cap_adds(RULES, steward, "low", none, vector({"L1": 0.15, "L2": 0.05, "L3": 0.0, "TT": 0.0}), 0.10)
    assert [found[s] for s in SLEEVES] == pytest.approx([0.10, 0.0, 0.0, 0.0], abs=1e-9)
