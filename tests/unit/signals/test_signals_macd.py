from itertools import pairwise

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, random_closes, recorded_closes, run

from processors.signals import Macd


def against_talib(closes: np.ndarray, *periods: int) -> float:
    """The largest difference from TA-Lib of all three lines, with missing values in the same places."""
    periods = periods or (12, 26, 9)
    values = run(Macd(*periods), closes.tolist())
    ours = np.array([(np.nan,) * 3 if v is None else (v.macd, v.signal, v.hist) for v in values]).T
    theirs = np.array(talib.MACD(closes, *periods))
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    return float(np.nanmax(np.abs(ours - theirs)))


def crossings(hist: np.ndarray) -> list[str | None]:
    """Sign changes of a histogram as a plain comparison of neighbours."""
    found: list[str | None] = [None]
    for before, now in pairwise(hist):
        found.append("bullish" if before <= 0 and now > 0 else "bearish" if before >= 0 and now < 0 else None)
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("periods", [(12, 26, 9), (3, 7, 4), (5, 35, 5)])
def test_it_equals_talib_on_random_series(seed: int, periods: tuple[int, int, int]) -> None:
    assert against_talib(random_closes(2000, seed), *periods) < 1e-9


@generated
@given(st.lists(st.integers(500, 9_000), min_size=34, max_size=150))
def test_it_equals_talib_on_any_series(cents: list[int]) -> None:
    assert against_talib(np.array(cents) / 100.0) < 1e-9


@pytest.mark.data
def test_it_equals_talib_over_the_whole_recorded_vix_with_the_same_crossovers() -> None:
    closes = recorded_closes("vol-indices/vix_ohlc_1990_2019.csv").to_numpy()
    assert len(closes) > 7500
    assert against_talib(closes) < 1e-9
    values = run(Macd(), closes.tolist())[33:]
    hist = talib.MACD(closes, 12, 26, 9)[2][33:]
    assert [value.cross for value in values] == crossings(hist)


@pytest.mark.parametrize("seed", range(5))
def test_crossovers_and_their_age_follow_the_histogram(seed: int) -> None:
    closes = random_closes(800, seed)
    expected = crossings(talib.MACD(closes, 12, 26, 9)[2][33:])
    last, age = None, None
    for value, cross in zip(run(Macd(), closes.tolist())[33:], expected, strict=True):
        if cross is not None:
            last, age = cross, 0
        elif age is not None:
            age += 1
        assert (value.cross, value.last_cross, value.sessions_since_cross) == (cross, last, age)
    assert {"bullish", "bearish"} <= set(expected)


def test_it_acts_only_from_the_required_bar_on() -> None:
    values = run(Macd(), random_closes(200, seed=1).tolist())
    assert [bar for bar, value in enumerate(values, start=1) if value and value.acting] == list(range(120, 201))
    assert run(Macd(min_bars=0), random_closes(34, seed=1).tolist())[-1].acting


def test_a_histogram_that_touches_zero_crosses_when_it_leaves_it() -> None:
    snapshot = Macd(min_bars=0).snapshot()
    seeded = {**snapshot, "bars": 100, "fast": 20.0, "slow": 20.0, "macd": 0.0, "signal": 0.0}
    assert Macd.restore(seeded).peek(21.0).cross == "bullish"
    assert Macd.restore(seeded).peek(19.0).cross == "bearish"
    assert Macd.restore(seeded).peek(20.0).cross is None


def test_a_million_sessions_do_not_drift() -> None:
    closes = random_closes(1_000_000, seed=12)
    macd = Macd()
    for close in closes.tolist():
        macd.update(close)
    value, fresh = macd.value, run(Macd(), closes[-1500:].tolist())[-1]
    assert (value.macd, value.signal) == pytest.approx((fresh.macd, fresh.signal), abs=1e-9)
    theirs = [line[-1] for line in talib.MACD(closes, 12, 26, 9)]
    assert [value.macd, value.signal, value.hist] == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"parameters": [12, 26, 9]}, "four integers"),
        ({"parameters": [12, 26.5, 9, 120]}, "four integers"),
        ({"bars": 3}, "cannot keep 0 closes"),
        ({"signal": 0.5}, "signal line"),
        ({"cross": "sideways"}, "crossover"),
    ],
)
def test_an_impossible_state_is_refused(bad: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Macd.restore({**Macd().snapshot(), **bad})
