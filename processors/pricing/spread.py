"""The vertical call spread: long a call, short another of a higher strike and the same expiry."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from processors.pricing._inputs import FloatArray, discount_factor, finite, not_negative, number, positive
from processors.pricing.black76 import CALL, PUT, Greeks, greeks, intrinsic, price

_GRID = 400


@dataclass(frozen=True, slots=True)
class CallSpread:
    """One long call at `lower_strike` and one short call at `upper_strike`, Black-76 on the future of their expiry.

    Each leg has its own vol (decimal): VIX vols rise with the strike, and one vol for both would overstate what the
    spread costs. `t` is in years of 365 calendar days, `r` continuous. All prices are points; one VIX spread is 100 USD
    a point. ValueError unless 0 < lower_strike < upper_strike and vols and t are at least 0.
    """

    lower_strike: float
    upper_strike: float
    lower_vol: float
    upper_vol: float
    t: float
    r: float

    def __post_init__(self) -> None:
        for name in ("lower_strike", "upper_strike", "lower_vol", "upper_vol", "t", "r"):
            number(getattr(self, name), name)
        positive(self.lower_strike, "lower_strike")
        for name in ("lower_vol", "upper_vol", "t"):
            not_negative(getattr(self, name), name)
        if not self.lower_strike < self.upper_strike:
            raise ValueError(
                f"the long strike must be below the short one, got {self.lower_strike} and {self.upper_strike}"
            )

    @property
    def width(self) -> float:
        """Points between the strikes."""
        return self.upper_strike - self.lower_strike

    def value(self, forward: ArrayLike) -> FloatArray:
        """Premium of the spread, points; broadcasts over `forward`."""
        f = positive(forward, "forward")
        # Two calls deep in the money differ by little: there parity puts the two puts in their place.
        inside = f > self.upper_strike
        right = np.where(inside, PUT, CALL)
        lower = price(f, self.lower_strike, self.lower_vol, self.t, self.r, right)
        upper = price(f, self.upper_strike, self.upper_vol, self.t, self.r, right)
        return np.asarray(np.where(inside, self._present_width() + (lower - upper), lower - upper))

    def greeks(self, forward: ArrayLike) -> Greeks:
        """Value and greeks, the long leg less the short one. Theta may be above 0 when both are in the money."""
        lower = greeks(forward, self.lower_strike, self.lower_vol, self.t, self.r, CALL)
        upper = greeks(forward, self.upper_strike, self.upper_vol, self.t, self.r, CALL)
        return replace(lower - upper, price=self.value(forward))

    def intrinsic(self, forward: ArrayLike) -> FloatArray:
        """e^{-rt} [max(F - K1, 0) - max(F - K2, 0)]."""
        lower = intrinsic(forward, self.lower_strike, self.t, self.r, CALL)
        return np.asarray(lower - intrinsic(forward, self.upper_strike, self.t, self.r, CALL))

    def extrinsic(self, premium: ArrayLike, forward: ArrayLike) -> FloatArray:
        """Premium less :meth:`intrinsic`; below 0 when the short leg carries more time value than the long one."""
        return np.asarray(finite(premium, "premium") - self.intrinsic(forward))

    def max_loss(self, debit: float, fees: float = 0.0) -> float:
        """What is paid for it, points."""
        return self._cost(debit, fees)

    def max_gain(self, debit: float, fees: float = 0.0) -> float:
        """Width less what is paid for it, points."""
        return self.width - self._cost(debit, fees)

    def break_even_at_expiry(self, debit: float, fees: float = 0.0) -> float:
        """K1 + debit + fees: the final settlement at which the spread gives back what it cost.

        On the future of its expiry and the settlement value, not on the spot index. ValueError when that is not below
        the short strike, for then the spread cannot gain at any settlement.
        """
        break_even = self.lower_strike + self._cost(debit, fees)
        if not break_even < self.upper_strike:
            raise ValueError(
                f"no break-even: {self.lower_strike} + {debit} debit + {fees} fees = {break_even} is not below the "
                f"short strike {self.upper_strike}, so this spread can only lose"
            )
        return break_even

    def break_even_now(self, debit: float, fees: float = 0.0) -> float:
        """The lowest forward at which the spread is worth debit + fees with `t` left and the vols of today.

        With two vols the value need not rise with the forward everywhere; of several crossings this is the lowest, as
        far as a grid of 400 forwards tells them apart.
        At t = 0 it is :meth:`break_even_at_expiry`. ValueError when e^{-rt} x width is not above debit + fees.
        """
        cost = self._cost(debit, fees)
        most = self._present_width()
        if not cost < most:
            raise ValueError(
                f"no break-even: {debit} debit + {fees} fees is not below the present value of the width, {most}, "
                f"which is the most that a high forward brings"
            )

        # A call is worth at most e^{-rt} F, so below cost / e^{-rt} the spread cannot be worth its cost.
        lowest = cost * self.width / most
        highest = 2.0 * max(self.upper_strike, lowest)
        while not float(self.value(highest)) > cost:
            highest *= 2.0
            if not np.isfinite(highest):
                raise ValueError(f"no break-even: no finite forward makes the spread worth {cost}")
        grid = np.geomspace(lowest, highest, _GRID)
        worth = self.value(grid)
        first = int(np.argmax(worth >= cost))
        if first == 0:
            return float(grid[0])

        def short_by(forward: float) -> float:
            return float(self.value(forward)) - cost

        from scipy.optimize import brentq  # type: ignore[import-untyped]  # slow to load, and seldom needed

        # Tolerances of a root at machine precision.
        return float(brentq(short_by, grid[first - 1], grid[first], xtol=1e-13, rtol=1e-14))

    def _present_width(self) -> float:
        return self.width * float(discount_factor(np.asarray(self.t), np.asarray(self.r)))

    @staticmethod
    def _cost(debit: float, fees: float) -> float:
        return float(positive(number(debit, "debit"), "debit")) + float(not_negative(number(fees, "fees"), "fees"))
