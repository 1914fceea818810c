"""All processors over a log in memory, every step watched: what came in, what became of it, what went out.

The books of a batch: each record is decoded once; each row of it is worked on once, in order, or its record is refused;
each refusal is one dead letter that says where it stood; what is neither refused nor counted as used is lost; and all
positions stand behind all records.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from fuzz_inputs import Input
from fuzz_strict import check_output, strict
from history import create, join, processors

from processors.errors import AlvhError
from processors.stream.log import Out, Record, Records, TopicPartition
from processors.stream.memory import MemoryCluster
from processors.stream.metrics import Metrics
from processors.stream.processor import Alive, Decoded, Processor, Run, Segment, unseen
from processors.stream.runner import POSITIONS_KEY, Runner
from topics.catalog import ALL_TOPICS, CHANGELOGS, DEAD_LETTERS, PROCESSORS, changelog
from topics.dead_letter import Refused
from topics.market import Watermark

#: State by processor and key: what a changelog holds beside positions.
State = Mapping[str, Mapping[bytes, bytes]]
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that must never happen, where, and the same for every input that brings it about (``kind``)."""

    kind: str
    detail: str


class Broken(Exception):
    """A processor's step has failed: its state is of no use any more."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.kind, fault.detail)
        self.fault = fault


def fault_of(where: str, error: Exception) -> Fault:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    code = None if last is None else f"{last.tb_frame.f_code.co_filename.rpartition('/')[2]}:{last.tb_lineno}"
    return Fault(f"{where}: {type(error).__name__} at {code}", str(error)[:400])


class Spied:
    """A processor whose decoding and steps are written down."""

    def __init__(self, processor: Processor) -> None:
        self._real = processor
        self.name, self.inputs, self.outputs = processor.name, processor.inputs, processor.outputs
        self.metrics = processor.metrics
        self.decoded: dict[Place, list[Decoded | Refused]] = defaultdict(list)
        self.worked: dict[Place, list[tuple[int, int]]] = defaultdict(list)
        self.counted: Counter[str] = Counter()
        self.faults: list[Fault] = []

    def decode(self, record: Record) -> Decoded:
        place = record.topic, record.offset
        try:
            found = self._real.decode(record)
        except Refused as refused:
            self.decoded[place].append(refused)
            raise
        except Exception as error:
            self.faults.append(fault_of(f"{self.name} decodes {record.topic}", error))
            refused = Refused("invalid", "an error that is no refusal")
            self.decoded[place].append(refused)
            raise refused from error
        self.decoded[place].append(found)
        return found

    def gather(self, records: Records) -> Sequence[Run]:
        try:
            runs = self._real.gather(records)
        except Exception as error:
            self.faults.append(fault_of(f"{self.name} gathers {records.topic}", error))
            return ()
        for run in runs:
            for place, ts in enumerate(run.times.tolist(), run.start):
                decoded = Decoded(np.array([ts], dtype=np.int64), run.body)
                self.decoded[records.topic, records.offsets[place]].append(decoded)
        return runs

    def task(self, partition: int) -> _SpiedTask:
        return _SpiedTask(self, self._real.task(partition))


class _SpiedTask:
    def __init__(self, spied: Spied, task: Any) -> None:
        self._spied, self._task = spied, task
        self.restore, self.gauges = task.restore, task.gauges

    def process(self, segments: Sequence[Segment], alive: Alive = unseen) -> list[Out]:
        for segment in segments:
            if len(segment.records) == 1:
                self._spied.worked[segment.record.topic, segment.record.offset].append((segment.start, segment.stop))
                continue
            for record in segment.records[segment.start : segment.stop]:
                self._spied.worked[record.topic, record.offset].append((0, 1))
        try:
            outs: list[Out] = self._task.process(segments)
        except Exception as error:
            raise Broken(fault_of(f"{self._spied.name} steps", error)) from error
        return outs

    def snapshot(self) -> Mapping[bytes, bytes | None]:
        try:
            found: Mapping[bytes, bytes | None] = self._task.snapshot()
        except Exception as error:
            raise Broken(fault_of(f"{self._spied.name} writes its state", error)) from error
        return found

    def counts(self) -> Mapping[tuple[str, ...], float]:
        counts: Mapping[tuple[str, ...], float] = self._task.counts()
        for (name, *labels), amount in counts.items():
            if name in ("alvh_ticks_total", "alvh_releases_total", "alvh_schedules_total", "alvh_flows_total"):
                self._spied.counted["refused" if labels[-1] == "refused" else "used"] += int(amount)
        return counts


@dataclass(slots=True)
class Sums:
    """What became of all inputs."""

    inputs: int = 0
    rows: int = 0
    rows_used: int = 0
    rows_refused: int = 0
    records_refused: int = 0
    outputs: int = 0
    restores: int = 0
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)


class World:
    """Processors over one log in memory.

    Args:
        names: the processors. Of those that read a topic together only one may be given what it refuses.
        state: what the changelogs hold at the start.
        restart: end every processor after each batch and let the next one go on from its changelog.
    """

    def __init__(
        self,
        names: Sequence[str] = PROCESSORS,
        state: State | None = None,
        *,
        restart: bool = False,
        sums: Sums | None = None,
    ) -> None:
        self.clock = 0
        self.cluster = MemoryCluster(now=lambda: self.clock)
        self.sums = sums if sums is not None else Sums()
        self.faults: list[Fault] = []
        self._restart = restart
        self._given: dict[Place, Input] = {}
        self._history: dict[str, Any] = {topic: hashlib.sha256() for topic in ALL_TOPICS}
        self.written: list[tuple[str, bytes | None, bytes | None, int]] = []
        create(self.cluster)
        for name, entries in (state or {}).items():
            self.cluster.publish([Out(changelog(name), key, value) for key, value in entries.items()])
        self.spies = [Spied(processor) for processor in processors() if processor.name in names]
        self._runners = [self._runner(spy) for spy in self.spies]

    def _runner(self, spy: Spied) -> Runner:
        # an hour: what is urgent commits by itself, and the rest with the end of a batch
        return Runner(join(self.cluster, spy), spy, Metrics(spy.name, spy.metrics), commit_interval=3600.0)

    def feed(self, inputs: Sequence[Input]) -> list[Fault]:
        """Write a batch, work it off, check the books. Returns what is wrong; after a fault the world is at its end."""
        for given in inputs:
            self.clock = max(self.clock, given.at)
            place = given.topic, self.cluster.end_offset(TopicPartition(given.topic, 0))
            self._given[place] = given
            self.cluster.publish([Out(given.topic, given.key, given.value, given.headers, partition=0)])
            self.sums.ways[given.way] += 1
        self.sums.inputs += len(inputs)
        try:
            for _ in range(2):  # the alerts read dead letters, their own among them
                for runner in self._runners:
                    runner.drain(exhausted=True)
            self._check()
            if self._restart:
                self._start_again()
            self._forget()
        except Broken as broken:
            self.faults.append(broken.fault)
        except AlvhError as error:
            self.faults.append(fault_of("the runner", error))
        for spy in self.spies:
            self.faults += spy.faults
            spy.faults = []
        return self.faults

    def state(self) -> State:
        """What the changelogs hold now, without positions."""
        found: dict[str, dict[bytes, bytes]] = {}
        for spy in self.spies:
            entries = found[spy.name] = {}
            for record in self.cluster.read(TopicPartition(changelog(spy.name), 0)):
                if record.key is None or record.key == POSITIONS_KEY:
                    continue
                if record.value is None:
                    entries.pop(record.key, None)
                else:
                    entries[record.key] = record.value
        return found

    def history(self) -> dict[str, str]:
        """A digest of all that each topic has held."""
        return {topic: content.hexdigest() for topic, content in self._history.items() if topic not in CHANGELOGS}

    def close(self) -> None:
        """End the processors."""
        for runner in self._runners:
            runner.log.end()

    # The books

    def _wrong(self, kind: str, detail: str) -> None:
        self.faults.append(Fault(kind, detail[:600]))

    def _check(self) -> None:
        letters: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for record in self._records(DEAD_LETTERS):
            source = record.header("alvh-source")
            if source is None:
                continue  # given as an input
            topic, _, offset, row = source.decode().rsplit("/", 3)
            try:
                letter = strict(record.value or b"")
            except ValueError as error:
                self._wrong(f"{DEAD_LETTERS} holds what it may not", f"{source!r}: {error}")
                continue
            if letter["topic"] != topic or (record.key or b"").decode() != topic:
                self._wrong("a dead letter names another topic", f"{source!r}: {letter['topic']}")
            letters[f"{topic}/{offset}"].append((int(row), letter["reason"]))
        for spy in self.spies:
            self._check_reader(spy, letters)
        if letters:
            self._wrong("a dead letter of nothing", str(dict(letters))[:300])
        self._check_outputs()

    def _check_reader(self, spy: Spied, letters: dict[str, list[tuple[int, str]]]) -> None:
        used = refused = 0
        for topic in (given.topic for given in spy.inputs):
            for record in self._records(topic):
                place = topic, record.offset
                contents = spy.decoded.pop(place, [])
                if len(contents) != 1:
                    self._wrong(f"{spy.name} decoded a record {len(contents)} times", str(place))
                    continue
                given = self._given.get(place)
                mine = letters.pop(f"{topic}/{record.offset}", [])
                rows, gone = self._check_record(spy, place, contents[0], given, mine)
                used, refused = used + rows - gone, refused + gone
            self._check_position(spy, topic)
        if spy.name == "market" and (spy.counted["used"], spy.counted["refused"]) != (used, refused):
            self._wrong("rows are lost", f"{used} used and {refused} refused, but counted are {dict(spy.counted)}")
        spy.counted.clear()
        for place in spy.decoded.keys() | spy.worked.keys():
            self._wrong(f"{spy.name} worked on what it was not given", str(place))
        spy.decoded.clear()
        spy.worked.clear()

    def _check_record(
        self, spy: Spied, place: Place, content: Decoded | Refused, given: Input | None, letters: list[tuple[int, str]]
    ) -> tuple[int, int]:
        """Rows of a record that the task has worked on and counts, and how many of them it refused."""
        worked = spy.worked.pop(place, [])
        if isinstance(content, Refused):
            if given is None:
                self._wrong(f"{spy.name} refuses what a processor wrote", f"{place}: {content.detail}")
            if worked or letters != [(0, content.reason)]:
                self._wrong("a refused record has not one dead letter", f"{place} {content.reason}: {letters} {worked}")
            self.sums.records_refused += 1
            self.sums.reasons[place[0], content.reason] += 1
            return 0, 0
        n = len(content.times)
        if given is not None and given.rows is not None and given.rows != n:
            self._wrong("rows of a record are gone", f"{place} ({given.way}): {n} of {given.rows}")
        expected = 0
        for start, stop in worked:
            if start != expected or stop <= start:
                break
            expected = stop
        if expected != n:
            self._wrong("rows were not worked on once and in order", f"{place}: {worked} of {n}")
        rows = [row for row, _ in letters]
        if len(set(rows)) != len(rows) or not all(0 <= row < n for row in rows):
            self._wrong("dead letters of rows that are none, or twice", f"{place}: {sorted(rows)} of {n}")
        if letters and given is None:
            self._wrong(f"{spy.name} refuses what a processor wrote", f"{place}: {letters}")
        for _, reason in letters:
            self.sums.reasons[place[0], reason] += 1
        if given is not None:
            self.sums.rows += n
            self.sums.rows_refused += len(letters)
            self.sums.rows_used += n - len(letters)
        # a watermark is no tick, and has no count of its own
        return (n - isinstance(content.body, Watermark), len(letters)) if place[0] != DEAD_LETTERS else (0, 0)

    def _check_position(self, spy: Spied, topic: str) -> None:
        tp = TopicPartition(topic, 0)
        records = self._records(topic)
        runner = next(runner for runner in self._runners if runner.processor is spy)
        position = runner.log.committed(tp)
        if records and position != records[-1].offset + 1:
            self._wrong("a position has not moved over all records", f"{spy.name} {topic}: {position}")

    def _check_outputs(self) -> None:
        for spy in self.spies:
            for topic in spy.outputs if spy is not self.spies[0] else (*spy.outputs, DEAD_LETTERS):
                for record in self._records(topic):
                    if (topic, record.offset) in self._given:
                        continue
                    self.sums.outputs += 1
                    self.written.append((topic, record.key, record.value, record.timestamp))
                    try:
                        check_output(topic, record.value)
                    except Exception as error:
                        self._wrong(f"{topic} holds what it may not", f"{type(error).__name__}: {error}")
            for record in self._records(changelog(spy.name)):
                try:
                    strict(record.value or b"{}")
                except ValueError as error:
                    self._wrong(f"the state of {spy.name} is no strict JSON", f"{record.key!r}: {error}")

    def _records(self, topic: str) -> list[Record]:
        return list(self.cluster.read(TopicPartition(topic, 0)))

    def _start_again(self) -> None:
        for place, (spy, runner) in enumerate(zip(self.spies, self._runners, strict=True)):
            runner.close()
            self._runners[place] = self._runner(spy)
            self._runners[place].drain(exhausted=True)
            self.sums.restores += 1

    def _forget(self) -> None:
        """What was checked leaves the log, so that memory shows what the processors keep."""
        for topic in ALL_TOPICS:
            records = self._records(topic)
            for record in records:
                for part in (record.key, record.value):
                    self._history[topic].update(b"\x00" if part is None else len(part).to_bytes(8, "big") + part)
            if topic in CHANGELOGS:
                self.cluster.compact(topic)
            elif records:  # not the marker behind them, which no position has passed
                self.cluster.trim(topic, 0, records[-1].offset + 1)
        self._given.clear()
