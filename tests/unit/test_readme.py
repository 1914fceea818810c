"""What the README says of topics, metrics, settings and commands is what the code has."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from processors.alerter import METRICS as ALERTER_METRICS
from processors.cli import EXIT_INTERRUPTED, EXIT_PIPE, main
from processors.commands.dlq import EXIT_SOME_REFUSED
from processors.commands.state import EXIT_DIFFERENT
from processors.config import allowed, default_text, fields
from processors.errors import EXIT_FATAL, EXIT_USAGE
from processors.hedger import METRICS as HEDGER_METRICS
from processors.market import METRICS as MARKET_METRICS
from processors.stream.metrics import STREAM_METRICS
from processors.topic_plan import EXIT_REFUSED
from topics.asyncapi import RECEIVES, SENDS
from topics.calibration import Calibration
from topics.catalog import ALL_TOPICS, CATALOG, DAY_MS
from topics.message import LAYERS, STATES

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
READINGS = (ROOT / "docs/readings.md").read_text()


def rows(text: str, header: str) -> list[list[str]]:
    """Cells of the table whose first line is ``header``."""
    table = text[text.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


def test_topics() -> None:
    expected = [
        [
            f"`{topic.name}`",
            topic.key,
            ", ".join([f"`{kind.__name__}`" for kind in topic.messages] + ["tick blocks"] * topic.blocks) or "state",
            "newest of each key" if topic.retention_ms is None else f"{topic.retention_ms // DAY_MS} days",
            topic.about,
        ]
        for topic in ALL_TOPICS.values()
    ]
    assert rows(README, "| topic | key |") == expected


def test_topics_that_are_said_to_be_unused_are_the_ones_that_are() -> None:
    sentence = re.search(r"((?:`[a-z.]+`,? (?:and\s+)?)+)are contracts for what stands beside", README)
    assert sentence is not None
    assert set(re.findall(r"`([a-z.]+)`", sentence[1])) == set(CATALOG) - set(RECEIVES) - set(SENDS)


def test_metrics() -> None:
    metrics = (*STREAM_METRICS, *MARKET_METRICS, *HEDGER_METRICS, *ALERTER_METRICS)
    expected = [[f"`{m.name}`", m.kind, ", ".join(m.labels), m.about] for m in metrics]
    assert rows(README, "| metric | type |") == expected


def test_settings() -> None:
    expected = []
    for key, info in fields():
        default = default_text(info)
        expected.append([f"`{key}`", f"`{default}`" if default else "", allowed(info), info.description])
    assert rows(README, "| setting | default |") == expected


def test_exit_statuses() -> None:
    statuses = {int(row[0]) for row in rows(README, "| status | meaning |")}
    assert EXIT_SOME_REFUSED == EXIT_REFUSED
    assert statuses == {0, EXIT_DIFFERENT, EXIT_USAGE, EXIT_REFUSED, EXIT_FATAL, EXIT_INTERRUPTED, EXIT_PIPE}


def commands(text: str) -> list[str]:
    """Lines of the blocks that name no language: what a reader types."""
    lines, inside = [], ""
    for line in text.splitlines():
        if line.startswith("```"):
            inside = "" if inside else line.removeprefix("```") or "shell"
        elif inside == "shell" and (command := line.split("#")[0].strip()):
            lines.append(command)
    return lines


def test_alvh_commands_exist_with_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    given = [line.removeprefix(".venv/bin/") for line in commands(README)]
    seen = 0
    for line in given:
        if not line.startswith("alvh "):
            continue
        words = shlex.split(line)
        command = words[1:3] if words[1] in ("topics", "config", "dlq", "state") else words[1:2]
        assert main([*command, "--help"]) == 0
        shown = capsys.readouterr().out
        assert all(word in shown for word in words if word.startswith("--")), line
        seen += 1
    assert seen >= 8


def test_make_targets_exist() -> None:
    targets = {line.split()[1] for line in commands(README) if line.startswith("make ")}
    assert targets == {"setup", "demo", "test", "test-quick", "bench", "chaos", "fuzz", "soak", "lint"}
    for target in targets:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_files_that_are_linked_exist_or_are_pictures() -> None:
    for text, folder in ((README, ROOT), (READINGS, ROOT / "docs")):
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (folder / target).exists() or target.endswith(".svg"), target


def test_it_says_that_it_is_no_investment_advice() -> None:
    assert "no investment advice" in README
    assert "none of it is investment advice" in READINGS


# Readings


def test_calibration_keys_of_the_readings_exist() -> None:
    document = json.loads(Calibration().canonical())
    for key in set(re.findall(r"`((?:regime|hedge)\.[a-z0-9_.]+)`", READINGS)):
        if key.startswith("regime.states"):
            continue
        value = document
        for part in key.split("."):
            assert part in value, key
            value = value[part]


def test_base_weights_of_the_readings_are_the_defaults() -> None:
    weights = Calibration().hedge.weights
    table = rows(READINGS, "| State | L1 |")
    assert [row[0] for row in table] == [f"`{state}`" for state in STATES]
    for row, state in zip(table, STATES, strict=True):
        assert [float(cell) for cell in row[1:6]] == [weights[state][layer] for layer in LAYERS]


@pytest.mark.parametrize("name", ["vix", "ratio", "rv21", "vvix"])
def test_anchors_and_weights_of_the_readings_are_the_defaults(name: str) -> None:
    part = Calibration().regime.score[name]  # type: ignore[index]
    line = next(row for row in rows(READINGS, "| Words | Reading | Default |") if f"weight {part.weight:.2f}" in row[2])
    numbers = [float(text) for text in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", line[1])]
    anchors = iter(numbers)
    assert all(anchor in anchors for anchor in part.anchors), line


def test_the_rule_numbers_of_the_readings_are_the_defaults() -> None:
    rules, hedge = Calibration().regime, Calibration().hedge
    floors = rules.floors
    assert "cuts 27.5, 47.5 and 70" in READINGS
    assert rules.cuts == (27.5, 47.5, 70)
    assert (floors.high_vix, floors.high_ratio_vix, floors.high_ratio, floors.high_jump_vix) == (30, 20, 1.10, 25)
    assert (floors.elevated_vix, floors.elevated_ratio_vix, floors.elevated_ratio, floors.moderate_vix) == (
        22,
        18,
        1,
        17,
    )
    assert (rules.margin, rules.dwell, rules.cap_vix, rules.cap_ratio) == (4, 3, 13, 0.95)
    assert (hedge.h0, hedge.band, hedge.layer_max, hedge.deployed_share_max) == (0.10, 0.025, 0.40, 0.60)
    assert (hedge.l3_beta_on, hedge.l3_beta_off, hedge.l3_inactive) == (1.10, 1.05, 0.25)
    assert (hedge.macd_tilt, hedge.macd_decay, hedge.rsi_tilt, hedge.rsi_low) == (0.05, 10, 0.025, 45)
    assert (hedge.approvals, hedge.approvals_reduce) == (2, 1)
    assert {(w.dte_min, w.dte_max, w.dte_target) for w in hedge.windows.values()} == {
        (15, 62, 30),
        (90, 185, 110),
        (186, None, 220),
        (21, 45, 45),
    }
