"""What leveraged and inverse volatility products have to trade into the close, from what they publish.

A product that promises L times the daily return of its index must bring its exposure back to L times its assets every
day. Before the day it holds L x AUM of the index; with the return r that is worth L x AUM (1 + r), its assets are
AUM (1 + L r), and the difference is L (L - 1) x AUM x r (Cheng and Madhavan, "The dynamics of leveraged and inverse
exchange-traded funds", 2009). The factor is positive for L above 1 *and* below 0: long and inverse products trade the
same way, with the market, and do not net. A product of 1 times its index trades nothing.

Only published figures enter, and none from the day itself but the return so far.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import ArrayLike, NDArray

from processors.hedge.index_roll import Roll, split
from processors.signals.calendar import SessionCalendar
from processors.signals.statistic import finite
from topics.flows import Flow
from topics.instrument import future_symbol


@dataclass(frozen=True, slots=True)
class Fund:
    """A product and its latest published figures; what is missing is None.

    Attributes:
        symbol: the product.
        leverage: daily multiple of the index: 1.5, 2, -0.5, -1.
        aum: assets under management, USD, at least 0.
        nav_date: session that ``aum`` belongs to.
    """

    symbol: str
    leverage: float | None
    aum: float | None
    nav_date: date | None

    def __post_init__(self) -> None:
        if self.leverage is not None:
            finite(self.leverage, f"leverage of {self.symbol}")
        if self.aum is not None and finite(self.aum, f"aum of {self.symbol}") < 0:
            raise ValueError(f"aum of {self.symbol} must be at least 0, got {self.aum!r}")


@dataclass(frozen=True, slots=True)
class ExpectedFlow:
    """What the products are expected to trade at one session's close.

    Attributes:
        session_date: the session.
        symbols: products, in the order given.
        rebalancing: USD of the index that each has to buy (positive) or sell; None where a figure is missing.
        exposure: USD of the index that each holds before that; None where a figure is missing.
    """

    session_date: date
    symbols: tuple[str, ...]
    rebalancing: tuple[float | None, ...]
    exposure: tuple[float | None, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Products whose rebalancing is not known."""
        return tuple(symbol for symbol, q in zip(self.symbols, self.rebalancing, strict=True) if q is None)

    @property
    def total(self) -> float | None:
        """Q, USD of the index that all buy together; None when one of them is missing."""
        return _total(self.rebalancing)

    @property
    def total_exposure(self) -> float | None:
        """USD of the index that all hold before the close, short ones negative; None when one is missing."""
        return _total(self.exposure)


def fund(flow: Flow) -> Fund:
    """The product that a published figure describes."""
    return Fund(flow.symbol, flow.leverage, flow.aum, flow.nav_date)


def rebalancing_flow(leverage: ArrayLike, aum_prev: ArrayLike, index_return: ArrayLike) -> NDArray[np.float64]:
    """USD of the index that products have to buy (positive) or sell: ``L (L - 1) AUM r``, elementwise, broadcast.

    A product whose assets the return has used up (``1 + L r <= 0``) does not borrow: it closes what it holds, which is
    where the formula meets that bound.

    Args:
        leverage: daily multiple of the index.
        aum_prev: assets at the close of the session before, USD, at least 0.
        index_return: return of the index since that close, a fraction, at least -1.

    Raises:
        ValueError: a figure out of range, NaN or infinite, or shapes that do not broadcast.
    """
    multiple = _checked(leverage, "leverage")
    assets = _checked(aum_prev, "aum_prev", 0.0)
    change = _checked(index_return, "index_return", -1.0)
    flow = multiple * (multiple - 1.0) * assets * change
    return np.where(1.0 + multiple * change > 0.0, flow, -multiple * assets * (1.0 + change)) + 0.0


def expected_flow(funds: Iterable[Fund], session_date: date, index_return: float | None) -> ExpectedFlow:
    """The flow at a session's close, of funds that follow the same index.

    Assets count only when they are those of the session before: an older figure is out of date, and one of the session
    itself already holds the return that it is to meet. Otherwise they are missing, as is everything while the return
    is; yet a product of 0 or 1 times its index has nothing to trade whatever its assets are.

    Args:
        funds: the products.
        session_date: the session at whose close they trade.
        index_return: return of their index since the close before, a fraction, as far as it is known; None: not known.

    Raises:
        ValueError: a return below -1, NaN or infinite.
    """
    given = tuple(funds)
    before = SessionCalendar().previous_session(session_date)
    known = [
        f.leverage is not None and f.aum is not None and f.nav_date == before and index_return is not None
        for f in given
    ]
    # Placeholders of the missing never leave: what is computed from them is replaced by None below.
    multiple = np.array([f.leverage if f.leverage is not None else 0.0 for f in given], dtype=np.float64)
    assets = np.array([f.aum if ok else 0.0 for f, ok in zip(given, known, strict=True)], dtype=np.float64)
    change = _checked(0.0 if index_return is None else index_return, "index_return", -1.0)
    rebalancing = rebalancing_flow(multiple, assets, change).tolist()
    exposure = (multiple * assets * (1.0 + change)).tolist()
    return ExpectedFlow(
        session_date=session_date,
        symbols=tuple(f.symbol for f in given),
        rebalancing=tuple(
            q if ok or f.leverage in (0.0, 1.0) else None
            for f, ok, q in zip(given, known, rebalancing, strict=True)
        ),
        exposure=tuple(
            x if ok or f.leverage == 0.0 else None for f, ok, x in zip(given, known, exposure, strict=True)
        ),
    )


def contracts_flow(flow: ExpectedFlow, day: Roll, near_price: float, far_price: float) -> dict[str, float] | None:
    """VX contracts that all products together have to trade at the close, by symbol: rebalancing and roll in one.

    They hold their exposure in yesterday's proportion of both contracts and have to hold the exposure after
    rebalancing in today's. Fractional, positive is bought; None when a product's figures are missing.

    Args:
        flow: of products that follow the short-term index.
        day: that index's roll at the same close.
        near_price: of the near contract now, vol points, above 0.
        far_price: of the far contract now.

    Raises:
        ValueError: another session's roll, or a price out of range, NaN or infinite.
    """
    if day.session_date != flow.session_date:
        raise ValueError(f"the roll is of {day.session_date}, the flow of {flow.session_date}")
    rebalancing, exposure = flow.total, flow.total_exposure
    if rebalancing is None or exposure is None:
        return None
    before = split(exposure, day.near_weight_before, near_price, far_price)
    after = split(exposure + rebalancing, day.near_weight, near_price, far_price)
    return {
        future_symbol("VX", day.near): after.near - before.near,
        future_symbol("VX", day.far): after.far - before.far,
    }


def _total(amounts: Sequence[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return math.fsum(known) if len(known) == len(amounts) else None


def _checked(values: ArrayLike, name: str, least: float | None = None) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    bad = ~np.isfinite(array) if least is None else ~(np.isfinite(array) & (array >= least))
    if bad.any():
        wanted = "a finite number" if least is None else f"a finite number of at least {least:g}"
        raise ValueError(f"{name} must be {wanted}, got {float(array[bad].flat[0])!r}")
    return array
