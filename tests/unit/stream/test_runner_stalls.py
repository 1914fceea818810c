"""What the loop does about a partition that stands still: it says so, and ends when that lasts."""

from __future__ import annotations

import logging

import pytest
from test_runner import IN, SIDE, Rig, Toy, counted, rows, steps

import processors.stream.runner as module
from processors.errors import PartitionStalled
from processors.stream.log import Member, Out, TopicPartition
from processors.stream.processor import Input
from processors.stream.runner import Runner
from processors.stream.stall import Silence

TP = TopicPartition(IN, 0)
PLACE = {"topic": IN, "partition": "0"}


class Told:
    """What the loop said last."""

    def __init__(self) -> None:
        self.stalled: list[str] = []
        self.held: list[str] = []

    def __call__(self, stalled: list[Silence], held: list[Silence]) -> None:
        self.stalled, self.held = [str(one) for one in stalled], [str(one) for one in held]


def turn(rig: Rig, runner: Runner, seconds: int) -> None:
    """Let the loop turn once a second."""
    for _ in range(seconds):
        rig.clock.now += 1
        runner.step(0.0)


def test_a_partition_that_was_paused_behind_its_back_is_told_and_then_the_loop_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig, told = Rig(partitions=2), Told()
    runner = rig.runner(commit_interval=0.0, stall_seconds=60.0, give_up_seconds=120.0, quiet=told)
    rig.put(rows(1), rows(1, partition=1))
    steps(runner)
    runner.log.pause([TP])
    rig.put(rows(2), rows(3))
    with caplog.at_level(logging.WARNING):
        turn(rig, runner, 59)
        assert (told.stalled, caplog.messages) == ([], [])
        for _ in range(10 * 100):
            rig.put(rows(1, partition=1))  # the other partition flows, and is committed ten times a second
            rig.clock.now += 0.1
            runner.step(0.0)
    (words,) = told.stalled
    assert words.startswith("in/0 has 3 records to read and has not moved for 15")
    assert caplog.messages == ["toy: in/0 has 3 records to read and has not moved for 60 s"], "once"
    assert counted(runner, "alvh_partition_stalled", **PLACE) == 1
    assert counted(runner, "alvh_partition_stalled_seconds", **PLACE) == pytest.approx(158, abs=1.1)
    assert counted(runner, "alvh_partition_stalled", topic=IN, partition="1") == 0
    assert counted(runner, "alvh_lag_records", **PLACE) == 3
    with pytest.raises(PartitionStalled, match="in/0 has 3 records to read"):
        turn(rig, runner, 30)


def test_a_partition_that_goes_on_is_stalled_no_more() -> None:
    rig, told = Rig(), Told()
    runner = rig.runner(commit_interval=0.0, stall_seconds=10.0, quiet=told)
    rig.put(rows(1))
    steps(runner)
    runner.log.pause([TP])
    rig.put(rows(2))
    turn(rig, runner, 30)
    assert told.stalled != []
    runner.log.resume([TP])
    turn(rig, runner, 2)
    assert (told.stalled, told.held) == ([], [])
    assert counted(runner, "alvh_partition_stalled_seconds", **PLACE) == 0
    assert rig.sums() == [1, 3]


def test_behind_an_open_transaction_of_another_producer_it_waits_and_says_so() -> None:
    rig, told = Rig(), Told()
    runner = rig.runner(commit_interval=0.0, stall_seconds=10.0, give_up_seconds=10.0, quiet=told)
    other = rig.cluster.member(Member("other", "0", (SIDE,)))
    other.send(Out(IN, b"k", b"[]", partition=0))
    rig.put(rows(1), rows(2))
    turn(rig, runner, 100)
    assert told.stalled == []
    assert told.held == ["in/0 is behind an open transaction of another producer, 4 records to its end"]
    assert counted(runner, "alvh_partition_held", **PLACE, reason="open_transaction") == 1
    assert counted(runner, "alvh_partition_stalled", **PLACE) == 0
    assert counted(runner, "alvh_lag_records", **PLACE) == 4, "records and the marker behind it"
    other.end()
    turn(rig, runner, 3)
    assert rig.sums() == [1, 3]
    assert told.held == []
    assert counted(runner, "alvh_partition_held", **PLACE, reason="open_transaction") == 0


def test_an_input_that_is_paused_until_another_has_been_read_is_held_and_the_other_one_is_at_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PAUSE_AT", 30)
    told = Told()
    rig = Rig(Toy(inputs=(Input(SIDE), Input(IN))), max_records=10)
    runner = rig.runner(commit_interval=0.0, stall_seconds=10.0, give_up_seconds=1000.0, quiet=told)
    steps(runner, 1)
    runner.log.pause([TopicPartition(SIDE, 0)])
    rig.put(rows(7, at=1, topic=SIDE), *(rows(i, at=i + 1) for i in range(200)))
    turn(rig, runner, 100)
    assert [words.split()[0] for words in told.stalled] == ["side/0"]
    assert told.held == ["in/0 is held until side has been read"]
    assert counted(runner, "alvh_partition_held", **PLACE, reason="another_input") == 1
    runner.log.resume([TopicPartition(SIDE, 0)])
    turn(rig, runner, 60)
    assert (told.stalled, told.held) == ([], [])
    assert len(rig.sums()) == 201


def test_an_input_that_waits_for_a_silent_one_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_AT", 30)
    told = Told()
    rig = Rig(Toy(inputs=(Input(SIDE, 50.0), Input(IN))), max_records=10)
    runner = rig.runner(commit_interval=0.0, stall_seconds=10.0, give_up_seconds=10.0, quiet=told)
    rig.put(*(rows(i, at=i + 1) for i in range(200)))
    turn(rig, runner, 45)
    assert told.stalled == []
    assert told.held == ["in/0 is held until side has been read"]
    turn(rig, runner, 60)
    assert (told.stalled, told.held) == ([], [])
    assert len(rig.sums()) == 200


def test_a_partition_that_went_to_another_member_is_off_the_page() -> None:
    rig = Rig(partitions=2)
    first = rig.runner("a", commit_interval=0.0)
    rig.put(rows(1), rows(1, partition=1))
    turn(rig, first, 3)
    assert counted(first, "alvh_lag_records", topic=IN, partition="1") == 0
    second = rig.runner("b", commit_interval=0.0)
    turn(rig, first, 3)
    turn(rig, second, 3)
    assert counted(first, "alvh_lag_records", topic=IN, partition="1") is None
    assert counted(first, "alvh_partition_held", topic=IN, partition="1", reason="another_input") is None
    assert counted(first, "alvh_lag_records", topic=IN, partition="0") == 0
    assert counted(second, "alvh_lag_records", topic=IN, partition="1") == 0


def test_a_restore_counts_what_it_reads_and_an_assignment_when_it_was() -> None:
    rig = Rig()
    rig.put(rows(1, key="a"), rows(1, key="b"))
    first = rig.runner(commit_interval=0.0)
    first.drain()
    first.close()
    second = rig.runner()
    steps(second)
    assert counted(first, "alvh_restore_records_total") == 0
    assert counted(second, "alvh_restore_records_total") == 3
    assert (counted(second, "alvh_assignment_timestamp_seconds") or 0) > 1.5e9


def test_end_to_end_is_from_the_writing_of_the_newest_record_to_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.cluster.now = lambda: 1_000_000_000_000
    monkeypatch.setattr(module.time, "time", lambda: 1004.5)
    rig.put(rows(1), rows(2))
    runner = rig.runner(commit_interval=0.0)
    runner.drain()
    assert counted(runner, "alvh_end_to_end_seconds_count") == 1
    assert counted(runner, "alvh_end_to_end_seconds_sum") == 4.5
