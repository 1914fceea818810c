"""The no-trade band and partial adjustment: between "always rebalance" and "never".

Inside the band around the aim a layer is held. Outside of it, part of the gap beyond the band is traded once a session,
after Garleanu and Pedersen (Journal of Finance 68, 2013), for whom trading a constant share of the way towards an aim
is optimal under costs.
"""

from __future__ import annotations

from datetime import date

from pydantic import Field

from processors.hedge.weights import EPSILON
from topics.message import Day, Number, Record, tidy


class Step(Record):
    """A layer's move of one session: from ``anchor`` towards ``aim``, as far as ``target``; fractions of H."""

    session_date: Day = Field(description="session that the step belongs to")
    anchor: Number = Field(description="weight held when the step was decided")
    aim: Number = Field(description="weight aimed at")
    target: Number = Field(description="weight that the step leads to")

    @property
    def moved(self) -> bool:
        """Whether the step asks for any change."""
        return abs(self.target - self.anchor) > EPSILON


def partial(held: float, aim: float, band: float, pace: float) -> float:
    """``held`` when the aim is within the band, else moved by ``pace`` x (gap less band) towards the aim.

    With pace 1 that is the near edge of the band around the aim.
    """
    gap = aim - held
    if abs(gap) <= band + EPSILON:
        return held
    return held + pace * (gap - band if gap > 0 else gap + band)


def into(held: float, aim: float, band: float, hard: tuple[float, float]) -> float:
    """Where a layer outside of its hard band goes at once: to the no-trade band's edge, and inside the hard one."""
    return min(max(partial(held, aim, band, 1.0), hard[0]), hard[1])


def outside(weight: float, hard: tuple[float, float] | None) -> bool:
    """Whether a weight is outside of a hard band; never when there is none."""
    return hard is not None and not hard[0] - EPSILON <= weight <= hard[1] + EPSILON


def standing(
    last: Step | None, session_date: date, held: float, aim: float, band: float, hard: tuple[float, float] | None
) -> bool:
    """Whether the session's step so far still stands, so that looking again in the same session moves nothing further.

    It does while session and aim are the same and what is held lies, give or take the band, between where the step
    began and where it leads: not yet filled, partly filled, or filled and drifted a little. It does not when what is
    held has left its hard band since.
    """
    if last is None or not last.moved or last.session_date != session_date or abs(last.aim - aim) > EPSILON:
        return False
    if outside(held, hard) and not outside(last.anchor, hard):
        return False
    low, high = sorted((last.anchor, last.target))
    return low - band - EPSILON <= held <= high + band + EPSILON


def step(
    last: Step | None,
    session_date: date,
    held: float,
    aim: float,
    band: float,
    pace: float,
    hard: tuple[float, float] | None = None,
) -> Step:
    """The layer's step in this session: the one that stands, or a new one from what is held now.

    ``hard``: band that the target must lie in whatever the no-trade band and the pace say.
    """
    if last is not None and standing(last, session_date, held, aim, band, hard):
        return last
    if hard is not None and outside(held, hard):
        target = into(held, aim, band, hard)
    else:
        target = partial(held, aim, band, pace)
    return Step(session_date=session_date, anchor=tidy(held), aim=tidy(aim), target=tidy(target))
