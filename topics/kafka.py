"""How a topic of the catalog is kept on Apache Kafka."""

from __future__ import annotations

from typing import Final

from topics.catalog import CATALOG, DEAD_LETTERS, Topic
from topics.codec import MAX_BLOCK

MIB: Final = 1024 * 1024
#: Of compacted topics: they are compacted as soon as a tenth of them is out of date.
SEGMENT_BYTES: Final = 64 * MIB
DIRTY_RATIO: Final = "0.1"
#: Of state. What a restart reads must not grow with history: only closed segments are compacted, so each is closed
#: after a minute; and the markers of the ten transactions a second, like the marks of deleted keys, are kept for ten
#: minutes instead of a day. A restore takes less, so it still sees every deletion.
STATE_CONFIG: Final = {"segment.ms": str(60_000), "delete.retention.ms": str(600_000)}


def min_insync(replicas: int) -> int:
    """Replicas that must have a record before it counts as written: a majority from three on."""
    return 1 if replicas < 3 else replicas // 2 + 1


def max_message_bytes(topic: Topic) -> int | None:
    """The largest record that the topic must take; None where Kafka's own default of 1 MiB is enough.

    A tick block has up to 8 MiB, and so may the state of a busy key. A dead letter holds up to 256 KiB of the
    original, which may take six times the space when written as JSON.
    """
    if topic.blocks or not topic.messages:
        return MAX_BLOCK + MIB
    return 2 * MIB if topic.name == DEAD_LETTERS else None


def topic_config(topic: Topic, replicas: int) -> dict[str, str]:
    """The topic's configuration with that many copies of each partition."""
    config = {"cleanup.policy": topic.cleanup, "min.insync.replicas": str(min_insync(replicas))}
    if topic.retention_ms is not None:
        config["retention.ms"] = str(topic.retention_ms)
    size = max_message_bytes(topic)
    if size is not None:
        config["max.message.bytes"] = str(size)
    if topic.cleanup == "compact":
        config["segment.bytes"] = str(SEGMENT_BYTES)
        config["min.cleanable.dirty.ratio"] = DIRTY_RATIO
        if not topic.messages:
            config |= STATE_CONFIG
    if topic.name in CATALOG:
        # the broker's clock says when a record came in, whatever a producer claims
        config["message.timestamp.type"] = "LogAppendTime"
    return config
