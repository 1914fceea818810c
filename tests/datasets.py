"""Recorded directories built from the real data sets that ``ALVH_DATA`` names (default: ``../shared/data``).

Nothing is cleaned here. Rows of holidays, prints that cannot be true (VVIX at 15.71 in March 2006) and settlements that
are wrong in the source stay in: the processors have to cope with them, as they would with the feed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from processors.signals.calendar import SessionCalendar
from topics.constituents import CrossSection, Member
from topics.macro import Release, Schedule
from topics.message import Message
from topics.offering import Offering
from topics.times import DAY, MINUTE, format_ts

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

#: Monthly figures of the calendar that has forecasts: name in the file to series. Each is of the month before.
_FORECAST = {
    "Core CPI m/m": "CPI_CORE_MOM",
    "CPI m/m": "CPI_MOM",
    "PPI m/m": "PPI_FD_MOM",
    "Core PPI m/m": "PPI_CORE_MOM",
    "Core PCE Price Index m/m": "PCE_CORE_MOM",
    "Non-Farm Employment Change": "NFP",
    "Unemployment Rate": "UNEMPLOYMENT_RATE",
    "Average Hourly Earnings m/m": "EARNINGS_MOM",
    "Retail Sales m/m": "RETAIL_SALES_MOM",
    "Core Retail Sales m/m": "RETAIL_SALES_CORE_MOM",
    "ISM Manufacturing PMI": "ISM_MANUFACTURING",
    "ISM Non-Manufacturing PMI": "ISM_SERVICES",
    "Durable Goods Orders m/m": "DURABLE_GOODS_MOM",
    "Industrial Production m/m": "INDUSTRIAL_PRODUCTION_MOM",
    "Housing Starts": "HOUSING_STARTS",
    "Building Permits": "BUILDING_PERMITS",
}
_UNITS = {"%": "percent", "K": "thousand", "M": "million"}

#: Publication months of GDP that the shutdowns of the government moved; else 1, 2 and 3 months after the quarter.
_GDP_MOVED = {("2013:Q3", 1): "2013-11", ("2013:Q3", 2): "2013-12", ("2018:Q4", 1): "2019-02"}

#: From this decision on the minutes came three weeks later; before, in the days after the next decision.
_MINUTES_IN_THREE_WEEKS = date(2004, 12, 14)

#: A schedule is known this long before its release is due.
_NOTICE = 7 * DAY


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


def build_full(out: Path, first: date, last: date) -> Path:
    """Everything of :func:`build_real`, and what the secondary signals use: closes, figures, schedules and flows.

    Times are when a row was public, or later: a source that knows only a day or a month says so in ``source`` and gets
    a time by which the figure was out. Dates of release without a figure are schedules here, not releases, but for the
    texts of the FOMC. Three figures are not as first published: REER and earnings have been revised since, and SPXTR
    is SPY adjusted for dividends up to 2026, of which only the changes mean something.
    Made once: a folder that has the ticks already is given back as it is.
    """
    if (out / "ticks.csv").exists():
        return out
    start = max(first - WARM_UP, date(2003, 9, 1))
    ticks = pd.concat([_index_closes(start, last), _vx(start, last), _other_closes(start, last)], ignore_index=True)
    begin, end = _stamp(f"{start} 00:00"), _stamp(f"{last + timedelta(days=1)} 00:00")
    minutes = _minutes()
    releases = [*_yields(), *_reer(), *_gdp(), *_per_share(), *_forecast(), *_decisions(), *minutes]
    placed: list[tuple[int, Message]] = [(section.event_ts, section) for section in _cross_sections()]
    placed += [(offering.pricing_ts, offering) for offering in _offerings()]
    _write(
        out,
        ticks,
        _table(_between(begin, end, [(release.release_ts, release) for release in releases])),
        _portfolio(datetime(first.year, first.month, first.day, 10, tzinfo=NEW_YORK)),
        _table(_between(begin, end, [(due.event_ts, due) for due in _schedules(minutes)])),
        _between(begin, end, placed),
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


def _records(name: str) -> list[dict[str, str]]:
    """Rows as the text that stands there; blank is missing."""
    table = pd.read_csv(data_directory() / name, dtype=str, keep_default_na=False)
    return cast("list[dict[str, str]]", table.to_dict("records"))


def _between(begin: int, end: int, placed: Sequence[tuple[int, Message]]) -> list[Message]:
    """Messages from ``begin`` to before ``end``, ns, in the order of their times."""
    return [message for ts, message in sorted(placed, key=lambda pair: pair[0]) if begin <= ts < end]


def _table(messages: Sequence[Message]) -> pd.DataFrame:
    """One row a message, with the columns that any of them uses."""
    return pd.DataFrame([message.document() for message in messages]).drop(columns="schema_version", errors="ignore")


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


def _other_closes(first: date, last: date) -> pd.DataFrame:
    """Official closes of what the secondary signals use. VXX is unadjusted: its reverse splits show as jumps."""
    breadth = _read("breadth/nyse_breadth_1990_2015.csv")
    volatility = _read("vol-indices/vol_indices_close_1990_2019.csv").sort_values("date")
    vxx = _read("spx/vxx_hourly_raw_2009_2019.csv")
    vxx = vxx.assign(date=vxx.time_et.str[:10]).groupby("date", as_index=False).last()  # the last bar ends at the close
    sources = {
        "ADVN": (breadth, "advn", "nyse_breadth"),
        "DECN": (breadth, "decln", "nyse_breadth"),
        "UNCN": (breadth, "unchn", "nyse_breadth"),
        "SKEW": (volatility, "skew", "vol_indices_close"),
        "VIX9D": (volatility, "vix9d", "vol_indices_close"),
        "VIX6M": (volatility, "vix6m", "vol_indices_close"),
        "SPXTR": (_read("spx/spy_daily_ohlc_adj_2010_2019.csv"), "close", "spy_adjusted"),
        "SPY": (_read("spx/spy_daily_ohlc_raw_1998_2019.csv"), "close", "spy_raw"),
        "VXX": (vxx, "close", "vxx_hourly_raw"),
    }
    parts = []
    for symbol, (table, column, source) in sources.items():
        known = table[table[column].notna() & (table.date >= str(first)) & (table.date <= str(last))]
        what = "VIX" if source == "vol_indices_close" else "SPX"
        stamps = [_moment(date.fromisoformat(day), what) for day in known.date]
        parts.append(
            pd.DataFrame(
                {"event_ts": stamps, "symbol": symbol, "last": known[column], "official": True, "source": source}
            )
        )
    return pd.concat(parts, ignore_index=True)


def _utc(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


def _yields() -> list[Release]:
    """Yields of a day, out on the next day for which the same source has one: holidays of that market are known."""
    us, japan = _records("macro/us_rates_by_tenor_daily.csv"), _records("macro/jgb_rates_by_tenor_daily_2004_2025.csv")
    releases = []
    for rows, column, series, clock, source in (
        (us, "dgs2", "US_2Y", "20:15", "treasury_par.next_day"),
        (us, "dgs3mo", "US_3M", "20:15", "treasury_par.next_day"),
        (us, "dgs10", "US_10Y", "20:15", "treasury_par.next_day"),
        (japan, "jgb_2y", "JP_2Y", "08:00", "jgb_by_tenor.next_day"),
    ):
        known = [(row["date"], row[column]) for row in rows if row[column] and "2003-08" < row["date"] < "2020-02"]
        releases += [
            Release(
                series_id=series,
                release_ts=_utc(f"{after}T{clock}:00Z"),
                ref_period=day,
                actual=float(figure),
                unit="percent",
                source=source,
            )
            for (day, figure), (after, _) in pairwise(known)
        ]
    return releases


def _reer() -> list[Release]:
    """The dollar's broad real rate; a month's figure is out by the 20th of the month after."""
    return [
        Release(
            series_id="REER_US",
            release_ts=_utc(f"{pd.Period(row['month'], 'M') + 1}-20T12:00:00Z"),
            ref_period=row["month"],
            actual=float(row["US"]),
            unit="2020=100",
            source="bis_latest_vintage",
        )
        for row in _records("macro/bis_reer_broad_monthly.csv")
    ]


def _gdp() -> list[Release]:
    """Growth as first, second and third published, with the median of the survey in that quarter as the forecast."""
    recorded = _gdp_times()
    survey = _records("macro/spf_median_rgdp_growth.csv")
    medians = {f"{row['survey_year']}:Q{row['survey_quarter']}": float(row["q0"]) for row in survey}
    releases = []
    for row in _records("macro/gdp_first_second_third_release.csv"):
        quarter = row["quarter"]
        if quarter < "2003":
            continue
        for vintage, name in enumerate(("first", "second", "third"), start=1):
            if not row[name]:
                continue
            usual = pd.Period(quarter.replace(":", ""), "Q").asfreq("M") + vintage
            month = pd.Period(_GDP_MOVED[quarter, vintage], "M") if (quarter, vintage) in _GDP_MOVED else usual
            stamp = recorded.get(str(month))
            releases.append(
                Release(
                    series_id="GDP",
                    release_ts=stamp or _utc(f"{month.end_time:%Y-%m-%d}T21:00:00Z"),
                    ref_period=quarter.replace(":", "-"),
                    actual=float(row[name]),
                    vintage=vintage,
                    consensus=medians.get(quarter) if vintage == 1 else None,
                    unit="percent",
                    source="gdp_real_time" if stamp else "gdp_real_time.month_end",
                )
            )
    return releases


def _gdp_times() -> dict[str, int]:
    """Recorded times of GDP by month. One month has two; the later one is right."""
    return {text[:7]: _utc(text) for text in _recorded("Gross Domestic Product Annualized")}


def _per_share() -> list[Release]:
    """Trailing dividends and earnings of the index, out 75 days after the quarter that the month is in.

    The source interpolates months from the end of their quarter: none of the three may come before that is out.
    """
    releases = []
    for column, series in (("dividend", "SPX_DPS_TTM"), ("earnings", "SPX_EPS_TTM")):
        for row in _records("sp500/shiller_monthly_1990_2019.csv"):
            quarter = pd.Period(row["date"], "Q").end_time.date()
            releases.append(
                Release(
                    series_id=series,
                    release_ts=_utc(f"{quarter + timedelta(days=75)}T21:00:00Z"),
                    ref_period=row["date"][:7],
                    actual=float(row[column]),
                    unit="USD per index unit",
                    source="shiller.quarter_end_75d",
                )
            )
    return releases


def _forecast() -> list[Release]:
    """Figures of November and December 2019 with their forecasts, at their recorded times."""
    return [
        Release(
            series_id=_FORECAST[row["event"]],
            release_ts=_utc(row["event_utc"]),
            ref_period=_period(date.fromisoformat(row["event_utc"][:10]), "month"),
            actual=float(row["actual"].rstrip("%KM")),
            consensus=float(row["forecast"].rstrip("%KM")),
            unit=_UNITS.get(row["actual"][-1], "index"),
            source="ff_calendar",
        )
        for row in _records("macro/ff_calendar_201911_202010.csv")
        if row["currency"] == "USD" and row["event"] in _FORECAST and row["event_utc"] < "2020"
    ]


def _decisions() -> list[Release]:
    """Decisions of the FOMC, texts at their recorded times."""
    return [_text("FOMC_DECISION", text[:10], _utc(text)) for text in _recorded("Fed Interest Rate Decision")]


def _minutes() -> list[Release]:
    """Minutes of the FOMC, texts, named by the day of the decision: at their recorded times from 2014 on.

    Before, at 14:00 New York on the day by which they were out: three weeks after the decision and not on a holiday,
    around New Year not before January 3, and until 2004 three days after the next decision.
    """
    calendar = SessionCalendar()
    extra = {row["date"] for row in _records("macro/fomc_surprise_1990_2020.csv") if row["unscheduled"] == "1"}
    days = [row["date"] for row in _records("macro/fomc_decision_dates_2000_2026.csv")]
    decisions = [date.fromisoformat(day) for day in days if day not in extra]
    releases = []
    for text in _recorded("FOMC Minutes"):
        decision = max(day for day in decisions if day <= date.fromisoformat(text[:10]) - timedelta(days=14))
        releases.append(_text("FOMC_MINUTES", str(decision), _utc(text)))
    known = {release.ref_period for release in releases}
    for decision, following in pairwise(decisions):
        if decision.year < 2003 or decision.year > 2013 or str(decision) in known:
            continue
        if decision < _MINUTES_IN_THREE_WEEKS:
            day, source = following + timedelta(days=3), "fomc_decisions.after_next"
        else:
            day, source = decision + timedelta(days=21), "fomc_decisions.21d"
        if (day.month, day.day) < (1, 3):
            day = day.replace(day=3)
        day = calendar.sessions(day, day + timedelta(days=7))[0]
        releases.append(_text("FOMC_MINUTES", str(decision), _stamp(f"{day} 14:00"), source))
    return releases


def _text(series: str, period: str, ts: int, source: str = "high_impact_timestamps") -> Release:
    return Release(series_id=series, release_ts=ts, ref_period=period, source=source)


def _schedules(minutes: Sequence[Release]) -> list[Schedule]:
    """When the minutes, GDP, CPI and payrolls were due, known a week before."""
    due = [(m.series_id, m.ref_period, m.release_ts, m.source) for m in minutes]
    recorded = "high_impact_timestamps"
    for month, ts in _gdp_times().items():
        due.append(("GDP", str(pd.Period(month, "Q") - 1).replace("Q", "-Q"), ts, recorded))
    # All CPI figures of a month come together; the core one stands for them.
    for name, series in (("Consumer Price Index", "CPI_CORE_MOM"), ("Nonfarm Payrolls", "NFP")):
        for text in _recorded(name):
            due.append((series, _period(date.fromisoformat(text[:10]), "month"), _utc(text), recorded))
    return [
        Schedule(series_id=series, ref_period=period, scheduled_ts=ts, event_ts=ts - _NOTICE, source=source)
        for series, period, ts, source in due
    ]


def _recorded(event: str) -> list[str]:
    """Recorded times, rising, of the events whose name begins so."""
    rows = _records("macro/us_high_impact_timestamps_2014_2022.csv")
    return sorted({row["event_utc"] for row in rows if row["event"].startswith(event)})


def _cross_sections() -> list[CrossSection]:
    """Returns of S&P 500 members between two snapshots, weeks apart as a rule, known on the day after the second.

    Prices are unadjusted: a split looks like a fall. Two snapshots of one session have no return between them.
    """
    calendar = SessionCalendar()
    snapshots: dict[str, dict[str, tuple[float, float]]] = {}
    for row in _records("sp500/constituent_market_caps_snapshots.csv.gz"):
        if row["snapshot_date"] < "2020" and row["price"] and row["market_cap_musd"]:
            figures = (float(row["price"]), float(row["market_cap_musd"]))
            snapshots.setdefault(row["snapshot_date"], {})[row["symbol"]] = figures
    sections = []
    for (first, before), (last, after) in pairwise(sorted(snapshots.items())):
        start, end = (calendar.sessions(_week_before(day), date.fromisoformat(day))[-1] for day in (first, last))
        members = []
        for symbol, (price, cap) in before.items():
            ret = after[symbol][0] / price - 1 if symbol in after and price > 0 else None
            if ret is not None and -1 < ret <= 20 and cap > 0:
                members.append(Member(id=symbol, ret=ret, mcap_prev=cap))
        if start < end:
            sections.append(
                CrossSection(
                    universe="SPX",
                    session_date=end,
                    session_prev=start,
                    event_ts=_utc(f"{last}T12:00:00Z") + DAY,
                    source="member_snapshots.day_after",
                    members=tuple(members),
                )
            )
    return sections


def _week_before(day: str) -> date:
    return date.fromisoformat(day) - timedelta(days=7)


def _offerings() -> list[Offering]:
    """IPOs at the close of their first day of trading; they were priced the evening before. Proceeds are not known."""
    return [
        Offering(
            offering_id=f"{row['symbol']}/{row['ipo_date']}",
            kind="ipo",
            pricing_ts=_stamp(f"{row['ipo_date']} 16:00"),
            source="ipo_list.first_trade",
            spac=row["spac_like"] == "True",
        )
        for row in _records("ipo/us_ipo_list_2019_2022.csv")
        if row["ipo_date"] < "2020"
    ]


def _period(day: date, kind: str) -> str:
    """The period that a release on that day most likely measures; it labels the release and nothing rests on it."""
    if kind == "day":
        return day.isoformat()
    first = day.replace(day=1)
    if kind == "month":
        return f"{first - timedelta(days=1):%Y-%m}"
    before = first.replace(month=(day.month - 1) // 3 * 3 + 1) - timedelta(days=1)  # the quarter that was over last
    return f"{before.year}-Q{(before.month - 1) // 3 + 1}"


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


def _write(
    out: Path,
    ticks: pd.DataFrame,
    releases: pd.DataFrame | None,
    portfolio: dict[str, object],
    schedules: pd.DataFrame | None = None,
    flows: Sequence[Message] = (),
) -> None:
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
    if schedules is not None and len(schedules):
        schedules.to_csv(made / "schedules.csv", index=False, lineterminator="\n")
    if flows:
        (made / "flows.jsonl").write_bytes(b"".join(flow.canonical() + b"\n" for flow in flows))
    (made / "portfolios.jsonl").write_text(json.dumps(portfolio) + "\n", encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    made.rename(out)
