"""Layer 3: the far call spread, the calls of the tail, and the schedule that they are measured by."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hedge_support import EXPIRIES, RULES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from test_hedge_chain import NOW, RATE, expiry_of, message, quoted_chain, quoted_chains, wild_chains

from processors.hedge.chain import Chain, read_chain
from processors.hedge.l3 import build_l3, build_tail, split_l3, spot_notional, vxth_share
from processors.hedge.structure import Structure, Unbuildable
from processors.pricing import CALL, Unavailable, greeks
from topics.hedge_rules import ConvexityRules

WINDOW = RULES.windows["L3"]
AUGUST = EXPIRIES[7]


def _chain(calls: dict[float, tuple[float | None, float | None]], forward: float | None = 20.0) -> Chain:
    """August, 232 days, with these calls; without a VX future, with the puts that parity asks for at 14."""
    strikes = tuple(sorted(calls))
    if forward is None:
        return read_chain(message(expiry_of(AUGUST, forward=None)), NOW, RATE)
    made = expiry_of(
        AUGUST,
        strikes=strikes,
        forward=forward,
        call_bid=tuple(calls[k][0] for k in strikes),
        call_ask=tuple(calls[k][1] for k in strikes),
        put_bid=(None,) * len(strikes),
        put_ask=(None,) * len(strikes),
    )
    return read_chain(message(made), NOW, RATE)


CALLS: dict[float, tuple[float | None, float | None]] = {
    25.0: (2.45, 2.60),
    26.0: (2.25, 2.40),
    30.0: (1.65, 1.80),
    35.0: (1.20, 1.30),
    37.5: (1.00, 1.10),
    40.0: (0.85, 0.95),
}


def test_the_spread_by_hand() -> None:
    found = build_l3(_chain(CALLS), WINDOW)
    assert isinstance(found, Structure)
    # 1.3 x 20 = 26 is listed; 1.8 x 20 = 36 is not, 37.5 is the next. 2.40 - 1.00 = 1.40; 26 + 1.42 = 27.42.
    assert [leg.strike for leg in found.legs] == [26.0, 37.5]
    assert (found.debit, found.max_loss, found.max_gain, found.break_even) == (1.40, 1.42, 10.08, 27.42)
    assert (found.layer, found.kind, found.dte) == ("L3", "call_spread", 232)
    assert found.reason == "strikes from 1.3 and 1.8 x 20, forward from vx"
    assert found.extrinsic == pytest.approx(1.40)  # out of the money


def test_a_month_without_a_future_takes_its_forward_from_parity() -> None:
    found = build_l3(_chain({}, forward=None), WINDOW)
    assert isinstance(found, Structure)
    # At a forward of 14: 18.2 and 25.2, of the strikes 20 and 30.
    assert [leg.strike for leg in found.legs] == [20.0, 30.0]
    assert found.forward == pytest.approx(14.0, abs=1e-3)
    assert found.reason.endswith("forward from parity")


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        ({25.0: (2.45, 2.60)}, "no call at or above 26 can be dealt on"),
        ({26.0: (2.25, 2.40), 35.0: (1.20, 1.30)}, "no call at or above 36 can be dealt on"),
        ({26.0: (2.25, 2.40), 37.5: (2.40, 2.50)}, "costs 0: at least one quote is stale"),
    ],
)
def test_what_cannot_be_built_says_why(calls: dict[float, tuple[float | None, float | None]], words: str) -> None:
    found = build_l3(_chain(calls), WINDOW)
    assert isinstance(found, Unbuildable)
    assert words in found.reason


def test_a_break_even_at_the_short_strike_is_refused() -> None:
    # 14.10 paid, 2.60 received for 11.5 points of width.
    found = build_l3(_chain({26.0: (13.6, 14.1), 37.5: (2.60, 2.80)}), WINDOW)
    assert isinstance(found, Unbuildable)
    assert "cannot gain" in found.reason


def test_without_an_expiry_in_the_window_there_is_none() -> None:
    near = read_chain(message(expiry_of(EXPIRIES[3])), NOW, RATE)
    for found in (build_l3(near, WINDOW), build_tail(near)):
        assert isinstance(found, Unbuildable)
        assert "no expiry at" in found.reason


@given(st.one_of(quoted_chains, wild_chains()))
@settings(max_examples=120, deadline=None)
def test_whatever_the_market_the_strikes_are_the_first_far_enough_out(chain: Chain) -> None:
    found = build_l3(chain, WINDOW)
    quotes = chain.nearest(WINDOW)
    if isinstance(found, Unbuildable):
        return
    assert not isinstance(quotes, Unavailable)
    strikes, forward = np.array(quotes.open_calls()), quotes.forward
    k1, k2 = (leg.strike for leg in found.legs)
    assert k1 == strikes[strikes >= 1.3 * forward - 1e-9].min()
    assert k2 == strikes[(strikes >= 1.8 * forward - 1e-9) & (strikes > k1)].min()
    assert k1 < found.break_even < k2
    assert found.dte > 185


# The tail


def test_the_tail_is_the_call_nearest_to_thirty_delta() -> None:
    chain = quoted_chain(14.0, 0.3)
    found = build_tail(chain)
    assert isinstance(found, Structure)
    quotes = chain.on(EXPIRIES[1])
    assert not isinstance(quotes, Unavailable)
    assert (found.kind, found.layer, found.dte, found.max_gain) == ("call", "L3", 43, None)
    # Deltas by the pricing library, undiscounted; N(d1) written out once more for the one chosen.
    deltas = {
        k: float(greeks(quotes.forward, k, quotes.vol(k) or 0.0, quotes.t, 0.0, CALL).delta)
        for k in quotes.open_calls()
        if k > quotes.forward
    }
    (leg,) = found.legs
    assert leg.strike == min(deltas, key=lambda k: abs(deltas[k] - 0.30))
    s = leg.vol * math.sqrt(quotes.t)
    assert deltas[leg.strike] == pytest.approx(norm.cdf(math.log(quotes.forward / leg.strike) / s + s / 2), rel=1e-12)
    assert found.reason == f"delta {deltas[leg.strike]:.2f}, wanted 0.3; VXTH would spend 0.0% of the portfolio"


@pytest.mark.parametrize(
    ("forward", "share"),
    [(9.0, 0.0), (15.0, 0.0), (15.01, 0.01), (30.0, 0.01), (30.01, 0.005), (50.0, 0.005), (50.01, 0.0), (80.0, 0.0)],
)
def test_the_schedule_of_the_tail_index(forward: float, share: float) -> None:
    assert vxth_share(forward) == share


@pytest.mark.parametrize("forward", [0.0, -1.0, math.nan, math.inf])
def test_a_forward_that_cannot_be_is_refused(forward: float) -> None:
    with pytest.raises(ValueError, match="forward"):
        vxth_share(forward)


def test_no_call_out_of_the_money_gives_no_tail() -> None:
    inside = expiry_of(EXPIRIES[1], forward=14.0, strikes=(10.0, 12.0, 13.0))
    found = build_tail(read_chain(message(inside), NOW, RATE))
    assert isinstance(found, Unbuildable)
    assert found.reason == "no call out of the money can be dealt on"


@given(st.one_of(quoted_chains, wild_chains()))
@settings(max_examples=100, deadline=None)
def test_a_tail_is_one_long_call_out_of_the_money_of_about_a_month(chain: Chain) -> None:
    found = build_tail(chain)
    if isinstance(found, Structure):
        (leg,) = found.legs
        assert leg.ratio == 1
        assert leg.strike > found.forward
        assert 21 <= found.dte <= 45
        assert found.max_loss == pytest.approx(found.debit + 0.01)


@given(st.floats(0, 1), st.booleans())
def test_the_tail_takes_at_most_thirty_percent_of_the_layer(weight: float, tail: bool) -> None:
    spread, tails = split_l3(weight, tail)
    assert tails == (0.3 * weight if tail else 0.0)
    assert spread + tails == pytest.approx(weight)
    assert spread >= 0


def test_what_a_point_of_spot_moves_is_less_than_the_notional_says() -> None:
    found = build_l3(_chain(CALLS), WINDOW)
    assert isinstance(found, Structure)
    assert spot_notional(found) == pytest.approx(0.4 * found.notional)


@pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf])
def test_numbers_that_cannot_be_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        split_l3(bad, True)
    for name in ("k1", "tail_delta", "tail_max", "spot_beta"):
        with pytest.raises(ValueError, match=rf"{name}\s+(Value error, expected a finite|Input should be)"):
            ConvexityRules(**{name: bad})
    with pytest.raises(ValueError, match=r"k1 must be below k2, got 1\.8 and 1\.8"):
        ConvexityRules(k1=1.8)
