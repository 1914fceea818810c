"""The book as lines to carry and to stress."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from processors.hedge.book import Book, Lot
from processors.hedge.carry import projected
from processors.hedge.lines import Line, Lines
from processors.hedge.openings import Openings
from processors.hedge.structure import MULTIPLIER
from processors.pricing import Unavailable
from topics.calibration import HedgeRules
from topics.hedge_rules import Sleeve
from topics.instrument import parse_symbol


def book_lines(openings: Openings, lots: Sequence[Lot], engine: float = 0.0) -> Lines | None:
    """One line for each future, note and option leg held; None when one has no price.

    A note counts as futures of its weighted tenor. ``engine``: share of Layers 2 and 3 that the second engine added.
    """
    lines: list[Line] = []
    for lot in lots:
        if not lot.units:
            continue
        if lot.value is None:
            line = _plain(openings, lot)
            if line is None:
                return None
            lines.append(line)
            continue
        expiry, chain = lot.expiry, openings.chain
        quotes = None if chain is None or expiry is None else chain.on(expiry)
        if chain is None or quotes is None or isinstance(quotes, Unavailable):
            return None
        for leg in lot.value.legs:
            option = parse_symbol(leg.symbol)
            assert option.strike is not None
            quantity = lot.units * leg.quantity
            share = engine if lot.layer in ("L2", "L3") else 0.0
            lines.append(
                Line(
                    lot.layer,
                    quantity,
                    MULTIPLIER,
                    quotes.forward,
                    float(lot.dte),
                    1 if option.right == "C" else -1,
                    option.strike,
                    leg.vol,
                    chain.rate,
                    quantity * share,
                )
            )
    return Lines.of(lines)


def _plain(openings: Openings, lot: Lot) -> Line | None:
    if lot.kind == "future":
        price = lot.prices[lot.ratios[0][0]]
        return Line(lot.layer, lot.units, lot.unit / price, price, float(lot.dte))
    future = openings.future or (openings.futures[0] if openings.futures else None)
    if future is None:
        return None
    return Line(lot.layer, lot.units, lot.unit / future.price, future.price, float(lot.dte))


def layer_cost(rules: HedgeRules, openings: Openings, book: Book, layer: Sleeve, session_date: date) -> float | None:
    """What a US dollar of the weight that a layer holds costs to carry a year, USD; None when it is not known."""
    lots, weight = book.layers.get(layer, ()), book.weight(layer)
    lines = book_lines(openings, lots)
    carry = None if lines is None or not weight > 0.0 else projected(rules.carry, lines, openings.futures, session_date)
    return None if carry is None else -carry.total(layer) / weight
