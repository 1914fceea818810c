"""The ticks that everybody reads: one recorded week in several symbols, made longer by repeating it.

The week is 11 to 15 February 2019, of which one-minute bars of SPY and VIX are recorded. The rule that makes ticks:

* A bar is walked from its open over both extremes (the low first when it closed higher) to its close, in equal steps
  of time, PER_MINUTE ticks, prices rounded to cents. So the bars of the ticks are the recorded bars.
* SPX walks as SPY does, times the ratio of the two closes of that day.
* VIX3M, VVIX and the first two VX futures, of which only closes are recorded, go from the close of the day before to
  that of the day on a straight line.
* A repetition is the same prices, some sessions later; shortened sessions are left out.
* Before the first session come the official closes of 130 sessions, and after each session its own.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.signals.calendar import SessionCalendar
from processors.signals.expiry import is_monthly, vx_expiries
from topics.market import VALUES
from topics.message import decimal_text
from topics.ticks import MISSING, TickColumns, absent, encode_block
from topics.times import MINUTE, format_ts

Floats = NDArray[np.float64]

CALENDAR: Final = SessionCalendar()
FIRST: Final = date(2019, 2, 11)
LAST: Final = date(2019, 2, 15)
MINUTES: Final = 390
WARM_UP: Final = 130
BLOCK: Final = 8000
#: Ticks of a symbol in a minute: one more than a multiple of three, and 9,331 a minute in all, as many as one feed of
#: E-mini futures and options was recorded to send in each of two minutes on 4 April 2024 (18,544 in both).
PER_MINUTE: Final = 1333
#: Symbols of one market; the last two are the first two VX futures that have ten days or more to go.
NAMES: Final = ("SPX", "VIX", "SPY", "VIX3M", "VVIX", "VX1", "VX2")
MARKET: Final = "US"
MILLISECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Week:
    """The recording: what is walked, and the closes before it.

    Attributes:
        bars: open, high, low, close by session, minute and symbol, shape (5, 390, 7, 4).
        closes: the official closes of the five sessions, shape (5, 7).
        before: those of the sessions before, oldest first, shape (WARM_UP, 7); NaN where there is none.
        days: the sessions of ``before``.
    """

    bars: Floats
    closes: Floats
    before: Floats
    days: tuple[date, ...]


def walk(bar: Sequence[float], steps: int) -> Floats:
    """Prices on the way through a bar (open, high, low, close): ``steps`` of them, its four prices among them."""
    opened, high, low, closed = bar
    knots = (opened, low, high, closed) if closed >= opened else (opened, high, low, closed)
    return np.round(np.interp(np.linspace(0.0, 3.0, steps), np.arange(4.0), knots), 2)


def read_week(data: Path) -> Week:
    """The recorded week from the data sets in ``data``. Raises FileNotFoundError when they are not there."""
    sessions = CALENDAR.sessions(FIRST, LAST)
    days = _before(FIRST, WARM_UP)
    closes = _daily(data)
    own = np.array([[closes[name][day] for name in NAMES] for day in sessions])
    before = np.array([[closes[name].get(day, np.nan) for name in NAMES] for day in days])
    minutes = _minutes(data / "intraday" / "spy_vix_1min_20190211_15.csv")
    bars = np.empty((len(sessions), MINUTES, len(NAMES), 4))
    for i, day in enumerate(sessions):
        spy, vix = minutes["SPY"][day], minutes["VIX"][day]
        ratio = own[i, 0] / spy[-1, 3]
        bars[i, :, 0], bars[i, :, 1], bars[i, :, 2] = spy * ratio, vix, spy
        yesterday = before[-1] if i == 0 else own[i - 1]
        for k in range(3, len(NAMES)):
            line = np.linspace(yesterday[k], own[i, k], MINUTES + 1)
            start, stop = line[:-1], line[1:]
            bars[i, :, k] = np.stack([start, np.maximum(start, stop), np.minimum(start, stop), stop], axis=1)
    return Week(np.round(bars, 2), np.round(own, 2), np.round(before, 2), tuple(days))


def sessions(week: Week, ticks: int, steps: int = PER_MINUTE) -> Iterator[TickColumns]:
    """The closes before the week, and then session after session until there are ``ticks`` rows. ``seq`` counts them.

    The recorded week comes again and again; the last session is whole.
    """
    count = 0
    for day, closes in zip(week.days, week.before, strict=True):
        made = _official(day, closes, count)
        count += len(made)
        yield made
    day, i = FIRST, 0
    while count < ticks:
        while CALENDAR.close_ts(day) - CALENDAR.open_ts(day) != MINUTES * MINUTE:
            day = CALENDAR.next_session(day)
        for made in (_session(day, week.bars[i], steps, count), _official(day, week.closes[i], 0)):
            made.seq[:] = np.arange(count, count + len(made))
            count += len(made)
            yield made
        day, i = CALENDAR.next_session(day), (i + 1) % len(week.bars)


def blocks(columns: TickColumns, rows: int = BLOCK) -> Iterator[tuple[bytes, int]]:
    """Columns as tick blocks, each with its rows."""
    for start in range(0, len(columns), rows):
        part = columns.take(start, min(start + rows, len(columns)))
        yield encode_block(part), len(part)


def lines(columns: TickColumns) -> Iterator[bytes]:
    """Columns as single ticks, the same bytes as :meth:`TickColumns.row_bytes` gives, only sooner."""
    last, bid, ask, settle = (_texts(name, columns.values[name]) for name in ("last", "bid", "ask", "settle"))
    official = ["true" if is_official else "false" for is_official in columns.official.tolist()]
    for i, (ts, seq, code) in enumerate(
        zip(columns.event_ts.tolist(), columns.seq.tolist(), columns.symbol.tolist(), strict=True)
    ):
        yield (
            f'{{{ask[i]}{bid[i]}"event_ts":"{format_ts(ts)}",{last[i]}"market":"{columns.market}",'
            f'"official":{official[i]},"schema_version":1,"seq":{seq},{settle[i]}"source":"{columns.sources[0]}",'
            f'"symbol":"{columns.symbols[code]}"}}'
        ).encode()


@lru_cache(maxsize=65_536)
def _text(value: float) -> str:
    return decimal_text(value)


def _texts(name: str, values: Floats) -> list[str]:
    return [f'"{name}":"{_text(value)}",' if value == value else "" for value in values.tolist()]


def _session(day: date, bars: Floats, steps: int, count: int) -> TickColumns:
    width = len(NAMES)
    price = np.array([[walk(bar, steps) for bar in minute] for minute in bars])  # minute, symbol, step
    price = price.transpose(0, 2, 1).reshape(-1)  # minute, step, symbol: the order of time
    n = len(price)
    apart = MINUTE // (steps * width) // MILLISECOND * MILLISECOND
    minute, place = np.divmod(np.arange(n, dtype=np.int64), steps * width)
    ts = CALENDAR.open_ts(day) + minute * MINUTE + place * apart
    symbol = (np.arange(n) % width).astype(np.int32)
    values: dict[str, Floats] = {name: absent(n) for name in VALUES}
    values["last"] = price
    future = symbol >= width - 2
    values["bid"] = np.where(future, np.round(price - 0.02, 2), np.nan)
    values["ask"] = np.where(future, np.round(price + 0.02, 2), np.nan)
    return _columns(ts, symbol, _symbols(day), values, np.zeros(n, dtype=np.bool_), count)


def _official(day: date, closes: Floats, count: int) -> TickColumns:
    there = np.flatnonzero(~np.isnan(closes))
    late = CALENDAR.vix_close_ts(day)
    ts = np.array([CALENDAR.close_ts(day) if k in (0, 2) else late for k in there.tolist()], dtype=np.int64)
    order = np.argsort(ts, kind="stable")
    there, ts = there[order], ts[order]
    values: dict[str, Floats] = {name: absent(len(ts)) for name in VALUES}
    future = there >= len(NAMES) - 2
    values["last"] = np.where(future, np.nan, closes[there])
    values["settle"] = np.where(future, closes[there], np.nan)
    return _columns(ts, there.astype(np.int32), _symbols(day), values, np.ones(len(ts), dtype=np.bool_), count)


def _columns(ts: Any, symbol: Any, symbols: tuple[str, ...], values: Any, official: Any, count: int) -> TickColumns:
    n = len(ts)
    return TickColumns(
        market=MARKET,
        event_ts=ts,
        symbols=symbols,
        symbol=symbol,
        sources=("bench",),
        source=np.zeros(n, dtype=np.int32),
        seq=np.arange(count, count + n, dtype=np.int64),
        recv_ts=np.full(n, MISSING, dtype=np.int64),
        values=values,
        official=official,
        invalid=np.zeros(n, dtype=np.bool_),
    )


def _symbols(day: date) -> tuple[str, ...]:
    return (*NAMES[:-2], *(f"VX/{expiry}" for expiry in _front(day)))


def _front(day: date) -> list[date]:
    """Expiries of the first two monthly futures with ten days or more to go."""
    return [e for e in vx_expiries(day + timedelta(days=10), day + timedelta(days=120)) if is_monthly(e)][:2]


def _before(first: date, count: int) -> list[date]:
    days = [CALENDAR.previous_session(first)]
    while len(days) < count:
        days.append(CALENDAR.previous_session(days[-1]))
    return days[::-1]


def _minutes(path: Path) -> dict[str, dict[date, Floats]]:
    """Bars by symbol and session, shape (390, 4); a minute without one stands at the close before it."""
    found: dict[str, dict[date, Floats]] = {}
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["symbol"] not in ("SPY", "VIX"):
                continue
            day, clock = row["time_et"].split()
            hours, minutes, _ = clock.split(":")
            minute = int(hours) * 60 + int(minutes) - 571  # the bar that ends at 09:31 is the first
            if 0 <= minute < MINUTES:
                mine = found.setdefault(row["symbol"], {})
                bars = mine.setdefault(date.fromisoformat(day), np.full((MINUTES, 4), np.nan))
                bars[minute] = [float(row[name]) for name in ("open", "high", "low", "close")]
    for by_day in found.values():
        for bars in by_day.values():
            given = np.flatnonzero(~np.isnan(bars[:, 3]))
            bars[: given[0]] = bars[given[0], 0]
            for minute in range(int(given[0]) + 1, MINUTES):
                if np.isnan(bars[minute, 3]):
                    bars[minute] = bars[minute - 1, 3]
    return found


def _daily(data: Path) -> dict[str, dict[date, float]]:
    """Closes by name and session; of the futures the settlements."""
    closes = {
        "SPX": _closes(data / "spx" / "spx_daily_ohlc_2000_2019.csv"),
        "SPY": _closes(data / "spx" / "spy_daily_ohlc_raw_1998_2019.csv"),
        "VIX": _closes(data / "vol-indices" / "vix_ohlc_1990_2019.csv"),
        "VIX3M": _closes(data / "vol-indices" / "vix3m_ohlc_2009_2019.csv"),
        "VVIX": _closes(data / "vol-indices" / "vvix_close_2006_2019.csv"),
        "VX1": {},
        "VX2": {},
    }
    settled: dict[tuple[str, str], float] = {}
    with gzip.open(data / "vix-futures" / "vx_contracts_2004_2019.csv.gz", "rb") as file:
        for row in csv.DictReader(io.TextIOWrapper(file, newline="")):
            if row["trade_date"] >= "2018-06" and row["settle"]:
                settled[row["trade_date"], row["expiry"]] = float(row["settle"])
    for day in (*_before(FIRST, WARM_UP), *CALENDAR.sessions(FIRST, LAST)):
        for name, expiry in zip(("VX1", "VX2"), _front(day), strict=True):
            if (day.isoformat(), expiry.isoformat()) in settled:
                closes[name][day] = settled[day.isoformat(), expiry.isoformat()]
    return closes


def _closes(path: Path) -> dict[date, float]:
    with path.open(newline="") as lines:
        return {date.fromisoformat(row["date"]): float(row["close"]) for row in csv.DictReader(lines) if row["close"]}


