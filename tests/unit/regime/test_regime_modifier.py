"""The secondary modifier: directions, decay, bounds, and how little it can do to the state."""

from __future__ import annotations

import math
from random import Random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.regime import RegimeInputs
from processors.regime.machine import Memory, decide_close, decide_mark
from processors.regime.modifier import DIRECTIONS, modifier
from processors.signals.acting import Acting
from topics.calibration import ChainPart, ModifierRules, RegimeRules
from topics.message import STATES

RULES = ModifierRules()
NAMES = sorted(DIRECTIONS)
CHAIN = set(get_args(ChainPart))

zs = st.floats(-50, 50)
acting = st.lists(
    st.builds(Acting, st.sampled_from(NAMES), zs, st.integers(0, 300)), max_size=20, unique_by=lambda part: part.name
)
maybe = st.none()
inputs = st.builds(
    RegimeInputs,
    vix=st.floats(9, 80),
    vix_change=maybe | st.floats(-0.5, 1.2),
    ratio=maybe | st.floats(0.7, 1.4),
    rv21=maybe | st.floats(3, 90),
    vvix=maybe | st.floats(60, 200),
)


@pytest.mark.parametrize(
    ("name", "z", "points"),
    [
        ("cpi", 2.0, 2.0),  # hotter than expected: 2 x 1.0
        ("cpi", -2.0, 0.5),  # cooler: a quarter of 2 x 1.0
        ("ppi", 2.0, 1.0),
        ("fomc", -1.0, 0.25),
        ("gdp", -2.0, 1.0),  # revised down: -2 x -0.5
        ("gdp", 2.0, -1.0),
        ("reer", 1.0, 0.5),
        ("rate_differential", 1.0, 0.5),
        ("rate_differential", -1.0, 0.0),  # only a rising one counts
        ("cash_quality", -2.0, 1.0),  # either way
        ("advance_decline", -2.0, 3.0),
        ("divergence", 1.0, 1.0),
        ("bear_steepening", 1.0, 1.5),
        ("rsi", 2.0, 1.0),  # an RSI of 30
        ("ipo", 2.0, 0.5),  # froth
        ("ipo", -2.0, 0.25),  # a shut window, at half of it
        ("dex_iv_spread", 2.0, 1.0),
        ("amm_depth", -2.0, 0.5),
        ("ido", 2.0, 0.2),
        ("cpi", 9.0, 3.0),  # held at three standard deviations
        ("cpi", -100.0, 3.0),  # a quarter of 100 is held at three as well
    ],
)
def test_each_part_counts_in_its_own_direction(name: str, z: float, points: float) -> None:
    found = modifier(RULES, [Acting(name, z)])  # type: ignore[arg-type]
    assert found.value == pytest.approx(points, abs=1e-12)
    assert found.parts[name].points == found.value


@pytest.mark.parametrize(
    ("name", "age", "left"),
    [("cpi", 0, 1.0), ("cpi", 5, 0.5), ("ppi", 10, 0.25), ("reer", 21, 0.5), ("cash_quality", 42, 0.25), ("rsi", 7, 1)],
)
def test_a_release_loses_half_in_five_sessions_and_a_monthly_figure_in_twenty_one(
    name: str, age: int, left: float
) -> None:
    part = modifier(RULES, [Acting(name, 1.0, age)]).parts[name]  # type: ignore[arg-type]
    assert part.decay == left
    assert part.points == pytest.approx(part.value * part.weight * left)
    assert part.age == age


def test_a_part_of_which_nothing_is_left_is_gone() -> None:
    assert modifier(RULES, [Acting("cpi", 3.0, 33)]).parts["cpi"].decay > 0.01
    assert modifier(RULES, [Acting("cpi", 3.0, 34)]).parts == {}


def test_a_part_without_a_weight_does_not_count() -> None:
    rules = ModifierRules(weights={"cpi": 1.0, "ppi": 0.0})
    found = modifier(rules, [Acting("ppi", 3.0), Acting("fomc", 3.0), Acting("cpi", 1.0)])
    assert (found.value, set(found.parts)) == (1.0, {"cpi"})


def test_nothing_that_acts_is_no_modifier() -> None:
    assert modifier(RULES, []) == modifier(ModifierRules(weights={}), [Acting("cpi", 3.0)])
    assert modifier(RULES, []).value == 0.0


@given(acting)
@settings(max_examples=400)
def test_it_is_the_sum_of_its_parts_within_both_bounds_whatever_acts(parts: list[Acting]) -> None:
    found = modifier(RULES, parts)
    assert abs(found.value) <= 10
    assert found.value == pytest.approx(sum(part.points for part in found.parts.values()), abs=1e-9)
    assert abs(sum(part.points for name, part in found.parts.items() if name in CHAIN)) <= 2 + 1e-9
    for name, part in found.parts.items():
        assert math.isfinite(part.points)
        assert abs(part.value) <= 3
        # A bound makes a part smaller, never larger and never of the other sign.
        whole = part.value * part.weight * part.decay
        assert abs(part.points) <= abs(whole) + 1e-9, name
        assert part.points * whole >= 0


@given(acting, st.randoms())
def test_the_order_of_the_parts_is_nothing(parts: list[Acting], random: Random) -> None:
    shuffled = random.sample(parts, len(parts))
    assert modifier(RULES, parts) == modifier(RULES, shuffled)


@given(inputs, st.none() | st.sampled_from(STATES), st.integers(0, 2), acting)
@settings(max_examples=600)
def test_it_moves_the_state_to_a_neighbour_at_most(
    now: RegimeInputs, state: str | None, below: int, parts: list[Acting]
) -> None:
    rules, memory = RegimeRules(), Memory(state, below)  # type: ignore[arg-type]
    moved = decide_close(rules, memory, now, modifier(RULES, parts).value)
    alone = decide_close(rules, memory, now)
    assert moved is not None
    assert alone is not None
    assert abs(STATES.index(moved.state) - STATES.index(alone.state)) <= 1
    assert moved.raw is not None
    assert alone.raw is not None
    assert abs(STATES.index(moved.raw) - STATES.index(alone.raw)) <= 1


@given(inputs, st.none() | st.just("low"), acting)
@settings(max_examples=600)
def test_it_never_makes_high_of_low(now: RegimeInputs, state: str | None, parts: list[Acting]) -> None:
    memory = Memory(state)  # type: ignore[arg-type]
    alone = decide_close(RegimeRules(), memory, now)
    assert alone is not None
    if alone.state == "low":
        moved = decide_close(RegimeRules(), memory, now, modifier(RULES, parts).value)
        assert moved is not None
        assert moved.state in ("low", "moderate")


@given(inputs, st.sampled_from(STATES), acting, st.none() | st.sampled_from(STATES[1:]))
def test_between_closes_it_moves_nothing(
    now: RegimeInputs, state: str, parts: list[Acting], confirmed: str | None
) -> None:
    memory = Memory(state)  # type: ignore[arg-type]
    value = modifier(RULES, parts).value
    moved = decide_mark(RegimeRules(), memory, now, value, confirmed)  # type: ignore[arg-type]
    alone = decide_mark(RegimeRules(), memory, now, 0.0, confirmed)  # type: ignore[arg-type]
    assert moved is not None
    assert alone is not None
    assert moved.state == alone.state
    assert moved.modifier == value
