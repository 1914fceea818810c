"""A log in one SQLite file: for one machine, and exactly once like the others.

A commit is one SQLite transaction that holds the outputs, the positions and the check of the lease. A group has one
member at a time: it holds a lease that it renews while it polls. The same instance started again takes the lease over
at once, and so fences its predecessor; another instance waits until the lease ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from processors.errors import Fenced, LogUnavailable, Rebalanced, UserError
from processors.stream.log import Member, Out, Poll, Reach, Record, TopicPartition
from processors.stream.sqlite_file import LogFile

_log = logging.getLogger("alvh.stream.sqlite")

#: Seconds between two looks at the file while a poll waits.
_NAP = 0.005


class SqliteCluster:
    """Topics, groups and leases in the SQLite file at ``path``, made when it is missing (readable by its owner only).

    Args:
        path: the file. It must be on a disk of this machine: SQLite's locks do not hold on network shares.
        lease: seconds after its last poll or commit at which a silent member loses its group to another instance.
        max_records: most records that one poll returns.
        max_bytes: a poll stops reading a partition once it has read that many bytes.

    Raises UserError when the file cannot be used.
    """

    def __init__(
        self, path: str | Path, *, lease: float = 10.0, max_records: int = 2000, max_bytes: int = 1 << 24
    ) -> None:
        self._path = Path(path)
        self._lease = lease
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._file = LogFile(self._path)

    def __repr__(self) -> str:
        return f"SqliteCluster({str(self._path)!r})"

    def topics(self, names: Iterable[str] | None = None) -> dict[str, int]:
        """Topic names and their partition counts: of all, or of those of these names that exist."""
        wanted = None if names is None else set(names)
        found = self._file.rows("SELECT name, partitions FROM topics ORDER BY name").fetchall()
        return {name: count for name, count in found if wanted is None or name in wanted}

    def create(self, topics: Mapping[str, int], *, compacted: frozenset[str] = frozenset()) -> None:
        """Create the topics that are missing. A compacted topic keeps the newest record of each key, always."""
        with self._file.write():
            for name, count in topics.items():
                made = self._file.rows(
                    "INSERT OR IGNORE INTO topics (name, partitions, compacted) VALUES (?, ?, ?)",
                    (name, count, name in compacted),
                )
                if made.rowcount:
                    for number in range(count):
                        self._file.rows(
                            "INSERT INTO partitions (topic, number) VALUES (?, ?)", (made.lastrowid, number)
                        )

    def publish(self, outs: Iterable[Out], *, producer: str = "feed") -> None:
        """Append ``outs`` in one transaction, on the disk when this returns. ``producer`` needs no name here."""
        batch = list(outs)
        with self._file.write():
            self._file.append(batch)

    def read(self, tp: TopicPartition, start: int = 0) -> Iterator[Record]:
        """Records of ``tp`` from ``start`` on, up to now."""
        return self._file.all_records(tp, start)

    def beginning(self, tp: TopicPartition) -> int:
        """The oldest offset that retention has left."""
        return self._file.bounds(tp)[0]

    def end_offset(self, tp: TopicPartition) -> int:
        """The next offset to be written."""
        return self._file.bounds(tp)[1]

    def member(self, member: Member) -> SqliteLog:
        """Join as ``member``, on a connection of its own."""
        return SqliteLog(
            self._path, member, lease=self._lease, max_records=self._max_records, max_bytes=self._max_bytes
        )

    def trim(self, topic: str, before_timestamp: int) -> int:
        """Delete records of ``topic`` written before a time (ns since the epoch); how many. For retention."""
        return self._file.trim(topic, before_timestamp)

    def close(self) -> None:
        """Close this object's connection."""
        self._file.close()


class SqliteLog:
    """The one member of a group on a :class:`SqliteCluster`, or one that waits to become it."""

    def __init__(self, path: Path, member: Member, *, lease: float, max_records: int, max_bytes: int) -> None:
        self._member = member
        self._lease = int(lease * 1e9)
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._epoch = 0  # of the lease that is held; 0 while waiting for it
        self._renewed = 0
        self._news = False  # the lease came or went, and no poll has told it yet
        self._outs: list[Out] = []
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._seen: int | None = None  # the file's version at which there was nothing more to read
        self._turn = 0
        self._ended = False
        self._file = LogFile(path)
        try:
            counts = {topic: self._file.topic(topic)[0] for topic in member.inputs}
            if len(set(counts.values())) != 1:
                raise UserError(f"inputs read together need the same number of partitions: {counts}")
            self._all = frozenset(range(next(iter(counts.values()))))
            self._acquire(takeover=True)
        except BaseException:
            self._file.close()
            raise

    # Log

    def poll(self, timeout: float) -> Poll:
        """Records since the last poll. The first poll that holds the lease only tells what is owned now."""
        end = time.monotonic() + timeout
        while True:
            version = self._file.version()
            if version != self._seen:
                self._check()
            if self._epoch:
                self._renew()
            else:
                self._acquire(takeover=False)
            if self._news:
                self._news = False
                return self._polled({})
            if self._epoch and version != self._seen:
                if brought := self._take():
                    return self._polled(brought)
                self._seen = version
            if (left := end - time.monotonic()) <= 0:
                return self._polled({})
            time.sleep(min(_NAP, left))

    def send(self, out: Out) -> None:
        """Keep ``out`` until the commit writes it."""
        self._file.partition(self._file.place(out))
        self._outs.append(out)

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Write what was sent and the positions, if the lease still holds, in one transaction on the disk."""
        outs, self._outs = self._outs, []
        with self._file.write():
            self._hold()
            self._file.append(outs)
            for tp, offset in positions.items():
                self._file.rows(
                    "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
                    (self._member.group, self._file.partition(tp), offset),
                )
        self._seen = None  # one's own commit does not change the version, and its outputs may be one's inputs

    def end(self) -> None:
        """Give the lease back and close. What was sent and not committed is dropped."""
        if self._ended:
            return
        self._ended = True
        try:
            if self._epoch:
                with self._file.write():
                    self._file.rows(
                        "UPDATE leases SET expires = 0 WHERE grp = ? AND epoch = ?", (self._member.group, self._epoch)
                    )
        finally:
            self._file.close()

    def committed(self, tp: TopicPartition) -> int | None:
        """The group's committed position."""
        row = self._file.rows(
            "SELECT offset FROM positions WHERE grp = ? AND partition = ?",
            (self._member.group, self._file.partition(tp)),
        ).fetchone()
        return None if row is None else row[0]

    def beginning(self, tp: TopicPartition) -> int:
        """The oldest offset that retention has left."""
        return self._file.bounds(tp)[0]

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Read ``tp`` from ``offset`` on."""
        if self._news or not self._epoch or tp.partition not in self._all or tp.topic not in self._member.inputs:
            raise ValueError(f"{tp} is not owned")
        self._positions[tp] = offset
        self._seen = None

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Stop returning records of these partitions."""
        self._paused.update(tps)

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Return records of these partitions again."""
        self._paused.difference_update(tps)
        self._seen = None

    def caught_up(self, tp: TopicPartition) -> bool:
        """True when no record is left at or after the position."""
        position = self._positions.get(tp)
        if position is None:
            return False
        following = self._file.bounds(tp)[1]
        return position >= following or not self._file.records(tp, position, following, most=1, size=1)

    def read(self, tp: TopicPartition) -> Iterator[Record]:
        """Every record committed to ``tp`` up to now. Nothing uncommitted is ever in the file: no waiting."""
        for count, record in enumerate(self._file.all_records(tp, 0)):
            if count % 1000 == 0 and self._epoch:
                self._renew()
            yield record

    def reach(self, tp: TopicPartition) -> Reach | None:
        """Position and end; None before the first seek. Nothing uncommitted is ever in the file."""
        position = self._positions.get(tp)
        if position is None:
            return None
        following = self._file.bounds(tp)[1]
        return Reach(position, following, following)

    # Records

    def _polled(self, brought: dict[TopicPartition, list[Record]]) -> Poll:
        return Poll(self._all if self._epoch else frozenset(), self._epoch, brought)

    def _take(self) -> dict[TopicPartition, list[Record]]:
        """What can be read now. Each call begins with another partition, so that none starves behind a full one."""
        brought: dict[TopicPartition, list[Record]] = {}
        room = self._max_records
        tps = [tp for tp in self._positions if tp not in self._paused]
        self._turn += 1
        for step in range(len(tps)):
            tp = tps[(self._turn + step) % len(tps)]
            position = self._positions[tp]
            oldest, following = self._file.bounds(tp)
            if not oldest <= position <= following:
                raise LogUnavailable(
                    f"position {position} of {tp.topic} partition {tp.partition} is outside of what the log keeps"
                    f" ({oldest} to {following}): retention deleted records before they were read"
                )
            if room <= 0:
                break
            if records := self._file.records(tp, position, following, most=room, size=self._max_bytes):
                brought[tp] = records
                room -= len(records)
                self._positions[tp] = records[-1].offset + 1
            else:
                self._positions[tp] = following  # compaction left nothing here
        return brought

    # Lease. Its time is the wall clock's, the only one that processes and restarts share. The clock decides only who
    # may take over: what keeps two members apart is the epoch, checked in the transaction of every commit.

    def _acquire(self, *, takeover: bool) -> None:
        """Take the lease when it is free or has ended, or (``takeover``) when this instance had it before."""
        group, instance = self._member.group, self._member.instance
        row = self._file.rows("SELECT instance, expires FROM leases WHERE grp = ?", (group,)).fetchone()
        if row and time.time_ns() < row[1] and not (takeover and row[0] == instance):
            return
        with self._file.write():
            row = self._file.rows("SELECT instance, epoch, expires FROM leases WHERE grp = ?", (group,)).fetchone()
            now = time.time_ns()
            if row and now < row[2] and not (takeover and row[0] == instance):
                return  # another was faster
            epoch = row[1] + 1 if row else 1
            self._file.rows(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", (group, instance, epoch, now + self._lease)
            )
        self._renewed = now
        self._start(epoch)
        _log.debug("%s.%s holds the group with epoch %d", group, instance, self._epoch)

    def _check(self) -> None:
        """Notice that the lease went to someone else."""
        if not self._epoch:
            return
        instance, epoch = self._file.rows(
            "SELECT instance, epoch FROM leases WHERE grp = ?", (self._member.group,)
        ).fetchone()
        if epoch == self._epoch:
            return
        if instance == self._member.instance:
            raise Fenced(f"instance {instance!r} of group {self._member.group!r} was started again")
        _log.warning("group %s went to instance %s: this one was silent for too long", self._member.group, instance)
        self._start(0)

    def _start(self, epoch: int) -> None:
        """Begin anew, with a lease or without: old work is dropped and every partition waits for its seek."""
        self._epoch = epoch
        self._news = True
        self._outs.clear()
        self._positions.clear()
        self._paused.clear()
        self._seen = None

    def _hold(self) -> None:
        """Within a write: make sure of the lease, and renew it."""
        self._check()
        if not self._epoch:
            raise Rebalanced(f"group {self._member.group!r} went to another instance")
        if self._news:
            raise Rebalanced(f"group {self._member.group!r} was given anew; poll first")
        self._renewed = time.time_ns()
        self._file.rows(
            "UPDATE leases SET expires = ? WHERE grp = ?", (self._renewed + self._lease, self._member.group)
        )

    def _renew(self) -> None:
        """Renew the lease when a third of it has gone."""
        if time.time_ns() - self._renewed > self._lease // 3:
            with self._file.write():
                self._check()
                if self._epoch:
                    self._renewed = time.time_ns()
                    self._file.rows(
                        "UPDATE leases SET expires = ? WHERE grp = ?",
                        (self._renewed + self._lease, self._member.group),
                    )
