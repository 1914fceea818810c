"""When a rebalance that is not urgent is best traded: around mechanical flow that everybody can foresee.

Volatility products trade into the close what :mod:`processors.hedge.etp_flow` works out of published figures. A trade
in their direction competes with them and is done before that quarter of an hour; one against them supplies what they
need and waits until it is over. Near the close of days on which indices are rebalanced or rolled nothing is traded that
can wait. Nothing here reads another client's orders, and entry into `high` never waits for any of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from processors.hedge.index_roll import roll
from processors.signals.calendar import SessionCalendar
from processors.signals.expiry import third_friday
from processors.signals.statistic import finite, positive
from topics.hedge_rules import TimingRules
from topics.times import MINUTE

_QUARTER_ENDS: Final = frozenset({3, 6, 9, 12})


@dataclass(frozen=True, slots=True)
class MechanicalFlow:
    """Flow expected at the close of one session.

    Attributes:
        session_date: the session.
        contracts: expected net trades by symbol, contracts; positive is bought.
        volume: average daily volume by symbol, contracts, above 0. A symbol without one does not count: whether its
            flow is large is not known.
    """

    session_date: date
    contracts: Mapping[str, float] = field(default_factory=dict)
    volume: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for symbol, contracts in self.contracts.items():
            finite(contracts, f"flow of {symbol}")
        for symbol, volume in self.volume.items():
            positive(volume, f"volume of {symbol}")

    def share(self, symbol: str) -> float | None:
        """The flow as a signed share of the average daily volume; None when either is missing."""
        if symbol not in self.contracts or symbol not in self.volume:
            return None
        return self.contracts[symbol] / self.volume[symbol]


@dataclass(frozen=True, slots=True)
class EffectiveWindow:
    """When to act: from ``from_ts`` to ``until_ts``, ns UTC; ``until_ts`` is None when nothing ends it.

    ``reasons``, sorted; empty when nothing constrains the trade:

    ===========================  ===================================================================================
    ``urgent``                   entry into `high`: at once
    ``flow:same_sign``           before the flow's window, since the trade goes with the flow
    ``flow:opposite_sign``       after the flow's window, since the trade goes against the flow
    ``blackout:sp_rebalance``    quarterly rebalance of the S&P indices: third Friday of March, June, September and
                                 December, or the session before when that is a holiday
    ``blackout:vx_roll_start``   settlement date of a monthly VX contract, with which a roll period begins
    ``blackout:vx_roll_end``     the session before it, at whose close the roll period is over
    ``blackout:rotation``        money rotates between a sector and the market unusually fast
    ===========================  ===================================================================================
    """

    from_ts: int
    until_ts: int | None
    reasons: tuple[str, ...] = ()


_DEFAULT: Final = TimingRules()


def effective_window(
    ts: int,
    trades: Mapping[str, float],
    flow: MechanicalFlow | None = None,
    *,
    urgent: bool = False,
    crowded: bool = False,
    rules: TimingRules = _DEFAULT,
) -> EffectiveWindow:
    """The window of a rebalance that is decided at ``ts``; it never begins before that.

    It looks no further than the next close after ``ts``: what is decided at a close is traded in what comes after it,
    up to the blackout or the flow of the following session. A decision inside of a window that it should avoid waits
    until that is over.

    Legs that the flow pulls to different sides are one trade and stay together: the sum over the legs of quantity x
    flow / volume decides. Flow of another session than that of the next close is none of this window's business.

    Args:
        ts: instant of the decision, ns UTC.
        trades: contracts to trade by symbol; positive is bought.
        flow: what is expected at the next close; None: nothing is known of it.
        urgent: the state has just become `high`. Nothing delays that.
        crowded: a sector rotation is under way (see :class:`processors.signals.rotation.Rotation`).
        rules: the choices.

    Raises:
        ValueError: a quantity that is NaN or infinite, or a moment outside of the session calendar.
    """
    for symbol, quantity in trades.items():
        finite(quantity, f"quantity of {symbol}")
    if urgent:
        return EffectiveWindow(ts, None, ("urgent",))
    session_date, end = _next_close(ts, rules)
    reasons = [*blackouts(session_date), *(("blackout:rotation",) if crowded else ())] if rules.blackout_minutes else []
    # To act before the first of these or after the close: nothing is traded from there to the close.
    edges = [end - rules.blackout_minutes * MINUTE] if reasons else []
    pull = 0.0 if flow is None or flow.session_date != session_date else _pull(trades, flow, rules.flow_share)
    if pull > 0:
        reasons.append("flow:same_sign")
        edges.append(end - rules.flow_minutes * MINUTE)
    elif pull < 0:
        reasons.append("flow:opposite_sign")
    found = tuple(sorted(reasons))
    if pull < 0:
        return EffectiveWindow(end, None, found)
    if not edges:
        return EffectiveWindow(ts, None, found)
    edge = min(edges)
    return EffectiveWindow(ts, edge, found) if ts < edge else EffectiveWindow(end, None, found)


def blackouts(session_date: date) -> tuple[str, ...]:
    """Why nothing that can wait is traded right before the close of a session; empty on most days. Sorted.

    Raises ValueError when it is not a session.
    """
    return tuple(sorted(_blackouts(session_date)))


def sp_rebalance(year: int, month: int) -> date:
    """The session at whose close the S&P indices are rebalanced, of a month at the end of a quarter.

    The third Friday, or the session before it when it is a holiday, as Good Friday was on 2008-03-21. ValueError for
    another month.
    """
    if month not in _QUARTER_ENDS:
        raise ValueError(f"the S&P indices are rebalanced in March, June, September and December, not in month {month}")
    calendar, friday = SessionCalendar(), third_friday(year, month)
    return friday if calendar.is_session(friday) else calendar.previous_session(friday)


def _blackouts(session_date: date) -> Iterator[str]:
    day = roll(session_date)
    if session_date.month in _QUARTER_ENDS and session_date == sp_rebalance(session_date.year, session_date.month):
        yield "blackout:sp_rebalance"
    if day.dr_before == day.dt:
        yield "blackout:vx_roll_start"
    if day.dr == 0:
        yield "blackout:vx_roll_end"


def _next_close(ts: int, rules: TimingRules) -> tuple[date, int]:
    """The first session whose window ends after ``ts``, and when it ends."""
    calendar = SessionCalendar()
    end_of = calendar.close_ts if rules.anchor == "close" else calendar.vx_settle_ts
    session_date = calendar.session_of(ts)
    if end_of(session_date) <= ts:
        session_date = calendar.next_session(session_date)
    return session_date, end_of(session_date)


def _pull(trades: Mapping[str, float], flow: MechanicalFlow, least: float) -> float:
    """Above 0 when the trades go with the flow that counts, below 0 when they go against it, 0 when neither."""
    terms = []
    for symbol, quantity in trades.items():
        share = flow.share(symbol)
        if share is not None and abs(share) > least:
            terms.append(quantity * share)
    return math.fsum(terms)
