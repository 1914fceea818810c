"""The two statistics of the curve that need memory, against a plain recomputation from a table of contracts."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from signals_support import made_curves, recorded_settles, run, sessions_from

from processors.signals import BearSteepening, Compression, VxCurve, vx_expiries


def table(curves: Sequence[VxCurve]) -> pd.DataFrame:
    """Sessions by expiries, NaN where a contract is not live."""
    columns = {c.session_date: dict(zip(c.expiries, c.settles, strict=True)) for c in curves}
    return pd.DataFrame(columns).T.sort_index(axis=1)


def steepening_by_table(curves: Sequence[VxCurve], sessions: int = 5) -> list[bool | None]:
    contracts = table(curves)
    answers: list[bool | None] = []
    for i in range(len(contracts)):
        now = contracts.iloc[i].dropna()
        if i < sessions or len(now) < 7:
            answers.append(None)
            continue
        then = contracts.iloc[i - sessions].reindex(now.index)
        used = [0, 3, 4, 5, 6]
        if then.iloc[used].isna().any():
            answers.append(None)
            continue
        slope_now = abs(now.iloc[3:7].mean() - now.iloc[0])
        slope_then = abs(then.iloc[3:7].mean() - then.iloc[0])
        answers.append(bool(now.iloc[0] > then.iloc[0] and slope_now - slope_then > 1e-9))
    return answers


def compression_by_table(curves: Sequence[VxCurve], sessions: int) -> list[bool | None]:
    fronts, ranges = [], []
    for c in curves:
        live = [s for e, s in list(zip(c.expiries, c.settles, strict=True))[:7] if (e - c.session_date).days >= 5]
        enough = len(live) >= 5
        fronts.append(live[0] if enough else np.nan)
        ranges.append(np.round(np.ptp(live), 6) if enough else np.nan)
    frame = pd.DataFrame({"front": fronts, "range": ranges}).dropna()
    median = frame["range"].rolling(sessions).median().shift(1)
    answers: list[bool | None] = [None] * len(curves)
    for position, (i, row) in enumerate(frame.iterrows()):
        if position >= sessions:
            earlier = frame["front"].iloc[position - sessions : position]
            answers[i] = bool((earlier < row["front"]).sum() < sessions / 3 and row["range"] < median[i] - 1e-9)
    return answers


@pytest.mark.parametrize("seed", range(4))
def test_steepening_equals_the_table_across_many_expiries(seed: int) -> None:
    curves = made_curves(200, seed)
    answers = run(BearSteepening(), curves)
    assert answers == steepening_by_table(curves)
    assert {True, False, None} == set(answers)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("contracts", [6, 9])
def test_compression_equals_the_table_across_many_expiries(seed: int, contracts: int) -> None:
    curves = made_curves(300, seed, contracts=contracts)
    answers = run(Compression(40), curves)
    assert answers == compression_by_table(curves, 40)
    assert {False, None} <= set(answers)


@pytest.mark.data
def test_both_equal_the_table_over_all_recorded_contracts() -> None:
    curves = [c for day, settles in sorted(recorded_settles().items()) if (c := VxCurve.from_settles(day, settles))]
    assert len(curves) > 3900
    assert run(BearSteepening(), curves) == steepening_by_table(curves)
    compressed = run(Compression(), curves)
    assert compressed == compression_by_table(curves, 252)
    by_year = pd.Series(compressed, index=[c.session_date.year for c in curves]).dropna().astype(float)
    assert by_year[2008].mean() < 0.05


def curves_of(front: Sequence[float], back: Sequence[float], first: date = date(2019, 6, 3)) -> list[VxCurve]:
    """One session each, without an expiry: VX1 as `front`, VX2 and VX3 in between, VX4..VX7 all as `back`."""
    expiries = vx_expiries(first + timedelta(days=1), first + timedelta(days=240))[:7]
    days = sessions_from(first, len(front))
    return [
        VxCurve.from_settles(d, dict(zip(expiries, (f, (f + b) / 2, (f + b) / 2, b, b, b, b), strict=True)))
        for d, f, b in zip(days, front, back, strict=True)
    ]


@pytest.mark.parametrize(
    ("front", "back", "expected"),  # each: five sessions at the first price, then one at the second
    [
        ((18.0, 24.0), (20.0, 21.0), True),  # into backwardation: 2 -> 3
        ((18.0, 19.0), (20.0, 22.0), True),  # both up, back more: 2 -> 3
        ((18.0, 17.0), (20.0, 21.0), False),  # steeper by a falling front
        ((18.0, 19.0), (20.0, 20.5), False),  # up but flatter
        ((18.0, 18.0), (20.0, 21.0), False),  # the front stands still
        ((18.1, 18.2), (20.2, 20.3), False),  # equal but for float noise
    ],
)
def test_steepening_by_hand(front: tuple[float, float], back: tuple[float, float], expected: bool) -> None:
    answers = run(BearSteepening(), curves_of(*([before] * 5 + [after] for before, after in (front, back))))
    assert answers == [None] * 5 + [expected]


def test_steepening_follows_the_contract_through_its_change_of_rank() -> None:
    # Contango, no contract moves at all; after the expiry VX1 is a dearer contract than the VX1 of a week ago.
    first, expiries = date(2019, 6, 14), vx_expiries(date(2019, 6, 15), date(2020, 3, 1))
    settles = {expiry: 15.0 + rank for rank, expiry in enumerate(expiries)}
    curves = [VxCurve.from_settles(day, settles) for day in sessions_from(first, 8)]
    assert curves[0].vx(1) == 15.0
    assert curves[-1].vx(1) == 16.0
    assert run(BearSteepening(), curves)[5:] == [False] * 3


def test_steepening_is_missing_when_a_contract_is_missing_at_either_date() -> None:
    curves = made_curves(12, seed=1, contracts=8)
    holed = curves[3]
    expiries, settles = list(holed.expiries), list(holed.settles)
    del expiries[4], settles[4]
    curves[3] = VxCurve(holed.session_date, tuple(expiries), tuple(settles))
    answers = run(BearSteepening(), curves)
    assert answers[8] is None
    assert answers[7] is not None
    assert answers[9] is not None
    front_only = VxCurve(curves[-1].session_date + timedelta(days=1), curves[-1].expiries[:1], (15.0,))
    statistic = BearSteepening()
    run(statistic, curves)
    assert statistic.peek(front_only) is None


def test_a_curve_may_not_be_committed_twice() -> None:
    curves = made_curves(3, seed=1)
    statistic = BearSteepening()
    run(statistic, curves)
    with pytest.raises(ValueError, match=f"{curves[1].session_date} cannot follow"):
        statistic.peek(curves[1])
    with pytest.raises(ValueError, match=f"{curves[2].session_date} cannot follow"):
        statistic.update(curves[2])


def test_a_curve_without_enough_contracts_is_missing_and_not_counted() -> None:
    curves = made_curves(60, seed=2)
    short = VxCurve(curves[35].session_date, curves[35].expiries[:3], curves[35].settles[:3])
    with_short, without = Compression(30), Compression(30)
    answers = run(with_short, [*curves[:35], short, *curves[36:]])
    assert answers[35] is None
    assert answers[36:] == run(without, [*curves[:35], *curves[36:]])[35:]


def test_a_restored_memory_must_fit() -> None:
    statistic = BearSteepening(5)
    run(statistic, made_curves(8, seed=1))
    with pytest.raises(ValueError, match="cannot hold 5 curves"):
        BearSteepening.restore({**statistic.snapshot(), "sessions": 4})
    compression = Compression(5)
    run(compression, made_curves(8, seed=1))
    snapshot = compression.snapshot()
    with pytest.raises(ValueError, match="5 fronts but 0 ranges"):
        Compression.restore({**snapshot, "ranges": Compression(5).snapshot()["ranges"]})


@pytest.mark.parametrize(
    ("front", "width", "expected"),
    [
        (11.9, 3.4, True),  # two of the nine fronts are lower
        (12.0, 3.4, True),
        (12.1, 3.4, False),  # three of nine is a third, not less
        (11.9, 3.5, False),  # the median width itself is not below the median
        (9.0, 0.1, True),
        (9.0, 9.0, False),
    ],
)
def test_compression_by_hand(front: float, width: float, expected: bool) -> None:
    fronts = [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 18.0]
    widths = [9.0, 8.0, 3.5, 1.0, 2.0, 3.0, 3.2, 7.0, 6.0]
    curves = curves_of([*fronts, front], [f + w for f, w in zip([*fronts, front], [*widths, width], strict=True)])
    assert run(Compression(9), curves) == [None] * 9 + [expected]


def test_compression_reads_the_front_that_is_not_about_to_settle() -> None:
    curves = curves_of([10.0, 11.0, 12.0, 13.0], [14.0, 15.0, 16.0, 15.0])
    statistic = Compression(3)
    run(statistic, curves[:3])
    expiries = curves[0].expiries
    settles = (99.0, 9.0, 9.1, 9.2, 9.3, 9.4, 9.5)
    tuesday = VxCurve(expiries[0] - timedelta(days=1), expiries, settles)
    assert statistic.peek(tuesday) is True
    week_before = VxCurve(expiries[0] - timedelta(days=5), expiries, settles)
    assert statistic.peek(week_before) is False
