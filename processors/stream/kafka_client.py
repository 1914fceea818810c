"""What every Kafka client of this process has in common: settings, and what its errors mean here."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import errors

from processors.errors import AlvhError, DeadlineExceeded, Fenced, LogUnavailable, Rebalanced, UserError

#: Client settings for TLS and SASL that are passed on, under the names that kafka-python gives them.
SECURITY = (
    "security_protocol",
    "ssl_cafile",
    "ssl_certfile",
    "ssl_keyfile",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
)

# kafka-python's admin client logs its whole configuration, password included, at DEBUG
logging.getLogger("kafka.admin.client").setLevel(logging.INFO)


@dataclass(frozen=True)
class Settings:
    """Where the brokers are and how long they may take.

    Attributes:
        servers: ``host:port`` of some brokers.
        security: TLS and SASL settings, see :data:`SECURITY`. Never shown.
        deadline: seconds that any one answer may take.
        transaction_timeout: seconds after which a broker aborts the transaction of a producer that is gone.
        session_timeout: seconds of silence after which the partitions of a member go to the others.
        max_records: most records that one poll returns.
    """

    servers: tuple[str, ...]
    security: Mapping[str, str] = field(default_factory=dict, repr=False)
    deadline: float = 15.0
    transaction_timeout: float = 10.0
    session_timeout: float = 30.0
    max_records: int = 2000

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.security) - set(SECURITY)):
            raise UserError(f"unknown security settings {', '.join(unknown)}; allowed: {', '.join(SECURITY)}")

    def client(self) -> dict[str, Any]:
        """Settings of every client."""
        return {
            "bootstrap_servers": list(self.servers),
            "bootstrap_timeout_ms": int(self.deadline * 1000),
            "request_timeout_ms": int(self.deadline * 1000),
            "reconnect_backoff_max_ms": 1000,
            **self.security,
        }

    def consumer(self) -> dict[str, Any]:
        """Settings of every consumer: committed records only, nothing by itself, bounded memory, bytes as they are."""
        return {
            **self.client(),
            "isolation_level": "read_committed",
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "allow_auto_create_topics": False,
            "max_poll_records": self.max_records,
            "fetch_max_bytes": 16 << 20,
            "max_partition_fetch_bytes": 4 << 20,
            # a fetch that waits on idle partitions holds back the others of its broker: wait briefly
            "fetch_max_wait_ms": 100,
            "metrics_enabled": False,
        }


_FENCED = (errors.ProducerFencedError, errors.InvalidProducerEpochError, errors.FencedInstanceIdError)
_REBALANCED = (
    errors.CommitFailedError,
    errors.IllegalGenerationError,
    errors.UnknownMemberIdError,
    errors.RebalanceInProgressError,
)
_REFUSED = (
    errors.AuthorizationError,
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.SecurityDisabledError,
)
_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)


def explained(error: BaseException, doing: str) -> AlvhError:
    """Our error for what a client raised while ``doing`` something."""
    if isinstance(error, AlvhError):
        return error
    if isinstance(error, _FENCED):
        return Fenced(
            f"{doing}: another member works under the same name, or the transaction was open for too long ({error})"
        )
    if isinstance(error, _REBALANCED):
        return Rebalanced(f"{doing}: {error}")
    if isinstance(error, _REFUSED):
        return LogUnavailable(f"{doing}: the broker refuses this user ({error}); check its credentials and ACLs")
    if isinstance(error, _TOO_LARGE):
        return LogUnavailable(f"{doing}: the record is too large ({error}); raise max.message.bytes of the topic")
    if isinstance(error, errors.OffsetOutOfRangeError):
        return LogUnavailable(
            f"{doing}: the position is outside of what the log keeps ({error}):"
            " retention deleted records before they were read"
        )
    if isinstance(error, errors.KafkaTimeoutError):
        return DeadlineExceeded(f"{doing}: {error}")
    return LogUnavailable(f"{doing}: {error!r}")


@contextmanager
def explaining(doing: str) -> Iterator[None]:
    """Turn what clients raise into our errors."""
    try:
        yield
    except (errors.KafkaError, OSError) as error:
        raise explained(error, doing) from error


def parse_servers(servers: str | Sequence[str]) -> tuple[str, ...]:
    """``host:port`` of each broker, from a list or from one string with commas."""
    return tuple(servers.split(",") if isinstance(servers, str) else servers)
