import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, random_closes, recorded_closes, run

from processors.signals import Rsi


def against_talib(closes: np.ndarray, n: int = 14) -> float:
    """The largest difference from TA-Lib, with missing values in the same places."""
    ours = np.array(run(Rsi(n), closes.tolist()), dtype=float)
    theirs = talib.RSI(closes, n)
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    difference = np.abs(ours - theirs)
    return float(np.nanmax(difference)) if len(closes) > n else 0.0


def test_the_worked_example_of_the_first_value() -> None:
    # Five changes by hand: +1, +2, -1, 0, -1; mean gain 3/5, mean loss 2/5.
    rsi = Rsi(5)
    assert run(rsi, [10.0, 11.0, 13.0, 12.0, 12.0, 11.0])[-1] == pytest.approx(60.0, abs=1e-12)
    # Next a gain of 2: (4 x 0.6 + 2) / 5 = 0.88 and (4 x 0.4 + 0) / 5 = 0.32.
    assert rsi.peek(13.0) == pytest.approx(100 * 0.88 / 1.20, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [2, 5, 14])
def test_it_equals_talib_on_random_series(seed: int, n: int) -> None:
    assert against_talib(random_closes(2000, seed), n) < 1e-9


@generated
@given(st.lists(st.integers(100, 10_000), min_size=16, max_size=120).filter(lambda s: len(set(s[:15])) > 1))
def test_it_equals_talib_on_any_series_that_moves(cents: list[int]) -> None:
    assert against_talib(np.array(cents) / 100.0) < 1e-9


@pytest.mark.parametrize("n", [2, 14])
def test_a_flat_series_is_in_balance_where_talib_says_zero(n: int) -> None:
    flat = [17.25] * 40
    assert talib.RSI(np.array(flat), n)[-1] == 0.0
    assert run(Rsi(n), flat)[n:] == [50.0] * (40 - n)


def test_only_gains_give_100_and_only_losses_0() -> None:
    assert run(Rsi(), range(1, 30))[-1] == 100.0
    assert run(Rsi(), range(30, 1, -1))[-1] == 0.0


@pytest.mark.data
def test_it_equals_talib_over_the_whole_recorded_spx() -> None:
    closes = recorded_closes("spx/spx_daily_ohlc_2000_2019.csv").to_numpy()
    assert len(closes) > 5000
    assert against_talib(closes) < 1e-9


def test_a_million_sessions_do_not_drift() -> None:
    closes = random_closes(1_000_000, seed=11)
    rsi = Rsi()
    for close in closes.tolist():
        rsi.update(close)
    # A fresh start has forgotten its seed after a thousand sessions; TA-Lib went the whole way.
    assert rsi.value == pytest.approx(run(Rsi(), closes[-1500:].tolist())[-1], abs=1e-9)
    assert rsi.value == pytest.approx(talib.RSI(closes, 14)[-1], abs=1e-9)


def test_an_impossible_state_is_refused() -> None:
    snapshot = Rsi().snapshot()
    for bad in ({"changes": 15}, {"changes": -1}, {"gain": -0.1}, {"loss": -0.1}):
        with pytest.raises(ValueError, match="not the state of an RSI"):
            Rsi.restore({**snapshot, **bad})
