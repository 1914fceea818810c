"""What a run was and what came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from chaos.checker import Finding


@dataclass
class Report:
    """What a run was and what came of it.

    Attributes:
        faults: injections that hurt something, by kind.
        inputs, outputs: committed records.
        transactions: of the feeder, by outcome.
        starts, ended: processes that were started, and the statuses with which they ended.
        findings: what the checker says.
        problems: what went wrong beside the log: a process that did not end, a fault that could not be healed.
    """

    name: str
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

    @property
    def verdict(self) -> str:
        """``clean``, or how many findings there are of each class."""
        kinds = Counter(finding.kind for finding in self.findings)
        return ", ".join([*(f"{n} {kind}" for kind, n in kinds.items()), *self.problems]) or "clean"

    def __str__(self) -> str:
        ended = ", ".join(f"{n} with {status}" for status, n in sorted(self.ended.items()))
        transactions = ", ".join(f"{n} {outcome}" for outcome, n in sorted(self.transactions.items()))
        return (
            f"{self.name}: {self.verdict}; {sum(self.faults.values())} faults, {self.inputs} inputs, {self.outputs}"
            f" outputs; {self.starts} starts of processes (ended: {ended or 'none'}); transactions: {transactions}"
        )
