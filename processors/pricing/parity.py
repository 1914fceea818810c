"""The forward that a strip of options implies by put-call parity.

Premiums in the quote currency: C - P = e^{-rt} (F - K).

Premiums in the coin of the underlying (coin-settled, "inverse" options): the coin is the collateral and is not
discounted, and such a premium is quoted against the forward of its expiry, so premium in coin x F = *undiscounted*
premium in the quote currency. Hence c - p = 1 - K/F, that is F = K / (1 - (c - p)), whatever the rate of the quote
currency; and where the coin itself can be lent, c - p = D (1 - K/F) with D its discount factor.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from processors.pricing._inputs import (
    BoolArray,
    FloatArray,
    Quotes,
    ascending,
    discount_factor,
    finite,
    not_negative,
    number,
    positive,
    quotes,
)
from processors.pricing.unavailable import Unavailable

_HUBER = 1.345
"""In robust standard deviations; 95% as efficient as least squares under normal noise (P. Huber, 1964)."""

_MAD = 1.4826
"""From median absolute deviation to the standard deviation of a normal."""

_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class ParityForward:
    """The forward from one strike, that with the smallest abs(C - P)."""

    forward: float
    strike: float


@dataclass(frozen=True, slots=True)
class ParityFit:
    """The line through C - P over the strikes.

    `discount` is e^{-rt} as the strip implies it. `residual` is the weighted root mean square distance of C - P from
    the line, in the units of the premium; `strikes` how many strikes took part.
    """

    forward: float
    discount: float
    residual: float
    strikes: int


def forward_nearest(
    strikes: ArrayLike, call: Quotes, put: Quotes, t: float, r: float, *, coin_settled: bool = False
) -> ParityForward | Unavailable:
    """F = K + e^{rt} (C - P) at the strike where call and put are closest: the way of the Cboe VIX methodology.

    `call` and `put` are mid quotes, None where there is none; of two strikes as close the lower one serves. With
    `coin_settled` premiums in coin, F = K / (1 - e^{rt} (c - p)), `r` being the coin's lending rate (0 as a rule).
    Unavailable when no strike has both, or no forward above 0 follows.
    """
    k = ascending(strikes)
    calls, has_call = quotes(call, k, "call")
    puts, has_put = quotes(put, k, "put")
    growth = 1.0 / _discount(t, r)
    both = has_call & has_put
    if not both.any():
        return Unavailable("no strike has both a call and a put")
    spread = calls - puts
    at = int(np.argmin(np.where(both, np.abs(spread), np.inf)))
    carried = growth * float(spread[at])
    strike = float(k[at])
    if coin_settled:
        forward = strike / (1.0 - carried) if carried < 1.0 else -1.0
    else:
        forward = strike + carried
    if not forward > 0.0:
        return Unavailable(f"call and put at strike {strike} imply no forward above 0")
    return ParityForward(forward, strike)


def forward_fit(
    strikes: ArrayLike,
    call_bid: Quotes,
    call_ask: Quotes,
    put_bid: Quotes,
    put_ask: Quotes,
    *,
    coin_settled: bool = False,
    minimum: int = 3,
) -> ParityFit | Unavailable:
    """Forward and discount factor from all liquid strikes, by a robust regression of C - P on K.

    A strike is liquid when call and put both have a bid above 0 and an ask not below it. The line C - P = D F - D K
    (in coin: D - (D/F) K) starts from the median of the pairwise slopes (Theil-Sen) and is refined by weighted least
    squares with Huber's weights, each strike also weighted by 1 / (width of the call quote + width of the put quote)^2:
    one stale strike moves neither figure much. Unavailable under `minimum` liquid strikes, or when the line has no D
    and F above 0.
    """
    k = ascending(strikes)
    if minimum < 2:
        raise ValueError(f"minimum must be at least 2, got {minimum}")
    call, call_width, has_call = _mids(call_bid, call_ask, k, "call")
    put, put_width, has_put = _mids(put_bid, put_ask, k, "put")
    liquid = has_call & has_put
    n = int(liquid.sum())
    if n < minimum:
        return Unavailable(f"{n} strikes with a two-sided call and put, {minimum} are needed")
    x, y, width = k[liquid], (call - put)[liquid], (call_width + put_width)[liquid]
    weight = _trust(width)
    slope, level = _robust_line(x, y, weight)
    discount = level if coin_settled else -slope
    if not (discount > 0.0 and slope < 0.0 < level):
        return Unavailable(f"call less put has slope {slope} and level {level} over the strikes: no forward above 0")
    forward = -level / slope
    residual = np.sqrt(np.average((y - level - slope * x) ** 2, weights=weight))
    return ParityFit(float(forward), float(discount), float(residual), n)


def coin_to_quote(premium: ArrayLike, forward: ArrayLike) -> FloatArray:
    """Premium in coin x forward of its expiry = undiscounted premium in the quote currency: use it with r = 0."""
    return np.asarray(finite(premium, "premium") * positive(forward, "forward"))


def _discount(t: float, r: float) -> float:
    return float(discount_factor(not_negative(number(t, "t"), "t"), finite(number(r, "r"), "r")))


def _mids(bid: Quotes, ask: Quotes, k: FloatArray, name: str) -> tuple[FloatArray, FloatArray, BoolArray]:
    bids, has_bid = quotes(bid, k, f"{name}_bid")
    asks, has_ask = quotes(ask, k, f"{name}_ask")
    return 0.5 * (bids + asks), asks - bids, has_bid & has_ask & (bids > 0.0) & (asks >= bids)


def _trust(width: FloatArray) -> FloatArray:
    # A locked market has no width; it is trusted as the tightest open one, not without bound.
    open_ = width[width > 0.0]
    if not open_.size:
        return np.ones_like(width)
    return np.asarray((open_.min() / np.maximum(width, open_.min())) ** 2)


def _robust_line(x: FloatArray, y: FloatArray, trust: FloatArray) -> tuple[float, float]:
    i, j = np.triu_indices(x.size, 1)
    slope = float(np.median((y[j] - y[i]) / (x[j] - x[i])))
    level = float(np.median(y - slope * x))
    for _ in range(_ROUNDS):
        away = np.abs(y - level - slope * x)
        scale = _MAD * float(np.median(away))
        if scale <= 1e-12 * float(np.abs(y).max(initial=1.0)):
            break  # more than half of the strikes are on the line
        weight = trust / np.maximum(1.0, away / (_HUBER * scale))
        centre, height = np.average(x, weights=weight), np.average(y, weights=weight)
        following = float(np.sum(weight * (x - centre) * (y - height)) / np.sum(weight * (x - centre) ** 2))
        moved = abs(following - slope)
        slope, level = following, float(height - following * centre)
        if moved <= 1e-14 * abs(slope):
            break
    return slope, level
