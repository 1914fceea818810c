"""The modelled chain: its level, tenor and skew, no arbitrage, and that nobody takes it for quotes."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hedge_support import EXPIRIES, JAN_2, at
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from test_hedge_chain import NOW, RATE, years

from processors.hedge.chain import read_chain
from processors.hedge.model_chain import ChainModel, model_chain, strike_grid
from processors.pricing import CALL, PUT, TermVariance, price, term_variance, vix_style
from processors.signals.curve import VxCurve
from topics.codec import MAX_JSON

MODEL = ChainModel()
CURVE = VxCurve(JAN_2, EXPIRIES[:9], (11.0, 12.0, 12.8, 13.4, 13.9, 14.3, 14.6, 14.9, 15.1))
vvixes = st.floats(50, 250)
tenors = st.floats(5 / 365, 300 / 365)


@pytest.mark.parametrize(("vvix", "within"), [(60.0, 0.02), (90.0, 0.02), (120.0, 0.02), (180.0, 0.04)])
def test_the_model_free_vol_of_thirty_days_is_near_vvix(vvix: float, within: float) -> None:
    # By the method of the VIX over strikes so fine and so far out that they are the whole integral.
    t, forward = 30 / 365, 20.0
    strikes = forward * np.exp(np.linspace(-2.5, 3.5, 1_201))
    vols = MODEL.vols(strikes, forward, t, vvix)
    sides = [price(forward, strikes, vols, t, 0.0, right) for right in (CALL, CALL, PUT, PUT)]
    found = term_variance(strikes, *sides, 30 * 24 * 60, 0.0, forward=forward)
    assert isinstance(found, TermVariance)
    assert vix_style(found.variance) == pytest.approx(vvix, rel=within)


def test_vols_fall_with_tenor_to_73_percent_at_110_days_and_60_at_220() -> None:
    # f^2 + (1 - f^2)(1 - e^-x)/x with x = 2 x 5.6 x days/365: 0.69606 at 30, 0.37358 at 110, 0.25234 at 220 days.
    at_30 = MODEL.atm_vol(30 / 365, 100.0)
    assert at_30 == pytest.approx(0.96, rel=1e-12)
    assert MODEL.atm_vol(110 / 365, 100.0) / at_30 == pytest.approx(math.sqrt(0.37358 / 0.69606), abs=1e-5)
    assert MODEL.atm_vol(220 / 365, 100.0) / at_30 == pytest.approx(math.sqrt(0.25234 / 0.69606), abs=1e-5)


@given(tenors, tenors, vvixes)
def test_a_longer_option_has_a_lower_vol_and_more_total_variance(a: float, b: float, vvix: float) -> None:
    near, far = sorted((a, b))
    assert MODEL.atm_vol(near, vvix) >= MODEL.atm_vol(far, vvix)
    assert MODEL.atm_vol(near, vvix) ** 2 * near <= MODEL.atm_vol(far, vvix) ** 2 * far * (1 + 1e-12)


def test_a_missing_vvix_is_the_stated_default() -> None:
    assert MODEL.atm_vol(0.25, None) == MODEL.atm_vol(0.25, 90.0)
    assert model_chain(CURVE, None, NOW, RATE) == model_chain(CURVE, 90.0, NOW, RATE)


@given(st.floats(9, 90), tenors, vvixes)
@settings(max_examples=200, deadline=None)
def test_no_butterfly_or_vertical_arbitrage_at_any_level(forward: float, t: float, vvix: float) -> None:
    strikes = forward * np.linspace(0.2, 8, 800)
    s = MODEL.vols(strikes, forward, t, vvix) * math.sqrt(t)
    d1 = np.log(forward / strikes) / s + s / 2
    calls = forward * norm.cdf(d1) - strikes * norm.cdf(d1 - s)
    step = strikes[1] - strikes[0]
    slopes = np.diff(calls) / step
    assert np.all(slopes <= 1e-12)
    assert np.all(slopes >= -1 - 1e-9)
    assert np.all(np.diff(slopes) >= -1e-9)


@given(st.floats(9, 90), tenors, vvixes)
def test_vols_rise_with_the_strike_from_below_the_forward_on(forward: float, t: float, vvix: float) -> None:
    theta = MODEL.atm_vol(t, vvix) ** 2 * t
    lowest = -2 * MODEL.rho * math.sqrt(theta * (1 + theta)) / MODEL.eta
    k = np.linspace(lowest, 2.5, 400)
    vols = MODEL.vols(forward * np.exp(k), forward, t, vvix)
    assert np.all(np.diff(vols) > -1e-12)
    assert vols[-1] > 1.02 * float(MODEL.vols(forward, forward, t, vvix))
    assert float(MODEL.vols(forward, forward, t, vvix)) == pytest.approx(MODEL.atm_vol(t, vvix), rel=1e-12)


def test_strikes_are_those_of_the_listed_grid() -> None:
    far = strike_grid(106)
    assert far[:6] == (9.0, 10.0, 11.0, 12.0, 13.0, 14.0)
    assert far[20:32] == (29.0, 30.0, 32.5, 35.0, 37.5, 40.0, 42.5, 45.0, 47.5, 50.0, 55.0, 60.0)
    assert far[-12:] == (95.0, *(float(k) for k in range(100, 201, 10)))
    near = strike_grid(35)
    assert set(near) - set(far) == {10.5, 11.5, 12.5, 13.5, 14.5}
    assert list(near) == sorted(near)


def test_every_quote_is_labelled_a_model_and_none_can_be_dealt_on() -> None:
    made = model_chain(CURVE, 92.0, NOW, RATE)
    assert made.source == "model"
    assert [each.expiry for each in made.expiries] == list(CURVE.expiries)
    assert [each.forward for each in made.expiries] == list(CURVE.settles)
    assert len(made.canonical()) < MAX_JSON // 2
    assert not read_chain(made, NOW, RATE).executable


def test_quotes_stand_around_the_price_and_what_the_spread_eats_up_has_no_bid() -> None:
    each = model_chain(CURVE, 92.0, NOW, RATE).expiries[3]
    t = years(each.expiry)
    vols = MODEL.vols(each.strikes, 13.4, t, 92.0)
    for right, bids, asks in ((CALL, each.call_bid, each.call_ask), (PUT, each.put_bid, each.put_ask)):
        worth = price(13.4, each.strikes, vols, t, RATE, right)
        for fair, bid, ask in zip(worth.tolist(), bids, asks, strict=True):
            half = max(0.03 * fair, 0.02)
            assert ask == pytest.approx(fair + half, abs=5.1e-5)
            if bid is None:
                assert fair - half < 5.1e-5
            else:
                assert bid == pytest.approx(fair - half, abs=5.1e-5)
    assert None in each.call_bid


def test_the_vols_read_from_the_quotes_are_those_of_the_model() -> None:
    for quotes in read_chain(model_chain(CURVE, 92.0, NOW, RATE), NOW, RATE).expiries:
        near = quotes.calls & (quotes.strikes >= quotes.forward)
        theirs = MODEL.vols(quotes.strikes[near], quotes.forward, quotes.t, 92.0)
        # Four decimals of the quotes: half a unit of the fourth, over a vega of a hundredth point a vol point.
        assert quotes.vols[near] == pytest.approx(theirs, abs=2e-3)


def test_a_contract_that_settles_now_is_left_out_and_an_empty_curve_gives_an_empty_chain() -> None:
    morning = at(EXPIRIES[0], 9, 30)
    eve = VxCurve(JAN_2.replace(day=16), EXPIRIES[:2], (11.0, 12.0))
    assert [each.expiry for each in model_chain(eve, 90.0, morning, RATE).expiries] == [EXPIRIES[1]]
    assert model_chain(VxCurve(JAN_2, (), ()), 90.0, NOW, RATE).expiries == ()


@pytest.mark.parametrize("number", [0.0, -1.0, math.nan, math.inf])
def test_numbers_that_cannot_be_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="vvix must be a finite number above 0"):
        model_chain(CURVE, number, NOW, RATE)
    with pytest.raises(ValueError, match="t must be a finite number above 0"):
        MODEL.atm_vol(number, 90.0)
    for name in ("vvix", "atm_share", "speed", "half_spread_min"):
        with pytest.raises(ValueError, match=name):
            ChainModel(**{name: number})
    if number != 0.0:
        for name in ("floor", "half_spread"):
            with pytest.raises(ValueError, match=name):
                ChainModel(**{name: number})
    if not math.isfinite(number):
        with pytest.raises(ValueError, match="r must be finite"):
            model_chain(CURVE, 90.0, NOW, number)


@pytest.mark.parametrize(("rho", "eta"), [(0.8, 1.2), (1.0, 0.5), (0.0, 0.5), (0.8, 0.0), (math.nan, 0.5)])
def test_a_surface_that_could_be_arbitraged_is_refused(rho: float, eta: float) -> None:
    with pytest.raises(ValueError, match="rho must lie between"):
        ChainModel(rho=rho, eta=eta)


@pytest.mark.data
def test_the_decay_by_tenor_is_that_of_recorded_settlements() -> None:
    data = Path(os.environ.get("ALVH_DATA", "../shared/data")) / "vix-futures" / "vx_contracts_2004_2019.csv.gz"
    rows = pd.read_csv(data, parse_dates=["trade_date", "expiry"])
    rows = rows[(rows.contract.str.len() == 3) & rows.trade_date.between("2007-04-01", "2013-12-31")]
    rows = rows.sort_values(["expiry", "trade_date"])
    by = rows.groupby("expiry")
    rows["ret"] = np.log(rows.settle / by.settle.shift(1))
    rows = rows[((rows.trade_date - by.trade_date.shift(1)).dt.days <= 4) & (rows.ret.abs() < 0.6)]
    rows["dte"] = (rows.expiry - rows.trade_date).dt.days
    # Beyond 240 days the model is 21 % too low, as it says; the same years made the fit.
    rows = rows[rows.dte.between(9, 240)]
    rows["bucket"] = pd.cut(rows.dte, [8, 15, 25, 35, 50, 65, 80, 100, 125, 150, 180, 210, 240])
    table = rows.groupby("bucket", observed=True).agg(sd=("ret", "std"), dte=("dte", "mean"))

    def instantaneous(days: pd.Series) -> pd.Series:
        return np.sqrt(MODEL.floor**2 + (1 - MODEL.floor**2) * np.exp(-2 * MODEL.speed * days / 365))

    ratio = table.sd / instantaneous(table.dte)
    ratio /= ratio.mean()
    assert len(table) == 12
    assert (ratio - 1).abs().max() < 0.12, ratio
