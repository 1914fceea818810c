"""What is fed: four markets that live in four partitions, and portfolios of each.

The output of the processors is a function of the inputs when a release or a snapshot of the time t is committed after
the ticks before t and before those from t on. So each step of a story has two transactions: first what is of one
moment, then the ticks of the minute that begins then.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from history import CALENDAR, close_rows, columns_of, message, outs_of, session_rows, watermark

from chaos.records import INPUTS
from processors.feeds.items import Item
from processors.stream.log import Out
from topics.catalog import MACRO_RELEASES, MARKET_FLOWS, PORTFOLIO_SNAPSHOTS
from topics.flows import Flow
from topics.macro import Release
from topics.portfolio import Portfolio
from topics.times import HOUR, MINUTE

PARTITIONS = 4
#: Each of them hashes to a partition of its own.
MARKETS = ("US", "UK", "EU", "JP")
#: The header by which an input is known again.
ID = "chaos-id"
DAY = date(2018, 5, 1)
WARM_UP = (date(2018, 4, 9), date(2018, 4, 30))
_A_MARKET_HAS = 3  # portfolios


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one transaction. ``abort``: it is sent, and then aborted on purpose."""

    outs: tuple[Out, ...]
    abort: bool = False


class Story:
    """A day of four markets, minute by minute; a function of the seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"story {seed}")
        self._number = 0
        self._opened = CALENDAR.open_ts(DAY)
        self._minutes = {market: self._rows(market) for market in MARKETS}

    def begin(self) -> Iterator[Batch]:
        """Some weeks of closes, then every portfolio."""
        for market in MARKETS:
            rows = [row for day in CALENDAR.sessions(*WARM_UP) for row in close_rows(day, self._level())]
            yield self._batch([columns_of(sorted(rows, key=lambda row: int(row["ts"])), market)], block=50)
        ts = self._opened - HOUR
        yield self._batch([self._portfolio(m, n, ts) for m in MARKETS for n in range(_A_MARKET_HAS)])

    def minute(self, number: int) -> Iterator[Batch]:
        """One minute of the session: what is of its first moment, and its ticks."""
        ts, rng = self._opened + number * MINUTE, self._rng
        moment: list[Item] = []
        if rng.random() < 0.5:
            moment.append(self._portfolio(rng.choice(MARKETS), rng.randrange(_A_MARKET_HAS), ts))
        if rng.random() < 0.1:
            moment.append(self._release(rng.choice(MARKETS), ts, number))
        if rng.random() < 0.1:
            moment.append(self._flow(rng.choice(MARKETS), ts))
        if moment:
            yield self._batch(moment)
        if rng.random() < 0.1:
            wild = [{"ts": ts, "symbol": "VIX", "last": 80.0, "seq": number}]
            yield replace(self._batch([columns_of(wild, market) for market in MARKETS]), abort=True)
        ticks = [columns_of(self._minutes[m].get(number, []), m) for m in MARKETS if self._minutes[m].get(number)]
        yield self._batch(ticks, block=rng.choice((None, None, 3, 100)))

    def end(self, number: int) -> Iterator[Batch]:
        """The closes after so many minutes, before them every portfolio once more, and the end of the day."""
        ts = self._opened + number * MINUTE
        yield self._batch([self._portfolio(m, n, ts) for m in MARKETS for n in range(_A_MARKET_HAS)])
        for market in MARKETS:
            rows = sorted(close_rows(DAY, self._level()), key=lambda row: int(row["ts"]))
            end = watermark(CALENDAR.vix_close_ts(DAY) + 12 * HOUR, market)
            yield self._batch([columns_of(rows, market), end])

    def poison(self, count: int) -> Batch:
        """Records that nobody can use, for every input."""
        rng, outs = self._rng, []
        for n in range(count):
            topic, market = rng.choice(INPUTS), rng.choice(MARKETS)
            values = [
                b"\xff\xfe not text",
                b"{",
                b"[]",
                b'{"schema_version":99}',
                b'{"market":"%s","symbol":"VIX","event_ts":"yesterday"}' % market.encode(),
                b'{"n":%d}' % n + b" " * rng.randrange(4000),
                None,
            ]
            headers = rng.choice(((), (("content-type", b"application/x-none"),)))
            key = rng.choice((market.encode(), b"nobody"))
            outs.append(Out(topic, key, rng.choice(values), headers))
        return Batch(self._known(outs))

    def _batch(self, items: Sequence[Item], block: int | None = None) -> Batch:
        return Batch(self._known(outs_of(items, block=block, seed=self._number)))

    def _known(self, outs: Sequence[Out]) -> tuple[Out, ...]:
        """With an id each, by which they are found again in the log."""
        known = []
        for out in outs:
            known.append(replace(out, headers=(*out.headers, (ID, str(self._number).encode()))))
            self._number += 1
        return tuple(known)

    def _rows(self, market: str) -> dict[int, list[dict[str, Any]]]:
        """The ticks of a session by the minute in which they are sent."""
        path = [self._rng.uniform(12, 40) for _ in range(40)]
        rows = session_rows(DAY, path, random.Random(f"{market} {self._rng.random()}"))
        found: dict[int, list[dict[str, Any]]] = {}
        minute, last = 0, CALENDAR.vix_close_ts(DAY)
        for row in rows:
            if row["ts"] <= last:
                minute = max(minute, (row["ts"] - self._opened) // MINUTE)
            found.setdefault(minute, []).append(row)
        return found

    def _level(self) -> float:
        return round(self._rng.uniform(12, 30), 2)

    def _portfolio(self, market: str, number: int, ts: int) -> Item:
        name, mv = f"{market}-{number}", round(self._rng.uniform(3e6, 9e6), 2)
        made = Portfolio(
            portfolio_id=name, as_of=ts, mv=mv, beta=1.1, cash=mv / 10, market=market, fills="assumed"
        )
        return message(PORTFOLIO_SNAPSHOTS, made, name, ts)

    def _release(self, market: str, ts: int, number: int) -> Item:
        actual = round(self._rng.gauss(0.2, 0.1), 1)
        period = f"{1990 + number // 12}-{number % 12 + 1:02}"
        made = Release(
            series_id="CPI_CORE_MOM", release_ts=ts, ref_period=period, actual=actual, consensus=0.2, market=market
        )
        return message(MACRO_RELEASES, made, market, ts)

    def _flow(self, market: str, ts: int) -> Item:
        made = Flow(symbol="VX/2018-05-16", event_ts=ts, volume=round(self._rng.uniform(1e4, 1e5)), market=market)
        return message(MARKET_FLOWS, made, market, ts)
