"""Layer 1 in whole contracts, with the expiries and settlements of February 2018."""

from __future__ import annotations

from datetime import date

import pytest
from hedge_support import FEB_5, FEB_5_CURVE, RULES, points
from hypothesis import given
from hypothesis import strategies as st

from processors.hedge.book import Contract, Holding, list_contracts, read_book
from processors.hedge.contracts import adds_to, choose, size, trades, worth
from topics.portfolio import Position

WINDOW = RULES.windows["L1"]
CURVE = points(FEB_5, FEB_5_CURVE)
CONTRACTS = {contract.symbol: contract for contract in list_contracts(CURVE)}
FEB, MAR, APR, MAY = (f"VX/2018-{md}" for md in ("02-14", "03-21", "04-18", "05-16"))
OPENING = CONTRACTS[MAR]


def _hold(**quantities: int) -> list[Holding]:
    names = {"feb": FEB, "mar": MAR, "apr": APR, "may": MAY}
    return [Holding(CONTRACTS[names[name]], quantity) for name, quantity in quantities.items()]


def _size(held: list[Holding], budget: float, adds: bool = True) -> dict[str, int]:
    return size(held, OPENING, budget, WINDOW, FEB_5, adds)


def test_adds_go_to_the_contract_nearest_the_target_tenor() -> None:
    # 9 days: too short; 44 days: 14 from 30; 72 days: beyond the window.
    assert choose(tuple(CONTRACTS.values()), WINDOW, FEB_5) == OPENING
    # Two as near: the earlier one.
    near = Contract("VX/2018-03-02", date(2018, 3, 2), 30.0, 1000.0)
    far = Contract("VX/2018-03-12", date(2018, 3, 12), 30.0, 1000.0)
    assert choose((near, far), WINDOW, FEB_5) == near
    assert choose((CONTRACTS[FEB], CONTRACTS[APR]), WINDOW, FEB_5) is None
    edges = [Contract(str(d), d, 30.0, 1000.0) for d in (date(2018, 2, 20), date(2018, 4, 8))]
    assert [choose((edge,), WINDOW, FEB_5) for edge in edges] == edges  # 15 and 62 days


def test_contracts_are_floored() -> None:
    assert _size([], 25_199.99) == {}
    assert _size([], 25_200.0) == {MAR: 1}
    assert _size([], 200_000.0) == {MAR: 7}


def test_what_is_in_the_window_or_beyond_stays_and_what_is_below_is_rolled() -> None:
    held = _hold(feb=4, mar=2, apr=1)
    budget = worth(held, None, {FEB: 4, MAR: 2, APR: 1})
    assert budget == pytest.approx(132_900 + 50_400 + 21_500)
    target = _size(held, budget)
    assert target == {FEB: 0, MAR: 2 + 5, APR: 1}  # 132,900 buys 5 of 25,200
    legs = trades(held, OPENING, target)
    assert [(leg.symbol, leg.side, leg.quantity, leg.held, leg.target) for leg in legs] == [
        (FEB, "sell", 4, 4, 0),
        (MAR, "buy", 5, 2, 7),
    ]
    assert [leg.notional for leg in legs] == pytest.approx([132_900, 126_000])
    assert [adds_to(leg) for leg in legs] == [False, True]


def test_while_adds_are_blocked_nothing_is_rolled_into_nothing() -> None:
    held = _hold(feb=4, mar=2)
    assert _size(held, 183_300.0, adds=False) == {FEB: 4, MAR: 2}
    assert _size(held, 1_000_000.0, adds=False) == {FEB: 4, MAR: 2}
    # Reductions stay possible, the shortest first: 100,000 keeps 1 of 33,225 beside 50,400.
    assert _size(held, 100_000.0, adds=False) == {FEB: 1, MAR: 2}


def test_reductions_come_out_of_the_shortest_first() -> None:
    held = _hold(mar=3, apr=2, may=1)
    assert _size(held, 90_000.0) == {MAR: 1, APR: 2, MAY: 1}
    assert _size(held, 63_100.0) == {MAR: 0, APR: 2, MAY: 1}
    assert _size(held, 63_099.0) == {MAR: 0, APR: 1, MAY: 1}
    assert _size(held, 0.0) == {MAR: 0, APR: 0, MAY: 0}


def test_holding_exactly_what_is_wanted_trades_nothing() -> None:
    held = _hold(mar=7)
    assert trades(held, OPENING, _size(held, 7 * 25_200.0)) == ()
    assert trades(held, OPENING, _size(held, 7 * 25_200.0 * (1 - 1e-12))) == ()


def test_a_short_position_is_closed_even_while_adds_are_blocked() -> None:
    held = _hold(mar=-3)
    target = _size(held, 100_000.0, adds=False)
    assert target == {MAR: 0}
    (leg,) = trades(held, OPENING, target)
    assert (leg.side, leg.quantity, adds_to(leg)) == ("buy", 3, False)


def test_standing_advice_is_given_again() -> None:
    held = _hold(mar=1)
    advised = size(held, OPENING, 180_000.0, WINDOW, FEB_5, adds=True, standing={MAR: 5})
    assert advised == {MAR: 5}
    assert size(held, OPENING, 180_000.0, WINDOW, FEB_5, adds=False, standing={MAR: 5}) == {MAR: 1}
    assert size(held, OPENING, 60_000.0, WINDOW, FEB_5, adds=True, standing={MAR: 5}) == {MAR: 2}


@given(
    st.dictionaries(st.sampled_from([FEB, MAR, APR, MAY]), st.integers(-3, 20).filter(bool)),
    st.floats(0, 900_000),
    st.booleans(),
)
def test_never_worth_more_than_the_budget_and_blocked_adds_never_add(
    quantities: dict[str, int], budget: float, adds: bool
) -> None:
    held = [Holding(CONTRACTS[symbol], quantity) for symbol, quantity in quantities.items()]
    target = _size(held, budget, adds)
    assert set(quantities) <= set(target)
    assert all(quantity >= 0 for quantity in target.values())
    assert worth(held, OPENING, target) <= budget * (1 + 1e-9) + 1e-6
    legs = trades(held, OPENING, target)
    assert {leg.symbol: leg.target for leg in legs} | {s: n for s, n in quantities.items() if target[s] == n} == target
    if not adds:
        assert not any(adds_to(leg) for leg in legs)
    elif worth(held, OPENING, {s: max(n, 0) for s, n in quantities.items()}) <= budget and quantities.get(FEB, 0) <= 0:
        assert budget - worth(held, OPENING, target) < OPENING.unit + 1e-6  # no whole contract is left out


def test_the_book_leaves_out_what_has_settled() -> None:
    curve = points(date(2018, 2, 14), FEB_5_CURVE)
    book = read_book((Position(symbol=FEB, quantity=4.0), Position(symbol=MAR, quantity=2.0)), curve, date(2018, 2, 14))
    assert [(h.contract.symbol, h.quantity) for h in book.layers["L1"]] == [(MAR, 2)]
    assert book.unpriced == ()


def test_a_missing_price_is_stood_in_for_and_named() -> None:
    curve = [point for point in CURVE if point.symbol != APR]
    book = read_book((Position(symbol=APR, quantity=2.0), Position(symbol="VXX", quantity=100.0)), curve, FEB_5)
    assert book.unpriced == (APR, "VXX")
    assert book.notional("L1") == pytest.approx(2 * 25_200)  # March and May are as near: the earlier one
    nothing = read_book((Position(symbol=APR, quantity=2.0),), (), FEB_5)
    assert (nothing.valued, nothing.unpriced) == (False, (APR,))
    assert read_book((), (), FEB_5).valued


def test_minis_are_worth_a_tenth_and_layers_are_as_named() -> None:
    book = read_book(
        (
            Position(symbol="VXM/2018-03-21", quantity=30.0),
            Position(symbol=MAR, quantity=1.0),
            Position(symbol=MAR, quantity=1.0, layer="L1"),
            Position(symbol=MAY, quantity=2.0, layer="L2"),
            Position(symbol="VIX/2018-05-16/C/20", quantity=10.0),
        ),
        CURVE,
        FEB_5,
    )
    assert book.notional("L1") == pytest.approx(30 * 2_520 + 2 * 25_200)
    assert book.notional("L2") == pytest.approx(2 * 20_100)
    assert book.notional("L3") == 0
    assert book.unpriced == ()
