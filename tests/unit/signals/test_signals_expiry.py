from datetime import date
from itertools import pairwise

import pytest
from signals_support import recorded

from processors.signals import SessionCalendar, is_monthly, vx_expiries, vx_expiry
from processors.signals.expiry import third_friday

MONTH_LETTERS = "FGHJKMNQUVXZ"


@pytest.mark.data
def test_every_recorded_contract_settles_on_the_generated_date() -> None:
    frame = recorded("vix-futures/vx_contracts_2004_2019.csv.gz")[["contract", "kind", "expiry"]].drop_duplicates()
    monthly = frame[frame["kind"] == "monthly"]
    recorded_dates = dict(zip(monthly["contract"], monthly["expiry"], strict=True))
    generated = {c: vx_expiry(2000 + int(c[1:]), MONTH_LETTERS.index(c[0]) + 1).isoformat() for c in recorded_dates}
    assert generated == recorded_dates
    assert len(monthly) >= 195
    assert not any(is_monthly(date.fromisoformat(expiry)) for expiry in frame[frame["kind"] == "weekly"]["expiry"])


@pytest.mark.parametrize(
    ("expiry", "because"),
    [
        ("2008-02-19", "Good Friday 2008-03-21"),
        ("2014-03-18", "Good Friday 2014-04-18"),
        ("2019-03-19", "Good Friday 2019-04-19"),
        ("2022-03-15", "Good Friday 2022-04-15"),
        ("2025-03-18", "Good Friday 2025-04-18"),
        ("2024-06-18", "the Wednesday is Juneteenth"),
        ("2026-05-19", "the Friday is Juneteenth 2026-06-19"),
    ],
)
def test_a_holiday_on_either_day_moves_the_settlement_to_tuesday(expiry: str, because: str) -> None:
    day = date.fromisoformat(expiry)
    assert day.weekday() == 1
    assert vx_expiry(day.year, day.month) == day, because


def test_whole_years_written_out() -> None:
    written = {
        2015: "01-21 02-18 03-18 04-15 05-20 06-17 07-22 08-19 09-16 10-21 11-18 12-16",
        2024: "01-17 02-14 03-20 04-17 05-22 06-18 07-17 08-21 09-18 10-16 11-20 12-18",
        2025: "01-22 02-19 03-18 04-16 05-21 06-18 07-16 08-20 09-17 10-22 11-19 12-17",
    }
    for year, days in written.items():
        expected = tuple(date.fromisoformat(f"{year}-{day}") for day in days.split())
        assert vx_expiries(date(year, 1, 1), date(year, 12, 31)) == expected


def test_the_contracts_of_2004_followed_the_earlier_rule() -> None:
    # Contracts listed in 2004, from the exchange's files.
    listed = ["2004-05-19", "2004-06-16", "2004-07-14", "2004-08-18", "2004-09-15", "2004-10-13", "2004-11-17"]
    assert [vx_expiry(2004, month).isoformat() for month in range(5, 12)] == listed


def test_expiries_are_every_month_in_order_and_on_sessions() -> None:
    expiries = vx_expiries(date(2004, 1, 1), date(2030, 12, 31))
    assert len(expiries) == 27 * 12
    assert [(e.year, e.month) for e in expiries] == [(y, m) for y in range(2004, 2031) for m in range(1, 13)]
    calendar = SessionCalendar()
    assert all(calendar.is_session(expiry) and is_monthly(expiry) for expiry in expiries)
    gaps = {(b - a).days for a, b in pairwise(expiries) if a.weekday() == b.weekday() == 2}
    assert gaps <= {28, 35}


def test_both_ends_of_a_span_are_included() -> None:
    january, february = vx_expiry(2020, 1), vx_expiry(2020, 2)
    assert vx_expiries(january, february) == (january, february)
    assert vx_expiries(date(2020, 1, 23), date(2020, 2, 18)) == ()
    assert vx_expiries(february, january) == ()


def test_third_fridays() -> None:
    assert third_friday(2020, 5) == date(2020, 5, 15)
    assert third_friday(2021, 1) == date(2021, 1, 15)
    assert third_friday(2024, 2) == date(2024, 2, 16)
    assert third_friday(2019, 3) == date(2019, 3, 15)
    assert third_friday(2021, 10) == date(2021, 10, 15)
    assert third_friday(2023, 4) == date(2023, 4, 21)


def test_weeklies_are_not_monthly() -> None:
    assert is_monthly(date(2020, 1, 22))
    for weekly in (date(2020, 1, 8), date(2020, 1, 15), date(2020, 1, 29), date(2020, 1, 21)):
        assert not is_monthly(weekly)


def test_beyond_the_calendar_it_says_so() -> None:
    with pytest.raises(ValueError, match="outside the XNYS calendar"):
        vx_expiry(2036, 5)
