"""What every log must do: one suite, run against the log in memory, the SQLite file and a real Apache Kafka."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from kafka_broker import start_kafka

from processors.errors import DeadlineExceeded, Fenced, LogUnavailable, Rebalanced, UserError
from processors.stream.log import Cluster, Log, Member, Out, Poll, Record, TopicPartition
from processors.stream.memory import MemoryCluster
from processors.stream.partitioner import partition_for
from processors.stream.sqlite import SqliteCluster

PATIENCE = 20.0


class Bench:
    """One kind of log, with topics and groups that belong to one test alone."""

    #: Members of one group share its partitions.
    shares = True
    #: The end of a transaction takes an offset, and sent records lie in the log before it.
    markers = True

    def __init__(self, connect: Callable[[], Cluster]) -> None:
        self.connect = connect
        self.cluster = connect()
        self.name = uuid.uuid4().hex[:8]
        self._logs: list[Log] = []

    def topics(self, *names: str, partitions: int = 2, compacted: bool = False) -> tuple[str, ...]:
        made = tuple(f"{name}.{self.name}" for name in names)
        self.cluster.create(dict.fromkeys(made, partitions), compacted=frozenset(made) if compacted else frozenset())
        return made

    def join(self, *inputs: str, instance: str = "one", group: str = "group") -> Log:
        log = self.cluster.member(Member(f"{group}.{self.name}", instance, inputs))
        self._logs.append(log)
        return log

    def start(self, *inputs: str, instance: str = "one", group: str = "group") -> Log:
        """Join, wait for the partitions, and go on from the committed positions."""
        log = self.join(*inputs, instance=instance, group=group)
        resume(log, inputs, wait_owned(log))
        return log

    def publish(self, topic: str, values: Sequence[bytes], *, partition: int = 0) -> None:
        self.cluster.publish([Out(topic, b"k", value, partition=partition) for value in values], producer=self.name)

    def flush(self, log: Log) -> None:
        """See that what ``log`` has sent lies in the log, where it lies there before the commit."""

    def compact(self, topic: str) -> None:
        raise NotImplementedError

    def trim(self, topic: str) -> None:
        """Delete everything that is in partition 0."""
        raise NotImplementedError

    def close(self) -> None:
        for log in self._logs:
            log.end()
        self.cluster.close()


class MemoryBench(Bench):
    def compact(self, topic: str) -> None:
        self.cluster.compact(topic)

    def trim(self, topic: str) -> None:
        self.cluster.trim(topic, 0, self.cluster.end_offset(TopicPartition(topic, 0)))


class SqliteBench(Bench):
    shares = False
    markers = False

    def compact(self, topic: str) -> None:
        """Compacted when written."""

    def trim(self, topic: str) -> None:
        self.cluster.trim(topic, time.time_ns() + 1)


class KafkaBench(Bench):
    def flush(self, log: Log) -> None:
        log._transactions._producer.flush()

    def compact(self, topic: str) -> None:
        from kafka.admin import ConfigResource, ConfigResourceType

        quick = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "100"}
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, quick)
        self.cluster._admin.alter_configs([resource])
        before = len(list(self.cluster.read(TopicPartition(topic, 0))))
        deadline = time.monotonic() + PATIENCE
        while len(list(self.cluster.read(TopicPartition(topic, 0)))) >= before:
            assert time.monotonic() < deadline, "the broker did not compact"
            time.sleep(0.3)
            self.cluster.publish([Out(topic, b"filler", b"", partition=0)], producer=self.name)  # closes the segment
            before += 1

    def trim(self, topic: str) -> None:
        from kafka.structs import TopicPartition as KafkaTopicPartition

        end = self.cluster.end_offset(TopicPartition(topic, 0))
        self.cluster._admin.delete_records({KafkaTopicPartition(topic, 0): end})


@pytest.fixture(params=["memory", "sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made: Bench
    if request.param == "memory":
        shared = MemoryCluster(deadline=2.0)
        made = MemoryBench(lambda: shared)
    elif request.param == "sqlite":
        made = SqliteBench(lambda: SqliteCluster(tmp_path / "log.db", lease=1.0))
    else:
        from processors.stream.kafka import KafkaCluster

        servers = request.getfixturevalue("kafka")
        made = KafkaBench(lambda: KafkaCluster(servers, deadline=10.0, session_timeout=6.0))
    yield made
    made.close()


def wait_owned(log: Log, count: int | None = None) -> Poll:
    """Poll until partitions are owned, that many if it matters."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        polled = log.poll(0.1)
        assert not polled.records, "records before any seek"
        if polled.partitions and (count is None or len(polled.partitions) == count):
            return polled
    raise AssertionError("no partitions")


def resume(log: Log, inputs: Sequence[str], polled: Poll) -> None:
    for topic in inputs:
        for number in polled.partitions:
            tp = TopicPartition(topic, number)
            committed = log.committed(tp)
            log.seek(tp, log.beginning(tp) if committed is None else committed)


def take(log: Log, count: int) -> list[Record]:
    """Poll until ``count`` records came, and a little longer to see that no more do."""
    found: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < deadline:
        for records in log.poll(0.1).records.values():
            found += records
    for records in log.poll(0.2).records.values():
        found += records
    return found


def values(records: Sequence[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def visible(bench: Bench, topic: str, partition: int = 0) -> list[bytes | None]:
    return values(list(bench.cluster.read(TopicPartition(topic, partition))))


def position(log: Log, tp: TopicPartition) -> int | None:
    """What the member would read next, once it is known."""
    reach = log.reach(tp)
    return None if reach is None else reach.position


def lag(log: Log, tp: TopicPartition) -> int | None:
    reach = log.reach(tp)
    return None if reach is None else reach.lag


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "never became true"
        time.sleep(0.01)


# What is written is read


def test_records_come_in_order_with_key_value_headers_and_time(bench: Bench) -> None:
    (topic,) = bench.topics("in")
    before = time.time_ns()
    headers = (("content-type", b"application/json"), ("empty", b""), ("twice", b"1"), ("twice", b"2"))
    outs = [Out(topic, b"key%d" % n, b"value%d" % n, headers, partition=1) for n in range(5)]
    bench.cluster.publish(outs[:3])
    bench.cluster.publish(outs[3:])
    log = bench.start(topic)
    found = take(log, 5)
    assert [(r.topic, r.partition, r.key, r.value, r.headers) for r in found] == [
        (topic, 1, out.key, out.value, headers) for out in outs
    ]
    offsets = [r.offset for r in found]
    assert offsets == sorted(set(offsets))
    assert offsets[:3] == [0, 1, 2]
    times = [r.timestamp for r in found]
    assert times == sorted(times)
    assert before - 1_000_000 <= times[0]  # Kafka keeps milliseconds
    assert times[-1] <= time.time_ns()


def test_a_megabyte_an_empty_value_and_a_record_without_key_or_value(bench: Bench) -> None:
    (topic,) = bench.topics("in", partitions=1)
    large = bytes(range(256)) * 3900
    bench.cluster.publish(
        [Out(topic, b"a", large), Out(topic, b"", b""), Out(topic, None, b"x"), Out(topic, b"t", None)]
    )
    found = take(bench.start(topic), 4)
    assert [(r.key, r.value) for r in found] == [(b"a", large), (b"", b""), (None, b"x"), (b"t", None)]


def test_a_key_goes_to_the_partition_of_every_kafka_client(bench: Bench) -> None:
    (topic,) = bench.topics("in", partitions=4)
    keys = [b"US", b"EU", b"portfolio-17", b"x" * 33, b""]
    bench.cluster.publish([Out(topic, key, b"") for key in keys] + [Out(topic, None, b"")])
    for number in range(4):
        found = [r.key for r in bench.cluster.read(TopicPartition(topic, number))]
        assert found == [k for k in [*keys, None] if partition_for(k, 4) == number]


def test_a_topic_that_is_empty(bench: Bench) -> None:
    (topic,) = bench.topics("in")
    tp = TopicPartition(topic, 0)
    log = bench.start(topic)
    assert log.poll(0.05).records == {}
    assert log.committed(tp) is None
    assert log.beginning(tp) == 0
    assert log.caught_up(tp)
    assert list(log.read(tp)) == []
    assert bench.cluster.end_offset(tp) == 0
    assert list(bench.cluster.read(tp)) == []


def test_reading_a_topic_from_an_offset(bench: Bench) -> None:
    (topic,) = bench.topics("in")
    bench.publish(topic, [b"a", b"b", b"c"])
    assert values(list(bench.cluster.read(TopicPartition(topic, 0), 1))) == [b"b", b"c"]
    assert list(bench.cluster.read(TopicPartition(topic, 0), 99)) == []


def test_two_readings_at_the_same_time(bench: Bench) -> None:
    a, b = bench.topics("a", "b")
    bench.publish(a, [b"%d" % n for n in range(10)])
    bench.publish(b, [b"%d" % -n for n in range(10)])
    both = zip(bench.cluster.read(TopicPartition(a, 0)), bench.cluster.read(TopicPartition(b, 0)), strict=True)
    assert [(x.value, y.value) for x, y in both] == [(b"%d" % n, b"%d" % -n) for n in range(10)]


# Topics


def test_creating_again_changes_nothing(bench: Bench) -> None:
    (topic,) = bench.topics("in", partitions=3)
    bench.cluster.create({topic: 5, f"other.{bench.name}": 1})
    assert bench.cluster.topics()[topic] == 3
    assert bench.cluster.topics()[f"other.{bench.name}"] == 1


def test_what_does_not_exist_is_named(bench: Bench) -> None:
    (topic,) = bench.topics("in")
    with pytest.raises(UserError, match="nowhere"):
        bench.join("nowhere")
    with pytest.raises(UserError, match="nowhere"):
        bench.cluster.publish([Out("nowhere", b"", b"")])
    with pytest.raises(UserError, match="nowhere"):
        bench.cluster.end_offset(TopicPartition("nowhere", 0))
    with pytest.raises(UserError, match="partitions 0 to 1, not 2"):
        bench.cluster.publish([Out(topic, b"", b"", partition=2)])
    log = bench.start(topic)
    with pytest.raises(UserError, match="nowhere"):
        log.send(Out("nowhere", b"", b""))
    with pytest.raises(ValueError, match="not owned"):
        log.seek(TopicPartition(topic, 2), 0)


def test_inputs_with_different_partition_counts_are_refused(bench: Bench) -> None:
    (a,) = bench.topics("a", partitions=1)
    (b,) = bench.topics("b", partitions=2)
    with pytest.raises(UserError, match="same number of partitions"):
        bench.join(a, b)


# Positions


def test_a_restart_goes_on_from_the_committed_position(bench: Bench) -> None:
    (topic,) = bench.topics("in")
    tp = TopicPartition(topic, 0)
    bench.publish(topic, [b"a", b"b", b"c"])
    log = bench.start(topic)
    found = take(log, 3)
    log.commit({tp: found[1].offset + 1})
    log.end()
    again = bench.start(topic)
    assert again.committed(tp) == found[1].offset + 1
    assert again.committed(TopicPartition(topic, 1)) is None
    assert values(take(again, 1)) == [b"c"]


def test_groups_do_not_see_each_others_positions(bench: Bench) -> None:
    (topic,) = bench.topics("in")
    tp = TopicPartition(topic, 0)
    bench.publish(topic, [b"a"])
    log = bench.start(topic, group="x")
    log.commit({tp: 1})
    other = bench.start(topic, group="y")
    assert other.committed(tp) is None
    assert values(take(other, 1)) == [b"a"]


def test_seeking_back_reads_again(bench: Bench) -> None:
    (topic,) = bench.topics("in")
    bench.publish(topic, [b"a", b"b", b"c"])
    log = bench.start(topic)
    found = take(log, 3)
    log.seek(TopicPartition(topic, 0), found[1].offset)
    assert values(take(log, 2)) == [b"b", b"c"]
    log.seek(TopicPartition(topic, 0), 0)
    assert values(take(log, 3)) == [b"a", b"b", b"c"]


def test_a_paused_partition_is_silent_until_it_is_resumed(bench: Bench) -> None:
    a, b = bench.topics("a", "b", partitions=1)
    ta, tb = TopicPartition(a, 0), TopicPartition(b, 0)
    log = bench.start(a, b)
    log.pause([ta])
    bench.publish(a, [b"a"])
    bench.publish(b, [b"b"])
    assert values(take(log, 1)) == [b"b"]
    assert not log.caught_up(ta)
    eventually(lambda: not log.poll(0.01).records and log.caught_up(tb))
    log.resume([ta])
    assert values(take(log, 1)) == [b"a"]


def test_pausing_before_the_seek_holds(bench: Bench) -> None:
    (topic,) = bench.topics("in", partitions=1)
    tp = TopicPartition(topic, 0)
    bench.publish(topic, [b"a"])
    log = bench.join(topic)
    wait_owned(log)
    log.pause([tp])
    log.seek(tp, 0)
    assert log.poll(0.3).records == {}
    log.resume([tp])
    assert values(take(log, 1)) == [b"a"]


def test_nothing_is_read_before_the_seek(bench: Bench) -> None:
    (topic,) = bench.topics("in", partitions=1)
    tp = TopicPartition(topic, 0)
    bench.publish(topic, [b"a", b"b"])
    log = bench.join(topic)
    wait_owned(log)
    assert log.poll(0.3).records == {}
    assert not log.caught_up(tp)
    assert log.reach(tp) is None
    log.seek(tp, 1)
    assert values(take(log, 1)) == [b"b"]


def test_a_position_that_retention_has_passed_is_fatal(bench: Bench) -> None:
    (topic,) = bench.topics("in", partitions=1)
    tp = TopicPartition(topic, 0)
    bench.publish(topic, [b"a", b"b"])
    bench.trim(topic)
    bench.publish(topic, [b"c"])
    log = bench.start(topic)
    assert log.beginning(tp) >= 2
    assert values(take(log, 1)) == [b"c"]
    log.seek(tp, 0)
    with pytest.raises(LogUnavailable, match="retention"):
        take(log, 1)
    assert values(list(bench.cluster.read(tp))) == [b"c"]
    assert values(list(log.read(tp))) == [b"c"]


def test_lag_and_caught_up(bench: Bench) -> None:
    (topic,) = bench.topics("in", partitions=1)
    tp = TopicPartition(topic, 0)
    bench.publish(topic, [b"a", b"b", b"c"])
    log = bench.start(topic)
    assert not log.caught_up(tp)
    take(log, 3)
    eventually(lambda: not log.poll(0.01).records and log.caught_up(tp))
    eventually(lambda: not log.poll(0.01).records and lag(log, tp) == 0)
    bench.publish(topic, [b"d"])
    log.poll(0.0)
    log.seek(tp, 0)
    assert not log.caught_up(tp)
    assert position(log, tp) == 0
    assert values(take(log, 4)) == [b"a", b"b", b"c", b"d"]


# Transactions


def test_outputs_and_positions_are_one(bench: Bench) -> None:
    a, out = bench.topics("in", "out")
    tp = TopicPartition(a, 0)
    bench.publish(a, [b"a"])
    log = bench.start(a)
    take(log, 1)
    log.send(Out(out, b"k", b"1", partition=0))
    log.send(Out(out, b"k", b"2", partition=1))
    assert visible(bench, out) == visible(bench, out, 1) == []
    assert log.committed(tp) is None
    log.commit({tp: 1})
    assert visible(bench, out) == [b"1"]
    assert visible(bench, out, 1) == [b"2"]
    assert log.committed(tp) == 1
    log.send(Out(out, b"k", b"3", partition=0))
    log.commit({})  # outputs alone
    log.commit({tp: 2})  # positions alone
    log.commit({})  # nothing
    assert visible(bench, out) == [b"1", b"3"]
    assert log.committed(tp) == 2


def test_ending_aborts_what_is_open(bench: Bench) -> None:
    a, out = bench.topics("in", "out")
    log = bench.start(a)
    log.send(Out(out, b"k", b"never", partition=0))
    log.end()
    log.end()
    again = bench.start(a)
    again.send(Out(out, b"k", b"once", partition=0))
    again.commit({TopicPartition(a, 0): 0})
    assert visible(bench, out) == [b"once"]


def test_a_log_that_ends_in_a_marker_or_in_aborted_records_is_read_to_its_end(bench: Bench) -> None:
    a, out = bench.topics("in", "out", partitions=1)
    tp = TopicPartition(out, 0)
    writer = bench.start(a, group="writer")
    reader = bench.start(out, group="reader")
    for value in (b"1", b"2"):
        writer.send(Out(out, b"k", value))
        writer.commit({})
    assert values(take(reader, 2)) == [b"1", b"2"]
    eventually(lambda: not reader.poll(0.01).records and reader.caught_up(tp))
    if bench.markers:
        assert bench.cluster.end_offset(tp) == 4
    writer.send(Out(out, b"k", b"aborted"))
    bench.flush(writer)
    writer.end()
    if bench.markers:
        eventually(lambda: bench.cluster.end_offset(tp) == 6)
    for read in (bench.cluster.read(tp), reader.read(tp)):
        assert values(list(read)) == [b"1", b"2"]
    eventually(lambda: not reader.poll(0.01).records and reader.caught_up(tp))
    eventually(lambda: not reader.poll(0.01).records and lag(reader, tp) == 0)
    eventually(lambda: not reader.poll(0.01).records and position(reader, tp) == bench.cluster.end_offset(tp))


def test_restoring_waits_for_an_open_transaction_and_is_complete(bench: Bench) -> None:
    if not bench.markers:
        pytest.skip("nothing uncommitted is ever in this log")
    a, state = bench.topics("in", "state", partitions=1)
    tp = TopicPartition(state, 0)
    slow = bench.start(a, group="slow")
    slow.send(Out(state, b"k", b"slow"))
    bench.flush(slow)
    bench.publish(state, [b"behind it"])
    assert visible(bench, state) == []
    quick = bench.start(a, group="quick")
    found: list[bytes | None] = []
    restore = threading.Thread(target=lambda: found.extend(values(list(quick.read(tp)))))
    restore.start()
    time.sleep(0.5)
    assert found == []
    slow.commit({})
    restore.join(PATIENCE)
    assert found == [b"slow", b"behind it"]


def test_restoring_gives_up_on_a_transaction_that_stays_open(tmp_path: Path) -> None:
    cluster = MemoryCluster(deadline=0.05)
    cluster.create({"in": 1, "state": 1})
    cluster.member(Member("slow", "one", ("in",))).send(Out("state", b"k", b"v"))
    with pytest.raises(DeadlineExceeded, match="stayed open"):
        list(cluster.member(Member("quick", "one", ("in",))).read(TopicPartition("state", 0)))


# Members


def test_the_same_instance_started_again_fences_the_old_one(bench: Bench) -> None:
    a, out = bench.topics("in", "out")
    tp = TopicPartition(a, 0)
    old = bench.start(a)
    old.send(Out(out, b"k", b"old", partition=0))
    new = bench.start(a)
    new.send(Out(out, b"k", b"new", partition=0))
    new.commit({tp: 1})
    with pytest.raises(Fenced):
        old.commit({tp: 9})
    new.send(Out(out, b"k", b"newer", partition=0))
    new.commit({tp: 2})  # the old one's try has not fenced the new one
    assert visible(bench, out) == [b"new", b"newer"]
    assert new.committed(tp) == 2
    old.end()
    new.commit({tp: 3})
    assert new.committed(tp) == 3


def test_a_fenced_member_learns_it_from_polling_too(bench: Bench) -> None:
    (a,) = bench.topics("in")
    old = bench.start(a)
    bench.start(a)
    with pytest.raises(Fenced):
        eventually(lambda: bool(old.poll(0.1) and False))


def test_another_instance_takes_over_when_the_first_has_ended(bench: Bench) -> None:
    (a,) = bench.topics("in")
    tp = TopicPartition(a, 0)
    bench.publish(a, [b"a", b"b"])
    first = bench.start(a, instance="one")
    take(first, 2)
    first.commit({tp: 1})
    if not bench.shares:
        waiting = bench.join(a, instance="two")
        assert waiting.poll(0.3).partitions == frozenset()
    else:
        waiting = None
    started = time.monotonic()
    first.end()
    second = waiting or bench.join(a, instance="two")
    resume(second, [a], wait_owned(second, 2))
    assert time.monotonic() - started < 5.0
    assert values(take(second, 1)) == [b"b"]


def test_members_share_the_partitions_and_a_stale_one_cannot_commit(bench: Bench) -> None:
    if not bench.shares:
        pytest.skip("one member at a time")
    a, b, out = bench.topics("a", "b", "out", partitions=4)
    tps = [TopicPartition(topic, n) for topic in (a, b) for n in range(4)]
    for tp in tps:
        bench.publish(tp.topic, [b"%d" % tp.partition], partition=tp.partition)
    one = bench.join(a, b, instance="one")
    first = wait_owned(one, 4)
    resume(one, (a, b), first)
    one.send(Out(out, b"k", b"stale", partition=0))
    two = bench.join(a, b, instance="two")
    polls: dict[Log, Poll] = {one: first, two: two.poll(0.0)}
    # the group moves only when both poll: side by side, as two processes do
    second = threading.Thread(target=lambda: polls.update({two: wait_owned(two, 2)}))
    second.start()
    deadline = time.monotonic() + PATIENCE
    while len(polls[one].partitions) != 2:
        assert time.monotonic() < deadline
        polls[one] = one.poll(0.1)
    second.join(PATIENCE)
    assert polls[one].generation != first.generation
    assert polls[one].partitions | polls[two].partitions == frozenset(range(4))
    assert not polls[one].partitions & polls[two].partitions
    assert visible(bench, out) == []  # the new generation aborted what was open
    for log in (one, two):
        resume(log, (a, b), polls[log])
        found = take(log, 4)
        assert {(r.topic, r.partition) for r in found} == {(t, n) for t in (a, b) for n in polls[log].partitions}
        log.send(Out(out, b"k", b"fresh", partition=0))
        log.commit({TopicPartition(r.topic, r.partition): r.offset + 1 for r in found})
    assert visible(bench, out) == [b"fresh", b"fresh"]
    two.end()
    one.send(Out(out, b"k", b"stale", partition=0))
    eventually(lambda: len(one.poll(0.1).partitions) == 4)
    assert visible(bench, out) == [b"fresh", b"fresh"]


def test_a_commit_of_an_old_generation_is_refused_and_the_member_goes_on(bench: Bench) -> None:
    if not bench.shares:
        pytest.skip("one member at a time")
    a, out = bench.topics("a", "out", partitions=1)
    tp = TopicPartition(a, 0)
    one = bench.start(a, instance="one")
    put_out(bench, one, a)
    one.send(Out(out, b"k", b"stale", partition=0))
    with pytest.raises(Rebalanced):
        one.commit({tp: 7})
    assert visible(bench, out) == []
    assert one.committed(tp) is None
    resume(one, [a], wait_owned(one))
    one.send(Out(out, b"k", b"fresh", partition=0))
    one.commit({tp: 0})
    assert visible(bench, out) == [b"fresh"]


def test_refused_positions_do_not_come_with_the_next_commit(bench: Bench) -> None:
    """Others own those partitions by then: their positions would go back."""
    if not bench.shares:
        pytest.skip("one member at a time")
    a, out = bench.topics("a", "out", partitions=2)
    lost, kept = TopicPartition(a, 0), TopicPartition(a, 1)
    one = bench.start(a, instance="one")
    put_out(bench, one, a)
    one.send(Out(out, b"k", b"stale", partition=0))
    with pytest.raises(Rebalanced):
        one.commit({lost: 7, kept: 7})
    resume(one, [a], wait_owned(one))
    one.send(Out(out, b"k", b"fresh", partition=0))
    one.commit({kept: 0})
    assert one.committed(kept) == 0
    assert one.committed(lost) is None


def put_out(bench: Bench, log: Log, topic: str) -> None:
    """Move the group on without this member, as when its session times out."""
    if isinstance(bench, MemoryBench):
        bench.join(topic, instance="two")
    else:
        bench.cluster.remove(log._member, log._assignments.group.member_id)


# Compaction


def test_a_compacted_topic_keeps_the_newest_of_each_key(bench: Bench) -> None:
    (state,) = bench.topics("state", partitions=1, compacted=True)
    (a,) = bench.topics("in", partitions=1)
    tp = TopicPartition(state, 0)
    rows = [(b"a", b"1"), (b"b", b"1"), (b"gone", b"1"), (b"a", b"2"), (b"gone", None), (b"a", b"3")]
    bench.cluster.publish([Out(state, key, value) for key, value in rows])
    log = bench.start(a)
    log.send(Out(state, b"b", b"2"))
    log.commit({})
    bench.compact(state)
    found = [(r.key, r.value) for r in log.read(tp) if r.key != b"filler"]
    latest = {key: value for key, value in found if value is not None}
    assert latest == {b"a": b"3", b"b": b"2"}
    assert found.count((b"a", b"1")) == found.count((b"b", b"1")) == 0
    offsets = [r.offset for r in bench.cluster.read(tp)]
    assert offsets == sorted(offsets)
    reader = bench.start(state, group="reader")
    assert {r.key: r.value for r in take(reader, 2) if r.key in latest} == latest
    eventually(lambda: not reader.poll(0.01).records and reader.caught_up(tp))


# When the broker is gone


@pytest.mark.kafka
def test_a_commit_without_a_broker_ends_in_time_and_the_restart_goes_on() -> None:
    from processors.stream.kafka import KafkaCluster

    with start_kafka() as nodes:
        cluster = KafkaCluster(nodes.bootstrap, deadline=3.0, session_timeout=6.0)
        cluster.create({"in": 1, "out": 1})
        tp, out = TopicPartition("in", 0), TopicPartition("out", 0)
        log = cluster.member(Member("group", "one", ("in",)))
        resume(log, ["in"], wait_owned(log))
        log.send(Out("out", b"k", b"1"))
        log.commit({tp: 1})
        log.send(Out("out", b"k", b"lost"))
        nodes.brokers[0].kill()
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            log.commit({tp: 2})
        assert 2.5 < time.monotonic() - started < 4.0
        log.end()
        cluster.close()
        assert time.monotonic() - started < 15.0
        with pytest.raises(LogUnavailable):
            KafkaCluster(nodes.bootstrap, deadline=1.0)
        nodes.brokers[0].start()
        nodes.brokers[0].wait(time.monotonic() + 30)
        cluster = KafkaCluster(nodes.bootstrap, deadline=10.0, session_timeout=6.0)
        log = cluster.member(Member("group", "one", ("in",)))
        polled = wait_owned(log)
        assert log.committed(tp) == 1
        resume(log, ["in"], polled)
        log.send(Out("out", b"k", b"2"))
        log.commit({tp: 2})
        assert values(list(cluster.read(out))) == [b"1", b"2"]
        log.end()
        cluster.close()


@pytest.mark.kafka
def test_a_broker_that_restarts_in_a_commit_leaves_all_of_it_or_nothing() -> None:
    from processors.stream.kafka import KafkaCluster

    with start_kafka() as nodes:
        cluster = KafkaCluster(nodes.bootstrap, deadline=8.0)
        cluster.create({"in": 1, "out": 1})
        log = cluster.member(Member("group", "one", ("in",)))
        resume(log, ["in"], wait_owned(log))
        log.send(Out("out", b"k", b"1"))
        log.commit({})
        nodes.brokers[0].kill()
        log.send(Out("out", b"k", b"2"))
        nodes.brokers[0].start()
        committed = False
        with suppress(DeadlineExceeded, LogUnavailable, Fenced):  # allowed: the process ends and is started again
            log.commit({TopicPartition("in", 0): 1})
            committed = True
        log.end()
        nodes.brokers[0].wait(time.monotonic() + 30)
        again = cluster.member(Member("group", "one", ("in",)))
        wait_owned(again)
        assert again.committed(TopicPartition("in", 0)) == (1 if committed else None)
        assert values(list(again.read(TopicPartition("out", 0)))) == [b"1", b"2"][: 1 + committed]
        again.end()
        cluster.close()
