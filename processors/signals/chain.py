"""Statistics of blockchain figures, which come at any hour and not session by session."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Self

from processors.signals._reading import (
    read_floats,
    read_int,
    read_optional_float,
    read_optional_int,
    read_pairs,
)
from processors.signals.statistic import Json, at_least, finite, positive

_HOUR_NS: Final = 3_600 * 10**9
#: One point is kept of each ten minutes.
_SLOT_NS: Final = 600 * 10**9


def peg_deviation_bps(usd: float) -> float:
    """How far a coin pegged to the dollar is from it, basis points either way: `abs(usd - 1) x 10,000`.

    ValueError unless `usd` is a finite number above 0.
    """
    return abs(positive(usd, "usd") - 1.0) * 1e4


class _Point(NamedTuple):
    ts: int  # nanoseconds
    value: float


class DayChange:
    """Relative change of an irregular series against `hours` ago: value / then - 1.

    `then` is the newest value that is at least `hours` older. None when there is none, or when that one is more than
    `1.5 x hours` older (36 hours for a day): a change over a gap is not a day's change.

    Memory is bounded: of each ten minutes only the first value is kept to compare with, so that for feeds faster than
    this `then` may be up to ten minutes older than the newest that would do; slower feeds lose nothing. The value that
    is compared is always the latest itself.

    Observations are `(ts, value)`: event time in nanoseconds, never falling, and a value above 0 (ValueError).
    """

    __slots__ = ("_hours", "_points", "_ts", "_value")

    def __init__(self, hours: int = 24) -> None:
        self._hours = at_least(hours, 1, "hours")
        self._points: tuple[_Point, ...] = ()
        self._ts: int | None = None
        self._value: float | None = None

    def _checked(self, x: tuple[int, float]) -> _Point:
        point = _Point(x[0], positive(x[1], "value"))
        if self._ts is not None and point.ts < self._ts:
            raise ValueError(f"a value at {point.ts} ns cannot follow one at {self._ts} ns")
        return point

    def _reaching(self, ts: int) -> tuple[_Point, ...]:
        """The points that are still needed at `ts`: the newest that is old enough, if any, and all after it."""
        latest = ts - self._hours * _HOUR_NS
        first = 0
        while first + 1 < len(self._points) and self._points[first + 1].ts <= latest:
            first += 1
        return self._points[first:]

    def _change(self, point: _Point, points: Sequence[_Point]) -> float | None:
        if not points:
            return None
        age = point.ts - points[0].ts
        span = self._hours * _HOUR_NS
        # Figures at both ends of a float's range would have no finite change.
        change = min(point.value / points[0].value, sys.float_info.max) - 1.0
        return change if span <= age <= span + span // 2 else None

    def update(self, x: tuple[int, float], /) -> None:
        """Commit one value."""
        point = self._checked(x)
        points = self._reaching(point.ts)
        self._value = self._change(point, points)
        if not points or point.ts // _SLOT_NS > points[-1].ts // _SLOT_NS:
            points = (*points, point)
        self._points, self._ts = points, point.ts

    def peek(self, x: tuple[int, float], /) -> float | None:
        """The change if `x` were the next value."""
        point = self._checked(x)
        return self._change(point, self._reaching(point.ts))

    @property
    def value(self) -> float | None:
        """The change at the last value, a fraction."""
        return self._value

    @property
    def ready(self) -> bool:
        """Whether the last value had one to compare with."""
        return self._value is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state; the points by the number of their ten minutes since 1970."""
        return {
            "hours": self._hours,
            "ts": self._ts,
            "value": self._value,
            "points": {str(point.ts // _SLOT_NS): list(point) for point in self._points},
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        change = cls(read_int(snapshot, "hours"))
        ts = read_optional_int(snapshot, "ts")
        pairs = read_pairs(snapshot, "points", int, float)
        points = tuple(sorted(_Point(at, positive(value, "snapshot key 'points'")) for at, value in pairs.values()))
        if bool(points) != (ts is not None) or (ts is not None and points[-1].ts > ts):
            raise ValueError(f"not the state of a change over {change._hours} hours: {len(points)} points, ts={ts}")
        change._ts, change._points = ts, points
        change._value = read_optional_float(snapshot, "value")
        return change


class Correlation:
    """Pearson correlation of the last `window` pairs, -1 to 1.

    Defined from `minimum` pairs on, the current one included. None also while either side does not vary over the
    window: then there is no correlation, not one of 0. Every sum is taken afresh over the window with `math.fsum`:
    nothing accumulates, so nothing drifts.
    """

    __slots__ = ("_minimum", "_pairs", "_window")

    def __init__(self, window: int = 63, minimum: int = 63) -> None:
        self._window = at_least(window, 2, "window")
        self._minimum = at_least(minimum, 2, "minimum")
        if self._minimum > window:
            raise ValueError(f"minimum must be at most the window of {window} pairs, got {minimum!r}")
        self._pairs: tuple[tuple[float, float], ...] = ()

    def _step(self, x: tuple[float, float]) -> tuple[tuple[float, float], ...]:
        return (*self._pairs, (finite(x[0], "x"), finite(x[1], "y")))[-self._window :]

    def _read(self, pairs: tuple[tuple[float, float], ...]) -> float | None:
        if len(pairs) < self._minimum:
            return None
        x, y = _standard([pair[0] for pair in pairs]), _standard([pair[1] for pair in pairs])
        if x is None or y is None:
            return None
        product = math.fsum([a * b for a, b in zip(x, y, strict=True)])
        # Rounding may carry a perfect correlation past the end.
        return max(-1.0, min(1.0, product))

    def update(self, x: tuple[float, float], /) -> None:
        """Commit one pair."""
        self._pairs = self._step(x)

    def peek(self, x: tuple[float, float], /) -> float | None:
        """The correlation if `x` were the next pair."""
        return self._read(self._step(x))

    @property
    def value(self) -> float | None:
        """The correlation at the last pair."""
        return self._read(self._pairs)

    @property
    def ready(self) -> bool:
        """Whether there is a correlation at the last pair."""
        return self.value is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {
            "window": self._window,
            "minimum": self._minimum,
            "x": [pair[0] for pair in self._pairs],
            "y": [pair[1] for pair in self._pairs],
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        correlation = cls(read_int(snapshot, "window"), read_int(snapshot, "minimum"))
        x, y = read_floats(snapshot, "x"), read_floats(snapshot, "y")
        if len(x) != len(y) or len(x) > correlation._window:
            raise ValueError(f"a window of {correlation._window} pairs cannot hold {len(x)} x and {len(y)} y")
        correlation._pairs = tuple(zip(x, y, strict=True))
        return correlation


def _standard(values: list[float]) -> list[float] | None:
    """Deviations from the mean scaled to a length of 1, None when the values are all one."""
    if min(values) == max(values):
        return None
    mean = math.fsum(values) / len(values)
    deviations = [value - mean for value in values]
    # Scaled first, so that squares of very small or large figures neither vanish nor overflow.
    scale = max(map(abs, deviations))
    scaled = [deviation / scale for deviation in deviations]
    length = math.sqrt(math.fsum([deviation * deviation for deviation in scaled]))
    return [deviation / length for deviation in scaled]
