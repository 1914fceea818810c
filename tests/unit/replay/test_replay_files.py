"""A replay of a small recording: what is written, and that it depends on nothing but its inputs."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import processors.replay as replay_module
from processors.errors import UserError
from processors.feeds.history import write_history
from processors.replay import OUTPUTS, Summary, replay
from topics.calibration import Calibration

FIRST, LAST = date(2017, 11, 1), date(2018, 3, 2)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_history(tmp_path_factory.mktemp("history"), FIRST, LAST)
    with (folder / "ticks.csv").open("a") as stream:
        stream.write("2018-03-02T21:15:00Z,VIX,nineteen,,true,broken\n")
        stream.write("2018-03-02T21:15:00Z,VIX,519,,true,implausible\n")
    with (folder / "portfolios.jsonl").open("a") as stream:
        stream.write("no portfolio at all\n")
    return folder


@pytest.fixture(scope="module")
def done(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    out = tmp_path_factory.mktemp("outputs") / "new" / "out"
    return out, replay(recording, out, Calibration(), progress=False)


def records(out: Path, topic: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / f"{topic}.jsonl").read_text().splitlines()]


def test_every_output_topic_is_a_file_and_the_summary_counts_it(done: tuple[Path, Summary]) -> None:
    out, summary = done
    assert {file.name for file in out.iterdir()} == {*(f"{topic}.jsonl" for topic in OUTPUTS), "summary.json"}
    assert summary.outputs == {topic: len(records(out, topic)) for topic in OUTPUTS}
    for name, digest in summary.digests.items():
        assert digest == "sha256:" + hashlib.sha256((out / name).read_bytes()).hexdigest()
    written = json.loads((out / "summary.json").read_text())
    assert written["kind"] == "alvh.replay"
    assert written["digest"] == summary.digest
    assert written["calibration"] == Calibration().digest()


def test_sessions_states_and_changes(done: tuple[Path, Summary]) -> None:
    out, summary = done
    market = summary.markets["US"]
    states = records(out, "regime.states")
    assert market.sessions == len(states) == 83
    assert (market.first_session, market.last_session) == ("2017-11-01", "2018-03-02")
    assert sum(market.share.values()) == pytest.approx(1)
    assert sum(market.changes.values()) == len(records(out, "regime.transitions"))
    by_day = {state["session_date"]: state["state"] for state in states}
    assert by_day["2018-02-05"] == "high"
    assert by_day["2017-12-15"] == "low"
    assert summary.outputs["hedge.rebalances"] > 0


def test_the_summary_can_be_shown(done: tuple[Path, Summary]) -> None:
    console = Console(file=StringIO(), width=160, record=True)
    console.print(done[1].table())
    text = console.export_text()
    for words in ("83 sessions, 2017-11-01 to 2018-03-02", "1 implausible", done[1].digest, "changes of state a year"):
        assert words in text


def test_refused_inputs_are_counted_by_reason(done: tuple[Path, Summary]) -> None:
    out, summary = done
    assert summary.inputs["unreadable"] == 1
    assert summary.inputs["portfolios"] == 2
    assert summary.dead_letters == {"implausible": 1, "invalid": 1, "not_json": 1}
    assert [letter["topic"] for letter in records(out, "dead.letters")] == ["market.ticks"] * 2 + [
        "portfolio.snapshots"
    ]


@pytest.mark.parametrize(("block_rows", "turn_rows"), [(2, 9), (7, 50), (65_536, 1_000_000)])
def test_outputs_do_not_depend_on_how_the_recording_was_cut(
    recording: Path,
    done: tuple[Path, Summary],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    block_rows: int,
    turn_rows: int,
) -> None:
    monkeypatch.setattr(replay_module, "_BLOCK_ROWS", block_rows)
    monkeypatch.setattr(replay_module, "_TURN_ROWS", turn_rows)
    again = replay(recording, tmp_path / "out", Calibration(), progress=False)
    assert again.digests == done[1].digests


def test_partitions_change_no_record(recording: Path, done: tuple[Path, Summary], tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = replay(recording, out, Calibration(), progress=False, partitions=3, regimes=True)
    one = done[1]
    for topic in ("regime.states", "regime.marks", "regime.transitions", "hedge.rebalances"):
        assert summary.digests[f"{topic}.jsonl"] == one.digests[f"{topic}.jsonl"]
    assert summary.outputs | {"hedge.regimes": 0} == one.outputs | {"hedge.regimes": 0}
    assert len(records(out, "hedge.regimes")) == 3 * len(records(out, "regime.states"))
    replay(recording, out, Calibration(), progress=False)
    assert not (out / "hedge.regimes.jsonl").exists()


def test_fills_can_be_set_from_outside(recording: Path, done: tuple[Path, Summary], tmp_path: Path) -> None:
    same = replay(recording, tmp_path / "same", Calibration(), progress=False, fills="modelled")
    other = replay(recording, tmp_path / "other", Calibration(), progress=False, fills="reported")
    assert same.digests == done[1].digests
    assert other.digests["hedge.rebalances.jsonl"] != done[1].digests["hedge.rebalances.jsonl"]


def test_another_calibration_is_another_output(recording: Path, done: tuple[Path, Summary], tmp_path: Path) -> None:
    rules = Calibration().regime.model_copy(update={"margin": 0.0, "dwell": 1})
    calibration = Calibration(regime=rules)
    summary = replay(recording, tmp_path / "out", calibration, progress=False)
    assert summary.calibration == calibration.digest()
    assert summary.digest != done[1].digest


def test_a_directory_with_something_else_in_it_is_refused(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(UserError, match=r"not empty.*thesis\.docx.*nothing was written"):
        replay(recording, tmp_path, Calibration(), progress=False)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.docx"]
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(UserError, match="not empty"):
        replay(recording, tmp_path, Calibration(), progress=False)


def test_a_file_is_no_directory(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(UserError, match="cannot be used as a directory"):
        replay(recording, tmp_path / "out", Calibration(), progress=False)


def test_an_interrupted_replay_leaves_what_was_there(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    replay(recording, out, Calibration(), progress=False)
    before = {file.name: file.read_bytes() for file in out.iterdir()}

    def interrupted(self: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(replay_module._Play, "finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replay(recording, out, Calibration(), progress=True)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    with pytest.raises(KeyboardInterrupt):
        replay(recording, tmp_path / "fresh", Calibration(), progress=False)
    assert list((tmp_path / "fresh").iterdir()) == []


def test_a_recording_without_ticks(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "portfolios.jsonl").write_text('{"portfolio_id":"a","as_of":"2018-02-05T15:00:00Z","mv":1}\n')
    summary = replay(tmp_path / "in", tmp_path / "out", Calibration(), progress=False)
    assert summary.markets == {}
    assert summary.inputs == {"portfolios": 1}


def test_schedules_and_flows_are_read_counted_and_refused_like_the_rest(tmp_path: Path) -> None:
    recording = write_history(tmp_path / "in", date(2018, 1, 2), date(2018, 2, 5))
    (recording / "releases.csv").write_text(
        "release_ts,series_id,ref_period,actual\n2018-01-12T13:30:00Z,CPI_CORE_MOM,2017-12,0.3\n"
    )
    (recording / "schedules.csv").write_text(
        "event_ts,series_id,ref_period,scheduled_ts\n"
        "2018-01-05T13:30:00Z,CPI_CORE_MOM,2017-12,2018-01-12T13:30:00Z\n"
        "2018-01-31T19:00:00Z,FOMC_MINUTES,2018-01-31,2018-02-21T19:00:00Z\n"
        "2018-01-31T19:00:00Z,FOMC_MINUTES,2018-03-21,in spring\n"
    )
    (recording / "flows.jsonl").write_text(
        '{"symbol":"SVXY","event_ts":"2018-02-02T21:30:00Z","leverage":-1,"aum":1900000000}\n'
        '{"offering_id":"a","kind":"ipo","pricing_ts":"2018-01-12T21:00:00Z","raised_usd":100000000}\n'
        '{"symbol":"SVXY","event_ts":"2018-02-02T21:30:00Z","leverage":-1,"aum":"much"}\n'
    )
    summary = replay(recording, tmp_path / "out", Calibration(), progress=False)
    ticks = (recording / "ticks.csv").read_text().count("\n") - 1
    assert summary.inputs == {"flows": 3, "portfolios": 1, "releases": 1, "schedules": 3, "ticks": ticks}
    assert summary.dead_letters == {"invalid": 2}
    letters = records(tmp_path / "out", "dead.letters")
    assert {letter["topic"]: letter["detail"].split(":")[0] for letter in letters} == {
        "macro.releases": "scheduled_ts",
        "market.flows": "aum",
    }
    text = (tmp_path / "out" / "summary.json").read_text()
    assert json.loads(text)["inputs"] == summary.inputs
