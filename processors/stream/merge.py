"""The order of several inputs: by event time, as a function of the logs alone.

A row's merge key is the largest event time that its input had reached, so keys never fall within an input. Rows are
taken by (key, place of the input): whatever the order in which polls happened to bring them, the merged order is the
same. A row is taken only when no input can still bring an earlier one: each other input has either shown a later key,
or has nothing more to read and has been waited for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.stream.log import Record
from processors.stream.processor import Decoded, Run, Segment
from topics.dead_letter import Refused

_FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Buffered:
    """What waits for its turn: a record with its rows, or a run of records with a row each, which may be parted.

    Attributes:
        records: the one record, or that of each row.
        keys: merge key of each row, int64 ns.
        body: the content, or why the record is refused.
        start, stop: the rows of the body that wait here.
    """

    records: Sequence[Record]
    keys: NDArray[np.int64]
    body: Any
    start: int
    stop: int

    @property
    def first(self) -> int:
        """Merge key of the first row."""
        return int(self.keys[self.start])

    @property
    def last(self) -> int:
        """Merge key of the last row."""
        return int(self.keys[self.stop - 1])

    @property
    def count(self) -> int:
        """Number of records."""
        return 1 if len(self.records) == 1 else self.stop - self.start

    @property
    def next_offset(self) -> int:
        """Offset behind the last record."""
        return self.records[0 if len(self.records) == 1 else self.stop - 1].offset + 1

    def reach(self, limit: int) -> int:
        """Merge key of the last row that is taken together with the rows whose keys are at most ``limit``."""
        if len(self.records) == 1:
            return self.last
        return int(self.keys[self._rows(limit) - 1])

    def parted(self, limit: int) -> tuple[Buffered, Buffered] | None:
        """The records whose keys are at most ``limit`` and the others, if there are both and they can be parted."""
        at = self._rows(limit)
        if len(self.records) == 1 or not self.start < at < self.stop:
            return None
        return replace(self, stop=at), replace(self, start=at)

    def _rows(self, limit: int) -> int:
        return self.start + int(np.searchsorted(self.keys[self.start : self.stop], limit, side="right"))


@dataclass(slots=True)
class Channel:
    """One input of one partition.

    A record has at least one row: decoding refuses an empty block.

    Attributes:
        time: merge key of the last row taken, ns; 0 before the first.
        ahead: merge key of the last row buffered, ns.
        position: offset of the next record to take.
        waiting, rows: number of records in the queue, and of their rows.
        idle_since, ahead_since: since when, in seconds of the loop's clock, nothing has come; and since when only what
            is no record lies between the position and what has been read.
    """

    topic: str
    max_idle: float
    position: int
    time: int = 0
    ahead: int = 0
    queue: deque[Buffered] = field(default_factory=deque)
    waiting: int = 0
    rows: int = 0
    idle_since: float | None = None
    ahead_since: float | None = None

    def put(self, record: Record, content: Decoded | Refused) -> int:
        """Buffer a record and return its number of rows. A refused record stands at the time the input has reached."""
        if isinstance(content, Refused):
            return self._put([record], np.array([self.ahead], dtype=np.int64), content)
        return self._put([record], self._keys(content.times), content.body)

    def put_run(self, records: Sequence[Record], run: Run) -> int:
        """Buffer records that were decoded together and return their number."""
        return self._put(records, self._keys(run.times), run.body)

    def _keys(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        if len(times) == 1:
            return np.array([max(self.ahead, int(times[0]))], dtype=np.int64)
        return np.maximum.accumulate(np.maximum(times, self.ahead))

    def _put(self, records: Sequence[Record], keys: NDArray[np.int64], body: Any) -> int:
        self.queue.append(Buffered(records, keys, body, 0, len(keys)))
        self.ahead = int(keys[-1])
        self.waiting += len(records)
        self.rows += len(keys)
        self.idle_since = None
        return len(keys)

    def head(self, limit: int) -> int:
        """Number of entries at the head of the queue whose keys are all at most ``limit``; a run is parted there."""
        for count, buffered in enumerate(self.queue):
            if buffered.last > limit:
                parts = buffered.parted(limit)
                if parts is None:
                    return count
                self.queue[count] = parts[0]
                self.queue.insert(count + 1, parts[1])
                return count + 1
        return len(self.queue)

    def take(self, count: int) -> list[Buffered]:
        """Remove the first ``count`` entries of the queue and move on behind them."""
        taken = [self.queue.popleft() for _ in range(count)]
        if taken:
            self.position = taken[-1].next_offset
            self.time = taken[-1].last
            self.waiting -= sum(buffered.count for buffered in taken)
            self.rows -= sum(buffered.stop - buffered.start for buffered in taken)
        return taken


def merge(channels: Sequence[Channel], silent: Sequence[bool]) -> list[Segment]:
    """Take every record that can be taken now, and return its rows in merged order.

    ``silent[i]`` says that input ``i`` has nothing more to read and has been waited for. Records are taken whole, so
    that a committed position is always the start of a record; their rows may be split by rows of other inputs.
    """
    counts = _takeable(channels, silent)
    taken = [channel.take(count) for channel, count in zip(channels, counts, strict=True)]
    filled = [i for i, records in enumerate(taken) if records]
    if not filled:
        return []
    if len(filled) == 1:
        return [_segment(b, b.start, b.stop) for b in taken[filled[0]]]
    return _interleave([(i, b) for i in filled for b in taken[i]])


def holding(channels: Sequence[Channel], silent: Sequence[bool]) -> list[Channel]:
    """The inputs that must be read on before the very next record can be taken; none when nothing is buffered.

    A record waits for every input that may still bring an earlier row, and for the records that begin before it ends,
    which wait in their turn.
    """
    heads = [(channel.queue[0].first, j) for j, channel in enumerate(channels) if channel.queue]
    if not heads:
        return []
    earliest, first = min(heads)
    # How far each input's records must be taken together with the next one: the merge key of their last row.
    reach = {first: channels[first].queue[0].reach(earliest)}
    open_ends = [first]
    held: set[int] = set()
    while open_ends:
        j = open_ends.pop()
        for i, channel in enumerate(channels):
            # Rows of input i that come before the last row of input j have keys of at most this.
            limit = reach[j] if i < j else reach[j] - 1
            if i == j:
                continue
            if not silent[i] and channel.ahead <= limit:
                held.add(i)
            for buffered in channel.queue:
                if buffered.first > limit:
                    break
                if (last := buffered.reach(limit)) > reach.get(i, -1):
                    reach[i] = last
                    if i not in open_ends:
                        open_ends.append(i)
    return [channel for i, channel in enumerate(channels) if i in held]


def _takeable(channels: Sequence[Channel], silent: Sequence[bool]) -> list[int]:
    """How many entries of each input's queue can be taken. A run that can be taken in part is parted."""
    n = len(channels)
    # Rows still to come from input i have keys of at least bounds[i]; of equal keys the earlier input goes first.
    bounds = [_FOREVER if silent[i] else channels[i].ahead for i in range(n)]
    counts = []
    for j, channel in enumerate(channels):
        limit = min((bounds[i] if j < i else bounds[i] - 1 for i in range(n) if i != j), default=_FOREVER)
        counts.append(channel.head(limit))
    # A record left behind holds back all rows that come after its first one; whole records held back hold back more.
    while True:
        left = [
            (channel.queue[count].first, j)
            for j, (channel, count) in enumerate(zip(channels, counts, strict=True))
            if count < len(channel.queue)
        ]
        if not left:
            return counts
        key, holder = min(left)
        kept = [
            count if j == holder else min(count, channel.head(key if j < holder else key - 1))
            for j, (channel, count) in enumerate(zip(channels, counts, strict=True))
        ]
        if kept == counts:
            return counts
        counts = kept


def _interleave(records: Sequence[tuple[int, Buffered]]) -> list[Segment]:
    """The rows of records of several inputs by (key, input, place), cut into segments of one record each."""
    lengths = [b.stop - b.start for _, b in records]
    keys = np.concatenate([b.keys[b.start : b.stop] for _, b in records])
    inputs = np.repeat([i for i, _ in records], lengths)
    owner = np.repeat(np.arange(len(records)), lengths)
    row = np.concatenate([np.arange(b.start, b.stop) for _, b in records])
    order = np.lexsort((inputs, keys))  # stable: rows of one input stay in their places
    owner, row = owner[order], row[order]
    starts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    segments = []
    for start, stop in zip(starts, np.r_[starts[1:], len(owner)], strict=True):
        buffered = records[owner[start]][1]
        segments.append(_segment(buffered, int(row[start]), int(row[stop - 1]) + 1))
    return segments


def _segment(buffered: Buffered, start: int, stop: int) -> Segment:
    return Segment(buffered.records, buffered.body, start, stop, buffered.keys[start:stop])
