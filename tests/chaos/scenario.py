"""One run: load, faults, quiet, verdict."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos.brokers import Brokers
from chaos.checker import Finding, History, Place, judge
from chaos.expected import expected_of, folded, stages
from chaos.faults import COORDINATION, FAULTS, USUAL, Run
from chaos.feeder import Feeder
from chaos.records import Reader, checked, read_committed
from chaos.schedule import Injection
from chaos.workers import Workers
from chaos.workload import INPUTS, PARTITIONS, Story
from history import OUTPUTS, fresh_topics
from kafka.errors import KafkaError

from processors.stream.log import Record, TopicPartition
from topics.catalog import CHANGELOGS

#: Seconds between two event minutes of the load.
PACE = 0.8
GROUPS = {f"alvh.{p.name}": tuple(given.topic for given in p.inputs) for p in stages()}
PLACES = [TopicPartition(topic, n) for topic in (*INPUTS, *OUTPUTS) for n in range(PARTITIONS)]
STATES = [TopicPartition(topic, n) for topic in CHANGELOGS for n in range(PARTITIONS)]
Say = Callable[[str], None]


@dataclass
class Report:
    """What a run was and what came of it."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    inputs: int = 0
    outputs: int = 0
    transactions: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    ended: Counter[int] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not self.findings and not self.problems

    def __str__(self) -> str:
        kinds = Counter(finding.kind for finding in self.findings)
        verdict = "clean" if self.clean else ", ".join(f"{n} {kind}" for kind, n in kinds.items()) or "problems"
        faults, ends = sum(self.faults.values()), ", ".join(f"{n} x {s}" for s, n in sorted(self.ended.items()))
        return (
            f"seed {self.seed}: {verdict}; {faults} faults, {self.inputs} inputs, {self.outputs} outputs,"
            f" {self.starts} starts of processes (ended: {ends or 'none'}), transactions of the feeder:"
            f" {', '.join(f'{n} {outcome}' for outcome, n in sorted(self.transactions.items()))}"
        )


def run(
    seed: int,
    injections: Sequence[Injection],
    brokers: Brokers,
    say: Say,
    program: Sequence[str] = ("-m", "processors.cli"),
) -> Report:
    """Feed the story of a seed, inject, let everything come to rest, and judge."""
    report = Report(seed)
    clean_up(brokers)
    with tempfile.TemporaryDirectory(prefix="alvh-chaos-") as folder:
        workers = Workers(brokers.clients, Path(folder), program)
        feeder = Feeder(brokers.direct, Story(seed), PACE)
        reader = Reader(brokers.direct, PLACES)
        try:
            workers.scale(USUAL)
            reader.start()
            feeder.start()
            _inject(Run(brokers, workers, feeder), injections, report, say)
            feeder.finish(120)
            if behind := _rest(brokers, reader, 120):
                report.problems.append(f"not drained: {behind}")
            statuses = workers.finish()
            if set(statuses) != {0}:
                report.problems.append(f"told to end, the processes ended with {statuses}")
            if unusual := workers.unusual():
                report.problems.append(f"processes ended with {dict(unusual)}")
            report.starts, report.ended = workers.starts, workers.ended
            _judge(brokers, feeder, reader, report)
        finally:
            workers.finish(1.0)
            reader.finish(0, 0)
        if not report.clean:
            kept = Path(tempfile.mkdtemp(prefix=f"alvh-chaos-seed-{seed}-"))
            for worker in workers.all:
                if worker.lines.exists():
                    (kept / worker.lines.name).write_bytes(worker.lines.read_bytes())
            say(f"  lines of the processes: {kept}")
    return report


def clean_up(brokers: Brokers) -> None:
    """A cluster as if nothing had been there: no topics but new ones, no groups."""
    patience = time.monotonic() + 90
    while not brokers.whole(COORDINATION) and time.monotonic() < patience:
        time.sleep(0.2)
    with brokers.admin() as admin:
        admin.delete_groups([*GROUPS])
    fresh_topics(brokers.direct, PARTITIONS)


def _inject(run: Run, injections: Sequence[Injection], report: Report, say: Say) -> None:
    """Inject each fault at its time and heal it at its own, all in threads of their own."""
    started, failed = time.monotonic(), []

    def one(injection: Injection) -> None:
        time.sleep(max(0.0, started + injection.at - time.monotonic()))
        fault = FAULTS[injection.kind](run, injection.choice)
        try:
            did = next(fault)
            say(f"  {time.monotonic() - started:5.1f} s  {injection.kind:16} {did or 'nothing to hurt, not counted'}")
            report.faults[injection.kind] += did is not None
            time.sleep(injection.seconds)
            next(fault, None)
        except BaseException as error:
            failed.append(f"{injection}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=one, args=(injection,), daemon=True) for injection in injections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    report.problems += failed
    report.faults = +report.faults


def _rest(brokers: Brokers, reader: Reader, patience: float) -> str:
    """Wait until every group has read all that is committed, and return what is left in the end."""
    deadline, quiet = time.monotonic() + patience, 0
    behind: dict[str, str] = {}
    while quiet < 3 and time.monotonic() < deadline:
        ends = {(tp.topic, tp.partition): offset for tp, offset in list(reader.next.items()) if offset}
        try:
            positions = _positions(brokers)
        except KafkaError:
            time.sleep(0.5)
            continue
        behind = {
            f"{group} {place[0]}/{place[1]}": f"{positions[group].get(place)} of {end}"
            for group, topics in GROUPS.items()
            for place, end in ends.items()
            if place[0] in topics and positions[group].get(place) != end
        }
        quiet = 0 if behind else quiet + 1
        time.sleep(0.5)
    return ", ".join(f"{where}: {what}" for where, what in behind.items())


def _positions(brokers: Brokers) -> dict[str, dict[Place, int]]:
    found: dict[str, dict[Place, int]] = {}
    with brokers.admin() as admin:
        for group in GROUPS:
            offsets = admin.list_group_offsets(group)[group]
            found[group] = {(tp.topic, tp.partition): at.offset for tp, at in offsets.items() if at.offset >= 0}
    return found


def _judge(brokers: Brokers, feeder: Feeder, reader: Reader, report: Report) -> None:
    log = read_committed(brokers.direct, PLACES)
    log.sort(key=lambda record: (record.topic, record.partition, record.offset))
    seen = reader.finish(len(log), 20)
    expected = expected_of(log)
    records = [checked(record) for record in log]
    inputs = [record for record in records if record.topic in INPUTS]
    outputs = [record for record in records if record.topic not in INPUTS]
    report.inputs, report.outputs = len(inputs), len(outputs)
    report.transactions = Counter(feeder.outcomes.values())
    ends = {(record.topic, record.partition) for record in records}
    report.findings = judge(
        History(
            sends=feeder.sends,
            outcomes=feeder.outcomes,
            inputs=inputs,
            outputs=outputs,
            expected=expected.outputs,
            polls={"a live reader": seen},
            positions=_positions(brokers),
            read={group: sorted(p for p in ends if p[0] in topics) for group, topics in GROUPS.items()},
            state=_state(read_committed(brokers.direct, STATES)),
            expected_state=expected.state,
        )
    )


def _state(records: Sequence[Record]) -> dict[Place, dict[str, bytes]]:
    return {
        place: folded(sorted((r for r in records if (r.topic, r.partition) == place), key=lambda r: r.offset))
        for place in STATES
    }
