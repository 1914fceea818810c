"""The top of the book of each live VX contract: order flow by the minute, and what stands at the best prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    Rows wait until somebody asks for their contract: at a mark only that of the front contract is looked at, and those
    of the others are then taken up a block at a time.
    """

    def __init__(self) -> None:
        self._flows: dict[str, OrderFlow] = {}
        self._columns: TickColumns | None = None
        self._rows: list[NDArray[np.intp]] = []
        self._taken: Counter[str] = Counter()  # how many of these parts have been taken up, by contract

    def apply(self, columns: TickColumns, rows: NDArray[np.intp]) -> None:
        """Take up rows, rising in event time for each instrument."""
        if columns is not self._columns:
            self._settle()
            self._columns = columns
        self._rows.append(rows)

    def _settle(self) -> None:
        """Take up every row that waits."""
        if self._columns is None:
            return
        for name in self._columns.symbols:
            if _expiry(name) is not None:
                self._take(name)
        self._columns = None
        self._rows.clear()
        self._taken.clear()

    def _take(self, name: str) -> None:
        """Take up the rows of one contract that wait."""
        columns, parts = self._columns, self._rows[self._taken[name] :]
        if columns is None or not parts or name not in columns.symbols:
            return
        self._taken[name] = len(self._rows)
        rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        rows = rows[columns.symbol[rows] == columns.symbols.index(name)]
        if not len(rows):
            return
        values = {field: columns.values[field][rows] for field in ("bid", "bid_size", "ask", "ask_size", "size")}
        ts, quoted = columns.event_ts[rows], ~(np.isnan(values["bid"]) & np.isnan(values["ask"]))
        trades = ts[~np.isnan(values.pop("size"))]
        if not quoted.all():
            ts, values = ts[quoted], {field: column[quoted] for field, column in values.items()}
        if len(ts) or len(trades):
            self._flows.setdefault(name, OrderFlow()).add(ts, **values, trade_ts=trades)

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
