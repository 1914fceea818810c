"""Caps: no single layer can overwhelm the structure, and a reserve is always kept.

What a cap takes from a layer goes to the reserve and never to another layer: renormalising would break the other caps.
:func:`cap` binds an aim without exception. :func:`cap_adds` binds a target, which lies between what is held and the
aim: where what is held is already beyond a cap, the target must not go further beyond it, and the band and pace bring
it back by reductions; nothing is sold in haste because a cap came down with the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from processors.hedge.weights import EPSILON, SLEEVES, Vector, sleeves, vector
from topics.calibration import HedgeRules, Posture
from topics.hedge_rules import Sleeve
from topics.message import State

_LAYERS: Final[tuple[Sleeve, ...]] = ("L1", "L2", "L3")


def reserve_floor(posture: Posture, state: State) -> float:
    """The least reserve, fraction of H."""
    return max(posture.reserve_min, posture.reserve_min_low) if state == "low" else posture.reserve_min


def most_deployed(rules: HedgeRules, posture: Posture, state: State) -> float:
    """The most that may be deployed under reserve floor and gross leverage, fraction of H."""
    return min(1.0 - reserve_floor(posture, state), rules.gross_max)


def cap(rules: HedgeRules, posture: Posture, state: State, weights: Vector) -> Vector:
    """``weights`` within every cap. Idempotent, and no weight ever rises but the reserve's.

    In order: each layer's own cap; the cap on its share of what is deployed; then, for the reserve floor and gross
    leverage, all layers are scaled down alike. In ``low`` that scaling leaves Layer 1 the lower end of its hard band.
    """
    now = sleeves(weights)
    kept: Mapping[Sleeve, float] = {"L1": rules.l1_low[0]} if state == "low" else {}
    while True:
        before = dict(now)
        for sleeve in SLEEVES:
            now[sleeve] = min(now[sleeve], _own_cap(rules, posture, sleeve))
        for sleeve in _LAYERS:
            now[sleeve] = min(now[sleeve], _share_cap(rules, now, sleeve))
        _shrink(now, sum(now.values()) - most_deployed(rules, posture, state), kept)
        if all(before[sleeve] - now[sleeve] <= EPSILON for sleeve in SLEEVES):
            return vector(now)


def cap_adds(
    rules: HedgeRules, posture: Posture, state: State, held: Mapping[Sleeve, float], target: Vector, deployable: float
) -> Vector:
    """``target`` with its adds within every cap: no cap is broken by more than what is held breaks it by.

    ``deployable``: the deployed weight at which the exposure reaches its limit.

    In ``low`` the part of Layer 1 that brings it to its hard band is not given up for the reserve; the other layers
    make room for it, by reductions if need be. The exposure goes before it: no hedge turns the portfolio short.
    """
    now = sleeves(target)
    for sleeve in SLEEVES:
        now[sleeve] = min(now[sleeve], max(held[sleeve], _own_cap(rules, posture, sleeve)))
    for sleeve in _LAYERS:
        now[sleeve] = min(now[sleeve], max(held[sleeve], _share_cap(rules, now, sleeve)))
    limit = min(most_deployed(rules, posture, state), deployable)
    limit = max(limit, sum(held.values()))
    kept: dict[Sleeve, float] = {sleeve: min(now[sleeve], held[sleeve]) for sleeve in SLEEVES}
    if state == "low":
        kept["L1"] = max(kept["L1"], min(now["L1"], rules.l1_low[0], deployable))
    _shrink(now, sum(now.values()) - limit, kept)
    _shrink(now, sum(now.values()) - limit, {"L1": kept["L1"]})
    return vector(now)


def _own_cap(rules: HedgeRules, posture: Posture, sleeve: Sleeve) -> float:
    return posture.theta_max if sleeve == "TT" else rules.layer_max


def _share_cap(rules: HedgeRules, weights: Mapping[Sleeve, float], sleeve: Sleeve) -> float:
    """The most that one layer may have beside the others: its share of the deployed weight is bounded.

    x <= s (x + others) gives x <= s / (1 - s) x others.
    """
    share, total = rules.deployed_share_max, sum(weights.values())
    if total < rules.deployed_from - EPSILON or share >= 1 or weights[sleeve] <= share * total + EPSILON:
        return weights[sleeve]
    return share / (1.0 - share) * (total - weights[sleeve])


def _shrink(weights: dict[Sleeve, float], excess: float, kept: Mapping[Sleeve, float]) -> None:
    """Take ``excess`` from the layers, from each in proportion to what it has above what is kept of it."""
    if excess <= EPSILON / 10:
        return
    spare = {sleeve: max(0.0, weights[sleeve] - kept.get(sleeve, 0.0)) for sleeve in SLEEVES}
    total = sum(spare.values())
    if total <= 0.0:
        return
    share = min(1.0, excess / total)
    for sleeve in SLEEVES:
        weights[sleeve] -= spare[sleeve] * share
