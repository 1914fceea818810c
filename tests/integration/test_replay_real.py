"""Sixteen years of real closes through the whole chain, against an oracle written from the specification alone.

They are replayed twice: with the default calibration, and from the core score alone, which is what the oracle knows.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
import time
from datetime import date
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from processors.signals.calendar import SessionCalendar
from topics.calibration import Calibration, ModifierRules, RegimeRules

pytestmark = [pytest.mark.data, pytest.mark.timeout(900)]

FIRST, LAST = date(2004, 1, 2), date(2019, 12, 31)
STATES = ("low", "moderate", "elevated", "high")
MEMORY_MAX = 500_000_000
#: Days of panic, by whose close the state is high.
PANICS = [date(2008, 9, 29), date(2010, 5, 7), date(2011, 8, 8), date(2015, 8, 24), date(2018, 2, 5)]
CORE = "core score alone"
CALIBRATIONS = {
    "default": Calibration(),
    CORE: Calibration(regime=RegimeRules(modifier=ModifierRules(weights={}))),
}

_REPLAY = """
import sys
from pathlib import Path
from processors.replay import replay
from topics.calibration import Calibration
calibration = Calibration.model_validate_json(sys.argv[3])
replay(Path(sys.argv[1]), Path(sys.argv[2]), calibration, progress=False)
"""


@pytest.fixture(scope="module")
def datasets() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    try:
        module = importlib.import_module("datasets")
    finally:
        sys.path.pop(0)
    if not module.available():
        if os.environ.get("ALVH_REQUIRE_DATA"):
            pytest.fail(f"ALVH_REQUIRE_DATA is set but there are no data sets in {module.data_directory()}")
        pytest.skip(f"no data sets in {module.data_directory()}; set ALVH_DATA")
    return module


class Replayed:
    """A finished replay: its files, and what the process that ran it used."""

    def __init__(self, recording: Path, out: Path, calibration: Calibration = CALIBRATIONS["default"]) -> None:
        started = time.monotonic()
        arguments = [str(recording), str(out), calibration.canonical().decode()]
        child = subprocess.Popen([sys.executable, "-W", "error", "-c", _REPLAY, *arguments])
        self.peak = 0
        watched = psutil.Process(child.pid)
        while child.poll() is None:
            try:
                self.peak = max(self.peak, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.02)
        assert child.wait() == 0
        self.seconds = time.monotonic() - started
        self.out = out
        self.summary: dict[str, Any] = json.loads((out / "summary.json").read_text())

    def records(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / f"{topic}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def recording(datasets: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = datasets.build_real(tmp_path_factory.mktemp("real") / "recording", FIRST, LAST)
    return made


@pytest.fixture(scope="module", params=CALIBRATIONS)
def real(request: pytest.FixtureRequest, recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    return Replayed(recording, tmp_path_factory.mktemp("replayed") / "out", CALIBRATIONS[request.param])


@pytest.fixture(scope="module")
def states(real: Replayed) -> dict[date, dict[str, Any]]:
    return {date.fromisoformat(r["session_date"]): r for r in real.records("regime.states")}


def test_it_stays_in_bounded_memory_and_says_what_it_saw(real: Replayed, capsys: pytest.CaptureFixture[str]) -> None:
    market = real.summary["markets"]["US"]
    with capsys.disabled():
        sys.stdout.write(
            f"\ncalibration {real.summary['calibration']}\n"
            f"{market['sessions']} sessions {market['first_session']} to {market['last_session']}"
            f" in {real.seconds:.1f} s wall ({real.summary['wall_seconds']} s replay), peak {real.peak / 1e6:.0f} MB\n"
            f"share {market['share']}\nchanges {market['changes']}, {market['changes_a_year']} a year\n"
            f"inputs {real.summary['inputs']}, outputs {real.summary['outputs']}\n"
            f"dead letters {real.summary['dead_letters']}\n"
        )
    assert real.peak < MEMORY_MAX
    assert real.summary["outputs"]["hedge.rebalances"] > 0
    assert math.isclose(sum(market["share"].values()), 1, abs_tol=1e-5)


def test_every_session_has_exactly_one_state(real: Replayed, states: dict[date, dict[str, Any]]) -> None:
    days = SessionCalendar().sessions(date(2003, 9, 2), LAST)
    assert list(states) == days
    assert len(real.records("regime.states")) == len(days)


@pytest.mark.parametrize("day", PANICS)
def test_high_by_the_close_of_a_day_of_panic(states: dict[date, dict[str, Any]], day: date) -> None:
    assert states[day]["state"] == "high"


def test_2017_was_never_elevated_or_high(states: dict[date, dict[str, Any]]) -> None:
    assert {r["state"] for day, r in states.items() if day.year == 2017} <= {"low", "moderate"}


def test_bad_rows_became_dead_letters_and_nothing_else(real: Replayed) -> None:
    letters = real.records("dead.letters")
    assert {letter["reason"] for letter in letters} == {"implausible", "not_a_session"}
    low_prints = [letter for letter in letters if "VVIX" in letter["original"]]
    assert len(low_prints) == real.summary["dead_letters"]["implausible"] - 2  # and two VX settlements of 1.00
    assert any('"15.71"' in letter["original"] for letter in low_prints)


@pytest.mark.parametrize("real", ["default"], indirect=True)
def test_secondary_signals_of_the_same_closes_act_by_default(states: dict[date, dict[str, Any]]) -> None:
    parts = {name for regime in states.values() for name in regime["modifier_parts"]}
    assert parts == {"rsi", "bear_steepening"}


@pytest.mark.parametrize("real", [CORE], indirect=True)
def test_the_oracle_finds_the_same_state_and_score_in_every_session(
    datasets: ModuleType, states: dict[date, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = oracle(datasets.wide_closes(FIRST, LAST))
    different = [day for day, row in expected.items() if states[day]["state"] != row[0]]
    worst = max(abs(states[day]["core_score"] - row[1]) for day, row in expected.items())
    with capsys.disabled():
        sys.stdout.write(
            f"\noracle: {len(expected)} sessions, {len(different)} states differ, core score {worst:.2e}\n"
        )
    assert len(expected) == len(states)
    assert different == []
    assert worst <= 1e-9
    assert all(regime["score"] == regime["core_score"] for regime in states.values())


# The oracle: section 4 of the specification as a table and a loop, with nothing of the package but the calendar.

_ANCHORS = {
    "vix": (0.45, [10, 15, 20, 30, 45]),
    "ratio": (0.25, [0.80, 0.88, 0.95, 1.05, 1.20]),
    "rv21": (0.20, [6, 10, 16, 25, 40]),
    "vvix": (0.10, [75, 85, 100, 120, 150]),
}


def oracle(wide: pd.DataFrame) -> dict[date, tuple[str, float]]:
    """Session to state and core score, from one row of closes a date."""
    calendar = SessionCalendar()
    table = wide[[calendar.is_session(day) for day in wide.index]].copy()
    table.loc[table["VVIX"] < 50, "VVIX"] = np.nan  # outside of the plausible range
    features = pd.DataFrame(
        {
            "vix": table["VIX"],
            "ratio": table["VIX"] / table["VIX3M"],
            "rv21": np.log(table["SPX"]).diff().rolling(21).std(ddof=1) * math.sqrt(252) * 100,
            "vvix": table["VVIX"],
        }
    )
    jump = table["VIX"] / table["VIX"].shift(1) - 1
    found: dict[date, tuple[str, float]] = {}
    state: int | None = None
    below = 0
    for day, row in features.iterrows():
        present = {name: float(row[name]) for name in _ANCHORS if not math.isnan(row[name])}
        weight = sum(_ANCHORS[name][0] for name in present)
        score = sum(
            _ANCHORS[name][0] / weight * float(np.interp(value, _ANCHORS[name][1], [0, 25, 50, 75, 100]))
            for name, value in present.items()
        )
        floor, cap = _floor(row["vix"], row["ratio"], jump[day]), _cap(row["vix"], row["ratio"])
        raw = min(max(_cuts(score), floor), cap)
        if state is None:
            state = raw
        elif raw > state:
            state, below = max(state, min(max(_cuts(score - 4), floor), cap)), 0
        elif raw < state:
            below = below + 1 if max(_cuts(score + 4), floor) < state else 0
            if below == 3:
                state, below = state - 1, 0
        else:
            below = 0
        found[day] = (STATES[state], score)
    return found


def _cuts(score: float) -> int:
    return int(score >= 27.5) + int(score >= 47.5) + int(score >= 70)


def _floor(vix: float, ratio: float, jump: float) -> int:
    if vix >= 30 or (vix >= 20 and ratio >= 1.10) or (vix >= 25 and jump >= 0.40):
        return 3
    if vix >= 22 or (vix >= 18 and ratio >= 1.00):
        return 2
    return 1 if vix >= 17 else 0


def _cap(vix: float, ratio: float) -> int:
    if vix >= 13:
        return 3
    return 0 if math.isnan(ratio) or ratio < 0.95 else 1


# Many marks a session


@pytest.mark.parametrize("which", ["build_intraday_2019", "build_intraday_2025"])
def test_intraday_bars_make_marks_and_one_close_a_session(
    datasets: ModuleType, tmp_path: Path, which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    replayed = Replayed(getattr(datasets, which)(tmp_path / "recording"), tmp_path / "out")
    marks, closes = replayed.records("regime.marks"), replayed.records("regime.states")
    with capsys.disabled():
        sys.stdout.write(
            f"\n{which}: {len(marks)} marks, {len(closes)} closes,"
            f" {replayed.seconds:.1f} s, {replayed.peak / 1e6:.0f} MB\n"
        )
    assert len({r["session_date"] for r in closes}) == len(closes)
    assert len(marks) > 1500
    assert replayed.peak < MEMORY_MAX
    assert all(r["event_ts"] <= s["event_ts"] for r, s in pairwise(marks))
