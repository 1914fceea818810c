import dataclasses
import math

import numpy as np
import pytest
import QuantLib
from hypothesis import given
from hypothesis import strategies as st
from pricing_support import generated

from processors.pricing import CALL, CallSpread, greeks

SPREAD = CallSpread(lower_strike=22.0, upper_strike=30.0, lower_vol=0.95, upper_vol=1.15, t=45 / 365, r=0.045)


def test_it_is_the_long_leg_less_the_short_one_each_at_its_own_vol() -> None:
    forward = np.array([12.0, 18.0, 22.0, 26.0, 40.0])
    out = SPREAD.greeks(forward)
    long, short = (greeks(forward, k, v, SPREAD.t, SPREAD.r, CALL) for k, v in ((22.0, 0.95), (30.0, 1.15)))
    for name in ("delta", "gamma", "vega", "theta"):
        assert np.array_equal(getattr(out, name), getattr(long, name) - getattr(short, name))
    assert out.price == pytest.approx(long.price - short.price, abs=1e-14)
    assert np.array_equal(SPREAD.value(forward), out.price)


def test_far_in_the_money_it_comes_to_the_present_value_of_its_width() -> None:
    # The difference of two calls at a forward of 1e12 would be off by 1e-4.
    assert SPREAD.value(1e12) == pytest.approx(8 * math.exp(-0.045 * 45 / 365), abs=1e-14)


def test_its_value_equals_quantlib() -> None:
    discount = math.exp(-0.045 * 45 / 365)
    root = math.sqrt(45 / 365)
    theirs = [
        QuantLib.blackFormula(QuantLib.Option.Call, 22.0, f, 0.95 * root, discount)
        - QuantLib.blackFormula(QuantLib.Option.Call, 30.0, f, 1.15 * root, discount)
        for f in range(10, 60)
    ]
    assert SPREAD.value(np.arange(10.0, 60.0)) == pytest.approx(np.array(theirs), abs=1e-13)


def test_one_flat_vol_underprices_the_short_leg_and_overstates_the_debit() -> None:
    assert dataclasses.replace(SPREAD, upper_vol=0.95).value(18.0) > SPREAD.value(18.0)


def test_theta_is_above_zero_when_both_legs_are_in_the_money() -> None:
    assert SPREAD.greeks(60.0).theta > 0
    assert SPREAD.greeks(18.0).theta < 0


def test_what_can_be_lost_won_and_where_it_breaks_even_at_expiry() -> None:
    # Debit 1.40 and fees 0.02: loss 1.42, gain 8 - 1.42 = 6.58, break-even 22 + 1.42 = 23.42.
    assert SPREAD.max_loss(1.40, 0.02) == pytest.approx(1.42)
    assert SPREAD.max_gain(1.40, 0.02) == pytest.approx(6.58)
    assert SPREAD.break_even_at_expiry(1.40, 0.02) == pytest.approx(23.42)
    assert SPREAD.break_even_at_expiry(1.40) == pytest.approx(23.40)


@pytest.mark.parametrize(("debit", "fees"), [(8.0, 0.0), (7.99, 0.02), (12.0, 0.0)])
def test_a_break_even_at_or_beyond_the_short_strike_is_refused(debit: float, fees: float) -> None:
    with pytest.raises(ValueError, match=r"is not below the short strike 30.0, so this spread can only lose"):
        SPREAD.break_even_at_expiry(debit, fees)
    with pytest.raises(ValueError, match="present value of the width"):
        SPREAD.break_even_now(debit, fees)


def test_a_cost_between_the_present_value_of_the_width_and_the_width_has_no_break_even_now() -> None:
    assert SPREAD.break_even_at_expiry(7.99) == pytest.approx(29.99)
    with pytest.raises(ValueError, match="no break-even"):
        SPREAD.break_even_now(7.99)


def test_before_expiry_it_breaks_even_where_its_value_is_the_debit() -> None:
    for debit, fees in ((0.2, 0.0), (1.4, 0.02), (4.0, 0.0), (7.5, 0.05)):
        forward = SPREAD.break_even_now(debit, fees)
        assert SPREAD.value(forward) == pytest.approx(debit + fees, abs=1e-11)


def test_a_cost_that_only_an_absurd_forward_pays_for_is_refused() -> None:
    wild = CallSpread(22.0, 30.0, 40.0, 60.0, 10.0, 0.0)
    with pytest.raises(ValueError, match="no finite forward makes the spread worth"):
        wild.break_even_now(7.999)


def test_at_the_price_of_today_the_break_even_is_the_forward_of_today() -> None:
    assert SPREAD.break_even_now(float(SPREAD.value(18.3))) == pytest.approx(18.3, abs=1e-10)


def test_at_expiry_both_break_evens_are_one() -> None:
    expired = dataclasses.replace(SPREAD, t=0.0)
    assert expired.break_even_now(1.40, 0.02) == pytest.approx(expired.break_even_at_expiry(1.40, 0.02), abs=1e-10)


@generated
@given(
    st.floats(5, 80),
    st.floats(0.5, 40),
    st.floats(0, 2.5),
    st.floats(0, 2.5),
    st.floats(0, 1),
    st.floats(-0.02, 0.1),
    st.floats(0.001, 0.98),
)
def test_the_break_even_before_expiry_is_found_wherever_there_is_one(
    lower: float, width: float, lower_vol: float, upper_vol: float, t: float, r: float, share: float
) -> None:
    spread = CallSpread(lower, lower + width, lower_vol, upper_vol, t, r)
    debit = share * math.exp(-r * t) * width
    forward = spread.break_even_now(debit)
    # The root is exact to 1e-13 of the forward, and no delta is above that of one call each way.
    assert spread.value(forward) == pytest.approx(debit, abs=2e-12 * max(1.0, forward))
    # The lowest: nothing below is worth as much.
    below = np.linspace(debit, forward * (1 - 1e-9), 200)
    assert np.all(spread.value(below[below > 0]) <= debit + 1e-9)


def test_extrinsic_is_the_premium_less_the_discounted_intrinsic_value() -> None:
    # At F = 26: e^{-rt} (26 - 22); the short leg is out of the money.
    inside = 4 * math.exp(-0.045 * 45 / 365)
    assert SPREAD.extrinsic(4.30, 26.0) == pytest.approx(4.30 - inside, abs=1e-13)
    # Deep in the money the short leg has the more time value, so the spread has less than none.
    assert SPREAD.extrinsic(SPREAD.value(36.0), 36.0) < 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"upper_strike": 22.0}, "long strike must be below the short one"),
        ({"upper_strike": 20.0}, "long strike must be below the short one"),
        ({"lower_strike": 0.0}, "lower_strike must be above 0"),
        ({"lower_vol": -0.1}, "lower_vol must not be negative"),
        ({"upper_vol": math.nan}, "upper_vol must be finite"),
        ({"t": -0.1}, "t must not be negative"),
        ({"r": math.inf}, "r must be finite"),
    ],
)
def test_what_is_no_spread_is_refused(change: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        dataclasses.replace(SPREAD, **change)


def test_a_debit_must_be_above_zero_and_fees_not_below() -> None:
    for function in (SPREAD.max_loss, SPREAD.max_gain, SPREAD.break_even_at_expiry, SPREAD.break_even_now):
        with pytest.raises(ValueError, match="debit must be above 0"):
            function(0.0)
        with pytest.raises(ValueError, match="debit must be finite"):
            function(math.nan)
        with pytest.raises(ValueError, match="fees must not be negative"):
            function(1.0, -0.1)
