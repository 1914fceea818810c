"""A part of ``make chaos`` that fits into every test run, and two broken processors that must be found out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos import retention
from chaos.brokers import Brokers, three_brokers
from chaos.report import Report
from chaos.scenario import run
from chaos.schedule import KINDS, Injection, schedule

pytestmark = pytest.mark.kafka
BROKEN = Path(__file__).with_name("broken.py")
#: A seed whose first waves have many kinds in them.
SEED, SECONDS = 52, 38


@pytest.fixture(scope="module")
def brokers() -> Iterator[Brokers]:
    with three_brokers() as running:
        yield running


def judged(report: Report) -> str:
    return "\n".join([str(report), *report.problems, *map(str, report.findings[:10])])


@pytest.mark.timeout(600)
def test_a_schedule_of_many_kinds_leaves_no_trace(brokers: Brokers) -> None:
    """Half of a long schedule: whatever came, the log is as if nothing had."""
    injections = [injection for injection in schedule(SEED) if injection.at < SECONDS]
    kinds = {injection.kind for injection in injections}
    assert {KINDS[kind][0] for kind in kinds} == {"process", "broker", "network", "data"}
    report = run(SEED, injections, brokers, print)
    assert report.clean, judged(report)
    assert report.faults.total() >= 5, judged(report)
    assert report.inputs > 200, judged(report)
    assert report.outputs > 300, judged(report)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("order", "kind"), [("positions-first", "lost"), ("outputs-first", "duplicate")])
def test_a_processor_that_is_broken_is_found_out(brokers: Brokers, order: str, kind: str) -> None:
    """It commits in two transactions what belongs into one, and is killed between them."""
    kills = [Injection(5.0, "kill", 2.0, 777 * number) for number in range(4)]
    report = run(100, kills, brokers, print, (str(BROKEN), order))
    assert kind in {finding.kind for finding in report.findings}, judged(report)


@pytest.mark.timeout(300)
def test_what_retention_took_is_named_and_nothing_is_done_before_a_reset(brokers: Brokers) -> None:
    report = retention.run(1, brokers, print)
    assert report.clean, judged(report)
