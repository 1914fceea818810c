"""``dead.letters``: inputs that could not be used, whole, with the reason; keyed by the topic they came from."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Literal

from pydantic import Field

from topics.message import Digest, Message, Timestamp

Reason = Literal[
    "tombstone",
    "too_large",
    "content_type",
    "not_json",
    "not_arrow",
    "schema_version",
    "invalid",
    "unknown_symbol",
    "implausible",
    "crossed",
    "future",
    "late",
    "wrong_market",
    "not_a_session",
    "session_committed",
]

#: Original bytes beyond this are cut, so that a dead letter is never itself too large to send.
MAX_ORIGINAL = 256 * 1024
#: A dead letter is never longer than this, in bytes: the original at twice its size, and what is said of it.
MAX_LETTER = 2 * MAX_ORIGINAL + 64 * 1024


class DeadLetter(Message):
    """An input that was refused. Where it stood is in the record's headers, as that differs between logs."""

    topic: str = Field(description="topic it came from; the key")
    reason: Reason = Field(description="why, as a code")
    detail: str = Field(max_length=2000, description="why, in words: what was given and what is allowed")
    event_ts: Timestamp = Field(description="the stream's event time when it was refused")
    original_key: str | None = Field(default=None, description="key of the record, as text")
    original: str = Field(description="the refused bytes, or the refused row of a block as JSON")
    encoding: Literal["utf-8", "base64"] = Field(description="how `original` holds the bytes")
    length: int = Field(ge=0, description="bytes of the original before any cut")
    sha256: Digest = Field(description="digest of the whole original")
    truncated: bool = Field(default=False, description="true when `original` was cut")


class Refused(ValueError):
    """An input cannot be used: ``reason`` is the code, the message says what was given and what is allowed."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail[:2000]


def dead_letter(topic: str, refused: Refused, event_ts: int, key: bytes | None, original: bytes) -> DeadLetter:
    """The dead letter for ``original``, which ``refused`` says cannot be used."""
    kept = original[:MAX_ORIGINAL]
    try:
        text, encoding = kept.decode(), "utf-8"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(kept).decode(), "base64"
    if encoding == "utf-8" and len(json.dumps(text, ensure_ascii=False)) > 2 * len(text) + 2:
        text, encoding = base64.b64encode(kept).decode(), "base64"  # control characters take six bytes each in JSON
    return DeadLetter(
        topic=topic,
        reason=refused.reason,
        detail=refused.detail,
        event_ts=event_ts,
        original_key=None if key is None else key.decode(errors="replace")[:256],
        original=text,
        encoding="utf-8" if encoding == "utf-8" else "base64",
        length=len(original),
        sha256="sha256:" + hashlib.sha256(original).hexdigest(),
        truncated=len(original) > MAX_ORIGINAL,
    )
