"""The board: the latest quote of every instrument of a market, updated by columns.

A value is replaced only by one whose event time is not older (per instrument), so ticks that arrive out of order never
bring an old price back. Every operation gives the same board for the same rows in the same order, however they were cut
into pieces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from topics.instrument import parse_symbol
from topics.market import VALUES
from topics.ticks import TickColumns

Ints = NDArray[np.int64]
Codes = NDArray[np.int64]

#: Kept per instrument, beside its newest event time.
_FIELDS: Final = tuple(name for name in VALUES if name != "size")
#: Fields whose own event time is kept, as one may be much older than another. A quote is timed by its bid.
_TIMED: Final = ("last", "bid", "settle")
_GROW: Final = 64


class Board:
    """Latest values by instrument.

    Attributes:
        symbols: instrument of each code, in the order of first sight.
        ts: event time of the newest tick, int64 ns, shape (capacity,); 0 before the first.
        values: float64 of shape (capacity,) by field; NaN where nothing was seen.
        source: code into ``sources`` of the newest tick.
    """

    def __init__(self) -> None:
        self.symbols: list[str] = []
        self._codes: dict[str, int] = {}
        self.sources: list[str] = []
        self._source_codes: dict[str, int] = {}
        self.ts: Ints = np.zeros(_GROW, dtype=np.int64)
        self.source: Ints = np.zeros(_GROW, dtype=np.int64)
        self.values: dict[str, NDArray[np.float64]] = {name: np.full(_GROW, np.nan) for name in _FIELDS}
        self.times: dict[str, Ints] = {name: np.zeros(_GROW, dtype=np.int64) for name in _TIMED}

    def __len__(self) -> int:
        return len(self.symbols)

    def code(self, symbol: str) -> int | None:
        """The code of an instrument that has been seen."""
        return self._codes.get(symbol)

    def codes(self, names: tuple[str, ...], used: NDArray[np.int32]) -> Codes:
        """Board codes of the names that ``used`` points to, shape (len(names),); -1 for names without a usable row."""
        codes = np.full(len(names), -1, dtype=np.int64)
        for i in dict.fromkeys(used.tolist()):
            codes[i] = self._code(names[i])
        return codes

    def source_codes(self, names: tuple[str, ...]) -> Codes:
        """Codes of the sources, shape (len(names),)."""
        return np.array([self._source_code(name) for name in names], dtype=np.int64)

    def apply(self, columns: TickColumns, rows: NDArray[np.intp], symbol: Codes, source: Codes) -> None:
        """Take up rows that are in order for each instrument; of several rows of one instrument the last one counts.

        ``symbol`` and ``source`` are board codes, shape (len(rows),).
        """
        self.ts[symbol] = columns.event_ts[rows]
        self.source[symbol] = source
        for name in _FIELDS:
            column = columns.values[name][rows]
            there = ~np.isnan(column)
            if there.any():
                self.values[name][symbol[there]] = column[there]
                if name in _TIMED:
                    self.times[name][symbol[there]] = columns.event_ts[rows][there]

    def price(self, code: int) -> float | None:
        """The newest price: settle, middle of the quote, or last; of equally new ones the first of these."""
        best: float | None = None
        newest = -1
        settle, bid, ask, last = (float(self.values[name][code]) for name in ("settle", "bid", "ask", "last"))
        middle = (bid + ask) / 2 if bid <= ask else math.nan
        for name, value in (("settle", settle), ("bid", middle), ("last", last)):
            ts = int(self.times[name][code])
            if value == value and ts > newest:
                best, newest = value, ts
        return best

    def last(self, symbol: str, not_before: int) -> float | None:
        """The newest price of ``symbol`` when it is not older than ``not_before``, ns."""
        code = self._codes.get(symbol)
        return None if code is None or self.ts[code] < not_before else self.price(code)

    def newest(self, symbol: str) -> int:
        """Event time of the newest tick of ``symbol``, ns; 0 when there was none."""
        code = self._codes.get(symbol)
        return 0 if code is None else int(self.ts[code])

    def source_of(self, symbol: str) -> str | None:
        """Source of the newest tick of ``symbol``."""
        code = self._codes.get(symbol)
        return None if code is None or not self.ts[code] else self.sources[self.source[code]]

    def futures(self, root: str) -> list[tuple[date, str]]:
        """Expiry and symbol of each future on the board with that root, by expiry."""
        found = []
        for symbol in self.symbols:
            instrument = parse_symbol(symbol)
            if instrument.kind == "future" and instrument.root == root and instrument.expiry is not None:
                found.append((instrument.expiry, symbol))
        return sorted(found)

    def forget(self, expired: date) -> None:
        """Drop the futures and options that have expired by the end of that day."""
        keep = []
        for i, symbol in enumerate(self.symbols):
            expiry = parse_symbol(symbol).expiry
            if expiry is None or expiry > expired:
                keep.append(i)
        if len(keep) == len(self.symbols):
            return
        size = max(_GROW, len(keep))
        self.ts = _moved(self.ts, keep, size, 0)
        self.source = _moved(self.source, keep, size, 0)
        self.values = {name: _moved(column, keep, size, np.nan) for name, column in self.values.items()}
        self.times = {name: _moved(column, keep, size, 0) for name, column in self.times.items()}
        self.symbols = [self.symbols[i] for i in keep]
        self._codes = {symbol: i for i, symbol in enumerate(self.symbols)}

    def snapshot(self) -> dict[str, Any]:
        """The board as JSON values: instrument to [time, source, {field: value}, {field: time}]."""
        rows: dict[str, Any] = {}
        for i, symbol in enumerate(self.symbols):
            values = {name: float(column[i]) for name, column in self.values.items() if column[i] == column[i]}
            times = {name: int(column[i]) for name, column in self.times.items() if column[i]}
            rows[symbol] = [int(self.ts[i]), self.sources[self.source[i]] if self.ts[i] else "", values, times]
        return rows

    @classmethod
    def restore(cls, rows: Mapping[str, Any]) -> Board:
        """The board that gave ``rows``."""
        board = cls()
        for symbol, (ts, source, values, times) in rows.items():
            code = board._code(symbol)
            board.ts[code] = ts
            if ts:
                board.source[code] = board._source_code(source)
            for name, value in values.items():
                board.values[name][code] = value
            for name, at in times.items():
                board.times[name][code] = at
        return board

    def _code(self, symbol: str) -> int:
        code = self._codes.get(symbol)
        if code is None:
            code = self._codes[symbol] = len(self.symbols)
            self.symbols.append(symbol)
            if code >= len(self.ts):
                every = list(range(code))
                self.ts = _moved(self.ts, every, 2 * code, 0)
                self.source = _moved(self.source, every, 2 * code, 0)
                self.values = {name: _moved(column, every, 2 * code, np.nan) for name, column in self.values.items()}
                self.times = {name: _moved(column, every, 2 * code, 0) for name, column in self.times.items()}
        return code

    def _source_code(self, source: str) -> int:
        code = self._source_codes.get(source)
        if code is None:
            code = self._source_codes[source] = len(self.sources)
            self.sources.append(source)
        return code


def _moved(column: NDArray[Any], keep: list[int], size: int, empty: float) -> NDArray[Any]:
    """A column of ``size`` that begins with the kept entries."""
    moved = np.full(size, empty, dtype=column.dtype)
    moved[: len(keep)] = column[keep]
    return moved
