"""Layer 3: a far call spread of more than half a year, and a smaller part in calls of a month for the tail.

The benchmark of the tail is the schedule of the Cboe VIX Tail Hedge Index (VXTH), which buys 30-delta VIX calls of one
month for a share of the portfolio that depends on the *forward*, not on spot VIX. It is reported beside the structure;
what the layer buys is bound by its own share.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr  # type: ignore[import-untyped]

from processors.hedge.chain import Chain
from processors.hedge.structure import Structure, Unbuildable, build
from processors.pricing import Unavailable
from topics.hedge_rules import ConvexityRules, Costs, LayerWindow

_TOLERANCE = 1e-9


def build_l3(
    chain: Chain, window: LayerWindow, rules: ConvexityRules | None = None, costs: Costs | None = None
) -> Structure | Unbuildable:
    """The call spread of the expiry nearest to the window's target: the first listed strikes at or above 1.3 and 1.8 F.

    Unbuildable, with the reason, when a leg cannot be dealt on or the spread cannot gain.
    """
    rules = ConvexityRules() if rules is None else rules
    quotes = chain.nearest(window)
    if isinstance(quotes, Unavailable):
        return Unbuildable(quotes.reason)
    strikes, forward = quotes.open_calls(), quotes.forward
    lower = next((k for k in strikes if k >= rules.k1 * forward - _TOLERANCE), None)
    if lower is None:
        return Unbuildable(f"no call at or above {rules.k1 * forward:.4g} can be dealt on")
    upper = next((k for k in strikes if k > lower and k >= rules.k2 * forward - _TOLERANCE), None)
    if upper is None:
        return Unbuildable(f"no call at or above {rules.k2 * forward:.4g} can be dealt on")
    reason = f"strikes from {rules.k1:g} and {rules.k2:g} x {forward:.4g}, forward from {quotes.forward_source}"
    found = build(chain, quotes, "L3", "call_spread", [(1, "C", lower), (-1, "C", upper)], reason, costs)
    if isinstance(found, Structure) and found.debit <= 0.0:
        return Unbuildable(f"the spread {lower:g}/{upper:g} costs {found.debit:g}: at least one quote is stale")
    return found


def build_tail(
    chain: Chain, rules: ConvexityRules | None = None, costs: Costs | None = None
) -> Structure | Unbuildable:
    """A call out of the money whose forward delta, N(d1), is nearest to 0.30; of two as near the higher strike.

    The nearest one listed may be some way off where strikes are far apart; its delta is in the reason.
    """
    rules = ConvexityRules() if rules is None else rules
    quotes = chain.nearest(rules.tail_window)
    if isinstance(quotes, Unavailable):
        return Unbuildable(quotes.reason)
    strikes = [k for k in quotes.open_calls() if k > quotes.forward]
    if not strikes:
        return Unbuildable("no call out of the money can be dealt on")
    k = np.array(strikes)
    s = quotes.vols[np.searchsorted(quotes.strikes, k)] * math.sqrt(quotes.t)
    deltas = ndtr(np.log(quotes.forward / k) / s + 0.5 * s)
    i = min(range(len(strikes)), key=lambda j: (round(abs(float(deltas[j]) - rules.tail_delta), 12), -strikes[j]))
    share = vxth_share(quotes.forward)
    reason = f"delta {float(deltas[i]):.2f}, wanted {rules.tail_delta:g}; VXTH would spend {share:.1%} of the portfolio"
    return build(chain, quotes, "L3", "call", [(1, "C", strikes[i])], reason, costs)


def split_l3(weight: float, tail: bool, rules: ConvexityRules | None = None) -> tuple[float, float]:
    """The layer's weight as (call spread, tail): with a tail its largest share, without one nothing."""
    rules = ConvexityRules() if rules is None else rules
    if not 0.0 <= weight < math.inf:
        raise ValueError(f"weight must be a finite number of at least 0, got {weight!r}")
    tails = rules.tail_max * weight if tail else 0.0
    return weight - tails, tails


def spot_notional(structure: Structure, rules: ConvexityRules | None = None) -> float:
    """Notional of a unit by what a point of *spot* VIX moves it, USD: its VX notional x the beta of its tenor."""
    return structure.notional * (ConvexityRules() if rules is None else rules).spot_beta


def vxth_share(forward: float) -> float:
    """The share of the portfolio that VXTH spends on VIX calls at a monthly roll, by the forward of their expiry.

    Nothing up to 15, 1 % above 15 up to 30, 0.5 % above 30 up to 50, nothing above 50. Source: Cboe, VIX Tail Hedge
    Index; that each band includes its upper end is read from "at or below 15" and "above 50".
    """
    if not 0.0 < forward < math.inf:
        raise ValueError(f"forward must be a finite number above 0, got {forward!r}")
    if forward <= 15.0 or forward > 50.0:
        return 0.0
    return 0.01 if forward <= 30.0 else 0.005
