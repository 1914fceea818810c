"""The processor over a log: awkward input that is legal, markets side by side, singles and blocks, restarts."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from sessions_support import CALENDAR, CALIBRATION, Row, at, columns, day_of_closes, history, official

from processors.market import Market
from processors.sessions.engine import Pace
from processors.stream.log import Member, Out, TopicPartition
from processors.stream.memory import MemoryCluster
from processors.stream.metrics import Metrics
from processors.stream.runner import Runner
from topics.catalog import (
    ALL_TOPICS,
    COMPACTED,
    DEAD_LETTERS,
    HEDGE_REGIMES,
    MACRO_RELEASES,
    MARKET_FLOWS,
    MARKET_TICKS,
    REGIME_MARKS,
    REGIME_STATES,
    REGIME_TRANSITIONS,
    changelog,
)
from topics.codec import ARROW_HEADERS, JSON_HEADERS, encode, encode_ticks
from topics.macro import Release
from topics.market import Watermark
from topics.ticks import SCHEMA
from topics.times import HOUR, MINUTE, SECOND, parse_ts

DAY = "2018-02-05"
OUTPUTS = (REGIME_STATES, REGIME_MARKS, REGIME_TRANSITIONS, HEDGE_REGIMES, DEAD_LETTERS)
NOW = at("2018-03-01", "12:00")


def block(rows: Sequence[Row], market: str = "US", **changed: Any) -> Out:
    made = dataclasses.replace(columns(rows, market), **changed)
    value, headers = encode_ticks(made)
    return Out(MARKET_TICKS, made.market.encode(), value, headers)


def single(row: Row, market: str = "US", **more: Any) -> Out:
    document = columns([row], market).row(0) | more
    return Out(MARKET_TICKS, market.encode(), json.dumps(document).encode(), JSON_HEADERS)


def plain(row: Row) -> Out:
    """A single with the very bytes that a dead letter of the same row of a block would hold."""
    return Out(MARKET_TICKS, b"US", columns([row]).row_bytes(0), JSON_HEADERS)


def watermark(ts: int, market: str = "US") -> Out:
    return Out(MARKET_TICKS, market.encode(), *encode(Watermark(watermark_ts=ts, market=market)))


def release(ts: int, vintage: int = 1, market: str = "US") -> Out:
    given = Release(series_id="CPI", release_ts=ts, ref_period="2018-01", vintage=vintage, actual=0.3, market=market)
    return Out(MACRO_RELEASES, market.encode(), *encode(given))


def ran(outs: Sequence[Out], *, restart: int = 0, pace: Pace | None = None, seed: int = 0) -> dict[str, list[bytes]]:
    """Every output topic after all of it; with ``restart`` the runner is replaced after that many steps, and again."""
    chance = random.Random(seed)
    cluster = MemoryCluster(now=lambda: NOW, max_records=chance.randint(1, 7) if restart else 2000)
    cluster.create(dict.fromkeys(ALL_TOPICS, 1), compacted=COMPACTED)
    cluster.publish(outs)

    def member() -> Runner:
        market = Market(CALIBRATION, pace=pace)
        log = cluster.member(Member("alvh.market", "0", tuple(given.topic for given in market.inputs)))
        # Without an interval only urgent outputs are committed, and a runner that is left loses the rest.
        return Runner(log, market, Metrics("market", market.metrics), commit_interval=chance.choice([0.0, 1e9]))

    runner = member()
    for _ in range(restart):
        for _ in range(chance.randint(1, 6)):
            runner.step(0.0, exhausted=True)
        if chance.random() < 0.5:
            runner.close()
        cluster.compact(changelog("market"))
        runner = member()
    runner.drain(exhausted=True)
    runner.close()
    return {topic: [r.value or b"" for r in cluster.read(TopicPartition(topic, 0))] for topic in OUTPUTS}


def letters(out: dict[str, list[bytes]]) -> list[tuple[str, str]]:
    return [(letter["reason"], letter["detail"]) for letter in map(json.loads, out[DEAD_LETTERS])]


def regimes(out: dict[str, list[bytes]], topic: str = REGIME_STATES) -> list[dict[str, Any]]:
    return [json.loads(value) for value in out[topic]]


def test_a_block_with_a_null_symbol_or_an_unknown_one_loses_those_rows_only() -> None:
    ticks = day_of_closes("2018-02-02")
    table = pa.table(
        {
            "event_ts": pa.array([row.ts for row in ticks], pa.timestamp("ns", tz="UTC")),
            "symbol": pa.array(["SPX", "VIX", None, "NOPE"]),
            "last": pa.array([row.last for row in ticks]),
            "official": pa.array([True] * 4),
        }
    ).replace_schema_metadata({"market": "US"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    out = ran([Out(MARKET_TICKS, b"US", bytes(sink.getvalue()), ARROW_HEADERS), watermark(at("2018-02-03", "12:00"))])
    assert [reason for reason, _ in letters(out)] == ["invalid", "unknown_symbol"]
    (regime,) = regimes(out)
    assert regime["features"] | {"spx": 2700.0, "vix": 15.0} == regime["features"]


def test_a_block_whose_source_has_no_proper_name_loses_the_rows_of_that_source_only() -> None:
    rows = [official("VIX", "2018-02-02", 15.0), official("SPX", "2018-02-02", 2700.0, clock="16:15", source="good")]
    out = ran([block(rows, sources=("caf\u00e9", "good")), watermark(at("2018-02-03", "12:00"))])
    ((reason, detail),) = letters(out)
    assert reason == "invalid"
    assert "source" in detail
    assert "caf\u00e9" in detail
    assert regimes(out) == [], "without VIX there is no first regime"


def test_a_block_of_a_market_without_a_proper_name_is_refused_whole() -> None:
    made = block(day_of_closes("2018-02-02"), market="us")
    assert [reason for reason, _ in letters(ran([made]))] == ["invalid"]


def test_a_key_that_is_not_the_market_is_refused() -> None:
    made = dataclasses.replace(block(day_of_closes("2018-02-02")), key=b"EU")
    assert [reason for reason, _ in letters(ran([made]))] == ["wrong_market"]


def test_a_sequence_number_beyond_what_a_block_can_hold_is_refused() -> None:
    row = Row("VIX", at(DAY, "10:00"), last=15.0)
    out = ran([single(row, seq=2**63), single(row, seq=2**63 - 1)])
    assert [(reason, "seq" in detail) for reason, detail in letters(out)] == [("invalid", True)]


def test_a_time_beyond_the_exchange_calendar_is_refused_wherever_it_stands() -> None:
    early = at("1990-01-01", "01:00")
    out = ran([single(Row("VIX", early, last=20.0)), release(early), watermark(early), *map(plain, day_of_closes(DAY))])
    assert [reason for reason, _ in letters(out)] == ["invalid"] * 3
    assert all("outside the exchange calendar" in detail for _, detail in letters(out))


def test_an_event_time_that_the_logs_clock_has_not_reached_is_refused_alike_in_singles_and_blocks() -> None:
    rows = [Row("VIX", NOW + 5 * MINUTE, last=15.0), Row("VIX", NOW + 5 * MINUTE + 1, last=15.0)]
    as_block, as_singles = ran([block(rows)]), ran([plain(row) for row in rows])
    assert as_block == as_singles
    assert [reason for reason, _ in letters(as_block)] == ["future"]


def test_two_markets_in_one_partition_do_not_touch_each_other() -> None:
    def days(market: str, vix: float) -> list[Out]:
        rows = [
            row for day in CALENDAR.sessions(date(2018, 1, 29), date(2018, 2, 9)) for row in day_of_closes(day, vix)
        ]
        return [block([row], market) if i % 3 else single(row, market) for i, row in enumerate(rows)]

    us, eu = days("US", 15.0), days("EU", 35.0)
    ends = [watermark(at("2018-02-12", "08:00"), market) for market in ("US", "EU")]
    both = [out for pair in zip(us, eu, strict=True) for out in pair]
    together = ran([*both, *ends, release(at(DAY, "08:30"), market="EU")])
    for market, alone in (
        ("US", ran([*us, ends[0]])),
        ("EU", ran([*eu, ends[1], release(at(DAY, "08:30"), market="EU")])),
    ):
        for topic in (REGIME_STATES, REGIME_TRANSITIONS):
            assert [v for v in together[topic] if json.loads(v)["market"] == market] == alone[topic]
    assert len({regime["market"] for regime in regimes(together)}) == 2


def test_outputs_stand_in_the_order_of_the_rows_that_caused_them_whichever_their_markets() -> None:
    rows = history("2018-01-29", 8)
    singles = [single(row, market) for row in rows for market in ("US", "EU")]
    in_one_poll = ran(singles)
    markets = [regime["market"] for regime in regimes(in_one_poll)]
    assert markets == ["US", "EU"] * 7
    assert ran(singles, restart=5) == in_one_poll


def _intraday(seed: int, days: Sequence[str], *, after: int = 0) -> list[Row]:
    """Some days of ticks with gaps, late ones, repetitions, refused ones and official closes."""
    chance = random.Random(seed)
    rows: list[Row] = []
    seq = 0
    for day in days:
        now = max(at(day, "09:28"), after)
        vix = chance.choice([14.0, 19.0, 28.0])
        while now < at(day, "16:15"):
            now += chance.choice([0, 5, 20, 60, 200, 900]) * SECOND + chance.randint(0, 1)
            seq += 1
            ts = max(now - chance.choice([0] * 8 + [30, 400]) * SECOND, after)
            symbol, price = chance.choice(
                [
                    ("VIX", vix),
                    ("VIX", vix + 4),
                    ("VIX3M", 18.0),
                    ("SPX", 2700.0),
                    ("VX/2018-02-14", vix + 1),
                    ("NOPE", 1),
                ]
            )
            bad = chance.random() < 0.05
            rows.append(Row(symbol, ts, last=-1.0 if bad else price + chance.randint(0, 20) / 10, seq=seq))
            if chance.random() < 0.1:
                rows.append(rows[-1])
        rows += [row for row in day_of_closes(day, vix=vix) if row.ts >= after and chance.random() < 0.95]
    return rows


def _cut(rows: Sequence[Row], seed: int, biggest: int) -> list[Out]:
    chance = random.Random(seed)
    outs, place = [], 0
    while place < len(rows):
        size = chance.randint(1, biggest)
        outs.append(plain(rows[place]) if size == 1 else block(rows[place : place + size]))
        place += size
    return outs


@pytest.mark.parametrize("seed", range(6))
def test_singles_blocks_polls_and_restarts_give_the_same_bytes_on_every_topic(seed: int) -> None:
    rows = [*history("2018-01-10", 17), *_intraday(seed, [DAY, "2018-02-06"])]
    others = [release(at(DAY, "08:30")), release(at(DAY, "10:00:30"), 2), release(at("2018-02-06", "09:00"), 3)]
    end = watermark(at("2018-02-07", "12:00"))
    singly = ran([*map(plain, rows), end, *others])
    assert len(singly[REGIME_MARKS]) > 50
    assert len(singly[DEAD_LETTERS]) > 5
    for biggest, restart in ((40, 0), (1, 12), (9, 12)):
        seen = ran([*others, *_cut(rows, seed, biggest), end], restart=restart, seed=seed)
        for topic in OUTPUTS:
            assert seen[topic] == singly[topic], topic


@pytest.mark.parametrize("seed", range(4))
def test_what_comes_after_an_instant_never_changes_what_was_published_up_to_it(seed: int) -> None:
    x = at(DAY, "13:00")
    rows = [*history("2018-01-10", 17), *(row for row in _intraday(seed, [DAY]) if row.ts <= x)]
    before = [release(at(DAY, "08:30")), *_cut(rows, seed, 9)]

    def decided(tail: list[Row], releases: list[Out]) -> dict[str, list[bytes]]:
        out = ran([*before, *_cut(tail, seed + 1, 9), *releases, watermark(at("2018-02-09", "12:00"))])
        out.pop(DEAD_LETTERS)
        return {t: [v for v in values if parse_ts(json.loads(v)["event_ts"]) <= x] for t, values in out.items()}

    kept = decided(_intraday(seed + 10, [DAY, "2018-02-06"], after=x + 1), [])
    shifted = [dataclasses.replace(row, ts=row.ts + 7 * SECOND) for row in _intraday(seed + 20, [DAY], after=x + 1)]
    assert kept == decided(shifted, [release(x + 1, 2), release(x + HOUR, 3)])
    assert len(kept[REGIME_MARKS]) > 20


def test_a_release_in_the_middle_of_the_last_block_holds_nothing_up() -> None:
    rows = [row for day in ("2018-02-02", DAY) for row in day_of_closes(day)]
    out = ran([block([*rows, Row("VIX", at(DAY, "18:00"), last=15.0)]), release(at(DAY, "08:30"))])
    assert [regime["releases"] != [] for regime in regimes(out)] == [False, True]


def test_a_refused_row_of_a_block_is_a_dead_letter_with_its_place_and_its_own_bytes() -> None:
    cluster = MemoryCluster(now=lambda: NOW)
    cluster.create(dict.fromkeys(ALL_TOPICS, 1), compacted=COMPACTED)
    rows = [Row("VIX", at(DAY, "10:00"), last=15.0), Row("VIX", at(DAY, "10:00"), last=2.58)]
    cluster.publish([release(at(DAY, "08:30")), block(rows)])
    market = Market(CALIBRATION)
    runner = Runner(
        cluster.member(Member("g", "0", (MACRO_RELEASES, MARKET_FLOWS, MARKET_TICKS))),
        market,
        Metrics("market", market.metrics),
    )
    runner.drain(exhausted=True)
    runner.close()
    (record,) = cluster.read(TopicPartition(DEAD_LETTERS, 0))
    assert record.header("alvh-source") == b"market.ticks/0/0/1"
    letter = json.loads(record.value or b"")
    assert letter["original"].encode() == columns(rows).row_bytes(1)
    assert letter["event_ts"] == "2018-02-05T15:00:00Z"
    assert set(SCHEMA.names) >= set(json.loads(letter["original"])) - {"schema_version", "market"}


def test_each_regime_goes_once_to_every_partition_of_the_hedge() -> None:
    market = Market(CALIBRATION, partitions=3)
    cluster = MemoryCluster(now=lambda: NOW)
    cluster.create(dict.fromkeys(ALL_TOPICS, 3), compacted=COMPACTED)
    cluster.publish([block(day_of_closes("2018-02-02")), watermark(at("2018-02-03", "12:00"))])
    runner = Runner(
        cluster.member(Member("g", "0", (MACRO_RELEASES, MARKET_FLOWS, MARKET_TICKS))),
        market,
        Metrics("market", market.metrics),
    )
    runner.drain(exhausted=True)
    runner.close()
    copies = [[r.value for r in cluster.read(TopicPartition(HEDGE_REGIMES, p))] for p in range(3)]
    assert copies[0] == copies[1] == copies[2]
    assert len(copies[0]) == 1
