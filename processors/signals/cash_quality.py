"""Cash earnings against reported earnings."""

import math
from collections.abc import Mapping
from typing import NamedTuple, Self

from processors.signals._reading import read_int, read_optional_float
from processors.signals.statistic import Json, finite
from processors.signals.zscore import checked_window, kept, read_past, standardise


class Fundamentals(NamedTuple):
    """Earnings and cash flow of one index for the same trailing twelve months, in the same unit (USD per index unit).

    Index aggregates, point in time: what had been filed by then, not what was later restated.
    """

    eps: float
    cfps: float


class CashQualityValue(NamedTuple):
    """Cash against earnings at one observation.

    Attributes:
        log_ratio: ln(cash flow / earnings); above 0 when cash exceeds earnings.
        z: standard deviations against the observations before it; None while there are too few.
    """

    log_ratio: float
    z: float | None


class _State(NamedTuple):
    past: tuple[float, ...]  # log ratios before `now`, oldest first, at most the window
    now: float | None  # the last log ratio, None where it was undefined


class CashQuality:
    """Divergence of price/earnings from price/cash flow: ln(P/E) - ln(P/CF) = ln(CF/E), with its z-score.

    The price cancels, so it is a measure of the quality of earnings (accruals; Sloan 1996) and moves with reports only.
    Rising: earnings fall relative to cash. Where earnings or cash flow are zero or negative the ratios have no meaning:
    the value is None and the observation is not counted; that is no error. z needs `minimum` observations before it.
    """

    __slots__ = ("_minimum", "_state", "_window")

    def __init__(self, window: int = 60, minimum: int = 24) -> None:
        self._window, self._minimum = checked_window(window, minimum)
        self._state = _State((), None)

    def _step(self, x: Fundamentals) -> _State:
        eps, cfps = finite(x.eps, "eps"), finite(x.cfps, "cfps")
        past, now = self._state
        # A difference of logarithms: the quotient itself may leave the range of a float.
        ratio = math.log(cfps) - math.log(eps) if eps > 0 and cfps > 0 else None
        return _State(kept(past, now, self._window), ratio)

    def _read(self, state: _State) -> CashQualityValue | None:
        if state.now is None:
            return None
        return CashQualityValue(state.now, standardise(state.now, state.past, self._minimum))

    def update(self, x: Fundamentals, /) -> None:
        """Commit one observation."""
        self._state = self._step(x)

    def peek(self, x: Fundamentals, /) -> CashQualityValue | None:
        """The value if `x` were the next observation."""
        return self._read(self._step(x))

    @property
    def value(self) -> CashQualityValue | None:
        """The value at the last observation, None where it is undefined."""
        return self._read(self._state)

    @property
    def ready(self) -> bool:
        """Whether the last observation was defined."""
        return self._state.now is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {
            "window": self._window,
            "minimum": self._minimum,
            "past": list(self._state.past),
            "now": self._state.now,
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        quality = cls(read_int(snapshot, "window"), read_int(snapshot, "minimum"))
        quality._state = _State(read_past(snapshot, quality._window), read_optional_float(snapshot, "now"))
        return quality
