"""What the integration proofs share: a history checker that knows nothing of the project, and helpers that do.

The checker compares two histories of one topic partition, each a list of (key, value) in log order, one of an
uninterrupted run and one of a run that was killed, and says what was lost, doubled, moved or changed.
"""

from __future__ import annotations

import hashlib
import random
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from datasets import build_real

from processors.config import Settings
from processors.feeds.feed import records_of
from processors.feeds.items import Item, Single, tight
from processors.feeds.recorded import Recording
from processors.run import member_of, processors_for
from processors.signals.calendar import SessionCalendar
from processors.stream.log import Cluster, Log, Out, TopicPartition
from processors.stream.metrics import Metrics
from processors.stream.open import open_cluster
from processors.stream.processor import Processor
from processors.stream.runner import Runner
from topics.calibration import Calibration
from topics.catalog import (
    ALERTS,
    ALL_TOPICS,
    COMPACTED,
    DEAD_LETTERS,
    HEDGE_REBALANCES,
    HEDGE_REGIMES,
    MACRO_RELEASES,
    MARKET_TICKS,
    PORTFOLIO_SNAPSHOTS,
    REGIME_MARKS,
    REGIME_STATES,
    REGIME_TRANSITIONS,
)
from topics.codec import encode
from topics.macro import Release
from topics.market import VALUES, Watermark
from topics.portfolio import Portfolio, Position
from topics.ticks import MISSING, TickColumns, invalid_rows
from topics.times import DAY, HOUR, MINUTE, SECOND

Entry = tuple[bytes | None, bytes | None]
#: A history by topic and partition.
Dump = dict[tuple[str, int], list[Entry]]


# The checker: the standard library alone


@dataclass(slots=True)
class Faults:
    """What is wrong with one key, as places in the expected history (``lost``) or in the seen one (the others).

    Attributes:
        lost: expected and never seen.
        duplicate: seen more often than expected.
        divergent: seen and never expected.
        reordered: in both, but not where it should stand among the others of the partition.
    """

    lost: list[int] = field(default_factory=list)
    duplicate: list[int] = field(default_factory=list)
    divergent: list[int] = field(default_factory=list)
    reordered: list[int] = field(default_factory=list)


KINDS = ("lost", "duplicate", "divergent", "reordered")


def check(expected: Sequence[Entry], seen: Sequence[Entry]) -> dict[bytes | None, Faults]:
    """Faults of one partition by key; empty when the two histories are the same.

    The n-th occurrence of an entry in one history stands for its n-th occurrence in the other.
    """
    faults: defaultdict[bytes | None, Faults] = defaultdict(Faults)
    places: dict[tuple[Entry, int], int] = {}
    for place, (entry, nth) in enumerate(_numbered(expected)):
        places[entry, nth] = place
    known = {entry for entry, _ in places}
    found: list[tuple[int, int]] = []  # place in expected, place in seen
    for at, (entry, nth) in enumerate(_numbered(seen)):
        place = places.pop((entry, nth), None)
        if place is not None:
            found.append((place, at))
        elif entry in known:
            faults[entry[0]].duplicate.append(at)
        else:
            faults[entry[0]].divergent.append(at)
    for place in places.values():
        faults[expected[place][0]].lost.append(place)
    for at in _out_of_order(found):
        faults[seen[at][0]].reordered.append(at)
    return dict(faults)


def _numbered(history: Sequence[Entry]) -> Iterator[tuple[Entry, int]]:
    """Each entry with how often it came before."""
    times: Counter[Entry] = Counter()
    for entry in history:
        yield entry, times[entry]
        times[entry] += 1


def _out_of_order(found: Sequence[tuple[int, int]]) -> list[int]:
    """Places in the seen history that must be taken out to leave a rising order: as few as possible."""
    tails: list[int] = []  # smallest last place of a rising run of each length
    ends: list[int] = []  # which entry that is
    before: list[int] = []
    for i, (place, _) in enumerate(found):
        length = bisect_left(tails, place)
        before.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [place]
        ends[length : length + 1] = [i]
    kept = set()
    i = ends[-1] if ends else -1
    while i >= 0:
        kept.add(i)
        i = before[i]
    return [at for i, (_, at) in enumerate(found) if i not in kept]


@dataclass(slots=True)
class Verdict:
    """All partitions together: how many entries were expected and seen, and the faults by kind and by place."""

    expected: int = 0
    seen: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    where: dict[tuple[str, int, bytes | None], Faults] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not self.where

    def __str__(self) -> str:
        text = f"{self.expected} expected, {self.seen} seen: " + ", ".join(f"{self.counts[k]} {k}" for k in KINDS)
        for (topic, partition, key), faults in list(self.where.items())[:5]:
            for kind in KINDS:
                if places := getattr(faults, kind):
                    text += f"\n  {topic}/{partition} key {key!r}: {kind} at {places[:5]} ({len(places)})"
        return text


def compare(
    expected: Mapping[tuple[str, int], Sequence[Entry]], seen: Mapping[tuple[str, int], Sequence[Entry]]
) -> Verdict:
    """The verdict over every topic partition that is in either dump."""
    verdict = Verdict(sum(map(len, expected.values())), sum(map(len, seen.values())))
    for topic, partition in sorted(expected.keys() | seen.keys()):
        found = check(expected.get((topic, partition), ()), seen.get((topic, partition), ()))
        for key, faults in found.items():
            verdict.where[topic, partition, key] = faults
            for kind in KINDS:
                verdict.counts[kind] += len(getattr(faults, kind))
    return verdict


def digests(dump: Mapping[tuple[str, int], Sequence[Entry]]) -> dict[str, str]:
    """SHA-256 of each topic partition's whole history: lengths and bytes of every key and value in order."""
    found = {}
    for (topic, partition), entries in sorted(dump.items()):
        content = hashlib.sha256()
        for entry in entries:
            for part in entry:
                content.update((-1 if part is None else len(part)).to_bytes(8, "big", signed=True) + (part or b""))
        found[f"{topic}/{partition}"] = content.hexdigest()
    return found


# What follows knows the project: inputs, runs and dumps

OUTPUTS = (
    REGIME_STATES,
    REGIME_MARKS,
    REGIME_TRANSITIONS,
    HEDGE_REGIMES,
    HEDGE_REBALANCES,
    ALERTS,
    DEAD_LETTERS,
)
CALENDAR = SessionCalendar()
CALIBRATION = Calibration()
#: Real sessions, from the calm before February 2018 to the calm after it; four months of warm-up come before.
FIRST, LAST = date(2018, 3, 1), date(2018, 4, 30)
#: Synthetic sessions with ticks between the closes.
DAYS = (date(2018, 5, 1), date(2018, 5, 2))


def columns_of(rows: Sequence[Mapping[str, Any]], market: str = "US") -> TickColumns:
    """Rows as they could come in a block, good and bad."""
    symbols = list(dict.fromkeys(row["symbol"] for row in rows))
    sources = list(dict.fromkeys(row.get("source", "test") for row in rows))
    columns = TickColumns(
        market=market,
        event_ts=np.array([row["ts"] for row in rows], dtype=np.int64),
        symbols=tuple(symbols),
        symbol=np.array([symbols.index(row["symbol"]) for row in rows], dtype=np.int32),
        sources=tuple(sources),
        source=np.array([sources.index(row.get("source", "test")) for row in rows], dtype=np.int32),
        seq=np.array([row.get("seq", MISSING) for row in rows], dtype=np.int64),
        recv_ts=np.array([row.get("recv", MISSING) for row in rows], dtype=np.int64),
        values={name: np.array([row.get(name, np.nan) for row in rows], dtype=np.float64) for name in VALUES},
        official=np.array([row.get("official", False) for row in rows], dtype=np.bool_),
        invalid=np.zeros(len(rows), dtype=np.bool_),
    )
    columns.invalid[:] = invalid_rows(columns)
    return columns


def single(topic: str, key: str | None, value: bytes, ts: int = 0) -> Single:
    return Single(topic, None if key is None else key.encode(), value, ts)


def message(topic: str, document: Release | Portfolio | Watermark, key: str, ts: int = 0) -> Single:
    return single(topic, key, encode(document)[0], ts)


def watermark(ts: int, market: str = "US") -> Single:
    return message(MARKET_TICKS, Watermark(watermark_ts=ts, market=market, source="test"), market, ts)


def release(series: str, ts: int, actual: float, vintage: int = 1) -> Single:
    made = Release(series_id=series, release_ts=ts, ref_period="2018-04", actual=actual, consensus=0.2, vintage=vintage)
    return message(MACRO_RELEASES, made, "US", ts)


def portfolio(name: str, ts: int, **fields: Any) -> Single:
    made = Portfolio(portfolio_id=name, as_of=ts, **{"mv": 5_000_000.0, "beta": 1.1, "cash": 500_000.0, **fields})
    return message(PORTFOLIO_SNAPSHOTS, made, name, ts)


def _held(quantity: float) -> tuple[Position, ...]:
    return (Position(symbol="VX/2018-06-20", quantity=quantity, layer="L2"),)


def session_rows(
    day: date, vix: Sequence[float], rng: random.Random, *, step: int = 60, messy: bool = True
) -> list[dict[str, Any]]:
    """Ticks of one session: VIX along ``vix`` from the open to its close, what goes with it, and what goes wrong."""
    start, stop = CALENDAR.open_ts(day), CALENDAR.vix_close_ts(day)
    moments = range(start, stop + 1, step * SECOND)
    path = np.interp(np.linspace(0, 1, len(moments)), np.linspace(0, 1, len(vix)), vix)
    rows: list[dict[str, Any]] = []
    futures = [f"VX/{expiry}" for expiry in ("2018-05-16", "2018-06-20", "2018-07-18", "2018-08-22")]
    for number, (ts, level) in enumerate(zip(moments, path, strict=True)):
        jitter = [rng.uniform(-0.05, 0.05) for _ in range(8)]
        at = [ts + rng.randrange(step * SECOND) for _ in range(8)]
        spx = 2650 - 8 * (level - 16)
        now: list[dict[str, Any]] = [
            {"ts": at[0], "symbol": "VIX", "last": round(level + jitter[0], 2), "seq": number, "source": "cboe"},
            {"ts": at[1], "symbol": "SPX", "last": round(spx + jitter[1], 2), "size": 3.0},
            {"ts": at[2], "symbol": "VIX3M", "last": round(17 + (level - 16) * 0.6 + jitter[2], 2)},
            {"ts": at[3], "symbol": "VVIX", "last": round(95 + (level - 16) * 2 + jitter[3], 2), "recv": at[3] + 5},
        ]
        for i, symbol in enumerate(futures):
            price = round((level * (4 - i) + 17 * (3 + i)) / 7 + jitter[4 + i], 2)
            now.append({"ts": at[4 + i], "symbol": symbol, "bid": price - 0.05, "ask": price, "bid_size": 9.0})
        now.sort(key=lambda row: row["ts"])
        if messy:
            now += _messy(number, ts, level, rows, rng)
        rows += now
    return rows


def _messy(
    number: int, ts: int, level: float, before: list[dict[str, Any]], rng: random.Random
) -> list[dict[str, Any]]:
    """Rows that are refused, and rows that come late, out of order or twice."""
    kinds: list[dict[str, Any]] = [
        {"ts": ts, "symbol": "VIX", "last": 5000.0},
        {"ts": ts, "symbol": "NOSUCH", "last": 1.0},
        {"ts": ts, "symbol": "SPX", "bid": 2651.0, "ask": 2650.0},
        {"ts": ts, "symbol": "SPX"},
        {"ts": ts, "symbol": "VX/2018-05-16", "last": 18.0, "size": -1.0},
        {"ts": ts, "symbol": "VVIX", "last": float("inf")},
        {"ts": ts + 40_000 * DAY, "symbol": "VIX", "last": 17.0},
        {"ts": CALENDAR.close_ts(date(2018, 4, 27)), "symbol": "SPX", "last": 2669.0, "official": True},
        {"ts": ts - 7 * MINUTE, "symbol": "VIX", "last": round(level, 2)},
        {"ts": ts - 3 * MINUTE, "symbol": "VIX", "last": round(level, 2)},
        {"ts": ts - 90 * SECOND, "symbol": "SPX", "last": 2640.5},
    ]
    found = [kinds[number % len(kinds)]] if number % 3 == 1 else []
    if number % 11 == 5:
        found.append(rng.choice(before[-30:]))
    return found


def close_rows(day: date, vix: float) -> list[dict[str, Any]]:
    """The official closes of a session."""
    late = CALENDAR.vix_close_ts(day)
    closes = (("VIX", vix), ("VIX3M", 17 + (vix - 16) * 0.6), ("VVIX", 95 + (vix - 16) * 2))
    return [
        {"ts": CALENDAR.close_ts(day), "symbol": "SPX", "last": round(2650 - 8 * (vix - 16), 2), "official": True},
        *({"ts": late, "symbol": symbol, "last": round(value, 2), "official": True} for symbol, value in closes),
        *(
            {"ts": CALENDAR.vx_settle_ts(day), "symbol": f"VX/{expiry}", "settle": settle, "official": True}
            for expiry, settle in (("2018-05-16", 17.2), ("2018-06-20", 17.6), ("2018-07-18", 17.9))
        ),
    ]


def whole_story(folder: Path) -> list[Item]:
    """Six months of real daily data, then two synthetic sessions with everything that can go wrong among the ticks.

    Two markets, releases (one later than the stream, one that is none), four portfolios that change within the day.
    """
    items: list[Item] = [*Recording(build_real(folder / "real", FIRST, LAST)).items()]
    rng = random.Random(20180205)
    first, second = DAYS
    opened, noon = CALENDAR.open_ts(first), CALENDAR.open_ts(first) + 2 * HOUR
    rows = session_rows(first, (15.5, 16, 17, 24, 31, 36, 33, 28), rng, step=120)
    rows += close_rows(first, 28.4)
    half = len(rows) // 2
    items += [
        portfolio("alpha", opened - HOUR, fills="assumed"),
        portfolio("beta-less", opened - HOUR, beta=None),
        portfolio("promoter", opened - HOUR, policy="promoter", fills="assumed", mv=20_000_000.0),
        portfolio("holder", opened - HOUR, positions=_held(12)),
        columns_of(rows[:half]),
        single(MARKET_TICKS, "US", b'{"market":"US","symbol":"VIX","last":'),
        single(MARKET_TICKS, "EU", b'{"market":"US","symbol":"VIX","last":"17","event_ts":"2018-05-01T15:00:00Z"}'),
        columns_of(
            [{"ts": rows[half]["ts"], "symbol": s, "last": v} for s, v in (("VIX", 21.0), ("SPX", 3500.0))], "EU"
        ),
        columns_of(rows[half:]),
    ]
    items += [
        release("CPI_CORE_MOM", noon, 0.4),
        release("NFP", noon - HOUR, 164.0),  # behind one that is newer: it comes late
        single(MACRO_RELEASES, "US", b'{"series_id":"GDP"}'),
        release("CPI_CORE_MOM", noon + 3 * HOUR, 0.3, vintage=2),
        portfolio("alpha", noon, fills="assumed", mv=6_000_000.0),
        portfolio("holder", noon + HOUR, positions=_held(30)),
        single(PORTFOLIO_SNAPSHOTS, "alpha", b'{"portfolio_id":"alpha","mv":-1}'),
        portfolio("promoter", noon + 4 * HOUR, policy="promoter", fills="assumed", mv=1_000_000.0),
    ]
    items.append(columns_of(session_rows(second, (27, 22, 18, 15, 14), rng, step=120)))  # no official closes
    items += [watermark(CALENDAR.vix_close_ts(second) + 12 * HOUR, market) for market in ("US", "EU")]
    return items


def outs_of(items: Iterable[Item], *, block: int | None, seed: int = 0) -> list[Out]:
    """The records of the items: each tick by itself (None), or blocks of at most that many rows, cut anywhere."""
    outs: list[Out] = []
    rng = random.Random(seed)
    for item in items:
        if isinstance(item, Single) or block is None:
            outs += records_of(item, single=True)
            continue
        at = 0
        while at < len(item):
            stop = min(len(item), at + rng.randint(1, block))
            outs += records_of(tight(item.take(at, stop)), single=False)
            at = stop
    return outs


def create(cluster: Cluster, partitions: int = 1) -> None:
    """Every topic. The states are kept whole here, where a SQLite file would keep the newest alone."""
    cluster.create(dict.fromkeys(ALL_TOPICS, partitions), compacted=COMPACTED - {REGIME_STATES})


def publish(cluster: Cluster, outs: Sequence[Out], batch: int = 1000) -> None:
    for at in range(0, len(outs), batch):
        cluster.publish(outs[at : at + batch])


def settings_of(log: str = "memory://unused", **given: Any) -> Settings:
    return Settings(log=log, **given)


def processors(partitions: int = 1, **given: Any) -> tuple[Processor, ...]:
    """Market, hedge and alerts, as a process would run them."""
    return processors_for(("all",), CALIBRATION, settings_of(partitions=partitions, **given))


def join(cluster: Cluster, processor: Processor) -> Log:
    return cluster.member(member_of(processor, settings_of()))


def runner_of(log: Log, processor: Processor, commit_interval: float = 0.0, kind: type[Runner] = Runner) -> Runner:
    return kind(log, processor, Metrics(processor.name, processor.metrics), commit_interval=commit_interval)


def work_off(
    cluster: Cluster, processor: Processor, *, restarts: int = 0, seed: int = 0, timeout: float = 0.0, steps: int = 30
) -> None:
    """Run a processor to the end of its inputs, and on the way end it at seeded places, in order or dead."""
    rng = random.Random(seed)
    for _ in range(restarts):
        runner = runner_of(join(cluster, processor), processor, rng.choice((0.0, 3600.0)))
        for _ in range(rng.randint(1, steps)):
            runner.step(timeout, exhausted=True)
        if rng.random() < 0.5:
            runner.close()
        else:
            runner.log.end()  # nothing of what was not committed
    runner = runner_of(join(cluster, processor), processor, rng.choice((0.0, 3600.0)))
    runner.drain(exhausted=True)
    runner.close()


def fresh_topics(servers: str, partitions: int = 1) -> None:
    """Delete every topic of the catalog on a broker that a test started, and create it anew.

    Never for a broker that was there before: its topics belong to someone.
    """
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=servers)
    try:
        if known := set(admin.list_topics()) & set(ALL_TOPICS):
            admin.delete_topics(sorted(known))
        deadline = time.monotonic() + 30
        while set(admin.list_topics()) & set(ALL_TOPICS):
            assert time.monotonic() < deadline, "the broker keeps its topics"
            time.sleep(0.05)
    finally:
        admin.close()
    cluster = open_cluster(f"kafka://{servers}")
    create(cluster, partitions)
    cluster.close()


def dump(cluster: Cluster, topics: Iterable[str] = OUTPUTS) -> Dump:
    """Every committed record of the topics: key and value, in log order."""
    counts = cluster.topics()
    return {
        (topic, number): [(r.key, r.value) for r in cluster.read(TopicPartition(topic, number))]
        for topic in topics
        for number in range(counts[topic])
    }


def by_key(history: Dump) -> dict[tuple[str, bytes | None], list[bytes | None]]:
    """The values of each key in their order, whatever partition they are in."""
    found: defaultdict[tuple[str, bytes | None], list[bytes | None]] = defaultdict(list)
    for (topic, _), entries in sorted(history.items()):
        for key, value in entries:
            found[topic, key].append(value)
    return dict(found)


def shown(history: Dump) -> str:
    """One line a topic partition: how many records, and their digest."""
    found = digests(history)
    return "\n".join(
        f"  {f'{topic}/{number}':22} {len(entries):6} records  sha256 {found[f'{topic}/{number}']}"
        for (topic, number), entries in sorted(history.items())
    )
