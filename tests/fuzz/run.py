"""Fuzz every decoder, the whole step of the processors, and the state that they restore.

    python tests/fuzz/run.py --inputs 1000000 --seed 1
    python tests/fuzz/run.py --inputs 20000 --table docs/testing.md     # and write the figures into that page

The same seed, number of inputs and processes give the same inputs. A fault is printed with its smallest inputs, which
are kept under ``tests/fuzz/found``; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import queue
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "integration"), str(HERE.parents[1])]

import psutil  # noqa: E402 - what follows is found through the line above
from fuzz_decoders import Shots, Wrong, probe  # noqa: E402
from fuzz_inputs import Good, Hostile, Input, a_day, inner_goods  # noqa: E402
from fuzz_state import poison  # noqa: E402
from fuzz_world import Fault, State, Sums, World  # noqa: E402

from topics.catalog import (  # noqa: E402
    DEAD_LETTERS,
    HEDGE_REBALANCES,
    HEDGE_REGIMES,
    PORTFOLIO_SNAPSHOTS,
    PROCESSORS,
)

FOUND = HERE / "found"
BATCH = 100
#: Between these marks of a page the table is written.
MARKS = ("<!-- fuzz -->\n", "<!-- end of fuzz -->\n")


@dataclass(slots=True)
class Report:
    """What one process, or all of them, did."""

    decoded: Counter[tuple[str, str]] = field(default_factory=Counter)
    stepped: Sums = field(default_factory=Sums)
    restored: Counter[tuple[str, str]] = field(default_factory=Counter)
    replayed: int = 0
    faults: dict[str, tuple[int, str]] = field(default_factory=dict)
    memory: list[int] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """Inputs so far; those of a replay are not counted again."""
        return self.decoded.total() + self.stepped.inputs + self.restored.total()

    def fault(self, fault: Fault, example: str) -> None:
        """Count a fault and keep its first example."""
        times, first = self.faults.get(fault.kind, (0, f"{fault.detail}\n    {example}"))
        self.faults[fault.kind] = times + 1, first

    def add(self, other: Report) -> None:
        """Take in what another process did."""
        self.decoded += other.decoded
        self.restored += other.restored
        self.replayed += other.replayed
        for name, value in asdict(other.stepped).items():
            mine = getattr(self.stepped, name)
            setattr(self.stepped, name, mine + value)
        for kind, (times, example) in other.faults.items():
            before, first = self.faults.get(kind, (0, example))
            self.faults[kind] = before + times, first


def batches(inputs: Sequence[Input]) -> Iterable[Sequence[Input]]:
    return (inputs[at : at + BATCH] for at in range(0, len(inputs), BATCH))


def lived(world: World, inputs: Sequence[Input]) -> list[Fault]:
    """Feed all inputs until something is wrong."""
    for batch in batches(inputs):
        if faults := world.feed(batch):
            return faults
    return []


def reduced(
    names: Sequence[str], state: State | None, inputs: Sequence[Input], kind: str, tries: int = 40
) -> list[Input]:
    """As few of the inputs as still bring about a fault of that kind, found in a bounded number of tries."""
    kept, size = list(inputs), max(1, len(inputs) // 2)
    while tries > 0:
        at = 0
        while at < len(kept) and tries > 0:
            fewer = kept[:at] + kept[at + size :]
            world = World(names, state)
            if fewer and any(fault.kind == kind for fault in lived(world, fewer)):
                kept = fewer
            else:
                at += size
            world.close()
            tries -= 1
        if size == 1:
            break
        size //= 2
    return kept


def keep(name: str, processors: Sequence[str], inputs: Sequence[Input]) -> Path:
    """Keep inputs that brought about a fault as a file of their own, which the tests feed ever after."""
    path = FOUND / f"{''.join(c if c.isalnum() else '-' for c in name)[:60].strip('-')}.json"
    document = {"processors": list(processors), "inputs": [given.document() for given in inputs]}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def one_world(
    report: Report, names: Sequence[str], state: State | None, goods: Sequence[Good], count: int, rng: random.Random
) -> World:
    """A world of ``count`` inputs; every fourth time lived once more with restarts, which must change nothing."""
    inputs = Hostile(rng, goods).inputs(count)
    world = World(names, state, sums=report.stepped)
    for fault in lived(world, inputs)[:1]:
        few = reduced(names, state, inputs, fault.kind) if fault.kind not in report.faults else inputs
        where = keep(fault.kind, names, few) if fault.kind not in report.faults else ""
        report.fault(fault, f"{len(few)} inputs in {where}; the last: {few[-1].topic} {(few[-1].value or b'')[:300]!r}")
    world.close()
    if not world.faults and rng.random() < 0.25:
        again = World(names, state, restart=True)
        faults = lived(again, inputs)
        if not faults and again.history() != world.history():
            odd = sorted(t for t, digest in world.history().items() if again.history()[t] != digest)
            faults = [Fault("a restart changes what is written", f"{names}: {odd}")]
        for fault in faults[:1]:
            report.fault(fault, f"with restarts; {len(inputs)} inputs")
        again.close()
        report.replayed += len(inputs)
    return world


@dataclass(frozen=True, slots=True)
class Round:
    """How many inputs go to the decoders, through all processors, to each that reads outputs, and into state."""

    decoded: int = 46_000
    outer: int = 2_000
    inner: int = 750
    poisoned: int = 500

    @property
    def inputs(self) -> int:
        return self.decoded + self.outer + 2 * self.inner + self.poisoned


def one_round(report: Report, rng: random.Random, size: Round) -> None:
    """The inputs of a round, all made of one day."""
    goods = a_day(rng)
    shots = Shots(rng, goods, (HERE.parent / "golden" / "v1" / "TickBlock.arrow").read_bytes())
    for _ in range(size.decoded):
        name, value, headers, rows = shots.shot()
        try:
            outcome = probe(name, value, headers, rows)
        except Wrong as wrong:
            outcome = "fault"
            report.fault(Fault(f"decoder {name}: {str(wrong)[:60]}", str(wrong)), f"{(value or b'')[:400]!r}")
        report.decoded[name, outcome] += 1
    world = one_world(report, PROCESSORS, None, goods, size.outer, rng)
    state = world.state()
    written = inner_goods(world.written)
    for name, topics in (
        ("hedge", (HEDGE_REGIMES, PORTFOLIO_SNAPSHOTS)),
        ("alerts", (HEDGE_REGIMES, HEDGE_REBALANCES, DEAD_LETTERS)),
    ):
        read = sorted((g for g in (*written, *goods) if g.topic in topics), key=lambda good: good.ts)
        one_world(report, (name,), state, read, size.inner, rng)
    outcomes, faults = poison(rng, state, size.poisoned)
    report.restored += outcomes
    for fault, example in faults:
        report.fault(fault, repr(example))
    report.memory.append(psutil.Process().memory_info().rss)


def work(seed: int, inputs: int, progress: Any = None) -> Report:
    """The rounds of one process."""
    report, size = Report(), Round()
    for number in range(-(-inputs // size.inputs)):
        one_round(report, random.Random(f"{seed}/{number}"), size)
        if progress is not None:
            progress.value = report.inputs
    return report


def _child(seed: int, inputs: int, progress: Any, results: Any) -> None:
    results.put(work(seed, inputs, progress))


def run(inputs: int, seed: int, processes: int) -> Report:
    """All processes; a line of progress every ten seconds. A process that dies is a fault too."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    counts = [context.Value("q", 0) for _ in range(processes)]
    share = -(-inputs // processes)
    children = [
        context.Process(target=_child, args=(seed * 1000 + n, share, counts[n], results)) for n in range(processes)
    ]
    for child in children:
        child.start()
    total, waiting, started = Report(), len(children), time.monotonic()
    while waiting:
        try:
            report = results.get(timeout=10)
            total.add(report)
            total.memory += [max(report.memory[:3], default=0), max(report.memory[-3:], default=0)]
            waiting -= 1
        except queue.Empty:
            dead = [child for child in children if child.exitcode not in (None, 0)]
            done = sum(count.value for count in counts)
            print(f"{done:>10} inputs, {done / (time.monotonic() - started):.0f} a second", file=sys.stderr, flush=True)
            for child in dead:
                total.fault(
                    Fault("a process died", f"exit status {child.exitcode}"), "run its seed alone to find where"
                )
                children.remove(child)
                waiting -= 1
    for child in children:
        child.join()
    return total


def table(report: Report, seconds: float, seed: int) -> str:
    """The report as a page's table."""
    s = report.stepped
    used = sum(n for (_, outcome), n in report.decoded.items() if outcome == "used")
    lines = [
        "| what | inputs | used | refused, with a reason | faults |",
        "|---|---:|---:|---:|---:|",
        f"| each of {len({name for name, _ in report.decoded})} decoders alone | {report.decoded.total()} | {used} "
        f"| {report.decoded.total() - used} | {sum(1 for kind in report.faults if kind.startswith('decoder'))} |",
        f"| the processors' step | {s.inputs} records, {s.rows} rows | {s.rows_used} rows "
        f"| {s.records_refused} records, {s.rows_refused} rows | "
        f"{sum(1 for kind in report.faults if not kind.startswith('decoder') and 'restores' not in kind)} |",
        f"| state that was spoiled | {report.restored.total()} | "
        f"{sum(n for (_, outcome), n in report.restored.items() if outcome == 'taken')} "
        f"| {sum(n for (_, outcome), n in report.restored.items() if outcome == 'refused')} | "
        f"{sum(1 for kind in report.faults if 'restores' in kind)} |",
    ]
    early, late = report.memory[::2], report.memory[1::2]
    return "\n".join(lines) + (
        f"\n\nSeed {seed}; {report.inputs} inputs in {seconds:.0f} s; {s.outputs} outputs checked;"
        f" {report.replayed} inputs lived a second time with restarts; most memory of a process in its first"
        f" rounds {max(early, default=0) >> 20} MiB, in its last {max(late, default=0) >> 20} MiB.\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many, at least (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="that share the inputs (%(default)s)")
    parser.add_argument("--table", type=Path, metavar="PAGE", help="write the figures into this page")
    given = parser.parse_args()
    started = time.monotonic()
    report = run(given.inputs, given.seed, given.processes)
    figures = table(report, time.monotonic() - started, given.seed)
    print(figures)
    for kind, (times, example) in sorted(report.faults.items()):
        print(f"FAULT, {times} times: {kind}\n    {example}")
    if given.table is not None:
        page = given.table.read_text()
        before, _, rest = page.partition(MARKS[0])
        _, _, after = rest.partition(MARKS[1])
        given.table.write_text(before + MARKS[0] + figures + MARKS[1] + after)
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
