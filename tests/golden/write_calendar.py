"""Write the days on which the exchange differs from an ordinary weekday, as `exchange_calendars` has them.

    python tests/golden/write_calendar.py

The file holds what a session calendar needs of that library, so that a process starts without loading it. A test says
when the installed version knows more.
"""

from __future__ import annotations

import json
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import exchange_calendars

from processors.signals.calendar import FIRST_DAY, LAST_DAY

TARGET = Path(__file__).resolve().parents[2] / "processors" / "signals" / "xnys.json"
SATURDAY = 5


def exceptions(name: str = "XNYS") -> dict[str, Any]:
    """Weekdays without a session, and closes that are not the ordinary one."""
    with warnings.catch_warnings():
        # The library uses a call of pandas that newer versions deprecate; its caller can do nothing about it.
        warnings.simplefilter("ignore", DeprecationWarning)
        calendar = exchange_calendars.get_calendar(name, start=FIRST_DAY.isoformat(), end=LAST_DAY.isoformat())
    sessions = {stamp.date() for stamp in calendar.sessions}
    opens, closes = (moments.dt.tz_convert(calendar.tz) for moments in (calendar.opens, calendar.closes))
    if odd := [stamp for stamp in opens if f"{stamp:%H:%M}" != "09:30"]:
        raise ValueError(f"opens that are not at 9:30 have no place in the file: {odd}")
    days = [FIRST_DAY + timedelta(days=n) for n in range((LAST_DAY - FIRST_DAY).days + 1)]
    return {
        "closed": [str(day) for day in days if day.weekday() < SATURDAY and day not in sessions],
        "early": {str(close.date()): f"{close:%H:%M}" for close in closes if f"{close:%H:%M}" != "16:00"},
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(exceptions(), indent=1) + "\n", encoding="utf-8")
