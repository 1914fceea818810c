"""How many offerings come to market."""

from collections.abc import Mapping
from typing import NamedTuple, Self

from processors.signals._reading import read_int, read_list, read_object
from processors.signals.statistic import Json, at_least
from processors.signals.zscore import TrailingZ


class OfferingValue(NamedTuple):
    """Offerings at one session."""

    trailing: int
    """Offerings over the trailing sessions, this one included."""
    z: float | None
    """That count in standard deviations of its own past."""


class OfferingCount:
    """Offerings priced over `sessions` trailing sessions, and how unusual their number is.

    Fed the count of each session, 0 included: a session without offerings is an observation. The trailing count is
    standardised against its own past `window` values (`minimum` of them at least), the current one excluded. The
    defaults are a quarter against five years, for IPOs; `OfferingCount(21, 252)` is about thirty days against a year,
    for token launches. First value at observation `sessions`, first z `minimum` observations later.

    Successive trailing counts share all sessions but one, so their z moves slowly; nothing is seasonally adjusted, and
    August and late December are always thin. The count of offerings as a measure of sentiment is Baker and Wurgler's
    (Journal of Finance 61, 2006); the windows are choices.
    """

    __slots__ = ("_counts", "_sessions", "_z")

    def __init__(self, sessions: int = 63, window: int = 1260, minimum: int = 126) -> None:
        self._sessions = at_least(sessions, 1, "sessions")
        self._z = TrailingZ(window, minimum)
        self._counts: tuple[int, ...] = ()  # the last sessions

    def _step(self, count: int) -> tuple[int, ...]:
        return (*self._counts, _count(count, "count"))[-self._sessions :]

    def _trailing(self, counts: tuple[int, ...]) -> int | None:
        return sum(counts) if len(counts) == self._sessions else None

    def update(self, count: int, /) -> None:
        """Commit one session's count."""
        counts = self._step(count)
        trailing = self._trailing(counts)
        if trailing is not None:
            self._z.update(float(trailing))
        self._counts = counts

    def peek(self, count: int, /) -> OfferingValue | None:
        """The value if `count` were the next session's."""
        trailing = self._trailing(self._step(count))
        return None if trailing is None else OfferingValue(trailing, self._z.peek(float(trailing)))

    @property
    def value(self) -> OfferingValue | None:
        """The value at the last session, None before observation `sessions`."""
        trailing = self._trailing(self._counts)
        return None if trailing is None else OfferingValue(trailing, self._z.value)

    @property
    def ready(self) -> bool:
        """Whether `sessions` observations have been seen."""
        return len(self._counts) == self._sessions

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {"sessions": self._sessions, "counts": list(self._counts), "z": self._z.snapshot()}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        offerings = cls(read_int(snapshot, "sessions"))
        offerings._z = TrailingZ.restore(read_object(snapshot, "z"))
        counts = tuple(_count(count, "snapshot key 'counts'") for count in read_list(snapshot, "counts"))
        if len(counts) > offerings._sessions:
            raise ValueError(f"a count over {offerings._sessions} sessions cannot hold {len(counts)} of them")
        offerings._counts = counts
        return offerings


def _count(found: Json, name: str) -> int:
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise ValueError(f"{name} must be a whole number of at least 0, got {found!r}")
    return found
