"""A ticks file in CSV, plain or gzipped, read in chunks as numpy columns.

A chunk in which every row reads well is taken as a whole by the vectorised reader. A chunk with anything unusual in it
is halved until the unusual rows stand nearly alone, and those few are read cell by cell: both readers accept the same.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from processors.errors import UserError
from processors.feeds.tick_rows import (
    BLANK,
    COLUMNS,
    DEFAULT_MARKET,
    DEFAULT_SOURCE,
    FALSE,
    REQUIRED,
    TRUE,
    BrokenRow,
    TickRows,
    broken_row,
    coded,
    usable_market,
    usable_source,
)
from topics.market import VALUES
from topics.ticks import MISSING, Ints, absent
from topics.times import FIRST_TS, LAST_TS, parse_ts

#: Bytes read at a time.
CHUNK: Final = 1 << 20
#: The longest line that is still taken for a row.
LONGEST_LINE: Final = 8 << 20
#: Chunks shorter than this are read cell by cell.
_SMALL: Final = 2048

_TIME = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$"
_LINE = re.compile(rb"\r\n|\n|\r")
_NAMES = pa.dictionary(pa.int32(), pa.string())
_TYPES: Final = {
    "event_ts": pa.string(),
    "recv_ts": pa.string(),
    "symbol": _NAMES,
    "source": _NAMES,
    "market": _NAMES,
    "seq": pa.int64(),
    "official": pa.bool_(),
    **{name: pa.float64() for name in VALUES},
}


def check_columns(file: Path, names: list[str], allowed: tuple[str, ...], required: tuple[str, ...]) -> None:
    """UserError unless ``names`` holds every required column, no unknown one, and none twice."""
    known = ", ".join(allowed)
    for name in names:
        if name not in allowed:
            raise UserError(f"{file}: column {name!r} is unknown; allowed are {known}. Rename or remove it.")
        if names.count(name) > 1:
            raise UserError(f"{file}: column {name!r} stands twice; keep one of them.")
    missing = [name for name in required if name not in names]
    if missing:
        raise UserError(
            f"{file}: column {missing[0]!r} is missing; the file has {', '.join(names)},"
            f" required are {', '.join(required)}, allowed are {known}."
        )


def header(file: Path, line: bytes) -> list[str]:
    """The column names of a header line. UserError when it is no text."""
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: the header is no UTF-8 text; write the file in UTF-8.") from error
    return [name.strip() for name in next(csv.reader([text]), [])]


class CsvTicks:
    """``ticks.csv`` or ``ticks.csv.gz``. UserError when it is empty or its columns are not those of ticks.

    ``fraction`` is the share of the file that :meth:`parts` has read, for a progress display.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.fraction = 0.0
        with file.open("rb") as source, self._open(source) as stream:
            first = _read(file, stream.readline)
            if not first.strip():
                raise UserError(f"{file}: the file is empty; its first line names the columns: {', '.join(COLUMNS)}.")
            self.names = header(file, first)
            check_columns(file, self.names, COLUMNS, REQUIRED)
            while line := _read(file, stream.readline):
                if line.strip():
                    break
            else:
                raise UserError(f"{file}: the file has a header but no row; remove the file or fill it.")

    def parts(self) -> Iterator[TickRows | BrokenRow]:
        """Every row in file order: runs of rows that read well, and broken ones one by one."""
        size = max(self.file.stat().st_size, 1)
        with self.file.open("rb") as source, self._open(source) as stream:
            _read(self.file, stream.readline)
            rest = b""
            while data := _read(self.file, lambda: stream.read(CHUNK)):
                self.fraction = source.tell() / size
                whole = rest + data
                cut = whole.rfind(b"\n") + 1
                rest = whole[cut:]
                if len(rest) > LONGEST_LINE:
                    raise UserError(f"{self.file}: a line is longer than {LONGEST_LINE} bytes; is this a CSV file?")
                yield from self._parse(whole[:cut])
            yield from self._parse(rest)

    def _open(self, source: BufferedReader) -> BufferedIOBase:
        return gzip.GzipFile(fileobj=source) if self.file.suffix == ".gz" else source

    def _parse(self, data: bytes) -> Iterator[TickRows | BrokenRow]:
        if not data.strip():
            return
        rows = None if len(data) < _SMALL and b"\n" not in data[:-1] else self._whole(data)
        if rows is not None:
            yield rows
            return
        middle = data.find(b"\n", len(data) // 2) + 1
        if len(data) < _SMALL or middle in (0, len(data)):
            yield from self._one_by_one(data)
            return
        yield from self._parse(data[:middle])
        yield from self._parse(data[middle:])

    # A chunk as a whole

    def _whole(self, data: bytes) -> TickRows | None:
        """All rows of ``data`` at once, or None when anything in it asks for a closer look."""
        if "seq" in self.names and (b"0x" in data or b"0X" in data):
            return None  # the vectorised reader would take hexadecimal for a number
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(data),
                read_options=pyarrow.csv.ReadOptions(
                    use_threads=False, block_size=len(data) + 1, column_names=self.names
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=_TYPES, null_values=list(BLANK), true_values=list(TRUE), false_values=list(FALSE)
                ),
            )
            event_ts = _times(table.column("event_ts"))
            recv_ts = _times(table.column("recv_ts"), blanks=True) if "recv_ts" in self.names else None
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return None
        n = table.num_rows
        if b'"' in data and n != sum(1 for line in _LINE.split(data) if line.strip()):
            return None  # a quote that is never closed has swallowed a line
        symbols, symbol = _names(table, "symbol", "")
        sources, source = _names(table, "source", DEFAULT_SOURCE)
        markets, market = _names(table, "market", DEFAULT_MARKET)
        values = {}
        for name in VALUES:
            if name in self.names:
                values[name] = np.asarray(table.column(name).to_numpy(), dtype=np.float64)
                if int((~np.isfinite(values[name])).sum()) != table.column(name).null_count:
                    return None
            else:
                values[name] = absent(n)
        seq = np.full(n, MISSING, dtype=np.int64)
        if "seq" in self.names:
            column = table.column("seq")
            if column.null_count < n and pc.min(column).as_py() < 0:
                return None
            seq = np.asarray(column.fill_null(MISSING).to_numpy(), dtype=np.int64)
        official = np.zeros(n, dtype=np.bool_)
        if "official" in self.names:
            official = np.asarray(table.column("official").fill_null(False).to_numpy(), dtype=np.bool_)
        fine = (
            "" not in symbols
            and all(map(usable_source, sources))
            and all(map(usable_market, markets))
            and event_ts is not None
        )
        if not fine or event_ts is None or (recv_ts is None and "recv_ts" in self.names):
            return None
        if recv_ts is None:
            recv_ts = np.full(n, MISSING, dtype=np.int64)
        return TickRows(event_ts, symbols, symbol, sources, source, markets, market, seq, recv_ts, values, official)

    # A few rows, cell by cell

    def _one_by_one(self, data: bytes) -> Iterator[TickRows | BrokenRow]:
        good: list[dict[str, Any]] = []
        for raw in _LINE.split(data):
            line = raw.decode(errors="replace")
            if not line.strip():
                continue
            try:
                cells = next(csv.reader([line]), [])
            except csv.Error:
                cells = []
            row = dict(zip(self.names, cells, strict=False))
            read = _row(row) if len(cells) == len(self.names) else None
            if read is not None:
                good.append(read)
                continue
            if good:
                yield _rows(good)
                good = []
            yield broken_row(row, None if len(cells) == len(self.names) else line)
        if good:
            yield _rows(good)


def _read(file: Path, read: Any) -> bytes:
    try:
        return bytes(read())
    except (OSError, EOFError) as error:
        raise UserError(f"{file}: cannot be read to its end ({error}); is it complete?") from error


def _times(column: pa.ChunkedArray, *, blanks: bool = False) -> Ints | None:
    """Nanoseconds of RFC 3339 texts; None when one of them is not, or lies outside of the plausible years."""
    texts = column.combine_chunks()
    if blanks:
        texts = pc.if_else(pc.is_in(texts, pa.array(BLANK)), pa.scalar(None, pa.string()), texts)
    if pc.all(pc.match_substring_regex(texts, _TIME)).as_py() is False:
        return None
    stamps = texts.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
    if stamps.null_count == len(stamps):
        return np.full(len(stamps), MISSING, dtype=np.int64)
    limits = pc.min_max(stamps).as_py()
    if limits["min"] < FIRST_TS or limits["max"] >= LAST_TS:
        return None
    return np.asarray(stamps.fill_null(MISSING).to_numpy(zero_copy_only=False), dtype=np.int64)


def _names(table: pa.Table, name: str, default: str) -> tuple[tuple[str, ...], np.ndarray[Any, np.dtype[np.int32]]]:
    if name not in table.column_names:
        return (default,), np.zeros(table.num_rows, dtype=np.int32)
    array = table.column(name).combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    names = tuple(text or default for text in array.dictionary.to_pylist())
    return names, np.asarray(array.indices.to_numpy(zero_copy_only=False), dtype=np.int32)


def _row(cells: dict[str, str]) -> dict[str, Any] | None:
    """What a row's cells say, by column; None when one of them does not say what its column holds."""
    read: dict[str, Any] = {}
    try:
        read["event_ts"] = parse_ts(cells["event_ts"])
        read["recv_ts"] = MISSING if cells.get("recv_ts", "") in BLANK else parse_ts(cells["recv_ts"])
        for name in VALUES:
            text = cells.get(name, "").strip(" \t")
            read[name] = np.nan if text in BLANK else _finite(text)
        seq = cells.get("seq", "").strip(" \t")
        read["seq"] = MISSING if seq in BLANK else _count(seq)
        official = cells.get("official", "").strip(" \t")
        read["official"] = official not in BLANK and _flag(official)
    except ValueError:
        return None
    read["symbol"] = cells["symbol"]
    read["source"] = cells.get("source", "") or DEFAULT_SOURCE
    read["market"] = cells.get("market", "") or DEFAULT_MARKET
    if not read["symbol"] or not usable_source(read["source"]) or not usable_market(read["market"]):
        return None
    return read


def _finite(text: str) -> float:
    value = float(text)
    if "_" in text or not np.isfinite(value):
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError(text)
    return int(text)


def _flag(text: str) -> bool:
    if text not in (*TRUE, *FALSE):
        raise ValueError(text)
    return text in TRUE


def _rows(read: list[dict[str, Any]]) -> TickRows:
    def integers(name: str) -> Ints:
        return np.array([row[name] for row in read], dtype=np.int64)

    symbols, symbol = coded([row["symbol"] for row in read])
    sources, source = coded([row["source"] for row in read])
    markets, market = coded([row["market"] for row in read])
    return TickRows(
        event_ts=integers("event_ts"),
        symbols=symbols,
        symbol=symbol,
        sources=sources,
        source=source,
        markets=markets,
        market=market,
        seq=integers("seq"),
        recv_ts=integers("recv_ts"),
        values={name: np.array([row[name] for row in read], dtype=np.float64) for name in VALUES},
        official=np.array([row["official"] for row in read], dtype=np.bool_),
    )
