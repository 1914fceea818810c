"""A real Apache Kafka on this machine for tests, benches and chaos: started from its jars, ended by its process id.

Usable outside of pytest::

    with start_kafka() as kafka:
        print(kafka.bootstrap)

Maven fetches the jars that ``kafka/pom.xml`` names, once. Everything listens on 127.0.0.1 and keeps its files in a
temporary folder.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

_HERE = Path(__file__).parent / "kafka"
_JARS = _HERE / "target" / "jars"

#: What makes a broker quick enough for tests: few internal partitions, no waiting for latecomers, small heaps.
_FAST = {
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "transaction.max.timeout.ms": "60000",
    "log.cleaner.backoff.ms": "300",
    "log.retention.check.interval.ms": "1000",
    "log.segment.delete.delay.ms": "1000",
    "auto.create.topics.enable": "false",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "broker.session.timeout.ms": "2000",  # how long a broker that was killed keeps its successor from starting
    "broker.heartbeat.interval.ms": "500",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
}
_JVM = ["-Xmx384m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]


class KafkaNotStartedError(Exception):
    """No broker: what is missing, or what its log says."""


def end_when_told() -> None:
    """Let a termination end this process as an interrupt does, so that it takes its brokers with it.

    A shell makes what it runs in the background deaf to interrupts, and with it all that is started from there.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


def missing() -> str | None:
    """What this machine lacks to start a broker; None when nothing. Fetches the jars when they are not there yet."""
    wanted = ["java"] if _jars_there() else ["java", "mvn"]
    if lacking := [name for name in wanted if shutil.which(name) is None]:
        return f"not on the path: {', '.join(lacking)}"
    try:
        _jars()
    except KafkaNotStartedError as error:
        return str(error)
    return None


def start_kafka(
    nodes: int = 1,
    settings: Mapping[str, str] | None = None,
    listeners: Mapping[str, Sequence[tuple[int, int]]] | None = None,
    format_arguments: Sequence[str] = (),
) -> KafkaNodes:
    """Start ``nodes`` brokers, each also a controller, and wait until all of them answer.

    ``settings`` are added to every node's server.properties. ``listeners``: more of them by name, for each node the
    port that it listens on and the one that it tells clients. ``format_arguments`` go to ``kafka-storage format``, and
    make the first users. Raises KafkaNotStartedError.
    """
    kafka = KafkaNodes(nodes, settings or {}, listeners or {}, format_arguments)
    try:
        kafka.start()
    except BaseException:
        kafka.stop()
        raise
    return kafka


class KafkaNodes:
    """One or more brokers that form a cluster. A context manager: leaving it stops them and removes their files."""

    def __init__(
        self,
        nodes: int,
        settings: Mapping[str, str],
        listeners: Mapping[str, Sequence[tuple[int, int]]],
        format_arguments: Sequence[str] = (),
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="alvh-kafka-"))
        ports = free_ports(2 * nodes)
        voters = ",".join(f"{n + 1}@127.0.0.1:{ports[2 * n + 1]}" for n in range(nodes))
        replicas = str(min(nodes, 3))
        common = _FAST | {
            "controller.quorum.voters": voters,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": str(min(nodes, 2)),
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": "1",
            "default.replication.factor": replicas,
            "min.insync.replicas": str(min(nodes, 2)),
        }
        cluster = "A" + urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]  # an id that began with "-" were an option
        self.brokers = [
            KafkaBroker(
                n + 1,
                ports[2 * n],
                ports[2 * n + 1],
                self.folder / f"node{n + 1}",
                cluster,
                {**common, **settings},
                {name: each[n] for name, each in listeners.items()},
                format_arguments,
            )
            for n in range(nodes)
        ]
        self.bootstrap = ",".join(f"127.0.0.1:{broker.port}" for broker in self.brokers)
        atexit.register(self.stop)

    def start(self, timeout: float = 90.0) -> None:
        """Start every node and wait until all are up. Raises KafkaNotStartedError with the end of a node's log."""
        deadline = time.monotonic() + timeout
        for broker in self.brokers:
            broker.start()
        for broker in self.brokers:
            broker.wait(deadline)

    def stop(self) -> None:
        """End every node and remove its files; safe to call twice."""
        atexit.unregister(self.stop)
        for broker in self.brokers:
            broker.terminate()
        for broker in self.brokers:
            broker.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> KafkaNodes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class KafkaBroker:
    """One node: a Java process. It can be stopped, killed and started again with its files as they were."""

    def __init__(
        self,
        node: int,
        port: int,
        controller_port: int,
        folder: Path,
        cluster: str,
        settings: Mapping[str, str],
        listeners: Mapping[str, tuple[int, int]],
        format_arguments: Sequence[str] = (),
    ) -> None:
        self.format_arguments = list(format_arguments)
        self.node, self.port, self.folder, self.cluster = node, port, folder, cluster
        self.log = folder / "broker.log"
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        every = {"PLAINTEXT": (port, port), **listeners}
        told = ",".join(f"{name}://127.0.0.1:{advertised}" for name, (_, advertised) in every.items())
        bound = ",".join(f"{name}://127.0.0.1:{own}" for name, (own, _) in every.items())
        properties = {
            "process.roles": "broker,controller",
            "node.id": str(node),
            "listeners": f"{bound},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": told,
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in ("CONTROLLER", *every)),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(folder / "data"),
            **settings,
        }
        self.properties = folder / "server.properties"
        self.properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))

    def start(self) -> None:
        """Start the process (and lay out its storage the first time); :meth:`wait` tells when it answers."""
        if not (self.folder / "data").exists():
            format_storage = ["kafka.tools.StorageTool", "format", "-t", self.cluster, "-c", str(self.properties)]
            command = _java(*format_storage, *self.format_arguments)
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            if done.returncode:
                raise KafkaNotStartedError(f"storage format failed:\n{done.stdout}{done.stderr}")
        with self.log.open("ab") as log:
            log.write(b"--- start\n")
            self.process = subprocess.Popen(
                _java("kafka.Kafka", str(self.properties)), stdout=log, stderr=log, cwd=self.folder
            )

    def wait(self, deadline: float) -> None:
        """Wait until this node has started, up to ``deadline`` (of time.monotonic)."""
        while True:
            log = self.log.read_text(errors="replace").rpartition("--- start")[2]
            if "Kafka Server started" in log:
                return
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                raise KafkaNotStartedError(f"node {self.node} did not start; the end of its log:\n{log[-4000:]}")
            time.sleep(0.05)

    def terminate(self) -> None:
        """Ask the process to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def kill(self) -> None:
        """End the process as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def stop(self, patience: float = 5.0) -> None:
        """End the process: ask first, kill after ``patience`` seconds."""
        self.terminate()
        if self.process is not None:
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.kill()


def _jars_there() -> bool:
    return any(_JARS.glob("kafka_*.jar"))


def _jars() -> Path:
    """The folder with the jars; fetched into a folder beside it first, so that two runs cannot mix theirs."""
    if not _jars_there():
        fetched = _HERE / "target" / f"fetch-{os.getpid()}"
        command = ["mvn", "-q", "-B", "-f", str(_HERE / "pom.xml")]
        done = subprocess.run(
            [*command, "dependency:copy-dependencies", f"-DoutputDirectory={fetched}"],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode:
            raise KafkaNotStartedError(f"Maven could not fetch Kafka:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
        try:
            fetched.rename(_JARS)
        except OSError:
            shutil.rmtree(fetched)  # another run was faster
    return _JARS


def _java(*arguments: str) -> list[str]:
    quiet = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
    quiet += ["-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info"]
    java = shutil.which("java")
    if java is None:
        raise KafkaNotStartedError("not on the path: java")
    return [java, *_JVM, *quiet, "-cp", f"{_jars()}/*", *arguments]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all held until the last is known, so that they differ.

    They lie below those that systems give to outgoing connections: else one of these could take the port of a broker
    that is down for a moment.
    """
    sockets: list[socket.socket] = []
    try:
        for port in random.sample(range(15_000, 32_000), 1000):
            one = socket.socket()
            sockets.append(one)
            try:
                one.bind(("127.0.0.1", port))
            except OSError:  # somebody's
                sockets.pop().close()
            if len(sockets) == count:
                return [one.getsockname()[1] for one in sockets]
        raise KafkaNotStartedError("no free ports between 15000 and 32000")
    finally:
        for one in sockets:
            one.close()


if __name__ == "__main__":  # a broker to play with: python kafka_broker.py [NODES]
    with start_kafka(int(sys.argv[1]) if len(sys.argv) > 1 else 1) as running:
        print(running.bootstrap, flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how it is told to end
            time.sleep(1e9)
