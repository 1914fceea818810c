"""Five thousand malformed inputs among good ones: each becomes one dead letter, and nothing else changes.

Hypothesis makes most of them, a list by hand the rest: broken JSON, wrong types and times, wrong keys and headers,
broken Arrow blocks and blocks of bad rows, for ticks, watermarks, releases and portfolios. What the good inputs cause
is compared with what they cause alone.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from history import (
    CALENDAR,
    DAYS,
    Dump,
    close_rows,
    columns_of,
    compare,
    create,
    dump,
    join,
    outs_of,
    portfolio,
    processors,
    publish,
    release,
    session_rows,
    watermark,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from processors.stream.log import Headers, Out, TopicPartition
from processors.stream.memory import MemoryCluster
from processors.stream.metrics import Metrics
from processors.stream.runner import Runner
from topics.catalog import (
    ALERTS,
    DEAD_LETTERS,
    MACRO_RELEASES,
    MARKET_FLOWS,
    MARKET_TICKS,
    PORTFOLIO_SNAPSHOTS,
    REGIME_STATES,
)
from topics.codec import ARROW, ARROW_HEADERS, CONTENT_TYPE, JSON_HEADERS, AnyFlow
from topics.dead_letter import DeadLetter
from topics.macro import Schedule
from topics.ticks import SCHEMA, encode_block
from topics.times import HOUR, MINUTE, format_ts

COUNT = 5_000
TS = CALENDAR.open_ts(DAYS[0]) + HOUR
ANY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Bad:
    """A malformed input: the record, and the reasons that its dead letters may have, row by row (empty: any)."""

    out: Out
    reasons: tuple[frozenset[str], ...]


def bad(
    value: bytes | None,
    *reasons: str,
    topic: str = MARKET_TICKS,
    key: bytes | None = b"US",
    headers: Headers = JSON_HEADERS,
) -> Bad:
    return Bad(Out(topic, key, value, headers), (frozenset(reasons),))


def document(**fields: Any) -> dict[str, Any]:
    return {"market": "US", "symbol": "VIX", "event_ts": format_ts(TS), "last": "17.5", "source": "bad", **fields}


RELEASE = {"series_id": "NFP", "release_ts": format_ts(TS), "ref_period": "2018-04", "actual": "1.5", "market": "US"}
PORTFOLIO = {"portfolio_id": "alpha", "as_of": format_ts(TS), "mv": "1000000.00", "beta": 1.0}
SCHEDULE: dict[str, Any] = {
    "series_id": "NFP",
    "ref_period": "2018-05",
    "scheduled_ts": format_ts(TS + HOUR),
    "event_ts": format_ts(TS),
    "market": "US",
}
OFFERING: dict[str, Any] = {"offering_id": "o-1", "kind": "ipo", "pricing_ts": format_ts(TS), "market": "US"}
FLOW = {"symbol": "UVXY", "event_ts": format_ts(TS), "market": "US", "aum": "512000000.00"}
SECTION: dict[str, Any] = {
    "universe": "SPX",
    "session_date": "2018-04-30",
    "session_prev": "2018-04-27",
    "event_ts": format_ts(TS),
    "market": "US",
    "members": [{"id": "A", "ret": 0.01, "mcap_prev": 1.0}, {"id": "B", "ret": -0.01, "mcap_prev": 2.0}],
}
FIGURE: dict[str, Any] = {
    "chain": "ethereum",
    "block_number": 5_500_000,
    "block_ts": format_ts(TS),
    "finalized": True,
    "market": "US",
    "pool": {"pool": "DAI/ETH", "reserve_x": "1000", "reserve_y": "700000", "usd_x": "700"},
}
WATERMARK = {"watermark_ts": format_ts(TS), "market": "US"}


def tick(*reasons: str, key: bytes | None = b"US", headers: Headers = JSON_HEADERS, **fields: Any) -> Bad:
    return bad(json.dumps(document(**fields)).encode(), *reasons, key=key, headers=headers)


def on_releases(*reasons: str, key: bytes | None = b"US", **fields: Any) -> Bad:
    return bad(json.dumps(RELEASE | fields).encode(), *reasons, topic=MACRO_RELEASES, key=key)


def on_portfolios(*reasons: str, key: bytes | None = b"alpha", **fields: Any) -> Bad:
    return bad(json.dumps(PORTFOLIO | fields).encode(), *reasons, topic=PORTFOLIO_SNAPSHOTS, key=key)


# By hand


def by_hand() -> list[Bad]:
    good = json.dumps(document()).encode()
    typed = lambda kind: ((CONTENT_TYPE, kind),)  # noqa: E731
    wide = json.dumps(document(source="x" * 70_000)).encode()
    found = [
        bad(None, "tombstone"),
        bad(b"", "not_json"),
        bad(b" ", "not_json"),
        bad(good[:-1], "not_json"),
        bad(good + good, "not_json"),
        *(
            bad(text, "not_json")
            for text in (b"null", b"3", b'"VIX"', b"[]", b"[{}]", b"true", b"NaN", b"{]", b"{'a':1}")
        ),
        bad(b"[" * 60_000, "not_json"),
        bad(b'{"a":' * 10_000, "not_json"),
        bad(b'{"last":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
        bad(b"\xff\xfe\x00", "not_json"),
        bad(good.replace(b"VIX", b"V\xffX"), "not_json"),
        bad(good.decode().encode("utf-16")),
        bad(b"\xef\xbb\xbf" + good),
        bad(b'{"symbol":"\\ud800","last":1}'),
        bad(wide, "too_large"),
        bad(b"x" * 1_300_000, "too_large"),
        bad(b"\x00" * 1_200_000, "too_large"),
        bad(b'{"watermark_ts":' + b" " * 1_100_000 + b"}", "too_large"),
        bad(good, "content_type", headers=typed(b"text/plain")),
        bad(good, "content_type", headers=typed(b"")),
        bad(good, "content_type", headers=typed(b"\xff\xfe")),
        bad(good, "not_arrow", headers=typed(ARROW)),
        tick("wrong_market", key=None),
        tick("wrong_market", key=b""),
        tick("wrong_market", key=b"EU"),
        tick("wrong_market", key=b"US "),
        tick("wrong_market", key=b"\xff"),
        tick("wrong_market", market="EU"),
        tick("invalid", market="us", key=b"us"),
        tick("invalid", market="", key=b""),
        *(tick("schema_version", schema_version=v) for v in (0, 2, -1, "1", True, None, [1], 1.5, 10**30)),
        tick("schema_version", schema_version=99, last="nonsense"),
        *(tick("invalid", event_ts=t) for t in (None, "", 17.5, True, [], {}, "now", "2018-05-01", -1, 10**40)),
        *(tick("invalid", event_ts=t) for t in ("2018-05-01T14:00:00", "2018-05-01 14:00", "2018-05-01T14:00:00 UTC")),
        *(
            tick("invalid", event_ts=t)
            for t in ("2018-02-30T14:00:00Z", "2018-13-01T14:00:00Z", "2018-05-01T25:00:00Z")
        ),
        *(
            tick("invalid", event_ts=t)
            for t in ("1969-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59")
        ),
        *(
            tick("invalid", event_ts=t)
            for t in ("2018-05-01T14:00:60Z", "2018-05-01T14:00:00.1234567890Z", "２０１８-05-01T14:00:00Z")
        ),
        tick("future", event_ts="2090-01-01T00:00:00Z"),
        *(
            tick("unknown_symbol", symbol=s)
            for s in ("NOSUCH", "vix", "VIX ", "V\x00IX", "VІX", "VIX/2018-05-16/X/20", "VIX//")
        ),
        *(
            tick("invalid", symbol=s)
            for s in ("VX/2018-02-30", "VX", "VIX/2018-05-16/C/0", "", None, 7, ["VIX"], "V" * 41)
        ),
        *(tick("implausible", last=v) for v in ("0", "4.99", "200.01", -17.5, "1e300", 10**20)),
        *(
            tick("invalid", last=v)
            for v in (True, False, [], {}, "", " ", "x", "NaN", "inf", "-Infinity", "1_7", "0x11", "17,5", "１７")
        ),
        *(
            bad(json.dumps(document()).replace('"17.5"', n).encode(), "invalid")
            for n in ("NaN", "Infinity", "-Infinity", "1e999")
        ),
        *(
            bad(json.dumps(document()).replace('"17.5"', n).encode())
            for n in ("1" * 400, "1" * 5000, "017", "+17", ".5")
        ),
        tick("invalid", last="1" * 400),
        tick("invalid", last=None),
        tick("crossed", bid="18", ask="17"),
        *(tick("invalid", **{name: -1}) for name in ("bid_size", "ask_size", "size", "open_interest", "iv")),
        tick("invalid", official=True, last=None, bid="17"),
        *(tick("invalid", official=v) for v in ("true", 1, None, [])),
        *(tick("invalid", seq=v) for v in (-1, 1.5, "1", True, [], 2**63, 10**30)),
        *(tick("invalid", recv_ts=v) for v in ("yesterday", 17.5, False, "1980-01-01T00:00:00Z")),
        *(tick("invalid", source=v) for v in ("", " x", "x" * 65, 5, None, "naïve", "a\nb")),
        tick("invalid", colour="red"),
        tick("invalid", **{"": 1}),
        tick("invalid", **{"weird \u2028\u202e\U0001f4a9 key": 1}),
        bad(
            b'{"market":"US","symbol":"VIX","symbol":"NOSUCH","event_ts":"2018-05-01T15:00:00Z","last":"17"}',
            "unknown_symbol",
        ),
        bad(b'{"market":"US","symbol":"VIX","event_ts":"2018-05-01T15:00:00Z","last":"17","last":"-1"}', "implausible"),
        *(bad(json.dumps(WATERMARK | {"watermark_ts": t}).encode(), "invalid") for t in ("", None, "2018-05-01", 1.5)),
        bad(json.dumps(WATERMARK | {"watermark_ts": "2090-01-01T00:00:00Z"}).encode(), "future"),
        bad(json.dumps(WATERMARK | {"last": "17"}).encode(), "invalid"),
        bad(json.dumps(WATERMARK).encode(), "wrong_market", key=b"EU"),
        bad(None, "tombstone", topic=MACRO_RELEASES),
        bad(b"{}", "invalid", topic=MACRO_RELEASES),
        bad(b"\x00", "not_json", topic=MACRO_RELEASES),
        bad(good, "invalid", topic=MACRO_RELEASES),
        bad(b"x" * 1_100_000, "too_large", topic=MACRO_RELEASES),
        bad(json.dumps(RELEASE).encode(), "content_type", topic=MACRO_RELEASES, headers=ARROW_HEADERS),
        *(on_releases("invalid", ref_period=p) for p in ("", "April", "2018-13", "2018-04-32", "２０１８", 2018)),
        *(on_releases("invalid", vintage=v) for v in (0, -1, 1.5, "1", True, None)),
        *(on_releases("invalid", actual=v) for v in (True, "NaN", [], "4%")),
        *(on_releases("invalid", release_ts=t) for t in (None, "2018-05-01T12:30:00", 12.5)),
        on_releases("future", release_ts="2090-01-01T00:00:00Z"),
        on_releases("wrong_market", key=None),
        on_releases("schema_version", schema_version=2),
        on_releases("invalid", unit="u" * 33),
        bad(None, "tombstone", topic=PORTFOLIO_SNAPSHOTS, key=b"alpha"),
        bad(b'{"portfolio_id"', "not_json", topic=PORTFOLIO_SNAPSHOTS, key=b"alpha"),
        bad(b"[]", "not_json", topic=PORTFOLIO_SNAPSHOTS, key=None),
        bad(b" " * 1_100_000, "too_large", topic=PORTFOLIO_SNAPSHOTS, key=b"alpha"),
        on_portfolios("wrong_market", key=None),
        on_portfolios("wrong_market", key=b"beta"),
        on_portfolios("future", as_of="2090-01-01T00:00:00Z"),
        on_portfolios("schema_version", schema_version=7),
        *(on_portfolios("invalid", mv=v) for v in (0, -1, "0", True, "NaN", None, "lots", [])),
        *(on_portfolios("invalid", beta=v) for v in (5.01, -6, True, "x")),
        *(on_portfolios("invalid", policy=v) for v in ("Steward", "", None, 1)),
        *(on_portfolios("invalid", as_of=t) for t in (None, "2018-05-01T14:00:00", "2018-02-29T14:00:00Z")),
        *(on_portfolios("invalid", portfolio_id=n, key=n.encode()) for n in ("", " a", "x" * 65, "a\x00b")),
        on_portfolios("invalid", margin_req=-1),
        on_portfolios("invalid", positions={}),
        on_portfolios("invalid", positions=[{"symbol": "VX/2018-06-20"}]),
        on_portfolios("unknown_symbol", positions=[{"symbol": "NOSUCH", "quantity": "1"}]),
        on_portfolios("invalid", positions=[{"symbol": "VX/2018-06-20", "quantity": "1.5"}]),
        on_portfolios("invalid", positions=[{"symbol": "VX/2018-06-20", "quantity": q} for q in (1, 2)]),
        on_portfolios("invalid", positions=[{"symbol": "VX/2018-06-20", "quantity": True}]),
    ]
    return found + arrow_by_hand()


def arrow_by_hand() -> list[Bad]:
    """Blocks that are refused whole, and blocks all of whose rows are refused one by one."""
    rows = [{"ts": TS, "symbol": "VIX", "last": 17.5}, {"ts": TS, "symbol": "SPX", "last": 2650.0}]
    good = encode_block(columns_of(rows))
    stamp = pa.array([TS, TS]).cast(pa.timestamp("ns", tz="UTC"))
    base: dict[str, Any] = {"event_ts": stamp, "symbol": pa.array(["VIX", "SPX"]), "last": pa.array([17.5, 2650.0])}

    def block(metadata: dict[str, str] | None = None, **columns: Any) -> bytes:
        table = pa.table({name: column for name, column in (base | columns).items() if column is not None})
        table = table.replace_schema_metadata({"schema_version": "1", "market": "US"} | (metadata or {}))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    def whole(value: bytes, *reasons: str, key: bytes = b"US") -> Bad:
        return bad(value, *reasons, key=key, headers=ARROW_HEADERS)

    def every_row(value: bytes, *reasons: str, rows: int = 2) -> Bad:
        return Bad(Out(MARKET_TICKS, b"US", value, ARROW_HEADERS), (frozenset(reasons),) * rows)

    many = pa.array(np.full(70_000, TS)).cast(pa.timestamp("ns", tz="UTC"))
    empty = pa.ipc.new_stream(sink := pa.BufferOutputStream(), SCHEMA)
    empty.close()
    twice = pa.Table.from_arrays(
        [stamp, base["symbol"], base["last"], base["last"]], ["event_ts", "symbol", "last", "last"]
    )
    doubled = pa.BufferOutputStream()
    with pa.ipc.new_stream(doubled, twice.schema) as writer:
        writer.write_table(twice)
    return [
        whole(b"", "not_arrow"),
        whole(b"\x00" * 100, "not_arrow"),
        whole(json.dumps(document()).encode(), "not_arrow"),
        *(whole(good[:cut], "not_arrow") for cut in (1, 8, 100, len(good) // 2)),
        whole(good[:60] + b"\xff" * 40 + good[100:], "not_arrow", "invalid"),
        whole(bytes(sink.getvalue()), "invalid"),
        whole(bytes(doubled.getvalue()), "invalid"),
        whole(b"\xff" * (9 << 20), "too_large"),
        whole(good, "wrong_market", key=b"EU"),
        whole(block({"schema_version": "2"}), "schema_version"),
        whole(block({"schema_version": "\u2603"}), "schema_version"),
        whole(block({"market": "EU"}), "wrong_market"),
        whole(block({"market": "u s!"}), "invalid", "wrong_market"),
        whole(block(market=pa.array(["US", "EU"])), "wrong_market"),
        whole(block(event_ts=None), "invalid"),
        whole(block(symbol=None), "invalid"),
        whole(block(colour=pa.array(["red", "blue"])), "invalid"),
        whole(block(last=pa.array(["dear", "cheap"])), "invalid"),
        whole(block(last=pa.array([[1.0], [2.0]])), "invalid"),
        whole(block(last=pa.array([{"a": 1}, {"a": 2}])), "invalid"),
        whole(block(event_ts=pa.array(["soon", "later"])), "invalid"),
        whole(block(event_ts=pa.array([2**62, 1]).cast(pa.timestamp("s"))), "invalid"),
        whole(block(seq=pa.array([2**64 - 1, 1], type=pa.uint64())), "invalid"),
        whole(block(seq=pa.array([1.5, 2.0])), "invalid"),
        whole(block(official=pa.array(["perhaps", "no"])), "invalid"),
        whole(
            block(event_ts=many, symbol=pa.array(["VIX"] * 70_000), last=pa.array(np.full(70_000, 17.5))), "too_large"
        ),
        every_row(block(event_ts=pa.array([None, None], type=pa.timestamp("ns", tz="UTC"))), "invalid"),
        every_row(block(symbol=pa.array([None, ""])), "invalid", "unknown_symbol"),
        every_row(block(last=pa.array([np.nan, np.inf])), "invalid"),
        every_row(block(last=pa.array([None, None], type=pa.float64())), "invalid"),
        every_row(block(symbol=pa.array(["NOSUCH", "\U0001f4a9"])), "unknown_symbol"),
        every_row(block(bid=pa.array([18.0, 2651.0]), ask=pa.array([17.0, 2650.0])), "crossed"),
        every_row(block(size=pa.array([-1.0, -0.5])), "invalid"),
        every_row(block(seq=pa.array([-2, -1])), "invalid"),
        every_row(block(source=pa.array(["", "x" * 65])), "invalid"),
        every_row(block(last=pa.array([1e12, -5.0])), "implausible"),
        every_row(block(event_ts=pa.array([0, 2**62]).cast(pa.timestamp("ns", tz="UTC"))), "invalid"),
        every_row(block(official=pa.array([True, True]), last=None, bid=pa.array([17.0, 2650.0])), "invalid"),
    ]


# By hypothesis

LETTERS = st.text(alphabet="abcxyzÄß☃\u2028\U0001f4a9 +-", max_size=6)
NO_NUMBER = st.one_of(
    st.booleans(),
    LETTERS,
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
    st.sampled_from(
        ["NaN", "nan", "inf", "-inf", "Infinity", "1_0", "0x1F", "1,5", "--1", "1e", "e5", "١٧", "1" * 400]
    ),
    st.just(float("nan")),
    st.sampled_from([float("inf"), float("-inf")]),
)
NO_TIME = st.one_of(
    st.booleans(),
    st.none(),
    st.floats(),
    LETTERS,
    st.lists(st.integers(), max_size=2),
    st.datetimes(min_value=datetime(1995, 1, 1), max_value=datetime(2030, 1, 1)).map(lambda t: t.isoformat()),  # noqa: DTZ001
    st.integers(max_value=0),
    st.integers(min_value=10**19),
    st.integers(0, 1900).map(lambda year: f"{year:04}-01-01T00:00:00Z"),
    st.integers(60, 99).map(lambda second: f"2018-05-01T14:00:{second}Z"),
)
NO_SYMBOL = st.one_of(
    st.none(), st.integers(), st.booleans(), LETTERS, st.text(alphabet="QWZ/0129-", min_size=2, max_size=45)
)
NO_VERSION = st.one_of(
    st.integers().filter(lambda n: n != 1), st.booleans(), LETTERS, st.none(), st.lists(st.none(), max_size=1)
)
NO_COUNT = st.one_of(
    NO_NUMBER, st.floats(max_value=-1e-9, allow_nan=False, allow_infinity=False), st.integers(max_value=-1)
)
UNKNOWN_FIELD = st.text(min_size=1, max_size=12).filter(lambda name: name not in _FIELDS)
_FIELDS = {"market", "symbol", "event_ts", "source", "seq", "recv_ts", "last", "bid", "ask", "bid_size", "ask_size"}
_FIELDS |= {"size", "settle", "open_interest", "iv", "official", "schema_version", "watermark_ts", "actual", "mv"}
_FIELDS |= {"series_id", "release_ts", "ref_period", "vintage", "consensus", "consensus_n", "prior_as_first"}
_FIELDS |= {"prior_revised", "y2_pre", "y2_post", "unit", "sa", "portfolio_id", "as_of", "beta", "cash", "margin_req"}
_FIELDS |= {"policy", "fills", "positions", "receivable_vm", "margin_req_stress", "premium_due", "net_flow"}
_FIELDS |= {name for kind in (Schedule, *get_args(AnyFlow)) for name in kind.model_fields}

#: Topic, key, a good document of it, and by field what spoils it and the reasons this may have.
KINDS: tuple[tuple[str, bytes, dict[str, Any], dict[str, tuple[st.SearchStrategy[Any], tuple[str, ...]]]], ...] = (
    (
        MARKET_TICKS,
        b"US",
        document(),
        {
            "last": (NO_NUMBER, ("invalid",)),
            "bid": (NO_NUMBER, ("invalid",)),
            "size": (NO_COUNT, ("invalid",)),
            "iv": (NO_COUNT, ("invalid",)),
            "event_ts": (NO_TIME, ("invalid",)),
            "symbol": (NO_SYMBOL, ("invalid", "unknown_symbol")),
            "schema_version": (NO_VERSION, ("schema_version",)),
            "seq": (st.one_of(NO_NUMBER, st.integers(max_value=-1), st.integers(min_value=2**63)), ("invalid",)),
        },
    ),
    (
        MACRO_RELEASES,
        b"US",
        RELEASE,
        {
            "actual": (NO_NUMBER, ("invalid",)),
            "release_ts": (NO_TIME, ("invalid",)),
            "ref_period": (st.one_of(LETTERS, st.integers(), st.none()), ("invalid",)),
            "vintage": (st.one_of(NO_NUMBER, st.integers(max_value=0)), ("invalid",)),
            "schema_version": (NO_VERSION, ("schema_version",)),
        },
    ),
    (
        MACRO_RELEASES,
        b"US",
        SCHEDULE,
        {
            "scheduled_ts": (NO_TIME, ("invalid",)),
            "event_ts": (NO_TIME, ("invalid",)),
            "ref_period": (st.one_of(LETTERS, st.integers(), st.none()), ("invalid",)),
            "cancelled": (st.one_of(st.none(), LETTERS, st.integers(min_value=2)), ("invalid",)),
            "schema_version": (NO_VERSION, ("schema_version",)),
        },
    ),
    (
        MARKET_FLOWS,
        b"US",
        FLOW,
        {
            "event_ts": (NO_TIME, ("invalid",)),
            "aum": (NO_COUNT, ("invalid",)),
            "leverage": (NO_NUMBER, ("invalid",)),
            "schema_version": (NO_VERSION, ("schema_version",)),
        },
    ),
    (
        MARKET_FLOWS,
        b"US",
        OFFERING,
        {
            "pricing_ts": (NO_TIME, ("invalid",)),
            "kind": (st.one_of(LETTERS, st.none(), st.integers()), ("invalid",)),
            "raised_usd": (NO_COUNT, ("invalid",)),
            "schema_version": (NO_VERSION, ("schema_version",)),
        },
    ),
    (
        MARKET_FLOWS,
        b"US",
        SECTION,
        {
            "event_ts": (NO_TIME, ("invalid",)),
            "session_date": (st.one_of(LETTERS, st.none(), st.integers(), st.just("2018-04-27")), ("invalid",)),
            "members": (
                st.one_of(
                    NO_NUMBER,
                    st.just([SECTION["members"][0]] * 2),
                    st.just([SECTION["members"][0]]),
                    st.just([{"id": "A", "ret": -1.0, "mcap_prev": 1.0}, SECTION["members"][1]]),
                    st.just([{"id": "A", "ret": 0.0, "mcap_prev": 0}, SECTION["members"][1]]),
                ),
                ("invalid",),
            ),
            "schema_version": (NO_VERSION, ("schema_version",)),
        },
    ),
    (
        MARKET_FLOWS,
        b"US",
        FIGURE,
        {
            "block_ts": (NO_TIME, ("invalid",)),
            "block_number": (st.one_of(NO_NUMBER, st.integers(max_value=-1)), ("invalid",)),
            "finalized": (st.one_of(st.none(), LETTERS), ("invalid",)),
            "tvl_usd": (st.one_of(NO_COUNT, st.just(0)), ("invalid",)),
            "pool": (
                st.one_of(
                    NO_NUMBER,
                    st.just(FIGURE["pool"] | {"kind": "concentrated"}),
                    st.just(FIGURE["pool"] | {"reserve_x": "0"}),
                    st.just(FIGURE["pool"] | {"fee": 1}),
                ),
                ("invalid",),
            ),
            "schema_version": (NO_VERSION, ("schema_version",)),
        },
    ),
    (
        PORTFOLIO_SNAPSHOTS,
        b"alpha",
        PORTFOLIO,
        {
            "mv": (NO_COUNT, ("invalid",)),
            "beta": (NO_NUMBER, ("invalid",)),
            "as_of": (NO_TIME, ("invalid",)),
            "schema_version": (NO_VERSION, ("schema_version",)),
            "positions": (st.one_of(NO_NUMBER.filter(lambda v: v != []), st.just([{}])), ("invalid",)),
        },
    ),
)


#: Fields without which there is no message.
NEEDED = ("event_ts", "symbol", "release_ts", "series_id", "as_of", "mv", "block_ts", "pricing_ts", "members")


@st.composite
def malformed(draw: st.DrawFn) -> Bad:
    topic, key, good, fields = draw(st.sampled_from(KINDS))
    way = draw(st.sampled_from(("field", "field", "field", "missing", "extra", "cut", "bytes", "noise", "key", "kind")))
    text = json.dumps(good).encode()
    if way == "field":
        name = draw(st.sampled_from(sorted(fields)))
        strategy, reasons = fields[name]
        return bad(json.dumps(good | {name: draw(strategy)}).encode(), *reasons, topic=topic, key=key)
    if way == "missing":
        name = draw(st.sampled_from([n for n in NEEDED if n in good]))
        return bad(json.dumps({n: v for n, v in good.items() if n != name}).encode(), "invalid", topic=topic, key=key)
    if way == "extra":
        added = {draw(UNKNOWN_FIELD): draw(st.one_of(st.none(), st.integers(), st.text(max_size=5)))}
        return bad(json.dumps(good | added, ensure_ascii=True).encode(), "invalid", "not_json", topic=topic, key=key)
    if way == "cut":
        return bad(text[: draw(st.integers(0, len(text) - 1))], "not_json", topic=topic, key=key)
    if way == "bytes":
        at = draw(st.integers(1, len(text) - 1))
        return bad(text[:at] + draw(st.sampled_from([b"\xff", b"\x00", b"\xc3\x28"])) + text[at:], topic=topic, key=key)
    if way == "noise":
        return bad(draw(st.binary(max_size=300)), topic=topic, key=key)
    if way == "key":
        wrong = draw(st.one_of(st.none(), st.binary(max_size=8)).filter(lambda k: k != key))
        return bad(text, "wrong_market", topic=topic, key=wrong)
    arrow = topic == MARKET_TICKS and draw(st.booleans())
    kind = ARROW if arrow else draw(st.sampled_from([b"text/plain", b"application/avro", b"\xff", b"json"]))
    return bad(text, "not_arrow" if arrow else "content_type", topic=topic, key=key, headers=((CONTENT_TYPE, kind),))


def by_hypothesis(count: int) -> list[Bad]:
    found: list[Bad] = []

    @settings(
        max_examples=count // 25 + 1, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.lists(malformed(), min_size=25, max_size=25))
    def collect(some: list[Bad]) -> None:
        found.extend(some)

    while len(found) < count:
        collect()
    return found[:count]


# The proof


def good_outs() -> list[Out]:
    """Two sessions of single ticks and blocks, releases and portfolios."""
    rng = random.Random(12)
    first, second = DAYS
    rows = session_rows(first, (15, 17, 24, 33, 28), rng, step=240, messy=False)
    single = outs_of(
        [
            portfolio("alpha", TS - 2 * HOUR, fills="assumed"),
            columns_of(rows),
            release("NFP", TS + HOUR, 164.0),
            portfolio("alpha", TS + 2 * HOUR, fills="assumed", mv=9_000_000.0),
        ],
        block=None,
    )
    later = [
        columns_of(close_rows(first, 28.2)),
        columns_of(session_rows(second, (26, 20), rng, step=240, messy=False)),
    ]
    return single + outs_of(later, block=20)


def mixed(good: list[Out], some: list[Bad]) -> list[Out]:
    """The malformed spread among the good, which keep their order."""
    rng = random.Random(34)
    places = sorted(rng.randrange(len(good)) for _ in some)  # never last
    outs: list[Out] = []
    at = 0
    for place, one in zip(places, some, strict=True):
        outs += good[at:place]
        at = place
        outs.append(one.out)
    return outs + good[at:]


def run(outs: list[Out]) -> tuple[MemoryCluster, Dump, dict[str, Metrics]]:
    """All through the processors; then one more session, to see that the stream goes on."""
    cluster = MemoryCluster()
    create(cluster)
    publish(cluster, outs, 500)
    more = outs_of(
        [columns_of(close_rows(DAYS[1], 20.0)), watermark(CALENDAR.vix_close_ts(DAYS[1]) + HOUR)], block=None
    )
    metrics: dict[str, Metrics] = {}
    runners = []
    for processor in processors():
        metrics[processor.name] = Metrics(processor.name, processor.metrics)
        runners.append(Runner(join(cluster, processor), processor, metrics[processor.name], commit_interval=0.0))
        runners[-1].drain(exhausted=True)
    before = len(dump(cluster, [REGIME_STATES])[REGIME_STATES, 0])
    publish(cluster, more)
    for runner in runners:
        runner.drain(exhausted=True)
        runner.close()
    found = dump(cluster)
    assert len(found[REGIME_STATES, 0]) == before + 1, "the stream does not go on"
    return cluster, found, metrics


def without_letters(found: Dump) -> Dump:
    """What the good inputs caused: no dead letters, and no alerts that tell of them."""
    kept = {place: entries for place, entries in found.items() if place[0] != DEAD_LETTERS}
    kept[ALERTS, 0] = [entry for entry in found[ALERTS, 0] if not (entry[0] or b"").startswith(b"dead:")]
    return kept


@pytest.fixture(scope="module")
def everything() -> list[Bad]:
    hand = by_hand()
    letters = sum(len(one.reasons) for one in hand)
    made = hand + by_hypothesis(COUNT - letters)
    random.Random(56).shuffle(made)
    assert sum(len(one.reasons) for one in made) == COUNT
    return made


def test_every_malformed_input_is_one_dead_letter_and_changes_nothing_else(everything: list[Bad]) -> None:
    good = good_outs()
    outs = mixed(good, everything)
    cluster, seen, metrics = run(outs)
    _, alone, alone_metrics = run(good)

    # where each malformed row stands in the log
    by_record = {id(one.out): one for one in everything}
    at: Counter[str] = Counter()
    wanted: dict[str, tuple[Out, frozenset[str]]] = {}
    topics = (MARKET_TICKS, MACRO_RELEASES, MARKET_FLOWS, PORTFOLIO_SNAPSHOTS)
    offsets = {topic: _offsets(cluster, topic) for topic in topics}
    for out in outs:
        offset = offsets[out.topic][at[out.topic]]
        at[out.topic] += 1
        if (one := by_record.get(id(out))) is not None:
            for row, reasons in enumerate(one.reasons):
                wanted[f"{out.topic}/0/{offset}/{row}"] = out, reasons
    assert len(wanted) == COUNT

    letters: dict[str, DeadLetter] = {}
    for record in cluster.read(TopicPartition(DEAD_LETTERS, 0)):
        source = (record.header("alvh-source") or b"").decode()
        letter = DeadLetter.model_validate_json(record.value or b"")
        assert source not in letters, f"{source} has two dead letters"
        assert source in wanted, (
            f"{source} is no malformed input: {letter.reason}, {letter.detail}, {letter.original[:300]}"
        )
        assert letter.topic == source.partition("/")[0] == (record.key or b"").decode()
        letters[source] = letter
    silent = [out for source, (out, _) in wanted.items() if source not in letters]
    assert not silent, (
        f"{len(silent)} have none: {[(out.topic, out.key, (out.value or b'')[:200]) for out in silent[:5]]}"
    )
    wrong = [
        (source, letters[source].reason, sorted(reasons), letters[source].detail[:200], (out.value or b"")[:200])
        for source, (out, reasons) in wanted.items()
        if reasons and letters[source].reason not in reasons
    ]
    assert not wrong, f"{len(wrong)} have another reason: {wrong[:10]}"

    # what the good ones caused, and the sum
    verdict = compare(without_letters(alone), without_letters(seen))
    assert verdict.clean, verdict
    assert without_letters(alone) == without_letters(seen)
    reasons = Counter((letter.topic, letter.reason) for letter in letters.values())
    print(f"\n{COUNT} malformed among {len(good)} good: {len(letters)} dead letters")
    for (topic, reason), count in sorted(reasons.items()):
        print(f"  {topic:20} {reason:16} {count:5}")
    used = {name: _total(each, "alvh_records_total", outcome="used") for name, each in metrics.items()}
    refused = {name: _total(each, "alvh_records_total", outcome="refused") for name, each in metrics.items()}
    assert used["market"] + refused["market"] + used["hedge"] + refused["hedge"] == sum(
        len(list(cluster.read(TopicPartition(topic, 0))))
        for topic in (*topics, "hedge.regimes")
    )
    assert refused["alerts"] == 0
    assert _taken(metrics["market"]) == _taken(alone_metrics["market"]), "good ticks were lost or made up"


def _taken(metrics: Metrics) -> dict[str, float]:
    return {
        outcome: _total(metrics, "alvh_ticks_total", outcome=outcome)
        for outcome in ("used", "out_of_order", "duplicate")
    }


def _offsets(cluster: MemoryCluster, topic: str) -> list[int]:
    return [record.offset for record in cluster.read(TopicPartition(topic, 0))]


def _total(metrics: Metrics, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_large_originals_are_cut_and_say_so(everything: list[Bad]) -> None:
    big = [one.out for one in everything if len(one.out.value or b"") > 1_000_000]
    assert len(big) >= 5
    _, found, _ = run(good_outs()[:20] + big + good_outs()[20:])
    letters = [DeadLetter.model_validate_json(value or b"") for _, value in found[DEAD_LETTERS, 0]]
    assert len(letters) == len(big)
    assert all(letter.truncated for letter in letters)
    assert sorted(letter.length for letter in letters) == sorted(len(out.value or b"") for out in big)
    assert all(len(value or b"") < 500_000 for _, value in found[DEAD_LETTERS, 0])


def test_a_dead_letter_that_is_missing_or_double_would_be_noticed() -> None:
    """A good input in the place of a malformed one, and the same one twice."""
    good, odd = good_outs(), tick("invalid", last=True)
    _, alone, _ = run(good)
    _, extra, _ = run([*good[:30], odd.out, odd.out, *good[30:]])
    assert len(extra[DEAD_LETTERS, 0]) == 2
    assert without_letters(alone) == without_letters(extra)
    _, changed, _ = run(
        [
            *good[:30],
            *outs_of([columns_of([{"ts": TS + MINUTE, "symbol": "VIX", "last": 60.0}])], block=None),
            *good[30:],
        ]
    )
    assert not compare(without_letters(alone), without_letters(changed)).clean
