"""A layer in whole contracts: what is in its tenor stays, adds go to what it opens now, reductions to the shortest.

Units are rounded toward zero, after the weights, never before: what they weigh never exceeds the target, and the
residual is part of the reserve. What is below the tenor is rolled, all its legs in one package, since splitting them
would leave the portfolio naked in between; while nothing may be added it is therefore kept until it expires. What is
beyond the tenor, or in the gap between two layers, is held by its layer but never opened.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from processors.hedge.book import Lot
from processors.hedge.futures import MULTIPLIER
from processors.hedge.openings import Opening
from processors.hedge.weights import EPSILON
from topics.instrument import parse_symbol

#: Relative tolerance that keeps a target equal to what is held from asking for one unit less.
_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Sized:
    """A layer after the trade.

    Attributes:
        kept: lots with the units that stay, in their order.
        opened: openings with the units bought, those without any left out.
    """

    kept: tuple[tuple[Lot, int], ...]
    opened: tuple[tuple[Opening, int], ...]

    @property
    def weight(self) -> float:
        """What it weighs, USD of H."""
        held = sum(units * lot.unit for lot, units in self.kept)
        return held + sum(units * opening.unit for opening, units in self.opened)

    def quantities(self) -> dict[str, int]:
        """Contracts and shares by symbol, those that were held and are gone included with 0."""
        target: dict[str, int] = {}
        for lot, units in self.kept:
            for symbol, ratio in lot.ratios:
                target[symbol] = target.get(symbol, 0) + units * ratio
        for opening, units in self.opened:
            for symbol, ratio in opening.ratios:
                target[symbol] = target.get(symbol, 0) + units * ratio
        return dict(sorted(target.items()))


def size(
    lots: Sequence[Lot],
    openings: Sequence[tuple[Opening, float]],
    budget: float,
    adds: bool,
    aim: float = 0.0,
    rolls_only: bool = False,
) -> Sized:
    """What a layer holds afterwards, never weighing more than ``budget`` USD, but for a roll.

    What is rolled keeps its number of contracts where that does not lead beyond the aim, though each may be worth more:
    in contango a hedge would otherwise lose one with every roll.

    Args:
        lots: what it holds, the shortest days to expiry first.
        openings: what it would open, in the order of preference, each with the most USD that may be held of its slot.
        budget: target weight x H, USD.
        adds: False: nothing becomes larger and nothing is rolled. Reductions stay possible.
        aim: aimed weight x H, USD.
        rolls_only: nothing is opened but in the place of what is rolled, and no more contracts of futures than that.
    """
    can_open = adds and bool(openings)
    kept = [0 if lot.close or (lot.roll and can_open) else max(lot.units, 0) for lot in lots]
    if _reduce(lots, kept, budget) or not can_open:
        return Sized(tuple(zip(lots, kept, strict=True)), ())
    stays = sum(units * lot.unit for lot, units in zip(lots, kept, strict=True))
    room = budget - stays
    rolling = [lot for lot in lots if lot.roll and not lot.close and lot.units > 0]
    if rolls_only:
        slots = {slot_of(lot) for lot in rolling}
        openings = [(opening, most) for opening, most in openings if opening.slot in slots]
        if not openings:
            return size(lots, (), budget, adds=False)
    first = openings[0][0]
    rolled = math.floor(sum(_futures(lot) for lot in rolling) + _TOLERANCE)
    keeps = first.slot == "future" and room < rolled * first.unit <= aim - stays + _TOLERANCE
    if keeps:
        room = rolled * first.unit
    opened: list[tuple[Opening, int]] = []
    for opening, most in openings:
        of_slot = sum(
            units * lot.unit for lot, units in zip(lots, kept, strict=True) if slot_of(lot) == opening.slot
        )
        least = room if keeps and opening is first else min(room, most - of_slot)
        units = math.floor(least / opening.unit + _TOLERANCE) if least > 0 else 0
        if rolls_only and opening.slot == "future":
            units = min(units, rolled)
        if units:
            opened.append((opening, units))
            room -= units * opening.unit
    if not opened and rolling:
        # Rolled into nothing would be closed: without room for a single unit of the next tenor it stays.
        return size(lots, (), budget, adds=False)
    return Sized(tuple(zip(lots, kept, strict=True)), tuple(opened))


def _futures(lot: Lot) -> float:
    """Contracts of VX that a lot comes to: a mini is a tenth of one; 0 for what is no future."""
    if lot.kind != "future":
        return 0.0
    return lot.units * MULTIPLIER[parse_symbol(lot.ratios[0][0]).root] / MULTIPLIER["VX"]


def slot_of(lot: Lot) -> str:
    """The slot that a lot fills."""
    if lot.layer == "L1":
        return lot.kind
    return "tail" if lot.layer == "L3" and lot.kind == "call" else lot.layer


def smallest(openings: Sequence[tuple[Opening, float]]) -> float:
    """What the smallest unit that could be opened weighs, USD; 0 when nothing can."""
    return min((opening.unit for opening, _ in openings), default=0.0)


def changes(held: Mapping[str, int], target: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Symbols with what is held before and after, those without a change left out."""
    symbols = sorted({*held, *target})
    moves = {symbol: (held.get(symbol, 0), target.get(symbol, 0)) for symbol in symbols}
    return {symbol: move for symbol, move in moves.items() if move[0] != move[1]}


def _reduce(lots: Sequence[Lot], kept: list[int], budget: float) -> bool:
    """Take units away, notes and then the shortest days to expiry first, until the rest weighs at most ``budget``.

    Says whether it took any: a layer that sells for its weight buys nothing at the same time.
    """
    took = False
    order = sorted(range(len(lots)), key=lambda i: (lots[i].kind != "note", lots[i].dte, lots[i].ratios))
    for i in order:
        over = sum(units * lot.unit for lot, units in zip(lots, kept, strict=True)) - budget
        if over <= EPSILON + _TOLERANCE * abs(budget):
            return took
        if lots[i].unit > 0.0 and kept[i]:
            kept[i] -= min(max(math.ceil(over / lots[i].unit - _TOLERANCE), 0), kept[i])
            took = True
    return took
