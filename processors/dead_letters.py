"""Dead letters as a person looks for them: what was refused, why, where it stood, and under which id.

They are read as they are, record by record: no group is joined and nothing is written.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from processors.errors import UserError
from processors.stream.log import Cluster, Record, TopicPartition
from processors.tail import partitions_of
from topics.catalog import DEAD_LETTERS
from topics.codec import decode
from topics.dead_letter import DeadLetter, Refused
from topics.times import format_ts

#: Fewest hexadecimal digits of an abbreviated id, and how many are shown.
LEAST_DIGITS: Final = 8
SHOWN_DIGITS: Final = 12
_ID: Final = re.compile(rf"(?:sha256:)?([0-9a-f]{{{LEAST_DIGITS},64}})", re.IGNORECASE)
_SOURCE: Final = re.compile(rb"(.+)/(\d+)/(\d+)/(\d+)")
_LISTED: Final = 5


class Place(NamedTuple):
    """Where an input stood: a row of a record, 0 for a record that is one message."""

    topic: str
    partition: int
    offset: int
    row: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}/{self.row}"


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter of a log.

    Attributes:
        id: hexadecimal SHA-256 of where the input stood and of the letter's bytes. So it is the same wherever and
            whenever the letter is read, and two equal inputs have different ids.
        at: where the letter lies itself.
        refused_ts: when it was written, by the log's clock, ns.
        source: where the input stood; None when the record does not say.
    """

    id: str
    at: TopicPartition
    offset: int
    refused_ts: int
    source: Place | None
    letter: DeadLetter

    @property
    def short(self) -> str:
        """The id as it is shown."""
        return self.id[:SHOWN_DIGITS]

    def original(self) -> bytes:
        """The original bytes, as many as were kept."""
        text = self.letter.original
        return base64.b64decode(text) if self.letter.encoding == "base64" else text.encode()

    def document(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        return {
            "id": self.id,
            "refused_ts": format_ts(self.refused_ts),
            "source": None if self.source is None else str(self.source),
            "letter": self.letter.document(),
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are looked for; what is None does not matter. Times are the log's, ns; ``until`` is left out."""

    topic: str | None = None
    reason: str | None = None
    since: int | None = None
    until: int | None = None

    def fits(self, letter: Letter) -> bool:
        """Whether this is one of them."""
        return (
            self.topic in (None, letter.letter.topic)
            and self.reason in (None, letter.letter.reason)
            and (self.since is None or letter.refused_ts >= self.since)
            and (self.until is None or letter.refused_ts < self.until)
        )

    @property
    def anything(self) -> bool:
        """True when nothing was asked for in particular."""
        return self == Wanted()


def letters(cluster: Cluster, wanted: Wanted | None = None) -> Iterator[Letter]:
    """The dead letters of a log, the oldest first in each partition. UserError when it has no such topic."""
    chosen = wanted or Wanted()
    for tp in partitions_of(DEAD_LETTERS, cluster):
        for record in cluster.read(tp):
            letter = letter_of(record)
            if letter is not None and chosen.fits(letter):
                yield letter


def letter_of(record: Record) -> Letter | None:
    """A record as a dead letter; None when it is none that this version knows."""
    try:
        letter = decode(DeadLetter, record.value, record.headers)
    except Refused:
        return None
    source = record.header("alvh-source")
    stood = source if source is not None else f"{record.topic}/{record.partition}/{record.offset}".encode()
    identity = hashlib.sha256(stood + b"\0" + (record.value or b"")).hexdigest()
    at = TopicPartition(record.topic, record.partition)
    return Letter(identity, at, record.offset, record.timestamp, _place(source), letter)


def newest(found: Iterable[Letter], count: int) -> list[Letter]:
    """The last ``count`` letters by the log's clock, the newest last."""
    return sorted(found, key=lambda letter: (letter.refused_ts, letter.at, letter.offset))[-count:]


def counts(found: Iterable[Letter]) -> list[tuple[str, str, int]]:
    """How many letters there are of each topic and reason, the most frequent first."""
    counted = Counter((letter.letter.topic, letter.letter.reason) for letter in found)
    return [(topic, reason, count) for (topic, reason), count in sorted(counted.items(), key=lambda i: (-i[1], i[0]))]


def digits_of(text: str) -> str:
    """The digits of an id or of an abbreviation of one; UserError when it is neither."""
    found = _ID.fullmatch(text)
    if found is None:
        raise UserError(
            f"{text!r} is no id of a dead letter; give {LEAST_DIGITS} or more of its hexadecimal digits, as"
            " `alvh dlq list` shows them"
        )
    return found[1].lower()


def named(cluster: Cluster, texts: Sequence[str]) -> list[Letter]:
    """The letters with these ids, in this order.

    Raises UserError for an id that no letter has, with those that are close, and for one that fits several.
    """
    wanted = [digits_of(text) for text in texts]
    found: dict[str, list[Letter]] = {digits: [] for digits in wanted}
    ids: list[str] = []
    for letter in letters(cluster):
        ids.append(letter.id)
        for digits, fitting in found.items():
            if letter.id.startswith(digits):
                fitting.append(letter)
    for digits, fitting in found.items():
        if not fitting:
            raise UserError(_unknown(digits, ids))
        if len({letter.id for letter in fitting}) > 1:
            listed = ", ".join(letter.id[:20] for letter in fitting[:_LISTED])
            raise UserError(f"{digits} fits {len(fitting)} dead letters; give more digits of one: {listed}")
    return list({found[digits][0].id: found[digits][0] for digits in wanted}.values())


def _unknown(digits: str, ids: Sequence[str]) -> str:
    if not ids:
        return f"no dead letter has an id that begins with {digits}: there are no dead letters"
    short = {identity[: len(digits)]: identity[:SHOWN_DIGITS] for identity in ids}
    close = [short[one] for one in difflib.get_close_matches(digits, short, _LISTED, 0.7)]
    hint = f" Close to it: {', '.join(close)}." if close else ""
    return (
        f"no dead letter has an id that begins with {digits}; {len(ids):,} searched.{hint}"
        " `alvh dlq list` shows what there is; letters are kept for 90 days."
    )


def _place(source: bytes | None) -> Place | None:
    found = None if source is None else _SOURCE.fullmatch(source)
    if found is None:
        return None
    return Place(found[1].decode(errors="replace"), int(found[2]), int(found[3]), int(found[4]))
