"""What every message has in common: strict fields, units in the schema, one canonical form in bytes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from topics.times import check_ts, format_ts, parse_ts


def canonical_json(document: Any) -> bytes:
    """The one byte form of a JSON document: sorted keys, no blanks, UTF-8, shortest floats, no NaN or infinity.

    Signatures and digests are taken over these bytes, and identical content gives identical bytes.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest(document: Any) -> str:
    """``sha256:`` and the hexadecimal SHA-256 of a document's canonical bytes."""
    return "sha256:" + hashlib.sha256(canonical_json(document)).hexdigest()


def _ts(value: object) -> int:
    if isinstance(value, str):
        return parse_ts(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return check_ts(value)
    raise ValueError(f"expected an RFC 3339 time such as 2018-02-05T21:15:00Z, was given {value!r}")


def _day(value: object) -> date:
    if isinstance(value, str):
        return date.fromisoformat(value)
    if type(value) is date:
        return value
    raise ValueError(f"expected a date such as 2018-02-05, was given {value!r}")


def _number(value: object) -> float:
    """A finite float from a JSON number or a decimal string; booleans and everything else are refused."""
    if type(value) is float and math.isfinite(value):  # nearly all of them
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(f"expected a number or a decimal string, was given {value!r}")
    if isinstance(value, str) and (not value.strip() or "_" in value or not value.isascii()):
        raise ValueError(f"expected a decimal number, was given {value!r}")
    try:
        number = float(value)
    except OverflowError:  # an integer of more digits than a float can hold
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, was given {value!r}")
    return number


def _version(value: object) -> object:
    if type(value) is not int:  # true and 1.0 are equal to 1 too
        raise ValueError(f"expected the whole number 1, was given {value!r}")
    return value


def decimal_text(value: float) -> str:
    """The shortest plain decimal that reads back as ``value``: ``18.325``, ``1000000``, never an exponent."""
    text = repr(float(value))
    if "e" in text or not text[-1].isdigit():
        text = format(Decimal(text), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _cents(value: float) -> str:
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text


def tidy(value: float) -> float:
    """``value`` at twelve significant digits: what is published of a computed number.

    Beyond that, digits depend on the machine's mathematical library and mean nothing.
    """
    return float(f"{value:.12g}") + 0.0 if value else 0.0


#: No amount of US dollars is larger: ten times what the world's shares are worth.
_LARGEST_AMOUNT = 1e15


def largest(amount: float | None, name: str) -> None:
    """ValueError naming an amount of US dollars that cannot be, so that sums and ratios of amounts stay finite."""
    if amount is not None and abs(amount) > _LARGEST_AMOUNT:
        raise ValueError(f"{name} {amount:g} is outside the plausible range +-{_LARGEST_AMOUNT:g}")


#: Integer nanoseconds in memory, RFC 3339 on the wire.
Timestamp = Annotated[
    int,
    BeforeValidator(_ts),
    PlainSerializer(format_ts, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
#: A calendar date, ISO on the wire.
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
#: A price or quantity: float64 in memory, a plain decimal string on the wire (numbers are accepted too).
Price = Annotated[
    float,
    BeforeValidator(_number),
    PlainSerializer(decimal_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}),
]
#: An amount of US dollars, to the cent on the wire.
Money = Annotated[
    float,
    BeforeValidator(_number),
    PlainSerializer(_cents, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+\.\d\d$"}),
]
#: A computed, dimensionless number or one in the unit that its field names; at most twelve significant digits.
Number = Annotated[
    float,
    BeforeValidator(_number),
    PlainSerializer(tidy, return_type=float, when_used="json"),
    WithJsonSchema({"type": "number"}),
]

#: ``sha256:`` and 64 hexadecimal digits.
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
#: A short name: market, source, portfolio, series.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/ -]{0,63}$")]
Market = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{0,7}$")]

State = Literal["low", "moderate", "elevated", "high"]
STATES: tuple[State, ...] = ("low", "moderate", "elevated", "high")

Layer = Literal["L1", "L2", "L3", "TT", "R"]
LAYERS: tuple[Layer, ...] = ("L1", "L2", "L3", "TT", "R")

#: A single value of a feature in evidence.
Feature = bool | int | Number | str


def feature_number(features: Mapping[str, Feature], name: str) -> float | None:
    """A numeric feature as a float; None when it is missing, a flag or a word."""
    value = features.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


class Record(BaseModel):
    """A part of a message: strict, closed and immutable."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True
    )

    def document(self) -> dict[str, Any]:
        """The message as JSON values; what is missing is absent, never null or zero."""
        return self.model_dump(mode="json", exclude_none=True, by_alias=True)

    def canonical(self) -> bytes:
        """The message's canonical bytes (see :func:`canonical_json`)."""
        return canonical_json(self.document())


class Message(Record):
    """A message of a topic. ``schema_version`` travels in every one of them."""

    version: ClassVar[int] = 1

    schema_version: Annotated[Literal[1], BeforeValidator(_version)] = Field(
        default=1, description="version of this message's schema"
    )
