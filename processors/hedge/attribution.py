"""Which rule moved what: the way from what is held to the target, taken apart step by step.

The vectors of a rebalance are the weights after each of its steps. What a rule did is the difference between its vector
and the one before it, so that all differences of a layer add up to target less held, whatever the steps are.

Differences of floats would add up nearly. Here each weight is first put on one decimal grid and the differences are
taken there: the published decimals add up exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import Final

from processors.signals.statistic import finite
from topics.message import LAYERS, Layer
from topics.rebalance import Weights

#: The steps from what is held to what is advised, in the order in which they act; those that an event lacks are passed
#: over.
ORDER: Final = (
    "held",
    "base",
    "tilted",
    "dragged",
    "activated",
    "gated",
    "levered",
    "capped",
    "aim",
    "paced",
    "blocked",
    "limited",
    "whole",
)
#: What is published of a computed number has that many significant digits.
_DIGITS: Final = 12
#: Enough for every float on any grid here.
_PRECISION: Final = 400


@dataclass(frozen=True, slots=True)
class Move:
    """What one rule did to one layer.

    Attributes:
        rule: the step that did it: the name of the vector that it led to.
        layer: the layer.
        change: fractions of H; positive is more. A short decimal: all moves of a layer add up exactly.
    """

    rule: str
    layer: Layer
    change: float


def attribute(
    vectors: Mapping[str, Weights], order: Sequence[str] = ORDER, digits: int = _DIGITS
) -> tuple[Move, ...]:
    """What each step changed, in the order of the steps and then of the layers; what did not change is left out.

    The moves of a layer add up, as decimals, to its last weight less its first, both rounded to ``digits`` decimals. No
    change has more than twelve significant digits, so publishing does not round it again: where a change reaches 1 or
    more (a book far larger than H), the grid is coarser by as many digits as it has before the point.

    Nothing can be attributed, and the result is empty, while the first or the last of the steps is missing: where
    nothing can be sized, there is no vector of what is held.

    Args:
        vectors: weights after each step, fractions of H, in any order.
        order: names of the steps, each once. Steps in between that there is no vector of are passed over, and what
            they did counts for the next one.
        digits: decimals of the grid, 0 to 12; 4 is a hundredth of a percentage point.

    Raises:
        ValueError: vectors with different layers, a weight that is NaN or infinite, a step that stands twice in the
            order, or digits out of range.
    """
    if not 0 <= digits <= _DIGITS:
        raise ValueError(f"digits must lie in 0 to {_DIGITS}, got {digits!r}")
    if len(set(order)) != len(order):
        raise ValueError(f"each step stands once in the order, got {', '.join(order)}")
    steps = [name for name in order if name in vectors]
    if len(steps) < 2 or steps[0] != order[0] or steps[-1] != order[-1]:
        return ()
    layers = [layer for layer in LAYERS if layer in vectors[steps[0]]]
    for name in steps:
        _check(name, vectors[name], layers)
    while True:
        moves = _moves(vectors, steps, layers, digits)
        largest = max((abs(change) for _, _, change in moves), default=Decimal(0))
        allowed = _DIGITS - max(0, largest.adjusted() + 1)
        if digits <= allowed:
            return tuple(Move(rule, layer, float(change)) for rule, layer, change in moves)
        digits = allowed


def total(moves: Iterable[Move]) -> dict[Layer, float]:
    """The sum of all moves by layer, exact: target less held. Layers that nothing moved are left out."""
    sums: dict[Layer, Decimal] = {}
    with localcontext() as context:
        context.prec = _PRECISION
        for move in moves:
            sums[move.layer] = sums.get(move.layer, Decimal(0)) + Decimal(repr(move.change))
    return {layer: float(sums[layer]) for layer in LAYERS if layer in sums}


def _check(name: str, weights: Weights, layers: Sequence[Layer]) -> None:
    if set(weights) != set(layers):
        raise ValueError(f"vector {name} has the layers {', '.join(weights)}, the first one {', '.join(layers)}")
    for layer in layers:
        if not math.isfinite(weights[layer]):
            finite(weights[layer], f"weight of {layer} in {name}")


def _moves(
    vectors: Mapping[str, Weights], steps: Sequence[str], layers: Sequence[Layer], digits: int
) -> list[tuple[str, Layer, Decimal]]:
    """The differences that are not 0, on the grid of so many decimals (a power of ten when negative)."""
    found: list[tuple[str, Layer, Decimal]] = []
    with localcontext() as context:
        context.prec = _PRECISION
        grid = Decimal(1).scaleb(-digits)
        for before, after in pairwise(steps):
            for layer in layers:
                start, end = vectors[before][layer], vectors[after][layer]
                change = Decimal(0) if start == end else _on_grid(end, grid) - _on_grid(start, grid)
                if change:
                    found.append((after, layer, change))
    return found


def _on_grid(weight: float, grid: Decimal) -> Decimal:
    return Decimal(repr(float(weight))).quantize(grid)
