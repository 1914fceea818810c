"""A rebalance and the regime that decided it, found in a log or in the folder of a replay.

Both are read as they are, record by record: no group is joined and nothing is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import ValidationError

from processors.errors import UserError
from processors.replayed import lines
from processors.stream.log import Cluster, TopicPartition
from processors.tail import partitions_of
from processors.view import printable
from topics.catalog import HEDGE_REBALANCES, HEDGE_REGIMES, REGIME_MARKS, REGIME_STATES
from topics.rebalance import Rebalance
from topics.regime import Regime
from topics.times import parse_ts

#: Fewest hexadecimal digits of an abbreviated id.
LEAST_DIGITS: Final = 8
#: Rebalances listed when an abbreviation fits several.
_LISTED: Final = 10
_ID: Final = re.compile(rf"(?:sha256:)?([0-9a-f]{{{LEAST_DIGITS},64}})", re.IGNORECASE)


class Source(Protocol):
    """Where records are read."""

    @property
    def name(self) -> str:
        """As a person names it."""

    def values(self, topic: str) -> Iterator[bytes]:
        """The values of a topic, oldest first in each partition; UserError when they cannot be read."""

    def regimes(self) -> Iterator[bytes]:
        """Regimes of every kind that there are, some of them twice."""


@dataclass(frozen=True, slots=True)
class LogSource:
    """A log, read like by a person who looks: committed records alone, in no group."""

    cluster: Cluster
    name: str

    def values(self, topic: str) -> Iterator[bytes]:
        """The values of every partition of a topic."""
        for tp in partitions_of(topic, self.cluster):
            yield from self._read(tp)

    def regimes(self) -> Iterator[bytes]:
        """States and marks, and what the hedge was told: the topic of states keeps the newest of each market alone."""
        there = self.cluster.topics((REGIME_STATES, REGIME_MARKS, HEDGE_REGIMES))
        for topic in (REGIME_STATES, REGIME_MARKS):
            for number in range(there.get(topic, 0)):
                yield from self._read(TopicPartition(topic, number))
        if HEDGE_REGIMES in there:  # each of its partitions has every regime
            yield from self._read(TopicPartition(HEDGE_REGIMES, 0))

    def _read(self, tp: TopicPartition) -> Iterator[bytes]:
        return (record.value for record in self.cluster.read(tp) if record.value is not None)


@dataclass(frozen=True, slots=True)
class FolderSource:
    """The folder that a replay wrote."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder, as it was given."""
        return str(self.folder)

    def values(self, topic: str) -> Iterator[bytes]:
        """The lines of a topic's file."""
        yield from lines(self.folder, topic)

    def regimes(self) -> Iterator[bytes]:
        """States and marks, of the files that are there."""
        for topic in (REGIME_STATES, REGIME_MARKS, HEDGE_REGIMES):
            if (self.folder / f"{topic}.jsonl").is_file():
                yield from self.values(topic)


def digits_of(text: str) -> str:
    """The hexadecimal digits of an id or of an abbreviation of one; UserError when it is neither."""
    found = _ID.fullmatch(text)
    if found is None:
        raise UserError(
            f"{text!r} is no event_id; give {LEAST_DIGITS} or more of its hexadecimal digits, with or without `sha256:`"
        )
    return found[1].lower()


def find(source: Source, digits: str) -> dict[str, Any]:
    """The document of the rebalance whose event_id begins with these digits.

    Raises UserError when there is none, or more than one of different ids.
    """
    searched = 0
    found: dict[str, dict[str, Any]] = {}
    for document in _documents(source.values(HEDGE_REBALANCES)):
        searched += 1
        identity = document["event_id"]
        if identity.removeprefix("sha256:").startswith(digits):
            found[identity] = document
    if not found:
        raise UserError(
            f"no rebalance of {source.name} has an event_id that begins with {digits}; {_events(searched)} searched"
        )
    if len(found) > 1:
        raise UserError("\n".join([f"{digits} fits {len(found)} rebalances; give more digits of one:", *_list(found)]))
    return next(iter(found.values()))


def newest(source: Source, portfolio: str | None = None) -> dict[str, Any]:
    """The document of the newest rebalance by event time, of one portfolio or of all; UserError when there is none."""
    searched = 0
    last: dict[str, Any] | None = None
    reached = 0
    portfolios: set[str] = set()
    for document in _documents(source.values(HEDGE_REBALANCES)):
        searched += 1
        portfolios.add(document["portfolio_id"])
        if portfolio is None or document["portfolio_id"] == portfolio:
            ts = parse_ts(document["event_ts"])
            if last is None or ts >= reached:
                last, reached = document, ts
    if last is None:
        of = "" if portfolio is None else f" of portfolio {portfolio!r}"
        known = f"; there are some of {', '.join(map(printable, sorted(portfolios)))}" if portfolios else ""
        raise UserError(f"{source.name} holds no rebalance{of}; {_events(searched)} searched{known}")
    return last


def read(document: dict[str, Any]) -> Rebalance:
    """The event of a document. UserError when it is of another version."""
    try:
        return Rebalance.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise UserError(
            f"{document['event_id']} was written by another version, so that it has no page here; --json prints it"
        ) from error


def regime_of(source: Source, event: Rebalance) -> Regime | None:
    """The regime that decided an event; None when it is not kept there any more, or is of another version."""
    wanted = event.regime_event_id.encode()
    for value in source.regimes():
        if wanted in value:
            try:
                regime = Regime.model_validate_json(value)
            except ValidationError:
                continue
            if regime.event_id == event.regime_event_id:
                return regime
    return None


def _documents(values: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """What can be read as a rebalance at all; the rest is no event."""
    for value in values:
        try:
            document = json.loads(value)
            named = all(isinstance(document[name], str) for name in ("event_id", "portfolio_id"))
            parse_ts(document["event_ts"])
        except (ValueError, KeyError, TypeError):
            continue
        if named:
            yield document


def _events(count: int) -> str:
    return f"{count:,} event{'' if count == 1 else 's'}"


def _list(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    for identity, document in list(found.items())[:_LISTED]:
        yield printable(f"  {identity}  {document['event_ts']}  {document['portfolio_id']}")
    if len(found) > _LISTED:
        yield f"  and {len(found) - _LISTED} more"
