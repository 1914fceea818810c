"""The SQLite file when the disk is full, the process dies in a write, or the file is not what it was.

A small processor (sqlite_worker.py) works on the file as a process of its own. What it has written in the end, over all
of its lives, is compared with one uninterrupted run over the log in memory.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from history import Dump, compare, dump
from sqlite_worker import IN, OUT, create, work

from processors.errors import AlvhError, LogUnavailable
from processors.stream.log import Member, Out
from processors.stream.memory import MemoryCluster
from processors.stream.sqlite import SqliteCluster

COUNT = 400
WORKER = Path(__file__).with_name("sqlite_worker.py")
PATIENCE = 120.0


def numbers() -> list[Out]:
    return [Out("in", b"n", b"%d" % (7 * n + 3)) for n in range(COUNT)]


@pytest.fixture(scope="module")
def expected() -> Dump:
    cluster = MemoryCluster()
    create(cluster)
    cluster.publish(numbers())
    work(cluster, "one", COUNT)
    return dump(cluster, ["out"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log with the numbers in it."""
    made = tmp_path / "log.db"
    cluster = SqliteCluster(made)
    create(cluster)
    cluster.publish(numbers())
    cluster.close()
    return made


class Workers:
    """Processes that are ended with the test."""

    def __init__(self) -> None:
        self.all: list[subprocess.Popen[str]] = []

    def start(
        self, path: Path, instance: str = "one", limit: int | None = None, target: int = COUNT
    ) -> subprocess.Popen[str]:
        arguments = [sys.executable, str(WORKER), str(path), instance, str(target)]
        arguments += [] if limit is None else [str(limit)]
        self.all.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return self.all[-1]

    def ended(self, path: Path, instance: str = "one", limit: int | None = None) -> tuple[int, str]:
        """Status and words of one that is left to itself."""
        worker = self.start(path, instance, limit)
        said, _ = worker.communicate(timeout=PATIENCE)
        return worker.returncode, said


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers()
    yield made
    for worker in made.all:
        if worker.poll() is None:
            worker.kill()
        if worker.stdout is not None and not worker.stdout.closed:
            worker.communicate()


def wait_running(worker: subprocess.Popen[str]) -> None:
    assert worker.stdout is not None
    said = worker.stdout.readline()
    while said != "running\n":
        assert said, f"it ended with status {worker.wait(PATIENCE)}"
        said = worker.stdout.readline()


def assert_whole(path: Path, expected: Dump) -> None:
    """All of it is there once, and the file is sound."""
    cluster = SqliteCluster(path)
    verdict = compare(expected, dump(cluster, ["out"]))
    cluster.close()
    assert verdict.clean, verdict
    file = sqlite3.connect(path)
    assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    file.close()


def stop_unlocked(worker: subprocess.Popen[str], path: Path) -> None:
    """Stop a process at a moment at which it does not hold the write lock, which nobody could take from it."""
    file = sqlite3.connect(path, timeout=0.0, isolation_level=None)
    deadline = time.monotonic() + PATIENCE
    while True:
        worker.send_signal(signal.SIGSTOP)
        time.sleep(0.02)
        try:
            file.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            assert time.monotonic() < deadline
            worker.send_signal(signal.SIGCONT)
            time.sleep(0.01)
            continue
        file.execute("ROLLBACK")
        file.close()
        return


# A write that does not end

#: No file may grow beyond these: the first stop the opening of a log, the next ones a commit, the last a checkpoint,
#: for by then the write-ahead log is written from its beginning again and only the database grows.
LIMITS = (0, 5_000, 40_000, 90_000, 200_000, 900_001, 4_700_000)


@pytest.mark.parametrize("limit", LIMITS)
def test_a_process_that_dies_in_a_write_goes_on_where_it_stood(
    path: Path, workers: Workers, expected: Dump, limit: int
) -> None:
    status, said = workers.ended(path, limit=-max(limit, 1))
    assert status == -signal.SIGXFSZ, said
    assert workers.ended(path)[0] == 0
    assert_whole(path, expected)


@pytest.mark.parametrize("limit", LIMITS[:-1])
def test_a_full_disk_ends_the_process_and_room_lets_it_go_on(
    path: Path, workers: Workers, expected: Dump, limit: int
) -> None:
    for _ in range(2):  # started again it fares no better, and does no harm
        status, said = workers.ended(path, limit=limit)
        assert status == 70, said
        assert "make room on the disk" in said
    assert workers.ended(path)[0] == 0
    assert_whole(path, expected)


def test_a_checkpoint_without_room_leaves_the_work_in_the_write_ahead_log(
    path: Path, workers: Workers, expected: Dump
) -> None:
    assert workers.ended(path, limit=LIMITS[-1])[0] == 0
    assert path.with_name("log.db-wal").stat().st_size > 0
    assert_whole(path, expected)


@pytest.mark.parametrize("limit", [1, 4_096, 20_000, 33_000])
def test_a_process_that_dies_while_it_makes_the_file_leaves_one_that_can_be_made(
    tmp_path: Path, workers: Workers, limit: int
) -> None:
    path = tmp_path / "new.db"
    assert workers.ended(path, limit=-limit)[0] == -signal.SIGXFSZ
    cluster = SqliteCluster(path)
    create(cluster)
    assert cluster.topics() == {"in": 1, "out": 1, "state": 1}
    cluster.close()


def test_a_feed_that_finds_the_disk_full_has_published_all_or_nothing(path: Path) -> None:
    """SQLite's own word for it, which a limit on the size of the file brings about."""
    cluster = SqliteCluster(path)
    pages = cluster._file.rows("PRAGMA page_count").fetchone()[0]
    cluster._file.rows(f"PRAGMA max_page_count = {pages + 10}")
    before = cluster.end_offset(IN)
    with pytest.raises(LogUnavailable, match="full; make room on the disk"):
        cluster.publish([Out("in", b"n", bytes(10_000)) for _ in range(100)])
    assert cluster.end_offset(IN) == before
    cluster._file.rows("PRAGMA max_page_count = 1000000")
    cluster.publish([Out("in", b"n", b"1")])
    assert [record.offset for record in cluster.read(IN)] == list(range(before + 1))
    cluster.close()


# Others at the same file


def test_killed_at_random_while_another_process_reads(path: Path, workers: Workers, expected: Dump) -> None:
    """Whatever the reader sees, whenever, is the beginning of what there will be."""
    rng = random.Random(9)
    whole = expected["out", 0]
    reader = SqliteCluster(path)
    far = []
    for _ in range(8):
        worker = workers.start(path)
        wait_running(worker)
        until = time.monotonic() + rng.uniform(0.0, 0.15)
        while time.monotonic() < until:
            seen = dump(reader, ["out"])["out", 0]
            assert seen == whole[: len(seen)]
        worker.kill()
        worker.communicate()
        far.append(len(dump(reader, ["out"])["out", 0]))
    reader.close()
    assert far == sorted(far)
    assert workers.ended(path)[0] == 0
    assert_whole(path, expected)


def test_one_that_was_stopped_and_wakes_up_cannot_commit(path: Path, workers: Workers, expected: Dump) -> None:
    """Its lease went to another instance, which has done the work; it stands by, and writes nothing."""
    stopped = workers.start(path, "one", target=COUNT + 1)
    wait_running(stopped)
    stop_unlocked(stopped, path)
    assert workers.ended(path, "two")[0] == 0
    stopped.send_signal(signal.SIGCONT)
    wait_running(stopped)  # the other has left: it takes up what that one left
    assert_whole(path, expected)


def test_the_same_instance_twice_is_one_too_many(path: Path, workers: Workers, expected: Dump) -> None:
    first = workers.start(path, target=COUNT + 1)
    wait_running(first)
    second = workers.start(path, target=COUNT + 1)
    said, _ = first.communicate(timeout=PATIENCE)
    assert first.returncode == 70
    assert "Fenced: instance 'one'" in said
    wait_running(second)
    second.kill()
    assert workers.ended(path)[0] == 0
    assert_whole(path, expected)


def test_a_lock_that_is_held_for_long_ends_the_process(path: Path, workers: Workers, expected: Dump) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    status, said = workers.ended(path)
    assert (status, "locked" in said) == (70, True), said
    other.execute("ROLLBACK")
    other.close()
    assert workers.ended(path)[0] == 0
    assert_whole(path, expected)


# A file that is not what it was


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_deleted_or_replaced_is_noticed(path: Path, replaced: bool) -> None:
    cluster = SqliteCluster(path)
    log = cluster.member(Member("group", "one", ("in",)))
    log.poll(0.0)
    moved = path.with_name("moved.db")
    path.rename(moved)
    if replaced:
        shutil.copy(moved, path)
    with pytest.raises(LogUnavailable, match="deleted, moved or replaced"):
        log.poll(0.0)
    log.send(Out("out", b"k", b"v"))
    with pytest.raises(LogUnavailable, match="deleted, moved or replaced"):
        log.commit({IN: 1})
    with pytest.raises(LogUnavailable, match="deleted, moved or replaced"):
        cluster.publish([Out("in", b"k", b"v")])
    path.unlink(missing_ok=True)
    moved.rename(path)  # put back, it can be used again
    log.commit({IN: 1})
    assert log.committed(IN) == 1
    log.end()
    cluster.close()


def test_damage_is_said_or_hurts_nothing(path: Path, workers: Workers) -> None:
    """Bytes of every page changed at random: an error of ours, or all records at their places.

    SQLite keeps no sums of what records hold: a byte changed in the middle of one is found by whoever decodes it.
    """
    assert workers.ended(path)[0] == 0
    sound = path.read_bytes()
    rng = random.Random(3)
    outcomes: dict[str, int] = {"said": 0, "harmless": 0}
    for _ in range(150):
        data = bytearray(sound)
        page = 4096 * rng.randrange(len(data) // 4096)
        for _ in range(rng.choice((1, 4, 40))):
            data[page + rng.choice((rng.randrange(100), rng.randrange(4096)))] = rng.randrange(256)
        path.write_bytes(data)
        for beside in ("-wal", "-shm"):
            path.with_name(path.name + beside).unlink(missing_ok=True)
        try:
            cluster = SqliteCluster(path)
            try:
                found = [len(list(cluster.read(tp))) for tp in (IN, OUT)]
                cluster.publish([Out("in", b"n", b"1")])
            finally:
                cluster.close()
        except AlvhError:
            outcomes["said"] += 1
        else:
            assert found == [COUNT, COUNT]
            outcomes["harmless"] += 1
    print(f"\n{outcomes}")
    assert min(outcomes.values()) > 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_file_that_was_cut_is_damaged(path: Path, workers: Workers, share: float) -> None:
    assert workers.ended(path)[0] == 0
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(int(size * share))
    status, said = workers.ended(path)
    assert status in (2, 70)
    assert "restore it from a backup" in said


def test_a_file_that_this_user_may_not_write(path: Path, workers: Workers) -> None:
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[2]); from processors.errors import UserError\n"
        "from processors.stream.sqlite import SqliteCluster\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "try: SqliteCluster(sys.argv[1])\n"
        "except UserError as error: print(error)\n"
    )
    path.chmod(0o444)
    folder = path.parent
    opened = [
        (f, f.stat().st_mode) for f in (folder, *folder.parents) if f.is_relative_to("/tmp") and f != Path("/tmp")
    ]
    try:
        for each, mode in opened:
            each.chmod(mode | 0o055)
        folder.chmod(0o555)
        said = subprocess.run(
            [sys.executable, "-c", program, str(path), str(WORKER.parents[2])],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    finally:
        for each, mode in opened:
            each.chmod(mode)
    assert "cannot be written; let this user write it and its folder" in said.stdout, said.stderr
    assert os.access(path, os.R_OK)
