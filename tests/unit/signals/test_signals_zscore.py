"""z-scores against the past; and the laws of the Statistic contract for the statistics of releases and valuation."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, random_closes, recorded_closes, run, through_json

from processors.signals.beta import Beta, ExcessReturns
from processors.signals.cash_quality import CashQuality, Fundamentals
from processors.signals.dividends import DividendDivergence, DividendYields, DripYield, TotalReturn
from processors.signals.gdp_revision import GrowthFigure, NowcastRevision, Vintage, VintageRevision
from processors.signals.rate_differential import RateDifferential
from processors.signals.reer import MonthlyFigure, ReerChange
from processors.signals.statistic import Statistic
from processors.signals.surprise import Surprise
from processors.signals.zscore import TrailingZ


def closes(n: int, seed: int) -> list[float]:
    return random_closes(n, seed).tolist()


def fundamentals(n: int, seed: int) -> list[Fundamentals]:
    """Earnings that are lost now and then."""
    draws = np.random.default_rng(seed).normal(5, 3, (n, 2))
    return [Fundamentals(*map(float, draw)) for draw in draws]


def monthly_figures(n: int, seed: int) -> list[MonthlyFigure]:
    """Months, some left out, some revised, some long ago, with a new base year in the middle."""
    rng = np.random.default_rng(seed)
    figures: list[MonthlyFigure] = []
    newest = 2000 * 12
    while len(figures) < n:
        kind = rng.random()
        newest += 1 if kind < 0.6 else 2 if kind < 0.65 else 0
        month = newest if kind < 0.8 else newest - int(rng.integers(0, 8))
        unit = "2010=100" if len(figures) < n / 2 else "2020=100"
        level = float(np.exp(rng.normal(4.6, 0.1)))
        figures.append(MonthlyFigure(f"{month // 12}-{month % 12 + 1:02}", level, unit))
    return figures


def nowcasts(n: int, seed: int) -> list[GrowthFigure]:
    """Several a month, two quarters side by side at times, some twice in a session."""
    rng = np.random.default_rng(seed)
    session, figures = 0, []
    for _ in range(n):
        session += int(rng.integers(0, 4))
        quarter = session // 60 - int(rng.random() < 0.2)
        figures.append(GrowthFigure(f"{2010 + quarter // 4}-Q{quarter % 4 + 1}", float(rng.normal(2, 1)), session))
    return figures


def vintages(n: int, seed: int) -> list[Vintage]:
    """Three of each quarter, and benchmark revisions, late and repeated figures in between."""
    rng = np.random.default_rng(seed)
    figures = []
    for i in range(n):
        quarter = i // 3 if rng.random() < 0.8 else int(rng.integers(0, i // 3 + 1))
        vintage = i % 3 + 1 if quarter == i // 3 else int(rng.integers(1, 6))
        figures.append(Vintage(f"{2000 + quarter // 4}-Q{quarter % 4 + 1}", vintage, round(float(rng.normal(2, 1)), 1)))
    return figures


def total_returns(n: int, seed: int) -> list[TotalReturn]:
    price = random_closes(n, seed)
    growth = np.exp(np.cumsum(np.random.default_rng(seed).random(n) * 1e-3))
    return [TotalReturn(float(p * g), float(p)) for p, g in zip(price, growth, strict=True)]


def dividend_yields(n: int, seed: int) -> list[DividendYields]:
    """Yields of days thirteen apart, a few of them without meaning."""
    rng = np.random.default_rng(seed)
    days = [date(2001, 1, 2) + timedelta(days=13 * i) for i in range(n)]
    scale = np.where(rng.random((n, 2)) < 0.1, -0.02, 0.02)
    draws = scale * np.exp(rng.normal(0, 0.3, (n, 2)) * np.where(rng.random((n, 1)) < 0.1, 4, 1))
    return [DividendYields(day, *map(float, draw)) for day, draw in zip(days, draws, strict=True)]


def excess_returns(n: int, seed: int) -> list[ExcessReturns]:
    market = np.random.default_rng(seed).normal(0, 0.01, n)
    portfolio = 1.2 * market + np.random.default_rng(seed + 1).normal(0, 0.005, n)
    return [ExcessReturns(float(p), float(m)) for p, m in zip(portfolio, market, strict=True)]


@dataclass(frozen=True)
class Case:
    make: Callable[[], Statistic[Any, Any]]
    observations: Callable[[int, int], list[Any]]


CASES = {
    "z": Case(lambda: TrailingZ(30), closes),
    "z-early": Case(lambda: TrailingZ(40, 5), closes),
    "surprise": Case(lambda: Surprise(12, 6), closes),
    "reer": Case(lambda: ReerChange(3, 12, 6), monthly_figures),
    "differential": Case(lambda: RateDifferential(5, 20, 10), closes),
    "nowcast": Case(lambda: NowcastRevision(6, 30, 8), nowcasts),
    "vintage": Case(lambda: VintageRevision(16, 8), vintages),
    "quality": Case(lambda: CashQuality(20, 8), fundamentals),
    "drip": Case(lambda: DripYield(10), total_returns),
    "divergence": Case(lambda: DividendDivergence(20, 8, 1.5, 1.0), dividend_yields),
    "beta": Case(lambda: Beta(12, 10, 20), excess_returns),
}
each_statistic = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@each_statistic
def test_there_is_none_at_first_and_a_value_exactly_when_it_is_ready(case: Case) -> None:
    statistic = case.make()
    assert statistic.value is None
    assert not statistic.ready
    for observation in case.observations(150, seed=1):
        statistic.update(observation)
        assert (statistic.value is not None) == statistic.ready
    assert any(value is not None for value in run(case.make(), case.observations(150, seed=1)))


@each_statistic
def test_a_peek_changes_nothing_and_is_the_value_that_an_update_gives(case: Case) -> None:
    statistic, untouched = case.make(), case.make()
    for observation in case.observations(150, seed=2):
        before = statistic.snapshot()
        peeked = statistic.peek(observation)
        assert statistic.snapshot() == before
        statistic.update(observation)
        untouched.update(observation)
        assert statistic.value == peeked
        assert statistic.value == untouched.value


@each_statistic
def test_a_restored_snapshot_goes_on_bit_for_bit_from_any_point(case: Case) -> None:
    observations = case.observations(110, seed=3)
    uninterrupted = case.make()
    values = run(uninterrupted, observations)
    running = case.make()
    for cut in range(len(observations)):
        restored = type(running).restore(through_json(running.snapshot()))
        assert restored.snapshot() == running.snapshot()
        assert restored.value == running.value
        assert restored.ready == running.ready
        assert run(restored, observations[cut:]) == values[cut:]
        assert restored.snapshot() == uninterrupted.snapshot()
        running.update(observations[cut])


@each_statistic
def test_a_snapshot_is_not_touched_by_what_comes_later(case: Case) -> None:
    statistic = case.make()
    observations = case.observations(120, seed=4)
    run(statistic, observations[:60])
    snapshot = statistic.snapshot()
    before = copy.deepcopy(snapshot)
    run(statistic, observations[60:])
    assert snapshot == before


@each_statistic
def test_what_comes_later_does_not_change_what_was_said(case: Case) -> None:
    observations = case.observations(120, seed=5)
    values = run(case.make(), observations)
    for end in (30, 60, 90):
        # The same up to `end`, and then the last observation but one of the series: another future.
        other = [*observations[:end], observations[-1]]
        assert run(case.make(), other)[:end] == values[:end]


@each_statistic
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinities_are_refused_by_name_and_leave_no_trace(case: Case, bad: float) -> None:
    statistic = case.make()
    observations = case.observations(61, seed=6)
    run(statistic, observations[:60])
    before = statistic.snapshot()
    for observation in spoilt(observations[60], bad):
        for call in (statistic.update, statistic.peek):
            with pytest.raises(ValueError, match=f"finite number.*{bad}"):
                call(observation)
    assert statistic.snapshot() == before


def spoilt(observation: Any, bad: float) -> list[Any]:
    """The observation with each of its floats in turn replaced."""
    if isinstance(observation, float):
        return [bad]
    return [observation._replace(**{k: bad}) for k, v in observation._asdict().items() if isinstance(v, float)]


@each_statistic
def test_a_snapshot_with_a_key_missing_or_of_the_wrong_type_is_refused_by_name(case: Case) -> None:
    statistic = case.make()
    run(statistic, case.observations(90, seed=7))
    snapshot = through_json(statistic.snapshot())
    for key in snapshot:
        with pytest.raises(ValueError, match=key):
            type(statistic).restore({k: v for k, v in snapshot.items() if k != key})
        with pytest.raises(ValueError, match=key):
            type(statistic).restore({**snapshot, key: "nonsense"})


@each_statistic
def test_a_snapshot_that_holds_more_than_the_window_is_refused(case: Case) -> None:
    statistic = case.make()
    run(statistic, case.observations(140, seed=8))
    snapshot = through_json(statistic.snapshot())
    for key in {"past", "tr", "portfolios"} & snapshot.keys():
        with pytest.raises(ValueError, match=key):
            type(statistic).restore({**snapshot, key: [1.0] * 100})


@each_statistic
def test_memory_is_bounded_by_the_window(case: Case) -> None:
    statistic = case.make()
    sizes = []
    for observation in case.observations(3000, seed=9):
        statistic.update(observation)
        sizes.append(sum(len(v) for v in statistic.snapshot().values() if isinstance(v, list)))
    # Windows of at most 40; besides, 64 periods of vintages, and seven nowcasts of each of four quarters.
    assert max(sizes) <= 150


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: TrailingZ(1), "window"),
        (lambda: TrailingZ(5, 1), "minimum"),
        (lambda: TrailingZ(5, 6), "minimum"),
        (lambda: Surprise(1), "window"),
        (lambda: Surprise(20, 24), "minimum"),
        (lambda: ReerChange(0), "months"),
        (lambda: ReerChange(window=1), "window"),
        (lambda: RateDifferential(0), "sessions"),
        (lambda: RateDifferential(minimum=253), "minimum"),
        (lambda: NowcastRevision(0), "sessions"),
        (lambda: NowcastRevision(minimum=1), "minimum"),
        (lambda: VintageRevision(8), "minimum"),
        (lambda: CashQuality(1), "window"),
        (lambda: DripYield(0), "sessions"),
        (lambda: DividendDivergence(1), "months"),
        (lambda: DividendDivergence(on=1.0), "on"),
        (lambda: DividendDivergence(off=0.0), "off"),
        (lambda: Beta(0), "half_life"),
        (lambda: Beta(minimum=1), "minimum"),
        (lambda: Beta(ols=1), "ols"),
    ],
)
def test_impossible_parameters_are_refused_by_name(make: Callable[[], object], name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must"):
        make()


# The z-score itself.


def against_numpy(series: np.ndarray, window: int, minimum: int) -> float:
    """The largest difference from numpy's mean and sd of a slice, with missing values in the same places."""
    ours = run(TrailingZ(window, minimum), series.tolist())
    worst = 0.0
    for t, found in enumerate(ours):
        past = series[max(0, t - window) : t]
        assert (found is None) == (len(past) < minimum)
        if found is not None:
            sd = past.std(ddof=1) if np.ptp(past) else 0.0
            worst = max(worst, abs(found - ((series[t] - past.mean()) / sd if sd else 0.0)))
    return worst


def test_the_worked_example() -> None:
    # Past 2, 4, 4, 6: mean 4, squared deviations 4 + 0 + 0 + 4 = 8, variance 8 / 3. z(7) = 3 / sqrt(8 / 3).
    z = TrailingZ(4)
    run(z, [2.0, 4.0, 4.0])
    assert z.count == 3
    z.update(6.0)
    assert z.value is None
    assert z.count == 4
    assert z.peek(7.0) == pytest.approx(3 / math.sqrt(8 / 3), abs=1e-12)
    z.update(7.0)
    # The 2 has left: 4, 4, 6, 7 have mean 21 / 4 and squared deviations 2 x 1.5625 + 0.5625 + 3.0625 = 6.75.
    assert z.count == 4
    assert z.peek(0.0) == pytest.approx(-5.25 / math.sqrt(6.75 / 3), abs=1e-12)


def test_an_observation_is_not_compared_with_itself() -> None:
    # With itself inside, z of one outlier among n could not exceed (n - 1) / sqrt(n) = 4.8.
    z = TrailingZ(24)
    run(z, [(-1.0) ** i for i in range(24)])
    assert z.peek(1000.0) == pytest.approx(1000 / math.sqrt(24 / 23), rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("window", "minimum"), [(2, 2), (24, 24), (60, 24), (252, 126)])
def test_it_equals_numpy_and_pandas_on_random_series(window: int, minimum: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert against_numpy(rng.normal(0, 1, 600).cumsum() if seed % 2 else rng.standard_t(3, 600), window, minimum) < 1e-9
    series = pd.Series(rng.normal(3, 2, 600))
    past = series.shift().rolling(window, min_periods=minimum)
    expected = ((series - past.mean()) / past.std()).to_numpy()
    ours = np.array(run(TrailingZ(window, minimum), series.tolist()), dtype=float)
    assert np.array_equal(np.isnan(ours), np.isnan(expected))
    # Two observations can lie close together: z is then large, and the error is judged beside it.
    assert np.nanmax(np.abs(ours - expected) / np.maximum(1, np.abs(expected))) < 1e-9


@pytest.mark.data
def test_it_equals_numpy_over_the_recorded_vix() -> None:
    series = recorded_closes("vol-indices/vix_ohlc_1990_2019.csv").to_numpy()
    assert len(series) > 7000
    assert against_numpy(series, 252, 126) < 1e-9


@pytest.mark.parametrize("level", [0.0, 0.1, -17.25, 1e9, 1e-9])
def test_a_past_that_does_not_vary_gives_0_for_everything(level: float) -> None:
    z = TrailingZ(24)
    run(z, [level] * 24)
    assert z.peek(level) == 0.0
    assert z.peek(level + 1.0) == 0.0


def test_a_past_that_varies_by_rounding_alone_gives_0() -> None:
    # 3.3 - 3.2 and 0.3 - 0.2 are both a tenth, but not the same float.
    tenths = [3.3 - 3.2, 0.3 - 0.2] * 12
    assert len(set(tenths)) == 2
    z = TrailingZ(24)
    run(z, tenths)
    assert z.peek(0.2) == 0.0


@generated
@given(st.lists(st.floats(-1e300, 1e300), min_size=6, max_size=40))
def test_it_is_finite_whatever_comes(series: list[float]) -> None:
    assert all(math.isfinite(value) for value in run(TrailingZ(8, 2), series) if value is not None)


@generated
@given(
    st.lists(st.integers(-1000, 1000), min_size=10, max_size=40),
    st.sampled_from([0.5, 2.0, 1024.0]),
    st.integers(-1000, 1000),
)
def test_unit_and_origin_do_not_matter(series: list[int], scale: float, origin: int) -> None:
    plain = run(TrailingZ(8, 4), [float(x) for x in series])
    moved = run(TrailingZ(8, 4), [scale * (x + origin) for x in series])
    for one, other in zip(plain, moved, strict=True):
        assert other == (None if one is None else pytest.approx(one, rel=1e-9, abs=1e-9))


def test_what_no_window_can_sum_is_refused() -> None:
    with pytest.raises(ValueError, match="observation must be at most"):
        TrailingZ(5).update(1e301)


def test_a_million_updates_do_not_drift() -> None:
    series = 1e6 + random_closes(1_000_000, seed=12)
    z = TrailingZ(60, 24)
    for t, x in enumerate(series.tolist()):
        z.update(x)
        if t % 100_000 == 99_999:
            past = series[t - 60 : t]
            assert z.value == pytest.approx((series[t] - past.mean()) / past.std(ddof=1), abs=1e-6)
    # A fresh start over the last window says the same bit for bit: nothing is carried along.
    assert z.value == run(TrailingZ(60, 24), series[-61:].tolist())[-1]


def test_an_impossible_state_is_refused() -> None:
    snapshot = TrailingZ(5).snapshot()
    with pytest.raises(ValueError, match="now"):
        TrailingZ.restore({**snapshot, "past": [1.0]})
    with pytest.raises(ValueError, match="now"):
        Surprise.restore({**Surprise(5, 5).snapshot(), "past": [1.0]})
