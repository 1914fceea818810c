"""Bytes that leave the processors: strict JSON, finite numbers, and the very bytes that their model writes."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from topics.catalog import CATALOG
from topics.codec import decode_hedge_input
from topics.message import Message


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def strict(data: bytes) -> Any:
    """The document in strict JSON. ValueError for NaN, infinities and everything else that is none."""
    return json.loads(data.decode(), parse_constant=_no_constant, parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is larger than a float")
    return number


def check_message(kind: type[Message], data: bytes) -> None:
    """ValueError unless ``data`` are strict JSON, a message of that kind, and its canonical bytes."""
    strict(data)
    again = kind.model_validate_json(data).canonical()
    if again != data:
        raise ValueError(f"written again it differs: {data[:300]!r} became {again[:300]!r}")


def check_output(topic: str, data: bytes | None) -> None:
    """ValueError unless ``data`` may stand in that topic."""
    if data is None:
        raise ValueError("an output without a value")
    kinds = CATALOG[topic].messages
    kind = type(decode_hedge_input(data)) if len(kinds) > 1 else kinds[0]
    check_message(kind, data)
