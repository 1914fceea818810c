"""Dying at a named point: what the log in memory offers to tests of a restart."""

from __future__ import annotations

from typing import Final

#: The points at which a member could die, in the order of its life. ``commit:after_outputs``: outputs and positions are
#: in the open transaction, which is not committed. ``commit:after``: committed, and the member never learns it.
#: ``read``: before each record of a restore.
POINTS: Final = (
    "join",
    "poll",
    "poll:after",
    "read",
    "read:after",
    "committed",
    "beginning",
    "seek",
    "send:before",
    "send:after",
    "commit:before",
    "commit:after_outputs",
    "commit:after",
    "end",
    "end:after",
)


class Crash(BaseException):
    """The process died at a named point. Not an Exception, so that nothing between it and the test handles it."""


class CrashPlan:
    """Counts the points at which a member could die, and lets it die at one of them.

    Run once with ``CrashPlan()`` and look at :attr:`points`; then once for each ``k in range(len(points))`` with
    ``CrashPlan(k)``. The plan crashes once; what comes after it (the restart) runs through.

    Attributes:
        points: names of the points reached so far, in order; each is one of :data:`POINTS`.
        at: index into ``points`` at which to crash; None for never.
    """

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.points: list[str] = []

    def reach(self, point: str) -> None:
        """Pass ``point``, or die there."""
        index = len(self.points)
        self.points.append(point)
        if index == self.at:
            raise Crash(f"{point} (point {index})")
