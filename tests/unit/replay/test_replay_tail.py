"""Showing topics to a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from io import StringIO

import pytest
from rich.console import Console

from processors.errors import UserError
from processors.feeds.feed import feed
from processors.feeds.history import write_history
from processors.feeds.topics import create_topics
from processors.replay import replay
from processors.stream.log import Out
from processors.stream.memory import MemoryCluster
from processors.tail import tail
from topics.calibration import Calibration
from topics.catalog import ALL_TOPICS
from topics.codec import JSON_HEADERS
from topics.dead_letter import Refused, dead_letter
from topics.examples import EXAMPLES
from topics.option_chain import OptionChain
from topics.regime import Regime


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> MemoryCluster:
    """A log with a recording in it and what a replay makes of it."""
    folder = tmp_path_factory.mktemp("tail")
    recording = write_history(folder / "in", date(2017, 12, 1), date(2018, 2, 9))
    (recording / "releases.csv").write_text(
        "release_ts,series_id,ref_period,actual,consensus\n2018-01-12T13:30:00Z,CPI_CORE_MOM,2017-12,0.3,0.2\n"
    )
    with (recording / "ticks.csv").open("a") as stream:
        stream.write("2018-02-09T21:15:00Z,VIX,x,,true,broken\n")
    made = MemoryCluster()
    feed(recording, made, block_size=64)
    replay(recording, folder / "out", Calibration(), progress=False)
    for file in (folder / "out").glob("*.jsonl"):
        lines = file.read_bytes().splitlines()
        made.publish([Out(file.stem, b"US", line, JSON_HEADERS) for line in lines])
    return made


def shown(cluster: MemoryCluster, topic: str, **given: object) -> list[str]:
    text = StringIO()
    console = Console(file=text, width=400)
    tail(topic, cluster, console=console, **given)  # type: ignore[arg-type]
    return text.getvalue().splitlines()


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("market.ticks", ["block of", "ticks", "watermark", "unreadable"]),
        ("macro.releases", ["2018-01-12 13:30:00Z", "CPI_CORE_MOM of 2017-12", "actual 0.3"]),
        ("portfolio.snapshots", ["demo", "market value 10000000.00", "beta 1.15", "holds nothing"]),
        ("regime.states", ["2018-02-05", "HIGH", "score", "VIX 37.32", "ratio", "vvix:missing"]),
        ("regime.transitions", ["->", "HIGH"]),
        ("hedge.rebalances", ["demo", "L1", "%", "approvals"]),
        ("alerts", ["2018"]),
        ("dead.letters", ["market.ticks", "invalid", "'x'"]),
    ],
)
def test_each_topic_has_readable_lines(cluster: MemoryCluster, topic: str, words: list[str]) -> None:
    lines = "\n".join(shown(cluster, topic, from_beginning=True))
    for word in words:
        assert word in lines
    assert topic == "dead.letters" or "schema_version" not in lines


def test_newest_oldest_and_how_many(cluster: MemoryCluster) -> None:
    everything = shown(cluster, "regime.states", from_beginning=True)
    assert len(everything) == 48
    assert shown(cluster, "regime.states") == everything[-10:]
    assert shown(cluster, "regime.states", count=3) == everything[-3:]
    assert shown(cluster, "regime.states", count=1000) == everything
    assert shown(cluster, "regime.states", count=3, from_beginning=True) == everything[:3]


def test_raw_is_what_is_in_the_log(cluster: MemoryCluster) -> None:
    assert all(json.loads(line)["kind"] == "close" for line in shown(cluster, "regime.states", raw=True))
    ticks = [json.loads(line) for line in shown(cluster, "market.ticks", raw=True, from_beginning=True)]
    assert {"SPX", "VIX", "VIX3M"} <= {tick.get("symbol") for tick in ticks}
    assert "watermark_ts" in ticks[-1]


def test_follow_shows_what_comes_until_it_is_stopped() -> None:
    cluster = MemoryCluster()
    create_topics(cluster)
    looks = iter(range(3))

    def stop() -> bool:
        look = next(looks)
        cluster.publish([Out("alerts", b"k", f"line {look}".encode())])
        return look == 2

    lines = shown(cluster, "alerts", follow=True, stop=stop)
    assert lines == ["k line 0", "k line 1"]


def test_several_partitions_come_in_the_order_of_the_log() -> None:
    ticking: Iterator[int] = iter(range(1, 100))
    cluster = MemoryCluster(now=lambda: next(ticking))
    create_topics(cluster, 3)
    for i in range(9):
        cluster.publish([Out("alerts", b"k", str(i).encode(), partition=i % 3)])
    assert shown(cluster, "alerts", raw=True, count=4) == ["5", "6", "7", "8"]
    assert shown(cluster, "alerts", raw=True, from_beginning=True) == [str(i) for i in range(9)]


def test_an_unknown_topic_lists_those_that_there_are() -> None:
    cluster = MemoryCluster()
    create_topics(cluster)
    with pytest.raises(UserError, match=r"Did you mean hedge\.rebalances") as caught:
        tail("hedge.rebalance", cluster)
    assert all(topic in str(caught.value) for topic in ALL_TOPICS)
    with pytest.raises(UserError, match="none yet"):
        tail("alerts", MemoryCluster())
    with pytest.raises(UserError, match="does not have it yet"):
        tail("alerts", MemoryCluster())


def test_nothing_in_a_message_steers_the_terminal() -> None:
    cluster = MemoryCluster()
    create_topics(cluster)
    letter = dead_letter(
        "market.ticks", Refused("invalid", "bad \x1b[31m[bold]"), 0 or 10**18, b"US", b"\x1b]0;owned\x07[red]"
    )
    cluster.publish([Out("dead.letters", b"market.ticks", letter.canonical(), JSON_HEADERS)])
    cluster.publish([Out("alerts", b"\x1b[2J", b"\x1b[2J not JSON", JSON_HEADERS), Out("alerts", b"gone", None)])
    text = "\n".join(shown(cluster, "dead.letters") + shown(cluster, "alerts"))
    assert "\x1b" not in text
    assert "\\x1b[31m[bold]" in text
    assert "[red]" in text
    assert "gone: removed" in text


def test_an_option_chain_is_one_line_among_the_regimes() -> None:
    made = MemoryCluster()
    create_topics(made, 1)
    chain = EXAMPLES[OptionChain]
    assert isinstance(chain, OptionChain)
    messages = (chain, EXAMPLES[Regime], chain.model_copy(update={"expiries": ()}))
    made.publish([Out("hedge.regimes", b"US", message.canonical(), JSON_HEADERS) for message in messages])
    first, second, third = shown(made, "hedge.regimes")
    assert first == "2018-02-05 21:15:00Z  US  chain  VIX  1 expiries, 3 strikes  2018-03-21 to 2018-03-21  opra"
    assert "score 75.5" in second
    assert third.startswith("2018-02-05 21:15:00Z  US  chain  VIX  0 expiries, 0 strikes  opra")
