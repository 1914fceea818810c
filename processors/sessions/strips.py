"""Option strips: the newest quotes of the expiries from which implied volatility over 30 days follows, and of VIX
options as far ahead as the hedge buys them.

Only those are kept. A market quotes tens of thousands of options, and what is kept is part of the state.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.sessions.arrivals import running_max
from processors.signals.expiry import is_monthly
from processors.signals.surface import Strip, surface
from topics.instrument import COINS, parse_symbol
from topics.message import canonical_json
from topics.ticks import TickColumns
from topics.times import DAY, HOUR

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[np.void]

#: Fewest and most calendar days to expiry of the strips that are kept, by root: both sides of 30 days, not the last
#: week, in which a strip converges on its settlement.
WINDOWS: Final = {"SPX": (8, 60), "SPXW": (8, 45), "VIX": (8, 75), **dict.fromkeys(COINS, (8, 75))}
#: SPXW expires every day; only the expiries at the end of a week are kept, as for the index of volatility itself.
_WEEKLY: Final = frozenset({"SPXW"})
_FRIDAY: Final = 4
#: Most calendar days to the monthly expiries that are kept beyond a root's window, for its chain.
CHAINS: Final = {"VIX": 300}
#: An older quote is missing.
MAX_AGE: Final = HOUR
_GROW: Final = 256
#: Options that are kept at most: what the exchanges list within the windows, some 9,000 of SPX and SPXW and 3,000 of
#: VIX, and room for more.
_MOST: Final = 16_384
_EPOCH: Final = date(1970, 1, 1).toordinal()
_VERSION: Final = 2

#: What is known of an option: ``ts`` is the event time of its newest tick, ``bid_ts`` and ``ask_ts`` those of its
#: sides, ns; ``source`` the code of who quoted it last.
_ROW: Final = np.dtype(
    [
        ("strike", "<f8"),
        ("call", "?"),
        ("ts", "<i8"),
        ("bid", "<f8"),
        ("ask", "<f8"),
        ("bid_ts", "<i8"),
        ("ask_ts", "<i8"),
        ("open_interest", "<f8"),
        ("source", "<i8"),
    ]
)
_SAVED: Final = ("ts", "bid", "ask")
_SAVED_OF_CHAINS: Final = ("bid_ts", "ask_ts", "open_interest")


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
    expiry = _days(instrument.expiry)
    farthest = CHAINS.get(instrument.root, window[1])
    most = farthest if farthest > window[1] and monthly(instrument.expiry) else window[1]
    return _Followed(expiry - most, expiry - window[0])


def monthly(expiry: date) -> bool:
    """Whether an expiry is that of a monthly VX contract; not beyond the calendar."""
    try:
        return is_monthly(expiry)
    except ValueError:
        return False


def _days(day: date) -> int:
    """Days since 1970."""
    return day.toordinal() - _EPOCH


def kept(columns: TickColumns) -> NDArray[np.bool_]:
    """Rows of options that are kept, by their own event time."""
    windows = [_followed(symbol) for symbol in columns.symbols]
    if not any(windows):
        return np.zeros(len(columns), dtype=np.bool_)
    first = np.array([1 if w is None else w.first_day for w in windows], dtype=np.int64)[columns.symbol]
    last = np.array([0 if w is None else w.last_day for w in windows], dtype=np.int64)[columns.symbol]
    day = columns.event_ts // DAY
    return (first <= day) & (day <= last)


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """Options of one expiry of which a side was quoted within the last hour, in any order, each array of shape (n,).

    Attributes:
        expiry: settlement date.
        strikes, calls: strike and whether it is a call. A strike may stand there twice, as ``20`` and as ``20.0``.
        bid, ask: prices; NaN where the side was not quoted within the hour.
        bid_ts, ask_ts: event time of either side, ns; 0 before the first.
        open_interest: open contracts; NaN where not reported.
        sources: who sent the quotes.
    """

    expiry: date
    strikes: Floats
    calls: NDArray[np.bool_]
    bid: Floats
    ask: Floats
    bid_ts: Ints
    ask_ts: Ints
    open_interest: Floats
    sources: frozenset[str]


class Strips:
    """Newest bid and ask by option, grouped by root and expiry."""

    def __init__(self) -> None:
        self._symbols: list[str] = []
        self._codes: dict[str, int] = {}
        self._groups: dict[str, list[int]] = {}
        self._sources = {"": 0}  # nobody has quoted it yet
        self._rows = _empty(_GROW)
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
            fresh = ts >= running_max(codes, ts, self._rows["ts"])
            rows, codes, ts = rows[fresh], codes[fresh], ts[fresh]
        self._newest = max(self._newest, int(ts.max(initial=0)))
        self._rows["ts"][codes] = ts
        values = {name: columns.values[name][rows] for name in ("bid", "ask", "open_interest")}
        shown = {name: ~np.isnan(value) for name, value in values.items()}
        for name, there in shown.items():
            self._rows[name][codes[there]] = values[name][there]
        for side in ("bid", "ask"):
            self._rows[f"{side}_ts"][codes[shown[side]]] = ts[shown[side]]
        quoted = shown["bid"] | shown["ask"]
        if quoted.any():
            self._rows["source"][codes[quoted]] = self._source_codes(columns, rows[quoted])
        self._changed.update(_group(self._symbols[code]) for code in found.tolist() if code >= 0)
        return taken

    def surface(self, ts: int, rate_free: float | None) -> dict[str, float]:
        """What the strips say at ``ts``, ns, by name; ``rate_free`` in percent a year."""
        if not self._symbols:
            return {}
        return surface(list(self._strips(ts)), ts, None if rate_free is None else rate_free / 100)

    def quotes(self, root: str, ts: int) -> list[Quotes]:
        """What is quoted of a root's options at ``ts``, ns, by expiry."""
        found = []
        names = list(self._sources)
        for name in sorted(name for name in self._groups if name.startswith(f"{root}/")):
            rows = self._rows[np.array(self._groups[name], dtype=np.int64)]
            bids, asks = (_fresh(rows[side], ts) for side in ("bid_ts", "ask_ts"))
            quoted = bids | asks
            if not quoted.any():
                continue
            rows, bids, asks = rows[quoted], bids[quoted], asks[quoted]
            found.append(
                Quotes(
                    date.fromisoformat(name.partition("/")[2]),
                    rows["strike"],
                    rows["call"],
                    np.where(bids, rows["bid"], np.nan),
                    np.where(asks, rows["ask"], np.nan),
                    rows["bid_ts"],
                    rows["ask_ts"],
                    rows["open_interest"],
                    frozenset(names[i] for i in np.unique(rows["source"]).tolist()),
                )
            )
        return found

    def _strips(self, ts: int) -> Iterator[Strip]:
        for name, codes in self._groups.items():
            root, _, text = name.partition("/")
            expiry = date.fromisoformat(text)
            rows = self._rows[np.array(codes, dtype=np.int64)]
            rows = rows[ts - rows["ts"] <= MAX_AGE]
            if root in CHAINS:
                rows = _within(rows, _days(expiry) - WINDOWS[root][1])
            if len(rows):
                yield Strip(root, expiry, rows["strike"], rows["call"], rows["bid"], rows["ask"])

    def forget(self, session: date) -> None:
        """Drop the strips that are too near to their expiry at the end of a session."""
        today = session.toordinal() - _EPOCH
        keep = [i for i, s in enumerate(self._symbols) if (_followed(s) or _Followed(0, 0)).last_day > today]
        if len(keep) == len(self._symbols):
            return
        gone = set(range(len(self._symbols))) - set(keep)
        self._changed.update(_group(self._symbols[i]) for i in gone)
        self._rows = self._rows[keep]
        self._symbols = [self._symbols[i] for i in keep]
        self._codes = {symbol: i for i, symbol in enumerate(self._symbols)}
        self._groups = {}
        for i, symbol in enumerate(self._symbols):
            self._groups.setdefault(_group(symbol), []).append(i)

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """State of the strips that changed since the last call, by root and expiry; None for one that is gone."""
        for name in sorted(self._changed):
            codes = self._groups.get(name)
            yield name, None if codes is None else self._saved(codes)
        self._changed.clear()

    def snapshot(self) -> list[bytes]:
        """State of every strip, by root and expiry."""
        return [self._saved(self._groups[name]) for name in sorted(self._groups)]

    def _saved(self, codes: list[int]) -> bytes:
        rows = self._rows[codes]
        saved: dict[str, object] = {"version": _VERSION, "symbols": [self._symbols[i] for i in codes]}
        saved |= {name: _text(rows[name]) for name in _SAVED}
        if self._symbols[codes[0]].partition("/")[0] in CHAINS:
            names = list(self._sources)
            origins = [names[i] for i in rows["source"].tolist()]
            sources = sorted(set(origins))
            saved |= {name: _text(rows[name]) for name in _SAVED_OF_CHAINS}
            saved |= {"sources": sources, "source": [sources.index(name) for name in origins]}
        return canonical_json(saved)

    def restore(self, value: bytes) -> None:
        """Take back one strip's state. ValueError for another version."""
        saved = json.loads(value)
        if saved.get("version") != _VERSION:
            raise ValueError(f"strips of version {saved.get('version')!r} cannot be read, only {_VERSION}")
        codes = [self._code(symbol) for symbol in saved["symbols"]]
        of_chain = "sources" in saved
        for name in (*_SAVED, *(_SAVED_OF_CHAINS if of_chain else ())):
            self._rows[name][codes] = np.frombuffer(base64.b64decode(saved[name]), dtype=_ROW[name])
        self._newest = max(self._newest, int(self._rows["ts"][codes].max(initial=0)))
        if of_chain:
            sources = [self._source_code(name) for name in saved["sources"]]
            self._rows["source"][codes] = [sources[i] for i in saved["source"]]

    def _room(self, symbol: str) -> int:
        """The code of an option; -1 for a new one when there is no more room."""
        return -1 if len(self._symbols) >= _MOST and symbol not in self._codes else self._code(symbol)

    def _code(self, symbol: str) -> int:
        code = self._codes.get(symbol)
        if code is None:
            code = self._codes[symbol] = len(self._symbols)
            self._symbols.append(symbol)
            self._groups.setdefault(_group(symbol), []).append(code)
            if code >= len(self._rows):
                self._rows = np.concatenate([self._rows, _empty(max(_GROW, len(self._rows)))])
            instrument = parse_symbol(symbol)
            self._rows["strike"][code], self._rows["call"][code] = instrument.strike, instrument.right == "C"
        return code

    def _source_codes(self, columns: TickColumns, rows: NDArray[np.intp]) -> Ints:
        used, inverse = np.unique(columns.source[rows], return_inverse=True)
        return np.array([self._source_code(columns.sources[i]) for i in used.tolist()], dtype=np.int64)[inverse]

    def _source_code(self, source: str) -> int:
        return self._sources.setdefault(source, len(self._sources))


def _empty(size: int) -> Rows:
    """Rows of options that nothing is known of."""
    rows = np.zeros(size, dtype=_ROW)
    for name in ("bid", "ask", "open_interest"):
        rows[name] = np.nan
    return rows


def _fresh(times: Ints, ts: int) -> NDArray[np.bool_]:
    return np.asarray((times > 0) & (times <= ts) & (ts - times <= MAX_AGE))


def _within(rows: Rows, first_day: int) -> Rows:
    """Rows as if nothing had come before a day, in days since 1970: until then they are kept for the chain alone."""
    rows = rows[rows["ts"] // DAY >= first_day]
    for side in ("bid", "ask"):
        rows[side] = np.where(rows[f"{side}_ts"] // DAY >= first_day, rows[side], np.nan)
    return rows


def _group(symbol: str) -> str:
    root, expiry, *_ = symbol.split("/")
    return f"{root}/{expiry}"


def _text(column: NDArray[Any]) -> str:
    return base64.b64encode(column.tobytes()).decode()
