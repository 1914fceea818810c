"""Measure 3: from the producing of one tick to the committed event that it causes, with other ticks beside it.

Each trial is a market of its own that has seen a calm session, and on the next day VIX at 33 and 34 for a minute. Its
last tick, VIX at 34.5, passes the end of the minute in which the floor has been held long enough: the state rises, and
the hedge of the market's portfolio is worked out anew. For the bare transaction loop the same tick ends a bar of VIX.
The clock runs from before the tick is sent to when a consumer of committed records has the event in its hands.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Final

from alvh_process import Process
from arithmetic import share
from brokers import Positions, broker, renew
from datasets import data_directory
from history import CALENDAR, close_rows, columns_of, portfolio
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition
from programs import PEERS, PROGRAMS, SOURCE, TARGET, environment, pin, start_peer
from workload import lines, read_week, sessions

from processors.feeds.feed import records_of
from processors.stream.log import Out
from topics.catalog import HEDGE_REBALANCES
from topics.times import HOUR, SECOND

OUR_EVENT: Final = HEDGE_REBALANCES
CALM, STORM = date(2018, 5, 1), date(2018, 5, 2)
BESIDE: Final = "BG"
#: Seconds before the first trial, between two, and for the last event to come. The second shares no beat with commits.
BEFORE, BETWEEN, AFTER = 4.0, 0.37, 8.0
PATIENCE = 120.0
FLOOR: Final = next(p for p in PROGRAMS if p.script == "transaction.py")

Found = list[tuple[str, list[float], tuple[float, float, float]]]


def latency(venvs: Path, trials: int, per_second: float) -> Found:
    """Seconds by trial of ours and of the bare transaction loop, with their median, 99th percentile and maximum."""
    python = environment(FLOOR, venvs)
    with tempfile.NamedTemporaryFile(prefix="alvh-bench-", suffix=".jsonl") as file:
        seconds = BEFORE + trials * BETWEEN + AFTER
        _write_beside(Path(file.name), int(seconds * per_second))
        found = []
        for name, topic in ((f"alvh: {OUR_EVENT}", OUR_EVENT), (f"{FLOOR.name}: its message", TARGET)):
            print(f"latency of {name}", flush=True)
            times = _measure(topic, python, Path(file.name), trials, per_second)
            found.append((name, times, (share(times, 0.5), share(times, 0.99), max(times))))
    return found


def before(market: str) -> list[Out]:
    """What a market sees before its trial."""
    opened = CALENDAR.open_ts(CALM)
    book = portfolio(f"p-{market}", opened, market=market, fills="assumed")
    calm = [*_rows(opened + HOUR, 14.0, 0), *close_rows(CALM, 14.0)]
    noon = CALENDAR.open_ts(STORM) + HOUR
    storm = [*_rows(noon + 10 * SECOND, 33.0, 10), *_rows(noon + 70 * SECOND, 34.0, 20)]
    outs = records_of(book, single=True)
    for rows in (calm, storm):
        outs += records_of(columns_of(rows, market), single=True)
    return outs


def trigger(market: str) -> Out:
    """The tick of its trial."""
    ts = CALENDAR.open_ts(STORM) + HOUR + 130 * SECOND
    (out,) = records_of(columns_of([{"ts": ts, "symbol": "VIX", "last": 34.5, "seq": 30}], market), single=True)
    return out


def _rows(ts: int, vix: float, seq: int) -> list[dict[str, Any]]:
    prices = {"SPX": 2650 - 8 * (vix - 16), "VIX3M": 17 + (vix - 16) * 0.6, "VVIX": 95 + 2 * (vix - 16), "VIX": vix}
    return [
        {"ts": ts, "symbol": name, "last": round(price, 2), "seq": seq + i}
        for i, (name, price) in enumerate(prices.items())
    ]


def _measure(topic: str, python: Path, beside: Path, trials: int, per_second: float) -> list[float]:
    ours = topic != TARGET
    markets = [f"M{number:03d}" for number in range(trials)]
    group = "alvh.market" if ours else "bench-latency"
    with ExitStack() as cleanup:
        servers = cleanup.enter_context(broker())
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="alvh-bench-")))
        if ours:
            own = Process(f"kafka://{servers}", folder)
            own.start("market", "hedge")
            cleanup.callback(own.end)
            assert own.process is not None
            process = own.process
        else:
            renew(servers, group)
            process = start_peer(FLOOR, python, servers, group, folder / "peer.log")
            cleanup.callback(process.wait)
            cleanup.callback(process.kill)
        pin(process.pid, 0)
        producer = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=0, metrics_enabled=False)
        cleanup.callback(producer.close)
        count = 0
        for market in markets:
            for out in before(market):
                if ours or out.topic == SOURCE:
                    producer.send(out.topic, out.value, out.key, list(out.headers), 0)
                    count += out.topic == SOURCE
        producer.flush()
        _wait_for(servers, group, count)
        feed = [str(python), str(PEERS / "load.py"), servers, SOURCE, BESIDE, str(beside), str(per_second)]
        feeding = subprocess.Popen(feed)
        cleanup.callback(feeding.wait)
        cleanup.callback(feeding.kill)
        return list(_trials(servers, topic, producer, markets, ours))


def _trials(servers: str, topic: str, producer: KafkaProducer, markets: Sequence[str], ours: bool) -> Iterator[float]:
    consumer = KafkaConsumer(
        bootstrap_servers=servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
        metrics_enabled=False,
    )
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek_to_end()
    consumer.position(TopicPartition(topic, 0))
    sent: dict[bytes, float] = {}
    begun = time.monotonic()
    to_send = iter(markets)
    due = begun + BEFORE
    while time.monotonic() < begun + BEFORE + len(markets) * BETWEEN + AFTER:
        if time.monotonic() >= due and (market := next(to_send, None)) is not None:
            out = trigger(market)
            sent[f"p-{market}".encode() if ours else market.encode()] = time.monotonic()
            producer.send(out.topic, out.value, out.key, list(out.headers), 0)
            due += BETWEEN
        for records in consumer.poll(timeout_ms=5).values():
            now = time.monotonic()
            for record in records:
                if record.key in sent:
                    yield now - sent.pop(record.key)
        if not sent and due > begun + BEFORE + len(markets) * BETWEEN:
            break
    consumer.close(autocommit=False)
    if sent:
        raise RuntimeError(f"{len(sent)} of {len(markets)} ticks caused nothing that was seen")


def _wait_for(servers: str, group: str, count: int) -> None:
    positions = Positions(servers, group)
    deadline = time.monotonic() + PATIENCE
    while positions.look() < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{group} has not read what comes before the trials")
        time.sleep(0.1)
    positions.close()


def _write_beside(file: Path, count: int) -> None:
    """Ticks of another market."""
    week = read_week(data_directory())
    made = (line for columns in sessions(week, count) for line in lines(replace(columns, market=BESIDE)))
    with file.open("wb") as out:
        for line in islice(made, count):
            out.write(line + b"\n")
