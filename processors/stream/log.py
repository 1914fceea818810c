"""The seam between a processor and a log: four calls, and what a restart needs.

``poll`` reads, ``send`` and ``commit`` write outputs and positions as one transaction, ``end`` leaves. All three logs
(memory, SQLite, Kafka) behave alike; one conformance suite holds them to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, Protocol, overload

Headers = tuple[tuple[str, bytes], ...]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """A committed record as read from a log. ``timestamp`` is the log's own, in nanoseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    def header(self, name: str) -> bytes | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Records(Sequence[Record]):
    """Records of one partition in offset order, as columns: a :class:`Record` is made only where one is asked for.

    The columns are lists of equal length, named and meant as the fields of a record.
    """

    topic: str
    partition: int
    offsets: Sequence[int]
    timestamps: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers]

    @classmethod
    def of(cls, records: Sequence[Record]) -> Records:
        """The columns of at least one record, all of the same partition."""
        first = records[0]
        return cls(
            first.topic,
            first.partition,
            [r.offset for r in records],
            [r.timestamp for r in records],
            [r.key for r in records],
            [r.value for r in records],
            [r.headers for r in records],
        )

    @classmethod
    def joined(cls, parts: Sequence[Records]) -> Records:
        """The columns of at least one part of one partition, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            parts[0].topic,
            parts[0].partition,
            *(list(chain.from_iterable(columns)) for columns in zip(*(part._columns for part in parts), strict=True)),
        )

    @property
    def _columns(self) -> tuple[Sequence[Any], ...]:
        return self.offsets, self.timestamps, self.keys, self.values, self.headers

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, which: int) -> Record: ...
    @overload
    def __getitem__(self, which: slice) -> Records: ...

    def __getitem__(self, which: int | slice) -> Record | Records:
        if isinstance(which, slice):
            return Records(self.topic, self.partition, *(column[which] for column in self._columns))
        return Record(self.topic, self.partition, *(column[which] for column in self._columns))


@dataclass(frozen=True, slots=True)
class Out:
    """A record to write. ``partition`` None: by the key (murmur2, as every Kafka client). ``urgent``: commit now."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """Who reads and writes: one processor of one deployment, or one instance of it.

    Attributes:
        group: consumer group, the same for all instances of a processor; positions are kept under it.
        instance: name of this instance, stable across restarts, unique in the group. The same instance started again
            takes over from its predecessor at once and fences it.
        inputs: topics read together. They have the same number of partitions and one member gets the same ones of all.
    """

    group: str
    instance: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Poll:
    """What a poll brought.

    Attributes:
        partitions: partition numbers that this member owns now, of every input topic.
        generation: changes whenever the assignment was given anew, even when the partitions stayed the same;
            uncommitted work of an older generation must be dropped.
        records: new records in offset order for each topic and partition, only of owned partitions.
    """

    partitions: frozenset[int]
    generation: int
    records: Mapping[TopicPartition, Sequence[Record]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one partition has been read and could be read, in offsets: transaction markers count too.

    Attributes:
        position: next offset that :meth:`Log.poll` would look at, markers and aborted records passed over.
        stable: everything before it is committed or aborted; behind it a transaction is open.
        end: next offset to be written.
    """

    position: int
    stable: int
    end: int

    @property
    def lag(self) -> int:
        """Offsets that are not yet read."""
        return max(self.end - self.position, 0)


class Log(Protocol):
    """One member's view of a log. Not thread safe: one thread uses it.

    Only committed records are ever returned. A poll that tells a new generation brings no records, has aborted the open
    transaction, and has forgotten the position and the pause of every partition, kept ones too: each is silent until
    :meth:`seek` says where to read from (the committed position, or else the oldest record).

    A position outside of what the log keeps, because retention was faster, raises LogUnavailable in :meth:`poll`. A
    topic or partition that does not exist raises UserError.
    """

    def poll(self, timeout: float) -> Poll:
        """Records since the last poll, waiting up to ``timeout`` seconds for the first; empty when there are none."""

    def send(self, out: Out) -> None:
        """Add ``out`` to the open transaction, opening one when there is none. It is invisible until :meth:`commit`."""

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit all that was sent and the positions (next offset to read) as one, or nothing.

        Raises Rebalanced when partitions moved away (the transaction is aborted and the member may go on), Fenced when
        another member took this one's place, DeadlineExceeded when no answer came in time.
        """

    def end(self) -> None:
        """Leave: abort what is open, give partitions back, close. Safe to call twice."""

    # What a restart needs

    def committed(self, tp: TopicPartition) -> int | None:
        """The group's committed position, or None when it never committed one."""

    def beginning(self, tp: TopicPartition) -> int:
        """Offset of the oldest record still kept (or of the next one, when it is empty)."""

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Read ``tp`` from ``offset`` on. ``tp`` must be owned."""

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Stop returning records of these partitions until :meth:`resume`."""

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Return records of these partitions again."""

    def caught_up(self, tp: TopicPartition) -> bool:
        """True when every record committed so far to ``tp`` has been returned by :meth:`poll`."""

    def read(self, tp: TopicPartition) -> Iterator[Record]:
        """Every record committed to ``tp`` up to now, oldest first, whoever owns it: what a changelog is restored from.

        It must be complete even while another member's transaction is open (it waits for that to end, up to the
        deadline), and on a compacted topic it may leave out records that a later one of the same key replaces.
        """

    def reach(self, tp: TopicPartition) -> Reach | None:
        """How far ``tp`` has been and could be read, its ends as they were a second or so ago; None when unknown.

        It never waits for an answer, and asks the log itself: what a fetch happened to tell is worth nothing for a
        partition that is not fetched.
        """


class Cluster(Protocol):
    """Topics of a log as a whole: to create, describe, write and read them outside of any processor."""

    def topics(self, names: Iterable[str] | None = None) -> dict[str, int]:
        """Topic names and their partition counts: of all, or of those of these names that exist.

        Raises Denied for one of the names that this user may not see.
        """

    def create(self, topics: Mapping[str, int], *, compacted: frozenset[str] = frozenset()) -> None:
        """Create the topics that are missing with that many partitions. Never changes one that exists."""

    def publish(self, outs: Iterable[Out], *, producer: str = "feed") -> None:
        """Append ``outs`` durably and atomically. ``producer`` names the writer (a transactional id on Kafka)."""

    def read(self, tp: TopicPartition, start: int = 0) -> Iterator[Record]:
        """Committed records of ``tp`` from ``start`` on, up to now."""

    def beginning(self, tp: TopicPartition) -> int:
        """Offset of the oldest record still kept (or of the next one, when it is empty)."""

    def end_offset(self, tp: TopicPartition) -> int:
        """The next offset to be written."""

    def member(self, member: Member) -> Log:
        """Join as ``member``."""

    def close(self) -> None:
        """Close every connection of this object; members end themselves."""
