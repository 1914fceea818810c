"""Realised volatility of closes."""

import math
from collections.abc import Mapping
from typing import NamedTuple, Self

from processors.signals._reading import read_floats, read_int, read_optional_float
from processors.signals.statistic import Json, at_least, positive

SESSIONS_PER_YEAR = 252
"""Realised volatility counts sessions; implied volatility counts calendar days (365). The two are never mixed."""


class _State(NamedTuple):
    last: float | None
    returns: tuple[float, ...]  # the latest n log returns, oldest first


class RealisedVolatility:
    """RV(n): sample standard deviation (ddof = 1) of `n` log close-to-close returns x sqrt(252) x 100.

    In percent a year, so it compares with the VIX point for point. First value at close `n + 1`. Both moments are
    summed afresh over the window with `math.fsum` at every session: nothing accumulates, so nothing drifts.
    Closes must be above 0 (ValueError). A session left out makes the next return span two sessions.
    """

    __slots__ = ("_n", "_state")

    def __init__(self, n: int = 21) -> None:
        self._n = at_least(n, 2, "n")
        self._state = _State(None, ())

    def _step(self, x: float) -> _State:
        x = positive(x, "close")
        last, returns = self._state
        if last is None:
            return _State(x, ())
        kept = returns[1:] if len(returns) == self._n else returns
        return _State(x, (*kept, math.log(x / last)))

    def _read(self, state: _State) -> float | None:
        n = self._n
        returns = state.returns
        if len(returns) < n:
            return None
        mean = math.fsum(returns) / n
        variance = math.fsum([(r - mean) ** 2 for r in returns]) / (n - 1)
        return 100.0 * math.sqrt(variance * SESSIONS_PER_YEAR)

    def update(self, x: float, /) -> None:
        """Commit one session's close."""
        self._state = self._step(x)

    def peek(self, x: float, /) -> float | None:
        """Percent a year if `x` were the next close."""
        return self._read(self._step(x))

    @property
    def value(self) -> float | None:
        """Percent a year at the last close, None before close n + 1."""
        return self._read(self._state)

    @property
    def ready(self) -> bool:
        """Whether n returns have been seen."""
        return len(self._state.returns) == self._n

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {"n": self._n, "last": self._state.last, "returns": list(self._state.returns)}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        realised = cls(read_int(snapshot, "n"))
        last, returns = read_optional_float(snapshot, "last"), read_floats(snapshot, "returns")
        if len(returns) > realised._n or (last is None and returns):
            raise ValueError(f"not the state of an RV({realised._n}): last={last}, {len(returns)} returns")
        realised._state = _State(last if last is None else positive(last, "snapshot key 'last'"), tuple(returns))
        return realised
