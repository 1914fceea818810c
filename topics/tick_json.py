"""Many single ticks at once: JSON documents to columns, without an object for each of them.

The plain form that feeds send - ASCII, flat, no escapes, no nulls, times in UTC, each value a string or each a number -
is read by Arrow's JSON reader. It is taken only where it means beyond doubt what :class:`topics.market.Tick` would
read; every other document is left to that class, which also has the words for what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
from numpy.typing import NDArray

from topics.market import VALUES, Tick
from topics.ticks import MISSING, TickColumns, absent, invalid_rows, is_market
from topics.times import FIRST_TS

Rows = NDArray[np.intp]

#: Documents that are read singly rather than cut into halves once more, when one among them is not plain.
_FEW: Final = 16
#: Length of a time without a fraction, and the least with one: ``2018-02-05T21:15:00Z``, ``2018-02-05T21:15:00.5Z``.
_WHOLE, _FRACTION = 20, 22
#: Bytes that a plain document does not hold: escapes and nulls, which can mean what columns cannot tell.
_NOT_PLAIN: Final = (b"\\", b"null")


def _options(value: pa.DataType) -> pj.ParseOptions:
    fields = {"schema_version": pa.int64(), "seq": pa.int64(), "official": pa.bool_()}
    fields |= dict.fromkeys(("symbol", "event_ts", "market", "source", "recv_ts"), pa.string())
    fields |= dict.fromkeys(VALUES, value)
    return pj.ParseOptions(explicit_schema=pa.schema(fields), unexpected_field_behavior="error")


#: Values as the canonical form has them, and as most other producers write them.
_FORMS: Final = (_options(pa.string()), _options(pa.float64()))


@dataclass(frozen=True, slots=True)
class TickRun:
    """Ticks of one market among many documents.

    Attributes:
        rows: which of the documents they are, rising, shape (len(columns),).
        columns: the ticks, all of them valid.
    """

    rows: Rows
    columns: TickColumns


def read_ticks(documents: Sequence[bytes]) -> tuple[list[TickRun], Rows]:
    """Every plain, valid tick among the documents, in runs of one market, and the places of all others, rising.

    A market has one run, but where documents that are not plain stand among them.
    """
    plain = _plain(documents)
    read = np.zeros(len(documents), dtype=np.bool_)
    runs = []
    for places, fields in _tables(documents if len(plain) == len(documents) else [documents[i] for i in plain], plain):
        for run in fields.runs(places):
            runs.append(run)
            read[run.rows] = True
    return runs, np.flatnonzero(~read)


def _plain(documents: Sequence[bytes]) -> Rows:
    """Places of the documents that are one flat object each, in plain bytes."""
    n, text = len(documents), b"\n".join(documents)
    braces = text.count(b"{") == n == text.count(b"}") and text[:1] == b"{" and text[-1:] == b"}"
    if braces and text.count(b"}\n{") == n - 1 == text.count(b"\n") and _is_plain(text):
        return np.arange(n)
    return np.array([i for i, one in enumerate(documents) if _is_one(one)], dtype=np.intp)


def _is_one(text: bytes) -> bool:
    flat = text[:1] == b"{" and text[-1:] == b"}" and text.count(b"{") == 1 == text.count(b"}")
    return flat and b"\n" not in text and _is_plain(text)


def _is_plain(text: bytes) -> bool:
    return text.isascii() and not any(part in text for part in _NOT_PLAIN)


def _tables(documents: Sequence[bytes], places: Rows) -> Iterator[tuple[Rows, _Fields]]:
    """The fields of the documents that Arrow can read, in order. What it refuses is cut into halves and tried again."""
    if not len(documents):
        return
    data = pa.py_buffer(b"\n".join(documents))
    whole = pj.ReadOptions(use_threads=False, block_size=len(data) + 1)
    for form in _FORMS:
        try:
            table = pj.read_json(data, read_options=whole, parse_options=form)
            if table.num_rows == len(documents):
                yield places, _Fields.of(table.combine_chunks())
                return
        except pa.ArrowInvalid:
            continue
    if len(documents) > _FEW:
        half = len(documents) // 2
        yield from _tables(documents[:half], places[:half])
        yield from _tables(documents[half:], places[half:])


@dataclass(frozen=True, slots=True)
class _Fields:
    """Documents as columns, before they are parted by market, and which of them mean what they seem to mean."""

    markets: tuple[str, ...]
    market: NDArray[np.int32]
    columns: TickColumns
    certain: NDArray[np.bool_]

    @classmethod
    def of(cls, table: pa.Table) -> _Fields:
        """The fields of one reading. Raises ArrowInvalid when a time or a value is not written plainly."""
        n = table.num_rows
        certain = np.ones(n, dtype=np.bool_)

        def column(name: str) -> pa.Array:
            chunked = table.column(name)
            return chunked.chunk(0) if chunked.num_chunks else pa.array([], chunked.type)

        def names(name: str, default: str | None) -> tuple[tuple[str, ...], NDArray[np.int32]]:
            array = column(name)
            if array.null_count:
                if default is None:
                    certain[_absent(array)] = False
                array = array.fill_null(default or "")
            coded = array.dictionary_encode()
            return tuple(coded.dictionary.to_pylist()), np.asarray(coded.indices, dtype=np.int32)

        def times(name: str) -> NDArray[np.int64]:
            array = column(name)
            if array.null_count == n:
                return np.full(n, MISSING, dtype=np.int64)
            length = np.asarray(pc.binary_length(array).fill_null(_WHOLE))
            utc = np.asarray(pc.ends_with(array, pattern="Z").fill_null(True), dtype=np.bool_)
            certain[~utc | (length < _WHOLE) | ((length > _WHOLE) & (length < _FRACTION))] = False
            instants = array.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
            given = np.asarray(instants.fill_null(FIRST_TS))
            certain[given < FIRST_TS] = False
            return np.where(_absent(array), MISSING, given) if array.null_count else given

        def integers(name: str) -> NDArray[np.int64]:
            array = column(name)
            given = np.asarray(array.fill_null(0))
            certain[given < 0] = False
            return np.where(_absent(array), MISSING, given) if array.null_count else given

        def numbers(name: str) -> NDArray[np.float64]:
            array = column(name)
            if array.null_count == n:
                return absent(n)
            given = np.asarray(array.cast(pa.float64()).fill_null(0.0))
            certain[~np.isfinite(given)] = False
            return np.where(_absent(array), np.nan, given) if array.null_count else given

        markets, market = names("market", Tick.model_fields["market"].default)
        symbols, symbol = names("symbol", None)
        sources, source = names("source", Tick.model_fields["source"].default)
        event_ts = times("event_ts")
        certain[event_ts == MISSING] = False
        certain[np.asarray(column("schema_version").fill_null(1)) != 1] = False
        certain &= np.array([is_market(name) for name in markets], dtype=np.bool_)[market]
        columns = TickColumns(
            market="",
            event_ts=event_ts,
            symbols=symbols,
            symbol=symbol,
            sources=sources,
            source=source,
            seq=integers("seq"),
            recv_ts=times("recv_ts"),
            values={name: numbers(name) for name in VALUES},
            official=np.asarray(column("official").fill_null(False), dtype=np.bool_),
            invalid=np.zeros(n, dtype=np.bool_),
        )
        return cls(markets, market, columns, certain & ~invalid_rows(columns))

    def runs(self, places: Rows) -> Iterator[TickRun]:
        """What is certain, by market."""
        for code, market in enumerate(self.markets):
            rows = np.flatnonzero(self.certain & (self.market == code))
            if len(rows):
                whole = len(rows) == len(places)
                columns = self.columns if whole else self.columns.pick(rows)
                yield TickRun(places if whole else places[rows], replace(columns, market=market))


def _absent(array: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(array.is_null(), dtype=np.bool_)
