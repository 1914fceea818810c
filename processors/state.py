"""The state of a processor as its changelog keeps it, read without being a member of its group."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from processors.errors import UserError
from processors.stream.log import Cluster, TopicPartition
from processors.stream.runner import POSITIONS_KEY
from processors.tail import partitions_of
from topics.catalog import changelog
from topics.times import SECOND, format_ts


@dataclass(frozen=True, slots=True)
class Entry:
    """The newest value of one key. ``written_ts`` is the log's own time, ns."""

    value: bytes
    offset: int
    written_ts: int

    def document(self) -> Any:
        """The value as JSON values; as text when it is no JSON."""
        try:
            return json.loads(self.value)
        except ValueError:
            return self.value.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Saved:
    """State of one partition.

    Attributes:
        entries: by key, without the positions.
        positions: next offset to read of each input; empty when nothing was ever committed.
        times: event time that each input had reached, ns.
        commits: the positions of every commit that the changelog still tells of, the oldest first. Compaction leaves
            the newest alone.
    """

    partition: int
    entries: Mapping[bytes, Entry]
    positions: Mapping[str, int]
    times: Mapping[str, int]
    commits: tuple[Mapping[str, int], ...]

    def document(self) -> dict[str, Any]:
        """All of it but the values, as JSON values."""
        return {
            "partition": self.partition,
            "positions": dict(self.positions),
            "stream_times": {topic: format_ts(ts) if ts else None for topic, ts in self.times.items()},
            "keys": [
                {
                    "key": key.decode(errors="replace"),
                    "bytes": len(entry.value),
                    "offset": entry.offset,
                    "written_ts": format_ts(entry.written_ts),
                }
                for key, entry in sorted(self.entries.items())
            ],
        }


def saved_states(cluster: Cluster, processor: str, partition: int | None = None) -> list[Saved]:
    """The state of every partition of a processor, or of one. UserError when it has no changelog or partition there."""
    tps = partitions_of(changelog(processor), cluster)
    if partition is not None and partition >= len(tps):
        raise UserError(f"{processor} has partitions 0 to {len(tps) - 1}, not {partition}")
    return [saved(cluster, tp) for tp in tps if partition in (None, tp.partition)]


def saved(cluster: Cluster, tp: TopicPartition) -> Saved:
    """The state in one partition of a changelog."""
    entries: dict[bytes, Entry] = {}
    commits: list[Mapping[str, int]] = []
    times: Mapping[str, int] = {}
    for record in cluster.read(tp):
        if record.key is None:
            continue
        if record.value is None:
            entries.pop(record.key, None)
        elif record.key == POSITIONS_KEY:
            document = json.loads(record.value)
            commits.append(document["positions"])
            times = document["times"]
        else:
            entries[record.key] = Entry(record.value, record.offset, record.timestamp // SECOND * SECOND)
    return Saved(tp.partition, entries, commits[-1] if commits else {}, times, tuple(commits))
