"""What a processor is to the stream: inputs, outputs, and one task a partition that turns segments into outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from processors.stream.log import Out, Record, Records
from processors.stream.metrics import Metric

#: Shows that the loop lives; nothing else follows from it.
Alive: TypeAlias = Callable[[], None]


def unseen() -> None:
    """Nobody looks whether the loop lives."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input topic.

    ``max_idle``: seconds to wait for this topic when it has nothing to read and another input has (as Kafka Streams'
    ``max.task.idle.ms``). 0 waits only until everything already in the log has been read.
    """

    topic: str
    max_idle: float = 0.0


@dataclass(frozen=True, slots=True)
class Decoded:
    """A record's content.

    Attributes:
        times: event time of each row, int64 ns, shape (n,). A row that is refused has 0: it never moves time.
        body: what the task receives; indexable by row for a block, the message itself for a single.
    """

    times: NDArray[np.int64]
    body: Any


@dataclass(frozen=True, slots=True)
class Run:
    """Records ``start`` to ``stop`` of those that were given to :meth:`Processor.gather`, decoded together.

    ``times`` is the event time of each, int64 ns, shape (stop - start,); ``body`` has a row for each.
    """

    start: int
    stop: int
    times: NDArray[np.int64]
    body: Any


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows ``start`` to ``stop`` of one record, or of several that were decoded together, in the order of all inputs.

    Attributes:
        records: the record that holds all rows of the body, or the record of each row.
        keys: the merge keys of these rows, int64 ns, never falling: the largest event time that this input had
            reached at each row.
    """

    records: Sequence[Record]
    body: Any
    start: int
    stop: int
    keys: NDArray[np.int64]

    @property
    def record(self) -> Record:
        """The record of the first row."""
        return self.place(self.start)[0]

    def place(self, row: int) -> tuple[Record, int]:
        """The record of a row of the body, and which row of that record it is."""
        return (self.records[0], row) if len(self.records) == 1 else (self.records[row], 0)


class Task(Protocol):
    """One partition of a processor: state and the pure step over it."""

    def process(self, segments: Sequence[Segment], alive: Alive = unseen) -> list[Out]:
        """Apply the segments in order and return what they cause, in order. No clock, no I/O.

        ``alive`` is to be called now and then in what may take long.
        """

    def snapshot(self) -> Mapping[bytes, bytes | None]:
        """State of every key that changed since the last call, as versioned bytes; None removes the key."""

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back one key's state. Raises ValueError for a version that it does not know."""

    def counts(self) -> Mapping[tuple[str, ...], float]:
        """What was counted since the last call: (metric name, label values ...) to amount."""

    def gauges(self) -> Mapping[tuple[str, ...], float]:
        """Current values: (metric name, label values ...) to value."""


class Processor(Protocol):
    """A processor: a consumer group that keeps one task a partition."""

    @property
    def name(self) -> str:
        """Short name: ``market``, ``hedge``, ``alerts``. Group and changelog are named after it."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Input topics; of rows with equal keys those of the earlier topic come first."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Topics it writes, without changelog and dead letters."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Metrics that its tasks count, beside the runtime's own."""

    def decode(self, record: Record) -> Decoded:
        """A record's content. Raises :class:`topics.dead_letter.Refused` for one that cannot be used at all."""

    def gather(self, records: Records) -> Sequence[Run]:
        """Runs of records, in order, that are decoded together; :meth:`decode` sees all the others. May be empty.

        It makes no difference to what comes out whether a record is in a run or not.
        """

    def task(self, partition: int) -> Task:
        """A task with no history."""
