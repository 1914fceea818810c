import math

import numpy as np
import pandas as pd
import pytest
from signals_support import recorded, run

from processors.signals.reer import MonthlyFigure, ReerChange

BASE = "2020=100"


def months(levels: list[float], first: int = 2000 * 12, unit: str | None = BASE) -> list[MonthlyFigure]:
    """Successive months from the `first`, counted from year 0."""
    return [MonthlyFigure(f"{m // 12}-{m % 12 + 1:02}", level, unit) for m, level in enumerate(levels, start=first)]


def against_pandas(levels: pd.Series, window: int = 60, minimum: int = 24) -> tuple[float, float]:
    """The largest differences of change and z, with missing values in the same places."""
    change = np.log(levels).diff(3)
    ours = run(ReerChange(3, window, minimum), months(levels.tolist()))
    worst_change = worst_z = 0.0
    for t, found in enumerate(ours):
        assert (found is None) == (t < 3)
        if found is None:
            continue
        worst_change = max(worst_change, abs(found.change - change.iloc[t]))
        past = change.iloc[3:t].iloc[-window:]
        assert (found.z is None) == (len(past) < minimum)
        if found.z is not None:
            worst_z = max(worst_z, abs(found.z - (change.iloc[t] - past.mean()) / past.std()))
    return worst_change, worst_z


def walk(n: int, seed: int) -> list[float]:
    return (100 * np.exp(np.random.default_rng(seed).normal(0, 0.01, n).cumsum())).tolist()


def test_the_worked_example() -> None:
    # ln(110 / 100), and then ln(99 / 110) = ln 0.9; past of the second: one change, too few for a z.
    reer = ReerChange(1, 2, 2)
    run(reer, months([100.0, 110.0, 99.0]))
    assert reer.value is not None
    assert reer.value.change == pytest.approx(math.log(0.9), abs=1e-15)
    assert reer.value.z is None
    # Past ln 1.1 = 0.09531018, ln 0.9 = -0.10536052: mean -0.00502517, sd = 0.20067070 / sqrt 2; z of no change.
    found = reer.peek(MonthlyFigure("2000-04", 99.0, BASE))
    assert found is not None
    assert found.change == 0.0
    mean, sd = (math.log(1.1) + math.log(0.9)) / 2, (math.log(1.1) - math.log(0.9)) / math.sqrt(2)
    assert found.z == pytest.approx(-mean / sd, abs=1e-12)


def test_appreciation_is_positive() -> None:
    value = run(ReerChange(), months([100.0, 100.0, 100.0, 105.0]))[-1]
    assert value.change == pytest.approx(math.log(1.05), abs=1e-15)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("window", "minimum"), [(60, 24), (24, 24)])
def test_it_equals_pandas_on_random_series(window: int, minimum: int, seed: int) -> None:
    worst_change, worst_z = against_pandas(pd.Series(walk(400, seed)), window, minimum)
    assert worst_change < 1e-12
    assert worst_z < 1e-9


@pytest.mark.data
@pytest.mark.parametrize("country", ["US", "JP", "GB", "XM"])
def test_it_equals_pandas_on_the_recorded_indices(country: str) -> None:
    levels = recorded("macro/bis_reer_broad_monthly.csv")[country].dropna()
    assert len(levels) > 350
    worst_change, worst_z = against_pandas(levels)
    assert worst_change < 1e-12
    assert worst_z < 1e-9


def test_a_month_left_out_leaves_its_changes_out() -> None:
    figures = months(walk(12, 1))
    values = run(ReerChange(), figures)
    gap = run(ReerChange(), figures[:5] + figures[6:])
    # Month 5 is missing: nothing can be said of month 8, and the others are what they were.
    assert gap[:5] == values[:5]
    assert [value is None for value in gap[5:]] == [False, False, True, False, False, False]
    assert [value.change for value in gap[8:]] == [value.change for value in values[9:]]


def test_a_long_silence_starts_afresh() -> None:
    reer = ReerChange()
    run(reer, months(walk(12, 1)))
    levels = walk(4, 2)
    afresh = run(reer, months(levels, first=2005 * 12))
    assert afresh[:3] == [None, None, None]
    assert afresh[3].change == pytest.approx(math.log(levels[3] / levels[0]), abs=1e-14)


def test_a_revision_of_either_end_is_judged_against_the_same_past() -> None:
    levels = walk(60, 3)
    figures = months(levels)
    reer = ReerChange(3, 40, 24)
    run(reer, figures)
    # The changes of the months before the newest, as they were.
    past = np.array([math.log(levels[t] / levels[t - 3]) for t in range(3, 59)])[-40:]
    for end, then, now in ((-1, levels[-4], levels[-1] * 1.01), (-4, levels[-4] * 1.01, levels[-1])):
        found = reer.peek(figures[end]._replace(value=levels[end] * 1.01))
        assert found is not None
        assert found.change == pytest.approx(math.log(now / then), abs=1e-14)
        assert found.z == pytest.approx((found.change - past.mean()) / past.std(ddof=1), abs=1e-9)


def test_a_revision_counts_once_and_history_keeps_what_was_last_known_of_the_newest() -> None:
    levels = walk(40, 4)
    figures = months(levels)
    revised = figures[30]._replace(value=levels[30] * 1.02)
    once, twice = ReerChange(3, 20, 10), ReerChange(3, 20, 10)
    run(once, [*figures[:30], revised, *figures[31:]])
    run(twice, [*figures[:30], figures[30], revised, *figures[31:]])
    assert twice.snapshot() == once.snapshot()


def test_a_revision_after_the_next_month_does_not_rewrite_the_history() -> None:
    figures = months(walk(40, 5))
    reer = ReerChange(3, 20, 10)
    run(reer, figures)
    past = reer.snapshot()["past"]
    before = reer.value
    reer.update(figures[-2]._replace(value=figures[-2].value * 1.1))
    assert reer.value == before
    assert reer.snapshot()["past"] == past
    # It is the new level all the same, for the change of the month that is compared with it.
    reer.update(MonthlyFigure("2003-05", 100.0, BASE))
    reer.update(MonthlyFigure("2003-06", 100.0, BASE))
    assert reer.value is not None
    assert reer.value.change == pytest.approx(math.log(100 / (figures[-2].value * 1.1)), abs=1e-12)


def test_a_month_out_of_reach_changes_nothing() -> None:
    reer = ReerChange()
    run(reer, months(walk(40, 6)))
    before = reer.snapshot()
    reer.update(MonthlyFigure("1999-01", 50.0, BASE))
    reer.update(MonthlyFigure("2002-12", 50.0, BASE))  # four months before the newest, 2003-04
    assert reer.snapshot() == before


def test_a_gap_that_is_filled_late_gives_the_change() -> None:
    figures = months(walk(12, 7))
    reer = ReerChange()
    run(reer, figures[:8] + figures[9:])
    assert reer.value is None
    reer.update(figures[8])
    assert reer.value is not None
    assert reer.value.change == pytest.approx(math.log(figures[11].value / figures[8].value), abs=1e-14)


def test_levels_of_different_base_years_are_never_compared() -> None:
    old, new = months(walk(10, 8), unit="2010=100"), months(walk(20, 8), unit="2020=100")
    reer = ReerChange()
    assert all(value is None for value in run(reer, [*old, *new[10:13]])[10:])
    assert len(reer.snapshot()["past"]) == 7  # those of the old base, ended by its last
    # Once the old months are published on the new base the comparison is back, at once.
    reer.update(new[9])
    assert reer.value is not None
    assert reer.value.change == pytest.approx(math.log(new[12].value / new[9].value), abs=1e-14)


def test_a_stated_and_an_unstated_base_are_different() -> None:
    figures = months(walk(4, 9))
    assert run(ReerChange(), [figures[0]._replace(unit=None), *figures[1:]])[-1] is None
    assert run(ReerChange(), months(walk(4, 9), unit=None))[-1] is not None


def test_a_peg_that_does_not_move_gives_0() -> None:
    assert run(ReerChange(), months([100.0] * 60))[-1] == (0.0, 0.0)


@pytest.mark.parametrize("period", ["2020", "2020-13", "2020-00", "2020-1", "2020-01-01", "2020-Q1", "", "٢٠٢٠-01"])
def test_a_period_that_is_no_month_is_refused(period: str) -> None:
    with pytest.raises(ValueError, match="period must be a month"):
        ReerChange().update(MonthlyFigure(period, 100.0, BASE))


@pytest.mark.parametrize("level", [0.0, -1.0])
def test_a_level_that_is_not_above_0_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level must be a finite number above 0"):
        ReerChange().update(MonthlyFigure("2020-01", level, BASE))


def test_an_impossible_state_is_refused() -> None:
    reer = ReerChange()
    run(reer, months(walk(12, 10)))
    snapshot = reer.snapshot()
    periods, levels = list(snapshot["periods"]), list(snapshot["levels"])
    for bad in (
        {"periods": periods[:-1]},
        {"periods": periods[::-1]},
        {"periods": ["1990-01", *periods[1:]]},
        {"periods": [periods[1], *periods[1:]]},
        {"periods": ["2000-01", *periods], "levels": [levels[0], *levels]},
    ):
        with pytest.raises(ValueError, match="periods"):
            ReerChange.restore({**snapshot, **bad})
    for unit in (3, ["2020"]):
        with pytest.raises(ValueError, match="unit"):
            ReerChange.restore({**snapshot, "levels": [*levels[:-1], {"value": 1.0, "unit": unit}]})
    with pytest.raises(ValueError, match="above 0"):
        ReerChange.restore({**snapshot, "levels": [*levels[:-1], {"value": 0.0, "unit": None}]})


def test_a_hundred_thousand_months_do_not_drift() -> None:
    # Years 0 to 8333; a million months would not fit four digits.
    levels = walk(100_000, 11)
    reer = ReerChange()
    for m, level in enumerate(levels):
        reer.update(MonthlyFigure(f"{m // 12:04}-{m % 12 + 1:02}", level, BASE))
    assert reer.value == run(ReerChange(), months(levels[-64:]))[-1]
