"""The floor: a bare kafka-python poll loop, at least once, state in memory and lost when it dies."""

from __future__ import annotations

import sys
import time

import orjson
from job import Market
from kafka import KafkaConsumer, KafkaProducer

INTERVAL = 0.1


def main(servers: str, source: str, target: str, group: str) -> None:
    """Read, decode, work, send; commit the positions ten times a second."""
    consumer = KafkaConsumer(
        source,
        bootstrap_servers=servers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=2000,
        fetch_max_bytes=16 << 20,
        max_partition_fetch_bytes=4 << 20,
        metrics_enabled=False,
    )
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5, metrics_enabled=False)
    markets: dict[bytes, Market] = {}
    committed = time.monotonic()
    while True:
        for records in consumer.poll(timeout_ms=100).values():
            for record in records:
                market = markets.get(record.key)
                if market is None:
                    market = markets[record.key] = Market()
                found = market.tick(orjson.loads(record.value))
                if found is not None:
                    producer.send(target, orjson.dumps(found), record.key)
        if time.monotonic() - committed >= INTERVAL:
            producer.flush()
            consumer.commit()
            committed = time.monotonic()


if __name__ == "__main__":
    main(*sys.argv[1:])
