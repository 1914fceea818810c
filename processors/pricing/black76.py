"""Black-76: European options on a forward, discounted.

C = e^{-rt} [F N(d1) - K N(d2)] and P = e^{-rt} [K N(-d2) - F N(-d1)], with d1 = [ln(F/K) + vol^2 t / 2] / (vol sqrt(t))
and d2 = d1 - vol sqrt(t) (F. Black, "The pricing of commodity contracts", Journal of Financial Economics 3, 1976).

For an option on VIX the forward is the VX future of the *same* expiry, never the spot index.

Every argument broadcasts. Vols and rates are decimals a year (0.80 is 80 vol points; the rate is continuous), t is
years of 365 calendar days. A vol counted over 252 sessions belongs to another clock and must not be put in here.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr  # type: ignore[import-untyped]

from processors.pricing import _otm
from processors.pricing._inputs import FloatArray, discount_factor, finite, not_negative, positive, signs

CALL: Final = 1
PUT: Final = -1

DAYS_PER_YEAR: Final = 365
"""Calendar days: option time and theta."""

POINT: Final = 0.01
"""One vol point as a decimal."""


@dataclass(frozen=True, slots=True, eq=False)
class Greeks:
    """The value of a position and how it moves, each an array of the broadcast shape (() for scalars).

    `price`: in the units of the forward. `delta`: per point of the forward, discounted, so a call's is at most e^{-rt}.
    `gamma`: delta per point of the forward. `vega`: price per vol point (vol + 0.01). `theta`: price per *calendar* day
    that passes at an unchanged forward, the annual figure over 365; a long option's is below 0 except deep in the money
    at a positive rate, where the discount unwinds. VX slides down its curve as well; that roll is not in theta.
    """

    price: FloatArray
    delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray

    def __sub__(self, other: "Greeks") -> "Greeks":
        """Long this, short `other`."""
        return Greeks(
            price=self.price - other.price,
            delta=self.delta - other.delta,
            gamma=self.gamma - other.gamma,
            vega=self.vega - other.vega,
            theta=self.theta - other.theta,
        )


def price(
    forward: ArrayLike, strike: ArrayLike, vol: ArrayLike, t: ArrayLike, r: ArrayLike, right: ArrayLike
) -> FloatArray:
    """The premium, in the units of the forward.

    `forward` and `strike` above 0, `vol` and `t` at least 0, `right` +1 for a call and -1 for a put; ValueError
    otherwise. At t = 0 or vol = 0 it is the discounted intrinsic value. Put-call parity, C - P = e^{-rt}(F - K), holds
    to a few units in the last place of the larger leg, however deep in the money that is.
    """
    return _Option.read(forward, strike, vol, t, r, right).price()


def greeks(
    forward: ArrayLike, strike: ArrayLike, vol: ArrayLike, t: ArrayLike, r: ArrayLike, right: ArrayLike
) -> Greeks:
    """Premium, delta, gamma, vega and theta; arguments and errors as for :func:`price`.

    At t = 0 or vol = 0 they are the limits: delta is +-e^{-rt} in the money, 0 out of it and half way at the strike.
    Gamma and theta of an option exactly at its strike have no finite limit there; they are given as 0.
    """
    return _Option.read(forward, strike, vol, t, r, right).greeks()


def intrinsic(forward: ArrayLike, strike: ArrayLike, t: ArrayLike, r: ArrayLike, right: ArrayLike) -> FloatArray:
    """e^{-rt} max(F - K, 0) of a call, e^{-rt} max(K - F, 0) of a put."""
    f, k = positive(forward, "forward"), positive(strike, "strike")
    discount = discount_factor(not_negative(t, "t"), finite(r, "r"))
    return np.asarray(discount * np.maximum(signs(right) * (f - k), 0.0))


def extrinsic(
    premium: ArrayLike, forward: ArrayLike, strike: ArrayLike, t: ArrayLike, r: ArrayLike, right: ArrayLike
) -> FloatArray:
    """Time value: the premium less the discounted intrinsic value on the matching forward.

    Not below 0 for a premium free of arbitrage. Against the spot index, or undiscounted, it may well be negative.
    """
    return np.asarray(finite(premium, "premium") - intrinsic(forward, strike, t, r, right))


@dataclass(frozen=True, slots=True, eq=False)
class _Option:
    forward: FloatArray
    strike: FloatArray
    vol: FloatArray
    t: FloatArray
    r: FloatArray
    right: FloatArray
    discount: FloatArray
    x: FloatArray
    s: FloatArray

    @classmethod
    def read(
        cls, forward: ArrayLike, strike: ArrayLike, vol: ArrayLike, t: ArrayLike, r: ArrayLike, right: ArrayLike
    ) -> "_Option":
        f, k, v, years, rate, sign = np.broadcast_arrays(
            positive(forward, "forward"),
            positive(strike, "strike"),
            not_negative(vol, "vol"),
            not_negative(t, "t"),
            finite(r, "r"),
            signs(right),
        )
        s = finite(v * np.sqrt(years), "vol x sqrt(t)")
        return cls(f, k, v, years, rate, sign, discount_factor(years, rate), _otm.distance(f, k), s)

    def price(self) -> FloatArray:
        inside = np.maximum(self.right * (self.forward - self.strike), 0.0)
        outside = np.minimum(self.forward, self.strike) * _otm.value(self.x, self.s)
        return np.asarray(self.discount * (inside + outside))

    def greeks(self) -> Greeks:
        value = self.price()
        live = self.s > 0.0
        s = np.where(live, self.s, 1.0)
        side = np.sign(self.forward - self.strike)
        limit = np.select([side > 0.0, side < 0.0], [np.inf, -np.inf], 0.0)
        with np.errstate(over="ignore"):
            d1 = np.where(live, side * self.x / s + 0.5 * s, limit)
        at_d1 = self.discount * self.forward * _otm.density(d1)
        root_t = np.sqrt(self.t)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            curvature = self.discount * _otm.density(d1) / (self.forward * s)
            gamma = np.where(live & np.isfinite(curvature), curvature, 0.0)
            decay = np.where(live, at_d1 * self.vol / (2.0 * np.where(live, root_t, 1.0)), 0.0)
        return Greeks(
            price=value,
            delta=np.asarray(self.right * self.discount * ndtr(self.right * d1)),
            gamma=gamma,
            vega=np.asarray(at_d1 * root_t * POINT),
            theta=np.asarray((self.r * value - decay) / DAYS_PER_YEAR),
        )
