"""The hedge processor: what it takes, when it evaluates, and that batches and restarts change no byte."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hedge_support import (
    CALIBRATION,
    EXPIRIES,
    FEB_5,
    FEB_5_CURVE,
    JAN_2,
    JAN_2_CURVE,
    at,
    flat_curve,
    portfolio,
    regime,
    sessions,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.hedger import Hedger, HedgeTask
from processors.stream.log import Out, Record
from processors.stream.processor import Processor, Segment
from topics.catalog import HEDGE_REBALANCES, HEDGE_REGIMES, PORTFOLIO_SNAPSHOTS
from topics.codec import JSON_HEADERS, encode
from topics.dead_letter import Refused
from topics.message import STATES, Message
from topics.portfolio import Portfolio
from topics.rebalance import Rebalance
from topics.regime import Regime
from topics.times import MINUTE, SECOND

HEDGER = Hedger(CALIBRATION)


def _record(message: Message, key: bytes | None = b"", offset: int = 0, timestamp: int | None = None) -> Record:
    value, headers = encode(message)
    if isinstance(message, Regime):
        topic, own, ts = HEDGE_REGIMES, message.market.encode(), message.event_ts
    else:
        assert isinstance(message, Portfolio)
        topic, own, ts = PORTFOLIO_SNAPSHOTS, message.portfolio_id.encode(), message.as_of
    return Record(topic, 0, offset, ts if timestamp is None else timestamp, own if key == b"" else key, value, headers)


def _segment(message: Message, offset: int = 0) -> Segment:
    record = _record(message, offset=offset)
    decoded = HEDGER.decode(record)
    return Segment([record], decoded.body, 0, 1, decoded.times)


def _run(task: HedgeTask, *messages: Message) -> list[Rebalance]:
    outs = task.process([_segment(message) for message in messages])
    return [Rebalance.model_validate_json(out.value or b"") for out in outs]


def _new() -> HedgeTask:
    return HEDGER.task(0)


CALM = regime("low", JAN_2, JAN_2_CURVE)


def test_it_is_a_processor() -> None:
    processor: Processor = HEDGER
    assert processor.name == "hedge"
    assert [(i.topic, i.max_idle) for i in processor.inputs] == [(HEDGE_REGIMES, 1.0), (PORTFOLIO_SNAPSHOTS, 0.0)]
    assert processor.outputs == (HEDGE_REBALANCES,)


def test_decoding() -> None:
    book = portfolio()
    decoded = HEDGER.decode(_record(book))
    assert decoded.body == book
    assert decoded.times.tolist() == [book.as_of]
    assert decoded.times.dtype == np.int64
    assert HEDGER.decode(_record(CALM)).times.tolist() == [CALM.event_ts]


@pytest.mark.parametrize(
    ("record", "reason", "words"),
    [
        (_record(portfolio(), key=b"other"), "wrong_market", "must have the key pension"),
        (_record(portfolio(), key=None), "wrong_market", "no key"),
        (_record(CALM, key=b"EU"), "wrong_market", "must have the key US"),
        (_record(portfolio(), timestamp=portfolio().as_of - 5 * MINUTE - 1), "future", "5 minutes later"),
        (_record(portfolio({"VX/2018-02-14": 1.5})), "invalid", "whole numbers"),
        (Record(PORTFOLIO_SNAPSHOTS, 0, 0, 0, b"p", b"{", JSON_HEADERS), "not_json", "no JSON"),
        (Record(PORTFOLIO_SNAPSHOTS, 0, 0, 0, b"p", None), "tombstone", "no value"),
    ],
)
def test_what_cannot_be_used_is_refused(record: Record, reason: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        HEDGER.decode(record)
    assert caught.value.reason == reason


def test_five_minutes_ahead_are_taken() -> None:
    HEDGER.decode(_record(portfolio(), timestamp=portfolio().as_of - 5 * MINUTE))


def test_a_snapshot_waits_for_the_first_regime() -> None:
    task = _new()
    assert _run(task, portfolio()) == []
    (event,) = _run(task, regime("low", JAN_2, JAN_2_CURVE, kind="mark", event_ts=at(JAN_2, 15, 30)))
    assert event.trigger == "snapshot"
    (other,) = _run(task, portfolio(portfolio_id="other"))
    assert (other.portfolio_id, other.trigger) == ("other", "snapshot")


def test_what_causes_an_evaluation() -> None:
    task = _new()
    _run(task, CALM, portfolio(portfolio_id="b"), portfolio(portfolio_id="a"), portfolio(portfolio_id="c", market="EU"))
    day = JAN_2 + timedelta(days=1)
    assert _run(task, regime("low", day, JAN_2_CURVE, kind="mark", event_ts=at(day, 10))) == []
    up = regime("high", day, JAN_2_CURVE, kind="mark", event_ts=at(day, 11))
    events = _run(task, up)
    assert [(e.portfolio_id, e.trigger, e.state_prev, e.state) for e in events] == [
        ("a", "fast_path", "low", "high"),
        ("b", "fast_path", "low", "high"),
    ]
    blind = regime("high", day, {}, kind="mark", event_ts=at(day, 12), degraded=("vx:missing",))
    assert [(e.portfolio_id, e.trigger) for e in _run(task, blind)] == [("a", "degraded"), ("b", "degraded")]
    same = regime("high", day, {}, kind="mark", event_ts=at(day, 13), degraded=("vx:missing",))
    assert _run(task, same) == []
    close = regime("high", day, JAN_2_CURVE)
    assert {e.trigger for e in _run(task, close)} == {"close"}


def test_marks_bring_prices_but_no_signals() -> None:
    bullish = {"macd_acting": True, "macd_last_cross": "bullish", "macd_sessions_since_cross": 0.0}
    task = _new()
    _run(task, CALM, regime("low", JAN_2, JAN_2_CURVE, kind="mark", event_ts=at(JAN_2, 18), features=bullish))
    (event,) = _run(task, portfolio(as_of=at(JAN_2, 19)))
    assert event.vectors["tilted"] == event.vectors["base"]
    (event,) = _run(_new(), regime("low", JAN_2, JAN_2_CURVE, features=bullish), portfolio())
    assert event.vectors["tilted"]["L1"] == 0.25


def test_old_and_repeated_messages_are_counted_and_ignored() -> None:
    task = _new()
    newest = portfolio(as_of=at(JAN_2, 15), seq=4)
    _run(task, CALM, newest)
    task.counts()
    for book in (
        newest,
        portfolio({"VX/2018-02-14": 3}, as_of=at(JAN_2, 15), seq=3),
        portfolio({"VX/2018-02-14": 3}, as_of=at(JAN_2, 15)),
        portfolio({"VX/2018-02-14": 3}, as_of=at(JAN_2, 14), seq=9),
    ):
        assert _run(task, book) == []
    older = regime("high", JAN_2, JAN_2_CURVE, kind="mark", event_ts=at(JAN_2, 15))
    assert _run(task, CALM, older) == []
    assert task.counts() == {
        ("alvh_snapshots_ignored_total", "duplicate"): 3,
        ("alvh_snapshots_ignored_total", "out_of_order"): 1,
        ("alvh_regimes_ignored_total", "duplicate"): 1,
        ("alvh_regimes_ignored_total", "out_of_order"): 1,
    }
    assert len(_run(task, portfolio({"VX/2018-02-14": 3}, as_of=at(JAN_2, 15), seq=5))) == 1


def test_a_newer_snapshot_replaces_assumed_fills_as_a_whole() -> None:
    task = _new()
    (first,) = _run(task, CALM, portfolio(fills="assumed"))
    assert [leg.quantity for leg in first.trades] == [29]
    assert _run(task, portfolio({"VX/2018-02-14": 29}, fills="assumed", as_of=at(JAN_2, 16))) == []
    (again,) = _run(task, portfolio({}, fills="assumed", as_of=at(JAN_2, 17)))
    assert [leg.quantity for leg in again.trades] == [29]


def test_what_is_counted() -> None:
    task = _new()
    _run(task, CALM, portfolio(beta=None), portfolio({"VXX": 5.0}, portfolio_id="b", cash=-1.0))
    assert task.counts() == {
        ("alvh_rebalances_total", "low"): 2,
        ("alvh_adds_blocked_total", "portfolio:beta"): 1,
        ("alvh_adds_blocked_total", "portfolio:cash"): 1,
        ("alvh_adds_blocked_total", "price"): 1,
    }
    assert task.counts() == {}
    assert task.gauges() == {("alvh_portfolios",): 2}


def test_outputs_are_urgent_keyed_and_canonical() -> None:
    (out,) = _new().process([_segment(CALM), _segment(portfolio())])
    assert out == Out(HEDGE_REBALANCES, b"pension", out.value, JSON_HEADERS, urgent=True)
    assert out.value == Rebalance.model_validate_json(out.value or b"").canonical()


def test_only_what_changed_is_snapshot() -> None:
    task = _new()
    _run(task, CALM, portfolio(), portfolio(portfolio_id="b"))
    assert set(task.snapshot()) == {b"regime/US", b"portfolio/pension", b"portfolio/b"}
    assert task.snapshot() == {}
    _run(task, regime("low", JAN_2, JAN_2_CURVE, kind="mark", event_ts=at(JAN_2, 17)))
    assert set(task.snapshot()) == {b"regime/US"}


def test_unknown_state_is_refused() -> None:
    task = _new()
    _run(task, CALM)
    state = json.loads(task.snapshot()[b"regime/US"] or b"")
    with pytest.raises(ValueError, match="version 1"):
        _new().restore(b"regime/US", json.dumps(state | {"version": 1}).encode())
    with pytest.raises(ValueError, match="unknown state key"):
        _new().restore(b"other/US", json.dumps({"version": state["version"]}).encode())


def test_february_2018_from_calm_to_storm_and_back() -> None:
    """A portfolio through the real calendar: hedged in calm, rebuilt in the storm, run down afterwards."""
    task = _new()
    days = sessions(40, JAN_2)
    book = portfolio(fills="modelled", beta=1.0)
    events = _run(task, regime("low", days[0], JAN_2_CURVE), book)
    for day in days[1:]:
        if day < FEB_5:
            state, curve = "low", {e: 12.0 + i * 0.6 for i, e in enumerate(EXPIRIES)}
        elif day == FEB_5:
            state, curve = "high", FEB_5_CURVE
        else:
            state, curve = "elevated", {e: 22.0 - i * 0.4 for i, e in enumerate(EXPIRIES)}
        events += _run(task, regime(state, day, curve))  # type: ignore[arg-type]
    storm = next(e for e in events if e.state == "high")
    # All of the way to the band's edge at once; Temporal Theta waits until the fear falls.
    assert storm.targets["L2"] == pytest.approx(0.225)
    assert storm.targets["TT"] == 0
    assert {e.status for e in events} == {"study"}
    # The February contract was rolled on 25 January, when it had twenty days left: one less than its layer keeps.
    rolls = [e for e in events if any(leg.symbol == "VX/2018-02-14" and leg.side == "sell" for leg in e.trades)]
    assert [e.session_date for e in rolls] == [date(2018, 1, 25)]
    assert all(leg.symbol != "VX/2018-02-14" for e in events for leg in e.trades if e.session_date >= FEB_5)
    final = events[-1]
    # With Temporal Theta shut 0.5 of H is deployed, of which Layer 2 may be 60 %: 0.30, and the band's edge is 0.275.
    assert final.vectors["aim"]["L2"] == pytest.approx(0.30)
    assert 0.275 - 1e-3 <= final.targets["L2"] <= 0.30
    for event in events:
        assert sum(event.targets.values()) == pytest.approx(1, abs=1e-9)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("regime"), st.sampled_from(STATES), st.sampled_from(["close", "mark"]), st.booleans()),
        st.tuples(
            st.just("snapshot"),
            st.sampled_from(["a", "b"]),
            st.sampled_from([None, 1.0, 1.1234567890123456, 1.2]),
            st.dictionaries(st.sampled_from([f"VX/{e}" for e in EXPIRIES[1:4]]), st.integers(1, 60), max_size=2),
        ),
    ),
    min_size=1,
    max_size=14,
)


def _messages(history: Sequence[tuple[Any, ...]], fills: str) -> list[Message]:
    messages: list[Message] = []
    days = sessions(16)
    for number, step in enumerate(history):
        day = days[number // 2]
        ts = at(day, 10) + (number % 2) * 3600 * SECOND
        if step[0] == "regime":
            _, state, kind, blind = step
            prices = flat_curve(day, 15.0 + number * 1.37)
            degraded = ("vix:missing",) if blind else ()
            messages.append(regime(state, day, prices, kind=kind, event_ts=ts, held=blind, degraded=degraded))
        else:
            _, name, beta, held = step
            book = portfolio(held, portfolio_id=name, as_of=ts, beta=beta, fills=fills, mv=9_876_543.2199)
            messages.append(book)
    return messages


def _bytes(outs: Sequence[Out]) -> list[tuple[bytes | None, bytes | None]]:
    return [(out.key, out.value) for out in outs]


@given(steps, st.sampled_from(["assumed", "reported"]), st.data())
@settings(max_examples=120, deadline=None)
def test_batches_and_restarts_change_no_byte(history: list[tuple[Any, ...]], fills: str, data: st.DataObject) -> None:
    segments = [_segment(message, number) for number, message in enumerate(_messages(history, fills))]
    whole = _bytes(_new().process(segments))
    task, state, outs = _new(), dict[bytes, bytes](), list[Out]()
    while segments:
        size = data.draw(st.integers(1, len(segments)))
        outs += task.process(segments[:size])
        segments = segments[size:]
        state |= {key: value for key, value in task.snapshot().items() if value is not None}
        if data.draw(st.booleans()):
            task = _new()
            for key, value in state.items():
                task.restore(key, value)
            assert task.snapshot() == {}
    assert _bytes(outs) == whole
