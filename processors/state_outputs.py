"""Outputs of a processor as they lie on their topics, compared with those that its inputs give."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from processors.stream.log import Cluster, Out, TopicPartition
from processors.stream.partitioner import partition_for
from topics.catalog import COMPACTED, DEAD_LETTERS
from topics.message import canonical_json

#: Stands for what is not there.
ABSENT: Final = "(absent)"
_LONGEST: Final = 200

Group = tuple[TopicPartition, bytes]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two documents differ first.

    Attributes:
        where: the state key; or the topic, partition, key and place among the records of that key.
        path: place within the JSON document, like ``panel.closes.3``; empty for the whole.
    """

    where: str
    path: str
    kept: Any
    computed: Any

    def __str__(self) -> str:
        at = f" at {self.path}" if self.path else ""
        return f"{self.where}{at}: the log has {_shown(self.kept)}, the inputs give {_shown(self.computed)}"

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {"where": self.where, "path": self.path, "kept": self.kept, "computed": self.computed}


def first_difference(where: str, kept: bytes | None, computed: bytes | None) -> Difference:
    """Where two values differ first: within them when both are JSON, else as a whole."""
    if kept is None or computed is None:
        return Difference(where, "", _value(kept), _value(computed))
    path, one, other = _walk(_value(kept), _value(computed), ())
    return Difference(where, ".".join(path), one, other)


def output_differences(cluster: Cluster, outs: Sequence[Out]) -> Iterator[Difference]:
    """The first difference of every key of every output topic; of dead letters, of every input.

    Records of one key come from one partition of a processor, so their order is fixed; that of different keys is not.
    A topic keeps the newest records for its retention, and a compacted one the newest of each key at least. Keys that
    the inputs do not give at all are not looked for.
    """
    counts = cluster.topics()
    expected: dict[Group, list[bytes]] = defaultdict(list)
    for out in outs:
        expected[_group(out, counts)].append(out.value or b"")
    for tp in sorted({tp for tp, _ in expected}):
        there: dict[bytes, list[bytes]] = defaultdict(list)
        for record in cluster.read(tp):
            identity = record.header("alvh-source") if tp.topic == DEAD_LETTERS else record.key
            there[identity or b""].append(record.value or b"")
        shortened = cluster.beginning(tp) > 0 or tp.topic in COMPACTED
        for (at, key), values in expected.items():
            if at == tp:
                yield from _compare(tp, key, there.get(key, []), values, shortened)


def _group(out: Out, counts: Mapping[str, int]) -> Group:
    number = partition_for(out.key, counts[out.topic]) if out.partition is None else out.partition
    source = dict(out.headers).get("alvh-source")
    return TopicPartition(out.topic, number), (source if out.topic == DEAD_LETTERS else out.key) or b""


def _compare(
    tp: TopicPartition, key: bytes, kept: Sequence[bytes], computed: Sequence[bytes], shortened: bool
) -> Iterator[Difference]:
    """The first difference of one key; what was deleted by age is not missed."""
    named = f"{tp.topic}/{tp.partition} key {key.decode(errors='replace')}"
    if tp.topic in COMPACTED:
        kept, computed = kept[-1:], computed[-1:]
    elif tp.topic == DEAD_LETTERS and len(kept) > len(computed):
        kept = kept[: len(computed)]  # a topic that two processors read: each refuses the same input for itself
    elif shortened and len(kept) < len(computed):
        computed = computed[len(computed) - len(kept) :]
    for number in range(max(len(kept), len(computed))):
        one = kept[number] if number < len(kept) else None
        other = computed[number] if number < len(computed) else None
        if one != other:
            yield first_difference(f"{named} record {number}", one, other)
            return


def _value(value: bytes | None) -> Any:
    if value is None:
        return ABSENT
    try:
        return json.loads(value)
    except ValueError:
        return value.decode(errors="replace")


def _walk(kept: Any, computed: Any, path: tuple[str, ...]) -> tuple[tuple[str, ...], Any, Any]:
    """The deepest place to which the first difference can be followed."""
    if isinstance(kept, dict) and isinstance(computed, dict):
        for name in sorted(kept.keys() | computed.keys()):
            one, other = kept.get(name, ABSENT), computed.get(name, ABSENT)
            if one != other:
                return _walk(one, other, (*path, name))
    if isinstance(kept, list) and isinstance(computed, list):
        for place in range(max(len(kept), len(computed))):
            one = kept[place] if place < len(kept) else ABSENT
            other = computed[place] if place < len(computed) else ABSENT
            if one != other:
                return _walk(one, other, (*path, str(place)))
    return path, kept, computed


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else canonical_json(value).decode()
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
