"""Feeding a log: order, resumption, blocks and singles, watermarks."""

from __future__ import annotations

from pathlib import Path

import pytest
from feeds_support import FLOWS, RELEASES, SCHEDULES, minute_ticks, records, tick_rows, write

import processors.feeds.feed as feed_module
from processors.errors import UserError
from processors.feeds.feed import WATERMARK_AFTER, feed
from processors.feeds.pace import Pace
from processors.feeds.topics import create_topics
from processors.stream.memory import MemoryCluster
from processors.stream.partitioner import partition_for
from topics.catalog import ALL_TOPICS, MACRO_RELEASES, MARKET_FLOWS, MARKET_TICKS, PORTFOLIO_SNAPSHOTS
from topics.codec import decode, decode_market
from topics.dead_letter import Refused
from topics.market import Watermark
from topics.times import SECOND, parse_ts


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    releases = RELEASES + "2018-02-05T14:30:00Z,CPI_CORE_MOM,2018-01,0.3,0.2\n"
    portfolios = '{"portfolio_id":"a","as_of":"2018-02-05T14:31:00Z","mv":1000000}\nno JSON\n'
    schedules = SCHEDULES + (
        "2018-02-05T14:10:00Z,FOMC_MINUTES,2018-01-31,2018-02-21T19:00:00Z,\n"
        "2018-02-05T14:20:00Z,FOMC_MINUTES,2018-01-31,soon,\n"
    )
    ticks = minute_ticks(60) + "2018-02-05T15:00:00Z,VIX,abc\n" + minute_ticks(30, start=61).split("\n", 1)[1]
    return write(
        tmp_path / "recording",
        ticks=ticks,
        releases=releases,
        schedules=schedules,
        flows=FLOWS + "no flow\n",
        portfolios=portfolios,
    )


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "_MESSAGES", 7)


def contents(cluster: MemoryCluster) -> dict[str, list[tuple[bytes | None, bytes | None]]]:
    topics = (MARKET_TICKS, MACRO_RELEASES, MARKET_FLOWS, PORTFOLIO_SNAPSHOTS)
    return {topic: [(r.key, r.value) for r in records(cluster, topic)] for topic in topics}


def test_everything_arrives_once_with_a_watermark_at_the_end(recording: Path) -> None:
    cluster = MemoryCluster()
    report = feed(recording, cluster)
    assert report.finished
    assert not report.nothing_to_do
    assert report.rows == 60 + 1 + 30 + 1 + 2 + 5 + 2
    assert report.messages == {MARKET_TICKS: 92, MACRO_RELEASES: 3, MARKET_FLOWS: 5, PORTFOLIO_SNAPSHOTS: 2}
    last = records(cluster, MARKET_TICKS)[-1]
    mark = decode(Watermark, last.value, last.headers)
    assert mark.watermark_ts == parse_ts("2018-02-05T15:30:00Z") + WATERMARK_AFTER
    assert report.watermarks == {"US": mark.watermark_ts}
    assert set(ALL_TOPICS) <= set(cluster.topics())


def test_a_broken_row_is_sent_for_the_processor_to_refuse(recording: Path) -> None:
    cluster = MemoryCluster()
    feed(recording, cluster, block_size=16)
    refused = []
    for record in records(cluster, MARKET_TICKS):
        try:
            decode_market(record.value, record.headers)
        except Refused as reason:
            refused.append(reason.detail)
    assert len(refused) == 1
    assert "'abc'" in refused[0]
    assert [r.value for r in records(cluster, PORTFOLIO_SNAPSHOTS)][1] == b"no JSON"
    assert [r.value for r in records(cluster, MARKET_FLOWS)][4] == b"no flow"
    assert [b'"soon"' in (r.value or b"") for r in records(cluster, MACRO_RELEASES)] == [False, True, False]


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("block_size", [None, 5])
def test_a_feed_stopped_at_any_batch_goes_on_where_it_was(recording: Path, block_size: int | None) -> None:
    whole = MemoryCluster()
    batches = feed(recording, whole, block_size=block_size).batches
    for at in range(batches + 1):
        cluster = MemoryCluster()
        calls = iter(range(10_000))
        first = feed(recording, cluster, block_size=block_size, stop=lambda calls=calls, at=at: next(calls) >= at)
        assert first.finished == (at >= batches)
        second = feed(recording, cluster, block_size=block_size)
        assert second.finished
        assert first.rows == second.resumed_at
        if block_size is None:
            assert contents(cluster) == contents(whole)
        else:
            assert _texts(cluster) == _texts(whole)


@pytest.mark.usefixtures("small_batches")
def test_a_feed_may_go_on_with_another_block_size(recording: Path) -> None:
    whole, cluster = MemoryCluster(), MemoryCluster()
    feed(recording, whole)
    calls = iter(range(100))
    feed(recording, cluster, block_size=11, stop=lambda: next(calls) >= 1)
    report = feed(recording, cluster, block_size=None)
    assert report.resumed_at > 0
    assert _texts(cluster) == _texts(whole)


@pytest.mark.usefixtures("small_batches")
def test_a_feed_that_dies_in_the_middle_of_a_transaction_loses_and_doubles_nothing(recording: Path) -> None:
    class Dying(MemoryCluster):
        left = 6

        def publish(self, outs, *, producer="feed"):  # type: ignore[no-untyped-def]
            self.left -= 1
            if self.left == 0:
                raise RuntimeError("the process dies here")
            super().publish(outs, producer=producer)

    whole, cluster = MemoryCluster(), Dying()
    feed(recording, whole)
    with pytest.raises(RuntimeError, match="dies here"):
        feed(recording, cluster)
    assert feed(recording, cluster).finished
    assert contents(cluster) == contents(whole)


def test_a_second_run_publishes_nothing_and_says_so(recording: Path) -> None:
    cluster = MemoryCluster()
    feed(recording, cluster)
    before = contents(cluster)
    again = feed(recording, cluster)
    assert again.nothing_to_do
    assert again.rows == again.batches == 0
    assert again.resumed_at == 101
    assert contents(cluster) == before
    assert feed(recording, cluster, resume=False).rows == 101


def test_blocks_and_singles_carry_the_same_rows(recording: Path) -> None:
    singles, blocks = MemoryCluster(), MemoryCluster()
    feed(recording, singles)
    feed(recording, blocks, block_size=8)
    assert _texts(singles) == _texts(blocks)
    assert len(records(blocks, MARKET_TICKS)) < len(records(singles, MARKET_TICKS)) / 4


def test_the_watermark_of_a_market_is_where_its_ticks_are(tmp_path: Path) -> None:
    markets = ["US", "EU", "JP", "UK", "CH"]
    lines = [f"2018-02-05T15:0{i}:00Z,VIX,20,{market}" for i, market in enumerate(markets)]
    directory = write(tmp_path / "many", ticks="event_ts,symbol,last,market\n" + "\n".join(lines))
    cluster = MemoryCluster()
    feed(directory, cluster, partitions=4)
    used = {(r.key, r.partition) for r in records(cluster, MARKET_TICKS) if b"watermark_ts" not in (r.value or b"")}
    marked = {(r.key, r.partition) for r in records(cluster, MARKET_TICKS) if b"watermark_ts" in (r.value or b"")}
    assert used == marked == {(m.encode(), partition_for(m.encode(), 4)) for m in markets}
    assert len({partition for _, partition in used}) > 1


def test_topics_keep_their_partitions(tmp_path: Path) -> None:
    cluster = MemoryCluster()
    cluster.create({MARKET_TICKS: 3})
    assert create_topics(cluster) == 3
    assert cluster.topics() == dict.fromkeys(ALL_TOPICS, 3)
    with pytest.raises(UserError, match="exist with 3 partitions, 4 were asked for"):
        create_topics(cluster, 4)
    with pytest.raises(UserError, match="at least 1"):
        create_topics(MemoryCluster(), 0)
    mixed = MemoryCluster()
    mixed.create({MARKET_TICKS: 3, MACRO_RELEASES: 2})
    with pytest.raises(UserError, match=r"market\.ticks 3"):
        create_topics(mixed)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_a_speed_that_is_not_possible(recording: Path, speed: float) -> None:
    with pytest.raises(UserError, match="speed"):
        feed(recording, MemoryCluster(), speed=speed)


def test_speed_paces_and_changes_nothing_else(recording: Path) -> None:
    whole, paced = MemoryCluster(), MemoryCluster()
    feed(recording, whole, block_size=64)
    seen: list[tuple[int, int, float]] = []
    report = feed(recording, paced, block_size=64, speed=36_000.0, progress=lambda *at: seen.append(at))
    assert report.finished
    assert report.batches > 3
    assert _texts(paced) == _texts(whole)
    assert [rows for rows, _, _ in seen] == sorted(rows for rows, _, _ in seen)
    assert seen[-1][0] == 101


def test_pace_sleeps_until_event_time_is_reached() -> None:
    now = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(60.0, nap=0.5, clock=lambda: now[0], sleep=sleep)
    start = parse_ts("2018-02-05T15:00:00Z")
    assert pace.wait(start, lambda: False)
    assert slept == []
    assert pace.wait(start + 90 * SECOND, lambda: False)
    assert sum(slept) == pytest.approx(1.5)
    assert max(slept) <= 0.5
    assert not pace.wait(start + 900 * SECOND, lambda: True)


def _texts(cluster: MemoryCluster) -> tuple[object, ...]:
    """Ticks as documents, whatever they were sent as; everything else as it stands."""
    ticks: list[object] = []
    for record in records(cluster, MARKET_TICKS):
        try:
            ticks += tick_rows([record]) or [record.value]
        except Refused:
            ticks.append(record.value)
    others = {topic: values for topic, values in contents(cluster).items() if topic != MARKET_TICKS}
    return ticks, others
