"""The loop over a log in memory, with a clock that stands still until it is told to go on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

import processors.stream.runner as module
from processors.errors import StateMismatch
from processors.stream.lifecycle import Lifecycle
from processors.stream.log import Member, Out, Record, Records, TopicPartition
from processors.stream.memory import MemoryCluster
from processors.stream.metrics import Metric, Metrics
from processors.stream.processor import Alive, Decoded, Input, Run, Segment, unseen
from processors.stream.runner import POSITIONS_KEY, Runner
from topics.catalog import DEAD_LETTERS
from topics.dead_letter import Refused
from topics.message import canonical_json
from topics.times import parse_ts

GROUP = "alvh.toy"
CHANGELOG = "alvh.toy.changelog"
IN, SIDE, OUT = "in", "side", "out"


class Clock:
    """Monotonic seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class ToyTask:
    """Sums the values of each key, writes each sum, and keeps the order in which it saw the rows."""

    def __init__(self) -> None:
        self.sums: dict[str, int] = {}
        self.changed: set[str] = set()
        self.seen: list[str] = []
        self.counted = 0

    def process(self, segments: Sequence[Segment], alive: Alive = unseen) -> list[Out]:
        outs = []
        for segment in segments:
            for place in range(segment.start, segment.stop):
                body = segment.body[place]
                key = str(body.get("key", "k"))
                self.sums[key] = self.sums.get(key, 0) + body["value"]
                self.changed.add(key)
                self.seen.append(f"{segment.record.topic}:{body['value']}")
                self.counted += 1
                value = canonical_json({"key": key, "sum": self.sums[key]})
                outs.append(
                    Out(OUT, key.encode(), value, urgent=bool(body.get("urgent")), partition=segment.record.partition)
                )
        return outs

    def snapshot(self) -> Mapping[bytes, bytes | None]:
        changed = {key.encode(): canonical_json({"version": 1, "sum": self.sums[key]}) for key in sorted(self.changed)}
        self.changed.clear()
        return changed

    def restore(self, key: bytes, value: bytes) -> None:
        document = json.loads(value)
        if document["version"] != 1:
            raise ValueError(f"version {document['version']}")
        self.sums[key.decode()] = document["sum"]
        self.changed.add(key.decode())  # as a task that does not tell why its state is what it is

    def counts(self) -> Mapping[tuple[str, ...], float]:
        counted, self.counted = self.counted, 0
        return {("toy_total", "row"): counted}

    def gauges(self) -> Mapping[tuple[str, ...], float]:
        return {("toy_sum", key): float(value) for key, value in self.sums.items()}


@dataclass
class Toy:
    """Records are JSON: a list of rows, each with a time, a value and perhaps a key; ``bad`` ones are refused."""

    runs: ClassVar[bool] = False
    max_idle: float = 0.0
    inputs: tuple[Input, ...] = ()
    tasks: list[ToyTask] = field(default_factory=list)
    name: str = "toy"
    outputs: tuple[str, ...] = (OUT,)
    metrics: tuple[Metric, ...] = (
        Metric("toy_total", "counter", "Rows.", ("what",)),
        Metric("toy_sum", "gauge", "Sums.", ("key",)),
    )

    def __post_init__(self) -> None:
        self.inputs = self.inputs or (Input(IN, self.max_idle),)

    def decode(self, record: Record) -> Decoded:
        rows = json.loads(record.value or b"null")
        if rows == "bad":
            raise Refused("invalid", "it says bad")
        return Decoded(np.array([row["t"] for row in rows], dtype=np.int64), rows)

    def gather(self, records: Records) -> list[Run]:
        """Records with one row each that follow each other, where the test wants runs."""
        rows = [json.loads(value or b"null") for value in records.values]
        found, start = [], 0
        for stop, content in enumerate([*rows, None]):
            if isinstance(content, list) and len(content) == 1:
                continue
            if self.runs and stop > start:
                body = [row for (row,) in rows[start:stop]]
                found.append(Run(start, stop, np.array([row["t"] for row in body], dtype=np.int64), body))
            start = stop + 1
        return found

    def task(self, partition: int) -> ToyTask:
        self.tasks.append(ToyTask())
        return self.tasks[-1]


@pytest.fixture(params=[False, True], ids=["singly", "in runs"], autouse=True)
def _runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything here holds whether records are decoded one by one or together."""
    monkeypatch.setattr(Toy, "runs", request.param)


def rows(*values: int, at: int = 1, topic: str = IN, partition: int = 0, **more: Any) -> Out:
    body = [{"t": at + i, "value": value, **more} for i, value in enumerate(values)]
    return Out(topic, b"k", json.dumps(body).encode(), partition=partition)


class Rig:
    """A cluster, a toy, a clock, and runners of it."""

    def __init__(self, toy: Toy | None = None, partitions: int = 1, max_records: int = 2000) -> None:
        self.cluster = MemoryCluster(max_records=max_records)
        self.toy = toy or Toy()
        self.clock = Clock()
        self.entered: list[Lifecycle] = []
        names = [IN, SIDE, OUT, DEAD_LETTERS, CHANGELOG]
        self.cluster.create(dict.fromkeys(names, partitions), compacted=frozenset({CHANGELOG}))

    def runner(self, instance: str = "0", **options: Any) -> Runner:
        log = self.cluster.member(Member(GROUP, instance, tuple(given.topic for given in self.toy.inputs)))
        metrics = Metrics("toy", self.toy.metrics)
        return Runner(log, self.toy, metrics, clock=self.clock, enter=self.entered.append, **options)

    def put(self, *outs: Out) -> None:
        self.cluster.publish(outs)

    def sums(self, partition: int = 0) -> list[int]:
        return [json.loads(r.value or b"")["sum"] for r in self.cluster.read(TopicPartition(OUT, partition))]

    def state(self, partition: int = 0) -> dict[bytes, Any]:
        return {
            r.key or b"": json.loads(r.value or b"null")
            for r in self.cluster.read(TopicPartition(CHANGELOG, partition))
        }


def counted(runner: Runner, name: str, **labels: str) -> float | None:
    return runner.metrics.registry.get_sample_value(name, {"processor": "toy", **labels})


def steps(runner: Runner, count: int = 5) -> None:
    for _ in range(count):
        runner.step(0.0)


def test_work_is_committed_after_the_interval_and_not_before() -> None:
    rig = Rig()
    runner = rig.runner(commit_interval=10.0)
    rig.put(rows(1, 2), rows(3))
    steps(runner)
    assert rig.sums() == []
    assert rig.state() == {}
    rig.clock.now += 9.9
    steps(runner)
    assert rig.sums() == []
    rig.clock.now += 0.2
    steps(runner, 1)
    assert rig.sums() == [1, 3, 6]
    assert rig.state() == {
        b"k": {"version": 1, "sum": 6},
        POSITIONS_KEY: {"version": 1, "positions": {IN: 2}, "times": {IN: 2}},
    }
    assert counted(runner, "alvh_commits_total", outcome="committed") == 1


def test_an_urgent_output_is_committed_at_once_with_all_before_it() -> None:
    rig = Rig()
    runner = rig.runner(commit_interval=1e6)
    rig.put(rows(1), rows(2, urgent=True))
    steps(runner, 2)
    assert rig.sums() == [1, 3]
    rig.put(rows(4))
    steps(runner)
    assert rig.sums() == [1, 3], "urgency ends with its commit"


def test_a_restart_goes_on_from_state_and_positions_of_the_last_commit() -> None:
    rig = Rig()
    first = rig.runner(commit_interval=1e6)
    rig.put(rows(1, at=5), rows(2, at=9, urgent=True))
    steps(first, 2)
    rig.put(rows(100, at=20))
    steps(first)  # processed, never committed: this instance dies
    second = rig.runner(commit_interval=0.0)
    rig.put(Out(IN, b"k", b'"bad"', partition=0), rows(7, at=1))
    second.drain()
    assert rig.sums() == [1, 3, 103, 110]
    assert rig.toy.tasks[-1].seen == ["in:100", "in:7"]
    (letter,) = [json.loads(r.value or b"") for r in rig.cluster.read(TopicPartition(DEAD_LETTERS, 0))]
    assert letter["event_ts"].startswith("1990-01-01"), "the time that the input had reached, as a real one"
    assert rig.state()[POSITIONS_KEY]["times"] == {IN: 20}
    rig.cluster.compact(CHANGELOG)
    third = rig.runner()
    rig.put(rows(1))
    third.drain()
    assert rig.sums()[-1] == 111


def test_after_a_restart_what_is_refused_stands_at_the_time_that_had_been_reached() -> None:
    rig = Rig()
    first = rig.runner(commit_interval=0.0)
    rig.put(rows(1, at=parse_ts("2018-02-05T21:15:00Z")))
    first.drain()
    first.close()
    rig.put(Out(IN, b"k", b'"bad"', partition=0))
    rig.runner(commit_interval=0.0).drain()
    (letter,) = [json.loads(r.value or b"") for r in rig.cluster.read(TopicPartition(DEAD_LETTERS, 0))]
    assert letter["event_ts"] == "2018-02-05T21:15:00Z"


def test_only_what_changed_is_written_to_the_changelog() -> None:
    rig = Rig()
    runner = rig.runner(commit_interval=0.0)
    rig.put(rows(1, key="a"), rows(1, key="b"))
    runner.drain()
    rig.put(rows(1, key="b"))
    runner.drain()
    runner.close()
    again = rig.runner(commit_interval=0.0)
    again.drain()
    rig.put(rows(1, key="b"))
    again.drain()
    written = [record.key for record in rig.cluster.read(TopicPartition(CHANGELOG, 0))]
    assert written.count(b"a") == 1
    assert written.count(b"b") == 3


def test_what_is_refused_goes_to_the_dead_letters_with_its_place_in_the_log() -> None:
    rig = Rig(partitions=2)
    rig.put(rows(1, partition=1), Out(IN, b"x", b'"bad"', partition=1), rows(2, partition=1))
    runner = rig.runner(commit_interval=0.0)
    runner.drain()
    assert rig.sums(1) == [1, 3]
    letters = [r for p in range(2) for r in rig.cluster.read(TopicPartition(DEAD_LETTERS, p))]
    assert [record.header("alvh-source") for record in letters] == [b"in/1/1/0"]
    letter = json.loads(letters[0].value or b"")
    assert (letter["topic"], letter["reason"], letter["detail"]) == (IN, "invalid", "it says bad")
    assert (letter["original"], letter["original_key"]) == ('"bad"', "x")
    assert counted(runner, "alvh_dead_letters_total", topic=IN, reason="invalid") == 1
    assert counted(runner, "alvh_records_total", topic=IN, outcome="refused") == 1
    assert counted(runner, "alvh_records_total", topic=IN, outcome="used") == 2


def _committed_once(rig: Rig) -> None:
    rig.put(*(rows(i) for i in range(1, 6)))
    runner = rig.runner(commit_interval=0.0)
    runner.drain()
    runner.close()


def _positions(rig: Rig, offset: int | None) -> None:
    positions = rig.cluster._groups[GROUP].positions
    if offset is None:
        positions.clear()
    else:
        positions[TopicPartition(IN, 0)] = offset


def test_positions_that_were_changed_by_hand_are_told_and_nothing_is_done() -> None:
    rig = Rig()
    _committed_once(rig)
    _positions(rig, 2)
    with pytest.raises(StateMismatch, match="stands at 5 but the group at 2"):
        steps(rig.runner())


def test_a_changelog_that_is_gone_is_told() -> None:
    rig = Rig()
    _committed_once(rig)
    rig.cluster.trim(CHANGELOG, 0, 10**6)
    with pytest.raises(StateMismatch, match="holds no state"):
        steps(rig.runner())


def test_records_that_retention_has_taken_unread_are_told() -> None:
    rig = Rig()
    _committed_once(rig)
    rig.put(*(rows(i) for i in range(5)))
    rig.cluster.trim(IN, 0, 8)
    with pytest.raises(StateMismatch, match="records 5 to 7 are past their retention"):
        steps(rig.runner())


def test_the_end_of_a_transaction_that_retention_has_taken_was_no_record() -> None:
    """Behind the last record stands a marker. A quiet input moves its position over it, so that nothing seems lost."""
    rig = Rig()
    _committed_once(rig)
    runner = rig.runner(commit_interval=0.0)
    for _ in range(40):
        rig.clock.now += 1.0
        steps(runner, 1)
    runner.close()
    end = rig.cluster.end_offset(TopicPartition(IN, 0))
    assert rig.state()[POSITIONS_KEY]["positions"] == {IN: end}
    rig.cluster.trim(IN, 0, end)
    rig.put(rows(100))
    rig.runner(commit_interval=0.0).drain()
    assert rig.sums()[-1] == 115


def test_a_busy_partition_does_not_keep_a_quiet_one_before_its_marker() -> None:
    rig = Rig(partitions=2)
    _committed_once(rig)
    runner = rig.runner(commit_interval=0.0)
    for i in range(80):
        rig.put(rows(i, partition=1))
        rig.clock.now += 0.5
        steps(runner, 1)
    runner.close()
    assert rig.state()[POSITIONS_KEY]["positions"] == {IN: rig.cluster.end_offset(TopicPartition(IN, 0))}


def test_a_position_does_not_move_over_a_marker_while_records_wait_before_it() -> None:
    rig = Rig()
    _committed_once(rig)
    runner = rig.runner(commit_interval=3600.0)
    steps(runner)
    rig.put(rows(7))
    for _ in range(40):
        rig.clock.now += 1.0
        steps(runner, 1)
    runner.log.end()  # it dies before its commit
    rig.runner(commit_interval=0.0).drain()
    assert rig.sums()[-1] == 22


def test_a_group_whose_positions_have_expired_goes_on_from_the_changelog() -> None:
    rig = Rig()
    _committed_once(rig)
    _positions(rig, None)
    rig.put(rows(100))
    rig.runner(commit_interval=0.0).drain()
    assert rig.sums()[-1] == 115


def test_a_group_without_any_history_starts_at_the_oldest_record() -> None:
    rig = Rig()
    rig.put(*(rows(i) for i in range(1, 6)))
    rig.cluster.trim(IN, 0, 3)
    rig.runner(commit_interval=0.0).drain()
    assert rig.sums() == [4, 9]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (b"k", {"version": 2, "sum": 1}, "cannot be read: version 2"),
        (b"k", {"sum": 1}, "cannot be read"),
        (POSITIONS_KEY, {"version": 2}, "positions of version 2"),
    ],
)
def test_state_of_another_version_is_told(key: bytes, value: Any, words: str) -> None:
    rig = Rig()
    _committed_once(rig)
    rig.put(Out(CHANGELOG, key, canonical_json(value), partition=0))
    with pytest.raises(StateMismatch, match=words):
        steps(rig.runner())


def test_state_that_was_removed_by_a_tombstone_is_not_restored() -> None:
    rig = Rig()
    _committed_once(rig)
    rig.put(Out(CHANGELOG, b"k", None, partition=0), rows(1))
    rig.runner(commit_interval=0.0).drain()
    assert rig.sums()[-1] == 1


def test_partitions_that_move_before_the_commit_drop_the_work_and_it_is_done_again() -> None:
    rig = Rig(partitions=2)
    rig.put(rows(1, partition=0), rows(10, partition=1))
    first = rig.runner("a", commit_interval=1e6)
    steps(first)
    assert sorted(first._parts) == [0, 1]
    second = rig.runner("b", commit_interval=1e6)
    first.commit()
    assert counted(first, "alvh_commits_total", outcome="rebalanced") == 1
    assert (first._parts, first._outs) == ({}, [])
    for runner in (first, second, first, second):
        steps(runner, 3)
    assert (sorted(first._parts), sorted(second._parts)) == ([0], [1])
    first.commit()
    second.commit()
    assert (rig.sums(0), rig.sums(1)) == ([1], [10])


def test_a_drain_whose_last_commit_is_lost_does_the_work_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.put(rows(1), rows(2))
    first = rig.runner("a", commit_interval=1e6)
    steps(first)
    commit, commits = first.commit, iter((True, False, False))

    def moved_before() -> None:
        if next(commits):  # another member comes and goes: a new generation, the same partitions
            rig.cluster.member(Member(GROUP, "b", (IN,))).end()
        commit()

    monkeypatch.setattr(first, "commit", moved_before)
    first.drain()
    assert rig.sums() == [1, 3]
    assert counted(first, "alvh_assignments_total") == 2


def test_a_poll_that_tells_a_new_assignment_forgets_what_was_not_committed() -> None:
    rig = Rig()
    rig.put(rows(1))
    runner = rig.runner(commit_interval=1e6)
    steps(runner)
    rig.cluster.member(Member(GROUP, "b", (IN,))).end()
    steps(runner, 1)
    assert runner._outs == []
    steps(runner)
    runner.close()
    assert rig.sums() == [1]


def _flooded(max_idle: float) -> Rig:
    """Two inputs; many records in the later one, which wait for the earlier one."""
    return Rig(Toy(inputs=(Input(SIDE, max_idle), Input(IN, 0.0))), max_records=10)


@pytest.mark.parametrize("limits", [("PAUSE_AT", "RESUME_AT"), ("PAUSE_ROWS", "RESUME_ROWS")])
def test_a_flooded_input_is_paused_while_it_waits_and_read_on_when_it_has_been_worked_off(
    limits: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, limits[0], 30)
    monkeypatch.setattr(module, limits[1], 10)
    rig = _flooded(max_idle=60.0)
    rig.put(*(rows(i, at=i + 1) for i in range(200)))
    runner = rig.runner(commit_interval=0.0)
    steps(runner, 50)
    part = runner._parts[0]
    assert part.paused == {IN}
    assert part.channels[1].waiting == 30, "no more is read than may wait"
    assert part.task.seen == []  # type: ignore[attr-defined]
    rig.clock.now += 61
    runner.drain()
    assert part.paused == set()
    assert rig.toy.tasks[0].seen == [f"in:{i}" for i in range(200)]
    assert len(rig.sums()) == 200


def test_a_flooded_input_that_everything_waits_for_is_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_AT", 30)
    monkeypatch.setattr(module, "RESUME_AT", 10)
    rig = _flooded(max_idle=0.0)
    block = Out(IN, b"k", json.dumps([{"t": 5, "value": -1}, {"t": 1000, "value": -2}]).encode(), partition=0)
    rig.put(block, *(rows(i, at=10 + i, topic=SIDE) for i in range(100)))
    runner = rig.runner(commit_interval=0.0)
    for _ in range(200):
        runner.step(0.0)
    assert rig.toy.tasks[0].seen == ["in:-1", *(f"side:{i}" for i in range(100)), "in:-2"]


def test_a_record_within_the_last_block_of_another_input_is_not_left_waiting() -> None:
    rig = Rig(Toy(inputs=(Input(SIDE), Input(IN))))
    rig.put(rows(1, 2, 3, at=10), rows(50, at=11, topic=SIDE))
    runner = rig.runner(commit_interval=0.0)
    assert runner.drain() == 4
    assert rig.toy.tasks[0].seen == ["in:1", "side:50", "in:2", "in:3"]


def test_a_silent_input_is_waited_for_as_long_as_it_may_be_idle() -> None:
    rig = Rig(Toy(inputs=(Input(SIDE, 5.0), Input(IN, 5.0))))
    rig.put(rows(1, at=10))
    runner = rig.runner(commit_interval=0.0)
    steps(runner)
    rig.clock.now += 4.9
    steps(runner)
    assert rig.sums() == []
    rig.put(rows(2, at=3, topic=SIDE))  # it spoke: the waiting begins anew
    steps(runner)
    assert rig.toy.tasks[0].seen == ["side:2"]
    rig.clock.now += 4.9
    steps(runner)
    assert rig.toy.tasks[0].seen == ["side:2"]
    rig.clock.now += 0.2
    steps(runner)
    assert rig.toy.tasks[0].seen == ["side:2", "in:1"]


def test_inputs_that_are_complete_are_not_waited_for() -> None:
    rig = Rig(Toy(inputs=(Input(SIDE, 1e9), Input(IN, 1e9))))
    rig.put(rows(1, at=10), rows(2, at=3, topic=SIDE))
    assert rig.runner(commit_interval=0.0).drain(exhausted=True) == 2
    assert rig.toy.tasks[0].seen == ["side:2", "in:1"]
    assert rig.sums() == [2, 3]


def test_an_input_is_not_taken_for_silent_before_all_of_it_has_been_read() -> None:
    rig = Rig(Toy(inputs=(Input(SIDE), Input(IN))), max_records=1)
    rig.put(*(rows(100 + i, at=2 * i, topic=SIDE) for i in range(1, 6)), *(rows(i, at=2 * i) for i in range(1, 6)))
    rig.runner(commit_interval=0.0).drain()
    assert rig.toy.tasks[0].seen == [name for i in range(1, 6) for name in (f"side:{100 + i}", f"in:{i}")]


def test_closing_commits_what_was_processed_and_leaves() -> None:
    rig = Rig()
    rig.put(rows(1), rows(2))
    runner = rig.runner(commit_interval=1e6)
    steps(runner)
    runner.close()
    runner.close()
    assert rig.sums() == [1, 3]
    assert rig.cluster._groups[GROUP].members == {}


def test_running_ends_when_it_is_told_to_and_tells_its_states() -> None:
    rig = Rig()
    rig.put(rows(1))
    runner = rig.runner(commit_interval=1e6)
    turns = iter([False] * 4 + [True])
    beats: list[int] = []
    runner._tick = lambda: beats.append(1)
    runner.run(lambda: next(turns), timeout=0.0)
    assert rig.sums() == [1]
    assert rig.entered == [
        Lifecycle.JOINING,
        Lifecycle.RESTORING,
        Lifecycle.RUNNING,
        Lifecycle.STOPPING,
        Lifecycle.STOPPED,
    ]
    assert len(beats) >= 4


def test_what_takes_long_shows_that_the_loop_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    rig, beats, seen = Rig(), list[int](), list[int]()
    process = ToyTask.process

    def long(task: ToyTask, segments: Sequence[Segment], alive: Alive = unseen) -> list[Out]:
        before = len(beats)
        alive()
        seen.append(len(beats) - before)
        return process(task, segments, alive)

    monkeypatch.setattr(ToyTask, "process", long)
    rig.put(*(rows(i) for i in range(10)))
    runner = rig.runner(commit_interval=0.0)
    runner._tick = lambda: beats.append(1)
    steps(runner, 2)
    assert seen == [1]
    assert len(beats) >= 2 + 1 + len(rig.sums()), "at each cycle, in the processing, and with each output"


def test_what_was_done_is_counted_when_it_is_committed() -> None:
    rig = Rig()
    rig.put(rows(1, 2, 3), rows(4, at=7), Out(IN, b"k", b'"bad"', partition=0))
    runner = rig.runner(commit_interval=1e6)
    steps(runner)
    assert counted(runner, "alvh_rows_total", topic=IN) == 5
    assert counted(runner, "alvh_outputs_total", topic=OUT) is None
    assert counted(runner, "toy_total", what="row") is None
    rig.clock.now += 3.0
    runner.commit()
    runner.commit()  # nothing to do
    expected: Iterable[tuple[str, dict[str, str], float]] = (
        ("alvh_outputs_total", {"topic": OUT}, 4),
        ("alvh_outputs_total", {"topic": DEAD_LETTERS}, 1),
        ("alvh_commits_total", {"outcome": "committed"}, 1),
        ("alvh_assignments_total", {}, 1),
        ("alvh_stream_time_seconds", {"topic": IN, "partition": "0"}, 7e-9),
        ("alvh_buffered_records", {"topic": IN, "partition": "0"}, 0),
        ("alvh_lag_records", {"topic": IN, "partition": "0"}, 0),
        ("toy_total", {"what": "row"}, 4),
        ("toy_sum", {"key": "k"}, 10),
    )
    for name, labels, value in expected:
        assert counted(runner, name, **labels) == value, name
