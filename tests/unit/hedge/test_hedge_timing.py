"""When to act: before or after mechanical flow, around blackouts, through daylight saving and early closes."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.hedge.timing import (
    EffectiveWindow,
    MechanicalFlow,
    blackouts,
    effective_window,
    sp_rebalance,
)
from processors.signals import SessionCalendar, vx_expiries
from topics.hedge_rules import TimingRules
from topics.times import MINUTE, SECOND

NEW_YORK = ZoneInfo("America/New_York")
CALENDAR = SessionCalendar()
SESSIONS = CALENDAR.sessions(date(2015, 1, 2), date(2027, 12, 31))
VX = "VX/2024-02-14"
#: A Thursday without anything.
PLAIN = date(2024, 1, 11)

quiet = settings(max_examples=300, deadline=None, derandomize=True, database=None)


def at(day: date, hour: int, minute: int = 0) -> int:
    """A New York time, ns."""
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK).timestamp()) * SECOND


def flow(contracts: float, day: date = PLAIN, volume: float = 100_000.0, symbol: str = VX) -> MechanicalFlow:
    return MechanicalFlow(day, {symbol: contracts}, {symbol: volume})


def test_a_plain_day_has_no_window() -> None:
    assert effective_window(at(PLAIN, 10), {VX: 10}) == EffectiveWindow(at(PLAIN, 10), None, ())


def test_with_the_flow_before_it_and_against_it_after() -> None:
    # 6% of the daily volume is bought into the close.
    ts = at(PLAIN, 10)
    with_it = effective_window(ts, {VX: 10}, flow(6_000))
    assert with_it == EffectiveWindow(ts, at(PLAIN, 15, 45), ("flow:same_sign",))
    against = effective_window(ts, {VX: -10}, flow(6_000))
    assert against == EffectiveWindow(at(PLAIN, 16), None, ("flow:opposite_sign",))
    assert effective_window(ts, {VX: -10}, flow(-6_000)) == with_it
    assert effective_window(ts, {VX: 10}, flow(-6_000)) == against


def test_a_flow_of_five_percent_or_less_changes_nothing() -> None:
    ts = at(PLAIN, 10)
    for contracts in (5_000, -5_000, 100, 0):
        assert effective_window(ts, {VX: 10}, flow(contracts)).reasons == ()
    assert effective_window(ts, {VX: 10}, flow(5_001)).reasons == ("flow:same_sign",)
    assert effective_window(ts, {VX: 10}, flow(3_000), rules=TimingRules(flow_share=0.02)).reasons


def test_what_is_not_known_of_the_flow_changes_nothing() -> None:
    ts = at(PLAIN, 10)
    assert effective_window(ts, {VX: 10}, MechanicalFlow(PLAIN, {VX: 9_000})).reasons == ()
    assert effective_window(ts, {VX: 10}, MechanicalFlow(PLAIN, {}, {VX: 9_000})).reasons == ()
    assert effective_window(ts, {VX: 10}, flow(9_000, symbol="VX/2024-03-20")).reasons == ()
    assert effective_window(ts, {}, flow(9_000)).reasons == ()
    yesterday = CALENDAR.previous_session(PLAIN)
    assert effective_window(ts, {VX: 10}, flow(9_000, yesterday)).reasons == ()
    assert MechanicalFlow(PLAIN, {VX: 9_000}).share(VX) is None


def test_a_decision_within_the_flow_waits_until_it_is_over() -> None:
    for quantity in (10, -10):
        found = effective_window(at(PLAIN, 15, 50), {VX: quantity}, flow(6_000))
        assert (found.from_ts, found.until_ts) == (at(PLAIN, 16), None)
    edge = effective_window(at(PLAIN, 15, 45), {VX: 10}, flow(6_000))
    assert (edge.from_ts, edge.until_ts) == (at(PLAIN, 16), None)
    just = effective_window(at(PLAIN, 15, 45) - 1, {VX: 10}, flow(6_000))
    assert (just.from_ts, just.until_ts) == (at(PLAIN, 15, 45) - 1, at(PLAIN, 15, 45))


def test_after_the_close_the_flow_is_over() -> None:
    for ts in (at(PLAIN, 16), at(PLAIN, 16, 15)):
        assert effective_window(ts, {VX: 10}, flow(6_000)) == EffectiveWindow(ts, None, ())
    # what is decided at a close meets the flow of the session after it
    ahead = effective_window(at(PLAIN, 16, 15), {VX: 10}, flow(6_000, date(2024, 1, 12)))
    assert ahead == EffectiveWindow(at(PLAIN, 16, 15), at(date(2024, 1, 12), 15, 45), ("flow:same_sign",))


def test_legs_stay_together_and_the_stronger_pull_decides() -> None:
    # A roll: sell near, buy far. The products sell 10% of the near volume and buy 20% of the far one.
    near, far = "VX/2024-01-17", "VX/2024-02-14"
    expected = MechanicalFlow(PLAIN, {near: -9_000, far: 8_000}, {near: 90_000, far: 40_000})
    assert effective_window(at(PLAIN, 10), {near: -10, far: 10}, expected).reasons == ("flow:same_sign",)
    assert effective_window(at(PLAIN, 10), {near: 10, far: -10}, expected).reasons == ("flow:opposite_sign",)
    # bought both: -10 x 10% + 10 x 20% is with it, 30 x -10% + 10 x 20% against it, 20 and 10 neither
    assert effective_window(at(PLAIN, 10), {near: 10, far: 10}, expected).reasons == ("flow:same_sign",)
    assert effective_window(at(PLAIN, 10), {near: 30, far: 10}, expected).reasons == ("flow:opposite_sign",)
    assert effective_window(at(PLAIN, 10), {near: 20, far: 10}, expected).reasons == ()


def test_daylight_saving_moves_the_window_in_utc_and_not_in_new_york() -> None:
    # New York changes on 2024-03-10: 15:45 is 20:45 UTC on the Friday and 19:45 UTC on the Monday.
    for day, hour in ((date(2024, 3, 8), 20), (date(2024, 3, 11), 19)):
        found = effective_window(at(day, 10), {VX: 1}, flow(9_000, day))
        assert found.until_ts is not None
        moment = datetime.fromtimestamp(found.until_ts // SECOND, UTC)
        assert (moment.date(), moment.hour, moment.minute) == (day, hour, 45)


def test_early_closes_move_it_in_new_york() -> None:
    # The day after Thanksgiving 2024 ends at 13:00.
    day = date(2024, 11, 29)
    assert effective_window(at(day, 10), {VX: 1}, flow(9_000, day)).until_ts == at(day, 12, 45)
    assert effective_window(at(day, 10), {VX: -1}, flow(9_000, day)).from_ts == at(day, 13)
    assert effective_window(at(day, 13), {VX: -1}, flow(9_000, day)).reasons == ()


def test_the_settlement_of_former_years_can_be_the_anchor() -> None:
    # VX settled at 16:15 New York until 2020-10-23, at 16:00 from 2020-10-26 on.
    rules = TimingRules(anchor="settle")
    friday, monday = date(2020, 10, 23), date(2020, 10, 26)
    assert effective_window(at(friday, 10), {VX: -1}, flow(9_000, friday), rules=rules).from_ts == at(friday, 16, 15)
    assert effective_window(at(friday, 10), {VX: 1}, flow(9_000, friday), rules=rules).until_ts == at(friday, 16)
    assert effective_window(at(friday, 10), {VX: -1}, flow(9_000, friday)).from_ts == at(friday, 16)
    assert effective_window(at(monday, 10), {VX: -1}, flow(9_000, monday), rules=rules).from_ts == at(monday, 16)


@pytest.mark.parametrize(
    ("year", "month", "day"),
    [
        (2024, 3, date(2024, 3, 15)),
        (2024, 6, date(2024, 6, 21)),
        (2024, 9, date(2024, 9, 20)),
        (2024, 12, date(2024, 12, 20)),
        (2008, 3, date(2008, 3, 20)),  # the third Friday was Good Friday
        (2026, 6, date(2026, 6, 18)),  # the third Friday is Juneteenth
    ],
)
def test_rebalances_of_the_sp_indices(year: int, month: int, day: date) -> None:
    assert sp_rebalance(year, month) == day
    assert "blackout:sp_rebalance" in blackouts(day)
    ts = at(day, 10)
    found = effective_window(ts, {VX: 1})
    assert (found.from_ts, found.until_ts) == (ts, at(day, 15, 45))
    assert found.reasons == ("blackout:sp_rebalance",)
    inside = effective_window(at(day, 15, 50), {VX: 1})
    assert (inside.from_ts, inside.until_ts) == (at(day, 16), None)
    # the evening before looks as far as the blackout
    evening = effective_window(at(CALENDAR.previous_session(day), 16, 15), {VX: 1})
    assert evening.until_ts == at(day, 15, 45)
    with pytest.raises(ValueError, match="month 4"):
        sp_rebalance(year, 4)


def test_boundaries_of_roll_periods() -> None:
    # January 2024 settled on Wednesday the 17th, March 2019 on Tuesday the 19th because of Good Friday.
    for last, first in ((date(2024, 1, 16), date(2024, 1, 17)), (date(2019, 3, 18), date(2019, 3, 19))):
        assert blackouts(last) == ("blackout:vx_roll_end",)
        assert blackouts(first) == ("blackout:vx_roll_start",)
        assert effective_window(at(first, 10), {VX: 1}).until_ts == at(first, 15, 45)
    assert blackouts(date(2024, 1, 18)) == ()


def test_blackouts_of_every_session_are_those_of_the_calendars() -> None:
    settlements = set(vx_expiries(SESSIONS[0], SESSIONS[-1] + timedelta(days=40)))
    eves = {CALENDAR.previous_session(day) for day in settlements}
    quarters = {sp_rebalance(day.year, day.month) for day in SESSIONS if day.month % 3 == 0}
    for day in SESSIONS:
        expected = set()
        if day in settlements:
            expected.add("blackout:vx_roll_start")
        if day in eves:
            expected.add("blackout:vx_roll_end")
        if day in quarters:
            expected.add("blackout:sp_rebalance")
        assert set(blackouts(day)) == expected
    with pytest.raises(ValueError, match="not a session"):
        blackouts(date(2024, 1, 13))


def test_a_rotation_crowds_the_close() -> None:
    found = effective_window(at(PLAIN, 10), {VX: 1}, crowded=True)
    assert found == EffectiveWindow(at(PLAIN, 10), at(PLAIN, 15, 45), ("blackout:rotation",))


def test_a_blackout_and_a_flow_together() -> None:
    day = date(2024, 3, 15)
    rules = TimingRules(flow_minutes=30, blackout_minutes=10)
    found = effective_window(at(day, 10), {VX: 1}, flow(9_000, day), rules=rules)
    assert found.until_ts == at(day, 15, 30)
    assert found.reasons == ("blackout:sp_rebalance", "flow:same_sign")
    after = effective_window(at(day, 10), {VX: -1}, flow(9_000, day), rules=rules)
    assert (after.from_ts, after.until_ts) == (at(day, 16), None)
    none = effective_window(at(day, 15, 55), {VX: 1}, rules=TimingRules(blackout_minutes=0))
    assert none == EffectiveWindow(at(day, 15, 55), None, ())


def test_weights_without_contracts_keep_out_of_blackouts_too() -> None:
    day = date(2024, 3, 15)
    assert effective_window(at(day, 15, 50), {}).from_ts == at(day, 16)


moments = st.tuples(st.sampled_from(SESSIONS), st.integers(0, 24 * 3600 - 1)).map(
    lambda pick: at(pick[0], 0) + pick[1] * SECOND
)
symbols = st.sampled_from([VX, "VX/2024-03-20", "VXM/2024-02-14"])
trades = st.dictionaries(symbols, st.integers(-500, 500), max_size=3)
shares = st.floats(-1.0, 1.0)


@st.composite
def flows(draw: st.DrawFn) -> tuple[int, MechanicalFlow | None]:
    """A moment, and a flow of a session near it or none."""
    ts = draw(moments)
    day = CALENDAR.session_of(ts)
    chosen = draw(st.sampled_from([None, day, CALENDAR.next_session(day), CALENDAR.previous_session(day)]))
    if chosen is None:
        return ts, None
    expected = draw(st.dictionaries(symbols, shares, max_size=3))
    contracts = {symbol: 50_000 * share for symbol, share in expected.items()}
    return ts, MechanicalFlow(chosen, contracts, dict.fromkeys(expected, 50_000.0))


rules_of = st.builds(
    TimingRules,
    flow_minutes=st.integers(0, 60),
    blackout_minutes=st.integers(0, 60),
    flow_share=st.sampled_from([0.0, 0.05, 0.5]),
    anchor=st.sampled_from(["close", "settle"]),
)


@given(flows(), trades, st.booleans(), rules_of)
@quiet
def test_windows_are_never_in_the_past_and_never_empty(
    given_flow: tuple[int, MechanicalFlow | None], legs: dict[str, int], crowded: bool, rules: TimingRules
) -> None:
    ts, expected = given_flow
    found = effective_window(ts, legs, expected, crowded=crowded, rules=rules)
    assert found.from_ts >= ts
    assert found.until_ts is None or found.until_ts > found.from_ts
    assert found.reasons == tuple(sorted(set(found.reasons)))
    if not found.reasons:
        assert (found.from_ts, found.until_ts) == (ts, None)
    # it ends, or begins late, for a reason; and nothing waits longer than for the next close
    end = next(
        end
        for session in CALENDAR.sessions(CALENDAR.local_date(ts), CALENDAR.local_date(ts) + timedelta(days=10))
        if (end := CALENDAR.close_ts(session) if rules.anchor == "close" else CALENDAR.vx_settle_ts(session)) > ts
    )
    assert found.from_ts in (ts, end)
    assert found.until_ts is None or end - 60 * MINUTE <= found.until_ts <= end
    # the same again from its own beginning is no later
    again = effective_window(found.from_ts, legs, expected, crowded=crowded, rules=rules)
    if found.from_ts == ts:
        assert again == found


@given(flows(), trades, st.booleans(), rules_of)
@quiet
def test_no_window_for_the_fast_path(
    given_flow: tuple[int, MechanicalFlow | None], legs: dict[str, int], crowded: bool, rules: TimingRules
) -> None:
    ts, expected = given_flow
    found = effective_window(ts, legs, expected, urgent=True, crowded=crowded, rules=rules)
    assert found == EffectiveWindow(ts, None, ("urgent",))


@given(flows(), trades, rules_of)
@quiet
def test_the_other_side_of_the_same_trade_is_sent_to_the_other_side_of_the_flow(
    given_flow: tuple[int, MechanicalFlow | None], legs: dict[str, int], rules: TimingRules
) -> None:
    ts, expected = given_flow
    there = effective_window(ts, legs, expected, rules=rules).reasons
    back = effective_window(ts, {symbol: -n for symbol, n in legs.items()}, expected, rules=rules).reasons
    swapped = {"flow:same_sign": "flow:opposite_sign", "flow:opposite_sign": "flow:same_sign"}
    assert tuple(sorted(swapped.get(reason, reason) for reason in there)) == back


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused_by_name(bad: float) -> None:
    with pytest.raises(ValueError, match="quantity of VX/2024-02-14"):
        effective_window(at(PLAIN, 10), {VX: bad})
    with pytest.raises(ValueError, match="flow of VX/2024-02-14"):
        flow(bad)
    with pytest.raises(ValueError, match="volume of VX/2024-02-14"):
        flow(1.0, volume=bad)
    with pytest.raises(ValueError, match=r"flow_share\s+Value error, expected a finite number"):
        TimingRules(flow_share=bad)


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="volume of"):
        flow(1.0, volume=0.0)
    with pytest.raises(ValueError, match=r"flow_minutes\s+Input should be greater than or equal to 0"):
        TimingRules(flow_minutes=-1)
    with pytest.raises(ValueError, match=r"blackout_minutes\s+Input should be less than or equal to 180"):
        TimingRules(blackout_minutes=181)
    with pytest.raises(ValueError, match=r"flow_share\s+Input should be greater than or equal to 0"):
        TimingRules(flow_share=-0.01)
    with pytest.raises(ValueError, match="calendar"):
        effective_window(at(date(1989, 12, 1), 10), {VX: 1})
