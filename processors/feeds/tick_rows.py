"""Rows of a ticks file as columns, cut into pieces of one market, with rows that cannot be read in their places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.feeds.items import BEFORE_ALL, Piece, Single
from topics.catalog import MARKET_TICKS
from topics.market import VALUES
from topics.message import canonical_json
from topics.ticks import Floats, Ints, TickColumns, invalid_rows

#: Columns that a ticks file must have, and those that it may have.
REQUIRED: Final = ("event_ts", "symbol")
OPTIONAL: Final = (*VALUES, "official", "source", "seq", "market", "recv_ts")
COLUMNS: Final = (*REQUIRED, *OPTIONAL)

DEFAULT_MARKET: Final = "US"
DEFAULT_SOURCE: Final = "unspecified"
#: Cells that mean "no value" in a text file.
BLANK: Final = ("", "NaN", "nan", "NAN")
TRUE: Final = ("true", "True", "TRUE", "1")
FALSE: Final = ("false", "False", "FALSE", "0")

_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/ -]{0,63}")
_MARKET = re.compile(r"[A-Z][A-Z0-9]{0,7}")


def usable_source(name: str) -> bool:
    """Whether ``name`` can be a tick's source."""
    return _SOURCE.fullmatch(name) is not None


def usable_market(name: str) -> bool:
    """Whether ``name`` can be a market."""
    return _MARKET.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class TickRows:
    """Rows that could be read, whatever their markets; names and codes as in :class:`topics.ticks.TickColumns`."""

    event_ts: Ints
    symbols: tuple[str, ...]
    symbol: NDArray[np.int32]
    sources: tuple[str, ...]
    source: NDArray[np.int32]
    markets: tuple[str, ...]
    market: NDArray[np.int32]
    seq: Ints
    recv_ts: Ints
    values: Mapping[str, Floats]
    official: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.event_ts)


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row with something that is not what its column holds, as the text that stood there.

    ``document`` is what the row would be as a single JSON tick; the processor refuses it and says why.
    """

    document: Mapping[str, Any]


def broken_row(cells: Mapping[str, str], line: str | None = None) -> BrokenRow:
    """The broken row of these cells, by column. ``line`` is the whole line when it has too many or too few cells.

    What reads well goes in as what it is, so that the refusal names only what is wrong.
    """
    document: dict[str, Any] = {"schema_version": 1}
    for name, text in cells.items():
        cell = text.strip()
        if cell in BLANK:
            continue
        if name == "seq" and cell.isascii() and cell.isdigit() and len(cell) <= 18:
            document[name] = int(cell)
        elif name == "official" and cell in (*TRUE, *FALSE):
            document[name] = cell in TRUE
        else:
            document[name] = text
    if line is not None:
        document["row"] = line
    return BrokenRow(document)


class Pieces:
    """Cuts the rows of one file into pieces and keeps the running maximum of event time over the whole file."""

    def __init__(self) -> None:
        self._reached = BEFORE_ALL

    def of(self, part: TickRows | BrokenRow) -> Iterator[Piece]:
        """The pieces of neighbouring rows: a run of one market, or one broken row."""
        if isinstance(part, BrokenRow):
            key = str(part.document.get("market", DEFAULT_MARKET)).encode()
            single = Single(MARKET_TICKS, key, canonical_json(part.document), self._reached)
            yield Piece(np.array([self._reached], dtype=np.int64), single)
            return
        if not len(part):
            return
        edges = [0, *(np.flatnonzero(np.diff(part.market)) + 1).tolist(), len(part)]
        for start, stop in pairwise(edges):
            columns = _columns(part, start, stop)
            # A row that a processor will refuse does not move time there, so it does not here.
            times = np.where(columns.invalid, self._reached, columns.event_ts)
            keys = np.maximum(np.maximum.accumulate(times), self._reached)
            self._reached = int(keys[-1])
            yield Piece(keys, columns)


def _columns(part: TickRows, start: int, stop: int) -> TickColumns:
    cut = slice(start, stop)
    columns = TickColumns(
        market=part.markets[part.market[start]],
        event_ts=part.event_ts[cut],
        symbols=part.symbols,
        symbol=part.symbol[cut],
        sources=part.sources,
        source=part.source[cut],
        seq=part.seq[cut],
        recv_ts=part.recv_ts[cut],
        values={name: column[cut] for name, column in part.values.items()},
        official=part.official[cut],
        invalid=np.zeros(stop - start, dtype=np.bool_),
    )
    columns.invalid[:] = invalid_rows(columns)
    return columns


def coded(texts: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Distinct texts in the order of their first use, and the place of each text among them."""
    places = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return tuple(places), np.array([places[text] for text in texts], dtype=np.int32)
