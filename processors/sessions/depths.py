"""Executable depth of the hedge instruments, as its publishers state it: the top five levels of each book."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

from topics.flows import Flow
from topics.times import DAY, SECOND

#: Displayed depth is gone in seconds: an older book is missing, not thin.
MAX_AGE: Final = 5 * SECOND


class Depths:
    """The newest stated depth of each instrument."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, float | None, float | None]] = {}

    def apply(self, flow: Flow) -> Literal["used", "unfollowed", "superseded"]:
        """Take up a figure and say what became of it: ``unfollowed`` states no depth."""
        if flow.depth_bid_usd is None and flow.depth_ask_usd is None:
            return "unfollowed"
        if self._newest.get(flow.symbol, (0, None, None))[0] >= flow.event_ts:
            return "superseded"
        self._newest[flow.symbol] = (flow.event_ts, flow.depth_bid_usd, flow.depth_ask_usd)
        return "used"

    def forget(self, ts: int) -> None:
        """Drop the books that are more than a day old at ``ts``, ns."""
        self._newest = {symbol: depth for symbol, depth in self._newest.items() if ts - depth[0] <= DAY}

    def features(self, ts: int) -> dict[str, float]:
        """``depth_bid_usd`` and ``depth_ask_usd`` at ``ts``, ns, over all instruments whose book is not stale."""
        fresh = [(bid, ask) for at, bid, ask in self._newest.values() if ts - at <= MAX_AGE]
        found = {}
        for name, side in (("depth_bid_usd", 0), ("depth_ask_usd", 1)):
            there = [depth for depths in fresh if (depth := depths[side]) is not None]
            if there:
                found[name] = math.fsum(there)  # exact, whatever their order
        return found

    def snapshot(self) -> dict[str, Any]:
        """As JSON values."""
        return {symbol: list(depth) for symbol, depth in self._newest.items()}

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> Depths:
        """The depths that gave ``saved``."""
        depths = cls()
        depths._newest = {symbol: (at, bid, ask) for symbol, (at, bid, ask) in saved.items()}
        return depths
