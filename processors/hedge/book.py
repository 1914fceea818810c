"""The hedge book at a regime's prices: which positions are alive, whose layer they are, and what they weigh.

Only VX and VXM futures are valued. VIX options and shares are not: layers 2, 3 and Temporal Theta have no legs of their
own yet, and the weight last published for them stands for what they hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from topics.hedge_rules import Sleeve
from topics.instrument import ETPS, parse_symbol
from topics.portfolio import Position
from topics.regime import CurvePoint

#: US dollars for one vol point of one contract; the mini contract settles on the same value as VX of the same expiry.
MULTIPLIER: Final[Mapping[str, float]] = {"VX": 1000.0, "VXM": 100.0}


@dataclass(frozen=True, slots=True)
class Contract:
    """A futures contract with its price.

    ``stand_in``: the curve has no price of this expiry, and that of the nearest expiry stands in for it.
    """

    symbol: str
    expiry: date
    price: float
    multiplier: float
    stand_in: bool = False

    @property
    def unit(self) -> float:
        """Notional of one contract, USD."""
        return self.price * self.multiplier


@dataclass(frozen=True, slots=True)
class Holding:
    """Contracts held, signed."""

    contract: Contract
    quantity: int

    @property
    def notional(self) -> float:
        """USD, signed."""
        return self.quantity * self.contract.unit


@dataclass(frozen=True, slots=True)
class Book:
    """What is held of futures, by layer and expiry.

    Attributes:
        layers: live holdings of each layer that has any.
        unpriced: symbols without a price of their own, sorted.
        valued: False when there are holdings but no price at all to value them by.
    """

    layers: Mapping[Sleeve, tuple[Holding, ...]] = field(default_factory=dict)
    unpriced: tuple[str, ...] = ()
    valued: bool = True

    def notional(self, layer: Sleeve) -> float:
        """Signed notional of a layer's futures, USD."""
        return sum(holding.notional for holding in self.layers.get(layer, ()))


def read_book(positions: Iterable[Position], curve: Iterable[CurvePoint], session_date: date) -> Book:
    """The live book. A contract that expires on or before the session is no longer held: it has settled.

    A future belongs to Layer 1 unless its position names another layer. An exchange-traded note of volatility has no
    price on the curve and is named as unpriced.
    """
    contracts = list_contracts(curve)
    layers: dict[Sleeve, dict[str, Holding]] = {}
    unpriced: set[str] = set()
    valued = True
    for position in positions:
        instrument = parse_symbol(position.symbol)
        if instrument.root in ETPS and position.quantity:
            unpriced.add(position.symbol)
        if instrument.kind != "future" or instrument.root not in MULTIPLIER or not position.quantity:
            continue
        expiry = instrument.expiry
        if expiry is None or expiry <= session_date:
            continue
        contract = price(position.symbol, expiry, MULTIPLIER[instrument.root], contracts)
        if contract is None or contract.stand_in:
            unpriced.add(position.symbol)
        if contract is None:
            valued = False
            continue
        sleeve: Sleeve = "L1" if position.layer is None or position.layer == "R" else position.layer
        held = layers.setdefault(sleeve, {})
        before = held[contract.symbol].quantity if contract.symbol in held else 0
        held[contract.symbol] = Holding(contract, before + round(position.quantity))
    ordered = {sleeve: tuple(sorted(held.values(), key=_by_expiry)) for sleeve, held in sorted(layers.items())}
    return Book(ordered, tuple(sorted(unpriced)), valued)


def list_contracts(curve: Iterable[CurvePoint]) -> tuple[Contract, ...]:
    """The contracts of a curve that can be opened, by expiry."""
    found = []
    for point in curve:
        instrument = parse_symbol(point.symbol)
        if instrument.expiry is not None:
            found.append(Contract(point.symbol, instrument.expiry, point.price, MULTIPLIER["VX"]))
    return tuple(sorted(found, key=lambda contract: contract.expiry))


def price(symbol: str, expiry: date, multiplier: float, contracts: Iterable[Contract]) -> Contract | None:
    """The contract with the curve's price of its expiry, else of the nearest expiry, named a stand-in; None without."""
    nearest = min(contracts, key=lambda contract: (abs((contract.expiry - expiry).days), contract.expiry), default=None)
    if nearest is None:
        return None
    return Contract(symbol, expiry, nearest.price, multiplier, stand_in=nearest.expiry != expiry)


def _by_expiry(holding: Holding) -> tuple[date, str]:
    return holding.contract.expiry, holding.contract.symbol
