"""A recorded directory: ticks, releases and portfolios in files, read as one stream in the order of events.

=========================================  ===========================================================================
``ticks.csv``, ``.csv.gz``, ``.parquet``   ``event_ts`` (RFC 3339 with a zone), ``symbol`` and any field of a tick
``releases.csv``                           ``release_ts, series_id, ref_period, actual`` and any field of a release
``portfolios.jsonl``                       one portfolio snapshot as JSON a line
=========================================  ===========================================================================

Any of the three may be absent, not all. Nothing is sorted and nothing is dropped: a row that cannot be read goes on as
the text that stood there, so that a processor refuses it with the reason. Files are merged by event time, each taken
at the running maximum of its own; at equal times a release comes before a portfolio and that before a tick.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from processors.errors import UserError
from processors.feeds.csv_ticks import CsvTicks
from processors.feeds.documents import Portfolios, Releases
from processors.feeds.items import Item, Piece, Single, tight
from processors.feeds.parquet_ticks import ParquetTicks
from processors.feeds.tick_rows import Pieces
from topics.ticks import MAX_ROWS, TickColumns

TICKS_FILES: Final = ("ticks.csv", "ticks.csv.gz", "ticks.parquet")
RELEASES_FILE: Final = "releases.csv"
PORTFOLIOS_FILE: Final = "portfolios.jsonl"

#: Ticks in one block, unless asked for otherwise.
BLOCK_ROWS: Final = 4096

_SAMPLE: Final = 64 * 1024
_NEVER: Final = np.iinfo(np.int64).max


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
        releases, portfolios = directory / RELEASES_FILE, directory / PORTFOLIOS_FILE
        self.releases = Releases(releases) if releases.exists() else None
        self.portfolios = Portfolios(portfolios) if portfolios.exists() else None
        self.files = tuple(part.file for part in (self.ticks, self.releases, self.portfolios) if part is not None)
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

        Neighbouring ticks of one market come as columns of at most ``block_size`` rows, and never span a release or a
        portfolio. Which rows come and in which order does not depend on ``block_size``, which must be 1 to 65536.
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
        releases = self.releases.singles() if self.releases else iter(())
        portfolios = self.portfolios.singles() if self.portfolios else iter(())
        release, portfolio = next(releases, None), next(portfolios, None)
        for piece in self._pieces():
            at = 0
            while at < len(piece):
                due = min(_NEVER if single is None else single.time for single in (release, portfolio))
                stop = int(np.searchsorted(piece.keys, due, side="left"))
                if stop > at:
                    yield piece.take(at, stop).item
                    at = stop
                elif release is not None and release.time == due:
                    yield release
                    release = next(releases, None)
                elif portfolio is not None:
                    yield portfolio
                    portfolio = next(portfolios, None)
        while release is not None or portfolio is not None:
            if portfolio is None or (release is not None and release.time <= portfolio.time):
                if release is not None:
                    yield release
                release = next(releases, None)
            else:
                yield portfolio
                portfolio = next(portfolios, None)

    def _pieces(self) -> Iterator[Piece]:
        if self.ticks is None:
            return
        pieces = Pieces()
        for part in self.ticks.parts():
            yield from pieces.of(part)


def last_times(item: Item, last: dict[str, int]) -> None:
    """Bring ``last``, the latest event time of a valid tick by market, up to ``item``."""
    if not isinstance(item, TickColumns):
        return
    usable = item.event_ts[~item.invalid]
    if len(usable):
        last[item.market] = max(last.get(item.market, 0), int(usable.max()))


def _allowed() -> str:
    return f"one of {', '.join(TICKS_FILES)}, and {RELEASES_FILE} and {PORTFOLIOS_FILE}"
