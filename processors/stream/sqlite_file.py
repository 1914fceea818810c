"""The file of the SQLite log: how it is opened, what is in it, and how records are laid down.

A record's row id is its partition's number shifted left by 40 bits, plus its offset. So one B-tree of integers holds
everything in the order in which it is read, and a large value never sits in an inner page (as it would in a table
WITHOUT ROWID, whose key carries its row).
"""

from __future__ import annotations

import os
import sqlite3
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processors.errors import AlvhError, DeadlineExceeded, LogUnavailable, UserError
from processors.stream.log import Headers, Out, Record, TopicPartition
from processors.stream.partitioner import partition_for

#: ``PRAGMA application_id``: the file is a log of this program ("alvh").
APPLICATION = 0x616C7668
#: ``PRAGMA user_version``: layout of the tables below.
SCHEMA_VERSION = 1
#: Seconds that a writer waits for the others' transactions before it gives up.
BUSY_TIMEOUT = 10.0

_SHIFT = 40
_SCHEMA = """
CREATE TABLE topics (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL, compacted INTEGER NOT NULL
) STRICT;
CREATE TABLE partitions (           -- oldest: offset of the oldest record kept, next: offset of the next one written
    id INTEGER PRIMARY KEY, topic INTEGER NOT NULL REFERENCES topics, number INTEGER NOT NULL,
    oldest INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, number)
) STRICT;
CREATE TABLE records (              -- id: partition << 40 | offset, timestamp: nanoseconds since the epoch
    id INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, key BLOB, value BLOB, headers BLOB
) STRICT;
CREATE TABLE newest (               -- of compacted topics: where the newest record of each key is
    partition INTEGER NOT NULL, key BLOB NOT NULL, record INTEGER NOT NULL, PRIMARY KEY (partition, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE positions (            -- next offset that a group reads
    grp TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (grp, partition)
) STRICT, WITHOUT ROWID;
CREATE TABLE leases (               -- the one member of a group, epoch grows each time the group changes hands
    grp TEXT PRIMARY KEY, instance TEXT NOT NULL, epoch INTEGER NOT NULL, expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


class LogFile:
    """One connection to the file. Not thread safe.

    Raises UserError when the file cannot be used: not a database, damaged, another program's, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partitions: dict[TopicPartition, int] = {}
        self._topics: dict[str, tuple[int, bool]] = {}
        if path.is_dir():
            raise UserError(f"cannot open {path}: it is a folder; give a file in a folder that exists")
        try:
            # the log holds positions and hedges: readable by its owner only; SQLite gives -wal and -shm the same mode
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            # left to SQLite: closing a descriptor of one's own would drop the locks that other connections of this
            # process hold on the file
            pass
        except OSError as error:
            raise UserError(f"cannot open {path}: {error.strerror}; give a file in a folder that exists") from error
        # one thread at a time uses it, though not always the one that opened it
        try:
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        except sqlite3.OperationalError as error:
            raise LogUnavailable(f"cannot open {path}: {error}") from error
        try:
            self._identity = _identity(path)
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._db.close()
            if "readonly" in str(error):
                raise UserError(f"{path} cannot be written; let this user write it and its folder") from error
            if isinstance(error, sqlite3.OperationalError):
                raise self._explained(error) from error
            raise UserError(
                f"{path} is not a log that can be read ({error}); move it away or restore it from a backup"
            ) from error
        except AlvhError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        deadline = time.monotonic() + BUSY_TIMEOUT
        while True:  # switching to WAL does not wait for other openers by itself
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        # FULL: a commit is on the disk when it returns. NORMAL would be as consistent but could lose the last commits
        # with the machine's power, and a feed that was told "published" would not send them again.
        self._db.execute("PRAGMA synchronous = FULL")
        # a damaged page is noticed when it is read, before what it holds is believed
        self._db.execute("PRAGMA cell_size_check = ON")
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables == 0:
            with self.write():
                (tables,) = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                if tables == 0:  # else another process was faster
                    for statement in _SCHEMA.split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA application_id = {APPLICATION}")
                    self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION:
            raise UserError(f"{self.path} is a database of another program; give another file name")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION:
            raise UserError(
                f"{self.path} has layout {version} and this program writes layout {SCHEMA_VERSION};"
                " use the version that wrote it, or another file"
            )

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._db.close()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        try:
            return self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def version(self) -> int:
        """A number that changes when another connection has committed; a few microseconds to ask."""
        self._check_place()
        number: int = self.rows("PRAGMA data_version").fetchone()[0]
        return number

    @contextmanager
    def write(self) -> Iterator[None]:
        """A transaction that holds the only write lock: all of it becomes durable at the end, or nothing does."""
        self._check_place()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.Error) -> Exception:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return DeadlineExceeded(f"{self.path} stayed locked by another process for {BUSY_TIMEOUT:.0f} s")
        return LogUnavailable(f"cannot use {self.path}: {error}; {_advice(str(error))}")

    def _check_place(self) -> None:
        """Whoever opens the path must find the file that is open here: commits to another one would be lost to them."""
        if _identity(self.path) != self._identity:
            raise LogUnavailable(
                f"{self.path} was deleted, moved or replaced while it was in use; put it back, with the -wal file"
                " beside it if there is one, and start again"
            )

    # Topics

    def topic(self, name: str) -> tuple[int, bool]:
        """Partition count of a topic, and whether it is compacted."""
        if name not in self._topics:
            row = self.rows("SELECT partitions, compacted FROM topics WHERE name = ?", (name,)).fetchone()
            if row is None:
                known = ", ".join(sorted(name for (name,) in self.rows("SELECT name FROM topics"))) or "none"
                raise UserError(f"there is no topic {name!r}; create it first (topics: {known})")
            self._topics[name] = (row[0], bool(row[1]))
        return self._topics[name]

    def partition(self, tp: TopicPartition) -> int:
        """The number of a partition within the file."""
        if tp not in self._partitions:
            count, _ = self.topic(tp.topic)
            if not 0 <= tp.partition < count:
                raise UserError(f"topic {tp.topic!r} has partitions 0 to {count - 1}, not {tp.partition}")
            (self._partitions[tp],) = self.rows(
                "SELECT p.id FROM partitions p JOIN topics t ON t.id = p.topic WHERE t.name = ? AND p.number = ?", tp
            ).fetchone()
        return self._partitions[tp]

    def place(self, out: Out) -> TopicPartition:
        """Where a record goes: the partition it names, or else the one of its key."""
        if out.partition is not None:
            return TopicPartition(out.topic, out.partition)
        return TopicPartition(out.topic, partition_for(out.key, self.topic(out.topic)[0]))

    def bounds(self, tp: TopicPartition) -> tuple[int, int]:
        """Offset of the oldest record kept and of the next to be written."""
        oldest, following = self.rows(
            "SELECT oldest, next FROM partitions WHERE id = ?", (self.partition(tp),)
        ).fetchone()
        return oldest, following

    # Records

    def append(self, outs: Sequence[Out]) -> None:
        """Lay down ``outs`` in their order; call it within :meth:`write`."""
        now = time.time_ns()
        rows: list[tuple[int, int, bytes | None, bytes | None, bytes | None]] = []
        following: dict[int, int] = {}
        replaced: list[tuple[int]] = []
        for out in outs:
            tp = self.place(out)
            partition = self.partition(tp)
            if partition not in following:
                following[partition] = self.bounds(tp)[1]
            row = partition << _SHIFT | following[partition]
            following[partition] += 1
            if self._topics[tp.topic][1] and out.key is not None:
                replaced += self._replace(partition, out, row)
                if out.value is None:
                    continue  # the tombstone did its work: it takes an offset and is not kept
            rows.append((row, now, out.key, out.value, packed(out.headers)))
        try:
            self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
            self._db.executemany("DELETE FROM records WHERE id = ?", replaced)
            self._db.executemany("UPDATE partitions SET next = ? WHERE id = ?", [(n, p) for p, n in following.items()])
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _replace(self, partition: int, out: Out, row: int) -> list[tuple[int]]:
        """Make ``row`` the newest of its key; the rows that it replaces."""
        old: list[tuple[int]] = self.rows(
            "SELECT record FROM newest WHERE partition = ? AND key = ?", (partition, out.key)
        ).fetchall()
        if out.value is None:
            self.rows("DELETE FROM newest WHERE partition = ? AND key = ?", (partition, out.key))
        else:
            self.rows("INSERT OR REPLACE INTO newest VALUES (?, ?, ?)", (partition, out.key, row))
        return old

    def records(self, tp: TopicPartition, start: int, stop: int, *, most: int, size: int) -> list[Record]:
        """Records from offset ``start`` to before ``stop``: at most ``most``, and no more once ``size`` bytes are read.

        The first record is always returned, however large it is.
        """
        base = self.partition(tp) << _SHIFT
        cursor = self.rows(
            "SELECT id, timestamp, key, value, headers FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (base + start, base + stop, most),
        )
        topic, number = tp
        found: list[Record] = []
        read = 0
        try:
            for row, timestamp, key, value, headers in cursor:
                named = unpacked(headers) if headers else ()
                found.append(Record(topic, number, row - base, timestamp, key, value, named))
                read += len(value or b"") + len(key or b"")
                if read >= size:
                    break
        except sqlite3.Error as error:
            raise self._explained(error) from error
        except (struct.error, UnicodeDecodeError) as error:
            raise LogUnavailable(f"{self.path} is damaged in {topic}/{number}: {error}; {_advice('')}") from error
        cursor.close()
        self._check_whole(tp, found, start, stop)
        return found

    def _check_whole(self, tp: TopicPartition, found: Sequence[Record], start: int, stop: int) -> None:
        """Only compaction and retention leave gaps. Any other is damage, and passing over it would lose records."""
        last = found[-1].offset if found else stop - 1
        if max(last - start + 1, 0) == len(found) or self.topic(tp.topic)[1] or start < self.bounds(tp)[0]:
            return
        raise LogUnavailable(
            f"{self.path} is damaged: {len(found)} of the records {start} to {last} of {tp.topic}/{tp.partition} are"
            " there; restore it from a backup"
        )

    def all_records(self, tp: TopicPartition, start: int) -> Iterator[Record]:
        """Records from ``start`` up to what is committed now, in chunks, so that no read transaction stays open."""
        oldest, stop = self.bounds(tp)
        start = max(start, oldest)
        while found := self.records(tp, start, stop, most=1000, size=1 << 24):
            yield from found
            start = found[-1].offset + 1

    def trim(self, topic: str, before: int) -> int:
        """Delete records stamped before ``before`` (ns); how many.

        Raises UserError for a compacted topic, whose records are state and never too old.
        """
        count, compacted = self.topic(topic)
        if compacted:
            raise UserError(f"{topic!r} keeps the newest record of each key; its records are not deleted by age")
        gone = 0
        for number in range(count):
            tp = TopicPartition(topic, number)
            base = self.partition(tp) << _SHIFT
            following = self.bounds(tp)[1]
            # stamps grow with the offsets: the first one that is young enough ends the search
            first = self.rows(
                "SELECT id FROM records WHERE id >= ? AND id < ? AND timestamp >= ? ORDER BY id LIMIT 1",
                (base, base + following, before),
            ).fetchone()
            end = first[0] if first else base + following
            with self.write():
                self.rows("UPDATE partitions SET oldest = max(oldest, ?) WHERE id = ?", (end - base, base >> _SHIFT))
            deleted = 1
            while deleted:  # in small transactions, so that the others go on writing
                with self.write():
                    deleted = self.rows(
                        "DELETE FROM records WHERE id IN"
                        " (SELECT id FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT 10000)",
                        (base, end),
                    ).rowcount
                gone += deleted
        return gone


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None when there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _advice(error: str) -> str:
    if "full" in error or "I/O" in error:
        return "make room on the disk, or look whether it fails, and start again: what was committed is there"
    if "readonly" in error:
        return "let this user write it and its folder, and start again"
    return "if it is damaged, restore it from a backup"


def packed(headers: Headers) -> bytes | None:
    """Headers as bytes: length and name, length and value; None when there are none."""
    if not headers:
        return None
    parts: list[bytes] = []
    for name, value in headers:
        raw = name.encode()
        parts += (struct.pack("<HI", len(raw), len(value)), raw, value)
    return b"".join(parts)


def unpacked(data: bytes) -> Headers:
    """Headers from the bytes that :func:`packed` made."""
    headers: list[tuple[str, bytes]] = []
    at = 0
    while at < len(data):
        name, value = struct.unpack_from("<HI", data, at)
        at += 6
        headers.append((data[at : at + name].decode(), data[at + name : at + name + value]))
        at += name + value
    return tuple(headers)
