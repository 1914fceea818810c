"""The topics of a deployment, made before anything is written to them."""

from __future__ import annotations

from collections.abc import Iterable

from processors.errors import UserError
from processors.stream.log import Cluster
from topics.catalog import ALL_TOPICS, COMPACTED


def create_topics(cluster: Cluster, partitions: int | None = None, needed: Iterable[str] = ALL_TOPICS) -> int:
    """Create every topic of the catalog, unless all that are needed exist; return the partition count that they have.

    Topics that exist are kept. ``partitions`` None takes the count of those that exist, or 1. UserError when they
    exist with another count than the one asked for: what is read together must have the same partitions.
    """
    if partitions is not None and partitions < 1:
        raise UserError(f"{partitions} partitions are not possible; at least 1 is.")
    existing = {name: count for name, count in cluster.topics().items() if name in ALL_TOPICS}
    counts = set(existing.values())
    if len(counts) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in sorted(existing.items()))
        raise UserError(f"the topics have different partition counts ({listed}); all of them need the same.")
    count = counts.pop() if counts else partitions or 1
    if partitions is not None and partitions != count:
        raise UserError(
            f"the topics exist with {count} partitions, {partitions} were asked for; a count is never changed."
            f" Ask for {count}, or start with an empty log."
        )
    if not existing.keys() >= set(needed):
        cluster.create(dict.fromkeys(ALL_TOPICS, count), compacted=COMPACTED)
    return count
