"""What holds at every evaluation of every history, whoever made it: weights, limits, closed gates, contracts, legs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest
from hedge_histories import (
    SESSIONS,
    Curve,
    Holding,
    Moment,
    Seen,
    all_fills,
    histories,
    market_of,
    moments,
    policies,
    positions_of,
    snapshot_of,
    walk,
)
from hedge_support import RULES, at
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.hedge import Memory, open_market, opened, plan
from processors.hedge.book import ExitView, read_book
from processors.hedge.book_lines import book_lines
from processors.hedge.stress import breaches, stress
from processors.hedge.weights import SLEEVES
from topics.hedge_rules import LayerWindow, Sleeve
from topics.instrument import parse_symbol
from topics.message import STATES, Layer, feature_number
from topics.portfolio import Fills, Position
from topics.rebalance import Package, Rebalance, Trade

TINY = 1e-8
#: From `activated` on every step takes weight away, but for what the second engine adds.
DOWN = ("activated", "gated", "levered", "capped", "aim")
FLOOR = {"steward": 0.25, "promoter": 0.10}
WINDOWS: dict[Layer, LayerWindow] = {layer: RULES.windows[layer] for layer in SLEEVES}
#: Reasons for which a layer is not added to but may be rolled.
ROLLED = ("state:high", "break_even")

Quantities = Mapping[tuple[Layer, str], int]


# What is held, before and after


def _before(seen: Seen) -> dict[tuple[Layer, str], int]:
    book = seen.book()
    return {(layer, symbol): n for layer in SLEEVES for symbol, n in book.quantities(layer).items() if n}


def _after(seen: Seen) -> dict[tuple[Layer, str], int]:
    found = _before(seen) | {(leg.layer, leg.symbol): leg.target for leg in seen.said.trades}
    return {key: n for key, n in found.items() if n}


def _grown(legs: tuple[Trade, ...] | list[Trade]) -> list[Trade]:
    return [leg for leg in legs if abs(leg.target) > abs(leg.held)]


def _naked(held: Quantities) -> dict[tuple[Layer, date], int]:
    """Calls sold beyond those bought, by layer and expiry."""
    net: dict[tuple[Layer, date], int] = defaultdict(int)
    for (layer, symbol), n in held.items():
        option = parse_symbol(symbol)
        if option.kind == "option" and option.right == "C" and option.expiry is not None:
            net[layer, option.expiry] += n
    return {key: -n for key, n in net.items() if n < 0}


def _futures(held: Quantities) -> float:
    """Futures of Layer 1 in contracts of VX; a mini is a tenth of one. What is short does not offset what is long."""
    size = {"VX": 1.0, "VXM": 0.1}
    instruments = [(parse_symbol(symbol), n) for (layer, symbol), n in held.items() if layer == "L1"]
    return sum(size[i.root] * max(n, 0) for i, n in instruments if i.kind == "future")


def _stands(seen: Seen, layer: str) -> bool:
    """Whether a layer's step was decided earlier in the session, at other prices."""
    step = seen.memory.steps.get(layer)  # type: ignore[call-overload]
    now = seen.after.steps.get(layer)  # type: ignore[call-overload]
    return step is not None and step == now


# Weights


def vectors_sum_to_one(seen: Seen) -> None:
    for weights in (*seen.said.vectors.values(), seen.said.targets):
        size = max(abs(weight) for weight in weights.values())
        assert math.fsum(weights.values()) == pytest.approx(1.0, abs=1e-11 * max(1.0, size))


def the_aim_is_within_every_cap(seen: Seen) -> None:
    aim, policy = seen.said.vectors["aim"], seen.portfolio.policy
    assert all(aim[layer] >= 0.0 for layer in SLEEVES)
    assert max(aim["L1"], aim["L2"], aim["L3"]) <= 0.40 + TINY
    assert aim["TT"] <= 0.25 + TINY
    assert aim["R"] >= (0.50 if policy == "steward" and seen.state == "low" else FLOOR[policy]) - TINY
    deployed = sum(aim[layer] for layer in SLEEVES)
    if deployed >= 0.50 + TINY:
        assert max(aim["L1"], aim["L2"], aim["L3"]) <= 0.60 * deployed + TINY
    assert deployed * seen.said.kappa * RULES.h0 * seen.said.h_scale <= 0.50 + 1e-6


def layer_1_stays_in_its_hard_band_in_low(seen: Seen) -> None:
    if seen.state != "low":
        return
    assert 0.15 - TINY <= seen.said.vectors["aim"]["L1"] <= 0.25 + TINY
    if not seen.sized:
        return
    assert seen.said.targets["L1"] <= 0.25 + TINY
    one_price = len(seen.openings.futures) < 2  # nothing to roll down: carry is not known
    if not seen.said.blocked and "L1" not in seen.said.shut and not one_price:
        assert seen.said.targets["L1"] >= 0.15 - TINY


def overflow_goes_to_the_reserve_alone(seen: Seen) -> None:
    vectors = seen.said.vectors
    engine = seen.portfolio.policy == "promoter" and seen.state in ("moderate", "elevated")
    for name, following in pairwise(DOWN):
        for layer in SLEEVES:
            if following == "levered" and engine and layer in ("L2", "L3"):
                assert vectors[following][layer] >= vectors[name][layer] - TINY
                continue
            assert vectors[following][layer] <= vectors[name][layer] + TINY, (name, following, layer)
    if not engine:
        assert vectors["levered"] == vectors["gated"]
        assert seen.after.levered == 0.0
    if seen.sized:
        for name, following in (("paced", "blocked"), ("blocked", "limited")):
            for layer in SLEEVES:
                assert vectors[following][layer] <= vectors[name][layer] + TINY, (name, following, layer)


def temporal_theta_has_no_weight_in_calm_states(seen: Seen) -> None:
    if seen.state in ("low", "moderate"):
        assert seen.said.vectors["aim"]["TT"] == 0.0
    if seen.openings.theta_shut and seen.sized:
        # A shut gate keeps what was sold before to its exits.
        held = seen.book().long("TT") / (seen.said.hedge_notional or 1.0)
        assert seen.said.vectors["aim"]["TT"] <= max(0.0, held) + TINY


def attribution_is_exact(seen: Seen) -> None:
    said = seen.said
    if not seen.sized:
        assert said.attribution == ()
        return
    sums: dict[Layer, Decimal] = defaultdict(Decimal)
    largest = 0
    for move in said.attribution:
        change = Decimal(repr(move.change))
        sums[move.layer] += change
        largest = max(largest, change.adjusted() + 1)
    grid = Decimal(1).scaleb(max(0, largest) - 12)
    held, whole = said.vectors["held"], said.vectors["whole"]
    for layer in held:
        ends = [Decimal(repr(vector[layer])).quantize(grid) for vector in (held, whole)]
        assert sums[layer] == ends[1] - ends[0], layer


WEIGHTS = (
    vectors_sum_to_one,
    the_aim_is_within_every_cap,
    layer_1_stays_in_its_hard_band_in_low,
    overflow_goes_to_the_reserve_alone,
    temporal_theta_has_no_weight_in_calm_states,
    attribution_is_exact,
)


# Gates, blocks and contracts


def shut_gates_and_blocks_add_nothing(seen: Seen) -> None:
    said = seen.said
    grown = _grown(said.trades)
    if said.blocked:
        assert not grown
        assert said.approvals_required <= RULES.approvals_reduce
        assert said.status == ("study" if seen.portfolio.fills == "modelled" else "reduce_only")
    if seen.openings.theta_shut:
        assert not [leg for leg in grown if leg.layer == "TT"]
    for layer, reasons in said.shut.items():
        if set(reasons) - set(ROLLED):
            assert not [leg for leg in grown if leg.layer == layer], (layer, reasons)
    if seen.state == "high":
        assert _futures(_after(seen)) <= _futures(_before(seen)) + TINY
    if seen.sized:
        held, whole = said.vectors["held"], said.vectors["whole"]
        for layer in said.shut:
            long = seen.book().long(layer) / (said.hedge_notional or 1.0)  # type: ignore[arg-type]
            if layer != "L1" and not _stands(seen, layer):
                assert whole[layer] <= max(long, held[layer], 0.0) + TINY, layer


def options_are_opened_on_quotes_alone(seen: Seen) -> None:
    if seen.portfolio.fills == "modelled":
        assert seen.said.status == "study"
        return
    for leg in _grown(seen.said.trades):
        if parse_symbol(leg.symbol).kind == "option":
            assert seen.openings.quotes == "live"
            assert seen.said.chain_source not in (None, "model")
            assert leg.limit is not None
            # What is rolled may have no bid left; then the package says that it cannot be dealt as it is.
            quoted = all(other.limit is not None for other in seen.said.trades if other.package == leg.package)
            assert seen.said.packages[leg.package].executable == quoted


def nothing_is_left_naked(seen: Seen) -> None:
    before = _naked(_before(seen))
    for key, sold in _naked(_after(seen)).items():
        assert sold <= before.get(key, 0), key
    if seen.said.blocked or not seen.sized:
        return
    assert not _naked(_after(seen))


def no_package_leaves_anything_naked_alone(seen: Seen) -> None:
    held = _before(seen)
    before = _naked(held)
    for number in range(len(seen.said.packages)):
        legs = [leg for leg in seen.said.trades if leg.package == number]
        alone = held | {(leg.layer, leg.symbol): leg.target for leg in legs}
        for key, sold in _naked(alone).items():
            assert sold <= before.get(key, 0), (number, key)


def _tail(leg: Trade, today: date) -> bool:
    return leg.layer == "L3" and leg.expiry is not None and (leg.expiry - today).days <= 62


def packages_hold_all_their_legs(seen: Seen) -> None:
    said = seen.said
    assert {leg.package for leg in said.trades} == set(range(len(said.packages)))
    both: dict[tuple[Layer, bool], set[str]] = defaultdict(set)
    for number, package in enumerate(said.packages):
        legs = [leg for leg in said.trades if leg.package == number]
        assert {leg.layer for leg in legs} == {package.layer}
        grown = _grown(legs)
        shrunk = [leg for leg in legs if abs(leg.target) < abs(leg.held)]
        assert package.action == ("roll" if grown and shrunk else "open" if grown else "close")
        if any(leg.expiry is not None for leg in legs):
            both[package.layer, _tail(legs[0], seen.today)].add(package.action)
        _check_figures(package, grown)
    for actions in both.values():
        # What is closed and what is opened of one thing is one trade.
        assert not {"open", "close"} <= actions
        assert not ("roll" in actions and "open" in actions)


def _check_figures(package: Package, grown: list[Trade]) -> None:
    options = [leg for leg in grown if parse_symbol(leg.symbol).kind == "option"]
    assert package.units == (math.gcd(*(leg.target - leg.held for leg in grown)) if grown else 0)
    assert (package.debit is None) == (not options)
    if options:
        assert package.max_loss is not None
        assert package.max_loss >= 0.0


def what_is_opened_lies_in_its_window(seen: Seen) -> None:
    tail = RULES.convexity.tail_window
    for leg in _grown(seen.said.trades):
        if leg.expiry is None:
            assert leg.symbol in RULES.notes.symbols
            continue
        days = (leg.expiry - seen.today).days
        window = tail if _tail(leg, seen.today) else WINDOWS[leg.layer]
        assert window.dte_min <= days <= (window.dte_max or 10_000), leg.symbol
        assert days >= (window.roll_dte or window.dte_min), leg.symbol


def layer_1_never_weighs_more_than_its_target(seen: Seen) -> None:
    if not seen.sized:
        return
    whole, targets = seen.said.vectors["whole"]["L1"], seen.said.targets["L1"]
    if whole <= targets + TINY or _stands(seen, "L1"):
        return
    rolled = [lot for lot in seen.book().layers.get("L1", ()) if lot.roll]
    assert rolled
    assert _futures(_after(seen)) <= _futures(_before(seen)) + TINY
    assert whole <= seen.said.vectors["aim"]["L1"] + TINY


CONTRACTS = (
    shut_gates_and_blocks_add_nothing,
    options_are_opened_on_quotes_alone,
    nothing_is_left_naked,
    no_package_leaves_anything_naked_alone,
    packages_hold_all_their_legs,
    what_is_opened_lies_in_its_window,
    layer_1_never_weighs_more_than_its_target,
)


# Legs and limits


def _on_tick(value: float, tick: float) -> bool:
    return abs(value / tick - round(value / tick)) < 1e-6


def legs_move_what_is_held_to_the_target(seen: Seen) -> None:
    before = _before(seen)
    assert len({(leg.layer, leg.symbol) for leg in seen.said.trades}) == len(seen.said.trades)
    for leg in seen.said.trades:
        assert leg.held == before.get((leg.layer, leg.symbol), 0)
        assert leg.quantity == abs(leg.target - leg.held) > 0
        assert leg.side == ("buy" if leg.target > leg.held else "sell")
        if leg.expiry is not None:
            assert leg.expiry > seen.today
        instrument = parse_symbol(leg.symbol)
        assert leg.expiry == instrument.expiry
        if instrument.kind == "option":
            _check_option_limit(seen, leg)
        elif instrument.kind == "future":
            many = sum(other.package == leg.package for other in seen.said.trades) > 1
            _check_limit(leg, leg.price, 0.01 if many else 0.05)
            assert leg.target >= 0
        else:
            assert leg.limit is None
            assert leg.target >= 0


def _check_option_limit(seen: Seen, leg: Trade) -> None:
    option, chain = parse_symbol(leg.symbol), seen.openings.chain
    assert chain is not None
    assert option.expiry is not None
    assert option.strike is not None
    quotes = chain.on(option.expiry)
    bid, ask = quotes.quote(1, option.strike)  # type: ignore[union-attr]
    side = ask if leg.side == "buy" else bid
    if side is None or (leg.side == "sell" and side < 0.05):  # less than a tick is no price to sell at
        assert leg.limit is None
        assert not seen.said.packages[leg.package].executable
    else:
        _check_limit(leg, side, 0.05 if side < 3.0 else 0.10)


def _check_limit(leg: Trade, price: float, tick: float) -> None:
    """On the tick, and not better than what can be had: bought at or above it, sold at or below, within a tick."""
    assert leg.limit is not None
    assert _on_tick(leg.limit, tick), (leg.limit, tick)
    worse = leg.limit - price if leg.side == "buy" else price - leg.limit
    assert -1e-6 <= worse < tick + 1e-6


def limits_hold_or_are_no_worse_than_before(seen: Seen) -> None:
    said = seen.said
    if not said.limits:
        return
    book, h = seen.book(), said.hedge_notional
    assert h
    # What is short, or has to go, offsets nothing: a limit may not have been kept by it.
    kept = {s: sum(max(lot.weight, 0.0) for lot in book.layers.get(s, ()) if not lot.close) / h for s in SLEEVES}
    longs = {
        "layer": max(kept["L1"], kept["L2"], kept["L3"]),
        "theta": kept["TT"],
        "gross": sum(kept.values()),
        "exposure": sum(kept.values()) * said.kappa * RULES.h0 * said.h_scale,
    }
    if sum(kept.values()) > 0.0:
        # A share is not published below the weight from which it is bound, but it is what it is.
        longs["share"] = longs["layer"] / sum(kept.values())
    for name, value in said.limits.items():
        if name.endswith(("_max", "_min")) or name == "quick_ratio":
            continue
        if name == "reserve":
            worst = min(said.limits_before[name], 1.0 - longs["gross"])
            assert value >= min(said.limits["reserve_min"], worst) - 1e-6
            continue
        bound = said.limits[f"{name}_max"]
        before = max(said.limits_before.get(name, -math.inf), longs.get(name, -math.inf))
        if value <= max(bound, before) + 1e-6:
            continue
        if name == "stress_share":
            # Less risk in one layer leaves another the larger part of the losses; the one that has it has not grown.
            assert not [s for s in _too_much_of_the_losses(seen) if said.vectors["whole"][s] > kept[s] + 1e-6]
            continue
        assert name not in ("layer", "theta", "gross", "exposure", "stress_engine"), (name, value, before, bound)
        rising = {s for s in SLEEVES if said.vectors["whole"][s] > kept[s] + 1e-6}
        if name == "share":
            # Less of another layer leaves the largest a larger part; it has not grown itself.
            assert max(("L1", "L2", "L3"), key=lambda s: said.vectors["whole"][s]) not in rising
        elif value - _rolled_carry(seen) > max(bound, before) + 1e-6:
            assert all(_stands(seen, layer) for layer in rising), (name, value, before, bound)


def _too_much_of_the_losses(seen: Seen) -> set[Sleeve]:
    """Layers whose part of the losses is beyond its bound in a scenario that is judged, after the trade."""
    held = [Position(symbol=s, quantity=float(n), layer=layer) for (layer, s), n in _after(seen).items()]
    vix = feature_number(seen.view.regime.features, "vix")
    book = read_book(RULES, held, seen.openings, seen.today, ExitView(vix, seen.view.closes))
    lines = book_lines(seen.openings, [lot for lots in book.layers.values() for lot in lots])
    assert lines is not None
    assert vix is not None
    found = breaches(RULES.stress, stress(RULES.stress, lines, vix), seen.said.hedge_notional or 1.0)
    return {breach.layer for breach in found if breach.layer is not None}


def _rolled_carry(seen: Seen) -> float:
    """What Layer 1 costs more than its target, as a roll keeps the number of contracts; fraction of market value."""
    said = seen.said
    beyond = max(0.0, said.vectors["whole"]["L1"] - said.targets["L1"])
    cost = max(0.0, seen.openings.cost.get("L1", 0.0))
    return beyond * cost * (said.hedge_notional or 0.0) / seen.portfolio.mv


LEGS = (legs_move_what_is_held_to_the_target, limits_hold_or_are_no_worse_than_before)


# Determinism


def looking_again_says_nothing_new(seen: Seen) -> None:
    once, event = seen.again(seen.memory)
    assert once.canonical() == seen.after.canonical()
    assert (None if event is None else event.canonical()) == (
        None if seen.event is None else seen.event.canonical()
    )
    second, event = seen.again(seen.after)
    if event is not None:
        # A holding without a price of its own is closed by the assumed fill, and with it goes the block that it was.
        assert seen.portfolio.fills != "reported"
        gone = set(seen.said.blocked) - set(event.blocked)
        assert gone
        assert {reason.removeprefix("price:") for reason in gone} <= {leg.symbol for leg in seen.said.trades}
        assert set(event.blocked) < set(seen.said.blocked)
        second, _ = seen.again(second)
    third, event = seen.again(second)
    assert event is None
    assert third == second


def memory_and_event_survive_the_wire(seen: Seen) -> None:
    read = Memory.model_validate_json(seen.after.canonical())
    assert read.canonical() == seen.after.canonical()
    assert Rebalance.model_validate_json(seen.said.canonical()).canonical() == seen.said.canonical()
    second, event = seen.again(read)
    straight, expected = seen.again(seen.after)
    assert second.canonical() == straight.canonical()
    assert (event is None) == (expected is None)


AGAIN = (looking_again_says_nothing_new, memory_and_event_survive_the_wire)

#: All of them.
CHECKS: tuple[Callable[[Seen], None], ...] = (*WEIGHTS, *CONTRACTS, *LEGS, *AGAIN)


# The properties

# No deadline: the machine may be busy. Derandomised: a test that fails must fail again.
FEW = settings(
    max_examples=30, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
History = list[Moment]


def _hold(checks: tuple[Callable[[Seen], None], ...], history: History, policy: str, fills: Fills) -> None:
    for seen in walk(history, policy, fills):
        for check in checks:
            check(seen)


@given(histories, policies, all_fills)
@FEW
def test_weights_and_attribution(history: History, policy: str, fills: Fills) -> None:
    _hold(WEIGHTS, history, policy, fills)


@given(histories, policies, all_fills)
@FEW
def test_gates_blocks_rolls_and_packages(history: History, policy: str, fills: Fills) -> None:
    _hold(CONTRACTS, history, policy, fills)


@given(histories, policies, all_fills)
@FEW
def test_legs_and_limits(history: History, policy: str, fills: Fills) -> None:
    _hold(LEGS, history, policy, fills)


@given(histories, policies, all_fills)
@settings(FEW, max_examples=20)
def test_looking_again_and_the_wire(history: History, policy: str, fills: Fills) -> None:
    _hold(AGAIN, history, policy, fills)


@given(moments, policies, st.booleans())
@settings(FEW, max_examples=40)
def test_aims_through_the_states(moment: Moment, policy: str, engine: bool) -> None:
    # The same market and portfolio in every state, what is held included.
    day, ts = SESSIONS[2], at(SESSIONS[2], 13)
    book = snapshot_of(moment, day, ts, policy, "reported", positions_of(moment, day))
    aims, gates = {}, {}
    for state in STATES:
        view = market_of(replace(moment, state=state), day, ts, (16.0, 18.0, 35.0, 30.0, 28.0))
        openings = open_market(RULES, view, opened(book, Memory()))
        aims[state] = plan(RULES, view, openings, book, Memory(engine_on=engine), moment.drag).vectors["aim"]
        gates[state] = openings.theta_shut
    prominent = [aims[state]["L2"] + aims[state]["L3"] for state in ("low", "moderate", "elevated")]
    assert prominent[0] < prominent[1] < prominent[2]
    others = [aims[state] for state in ("low", "moderate", "elevated")]
    assert all(aims["high"]["L1"] < other["L1"] for other in others)
    if not gates["high"]:
        assert all(aims["high"]["TT"] > other["TT"] for other in others)
    assert aims["low"]["TT"] == aims["moderate"]["TT"] == 0.0


# Histories by hand, each with what it must have reached: they go where chance seldom does

CALM = Moment(beta=1.2, curve=Curve(20.0, 0.03))
SPIKE = Moment(state="high", beta=1.2, curve=Curve(30.0, -0.03), gate=True)
EACH_KIND = tuple(
    Holding(kind, expiry, 2, 3, 20) for expiry in (0, 1, 3, 6) for kind in ("long_future", "spread", "credit", "call")
)


def _held(moment: Moment, *kinds: str, expiry: int = 1, quantity: int = 20) -> Moment:
    return replace(moment, holdings=tuple(Holding(kind, expiry, 2, 3, quantity) for kind in kinds))


def _acted(layer: str, action: str) -> Callable[[Seen], bool]:
    return lambda seen: any((p.layer, p.action) == (layer, action) for p in seen.said.packages)


def _blocked(kind: str) -> Callable[[Seen], bool]:
    return lambda seen: any(reason.startswith(kind) for reason in seen.said.blocked)


BY_HAND: dict[str, tuple[History, str, Callable[[Seen], bool]]] = {
    "a hedge is built up": ([CALM] * 4, "steward", lambda seen: bool(seen.said.trades)),
    "and rolled": ([CALM, CALM, replace(CALM, days=20), replace(CALM, days=20)], "promoter", _acted("L1", "roll")),
    "a spread is rolled": ([CALM, *[replace(CALM, days=20)] * 5], "promoter", _acted("L2", "roll")),
    "fear falls after a spike": ([SPIKE] * 3, "promoter", _acted("TT", "open")),
    "and calm returns": ([SPIKE, SPIKE, replace(CALM, state="low", days=20)], "promoter", _acted("TT", "close")),
    "the second engine runs": (
        [replace(CALM, liquid="ample")] * 4,
        "promoter",
        lambda seen: seen.after.levered > 0.0,
    ),
    "and stops in a spike between two closes": (
        [replace(CALM, liquid="ample")] * 3 + [replace(SPIKE, liquid="ample", days=0)],
        "promoter",
        lambda seen: seen.state == "high" and seen.memory.levered > 0.0 and seen.after.levered == 0.0,
    ),
    "futures are rolled in high, down the curve": (
        [_held(replace(SPIKE, gate=False), "long_future", expiry=0, quantity=3)] * 2,
        "steward",
        _acted("L1", "roll"),
    ),
    "minis are rolled": ([_held(CALM, "mini", expiry=0, quantity=3)] * 2, "steward", _acted("L1", "roll")),
    "calls are naked": ([_held(CALM, "naked", "long_future")] * 2, "steward", lambda seen: bool(_naked(_before(seen)))),
    "calls are naked and beta is missing": (
        [replace(_held(CALM, "naked", "short_future"), beta=None)] * 2,
        "steward",
        lambda seen: not seen.sized and bool(seen.said.trades),
    ),
    "a short future has no price of its own": (
        [replace(_held(CALM, "short_future", "credit", expiry=2), curve=Curve(20.0, 0.0, 0.0, frozenset({2})))] * 2,
        "steward",
        _blocked("price"),
    ),
    "a note has no price": ([replace(_held(CALM, "note"), notes="none")] * 2, "steward", _blocked("price:VXX")),
    "things outside of the plan": ([_held(CALM, "put", "share", "inverse_note")] * 2, "steward", _blocked("outside")),
    "something that nothing can value": (
        [_held(CALM, "far_strike", "long_future", "naked")] * 2,
        "steward",
        lambda seen: not seen.sized,
    ),
    "a modelled chain": ([replace(CALM, quotes="model")] * 2, "steward", lambda seen: "L2" in seen.said.shut),
    "far too much of everything": (
        [replace(SPIKE, gate=False, holdings=EACH_KIND, mv=2_000_000.0)] * 3,
        "steward",
        _acted("L1", "close"),
    ),
    "far too much of everything, in calm": (
        [replace(CALM, state="low", holdings=EACH_KIND, mv=2_000_000.0)] * 3,
        "promoter",
        _acted("L2", "close"),
    ),
    "a portfolio smaller than a contract": (
        [replace(CALM, mv=50_000.0)] * 3,
        "promoter",
        lambda seen: any(leg.symbol == "VXX" for leg in seen.said.trades),
    ),
    "a note that was advised loses its price": (
        [replace(CALM, mv=50_000.0), replace(CALM, mv=50_000.0, days=0, fill="none", notes="none")],
        "steward",
        lambda seen: not seen.openings.notes,
    ),
    "strikes that were advised are no longer quoted": (
        [replace(CALM, curve=Curve(level), days=0, fill="none") for level in (60.0, 15.0)],
        "steward",
        lambda seen: bool(seen.said.trades),
    ),
    "a future that was advised leaves the curve": (
        [CALM, replace(CALM, curve=Curve(20.0, 0.03, 0.0, frozenset({1})), days=0, fill="none")],
        "steward",
        lambda seen: bool(seen.said.trades),
    ),
    "held orders are filled by half": (
        [CALM, replace(CALM, days=0, fill="half"), replace(CALM, days=0, fill="half")],
        "steward",
        lambda seen: any(_stands(seen, layer) for layer in SLEEVES),
    ),
}


@pytest.mark.parametrize("fills", ["reported", "assumed", "modelled"])
@pytest.mark.parametrize("name", BY_HAND)
def test_histories_by_hand(name: str, fills: Fills) -> None:
    history, policy, reached = BY_HAND[name]
    found = list(walk(history, policy, fills))
    for seen in found:
        for check in CHECKS:
            check(seen)
    if fills == "reported":
        assert any(reached(seen) for seen in found)
