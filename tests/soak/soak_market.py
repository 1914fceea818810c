"""A made-up market: sessions of ticks of SPX, VIX, VIX3M, VVIX and VX futures as columns, and what goes with them.

The level of VIX wanders about its mean from session to session and jumps now and then, so that every state is reached.
Some rows cannot be used, each for a reason that is known when it is made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import numpy as np
from history import CALENDAR, figure, portfolio, watermark

from processors.feeds.feed import records_of
from processors.feeds.items import Single, tight
from processors.signals.expiry import vx_expiries
from processors.stream.log import Out
from topics.market import VALUES
from topics.ticks import MISSING, Floats, TickColumns, invalid_rows
from topics.times import HOUR, MINUTE

FIRST: Final = date(2016, 1, 4)
#: Rows of a block, as a feed handler sends them.
BLOCK: Final = 2000
#: Records of one transaction of the feed, and ticks.
RECORDS, ROWS = 2000, 20_000
#: One row in so many cannot be used.
REFUSED_EVERY: Final = 4000
#: What is wrong with it, in turn: the reasons of the dead letters.
REASONS: Final = ("unknown_symbol", "implausible", "crossed", "invalid", "late")

_INDICES: Final = ("VIX", "SPX", "VIX3M", "VVIX")
_NOWHERE: Final = "NOSUCH"
_FUTURES: Final = 5


@dataclass(frozen=True, slots=True)
class Session:
    """The records of one session in the order in which they are sent, with the rows of each."""

    day: date
    outs: list[Out]
    rows: list[int]
    refused: Counter[str]


@dataclass(slots=True)
class Market:
    """Sessions one after the other.

    Args:
        ticks: rows of a session.
        form: ``blocks``, ``singles``, or ``mixed``: an eighth of the rows as singles.
        portfolios: snapshots sent before each session.
        seed: the same seed makes the same sessions.
    """

    ticks: int
    form: str = "mixed"
    portfolios: int = 50
    seed: int = 1987
    day: date = FIRST
    _rng: np.random.Generator = field(init=False)
    _level: float = field(init=False, default=16.0)
    _index: float = field(init=False, default=2000.0)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def sessions(self, rows: int) -> Iterator[Session]:
        """Sessions until at least ``rows`` rows have been made."""
        made = 0
        while made < rows:
            session = self.session()
            made += sum(session.rows)
            yield session

    def session(self) -> Session:
        """The next session: portfolios and releases before it, ticks from its open to its official closes."""
        day, opened = self.day, CALENDAR.open_ts(self.day)
        self.day = CALENDAR.next_session(day)
        outs: list[Out] = []
        for single in self._before(day, opened):
            outs += records_of(single, single=True)
        columns, refused = self._ticks(day)
        alone = {"blocks": 0, "singles": len(columns), "mixed": len(columns) // 8}[self.form]
        rows = [0] * len(outs)
        if alone:
            outs += records_of(columns.take(0, alone), single=True)
            rows += [1] * alone
        for at in range(alone, len(columns), BLOCK):
            part = columns.take(at, min(at + BLOCK, len(columns)))
            outs += records_of(tight(part), single=False)
            rows.append(len(part))
        return Session(day, outs, rows, refused)

    def last_word(self) -> Out:
        """That nothing of the last session follows."""
        ended = CALENDAR.vix_close_ts(CALENDAR.previous_session(self.day))
        return records_of(watermark(ended + 12 * HOUR), single=True)[0]

    def _before(self, day: date, opened: int) -> Iterator[Single]:
        for number in range(self.portfolios):
            yield book(f"p{number:05d}", number, opened - HOUR)
        if CALENDAR.previous_session(day).month != day.month:
            month = day.replace(day=1) - timedelta(days=1)
            yield figure("NFP", opened - 30 * MINUTE, month.strftime("%Y-%m"), float(self._rng.normal(180, 60)))

    def _ticks(self, day: date) -> tuple[TickColumns, Counter[str]]:
        rng, n = self._rng, self.ticks
        jump = rng.exponential(0.7) if rng.random() < 0.03 else 0.0
        before, self._level = self._level, self._level * np.exp(
            0.12 * (np.log(15.5) - np.log(self._level)) + 0.06 * rng.normal() + jump
        )
        self._level = float(np.clip(self._level, 9.5, 75.0))
        self._index *= float(np.exp(0.0004 - 0.10 * (np.log(self._level) - np.log(before))))
        expiries = [e for e in vx_expiries(day, day + timedelta(days=250)) if e > day][:_FUTURES]
        symbols = (*_INDICES, *(f"VX/{e}" for e in expiries), _NOWHERE)

        start, stop = CALENDAR.open_ts(day), CALENDAR.close_ts(day)
        ts = np.sort(rng.integers(start, stop, n))
        symbol = rng.choice(np.arange(len(symbols) - 1, dtype=np.int32), n).astype(np.int32)
        passed = (ts - start) / (stop - start)
        path = np.interp(passed, np.linspace(0, 1, 40), self._bridge(before, self._level, 40))
        slopes = {"VIX": path, "VIX3M": 17 + 0.6 * (path - 16), "VVIX": 90 + 2 * (path - 16)}
        values = {name: np.full(n, np.nan) for name in VALUES}
        for code, name in enumerate(symbols[:-1]):
            mine = symbol == code
            noise = rng.normal(0, 0.02, int(mine.sum()))
            if name == "SPX":
                values["last"][mine] = np.round(self._index * (1 - 0.004 * (path[mine] - self._level) / 10) + noise, 2)
                values["size"][mine] = 1.0 + rng.integers(0, 9, int(mine.sum()))
            elif name in slopes:
                values["last"][mine] = np.round(slopes[name][mine] + noise, 2)
            else:
                far = (code - len(_INDICES) + 1) / _FUTURES
                price = np.round(((1 - 0.6 * far) * path[mine] + 0.6 * far * 17.5 + noise) * 20) / 20
                values["bid"][mine], values["ask"][mine] = price - 0.05, price
                values["bid_size"][mine] = values["ask_size"][mine] = 20.0 + rng.integers(0, 80, int(mine.sum()))
        refused = _spoil(ts, symbol, values, len(symbols) - 1)
        ticks = _columns(ts, symbol, symbols, values, np.zeros(n, dtype=np.bool_))
        return _joined(ticks, self._closes(day, symbols)), refused

    def _bridge(self, start: float, stop: float, points: int) -> Floats:
        walk = np.concatenate(([0.0], np.cumsum(self._rng.normal(0, 0.01, points - 1))))
        walk -= np.linspace(0, walk[-1], points)
        return np.exp(np.linspace(np.log(start), np.log(stop), points) + walk)

    def _closes(self, day: date, symbols: tuple[str, ...]) -> TickColumns:
        """The official closes: that of SPX first, then the volatility indices, and the settlements of VX."""
        level = self._level
        last = {"SPX": self._index, "VIX": level, "VIX3M": 17 + 0.6 * (level - 16), "VVIX": 90 + 2 * (level - 16)}
        order = ["SPX", "VIX", "VIX3M", "VVIX", *symbols[len(_INDICES) : -1]]
        late = CALENDAR.vix_close_ts(day)
        ts = [CALENDAR.close_ts(day) if s == "SPX" else late for s in order]
        values = {name: np.full(len(order), np.nan) for name in VALUES}
        for i, name in enumerate(order):
            if name in last:
                values["last"][i] = round(last[name], 2)
            else:
                far = (i - len(_INDICES) + 1) / _FUTURES
                values["settle"][i] = round(((1 - 0.6 * far) * level + 0.6 * far * 17.5) * 20) / 20
        codes = np.array([symbols.index(name) for name in order], dtype=np.int32)
        return _columns(np.array(ts, dtype=np.int64), codes, symbols, values, np.ones(len(order), dtype=np.bool_))


def batches(session: Session) -> Iterator[tuple[list[Out], int]]:
    """Neighbouring records with the ticks among them, no more of either than one transaction takes."""
    start = held = 0
    for at, count in enumerate(session.rows):
        if at > start and (at - start >= RECORDS or held + count > ROWS):
            yield session.outs[start:at], held
            start, held = at, 0
        held += count
    yield session.outs[start:], held


def book(name: str, number: int, as_of: int) -> Single:
    """A portfolio's snapshot. Sizes and betas differ."""
    return portfolio(name, as_of, mv=2e6 * 1.12 ** (number % 40), beta=0.8 + 0.01 * (number % 40), fills="assumed")


def _spoil(ts: np.ndarray, symbol: np.ndarray, values: dict[str, Floats], nowhere: int) -> Counter[str]:
    """Make one row in so many unusable, for each reason in turn."""
    refused: Counter[str] = Counter()
    for turn, row in enumerate(range(REFUSED_EVERY // 2, len(ts), REFUSED_EVERY)):
        reason = REASONS[turn % len(REASONS)]
        refused[reason] += 1
        for column in values.values():
            column[row] = np.nan
        symbol[row] = nowhere if reason == "unknown_symbol" else 0
        if reason in ("unknown_symbol", "late"):
            values["last"][row] = 17.0
        if reason == "late":
            ts[row] -= 10 * MINUTE
        if reason == "implausible":
            values["last"][row] = 5000.0
        if reason == "crossed":
            values["bid"][row], values["ask"][row] = 18.0, 17.0
    return refused


def _columns(
    ts: np.ndarray, symbol: np.ndarray, symbols: tuple[str, ...], values: dict[str, Floats], official: np.ndarray
) -> TickColumns:
    n = len(ts)
    columns = TickColumns(
        market="US",
        event_ts=ts.astype(np.int64),
        symbols=symbols,
        symbol=symbol,
        sources=("soak",),
        source=np.zeros(n, dtype=np.int32),
        seq=np.full(n, MISSING, dtype=np.int64),
        recv_ts=np.full(n, MISSING, dtype=np.int64),
        values=values,
        official=official,
        invalid=np.zeros(n, dtype=np.bool_),
    )
    columns.invalid[:] = invalid_rows(columns)
    return columns


def _joined(first: TickColumns, second: TickColumns) -> TickColumns:
    return TickColumns(
        market=first.market,
        event_ts=np.concatenate((first.event_ts, second.event_ts)),
        symbols=first.symbols,
        symbol=np.concatenate((first.symbol, second.symbol)),
        sources=first.sources,
        source=np.concatenate((first.source, second.source)),
        seq=np.concatenate((first.seq, second.seq)),
        recv_ts=np.concatenate((first.recv_ts, second.recv_ts)),
        values={name: np.concatenate((first.values[name], second.values[name])) for name in VALUES},
        official=np.concatenate((first.official, second.official)),
        invalid=np.concatenate((first.invalid, second.invalid)),
    )
