"""A seeded share of the fuzzing, everything it ever found, and that it would see what it looks for."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
from fuzz_arrow import bomb, table_of, written
from fuzz_decoders import DECODERS, Wrong, probe
from fuzz_inputs import Hostile, Input, a_day
from fuzz_state import poison, probe_state
from fuzz_world import World
from run import FOUND, Report, Round, lived, one_round

from processors.market import MarketTask
from processors.stream.runner import POSITIONS_KEY
from topics import codec
from topics.catalog import MARKET_TICKS
from topics.codec import ARROW_HEADERS, JSON_HEADERS
from topics.market import COUNT_MAX, Tick
from topics.ticks import columns_of, encode_block
from topics.times import MINUTE

SEED = 20180205
FOUND_BEFORE = sorted(FOUND.glob("*.json"))


def test_a_round_of_all_kinds_finds_nothing() -> None:
    report = Report()
    one_round(report, random.Random(SEED), Round(decoded=4300, outer=400, inner=100, poisoned=100))
    assert not report.faults
    sums = report.stepped
    assert report.decoded.total() > 4000
    assert {name for name, outcome in report.decoded if outcome == "used"} == set(DECODERS), "a decoder took nothing"
    assert min(sums.rows_used, sums.rows_refused, sums.records_refused, sums.outputs) > 100
    assert {outcome for _, outcome in report.restored} == {"taken", "refused"}


@pytest.mark.parametrize("path", FOUND_BEFORE, ids=lambda path: path.stem)
def test_what_was_found_before_stays_mended(path: Path) -> None:
    document = json.loads(path.read_text())
    inputs = [Input.of(each) for each in document["inputs"]]
    world = World(document["processors"])
    assert lived(world, inputs) == []
    world.close()


def test_the_same_seed_gives_the_same_inputs() -> None:
    def made() -> list[Input]:
        rng = random.Random(SEED)
        return Hostile(rng, a_day(rng)).inputs(300)

    assert made() == made()


# Sizes that are only claimed


def test_a_block_that_would_unpack_to_gigabytes_is_refused_before_it_does() -> None:
    value = bomb(300_000_000)
    assert len(value) < 100_000
    before = psutil.Process().memory_info().rss
    assert probe(MARKET_TICKS, value, ARROW_HEADERS) == "too_large"
    assert psutil.Process().memory_info().rss - before < 64 << 20


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_compressed_block_of_a_usual_size_is_taken(compression: str) -> None:
    rows = columns_of([Tick(symbol="VIX", event_ts=10**18 + n, last=17.5) for n in range(3000)])
    assert probe(MARKET_TICKS, written(table_of(encode_block(rows)), compression), ARROW_HEADERS, 3000) == "used"


@pytest.mark.parametrize("text", ["x" * 1_000_000, "x" * 257])
def test_long_text_that_all_rows_share_is_refused(text: str) -> None:
    n = 65_536
    stamps = pa.array(np.zeros(n, dtype=np.int64)).cast(pa.timestamp("ns", tz="UTC"))
    symbols = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, dtype=np.int32)), pa.array([text]))
    table = pa.table({"event_ts": stamps, "symbol": symbols, "last": pa.array(np.ones(n))})
    assert probe(MARKET_TICKS, written(table), ARROW_HEADERS) == "invalid"


@pytest.mark.parametrize("name", ["bid_size", "ask_size", "size", "open_interest", "iv"])
def test_a_count_that_no_market_has_is_refused_in_ticks_and_in_blocks(name: str) -> None:
    tick = Tick(symbol="VX/2018-05-16", event_ts=10**18, last=17.5, **{name: COUNT_MAX})
    assert probe(MARKET_TICKS, tick.canonical(), JSON_HEADERS) == "used"
    text = json.dumps({**tick.document(), name: 1.1 * COUNT_MAX}).encode()
    assert probe(MARKET_TICKS, text, JSON_HEADERS) == "implausible"
    block = columns_of([tick])
    block.values[name][0] = 1.1 * COUNT_MAX
    (invalid,) = codec.decode_market(encode_block(block), ARROW_HEADERS).invalid  # type: ignore[union-attr]
    assert invalid


# State


@pytest.mark.parametrize(
    "value", [b"", b"3", b"[]", b"{}", b"\xff", b'{"version":2}', b'{"version":1}', b"[" * 100_000]
)
@pytest.mark.parametrize("key", [POSITIONS_KEY, b"market/US", b"panel/US", b"secondary/US", b"strip/US/SPX/2018-05-18"])
def test_state_that_is_none_is_refused(key: bytes, value: bytes) -> None:
    assert probe_state("market", {key: value}) == ("refused", None)


def test_positions_that_are_no_numbers_are_refused() -> None:
    for positions in (
        {"market.ticks": -1},
        {"market.ticks": 1.5},
        {"market.ticks": "1"},
        {"market.ticks": 2**63},
        [1],
        3,
    ):
        saved = json.dumps({"version": 1, "positions": positions, "times": {}}).encode()
        assert probe_state("market", {POSITIONS_KEY: saved}) == ("refused", None)


# Whether it would see anything


def fed(count: int = 200) -> tuple[list[str], World]:
    rng = random.Random(SEED)
    world = World()
    faults = lived(world, Hostile(rng, a_day(rng)).inputs(count))
    world.close()
    return [fault.kind for fault in faults], world


def test_an_exception_that_escapes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = codec.decode_block

    def broken(data: bytes) -> Any:
        columns = real(data)
        if len(columns) > 1:
            raise KeyError("odd")
        return columns

    monkeypatch.setattr(codec, "decode_block", broken)
    kinds, _ = fed()
    assert any(kind.startswith("market decodes market.ticks: KeyError") for kind in kinds)
    rows = columns_of([Tick(symbol="VIX", event_ts=10**18 + n, last=17.5) for n in range(2)])
    with pytest.raises(Wrong, match="KeyError"):
        probe(MARKET_TICKS, encode_block(rows), ARROW_HEADERS)


def test_a_row_that_is_dropped_in_silence_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = codec.decode_block

    def shorter(data: bytes) -> Any:
        columns = real(data)
        return columns.take(0, len(columns) - 1) if len(columns) > 1 else columns

    monkeypatch.setattr(codec, "decode_block", shorter)
    assert "rows of a record are gone" in fed()[0]


def test_a_dead_letter_that_is_dropped_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = MarketTask.outs
    monkeypatch.setattr(
        MarketTask,
        "outs",
        lambda self, emission, *rest: [o for o in real(self, emission, *rest) if o.topic != "dead.letters"],
    )
    assert "rows are lost" in fed()[0]


def test_a_record_that_is_passed_over_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = MarketTask.process
    monkeypatch.setattr(MarketTask, "process", lambda self, segments: real(self, segments[1:]))
    assert "rows are lost" in fed()[0]


def test_an_error_in_the_step_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: MarketTask, *given: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(MarketTask, "outs", failing)
    assert fed()[0][0].startswith("market steps: ZeroDivisionError")


def test_an_output_that_is_no_json_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = MarketTask.outs

    def spoiled(self: MarketTask, *given: Any) -> Any:
        return [replace(out, value=(out.value or b"")[:-1] + b',"x":NaN}') for out in real(self, *given)]

    monkeypatch.setattr(MarketTask, "outs", spoiled)
    assert any("holds what it may not" in kind for kind in fed()[0])


def test_state_that_fails_in_another_way_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    _, world = fed(100)
    monkeypatch.setattr("processors.stream.runner.StateMismatch", RuntimeError)
    _, faults = poison(random.Random(1), world.state(), 60)
    assert faults
    assert all("RuntimeError" in fault.kind for fault, _ in faults)


# Many names


def test_symbols_and_sources_without_end_do_not_make_the_state_grow_without_end() -> None:
    rng = random.Random(4)
    day = a_day(rng)[60].ts

    def symbol() -> str:
        expiry = f"20{rng.randint(18, 60)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        return f"{rng.choice(('VIX', 'SPX'))}/{expiry}/C/{rng.randint(1, 999_999)}"

    def some(at: int) -> list[Input]:
        ticks = [
            Tick(symbol=symbol(), event_ts=at, source=f"s{rng.randrange(10**9)}", bid=1.0, ask=1.1) for _ in range(400)
        ]
        return [Input(MARKET_TICKS, b"US", encode_block(columns_of(ticks)), ARROW_HEADERS, at, "many", 400)]

    world = World(("market",))
    sizes = []
    for number in range(40):
        assert world.feed(some(day + number * MINUTE)) == []
        sizes.append(sum(len(value) for value in world.state()["market"].values()))
    world.close()
    assert sizes[-1] < 2 * sizes[len(sizes) // 2], sizes
