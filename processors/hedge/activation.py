"""Layer 3 is fully weighted only while a trigger is on: a portfolio that moves more than the market, or dividends."""

from __future__ import annotations

from collections.abc import Mapping

from processors.hedge.weights import Vector, sleeves, vector
from topics.calibration import HedgeRules
from topics.message import Feature


def beta_trigger(rules: HedgeRules, beta: float | None, was_on: bool) -> bool:
    """On above ``l3_beta_on``, off below ``l3_beta_off``, unchanged between them and while beta is missing."""
    if beta is None:
        return was_on
    if beta > rules.l3_beta_on:
        return True
    return was_on and beta >= rules.l3_beta_off


def divergence_trigger(signals: Mapping[str, Feature]) -> bool:
    """On while valuations by dividends diverge sharply from the yield that reinvested dividends have realised.

    The signal has its own hysteresis; where it is missing there is no divergence to act on.
    """
    return signals.get("ddm_drip_sharp") is True


def activate(rules: HedgeRules, weights: Vector, on: bool) -> Vector:
    """``weights`` as they are when a trigger is on, else with ``l3_inactive`` of Layer 3's; the rest to the reserve."""
    return weights if on else vector({**sleeves(weights), "L3": weights["L3"] * rules.l3_inactive})
