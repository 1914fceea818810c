import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from signals_support import recorded, run

from processors.signals.gdp_revision import GrowthFigure, NowcastRevision, Vintage, VintageRevision


def standard_score(x: float, past: Sequence[float], minimum: int) -> float | None:
    return None if len(past) < minimum else float((x - np.mean(past)) / np.std(past, ddof=1))


# Nowcasts.


def made_nowcasts(n: int, seed: int) -> list[GrowthFigure]:
    """A nowcast every one to four sessions, a quarter of 63 sessions each, begun when the one before it ends."""
    rng = np.random.default_rng(seed)
    session, figures = 0, []
    for _ in range(n):
        session += int(rng.integers(1, 5))
        figures.append(GrowthFigure(f"Q{session // 63}", round(float(rng.normal(2, 1)), 2), session))
    return figures


def test_the_worked_example_of_a_nowcast() -> None:
    nowcast = NowcastRevision(20, 4, 2)
    assert run(nowcast, [GrowthFigure("2019-Q1", 2.0, 0), GrowthFigure("2019-Q1", 2.5, 19)]) == [None, None]
    # Session 20: against 2.0 of session 0. Session 39: against 2.5, in force since session 19.
    assert nowcast.peek(GrowthFigure("2019-Q1", 3.0, 20)) == (1.0, None, "2019-Q1")
    assert run(nowcast, [GrowthFigure("2019-Q1", 3.0, 38)])[-1] == (1.0, None, "2019-Q1")
    assert run(nowcast, [GrowthFigure("2019-Q1", 2.0, 39)])[-1] == (-0.5, None, "2019-Q1")
    # Past 1.0, -0.5: mean 0.25, sd 1.5 / sqrt(2). Session 59 against 2.0 of session 39: 1.0, z = 0.75 sqrt(2) / 1.5.
    found = nowcast.peek(GrowthFigure("2019-Q1", 3.0, 59))
    assert found is not None
    assert found.revision == 1.0
    assert found.z == pytest.approx(0.75 * math.sqrt(2) / 1.5, abs=1e-12)


def test_the_next_quarter_is_no_revision() -> None:
    nowcast = NowcastRevision(20, 4, 2)
    figures = [GrowthFigure("2019-Q1", 1.0, session) for session in (0, 10, 25, 40)]
    assert run(nowcast, figures)[-1] == (0.0, None, "2019-Q1")
    past = nowcast.snapshot()["past"]
    # The old quarter said 1.0, the new one says 3.0: nothing was revised, and nothing is counted.
    assert run(nowcast, [GrowthFigure("2019-Q2", 3.0, session) for session in (41, 50, 60)]) == [None] * 3
    assert nowcast.snapshot()["past"] == [*past, 0.0]
    assert run(nowcast, [GrowthFigure("2019-Q2", 3.5, 61)])[-1][0] == 0.5


def test_two_quarters_side_by_side_are_each_compared_with_their_own() -> None:
    nowcast = NowcastRevision(20, 8, 2)
    figures = [
        GrowthFigure("2019-Q1", 1.0, 0),
        GrowthFigure("2019-Q2", 3.0, 5),
        GrowthFigure("2019-Q1", 1.2, 21),
        GrowthFigure("2019-Q2", 2.5, 26),
    ]
    assert run(nowcast, figures)[2:] == [(0.2, None, "2019-Q1"), (-0.5, None, "2019-Q2")]


def test_a_second_nowcast_in_a_session_corrects_the_first_and_counts_once() -> None:
    figures = made_nowcasts(120, 2)
    at = 80
    wrong = figures[at]._replace(value=9.9)
    corrected, straight = NowcastRevision(20, 60, 10), NowcastRevision(20, 60, 10)
    ours = run(corrected, [*figures[:at], wrong, *figures[at:]])
    assert ours[at + 1 :] == run(straight, figures)[at:]
    assert corrected.snapshot() == straight.snapshot()


def test_sessions_that_go_back_are_refused_and_leave_no_trace() -> None:
    nowcast = NowcastRevision()
    nowcast.update(GrowthFigure("2019-Q1", 1.0, 5))
    before = nowcast.snapshot()
    with pytest.raises(ValueError, match="session 4 cannot follow one of session 5"):
        nowcast.update(GrowthFigure("2019-Q2", 1.0, 4))
    assert nowcast.snapshot() == before


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("window", "minimum"), [(160, 24), (24, 24)])
def test_nowcasts_equal_a_search_of_the_whole_history(window: int, minimum: int, seed: int) -> None:
    figures = made_nowcasts(700, seed)
    ours = run(NowcastRevision(20, window, minimum), figures)
    history = pd.DataFrame(figures)
    revisions: list[float] = []
    worst = 0.0
    for figure, found in zip(figures, ours, strict=True):
        due = history[(history["period"] == figure.period) & (history["session"] <= figure.session - 20)]
        if due.empty:
            assert found is None
            continue
        revision = figure.value - due["value"].iloc[-1]
        assert found is not None
        assert found.period == figure.period
        worst = max(worst, abs(found.revision - revision))
        z = standard_score(revision, revisions[-window:], minimum)
        assert (found.z is None) == (z is None)
        worst = max(worst, 0.0 if z is None or found.z is None else abs(found.z - z))
        revisions.append(revision)
    assert len(revisions) > 300
    assert worst < 1e-9


def test_a_hundred_thousand_nowcasts_do_not_drift() -> None:
    # A sample of a tenth of a million: an update of a nowcast looks through the figures it holds.
    figures = made_nowcasts(100_000, 7)
    nowcast = NowcastRevision()
    for figure in figures:
        nowcast.update(figure)
    fresh = run(NowcastRevision(), figures[-600:])[-1]
    assert nowcast.value == fresh


# Vintages.


def recorded_vintages() -> list[Vintage]:
    frame = recorded("macro/gdp_first_second_third_release.csv")
    return [
        Vintage(row.quarter, rank, float(value))
        for row in frame.itertuples()
        for rank, value in enumerate((row.first, row.second, row.third), start=1)
        if not math.isnan(value)
    ]


def made_vintages(quarters: int, seed: int) -> list[Vintage]:
    draws = np.random.default_rng(seed).normal(2, 1, (quarters, 3)).round(1)
    return [Vintage(f"Q{q}", v + 1, float(draws[q, v])) for q in range(quarters) for v in range(3)]


def against_pandas(figures: list[Vintage], window: int, minimum: int) -> float:
    """The largest difference of revision and z, with missing values in the same places."""
    frame = pd.DataFrame(figures)
    revision = frame.groupby("period")["value"].diff()
    ours = run(VintageRevision(window, minimum), figures)
    assert [value is None for value in ours] == revision.isna().tolist()
    seen, worst = [], 0.0
    for found, expected in zip(ours, revision, strict=True):
        if found is None:
            continue
        z = standard_score(expected, seen[-window:], minimum)
        assert (found.z is None) == (z is None)
        worst = max(worst, abs(found.revision - expected), 0.0 if z is None else abs(found.z - z))
        seen.append(expected)
    return worst


def test_the_worked_example_of_a_vintage() -> None:
    revision = VintageRevision(4, 2)
    figures = [Vintage("2019-Q1", 1, 3.2), Vintage("2019-Q1", 2, 3.1), Vintage("2019-Q1", 3, 3.4)]
    assert run(revision, figures) == [None, (-0.1, None, "2019-Q1"), (0.3, None, "2019-Q1")]
    assert run(revision, [Vintage("2019-Q2", 1, 2.1)]) == [None]
    # Past -0.1, 0.3: mean 0.1, sd 0.4 / sqrt(2). A revision of -0.1: z = -0.2 sqrt(2) / 0.4.
    found = revision.peek(Vintage("2019-Q2", 2, 2.0))
    assert found is not None
    assert found.revision == -0.1
    assert found.z == pytest.approx(-math.sqrt(2) / 2, abs=1e-12)


def test_a_vintage_that_was_left_out_is_skipped_over() -> None:
    figures = [Vintage("2018-Q4", 1, 2.6), Vintage("2018-Q4", 3, 2.2)]
    assert run(VintageRevision(), figures)[-1] == (-0.4, None, "2018-Q4")


def test_a_repeat_of_the_last_figure_corrects_it_and_counts_once() -> None:
    figures = made_vintages(12, 1)
    at = 19
    assert figures[at].vintage == 2
    corrected, straight = VintageRevision(8, 4), VintageRevision(8, 4)
    ours = run(corrected, [*figures[:at], figures[at]._replace(value=9.0), *figures[at:]])
    assert ours[at + 1 :] == run(straight, figures)[at:]
    assert corrected.snapshot() == straight.snapshot()


def test_a_repeat_that_others_have_followed_is_no_revision_but_is_what_the_next_one_revises() -> None:
    revision = VintageRevision(8, 4)
    run(revision, [Vintage("A", 1, 1.0), Vintage("A", 2, 2.0), Vintage("B", 1, 5.0)])
    repeat = Vintage("A", 2, 2.5)
    assert run(revision, [repeat, repeat]) == [None, None]
    assert revision.snapshot()["past"] == [1.0]
    assert run(revision, [Vintage("A", 3, 3.0)])[-1] == (0.5, None, "A")


def test_a_vintage_that_comes_too_late_revises_nothing() -> None:
    revision = VintageRevision(8, 4)
    run(revision, [Vintage("A", 1, 1.0), Vintage("A", 3, 2.0)])
    assert run(revision, [Vintage("A", 2, 7.0), Vintage("A", 1, 7.0), Vintage("A", 1, 8.0)]) == [None] * 3
    assert run(revision, [Vintage("A", 4, 2.5)])[-1] == (0.5, None, "A")


def test_a_period_that_has_been_forgotten_starts_again() -> None:
    revision = VintageRevision()
    run(revision, [Vintage(str(period), 1, 1.0) for period in range(65)])
    assert run(revision, [Vintage("1", 2, 2.0)])[-1] == (1.0, None, "1")  # 64 are remembered
    assert run(revision, [Vintage("0", 2, 2.0)])[-1] is None


def test_a_benchmark_revision_gives_one_revision_for_each_period() -> None:
    figures = made_vintages(20, 3)
    revision = VintageRevision(8, 4)
    run(revision, figures)
    again = [Vintage(f"Q{q}", 4, figures[3 * q + 2].value + 0.1) for q in range(20)]
    assert [value.revision for value in run(revision, again)] == [0.1] * 20


@pytest.mark.parametrize("vintage", [0, -1])
def test_vintages_are_counted_from_1(vintage: int) -> None:
    with pytest.raises(ValueError, match="vintage must be at least 1"):
        VintageRevision().update(Vintage("A", vintage, 1.0))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("window", "minimum"), [(16, 16), (40, 24)])
def test_vintages_equal_pandas_on_random_series(window: int, minimum: int, seed: int) -> None:
    assert against_pandas(made_vintages(200, seed), window, minimum) < 1e-9


@pytest.mark.data
@pytest.mark.parametrize(("window", "minimum"), [(16, 16), (40, 24)])
def test_vintages_equal_pandas_on_the_recorded_releases_of_gdp(window: int, minimum: int) -> None:
    figures = recorded_vintages()
    assert len(figures) > 690
    assert against_pandas(figures, window, minimum) < 1e-9


def test_a_hundred_thousand_vintages_do_not_drift() -> None:
    # A sample of a tenth of a million: an update of a vintage looks through the 64 periods it holds.
    figures = made_vintages(33_334, 8)
    revision = VintageRevision()
    for figure in figures:
        revision.update(figure)
    assert revision.value == run(VintageRevision(), figures[-60:])[-1]


def test_impossible_states_are_refused() -> None:
    nowcast, vintage = NowcastRevision(), VintageRevision()
    run(nowcast, [GrowthFigure("A", 1.0, 0), GrowthFigure("A", 2.0, 3), GrowthFigure("A", 2.0, 25)])
    run(vintage, [Vintage("A", 1, 1.0), Vintage("A", 2, 2.0)])
    nowcasts, vintages = nowcast.snapshot(), vintage.snapshot()
    for bad, match in (
        ({"periods": []}, "periods"),
        ({"periods": [], "figures": []}, "revision"),
        ({"figures": list(nowcasts["figures"])[::-1]}, "figures"),
    ):
        with pytest.raises(ValueError, match=match):
            NowcastRevision.restore({**nowcasts, **bad})
    for bad, match in (
        ({"periods": []}, "periods"),
        ({"periods": [], "held": []}, "last_vintage"),
        ({"last_vintage": None}, "last_vintage"),
        ({"held": [{"vintage": 0, "value": 1.0, "before": None}]}, "vintage"),
    ):
        with pytest.raises(ValueError, match=match):
            VintageRevision.restore({**vintages, **bad})
