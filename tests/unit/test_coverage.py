"""What a replay's signals did: counted against paths that are worked out by hand, and the command that shows it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from processors.cli import main
from processors.coverage import ALL, FEATURES, Coverage, Row, coverage, document, path, read_states, sessions_of, tables
from processors.errors import EXIT_USAGE, UserError
from processors.regime.inputs import RegimeInputs
from processors.regime.machine import Memory, decide_close
from processors.regime.modifier import DIRECTIONS
from processors.signals.catalogue import NEEDS
from topics.calibration import Calibration, RegimeRules
from topics.examples import EXAMPLES
from topics.message import STATES, Feature, State
from topics.regime import ModifierPart, Regime

CALIBRATION = Calibration()
RULES = CALIBRATION.regime
FIRST = date(2018, 1, 2)
Parts = Mapping[str, float]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty working directory, no setting in the environment, and log lines where they went before."""
    for name in list(os.environ):
        if name.upper().startswith("ALVH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    loggers = [logging.getLogger(name) for name in (None, "alvh", "kafka")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield
    logging.captureWarnings(False)
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def part(points: float) -> ModifierPart:
    return ModifierPart(value=1.0, weight=1.0, decay=1.0, points=points, age=0)


def sessions(
    vix: Sequence[float | None],
    parts: Mapping[int, Parts] | None = None,
    *,
    rises: Mapping[int, State] | None = None,
    features: Mapping[str, Feature] | None = None,
) -> list[Regime]:
    """Published sessions: closes of VIX alone, points by session, and what the fast path raised before a close."""
    example = EXAMPLES[Regime]
    assert isinstance(example, Regime)
    memory = Memory()
    found = []
    for number, level in enumerate(vix):
        points = (parts or {}).get(number, {})
        if rises and number in rises:
            memory = Memory(rises[number])
        decision = decide_close(RULES, memory, RegimeInputs(vix=level), sum(points.values()))
        assert decision is not None
        memory = decision.memory
        given_vix: dict[str, Feature] = {} if level is None else {"vix": level}
        changed = {
            "kind": "close",
            "market": "US",
            "session_date": FIRST + timedelta(days=number),
            "state": decision.state,
            "state_prev": decision.state_prev,
            "modifier": decision.modifier,
            "modifier_parts": {name: part(value) for name, value in points.items()},
            "features": {**given_vix, **{FEATURES[name]: 1.0 for name in points}, **(features or {})},  # type: ignore[index]
            "calibration_digest": CALIBRATION.digest(),
        }
        found.append(example.model_copy(update=changed))
    return found


def row(found: Coverage, name: str) -> Row:
    return next(row for row in found.rows if row.name == name)


def test_every_part_of_the_modifier_has_a_row_and_a_feature_that_the_catalogue_knows() -> None:
    assert [row.name for row in coverage(RULES, sessions([15.0])).rows] == [*DIRECTIONS, ALL]
    assert set(FEATURES) == set(DIRECTIONS)
    assert set(FEATURES.values()) <= set(NEEDS)


def test_a_part_that_lifts_the_state_caused_the_rise_and_the_fall_after_it() -> None:
    # From VIX alone 19 scores 45 and 17.5 scores 37.5 points: moderate throughout. With 7 points 19 scores 52, which
    # clears the cut at 47.5 by the margin of 4. After that three sessions, in which 41.5 with the margin is below 47.5,
    # bring the state down again.
    states = sessions([19, 19, 17.5, 17.5, 17.5], {1: {"cpi": 7.0}})
    assert [regime.state for regime in states] == ["moderate", "elevated", "elevated", "elevated", "moderate"]
    found = coverage(RULES, states)
    assert (found.sessions, found.core_changes) == (5, 0)
    for name in ("cpi", ALL):
        mine = row(found, name)
        assert (mine.caused, mine.prevented, mine.differs) == (2, 0, 3 / 5)
        assert (mine.active, mine.mean, mine.mean_size) == (1 / 5, 7.0, 7.0)
        assert (mine.covered, mine.first) == (1 / 5, FIRST + timedelta(days=1))
    other = row(found, "gdp")
    assert (other.covered, other.first, other.active, other.caused) == (0, None, 0, 0)


def test_a_part_that_holds_the_state_down_prevented_the_rise() -> None:
    # 21 scores 52.5, elevated; with 5 points less it scores 47.5, which does not clear the cut by the margin.
    states = sessions([19, 21, 21], {1: {"rsi": -5.0}, 2: {"rsi": -5.0}})
    found = coverage(RULES, states)
    mine = row(found, "rsi")
    assert found.core_changes == 1
    assert (mine.caused, mine.prevented, mine.differs) == (0, 1, 2 / 3)
    assert (mine.mean, mine.mean_size) == (-5.0, 5.0)


def test_a_rise_that_comes_a_session_earlier_counts_as_caused_and_as_prevented() -> None:
    states = sessions([19, 19, 21], {1: {"fomc": 7.0}})
    mine = row(coverage(RULES, states), "fomc")
    assert (mine.caused, mine.prevented, mine.differs) == (1, 1, 1 / 3)


def test_parts_that_cancel_each_other_act_alone_and_not_together() -> None:
    states = sessions([19, 19], {1: {"cpi": 7.0, "gdp": -7.0}})
    found = coverage(RULES, states)
    caused = {row.name: row.caused for row in found.rows}
    assert (caused["cpi"], caused["gdp"], caused[ALL]) == (1, 0, 0)
    assert row(found, ALL).active == 0


def test_what_the_fast_path_did_is_in_every_path() -> None:
    # High by the fast path before the second close, whatever the core says of 19 and 20.
    states = sessions([19, 20, 20, 20, 20], {0: {"cpi": 1.0}}, rises={1: "high"})
    assert [regime.state for regime in states] == ["moderate", "high", "high", "elevated", "elevated"]
    assert path(RULES, states, lambda regime: 0.0) == [regime.state for regime in states]
    assert row(coverage(RULES, states), ALL).differs == 0


def test_a_session_without_vix_holds_the_state_in_every_path() -> None:
    states = sessions([21, None, 21])
    assert path(RULES, states, lambda regime: 10.0) == ["elevated"] * 3


def test_features_are_counted_whatever_their_value_and_those_that_never_came_are_zero() -> None:
    states = sessions([15, 15]) + sessions([15, 15], features={"inverted": False, "macd_cross": "up", "new": 0.0})
    found = coverage(RULES, states).features
    assert (found["vix"], found["inverted"], found["macd_cross"], found["new"]) == (1, 1 / 2, 1 / 2, 1 / 2)
    assert found["mfiv30"] == 0
    assert not found.keys() & set(FEATURES.values())
    assert set(NEEDS) - set(FEATURES.values()) <= found.keys()


def test_no_sessions_are_no_error() -> None:
    found = coverage(RULES, [])
    assert found.sessions == 0
    assert all(row.covered == row.active == row.differs == 0 for row in found.rows)


POINTS = st.floats(-4, 4).map(lambda value: round(value, 6))


@given(
    st.lists(
        st.tuples(st.floats(9, 45), st.dictionaries(st.sampled_from(["cpi", "rsi"]), POINTS)), min_size=1, max_size=40
    )
)
def test_all_parts_together_give_the_published_path_and_counts_follow_from_the_paths(
    history: list[tuple[float, Parts]],
) -> None:
    states = sessions([vix for vix, _ in history], {number: parts for number, (_, parts) in enumerate(history)})
    published = [regime.state for regime in states]
    core = path(RULES, states, lambda regime: 0.0)
    assert path(RULES, states, lambda regime: regime.modifier) == published
    together = row(coverage(RULES, states), ALL)
    moves, plain = [
        {(n, states) for n, states in enumerate(pairwise(found)) if states[0] != states[1]}
        for found in (published, core)
    ]
    caused = {(n, to) for n, (_, to) in moves} - {(n, to) for n, (_, to) in plain}
    prevented = {(n, to) for n, (_, to) in plain} - {(n, to) for n, (_, to) in moves}
    assert (together.caused, together.prevented) == (len(caused), len(prevented))
    assert together.differs == sum(a != b for a, b in zip(core, published, strict=True)) / len(states)


@given(st.lists(st.floats(9, 45), min_size=1, max_size=40))
def test_without_points_nothing_differs(vix: list[float]) -> None:
    found = coverage(RULES, sessions(vix))
    assert all(row.caused == row.prevented == row.differs == row.active == 0 for row in found.rows)
    assert set(path(RULES, sessions(vix), lambda regime: 0.0)) <= set(STATES)


# The command


def written(folder: Path, states: Sequence[Regime]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "regime.states.jsonl").write_bytes(b"".join(regime.canonical() + b"\n" for regime in states))
    return folder


def test_the_command_shows_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = written(tmp_path / "out", sessions([19, 19, 17.5], {1: {"cpi": 7.0}}))
    assert main(["coverage", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = next([cell.strip() for cell in line.split("│")] for line in lines if "cpi " in line)
    assert cells[1:-1] == ["cpi", "33.3%", "2018-01-03", "33.3%", "+7.00", "7.00", "1", "0", "66.67%"]
    assert "3 sessions, 0 changes of state from the core" in lines[0]
    assert any("mfiv30" in line for line in lines)


def test_the_command_gives_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    states = sessions([19, 19, 17.5], {1: {"cpi": 7.0}})
    assert main(["coverage", str(written(tmp_path / "out", states)), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"market": "US", **document(coverage(RULES, states))}
    assert next(part for part in shown["parts"] if part["name"] == "cpi")["first"] == "2018-01-03"


def test_one_market_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = sessions([19, 19])
    theirs = [regime.model_copy(update={"market": "EU"}) for regime in sessions([30, 31, 32])]
    out = written(tmp_path / "out", [ours[0], *theirs, ours[1]])
    assert main(["coverage", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sessions"] == 2
    assert main(["coverage", str(out), "--market", "EU", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sessions"] == 3
    assert main(["coverage", str(out), "--market", "JP"]) == EXIT_USAGE
    assert "markets in it: EU, US" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "give the folder that a replay wrote"), (b"{}\n", "line 1: no regime"), (b"", "markets in it: none")],
)
def test_a_folder_that_is_no_replay_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "regime.states.jsonl").write_bytes(content)
    assert main(["coverage", str(tmp_path)]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_replay_of_another_calibration_is_refused(tmp_path: Path) -> None:
    states = read_states(written(tmp_path / "out", sessions([19, 19])))
    other = Calibration(regime=RegimeRules(margin=3))
    with pytest.raises(UserError, match=f"{CALIBRATION.digest()}.*{other.digest()}.*--config"):
        sessions_of(states, "US", other)


def test_names_that_a_message_brings_cannot_steer_a_terminal() -> None:
    shown = StringIO()
    console = Console(file=shown, width=160)
    console.print(tables(coverage(RULES, sessions([15], features={"\x1b[2J": 1.0}))))
    assert "\x1b" not in shown.getvalue()
