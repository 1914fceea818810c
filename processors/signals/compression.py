"""Compressed VX curves."""

from collections.abc import Mapping
from typing import Self

from processors.signals._reading import read_float, read_object, read_optional_bool
from processors.signals.curve import VxCurve, spread
from processors.signals.statistic import Json
from processors.signals.window import TrailingWindow


class Compression:
    """Whether the VX curve is low and narrow: calm as an asset of the term structure.

    True when fewer than `low_share` (a third) of the trailing `sessions` fronts lie below today's front, *and* today's
    range of VX1..VX7 is below the median range of the same sessions. The trailing windows exclude the session itself
    and need `minimum` observations, by default all 252; before that the answer is None.

    "Front" here is the nearest contract at least 5 days from expiry, the same that the range is taken over: within
    five days VX1 converges on its settlement auction. A curve with fewer than five such contracts gives None and is
    not counted, so both windows always hold the same sessions.
    """

    __slots__ = ("_fronts", "_low_share", "_ranges", "_value")

    def __init__(self, sessions: int = 252, minimum: int | None = None, low_share: float = 1 / 3) -> None:
        if not 0 < low_share < 1:
            raise ValueError(f"low_share must lie between 0 and 1, got {low_share!r}")
        self._low_share = low_share
        self._fronts = TrailingWindow(sessions, minimum)
        self._ranges = TrailingWindow(sessions, minimum)
        self._value: bool | None = None

    def update(self, curve: VxCurve, /) -> None:
        """Commit one session's curve."""
        self._value = self.peek(curve)
        settles = curve.settles_clear_of_expiry()
        if settles is not None:
            self._fronts.update(settles[0])
            self._ranges.update(spread(settles))

    def peek(self, curve: VxCurve, /) -> bool | None:
        """The answer if `curve` were the next session's."""
        settles, usual = curve.settles_clear_of_expiry(), self._ranges.median()
        if settles is None or usual is None:
            return None
        below = self._fronts.peek(settles[0])
        return below is not None and below < self._low_share and spread(settles) < usual

    @property
    def value(self) -> bool | None:
        """The answer at the last session."""
        return self._value

    @property
    def ready(self) -> bool:
        """Whether the last session had an answer."""
        return self._value is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {
            "low_share": self._low_share,
            "value": self._value,
            "fronts": self._fronts.snapshot(),
            "ranges": self._ranges.snapshot(),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        statistic = cls(low_share=read_float(snapshot, "low_share"))
        statistic._fronts = TrailingWindow.restore(read_object(snapshot, "fronts"))
        statistic._ranges = TrailingWindow.restore(read_object(snapshot, "ranges"))
        if len(statistic._fronts) != len(statistic._ranges):
            raise ValueError(f"{len(statistic._fronts)} fronts but {len(statistic._ranges)} ranges in a snapshot")
        statistic._value = read_optional_bool(snapshot, "value")
        return statistic
