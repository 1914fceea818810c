"""Three real brokers, and links between them and to their clients that can be cut."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import KafkaError
from kafka.structs import TopicPartition
from kafka_broker import KafkaBroker, KafkaNodes, free_ports, start_kafka

from chaos.proxy import Link, Network

T = TypeVar("T")

NODES = 3
_SETTINGS = {
    "inter.broker.listener.name": "REPLICATION",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "3",
    "replica.lag.time.max.ms": "3000",
    "log.message.timestamp.type": "LogAppendTime",
}
#: Seconds for which an answer of a cluster under fault is waited for.
_PATIENCE = 30.0
#: Bytes beyond which no file may grow while the disk is "full".
_FULL = 4096


@dataclass(frozen=True)
class Brokers:
    """A running cluster.

    Attributes:
        nodes: its processes.
        direct: bootstrap servers for whoever injects, feeds and reads: nothing lies between.
        clients: bootstrap servers for the processors: every connection goes through a link of ``outer``.
        outer, inner: the links to each broker, of clients and of other brokers.
    """

    nodes: KafkaNodes
    direct: str
    clients: str
    outer: Sequence[Link]
    inner: Sequence[Link]

    def __getitem__(self, choice: int) -> KafkaBroker:
        return self.nodes.brokers[choice % NODES]

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        """An admin client of its own, which is closed in the end."""
        admin = KafkaAdminClient(bootstrap_servers=self.direct.split(","), request_timeout_ms=10_000)
        try:
            yield admin
        finally:
            admin.close()

    def leaders(self, topics: Sequence[str]) -> dict[TopicPartition, tuple[int, list[int]]]:
        """The leader and the replicas of every partition."""
        with self.admin() as admin:
            return {
                TopicPartition(topic["name"], p["partition_index"]): (p["leader_id"], list(p["replica_nodes"]))
                for topic in admin.describe_topics(list(topics))
                for p in topic["partitions"]
            }

    def whole(self, topics: Sequence[str]) -> bool:
        """True when every replica of every partition is in sync."""
        with self.admin() as admin:
            found = admin.describe_topics(list(topics))
        return all(len(p["isr_nodes"]) == NODES for topic in found for p in topic["partitions"])


@contextmanager
def three_brokers() -> Iterator[Brokers]:
    """Start them, and end them."""
    ports = free_ports(4 * NODES)
    outer = [Link(ports[4 * n], ports[4 * n + 1]) for n in range(NODES)]
    inner = [Link(ports[4 * n + 2], ports[4 * n + 3]) for n in range(NODES)]
    listeners = {
        "CLIENT": [(link.target, link.port) for link in outer],
        "REPLICATION": [(link.target, link.port) for link in inner],
    }
    with Network([*outer, *inner]), start_kafka(NODES, _SETTINGS, listeners) as nodes:
        clients = ",".join(f"127.0.0.1:{link.port}" for link in outer)
        yield Brokers(nodes, nodes.bootstrap, clients, outer, inner)


def up(broker: KafkaBroker, patience: float = 180.0) -> None:
    """Start a broker that has ended, and wait until it answers."""
    broker.start()
    broker.wait(time.monotonic() + patience)


def pause(broker: KafkaBroker) -> None:
    """Stop the process where it stands; its connections stay."""
    assert broker.process is not None
    broker.process.send_signal(signal.SIGSTOP)


def go_on(broker: KafkaBroker) -> None:
    """Let a paused process go on."""
    assert broker.process is not None
    broker.process.send_signal(signal.SIGCONT)


def fill_disk(broker: KafkaBroker) -> None:
    """From now on every write behind the first bytes of a file fails with an I/O error.

    The limit of this process on the size of files does that (RLIMIT_FSIZE): the write fails as it does on a full disk,
    with EFBIG instead of ENOSPC, and needs neither a file system of its own nor the rights to mount one.
    """
    assert broker.process is not None
    _, hard = resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE, (_FULL, hard))


def insisting(asking: Callable[[], T]) -> T:
    """An answer of the cluster, asked for again while another fault has taken the broker away that was asked."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return asking()
        except KafkaError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def configure(brokers: Brokers, topics: Iterable[str], settings: Mapping[str, str]) -> None:
    """Set these keys of the configuration of some topics."""
    changes = [ConfigResource("topic", topic, dict(settings)) for topic in topics]

    def ask() -> None:
        with brokers.admin() as admin:
            admin.alter_configs(changes)

    insisting(ask)
