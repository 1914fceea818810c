"""The published contract: whole, self-consistent, and true of the messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from processors.alerter import Alerter
from processors.hedger import Hedger
from processors.market import Market
from topics.asyncapi import RECEIVES, SENDS, asyncapi, to_yaml
from topics.calibration import Calibration
from topics.catalog import ALL_TOPICS, CATALOG, DEAD_LETTERS
from topics.codec import decode
from topics.examples import EXAMPLES
from topics.message import Message

DOCUMENT = json.loads(json.dumps(asyncapi("1.2.3", partitions=4, replicas=3, servers="a:9092,b:9092")))
SCHEMAS = DOCUMENT["components"]["schemas"]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from nodes(item)
    elif isinstance(value, list):
        for item in value:
            yield from nodes(item)


def resolve(reference: str) -> Any:
    """What a ``$ref`` of the document points at."""
    assert reference.startswith("#/"), reference
    value: Any = DOCUMENT
    for part in reference[2:].split("/"):
        value = value[part.replace("~1", "/").replace("~0", "~")]
    return value


def validator(name: str) -> Draft7Validator:
    return Draft7Validator({"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}})


def test_every_reference_leads_somewhere() -> None:
    references = [node["$ref"] for node in nodes(DOCUMENT) if isinstance(node.get("$ref"), str)]
    assert len(references) > 60
    for reference in references:
        assert isinstance(resolve(reference), dict)


def test_the_document_has_the_parts_that_version_3_asks_for() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert set(DOCUMENT) == {
        "asyncapi",
        "info",
        "defaultContentType",
        "servers",
        "channels",
        "operations",
        "components",
    }
    assert DOCUMENT["info"]["version"] == "1.2.3"
    assert [server["host"] for server in DOCUMENT["servers"].values()] == ["a:9092", "b:9092"]
    assert all(server["protocol"] == "kafka" for server in DOCUMENT["servers"].values())


def test_every_topic_is_a_channel_with_its_messages_and_how_it_is_kept() -> None:
    assert set(DOCUMENT["channels"]) == set(ALL_TOPICS)
    for name, topic in ALL_TOPICS.items():
        channel = DOCUMENT["channels"][name]
        assert channel["address"] == name
        assert {kind.__name__ for kind in topic.messages} == set(channel["messages"]) - {"TickBlock"}
        assert ("TickBlock" in channel["messages"]) == topic.blocks
        kafka = channel["bindings"]["kafka"]
        assert (kafka["partitions"], kafka["replicas"]) == (4, 3)
        assert kafka["topicConfiguration"]["cleanup.policy"] == [topic.cleanup]
        assert kafka["topicConfiguration"].get("retention.ms") == topic.retention_ms


def test_operations_name_messages_of_their_own_channel() -> None:
    for name, operation in DOCUMENT["operations"].items():
        action, _, topic = name.partition(".")
        assert operation["action"] == action
        assert action in ("receive", "send")
        assert operation["channel"] == {"$ref": f"#/channels/{topic}"}
        assert [m["$ref"] for m in operation["messages"]] == [
            f"#/channels/{topic}/messages/{m}" for m in DOCUMENT["channels"][topic]["messages"]
        ]


def test_operations_are_what_the_processors_read_and_write() -> None:
    processors = (Market(Calibration()), Hedger(Calibration()), Alerter())
    assert {given.topic for p in processors for given in p.inputs} == set(RECEIVES)
    assert {topic for p in processors for topic in p.outputs} | {DEAD_LETTERS} == set(SENDS)


def test_every_schema_is_a_schema_and_closed_and_every_field_is_described() -> None:
    for name, schema in SCHEMAS.items():
        Draft7Validator.check_schema(schema)
        if schema["type"] == "object":
            assert schema["additionalProperties"] is False, name
            for field, place in schema["properties"].items():
                assert place.get("description"), f"{name}.{field}"


def test_nothing_newer_than_draft_07_is_left() -> None:
    newer = {"prefixItems", "$defs", "dependentRequired", "unevaluatedProperties"}
    foreign = {"ge", "gt", "le", "lt"}
    for schema in SCHEMAS.values():
        for node in nodes({key: value for key, value in schema.items() if key != "properties"}):
            assert not newer & set(node)
        for place in schema.get("properties", {}).values():
            for node in nodes(place):
                assert not (newer | foreign) & set(node)
                assert "$ref" not in node or len(node) == 1


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_examples_are_valid_here_and_in_the_code(kind: type[Message]) -> None:
    (example,) = DOCUMENT["components"]["messages"][kind.__name__]["examples"]
    validator(kind.__name__).validate(example["payload"])
    assert decode(kind, json.dumps(example["payload"]).encode()) == EXAMPLES[kind]


def test_every_message_of_the_catalog_has_an_example() -> None:
    assert {kind for topic in CATALOG.values() for kind in topic.messages} == set(EXAMPLES)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("Tick", {"last": "1e3"}),
        ("Tick", {"surprise": 1}),
        ("Tick", {"schema_version": 2}),
        ("Portfolio", {"beta": 9}),
        ("Regime", {"score": 101}),
        ("Regime", {"state": "calm"}),
    ],
)
def test_the_schemas_refuse_what_the_code_refuses(name: str, change: dict[str, Any]) -> None:
    payload = DOCUMENT["components"]["messages"][name]["examples"][0]["payload"]
    with pytest.raises(ValidationError):
        validator(name).validate({**payload, **change})


def test_bounds_and_units_are_in_the_schema() -> None:
    weight = SCHEMAS["ScoreFeature"]["properties"]["weight"]
    assert (weight["exclusiveMinimum"], weight["maximum"]) == (0, 1)
    assert "USD" in SCHEMAS["Portfolio"]["properties"]["mv"]["description"]
    assert SCHEMAS["Calibration"]["properties"]["name"]["default"] == Calibration().name


def test_yaml_reads_back_as_the_same_document() -> None:
    assert yaml.safe_load(to_yaml(DOCUMENT)) == DOCUMENT


@pytest.mark.parametrize(
    "value",
    ["no", "NULL", "1.0", "0x1f", "2018-02-05", "a: b", "- a", "#c", "", " a", "a\nb", "~", "é", "12:30", "=", "1_000"],
)
def test_text_stays_text_in_yaml(value: str) -> None:
    document = {value: [value, {"k": value}], "numbers": [1, 1.5, True, None], "empty": {"l": [], "d": {}}}
    assert yaml.safe_load(to_yaml(document)) == document
