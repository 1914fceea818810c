"""A story that is short enough to be told many times, and in which everything happens."""

from __future__ import annotations

from datetime import date

from history import CALENDAR, Item, close_rows, columns_of, portfolio, release, single, watermark

from topics.catalog import MARKET_TICKS
from topics.times import HOUR, MINUTE, SECOND

DAYS = (date(2018, 5, 1), date(2018, 5, 2), date(2018, 5, 3))


def small_story() -> list[Item]:
    """Three sessions: calm, a storm with a fast path, calm again; a release, portfolios and refused rows among them."""
    items: list[Item] = []
    for day, close, path in zip(DAYS, (14.0, 31.0, 15.0), ((14,), (18, 33, 34, 35), (26,)), strict=True):
        opened = CALENDAR.open_ts(day)
        if day == DAYS[0]:
            items.append(portfolio("alpha", opened, fills="assumed"))
            items.append(portfolio("bare", opened, beta=None))
        for number, vix in enumerate(path):
            ts = opened + HOUR + number * 50 * SECOND
            rows = [{"ts": ts, "symbol": "VIX", "last": float(vix)}, {"ts": ts, "symbol": "SPX", "last": 2650.0}]
            if number == 1:
                rows.append({"ts": ts, "symbol": "VIX", "last": 9000.0})
                items.append(single(MARKET_TICKS, "US", b"no tick"))
            items.append(columns_of(rows))
        items.append(columns_of(close_rows(day, close)))
    items += [release("NFP", CALENDAR.open_ts(DAYS[1]) + HOUR + 70 * SECOND, 164.0)]
    items += [portfolio("alpha", CALENDAR.open_ts(DAYS[1]) + 2 * HOUR, fills="assumed", mv=9_000_000.0)]
    items += [watermark(CALENDAR.vix_close_ts(DAYS[2]) + 30 * MINUTE)]
    return items
