"""One exchange session while it is being built: official closes, stand-ins, bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from processors.signals.calendar import SessionCalendar
from topics.instrument import parse_symbol

#: Inputs of the core signals: name of the input to its symbol.
CORE: Final[Mapping[str, str]] = {"vix": "VIX", "vix3m": "VIX3M", "vvix": "VVIX", "spx": "SPX"}
#: A session's regime waits longest for these.
ESSENTIAL: Final = frozenset({"VIX", "SPX"})
FUTURE_ROOT: Final = "VX"


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
        officials: official closes so far, by symbol.
        stand_ins: the price of each instrument when the stream passed its close, by symbol.
        bars: [open, high, low, close] of the core indices, by symbol.
        passed: calendar moments that the stream has passed.
    """

    day: date
    open_ts: int
    close_ts: int
    vix_close_ts: int
    vx_settle_ts: int
    officials: dict[str, Close] = field(default_factory=dict)
    stand_ins: dict[str, Close] = field(default_factory=dict)
    bars: dict[str, list[float]] = field(default_factory=dict)
    passed: int = 0

    @classmethod
    def of(cls, calendar: SessionCalendar, day: date) -> Session:
        """The empty session of that day."""
        return cls(
            day,
            calendar.open_ts(day),
            calendar.close_ts(day),
            calendar.vix_close_ts(day),
            calendar.vx_settle_ts(day),
        )

    def closing_ts(self, symbol: str) -> int:
        """When an instrument closes, ns: shares and their indices, VX, or volatility indices."""
        kind = parse_symbol(symbol).kind
        if kind == "future":
            return self.vx_settle_ts
        return self.vix_close_ts if kind in ("volatility_index", "option") else self.close_ts

    @property
    def moments(self) -> list[int]:
        """The distinct closing moments, rising."""
        return sorted({self.close_ts, self.vx_settle_ts, self.vix_close_ts})

    def price(self, symbol: str, value: float, ts: int) -> None:
        """Count a price in the session's bar when it lies within the instrument's hours."""
        if self.open_ts <= ts <= self.closing_ts(symbol):
            self._bar(symbol, value)

    def official(self, symbol: str, close: Close) -> None:
        """Take an official close; a later one of the same session corrects it."""
        self.officials[symbol] = close
        if symbol in CORE.values():
            self._bar(symbol, close.value)

    def close_of(self, symbol: str) -> Close | None:
        """The official close, else what stands in for it, else None."""
        return self.officials.get(symbol) or self.stand_ins.get(symbol)

    def _bar(self, symbol: str, value: float) -> None:
        bar = self.bars.get(symbol)
        if bar is None:
            self.bars[symbol] = [value] * 4
        else:
            bar[1:] = max(bar[1], value), min(bar[2], value), value

    def snapshot(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "day": self.day.isoformat(),
            "officials": {s: [c.value, c.ts, c.source] for s, c in self.officials.items()},
            "stand_ins": {s: [c.value, c.ts, c.source] for s, c in self.stand_ins.items()},
            "bars": {s: list(bar) for s, bar in self.bars.items()},
            "passed": self.passed,
        }

    @classmethod
    def restore(cls, calendar: SessionCalendar, saved: Mapping[str, Any]) -> Session:
        """The session that gave ``saved``."""
        session = cls.of(calendar, date.fromisoformat(saved["day"]))
        session.officials = {s: Close(*c) for s, c in saved["officials"].items()}
        session.stand_ins = {s: Close(*c) for s, c in saved["stand_ins"].items()}
        session.bars = {s: list(bar) for s, bar in saved["bars"].items()}
        session.passed = saved["passed"]
        return session
