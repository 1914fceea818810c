"""What is said when a cluster refuses its user, and that a connection which was merely lost is no refusal."""

from __future__ import annotations

import ssl

import pytest
from kafka import errors

from processors.errors import EXIT_USAGE, AlvhError, Denied, LogUnavailable, UserError
from processors.stream.kafka_client import Need, explained


@pytest.mark.parametrize(
    ("error", "need", "words"),
    [
        (errors.TopicAuthorizationFailedError({"b", "a"}), "Read", "grant this user Read on topic a, b "),
        (errors.TopicAuthorizationFailedError("market.ticks"), "Write", "access to topic market.ticks is denied"),
        (errors.GroupAuthorizationFailedError("alvh.market"), "Write", "grant this user Read on group alvh.market "),
        (
            errors.TransactionalIdAuthorizationFailedError("alvh.market.0"),
            "Read",
            "grant this user Write on transactional id alvh.market.0 ",
        ),
        (errors.SaslAuthenticationFailedError("no"), "Read", "does not know this user or its password"),
        (errors.UnsupportedSaslMechanismError("no"), "Read", "kafka.sasl_mechanism"),
    ],
)
def test_a_denial_names_the_resource_and_what_to_grant(error: errors.KafkaError, need: Need, words: str) -> None:
    found = explained(error, "polling", need)
    assert isinstance(found, Denied)
    assert isinstance(found, UserError), f"so that it ends with status {EXIT_USAGE}"
    assert str(found).startswith("polling: ")
    assert words in str(found)


def wrapped(error: Exception) -> AlvhError:
    """As the client wraps what TLS raises while a connection is made."""
    try:
        try:
            raise error
        except Exception as cause:
            raise errors.KafkaConnectionError(f"Handshake failed: {cause}")  # noqa: B904
    except errors.KafkaError as found:
        return explained(found, "connecting")


def test_a_certificate_that_is_not_trusted_says_why() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "certificate has expired."
    found = wrapped(error)
    assert isinstance(found, Denied)
    assert "is not to be trusted: certificate has expired. Check kafka.ssl_cafile" in str(found)


@pytest.mark.parametrize("wrap", [wrapped, lambda error: explained(errors.KafkaConnectionError(error), "connecting")])
def test_a_refused_client_certificate_is_a_denial_and_a_lost_connection_is_none(wrap: object) -> None:
    assert callable(wrap)
    refused, lost = ssl.SSLError(1, "alert"), ssl.SSLEOFError(8, "EOF occurred")
    refused.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert "TLS failed: tlsv13 alert certificate required; check" in str(wrap(refused))
    assert isinstance(wrap(refused), Denied)
    assert isinstance(wrap(lost), LogUnavailable)
