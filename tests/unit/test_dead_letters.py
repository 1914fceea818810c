"""Dead letters looked at and put back, through the commands and through the log in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processors.cli import main
from processors.commands.dlq import EXIT_SOME_REFUSED
from processors.dead_letters import Wanted, letters, named, newest
from processors.dead_letters_requeue import HEADER, plan, requeue, requeued
from processors.errors import EXIT_USAGE, UserError
from processors.feeds.topics import create_topics
from processors.market import Market
from processors.stream.log import Cluster, Member, Out, Record, TopicPartition
from processors.stream.memory import MemoryCluster
from processors.stream.metrics import Metrics
from processors.stream.runner import Runner, dead_letter_out
from processors.stream.sqlite import SqliteCluster
from topics.calibration import Calibration
from topics.catalog import HEDGE_REGIMES, MARKET_TICKS, PORTFOLIO_SNAPSHOTS, REQUEUES
from topics.codec import ARROW_HEADERS, JSON_HEADERS, encode_ticks
from topics.dead_letter import MAX_ORIGINAL, Refused
from topics.market import Tick
from topics.ticks import columns_of
from topics.times import parse_ts

FILE = "alvh.sqlite"
BAD = b'{"symbol":"NOPE","event_ts":"2018-02-05T15:00:00Z","last":1.0,"market":"US"}'
TICKS = TopicPartition(MARKET_TICKS, 0)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["memory", "sqlite"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    made: Cluster = MemoryCluster() if request.param == "memory" else SqliteCluster(FILE)
    create_topics(made)
    yield made
    made.close()


def process(cluster: Cluster) -> None:
    """Read all that is there with the market processor."""
    market = Market(Calibration())
    log = cluster.member(Member("alvh.market", "0", tuple(given.topic for given in market.inputs)))
    runner = Runner(log, market, Metrics(market.name, market.metrics), commit_interval=0.0)
    runner.drain()
    runner.close()


def put_tick(cluster: Cluster, value: bytes | None = BAD, key: bytes = b"US") -> None:
    cluster.publish([Out(MARKET_TICKS, key, value, (*JSON_HEADERS, ("trace", b"7")))])


def put_letter(cluster: Cluster, value: bytes, key: bytes | None = b"p", topic: str = PORTFOLIO_SNAPSHOTS) -> None:
    """A letter whose record is no longer on its topic."""
    record = Record(topic, 0, 5, 0, key, value)
    cluster.publish([dead_letter_out(record, 0, Refused("invalid", "it says so"), 0, value)])


def back(cluster: Cluster) -> list[Record]:
    return [r for tp in (TICKS, TopicPartition(PORTFOLIO_SNAPSHOTS, 0)) for r in cluster.read(tp) if r.header(HEADER)]


def only(cluster: Cluster) -> str:
    (letter,) = letters(cluster)
    return letter.id


def test_a_letter_has_the_same_id_whenever_it_is_read_and_equal_inputs_have_different_ones(cluster: Cluster) -> None:
    put_tick(cluster)
    put_tick(cluster)
    process(cluster)
    first, second = letters(cluster)
    assert (first.letter, first.original()) == (second.letter, BAD)
    assert first.id != second.id
    assert [one.id for one in letters(cluster)] == [first.id, second.id]
    assert str(first.source) == "market.ticks/0/0/0"


def test_a_record_goes_back_as_it_was_once(cluster: Cluster) -> None:
    put_tick(cluster)
    process(cluster)
    identity = only(cluster)
    done = requeue(cluster, named(cluster, [identity[:8]]))
    assert done.refused == ()
    (again,) = back(cluster)
    assert (again.key, again.value) == (b"US", BAD)
    assert again.headers == (*JSON_HEADERS, ("trace", b"7"), (HEADER, identity.encode()))
    assert requeued(cluster) == {identity}
    process(cluster)
    assert len(list(letters(cluster))) == 2, "it was read anew, and refused anew"
    refused = requeue(cluster, named(cluster, [identity]))
    assert refused.outs == ()
    assert "put back already; --again" in refused.refused[0][1]
    assert len(back(cluster)) == 1
    requeue(cluster, named(cluster, [identity]), again=True)
    assert len(back(cluster)) == 2


def test_a_row_of_a_block_goes_back_as_a_single_tick(cluster: Cluster) -> None:
    times = ("2018-02-05T15:00:00Z", "2090-01-01T00:00:00Z", "2018-02-05T15:00:01Z")
    ticks = [Tick(symbol="VIX", event_ts=parse_ts(ts), last=20.0, market="US") for ts in times]
    block, _ = encode_ticks(columns_of(ticks))
    cluster.publish([Out(MARKET_TICKS, b"US", block, ARROW_HEADERS)])
    process(cluster)
    (letter,) = letters(cluster)
    assert str(letter.source) == "market.ticks/0/0/1"
    assert requeue(cluster, [letter]).refused == ()
    (again,) = back(cluster)
    assert again.value == letter.original()
    assert json.loads(again.value or b"")["symbol"] == "VIX"
    assert again.headers == (*JSON_HEADERS, (HEADER, letter.id.encode()))
    assert again.key == b"US"


def test_what_is_no_longer_on_its_topic_goes_back_from_the_letter(cluster: Cluster) -> None:
    put_letter(cluster, b'{"portfolio_id":"p"}')
    assert requeue(cluster, list(letters(cluster))).refused == ()
    (again,) = back(cluster)
    assert (again.key, again.value) == (b"p", b'{"portfolio_id":"p"}')


@pytest.mark.parametrize(
    ("value", "key", "topic", "why"),
    [
        (b'{"a":"' + b"x" * MAX_ORIGINAL + b'"}', b"p", PORTFOLIO_SNAPSHOTS, "was cut to 262,144 of 262,152 bytes"),
        (b"\xff\xfe", b"p", PORTFOLIO_SNAPSHOTS, "holds no JSON object"),
        (b"[1]", b"p", PORTFOLIO_SNAPSHOTS, "holds no JSON object"),
        (b"{}", b"\xff", PORTFOLIO_SNAPSHOTS, "does not hold the whole key"),
        (b"{}", b"k" * 300, PORTFOLIO_SNAPSHOTS, "does not hold the whole key"),
        (b"{}", b"US", HEDGE_REGIMES, "written by the processors themselves"),
    ],
)
def test_what_cannot_go_back_whole_stays_and_it_says_why(
    cluster: Cluster, value: bytes, key: bytes, topic: str, why: str
) -> None:
    put_letter(cluster, value, key, topic)
    put_letter(cluster, b'{"good":1}')
    done = requeue(cluster, list(letters(cluster)))
    assert [words for _, words in done.refused if why in words] != []
    assert len(done.refused) == len(done.outs) == 1
    assert len(back(cluster)) == 1


def test_a_plan_writes_nothing(cluster: Cluster) -> None:
    put_letter(cluster, b"{}")
    ends: Callable[[], list[int]] = lambda: [  # noqa: E731
        cluster.end_offset(TopicPartition(name, 0)) for name in cluster.topics()
    ]
    before = ends()
    assert len(plan(cluster, letters(cluster)).outs) == 1
    assert ends() == before


def test_letters_are_found_by_topic_reason_and_time() -> None:
    cluster = MemoryCluster()
    create_topics(cluster)
    for second in range(4):
        cluster.now = lambda second=second: second
        put_letter(cluster, b"{}", topic=PORTFOLIO_SNAPSHOTS if second % 2 else MARKET_TICKS)
    assert len(list(letters(cluster, Wanted(topic=MARKET_TICKS)))) == 2
    assert [one.refused_ts for one in letters(cluster, Wanted(since=1, until=3))] == [1, 2]
    assert list(letters(cluster, Wanted(reason="late"))) == []
    assert [one.refused_ts for one in newest(letters(cluster), 2)] == [2, 3]


def test_an_unknown_id_says_what_is_close() -> None:
    cluster = MemoryCluster()
    create_topics(cluster)
    with pytest.raises(UserError, match="there are no dead letters"):
        named(cluster, ["12345678"])
    put_letter(cluster, b"{}")
    identity = only(cluster)
    wrong = identity[:11] + ("0" if identity[11] != "0" else "1")
    with pytest.raises(UserError, match=f"1 searched. Close to it: {identity[:12]}"):
        named(cluster, [wrong])
    with pytest.raises(UserError, match="no id of a dead letter; give 8 or more"):
        named(cluster, ["nonsense"])


# The commands


def filled() -> str:
    """A file with one letter; its id."""
    cluster = SqliteCluster(FILE)
    create_topics(cluster)
    put_tick(cluster)
    process(cluster)
    identity = only(cluster)
    cluster.close()
    return identity


def test_list_and_show(capsys: pytest.CaptureFixture[str]) -> None:
    identity = filled()
    assert main(["dlq", "list"]) == 0
    table = capsys.readouterr().out
    assert identity[:12] in table
    assert "unknown_symbol" in table
    assert main(["dlq", "list", "--json", "--topic", MARKET_TICKS]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert (document["id"], document["letter"]["original"].encode()) == (identity, BAD)
    assert main(["dlq", "list", "--summary", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"topic": MARKET_TICKS, "reason": "unknown_symbol", "count": 1}]
    assert main(["dlq", "show", identity[:8]]) == 0
    page = capsys.readouterr().out
    assert "market.ticks, partition 0, offset 0, row 0" in page
    assert BAD.decode() in page


def test_show_raw_is_the_original_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    identity = filled()
    assert main(["dlq", "show", identity, "--raw"]) == 0
    assert capfdbinary.readouterr().out == BAD


def test_nothing_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    filled()
    assert main(["dlq", "list", "--reason", "late"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "no dead letters in sqlite://alvh.sqlite that fit what was asked for\n")


def test_requeue_looks_asks_and_does_it_once(capsys: pytest.CaptureFixture[str]) -> None:
    identity = filled()
    assert main(["dlq", "requeue", identity, "--dry-run"]) == 0
    assert capsys.readouterr().out == f"{identity[:12]} would go back to market.ticks\n"
    assert main(["dlq", "requeue", identity]) == EXIT_USAGE
    assert "nobody is there to be asked; give --yes" in capsys.readouterr().err
    assert main(["dlq", "requeue", "--topic", MARKET_TICKS, "--yes"]) == 0
    assert capsys.readouterr().out == f"{identity[:12]} went back to market.ticks\n"
    assert main(["dlq", "requeue", identity, "--yes"]) == EXIT_SOME_REFUSED
    assert "stays: it has been put back already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--since", "yesterday"], "--since 'yesterday' is no time; write it like 2018-02-05"),
        (["list", "--reason", "bad"], "--reason 'bad' is none; allowed: tombstone"),
        (["list", "--limit", "0"], "--limit '0' is not possible"),
        (["list"], "there is no file alvh.sqlite"),
        (["requeue"], "nothing is chosen"),
        (["requeue", "12345678", "--topic", "alerts"], "ids or filters, not both"),
    ],
)
def test_what_cannot_be_used_says_so(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dlq", *arguments]) == EXIT_USAGE
    assert words in capsys.readouterr().err
    assert not Path(FILE).exists()


def test_a_log_without_the_topic_of_notes_is_told() -> None:
    cluster = MemoryCluster()
    create_topics(cluster)
    put_letter(cluster, b"{}")
    del cluster._topics[REQUEUES]
    with pytest.raises(UserError, match=r"no topic alvh\.requeues.*alvh topics apply"):
        requeue(cluster, list(letters(cluster)))
