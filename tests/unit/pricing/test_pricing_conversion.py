import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pricing_support import generated

from processors.pricing import CALL, PUT, Lots, conversion_edge, price, reversal_edge, stale

VIX = Lots(option_fee=0.66, future_fee=1.72)


def test_the_lots_of_vix_options_against_vx_and_their_fees_in_points() -> None:
    assert VIX.pairs_to_futures == (10, 1)
    # Ten calls and ten puts at 0.66 and one future at 1.72 are 14.92 USD on 1,000 USD a point.
    assert VIX.cost == pytest.approx(0.01492)
    assert Lots(option_multiplier=100, future_multiplier=100).pairs_to_futures == (1, 1)
    assert Lots(option_multiplier=100, future_multiplier=250).pairs_to_futures == (5, 2)


def test_hand_worked_edges() -> None:
    # Conversion: 20 - 20.55 + (1.90 - 1.25) x e^0.01 - 0.01492 = -0.55 + 0.6565326 - 0.01492 = 0.0916126.
    conversion = conversion_edge(20.0, 1.90, 1.25, 20.55, 0.25, 0.04, VIX)
    assert conversion == pytest.approx(-0.55 + 0.65 * math.exp(0.01) - 0.01492, abs=1e-13)
    assert conversion == pytest.approx(0.0916126, abs=1e-6)
    # Reversal at the other sides: 20.50 - 20 - (2.00 - 1.20) x e^0.01 - 0.01492 = -0.3229601.
    reversal = reversal_edge(20.0, 2.00, 1.20, 20.50, 0.25, 0.04, VIX)
    assert reversal == pytest.approx(0.5 - 0.8 * math.exp(0.01) - 0.01492, abs=1e-13)
    assert not stale(conversion, reversal)


def test_at_fair_prices_neither_has_an_edge_before_fees() -> None:
    strikes = np.arange(12.0, 40.0)
    call, put = (price(19.3, strikes, 0.9, 0.3, 0.05, right) for right in (CALL, PUT))
    assert np.max(np.abs(conversion_edge(strikes, call, put, 19.3, 0.3, 0.05))) < 1e-13
    assert np.max(np.abs(reversal_edge(strikes, call, put, 19.3, 0.3, 0.05))) < 1e-13


@generated
@given(
    *[st.floats(0, 10)] * 2,
    *[st.floats(5, 50)] * 2,
    *[st.floats(0, 2)] * 3,
    st.floats(0, 1),
    st.floats(0, 5),
)
def test_quotes_of_one_moment_never_pay_both_ways(
    call: float, put: float, strike: float, future: float, w1: float, w2: float, w3: float, t: float, fee: float
) -> None:
    lots = Lots(option_fee=fee, future_fee=fee)
    conversion = conversion_edge(strike, call, put + w2, future + w3, t, 0.03, lots)
    reversal = reversal_edge(strike, call + w1, put, future, t, 0.03, lots)
    # The sum is minus the widths and both fees.
    expected = -(w1 + w2) * math.exp(0.03 * t) - w3 - 2 * lots.cost
    assert conversion + reversal == pytest.approx(expected, abs=1e-12)
    assert not (stale(conversion, reversal) and expected < -1e-12)


def test_a_stale_quote_is_seen_strike_by_strike() -> None:
    strikes = np.array([18.0, 20.0])
    conversion = conversion_edge(strikes, [3.0, 2.5], [1.3, 1.2], 19.5, 0.1, 0.0)
    reversal = reversal_edge(strikes, [3.1, 1.0], [1.2, 2.0], 19.4, 0.1, 0.0)
    assert conversion.tolist() == pytest.approx([0.2, 1.8])
    assert reversal.tolist() == pytest.approx([-0.5, 0.4])
    assert stale(conversion, reversal).tolist() == [False, True]
    assert not stale(0.0, 1.0)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"strike": 0.0}, "strike must be above 0"),
        ({"call_bid": -0.1}, "call_bid must not be negative"),
        ({"put_ask": math.nan}, "put_ask must be finite"),
        ({"future_ask": 0.0}, "future must be above 0"),
        ({"t": -0.1}, "t must not be negative"),
        ({"r": math.inf}, "r must be finite"),
    ],
)
def test_what_cannot_be_quoted_is_refused(change: dict[str, float], complaint: str) -> None:
    good = {"strike": 20.0, "call_bid": 1.0, "put_ask": 1.0, "future_ask": 20.0, "t": 0.1, "r": 0.04}
    with pytest.raises(ValueError, match=complaint):
        conversion_edge(**{**good, **change})


def test_what_is_no_contract_is_refused() -> None:
    with pytest.raises(ValueError, match="option_multiplier must be at least 1"):
        Lots(option_multiplier=0)
    with pytest.raises(ValueError, match="future_fee must not be negative"):
        Lots(future_fee=-0.1)
    with pytest.raises(ValueError, match="option_fee must be finite"):
        Lots(option_fee=math.nan)
    with pytest.raises(ValueError, match="conversion must be finite"):
        stale(math.nan, 0.0)
