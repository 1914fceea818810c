"""The top of the book of each live VX contract: order flow by the minute, and what stands at the best prices."""

from __future__ import annotations

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
    """Expiry of a VX contract; None for every other instrument."""
    instrument = parse_symbol(symbol)
    return instrument.expiry if instrument.kind == "future" and instrument.root == "VX" else None


class Books:
    """Order flow by contract. Gives the same bits however its rows were cut into blocks."""

    def __init__(self) -> None:
        self._flows: dict[str, OrderFlow] = {}

    def apply(self, columns: TickColumns, rows: NDArray[np.intp]) -> None:
        """Take up rows, rising in event time for each instrument."""
        values = columns.values
        quoted = ~np.isnan(values["bid"][rows]) | ~np.isnan(values["ask"][rows])
        traded = ~np.isnan(values["size"][rows])
        for code in np.unique(columns.symbol[rows[quoted | traded]]).tolist():
            name = columns.symbols[code]
            if _expiry(name) is None:
                continue
            flow = self._flows.setdefault(name, OrderFlow())
            mine = columns.symbol[rows] == code
            quotes, trades = rows[mine & quoted], rows[mine & traded]
            flow.add(
                columns.event_ts[quotes],
                values["bid"][quotes],
                values["bid_size"][quotes],
                values["ask"][quotes],
                values["ask_size"][quotes],
                columns.event_ts[trades],
            )

    def flow(self, symbol: str, ts: int) -> OrderFlowValue | None:
        """The last finished minute of a contract's order flow before ``ts``, ns; None when there was none."""
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
        self._flows = {name: flow for name, flow in self._flows.items() if (_expiry(name) or date.min) > expired}

    def snapshot(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: flow.snapshot() for name, flow in self._flows.items()}

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> Books:
        """The books that gave ``saved``."""
        books = cls()
        books._flows = {name: OrderFlow.restore(flow) for name, flow in saved.items()}
        return books
