"""Topics of a cluster: read, created and configured; and what ``alvh topics`` shows of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.table import Table

from processors.config import Settings
from processors.errors import AlvhError, LogUnavailable, UserError
from processors.stream.log import Cluster
from processors.stream.open import open_cluster
from processors.topic_plan import Plan, TopicAdmin, TopicState
from topics.catalog import ALL_TOPICS, DAY_MS, Topic

if TYPE_CHECKING:
    from processors.stream.kafka_client import Need


class KafkaTopics:
    """The topics of a Kafka cluster, through ``admin``, a ``kafka.KafkaAdminClient``."""

    def __init__(self, admin: Any) -> None:
        self._admin = admin

    def topics(self) -> dict[str, TopicState]:
        """Partitions, copies and effective configuration of every topic."""
        from kafka.admin import ConfigResource, ConfigResourceType

        described = {t["name"]: t for t in self._admin.describe_topics() if not t["is_internal"]}
        if not described:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(described)]
        configs = self._admin.describe_configs(resources, config_filter="all")["topic"]
        for name in ALL_TOPICS.keys() & described.keys():
            if not configs[name]:  # every topic has some: the client says nothing of a denial
                raise _denied(name, "DescribeConfigs")
        return {
            name: TopicState(
                partitions=len(topic["partitions"]),
                replicas=min((len(p["replica_nodes"]) for p in topic["partitions"]), default=None),
                config={key: str(entry["value"]) for key, entry in configs[name].items() if entry["value"] is not None},
            )
            for name, topic in described.items()
        }

    def create(self, topic: Topic, partitions: int, replicas: int, config: Mapping[str, str]) -> None:
        """Create a topic and wait until it can be used; one that exists by now is left as it is."""
        from kafka import errors

        new = {"num_partitions": partitions, "replication_factor": replicas, "configs": dict(config)}
        try:
            self._admin.create_topics({topic.name: new}, wait_for_metadata=True)
        except errors.TopicAlreadyExistsError:
            return
        except errors.TopicAuthorizationFailedError as error:
            raise _denied(topic.name, "Create") from error
        except errors.InvalidReplicationFactorError as error:
            raise UserError(
                f"the cluster cannot keep {replicas} copies of {topic.name}; set replication_factor to at most the"
                f" number of its brokers ({error})"
            ) from error
        except (errors.InvalidConfigurationError, errors.PolicyViolationError) as error:
            raise UserError(f"the cluster does not allow the configuration of {topic.name}: {error}") from error

    def change(self, topic: str, config: Mapping[str, str]) -> None:
        """Set these keys and leave the others."""
        from kafka.admin import ConfigResource, ConfigResourceType

        result = self._admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, dict(config))])
        words = result["topic"][topic]
        if "AuthorizationFailed" in words:
            raise _denied(topic, "AlterConfigs")
        if words != "OK":
            raise LogUnavailable(f"the cluster did not change the configuration of {topic}: {words}")


def _denied(topic: str, need: Need) -> AlvhError:
    """The client's own error holds the whole request."""
    from kafka import errors

    from processors.stream.kafka_client import explained

    return explained(errors.TopicAuthorizationFailedError(topic), "administering topics", need)


class ClusterTopics:
    """The topics of a log that has partitions alone: SQLite or memory."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def topics(self) -> dict[str, TopicState]:
        """Partitions of every topic."""
        return {name: TopicState(count) for name, count in self._cluster.topics().items()}

    def create(self, topic: Topic, partitions: int, replicas: int, config: Mapping[str, str]) -> None:
        """Create a topic."""
        compacted = frozenset({topic.name} if topic.cleanup == "compact" else ())
        self._cluster.create({topic.name: partitions}, compacted=compacted)

    def change(self, topic: str, config: Mapping[str, str]) -> None:
        """There is nothing to change."""


@contextmanager
def topic_admin(settings: Settings) -> Iterator[TopicAdmin]:
    """The topics of the log that the settings name. Raises LogUnavailable when it cannot be reached."""
    if not settings.log.startswith("kafka://"):
        cluster = open_cluster(settings.log)
        try:
            yield ClusterTopics(cluster)
        finally:
            cluster.close()
        return
    from processors.stream.kafka_access import admin_client
    from processors.stream.kafka_client import Settings as ClientSettings
    from processors.stream.kafka_client import explaining, parse_servers

    servers = parse_servers(settings.log.removeprefix("kafka://"))
    client = ClientSettings(servers, settings.security or {}, deadline=settings.call_deadline_seconds)
    admin = admin_client(client)
    with explaining(f"administering the topics of {','.join(servers)}"):
        try:
            yield KafkaTopics(admin)
        finally:
            admin.close()


# What is shown


def plan_table(plan: Plan, title: str = "topics") -> Table:
    """A plan for people."""
    table = Table(title=title, title_justify="left")
    for column in ("topic", "action", "what"):
        table.add_column(column, overflow="fold")
    for step in plan.steps:
        table.add_row(step.topic, step.action, step.what)
    for name in plan.others:
        table.add_row(name, "leave", "not of the catalog; left alone")
    return table


def description(existing: Mapping[str, TopicState]) -> list[dict[str, Any]]:
    """The catalog beside what a cluster has, topic by topic, as JSON values."""
    rows = []
    for topic in ALL_TOPICS.values():
        state = existing.get(topic.name)
        rows.append(
            {
                "topic": topic.name,
                "key": topic.key,
                "messages": [kind.__name__ for kind in topic.messages],
                "about": topic.about,
                "cleanup": topic.cleanup,
                "retention_days": None if topic.retention_ms is None else topic.retention_ms // DAY_MS,
                "exists": state is not None,
                "partitions": None if state is None else state.partitions,
                "replicas": None if state is None else state.replicas,
                "config": {} if state is None else {k: v for k, v in sorted(state.config.items()) if k in _SHOWN},
            }
        )
    return rows


_SHOWN = (
    "cleanup.policy",
    "retention.ms",
    "min.insync.replicas",
    "max.message.bytes",
    "segment.bytes",
    "segment.ms",
    "delete.retention.ms",
    "min.cleanable.dirty.ratio",
    "message.timestamp.type",
)


def description_table(rows: list[dict[str, Any]]) -> Table:
    """The same for people."""
    table = Table(title="topics", title_justify="left")
    for column in ("topic", "key", "messages", "kept", "partitions", "copies"):
        table.add_column(column, overflow="fold")
    for row in rows:
        kept = "newest of each key" if row["cleanup"] == "compact" else f"{row['retention_days']} days"
        table.add_row(
            row["topic"],
            row["key"],
            ", ".join(row["messages"]) or "state",
            kept,
            str(row["partitions"]) if row["exists"] else "missing",
            "-" if row["replicas"] is None else str(row["replicas"]),
        )
    return table
