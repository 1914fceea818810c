"""From a URL to a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processors.errors import UserError
from processors.stream.log import Cluster
from processors.stream.memory import MemoryCluster
from processors.stream.sqlite import SqliteCluster

#: The logs in memory of this process, by name: two that open the same name meet in one log.
_memories: dict[str, MemoryCluster] = {}

_ALLOWED = "kafka://HOST:PORT[,HOST:PORT...], sqlite://FILE or memory://NAME"


def open_cluster(url: str, *, security: Mapping[str, str] | None = None, **client: Any) -> Cluster:
    """The log that ``url`` names.

    ``client``: settings of :class:`processors.stream.kafka_client.Settings` such as ``deadline``; no effect elsewhere.

    ==================================  ====================================================================
    ``kafka://host:9092,other:9092``    Apache Kafka; ``security`` holds the client's TLS and SASL settings
    ``sqlite://desk.db``                one SQLite file, relative to the working directory
    ``sqlite:///var/lib/desk.db``       the same, absolute
    ``memory://name``                   a log in this process; everyone who opens the same name shares it
    ==================================  ====================================================================

    Raises UserError when the URL is none of these or the log cannot be used, LogUnavailable when no broker answers.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("kafka", "sqlite", "memory"):
        raise UserError(f"{url!r} names no log; allowed: {_ALLOWED}")
    if security and scheme != "kafka":
        raise UserError(f"security settings are for kafka:// only, not for {url!r}")
    if scheme == "memory":
        return _memories.setdefault(rest, MemoryCluster())
    if not rest:
        raise UserError(f"{url!r} says where nothing is; allowed: {_ALLOWED}")
    if scheme == "sqlite":
        return SqliteCluster(rest)
    servers = rest.split(",")
    for server in servers:
        host, _, port = server.rpartition(":")
        if not host or not port.isdecimal():
            raise UserError(f"{server!r} in {url!r} is not HOST:PORT; allowed: {_ALLOWED}")
    from processors.stream.kafka import KafkaCluster  # half a second to load, for those who need it

    return KafkaCluster(servers, security=security, **client)
