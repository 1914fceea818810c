"""Each guard of the Kafka log is needed: the same scenario with it and, switched off here, without it.

With the guard nothing is wrong; without it the damage is there that the guard's comment in the code speaks of. All of
it on a real Apache Kafka.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from forgetful import Forgetful
from kafka import KafkaConsumer
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import ConsumerGroupMetadata
from kafka_broker import start_kafka

from processors.errors import AlvhError, DeadlineExceeded, Fenced, LogUnavailable, Rebalanced
from processors.stream import kafka as stream_kafka
from processors.stream import kafka_producer, kafka_reader
from processors.stream.kafka import KafkaCluster, KafkaLog
from processors.stream.log import Member, Out, Record, Records, TopicPartition
from processors.stream.metrics import Metrics
from processors.stream.processor import Alive, Decoded, Input, Run, Segment, unseen
from processors.stream.runner import Runner
from topics.catalog import DEAD_LETTERS, changelog

pytestmark = pytest.mark.kafka

PATIENCE = 20.0


class Stage:
    """Topics and a group that belong to one test alone."""

    def __init__(self, servers: str, **settings: Any) -> None:
        self.name = uuid.uuid4().hex[:8]
        self.cluster = KafkaCluster(
            servers, **{"deadline": 10.0, "session_timeout": 30.0, "transaction_timeout": 50.0, **settings}
        )
        self.input, self.other, self.out = (f"{kind}.{self.name}" for kind in ("in", "other", "out"))
        self._logs: list[KafkaLog] = []

    def create(self, partitions: int = 1) -> None:
        self.cluster.create(dict.fromkeys((self.input, self.other, self.out), partitions))

    def join(self, instance: str, *inputs: str, group: str = "group") -> KafkaLog:
        log = self.cluster.member(Member(f"{group}.{self.name}", instance, inputs or (self.input,)))
        self._logs.append(log)
        return log

    def start(self, instance: str, *inputs: str, group: str = "group") -> KafkaLog:
        log = self.join(instance, *inputs, group=group)
        take_up(log)
        return log

    def publish(self, topic: str, count: int) -> None:
        self.cluster.publish([Out(topic, b"k", b"%d" % n, partition=0) for n in range(count)], producer=self.name)

    def visible(self, topic: str | None = None) -> list[bytes | None]:
        return [record.value for record in self.cluster.read(TopicPartition(topic or self.out, 0))]

    def settled(self) -> list[bytes | None]:
        """What is visible once every transaction is over: the broker writes markers a little later than it answers."""
        deadline = time.monotonic() + PATIENCE
        tp = TopicPartition(self.out, 0)
        while self.cluster._readers.stable_end(tp) < self.cluster.end_offset(tp):
            assert time.monotonic() < deadline, "a transaction is open"
            time.sleep(0.05)
        return self.visible()

    def end_session(self, log: KafkaLog) -> None:
        """The broker takes the member out, as it does with one that is silent for too long; it is not told."""
        group = log._assignments.group
        assert group is not None
        self.cluster.remove(log._member, group.member_id)

    def close(self) -> None:
        for log in self._logs:
            log.end()
        self.cluster.close()


@pytest.fixture
def stage(kafka: str) -> Iterator[Stage]:
    made = Stage(kafka)
    made.create()
    yield made
    made.close()


def take_up(log: KafkaLog) -> None:
    """Poll until partitions are owned, and go on from the committed positions, as a runner does."""
    deadline = time.monotonic() + PATIENCE
    while not (polled := log.poll(0.1)).partitions:
        assert time.monotonic() < deadline, "no partitions"
    for topic in log._member.inputs:
        for number in polled.partitions:
            tp = TopicPartition(topic, number)
            committed = log.committed(tp)
            log.seek(tp, log.beginning(tp) if committed is None else committed)


def take(log: KafkaLog, count: int, topic: str) -> list[Record]:
    """Poll until that many records of a topic came, for ten seconds at most."""
    found: list[Record] = []
    deadline = time.monotonic() + 10.0
    while len(found) < count and time.monotonic() < deadline:
        for tp, records in log.poll(0.1).records.items():
            found += records if tp.topic == topic else ()
    return found


guarded = pytest.mark.parametrize("guard", [True, False], ids=["guard", "no_guard"])


# Who may commit


@guarded
def test_the_generation_goes_with_the_positions(stage: Stage, guard: bool) -> None:
    """Without it a member that lost its partitions while it stood still commits what its successor has done again."""
    tp = TopicPartition(stage.input, 0)
    stage.publish(stage.input, 1)
    still = stage.start("still")
    (record,) = take(still, 1, stage.input)
    still.send(Out(stage.out, b"k", record.value))
    stage.end_session(still)
    successor = stage.start("successor")
    (record,) = take(successor, 1, stage.input)
    successor.send(Out(stage.out, b"k", record.value))
    successor.commit({tp: 1})
    if guard:
        with pytest.raises(Rebalanced):
            still.commit({tp: 1})
        assert stage.settled() == [b"0"]
    else:
        still._assignments.group = ConsumerGroupMetadata(f"group.{stage.name}", -1, "", None)
        still.commit({tp: 1})
        assert stage.settled() == [b"0", b"0"]


class SlowAssignor(RangePartitionAssignor):
    """Gives the others a long while between the answer to joining and the assignment."""

    slow = threading.Event()

    @classmethod
    def assign(cls, *arguments: Any) -> Any:
        if cls.slow.is_set():
            time.sleep(3.0)
        return super().assign(*arguments)


@guarded
def test_the_generation_is_the_one_that_brought_the_assignment(
    kafka: str, guard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client shows the next generation before it has its partitions: with that one a commit would be let through
    though the partition has gone to another member, which has done the work already."""
    stage = Stage(kafka)
    stage.create(partitions=2)
    tp = TopicPartition(stage.input, 1)
    SlowAssignor.slow.clear()
    stage.cluster.publish([Out(stage.input, b"k", b"0", partition=1)], producer=stage.name)
    threads: list[threading.Thread] = []
    stop = threading.Event()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(stream_kafka, "RangePartitionAssignor", SlowAssignor)
            leader = stage.start("b-leader")
        still = stage.join("c-still")
        taking_over: list[Record] = []

        def lead() -> None:
            """What a runner does, and the work on partition 1 once it is given to this member."""
            while not stop.is_set():
                generation = leader._generation
                polled = leader.poll(0.1)
                if polled.generation != generation:
                    for number in polled.partitions:
                        one = TopicPartition(stage.input, number)
                        leader.seek(one, leader.committed(one) or 0)
                for record in polled.records.get(tp, ()):
                    if still_polled.is_set():
                        taking_over.append(record)
                        leader.send(Out(stage.out, b"k", record.value, partition=0))
                        leader.commit({tp: record.offset + 1})

        still_polled = threading.Event()
        threads.append(threading.Thread(target=lead, daemon=True))
        threads[0].start()
        take_up(still)
        assert still._partitions == {1}
        (record,) = take(still, 1, stage.input)
        still.send(Out(stage.out, b"k", record.value, partition=0))
        SlowAssignor.slow.set()
        new = stage.join("a-new")
        threads.append(threading.Thread(target=lambda: [new.poll(0.1) for _ in iter(stop.is_set, True)], daemon=True))
        threads[1].start()
        before = still._assignments.group
        assert before is not None
        deadline = time.monotonic() + PATIENCE
        while still._consumer.group_metadata().generation_id <= before.generation_id:
            assert time.monotonic() < deadline, "the rebalance did not begin"
            still.poll(0.01)
        assert not still._assignments.news, "it joined, and has no partitions yet: here it stands still"
        still_polled.set()
        while not taking_over:
            assert time.monotonic() < deadline + PATIENCE, "the leader was not given the partition"
            time.sleep(0.05)
        if guard:
            with pytest.raises(Rebalanced):
                still.commit({tp: 1})
            assert stage.settled() == [b"0"]
        else:
            still._assignments.group = still._consumer.group_metadata()
            still.commit({tp: 1})
            assert stage.settled() == [b"0", b"0"]
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        stage.close()


# without the guard a broker refuses the new epoch or gives it, as it happens to be asked: that cannot be shown at will
@pytest.mark.parametrize("guard", [True], ids=["guard"])
def test_a_fenced_producer_asks_for_no_new_epoch(stage: Stage, guard: bool) -> None:
    """Else the member that was replaced fences the one that replaced it."""
    old = stage.start("same")
    if not guard:
        old._transactions._producer._transaction_manager._supports_epoch_bump = lambda: True
    old.send(Out(stage.out, b"k", b"old"))
    old._transactions._producer.flush()
    new = stage.start("same")
    new.send(Out(stage.out, b"k", b"new"))
    new.commit({TopicPartition(stage.input, 0): 0})
    old.send(Out(stage.out, b"k", b"older"))
    old._transactions._producer.flush(5.0)
    with pytest.raises(AlvhError):
        old.commit({TopicPartition(stage.input, 0): 0})
    new.send(Out(stage.out, b"k", b"newer"))
    if guard:
        new.commit({TopicPartition(stage.input, 0): 0})
        assert stage.settled() == [b"new", b"newer"]
    else:
        with pytest.raises(Fenced):
            new.commit({TopicPartition(stage.input, 0): 0})
        assert stage.visible() == [b"new"]


@guarded
def test_a_fenced_member_does_not_poll_on_in_silence(
    stage: Stage, guard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the look at the heartbeats it would be ready for ever, and read nothing new that it could commit."""
    old = stage.start("same")
    stage.start("same")
    if guard:
        with pytest.raises(Fenced, match="was started again"):
            take(old, 1, stage.input)
    else:
        monkeypatch.setattr(old, "_check", lambda: None)
        assert take(old, 1, stage.input) == []
        assert old._partitions == {0}


# Reading


@guarded
def test_state_is_read_to_the_high_watermark(stage: Stage, guard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end that readers of committed records are told stops before the oldest open transaction of anybody: state
    that is committed behind it would be missing."""
    tp = TopicPartition(stage.out, 0)
    slow, quick = stage.start("one", group="slow"), stage.start("one", group="quick")
    slow.send(Out(stage.out, b"slow", b"1"))
    slow._transactions._producer.flush()
    quick.send(Out(stage.out, b"quick", b"1"))
    quick.commit({})
    if not guard:
        monkeypatch.setattr(stage.cluster, "end_offset", quick._readers.stable_end)
        assert list(quick.read(tp)) == []
        return
    found: list[bytes | None] = []
    reading = threading.Thread(target=lambda: found.extend(record.key for record in quick.read(tp)), daemon=True)
    reading.start()
    slow.commit({})
    reading.join(PATIENCE)
    assert found == [b"slow", b"quick"]


class CountingConsumer(KafkaConsumer):  # type: ignore[misc]
    """Its position is one behind the last record that it returned, or where it was told to begin."""

    at = 0

    def seek(self, tp: Any, offset: int) -> None:
        self.at = offset
        super().seek(tp, offset)

    def poll(self, *arguments: Any, **named: Any) -> Any:
        found = super().poll(*arguments, **named)
        for records in found.values():
            self.at = records[-1].offsets[-1] + 1
        return found

    def position(self, tp: Any, **named: Any) -> int:
        return self.at


@guarded
def test_the_position_tells_the_end_and_not_the_last_record(
    kafka: str, guard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The markers of transactions take offsets: behind the last record the end would never be reached."""
    if not guard:
        monkeypatch.setattr(kafka_reader, "KafkaConsumer", CountingConsumer)
    stage = Stage(kafka, deadline=3.0)
    stage.create()
    try:
        writer = stage.start("writer")
        writer.send(Out(stage.out, b"k", b"1"))
        writer.commit({})
        if guard:
            assert [record.value for record in writer.read(TopicPartition(stage.out, 0))] == [b"1"]
        else:
            with pytest.raises(DeadlineExceeded, match="position 1 of 2 has not moved"):
                list(writer.read(TopicPartition(stage.out, 0)))
    finally:
        stage.close()


@guarded
def test_a_predecessors_transaction_is_ended_before_state_is_read(
    kafka: str, guard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a start waits for what a dead predecessor left open until the broker gives it up."""
    stage = Stage(kafka, deadline=3.0)
    stage.create()
    try:
        dead = stage.start("same")
        dead.send(Out(stage.out, b"k", b"open"))
        dead._transactions._producer.flush()
        if not guard:
            monkeypatch.setattr(kafka_producer.KafkaProducer, "init_transactions", lambda self: None)
        log = stage.join("same")
        if guard:
            assert list(log.read(TopicPartition(stage.out, 0))) == []
        else:
            with pytest.raises(DeadlineExceeded, match="a producer that is gone"):
                list(log.read(TopicPartition(stage.out, 0)))
    finally:
        stage.close()


@guarded
def test_a_partition_is_silent_until_it_is_sought(stage: Stage, guard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the client looks for a position by itself, and a group that has never committed one cannot start."""
    if not guard:

        def unpaused(self: Any, assigned: Any) -> None:
            self.group = self.consumer.group_metadata()
            self.news = True

        monkeypatch.setattr(stream_kafka._Assignments, "on_partitions_assigned", unpaused)
    stage.publish(stage.input, 1)
    log = stage.join("one")
    if guard:
        take_up(log)
        assert len(take(log, 1, stage.input)) == 1
    else:
        with pytest.raises(LogUnavailable, match="NoOffsetForPartition"):
            take_up(log)


@guarded
def test_what_was_put_aside_while_paused_is_taken_up_again(
    kafka: str, guard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a partition that is paused with fetched records in hand stays silent when it is resumed."""
    if not guard:
        monkeypatch.setattr(KafkaLog, "_unpark", lambda self: None)
    stage = Stage(kafka, max_records=5)
    stage.create()
    try:
        log = stage.start("one", stage.input, stage.other)
        paused = TopicPartition(stage.input, 0)
        stage.publish(stage.input, 100)
        first = take(log, 5, stage.input)
        log.pause([paused])
        stage.publish(stage.other, 20)
        take(log, 20, stage.other)
        for _ in range(5):
            log.poll(0.1)
        log.resume([paused])
        rest = take(log, 100 - len(first), stage.input)
        assert len(first) + len(rest) == 100 if guard else not rest
    finally:
        stage.close()


# Leaving and waiting


@guarded
def test_who_ends_gives_its_partitions_to_the_others_at_once(
    stage: Stage, guard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member with a fixed name does not leave by closing: the others would wait for the end of its session."""
    first = stage.start("first")
    if not guard:
        monkeypatch.setattr(stage.cluster, "remove", lambda member, member_id: None)
    first.end()
    second = stage.join("second")
    owned = any(second.poll(0.1).partitions for _ in range(50))
    assert owned == guard


class Direct:
    """Makes a call without a deadline, on the thread that asks."""

    stuck = None

    def __init__(self, name: str) -> None:
        self.name = name

    def call(self, what: str, seconds: float, function: Callable[[], Any]) -> Any:
        return function()

    def close(self) -> None:
        """There is nothing to close."""


@guarded
def test_a_commit_has_a_deadline_of_its_own(guard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits for its coordinator for as long as that is gone, whatever its own settings say."""
    with start_kafka() as nodes:
        if not guard:
            monkeypatch.setattr(kafka_producer, "Caller", Direct)
        stage = Stage(nodes.bootstrap, deadline=2.0)
        stage.create()
        log = stage.start("one")
        log.send(Out(stage.out, b"k", b"1"))
        ended: list[BaseException | None] = []

        def commit() -> None:
            try:
                log.commit({TopicPartition(stage.input, 0): 0})
                ended.append(None)
            except AlvhError as error:
                ended.append(error)

        nodes.brokers[0].kill()
        committing = threading.Thread(target=commit, daemon=True)
        committing.start()
        committing.join(10.0)
        if guard:
            assert isinstance(ended[0], DeadlineExceeded)
            log.end()
        else:
            assert ended == [], "five deadlines later it still waits"
            log._transactions._failed = True  # or its end would wait for an abort as well
            log.end()
        stage.cluster.close()


# Memory


class Total:
    """Adds up numbers; each input says how far it has come."""

    name = "guards"
    metrics = ()

    def __init__(self, topic: str, out: str) -> None:
        self.inputs = (Input(topic),)
        self.outputs = (out,)

    def decode(self, record: Record) -> Decoded:
        return Decoded(np.array([record.offset + 1], dtype=np.int64), int(record.value or b"0"))

    def gather(self, records: Records) -> Sequence[Run]:
        return ()

    def task(self, partition: int) -> _TotalTask:
        return _TotalTask(self.outputs[0])


class _TotalTask:
    def __init__(self, out: str) -> None:
        self.out, self.sum = out, 0

    def process(self, segments: Sequence[Segment], alive: Alive = unseen) -> list[Out]:
        outs = []
        for segment in segments:
            self.sum += segment.body
            outs.append(Out(self.out, b"sum", b"%d" % self.sum, partition=0))
        return outs

    def snapshot(self) -> Mapping[bytes, bytes | None]:
        return {b"sum": b"%d" % self.sum}

    def restore(self, key: bytes, value: bytes) -> None:
        self.sum = int(value)

    def counts(self) -> Mapping[tuple[str, ...], float]:
        return {}

    def gauges(self) -> Mapping[tuple[str, ...], float]:
        return {}


@guarded
def test_memory_is_put_back_when_a_commit_is_refused(stage: Stage, guard: bool) -> None:
    """Else state runs ahead of the log, and outputs are not those of an uninterrupted run."""
    stage.cluster.create({changelog(Total.name): 1, DEAD_LETTERS: 1})
    total = Total(stage.input, stage.out)
    log = stage.join("one")
    runner = (Runner if guard else Forgetful)(log, total, Metrics(total.name, ()), commit_interval=3600.0)
    stage.cluster.publish([Out(stage.input, b"k", b"1", partition=0)] * 3, producer=stage.name)
    rows, deadline = 0, time.monotonic() + PATIENCE
    while rows < 3:
        assert time.monotonic() < deadline
        rows += runner.step(0.1)
    stage.end_session(log)
    runner.commit()
    assert stage.settled() == []
    while len(stage.visible()) < 3:
        assert time.monotonic() < deadline + PATIENCE
        runner.drain()
    sums = [int(value or b"0") for value in stage.settled()]
    if guard:
        assert sums == [1, 2, 3]
    else:
        assert len(sums) == 3
        assert sums[0] > 3, "each time the work was done again it was added once more"
