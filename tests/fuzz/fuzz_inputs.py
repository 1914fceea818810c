"""Inputs for every topic that a processor reads: good ones that tell a day, and what hostile hands make of them."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fuzz_arrow import mutated_block, mutated_rows
from fuzz_bytes import mutated
from fuzz_json import mutated_document
from history import (
    BLOCK,
    CALENDAR,
    DAYS,
    NOON,
    book_rows,
    close_rows,
    columns_of,
    day_flows,
    due,
    figure,
    more_close_rows,
    portfolio,
    session_rows,
    strip_rows,
)

from processors.feeds.items import Item, Single
from processors.stream.log import Headers
from topics.catalog import (
    DEAD_LETTERS,
    HEDGE_REBALANCES,
    HEDGE_REGIMES,
    MARKET_TICKS,
    PORTFOLIO_SNAPSHOTS,
)
from topics.codec import ARROW, ARROW_HEADERS, CONTENT_TYPE, JSON, JSON_HEADERS, SCHEMA_VERSION
from topics.examples import EXAMPLES
from topics.message import canonical_json
from topics.portfolio import Position
from topics.ticks import TickColumns, encode_block
from topics.times import HOUR, MINUTE, SECOND, format_ts


@dataclass(frozen=True, slots=True)
class Input:
    """One record as it is written.

    Attributes:
        at: the log's own time when it is written, ns.
        way: how it was made.
        rows: rows that it holds; None when nobody can know.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    at: int
    way: str
    rows: int | None = 1

    def document(self) -> dict[str, Any]:
        """As JSON values, to be kept in a file."""

        def text(data: bytes | None) -> str | None:
            return None if data is None else base64.b64encode(data).decode()

        headers = [[name, text(value)] for name, value in self.headers]
        return {
            "topic": self.topic,
            "key": text(self.key),
            "value": text(self.value),
            "headers": headers,
            "at": self.at,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Input:
        """The input that gave ``document``."""

        def data(text: str | None) -> bytes | None:
            return None if text is None else base64.b64decode(text)

        headers = tuple((name, data(value) or b"") for name, value in document["headers"])
        return cls(
            document["topic"], data(document["key"]), data(document["value"]), headers, document["at"], "kept", None
        )


@dataclass(frozen=True, slots=True)
class Good:
    """A message that can be used, with the event time at which it is told."""

    topic: str
    key: bytes
    value: bytes
    ts: int
    rows: int = 1
    arrow: bool = False


def _good(item: Item, ts: int) -> Good:
    if isinstance(item, TickColumns):
        return Good(MARKET_TICKS, item.market.encode(), encode_block(item), ts, len(item), arrow=True)
    assert isinstance(item, Single)
    return Good(item.topic, item.key or b"", item.value, ts)


def _book(rng: random.Random) -> tuple[Position, ...]:
    symbols = (
        "VX/2018-05-16",
        "VX/2018-06-20",
        "VX/2018-07-18",
        "VXX",
        "UVXY",
        "VIX/2018-06-20/C/20",
        "VIX/2018-06-20/C/30",
        "VIX/2018-06-20/P/14",
        "VIX/2018-12-19/C/24",
        "VIX/2018-05-16/C/18",
        "SPY",
    )
    chosen = rng.sample(symbols, rng.randint(0, 4))
    return tuple(
        Position(symbol=s, quantity=float(rng.choice((-50, -3, 1, 12, 400))), price=rng.choice((None, 2.5)))
        for s in chosen
    )


def a_day(rng: random.Random) -> list[Good]:
    """Two sessions told in order: single ticks and blocks, strips, books, releases, flows, portfolios of every kind."""
    first, second = DAYS
    opened, closing = CALENDAR.open_ts(first), CALENDAR.close_ts(first)
    levels = [rng.uniform(11, 60) for _ in range(6)]
    rows = session_rows(first, levels, rng, step=300, messy=rng.random() < 0.3)
    rows += close_rows(first, levels[-1]) + more_close_rows(first)
    if rng.random() < 0.25:  # surfaces of options take most of the time
        rows += strip_rows(NOON + 20 * SECOND, rng.uniform(0.1, 0.6)) + strip_rows(closing - 10 * MINUTE, 0.3)
    rows += book_rows(NOON - 10 * MINUTE, 10, rng)
    if rng.random() < 0.7:
        rows += session_rows(second, [rng.uniform(11, 60) for _ in range(3)], rng, step=900, messy=False)
        rows += close_rows(second, rng.uniform(11, 60))
    rows.sort(key=lambda row: row["ts"])
    told: list[Good] = []
    at = 0
    while at < len(rows):
        stop = min(len(rows), at + rng.choice((1, 1, 1, 2, 5, 40)))
        columns = columns_of(rows[at:stop])
        if stop - at == 1 and not columns.invalid[0]:
            told.append(Good(MARKET_TICKS, b"US", columns.row_bytes(0), rows[at]["ts"]))
        else:
            told.append(_good(columns, rows[stop - 1]["ts"]))
        at = stop
    for n in range(14):
        ts = opened - HOUR + rng.randrange(12 * HOUR)
        fields: dict[str, Any] = {
            "mv": rng.choice((1.0, 5e6, 2e7, 1e15)),
            "beta": rng.choice((None, 1.1, -5.0, 0.0, 5.0)),
            "policy": rng.choice(("steward", "promoter")),
            "fills": rng.choice(("reported", "assumed", "modelled")),
            "cash": rng.choice((None, 0.0, 5e5, -1e15, 1e15)),
            "positions": _book(rng),
            "hedge_value": rng.choice((None, 1e5)),
        }
        told.append(_good(portfolio(f"p{n % 6}", ts, **fields), ts))
    for series, period, actual in (
        ("CPI_CORE_MOM", "2018-04", 0.4),
        ("NFP", "2018-04", 164.0),
        ("PPI_FD_MOM", "2018-03", 0.5),
        ("SPX_EPS_TTM", "2018-03", 118.0),
        ("REER_US", "2017-10", 93.0),
        ("GDP", "2018-Q1", 2.3),
        ("US_2Y", "2018-05-01", 2.5),
        ("US_10Y", "2018-05-01", 2.95),
        ("US_3M", "2018-05-01", 1.8),
    ):
        ts = opened + rng.randrange(7 * HOUR)
        told.append(_good(figure(series, ts, period, actual, consensus=0.2), ts))
        told.append(_good(due(series, period, ts, ts - HOUR), ts - HOUR))
    ts = BLOCK + 15 * MINUTE
    told.append(_good(figure("FOMC_MINUTES", ts, first.isoformat(), None, y2_pre=2.5, y2_post=2.56), ts))
    told += [_good(item, max(item.time, opened)) for item in day_flows()]
    watermark = {"market": "US", "watermark_ts": format_ts(CALENDAR.vix_close_ts(first) + 7 * HOUR)}
    told.append(Good(MARKET_TICKS, b"US", canonical_json(watermark), CALENDAR.vix_close_ts(first)))
    for good in rng.sample(told, 40):
        if good.topic == MARKET_TICKS and not good.arrow:  # another market beside the first
            text = good.value.replace(b'"market":"US"', b'"market":"EU"')
            told.append(Good(good.topic, b"EU" if text != good.value else good.key, text, good.ts))
    told.sort(key=lambda good: good.ts)
    return told


#: The golden examples, by class name.
GOLDEN: Mapping[str, bytes] = {kind.__name__: message.canonical() for kind, message in EXAMPLES.items()}


_HEADERS: tuple[Headers, ...] = (
    (),
    ((CONTENT_TYPE, b"text/plain"),),
    ((CONTENT_TYPE, b"\xff\xfe"),),
    ((CONTENT_TYPE, b""),),
    ((CONTENT_TYPE, JSON), (CONTENT_TYPE, ARROW)),
    ((CONTENT_TYPE, ARROW), (CONTENT_TYPE, JSON)),
    ((CONTENT_TYPE, b"Application/JSON; charset=utf-8"),),
    ((CONTENT_TYPE, JSON), (SCHEMA_VERSION, b"\xff")),
    ((SCHEMA_VERSION, b"2"), (CONTENT_TYPE, JSON)),
    (("\u2603", b""), ("", b"\x00" * 300)),
    tuple(("x", b"y") for _ in range(100)),
    ARROW_HEADERS,
    JSON_HEADERS,
)
_KEYS: tuple[bytes | None, ...] = (None, b"", b"US", b"EU", b"us", b"\xff\xfe", b"US\x00", b"p0", b"alpha", b"k" * 300)


class Hostile:
    """Turns good messages into inputs, some of them as they are and the most of them spoiled."""

    def __init__(self, rng: random.Random, goods: Sequence[Good], spoiled: float = 0.8) -> None:
        self._rng = rng
        self._goods = goods
        self._spoiled = spoiled
        self._blocks = [good for good in goods if good.arrow]
        self._singles = [good for good in goods if not good.arrow]

    def inputs(self, count: int) -> list[Input]:
        """``count`` inputs: the good in their order, what is spoiled between them, now and then in the wrong order."""
        rng = self._rng
        found: list[Input] = []
        for n in range(count):
            good = self._goods[n * len(self._goods) // count]
            written = max(good.ts, found[-1].at if found else 0)
            if rng.random() < 0.05:
                good = rng.choice(self._goods)  # before its time, or once more
            found.append(self._input(good, written))
        return found

    def _input(self, good: Good, at: int) -> Input:
        rng = self._rng
        headers = ARROW_HEADERS if good.arrow else JSON_HEADERS
        if rng.random() >= self._spoiled:
            return Input(good.topic, good.key, good.value, headers, at, "good", good.rows)
        if good.arrow:
            return self._spoiled_block(good, at)
        way = rng.randrange(20)
        if way == 0:
            return Input(good.topic, good.key, None, headers, at, "tombstone")
        if way == 1:
            return Input(good.topic, rng.choice(_KEYS), good.value, headers, at, "key")
        if way == 2:
            chosen = rng.choice(_HEADERS)
            arrow = next((v for k, v in chosen if k == CONTENT_TYPE), JSON) == ARROW
            return Input(good.topic, good.key, good.value, chosen, at, "headers", None if arrow else 1)
        if way < 6:
            return Input(
                good.topic, good.key, mutated(rng, good.value, rng.choice(self._singles).value), headers, at, "bytes"
            )
        if way == 6:
            other = rng.choice(sorted(GOLDEN))
            value = mutated_document(rng, GOLDEN[other]) if rng.random() < 0.5 else GOLDEN[other]
            return Input(good.topic, good.key, value, headers, at, "other message")
        value = mutated_document(rng, good.value)
        return Input(good.topic, self._key(good, value), value, headers, at, "document")

    def _spoiled_block(self, good: Good, at: int) -> Input:
        rng = self._rng
        way = rng.randrange(8)
        if way < 3:
            value, rows = mutated_rows(rng, good.value)
            return Input(good.topic, good.key, value, ARROW_HEADERS, at, "block rows", rows)
        if way < 6:
            value, rows = mutated_block(rng, good.value)
            return Input(good.topic, good.key, value, ARROW_HEADERS, at, "block columns", max(rows, 1))
        value = mutated(rng, good.value, rng.choice(self._blocks).value)
        return Input(good.topic, good.key, value, ARROW_HEADERS, at, "block bytes", None)

    def _key(self, good: Good, value: bytes) -> bytes:
        """Mostly the key that the document now asks for, so that more than the key is looked at."""
        if self._rng.random() < 0.2:
            return good.key
        try:
            document = json.loads(value)
            named = document.get("portfolio_id" if good.topic == PORTFOLIO_SNAPSHOTS else "market", "US")
            return named.encode() if isinstance(named, str) else good.key
        except (ValueError, RecursionError, AttributeError):
            return good.key


def inner_goods(outer: Sequence[tuple[str, bytes | None, bytes | None, int]]) -> list[Good]:
    """What the processors wrote to each other, and the golden examples of it, as good messages."""
    goods = [Good(topic, key or b"", value, ts) for topic, key, value, ts in outer if value is not None]
    last = max((good.ts for good in goods), default=NOON)
    for topic, names in (
        (HEDGE_REGIMES, ("Regime", "OptionChain")),
        (HEDGE_REBALANCES, ("Rebalance",)),
        (DEAD_LETTERS, ("DeadLetter",)),
    ):
        goods += [Good(topic, b"US", GOLDEN[name], last) for name in names]
    return goods
