"""The fast path: between closes a floor lifts the state only after it has held for some event time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from topics.times import SECOND

#: Levels above low: moderate, elevated, high.
LEVELS: Final = 3


class FastPath:
    """How long each floor has held, on fresh VIX quotes alone.

    A level is confirmed once its floor was there at every fresh mark from its first one on, and the latest fresh mark
    is at least ``seconds`` of event time after that first one. It follows that a single print confirms nothing, however
    long it stands: a mark without a new VIX quote is not fresh and counts for nothing. A gap of more than
    ``max_gap_seconds`` (default: five times ``seconds``) between two fresh marks starts all levels anew, as nobody
    knows what VIX did in between.
    """

    __slots__ = ("_gap", "_last", "_need", "_since")

    def __init__(self, seconds: float, max_gap_seconds: float | None = None) -> None:
        gap = 5 * seconds if max_gap_seconds is None else max_gap_seconds
        if not 0 < seconds <= gap:
            raise ValueError(f"seconds must be above 0 and at most the gap, got {seconds!r} and {gap!r}")
        self._need = round(seconds * SECOND)
        self._gap = round(gap * SECOND)
        self.reset()

    def reset(self) -> None:
        """Forget every mark."""
        self._last: int | None = None
        self._since: list[int | None] = [None] * LEVELS

    def update(self, ts_ns: int, floor: int, fresh: bool) -> int:
        """The level confirmed at this mark, 0 (none) to 3 (high).

        ``floor`` is the highest level whose floor holds now. ``fresh``: a VIX quote has arrived since the last counted
        mark. A mark that is not fresh, or not later than the last counted one, neither confirms nor resets: it finds
        what the last counted mark found, as long as that is not further back than the gap.
        """
        if not 0 <= floor <= LEVELS:
            raise ValueError(f"a floor is 0 to {LEVELS}, got {floor}")
        behind = None if self._last is None else ts_ns - self._last
        if not fresh or (behind is not None and behind <= 0):
            return 0 if behind is None or behind > self._gap else self._confirmed()
        if behind is not None and behind > self._gap:
            self.reset()
        for index in range(LEVELS):
            if floor <= index:
                self._since[index] = None
            elif self._since[index] is None:
                self._since[index] = ts_ns
        self._last = ts_ns
        return self._confirmed()

    def _confirmed(self) -> int:
        last = self._last
        if last is None:
            return 0
        held = (i + 1 for i, since in enumerate(self._since) if since is not None and last - since >= self._need)
        return max(held, default=0)

    def snapshot(self) -> dict[str, object]:
        """The state as JSON-able values; times in ns."""
        return {"last": self._last, "since": list(self._since)}

    def restore(self, snapshot: Mapping[str, object]) -> None:
        """Take back what :meth:`snapshot` gave; ValueError when it is malformed."""
        last, since = snapshot.get("last"), snapshot.get("since")
        if not isinstance(since, list) or len(since) != LEVELS:
            raise ValueError(f"the fast path's snapshot needs {LEVELS} times under 'since', got {since!r}")
        self._last = _time(last)
        self._since = [_time(each) for each in since]


def _time(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ValueError(f"expected a time in ns or nothing, got {value!r}")
