"""What must be done to the topics of a cluster so that they are those of the catalog, and what will not be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from topics.catalog import Topic
from topics.kafka import topic_config

#: Exit status of a plan or its application when something was refused.
EXIT_REFUSED: Final = 3

Action = Literal["create", "change", "refuse", "keep"]


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as a cluster has it. ``replicas`` None: the log has no copies. ``config``: empty where it has none."""

    partitions: int
    replicas: int | None = None
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done about one topic, or about one thing in it.

    Attributes:
        topic: its name.
        action: `create`; `change` its configuration; `refuse` what would lose or mix up data; `keep`.
        what: in words; for a refusal the reason and what to do.
        config: configuration to set.
    """

    topic: str
    action: Action
    what: str
    config: Mapping[str, str] = field(default_factory=dict)


class TopicAdmin(Protocol):
    """What a plan is made from and applied to."""

    def topics(self) -> dict[str, TopicState]:
        """The topics that exist."""

    def create(self, topic: Topic, partitions: int, replicas: int, config: Mapping[str, str]) -> None:
        """Create a topic; one that exists by now is left as it is."""

    def change(self, topic: str, config: Mapping[str, str]) -> None:
        """Set these keys of a topic's configuration."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order of the catalog, and topics that are none of ours and are left alone."""

    steps: tuple[Step, ...]
    others: tuple[str, ...]
    partitions: int
    replicas: int

    def of(self, *actions: Action) -> tuple[Step, ...]:
        """Steps of these actions."""
        return tuple(step for step in self.steps if step.action in actions)

    @property
    def done(self) -> bool:
        """True when there is nothing left to do."""
        return not self.of("create", "change", "refuse")

    @property
    def exit_status(self) -> int:
        """0, or 3 when something was refused."""
        return EXIT_REFUSED if self.of("refuse") else 0

    def document(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {
            "partitions": self.partitions,
            "replication_factor": self.replicas,
            "steps": [
                {"topic": s.topic, "action": s.action, "what": s.what, "config": dict(s.config)} for s in self.steps
            ],
            "others": list(self.others),
        }


def plan(admin: TopicAdmin, catalog: Mapping[str, Topic], partitions: int, replicas: int) -> Plan:
    """Compare the catalog with a cluster."""
    existing = admin.topics()
    steps: list[Step] = []
    for topic in catalog.values():
        state = existing.get(topic.name)
        if state is None:
            copies = f", {replicas} copies" if replicas > 1 else ""
            words = f"{partitions} partition{'s' if partitions > 1 else ''}{copies}, {topic.cleanup}"
            steps.append(Step(topic.name, "create", words, topic_config(topic, replicas)))
        else:
            found = list(_compare(topic, state, partitions, replicas))
            steps += found or [Step(topic.name, "keep", "as in the catalog")]
    others = tuple(sorted(name for name in existing if name not in catalog and not name.startswith("__")))
    return Plan(tuple(steps), others, partitions, replicas)


def _compare(topic: Topic, state: TopicState, partitions: int, replicas: int) -> Iterator[Step]:
    name = topic.name

    def refuse(what: str) -> Step:
        return Step(name, "refuse", what)

    if state.partitions < partitions:
        yield refuse(
            f"its partitions are {state.partitions}, and {partitions} are asked for. More of them would send keys to"
            f" other partitions than their history and state. Set partitions = {state.partitions}, or start a new"
            " cluster and feed it anew."
        )
    elif state.partitions > partitions:
        yield refuse(
            f"its partitions are {state.partitions}, and {partitions} are asked for. Partitions cannot be taken away."
            f" Set partitions = {state.partitions}."
        )
    copies = replicas
    if state.replicas is not None and state.replicas < replicas:
        copies = state.replicas
        yield refuse(
            f"its copies are {state.replicas}, and {replicas} are asked for. Copies are moved with Kafka's own"
            f" kafka-reassign-partitions; or set replication_factor = {state.replicas}."
        )
    if state.config:
        yield from _compare_config(topic, state.config, topic_config(topic, copies))


def _compare_config(topic: Topic, has: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[Step]:
    changes: dict[str, str] = {}
    for key, value in wanted.items():
        given = has.get(key)
        if given is None or given == value or _as_number(given) == _as_number(value) is not None:
            continue
        reason = _loses(key, given, value)
        if reason is not None:
            yield Step(topic.name, "refuse", f"{key} is {given} and the catalog has {value}. {reason}")
        elif not _enough(key, given, value):
            changes[key] = value
    if changes:
        words = ", ".join(f"{key} {has[key]} -> {value}" for key, value in changes.items())
        yield Step(topic.name, "change", words, changes)


def _loses(key: str, given: str, wanted: str) -> str | None:
    """Why setting ``wanted`` would lose something; None when it would not."""
    if key == "cleanup.policy" and given.replace(" ", "") == "compact" and wanted == "delete":
        return (
            "Records would be deleted by age that are kept now."
            " Copy what you need, and change it with Kafka's own kafka-configs."
        )
    if key == "retention.ms" and _longer(given, wanted):
        return (
            "A shorter retention deletes records. To keep the longer one is fine; to shorten it, use Kafka's own"
            " kafka-configs."
        )
    if key == "min.insync.replicas" and int(given) > int(wanted):
        return (
            "Records would count as written with fewer copies."
            f" Set replication_factor so that a majority is {given}, or change it with Kafka's own kafka-configs."
        )
    return None


def _enough(key: str, given: str, wanted: str) -> bool:
    """True when what is there differs but serves as well."""
    return key == "max.message.bytes" and int(given) >= int(wanted)


def _longer(given: str, wanted: str) -> bool:
    return int(given) < 0 or int(given) > int(wanted) >= 0


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def apply(admin: TopicAdmin, catalog: Mapping[str, Topic], plan: Plan) -> None:
    """Do what the plan says, except what it refuses. Applied again, it finds nothing left to do."""
    for step in plan.of("create"):
        admin.create(catalog[step.topic], plan.partitions, plan.replicas, step.config)
    for step in plan.of("change"):
        admin.change(step.topic, step.config)
