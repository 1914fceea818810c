"""The table of the runs, written between two marks of a page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from chaos.checker import Finding
from chaos.report import Report

BEGIN: Final = "<!-- written by tests/chaos/run.py -->"
END: Final = "<!-- end -->"


def table(reports: Sequence[Report]) -> str:
    """Each run on a line, and below how often each kind of fault was injected."""
    lines = [
        "| run | faults | inputs | outputs | feeder's transactions | starts | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for report in reports:
        faults = ", ".join(f"{kind} {n}" if n > 1 else kind for kind, n in sorted(report.faults.items()))
        transactions = ", ".join(f"{n} {outcome}" for outcome, n in sorted(report.transactions.items()))
        lines.append(
            f"| {report.name} | {faults or 'none'} | {report.inputs} | {report.outputs} | {transactions}"
            f" | {report.starts} | {report.verdict} |"
        )
    kinds = sum((report.faults for report in reports), Counter[str]())
    lines += ["", "| kind | injected |", "|---|---|", *(f"| `{kind}` | {n} |" for kind, n in sorted(kinds.items()))]
    clean = sum(report.clean for report in reports)
    return "\n".join([*lines, "", f"{sum(kinds.values())} faults in {len(reports)} runs; {clean} runs are clean."])


def write(page: Path, reports: Sequence[Report]) -> None:
    """Put the table in its place. Raises ValueError when the page has no place for it."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {BEGIN} and {END} to put the table between")
    page.write_text(f"{before}{BEGIN}\n\n{table(reports)}\n\n{END}{after}", encoding="utf-8")


def add(kept: Path, report: Report) -> None:
    """Add a run to a file of runs, one JSON object a line."""
    document = {**vars(report), "findings": [asdict(finding) for finding in report.findings]}
    with kept.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(document) + "\n")


def read(kept: Path) -> list[Report]:
    """The runs of such a file; none when it is not there."""
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    return [_report(json.loads(line)) for line in lines]


def _report(document: dict[str, Any]) -> Report:
    counters = {name: Counter(document[name]) for name in ("faults", "transactions")}
    ended = Counter({int(status): times for status, times in document["ended"].items()})
    findings = [Finding(**finding) for finding in document["findings"]]
    return Report(**{**document, **counters, "ended": ended, "findings": findings})
