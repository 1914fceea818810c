"""The SQLite log: leases, several processes at once, dying in a commit, files that cannot be used."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from processors.errors import DeadlineExceeded, Fenced, Rebalanced, UserError
from processors.stream import sqlite_file
from processors.stream.log import Member, Out, Poll, Reach, TopicPartition
from processors.stream.sqlite import SqliteCluster, SqliteLog
from processors.stream.sqlite_file import packed, unpacked

IN, OUT = TopicPartition("in", 0), TopicPartition("out", 0)
ONE, TWO = (Member("group", name, ("in",)) for name in ("one", "two"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def cluster(path: Path) -> Iterator[SqliteCluster]:
    made = SqliteCluster(path, lease=0.3)
    made.create({"in": 2, "out": 1, "state": 1}, compacted=frozenset({"state"}))
    yield made
    made.close()


def wait_owned(log: SqliteLog) -> Poll:
    deadline = time.monotonic() + 10
    while not (polled := log.poll(0.05)).partitions:
        assert time.monotonic() < deadline
    return polled


# Leases


def test_another_instance_waits_until_the_lease_ends(cluster: SqliteCluster) -> None:
    one, two = cluster.member(ONE), cluster.member(TWO)
    first = wait_owned(one)
    assert two.poll(0.0) == Poll(frozenset(), 0)
    with pytest.raises(Rebalanced):
        two.commit({IN: 1})
    until = time.monotonic() + 0.6
    while time.monotonic() < until:  # a member that polls keeps its lease
        assert one.poll(0.01).partitions == {0, 1}
        assert two.poll(0.0).partitions == frozenset()
    one.send(Out("out", b"k", b"lost"))
    silent = time.monotonic()
    second = wait_owned(two)
    assert 0.1 < time.monotonic() - silent < 2.0
    assert second.generation != first.generation
    with pytest.raises(Rebalanced):
        one.commit({IN: 5})
    assert one.poll(0.0) == Poll(frozenset(), 0)
    assert two.committed(IN) is None
    assert list(cluster.read(OUT)) == []
    two.end()
    third = wait_owned(one)  # and it may have it back
    assert third.generation > second.generation
    with pytest.raises(ValueError, match="owned"):
        one.seek(TopicPartition("in", 7), 0)
    assert one.poll(0.0).records == {}
    one.end()


def test_a_lease_that_ended_and_that_nobody_wanted_goes_on(cluster: SqliteCluster) -> None:
    log = cluster.member(ONE)
    first = wait_owned(log)
    time.sleep(0.5)
    log.commit({IN: 3})
    assert log.poll(0.0).generation == first.generation
    log.end()


def test_the_same_instance_takes_over_at_once(cluster: SqliteCluster) -> None:
    old = cluster.member(ONE)
    wait_owned(old)
    new = cluster.member(ONE)
    assert new.poll(0.0).partitions == {0, 1}
    with pytest.raises(Fenced):
        old.poll(0.0)
    with pytest.raises(Fenced):
        old.commit({IN: 1})
    old.end()
    new.commit({IN: 1})  # the old one's end has not given the new one's lease away
    new.end()


def test_a_commit_before_the_first_poll_is_refused(cluster: SqliteCluster) -> None:
    log = cluster.member(ONE)
    log.send(Out("out", b"k", b"v"))
    with pytest.raises(Rebalanced):
        log.commit({})
    assert list(cluster.read(OUT)) == []
    log.end()


# Several processes

WRITER = """
import sys
from processors.stream.log import Out
from processors.stream.sqlite import SqliteCluster
cluster = SqliteCluster(sys.argv[1])
cluster.create({"in": 2, "out": 1, "state": 1}, compacted=frozenset({"state"}))
for number in range(int(sys.argv[3])):
    cluster.publish([Out("in", b"k", b"%s %d %d" % (sys.argv[2].encode(), number, part)) for part in range(3)])
cluster.close()
"""

COMMITTER = """
import sys
from processors.stream.log import Member, Out, TopicPartition
from processors.stream.sqlite import SqliteCluster
cluster = SqliteCluster(sys.argv[1])
log = cluster.member(Member("group", "one", ("in",)))
log.poll(0.0)
place = TopicPartition("in", 0)
number = log.committed(place) or 0
print("ready", flush=True)
while True:
    number += 1
    for part in range(20):
        log.send(Out("out", b"k", b"%d %d" % (number, part) + bytes(5000)))
    log.commit({place: number})
"""


def python(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE)


def test_processes_that_create_and_write_at_the_same_time(path: Path) -> None:
    rounds = 60
    writers = [python(WRITER, str(path), name, str(rounds)) for name in "abcd"]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    cluster = SqliteCluster(path)
    found = [record for n in range(2) for record in cluster.read(TopicPartition("in", n))]
    assert [record.offset for record in found] == list(range(4 * 3 * rounds))
    seen = [(record.value or b"").split() for record in found]
    for name in (b"a", b"b", b"c", b"d"):  # each writer's records in its order, each batch in one piece
        assert [(int(n), int(p)) for who, n, p in seen if who == name] == [
            (n, p) for n in range(rounds) for p in range(3)
        ]
    assert all(seen[at][:2] == seen[at + 2][:2] for at in range(0, len(seen), 3))
    cluster.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_process_killed_while_it_commits_loses_and_doubles_nothing(path: Path, cluster: SqliteCluster) -> None:
    for attempt in range(8):
        process = python(COMMITTER, str(path))
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.02 + 0.013 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=10)
        log = cluster.member(Member("group", "one", ("in",)))
        log.poll(0.0)
        committed = log.committed(IN) or 0
        numbers = [tuple(map(int, (record.value or b"").rstrip(b"\0").split())) for record in cluster.read(OUT)]
        assert numbers == [(number, part) for number in range(1, committed + 1) for part in range(20)]
        log.end()
    assert committed > 8
    file = sqlite3.connect(path)
    assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    file.close()


def test_a_poll_sees_what_another_connection_writes(path: Path, cluster: SqliteCluster) -> None:
    log = cluster.member(ONE)
    wait_owned(log)
    log.seek(IN, 0)
    assert log.poll(0.0).records == {}
    other = SqliteCluster(path)
    other.publish([Out("in", b"k", b"v", partition=0)])
    assert len(log.poll(1.0).records[IN]) == 1
    assert log.reach(IN) == Reach(1, 1, 1)
    other.close()
    log.end()


def test_a_member_sees_what_it_wrote_itself(cluster: SqliteCluster) -> None:
    log = cluster.member(ONE)
    wait_owned(log)
    log.seek(IN, 0)
    assert log.poll(0.0).records == {}
    log.send(Out("in", b"k", b"v", partition=0))
    log.commit({})
    assert len(log.poll(0.0).records[IN]) == 1
    log.end()


def test_a_writer_that_holds_the_file_for_too_long(
    path: Path, cluster: SqliteCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT", 0.1)
    quick = SqliteCluster(path)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(DeadlineExceeded, match="locked"):
        quick.publish([Out("in", b"k", b"v")])
    blocker.execute("ROLLBACK")
    quick.publish([Out("in", b"k", b"v")])
    blocker.close()
    quick.close()


# What is in the file


def test_a_compacted_topic_is_always_compact(cluster: SqliteCluster) -> None:
    state = TopicPartition("state", 0)
    cluster.publish([Out("state", b"a", b"1"), Out("state", b"a", b"2"), Out("state", b"b", b"1")])
    assert [(r.offset, r.key, r.value) for r in cluster.read(state)] == [(1, b"a", b"2"), (2, b"b", b"1")]
    cluster.publish([Out("state", b"b", None), Out("state", b"a", b"3"), Out("state", b"never there", None)])
    assert [(r.offset, r.key, r.value) for r in cluster.read(state)] == [(4, b"a", b"3")]
    assert cluster.end_offset(state) == 6
    cluster.publish([Out("state", b"c", b"1"), Out("state", b"c", None)])
    assert [r.key for r in cluster.read(state)] == [b"a"]


def test_retention_deletes_by_age(cluster: SqliteCluster) -> None:
    cluster.publish([Out("in", b"k", b"old", partition=0)] * 3)
    between = time.time_ns()
    cluster.publish([Out("in", b"k", b"young", partition=0)])
    assert cluster.trim("in", between) == 3
    assert [(r.offset, r.value) for r in cluster.read(IN)] == [(3, b"young")]
    assert cluster.trim("in", between) == 0
    assert cluster.trim("in", time.time_ns() + 1) == 1
    log = cluster.member(ONE)
    assert log.beginning(IN) == cluster.end_offset(IN) == 4
    log.end()
    with pytest.raises(UserError, match="newest"):
        cluster.trim("state", between)


def test_a_poll_stops_at_its_bytes_and_at_its_records(path: Path, cluster: SqliteCluster) -> None:
    cluster.publish([Out("in", b"k", bytes(1000), partition=0) for _ in range(10)])
    for limits, expected in (({"max_bytes": 2500}, 3), ({"max_records": 4}, 4), ({"max_bytes": 1}, 1)):
        small = SqliteCluster(path, **limits)
        log = small.member(ONE)
        wait_owned(log)
        log.seek(IN, 0)
        assert len(log.poll(0.0).records[IN]) == expected
        log.end()
        small.close()


def test_headers_round_trip() -> None:
    for headers in ((), (("a", b""),), (("ünï", bytes(range(256))), ("ünï", b"2"), ("", b""))):
        assert unpacked(packed(headers) or b"") == headers


def test_the_file_is_its_owners_alone(path: Path, cluster: SqliteCluster) -> None:
    cluster.publish([Out("in", b"k", b"v")])
    for file in (path, path.with_name("log.db-wal"), path.with_name("log.db-shm")):
        assert file.stat().st_mode & 0o777 == 0o600


# Files that cannot be used


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(UserError, match="move it away or restore it from a backup"):
        SqliteCluster(path)
    assert path.read_bytes() == b"not a database" * 1000


def test_a_database_of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(UserError, match="another program"):
        SqliteCluster(path)


def test_a_file_of_another_version(path: Path, cluster: SqliteCluster) -> None:
    cluster.close()
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(UserError, match="layout 99"):
        SqliteCluster(path)


def test_a_folder_that_does_not_exist(path: Path) -> None:
    with pytest.raises(UserError, match="folder that exists"):
        SqliteCluster(path / "nowhere" / "log.db")
    with pytest.raises(UserError, match="cannot open"):
        SqliteCluster(path.parent)
