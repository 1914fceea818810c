"""Layer 3 is fully weighted only while a trigger is on: a portfolio that moves more than the market."""

from __future__ import annotations

from processors.hedge.weights import Vector, sleeves, vector
from topics.calibration import HedgeRules


def beta_trigger(rules: HedgeRules, beta: float | None, was_on: bool) -> bool:
    """On above ``l3_beta_on``, off below ``l3_beta_off``, unchanged between them and while beta is missing."""
    if beta is None:
        return was_on
    if beta > rules.l3_beta_on:
        return True
    return was_on and beta >= rules.l3_beta_off


def activate(rules: HedgeRules, weights: Vector, on: bool) -> Vector:
    """``weights`` as they are when a trigger is on, else with ``l3_inactive`` of Layer 3's; the rest to the reserve."""
    return weights if on else vector({**sleeves(weights), "L3": weights["L3"] * rules.l3_inactive})
