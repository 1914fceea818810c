"""Final settlement dates of the monthly VX futures."""

from datetime import date, timedelta
from functools import cache

from processors.signals.calendar import SessionCalendar

_FRIDAY = 4

_THIRTY_DAY_RULE_FROM = 2005


def third_friday(year: int, month: int) -> date:
    """The third Friday of a month, holiday or not."""
    first = date(year, month, 1)
    return first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)


@cache
def vx_expiry(year: int, month: int) -> date:
    """The final settlement date of the VX contract of a month.

    The Wednesday 30 days before the third Friday of the following month; if that Wednesday or that Friday is a holiday
    of Cboe Options, the business day before that Wednesday (CFE Rule 1202). The Friday counts because the SPX options
    that make up the settlement expire on it: with Good Friday 2019-04-19 the March contract settled on Tuesday
    2019-03-19.

    The contracts of 2004, the first year, followed an earlier rule: the Wednesday before the third Friday of their
    *own* month (CFE, "VIX futures June contract", 2004-06-14). Of the contracts that traded, it matters for July and
    October 2004: they settled on the 14th and the 13th, a week before the later rule would have it.

    Raises ValueError where the session calendar does not reach.
    """
    calendar = SessionCalendar()
    if year < _THIRTY_DAY_RULE_FROM:
        friday = third_friday(year, month)
        wednesday = friday - timedelta(days=2)
    else:
        friday = third_friday(year + month // 12, month % 12 + 1)
        wednesday = friday - timedelta(days=30)
    if calendar.is_session(wednesday) and calendar.is_session(friday):
        return wednesday
    return calendar.previous_session(wednesday)


def vx_expiries(first: date, last: date) -> tuple[date, ...]:
    """The monthly VX expiries from `first` to `last`, both included, in order."""
    # A settlement falls on the 12th to the 22nd, always in the contract's own month.
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    expiries = (vx_expiry(month // 12, month % 12 + 1) for month in months)
    return tuple(expiry for expiry in expiries if first <= expiry <= last)


@cache
def is_monthly(expiry: date) -> bool:
    """Whether a VX contract that settles on `expiry` is a monthly one, not a weekly."""
    try:
        return vx_expiry(expiry.year, expiry.month) == expiry
    except ValueError:  # the calendar does not reach: no contract that anybody lists
        return False
