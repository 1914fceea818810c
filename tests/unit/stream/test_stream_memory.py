"""The log in memory: dying at every point, and what a broker does by itself."""

from __future__ import annotations

import threading

import pytest

from processors.errors import Fenced, Rebalanced, UserError
from processors.stream.log import Log, Member, Out, TopicPartition
from processors.stream.memory import Crash, CrashPlan, MemoryCluster

IN, STATE, OUT = (TopicPartition(topic, 0) for topic in ("in", "state", "out"))
ME = Member("sum", "one", ("in",))


def cluster(crash: CrashPlan | None = None) -> MemoryCluster:
    made = MemoryCluster(now=iter(range(1, 10_000)).__next__, crash=crash, max_records=2, deadline=0.05)
    made.create({"in": 1, "state": 1, "out": 1}, compacted=frozenset({"state"}))
    return made


def run(log: Log, records: int) -> None:
    """A small processor: the running sum of its inputs, kept in a changelog, one transaction a poll."""
    log.poll(0.0)
    total = sum(int(record.value or b"0") for record in list(log.read(STATE))[-1:])
    position = log.committed(IN)
    position = log.beginning(IN) if position is None else position
    log.seek(IN, position)
    while position < records:
        for record in log.poll(0.0).records.get(IN, ()):
            total += int(record.value or b"0")
            log.send(Out("out", b"sum", b"%d" % total))
            position = record.offset + 1
        log.send(Out("state", b"sum", b"%d" % total))
        log.commit({IN: position})
    log.end()


def outcome(made: MemoryCluster) -> list[bytes | None]:
    return [record.value for record in made.read(OUT)]


def test_dying_at_any_point_and_starting_again_changes_nothing() -> None:
    inputs = [Out("in", b"k", b"%d" % n) for n in (5, 7, 11, 13, 17)]
    quiet = cluster()
    quiet.publish(inputs)
    run(quiet.member(ME), len(inputs))
    assert outcome(quiet) == [b"5", b"12", b"23", b"36", b"53"]
    points = quiet.crash.points
    for kind in ("join", "poll", "poll:after", "send:before", "send:after", "commit:before", "commit:after_outputs"):
        assert kind in points
    for kind in ("commit:after", "committed", "beginning", "seek", "read:after", "end", "end:after"):
        assert kind in points
    for index, point in enumerate(points):
        made = cluster(CrashPlan(index))
        made.publish(inputs)
        with pytest.raises(Crash, match=point):
            run(made.member(ME), len(inputs))
        run(made.member(ME), len(inputs))
        assert outcome(made) == outcome(quiet), f"after dying at {index} ({point})"
        assert list(made.read(STATE))[-1].value == b"53"


def test_dying_in_a_restore() -> None:
    plan = CrashPlan()
    made = cluster(plan)
    made.publish([Out("in", b"k", b"5")])
    run(made.member(ME), 1)
    plan.points.clear()
    run(made.member(ME), 1)
    plan.at, plan.points = plan.points.index("read"), []
    with pytest.raises(Crash, match="read"):
        run(made.member(ME), 1)
    run(made.member(ME), 1)
    assert outcome(made) == [b"5"]


def test_a_crash_is_not_handled_by_accident_and_the_dead_do_nothing() -> None:
    assert not issubclass(Crash, Exception)
    made = cluster(CrashPlan(2))
    log = made.member(ME)
    with pytest.raises(Crash):
        log.poll(0.0)
    log.end()  # as a `finally` would: a process that was killed does not leave its group
    assert made.crash.points == ["join", "poll", "poll:after"]
    with pytest.raises(RuntimeError, match="ended"):
        log.poll(0.0)
    assert made.member(Member("sum", "two", ("in",))).poll(0.0).partitions == frozenset()  # the dead one's session


def test_what_a_dead_member_sent_blocks_readers_until_it_joins_again() -> None:
    made = cluster()
    log = made.member(ME)
    log.poll(0.0)
    log.send(Out("out", b"k", b"open"))
    made.publish([Out("out", b"k", b"behind")])
    assert outcome(made) == []
    assert made.end_offset(OUT) == 3
    made.member(ME)
    assert outcome(made) == [b"behind"]
    assert made.end_offset(OUT) == 4  # and the marker of the abort
    with pytest.raises(Fenced):
        log.send(Out("out", b"k", b"late"))


def test_a_session_that_times_out_aborts_and_gives_the_partitions_away() -> None:
    made = MemoryCluster()
    made.create({"in": 3, "out": 1})
    one, two = (made.member(Member("sum", name, ("in",))) for name in ("one", "two"))
    assert one.poll(0.0).partitions == {0, 1}
    assert two.poll(0.0).partitions == {2}
    one.send(Out("out", b"k", b"lost"))
    made.expire("sum", "one")
    assert two.poll(0.0).partitions == {0, 1, 2}
    with pytest.raises(Rebalanced):
        one.commit({IN: 1})  # it is alive after all
    assert one.poll(0.0).partitions == {0, 1}
    assert two.poll(0.0).partitions == {2}
    assert outcome(made) == []


def test_every_join_is_a_new_generation_for_all() -> None:
    made = cluster()
    one = made.member(ME)
    first = one.poll(0.0)
    made.member(Member("sum", "zwei", ("in",)))
    second = one.poll(0.0)
    assert first.partitions == second.partitions == {0}
    assert first.generation != second.generation


def test_compaction_leaves_undecided_records_alone() -> None:
    made = cluster()
    made.publish(
        [Out("state", b"a", b"1"), Out("state", b"b", b"1"), Out("state", b"a", b"2"), Out("state", b"b", None)]
    )
    log = made.member(ME)
    log.poll(0.0)
    log.send(Out("state", b"a", b"3"))
    made.compact("state")
    assert [(r.offset, r.value) for r in made.read(STATE)] == [(2, b"2")]
    log.commit({})
    made.compact("state")
    assert [(r.offset, r.value) for r in made.read(STATE)] == [(5, b"3")]


def test_trimming_moves_the_beginning() -> None:
    made = cluster()
    made.publish([Out("in", b"k", b"%d" % n) for n in range(3)])
    made.trim("in", 0, 2)
    log = made.member(ME)
    log.poll(0.0)
    assert log.beginning(IN) == 2
    assert [r.value for r in made.read(IN)] == [b"2"]
    made.trim("in", 0, 99)
    assert log.beginning(IN) == made.end_offset(IN) == 4


def test_the_clock_stamps_records() -> None:
    made = MemoryCluster(now=lambda: 123_456_789)
    made.create({"in": 1})
    made.publish([Out("in", b"k", b"v")])
    assert [r.timestamp for r in made.read(IN)] == [123_456_789]


def test_a_batch_that_cannot_be_written_is_not_written_at_all() -> None:
    made = cluster()
    with pytest.raises(UserError, match="nowhere"):
        made.publish([Out("in", b"k", b"v"), Out("nowhere", b"k", b"v")])
    assert made.end_offset(IN) == 0


def test_a_poll_brings_no_more_than_it_may_and_starves_nobody() -> None:
    made = MemoryCluster(max_records=2)
    made.create({"a": 1, "b": 1})
    made.publish([Out("a", b"k", b"%d" % n) for n in range(20)] + [Out("b", b"k", b"b")])
    log = made.member(Member("g", "one", ("a", "b")))
    log.poll(0.0)
    log.seek(TopicPartition("a", 0), 0)
    log.seek(TopicPartition("b", 0), 0)
    polls = [log.poll(0.0).records for _ in range(3)]
    assert all(sum(len(records) for records in poll.values()) == 2 for poll in polls)
    assert any(TopicPartition("b", 0) in poll for poll in polls)


def test_a_waiting_poll_wakes_up_for_a_record() -> None:
    made = cluster()
    log = made.member(ME)
    log.poll(0.0)
    log.seek(IN, 0)
    writer = threading.Timer(0.05, lambda: made.publish([Out("in", b"k", b"v")]))
    writer.start()
    assert len(log.poll(10.0).records[IN]) == 1
    writer.join()
