"""What a restart must read of a changelog does not grow with history: Kafka's cleaner keeps up with the commits."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka_broker import KafkaNodes, missing, start_kafka

from processors.stream.log import Cluster, Out, TopicPartition
from processors.stream.open import open_cluster
from topics.catalog import ALL_TOPICS, changelog
from topics.kafka import STATE_CONFIG, topic_config

STATE, UNTENDED = "state", "untended"
COMMITS, KEYS, LIVE = 400, 3, 2000
PATIENCE = 60.0


@pytest.fixture(scope="module")
def nodes() -> Iterator[KafkaNodes]:
    """A broker of this module's own, whose files can be looked at."""
    if reason := missing():
        pytest.skip(reason)
    with start_kafka() as running:
        yield running


def size(nodes: KafkaNodes, topic: str) -> int:
    """Bytes of a partition's segments. The cleaner may take one away meanwhile."""
    found = 0
    for path in Path(nodes.brokers[0].folder / "data" / f"{topic}-0").glob("*.log"):
        try:
            found += path.stat().st_size
        except FileNotFoundError:
            continue
    return found


def state(cluster: Cluster, topic: str) -> dict[bytes | None, bytes | None]:
    return {record.key: record.value for record in cluster.read(TopicPartition(topic, 0))}


@pytest.mark.kafka
def test_a_changelog_stays_short(nodes: KafkaNodes) -> None:
    """The same transactions go to a topic kept as the catalog says, its times made short, and to one without them."""
    from kafka import KafkaAdminClient

    config = topic_config(ALL_TOPICS[changelog("market")], 1)
    assert STATE_CONFIG.items() <= config.items()
    short = config | dict.fromkeys(STATE_CONFIG, "1000")
    untended = {key: value for key, value in config.items() if key not in STATE_CONFIG}
    admin = KafkaAdminClient(bootstrap_servers=nodes.bootstrap)
    admin.create_topics(
        {
            name: {"num_partitions": 1, "replication_factor": 1, "configs": given}
            for name, given in ((STATE, short), (UNTENDED, untended))
        },
        wait_for_metadata=True,
    )
    admin.close()
    cluster = open_cluster(f"kafka://{nodes.bootstrap}")
    rng = random.Random(3)

    def commit() -> None:
        changed = [(f"key/{n}".encode(), rng.randbytes(LIVE)) for n in range(KEYS)]
        cluster.publish([Out(topic, key, value) for key, value in changed for topic in (STATE, UNTENDED)])

    for _ in range(COMMITS):
        commit()
    deadline = time.monotonic() + PATIENCE
    least = size(nodes, STATE)
    while least > 10 * KEYS * LIVE and time.monotonic() < deadline:
        time.sleep(0.2)
        commit()  # only what is followed by something is closed
        least = min(least, size(nodes, STATE))
    seen = state(cluster, STATE), state(cluster, UNTENDED)
    cluster.close()
    print(f"{COMMITS} commits: {least:,} bytes to read as the catalog says, {size(nodes, UNTENDED):,} without")
    assert size(nodes, UNTENDED) > COMMITS * KEYS * LIVE
    assert least <= 10 * KEYS * LIVE
    assert seen[0] == seen[1]
    assert len(seen[0]) == KEYS
