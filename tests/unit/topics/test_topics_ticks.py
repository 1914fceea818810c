"""A block of ticks means what its rows sent singly would mean: same validity, same reasons, same words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topics.codec import ARROW_HEADERS, MAX_BLOCK, decode, decode_market, refusal, usable_times
from topics.dead_letter import Refused
from topics.market import VALUES, Tick, Watermark
from topics.message import canonical_json, decimal_text
from topics.ticks import MAX_ROWS, SCHEMA, TickColumns, columns_of, encode_block
from topics.times import FIRST_TS, LAST_TS, format_ts, parse_ts

NOW = parse_ts("2018-02-05T21:15:00Z")
SYMBOLS = ("VIX", "VVIX", "SPX", "VX/2018-03-21", "VIX/2018-03-21/C/20", "ADVN", "VX", "NOPE", "vix", "VX/2018-02-30")
SOURCES = ("cboe", "a b", "model", "", " lead", "bad\nline", "x" * 65)
_PRICE = st.sampled_from([0.0, -0.0, 0.05, 4.99, 5.0, 18.5, 100.25, 200.0, 200.01, 2700.0, -1.0, 1e7, 1e-9, 1e300])
_VALUE = st.none() | _PRICE | st.sampled_from([math.inf, -math.inf])

rows = st.fixed_dictionaries(
    {
        "event_ts": st.sampled_from([NOW, NOW + 1, FIRST_TS, FIRST_TS - 1, LAST_TS - 1, LAST_TS, 0, -1, -2, 2**63 - 1]),
        "symbol": st.sampled_from(SYMBOLS),
        "source": st.sampled_from(SOURCES),
        "seq": st.sampled_from([None, 0, 1, 2**62, -1, -2]),
        "recv_ts": st.sampled_from([None, NOW, -1, -5, FIRST_TS - 1]),
        "official": st.booleans(),
        **dict.fromkeys(VALUES, _VALUE),
    }
)


def as_block(given_rows: list[dict[str, Any]], market: str = "US") -> bytes:
    """The rows as any Arrow writer would send them."""
    arrays = [
        pa.array([row[field.name] for row in given_rows], type=pa.string()).dictionary_encode()
        if pa.types.is_dictionary(field.type)
        else pa.array([row[field.name] for row in given_rows], type=pa.int64()).cast(field.type)
        if pa.types.is_timestamp(field.type)
        else pa.array([row[field.name] for row in given_rows], type=field.type)
        for field in SCHEMA
    ]
    schema = SCHEMA.with_metadata({b"schema_version": b"1", b"market": market.encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    return bytes(sink.getvalue())


def as_single(row: dict[str, Any], market: str = "US") -> bytes:
    """The row as a person or another program would write it."""
    document: dict[str, Any] = {"schema_version": 1, "market": market}
    for name, value in row.items():
        if value is None:
            continue
        if name in ("event_ts", "recv_ts"):
            document[name] = format_ts(value)
        elif name in VALUES:
            document[name] = decimal_text(value) if math.isfinite(value) else str(value)
        else:
            document[name] = value
    return canonical_json(document)


def outcome(data: bytes) -> Tick | tuple[str, str]:
    try:
        return decode(Tick, data)
    except Refused as refused:
        return refused.reason, refused.detail


def columns(data: bytes) -> TickColumns:
    found = decode_market(data, ARROW_HEADERS)
    assert isinstance(found, TickColumns)
    return found


@settings(max_examples=400)
@given(st.lists(rows, min_size=1, max_size=8))
def test_blocks_and_singles_agree_on_validity_reason_and_words(given_rows: list[dict[str, Any]]) -> None:
    block = columns(as_block(given_rows))
    for i, row in enumerate(given_rows):
        single = outcome(as_single(row))
        refused = refusal(block, i)
        assert bool(block.invalid[i]) == isinstance(single, tuple), (row, single)
        if isinstance(single, tuple):
            assert refused is not None
            assert (refused.reason, refused.detail) == single
        else:
            assert refused is None
            assert decode(Tick, block.row_bytes(i)) == single
            assert block.row_bytes(i) == single.canonical()


@given(st.lists(rows, min_size=1, max_size=6))
def test_writing_valid_rows_as_a_block_and_reading_it_changes_nothing(given_rows: list[dict[str, Any]]) -> None:
    ticks = [tick for tick in (outcome(as_single(row)) for row in given_rows) if isinstance(tick, Tick)]
    if not ticks:
        return
    block = columns(encode_block(columns_of(ticks)))
    assert [decode(Tick, block.row_bytes(i)) for i in range(len(block))] == ticks
    assert not block.invalid.any()


@given(st.lists(rows, min_size=2, max_size=6), st.data())
def test_a_cut_is_the_rows_it_cuts(given_rows: list[dict[str, Any]], data: st.DataObject) -> None:
    block = columns(as_block(given_rows))
    start = data.draw(st.integers(0, len(block) - 1))
    stop = data.draw(st.integers(start, len(block)))
    part = block.take(start, stop)
    assert [part.row_bytes(i) for i in range(len(part))] == [block.row_bytes(i) for i in range(start, stop)]
    assert np.array_equal(part.invalid, block.invalid[start:stop])


@given(st.lists(rows, min_size=1, max_size=8))
def test_rows_that_are_refused_move_no_time(given_rows: list[dict[str, Any]]) -> None:
    block = columns(as_block(given_rows))
    assert np.array_equal(usable_times(block), np.where(block.invalid, 0, block.event_ts))


TICK: dict[str, Any] = {"symbol": "VIX", "event_ts": "2018-02-05T21:15:00Z"}


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"last": "nan"}, "invalid", "finite"),
        ({"last": "inf"}, "invalid", "finite"),
        ({"last": True}, "invalid", "number"),
        ({"last": ""}, "invalid", "decimal number"),
        ({"last": "1_0"}, "invalid", "decimal number"),
        ({"last": "18,5"}, "invalid", "last"),
        ({"last": None}, "invalid", "at least one of last, bid"),
        ({"last": "4.9"}, "implausible", "outside the plausible range 5 to 200"),
        ({"bid": "20", "ask": "19"}, "crossed", "bid 20 of VIX is above its ask 19"),
        ({"last": "20", "size": "-1"}, "invalid", "size -1 of VIX is negative"),
        ({"iv": "0.2", "official": True}, "invalid", "needs last or settle"),
        ({"last": "20", "event_ts": "2018-02-05T21:15:00"}, "invalid", "RFC 3339 time with a zone"),
        ({"last": "20", "event_ts": 20180205}, "invalid", "1990 to 2099"),
        ({"last": "20", "event_ts": 1.5}, "invalid", "RFC 3339"),
        ({"last": "20", "symbol": "VIXX"}, "unknown_symbol", "is unknown"),
        ({"last": "20", "symbol": "VX"}, "invalid", "carries its expiry"),
        ({"last": "20", "seq": -1}, "invalid", "seq"),
        ({"last": "20", "seq": "1"}, "invalid", "seq"),
        ({"last": "20", "market": "us"}, "invalid", "market"),
        ({"last": "20", "official": "yes"}, "invalid", "official"),
        ({"last": "20", "source": ""}, "invalid", "source"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_said(change: dict[str, Any], reason: str, words: str) -> None:
    document = {key: value for key, value in {**TICK, **change}.items() if value is not None}
    found = outcome(canonical_json(document))
    assert isinstance(found, tuple)
    assert found[0] == reason
    assert words in found[1]


def test_a_nan_that_is_given_is_no_missing_value() -> None:
    row = {**dict.fromkeys(VALUES), "symbol": "VIX", "source": "a", "seq": None, "recv_ts": None, "official": False}
    block = columns(as_block([{**row, "event_ts": NOW, "last": 20.0, "bid": math.nan}]))
    refused = refusal(block, 0)
    assert block.invalid.all()
    assert refused is not None
    assert refused.reason == "invalid"
    assert "finite" in refused.detail


def test_numbers_and_decimal_strings_are_the_same_price() -> None:
    assert outcome(canonical_json({**TICK, "last": 18.5})) == outcome(canonical_json({**TICK, "last": "18.50"}))


def test_watermarks_are_told_from_ticks() -> None:
    mark = Watermark(watermark_ts=NOW)
    assert decode_market(mark.canonical()) == mark
    assert isinstance(decode_market(canonical_json({**TICK, "last": "20"})), Tick)


# Blocks that cannot be used at all


def stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def small(**columns: Any) -> pa.Table:
    base: dict[str, Any] = {"event_ts": pa.array([NOW]).cast(pa.timestamp("ns", tz="UTC")), "symbol": ["VIX"]}
    return pa.table({**base, "last": [20.0], **columns})


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"", "not_arrow", "no Arrow IPC stream"),
        (b"ARROW1\x00\x00", "not_arrow", "no Arrow IPC stream"),
        (stream(small())[:-40], "not_arrow", "no Arrow IPC stream"),
        (stream(small().drop_columns(["symbol"])), "invalid", "needs the column symbol"),
        (stream(small(surprise=[1])), "invalid", "unknown or repeated columns"),
        (stream(small(last=["x"])), "invalid", "wrong type"),
        (stream(small(seq=pa.array([2**64 - 1], type=pa.uint64()))), "invalid", "wrong type"),
        (stream(small().slice(0, 0)), "invalid", "at least one row"),
        (stream(small().replace_schema_metadata({"schema_version": "2"})), "schema_version", "this reader knows 1"),
        (stream(small(market=["EU"]).replace_schema_metadata({"market": "US"})), "wrong_market", "of one market"),
        (b"x" * (MAX_BLOCK + 1), "too_large", "at most"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_a_block_that_cannot_be_used_says_why(data: bytes, reason: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        decode_market(data, ARROW_HEADERS)
    assert caught.value.reason == reason


@pytest.mark.parametrize("market", ["us", "", "X" * 9, "EU\n", "é"])
def test_a_block_of_no_market_is_refused_or_of_the_default(market: str) -> None:
    table = small().replace_schema_metadata({"market": market})
    if market == "":
        assert columns(stream(table)).market == "US"
        return
    with pytest.raises(Refused) as caught:
        decode_market(stream(table), ARROW_HEADERS)
    assert caught.value.reason == "invalid"
    assert "market" in caught.value.detail


def test_too_many_rows_are_refused() -> None:
    n = MAX_ROWS + 1
    table = pa.table({"event_ts": pa.array([NOW] * n).cast(pa.timestamp("ns", tz="UTC")), "symbol": ["VIX"] * n})
    with pytest.raises(Refused, match=f"{n} rows"):
        decode_market(stream(table), ARROW_HEADERS)


def test_columns_may_be_left_out_and_types_may_be_wider() -> None:
    table = pa.table(
        {
            "event_ts": pa.array([NOW // 1000]).cast(pa.timestamp("us", tz="UTC")),
            "symbol": ["VIX"],
            "last": pa.array([20], type=pa.int32()),
        }
    )
    assert outcome(columns(stream(table)).row_bytes(0)) == outcome(canonical_json({**TICK, "last": 20}))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_block_or_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        decode_market(data, ARROW_HEADERS)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_tick_or_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        decode_market(data)
