import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import test_signals_battery as battery
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, recorded, run

from processors.signals.dispersion import Dispersion, DispersionValue, concentration, daily_dispersion

LAWS = [
    battery.test_there_is_no_value_before_it_is_ready_and_one_ever_after,
    battery.test_a_peek_changes_nothing_and_is_the_value_that_an_update_gives,
    battery.test_a_restored_snapshot_goes_on_bit_for_bit_from_any_point,
    battery.test_a_snapshot_is_not_touched_by_what_comes_later,
    battery.test_a_snapshot_with_a_key_missing_or_of_the_wrong_type_is_refused_by_name,
]
members = st.lists(
    st.tuples(st.floats(-0.9, 5.0), st.floats(1e-3, 1e6)),
    min_size=2,
    max_size=40,
)


@dataclass(frozen=True)
class DispersionCase(battery.Case):
    def observations(self, n: int, seed: int) -> list[Any]:
        return made_dailies(n, seed)


def made_dailies(n: int, seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    return (0.01 * np.exp(0.3 * rng.standard_normal(n)) * (rng.random(n) < 0.95)).tolist()


def largest_difference(dailies: list[float], mean_sessions: int, window: int, minimum: int) -> float:
    """From the definition written in pandas, with missing values in the same places."""
    values = run(Dispersion(mean_sessions, window, minimum), dailies)
    rows = [(math.nan,) * 5 if value is None else value for value in values]
    ours = pd.DataFrame(rows, columns=list(DispersionValue._fields)).astype(float)
    theirs = pd.DataFrame({"daily": dailies})
    theirs["mean"] = theirs["daily"].rolling(mean_sessions).apply(np.mean, raw=True) * 252**0.5
    theirs["change"] = theirs["mean"].diff(mean_sessions)
    past = theirs["mean"].shift(1).rolling(window, min_periods=minimum)
    sd = past.apply(lambda w: np.nanstd(w, ddof=1), raw=True)
    theirs["z"] = (theirs["mean"] - past.apply(np.nanmean, raw=True)) / sd
    theirs["rising"] = (theirs["change"] > 0).astype(float).where(theirs["change"].notna())
    theirs["daily"] = theirs["daily"].where(theirs["mean"].notna())
    assert ours.isna().equals(theirs.isna())
    assert theirs["z"].notna().any()
    return float((ours - theirs).abs().max().max())


@pytest.mark.parametrize("law", LAWS)
def test_it_keeps_the_laws_of_a_statistic(law: Any) -> None:
    law(DispersionCase(lambda: Dispersion(5, 20, 10), first_value=5))


def test_the_worked_example_of_one_session() -> None:
    # Weights 3/4 and 1/4; index return 0.75 x 0.02 - 0.25 x 0.02 = 0.01.
    # 0.75 x 0.01^2 + 0.25 x 0.03^2 = 0.000075 + 0.000225 = 0.0003.
    assert daily_dispersion([0.02, -0.02], [300.0, 100.0]) == pytest.approx(math.sqrt(0.0003), abs=1e-15)


def test_the_worked_example_of_concentration() -> None:
    # Shares 1/2, 1/4, 1/4: 0.25 + 0.0625 + 0.0625.
    assert concentration([2.0, 1.0, 1.0]) == pytest.approx(0.375, abs=1e-15)
    assert concentration([7.0]) == 1.0


def test_the_worked_example_of_the_statistic() -> None:
    values = run(Dispersion(mean_sessions=2, window=3, minimum=2), [0.01, 0.03, 0.01, 0.05])
    # Means of two 0.02, 0.02, 0.03, each times sqrt(252); the change at the last is over two sessions.
    year = 252**0.5
    assert values[0] is None
    assert values[1] == DispersionValue(0.03, pytest.approx(0.02 * year), None, None, None)
    assert values[2] == DispersionValue(0.01, pytest.approx(0.02 * year), None, None, None)
    # The past means are equal and give no scale, so z is 0.
    assert values[3] == DispersionValue(0.05, pytest.approx(0.03 * year), pytest.approx(0.01 * year), 0.0, True)


@generated
@given(members)
def test_one_session_equals_numpy_whatever_the_order_and_the_unit(drawn: list[tuple[float, float]]) -> None:
    returns, caps = map(np.array, zip(*drawn, strict=True))
    ours = daily_dispersion(returns, caps)
    market = np.average(returns, weights=caps)
    assert ours == pytest.approx(float(np.sqrt(np.average((returns - market) ** 2, weights=caps))), abs=1e-12)
    assert daily_dispersion(returns[::-1], caps[::-1]) == ours
    assert daily_dispersion(returns, 2.0 * caps) == ours
    assert daily_dispersion(returns + 0.1, caps) == pytest.approx(ours, abs=1e-12)


@generated
@given(members)
def test_concentration_lies_between_equal_shares_and_one_member(drawn: list[tuple[float, float]]) -> None:
    caps = [cap for _, cap in drawn]
    shares = np.array(caps) / np.sum(caps)
    assert concentration(caps) == pytest.approx(float(shares @ shares), abs=1e-12)
    assert 1 / len(caps) - 1e-12 <= concentration(caps) <= 1.0 + 1e-12


def test_members_that_move_alike_do_not_disperse() -> None:
    assert daily_dispersion([0.25] * 4, [1.0, 2.0, 4.0, 1.0]) == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_it_equals_pandas_on_random_sessions(seed: int) -> None:
    assert largest_difference(made_dailies(900, seed), 20, 252, 126) < 1e-9


@pytest.mark.data
def test_it_equals_pandas_on_recorded_constituents() -> None:
    frame = recorded("sp500/constituent_market_caps_snapshots.csv.gz")
    frame = frame[frame["price"].gt(0) & frame["market_cap_musd"].gt(0)]
    prices = frame.pivot(index="snapshot_date", columns="symbol", values="price")
    caps = frame.pivot(index="snapshot_date", columns="symbol", values="market_cap_musd")
    returns, caps_prev = prices / prices.shift(1) - 1, caps.shift(1)
    both = returns.notna() & caps_prev.notna()
    weights = caps_prev.where(both).div(caps_prev.where(both).sum(axis=1), axis=0)
    market = (weights * returns).sum(axis=1)
    theirs = np.sqrt((weights * returns.sub(market, axis=0) ** 2).sum(axis=1))[1:]
    ours = [daily_dispersion(returns.loc[d][both.loc[d]], caps_prev.loc[d][both.loc[d]]) for d in theirs.index]
    assert len(ours) > 60
    assert both.sum(axis=1)[1:].min() > 300
    assert float(np.abs(np.array(ours) - theirs.to_numpy()).max()) < 1e-9
    assert largest_difference(ours, 5, 30, 10) < 1e-9

    shares = caps.div(caps.sum(axis=1), axis=0)
    herfindahl = [concentration(row.dropna()) for _, row in caps.iterrows()]
    assert float(np.abs(np.array(herfindahl) - (shares**2).sum(axis=1).to_numpy()).max()) < 1e-9


def test_what_comes_later_changes_nothing_before_it() -> None:
    dailies, others = made_dailies(300, seed=8), made_dailies(300, seed=9)
    values = run(Dispersion(), dailies)
    assert run(Dispersion(), dailies[:200] + others[200:])[:200] == values[:200]


def test_a_hundred_thousand_sessions_do_not_drift() -> None:
    # A tenth of a million: each session standardises over 252 others.
    dailies = made_dailies(100_000, seed=10)
    dispersion = Dispersion()
    for daily in dailies:
        dispersion.update(daily)
    assert dispersion.value == run(Dispersion(), dailies[-1500:])[-1]


@pytest.mark.parametrize(
    ("returns", "caps", "words"),
    [
        ([0.1, math.nan], [1.0, 1.0], "return must be a finite number, got nan"),
        ([0.1, 0.2], [1.0, math.inf], "capitalisation must be a finite number above 0, got inf"),
        ([0.1, 0.2], [1.0, 0.0], "capitalisation must be a finite number above 0"),
        ([0.1, 0.2], [1.0], "every member needs a return and a capitalisation, got 2 and 1"),
        ([0.1], [1.0], "at least 2 members, got 1"),
        ([], [], "at least one member, got none"),
    ],
)
def test_impossible_cross_sections_are_refused(returns: list[float], caps: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        daily_dispersion(returns, caps)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (math.nan, "must be a finite number, got nan"),
        (math.inf, "must be a finite number, got inf"),
        (-0.1, r"must be at least 0, got -0\.1"),
    ],
)
def test_impossible_dispersions_are_refused_by_name_and_leave_no_trace(bad: float, words: str) -> None:
    dispersion = Dispersion(5, 20, 10)
    run(dispersion, made_dailies(60, seed=5))
    before = dispersion.snapshot()
    for call in (dispersion.update, dispersion.peek):
        with pytest.raises(ValueError, match=f"^daily dispersion {words}"):
            call(bad)
    assert dispersion.snapshot() == before


@pytest.mark.parametrize(
    ("parameters", "name"), [({"mean_sessions": 0}, "mean_sessions"), ({"minimum": 253}, "minimum")]
)
def test_impossible_parameters_are_refused_by_name(parameters: dict[str, int], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must"):
        Dispersion(**parameters)


def test_a_state_that_cannot_be_is_refused() -> None:
    dispersion = Dispersion(5, 20, 10)
    run(dispersion, made_dailies(60, seed=6))
    snapshot = dispersion.snapshot()
    for bad in ({"dailies": [0.1] * 6}, {"means": [0.1] * 7}, {"means": []}):
        with pytest.raises(ValueError, match="not the state of a dispersion"):
            Dispersion.restore({**snapshot, **bad})
