import json
import math
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.hedge.irr import HedgeDrag, HedgedSession, limit_drag, too_costly, xirr, xirr_all
from processors.hedge.weights import base
from processors.signals.expiry import is_monthly
from topics.calibration import HedgeRules
from topics.hedge_rules import DragRules
from topics.message import STATES

generated = settings(max_examples=150, deadline=None, derandomize=True, database=None)
START = date(2008, 1, 1)

#: The example in the documentation of Excel's XIRR, which gives 0.373362535.
EXCEL = [
    (date(2008, 1, 1), -10_000.0),
    (date(2008, 3, 1), 2_750.0),
    (date(2008, 10, 30), 4_250.0),
    (date(2009, 2, 15), 3_250.0),
    (date(2009, 4, 1), 2_750.0),
]


def npv(flows: list[tuple[date, float]], rate: float) -> float:
    first = min(day for day, _ in flows)
    return math.fsum(amount * (1 + rate) ** (-(day - first).days / 365) for day, amount in flows)


def bisected(flows: list[tuple[date, float]], low: float, high: float) -> float:
    """By bisection on the rate itself; knows nothing of logarithms or brackets."""
    at_low = npv(flows, low)
    assert at_low * npv(flows, high) < 0
    for _ in range(200):
        middle = (low + high) / 2
        if at_low * npv(flows, middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def test_the_example_that_excel_documents() -> None:
    found = xirr(EXCEL)
    assert found is not None
    assert found == pytest.approx(0.373362535, abs=1e-8)
    assert found == pytest.approx(bisected(EXCEL, 0.0, 1.0), abs=1e-13)


@pytest.mark.parametrize(
    ("flows", "rate"),
    [
        # 365 days, 10 % more.
        ([(date(2009, 1, 1), -100.0), (date(2010, 1, 1), 110.0)], 0.10),
        # 730 days: 1.21 = 1.1^2.
        ([(date(2009, 1, 1), -100.0), (date(2011, 1, 1), 121.0)], 0.10),
        # 73 days are a fifth of a year: 1.02^5 - 1.
        ([(date(2009, 1, 1), -100.0), (date(2009, 3, 15), 102.0)], 1.02**5 - 1),
        # 2008 has 366 days: 1.1^(365/366) - 1, actual/365.
        ([(date(2008, 1, 1), -100.0), (date(2009, 1, 1), 110.0)], 1.1 ** (365 / 366) - 1),
        # Half is lost.
        ([(date(2009, 1, 1), -100.0), (date(2010, 1, 1), 50.0)], -0.5),
        ([(date(2009, 1, 1), -100.0), (date(2010, 1, 1), 100.0)], 0.0),
        # A loan: what is received first has a rate too.
        ([(date(2009, 1, 1), 100.0), (date(2010, 1, 1), -110.0)], 0.10),
    ],
)
def test_flows_worked_by_hand(flows: list[tuple[date, float]], rate: float) -> None:
    assert xirr(flows) == pytest.approx(rate, abs=1e-14)


@pytest.mark.parametrize(
    "flows",
    [
        [],
        [(START, -100.0)],
        [(START, 0.0), (START + timedelta(9), 0.0)],
        [(START, -100.0), (START + timedelta(9), -1.0)],
        [(START, 100.0), (START + timedelta(9), 1.0)],
        # On one date they are one flow.
        [(START, -100.0), (START, 110.0)],
        [(START, -100.0), (START, 110.0), (START + timedelta(9), 5.0)],
        # All but nothing is lost, or a day makes a millionfold of it: no rate that means anything.
        [(START, -1.0), (START + timedelta(365), 1e-9)],
        [(START, -1.0), (START + timedelta(1), 2.0)],
    ],
)
def test_without_a_change_of_sign_or_in_extremes_there_is_no_rate(flows: list[tuple[date, float]]) -> None:
    assert xirr(flows) is None
    assert xirr_all(flows) == ()


def years(*amounts: float) -> list[tuple[date, float]]:
    return [(START + timedelta(365 * i), amount) for i, amount in enumerate(amounts)]


def test_of_several_rates_the_one_nearest_to_0_is_taken() -> None:
    # -100 + 230 x - 132 x^2 with x = 1/(1+r) has x = 1/1.1 and x = 1/1.2.
    flows = years(-100.0, 230.0, -132.0)
    assert xirr_all(flows) == (pytest.approx(0.1, abs=1e-12), pytest.approx(0.2, abs=1e-12))
    assert xirr(flows) == pytest.approx(0.1, abs=1e-12)
    # (1+r) - 0.8, - 1.5 and - 2.2 multiplied out: rates -20 %, 50 %, 120 %.
    growth = np.poly([0.8, 1.5, 2.2])
    flows = years(*growth.tolist())
    assert xirr_all(flows) == tuple(pytest.approx(rate, abs=1e-10) for rate in (-0.2, 0.5, 1.2))
    assert xirr(flows) == pytest.approx(-0.2, abs=1e-10)


def test_two_changes_of_sign_may_leave_no_rate_at_all() -> None:
    # x^2 - 2 x + 2 has no real root.
    assert xirr(years(1.0, -2.0, 2.0)) is None


@generated
@given(
    st.lists(st.tuples(st.integers(1, 3000), st.floats(1, 1e6)), min_size=1, max_size=30),
    st.floats(1, 1e6),
    st.randoms(use_true_random=False),
)
def test_an_investment_has_the_rate_that_bisection_finds(
    later: list[tuple[int, float]], paid: float, random: Any
) -> None:
    flows = [(START, -paid), *((START + timedelta(day), amount) for day, amount in later)]
    shuffled = list(flows)
    random.shuffle(shuffled)
    found = xirr(shuffled)
    if npv(flows, -0.99) * npv(flows, 1e4) < 0:
        assert found is not None
        assert math.log1p(found) == pytest.approx(math.log1p(bisected(flows, -0.99, 1e4)), abs=1e-10)
        assert xirr([(day, 1e-3 * amount) for day, amount in flows]) == pytest.approx(found, rel=1e-9, abs=1e-12)
        assert xirr([(day, -amount) for day, amount in flows]) == pytest.approx(found, rel=1e-9, abs=1e-12)


@generated
@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=12))
def test_every_rate_found_makes_the_present_value_0(amounts: list[int]) -> None:
    flows = [(START + timedelta(91 * i), float(amount)) for i, amount in enumerate(amounts)]
    for rate in xirr_all(flows):
        scale = math.fsum(abs(a) * (1 + rate) ** (-(day - START).days / 365) for day, a in flows)
        assert abs(npv(flows, rate)) <= 1e-9 * scale


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_amounts_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=f"amount must be a finite number.*{bad}"):
        xirr([(START, -1.0), (START, bad)])


def test_amounts_of_a_date_that_overflow_are_refused() -> None:
    with pytest.raises((ValueError, OverflowError)):
        xirr([(START, 1.7e308), (START, 1.7e308), (START + timedelta(1), -1.0)])


def test_flows_over_a_century_do_not_overflow() -> None:
    flows = [(START, -1.0), (START + timedelta(100), 0.5), (START + timedelta(36500), 1000.0), (START, -0.1)]
    assert xirr(flows) == pytest.approx(bisected(flows, -0.5, 1.0), abs=1e-12)


# ---- drag


def session(i: int) -> date:
    return START + timedelta(i)


def test_the_worked_example_of_a_premium_that_is_lost() -> None:
    # 365 days in one "session": without a hedge 1000 becomes 1080, 8 %. The hedge was worth 20 and then nothing:
    # 1020 becomes 1080, 60/1020. Drag 0.08 - 0.0588235 = 0.0211765.
    drag = HedgeDrag(1)
    drag.update(HedgedSession(START, 1000.0, 20.0, 0.0, 0.0))
    assert drag.value is None
    last = HedgedSession(START + timedelta(365), 1080.0, 0.0, 0.0, 0.0)
    assert drag.peek(last) == pytest.approx(0.08 - 60 / 1020, abs=1e-14)


def test_an_unrealised_gain_is_a_flow_at_the_end() -> None:
    # 1000 falls to 900; a hedge bought for 0 at the start (a future) brought 60 in margin on the last day.
    drag = HedgeDrag(1)
    drag.update(HedgedSession(START, 1000.0, 0.0, 0.0, 0.0))
    drag.update(HedgedSession(START + timedelta(365), 900.0, 0.0, 0.0, -60.0))
    assert drag.value == pytest.approx(-0.10 - (-0.04), abs=1e-14)
    # The same as a mark that has not been sold.
    mark = HedgeDrag(1)
    mark.update(HedgedSession(START, 1000.0, 0.0, 0.0, 0.0))
    mark.update(HedgedSession(START + timedelta(365), 900.0, 60.0, 0.0, 0.0))
    assert mark.value == pytest.approx(drag.value, abs=1e-14)


def made(n: int, seed: int) -> list[HedgedSession]:
    rng = np.random.default_rng(seed)
    mv, rows = 1e6, []
    for i in range(n):
        flow = float(rng.normal(0, 2e4)) if rng.random() < 0.05 else 0.0
        mv = mv * (1 + float(rng.normal(4e-4, 0.01))) + flow
        hedge = float(rng.uniform(5e3, 2e4))
        rows.append(HedgedSession(session(i + i // 5 * 2), mv, hedge, flow, float(rng.normal(100, 800))))
    return rows


def independent(rows: list[HedgedSession]) -> float:
    rates = []
    for share in (0.0, 1.0):
        flows = [(rows[0].session_date, -(rows[0].mv + share * rows[0].hedge))]
        flows += [(x.session_date, -x.flow - share * x.hedge_flow) for x in rows[1:]]
        flows += [(rows[-1].session_date, rows[-1].mv + share * rows[-1].hedge)]
        rates.append(bisected(flows, -0.9, 10.0))
    return rates[0] - rates[1]


@pytest.mark.parametrize("seed", range(3))
def test_it_equals_bisection_over_every_window(seed: int) -> None:
    rows, drag = made(320, seed), HedgeDrag()
    for i, row in enumerate(rows):
        drag.update(row)
        assert drag.ready == (i >= 252)
        assert (drag.value is not None) == drag.ready
        if i >= 252 and i % 10 == 0:
            assert drag.value == pytest.approx(independent(rows[i - 252 : i + 1]), abs=1e-11)


@pytest.mark.data
def test_long_front_futures_beside_the_recorded_fund(alvh_data: Any) -> None:
    spy = pd.read_csv(alvh_data / "spx/spy_daily_ohlc_raw_1998_2019.csv").set_index("date")["close"]
    vx = pd.read_csv(alvh_data / "vix-futures/vx_contracts_2004_2019.csv.gz", low_memory=False)
    vx = vx[vx["settle"] > 0].pivot_table(index="trade_date", columns="expiry", values="settle")
    vx = vx[[expiry for expiry in vx.columns if is_monthly(date.fromisoformat(expiry))]]
    days = [day for day in vx.index if day in spy.index and day >= "2012"]
    rows = [HedgedSession(date.fromisoformat(days[0]), 1e6, 0.0, 0.0, 0.0)]
    for before, day in pairwise(days):
        # 2 % of the fund in the contract that is the second month, from settlement to settlement.
        live = vx.loc[before].dropna()
        settle = live[live.index > day]
        moved = vx.at[day, settle.index[1]] / settle.iloc[1] - 1
        mv = rows[-1].mv * spy[day] / spy[before]
        rows.append(HedgedSession(date.fromisoformat(day), mv, 0.0, 0.0, -0.02 * rows[-1].mv * float(moved)))
    found, worst = [], 0.0
    for end in range(253, len(rows) + 1, 10):
        drag = HedgeDrag()
        for row in rows[end - 253 : end]:
            drag.update(row)
        assert drag.value is not None
        found.append(drag.value)
        if end % 50 == 3:
            worst = max(worst, abs(drag.value - independent(rows[end - 253 : end])))
    assert len(found) > 150
    assert worst < 1e-11
    # As measured, and no more than that: it cost 0.6 % a year in the median window, and something in three of four.
    assert np.median(found) == pytest.approx(0.0062, abs=1e-3)
    assert np.mean(np.array(found) > 0) == pytest.approx(0.76, abs=0.05)


def test_a_hedge_that_costs_nothing_and_brings_nothing_has_no_drag() -> None:
    drag = HedgeDrag(20)
    for row in made(40, 5):
        drag.update(row._replace(hedge=0.0, hedge_flow=0.0))
    assert drag.value == 0.0


def test_a_peek_changes_nothing_and_equals_the_update() -> None:
    drag = HedgeDrag(15)
    for row in made(60, 1):
        before = drag.snapshot()
        peeked = drag.peek(row)
        assert drag.snapshot() == before
        drag.update(row)
        assert drag.value == peeked


def test_a_restored_snapshot_goes_on_bit_for_bit_from_any_point() -> None:
    rows, whole = made(40, 2), HedgeDrag(12)
    values = []
    for row in rows:
        whole.update(row)
        values.append(whole.value)
    running = HedgeDrag(12)
    for cut in range(len(rows)):
        restored = HedgeDrag.restore(json.loads(json.dumps(running.snapshot(), allow_nan=False)))
        assert restored.snapshot() == running.snapshot()
        assert restored.value == running.value
        went = []
        for row in rows[cut:]:
            restored.update(row)
            went.append(restored.value)
        assert went == values[cut:]
        running.update(rows[cut])


@pytest.mark.parametrize("field", ["mv", "hedge", "flow", "hedge_flow"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_figures_that_are_no_numbers_leave_no_trace(field: str, bad: float) -> None:
    drag = HedgeDrag(5)
    rows = made(12, 3)
    for row in rows[:-1]:
        drag.update(row)
    before = drag.snapshot()
    for call in (drag.update, drag.peek):
        with pytest.raises(ValueError, match=f"{field} must be a finite number"):
            call(rows[-1]._replace(**{field: bad}))
        with pytest.raises(ValueError, match="cannot follow"):
            call(rows[-2])
    assert drag.snapshot() == before
    with pytest.raises(ValueError, match="mv must be at least 0"):
        drag.update(rows[-1]._replace(mv=-1.0))


def test_what_comes_later_changes_no_earlier_value() -> None:
    rows = made(80, 4)
    other = rows[:50] + [row._replace(mv=row.mv * 1.5) for row in rows[50:]]
    values: list[list[float | None]] = []
    for series in (rows, other):
        drag = HedgeDrag(20)
        values.append([])
        for row in series:
            drag.update(row)
            values[-1].append(drag.value)
    assert values[0][:50] == values[1][:50]
    assert values[0][50:] != values[1][50:]


def test_too_many_closes_are_refused() -> None:
    drag = HedgeDrag(5)
    for row in made(12, 3):
        drag.update(row)
    with pytest.raises(ValueError, match="cannot hold"):
        HedgeDrag.restore({**drag.snapshot(), "sessions": 3})


@pytest.mark.parametrize("state", STATES)
def test_only_in_low_and_only_beyond_the_cap_layer_1_goes_to_its_floor(state: Any) -> None:
    rules, weights = DragRules(), base(HedgeRules(), state)
    for drag, beyond in [(None, False), (-0.02, False), (0.01, False), (math.nextafter(0.01, 1), True), (0.05, True)]:
        assert too_costly(rules, state, drag) == (beyond and state == "low")
        limited = limit_drag(rules, state, drag, 0.15, weights)
        if beyond and state == "low":
            assert limited["L1"] == 0.15
            assert limited["R"] == pytest.approx(0.70, abs=1e-12)
            assert {k: limited[k] for k in ("L2", "L3", "TT")} == {k: weights[k] for k in ("L2", "L3", "TT")}
        else:
            assert limited == weights
