"""Model-free variance of one expiry and its constant-maturity interpolation, by the method of the Cboe VIX.

    variance = (2/T) sum_i dK_i / K_i^2 e^{RT} Q(K_i) - (1/T) (F/K0 - 1)^2

Source: Cboe, "Volatility Index Methodology: Cboe Volatility Index" and the earlier "VIX White Paper". T is minutes over
525,600; no count of sessions enters.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias, assert_never

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
from processors.pricing.parity import forward_nearest
from processors.pricing.unavailable import Unavailable

MINUTES_PER_YEAR: Final = 525_600
"""365 calendar days."""

THIRTY_DAYS: Final = 43_200
"""Minutes."""

Convention: TypeAlias = Literal["listed", "on_chain"]

_MINIMUM_EACH_SIDE: dict[Convention, int] = {"listed": 1, "on_chain": 5}


@dataclass(frozen=True, slots=True)
class TermVariance:
    """Annualised variance (decimal: 0.04 is 20 vol points) of one expiry, and what it was made of.

    `strikes_used`, ascending, has the OTM puts, K0 and the OTM calls; `mids` are the Q(K), at K0 the mean of put and
    call, and `widths` the dK. `puts` and `calls` count the strikes below and above K0.
    """

    variance: float
    minutes: float
    forward: float
    k0: float
    strikes_used: tuple[float, ...]
    mids: tuple[float, ...]
    widths: tuple[float, ...]
    puts: int
    calls: int


class Term(Protocol):
    """An expiry: its annualised variance, and the minutes to it."""

    @property
    def variance(self) -> float:
        """Decimal a year."""

    @property
    def minutes(self) -> float:
        """To expiry."""


def term_variance(
    strikes: ArrayLike,
    call_bid: Quotes,
    call_ask: Quotes,
    put_bid: Quotes,
    put_ask: Quotes,
    minutes: float,
    r: float,
    *,
    forward: float | None = None,
    convention: Convention = "listed",
) -> TermVariance | Unavailable:
    """The variance of one expiry from its strip of quotes, in the currency of the strikes.

    `forward` is taken from put-call parity at the strike where call and put mids are closest, unless it is given. K0 is
    the first strike at or below it; puts below K0 and calls above it enter, and at K0 the mean of both.

    A quote is usable with a bid above 0 and an ask not below it. An option with neither, one or crossed sides counts as
    one without a bid.

    "listed": walking outward from K0, an option without a bid is left out, and after two in a row nothing beyond them
    is used. "on_chain": there is no two-sided book, quotes are pool quote -+ fee (see :func:`pool_quotes`); an unusable
    quote is left out and the walk goes on to the end of the strip, and fewer than five options on a side say too
    little.

    Premiums in coin are to be converted before (:func:`~processors.pricing.parity.coin_to_quote`, then r = 0).

    Unavailable, with the reason, when there is no forward, no usable quote at K0, too few options on a side (one at
    least when listed), or no variance above 0. ValueError for malformed input: NaN, negative quotes, strikes not
    ascending, minutes not above 0.
    """
    if convention not in _MINIMUM_EACH_SIDE:
        raise ValueError(f"convention must be 'listed' or 'on_chain', got {convention!r}")
    k = ascending(strikes)
    call, call_usable = _mids(call_bid, call_ask, k, "call")
    put, put_usable = _mids(put_bid, put_ask, k, "put")
    years = float(positive(number(minutes, "minutes"), "minutes")) / MINUTES_PER_YEAR
    growth = 1.0 / float(discount_factor(np.asarray(years), finite(number(r, "r"), "r")))
    if forward is None:
        absent = ~(call_usable & put_usable)
        implied = forward_nearest(
            k, np.ma.MaskedArray(call, mask=absent), np.ma.MaskedArray(put, mask=absent), years, r
        )
        if isinstance(implied, Unavailable):
            return implied
        f = implied.forward
    else:
        f = float(positive(number(forward, "forward"), "forward"))

    at = int(np.searchsorted(k, f, side="right")) - 1
    if at < 0:
        return Unavailable(f"the forward {f} is below the lowest strike {k[0]}")
    k0 = float(k[at])
    if not (call_usable[at] and put_usable[at]):
        return Unavailable(f"call and put at K0 = {k0} are not both quoted")

    puts = at - 1 - _walk(put_usable[:at][::-1], convention)
    calls = at + 1 + _walk(call_usable[at + 1 :], convention)
    needed = _MINIMUM_EACH_SIDE[convention]
    for name, side in (("puts", puts), ("calls", calls)):
        if side.size < needed:
            return Unavailable(f"{side.size} {name} out of the money, {needed} are needed")

    used = np.concatenate([puts[::-1], [at], calls])
    chosen = k[used]
    mids = np.where(used < at, put[used], call[used])
    mids[puts.size] = 0.5 * (put[at] + call[at])
    widths = _widths(chosen)
    strip = growth * math.fsum((widths / chosen**2 * mids).tolist())
    variance = (2.0 * strip - (f / k0 - 1.0) ** 2) / years
    if not variance > 0.0:
        return Unavailable(f"the strip gives a variance of {variance}: the forward {f} does not fit the quotes")
    return TermVariance(
        variance=variance,
        minutes=float(minutes),
        forward=f,
        k0=k0,
        strikes_used=tuple(chosen.tolist()),
        mids=tuple(mids.tolist()),
        widths=tuple(widths.tolist()),
        puts=int(puts.size),
        calls=int(calls.size),
    )


def constant_maturity(near: Term, following: Term, minutes: float = THIRTY_DAYS) -> float:
    """Annualised variance at `minutes`, linear in total variance between two expiries that enclose it.

    [T1 v1 (N2 - N)/(N2 - N1) + T2 v2 (N - N1)/(N2 - N1)] x 525,600 / N. ValueError unless N1 <= N <= N2 and N1 < N2:
    a weight below 0 would extrapolate.
    """
    n1, n2, n = near.minutes, following.minutes, minutes
    if not (0.0 < n1 < n2 and n1 <= n <= n2):
        raise ValueError(f"{n} minutes must lie between the two expiries, got {n1} and {n2}")
    share = (n - n1) / (n2 - n1)
    return (n1 * near.variance * (1.0 - share) + n2 * following.variance * share) / n


def vix_style(variance: float) -> float:
    """Vol points: 100 x sqrt(annualised variance)."""
    return 100.0 * math.sqrt(float(not_negative(number(variance, "variance"), "variance")))


def pool_quotes(quote: ArrayLike, fee: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Bid and ask of a pool that deals at `quote` less and plus `fee`; a bid that the fee eats up is 0, so no bid."""
    mid, cost = not_negative(quote, "quote"), not_negative(fee, "fee")
    return np.asarray(np.maximum(mid - cost, 0.0)), np.asarray(mid + cost)


def _mids(bid: Quotes, ask: Quotes, k: FloatArray, name: str) -> tuple[FloatArray, BoolArray]:
    bids, has_bid = quotes(bid, k, f"{name}_bid")
    asks, has_ask = quotes(ask, k, f"{name}_ask")
    return 0.5 * (bids + asks), has_bid & has_ask & (bids > 0.0) & (asks >= bids)


def _walk(usable: BoolArray, convention: Convention) -> NDArray[np.intp]:
    """Steps from K0, 0 the nearest, of the options that enter."""
    steps = np.flatnonzero(usable)
    match convention:
        case "on_chain":
            return steps
        case "listed":
            two_absent = np.flatnonzero(~usable[:-1] & ~usable[1:])
            return steps[steps < two_absent[0]] if two_absent.size else steps
        case _:
            assert_never(convention)


def _widths(k: FloatArray) -> FloatArray:
    """Half the distance between the neighbours that are used; at either end the distance to the only one."""
    widths = np.empty_like(k)
    widths[1:-1] = 0.5 * (k[2:] - k[:-2])
    widths[0], widths[-1] = k[1] - k[0], k[-1] - k[-2]
    return widths
