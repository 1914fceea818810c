"""The screen passes over nobody who has anything to say: with it and without it, the same bytes and the same memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pytest
from hedge_support import CALIBRATION, EXPIRIES, JAN_2, at, flat_curve, regime, sessions
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.hedge.screen import WIDTH, Screen
from processors.hedger import Hedger, HedgeTask
from processors.stream.log import Record
from processors.stream.processor import Segment
from topics.catalog import HEDGE_REGIMES, PORTFOLIO_SNAPSHOTS
from topics.codec import encode
from topics.message import STATES, Feature, State
from topics.portfolio import Portfolio, Position
from topics.regime import Regime

HEDGER = Hedger(CALIBRATION)
DAYS = sessions(40)
Message = Regime | Portfolio


@pytest.fixture(autouse=True)
def _look_at_one_portfolio_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Screen, "few", 0)


class _Everyone(Screen):
    """A screen that looks at nothing."""

    def loud(self, market: object) -> list[str]:
        return sorted(self._names)


def _task(monkeypatch: pytest.MonkeyPatch, screen: type[Screen]) -> HedgeTask:
    monkeypatch.setattr("processors.hedger.Screen", screen)
    return HEDGER.task(0)


def _segment(message: Message) -> Segment:
    value, headers = encode(message)
    topic, key, ts = (
        (HEDGE_REGIMES, message.market, message.event_ts)
        if isinstance(message, Regime)
        else (PORTFOLIO_SNAPSHOTS, message.portfolio_id, message.as_of)
    )
    record = Record(topic, 0, 0, ts, key.encode(), value, headers)
    decoded = HEDGER.decode(record)
    return Segment([record], decoded.body, 0, 1, decoded.times)


def _play(task: HedgeTask, messages: list[Message]) -> tuple[list[bytes], dict[bytes, bytes | None]]:
    """What it publishes, and what it remembers in the end."""
    outs, state = [], {}
    for message in messages:
        outs += [out.value or b"" for out in task.process([_segment(message)])]
        state |= dict(task.snapshot())
    return outs, state


@dataclass
class Turn:
    """A session: its close and a mark later on, and a snapshot between them or none."""

    state: State | None
    drift: float
    signals: dict[str, Feature]
    degraded: tuple[str, ...]
    snapshot: int | None
    skip: int


calm = st.floats(-0.3, 0.3).map(lambda x: round(x, 2))
turns = st.builds(
    Turn,
    state=st.sampled_from([None] * 9 + ["low", "moderate", "elevated", "high"]),
    drift=calm | calm | calm | calm | st.floats(-6, 12).map(lambda x: round(x, 2)),
    signals=st.fixed_dictionaries(
        {},
        optional={
            "macd_acting": st.sampled_from([False, False, True]),
            "macd_last_cross": st.sampled_from(["bullish", "bearish"]),
            "macd_sessions_since_cross": st.integers(6, 12).map(float),
            "macd_hist": st.sampled_from([-0.5, 0.5]),
            "rv21": st.just(9.0),
            "rsi14": st.sampled_from([30.0, 60.0]),
            "ddm_drip_sharp": st.booleans(),
        },
    ),
    degraded=st.sampled_from([()] * 8 + [("vix:stale",), ("vvix:missing",)]),
    snapshot=st.sampled_from([None] * 8 + [0, 1, 2, 3]),
    skip=st.sampled_from([0, 1, 1, 1, 1, 2]),
)


def _portfolios(day: date) -> list[Portfolio]:
    common = {"as_of": at(day, 10)}
    return [
        Portfolio(portfolio_id="large", mv=400e6, beta=1.2, fills="modelled", **common),
        Portfolio(portfolio_id="steady", mv=30e6, beta=1.0, fills="assumed", **common),
        Portfolio(
            portfolio_id="desk",
            mv=20e6,
            beta=0.9,
            cash=1e6,
            equity_value=15e6,
            debt_value=5e6,
            cost_equity=0.09,
            cost_debt=0.05,
            positions=(Position(symbol=f"VX/{EXPIRIES[1]}", quantity=20.0),),
            **common,
        ),
        Portfolio(portfolio_id="bold", mv=50e6, beta=1.12, policy="promoter", fills="modelled", **common),
    ]


def _messages(start: State, level: float, slope: float, history: list[Turn]) -> list[Message]:
    found: list[Message] = list(_portfolios(JAN_2))
    place, state = 0, start
    for number, turn in enumerate(history):
        day = DAYS[min(place, len(DAYS) - 1)]
        place += turn.skip
        state = turn.state or state
        level = min(max(level + turn.drift, 9.0), 60.0)
        curve = {
            expiry: round(max(8.0, level + slope * i), 2)
            for i, expiry in enumerate(sorted(e for e in EXPIRIES if e > day))
        }
        features: dict[str, Feature] = {"vix": level, "vvix": 95.0, "spx": 2700.0 + number, **turn.signals}
        ts = at(day) + number * 1_000_000_000
        found.append(regime(state, day, curve, features=features, degraded=turn.degraded, event_ts=ts, kind="close"))
        if turn.snapshot is not None:
            book = _portfolios(day)[turn.snapshot]
            found.append(book.model_copy(update={"as_of": ts + 1000 + number, "mv": book.mv * (1 + 0.01 * number)}))
        later = {expiry: round(price + 0.15, 2) for expiry, price in curve.items()}
        found.append(regime(state, day, later, features=features, degraded=("x",), event_ts=ts + 60, kind="mark"))
    return found


@given(
    st.sampled_from(STATES),
    st.sampled_from([12.0, 18.0, 30.0]),
    st.sampled_from([0.35, -0.4, 0.1]),
    st.lists(turns, min_size=5, max_size=10),
)
@settings(max_examples=15, deadline=None)
def test_the_screen_changes_nothing(start: State, level: float, slope: float, history: list[Turn]) -> None:
    messages = _messages(start, level, slope, history)
    with pytest.MonkeyPatch.context() as patch:
        everyone = _play(_task(patch, _Everyone), messages)
        screened = _play(_task(patch, Screen), messages)
    assert screened[0] == everyone[0]
    assert screened[1] == everyone[1]


def _held(name: str, day: date, **changes: object) -> Portfolio:
    fields = {"portfolio_id": name, "as_of": at(day, 10), "mv": 50e6, "beta": 1.0, "fills": "assumed"} | changes
    return Portfolio(**fields)  # type: ignore[arg-type]


def _settle(task: HedgeTask, day: date, *books: Portfolio) -> None:
    _play(task, list(books))
    for number in range(12):
        later = DAYS[DAYS.index(day) + number]
        _play(task, [regime("moderate", later, flat_curve(later), features={"vix": 18.0, "spx": 2700.0})])


def _evaluated(task: HedgeTask, *messages: Message) -> dict[str, float]:
    task.counts()
    _play(task, list(messages))
    counts = task.counts()
    return {key[1]: amount for key, amount in counts.items() if key[0] == "alvh_portfolios_screened_total"}


def test_who_is_within_the_band_is_passed_over_and_who_leaves_it_is_not() -> None:
    task = HEDGER.task(0)
    _settle(task, JAN_2, _held("a", JAN_2), _held("b", JAN_2))
    day = DAYS[12]
    same = regime("moderate", day, flat_curve(day), features={"vix": 18.0, "spx": 2700.0})
    assert _evaluated(task, same) == {"quiet": 2.0}
    next_day = DAYS[13]
    jump = regime("moderate", next_day, flat_curve(next_day, 30.0), features={"vix": 18.0, "spx": 2700.0})
    assert _evaluated(task, jump) == {"evaluated": 2.0}


def test_a_change_of_state_is_for_everyone() -> None:
    task = HEDGER.task(0)
    _settle(task, JAN_2, _held("a", JAN_2), _held("b", JAN_2))
    day = DAYS[12]
    for state in STATES:
        if state != "moderate":
            found = _evaluated(task, regime(state, day, flat_curve(day), features={"vix": 18.0}))
            assert found["evaluated"] == 2


def test_an_empty_market_has_nobody_to_evaluate() -> None:
    task = HEDGER.task(0)
    assert _evaluated(task, regime("low", JAN_2)) == {}


def test_a_book_of_many_holdings_is_always_evaluated() -> None:
    strikes = range(20, 20 + WIDTH + 1)
    positions = tuple(Position(symbol=f"VIX/{EXPIRIES[4]}/C/{k}", quantity=1.0, layer="L2") for k in strikes)
    task = HEDGER.task(0)
    _settle(task, JAN_2, _held("many", JAN_2, positions=positions, fills="reported", mv=900e6), _held("few", JAN_2))
    day = DAYS[12]
    found = _evaluated(task, regime("moderate", day, flat_curve(day), features={"vix": 18.0, "spx": 2700.0}))
    assert found == {"evaluated": 1.0, "quiet": 1.0}


def test_a_portfolio_that_changes_its_market_leaves_its_row_to_another() -> None:
    task = HEDGER.task(0)
    _settle(task, JAN_2, _held("a", JAN_2), _held("b", JAN_2), _held("c", JAN_2))
    _play(task, [_held("a", DAYS[11], market="EU", as_of=at(DAYS[11], 20))])
    day = DAYS[12]
    found = _evaluated(task, regime("moderate", day, flat_curve(day), features={"vix": 18.0, "spx": 2700.0}))
    assert found == {"quiet": 2.0}


def test_after_a_restart_all_are_evaluated_once_and_nothing_is_said() -> None:
    task = HEDGER.task(0)
    _settle(task, JAN_2, _held("a", JAN_2), _held("b", JAN_2))
    _, state = _play(task, [])
    again = HEDGER.task(0)
    first = HEDGER.task(0)
    saved: dict[bytes, bytes | None] = {}
    for book in (_held("a", JAN_2), _held("b", JAN_2)):
        saved |= _play(first, [book])[1]
    for number in range(12):
        later = DAYS[number]
        saved |= _play(first, [regime("moderate", later, flat_curve(later), features={"vix": 18.0, "spx": 2700.0})])[1]
    for key, value in saved.items():
        again.restore(key, value or b"")
    day = DAYS[12]
    now = regime("moderate", day, flat_curve(day), features={"vix": 18.0, "spx": 2700.0})
    assert _evaluated(again, now) == {"evaluated": 2.0}
    assert state == {}
    later = regime("moderate", DAYS[13], flat_curve(DAYS[13]), features={"vix": 18.0, "spx": 2700.0})
    assert _evaluated(again, later) == {"quiet": 2.0}
