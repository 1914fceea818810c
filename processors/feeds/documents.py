"""The small files of a recording: releases and portfolios, one message a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from processors.errors import UserError
from processors.feeds.csv_ticks import check_columns, header
from processors.feeds.items import BEFORE_ALL, Single
from processors.feeds.tick_rows import BLANK, DEFAULT_MARKET
from topics.catalog import MACRO_RELEASES, PORTFOLIO_SNAPSHOTS
from topics.macro import Release
from topics.message import canonical_json
from topics.portfolio import Portfolio

RELEASE_REQUIRED: Final = ("release_ts", "series_id", "ref_period", "actual")
RELEASE_COLUMNS: Final = (
    *RELEASE_REQUIRED,
    *sorted(set(Release.model_fields) - {*RELEASE_REQUIRED, "schema_version"}),
)
_INTEGERS: Final = ("vintage", "consensus_n")
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


class Releases:
    """``releases.csv``. UserError when it is empty or its columns are not those of releases.

    A row that is no release is sent on as the text that stood there, for the processor to refuse with the reason.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        lines = _lines(file)
        self.names = header(file, next(lines, b""))
        if not self.names:
            columns = ", ".join(RELEASE_COLUMNS)
            raise UserError(f"{file}: the file is empty; its first line names the columns: {columns}.")
        check_columns(file, self.names, RELEASE_COLUMNS, RELEASE_REQUIRED)
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
                release = Release.model_validate_json(value)
            except ValidationError:
                key = str(document.get("market", DEFAULT_MARKET)).encode()
                yield Single(MACRO_RELEASES, key, value, reached)
                continue
            reached = max(reached, release.release_ts)
            yield Single(MACRO_RELEASES, release.market.encode(), release.canonical(), reached)

    def _document(self, line: str) -> dict[str, Any]:
        try:
            cells = next(csv.reader([line]), [])
        except csv.Error:
            cells = []
        document: dict[str, Any] = {"schema_version": 1}
        for name, text in zip(self.names, cells, strict=False):
            cell = text.strip()
            if cell in BLANK:
                continue
            if name in _INTEGERS and cell.isascii() and cell.isdigit() and len(cell) <= 18:
                document[name] = int(cell)
            elif name == "sa" and cell.lower() in _FLAGS:
                document[name] = _FLAGS[cell.lower()]
            else:
                document[name] = cell
        if len(cells) != len(self.names):
            document["row"] = line
        return document


class Portfolios:
    """``portfolios.jsonl``: one snapshot a line. A line that is none is sent on as it is. UserError when empty."""

    def __init__(self, file: Path) -> None:
        self.file = file
        if next(_lines(file), None) is None:
            raise UserError(f"{file}: the file is empty; remove it or write one portfolio as JSON a line.")

    def singles(self) -> Iterator[Single]:
        """Every line in file order."""
        reached = BEFORE_ALL
        for line in _lines(self.file):
            try:
                portfolio = Portfolio.model_validate_json(line)
            except ValidationError:
                yield Single(PORTFOLIO_SNAPSHOTS, _id_of(line), line, reached)
                continue
            reached = max(reached, portfolio.as_of)
            key = portfolio.portfolio_id.encode()
            yield Single(PORTFOLIO_SNAPSHOTS, key, portfolio.canonical(), reached)


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
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    name = document.get("portfolio_id") if isinstance(document, dict) else None
    return name.encode(errors="replace") if isinstance(name, str) else None
