"""Faults on three real brokers under load: ``python tests/chaos/run.py --seeds 1-20``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "integration"), str(TESTS.parent)]

from chaos.brokers import three_brokers  # noqa: E402 - they are found through the line above
from chaos.scenario import Report, run  # noqa: E402
from chaos.schedule import schedule  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Run the seeds; 0 when all are clean, 1 when one is not, 2 for arguments that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--seeds", default="1-20", type=_seeds, help="seeds to run, such as 3 or 1-20 or 1,5,9 (1-20)")
    given = parser.parse_args(arguments)
    reports: list[Report] = []
    with three_brokers() as brokers:
        for seed in given.seeds:
            print(f"seed {seed}:", flush=True)
            reports.append(run(seed, schedule(seed), brokers, lambda line: print(line, flush=True)))
            print(reports[-1], flush=True)
            for what in [*reports[-1].problems, *map(str, reports[-1].findings[:20])]:
                print(f"  {what}", flush=True)
    return 0 if all(report.clean for report in reports) else 1


def _seeds(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise argparse.ArgumentTypeError(f"{text!r} names no seeds; give some such as 3 or 1-20 or 1,5,9")
        found += range(int(first), int(last or first) + 1)
    return found


if __name__ == "__main__":
    sys.exit(main())
