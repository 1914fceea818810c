"""A recorded directory: ticks, releases, schedules, flows and portfolios, read as one stream in the order of events.

=========================================  ===========================================================================
``ticks.csv``, ``.csv.gz``, ``.parquet``   ``event_ts`` (RFC 3339 with a zone), ``symbol`` and any field of a tick
``releases.csv``                           ``release_ts, series_id, ref_period, actual`` and any field of a release
``schedules.csv``                          ``event_ts, series_id, ref_period, scheduled_ts`` and any field of a schedule
``flows.jsonl``                            one figure of ``market.flows`` as JSON a line
``portfolios.jsonl``                       one portfolio snapshot as JSON a line
=========================================  ===========================================================================

Any of these files may be absent, not all. Nothing is sorted and nothing is dropped: a row that cannot be read goes on
as the text that stood there, so that a processor refuses it with the reason. Files are merged by event time, each taken
at the running maximum of its own. What comes at one time is told in the order in which it can matter: releases,
schedules, flows, ticks, and then portfolios, which are hedged by the regime of that instant.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from processors.errors import UserError
from processors.feeds.csv_ticks import CsvTicks
from processors.feeds.documents import CsvDocuments, JsonDocuments, flows, portfolios, releases, schedules
from processors.feeds.items import Item, Piece, Single, tight
from processors.feeds.parquet_ticks import ParquetTicks
from processors.feeds.tick_rows import Pieces
from topics.catalog import PORTFOLIO_SNAPSHOTS
from topics.ticks import MAX_ROWS, TickColumns

TICKS_FILES: Final = ("ticks.csv", "ticks.csv.gz", "ticks.parquet")
RELEASES_FILE: Final = "releases.csv"
SCHEDULES_FILE: Final = "schedules.csv"
FLOWS_FILE: Final = "flows.jsonl"
PORTFOLIOS_FILE: Final = "portfolios.jsonl"

#: Ticks in one block, unless asked for otherwise.
BLOCK_ROWS: Final = 4096

_SAMPLE: Final = 64 * 1024

#: The small files in the order in which they come at equal times.
_DOCUMENTS: Final[dict[str, Callable[[Path], CsvDocuments | JsonDocuments]]] = {
    RELEASES_FILE: releases,
    SCHEDULES_FILE: schedules,
    FLOWS_FILE: flows,
    PORTFOLIOS_FILE: portfolios,
}
#: The same in the order of the digest, which stays as it is: a recording keeps its identity.
_DIGESTED: Final = (RELEASES_FILE, PORTFOLIOS_FILE, SCHEDULES_FILE, FLOWS_FILE)


class Recording:
    """A recorded directory that has been checked: the files are there, hold rows, and their columns are known.

    Raises UserError, which names the file and the column and says what is allowed.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        if not directory.is_dir():
            what = "is no directory" if directory.exists() else "does not exist"
            raise UserError(f"{directory}: {what}; give a directory with {_allowed()}.")
        ticks = [directory / name for name in TICKS_FILES if (directory / name).exists()]
        if len(ticks) > 1:
            found = " and ".join(file.name for file in ticks)
            raise UserError(f"{directory}: holds {found}; keep one ticks file.")
        self.ticks: CsvTicks | ParquetTicks | None = None
        if ticks:
            self.ticks = ParquetTicks(ticks[0]) if ticks[0].suffix == ".parquet" else CsvTicks(ticks[0])
        self.documents = {
            name: read(directory / name) for name, read in _DOCUMENTS.items() if (directory / name).exists()
        }
        self.files = tuple(directory / name for name in (*TICKS_FILES, *_DIGESTED) if (directory / name).exists())
        if not self.files:
            raise UserError(f"{directory}: holds no recorded file; allowed are {_allowed()}.")

    def identity(self) -> str:
        """Digest of the files' names, sizes, and first and last 64 KiB: the same wherever the directory lies."""
        content = hashlib.sha256()
        for file in self.files:
            size = file.stat().st_size
            with file.open("rb") as stream:
                first = stream.read(_SAMPLE)
                stream.seek(max(size - _SAMPLE, 0))
                last = stream.read(_SAMPLE)
            for part in (file.name.encode(), str(size).encode(), first, last):
                content.update(len(part).to_bytes(8, "big") + part)
        return "sha256:" + content.hexdigest()

    @property
    def fraction(self) -> float:
        """Share of the ticks that :meth:`items` has read, 0 to 1, for a progress display."""
        return 0.0 if self.ticks is None else self.ticks.fraction

    def items(self, block_size: int = BLOCK_ROWS) -> Iterator[Item]:
        """Everything in the order of events.

        Neighbouring ticks of one market come as columns of at most ``block_size`` rows, and never span a message of
        another file. Which rows come and in which order does not depend on ``block_size``, which must be 1 to 65536.
        """
        if not 1 <= block_size <= MAX_ROWS:
            raise UserError(f"a block size of {block_size} is not possible; allowed are 1 to {MAX_ROWS} rows.")
        return self._cut(block_size)

    def _cut(self, block_size: int) -> Iterator[Item]:
        for item in self._merged():
            if isinstance(item, Single):
                yield item
                continue
            for start in range(0, len(item), block_size):
                yield tight(item.take(start, min(start + block_size, len(item))))

    def _merged(self) -> Iterator[Item]:
        singles = heapq.merge(*(part.singles() for part in self.documents.values()), key=lambda single: single.time)
        single = next(singles, None)
        for piece in self._pieces():
            at = 0
            while at < len(piece):
                stop = len(piece) if single is None else _before(piece, single)
                if stop > at:
                    yield piece.take(at, stop).item
                    at = stop
                elif single is not None:
                    yield single
                    single = next(singles, None)
        if single is not None:
            yield single
        yield from singles

    def _pieces(self) -> Iterator[Piece]:
        if self.ticks is None:
            return
        pieces = Pieces()
        for part in self.ticks.parts():
            yield from pieces.of(part)


def _before(piece: Piece, single: Single) -> int:
    """Rows of a piece that come before a message: earlier ones, and for a portfolio those of the same time."""
    last = single.topic == PORTFOLIO_SNAPSHOTS
    return int(np.searchsorted(piece.keys, single.time, side="right" if last else "left"))


def last_times(item: Item, last: dict[str, int]) -> None:
    """Bring ``last``, the latest event time of a valid tick by market, up to ``item``."""
    if not isinstance(item, TickColumns):
        return
    usable = item.event_ts[~item.invalid]
    if len(usable):
        last[item.market] = max(last.get(item.market, 0), int(usable.max()))


def _allowed() -> str:
    return f"one of {', '.join(TICKS_FILES)}, and {', '.join(_DOCUMENTS)}"
