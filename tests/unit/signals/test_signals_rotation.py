import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import test_signals_battery as battery
from signals_support import random_closes, recorded_closes, run

from processors.signals.rotation import Rotation, RotationValue, SectorPair

LAWS = [
    battery.test_there_is_no_value_before_it_is_ready_and_one_ever_after,
    battery.test_a_peek_changes_nothing_and_is_the_value_that_an_update_gives,
    battery.test_a_restored_snapshot_goes_on_bit_for_bit_from_any_point,
    battery.test_a_snapshot_is_not_touched_by_what_comes_later,
    battery.test_a_snapshot_with_a_key_missing_or_of_the_wrong_type_is_refused_by_name,
]


@dataclass(frozen=True)
class RotationCase(battery.Case):
    def observations(self, n: int, seed: int) -> list[Any]:
        return made_pairs(n, seed)


def made_pairs(n: int, seed: int) -> list[SectorPair]:
    return [
        SectorPair(float(s), float(m))
        for s, m in zip(random_closes(n, seed, 30.0), random_closes(n, seed + 1000, 250.0), strict=True)
    ]


def largest_difference(pairs: list[SectorPair]) -> float:
    """From the definition written in pandas, with missing values in the same places."""
    ours = pd.DataFrame(
        [(math.nan,) * 4 if value is None else value for value in run(Rotation(), pairs)],
        columns=list(RotationValue._fields),
    ).astype(float)
    frame = pd.DataFrame(pairs)
    relative = np.log(frame.sector) - np.log(frame.market)
    change = relative.diff(20)
    past = change.shift(1).rolling(252, min_periods=126)
    z = (change - past.apply(np.nanmean, raw=True)) / past.apply(lambda w: np.nanstd(w, ddof=1), raw=True)
    theirs = pd.DataFrame({"relative": relative, "change": change, "z": z, "rotating": (z.abs() >= 1.5).astype(float)})
    theirs = theirs.where(z.notna())
    assert ours.isna().equals(theirs.isna())
    assert 0 < theirs.rotating.mean() < 1
    return float((ours - theirs).abs().max().max())


@pytest.mark.parametrize("law", LAWS)
def test_it_keeps_the_laws_of_a_statistic(law: Any) -> None:
    law(RotationCase(lambda: Rotation(5, 20, 10), first_value=16))


def test_the_worked_example() -> None:
    # Log ratios in units of ln 2: 0, 1, 1, 3, 2, so changes over one session 1, 0, 2, -1.
    rotation = Rotation(sessions=1, window=3, minimum=3, threshold=2.0)
    values = run(rotation, [SectorPair(2.0**k, 1.0) for k in (0, 1, 1, 3, 2)])
    # The last against 1, 0, 2: mean 1, sd 1; z = (-1 - 1) / 1 = -2, which is rotating at 2.
    assert values[:4] == [None] * 4
    assert values[4] == RotationValue(
        pytest.approx(2 * math.log(2), abs=1e-12), pytest.approx(-math.log(2), abs=1e-12), pytest.approx(-2), True
    )


def test_a_sector_that_moves_with_the_market_does_not_rotate() -> None:
    values = run(Rotation(5, 20, 10), [SectorPair(0.5 * pair.market, pair.market) for pair in made_pairs(60, 3)])
    assert values[-1] == RotationValue(math.log(0.5), 0.0, 0.0, False)


@pytest.mark.parametrize("seed", range(3))
def test_it_equals_pandas_on_random_pairs(seed: int) -> None:
    assert largest_difference(made_pairs(900, seed)) < 1e-9


@pytest.mark.data
def test_it_equals_pandas_on_recorded_funds() -> None:
    vxx = recorded_closes("spx/vxx_daily_splitadj_2009_2018.csv")
    spy = recorded_closes("spx/spy_daily_ohlc_raw_1998_2019.csv")
    days = [day for day in vxx.index if day in spy.index]
    pairs = [SectorPair(float(vxx[day]), float(spy[day])) for day in days]
    assert len(pairs) > 2000
    assert largest_difference(pairs) < 1e-9


def test_what_comes_later_changes_nothing_before_it() -> None:
    pairs, others = made_pairs(300, seed=8), made_pairs(300, seed=9)
    values = run(Rotation(), pairs)
    assert run(Rotation(), pairs[:200] + others[200:])[:200] == values[:200]


def test_a_hundred_thousand_sessions_do_not_drift() -> None:
    # A tenth of a million: each session standardises over 252 others.
    pairs = made_pairs(100_000, seed=10)
    rotation = Rotation()
    for pair in pairs:
        rotation.update(pair)
    assert rotation.value == run(Rotation(), pairs[-1500:])[-1]


@pytest.mark.parametrize(
    ("bad", "name"),
    [
        (SectorPair(float("nan"), 1.0), "sector must be a finite number above 0, got nan"),
        (SectorPair(1.0, float("inf")), "market must be a finite number above 0, got inf"),
        (SectorPair(0.0, 1.0), "sector must be a finite number above 0"),
        (SectorPair(1.0, -1.0), "market must be a finite number above 0"),
    ],
)
def test_impossible_closes_are_refused_by_name_and_leave_no_trace(bad: SectorPair, name: str) -> None:
    rotation = Rotation(5, 20, 10)
    run(rotation, made_pairs(60, seed=5))
    before = rotation.snapshot()
    for call in (rotation.update, rotation.peek):
        with pytest.raises(ValueError, match=f"^{name}"):
            call(bad)
    assert rotation.snapshot() == before


@pytest.mark.parametrize(
    ("parameters", "name"),
    [({"sessions": 0}, "sessions"), ({"threshold": 0.0}, "threshold"), ({"minimum": 253}, "minimum")],
)
def test_impossible_parameters_are_refused_by_name(parameters: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must"):
        Rotation(**parameters)


def test_a_state_that_cannot_be_is_refused() -> None:
    snapshot = Rotation(5, 20, 10).snapshot()
    with pytest.raises(ValueError, match="cannot hold 7 log ratios"):
        Rotation.restore({**snapshot, "relatives": [0.0] * 7})
