"""Coming in: whether the brokers take this user, asked before a client does.

A client that is refused goes on trying until its time is over, and then says only that nobody answered.
"""

from __future__ import annotations

from typing import Any

from kafka import KafkaAdminClient, errors
from kafka.net.compat import KafkaNetClient

from processors.errors import AlvhError, Denied, LogUnavailable
from processors.stream.deadline import Caller
from processors.stream.kafka_client import Settings, explained, explaining

#: Seconds within which a broker that is well says yes or no.
_PATIENCE = 5.0
#: Times that a connection must be lost while this user says who it is, to count as a refusal.
_TRIES = 3


def admin_client(settings: Settings) -> KafkaAdminClient:
    """An admin client that is connected.

    Raises Denied when a broker answers and refuses, LogUnavailable when none answers in time.
    """
    if settings.security:
        knock(settings)
    where = f"kafka://{','.join(settings.servers)}"
    caller = Caller("connecting")  # the client's own time does not cover the handshake of TLS
    try:
        with explaining(f"connecting to {where}"):
            return caller.call("connecting", settings.deadline + 1.0, lambda: KafkaAdminClient(**settings.client()))
    except Denied:
        raise
    except AlvhError as error:
        raise LogUnavailable(
            f"no broker answers at {where}; is it running, and are `log` and kafka.security_protocol right? {error}"
        ) from error
    finally:
        caller.close()


def knock(settings: Settings) -> None:
    """Connect to one broker after the other until one takes this user.

    Raises Denied when one refuses it and none takes it. A broker that does not answer is left to the client, which
    waits for it.
    """
    client = KafkaNetClient(**settings.client())
    client._net.start()
    refused: Denied | None = None
    patience = min(_PATIENCE, settings.deadline / len(settings.servers))
    try:
        for number, server in enumerate(settings.servers):
            error = _refusal(client, f"bootstrap-{number}", patience)
            if error is None:
                return
            found = explained(error, f"connecting to {server}")
            if isinstance(found, Denied):
                refused = found
    finally:
        client._manager.close()
        client._net.stop()
        client._net.close()
    if refused is not None:
        raise refused


def _refusal(client: KafkaNetClient, node: str, seconds: float) -> Exception | None:
    """Why a broker takes no connection; None when it does."""
    error: Exception | None = None
    for _ in range(_TRIES):
        try:
            client._net.run(_connect, client._manager, node, seconds)
        except _LostWhileAuthenticatingError as lost:
            error = lost
        except (errors.KafkaError, OSError) as other:
            return other
        else:
            return None
    return error


class _LostWhileAuthenticatingError(errors.SaslAuthenticationFailedError):  # type: ignore[misc]
    """The broker closed the connection. So it does after a refusal, whose words the client then often drops."""


async def _connect(manager: Any, node: str, seconds: float) -> None:
    connection = manager.get_connection(node, refresh_metadata_on_err=False)
    try:
        await manager.wait_for(connection.init_future, int(seconds * 1000))
    except errors.KafkaConnectionError as error:
        if connection.sasl_enabled and connection.broker_version_data is not None:  # its first answer came
            raise _LostWhileAuthenticatingError("it closes the connection when told who this is") from error
        raise
