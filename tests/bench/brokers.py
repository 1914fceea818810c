"""A real Kafka with the recorded ticks in it, and looks at how far a program has come."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alvh_process import Process
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, errors
from kafka.structs import TopicPartition
from kafka_broker import start_kafka
from programs import PEERS, SOURCE, TARGET
from workload import MARKET

from topics.codec import ARROW_HEADERS


@contextmanager
def broker() -> Iterator[str]:
    """``host:port`` of a broker of its own with the topics as ``alvh topics apply`` makes them."""
    with start_kafka(settings={"message.max.bytes": str(9 << 20)}) as kafka:
        apply_topics(kafka.bootstrap)
        yield kafka.bootstrap


def apply_topics(servers: str) -> None:
    """Create what is missing of the topics of ours."""
    with TemporaryDirectory(prefix="alvh-bench-") as folder:
        Process(f"kafka://{servers}", Path(folder)).call("topics", "apply")


def load_lines(servers: str, python: Path, file: Path) -> None:
    """Write the lines of a file to SOURCE, so that the n-th has the offset n."""
    command = [str(python), str(PEERS / "load.py"), servers, SOURCE, MARKET, str(file)]
    subprocess.run(command, check=True, timeout=300)


def load_blocks(servers: str, blocks: Iterable[bytes]) -> None:
    """Write tick blocks to SOURCE, so that the n-th has the offset n."""
    producer = KafkaProducer(
        bootstrap_servers=servers, acks="all", max_request_size=16 << 20, compression_type="lz4", metrics_enabled=False
    )
    for block in blocks:
        producer.send(SOURCE, block, MARKET.encode(), list(ARROW_HEADERS), 0)
    producer.flush()
    producer.close()


def renew(servers: str, group: str) -> None:
    """Forget what a run left: every topic but the ticks, and the group's positions. Only the topic TARGET is made."""
    admin = KafkaAdminClient(bootstrap_servers=servers)
    try:
        old = [name for name in admin.list_topics() if name != SOURCE and not name.startswith("__")]
        if old:
            admin.delete_topics(old)
        _until(lambda: not set(admin.list_topics()) & set(old))
        _until(lambda: _deleted(admin, group))
        admin.create_topics({TARGET: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    finally:
        admin.close()


def _deleted(admin: KafkaAdminClient, group: str) -> bool:
    try:
        answer = admin.delete_groups([group])[group]
    except errors.GroupIdNotFoundError:
        return True
    except (errors.NonEmptyGroupError, *_NOT_YET):
        return False
    return answer in ("OK", "GroupIdNotFoundError")


def _until(done: Callable[[], bool], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError("the broker does not forget")
        time.sleep(0.1)


#: What a coordinator says while it starts, or while a transaction is being written.
_NOT_YET = (
    errors.UnstableOffsetCommitError,
    errors.CoordinatorNotAvailableError,
    errors.CoordinatorLoadInProgressError,
    errors.NotCoordinatorError,
)


class Positions:
    """How far a group has committed SOURCE, in records."""

    def __init__(self, servers: str, group: str) -> None:
        self._admin = KafkaAdminClient(bootstrap_servers=servers)
        self._group, self._tp = group, TopicPartition(SOURCE, 0)

    def look(self) -> int:
        """Records behind the committed position; 0 before the first commit."""
        try:
            found = self._admin.list_group_offsets({self._group: [self._tp]})[self._group].get(self._tp)
        except _NOT_YET:
            return 0
        return max(found.offset, 0) if found is not None else 0

    def close(self) -> None:
        """Close the connection."""
        self._admin.close()


class Outputs:
    """How far a program has come as its newest committed message says, in records, and that message."""

    def __init__(self, servers: str) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=servers, isolation_level="read_committed", enable_auto_commit=False, metrics_enabled=False
        )
        self._tp = TopicPartition(TARGET, 0)
        self._consumer.assign([self._tp])
        self._consumer.seek_to_beginning(self._tp)
        self._reached = 0
        self.newest: dict[str, Any] | None = None

    def look(self) -> int:
        """Records that the newest message rests on; 0 before the first one."""
        for records in self._consumer.poll(timeout_ms=0, max_records=5000).values():
            for record in records:
                found = json.loads(record.value)
                if found["n"] > self._reached:
                    self.newest, self._reached = found, found["n"]
        return self._reached

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close(autocommit=False)


def newest_message(servers: str, seconds: float = 3.0) -> dict[str, Any] | None:
    """The newest committed message of TARGET, once nothing newer has come for half a second."""
    outputs = Outputs(servers)
    end = time.monotonic() + seconds
    before, since = -1, time.monotonic()
    while time.monotonic() < min(end, since + 0.5):
        if (reached := outputs.look()) != before:
            before, since = reached, time.monotonic()
        time.sleep(0.02)
    outputs.close()
    return outputs.newest
