"""Surprises of releases."""

from collections.abc import Mapping
from typing import NamedTuple, Self

from processors.signals._reading import read_int, read_optional_float
from processors.signals.statistic import Json
from processors.signals.zscore import bounded, checked_window, in_deviations, kept, read_past, sample_sd


class _State(NamedTuple):
    past: tuple[float, ...]  # surprises before `now`, oldest first, at most the window
    now: float | None  # the last committed surprise


class Surprise:
    """A release's surprise in standard deviations of the surprises before it.

    The input is actual less consensus in the unit of the release (percentage points for CPI and PPI), or the change of
    the 2-year yield around a text such as the FOMC minutes. value = x / sd, sd with ddof = 1 over the last `window`
    surprises before this one. No mean is taken off x: a surprise is by definition a distance from what was expected, so
    zero means "as expected" even where forecasts have lately erred to one side. 0.0 when past surprises do not vary.

    None with fewer than `minimum` past surprises. Feed first prints only: a revision is no surprise. Scaling by the
    sample sd of surprises is that of Balduzzi, Elton and Green (2001), with the past in place of the whole sample.
    """

    __slots__ = ("_minimum", "_state", "_window")

    def __init__(self, window: int = 36, minimum: int = 24) -> None:
        self._window, self._minimum = checked_window(window, minimum)
        self._state = _State((), None)

    def _step(self, x: float) -> _State:
        past, now = self._state
        return _State(kept(past, now, self._window), bounded(x, "surprise"))

    def _read(self, state: _State) -> float | None:
        if state.now is None or len(state.past) < self._minimum:
            return None
        return in_deviations(state.now, sample_sd(state.past))

    def update(self, x: float, /) -> None:
        """Commit one release's surprise."""
        self._state = self._step(x)

    def peek(self, x: float, /) -> float | None:
        """The value if `x` were the next release's surprise."""
        return self._read(self._step(x))

    @property
    def value(self) -> float | None:
        """The last surprise in standard deviations of those before it."""
        return self._read(self._state)

    @property
    def ready(self) -> bool:
        """Whether the last surprise had enough before it."""
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
        surprise = cls(read_int(snapshot, "window"), read_int(snapshot, "minimum"))
        past, now = read_past(snapshot, surprise._window), read_optional_float(snapshot, "now")
        if past and now is None:
            raise ValueError(f"snapshot key 'now' must be a number after {len(past)} surprises, got None")
        surprise._state = _State(past, now)
        return surprise
