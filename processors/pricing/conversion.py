"""Conversions and reversals: locking put-call parity at prices that can be traded.

A conversion is long the future, long a put and short a call of one strike and expiry; at expiry it is worth the strike,
whatever the future does. A reversal is the opposite. Delta, gamma and vega are 0: it is a financing trade and adds no
convexity. What stays open is the financing of the future's daily margin against premiums paid once.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from processors.pricing._inputs import BoolArray, FloatArray, discount_factor, finite, not_negative, number, positive


@dataclass(frozen=True, slots=True)
class Lots:
    """Contract sizes (USD a point) and fees (USD a contract and side) of an option and its future.

    The default is the VIX option against VX, 100 against 1,000 USD a point: ten calls and ten puts a future.
    """

    option_multiplier: int = 100
    future_multiplier: int = 1000
    option_fee: float = 0.0
    future_fee: float = 0.0

    def __post_init__(self) -> None:
        for name in ("option_multiplier", "future_multiplier"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("option_fee", "future_fee"):
            not_negative(number(getattr(self, name), name), name)

    @property
    def pairs_to_futures(self) -> tuple[int, int]:
        """The smallest whole numbers of call-and-put pairs and of futures which offset each other."""
        ratio = Fraction(self.future_multiplier, self.option_multiplier)
        return ratio.numerator, ratio.denominator

    @property
    def cost(self) -> float:
        """Fees of one call, one put and their share of a future, in points."""
        return 2.0 * self.option_fee / self.option_multiplier + self.future_fee / self.future_multiplier


NO_FEES = Lots()


def conversion_edge(
    strike: ArrayLike,
    call_bid: ArrayLike,
    put_ask: ArrayLike,
    future_ask: ArrayLike,
    t: ArrayLike,
    r: ArrayLike,
    lots: Lots = NO_FEES,
) -> FloatArray:
    """Points locked in at expiry by buying the future and the put and selling the call, after fees.

    K - F_ask + (C_bid - P_ask) e^{rt} - fees: buys at the ask, sells at the bid. Broadcasts over strikes.
    """
    k, f, growth = _terms(strike, future_ask, t, r)
    options = not_negative(call_bid, "call_bid") - not_negative(put_ask, "put_ask")
    return np.asarray(k - f + options * growth - lots.cost)


def reversal_edge(
    strike: ArrayLike,
    call_ask: ArrayLike,
    put_bid: ArrayLike,
    future_bid: ArrayLike,
    t: ArrayLike,
    r: ArrayLike,
    lots: Lots = NO_FEES,
) -> FloatArray:
    """Points locked in at expiry by selling the future and the put and buying the call, after fees.

    F_bid - K - (C_ask - P_bid) e^{rt} - fees: buys at the ask, sells at the bid. Broadcasts over strikes.
    """
    k, f, growth = _terms(strike, future_bid, t, r)
    options = not_negative(call_ask, "call_ask") - not_negative(put_bid, "put_bid")
    return np.asarray(f - k - options * growth - lots.cost)


def stale(conversion: ArrayLike, reversal: ArrayLike) -> BoolArray:
    """Where both edges are above 0.

    Their sum before fees is minus the three bid-ask widths, so quotes of one moment which are not crossed never do
    this: where it holds, at least one of them is stale. It is an alert on the data, not a trade.
    """
    return np.asarray((finite(conversion, "conversion") > 0.0) & (finite(reversal, "reversal") > 0.0))


def _terms(
    strike: ArrayLike, future: ArrayLike, t: ArrayLike, r: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    k, f = positive(strike, "strike"), positive(future, "future")
    return k, f, np.asarray(1.0 / discount_factor(not_negative(t, "t"), finite(r, "r")))
