"""Implied volatility under Black-76."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfinv  # type: ignore[import-untyped]

from processors.pricing import _otm
from processors.pricing._inputs import (
    BoolArray,
    FloatArray,
    MaskedFloats,
    discount_factor,
    finite,
    not_negative,
    positive,
    signs,
)

_ROUNDING = 4.0 * float(np.finfo(np.float64).eps)
_STEPS = 100  # Newton needs about six; the bound is for bisection


class VolStatus(IntEnum):
    """What a premium says about volatility."""

    FOUND = 0
    BELOW_INTRINSIC = 1
    """Less than the discounted intrinsic value: no vol, and an arbitrage if it can be traded."""
    NO_TIME_VALUE = 2
    """The discounted intrinsic value itself, within rounding: the premium does not tell which small vol it has."""
    ABOVE_BOUND = 3
    """At least the discounted forward (call) or strike (put): no finite vol is worth that much."""
    EXPIRED = 4
    """t = 0: the premium does not depend on vol."""


@dataclass(frozen=True, slots=True, eq=False)
class ImpliedVols:
    """Vols as decimals a year, masked wherever `status` is not FOUND, so that `vol.tolist()` has None there."""

    vol: MaskedFloats
    status: NDArray[np.int8]

    @property
    def found(self) -> BoolArray:
        """Where there is a vol."""
        return np.asarray(self.status == VolStatus.FOUND)


def implied_vol(
    premium: ArrayLike, forward: ArrayLike, strike: ArrayLike, t: ArrayLike, r: ArrayLike, right: ArrayLike
) -> ImpliedVols:
    """The vol at which :func:`~processors.pricing.black76.price` gives `premium`; every argument broadcasts.

    Accurate to a few units in the last place of what the premium determines. A premium in the money carries its time
    value behind its intrinsic value, so its vol is known only to (rounding of the premium) / vega: prefer the quote
    out of the money. ValueError for NaN or infinities, forward or strike not above 0, t below 0, right not +1 or -1.
    """
    paid, f, k, years, rate, sign = np.broadcast_arrays(
        finite(premium, "premium"),
        positive(forward, "forward"),
        positive(strike, "strike"),
        not_negative(t, "t"),
        finite(r, "r"),
        signs(right),
    )
    undiscounted = paid / discount_factor(years, rate)
    inside = np.maximum(sign * (f - k), 0.0)
    unit = np.minimum(f, k)
    time_value = undiscounted - inside
    # Only a premium in the money loses digits when its intrinsic value is taken off.
    noise = np.where(inside > 0.0, _ROUNDING * np.maximum(f, k), 0.0)
    status = np.select(
        [
            years == 0.0,
            time_value < -noise,
            time_value <= noise,
            time_value >= unit,
        ],
        [VolStatus.EXPIRED, VolStatus.BELOW_INTRINSIC, VolStatus.NO_TIME_VALUE, VolStatus.ABOVE_BOUND],
        VolStatus.FOUND,
    ).astype(np.int8)
    found = status == VolStatus.FOUND
    vol = np.zeros(status.shape)
    vol[found] = _total_vol(_otm.distance(f, k)[found], time_value[found], unit[found]) / np.sqrt(years[found])
    return ImpliedVols(np.ma.MaskedArray(vol, mask=~found), status)


def _total_vol(x: FloatArray, worth: FloatArray, unit: FloatArray) -> FloatArray:
    """s = vol sqrt(t) with unit x b(x, s) = worth, for 0 < worth < unit.

    b turns from convex to concave at s = sqrt(2x). Below, ln b is nearly linear in 1/s^2; above, ln(1 - b) is smooth in
    s. Newton in those terms, inside a bracket that bisection falls back on.
    """
    turn = np.sqrt(2.0 * x)
    low = worth < unit * _otm.value(x, turn)
    s = np.empty_like(x)

    x_low, target_low = x[low], np.log(worth[low]) - np.log(unit[low])

    def towards_low(s: FloatArray) -> FloatArray:
        scaled = _otm.tail(x_low, s)
        step = _newton_low(target_low, x_low, s, scaled)
        stretch = 1.0 - 2.0 * step / s
        return np.where(stretch > 0.0, s / np.sqrt(np.where(stretch > 0.0, stretch, 1.0)), np.inf)

    s[low] = _root(towards_low, turn[low], np.zeros_like(x_low), turn[low])

    high = ~low
    x_high, share = x[high], worth[high] / unit[high]
    target_high = -np.where(share < 0.5, np.log1p(-share), np.log((unit[high] - worth[high]) / unit[high]))

    def towards_high(s: FloatArray) -> FloatArray:
        d1 = _otm.d1_of(x_high, s)
        b = _otm.value(x_high, s)
        log_rest = np.log(_otm.rest(x_high, s)) - 0.5 * d1 * d1
        reached = -np.where(b < 0.5, np.log1p(-np.minimum(b, 0.5)), log_rest)
        # b'(s) / (1 - b) = n(d1) / (1 - b)
        slope = 1.0 / (np.sqrt(2.0 * np.pi) * _otm.rest(x_high, s))
        return np.asarray(s + (target_high - reached) / slope)

    # b(x, s) < b(0, s) = erf(s / sqrt(8)), so the vol at the money is a lower bound, and with x = 0 the answer.
    start = np.maximum(turn[high], np.sqrt(8.0) * erfinv(share))
    s[high] = _root(towards_high, start, start, np.full_like(start, np.inf))
    return s


def _newton_low(target: FloatArray, x: FloatArray, s: FloatArray, scaled: FloatArray) -> FloatArray:
    """The step in s that a Newton iteration on ln b = target would make. (ln b)' = n(d1) / b."""
    d1 = _otm.d1_of(x, s)
    return np.asarray((target - np.log(scaled) + 0.5 * d1 * d1) * np.sqrt(2.0 * np.pi) * scaled)


def _root(
    towards: Callable[[FloatArray], FloatArray], start: FloatArray, low: FloatArray, high: FloatArray
) -> FloatArray:
    """Follow `towards`, which points to the root from either side, between two bounds; bisect when it leaves them."""
    s = start
    done = np.zeros(start.shape, dtype=np.bool_)
    for _ in range(_STEPS):
        proposed = towards(s)
        above = proposed > s
        low, high = np.where(above, s, low), np.where(above, high, s)
        half = np.where(np.isfinite(high), 0.5 * (low + np.where(np.isfinite(high), high, 0.0)), 2.0 * s)
        following = np.where((proposed >= low) & (proposed <= high) & np.isfinite(proposed), proposed, half)
        following = np.where(done, s, following)
        done |= np.abs(following - s) <= _ROUNDING * following
        s = following
        if done.all():
            break
    return s
