"""The loop: poll, merge, process, commit; restore after an assignment, drop and read again after a lost commit.

Between two commits everything is in memory alone: outputs wait in a list, and the state of the last commit is kept as
the bytes that were written to the changelog. So dropping uncommitted work means forgetting, and an instance that dies
anywhere leaves nothing half done.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from processors.errors import PartitionStalled, Rebalanced, StateMismatch
from processors.stream.lifecycle import Lifecycle
from processors.stream.log import Log, Out, Poll, Records, TopicPartition
from processors.stream.log import Record as LogRecord
from processors.stream.merge import Channel, holding, merge
from processors.stream.metrics import STREAM_METRICS, Metrics
from processors.stream.processor import Decoded, Processor, Segment, Task
from processors.stream.stall import Cause, Silence, StallDetector
from topics.catalog import DEAD_LETTERS, changelog
from topics.codec import JSON_HEADERS
from topics.dead_letter import Refused, dead_letter
from topics.message import canonical_json
from topics.times import FIRST_TS, SECOND

logger = logging.getLogger("alvh.stream.runner")

#: Key of the changelog record that holds a task's input positions and stream times.
POSITIONS_KEY = b"#positions"
#: Records that may wait in one input before it is paused, and below which it is read on; and rows of tick blocks.
PAUSE_AT, RESUME_AT = 40_000, 10_000
PAUSE_ROWS, RESUME_ROWS = 500_000, 100_000
#: Seconds between two updates of what the metrics page says of each input.
_SHOW_INTERVAL = 1.0
#: Records of a changelog that are counted together.
_COUNTED = 500
_ANEW = "reset the group and its changelog to compute the state anew"
#: Seconds after which the position of an input is moved over what is no record.
_PASS_INTERVAL = 30.0


def dead_letter_out(record: LogRecord, row: int, refused: Refused, event_ts: int, original: bytes) -> Out:
    """The dead letter for one row of a record. Where it stood in the log is in the headers, which are not compared."""
    letter = dead_letter(record.topic, refused, max(event_ts, FIRST_TS), record.key, original)
    where = f"{record.topic}/{record.partition}/{record.offset}/{row}"
    headers = (*JSON_HEADERS, ("alvh-source", where.encode()))
    return Out(DEAD_LETTERS, record.topic.encode(), letter.canonical(), headers)


@dataclass(slots=True)
class _Part:
    """One partition that this member owns."""

    task: Task
    channels: list[Channel]
    paused: set[str] = field(default_factory=set)
    #: Inputs that what is buffered waits for.
    waits_for: tuple[str, ...] = ()
    #: When the newest record that was taken was written, by the log's clock, ns.
    newest: int = 0
    dirty: bool = False


class Runner:
    """Runs one processor over one log member. Use it from one thread.

    Args:
        log: this member's view of the log.
        processor: what to run.
        metrics: where to count.
        commit_interval: seconds after which work without urgent outputs is committed.
        clock: monotonic seconds; only pace and waiting depend on it, never an output.
        enter: told of each :class:`Lifecycle` state that is entered.
        tick: called once a cycle, and in what takes long, to show that the loop lives.
        stall_seconds: a partition that has something to read and stands for so long, without a reason, is stalled.
        give_up_seconds: seconds more after which :class:`processors.errors.PartitionStalled` ends the loop.
        quiet: told once a second which partitions have something to read and are not read on: the stalled ones, and
            those that have a reason.
    """

    def __init__(
        self,
        log: Log,
        processor: Processor,
        metrics: Metrics,
        *,
        commit_interval: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
        enter: Callable[[Lifecycle], None] = lambda state: None,
        tick: Callable[[], None] = lambda: None,
        stall_seconds: float = 60.0,
        give_up_seconds: float = 120.0,
        quiet: Callable[[Sequence[Silence], Sequence[Silence]], None] = lambda stalled, held: None,
    ) -> None:
        self.log = log
        self.processor = processor
        self.metrics = metrics
        self.commit_interval = commit_interval
        self._clock = clock
        self._enter = enter
        self._tick = tick
        self._quiet = quiet
        self._give_up_seconds = give_up_seconds
        self._stalls = StallDetector(stall_seconds, clock)
        self._warned: set[TopicPartition] = set()
        self._shown: set[tuple[str, str]] = set()
        self._changelog = changelog(processor.name)
        self._generation: int | None = None
        self._parts: dict[int, _Part] = {}
        self._outs: list[Out] = []
        self._urgent = False
        self._last_commit = clock()
        self._last_shown = self._last_look = clock() - _SHOW_INTERVAL
        self._ended = False

    # One cycle

    def step(self, timeout: float = 0.1, *, exhausted: bool = False) -> int:
        """Poll once, process what can be processed, commit when it is due. Returns the rows that were processed.

        ``exhausted`` says that the inputs are complete: nothing waits for an input that is silent.
        """
        self._tick()
        polled = self.log.poll(timeout if not self._dirty else min(timeout, self._until_commit()))
        self.metrics.set("alvh_last_poll_timestamp_seconds", time.time())
        if polled.generation != self._generation:
            self._assign(polled)  # seeks: what this poll brought is read again from there
        else:
            self._buffer(polled)
        rows = 0
        for partition, part in self._parts.items():
            rows += self._process(partition, part, exhausted)
        if self._clock() - self._last_shown >= _SHOW_INTERVAL:
            self._show_progress()  # also while nothing moves: that is what must be seen
        if self._clock() - self._last_look >= _SHOW_INTERVAL:  # also while others are committed many times a second
            self._last_look = self._clock()
            self._pass_markers()
            self._look_for_stalls()
        if self._urgent or (self._dirty and self._until_commit() <= 0):
            self.commit()
        return rows

    def drain(self, *, exhausted: bool = False) -> int:
        """Step until there is nothing more to read or process, and commit. Returns the rows that were processed."""
        total = 0
        while True:
            rows = self.step(0.0, exhausted=exhausted)
            total += rows
            if rows == 0 and self._parts and self._all_read():
                self.commit()
                if self._parts:  # else partitions moved before the commit: the work is done again
                    return total

    def run(self, stop: Callable[[], bool], timeout: float = 0.1) -> None:
        """Step until ``stop()`` is true, then commit what is done and leave."""
        self._enter(Lifecycle.JOINING)
        while not stop():
            self.step(timeout)
        self._enter(Lifecycle.STOPPING)
        self.close()
        self._enter(Lifecycle.STOPPED)

    def close(self) -> None:
        """Commit what has been processed and leave the group. Buffered records stay in the log for the next start."""
        if self._ended:
            return
        self._ended = True
        try:
            if self._dirty:
                self.commit()
        finally:
            self.log.end()

    @property
    def _dirty(self) -> bool:
        return any(part.dirty for part in self._parts.values())

    def _until_commit(self) -> float:
        return max(0.0, self.commit_interval - (self._clock() - self._last_commit))

    def _all_read(self) -> bool:
        return all(
            self.log.caught_up(TopicPartition(channel.topic, partition)) and channel.topic not in part.paused
            for partition, part in self._parts.items()
            for channel in part.channels
        )

    # Assignment and restore

    def _assign(self, polled: Poll) -> None:
        """Forget everything uncommitted and take up the partitions as they were last committed."""
        self._parts, self._outs, self._urgent = {}, [], False
        self._generation = polled.generation
        self._stalls.forget()
        self._warned.clear()
        self.metrics.inc("alvh_assignments_total")
        self.metrics.set("alvh_assignment_timestamp_seconds", time.time())
        if not polled.partitions:
            self._forget_places()
            self._enter(Lifecycle.JOINING)
            return
        self._enter(Lifecycle.RESTORING)
        for partition in sorted(polled.partitions):
            started = self._clock()
            self._parts[partition] = self._restore(partition)
            self.metrics.observe("alvh_restore_seconds", self._clock() - started)
        logger.info("%s: partitions %s restored", self.processor.name, sorted(polled.partitions))
        self._forget_places()
        self._enter(Lifecycle.RUNNING)

    def _forget_places(self) -> None:
        """Take the gauges of partitions that went to another member off the page: it tells of them now."""
        owned = {(channel.topic, str(number)) for number, part in self._parts.items() for channel in part.channels}
        for place in self._shown - owned:
            for metric in STREAM_METRICS:
                if metric.labels[:2] == ("topic", "partition"):
                    self.metrics.forget(metric.name, *place)
        self._shown &= owned

    def _restore(self, partition: int) -> _Part:
        state: dict[bytes, bytes] = {}
        count = 0
        for record in self.log.read(TopicPartition(self._changelog, partition)):
            count += 1
            if count == _COUNTED:
                self._tick()
                self.metrics.inc("alvh_restore_records_total", count)
                count = 0
            if record.key is None:
                continue
            if record.value is None:
                state.pop(record.key, None)
            else:
                state[record.key] = record.value
        self.metrics.inc("alvh_restore_records_total", count)
        positions, times = self._positions(partition, state.get(POSITIONS_KEY))
        task = self.processor.task(partition)
        for key, value in state.items():
            if key != POSITIONS_KEY:
                self._tick()
                try:
                    task.restore(key, value)
                except Exception as error:  # whatever is wrong with the bytes, it is their fault
                    raise StateMismatch(
                        f"{self._changelog}/{partition}: the state of {key!r} cannot be read: {error}. It was written "
                        "by another version; run that one, or reset the group and its changelog to compute it anew."
                    ) from error
        task.snapshot()  # what was just restored is not a change
        channels = []
        for given in self.processor.inputs:
            tp = TopicPartition(given.topic, partition)
            position = positions[given.topic]
            self.log.seek(tp, position)
            at = times.get(given.topic, 0)
            channels.append(Channel(given.topic, given.max_idle, position, time=at, ahead=at))
        return _Part(task, channels)

    def _positions(self, partition: int, saved: bytes | None) -> tuple[dict[str, int], dict[str, int]]:
        """Where to read on, and the stream times reached. State and positions must tell the same story."""
        ours, times = ({}, {}) if saved is None else self._saved_positions(partition, saved)
        positions = {}
        for given in self.processor.inputs:
            tp = TopicPartition(given.topic, partition)
            theirs, beginning = self.log.committed(tp), self.log.beginning(tp)
            mine = ours.get(given.topic)
            if mine is None and theirs is not None:
                raise StateMismatch(
                    f"{tp.topic}/{partition}: the group has read up to {theirs}, but {self._changelog} holds no state "
                    "for it. Reset the group's positions too, to compute the state anew."
                )
            if mine is not None and theirs is not None and mine != theirs:
                raise StateMismatch(
                    f"{tp.topic}/{partition}: the state in {self._changelog} stands at {mine} but the group at "
                    f"{theirs}. Positions were changed by hand: set them back, or reset both to compute it anew."
                )
            if mine is not None and mine < beginning:
                raise StateMismatch(
                    f"{tp.topic}/{partition}: records {mine} to {beginning - 1} are past their retention and were "
                    "never read. Reset the group and its changelog to start from what is left; check what was missed."
                )
            positions[given.topic] = beginning if mine is None else mine
        return positions, times

    def _saved_positions(self, partition: int, saved: bytes) -> tuple[dict[str, int], dict[str, int]]:
        where = f"{self._changelog}/{partition}"
        try:
            document = json.loads(saved)
            if (version := document["version"]) != 1:
                raise StateMismatch(f"{where}: positions of version {version!r}, not 1")
            positions, times = document["positions"], document["times"]
            numbers = [*positions.values(), *times.values()]
        except StateMismatch:
            raise
        except Exception as error:  # whatever is wrong with the bytes, it is their fault
            raise StateMismatch(f"{where}: the positions cannot be read: {error}; {_ANEW}") from error
        if not all(type(number) is int and 0 <= number < 1 << 63 for number in numbers):
            raise StateMismatch(f"{where}: positions and times are whole numbers, not {numbers}; {_ANEW}")
        return positions, times

    # Processing

    def _buffer(self, polled: Poll) -> None:
        for tp, brought in polled.records.items():
            part = self._parts.get(tp.partition)
            if part is None or not brought:
                continue
            records = brought if isinstance(brought, Records) else Records.of(brought)
            channel = next(c for c in part.channels if c.topic == tp.topic)
            rows = refusals = at = 0
            for run in (*self.processor.gather(records), None):
                for i in range(at, len(records) if run is None else run.start):
                    record = records[i]
                    content = self._decode(record)
                    refusals += isinstance(content, Refused)
                    rows += channel.put(record, content)
                if run is not None:
                    rows += channel.put_run(records[run.start : run.stop], run)
                    at = run.stop
            self.metrics.inc("alvh_records_total", len(records) - refusals, tp.topic, "used")
            self.metrics.inc("alvh_records_total", refusals, tp.topic, "refused")
            self.metrics.inc("alvh_rows_total", rows, tp.topic)
            full = channel.waiting >= PAUSE_AT or channel.rows >= PAUSE_ROWS
            if full and tp.topic not in part.paused:
                part.paused.add(tp.topic)
                self.log.pause([tp])

    def _decode(self, record: LogRecord) -> Decoded | Refused:
        try:
            return self.processor.decode(record)
        except Refused as refused:
            return refused

    def _process(self, partition: int, part: _Part, exhausted: bool) -> int:
        if not any(channel.queue for channel in part.channels):
            return 0
        silent = [self._silent(partition, channel, exhausted) for channel in part.channels]
        segments = merge(part.channels, silent)
        if not segments:
            waited_for = holding(part.channels, silent)
            part.waits_for = tuple(channel.topic for channel in waited_for)
            self._resume(partition, part, waited_for)
            return 0
        part.waits_for = ()
        started = self._clock()
        outs: list[Out] = []
        run: list[Segment] = []
        for segment in segments:
            if isinstance(segment.body, Refused):
                if run:
                    outs += part.task.process(run, self._tick)
                    run = []
                original = segment.record.value or b""
                outs.append(dead_letter_out(segment.record, 0, segment.body, int(segment.keys[0]), original))
            else:
                run.append(segment)
        if run:
            outs += part.task.process(run, self._tick)
        self.metrics.observe("alvh_process_seconds", self._clock() - started)
        self._outs += outs
        self._urgent = self._urgent or any(out.urgent for out in outs)
        part.newest = max(segment.place(segment.stop - 1)[0].timestamp for segment in segments)
        part.dirty = True
        read_on = [c for c in part.channels if c.waiting <= RESUME_AT and c.rows <= RESUME_ROWS]
        self._resume(partition, part, read_on)
        return sum(segment.stop - segment.start for segment in segments)

    def _resume(self, partition: int, part: _Part, channels: Sequence[Channel]) -> None:
        """Read on those of the channels that are paused."""
        for channel in channels:
            if channel.topic in part.paused:
                part.paused.discard(channel.topic)
                self.log.resume([TopicPartition(channel.topic, partition)])

    def _pass_markers(self) -> None:
        """Move positions over what is no record, when it has been the next thing to read for a while.

        Else retention, when it takes the end of a transaction that nothing came behind, seems to take something unread.
        """
        now = self._clock()
        for partition, part in self._parts.items():
            for channel in part.channels:
                reach = self.log.reach(TopicPartition(channel.topic, partition))
                if reach is None or reach.position <= channel.position or channel.queue:
                    channel.ahead_since = None
                elif channel.ahead_since is None:
                    channel.ahead_since = now
                elif now - channel.ahead_since >= _PASS_INTERVAL:
                    channel.position, channel.ahead_since, part.dirty = reach.position, None, True

    def _silent(self, partition: int, channel: Channel, exhausted: bool) -> bool:
        """True when this input has nothing more to read and has been waited for.

        What it has buffered does not matter: a record may itself wait for rows of a block that waits for this input.
        """
        if not self.log.caught_up(TopicPartition(channel.topic, partition)):
            channel.idle_since = None
            return False
        if exhausted or channel.max_idle <= 0:
            return True
        now = self._clock()
        if channel.idle_since is None:
            channel.idle_since = now
        return now - channel.idle_since >= channel.max_idle

    # Commit

    def commit(self) -> None:
        """Commit outputs, changed state and positions as one transaction. On Rebalanced all of it is dropped."""
        if not self._dirty:
            return
        started = self._clock()
        snapshots = {p: self._snapshot(part) for p, part in self._parts.items() if part.dirty}
        positions = {
            TopicPartition(channel.topic, partition): channel.position
            for partition in snapshots
            for channel in self._parts[partition].channels
        }
        try:
            for out in self._outs:
                self._tick()
                self.log.send(out)
            for partition, changed in snapshots.items():
                for key, value in changed.items():
                    self._tick()
                    self.log.send(Out(self._changelog, key, value, partition=partition))
            self.log.commit(positions)
        except Rebalanced:
            logger.info("%s: partitions moved before the commit; the work is read again", self.processor.name)
            self.metrics.inc("alvh_commits_total", 1, "rebalanced")
            self._parts, self._outs, self._urgent, self._generation = {}, [], False, None
            return
        self._committed(snapshots, started)

    def _snapshot(self, part: _Part) -> dict[bytes, bytes | None]:
        changed = dict(part.task.snapshot())
        changed[POSITIONS_KEY] = canonical_json(
            {
                "version": 1,
                "positions": {channel.topic: channel.position for channel in part.channels},
                "times": {channel.topic: channel.time for channel in part.channels},
            }
        )
        return changed

    def _committed(self, snapshots: Mapping[int, Mapping[bytes, bytes | None]], started: float) -> None:
        now = self._clock()
        self.metrics.inc("alvh_commits_total", 1, "committed")
        self.metrics.observe("alvh_commit_seconds", now - started)
        for topic, amount in Counter(out.topic for out in self._outs).items():
            self.metrics.inc("alvh_outputs_total", amount, topic)
        for out in self._outs:
            if out.topic == DEAD_LETTERS and out.value is not None:
                letter = json.loads(out.value)
                self.metrics.inc("alvh_dead_letters_total", 1, letter["topic"], letter["reason"])
        for partition in snapshots:
            part = self._parts[partition]
            part.dirty = False
            self.metrics.observe("alvh_end_to_end_seconds", max(time.time() - part.newest / SECOND, 0.0))
            for (name, *labels), count in part.task.counts().items():
                self.metrics.inc(name, count, *labels)
            for (name, *labels), value in part.task.gauges().items():
                self.metrics.set(name, value, *labels)
        self._outs, self._urgent, self._last_commit = [], False, now
        self._show_progress()

    def _show_progress(self) -> None:
        """Set the gauges that say how far each input has come."""
        self._last_shown = self._clock()
        for partition, part in self._parts.items():
            for channel in part.channels:
                place = (channel.topic, str(partition))
                self._shown.add(place)
                self.metrics.set("alvh_stream_time_seconds", channel.time / SECOND, *place)
                self.metrics.set("alvh_buffered_records", channel.waiting, *place)
                reach = self.log.reach(TopicPartition(channel.topic, partition))
                if reach is not None:
                    self.metrics.set("alvh_lag_records", reach.lag, *place)

    def _look_for_stalls(self) -> None:
        """Say which partitions have something to read and stand still. PartitionStalled when that has lasted."""
        silences = [s for number, part in self._parts.items() for s in self._silences(number, part)]
        stalled = [silence for silence in silences if self._stalls.stalled(silence)]
        for silence in stalled:
            if silence.tp not in self._warned:
                logger.warning("%s: %s", self.processor.name, silence)
        self._warned = {silence.tp for silence in stalled}
        self._quiet(stalled, [silence for silence in silences if silence.cause is not Cause.STALLED])
        lost = [s for s in stalled if s.seconds >= self._stalls.stall_seconds + self._give_up_seconds]
        if lost:
            raise PartitionStalled("; ".join(map(str, lost)))

    def _silences(self, number: int, part: _Part) -> Iterator[Silence]:
        """The silences of one partition number; its gauges are set for every input."""
        for channel in part.channels:
            tp = TopicPartition(channel.topic, number)
            reach = self.log.reach(tp)
            if reach is None:
                continue
            # an input that others wait for is never held itself: the loop reads it on
            held = channel.topic in part.paused and channel.topic not in part.waits_for
            silence = self._stalls.look(tp, reach, part.waits_for if held else ())
            cause = None if silence is None else silence.cause
            place = (channel.topic, str(number))
            self.metrics.set("alvh_partition_stalled", silence is not None and self._stalls.stalled(silence), *place)
            self.metrics.set("alvh_partition_stalled_seconds", 0.0 if silence is None else silence.seconds, *place)
            for reason in (Cause.ANOTHER_INPUT, Cause.OPEN_TRANSACTION):
                self.metrics.set("alvh_partition_held", cause is reason, *place, reason.value)
            if silence is not None:
                yield silence
