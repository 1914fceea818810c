"""Moving average convergence divergence, with its crossovers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self, TypeAlias

from processors.signals._reading import (
    read,
    read_float,
    read_floats,
    read_int,
    read_optional_float,
    read_optional_int,
)
from processors.signals.statistic import Json, at_least, finite

Cross: TypeAlias = Literal["bullish", "bearish"]
"""`bullish`: the histogram went from <= 0 to > 0; `bearish`: from >= 0 to < 0."""


@dataclass(frozen=True, slots=True)
class MacdValue:
    """MACD at one session, in the units of the input (vol points on the VIX)."""

    macd: float
    signal: float
    hist: float
    cross: Cross | None
    """The crossover at this very session."""
    last_cross: Cross | None
    """Direction of the latest crossover, this session's included."""
    sessions_since_cross: int | None
    """0 on the session of the crossover, then one more each committed session; None before the first."""
    acting: bool
    """Whether enough sessions have passed for the seed to be forgotten (`min_bars`)."""


class _State(NamedTuple):
    bars: int
    closes: tuple[float, ...]  # the first closes, until the averages are seeded
    fast: float
    slow: float
    macds: tuple[float, ...]  # the first MACD values, until the signal line is seeded
    macd: float
    signal: float | None
    cross: Cross | None
    last_cross: Cross | None
    since: int | None


def _ema(average: float, x: float, n: int) -> float:
    return (x - average) * (2.0 / (n + 1)) + average


class Macd:
    """MACD(fast, slow, signal) of closes.

    Seeding is TA-Lib's, because libraries differ by more than a vol point in the first fifty bars: both averages start
    at bar `slow`, the slow one from the simple mean of the first `slow` closes and the fast one from the mean of the
    last `fast` of these; the signal line starts from the mean of the first `signal` MACD values. First value at bar
    `slow + signal - 1` (34 for 12/26/9). Each average has alpha = 2 / (n + 1). Appel's indicator.

    Crossovers are reported from the second value on, but `acting` stays False until `min_bars` closes.
    """

    __slots__ = ("_fast", "_min_bars", "_signal", "_slow", "_state")

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9, min_bars: int = 120) -> None:
        self._fast = at_least(fast, 2, "fast")
        self._slow = at_least(slow, fast + 1, "slow")
        self._signal = at_least(signal, 2, "signal")
        self._min_bars = at_least(min_bars, 0, "min_bars")
        self._state = _State(0, (), 0.0, 0.0, (), 0.0, None, None, None, None)

    def _step(self, x: float) -> _State:
        state = self._state
        x = finite(x, "close")
        bars = state.bars + 1
        if bars < self._slow:
            return state._replace(bars=bars, closes=(*state.closes, x))
        if bars == self._slow:
            closes = (*state.closes, x)
            fast = math.fsum(closes[-self._fast :]) / self._fast
            slow = math.fsum(closes) / self._slow
        else:
            fast = _ema(state.fast, x, self._fast)
            slow = _ema(state.slow, x, self._slow)
        macd = fast - slow
        if state.signal is None:
            macds = (*state.macds, macd)
            if len(macds) < self._signal:
                return _State(bars, (), fast, slow, macds, macd, None, None, None, None)
            return _State(bars, (), fast, slow, (), macd, math.fsum(macds) / self._signal, None, None, None)
        signal = _ema(state.signal, macd, self._signal)
        before, now = state.macd - state.signal, macd - signal
        cross: Cross | None = None
        if before <= 0 < now:
            cross = "bullish"
        elif before >= 0 > now:
            cross = "bearish"
        if cross is not None:
            return _State(bars, (), fast, slow, (), macd, signal, cross, cross, 0)
        since = None if state.since is None else state.since + 1
        return _State(bars, (), fast, slow, (), macd, signal, None, state.last_cross, since)

    def _read(self, state: _State) -> MacdValue | None:
        if state.signal is None:
            return None
        return MacdValue(
            macd=state.macd,
            signal=state.signal,
            hist=state.macd - state.signal,
            cross=state.cross,
            last_cross=state.last_cross,
            sessions_since_cross=state.since,
            acting=state.bars >= self._min_bars,
        )

    def update(self, x: float, /) -> None:
        """Commit one session's close."""
        self._state = self._step(x)

    def peek(self, x: float, /) -> MacdValue | None:
        """The value if `x` were the next close."""
        return self._read(self._step(x))

    @property
    def value(self) -> MacdValue | None:
        """The value at the last close, None before bar slow + signal - 1."""
        return self._read(self._state)

    @property
    def ready(self) -> bool:
        """Whether the signal line has been seeded."""
        return self._state.signal is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {
            "parameters": [self._fast, self._slow, self._signal, self._min_bars],
            **self._state._asdict(),
            "closes": list(self._state.closes),
            "macds": list(self._state.macds),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        parameters = read_floats(snapshot, "parameters")
        if len(parameters) != 4 or not all(parameter.is_integer() for parameter in parameters):
            raise ValueError(f"snapshot key 'parameters' must hold four integers, got {parameters}")
        macd = cls(*(int(parameter) for parameter in parameters))
        macd._state = _State(
            bars=read_int(snapshot, "bars"),
            closes=tuple(read_floats(snapshot, "closes")),
            fast=read_float(snapshot, "fast"),
            slow=read_float(snapshot, "slow"),
            macds=tuple(read_floats(snapshot, "macds")),
            macd=read_float(snapshot, "macd"),
            signal=read_optional_float(snapshot, "signal"),
            cross=as_cross(read(snapshot, "cross")),
            last_cross=as_cross(read(snapshot, "last_cross")),
            since=read_optional_int(snapshot, "since"),
        )
        bars, slow = macd._state.bars, macd._slow
        if len(macd._state.closes) != (bars if bars < slow else 0):
            raise ValueError(f"{bars} bars of a MACD seeded at bar {slow} cannot keep {len(macd._state.closes)} closes")
        if (macd._state.signal is not None) != (bars >= slow + macd._signal - 1):
            raise ValueError(f"the signal line of a MACD cannot be {macd._state.signal} after {bars} bars")
        return macd


def as_cross(found: Json) -> Cross | None:
    """A crossover read from a snapshot: `bullish`, `bearish` or null, else ValueError."""
    match found:
        case None | "bullish" | "bearish":
            return found
    raise ValueError(f"a crossover must be 'bullish', 'bearish' or null, got {found!r}")
