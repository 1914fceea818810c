import math

import numpy as np
import pytest
import QuantLib
from hypothesis import given
from hypothesis import strategies as st
from lets_be_rational import black as jaeckel_black
from pricing_support import Case, cases, columns, generated
from scipy.integrate import quad
from vollib.black import black as vollib_black
from vollib.black.greeks import analytical

from processors.pricing import CALL, PUT, Greeks, extrinsic, greeks, intrinsic, price

NAMES = ("price", "delta", "gamma", "vega", "theta")


def quantlib(case: Case) -> list[float]:
    kind = QuantLib.Option.Call if case.right == CALL else QuantLib.Option.Put
    calculator = QuantLib.BlackCalculator(
        QuantLib.PlainVanillaPayoff(kind, case.strike), case.forward, case.vol * case.t**0.5, math.exp(-case.r * case.t)
    )
    # With the forward for the spot its theta is r V - vol^2 F^2 gamma / 2 a year, its vega that of a vol of 1.
    return [
        calculator.value(),
        calculator.deltaForward(),
        calculator.gammaForward(),
        calculator.vega(case.t) / 100,
        calculator.theta(case.forward, case.t) / 365,
    ]


def vollib(case: Case) -> list[float]:
    flag = "c" if case.right == CALL else "p"
    arguments = (flag, case.forward, case.strike, case.t, case.r, case.vol)
    return [
        vollib_black(flag, case.forward, case.strike, case.t, case.r, case.vol),
        analytical.delta(*arguments),
        analytical.gamma(*arguments),
        analytical.vega(*arguments),
        analytical.theta(*arguments),
    ]


@pytest.mark.parametrize("oracle", [quantlib, vollib])
def test_price_and_greeks_equal_two_libraries_on_every_case(oracle) -> None:
    rows = cases()
    assert len(rows) == 1584
    ours = greeks(*columns(rows))
    theirs = np.array([oracle(case) for case in rows])
    for name, column in zip(NAMES, theirs.T, strict=True):
        error = np.abs(getattr(ours, name) - column) / np.maximum(1.0, np.abs(column))
        # They take ln(F/K), which loses digits near the strike; an hour before expiry the gamma shows it.
        assert error.max() < (5e-12 if name == "gamma" else 2e-13), (name, rows[int(error.argmax())])


def test_the_price_is_that_of_the_greeks_and_of_quantlibs_formula() -> None:
    rows = cases()
    ours = price(*columns(rows))
    assert np.array_equal(ours, greeks(*columns(rows)).price)
    for case, premium in zip(rows, ours, strict=True):
        kind = QuantLib.Option.Call if case.right == CALL else QuantLib.Option.Put
        theirs = QuantLib.blackFormula(
            kind, case.strike, case.forward, case.vol * case.t**0.5, math.exp(-case.r * case.t)
        )
        assert premium == pytest.approx(theirs, rel=1e-13, abs=1e-14)


def test_the_tails_keep_their_relative_accuracy() -> None:
    # Down to premiums of 1e-250, against Jaeckel's normalised Black function.
    rng = np.random.default_rng(3)
    forward = np.exp(rng.uniform(-1, 5, 4000))
    strike = forward * np.exp(rng.normal(0, 1, 4000))
    vol, t = np.exp(rng.uniform(-3, 1, 4000)), np.exp(rng.uniform(-4, 1, 4000))
    right = np.where(forward <= strike, CALL, PUT)
    ours = price(forward, strike, vol, t, 0.0, right)
    theirs = np.array([jaeckel_black(*row) for row in zip(forward, strike, vol, t, right.astype(float), strict=True)])
    seen = theirs > 1e-250
    assert seen.sum() > 2000
    assert (theirs[seen] < 1e-30).sum() > 100
    assert np.max(np.abs(ours - theirs)[seen] / theirs[seen]) < 3e-12


def test_minutes_before_expiry_a_premium_is_the_integral_of_its_vega() -> None:
    # b = integral over u from 0 to s of n(-x/u + u/2), put as u = s / sqrt(1 + 2 y (s/x)^2), where nothing cancels.
    rng = np.random.default_rng(4)
    worst = 0.0
    for _ in range(300):
        s = float(np.exp(rng.uniform(-12, -2)))
        distance = s * float(rng.uniform(0.05, 25))
        strike = 20.0 + 20.0 * math.expm1(distance)
        x = math.log1p((strike - 20.0) / 20.0)
        ratio = (s / x) ** 2

        def slice_at(y: float, x: float = x, s: float = s, ratio: float = ratio) -> float:
            stretch = 1.0 + 2.0 * ratio * y
            return math.exp(-y - 0.125 * s * s / stretch + 0.125 * s * s) * stretch**-1.5 * s * ratio

        scaled = quad(slice_at, 0.0, 60.0, epsabs=0.0, epsrel=2e-14, limit=400)[0]
        d1 = -x / s + 0.5 * s
        theirs = 20.0 * math.exp(-0.5 * d1 * d1) / math.sqrt(2 * math.pi) * scaled
        ours = float(price(20.0, strike, s, 1.0, 0.0, CALL))
        worst = max(worst, abs(ours - theirs) / theirs)
    assert worst < 2e-12


def test_a_hand_worked_price() -> None:
    # F = K = 20, vol 80%, t = 0.25: s = 0.4, d1 = 0.2, d2 = -0.2, N(d1) - N(d2) = 2 x 0.0792597094 = 0.1585194189,
    # premium e^{-0.05 x 0.25} x 20 x 0.1585194189 = 0.9875778 x 3.170388378 = 3.131005...
    assert price(20, 20, 0.8, 0.25, 0.05, CALL) == pytest.approx(math.exp(-0.0125) * 3.170388378, abs=1e-8)
    # Black (1976) theta by hand: -e^{-rt} F n(d1) vol / (2 sqrt t) + r C = -0.98757780 x 20 x 0.39104269 x 0.8 + 0.05 C
    annual = -0.98757780 * 20 * 0.39104269 * 0.8 + 0.05 * 3.131005
    assert greeks(20, 20, 0.8, 0.25, 0.05, CALL).theta == pytest.approx(annual / 365, abs=1e-7)


any_option = (
    st.floats(1e-3, 1e5),
    st.floats(-12, 12),
    st.floats(0, 20),
    st.floats(0, 10),
    st.floats(-0.2, 0.5),
)


@generated
@given(*any_option)
def test_put_call_parity_holds_to_the_last_places(forward: float, log: float, vol: float, t: float, r: float) -> None:
    strike = forward * math.exp(log)
    call, put = (float(price(forward, strike, vol, t, r, right)) for right in (CALL, PUT))
    error = abs((call - put) - float(np.exp(-r * t)) * (forward - strike))
    assert error <= 4 * np.spacing(max(call, put))


@generated
@given(*any_option)
def test_every_figure_is_finite_and_within_its_bounds(
    forward: float, log: float, vol: float, t: float, r: float
) -> None:
    strike = forward * math.exp(log)
    discount = math.exp(-r * t)
    for right in (CALL, PUT):
        out = greeks(forward, strike, vol, t, r, right)
        assert all(np.isfinite(getattr(out, name)) for name in NAMES)
        assert 0.0 <= right * out.delta <= discount * (1 + 1e-15)
        assert out.gamma >= 0.0
        assert out.vega >= 0.0
        bound = discount * (forward if right == CALL else strike)
        floor = discount * max(right * (forward - strike), 0.0)
        assert floor * (1 - 1e-15) <= out.price <= bound * (1 + 1e-15)
        assert extrinsic(out.price, forward, strike, t, r, right) >= -1e-12 * bound


@pytest.mark.parametrize("right", [CALL, PUT])
def test_the_greeks_are_the_slopes_of_the_price(right: int) -> None:
    forward, strike, vol, t, r = 19.4, 22.0, 0.92, 61 / 365, 0.043
    out = greeks(forward, strike, vol, t, r, right)

    def worth(f: float = forward, v: float = vol, years: float = t) -> float:
        return float(price(f, strike, v, years, r, right))

    h = 1e-4
    assert out.delta == pytest.approx((worth(forward + h) - worth(forward - h)) / (2 * h), abs=1e-9)
    assert out.gamma == pytest.approx((worth(forward + h) - 2 * worth() + worth(forward - h)) / h**2, abs=1e-5)
    assert out.vega == pytest.approx((worth(v=vol + h) - worth(v=vol - h)) / (2 * h) / 100, abs=1e-9)
    # One calendar day is 1/365 of a year; the slope, not the difference of a whole day.
    assert out.theta == pytest.approx(-(worth(years=t + h) - worth(years=t - h)) / (2 * h) / 365, abs=1e-8)


def test_a_long_option_decays_except_deep_in_the_money_at_a_positive_rate() -> None:
    assert greeks(20, 20, 0.9, 0.2, 0.05, CALL).theta < 0
    assert greeks(20, 0.5, 0.9, 0.2, 0.05, CALL).theta == pytest.approx(0.05 * 19.5 * math.exp(-0.01) / 365, abs=1e-12)


@pytest.mark.parametrize(("vol", "t"), [(0.0, 0.5), (0.8, 0.0), (0.0, 0.0)])
def test_without_time_or_vol_it_is_the_discounted_intrinsic_value(vol: float, t: float) -> None:
    discount = math.exp(-0.05 * t)
    forward = np.array([15.0, 20.0, 25.0])
    call, put = greeks(forward, 20.0, vol, t, 0.05, CALL), greeks(forward, 20.0, vol, t, 0.05, PUT)
    assert call.price == pytest.approx(discount * np.array([0, 0, 5]))
    assert put.price == pytest.approx(discount * np.array([5, 0, 0]))
    assert call.delta == pytest.approx(discount * np.array([0, 0.5, 1]))
    assert put.delta == pytest.approx(-discount * np.array([1, 0.5, 0]))
    assert call.gamma == pytest.approx(np.zeros(3))
    # With time left the option at its strike still gains F n(0) sqrt(t) a unit of vol: the slope of s -> 0.
    at_the_strike = discount * 20 * math.sqrt(t) / math.sqrt(2 * math.pi) / 100
    assert call.vega == pytest.approx(np.array([0, at_the_strike, 0]))
    assert call.theta == pytest.approx(0.05 * call.price / 365)
    assert np.array_equal(intrinsic(forward, 20.0, t, 0.05, CALL), call.price)


def test_the_limits_are_reached_continuously() -> None:
    near = greeks(np.array([15.0, 25.0]), 20.0, 0.8, 1e-9, 0.05, CALL)
    there = greeks(np.array([15.0, 25.0]), 20.0, 0.8, 0.0, 0.05, CALL)
    for name in NAMES:
        assert getattr(near, name) == pytest.approx(getattr(there, name), abs=1e-7)


def test_arguments_broadcast_and_scalars_give_scalars() -> None:
    table = price(np.array([[15.0], [20.0]]), np.array([14.0, 16.0, 18.0]), 0.8, 0.1, 0.0, [CALL, PUT, CALL])
    assert table.shape == (2, 3)
    assert table.dtype == np.float64
    assert table[1, 1] == price(20.0, 16.0, 0.8, 0.1, 0.0, PUT)
    assert price(20, 20, 0.8, 0.1, 0, CALL).shape == ()
    assert isinstance(greeks(20, 20, 0.8, 0.1, 0, CALL), Greeks)


def test_extrinsic_is_taken_on_the_discounted_intrinsic_value() -> None:
    # F = 25, K = 20, r t = 0.05: 5 e^{-0.05} = 4.756147; a premium of 5.20 has 0.443853 of time value.
    assert extrinsic(5.20, 25, 20, 1.0, 0.05, CALL) == pytest.approx(5.20 - 4.756147122503571, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"forward": 0.0}, "forward must be above 0"),
        ({"forward": -1.0}, "forward must be above 0"),
        ({"strike": 0.0}, "strike must be above 0"),
        ({"vol": -0.1}, "vol must not be negative"),
        ({"t": -1e-9}, "t must not be negative"),
        ({"right": 0}, r"right must be \+1 \(call\) or -1 \(put\)"),
        ({"right": 2}, "right must be"),
        ({"forward": math.nan}, "forward must be finite"),
        ({"strike": math.inf}, "strike must be finite"),
        ({"vol": math.nan}, "vol must be finite"),
        ({"t": math.inf}, "t must be finite"),
        ({"r": math.nan}, "r must be finite"),
        ({"right": math.nan}, "right must be finite"),
        ({"vol": np.ma.MaskedArray([0.1, 0.2], mask=[False, True])}, "vol must be there"),
        ({"r": -1e6}, "out of range"),
        ({"r": 1e6}, "out of range"),
    ],
)
def test_what_is_no_option_is_refused(change: dict[str, object], complaint: str) -> None:
    good = {"forward": 20.0, "strike": 22.0, "vol": 0.8, "t": 0.1, "r": 0.04, "right": CALL}
    for function in (price, greeks):
        with pytest.raises(ValueError, match=complaint):
            function(**{**good, **change})
