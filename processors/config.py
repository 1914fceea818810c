"""Settings of a deployment: one ``alvh.toml``, the environment (``ALVH_...``) and the command line.

The command line wins over the environment, the environment over the file, the file over the defaults. Secrets are
taken from the environment alone. Strategy numbers are no settings: they are in the calibration document.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from processors.errors import ConfigError
from processors.logs import without_secrets
from topics.calibration import Calibration

PREFIX: Final = "ALVH_"
#: The settings file that is read when none is named.
DEFAULT_FILE: Final = Path("alvh.toml")
#: Variables with the prefix that are no settings: where the settings file is, and what the tests go by.
OTHER_VARIABLES: Final = ("ALVH_CONFIG", "ALVH_DATA", "ALVH_REQUIRE_", "ALVH_KAFKA_BOOTSTRAP_SERVERS", "ALVH_TEST_")
#: What is shown in the place of a secret.
HIDDEN: Final = "********"

_LOGS: Final = "kafka://HOST:PORT[,HOST:PORT...], sqlite://FILE or memory://NAME"


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number, not true or false")
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Whole = Annotated[int, BeforeValidator(_no_boolean)]
Decimal = Annotated[float, BeforeValidator(_no_boolean)]
#: A name that the member keeps across restarts.
Instance = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class KafkaSettings(BaseModel):
    """How a Kafka cluster is reached, under the names that kafka-python gives its settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    security_protocol: Annotated[Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], BeforeValidator(_upper)] = (
        Field(default="PLAINTEXT", description="how brokers are spoken to; outside of one machine use SSL or SASL_SSL")
    )
    ssl_cafile: Path | None = Field(default=None, description="PEM file of the authority that signed the brokers")
    ssl_certfile: Path | None = Field(default=None, description="PEM file of this client's certificate")
    ssl_keyfile: Path | None = Field(default=None, description="PEM file of this client's private key")
    ssl_password: SecretStr | None = Field(
        default=None, description="password of this client's private key; from the environment only"
    )
    sasl_mechanism: Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], BeforeValidator(_upper)] | None = (
        Field(default=None, description="how this client proves who it is; needed with SASL_PLAINTEXT and SASL_SSL")
    )
    sasl_plain_username: str | None = Field(default=None, description="user name for PLAIN and SCRAM")
    sasl_plain_password: SecretStr | None = Field(
        default=None, description="password for PLAIN and SCRAM; from the environment only"
    )
    password_in_clear: bool = Field(
        default=False, description="whether PLAIN may send the password over SASL_PLAINTEXT, for all on the way to read"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        protocol = self.security_protocol
        needed = ("sasl_mechanism", "sasl_plain_username", "sasl_plain_password")
        if protocol.startswith("SASL"):
            missing = [name for name in needed if getattr(self, name) is None]
            if missing:
                raise ValueError(f"security_protocol {protocol} needs {', '.join(missing)} too")
        elif self.sasl_mechanism is not None:
            raise ValueError(f"security_protocol {protocol} uses no sasl_mechanism; set SASL_SSL, or remove it")
        if not protocol.endswith("SSL") and (self.ssl_cafile or self.ssl_certfile or self.ssl_keyfile):
            raise ValueError(f"security_protocol {protocol} encrypts nothing; set SSL or SASL_SSL, or remove ssl_...")
        if protocol == "SASL_PLAINTEXT" and self.sasl_mechanism == "PLAIN" and not self.password_in_clear:
            raise ValueError(
                "PLAIN over SASL_PLAINTEXT sends the password for all on the way to read; use SASL_SSL or a SCRAM"
                " mechanism, or set password_in_clear = true where nobody else is on the way"
            )
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            raise ValueError("ssl_certfile and ssl_keyfile go together; give both or neither")
        return self

    def client(self) -> dict[str, str]:
        """What was set, for the client. It holds the password: never log it."""
        options: dict[str, str] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                options[name] = value.get_secret_value()
            elif value is not None and name != "password_in_clear":
                options[name] = str(value)
        return {} if options == {"security_protocol": "PLAINTEXT"} else options


class Settings(BaseSettings):
    """Every setting. Make it with :func:`load`, so that the file is read and errors say where a value came from."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_default=False,
    )

    log: str = Field(default="sqlite://alvh.sqlite", description=f"the log: {_LOGS}")
    partitions: Whole = Field(
        default=1, ge=1, le=1024, description="partitions of every topic; fixed once the topics exist"
    )
    replication_factor: Whole = Field(
        default=1, ge=1, le=16, description="copies of each partition on Kafka; 3 on a cluster of three brokers or more"
    )
    instance: Instance = Field(
        default="0", description="name of this instance: unique in the deployment, the same after a restart"
    )
    commit_interval_seconds: Decimal = Field(
        default=0.1, ge=0, le=60, description="seconds after which work without an urgent output is committed"
    )
    poll_timeout_seconds: Decimal = Field(
        default=0.1, ge=0.001, le=10, description="seconds that one poll waits for records"
    )
    max_poll_records: Whole = Field(
        default=20_000, ge=1, le=1_000_000, description="most records that one poll of a Kafka log brings"
    )
    transaction_timeout_seconds: Decimal = Field(
        default=10.0, ge=1, le=900, description="seconds after which a broker aborts the transaction of a dead producer"
    )
    session_timeout_seconds: Decimal = Field(
        default=30.0, ge=1, le=300, description="seconds of silence after which an instance's partitions go to others"
    )
    call_deadline_seconds: Decimal = Field(
        default=30.0, ge=1, le=600, description="seconds that one call to the log may take before the process ends"
    )
    watchdog_seconds: Decimal = Field(
        default=120.0,
        ge=1,
        le=3600,
        description="seconds without a turn of the loop, or with a stalled partition, after which the process ends",
    )
    stall_seconds: Decimal = Field(
        default=60.0,
        ge=1,
        le=3600,
        description="seconds that a partition with something to read may stand still before it is called stalled",
    )
    regime_max_idle_seconds: Decimal = Field(
        default=1.0, ge=0, le=60, description="seconds that portfolios wait for a regime that may precede them"
    )
    late_seconds: Whole = Field(
        default=300, ge=0, le=86_400, description="event-time seconds by which a tick may be older than its stream"
    )
    future_seconds: Whole = Field(
        default=300, ge=0, le=86_400, description="seconds by which an event time may be ahead of the log's clock"
    )
    evaluation_interval_seconds: Whole = Field(
        default=60, ge=1, le=86_400, description="event-time seconds between provisional evaluations of the regime"
    )
    close_grace_seconds: Whole = Field(
        default=900, ge=0, le=86_400, description="event-time seconds a session waits for its official closes"
    )
    official_wait_seconds: Whole = Field(
        default=21_600,
        ge=0,
        le=86_400,
        description="event-time seconds it waits for those of VIX and SPX when their feed has sent them before",
    )
    http_host: str = Field(
        default="127.0.0.1", min_length=1, description="address of the health pages; loopback unless a scraper needs it"
    )
    http_port: Whole = Field(default=9464, ge=0, le=65_535, description="port of the health pages; 0 is any free one")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        default="info", description="least severe log lines to write"
    )
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower)] = Field(
        default="text", description="text for people, or one JSON object a line"
    )
    calibration: Path | None = Field(
        default=None, description="calibration document, .json or .toml; without it the defaults of this version"
    )
    kafka: KafkaSettings = Field(default_factory=KafkaSettings, description="how a Kafka cluster is reached")

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("log")
    @classmethod
    def _a_log(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if not separator or scheme not in ("kafka", "sqlite", "memory") or (scheme != "memory" and not rest):
            raise ValueError(f"allowed is {_LOGS}")
        servers = [server.rpartition(":") for server in rest.split(",")]
        if scheme == "kafka" and not all(host and port.isdecimal() for host, _, port in servers):
            raise ValueError(f"a broker is HOST:PORT; allowed is {_LOGS}")
        if scheme == "kafka" and "@" in rest:
            raise ValueError(
                "a URL holds no user or password; set kafka.sasl_plain_username,"
                " and the password as ALVH_KAFKA__SASL_PLAIN_PASSWORD in the environment"
            )
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.watchdog_seconds <= self.call_deadline_seconds:
            raise ValueError(
                f"watchdog_seconds {self.watchdog_seconds:g} must be above call_deadline_seconds"
                f" {self.call_deadline_seconds:g}, or it would end processes that only wait for the log"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What was given by name first, then the environment. :func:`load` puts the file below both."""
        return init_settings, env_settings

    @property
    def security(self) -> dict[str, str] | None:
        """TLS and SASL settings for the log's client; None when there are none. Never log them."""
        return (self.kafka.client() or None) if self.log.startswith("kafka://") else None

    def load_calibration(self) -> Calibration:
        """The calibration in force. Raises ConfigError for a document that cannot be used."""
        return load_calibration(self.calibration)

    def was_default(self, key: str) -> bool:
        """True when nobody gave this setting a value."""
        return self._origins.get(key, "default") == "default"

    def sources(self) -> list[Source]:
        """Every setting with its effective value and where that came from."""
        return [
            Source(key, _shown(_get(self, key)), self._origins.get(key, "default"), _described(info))
            for key, info in fields()
        ]


@dataclass(frozen=True, slots=True)
class Source:
    """A setting, its effective value (secrets hidden), where the value came from, and what it is."""

    key: str
    value: str | int | float | bool | None
    origin: str
    about: str


# What may be set, in words


def fields(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting: its dotted key and its field."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from fields(info.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", info


def variable(key: str) -> str:
    """The environment variable of a setting: ``kafka.ssl_cafile`` is ``ALVH_KAFKA__SSL_CAFILE``."""
    return PREFIX + key.replace(".", "__").upper()


def allowed(info: FieldInfo) -> str:
    """What a setting may be, in words."""
    kinds = [kind for kind in _kinds(info.annotation) if kind is not type(None)]
    choices = [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if choices:
        return ", ".join(choices)
    low: Any = next((m.ge for m in info.metadata if isinstance(m, Ge)), None)
    high: Any = next((m.le for m in info.metadata if isinstance(m, Le)), None)
    if bool in kinds:
        return "true or false"
    if int in kinds:
        return f"a whole number, {low} to {high}"
    if float in kinds:
        return f"a number, {low:g} to {high:g}"
    if Path in kinds:
        return "a file"
    if SecretStr in kinds:
        return "text, environment only"
    pattern = next((getattr(m, "pattern", None) for m in info.metadata if getattr(m, "pattern", None)), None)
    return "letters, digits and . _ -, at most 64" if pattern else "text"


def default_text(info: FieldInfo) -> str:
    """A setting's default as it would be written; nothing when there is none."""
    value = info.get_default(call_default_factory=False)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _kinds(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif get_origin(annotation) is Literal or not get_args(annotation):
        yield annotation
    else:
        for part in get_args(annotation):
            yield from _kinds(part)


def _described(info: FieldInfo) -> str:
    return info.description or ""


def _get(model: BaseModel, key: str) -> Any:
    value: Any = model
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _shown(value: object) -> str | int | float | bool | None:
    if isinstance(value, SecretStr):
        return HIDDEN
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _is_secret(info: FieldInfo) -> bool:
    return SecretStr in set(_kinds(info.annotation))


# Loading


def load(path: Path | None = None, given: Mapping[str, Any] | None = None) -> Settings:
    """The settings of this process.

    Args:
        path: the settings file; else ``ALVH_CONFIG``, else ``alvh.toml`` when it is there.
        given: what the command line gave, by key; None values were not given.

    Raises ConfigError for anything that cannot be used: the key, where it came from, what was given, what is allowed.
    """
    chosen = _file(path)
    document = {} if chosen is None else _toml(chosen)
    _check_environment()
    given = {key: value for key, value in (given or {}).items() if value is not None}
    origins = _origins(document, chosen, given)
    try:
        settings = Settings(**_merged(document, given))
    except ValidationError as error:
        raise ConfigError("\n".join(_explained(error, origins, document, given))) from None
    settings._origins.update(origins)
    return settings


def _file(path: Path | None) -> Path | None:
    if path is not None:
        return path
    named = os.environ.get("ALVH_CONFIG")
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _toml(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the settings file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML file: {error}") from error
    for key, info in fields():
        if _is_secret(info) and _find(document, key) is not None:
            raise ConfigError(
                f"{key} (file {path}) is a secret, and secrets are taken from the environment only."
                f" Remove it from the file, change it wherever that file has been, and set {variable(key)}."
            )
    return document


def _check_environment() -> None:
    """Refuse variables with the prefix that mean nothing: a setting that is silently ignored is worse than none."""
    known = {variable(key) for key, _ in fields()}
    for name in sorted(os.environ):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in known or upper.startswith(OTHER_VARIABLES):
            continue
        close = difflib.get_close_matches(upper, known, 1, 0.7)
        hint = f"did you mean {close[0]}?" if close else "`alvh config` lists the settings."
        raise ConfigError(f"the environment variable {name} is no setting; {hint}")


def _merged(document: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is passed by name: the command line, and of the file what the environment does not replace."""
    merged: dict[str, Any] = {}
    environment = {name.upper() for name, value in os.environ.items() if value}
    for name, value in document.items():
        if isinstance(value, Mapping):
            merged[name] = {k: v for k, v in value.items() if variable(f"{name}.{k}") not in environment}
        elif variable(name) not in environment:
            merged[name] = value
    for key, value in given.items():
        *parents, last = key.split(".")
        place = merged
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return merged


def _origins(document: Mapping[str, Any], path: Path | None, given: Mapping[str, Any]) -> dict[str, str]:
    names = {name.upper(): name for name, value in os.environ.items() if value}
    origins: dict[str, str] = {}
    for key, _ in fields():
        if key in given:
            origins[key] = "command line"
        elif variable(key) in names:
            origins[key] = f"environment {names[variable(key)]}"
        elif _find(document, key) is not None:
            origins[key] = f"file {path}"
        else:
            origins[key] = "default"
    for key in _leaves(document):
        origins.setdefault(key, f"file {path}")
    return origins


def _find(document: Mapping[str, Any], key: str) -> Any:
    value: Any = document
    for part in key.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _leaves(document: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _explained(
    error: ValidationError, origins: Mapping[str, str], document: Mapping[str, Any], given: Mapping[str, Any]
) -> Iterator[str]:
    """One line for each wrong setting."""
    known = dict(fields())
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        key = ".".join(str(part) for part in item["loc"])
        while key and key not in known and key.rpartition(".")[0] in known:
            key = key.rpartition(".")[0]  # the place within a union says nothing to a user
        words = item["msg"].removeprefix("Value error, ")
        where = f" ({origins[key]})" if key in origins else ""
        if item["type"] == "extra_forbidden":
            close = difflib.get_close_matches(key, known, 1, 0.6)
            hint = f"did you mean {close[0]}?" if close else f"the settings are {', '.join(known)}."
            yield f"{key}{where} is no setting; {hint}"
        elif key in known:
            value = HIDDEN if _is_secret(known[key]) else _given(key, document, given)
            rule = words if item["type"] == "value_error" else f"allowed is {allowed(known[key])}"
            yield f"{key}{where}: {value} cannot be used; {rule}. It is: {_described(known[key])}."
        elif item["type"] == "model_type":
            yield f"{key}: a table is expected, [{key}], with {', '.join(k for k in known if k.startswith(key))}."
        else:
            yield f"{key or 'settings'}: {words}."


def _given(key: str, document: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    name = next((n for n, value in os.environ.items() if value and n.upper() == variable(key)), None)
    if key in given:
        value = given[key]
    else:
        value = os.environ[name] if name is not None else _find(document, key)
    return without_secrets(repr(value))


# The calibration document


def load_calibration(path: Path | None) -> Calibration:
    """The calibration document in ``path`` (.json or .toml; what it leaves out keeps its default), or the defaults.

    Raises ConfigError naming the place in the document, what was given and what is allowed.
    """
    if path is None:
        return Calibration()
    text = _calibration_json(path)
    try:
        return Calibration.model_validate_json(text)
    except ValidationError as error:
        lines = []
        for item in error.errors(include_url=False, include_context=False):
            key = ".".join(str(part) for part in item["loc"]) or "calibration"
            words = item["msg"].removeprefix("Value error, ")
            shown = "" if item["type"] in ("value_error", "missing") else f": {str(item['input'])[:80]!r} given"
            lines.append(f"{key} (file {path}){shown}: {words}")
        lines.append("`alvh config calibration` prints a complete document to start from.")
        raise ConfigError("\n".join(lines)) from None


def _calibration_json(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".toml":
            return json.dumps(tomllib.loads(text), default=str)
        if path.suffix.lower() == ".json":
            json.loads(text)
            return text
    except OSError as error:
        raise ConfigError(
            f"calibration: cannot read {path}: {error.strerror}. Give the path of a .json or .toml document, relative"
            " to the working directory."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"calibration: {path} is no {path.suffix[1:].upper()} document: {error}") from error
    raise ConfigError(f"calibration: {path} is neither .json nor .toml; name it after what it is.")
