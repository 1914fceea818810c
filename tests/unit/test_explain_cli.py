"""`alvh explain`: an event found by its id or as the newest one, in a log, the demo's file, or a replay's folder."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from processors.cli import EXIT_PIPE, main
from processors.demo import _Play
from processors.errors import EXIT_USAGE
from processors.explain import explain_text
from processors.feeds.history import sessions
from processors.stream.log import Out
from processors.stream.open import open_cluster
from topics.catalog import HEDGE_REBALANCES, HEDGE_REGIMES, REGIME_MARKS, REGIME_STATES
from topics.rebalance import Rebalance
from topics.regime import Regime

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "tests/golden/pages"
STUDY = Rebalance.model_validate_json((PAGES / "study.event.json").read_bytes())
BLOCKED = Rebalance.model_validate_json((PAGES / "blocked.event.json").read_bytes())
REGIMES = [Regime.model_validate_json((PAGES / f"{name}.regime.json").read_bytes()) for name in ("study", "blocked")]
#: As STUDY, of an id that differs from it in its last digits alone, and older.
TWIN = STUDY.model_copy(update={"event_id": STUDY.event_id[:-4] + "beef", "event_ts": BLOCKED.event_ts - 1})


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


def folder(*events: Rebalance, path: str = "out", regimes: list[Regime] = REGIMES) -> str:
    """A folder like that of a replay."""
    Path(path).mkdir()
    lines = [event.canonical() + b"\n" for event in events]
    (Path(path) / f"{HEDGE_REBALANCES}.jsonl").write_bytes(b"".join(lines))
    (Path(path) / f"{REGIME_STATES}.jsonl").write_bytes(b"".join(regime.canonical() + b"\n" for regime in regimes))
    (Path(path) / f"{REGIME_MARKS}.jsonl").write_bytes(b"")
    return path


def log(*events: Rebalance, partitions: int = 1, name: str = "log.sqlite") -> str:
    """A log in which states of a market replace each other, and what the hedge was told is kept."""
    url = f"sqlite://{name}"
    topics = (HEDGE_REBALANCES, REGIME_STATES, REGIME_MARKS, HEDGE_REGIMES)
    with closing(open_cluster(url)) as cluster:
        cluster.create(dict.fromkeys(topics, partitions), compacted=frozenset({REGIME_STATES}))
        for regime in REGIMES:
            outs = [Out(REGIME_STATES, b"US", regime.canonical(), partition=0)]
            outs += [Out(HEDGE_REGIMES, b"US", regime.canonical(), partition=n) for n in range(partitions)]
            cluster.publish(outs)
        for number, event in enumerate(events):
            key = event.portfolio_id.encode()
            cluster.publish([Out(HEDGE_REBALANCES, key, event.canonical(), partition=number % partitions)])
    return url


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["explain", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["explain", *arguments]) == EXIT_USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


# By its id


def test_an_event_of_a_folder_has_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    out = folder(STUDY, BLOCKED)
    assert shown(capsys, STUDY.event_id, out) == (PAGES / "study.txt").read_text()
    assert shown(capsys, BLOCKED.event_id, out) == (PAGES / "blocked.txt").read_text()


@pytest.mark.parametrize("partitions", [1, 3])
def test_an_event_of_a_log_has_the_same_page(partitions: int, capsys: pytest.CaptureFixture[str]) -> None:
    # The state that decided the study was replaced by a later one: it is in what the hedge was told.
    url = log(STUDY, BLOCKED, partitions=partitions)
    assert shown(capsys, STUDY.event_id, "--log", url) == (PAGES / "study.txt").read_text()
    assert shown(capsys, BLOCKED.event_id, "--log", url) == (PAGES / "blocked.txt").read_text()


@pytest.mark.parametrize("text", ["{:.8}", "sha256:{:.8}", "{:.20}", "{}", "SHA256:{:.12}"])
def test_an_id_may_be_abbreviated(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder(STUDY, BLOCKED)
    digits = BLOCKED.event_id.removeprefix("sha256:")
    assert shown(capsys, text.format(digits), out) == (PAGES / "blocked.txt").read_text()
    assert shown(capsys, text.format(digits.upper()), out) == (PAGES / "blocked.txt").read_text()


@pytest.mark.parametrize("text", ["", "1234567", "sha256:", "sha256:abc", "g" * 8, "a" * 65, "VX/2018-03-21"])
def test_what_is_no_id_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, text, folder(STUDY))
    assert told.startswith(f"alvh: {text!r} is no event_id; give 8 or more of its hexadecimal digits")


def test_what_is_not_found_says_how_much_was_searched(capsys: pytest.CaptureFixture[str]) -> None:
    out, url = folder(STUDY, BLOCKED), log(STUDY)
    told = refused(capsys, "00000000", out)
    assert told == "alvh: no rebalance of out has an event_id that begins with 00000000; 2 events searched\n"
    assert "of sqlite://log.sqlite has" in refused(capsys, "00000000", "--log", url)
    assert refused(capsys, "00000000", "--log", url).endswith("; 1 event searched\n")


def test_what_fits_several_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    out = folder(STUDY, TWIN, BLOCKED)
    told = refused(capsys, STUDY.event_id[:20], out).splitlines()
    digits = STUDY.event_id[:20].removeprefix("sha256:")
    assert told[0] == f"alvh: {digits} fits 2 rebalances; give more digits of one:"
    assert told[1] == f"alvh:   {STUDY.event_id}  2018-02-12T21:15:00Z  study"
    assert told[2].startswith(f"alvh:   {TWIN.event_id}")
    assert len(told) == 3
    assert STUDY.event_id in shown(capsys, STUDY.event_id, out)


def test_a_record_that_stands_twice_is_one_event(capsys: pytest.CaptureFixture[str]) -> None:
    assert STUDY.event_id in shown(capsys, STUDY.event_id[:16], folder(STUDY, STUDY))


def test_only_the_first_of_many_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    many = [STUDY.model_copy(update={"event_id": f"{STUDY.event_id[:-2]}{n:02x}"}) for n in range(15)]
    told = refused(capsys, STUDY.event_id[:40], folder(*many)).splitlines()
    assert len(told) == 12
    assert told[-1] == "alvh:   and 5 more"


# The newest


def test_the_newest_by_event_time(capsys: pytest.CaptureFixture[str]) -> None:
    out = folder(BLOCKED, STUDY, TWIN)
    assert STUDY.event_id in shown(capsys, "--last", out)
    assert STUDY.event_id in shown(capsys, "--last", "study", out)
    assert BLOCKED.event_id in shown(capsys, "--last", "pension", out)
    url = log(STUDY, TWIN, BLOCKED, partitions=2)
    assert STUDY.event_id in shown(capsys, "--last", "--log", url)
    assert BLOCKED.event_id in shown(capsys, "pension", "--last", "--log", url)


def test_fractions_of_a_second_count(capsys: pytest.CaptureFixture[str]) -> None:
    # As text 21:15:00.5Z comes before 21:15:00Z.
    later = TWIN.model_copy(update={"event_ts": STUDY.event_ts + 500_000_000})
    assert later.event_id in shown(capsys, "--last", folder(later, STUDY))


def test_a_word_is_a_portfolio_unless_it_is_the_only_one_and_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    out = folder(STUDY, path="pension")
    assert STUDY.event_id in shown(capsys, "--last", out)
    assert "no rebalance of portfolio 'pension'" in refused(capsys, "--last", "pension", out)


def test_the_log_of_the_settings_is_read_without_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    log(STUDY, name="alvh.sqlite")
    assert STUDY.event_id in shown(capsys, "--last")


def test_without_any_rebalance_there_is_no_newest(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--last", folder()) == "alvh: out holds no rebalance; 0 events searched\n"
    told = refused(capsys, "--last", "nobody", folder(STUDY, BLOCKED, path="other"))
    assert told.endswith("no rebalance of portfolio 'nobody'; 2 events searched; there are some of pension, study\n")


# What cannot be used


def test_nothing_to_explain_names_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys)
    assert "EVENT_ID" in told
    assert "--last [PORTFOLIO]" in told


def test_a_folder_and_a_log_are_not_both_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert "not both" in refused(capsys, STUDY.event_id, folder(STUDY), "--log", log(STUDY))


def test_what_is_no_folder_of_a_replay(capsys: pytest.CaptureFixture[str]) -> None:
    assert "give the folder that a replay wrote" in refused(capsys, STUDY.event_id, "nowhere")
    Path("empty").mkdir()
    assert "give the folder that a replay wrote" in refused(capsys, "--last", "empty")


def test_a_log_without_the_topic_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    open_cluster("sqlite://new.sqlite").close()
    assert "there is no topic 'hedge.rebalances'" in refused(capsys, "--last", "--log", "sqlite://new.sqlite")


def test_a_log_that_is_not_there_is_not_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no file new.sqlite" in refused(capsys, "--last", "--log", "sqlite://new.sqlite")
    assert not Path("new.sqlite").exists()


def test_what_is_no_event_is_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    out = folder(STUDY)
    file = Path(out) / f"{HEDGE_REBALANCES}.jsonl"
    strange = [b"", b"nothing", b"[1]", b"{}", b"\xff", b'{"event_id": 3, "portfolio_id": "x", "event_ts": "y"}']
    file.write_bytes(b"\n".join([*strange, file.read_bytes()]))
    assert STUDY.event_id in shown(capsys, "--last", out)
    assert "1 event searched" in refused(capsys, "00000000", out)


def test_an_event_of_another_version_has_no_page_but_its_document(capsys: pytest.CaptureFixture[str]) -> None:
    out = folder()
    old: dict[str, Any] = {name: value for name, value in STUDY.document().items() if name != "kappa"}
    (Path(out) / f"{HEDGE_REBALANCES}.jsonl").write_text(json.dumps(old) + "\n")
    assert "was written by another version" in refused(capsys, STUDY.event_id, out)
    assert json.loads(shown(capsys, STUDY.event_id, out, "--json")) == old


def test_without_its_regime_the_event_speaks_for_itself(capsys: pytest.CaptureFixture[str]) -> None:
    out = folder(STUDY, regimes=[])
    assert shown(capsys, "--last", out) == explain_text(STUDY, None)
    (Path(out) / f"{REGIME_STATES}.jsonl").write_text(json.dumps({"event_id": STUDY.regime_event_id}) + "\n")
    assert "is not at hand" in shown(capsys, "--last", out)
    for topic in (REGIME_STATES, REGIME_MARKS):
        (Path(out) / f"{topic}.jsonl").unlink()
    assert "is not at hand" in shown(capsys, "--last", out)


def test_a_mark_that_decided_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    out = folder(STUDY, regimes=[])
    (Path(out) / f"{REGIME_MARKS}.jsonl").write_bytes(REGIMES[0].canonical() + b"\n")
    assert shown(capsys, "--last", out) == (PAGES / "study.txt").read_text()


# Forms


def test_json_is_the_document_of_the_event(capsys: pytest.CaptureFixture[str]) -> None:
    out, url = folder(STUDY, BLOCKED), log(STUDY)
    assert json.loads(shown(capsys, BLOCKED.event_id[:16], out, "--json")) == BLOCKED.document()
    text = shown(capsys, "--last", "--log", url, "--json")
    assert Rebalance.model_validate_json(text).canonical() == STUDY.canonical()


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    out = folder(*[STUDY] * 3)
    code = "import sys; from processors.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "explain", "--last", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == EXIT_PIPE
    assert told == ""


def test_reading_joins_no_group_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    url = log(STUDY)
    with closing(open_cluster(url)) as cluster:
        before = cluster.topics()
    content = Path("log.sqlite").read_bytes()
    shown(capsys, "--last", "--log", url)
    with closing(open_cluster(url)) as cluster:
        assert cluster.topics() == before
    assert Path("log.sqlite").read_bytes() == content


def test_the_file_of_the_demo_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play = _Play(tmp_path, sessions(date(2018, 2, 1), date(2018, 2, 6)), None, Console(file=StringIO()))
    play.run()
    url = f"sqlite://{tmp_path / 'demo.sqlite'}"
    newest = json.loads(play._lines[HEDGE_REBALANCES][-1])
    page = shown(capsys, "--last", "demo", "--log", url)
    assert newest["event_id"] in page
    assert "*** STUDY" in page
    first = json.loads(play._lines[HEDGE_REBALANCES][0])
    page = shown(capsys, first["event_id"][:15], "--log", url)
    assert first["event_id"] in page
    assert "is not at hand" not in page
