"""Layers in whole contracts, with the expiries and settlements of February 2018."""

from __future__ import annotations

from datetime import date
from typing import get_args

import pytest
from hedge_support import FEB_5, FEB_5_CURVE, RULES, points
from hypothesis import given
from hypothesis import strategies as st

from processors.hedge.book import Kind, Lot
from processors.hedge.contracts import Sized, changes, size, slot_of, smallest
from processors.hedge.futures import Contract, choose, list_contracts
from processors.hedge.openings import LAYER, Opening, Slot

WINDOW = RULES.windows["L1"]
CONTRACTS = {contract.symbol: contract for contract in list_contracts(points(FEB_5, FEB_5_CURVE))}
#: 9, 44, 72 and 100 days; 33,225, 25,200, 21,500 and 20,100 USD.
FEB, MAR, APR, MAY = (f"VX/2018-{md}" for md in ("02-14", "03-21", "04-18", "05-16"))
NAMES = {"feb": FEB, "mar": MAR, "apr": APR, "may": MAY}
OPENING = Opening("future", ((MAR, 1),), 25_200.0, 44, "44 days, target 30")
NOTE = Opening("note", (("VXX", 1),), 50.0, 30, "less than one contract is left")


def _lot(symbol: str, units: int) -> Lot:
    contract = CONTRACTS[symbol]
    days = (contract.expiry - FEB_5).days
    short = "short" if units < 0 else ""
    return Lot("L1", "future", ((symbol, 1),), units, contract.unit, days, short, days < 15)


def _hold(**units: int) -> list[Lot]:
    return [_lot(NAMES[name], n) for name, n in units.items()]


def _size(held: list[Lot], budget: float, adds: bool = True, aim: float = 0.0) -> dict[str, int]:
    sized = size(held, [(OPENING, budget)], budget, adds, aim)
    return {symbol: n for symbol, n in sized.quantities().items() if n or any(symbol == lot.name for lot in held)}


def test_adds_go_to_the_contract_nearest_the_target_tenor() -> None:
    # 9 days: too short; 44 days: 14 from 30; 72 days: beyond the window.
    assert choose(tuple(CONTRACTS.values()), WINDOW, FEB_5) == CONTRACTS[MAR]
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
    budget = sum(lot.weight for lot in held)
    assert budget == pytest.approx(132_900 + 50_400 + 21_500)
    assert _size(held, budget) == {FEB: 0, MAR: 2 + 5, APR: 1}  # 132,900 buys 5 of 25,200


def test_a_roll_keeps_its_number_of_contracts_where_that_does_not_lead_beyond_the_aim() -> None:
    # 10 of 20,000 are rolled into one that is worth 25,200: 252,000 instead of 200,000.
    near = [Lot("L1", "future", ((FEB, 1),), 10, 20_000.0, 9, roll=True)]
    assert _size(near, 200_000.0, aim=252_000.0) == {FEB: 0, MAR: 10}
    assert _size(near, 200_000.0, aim=251_000.0) == {FEB: 0, MAR: 7}
    assert _size(near, 200_000.0) == {FEB: 0, MAR: 7}
    # Where the budget pays for more, it is used.
    assert _size(near, 300_000.0, aim=400_000.0) == {FEB: 0, MAR: 11}
    # What stays counts against the aim: 25,200 and 252,000.
    assert _size([*near, *_hold(mar=1)], 225_200.0, aim=277_200.0) == {FEB: 0, MAR: 11}
    assert _size([*near, *_hold(mar=1)], 225_200.0, aim=277_100.0) == {FEB: 0, MAR: 1 + 7}
    # A layer that sells for its weight keeps no number.
    assert _size([*near, *_hold(apr=4)], 80_000.0, aim=400_000.0) == {FEB: 0, APR: 3}


def test_while_adds_are_blocked_nothing_is_rolled_into_nothing() -> None:
    held = _hold(feb=4, mar=2)
    assert _size(held, 183_300.0, adds=False) == {FEB: 4, MAR: 2}
    assert _size(held, 1_000_000.0, adds=False) == {FEB: 4, MAR: 2}
    # Reductions stay possible, the shortest first: 100,000 keeps 1 of 33,225 beside 50,400.
    assert _size(held, 100_000.0, adds=False) == {FEB: 1, MAR: 2}
    assert size(held, [], 183_300.0, adds=True).quantities() == {FEB: 4, MAR: 2}


def test_what_would_be_rolled_into_less_than_one_contract_stays() -> None:
    held = _hold(feb=1, apr=1)
    # Beside 21,500 there are 20,000 for a contract of 25,200. February at 33,225 does not fit either.
    assert _size(held, 41_500.0) == {FEB: 0, APR: 1}
    cheap = [Lot("L1", "future", ((FEB, 1),), 1, 20_000.0, 9, roll=True)]
    assert _size(cheap, 20_000.0) == {FEB: 1}
    assert _size(cheap, 25_200.0) == {FEB: 0, MAR: 1}


def test_reductions_come_out_of_the_shortest_first() -> None:
    held = _hold(mar=3, apr=2, may=1)
    assert _size(held, 90_000.0) == {MAR: 1, APR: 2, MAY: 1}
    assert _size(held, 63_100.0) == {MAR: 0, APR: 2, MAY: 1}
    assert _size(held, 63_099.0) == {MAR: 0, APR: 1, MAY: 1}
    assert _size(held, 0.0) == {MAR: 0, APR: 0, MAY: 0}


def test_notes_are_sold_before_futures() -> None:
    note = Lot("L1", "note", (("VXX", 1),), 400, 50.0, 30)
    held = [note, *_hold(mar=2)]
    assert _size(held, 60_400.0) == {"VXX": 200, MAR: 2}
    assert _size(held, 50_399.0) == {"VXX": 0, MAR: 1}


def test_a_layer_that_sells_for_its_weight_buys_nothing_at_the_same_time() -> None:
    # Above the budget by 1 USD: one of April goes, and the 21,499 left buy no notes at 50 USD.
    held = _hold(apr=3)
    sized = size(held, [(OPENING, 64_499.0), (NOTE, 64_499.0)], 64_499.0, True)
    assert sized.quantities() == {APR: 2}


def test_notes_fill_what_is_less_than_a_contract() -> None:
    sized = size([], [(OPENING, 60_000.0), (NOTE, 60_000.0)], 60_000.0, True)
    assert sized.quantities() == {MAR: 2, "VXX": 192}  # 60,000 - 50,400 = 9,600 at 50
    assert sized.weight == pytest.approx(60_000.0)
    assert smallest([(OPENING, 1.0), (NOTE, 1.0)]) == 50.0
    assert smallest([]) == 0.0


def test_no_more_of_a_slot_is_held_than_allowed() -> None:
    # 30 % of 100,000 in calls of the tail of 4,000: 7; the rest in spreads of 9,000: 72,000 / 9,000 = 8.
    tail = Opening("tail", (("VIX/2018-03-21/C/30", 1),), 4_000.0, 44, "tail")
    far_spread = (("VIX/2018-10-17/C/25", 1), ("VIX/2018-10-17/C/35", -1))
    far = Opening("L3", far_spread, 9_000.0, 254, "far")
    openings = [(tail, 30_000.0), (far, 100_000.0)]
    sized = size([], openings, 100_000.0, True)
    assert [(opening.slot, units) for opening, units in sized.opened] == [("tail", 7), ("L3", 8)]
    # What is held of the tail counts: 3 x 5,000 leave 15,000 for 3.
    held = [Lot("L3", "call", (("VIX/2018-03-21/C/28", 1),), 3, 5_000.0, 44)]
    again = size(held, openings, 100_000.0, True)
    assert [(opening.slot, units) for opening, units in again.opened] == [("tail", 3), ("L3", 8)]
    assert again.weight == pytest.approx(15_000 + 12_000 + 72_000)


def test_a_spread_stays_one_to_one() -> None:
    legs = (("VIX/2018-05-16/C/23", 1), ("VIX/2018-05-16/C/33", -1))
    held = [Lot("L2", "call_spread", legs, 10, 5_000.0, 100)]
    assert size(held, [], 27_000.0, False).quantities() == {legs[0][0]: 5, legs[1][0]: -5}


def test_what_has_to_go_is_gone_whatever_the_budget() -> None:
    legs = (("VIX/2018-05-16/C/23", 1), ("VIX/2018-05-16/C/33", -1))
    held = [Lot("L2", "call_spread", legs, 10, 5_000.0, 100, close="spent: worth 8.5 of at most 10")]
    for adds in (True, False):
        assert size(held, [], 1e9, adds).quantities() == {legs[0][0]: 0, legs[1][0]: 0}


def test_holding_exactly_what_is_wanted_trades_nothing() -> None:
    held = _hold(mar=7)
    for budget in (7 * 25_200.0, 7 * 25_200.0 * (1 - 1e-12)):
        assert changes({MAR: 7}, _size(held, budget)) == {}


def test_a_short_position_is_closed_even_while_adds_are_blocked() -> None:
    held = _hold(mar=-3)
    target = _size(held, 100_000.0, adds=False)
    assert changes({MAR: -3}, target) == {MAR: (-3, 0)}
    # and what it is worth below 0 buys nothing
    assert _size([_lot(APR, -3)], 50_400.0) == {APR: 0, MAR: 2}


def test_changes() -> None:
    assert changes({FEB: 2, MAR: 1, APR: 3}, {MAR: 4, APR: 3, MAY: 0}) == {FEB: (2, 0), MAR: (1, 4)}


def test_every_slot_has_a_layer_and_every_lot_a_slot() -> None:
    assert set(LAYER) == set(get_args(Slot))
    for kind in get_args(Kind):
        for layer in ("L1", "L2", "L3", "TT"):
            lot = Lot(layer, kind, ((MAR, 1),), 1, 1.0, 30)
            if layer != "L1" or kind in ("future", "note"):
                assert LAYER[slot_of(lot)] == layer  # type: ignore[index]


@given(
    st.dictionaries(st.sampled_from([FEB, MAR, APR, MAY]), st.integers(-3, 20).filter(bool)),
    st.floats(0, 900_000),
    st.booleans(),
    st.floats(0, 900_000),
)
def test_never_worth_more_than_the_budget_and_blocked_adds_never_add(
    quantities: dict[str, int], budget: float, adds: bool, aim: float
) -> None:
    held = [_lot(symbol, units) for symbol, units in quantities.items()]
    sized: Sized = size(held, [(OPENING, budget)], budget, adds, aim)
    target = sized.quantities()
    assert set(quantities) <= set(target)
    assert all(quantity >= 0 for quantity in target.values())
    units = {symbol: CONTRACTS[symbol].unit for symbol in NAMES.values()}
    after = sum(n * units[symbol] for symbol, n in target.items())
    assert after == pytest.approx(sized.weight)
    rolled = max(quantities.get(FEB, 0), 0) if adds else 0
    kept_count = sum(target.values()) <= sum(max(n, 0) for n in quantities.values())
    # Only a roll that keeps its number goes beyond the budget, and never beyond the aim.
    assert after <= budget * (1 + 1e-9) + 1e-6 or (rolled and kept_count and after <= aim + 1e-6)
    moves = changes(quantities, target)
    assert {s: b for s, (_, b) in moves.items()} | {s: n for s, n in quantities.items() if target[s] == n} == target
    if not adds:
        assert not any(abs(to) > abs(have) for have, to in moves.values())
    elif sum(units[s] * max(n, 0) for s, n in quantities.items()) <= budget and quantities.get(FEB, 0) <= 0:
        assert budget - after < OPENING.unit + 1e-6  # no whole contract is left out
