"""What a recorded directory is made of on its way to a log: columns of ticks, and single messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from topics.ticks import Ints, TickColumns

#: Event time of what comes before any row whose time could be read.
BEFORE_ALL: Final = 0


@dataclass(frozen=True, slots=True)
class Single:
    """One message as the bytes of its topic: a release, a schedule, a flow, a portfolio, or a row that cannot be read.

    ``time`` is its place in the order of events, int ns: its own event time, or that of the latest row before it.
    """

    topic: str
    key: bytes | None
    value: bytes
    time: int


#: Ticks of one market in file order, or one message.
Item = TickColumns | Single


@dataclass(frozen=True, slots=True)
class Piece:
    """Neighbouring rows of a ticks file: an item, and the running maximum of event time at each of its rows."""

    keys: Ints
    item: Item

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, start: int, stop: int) -> Piece:
        """Rows ``start`` to ``stop``."""
        if isinstance(self.item, Single):
            return self
        return Piece(self.keys[start:stop], self.item.take(start, stop))


def rows(item: Item) -> int:
    """Rows of the recording that an item stands for."""
    return 1 if isinstance(item, Single) else len(item)


def tight(columns: TickColumns) -> TickColumns:
    """The same rows naming only the symbols and sources that they use, so that a short block stays small."""
    symbol, symbols = _used(columns.symbol, columns.symbols)
    source, sources = _used(columns.source, columns.sources)
    if symbols is columns.symbols and sources is columns.sources:
        return columns
    return TickColumns(
        market=columns.market,
        event_ts=columns.event_ts,
        symbols=symbols,
        symbol=symbol,
        sources=sources,
        source=source,
        seq=columns.seq,
        recv_ts=columns.recv_ts,
        values=columns.values,
        official=columns.official,
        invalid=columns.invalid,
    )


def _used(
    codes: np.ndarray[tuple[int], np.dtype[np.int32]], names: tuple[str, ...]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int32]], tuple[str, ...]]:
    if len(names) <= 1:
        return codes, names
    used = np.bincount(codes, minlength=len(names)) > 0
    if used.all():
        return codes, names
    places = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return places[codes], tuple(name for name, is_used in zip(names, used.tolist(), strict=True) if is_used)
