"""Standard scores against the past."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Self

from processors.signals._reading import read_floats, read_int, read_optional_float
from processors.signals.statistic import Json, at_least, finite

_RESOLUTION: Final = 1e-12  # a spread below this share of the largest observation is rounding, not variation
_LARGEST: Final = sys.float_info.max
_BOUND: Final = 1e300  # sums of a window and differences of two observations stay within a float


def bounded(x: float, name: str) -> float:
    """`x` as a plain float, or ValueError when it is NaN, infinite, or beyond 1e300 in size."""
    x = finite(x, name)
    if abs(x) > _BOUND:
        raise ValueError(f"{name} must be at most {_BOUND} in size, got {x!r}")
    return x


def sample_sd(past: Sequence[float]) -> float:
    """Sample standard deviation (ddof = 1) of at least two observations.

    Exactly 0.0 when they are all equal, or differ by no more than rounding: by less than 1e-12 of the largest.
    """
    mean = math.fsum(past) / len(past)
    sd = math.hypot(*[x - mean for x in past]) / math.sqrt(len(past) - 1)
    return 0.0 if sd <= _RESOLUTION * max(map(abs, past)) else sd


def in_deviations(distance: float, sd: float) -> float:
    """`distance / sd`; 0.0 when sd is 0, and the largest float where the ratio is beyond it."""
    return min(max(distance / sd, -_LARGEST), _LARGEST) if sd else 0.0


def standardise(x: float, past: Sequence[float], minimum: int) -> float | None:
    """z of `x` against `past`: (x - mean) / sd with ddof = 1, in standard deviations of the past.

    0.0 when the past does not vary; None with fewer than `minimum` (at least 2) past observations.
    """
    if len(past) < minimum:
        return None
    return in_deviations(x - math.fsum(past) / len(past), sample_sd(past))


def kept(past: tuple[float, ...], x: float | None, window: int) -> tuple[float, ...]:
    """The last `window` of `past` and then `x`; a missing `x` is not counted."""
    return past if x is None else (*past, x)[-window:]


def checked_window(window: int, minimum: int | None) -> tuple[int, int]:
    """A window of at least 2 and the minimum within it, by default the full window. Raises ValueError."""
    window = at_least(window, 2, "window")
    minimum = at_least(window if minimum is None else minimum, 2, "minimum")
    if minimum > window:
        raise ValueError(f"minimum must be at most the window of {window} observations, got {minimum!r}")
    return window, minimum


def read_past(snapshot: Mapping[str, Json], window: int) -> tuple[float, ...]:
    """The past observations in a snapshot. Raises ValueError when they are more than the window holds."""
    past = tuple(read_floats(snapshot, "past"))
    if len(past) > window:
        raise ValueError(f"snapshot key 'past' holds {len(past)} observations, a window of {window} cannot")
    return past


class _State(NamedTuple):
    past: tuple[float, ...]  # observations before `now`, oldest first, at most the window
    now: float | None  # the last committed observation


class TrailingZ:
    """z-score of an observation against the last `window` observations **before** it.

    z = (x - mean) / sd with the sample standard deviation (ddof = 1). The observation itself is in neither moment: with
    it inside, |z| could never exceed (n - 1) / sqrt(n), whatever happened. A past that does not vary gives 0.0 for
    every x, because it offers no scale to judge one by. Not winsorised.

    None with fewer than `minimum` past observations, by default the full window. The moments are summed afresh over the
    window (`math.fsum`), so nothing accumulates and nothing drifts. The unit of the input cancels.
    """

    __slots__ = ("_minimum", "_state", "_window")

    def __init__(self, window: int, minimum: int | None = None) -> None:
        self._window, self._minimum = checked_window(window, minimum)
        self._state = _State((), None)

    @property
    def count(self) -> int:
        """How many observations the next one is compared with, at most `window`."""
        past, now = self._state
        return len(past) if now is None else min(len(past) + 1, self._window)

    def _step(self, x: float) -> _State:
        past, now = self._state
        return _State(kept(past, now, self._window), bounded(x, "observation"))

    def _read(self, state: _State) -> float | None:
        return None if state.now is None else standardise(state.now, state.past, self._minimum)

    def update(self, x: float, /) -> None:
        """Commit one observation."""
        self._state = self._step(x)

    def peek(self, x: float, /) -> float | None:
        """z if `x` were the next observation."""
        return self._read(self._step(x))

    @property
    def value(self) -> float | None:
        """z of the last observation against those before it."""
        return self._read(self._state)

    @property
    def ready(self) -> bool:
        """Whether the last observation had enough before it."""
        return len(self._state.past) >= self._minimum

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
        z = cls(read_int(snapshot, "window"), read_int(snapshot, "minimum"))
        past, now = read_past(snapshot, z._window), read_optional_float(snapshot, "now")
        if past and now is None:
            raise ValueError(f"snapshot key 'now' must be a number after {len(past)} observations, got None")
        z._state = _State(past, now)
        return z
