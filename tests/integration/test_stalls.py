"""A partition that stands still on a real Kafka: paused behind the loop's back, and behind a hanging transaction."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from kafka import KafkaProducer
from kafka.structs import TopicPartition as KafkaTopicPartition
from same_records import Copy

from processors.errors import PartitionStalled
from processors.stream.kafka import KafkaCluster
from processors.stream.log import Log, Member, Out, TopicPartition
from processors.stream.metrics import Metrics
from processors.stream.runner import Runner
from processors.stream.stall import Cause, Silence
from topics.catalog import DEAD_LETTERS, changelog

pytestmark = pytest.mark.kafka

PATIENCE = 60.0


class Site:
    """A processor that copies records, on topics of its own; what its loop said last is in ``stalled`` and ``held``."""

    def __init__(self, servers: str) -> None:
        self.servers, name = servers, uuid.uuid4().hex[:8]
        self.topic, self.cluster = f"in.{name}", KafkaCluster(servers, deadline=20.0)
        copy = Copy(f"copy-{name}", self.topic, f"out.{name}")
        made = (*copy.outputs, self.topic, DEAD_LETTERS, changelog(copy.name))
        self.cluster.create(dict.fromkeys(made, 1), compacted=frozenset({changelog(copy.name)}))
        self.tp = TopicPartition(self.topic, 0)
        self.log: Log = self.cluster.member(Member(copy.name, "0", (self.topic,)))
        self.stalled: list[Silence] = []
        self.held: list[Silence] = []
        self.metrics = Metrics(copy.name)
        self.runner = Runner(self.log, copy, self.metrics, stall_seconds=2.0, give_up_seconds=1.0, quiet=self.hear)
        self.out = TopicPartition(f"out.{name}", 0)

    def hear(self, stalled: list[Silence], held: list[Silence]) -> None:
        self.stalled, self.held = list(stalled), list(held)

    def publish(self, *values: bytes) -> None:
        self.cluster.publish([Out(self.topic, b"k", value, partition=0) for value in values])

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, (self.stalled, self.held, self.log.reach(self.tp))
            self.runner.step(0.1)

    def copied(self) -> list[bytes | None]:
        return [record.value for record in self.cluster.read(self.out)]

    def lag(self) -> float | None:
        labels = {"processor": self.metrics.processor, "topic": self.topic, "partition": "0"}
        return self.metrics.registry.get_sample_value("alvh_lag_records", labels)


@pytest.fixture
def site(kafka: str) -> Iterator[Site]:
    made = Site(kafka)
    yield made
    made.log.end()
    made.cluster.close()


def test_a_partition_paused_behind_the_loops_back_is_found_and_its_lag_is_right(site: Site) -> None:
    site.publish(b"1")
    site.until(lambda: site.copied() == [b"1"])
    site.log._consumer.pause(KafkaTopicPartition(*site.tp))
    site.publish(b"2", b"3")
    with pytest.raises(PartitionStalled, match=f"{site.topic}/0 has 3 records to read"):
        site.until(lambda: False)
    assert [silence.cause for silence in site.stalled] == [Cause.STALLED]
    assert site.lag() == 3, "two records and the marker of their transaction, none of which was ever fetched"


def test_behind_a_hanging_transaction_nothing_is_stalled_and_it_goes_on_when_that_ends(site: Site) -> None:
    site.publish(b"1")
    site.until(lambda: site.copied() == [b"1"])
    hanging = KafkaProducer(bootstrap_servers=site.servers, transactional_id=f"hanging.{site.topic}")
    try:
        hanging.init_transactions()
        hanging.begin_transaction()
        hanging.send(site.topic, b"never", partition=0)
        hanging.flush(20)
        site.publish(b"2")
        site.until(lambda: [silence.cause for silence in site.held] == [Cause.OPEN_TRANSACTION])
        began = time.monotonic()
        site.until(lambda: time.monotonic() - began > 5.0)  # longer than a stall would be borne
        assert site.stalled == []
        assert site.copied() == [b"1"]
        assert site.lag() == 3
        hanging.abort_transaction()
    finally:
        hanging.close(5)
    site.until(lambda: site.copied() == [b"1", b"2"] and site.held == [])
    site.until(lambda: site.lag() == 0)
