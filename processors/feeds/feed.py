"""From a recorded directory to the topics of a log, once each, whatever happens on the way."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from processors.errors import UserError
from processors.feeds.items import Item, Single, rows
from processors.feeds.pace import EventClock, Pace
from processors.feeds.position import Position, read_position
from processors.feeds.recorded import BLOCK_ROWS, Recording, last_times
from processors.feeds.topics import create_topics
from processors.stream.log import Cluster, Out
from topics.catalog import FED, FEED_POSITIONS, MARKET_TICKS
from topics.codec import JSON_HEADERS, encode, encode_ticks
from topics.market import Watermark
from topics.ticks import TickColumns
from topics.times import MINUTE

#: A recording is over when its last tick is: nothing earlier than this long after it will follow, so that the session
#: of that tick closes.
WATERMARK_AFTER: Final = 390 * MINUTE
WATERMARK_SOURCE: Final = "feed"

#: A transaction is sent when it holds this much.
_MESSAGES, _BYTES = 2_000, 4 << 20


@dataclass(frozen=True, slots=True)
class FeedReport:
    """What one run of a feed did.

    Attributes:
        identity: digest of the recording, the key of its position in the log.
        resumed_at: rows that an earlier run had already brought into the log.
        rows: rows brought into the log by this run.
        messages: records by topic that they became (a block is one record).
        watermarks: market to the watermark that closes its last session, int ns; empty when the end was not reached.
        last_ts: event time of the newest row, int ns; 0 when there was none.
        finished: the whole recording is in the log.
        batches: transactions of this run.
    """

    identity: str
    resumed_at: int
    rows: int = 0
    messages: dict[str, int] = field(default_factory=dict)
    watermarks: dict[str, int] = field(default_factory=dict)
    last_ts: int = 0
    finished: bool = False
    batches: int = 0

    @property
    def nothing_to_do(self) -> bool:
        """An earlier run had finished already."""
        return self.finished and not self.batches


def records_of(item: Item, *, single: bool) -> list[Out]:
    """The records that an item becomes: one block, or with ``single`` one JSON message a tick."""
    if isinstance(item, Single):
        return [Out(item.topic, item.key, item.value, JSON_HEADERS)]
    key = item.market.encode()
    if single:
        return [Out(MARKET_TICKS, key, item.row_bytes(i), JSON_HEADERS) for i in range(len(item))]
    value, headers = encode_ticks(item)
    return [Out(MARKET_TICKS, key, value, headers)]


def watermarks_of(last: dict[str, int]) -> list[Out]:
    """The watermarks that end a recording: one a market, in the partition where all ticks of that market are."""
    outs = []
    for market, ts in sorted(last.items()):
        mark = Watermark(watermark_ts=ts + WATERMARK_AFTER, market=market, source=WATERMARK_SOURCE)
        value, headers = encode(mark)
        outs.append(Out(MARKET_TICKS, market.encode(), value, headers))
    return outs


def feed(
    directory: Path,
    cluster: Cluster,
    *,
    speed: float | None = None,
    block_size: int | None = None,
    progress: Callable[[int, int, float], None] | None = None,
    resume: bool = True,
    stop: Callable[[], bool] | None = None,
    partitions: int | None = None,
    pace: EventClock | None = None,
) -> FeedReport:
    """Publish a recorded directory in the order of events, and at its end a watermark for every market.

    Each transaction carries the position in the recording beside the rows, so a feed that was stopped or killed goes
    on exactly behind the last row that is in the log, and one that had finished publishes nothing. Two feeds of one
    recording at the same time fence each other where the log can (Kafka); elsewhere run one at a time.

    Args:
        directory: what :class:`processors.feeds.recorded.Recording` reads.
        cluster: the log; missing topics are made.
        speed: seconds of event time a second of wall time; None is as fast as possible.
        block_size: ticks in one Arrow block; None or 1 sends each tick as a JSON message of its own.
        progress: called after each transaction with the rows in the log, the event time reached and the share read.
        resume: False feeds the whole recording again, whatever the log says of it.
        stop: asked between transactions; when true, the feed ends there and can be resumed.
        partitions: partition count of topics that are made; None is that of existing ones, or 1.
        pace: another course of event time than an even ``speed``.

    Raises UserError for a recording, speed, block size or partition count that cannot be used.
    """
    if speed is not None and not (math.isfinite(speed) and speed > 0):
        raise UserError(f"a speed of {speed} is not possible; give seconds of event time a second, above 0, or `max`.")
    recording = Recording(directory)
    single = block_size is None or block_size == 1
    size = BLOCK_ROWS if block_size is None or single else block_size
    items = recording.items(size)
    create_topics(cluster, partitions, (*FED, FEED_POSITIONS))
    identity = recording.identity()
    producer = f"alvh.feed.{identity[7:19]}"
    start = read_position(cluster, identity) if resume else Position()
    if start.done:
        return FeedReport(identity, resumed_at=start.rows, finished=True)
    # The first transaction of this producer ends whatever a dead predecessor left open; only then does the position
    # say all.
    cluster.publish([start.record(identity)], producer=producer)
    if resume:
        start = read_position(cluster, identity)
    writer = _Writer(cluster, identity, producer, start.rows, recording, progress, stop or (lambda: False))
    return writer.run(items, single, pace if speed is None else Pace(speed))


class _Writer:
    """Collects records into transactions, each with the position behind it."""

    def __init__(
        self,
        cluster: Cluster,
        identity: str,
        producer: str,
        start: int,
        recording: Recording,
        progress: Callable[[int, int, float], None] | None,
        stop: Callable[[], bool],
    ) -> None:
        self.cluster = cluster
        self.identity = identity
        self.producer = producer
        self.start = start
        self.recording = recording
        self.progress = progress
        self.stop = stop
        self.rows = 0  # taken of the recording, in the log or about to be
        self.last: dict[str, int] = {}
        self.reached = 0
        self.messages: Counter[str] = Counter()
        self.batches = 0
        self._sent = start
        self._outs: list[Out] = []
        self._bytes = 0

    def run(self, items: Iterator[Item], single: bool, pace: EventClock | None) -> FeedReport:
        """Publish what is left of the recording."""
        for item in items:
            if not self._take(item, single, pace):
                return self._report(finished=False)
        self._outs += watermarks_of(self.last)
        return self._report(finished=self._publish(done=True))

    def _take(self, item: Item, single: bool, pace: EventClock | None) -> bool:
        """Bring an item into the log, as far as it is not there. False when told to stop."""
        last_times(item, self.last)
        count = rows(item)
        at = min(max(self.start - self.rows, 0), count)
        self.rows += at
        while at < count:
            end = min(count, at + _MESSAGES) if single else count
            if pace is not None and (due := _times(item, self.reached))[at] > 0:
                ahead = pace.reached() < due[at]
                if ahead and not (self._publish() and pace.wait(int(due[at]), self.stop)):
                    return False
                end = min(end, max(at + 1, int(np.searchsorted(due, pace.reached(), side="right"))))
            part = item.take(at, end) if isinstance(item, TickColumns) else item
            self._add(records_of(part, single=single), end - at, int(_times(part, self.reached)[-1]))
            at = end
            if (len(self._outs) >= _MESSAGES or self._bytes >= _BYTES) and not self._publish():
                return False
        return True

    def _add(self, outs: list[Out], count: int, ts: int) -> None:
        self._outs += outs
        self._bytes += sum(len(out.value or b"") for out in outs)
        self.rows += count
        self.reached = ts

    def _publish(self, *, done: bool = False) -> bool:
        """Send what was collected as one transaction. False, and nothing sent, when told to stop."""
        if not self._outs and not done:
            return True
        if self.stop():
            return False
        self.cluster.publish([*self._outs, Position(self.rows, done).record(self.identity)], producer=self.producer)
        self.messages.update(out.topic for out in self._outs)
        self.batches += 1
        self._sent = self.rows
        self._outs, self._bytes = [], 0
        if self.progress is not None:
            self.progress(self.rows, self.reached, self.recording.fraction)
        return True

    def _report(self, *, finished: bool) -> FeedReport:
        return FeedReport(
            identity=self.identity,
            resumed_at=self.start,
            rows=self._sent - self.start,
            messages=dict(self.messages),
            watermarks={market: ts + WATERMARK_AFTER for market, ts in self.last.items()} if finished else {},
            last_ts=self.reached,
            finished=finished,
            batches=self.batches,
        )


def _times(item: Item, reached: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Event times at which rows fall due, never before ``reached``; a refused row with the one before it."""
    if isinstance(item, Single):
        return np.array([max(item.time, reached)], dtype=np.int64)
    return np.maximum(np.maximum.accumulate(np.where(item.invalid, 0, item.event_ts)), reached)
