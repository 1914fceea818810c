"""Where an observation stands among those of the trailing sessions."""

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping
from typing import Self

from processors.signals._reading import read_floats, read_int, read_optional_float
from processors.signals.statistic import Json, at_least, finite


class TrailingWindow:
    """The last `sessions` committed observations, with exact order statistics.

    The trailing window of a session **excludes that session**: `value` is the share of the `sessions` observations
    *before* the last one that lie strictly below it, and `peek(x)` is the same share for a next observation `x`. With
    the session itself inside, a new extreme would be compared with itself.

    `quantile` and `median` describe what has been committed so far, hence the trailing window of the *next* session.
    Everything is None with fewer than `minimum` observations; by default the window must be full.

    A sorted copy is kept beside the ring, so a query costs O(log n) and nothing is ever approximated.
    """

    __slots__ = ("_minimum", "_ring", "_sessions", "_sorted", "_value")

    def __init__(self, sessions: int = 252, minimum: int | None = None) -> None:
        self._sessions = at_least(sessions, 1, "sessions")
        self._minimum = at_least(sessions if minimum is None else minimum, 1, "minimum")
        if self._minimum > sessions:
            raise ValueError(f"minimum must be at most the window of {sessions} sessions, got {minimum!r}")
        self._ring: deque[float] = deque()
        self._sorted: list[float] = []
        self._value: float | None = None

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def filled(self) -> bool:
        """Whether the minimum of observations is there, so that the next session can be ranked."""
        return len(self._ring) >= self._minimum

    def quantile(self, q: float) -> float | None:
        """The q-quantile (0 to 1) of the committed observations, linear between order statistics (numpy's default)."""
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile must lie in 0 to 1, got {q!r}")
        if not self.filled:
            return None
        position = q * (len(self._sorted) - 1)
        below = math.floor(position)
        low = self._sorted[below]
        weight = position - below
        return low + weight * (self._sorted[below + 1] - low) if weight else low

    def median(self) -> float | None:
        """The median of the committed observations: the mean of the middle two when their number is even."""
        if not self.filled:
            return None
        half, odd = divmod(len(self._sorted), 2)
        return self._sorted[half] if odd else (self._sorted[half - 1] + self._sorted[half]) / 2

    def update(self, x: float, /) -> None:
        """Commit one session's observation."""
        self._value = self.peek(x)
        x = float(x)
        if len(self._ring) == self._sessions:
            del self._sorted[bisect_left(self._sorted, self._ring.popleft())]
        self._ring.append(x)
        insort(self._sorted, x)

    def peek(self, x: float, /) -> float | None:
        """The share of the committed observations strictly below `x`, 0 to 1."""
        x = finite(x, "observation")
        return bisect_left(self._sorted, x) / len(self._sorted) if self.filled else None

    @property
    def value(self) -> float | None:
        """The share of its own trailing window strictly below the last observation."""
        return self._value

    @property
    def ready(self) -> bool:
        """Whether the last observation could be ranked."""
        return self._value is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {"sessions": self._sessions, "minimum": self._minimum, "value": self._value, "ring": list(self._ring)}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        window = cls(read_int(snapshot, "sessions"), read_int(snapshot, "minimum"))
        ring = read_floats(snapshot, "ring")
        if len(ring) > window._sessions:
            raise ValueError(f"a window of {window._sessions} sessions cannot hold {len(ring)} observations")
        window._ring.extend(ring)
        window._sorted = sorted(ring)
        window._value = read_optional_float(snapshot, "value")
        return window
