"""Option strips: the newest quotes of the expiries from which implied volatility over 30 days follows.

Only those are kept. A market quotes tens of thousands of options, and what is kept is part of the state.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.sessions.arrivals import running_max
from processors.signals.surface import Strip, surface
from topics.instrument import COINS, parse_symbol
from topics.message import canonical_json
from topics.ticks import TickColumns
from topics.times import DAY, HOUR

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Fewest and most calendar days to expiry of the strips that are kept, by root: both sides of 30 days, not the last
#: week, in which a strip converges on its settlement.
WINDOWS: Final = {"SPX": (8, 60), "SPXW": (8, 45), "VIX": (8, 75), **dict.fromkeys(COINS, (8, 75))}
#: SPXW expires every day; only the expiries at the end of a week are kept, as for the index of volatility itself.
_WEEKLY: Final = frozenset({"SPXW"})
_FRIDAY: Final = 4
#: An older quote is missing.
_MAX_AGE: Final = HOUR
_GROW: Final = 256
#: Options that are kept at most: several times what the exchanges list within the windows.
_MOST: Final = 8192
_EPOCH: Final = date(1970, 1, 1).toordinal()
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class _Followed:
    """An option that may be kept: when it does, as days since 1970 of its first and last day."""

    first_day: int
    last_day: int


@lru_cache(maxsize=65_536)
def _followed(symbol: str) -> _Followed | None:
    try:
        instrument = parse_symbol(symbol)
    except ValueError:
        return None
    window = WINDOWS.get(instrument.root)
    if instrument.kind != "option" or instrument.expiry is None or window is None:
        return None
    if instrument.root in _WEEKLY and instrument.expiry.weekday() != _FRIDAY:
        return None
    expiry = instrument.expiry.toordinal() - _EPOCH
    return _Followed(expiry - window[1], expiry - window[0])


def kept(columns: TickColumns) -> NDArray[np.bool_]:
    """Rows of options that are kept, by their own event time."""
    windows = [_followed(symbol) for symbol in columns.symbols]
    if not any(windows):
        return np.zeros(len(columns), dtype=np.bool_)
    first = np.array([1 if w is None else w.first_day for w in windows], dtype=np.int64)[columns.symbol]
    last = np.array([0 if w is None else w.last_day for w in windows], dtype=np.int64)[columns.symbol]
    day = columns.event_ts // DAY
    return (first <= day) & (day <= last)


class Strips:
    """Newest bid and ask by option, grouped by root and expiry."""

    def __init__(self) -> None:
        self._symbols: list[str] = []
        self._codes: dict[str, int] = {}
        self._ts: Ints = np.zeros(_GROW, dtype=np.int64)
        self._bid: Floats = np.full(_GROW, np.nan)
        self._ask: Floats = np.full(_GROW, np.nan)
        self._newest = 0
        self._changed: set[str] = set()

    def __len__(self) -> int:
        return len(self._symbols)

    def apply(self, columns: TickColumns, rows: NDArray[np.intp]) -> int:
        """Take up rows of options that are kept, in the order of their arrival; an older quote replaces nothing.

        Returns how many rows were taken up: those of options for which there is no more room are not.
        """
        if not len(rows):
            return 0
        used, first, inverse = np.unique(columns.symbol[rows], return_index=True, return_inverse=True)
        found = np.full(len(used), -1, dtype=np.int64)
        for i in np.argsort(first).tolist():  # by arrival, whatever the order of names in a block
            found[i] = self._room(columns.symbols[used[i]])
        codes = found[inverse]
        rows, codes = rows[codes >= 0], codes[codes >= 0]
        taken = len(rows)
        ts = columns.event_ts[rows]
        if not len(rows):
            return 0
        if ts[0] < self._newest or (ts[1:] < ts[:-1]).any():
            fresh = ts >= running_max(codes, ts, self._ts)
            rows, codes, ts = rows[fresh], codes[fresh], ts[fresh]
        self._newest = max(self._newest, int(ts.max(initial=0)))
        self._ts[codes] = ts
        for name, column in (("bid", self._bid), ("ask", self._ask)):
            value = columns.values[name][rows]
            there = ~np.isnan(value)
            column[codes[there]] = value[there]
        self._changed.update(_group(self._symbols[code]) for code in found.tolist() if code >= 0)
        return taken

    def surface(self, ts: int, rate_free: float | None) -> dict[str, float]:
        """What the strips say at ``ts``, ns, by name; ``rate_free`` in percent a year."""
        if not self._symbols:
            return {}
        return surface(list(self._strips(ts)), ts, None if rate_free is None else rate_free / 100)

    def _strips(self, ts: int) -> Iterator[Strip]:
        for codes in self._groups().values():
            fresh = [i for i in codes if ts - int(self._ts[i]) <= _MAX_AGE]
            if not fresh:
                continue
            instruments = [parse_symbol(self._symbols[i]) for i in fresh]
            first = instruments[0]
            assert first.expiry is not None
            yield Strip(
                first.root,
                first.expiry,
                np.array([instrument.strike for instrument in instruments], dtype=np.float64),
                np.array([instrument.right == "C" for instrument in instruments], dtype=np.bool_),
                self._bid[fresh],
                self._ask[fresh],
            )

    def _groups(self) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for i, symbol in enumerate(self._symbols):
            groups.setdefault(_group(symbol), []).append(i)
        return groups

    def forget(self, session: date) -> None:
        """Drop the strips that are too near to their expiry at the end of a session."""
        today = session.toordinal() - _EPOCH
        keep = [i for i, s in enumerate(self._symbols) if (_followed(s) or _Followed(0, 0)).last_day > today]
        if len(keep) == len(self._symbols):
            return
        gone = set(range(len(self._symbols))) - set(keep)
        self._changed.update(_group(self._symbols[i]) for i in gone)
        self._ts, self._bid, self._ask = self._ts[keep], self._bid[keep], self._ask[keep]
        self._symbols = [self._symbols[i] for i in keep]
        self._codes = {symbol: i for i, symbol in enumerate(self._symbols)}

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """State of the strips that changed since the last call, by root and expiry; None for one that is gone."""
        groups = self._groups()
        for name in sorted(self._changed):
            codes = groups.get(name)
            yield name, None if codes is None else self._saved(codes)
        self._changed.clear()

    def snapshot(self) -> list[bytes]:
        """State of every strip, by root and expiry."""
        groups = self._groups()
        return [self._saved(groups[name]) for name in sorted(groups)]

    def _saved(self, codes: list[int]) -> bytes:
        return canonical_json(
            {
                "version": _VERSION,
                "symbols": [self._symbols[i] for i in codes],
                "ts": _text(self._ts[codes].astype("<i8")),
                "bid": _text(self._bid[codes].astype("<f8")),
                "ask": _text(self._ask[codes].astype("<f8")),
            }
        )

    def restore(self, value: bytes) -> None:
        """Take back one strip's state. ValueError for another version."""
        saved = json.loads(value)
        if saved.get("version") != _VERSION:
            raise ValueError(f"strips of version {saved.get('version')!r} cannot be read, only {_VERSION}")
        codes = [self._code(symbol) for symbol in saved["symbols"]]
        self._ts[codes] = np.frombuffer(base64.b64decode(saved["ts"]), dtype="<i8")
        self._newest = max(self._newest, int(self._ts[codes].max(initial=0)))
        self._bid[codes] = np.frombuffer(base64.b64decode(saved["bid"]), dtype="<f8")
        self._ask[codes] = np.frombuffer(base64.b64decode(saved["ask"]), dtype="<f8")

    def _room(self, symbol: str) -> int:
        """The code of an option; -1 for a new one when there is no more room."""
        return -1 if len(self._symbols) >= _MOST and symbol not in self._codes else self._code(symbol)

    def _code(self, symbol: str) -> int:
        code = self._codes.get(symbol)
        if code is None:
            code = self._codes[symbol] = len(self._symbols)
            self._symbols.append(symbol)
            if code >= len(self._ts):
                more = max(_GROW, len(self._ts))
                self._ts = np.concatenate([self._ts, np.zeros(more, dtype=np.int64)])
                self._bid = np.concatenate([self._bid, np.full(more, np.nan)])
                self._ask = np.concatenate([self._ask, np.full(more, np.nan)])
        return code


def _group(symbol: str) -> str:
    root, expiry, *_ = symbol.split("/")
    return f"{root}/{expiry}"


def _text(column: NDArray[np.int64] | Floats) -> str:
    return base64.b64encode(column.tobytes()).decode()
