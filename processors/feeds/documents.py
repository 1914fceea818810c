"""The small files of a recording, one message a line: releases and schedules in CSV, flows and portfolios in JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from processors.errors import UserError
from processors.feeds.csv_ticks import check_columns, header
from processors.feeds.items import BEFORE_ALL, Single
from processors.feeds.tick_rows import BLANK, DEFAULT_MARKET
from topics.catalog import MACRO_RELEASES, MARKET_FLOWS, PORTFOLIO_SNAPSHOTS
from topics.codec import decode_flow, flow_ts
from topics.dead_letter import Refused
from topics.macro import Release, Schedule
from topics.message import canonical_json
from topics.portfolio import Portfolio

_INTEGERS: Final = ("vintage", "consensus_n")
_BOOLEANS: Final = ("sa", "cancelled")
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


class CsvDocuments:
    """A file of ``macro.releases``, one row a message. UserError when it is empty or its columns are not those of it.

    A row that is none is sent on as the text that stood there, for the processor to refuse with the reason.

    Args:
        file: the CSV file, with a header.
        kind: what a row is.
        time: the column that places a row in the order of events.
        others: the other columns that must be there; every other field of ``kind`` may be.
    """

    def __init__(self, file: Path, kind: type[Release] | type[Schedule], time: str, others: tuple[str, ...]) -> None:
        self.file = file
        self._kind = kind
        self._time = time
        required = (time, *others)
        columns = (*required, *sorted(set(kind.model_fields) - {*required, "schema_version"}))
        lines = _lines(file)
        self.names = header(file, next(lines, b""))
        if not self.names:
            raise UserError(f"{file}: the file is empty; its first line names the columns: {', '.join(columns)}.")
        check_columns(file, self.names, columns, required)
        if next(lines, None) is None:
            raise UserError(f"{file}: the file has a header but no row; remove the file or fill it.")

    def singles(self) -> Iterator[Single]:
        """Every row in file order."""
        reached = BEFORE_ALL
        lines = _lines(self.file)
        next(lines)
        for raw in lines:
            document = self._document(raw.decode(errors="replace"))
            value = canonical_json(document)
            try:
                message = self._kind.model_validate_json(value)
            except ValidationError:
                key = str(document.get("market", DEFAULT_MARKET)).encode()
                yield Single(MACRO_RELEASES, key, value, reached)
                continue
            reached = max(reached, int(getattr(message, self._time)))
            yield Single(MACRO_RELEASES, message.market.encode(), message.canonical(), reached)

    def _document(self, line: str) -> dict[str, Any]:
        try:
            cells = next(csv.reader([line]), [])
        except csv.Error:
            cells = []
        document: dict[str, Any] = {"schema_version": 1}
        if self._kind is Schedule:
            document["scheduled_ts"] = ""  # it tells a schedule from a release: a row without it is a broken schedule
        for name, text in zip(self.names, cells, strict=False):
            cell = text.strip()
            if cell in BLANK:
                continue
            if name in _INTEGERS and cell.isascii() and cell.isdigit() and len(cell) <= 18:
                document[name] = int(cell)
            elif name in _BOOLEANS and cell.lower() in _FLAGS:
                document[name] = _FLAGS[cell.lower()]
            else:
                document[name] = cell
        if len(cells) != len(self.names):
            document["row"] = line
        return document


def releases(file: Path) -> CsvDocuments:
    """``releases.csv``: a release takes its place at the moment of its publication."""
    return CsvDocuments(file, Release, "release_ts", ("series_id", "ref_period", "actual"))


def schedules(file: Path) -> CsvDocuments:
    """``schedules.csv``: a schedule takes its place when it became known, not when the release is due."""
    return CsvDocuments(file, Schedule, "event_ts", ("series_id", "ref_period", "scheduled_ts"))


@dataclass(frozen=True, slots=True)
class Placed:
    """A message that could be read: its key, its canonical bytes and its event time, int ns."""

    key: bytes
    value: bytes
    time: int


class JsonDocuments:
    """A file of one message as JSON a line. A line that is none is sent on as it is. UserError when it is empty.

    Args:
        file: the file.
        topic: where its messages go.
        what: what a line holds, for a person.
        read: the message in a line; Refused or ValidationError when there is none.
        broken_key: key of a line that is no message.
    """

    def __init__(
        self,
        file: Path,
        topic: str,
        what: str,
        read: Callable[[bytes], Placed],
        broken_key: Callable[[bytes], bytes | None],
    ) -> None:
        self.file = file
        self._topic = topic
        self._read = read
        self._broken_key = broken_key
        if next(_lines(file), None) is None:
            raise UserError(f"{file}: the file is empty; remove it or write one {what} as JSON a line.")

    def singles(self) -> Iterator[Single]:
        """Every line in file order."""
        reached = BEFORE_ALL
        for line in _lines(self.file):
            try:
                message = self._read(line)
            except (Refused, ValidationError):
                yield Single(self._topic, self._broken_key(line), line, reached)
                continue
            reached = max(reached, message.time)
            yield Single(self._topic, message.key, message.value, reached)


def flows(file: Path) -> JsonDocuments:
    """``flows.jsonl``: each figure takes its place when it became public."""
    return JsonDocuments(file, MARKET_FLOWS, "figure of market.flows", _flow, _market_of)


def portfolios(file: Path) -> JsonDocuments:
    """``portfolios.jsonl``: a snapshot takes its place at its ``as_of``."""
    return JsonDocuments(file, PORTFOLIO_SNAPSHOTS, "portfolio", _portfolio, _id_of)


def _flow(line: bytes) -> Placed:
    flow = decode_flow(line)
    return Placed(flow.market.encode(), flow.canonical(), flow_ts(flow))


def _portfolio(line: bytes) -> Placed:
    portfolio = Portfolio.model_validate_json(line)
    return Placed(portfolio.portfolio_id.encode(), portfolio.canonical(), portfolio.as_of)


def _lines(file: Path) -> Iterator[bytes]:
    """Lines that are not blank, without their ends."""
    try:
        with file.open("rb") as stream:
            for line in stream:
                if stripped := line.strip():
                    yield stripped
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error}).") from error


def _id_of(line: bytes) -> bytes | None:
    """The portfolio that a broken line names, so that it goes where that portfolio's snapshots go."""
    name = _text_of(line, "portfolio_id")
    return None if name is None else name.encode(errors="replace")


def _market_of(line: bytes) -> bytes:
    """The market that a broken line names, so that it goes where that market's figures go."""
    return (_text_of(line, "market") or DEFAULT_MARKET).encode(errors="replace")


def _text_of(line: bytes, name: str) -> str | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    text = document.get(name) if isinstance(document, dict) else None
    return text if isinstance(text, str) else None
