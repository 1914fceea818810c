"""Layer 2: a call spread of three to six months, wider while the market disperses, with a break-even within reach.

The long strike is the first listed one at or above 1.15 of the forward. When the spread then breaks even beyond
F x (1 + m0 + m1 z), the long strike goes down, strike by strike and not below the forward, the short one with it:
a spread that costs more breaks even lower. z is the growth revision in standard deviations, up when growth is revised
up: then a farther break-even is accepted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from processors.hedge.chain import Chain
from processors.hedge.structure import Structure, Unbuildable, build
from processors.pricing import Unavailable
from topics.hedge_rules import Costs, LayerWindow, PivotRules

_TOLERANCE = 1e-9


def spread_width(rules: PivotRules, dispersion_z: float | None, dispersion_change: float | None) -> float:
    """Points between the strikes: the base width, times 1 + 0.25 x clip(z, 0, 3) while dispersion rises.

    ``dispersion_change`` is its change over 20 sessions; only one above 0 widens. Missing figures leave the base width.
    """
    z, change = _known(dispersion_z, "dispersion_z"), _known(dispersion_change, "dispersion_change")
    if z is None or change is None or not change > 0.0:
        return rules.width
    return rules.width * (1.0 + rules.widen * min(max(z, 0.0), rules.widen_max))


def break_even_limit(rules: PivotRules, forward: float, gdp_z: float | None) -> float:
    """The highest break-even that Layer 2 accepts, vol points; without a growth revision F x (1 + m0)."""
    return forward * (1.0 + rules.m0 + rules.m1 * _growth(rules, gdp_z))


def theta_scale(rules: PivotRules, gdp_z: float | None) -> float:
    """What the layer's theta budget is multiplied by: 1 - 0.25 x clip(z, -2, 2); growth revised down allows more."""
    return 1.0 - rules.theta_gdp * _growth(rules, gdp_z)


def build_l2(
    chain: Chain,
    window: LayerWindow,
    dispersion_z: float | None = None,
    dispersion_change: float | None = None,
    gdp_z: float | None = None,
    rules: PivotRules | None = None,
    costs: Costs | None = None,
) -> Structure | Unbuildable:
    """The call spread of the expiry nearest to the window's target; unbuildable, with the reason, when none fits.

    The short strike is the listed one nearest to the long strike plus the width, the lower of two, not nearer than half
    the width and never farther than the widest spread there is.
    """
    rules = PivotRules() if rules is None else rules
    quotes = chain.nearest(window)
    if isinstance(quotes, Unavailable):
        return Unbuildable(quotes.reason)
    strikes, forward = quotes.open_calls(), quotes.forward
    width = spread_width(rules, dispersion_z, dispersion_change)
    limit = break_even_limit(rules, forward, gdp_z)
    wanted = rules.k1 * forward
    above = [k for k in strikes if k >= wanted - _TOLERANCE][:1]
    below = [k for k in reversed(strikes) if rules.k1_least * forward - _TOLERANCE <= k < wanted - _TOLERANCE]
    refused = f"no call at or above {wanted:.4g} can be dealt on"
    # Without a strike at or above the wanted one, lower ones would only be a spread that nobody asked for.
    for k1 in above + below if above else []:
        k2 = _short_strike(strikes, k1, width, rules)
        if k2 is None:
            refused = f"no call to sell near {k1 + width:g} can be dealt on"
            continue
        reason = (
            f"long {k1:g} from {rules.k1:g} x {forward:.4g} = {wanted:.4g}, width {k2 - k1:g} from {width:.4g}, "
            f"break-even at most {limit:.4g}"
        )
        found = build(chain, quotes, "L2", "call_spread", [(1, "C", k1), (-1, "C", k2)], reason, costs)
        if isinstance(found, Structure) and found.debit <= 0.0:
            found = Unbuildable(f"the spread {k1:g}/{k2:g} costs {found.debit:g}: at least one quote is stale")
        if isinstance(found, Structure) and found.break_even <= limit + _TOLERANCE:
            return found
        refused = (
            found.reason
            if isinstance(found, Unbuildable)
            else f"the spread {k1:g}/{k2:g} breaks even at {found.break_even:.4g}, beyond {limit:.4g}"
        )
    return Unbuildable(refused)


def _short_strike(strikes: Sequence[float], k1: float, width: float, rules: PivotRules) -> float | None:
    nearest, farthest = k1 + rules.width_least * width - _TOLERANCE, k1 + rules.width_max + _TOLERANCE
    within = [k for k in strikes if k > k1 and nearest <= k <= farthest]
    return min(within, key=lambda k: (abs(k - k1 - width), k), default=None)


def _growth(rules: PivotRules, gdp_z: float | None) -> float:
    z = _known(gdp_z, "gdp_z")
    return 0.0 if z is None else min(max(z, -rules.gdp_max), rules.gdp_max)


def _known(x: float | None, name: str) -> float | None:
    if x is not None and not math.isfinite(x):
        raise ValueError(f"{name} must be a finite number, got {x!r}")
    return x
