"""How the market processor's cost grows: with how dense ticks are, how many symbols and how many markets they have.

    python tests/bench/scaling.py             # prints the tables
    python tests/bench/scaling.py --write     # and puts them into docs/scaling.md

One process over the log in memory, so that no broker shares the measure: everything but Kafka's own part, which
docs/benchmarks.md has. All measures in turn, round by round; processor time, medians.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
sys.path.insert(2, str(Path(__file__).resolve().parents[1] / "integration"))

import page
from datasets import data_directory
from history import join, processors, runner_of
from workload import NAMES, Week, blocks, lines, read_week, sessions

from processors.stream.log import Out
from processors.stream.memory import MemoryCluster
from topics.catalog import CATALOG, MARKET_TICKS, changelog
from topics.codec import ARROW_HEADERS, JSON_HEADERS
from topics.ticks import TickColumns

PAGE: Final = page.DOCS / "scaling.md"
#: Event time at which the log in memory stamps its records: later than every tick.
LATER: Final = 4 * 10**18


@dataclass(frozen=True, slots=True)
class Load:
    """Ticks to be measured with.

    Attributes:
        steps: ticks of a symbol in a minute.
        markets: how many markets send the same ticks.
        form: ``singles`` or ``blocks``.
        ticks: about how many in all.
    """

    steps: int
    markets: int
    form: str
    ticks: int


def closes(week: Week, load: Load) -> Iterator[Out]:
    """What comes before the ticks: the official closes that the signals need."""
    for columns in islice(sessions(week, 1), len(week.days)):
        for number in range(load.markets):
            yield from (out for out, _ in _records(replace(columns, market=f"M{number}"), "blocks"))


def outs(week: Week, load: Load) -> Iterator[tuple[Out, int]]:
    """The records of a load and their ticks, the markets in turn."""
    left = load.ticks
    for columns in islice(sessions(week, load.ticks // load.markets + 1, load.steps), len(week.days), None):
        size = max(1, min(8000, len(columns)) if load.markets == 1 else len(NAMES) * load.steps)
        for start in range(0, len(columns), size):
            part = columns.take(start, min(start + size, len(columns)))
            for number in range(load.markets):
                yield from _records(replace(part, market=f"M{number}"), load.form)
                left -= len(part)
            if left <= 0:
                return


def _records(columns: TickColumns, form: str) -> Iterator[tuple[Out, int]]:
    key = columns.market.encode()
    if form == "blocks":
        for block, rows in blocks(columns, len(columns)):
            yield Out(MARKET_TICKS, key, block, ARROW_HEADERS, partition=0), rows
    else:
        for line in lines(columns):
            yield Out(MARKET_TICKS, key, line, JSON_HEADERS, partition=0), 1


def seconds(week: Week, load: Load) -> tuple[float, int]:
    """Processor time of working a load off, and its ticks."""
    cluster = MemoryCluster(now=lambda: LATER, max_records=20_000)
    cluster.create(dict.fromkeys((*CATALOG, changelog("market")), 1))
    market = processors()[0]
    runner = runner_of(join(cluster, market), market, 0.1)
    cluster.publish(closes(week, load))
    runner.drain(exhausted=True)
    made = list(outs(week, load))
    cluster.publish(out for out, _ in made)
    gc.collect()
    started = time.process_time()
    ticks = runner.drain(exhausted=True)
    spent = time.process_time() - started
    runner.close()
    if ticks != sum(rows for _, rows in made):
        raise RuntimeError(f"{ticks} ticks were processed of {sum(rows for _, rows in made)}")
    return spent, ticks


def table(week: Week, loads: Sequence[Load], rounds: int) -> str:
    """A row of each load: medians of the rounds."""
    found: dict[Load, list[tuple[float, int]]] = {load: [] for load in loads}
    for _ in range(rounds):
        for load in loads:
            found[load].append(seconds(week, load))
    rows = []
    for load, runs in found.items():
        each = statistics.median(spent / ticks for spent, ticks in runs)
        dense = len(NAMES) * load.steps
        cells = (f"{dense:,}", f"{load.markets:,}", f"{runs[0][1]:,}", f"{1e6 * each:.2f}", f"{1 / each:,.0f}")
        rows.append((load.form, *cells))
    head = ("form", "ticks a minute and market", "markets", "ticks", "microseconds a tick", "ticks a CPU second")
    return page.table(head, rows)


LOADS: Final = (
    *(Load(steps, 1, "blocks", ticks) for steps, ticks in ((19, 60_000), (187, 600_000), (1333, 3_000_000))),
    *(Load(steps, 1, "singles", ticks) for steps, ticks in ((19, 60_000), (187, 300_000), (1333, 600_000))),
    *(Load(187, markets, "blocks", 600_000) for markets in (10, 100)),
)


def main() -> None:
    """Measure, print, and write when asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--write", action="store_true", help="write docs/scaling.md")
    given = parser.parse_args()
    text = f"{table(read_week(data_directory()), LOADS, given.rounds)}\n\n{page.machine()}"
    print(text)
    if given.write:
        PAGE.write_text(page.with_section(PAGE.read_text(encoding="utf-8"), "ticks", text), encoding="utf-8")


if __name__ == "__main__":
    main()
