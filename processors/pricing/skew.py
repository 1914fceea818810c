"""Skew of one expiry: the vol of an out-of-the-money put less that of the call as far out."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr  # type: ignore[import-untyped]

from processors.pricing._inputs import Quotes, ascending, number, positive, quotes
from processors.pricing.black76 import CALL, PUT

QUARTER: Final = 0.25


def delta_skew(
    strikes: ArrayLike, put_vol: Quotes, call_vol: Quotes, forward: float, t: float, delta: float = QUARTER
) -> float | None:
    """Put vol at forward delta -`delta` less call vol at +`delta`, in the units of the vols: above 0 in equity indices.

    Vols are decimals, one a strike, None where there is none. None when the strip does not reach that far on either
    side, for nothing is extrapolated. See :func:`vol_at_delta`.
    """
    put = vol_at_delta(strikes, put_vol, forward, t, PUT, delta)
    call = vol_at_delta(strikes, call_vol, forward, t, CALL, delta)
    return None if put is None or call is None else put - call


def vol_at_delta(
    strikes: ArrayLike, vols: Quotes, forward: float, t: float, right: int, delta: float = QUARTER
) -> float | None:
    """The vol, linear in delta between two neighbouring strikes, where the forward delta is `delta` in size.

    Forward delta: N(d1) of a call, -N(-d1) of a put, each strike at its own vol and not discounted. Walking from the
    deepest in the money outward, the first pair of quoted strikes that enclose `delta` serves. None when no pair does.
    ValueError unless forward and t are above 0, 0 < delta < 1, and every vol given is above 0.
    """
    k = ascending(strikes)
    sigma, known = quotes(vols, k, "vols")
    f = float(positive(number(forward, "forward"), "forward"))
    years = float(positive(number(t, "t"), "t"))
    if right not in (CALL, PUT):
        raise ValueError(f"right must be +1 (call) or -1 (put), got {right!r}")
    if not 0.0 < number(delta, "delta") < 1.0:
        raise ValueError(f"delta must lie between 0 and 1, got {delta!r}")
    positive(sigma[known], "vols")
    outward = slice(None, None, right)  # a put gets further out of the money as its strike falls
    k, sigma = k[known][outward], sigma[known][outward]
    s = sigma * np.sqrt(years)
    size = ndtr(right * (np.log(f / k) / s + 0.5 * s))
    enclosing = np.flatnonzero((size[:-1] >= delta) & (size[1:] <= delta))
    if not enclosing.size:
        return None
    i = int(enclosing[0])
    gap = size[i] - size[i + 1]
    share = (size[i] - delta) / gap if gap > 0.0 else 0.0
    return float(sigma[i] + share * (sigma[i + 1] - sigma[i]))
