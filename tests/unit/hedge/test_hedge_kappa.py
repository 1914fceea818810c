import json
import math
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from processors.hedge.kappa import CurveAndIndex, Kappa, KappaValue
from processors.signals.calendar import SessionCalendar
from processors.signals.curve import VxCurve
from processors.signals.expiry import is_monthly, vx_expiries
from topics.hedge_rules import KappaRules


def made(n: int, seed: int, slope: float = 4.0) -> list[CurveAndIndex]:
    """Contracts that move by -slope times the index, each with noise of its own, on a steep curve."""
    rng = np.random.default_rng(seed)
    days = SessionCalendar().sessions(date(2014, 1, 2), date(2019, 12, 31))[:n]
    spx, price, rows = 2000.0, {}, []
    for day in days:
        r = float(rng.normal(0.0003, 0.01))
        spx *= 1 + r
        for rank, expiry in enumerate(vx_expiries(day, date(day.year + 1, day.month, 1))[:7]):
            price[expiry] = price.get(expiry, 14.0 + 2 * rank) * math.exp(-slope * r + float(rng.normal(0, 0.01)))
        rows.append(CurveAndIndex(VxCurve.from_settles(day, price), spx))
    return rows


def run(kappa: Kappa, rows: list[CurveAndIndex]) -> list[KappaValue | None]:
    values = []
    for row in rows:
        kappa.update(row)
        values.append(kappa.value)
    return values


def wls(vx: np.ndarray, spx: np.ndarray, half_life: float) -> float:
    weights = 0.5 ** (np.arange(len(vx))[::-1] / half_life)
    return -float(sm.WLS(vx, sm.add_constant(spx), weights=weights).fit().params[1])


def recorded(data: Any) -> tuple[list[CurveAndIndex], pd.DataFrame]:
    """The recorded sessions, and the returns of the contract that is VX1 on the later of two days, by pandas."""
    frame = pd.read_csv(data / "vix-futures/vx_contracts_2004_2019.csv.gz", low_memory=False)
    frame = frame[~frame["flag"].fillna("").str.contains("suspect_settle") & (frame["settle"] > 0)]
    monthly = frame["expiry"].map({e: is_monthly(date.fromisoformat(e)) for e in frame["expiry"].unique()})
    frame = frame[monthly & (frame["expiry"] > frame["trade_date"])]
    index = pd.read_csv(data / "spx/spx_daily_ohlc_2000_2019.csv").set_index("date")["close"]
    wide = frame.pivot_table(index="trade_date", columns="expiry", values="settle")
    wide = wide[wide.index.isin(index.index)]
    rows = [
        CurveAndIndex(
            VxCurve.from_settles(
                date.fromisoformat(day), {date.fromisoformat(e): v for e, v in settles.dropna().items()}
            ),
            float(index[day]),
        )
        for day, settles in wide.iterrows()
    ]
    front = wide.apply(lambda settles: settles.first_valid_index(), axis=1)
    moved = wide.pct_change(fill_method=None)
    vx = pd.Series([moved.at[day, e] for day, e in front.items()], index=wide.index)
    return rows, pd.DataFrame({"vx": vx, "spx": index.reindex(wide.index).pct_change()})


def test_the_worked_example_across_an_expiry() -> None:
    # VX of February 2018 expires on the 14th: on the 13th VX1 is February, on the 14th March is, and its return is its
    # own: 20.0 to 19.0 is -5 %, not 24.0 to 19.0. Three returns, all weighing about alike under a long half-life:
    # SPX +1 %, -2 %, +1 %; VX -5 %, +10 %, -5 %: slope -5 exactly.
    february, march = date(2018, 2, 14), date(2018, 3, 21)
    sessions = [
        (date(2018, 2, 13), {february: 24.0, march: 20.0}, 1000.0),
        (date(2018, 2, 14), {february: 30.0, march: 19.0}, 1010.0),
        (date(2018, 2, 15), {march: 19.0 * 1.1}, 1010.0 * 0.98),
        (date(2018, 2, 16), {march: 19.0 * 1.1 * 0.95}, 1010.0 * 0.98 * 1.01),
    ]
    kappa = Kappa(1e6, 3)
    values = run(kappa, [CurveAndIndex(VxCurve.from_settles(day, s), spx) for day, s, spx in sessions])
    assert values[:3] == [None, None, None]
    assert values[3] is not None
    assert values[3].value == pytest.approx(5.0, abs=1e-9)


@pytest.mark.parametrize("half_life", [20.0, 126.0])
@pytest.mark.parametrize("seed", range(3))
def test_it_equals_weighted_least_squares_on_made_contracts(seed: int, half_life: float) -> None:
    rows = made(400, seed)
    values = run(Kappa(half_life), rows)
    pairs = list(pairwise(rows))
    vx = np.array([now.curve.vx(1) / before.curve.settle_of(now.curve.expiries[0]) - 1 for before, now in pairs])
    spx = np.array([now.spx / before.spx - 1 for before, now in pairs])
    assert all(value is None for value in values[:126])
    for t in range(126, 400, 13):
        assert values[t].estimate == pytest.approx(wls(vx[:t], spx[:t], half_life), abs=1e-9)
    # Rolls of two points a month on this steep curve leave no trace.
    assert values[-1].value == pytest.approx(4.0, abs=0.3)


@pytest.mark.data
def test_it_equals_statsmodels_on_the_recorded_contracts(alvh_data: Any) -> None:
    rows, returns = recorded(alvh_data)
    values = run(Kappa(), rows)
    worst, compared = 0.0, 0
    for t in range(200, len(rows), 97):
        known = returns.iloc[: t + 1].dropna()
        worst = max(worst, abs(values[t].estimate - wls(known["vx"].to_numpy(), known["spx"].to_numpy(), 126)))
        compared += 1
    assert compared > 30
    assert worst < 1e-9
    known = [value for value in values if value is not None]
    assert len(known) > 3700
    # What is generally held of it, and the bounds: most of the time between 1.5 and 8, and around 4 in the middle.
    estimates = np.array([value.estimate for value in known])
    assert 3.5 < np.median(estimates) < 4.5
    assert np.mean((estimates >= 1.5) & (estimates <= 8.0)) > 0.98
    assert all(1.5 <= value.value <= 8.0 for value in known)


@pytest.mark.data
def test_a_continuous_series_would_have_said_something_else(alvh_data: Any) -> None:
    rows, returns = recorded(alvh_data)
    jumps = pd.Series([row.curve.vx(1) for row in rows], index=returns.index).pct_change()
    rolled = (jumps - returns["vx"]).abs() > 1e-9
    assert 150 < rolled.sum() < 260  # a roll a month
    assert (jumps - returns["vx"])[rolled].mean() > 0.01  # and in contango each is a gain that nobody has made


def test_the_bounds_hold_what_is_estimated_beyond_them() -> None:
    for slope, bound in [(0.2, 1.5), (14.0, 8.0), (-3.0, 1.5)]:
        value = run(Kappa(), made(200, 1, slope))[-1]
        assert value is not None
        assert value.value == bound
        assert value.estimate == pytest.approx(slope, abs=0.7)


def test_a_peek_changes_nothing_and_equals_the_update() -> None:
    kappa = Kappa(30, 20)
    for row in made(120, 2):
        before = kappa.snapshot()
        peeked = kappa.peek(row)
        assert kappa.snapshot() == before
        kappa.update(row)
        assert kappa.value == peeked
        assert kappa.ready == (kappa.value is not None)


def test_a_restored_snapshot_goes_on_bit_for_bit_from_any_point() -> None:
    rows = made(60, 3)
    values = run(Kappa(30, 20), rows)
    running = Kappa(30, 20)
    for cut in range(len(rows)):
        restored = Kappa.restore(json.loads(json.dumps(running.snapshot(), allow_nan=False)))
        assert restored.snapshot() == running.snapshot()
        assert run(restored, rows[cut:]) == values[cut:]
        running.update(rows[cut])


def test_a_contract_without_a_price_gives_no_return_and_the_next_session_goes_on() -> None:
    rows = made(60, 4)
    holed = list(rows)
    holed[40] = CurveAndIndex(VxCurve(rows[40].curve.session_date, (), ()), rows[40].spx)
    kappa = Kappa(30, 20)
    values = run(kappa, holed)
    assert values[40] == values[39]
    assert values[41] == values[39]  # nothing to compare the 41st with
    assert values[42] != values[41]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 0.0, -1.0])
def test_a_level_that_is_no_number_leaves_no_trace(bad: float) -> None:
    rows = made(40, 5)
    kappa = Kappa(30, 20)
    run(kappa, rows[:-1])
    before = kappa.snapshot()
    for call in (kappa.update, kappa.peek):
        with pytest.raises(ValueError, match="spx must be a finite number above 0"):
            call(rows[-1]._replace(spx=bad))
        with pytest.raises(ValueError, match="cannot follow"):
            call(rows[-2])
    assert kappa.snapshot() == before


def test_what_comes_later_changes_no_earlier_value() -> None:
    rows = made(80, 6)
    other = rows[:50] + [row._replace(spx=row.spx * 1.01**i) for i, row in enumerate(rows[50:])]
    a, b = run(Kappa(30, 20), rows), run(Kappa(30, 20), other)
    assert a[:50] == b[:50]
    assert a[51:] != b[51:]


def test_what_is_far_back_is_forgotten_and_nothing_drifts() -> None:
    # The moments are those of the beta, which is tested over a million sessions; here all that the calendar gives.
    rows = made(1500, 7)
    long, short = Kappa(20), Kappa(20)
    run(long, rows)
    run(short, rows[-1000:])
    assert long.value is not None
    assert short.value is not None
    assert long.value.estimate == pytest.approx(short.value.estimate, abs=1e-9)


def test_the_rules_of_the_calibration_are_those_it_has_without_any() -> None:
    assert Kappa(**KappaRules().model_dump()).snapshot() == Kappa().snapshot()


def test_malformed_parameters_and_snapshots_are_refused() -> None:
    with pytest.raises(ValueError, match="low must be at most high"):
        Kappa(low=3, high=2)
    snapshot = Kappa().snapshot()
    with pytest.raises(ValueError, match="must both be there"):
        Kappa.restore({**snapshot, "spx": 1.0})
    with pytest.raises(ValueError, match="no key"):
        Kappa.restore({})
