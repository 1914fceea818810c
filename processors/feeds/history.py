"""Five years of S&P 500 and VIX closes, 2014 to 2018, as a recorded directory, without any network.

The closes are real: they come with the package `arch` (``arch.data.sp500``, ``arch.data.vix``). What a regime needs
beside them is modelled from VIX (:mod:`processors.feeds.model_curve`) and carries the source ``model``: the VX futures,
on real expiry dates, and VIX3M. VVIX is not modelled; it is missing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from processors.errors import UserError
from processors.feeds.model_curve import CurveModel, Tendency
from processors.signals.calendar import SessionCalendar
from processors.signals.expiry import vx_expiries
from topics.instrument import future_symbol
from topics.portfolio import Portfolio
from topics.times import format_ts

FIRST_SESSION: Final = date(2014, 1, 3)
LAST_SESSION: Final = date(2018, 12, 31)

MODEL: Final = "model"
SPX_SOURCE: Final = "arch.data.sp500"
VIX_SOURCE: Final = "arch.data.vix"

PORTFOLIO_ID: Final = "demo"
MARKET_VALUE: Final = 10_000_000.0
BETA: Final = 1.15

#: The farthest VX contract, calendar days to its expiry: about nine months are listed.
_LISTED_DAYS: Final = 275

_HEADER: Final = ("event_ts", "symbol", "last", "settle", "official", "source")
_Row = tuple[int, str, float | None, float | None, str]


def closes(symbol: str) -> dict[date, float]:
    """Daily closes of ``SPX`` (index points) or ``VIX`` (vol points) by session, as the package has them."""
    if symbol == "SPX":
        from arch.data import sp500  # takes a moment to load, so only when it is asked for

        series = sp500.load()["Close"]
    elif symbol == "VIX":
        from arch.data import vix

        series = vix.load()["vix"]
    else:
        raise UserError(f"no history of {symbol!r} comes with this package; there are SPX and VIX.")
    known = series.dropna()
    return dict(zip((stamp.date() for stamp in known.index), map(float, known.to_numpy()), strict=True))


def sessions(first: date, last: date) -> list[date]:
    """The sessions of the history from ``first`` to ``last``. UserError when there are none."""
    if first > last or last < FIRST_SESSION or first > LAST_SESSION:
        raise UserError(f"{first} to {last} holds no session; the history runs from {FIRST_SESSION} to {LAST_SESSION}.")
    return SessionCalendar().sessions(max(first, FIRST_SESSION), min(last, LAST_SESSION))


def write_history(
    out: Path, first: date = FIRST_SESSION, last: date = LAST_SESSION, hedged_from: date | None = None
) -> Path:
    """Write ``ticks.csv`` and ``portfolios.jsonl`` for the sessions from ``first`` to ``last`` into ``out``.

    ``out`` is made when it is missing. The tendency of the model counts every session since 2014, so that a session's
    values do not depend on ``first``. Raises UserError when the window holds no session.

    The portfolio is a study: no option was recorded, so that modelled prices count as if they could be dealt on.
    ``hedged_from``: its first session, a session in the window; by default the first of all.
    """
    wanted = sessions(first, last)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "ticks.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_HEADER)
        for ts, symbol, price, settle, source in _rows(wanted):
            writer.writerow([format_ts(ts), symbol, _text(price), _text(settle), "true", source])
    portfolio = Portfolio(
        portfolio_id=PORTFOLIO_ID,
        as_of=SessionCalendar().open_ts(wanted[0] if hedged_from is None else hedged_from),
        source="demo",
        mv=MARKET_VALUE,
        beta=BETA,
        cash=MARKET_VALUE / 10,
        fills="modelled",
    )
    (out / "portfolios.jsonl").write_bytes(portfolio.canonical() + b"\n")
    return out


def _rows(wanted: list[date]) -> Iterator[_Row]:
    calendar, model = SessionCalendar(), CurveModel()
    tendency = Tendency(model)
    spx, vix = closes("SPX"), closes("VIX")
    for day in calendar.sessions(FIRST_SESSION, wanted[-1]):
        level = vix.get(day)
        towards = None if level is None else tendency.update(level)
        if day < wanted[0]:
            continue
        rows: list[_Row] = []
        if day in spx:
            rows.append((calendar.close_ts(day), "SPX", round(spx[day], 2), None, SPX_SOURCE))
        if level is not None and towards is not None:
            at = calendar.vix_close_ts(day)
            rows.append((at, "VIX", level, None, VIX_SOURCE))
            rows.append((at, "VIX3M", round(model.vix3m(level, towards), 2), None, MODEL))
            for expiry in vx_expiries(day + timedelta(days=1), day + timedelta(days=_LISTED_DAYS)):
                price = round(model.future(level, towards, (expiry - day).days), 2)
                rows.append((calendar.vx_settle_ts(day), future_symbol("VX", expiry), None, price, MODEL))
        yield from sorted(rows, key=lambda row: row[0])


def _text(value: float | None) -> str:
    return "" if value is None else repr(value)
