"""Which rule moved what: exact sums, whatever the steps and the weights."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import pytest
from hedge_support import CALIBRATION, FEB_5, FEB_5_CURVE, JAN_2, JAN_2_CURVE, RULES, portfolio, regime
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.hedge import MarketView, Memory, evaluate
from processors.hedge.attribution import ORDER, Move, attribute, total
from topics.message import LAYERS, STATES, Layer, State, tidy
from topics.rebalance import Rebalance, Weights

quiet = settings(max_examples=300, deadline=None, derandomize=True, database=None)
weights = st.floats(-1.0, 1.0).map(tidy)


def _vector(*values: float) -> Weights:
    return dict(zip(LAYERS, values, strict=True))


def _vectors(values: st.SearchStrategy[float]) -> st.SearchStrategy[dict[str, Weights]]:
    """Vectors of the first and the last step and of any others."""
    one = st.tuples(*[values] * 5).map(lambda v: _vector(*v))
    return st.fixed_dictionaries({"held": one, "whole": one}, optional=dict.fromkeys(ORDER[1:-1], one))


def _sums(moves: tuple[Move, ...]) -> dict[Layer, Decimal]:
    """Decimal sums of what a reader sees: each change through JSON as it is published."""
    sums: dict[Layer, Decimal] = dict.fromkeys(LAYERS, Decimal(0))
    for move in moves:
        published = json.loads(json.dumps(tidy(move.change)), parse_float=Decimal)
        sums[move.layer] += published
    return sums


VECTORS = {
    "held": _vector(0.20, 0.05, 0.0, 0.0, 0.75),
    "base": _vector(0.05, 0.25, 0.20, 0.25, 0.25),
    "tilted": _vector(0.10, 0.25, 0.20, 0.25, 0.20),
    "activated": _vector(0.10, 0.25, 0.05, 0.25, 0.35),
    "capped": _vector(0.10, 0.25, 0.05, 0.25, 0.35),
    "aim": _vector(0.10, 0.25, 0.05, 0.25, 0.35),
    "paced": _vector(0.125, 0.225, 0.025, 0.225, 0.40),
    "whole": _vector(0.12, 0.225, 0.025, 0.225, 0.405),
}


def test_the_way_by_hand() -> None:
    assert attribute(VECTORS) == (
        Move("base", "L1", -0.15),
        Move("base", "L2", 0.2),
        Move("base", "L3", 0.2),
        Move("base", "TT", 0.25),
        Move("base", "R", -0.5),
        Move("tilted", "L1", 0.05),
        Move("tilted", "R", -0.05),
        Move("activated", "L3", -0.15),
        Move("activated", "R", 0.15),
        Move("paced", "L1", 0.025),
        Move("paced", "L2", -0.025),
        Move("paced", "L3", -0.025),
        Move("paced", "TT", -0.025),
        Move("paced", "R", 0.05),
        Move("whole", "L1", -0.005),
        Move("whole", "R", 0.005),
    )
    assert total(attribute(VECTORS)) == {"L1": -0.08, "L2": 0.175, "L3": 0.025, "TT": 0.225, "R": -0.345}


def test_every_step_of_a_plan_is_in_the_order() -> None:
    assert (
        *("held", "base", "tilted", "dragged", "activated", "gated", "levered", "capped", "aim"),
        *("paced", "blocked", "limited", "whole"),
    ) == ORDER


def test_any_order_of_steps() -> None:
    assert attribute(VECTORS, ("paced", "whole")) == (Move("whole", "L1", -0.005), Move("whole", "R", 0.005))
    # what a step without a vector did counts for the next one
    assert attribute(VECTORS, ("held", "gated", "levered", "paced")) == (
        Move("paced", "L1", -0.075),
        Move("paced", "L2", 0.175),
        Move("paced", "L3", 0.025),
        Move("paced", "TT", 0.225),
        Move("paced", "R", -0.35),
    )


def test_nothing_is_attributed_without_both_ends() -> None:
    assert attribute({name: VECTORS[name] for name in VECTORS if name != "held"}) == ()
    assert attribute({name: VECTORS[name] for name in VECTORS if name != "whole"}) == ()
    assert attribute({}) == attribute(VECTORS, ()) == attribute(VECTORS, ("held",)) == ()


def test_floats_would_not_add_up_where_decimals_do() -> None:
    vectors = {"held": _vector(0.1, 0, 0, 0, 0.9), "base": _vector(0.3, 0, 0, 0, 0.7)}
    vectors["whole"] = _vector(0.2, 0, 0, 0, 0.8)
    assert 0.3 - 0.1 != 0.2  # as floats
    assert attribute(vectors)[0] == Move("base", "L1", 0.2)


@given(_vectors(weights))
@quiet
def test_published_moves_add_up_exactly(vectors: dict[str, Weights]) -> None:
    moves = attribute(vectors)
    sums = _sums(moves)
    for layer in LAYERS:
        exact = Decimal(repr(vectors["whole"][layer])) - Decimal(repr(vectors["held"][layer]))
        wide = any(abs(move.change) >= 1 for move in moves)
        assert abs(sums[layer] - exact) <= Decimal("1e-11" if wide else "1e-12")
        assert float(sums[layer]) == total(moves).get(layer, 0.0)
    # on the grid itself nothing is lost at all
    grid = Decimal("1e-11" if any(abs(move.change) >= 1 for move in moves) else "1e-12")
    for layer in LAYERS:
        ends = [Decimal(repr(vectors[name][layer])).quantize(grid) for name in ("held", "whole")]
        assert sums[layer] == ends[1] - ends[0]


@given(_vectors(st.floats(-1e6, 1e6).map(tidy)))
@quiet
def test_books_far_larger_than_h_add_up_too(vectors: dict[str, Weights]) -> None:
    moves = attribute(vectors)
    sums = _sums(moves)
    largest = max((abs(move.change) for move in moves), default=0.0)
    for layer in LAYERS:
        exact = Decimal(repr(vectors["whole"][layer])) - Decimal(repr(vectors["held"][layer]))
        assert abs(sums[layer] - exact) <= Decimal(repr(max(largest, 1.0))) * Decimal("1e-11")
    assert all(tidy(move.change) == move.change != 0 for move in moves)


@given(_vectors(weights), st.integers(0, 12))
@quiet
def test_a_coarser_grid_adds_up_too(vectors: dict[str, Weights], digits: int) -> None:
    moves = attribute(vectors, digits=digits)
    sums = _sums(moves)
    for layer in LAYERS:
        exact = Decimal(repr(vectors["whole"][layer])) - Decimal(repr(vectors["held"][layer]))
        assert abs(sums[layer] - exact) <= max(Decimal(10) ** -digits, Decimal("1e-11"))
    present = [name for name in ORDER if name in vectors]
    assert [move.rule for move in moves] == sorted((move.rule for move in moves), key=present.index)


@given(_vectors(weights), st.permutations(ORDER))
@quiet
def test_the_order_in_which_vectors_are_given_means_nothing(vectors: dict[str, Weights], names: list[str]) -> None:
    assert attribute({name: vectors[name] for name in names if name in vectors}) == attribute(vectors)


@given(_vectors(weights))
@quiet
def test_a_step_that_moves_nothing_says_nothing(vectors: dict[str, Weights]) -> None:
    assert attribute({"held": vectors["held"], "whole": vectors["held"]}) == ()


def test_of_the_largest_floats() -> None:
    (move,) = attribute({"held": {"L1": -1.7e308}, "whole": {"L1": 0.7e307}})
    assert move == Move("whole", "L1", 1.77e308)
    (tiny,) = attribute({"held": {"L1": 0.0}, "whole": {"L1": 1e-12}})
    assert tiny.change == 1e-12
    assert attribute({"held": {"L1": 0.0}, "whole": {"L1": 4e-13}}) == ()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(bad: float) -> None:
    with pytest.raises(ValueError, match="weight of L2 in capped"):
        attribute(VECTORS | {"capped": _vector(0.1, bad, 0, 0, 0)})


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="vector whole has the layers L1"):
        attribute({"held": _vector(0, 0, 0, 0, 1), "whole": {"L1": 1.0}})
    with pytest.raises(ValueError, match="stands once"):
        attribute(VECTORS, ("held", "base", "held", "whole"))
    for digits in (-1, 13):
        with pytest.raises(ValueError, match="digits"):
            attribute(VECTORS, digits=digits)


@pytest.mark.parametrize("fills", ["reported", "modelled"])
@pytest.mark.parametrize("state", STATES)
def test_events_as_they_are_emitted(state: State, fills: str) -> None:
    memory = Memory()
    for day, curve in ((JAN_2, JAN_2_CURVE), (FEB_5, FEB_5_CURVE)):
        now = regime(state, day, curve, features={"rsi14": 40.0, "vix": 15.0})
        book = portfolio({"VX/2018-02-14": 17, "VX/2018-03-21": 4}, day, beta=1.05, fills=fills)
        market = MarketView(now, now.features)
        memory, event = evaluate(RULES, CALIBRATION.digest(), market, book, memory, "close")
        assert event is not None
        assert set(event.vectors) == set(ORDER)
        for said in (event, Rebalance.model_validate_json(event.canonical())):
            moves = attribute(said.vectors)
            assert moves
            assert {move.rule for move in moves} <= set(ORDER)
            told = [(moved.rule, moved.layer, moved.change) for moved in said.attribution]
            assert told == [(move.rule, move.layer, move.change) for move in moves]
            sums = _sums(moves)
            for layer in LAYERS:
                ends = (Decimal(repr(said.vectors[name][layer])) for name in ("held", "whole"))
                before, after = (end.quantize(Decimal("1e-12")) for end in ends)
                assert sums[layer] == after - before
