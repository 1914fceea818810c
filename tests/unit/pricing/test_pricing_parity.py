import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pricing_support import generated, worked_example

from processors.pricing import (
    CALL,
    PUT,
    ParityFit,
    ParityForward,
    Unavailable,
    coin_to_quote,
    forward_fit,
    forward_nearest,
    price,
)


def strip(forward: float, t: float, r: float, strikes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    vol = 0.9 + 0.01 * strikes
    return price(forward, strikes, vol, t, r, CALL), price(forward, strikes, vol, t, r, PUT)


def quoted(mid: np.ndarray, half_width: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return mid - half_width, mid + half_width


STRIKES = np.arange(12.0, 32.0, 1.0)


@pytest.mark.parametrize(
    ("term", "minutes", "rate", "strike", "published"),
    [("near", 34_484, 0.00031664, 1965.0, 1962.89996), ("next", 44_954, 0.00028797, 1960.0, 1962.40006)],
)
def test_the_published_forwards_of_the_vix_example(
    term: str, minutes: int, rate: float, strike: float, published: float
) -> None:
    k, call_bid, call_ask, put_bid, put_ask = worked_example(term)
    out = forward_nearest(k, (call_bid + call_ask) / 2, (put_bid + put_ask) / 2, minutes / 525_600, rate)
    assert isinstance(out, ParityForward)
    assert out.strike == strike
    assert out.forward == pytest.approx(published, abs=5e-6)
    fit = forward_fit(k, call_bid, call_ask, put_bid, put_ask)
    assert isinstance(fit, ParityFit)
    # A hundred strikes agree with the one to a few hundredths of a point.
    assert fit.forward == pytest.approx(published, abs=0.5)
    assert fit.discount == pytest.approx(1.0, abs=2e-3)


@generated
@given(st.floats(13, 30), st.floats(0.01, 1), st.floats(-0.02, 0.1))
def test_a_strip_without_noise_gives_its_forward_back(forward: float, t: float, r: float) -> None:
    call, put = strip(forward, t, r, STRIKES)
    near = forward_nearest(STRIKES, call, put, t, r)
    assert isinstance(near, ParityForward)
    assert near.forward == pytest.approx(forward, rel=1e-13)
    assert abs(near.strike - forward) <= 0.5 + 1e-9
    fit = forward_fit(STRIKES, *quoted(call, 0.0), *quoted(put, 0.0), minimum=3)
    assert isinstance(fit, ParityFit)
    assert fit.forward == pytest.approx(forward, rel=1e-9)
    assert fit.discount == pytest.approx(math.exp(-r * t), rel=1e-9)
    assert fit.residual < 1e-10


@generated
@given(st.floats(13, 30), st.floats(0.01, 1), st.floats(0, 0.1))
def test_a_strip_in_coin_gives_its_forward_back(forward: float, t: float, lending: float) -> None:
    # c = e^{-qt} (undiscounted premium) / F.
    call, put = (side * math.exp(-lending * t) / forward for side in strip(forward, t, 0.0, STRIKES))
    near = forward_nearest(STRIKES, call, put, t, lending, coin_settled=True)
    assert isinstance(near, ParityForward)
    assert near.forward == pytest.approx(forward, rel=1e-12)
    fit = forward_fit(STRIKES, *quoted(call, 0.0), *quoted(put, 0.0), coin_settled=True)
    assert isinstance(fit, ParityFit)
    assert fit.forward == pytest.approx(forward, rel=1e-9)
    assert fit.discount == pytest.approx(math.exp(-lending * t), rel=1e-9)


def test_a_hand_worked_coin_strip() -> None:
    # F = 2000, K = 2100: c - p = 1 - 2100/2000 = -0.05, so F = 2100 / 1.05.
    out = forward_nearest([2100.0], [0.03], [0.08], 0.1, 0.0, coin_settled=True)
    assert out == ParityForward(pytest.approx(2000.0, rel=1e-14), 2100.0)
    assert coin_to_quote(0.03, 2000.0) == pytest.approx(60.0)


def test_one_stale_strike_hardly_moves_the_fit_where_it_would_move_least_squares() -> None:
    rng = np.random.default_rng(1)
    call, put = strip(18.0, 0.2, 0.04, STRIKES)
    call = call + rng.normal(0, 0.01, call.size)
    call[3] += 1.5
    fit = forward_fit(STRIKES, *quoted(call, 0.05), *quoted(put, 0.05))
    assert isinstance(fit, ParityFit)
    slope, level = np.polyfit(STRIKES, call - put, 1)
    assert abs(fit.forward - 18.0) < 0.02
    assert abs(-level / slope - 18.0) > 0.05


def test_wide_quotes_weigh_less() -> None:
    call, put = strip(18.0, 0.2, 0.04, STRIKES)
    wide = STRIKES < 22
    call = call + np.where(wide, 0.3, 0.0)
    fit = forward_fit(
        STRIKES, *quoted(call, np.where(wide, 0.5, 0.01)), *quoted(put, np.where(wide, 0.3, 0.01))
    )
    assert isinstance(fit, ParityFit)
    assert abs(fit.forward - 18.0) < 0.02


def test_clean_normal_noise_costs_little_against_least_squares() -> None:
    rng = np.random.default_rng(2)
    call, put = strip(18.0, 0.2, 0.04, STRIKES)
    ours, plain = [], []
    for _ in range(400):
        noisy = call + rng.normal(0, 0.02, call.size)
        fit = forward_fit(STRIKES, *quoted(noisy, 0.0), *quoted(put, 0.0), minimum=10)
        assert isinstance(fit, ParityFit)
        ours.append(fit.forward - 18.0)
        slope, level = np.polyfit(STRIKES, noisy - put, 1)
        plain.append(-level / slope - 18.0)
    assert np.std(ours) < 1.15 * np.std(plain)


def test_strikes_without_both_sides_take_no_part() -> None:
    call, put = strip(18.0, 0.2, 0.04, STRIKES)
    absent_call: list[float | None] = [None if k == 18 else float(c) for k, c in zip(STRIKES, call, strict=True)]
    out = forward_nearest(STRIKES, absent_call, put, 0.2, 0.04)
    assert isinstance(out, ParityForward)
    assert out.strike in (17.0, 19.0)
    bid, ask = quoted(call, 0.05)
    bid[0] = 0.0  # no bid
    ask[1] = bid[1] - 0.5  # crossed
    fit = forward_fit(STRIKES, np.ma.MaskedArray(bid, mask=STRIKES == 20), ask, *quoted(put, 0.0))
    assert isinstance(fit, ParityFit)
    assert fit.strikes == STRIKES.size - 3 - int((put <= 0).sum())


def test_of_two_strikes_as_close_the_lower_serves() -> None:
    out = forward_nearest([20.0, 21.0], [1.5, 1.0], [1.0, 1.5], 0.1, 0.0)
    assert out == ParityForward(20.5, 20.0)


def test_what_the_quotes_do_not_determine_is_unavailable_and_says_why() -> None:
    assert forward_nearest([20.0, 21.0], [1.0, None], [None, 1.0], 0.1, 0.0) == Unavailable(
        "no strike has both a call and a put"
    )
    low = forward_nearest([1.0], [0.1], [5.0], 0.1, 0.0)
    assert low == Unavailable("call and put at strike 1.0 imply no forward above 0")
    assert forward_nearest([1.0], [1.5], [0.1], 0.1, 0.0, coin_settled=True) == low
    sides = ([1.0, 0.9], [1.1, 1.0], [1.0, 1.1], [1.1, 1.2])
    assert forward_fit([20.0, 21.0], *sides) == Unavailable(
        "2 strikes with a two-sided call and put, 3 are needed"
    )
    rising = ([1.0, 2.0, 3.0],) * 2 + ([1.0, 1.0, 1.0],) * 2
    for coin_settled in (False, True):
        out = forward_fit([20.0, 21.0, 22.0], *rising, coin_settled=coin_settled)
        assert isinstance(out, Unavailable)
        assert "no forward above 0" in out.reason


def test_malformed_strips_are_refused() -> None:
    with pytest.raises(ValueError, match="ascending"):
        forward_nearest([21.0, 20.0], [1.0, 1.0], [1.0, 1.0], 0.1, 0.0)
    with pytest.raises(ValueError, match="ascending"):
        forward_nearest([20.0, 20.0], [1.0, 1.0], [1.0, 1.0], 0.1, 0.0)
    with pytest.raises(ValueError, match="call must be finite"):
        forward_nearest([20.0], [math.nan], [1.0], 0.1, 0.0)
    with pytest.raises(ValueError, match="put must not be negative"):
        forward_nearest([20.0], [1.0], [-1.0], 0.1, 0.0)
    with pytest.raises(ValueError, match="put must hold one entry for each of the 1 strikes"):
        forward_nearest([20.0], [1.0], [1.0, 2.0], 0.1, 0.0)
    with pytest.raises(ValueError, match="t must be one number"):
        forward_nearest([20.0], [1.0], [1.0], np.array([0.1]), 0.0)
    with pytest.raises(ValueError, match="minimum must be at least 2"):
        forward_fit([20.0], [1.0], [1.0], [1.0], [1.0], minimum=1)
    with pytest.raises(ValueError, match="forward must be above 0"):
        coin_to_quote(0.1, 0.0)
