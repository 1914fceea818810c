"""What the hedge remembers of a market: closes, kappa, chains, and that a restart continues bit for bit."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from hedge_chains import live_chain
from hedge_support import JAN_2, RULES, at, flat_curve, regime
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.hedge.market_state import MarketState
from topics.calibration import HedgeRules
from topics.hedge_rules import KappaRules
from topics.message import canonical_json
from topics.regime import Regime

#: Kappa from three returns on, so that a short history has one.
SOON = HedgeRules(kappa=KappaRules(half_life=10.0, minimum=3))


def _days(count: int) -> list[date]:
    """Sessions of a year whose contracts are known."""
    days, day = [], JAN_2
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day)
        day += timedelta(days=1)
    return days


def _close(number: int, **features: Any) -> Regime:
    day = _days(number + 1)[-1]
    spx = 2_700.0 * (1.0 + 0.01 * (-1) ** number)
    found: dict[str, Any] = {"vix": 12.0 + number % 7, "spx": spx} | features
    # VX moves by four percent against one of the SPX.
    curve = flat_curve(day, 20.0 * (1.0 - 0.04 * (-1) ** number))
    return regime("low", day, curve, features={k: v for k, v in found.items() if v is not None})


def _mark(day: date, hour: int = 11, **changes: Any) -> Regime:
    return regime("low", day, flat_curve(day), kind="mark", event_ts=at(day, hour), **changes)


def _state(*regimes: Regime, rules: HedgeRules = RULES) -> MarketState:
    state = MarketState.first(rules, regimes[0], None)
    for each in regimes:
        state.take(each)
    return state


def _again(state: MarketState) -> MarketState:
    return MarketState.restore(json.loads(canonical_json(state.document())), state.chain)


# Closes


def test_closes_are_those_strictly_before_the_regimes_session() -> None:
    closes = [_close(n) for n in range(7)]
    values = [12.0 + n for n in range(7)]
    state = _state(*closes)
    # At the close of the seventh session: the five before it, oldest first, without its own.
    assert state.view.closes == tuple(values[1:6])
    # At a mark of the eighth: the five up to the seventh.
    state.take(_mark(_days(8)[-1]))
    assert state.view.closes == tuple(values[2:7])
    # A mark of the seventh session itself does not see the close of that session.
    late = _state(*closes[:6])
    late.take(_mark(_days(7)[-1]))
    assert late.view.closes == tuple(values[1:6])


def test_a_close_that_comes_again_replaces_its_value_and_none_is_left_out() -> None:
    state = _state(*(_close(n) for n in range(6)), _close(4, vix=33.0), _mark(_days(7)[-1]))
    assert state.view.closes == (13.0, 14.0, 15.0, 33.0, 17.0)
    without = _state(*(_close(n, **({"vix": None} if n == 3 else {})) for n in range(7)))
    assert without.view.closes == (12.0, 13.0, 14.0, 16.0, 17.0)


def test_no_more_closes_are_kept_than_are_looked_at() -> None:
    state = _state(*(_close(n) for n in range(40)))
    assert len(state.vix) == 6
    assert len(state.closes) == 2
    assert len(state.view.closes) == 5


def test_signals_are_those_of_the_last_committed_session() -> None:
    state = _state(_close(0, rsi14=40.0))
    assert state.view.signals["rsi14"] == 40.0
    state.take(_mark(_days(2)[-1], features={"rsi14": 20.0, "vix": 30.0}))
    assert state.view.signals["rsi14"] == 40.0
    assert state.view.regime.features["vix"] == 30.0


def test_a_close_hands_on_the_two_closes_before_it() -> None:
    state = MarketState.first(RULES, _close(0), None)
    found = [state.take(_close(n)) for n in range(4)]
    assert found[:2] == [None, None]
    for number, pair in enumerate(found[2:]):
        assert pair is not None
        assert [close.session_date for close in pair] == _days(4)[number : number + 2]
    assert state.take(_mark(_days(5)[-1])) is None


# Kappa


def test_kappa_is_estimated_from_closes_alone() -> None:
    state = _state(_close(0), rules=SOON)
    for number in range(1, 8):
        state.take(_mark(_days(number + 1)[-1]))
        state.take(_close(number))
    # 20 x 0.96 to 20 x 1.04 and back, against 1.01 to 0.99 of the SPX.
    up, down = 1.04 / 0.96 - 1, 0.96 / 1.04 - 1
    fall, rise = 0.99 / 1.01 - 1, 1.01 / 0.99 - 1
    assert state.view.kappa == pytest.approx(-(up - down) / (fall - rise), rel=1e-9)


def test_kappa_needs_its_minimum_of_returns_and_keeps_its_bounds() -> None:
    three = _state(*(_close(n) for n in range(3)), rules=SOON)
    assert three.view.kappa is None
    assert _state(*(_close(n) for n in range(4)), rules=SOON).view.kappa is not None
    assert _state(*(_close(n) for n in range(20))).view.kappa is None  # 126 by default
    tight = HedgeRules(kappa=KappaRules(half_life=10.0, minimum=3, low=1.5, high=2.0))
    assert _state(*(_close(n) for n in range(6)), rules=tight).view.kappa == 2.0


@pytest.mark.parametrize("missing", [{"spx": None}, {"spx": 0.0}])
def test_a_close_without_an_index_or_a_curve_estimates_nothing(missing: dict[str, Any]) -> None:
    state = _state(*(_close(n) for n in range(5)), rules=SOON)
    before = state.kappa.snapshot()
    state.take(_close(5, **missing))
    assert state.kappa.snapshot() == before
    bare = _close(6).model_copy(update={"curve": ()})
    state.take(bare)
    assert state.kappa.snapshot() == before


def test_a_session_counts_once_for_kappa() -> None:
    state = _state(*(_close(n) for n in range(6)), rules=SOON)
    before = state.kappa.snapshot()
    state.take(_close(5, vix=40.0))
    state.take(_close(2))
    assert state.kappa.snapshot() == before


# Chains and openings


def test_openings_are_worked_out_once_and_anew_with_every_change() -> None:
    state = _state(_close(0))
    first = state.openings(RULES, "nothing")
    assert state.openings(RULES, "nothing") is first
    assert state.openings(RULES, "study") is not first
    assert state.openings(RULES, "study") is state.openings(RULES, "study")
    state.take_chain(live_chain(JAN_2, flat_curve(JAN_2)))
    second = state.openings(RULES, "nothing")
    assert (first.quotes, second.quotes) == ("chain:missing", "live")
    state.take(_mark(_days(2)[-1]))
    assert state.openings(RULES, "nothing").quotes == "chain:stale"


# Restarts


def _bits(state: MarketState) -> tuple[bytes, object]:
    view = state.view
    return canonical_json(state.document()), (view.kappa, view.closes, view.signals, view.regime, view.chain)


@given(st.lists(st.sampled_from(["close", "mark", "blind", "again", "chain"]), min_size=1, max_size=25), st.data())
@settings(max_examples=60, deadline=None)
def test_a_restart_anywhere_continues_bit_for_bit(story: list[str], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(story)))
    first = _close(0)
    whole, other = (MarketState.first(SOON, first, None) for _ in range(2))
    for state in (whole, other):
        state.take(first)
    number = 0
    for place, what in enumerate(story):
        if place == cut:
            other = _again(other)
        if what == "chain":
            day = _days(number + 1)[-1]
            chain = live_chain(day, flat_curve(day, 20.0 + place / 10))
            whole.take_chain(chain)
            other.take_chain(chain)
            continue
        if what != "again":
            number += 1
        message = {
            "close": lambda n=number: _close(n),
            "again": lambda n=number: _close(n, vix=31.7),
            "blind": lambda n=number: _close(n, vix=None, spx=None),
            "mark": lambda n=number: _mark(_days(n + 1)[-1]),
        }[what]()
        assert whole.take(message) == other.take(message)
        assert _bits(whole) == _bits(other)
    other = _again(other)
    assert _bits(whole) == _bits(other)
    assert other.openings(SOON, "values").cost == whole.openings(SOON, "values").cost
