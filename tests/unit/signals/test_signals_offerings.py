import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
import test_signals_battery as battery
from signals_support import recorded, run

from processors.signals import SessionCalendar
from processors.signals.offerings import OfferingCount, OfferingValue

LAWS = [
    battery.test_there_is_no_value_before_it_is_ready_and_one_ever_after,
    battery.test_a_peek_changes_nothing_and_is_the_value_that_an_update_gives,
    battery.test_a_restored_snapshot_goes_on_bit_for_bit_from_any_point,
    battery.test_a_snapshot_is_not_touched_by_what_comes_later,
    battery.test_a_snapshot_with_a_key_missing_or_of_the_wrong_type_is_refused_by_name,
]


@dataclass(frozen=True)
class OfferingsCase(battery.Case):
    def observations(self, n: int, seed: int) -> list[Any]:
        return made_counts(n, seed)


def made_counts(n: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    return rng.poisson(1.5 + np.sin(np.arange(n) / 150)).tolist()


def largest_difference(counts: list[int], sessions: int, window: int, minimum: int = 126) -> float:
    """From the definition written in pandas, with missing values in the same places."""
    values = run(OfferingCount(sessions, window, minimum), counts)
    rows = [(math.nan, math.nan) if value is None else value for value in values]
    ours = pd.DataFrame(rows, columns=list(OfferingValue._fields)).astype(float)
    trailing = pd.Series(counts, dtype=float).rolling(sessions).apply(np.sum, raw=True)
    past = trailing.shift(1).rolling(window, min_periods=minimum)
    z = (trailing - past.apply(np.nanmean, raw=True)) / past.apply(lambda w: np.nanstd(w, ddof=1), raw=True)
    theirs = pd.DataFrame({"trailing": trailing, "z": z})
    assert ours.isna().equals(theirs.isna())
    assert z.notna().any()
    return float((ours - theirs).abs().max().max())


@pytest.mark.parametrize("law", LAWS)
def test_it_keeps_the_laws_of_a_statistic(law: Any) -> None:
    law(OfferingsCase(lambda: OfferingCount(5, 20, 10), first_value=5))


def test_the_worked_example() -> None:
    values = run(OfferingCount(sessions=2, window=3, minimum=3), [1, 0, 2, 2, 3])
    # Trailing counts 1, 2, 4, 5; the last against 1, 2, 4: mean 7/3, squared deviations (16 + 1 + 25) / 9 = 14/3,
    # sd sqrt(14/3 / 2) = sqrt(7/3); z = (5 - 7/3) / sqrt(7/3).
    assert values[:4] == [None, OfferingValue(1, None), OfferingValue(2, None), OfferingValue(4, None)]
    assert values[4] == OfferingValue(5, pytest.approx((8 / 3) / math.sqrt(7 / 3), abs=1e-12))


def test_sessions_without_offerings_count() -> None:
    assert run(OfferingCount(3, 20, 10), [4, 0, 0, 0])[2:] == [OfferingValue(4, None), OfferingValue(0, None)]


@pytest.mark.parametrize(("sessions", "window"), [(63, 1260), (21, 252)])
def test_it_equals_pandas_on_random_counts(sessions: int, window: int) -> None:
    assert largest_difference(made_counts(2000, seed=1), sessions, window) < 1e-9


@pytest.mark.data
@pytest.mark.parametrize(("sessions", "window"), [(63, 1260), (21, 252)])
def test_it_equals_pandas_on_the_recorded_offerings(sessions: int, window: int) -> None:
    offerings = recorded("ipo/us_ipo_list_2019_2022.csv")
    by_day = offerings[~offerings["spac_like"]].groupby("ipo_date").size()
    days = [str(day) for day in SessionCalendar().sessions(date(2019, 1, 2), date(2022, 10, 14))]
    counts = [int(by_day.get(day, 0)) for day in days]
    assert sum(counts) > 1000
    assert largest_difference(counts, sessions, window) < 1e-9


def test_what_comes_later_changes_nothing_before_it() -> None:
    counts, others = made_counts(300, seed=8), made_counts(300, seed=9)
    values = run(OfferingCount(), counts)
    assert run(OfferingCount(), counts[:200] + others[200:])[:200] == values[:200]


def test_a_hundred_thousand_sessions_do_not_drift() -> None:
    # A tenth of a million: each session copies and standardises over five years of others.
    counts = made_counts(100_000, seed=10)
    offerings = OfferingCount()
    for count in counts:
        offerings.update(count)
    fresh = OfferingCount()
    for count in counts[-1500:]:
        fresh.update(count)
    assert offerings.value == fresh.value


@pytest.mark.parametrize("bad", [-1, 1.0, 1.5, True, float("nan"), float("inf"), None])
def test_anything_but_a_whole_number_is_refused_and_leaves_no_trace(bad: Any) -> None:
    offerings = OfferingCount(5, 20, 10)
    run(offerings, made_counts(60, seed=5))
    before = offerings.snapshot()
    for call in (offerings.update, offerings.peek):
        with pytest.raises(ValueError, match=f"^count must be a whole number of at least 0, got {bad}"):
            call(bad)
    assert offerings.snapshot() == before


@pytest.mark.parametrize(("parameters", "name"), [({"sessions": 0}, "sessions"), ({"minimum": 1261}, "minimum")])
def test_impossible_parameters_are_refused_by_name(parameters: dict[str, int], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must"):
        OfferingCount(**parameters)


def test_a_state_that_cannot_be_is_refused() -> None:
    snapshot = OfferingCount(5, 20, 10).snapshot()
    with pytest.raises(ValueError, match="cannot hold 6"):
        OfferingCount.restore({**snapshot, "counts": [1] * 6})
    with pytest.raises(ValueError, match="'counts' must be a whole number"):
        OfferingCount.restore({**snapshot, "counts": [1.5]})
