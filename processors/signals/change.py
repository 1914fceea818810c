"""Change against some sessions ago."""

from collections import deque
from collections.abc import Mapping
from typing import Self

from processors.signals._reading import read_bool, read_floats, read_int
from processors.signals.statistic import Json, at_least, finite, positive


class SessionChange:
    """x(t) - x(t - n), or x(t) / x(t - n) - 1 when `relative`, over `n` committed sessions.

    First value at observation `n + 1`. A relative change needs observations above 0 (ValueError). Sessions that were
    left out are not counted: the change is against the n-th committed observation before.
    """

    __slots__ = ("_n", "_relative", "_ring")

    def __init__(self, n: int = 1, *, relative: bool = False) -> None:
        self._n = at_least(n, 1, "n")
        self._relative = relative
        self._ring: deque[float] = deque(maxlen=n + 1)

    def _checked(self, x: float) -> float:
        return positive(x, "observation") if self._relative else finite(x, "observation")

    def _change(self, now: float, then: float) -> float:
        return now / then - 1.0 if self._relative else now - then

    def update(self, x: float, /) -> None:
        """Commit one session's observation."""
        self._ring.append(self._checked(x))

    def peek(self, x: float, /) -> float | None:
        """The change if `x` were the next observation."""
        x = self._checked(x)
        return self._change(x, self._ring[-self._n]) if len(self._ring) >= self._n else None

    @property
    def value(self) -> float | None:
        """The change at the last observation."""
        return self._change(self._ring[-1], self._ring[0]) if self.ready else None

    @property
    def ready(self) -> bool:
        """Whether n + 1 observations have been seen."""
        return len(self._ring) == self._n + 1

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {"n": self._n, "relative": self._relative, "ring": list(self._ring)}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        change = cls(read_int(snapshot, "n"), relative=read_bool(snapshot, "relative"))
        ring = read_floats(snapshot, "ring")
        if len(ring) > change._n + 1:
            raise ValueError(f"a change over {change._n} sessions cannot hold {len(ring)} observations")
        for x in ring:
            change.update(x)
        return change
