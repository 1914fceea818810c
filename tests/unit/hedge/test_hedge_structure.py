"""Structures at prices that can be dealt on, what they can lose, held ones at a chain's quotes, and Layer 1."""

from __future__ import annotations

import math
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hedge_support import EXPIRIES, FEB_5, FEB_5_CURVE, JAN_2, RULES, points
from hypothesis import given, settings
from hypothesis import strategies as st
from test_hedge_chain import NOW, RATE, expiry_of, message, quoted_chain, quoted_chains, wild_chains

from processors.hedge.chain import Chain, read_chain
from processors.hedge.futures import Contract, list_contracts
from processors.hedge.l1 import Etn, Opening, closed, open_l1
from processors.hedge.structure import (
    Leg,
    Right,
    Structure,
    Unbuildable,
    Valuation,
    build,
    buy_at,
    option_symbol,
    payoff,
    sell_at,
    tick,
    value,
)
from processors.pricing import CALL, CallSpread, Unavailable, black76
from processors.pricing import price as black_price
from topics.hedge_rules import ChainRules, Costs, EtnRules

PENNIES = date(2022, 10, 3)
NICKELS = date(2022, 9, 30)
APRIL = EXPIRIES[3]
FREE = Costs(fee=0.0)


# Ticks


def test_ticks_before_and_from_the_change_of_the_exchange() -> None:
    assert [tick(x, NICKELS) for x in (0.05, 2.99, 3.0, 9.0)] == [0.05, 0.05, 0.10, 0.10]
    assert [tick(x, PENNIES) for x in (0.01, 2.99, 3.0, 9.0)] == [0.01, 0.01, 0.05, 0.05]


def test_a_buyer_pays_up_to_the_tick_and_a_seller_gets_down_to_it() -> None:
    assert buy_at(1.243, NICKELS) == 1.25
    assert sell_at(1.243, NICKELS) == 1.20
    assert buy_at(1.243, PENNIES) == 1.25
    assert sell_at(1.243, PENNIES) == 1.24
    assert buy_at(3.01, NICKELS) == 3.10
    assert sell_at(3.19, NICKELS) == 3.10
    assert buy_at(2.99, NICKELS) == 3.00
    assert buy_at(1.15, NICKELS) == sell_at(1.15, NICKELS) == 1.15  # 1.15 / 0.05 is 22.999... in binary
    assert sell_at(0.04, NICKELS) == 0.0


@given(st.floats(0.001, 150), st.sampled_from([NICKELS, PENNIES]))
def test_prices_stand_on_the_tick_on_the_right_side_and_less_than_a_tick_away(quote: float, day: date) -> None:
    step = tick(quote, day)
    for dealt, side in ((buy_at(quote, day), 1), (sell_at(quote, day), -1)):
        assert Fraction(str(dealt)) % Fraction(str(step)) == 0
        assert -1e-7 < side * (dealt - quote) < step


# Building


def _by_hand() -> Chain:
    """April: calls 15 at 1.40/1.50 and 25 at 0.45/0.55 on a forward of 14; everything else not quoted."""
    calls = {15.0: (1.40, 1.50), 25.0: (0.45, 0.55)}
    strikes = (15.0, 20.0, 25.0)
    made = expiry_of(
        strikes=strikes,
        call_bid=tuple(calls.get(k, (None, None))[0] for k in strikes),
        call_ask=tuple(calls.get(k, (None, None))[1] for k in strikes),
        put_bid=(None,) * 3,
        put_ask=(None,) * 3,
    )
    return read_chain(message(made), NOW, RATE)


def _build(chain: Chain, options: list[tuple[int, Right, float]], kind: Any = "call_spread", **more: Any) -> Any:
    return build(chain, chain.expiries[0], "L2", kind, options, "a test", **more)


def test_a_debit_spread_by_hand() -> None:
    found = _build(_by_hand(), [(-1, "C", 25.0), (1, "C", 15.0)])
    assert isinstance(found, Structure)
    assert [(leg.symbol, leg.ratio, leg.price) for leg in found.legs] == [
        ("VIX/2018-04-18/C/15", 1, 1.50),
        ("VIX/2018-04-18/C/25", -1, 0.45),
    ]
    # Buy at 1.50, sell at 0.45: debit 1.05. Two options at 1 USD each: 0.02 points. Loss 1.07, gain 10 - 1.07 = 8.93,
    # break-even 15 + 1.07 = 16.07. Nothing is in the money, so all of the debit is time value.
    assert (found.debit, found.credit, found.fees) == (1.05, -1.05, 0.02)
    assert (found.max_loss, found.max_gain, found.break_even) == (1.07, 8.93, 16.07)
    assert found.max_loss_usd == pytest.approx(107.0)
    assert found.extrinsic == pytest.approx(1.05)
    assert (found.expiry, found.dte, found.forward) == (APRIL, 106, 14.0)
    assert found.executable
    assert found.source == "cboe"
    # The greeks are those of the pricing library, each leg at the vol of its own mid quote.
    t = _by_hand().expiries[0].t
    vols = [leg.vol for leg in found.legs]
    assert float(black_price(14.0, 15.0, vols[0], t, RATE, CALL)) == pytest.approx(1.45, abs=1e-12)
    assert float(black_price(14.0, 25.0, vols[1], t, RATE, CALL)) == pytest.approx(0.50, abs=1e-12)
    theirs = CallSpread(15.0, 25.0, vols[0], vols[1], t, RATE).greeks(14.0)
    for name in ("delta", "gamma", "vega", "theta"):
        assert getattr(found.moves, name) == pytest.approx(float(getattr(theirs, name)), rel=1e-12)
    assert found.notional == pytest.approx(100 * float(theirs.delta) * 14.0, rel=1e-12)


def test_a_credit_spread_by_hand() -> None:
    found = _build(_by_hand(), [(-1, "C", 15.0), (1, "C", 25.0)], "call_credit_spread")
    assert isinstance(found, Structure)
    # Sell at 1.40, buy at 0.55: credit 0.85. Loss 10 - 0.85 + 0.02 = 9.17, gain 0.83, break-even 15.83.
    assert (found.credit, found.max_loss, found.max_gain, found.break_even) == (0.85, 9.17, 0.83, 15.83)
    assert found.notional < 0
    assert found.moves.delta < 0


def test_a_long_call_by_hand_gains_without_bound() -> None:
    found = _build(_by_hand(), [(1, "C", 15.0)], "call")
    assert isinstance(found, Structure)
    assert (found.debit, found.max_loss, found.max_gain, found.break_even) == (1.50, 1.51, None, 16.51)
    assert _build(_by_hand(), [(1, "C", 15.0)], "call", costs=FREE).max_loss == 1.50


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([(1, "C", 15.0), (-1, "C", 22.0)], "VIX/2018-04-18/C/22 is not listed"),
        ([(1, "C", 15.0), (-1, "C", 20.0)], "VIX/2018-04-18/C/20 cannot be dealt on"),
        ([(1, "P", 15.0)], "VIX/2018-04-18/P/15 cannot be dealt on"),
        ([(-1, "C", 25.0)], "a short call without its long one is naked"),
        ([(1, "C", 15.0), (-2, "C", 25.0)], "a short call without its long one is naked"),
        ([(1, "C", 15.0), (-1, "P", 15.0)], "a short put without its long one is naked"),
        ([], "a structure needs legs"),
        ([(0, "C", 15.0)], "a structure needs legs"),
    ],
)
def test_what_cannot_be_built_says_why(options: list[tuple[int, Right, float]], words: str) -> None:
    found = _build(_by_hand(), options)
    assert isinstance(found, Unbuildable)
    assert words in found.reason


def _two_calls(lower: tuple[float, float], upper: tuple[float, float]) -> Chain:
    made = expiry_of(
        strikes=(15.0, 25.0),
        call_bid=(lower[0], upper[0]),
        call_ask=(lower[1], upper[1]),
        put_bid=(None, None),
        put_ask=(None, None),
    )
    return read_chain(message(made), NOW, RATE)


def test_something_for_nothing_and_what_cannot_gain_are_unbuildable() -> None:
    gift = _build(_two_calls((1.0, 1.0), (1.1, 1.1)), [(1, "C", 15.0), (-1, "C", 25.0)])
    assert isinstance(gift, Unbuildable)
    assert "cannot lose at -0.1" in gift.reason
    # A debit of 9.99 and 0.02 of fees on 10 points of width.
    lost = _build(_two_calls((10.95, 11.0), (1.01, 1.05)), [(1, "C", 15.0), (-1, "C", 25.0)])
    assert isinstance(lost, Unbuildable)
    assert "cannot gain at 10" in lost.reason  # the bid of 1.01 falls to 1.00


def test_a_leg_that_would_be_sold_for_nothing_is_unbuildable() -> None:
    found = _build(_two_calls((1.0, 1.1), (0.04, 0.10)), [(1, "C", 15.0), (-1, "C", 25.0)])
    assert isinstance(found, Unbuildable)
    assert found.reason == "VIX/2018-04-18/C/25 is bid 0.04, less than a tick"


@pytest.mark.parametrize("fee", [-1.0, math.nan, math.inf])
def test_a_fee_that_is_no_amount_is_refused(fee: float) -> None:
    with pytest.raises(ValueError, match=r"fee\s+(Value error, expected a finite|Input should be)"):
        Costs(fee=fee)


rights: st.SearchStrategy[Right] = st.sampled_from(["C", "P"])
any_options = st.lists(st.tuples(st.integers(-3, 3), rights, st.integers(8, 60).map(float)), min_size=1, max_size=4)


@given(st.one_of(quoted_chains, wild_chains()), any_options, st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_is_asked_for_no_structure_is_naked_or_loses_more_than_it_says(
    chain: Chain, options: list[tuple[int, Right, float]], data: st.DataObject
) -> None:
    if not chain.expiries:
        return
    quotes = data.draw(st.sampled_from(chain.expiries))
    listed = quotes.open_calls()
    if listed and data.draw(st.booleans()):
        options = [(ratio, "C", data.draw(st.sampled_from(listed))) for ratio, _, _ in options]
    found = build(chain, quotes, "TT", "call_credit_spread", options, "any")
    naked = any(sum(n for n, its, _ in options if its == right) < 0 for right in "CP")
    if naked or any(n == 0 for n, _, _ in options):
        assert isinstance(found, Unbuildable)
        return
    if isinstance(found, Unbuildable):
        return
    # Profit over a fine grid of settlements, from zero to far beyond every strike.
    at_expiry = np.concatenate([np.linspace(0, 200, 2_001), [leg.strike for leg in found.legs], [1e4]])
    profit = payoff(found.legs, at_expiry) - found.debit - found.fees
    assert profit.min() == pytest.approx(-found.max_loss, abs=1e-9)
    assert found.max_loss > 0
    if found.max_gain is None:
        assert profit[-1] > 1_000
    else:
        assert profit.max() == pytest.approx(found.max_gain, abs=1e-9)
    at_even = payoff(found.legs, found.break_even) - found.debit - found.fees
    assert at_even == pytest.approx(0, abs=1e-8)
    for leg in found.legs:
        assert leg.price >= leg.ask - 1e-6 if leg.ratio > 0 else leg.price <= leg.bid + 1e-6


# Valuing


def test_a_held_spread_is_worth_its_mid_and_closes_at_the_sides_it_must_take() -> None:
    held = {"VIX/2018-04-18/C/15": 10.0, "VIX/2018-04-18/C/25": -10.0}
    found = value(held, _by_hand())
    assert isinstance(found, Valuation)
    # Mid 1.45 - 0.50; closing sells at 1.40 and buys at 0.55.
    assert found.mid == pytest.approx(9.5)
    assert found.close == pytest.approx(8.5)
    assert found.extrinsic == pytest.approx(9.5)
    assert [(leg.close, leg.from_quote) for leg in found.legs] == [(1.40, True), (0.55, True)]
    unit = _build(_by_hand(), [(1, "C", 15.0), (-1, "C", 25.0)])
    assert found.notional == pytest.approx(10 * unit.notional)
    assert found.moves.theta == pytest.approx(10 * unit.moves.theta)


def test_an_option_without_a_quote_is_valued_between_its_neighbours_and_cannot_be_closed() -> None:
    chain = _by_hand()
    found = value({"VIX/2018-04-18/C/20": -3.0}, chain)
    assert isinstance(found, Valuation)
    (leg,) = found.legs
    assert not leg.from_quote
    assert leg.close is None
    assert found.close is None
    quotes = chain.expiries[0]
    share = math.log(20 / 15) / math.log(25 / 15)
    vol = quotes.vols[0] + share * (quotes.vols[2] - quotes.vols[0])
    assert leg.vol == pytest.approx(vol, rel=1e-12)
    assert found.mid == pytest.approx(-3 * float(black_price(14.0, 20.0, vol, quotes.t, RATE, CALL)), rel=1e-12)


def test_puts_are_valued_with_the_sign_of_their_right() -> None:
    chain = quoted_chain()
    quotes = chain.on(APRIL)
    assert not isinstance(quotes, Unavailable)
    found = value({"VIX/2018-04-18/P/13": 2.0}, chain)
    assert isinstance(found, Valuation)
    theirs = black76.greeks(quotes.forward, 13.0, quotes.vol(13.0) or 0.0, quotes.t, RATE, -1)
    assert found.moves.delta == pytest.approx(2 * float(theirs.delta), rel=1e-12)
    assert found.moves.delta < 0
    assert found.mid == pytest.approx(2 * float(theirs.price), abs=2e-4)


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        ("VIX/2018-01-02/C/15", "has settled"),
        ("VIX/2018-06-20/C/15", "the chain has no options that settle on 2018-06-20"),
        ("VIX/2018-04-18/C/30", "has no quote, and no strikes around it do"),
    ],
)
def test_what_cannot_be_valued_is_unavailable_by_name(symbol: str, words: str) -> None:
    found = value({symbol: 1.0, "VIX/2018-04-18/C/15": 1.0}, _by_hand())
    assert isinstance(found, Unavailable)
    assert symbol in found.reason
    assert words in found.reason


def test_what_is_no_vix_option_and_no_quantity_is_refused() -> None:
    for symbol in ("VX/2018-04-18", "SPX/2018-04-18/C/3000", "VIX"):
        with pytest.raises(ValueError, match="is no VIX option"):
            value({symbol: 1.0}, _by_hand())
    with pytest.raises(ValueError, match="quantity"):
        value({"VIX/2018-04-18/C/15": math.nan}, _by_hand())


def test_nothing_held_is_worth_nothing_and_modelled_quotes_close_nothing() -> None:
    nothing = value({}, _by_hand())
    assert isinstance(nothing, Valuation)
    assert (nothing.mid, nothing.close, nothing.notional) == (0.0, 0.0, 0.0)
    modelled = value({"VIX/2018-04-18/C/15": 1.0}, quoted_chain(source="model"))
    assert isinstance(modelled, Valuation)
    assert modelled.close is None
    assert modelled.legs[0].close is not None


@given(quoted_chains, st.data())
@settings(max_examples=60, deadline=None)
def test_opening_and_closing_at_once_never_gains(chain: Chain, data: st.DataObject) -> None:
    quotes = data.draw(st.sampled_from(chain.expiries))
    strikes = quotes.open_calls()
    if len(strikes) < 2:
        return
    low, high = sorted(data.draw(st.lists(st.sampled_from(strikes), min_size=2, max_size=2, unique=True)))
    for ratio in (1, -1):
        found = build(chain, quotes, "L2", "call_spread", [(ratio, "C", low), (-ratio, "C", high)], "any")
        if isinstance(found, Unbuildable):
            continue
        held = value({leg.symbol: float(leg.ratio) for leg in found.legs}, chain)
        assert isinstance(held, Valuation)
        assert held.close is not None
        assert held.close <= held.mid + 1e-9
        assert held.mid <= found.debit + 1e-9
        assert held.notional == pytest.approx(found.notional)


def test_symbols_are_those_of_the_grammar() -> None:
    assert option_symbol(APRIL, "C", 23.0) == "VIX/2018-04-18/C/23"
    assert option_symbol(APRIL, "P", 37.5) == "VIX/2018-04-18/P/37.5"


def test_a_payoff_is_that_of_its_legs() -> None:
    legs = [Leg("a", "C", 20.0, 2, 0.0, 0.0, 0.0, 1.0), Leg("b", "P", 15.0, 1, 0.0, 0.0, 0.0, 1.0)]
    assert payoff(legs, [0.0, 10.0, 15.0, 20.0, 26.0]).tolist() == [15.0, 5.0, 0.0, 0.0, 12.0]


def test_quotes_wide_apart_are_refused_and_allowed_by_rule() -> None:
    made = message(expiry_of(half=0.4))
    narrow = read_chain(made, NOW, RATE)
    wide = read_chain(made, NOW, RATE, ChainRules(spread_relative=5.0, spread_max=5.0))
    assert isinstance(_build(narrow, [(1, "C", 15.0)], "call"), Unbuildable)
    assert isinstance(_build(wide, [(1, "C", 15.0)], "call"), Structure)


# Layer 1

WINDOW = RULES.windows["L1"]
CONTRACTS = list_contracts(points(FEB_5, FEB_5_CURVE))
VXX = Etn("VXX", 50.0, 1.0, 49.8)


def _open(budget: float, contracts: tuple[Contract, ...] = CONTRACTS, notes: tuple[Etn, ...] = (VXX,)) -> Any:
    return open_l1(budget, contracts, notes, WINDOW, FEB_5)


def test_a_budget_for_a_future_buys_futures_of_the_window() -> None:
    # March, 44 days: 25.2 points, 25,200 USD. 100,000 / 25,200 = 3.97.
    assert _open(100_000.0) == Opening("future", "VX/2018-03-21", 3, 25_200.0, "44 days, target 30")
    assert _open(25_200.0).quantity == 1


def test_a_smaller_budget_or_no_contract_in_the_window_buys_the_note() -> None:
    small = _open(25_199.0)
    # 25,199 / (50 x 1) = 503.98 shares.
    assert (small.kind, small.symbol, small.quantity, small.notional) == ("etn", "VXX", 503, 25_150.0)
    assert small.reason == "25199 USD is less than one VX/2018-03-21"
    gap = _open(100_000.0, tuple(c for c in CONTRACTS if c.expiry != EXPIRIES[2]))
    assert (gap.kind, gap.quantity, gap.reason) == ("etn", 2_000, "no contract is in the window")
    leveraged = open_l1(
        15_000.0, (), (Etn("UVXY", 10.0, 1.5, 10.0),), WINDOW, FEB_5, EtnRules(symbols=("VXX", "UVXY"))
    )
    assert isinstance(leveraged, Opening)
    assert (leveraged.symbol, leveraged.quantity) == ("UVXY", 1_000)  # a share carries 10 x 1.5 = 15 USD


@pytest.mark.parametrize(
    ("note", "words"),
    [
        (Etn("VXX", 51.1, 1.0, 50.0), "VXX trades +2.2% from its indicative value"),
        (Etn("VXX", 48.9, 1.0, 50.0), "VXX trades -2.2% from its indicative value"),
        (Etn("VXX", 50.0, 1.0), "no indicative value"),
        (Etn("VXX", 50.0, -1.0, 50.0), "short volatility"),
        (Etn("UVIX", 50.0, 2.0, 50.0), "not among the notes allowed"),
    ],
)
def test_a_note_away_from_its_value_is_closed(note: Etn, words: str) -> None:
    assert words in (closed(note, EtnRules()) or "")
    assert isinstance(_open(10_000.0, notes=(note,)), Unbuildable)


def test_a_premium_at_the_limit_is_allowed() -> None:
    assert closed(Etn("VXX", 51.0, 1.0, 50.0), EtnRules()) is None
    assert isinstance(_open(49.0), Unbuildable)
    assert isinstance(_open(-1.0), Unbuildable)


@pytest.mark.parametrize("number", [0.0, -1.0, math.nan, math.inf])
def test_numbers_of_a_note_that_cannot_be_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="price of VXX"):
        Etn("VXX", number, 1.0)
    with pytest.raises(ValueError, match="indicative of VXX"):
        Etn("VXX", 50.0, 1.0, number)
    if not math.isfinite(number):
        with pytest.raises(ValueError, match="leverage"):
            Etn("VXX", 50.0, number)
        with pytest.raises(ValueError, match="budget"):
            _open(number)


@given(st.floats(-1e6, 1e8), st.floats(0.01, 500), st.floats(0.5, 2))
def test_layer_1_is_never_worth_more_than_its_budget(budget: float, price: float, leverage: float) -> None:
    found = open_l1(budget, CONTRACTS, (Etn("VXX", price, leverage, price),), WINDOW, JAN_2)
    if isinstance(found, Opening):
        assert found.quantity > 0
        assert found.notional <= budget * (1 + 1e-8)
        assert budget - found.notional < found.unit * (1 + 1e-8)
