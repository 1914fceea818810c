"""What is measured: our own process and the peers, each started the same way and watched from outside."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PEERS: Final = Path(__file__).resolve().parent / "peers"
SOURCE: Final = "market.ticks"
TARGET: Final = "bench.regimes"


@dataclass(frozen=True, slots=True)
class Program:
    """Something that does the job.

    Attributes:
        name: how the page calls it.
        script: a file of ``peers/``; empty for ours.
        venv: its environment, and the folder of ``peers/`` with what that holds.
        python: the interpreter that makes it, as ``3.12``.
        arguments: more of them.
        commits: whether its progress shows in its group's positions; else in the topic that it writes.
        guarantee: what a crash may do.
        settings: what the page says of how it was set.
    """

    name: str
    script: str
    venv: str
    python: str
    arguments: tuple[str, ...]
    commits: bool
    guarantee: str
    settings: str


OURS: Final = Program(
    "alvh",
    "",
    "",
    "",
    (),
    True,
    "exactly once, outputs, state and positions in one transaction",
    "`alvh run market` as it is: a commit each 0.1 s and at each urgent output, validation, dead letters, metrics",
)
OURS_BLOCKS: Final = replace(OURS, name="alvh, tick blocks", settings="the same ticks in Arrow blocks of 8,000")
PROGRAMS: Final = (
    OURS,
    OURS_BLOCKS,
    Program(
        "kafka-python, poll",
        "poll.py",
        "bare",
        "3.11",
        (),
        True,
        "at least once; state is lost",
        "a commit each 0.1 s, 2,000 records a poll, orjson",
    ),
    Program(
        "kafka-python, transactions",
        "transaction.py",
        "bare",
        "3.11",
        (),
        True,
        "outputs and positions exactly once; state is lost",
        "a transaction each 0.1 s, 2,000 records a poll, orjson",
    ),
    Program(
        "Quix Streams, at least once",
        "quix.py",
        "quix",
        "3.12",
        ("at-least-once",),
        True,
        "at least once; state in RocksDB and a changelog topic",
        "a checkpoint each second (its default is five)",
    ),
    Program(
        "Quix Streams, exactly once",
        "quix.py",
        "quix",
        "3.12",
        ("exactly-once",),
        True,
        "exactly once; state in RocksDB and a changelog topic",
        "a checkpoint each second (its default is five)",
    ),
    Program(
        "Faust",
        "faust_agent.py",
        "faust",
        "3.12",
        (),
        True,
        "at least once; state in memory and a changelog topic",
        "a commit each second (its default is 2.8), 2,000 records a poll, orjson, Table in memory",
    ),
    Program(
        "Bytewax",
        "bytewax_flow.py",
        "bytewax",
        "3.12",
        (),
        False,
        "at least once; state in its recovery store",
        "an epoch each second (its default is ten), 2,000 records a batch, batch operators, orjson",
    ),
    Program(
        "Pathway",
        "pathway_table.py",
        "pathway",
        "3.12",
        (),
        False,
        "state in memory, not kept",
        "autocommit each 0.1 s, its own JSON reader; of the messages of one batch only the newest is sent",
    ),
)


class NotInstalledError(Exception):
    """A peer whose environment cannot be made, with the reason."""


def environment(program: Program, venvs: Path) -> Path:
    """The interpreter of a peer's environment, which is made when it is not there as its requirements say.

    Raises NotInstalledError with the last words of what failed.
    """
    wanted = (PEERS / program.venv / "requirements.txt").read_text(encoding="utf-8")
    folder = venvs / program.venv
    stamp, python = folder / "requirements.txt", folder / "bin" / "python"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    made_by = interpreter(program.python)
    shutil.rmtree(folder, ignore_errors=True)
    _do([made_by, "-m", "venv", str(folder)])
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]
    _do([*install, str(PEERS / program.venv / "requirements.txt")])
    stamp.write_text(wanted, encoding="utf-8")
    return python


def interpreter(version: str) -> str:
    """A Python of that version: from the path, or one that pyenv keeps. Raises NotInstalledError."""
    candidates = [shutil.which(f"python{version}")]
    candidates += map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"), reverse=True))
    for each in candidates:
        if each and subprocess.run([each, "--version"], capture_output=True, check=False).returncode == 0:
            return each
    raise NotInstalledError(f"there is no Python {version} here")


def start_peer(program: Program, python: Path, servers: str, group: str, lines: Path) -> subprocess.Popen[bytes]:
    """Start a peer. What it says goes into the file ``lines``."""
    command = [str(python), str(PEERS / program.script), servers, SOURCE, TARGET, group, *program.arguments]
    quiet: Mapping[str, str] = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
    with lines.open("wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **quiet},
            cwd=tempfile.gettempdir(),
        )


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, where the machine has more than one."""
    if len(cores()) > 1:
        os.sched_setaffinity(pid, {cores()[core]})


def cores() -> Sequence[int]:
    """The cores of this machine."""
    return range(os.cpu_count() or 1)


def _do(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise NotInstalledError(words[-1] if words else f"{command[0]} ended with {done.returncode}")


