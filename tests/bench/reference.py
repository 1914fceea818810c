"""What the job must come to, worked out in another way: bars by numpy, MACD and RSI by TA-Lib, the score from these."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import talib
from numpy.typing import NDArray

from processors.signals.macd import Macd
from processors.signals.rsi import Rsi
from topics.ticks import TickColumns
from topics.times import MINUTE

CLOSE_ENOUGH = 1e-9


@dataclass(frozen=True, slots=True)
class Trades:
    """All ticks but the official closes, by row: number of the tick, minute, price, symbol."""

    seq: NDArray[np.int64]
    minute: NDArray[np.int64]
    price: NDArray[np.float64]
    symbol: NDArray[np.str_]

    @classmethod
    def of(cls, sessions: Iterable[TickColumns]) -> Trades:
        """Those of whole sessions."""
        parts = [each for each in sessions if not each.official.any()]
        return cls(
            np.concatenate([each.seq for each in parts]),
            np.concatenate([each.event_ts for each in parts]) // MINUTE,
            np.concatenate([each.values["last"] for each in parts]),
            np.concatenate([np.array(each.symbols)[each.symbol] for each in parts]),
        )


def bars(trades: Trades, symbol: str, n: int) -> NDArray[np.float64]:
    """Open, high, low, close of the finished bars of a symbol after ``n`` ticks, shape (bars, 4)."""
    mine = (trades.symbol == symbol) & (trades.seq < n)
    minute, price = trades.minute[mine], trades.price[mine]
    starts = np.flatnonzero(np.diff(minute, prepend=-1))
    high, low = np.maximum.reduceat(price, starts), np.minimum.reduceat(price, starts)
    stops = np.append(starts[1:], len(price)) - 1
    return np.stack([price[starts], high, low, price[stops]], axis=1)[:-1]


def differences(trades: Trades, message: Mapping[str, Any]) -> list[str]:
    """Where a message differs from what it must be; empty when it does not."""
    n, found = int(message["n"]), []
    for symbol, reading in message["symbols"].items():
        made = bars(trades, symbol, n)
        closes = np.ascontiguousarray(made[:, 3])
        macd, signal, _ = talib.MACD(closes, 12, 26, 9)
        wanted = {
            "bars": len(made),
            **{f"bar {k}": made[-1, k] for k in range(4)},
            "macd": macd[-1],
            "signal": signal[-1],
            "rsi": _rsi(closes),
        }
        given = {**reading, **{f"bar {k}": reading["bar"][k] for k in range(4)}}
        for name, value in wanted.items():
            theirs = math.nan if given[name] is None else given[name]
            if not _same(theirs, float(value)):
                found.append(f"{symbol}: {name} is {theirs} and must be {value}")
    score = _score(trades, n)
    if not math.isclose(message["score"], score, abs_tol=0.051):  # rounded to a tenth
        found.append(f"score is {message['score']} and must be {score}")
    return found


def ours_differ(trades: Trades, n: int) -> list[str]:
    """Where our own MACD and RSI differ from TA-Lib's over the closes of the same bars."""
    found = []
    for symbol in sorted(set(trades.symbol.tolist())):
        closes = np.ascontiguousarray(bars(trades, symbol, n)[:, 3])
        if len(closes) < 2:
            continue
        macd, rsi = Macd(), Rsi()
        for close in closes.tolist():
            macd.update(close)
            rsi.update(close)
        theirs = [each[-1] for each in talib.MACD(closes, 12, 26, 9)[:2]]
        ours = [math.nan, math.nan] if macd.value is None else [macd.value.macd, macd.value.signal]
        for name, mine, other in zip(
            ("macd", "signal", "rsi"),
            [*ours, math.nan if rsi.value is None else rsi.value],
            [*theirs, _rsi(closes)],
            strict=True,
        ):
            if not _same(mine, float(other)):
                found.append(f"{symbol}: our {name} is {mine} and TA-Lib's {other}")
    return found


def _rsi(closes: NDArray[np.float64]) -> float:
    """TA-Lib's, but 50 where nothing has moved yet, for which it gives 0."""
    value = float(talib.RSI(closes, 14)[-1])
    return 50.0 if not math.isnan(value) and (closes == closes[0]).all() else value


def _same(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=CLOSE_ENOUGH, abs_tol=CLOSE_ENOUGH)


def _score(trades: Trades, n: int) -> float:
    spx, vix, vix3m = (np.ascontiguousarray(bars(trades, name, n)[:, 3]) for name in ("SPX", "VIX", "VIX3M"))
    rsi = _rsi(spx)
    macd, signal, _ = talib.MACD(spx, 12, 26, 9)
    level = np.interp(vix[-1], (10, 40), (0, 50))
    inverted = np.interp(vix[-1] / vix3m[-1], (0.8, 1.2), (0, 30))
    weak = np.interp(50.0 if np.isnan(rsi) else rsi, (30, 70), (10, 0))
    return float(level + inverted + weak + (10 if macd[-1] < signal[-1] else 0))
