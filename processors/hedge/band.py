"""The no-trade band and partial adjustment: between "always rebalance" and "never".

Inside the band around the aim a layer is held. Outside of it, part of the gap beyond the band is traded once a session,
after Garleanu and Pedersen (Journal of Finance 68, 2013), for whom trading a constant share of the way towards an aim
is optimal under costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import Field

from processors.hedge.weights import EPSILON
from topics.message import Day, Number, Record


class Step(Record):
    """A layer's move of one session: from what was held towards what was advised, in contracts.

    It stands while session, what decided it and H are the same and what is held lies between the two, contract by
    contract: not yet filled, partly filled, or filled. So looking again in the same session moves nothing further,
    whatever prices have done since; only what has left its hard band since, or what has to go since, is decided anew.
    What had to go and is gone was part of the step.
    """

    session_date: Day = Field(description="session that the step belongs to")
    key: str = Field(description="what decided it: state, aim, and what may not be added to")
    goes: tuple[str, ...] = Field(default=(), description="what had to go when it was decided, and why")
    outside: bool = Field(description="whether what was held was outside of its hard band")
    h: Number = Field(description="H that it was sized by, USD")
    held: dict[str, int] = Field(description="contracts held when it was decided, by symbol")
    advised: dict[str, int] = Field(description="contracts that it leads to, by symbol")


def stands(last: Step | None, step: Step, h_tolerance: float) -> bool:
    """Whether the session's step so far stands against one that would begin from what ``step`` says is held."""
    if last is None or last.session_date != step.session_date or last.key != step.key:
        return False
    if (step.outside and not last.outside) or not set(step.goes) <= set(last.goes):
        return False
    if abs(step.h - last.h) > h_tolerance * last.h:
        return False
    return all(_between(symbol, last, step.held) for symbol in {*last.held, *last.advised, *step.held})


def _between(symbol: str, last: Step, held: Mapping[str, int]) -> bool:
    low, high = sorted((last.held.get(symbol, 0), last.advised.get(symbol, 0)))
    return low <= held.get(symbol, 0) <= high


@dataclass(frozen=True, slots=True)
class Pace:
    """How a layer moves.

    Attributes:
        band: no-trade band around the aim, fraction of H.
        pace: share of the gap beyond it that is traded in a session.
        step_min: least step, fraction of H: a smaller excess beyond the band is left as it is.
        unit: weight of one contract. A step up is at least one, unless that would lead beyond the aim, so that a
            portfolio of few contracts does not stand still outside of its band.
    """

    band: float
    pace: float
    step_min: float = 0.0
    unit: float = 0.0


def partial(held: float, aim: float, pace: Pace) -> float:
    """``held`` when the aim is within the band, else moved by ``pace`` x (gap less band) towards the aim.

    With pace 1 that is the near edge of the band around the aim. An aim of 0 has no band: what is left is closed.
    """
    gap = aim - held
    if aim <= EPSILON:
        return held * (1.0 - pace.pace) if held > max(pace.unit, pace.step_min) + EPSILON else min(held, 0.0)
    excess = abs(gap) - pace.band
    if excess <= max(EPSILON, pace.step_min - EPSILON):
        return held
    moved = max(pace.pace * excess, min(pace.step_min, excess))
    if gap < 0:
        return held - moved
    return held + (max(moved, pace.unit) if pace.unit <= gap + EPSILON else moved)


def into(held: float, aim: float, pace: Pace, hard: tuple[float, float]) -> float:
    """Where a layer outside of its hard band goes at once: to the no-trade band's edge, and inside the hard one."""
    return min(max(partial(held, aim, replace(pace, pace=1.0, step_min=0.0)), hard[0]), hard[1])


def outside(weight: float, hard: tuple[float, float] | None) -> bool:
    """Whether a weight is outside of a hard band; never when there is none."""
    return hard is not None and not hard[0] - EPSILON <= weight <= hard[1] + EPSILON


def target(held: float, aim: float, pace: Pace, hard: tuple[float, float] | None = None) -> float:
    """The weight that a layer's step leads to.

    ``hard``: band that the target must lie in whatever the no-trade band and the pace say.
    """
    if hard is not None and outside(held, hard):
        return into(held, aim, pace, hard)
    return partial(held, aim, pace)
