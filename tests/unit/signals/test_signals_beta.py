import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, recorded, recorded_closes, run

from processors.signals.beta import Beta, ExcessReturns


def pairs(portfolio: np.ndarray, market: np.ndarray) -> list[ExcessReturns]:
    return [ExcessReturns(p, m) for p, m in zip(portfolio.tolist(), market.tolist(), strict=True)]


def made_returns(n: int, seed: int, mean: float = 0.0003) -> tuple[np.ndarray, np.ndarray]:
    """Fat tails, and a beta that moves."""
    rng = np.random.default_rng(seed)
    market = mean + 0.01 * rng.standard_t(4, n)
    return (1 + np.sin(np.arange(n) / 200)) * market + 0.006 * rng.standard_t(4, n), market


def wls(portfolio: np.ndarray, market: np.ndarray, half_life: float) -> float:
    """The slope of weighted least squares with an intercept, the newest weighing 1."""
    weights = 0.5 ** (np.arange(len(market))[::-1] / half_life)
    return float(sm.WLS(portfolio, sm.add_constant(market), weights=weights).fit().params[1])


def ols(portfolio: np.ndarray, market: np.ndarray) -> float:
    return float(sm.OLS(portfolio, sm.add_constant(market)).fit().params[1])


def against_statsmodels(portfolio: np.ndarray, market: np.ndarray, every: int, half_life: float = 63) -> float:
    """The largest difference of both betas, compared at every so many sessions."""
    values = run(Beta(half_life), pairs(portfolio, market))
    assert all(value is None for value in values[:125])
    worst, compared = 0.0, 0
    for t in range(125, len(market), every):
        found = values[t]
        worst = max(worst, abs(found.ew - wls(portfolio[: t + 1], market[: t + 1], half_life)))
        assert (found.ols is None) == (t < 251)
        if found.ols is not None:
            worst = max(worst, abs(found.ols - ols(portfolio[t - 251 : t + 1], market[t - 251 : t + 1])))
        compared += 1
    assert compared > 10
    return worst


def test_the_worked_example() -> None:
    # Half-life 1: weights 1/4, 1/2, 1 on markets 0, 2, 4 and portfolios 0, 2, 8, their sum 7/4.
    # Means (0 + 1 + 4) / 1.75 = 20/7 and (0 + 1 + 8) / 1.75 = 36/7. Deviations of the market -20/7, -6/7, 8/7 and
    # of the portfolio -36/7, -22/7, 20/7.
    # Variance (400/4 + 36/2 + 64) / 49 = 182/49, covariance (720/4 + 132/2 + 160) / 49 = 406/49. Beta 406/182 = 29/13.
    beta = Beta(1, 2, 3)
    run(beta, pairs(np.array([0.0, 2.0]), np.array([0.0, 2.0])))
    assert beta.value == (pytest.approx(1.0, abs=1e-15), None)
    beta.update(ExcessReturns(8.0, 4.0))
    assert beta.value is not None
    assert beta.value.ew == pytest.approx(29 / 13, abs=1e-14)
    # Plain means 2 and 10/3: (-2 x -10/3 + 0 + 2 x 14/3) / 8 = 16 / 8.
    assert beta.value.ols == pytest.approx(2.0, abs=1e-14)


def test_the_market_has_a_beta_of_1_and_cash_of_0() -> None:
    _, market = made_returns(400, 1)
    value = run(Beta(), pairs(market, market))[-1]
    assert value == (pytest.approx(1.0, abs=1e-14), pytest.approx(1.0, abs=1e-14))
    assert run(Beta(), pairs(np.zeros(400), market))[-1] == (0.0, 0.0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("half_life", [63, 10.5])
def test_it_equals_statsmodels_on_random_returns(seed: int, half_life: float) -> None:
    assert against_statsmodels(*made_returns(1500, seed), every=37, half_life=half_life) < 1e-9


def test_it_equals_pandas_at_every_session() -> None:
    portfolio, market = (pd.Series(series) for series in made_returns(1200, 6))
    ewm = market.ewm(halflife=63)
    expected = ewm.cov(portfolio, bias=True) / ewm.var(bias=True)
    rolling = market.rolling(252).cov(portfolio) / market.rolling(252).var()
    values = run(Beta(), pairs(portfolio.to_numpy(), market.to_numpy()))
    assert max(abs(value.ew - e) for value, e in zip(values[125:], expected[125:], strict=True)) < 1e-9
    assert max(abs(value.ols - e) for value, e in zip(values[251:], rolling[251:], strict=True)) < 1e-9


@pytest.mark.data
def test_it_equals_statsmodels_on_the_recorded_fund_against_its_index() -> None:
    """SPY with dividends against the S&P 500, both less the 3-month bill."""
    fund = recorded_closes("spx/spy_daily_ohlc_adj_2010_2019.csv")
    index = recorded_closes("spx/spx_daily_ohlc_2000_2019.csv")
    bill = recorded("macro/us_rates_by_tenor_daily.csv").set_index("date")["dgs3mo"].dropna() / 100 / 252
    bill.index = pd.to_datetime(bill.index).date
    frame = pd.concat({"fund": fund, "index": index}, axis=1).dropna()
    returns = frame.pct_change().sub(bill.reindex(frame.index).ffill(), axis=0).dropna()
    assert len(returns) > 2500
    assert against_statsmodels(returns["fund"].to_numpy(), returns["index"].to_numpy(), every=101) < 1e-9
    last = run(Beta(), pairs(returns["fund"].to_numpy(), returns["index"].to_numpy()))[-1]
    assert last.ew == pytest.approx(1.0, abs=0.02)


@pytest.mark.data
def test_it_equals_statsmodels_on_the_recorded_volatility_note() -> None:
    """A beta far from 1: VXX against the S&P 500."""
    note = recorded_closes("spx/vxx_daily_splitadj_2009_2018.csv")
    index = recorded_closes("spx/spx_daily_ohlc_2000_2019.csv")
    returns = pd.concat({"note": note, "index": index}, axis=1).dropna().pct_change().dropna()
    assert len(returns) > 2200
    assert against_statsmodels(returns["note"].to_numpy(), returns["index"].to_numpy(), every=101) < 1e-9
    assert run(Beta(), pairs(returns["note"].to_numpy(), returns["index"].to_numpy()))[-1].ew < -3


@pytest.mark.parametrize("returns", [0.0, 0.001, -0.1, 1e-9])
def test_a_market_that_stands_still_has_no_beta(returns: float) -> None:
    portfolio, _ = made_returns(300, 2)
    beta = Beta()
    assert all(value is None for value in run(beta, pairs(portfolio, np.full(300, returns))))
    assert not beta.ready


def test_a_market_that_has_stood_still_for_a_year_has_no_beta_over_that_year() -> None:
    portfolio, market = made_returns(600, 3)
    market[300:] = 0.0001
    last = run(Beta(), pairs(portfolio, market))[-1]
    assert last.ols is None
    # Its old moves still weigh, as in weighted least squares.
    assert last.ew == pytest.approx(wls(portfolio, market, 63), abs=1e-9)


def test_what_is_left_after_centuries_of_standing_still_is_rounding_and_no_beta() -> None:
    portfolio, market = made_returns(8000, 4)
    market[300:] = 0.0001
    assert run(Beta(), pairs(portfolio, market))[-1] is None


@generated
@given(st.integers(0, 1000), st.sampled_from([0.5, 2.0, -1.5]), st.sampled_from([-0.01, 0.0, 0.02]))
def test_leverage_scales_beta_and_a_steady_fee_does_not_touch_it(seed: int, leverage: float, fee: float) -> None:
    portfolio, market = made_returns(60, seed)
    plain = run(Beta(20, 10, 30), pairs(portfolio, market))
    geared = run(Beta(20, 10, 30), pairs(leverage * portfolio - fee, market))
    for one, other in zip(plain, geared, strict=True):
        if one is None:
            assert other is None
            continue
        assert other.ew == pytest.approx(leverage * one.ew, abs=1e-9)
        assert (other.ols is None) == (one.ols is None)
        if one.ols is not None:
            assert other.ols == pytest.approx(leverage * one.ols, abs=1e-9)


@pytest.mark.parametrize(("sessions", "mean"), [(1_000_000, 0.0003), (100_000, 10.0)])
def test_a_million_sessions_do_not_drift(sessions: int, mean: float) -> None:
    # With a mean of a thousand standard deviations the textbook E[xy] - E[x] E[y] would lose six digits at every step.
    portfolio, market = made_returns(sessions, 5, mean)
    beta = Beta()
    for observation in pairs(portfolio, market):
        beta.update(observation)
    assert beta.value is not None
    # Weights before the last 5,000 sessions are below 1e-23.
    assert beta.value.ew == pytest.approx(wls(portfolio[-5000:], market[-5000:], 63), abs=1e-9)
    assert beta.value.ols == pytest.approx(ols(portfolio[-252:], market[-252:]), abs=1e-9)
    fresh = run(Beta(), pairs(portfolio[-5000:], market[-5000:]))[-1]
    assert beta.value.ew == pytest.approx(fresh.ew, abs=1e-9)
    assert beta.value.ols == fresh.ols


def test_returns_beyond_all_measure_are_refused_and_leave_no_trace() -> None:
    beta = Beta()
    run(beta, pairs(*made_returns(200, 7)))
    before = beta.snapshot()
    for bad in (ExcessReturns(0.0, 1e200), ExcessReturns(1e300, 1e100)):
        with pytest.raises(ValueError, match="variance must be a finite number"):
            beta.update(bad)
    assert beta.snapshot() == before


def test_an_impossible_state_is_refused() -> None:
    beta = Beta()
    run(beta, pairs(*made_returns(200, 8)))
    snapshot = beta.snapshot()
    for bad in ({"seen": 127}, {"seen": 100}, {"seen": -1}, {"variance": -1.0}, {"weight": 0.5}):
        with pytest.raises(ValueError, match="not the state of a beta"):
            Beta.restore({**snapshot, **bad})
    with pytest.raises(ValueError, match="not the state of a beta"):
        Beta.restore({**Beta().snapshot(), "seen": 3, "weight": 2.0})
    with pytest.raises(ValueError, match="portfolios"):
        Beta.restore({**snapshot, "portfolios": [0.1]})


def test_a_snapshot_is_a_few_numbers_and_the_window() -> None:
    beta = Beta()
    run(beta, pairs(*made_returns(2000, 9)))
    lists = [value for value in beta.snapshot().values() if isinstance(value, list)]
    assert [len(held) for held in lists] == [252, 252]
    assert math.isfinite(sum(lists[0]))
