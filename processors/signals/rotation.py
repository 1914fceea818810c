"""Rotation between a sector and the market."""

import math
from collections.abc import Mapping
from typing import NamedTuple, Self

from processors.signals._reading import read_float, read_floats, read_int, read_object
from processors.signals.statistic import Json, at_least, positive
from processors.signals.zscore import TrailingZ


class SectorPair(NamedTuple):
    """Closes of one session, both adjusted for dividends."""

    sector: float
    """Sector fund, USD (a REIT fund such as XLRE)."""
    market: float
    """Market fund, USD (SPY)."""


class RotationValue(NamedTuple):
    """Rotation at one session."""

    relative: float
    """ln(sector / market). Its level is arbitrary."""
    change: float
    """Change of `relative` over the sessions of the rotation: log out- or underperformance of the sector."""
    z: float
    """That change in standard deviations of its own past."""
    rotating: bool
    """Whether abs(z) has reached the threshold: an unusually crowded move into the sector or out of it."""


class Rotation:
    """Whether money rotates between a sector and the market unusually fast.

    The log ratio of both prices, its change over `sessions`, and that change standardised against its own past
    `window` values (`minimum` of them at least), the current one excluded. Rotating: abs(z) >= `threshold`. Sector and
    window are choices.

    Both closes must be above 0 (ValueError) and of the same session. First value at session `sessions + minimum + 1`.
    Dividends are not added back here: an unadjusted ex-date of either fund looks like a move.
    """

    __slots__ = ("_relatives", "_sessions", "_threshold", "_z")

    def __init__(self, sessions: int = 20, window: int = 252, minimum: int = 126, threshold: float = 1.5) -> None:
        self._sessions = at_least(sessions, 1, "sessions")
        self._threshold = positive(threshold, "threshold")
        self._z = TrailingZ(window, minimum)
        self._relatives: tuple[float, ...] = ()  # the last sessions + 1

    def _step(self, x: SectorPair) -> tuple[float, ...]:
        relative = math.log(positive(x.sector, "sector") / positive(x.market, "market"))
        return (*self._relatives, relative)[-self._sessions - 1 :]

    def _change(self, relatives: tuple[float, ...]) -> float | None:
        return relatives[-1] - relatives[0] if len(relatives) == self._sessions + 1 else None

    def _read(self, relatives: tuple[float, ...], z: float | None) -> RotationValue | None:
        change = self._change(relatives)
        if change is None or z is None:
            return None
        return RotationValue(relatives[-1], change, z, abs(z) >= self._threshold)

    def update(self, x: SectorPair, /) -> None:
        """Commit one session's closes."""
        relatives = self._step(x)
        change = self._change(relatives)
        if change is not None:
            self._z.update(change)
        self._relatives = relatives

    def peek(self, x: SectorPair, /) -> RotationValue | None:
        """The value if `x` were the next session's closes."""
        relatives = self._step(x)
        change = self._change(relatives)
        return self._read(relatives, None if change is None else self._z.peek(change))

    @property
    def value(self) -> RotationValue | None:
        """The value at the last session, None until its change can be standardised."""
        return self._read(self._relatives, self._z.value)

    @property
    def ready(self) -> bool:
        """Whether the last change could be standardised."""
        return self.value is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {
            "sessions": self._sessions,
            "threshold": self._threshold,
            "relatives": list(self._relatives),
            "z": self._z.snapshot(),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        rotation = cls(read_int(snapshot, "sessions"), threshold=read_float(snapshot, "threshold"))
        rotation._z = TrailingZ.restore(read_object(snapshot, "z"))
        relatives = tuple(read_floats(snapshot, "relatives"))
        if len(relatives) > rotation._sessions + 1:
            raise ValueError(f"a rotation over {rotation._sessions} sessions cannot hold {len(relatives)} log ratios")
        rotation._relatives = relatives
        return rotation
