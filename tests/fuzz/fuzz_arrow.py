"""Arrow streams that are nearly tick blocks: other types, nulls, odd layouts, sizes that are only claimed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from topics.ticks import SCHEMA, TickColumns, decode_block, encode_block


def written(table: pa.Table, compression: str | None = None) -> bytes:
    """A table as one IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def table_of(block: bytes) -> pa.Table:
    """The table in a stream."""
    with pa.ipc.open_stream(block) as reader:
        return reader.read_all()


def _other_types(rng: random.Random, n: int) -> pa.Array:
    """A column of a type that no field has, or of one with odd values."""
    makers: tuple[Callable[[], pa.Array], ...] = (
        lambda: pa.nulls(n),
        lambda: pa.array([rng.choice((None, True, False)) for _ in range(n)], type=pa.bool_()),
        lambda: pa.array([rng.choice((None, 0, 1, -1, 2**63 - 1, -(2**63))) for _ in range(n)], type=pa.int64()),
        lambda: pa.array([rng.choice((0, 2**64 - 1)) for _ in range(n)], type=pa.uint64()),
        lambda: pa.array([rng.choice((None, 0.0, np.nan, np.inf, -1e308, 5e-324)) for _ in range(n)], pa.float64()),
        lambda: pa.array(np.full(n, 17.5, dtype=np.float16)),
        lambda: pa.array([rng.choice((None, "", "VIX", "17", "x" * 300, "2018-05-01")) for _ in range(n)]),
        lambda: pa.array([rng.choice((b"", b"\xff\xfe", b"VIX")) for _ in range(n)], type=pa.binary()),
        lambda: pa.array([b"12345678"] * n, type=pa.binary(8)),
        lambda: pa.array([rng.choice((None, [], [1.0, 2.0])) for _ in range(n)], type=pa.list_(pa.float64())),
        lambda: pa.array([rng.choice((None, {"a": 1})) for _ in range(n)], type=pa.struct([("a", pa.int64())])),
        lambda: pa.array([rng.choice((None, 0, 10**17)) for _ in range(n)], type=pa.timestamp("s")),
        lambda: pa.array([rng.choice((0, 2**62)) for _ in range(n)], type=pa.timestamp("ns", tz="America/New_York")),
        lambda: pa.array([rng.choice((None, 0, 20_000)) for _ in range(n)], type=pa.date32()),
        lambda: pa.array([rng.choice((None, 0, 10)) for _ in range(n)], type=pa.duration("ns")),
        lambda: pa.array([rng.choice((None, 1)) for _ in range(n)], type=pa.decimal128(38, 10)),
        lambda: pa.array(["VIX"] * n, type=pa.large_string()),
        lambda: pa.array(["VIX"] * n, type=pa.string_view()),
        lambda: pa.DictionaryArray.from_arrays(pa.array([0] * n, type=pa.int8()), pa.array(["VIX", "VIX", None])),
        lambda: pa.DictionaryArray.from_arrays(pa.array([0] * n, type=pa.int16()), pa.array([17.5])),
        lambda: pa.DictionaryArray.from_arrays(
            pa.array([rng.choice((0, 1, 2**31 - 1, -1)) for _ in range(n)], type=pa.int32()),
            pa.array(["VIX"]),
            safe=False,
        ),
        lambda: pa.RunEndEncodedArray.from_arrays(
            pa.array([n] if n else [], type=pa.int32()), pa.array([17.5] if n else [])
        ),
    )
    return rng.choice(makers)()


def _column(rng: random.Random, table: pa.Table) -> pa.Table:
    at = rng.randrange(table.num_columns)
    return table.set_column(at, table.schema.names[at], _other_types(rng, table.num_rows))


def _added(rng: random.Random, table: pa.Table) -> pa.Table:
    name = rng.choice(("market", "colour", "", "symbol", "\U0001f4a9", "schema_version"))
    return table.append_column(name, _other_types(rng, table.num_rows))


def _dropped(rng: random.Random, table: pa.Table) -> pa.Table:
    return table.remove_column(rng.randrange(table.num_columns))


def _metadata(rng: random.Random, table: pa.Table) -> pa.Table:
    metadata = rng.choice(
        (
            None,
            {},
            {b"market": b"\xff"},
            {b"market": b"EU"},
            {b"schema_version": b"2"},
            {b"schema_version": b"\xff" * 50},
            {b"market": b"US", b"schema_version": b""},
            {b"market": b"", b"x" * 3000: b"y"},
        )
    )
    return table.replace_schema_metadata(metadata)


def _sliced(rng: random.Random, table: pa.Table) -> pa.Table:
    return table.slice(rng.randint(0, table.num_rows), rng.choice((None, 0, 1)))


def _chunked(rng: random.Random, table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 1), table, table.slice(0, 0)])


def _nulled(rng: random.Random, table: pa.Table) -> pa.Table:
    at = rng.randrange(table.num_columns)
    field = table.schema.field(at)
    return table.set_column(at, pa.field(field.name, field.type), pa.nulls(table.num_rows, field.type))


def _repeated(rng: random.Random, table: pa.Table) -> pa.Table:
    return pa.concat_tables([table] * rng.choice((2, 3, 20)))


_WAYS: tuple[Callable[[random.Random, pa.Table], pa.Table], ...] = (
    _column,
    _column,
    _column,
    _added,
    _dropped,
    _metadata,
    _sliced,
    _chunked,
    _nulled,
    _repeated,
)


def mutated_block(rng: random.Random, block: bytes) -> tuple[bytes, int]:
    """A block after one or two changes to its table, and how many rows it has now."""
    table = table_of(block)
    for _ in range(rng.choice((1, 1, 2))):
        table = rng.choice(_WAYS)(rng, table)
        if not table.num_columns:
            break
    return written(table, rng.choice((None, None, None, "lz4", "zstd"))), table.num_rows


def mutated_rows(rng: random.Random, block: bytes) -> tuple[bytes, int]:
    """A block of the right types with odd values in some cells, and its number of rows."""
    columns = decode_block(block)
    n = len(columns)
    values: dict[str, Any] = {name: column.copy() for name, column in columns.values.items()}
    times, seq, official = columns.event_ts.copy(), columns.seq.copy(), columns.official.copy()
    for _ in range(rng.randint(1, 4)):
        row = rng.randrange(n)
        way = rng.randrange(4)
        if way == 0:
            times[row] += rng.choice(
                (-1, 1, -(10**9), 6 * 10**10, -4 * 10**11, 10**14, -(10**18), 2**62, -int(times[row]))
            )
        elif way == 1:
            seq[row] = rng.choice((0, -1, -2, 2**63 - 1, -(2**63)))
        elif way == 2:
            official[row] = not official[row]
        else:
            name = rng.choice(sorted(values))
            values[name][row] = rng.choice((0.0, -0.0, np.inf, -1.0, 5e-324, 1e308, 17.5, 2650.0, np.nan, 199.99, 5.0))
    changed = TickColumns(
        columns.market,
        times,
        columns.symbols,
        columns.symbol,
        columns.sources,
        columns.source,
        seq,
        columns.recv_ts,
        values,
        official,
        np.zeros(n, dtype=np.bool_),
    )
    return encode_block(changed), n


def bomb(rows: int = 3_000_000) -> bytes:
    """Some kilobytes that say, truthfully, that they are many megabytes once they are unpacked."""
    table = pa.table({"event_ts": pa.array(np.zeros(rows, dtype=np.int64)), "symbol": pa.nulls(rows)})
    return written(table.replace_schema_metadata(SCHEMA.metadata), "zstd")
