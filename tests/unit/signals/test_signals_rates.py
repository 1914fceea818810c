import math

import numpy as np
import pandas as pd
import pytest
from signals_support import recorded, run

from processors.signals.rate_differential import RateDifferential


def against_pandas(levels: pd.Series, sessions: int = 20, window: int = 252, minimum: int = 126) -> tuple[float, float]:
    """The largest differences of change and z, with missing values in the same places."""
    change = levels.diff(sessions).to_numpy()
    worst_change = worst_z = 0.0
    for t, found in enumerate(run(RateDifferential(sessions, window, minimum), levels.tolist())):
        assert (found is None) == (t < sessions)
        if found is None:
            continue
        assert found.level == levels.iloc[t]
        worst_change = max(worst_change, abs(found.change - change[t]))
        past = change[max(sessions, t - window) : t]
        assert (found.z is None) == (len(past) < minimum)
        if found.z is not None:
            worst_z = max(worst_z, abs(found.z - (change[t] - past.mean()) / past.std(ddof=1)))
    return worst_change, worst_z


def test_the_worked_example() -> None:
    # Levels 1, 2, 1, 3: changes over one session 1, -1, 2. Past of the last: mean 0, sd sqrt(2). z = 2 / sqrt(2).
    differential = RateDifferential(1, 2, 2)
    values = run(differential, [1.0, 2.0, 1.0])
    assert values == [None, (2.0, 1.0, None), (1.0, -1.0, None)]
    found = differential.peek(3.0)
    assert found is not None
    assert found[:2] == (3.0, 2.0)
    assert found.z == pytest.approx(math.sqrt(2), abs=1e-12)


def test_the_first_change_needs_21_levels_and_the_first_z_126_changes_before_it() -> None:
    levels = np.random.default_rng(1).normal(0, 0.05, 400).cumsum().tolist()
    values = run(RateDifferential(), levels)
    assert values[19] is None
    assert values[20] is not None
    assert values[20 + 125].z is None
    assert values[20 + 126].z is not None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("sessions", "window", "minimum"), [(20, 252, 126), (1, 60, 60), (5, 30, 10)])
def test_it_equals_pandas_on_random_series(sessions: int, window: int, minimum: int, seed: int) -> None:
    levels = pd.Series(2 + np.random.default_rng(seed).normal(0, 0.05, 900).cumsum().round(3))
    worst_change, worst_z = against_pandas(levels, sessions, window, minimum)
    assert worst_change < 1e-11
    assert worst_z < 1e-9


@pytest.mark.data
def test_it_equals_pandas_on_the_recorded_two_year_yields_of_the_us_and_japan() -> None:
    us = recorded("macro/us_rates_by_tenor_daily.csv").set_index("date")["dgs2"]
    japan = recorded("macro/jgb_rates_by_tenor_daily_2004_2025.csv").set_index("date")["jgb_2y"]
    levels = (us - japan).dropna()
    assert len(levels) > 4500
    worst_change, worst_z = against_pandas(levels)
    assert worst_change < 1e-11
    assert worst_z < 1e-9


def test_rounding_does_not_pass_for_a_move() -> None:
    # Two decimals a differential of 2.2 is taken from: not the same floats, and no change between them.
    pegged = [4.6 - 2.4, 4.5 - 2.3] * 20
    assert len(set(pegged)) == 2
    differential = RateDifferential(1, 30, 10)
    value = run(differential, pegged)[-1]
    assert value[1:] == (0.0, 0.0)
    found = differential.peek(pegged[-1] + 0.1)
    assert found is not None
    assert found.z == 0.0


def test_an_impossible_state_is_refused() -> None:
    differential = RateDifferential(2, 5, 5)
    run(differential, [1.0, 2.0, 3.0, 5.0, 4.0])
    snapshot = differential.snapshot()
    for bad in ([1.0] * 4, [1.0] * 2):
        with pytest.raises(ValueError, match="levels"):
            RateDifferential.restore({**snapshot, "levels": bad})


def test_a_million_sessions_do_not_drift() -> None:
    levels = np.random.default_rng(5).normal(0, 0.05, 1_000_000).cumsum().round(3)
    differential = RateDifferential(20, 60, 24)
    for level in levels.tolist():
        differential.update(level)
    assert differential.value == run(RateDifferential(20, 60, 24), levels[-81:].tolist())[-1]
    changes = levels[20:] - levels[:-20]
    past = changes[-61:-1]
    assert differential.value is not None
    assert differential.value.z == pytest.approx((changes[-1] - past.mean()) / past.std(ddof=1), abs=1e-9)
