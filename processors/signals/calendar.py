"""Sessions, and the moments at which their prices become official.

All moments are int nanoseconds since the epoch, UTC. Three closes matter and differ:

====================  ======================================  ======================
what                  ordinary session                        early close
====================  ======================================  ======================
SPX (`close_ts`)      16:00 New York                          13:00
VIX (`vix_close_ts`)  16:15                                   13:15
VX (`vx_settle_ts`)   16:00 from 2020-10-26, 16:15 before     13:00, 13:15 before
====================  ======================================  ======================
"""

import json
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final, NoReturn
from zoneinfo import ZoneInfo

from topics.times import HOUR, MINUTE, SECOND

FIRST_DAY = date(1990, 1, 1)
LAST_DAY = date(2035, 12, 31)
"""Later holidays follow today's rules; closures not yet announced are not in it."""

VIX_CLOSE_AFTER_NS = 15 * 60 * 1_000_000_000
"""SPX options, and so the VIX, close 15 minutes after the SPX."""

VX_SETTLE_AT_CLOSE_FROM = date(2020, 10, 26)
"""CFE moved the daily settlement of VX from 15:15 to 15:00 Chicago time for this trade date."""

NEW_YORK: Final = ZoneInfo("America/New_York")
_OPEN, _CLOSE, _SATURDAY = "09:30", "16:00", 5


@dataclass(frozen=True, slots=True)
class _Tables:
    """A calendar flattened to sorted columns; the i-th entries of the five session columns belong together."""

    sessions: tuple[date, ...]
    index: dict[date, int]
    opens: tuple[int, ...]
    closes: tuple[int, ...]
    vix_closes: tuple[int, ...]
    vx_settles: tuple[int, ...]
    days: tuple[date, ...]
    midnights: tuple[int, ...]  # local midnight of each day, and one more at the end


@cache
def _tables(name: str) -> _Tables:
    """The calendar of an exchange, built once a process and shared. What is not an ordinary weekday is in a file."""
    if name != "XNYS":
        raise ValueError(f"there is no calendar of the exchange {name!r}; allowed: 'XNYS'")
    exceptions = json.loads(files("processors.signals").joinpath("xnys.json").read_text(encoding="utf-8"))
    closed, early = set(exceptions["closed"]), exceptions["early"]
    days = tuple(FIRST_DAY + timedelta(days=i) for i in range((LAST_DAY - FIRST_DAY).days + 1))
    midnights = tuple(
        int(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).timestamp()) * SECOND
        for day in (*days, LAST_DAY + timedelta(days=1))
    )
    sessions, opens, closes = [], [], []
    for day, midnight in zip(days, midnights, strict=False):
        text = day.isoformat()
        if day.weekday() >= _SATURDAY or text in closed:
            continue
        # The clocks change on Sundays: on the day of a session no hour is missing or doubled.
        sessions.append(day)
        opens.append(midnight + _time(_OPEN))
        closes.append(midnight + _time(early.get(text, _CLOSE)))
    vix_closes = tuple(close + VIX_CLOSE_AFTER_NS for close in closes)
    return _Tables(
        sessions=tuple(sessions),
        index={session: i for i, session in enumerate(sessions)},
        opens=tuple(opens),
        closes=tuple(closes),
        vix_closes=vix_closes,
        vx_settles=tuple(
            close if session >= VX_SETTLE_AT_CLOSE_FROM else vix_close
            for session, close, vix_close in zip(sessions, closes, vix_closes, strict=True)
        ),
        days=days,
        midnights=midnights,
    )


def _time(text: str) -> int:
    """Nanoseconds from midnight to ``HH:MM``."""
    return int(text[:2]) * HOUR + int(text[3:]) * MINUTE


class SessionCalendar:
    """Trading sessions of an exchange from 1990 to 2035, early closes and daylight saving included.

    Sessions are those of the NYSE (and Cboe Options), not of CFE: on the few days when only the futures traded
    (2015-04-03, 2018-12-05, 2025-01-09) there is no official SPX close, so these days belong to the next session.

    Every method raises ValueError, naming what was asked and the range, outside 1990-01-01 to 2035-12-31. Instances are
    cheap: all of one name share the same precomputed tables.
    """

    __slots__ = ("_name", "_tables")

    def __init__(self, name: str = "XNYS") -> None:
        self._name = name
        self._tables = _tables(name)

    def _outside(self, asked: object) -> NoReturn:
        raise ValueError(f"{asked} is outside the {self._name} calendar, which covers {FIRST_DAY} to {LAST_DAY}")

    def _check(self, d: date) -> None:
        if not FIRST_DAY <= d <= LAST_DAY:
            self._outside(d)

    def _index(self, d: date) -> int:
        i = self._tables.index.get(d)
        if i is None:
            self._check(d)
            raise ValueError(f"{d} is not a session of {self._name}")
        return i

    def is_session(self, d: date) -> bool:
        """Whether `d` is a trading session."""
        if d in self._tables.index:
            return True
        self._check(d)
        return False

    def sessions(self, first: date, last: date) -> list[date]:
        """The sessions from `first` to `last`, both included."""
        self._check(first)
        self._check(last)
        sessions = self._tables.sessions
        return list(sessions[bisect_left(sessions, first) : bisect_right(sessions, last)])

    def next_session(self, d: date) -> date:
        """The first session strictly after `d`, which need not be a session."""
        self._check(d)
        sessions = self._tables.sessions
        i = bisect_right(sessions, d)
        if i == len(sessions):
            self._outside(f"the session after {d}")
        return sessions[i]

    def previous_session(self, d: date) -> date:
        """The last session strictly before `d`, which need not be a session."""
        self._check(d)
        sessions = self._tables.sessions
        i = bisect_left(sessions, d)
        if i == 0:
            self._outside(f"the session before {d}")
        return sessions[i - 1]

    def open_ts(self, d: date) -> int:
        """The regular open (9:30) of session `d`. ValueError when `d` is not a session, as for the three closes."""
        return self._tables.opens[self._index(d)]

    def close_ts(self, d: date) -> int:
        """The SPX close: 16:00, or the time of an early close (13:00)."""
        return self._tables.closes[self._index(d)]

    def vix_close_ts(self, d: date) -> int:
        """The official VIX close, 15 minutes after the SPX close."""
        return self._tables.vix_closes[self._index(d)]

    def vx_settle_ts(self, d: date) -> int:
        """The daily settlement of VX: at the SPX close from 2020-10-26 on, before that 15 minutes later."""
        return self._tables.vx_settles[self._index(d)]

    def covers(self, ts_ns: int) -> bool:
        """Whether a moment has a session, one before it and one after it."""
        return self._tables.opens[1] <= ts_ns <= self._tables.vix_closes[-2]

    def local_date(self, ts_ns: int) -> date:
        """The date on the exchange's wall calendar (America/New_York) at a moment."""
        i = bisect_right(self._tables.midnights, ts_ns)
        if not 0 < i < len(self._tables.midnights):
            self._outside(f"the moment {ts_ns} ns")
        return self._tables.days[i - 1]

    def session_of(self, ts_ns: int) -> date:
        """The session a moment belongs to: the first one whose VIX close is at or after it.

        So a session runs from just after the previous VIX close up to and including its own.
        """
        i = bisect_left(self._tables.vix_closes, ts_ns)
        if i == len(self._tables.vix_closes) or ts_ns < self._tables.midnights[0]:
            self._outside(f"the moment {ts_ns} ns")
        return self._tables.sessions[i]
