"""Plans by hand: entry into the hedge, the way through the states, blocks, and what is assumed of fills."""

from __future__ import annotations

from datetime import date

import pytest
from hedge_support import (
    CALIBRATION,
    EXPIRIES,
    FEB_5,
    FEB_5_CURVE,
    JAN_2,
    JAN_2_CURVE,
    RULES,
    at,
    flat_curve,
    portfolio,
    regime,
    sessions,
)

from processors.hedge import MarketView, Memory, Plan, evaluate, plan
from topics.message import STATES, State
from topics.portfolio import Portfolio
from topics.rebalance import Rebalance
from topics.regime import Regime
from topics.times import DAY

VECTORS = ["held", "base", "tilted", "activated", "capped", "aim", "target", "whole"]
JAN_17, FEB_14, MAR_21 = (f"VX/{EXPIRIES[i]}" for i in range(3))


def _plan(now: Regime, book: Portfolio, memory: Memory | None = None) -> Plan:
    return plan(RULES, MarketView(now, now.features), book, memory or Memory())


def _evaluate(now: Regime, book: Portfolio, memory: Memory, trigger: str = "close") -> tuple[Memory, Rebalance | None]:
    return evaluate(RULES, CALIBRATION.digest(), MarketView(now, now.features), book, memory, trigger)  # type: ignore[arg-type]


def test_the_first_hedge_of_a_calm_market() -> None:
    # H = 2 million. L1 goes to the near edge of the band, 0.175, at once: 0 is outside of its hard band.
    # The contract nearest to 30 days is 14 February: 43 days, at 12: 350,000 / 12,000 = 29.2 contracts.
    found = _plan(regime("low", JAN_2, JAN_2_CURVE), portfolio())
    assert list(found.vectors) == VECTORS
    assert found.h == 2_000_000
    assert found.target["L1"] == pytest.approx(0.175)
    assert found.target["L2"] == pytest.approx(0.5 * (0.10 - 0.025))
    assert found.target["L3"] == 0.0  # inactive: 0.0125 is within the band
    assert found.contracts == {FEB_14: 29}
    assert found.vectors["whole"]["L1"] <= found.target["L1"]


def test_the_nearest_to_thirty_days_is_chosen_by_the_calendar() -> None:
    # 17 January is 15 days away, 14 February 43: 15 from the target against 13.
    found = _plan(regime("low", JAN_2, JAN_2_CURVE), portfolio())
    (leg,) = found.legs
    assert (leg.symbol, leg.side, leg.quantity, leg.price) == (FEB_14, "buy", 29, 12.0)
    assert leg.notional == pytest.approx(348_000)
    assert found.vectors["whole"] == pytest.approx({"L1": 0.174, "L2": 0.0375, "L3": 0.0, "TT": 0.0, "R": 0.7885})


def test_entering_high_acts_at_full_pace_and_buys_no_futures_into_the_spike() -> None:
    held = portfolio({FEB_14: 12, MAR_21: 2}, FEB_5)  # 398,700 + 50,400 of 2 million
    memory = Memory(state="moderate", weights={"L2": 0.25, "L3": 0.1, "TT": 0.0})
    found = _plan(regime("high", FEB_5, FEB_5_CURVE, state_prev="moderate"), held, memory)
    assert found.vectors["held"]["L1"] == pytest.approx(0.22455)
    # aim 0.05, edge 0.075; the nine-day contract is rolled, so March is bought for at most 150,000: 5 in all.
    assert found.target["L1"] == pytest.approx(0.075)
    assert found.target["L2"] == 0.25
    assert found.target["L3"] == pytest.approx(0.075)  # aim 0.05 without a trigger
    assert found.target["TT"] == pytest.approx(0.225)
    assert found.contracts == {FEB_14: 0, MAR_21: 5}
    assert found.entered_high == FEB_5
    none = _plan(regime("high", FEB_5, FEB_5_CURVE), portfolio({}, FEB_5))
    assert none.target["L1"] == 0.0
    assert none.contracts == {}
    later = _plan(
        regime("high", date(2018, 2, 6), FEB_5_CURVE),
        held,
        memory.model_copy(update={"state": "high", "entered_high": FEB_5}),
    )
    assert later.target["TT"] == pytest.approx(0.1125)


def test_layer_3_wakes_with_beta() -> None:
    now = regime("elevated", JAN_2)
    off, on = _plan(now, portfolio(beta=1.1)), _plan(now, portfolio(beta=1.11))
    assert off.vectors["aim"]["L3"] == pytest.approx(0.05)
    assert on.vectors["aim"]["L3"] == pytest.approx(0.20)
    assert on.l3_on
    missing = _plan(now, portfolio(beta=None), Memory(l3_on=True))
    assert missing.l3_on
    assert missing.vectors["activated"]["L3"] == pytest.approx(0.20)


def test_each_block_and_no_add_under_any_of_them() -> None:
    calm = regime("low", JAN_2, JAN_2_CURVE)
    only_far = {EXPIRIES[3]: 13.4}
    cases = {
        "regime:held": (calm.model_copy(update={"held": True}), portfolio()),
        "portfolio:beta": (calm, portfolio(beta=None)),
        "portfolio:beta_not_positive": (calm, portfolio(beta=-0.1)),
        "portfolio:cash": (calm, portfolio(cash=-0.01)),
        "portfolio:stale": (calm, portfolio(as_of=calm.event_ts - 5 * DAY - 1)),
        "curve:missing": (regime("low", JAN_2, {}), portfolio()),
        "curve:no_contract_15_62": (regime("low", JAN_2, only_far), portfolio()),
        f"price:{FEB_14}": (regime("low", JAN_2, {EXPIRIES[2]: 12.8, EXPIRIES[0]: 11.0}), portfolio({FEB_14: 3})),
        "price:VXX": (calm, portfolio({"VXX": 1000.0})),
    }
    for reason, (now, book) in cases.items():
        found = _plan(now, book)
        assert found.blocked == (reason,), reason
        assert not found.adds
        assert all(leg.side == "sell" for leg in found.legs)
    blind = _plan(calm.model_copy(update={"degraded": ("vix:stale",)}), portfolio())
    assert blind.blocked == ("regime:held",)


def test_what_does_not_block() -> None:
    calm = regime("low", JAN_2, JAN_2_CURVE, degraded=("vix:stand_in", "vvix:missing"))
    assert _plan(calm, portfolio(cash=0.0)).blocked == ()
    assert _plan(calm, portfolio(as_of=calm.event_ts - 5 * DAY)).blocked == ()
    assert _plan(calm, portfolio(as_of=calm.event_ts - 50 * DAY, fills="assumed")).blocked == ()


def test_reductions_stay_possible_while_adds_are_blocked() -> None:
    found = _plan(regime("low", JAN_2, JAN_2_CURVE), portfolio({FEB_14: 60}, cash=-1.0))
    # 0.36 held, hard band 0.25, aim 0.20, edge 0.225: 450,000 / 12,000 = 37 contracts
    assert found.contracts == {FEB_14: 37}
    assert (found.adds, found.reduces) == (False, True)


def test_without_beta_everything_is_held_and_said() -> None:
    memory, event = _evaluate(regime("low", JAN_2, JAN_2_CURVE), portfolio({FEB_14: 60}, beta=None), Memory())
    assert event is not None
    assert (event.hedge_notional, event.trades, event.limits) == (None, (), {})
    assert event.blocked == ("portfolio:beta",)
    assert (event.status, event.approvals_required) == ("reduce_only", 0)
    assert event.targets["R"] == 1
    assert "held" not in event.vectors
    assert "hedge_notional" not in event.document()
    _, again = _evaluate(regime("low", JAN_2, JAN_2_CURVE), portfolio({FEB_14: 60}, beta=None), memory)
    assert again is None


def test_contracts_that_nothing_can_value_are_held() -> None:
    found = _plan(regime("low", JAN_2, {}), portfolio({FEB_14: 60}))
    assert found.contracts is None
    assert found.legs == ()
    assert found.blocked == ("curve:missing", f"price:{FEB_14}")
    assert found.h == 2_000_000


def test_with_nothing_to_hedge_everything_is_closed() -> None:
    memory = Memory(weights={"L2": 0.2, "L3": 0.0, "TT": 0.0})
    after, event = _evaluate(regime("low", JAN_2, JAN_2_CURVE), portfolio({FEB_14: 3}, beta=0.0), memory)
    assert event is not None
    assert [(leg.symbol, leg.side, leg.quantity) for leg in event.trades] == [(FEB_14, "sell", 3)]
    assert event.targets["R"] == 1
    assert event.hedge_notional == 0
    assert event.approvals_required == 1
    assert after.weights == {"L2": 0, "L3": 0, "TT": 0}


def test_approvals_and_status() -> None:
    calm = regime("low", JAN_2, JAN_2_CURVE)
    _, adds = _evaluate(calm, portfolio(), Memory())
    _, reduces = _evaluate(calm, portfolio({FEB_14: 60}), Memory(weights={"L2": 0.1, "L3": 0.0, "TT": 0.0}))
    _, rests = _evaluate(calm, portfolio({FEB_14: 33}), Memory(weights={"L2": 0.1, "L3": 0.0, "TT": 0.0}))
    assert adds is not None
    assert reduces is not None
    assert rests is not None
    assert [e.approvals_required for e in (adds, reduces, rests)] == [2, 1, 0]
    assert {e.status for e in (adds, reduces, rests)} == {"pending"}


def test_the_event_says_what_decided() -> None:
    now = regime("high", FEB_5, FEB_5_CURVE, floors_hit=("high:vix>=30",), degraded=("vvix:missing",), score=91.5)
    book = portfolio({MAR_21: 9}, FEB_5, beta=1.2)
    _, event = _evaluate(now, book, Memory(state="low"), "fast_path")
    assert event is not None
    assert (event.trigger, event.state_prev, event.state, event.score) == ("fast_path", "low", "high", 91.5)
    assert (event.floors_hit, event.degraded) == (("high:vix>=30",), ("vvix:missing",))
    assert event.regime_event_id == now.event_id
    assert event.calibration_digest == CALIBRATION.digest()
    assert event.event_ts == event.effective_ts == at(FEB_5)
    assert set(event.windows) == {"L1", "L2", "L3", "TT"} - {
        layer
        for layer in ("L1", "L2", "L3", "TT")
        if event.targets[layer] == 0  # type: ignore[index]
    }
    assert {"layer", "layer_max", "reserve", "reserve_min", "gross", "exposure", "theta"} <= set(event.limits)
    assert Rebalance.model_validate_json(event.canonical()).canonical() == event.canonical()
    later = portfolio({MAR_21: 9}, FEB_5, beta=1.2, as_of=at(FEB_5, 17))
    _, other = _evaluate(now, later, Memory(state="low"), "snapshot")
    assert other is not None
    assert other.event_ts == at(FEB_5, 17)
    assert other.event_id != event.event_id


@pytest.mark.parametrize("fills", ["assumed", "reported"])
def test_unchanged_advice_is_not_repeated(fills: str) -> None:
    calm, book = regime("low", JAN_2, JAN_2_CURVE), portfolio(fills=fills)
    memory, first = _evaluate(calm, book, Memory())
    assert first is not None
    for _ in range(3):
        memory, again = _evaluate(calm, book, memory)
        assert again is None
    # A mark of the same session with other prices is no news either.
    memory, mark = _evaluate(regime("low", JAN_2, {d: p + 0.1 for d, p in JAN_2_CURVE.items()}), book, memory)
    assert mark is None


def test_a_fill_that_was_undone_is_advised_again() -> None:
    calm = regime("low", JAN_2, JAN_2_CURVE)
    memory, first = _evaluate(calm, portfolio(), Memory())
    assert first is not None
    memory, filled = _evaluate(calm, portfolio({FEB_14: 29}), memory)
    assert filled is None
    memory, undone = _evaluate(calm, portfolio({}), memory)
    assert undone is not None
    assert [leg.quantity for leg in undone.trades] == [29]
    memory, partly = _evaluate(calm, portfolio({FEB_14: 20}), memory)
    assert partly is not None
    assert [(leg.quantity, leg.target) for leg in partly.trades] == [(9, 29)]


@pytest.mark.parametrize("policy", ["steward", "promoter"])
@pytest.mark.parametrize("state", STATES)
def test_day_by_day_the_hedge_comes_to_rest_at_the_bands_edge(policy: str, state: State) -> None:
    book, memory, events = portfolio(policy=policy, fills="assumed", beta=1.2), Memory(), []
    for day in sessions(15):
        memory, event = _evaluate(regime(state, day), book, memory)
        events.append(event)
    assert memory.targets is not None
    aim = plan(RULES, MarketView(regime(state, day)), book, memory).vectors["aim"]
    for layer in ("L2", "L3", "TT"):
        assert abs(memory.targets[layer] - aim[layer]) <= 0.025 + 2e-3  # type: ignore[index]
    assert len([e for e in events if e is not None]) < 15
    assert events[-1] is None


def test_an_expired_contract_is_not_held_and_one_about_to_is_rolled() -> None:
    day = date(2018, 2, 1)
    prices = flat_curve(day)
    due = _plan(regime("moderate", day, prices), portfolio({FEB_14: 20}, day))  # 13 days left
    assert due.vectors["held"]["L1"] == pytest.approx(0.20)
    assert due.contracts == {FEB_14: 0, MAR_21: 20}
    assert [(leg.side, leg.symbol) for leg in due.legs] == [("sell", FEB_14), ("buy", MAR_21)]
    settled = _plan(regime("moderate", EXPIRIES[1]), portfolio({FEB_14: 20}, EXPIRIES[1]))
    assert settled.vectors["held"]["L1"] == 0
    assert all(leg.symbol != FEB_14 for leg in settled.legs)


def test_assumed_fills_leave_other_positions_alone() -> None:
    option = "VIX/2018-05-16/C/20"
    book = portfolio({option: 50.0, JAN_17: 5.0}, fills="assumed")
    memory, event = _evaluate(regime("low", EXPIRIES[0]), book, Memory())
    assert event is not None
    assert memory.positions is not None
    assert {(p.symbol, p.layer, p.quantity) for p in memory.positions} == {(option, None, 50.0), (FEB_14, "L1", 17.0)}


def test_tiny_portfolios_hold_less_than_a_contract_in_reserve() -> None:
    found = _plan(regime("low", JAN_2, JAN_2_CURVE), portfolio(mv=100_000.0))
    assert found.contracts == {}
    assert found.target["L1"] == pytest.approx(0.175)
    assert found.vectors["whole"]["L1"] == 0
    assert found.limits["reserve"] == pytest.approx(1 - 0.0375)


def test_a_falling_step_buys_nothing_back_and_an_unfilled_roll_is_advised_again() -> None:
    day = date(2018, 2, 1)
    book, memory = portfolio({FEB_14: 60}, day), Memory(state="moderate")
    now = regime("moderate", day, flat_curve(day))
    memory, rolled = _evaluate(now, book, memory)
    assert rolled is not None
    # 0.60 held, aim 0.20: to 0.4125, all of it into March, as February has 13 days left
    assert [(leg.side, leg.symbol, leg.target) for leg in rolled.trades] == [("sell", FEB_14, 0), ("buy", MAR_21, 41)]
    found = plan(RULES, MarketView(now), book, memory)
    assert found.contracts == {FEB_14: 0, MAR_21: 41}
    oversold = plan(RULES, MarketView(now), portfolio({MAR_21: 40}, day), memory)
    assert oversold.contracts == {MAR_21: 40}
    assert oversold.legs == ()
