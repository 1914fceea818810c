"""Wilder's relative strength index."""

from collections.abc import Mapping
from typing import NamedTuple, Self

from processors.signals._reading import read_float, read_int, read_optional_float
from processors.signals.statistic import Json, at_least, finite


class _State(NamedTuple):
    last: float | None  # previous close
    changes: int  # changes seen, counted up to n
    gain: float  # sum of gains while changes < n, then their Wilder average
    loss: float  # the same of losses, as a positive number


class Rsi:
    """RSI(n) of closes, 0 to 100.

    The first averages are the simple means of the first `n` gains and losses; from then on
    `average = ((n - 1) average + x) / n`. The index is `100 gain / (gain + loss)`, which is
    `100 - 100 / (1 + gain / loss)` without the division by a zero loss. Wilder, *New Concepts in Technical Trading
    Systems* (1978); the same seed and recursion as TA-Lib's RSI. One deliberate difference: with no movement at all the
    index is 50 (balance), where TA-Lib gives 0.

    First value at close `n + 1`. After k more sessions the seed still weighs (1 - 1/n)^k: under 0.1% after about 100
    for n = 14.
    """

    __slots__ = ("_n", "_state")

    def __init__(self, n: int = 14) -> None:
        self._n = at_least(n, 2, "n")
        self._state = _State(None, 0, 0.0, 0.0)

    def _step(self, x: float) -> _State:
        state = self._state
        x = finite(x, "close")
        if state.last is None:
            return _State(x, 0, 0.0, 0.0)
        change = x - state.last
        gain, loss = (change, 0.0) if change > 0 else (0.0, -change)
        n = self._n
        if state.changes == n:
            return _State(x, n, (state.gain * (n - 1) + gain) / n, (state.loss * (n - 1) + loss) / n)
        gain, loss, changes = state.gain + gain, state.loss + loss, state.changes + 1
        return _State(x, changes, gain / n, loss / n) if changes == n else _State(x, changes, gain, loss)

    def _read(self, state: _State) -> float | None:
        if state.changes < self._n:
            return None
        total = state.gain + state.loss
        return 100.0 * (state.gain / total) if total > 0 else 50.0

    def update(self, x: float, /) -> None:
        """Commit one session's close."""
        self._state = self._step(x)

    def peek(self, x: float, /) -> float | None:
        """The index if `x` were the next close."""
        return self._read(self._step(x))

    @property
    def value(self) -> float | None:
        """The index at the last close, None before close n + 1."""
        return self._read(self._state)

    @property
    def ready(self) -> bool:
        """Whether n changes have been seen."""
        return self._state.changes == self._n

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {"n": self._n, **self._state._asdict()}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        rsi = cls(read_int(snapshot, "n"))
        changes, gain, loss = read_int(snapshot, "changes"), read_float(snapshot, "gain"), read_float(snapshot, "loss")
        if not 0 <= changes <= rsi._n or gain < 0 or loss < 0:
            raise ValueError(f"not the state of an RSI({rsi._n}): changes={changes}, gain={gain}, loss={loss}")
        rsi._state = _State(read_optional_float(snapshot, "last"), changes, gain, loss)
        return rsi
