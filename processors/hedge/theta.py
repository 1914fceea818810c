"""Temporal Theta: a VIX call credit spread sold after a spike, once the fear falls, and never before.

Selling volatility into a rising spike is how such sleeves are ruined. Every condition of the gate must be known and
hold; a missing figure keeps it closed. The risk is the width less the credit, and limits count that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr  # type: ignore[import-untyped]

from processors.hedge.chain import Chain
from processors.hedge.structure import Structure, Unbuildable, build
from processors.pricing import Unavailable
from topics.hedge_rules import Costs, LayerWindow, ThetaRules
from topics.message import State

_TOLERANCE = 1e-9
#: Closes that a high of five days looks back on.
DAYS = 5


@dataclass(frozen=True, slots=True)
class ThetaView:
    """What the gate looks at; None where it is missing. NaN and infinities are refused with a ValueError.

    Attributes:
        state: of the regime.
        vix: now, vol points.
        closes: VIX closes of the five sessions before, oldest first; fewer are not enough.
        macd_hist: MACD histogram of VIX, vol points.
        rv21: realised volatility of the SPX over 21 sessions, vol points.
        vix_mean200: mean of VIX over 200 sessions.
        iv_premium: implied over realised volatility of 30 days, less 1, a fraction.
        contango: VX2 / VX1 - 1.
    """

    state: State
    vix: float | None
    closes: tuple[float, ...]
    macd_hist: float | None
    rv21: float | None
    vix_mean200: float | None = None
    iv_premium: float | None = None
    contango: float | None = None

    def __post_init__(self) -> None:
        for name in ("vix", "macd_hist", "rv21", "vix_mean200", "iv_premium", "contango"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise ValueError(f"{name} must be a finite number, got {number!r}")
        if not all(math.isfinite(close) for close in self.closes):
            raise ValueError(f"closes must be finite numbers, got {self.closes}")

    @property
    def high5(self) -> float | None:
        """The highest of the last five closes; None with fewer."""
        return max(self.closes[-DAYS:]) if len(self.closes) >= DAYS else None


def shut(view: ThetaView, rules: ThetaRules | None = None) -> tuple[str, ...]:
    """Why the gate is shut, one reason a condition that fails or cannot be judged; empty when it is open."""
    rules = ThetaRules() if rules is None else rules
    vix, high5 = view.vix, view.high5
    reasons = [] if view.state == "high" else [f"the state is {view.state}, not high"]
    if vix is None or high5 is None:
        reasons.append("VIX or its high of five sessions is missing")
    elif not vix < rules.fall * high5:
        reasons.append(f"VIX {vix:.4g} is not below {rules.fall:g} x its high of five sessions, {high5:.4g}")
    if view.macd_hist is None:
        reasons.append("the MACD histogram of VIX is missing")
    elif not view.macd_hist < 0.0:
        reasons.append(f"the MACD histogram of VIX is {view.macd_hist:.4g}, not below 0")
    if vix is None or view.rv21 is None:
        reasons.append("VIX or realised volatility is missing")
    elif not vix - view.rv21 >= 0.0:
        reasons.append(f"VIX {vix:.4g} is below realised volatility {view.rv21:.4g}")
    if rules.above_average:
        if vix is None or view.vix_mean200 is None:
            reasons.append("VIX or its mean of 200 sessions is missing")
        elif not vix > view.vix_mean200:
            reasons.append(f"VIX {vix:.4g} is not above its mean of 200 sessions, {view.vix_mean200:.4g}")
    for name, value, least in (
        ("the premium of implied over realised volatility", view.iv_premium, rules.iv_premium_min),
        ("contango", view.contango, rules.contango_min),
    ):
        if least is not None and value is None:
            reasons.append(f"{name} is missing")
        elif least is not None and value is not None and not value >= least:
            reasons.append(f"{name} is {value:.1%}, below {least:.1%}")
    return tuple(reasons)


def build_theta(
    chain: Chain,
    window: LayerWindow,
    view: ThetaView,
    rules: ThetaRules | None = None,
    costs: Costs | None = None,
) -> Structure | Unbuildable:
    """The call credit spread of the expiry nearest to the window's target, while the gate is open.

    Sells the call out of the money whose forward delta, N(d1), is nearest to 0.40, the higher strike of two, and buys
    the listed one nearest to ``width`` above it, the lower of two. An expiry at or below the days at which the spread
    would be closed is not opened. Unbuildable, with the reason, otherwise.
    """
    rules = ThetaRules() if rules is None else rules
    if reasons := shut(view, rules):
        return Unbuildable("; ".join(reasons))
    quotes = chain.nearest(window.model_copy(update={"dte_min": max(window.dte_min, rules.exit_dte + rules.hold_min)}))
    if isinstance(quotes, Unavailable):
        return Unbuildable(quotes.reason)
    strikes = quotes.open_calls()
    outside = [k for k in strikes if k > quotes.forward]
    if len(outside) < 2:
        return Unbuildable("fewer than two calls out of the money can be dealt on")
    k = np.array(outside[:-1])
    s = quotes.vols[np.searchsorted(quotes.strikes, k)] * math.sqrt(quotes.t)
    away = np.round(np.abs(ndtr(np.log(quotes.forward / k) / s + 0.5 * s) - rules.short_delta), 12)
    short = float(k[np.lexsort((-k, away))[0]])
    above = [each for each in outside if short < each <= short + 2.0 * rules.width + _TOLERANCE]
    long = min(above, key=lambda each: (abs(each - short - rules.width), each), default=None)
    if long is None:
        return Unbuildable(f"no call near {short + rules.width:g} to cover the short {short:g} can be dealt on")
    reason = f"sold after a spike: VIX {view.vix:.4g} from {view.high5:.4g}, short {short:g} against long {long:g}"
    found = build(chain, quotes, "TT", "call_credit_spread", [(-1, "C", short), (1, "C", long)], reason, costs)
    if isinstance(found, Unbuildable):
        return found
    least = rules.credit_min * (long - short)
    if found.credit - found.fees < least - _TOLERANCE:
        return Unbuildable(f"the credit {found.credit:g} less fees {found.fees:g} is below {least:g}")
    return found


def exits(
    credit: float,
    cost: float | None,
    dte: int,
    vix: float | None,
    closes: Sequence[float],
    rules: ThetaRules | None = None,
) -> tuple[str, ...]:
    """Why a spread that was sold is to be closed now; empty while it is held.

    Args:
        credit: received for it, vol points.
        cost: of closing it, at the ask of the short leg and the bid of the long one; None when it is not quoted.
        dte: calendar days to its expiry.
        vix: now, None when missing.
        closes: VIX closes of the sessions before, oldest first, of which the last five count.

    A missing figure is no reason by itself: days to expiry close the spread in any case.
    """
    rules = ThetaRules() if rules is None else rules
    for name, number in (("credit", credit), ("cost", cost), ("vix", vix), *(("closes", each) for each in closes)):
        if number is not None and not math.isfinite(number):
            raise ValueError(f"{name} must be a finite number, got {number!r}")
    reasons = []
    if cost is not None and credit - cost >= rules.profit * credit - _TOLERANCE:
        reasons.append(f"profit: {credit - cost:.4g} of the credit {credit:.4g} is earned")
    if dte <= rules.exit_dte:
        reasons.append(f"time: {dte} days to expiry, at most {rules.exit_dte}")
    if vix is not None and len(closes) >= DAYS and vix > max(closes[-DAYS:]):
        reasons.append(f"rise: VIX {vix:.4g} is a new high of five sessions")
    return tuple(reasons)
