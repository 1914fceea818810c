"""Bytes to messages and back: content types, headers, and the reason when bytes cannot be used."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from pydantic import ValidationError

from topics.chain import ChainFigure
from topics.constituents import CrossSection
from topics.dead_letter import MAX_LETTER, DeadLetter, Reason, Refused
from topics.flows import Flow
from topics.macro import Release, Schedule
from topics.market import Tick, Watermark
from topics.message import Message
from topics.offering import Offering
from topics.option_chain import OptionChain
from topics.regime import Regime
from topics.ticks import BlockError, TickColumns, decode_block, encode_block

JSON: Final = b"application/json"
ARROW: Final = b"application/vnd.apache.arrow.stream"
CONTENT_TYPE: Final = "content-type"
SCHEMA_VERSION: Final = "schema-version"

#: The largest single JSON message, in bytes.
MAX_JSON: Final = 64 * 1024
#: The largest tick block, in bytes.
MAX_BLOCK: Final = 8 * 1024 * 1024

Headers = tuple[tuple[str, bytes], ...]
JSON_HEADERS: Final[Headers] = ((CONTENT_TYPE, JSON), (SCHEMA_VERSION, b"1"))
ARROW_HEADERS: Final[Headers] = ((CONTENT_TYPE, ARROW), (SCHEMA_VERSION, b"1"))

M = TypeVar("M", bound=Message)

#: What ``market.flows`` carries.
AnyFlow = Flow | CrossSection | Offering | ChainFigure


def encode(message: Message) -> tuple[bytes, Headers]:
    """Canonical bytes of a message and the headers that go with them."""
    return message.canonical(), JSON_HEADERS


def encode_ticks(columns: TickColumns) -> tuple[bytes, Headers]:
    """A tick block and the headers that go with it."""
    return encode_block(columns), ARROW_HEADERS


def decode(kind: type[M], value: bytes | None, headers: Headers = ()) -> M:
    """The message of that kind in ``value``. Raises Refused with the reason when there is none."""
    text = _json(value, headers, MAX_LETTER if kind is DeadLetter else MAX_JSON)
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise _refused(text, error) from error


def decode_market(value: bytes | None, headers: Headers = ()) -> Tick | Watermark | TickColumns:
    """What ``market.ticks`` carries: a tick, a watermark, or a block of ticks, told apart by the content type."""
    if value is None:
        raise Refused("tombstone", "the record has no value")
    if _content_type(headers) == ARROW:
        if len(value) > MAX_BLOCK:
            raise Refused("too_large", f"a tick block of {len(value)} bytes; at most {MAX_BLOCK} are taken")
        try:
            columns = decode_block(value)
        except BlockError as error:
            raise Refused(_as_reason(error.reason), str(error)) from error
        return columns
    if b'"watermark_ts"' in value:
        return decode(Watermark, value, headers)
    return decode(Tick, value, headers)


def plain_json(values: Sequence[bytes | None], headers: Sequence[Headers]) -> tuple[Sequence[int], Sequence[bytes]]:
    """The records that hold JSON of the size that is taken: their places, rising, and their values.

    The headers of a whole poll are mostly the same, and often the same object: each is looked at once.
    """
    kinds = dict(zip(map(id, headers), headers, strict=True))
    known = {key for key, each in kinds.items() if each == JSON_HEADERS or _content_type(each) == JSON}
    if len(known) == len(kinds) and all(values) and max(map(len, values), default=0) <= MAX_JSON:  # type: ignore[arg-type]
        return range(len(values)), values  # type: ignore[return-value]
    places = [
        place
        for place, (value, each) in enumerate(zip(values, headers, strict=True))
        if id(each) in known and value is not None and len(value) <= MAX_JSON
    ]
    return places, [values[place] or b"" for place in places]


def decode_macro(value: bytes | None, headers: Headers = ()) -> Release | Schedule:
    """What ``macro.releases`` carries: a release, or that one is due."""
    if value is not None and b'"scheduled_ts"' in value:
        return decode(Schedule, value, headers)
    return decode(Release, value, headers)


def flow_ts(flow: AnyFlow) -> int:
    """When a figure of ``market.flows`` became public, ns."""
    if isinstance(flow, ChainFigure):
        return flow.block_ts
    return flow.pricing_ts if isinstance(flow, Offering) else flow.event_ts


def decode_flow(value: bytes | None, headers: Headers = ()) -> AnyFlow:
    """What ``market.flows`` carries, told apart by the field that only one of them has."""
    if value is not None and b'"block_ts"' in value:
        return decode(ChainFigure, value, headers)
    if value is not None and b'"pricing_ts"' in value:
        return decode(Offering, value, headers)
    if value is not None and b'"members"' in value:
        return decode(CrossSection, value, headers)
    return decode(Flow, value, headers)


#: Keys at the top of each document on ``hedge.regimes`` that the other never has. A Regime has names of its own choice
#: within (features, sources), so that the second decides; a chain has none.
_OF_A_CHAIN: Final = re.compile(rb'"expiries"\s*:')
_OF_A_REGIME: Final = re.compile(rb'"score_parts"\s*:')


def decode_hedge_input(value: bytes | None, headers: Headers = ()) -> Regime | OptionChain:
    """What ``hedge.regimes`` carries: a regime, or an option chain, told apart by keys that only one of them has."""
    if value is not None and _OF_A_CHAIN.search(value) and not _OF_A_REGIME.search(value):
        return decode(OptionChain, value, headers)
    return decode(Regime, value, headers)


def refusal(columns: TickColumns, row: int) -> Refused | None:
    """Why a row is no valid tick, in the very words that the single tick would have got; None when it is one."""
    text = columns.row_bytes(row)
    try:
        Tick.model_validate_json(text)
    except ValidationError as error:
        return _refused(text, error)
    return None


def usable_times(columns: TickColumns) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Event times, int64 ns, with 0 in rows that are invalid: those never move time."""
    return np.where(columns.invalid, np.int64(0), columns.event_ts)


def _content_type(headers: Headers) -> bytes:
    return next((v for k, v in headers if k == CONTENT_TYPE), JSON).split(b";")[0].strip().lower()


def _json(value: bytes | None, headers: Headers, most: int) -> bytes:
    if value is None:
        raise Refused("tombstone", "the record has no value")
    kind = _content_type(headers)
    if kind != JSON:
        raise Refused("content_type", f"content type {kind.decode(errors='replace')!r}; allowed is {JSON.decode()}")
    if len(value) > most:
        raise Refused("too_large", f"a message of {len(value)} bytes; at most {most} are taken")
    return value


_CODES: Final[tuple[tuple[str, Reason], ...]] = (
    ("is unknown", "unknown_symbol"),
    ("is none of ROOT", "unknown_symbol"),
    ("is no known future", "unknown_symbol"),
    ("outside the plausible range", "implausible"),
    ("is above its ask", "crossed"),
)


def _refused(text: bytes, error: ValidationError) -> Refused:
    """Why ``text`` is not the message it should be: each field, what is wrong with it and what was given."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as broken:
        return Refused("not_json", f"the bytes are no JSON: {str(broken)[:200]}")
    if not isinstance(document, dict):
        return Refused("not_json", f"expected a JSON object, was given a {type(document).__name__}")
    version = document.get("schema_version", 1)
    if version != 1 or isinstance(version, bool):
        return Refused("schema_version", f"schema version {str(version)[:40]!r}; this reader knows 1")
    parts = []
    for item in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in item["loc"]) or "message"
        words = item["msg"].removeprefix("Value error, ")
        given = "" if item["type"] in ("value_error", "missing") else f" (given {str(item['input'])[:80]!r})"
        parts.append(f"{where}: {words}{given}")
    detail = "; ".join(parts)
    reason: Reason = next((code for phrase, code in _CODES if phrase in detail), "invalid")
    return Refused(reason, detail)


def _as_reason(reason: str) -> Reason:
    known: dict[str, Reason] = {
        "not_arrow": "not_arrow",
        "schema_version": "schema_version",
        "too_large": "too_large",
        "wrong_market": "wrong_market",
    }
    return known.get(reason, "invalid")
