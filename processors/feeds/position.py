"""How far a feed has come, kept in the log itself and written in the same transaction as the rows it speaks of."""

from __future__ import annotations

import json
from dataclasses import dataclass

from processors.stream.log import Cluster, Out, TopicPartition
from topics.catalog import FEED_POSITIONS
from topics.codec import JSON_HEADERS
from topics.message import canonical_json


@dataclass(frozen=True, slots=True)
class Position:
    """``rows`` of the recording, in the order of events, are in the log; ``done``: all of them and the watermarks."""

    rows: int = 0
    done: bool = False

    def record(self, identity: str) -> Out:
        """The record that keeps this position for a recording."""
        value = canonical_json({"schema_version": 1, "rows": self.rows, "done": self.done})
        return Out(FEED_POSITIONS, identity.encode(), value, JSON_HEADERS, partition=0)


def read_position(cluster: Cluster, identity: str) -> Position:
    """The newest position of a recording; the start when it was never fed into this log."""
    newest: bytes | None = None
    for record in cluster.read(TopicPartition(FEED_POSITIONS, 0)):
        if record.key == identity.encode():
            newest = record.value
    if newest is None:
        return Position()
    document = json.loads(newest)
    return Position(int(document["rows"]), bool(document["done"]))
