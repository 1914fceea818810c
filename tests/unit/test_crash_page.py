"""The page of crash points: every point of the log in memory has its row, and every test that is named exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from processors.stream.crash import POINTS

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs/crash-points.md").read_text()
ROWS = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ") and "::" in line]
NAMED = sorted(set(re.findall(r"`([a-z_/]+\.py)::(\w+)`", PAGE)))


def test_every_point_at_which_the_log_in_memory_can_die_has_its_row() -> None:
    named = {point for row in ROWS for point in re.findall(r"`([a-z_:]+)`", row[1])}
    assert named >= set(POINTS)
    assert len(named) < 2 * len(POINTS)


def test_every_row_names_one_test() -> None:
    tables = PAGE.count("|---|---|---|---|")
    assert len(ROWS) == sum(line.startswith("|") for line in PAGE.splitlines()) - 2 * tables
    assert all(len(re.findall(r"\.py::test_", row[-1])) == 1 for row in ROWS)
    assert len(ROWS) > 40


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    found = ast.walk(ast.parse((TESTS / file).read_text()))
    assert name in {node.name for node in found if isinstance(node, ast.FunctionDef)}
