"""Weights: fractions of the hedge notional H by layer, with the undeployed reserve R, always summing to 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from topics.calibration import HedgeRules
from topics.hedge_rules import Sleeve
from topics.message import Layer, State, tidy

#: Fractions of H by layer, reserve included.
Vector = dict[Layer, float]
#: The layers that are deployed, in the order of every sum.
SLEEVES: Final[tuple[Sleeve, ...]] = ("L1", "L2", "L3", "TT")
#: Weights closer than this are the same: far below one contract of any portfolio.
EPSILON: Final = 1e-9


def vector(sleeves: Mapping[Sleeve, float]) -> Vector:
    """The vector with these deployed weights; what is left of 1 is the reserve."""
    weights: Vector = {sleeve: tidy(sleeves[sleeve]) for sleeve in SLEEVES}
    weights["R"] = tidy(1.0 - sum(weights.values()))
    return weights


def sleeves(weights: Mapping[Layer, float]) -> dict[Sleeve, float]:
    """The deployed weights of a vector."""
    return {sleeve: weights[sleeve] for sleeve in SLEEVES}


def deployed(weights: Mapping[Layer, float]) -> float:
    """The sum of the deployed weights."""
    return sum(weights[sleeve] for sleeve in SLEEVES)


def gross(weights: Mapping[Layer, float]) -> float:
    """The sum of the deployed weights regardless of sign: a short position uses leverage as a long one does."""
    return sum(abs(weights[sleeve]) for sleeve in SLEEVES)


def base(rules: HedgeRules, state: State) -> Vector:
    """The table's row for a state."""
    return vector(sleeves(rules.weights[state]))
