"""The chain of VIX options at an instant: from the strips and the VX quotes to the message that the hedge reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.sessions.strips import MAX_AGE, Quotes, monthly
from processors.signals.surface import minutes_to
from topics.message import Digest, digest
from topics.option_chain import DECIMALS, HIGHEST, MAX_EXPIRIES, MAX_STRIKES, ChainExpiry, OptionChain, Premiums
from topics.times import MINUTE

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROOT: Final = "VIX"
#: Between closes a chain is published at most so often, in event time: a chain is large, and a minute is the usual
#: interval of the marks.
EVERY: Final = MINUTE
#: Weekly expiries further ahead than this, calendar days, are left out: none are listed.
_WEEKLIES: Final = 60
#: The source of values that are modelled, and what stands for more than one source.
_MODEL, _SEVERAL = "model", "several"


@dataclass(frozen=True, slots=True)
class Future:
    """What is known of a VX contract: its price as the curve has it, the two sides of its quote, and who sent them.

    None where missing or more than an hour old; vol points.
    """

    price: float | None = None
    bid: float | None = None
    ask: float | None = None
    sources: frozenset[str] = frozenset()

    @classmethod
    def of(cls, price: float | None, quote: tuple[float, float, int] | None, ts: int, source: str | None) -> Future:
        """From a price and a quote of (bid, ask, event time), NaN where a side is missing."""
        bid, ask, at = quote or (math.nan, math.nan, 0)
        fresh = 0 <= ts - at <= MAX_AGE
        return cls(
            _level(price),
            _level(bid) if fresh else None,
            _level(ask) if fresh else None,
            frozenset() if source is None else frozenset({source}),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """One expiry with its calls and puts side by side, by rising strike, in vol points.

    Attributes:
        minutes: to the settlement.
        quotes: bids and asks of the calls, then those of the puts, shape (4, n); NaN where there is none. Bid and ask
            come in ticks of their own, so that they may be crossed.
        times: event time of each, ns, shape (4, n).
        open_interest: open calls, shape (n,); NaN where not reported.
    """

    expiry: date
    minutes: float
    strikes: Floats
    quotes: Floats
    times: Ints
    open_interest: Floats
    sources: frozenset[str]
    future: Future

    @property
    def executable(self) -> Floats:
        """The quotes without both sides of what is crossed."""
        quotes = self.quotes.copy()
        for side in (0, 2):
            quotes[side : side + 2, quotes[side] > quotes[side + 1]] = np.nan
        return quotes

    @property
    def future_quote(self) -> tuple[float | None, float | None]:
        """Bid and ask of the future, both None when they are crossed."""
        bid, ask = self.future.bid, self.future.ask
        return (None, None) if bid is not None and ask is not None and bid > ask else (bid, ask)


def sides(quotes: Iterable[Quotes], futures: Mapping[date, Future], session_date: date, ts: int) -> list[Sides]:
    """What is quoted at ``ts``, ns, by expiry: what a chain may show of it, at the digits that it shows."""
    found = []
    for each in quotes:
        days, minutes = (each.expiry - session_date).days, minutes_to(ROOT, each.expiry, ts)
        if days < 1 or minutes <= 0 or (days > _WEEKLIES and not monthly(each.expiry)):
            continue
        prices = np.round(np.stack([each.bid, each.ask]), DECIMALS)
        prices[(prices <= 0) | (prices > HIGHEST)] = np.nan
        times = np.stack([each.bid_ts, each.ask_ts])
        listed = each.strikes <= HIGHEST
        strikes = np.unique(each.strikes[listed])
        columns, stamps = np.full((4, len(strikes)), np.nan), np.zeros((4, len(strikes)), dtype=np.int64)
        open_interest = np.full(len(strikes), np.nan)
        # Of one strike under two names the newer quote counts.
        order = np.argsort(times.max(axis=0), kind="stable")
        for row, right in ((0, True), (2, False)):
            mine = order[(each.calls == right)[order] & listed[order]]
            at = np.searchsorted(strikes, each.strikes[mine])
            columns[row : row + 2, at] = prices[:, mine]
            stamps[row : row + 2, at] = times[:, mine]
            if right:
                open_interest[at] = each.open_interest[mine]
        there = ~np.isnan(columns).all(axis=0)
        if there.any():
            found.append(
                Sides(
                    each.expiry,
                    minutes,
                    strikes[there],
                    columns[:, there],
                    stamps[:, there],
                    open_interest[there],
                    each.sources,
                    futures.get(each.expiry, Future()),
                )
            )
    return found


def chain(ts: int, session_date: date, market: str, quoted: Sequence[Sides]) -> OptionChain:
    """The chain that shows these expiries at ``ts``, ns; what is crossed is missing on both sides.

    Of more than a message takes the monthly expiries stay before the weekly ones, the nearer before the further; when
    even those have too many strikes, each keeps those nearest to its forward.
    """
    found, sources = [], set[str]()
    for each, most in _room(quoted):
        expiry = _expiry(each, most)
        if expiry is not None:
            found.append(expiry)
            sources |= each.sources | each.future.sources
    return OptionChain(
        market=market,
        event_ts=ts,
        session_date=session_date,
        source=_source(sources),
        expiries=tuple(sorted(found, key=lambda expiry: expiry.expiry)),
    )


def _room(quoted: Sequence[Sides]) -> list[tuple[Sides, int]]:
    """The expiries for which there is room, and how many strikes of each."""
    first = [each for each in quoted if monthly(each.expiry)][:MAX_EXPIRIES]
    most = MAX_STRIKES
    while (taken := sum(min(len(each.strikes), most) for each in first)) > MAX_STRIKES:
        most -= 1
    kept = [(each, most) for each in first]
    left = MAX_STRIKES - taken
    for each in quoted:
        if not monthly(each.expiry) and len(each.strikes) <= left and len(kept) < MAX_EXPIRIES:
            kept.append((each, len(each.strikes)))
            left -= len(each.strikes)
    return kept


def _expiry(each: Sides, most: int) -> ChainExpiry | None:
    quotes = each.executable
    there = np.flatnonzero(~np.isnan(quotes).all(axis=0))
    if not len(there):
        return None
    if len(there) > most:
        strikes = each.strikes[there]
        middle = float(np.median(strikes)) if each.future.price is None else each.future.price
        there = np.sort(there[np.argsort(np.abs(np.log(strikes / middle)), kind="stable")[:most]])
    quotes, times = quotes[:, there], each.times[:, there]
    forward_bid, forward_ask = each.future_quote
    open_interest = _whole(each.open_interest[there])
    call_bid, call_ask, put_bid, put_ask = (_column(column) for column in quotes)
    return ChainExpiry(
        expiry=each.expiry,
        forward=each.future.price,
        forward_bid=forward_bid,
        forward_ask=forward_ask,
        quotes_ts=int(times[~np.isnan(quotes)].min()),
        strikes=tuple(each.strikes[there].tolist()),
        call_bid=call_bid,
        call_ask=call_ask,
        put_bid=put_bid,
        put_ask=put_ask,
        open_interest=open_interest if any(n is not None for n in open_interest) else None,
    )


def _column(column: Floats) -> Premiums:
    return tuple(None if value != value else value for value in column.tolist())


def _whole(column: Floats) -> tuple[int | None, ...]:
    """Counts of contracts; one that cannot be is missing."""
    return tuple(int(n) if n == n and 0 <= n < 1e8 else None for n in column.tolist())


def _level(price: float | None) -> float | None:
    if price is None:
        return None
    rounded = round(price, DECIMALS)
    return rounded if 0 < rounded <= HIGHEST else None


def _source(sources: set[str]) -> str:
    """One name for who sent the quotes. One modelled value makes the whole chain a modelled one: not to be dealt on."""
    if _MODEL in sources:
        return _MODEL
    return next(iter(sources)) if len(sources) == 1 else _SEVERAL if sources else "unspecified"


class Published:
    """What was published last. Whether a chain is published is a function of event time and of what it shows."""

    def __init__(self) -> None:
        self._ts = 0
        self._shown: Digest | None = None

    def due(self, ts: int, closing: bool, quoted: bool) -> bool:
        """Whether it is time for a chain at ``ts``, ns, that says something: quotes, or that they are gone."""
        return (quoted or self._shown is not None) and (closing or ts - self._ts >= EVERY)

    def take(self, chain: OptionChain, closing: bool) -> bool:
        """Whether a chain is to be published; if so it counts as published.

        At a close always, else when it shows something new. An empty one only where one with quotes was the last.
        """
        shown = None
        if chain.expiries:
            shown = digest({name: value for name, value in chain.document().items() if name != "event_ts"})
        if shown == self._shown and not (closing and shown):
            return False
        self._ts, self._shown = chain.event_ts, shown
        return True

    def snapshot(self) -> list[Any]:
        """As JSON values."""
        return [self._ts, self._shown]

    @classmethod
    def restore(cls, saved: Sequence[Any]) -> Published:
        """What gave ``saved``."""
        published = cls()
        published._ts, published._shown = saved
        return published
