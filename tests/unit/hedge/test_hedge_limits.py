"""What is held against each limit, by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hedge_chains import AFTER_A_SPIKE, SPIKE, opened_in, quoted, view
from hedge_support import EXPIRIES, JAN_2, JAN_2_CURVE, RULES, portfolio, regime

from processors.hedge import MarketView, Openings
from processors.hedge.book import Book, ExitView, read_book
from processors.hedge.limits import Standing, measure, stress_shares
from processors.hedge.lines import Line, Lines
from processors.hedge.stress import stress
from processors.pricing import Unavailable
from processors.signals.liquidity import QuickRatio
from topics.instrument import parse_symbol
from topics.message import State
from topics.portfolio import Position
from topics.regime import FundFigure

H = 2_000_000.0
FEB, MAR, APR = (f"VX/{EXPIRIES[i]}" for i in range(1, 4))
L2 = ("VIX/2018-04-18/C/23", "VIX/2018-04-18/C/32.5")
TT = ("VIX/2018-03-21/C/23", "VIX/2018-03-21/C/28")


def _book(openings: Openings, held: dict[str, float], layers: dict[str, str] | None = None) -> Book:
    named = layers or {}
    positions = [Position(symbol=s, quantity=q, layer=named.get(s)) for s, q in held.items()]  # type: ignore[arg-type]
    return read_book(RULES, positions, openings, JAN_2, ExitView())


def _measure(openings: Openings, book: Book, state: State = "moderate", **changes: Any) -> Standing:
    arguments: dict[str, Any] = {
        "h": H,
        "kappa": 4.0,
        "scale": 1.0,
        "carry_max": 0.02,
        "engine_share": 0.0,
        "vix": 20.0,
        "quick_ratio": None,
    } | changes
    policy = arguments.pop("policy", "steward")
    return measure(RULES, openings, portfolio(policy=policy), book, state, JAN_2, **arguments)


FLAT = opened_in(quoted("moderate"))


def test_futures_by_hand() -> None:
    # 30 contracts of 20,000 in 2 million: 0.3. Exposure 4 x 0.1 x 0.3.
    found = _measure(FLAT, _book(FLAT, {FEB: 30}))
    limits = found.limits
    assert {name: limits[name] for name in ("layer", "reserve", "gross", "exposure", "theta")} == pytest.approx(
        {"layer": 0.3, "reserve": 0.7, "gross": 0.3, "exposure": 0.12, "theta": 0.0}
    )
    bounds = {"layer_max": 0.40, "reserve_min": 0.25, "gross_max": 1.25, "exposure_max": 0.5, "theta_max": 0.25}
    assert {name: limits[name] for name in bounds} == pytest.approx(bounds)
    assert (found.dte, found.at_risk) == ({"L1": 43.0}, {})
    # No share below half of H deployed, and no quick ratio where none is known.
    assert not {"share", "share_max", "quick_ratio", "quick_ratio_min"} & set(limits)


@pytest.mark.parametrize(
    ("policy", "state", "least"),
    [("steward", "low", 0.5), ("steward", "high", 0.25), ("promoter", "low", 0.10), ("promoter", "high", 0.10)],
)
def test_the_reserve_has_the_floor_of_posture_and_state(policy: str, state: State, least: float) -> None:
    assert _measure(FLAT, _book(FLAT, {}), state, policy=policy).limits["reserve_min"] == least


def test_the_share_of_one_layer_counts_from_half_of_h() -> None:
    # 0.35 in futures and the rest in spreads of Layer 2, 445.61 USD each: 1,000 of them are 0.2228.
    book = _book(FLAT, {FEB: 35, L2[0]: 1_000, L2[1]: -1_000})
    limits = _measure(FLAT, book).limits
    second = book.weight("L2") / H
    assert limits["share"] == pytest.approx(0.35 / (0.35 + second))
    assert limits["share_max"] == 0.60
    assert limits["gross"] == pytest.approx(0.35 + second)


def test_a_short_position_is_gross_and_lowers_exposure() -> None:
    limits = _measure(FLAT, _book(FLAT, {FEB: 30, MAR: -10})).limits
    assert (limits["gross"], limits["exposure"]) == pytest.approx((0.2, 0.08))  # within a layer they offset
    limits = _measure(FLAT, _book(FLAT, {FEB: -30})).limits
    assert limits["gross"] == pytest.approx(0.3)
    assert limits["reserve"] == pytest.approx(1.3)


def test_exposure_scales_with_kappa_and_the_cost_of_capital() -> None:
    limits = _measure(FLAT, _book(FLAT, {FEB: 30}), kappa=6.0, scale=0.5).limits
    assert limits["exposure"] == pytest.approx(6.0 * 0.1 * 0.5 * 0.3)


# Carry


@pytest.fixture(scope="module")
def contango() -> Openings:
    return opened_in(view(regime("low", JAN_2, JAN_2_CURVE)))


def test_carry_of_futures_by_hand(contango: Openings) -> None:
    # A dollar of February costs 1.083 a year (12 slides to 11 in 28 days). 30 of them are 360,000 of 2 million: 0.18;
    # H is a tenth of market value.
    yearly = (1.0 - (11 / 12) ** (30 / 28)) * 365 / 30
    book = _book(contango, {FEB: 30})
    moderate = _measure(contango, book)
    assert moderate.limits["carry"] == pytest.approx(0.18 * yearly * 0.1, rel=1e-9)
    assert moderate.limits["carry_max"] == 0.02
    # In low no budget stands against the first 0.15.
    low = _measure(contango, book, "low")
    assert low.limits["carry"] == pytest.approx(0.03 * yearly * 0.1, rel=1e-9)
    # Nothing held costs nothing.
    assert _measure(contango, _book(contango, {})).limits["carry"] == 0.0


def test_a_layer_that_earns_pays_for_no_other() -> None:
    # Inverted at its front and in contango further out: futures earn, spreads of eight months cost.
    prices = (30.0, 28.0, 26.5, 25.5, 25.0, 25.0, 25.5, 26.5, 27.5, 28.5)
    openings = opened_in(quoted("moderate", curve=dict(zip(EXPIRIES, prices, strict=True))))
    assert openings.cost["L1"] < 0 < openings.cost["L3"]
    far = [symbol for symbol, _ in openings.found["L3"].ratios]
    far.sort(key=lambda symbol: parse_symbol(symbol).strike or 0.0)
    held = {FEB: 30.0, far[0]: 500.0, far[1]: -500.0}
    book = _book(openings, held)
    alone = _measure(openings, _book(openings, {s: n for s, n in held.items() if s != FEB}))
    both = _measure(openings, book)
    assert both.limits["carry"] == pytest.approx(alone.limits["carry"])
    assert both.limits["carry"] == pytest.approx(openings.cost["L3"] * book.weight("L3") / H * 0.1)


def test_without_a_curve_carry_is_not_known() -> None:
    one = opened_in(view(regime("moderate", JAN_2, {EXPIRIES[1]: 20.0})))
    limits = _measure(one, _book(one, {FEB: 3})).limits
    assert not {"carry", "carry_max"} & set(limits)


# Stress


def _pnl(standing: Standing) -> dict[str, float]:
    return {outcome.scenario: outcome.total for outcome in standing.outcomes}


def test_stress_of_futures_by_hand() -> None:
    # 10 of February, 43 days: VIX up 20 moves it by 20 x 5.3^-0.6, and 30 % down of 20 by -6 x 5.3^-0.6.
    found = _measure(FLAT, _book(FLAT, {FEB: 10}))
    share = 5.3**-0.6
    assert _pnl(found)["vix_up_20"] == pytest.approx(10_000 * 20 * share)
    assert _pnl(found)["vol_crush"] == pytest.approx(-10_000 * 6 * share)
    assert _pnl(found)["gap"] == pytest.approx(10_000 * 20 * share)
    # 10,000 x 2.206 is 1.1 % of H: one layer may bear all of a loss that small.
    assert stress_shares(RULES, found, found, H) == ({}, {})
    # 50 of them lose 5.5 %: now its share is judged.
    judged = _measure(FLAT, _book(FLAT, {FEB: 50}))
    assert _pnl(judged)["vol_crush"] / H < -0.05
    before, after = stress_shares(RULES, found, judged, H)
    assert before == after == {"stress_share": 1.0, "stress_share_max": 0.5}
    assert judged.limits["stress_engine"] == 0.0


def test_the_second_engines_part_is_its_share_of_layers_2_and_3() -> None:
    book = _book(FLAT, {L2[0]: 2_000.0, L2[1]: -2_000.0, FEB: 10})
    whole = _measure(FLAT, book)
    part = _measure(FLAT, book, engine_share=0.2)
    only = _measure(FLAT, _book(FLAT, {L2[0]: 2_000.0, L2[1]: -2_000.0}))
    assert _pnl(part) == _pnl(whole)
    worst = -min(_pnl(only).values()) / H
    assert part.limits["stress_engine"] == pytest.approx(0.2 * worst)
    assert part.limits["stress_engine_max"] == 0.10


def test_options_are_stressed_on_their_own_forward_and_vol() -> None:
    assert FLAT.chain is not None
    quotes = FLAT.chain.on(EXPIRIES[3])
    assert not isinstance(quotes, Unavailable)
    vols = [quotes.vol(strike) for strike in (23.0, 32.5)]
    lines = Lines.of(
        Line("L2", n, 100, 20.0, 106, 1, strike, vol, 0.0)
        for n, strike, vol in zip((100, -100), (23.0, 32.5), vols, strict=True)
    )
    wanted = {each.scenario: each.total for each in stress(RULES.stress, lines, 20.0)}
    assert _pnl(_measure(FLAT, _book(FLAT, {L2[0]: 100, L2[1]: -100}))) == pytest.approx(wanted)


def test_without_vix_there_is_no_stress() -> None:
    found = _measure(FLAT, _book(FLAT, {FEB: 10}), vix=None)
    assert _pnl(found) == {}
    assert not any(name.startswith("stress") for name in found.limits)


# Premium at risk, tenor, quick ratio


def test_premium_at_risk_and_tenors_by_layer() -> None:
    openings = opened_in(quoted("high", features=dict(AFTER_A_SPIKE), closes=SPIKE))
    held = {FEB: 10.0, MAR: 30.0, L2[0]: 100.0, L2[1]: -100.0, TT[0]: -50.0, TT[1]: 50.0}
    book = _book(openings, held, dict.fromkeys(TT, "TT"))
    found = _measure(openings, book, "high")
    # 43 days on a quarter, 78 on three.
    assert found.dte == pytest.approx({"L1": 0.25 * 43 + 0.75 * 78, "L2": 106, "TT": 78})
    (spread,) = book.layers["L2"]
    assert spread.value is not None
    assert found.at_risk == pytest.approx({"L2": 100 * 100 * spread.value.mid, "TT": 50 * 500.0})
    # By its maximum loss: 25,000 of 2 million.
    assert found.limits["theta"] == pytest.approx(0.0125)


def test_the_quick_ratio_is_told_where_it_is_known() -> None:
    limits = _measure(FLAT, _book(FLAT, {}), quick_ratio=QuickRatio(1.4, False)).limits
    assert (limits["quick_ratio"], limits["quick_ratio_min"]) == (1.4, 1.0)
    unbounded = _measure(FLAT, _book(FLAT, {}), quick_ratio=QuickRatio(None, True)).limits
    assert "quick_ratio" not in unbounded


def test_notes_count_as_futures_of_their_tenor() -> None:
    fund = FundFigure(symbol="VXX", leverage=1.0, price=50.0, nav=50.0)
    market = quoted("moderate")
    openings = opened_in(MarketView(market.regime.model_copy(update={"funds": (fund,)}), {}, market.chain))
    found = _measure(openings, _book(openings, {"VXX": 400.0}))
    # 20,000 USD at 30 days: 20 points x 4^-0.6 on a future of 20.
    assert _pnl(found)["vix_up_20"] == pytest.approx(20_000 * 4**-0.6)
    assert found.dte == {"L1": 30.0}
