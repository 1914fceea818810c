"""Crash at every point: whatever the moment at which a processor dies, what is committed is what was to be committed.

The log in memory names each point at which a member can die: around every poll, send, commit and read of a restore.
They are counted in a clean run and then taken one after the other. Nothing is sampled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from forgetful import Forgetful
from history import (
    Dump,
    Verdict,
    compare,
    create,
    dump,
    join,
    outs_of,
    processors,
    publish,
    runner_of,
)
from stories import small_story

from processors.errors import Rebalanced
from processors.stream.crash import POINTS, Crash, CrashPlan
from processors.stream.log import Member
from processors.stream.memory import MemoryCluster
from processors.stream.runner import Runner
from topics.catalog import ALERTS, DEAD_LETTERS, HEDGE_REBALANCES, REGIME_STATES, REGIME_TRANSITIONS

PROCESSORS = processors()
STORY = outs_of(small_story(), block=None)


def run(plan: CrashPlan, kind: type[Runner] = Runner) -> Dump:
    """The story through all processors, each ended in order once on its way and started again; crashes on top."""
    cluster = MemoryCluster(crash=plan, max_records=6)
    create(cluster)
    publish(cluster, STORY)
    for processor in PROCESSORS:
        for steps in (3, None):
            while True:
                try:
                    runner = runner_of(join(cluster, processor), processor, kind=kind)
                    if steps is None:
                        runner.drain(exhausted=True)
                    else:
                        for _ in range(steps):
                            runner.step(0.0, exhausted=True)
                    runner.close()
                    break
                except Crash:
                    continue
    return dump(cluster)


@pytest.fixture(scope="module")
def clean() -> tuple[Dump, list[str]]:
    plan = CrashPlan()
    return run(plan), plan.points


def enumerate_crashes(clean: tuple[Dump, list[str]], kind: type[Runner], every: int = 1) -> tuple[Verdict, list[str]]:
    """Crash at each point; the sum of the faults, and the points at which there were any."""
    expected, points = clean
    total, at_fault = Verdict(), []
    for at in range(0, len(points), every):
        plan = CrashPlan(at)
        verdict = compare(expected, run(plan, kind))
        assert plan.points[at] == points[at], "the run up to the crash is the clean one"
        total.counts += verdict.counts
        if not verdict.clean:
            total.where.update(verdict.where)
            at_fault.append(points[at])
    return total, at_fault


def test_the_story_reaches_everything(clean: tuple[Dump, list[str]]) -> None:
    expected, points = clean
    assert len(expected[REGIME_STATES, 0]) == 3
    assert len(expected[REGIME_TRANSITIONS, 0]) >= 2
    assert any(b'"fast_path"' in (value or b"") for _, value in expected[REGIME_TRANSITIONS, 0])
    assert expected[HEDGE_REBALANCES, 0]
    assert expected[ALERTS, 0]
    assert len(expected[DEAD_LETTERS, 0]) == 2
    assert set(points) == set(POINTS)


def test_a_crash_at_every_single_point_changes_nothing(clean: tuple[Dump, list[str]]) -> None:
    total, at_fault = enumerate_crashes(clean, Runner)
    counts = Counter(clean[1])
    print(f"\ncrashed at {len(clean[1])} points: {', '.join(f'{name} {n}' for name, n in sorted(counts.items()))}")
    print("  " + ", ".join(f"{total.counts[kind]} {kind}" for kind in ("lost", "duplicate", "divergent", "reordered")))
    assert not at_fault, f"{Counter(at_fault)}\n{total}"


class OutputsFirst(Runner):
    """Broken on purpose: outputs in a transaction of their own, then state and positions."""

    def commit(self) -> None:
        if self._dirty and self._outs:
            for out in self._outs:
                self.log.send(out)
            self.log.commit({})
            self._outs = []
        super().commit()


class PositionsFirst(Runner):
    """Broken on purpose: state and positions in a transaction of their own, then outputs."""

    def commit(self) -> None:
        outs, self._outs = self._outs, []
        super().commit()
        if outs:
            for out in outs:
                self.log.send(out)
            self.log.commit({})


@pytest.mark.parametrize(("kind", "fault"), [(OutputsFirst, "duplicate"), (PositionsFirst, "lost")])
def test_the_check_finds_a_runner_whose_positions_are_not_in_the_transaction(kind: type[Runner], fault: str) -> None:
    plan = CrashPlan()
    broken = (run(plan, kind), plan.points)
    assert compare(run(CrashPlan()), broken[0]).clean, "without a crash nothing is wrong"
    total, at_fault = enumerate_crashes(broken, kind, every=17)
    print(f"\n{kind.__name__}: {dict(total.counts)} at {dict(Counter(at_fault))}")
    assert total.counts[fault] > 0


# Partitions that move


class Intruder(CrashPlan):
    """Right before the n-th commit of a group another member joins and leaves, so that this commit is refused."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.commits = 0
        self._intrude_at = at
        self.cluster: MemoryCluster | None = None
        self.group = Member("", "", ())

    def reach(self, point: str) -> None:
        super().reach(point)
        if point != "commit:before":
            return
        self.commits += 1
        if self.commits - 1 == self._intrude_at and self.cluster is not None:
            self.cluster.member(Member(self.group.group, "intruder", self.group.inputs)).end()


def run_with_intruder(plan: Intruder, kind: type[Runner] = Runner) -> tuple[Dump, int]:
    """The story without crashes; one commit is refused. Also how many commits were."""
    cluster = plan.cluster = MemoryCluster(crash=plan, max_records=2)
    create(cluster)
    publish(cluster, STORY)
    refused = 0
    for processor in PROCESSORS:
        plan.group = Member(f"alvh.{processor.name}", "0", tuple(given.topic for given in processor.inputs))
        log = join(cluster, processor)
        commit: Callable[..., None] = log.commit

        def counted(positions: object, commit: Callable[..., None] = commit) -> None:
            nonlocal refused
            try:
                commit(positions)
            except Rebalanced:
                refused += 1
                raise

        log.commit = counted  # type: ignore[method-assign]
        runner = runner_of(log, processor, kind=kind)
        runner.drain(exhausted=True)
        runner.close()
    return dump(cluster), refused


def enumerate_refusals(kind: type[Runner]) -> tuple[Verdict, int]:
    counting = Intruder(-1)
    expected, refused = run_with_intruder(counting)
    assert refused == 0
    total = Verdict()
    for at in range(counting.commits):
        seen, refused = run_with_intruder(Intruder(at), kind)
        assert refused == 1
        verdict = compare(expected, seen)
        total.counts += verdict.counts
        total.where.update(verdict.where)
    return total, counting.commits


def test_a_refused_commit_at_every_commit_changes_nothing() -> None:
    total, commits = enumerate_refusals(Runner)
    print(f"\n{commits} commits, each refused once: {dict(total.counts)}")
    assert commits > 20
    assert total.clean, total


def test_the_check_finds_a_runner_whose_memory_is_not_put_back() -> None:
    total, commits = enumerate_refusals(Forgetful)
    print(f"\nForgetful over {commits} commits: {dict(total.counts)}")
    assert not total.clean
