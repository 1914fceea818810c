"""Time on the wire: RFC 3339 with a zone; in memory: integer nanoseconds since the Unix epoch, UTC.

Integers compare, sort and travel in numpy columns exactly. A datetime would lose the nanoseconds that exchanges stamp.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

#: Event times outside these years are refused: they are typing errors or broken clocks, and one of them would
#: move the stream's time where no later tick can bring it back from.
FIRST_TS: Final = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp()) * SECOND
LAST_TS: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * SECOND

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_ts(text: str) -> int:
    """Nanoseconds since the epoch of an RFC 3339 time such as ``2018-02-05T21:15:00.25Z``.

    Raises ValueError for a time without a zone, out of the years 1990 to 2099, or not RFC 3339 at all.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time with a zone; write it like 2018-02-05T21:15:00Z")
    day, clock, fraction, zone = match.groups()
    whole = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    ts = int(whole.timestamp()) * SECOND + int((fraction or "0").ljust(9, "0"))
    return check_ts(ts)


def check_ts(ts: int) -> int:
    """``ts`` itself when it lies in the years 1990 to 2099, else ValueError."""
    if not FIRST_TS <= ts < LAST_TS:
        raise ValueError(f"time {ts} ns is outside the years 1990 to 2099")
    return ts


def format_ts(ts: int) -> str:
    """RFC 3339 in UTC with as many decimals as are needed: ``2018-02-05T21:15:00Z``."""
    seconds, nanos = divmod(ts, SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{nanos:09d}".rstrip("0") + "Z" if nanos else text + "Z"
