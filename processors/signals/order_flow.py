"""Order-flow imbalance at the top of one instrument's book."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from processors.signals._reading import as_object, read, read_float, read_int, read_optional_float, read_optional_int
from processors.signals.statistic import Json, at_least

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

_SIDES = ("bid", "bid_size", "ask", "ask_size")
_NONE: Times = np.empty(0, np.int64)


class Top(NamedTuple):
    """The best prices of a book and what stands there."""

    ts: int
    """Event time of the last quote, nanoseconds."""
    bid: float
    bid_size: float
    ask: float
    ask_size: float


class OrderFlowValue(NamedTuple):
    """What happened at the top of the book within one bucket of event time."""

    ofi: float
    """Order-flow imbalance, in units of size: above 0 is net buying pressure."""
    quotes: int
    """Quote updates that left both sides known."""
    trades: int
    quote_to_trade: float | None
    """Quotes for each trade; None without a trade."""
    depth: float
    """Mean of bid size plus ask size over the quotes."""


class _Bucket(NamedTuple):
    number: int  # floor of event time over the bucket's length
    ofi: float = 0.0
    depth: float = 0.0  # sum over the quotes
    events: int = 0  # quotes that had one before them to be compared with
    quotes: int = 0
    trades: int = 0

    @property
    def value(self) -> OrderFlowValue | None:
        if not self.events:
            return None
        ratio = self.quotes / self.trades if self.trades else None
        return OrderFlowValue(self.ofi, self.quotes, self.trades, ratio, self.depth / self.quotes)


class OrderFlow:
    """Order-flow imbalance, quote-to-trade ratio and depth of one instrument, by buckets of event time.

    With best bid price P and size q, and the same of the ask, the n-th quote contributes

        e_n =  1{Pbid_n >= Pbid_n-1} qbid_n - 1{Pbid_n <= Pbid_n-1} qbid_n-1
             - 1{Pask_n <= Pask_n-1} qask_n + 1{Pask_n >= Pask_n-1} qask_n-1

    and the imbalance is the sum over a bucket. Cont, Kukanov and Stoikov, *The Price Impact of Order Book Events*,
    Journal of Financial Econometrics 12 (2014). Buckets are [k, k + 1) times their length since 1970; a quote is
    compared with the one before it across buckets too.

    NaN is what an update does not show: each of the four figures keeps its last known value. The first quote that
    leaves both sides known has nothing to be compared with; it counts as a quote and contributes nothing.

    The result has the same bits however the rows are cut into blocks. Memory: the last quote, the running bucket and
    the one before it.
    """

    __slots__ = ("_bucket_ns", "_last", "_running", "_sides", "_ts", "_updated")

    def __init__(self, bucket_ns: int = 60 * 10**9) -> None:
        self._bucket_ns = at_least(bucket_ns, 1, "bucket_ns")
        self._ts: int | None = None  # newest row of either kind
        self._updated: int | None = None  # newest quote
        self._sides: Floats = np.full(4, np.nan)
        self._running: _Bucket | None = None
        self._last: _Bucket | None = None

    @property
    def top(self) -> Top | None:
        """The book after the last quote, None until both sides are known."""
        if self._updated is None or bool(np.any(np.isnan(self._sides))):
            return None
        bid, bid_size, ask, ask_size = self._sides.tolist()
        return Top(self._updated, bid, bid_size, ask, ask_size)

    def add(
        self,
        ts: Times,
        bid: Floats,
        bid_size: Floats,
        ask: Floats,
        ask_size: Floats,
        trade_ts: Times | None = None,
    ) -> None:
        """Take up rows that follow all rows taken up before.

        Args:
            ts: event times of quote updates, nanoseconds, never falling, shape (n,).
            bid: best bid prices, NaN where the update does not show them, shape (n,); the others alike.
            bid_size: sizes at the best bid, at least 0.
            ask: best ask prices.
            ask_size: sizes at the best ask, at least 0.
            trade_ts: event times of trades over the same stretch of time, never falling, shape (m,).

        Raises:
            ValueError: shapes differ, times fall, a figure is infinite or a size below 0; nothing is then taken up.
        """
        ts = self._times(ts, "ts")
        trades = self._times(_NONE if trade_ts is None else trade_ts, "trade_ts")
        rows = _sides(ts, (bid, bid_size, ask, ask_size))
        ends = [int(times[-1]) for times in (ts, trades) if len(times)]
        self._ts = max(ends, default=self._ts)

        gaps: NDArray[np.bool_] = np.isnan(rows)
        if gaps.any():
            shown = ~gaps.all(axis=0)
            ts, rows = ts[shown], rows[:, shown]
        book = np.empty((4, len(ts) + 1))
        book[:, 0], book[:, 1:] = self._sides, rows
        if len(ts):
            self._updated = int(ts[-1])
            book = _carried_forward(book)
            self._sides = book[:, -1].copy()
        # Once known, both sides stay known: what is kept is one stretch to the end.
        opening = bool(np.isnan(book[:, 0]).any())
        if opening:
            known = ~np.any(np.isnan(book), axis=0)
            book, ts = book[:, known], ts[known[1:]]
        contributions = _contributions(book)
        if opening and len(ts):
            contributions = np.concatenate([[0.0], contributions])
        else:
            book = book[:, 1:]
        self._collect(ts // self._bucket_ns, contributions, book[1] + book[3], trades // self._bucket_ns, opening)

    def _collect(self, quoted: Times, ofi: Floats, depth: Floats, traded: Times, opening: bool) -> None:
        """Add quotes and trades, both given by bucket, to the running bucket and those after it."""
        # Older buckets than the last two could never be asked for.
        for number in _newest(quoted, traded):
            if self._running is None or number > self._running.number:
                self._last, self._running = self._running, _Bucket(number)
            first, end = quoted.searchsorted((number, number + 1)).tolist()
            first_trade, end_trade = traded.searchsorted((number, number + 1)).tolist()
            running = self._running
            self._running = _Bucket(
                number,
                _added(running.ofi, ofi[first:end]),
                _added(running.depth, depth[first:end]),
                running.events + end - first - (1 if opening and first == 0 and end > 0 else 0),
                running.quotes + end - first,
                running.trades + end_trade - first_trade,
            )

    def close(self, ts_ns: int) -> OrderFlowValue | None:
        """The newest bucket that had ended at `ts_ns`, nanoseconds; None when no quote was compared within it.

        Only the two newest buckets are kept: ask before adding rows from after the bucket that follows.
        """
        wanted = ts_ns // self._bucket_ns - 1
        for bucket in (self._running, self._last):
            if bucket is not None and bucket.number == wanted:
                return bucket.value
        return None

    def _times(self, ts: Times, name: str) -> Times:
        times = np.asarray(ts)
        if times.ndim != 1 or not (times.dtype.kind in "iu" or times.size == 0):
            raise ValueError(f"{name} must be one column of integers, got {times.dtype} of shape {times.shape}")
        times = times.astype(np.int64, copy=False)
        if self._ts is not None and len(times) and times[0] < self._ts:
            raise ValueError(f"{name} must never fall: {int(times[0])} ns comes after {self._ts} ns")
        falls = times[1:] < times[:-1]
        if falls.any():
            at = int(falls.argmax())
            earlier, later = times[at : at + 2].tolist()
            raise ValueError(f"{name} must never fall: {later} ns comes after {earlier} ns")
        return times

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        sides: dict[str, Json] = {
            name: None if np.isnan(figure) else figure
            for name, figure in zip(_SIDES, self._sides.tolist(), strict=True)
        }
        return {
            "bucket_ns": self._bucket_ns,
            "ts": self._ts,
            "updated": self._updated,
            **sides,
            "running": None if self._running is None else self._running._asdict(),
            "last": None if self._last is None else self._last._asdict(),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        flow = cls(read_int(snapshot, "bucket_ns"))
        flow._ts, flow._updated = read_optional_int(snapshot, "ts"), read_optional_int(snapshot, "updated")
        sides = [read_optional_float(snapshot, name) for name in _SIDES]
        flow._sides = np.array([np.nan if side is None else side for side in sides])
        flow._running, flow._last = _read_bucket(snapshot, "running"), _read_bucket(snapshot, "last")
        return flow


def _sides(ts: Times, columns: Sequence[Floats]) -> Floats:
    """The four columns as rows of one array, once they are known to be sound."""
    for name, column in zip(_SIDES, columns, strict=True):
        if np.shape(column) != ts.shape:
            raise ValueError(f"{name} must have the shape of ts, {ts.shape}, got {np.shape(column)}")
    rows = np.array(columns, dtype=np.float64)
    infinite = np.isinf(rows)
    if infinite.any():
        name = _SIDES[int(infinite.any(axis=1).argmax())]
        raise ValueError(f"{name} must hold finite numbers, or NaN where it is not shown, got an infinite one")
    negative = rows[1::2] < 0
    if negative.any():
        which = 1 + 2 * int(negative.any(axis=1).argmax())
        raise ValueError(f"{_SIDES[which]} must be at least 0, got {float(np.nanmin(rows[which]))!r}")
    return rows


def _carried_forward(rows: Floats) -> Floats:
    """NaN replaced by the last number before it in the same row; leading NaN stay."""
    gaps = np.isnan(rows)
    if not gaps.any():
        return rows
    at = np.where(gaps, 0, np.arange(rows.shape[1]))
    carried: Floats = np.take_along_axis(rows, np.maximum.accumulate(at, axis=1), axis=1)
    return carried


def _contributions(book: Floats) -> Floats:
    """e_n of every column of the book but the first."""
    bid, bid_size, ask, ask_size = book[:, 1:]
    bid_before, bid_size_before, ask_before, ask_size_before = book[:, :-1]
    bought: Floats = np.where(bid >= bid_before, bid_size, 0.0) - np.where(bid <= bid_before, bid_size_before, 0.0)
    sold: Floats = np.where(ask <= ask_before, ask_size, 0.0) - np.where(ask >= ask_before, ask_size_before, 0.0)
    return bought - sold


def _newest(quoted: Times, traded: Times) -> list[int]:
    """The last two different numbers of two columns that never fall, rising."""
    ends = {int(column[-1]) for column in (quoted, traded) if len(column)}
    if not ends:
        return []
    newest = max(ends)
    for column in (quoted, traded):
        if before := int(column.searchsorted(newest)):
            ends.add(int(column[before - 1]))
    return sorted(ends)[-2:]


def _added(start: float, addends: Floats) -> float:
    # One after the other: pairwise summation would round differently for other blocks.
    return float(np.add.accumulate(np.concatenate([[start], addends]))[-1])


def _read_bucket(snapshot: Mapping[str, Json], key: str) -> _Bucket | None:
    if read(snapshot, key) is None:
        return None
    bucket = as_object(read(snapshot, key), key)
    number, events, quotes, trades = (read_int(bucket, name) for name in ("number", "events", "quotes", "trades"))
    if not 0 <= events <= quotes or trades < 0:
        raise ValueError(f"snapshot key {key!r}: {events} events of {quotes} quotes and {trades} trades cannot be")
    return _Bucket(number, read_float(bucket, "ofi"), read_float(bucket, "depth"), events, quotes, trades)
