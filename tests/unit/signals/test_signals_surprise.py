import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, recorded, run

from processors.signals.surprise import Surprise


def against_numpy(surprises: np.ndarray, window: int = 36, minimum: int = 24) -> float:
    """The largest difference from x / sd of a slice, with missing values in the same places."""
    worst = 0.0
    for t, found in enumerate(run(Surprise(window, minimum), surprises.tolist())):
        past = surprises[max(0, t - window) : t]
        assert (found is None) == (len(past) < minimum)
        if found is not None:
            worst = max(worst, abs(found - surprises[t] / past.std(ddof=1)))
    return worst


def test_the_worked_example() -> None:
    # Past 0.1, -0.1, 0.1, -0.1: mean 0, squared deviations 0.04, sd = sqrt(0.04 / 3). 0.2 is 0.2 / sd = sqrt(3).
    surprise = Surprise(4, 4)
    run(surprise, [0.1, -0.1, 0.1, -0.1])
    assert surprise.value is None
    assert surprise.peek(0.2) == pytest.approx(math.sqrt(3), abs=1e-12)
    assert surprise.peek(0.0) == 0.0


def test_no_mean_is_taken_off() -> None:
    # Forecasts have erred by 1 on average; 1 is a surprise all the same. Past 0, 2, 0, 2: sd = sqrt(4 / 3).
    surprise = Surprise(4, 4)
    run(surprise, [0.0, 2.0, 0.0, 2.0])
    assert surprise.peek(1.0) == pytest.approx(1 / math.sqrt(4 / 3), abs=1e-12)


def test_it_says_nothing_before_24_and_forgets_after_36() -> None:
    rng = np.random.default_rng(1)
    series = rng.normal(0, 0.1, 80).tolist()
    values = run(Surprise(), series)
    assert values[:24] == [None] * 24
    assert None not in values[24:]
    assert run(Surprise(), [99.0, *series])[37:] == values[36:]
    assert run(Surprise(), [99.0, *series])[36] != values[35]


def test_past_surprises_that_do_not_vary_give_0() -> None:
    assert run(Surprise(), [0.0] * 24 + [0.3])[-1] == 0.0
    assert run(Surprise(), [0.1] * 24 + [0.3])[-1] == 0.0
    # A tenth in many disguises of rounding is still a tenth.
    assert run(Surprise(), [3.3 - 3.2, 0.3 - 0.2] * 12 + [0.3])[-1] == 0.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("window", "minimum"), [(36, 24), (16, 16)])
def test_it_equals_numpy_and_pandas_on_random_series(window: int, minimum: int, seed: int) -> None:
    surprises = np.random.default_rng(seed).standard_t(4, 800) * 0.1
    assert against_numpy(surprises, window, minimum) < 1e-9
    series = pd.Series(surprises)
    expected = (series / series.shift().rolling(window, min_periods=minimum).std()).to_numpy()
    ours = np.array(run(Surprise(window, minimum), surprises.tolist()), dtype=float)
    assert np.nanmax(np.abs(ours - expected)) < 1e-9


@generated
@given(st.lists(st.integers(-20, 20).map(lambda tenths: tenths / 10), min_size=8, max_size=30))
def test_the_opposite_surprises_have_the_opposite_values(surprises: list[float]) -> None:
    plain, opposite = run(Surprise(8, 4), surprises), run(Surprise(8, 4), [-x for x in surprises])
    assert opposite == [None if x is None else -x for x in plain]


@pytest.mark.data
def test_it_equals_numpy_on_the_recorded_surprises_of_growth() -> None:
    """First release of real GDP growth less the median forecast of the same quarter, 1990 to 2023."""
    survey = recorded("macro/spf_median_rgdp_growth.csv")
    quarters = survey["survey_year"].astype(str) + ":Q" + survey["survey_quarter"].astype(str)
    expected = pd.Series(survey["q0"].to_numpy(), index=quarters)
    first = recorded("macro/gdp_first_second_third_release.csv").set_index("quarter")["first"]
    surprises = (first - expected).dropna().to_numpy()
    assert len(surprises) > 130
    assert against_numpy(surprises) < 1e-9


@pytest.mark.data
def test_it_equals_numpy_on_the_recorded_policy_surprises() -> None:
    surprises = recorded("macro/fomc_surprise_1990_2020.csv")["mp1_surprise"].dropna().to_numpy()
    assert len(surprises) > 250
    assert against_numpy(surprises, 16, 16) < 1e-9


@pytest.mark.data
def test_the_recorded_core_consumer_prices_gave_a_value_from_the_25th_release_on() -> None:
    calendar = recorded("macro/us_calendar_2020_2022.csv")
    rows = calendar[calendar["event"].str.startswith("Core CPI (MoM)")].drop_duplicates(["date", "event"])
    percent = rows[["actual", "forecast"]].apply(lambda column: column.str.rstrip("%").astype(float))
    surprises = (percent["actual"] - percent["forecast"]).dropna().to_numpy()
    assert len(surprises) > 30
    assert against_numpy(surprises) < 1e-9


def test_a_million_releases_do_not_drift() -> None:
    surprises = np.random.default_rng(3).normal(0, 0.1, 1_000_000)
    surprise = Surprise()
    for x in surprises.tolist():
        surprise.update(x)
    assert surprise.value == pytest.approx(surprises[-1] / surprises[-37:-1].std(ddof=1), abs=1e-12)
    assert surprise.value == run(Surprise(), surprises[-37:].tolist())[-1]
