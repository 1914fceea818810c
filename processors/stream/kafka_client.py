"""What every Kafka client of this process has in common: settings, and what its errors mean here."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from kafka import errors

from processors.errors import AlvhError, DeadlineExceeded, Denied, Fenced, LogUnavailable, Rebalanced, UserError

#: Client settings for TLS and SASL that are passed on, under the names that kafka-python gives them.
SECURITY = (
    "security_protocol",
    "ssl_cafile",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
)

#: Loggers that hold secrets at DEBUG: the whole configuration of an admin client; each request as it is sent.
TELLTALES = ("kafka.admin.client", "kafka.net.connection", "kafka.protocol.parser")


def discreet(record: logging.LogRecord) -> bool:
    """A filter that lets no DEBUG line pass, whatever level the logger is set to."""
    return record.levelno >= logging.INFO


for _name in TELLTALES:
    logging.getLogger(_name).addFilter(discreet)


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
    max_records: int = 20_000

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
            **{name: value for name, value in self.security.items() if not name.startswith("ssl_")},
            "ssl_context": self._tls,
        }

    @cached_property
    def _tls(self) -> ssl.SSLContext | None:
        """What TLS connections go by, read once; the authorities of this machine when none is given."""
        given = self.security
        if "SSL" not in given.get("security_protocol", "PLAINTEXT").split("_"):
            return None
        cafile, certfile, keyfile = (given.get(name) for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"))
        try:
            context = ssl.create_default_context(cafile=cafile)
        except (OSError, ssl.SSLError) as error:
            raise UserError(f"kafka.ssl_cafile {cafile}: {_words(error)}; give a PEM file of the authority") from error
        if certfile is not None:
            try:
                # as a function, or an encrypted key without a password would be asked for at the terminal
                context.load_cert_chain(certfile, keyfile, password=lambda: given.get("ssl_password", ""))
            except (OSError, ssl.SSLError) as error:
                raise UserError(
                    f"kafka.ssl_certfile {certfile} with kafka.ssl_keyfile {keyfile}: {_words(error)}; give PEM files"
                    " of a certificate and its private key, and the key's password, if it has one, as"
                    " ALVH_KAFKA__SSL_PASSWORD in the environment"
                ) from error
        return context

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
#: What of a client it is that the cluster's access control has refused.
_RESOURCES = {
    errors.TopicAuthorizationFailedError: "topic",
    errors.GroupAuthorizationFailedError: "group",
    errors.TransactionalIdAuthorizationFailedError: "transactional id",
    errors.ClusterAuthorizationFailedError: "cluster",
}
_UNKNOWN = (
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
    errors.SecurityDisabledError,
)
#: What a user wants to do with a topic, as ACLs name it.
Need = Literal["Describe", "Read", "Write", "Create", "DescribeConfigs", "AlterConfigs"]
_LOST = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)


def explained(error: BaseException, doing: str, need: Need = "Describe") -> AlvhError:
    """Our error for what a client raised while ``doing`` something, for which topics had to be granted ``need``."""
    if isinstance(error, AlvhError):
        return error
    if isinstance(error, _FENCED):
        return Fenced(
            f"{doing}: another member works under the same name, or the transaction was open for too long ({error})"
        )
    if isinstance(error, _REBALANCED):
        return Rebalanced(f"{doing}: {error}")
    if isinstance(error, errors.AuthorizationError):
        return Denied(f"{doing}: {_denied(error, need)}")
    if isinstance(error, _UNKNOWN):
        return Denied(
            f"{doing}: the broker does not know this user or its password ({error}); check kafka.sasl_mechanism,"
            " kafka.sasl_plain_username and ALVH_KAFKA__SASL_PLAIN_PASSWORD"
        )
    if (tls := _tls_error(error)) is not None:
        return Denied(f"{doing}: {_distrusted(tls)}")
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


def _denied(error: errors.AuthorizationError, need: Need) -> str:
    """What was refused, and what to grant."""
    resource = _RESOURCES.get(type(error), "resource")
    operation = need if resource == "topic" else "Create" if resource == "cluster" else "Read"
    if resource == "transactional id":
        operation = "Write"
    names = error.args[0] if error.args else ()
    listed = ", ".join(sorted({names} if isinstance(names, str) else map(str, names)))
    return (
        f"access to {resource} {listed} is denied; grant this user {operation} on {resource} {listed}"
        " (`alvh topics acls` lists all that it needs)"
    )


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """The refusal of TLS that led to ``error``, if one did. A connection that was merely lost is none."""
    while error is not None and not isinstance(error, ssl.SSLError):
        wrapped = error.args[0] if error.args and isinstance(error.args[0], BaseException) else None
        error = wrapped or error.__cause__ or error.__context__
    return None if isinstance(error, _LOST) else error


def _distrusted(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the broker's certificate is not to be trusted: {error.verify_message.rstrip('.')}."
            " Check kafka.ssl_cafile, the host names in `log`, and the certificate itself"
        )
    return (
        f"TLS failed: {_words(error)}; check kafka.security_protocol, and that the broker trusts kafka.ssl_certfile"
    )


def _words(error: OSError) -> str:
    """What a library says of an error, without numbers and files of its own."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "unreadable").replace("_", " ").lower()
    return error.strerror or str(error)


@contextmanager
def explaining(doing: str, need: Need = "Describe") -> Iterator[None]:
    """Turn what clients raise into our errors."""
    try:
        yield
    except (errors.KafkaError, OSError) as error:
        raise explained(error, doing, need) from error


def parse_servers(servers: str | Sequence[str]) -> tuple[str, ...]:
    """``host:port`` of each broker, from a list or from one string with commas."""
    return tuple(servers.split(",") if isinstance(servers, str) else servers)
