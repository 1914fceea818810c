"""One run: load, faults, quiet, verdict."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from history import OUTPUTS, fresh_topics
from kafka.errors import KafkaError

from chaos.brokers import Brokers
from chaos.checker import History, Place, judge
from chaos.expected import Expected, expected_of, offsets_by_place, stages, state_of
from chaos.faults import COORDINATION, FAULTS, USUAL, Run
from chaos.feeder import Feeder
from chaos.records import INPUTS, Reader, checked, read_committed
from chaos.report import Report
from chaos.schedule import CLASSES, KINDS, Injection
from chaos.workers import Workers
from chaos.workload import PARTITIONS, Story
from processors.stream.log import Record, TopicPartition
from topics.catalog import CHANGELOGS

#: Seconds between two event minutes of the load.
PACE = 0.8
GROUPS = {f"alvh.{p.name}": tuple(given.topic for given in p.inputs) for p in stages()}
PLACES = [TopicPartition(topic, n) for topic in (*INPUTS, *OUTPUTS) for n in range(PARTITIONS)]
STATES = [TopicPartition(topic, n) for topic in CHANGELOGS for n in range(PARTITIONS)]
#: What a processor is started with; ``run all`` follows.
PROGRAM = ("-m", "processors.cli")
Say = Callable[[str], None]


def run(
    seed: int,
    injections: Sequence[Injection],
    brokers: Brokers,
    say: Say,
    program: Sequence[str] = PROGRAM,
) -> Report:
    """Feed the story of a seed, inject, let everything come to rest, and judge."""
    report = Report(f"seed {seed}")
    clean_up(brokers)
    with Scene(brokers, Story(seed), program) as scene:
        scene.workers.scale(USUAL)
        scene.feeder.start()
        _inject(Run(brokers, scene.workers, scene.feeder, scene.reader), injections, report, say)
        scene.feeder.finish(120)
        report.problems += scene.rest(120)
        report.problems += scene.end()
        log = scene.log()
        report.findings = judge(scene.history(log, expected_of(log)))
        scene.count(report, log)
        if not report.clean:
            say(f"  lines of the processes: {scene.keep(f'alvh-chaos-seed-{seed}-')}")
    return report


class Scene:
    """The processors, the feeder and a live reader of one run. A context manager: leaving it ends them all."""

    def __init__(self, brokers: Brokers, story: Story, program: Sequence[str] = PROGRAM) -> None:
        self.brokers = brokers
        self._folder = tempfile.TemporaryDirectory(prefix="alvh-chaos-")
        self.workers = Workers(brokers.clients, Path(self._folder.name), program)
        self.feeder = Feeder(brokers.direct, story, PACE)
        self.reader = Reader(brokers.direct, PLACES)

    def __enter__(self) -> Scene:
        self.reader.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.workers.finish(1.0)
        self.reader.finish(0, 0)
        self._folder.cleanup()

    def rest(self, patience: float) -> list[str]:
        """Wait until every group has read all that is committed; what is left when patience ends is a problem."""
        deadline, quiet = time.monotonic() + patience, 0
        behind: list[str] = []
        while quiet < 3 and time.monotonic() < deadline:
            time.sleep(0.5)
            ends = {(tp.topic, tp.partition): offset for tp, offset in list(self.reader.next.items()) if offset}
            try:
                positions = self.positions()
            except KafkaError:
                continue
            behind = [
                f"{group} has not read {place[0]}/{place[1]}: {positions[group].get(place, 0)} of {end}"
                for group, topics in GROUPS.items()
                for place, end in ends.items()
                if place[0] in topics and positions[group].get(place, 0) < end
            ]
            quiet = 0 if behind else quiet + 1
        return behind

    def end(self) -> list[str]:
        """Tell all processes to end once all run; who did not end as it should is a problem."""
        deadline = time.monotonic() + 60
        while not all(worker.working for worker in self.workers.wanted) and time.monotonic() < deadline:
            time.sleep(0.2)
        statuses = self.workers.finish()
        problems = [f"told to end, the processes ended with {statuses}"] if set(statuses) != {0} else []
        if unusual := self.workers.unusual():
            problems.append(f"processes ended with {dict(unusual)}")
        return problems

    def log(self) -> list[Record]:
        """Every committed record of inputs and outputs, partition by partition in the order of offsets."""
        found = read_committed(self.brokers.direct, PLACES)
        return sorted(found, key=lambda record: (record.topic, record.partition, record.offset))

    def history(self, log: Sequence[Record], expected: Expected) -> History:
        """What the checker is to judge."""
        records = [checked(record) for record in log]
        places = {(record.topic, record.partition) for record in records}
        return History(
            sends=self.feeder.sends,
            outcomes=self.feeder.outcomes,
            inputs=[record for record in records if record.topic in INPUTS],
            outputs=[record for record in records if record.topic not in INPUTS],
            expected=expected.outputs,
            polls={"a live reader": self.reader.finish(len(log), 20)},
            positions=self.positions(),
            read={group: sorted(p for p in places if p[0] in topics) for group, topics in GROUPS.items()},
            state=self._state(log),
            expected_state=expected.state,
        )

    def count(self, report: Report, log: Sequence[Record]) -> None:
        """Take down how much there was."""
        report.inputs = sum(record.topic in INPUTS for record in log)
        report.outputs = len(log) - report.inputs
        report.transactions = Counter(self.feeder.outcomes.values())
        report.starts, report.ended = self.workers.starts, self.workers.ended

    def positions(self) -> dict[str, dict[Place, int]]:
        """The committed positions of every group."""
        found: dict[str, dict[Place, int]] = {}
        with self.brokers.admin() as admin:
            for group in GROUPS:
                offsets = admin.list_group_offsets(group)[group]
                found[group] = {(tp.topic, tp.partition): at.offset for tp, at in offsets.items() if at.offset >= 0}
        return found

    def keep(self, prefix: str) -> Path:
        """A folder with the lines that the processes logged, which stays."""
        kept = Path(tempfile.mkdtemp(prefix=prefix))
        for worker in self.workers.all:
            if worker.lines.exists():
                (kept / worker.lines.name).write_bytes(worker.lines.read_bytes())
        return kept

    def _state(self, log: Sequence[Record]) -> dict[Place, dict[str, bytes]]:
        found: dict[Place, list[Record]] = {place: [] for place in STATES}
        for record in read_committed(self.brokers.direct, STATES):
            found[record.topic, record.partition].append(record)
        offsets = offsets_by_place(log)
        return {place: state_of(records, place, offsets, offsets) for place, records in found.items()}


def clean_up(brokers: Brokers) -> None:
    """A cluster as if nothing had been there: all replicas in sync, no topics but new ones, no groups."""
    patience = time.monotonic() + 90
    while not (without_groups(brokers, [*GROUPS]) and brokers.whole(COORDINATION)):
        assert time.monotonic() < patience, "the cluster of the last run does not recover, or keeps its groups"
        time.sleep(0.2)
    fresh_topics(brokers.direct, PARTITIONS)


def without_groups(brokers: Brokers, groups: Sequence[str]) -> bool:
    """Delete groups, and tell whether none is left: one whose members were killed stays for a session."""
    try:
        with brokers.admin() as admin:
            outcomes = admin.delete_groups([*groups])
    except KafkaError:  # no coordinator yet: asking for it makes its topic
        return False
    return all(outcome in ("OK", "GroupIdNotFoundError") for outcome in outcomes.values())


def _inject(run: Run, injections: Sequence[Injection], report: Report, say: Say) -> None:
    """Inject each fault at its time and heal it at its own: the classes side by side, in each one after the other."""
    started, failed = time.monotonic(), []

    def one(injection: Injection) -> None:
        time.sleep(max(0.0, started + injection.at - time.monotonic()))
        fault = FAULTS[injection.kind](run, injection.choice)
        did = next(fault)
        say(f"  {time.monotonic() - started:5.1f} s  {injection.kind:16} {did or 'nothing to hurt, not counted'}")
        report.faults[injection.kind] += did is not None
        time.sleep(injection.seconds)
        next(fault, None)

    def all_of(name: str) -> None:
        for injection in injections:
            if KINDS[injection.kind][0] == name:
                try:
                    one(injection)
                except BaseException as error:
                    what = (str(error).splitlines() or [""])[0]
                    failed.append(f"{injection.kind} could not be injected or healed: {type(error).__name__}: {what}")

    threads = [threading.Thread(target=all_of, args=(name,), daemon=True) for name in CLASSES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    report.problems += failed
    report.faults = +report.faults
