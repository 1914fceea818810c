"""The state machine: up at once, down one step after a dwell.

Late hedging costs more than late unwinding. So a higher state takes force in the session that speaks for it, though its
score must clear the cut by a margin (floors act without one); a lower state must be spoken for, with the same margin,
by some committed sessions in a row, and then the state goes down by one step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from processors.regime.floors import cap_level, floor_level, floors_hit
from processors.regime.inputs import RegimeInputs
from processors.regime.score import core_score
from topics.calibration import RegimeRules
from topics.message import STATES, State, tidy
from topics.regime import ScorePart

#: The secondary modifier moves the score by no more than this many points.
MODIFIER_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What the machine remembers: the state in force (None before the first committed session) and the dwell so far."""

    state: State | None = None
    below: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision with its evidence.

    Attributes:
        memory: what to remember from now on.
        state_prev: state in force before; equal to ``state`` at the first committed session.
        state: state in force after.
        raw: state by cuts, floors and cap alone; None when held.
        score: core score and modifier, 0 to 100; None when held.
        core_score: the score without the modifier; None when held.
        modifier: secondary modifier, score points, within +-10.
        parts: what each feature present contributed; empty when held.
        floors_hit: names of the floors whose condition holds.
        cap: the state that a very low VIX caps the regime at.
        held: True when the state was held because VIX is missing.
    """

    memory: Memory
    state_prev: State
    state: State
    raw: State | None
    score: float | None
    core_score: float | None
    modifier: float
    parts: Mapping[str, ScorePart]
    floors_hit: tuple[str, ...]
    cap: State | None
    held: bool


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the inputs say, whatever the state: levels are 0 (low) to 3 (high)."""

    core: float
    score: float
    parts: Mapping[str, ScorePart]
    floor: int
    names: tuple[str, ...]
    cap: int | None

    def capped(self, level: int) -> int:
        return level if self.cap is None else min(level, self.cap)


def decide_close(rules: RegimeRules, memory: Memory, inputs: RegimeInputs, modifier: float = 0.0) -> Decision | None:
    """The decision of a committed session; None when there is no state yet and VIX is missing."""
    reading = _read(rules, inputs, modifier)
    if reading is None:
        return None if memory.state is None else _held(memory, memory.state, modifier)
    raw = reading.capped(max(_cuts(rules, reading.score), reading.floor))
    if memory.state is None:
        return _decision(reading, Memory(STATES[raw], 0), STATES[raw], raw, modifier)
    state, below = STATES.index(memory.state), memory.below
    if raw > state:
        state = max(state, reading.capped(max(_cuts(rules, reading.score - rules.margin), reading.floor)))
        below = 0
    elif raw < state:
        lower = max(_cuts(rules, reading.score + rules.margin), reading.floor) < state
        below = below + 1 if lower else 0
        if below >= rules.dwell:
            state, below = state - 1, 0
    else:
        below = 0
    return _decision(reading, Memory(STATES[state], below), memory.state, raw, modifier)


def decide_mark(
    rules: RegimeRules, memory: Memory, inputs: RegimeInputs, modifier: float, confirmed: State | None
) -> Decision | None:
    """The provisional decision between two closes; None while no session has been committed.

    The state only goes up, and only to ``confirmed``: the floor that the fast path has seen hold. The dwell counts
    committed sessions alone, so ``below`` stays as it is unless the state moved, which sets it to 0. ``raw`` and
    ``score`` are the evidence of this instant and move nothing.
    """
    if memory.state is None:
        return None
    reading = _read(rules, inputs, modifier)
    if reading is None:
        return _held(memory, memory.state, modifier)
    raw = reading.capped(max(_cuts(rules, reading.score), reading.floor))
    up = 0 if confirmed is None else reading.capped(STATES.index(confirmed))
    after = Memory(STATES[up], 0) if up > STATES.index(memory.state) else memory
    return _decision(reading, after, memory.state, raw, modifier)


def _cuts(rules: RegimeRules, score: float) -> int:
    """How many cuts the score reaches: 0 (low) to 3 (high)."""
    rounded = tidy(score)
    return sum(rounded >= cut for cut in rules.cuts)


def _read(rules: RegimeRules, inputs: RegimeInputs, modifier: float) -> _Reading | None:
    core = core_score(rules.score, inputs)
    if core is None:
        return None
    score = min(max(tidy(core.value + _bounded(modifier)), 0.0), 100.0)
    hits = floors_hit(rules.floors, inputs)
    names = tuple(hit.name for hit in hits)
    return _Reading(core.value, score, core.parts, floor_level(hits), names, cap_level(rules, inputs))


def _bounded(modifier: float) -> float:
    if not math.isfinite(modifier):
        raise ValueError(f"the modifier must be a finite number, got {modifier!r}")
    return tidy(min(max(modifier, -MODIFIER_MAX), MODIFIER_MAX))


def _held(memory: Memory, state: State, modifier: float) -> Decision:
    return Decision(memory, state, state, None, None, None, _bounded(modifier), {}, (), None, held=True)


def _decision(reading: _Reading, memory: Memory, before: State, raw: int, modifier: float) -> Decision:
    return Decision(
        memory=memory,
        state_prev=before,
        state=memory.state or before,
        raw=STATES[raw],
        score=reading.score,
        core_score=reading.core,
        modifier=_bounded(modifier),
        parts=reading.parts,
        floors_hit=reading.names,
        cap=None if reading.cap is None else STATES[reading.cap],
        held=False,
    )
