"""The daily roll of the S&P 500 VIX Short-Term Futures Index, which VXX and its relatives hold.

A roll period runs from one monthly VX settlement date, included, to the next, excluded. Over its business days the
index moves evenly from the contract that settles at its end (near) into the one after it (far). After the close of a
day the quantities stand as dr/dt to 1 - dr/dt (index rules as printed in the iPath VXX pricing supplement). The
schedule is public and fixed months ahead: whoever holds the index sells 1/dt of the near contracts at every close.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Final, NamedTuple

from processors.signals.calendar import SessionCalendar
from processors.signals.expiry import vx_expiries
from processors.signals.statistic import finite, positive

#: Closures that nobody knew of when their roll period began, since the index's base date, 2005-12-20: three days of
#: mourning, and the hurricane of 2012. They stay business days of the count: the rules change neither dt nor dr for a
#: holiday that is introduced within the period.
UNSCHEDULED: Final = (
    date(2007, 1, 2),
    date(2012, 10, 29),
    date(2012, 10, 30),
    date(2018, 12, 5),
    date(2025, 1, 9),
)
#: No two settlements of consecutive months are further apart than that.
_REACH: Final = timedelta(days=45)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Roll:
    """What the index does at the close of one session.

    Attributes:
        session_date: the session.
        near: settlement date of the contract that it sells.
        far: settlement date of the contract that it buys.
        dt: business days of the roll period.
        dr: business days left in it after this one.
        dr_before: the same after the session before; dt at the first close of the period.
    """

    session_date: date
    near: date
    far: date
    dt: int
    dr: int
    dr_before: int

    @property
    def near_weight(self) -> float:
        """CRW1 after the close: near contracts over all contracts, a share of quantities and not of money."""
        return self.dr / self.dt

    @property
    def far_weight(self) -> float:
        """CRW2 after the close."""
        return 1.0 - self.near_weight

    @property
    def near_weight_before(self) -> float:
        """Near contracts over all contracts until the close: 1 on the settlement date, on which the period begins."""
        return self.dr_before / self.dt

    @property
    def sold(self) -> float:
        """Near contracts sold at this close, as a share of those that the period began with: 1/dt on most days."""
        return (self.dr_before - self.dr) / self.dt

    @property
    def sold_of_held(self) -> float:
        """The same as a share of the near contracts held until the close."""
        return (self.dr_before - self.dr) / self.dr_before


class Contracts(NamedTuple):
    """Signed numbers of VX contracts, fractional; positive is long, or bought."""

    near: float
    far: float


@cache
def roll(session_date: date) -> Roll:
    """The roll at the close of a session. ValueError when it is none, or where the session calendar does not reach."""
    calendar = SessionCalendar()
    if not calendar.is_session(session_date):
        raise ValueError(f"{session_date} is not a session")
    settlements = vx_expiries(session_date - _REACH, session_date + 2 * _REACH)
    start = max(day for day in settlements if day <= session_date)
    near, far = [day for day in settlements if day > session_date][:2]
    dt = _business_days(calendar, start, near)
    return Roll(
        session_date=session_date,
        near=near,
        far=far,
        dt=dt,
        dr=_business_days(calendar, session_date + _DAY, near),
        dr_before=min(dt, _business_days(calendar, calendar.previous_session(session_date) + _DAY, near)),
    )


def split(
    notional: float, near_weight: float, near_price: float, far_price: float, multiplier: float = 1000.0
) -> Contracts:
    """Contracts worth ``notional`` in the index's proportion.

    Args:
        notional: USD, signed.
        near_weight: near contracts over all contracts, 0 to 1.
        near_price: vol points, above 0.
        far_price: vol points, above 0.
        multiplier: USD of one vol point of one contract: 1000 for VX, 100 for VXM.

    Raises:
        ValueError: a figure out of range, NaN or infinite.
    """
    if not 0.0 <= near_weight <= 1.0:
        raise ValueError(f"near_weight must lie in 0 to 1, got {near_weight!r}")
    near_price, far_price = positive(near_price, "near_price"), positive(far_price, "far_price")
    far_weight = 1.0 - near_weight
    price = (near_weight * near_price + far_weight * far_price) * positive(multiplier, "multiplier")
    total = finite(notional, "notional") / price
    return Contracts(total * near_weight, total * far_weight)


def roll_trade(
    day: Roll, notional: float, near_price: float, far_price: float, multiplier: float = 1000.0
) -> Contracts:
    """Contracts that a holder of ``notional`` USD of the index trades at the close; both legs are worth the same.

    Near is negative (sold) and far positive (bought) for a long holder; an inverse product does the opposite. Errors
    as in :func:`split`.
    """
    before = split(notional, day.near_weight_before, near_price, far_price, multiplier)
    after = split(notional, day.near_weight, near_price, far_price, multiplier)
    return Contracts(after.near - before.near, after.far - before.far)


def index_return(before: Roll, prices_before: Mapping[date, float], prices: Mapping[date, float]) -> float | None:
    """The index's excess return over one session: CDR of the rules, a fraction. The return of T-bills is not in it.

    The quantities are those after the close *before*, and so are the contracts: a settlement in between changes
    nothing, since its contract had no weight left. None when a contract with weight has no price on either day.

    Args:
        before: the roll at the session before.
        prices_before: settlements of that session by expiry, vol points, above 0.
        prices: settlements of this one.

    Raises:
        ValueError: a price of a contract with weight that is not a finite number above 0.
    """
    now = then = 0.0
    for expiry, weight in ((before.near, before.near_weight), (before.far, before.far_weight)):
        if weight == 0.0:
            continue
        if expiry not in prices or expiry not in prices_before:
            return None
        then += weight * positive(prices_before[expiry], f"settlement of {expiry}")
        now += weight * positive(prices[expiry], f"settlement of {expiry}")
    return now / then - 1.0


def _business_days(calendar: SessionCalendar, first: date, end: date) -> int:
    """Business days from ``first``, included, to ``end``, excluded."""
    closures = sum(first <= day < end for day in UNSCHEDULED)
    return closures + (len(calendar.sessions(first, end - _DAY)) if first < end else 0)
