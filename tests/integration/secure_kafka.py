"""A real Apache Kafka with TLS, SASL and access control, for tests: its certificates, its users and their ACLs.

It listens in five ways: in plain text for the test itself, whose user may do everything; with SASL over TLS; with
client certificates; and with two certificates that a client must not trust, one that has expired and one for another
host. Everything is made anew for each broker, and listens on 127.0.0.1.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType
from kafka_broker import KafkaNodes, free_ports, start_kafka

from processors.access import Acl

#: The user that SCRAM and PLAIN know, and its password: long and odd, so that it is found wherever it is written.
USER, PASSWORD = "desk", "s3cret+Boxk/mpfer&42="
#: What the private key of the client's certificate is encrypted with.
KEY_PASSWORD = "key-s3cret-Vogel_77"
#: The name in the client's certificate.
CERTIFIED = "certified"

_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


@dataclass(frozen=True)
class Signed:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self, password: str | None = None) -> bytes:
        """The private key, encrypted when a password is given."""
        cipher: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password is not None:
            cipher = serialization.BestAvailableEncryption(password.encode())
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher)


def authority(name: str = "authority of a test") -> Signed:
    """A certificate that signs others."""
    return _signed(name, None, [], days=2)


def signed(by: Signed, name: str, hosts: Iterable[str] = (), *, days: int = 2) -> Signed:
    """A certificate for a host or a person; with ``days`` below 0 it has expired that long ago."""
    return _signed(name, by, list(hosts), days=days)


def _signed(name: str, by: Signed | None, hosts: list[str], *, days: int) -> Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = subject if by is None else by.certificate.subject
    signer = key if by is None else by.key
    end = datetime.now(UTC) + timedelta(days=days)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=by is None,
        crl_sign=by is None,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=30))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if hosts:
        built = built.add_extension(x509.SubjectAlternativeName([_name_of(host) for host in hosts]), critical=False)
    return Signed(built.sign(signer, hashes.SHA256()), key)


def _name_of(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


@dataclass(frozen=True)
class SecureKafka:
    """A broker that is running, and what its clients need."""

    nodes: KafkaNodes
    ports: Mapping[str, int]
    folder: Path

    @property
    def plain(self) -> str:
        """Where the test itself may do everything."""
        return self.nodes.bootstrap

    def url(self, listener: str = "SASL_SSL") -> str:
        """A listener as a log."""
        return f"kafka://127.0.0.1:{self.ports[listener]}"

    def file(self, name: str) -> str:
        """``ca.pem``, ``other-ca.pem``, ``client.pem``, ``client-key.pem``."""
        return str(self.folder / name)

    def sasl(self, mechanism: str = "SCRAM-SHA-512", password: str = PASSWORD) -> dict[str, str]:
        """Settings of a client with user and password."""
        return {
            "security_protocol": "SASL_SSL",
            "ssl_cafile": self.file("ca.pem"),
            "sasl_mechanism": mechanism,
            "sasl_plain_username": USER,
            "sasl_plain_password": password,
        }

    def mutual(self) -> dict[str, str]:
        """Settings of a client with a certificate."""
        return {
            "security_protocol": "SSL",
            "ssl_cafile": self.file("ca.pem"),
            "ssl_certfile": self.file("client.pem"),
            "ssl_keyfile": self.file("client-key.pem"),
            "ssl_password": KEY_PASSWORD,
        }

    def grant(self, acls: Iterable[Acl], user: str = USER) -> None:
        """Add ACLs."""
        with self.admin() as admin:
            admin.create_acls([one for acl in acls for one in _rules(acl, user)])

    def revoke(self, acls: Iterable[Acl], user: str = USER) -> None:
        """Remove ACLs that were granted."""
        with self.admin() as admin:
            admin.delete_acls([one for acl in acls for one in _rules(acl, user)])

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        """An admin client that may do everything."""
        admin = KafkaAdminClient(bootstrap_servers=self.plain)
        try:
            yield admin
        finally:
            admin.close()


def _rules(acl: Acl, user: str) -> Iterator[ACL]:
    kind = ResourceType[acl.resource.replace("-", "_").upper()]
    pattern = ACLResourcePatternType.PREFIXED if acl.prefixed else ACLResourcePatternType.LITERAL
    for operation in acl.operations:
        name = "".join(f"_{letter}" if letter.isupper() else letter for letter in operation).lstrip("_").upper()
        yield ACL(
            f"User:{user}",
            "*",
            ACLOperation[name],
            ACLPermissionType.ALLOW,
            ResourcePattern(kind, acl.name, pattern),
        )


def start_secure_kafka(folder: Path) -> SecureKafka:
    """Start it; ``folder`` keeps the certificates. Stop it with ``nodes.stop()``."""
    ca = authority()
    here = ("localhost", "127.0.0.1")
    servers = {
        "good": signed(ca, "broker", here),
        "expired": signed(ca, "broker", here, days=-1),
        "elsewhere": signed(ca, "broker", ("broker.example",)),
    }
    for name, server in servers.items():
        (folder / f"{name}.pem").write_bytes(server.key_pem() + server.pem())
    client = signed(ca, CERTIFIED)
    (folder / "ca.pem").write_bytes(ca.pem())
    (folder / "other-ca.pem").write_bytes(authority("another authority").pem())
    (folder / "client.pem").write_bytes(client.pem())
    (folder / "client-key.pem").write_bytes(client.key_pem(KEY_PASSWORD))

    settings = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # who speaks in plain text: the broker and the test
        "allow.everyone.if.no.acl.found": "false",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": _SCRAM,
        "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": _SCRAM,
        "listener.name.sasl_ssl.plain.sasl.jaas.config": f'{_PLAIN} user_{USER}="{_escaped(PASSWORD)}";',
        "listener.name.ssl.ssl.client.auth": "required",
    }
    protocols = {"SASL_SSL": "SASL_SSL", "SSL": "SSL", "EXPIRED": "SASL_SSL", "ELSEWHERE": "SASL_SSL"}
    every = {"CONTROLLER": "PLAINTEXT", "PLAINTEXT": "PLAINTEXT", **protocols}
    settings["listener.security.protocol.map"] = ",".join(f"{name}:{protocol}" for name, protocol in every.items())
    for listener, name in (("sasl_ssl", "good"), ("ssl", "good"), ("expired", "expired"), ("elsewhere", "elsewhere")):
        settings |= {
            f"listener.name.{listener}.ssl.keystore.type": "PEM",
            f"listener.name.{listener}.ssl.keystore.location": str(folder / f"{name}.pem"),
            f"listener.name.{listener}.ssl.truststore.type": "PEM",
            f"listener.name.{listener}.ssl.truststore.location": str(folder / "ca.pem"),
        }
        if listener in ("expired", "elsewhere"):
            settings[f"listener.name.{listener}.sasl.enabled.mechanisms"] = "SCRAM-SHA-512"
            settings[f"listener.name.{listener}.scram-sha-512.sasl.jaas.config"] = _SCRAM
    users = [f"{kind}=[name={USER},password={PASSWORD}]" for kind in ("SCRAM-SHA-256", "SCRAM-SHA-512")]
    arguments = [word for user in users for word in ("--add-scram", user)]
    ports = dict(zip(protocols, free_ports(len(protocols)), strict=True))
    listeners = {name: [(port, port)] for name, port in ports.items()}
    nodes = start_kafka(settings=settings, listeners=listeners, format_arguments=arguments)
    return SecureKafka(nodes, ports, folder)


def _escaped(text: str) -> str:
    """Text for a properties file, which is read as Latin-1."""
    return "".join(letter if letter.isascii() else f"\\u{ord(letter):04x}" for letter in text)
