"""The hedge book in lots: what is alive, whose layer it is, what a unit of it weighs, and what has to go.

A lot is what is traded as one: a future, a note, a call, or a spread of a bought and a sold call. Within a layer and an
expiry bought and sold calls are paired from the lowest strike up, one for one: 10 bought and 10 sold are 10 units of a
spread. Less of a lot is fewer units, so that the legs keep their ratio and nothing is left naked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from processors.hedge.chain import Chain
from processors.hedge.futures import MULTIPLIER, price
from processors.hedge.structure import MULTIPLIER as OPTION_MULTIPLIER
from processors.hedge.structure import Leg, Right, Valuation, payoff, value
from processors.hedge.theta import exits
from processors.pricing import Unavailable
from topics.calibration import HedgeRules
from topics.hedge_rules import Sleeve
from topics.instrument import ETPS, Instrument, parse_symbol
from topics.portfolio import Position

if TYPE_CHECKING:
    from processors.hedge.openings import Openings

#: Tenor of a note on the short-term index: the weighted days to expiry of what it holds.
NOTE_DTE: Final = 30

Kind = Literal["future", "note", "call_spread", "call", "call_credit_spread", "mixed"]


@dataclass(frozen=True, slots=True)
class Lot:
    """What is held of one thing.

    Attributes:
        layer: the layer that holds it.
        kind: what it is.
        ratios: symbols with contracts or shares a unit, negative when sold.
        units: how many; negative for futures and notes that were sold.
        unit: what a unit weighs, USD of H: notional; premium at risk for Temporal Theta.
        dte: calendar days to expiry.
        close: why it is closed whatever the weights say; empty: it may stay.
        roll: whether it is below the tenor of its layer.
        prices: the price of each of its symbols, vol points or USD.
        value: the options of a unit at their mid quotes; None for futures and notes.
        forward: of its expiry, vol points; None for notes.
        at_risk: most that a unit can still lose by expiry, USD; for bought options what they are worth.
        break_even: settlement at which it gives back what it cost; None while what was paid is not known.
    """

    layer: Sleeve
    kind: Kind
    ratios: tuple[tuple[str, int], ...]
    units: int
    unit: float
    dte: int
    close: str = ""
    roll: bool = False
    prices: Mapping[str, float] = field(default_factory=dict)
    value: Valuation | None = None
    forward: float | None = None
    at_risk: float = 0.0
    break_even: float | None = None

    @property
    def weight(self) -> float:
        """What all of it weighs, USD of H, signed."""
        return self.units * self.unit

    @property
    def expiry(self) -> date | None:
        """Final settlement; None for a note."""
        return parse_symbol(self.ratios[0][0]).expiry

    @property
    def name(self) -> str:
        """What it is called: its symbol; of a spread that of the lower strike and the higher strike."""
        symbols = [symbol for symbol, _ in self.ratios]
        return symbols[0] if len(symbols) == 1 else f"{symbols[0]}/{symbols[1].rpartition('/')[2]}"


@dataclass(frozen=True, slots=True)
class Book:
    """What is held, by layer, the shortest days to expiry first.

    Attributes:
        layers: live lots of each layer that has any.
        unpriced: symbols without a price of their own, sorted.
        outside: symbols that the plan has no place for, sorted; they are left alone.
        valued: False when there is something that nothing can value.
    """

    layers: Mapping[Sleeve, tuple[Lot, ...]] = field(default_factory=dict)
    unpriced: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    valued: bool = True

    def weight(self, layer: Sleeve) -> float:
        """What a layer weighs, USD of H, signed."""
        return sum(lot.weight for lot in self.layers.get(layer, ()))

    def long(self, layer: Sleeve) -> float:
        """The same of what is held long: what is short is closed whatever the weights say."""
        return sum(max(lot.weight, 0.0) for lot in self.layers.get(layer, ()))

    def quantities(self, layer: Sleeve) -> dict[str, int]:
        """Contracts and shares of a layer by symbol, signed."""
        held: dict[str, int] = {}
        for lot in self.layers.get(layer, ()):
            for symbol, ratio in lot.ratios:
                held[symbol] = held.get(symbol, 0) + lot.units * ratio
        return held


def read_book(
    rules: HedgeRules, positions: Iterable[Position], openings: Openings, session_date: date, view: ExitView
) -> Book:
    """The live book. What expires on or before the session is no longer held: it has settled.

    Futures and notes are Layer 1's. Calls on VIX belong to the layer that their position names; without one, to Layer 3
    from its window on, to Temporal Theta when a lower strike is sold than is bought, else to Layer 2. Everything else
    is outside of the plan.
    """
    reader = _Reader(rules, openings, session_date, view)
    for position in positions:
        reader.take(position)
    return reader.book()


@dataclass(frozen=True, slots=True)
class ExitView:
    """What the exits of Temporal Theta look at: VIX now, and its last committed closes, oldest first."""

    vix: float | None = None
    closes: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class _Call:
    symbol: str
    strike: float
    quantity: int
    price: float | None


@dataclass(frozen=True, slots=True)
class _Unit:
    """Options that are held as one: their worth, and the least and the most they can settle at, vol points."""

    valued: Valuation
    forward: float
    worst: float
    best: float


class _Reader:
    def __init__(self, rules: HedgeRules, openings: Openings, session_date: date, view: ExitView) -> None:
        self._rules, self._openings, self._today, self._view = rules, openings, session_date, view
        self._ones: dict[str, tuple[Instrument, int]] = {}
        self._calls: dict[tuple[Sleeve | None, date], list[_Call]] = {}
        self._unpriced: set[str] = set()
        self._outside: set[str] = set()
        self._valued = True

    def take(self, position: Position) -> None:
        instrument = parse_symbol(position.symbol)
        quantity = round(position.quantity)
        if not quantity or (instrument.expiry is not None and instrument.expiry <= self._today):
            return
        future = instrument.kind == "future" and instrument.root in MULTIPLIER
        if future or instrument.root in ETPS:
            before = self._ones.get(position.symbol, (instrument, 0))[1]
            self._ones[position.symbol] = instrument, before + quantity
        elif instrument.root == "VIX" and instrument.right == "C":
            assert instrument.expiry is not None
            assert instrument.strike is not None
            named = position.layer
            layer: Sleeve | None = None if named is None or named == "R" or named == "L1" else named
            call = _Call(position.symbol, instrument.strike, quantity, position.price)
            self._calls.setdefault((layer, instrument.expiry), []).append(call)
        else:
            self._outside.add(position.symbol)

    def book(self) -> Book:
        lots: list[Lot] = []
        for symbol, (instrument, quantity) in sorted(self._ones.items()):
            lot = self._one(symbol, instrument, quantity) if quantity else None
            if lot is not None:
                lots.append(lot)
        merged: dict[tuple[Sleeve, date], list[_Call]] = {}
        for (layer, expiry), calls in self._calls.items():
            merged.setdefault((layer or self._layer_of(expiry, calls), expiry), []).extend(calls)
        for (sleeve, expiry), calls in sorted(merged.items()):
            for pair, units in _paired(_added(calls)):
                found = self._options(sleeve, expiry, pair, units)
                if found is not None:
                    lots.append(found)
        layers: dict[Sleeve, tuple[Lot, ...]] = {}
        for lot in sorted(lots, key=lambda each: (each.dte, each.ratios)):
            layers[lot.layer] = (*layers.get(lot.layer, ()), lot)
        ordered = {layer: layers[layer] for layer in sorted(layers)}
        return Book(ordered, tuple(sorted(self._unpriced)), tuple(sorted(self._outside)), self._valued)

    def _one(self, symbol: str, instrument: Instrument, quantity: int) -> Lot | None:
        if instrument.expiry is None:
            note = self._openings.notes.get(symbol)
            if note is None:
                self._unpriced.add(symbol)
                return None
            if not note.leverage > 0.0:
                self._outside.add(symbol)
                return None
            return Lot(
                "L1",
                "note",
                ((symbol, 1),),
                quantity,
                note.unit,
                NOTE_DTE,
                "short" if quantity < 0 else "",
                prices={symbol: note.price},
            )
        contract = price(symbol, instrument.expiry, MULTIPLIER[instrument.root], self._openings.futures)
        if contract is None or contract.stand_in:
            self._unpriced.add(symbol)
        if contract is None:
            self._valued = False
            return None
        days = (instrument.expiry - self._today).days
        return Lot(
            "L1",
            "future",
            ((symbol, 1),),
            quantity,
            contract.unit,
            days,
            "short" if quantity < 0 else "",
            days < roll_dte(self._rules, "L1"),
            {symbol: contract.price},
        )

    def _layer_of(self, expiry: date, calls: list[_Call]) -> Sleeve:
        bought = [call.strike for call in calls if call.quantity > 0]
        sold = [call.strike for call in calls if call.quantity < 0]
        if sold and (not bought or min(sold) < min(bought)):
            return "TT"
        return "L3" if (expiry - self._today).days >= self._rules.windows["L3"].dte_min else "L2"

    def _options(self, layer: Sleeve, expiry: date, calls: list[_Call], units: int) -> Lot | None:
        ratios = tuple((call.symbol, 1 if call.quantity > 0 else -1) for call in calls)
        known = self._openings.valued.of(self._openings.chain)
        if ratios not in known:
            known[ratios] = _unit_of(self._openings.chain, expiry, calls, ratios)
        unit: _Unit | None = known[ratios]
        if unit is None:
            self._unpriced.update(symbol for symbol, _ in ratios)
            self._valued = False
            return None
        valued = unit.valued
        slope = sum(ratio for _, ratio in ratios)
        paid: float | None = 0
        for call, (_, ratio) in zip(calls, ratios, strict=True):
            paid = None if paid is None or call.price is None else paid + ratio * call.price
        kind = _kind(calls)
        if kind == "call_credit_spread":
            # Without a known credit the whole width is at risk.
            at_risk = OPTION_MULTIPLIER * max(0.0, -unit.worst + min(paid or 0.0, 0.0))
        else:
            at_risk = OPTION_MULTIPLIER * max(valued.mid, 0.0)
        days = (expiry - self._today).days
        return Lot(
            layer=layer,
            kind=kind,
            ratios=ratios,
            units=units,
            unit=self._unit(layer, days, valued, at_risk),
            dte=days,
            close=self._close(layer, kind, days, valued, slope, unit.best, paid),
            roll=layer != "TT" and days < self._tenor(layer, kind, days),
            prices={leg.symbol: leg.mid for leg in valued.legs},
            value=valued,
            forward=unit.forward,
            at_risk=at_risk,
            break_even=_break_even(kind, calls, paid),
        )

    def _unit(self, layer: Sleeve, days: int, valued: Valuation, at_risk: float) -> float:
        if layer == "TT":
            return at_risk
        tail = self._rules.convexity.tail_window
        far = layer == "L3" and tail.dte_max is not None and days > tail.dte_max
        return valued.notional * (self._rules.convexity.spot_beta if far else 1.0)

    def _tenor(self, layer: Sleeve, kind: Kind, days: int) -> int:
        tail = self._rules.convexity.tail_window
        if layer == "L3" and kind == "call" and tail.dte_max is not None and days <= tail.dte_max:
            return tail.dte_min if tail.roll_dte is None else tail.roll_dte
        return roll_dte(self._rules, layer)

    def _close(
        self, layer: Sleeve, kind: Kind, days: int, valued: Valuation, slope: int, most: float, paid: float | None
    ) -> str:
        if slope < 0:
            return "naked"
        if layer == "TT":
            if kind != "call_credit_spread":
                return "outside of the plan"
            close = None if valued.close is None else -valued.close
            credit = None if paid is None else -paid
            if credit is None or not credit > 0.0:
                credit, close = 1.0, None  # what it earned is not known: days and VIX alone end it
            reasons = exits(credit, close, days, self._view.vix, self._view.closes, self._rules.theta)
            return "; ".join(reasons)
        if kind == "call_credit_spread":
            return "short volatility"
        if kind == "call_spread" and valued.mid >= self._rules.spread_spent * most:
            return f"spent: worth {valued.mid:.4g} of at most {most:.4g}"
        return "" if valued.notional > 0.0 else "without delta"


def roll_dte(rules: HedgeRules, layer: Sleeve) -> int:
    """Days to expiry below which what a layer holds is rolled."""
    window = rules.windows[layer]
    return window.dte_min if window.roll_dte is None else window.roll_dte


def _added(calls: list[_Call]) -> list[_Call]:
    """One entry a symbol, by strike; bought and sold of the same one offset each other."""
    found: dict[str, _Call] = {}
    for call in calls:
        before = found.get(call.symbol)
        if before is None:
            found[call.symbol] = call
            continue
        same = before.price == call.price
        price = before.price if same else None
        found[call.symbol] = _Call(call.symbol, call.strike, before.quantity + call.quantity, price)
    return sorted((call for call in found.values() if call.quantity), key=lambda call: call.strike)


def _paired(calls: list[_Call]) -> list[tuple[list[_Call], int]]:
    """Bought and sold calls one for one from the lowest strike up, and what is left of either, with their number."""
    bought = [(call, call.quantity) for call in calls if call.quantity > 0]
    sold = [(call, -call.quantity) for call in calls if call.quantity < 0]
    pairs: list[tuple[list[_Call], int]] = []
    while bought or sold:
        first = [side[0] for side in (bought, sold) if side]
        units = min(left for _, left in first)
        pairs.append((sorted((call for call, _ in first), key=lambda call: call.strike), units))
        for side in (bought, sold):
            if side:
                call, left = side.pop(0)
                if left > units:
                    side.insert(0, (call, left - units))
    return pairs


def _kind(calls: list[_Call]) -> Kind:
    """Of a pair by rising strike, or of a single call."""
    if len(calls) == 1:
        return "call" if calls[0].quantity > 0 else "mixed"
    return "call_spread" if calls[0].quantity > 0 else "call_credit_spread"


def _unit_of(
    chain: Chain | None, expiry: date, calls: list[_Call], ratios: tuple[tuple[str, int], ...]
) -> _Unit | None:
    """A unit of calls at a chain's quotes; None when it cannot be valued."""
    valued = Unavailable("no chain") if chain is None else value(dict(ratios), chain)
    quotes = None if chain is None else chain.on(expiry)
    if isinstance(valued, Unavailable) or quotes is None or isinstance(quotes, Unavailable):
        return None
    right: Right = "C"
    legs = [
        Leg(call.symbol, right, call.strike, ratio, 0.0, 0.0, 0.0, 0.0)
        for call, (_, ratio) in zip(calls, ratios, strict=True)
    ]
    payoffs = payoff(legs, np.array([0.0, *sorted(call.strike for call in calls)]))
    return _Unit(valued, quotes.forward, float(payoffs.min()), float(payoffs.max()))


def _break_even(kind: Kind, calls: list[_Call], paid: float | None) -> float | None:
    """Of a single bought call or a spread of two strikes: the lower strike plus what was paid or received."""
    if paid is None or paid == 0.0 or kind == "mixed":
        return None
    found = min(call.strike for call in calls) + abs(paid)
    return found if kind == "call" or found < max(call.strike for call in calls) else None
