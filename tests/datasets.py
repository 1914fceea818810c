"""Recorded directories built from the real data sets that ``ALVH_DATA`` names (default: ``../shared/data``).

Nothing is cleaned here. Rows of holidays, prints that cannot be true (VVIX at 15.71 in March 2006) and settlements that
are wrong in the source stay in: the processors have to cope with them, as they would with the feed.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from processors.signals.calendar import SessionCalendar
from topics.times import MINUTE, format_ts

NEW_YORK = ZoneInfo("America/New_York")
ROOT = Path(__file__).resolve().parents[1]

#: Sessions before the first one asked for, so that 21-day volatility is there from the start.
WARM_UP = timedelta(days=123)

_COLUMNS = ["event_ts", "symbol", "last", "settle", "open_interest", "official", "source"]

#: Events with a known time of release: name in the file, series, and what the reference period is.
_SERIES = {
    "Consumer Price Index ex Food & Energy (MoM)": ("CPI_CORE_MOM", "month"),
    "Consumer Price Index ex Food & Energy (YoY)": ("CPI_CORE_YOY", "month"),
    "Consumer Price Index (MoM)": ("CPI_MOM", "month"),
    "Consumer Price Index (YoY)": ("CPI_YOY", "month"),
    "Fed Interest Rate Decision": ("FOMC_DECISION", "day"),
    "FOMC Minutes": ("FOMC_MINUTES", "day"),
    "Gross Domestic Product Annualized": ("GDP", "quarter"),
    "Nonfarm Payrolls": ("NFP", "month"),
}


def data_directory() -> Path:
    """Where the data sets are, whether or not they are there."""
    return Path(os.environ.get("ALVH_DATA", ROOT.parent / "shared" / "data")).resolve()


def available() -> bool:
    """Whether the data sets are there."""
    return (data_directory() / "vix-futures" / "vx_contracts_2004_2019.csv.gz").exists()


def build_real(out: Path, first: date, last: date) -> Path:
    """Daily closes of SPX, VIX, VIX3M, VVIX and every VX contract, from four months before ``first`` to ``last``.

    Made once: a folder that has the ticks already is given back as it is.
    """
    if (out / "ticks.csv").exists():
        return out
    start = max(first - WARM_UP, date(2003, 9, 1))
    ticks = pd.concat([_index_closes(start, last), _vx(start, last)], ignore_index=True)
    _write(
        out,
        ticks,
        _releases(start, last),
        _portfolio(datetime(first.year, first.month, first.day, 10, tzinfo=NEW_YORK)),
    )
    return out


def build_intraday_2019(out: Path) -> Path:
    """One-minute bars of SPY and VIX, 2019-02-11 to 15, on top of daily closes from October 2018 on.

    In the week itself the official closes of SPX, VIX, VIX3M, VVIX and VX end each session.
    """
    if (out / "ticks.csv").exists():
        return out
    first, last = date(2018, 10, 1), date(2019, 2, 15)
    bars = _read("intraday/spy_vix_1min_20190211_15.csv")
    bars = bars[bars.symbol.isin(["SPY", "VIX"])]
    minutes = pd.DataFrame(
        {
            "event_ts": [_stamp(text) for text in bars.time_et],  # the time of a bar is its end
            "symbol": bars.symbol,
            "last": bars.close,
            "official": False,
            "source": "eqker",
        }
    )
    ticks = pd.concat([_index_closes(first, last), _vx(first, last), minutes], ignore_index=True)
    _write(out, ticks, _releases(first, last), _portfolio(datetime(2018, 10, 1, 10, tzinfo=NEW_YORK)))
    return out


def build_intraday_2025(out: Path) -> Path:
    """Five-minute bars of SPX and VIX, 2025-08-11 to 2025-09-30; the last bar of a session is its official close."""
    if (out / "ticks.csv").exists():
        return out
    calendar = SessionCalendar()
    parts = []
    for symbol in ("SPX", "VIX"):
        bars = _read(f"intraday/{symbol.lower()}_5min_20250811_20250930.csv")
        starts = pd.to_datetime(bars.time_utc, utc=True).dt.as_unit("ns").astype(np.int64)
        ends = (starts + 5 * MINUTE).to_numpy()
        close = calendar.close_ts if symbol == "SPX" else calendar.vix_close_ts
        officials = {close(day) for day in calendar.sessions(date(2025, 8, 11), date(2025, 9, 30))}
        parts.append(
            pd.DataFrame(
                {
                    "event_ts": ends,
                    "symbol": symbol,
                    "last": bars.close,
                    "official": [int(end) in officials for end in ends],
                    "source": "bars",
                }
            )
        )
    ticks = pd.concat(parts, ignore_index=True)
    _write(out, ticks, None, _portfolio(datetime(2025, 8, 11, 9, 30, tzinfo=NEW_YORK)))
    return out


def wide_closes(first: date, last: date) -> pd.DataFrame:
    """The same index closes as :func:`build_real` writes, one row a date and one column a symbol, for an oracle."""
    ticks = _index_closes(max(first - WARM_UP, date(2003, 9, 1)), last)
    days = [datetime.fromtimestamp(ts // 10**9, NEW_YORK).date() for ts in ticks.event_ts]
    return ticks.assign(day=days).pivot(index="day", columns="symbol", values="last").sort_index()


def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(data_directory() / name)


def _stamp(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * 10**9


def _moment(day: date, what: str) -> int:
    """When that close of a day is official, ns; on a day without a session at the time it would have had."""
    calendar = SessionCalendar()
    if calendar.is_session(day):
        moments = {"SPX": calendar.close_ts, "VX": calendar.vx_settle_ts}
        return moments.get(what, calendar.vix_close_ts)(day)
    return _stamp(f"{day} 16:00" if what == "SPX" else f"{day} 16:15")


def _index_closes(first: date, last: date) -> pd.DataFrame:
    volatility = _read("vol-indices/vol_indices_close_1990_2019.csv").sort_values("date")
    sources = {
        "SPX": (_read("spx/spx_daily_ohlc_2000_2019.csv"), "close", "spx_daily_ohlc"),
        "VIX": (volatility, "vix", "vol_indices_close"),
        "VIX3M": (volatility, "vix3m", "vol_indices_close"),
        "VVIX": (_read("vol-indices/vvix_close_2006_2019.csv"), "close", "vvix_close"),
    }
    parts = []
    for symbol, (table, column, source) in sources.items():
        known = table[table[column].notna() & (table.date >= str(first)) & (table.date <= str(last))]
        stamps = [_moment(date.fromisoformat(day), symbol) for day in known.date]
        parts.append(
            pd.DataFrame(
                {"event_ts": stamps, "symbol": symbol, "last": known[column], "official": True, "source": source}
            )
        )
    return pd.concat(parts, ignore_index=True)


def _vx(first: date, last: date) -> pd.DataFrame:
    """Settlements of every VX contract. That of the expiry day is the opening auction's, known in the morning."""
    rows = _read("vix-futures/vx_contracts_2004_2019.csv.gz")
    rows = rows[(rows.trade_date >= str(first)) & (rows.trade_date <= str(last))]
    settled = {day: _moment(date.fromisoformat(day), "VX") for day in rows.trade_date.unique()}
    auction = {day: _stamp(f"{day} 10:00") for day in rows.trade_date.unique()}
    return pd.DataFrame(
        {
            "event_ts": [
                auction[day] if day == expiry else settled[day]
                for day, expiry in zip(rows.trade_date, rows.expiry, strict=True)
            ],
            "symbol": "VX/" + rows.expiry,
            "settle": rows.settle,
            "open_interest": rows.open_interest,
            "official": True,
            "source": "cfe." + rows.source,
        }
    )


def _releases(first: date, last: date) -> pd.DataFrame:
    """Releases whose time is known; their figures are not."""
    events = _read("macro/us_high_impact_timestamps_2014_2022.csv").drop_duplicates(["event_utc", "event"])
    events = events[events.event.isin(_SERIES) & (events.event_utc >= str(first)) & (events.event_utc <= f"{last}T24")]
    return pd.DataFrame(
        {
            "release_ts": events.event_utc,
            "series_id": [_SERIES[event][0] for event in events.event],
            "ref_period": [
                _period(date.fromisoformat(ts[:10]), _SERIES[event][1])
                for ts, event in zip(events.event_utc, events.event, strict=True)
            ],
            "actual": "",
            "source": "high_impact_timestamps",
        }
    )


def _period(day: date, kind: str) -> str:
    """The period that a release on that day most likely measures; it labels the release and nothing rests on it."""
    if kind == "day":
        return day.isoformat()
    before = day.replace(day=1) - timedelta(days=1)
    return f"{before:%Y-%m}" if kind == "month" else f"{before.year}-Q{(before.month - 1) // 3 + 1}"


def _portfolio(as_of: datetime) -> dict[str, object]:
    return {
        "portfolio_id": "spx-1m",
        "as_of": format_ts(int(as_of.timestamp()) * 10**9),
        "source": "test",
        "mv": "1000000.00",
        "beta": 1.15,
        "cash": "100000.00",
        "fills": "assumed",
    }


def _write(out: Path, ticks: pd.DataFrame, releases: pd.DataFrame | None, portfolio: dict[str, object]) -> None:
    """Write into a folder beside ``out`` and put it in its place as a whole."""
    made = out.with_name(out.name + ".making")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    ticks = ticks.reindex(columns=_COLUMNS).sort_values(["event_ts", "symbol"], kind="stable")
    ticks["event_ts"] = [format_ts(int(ts)) for ts in ticks.event_ts]
    ticks["official"] = ticks["official"].map({True: "true", False: "false"})
    ticks.to_csv(made / "ticks.csv", index=False, lineterminator="\n")
    if releases is not None and len(releases):
        releases.to_csv(made / "releases.csv", index=False, lineterminator="\n")
    (made / "portfolios.jsonl").write_text(json.dumps(portfolio) + "\n", encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    made.rename(out)
