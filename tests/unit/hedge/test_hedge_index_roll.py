"""The daily roll of the short-term index: its weights by hand and by law, and against the note that holds it."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.hedge.index_roll import UNSCHEDULED, Roll, index_return, roll, roll_trade, split
from processors.signals import SessionCalendar, vx_expiries

CALENDAR = SessionCalendar()
SESSIONS = CALENDAR.sessions(date(2006, 1, 3), date(2030, 12, 31))
DATA = Path(os.environ.get("ALVH_DATA", Path(__file__).resolve().parents[3] / ".." / "shared" / "data"))

days = st.sampled_from(SESSIONS)
prices = st.floats(5.0, 150.0)
weights = st.floats(0.0, 1.0)
quiet = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def test_a_roll_period_by_hand() -> None:
    # 2018-02-14 to 2018-03-20 are 24 business days (Presidents' Day, 2018-02-19, is none): February has 14, 15, 16,
    # 20-23, 26-28 = 10, March 1, 2, 5-9, 12-16, 19, 20 = 14.
    first, second, last = (roll(date(2018, m, d)) for m, d in ((2, 14), (2, 15), (3, 20)))
    assert first == Roll(date(2018, 2, 14), date(2018, 3, 21), date(2018, 4, 18), dt=24, dr=23, dr_before=24)
    assert (first.near_weight_before, first.near_weight) == (1.0, 23 / 24)
    assert (second.dr_before, second.dr) == (23, 22)
    assert (last.dt, last.dr, last.dr_before) == (24, 0, 1)
    assert (last.near_weight, last.far_weight, last.sold, last.sold_of_held) == (0.0, 1.0, 1 / 24, 1.0)


def test_the_eve_of_the_collapse_by_hand() -> None:
    # 2018-01-17 to 2018-02-13 are 20 business days; after 2018-02-05 six are left: 6-9, 12, 13.
    day = roll(date(2018, 2, 5))
    assert (day.near, day.far, day.dt, day.dr) == (date(2018, 2, 14), date(2018, 3, 21), 20, 6)
    assert day.near_weight == pytest.approx(0.3)
    assert day.sold == pytest.approx(1 / 20)
    assert day.sold_of_held == pytest.approx(1 / 7)


def test_a_period_that_begins_on_a_tuesday() -> None:
    # Good Friday, 2019-04-19, moved the settlement of March from Wednesday the 20th to Tuesday the 19th.
    assert roll(date(2019, 3, 18)).dr == 0
    day = roll(date(2019, 3, 19))
    assert (day.near, day.dr_before == day.dt) == (date(2019, 4, 17), True)


@pytest.mark.parametrize("closed", UNSCHEDULED)
def test_an_unscheduled_closure_stays_a_business_day_of_the_count(closed: date) -> None:
    assert not CALENDAR.is_session(closed)
    with pytest.raises(ValueError, match="not a session"):
        roll(closed)
    before, after = roll(CALENDAR.previous_session(closed)), roll(CALENDAR.next_session(closed))
    if before.near == after.near:
        missed = sum(before.session_date < day < after.session_date for day in UNSCHEDULED)
        assert before.dr - after.dr == after.dr_before - after.dr == 1 + missed
        assert after.sold == pytest.approx((1 + missed) / after.dt)


def test_the_rolls_of_every_session_are_one_story() -> None:
    before: Roll | None = None
    sold = 0.0
    for session in SESSIONS:
        day = roll(session)
        assert 0 <= day.dr < day.dr_before <= day.dt
        assert 15 <= day.dt <= 26
        assert day.near_weight + day.far_weight == 1.0
        assert 0.0 <= day.near_weight < day.near_weight_before <= 1.0
        assert day.near > session
        if before is not None and before.near == day.near:
            assert (day.dt, day.far) == (before.dt, before.far)
            assert day.dr_before == before.dr
            assert day.near_weight_before == before.near_weight
        elif before is not None:
            # the contract that settles today had no weight left, and what was far is near
            assert (before.dr, before.near, before.far) == (0, session, day.near)
            assert day.dr_before == day.dt
            assert sold == pytest.approx(1.0) or before.session_date < date(2006, 1, 18)
            sold = 0.0
        sold += day.sold
        before = day


def test_weights_equal_those_of_business_day_arithmetic() -> None:
    # Independent: numpy's business days with the holidays that were known when the period began.
    sessions = set(SESSIONS)
    every = [SESSIONS[0] + timedelta(days=i) for i in range((SESSIONS[-1] - SESSIONS[0]).days + 1)]
    holidays = [d for d in every if d.weekday() < 5 and d not in sessions and d not in UNSCHEDULED]
    known = np.busdaycalendar(holidays=holidays)
    for start, end in pairwise(vx_expiries(date(2006, 1, 1), date(2030, 12, 31))):
        inside = CALENDAR.sessions(start, end - timedelta(days=1))
        dt = np.busday_count(start, end, busdaycal=known)
        left = np.busday_count(np.array(inside, dtype="M8[D]") + 1, end, busdaycal=known)
        assert [(roll(session).dt, roll(session).dr) for session in inside] == [(dt, dr) for dr in left]


def test_the_contracts_of_a_notional_by_hand() -> None:
    # 30% of contracts at 33.225 and 70% at 25.2: 27.6075 points, 27,607.50 USD; 2,760,750 USD are 100 contracts.
    assert split(2_760_750.0, 0.3, 33.225, 25.2) == pytest.approx((30.0, 70.0))
    assert split(-2_760_750.0, 0.3, 33.225, 25.2, multiplier=100.0) == pytest.approx((-300.0, -700.0))


@given(st.floats(-1e10, 1e10), weights, prices, prices)
@quiet
def test_a_split_is_worth_its_notional_in_the_proportion_asked(
    notional: float, weight: float, near: float, far: float
) -> None:
    found = split(notional, weight, near, far)
    assert 1000 * (found.near * near + found.far * far) == pytest.approx(notional, rel=1e-12, abs=1e-9)
    assert found.near * (1 - weight) == pytest.approx(found.far * weight, rel=1e-9, abs=1e-9)


@given(days, st.floats(1.0, 1e10), prices, prices)
@quiet
def test_both_legs_of_the_roll_are_worth_the_same(session: date, notional: float, near: float, far: float) -> None:
    day = roll(session)
    trade = roll_trade(day, notional, near, far)
    assert trade.near < 0 < trade.far
    assert trade.near * near == pytest.approx(-trade.far * far, rel=1e-6, abs=1e-9 * notional)
    inverse = roll_trade(day, -notional, near, far)
    assert inverse == pytest.approx((-trade.near, -trade.far))
    # what is left of the near contract are those held, less those sold
    held = split(notional, day.near_weight_before, near, far).near
    assert held + trade.near == pytest.approx(split(notional, day.near_weight, near, far).near, abs=1e-9 * notional)


def test_a_flat_curve_rolls_the_share_of_the_period() -> None:
    # At one price for both contracts a notional of 24 contracts sells one of them each day of a period of 24.
    trade = roll_trade(roll(date(2018, 2, 21)), 24 * 20_000.0, 20.0, 20.0)
    assert trade == pytest.approx((-1.0, 1.0))


def test_the_return_by_hand() -> None:
    # After 2018-02-02 seven of twenty days are left: 35% February, 65% March. From 15.625 and 15.0 to 33.225 and 25.2:
    # (0.35 x 33.225 + 0.65 x 25.2) / (0.35 x 15.625 + 0.65 x 15.0) - 1 = 28.00875 / 15.21875 - 1
    before = roll(date(2018, 2, 2))
    then = {before.near: 15.625, before.far: 15.0}
    now = {before.near: 33.225, before.far: 25.2}
    assert index_return(before, then, now) == pytest.approx(28.00875 / 15.21875 - 1, abs=1e-14)
    assert index_return(before, then, {before.near: 33.225}) is None
    assert index_return(before, {before.far: 15.0}, now) is None


def test_the_settling_contract_is_not_needed() -> None:
    before = roll(date(2018, 2, 13))
    assert before.near_weight == 0.0
    assert index_return(before, {before.far: 20.0}, {before.far: 21.0}) == pytest.approx(0.05)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 0.0, -1.0])
def test_prices_that_cannot_be_are_refused_by_name(bad: float) -> None:
    before = roll(date(2018, 2, 2))
    good = {before.near: 15.0, before.far: 15.0}
    with pytest.raises(ValueError, match="near_price"):
        split(1.0, 0.5, bad, 20.0)
    with pytest.raises(ValueError, match="far_price"):
        split(1.0, 0.5, 20.0, bad)
    with pytest.raises(ValueError, match="multiplier"):
        split(1.0, 0.5, 20.0, 20.0, multiplier=bad)
    with pytest.raises(ValueError, match="settlement of 2018-03-21"):
        index_return(before, good, {**good, before.far: bad})
    if not math.isfinite(bad):
        with pytest.raises(ValueError, match="notional"):
            split(bad, 0.5, 20.0, 20.0)
    if bad != 0.0:
        with pytest.raises(ValueError, match="near_weight"):
            split(1.0, bad, 20.0, 20.0)


def test_days_that_are_no_sessions_are_refused() -> None:
    with pytest.raises(ValueError, match="2018-02-19 is not a session"):
        roll(date(2018, 2, 19))


#: The last sessions of the note's file are left out of the figures: on 2018-02-05 VX rose from 16:00 to 16:15 New York,
#: when it settled and the note had closed, as never before.
CALM_UNTIL = date(2018, 2, 1)
FEE = 0.0089  # of the note, a year


def _recorded(name: str) -> pd.DataFrame:
    if not (DATA / name).exists():
        pytest.skip(f"RECORDED DATA MISSING: {DATA / name} is not there; set ALVH_DATA to the folder of the data sets")
    return pd.read_csv(DATA / name, low_memory=False)


@cache
def _settles() -> dict[date, dict[date, float]]:
    table = _recorded("vix-futures/vx_contracts_2004_2019.csv.gz")
    table = table[(table["kind"] == "monthly") & ~table["flag"].fillna("").str.contains("suspect_settle")]
    days: dict[date, dict[date, float]] = {}
    for day, expiry, settle in zip(table["trade_date"], table["expiry"], table["settle"], strict=True):
        days.setdefault(date.fromisoformat(day), {})[date.fromisoformat(expiry)] = float(settle)
    return days


@cache
def _index_and_note(shift: int = 0) -> pd.DataFrame:
    """Daily returns of an index of recorded settlements and of VXX, on the sessions that have both.

    ``shift``: business days that the roll is late by.
    """
    note = _recorded("spx/vxx_daily_splitadj_2009_2018.csv").dropna(subset=["close"])
    closes = {date.fromisoformat(d): float(c) for d, c in zip(note["date"], note["close"], strict=True)}
    rows = []
    for session in CALENDAR.sessions(min(closes), max(closes))[1:]:
        day = roll(CALENDAR.previous_session(session))
        if session not in closes or day.session_date not in closes:
            continue
        day = replace(day, dr=min(max(day.dr + shift, 0), day.dt))
        found = index_return(day, _settles().get(day.session_date, {}), _settles().get(session, {}))
        if found is not None:
            rows.append((session, found, closes[session] / closes[day.session_date] - 1))
    return pd.DataFrame(rows, columns=["session", "index", "note"]).set_index("session")


def _tracking(frame: pd.DataFrame) -> dict[str, float]:
    """Of daily returns, and of monthly sums of log returns: correlation and tracking error; and the gap of a year."""
    logs = np.log1p(frame)
    months = logs.groupby(lambda d: (d.year, d.month)).sum()
    return {
        "sessions": float(len(frame)),
        "correlation": float(frame["index"].corr(frame["note"])),
        "error": float((frame["index"] - frame["note"]).std(ddof=1)),
        "monthly correlation": float(months["index"].corr(months["note"])),
        "monthly error": float((months["index"] - months["note"]).std(ddof=1)),
        "gap a year": float((logs["index"] - logs["note"]).mean() * 252),
    }


@pytest.mark.data
def test_an_index_of_recorded_settlements_tracks_the_note() -> None:
    # The note trades until 16:00 New York and VX settled at 16:15 then: single days differ and the next ones mend it.
    frame = _index_and_note()
    calm = _tracking(frame[frame.index < CALM_UNTIL])
    print({"until 2018-01": calm, "all": _tracking(frame)})
    assert calm["sessions"] > 2200
    assert calm["correlation"] > 0.95
    assert calm["error"] < 0.0125
    assert calm["monthly correlation"] > 0.997
    assert calm["monthly error"] < 0.012
    assert _tracking(frame)["monthly correlation"] > 0.997


@pytest.mark.data
def test_the_gap_to_the_note_is_its_fee_less_bills_and_of_no_other_roll() -> None:
    # A roll that is a day early or late earns another carry: half a percent a year or more. The closes of both ends are
    # a quarter of an hour apart, 1.2% each, which is about 0.2% a year over nine years: that bounds what can be told.
    bills = _recorded("macro/us_rates_by_tenor_daily.csv")
    bills = bills[(bills["date"] >= "2009-01-30") & (bills["date"] < CALM_UNTIL.isoformat())]
    expected = FEE - float(bills["dgs3mo"].astype(float).mean()) / 100
    found = {}
    for shift in (-2, -1, 0, 1, 2):
        frame = _index_and_note(shift)
        found[shift] = _tracking(frame[frame.index < CALM_UNTIL])
    print({"expected": expected} | {shift: f["gap a year"] for shift, f in found.items()})
    assert found[0]["gap a year"] == pytest.approx(expected, abs=0.003)
    for shift, other in found.items():
        if shift:
            assert abs(other["gap a year"] - expected) > 0.004
