"""A ticks file in Parquet, read batch by batch as numpy columns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from processors.errors import UserError
from processors.feeds.csv_ticks import check_columns
from processors.feeds.tick_rows import (
    COLUMNS,
    DEFAULT_MARKET,
    DEFAULT_SOURCE,
    REQUIRED,
    BrokenRow,
    TickRows,
    usable_market,
    usable_source,
)
from topics.market import VALUES
from topics.ticks import MISSING, Ints, absent
from topics.times import FIRST_TS, LAST_TS, format_ts

#: Rows read at a time.
BATCH: Final = 65_536
_NS_PER: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
#: A time that no row can have: what is read for one that is null or far outside of every plausible year.
_NO_TIME: Final = -(1 << 62)


class ParquetTicks:
    """``ticks.parquet``. UserError when it is no Parquet file, is empty, or a column is unknown or wrongly typed.

    ``fraction`` is the share of the file that :meth:`parts` has read, for a progress display.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.fraction = 0.0
        try:
            with pq.ParquetFile(file) as opened:
                schema, count = opened.schema_arrow, opened.metadata.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{file}: is no readable Parquet file ({error}).") from error
        self.names = list(schema.names)
        check_columns(file, self.names, COLUMNS, REQUIRED)
        for field in schema:
            wanted = _mismatch(field.name, field.type)
            if wanted:
                raise UserError(f"{file}: column {field.name!r} is of type {field.type}; it must be {wanted}.")
        if not count:
            raise UserError(f"{file}: the file has no row; remove the file or fill it.")

    def parts(self) -> Iterator[TickRows | BrokenRow]:
        """Every row in file order: runs of rows that read well, and broken ones one by one."""
        try:
            with pq.ParquetFile(self.file) as opened:
                read = 0
                for batch in opened.iter_batches(batch_size=BATCH):
                    read += batch.num_rows
                    self.fraction = read / opened.metadata.num_rows
                    if batch.num_rows:
                        yield from _parts(batch)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{self.file}: cannot be read to its end ({error}); is it complete?") from error


def _mismatch(name: str, kind: pa.DataType) -> str:
    """What the column should be, when ``kind`` is not it."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if name in ("event_ts", "recv_ts"):
        return "" if types.is_timestamp(kind) and kind.tz else "a timestamp with a time zone"
    if name in ("symbol", "source", "market"):
        return "" if types.is_string(kind) or types.is_large_string(kind) else "a string"
    if name == "official":
        return "" if types.is_boolean(kind) else "a boolean"
    if name == "seq":
        return "" if types.is_integer(kind) else "an integer"
    return "" if types.is_floating(kind) or types.is_integer(kind) or types.is_decimal(kind) else "a number"


def _parts(batch: pa.RecordBatch) -> Iterator[TickRows | BrokenRow]:
    rows = _rows(batch)
    bad = (rows.event_ts < FIRST_TS) | (rows.event_ts >= LAST_TS)
    bad |= (rows.recv_ts != MISSING) & ((rows.recv_ts < FIRST_TS) | (rows.recv_ts >= LAST_TS))
    bad |= rows.seq < MISSING
    bad |= _any_of(rows.symbol, rows.symbols, lambda name: not name)
    bad |= _any_of(rows.source, rows.sources, lambda name: not usable_source(name))
    bad |= _any_of(rows.market, rows.markets, lambda name: not usable_market(name))
    for name in VALUES:
        bad |= np.isinf(rows.values[name])
    at = 0
    for broken in np.flatnonzero(bad).tolist():
        if broken > at:
            yield _cut(rows, at, broken)
        yield _broken(batch, rows, broken)
        at = broken + 1
    if at < len(rows):
        yield _cut(rows, at, len(rows))


def _any_of(codes: NDArray[np.int32], names: tuple[str, ...], wrong: Any) -> NDArray[np.bool_]:
    return np.array([wrong(name) for name in names], dtype=np.bool_)[codes]


def _cut(rows: TickRows, start: int, stop: int) -> TickRows:
    cut = slice(start, stop)
    return TickRows(
        event_ts=rows.event_ts[cut],
        symbols=rows.symbols,
        symbol=rows.symbol[cut],
        sources=rows.sources,
        source=rows.source[cut],
        markets=rows.markets,
        market=rows.market[cut],
        seq=rows.seq[cut],
        recv_ts=rows.recv_ts[cut],
        values={name: column[cut] for name, column in rows.values.items()},
        official=rows.official[cut],
    )


def _rows(batch: pa.RecordBatch) -> TickRows:
    n = batch.num_rows
    names = batch.schema.names

    def coded(name: str, default: str) -> tuple[tuple[str, ...], NDArray[np.int32]]:
        if name not in names:
            return (default,), np.zeros(n, dtype=np.int32)
        texts = batch.column(name).cast(pa.string()).fill_null("").dictionary_encode()
        codes = np.asarray(texts.indices.to_numpy(zero_copy_only=False), dtype=np.int32)
        return tuple(text or default for text in texts.dictionary.to_pylist()), codes

    symbols, symbol = coded("symbol", "")
    sources, source = coded("source", DEFAULT_SOURCE)
    markets, market = coded("market", DEFAULT_MARKET)
    values = {}
    for name in VALUES:
        if name in names:
            column = batch.column(name).cast(pa.float64(), safe=False)
            values[name] = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
        else:
            values[name] = absent(n)
    seq = np.full(n, MISSING, dtype=np.int64)
    if "seq" in names:
        given = batch.column("seq")
        seq = np.asarray(given.cast(pa.int64(), safe=False).fill_null(MISSING).to_numpy(), dtype=np.int64)
        # -1 stands for a missing one, so one that was given is moved off it; both are refused.
        seq = np.where((seq < 0) & np.asarray(given.is_valid().to_numpy(zero_copy_only=False)), MISSING - 1, seq)
    official = np.zeros(n, dtype=np.bool_)
    if "official" in names:
        flags = batch.column("official").fill_null(False)
        official = np.asarray(flags.to_numpy(zero_copy_only=False), dtype=np.bool_)
    return TickRows(
        event_ts=_times(batch.column("event_ts"), _NO_TIME),
        symbols=symbols,
        symbol=symbol,
        sources=sources,
        source=source,
        markets=markets,
        market=market,
        seq=seq,
        recv_ts=_times(batch.column("recv_ts"), MISSING) if "recv_ts" in names else np.full(n, MISSING, dtype=np.int64),
        values=values,
        official=official,
    )


def _times(column: pa.Array, missing: int) -> Ints:
    """Nanoseconds; ``missing`` where null, and a time that no row can have where they would not fit."""
    factor = _NS_PER[column.type.unit]
    ticks = np.asarray(column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)
    far = np.abs(ticks) > LAST_TS // factor
    stamps = np.where(far, _NO_TIME, np.where(far, 0, ticks) * factor)
    return np.asarray(np.where(np.asarray(pc.is_null(column)), missing, stamps), dtype=np.int64)


def _broken(batch: pa.RecordBatch, rows: TickRows, i: int) -> BrokenRow:
    document: dict[str, Any] = {"schema_version": 1}
    for name in batch.schema.names:
        value = batch.column(name)[i]
        if not value.is_valid:
            continue
        if name in ("event_ts", "recv_ts"):
            stamp = int((rows.event_ts if name == "event_ts" else rows.recv_ts)[i])
            document[name] = _time_text(stamp, value)
        elif name in VALUES:
            number = float(rows.values[name][i])
            if number == number:
                document[name] = repr(number)
        elif name in ("official", "seq") or value.as_py():
            document[name] = value.as_py()
    return BrokenRow(document)


def _time_text(stamp: int, value: pa.Scalar) -> str:
    if FIRST_TS <= stamp < LAST_TS:
        return format_ts(stamp)
    seconds = value.value * _NS_PER[value.type.unit] // 1_000_000_000
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError:
        return f"{seconds} seconds after 1970"
