"""What the page for the person on call says of alerts, metrics, commands, settings and errors is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from test_compose import METRICS, named
from test_readme import commands, rows

import processors.errors as errors
from processors.cli import main
from processors.config import fields
from processors.errors import EXIT_FATAL, EXIT_USAGE, Fatal
from processors.stream.lifecycle import Lifecycle
from processors.stream.stall import Cause

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "ops/prometheus/rules.yml").read_text())["groups"]
    for rule in group["rules"]
]


def anchor(heading: str) -> str:
    """The name under which a heading can be linked."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


HEADINGS = re.findall(r"(?m)^#+ (.+)$", PAGE)


def test_each_rule_has_its_section_and_links_to_it() -> None:
    alerts = re.findall(r"(?m)^### (.+)$", PAGE)
    assert [rule["alert"] for rule in RULES] == alerts
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{anchor(rule['alert'])}"


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        file, _, name = target.partition("#")
        page = (ROOT / "docs" / file).read_text() if file else PAGE
        headings = re.findall(r"(?m)^#+ (.+)$", page)
        assert not name or name in {anchor(heading) for heading in headings}, target


def test_metrics_exist() -> None:
    assert named(PAGE) <= set(METRICS)
    assert len(named(PAGE)) > 10


def test_settings_that_are_named_with_their_default_have_it() -> None:
    known = dict(fields())
    found = re.findall(r"`(\w+_seconds)` \((\d+)\)", PAGE)
    assert {name for name, _ in found} == {"stall_seconds", "watchdog_seconds"}
    for name, value in found:
        assert known[name].default == float(value)


def test_errors_are_those_that_end_a_process() -> None:
    table = rows(PAGE, "| the log says |")
    named_there = {name for row in table for name in re.findall(r"^`(\w+)`", row[0])}
    assert named_there == {kind.__name__ for kind in Fatal.__subclasses__()}
    assert all(hasattr(errors, name) for name in named_there)


def test_states_and_reasons_are_all_told() -> None:
    states = {name for row in rows(PAGE, "| state | what it does |") for name in re.findall(r"`(\w+)`", row[0])}
    assert states == {state.value for state in Lifecycle} - {Lifecycle.FAILED.value}
    for cause in set(Cause) - {Cause.STALLED}:
        assert f"* `{cause.value}`: " in PAGE


def test_exit_statuses_are_those_of_a_run() -> None:
    statuses = {int(n) for row in rows(PAGE, "| status | what to do |") for n in row[0].split(",")}
    assert {0, EXIT_USAGE, EXIT_FATAL} < statuses


def test_commands_exist_with_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    given = [line for line in commands(PAGE) if line.startswith("alvh ")]
    assert len(given) >= 8
    for line in given:
        words = line.split()
        assert main([*words[1:3], "--help"]) == 0
        shown = capsys.readouterr().out
        assert all(word in shown for word in words if word.startswith("--")), line
