"""The kinds of faults: each begins, lasts and is healed, and says what it did.

Each is a generator function of the run and a choice: it injects, yields what it did, and heals when it goes on. One
that finds nothing to hurt yields None; it is not counted.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from kafka.errors import KafkaError

from chaos.brokers import Brokers, configure, fill_disk, go_on, insisting, pause, up
from chaos.feeder import Feeder
from chaos.records import Reader, offsets_of
from chaos.workers import MOST, Worker, Workers
from chaos.workload import PARTITIONS
from processors.stream.log import TopicPartition
from topics.catalog import ALL_TOPICS, CHANGELOGS

#: Instances of a quiet run, and what a scaling goes back to.
USUAL: Final = 2
#: Seconds for which an instance that works is waited for.
_PATIENCE: Final = 60.0
_CHANGELOGS: Final = [TopicPartition(topic, number) for topic in CHANGELOGS for number in range(PARTITIONS)]
COORDINATION: Final = ("__consumer_offsets", "__transaction_state")


@dataclass(frozen=True)
class Run:
    """What can be hurt."""

    brokers: Brokers
    workers: Workers
    feeder: Feeder
    reader: Reader

    def worker(self, choice: int) -> Worker | None:
        """One of the instances that work, when something has been committed: faults are to meet more than starts."""
        deadline, written = time.monotonic() + _PATIENCE, None
        while time.monotonic() < deadline:
            working = [worker for worker in self.workers.wanted if worker.working]
            if not working:
                written = None
            elif written is None:
                written = self.reader.outputs
            elif self.reader.outputs > written:
                time.sleep(choice % 1000 / 1000)
                return working[choice % len(working)]
            time.sleep(0.1)
        return None


Fault = Callable[[Run, int], Iterator[str | None]]


def kill(run: Run, choice: int) -> Iterator[str | None]:
    """kill -9 of an instance; its supervisor starts it again."""
    if worker := run.worker(choice):
        worker.signal(signal.SIGKILL)
    yield worker and worker.name


def zombie(run: Run, choice: int) -> Iterator[str | None]:
    """An instance stands still for longer than its session and its transaction may last, and then goes on."""
    worker = run.worker(choice)
    if worker:
        worker.signal(signal.SIGSTOP)
    yield worker and worker.name
    if worker:
        worker.signal(signal.SIGCONT)


def terminate(run: Run, choice: int) -> Iterator[str | None]:
    """An instance is told to end, and started again."""
    if worker := run.worker(choice):
        worker.signal(signal.SIGTERM)
    yield worker and worker.name


def scale(run: Run, choice: int) -> Iterator[str | None]:
    """From one instance to four to two."""
    run.worker(choice)
    run.workers.scale(1)
    run.workers.scale(MOST)
    yield f"1 to {MOST} to {USUAL}"
    run.workers.scale(USUAL)


def cold_start(run: Run, choice: int) -> Iterator[str | None]:
    """All instances are killed, and four start at the same time."""
    run.worker(choice)
    for worker in run.workers.all:
        worker.signal(signal.SIGKILL)
    run.workers.scale(MOST)
    yield f"{MOST} at once"
    run.workers.scale(USUAL)


def clock_step(run: Run, choice: int) -> Iterator[str | None]:
    """The wall clock of an instance jumps, and back."""
    worker, step = run.worker(choice), (-86400.0, -300.0, 300.0, 3600.0, 1e8)[choice % 5]
    if worker:
        worker.set_clock(step)
    yield worker and f"{worker.name} {step:+g} s"
    if worker:
        worker.set_clock(0.0)


def broker_kill(run: Run, choice: int) -> Iterator[str | None]:
    """kill -9 of a broker, with commits in flight, and its restart."""
    broker = run.brokers[choice]
    broker.kill()
    yield f"broker {broker.node}"
    up(broker)


def full_disk(run: Run, choice: int) -> Iterator[str | None]:
    """Every append of a broker fails with an I/O error; it is started again with room."""
    broker = run.brokers[choice]
    fill_disk(broker)
    yield f"broker {broker.node}"
    assert broker.process is not None
    try:
        broker.process.wait(10)
    except subprocess.TimeoutExpired:  # it went on with what it need not write
        broker.kill()
    up(broker)


def quorum_loss(run: Run, choice: int) -> Iterator[str | None]:
    """Two of three brokers, which are controllers too, stand still."""
    two = [run.brokers[choice], run.brokers[choice + 1]]
    for broker in two:
        pause(broker)
    yield f"brokers {', '.join(str(broker.node) for broker in two)}"
    for broker in two:
        go_on(broker)


def leader_move(run: Run, choice: int) -> Iterator[str | None]:
    """Half of all partitions get another leader."""
    yield _moved(run, tuple(ALL_TOPICS), choice, 0.5)


def coordinator_move(run: Run, choice: int) -> Iterator[str | None]:
    """The coordinators of all groups and transactions move to other brokers."""
    yield _moved(run, COORDINATION, choice, 1.0)


def min_isr(run: Run, choice: int) -> Iterator[str | None]:
    """A broker's followers cannot reach it: what it leads falls below the replicas that a write needs."""
    link = run.brokers.inner[choice % len(run.brokers.inner)]
    link.cut = True
    yield f"broker {run.brokers[choice].node}"
    link.cut = False


def cut(run: Run, choice: int) -> Iterator[str | None]:
    """Nothing passes between the processors and a broker, and nobody is told."""
    link = run.brokers.outer[choice % len(run.brokers.outer)]
    link.cut = True
    yield f"broker {run.brokers[choice].node}"
    link.cut = False


def delay(run: Run, choice: int) -> Iterator[str | None]:
    """What passes between the processors and a broker takes long."""
    link, seconds = run.brokers.outer[choice % len(run.brokers.outer)], (0.05, 0.2, 0.5)[choice % 3]
    link.delay = seconds
    yield f"broker {run.brokers[choice].node} {seconds:g} s"
    link.delay = 0.0


def poison(run: Run, choice: int) -> Iterator[str | None]:
    """Records that nobody can use, in bulk, in every input."""
    count = 100 + choice % 200
    run.feeder.poison(count)
    yield f"{count} records"


def compaction(run: Run, choice: int) -> Iterator[str | None]:
    """The changelogs are compacted while they are written, and an instance has to restore from what is left."""
    often = {"segment.ms": "500", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "500"}

    def there() -> set[tuple[str, int, int]]:
        return insisting(lambda: offsets_of(run.brokers.direct, _CHANGELOGS))

    before = there()
    configure(run.brokers, CHANGELOGS, often)
    deadline, gone = time.monotonic() + 40, 0
    while not gone and time.monotonic() < deadline:
        time.sleep(0.5)
        gone = len(before - there())
    yield f"{gone} of {len(before)} records so far" if gone else None
    configure(run.brokers, CHANGELOGS, {"segment.ms": "604800000", "min.cleanable.dirty.ratio": "0.5"})
    if worker := run.worker(choice):
        worker.signal(signal.SIGKILL)


FAULTS: Final[dict[str, Fault]] = {
    fault.__name__: fault
    for fault in (
        *(kill, zombie, terminate, scale, cold_start, clock_step),
        *(broker_kill, full_disk, quorum_loss, leader_move, coordinator_move),
        *(min_isr, cut, delay, poison, compaction),
    )
}


def _moved(run: Run, topics: tuple[str, ...], choice: int, share: float) -> str | None:
    """Give partitions another leader, and say how many have one; None when the cluster was not able to."""
    rng = random.Random(choice)
    try:
        before = run.brokers.leaders(topics)
        chosen = {tp: replicas for tp, (_, replicas) in sorted(before.items()) if rng.random() < share}
        with run.brokers.admin() as admin:
            admin.alter_partition_reassignments({tp: [*r[1:], r[0]] for tp, r in chosen.items()})
            admin.elect_leaders(0, [*topics], raise_errors=False)
        after = run.brokers.leaders(topics)
    except KafkaError:  # another fault has taken the controllers away
        return None
    moved = sum(before[tp][0] != after[tp][0] for tp in chosen if tp in after)
    return f"{moved} of {len(before)} partitions" if moved else None
