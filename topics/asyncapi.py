"""The contract of every topic as an AsyncAPI 3.0 document, made from the catalog and the messages themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from annotated_types import Ge, Gt, Le, Lt
from pydantic.json_schema import models_json_schema

from topics.catalog import (
    ALERTS,
    ALL_TOPICS,
    DEAD_LETTERS,
    HEDGE_REBALANCES,
    HEDGE_REGIMES,
    MACRO_RELEASES,
    MARKET_FLOWS,
    MARKET_TICKS,
    PORTFOLIO_SNAPSHOTS,
    REGIME_MARKS,
    REGIME_STATES,
    REGIME_TRANSITIONS,
    Topic,
)
from topics.codec import ARROW, CONTENT_TYPE, JSON, SCHEMA_VERSION
from topics.examples import EXAMPLES
from topics.kafka import topic_config
from topics.message import Message, Record
from topics.ticks import MAX_ROWS, SCHEMA

#: What this software reads and writes. Topics in neither are contracts for what stands beside it.
RECEIVES: Final = (
    MARKET_TICKS,
    MACRO_RELEASES,
    MARKET_FLOWS,
    PORTFOLIO_SNAPSHOTS,
    HEDGE_REGIMES,
    HEDGE_REBALANCES,
    DEAD_LETTERS,
)
SENDS: Final = (
    HEDGE_REGIMES,
    REGIME_STATES,
    REGIME_MARKS,
    REGIME_TRANSITIONS,
    HEDGE_REBALANCES,
    ALERTS,
    DEAD_LETTERS,
)

_BLOCK: Final = "TickBlock"
_REF: Final = "#/components/schemas/{model}"


def asyncapi(
    version: str, *, partitions: int = 1, replicas: int = 1, servers: str = "localhost:9092"
) -> dict[str, Any]:
    """The document, as JSON values, for a deployment with those partitions and copies on those brokers."""
    hosts = servers.split(",")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "alvh",
            "version": version,
            "description": (
                "Ticks, macro releases and portfolios in; volatility regimes, layered hedge rebalances and alerts out."
                " JSON in canonical form: sorted keys, no blanks, UTF-8; what is missing is absent. Times are RFC 3339"
                " in UTC, prices decimal strings (numbers are read too), amounts US dollars to the cent. The software"
                " advises; it is no investment advice."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON.decode(),
        "servers": {
            f"kafka{i if i else ''}": {"host": host, "protocol": "kafka", "description": "a broker of the cluster"}
            for i, host in enumerate(hosts)
        },
        "channels": {topic.name: _channel(topic, partitions, replicas) for topic in ALL_TOPICS.values()},
        "operations": dict(_operations()),
        "components": {"messages": dict(_messages()), "schemas": _schemas()},
    }


def _channel(topic: Topic, partitions: int, replicas: int) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for key, value in topic_config(topic, replicas).items():
        if key == "cleanup.policy":
            config[key] = [value]
        elif key in ("retention.ms", "max.message.bytes"):
            config[key] = int(value)
    about = topic.about + (" Each message is written once to every partition." if topic.fan_out else "")
    if not topic.messages:
        about += " Its records are the processor's own and no contract."
    return {
        "address": topic.name,
        "title": topic.name,
        "description": f"{about} Keyed by {topic.key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _names(topic)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": partitions,
                "replicas": replicas,
                "topicConfiguration": config,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _names(topic: Topic) -> list[str]:
    return [kind.__name__ for kind in topic.messages] + ([_BLOCK] if topic.blocks else [])


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for action, names in (("receive", RECEIVES), ("send", SENDS)):
        for name in names:
            yield (
                f"{action}.{name}",
                {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{name}"},
                    "summary": f"{'Reads' if action == 'receive' else 'Writes'} {name}.",
                    "messages": [{"$ref": f"#/channels/{name}/messages/{m}"} for m in _names(ALL_TOPICS[name])],
                },
            )


def _messages() -> Iterator[tuple[str, dict[str, Any]]]:
    keys = {kind: topic.key for topic in ALL_TOPICS.values() for kind in topic.messages}
    for kind, key in keys.items():
        yield (
            kind.__name__,
            {
                "name": kind.__name__,
                "title": kind.__name__,
                "summary": _first_line(kind),
                "contentType": JSON.decode(),
                "headers": _headers(JSON, kind.version),
                "payload": {"$ref": _REF.format(model=kind.__name__)},
                "bindings": {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": "0.5.0"}},
                "examples": [{"name": "example", "payload": EXAMPLES[kind].document()}],
            },
        )
    yield (
        _BLOCK,
        {
            "name": _BLOCK,
            "title": _BLOCK,
            "summary": "Many ticks of one market as one Arrow IPC stream; each row means what it would mean as a Tick.",
            "contentType": ARROW.decode(),
            "headers": _headers(ARROW, 1),
            "payload": {"$ref": _REF.format(model=_BLOCK)},
            "bindings": {"kafka": {"key": {"type": "string", "description": "market"}, "bindingVersion": "0.5.0"}},
        },
    )


def _headers(content_type: bytes, version: int) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            CONTENT_TYPE: {"type": "string", "const": content_type.decode()},
            SCHEMA_VERSION: {"type": "string", "const": str(version)},
        },
        "required": [CONTENT_TYPE] if content_type == ARROW else [],
    }


def _first_line(kind: type[Message]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


# Schemas: draft 07, which AsyncAPI's own schema object extends


def _schemas() -> dict[str, Any]:
    models = [(kind, "validation") for kind in EXAMPLES]
    _, generated = models_json_schema(models, ref_template=_REF)  # type: ignore[arg-type]
    classes = {kind.__name__: kind for kind in _subclasses(Record)}
    schemas = {name: _bounded(classes[name], _draft07(schema)) for name, schema in generated["$defs"].items()}
    columns = "; ".join(f"{field.name}: {field.type}{'' if field.nullable else ', required'}" for field in SCHEMA)
    schemas[_BLOCK] = {
        "title": _BLOCK,
        "type": "string",
        "format": "binary",
        "description": (
            f"Arrow IPC stream of one to {MAX_ROWS} rows of one market. Columns, as the fields of Tick: {columns}."
            " Columns other than event_ts and symbol may be left out. Schema metadata: schema_version `1`, market."
        ),
    }
    return dict(sorted(schemas.items()))


def _subclasses(kind: type[Record]) -> Iterator[type[Record]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)


def _draft07(schema: Any) -> Any:
    """The schema with what is newer than draft 07 put in its terms."""
    if isinstance(schema, list):
        return [_draft07(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: _draft07(value) for key, value in schema.items() if key not in ("ge", "gt", "le", "lt")}
    if "prefixItems" in out:
        out["items"] = out.pop("prefixItems")
        out["additionalItems"] = False
    if "$ref" in out and len(out) > 1:
        out["allOf"] = [{"$ref": out.pop("$ref")}]
    if out.get("type") == "number":
        out |= {_KEYWORDS[key]: schema[key] for key in ("ge", "gt", "le", "lt") if key in schema}
    return out


_KEYWORDS: Final[Mapping[str, str]] = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}


def _bounded(kind: type[Record], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with the bounds of numeric fields, which the wire form of a number hides from the generator."""
    for name, info in kind.model_fields.items():
        place = schema["properties"].get(info.serialization_alias or info.alias or name)
        if place is None or place.get("type") != "number":
            continue
        for bound in info.metadata:
            for mark, key in ((Ge, "ge"), (Gt, "gt"), (Le, "le"), (Lt, "lt")):
                if isinstance(bound, mark):
                    place[_KEYWORDS[key]] = getattr(bound, key)
    return schema


# YAML


_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_.\-]+)*")
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def to_yaml(value: Any) -> str:
    """JSON values as YAML, block by block. Text that could be read as something else is quoted as in JSON."""
    return "\n".join(_yaml(value, 0)) + "\n"


def _yaml(value: Any, depth: int) -> Iterator[str]:
    pad = "  " * depth
    entries: Iterator[tuple[str, Any]]
    if isinstance(value, dict):
        entries = ((f"{_scalar(key)}:", item) for key, item in value.items())
    else:
        entries = (("-", item) for item in value)
    for lead, item in entries:
        if isinstance(item, dict | list) and item:
            yield f"{pad}{lead}"
            yield from _yaml(item, depth + 1)
        else:
            yield f"{pad}{lead} {_scalar(item)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    text = json.dumps(value)
    if isinstance(value, float) and "e" in text and "." not in text:
        return text.replace("e", ".0e")  # without a point YAML takes it for a word
    return text
