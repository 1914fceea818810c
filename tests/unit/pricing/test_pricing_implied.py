import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pricing_support import cases, columns, generated
from vollib.black.implied_volatility import implied_volatility as vollib_vol

from processors.pricing import CALL, PUT, VolStatus, greeks, implied_vol, price

EPS = np.finfo(float).eps


def test_it_returns_the_vol_of_every_case_as_far_as_the_premium_tells() -> None:
    forward, strike, vol, t, r, right = columns(cases())
    out = greeks(forward, strike, vol, t, r, right)
    implied = implied_vol(out.price, forward, strike, t, r, right)
    error = np.abs(implied.vol.filled(np.nan) - vol)[implied.found]
    # The premium is rounded, and in the money the intrinsic value that is taken off it has the size of the forward.
    told = 16 * EPS * np.maximum(forward, strike) / (100 * np.maximum(out.vega, 1e-300)) + 1e-13
    assert np.all(error <= told[implied.found])
    plain = (100 * out.vega > 1e-4 * forward)[implied.found]
    assert plain.sum() > 500
    assert error[plain].max() < 1e-10
    # What is not found has no time value to be seen: under rounding in the money, and no premium at all out of it.
    worth = out.price - np.exp(-r * t) * np.maximum(right * (forward - strike), 0.0)
    assert np.all(implied.status[~implied.found] == VolStatus.NO_TIME_VALUE)
    assert np.all(worth[~implied.found] <= 1e-14 * np.maximum(forward, strike)[~implied.found])


@generated
@given(
    st.floats(0.5, 5000),
    st.floats(-1.5, 1.5),
    st.floats(0.01, 4),
    st.floats(1 / 525_600, 3),
    st.floats(-0.05, 0.2),
)
def test_the_quote_out_of_the_money_gives_its_vol_back(
    forward: float, log: float, vol: float, t: float, r: float
) -> None:
    strike = forward * math.exp(log)
    right = CALL if strike >= forward else PUT
    out = greeks(forward, strike, vol, t, r, right)
    implied = implied_vol(out.price, forward, strike, t, r, right)
    if not out.price > 1e-290:
        return
    assert implied.status == VolStatus.FOUND
    error = abs(float(implied.vol) - vol)
    told = 32 * EPS * float(out.price) / (100 * float(out.vega)) if out.vega > 0 else math.inf
    assert error <= max(told, 1e-12 * vol)


@generated
@given(st.floats(1e-12, 1 - 1e-12), st.floats(-8, 8))
def test_any_premium_between_its_bounds_is_met_again(share: float, log: float) -> None:
    forward, strike = 100.0, 100.0 * math.exp(log)
    right = CALL if strike >= forward else PUT
    premium = share * min(forward, strike)
    implied = implied_vol(premium, forward, strike, 0.7, 0.0, right)
    assert implied.status == VolStatus.FOUND
    assert price(forward, strike, float(implied.vol), 0.7, 0.0, right) == pytest.approx(premium, rel=1e-12)


def test_it_equals_vollib() -> None:
    rng = np.random.default_rng(5)
    for _ in range(300):
        forward, strike = rng.uniform(10, 40, 2)
        vol, t, r = rng.uniform(0.3, 2), rng.uniform(0.05, 1), rng.choice([0.0, 0.04])
        right = CALL if strike >= forward else PUT
        premium = float(price(forward, strike, vol, t, r, right))
        theirs = vollib_vol(premium, forward, strike, r, t, "c" if right == CALL else "p")
        assert float(implied_vol(premium, forward, strike, t, r, right).vol) == pytest.approx(theirs, abs=1e-11)


def test_at_the_money_it_is_the_inverse_error_function() -> None:
    # C / F = erf(s / sqrt(8)); for s = 0.2, erf(0.0707106781) = 0.0796556746.
    implied = implied_vol(100 * 0.07965567455405798, 100, 100, 1.0, 0.0, CALL)
    assert float(implied.vol) == pytest.approx(0.2, abs=1e-14)


def test_a_minute_before_expiry_and_decades_away() -> None:
    for vol, t in ((0.9, 1 / 525_600), (0.05, 30.0), (3.0, 10.0)):
        premium = price(20, 20.01, vol, t, 0.0, CALL)
        assert float(implied_vol(premium, 20, 20.01, t, 0.0, CALL).vol) == pytest.approx(vol, rel=1e-11)


def test_a_premium_that_has_no_vol_says_why_and_holds_no_number() -> None:
    # Discount e^{-0.05}: the call on 25 struck at 20 is worth at least 4.7561 and less than 23.7807.
    premium = [4.70, 5 * math.exp(-0.05), 5.2, 25 * math.exp(-0.05), 30.0, 0.0, -1.0]
    implied = implied_vol(premium, [25.0] * 5 + [18.0] * 2, 20.0, 1.0, 0.05, CALL)
    assert [VolStatus(status) for status in implied.status] == [
        VolStatus.BELOW_INTRINSIC,
        VolStatus.NO_TIME_VALUE,
        VolStatus.FOUND,
        VolStatus.ABOVE_BOUND,
        VolStatus.ABOVE_BOUND,
        VolStatus.NO_TIME_VALUE,
        VolStatus.BELOW_INTRINSIC,
    ]
    vols = implied.vol.tolist()
    assert [vol is None for vol in vols] == [True, True, False, True, True, True, True]
    assert np.array_equal(implied.found, [vol is not None for vol in vols])
    assert np.isfinite(implied.vol.data).all()
    assert implied_vol(5.0, 25, 20, 0.0, 0.05, CALL).status == VolStatus.EXPIRED


def test_a_put_is_bounded_by_its_strike() -> None:
    implied = implied_vol([19.9, 20.0], 25.0, 20.0, 1.0, 0.0, PUT)
    assert implied.status.tolist() == [VolStatus.FOUND, VolStatus.ABOVE_BOUND]


def test_it_broadcasts_over_a_whole_strip() -> None:
    strikes = np.arange(10.0, 60.0, 0.5)
    vols = 0.6 + 0.01 * strikes
    t = np.array([[0.1], [0.5]])
    right = np.where(strikes >= 20, CALL, PUT)
    implied = implied_vol(price(20.0, strikes, vols, t, 0.03, right), 20.0, strikes, t, 0.03, right)
    assert implied.vol.shape == (2, 100)
    assert implied.found.all()
    assert np.max(np.abs(implied.vol - vols)) < 1e-12


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"premium": math.nan}, "premium must be finite"),
        ({"premium": math.inf}, "premium must be finite"),
        ({"forward": 0.0}, "forward must be above 0"),
        ({"strike": -5.0}, "strike must be above 0"),
        ({"t": -0.1}, "t must not be negative"),
        ({"r": math.nan}, "r must be finite"),
        ({"right": 0}, "right must be"),
    ],
)
def test_what_is_no_option_is_refused(change: dict[str, float], complaint: str) -> None:
    good = {"premium": 2.0, "forward": 20.0, "strike": 22.0, "t": 0.1, "r": 0.04, "right": CALL}
    with pytest.raises(ValueError, match=complaint):
        implied_vol(**{**good, **change})
