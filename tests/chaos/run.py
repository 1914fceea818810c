"""Faults on three real brokers under load: ``python tests/chaos/run.py --seeds 1-20``."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "integration"), str(TESTS.parent)]

from kafka_broker import end_when_told  # noqa: E402

from chaos import retention, table  # noqa: E402 - they are found through the line above
from chaos.brokers import three_brokers  # noqa: E402
from chaos.report import Report  # noqa: E402
from chaos.scenario import run  # noqa: E402
from chaos.schedule import schedule  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Run the seeds; 0 when all are clean, 1 when one is not, 2 for arguments that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--seeds", default="1-20", type=_seeds, help="such as 3, 1-20 or 1,5,9; 0: none (1-20)")
    parser.add_argument("--retention", default="0", type=_seeds, help="seeds of runs in which retention deletes (none)")
    parser.add_argument("--table", type=Path, help="page to write the table of all runs into")
    parser.add_argument("--kept", type=Path, help="file of runs that were made before; each new one is added to it")
    given = parser.parse_args(arguments)
    end_when_told()
    reports = table.read(given.kept) if given.kept is not None else []
    with three_brokers() as brokers:
        runs = [partial(run, seed, schedule(seed), brokers, _say) for seed in given.seeds]
        for one in [*runs, *(partial(retention.run, seed, brokers, _say) for seed in given.retention)]:
            reports.append(_told(one()))
            if given.kept is not None:
                table.add(given.kept, reports[-1])
            if given.table is not None:
                table.write(given.table, reports)
    return 0 if all(report.clean for report in reports) else 1


def _told(report: Report) -> Report:
    _say(str(report))
    for what in [*report.problems, *map(str, report.findings[:20])]:
        _say(f"  {what}")
    return report


def _say(line: str) -> None:
    print(line, flush=True)


def _seeds(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise argparse.ArgumentTypeError(f"{text!r} names no seeds; give some such as 3 or 1-20 or 1,5,9")
        found += range(int(first), int(last or first) + 1)
    return [seed for seed in found if seed]


if __name__ == "__main__":
    sys.exit(main())
