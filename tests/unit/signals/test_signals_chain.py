import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import test_signals_battery as battery
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, random_closes, recorded, run

from processors.signals.chain import Correlation, DayChange, peg_deviation_bps

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LAWS = [
    battery.test_there_is_no_value_before_it_is_ready_and_one_ever_after,
    battery.test_a_peek_changes_nothing_and_is_the_value_that_an_update_gives,
    battery.test_a_restored_snapshot_goes_on_bit_for_bit_from_any_point,
    battery.test_a_snapshot_is_not_touched_by_what_comes_later,
    battery.test_a_snapshot_with_a_key_missing_or_of_the_wrong_type_is_refused_by_name,
]


@dataclass(frozen=True)
class HourlyCase(battery.Case):
    def observations(self, n: int, seed: int) -> list[Any]:
        return [(i * HOUR, close) for i, close in enumerate(random_closes(n, seed).tolist())]


@dataclass(frozen=True)
class PairCase(battery.Case):
    def observations(self, n: int, seed: int) -> list[Any]:
        return made_pairs(n, seed)


def made_pairs(n: int, seed: int) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 100, n)
    y = 1e6 + 3e3 * x + rng.normal(0, 4e5, n)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def by_merge(times: list[int], values: list[float]) -> pd.Series:
    """Each value against the newest that is 24 to 36 hours older, joined by pandas."""
    # A running number keeps the order where several values share one moment.
    frame = pd.DataFrame({"ts": times, "value": values})
    now, then = frame.assign(wanted=frame.ts - DAY), frame.rename(columns={"ts": "then_ts", "value": "then"})
    joined = pd.merge_asof(now, then, left_on="wanted", right_on="then_ts", tolerance=12 * HOUR)
    return joined.value / joined.then - 1


def largest_difference(times: list[int], values: list[float]) -> float:
    ours = pd.Series(run(DayChange(), zip(times, values, strict=True)), dtype=float)
    theirs = by_merge(times, values)
    assert ours.isna().equals(theirs.isna())
    return float((ours - theirs).abs().max())


def test_the_worked_peg() -> None:
    assert peg_deviation_bps(0.9934) == pytest.approx(66.0, abs=1e-9)
    assert peg_deviation_bps(1.0021) == pytest.approx(21.0, abs=1e-9)
    assert peg_deviation_bps(1.0) == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_an_impossible_price_of_a_coin_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"^usd must be a finite number above 0"):
        peg_deviation_bps(bad)


@pytest.mark.parametrize("law", LAWS)
def test_a_change_keeps_the_laws_of_a_statistic(law: Any) -> None:
    law(HourlyCase(DayChange, first_value=25))


def test_the_worked_change() -> None:
    change = DayChange()
    values = run(
        change,
        [(0, 100.0), (10 * HOUR, 110.0), (24 * HOUR, 95.0), (33 * HOUR, 98.0), (34 * HOUR, 99.0), (60 * HOUR, 95.0)],
    )
    # 95/100 - 1; at 33 hours the newest old enough is still that of hour 0, at 34 it is that of hour 10: 99/110 - 1.
    assert values[:2] == [None, None]
    # At 60 hours the one of hour 34 is 26 hours old: 95/99 - 1.
    assert values[2:] == pytest.approx([-0.05, -0.02, -0.1, 95 / 99 - 1], abs=1e-12)


def test_a_change_over_more_than_a_day_and_a_half_is_missing() -> None:
    assert run(DayChange(), [(0, 100.0), (36 * HOUR, 120.0)])[-1] == pytest.approx(0.2)
    assert run(DayChange(), [(0, 100.0), (36 * HOUR + 1, 120.0)])[-1] is None
    # Afterwards the later value is there to compare with.
    assert run(DayChange(), [(0, 100.0), (37 * HOUR, 120.0), (61 * HOUR, 60.0)])[-1] == -0.5


def test_of_ten_minutes_the_first_value_is_compared_with() -> None:
    change = DayChange()
    run(change, [(0, 100.0), (1 * MINUTE, 200.0), (10 * MINUTE, 400.0)])
    assert change.peek((DAY, 100.0)) == 0.0
    assert change.peek((DAY + 9 * MINUTE, 100.0)) == 0.0
    assert change.peek((DAY + 10 * MINUTE, 100.0)) == -0.75


def test_several_values_at_one_moment_are_each_compared() -> None:
    assert run(DayChange(), [(0, 100.0), (DAY, 110.0), (DAY, 120.0)])[1:] == pytest.approx([0.1, 0.2])


@generated
@given(st.lists(st.tuples(st.integers(10, 900), st.floats(0.1, 1e9)), max_size=60))
def test_feeds_slower_than_ten_minutes_are_compared_exactly(steps: list[tuple[int, float]]) -> None:
    times = (np.cumsum([minutes for minutes, _ in steps], dtype=np.int64) * MINUTE).tolist()
    if times:
        assert not largest_difference(times, [value for _, value in steps]) > 1e-9


@generated
@given(st.lists(st.tuples(st.integers(0, 7) | st.integers(0, 40 * 60), st.floats(0.1, 1e9)), min_size=1, max_size=80))
def test_faster_feeds_are_compared_with_a_value_at_most_ten_minutes_older(steps: list[tuple[int, float]]) -> None:
    times = np.cumsum([minutes for minutes, _ in steps], dtype=np.int64) * MINUTE
    values = [value for _, value in steps]
    change = DayChange()
    for i, now in enumerate(times.tolist()):
        change.update((now, values[i]))
        old_enough = np.flatnonzero(times[:i] <= now - DAY)
        if change.value is None or not len(old_enough):
            assert not len(old_enough) or now - times[old_enough[-1]] > DAY + DAY // 2 - 10 * MINUTE
            continue
        newest = times[old_enough[-1]]
        near = [j for j in old_enough if newest - times[j] < 10 * MINUTE]
        assert any(change.value == pytest.approx(values[i] / values[j] - 1, abs=1e-9) for j in near)


@pytest.mark.data
def test_a_change_equals_pandas_on_recorded_locked_value() -> None:
    frame = recorded("crypto/solana_tvl_12h_202412_202506.csv")
    times = pd.to_datetime(frame["timestamp"], utc=True).dt.as_unit("ns").astype("int64").tolist()
    values = frame["tvl_usd"].tolist()
    assert len(times) > 300
    assert largest_difference(times, values) < 1e-9
    # Twelve-hourly: two rows back.
    assert run(DayChange(), zip(times, values, strict=True))[-1] == pytest.approx(values[-1] / values[-3] - 1)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "time", "value"),
    [
        ("crypto/uniswap_v3_usdc_eth_hourly_202311_202401.csv", "time_utc", "close"),
        ("crypto/uniswap_v3_usdc_eth_hourly_202311_202401.csv", "time_utc", "liquidity"),
        ("crypto/deribit_dvol_btc_daily_2022_2024.csv", "date", "dvol_btc"),  # has a gap of more than a day
    ],
)
def test_a_change_equals_pandas_on_other_recorded_chains(name: str, time: str, value: str) -> None:
    frame = recorded(name)
    times = pd.to_datetime(frame[time], utc=True).dt.as_unit("ns").astype("int64").tolist()
    assert largest_difference(times, frame[value].tolist()) < 1e-9


def test_later_values_change_nothing_before_them() -> None:
    case = HourlyCase(DayChange, 25)
    one, other = case.observations(200, 1), case.observations(200, 2)
    assert run(DayChange(), one[:100] + other[100:])[:100] == run(DayChange(), one)[:100]


def test_a_million_values_do_not_drift_and_stay_within_a_day_of_ten_minutes() -> None:
    # Every twelve seconds, as blocks come.
    values = np.random.default_rng(4).lognormal(20, 0.1, 1_000_000).tolist()
    change = DayChange()
    for i, value in enumerate(values):
        change.update((i * 12 * 10**9, value))
    last = len(values) - 1
    # 7200 blocks are a day, 50 are ten minutes: the first of the ten minutes that the block of yesterday lies in.
    assert change.value == values[last] / values[(last - 7200) // 50 * 50] - 1
    assert len(change.snapshot()["points"]) <= 146


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ((DAY, math.nan), "value must be a finite number above 0, got nan"),
        ((DAY, math.inf), "value must be a finite number above 0, got inf"),
        ((DAY, 0.0), "value must be a finite number above 0"),
        ((HOUR - 1, 1.0), "a value at .* cannot follow one at"),
    ],
)
def test_impossible_values_are_refused_by_name_and_leave_no_trace(bad: tuple[int, float], words: str) -> None:
    change = DayChange()
    run(change, [(0, 100.0), (HOUR, 101.0)])
    before = change.snapshot()
    for call in (change.update, change.peek):
        with pytest.raises(ValueError, match=f"^{words}"):
            call(bad)
    assert change.snapshot() == before


def test_a_state_of_a_change_that_cannot_be_is_refused() -> None:
    change = DayChange()
    run(change, [(0, 100.0), (HOUR, 101.0)])
    snapshot = change.snapshot()
    for bad in ({"points": {}}, {"ts": None}, {"ts": HOUR - 1}, {"points": {"0": [0, -1.0], "6": [HOUR, 1.0]}}):
        with pytest.raises(ValueError, match=r"not the state of a change|above 0"):
            DayChange.restore({**snapshot, **bad})
    with pytest.raises(ValueError, match=r"^hours must"):
        DayChange(0)


@pytest.mark.parametrize("law", LAWS)
def test_a_correlation_keeps_the_laws_of_a_statistic(law: Any) -> None:
    law(PairCase(lambda: Correlation(20, 10), first_value=10))


def test_the_worked_correlation() -> None:
    # x 1 2 3, y 1 3 2: deviations -1 0 1 and -1 1 0; product 1, squares 2 and 2: 1 / sqrt(4).
    assert run(Correlation(3, 3), [(1, 1), (2, 3), (3, 2)]) == [None, None, pytest.approx(0.5, abs=1e-12)]


@pytest.mark.parametrize(("window", "minimum"), [(63, 63), (63, 10), (5, 5)])
def test_a_correlation_equals_pandas_and_numpy_on_random_pairs(window: int, minimum: int) -> None:
    pairs = made_pairs(500, seed=1)
    ours = pd.Series(run(Correlation(window, minimum), pairs), dtype=float)
    frame = pd.DataFrame(pairs)
    theirs = frame[0].rolling(window, min_periods=minimum).corr(frame[1])
    assert ours.isna().equals(theirs.isna())
    assert float((ours - theirs).abs().max()) < 1e-9
    assert ours.iloc[-1] == pytest.approx(np.corrcoef(np.array(pairs[-window:]).T)[0, 1], abs=1e-12)


@pytest.mark.data
def test_a_correlation_equals_numpy_on_a_recorded_pool() -> None:
    frame = recorded("crypto/uniswap_v3_usdc_eth_hourly_202311_202401.csv")
    values = frame[["close", "liquidity"]].to_numpy(float)
    ours = run(Correlation(), map(tuple, values.tolist()))
    theirs = [np.corrcoef(values[i - 62 : i + 1].T)[0, 1] for i in range(62, len(values))]
    assert ours[:62] == [None] * 62
    assert float(np.abs(np.array(ours[62:]) - theirs).max()) < 1e-9


def test_a_side_that_does_not_vary_has_no_correlation() -> None:
    correlation = Correlation(3, 3)
    assert run(correlation, [(0.1, 1.0), (0.1, 2.0), (0.1, 3.0)])[-1] is None
    assert not correlation.ready
    assert run(correlation, [(0.2, 4.0)])[-1] == pytest.approx(3**0.5 / 2, abs=1e-12)


@generated
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=8, max_size=8, unique=True),
    st.sampled_from([1e-200, -1e-3, 1.0, -1e9, 1e100]),
)
def test_whatever_the_scale_a_straight_line_is_correlated_fully(x: list[float], slope: float) -> None:
    correlation = run(Correlation(8, 8), [(value, slope * value) for value in x])[-1]
    assert -1.0 <= correlation <= 1.0
    if max(x) - min(x) > 1e-3:
        assert correlation == pytest.approx(math.copysign(1.0, slope), abs=1e-6)


def test_a_hundred_thousand_pairs_do_not_drift() -> None:
    # A tenth of a million: each pair copies a window of 63.
    pairs = made_pairs(100_000, seed=5)
    correlation = Correlation()
    for pair in pairs:
        correlation.update(pair)
    assert correlation.value == run(Correlation(), pairs[-63:])[-1]


def test_later_pairs_change_nothing_before_them() -> None:
    one, other = made_pairs(200, 1), made_pairs(200, 2)
    assert run(Correlation(20, 10), one[:100] + other[100:])[:100] == run(Correlation(20, 10), one)[:100]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_impossible_pairs_are_refused_by_name_and_leave_no_trace(bad: float) -> None:
    correlation = Correlation(20, 10)
    run(correlation, made_pairs(30, 6))
    before = correlation.snapshot()
    for call in (correlation.update, correlation.peek):
        for pair, name in (((bad, 1.0), "x"), ((1.0, bad), "y")):
            with pytest.raises(ValueError, match=f"^{name} must be a finite number, got {bad}"):
                call(pair)
    assert correlation.snapshot() == before


@pytest.mark.parametrize(
    ("parameters", "name"), [((1, 1), "window"), ((5, 1), "minimum"), ((5, 6), "minimum"), ((5, 0), "minimum")]
)
def test_impossible_parameters_of_a_correlation_are_refused_by_name(parameters: tuple[int, int], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must"):
        Correlation(*parameters)


def test_a_state_of_a_correlation_that_cannot_be_is_refused() -> None:
    for x, y in (([1.0], []), ([1.0] * 4, [1.0] * 4)):
        with pytest.raises(ValueError, match="cannot hold"):
            Correlation.restore({"window": 3, "minimum": 3, "x": x, "y": y})
