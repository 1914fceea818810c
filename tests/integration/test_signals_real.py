"""Sixteen years with everything recorded beside volatility: which signals there are, and what they do to the states."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from datasets import build_full, wide_closes
from rich.console import Console
from test_replay_real import FIRST, LAST, MEMORY_MAX, PANICS, Replayed, oracle

from processors.coverage import ALL, FEATURES, Coverage, Row, coverage, path, read_states, sessions_of, tables
from processors.regime.modifier import DIRECTIONS
from processors.signals.calendar import SessionCalendar
from topics.calibration import Calibration, RegimeRules, SignalRules
from topics.message import STATES
from topics.regime import Regime
from topics.times import DAY, MINUTE, parse_ts

pytestmark = [pytest.mark.data, pytest.mark.timeout(900)]

#: Of the recorded foreign rates Japan's are daily from 2004 on; there are none of Germany.
CALIBRATION = Calibration(regime=RegimeRules(signals=SignalRules(rate_foreign="JP_2Y")))
RULES = CALIBRATION.regime
#: Parts whose inputs are recorded: least share of sessions with a value.
RECORDED = {
    "advance_decline": 0.7,
    "divergence": 0.7,
    "gdp": 0.8,
    "reer": 0.8,
    "rate_differential": 0.9,
    "bear_steepening": 0.8,
    "rsi": 0.99,
    "ipo": 0.01,
}
#: Parts that lack inputs: on-chain figures, cash flow, yields around the minutes, and forecasts before November 2019.
LACKING = {"dex_iv_spread", "amm_depth", "tvl", "peg", "ido", "cash_quality", "fomc", "cpi", "ppi"}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_full(tmp_path_factory.mktemp("full") / "recording", FIRST, LAST)


@pytest.fixture(scope="module")
def replayed(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    return Replayed(recording, tmp_path_factory.mktemp("replayed") / "out", CALIBRATION)


@pytest.fixture(scope="module")
def states(replayed: Replayed) -> list[Regime]:
    return sessions_of(read_states(replayed.out), "US", CALIBRATION)


@pytest.fixture(scope="module")
def found(states: Sequence[Regime]) -> Coverage:
    return coverage(RULES, states)


@pytest.fixture(scope="module")
def rows(found: Coverage) -> Mapping[str, Row]:
    return {row.name: row for row in found.rows}


def test_it_stays_in_bounded_memory_and_says_what_each_signal_did(
    replayed: Replayed, states: Sequence[Regime], found: Coverage, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(states)} sessions in {replayed.seconds:.1f} s wall, peak {replayed.peak / 1e6:.0f} MB\n"
            f"inputs {replayed.summary['inputs']}, dead letters {replayed.summary['dead_letters']}\n"
            f"largest modifier {max(abs(regime.modifier) for regime in states):.2f}\n"
        )
        Console(width=160).print(tables(found))
    assert replayed.peak < MEMORY_MAX
    assert [regime.session_date for regime in states] == SessionCalendar().sessions(date(2003, 9, 2), LAST)
    assert replayed.summary["dead_letters"].keys() == {"implausible", "not_a_session"}


def test_there_is_a_row_for_every_part_and_one_for_all(rows: Mapping[str, Row]) -> None:
    assert list(rows) == [*DIRECTIONS, ALL]
    assert RECORDED.keys() | LACKING == DIRECTIONS.keys()


@pytest.mark.parametrize("name", RECORDED)
def test_a_part_that_is_recorded_has_values_and_acts(rows: Mapping[str, Row], name: str) -> None:
    row = rows[name]
    assert row.covered >= RECORDED[name]
    assert 0 < row.active <= row.covered
    assert row.mean_size > 0


@pytest.mark.parametrize("name", sorted(LACKING))
def test_a_part_without_inputs_has_no_value_and_does_nothing(rows: Mapping[str, Row], name: str) -> None:
    row = rows[name]
    assert (row.covered, row.active, row.caused, row.prevented, row.differs) == (0, 0, 0, 0, 0)
    assert row.first is None


def test_breadth_ends_in_2015_and_offerings_begin_in_2019(states: Sequence[Regime]) -> None:
    breadth = [regime.session_date for regime in states if FEATURES["advance_decline"] in regime.features]
    offerings = [regime.session_date for regime in states if FEATURES["ipo"] in regime.features]
    assert (breadth[0].year, breadth[-1].year) == (2004, 2015)
    assert {day.year for day in offerings} == {2019}
    assert offerings[-1] == LAST


def test_the_modifier_is_bounded_and_the_sum_of_its_parts(states: Sequence[Regime]) -> None:
    for regime in states:
        parts = regime.modifier_parts.values()
        assert abs(regime.modifier) <= RULES.modifier.limit
        assert regime.modifier == pytest.approx(sum(part.points for part in parts), abs=1e-10)
        assert all(abs(part.value) <= RULES.modifier.winsor for part in parts)
        assert regime.score == pytest.approx(min(max((regime.core_score or 0) + regime.modifier, 0), 100), abs=1e-9)
        # No bound of a group acts in these years: what a part gives is what it says.
        assert all(part.points == pytest.approx(part.value * part.weight * part.decay, abs=1e-9) for part in parts)


def test_the_published_states_follow_from_the_evidence(states: Sequence[Regime]) -> None:
    assert path(RULES, states, lambda regime: regime.modifier) == [regime.state for regime in states]


def test_without_the_parts_the_states_are_those_of_the_oracle(states: Sequence[Regime]) -> None:
    expected = oracle(wide_closes(FIRST, LAST))
    core = path(RULES, states, lambda regime: 0.0)
    assert list(expected) == [regime.session_date for regime in states]
    assert core == [state for state, _ in expected.values()]
    scores = [(regime.core_score, score) for regime, (_, score) in zip(states, expected.values(), strict=True)]
    assert max(abs((ours or 0) - theirs) for ours, theirs in scores) <= 1e-9


def test_the_parts_move_the_state_by_one_neighbour_at_most(states: Sequence[Regime]) -> None:
    core = path(RULES, states, lambda regime: 0.0)
    assert max(abs(STATES.index(regime.state) - STATES.index(c)) for regime, c in zip(states, core, strict=True)) == 1


@pytest.mark.parametrize("day", PANICS)
def test_high_by_the_close_of_a_day_of_panic(states: Sequence[Regime], day: date) -> None:
    assert next(regime.state for regime in states if regime.session_date == day) == "high"


def test_2017_was_never_elevated_or_high(states: Sequence[Regime]) -> None:
    assert {regime.state for regime in states if regime.session_date.year == 2017} <= {"low", "moderate"}


# Schedules, against the recorded files read by hand


def table(recording: Path, name: str) -> list[dict[str, str]]:
    with (recording / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_windows_around_the_minutes_are_announced_a_day_ahead_and_at_no_other_time(
    recording: Path, states: Sequence[Regime]
) -> None:
    half = RULES.signals.freeze_minutes * MINUTE
    due = [parse_ts(r["scheduled_ts"]) for r in table(recording, "schedules.csv") if r["series_id"] == "FOMC_MINUTES"]
    seen = 0
    for regime in states:
        near = sorted(ts for ts in due if ts - half - DAY <= regime.event_ts <= ts + half)
        assert [(f.series_id, f.from_ts, f.until_ts) for f in regime.freezes] == [
            ("FOMC_MINUTES", ts - half, ts + half) for ts in near
        ]
        seen += len(near)
    assert len(due) > 120
    assert seen > 110  # the other minutes came on the first session after a weekend or a holiday


def test_overdue_names_every_release_that_truly_did_not_come_and_no_other(
    recording: Path, states: Sequence[Regime]
) -> None:
    patience = RULES.signals.overdue_minutes * MINUTE
    came: dict[str, int] = {}
    for release in table(recording, "releases.csv"):
        name, ts = f"{release['series_id']}:{release['ref_period']}", parse_ts(release["release_ts"])
        came[name] = min(came.get(name, ts), ts)
    due = {
        f"{r['series_id']}:{r['ref_period']}": (parse_ts(r["event_ts"]), parse_ts(r["scheduled_ts"]))
        for r in table(recording, "schedules.csv")
    }
    told = set()
    for before, regime in pairwise(states):
        ts = regime.event_ts
        # Nobody waits any more for what has been due for thirty days at the session before.
        expected = {
            name
            for name, (known, at) in due.items()
            if known <= ts and at + patience < ts and at + 30 * DAY >= before.event_ts and came.get(name, ts + 1) > ts
        }
        assert set(regime.overdue) == expected, regime.session_date
        told |= expected
    assert not told & came.keys()
    assert {name.split(":")[0] for name in told} == {"CPI_CORE_MOM", "NFP"}  # of which there are dates without figures
    assert {"CPI_CORE_MOM:2019-11", "NFP:2019-11"} <= due.keys() - told  # and these have come
