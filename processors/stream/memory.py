"""A log in memory that behaves as a broker does, for tests and replays; it can be told to crash at any point.

What a reader of Kafka can meet is here too: control markers that take offsets, aborted records that stay in the log,
records that wait behind another producer's open transaction, groups that move partitions, members that are fenced.
"""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from processors.errors import DeadlineExceeded, Fenced, LogUnavailable, Rebalanced, UserError
from processors.stream.crash import Crash, CrashPlan
from processors.stream.log import Member, Out, Poll, Reach, Record, TopicPartition
from processors.stream.partitioner import partition_for

__all__ = ["Crash", "CrashPlan", "MemoryCluster", "MemoryLog"]

_log = logging.getLogger("alvh.stream.memory")


class _State(Enum):
    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(slots=True, eq=False)
class _Transaction:
    state: _State = _State.OPEN
    first: dict[TopicPartition, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Entry:
    """One offset that is taken: a record, or (``record`` None) the marker that ends a transaction."""

    offset: int
    record: Record | None
    transaction: _Transaction

    @property
    def visible(self) -> bool:
        return self.record is not None and self.transaction.state is _State.COMMITTED


@dataclass(slots=True)
class _Partition:
    entries: list[_Entry] = field(default_factory=list)
    start: int = 0
    end: int = 0
    open: list[_Transaction] = field(default_factory=list)

    def stable(self, tp: TopicPartition) -> int:
        """The last stable offset: everything before it is decided, so read_committed readers may see it."""
        return min((transaction.first[tp] for transaction in self.open), default=self.end)

    def index(self, offset: int) -> int:
        return bisect_left(self.entries, offset, key=lambda entry: entry.offset)

    def visible(self, start: int, stop: int) -> Iterator[Record]:
        for index in range(self.index(start), self.index(stop)):  # no slice: the rest of a long log is never copied
            entry = self.entries[index]
            if entry.visible and entry.record is not None:
                yield entry.record


@dataclass(slots=True)
class _Group:
    generation: int = 0
    members: dict[str, MemoryLog] = field(default_factory=dict)
    assignment: dict[str, frozenset[int]] = field(default_factory=dict)
    positions: dict[TopicPartition, int] = field(default_factory=dict)


class MemoryCluster:
    """Topics, groups and transactions in memory.

    Args:
        now: the log's clock, nanoseconds since the epoch; it stamps the records.
        crash: where members die, see :class:`CrashPlan`. Work on the cluster itself (``publish``) never crashes.
        deadline: seconds that ``read`` waits for another member's open transaction.
        max_records: most records that one poll returns.

    Every method may be called from any thread.
    """

    def __init__(
        self,
        *,
        now: Callable[[], int] = time.time_ns,
        crash: CrashPlan | None = None,
        deadline: float = 10.0,
        max_records: int = 2000,
    ) -> None:
        self.now = now
        self.crash = crash or CrashPlan()
        self.deadline = deadline
        self.max_records = max_records
        self._changed = threading.Condition()
        self._topics: dict[str, list[_Partition]] = {}
        self._compacted: set[str] = set()
        self._groups: dict[str, _Group] = {}
        self._transactions: dict[str, _Transaction] = {}

    # Cluster

    def topics(self, names: Iterable[str] | None = None) -> dict[str, int]:
        """Topic names and their partition counts: of all, or of those of these names that exist."""
        wanted = None if names is None else set(names)
        with self._changed:
            return {n: len(parts) for n, parts in self._topics.items() if wanted is None or n in wanted}

    def create(self, topics: Mapping[str, int], *, compacted: frozenset[str] = frozenset()) -> None:
        """Create the topics that are missing. Compaction itself runs when :meth:`compact` is called."""
        with self._changed:
            for name, count in topics.items():
                if name not in self._topics:
                    self._topics[name] = [_Partition() for _ in range(count)]
                    if name in compacted:
                        self._compacted.add(name)

    def publish(self, outs: Iterable[Out], *, producer: str = "feed") -> None:
        """Append ``outs`` as one transaction of ``producer``."""
        with self._changed:
            for out in (outs := list(outs)):
                self._place(out)  # refuse before anything is written
            transaction = self._begin(producer)
            for out in outs:
                self._append(transaction, out)
            self._finish(producer, _State.COMMITTED)

    def read(self, tp: TopicPartition, start: int = 0) -> Iterator[Record]:
        """Committed records of ``tp`` from ``start`` on, up to the first transaction that is open now."""
        with self._changed:
            partition = self._partition(tp)
            return iter(list(partition.visible(start, partition.stable(tp))))

    def beginning(self, tp: TopicPartition) -> int:
        """The oldest offset that retention has left."""
        with self._changed:
            return self._partition(tp).start

    def end_offset(self, tp: TopicPartition) -> int:
        """The next offset to be written."""
        with self._changed:
            return self._partition(tp).end

    def member(self, member: Member) -> MemoryLog:
        """Join as ``member``: fences an earlier one of the same instance and aborts what it left open."""
        return MemoryLog(self, member)

    def close(self) -> None:
        """Nothing to close: the log lives as long as this object."""

    # What a broker does by itself, and a test at its own time

    def compact(self, topic: str) -> None:
        """Keep only the newest record of each key, and nothing of keys removed by a tombstone or of aborted work.

        As a broker's cleaner: only decided records are touched, offsets stay, a record without a key is dropped.
        """
        with self._changed:
            for number, partition in enumerate(self._partitions(topic)):
                stable = partition.stable(TopicPartition(topic, number))
                newest = {record.key: record for record in partition.visible(0, stable)}
                keep = {r.offset for r in newest.values() if r.key is not None and r.value is not None}
                partition.entries = [e for e in partition.entries if e.offset >= stable or e.offset in keep]

    def trim(self, topic: str, partition: int, before_offset: int) -> None:
        """Delete the records of a partition before an offset, as retention does."""
        with self._changed:
            kept = self._partition(TopicPartition(topic, partition))
            kept.start = min(max(kept.start, before_offset), kept.end)
            kept.entries = kept.entries[kept.index(kept.start) :]
            self._changed.notify_all()

    def expire(self, group: str, instance: str) -> None:
        """The session and the transaction of a silent member time out: its partitions go to the others."""
        with self._changed:
            state = self._groups[group]
            state.members.pop(instance, None)
            self._finish(f"{group}.{instance}", _State.ABORTED)
            self._rebalance(state)

    # Transactions. Each of these is called with the lock held.

    def _partitions(self, topic: str) -> list[_Partition]:
        try:
            return self._topics[topic]
        except KeyError:
            known = ", ".join(sorted(self._topics)) or "none"
            raise UserError(f"there is no topic {topic!r}; create it first (topics: {known})") from None

    def _partition(self, tp: TopicPartition) -> _Partition:
        partitions = self._partitions(tp.topic)
        if not 0 <= tp.partition < len(partitions):
            raise UserError(f"topic {tp.topic!r} has partitions 0 to {len(partitions) - 1}, not {tp.partition}")
        return partitions[tp.partition]

    def _place(self, out: Out) -> TopicPartition:
        number = out.partition
        if number is None:
            number = partition_for(out.key, len(self._partitions(out.topic)))
        tp = TopicPartition(out.topic, number)
        self._partition(tp)
        return tp

    def _begin(self, producer: str) -> _Transaction:
        return self._transactions.setdefault(producer, _Transaction())

    def _append(self, transaction: _Transaction, out: Out) -> None:
        tp = self._place(out)
        partition = self._partition(tp)
        offset = partition.end
        record = Record(tp.topic, tp.partition, offset, self.now(), out.key, out.value, out.headers)
        if tp not in transaction.first:
            transaction.first[tp] = offset
            partition.open.append(transaction)
        partition.entries.append(_Entry(offset, record, transaction))
        partition.end += 1

    def _finish(self, producer: str, state: _State) -> None:
        """End the open transaction of ``producer``, if there is one, and write its markers."""
        transaction = self._transactions.pop(producer, None)
        if transaction is None:
            return
        transaction.state = state
        for tp in transaction.first:
            partition = self._partition(tp)
            partition.entries.append(_Entry(partition.end, None, transaction))
            partition.end += 1
            partition.open.remove(transaction)
        self._changed.notify_all()

    def _rebalance(self, group: _Group) -> None:
        """Give every member its range of partition numbers anew (eager: all of them get a new generation)."""
        group.generation += 1
        names = sorted(group.members)
        group.assignment = {}
        at = 0
        for rank, name in enumerate(names):
            count = group.members[name].partition_count
            share = count // len(names) + (rank < count % len(names))
            group.assignment[name] = frozenset(range(at, at + share))
            at += share
        self._changed.notify_all()


class MemoryLog:
    """One member of a group on a :class:`MemoryCluster`."""

    def __init__(self, cluster: MemoryCluster, member: Member) -> None:
        self._cluster = cluster
        self._member = member
        self._producer = f"{member.group}.{member.instance}"
        self._lock = cluster._changed
        self._generation = 0
        self._partitions: frozenset[int] = frozenset()
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._turn = 0
        self._ended = False
        with self._lock:
            counts = {topic: len(cluster._partitions(topic)) for topic in member.inputs}
            if len(set(counts.values())) != 1:
                raise UserError(f"inputs read together need the same number of partitions: {counts}")
            self.partition_count = next(iter(counts.values()))
            self._group = cluster._groups.setdefault(member.group, _Group())
            self._group.members[member.instance] = self
            cluster._finish(self._producer, _State.ABORTED)
            cluster._rebalance(self._group)
        self._reach("join")

    # Log

    def poll(self, timeout: float) -> Poll:
        """Records since the last poll. The first poll of a generation only tells what is owned now."""
        self._enter("poll")
        brought: dict[TopicPartition, list[Record]] = {}

        def answered() -> bool:
            self._check()
            if self._moved():
                self._adopt()
                return True
            brought.update(self._take())
            return bool(brought)

        with self._lock:
            self._lock.wait_for(answered, timeout)
        self._reach("poll:after")
        return Poll(self._partitions, self._generation, brought)

    def send(self, out: Out) -> None:
        """Append ``out`` to the open transaction; nobody sees it before the commit."""
        self._enter("send:before")
        with self._lock:
            self._check()
            self._cluster._place(out)
            self._cluster._append(self._cluster._begin(self._producer), out)
        self._reach("send:after")

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit what was sent together with the positions."""
        self._enter("commit:before")
        with self._lock:
            self._check()
            if self._moved():
                self._cluster._finish(self._producer, _State.ABORTED)
                raise Rebalanced(f"group {self._member.group!r} is in generation {self._group.generation}")
            self._cluster._begin(self._producer)
            self._reach("commit:after_outputs")
            self._group.positions.update(positions)
            self._cluster._finish(self._producer, _State.COMMITTED)
        self._reach("commit:after")

    def end(self) -> None:
        """Abort what is open and leave the group. A member that crashed or was fenced has nothing left to do."""
        if self._ended:
            return
        self._reach("end")
        self._ended = True
        with self._lock:
            if self._group.members.get(self._member.instance) is self:
                self._cluster._finish(self._producer, _State.ABORTED)
                del self._group.members[self._member.instance]
                self._cluster._rebalance(self._group)
        self._reach("end:after")

    def committed(self, tp: TopicPartition) -> int | None:
        """The group's committed position."""
        self._enter("committed")
        with self._lock:
            return self._group.positions.get(tp)

    def beginning(self, tp: TopicPartition) -> int:
        """The oldest offset that retention has left."""
        self._enter("beginning")
        with self._lock:
            return self._cluster._partition(tp).start

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Read ``tp`` from ``offset`` on."""
        self._enter("seek")
        if tp.partition not in self._partitions or tp.topic not in self._member.inputs:
            raise ValueError(f"{tp} is not owned")
        self._positions[tp] = offset

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Stop returning records of these partitions."""
        self._paused.update(tps)

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Return records of these partitions again."""
        self._paused.difference_update(tps)

    def caught_up(self, tp: TopicPartition) -> bool:
        """True when nothing committed is left between the position and the last stable offset."""
        with self._lock:
            partition = self._cluster._partition(tp)
            position = self._positions.get(tp)
            return position is not None and next(partition.visible(position, partition.stable(tp)), None) is None

    def read(self, tp: TopicPartition) -> Iterator[Record]:
        """Every record committed to ``tp`` up to now; waits for transactions that are open."""
        with self._lock:
            partition = self._cluster._partition(tp)
            target = partition.end
            if not self._lock.wait_for(lambda: partition.stable(tp) >= target, self._cluster.deadline):
                raise DeadlineExceeded(f"a transaction on {tp} stayed open for {self._cluster.deadline} s")
            records = list(partition.visible(partition.start, target))
        for record in records:
            self._enter("read")
            yield record
        self._enter("read:after")

    def reach(self, tp: TopicPartition) -> Reach | None:
        """Position and ends; None before the first seek."""
        with self._lock:
            position, partition = self._positions.get(tp), self._cluster._partition(tp)
            if position is None:
                return None
            stable = partition.stable(tp)
            return Reach(max(position, stable) if self.caught_up(tp) else position, stable, partition.end)

    # With the lock held

    def _moved(self) -> bool:
        return self._generation != self._group.generation

    def _adopt(self) -> None:
        """Take the new assignment. Work of the old one is aborted, and every partition waits for its seek."""
        self._cluster._finish(self._producer, _State.ABORTED)
        self._generation = self._group.generation
        self._partitions = self._group.assignment[self._member.instance]
        self._positions.clear()
        self._paused.clear()
        _log.debug("%s owns %s in generation %d", self._producer, sorted(self._partitions), self._generation)

    def _take(self) -> dict[TopicPartition, list[Record]]:
        """What can be read now. Each call begins with another partition, so that none starves behind a full one."""
        brought: dict[TopicPartition, list[Record]] = {}
        room = self._cluster.max_records
        tps = [tp for tp in self._positions if tp not in self._paused]
        self._turn += 1
        for step in range(len(tps)):
            tp = tps[(self._turn + step) % len(tps)]
            partition = self._cluster._partition(tp)
            position = self._positions[tp]
            if not partition.start <= position <= partition.end:
                raise LogUnavailable(
                    f"position {position} of {tp.topic} partition {tp.partition} is outside of what the log keeps"
                    f" ({partition.start} to {partition.end}): retention deleted records before they were read"
                )
            stable = partition.stable(tp)
            records: list[Record] = []
            for record in partition.visible(position, stable):
                if len(records) == room:
                    stable = record.offset
                    break
                records.append(record)
            self._positions[tp] = max(position, stable)
            room -= len(records)
            if records:
                brought[tp] = records
        return brought

    def _check(self) -> None:
        present = self._group.members.get(self._member.instance)
        if present is not None and present is not self:
            raise Fenced(f"instance {self._member.instance!r} of group {self._member.group!r} was started again")
        if present is None:
            self._cluster._finish(self._producer, _State.ABORTED)
            self._group.members[self._member.instance] = self  # its session had expired: it joins again
            self._cluster._rebalance(self._group)

    # Points of a crash

    def _enter(self, point: str) -> None:
        if self._ended:
            raise RuntimeError("this member has ended")
        self._reach(point)

    def _reach(self, point: str) -> None:
        try:
            self._cluster.crash.reach(point)
        except Crash:
            self._ended = True
            raise
