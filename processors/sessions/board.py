"""The board: the latest prices of the instruments that are followed, updated by columns.

A value is replaced only by one whose event time is not older (per instrument), so ticks that arrive out of order never
bring an old price back. Every operation gives the same board for the same rows in the same order, however they were cut
into pieces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from topics.instrument import parse_symbol
from topics.market import PRICES
from topics.ticks import TickColumns, is_absent

Ints = NDArray[np.int64]
Codes = NDArray[np.int64]

#: Prices whose own event time and source are kept, as one may be much older than another. A quote is that of its bid.
_TIMED: Final = ("settle", "bid", "last")
_GROW: Final = 64


@dataclass(frozen=True, slots=True)
class Quote:
    """A price, when it was made and who sent it."""

    price: float
    ts: int
    source: str


class Board:
    """Latest prices by instrument.

    Attributes:
        symbols: instrument of each code, in the order of first sight.
        ts: event time of the newest tick, int64 ns, shape (capacity,); 0 before the first.
        prices: float64 of shape (capacity,) by field; NaN where nothing was seen.
        times: event time of each price, int64 ns, shape (capacity,) by field.
        origins: code into ``sources`` of each price, shape (capacity,) by field.
    """

    def __init__(self) -> None:
        self.symbols: list[str] = []
        self._codes: dict[str, int] = {}
        self.sources: list[str] = []
        self._source_codes: dict[str, int] = {}
        self.ts: Ints = np.zeros(_GROW, dtype=np.int64)
        self.prices: dict[str, NDArray[np.float64]] = {name: np.full(_GROW, np.nan) for name in PRICES}
        self.times: dict[str, Ints] = {name: np.zeros(_GROW, dtype=np.int64) for name in _TIMED}
        self.origins: dict[str, Codes] = {name: np.zeros(_GROW, dtype=np.int64) for name in _TIMED}

    def __len__(self) -> int:
        return len(self.symbols)

    def code(self, symbol: str) -> int | None:
        """The code of an instrument that has been seen."""
        return self._codes.get(symbol)

    def apply(self, columns: TickColumns) -> None:
        """Take up ticks that are in order for each instrument; of several of one instrument the last one counts."""
        symbol, source = self.codes(columns), self._source_codes_of(columns)
        ts = columns.event_ts
        self.ts[symbol] = ts
        for name in PRICES:
            column = columns.values[name]
            if is_absent(column):
                continue
            at, made, by = symbol, ts, source
            missing = np.isnan(column)
            if missing.any():
                there = ~missing
                column, at, made, by = column[there], at[there], made[there], by[there]
            self.prices[name][at] = column
            if name in _TIMED:
                self.times[name][at] = made
                self.origins[name][at] = by

    def codes(self, columns: TickColumns) -> Codes:
        """Board code of the instrument of each tick; those that are new are put on the board."""
        codes = np.full(len(columns.symbols), -1, dtype=np.int64)
        for i in _used(columns.symbol, len(columns.symbols)):
            codes[i] = self._code(columns.symbols[i])
        return codes[columns.symbol]

    def _source_codes_of(self, columns: TickColumns) -> Codes:
        codes = np.full(len(columns.sources), -1, dtype=np.int64)
        for i in _used(columns.source, len(columns.sources)):
            codes[i] = self._source_code(columns.sources[i])
        return codes[columns.source]

    def quote(self, symbol: str) -> Quote | None:
        """The newest price: settle, middle of the quote, or last; of equally new ones the first of these."""
        code = self._codes.get(symbol)
        if code is None:
            return None
        settle, bid, ask, last = (float(self.prices[name][code]) for name in ("settle", "bid", "ask", "last"))
        middle = (bid + ask) / 2 if bid <= ask else math.nan
        best: Quote | None = None
        for name, price in (("settle", settle), ("bid", middle), ("last", last)):
            ts = int(self.times[name][code])
            if price == price and (best is None or ts > best.ts):
                best = Quote(price, ts, self.sources[self.origins[name][code]])
        return best

    def sides(self, symbol: str) -> tuple[float, float, int] | None:
        """Newest bid and ask, NaN where there is none, and event time of the bid, ns; None for what has no bid."""
        code = self._codes.get(symbol)
        if code is None or not self.times["bid"][code]:
            return None
        return float(self.prices["bid"][code]), float(self.prices["ask"][code]), int(self.times["bid"][code])

    def futures(self, root: str) -> list[tuple[date, str]]:
        """Expiry and symbol of each future on the board with that root, by expiry."""
        found = []
        for symbol in self.symbols:
            instrument = parse_symbol(symbol)
            if instrument.kind == "future" and instrument.root == root and instrument.expiry is not None:
                found.append((instrument.expiry, symbol))
        return sorted(found)

    def forget(self, expired: date) -> None:
        """Drop the futures that have expired by the end of that day."""
        keep = []
        for i, symbol in enumerate(self.symbols):
            expiry = parse_symbol(symbol).expiry
            if expiry is None or expiry > expired:
                keep.append(i)
        if len(keep) == len(self.symbols):
            return
        self._resize(keep, max(_GROW, len(keep)))
        self.symbols = [self.symbols[i] for i in keep]
        self._codes = {symbol: i for i, symbol in enumerate(self.symbols)}

    def snapshot(self) -> dict[str, Any]:
        """The board as JSON values: instrument to [time, {field: price}, {field: [time, source]}]."""
        rows: dict[str, Any] = {}
        for i, symbol in enumerate(self.symbols):
            prices = {name: float(column[i]) for name, column in self.prices.items() if column[i] == column[i]}
            made = {
                name: [int(self.times[name][i]), self.sources[self.origins[name][i]]]
                for name in _TIMED
                if name in prices
            }
            rows[symbol] = [int(self.ts[i]), prices, made]
        return rows

    @classmethod
    def restore(cls, rows: Mapping[str, Any]) -> Board:
        """The board that gave ``rows``."""
        board = cls()
        for symbol, (ts, prices, made) in rows.items():
            code = board._code(symbol)
            board.ts[code] = ts
            for name, price in prices.items():
                board.prices[name][code] = price
            for name, (at, source) in made.items():
                board.times[name][code] = at
                board.origins[name][code] = board._source_code(source)
        return board

    def _code(self, symbol: str) -> int:
        code = self._codes.get(symbol)
        if code is None:
            code = self._codes[symbol] = len(self.symbols)
            self.symbols.append(symbol)
            if code >= len(self.ts):
                self._resize(list(range(code)), 2 * code)
        return code

    def _source_code(self, source: str) -> int:
        code = self._source_codes.get(source)
        if code is None:
            code = self._source_codes[source] = len(self.sources)
            self.sources.append(source)
        return code

    def _resize(self, keep: list[int], size: int) -> None:
        self.ts = _moved(self.ts, keep, size, 0)
        self.prices = {name: _moved(column, keep, size, np.nan) for name, column in self.prices.items()}
        self.times = {name: _moved(column, keep, size, 0) for name, column in self.times.items()}
        self.origins = {name: _moved(column, keep, size, 0) for name, column in self.origins.items()}


def _used(codes: NDArray[np.int32], count: int) -> list[int]:
    """Which of ``count`` codes occur, rising."""
    return np.flatnonzero(np.bincount(codes, minlength=count)).tolist()


def _moved(column: NDArray[Any], keep: list[int], size: int, empty: float) -> NDArray[Any]:
    """A column of ``size`` that begins with the kept entries."""
    moved = np.full(size, empty, dtype=column.dtype)
    moved[: len(keep)] = column[keep]
    return moved
