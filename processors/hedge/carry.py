"""What it costs to hold the hedge while nothing happens, and a budget for it.

Premium paid is not cost: what is not decayed can be sold again. The cost is the fall in value over a horizon in which
each future slides down its segment of the VX curve, vols by strike stay, and days pass. A long future *pays* that roll
in contango; only what is short receives it. The budget caps adds alone: nothing is sold because carry rose.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from processors.hedge.futures import Contract
from processors.hedge.l2 import theta_scale
from processors.hedge.lines import FloatArray, Lines
from processors.hedge.weights import Vector, sleeves, vector
from processors.pricing import DAYS_PER_YEAR
from processors.signals.statistic import finite, positive
from topics.calibration import HedgeRules
from topics.hedge_rules import CarryRules, Sleeve
from topics.message import Feature, feature_number

#: The layers whose carry is budgeted. Temporal Theta is short premium with a cap of its own; its income pays for no
#: more of the others, since it is gone when it is needed.
BUDGETED: Final[tuple[Sleeve, ...]] = ("L1", "L2", "L3")


def roll_yields(curve_dte: ArrayLike, curve_prices: ArrayLike, dte: ArrayLike) -> FloatArray | None:
    """What a calendar day of rolling down the curve returns to a *long* holder at each tenor, decimal, not annualised.

    ln(F_near / F_far) / (days between their expiries), below 0 in contango, of the two contracts whose expiries enclose
    the tenor; one of the curve's own contracts slides to the contract before it. Nearer than the first contract and
    farther than the last, the next segment's counts: the front contract's distance to spot VIX is no roll, since
    nothing trades at spot, and blows up near expiry.

    Args:
        curve_dte: calendar days to expiry of the live contracts, ascending, at least 0.
        curve_prices: their prices, vol points.
        dte: tenors asked for, calendar days.

    None with fewer than two contracts.
    """
    days, prices = np.asarray(curve_dte, dtype=np.float64), np.asarray(curve_prices, dtype=np.float64)
    at = np.asarray(dte, dtype=np.float64)
    if days.ndim != 1 or days.shape != prices.shape:
        raise ValueError(f"days and prices must be one row each of one length, got {days.shape} and {prices.shape}")
    if not (np.isfinite(days).all() and (days >= 0).all() and (np.diff(days) > 0).all()):
        raise ValueError(f"curve_dte must be finite, at least 0 and ascending, got {days.tolist()}")
    if not (np.isfinite(prices) & (prices > 0)).all():
        raise ValueError(f"curve_prices must be finite numbers above 0, got {prices.tolist()}")
    if not np.isfinite(at).all():
        raise ValueError(f"dte must be finite numbers, got {at.tolist()}")
    if len(days) < 2:
        return None
    slopes = -np.diff(np.log(prices)) / np.diff(days)
    return np.asarray(slopes[np.clip(np.searchsorted(days, at, side="left") - 1, 0, len(slopes) - 1)])


@dataclass(frozen=True, slots=True)
class Carry:
    """Projected carry by layer, USD a year; below 0 it costs.

    Attributes:
        roll: from futures, and the forwards of options, sliding down the curve.
        decay: from time passing for options: theta, integrated over the horizon.
        premium: market value of the options now, USD; what the long ones could lose at most.
    """

    roll: Mapping[Sleeve, float]
    decay: Mapping[Sleeve, float]
    premium: Mapping[Sleeve, float]

    def total(self, layer: Sleeve) -> float:
        """Roll and decay of a layer."""
        return self.roll[layer] + self.decay[layer]


def project(rules: CarryRules, lines: Lines, roll: ArrayLike) -> Carry:
    """The carry of a hedge that is kept at its tenors: each line's over the horizon, annualised.

    A line is followed over the horizon or to its expiry, whichever comes first, and then taken to be put on again: its
    annual figure is 365 / days times what it brought. By full revaluation: roll is the value at the slid forward less
    the value now, decay the value after the days less that. Their sum is exact, and a long option never loses more
    than its premium over the days followed.

    `roll`: each line's roll yield, decimal a calendar day, from the long holder's side (see :func:`roll_yields`).
    """
    yields = np.asarray(roll, dtype=np.float64)
    if yields.shape != lines.quantity.shape or not np.isfinite(yields).all():
        raise ValueError(f"roll must hold one finite number for each of the {len(lines)} lines, got {yields.tolist()}")
    days = np.minimum(lines.dte, rules.horizon_days)
    with np.errstate(over="ignore"):
        later = lines.forward * np.exp(yields * days)
    if not (np.isfinite(later) & (later > 0)).all():
        raise ValueError(f"roll leads to no finite price above 0: {yields.tolist()}")
    size = lines.quantity * lines.multiplier
    now = lines.points(lines.forward, lines.vol, lines.dte)
    slid = lines.points(later, lines.vol, lines.dte)
    end = lines.points(later, lines.vol, lines.dte - days)
    annual = size * DAYS_PER_YEAR / days
    return Carry(
        roll=lines.by_layer(annual * (slid - now)),
        decay=lines.by_layer(annual * (end - slid)),
        premium=lines.by_layer(np.where(lines.option, size * now, 0.0)),
    )


def projected(rules: CarryRules, lines: Lines, futures: Sequence[Contract], session_date: date) -> Carry | None:
    """The carry of these lines down the curve of a session; None without a curve to roll down."""
    days = [(contract.expiry - session_date).days for contract in futures]
    yields = roll_yields(days, [contract.price for contract in futures], lines.dte)
    return None if yields is None else project(rules, lines, yields)


@dataclass(frozen=True, slots=True)
class Budgeted:
    """Weights within the carry budget.

    Attributes:
        weights: fractions of H; what was not added is in the reserve.
        cost: projected carry cost of Layers 1 to 3 at these weights, fraction of market value a year; below 0 it earns.
            None when the carry of a layer that stays held is not known.
        kept: share of the adds wanted that is left, 0 to 1; None when there were none.
    """

    weights: Vector
    cost: float | None
    kept: float | None


def limit_carry(
    budget: float,
    held: Mapping[Sleeve, float],
    target: Vector,
    costs: Mapping[Sleeve, float | None],
    floors: Mapping[Sleeve, float] | None = None,
) -> Budgeted:
    """`target` with the adds of Layers 1 to 3 shrunk alike until their projected carry is within the budget.

    An add whose layer earns carry is taken in full, though it pays for no other, and so are every reduction and an add
    up to a layer's floor (the hard band of Layer 1 in `low`: cost brings the layer down to it, and no further); the
    rest fits into what the budget leaves. What is held is never reduced here.

    Args:
        budget: carry cost a year, fraction of market value.
        held: weights now, fractions of H.
        target: weights wanted.
        costs: annual carry cost of a weight of 1 by layer, fraction of market value (above 0 costs): -carry / weight /
            market value. None, or absent, when it is not known: then the layer gets no adds, and while any of it stays
            held, no other layer gets any that costs.
        floors: weights that the budget gives way to.
    """
    now = sleeves(target)
    known: dict[Sleeve, float] = {}
    blind = False
    for layer in BUDGETED:
        cost = costs.get(layer)
        if cost is None:
            now[layer] = min(now[layer], held[layer])
            blind = blind or now[layer] != 0
        else:
            # What earns carry now pays for nothing: it is gone when the curve turns.
            known[layer] = max(0.0, finite(cost, f"cost of {layer}"))
    adds = {layer: max(0.0, now[layer] - held[layer]) for layer in known}
    free = {layer: min(now[layer], held[layer]) + (adds[layer] if cost <= 0 else 0.0) for layer, cost in known.items()}
    dear = {layer: adds[layer] for layer, cost in known.items() if cost > 0 and adds[layer] > 0}
    wanted = math.fsum(max(0.0, target[layer] - held[layer]) for layer in BUDGETED)
    spent = math.fsum(free[layer] * cost for layer, cost in known.items())

    least = {layer: min(add, max(0.0, (floors or {}).get(layer, 0.0) - held[layer])) for layer, add in dear.items()}
    spent += math.fsum(add * known[layer] for layer, add in least.items())
    rest = {layer: add - least[layer] for layer, add in dear.items()}
    share = _fit(budget, spent, rest, known, blind)
    for layer in known:
        now[layer] = free[layer] + least.get(layer, 0.0) + share * rest.get(layer, 0.0)
    # Rounding must not lift anything above what was wanted.
    weights = vector({**now, **{layer: min(now[layer], target[layer]) for layer in BUDGETED}})
    kept = math.fsum(max(0.0, weights[layer] - held[layer]) for layer in BUDGETED)
    total = None if blind else math.fsum(weights[layer] * cost for layer, cost in known.items())
    return Budgeted(weights, total, min(1.0, kept / wanted) if wanted > 0 else None)


def _fit(
    budget: float, spent: float, adds: Mapping[Sleeve, float], costs: Mapping[Sleeve, float], blind: bool
) -> float:
    """The share of these adds, 0 to 1, that what is left of the budget pays for."""
    cost = math.fsum(add * costs[layer] for layer, add in adds.items())
    if cost <= 0:
        return 1.0
    return 0.0 if blind else min(1.0, max(0.0, (budget - spent) / cost))


def carry_budget(rules: HedgeRules, signals: Mapping[str, Feature]) -> float:
    """The cost a year beyond which nothing is added, fraction of market value: more while growth is revised down."""
    return rules.carry.hard * theta_scale(rules.pivot, feature_number(signals, "gdp_z"))


def premium_room(rules: CarryRules, mv: float, paid: float) -> float:
    """USD of premium that may still be paid: the budget of a year less what the trailing year paid, at least 0.

    `paid`: premiums paid less premiums received over the trailing 365 days, USD. Compounding suffers from premium that
    is paid again and again, whatever carry was projected each time.
    """
    return max(0.0, rules.premium * positive(mv, "mv") - finite(paid, "paid"))


def limit_premium(
    held: Mapping[Sleeve, float], target: Vector, premiums: Mapping[Sleeve, float], room: float
) -> Vector:
    """`target` with the adds of Layers 1 to 3 that pay premium shrunk alike until they pay no more than `room`, USD.

    `premiums`: USD that a weight of 1 pays by layer; a layer that is absent (futures) pays none. The rest goes to the
    reserve; reductions and Temporal Theta stay as they are.
    """
    paying = [layer for layer in BUDGETED if finite(premiums.get(layer, 0.0), f"premium of {layer}") > 0]
    adds = {layer: max(0.0, target[layer] - held[layer]) for layer in paying}
    cost = math.fsum(add * premiums[layer] for layer, add in adds.items())
    if cost <= finite(room, "room"):
        return target
    share = max(0.0, room) / cost
    cut = {layer: target[layer] - (1.0 - share) * add for layer, add in adds.items()}
    return vector({**sleeves(target), **cut})


def efficiency(payoff: float, annual_cost: float) -> float | None:
    """Payoff in a stress scenario over annual carry cost, both USD; None when holding the hedge costs nothing."""
    cost = finite(annual_cost, "annual_cost")
    return finite(payoff, "payoff") / cost if cost > 0 else None
