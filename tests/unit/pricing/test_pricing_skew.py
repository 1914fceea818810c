import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pricing_support import generated
from scipy.optimize import brentq
from scipy.stats import norm

from processors.pricing import CALL, PUT, delta_skew, vol_at_delta

STRIKES = np.arange(60.0, 160.0, 0.5)


def smile(strike: float | np.ndarray) -> float | np.ndarray:
    return 0.25 - 0.3 * np.log(np.asarray(strike) / 100) + 0.4 * np.log(np.asarray(strike) / 100) ** 2


def forward_delta(strike: float, vol: float, t: float) -> float:
    return float(norm.cdf((math.log(100 / strike) + vol**2 * t / 2) / (vol * math.sqrt(t))))


def test_it_equals_a_root_find_on_the_smile_itself() -> None:
    t = 0.25
    put = brentq(lambda k: 1 - forward_delta(k, float(smile(k)), t) - 0.25, 60, 100)
    call = brentq(lambda k: forward_delta(k, float(smile(k)), t) - 0.25, 100, 160)
    expected = float(smile(put) - smile(call))
    assert expected > 0.03
    # Linear between strikes: the error falls with the square of their distance.
    for step, error in ((0.5, 2e-5), (0.05, 2e-7)):
        strikes = np.arange(60.0, 160.0, step)
        vols = smile(strikes)
        assert delta_skew(strikes, vols, vols, 100.0, t) == pytest.approx(expected, abs=error)


@generated
@given(st.floats(0.05, 3), st.floats(0.02, 2), st.floats(0.05, 0.45))
def test_a_flat_smile_has_no_skew(vol: float, t: float, delta: float) -> None:
    strikes = 100 * np.exp(np.linspace(-4, 4, 81) * vol * math.sqrt(t) + vol**2 * t / 2)
    flat = np.full(strikes.size, vol)
    assert delta_skew(strikes, flat, flat, 100.0, t, delta) == pytest.approx(0.0, abs=1e-14)
    assert vol_at_delta(strikes, flat, 100.0, t, CALL, delta) == pytest.approx(vol, rel=1e-14)


def test_between_two_strikes_it_is_linear_in_delta() -> None:
    strikes, vols, t = [105.0, 115.0], [0.22, 0.20], 0.2
    near, far = (forward_delta(k, v, t) for k, v in zip(strikes, vols, strict=True))
    assert near > 0.25 > far
    expected = 0.22 + (near - 0.25) / (near - far) * (0.20 - 0.22)
    assert vol_at_delta(strikes, vols, 100.0, t, CALL) == pytest.approx(expected, abs=1e-15)


def test_at_a_quoted_delta_it_is_the_quoted_vol() -> None:
    vols = [0.21, 0.2, 0.19]
    target = forward_delta(105.0, 0.2, 0.2)
    assert vol_at_delta([100.0, 105.0, 110.0], vols, 100.0, 0.2, CALL, target) == pytest.approx(0.2, abs=1e-14)
    put = 1 - forward_delta(95.0, 0.2, 0.2)
    assert vol_at_delta([90.0, 95.0, 100.0], vols, 100.0, 0.2, PUT, put) == pytest.approx(0.2, abs=1e-14)


def test_a_strip_that_does_not_reach_has_no_skew() -> None:
    vols = smile(STRIKES)
    assert delta_skew(STRIKES, vols, np.ma.MaskedArray(vols, mask=STRIKES > 103), 100.0, 0.25) is None
    assert delta_skew(STRIKES, np.ma.MaskedArray(vols, mask=STRIKES < 97), vols, 100.0, 0.25) is None
    assert vol_at_delta([120.0, 125.0], [0.2, 0.2], 100.0, 0.1, CALL) is None
    assert vol_at_delta([100.0, 110.0], [0.2, None], 100.0, 0.1, CALL) is None


def test_a_missing_strike_is_bridged() -> None:
    vols: list[float | None] = smile(STRIKES).tolist()
    full = delta_skew(STRIKES, vols, vols, 100.0, 0.25)
    holes = [None if i % 3 == 1 else vol for i, vol in enumerate(vols)]
    assert delta_skew(STRIKES, holes, holes, 100.0, 0.25) == pytest.approx(full, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"forward": 0.0}, "forward must be above 0"),
        ({"t": 0.0}, "t must be above 0"),
        ({"right": 0}, "right must be"),
        ({"delta": 0.0}, "delta must lie between 0 and 1"),
        ({"delta": 1.0}, "delta must lie between 0 and 1"),
        ({"delta": math.nan}, "delta must be finite"),
        ({"vols": [0.2, 0.0]}, "vols must be above 0"),
        ({"vols": [0.2, math.nan]}, "vols must be finite"),
        ({"strikes": [110.0, 100.0]}, "ascending"),
    ],
)
def test_what_is_no_smile_is_refused(change: dict[str, object], complaint: str) -> None:
    good = {"strikes": [100.0, 110.0], "vols": [0.2, 0.2], "forward": 100.0, "t": 0.1, "right": CALL}
    with pytest.raises(ValueError, match=complaint):
        vol_at_delta(**{**good, **change})
