"""An option chain to choose from: forwards, implied vols, and which quotes can be dealt on.

The forward of an expiry is the VX future that settles with it, else that of its own put-call parity, never spot VIX.
Vols are implied from the mid quote out of the money, whose premium is all time value, for all expiries at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from processors.pricing import CALL, MINUTES_PER_YEAR, PUT, Unavailable, forward_fit, greeks, implied_vol, intrinsic
from processors.signals.expiry import is_monthly
from processors.signals.surface import minutes_to
from topics.hedge_rules import ChainRules, LayerWindow
from topics.option_chain import ChainExpiry, OptionChain
from topics.times import SECOND

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: The source of quotes that nobody made.
MODEL: Final = "model"


@dataclass(frozen=True, slots=True, eq=False)
class ExpiryQuotes:
    """One expiry of a chain. Arrays have one entry for each strike, in ascending order.

    Attributes:
        expiry, dte: final settlement date, and calendar days to it from the chain's session.
        t: minutes to the settlement over 525,600.
        forward: vol points; ``forward_source`` says whether VX of the same expiry or put-call parity gave it.
        call_bid, call_ask, put_bid, put_ask: vol points; NaN where a side is not quoted.
        vols: decimals a year; NaN where no quote implies one.
        calls, puts: whether the call and the put of a strike can be dealt on.
    """

    expiry: date
    dte: int
    t: float
    forward: float
    forward_source: Literal["vx", "parity"]
    strikes: Floats
    call_bid: Floats
    call_ask: Floats
    put_bid: Floats
    put_ask: Floats
    vols: Floats
    calls: Bools
    puts: Bools

    def sides(self, right: int) -> tuple[Floats, Floats, Bools]:
        """Bids, asks and which can be dealt on, of the calls (+1) or the puts (-1)."""
        return (self.call_bid, self.call_ask, self.calls) if right == CALL else (self.put_bid, self.put_ask, self.puts)

    def at(self, strike: float) -> int | None:
        """The place of a listed strike."""
        found = np.flatnonzero(np.abs(self.strikes - strike) <= 1e-9)
        return int(found[0]) if found.size else None

    def quote(self, right: int, strike: float) -> tuple[float | None, float | None]:
        """Bid and ask of an option; None for a side that is not quoted, a bid of 0 being none."""
        i = self.at(strike)
        if i is None:
            return None, None
        bids, asks, _ = self.sides(right)
        return _there(bids[i]), _there(asks[i])

    def open_calls(self) -> list[float]:
        """Strikes, ascending, whose calls can be dealt on and have a vol."""
        found: list[float] = self.strikes[self.calls & ~np.isnan(self.vols)].tolist()
        return found

    def vol(self, strike: float) -> float | None:
        """The vol of a strike: its own, else linear in ln K between the neighbours that have one; None beyond them."""
        found = float(self.vols_at(np.array([strike]))[0])
        return None if np.isnan(found) else found

    def vols_at(self, strikes: Floats) -> Floats:
        """The same of many strikes; NaN where there is none."""
        known = ~np.isnan(self.vols)
        if not known.any():
            return np.full(len(strikes), np.nan)
        own = self.strikes[known]
        inside = (strikes >= own[0] - 1e-9) & (strikes <= own[-1] + 1e-9)
        return np.where(inside, np.interp(np.log(strikes), np.log(own), self.vols[known]), np.nan)


@dataclass(frozen=True, slots=True)
class OptionMark:
    """One option at a chain's quotes, vol points.

    Attributes:
        mid: the mid quote, or without one the price at its vol.
        bid, ask: None for a side that is not quoted.
        vol: implied, a decimal a year; its own, else that between the strikes around it.
        intrinsic: discounted, on the forward.
    """

    mid: float
    bid: float | None
    ask: float | None
    vol: float
    intrinsic: float
    delta: float
    gamma: float
    vega: float
    theta: float
    forward: float


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """An option chain at one instant.

    Attributes:
        session_date: days to expiry count from it.
        event_ts: instant that the quotes show, ns.
        source: where they come from.
        executable: False when they are modelled: good for sizing and study, not to be dealt on.
        rate: continuous, a decimal a year, discounting premiums.
        expiries: those that can be used, by expiry.
        unavailable: why the others cannot.
    """

    session_date: date
    event_ts: int
    source: str
    executable: bool
    rate: float
    expiries: tuple[ExpiryQuotes, ...]
    unavailable: Mapping[date, str]
    _marks: dict[tuple[date, int, float], OptionMark | None] = field(default_factory=dict, repr=False)
    _marked: set[tuple[date, int]] = field(default_factory=set, repr=False)

    def mark(self, expiry: date, right: int, strike: float) -> OptionMark | Unavailable:
        """An option of the chain, worked out once; those of an expiry all at once."""
        quotes = self.on(expiry)
        if isinstance(quotes, Unavailable):
            return quotes
        key = (expiry, right, strike)
        if key not in self._marks:
            if (expiry, right) not in self._marked:
                self._marked.add((expiry, right))
                bids, asks, _ = quotes.sides(right)
                self._price(quotes, right, quotes.strikes, quotes.vols_at(quotes.strikes), bids, asks)
            if key not in self._marks:
                strikes, nothing = np.array([strike]), np.array([np.nan])
                self._price(quotes, right, strikes, quotes.vols_at(strikes), nothing, nothing)
        found = self._marks[key]
        return Unavailable("it has no quote, and no strikes around it do") if found is None else found

    def _price(
        self, quotes: ExpiryQuotes, right: int, strikes: Floats, vols: Floats, bids: Floats, asks: Floats
    ) -> None:
        known = ~np.isnan(vols)
        for strike in strikes[~known].tolist():
            self._marks[quotes.expiry, right, strike] = None
        if not known.any():
            return
        strikes, vols, bids, asks = strikes[known], vols[known], bids[known], asks[known]
        found = greeks(quotes.forward, strikes, vols, quotes.t, self.rate, right)
        inside = intrinsic(quotes.forward, strikes, quotes.t, self.rate, right)
        mids = np.where(_two_sided(bids, asks), 0.5 * (bids + asks), found.price)
        columns = (strikes, mids, bids, asks, vols, inside, found.delta, found.gamma, found.vega, found.theta)
        for strike, mid, bid, ask, *rest in zip(*(column.tolist() for column in columns), strict=True):
            vol, inner, delta, gamma, vega, theta = rest
            self._marks[quotes.expiry, right, strike] = OptionMark(
                mid,
                bid if bid > 0 else None,
                ask if ask > 0 else None,
                vol,
                inner,
                delta,
                gamma,
                vega,
                theta,
                quotes.forward,
            )

    def on(self, expiry: date) -> ExpiryQuotes | Unavailable:
        """The quotes of an expiry, or why there are none."""
        for quotes in self.expiries:
            if quotes.expiry == expiry:
                return quotes
        return Unavailable(self.unavailable.get(expiry, f"the chain has no options that settle on {expiry}"))

    def inside(self, window: LayerWindow) -> tuple[ExpiryQuotes, ...]:
        """The expiries in a window of days to expiry, both ends included."""
        most = np.inf if window.dte_max is None else window.dte_max
        return tuple(quotes for quotes in self.expiries if window.dte_min <= quotes.dte <= most)

    def nearest(self, window: LayerWindow) -> ExpiryQuotes | Unavailable:
        """The expiry in a window that is nearest to its target, the earlier of two; unavailable without one."""
        inside = self.inside(window)
        if not inside:
            end = "more" if window.dte_max is None else str(window.dte_max)
            return Unavailable(f"no expiry at {window.dte_min} to {end} days")
        return min(inside, key=lambda quotes: (abs(quotes.dte - window.dte_target), quotes.dte))


@dataclass(frozen=True, slots=True)
class _Sides:
    """An expiry before its vols are known."""

    message: ChainExpiry
    t: float
    forward: float
    forward_source: Literal["vx", "parity"]
    columns: Mapping[str, Floats]


def read_chain(message: OptionChain, as_of: int, rate: float, rules: ChainRules | None = None) -> Chain:
    """The chain in a message, as seen at ``as_of``, ns.

    ``rate`` is continuous, a decimal a year: that of bills of about the options' term. ValueError when it is not
    finite, or when the chain is of a later instant than ``as_of``: that would be looking ahead.
    """
    rules = ChainRules() if rules is None else rules
    if not np.isfinite(rate):
        raise ValueError(f"rate must be a finite number, got {rate!r}")
    if message.event_ts > as_of:
        raise ValueError(f"the chain of {message.event_ts} is later than {as_of}")
    sides: list[_Sides] = []
    unavailable: dict[date, str] = {}
    for each in message.expiries:
        found = _sides(each, message, as_of, rules)
        if isinstance(found, Unavailable):
            unavailable[each.expiry] = found.reason
        else:
            sides.append(found)
    vols = _vols(sides, rate)
    return Chain(
        session_date=message.session_date,
        event_ts=message.event_ts,
        source=message.source,
        executable=message.source != MODEL,
        rate=float(rate),
        expiries=tuple(_quotes(s, v, message.session_date, rules) for s, v in zip(sides, vols, strict=True)),
        unavailable=unavailable,
    )


def _sides(each: ChainExpiry, message: OptionChain, as_of: int, rules: ChainRules) -> _Sides | Unavailable:
    if rules.monthly_only and not is_monthly(each.expiry):
        return Unavailable("a weekly expiry")
    age = (as_of - each.quotes_ts) // SECOND
    if age > rules.max_age_seconds:
        return Unavailable(f"its oldest quote is {age} s old, more than {rules.max_age_seconds} s")
    minutes = minutes_to(message.root, each.expiry, message.event_ts)
    if not minutes > 0:
        return Unavailable("it settles now")
    columns = {name: _column(getattr(each, name)) for name in ("call_bid", "call_ask", "put_bid", "put_ask")}
    forward = each.forward
    source: Literal["vx", "parity"] = "vx"
    if forward is None:
        fit = forward_fit(np.array(each.strikes), *(np.ma.masked_invalid(column) for column in columns.values()))
        if isinstance(fit, Unavailable):
            return Unavailable(f"it has no VX future, and no forward by parity: {fit.reason}")
        if not each.strikes[0] <= fit.forward <= each.strikes[-1]:
            return Unavailable(f"it has no VX future, and by parity a forward beyond its strikes: {fit.forward:g}")
        forward, source = fit.forward, "parity"
    return _Sides(each, minutes / MINUTES_PER_YEAR, forward, source, columns)


def _vols(sides: list[_Sides], rate: float) -> list[Floats]:
    """Vols of every strike of every expiry, by one inversion over all of them."""
    if not sides:
        return []
    sizes = [len(s.message.strikes) for s in sides]
    strikes = np.concatenate([np.array(s.message.strikes) for s in sides])
    forward = np.repeat([s.forward for s in sides], sizes)
    t = np.repeat([s.t for s in sides], sizes)
    mids = []
    for name in ("call", "put"):
        bid = np.concatenate([s.columns[f"{name}_bid"] for s in sides])
        ask = np.concatenate([s.columns[f"{name}_ask"] for s in sides])
        mids.append(np.where(_two_sided(bid, ask), 0.5 * (bid + ask), np.nan))
    outside = np.where(strikes >= forward, CALL, PUT)
    first = np.where(outside == CALL, mids[0], mids[1])
    second = np.where(outside == CALL, mids[1], mids[0])
    right = np.where(np.isnan(first), -outside, outside)
    premium = np.where(np.isnan(first), second, first)
    quoted = ~np.isnan(premium)
    vols = np.full(strikes.shape, np.nan)
    implied = implied_vol(
        premium[quoted], forward[quoted], strikes[quoted], t[quoted], rate, right[quoted]
    )
    vols[quoted] = implied.vol.filled(np.nan)
    return np.split(vols, np.cumsum(sizes)[:-1])


def _quotes(s: _Sides, vols: Floats, session_date: date, rules: ChainRules) -> ExpiryQuotes:
    each = s.message
    enough = np.ones(len(each.strikes), dtype=np.bool_)
    if each.open_interest is not None:
        enough = np.array([n is None or n >= rules.open_interest_min for n in each.open_interest], dtype=np.bool_)
    call_bid, call_ask, put_bid, put_ask = (s.columns[n] for n in ("call_bid", "call_ask", "put_bid", "put_ask"))
    return ExpiryQuotes(
        expiry=each.expiry,
        dte=(each.expiry - session_date).days,
        t=s.t,
        forward=s.forward,
        forward_source=s.forward_source,
        strikes=np.array(each.strikes),
        call_bid=call_bid,
        call_ask=call_ask,
        put_bid=put_bid,
        put_ask=put_ask,
        vols=vols,
        # Open interest is that of the calls, which are all that the layers deal in.
        calls=liquid(call_bid, call_ask, rules) & enough,
        puts=liquid(put_bid, put_ask, rules),
    )


def _column(values: tuple[float | None, ...]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _two_sided(bid: Floats, ask: Floats) -> Bools:
    return np.asarray((bid > 0) & (ask >= bid))


def liquid(bid: Floats, ask: Floats, rules: ChainRules) -> Bools:
    """Where a quote is one to deal on: two-sided, and no wider than allowed."""
    width, mid = ask - bid, 0.5 * (ask + bid)
    # A rounding error must not refuse a quote exactly as wide as allowed.
    most = np.minimum(np.maximum(rules.spread_floor, rules.spread_relative * mid), rules.spread_max) + 1e-9
    return np.asarray(_two_sided(bid, ask) & (width <= most))


def _there(value: np.float64) -> float | None:
    return float(value) if value > 0 else None
