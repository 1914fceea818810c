"""What ticks leave behind: latest prices, order books, option strips, and which sequence numbers have come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.sessions.arrivals import Sequences, running_max
from processors.sessions.board import Board
from processors.sessions.books import Books
from processors.sessions.session import CORE, ESSENTIAL, Close, Session, followed
from processors.sessions.strips import Strips, kept
from processors.signals.calendar import SessionCalendar
from topics.dead_letter import Refused
from topics.instrument import ETPS, parse_symbol
from topics.ticks import MISSING, TickColumns, is_absent
from topics.times import format_ts

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Ticks on their way in.

    Attributes:
        usable: rows that are not refused.
        time: the stream's time at each row, ns, never falling.
        followed, officials, ordinary: rows, rising, that are usable and of an instrument that is followed; of these the
            official closes; and of all usable ones those that are no official close.
        options: rows, rising, that are usable and of an option whose strip is kept.
        products: rows, rising, that are usable and of a volatility product.
    """

    columns: TickColumns
    usable: NDArray[np.bool_]
    time: Ints
    followed: NDArray[np.intp]
    officials: NDArray[np.intp]
    ordinary: NDArray[np.intp]
    options: NDArray[np.intp]
    products: NDArray[np.intp]

    @classmethod
    def of(cls, columns: TickColumns, usable: NDArray[np.bool_], time: Ints) -> Batch:
        mine = usable & np.array([followed(symbol) for symbol in columns.symbols], dtype=np.bool_)[columns.symbol]
        return cls(
            columns,
            usable,
            time,
            np.flatnonzero(mine),
            np.flatnonzero(mine & columns.official),
            np.flatnonzero(usable & ~columns.official),
            np.flatnonzero(usable & kept(columns)),
            _of(columns, usable, ETPS),
        )


@dataclass(slots=True)
class Applied:
    """What became of some rows.

    Attributes:
        ticked: one of them was a tick that asks for a mark; official closes alone make none.
        refused: row and reason of each official close that could not be taken.
        missed: essential instruments whose official close of the session before came only now.
    """

    ticked: bool
    refused: list[tuple[int, Refused]] = field(default_factory=list)
    missed: set[str] = field(default_factory=set)


class Prices:
    """The prices of one market. ``counts`` is told what became of each tick."""

    def __init__(self, calendar: SessionCalendar, counts: Counter[str]) -> None:
        self._calendar = calendar
        self.counts = counts
        self.board = Board()
        self.books = Books()
        self.strips = Strips()
        self.products = Board()
        self._sequences = Sequences()

    def apply(self, batch: Batch, span: slice, session: Session, reached: int, now: int) -> Applied:
        """Take up usable rows that no instant parts, at stream time ``now``, ns, when it had ``reached`` that before.

        Of one instrument's rows the newest by event time counts, whatever the order in which they came.
        """
        start, stop = span.start, span.stop
        columns = batch.columns
        first, last = np.searchsorted(batch.followed, (start, stop))
        rows = batch.followed[first:last]
        ordinary = slice(*np.searchsorted(batch.ordinary, (start, stop)))
        options = batch.options[slice(*np.searchsorted(batch.options, (start, stop)))]
        products = batch.products[slice(*np.searchsorted(batch.products, (start, stop)))]
        taken = self.strips.apply(columns, options) + self._products(columns, products)
        self.counts["ticks:used"] += taken
        others = int(np.count_nonzero(batch.usable[start:stop])) - len(rows) - taken
        self.counts["ticks:unfollowed"] += others
        if not len(rows):
            return Applied(len(batch.ordinary[ordinary]) > 0)
        repeated = self._repeated(columns, rows, columns.event_ts[rows])
        ticked = len(batch.ordinary[ordinary]) > int(np.count_nonzero(repeated & ~columns.official[rows]))
        applied = Applied(ticked)
        refused = self._officials(columns, rows, repeated, session, now, applied)
        self.counts["ticks:duplicate"] += int(np.count_nonzero(repeated & ~refused))
        rows = rows[~repeated & ~refused]
        if not len(rows):
            return applied
        used = columns.pick(rows)
        self._bars(used, session)
        ts = used.event_ts
        if ts[0] < reached or (ts[1:] < ts[:-1]).any():
            used, skipped = _newest(self.board, used)
            self.counts["ticks:out_of_order"] += skipped
        self.counts["ticks:used"] += len(used)
        self.board.apply(used)
        self.books.apply(used)
        return applied

    def _products(self, columns: TickColumns, rows: NDArray[np.intp]) -> int:
        """Take up prices of volatility products, on a board of their own: no session waits for their closes."""
        if len(rows):
            self.products.apply(_newest(self.products, columns.pick(rows))[0])
        return len(rows)

    def _repeated(self, columns: TickColumns, rows: NDArray[np.intp], ts: Ints) -> NDArray[np.bool_]:
        """Rows that their source has sent before."""
        seq = columns.seq[rows]
        if (seq == MISSING).all():
            return np.zeros(len(rows), dtype=np.bool_)
        sources = len(columns.sources)
        pair = columns.symbol[rows] * np.int64(sources) + columns.source[rows]
        there = np.flatnonzero(np.bincount(pair, minlength=len(columns.symbols) * sources))
        pairs = [(columns.symbols[p // sources], columns.sources[p % sources]) for p in there.tolist()]
        return self._sequences.duplicates(pairs, np.searchsorted(there, pair), seq, ts)

    def _bars(self, columns: TickColumns, session: Session) -> None:
        last = columns.values["last"]
        if is_absent(last):
            return
        ordinary = None if not columns.official.any() else ~columns.official
        for name in CORE.values():
            if name not in columns.symbols:
                continue
            mine = columns.symbol == columns.symbols.index(name)
            rows = np.flatnonzero(mine if ordinary is None else mine & ordinary)
            prices = last[rows]
            there = ~np.isnan(prices)
            if there.all():
                session.priced(name, prices, columns.event_ts[rows])
            else:
                session.priced(name, prices[there], columns.event_ts[rows[there]])

    def _officials(
        self,
        columns: TickColumns,
        rows: NDArray[np.intp],
        repeated: NDArray[np.bool_],
        session: Session,
        now: int,
        applied: Applied,
    ) -> NDArray[np.bool_]:
        """Take the official closes among the rows; returns which rows were refused."""
        refused = np.zeros(len(rows), dtype=np.bool_)
        for i in np.flatnonzero(columns.official[rows]).tolist():
            row = rows[i]
            symbol, ts = columns.symbols[columns.symbol[row]], int(columns.event_ts[row])
            reason = self._unfit(session, symbol, ts)
            if reason is not None:
                applied.refused.append((int(row), reason))
                refused[i] = True
                if symbol in ESSENTIAL and self._missed(session, ts):
                    applied.missed.add(symbol)
                continue
            names = ("settle", "last") if parse_symbol(symbol).kind == "future" else ("last", "settle")
            values = [float(columns.values[name][row]) for name in names]
            value = next(v for v in values if v == v)
            close = Close(value, ts, columns.sources[columns.source[row]])
            session.official(symbol, close, bool(repeated[i]), now)
        return refused

    def _unfit(self, session: Session, symbol: str, ts: int) -> Refused | None:
        """Why an official close cannot be taken, or None."""
        day = self._calendar.local_date(ts)
        if not self._calendar.is_session(day):
            return Refused("not_a_session", f"official close of {symbol} on {day}, which is no session of the exchange")
        if day < session.day:
            return Refused("session_committed", f"official close of {symbol} for {day}, which is already committed")
        if day > session.day or ts < session.open_ts:
            return Refused("invalid", f"official close of {symbol} at {format_ts(ts)}, before its session has opened")
        return None

    def _missed(self, session: Session, ts: int) -> bool:
        """Whether an official close at ``ts`` is one of the session that was committed last."""
        return self._calendar.local_date(ts) == self._calendar.previous_session(session.day)

    def forget(self, session: date, late: int) -> None:
        """Drop what has expired by the end of a session, and what repeats ticks that are late at ``late``, ns."""
        self.board.forget(session)
        self.books.forget(session)
        self.strips.forget(session)
        self._sequences.forget(late)

    def snapshot(self) -> dict[str, Any]:
        """As JSON values, without the strips, which are kept apart."""
        return {
            "board": self.board.snapshot(),
            "books": self.books.snapshot(),
            "products": self.products.snapshot(),
            "sequences": self._sequences.snapshot(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take back what :meth:`snapshot` gave."""
        self.board = Board.restore(saved["board"])
        self.books = Books.restore(saved["books"])
        self.products = Board.restore(saved["products"])
        self._sequences = Sequences.restore(saved["sequences"])


def _newest(board: Board, columns: TickColumns) -> tuple[TickColumns, int]:
    """The ticks that are no older than anything the board has of their instrument, and how many others there were."""
    symbol, ts = board.codes(columns), columns.event_ts
    fresh = np.flatnonzero(ts >= running_max(symbol, ts, board.ts))
    return columns.pick(fresh), len(columns) - len(fresh)


def _of(columns: TickColumns, usable: NDArray[np.bool_], symbols: frozenset[str]) -> NDArray[np.intp]:
    """Usable rows of those instruments."""
    mine = [symbol in symbols for symbol in columns.symbols]
    if not any(mine):
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero(usable & np.array(mine, dtype=np.bool_)[columns.symbol])
