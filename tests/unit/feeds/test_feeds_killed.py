"""A feed into a file that is killed without warning, again and again, and goes on each time."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from feeds_support import write

from processors.feeds.feed import feed
from processors.stream.log import TopicPartition
from processors.stream.sqlite import SqliteCluster
from topics.catalog import MARKET_TICKS

ROWS = 20_000

_FEED = """
import sys
from pathlib import Path
import processors.feeds.feed as module
from processors.stream.sqlite import SqliteCluster
module._MESSAGES = 40
cluster = SqliteCluster(sys.argv[2])
module.feed(Path(sys.argv[1]), cluster, progress=lambda rows, ts, share: print(rows, flush=True))
"""


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    lines = ["event_ts,symbol,last,seq"]
    for i in range(ROWS):
        lines.append(f"2018-02-05T{14 + i // 3600:02}:{i // 60 % 60:02}:{i % 60:02}Z,VIX,{17 + i % 97 / 10:.1f},{i}")
    return write(tmp_path / "recording", ticks="\n".join(lines))


def test_no_tick_is_lost_or_doubled(recording: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.sqlite"
    reached = []
    for kills in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", _FEED, str(recording), str(file)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for _ in range(1 + kills):
            line = child.stdout.readline()
        time.sleep(0.003 * kills)
        child.kill()
        child.wait()
        child.stdout.close()
        reached.append(int(line))
    assert reached == sorted(reached)
    assert reached[-1] < ROWS
    with closing(SqliteCluster(file)) as cluster:
        report = feed(recording, cluster)
        assert report.finished
        assert report.resumed_at >= reached[-1]
        whole = SqliteCluster(tmp_path / "whole.sqlite")
        feed(recording, whole)
        found, expected = (
            [record.value for record in c.read(TopicPartition(MARKET_TICKS, 0))] for c in (cluster, whole)
        )
        whole.close()
    assert len(expected) == ROWS + 1
    assert found == expected
