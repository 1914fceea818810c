"""Layer 1 by one instrument: the VX future of its window, or shares of a volatility note in its place.

The note serves where a future does not: no contract is in the window, or the budget is smaller than one contract. It
is no spot VIX: it holds the first two futures at a weighted 30 days, which lies in the layer's window, and its issuer's
credit and halts of issuance can part its price from its indicative value (as VXX in March 2022), so that a premium or
a discount beyond a limit keeps it closed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from processors.hedge.futures import Contract, choose
from processors.hedge.structure import Unbuildable
from topics.hedge_rules import EtnRules, LayerWindow

#: Relative tolerance that keeps a budget of exactly n units from buying n - 1.
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Etn:
    """A note as quoted. ``price`` and ``indicative`` in USD a share, ``indicative`` None when it is not known.

    ``leverage`` is the daily multiple of its index. ValueError for NaN, infinities, and prices not above 0.
    """

    symbol: str
    price: float
    leverage: float
    indicative: float | None = None

    def __post_init__(self) -> None:
        for name in ("price", "indicative"):
            number = getattr(self, name)
            if number is not None and not 0.0 < number < math.inf:
                raise ValueError(f"{name} of {self.symbol} must be a finite number above 0, got {number!r}")
        if not math.isfinite(self.leverage):
            raise ValueError(f"leverage of {self.symbol} must be a finite number, got {self.leverage!r}")

    @property
    def premium(self) -> float | None:
        """Price over indicative value, less 1; None without an indicative value."""
        return None if self.indicative is None else self.price / self.indicative - 1.0

    @property
    def unit(self) -> float:
        """VX-equivalent notional of one share, USD: price x leverage."""
        return self.price * self.leverage


@dataclass(frozen=True, slots=True)
class Opening:
    """What Layer 1 would hold of one instrument.

    Attributes:
        kind, symbol: what it is.
        quantity: whole contracts or shares, rounded toward zero.
        unit: notional of one, USD.
        reason: why this one.
    """

    kind: Literal["future", "etn"]
    symbol: str
    quantity: int
    unit: float
    reason: str

    @property
    def notional(self) -> float:
        """Notional of all of it, USD; never above the budget."""
        return self.quantity * self.unit


def closed(etn: Etn, rules: EtnRules) -> str | None:
    """Why a note may not be bought; None when it may. Without an indicative value it may not."""
    if etn.symbol not in rules.symbols:
        return f"{etn.symbol} is not among the notes allowed"
    if not etn.leverage > 0.0:
        return f"{etn.symbol} is short volatility"
    premium = etn.premium
    if premium is None:
        return f"{etn.symbol} has no indicative value to judge its price by"
    if abs(premium) > rules.premium_max + _TOLERANCE:
        return f"{etn.symbol} trades {premium:+.1%} from its indicative value, beyond {rules.premium_max:.1%}"
    return None


def open_l1(
    budget: float,
    contracts: Sequence[Contract],
    notes: Sequence[Etn],
    window: LayerWindow,
    session_date: date,
    rules: EtnRules | None = None,
) -> Opening | Unbuildable:
    """The future nearest to the window's target when the budget, USD, pays for one; else the first note allowed."""
    rules = EtnRules() if rules is None else rules
    if not math.isfinite(budget):
        raise ValueError(f"budget must be a finite number, got {budget!r}")
    future = choose(contracts, window, session_date)
    if future is None:
        why = "no contract is in the window"
    elif quantity := _whole(budget, future.unit):
        days = (future.expiry - session_date).days
        return Opening("future", future.symbol, quantity, future.unit, f"{days} days, target {window.dte_target}")
    else:
        why = f"{budget:.0f} USD is less than one {future.symbol}"
    refused = [why]
    by_symbol = {note.symbol: note for note in notes}
    for symbol in rules.symbols:
        note = by_symbol.get(symbol)
        if note is None:
            continue
        if reason := closed(note, rules):
            refused.append(reason)
        elif quantity := _whole(budget, note.unit):
            return Opening("etn", symbol, quantity, note.unit, why)
        else:
            refused.append(f"{budget:.0f} USD is less than one share of {symbol}")
    return Unbuildable("; ".join(refused))


def _whole(budget: float, unit: float) -> int:
    return math.floor(budget / unit + _TOLERANCE) if budget > 0.0 else 0
