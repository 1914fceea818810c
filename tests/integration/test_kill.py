"""kill -9 at random moments: nothing is lost, doubled or moved.

``alvh run market`` runs as a process of its own over ticks that are in the log already. It is killed when it has come
so far, or a moment after its start, and started again. What it has written in the end is compared with what one
uninterrupted run over the log in memory writes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from history import (
    CALENDAR,
    Dump,
    Item,
    columns_of,
    compare,
    create,
    dump,
    fresh_topics,
    join,
    outs_of,
    processors,
    publish,
    release,
    runner_of,
    session_rows,
    shown,
    watermark,
    work_off,
)

from processors.stream.log import Cluster, Out, TopicPartition
from processors.stream.memory import MemoryCluster
from processors.stream.open import open_cluster
from topics.catalog import (
    DEAD_LETTERS,
    HEDGE_REGIMES,
    MACRO_RELEASES,
    MARKET_FLOWS,
    MARKET_TICKS,
    REGIME_MARKS,
    REGIME_STATES,
    REGIME_TRANSITIONS,
)
from topics.times import HOUR

WRITTEN = (REGIME_STATES, REGIME_MARKS, REGIME_TRANSITIONS, HEDGE_REGIMES, DEAD_LETTERS)
PROGRESS = TopicPartition(HEDGE_REGIMES, 0)
FIRST, LAST = date(2018, 5, 1), date(2018, 5, 3)
PATIENCE = 60.0


@pytest.fixture(scope="module")
def ticks() -> list[Out]:
    """Three sessions of a tick of each of eight instruments every 15 seconds, refused and late rows among them.

    No releases: a member that has two inputs to read on from reads many ticks before its first commit.
    """
    rng = random.Random(1987)
    items: list[Item] = []
    for day in CALENDAR.sessions(FIRST, LAST):
        path = [rng.uniform(12, 40) for _ in range(8)]
        items.append(columns_of(session_rows(day, path, rng, step=15)))
    items.append(watermark(CALENDAR.vix_close_ts(LAST) + 12 * HOUR))
    return outs_of(items, block=None)


@pytest.fixture(scope="module")
def expected(ticks: list[Out]) -> Dump:
    return uninterrupted(ticks)


def uninterrupted(ticks: list[Out]) -> Dump:
    cluster = MemoryCluster()
    create(cluster)
    publish(cluster, ticks)
    work_off(cluster, processors()[0])
    return dump(cluster, WRITTEN)


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """A broker of this module's own: its topics are deleted."""
    from kafka_broker import missing, start_kafka

    if reason := missing():
        pytest.skip(reason)
    with start_kafka() as nodes:
        yield nodes.bootstrap


class Child:
    """``alvh run market`` as a process; its log lines go to a file."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.lines, self.process = url, folder / "child.log", None
        self.folder, self.begun = folder, 0

    def start(self) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ALVH_")}
        environment |= {"ALVH_LOG": self.url, "ALVH_HTTP_PORT": "0", "ALVH_COMMIT_INTERVAL_SECONDS": "0.02"}
        environment["ALVH_MAX_POLL_RECORDS"] = "500"  # or all would be done in two polls, and nothing be interrupted
        with self.lines.open("ab") as lines:
            self.begun = lines.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "processors.cli", "run", "market"],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
            )
        return self.process

    def running(self) -> bool:
        """It has said so since it was last started; before that it may not be listening to signals yet."""
        return b"market is running" in self.lines.read_bytes()[self.begun :]

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, f"it ended by itself:\n{self.tail()}"
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait(10) == -signal.SIGKILL

    def terminate(self) -> int:
        assert self.process is not None
        assert self.process.poll() is None, f"it ended by itself:\n{self.tail()}"
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def tail(self) -> str:
        return self.lines.read_text(errors="replace")[-3000:]


@pytest.fixture
def child(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    made: list[Child] = []

    def start(url: str) -> Child:
        made.append(Child(url, tmp_path))
        return made[-1]

    yield start
    for one in made:
        one.end()


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def log(request: pytest.FixtureRequest, tmp_path: Path, ticks: list[Out]) -> Iterator[tuple[str, Cluster]]:
    """A log with the ticks in it: its URL, and a connection."""
    if request.param == "sqlite":
        url = f"sqlite://{tmp_path / 'log.db'}"
    else:
        servers = request.getfixturevalue("broker")
        fresh_topics(servers)
        url = f"kafka://{servers}"
    cluster = open_cluster(url)
    create(cluster)
    publish(cluster, ticks, 5000)
    yield url, cluster
    cluster.close()


class Progress:
    """Regimes committed so far."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.offset, self.count = cluster, 0, 0
        self.moved = time.monotonic()

    def look(self) -> int:
        for record in self.cluster.read(PROGRESS, self.offset):
            self.offset, self.count = record.offset + 1, self.count + 1
            self.moved = time.monotonic()
        return self.count

    def over(self, total: int) -> bool:
        """All is there, or nothing has come for so long that the comparison will show what is missing."""
        return self.look() >= total or time.monotonic() - self.moved > PATIENCE / 2


def wait_for(what: str, done: Callable[[], bool], child: Child, every: float = 0.05) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert child.process is not None
        assert child.process.poll() is None, f"waiting for {what}, but it ended by itself:\n{child.tail()}"
        assert time.monotonic() < deadline, f"waited in vain for {what}:\n{child.tail()}"
        time.sleep(every)


def finish(child: Child, cluster: Cluster, expected: Dump) -> Dump:
    """Let the child go on until all is read, end it in order, and return what it wrote."""
    child.start()
    total, progress = len(expected[HEDGE_REGIMES, 0]), Progress(cluster)
    wait_for("the start", child.running, child)
    wait_for("the end of the ticks", lambda: progress.over(total), child, 0.1)
    time.sleep(0.5)  # for what should not come
    assert child.terminate() == 0, child.tail()
    return dump(cluster, WRITTEN)


def test_killed_at_random_moments(
    log: tuple[str, Cluster], expected: Dump, ticks: list[Out], child: Callable[[str], Child]
) -> None:
    url, cluster = log
    kills = 12 if url.startswith("kafka") else 10
    rng = random.Random(kills)
    one = child(url)
    total, progress = len(expected[HEDGE_REGIMES, 0]), Progress(cluster)
    reached: list[int] = []
    for number in range(1, kills + 1):
        one.start()
        if number % 4 == 0:
            time.sleep(rng.uniform(0.2, 1.8))  # while it loads, joins, restores or begins to read
        else:
            far = min(max(total * number // (kills + 1), progress.count + 1), total)
            wait_for(f"{far} regimes", lambda far=far: progress.look() >= far, one)  # type: ignore[misc]
            time.sleep(rng.uniform(0, 0.1))
        one.kill()
        reached.append(progress.look())
    seen = finish(one, cluster, expected)
    verdict = compare(expected, seen)
    print(
        f"\n{url.partition(':')[0]}: {len(ticks)} ticks, {kills} kills after {reached} of {total} regimes\n  {verdict}"
    )
    assert len({count for count in reached if count < total}) >= kills // 3, "the kills must fall into the work"
    assert verdict.clean, f"{verdict}\n{shown(seen)}\nexpected:\n{shown(expected)}"


def test_asked_to_end_it_leaves_nothing_behind(
    log: tuple[str, Cluster], expected: Dump, ticks: list[Out], child: Callable[[str], Child]
) -> None:
    """SIGTERM: status 0, and what is committed is exactly what the committed positions account for."""
    url, cluster = log
    one = child(url)
    one.start()
    progress = Progress(cluster)
    wait_for("a third", lambda: progress.look() >= len(expected[HEDGE_REGIMES, 0]) // 3, one)
    assert one.terminate() == 0, one.tail()
    seen = dump(cluster, WRITTEN)
    assert 0 < len(seen[HEDGE_REGIMES, 0]) < len(expected[HEDGE_REGIMES, 0])
    positions = committed(cluster)
    kept = [
        out
        for topic, position in positions.items()
        for out, offset in zip([o for o in ticks if o.topic == topic], offsets(cluster, topic), strict=True)
        if offset < position
    ]
    print(f"\n{url.partition(':')[0]}: ended at {positions}")
    assert compare(uninterrupted(kept), seen).clean
    # Whoever starts next need not wait for the one that left
    assert compare(expected, finish(one, cluster, expected)).clean


@pytest.mark.kafka
def test_a_backlog_of_more_than_the_buffers_hold_is_read_to_its_end(
    broker: str, ticks: list[Out], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks are paused while releases are still being read, and go on afterwards."""
    monkeypatch.setattr("processors.stream.runner.PAUSE_AT", len(ticks) // 2)
    monkeypatch.setattr("processors.stream.runner.RESUME_AT", len(ticks) // 8)
    releases = [release("NFP", CALENDAR.open_ts(day) + HOUR, 1.0) for day in CALENDAR.sessions(FIRST, LAST)]
    backlog = [*outs_of(releases, block=None), *ticks]
    expected = uninterrupted(backlog)
    fresh_topics(broker)
    cluster = open_cluster(f"kafka://{broker}")
    publish(cluster, backlog, 5000)
    market = processors()[0]
    runner = runner_of(join(cluster, market), market, 0.05)
    taken, deadline = 0, time.monotonic() + PATIENCE
    while taken < len(backlog) and time.monotonic() < deadline:
        taken += runner.step(0.1)
    runner.close()
    seen = dump(cluster, WRITTEN)
    cluster.close()
    assert taken == len(backlog), f"{taken} of {len(backlog)} rows were taken, then nothing came any more"
    assert compare(expected, seen).clean


def committed(cluster: Cluster) -> dict[str, int]:
    """The positions that the group of the market processor committed."""
    market = processors()[0]
    member = join(cluster, market)
    try:
        while not member.poll(0.1).partitions:
            pass
        found = {given.topic: member.committed(TopicPartition(given.topic, 0)) for given in market.inputs}
    finally:
        member.end()
    assert found.keys() == {MACRO_RELEASES, MARKET_FLOWS, MARKET_TICKS}
    return {topic: offset or 0 for topic, offset in found.items()}


def offsets(cluster: Cluster, topic: str) -> list[int]:
    return [record.offset for record in cluster.read(TopicPartition(topic, 0))]
