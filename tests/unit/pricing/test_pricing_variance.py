import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pricing_support import generated, loop_variance, worked_example

from processors.pricing import (
    CALL,
    PUT,
    TermVariance,
    Unavailable,
    coin_to_quote,
    constant_maturity,
    pool_quotes,
    price,
    term_variance,
    vix_style,
)

YEAR = 525_600


class Point(NamedTuple):
    variance: float
    minutes: float


def published(term: str, minutes: int, rate: float) -> TermVariance:
    out = term_variance(*worked_example(term), minutes, rate)
    assert isinstance(out, TermVariance)
    return out


# Edition, minutes and rate of either term, both variances and the index as printed, 100 x to the last digit.
EDITIONS = {
    "methodology": (34_484, 0.00031664, 44_954, 0.00028797, 0.019233906, 0.019423884, 13.927842),
    "white paper 2015": (35_924, 0.000305, 46_394, 0.000286, 0.01846292, 0.01882101, 13.685821),
}


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_complete_published_vix_example(edition: str) -> None:
    near_minutes, near_rate, next_minutes, next_rate, near_variance, next_variance, index = EDITIONS[edition]
    near = published("near", near_minutes, near_rate)
    following = published("next", next_minutes, next_rate)
    half_a_digit = 5e-10 if edition == "methodology" else 5e-9
    assert near.variance == pytest.approx(near_variance, abs=half_a_digit)
    assert following.variance == pytest.approx(next_variance, abs=half_a_digit)
    assert near.forward == pytest.approx(1962.89996, abs=5e-6)
    assert following.forward == pytest.approx(1962.40006, abs=5e-6)
    assert (near.k0, following.k0) == (1960.0, 1960.0)
    assert vix_style(constant_maturity(near, following)) == pytest.approx(index, abs=5e-7)


def test_the_published_parts_of_the_example() -> None:
    near, following = published("near", 34_484, 0.00031664), published("next", 44_954, 0.00028797)
    for term, rate, total, correction in (
        (near, 0.00031664, 0.0006320516, 0.00003337),
        (following, 0.00028797, 0.0008314016, 0.00001753),
    ):
        years = term.minutes / YEAR
        parts = [w / k**2 * q for w, k, q in zip(term.widths, term.strikes_used, term.mids, strict=True)]
        assert math.exp(rate * years) * sum(parts) == pytest.approx(total, abs=5e-11)
        assert (term.forward / term.k0 - 1) ** 2 / years == pytest.approx(correction, abs=5e-9)
    # The published contribution of the near-term 1370 put: 5 / 1370^2 x e^{RT} x 0.20 = 0.0000005328.
    first = near.widths[0] / near.strikes_used[0] ** 2 * near.mids[0]
    assert first == pytest.approx(0.0000005328, abs=1e-10)
    assert (near.strikes_used[0], near.widths[0], near.mids[0]) == (1370.0, 5.0, pytest.approx(0.2))
    # K0 is the mean of put and call: (24.25 + 21.30) / 2 and (27.30 + 24.90) / 2.
    assert near.mids[near.puts] == pytest.approx(22.775)
    assert following.mids[following.puts] == pytest.approx(26.10)


def test_the_published_selection_of_strikes() -> None:
    near, following = published("near", 34_484, 0.00031664), published("next", 44_954, 0.00028797)
    # 1365 and 1360 have no bid, so 1355, 1350 and 1300, which have one, do not enter; nor does the 2225 call.
    assert (near.strikes_used[0], near.strikes_used[-1]) == (1370.0, 2125.0)
    assert (following.strikes_used[0], following.strikes_used[-1]) == (1275.0, 2200.0)
    assert (near.puts, near.calls, following.puts, following.calls) == (116, 29, 96, 25)
    # A single option without a bid is skipped, and the widths are between the strikes that are used.
    assert not {1405.0, 1415.0, 2120.0} & set(near.strikes_used)
    widths = dict(zip(near.strikes_used, near.widths, strict=True))
    assert [widths[k] for k in (1400.0, 1410.0, 1420.0, 2100.0, 2125.0)] == [7.5, 10.0, 7.5, 15.0, 25.0]
    widths = dict(zip(following.strikes_used, following.widths, strict=True))
    assert [widths[k] for k in (1275.0, 1325.0, 1350.0, 2150.0, 2200.0)] == [50.0, 37.5, 25.0, 37.5, 50.0]


def test_the_published_interpolation_of_2009() -> None:
    # 9 and 37 days, variances 0.4727679 and 0.3668180: VIX 61.22.
    variance = constant_maturity(Point(0.4727679, 12_960), Point(0.3668180, 53_280))
    assert round(vix_style(variance), 2) == 61.22


@pytest.mark.parametrize("term", ["near", "next"])
@pytest.mark.parametrize("convention", ["listed", "on_chain"])
def test_it_equals_the_independent_loop_on_the_example(term: str, convention: str) -> None:
    quotes = worked_example(term)
    out = term_variance(*quotes, 34_484, 0.00031664, convention=convention)
    assert isinstance(out, TermVariance)
    theirs = loop_variance(
        list(zip(*(q.tolist() for q in quotes), strict=True)),
        34_484 / YEAR,
        0.00031664,
        two_zero_bids_end=convention == "listed",
    )
    assert out.variance == pytest.approx(theirs, rel=1e-12)


quote = st.one_of(st.none(), st.just(0.0), st.floats(0.05, 20))
row = st.tuples(st.floats(0.5, 5), quote, quote, quote, quote)


@generated
@given(st.lists(row, min_size=3, max_size=40), st.integers(60, 200_000), st.sampled_from([None, 20.0, 60.0]))
def test_it_equals_the_independent_loop_on_any_strip(
    steps: list[tuple[float, float | None, float | None, float | None, float | None]],
    minutes: int,
    forward: float | None,
) -> None:
    strikes = 10 + np.cumsum([step[0] for step in steps])
    sides = [[step[i] for step in steps] for i in range(1, 5)]
    out = term_variance(strikes, *sides, minutes, 0.04, forward=forward)
    rows = [(k, *step[1:]) for k, step in zip(strikes.tolist(), steps, strict=True)]
    if isinstance(out, TermVariance):
        assert out.variance == pytest.approx(loop_variance(rows, minutes / YEAR, 0.04, forward), rel=1e-9, abs=1e-12)
        assert len(out.strikes_used) == out.puts + 1 + out.calls == len(out.mids) == len(out.widths)
        assert all(math.isfinite(v) and v > 0 for v in (*out.mids, *out.widths, out.variance))
    else:
        theirs = loop_variance(rows, minutes / YEAR, 0.04, forward)
        assert theirs is None or theirs <= 0 or "out of the money" in out.reason


def dense(vol: float, minutes: float, r: float, forward: float = 100.0) -> TermVariance:
    strikes = np.geomspace(forward / 20, forward * 20, 8001)
    call, put = (price(forward, strikes, vol, minutes / YEAR, r, right) for right in (CALL, PUT))
    out = term_variance(strikes, call, call, put, put, minutes, r, forward=forward)
    assert isinstance(out, TermVariance)
    return out


@pytest.mark.parametrize("vol", [0.1, 0.3, 0.8])
def test_a_dense_black_scholes_strip_gives_the_square_of_its_vol(vol: float) -> None:
    # What the formula is for: replication of the variance of a diffusion (Demeterfi, Derman, Kamal, Zou 1999).
    out = dense(vol, 30 * 1440, 0.04)
    assert out.variance == pytest.approx(vol**2, rel=2e-4)
    assert vix_style(out.variance) == pytest.approx(100 * vol, rel=1e-4)


@generated
@given(st.floats(0.01, 100))
def test_the_variance_does_not_depend_on_the_unit_of_money(unit: float) -> None:
    strikes, *sides = worked_example("near")
    out = term_variance(strikes * unit, *(side * unit for side in sides), 34_484, 0.00031664)
    assert isinstance(out, TermVariance)
    assert out.variance == pytest.approx(0.01923390648, rel=1e-9)


def test_premiums_in_coin_are_converted_first() -> None:
    strikes = np.arange(1000.0, 4000.0, 50.0)
    minutes = 20 * 1440
    sides = [price(2200.0, strikes, 0.7, minutes / YEAR, 0.0, right) for right in (CALL, PUT)]
    call, put = (coin_to_quote(side / 2200.0, 2200.0) for side in sides)
    out = term_variance(strikes, call, call, put, put, minutes, 0.0)
    assert isinstance(out, TermVariance)
    assert out.forward == pytest.approx(2200.0, rel=1e-12)
    assert vix_style(out.variance) == pytest.approx(70.0, abs=0.3)


def test_on_chain_the_walk_goes_on_past_two_options_without_a_bid() -> None:
    strikes, *sides = worked_example("near")
    out = term_variance(strikes, *sides, 34_484, 0.00031664, convention="on_chain")
    assert isinstance(out, TermVariance)
    assert {1300.0, 1325.0, 1350.0, 1355.0, 2225.0} <= set(out.strikes_used)
    assert not {1365.0, 1360.0, 2150.0} & set(out.strikes_used)


def test_a_pool_quotes_its_price_less_and_plus_the_fee() -> None:
    bid, ask = pool_quotes([1.0, 0.02], 0.05)
    assert bid.tolist() == [0.95, 0.0]
    assert ask.tolist() == [1.05, pytest.approx(0.07)]
    with pytest.raises(ValueError, match="fee must not be negative"):
        pool_quotes(1.0, -0.1)


def strip(puts: int, calls: int) -> list[list[float]]:
    """A strip about 100 with so many strikes on either side, all quoted."""
    strikes = [100.0 + i for i in range(-puts, calls + 1)]
    call = price(100.3, strikes, 0.3, 0.1, 0.0, CALL)
    put = price(100.3, strikes, 0.3, 0.1, 0.0, PUT)
    return [strikes, (call - 0.01).tolist(), (call + 0.01).tolist(), (put - 0.01).tolist(), (put + 0.01).tolist()]


def test_on_chain_fewer_than_five_options_on_a_side_are_too_few() -> None:
    assert isinstance(term_variance(*strip(5, 5), 52_560, 0.0, convention="on_chain"), TermVariance)
    assert term_variance(*strip(4, 9), 52_560, 0.0, convention="on_chain") == Unavailable(
        "4 puts out of the money, 5 are needed"
    )
    assert term_variance(*strip(9, 4), 52_560, 0.0, convention="on_chain") == Unavailable(
        "4 calls out of the money, 5 are needed"
    )
    assert isinstance(term_variance(*strip(4, 1), 52_560, 0.0), TermVariance)
    assert term_variance(*strip(4, 0), 52_560, 0.0) == Unavailable("0 calls out of the money, 1 are needed")


def test_a_crossed_or_one_sided_quote_counts_as_no_bid() -> None:
    good = strip(8, 8)
    absent: list[list[float | None]] = [list(side) for side in good]
    absent[3][4] = None  # put bid of 96
    crossed = [list(side) for side in good]
    crossed[4][4] = crossed[3][4] - 0.005
    zero = [list(side) for side in good]
    zero[3][4] = 0.0
    outs = [term_variance(*sides, 52_560, 0.0) for sides in (absent, crossed, zero)]
    assert isinstance(outs[0], TermVariance)
    assert outs[0] == outs[1] == outs[2]
    assert 96.0 not in outs[0].strikes_used


def test_a_forward_at_a_strike_makes_that_strike_k0() -> None:
    out = term_variance(*strip(5, 5), 52_560, 0.0, forward=100.0)
    assert isinstance(out, TermVariance)
    assert (out.k0, out.puts, out.calls) == (100.0, 5, 5)


def test_what_the_quotes_do_not_determine_is_unavailable_and_says_why() -> None:
    sides = strip(5, 5)
    assert term_variance(*sides, 52_560, 0.0, forward=90.0) == Unavailable(
        "the forward 90.0 is below the lowest strike 95.0"
    )
    none: list[float | None] = [None] * 11
    assert term_variance(sides[0], none, none, *sides[3:], 52_560, 0.0) == Unavailable(
        "no strike has both a call and a put"
    )
    no_k0: list[list[float | None]] = [list(side) for side in sides]
    no_k0[1][5] = None
    assert term_variance(*no_k0, 52_560, 0.0, forward=100.3) == Unavailable(
        "call and put at K0 = 100.0 are not both quoted"
    )
    far = term_variance(*sides, 52_560, 0.0, forward=1000.0)
    assert isinstance(far, Unavailable)
    few = [side[:7] for side in sides]
    wrong = term_variance(*few, 52_560, 0.0, forward=100.9)
    assert isinstance(wrong, TermVariance)
    tiny = [few[0], [0.001] * 7, [0.001] * 7, [0.001] * 7, [0.001] * 7]
    out = term_variance(*tiny, 52_560, 0.0, forward=100.9)
    assert isinstance(out, Unavailable)
    assert "does not fit the quotes" in out.reason


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"minutes": 0}, "minutes must be above 0"),
        ({"minutes": math.nan}, "minutes must be finite"),
        ({"r": math.inf}, "r must be finite"),
        ({"strikes": [101.0, 100.0, 102.0]}, "ascending"),
        ({"strikes": [0.0, 100.0, 102.0]}, "strikes must be above 0"),
        ({"call_bid": [1.0, math.nan, 1.0]}, "call_bid must be finite"),
        ({"put_ask": [1.0, -1.0, 1.0]}, "put_ask must not be negative"),
        ({"put_bid": [1.0, 1.0]}, "put_bid must hold one entry"),
        ({"forward": 0.0}, "forward must be above 0"),
        ({"convention": "otc"}, "convention must be"),
    ],
)
def test_malformed_strips_are_refused(change: dict[str, object], complaint: str) -> None:
    good = {
        "strikes": [99.0, 100.0, 101.0],
        "call_bid": [1.5, 1.0, 0.5],
        "call_ask": [1.6, 1.1, 0.6],
        "put_bid": [0.5, 1.0, 1.5],
        "put_ask": [0.6, 1.1, 1.6],
        "minutes": 43_200,
        "r": 0.0,
    }
    with pytest.raises(ValueError, match=complaint):
        term_variance(**{**good, **change})


def test_constant_maturity_is_linear_in_total_variance_and_never_extrapolates() -> None:
    near, following = Point(0.04, 20_000), Point(0.09, 60_000)
    assert constant_maturity(near, following, 20_000) == pytest.approx(0.04)
    assert constant_maturity(near, following, 60_000) == pytest.approx(0.09)
    # Total variances 800 and 5,400 in minutes; half way 3,100, over 40,000 minutes.
    assert constant_maturity(near, following, 40_000) == pytest.approx(3_100 / 40_000)
    for minutes in (19_999, 60_001):
        with pytest.raises(ValueError, match="must lie between the two expiries"):
            constant_maturity(near, following, minutes)
    with pytest.raises(ValueError, match="must lie between the two expiries"):
        constant_maturity(following, near)
    with pytest.raises(ValueError, match="variance must not be negative"):
        vix_style(-0.01)
