"""The beta of a portfolio from its own values at the close, for those that do not state one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from processors.signals.beta import Beta, BetaValue, ExcessReturns
from processors.signals.calendar import SessionCalendar
from processors.signals.realised import SESSIONS_PER_YEAR
from topics.message import Feature, feature_number
from topics.portfolio import Portfolio
from topics.times import MINUTE

#: A snapshot of the last minutes of a session, or after it, values the portfolio at its close.
CLOSING: Final = 15 * MINUTE
#: Values that are kept: of the session that is not yet counted and those on either side of it.
_KEPT: Final = 4


@dataclass(frozen=True, slots=True)
class MarketClose:
    """The market at a committed session: index level, total return if there is one, and risk-free rate, percent."""

    session_date: date
    spx: float | None
    spxtr: float | None
    rate_free: float | None

    @classmethod
    def of(cls, session_date: date, features: Mapping[str, Feature]) -> MarketClose:
        """What a committed regime says of it."""
        spx, spxtr, free = (feature_number(features, name) for name in ("spx", "spxtr", "rate_free"))
        return cls(session_date, spx, spxtr, free)


def excess_return(before: MarketClose, now: MarketClose) -> float | None:
    """The market's return over the session beyond the risk-free rate, with dividends where both closes have them.

    A missing rate leaves the return as it is: over one day it is a hundredth of a percent.
    """
    if before.spxtr is not None and now.spxtr is not None:
        gross = now.spxtr / before.spxtr - 1
    elif before.spx is not None and now.spx is not None:
        gross = now.spx / before.spx - 1
    else:
        return None
    return gross - free_return(now)


def free_return(close: MarketClose) -> float:
    """What the risk-free rate pays in one session; 0 where the rate is missing, for portfolio and market alike."""
    return 0.0 if close.rate_free is None else close.rate_free / 100 / SESSIONS_PER_YEAR


def valued_session(calendar: SessionCalendar, ts: int) -> date | None:
    """The session at whose close a snapshot of ``ts``, ns, values a portfolio; None within a session."""
    if not calendar.covers(ts):
        return None
    day = calendar.local_date(ts)
    if not calendar.is_session(day) or ts < calendar.open_ts(day):
        return calendar.previous_session(day)
    return day if ts >= calendar.close_ts(day) - CLOSING else None


@dataclass(slots=True)
class Track:
    """A portfolio's values at its last closes, and the beta that its returns have against the market's.

    A session is counted when the one after it is committed: until then its value may still be reported.
    """

    values: dict[date, tuple[float, float]] = field(default_factory=dict)
    beta: Beta = field(default_factory=Beta)

    def snapshot_taken(self, portfolio: Portfolio, session: date) -> None:
        """The portfolio's value at the close of a session; the newest snapshot of it counts."""
        self.values[session] = (portfolio.mv, portfolio.net_flow or 0.0)
        for day in sorted(self.values)[:-_KEPT]:
            del self.values[day]

    def count(self, before: MarketClose, now: MarketClose) -> bool:
        """Count the session of ``now``, which follows that of ``before``; False when a value is missing."""
        start, end = self.values.get(before.session_date), self.values.get(now.session_date)
        market = excess_return(before, now)
        if start is None or end is None or market is None:
            return False
        # What was paid in during the session is no return.
        earned = (end[0] - end[1]) / start[0] - 1
        self.beta.update(ExcessReturns(earned - free_return(now), market))
        return True

    @property
    def estimate(self) -> BetaValue | None:
        """Beta as of the last session counted; None before there are enough."""
        return self.beta.value

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "values": {day.isoformat(): list(value) for day, value in self.values.items()},
            "beta": self.beta.snapshot(),
        }

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> Track:
        """The track that gave ``saved``."""
        values = {date.fromisoformat(day): (mv, flow) for day, (mv, flow) in saved["values"].items()}
        return cls(values, Beta.restore(saved["beta"]))
