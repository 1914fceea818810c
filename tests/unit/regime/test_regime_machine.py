"""The state machine against a literal transcription of its definition, by hand, and by property."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.regime import Decision, Memory, RegimeInputs, decide_close, decide_mark
from topics.calibration import Floors, RegimeRules
from topics.message import STATES, State

RULES = RegimeRules()


# The oracle: section "Regime definition", transcribed with its numbers, knowing nothing of the code under test.


def _interpolate(x: float, anchors: list[float]) -> float:
    marks = [0, 25, 50, 75, 100]
    if x <= anchors[0]:
        return 0.0
    if x >= anchors[4]:
        return 100.0
    for i in range(4):
        if anchors[i] <= x <= anchors[i + 1]:
            share = (x - anchors[i]) / (anchors[i + 1] - anchors[i])
            return marks[i] + share * (marks[i + 1] - marks[i])
    raise AssertionError


def _score(i: RegimeInputs, modifier: float) -> float:
    table = [
        (i.vix, 0.45, [10, 15, 20, 30, 45]),
        (i.ratio, 0.25, [0.80, 0.88, 0.95, 1.05, 1.20]),
        (i.rv21, 0.20, [6, 10, 16, 25, 40]),
        (i.vvix, 0.10, [75, 85, 100, 120, 150]),
    ]
    present = [(x, w, a) for x, w, a in table if x is not None]
    core = sum(w * _interpolate(x, a) for x, w, a in present) / sum(w for _, w, _ in present)
    return min(100.0, max(0.0, core + modifier))


@dataclass
class Oracle:
    state: int | None = None
    below: int = 0

    def close(self, i: RegimeInputs, modifier: float) -> None:
        if i.vix is None:
            return
        s = _score(i, modifier)

        def cuts(x: float) -> int:
            x = round(x, 9)
            return int(x >= 27.5) + int(x >= 47.5) + int(x >= 70)

        ratio, change = i.ratio, i.vix_change
        floor = 0
        if i.vix >= 17:
            floor = 1
        if i.vix >= 22 or (i.vix >= 18 and ratio is not None and ratio >= 1.00):
            floor = 2
        if (
            i.vix >= 30
            or (i.vix >= 20 and ratio is not None and ratio >= 1.10)
            or (i.vix >= 25 and change is not None and change >= 0.40)
        ):
            floor = 3
        cap = 0 if ratio is None or ratio < 0.95 else 1

        raw = max(cuts(s), floor)
        if i.vix < 13:
            raw = min(raw, cap)
        if self.state is None:
            self.state, self.below = raw, 0
        elif raw > self.state:
            up = max(cuts(s - 4), floor)
            if i.vix < 13:
                up = min(up, cap)
            if up > self.state:
                self.state = up
            self.below = 0
        elif raw < self.state:
            if max(cuts(s + 4), floor) < self.state:
                self.below += 1
            else:
                self.below = 0
            if self.below == 3:
                self.state -= 1
                self.below = 0
        else:
            self.below = 0


def _opt(low: float, high: float) -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(low, high).map(lambda x: round(x, 3))


#: Days near the boundaries, where mistakes would be, and days anywhere.
vixes = st.sampled_from([12.9, 13.0, 16.9, 17.0, 18.0, 19.9, 20.0, 21.9, 22.0, 25.0, 29.9, 30.0]) | st.floats(
    9, 80
).map(lambda x: round(x, 2))
inputs = st.builds(
    RegimeInputs,
    vix=st.none() | vixes | vixes | vixes,
    vix_change=st.sampled_from([None, 0.4, 0.399]) | _opt(-0.4, 1.2),
    ratio=st.sampled_from([None, 0.95, 0.949, 1.0, 1.1, 1.099]) | _opt(0.7, 1.4),
    rv21=_opt(3, 60),
    vvix=_opt(65, 180),
    inverted=st.none() | st.booleans(),
)
modifiers = st.just(0.0) | st.floats(-10, 10).map(lambda x: round(x, 3))
days = st.lists(st.tuples(inputs, modifiers), min_size=1, max_size=60)


def _run(
    sequence: list[tuple[RegimeInputs, float]], rules: RegimeRules = RULES
) -> list[tuple[Memory, Decision | None]]:
    memory, seen = Memory(), []
    for day, modifier in sequence:
        decision = decide_close(rules, memory, day, modifier)
        seen.append((memory, decision))
        if decision is not None:
            memory = decision.memory
    return seen


@given(days)
@settings(max_examples=400, deadline=None)
@example([(RegimeInputs(vix=12.5, ratio=0.94, rv21=40, vvix=150), 10.0)] * 5)
def test_as_defined(sequence: list[tuple[RegimeInputs, float]]) -> None:
    oracle = Oracle()
    for (day, modifier), (_, decision) in zip(sequence, _run(sequence), strict=True):
        oracle.close(day, modifier)
        if decision is None:
            assert oracle.state is None
            continue
        assert oracle.state is not None
        assert decision.memory == Memory(STATES[oracle.state], oracle.below)
        assert decision.state == decision.memory.state
        if day.vix is not None:
            assert decision.score == pytest.approx(_score(day, modifier), abs=1e-9)


@given(days)
@settings(max_examples=200, deadline=None)
def test_down_by_one_step_after_three_sessions_up_at_once(sequence: list[tuple[RegimeInputs, float]]) -> None:
    since_change = 0
    for (day, _), (memory, decision) in zip(sequence, _run(sequence), strict=True):
        if decision is None or memory.state is None:
            continue
        since_change += 1
        before, after = STATES.index(decision.state_prev), STATES.index(decision.state)
        assert after >= before - 1
        if after < before:
            assert since_change >= 3
        for name in decision.floors_hit:
            floor = STATES.index(name.split(":")[0])  # type: ignore[arg-type]
            assert after >= floor or (day.vix is not None and day.vix < 13)
        if after != before:
            since_change = 0


@given(inputs, modifiers, st.sampled_from(STATES), st.integers(0, 2), st.data())
@settings(max_examples=400, deadline=None)
def test_higher_inputs_never_give_a_lower_state(
    day: RegimeInputs, modifier: float, state: State, below: int, data: st.DataObject
) -> None:
    if day.vix is None:
        return
    more = {
        name: getattr(day, name) + data.draw(st.floats(0, 20).map(lambda x: round(x, 3)))
        for name in ("vix", "vix_change", "ratio", "rv21", "vvix")
        if getattr(day, name) is not None
    }
    memory = Memory(state, below)
    one, other = decide_close(RULES, memory, day, modifier), decide_close(RULES, memory, replace(day, **more), modifier)
    assert one is not None
    assert other is not None
    assert other.score is not None
    assert one.score is not None
    assert other.score >= one.score
    assert STATES.index(other.state) >= STATES.index(one.state)


def test_there_is_no_state_before_a_session_with_vix() -> None:
    assert decide_close(RULES, Memory(), RegimeInputs(ratio=0.9)) is None
    assert decide_mark(RULES, Memory(), RegimeInputs(vix=40), 0.0, "high") is None


def test_the_first_session_takes_the_raw_state() -> None:
    decision = decide_close(RULES, Memory(), RegimeInputs(vix=24, ratio=1.02))
    assert decision is not None
    assert (decision.state_prev, decision.state, decision.raw) == ("elevated", "elevated", "elevated")
    assert decision.memory == Memory("elevated", 0)


def test_an_up_move_by_score_must_clear_its_cut_by_the_margin() -> None:
    # VIX alone: 15.5 scores 27.5 points, 16.3 scores 31.5.
    at_cut = decide_close(RULES, Memory("low"), RegimeInputs(vix=15.5))
    assert at_cut is not None
    assert (at_cut.raw, at_cut.state, at_cut.score) == ("moderate", "low", 27.5)
    cleared = decide_close(RULES, Memory("low"), RegimeInputs(vix=16.3))
    assert cleared is not None
    assert (cleared.state, cleared.score) == ("moderate", 31.5)


def test_a_failed_up_move_still_ends_the_dwell() -> None:
    # Elevated, two sessions below; VIX 28 scores 70 = high by cuts but not by the margin.
    decision = decide_close(RULES, Memory("elevated", 2), RegimeInputs(vix=28))
    assert decision is not None
    assert (decision.raw, decision.memory) == ("high", Memory("elevated", 0))


def test_floors_act_without_margin_and_over_any_number_of_steps() -> None:
    decision = decide_close(RULES, Memory("low", 2), RegimeInputs(vix=30))
    assert decision is not None
    assert decision.memory == Memory("high", 0)


def test_down_takes_three_sessions_each_step_and_one_that_does_not_speak_for_it_starts_anew() -> None:
    calm, memory = RegimeInputs(vix=11, ratio=0.82, rv21=6, vvix=80), Memory("high")
    walk = []
    for _ in range(9):
        decision = decide_close(RULES, memory, calm)
        assert decision is not None
        memory = decision.memory
        walk.append((memory.state, memory.below))
    assert walk == [
        ("high", 1), ("high", 2), ("elevated", 0),
        ("elevated", 1), ("elevated", 2), ("moderate", 0),
        ("moderate", 1), ("moderate", 2), ("low", 0),
    ]  # fmt: skip
    again = decide_close(RULES, Memory("high", 2), RegimeInputs(vix=31))
    assert again is not None
    assert again.memory == Memory("high", 0)


def test_down_needs_the_margin_too() -> None:
    # Moderate; VIX 14.9 scores 24.5: low by cuts, yet 28.5 with the margin is not.
    decision = decide_close(RULES, Memory("moderate", 2), RegimeInputs(vix=14.9))
    assert decision is not None
    assert (decision.raw, decision.memory) == ("low", Memory("moderate", 0))
    lower = decide_close(RULES, Memory("moderate", 2), RegimeInputs(vix=14.6))
    assert lower is not None
    assert lower.memory == Memory("low", 0)


def test_without_vix_everything_is_held() -> None:
    for decide in (
        lambda: decide_close(RULES, Memory("elevated", 2), RegimeInputs(ratio=1.2, rv21=50), 3.0),
        lambda: decide_mark(RULES, Memory("elevated", 2), RegimeInputs(ratio=1.2, rv21=50), 3.0, "high"),
    ):
        decision = decide()
        assert decision is not None
        assert decision.held
        assert decision.memory == Memory("elevated", 2)
        assert (decision.state, decision.raw, decision.score, decision.core_score) == ("elevated", None, None, None)
        assert (decision.parts, decision.floors_hit, decision.cap) == ({}, (), None)


def test_a_mark_moves_only_to_what_the_fast_path_confirmed() -> None:
    storm = RegimeInputs(vix=45, ratio=1.3, rv21=50, vvix=160)
    waiting = decide_mark(RULES, Memory("low", 2), storm, 0.0, None)
    assert waiting is not None
    assert (waiting.state, waiting.raw, waiting.memory) == ("low", "high", Memory("low", 2))
    up = decide_mark(RULES, Memory("low", 2), storm, 0.0, "elevated")
    assert up is not None
    assert (up.state_prev, up.state, up.memory) == ("low", "elevated", Memory("elevated", 0))
    never_down = decide_mark(RULES, Memory("high", 1), RegimeInputs(vix=11), 0.0, "low")
    assert never_down is not None
    assert never_down.memory == Memory("high", 1)


@given(inputs, modifiers, st.sampled_from(STATES), st.integers(0, 2), st.none() | st.sampled_from(STATES))
@settings(max_examples=200, deadline=None)
def test_marks_commit_nothing_but_an_up_move(
    day: RegimeInputs, modifier: float, state: State, below: int, confirmed: State | None
) -> None:
    memory = Memory(state, below)
    decision = decide_mark(RULES, memory, day, modifier, confirmed)
    assert decision is not None
    if decision.state == state:
        assert decision.memory == memory
    else:
        assert STATES.index(state) < STATES.index(decision.state)
        assert decision.state == confirmed or decision.state == decision.cap
        assert decision.memory == Memory(decision.state, 0)


def test_the_modifier_is_bounded() -> None:
    decision = decide_close(RULES, Memory("low"), RegimeInputs(vix=10), 99.0)
    assert decision is not None
    assert (decision.modifier, decision.score, decision.core_score) == (10.0, 10.0, 0.0)
    with pytest.raises(ValueError, match="finite"):
        decide_close(RULES, Memory("low"), RegimeInputs(vix=10), float("nan"))


def test_inversion_is_a_floor_only_when_switched_on() -> None:
    day = RegimeInputs(vix=18, ratio=0.97, inverted=True)
    switched = RegimeRules(floors=Floors(elevated_inversion=True))
    off, on = decide_close(RULES, Memory("low"), day), decide_close(switched, Memory("low"), day)
    assert off is not None
    assert on is not None
    assert (off.state, on.state) == ("moderate", "elevated")
    assert "elevated:vix>=18&inverted" in on.floors_hit
    missing = decide_close(switched, Memory("low"), replace(day, inverted=None))
    assert missing is not None
    assert missing.state == "moderate"
