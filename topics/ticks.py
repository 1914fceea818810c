"""Many ticks of one market as columns, in memory and as an Arrow block.

A block carries the same fields as :class:`topics.market.Tick` and means exactly what its rows sent singly would mean.
A row that fails validation is refused alone, with the words that the single tick would have got.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from topics.arrow_size import unpacked_size
from topics.instrument import parse_symbol
from topics.market import COUNT_MAX, COUNTS, PRICES, VALUES, Tick
from topics.message import Market, Name, canonical_json, decimal_text
from topics.times import FIRST_TS, LAST_TS, format_ts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: A column's value where an integer is missing.
MISSING: Final = -1
#: Stands for a -1 that was given where -1 means missing.
_MINUS_ONE: Final = int(np.iinfo(np.int64).min)
#: Most rows in one block; feeds send some thousand.
MAX_ROWS: Final = 65_536
#: Most bytes of a compressed block once it is unpacked; MAX_ROWS rows of every column take a sixth of it.
MAX_UNPACKED: Final = 64 * 1024 * 1024
#: Longest text, in bytes, in a column whose rows share their values: each row gets its own copy.
MAX_TEXT: Final = 256

_TS = pa.timestamp("ns", tz="UTC")
SCHEMA: Final = pa.schema(
    [
        pa.field("event_ts", _TS, nullable=False),
        pa.field("symbol", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("source", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("seq", pa.int64()),
        pa.field("recv_ts", _TS),
        *(pa.field(name, pa.float64()) for name in VALUES),
        pa.field("official", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class TickColumns:
    """Ticks of one market, row by row in arrays of equal length.

    Attributes:
        market: the market all rows belong to.
        event_ts, recv_ts: int64 ns; ``recv_ts`` is -1 where missing.
        symbols, sources: names; ``symbol`` and ``source`` are int32 codes into them.
        seq: int64; -1 where missing.
        values: float64 by field name; NaN where missing (a NaN that was *given* is an infinity, which is invalid).
            What is missing in every row may be :func:`absent`, which takes no memory.
        official: bool.
        invalid: bool; rows that must not be used. :func:`refusal` tells why.
    """

    market: str
    event_ts: Ints
    symbols: tuple[str, ...]
    symbol: NDArray[np.int32]
    sources: tuple[str, ...]
    source: NDArray[np.int32]
    seq: Ints
    recv_ts: Ints
    values: Mapping[str, Floats]
    official: NDArray[np.bool_]
    invalid: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.event_ts)

    def row(self, i: int) -> dict[str, Any]:
        """Row ``i`` as the document of a single tick."""
        document: dict[str, Any] = {
            "schema_version": 1,
            "market": self.market,
            "symbol": self.symbols[self.symbol[i]],
            "source": self.sources[self.source[i]],
            "official": bool(self.official[i]),
        }
        if self.event_ts[i] != MISSING:
            document["event_ts"] = format_ts(_given(self.event_ts[i]))
        if self.seq[i] != MISSING:
            document["seq"] = _given(self.seq[i])
        if self.recv_ts[i] != MISSING:
            document["recv_ts"] = format_ts(_given(self.recv_ts[i]))
        for name in VALUES:
            value = float(self.values[name][i])
            if value == value:
                document[name] = decimal_text(value) if np.isfinite(value) else str(value)
        return document

    def row_bytes(self, i: int) -> bytes:
        """Row ``i`` as the canonical bytes of a single tick."""
        return canonical_json(self.row(i))

    def take(self, start: int, stop: int) -> TickColumns:
        """Rows ``start`` to ``stop``, without copying."""
        return self._cut(slice(start, stop))

    def pick(self, rows: NDArray[np.intp]) -> TickColumns:
        """Those rows, rising: without copying when none between them is left out."""
        n = len(rows)
        if n and rows[-1] - rows[0] == n - 1:
            return self.take(int(rows[0]), int(rows[-1]) + 1)
        return self._cut(rows)

    def _cut(self, cut: slice | NDArray[np.intp]) -> TickColumns:
        event_ts = self.event_ts[cut]
        return TickColumns(
            self.market,
            event_ts,
            self.symbols,
            self.symbol[cut],
            self.sources,
            self.source[cut],
            self.seq[cut],
            self.recv_ts[cut],
            {
                name: absent(len(event_ts)) if is_absent(column) else column[cut]
                for name, column in self.values.items()
            },
            self.official[cut],
            self.invalid[cut],
        )


#: Read-only, and as long as a block may be: a part of it costs nothing.
_ABSENT: Final[Floats] = np.broadcast_to(np.nan, MAX_ROWS)


def absent(n: int) -> Floats:
    """A column of ``n`` missing values: a single NaN that stands for all of them."""
    return _ABSENT[:n] if n <= MAX_ROWS else np.broadcast_to(np.nan, n)


def is_absent(column: Floats) -> bool:
    """Whether a column was made by :func:`absent`, so that nobody needs to look at its values."""
    return column.strides == (0,)


def _given(value: np.int64) -> int:
    return -1 if value == _MINUS_ONE else int(value)


_NAME: Final = TypeAdapter[str](Name)
_MARKET: Final = TypeAdapter[str](Market)


@lru_cache(maxsize=65_536)
def _is_name(source: str) -> bool:
    return _fits(_NAME, source)


def is_market(text: str) -> bool:
    """Whether ``text`` could name a market."""
    return _fits(_MARKET, text)


def _fits(kind: TypeAdapter[str], text: str) -> bool:
    try:
        kind.validate_python(text)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=65_536)
def _range(symbol: str) -> tuple[float, float]:
    """Plausible prices of a symbol; an empty range for an unknown one, so that every row of it is invalid."""
    try:
        return parse_symbol(symbol).plausible
    except ValueError:
        return np.inf, -np.inf


def invalid_rows(columns: TickColumns) -> NDArray[np.bool_]:
    """Rows that the single tick's validation would refuse: the same rules, over whole columns."""
    n = len(columns)
    ranges = np.array([_range(symbol) for symbol in columns.symbols], dtype=np.float64).reshape(-1, 2)
    low, high = ranges[columns.symbol, 0], ranges[columns.symbol, 1]
    bad: NDArray[np.bool_] = (columns.event_ts < FIRST_TS) | (columns.event_ts >= LAST_TS)
    bad |= ~(low <= high)
    bad |= ~np.array([_is_name(source) for source in columns.sources], dtype=np.bool_)[columns.source]
    bad |= (columns.seq < 0) & (columns.seq != MISSING)
    bad |= (columns.recv_ts != MISSING) & ((columns.recv_ts < FIRST_TS) | (columns.recv_ts >= LAST_TS))
    some = np.zeros(n, dtype=np.bool_)
    for name in VALUES:
        column = columns.values[name]
        if is_absent(column):
            continue
        some |= ~np.isnan(column)
        bad |= np.isinf(column)
        if name in PRICES:
            bad |= (column < low) | (column > high)
        elif name in COUNTS:
            bad |= (column < 0) | (column > COUNT_MAX)
    bad |= ~some
    bad |= columns.values["bid"] > columns.values["ask"]
    if columns.official.any():
        bad |= columns.official & np.isnan(columns.values["last"]) & np.isnan(columns.values["settle"])
    return bad


def columns_of(ticks: Sequence[Tick]) -> TickColumns:
    """Valid ticks of one market as columns."""
    symbols = {symbol: i for i, symbol in enumerate(dict.fromkeys(t.symbol for t in ticks))}
    sources = {source: i for i, source in enumerate(dict.fromkeys(t.source for t in ticks))}
    values = {
        name: np.array([np.nan if v is None else v for v in (getattr(t, name) for t in ticks)], dtype=np.float64)
        for name in VALUES
    }
    return TickColumns(
        market=ticks[0].market if ticks else "US",
        event_ts=np.array([t.event_ts for t in ticks], dtype=np.int64),
        symbols=tuple(symbols),
        symbol=np.array([symbols[t.symbol] for t in ticks], dtype=np.int32),
        sources=tuple(sources),
        source=np.array([sources[t.source] for t in ticks], dtype=np.int32),
        seq=np.array([MISSING if t.seq is None else t.seq for t in ticks], dtype=np.int64),
        recv_ts=np.array([MISSING if t.recv_ts is None else t.recv_ts for t in ticks], dtype=np.int64),
        values=values,
        official=np.array([t.official for t in ticks], dtype=np.bool_),
        invalid=np.zeros(len(ticks), dtype=np.bool_),
    )


def encode_block(columns: TickColumns) -> bytes:
    """Columns as one Arrow IPC stream, without those that are missing in every row. The market is in its metadata."""

    def names(codes: NDArray[np.int32], texts: tuple[str, ...]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(texts, type=pa.string()))

    arrays = {
        "event_ts": pa.array(columns.event_ts).cast(_TS),
        "symbol": names(columns.symbol, columns.symbols),
        "source": names(columns.source, columns.sources),
    }
    for name, integers in (("seq", columns.seq), ("recv_ts", columns.recv_ts)):
        if not (missing := integers == MISSING).all():
            arrays[name] = pa.array(integers, mask=missing).cast(SCHEMA.field(name).type)
    for name in VALUES:
        if not is_absent(values := columns.values[name]) and not (missing := np.isnan(values)).all():
            arrays[name] = pa.array(values, mask=missing)
    if columns.official.any():
        arrays["official"] = pa.array(columns.official)
    metadata = {b"schema_version": b"1", b"market": columns.market.encode()}
    schema = pa.schema([SCHEMA.field(name) for name in arrays], metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(list(arrays.values()), schema=schema))
    return bytes(sink.getvalue())


class BlockError(ValueError):
    """The bytes are no tick block. ``reason`` is the dead letter's code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def decode_block(data: bytes) -> TickColumns:
    """The columns of an Arrow tick block, with ``invalid`` set for rows that must not be used.

    Columns that are absent are missing in every row. Raises BlockError when the whole block cannot be used: not Arrow,
    another schema version, no market, an unknown or wrongly typed column, no ``event_ts`` or ``symbol``, too many rows.
    """
    try:
        if (size := unpacked_size(data)) > MAX_UNPACKED:
            raise BlockError("too_large", f"{size} bytes once a block is unpacked; at most {MAX_UNPACKED} are taken")
        with pa.ipc.open_stream(data) as reader:
            schema, table = reader.schema, reader.read_all()
        table.validate(full=True)
    except BlockError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, struct.error) as error:
        raise BlockError("not_arrow", f"the bytes are no Arrow IPC stream: {str(error)[:200]}") from error
    metadata = schema.metadata or {}
    version = metadata.get(b"schema_version", b"1").decode(errors="replace")
    if version != "1":
        raise BlockError("schema_version", f"tick block of schema version {version!r}; this reader knows 1")
    unknown = sorted(set(schema.names) - set(SCHEMA.names) - {"market"})
    if unknown or len(set(schema.names)) != len(schema.names):
        raise BlockError("invalid", f"unknown or repeated columns {unknown or schema.names}; known are {SCHEMA.names}")
    if table.num_rows > MAX_ROWS:
        raise BlockError("too_large", f"{table.num_rows} rows in a block; at most {MAX_ROWS} are taken")
    if table.num_rows == 0:
        raise BlockError("invalid", "a tick block needs at least one row")
    for name in ("event_ts", "symbol"):
        if name not in schema.names:
            raise BlockError("invalid", f"a tick block needs the column {name}")
    try:
        return _columns(table, metadata)
    except pa.ArrowException as error:
        raise BlockError("invalid", f"a column has the wrong type: {str(error)[:200]}") from error


def _check_shared(name: str, array: pa.Array) -> None:
    """BlockError for long text that many rows share: unpacked it could be larger than all memory."""
    if pa.types.is_dictionary(array.type):
        shared = array.dictionary
    elif pa.types.is_run_end_encoded(array.type):
        shared = array.values
    else:
        return
    if not (pa.types.is_string(shared.type) or pa.types.is_large_string(shared.type)):
        if pa.types.is_primitive(shared.type) or pa.types.is_null(shared.type):
            return
        raise BlockError("invalid", f"a column has the wrong type: {name} is {array.type}")
    longest = pc.max(pc.binary_length(shared)).as_py() or 0
    if longest > MAX_TEXT:
        raise BlockError("invalid", f"{name} holds a text of {longest} bytes; at most {MAX_TEXT} are taken")


def _columns(table: pa.Table, metadata: Mapping[bytes, bytes]) -> TickColumns:
    n = table.num_rows
    bad = np.zeros(n, dtype=np.bool_)
    places = {name: place for place, name in enumerate(table.column_names)}

    def column(name: str, kind: pa.DataType) -> pa.Array | None:
        if name not in places:
            return None
        chunks = table.column(places[name])
        array = chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()
        _check_shared(name, array)
        return array if array.type == kind else array.cast(kind)

    def integers(name: str, kind: pa.DataType) -> Ints:
        array = column(name, kind)
        if array is None:
            return np.broadcast_to(np.int64(MISSING), n)
        array = array.view(pa.int64()) if pa.types.is_timestamp(kind) else array.cast(pa.int64())
        filled = array.fill_null(MISSING) if array.null_count else array
        numbers = np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.int64)
        if (minus_one := numbers == MISSING).any():
            there = np.asarray(array.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
            numbers = np.where(minus_one & there, _MINUS_ONE, numbers)
        return numbers

    def codes(name: str, default: str) -> tuple[tuple[str, ...], NDArray[np.int32]]:
        kind = SCHEMA.field(name).type
        if name in places and table.schema.field(places[name]).type == kind:
            array = column(name, kind)
            assert array is not None
            names = tuple(array.dictionary.to_pylist())
            if not array.null_count and None not in names and len(set(names)) == len(names):
                return names, np.asarray(array.indices.to_numpy(), dtype=np.int32)
        array = column(name, pa.string())
        if array is None:
            return (default,), np.zeros(n, dtype=np.int32)
        if name != "symbol":
            array = array.fill_null(default)
        encoded = array.fill_null("").dictionary_encode()
        return tuple(encoded.dictionary.to_pylist()), np.asarray(encoded.indices.to_numpy(), dtype=np.int32)

    values: dict[str, Floats] = {}
    for name in VALUES:
        array = column(name, pa.float64())
        if array is None:
            values[name] = absent(n)
            continue
        figures = values[name] = np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)
        missing = np.isnan(figures)
        if np.count_nonzero(missing) != array.null_count:
            # A NaN that was given is no missing value. It is kept as an infinity, which no column may hold.
            given = missing & np.asarray(array.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
            values[name] = np.where(given, np.inf, figures)
    market = metadata.get(b"market", b"").decode(errors="replace")
    named = column("market", pa.string())
    if named is not None:
        markets = {str(m) for m in named.unique().to_pylist()}
        if len(markets) > 1 or (market and markets != {market}):
            raise BlockError("wrong_market", f"a tick block is of one market; this one names {sorted(markets)}")
        market = markets.pop() if markets else market
    market = market or "US"
    if not is_market(market):
        raise BlockError(
            "invalid", f"market {market[:40]!r} of a tick block is no capital letters and digits, at most 8"
        )
    symbols, symbol = codes("symbol", "")
    sources, source = codes("source", "unspecified")
    official = column("official", pa.bool_())
    columns = TickColumns(
        market=market,
        event_ts=integers("event_ts", _TS),
        symbols=symbols,
        symbol=symbol,
        sources=sources,
        source=source,
        seq=integers("seq", pa.int64()),
        recv_ts=integers("recv_ts", _TS),
        values=values,
        official=(
            np.zeros(n, dtype=np.bool_)
            if official is None
            else np.asarray(official.fill_null(False).to_numpy(zero_copy_only=False), dtype=np.bool_)
        ),
        invalid=bad,
    )
    columns.invalid[:] = invalid_rows(columns)
    return columns
