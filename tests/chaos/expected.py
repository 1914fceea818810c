"""What an uninterrupted run writes for the inputs that are in the log, stage by stage.

Each processor is run alone, in memory, over what *its* input topics hold in the end. So the order in which several
markets happened to meet in a topic is a given, and everything behind it has to follow from it to the byte.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from history import create, processors, work_off

from chaos.checker import Place
from chaos.records import checked
from chaos.workload import PARTITIONS
from processors.stream.log import Out, Record, TopicPartition
from processors.stream.memory import MemoryCluster
from processors.stream.processor import Processor
from processors.stream.runner import POSITIONS_KEY
from topics.catalog import DEAD_LETTERS, changelog

#: Where a record of the run in memory stands in the log.
Offsets = Mapping[tuple[str, int, int], int]


@dataclass
class Expected:
    """What all stages write, by topic and lane, and the state in which they end, by changelog partition and key."""

    outputs: dict[tuple[str, str], list[bytes]] = field(default_factory=lambda: defaultdict(list))
    state: dict[Place, dict[str, bytes]] = field(default_factory=dict)


def expected_of(log: Sequence[Record]) -> Expected:
    """What the three processors make of the inputs in ``log``, which holds whole topics in the order of offsets."""
    found = Expected()
    for processor in stages():
        run_stage(processor, log, found)
    return found


def stages() -> tuple[Processor, ...]:
    """The processors under test, as their processes run them."""
    return processors(partitions=PARTITIONS, regime_max_idle_seconds=60.0)


def run_stage(processor: Processor, log: Sequence[Record], found: Expected) -> None:
    """Add what one processor writes for its inputs in ``log``, and replace its state."""
    cluster = MemoryCluster()
    create(cluster, PARTITIONS)
    inputs = {given.topic for given in processor.inputs}
    offsets: dict[tuple[str, int, int], int] = {}
    for place in sorted({(r.topic, r.partition) for r in log if r.topic in inputs}):
        records = [r for r in log if (r.topic, r.partition) == place]
        cluster.publish(Out(r.topic, r.key, r.value, r.headers, partition=r.partition) for r in records)
        for theirs, ours in zip(records, cluster.read(TopicPartition(*place)), strict=True):
            offsets[*place, ours.offset] = theirs.offset
    fed = {place: cluster.end_offset(place) for place in _places((DEAD_LETTERS,))}
    work_off(cluster, processor)
    for place in _places((*processor.outputs, DEAD_LETTERS)):
        for record in cluster.read(place, fed.get(place, 0) if place.topic in inputs else 0):
            one = checked(_sourced(record, offsets))
            found.outputs[one.topic, one.lane].append(one.content)
    for place in _places((changelog(processor.name),)):
        state = folded(cluster.read(place))
        found.state[place] = {key: _placed(key, value, place, offsets) for key, value in state.items()}


def _places(topics: Iterable[str]) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]


def _sourced(record: Record, offsets: Offsets) -> Record:
    """A dead letter that names where its original stands in the log, and not where it stood in memory."""
    if record.topic != DEAD_LETTERS:
        return record
    topic, partition, offset, row = (record.header("alvh-source") or b"").decode().split("/")
    there = offsets[topic, int(partition), int(offset)]
    headers = tuple(
        (name, f"{topic}/{partition}/{there}/{row}".encode() if name == "alvh-source" else value)
        for name, value in record.headers
    )
    return replace(record, headers=headers)


def _placed(key: str, value: bytes, place: TopicPartition, offsets: Offsets) -> bytes:
    """State as it is; of the positions each where it would stand in the log."""
    if key != POSITIONS_KEY.decode():
        return value
    document = json.loads(value)
    for topic, position in document["positions"].items():
        if position:
            document["positions"][topic] = offsets[topic, place.partition, position - 1] + 1
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def folded(records: Iterable[Record]) -> dict[str, bytes]:
    """The newest value of each key."""
    state: dict[str, bytes] = {}
    for record in records:
        key = (record.key or b"").decode()
        if record.value is None:
            state.pop(key, None)
        else:
            state[key] = record.value
    return state
