"""State and outputs of one partition worked out anew: its inputs through the same loop, into memory alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from processors.errors import UserError
from processors.state import Saved
from processors.stream.log import Cluster, Out, Poll, Reach, Record, TopicPartition
from processors.stream.metrics import Metrics
from processors.stream.processor import Processor
from processors.stream.runner import Runner
from topics.catalog import changelog

_MOST = 2000

#: Positions up to which the inputs are read, one step after the other.
Steps = Iterable[Mapping[str, int]]


@dataclass(slots=True)
class Computed:
    """What the inputs give: state by key, and the outputs in order."""

    state: dict[bytes, bytes] = field(default_factory=dict)
    outs: list[Out] = field(default_factory=list)
    rows: int = 0


class InputsUpTo:
    """The inputs of one partition from their beginning up to positions that can be moved on; what is sent is kept.

    A :class:`processors.stream.log.Log` of a member that is alone, has no history, and writes nothing.
    """

    def __init__(self, cluster: Cluster, partition: int, changelog_topic: str, computed: Computed) -> None:
        self._cluster = cluster
        self._partition = partition
        self._changelog = changelog_topic
        self._computed = computed
        self._ends: dict[TopicPartition, int] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._records: dict[TopicPartition, Iterator[Record]] = {}
        self._ahead: dict[TopicPartition, Record] = {}

    def move(self, ends: Mapping[str, int]) -> None:
        """Let the inputs be read up to these positions."""
        self._ends = {TopicPartition(topic, self._partition): end for topic, end in ends.items()}

    def poll(self, timeout: float) -> Poll:
        """What is left before the ends, some of each input; never waits."""
        brought = {tp: self._take(tp) for tp in self._positions if tp not in self._paused}
        return Poll(frozenset({self._partition}), 1, {tp: records for tp, records in brought.items() if records})

    def _take(self, tp: TopicPartition) -> list[Record]:
        taken: list[Record] = []
        end = self._ends.get(tp, 0)
        while len(taken) < _MOST and self._positions[tp] < end:
            record = self._ahead.pop(tp, None) or next(self._records[tp], None)
            if record is None or record.offset >= end:
                self._positions[tp] = end  # markers and aborted records, or nothing, are left before it
                if record is not None:
                    self._ahead[tp] = record
                break
            taken.append(record)
            self._positions[tp] = record.offset + 1
        return taken

    def send(self, out: Out) -> None:
        """Keep what would be written."""
        if out.topic != self._changelog:
            self._computed.outs.append(out)
        elif out.key is not None and out.value is not None:
            self._computed.state[out.key] = out.value
        elif out.key is not None:
            self._computed.state.pop(out.key, None)

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Nothing: it was kept when it was sent, and nobody can take the partition away."""

    def end(self) -> None:
        """Let go of the readers: one that is kept beyond its cluster would never be closed."""
        self._records.clear()

    def committed(self, tp: TopicPartition) -> int | None:
        """None: this member never committed."""
        return None

    def beginning(self, tp: TopicPartition) -> int:
        """Where the reading begins."""
        return self._cluster.beginning(tp)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Read ``tp`` from ``offset`` on."""
        self._positions[tp] = offset
        self._records[tp] = self._cluster.read(tp, offset)
        self._ahead.pop(tp, None)

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Stop returning records of these partitions."""
        self._paused.update(tps)

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Return records of these partitions again."""
        self._paused.difference_update(tps)

    def caught_up(self, tp: TopicPartition) -> bool:
        """True when the position has reached the end."""
        return self._positions[tp] >= self._ends.get(tp, 0)

    def read(self, tp: TopicPartition) -> Iterator[Record]:
        """Nothing: the state begins empty."""
        return iter(())

    def reach(self, tp: TopicPartition) -> Reach | None:
        """None: nobody looks."""
        return None


def recompute(cluster: Cluster, processor: Processor, partition: int, steps: Steps) -> Computed:
    """What the inputs of a partition give when they are read from their beginning to each of ``steps`` in turn.

    Within a step the rows are taken in merged order, and all of a step before the next one.
    """
    computed = Computed()
    log = InputsUpTo(cluster, partition, changelog(processor.name), computed)
    runner = Runner(log, processor, Metrics(processor.name, processor.metrics), commit_interval=1.0)
    try:
        for ends in steps:
            log.move(ends)
            computed.rows += runner.drain(exhausted=True)
    finally:
        log.end()
    return computed


def written_order(cluster: Cluster, saved: Saved) -> Iterator[Mapping[str, int]]:
    """Steps in the order in which the records were written, by the log's clock: one for each run of one input."""
    stamps = sorted(
        (record.timestamp, place, record.offset, topic)
        for place, (topic, end) in enumerate(saved.positions.items())
        for record in cluster.read(TopicPartition(topic, saved.partition))
        if record.offset < end
    )
    reached = dict.fromkeys(saved.positions, 0)
    for number, (_, _, offset, topic) in enumerate(stamps):
        reached[topic] = offset + 1
        if number + 1 == len(stamps) or stamps[number + 1][3] != topic:
            yield dict(reached)


def check_complete(cluster: Cluster, processor: Processor, saved: Saved) -> None:
    """UserError when inputs that the state rests on are no longer in the log."""
    for given in processor.inputs:
        tp = TopicPartition(given.topic, saved.partition)
        oldest = cluster.beginning(tp)
        if oldest > 0 and saved.positions.get(given.topic, 0) > 0:
            raise UserError(
                f"the state of {processor.name} cannot be worked out anew: records 0 to {oldest - 1:,} of"
                f" {tp.topic}/{tp.partition} are past their retention. What is left begins at {oldest:,};"
                " `alvh state inspect` shows the state as it is kept."
            )
