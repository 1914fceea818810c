"""The top of the book of each live VX contract: order flow by the minute, and what stands at the best prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final

import numpy as np

from processors.signals.liquidity import top_depth_usd
from processors.signals.order_flow import OrderFlow, OrderFlowValue
from topics.instrument import parse_symbol
from topics.message import Feature
from topics.ticks import TickColumns
from topics.times import SECOND

#: USD per point of the index.
VX_MULTIPLIER = 1000
#: Displayed size is gone in seconds: an older quote is no depth.
MAX_AGE = 5 * SECOND
#: Ticks that may wait.
_MOST: Final = 32_768
_FIELDS: Final = ("size", "bid", "bid_size", "ask", "ask_size")


@lru_cache(maxsize=4096)
def _expiry(symbol: str) -> date | None:
    """Expiry of a VX contract; None for every other instrument, and for what is none."""
    try:
        instrument = parse_symbol(symbol)
    except ValueError:  # refused rows bring such names too
        return None
    return instrument.expiry if instrument.kind == "future" and instrument.root == "VX" else None


class Books:
    """Order flow by contract. Gives the same bits however its rows were cut into blocks.

    Ticks wait until somebody asks for their contract: at a mark only that of the front contract is looked at, and those
    of the others are then taken up many at a time.
    """

    def __init__(self) -> None:
        self._flows: dict[str, OrderFlow] = {}
        self._waiting: list[TickColumns] = []
        self._rows = 0
        self._taken: Counter[str] = Counter()  # how many of these have been taken up, by contract

    def apply(self, columns: TickColumns) -> None:
        """Take up ticks, rising in event time for each instrument."""
        self._waiting.append(columns)
        self._rows += len(columns)
        if self._rows > _MOST:
            self._settle()

    def _settle(self) -> None:
        """Take up everything that waits."""
        for name in sorted({name for columns in self._waiting for name in columns.symbols}):
            if _expiry(name) is not None:
                self._take(name)
        self._waiting.clear()
        self._rows = 0
        self._taken.clear()

    def _take(self, name: str) -> None:
        """Take up the ticks of one contract that wait."""
        times, figures = [], []
        for columns in self._waiting[self._taken[name] :]:
            if name in columns.symbols:
                rows = np.flatnonzero(columns.symbol == columns.symbols.index(name))
                times.append(columns.event_ts[rows])
                figures.append(np.array([columns.values[field][rows] for field in _FIELDS]))
        self._taken[name] = len(self._waiting)
        if not any(map(len, times)):
            return
        ts, book = np.concatenate(times), np.concatenate(figures, axis=1)
        size, bid, _, ask, _ = book
        trades, quoted = ts[~np.isnan(size)], ~(np.isnan(bid) & np.isnan(ask))
        if len(trades) or quoted.any():
            _, bid, bid_size, ask, ask_size = book[:, quoted]
            self._flows.setdefault(name, OrderFlow()).add(ts[quoted], bid, bid_size, ask, ask_size, trades)

    def flow(self, symbol: str, ts: int) -> OrderFlowValue | None:
        """The last finished minute of a contract's order flow before ``ts``, ns; None when there was none."""
        self._take(symbol)
        flow = self._flows.get(symbol)
        return None if flow is None else flow.close(ts)

    def features(self, symbol: str, ts: int) -> dict[str, Feature]:
        """Order flow of a contract and what stands at its best prices at ``ts``, ns, by name."""
        found: dict[str, Feature] = {}
        flow = self.flow(symbol, ts)
        if flow is not None:
            found |= {"ofi": flow.ofi, "book_depth": flow.depth}
            if flow.quote_to_trade is not None:
                found["quote_to_trade"] = flow.quote_to_trade
        top = self._flows[symbol].top if symbol in self._flows else None
        if top is not None and ts - top.ts <= MAX_AGE:
            found["top_bid_usd"] = top_depth_usd(top.bid, top.bid_size, VX_MULTIPLIER)
            found["top_ask_usd"] = top_depth_usd(top.ask, top.ask_size, VX_MULTIPLIER)
        return found

    def forget(self, expired: date) -> None:
        """Drop the contracts that have expired by the end of that day."""
        self._settle()
        self._flows = {name: flow for name, flow in self._flows.items() if (_expiry(name) or date.min) > expired}

    def snapshot(self) -> dict[str, Any]:
        """As JSON values."""
        self._settle()
        return {name: flow.snapshot() for name, flow in self._flows.items()}

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> Books:
        """The books that gave ``saved``."""
        books = cls()
        books._flows = {name: OrderFlow.restore(flow) for name, flow in saved.items()}
        return books
