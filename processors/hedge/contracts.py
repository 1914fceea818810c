"""Layer 1 in whole contracts: what is in its window stays, adds go to the target tenor, reductions to the shortest.

Contracts are rounded toward zero, after the weights, never before: what they are worth never exceeds the weight, and
the residual is part of the reserve. A contract below the window is rolled, both legs in one event, since splitting them
would leave the portfolio naked in between; while adds are blocked it is therefore kept until it expires. One beyond the
window, or in the gap between two windows, is held by its layer but never opened.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from processors.hedge.book import Contract, Holding
from processors.hedge.weights import EPSILON
from topics.hedge_rules import LayerWindow
from topics.rebalance import Trade

#: Relative tolerance that keeps a target equal to what is held from asking for one contract less.
_TOLERANCE: Final = 1e-9


def choose(contracts: Sequence[Contract], window: LayerWindow, session_date: date) -> Contract | None:
    """The contract in the window that is nearest to its target tenor, the earlier of two; None when there is none."""
    inside = [c for c in contracts if _inside((c.expiry - session_date).days, window)]
    return min(inside, key=lambda c: (abs((c.expiry - session_date).days - window.dte_target), c.expiry), default=None)


def size(
    holdings: Sequence[Holding],
    opening: Contract | None,
    budget: float,
    window: LayerWindow,
    session_date: date,
    adds: bool,
    standing: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Contracts to hold, by symbol, every symbol held included; never worth more than ``budget`` USD.

    Args:
        holdings: live contracts held by the layer.
        opening: the contract that adds and rolls go to.
        budget: target weight x H, USD.
        adds: False: no position becomes larger. Reductions stay possible.
        standing: contracts advised earlier in a session whose step still stands: they are advised again.
    """
    known = {h.contract.symbol: h.contract for h in holdings}
    if opening is not None:
        known.setdefault(opening.symbol, opening)
    # A short position is outside of this layer's mandate and is closed, which is a reduction.
    held = {h.contract.symbol: h.quantity for h in holdings}
    target = {symbol: max(quantity, 0) for symbol, quantity in held.items()}
    if standing is not None:
        for symbol in known:
            advised = standing.get(symbol, 0)
            target[symbol] = advised if adds else min(advised, target.get(symbol, 0))
    elif adds and opening is not None:
        for symbol in held:
            if (known[symbol].expiry - session_date).days < window.dte_min:
                target[symbol] = 0
        room = budget - _worth(target, known)
        bought = math.floor(room / opening.unit + _TOLERANCE) if room > 0 else 0
        target[opening.symbol] = target.get(opening.symbol, 0) + bought
    _reduce(target, known, budget)
    return {symbol: quantity for symbol, quantity in sorted(target.items()) if quantity or symbol in held}


def trades(holdings: Sequence[Holding], opening: Contract | None, target: Mapping[str, int]) -> tuple[Trade, ...]:
    """The legs from what is held to ``target``, sales first, each by expiry."""
    known = {h.contract.symbol: h.contract for h in holdings}
    if opening is not None:
        known.setdefault(opening.symbol, opening)
    held = {h.contract.symbol: h.quantity for h in holdings}
    legs = []
    for symbol, after in target.items():
        before = held.get(symbol, 0)
        if after == before:
            continue
        contract, quantity = known[symbol], abs(after - before)
        legs.append(
            Trade(
                layer="L1",
                symbol=symbol,
                side="buy" if after > before else "sell",
                quantity=quantity,
                held=before,
                target=after,
                price=contract.price,
                notional=quantity * contract.unit,
            )
        )
    return tuple(sorted(legs, key=lambda leg: (leg.side == "buy", known[leg.symbol].expiry, leg.symbol)))


def adds_to(leg: Trade) -> bool:
    """Whether a leg makes a position larger, regardless of its sign."""
    return abs(leg.target) > abs(leg.held)


def worth(holdings: Sequence[Holding], opening: Contract | None, target: Mapping[str, int]) -> float:
    """Notional of ``target``, USD."""
    known = {h.contract.symbol: h.contract for h in holdings}
    if opening is not None:
        known.setdefault(opening.symbol, opening)
    return _worth({symbol: quantity for symbol, quantity in target.items() if symbol in known}, known)


def _worth(target: Mapping[str, int], known: Mapping[str, Contract]) -> float:
    return sum(quantity * known[symbol].unit for symbol, quantity in target.items())


def _reduce(target: dict[str, int], known: Mapping[str, Contract], budget: float) -> None:
    """Take contracts away, the shortest days to expiry first, until the rest is worth no more than ``budget``."""
    for symbol in sorted(target, key=lambda s: (known[s].expiry, s)):
        over = _worth(target, known) - budget
        if over <= EPSILON + _TOLERANCE * abs(budget):
            return
        less = math.ceil(over / known[symbol].unit - _TOLERANCE)
        target[symbol] -= min(max(less, 0), target[symbol])


def _inside(dte: int, window: LayerWindow) -> bool:
    return dte >= window.dte_min and (window.dte_max is None or dte <= window.dte_max)
