"""What each part of a deployment must be allowed to do on a Kafka cluster with access control, and no more."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from processors.config import Settings
from processors.dead_letters_requeue import PRODUCER
from processors.errors import UserError
from processors.run import member_of, processors_for
from topics.calibration import Calibration
from topics.catalog import (
    ALL_TOPICS,
    CATALOG,
    CHANGELOGS,
    DEAD_LETTERS,
    FED,
    FEED_POSITIONS,
    PROCESSORS,
    REQUEUES,
    changelog,
)

Resource = Literal["topic", "group", "transactional-id"]


@dataclass(frozen=True, slots=True)
class Acl:
    """Operations that are allowed on a resource. Read and Write allow Describe too.

    Attributes:
        resource: what kind of thing.
        name: its name, or with ``prefixed`` what the names of all that is meant begin with.
        operations: as Kafka names them.
        prefixed: whether the name is a beginning.
    """

    resource: Resource
    name: str
    operations: tuple[str, ...]
    prefixed: bool = False

    def command(self, principal: str) -> str:
        """The words of ``kafka-acls`` that add it, after the bootstrap server."""
        words = ["--add", "--allow-principal", principal]
        words += [word for operation in self.operations for word in ("--operation", operation)]
        words += [f"--{self.resource}", self.name]
        words += ["--resource-pattern-type", "prefixed"] if self.prefixed else []
        return shlex.join(words)

    def document(self, principal: str) -> dict[str, str | list[str]]:
        """As JSON values."""
        return {
            "principal": principal,
            "resource": self.resource,
            "name": self.name,
            "pattern": "prefixed" if self.prefixed else "literal",
            "operations": list(self.operations),
        }


def _processor(name: str, settings: Settings) -> tuple[Acl, ...]:
    """A processor: it reads its inputs, writes its outputs, and keeps its state, whatever its instance is called."""
    (processor,) = processors_for((name,), Calibration(), settings)
    group = member_of(processor, settings).group
    return (
        *(Acl("topic", given.topic, ("Read",)) for given in processor.inputs),
        *(Acl("topic", topic, ("Write",)) for topic in (*processor.outputs, DEAD_LETTERS)),
        Acl("topic", changelog(name), ("Read", "Write")),
        Acl("group", group, ("Read",)),
        Acl("transactional-id", f"{group}.", ("Write",), prefixed=True),
    )


def _feed() -> tuple[Acl, ...]:
    """A feed: it writes the inputs, and reads where it was."""
    return (
        *(Acl("topic", topic, ("Write",)) for topic in FED),
        Acl("topic", FEED_POSITIONS, ("Read", "Write")),
        Acl("transactional-id", "alvh.feed.", ("Write",), prefixed=True),
    )


def _reader() -> tuple[Acl, ...]:
    """Who looks, with ``alvh tail``, ``explain``, ``signals``, ``state`` or ``dlq list``: it writes nothing."""
    return tuple(Acl("topic", topic, ("Read",)) for topic in (*CATALOG, *CHANGELOGS, REQUEUES))


def _requeue() -> tuple[Acl, ...]:
    """Who puts dead letters back with ``alvh dlq requeue``."""
    return (
        *(Acl("topic", topic, ("Read", "Write")) for topic in (*FED, REQUEUES)),
        Acl("topic", DEAD_LETTERS, ("Read",)),
        Acl("transactional-id", PRODUCER, ("Write",)),
    )


def _admin() -> tuple[Acl, ...]:
    """Who runs ``alvh topics plan`` and ``apply``."""
    operations = ("Create", "Describe", "DescribeConfigs", "AlterConfigs")
    return tuple(Acl("topic", topic, operations) for topic in ALL_TOPICS)


_OTHERS: Final[Mapping[str, Callable[[], tuple[Acl, ...]]]] = {
    "feed": _feed,
    "reader": _reader,
    "requeue": _requeue,
    "admin": _admin,
}
#: The parts of a deployment that connect to the cluster.
PARTS: Final = (*PROCESSORS, *_OTHERS)


def acls(parts: Sequence[str], settings: Settings) -> tuple[Acl, ...]:
    """What the parts of these names need together, each resource once; ``all`` means every processor.

    Raises UserError for a name that is no part.
    """
    names = [each for name in parts for each in (PROCESSORS if name == "all" else (name,))]
    if unknown := [name for name in names if name not in PARTS]:
        raise UserError(f"{', '.join(map(repr, unknown))} given; allowed: {', '.join(PARTS)}, or all")
    found: dict[tuple[Resource, str, bool], tuple[str, ...]] = {}
    for name in names:
        for acl in _OTHERS[name]() if name in _OTHERS else _processor(name, settings):
            key = (acl.resource, acl.name, acl.prefixed)
            found[key] = tuple(dict.fromkeys((*found.get(key, ()), *acl.operations)))
    return tuple(Acl(kind, name, operations, prefixed) for (kind, name, prefixed), operations in found.items())
