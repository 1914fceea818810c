import math
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, random_closes, recorded, recorded_closes, run, sessions_from

from processors.signals.cash_quality import CashQuality, Fundamentals
from processors.signals.dividends import (
    DividendDivergence,
    DividendYields,
    DripYield,
    TotalReturn,
    dividend_gap,
    gordon_price,
    two_stage_price,
)

# Cash flow against earnings.


def quality_against_pandas(eps: pd.Series, cfps: pd.Series, window: int = 60, minimum: int = 24) -> float:
    """The largest difference of log ratio and z, with missing values in the same places."""
    ratio = np.log((cfps / eps).where((eps > 0) & (cfps > 0)))
    observations = [Fundamentals(e, c) for e, c in zip(eps.tolist(), cfps.tolist(), strict=True)]
    ours = run(CashQuality(window, minimum), observations)
    assert [value is None for value in ours] == ratio.isna().tolist()
    worst = 0.0
    for t, found in enumerate(ours):
        if found is None:
            continue
        past = ratio.iloc[:t].dropna().iloc[-window:]
        worst = max(worst, abs(found.log_ratio - ratio.iloc[t]))
        assert (found.z is None) == (len(past) < minimum)
        if found.z is not None:
            worst = max(worst, abs(found.z - (ratio.iloc[t] - past.mean()) / past.std()))
    return worst


def test_the_worked_example_of_cash_quality() -> None:
    quality = CashQuality(2, 2)
    # A price of 3000 is 20 times earnings of 150 and 15 times cash flow of 200: ln 20 - ln 15 = ln(4 / 3).
    assert quality.peek(Fundamentals(150.0, 200.0)) == (pytest.approx(math.log(20) - math.log(15), abs=1e-15), None)
    run(quality, [Fundamentals(1.0, math.e), Fundamentals(1.0, math.e**3)])
    # Past 1, 3: mean 2, sd sqrt(2). ln(CF / E) = 4: z = 2 / sqrt(2).
    found = quality.peek(Fundamentals(1.0, math.e**4))
    assert found is not None
    assert found.z == pytest.approx(math.sqrt(2), abs=1e-12)


@pytest.mark.parametrize("bad", [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0), (1.0, -1.0), (-2.0, -3.0)])
def test_losses_have_no_ratio_and_are_not_counted(bad: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    good = [Fundamentals(*map(float, draw)) for draw in rng.uniform(1, 2, (40, 2))]
    quality, without = CashQuality(30, 10), CashQuality(30, 10)
    values = run(quality, [*good[:20], Fundamentals(*bad), *good[20:]])
    assert values[20] is None
    assert values[:20] + values[21:] == run(without, good)
    assert quality.snapshot() == without.snapshot()


@pytest.mark.parametrize("seed", range(5))
def test_cash_quality_equals_pandas_on_random_series(seed: int) -> None:
    draws = np.random.default_rng(seed).normal(3, 2, (300, 2))
    assert quality_against_pandas(pd.Series(draws[:, 0]), pd.Series(draws[:, 1])) < 1e-9


@pytest.mark.data
def test_cash_quality_equals_pandas_on_the_recorded_earnings_and_dividends() -> None:
    """No cash flow is on record: dividends, paid in cash, stand in for it here."""
    shiller = recorded("sp500/shiller_monthly_1990_2019.csv")
    assert len(shiller) == 360
    assert quality_against_pandas(shiller["earnings"], shiller["dividend"]) < 1e-9


def test_a_million_reports_do_not_drift() -> None:
    draws = np.random.default_rng(2).uniform(1, 2, (1_000_000, 2))
    quality = CashQuality()
    for eps, cfps in draws.tolist():
        quality.update(Fundamentals(eps, cfps))
    assert quality.value == run(CashQuality(), [Fundamentals(*draw) for draw in draws[-61:].tolist()])[-1]


# Valuation by dividends.


def test_the_worked_examples_of_dividend_values() -> None:
    # D1 = 50 x 1.04 = 52, r - g = 0.08 - 0.04: 52 / 0.04 = 1300.
    assert gordon_price(50.0, 0.04, 0.08) == pytest.approx(1300.0, abs=1e-9)
    # Two years at 10 %: 1.1 and 1.21, worth 1.1 / 1.1 + 1.21 / 1.21 = 2 at r = 10 %. Then 1.21 x 1.05 / 0.05 = 25.41,
    # discounted 25.41 / 1.21 = 21. Together 23.
    assert two_stage_price(1.0, 0.10, 2, 0.05, 0.10) == pytest.approx(23.0, abs=1e-12)
    # Growth above the discount rate converges in the end: 1.2 / 1.1 + (1.44 + 1.44 x 1.05 / 0.05) / 1.21.
    assert two_stage_price(1.0, 0.20, 2, 0.05, 0.10) == pytest.approx(1.2 / 1.1 + (1.44 + 30.24) / 1.21, abs=1e-12)
    # Price 2600 against 1300: ln 2, and the dividends to come are 52 / 2600 = 2 %.
    assert dividend_gap(2600.0, 50.0, 0.04, 0.08) == (pytest.approx(math.log(2), abs=1e-12), pytest.approx(0.02))


@pytest.mark.parametrize(("d0", "r"), [(50.0, 0.04), (50.0, 0.03), (50.0, -0.5), (0.0, 0.08), (-1.0, 0.08)])
def test_what_does_not_converge_or_pays_nothing_has_no_value(d0: float, r: float) -> None:
    assert gordon_price(d0, 0.04, r) is None
    assert two_stage_price(d0, 0.10, 5, 0.04, r) is None
    assert dividend_gap(1000.0, d0, 0.04, r) is None


@generated
@given(
    d0=st.floats(0.01, 100),
    g1=st.floats(-0.2, 0.3),
    years=st.integers(0, 30),
    g2=st.floats(-0.05, 0.05),
    over=st.floats(0.005, 0.2),
)
def test_two_stages_equal_the_sum_of_all_their_discounted_dividends(
    d0: float, g1: float, years: int, g2: float, over: float
) -> None:
    r = g2 + over
    k = np.arange(1, 12_001)
    # Logarithms: a first stage of thirty years, and then the rest.
    growth = np.minimum(k, years) * math.log1p(g1) + np.maximum(k - years, 0) * math.log1p(g2)
    expected = d0 * np.exp(growth - k * math.log1p(r)).sum()
    assert two_stage_price(d0, g1, years, g2, r) == pytest.approx(expected, rel=1e-9)


@generated
@given(d0=st.floats(0.01, 100), g=st.floats(-0.05, 0.06), years=st.integers(0, 40), over=st.floats(0.001, 0.2))
def test_two_stages_of_the_same_growth_are_one(d0: float, g: float, years: int, over: float) -> None:
    assert two_stage_price(d0, g, years, g, g + over) == pytest.approx(gordon_price(d0, g, g + over), rel=1e-9)


def test_a_price_at_the_value_has_no_gap_and_pays_r_less_g() -> None:
    value = gordon_price(50.0, 0.04, 0.08)
    assert value is not None
    found = dividend_gap(value, 50.0, 0.04, 0.08)
    assert found == (pytest.approx(0.0, abs=1e-15), pytest.approx(0.04, abs=1e-15))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_arguments_that_are_no_numbers_are_refused_by_name(bad: float) -> None:
    for call, name in (
        (lambda: gordon_price(bad, 0.04, 0.08), "d0"),
        (lambda: gordon_price(50.0, bad, 0.08), "growth"),
        (lambda: gordon_price(50.0, 0.04, bad), "r"),
        (lambda: two_stage_price(50.0, bad, 3, 0.04, 0.08), "g1"),
        (lambda: two_stage_price(50.0, 0.1, 3, bad, 0.08), "g2"),
        (lambda: dividend_gap(bad, 50.0, 0.04, 0.08), "price"),
        (lambda: gordon_price(50.0, -1.0, 0.08), "growth"),
        (lambda: two_stage_price(50.0, 0.1, -1, 0.04, 0.08), "years"),
        (lambda: dividend_gap(0.0, 50.0, 0.04, 0.08), "price"),
    ):
        with pytest.raises(ValueError, match=rf"^{name} must"):
            call()


@pytest.mark.data
def test_the_gap_equals_numpy_on_the_recorded_dividends() -> None:
    shiller = recorded("sp500/shiller_monthly_1990_2019.csv")
    price, d0, r = shiller["sp500"], shiller["dividend"], shiller["long_interest_rate"] / 100 + 0.046
    d1 = d0 * 1.04
    expected = np.log(price / (d1 / (r - 0.04)))
    for t in range(len(shiller)):
        found = dividend_gap(price[t], d0[t], 0.04, r[t])
        assert found is not None
        assert found.gap == pytest.approx(expected[t], abs=1e-9)
        assert found.implied_yield == pytest.approx(d1[t] / price[t], abs=1e-12)


# Yields of reinvested dividends.


def recorded_fund() -> pd.DataFrame:
    """SPY with dividends reinvested (the source's adjusted closes) and without."""
    adjusted = recorded_closes("spx/spy_daily_ohlc_adj_2010_2019.csv")
    raw = recorded_closes("spx/spy_daily_ohlc_raw_1998_2019.csv")
    return pd.concat({"tr": adjusted, "price": raw}, axis=1).dropna()


def drip_against_pandas(frame: pd.DataFrame, sessions: int = 252) -> float:
    expected = (frame["tr"] / frame["tr"].shift(sessions)) / (frame["price"] / frame["price"].shift(sessions)) - 1
    ours = run(DripYield(sessions), [TotalReturn(*row) for row in frame[["tr", "price"]].to_numpy().tolist()])
    assert [value is None for value in ours] == expected.isna().tolist()
    return max(abs(found - e) for found, e in zip(ours, expected, strict=True) if found is not None)


def test_the_worked_example_of_reinvested_dividends() -> None:
    # Prices 100, 102, 99 with dividends of 1 at 102 and of 2 at 99, reinvested: the units held grow by 1 / 102, 2 / 99.
    units = (1 + 1 / 102) * (1 + 2 / 99)
    drip = DripYield(2)
    run(drip, [TotalReturn(100.0, 100.0), TotalReturn(102.0 * (1 + 1 / 102), 102.0)])
    assert drip.value is None
    assert drip.peek(TotalReturn(99.0 * units, 99.0)) == pytest.approx(units - 1, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sessions", [1, 21, 252])
def test_the_realised_yield_equals_pandas_on_random_series(sessions: int, seed: int) -> None:
    price = random_closes(800, seed)
    growth = np.exp(np.cumsum(np.random.default_rng(seed).random(800) * 1e-3))
    assert drip_against_pandas(pd.DataFrame({"tr": price * growth, "price": price}), sessions) < 1e-9


@pytest.mark.data
def test_the_realised_yield_equals_pandas_on_the_recorded_fund() -> None:
    frame = recorded_fund()
    assert len(frame) > 2500
    assert drip_against_pandas(frame) < 1e-9
    values = run(DripYield(), [TotalReturn(*row) for row in frame[["tr", "price"]].to_numpy().tolist()])
    assert 0.015 < values[-1] < 0.025  # a fund that yielded about 2 %


@pytest.mark.parametrize("bad", [TotalReturn(0.0, 1.0), TotalReturn(1.0, 0.0), TotalReturn(-1.0, 1.0)])
def test_closes_that_are_not_above_0_are_refused(bad: TotalReturn) -> None:
    for call in (DripYield().update, DripYield().peek):
        with pytest.raises(ValueError, match="above 0"):
            call(bad)


def test_a_million_closes_do_not_drift() -> None:
    price = random_closes(1_000_000, 3).tolist()
    drip = DripYield()
    for t, close in enumerate(price):
        drip.update(TotalReturn(close * (1 + t * 1e-6), close))
    assert drip.value == pytest.approx((1 + 999_999e-6) / (1 + 999_747e-6) - 1, abs=1e-12)


# Implied against realised.


def divergence_against_pandas(yields: list[DividendYields], months: int, minimum: int) -> tuple[float, int]:
    """The largest difference of difference and z, and how often it was sharp, with the same switches."""
    frame = pd.DataFrame(yields).set_index("session_date")
    difference = np.log(frame["implied"].where(frame["implied"] > 0)) - np.log(frame["drip"].where(frame["drip"] > 0))
    month = pd.Series([(day.year, day.month) for day in frame.index], index=frame.index)
    last_of_month = difference.dropna().groupby(month).last()
    sharp, worst, times = False, 0.0, 0
    for day, found in zip(frame.index, run(DividendDivergence(months, minimum), yields), strict=True):
        if np.isnan(difference[day]):
            assert found is None
            continue
        past = last_of_month[[m < (day.year, day.month) for m in last_of_month.index]].iloc[-months:]
        worst = max(worst, abs(found.difference - difference[day]))
        assert (found.z is None) == (len(past) < minimum)
        if found.z is not None:
            z = (difference[day] - past.mean()) / past.std()
            worst = max(worst, abs(found.z - z))
            sharp = abs(z) >= 2.0 or (sharp and abs(z) >= 1.5)
        assert found.sharp == sharp
        times += sharp
    return worst, times


def made_yields(n: int, seed: int) -> list[DividendYields]:
    rng = np.random.default_rng(seed)
    implied, drip = 0.02 * np.exp(rng.normal(0, 0.02, (2, n)).cumsum(axis=1))
    implied[rng.random(n) < 0.05] = 0.0
    days = sessions_from(date(2001, 1, 2), n)
    return [DividendYields(d, float(i), float(y)) for d, i, y in zip(days, implied, drip, strict=True)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("months", "minimum"), [(60, 24), (12, 12)])
def test_divergence_equals_pandas_on_random_series(months: int, minimum: int, seed: int) -> None:
    worst, times = divergence_against_pandas(made_yields(1500, seed), months, minimum)
    assert worst < 1e-9
    assert times > 10


@pytest.mark.data
def test_divergence_equals_pandas_on_the_recorded_fund_and_dividends() -> None:
    frame = recorded_fund()
    drip = run(DripYield(), [TotalReturn(*row) for row in frame[["tr", "price"]].to_numpy().tolist()])
    shiller = recorded("sp500/shiller_monthly_1990_2019.csv").set_index("date")
    implied = shiller["dividend"] * 1.04 / shiller["sp500"]
    yields = [
        DividendYields(day, float(implied[f"{day:%Y-%m}-01"]), realised)
        for day, realised in zip(frame.index, drip, strict=True)
        if realised is not None
    ]
    assert len(yields) > 2200
    worst, _ = divergence_against_pandas(yields, 60, 24)
    assert worst < 1e-9


def monthly_yields(differences: list[float], first_year: int = 2000) -> list[DividendYields]:
    """One session a month, with ln(implied / realised) as given."""
    return [
        DividendYields(date(first_year + i // 12, i % 12 + 1, 15), 0.02 * math.exp(difference), 0.02)
        for i, difference in enumerate(differences)
    ]


def test_the_worked_example_of_divergence() -> None:
    divergence = DividendDivergence(4, 2)
    run(divergence, monthly_yields([0.0, 2.0, 1.0]))
    # March is judged against January and February: mean 1, so z = 0. April against all three: mean 1, sd 1.
    assert divergence.value == (pytest.approx(1.0, abs=1e-14), pytest.approx(0.0, abs=1e-13), False)
    april = DividendYields(date(2000, 4, 3), 0.02 * math.exp(4.0), 0.02)
    found = divergence.peek(april)
    assert found is not None
    assert found.z == pytest.approx(3.0, abs=1e-12)
    assert found.sharp


def test_a_running_month_is_not_compared_with_itself_and_counts_by_its_last_difference() -> None:
    divergence = DividendDivergence(4, 2)
    run(divergence, monthly_yields([0.0, 2.0]))
    march = [DividendYields(date(2000, 3, day), 0.02 * math.exp(d), 0.02) for day, d in ((1, 9.0), (2, -9.0), (3, 1.0))]
    values = run(divergence, march)
    assert [value.z for value in values] == pytest.approx([8 / math.sqrt(2), -10 / math.sqrt(2), 0.0], abs=1e-12)
    only_last = DividendDivergence(4, 2)
    run(only_last, [*monthly_yields([0.0, 2.0]), march[-1]])
    assert divergence.peek(DividendYields(date(2000, 4, 3), 0.03, 0.02))[:2] == only_last.peek(
        DividendYields(date(2000, 4, 3), 0.03, 0.02)
    )[:2]


def test_sharp_turns_on_at_2_off_below_one_and_a_half_and_keeps_between() -> None:
    # Past 1, -1 and so on, 24 months: mean 0, sd sqrt(24 / 23) = s. The same month all along: the past stays.
    divergence = DividendDivergence()
    run(divergence, monthly_yields([(-1.0) ** i for i in range(24)]))
    s = math.sqrt(24 / 23)
    day = date(2002, 1, 1)
    for step, (z, expected) in enumerate(
        [(1.9, False), (2.01, True), (1.6, True), (-1.51, True), (1.49, False), (1.9, False), (-2.01, True), (0, False)]
    ):
        divergence.update(DividendYields(day + timedelta(days=step), 0.02 * math.exp(z * s), 0.02))
        assert divergence.value is not None
        assert divergence.value.z == pytest.approx(z, abs=1e-12)
        assert divergence.value.sharp is expected


def test_sharp_outlives_a_session_without_a_difference() -> None:
    divergence = DividendDivergence()
    run(divergence, monthly_yields([(-1.0) ** i for i in range(24)]))
    far, between = (0.02 * math.exp(z * math.sqrt(24 / 23)) for z in (2.5, 1.7))
    days = [date(2002, 1, d) for d in (2, 3, 4)]
    values = run(divergence, [DividendYields(days[0], far, 0.02), DividendYields(days[1], 0.0, 0.02)])
    assert values[0].sharp
    assert values[1] is None
    assert divergence.peek(DividendYields(days[2], between, 0.02)).sharp


@pytest.mark.parametrize("bad", [(0.0, 0.02), (0.02, 0.0), (-0.01, 0.02), (0.02, -0.01)])
def test_a_yield_that_is_not_above_0_is_no_observation(bad: tuple[float, float]) -> None:
    yields = monthly_yields(np.random.default_rng(4).normal(0, 1, 40).tolist())
    divergence, without = DividendDivergence(20, 10), DividendDivergence(20, 10)
    spoilt = [*yields[:30], DividendYields(yields[30].session_date, *bad), *yields[31:]]
    values = run(divergence, spoilt)
    assert values[30] is None
    assert values[:30] + values[31:] == run(without, yields[:30] + yields[31:])


def test_sessions_out_of_order_are_refused_and_leave_no_trace() -> None:
    divergence = DividendDivergence()
    run(divergence, monthly_yields([0.0, 1.0]))
    before = divergence.snapshot()
    for day in (date(2000, 2, 15), date(2000, 2, 14)):
        for call in (divergence.update, divergence.peek):
            with pytest.raises(ValueError, match="cannot follow 2000-02-15"):
                call(DividendYields(day, 0.02, 0.02))
    assert divergence.snapshot() == before


def test_a_hundred_thousand_sessions_of_divergence_do_not_drift() -> None:
    # A sample of a tenth of a million, one month each: dates end with the year 9999.
    differences = np.random.default_rng(5).normal(0, 0.3, 95_000)
    divergence = DividendDivergence()
    for x in monthly_yields(differences.tolist(), first_year=1):
        divergence.update(x)
    past = differences[-61:-1]
    assert divergence.value is not None
    assert divergence.value.z == pytest.approx((differences[-1] - past.mean()) / past.std(ddof=1), abs=1e-9)


def test_impossible_states_are_refused() -> None:
    drip, divergence = DripYield(2), DividendDivergence()
    run(drip, [TotalReturn(1.0, 1.0)] * 3)
    run(divergence, monthly_yields([0.0, 1.0]))
    with pytest.raises(ValueError, match="tr"):
        DripYield.restore({**drip.snapshot(), "tr": [1.0]})
    with pytest.raises(ValueError, match="above 0"):
        DripYield.restore({**drip.snapshot(), "price": [1.0, 1.0, 0.0]})
    for bad in ({"month": None}, {"sample": None}, {"month": None, "sample": None}):
        with pytest.raises(ValueError, match="month"):
            DividendDivergence.restore({**divergence.snapshot(), **bad})
