"""What was once written is read for ever: stored bytes of each message and schema version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from topics.catalog import CATALOG
from topics.codec import ARROW_HEADERS, JSON_HEADERS, decode, decode_market, encode, encode_ticks
from topics.dead_letter import Refused
from topics.examples import EXAMPLES
from topics.market import Tick
from topics.message import Message, canonical_json
from topics.ticks import TickColumns, columns_of

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
KINDS = {kind.__name__: kind for kind in EXAMPLES}
FILES = sorted(GOLDEN.glob("v*/*.json"))


def test_every_message_of_the_catalog_has_its_golden_file() -> None:
    assert {kind for topic in CATALOG.values() for kind in topic.messages} == set(EXAMPLES)
    for name, kind in KINDS.items():
        assert (GOLDEN / f"v{kind.version}" / f"{name}.json").exists(), f"run tests/golden/write.py for {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_stored_bytes_are_read_and_written_the_same(path: Path) -> None:
    data = path.read_bytes()
    message = decode(KINDS[path.stem], data, JSON_HEADERS)
    assert message.canonical() == data
    assert message.document() == json.loads(data)


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_the_example_of_the_contract_is_written_as_stored(kind: type[Message]) -> None:
    data, headers = encode(EXAMPLES[kind])
    assert data == (GOLDEN / f"v{kind.version}" / f"{kind.__name__}.json").read_bytes()
    assert dict(headers) == {"content-type": b"application/json", "schema-version": str(kind.version).encode()}


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_any_order_of_keys_and_any_blanks_are_read_and_the_canonical_form_is_written(kind: type[Message]) -> None:
    document = EXAMPLES[kind].document()
    loose = json.dumps(dict(reversed(document.items())), indent=2).encode()
    assert decode(kind, loose).canonical() == canonical_json(document)


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_unknown_fields_and_versions_are_refused(kind: type[Message]) -> None:
    document = EXAMPLES[kind].document()
    with pytest.raises(Refused, match="surprise") as caught:
        decode(kind, canonical_json({**document, "surprise": 1}))
    assert caught.value.reason == "invalid"
    with pytest.raises(Refused, match="this reader knows 1") as caught:
        decode(kind, canonical_json({**document, "schema_version": 2}))
    assert caught.value.reason == "schema_version"


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_a_missing_field_is_named(kind: type[Message]) -> None:
    document = EXAMPLES[kind].document()
    for name, info in kind.model_fields.items():
        if info.is_required():
            with pytest.raises(Refused, match=f"{name}: Field required"):
                decode(kind, canonical_json({key: value for key, value in document.items() if key != name}))


def test_the_stored_block_is_read_as_the_ticks_that_it_was_made_of() -> None:
    columns = decode_market((GOLDEN / "v1" / "TickBlock.arrow").read_bytes(), ARROW_HEADERS)
    assert isinstance(columns, TickColumns)
    assert not columns.invalid.any()
    ticks = [decode(Tick, columns.row_bytes(row)) for row in range(len(columns))]
    assert ticks[0] == EXAMPLES[Tick]
    assert (ticks[1].seq, ticks[1].bid, ticks[1].recv_ts) == (None, None, None)
    data, headers = encode_ticks(columns_of(ticks))
    again = decode_market(data, headers)
    assert isinstance(again, TickColumns)
    assert [again.row_bytes(row) for row in range(2)] == [columns.row_bytes(row) for row in range(2)]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"", "not_json"),
        (b"\xff", "not_json"),
        (b"[1]", "not_json"),
        (b"[" * 100_000, "too_large"),
        (b"[" * 60_000, "not_json"),
        (b'{"schema_version":true}', "schema_version"),
        (b"{}", "invalid"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_bytes_that_hold_no_tick(value: bytes | None, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        decode(Tick, value)
    assert caught.value.reason == reason
    assert len(caught.value.detail) <= 2000


def test_another_content_type_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        decode(Tick, b"{}", (("content-type", b"text/plain"),))
    assert caught.value.reason == "content_type"
    assert "application/json" in caught.value.detail
