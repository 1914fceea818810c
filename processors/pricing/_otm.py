"""The option out of the money, undiscounted, in units of the lesser of forward and strike.

With m = min(F, K), x = abs(ln(F/K)) and s = vol x sqrt(t), a call with F <= K and a put with F >= K are both worth
m x b(x, s), where b = N(d1) - e^x N(d2), d1 = -x/s + s/2, d2 = d1 - s and 0 <= b < 1. The option in the money is worth
that plus its intrinsic value, so put-call parity holds by construction and only this one function must be accurate.

The tails are written with erfcx(z) = e^{z^2} erfc(z), where N(d1) and e^x N(d2) nearly cancel (P. Jaeckel, "Let's Be
Rational", Wilmott 2015, section 6). Their difference cancels again when s is small, and is then a series in s.
"""

import numpy as np
from scipy.special import erf, erfcx, ndtr  # type: ignore[import-untyped]

from processors.pricing._inputs import FloatArray

_ROOT_HALF = np.sqrt(0.5)
_ROOT_TWO_PI = np.sqrt(2.0 * np.pi)
_SMALL = 0.01
"""Total vol s below which the difference of two erfcx is a series: its first term left out is 1e-16 of the first."""


def density(d: FloatArray) -> FloatArray:
    """The standard normal density."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.exp(-0.5 * d * d) / _ROOT_TWO_PI)


def distance(forward: FloatArray, strike: FloatArray) -> FloatArray:
    """x = abs(ln(F/K)), to full relative accuracy also where F and K are close."""
    low, high = np.minimum(forward, strike), np.maximum(forward, strike)
    near = high <= 2.0 * low  # then high - low is exact
    excess = np.where(near, high - low, 0.0) / low
    return np.where(near, np.log1p(excess), np.log(high) - np.log(low))


def d1_of(x: FloatArray, s: FloatArray) -> FloatArray:
    """d1 = -x/s + s/2 of the option out of the money; s above 0."""
    with np.errstate(over="ignore"):
        return np.asarray(-x / s + 0.5 * s)


def value(x: FloatArray, s: FloatArray) -> FloatArray:
    """b(x, s) for s >= 0; 0 at s = 0."""
    x, s = np.broadcast_arrays(x, s)
    live = s > 0.0
    d1 = d1_of(x, np.where(live, s, 1.0))
    with np.errstate(under="ignore"):
        out = np.exp(-0.5 * np.square(np.clip(d1, -40.0, 0.0))) * tail(x, np.where(live & (d1 <= 0.0), s, 1.0))
        inside = _bulk(x, np.where(live & (d1 > 0.0), s, 1.0))
    return np.where(live, np.where(d1 > 0.0, inside, np.where(d1 < -40.0, 0.0, out)), 0.0)


def tail(x: FloatArray, s: FloatArray) -> FloatArray:
    """b(x, s) x e^{d1^2/2}, where d1 <= 0 or barely above; never underflows."""
    d1 = d1_of(x, s)
    difference = 0.5 * (erfcx(-d1 * _ROOT_HALF) - erfcx((s - d1) * _ROOT_HALF))
    return np.asarray(np.where(s < _SMALL, _narrow(x, np.minimum(s, _SMALL)), difference))


def rest(x: FloatArray, s: FloatArray) -> FloatArray:
    """(1 - b(x, s)) x e^{d1^2/2}, where d1 >= 0; never underflows."""
    d1 = d1_of(x, s)
    return np.asarray(0.5 * (erfcx(d1 * _ROOT_HALF) + erfcx((s - d1) * _ROOT_HALF)))


def _narrow(x: FloatArray, s: FloatArray) -> FloatArray:
    """:func:`tail` for small s: Taylor's series of erfcx about the middle of its two arguments, s/sqrt(2) apart.

    The even terms drop out. erfcx' = 2 z erfcx - 2/sqrt(pi), and so on.
    """
    with np.errstate(over="ignore"):
        z = np.minimum(x / s * _ROOT_HALF, 40.0)  # beyond, the option is worth less than the least float
    f = erfcx(z)
    first = 2.0 * z * f - 2.0 / np.sqrt(np.pi)
    second = 2.0 * f + 2.0 * z * first
    third = 4.0 * first + 2.0 * z * second
    fourth = 6.0 * second + 2.0 * z * third
    fifth = 8.0 * third + 2.0 * z * fourth
    step = s * _ROOT_HALF
    return np.asarray(-0.5 * step * (first + step**2 / 24.0 * third + step**4 / 1920.0 * fifth))


def _bulk(x: FloatArray, s: FloatArray) -> FloatArray:
    # d1 > 0 > d2: near the strike b is a sum of two positive erf less a product that is small beside it, so nothing
    # cancels; far from it e^x would overflow, and is taken into the exponential of d1.
    d1 = d1_of(x, s)
    d2 = d1 - s
    near = 0.5 * (erf(d1 * _ROOT_HALF) - erf(d2 * _ROOT_HALF)) - np.expm1(np.minimum(x, 1.0)) * ndtr(d2)
    far = ndtr(d1) - 0.5 * np.exp(-0.5 * d1 * d1) * erfcx(-d2 * _ROOT_HALF)
    return np.asarray(np.where(x <= 1.0, near, far))
