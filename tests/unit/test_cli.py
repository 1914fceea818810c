"""The command: help, errors, exit statuses, and that nothing is left running."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import processors.cli
from processors.cli import EXIT_INTERRUPTED, EXIT_PIPE, main
from processors.errors import EXIT_FATAL, EXIT_USAGE, Fenced, UserError
from processors.topic_plan import EXIT_REFUSED
from topics.calibration import Calibration
from topics.catalog import ALL_TOPICS

COMMANDS = [
    [],
    ["run"],
    ["feed"],
    ["replay"],
    ["tail"],
    ["explain"],
    ["signals"],
    ["coverage"],
    ["study"],
    ["demo"],
    ["config"],
    ["config", "calibration"],
    ["dlq"],
    ["dlq", "list"],
    ["dlq", "show"],
    ["dlq", "requeue"],
    ["state"],
    ["state", "inspect"],
    ["state", "verify"],
    ["topics"],
    ["topics", "plan"],
    ["topics", "apply"],
    ["topics", "describe"],
    ["topics", "asyncapi"],
]


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


def alvh(*arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    code = "import sys; from processors.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def recording(folder: Path, days: int = 1) -> Path:
    """A directory with a tick a minute."""
    folder.mkdir()
    rows = [f"2018-02-{5 + d:02}T{15 + m // 60}:{m % 60:02}:00Z,VIX,20.5" for d in range(days) for m in range(300)]
    (folder / "ticks.csv").write_text("event_ts,symbol,last\n" + "\n".join(rows) + "\n")
    return folder


# Help


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "alvh")
def test_every_command_has_help_with_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example" in shown
    assert " ".join(["alvh", *command]) in shown
    assert "\x1b" not in shown


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == EXIT_USAGE
    captured = capsys.readouterr()
    assert "no investment advice" in captured.out + captured.err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"alvh {version('alvh')}\n"


# Errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nope"], "--nope"),
        (["walk"], "walk"),
        (["run"], "NAME"),
        (["run", "everything"], "everything"),
        (["run", "all", "--http-port", "many"], "http_port (command line): 'many' cannot be used"),
        (["--log-level", "loud", "config"], "log_level (command line): 'loud' cannot be used"),
        (["--config", "nowhere.toml", "config"], "nowhere.toml"),
        (["feed", "nowhere"], "nowhere"),
        (["feed", "nowhere", "--speed", "fast"], "a speed of 'fast' is not possible"),
        (["feed", "nowhere", "--block-size", "x"], "--block-size 'x' is not possible; give a whole number, 1 to 65536"),
        (["replay", "nowhere", "--out", "out"], "nowhere"),
        (["replay", "nowhere"], "--out"),
        (["replay", "nowhere", "--out", "out", "--config", "none.toml"], "none.toml"),
        (["tail", "market.tick"], "there is no file alvh.sqlite"),
        (["tail", "alerts", "--count", "0"], "--count '0' is not possible"),
        (["topics", "plan", "--partitions", "0"], "partitions (command line): '0' cannot be used"),
        (["topics", "plan", "--log", "kafka://broker"], "HOST:PORT"),
        (["config", "calibration", "--verbose"], "--verbose"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_used_ends_with_2_and_says_so(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == EXIT_USAGE
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("error", "status"), [(UserError("give another"), EXIT_USAGE), (Fenced("taken over"), EXIT_FATAL)]
)
def test_our_errors_are_one_line_and_a_status(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **given: object) -> None:
        raise error

    monkeypatch.setattr(processors.cli, "settings_of", fail)
    assert main(["signals"]) == status
    assert capsys.readouterr().err == f"alvh: {error}\n"


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object, **given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(processors.cli, "settings_of", interrupt)
    assert main(["signals"]) == EXIT_INTERRUPTED


def test_a_log_that_does_not_answer_is_70_without_a_traceback() -> None:
    Path("alvh.toml").write_text("call_deadline_seconds = 1\n")
    process = alvh("topics", "plan", "--log", "kafka://127.0.0.1:1")
    _, told = process.communicate(timeout=60)
    assert process.returncode == EXIT_FATAL
    assert told.startswith("alvh: no broker answers at kafka://127.0.0.1:1")
    assert len(told.splitlines()) == 1


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    process = alvh("topics", "asyncapi")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == EXIT_PIPE
    assert told == ""


# Settings and calibration


def test_config_shows_values_and_where_they_came_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALVH_PARTITIONS", "4")
    monkeypatch.setenv("ALVH_KAFKA__SASL_PLAIN_PASSWORD", "hunter2")
    assert main(["--log-level", "debug", "config", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["partitions"] == {"value": 4, "from": "environment ALVH_PARTITIONS"}
    assert shown["log_level"] == {"value": "debug", "from": "command line"}
    assert shown["kafka.sasl_plain_password"]["value"] == "********"
    assert main(["config"]) == 0
    table = capsys.readouterr().out
    assert "environment ALVH_PARTITIONS" in table
    assert "hunter2" not in table


def test_config_calibration_prints_a_document_that_can_be_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "calibration"]) == 0
    captured = capsys.readouterr()
    assert captured.err == f"digest {Calibration().digest()}\n"
    Path("mine.json").write_text(captured.out)
    Path("alvh.toml").write_text("calibration = 'mine.json'\n")
    assert main(["config", "calibration", "--digest"]) == 0
    assert capsys.readouterr().out == f"{Calibration().digest()}\n"


# Topics


def test_topics_are_planned_applied_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    log = ["--log", "sqlite://log.sqlite"]
    assert main(["topics", "plan", *log, "--partitions", "2", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert {step["action"] for step in planned["steps"]} == {"create"}
    assert main(["topics", "apply", *log, "--partitions", "2"]) == 0
    capsys.readouterr()
    assert main(["topics", "apply", *log, "--partitions", "2", "--json"]) == 0
    assert {step["action"] for step in json.loads(capsys.readouterr().out)["steps"]} == {"keep"}
    assert main(["topics", "describe", *log, "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert {row["topic"]: row["partitions"] for row in described} == dict.fromkeys(ALL_TOPICS, 2)
    assert main(["topics", "describe", *log]) == 0
    assert "hedge.rebalances" in capsys.readouterr().out


def test_what_is_refused_ends_with_3_and_nothing_is_changed(capsys: pytest.CaptureFixture[str]) -> None:
    log = ["--log", "sqlite://log.sqlite"]
    assert main(["topics", "apply", *log]) == 0
    for command in ("plan", "apply"):
        capsys.readouterr()
        assert main(["topics", command, *log, "--partitions", "4"]) == EXIT_REFUSED
        captured = capsys.readouterr()
        assert "Set partitions = 1" in " ".join(captured.out.replace("│", " ").split())
        assert "refused" in captured.err
    assert main(["topics", "plan", *log]) == 0


def test_asyncapi_in_both_forms_is_the_same_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topics", "asyncapi"]) == 0
    as_yaml = yaml.safe_load(capsys.readouterr().out)
    assert main(["topics", "asyncapi", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == as_yaml


# Feed, tail, replay


def test_feed_then_tail(capsys: pytest.CaptureFixture[str]) -> None:
    directory = str(recording(Path("recorded")))
    assert main(["feed", directory, "--block-size", "1"]) == 0
    assert "300 rows" in capsys.readouterr().err
    assert main(["feed", directory]) == 0
    assert "is in sqlite://alvh.sqlite already" in capsys.readouterr().err
    assert main(["tail", "market.ticks", "--from-beginning", "--count", "3", "--raw"]) == 0
    ticks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [tick["event_ts"] for tick in ticks] == [f"2018-02-05T15:0{m}:00Z" for m in range(3)]


@pytest.mark.parametrize(
    "command",
    [["tail", "alerts"], ["explain", "--last"], ["signals", "--log", "sqlite://alvh.sqlite"], ["topics", "describe"]],
    ids=" ".join,
)
def test_a_command_that_reads_makes_no_file(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == EXIT_USAGE
    assert "there is no file alvh.sqlite" in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def _fed(capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether anything has come to the log."""
    if not list(Path().rglob("*.sqlite*")) and not list(Path().rglob("*.db*")):
        return False
    main(["tail", "market.ticks", "--from-beginning", "--raw", "--count", "1"])
    return bool(capsys.readouterr().out.strip())


def test_feed_stopped_by_ctrl_c_ends_with_130_and_goes_on_later(capsys: pytest.CaptureFixture[str]) -> None:
    directory = str(recording(Path("recorded"), days=3))
    process = alvh("feed", directory, "--speed", "1000", "--block-size", "10")
    end = time.monotonic() + 60
    while time.monotonic() < end and not _fed(capsys):  # while Python still starts, an interrupt can get lost
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == EXIT_INTERRUPTED, told
    assert "goes on from there" in told
    assert main(["feed", directory]) == 0
    capsys.readouterr()
    assert main(["tail", "market.ticks", "--from-beginning", "--raw"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    times = [tick["event_ts"] for tick in shown if "event_ts" in tick]
    assert len(times) == 900
    assert times == sorted(set(times))


def test_tail_follow_ends_with_130_on_ctrl_c() -> None:
    assert main(["feed", str(recording(Path("recorded")))]) == 0
    process = alvh("tail", "market.ticks", "--follow", "--from-beginning", "--raw", "--count", "100000")
    assert process.stdout is not None
    assert process.stdout.readline()  # it has begun; while Python still starts, an interrupt can get lost
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == EXIT_INTERRUPTED
    assert "Traceback" not in told


def test_replay_writes_its_files(capsys: pytest.CaptureFixture[str]) -> None:
    directory = str(recording(Path("recorded")))
    assert main(["replay", directory, "--out", "out"]) == 0
    assert "sha256:" in capsys.readouterr().err
    assert (Path("out") / "summary.json").exists()
    assert (Path("out") / "regime.marks.jsonl").exists()


# Run


def test_run_serves_its_pages_and_ends_in_order() -> None:
    process = alvh("run", "all", "--http-port", "0")
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if sum("is running" in line for line in lines) == 3:
            break
    assert any("health pages on http://127.0.0.1:" in line for line in lines)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert sum("is stopped" in line for line in told.splitlines()) == 3
