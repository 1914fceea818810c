"""Tilts of Layer 1: with a MACD crossover on VIX, and up on a weak RSI of the SPX in calm markets."""

from __future__ import annotations

from collections.abc import Mapping

from processors.hedge.weights import Vector, sleeves, vector
from topics.calibration import HedgeRules
from topics.message import Feature, State, feature_number


def tilt(rules: HedgeRules, state: State, weights: Vector, signals: Mapping[str, Feature]) -> Vector:
    """``weights`` with Layer 1 tilted and clamped; what it needs comes from the reserve, what it frees goes there.

    ``signals`` are those of the last committed session: a tilt must not follow the repainting of an unfinished day.
    Layer 1 stays within its hard band in ``low``, elsewhere within ``l1_tilt`` of the table's weight and at or above 0.
    """
    level = weights["L1"]
    tilted = level + macd_tilt(rules, signals) + rsi_tilt(rules, state, signals)
    low, high = rules.l1_low if state == "low" else (max(0.0, level - rules.l1_tilt), level + rules.l1_tilt)
    return vector({**sleeves(weights), "L1": min(max(tilted, low), high)})


def macd_tilt(rules: HedgeRules, signals: Mapping[str, Feature]) -> float:
    """Plus (bullish) or minus (bearish) ``macd_tilt`` on the session of a crossover, then linearly to 0.

    0 after ``macd_decay`` sessions, before any crossover, and while the MACD still shows its seed.
    """
    cross, sessions = signals.get("macd_last_cross"), feature_number(signals, "macd_sessions_since_cross")
    if signals.get("macd_acting") is not True or sessions is None or cross not in ("bullish", "bearish"):
        return 0.0
    share = max(0.0, 1.0 - sessions / rules.macd_decay)
    return (1.0 if cross == "bullish" else -1.0) * rules.macd_tilt * share


def rsi_tilt(rules: HedgeRules, state: State, signals: Mapping[str, Feature]) -> float:
    """``rsi_tilt`` in ``low`` while RSI(14) of the SPX is at or below ``rsi_low``, else 0."""
    rsi = feature_number(signals, "rsi14")
    return rules.rsi_tilt if state == "low" and rsi is not None and rsi <= rules.rsi_low else 0.0
