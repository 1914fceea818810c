"""What option strips say of volatility over 30 days: model-free, by the method of the VIX, and their skew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from processors.pricing import (
    CALL,
    MINUTES_PER_YEAR,
    PUT,
    THIRTY_DAYS,
    TermVariance,
    Unavailable,
    coin_to_quote,
    constant_maturity,
    delta_skew,
    forward_fit,
    implied_vol,
    term_variance,
    vix_style,
)
from processors.signals.features import put
from topics.instrument import COINS
from topics.times import MINUTE, SECOND

Floats = NDArray[np.float64]
Masked = np.ma.MaskedArray[tuple[int, ...], np.dtype[np.float64]]

_NEW_YORK: Final = ZoneInfo("America/New_York")
_UTC: Final = ZoneInfo("UTC")
#: When the final value of each root's options is struck: SPX and VIX by the opening auction, SPXW at the close, coins
#: at 8:00 UTC.
_SETTLED: Final = {
    "SPX": (time(9, 30), _NEW_YORK),
    "SPXW": (time(16, 0), _NEW_YORK),
    "VIX": (time(9, 30), _NEW_YORK),
    **dict.fromkeys(COINS, (time(8, 0), _UTC)),
}
#: Within the last week a strip converges on its settlement and says little of 30 days.
_LEAST_MINUTES: Final = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Strip:
    """Quotes of one root and expiry, each of shape (n,), in any order; NaN where a side was never shown.

    Prices in index points; those of coin options in the coin.
    """

    root: str
    expiry: date
    strikes: Floats
    calls: NDArray[np.bool_]
    bid: Floats
    ask: Floats


@dataclass(frozen=True, slots=True)
class _Sides:
    """A strip with its calls and puts side by side, by rising strike; masked where an option is not quoted.

    ``forward`` is None where it is to be taken from the strike at which call and put are closest.
    """

    minutes: float
    strikes: Floats
    call_bid: Masked
    call_ask: Masked
    put_bid: Masked
    put_ask: Masked
    forward: float | None


def surface(strips: Sequence[Strip], ts: int, rate_free: float | None) -> dict[str, float]:
    """Volatilities in vol points at ``ts``, ns, by name; absent is missing.

    ``mfiv30``: the S&P 500 over 30 days. ``skew25``: 25-delta put less call of its strip nearest to 30 days. ``vov30``:
    VIX over 30 days, the volatility of volatility. ``dex_iv30``: coins over 30 days, the mean of those quoted.

    ``rate_free``, a decimal a year, discounts listed options, which are missing without it; coin options settle in the
    coin and are discounted by nothing.
    """
    found: dict[str, float] = {}
    if rate_free is not None:
        equity = _terms(strips, ("SPX", "SPXW"), ts, rate_free)
        put(found, "mfiv30", _thirty_days([term for term, _ in equity]))
        if equity:
            put(found, "skew25", _skew(*min(equity, key=lambda each: abs(each[0].minutes - THIRTY_DAYS)), rate_free))
        put(found, "vov30", _thirty_days([term for term, _ in _terms(strips, ("VIX",), ts, rate_free)]))
    coins = [_thirty_days([term for term, _ in _terms(strips, (coin,), ts, 0.0)]) for coin in sorted(COINS)]
    there = [coin for coin in coins if coin is not None]
    if there:
        found["dex_iv30"] = sum(there) / len(there)
    return found


def minutes_to(root: str, expiry: date, ts: int) -> float:
    """Minutes from ``ts``, ns, to the settlement of a root's options."""
    at, zone = _SETTLED[root]
    settled = int(datetime.combine(expiry, at, zone).timestamp()) * SECOND
    return (settled - ts) / MINUTE


def _terms(
    strips: Sequence[Strip], roots: tuple[str, ...], ts: int, rate: float
) -> list[tuple[TermVariance, _Sides]]:
    """The variances of the roots' expiries, by rising time."""
    found = []
    for strip in strips:
        minutes = minutes_to(strip.root, strip.expiry, ts) if strip.root in roots else 0.0
        if minutes < _LEAST_MINUTES:
            continue
        convention: Literal["listed", "on_chain"] = "on_chain" if strip.root in COINS else "listed"
        sides = _sides(strip, minutes)
        if strip.root in COINS:
            converted = _converted(sides)
            if converted is None:
                continue
            sides = converted
        quotes = (sides.call_bid, sides.call_ask, sides.put_bid, sides.put_ask)
        term = term_variance(sides.strikes, *quotes, minutes, rate, forward=sides.forward, convention=convention)
        if not isinstance(term, Unavailable):
            found.append((term, sides))
    return sorted(found, key=lambda each: each[0].minutes)


def _thirty_days(terms: Sequence[TermVariance]) -> float | None:
    """Vol points over 30 days from the expiries on either side of them; None without both."""
    near = [term for term in terms if term.minutes <= THIRTY_DAYS]
    following = [term for term in terms if term.minutes > THIRTY_DAYS]
    if not near or not following:
        return None
    return vix_style(constant_maturity(near[-1], following[0]))


def _skew(term: TermVariance, sides: _Sides, rate: float) -> float | None:
    years = term.minutes / MINUTES_PER_YEAR
    put = implied_vol(_filled(sides.put_bid, sides.put_ask), term.forward, sides.strikes, years, rate, PUT)
    call = implied_vol(_filled(sides.call_bid, sides.call_ask), term.forward, sides.strikes, years, rate, CALL)
    found = delta_skew(sides.strikes, put.vol, call.vol, term.forward, years)
    return None if found is None else 100.0 * found


def _quoted(bid: Masked, ask: Masked) -> NDArray[np.bool_]:
    return (bid.filled(0.0) > 0) & (ask.filled(0.0) >= bid.filled(0.0))


def _filled(bid: Masked, ask: Masked) -> Floats:
    """Mid prices; 0, which has no vol, where there is none."""
    return np.where(_quoted(bid, ask), (bid.filled(0.0) + ask.filled(0.0)) / 2, 0.0)


def _sides(strip: Strip, minutes: float) -> _Sides:
    strikes = np.unique(strip.strikes)

    def side(column: Floats, mine: NDArray[np.bool_]) -> Masked:
        found = np.full(len(strikes), np.nan)
        found[np.searchsorted(strikes, strip.strikes[mine])] = column[mine]
        return np.ma.masked_invalid(found)

    calls, puts = strip.calls, ~strip.calls
    quotes = (side(strip.bid, calls), side(strip.ask, calls), side(strip.bid, puts), side(strip.ask, puts))
    return _Sides(minutes, strikes, *quotes, forward=None)


def _converted(sides: _Sides) -> _Sides | None:
    """Premiums in coin as premiums in the currency of the strikes, by the forward of the strip's own parity.

    Coin strips are wide: the forward is that of all liquid strikes together, not of one.
    """
    quotes = (sides.call_bid, sides.call_ask, sides.put_bid, sides.put_ask)
    forward = forward_fit(sides.strikes, *quotes, coin_settled=True)
    if isinstance(forward, Unavailable):
        return None
    at = forward.forward

    def converted(side: Masked) -> Masked:
        return np.ma.masked_array(coin_to_quote(side.filled(0.0), at), mask=np.ma.getmaskarray(side))

    call_bid, call_ask, put_bid, put_ask = (converted(side) for side in quotes)
    return _Sides(sides.minutes, sides.strikes, call_bid, call_ask, put_bid, put_ask, at)
