"""State looked at, and worked out anew: equal when nothing was touched, and told exactly where when something was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from history import (
    CALENDAR,
    close_rows,
    columns_of,
    create,
    join,
    outs_of,
    portfolio,
    processors,
    publish,
    release,
    runner_of,
    single,
    watermark,
)

from processors.cli import main
from processors.commands.state import EXIT_DIFFERENT
from processors.errors import EXIT_USAGE, UserError
from processors.state import saved_states
from processors.state_outputs import ABSENT, first_difference
from processors.state_verify import COMMITS, MERGED, WRITTEN, Verdict, verify
from processors.stream.log import Cluster, Out, TopicPartition
from processors.stream.memory import MemoryCluster
from processors.stream.processor import Processor
from processors.stream.sqlite import SqliteCluster
from topics.catalog import MACRO_RELEASES, MARKET_TICKS, REGIME_STATES, changelog
from topics.message import canonical_json
from topics.times import HOUR, MINUTE, SECOND

MARKET, HEDGE, ALERTS = processors()
FILE = "alvh.sqlite"
DAYS = (date(2018, 5, 1), date(2018, 5, 2))
OPENED = CALENDAR.open_ts(DAYS[0])


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["memory", "sqlite"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    made: Cluster = MemoryCluster(max_records=7) if request.param == "memory" else SqliteCluster(FILE, max_records=7)
    create(made)
    yield made
    made.close()


def ticks(ts: int, vix: float) -> Any:
    return columns_of([{"ts": ts, "symbol": "VIX", "last": vix}, {"ts": ts, "symbol": "SPX", "last": 2650.0}])


def story() -> list[Out]:
    """Two sessions with a storm, a release, a portfolio and what is refused."""
    items: list[Any] = [portfolio("alpha", OPENED, fills="assumed"), single(MARKET_TICKS, "US", b"no tick")]
    for day, close, vix in zip(DAYS, (14.0, 31.0), (14.0, 33.0), strict=True):
        items += [ticks(CALENDAR.open_ts(day) + HOUR + i * 50 * SECOND, vix + i) for i in range(4)]
        items.append(columns_of(close_rows(day, close)))
    items += [release("NFP", OPENED + HOUR + 70 * SECOND, 164.0)]
    items += [watermark(CALENDAR.vix_close_ts(DAYS[1]) + 30 * MINUTE)]
    return outs_of(items, block=None)


def work(cluster: Cluster, *names: Processor) -> None:
    for processor in names or (MARKET, HEDGE, ALERTS):
        runner = runner_of(join(cluster, processor), processor)
        runner.drain()
        runner.close()


def verdict(cluster: Cluster, processor: Processor = MARKET, outputs: bool = True) -> Verdict:
    (state,) = saved_states(cluster, processor.name)
    return verify(cluster, processor, state, outputs=outputs)


def touch(cluster: Cluster, key: bytes, change: Any, processor: Processor = MARKET) -> None:
    """Change the document of one key behind the processor's back."""
    (state,) = saved_states(cluster, processor.name)
    document = json.loads(state.entries[key].value)
    change(document)
    cluster.publish([Out(changelog(processor.name), key, canonical_json(document), partition=0)])


def test_several_partitions_are_each_what_their_inputs_give() -> None:
    cluster = MemoryCluster()
    create(cluster, partitions=2)
    publish(cluster, [*story(), *outs_of([portfolio(name, OPENED) for name in ("beta", "gamma", "delta")], block=None)])
    several = processors(partitions=2)
    work(cluster, *several)
    compared = 0
    for processor in several:
        for state in saved_states(cluster, processor.name):
            if state.positions:
                found = verify(cluster, processor, state, outputs=True)
                assert (found.state, found.outputs) == ((), ()), (processor.name, state.partition)
                compared += 1
    assert compared >= 4


@pytest.mark.parametrize("processor", [MARKET, HEDGE, ALERTS], ids=lambda processor: processor.name)
def test_a_state_that_nobody_touched_is_what_its_inputs_give_and_so_are_the_outputs(
    cluster: Cluster, processor: Processor
) -> None:
    publish(cluster, story())
    work(cluster)
    found = verdict(cluster, processor)
    assert (found.state, found.outputs, found.order) == ((), (), MERGED)
    assert found.keys > 0
    assert found.rows > 0
    assert found.outs > 0


def test_it_is_told_which_value_of_which_key_differs(cluster: Cluster) -> None:
    publish(cluster, story())
    work(cluster, MARKET)
    touch(cluster, b"market/US", lambda document: document.update(version="x"))
    (difference,) = verdict(cluster, outputs=False).state
    assert (difference.where, difference.path, difference.kept) == ("market/US", "version", "x")
    assert "market/US at version: the log has x, the inputs give" in str(difference)


def test_a_key_that_nothing_gives_and_one_that_is_gone_are_told(cluster: Cluster) -> None:
    publish(cluster, story())
    work(cluster, MARKET)
    topic = changelog("market")
    cluster.publish([Out(topic, b"market/US", None, partition=0), Out(topic, b"market/XX", b"{}", partition=0)])
    gone, more = verdict(cluster, outputs=False).state
    assert (gone.where, gone.kept) == ("market/US", ABSENT)
    assert (more.where, more.computed) == ("market/XX", ABSENT)


def test_outputs_that_were_doubled_or_changed_are_told(cluster: Cluster) -> None:
    publish(cluster, story())
    work(cluster, MARKET)
    tp = TopicPartition("regime.transitions", 0)
    doubled = list(cluster.read(tp))[-1]
    cluster.publish([Out(tp.topic, doubled.key, doubled.value, doubled.headers, partition=0)])
    newest = list(cluster.read(TopicPartition(REGIME_STATES, 0)))[-1]
    changed = canonical_json({**json.loads(newest.value or b""), "score": 1.0})
    cluster.publish([Out(REGIME_STATES, newest.key, changed, newest.headers, partition=0)])
    found = verdict(cluster)
    assert found.state == ()
    told = {difference.where.split("/")[0]: difference for difference in found.outputs}
    assert told.keys() == {"regime.transitions", "regime.states"}
    assert told["regime.transitions"].computed == ABSENT
    assert (told["regime.states"].path, told["regime.states"].kept) == ("score", 1.0)


def late_release() -> tuple[list[Out], list[Out]]:
    """What is written first, and a release that is written when later ticks have been taken."""
    outs = story()
    late = [out for out in outs if out.topic == MACRO_RELEASES]
    return [out for out in outs if out.topic != MACRO_RELEASES], late


def live(cluster: Cluster, *parts: Sequence[Out]) -> None:
    """Write the parts one after the other while the market processor keeps up."""
    runner = runner_of(join(cluster, MARKET), MARKET)
    for part in parts:
        publish(cluster, part)
        runner.drain()
    runner.close()


def test_a_release_that_was_written_late_is_found_to_be_right_by_the_commits() -> None:
    cluster = MemoryCluster()
    create(cluster)
    live(cluster, *late_release())
    found = verdict(cluster)
    assert (found.state, found.outputs, found.order) == ((), (), COMMITS)


def test_and_when_compaction_has_removed_the_commits_by_the_order_in_which_it_was_written(cluster: Cluster) -> None:
    live(cluster, *late_release())
    if isinstance(cluster, MemoryCluster):
        cluster.compact(changelog("market"))
    found = verdict(cluster)
    assert (found.state, found.outputs, found.order) == ((), (), WRITTEN)


def test_inputs_past_their_retention_are_told() -> None:
    cluster = MemoryCluster()
    create(cluster)
    publish(cluster, story())
    work(cluster, MARKET)
    cluster.trim(MARKET_TICKS, 0, 3)
    with pytest.raises(UserError, match=r"records 0 to 2 of market\.ticks/0 are past their retention"):
        verdict(cluster)


def test_outputs_that_compaction_and_retention_removed_are_not_missed() -> None:
    cluster = MemoryCluster()
    create(cluster)
    publish(cluster, story())
    work(cluster, MARKET)
    cluster.compact(REGIME_STATES)
    cluster.trim("hedge.regimes", 0, 2)
    assert verdict(cluster).equal


def test_a_processor_that_goes_on_meanwhile_is_told() -> None:
    cluster = MemoryCluster()
    create(cluster)
    publish(cluster, story())
    work(cluster, MARKET)
    (before,) = saved_states(cluster, "market")
    opened = CALENDAR.open_ts(date(2018, 5, 3))
    publish(cluster, outs_of([ticks(opened + i * MINUTE, 20.0 + i) for i in range(5)], block=None))
    work(cluster, MARKET)
    with pytest.raises(UserError, match=r"running and has gone on.*stop it, and verify again"):
        verify(cluster, MARKET, before, outputs=True)


def test_a_state_that_was_never_committed_is_told(cluster: Cluster) -> None:
    with pytest.raises(UserError, match="holds no state"):
        verdict(cluster)


@pytest.mark.parametrize(
    ("kept", "computed", "path", "values"),
    [
        (b'{"a":{"b":[1,2]}}', b'{"a":{"b":[1,3]}}', "a.b.1", (2, 3)),
        (b'{"a":1}', b'{"a":1,"b":2}', "b", (ABSENT, 2)),
        (b"[1]", b"[1,2]", "1", (ABSENT, 2)),
        (b"text", b"other", "", ("text", "other")),
        (None, b"1", "", (ABSENT, 1)),
    ],
)
def test_the_first_difference_of_two_documents(kept: Any, computed: Any, path: str, values: tuple[Any, Any]) -> None:
    found = first_difference("key", kept, computed)
    assert (found.path, found.kept, found.computed) == (path, *values)


# The commands


def filled(*names: Processor) -> None:
    cluster = SqliteCluster(FILE)
    create(cluster)
    publish(cluster, story())
    work(cluster, *names)
    cluster.close()


def test_inspect(capsys: pytest.CaptureFixture[str]) -> None:
    filled()
    assert main(["state", "inspect", "market"]) == 0
    table = capsys.readouterr().out
    assert "market/US" in table
    assert MARKET_TICKS in table
    assert main(["state", "inspect", "hedge", "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert "portfolio/alpha" in {one["key"] for one in document["keys"]}
    assert document["positions"].keys() == {"hedge.regimes", "portfolio.snapshots"}
    assert main(["state", "inspect", "hedge", "--key", "portfolio/alpha"]) == 0
    assert json.loads(capsys.readouterr().out)["portfolio"]["mv"] == "5000000.00"
    assert main(["state", "inspect", "hedge", "--key", "portfolio/alfa"]) == EXIT_USAGE
    assert "such as: portfolio/alpha" in capsys.readouterr().err


def test_verify(capsys: pytest.CaptureFixture[str]) -> None:
    filled()
    assert main(["state", "verify", "hedge", "--outputs"]) == 0
    assert "outputs are what" in capsys.readouterr().out
    cluster = SqliteCluster(FILE)
    touch(cluster, b"portfolio/alpha", lambda document: document["portfolio"].update(mv=1.0), HEDGE)
    cluster.close()
    assert main(["state", "verify", "hedge"]) == EXIT_DIFFERENT
    assert "portfolio/alpha at portfolio.mv: the log has 1.0" in capsys.readouterr().out
    assert main(["state", "verify", "hedge", "--json", "--partition", "0"]) == EXIT_DIFFERENT
    (document,) = json.loads(capsys.readouterr().out)
    assert document["state"][0]["path"] == "portfolio.mv"


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_what_cannot_be_used_says_so(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["state", command, "market"]) == EXIT_USAGE
    assert "there is no file alvh.sqlite" in capsys.readouterr().err
    cluster = SqliteCluster(FILE)
    create(cluster)
    cluster.close()
    assert main(["state", command, "market", "--partition", "3"]) == EXIT_USAGE
    assert "partitions 0 to 0, not 3" in capsys.readouterr().err
    main(["state", command, "market"])
    assert "market has no state in sqlite://alvh.sqlite: nothing was ever committed" in capsys.readouterr().err


def test_the_loop_that_works_out_anew_writes_nothing(cluster: Cluster) -> None:
    publish(cluster, story())
    work(cluster, MARKET)
    before = {name: cluster.end_offset(TopicPartition(name, 0)) for name in cluster.topics()}
    assert verdict(cluster).equal
    assert {name: cluster.end_offset(TopicPartition(name, 0)) for name in cluster.topics()} == before
