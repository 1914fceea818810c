"""What is missing, stale or broken adds nothing, is named, and never stands against a reduction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hedge_histories import DIGEST, SESSIONS, Curve, Moment, market_of
from hedge_support import RULES, at

from processors.hedge import MarketView, Memory, evaluate
from topics.instrument import parse_symbol
from topics.portfolio import Portfolio, Position
from topics.rebalance import Rebalance, Trade
from topics.times import SECOND

#: 2018-01-04. VX at 20, 20.6, 21.22 and so on; a portfolio of 20 million with beta 1 has H = 2 million.
DAY = SESSIONS[2]
NOW = at(DAY, 13)
FEB, APR, MAY, AUG = (f"2018-{md}" for md in ("02-14", "04-18", "05-16", "08-22"))
GOOD = Moment(state="moderate", curve=Curve(20.0, 0.03), quotes="live", vix=1.0)
CLOSES = (16.0, 18.0, 35.0, 30.0, 28.0)
#: 60 x 20,600 = 1.24 million of 2 million: 0.62 where the table has 0.20.
FUTURES = {f"VX/{FEB}": 60.0}
#: A spread of Layer 2, far more of it than its weight.
SPREADS = {f"VIX/{APR}/C/22": 3_000.0, f"VIX/{APR}/C/32": -3_000.0}
CROWDED = FUTURES | SPREADS


def book(positions: dict[str, float] | None = None, **changes: Any) -> Portfolio:
    quantities = CROWDED if positions is None else positions
    held = tuple(Position(symbol=symbol, quantity=n) for symbol, n in quantities.items())
    figures: dict[str, Any] = {"mv": 20_000_000.0, "beta": 1.0, "as_of": NOW - 60 * SECOND} | changes
    return Portfolio(portfolio_id="p", positions=held, **figures)


def run(market: Moment | MarketView, portfolio: Portfolio, memory: Memory | None = None) -> Rebalance:
    view = market_of(market, DAY, NOW, CLOSES) if isinstance(market, Moment) else market
    event = evaluate(RULES, DIGEST, view, portfolio, memory or Memory(), "close")[1]
    assert event is not None
    return event


def grown(event: Rebalance) -> list[Trade]:
    return [leg for leg in event.trades if abs(leg.target) > abs(leg.held)]


def reduced(event: Rebalance) -> dict[str, tuple[int, int]]:
    return {leg.symbol: (leg.held, leg.target) for leg in event.trades if abs(leg.target) < abs(leg.held)}


def options(legs: list[Trade]) -> list[Trade]:
    return [leg for leg in legs if parse_symbol(leg.symbol).kind == "option"]


def blocked_and_reduced(event: Rebalance, *reasons: str) -> None:
    """Adds are blocked for these reasons, nothing grows, and Layer 1 goes the half of its way: 0.62 to 0.4225."""
    assert event.blocked == reasons
    assert grown(event) == []
    assert event.status == "reduce_only"
    # aim 0.20, excess 0.418 - 0.025 = 0.393, half of it: 0.4215 x 2 million / 20,600 = 40.9 contracts
    assert reduced(event)[f"VX/{FEB}"] == (60, 40)


def test_without_any_fault_the_same_portfolio_is_added_to() -> None:
    event = run(GOOD, book({}))
    assert (event.blocked, event.status) == ((), "pending")
    assert {leg.layer for leg in grown(event)} == {"L1", "L2"}
    assert {leg.layer for leg in run(GOOD, book({}, beta=1.2)).trades} == {"L1", "L2", "L3"}
    assert reduced(run(GOOD, book()))[f"VX/{FEB}"] == (60, 40)


# The option chain: layers of options are shut, futures are not


@pytest.mark.parametrize(
    ("quotes", "reason"),
    [("stale", "chain:stale"), ("empty", "chain:missing"), ("model", "chain:modelled"), ("missing", "chain:missing")],
)
def test_no_option_is_opened_without_live_quotes(quotes: Any, reason: str) -> None:
    market = replace(GOOD, quotes=quotes)
    for policy in ("steward", "promoter"):
        event = run(market, book({}, beta=1.2, policy=policy))
        shut = {layer: reasons[0] for layer, reasons in event.shut.items()}
        assert shut == dict.fromkeys(("L2", "L3", "TT"), reason)
        assert {leg.layer for leg in event.trades} == {"L1"}
    # What is held is still valued, by the model where nobody quotes it, and taken back.
    event = run(market, book())
    assert options(grown(event)) == []
    assert 0 < reduced(event)[f"VIX/{APR}/C/22"][1] < 3_000
    assert {p.executable for p in event.packages if p.layer == "L2"} == {False}
    assert event.chain_source == "model"


def test_a_chain_is_missing_when_there_is_no_curve_to_model_it_from() -> None:
    market = replace(GOOD, quotes="missing", curve=Curve(20.0, 0.03, missing=frozenset(range(8))))
    event = run(market, book({}))
    assert event.shut["L2"] == event.shut["L3"] == ("chain:missing",)
    assert event.blocked == ("curve:missing",)
    assert event.trades == ()


def test_a_stale_expiry_and_a_weekly_one_are_not_opened() -> None:
    weekly = run(replace(GOOD, quotes="weekly"), book({}, beta=1.2))
    assert options(grown(weekly)) == []
    assert weekly.shut["L2"] == ("no expiry at 90 to 185 days",)
    for seed in range(3):
        event = run(replace(GOOD, quotes="stale_expiries", seed=seed), book({}, beta=1.2))
        fresh = {e for i, e in enumerate(GOOD.curve.prices(DAY)) if not (seed + i) % 3}
        assert {leg.expiry for leg in options(grown(event))} <= fresh


def test_a_study_opens_on_modelled_quotes_and_says_so() -> None:
    event = run(replace(GOOD, quotes="missing"), book({}, fills="modelled"))
    assert event.status == "study"
    assert options(grown(event))
    assert event.chain_source == "model"
    assert not any(package.executable for package in event.packages if package.layer == "L2")


# The portfolio


def test_an_empty_book_is_no_fault() -> None:
    event = run(GOOD, book({}))
    assert event.blocked == ()
    assert event.vectors["held"] == {"L1": 0.0, "L2": 0.0, "L3": 0.0, "TT": 0.0, "R": 1.0}


def test_expired_legs_are_no_longer_held_and_never_traded() -> None:
    gone = {"VIX/2018-01-03/C/15": -500.0, "VX/2018-01-03": 30.0, f"VIX/{DAY}/C/20": -100.0}
    event = run(GOOD, book(gone | FUTURES))
    assert event.blocked == ()
    assert not set(gone) & {leg.symbol for leg in event.trades}
    assert reduced(event) == {f"VX/{FEB}": (60, 40)}
    assert event.vectors["held"] == run(GOOD, book(FUTURES)).vectors["held"]


def test_without_beta_nothing_is_sized_and_what_has_to_go_goes() -> None:
    event = run(GOOD, book(CROWDED | {f"VIX/{MAY}/C/30": -50.0, "VX/2018-03-21": -4.0}, beta=None))
    assert event.blocked == ("portfolio:beta",)
    assert event.hedge_notional is None
    assert "held" not in event.vectors
    assert event.limits == {}
    assert grown(event) == []
    assert reduced(event) == {"VX/2018-03-21": (-4, 0), f"VIX/{MAY}/C/30": (-50, 0)}
    assert event.approvals_required == RULES.approvals_reduce


@pytest.mark.parametrize("beta", [-0.5, 0.0])
def test_without_a_positive_beta_everything_is_closed(beta: float) -> None:
    event = run(GOOD, book(beta=beta))
    assert event.blocked == ("portfolio:beta_not_positive",)
    assert event.hedge_notional == 0.0
    assert reduced(event) == {symbol: (int(n), 0) for symbol, n in CROWDED.items()}
    assert grown(event) == []


def test_negative_cash() -> None:
    blocked_and_reduced(run(GOOD, book(cash=-0.01)), "portfolio:cash")
    assert run(GOOD, book(cash=0.0)).blocked == ()


def test_stale_holdings() -> None:
    age = RULES.holdings_max_age_seconds
    blocked_and_reduced(run(GOOD, book(as_of=NOW - (age + 1) * SECOND)), "portfolio:stale")
    assert run(GOOD, book(as_of=NOW - age * SECOND)).blocked == ()


def test_a_quick_ratio_below_1() -> None:
    # Half of a depth of 0, and 59,999 of cash, against 50,000 + 10,000 that fall due.
    due = {"margin_req_stress": 50_000.0, "premium_due": 10_000.0, "receivable_vm": 0.0}
    thin = replace(GOOD, liquid="thin")
    blocked_and_reduced(run(thin, book(cash=59_999.0, **due)), "liquidity:quick_ratio")
    assert run(thin, book(cash=60_000.0, **due)).blocked == ()


@pytest.mark.parametrize(
    "symbol", ["SPY", "SVXY", f"ES/{FEB}", f"SPX/{FEB}/C/2800", f"VIX/{FEB}/P/20"], ids=lambda s: s.partition("/")[0]
)
def test_holdings_outside_of_the_plan(symbol: str) -> None:
    event = run(GOOD, book(CROWDED | {symbol: 10.0}))
    blocked_and_reduced(event, f"outside:{symbol}")
    assert symbol not in {leg.symbol for leg in event.trades}


def test_unpriced_holdings() -> None:
    note = run(replace(GOOD, notes="none"), book(CROWDED | {"VXX": 100.0}))
    blocked_and_reduced(note, "price:VXX")
    # Of a future that the curve lacks the nearest stands in; it is named all the same.
    lacking = replace(GOOD, curve=Curve(20.0, 0.03, missing=frozenset({2})))
    event = run(lacking, book(CROWDED | {"VX/2018-03-21": 3.0}))
    assert event.blocked == ("price:VX/2018-03-21",)
    # 3 x 21,850 beside it: 0.651 held, 0.438 left or 875,700, less 65,560: 39.3 contracts.
    assert reduced(event)[f"VX/{FEB}"] == (60, 39)
    assert grown(event) == []


def test_an_option_that_nothing_can_value_keeps_everything_as_it_is() -> None:
    event = run(GOOD, book(CROWDED | {f"VIX/{APR}/C/900": 5.0}))
    assert event.blocked == (f"price:VIX/{APR}/C/900",)
    assert event.trades == ()
    assert event.limits == {}


# What has to go, whatever the weights say


def test_a_naked_call_is_closed_under_every_block() -> None:
    naked = {f"VIX/{MAY}/C/30": -50.0}
    blocks: dict[str, Callable[[], Rebalance]] = {
        "": lambda: run(GOOD, book(naked)),
        "portfolio:cash": lambda: run(GOOD, book(naked, cash=-1.0)),
        "regime:held": lambda: run(replace(GOOD, held=True), book(naked)),
        "portfolio:beta": lambda: run(GOOD, book(naked, beta=None)),
        "portfolio:beta_not_positive": lambda: run(GOOD, book(naked, beta=-1.0)),
        "outside:SPY": lambda: run(GOOD, book(naked | {"SPY": 1.0})),
        "freeze:CPI_CORE_MOM": lambda: run(replace(GOOD, frozen=True), book(naked)),
    }
    for reason, event in ((reason, make()) for reason, make in blocks.items()):
        assert event.blocked == ((reason,) if reason else ()), reason
        (leg,) = [leg for leg in event.trades if leg.symbol in naked]
        assert (leg.side, leg.quantity, leg.target) == ("buy", 50, 0)
        assert leg.limit is not None
        assert leg.limit >= leg.price
        assert not reason or grown(event) == []


def test_a_call_sold_beyond_those_bought_is_closed_and_the_pair_stays() -> None:
    held = {f"VIX/{APR}/C/22": 100.0, f"VIX/{APR}/C/32": -130.0}
    event = run(GOOD, book(held, cash=-1.0))
    assert reduced(event) == {f"VIX/{APR}/C/32": (-130, -100)}


@pytest.mark.parametrize("changes", [{}, {"cash": -1.0}, {"beta": None}, {"beta": -1.0}])
def test_a_short_future_is_closed(changes: dict[str, Any]) -> None:
    event = run(GOOD, book({"VX/2018-03-21": -7.0}, **changes))
    (leg,) = [leg for leg in event.trades if leg.symbol == "VX/2018-03-21"]
    assert (leg.side, leg.quantity, leg.target) == ("buy", 7, 0)
    assert not changes or grown(event) == []


# The regime


def test_a_missing_vix_and_a_held_regime() -> None:
    for market in (replace(GOOD, held=True), replace(GOOD, blind=True), replace(GOOD, held=True, blind=True)):
        blocked_and_reduced(run(market, book()), "regime:held")
    stale = market_of(GOOD, DAY, NOW, CLOSES)
    stale = replace(stale, regime=stale.regime.model_copy(update={"degraded": ("vix:stale",)}))
    blocked_and_reduced(run(stale, book()), "regime:held")


def test_a_missing_curve_keeps_what_it_cannot_price_and_takes_the_rest_back() -> None:
    bare = replace(GOOD, curve=Curve(20.0, 0.03, missing=frozenset(range(8))))
    futures = run(bare, book(FUTURES))
    assert futures.blocked == ("curve:missing", f"price:VX/{FEB}")
    assert futures.trades == ()
    spreads = run(bare, book(SPREADS))
    assert spreads.blocked == ("curve:missing",)
    assert 0 < reduced(spreads)[f"VIX/{APR}/C/22"][1] < 3_000
    assert grown(spreads) == []


def test_two_faults_are_both_named() -> None:
    event = run(replace(GOOD, held=True, frozen=True), book(CROWDED | {"SPY": 1.0}, cash=-1.0))
    blocked_and_reduced(event, "freeze:CPI_CORE_MOM", "outside:SPY", "portfolio:cash", "regime:held")
