"""Measures 1 and 2: ticks a second of every program over the same recorded ticks, in turn, round by round."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from alvh_process import Process
from arithmetic import Look, Rate, rate
from brokers import Outputs, Positions, apply_topics, broker, load_blocks, load_lines, newest_message, renew
from programs import OURS, OURS_BLOCKS, PROGRAMS, NotInstalledError, Program, environment, pin, start_peer
from reference import Trades, differences, ours_differ
from workload import BLOCK, Week, blocks, lines, sessions

#: Seconds between two looks, for the first commit, and for a process to end when asked to.
EVERY, START, END = 0.05, 120.0, 20.0
#: So many times the ticks of the singles are there as blocks, or they would be read before one has looked twice.
BLOCK_TIMES = 10


@dataclass(slots=True)
class Throughput:
    """What all rounds found.

    Attributes:
        rates: by program, in the order of the rounds.
        missing: programs that did not run, with the reason.
        checked: by program, the messages that were compared, and how many differed.
        ticks: singles, and ticks of the blocks, that were there to read.
    """

    rates: dict[str, list[Rate]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    checked: dict[str, tuple[int, int]] = field(default_factory=dict)
    ticks: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Ground:
    """A broker with the ticks in it: ``ends[i]`` is how many ticks the first i records hold."""

    servers: str
    ends: list[int]


def throughput(week: Week, ticks: int, rounds: int, seconds: float, venvs: Path, only: set[str]) -> Throughput:
    """Run every program ``rounds`` times, each for at most ``seconds`` after its first commit."""
    found = Throughput()
    pythons: dict[str, Path] = {}
    for program in PROGRAMS:
        if program.venv and (not only or program.name in only):
            try:
                pythons[program.name] = environment(program, venvs)
            except NotInstalledError as reason:
                found.missing[program.name] = str(reason)
    feeder = environment(next(p for p in PROGRAMS if p.venv == "bare"), venvs)
    with ExitStack() as cleanup:
        singles, packed = (cleanup.enter_context(broker()) for _ in range(2))
        made = _load(singles, packed, week, ticks, feeder)
        trades = Trades.of(sessions(week, ticks))
        found.ticks = (made[singles].ends[-1], made[packed].ends[-1])
        for number in range(rounds):
            for program in PROGRAMS:
                if program.name in found.missing or (only and program.name not in only):
                    continue
                ground = made[packed if program is OURS_BLOCKS else singles]
                try:
                    one, message = run(program, pythons.get(program.name), ground, f"bench-{number}", seconds)
                except RuntimeError as error:
                    found.missing[program.name] = f"it failed in round {number + 1}: {error}"
                    continue
                found.rates.setdefault(program.name, []).append(one)
                count, wrong = found.checked.get(program.name, (0, 0))
                if message is not None:
                    bad = differences(trades, message)
                    print("\n".join(bad), file=sys.stderr, end="\n" if bad else "")
                    found.checked[program.name] = (count + 1, wrong + bool(bad))
                print(f"{number + 1} {program.name}: {one.clock:,.0f} ticks/s, {one.cpu:,.0f} a CPU second", flush=True)
        own = ours_differ(trades, found.ticks[0])
        print("\n".join(own), file=sys.stderr, end="\n" if own else "")
        found.checked[OURS.name] = (1, int(bool(own)))
    return found


def run(
    program: Program, python: Path | None, ground: Ground, group: str, seconds: float
) -> tuple[Rate, dict[str, Any] | None]:
    """One run: its rate, and of a peer the newest message. Raises RuntimeError with its last words when it fails."""
    with tempfile.TemporaryDirectory(prefix="alvh-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        group = "alvh.market" if python is None else f"{group}-{Path(program.script).stem}-{len(program.name)}"
        renew(ground.servers, group)
        if python is None:
            apply_topics(ground.servers)
            ours = Process(f"kafka://{ground.servers}", folder)
            ours.start("market")
            assert ours.process is not None
            process, said = ours.process, ours.lines
        else:
            said = folder / "peer.log"
            process = start_peer(program, python, ground.servers, group, said)
        try:
            pin(process.pid, 0)
            progress = Positions(ground.servers, group) if program.commits else Outputs(ground.servers)
            looks = watch(process, progress.look, ground.ends, seconds, program.commits)
            progress.close()
        finally:
            _end(process)
        if len(looks) < 2:
            raise RuntimeError(said.read_text(errors="replace").strip()[-300:] or "nothing was committed")
        return rate(looks), None if python is None else newest_message(ground.servers)


def watch(
    process: subprocess.Popen[bytes], look: Callable[[], int], ends: list[int], seconds: float, records: bool
) -> list[Look]:
    """Look until all is done, or ``seconds`` have passed since the first commit and another has been seen."""
    seen: list[Look] = []
    begun = time.monotonic()
    while process.poll() is None:
        place = look()
        now = time.monotonic()
        if place:
            reached = ends[min(place, len(ends) - 1)] if records else place
            if not seen or reached > seen[-1].place:
                seen.append(Look(now, _cpu(process.pid), reached))
        if seen and (seen[-1].place >= ends[-1] or (now - seen[0].at > seconds and len(seen) > 1)):
            break
        if len(seen) < 2 and now - begun > START:
            break
        time.sleep(EVERY)
    return seen


def _cpu(pid: int) -> float:
    """Seconds of processor time of a process and its children."""
    try:
        mine = psutil.Process(pid)
        every = [mine, *mine.children(recursive=True)]
        return sum(one.cpu_times().user + one.cpu_times().system for one in every)
    except psutil.NoSuchProcess:
        return 0.0


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _load(singles: str, packed: str, week: Week, ticks: int, feeder: Path) -> dict[str, Ground]:
    """Write the ticks into both brokers."""
    ends = [0]
    made: list[bytes] = []
    with tempfile.NamedTemporaryFile(prefix="alvh-bench-", suffix=".jsonl") as file:
        count = 0
        for columns in sessions(week, ticks):
            alone = columns.take(0, min(len(columns), max(ticks - count, 0)))
            for line in lines(alone):
                file.write(line + b"\n")
            count += len(alone)
        file.flush()
        load_lines(singles, feeder, Path(file.name))
    for columns in sessions(week, ticks * BLOCK_TIMES):
        for block, rows in blocks(columns, BLOCK):
            made.append(block)
            ends.append(ends[-1] + rows)
    load_blocks(packed, made)
    return {singles: Ground(singles, list(range(count + 1))), packed: Ground(packed, ends)}
