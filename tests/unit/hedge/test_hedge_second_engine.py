import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.hedge.caps import cap
from processors.hedge.second_engine import EngineReading, EngineSwitch, engage
from processors.hedge.weights import base, deployed, vector
from processors.signals.liquidity import QuickRatio
from topics.calibration import HedgeRules
from topics.hedge_rules import EngineRules
from topics.message import LAYERS, STATES

HEDGE, RULES = HedgeRules(), EngineRules()
NONE_LOST = {"L2": 0.0, "L3": 0.0}
BOUNDS = {"layer_max": 0.40, "gross_max": 1.25, "reserve_min": 0.10}
generated = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def ratio(value: float) -> QuickRatio:
    return QuickRatio(value, False)


UNBOUNDED = QuickRatio(None, True)
readings = st.builds(
    EngineReading,
    st.sampled_from(STATES),
    st.one_of(st.none(), st.just(UNBOUNDED), st.sampled_from([0.0, 0.99, 1.0, 1.1, 1.19, 1.2, 1.5]).map(ratio)),
    st.booleans(),
)


def run(switch: EngineSwitch, observations: list[EngineReading]) -> list[bool]:
    values = []
    for observation in observations:
        switch.update(observation)
        values.append(switch.value)
    return values


def test_it_starts_slowly_and_stops_at_once() -> None:
    moderate = [EngineReading("moderate", ratio(r)) for r in (1.2, 1.19, 1.3, 1.2, 1.1, 1.0, 0.99, 1.2, 1.2)]
    # 1.19 breaks the first row of two; 1.1 and 1.0 keep it on; 0.99 stops it.
    assert run(EngineSwitch(), moderate) == [False, False, False, True, True, True, False, False, True]


@pytest.mark.parametrize("state", ["low", "high"])
def test_another_state_stops_it_and_proves_nothing(state: Any) -> None:
    liquid = EngineReading("elevated", ratio(2.0))
    other = EngineReading(state, ratio(2.0))
    assert run(EngineSwitch(), [liquid, liquid, other, liquid, liquid]) == [False, True, False, False, True]
    assert run(EngineSwitch(), [other, other, other, liquid, liquid]) == [False, False, False, False, True]


def test_a_missing_ratio_stops_it() -> None:
    liquid, missing = EngineReading("moderate", ratio(2.0)), EngineReading("moderate", None)
    assert run(EngineSwitch(), [liquid, liquid, missing, liquid, liquid]) == [False, True, False, False, True]


def test_nothing_falling_due_passes_only_while_the_engine_holds_nothing() -> None:
    free, held = EngineReading("moderate", UNBOUNDED, False), EngineReading("moderate", UNBOUNDED, True)
    assert run(EngineSwitch(), [free, free, free, held, held, held]) == [False, True, True, False, False, False]


def reference(observations: list[EngineReading]) -> list[bool]:
    """The rule read over the whole past at each reading, without a state machine."""
    values = []
    for end in range(1, len(observations) + 1):
        on = False
        for i in range(end):
            x = observations[i]

            def passing(x: EngineReading) -> bool:
                q = x.quick_ratio
                if x.state not in ("moderate", "elevated") or q is None:
                    return False
                return not x.deployed if q.unbounded else q.value >= 1.2

            def failing(x: EngineReading) -> bool:
                q = x.quick_ratio
                if x.state not in ("moderate", "elevated") or q is None:
                    return True
                return x.deployed if q.unbounded else q.value < 1.0

            if failing(x):
                on = False
            elif i and passing(x) and passing(observations[i - 1]):
                on = True
        values.append(on)
    return values


@generated
@given(st.lists(readings, max_size=25))
def test_it_equals_the_rule_read_anew(observations: list[EngineReading]) -> None:
    assert run(EngineSwitch(), observations) == reference(observations)


@generated
@given(st.lists(readings, max_size=20), st.integers(0, 20))
def test_peeks_and_restored_snapshots_agree(observations: list[EngineReading], cut: int) -> None:
    switch = EngineSwitch()
    for i, observation in enumerate(observations):
        if i == cut:
            switch = EngineSwitch.restore(json.loads(json.dumps(switch.snapshot(), allow_nan=False)))
        before = switch.snapshot()
        peeked = switch.peek(observation)
        assert switch.snapshot() == before
        switch.update(observation)
        assert switch.value == peeked
        assert switch.ready
    assert switch.value == (reference(observations) or [False])[-1]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_ratio_that_is_no_number_leaves_no_trace(bad: float) -> None:
    switch = EngineSwitch()
    run(switch, [EngineReading("moderate", ratio(2.0))] * 2)
    before = switch.snapshot()
    for call in (switch.update, switch.peek):
        with pytest.raises(ValueError, match="finite number"):
            call(EngineReading("moderate", ratio(bad)))
    assert switch.snapshot() == before


# ---- the multiplier


def test_a_promoter_in_moderate_worked_by_hand() -> None:
    # L2 0.25 and L3 0.10 times 1.25: 0.3125 and 0.125; the reserve gives 0.0875 of its 0.45.
    engaged = engage(RULES, "promoter", True, base(HEDGE, "moderate"), losses=NONE_LOST, **BOUNDS)
    assert engaged.multiplier == pytest.approx(1.25, abs=1e-9)
    assert engaged.weights["L2"] == pytest.approx(0.3125, abs=1e-9)
    assert engaged.weights["L3"] == pytest.approx(0.125, abs=1e-9)
    assert engaged.weights["R"] == pytest.approx(0.3625, abs=1e-9)
    assert engaged.added == pytest.approx(0.0875, abs=1e-9)
    assert engaged.weights["L1"] == 0.20


def test_in_elevated_the_cap_of_layer_2_holds_both_back() -> None:
    # 0.40 / 0.35 = 1.142857; L3 has the same: 0.20 x 1.142857 = 0.228571.
    engaged = engage(RULES, "promoter", True, base(HEDGE, "elevated"), losses=NONE_LOST, **BOUNDS)
    assert engaged.multiplier == pytest.approx(8 / 7, abs=1e-9)
    assert engaged.weights["L2"] == pytest.approx(0.40, abs=1e-9)
    assert engaged.weights["L2"] <= 0.40
    assert engaged.weights["L3"] == pytest.approx(0.20 * 8 / 7, abs=1e-9)


def test_the_stress_loss_of_what_it_adds_holds_it_back() -> None:
    # Extra (l - 1) x (0.25 x 1.5 + 0.10 x 1.25) = (l - 1) x 0.5 of H may lose 0.10 x H: l = 1.2.
    engaged = engage(
        RULES, "promoter", True, base(HEDGE, "moderate"), losses={"L2": 1.5, "L3": 1.25}, **BOUNDS
    )
    assert engaged.multiplier == pytest.approx(1.2, abs=1e-9)


@pytest.mark.parametrize(
    ("policy", "on", "losses"), [("steward", True, NONE_LOST), ("promoter", False, NONE_LOST), ("promoter", True, None)]
)
def test_a_steward_a_closed_switch_and_an_unknown_loss_leave_it_off(policy: Any, on: bool, losses: Any) -> None:
    weights = base(HEDGE, "moderate")
    engaged = engage(RULES, policy, on, weights, losses=losses, **BOUNDS)
    assert (engaged.weights, engaged.multiplier, engaged.added) == (weights, 1.0, 0.0)


@generated
@given(
    st.tuples(*[st.floats(0, 0.45)] * 4),
    st.floats(0, 1),
    st.floats(0.5, 1.25),
    st.tuples(st.floats(0, 3), st.floats(0, 3)),
)
def test_no_bound_is_broken_by_it_and_the_mix_stays(
    parts: tuple[float, ...], reserve: float, gross: float, lost: tuple[float, float]
) -> None:
    weights = vector(dict(zip(("L1", "L2", "L3", "TT"), parts, strict=True)))
    losses = dict(zip(("L2", "L3"), lost, strict=True))
    engaged = engage(
        RULES, "promoter", True, weights, layer_max=0.40, gross_max=gross, reserve_min=reserve, losses=losses
    )
    after = engaged.weights
    assert 1.0 <= engaged.multiplier <= 1.25
    assert sum(after[layer] for layer in LAYERS) == pytest.approx(1.0, abs=1e-9)
    assert (after["L1"], after["TT"]) == (weights["L1"], weights["TT"])
    for layer in ("L2", "L3"):
        assert weights[layer] <= after[layer] <= max(weights[layer], 0.40)
        assert after[layer] == pytest.approx(weights[layer] * engaged.multiplier, abs=1e-9)
    assert after["R"] >= min(weights["R"], reserve) - 1e-9
    assert deployed(after) <= max(deployed(weights), gross) + 1e-9
    added = sum((after[layer] - weights[layer]) * losses[layer] for layer in ("L2", "L3"))
    assert added <= RULES.loss_max + 1e-9
    if engaged.multiplier == 1.0:
        assert after == weights


@pytest.mark.parametrize("state", ["moderate", "elevated"])
def test_the_caps_take_nothing_back_of_it(state: Any) -> None:
    posture = HEDGE.postures["promoter"]
    engaged = engage(RULES, "promoter", True, base(HEDGE, state), losses=NONE_LOST, **BOUNDS)
    capped = cap(HEDGE, posture, state, engaged.weights)
    assert all(capped[layer] == pytest.approx(engaged.weights[layer], abs=1e-9) for layer in LAYERS)


def test_impossible_rules_and_losses_are_refused() -> None:
    impossible: list[tuple[dict[str, Any], str]] = [
        ({"most": {"steward": 0.9}}, "the multiplier of steward must be at least 1, got 0.9"),
        ({"on": 0.9}, "off must be at most on, got 1 and 0.9"),
        ({"off": 0.0}, r"off\s+Input should be greater than 0"),
        ({"loss_max": -0.1}, r"loss_max\s+Input should be greater than or equal to 0"),
        ({"on": math.nan}, r"on\s+Value error, expected a finite number"),
        ({"most": {"promoter": math.inf}}, r"most\.promoter\s+Value error, expected a finite number"),
    ]
    for rules, words in impossible:
        with pytest.raises(ValueError, match=words):
            EngineRules(**rules)
    for bad in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="loss of L3"):
            engage(RULES, "promoter", True, base(HEDGE, "moderate"), losses={"L2": 0.1, "L3": bad}, **BOUNDS)
