"""Packages and legs: what is dealt together, at which prices, and what it can lose and gain, by hand."""

from __future__ import annotations

import math
from datetime import date, timedelta

import pytest
from hedge_chains import AFTER_A_SPIKE, SPIKE, opened_in, quoted, view
from hedge_support import EXPIRIES, FEB_5, FEB_5_CURVE, JAN_2, RULES, flat_curve, portfolio, regime

from processors.hedge import MarketView, Memory, opened, plan
from processors.hedge.packages import pack
from processors.hedge.structure import MULTIPLIER
from processors.pricing import CALL, Unavailable
from topics.instrument import parse_symbol
from topics.portfolio import Portfolio, Position
from topics.rebalance import Package, Trade
from topics.regime import FundFigure

FEB, MAR, APR, MAY = (f"VX/{EXPIRIES[i]}" for i in range(1, 5))
L2 = ("VIX/2018-04-18/C/23", "VIX/2018-04-18/C/32.5")


def _pack(
    market: MarketView, book: Portfolio, memory: Memory | None = None
) -> tuple[tuple[Package, ...], tuple[Trade, ...]]:
    memory = Memory() if memory is None else memory
    openings = opened_in(market, opened(book, memory))
    found = plan(RULES, market, openings, book, memory)
    return pack(RULES, openings, found, market.regime.session_date)


def _quote(market: MarketView, symbol: str) -> tuple[float, float]:
    option = parse_symbol(symbol)
    chain = opened_in(market).chain
    assert chain is not None
    assert option.expiry is not None
    assert option.strike is not None
    quotes = chain.on(option.expiry)
    assert not isinstance(quotes, Unavailable)
    bid, ask = quotes.quote(CALL, option.strike)
    assert bid is not None
    assert ask is not None
    return bid, ask


def _holding(positions: dict[str, float], layer: str, day: date = JAN_2, **more: object) -> Portfolio:
    held = tuple(Position(symbol=s, quantity=q, layer=layer) for s, q in positions.items())  # type: ignore[arg-type]
    return portfolio(None, day, **more).model_copy(update={"positions": held})


# Futures


@pytest.mark.parametrize(
    ("price", "limit"), [(20.0, 20.0), (20.01, 20.05), (20.05, 20.05), (20.051, 20.10), (19.975, 20.0)]
)
def test_a_future_is_bought_at_the_next_nickel(price: float, limit: float) -> None:
    (package,), (leg,) = _pack(view(regime("low", JAN_2, flat_curve(JAN_2, price))), portfolio())
    assert (leg.side, leg.price, leg.limit) == ("buy", pytest.approx(price), limit)
    assert (package.layer, package.action, package.kind, package.units) == ("L1", "open", "future", leg.quantity)
    assert (package.debit, package.max_loss, package.max_gain, package.break_even) == (None, None, None, None)
    assert package.executable
    assert package.reason == "43 days, target 30"
    assert leg.greeks is not None
    assert (leg.greeks.delta, leg.greeks.gamma, leg.greeks.vega, leg.greeks.theta) == (1000, 0, 0, 0)
    assert (leg.expiry, leg.package) == (EXPIRIES[1], 0)
    assert leg.notional == pytest.approx(leg.quantity * 1000 * price)


@pytest.mark.parametrize(
    ("price", "limit"), [(20.0, 20.0), (20.04, 20.0), (20.05, 20.05), (20.099, 20.05), (19.975, 19.95)]
)
def test_a_future_is_sold_at_the_nickel_below(price: float, limit: float) -> None:
    (package,), (leg,) = _pack(view(regime("low", JAN_2, flat_curve(JAN_2, price))), portfolio({FEB: 60}))
    assert (leg.side, leg.limit) == ("sell", limit)
    assert (package.action, package.units, package.reason) == ("close", 0, f"{FEB}: reduced")


def test_a_roll_is_one_package_and_its_legs_move_in_pennies() -> None:
    day = date(2018, 2, 1)
    curve = {EXPIRIES[1]: 20.013, EXPIRIES[2]: 20.513, EXPIRIES[3]: 20.6}
    (package,), legs = _pack(view(regime("moderate", day, curve)), portfolio({FEB: 20}, day))
    assert [(leg.side, leg.symbol, leg.limit, leg.package) for leg in legs] == [
        ("sell", FEB, 20.01, 0),
        ("buy", MAR, 20.52, 0),
    ]
    assert (package.action, package.kind, package.units) == ("roll", "future", legs[1].quantity)
    assert package.reason == f"{FEB}: rolled; 48 days, target 30"
    assert package.executable


def test_closings_of_several_expiries_are_packages_of_their_own_at_outright_ticks() -> None:
    market = view(regime("high", FEB_5, {d: p + 0.013 for d, p in FEB_5_CURVE.items()}))
    held = portfolio({MAR: 10, APR: 10, MAY: -2}, FEB_5)
    packages, legs = _pack(market, held, Memory(state="high", entered_high=FEB_5))
    assert [(leg.side, leg.symbol) for leg in legs] == [("sell", MAR), ("sell", APR), ("buy", MAY)]
    assert [leg.limit for leg in legs] == [25.20, 21.50, 20.15]
    assert sorted(leg.package for leg in legs) == [0, 1, 2]
    assert {package.action for package in packages} == {"close"}
    by_leg = {leg.symbol: packages[leg.package].reason for leg in legs}
    assert by_leg[MAY] == f"{MAY}: short"


def test_notes_are_apart_from_futures_and_have_no_limit() -> None:
    fund = FundFigure(symbol="VXX", leverage=1.0, price=50.0, nav=50.0)
    now = regime("low").model_copy(update={"funds": (fund,)})
    # 0.175 x 2 million = 350,000: 17 contracts and 10,000 in notes
    packages, legs = _pack(view(now), portfolio())
    assert [(p.kind, p.units) for p in packages] == [("future", 17), ("note", 200)]
    note = next(leg for leg in legs if leg.symbol == "VXX")
    assert (note.quantity, note.price, note.notional) == (200, 50.0, 10_000.0)
    assert (note.limit, note.expiry, note.greeks) == (None, None, None)


# Options


def test_a_spread_by_hand() -> None:
    market = quoted("low")
    packages, legs = _pack(market, portfolio())
    package = packages[1]
    sold, bought = (leg for leg in legs if leg.layer == "L2")
    assert [(leg.side, leg.symbol, leg.package) for leg in (sold, bought)] == [("sell", L2[1], 1), ("buy", L2[0], 1)]
    # In 2018 nickels below 3 points: bought at the ask rounded up, sold at the bid rounded down.
    (bid1, ask1), (bid2, ask2) = (_quote(market, symbol) for symbol in L2)
    assert bought.limit == pytest.approx(math.ceil(ask1 / 0.05) * 0.05)
    assert sold.limit == pytest.approx(math.floor(bid2 / 0.05) * 0.05)
    assert bought.price == pytest.approx(0.5 * (bid1 + ask1))
    assert sold.price == pytest.approx(0.5 * (bid2 + ask2))
    assert bought.notional == pytest.approx(168 * 100 * bought.price)
    assert bought.limit is not None
    assert sold.limit is not None
    debit = bought.limit - sold.limit
    # 168 units of 9.5 points: it loses the debit and 2 USD of fees a unit, and gains the rest of the width.
    assert (package.action, package.kind, package.units) == ("open", "call_spread", 168)
    assert package.debit == pytest.approx(debit)
    assert package.max_loss == pytest.approx(168 * (100 * debit + 2.0))
    assert package.max_gain == pytest.approx(168 * (100 * (9.5 - debit) - 2.0))
    assert package.break_even == pytest.approx(23 + debit + 0.02)
    assert package.executable
    assert package.reason.startswith("long 23 from 1.15 x 20 = 23")


def test_greeks_are_those_of_one_contract_in_dollars() -> None:
    market = quoted("low")
    _, legs = _pack(market, portfolio())
    structure = opened_in(market).found["L2"].structure
    assert structure is not None
    of = {leg.symbol: leg.greeks for leg in legs}
    for name in ("delta", "gamma", "vega", "theta"):
        long, short = (getattr(of[symbol], name) for symbol in L2)
        assert long - short == pytest.approx(MULTIPLIER * getattr(structure.moves, name), abs=1e-9)
    long_leg = of[L2[0]]
    assert long_leg is not None
    assert long_leg.delta > 0 > long_leg.theta


def test_a_credit_spread_by_hand() -> None:
    market = quoted("high", features=dict(AFTER_A_SPIKE), closes=SPIKE)
    packages, legs = _pack(market, portfolio())
    (package,) = (package for package in packages if package.layer == "TT")
    sold, bought = (leg for leg in legs if leg.layer == "TT")
    assert (sold.symbol, bought.symbol) == ("VIX/2018-02-14/C/23", "VIX/2018-02-14/C/28")
    assert sold.limit is not None
    assert bought.limit is not None
    credit = sold.limit - bought.limit
    assert (package.action, package.kind, package.units) == ("open", "call_credit_spread", sold.quantity)
    assert package.debit == pytest.approx(-credit)
    # 5 points wide: it loses the width less the credit, and 2 USD of fees; it gains the credit less fees.
    assert package.max_loss == pytest.approx(sold.quantity * (100 * (5.0 - credit) + 2.0))
    assert package.max_gain == pytest.approx(sold.quantity * (100 * credit - 2.0))
    assert package.break_even == pytest.approx(23 + credit - 0.02)
    # What is held is what the layer was sized by.
    assert package.max_loss is not None
    assert package.max_loss <= 0.225 * 2_000_000


def test_the_tail_is_apart_from_the_spread_and_gains_without_bound() -> None:
    packages, legs = _pack(quoted("elevated"), portfolio(beta=1.2))
    found = {package.kind: package for package in packages if package.layer == "L3"}
    assert set(found) == {"call", "call_spread"}
    call = found["call"]
    (leg,) = (leg for leg in legs if leg.symbol.startswith("VIX/2018-02-14"))
    assert leg.limit is not None
    assert packages[leg.package] == call
    assert call.max_gain is None
    assert call.max_loss == pytest.approx(leg.quantity * (100 * leg.limit + 1.0))
    assert call.break_even == pytest.approx(26 + leg.limit + 0.01)
    spread = {packages[leg.package].kind for leg in legs if leg.symbol.startswith("VIX/2018-08-22")}
    assert spread == {"call_spread"}


def test_a_roll_of_a_spread_holds_all_four_legs() -> None:
    # Below 35 days the spread of April is rolled into one of Layer 2's window.
    day = EXPIRIES[3] - timedelta(days=34)
    market = quoted("moderate", day)
    book = _holding({L2[0]: 1_000.0, L2[1]: -1_000.0}, "L2", day)
    packages, legs = _pack(market, book)
    (package,) = (package for package in packages if package.layer == "L2")
    of_it = [leg for leg in legs if packages[leg.package] == package]
    assert package.action == "roll"
    assert len(of_it) == 4
    assert [(leg.symbol, leg.target) for leg in of_it if leg.symbol in L2] == [(L2[1], 0), (L2[0], 0)] or {
        leg.symbol for leg in of_it if leg.target == 0
    } == set(L2)
    assert package.reason.startswith(f"VIX/{EXPIRIES[3]}/C/23/32.5: rolled; long ")
    opened_legs = [leg for leg in of_it if leg.target]
    assert sum(leg.target for leg in opened_legs) == 0
    # What it costs is that of the opened spread alone.
    limits = {leg.side: leg.limit for leg in opened_legs}
    assert limits["buy"] is not None
    assert limits["sell"] is not None
    assert package.debit == pytest.approx(limits["buy"] - limits["sell"])
    assert package.units == max(leg.target for leg in opened_legs)


def test_a_closed_spread_says_why() -> None:
    sold = _holding({"VIX/2018-02-14/C/23": -10.0}, "TT")
    packages, (leg,) = _pack(quoted("low"), sold.model_copy(update={"cash": -1.0}))
    (package,) = packages
    assert (leg.side, leg.quantity, leg.target) == ("buy", 10, 0)
    assert (package.action, package.kind, package.units) == ("close", "mixed", 0)
    assert package.reason == "VIX/2018-02-14/C/23: naked"
    assert (package.debit, package.max_loss, package.max_gain, package.break_even) == (None, None, None, None)


def test_modelled_prices_are_not_to_be_dealt_on() -> None:
    packages, legs = _pack(view(regime("low")), portfolio(fills="modelled"))
    assert [(package.layer, package.executable) for package in packages] == [("L1", True), ("L2", False)]
    assert all(leg.limit is not None for leg in legs)
    # In the same way what is held is reduced at modelled prices only after someone has quoted it.
    book = _holding({L2[0]: 3_000.0, L2[1]: -3_000.0}, "L2")
    packages, _ = _pack(view(regime("low")), book)
    assert [package.executable for package in packages if package.layer == "L2"] == [False]


def test_without_a_bid_of_a_tick_there_is_no_limit_and_the_package_cannot_be_dealt() -> None:
    # A call of 190 is bid at 0.0005, less than a tick; one of 200 is not bid at all. Both are closed without beta.
    for strike in ("190", "200"):
        far = f"VIX/2018-04-18/C/{strike}"
        (package,), (leg,) = _pack(quoted("low"), _holding({far: 5.0}, "L2", beta=0.0))
        assert (leg.side, leg.symbol, leg.limit) == ("sell", far, None)
        assert 0.0 < leg.price < 0.05
        assert not package.executable


def test_sales_come_first_and_every_leg_has_its_package() -> None:
    market = quoted("high", features=dict(AFTER_A_SPIKE), closes=SPIKE)
    packages, legs = _pack(market, portfolio({FEB: 60, MAR: 10}, beta=1.2))
    sides = [leg.side for leg in legs]
    assert sides == sorted(sides, reverse=True)
    assert {leg.package for leg in legs} == set(range(len(packages)))
    for leg in legs:
        assert packages[leg.package].layer == leg.layer
        assert leg.quantity == abs(leg.target - leg.held) > 0
        assert (leg.side == "buy") == (leg.target > leg.held)
