"""Interest rate differentials between two countries."""

from collections.abc import Mapping
from typing import Final, NamedTuple, Self

from processors.signals._reading import read_floats, read_int
from processors.signals.statistic import Json, at_least
from processors.signals.zscore import bounded, checked_window, kept, read_past, standardise

#: Yields have a few decimals: what a difference shows beyond this place is rounding and must not pass for a move.
_PLACES: Final = 12


class DifferentialValue(NamedTuple):
    """The differential at one session.

    Attributes:
        level: home less foreign, percentage points.
        change: level less the level `sessions` committed sessions before, percentage points; rising is positive.
        z: standard deviations of the change against the changes before it; None while there are too few.
    """

    level: float
    change: float
    z: float | None


class _State(NamedTuple):
    levels: tuple[float, ...]  # the last `sessions` + 1 levels, oldest first
    past: tuple[float, ...]  # changes before the last one, oldest first, at most the window


class RateDifferential:
    """Change over `sessions` sessions of a rate differential, home less foreign, and its z-score over `window` changes.

    Both rates in percent and on one convention (two bond-equivalent yields of the same tenor, say 2 years). None until
    `sessions` + 1 levels; z needs `minimum` changes before it. Overlapping changes are autocorrelated, so z is a scale
    and not a test of significance. A session that was left out is not counted: the change is against the level of the
    `sessions`-th committed session before. Changes are rounded to 12 decimals of a percentage point.
    """

    __slots__ = ("_minimum", "_sessions", "_state", "_window")

    def __init__(self, sessions: int = 20, window: int = 252, minimum: int = 126) -> None:
        self._sessions = at_least(sessions, 1, "sessions")
        self._window, self._minimum = checked_window(window, minimum)
        self._state = _State((), ())

    def _change(self, levels: tuple[float, ...]) -> float | None:
        return round(levels[-1] - levels[0], _PLACES) if len(levels) > self._sessions else None

    def _step(self, level: float) -> _State:
        level = bounded(level, "rate differential")
        levels, past = self._state
        return _State(kept(levels, level, self._sessions + 1), kept(past, self._change(levels), self._window))

    def _read(self, state: _State) -> DifferentialValue | None:
        change = self._change(state.levels)
        if change is None:
            return None
        return DifferentialValue(state.levels[-1], change, standardise(change, state.past, self._minimum))

    def update(self, level: float, /) -> None:
        """Commit one session's differential, percentage points."""
        self._state = self._step(level)

    def peek(self, level: float, /) -> DifferentialValue | None:
        """The value if `level` were the next session's differential."""
        return self._read(self._step(level))

    @property
    def value(self) -> DifferentialValue | None:
        """The value at the last session, None before level `sessions` + 1."""
        return self._read(self._state)

    @property
    def ready(self) -> bool:
        """Whether there is a level `sessions` sessions ago."""
        return len(self._state.levels) > self._sessions

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {
            "sessions": self._sessions,
            "window": self._window,
            "minimum": self._minimum,
            "levels": list(self._state.levels),
            "past": list(self._state.past),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        differential = cls(*(read_int(snapshot, key) for key in ("sessions", "window", "minimum")))
        levels = tuple(read_floats(snapshot, "levels"))
        past = read_past(snapshot, differential._window)
        most = differential._sessions + 1
        if len(levels) > most or (past and len(levels) < most):
            raise ValueError(f"snapshot key 'levels' holds {len(levels)} of {most}, with {len(past)} changes past")
        differential._state = _State(levels, past)
        return differential
