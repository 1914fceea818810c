from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import test_signals_battery as battery
from signals_support import random_closes, recorded, recorded_closes, run

from processors.signals.breadth import AdvanceDecline, Breadth, BreadthValue

LAWS = [
    battery.test_there_is_no_value_before_it_is_ready_and_one_ever_after,
    battery.test_a_peek_changes_nothing_and_is_the_value_that_an_update_gives,
    battery.test_a_restored_snapshot_goes_on_bit_for_bit_from_any_point,
    battery.test_a_snapshot_is_not_touched_by_what_comes_later,
    battery.test_a_snapshot_with_a_key_missing_or_of_the_wrong_type_is_refused_by_name,
]


@dataclass(frozen=True)
class BreadthCase(battery.Case):
    def observations(self, n: int, seed: int) -> list[Any]:
        return made_sessions(n, seed)


def made_sessions(n: int, seed: int) -> list[Breadth]:
    """Sessions whose issues move with a random index; every ninth close of the index or so is missing."""
    rng = np.random.default_rng(seed)
    closes = random_closes(n, seed, scale=1000.0)
    advances, declines = rng.integers(0, 3000, n), rng.integers(1, 3000, n)
    known = rng.random(n) > 0.1
    return [
        Breadth(float(a), float(d), float(c) if k else None)
        for a, d, c, k in zip(advances, declines, closes, known, strict=True)
    ]


def by_pandas(sessions: list[Breadth]) -> pd.DataFrame:
    """The definition written over whole columns."""
    frame = pd.DataFrame(sessions, dtype=float)
    net = frame.advances - frame.declines
    out = pd.DataFrame({"line": net.cumsum(), "net_ratio": net / (frame.advances + frame.declines)})
    out["sum20"] = out.net_ratio.rolling(20).apply(np.sum, raw=True)
    past = out.sum20.shift(1).rolling(252, min_periods=126)
    out["z"] = (out.sum20 - past.apply(np.nanmean, raw=True)) / past.apply(lambda w: np.nanstd(w, ddof=1), raw=True)
    with_close = frame.spx.dropna()
    line = out.line[with_close.index]
    diverges = (with_close == with_close.rolling(63).max()) & (line < line.rolling(63).max())
    out["divergence"] = diverges[with_close.rolling(63).count() == 63].astype(float)
    return out


def largest_difference(sessions: list[Breadth]) -> float:
    """From pandas, over every field, with missing values in the same places."""
    ours = pd.DataFrame(run(AdvanceDecline(), sessions), columns=list(BreadthValue._fields)).astype(float)
    theirs = by_pandas(sessions)
    assert ours.isna().equals(theirs.isna())
    for name in ("sum20", "z", "divergence"):
        assert theirs[name].notna().any()
    return float((ours - theirs).abs().max().max())


@pytest.mark.parametrize("law", LAWS)
def test_it_keeps_the_laws_of_a_statistic(law: Any) -> None:
    law(BreadthCase(lambda: AdvanceDecline(5, 20, 10, 8), first_value=1))


def test_the_worked_example() -> None:
    breadth = AdvanceDecline(sum_sessions=2, window=3, minimum=2, high_sessions=2)
    values = run(breadth, [Breadth(3, 1, 100), Breadth(1, 3, 101), Breadth(4, 0, 100), Breadth(0, 4, 102)])
    # Lines 2, 0, 4, 0; ratios 2/4, -2/4, 4/4, -4/4; sums of two 0, 0.5, 0.
    assert values[0] == BreadthValue(2, 0.5, None, None, None)
    # The index at its high of two sessions, the line below 2.
    assert values[1] == BreadthValue(0, -0.5, 0.0, None, True)
    assert values[2] == BreadthValue(4, 1.0, 0.5, None, False)
    # Past sums 0 and 0.5: mean 0.25, sd sqrt(2 x 0.0625 / 1) = 0.3535...; z = -0.25 / 0.3535... = -1/sqrt(2).
    assert values[3] == BreadthValue(0, -1.0, 0.0, pytest.approx(-(0.5**0.5), abs=1e-12), True)


def test_a_close_equal_to_the_high_is_at_its_high_and_a_line_equal_to_its_high_does_not_diverge() -> None:
    breadth = AdvanceDecline(high_sessions=3)
    values = run(breadth, [Breadth(2, 1, 100), Breadth(1, 2, 100), Breadth(1, 2, 100), Breadth(3, 1, 100)])
    # Lines 1, 0, -1, 1: at the third session below its high of 1, at the fourth at the high of the last three.
    assert [value.divergence for value in values] == [None, None, True, False]


def test_a_session_without_an_index_close_has_no_divergence_and_is_left_out_of_the_highs() -> None:
    closes = [100.0, 105.0, None, 104.0, 106.0]
    breadth = AdvanceDecline(high_sessions=3)
    values = run(breadth, [Breadth(1, 3, close) for close in closes])
    assert [value.divergence for value in values] == [None, None, None, False, True]
    assert [value.line for value in values] == [-2, -4, -6, -8, -10]


@pytest.mark.parametrize("seed", range(3))
def test_it_equals_pandas_on_random_sessions(seed: int) -> None:
    assert largest_difference(made_sessions(900, seed)) < 1e-9


@pytest.mark.data
def test_it_equals_pandas_over_the_recorded_exchange() -> None:
    frame = recorded("breadth/nyse_breadth_1990_2015.csv")
    spx = recorded_closes("spx/spx_daily_ohlc_2000_2019.csv")
    spx.index = spx.index.map(str)
    sessions = [
        Breadth(float(a), float(d), spx.get(day))
        for day, a, d in zip(frame["date"], frame["advn"], frame["decln"], strict=True)
    ]
    assert len(sessions) > 6000
    assert largest_difference(sessions) < 1e-9


def test_where_the_line_starts_does_not_matter() -> None:
    sessions = made_sessions(120, seed=7)
    breadth = AdvanceDecline(5, 20, 10, 8)
    run(breadth, sessions[:60])
    snapshot = breadth.snapshot()
    elsewhere = AdvanceDecline.restore(
        {**snapshot, "line": snapshot["line"] + 5e5, "lines": [line + 5e5 for line in snapshot["lines"]]}
    )
    for ours, theirs in zip(run(breadth, sessions[60:]), run(elsewhere, sessions[60:]), strict=True):
        assert theirs == ours._replace(line=ours.line + 5e5)


def test_what_comes_later_changes_nothing_before_it() -> None:
    sessions, others = made_sessions(300, seed=8), made_sessions(300, seed=9)
    values = run(AdvanceDecline(), sessions)
    assert run(AdvanceDecline(), sessions[:200] + others[200:])[:200] == values[:200]


def test_a_hundred_thousand_sessions_do_not_drift() -> None:
    # A tenth of a million: each session standardises over 252 others.
    sessions = made_sessions(100_000, seed=10)
    breadth = AdvanceDecline()
    for session in sessions:
        breadth.update(session)
    value, fresh = breadth.value, run(AdvanceDecline(), sessions[-1500:])[-1]
    assert value is not None
    assert value[1:] == fresh[1:]
    assert value.line == sum(int(session.advances) - int(session.declines) for session in sessions)


@pytest.mark.parametrize(
    ("bad", "name"),
    [
        (Breadth(float("nan"), 1, 100), "advances must be a finite number.*nan"),
        (Breadth(1, float("inf"), 100), "declines must be a finite number.*inf"),
        (Breadth(1, 1, float("nan")), "spx must be a finite number.*nan"),
        (Breadth(1, 1, 0.0), "spx must be .* above 0"),
        (Breadth(-1, 1, 100), "advances must be at least 0"),
        (Breadth(1, -1, None), "declines must be at least 0"),
        (Breadth(0, 0, 100), r"advances \+ declines must be .* above 0"),
    ],
)
def test_impossible_sessions_are_refused_by_name_and_leave_no_trace(bad: Breadth, name: str) -> None:
    breadth = AdvanceDecline(5, 20, 10, 8)
    run(breadth, made_sessions(60, seed=5))
    before = breadth.snapshot()
    for call in (breadth.update, breadth.peek):
        with pytest.raises(ValueError, match=f"^{name}"):
            call(bad)
    assert breadth.snapshot() == before


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"sum_sessions": 0}, "sum_sessions"),
        ({"high_sessions": 1}, "high_sessions"),
        ({"window": 1, "minimum": 1}, "window"),
        ({"minimum": 253}, "minimum"),
    ],
)
def test_impossible_parameters_are_refused_by_name(parameters: dict[str, int], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must"):
        AdvanceDecline(**parameters)


def test_a_state_that_cannot_be_is_refused() -> None:
    breadth = AdvanceDecline(5, 20, 10, 8)
    run(breadth, made_sessions(60, seed=6))
    snapshot = breadth.snapshot()
    for bad in ({"ratios": [0.0] * 6}, {"closes": [1.0] * 9, "lines": [1.0] * 9}, {"lines": [1.0]}):
        with pytest.raises(ValueError, match="not the state of an advance-decline line"):
            AdvanceDecline.restore({**snapshot, **bad})
