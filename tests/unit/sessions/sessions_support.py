"""What the tests of the engine share: ways to write days of ticks, to feed them, and to read what comes out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import HealthCheck, settings

from processors.sessions.engine import Emission, Engine, Pace
from processors.signals.calendar import SessionCalendar
from processors.signals.panel import Panel
from topics.calibration import Calibration
from topics.dead_letter import Refused
from topics.macro import Release
from topics.market import VALUES, Watermark
from topics.message import canonical_json
from topics.option_chain import OptionChain
from topics.regime import Regime, Transition
from topics.ticks import MISSING, TickColumns, invalid_rows
from topics.times import SECOND

CALENDAR = SessionCalendar()
CALIBRATION = Calibration()

# No deadline: the machine may be busy. Derandomised: a test that fails must fail again.
generated = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A tick as it stands in a block: anything, valid or not. ``spoiled``: dated later than the log's own time."""

    symbol: str
    ts: int
    last: float | None = None
    bid: float | None = None
    ask: float | None = None
    settle: float | None = None
    open_interest: float | None = None
    size: float | None = None
    official: bool = False
    seq: int = MISSING
    source: str = "cboe"
    spoiled: bool = False


Item = Row | Release | Watermark


def at(day: date | str, clock: str) -> int:
    """A moment on New York's clock, ns: ``at("2018-02-05", "16:15")``."""
    moment = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZoneInfo("America/New_York"))
    return int(moment.timestamp()) * SECOND + moment.microsecond * 1000


def columns(rows: Sequence[Row], market: str = "US") -> TickColumns:
    """Rows as they come out of a block's decoding, the invalid ones marked."""
    symbols = {name: i for i, name in enumerate(dict.fromkeys(row.symbol for row in rows))}
    sources = {name: i for i, name in enumerate(dict.fromkeys(row.source for row in rows))}
    n = len(rows)
    values = {name: np.full(n, np.nan) for name in VALUES}
    for i, row in enumerate(rows):
        for name in ("last", "bid", "ask", "settle", "open_interest", "size"):
            value = getattr(row, name)
            if value is not None:
                values[name][i] = value
    made = TickColumns(
        market=market,
        event_ts=np.array([row.ts for row in rows], dtype=np.int64),
        symbols=tuple(symbols),
        symbol=np.array([symbols[row.symbol] for row in rows], dtype=np.int32),
        sources=tuple(sources),
        source=np.array([sources[row.source] for row in rows], dtype=np.int32),
        seq=np.array([row.seq for row in rows], dtype=np.int64),
        recv_ts=np.full(n, MISSING, dtype=np.int64),
        values=values,
        official=np.array([row.official for row in rows], dtype=np.bool_),
        invalid=np.zeros(n, dtype=np.bool_),
    )
    made.invalid[:] = invalid_rows(made) | np.array([row.spoiled for row in rows], dtype=np.bool_)
    return made


def new_engine(pace: Pace | None = None, calibration: Calibration = CALIBRATION) -> Engine:
    """An engine with no history."""
    return Engine("US", calibration, CALENDAR, pace or Pace())


def restarted(engine: Engine, pace: Pace | None = None, calibration: Calibration = CALIBRATION) -> Engine:
    """Another engine that goes on from the bytes of this one's state."""
    state, panel = canonical_json(engine.snapshot()), canonical_json(engine.panel.snapshot())
    other = new_engine(pace, calibration)
    other.restore(json.loads(state))
    other.panel = Panel.restore(json.loads(panel))
    other.restore_secondary(json.loads(canonical_json(engine.secondary.snapshot())))
    for strip in engine.prices.strips.snapshot():
        other.prices.strips.restore(strip)
    return other


def feed(engine: Engine, items: Iterable[Item]) -> list[tuple[int, Any]]:
    """Every item by itself; returns (place of the item, message)."""
    out = []
    for place, item in enumerate(items):
        out += [(place, emission.message) for emission in give(engine, [item])]
    return out


def give(engine: Engine, items: Sequence[Item]) -> list[Emission]:
    """One release, one watermark, or any number of rows as one block."""
    if isinstance(items[0], Release):
        return engine.release(items[0])
    if isinstance(items[0], Watermark):
        return engine.watermark(items[0])
    return engine.ticks(columns([item for item in items if isinstance(item, Row)]))


def text(message: Regime | Transition | OptionChain | Refused) -> bytes:
    """The bytes that a message becomes; of a refusal, reason and words."""
    if isinstance(message, Refused):
        return f"{message.reason}: {message.detail}".encode()
    return message.canonical()


def closes(out: Iterable[tuple[int, Any]]) -> list[Regime]:
    """The regimes of committed sessions."""
    return [m for _, m in out if isinstance(m, Regime) and m.kind == "close"]


def marks(out: Iterable[tuple[int, Any]]) -> list[Regime]:
    """The provisional regimes."""
    return [m for _, m in out if isinstance(m, Regime) and m.kind == "mark"]


def transitions(out: Iterable[tuple[int, Any]]) -> list[Transition]:
    """The changes of state."""
    return [m for _, m in out if isinstance(m, Transition)]


def refusals(out: Iterable[tuple[int, Any]]) -> list[Refused]:
    """What was refused."""
    return [m for _, m in out if isinstance(m, Refused)]


def mark_until(ts: int) -> Watermark:
    """A watermark."""
    return Watermark(watermark_ts=ts)


def official(symbol: str, day: date | str, value: float, clock: str | None = None, **more: Any) -> Row:
    """An official close, stamped at the instrument's own closing time unless a clock is given."""
    day = date.fromisoformat(day) if isinstance(day, str) else day
    if clock is not None:
        ts = at(day, clock)
    elif symbol.startswith("VX/"):
        ts = CALENDAR.vx_settle_ts(day)
    elif symbol == "SPX":
        ts = CALENDAR.close_ts(day)
    else:
        ts = CALENDAR.vix_close_ts(day)
    return Row(symbol, ts, **{"settle" if symbol.startswith("VX/") else "last": value}, official=True, **more)


def day_of_closes(
    day: date | str, vix: float = 15.0, spx: float = 2700.0, vix3m: float = 17.0, vvix: float = 90.0, **more: Any
) -> list[Row]:
    """The official closes of one session, in the order in which they are made."""
    values = {"SPX": spx, "VIX": vix, "VIX3M": vix3m, "VVIX": vvix}
    return [official(symbol, day, value, **more) for symbol, value in values.items()]


def sessions_from(first: date | str, count: int) -> list[date]:
    """So many sessions from that day on."""
    first = date.fromisoformat(first) if isinstance(first, str) else first
    return CALENDAR.sessions(first, first + timedelta(days=2 * count + 10))[:count]


def history(first: date | str, count: int, **prices: float) -> list[Row]:
    """That many sessions of official closes; the SPX moves a little, so that every signal has something to say."""
    rows: list[Row] = []
    for i, day in enumerate(sessions_from(first, count)):
        spx = prices.get("spx", 2700.0) * (1 + 0.004 * ((i * 7) % 5 - 2))
        rows += day_of_closes(day, **{**prices, "spx": round(spx, 2)})
    return rows


def settled(items: Iterable[Item], pace: Pace | None = None) -> tuple[Engine, list[tuple[int, Any]]]:
    """An engine that has taken those items one by one, and what came out."""
    engine = new_engine(pace)
    return engine, feed(engine, items)
