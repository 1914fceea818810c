"""What holds for whole histories of regimes, portfolios and curves, whoever made them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import pytest
from hedge_support import CALIBRATION, EXPIRIES, JAN_2, RULES, at, points, regime, sessions
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.hedge import MarketView, Memory, Plan, evaluate, plan
from processors.hedge.book import read_book
from processors.hedge.caps import most_deployed, reserve_floor
from processors.hedge.contracts import adds_to
from processors.hedge.weights import SLEEVES, deployed
from topics.message import STATES, Feature, State
from topics.portfolio import Portfolio, Position
from topics.rebalance import Rebalance

TINY = 5e-9
DAYS = sessions(12)


@dataclass
class Moment:
    """One instant of a history: a regime, and what the snapshot of that day says."""

    state: State
    prices: dict[date, float]
    signals: dict[str, Feature]
    held: bool
    book: dict[str, object] = field(default_factory=dict)
    quantities: dict[str, int] = field(default_factory=dict)
    same_day: bool = False


prices = st.dictionaries(st.sampled_from(EXPIRIES), st.floats(9, 60).map(lambda x: round(x, 2)), max_size=6)
full = st.fixed_dictionaries({e: st.floats(9, 60).map(lambda x: round(x, 2)) for e in EXPIRIES})
signals = st.fixed_dictionaries(
    {},
    optional={
        "macd_acting": st.just(True),
        "macd_last_cross": st.sampled_from(["bullish", "bearish"]),
        "macd_sessions_since_cross": st.integers(0, 12).map(float),
        "rsi14": st.sampled_from([30.0, 45.0, 60.0]),
    },
)
books = st.fixed_dictionaries(
    {
        "mv": st.sampled_from([50_000.0, 2_000_000.0, 20_000_000.0, 900_000_000.0]),
        "beta": st.sampled_from([None, -0.2, 0.0, 0.8, 1.0, 1.07, 1.1, 1.15, 1.6]) | st.floats(0.5, 1.5),
        "cash": st.sampled_from([None, None, 0.0, 1.0, -1.0]),
    }
)
quantities = st.dictionaries(st.sampled_from([f"VX/{e}" for e in EXPIRIES[:6]]), st.integers(-3, 80), max_size=4)
moments = st.builds(
    Moment,
    state=st.sampled_from(STATES),
    prices=full | full | prices,
    signals=signals,
    held=st.sampled_from([False] * 5 + [True]),
    book=books,
    quantities=quantities,
    same_day=st.booleans(),
)
histories = st.lists(moments, min_size=1, max_size=8)
policies = st.sampled_from(["steward", "promoter"])
fills = st.sampled_from(["assumed", "reported"])


def _walk(history: list[Moment], policy: str, fills: str) -> list[tuple[MarketView, Portfolio, Memory, Plan]]:
    """Every evaluation of a history; with assumed fills the first snapshot is the only one."""
    memory, day, seen = Memory(), 0, []
    book: Portfolio | None = None
    for number, moment in enumerate(history):
        day += 0 if moment.same_day or number == 0 else 1
        ts = at(DAYS[day], 9) + number * 1_000_000_000
        now = regime(
            moment.state,
            DAYS[day],
            event_ts=ts,
            curve=moment.prices,
            features=moment.signals,
            held=moment.held,
        )
        if book is None or fills == "reported":
            held = tuple(Position(symbol=s, quantity=float(q)) for s, q in moment.quantities.items() if q)
            book = Portfolio(
                portfolio_id="p",
                as_of=ts,
                policy=policy,
                fills=fills,
                positions=held,
                **moment.book,  # type: ignore[arg-type]
            )
        market = MarketView(now, now.features)
        seen.append((market, book, memory, plan(RULES, market, book, memory)))
        memory, _ = evaluate(RULES, CALIBRATION.digest(), market, book, memory, "close")
    return seen


def _longs(market: MarketView, book: Portfolio, memory: Memory) -> float:
    positions = book.positions if memory.positions is None else memory.positions
    held = read_book(positions, market.regime.curve, market.regime.session_date).layers.get("L1", ())
    return sum(max(holding.notional, 0.0) for holding in held)


@given(histories, policies, fills)
@settings(max_examples=200, deadline=None)
def test_every_plan_keeps_its_promises(history: list[Moment], policy: str, fills: str) -> None:
    for market, book, memory, found in _walk(history, policy, fills):
        state = market.regime.state
        posture = RULES.postures[book.policy]
        for weights in (*found.vectors.values(), found.target):
            # twelve digits: a book of hundreds of times H has fewer decimals left
            assert sum(weights.values()) == pytest.approx(1, abs=1e-9 * max(1.0, 0.1 * abs(weights["R"])))
        aim = found.vectors["aim"]
        assert max(aim["L1"], aim["L2"], aim["L3"]) <= 0.40 + TINY
        assert aim["TT"] <= 0.25 + TINY
        assert aim["R"] >= reserve_floor(posture, state) - TINY
        assert aim["R"] >= (0.10 if policy == "promoter" else 0.50 if state == "low" else 0.25) - TINY
        if state == "low":
            assert 0.15 - TINY <= aim["L1"] <= 0.25 + TINY
        if found.blocked:
            assert not found.adds
            assert not any(adds_to(leg) for leg in found.legs)
        if "held" not in found.vectors:
            continue
        held, target, whole = found.vectors["held"], found.target, found.vectors["whole"]
        assert found.h is not None
        longs = _longs(market, book, memory) / found.h
        # contracts never exceed their weight, which never exceeds its caps but by what is held beyond them
        assert whole["L1"] <= target["L1"] + TINY * max(1.0, abs(target["L1"]))
        for sleeve in SLEEVES:
            own = posture.theta_max if sleeve == "TT" else RULES.layer_max
            there = longs if sleeve == "L1" else held[sleeve]
            assert target[sleeve] <= max(own, there) + TINY
            if found.blocked or (state == "high" and sleeve == "L1"):
                # Layer 1 counts in whole contracts: what they left of an earlier target stays part of the target.
                assert (whole if sleeve == "L1" else target)[sleeve] <= max(there, 0.0) + TINY
        residual = memory.residual / found.h
        before = deployed(held) - held["L1"] + longs
        assert deployed(target) <= max(most_deployed(RULES, posture, state), before + residual) + 1e-7
        assert deployed(whole) <= max(most_deployed(RULES, posture, state), before + residual) + 1e-7
        if state == "low" and not found.blocked:
            assert 0.15 - TINY <= target["L1"] <= 0.25 + TINY
        if state == "low":
            assert target["L1"] <= 0.25 + TINY  # a reduction, possible under any block
        # nothing moves away from its aim
        for sleeve in ("L2", "L3", "TT"):
            ceiling = max(held[sleeve], aim[sleeve], memory.weights.get(sleeve, 0.0))
            assert target[sleeve] <= ceiling + TINY
        for leg in found.legs:
            assert leg.target >= 0
            assert leg.quantity == abs(leg.target - leg.held)
            assert leg.side == ("buy" if leg.target > leg.held else "sell")


@given(histories, policies, fills)
@settings(max_examples=120, deadline=None)
def test_looking_again_says_nothing_new(history: list[Moment], policy: str, fills: str) -> None:
    for market, book, memory, _ in _walk(history, policy, fills):
        after, first = evaluate(RULES, CALIBRATION.digest(), market, book, memory, "close")
        repeated, second = evaluate(RULES, CALIBRATION.digest(), market, book, after, "snapshot")
        if second is not None:
            # A holding without a price is gone by the assumed fill, and with it the block that it was.
            assert first is not None
            assert fills == "assumed"
            assert set(second.blocked) < set(first.blocked)
        _, third = evaluate(RULES, CALIBRATION.digest(), market, book, repeated, "close")
        assert third is None
        if first is not None:
            assert Rebalance.model_validate_json(first.canonical()).canonical() == first.canonical()
            again = evaluate(RULES, CALIBRATION.digest(), market, book, memory, "close")[1]
            assert again is not None
            assert again.canonical() == first.canonical()


@given(histories, policies, fills)
@settings(max_examples=40, deadline=None)
def test_memory_survives_the_wire(history: list[Moment], policy: str, fills: str) -> None:
    for _, _, memory, _ in _walk(history, policy, fills):
        assert Memory.model_validate_json(memory.canonical()) == memory


@pytest.mark.parametrize("policy", ["steward", "promoter"])
def test_aims_through_the_states(policy: str) -> None:
    aims = {}
    for state in STATES:
        now = regime(state, JAN_2, points_of_all())
        book = Portfolio(portfolio_id="p", as_of=at(JAN_2), mv=20_000_000.0, beta=1.2, policy=policy)  # type: ignore[arg-type]
        aims[state] = plan(RULES, MarketView(now), book, Memory()).vectors["aim"]
    l23 = [aims[state]["L2"] + aims[state]["L3"] for state in ("low", "moderate", "elevated")]
    assert l23 == sorted(set(l23))
    assert all(aims["high"]["L1"] < aims[s]["L1"] and aims["high"]["TT"] > aims[s]["TT"] for s in STATES[:3])


def points_of_all() -> dict[date, float]:
    return dict.fromkeys(EXPIRIES, 20.0)


def test_points_skip_what_has_expired() -> None:
    assert points(EXPIRIES[1], points_of_all())[0].dte == 35
