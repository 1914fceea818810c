"""Records as the checker is to see them, and reading what is committed."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.structs import TopicPartition as KafkaTopicPartition

from chaos.checker import Record
from processors.stream.log import Out, TopicPartition
from processors.stream.log import Record as LogRecord
from topics.catalog import DEAD_LETTERS, MACRO_RELEASES, MARKET_FLOWS, MARKET_TICKS, PORTFOLIO_SNAPSHOTS

INPUTS = (MARKET_TICKS, MACRO_RELEASES, MARKET_FLOWS, PORTFOLIO_SNAPSHOTS)


def lane_of(topic: str, partition: int, key: bytes | None, source: str = "") -> str:
    """What must keep its order: a key of a partition, and of dead letters those of one source partition."""
    return f"{partition} {key!r} {source}".strip()


def content_of(record: Out | LogRecord) -> bytes:
    """All that must not change: key, digest of the value, headers; and how the value begins, for people."""
    value = b"-" if record.value is None else hashlib.sha256(record.value).hexdigest().encode() + record.value[:150]
    return json.dumps(
        [str(record.key), [[name, text.decode()] for name, text in record.headers], value.decode("latin-1")]
    ).encode()


def checked(record: LogRecord) -> Record:
    """A record of the log as the checker's own."""
    source = ""
    if record.topic == DEAD_LETTERS:
        source = "/".join((record.header("alvh-source") or b"").decode().split("/")[:2])
    lane = lane_of(record.topic, record.partition, record.key, source)
    return Record(record.topic, record.partition, record.offset, lane, content_of(record))


def _consumer(servers: str) -> Any:
    return KafkaConsumer(
        bootstrap_servers=servers.split(","),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        allow_auto_create_topics=False,
        fetch_max_wait_ms=100,
        reconnect_backoff_max_ms=1000,
        request_timeout_ms=10_000,
        metrics_enabled=False,
    )


def _taken(found: Any) -> Iterator[LogRecord]:
    for tp, records in found.items():
        for r in records:
            yield LogRecord(
                tp.topic, tp.partition, r.offset, r.timestamp * 1_000_000, r.key, r.value, tuple(r.headers)
            )


def read_committed(servers: str, places: Sequence[TopicPartition], patience: float = 60.0) -> list[LogRecord]:
    """Every committed record of these partitions up to now, asked for again while brokers are not ready."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return _read(servers, places, deadline)
        except KafkaError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _read(servers: str, places: Sequence[TopicPartition], deadline: float) -> list[LogRecord]:
    consumer, records = _consumer(servers), []
    wanted = [KafkaTopicPartition(*place) for place in places]
    try:
        consumer.assign(wanted)
        ends = consumer.end_offsets(wanted, timeout_ms=10_000)
        for tp, first in consumer.beginning_offsets(wanted, timeout_ms=10_000).items():
            consumer.seek(tp, first)
        while any(consumer.position(tp, timeout_ms=10_000) < ends[tp] for tp in wanted):
            records += _taken(consumer.poll(timeout_ms=200))
            assert time.monotonic() < deadline, f"could not read {places} to {ends}"
    finally:
        consumer.close(autocommit=False, timeout_ms=1000)
    return [r for r in records if r.offset < ends[KafkaTopicPartition(r.topic, r.partition)]]


def bounds_of(servers: str, places: Sequence[TopicPartition]) -> dict[tuple[str, int], tuple[int, int]]:
    """The first offset that is left of each partition, and the next one to be written."""
    consumer, wanted = _consumer(servers), [KafkaTopicPartition(*place) for place in places]
    try:
        first = consumer.beginning_offsets(wanted, timeout_ms=10_000)
        ends = consumer.end_offsets(wanted, timeout_ms=10_000)
    finally:
        consumer.close(autocommit=False, timeout_ms=1000)
    return {(tp.topic, tp.partition): (first[tp], ends[tp]) for tp in wanted}


def offsets_of(servers: str, places: Sequence[TopicPartition]) -> set[tuple[str, int, int]]:
    """Where committed records are."""
    return {(record.topic, record.partition, record.offset) for record in read_committed(servers, places)}


class Reader(threading.Thread):
    """A live reader of committed records; it keeps what it was given in the order in which it was given."""

    def __init__(self, servers: str, places: Iterable[TopicPartition]) -> None:
        super().__init__(name="chaos-reader", daemon=True)
        self.given: list[Record] = []
        self.outputs = 0  # records of outputs among them
        self.next = {KafkaTopicPartition(*place): 0 for place in places}
        self.error: BaseException | None = None
        self._servers = servers
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self._follow()
            except KafkaError:
                self._over.wait(0.2)  # a broker is down: go on where it was
            except BaseException as error:
                self.error = error
                return

    def _follow(self) -> None:
        consumer = _consumer(self._servers)
        try:
            consumer.assign(list(self.next))
            for tp, offset in self.next.items():
                consumer.seek(tp, offset)
            while not self._over.is_set():
                for record in _taken(consumer.poll(timeout_ms=200)):
                    self.given.append(checked(record))
                    self.outputs += record.topic not in INPUTS
                    self.next[KafkaTopicPartition(record.topic, record.partition)] = record.offset + 1
        finally:
            consumer.close(autocommit=False, timeout_ms=1000)

    def finish(self, count: int, timeout: float) -> list[Record]:
        """What it was given, once that are ``count`` records or it has had its time."""
        deadline = time.monotonic() + timeout
        while len(self.given) < count and time.monotonic() < deadline and self.error is None:
            time.sleep(0.1)
        self._over.set()
        self.join(15)
        if self.error is not None:
            raise self.error
        return self.given
