"""What an uninterrupted run writes for the inputs that are in the log, stage by stage.

Each processor is run alone, in memory, over what *its* input topics hold in the end. So the order in which several
markets happened to meet in a topic is a given, and everything behind it has to follow from it to the byte.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
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

#: Offsets of the records of each partition, in order.
Offsets = dict[Place, list[int]]


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
    there = [record for record in log if record.topic in inputs]
    cluster.publish(Out(r.topic, r.key, r.value, r.headers, partition=r.partition) for r in there)
    own = offsets_by_place([record for place in _places(inputs) for record in cluster.read(place)])
    theirs = offsets_by_place(there)
    fed = {place: cluster.end_offset(place) for place in _places((DEAD_LETTERS,))}
    work_off(cluster, processor)
    for place in _places((*processor.outputs, DEAD_LETTERS)):
        for record in cluster.read(place, fed.get(place, 0) if place.topic in inputs else 0):
            one = checked(_sourced(record, own, theirs))
            found.outputs[one.topic, one.lane].append(one.content)
    for place in _places((changelog(processor.name),)):
        found.state[place] = state_of(cluster.read(place), place, own, theirs)


def _places(topics: Iterable[str]) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]


def offsets_by_place(records: Iterable[Record]) -> Offsets:
    """The offsets of the records of each partition, in order."""
    found: Offsets = defaultdict(list)
    for record in records:
        found[record.topic, record.partition].append(record.offset)
    return found


def _sourced(record: Record, own: Offsets, theirs: Offsets) -> Record:
    """A dead letter that names where its original stands in the log, and not where it stood in memory."""
    if record.topic != DEAD_LETTERS:
        return record
    topic, partition, offset, row = (record.header("alvh-source") or b"").decode().split("/")
    place = topic, int(partition)
    there = theirs[place][own[place].index(int(offset))]
    headers = tuple(
        (name, f"{topic}/{partition}/{there}/{row}".encode() if name == "alvh-source" else value)
        for name, value in record.headers
    )
    return replace(record, headers=headers)


def state_of(records: Iterable[Record], changes: Place, own: Offsets, theirs: Offsets) -> dict[str, bytes]:
    """The newest value of each key of a changelog partition.

    Positions are made comparable: each becomes the one behind the last record before it, as it stands in the log. What
    is no record may lie between that and the position itself.
    """
    state = _folded(records)
    if saved := state.get(POSITIONS_KEY.decode()):
        document = json.loads(saved)
        for topic, position in document["positions"].items():
            place = topic, changes[1]
            count = bisect_left(own[place], position)
            document["positions"][topic] = theirs[place][count - 1] + 1 if count else 0
        state[POSITIONS_KEY.decode()] = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return state


def _folded(records: Iterable[Record]) -> dict[str, bytes]:
    state: dict[str, bytes] = {}
    for record in records:
        key = (record.key or b"").decode()
        if record.value is None:
            state.pop(key, None)
        else:
            state[key] = record.value
    return state
