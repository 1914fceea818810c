"""The job of every peer, as plain functions over plain lists: a framework keeps the lists as it keeps state.

For each symbol one-minute bars of the last price, and at the end of each bar MACD(12,26,9) and RSI(14) of the bars'
closes. At the end of each bar of VIX a score of 0 to 100 and a state from the newest bars of SPX, VIX and VIX3M; when
the score has changed, a message with everything. The standard library alone, so that every environment can import it.
"""

from __future__ import annotations

from typing import Any

#: Places in a symbol's list: the open bar, the newest finished one, and the indicators of finished bars.
MINUTE, OPEN, HIGH, LOW, CLOSE = 0, 1, 2, 3, 4
BAR_OPEN, BAR_HIGH, BAR_LOW, BAR_CLOSE = 5, 6, 7, 8
BARS, FAST, SLOW, MACD, SIGNAL, GAIN, LOSS = 9, 10, 11, 12, 13, 14, 15
_FAST, _SLOW, _SIGNAL, _RSI = 12, 26, 9, 14


def start(minute: str, price: float) -> list[Any]:
    """The list of a symbol at its first tick."""
    return [minute, price, price, price, price, *(0.0 for _ in range(4)), 0, *(0.0 for _ in range(6))]


def add(state: list[Any], minute: str, price: float) -> bool:
    """Take a tick into the list. Returns whether it is the first of a new minute, and so ended a bar."""
    if minute == state[MINUTE]:
        if price > state[HIGH]:
            state[HIGH] = price
        elif price < state[LOW]:
            state[LOW] = price
        state[CLOSE] = price
        return False
    _finish(state)
    state[MINUTE] = minute
    state[OPEN] = state[HIGH] = state[LOW] = state[CLOSE] = price
    return True


def _finish(state: list[Any]) -> None:
    """Advance the indicators by the bar that ends: the seeds of TA-Lib, then the usual recursions."""
    before, close = state[BAR_CLOSE], state[CLOSE]
    state[BAR_OPEN : BAR_CLOSE + 1] = state[OPEN : CLOSE + 1]
    state[BARS] = bars = state[BARS] + 1
    if bars <= _SLOW:
        state[SLOW] += close / _SLOW
        if bars > _SLOW - _FAST:
            state[FAST] += close / _FAST
    else:
        state[SLOW] += (close - state[SLOW]) * 2 / (_SLOW + 1)
        state[FAST] += (close - state[FAST]) * 2 / (_FAST + 1)
    if bars >= _SLOW:
        state[MACD] = macd = state[FAST] - state[SLOW]
        if bars < _SLOW + _SIGNAL:
            state[SIGNAL] += macd / _SIGNAL
        else:
            state[SIGNAL] += (macd - state[SIGNAL]) * 2 / (_SIGNAL + 1)
    if bars == 1:
        return
    change = close - before
    gain, loss = (change, 0.0) if change > 0 else (0.0, -change)
    if bars <= _RSI + 1:
        state[GAIN] += gain / _RSI
        state[LOSS] += loss / _RSI
    else:
        state[GAIN] += (gain - state[GAIN]) / _RSI
        state[LOSS] += (loss - state[LOSS]) / _RSI


def rsi(state: list[Any]) -> float | None:
    """RSI(14), None before bar 15; 50 when nothing has moved."""
    if state[BARS] <= _RSI:
        return None
    total = state[GAIN] + state[LOSS]
    return 100 * state[GAIN] / total if total > 0 else 50.0


def ready(state: list[Any]) -> bool:
    """Whether MACD and its signal line have their seeds."""
    return bool(state[BARS] >= _SLOW + _SIGNAL - 1)


def reading(state: list[Any]) -> dict[str, Any]:
    """What is known of a symbol at its newest finished bar."""
    there = ready(state)
    return {
        "bars": state[BARS],
        "bar": state[BAR_OPEN : BAR_CLOSE + 1],
        "macd": state[MACD] if there else None,
        "signal": state[SIGNAL] if there else None,
        "rsi": rsi(state),
    }


def score(spx: list[Any], vix: list[Any], vix3m: list[Any]) -> float:
    """0 (calm) to 100, to a tenth: half of it from VIX, the rest from VIX/VIX3M, and RSI and MACD of SPX."""
    level = _share(vix[BAR_CLOSE], 10.0, 40.0)
    inverted = _share(vix[BAR_CLOSE] / vix3m[BAR_CLOSE], 0.8, 1.2)
    weak = 1.0 - _share(rsi(spx) or 50.0, 30.0, 70.0)
    falling = 1.0 if ready(spx) and spx[MACD] < spx[SIGNAL] else 0.0
    return round(50 * level + 30 * inverted + 10 * weak + 10 * falling, 1)


def state_of(points: float) -> str:
    """The regime of a score."""
    return "low" if points < 25 else "moderate" if points < 50 else "elevated" if points < 75 else "high"


def _share(x: float, low: float, high: float) -> float:
    return min(max((x - low) / (high - low), 0.0), 1.0)


def message(tick: dict[str, Any], symbols: dict[str, list[Any]], before: float | None) -> dict[str, Any] | None:
    """What is sent after a bar of VIX has ended with ``tick``: None when the score is what it was ``before``.

    ``n`` is the number of ticks read so far.
    """
    if "SPX" not in symbols or "VIX3M" not in symbols or not symbols["SPX"][BARS] or not symbols["VIX3M"][BARS]:
        return None
    points = score(symbols["SPX"], symbols["VIX"], symbols["VIX3M"])
    if points == before:
        return None
    readings = {name: reading(symbols[name]) for name in sorted(symbols)}
    return {
        "n": tick["seq"] + 1,
        "event_ts": tick["event_ts"],
        "score": points,
        "state": state_of(points),
        "symbols": readings,
    }


class Market:
    """The whole job over state in memory, for peers that keep objects. ``tick`` returns what is to be sent."""

    def __init__(self) -> None:
        self.symbols: dict[str, list[Any]] = {}
        self.score: float | None = None

    def tick(self, tick: dict[str, Any]) -> dict[str, Any] | None:
        """Take one decoded tick; official closes are no trades."""
        if tick.get("official"):
            return None
        symbol, price, minute = tick["symbol"], float(tick["last"]), tick["event_ts"][:16]
        state = self.symbols.get(symbol)
        if state is None:
            self.symbols[symbol] = start(minute, price)
            return None
        if not add(state, minute, price) or symbol != "VIX":
            return None
        found = message(tick, self.symbols, self.score)
        if found is not None:
            self.score = found["score"]
        return found
