"""The order of several inputs: by event time, as a function of the logs alone.

A row's merge key is the largest event time that its input had reached, so keys never fall within an input. Rows are
taken by (key, place of the input): whatever the order in which polls happened to bring them, the merged order is the
same. A row is taken only when no input can still bring an earlier one: each other input has either shown a later key,
or has nothing more to read and has been waited for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.stream.log import Record
from processors.stream.processor import Decoded, Segment
from topics.dead_letter import Refused

_FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Buffered:
    """A record that waits for its turn: its rows' merge keys and its content, or why it is refused."""

    record: Record
    keys: NDArray[np.int64]
    body: Any


@dataclass(slots=True)
class Channel:
    """One input of one partition.

    A record has at least one row: decoding refuses an empty block.

    Attributes:
        time: merge key of the last row taken, ns; 0 before the first.
        ahead: merge key of the last row buffered, ns.
        position: offset of the next record to take.
        idle_since, ahead_since: since when, in seconds of the loop's clock, nothing has come; and since when only what
            is no record lies between the position and what has been read.
    """

    topic: str
    max_idle: float
    position: int
    time: int = 0
    ahead: int = 0
    queue: deque[Buffered] = field(default_factory=deque)
    idle_since: float | None = None
    ahead_since: float | None = None

    def put(self, record: Record, content: Decoded | Refused) -> int:
        """Buffer a record and return its number of rows. A refused record stands at the time the input has reached."""
        if isinstance(content, Refused):
            keys, body = np.array([self.ahead], dtype=np.int64), content
        elif len(content.times) == 1:
            self.ahead = max(self.ahead, int(content.times[0]))
            keys, body = np.array([self.ahead], dtype=np.int64), content.body
        else:
            keys = np.maximum.accumulate(np.maximum(content.times, self.ahead))
            self.ahead, body = int(keys[-1]) if len(keys) else self.ahead, content.body
        self.queue.append(Buffered(record, keys, body))
        self.idle_since = None
        return len(keys)

    def take(self, count: int) -> list[Buffered]:
        """Remove the first ``count`` records and move on behind them."""
        taken = [self.queue.popleft() for _ in range(count)]
        if taken:
            self.position = taken[-1].record.offset + 1
            self.time = int(taken[-1].keys[-1])
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
        return [Segment(b.record, b.body, 0, len(b.keys), b.keys) for b in taken[filled[0]]]
    return _interleave([(i, b) for i in filled for b in taken[i]])


def holding(channels: Sequence[Channel], silent: Sequence[bool]) -> list[Channel]:
    """The inputs that must be read on before the very next record can be taken; none when nothing is buffered.

    A record waits for every input that may still bring an earlier row, and for the records that begin before it ends,
    which wait in their turn.
    """
    heads = [(int(channel.queue[0].keys[0]), j) for j, channel in enumerate(channels) if channel.queue]
    if not heads:
        return []
    _, first = min(heads)
    # How far each input's records must be taken together with the next one: the merge key of their last row.
    reach = {first: int(channels[first].queue[0].keys[-1])}
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
                if int(buffered.keys[0]) > limit:
                    break
                if int(buffered.keys[-1]) > reach.get(i, -1):
                    reach[i] = int(buffered.keys[-1])
                    if i not in open_ends:
                        open_ends.append(i)
    return [channel for i, channel in enumerate(channels) if i in held]


def _takeable(channels: Sequence[Channel], silent: Sequence[bool]) -> list[int]:
    """How many records of each input can be taken."""
    n = len(channels)
    # Rows still to come from input i have keys of at least bounds[i]; of equal keys the earlier input goes first.
    bounds = [_FOREVER if silent[i] else channels[i].ahead for i in range(n)]
    counts = []
    for j, channel in enumerate(channels):
        limit = min((bounds[i] if j < i else bounds[i] - 1 for i in range(n) if i != j), default=_FOREVER)
        counts.append(_head(channel, limit))
    # A record left behind holds back all rows that come after its first one; whole records held back hold back more.
    while True:
        left = [
            (int(channel.queue[count].keys[0]), j)
            for j, (channel, count) in enumerate(zip(channels, counts, strict=True))
            if count < len(channel.queue)
        ]
        if not left:
            return counts
        key, holder = min(left)
        kept = [
            count if j == holder else min(count, _head(channel, key if j < holder else key - 1))
            for j, (channel, count) in enumerate(zip(channels, counts, strict=True))
        ]
        if kept == counts:
            return counts
        counts = kept


def _head(channel: Channel, limit: int) -> int:
    """Number of records at the head of the queue whose keys are all at most ``limit``."""
    count = 0
    for buffered in channel.queue:
        if int(buffered.keys[-1]) > limit:
            break
        count += 1
    return count


def _interleave(records: Sequence[tuple[int, Buffered]]) -> list[Segment]:
    """The rows of records of several inputs by (key, input, place), cut into segments of one record each."""
    lengths = [len(b.keys) for _, b in records]
    keys = np.concatenate([b.keys for _, b in records])
    inputs = np.repeat([i for i, _ in records], lengths)
    owner = np.repeat(np.arange(len(records)), lengths)
    row = np.concatenate([np.arange(length) for length in lengths])
    order = np.lexsort((inputs, keys))  # stable: rows of one input stay in their places
    owner, row = owner[order], row[order]
    starts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    segments = []
    for start, stop in zip(starts, np.r_[starts[1:], len(owner)], strict=True):
        buffered = records[owner[start]][1]
        first, last = int(row[start]), int(row[stop - 1]) + 1
        segments.append(Segment(buffered.record, buffered.body, first, last, buffered.keys[first:last]))
    return segments
