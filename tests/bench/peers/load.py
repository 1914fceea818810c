"""Write the lines of a file to a topic, one record each, as fast as it goes or so many a second. No peer: the feed.

    load.py SERVERS TOPIC KEY FILE [PER_SECOND]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from confluent_kafka import Producer

HEADERS = [("content-type", b"application/json"), ("schema-version", b"1")]


def main(servers: str, topic: str, key: str, file: str, per_second: str = "inf") -> None:
    """Send in order; wait for room, and for the time when there is a rate."""
    rate, begun = float(per_second), time.monotonic()
    producer = Producer(
        {"bootstrap.servers": servers, "linger.ms": 5, "compression.type": "lz4", "enable.idempotence": True}
    )
    with Path(file).open("rb") as lines:
        for number, line in enumerate(lines):
            if rate < float("inf") and number % 20 == 0:
                producer.poll(max(0.0, begun + number / rate - time.monotonic()))
                time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            while True:
                try:
                    producer.produce(topic, line[:-1], key, 0, headers=HEADERS)
                    break
                except BufferError:
                    producer.poll(0.05)
    if producer.flush(60):
        raise SystemExit("not everything was sent")


if __name__ == "__main__":
    main(*sys.argv[1:])
