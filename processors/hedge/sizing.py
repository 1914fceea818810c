"""How large the hedge is: its notional H in dollars, and how much of it may be deployed."""

from __future__ import annotations

from collections.abc import Mapping

from processors.hedge.weights import SLEEVES, Vector, deployed, vector
from topics.calibration import HedgeRules
from topics.message import Layer


def hedge_notional(rules: HedgeRules, beta: float | None, mv: float, scale: float = 1.0) -> float | None:
    """H = h0 x scale x beta x market value, USD of VX-equivalent notional; ``scale`` is that of the cost of capital.

    None when beta is missing: it cannot be sized. 0 when beta is 0 or negative: there is no fall of the market that a
    long volatility hedge would have to offset.
    """
    return None if beta is None else max(0.0, rules.h0 * scale * beta * mv)


def exposure(rules: HedgeRules, weights: Mapping[Layer, float], kappa: float, scale: float = 1.0) -> float:
    """Beta-dollars that the deployed hedge offsets, as a share of the portfolio's own (beta x market value).

    VX moves ``kappa`` percent against one percent of the SPX, so the hedge offsets kappa x H x deployed; with
    H = h0 x scale x beta x market value the share is kappa x h0 x scale x deployed.
    """
    return kappa * rules.h0 * scale * abs(deployed(weights))


def deployable(rules: HedgeRules, kappa: float, scale: float = 1.0) -> float:
    """The deployed weight at which the exposure reaches its limit, fraction of H."""
    return rules.exposure_max / (kappa * rules.h0 * scale)


def limit_exposure(weights: Vector, most: float) -> Vector:
    """``weights`` with every layer scaled down alike until no more than ``most`` is deployed; the rest to the reserve.

    It goes before the hard band of Layer 1: a hedge must not turn the portfolio short.
    """
    now = deployed(weights)
    if now <= most:
        return weights
    return vector({sleeve: weights[sleeve] * (most / now) for sleeve in SLEEVES})
