"""What the hedge costs the investor in money-weighted return: the drag on the internal rate of return.

XIRR, as in spreadsheets: the rate r, decimal a year, at which the flows' present values sum to 0,

    sum_i amount_i / (1 + r)^((date_i - date_0) / 365) = 0.

It weighs every dollar by the time it was at work, and is not the time-weighted return of a fund's track record.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Final, NamedTuple, Self, TypeAlias

import numpy as np

from processors.hedge.weights import Vector, sleeves, vector
from processors.signals._reading import as_object, read_date, read_float, read_int, read_list
from processors.signals.statistic import Json, at_least, finite
from topics.hedge_rules import DragRules
from topics.message import State

#: A date and an amount: below 0 is paid in, above 0 is received.
Flow: TypeAlias = tuple[date, float]

LEAST_RATE: Final = -0.999999
MOST_RATE: Final = 1e6
"""Rates outside of these are not looked for: a rate that far out says no more than "everything" or "at once"."""

_DAYS_PER_YEAR: Final = 365.0
_LOW: Final = math.log1p(LEAST_RATE)
_HIGH: Final = math.log1p(MOST_RATE)
_GRID: Final = 2049
_CROWDING: Final = 5.0  # how much denser the grid is about a rate of 0 than at its ends


def xirr(flows: Iterable[Flow]) -> float | None:
    """The internal rate of return, actual/365, decimal a year; of several, the one nearest to 0.

    Flows of one date are added up; the order does not matter. None when they do not change sign, for then no rate
    exists, and when none lies between :data:`LEAST_RATE` and :data:`MOST_RATE`. Several rates need flows that change
    sign more than once; the nearest to 0 is the one that a small change of the flows from no return at all leads to.
    Of two equally near, the lower.

    Raises ValueError for an amount that is NaN or infinite.
    """
    return min(xirr_all(flows), key=lambda rate: (abs(rate), rate), default=None)


def xirr_all(flows: Iterable[Flow]) -> tuple[float, ...]:
    """Every internal rate of return, ascending, as far as a grid of 2049 rates tells them apart.

    Flows with one change of sign have exactly one rate (Descartes), which no grid is needed for.
    """
    years, amounts = _net(flows)
    changes = sum(a * b < 0 for a, b in pairwise([a for a in np.sign(amounts).tolist() if a]))
    if not changes:
        return ()

    def value(rate: float) -> float:
        return _value(years, amounts, rate)

    if changes == 1:
        grid, signs = [_LOW, _HIGH], [value(_LOW), value(_HIGH)]
    else:
        spread = np.linspace(-1.0, 1.0, _GRID)
        side = np.where(spread < 0, -_LOW, _HIGH)
        rates = side * np.sinh(_CROWDING * spread) / math.sinh(_CROWDING)
        grid, signs = rates.tolist(), _values(years, amounts, rates)
    found = [rate for rate, sign in zip(grid, signs, strict=True) if sign == 0]
    for (low, at_low), (high, at_high) in pairwise(zip(grid, signs, strict=True)):
        if at_low * at_high < 0:
            found.append(_root(years, amounts, low, high))
    return tuple(sorted(math.expm1(rate) for rate in found))


def _net(flows: Iterable[Flow]) -> tuple[list[float], list[float]]:
    """Years since the first date, and the amount of each date in units of the largest one."""
    by_date: dict[date, list[float]] = {}
    for day, amount in flows:
        by_date.setdefault(day, []).append(finite(amount, "amount"))
    days = sorted(by_date)
    amounts = [math.fsum(by_date[day]) for day in days]
    largest = max((abs(amount) for amount in amounts), default=0.0)
    if not math.isfinite(largest):
        raise ValueError(f"amounts of one date must sum to a finite number, got {largest!r}")
    if largest == 0:
        return [], []
    return [(day - days[0]).days / _DAYS_PER_YEAR for day in days], [amount / largest for amount in amounts]


def _value(years: Sequence[float], amounts: Sequence[float], rate: float) -> float:
    # A continuous rate below 0 is discounted to the last date instead: the same root, and nothing overflows.
    origin = years[-1] if rate < 0 else 0.0
    return math.fsum([a * math.exp(-rate * (t - origin)) for t, a in zip(years, amounts, strict=True)])


def _values(years: Sequence[float], amounts: Sequence[float], rates: np.ndarray) -> list[float]:
    times = np.asarray(years)
    origin = np.where(rates < 0, times[-1], 0.0)
    with np.errstate(under="ignore"):
        factors = np.exp(-rates[:, None] * (times[None, :] - origin[:, None]))
    values: list[float] = (factors * np.asarray(amounts)).sum(axis=1).tolist()
    return values


def _root(years: Sequence[float], amounts: Sequence[float], low: float, high: float) -> float:
    at_low, at_high = _value(years, amounts, low), _value(years, amounts, high)
    if at_low * at_high >= 0:  # one of them is 0 but for rounding
        return low if abs(at_low) <= abs(at_high) else high
    from scipy.optimize import brentq  # type: ignore[import-untyped]  # slow to load, and seldom needed

    return float(brentq(lambda rate: _value(years, amounts, rate), low, high, xtol=1e-15, rtol=1e-14, maxiter=500))


class HedgedSession(NamedTuple):
    """A portfolio and its hedge at the close of one session, USD.

    Attributes:
        session_date: the session.
        mv: market value of the portfolio without its hedge.
        hedge: what the hedge is worth: options and notes at their marks; 0 for futures, which are settled daily.
        flow: paid into the portfolio since the session before (below 0: taken out); no part of it is the hedge's.
        hedge_flow: paid for the hedge since then, over all its accounts: premiums and fees paid, variation margin
            lost; below 0 when it brought money.
    """

    session_date: date
    mv: float
    hedge: float
    flow: float
    hedge_flow: float


class HedgeDrag:
    """XIRR of the portfolio without its hedge less that with it, over the trailing sessions; decimal a year.

    Above 0 the hedge has cost return. Both count the portfolio as bought at the close before the first of the
    `sessions` and sold at the last close; the hedge's flows, and its unrealised value as of both closes, are part of
    one of them and not of the other.

    None until `sessions` sessions after a first close are there, and while either rate does not exist. Sessions must
    come in order.
    """

    __slots__ = ("_closes", "_sessions", "_value")

    def __init__(self, sessions: int = 252) -> None:
        self._sessions = at_least(sessions, 1, "sessions")
        self._closes: deque[HedgedSession] = deque(maxlen=sessions + 1)
        self._value: float | None = None

    def _checked(self, x: HedgedSession) -> HedgedSession:
        if self._closes and x.session_date <= self._closes[-1].session_date:
            raise ValueError(f"the session {x.session_date} cannot follow {self._closes[-1].session_date}")
        mv = finite(x.mv, "mv")
        if mv < 0:
            raise ValueError(f"mv must be at least 0, got {mv!r}")
        return HedgedSession(
            x.session_date, mv, finite(x.hedge, "hedge"), finite(x.flow, "flow"), finite(x.hedge_flow, "hedge_flow")
        )

    def update(self, x: HedgedSession, /) -> None:
        """Commit one session's close."""
        value = self.peek(x)
        self._closes.append(self._checked(x))
        self._value = value

    def peek(self, x: HedgedSession, /) -> float | None:
        """The drag if `x` were the next close."""
        closes = [*self._closes, self._checked(x)][-self._sessions - 1 :]
        if len(closes) <= self._sessions:
            return None
        without = xirr(_flows(closes, hedged=False))
        hedged = xirr(_flows(closes, hedged=True))
        return None if without is None or hedged is None else without - hedged

    @property
    def value(self) -> float | None:
        """The drag as of the last close."""
        return self._value

    @property
    def ready(self) -> bool:
        """Whether both rates exist over a full window."""
        return self._value is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        closes: list[Json] = [{**x._asdict(), "session_date": x.session_date.isoformat()} for x in self._closes]
        return {"sessions": self._sessions, "closes": closes}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        drag = cls(read_int(snapshot, "sessions"))
        rows = [as_object(row, "closes") for row in read_list(snapshot, "closes")]
        if len(rows) > drag._sessions + 1:
            raise ValueError(f"a drag over {drag._sessions} sessions cannot hold {len(rows)} closes")
        for row in rows:
            drag.update(
                HedgedSession(
                    read_date(row, "session_date"),
                    read_float(row, "mv"),
                    read_float(row, "hedge"),
                    read_float(row, "flow"),
                    read_float(row, "hedge_flow"),
                )
            )
        return drag


def _flows(closes: Sequence[HedgedSession], hedged: bool) -> list[Flow]:
    share = 1.0 if hedged else 0.0
    first, last = closes[0], closes[-1]
    between = [(x.session_date, -(x.flow + share * x.hedge_flow)) for x in closes[1:]]
    start, end = first.mv + share * first.hedge, last.mv + share * last.hedge
    return [(first.session_date, -start), *between, (last.session_date, end)]


def too_costly(rules: DragRules, state: State, drag: float | None) -> bool:
    """Whether the hedge drags more than `cap` in `low`; a missing drag is no reason to hold back."""
    return state == "low" and drag is not None and finite(drag, "drag") > rules.cap


def limit_drag(rules: DragRules, state: State, drag: float | None, l1_floor: float, weights: Vector) -> Vector:
    """`weights` with Layer 1 at its floor (fraction of H) when the hedge is too costly; the rest to the reserve."""
    if not too_costly(rules, state, drag):
        return weights
    return vector({**sleeves(weights), "L1": min(weights["L1"], l1_floor)})
