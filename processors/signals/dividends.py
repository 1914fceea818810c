"""Valuation by dividends against what reinvested dividends have yielded."""

import math
from collections import deque
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple, Self

from processors.signals._reading import (
    read_bool,
    read_float,
    read_floats,
    read_int,
    read_optional_date,
    read_optional_float,
)
from processors.signals.statistic import Json, at_least, finite, positive
from processors.signals.zscore import checked_window, kept, read_past, standardise


def gordon_price(d0: float, growth: float, r: float) -> float | None:
    """Value of dividends that grow for ever: P* = D1 / (r - g), D1 = D0 (1 + g). Gordon (1959).

    Args:
        d0: dividends of the trailing twelve months, in the currency of the price.
        growth: g, a year, decimal, above -1.
        r: discount rate a year, decimal: risk-free rate + beta x equity premium.

    Returns:
        The value, or None where it is undefined: r <= g (the sum diverges), or d0 not above 0.
    """
    growth = _growth(growth, "growth")
    return two_stage_price(d0, growth, 0, growth, r)


def two_stage_price(d0: float, g1: float, years: int, g2: float, r: float) -> float | None:
    """Value of dividends that grow at `g1` for `years` whole years and at `g2` ever after, discounted at `r`.

    sum over k = 1..years of D0 (1 + g1)^k / (1 + r)^k, plus the value at the end of those years,
    D0 (1 + g1)^years (1 + g2) / (r - g2), discounted over them. `g1` may exceed
    `r`: only the second stage must converge.

    Returns:
        The value, or None where it is undefined: r <= g2, or d0 not above 0.

    Raises:
        ValueError: an argument is not finite, a growth is not above -1, or `years` is negative.
        OverflowError: the growth of the first stage is beyond a float.
    """
    d0, r = finite(d0, "d0"), finite(r, "r")
    g1, g2 = _growth(g1, "g1"), _growth(g2, "g2")
    years = at_least(years, 0, "years")
    if r <= g2 or d0 <= 0:
        return None
    ratio = (1 + g1) / (1 + r)
    first = [d0 * ratio**k for k in range(1, years + 1)]
    return math.fsum([*first, d0 * ratio**years * (1 + g2) / (r - g2)])


class DividendGap(NamedTuple):
    """Price against dividends.

    Attributes:
        gap: ln(price / value); above 0 when the price exceeds the value of the dividends.
        implied_yield: the next twelve months' dividends over the price, decimal.
    """

    gap: float
    implied_yield: float


def dividend_gap(price: float, d0: float, growth: float, r: float) -> DividendGap | None:
    """How far a price is from the Gordon value of its dividends; None where that is undefined.

    The level of the gap is extremely sensitive to r - g: compare it with its own past only. Buybacks are left out.
    Raises ValueError for a price that is not above 0. The arguments are those of `gordon_price`.
    """
    price, value = positive(price, "price"), gordon_price(d0, growth, r)
    return None if value is None else DividendGap(math.log(price) - math.log(value), d0 * (1 + growth) / price)


def _growth(x: float, name: str) -> float:
    if not (math.isfinite(x) and x > -1):
        raise ValueError(f"{name} must be a finite number above -1, got {x!r}")
    return float(x)


class TotalReturn(NamedTuple):
    """Closes of an index with dividends reinvested and of the same index without, at the same session."""

    tr: float
    price: float


class DripYield:
    """Realised yield of reinvested dividends: (TR_t / TR_{t-n}) / (P_t / P_{t-n}) - 1 over n sessions, decimal.

    With the dividends d_k reinvested on their ex-dates this is the product of (1 + d_k / P_k), less 1. The total return
    must be gross for a gross yield. First value at observation n + 1; closes must be above 0 (ValueError). Rebasing
    either index in between breaks it. Memory: n + 1 observations.
    """

    __slots__ = ("_ring", "_sessions")

    def __init__(self, sessions: int = 252) -> None:
        self._sessions = at_least(sessions, 1, "sessions")
        self._ring: deque[TotalReturn] = deque(maxlen=sessions + 1)

    def update(self, x: TotalReturn, /) -> None:
        """Commit one session's closes."""
        self._ring.append(_checked(x))

    def peek(self, x: TotalReturn, /) -> float | None:
        """The yield if `x` were the next session's closes."""
        x = _checked(x)
        return _yield(self._ring[-self._sessions], x) if len(self._ring) >= self._sessions else None

    @property
    def value(self) -> float | None:
        """The yield at the last session, None before observation n + 1."""
        return _yield(self._ring[0], self._ring[-1]) if self.ready else None

    @property
    def ready(self) -> bool:
        """Whether n + 1 observations have been seen."""
        return len(self._ring) == self._sessions + 1

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {
            "sessions": self._sessions,
            "tr": [x.tr for x in self._ring],
            "price": [x.price for x in self._ring],
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        drip = cls(read_int(snapshot, "sessions"))
        tr, price = read_floats(snapshot, "tr"), read_floats(snapshot, "price")
        if len(tr) != len(price) or len(tr) > drip._sessions + 1:
            raise ValueError(
                f"snapshot keys 'tr' and 'price' hold {len(tr)} and {len(price)}, at most {drip._sessions + 1}"
            )
        for x in zip(tr, price, strict=True):
            drip.update(TotalReturn(*x))
        return drip


def _checked(x: TotalReturn) -> TotalReturn:
    return TotalReturn(positive(x.tr, "total return"), positive(x.price, "price"))


def _yield(then: TotalReturn, now: TotalReturn) -> float:
    return (now.tr / then.tr) / (now.price / then.price) - 1.0


class DividendYields(NamedTuple):
    """The two yields of one session, decimal: implied by a valuation (D1 / P), and realised by reinvestment."""

    session_date: date
    implied: float
    drip: float


class DivergenceValue(NamedTuple):
    """The divergence at one session.

    Attributes:
        difference: ln(implied) - ln(realised).
        z: standard deviations against the finished months; None while there are too few.
        sharp: whether it is a sharp divergence, with hysteresis.
    """

    difference: float
    z: float | None
    sharp: bool


class _State(NamedTuple):
    past: tuple[float, ...]  # the last difference of each finished month, oldest first, at most the window
    day: date | None  # the last committed session
    month: date | None  # first day of the month that `sample` is of
    sample: float | None  # the last defined difference
    difference: float | None  # of the last committed session, None where it was undefined
    sharp: bool


class DividendDivergence:
    """Divergence of implied from realised dividend yields, z-scored over the last `months` finished months.

    The difference of logarithms is judged every session, but sampled once a month: the past consists of the last
    difference of each month before the session's own, so that a running month is never compared with itself and 252
    overlapping days do not pass for 252 observations. A month without any difference is no observation.

    `sharp` turns on when |z| >= `on`, off when |z| < `off`, and keeps between. It also keeps while z is None: missing
    evidence does not switch it. A yield that is not above 0 has no logarithm: the session's value is None and not
    counted. Sessions must be in order (ValueError).
    """

    __slots__ = ("_minimum", "_months", "_off", "_on", "_state")

    def __init__(self, months: int = 60, minimum: int = 24, on: float = 2.0, off: float = 1.5) -> None:
        self._months, self._minimum = checked_window(at_least(months, 2, "months"), minimum)
        self._off = positive(off, "off")
        self._on = positive(on, "on")
        if on < off:
            raise ValueError(f"on must be at least off = {off!r}, got {on!r}")
        self._state = _State((), None, None, None, None, False)

    def _step(self, x: DividendYields) -> _State:
        implied, drip = finite(x.implied, "implied yield"), finite(x.drip, "realised yield")
        state = self._state
        if state.day is not None and x.session_date <= state.day:
            raise ValueError(f"session {x.session_date} cannot follow {state.day}")
        if implied <= 0 or drip <= 0:
            return state._replace(day=x.session_date, difference=None)
        difference, month = math.log(implied) - math.log(drip), x.session_date.replace(day=1)
        past = state.past if state.month == month else kept(state.past, state.sample, self._months)
        stepped = _State(past, x.session_date, month, difference, difference, state.sharp)
        return stepped._replace(sharp=self._sharp(self._z(stepped), state.sharp))

    def _z(self, state: _State) -> float | None:
        return None if state.difference is None else standardise(state.difference, state.past, self._minimum)

    def _sharp(self, z: float | None, before: bool) -> bool:
        if z is None:
            return before
        return abs(z) >= self._on or (before and abs(z) >= self._off)

    def _read(self, state: _State) -> DivergenceValue | None:
        return None if state.difference is None else DivergenceValue(state.difference, self._z(state), state.sharp)

    def update(self, x: DividendYields, /) -> None:
        """Commit one session's yields. ValueError unless the session is after the last."""
        self._state = self._step(x)

    def peek(self, x: DividendYields, /) -> DivergenceValue | None:
        """The value if `x` were the next session's yields."""
        return self._read(self._step(x))

    @property
    def value(self) -> DivergenceValue | None:
        """The value at the last session, None where it is undefined."""
        return self._read(self._state)

    @property
    def sharp(self) -> bool:
        """Whether the divergence is sharp, as last judged."""
        return self._state.sharp

    @property
    def ready(self) -> bool:
        """Whether the last session had a difference."""
        return self._state.difference is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        state = self._state
        return {
            "months": self._months,
            "minimum": self._minimum,
            "on": self._on,
            "off": self._off,
            "past": list(state.past),
            "day": None if state.day is None else state.day.isoformat(),
            "month": None if state.month is None else state.month.isoformat(),
            "sample": state.sample,
            "difference": state.difference,
            "sharp": state.sharp,
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        divergence = cls(
            read_int(snapshot, "months"),
            read_int(snapshot, "minimum"),
            read_float(snapshot, "on"),
            read_float(snapshot, "off"),
        )
        state = _State(
            past=read_past(snapshot, divergence._months),
            day=read_optional_date(snapshot, "day"),
            month=read_optional_date(snapshot, "month"),
            sample=read_optional_float(snapshot, "sample"),
            difference=read_optional_float(snapshot, "difference"),
            sharp=read_bool(snapshot, "sharp"),
        )
        if (state.month is None) != (state.sample is None) or (state.sample is None and state.past):
            raise ValueError(
                f"snapshot keys 'month' {state.month} and 'sample' {state.sample} with {len(state.past)} months past"
            )
        divergence._state = state
        return divergence
