"""Plans for topics, against a cluster that is made up, a log in memory, a SQLite file, and a real Kafka."""

from __future__ import annotations

import gc
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from processors.config import load
from processors.errors import LogUnavailable, UserError
from processors.stream.memory import MemoryCluster
from processors.topic_admin import ClusterTopics, KafkaTopics, description, topic_admin
from processors.topic_plan import EXIT_REFUSED, Plan, TopicState, apply, plan
from topics.catalog import ALERTS, ALL_TOPICS, HEDGE_REGIMES, MARKET_TICKS, REGIME_STATES, Topic
from topics.kafka import topic_config

ONE = {MARKET_TICKS: ALL_TOPICS[MARKET_TICKS]}


class FakeTopics:
    """Topics in a dictionary, and what was done to them."""

    def __init__(self, existing: Mapping[str, TopicState] | None = None) -> None:
        self.existing = dict(existing or {})
        self.calls: list[tuple[str, str]] = []

    def topics(self) -> dict[str, TopicState]:
        return dict(self.existing)

    def create(self, topic: Topic, partitions: int, replicas: int, config: Mapping[str, str]) -> None:
        self.calls.append(("create", topic.name))
        self.existing[topic.name] = TopicState(partitions, replicas, dict(config))

    def change(self, topic: str, config: Mapping[str, str]) -> None:
        self.calls.append(("change", topic))
        state = self.existing[topic]
        self.existing[topic] = replace(state, config={**state.config, **config})


def of_ticks(partitions: int = 4, replicas: int | None = 3, **config: str) -> FakeTopics:
    """A cluster that has market.ticks alone, as in the catalog but for ``config`` (dots written as underscores)."""
    changed = {key.replace("_", "."): value for key, value in config.items()}
    return FakeTopics(
        {MARKET_TICKS: TopicState(partitions, replicas, {**topic_config(ONE[MARKET_TICKS], 3), **changed})}
    )


def actions(found: Plan) -> list[str]:
    return [step.action for step in found.steps]


def test_missing_topics_are_created_as_the_catalog_says_and_then_nothing_is_left_to_do() -> None:
    admin = FakeTopics()
    first = plan(admin, ALL_TOPICS, 4, 3)
    assert set(actions(first)) == {"create"}
    apply(admin, ALL_TOPICS, first)
    assert set(admin.existing) == set(ALL_TOPICS)
    ticks = admin.existing[MARKET_TICKS]
    assert ticks.partitions == 4
    assert ticks.replicas == 3
    assert ticks.config["min.insync.replicas"] == "2"
    assert int(ticks.config["max.message.bytes"]) > 8 * 1024 * 1024
    assert ticks.config["retention.ms"] == str(7 * 86_400_000)
    assert admin.existing[REGIME_STATES].config["cleanup.policy"] == "compact"
    assert "retention.ms" not in admin.existing[REGIME_STATES].config
    second = plan(admin, ALL_TOPICS, 4, 3)
    assert second.done
    assert second.exit_status == 0
    admin.calls.clear()
    apply(admin, ALL_TOPICS, second)
    assert admin.calls == []


@pytest.mark.parametrize(
    ("partitions", "words"), [(2, "other partitions than their history"), (8, "cannot be taken away")]
)
def test_another_partition_count_is_refused_either_way(partitions: int, words: str) -> None:
    found = plan(of_ticks(partitions), ONE, 4, 3)
    (step,) = found.of("refuse")
    assert words in step.what
    assert f"Set partitions = {partitions}" in step.what
    assert found.exit_status == EXIT_REFUSED


def test_fewer_copies_are_refused_and_more_are_fine() -> None:
    (step,) = plan(of_ticks(replicas=1, min_insync_replicas="1"), ONE, 4, 3).of("refuse")
    assert "kafka-reassign-partitions" in step.what
    assert plan(of_ticks(replicas=5), ONE, 4, 3).done


@pytest.mark.parametrize(
    ("topic", "key", "value", "words"),
    [
        (MARKET_TICKS, "cleanup.policy", "compact", "deleted by age"),
        (MARKET_TICKS, "retention.ms", "-1", "shorter retention deletes"),
        (MARKET_TICKS, "retention.ms", str(30 * 86_400_000), "shorter retention deletes"),
        (MARKET_TICKS, "min.insync.replicas", "3", "fewer copies"),
    ],
)
def test_a_change_that_would_lose_something_is_refused_with_the_reason(
    topic: str, key: str, value: str, words: str
) -> None:
    admin = of_ticks(**{key.replace(".", "_"): value})
    found = plan(admin, {topic: ALL_TOPICS[topic]}, 4, 3)
    assert actions(found) == ["refuse"]
    assert words in found.steps[0].what
    assert value in found.steps[0].what
    apply(admin, ONE, found)
    assert admin.calls == []


def test_a_safe_change_is_made_once() -> None:
    admin = of_ticks(retention_ms="1000", max_message_bytes="1048588", min_insync_replicas="1")
    found = plan(admin, ONE, 4, 3)
    assert actions(found) == ["change"]
    assert "retention.ms 1000 -> 604800000" in found.steps[0].what
    apply(admin, ONE, found)
    assert plan(admin, ONE, 4, 3).done


def test_an_apply_that_dies_at_any_step_is_finished_by_the_next() -> None:
    class Dying(FakeTopics):
        left = 0

        def create(self, topic: Topic, partitions: int, replicas: int, config: Mapping[str, str]) -> None:
            if self.left == 0:
                raise LogUnavailable("gone")
            self.left -= 1
            super().create(topic, partitions, replicas, config)

    for steps in range(len(ALL_TOPICS)):
        admin = Dying()
        admin.left = steps
        with pytest.raises(LogUnavailable):
            apply(admin, ALL_TOPICS, plan(admin, ALL_TOPICS, 4, 3))
        assert len(admin.existing) == steps
        admin.left = len(ALL_TOPICS)
        apply(admin, ALL_TOPICS, plan(admin, ALL_TOPICS, 4, 3))
        assert len(admin.calls) == len(ALL_TOPICS)
        assert set(actions(plan(admin, ALL_TOPICS, 4, 3))) == {"keep"}


def test_a_topic_that_was_made_with_deletion_becomes_compacted() -> None:
    topic = ALL_TOPICS[REGIME_STATES]
    config = {**topic_config(topic, 3), "cleanup.policy": "delete"}
    found = plan(FakeTopics({REGIME_STATES: TopicState(4, 3, config)}), {REGIME_STATES: topic}, 4, 3)
    assert actions(found) == ["change"]


def test_what_is_larger_than_needed_is_left_alone_and_numbers_compare_as_numbers() -> None:
    assert plan(of_ticks(max_message_bytes="99999999"), ONE, 4, 3).done
    topic = ALL_TOPICS[REGIME_STATES]
    config = {**topic_config(topic, 3), "min.cleanable.dirty.ratio": "0.10"}
    assert plan(FakeTopics({REGIME_STATES: TopicState(4, 3, config)}), {REGIME_STATES: topic}, 4, 3).done


def test_a_safe_change_beside_a_refused_one_is_still_made() -> None:
    admin = of_ticks(partitions=2, max_message_bytes="1000")
    found = plan(admin, ONE, 4, 3)
    assert sorted(actions(found)) == ["change", "refuse"]
    apply(admin, ONE, found)
    assert admin.calls == [("change", MARKET_TICKS)]
    assert plan(admin, ONE, 4, 3).exit_status == EXIT_REFUSED


def test_other_topics_are_named_and_left_alone_and_internal_ones_are_not_named() -> None:
    state = TopicState(1, 1, {})
    found = plan(FakeTopics({"someone.else": state, "__consumer_offsets": state}), ONE, 1, 1)
    assert found.others == ("someone.else",)
    assert [step.topic for step in found.steps] == [MARKET_TICKS]


def test_a_plan_is_json() -> None:
    document = plan(FakeTopics(), ALL_TOPICS, 1, 1).document()
    assert json.loads(json.dumps(document)) == document
    assert {step["topic"] for step in document["steps"]} == set(ALL_TOPICS)


def test_a_log_in_memory_has_partitions_alone() -> None:
    cluster = MemoryCluster()
    admin = ClusterTopics(cluster)
    apply(admin, ALL_TOPICS, plan(admin, ALL_TOPICS, 2, 1))
    assert cluster.topics() == dict.fromkeys(ALL_TOPICS, 2)
    assert plan(admin, ALL_TOPICS, 2, 3).done
    assert plan(admin, ALL_TOPICS, 4, 1).exit_status == EXIT_REFUSED


def test_the_topics_of_a_sqlite_file(tmp_path: Path) -> None:
    settings = load(given={"log": f"sqlite://{tmp_path / 'log.sqlite'}", "partitions": 2})
    with topic_admin(settings) as admin:
        apply(admin, ALL_TOPICS, plan(admin, ALL_TOPICS, 2, 1))
    with topic_admin(settings) as admin:
        rows = {row["topic"]: row for row in description(admin.topics())}
    assert set(rows) == set(ALL_TOPICS)
    assert rows[ALERTS]["partitions"] == 2
    assert rows[ALERTS]["retention_days"] == 90
    assert rows[HEDGE_REGIMES]["replicas"] is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cluster_that_does_not_answer_says_what_to_look_at() -> None:
    settings = load(given={"log": "kafka://127.0.0.1:1", "call_deadline_seconds": 1})
    words = ""
    try:
        with topic_admin(settings):
            pass
    except LogUnavailable as error:
        words = str(error)
    assert "no broker answers at kafka://127.0.0.1:1" in words
    gc.collect()  # the client leaves sockets of failed attempts to the collector, which complains of them here


def renamed(prefix: str) -> dict[str, Topic]:
    """The catalog under other names, so that a cluster that others use too is not disturbed."""
    return {prefix + name: replace(topic, name=prefix + name) for name, topic in ALL_TOPICS.items()}


@pytest.mark.kafka
def test_a_real_cluster_takes_the_plan_and_keeps_it(kafka: str) -> None:
    settings = load(given={"log": f"kafka://{kafka}"})
    catalog = renamed(f"plan-{uuid.uuid4().hex[:8]}.")
    ticks = next(name for name in catalog if name.endswith(MARKET_TICKS))
    with topic_admin(settings) as admin:
        assert isinstance(admin, KafkaTopics)
        apply(admin, catalog, plan(admin, catalog, 2, 1))
        again = plan(admin, catalog, 2, 1)
        assert again.done, again.document()
        state = admin.topics()[ticks]
        assert state.partitions == 2
        assert state.replicas == 1
        admin.create(catalog[ticks], 2, 1, {})  # another process was faster: nothing happens

        admin.change(ticks, {"retention.ms": "3600000", "max.message.bytes": "1000000"})
        changed = plan(admin, catalog, 2, 1)
        assert [step.action for step in changed.steps if step.topic == ticks] == ["change"]
        apply(admin, catalog, changed)
        assert plan(admin, catalog, 2, 1).done

        admin.change(ticks, {"retention.ms": "-1"})
        refused = plan(admin, catalog, 2, 1)
        assert refused.exit_status == EXIT_REFUSED
        apply(admin, catalog, refused)
        assert admin.topics()[ticks].config["retention.ms"] == "-1"
        assert plan(admin, catalog, 4, 1).exit_status == EXIT_REFUSED


@pytest.mark.kafka
def test_more_copies_than_brokers_is_the_users_error(kafka: str) -> None:
    settings = load(given={"log": f"kafka://{kafka}"})
    catalog = renamed(f"copies-{uuid.uuid4().hex[:8]}.")
    with topic_admin(settings) as admin, pytest.raises(UserError, match="replication_factor"):
        apply(admin, catalog, plan(admin, catalog, 1, 9))
