import math
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from processors.hedge.lines import Line, Lines
from processors.hedge.stress import (
    Outcome,
    breaches,
    stress,
    tenor_beta,
    unit_losses,
)
from processors.signals.expiry import is_monthly
from topics.hedge_rules import SCENARIOS, Scenario, StressRules

RULES = StressRules()
generated = settings(max_examples=100, deadline=None, derandomize=True, database=None)
sides = st.sampled_from([0, 1, -1])


@st.composite
def lines_of(draw: Any, most: int = 8) -> list[Line]:
    rows = []
    for _ in range(draw(st.integers(0, most))):
        right, quantity = draw(sides), draw(st.integers(-50, 50))
        rows.append(
            Line(
                layer=draw(st.sampled_from(["L1", "L2", "L3", "TT"])),
                quantity=quantity,
                multiplier=100.0 if right else 1000.0,
                forward=draw(st.floats(9, 60)),
                dte=draw(st.integers(1, 300)),
                right=right,
                strike=draw(st.floats(9, 90)) if right else None,
                vol=draw(st.floats(0.3, 1.5)) if right else None,
                rate=draw(st.floats(0, 0.05)),
                engine=quantity * draw(st.sampled_from([0.0, 0.2, 1.0])),
            )
        )
    return rows


def black(f: float, k: float, v: float, t: float, r: float, right: int) -> float:
    """The textbook's formula, once more and by scalars."""
    if v * math.sqrt(t) == 0:
        return math.exp(-r * t) * max(right * (f - k), 0.0)
    d1 = (math.log(f / k) + v * v * t / 2) / (v * math.sqrt(t))
    d2 = d1 - v * math.sqrt(t)
    return float(math.exp(-r * t) * right * (f * norm.cdf(right * d1) - k * norm.cdf(right * d2)))


def one_by_one(line: Line, scenario: Scenario, vix: float) -> float:
    """P&L of one line under one scenario, USD."""
    share = (1 + line.dte / 10) ** -scenario.power
    forward = line.forward + (scenario.points + scenario.relative * vix) * share
    forward = max(forward, min(line.forward, 8.0))
    if line.right == 0:
        return line.quantity * line.multiplier * (forward - line.forward)
    assert line.strike is not None
    assert line.vol is not None
    vol, t = max(line.vol + scenario.vol * share, min(line.vol, 0.2)), line.dte / 365
    before = black(line.forward, line.strike, line.vol, t, line.rate, line.right)
    return line.quantity * line.multiplier * (black(forward, line.strike, vol, t, line.rate, line.right) - before)


def test_futures_worked_by_hand() -> None:
    # At 30 days the share is 4^-0.6 = 0.435275, at 110 days 12^-0.6 = 0.225160. VIX +20: the first moves by 8.7055,
    # the second by 4.5032. 3 x 1000 x 8.7055 = 26,116.5 and -2 x 1000 x 4.5033 = -9,006.4.
    lines = Lines.of([Line("L1", 3, 1000, 18.0, 30), Line("L2", -2, 1000, 20.0, 110)])
    outcome = stress(RULES, lines, 16.0)[0]
    assert outcome.scenario == "vix_up_20"
    assert outcome.layers["L1"] == pytest.approx(26_116.5, abs=0.1)
    assert outcome.layers["L2"] == pytest.approx(-9_006.4, abs=0.1)
    assert outcome.total == pytest.approx(17_110.1, abs=0.2)
    assert outcome.losses == pytest.approx(9_006.4, abs=0.1)
    assert outcome.worst_layer == "L2"
    assert outcome.loss_share == 1.0
    # The crush takes 30 % of spot VIX: 16 x 0.3 = 4.8 points, of which 2.0893 and 1.0808 arrive.
    crush = {o.scenario: o for o in stress(RULES, lines, 16.0)}["vol_crush"]
    assert crush.layers["L1"] == pytest.approx(-6_268.0, abs=0.1)
    assert crush.layers["L2"] == pytest.approx(2_161.6, abs=0.1)


def test_a_call_at_expiry_is_its_intrinsic_value() -> None:
    # One day left and next to no vol: call 30 on 20, VIX +40 with a share of 1.1^-0.6 = 0.944 is 57.78; 27.78 inside.
    lines = Lines.of([Line("L3", 2, 100, 20.0, 1, right=1, strike=30.0, vol=0.0)])
    rules = StressRules(scenarios=(Scenario(name="up", points=40.0),))
    assert stress(rules, lines, 20.0)[0].total == pytest.approx(200 * (20 + 40 * 1.1**-0.6 - 30), abs=1e-9)


def test_the_default_scenarios() -> None:
    assert [scenario.name for scenario in SCENARIOS] == ["vix_up_20", "vix_up_40", "inversion", "vol_crush", "gap"]


def test_an_inversion_lifts_the_front_over_the_back() -> None:
    dte, prices = np.array([20.0, 50.0, 110.0, 220.0]), np.array([16.0, 17.0, 18.5, 20.0])
    lines = Lines.of([Line("L1", 1, 1, price, days) for days, price in zip(dte, prices, strict=True)])
    inversion = next(s for s in SCENARIOS if s.name == "inversion")
    moved = prices + inversion.points * tenor_beta(dte, inversion.power)
    assert moved[0] > moved[1]
    assert moved[0] > moved[2]
    assert moved[3] - prices[3] < 0.6
    assert len(lines) == 4


@generated
@given(lines_of(), st.floats(9, 60))
def test_all_lines_at_once_are_what_they_are_one_by_one(rows: list[Line], vix: float) -> None:
    outcomes = stress(RULES, Lines.of(rows), vix)
    assert len(outcomes) == len(SCENARIOS)
    for outcome, scenario in zip(outcomes, SCENARIOS, strict=True):
        alone = [one_by_one(row, scenario, vix) for row in rows]
        scale = 1e-9 * (1 + sum(abs(row.quantity) * row.multiplier * 100 for row in rows))
        for layer in ("L1", "L2", "L3", "TT"):
            expected = sum(pnl for row, pnl in zip(rows, alone, strict=True) if row.layer == layer)
            assert outcome.layers[layer] == pytest.approx(expected, abs=scale)
        engine = sum(pnl * row.engine / row.quantity for row, pnl in zip(rows, alone, strict=True) if row.quantity)
        assert outcome.engine == pytest.approx(engine, abs=scale)
        assert outcome.total == pytest.approx(sum(alone), abs=scale)


@generated
@given(lines_of(), st.floats(9, 60))
def test_losses_and_their_shares_are_consistent(rows: list[Line], vix: float) -> None:
    for outcome in stress(RULES, Lines.of(rows), vix):
        share = outcome.loss_share
        assert (share is None) == (outcome.worst_layer is None) == (outcome.losses == 0)
        if share is not None:
            assert 0.25 - 1e-12 <= share <= 1 + 1e-12


@generated
@given(lines_of(), st.floats(9, 60))
def test_twice_the_hedge_loses_twice_and_the_opposite_gains_it(rows: list[Line], vix: float) -> None:
    def scaled(by: float) -> Lines:
        lines = Lines.of(rows)
        return Lines(lines.layer, by * lines.quantity, lines.multiplier, lines.forward, lines.dte, lines.right,
                     lines.strike, lines.vol, lines.rate, by * lines.engine)

    for one, two, minus in zip(*(stress(RULES, scaled(by), vix) for by in (1.0, 2.0, -1.0)), strict=True):
        for layer, pnl in one.layers.items():
            assert two.layers[layer] == pytest.approx(2 * pnl, rel=1e-12, abs=1e-9)
            assert minus.layers[layer] == -pnl


@generated
@given(st.floats(9, 40), st.floats(0.4, 1.2), st.floats(1.05, 2.0), st.floats(1.05, 2.0), st.integers(1, 300))
def test_a_long_call_spread_loses_at_most_its_value_and_gains_at_most_its_width(
    f: float, vol: float, k1: float, k2: float, dte: int
) -> None:
    low, high = f * k1, f * k1 * k2
    rows = [Line("L2", 1, 100, f, dte, 1, low, vol), Line("L2", -1, 100, f, dte, 1, high, vol)]
    t = dte / 365
    value = 100 * (black(f, low, vol, t, 0, 1) - black(f, high, vol, t, 0, 1))
    for outcome in stress(RULES, Lines.of(rows), f):
        assert -value - 1e-6 <= outcome.total <= 100 * (high - low) - value + 1e-6


@generated
@given(st.floats(0, 400), st.floats(0, 400), st.floats(0.01, 3))
def test_the_share_falls_with_the_tenor(a: float, b: float, power: float) -> None:
    near, far = tenor_beta([min(a, b), max(a, b)], power)
    assert 1 >= near >= far > 0
    assert tenor_beta(0.0, power) == 1.0


def test_no_floor_lifts_what_is_below_it() -> None:
    rules = StressRules(scenarios=(Scenario(name="crash", relative=-0.9, vol=-5.0),))
    lines = Lines.of([Line("L1", 1, 1000, 6.0, 5), Line("L1", 1, 1000, 9.0, 5)])
    # 6 stays, 9 stops at 8.
    assert stress(rules, lines, 20.0)[0].total == pytest.approx(-1000.0, abs=1e-9)
    option = [Line("L2", 1, 100, 20.0, 60, 1, 25.0, vol) for vol in (0.1, 0.2)]
    rules = StressRules(scenarios=(Scenario(name="vol only", vol=-5.0),))
    assert stress(rules, Lines.of(option), 20.0)[0].total == 0.0


def test_an_empty_hedge_loses_nothing() -> None:
    for outcome in stress(RULES, Lines.of([]), 20.0):
        assert outcome.total == 0
        assert outcome.worst_layer is None
        assert outcome.loss_share is None
    assert breaches(RULES, stress(RULES, Lines.of([]), 20.0), 1e6) == ()


def test_limits_worked_by_hand() -> None:
    def outcome(l1: float, l2: float, l3: float, tt: float, engine: float = 0.0) -> Outcome:
        return Outcome("s", {"L1": l1, "L2": l2, "L3": l3, "TT": tt}, engine)

    h = 1_000_000.0
    # 60 + 30 + 10 thousand: 60 % of 100 thousand, which is more than 5 % of H.
    found = breaches(RULES, [outcome(-60e3, -30e3, -10e3, 0)], h)
    assert [(b.limit, b.layer, b.value, b.bound) for b in found] == [("stress_share", "L1", pytest.approx(0.6), 0.5)]
    # Exactly half is allowed.
    assert breaches(RULES, [outcome(-50e3, -30e3, -20e3, 0)], h) == ()
    # A single layer that loses 4 % of H is too small to be judged.
    assert breaches(RULES, [outcome(-40e3, 0, 0, 0)], h) == ()
    # Temporal Theta alone loses, and the hedge as a whole gains.
    assert breaches(RULES, [outcome(80e3, 90e3, 70e3, -100e3)], h) == ()
    # The second engine: 100 thousand are 10 % of H and allowed, a dollar more is not.
    assert breaches(RULES, [outcome(0, -100e3, -100e3, 0, -100e3)], h) == ()
    found = breaches(RULES, [outcome(0, -100e3, -100e3, 0, -100_001.0)], h)
    assert [(b.limit, b.layer) for b in found] == [("stress_engine", None)]
    assert found[0].value == pytest.approx(0.100001)


def test_what_a_weight_of_one_loses_is_that_of_its_worst_scenario() -> None:
    outcomes = [
        Outcome("a", {"L1": 5.0, "L2": -30e3, "L3": -10e3, "TT": 0.0}, 0.0),
        Outcome("b", {"L1": 1.0, "L2": -20e3, "L3": -40e3, "TT": 0.0}, 0.0),
    ]
    # L2 30,000 / (0.25 x 1,000,000) = 0.12; L3 40,000 / (0.1 x 1,000,000) = 0.4.
    found = unit_losses(outcomes, {"L1": 0.2, "L2": 0.25, "L3": 0.1, "TT": 0.0}, 1e6)
    assert found == {"L1": 0.0, "L2": pytest.approx(0.12), "L3": pytest.approx(0.4)}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "field", ["quantity", "multiplier", "forward", "dte", "strike", "vol", "rate", "engine"]
)
def test_figures_that_are_no_numbers_are_refused_by_name(field: str, bad: float) -> None:
    figures: dict[str, Any] = {
        "quantity": 1.0, "multiplier": 100.0, "forward": 20.0, "dte": 30.0, "right": 1, "strike": 25.0, "vol": 0.8
    }
    with pytest.raises(ValueError, match=f"{field} must be"):
        Line("L2", **{**figures, field: bad})


@pytest.mark.parametrize(
    "figures",
    [
        {"right": 1},
        {"right": 1, "strike": 20.0},
        {"strike": 20.0},
        {"right": 2, "strike": 20.0, "vol": 0.5},
        {"engine": -1.0},
        {"engine": 3.0},
        {"right": 1, "strike": 20.0, "vol": -0.5},
    ],
)
def test_impossible_lines_are_refused(figures: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|strike and vol"):
        Line("L1", 2, 1000, 20.0, 30, **figures)


def test_impossible_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="names of scenarios must differ"):
        StressRules(scenarios=(Scenario(name="a"), Scenario(name="a")))
    with pytest.raises(ValueError, match=r"power\s+Input should be greater than or equal to 0"):
        Scenario(name="a", power=-0.1)
    with pytest.raises(ValueError, match="vix must be"):
        stress(RULES, Lines.of([]), math.nan)
    with pytest.raises(ValueError, match="dte must be"):
        tenor_beta([-1.0])


@pytest.mark.data
def test_the_share_by_tenor_is_what_the_recorded_contracts_moved(alvh_data: Any) -> None:
    frame = pd.read_csv(alvh_data / "vix-futures/vx_contracts_2004_2019.csv.gz", low_memory=False)
    frame = frame[~frame["flag"].fillna("").str.contains("suspect_settle") & (frame["settle"] > 0)]
    frame = frame[frame["trade_date"] >= "2007-01-01"]
    monthly = frame["expiry"].map({e: is_monthly(date.fromisoformat(e)) for e in frame["expiry"].unique()})
    frame = frame[monthly & (frame["expiry"] > frame["trade_date"])]
    vix = pd.read_csv(alvh_data / "vol-indices/vix_ohlc_1990_2019.csv").set_index("date")["close"]
    wide = frame.pivot_table(index="trade_date", columns="expiry", values="settle")
    wide = wide[wide.index.isin(vix.index)]
    moves = wide.diff().stack().rename("dv").reset_index()
    moves["spot"] = moves["trade_date"].map(vix.reindex(wide.index).diff())
    moves["dte"] = (pd.to_datetime(moves["expiry"]) - pd.to_datetime(moves["trade_date"])).dt.days
    moves = moves.dropna()
    assert len(moves) > 25_000
    for low, high in [(8, 15), (16, 30), (31, 45), (46, 62), (63, 90), (91, 130), (131, 185), (186, 270)]:
        part = moves[(moves["dte"] >= low) & (moves["dte"] <= high)]
        model = float(tenor_beta(part["dte"].to_numpy(float)).mean())
        jumps = part[part["spot"].abs() >= 4]
        assert (part["dv"] * part["spot"]).sum() / (part["spot"] ** 2).sum() == pytest.approx(model, abs=0.05)
        assert (jumps["dv"] * jumps["spot"]).sum() / (jumps["spot"] ** 2).sum() == pytest.approx(model, abs=0.08)


@pytest.mark.data
def test_the_crush_and_the_gap_have_happened(alvh_data: Any) -> None:
    vix = pd.read_csv(alvh_data / "vol-indices/vix_ohlc_1990_2019.csv").set_index("date")["close"].pct_change()
    assert vix.idxmin() == "2010-05-10"
    assert vix.min() == pytest.approx(-0.30, abs=0.005)
    assert vix.idxmax() == "2018-02-05"
    assert vix.max() > 1.0
