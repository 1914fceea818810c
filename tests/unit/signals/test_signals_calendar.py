import json
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, recorded_closes

from processors.signals import SessionCalendar

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "golden"))

import write_calendar

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000_000
MINUTE = 60 * SECOND


def utc(text: str) -> int:
    """Nanoseconds of an ISO moment; UTC when it names no offset."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo("UTC"))).timestamp()) * SECOND


def new_york(day: date, hour: int, minute: int) -> int:
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK).timestamp()) * SECOND


@pytest.fixture(scope="module")
def calendar() -> SessionCalendar:
    return SessionCalendar()


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        ("2019-03-08", "2019-03-08T14:30", "2019-03-08T21:00"),  # the Friday before summer time
        ("2019-03-11", "2019-03-11T13:30", "2019-03-11T20:00"),  # the Monday after
        ("2019-11-01", "2019-11-01T13:30", "2019-11-01T20:00"),
        ("2019-11-04", "2019-11-04T14:30", "2019-11-04T21:00"),
        ("2006-04-03", "2006-04-03T13:30", "2006-04-03T20:00"),  # until 2006 it began in April
        ("2006-03-31", "2006-03-31T14:30", "2006-03-31T21:00"),
        ("2018-11-23", "2018-11-23T14:30", "2018-11-23T18:00"),  # the day after Thanksgiving
        ("2019-07-03", "2019-07-03T13:30", "2019-07-03T17:00"),
        ("2024-12-24", "2024-12-24T14:30", "2024-12-24T18:00"),
        ("2030-06-28", "2030-06-28T13:30", "2030-06-28T20:00"),
    ],
)
def test_open_and_close_know_daylight_saving_and_early_closes(
    calendar: SessionCalendar, day: str, opens: str, closes: str
) -> None:
    d = date.fromisoformat(day)
    assert calendar.open_ts(d) == utc(opens)
    assert calendar.close_ts(d) == utc(closes)
    assert calendar.vix_close_ts(d) == utc(closes) + 15 * MINUTE


@pytest.mark.parametrize(
    ("day", "hour", "minute"),
    [
        (date(2018, 2, 5), 16, 15),
        (date(2020, 10, 23), 16, 15),  # the last session of the old rule
        (date(2020, 10, 26), 16, 0),
        (date(2024, 8, 5), 16, 0),
        (date(2018, 11, 23), 13, 15),
        (date(2020, 11, 27), 13, 0),
    ],
)
def test_the_futures_settle_with_the_vix_close_until_october_2020_and_with_the_spx_since(
    calendar: SessionCalendar, day: date, hour: int, minute: int
) -> None:
    assert calendar.vx_settle_ts(day) == new_york(day, hour, minute)


@pytest.mark.parametrize(
    "closed",
    [
        *("2001-09-11", "2001-09-12", "2001-09-13", "2001-09-14"),  # the attacks
        *("2012-10-29", "2012-10-30"),  # hurricane Sandy
        *("2004-06-11", "2007-01-02", "2018-12-05", "2025-01-09"),  # days of mourning
        *("2015-04-03", "2019-04-19", "2026-04-03"),  # Good Friday
        *("2022-06-20", "2026-06-19", "2021-12-24", "2019-07-04", "2019-07-06", "2030-12-25"),
    ],
)
def test_closed_days(calendar: SessionCalendar, closed: str) -> None:
    assert not calendar.is_session(date.fromisoformat(closed))


@pytest.mark.parametrize("opened", ["2001-09-10", "2001-09-17", "2012-10-31", "2021-12-31", "2021-06-18", "1990-01-02"])
def test_open_days(calendar: SessionCalendar, opened: str) -> None:
    assert calendar.is_session(date.fromisoformat(opened))


@pytest.mark.data
def test_the_sessions_are_the_days_with_a_recorded_spx_close(calendar: SessionCalendar) -> None:
    days = list(recorded_closes("spx/spx_daily_ohlc_2000_2019.csv").index)
    assert calendar.sessions(days[0], days[-1]) == days


def test_neighbours_are_strict_and_need_no_session(calendar: SessionCalendar) -> None:
    assert calendar.next_session(date(2001, 9, 10)) == date(2001, 9, 17)
    assert calendar.next_session(date(2001, 9, 12)) == date(2001, 9, 17)
    assert calendar.previous_session(date(2001, 9, 17)) == date(2001, 9, 10)
    assert calendar.previous_session(date(2001, 9, 12)) == date(2001, 9, 10)
    assert calendar.sessions(date(2001, 9, 10), date(2001, 9, 17)) == [date(2001, 9, 10), date(2001, 9, 17)]
    assert calendar.sessions(date(2001, 9, 11), date(2001, 9, 16)) == []
    assert calendar.sessions(date(2001, 9, 17), date(2001, 9, 10)) == []


def test_a_moment_belongs_to_the_session_whose_vix_close_it_does_not_pass(calendar: SessionCalendar) -> None:
    friday, monday = date(2019, 3, 8), date(2019, 3, 11)
    close = calendar.vix_close_ts(friday)
    assert calendar.session_of(close) == friday
    assert calendar.session_of(close + 1) == monday
    assert calendar.session_of(utc("2019-03-10T17:00")) == monday
    assert calendar.session_of(utc("2018-11-23T18:15")) == date(2018, 11, 23)
    assert calendar.session_of(utc("2018-11-23T18:16")) == date(2018, 11, 26)
    assert calendar.session_of(utc("2018-12-05T15:00")) == date(2018, 12, 6)  # only the futures traded


@generated
@given(st.integers(utc("1990-01-01T05:00"), utc("2035-12-31T12:00")))
def test_local_dates_are_those_of_the_time_zone_database(ts: int) -> None:
    assert SessionCalendar().local_date(ts) == datetime.fromtimestamp(ts // SECOND, tz=NEW_YORK).date()


@generated
@given(st.integers(utc("1990-01-02T05:00"), utc("2035-12-28T12:00")))
def test_every_moment_lies_between_two_successive_vix_closes(ts: int) -> None:
    calendar = SessionCalendar()
    session = calendar.session_of(ts)
    assert ts <= calendar.vix_close_ts(session)
    if session > date(1990, 1, 2):
        assert ts > calendar.vix_close_ts(calendar.previous_session(session))


def test_local_midnight_is_the_first_moment_of_its_date(calendar: SessionCalendar) -> None:
    for day in (date(2019, 3, 10), date(2019, 3, 11), date(2019, 11, 3), date(2019, 11, 4), date(1990, 1, 1)):
        midnight = new_york(day, 0, 0)
        assert calendar.local_date(midnight) == day
        if day > date(1990, 1, 1):
            assert calendar.local_date(midnight - 1) == day - timedelta(days=1)


def test_every_session_from_1990_to_2030_is_in_order(calendar: SessionCalendar) -> None:
    sessions = calendar.sessions(date(1990, 1, 1), date(2030, 12, 31))
    assert len(sessions) > 10_300
    previous = 0
    for session in sessions:
        opened, closed = calendar.open_ts(session), calendar.close_ts(session)
        assert previous < opened < closed <= calendar.vx_settle_ts(session) <= calendar.vix_close_ts(session)
        assert calendar.local_date(opened) == calendar.local_date(closed) == session
        previous = calendar.vix_close_ts(session)


OUTSIDE = "is outside the XNYS calendar, which covers 1990-01-01 to 2035-12-31"


@pytest.mark.parametrize("day", [date(1989, 12, 31), date(2036, 1, 1)])
@pytest.mark.parametrize(
    "method", ["is_session", "next_session", "previous_session", "open_ts", "close_ts", "vix_close_ts", "vx_settle_ts"]
)
def test_a_date_outside_the_range_is_refused_by_name(calendar: SessionCalendar, method: str, day: date) -> None:
    with pytest.raises(ValueError, match=f"{day} {OUTSIDE}"):
        getattr(calendar, method)(day)


def test_ranges_and_moments_outside_are_refused_too(calendar: SessionCalendar) -> None:
    inside = date(2020, 1, 2)
    with pytest.raises(ValueError, match=f"1980-01-01 {OUTSIDE}"):
        calendar.sessions(date(1980, 1, 1), inside)
    with pytest.raises(ValueError, match=f"2050-01-01 {OUTSIDE}"):
        calendar.sessions(inside, date(2050, 1, 1))
    with pytest.raises(ValueError, match=OUTSIDE):
        calendar.next_session(date(2035, 12, 31))
    with pytest.raises(ValueError, match=OUTSIDE):
        calendar.previous_session(date(1990, 1, 2))
    for ts in (0, utc("1990-01-01T04:59"), utc("2036-01-01T05:00")):
        for method in (calendar.local_date, calendar.session_of):
            with pytest.raises(ValueError, match=f"the moment {ts} ns {OUTSIDE}"):
                method(ts)


def test_a_day_without_a_session_has_no_close(calendar: SessionCalendar) -> None:
    with pytest.raises(ValueError, match="2001-09-11 is not a session of XNYS"):
        calendar.close_ts(date(2001, 9, 11))


def test_a_datetime_is_not_a_date(calendar: SessionCalendar) -> None:
    with pytest.raises(TypeError):
        calendar.is_session(datetime(2020, 1, 2, tzinfo=NEW_YORK))


def test_an_unknown_exchange_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'NOWHERE'"):
        SessionCalendar("NOWHERE")


def test_the_file_of_exceptions_is_what_the_library_knows() -> None:
    """If it is not: look at what has changed, and run tests/golden/write_calendar.py."""
    assert json.loads(write_calendar.TARGET.read_text()) == write_calendar.exceptions()
