import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, random_closes, run

from processors.signals import SessionChange, TrailingWindow

quotes = st.lists(st.integers(900, 1200).map(lambda cents: cents / 100), min_size=1, max_size=80)


@generated
@given(quotes, st.floats(0, 1))
def test_quantiles_and_median_equal_numpy_over_the_last_observations(series: list[float], q: float) -> None:
    window = TrailingWindow(20, minimum=1)
    for i, x in enumerate(series, start=1):
        window.update(x)
        trailing = series[max(0, i - 20) : i]
        assert len(window) == len(trailing)
        assert window.quantile(q) == pytest.approx(np.quantile(trailing, q), rel=1e-12)
        assert window.median() == pytest.approx(np.median(trailing), rel=1e-15)


@generated
@given(quotes)
def test_the_rank_counts_strictly_lower_ones_among_the_earlier_sessions_only(series: list[float]) -> None:
    window = TrailingWindow(20, minimum=3)
    for i, x in enumerate(series):
        trailing = series[max(0, i - 20) : i]
        expected = sum(y < x for y in trailing) / len(trailing) if len(trailing) >= 3 else None
        assert window.peek(x) == expected
        window.update(x)
        assert window.value == expected


def test_a_full_window_is_needed_unless_told_otherwise() -> None:
    window = TrailingWindow(252)
    run(window, random_closes(251, seed=1).tolist())
    assert (window.filled, window.median(), window.quantile(0.5), window.peek(20.0)) == (False, None, None, None)
    window.update(20.0)
    assert window.filled
    assert window.median() is not None
    assert not window.ready  # it could not be ranked itself: only 251 came before


def test_the_lowest_third_of_252_is_84_observations() -> None:
    window = TrailingWindow(252)
    run(window, [float(x) for x in range(1, 253)])
    assert window.peek(84.5) == 1 / 3
    assert window.peek(84.0) < 1 / 3


def test_a_new_low_ranks_0_and_a_new_high_1_whatever_was_in_the_window() -> None:
    window = TrailingWindow(10)
    run(window, random_closes(30, seed=2).tolist())
    assert (window.peek(0.01), window.peek(1e6)) == (0.0, 1.0)


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan")])
def test_a_quantile_outside_0_to_1_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="quantile"):
        TrailingWindow(5).quantile(q)


def test_many_updates_keep_the_sorted_copy_right() -> None:
    window = TrailingWindow(252)
    series = random_closes(50_000, seed=3).tolist()
    run(window, series)
    assert [window.quantile(i / 251) for i in range(252)] == pytest.approx(sorted(series[-252:]), rel=1e-12)


def test_a_restored_window_must_fit() -> None:
    with pytest.raises(ValueError, match="cannot hold 3"):
        TrailingWindow.restore({"sessions": 2, "minimum": 2, "value": None, "ring": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="cannot hold 3"):
        SessionChange.restore({"n": 1, "relative": False, "ring": [1.0, 2.0, 3.0]})


@generated
@given(quotes, st.integers(1, 7))
def test_changes_equal_numpy_differences(series: list[float], n: int) -> None:
    values = np.array(series)
    assert run(SessionChange(n), series)[n:] == (values[n:] - values[:-n]).tolist()
    assert run(SessionChange(n, relative=True), series)[n:] == (values[n:] / values[:-n] - 1.0).tolist()
