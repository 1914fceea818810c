"""Breadth of the equity market: the advance-decline line."""

import math
from collections.abc import Mapping
from typing import NamedTuple, Self

from processors.signals._reading import read_float, read_floats, read_int, read_object, read_optional_bool
from processors.signals.statistic import Json, at_least, finite, positive
from processors.signals.zscore import TrailingZ


class Breadth(NamedTuple):
    """One session's issues at the close of one exchange."""

    advances: float
    """Issues that closed higher, at least 0."""
    declines: float
    """Issues that closed lower, at least 0. Unchanged issues take no part."""
    spx: float | None
    """Close of the S&P 500, index points; None when missing."""


class BreadthValue(NamedTuple):
    """Breadth at one session."""

    line: float
    """Sum of advances less declines since the first session fed. Its level is arbitrary: only differences count."""
    net_ratio: float
    """(advances - declines) / (advances + declines), -1 to 1."""
    sum20: float | None
    """Sum of the net ratios of the last `sum_sessions` sessions (20 by default)."""
    z: float | None
    """That sum in standard deviations of its own past."""
    divergence: bool | None
    """Whether the SPX closed at its high and the line did not; None without enough closes."""


class _State(NamedTuple):
    line: float
    ratios: tuple[float, ...]  # of the last sum_sessions sessions
    closes: tuple[float, ...]  # SPX of the last high_sessions sessions that have one
    lines: tuple[float, ...]  # the line at the same sessions
    divergence: bool | None


class AdvanceDecline:
    """The advance-decline line, its net ratio and its divergence from the index.

    * The line adds advances less declines, session by session. Whole numbers of issues keep it exact.
    * The net ratio is summed over `sum_sessions`; the sum is standardised against its own past `window` values
      (`minimum` of them at least), the current one excluded. Ratios rather than issues: the number of listed issues
      has grown for decades and the size of raw differences with it.
    * Divergence: the SPX closes at its high of `high_sessions` sessions (no close among them, this one included, is
      above it) while the line is below its own high of the same sessions.

    A session without an SPX close has no divergence and is left out of both highs. A session without any advancing or
    declining issue is missing data: leave it out (ValueError). First value at the first session, first sum at
    `sum_sessions`, first z `minimum` sessions later, first divergence at `high_sessions` closes.

    The practice of reading the line is Zweig's and McClellan's; the windows are choices.
    """

    __slots__ = ("_high_sessions", "_state", "_sum_sessions", "_z")

    def __init__(
        self, sum_sessions: int = 20, window: int = 252, minimum: int = 126, high_sessions: int = 63
    ) -> None:
        self._sum_sessions = at_least(sum_sessions, 1, "sum_sessions")
        self._high_sessions = at_least(high_sessions, 2, "high_sessions")
        self._z = TrailingZ(window, minimum)
        self._state = _State(0.0, (), (), (), None)

    def _step(self, x: Breadth) -> _State:
        advances, declines = _issues(x.advances, "advances"), _issues(x.declines, "declines")
        total = positive(advances + declines, "advances + declines")
        state = self._state
        line = state.line + (advances - declines)
        ratios = (*state.ratios, (advances - declines) / total)[-self._sum_sessions :]
        if x.spx is None:
            return state._replace(line=line, ratios=ratios, divergence=None)
        close = positive(x.spx, "spx")
        closes = (*state.closes, close)[-self._high_sessions :]
        lines = (*state.lines, line)[-self._high_sessions :]
        divergence = close >= max(closes) and line < max(lines) if len(closes) == self._high_sessions else None
        return _State(line, ratios, closes, lines, divergence)

    def _sum(self, state: _State) -> float | None:
        return math.fsum(state.ratios) if len(state.ratios) == self._sum_sessions else None

    def _read(self, state: _State, z: float | None) -> BreadthValue:
        return BreadthValue(state.line, state.ratios[-1], self._sum(state), z, state.divergence)

    def update(self, x: Breadth, /) -> None:
        """Commit one session's issues."""
        state = self._step(x)
        total = self._sum(state)
        if total is not None:
            self._z.update(total)
        self._state = state

    def peek(self, x: Breadth, /) -> BreadthValue | None:
        """The value if `x` were the next session's issues."""
        state = self._step(x)
        total = self._sum(state)
        return self._read(state, None if total is None else self._z.peek(total))

    @property
    def value(self) -> BreadthValue | None:
        """The value at the last session, None before the first."""
        return self._read(self._state, self._z.value) if self.ready else None

    @property
    def ready(self) -> bool:
        """Whether a session has been seen."""
        return bool(self._state.ratios)

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {
            "sum_sessions": self._sum_sessions,
            "high_sessions": self._high_sessions,
            "line": self._state.line,
            "ratios": list(self._state.ratios),
            "closes": list(self._state.closes),
            "lines": list(self._state.lines),
            "divergence": self._state.divergence,
            "z": self._z.snapshot(),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        breadth = cls(read_int(snapshot, "sum_sessions"), high_sessions=read_int(snapshot, "high_sessions"))
        breadth._z = TrailingZ.restore(read_object(snapshot, "z"))
        ratios, closes, lines = (tuple(read_floats(snapshot, key)) for key in ("ratios", "closes", "lines"))
        if len(ratios) > breadth._sum_sessions or len(closes) > breadth._high_sessions or len(closes) != len(lines):
            raise ValueError(
                f"not the state of an advance-decline line over {breadth._sum_sessions} and {breadth._high_sessions} "
                f"sessions: {len(ratios)} ratios, {len(closes)} closes, {len(lines)} levels of the line"
            )
        divergence = read_optional_bool(snapshot, "divergence")
        breadth._state = _State(read_float(snapshot, "line"), ratios, closes, lines, divergence)
        return breadth


def _issues(x: float, name: str) -> float:
    x = finite(x, name)
    if x < 0:
        raise ValueError(f"{name} must be at least 0, got {x!r}")
    return x
