"""The other floor: a bare kafka-python consume-transform-produce loop in transactions, state in memory and lost."""

from __future__ import annotations

import sys
import time

import orjson
from job import Market
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import OffsetAndMetadata

INTERVAL = 0.1


def main(servers: str, source: str, target: str, group: str) -> None:
    """Read, decode, work, send; a transaction ten times a second, or at once when there is a message to send."""
    consumer = KafkaConsumer(
        source,
        bootstrap_servers=servers,
        group_id=group,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=2000,
        fetch_max_bytes=16 << 20,
        max_partition_fetch_bytes=4 << 20,
        metrics_enabled=False,
    )
    producer = KafkaProducer(
        bootstrap_servers=servers,
        transactional_id=f"{group}.0",
        linger_ms=5,
        retry_backoff_ms=10,
        metrics_enabled=False,
    )
    producer.init_transactions()
    markets: dict[bytes, Market] = {}
    committed = time.monotonic()
    opened = False
    while True:
        for records in consumer.poll(timeout_ms=100).values():
            if not opened:
                producer.begin_transaction()
                opened = True
            for record in records:
                market = markets.get(record.key)
                if market is None:
                    market = markets[record.key] = Market()
                found = market.tick(orjson.loads(record.value))
                if found is not None:
                    producer.send(target, orjson.dumps(found), record.key)
        if opened and time.monotonic() - committed >= INTERVAL:
            positions = {tp: OffsetAndMetadata(consumer.position(tp), "", -1) for tp in consumer.assignment()}
            producer.send_offsets_to_transaction(positions, consumer.group_metadata())
            producer.commit_transaction()
            opened = False
            committed = time.monotonic()


if __name__ == "__main__":
    main(*sys.argv[1:])
