import math
from itertools import pairwise
from statistics import stdev

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, random_closes, recorded_closes, run

from processors.signals import RealisedVolatility


def by_pandas(closes: np.ndarray, n: int) -> np.ndarray:
    return (np.log(pd.Series(closes)).diff().rolling(n).std(ddof=1) * np.sqrt(252) * 100).to_numpy()


def against_pandas(closes: np.ndarray, n: int = 21) -> float:
    ours = np.array(run(RealisedVolatility(n), closes.tolist()), dtype=float)
    theirs = by_pandas(closes, n)
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    return float(np.nanmax(np.abs(ours - theirs)))


def test_it_is_a_sample_deviation_in_percent_a_year() -> None:
    closes = [100.0, 101.0, 99.0, 100.5]
    returns = [math.log(b / a) for a, b in pairwise(closes)]
    assert run(RealisedVolatility(3), closes)[-1] == pytest.approx(stdev(returns) * 252**0.5 * 100, rel=1e-14)


@pytest.mark.parametrize("seed", range(5))
def test_it_equals_pandas_on_random_series(seed: int) -> None:
    assert against_pandas(random_closes(2000, seed, scale=3000.0)) < 1e-6  # pandas' rolling sums drift, ours do not


@generated
@given(st.lists(st.floats(0.5, 5000.0), min_size=6, max_size=60))
def test_it_equals_numpy_on_every_window_of_any_series(closes: list[float]) -> None:
    returns = np.diff(np.log(closes))
    for i, value in enumerate(run(RealisedVolatility(5), closes)[5:]):
        expected = np.std(returns[i : i + 5], ddof=1) * np.sqrt(252) * 100
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.data
def test_it_equals_pandas_over_the_whole_recorded_spx() -> None:
    assert against_pandas(recorded_closes("spx/spx_daily_ohlc_2000_2019.csv").to_numpy()) < 1e-9


def test_a_flat_series_has_no_volatility_even_after_a_crash() -> None:
    # The window is summed afresh: nothing of the crash is left once it has passed.
    assert run(RealisedVolatility(), [3000.0, 1.0, 3000.0] + [50.0] * 40)[-1] == 0.0


def test_a_restored_state_must_be_possible() -> None:
    with pytest.raises(ValueError, match="not the state of an RV"):
        RealisedVolatility.restore({"n": 2, "last": None, "returns": [0.1]})
    with pytest.raises(ValueError, match="not the state of an RV"):
        RealisedVolatility.restore({"n": 2, "last": 5.0, "returns": [0.1, 0.1, 0.1]})
