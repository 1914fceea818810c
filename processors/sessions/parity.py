"""Put-call parity of VIX options against VX at prices that can be traded: what it would lock in, and what is stale."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.pricing import MINUTES_PER_YEAR
from processors.pricing.conversion import Lots, conversion_edge, reversal_edge
from processors.sessions.chains import Sides

Floats = NDArray[np.float64]

#: Contracts and what dealing in them costs, USD a contract and side. The fees are a choice: of the order of what the
#: exchanges and a clearing broker charge together.
LOTS: Final = Lots(option_fee=1.0, future_fee=2.0)
#: A rate of more than this, a decimal a year, is none.
_RATE_MAX: Final = 1.0


@dataclass(frozen=True, slots=True)
class Parity:
    """What parity says at one instant.

    Attributes:
        conversion: the best edge of a conversion over all strikes and expiries, vol points after fees; None without
            one whose sides are all quoted. Mostly below 0.
        reversal: the same of a reversal.
        stale: expiries of which one strike's conversion and reversal together lock in more than nothing. No quotes of
            one moment do that, whoever makes them.
    """

    conversion: float | None = None
    reversal: float | None = None
    stale: frozenset[date] = frozenset()

    @property
    def features(self) -> dict[str, float]:
        """The edges that there are, by name."""
        edges = {"conversion_edge": self.conversion, "reversal_edge": self.reversal}
        return {name: edge for name, edge in edges.items() if edge is not None}


def parity(quoted: Iterable[Sides], rate: float | None) -> Parity:
    """Edges over the expiries whose future is quoted; ``rate`` is continuous, a decimal a year, and nothing without it.

    Crossed quotes show what is stale and make no edge, and neither does an expiry that is stale.
    """
    if rate is None or not abs(rate) <= _RATE_MAX:
        return Parity()
    expiries = list(quoted)
    if not expiries:
        return Parity()
    sizes = [len(each.strikes) for each in expiries]
    strikes = np.concatenate([each.strikes for each in expiries])
    call_bid, call_ask, put_bid, put_ask = np.concatenate([each.quotes for each in expiries], axis=1)
    t = np.repeat([each.minutes / MINUTES_PER_YEAR for each in expiries], sizes)
    future_bid, future_ask = (
        np.repeat([math.nan if price is None else price for price in prices], sizes)
        for prices in ([each.future.bid for each in expiries], [each.future.ask for each in expiries])
    )
    conversion, reversal = np.full(len(strikes), np.nan), np.full(len(strikes), np.nan)
    there = ~np.isnan(call_bid + put_ask + future_ask)
    conversion[there] = conversion_edge(
        strikes[there], call_bid[there], put_ask[there], future_ask[there], t[there], rate, LOTS
    )
    there = ~np.isnan(call_ask + put_bid + future_bid)
    reversal[there] = reversal_edge(
        strikes[there], call_ask[there], put_bid[there], future_bid[there], t[there], rate, LOTS
    )
    number = np.repeat(np.arange(len(expiries)), sizes)
    stale = np.unique(number[conversion + reversal > 0.0])
    crossed = (call_bid > call_ask) | (put_bid > put_ask) | (future_bid > future_ask)
    usable = ~crossed & ~np.isin(number, stale)
    return Parity(
        _best(conversion[usable]), _best(reversal[usable]), frozenset(expiries[i].expiry for i in stale.tolist())
    )


def _best(edges: Floats) -> float | None:
    known = edges[~np.isnan(edges)]
    return float(known.max()) if len(known) else None
