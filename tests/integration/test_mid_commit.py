"""A broker is killed while a commit is under way: the processor goes on or ends within its deadline, and never hangs.

Every request of a commit is hit, before the broker sees it and after the broker has answered it. The broker that gets
the request is the one that dies: the only one, or the coordinator or leader among three. It is started again, and what
has been written in the end is what one uninterrupted run writes.

    python tests/integration/test_mid_commit.py         # all twenty tries, as a table; under pytest a part of them
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[n]) for n in (2, 1)]

from alvh_process import Process, total
from history import (
    CALENDAR,
    Dump,
    columns_of,
    compare,
    create,
    dump,
    join,
    outs_of,
    processors,
    runner_of,
    session_rows,
    watermark,
)
from kafka_broker import KafkaBroker, KafkaNodes
from kafka_proxy import API, Proxy, Trap

from processors.errors import EXIT_FATAL
from processors.stream.log import Out, TopicPartition
from processors.stream.memory import MemoryCluster
from processors.stream.open import open_cluster
from topics.catalog import DEAD_LETTERS, HEDGE_REGIMES, REGIME_MARKS, REGIME_STATES, REGIME_TRANSITIONS
from topics.times import HOUR

WRITTEN = (REGIME_STATES, REGIME_MARKS, REGIME_TRANSITIONS, HEDGE_REGIMES, DEAD_LETTERS)
PROGRESS = TopicPartition(HEDGE_REGIMES, 0)
DAY = date(2018, 5, 1)
#: Seconds that a call may take: shorter than a broker needs to come back, and longer.
SHORT, LONG = 3.0, 15.0
#: Seconds after which a try counts as hung. A process may miss its deadline in more than one call (while it works, and
#: while it is started again), and this machine may be busy.
PATIENCE = 90.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A request of a commit, and whether the broker has answered it when it dies."""

    request: str
    answered: bool

    def __str__(self) -> str:
        return f"{self.request}, {'its answer lost' if self.answered else 'not delivered'}"


@dataclass(frozen=True, slots=True)
class Try:
    """One kill, and what came of it. ``seconds`` from the kill to the next commit, or to the end of the process."""

    number: int
    brokers: int
    stage: Stage
    deadline: float
    what: str
    seconds: float

    @property
    def good(self) -> bool:
        return self.what in ("recovered", f"ended with {EXIT_FATAL}")

    def __str__(self) -> str:
        verdict = "ok" if self.good else "NOT OK"
        return (
            f"| {self.number} | {self.brokers} | {self.stage} | {self.deadline:g} | {self.what} | {self.seconds:.1f}"
            f" | {verdict} |"
        )


HEAD = "| try | brokers | killed at | deadline s | the processor | after s | |\n|---:|---:|---|---:|---|---:|---|"


def shares(count: int) -> list[list[Out]]:
    """The ticks of a session in so many parts, the last with the session's end."""
    rows = session_rows(DAY, (16, 22, 31, 27, 18), random.Random(11), step=20)
    outs = outs_of([columns_of(rows)], block=None)
    cuts = [round(i * len(outs) / count) for i in range(count + 1)]
    parts = [outs[start:stop] for start, stop in pairwise(cuts)]
    parts[-1] += outs_of([watermark(CALENDAR.vix_close_ts(DAY) + 12 * HOUR)], block=None)
    return parts


def uninterrupted(parts: Sequence[Sequence[Out]]) -> tuple[list[int], Dump]:
    """Regimes that there are after each part, and what one run writes."""
    cluster, (market, *_) = MemoryCluster(), processors()
    create(cluster)
    runner = runner_of(join(cluster, market), market)
    counts = []
    for part in parts:
        cluster.publish(part)
        runner.drain()
        counts.append(cluster.end_offset(PROGRESS))
    runner.close()
    seen = dump(cluster, WRITTEN)
    return [sum(1 for r in cluster.read(PROGRESS) if r.offset < count) for count in counts], seen


class Brokers:
    """Brokers that clients, and the other brokers, know by the ports of proxies alone."""

    def __init__(self, count: int) -> None:
        self.nodes = KafkaNodes(count, {}, {})
        self.proxies = [Proxy(broker.port) for broker in self.nodes.brokers]
        self.url = "kafka://" + ",".join(f"127.0.0.1:{proxy.port}" for proxy in self.proxies)
        for broker, proxy in zip(self.nodes.brokers, self.proxies, strict=True):
            with broker.properties.open("a") as properties:
                properties.write(f"advertised.listeners=PLAINTEXT://127.0.0.1:{proxy.port}\n")
        self._dead: list[tuple[KafkaBroker, Proxy]] = []

    def arm(self, stage: Stage) -> threading.Event:
        """Kill the broker that gets the next such request of the market processor. The event tells when."""
        killed = threading.Event()
        for broker, proxy in zip(self.nodes.brokers, self.proxies, strict=True):
            spring = partial(self._kill, broker, proxy, killed)
            proxy.trap = Trap(stage.request, b"alvh.market.0", stage.answered, spring)
        return killed

    def _kill(self, broker: KafkaBroker, proxy: Proxy, killed: threading.Event) -> None:
        for one in self.proxies:
            one.trap = None
        broker.kill()
        proxy.down()
        self._dead.append((broker, proxy))
        killed.set()

    def revive(self) -> None:
        """Start again what was killed, with its files as they were."""
        while self._dead:
            broker, proxy = self._dead.pop()
            broker.start()
            broker.wait(time.monotonic() + PATIENCE)
            proxy.up()


@contextmanager
def brokers(count: int) -> Iterator[Brokers]:
    started = Brokers(count)
    try:
        started.nodes.start()
        yield started
    finally:
        started.nodes.stop()
        for proxy in started.proxies:
            proxy.down()


def kills(count: int, stages: Sequence[Stage], folder: Path, first: int = 1) -> Iterator[Try]:
    """A try for each stage, on ``count`` brokers, and the proof that none of them lost or doubled anything."""
    parts = shares(len(stages))
    reached, expected = uninterrupted(parts)
    with brokers(count) as started:
        with closing(open_cluster(started.url)) as cluster:
            create(cluster)
        process = Process(started.url, folder, {"ALVH_COMMIT_INTERVAL_SECONDS": "0.02", "ALVH_WATCHDOG_SECONDS": "40"})
        try:
            for number, stage in enumerate(stages):
                deadline = (SHORT, LONG)[(number + number // 2) % 2]  # each with requests lost and with answers lost
                process.settings["ALVH_CALL_DEADLINE_SECONDS"] = str(deadline)
                with closing(open_cluster(started.url)) as cluster:
                    cluster.publish(parts[number])
                what, seconds = _kill(started, process, stage)
                done = Try(first + number, count, stage, deadline, what, seconds)
                assert done.good, f"{done}\n{process.tail()}"
                _go_on(started.url, process, reached[number])
                yield done
        finally:
            process.end()
        with closing(open_cluster(started.url)) as cluster:
            verdict = compare(expected, dump(cluster, WRITTEN))
    print(f"{count} broker{'s' if count > 1 else ''}, {len(stages)} kills: {verdict}")
    assert verdict.clean, verdict


def _kill(started: Brokers, process: Process, stage: Stage) -> tuple[str, float]:
    """Start the processor over what it has not read, kill a broker in its first commit, and see what it does."""
    sprung = started.arm(stage)
    process.start("market")
    process.wait(f"{stage} of a commit", sprung.is_set, PATIENCE)
    killed = time.monotonic()
    with ThreadPoolExecutor(1) as beside:
        revived = beside.submit(started.revive)
        while process.running() and not committed(process) and time.monotonic() - killed < PATIENCE:
            time.sleep(0.02)
        seconds = time.monotonic() - killed
        revived.result()
    if process.process is not None and process.process.poll() is not None:
        return f"ended with {process.process.poll()}", seconds
    return ("recovered" if committed(process) else "hung"), seconds


def committed(process: Process) -> bool:
    """Whether it has committed since it was started. The commit in which the broker was killed is not counted yet."""
    return total(process.metrics(), "alvh_commits_total", outcome="committed") > 0


def _go_on(url: str, process: Process, regimes: int) -> None:
    """See that the processor, started again if it has ended, works off what is there, and end it."""
    if not process.running():
        process.start("market")
    with closing(open_cluster(url)) as cluster:
        process.wait(f"{regimes} regimes", lambda: sum(1 for _ in cluster.read(PROGRESS)) >= regimes, PATIENCE, 0.1)
    process.wait("the end of the start", process.ready, PATIENCE)
    assert process.terminate() == 0, process.tail()


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("count", "stages"),
    [
        (1, (("Produce", False), ("EndTxn", True), ("TxnOffsetCommit", True))),
        (3, (("AddOffsetsToTxn", False), ("EndTxn", True))),
    ],
)
def test_a_broker_killed_in_mid_commit(count: int, stages: Sequence[tuple[str, bool]], tmp_path: Path) -> None:
    tries = list(kills(count, [Stage(*stage) for stage in stages], tmp_path))
    print(HEAD, *tries, sep="\n")
    assert [done.stage for done in tries] == [Stage(*stage) for stage in stages]


def main() -> None:
    """Every stage, on one broker and on three."""
    stages = [Stage(request, answered) for request in API for answered in (False, True)]
    print(HEAD)
    for count, first in ((1, 1), (3, 1 + len(stages))):
        with tempfile.TemporaryDirectory(prefix="alvh-commit-") as folder:
            for done in kills(count, stages, Path(folder), first):
                print(done, flush=True)


if __name__ == "__main__":
    main()
