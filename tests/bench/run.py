"""Side by side: alvh and other Python stream processors over the same recorded ticks on a real Kafka.

    python tests/bench/run.py                       # every measure; prints the tables
    python tests/bench/run.py --write               # and puts them into docs/benchmarks.md
    python tests/bench/run.py --only throughput --rounds 3 --ticks 200000

The broker is started from its jars. Peers get an environment each under --venvs, with the versions of
tests/bench/peers/*/requirements.txt. The recorded data are those that ALVH_DATA names. A program works on one core,
broker and feed on the others, where the machine has more than one.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
sys.path.insert(2, str(Path(__file__).resolve().parents[1] / "integration"))

import page
from arithmetic import paired, slope
from datasets import data_directory
from kafka_broker import end_when_told
from latency import latency
from memory import memory
from programs import OURS, OURS_BLOCKS, PROGRAMS, cores, pin
from throughput import Throughput, throughput
from workload import read_week

VENVS = Path.home() / ".cache" / "alvh-bench"


def main() -> None:
    """Run the measures that are asked for."""
    given = _arguments()
    end_when_told()
    if len(cores()) > 1:
        pin(os.getpid(), 1)  # the brokers inherit it
    for name in given.only or MEASURES:
        text = MEASURES[name](given)
        print(text)
        if given.write:
            page.write(name, text)


def measure_throughput(given: argparse.Namespace) -> str:
    """Single ticks and tick blocks, side by side."""
    week = read_week(data_directory())
    found = throughput(week, given.ticks, given.rounds, given.seconds, given.venvs, set(given.programs or ()))
    if given.write:
        rates = {name: paired(clocks(found), name, name).rate for name in found.rates}
        page.PLOT.write_text(page.bars("Ticks a second on one core, from Kafka to Kafka", rates), encoding="utf-8")
    return throughput_text(found, given.rounds)


def clocks(found: Throughput) -> dict[str, list[float]]:
    """Ticks a second of the clock, by program."""
    return {name: [one.clock for one in rates] for name, rates in found.rates.items()}


def throughput_text(found: Throughput, rounds: int) -> str:
    """The table: rates, our ratios to each, processor time, the check."""
    clock = clocks(found)
    cpu = {name: [one.cpu for one in rates] for name, rates in found.rates.items()}
    rows = []
    for program in PROGRAMS:
        if program.name not in clock:
            continue
        rate = paired(clock, program.name, program.name).rate
        cells = [program.name, f"{rate:,.0f}", f"{paired(cpu, program.name, program.name).rate:,.0f}"]
        for ours in (OURS.name, OURS_BLOCKS.name):
            if ours not in clock or len(clock[ours]) != len(clock[program.name]):
                cells.append("-")
                continue
            ratio = paired(clock, ours, program.name)
            same = ours == program.name
            cells.append("1" if same else f"{ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f})")
        count, wrong = found.checked.get(program.name, (0, 0))
        cells.append(f"{count - wrong} of {count}" if count else "-")
        rows.append(cells)
    head = ("program", "ticks/s", "ticks a CPU second", "alvh, singles / it", "alvh, blocks / it", "checked, same")
    singles, packed = found.ticks
    lines = [
        f"{singles:,} single ticks and {packed:,} in blocks; medians of {rounds} rounds in turn, ratios of rounds with"
        f" their range. {page.machine()}",
        "",
        page.table(head, rows),
        "",
        *(f"* **{name}** did not run: {reason}" for name, reason in found.missing.items()),
    ]
    return "\n".join(lines)


def measure_memory(given: argparse.Namespace) -> str:
    """Resident memory over millions of ticks."""
    found = memory(read_week(data_directory()), given.memory_ticks)
    later = found[1:]
    grown = slope([ticks / 1e6 for ticks, _ in later], [mib for _, mib in later])
    rows = [[f"{ticks:,}", f"{mib:.1f}"] for ticks, mib in found]
    return "\n".join(
        [
            page.table(("ticks read", "resident MiB"), rows),
            "",
            f"Slope behind the first step: {1024 * grown:+,.0f} KiB per million ticks. {page.machine()}",
        ]
    )


def measure_latency(given: argparse.Namespace) -> str:
    """From a tick that changes the regime to what follows from it."""
    found = latency(given.venvs, given.trials, given.rate)
    rows = [
        [name, str(len(times)), *(f"{1e3 * value:,.0f}" for value in quantiles)]
        for name, times, quantiles in found
    ]
    return "\n".join(
        [
            page.table(("from the tick to", "changes", "p50 ms", "p99 ms", "most ms"), rows),
            "",
            f"{given.rate:,.0f} single ticks a second of another market beside it. {page.machine()}",
        ]
    )


MEASURES: Final[dict[str, Callable[[argparse.Namespace], str]]] = {
    "throughput": measure_throughput,
    "latency": measure_latency,
    "memory": measure_memory,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=MEASURES, help="a measure; may be given again")
    parser.add_argument("--programs", action="append", choices=[p.name for p in PROGRAMS], help="of throughput, alone")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of throughput (default 5)")
    parser.add_argument("--ticks", type=int, default=1_000_000, help="ticks of throughput, at least (default 1000000)")
    parser.add_argument("--seconds", type=float, default=6.0, help="most of one run after its first commit (default 6)")
    parser.add_argument("--memory-ticks", type=int, default=10_000_000, help="ticks of memory (default 10000000)")
    parser.add_argument("--trials", type=int, default=100, help="changes of latency (default 100)")
    parser.add_argument("--rate", type=float, default=10_000, help="ticks a second beside latency (default 10000)")
    parser.add_argument("--venvs", type=Path, default=VENVS, help="environments (default ~/.cache/alvh-bench)")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and its plot")
    return parser.parse_args()


if __name__ == "__main__":
    main()
