"""Regimes and portfolios to hedge, and the bytes that carry them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from topics.calibration import Calibration
from topics.message import STATES, State, digest
from topics.portfolio import Portfolio, Position
from topics.regime import CurvePoint, Regime
from topics.times import SECOND

NEW_YORK = ZoneInfo("America/New_York")
CALIBRATION = Calibration()
RULES = CALIBRATION.hedge

#: VX expiries of 2018 as they were.
EXPIRIES = (
    date(2018, 1, 17),
    date(2018, 2, 14),
    date(2018, 3, 21),
    date(2018, 4, 18),
    date(2018, 5, 16),
    date(2018, 6, 20),
    date(2018, 7, 18),
    date(2018, 8, 22),
    date(2018, 9, 19),
    date(2018, 10, 17),
)
#: Settlements of the day on which short volatility notes collapsed: the curve inverted between its first contracts.
FEB_5 = date(2018, 2, 5)
FEB_5_CURVE = {EXPIRIES[1]: 33.225, EXPIRIES[2]: 25.2, EXPIRIES[3]: 21.5, EXPIRIES[4]: 20.1, EXPIRIES[5]: 19.4}
#: A calm day before it.
JAN_2 = date(2018, 1, 2)
JAN_2_CURVE = {EXPIRIES[0]: 11.0, EXPIRIES[1]: 12.0, EXPIRIES[2]: 12.8, EXPIRIES[3]: 13.4, EXPIRIES[4]: 13.9}


def at(day: date, hour: int = 16, minute: int = 15) -> int:
    """A New York time, ns."""
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK).timestamp()) * SECOND


def points(day: date, prices: dict[date, float]) -> tuple[CurvePoint, ...]:
    return tuple(
        CurvePoint(symbol=f"VX/{expiry}", price=price, dte=(expiry - day).days)
        for expiry, price in sorted(prices.items())
        if expiry > day
    )


def flat_curve(day: date, price: float = 20.0) -> dict[date, float]:
    return {expiry: price for expiry in EXPIRIES if expiry > day}


def regime(state: State, day: date = JAN_2, curve: dict[date, float] | None = None, **changes: Any) -> Regime:
    """A regime event of a close on that day."""
    prices = flat_curve(day) if curve is None else curve
    ts = changes.pop("event_ts", at(day))
    fields: dict[str, Any] = {
        "market": "US",
        "kind": "close",
        "session_date": day,
        "event_ts": ts,
        "state": state,
        "state_prev": state,
        "score_parts": {},
        "features": {"vix": 11.0},
        "floors_hit": (),
        "below": 0,
        "held": False,
        "degraded": (),
        "stand_ins": (),
        "curve": points(day, prices),
        "bars": {},
        "sources": {},
        "releases": (),
        "calibration_digest": CALIBRATION.digest(),
        "inputs_digest": digest([state, day.isoformat(), ts]),
    } | changes
    fields = {name: value for name, value in fields.items() if name in Regime.model_fields}
    identity = [state, ts, fields["kind"], list(fields["degraded"]), [p.document() for p in fields["curve"]]]
    return Regime(event_id=digest([*identity, fields["features"]]), **fields)


def portfolio(
    positions: dict[str, float] | None = None, day: date = JAN_2, portfolio_id: str = "pension", **changes: Any
) -> Portfolio:
    """H = 0.1 x 1 x 20 million = 2 million: with VX at 20 one contract is one percent of it."""
    fields: dict[str, Any] = {
        "portfolio_id": portfolio_id,
        "as_of": at(day, 15, 0),
        "mv": 20_000_000.0,
        "beta": 1.0,
        "positions": tuple(Position(symbol=s, quantity=q) for s, q in (positions or {}).items()),
    } | changes
    return Portfolio(**fields)


def sessions(count: int, first: date = JAN_2) -> list[date]:
    """Weekdays from ``first`` on."""
    days, day = [], first
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day)
        day += timedelta(days=1)
    return days


__all__ = ["STATES"]
