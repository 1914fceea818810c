"""One exchange session while it is being built: official closes, stand-ins, bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.signals.calendar import FIRST_DAY, LAST_DAY, SessionCalendar
from processors.signals.equity import EQUITY_SYMBOLS
from topics.instrument import parse_symbol

#: Inputs of the core signals: name of the input to its symbol.
CORE: Final[Mapping[str, str]] = {"vix": "VIX", "vix3m": "VIX3M", "vvix": "VVIX", "spx": "SPX"}
#: A session's regime waits longest for these.
ESSENTIAL: Final = frozenset({"VIX", "SPX"})
FUTURE_ROOT: Final = "VX"
_CLOSES: Final = frozenset({*CORE.values(), *EQUITY_SYMBOLS})


@lru_cache(maxsize=65_536)
def followed(symbol: str) -> bool:
    """Whether closes of that instrument make signals: indices, breadth, VX. Of all others but options only time counts.

    A market may quote tens of thousands of options; what is kept of an instrument is part of the state that every
    commit writes.
    """
    if symbol in _CLOSES:
        return True
    try:
        instrument = parse_symbol(symbol)
    except ValueError:
        return False
    return instrument.kind == "future" and instrument.root == FUTURE_ROOT


def span(calendar: SessionCalendar) -> tuple[int, int]:
    """First and last event time, ns, that have a session, and another one after it, in the calendar."""
    first = calendar.next_session(FIRST_DAY)
    last = calendar.previous_session(calendar.previous_session(LAST_DAY))
    return calendar.open_ts(first), calendar.vix_close_ts(last)


@dataclass(frozen=True, slots=True)
class Close:
    """A closing value: of an official tick, or standing in for one."""

    value: float
    ts: int
    source: str


@dataclass(slots=True)
class Session:
    """A session that is not yet committed.

    Attributes:
        day: its date.
        open_ts, close_ts, vix_close_ts, vx_settle_ts: the calendar's moments, ns. Indices of shares close at
            ``close_ts``, volatility indices 15 minutes later.
        latest_ts: the last moment at which it may be committed, just before the next session opens, ns.
        officials: official closes so far, by symbol.
        stand_ins: the price of each instrument when the stream passed its close, by symbol.
        bars: [first, highest, lowest] price of the core indices, by symbol.
        passed: calendar moments that the stream has passed.
        reached: the stream's time when the newest of the official closes came, ns; they may come late.
    """

    day: date
    open_ts: int
    close_ts: int
    vix_close_ts: int
    vx_settle_ts: int
    latest_ts: int
    officials: dict[str, Close] = field(default_factory=dict)
    stand_ins: dict[str, Close] = field(default_factory=dict)
    bars: dict[str, list[float]] = field(default_factory=dict)
    passed: int = 0
    reached: int = 0

    @classmethod
    def of(cls, calendar: SessionCalendar, day: date) -> Session:
        """The empty session of that day."""
        return cls(
            day,
            calendar.open_ts(day),
            calendar.close_ts(day),
            calendar.vix_close_ts(day),
            calendar.vx_settle_ts(day),
            calendar.open_ts(calendar.next_session(day)) - 1,
        )

    def closing_ts(self, symbol: str) -> int:
        """When an instrument that is followed closes, ns."""
        kind = parse_symbol(symbol).kind
        if kind == "future":
            return self.vx_settle_ts
        return self.vix_close_ts if kind == "volatility_index" else self.close_ts

    def within(self, symbol: str, ts: int) -> bool:
        """Whether a moment lies in the session's hours of an instrument."""
        return self.open_ts <= ts <= self.closing_ts(symbol)

    @property
    def moments(self) -> list[int]:
        """The distinct closing moments, rising."""
        return sorted({self.close_ts, self.vx_settle_ts, self.vix_close_ts})

    def priced(self, symbol: str, prices: NDArray[np.float64], ts: NDArray[np.int64]) -> None:
        """Count prices, shape (n,), and their event times, ns, in the bar when within the hours."""
        within = (ts >= self.open_ts) & (ts <= self.closing_ts(symbol))
        inside = prices if within.all() else prices[within]
        if len(inside):
            bar = self.bars.setdefault(symbol, [float(inside[0])] * 3)
            bar[1:] = max(bar[1], float(inside.max())), min(bar[2], float(inside.min()))

    def official(self, symbol: str, close: Close, repeated: bool, now: int) -> None:
        """Take an official close at stream time ``now``, ns.

        A later one of the same session corrects it. One that is older than what the session has, or that is
        ``repeated``, as its source had sent its number before, replaces nothing.
        """
        known = self.officials.get(symbol)
        if known is None or close.ts > known.ts or (close.ts == known.ts and not repeated):
            self.officials[symbol] = close
            self.reached = now

    def close_of(self, symbol: str) -> Close | None:
        """The official close, else what stands in for it, else None."""
        return self.officials.get(symbol) or self.stand_ins.get(symbol)

    def closed_bars(self) -> dict[str, list[float]]:
        """[open, high, low, close] of the core indices that have a close and were priced within the session."""
        closed = {}
        for symbol in CORE.values():
            close = self.close_of(symbol)
            if close is None or not (symbol in self.bars or symbol in self.officials):
                continue
            first, high, low = self.bars.get(symbol, [close.value] * 3)
            closed[symbol] = [first, max(high, close.value), min(low, close.value), close.value]
        return closed

    def snapshot(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "day": self.day.isoformat(),
            "officials": {s: [c.value, c.ts, c.source] for s, c in self.officials.items()},
            "stand_ins": {s: [c.value, c.ts, c.source] for s, c in self.stand_ins.items()},
            "bars": {s: list(bar) for s, bar in self.bars.items()},
            "passed": self.passed,
            "reached": self.reached,
        }

    @classmethod
    def restore(cls, calendar: SessionCalendar, saved: Mapping[str, Any]) -> Session:
        """The session that gave ``saved``."""
        session = cls.of(calendar, date.fromisoformat(saved["day"]))
        session.officials = {s: Close(*c) for s, c in saved["officials"].items()}
        session.stand_ins = {s: Close(*c) for s, c in saved["stand_ins"].items()}
        session.bars = {s: list(bar) for s, bar in saved["bars"].items()}
        session.passed = saved["passed"]
        session.reached = saved["reached"]
        return session
