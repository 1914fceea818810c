"""Windows around scheduled releases: what waits, what does not, and that their end alone lets it go on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hedge_support import CALIBRATION, JAN_2, JAN_2_CURVE, at, portfolio, regime

from processors.hedge.blocks import frozen
from processors.hedger import Hedger, HedgeTask
from processors.stream.log import Record
from processors.stream.processor import Segment
from topics.catalog import HEDGE_REGIMES, PORTFOLIO_SNAPSHOTS
from topics.codec import encode
from topics.message import Message
from topics.rebalance import Rebalance
from topics.regime import Freeze, Regime
from topics.times import MINUTE, SECOND

HEDGER = Hedger(CALIBRATION)
DAY = JAN_2 + timedelta(days=1)
OPENS, ENDS = at(DAY, 13, 30), at(DAY, 14, 30)
WINDOW = (Freeze(series_id="FOMC_MINUTES", from_ts=OPENS, until_ts=ENDS),)
FROZEN = "freeze:FOMC_MINUTES"
NEXT = "VX/2018-02-14"  # 43 days to expiry: the front contract is too near to be opened


def run(task: HedgeTask, *messages: Message) -> list[Rebalance]:
    segments = []
    for message in messages:
        value, headers = encode(message)
        if isinstance(message, Regime):
            record = Record(HEDGE_REGIMES, 0, 0, message.event_ts, message.market.encode(), value, headers)
        else:
            ts, name = message.as_of, message.portfolio_id  # type: ignore[attr-defined]
            record = Record(PORTFOLIO_SNAPSHOTS, 0, 0, ts, name.encode(), value, headers)
        decoded = HEDGER.decode(record)
        segments.append(Segment([record], decoded.body, 0, 1, decoded.times))
    return [Rebalance.model_validate_json(out.value or b"") for out in task.process(segments)]


def mark(ts: int, state: Any = "low", freezes: tuple[Freeze, ...] = WINDOW, **more: Any) -> Regime:
    return regime(state, DAY, JAN_2_CURVE, kind="mark", event_ts=ts, freezes=freezes, **more)


def before(held: dict[str, float] | None = None, **more: Any) -> HedgeTask:
    """A task that knows a close without a window, a mark shortly before it, and a portfolio from within it on."""
    task = HEDGER.task(0)
    close = regime("low", JAN_2, JAN_2_CURVE, freezes=WINDOW)
    run(task, close, portfolio(held, as_of=at(JAN_2, 17), **more), mark(OPENS - MINUTE))
    return task


def test_a_window_is_open_from_its_first_to_its_last_moment() -> None:
    given = mark(OPENS)
    moments = (OPENS - 1, OPENS, ENDS, ENDS + 1)
    assert [bool(frozen(given, ts)) for ts in moments] == [False, True, True, False]


def test_adds_wait_while_the_window_is_open_and_go_on_when_it_ends() -> None:
    task = HEDGER.task(0)
    run(task, regime("low", JAN_2, JAN_2_CURVE, freezes=WINDOW), mark(OPENS))
    (held_up,) = run(task, portfolio(as_of=OPENS + MINUTE))
    assert (held_up.blocked, held_up.trades, held_up.status) == ((FROZEN,), (), "reduce_only")
    assert run(task, mark(OPENS + 2 * MINUTE)) == [], "a mark within the window says nothing new"
    (released,) = run(task, mark(ENDS + SECOND))
    assert (released.trigger, released.blocked, released.status) == ("freeze", (), "pending")
    assert [(leg.side, leg.symbol) for leg in released.trades] == [("buy", NEXT)]
    assert run(task, mark(ENDS + MINUTE)) == []


def test_a_window_that_opens_is_told_when_something_waits() -> None:
    task = before(beta=1.0)
    (opened,) = run(task, mark(OPENS))
    assert (opened.trigger, opened.blocked) == ("freeze", (FROZEN,))
    (ended,) = run(task, mark(ENDS + 1, freezes=()))
    assert (ended.trigger, ended.blocked) == ("freeze", ())


def test_a_snapshot_within_a_window_that_no_mark_has_seen_is_held_up_and_let_go() -> None:
    """The market was quiet through the whole window; its end is passed all the same."""
    task = HEDGER.task(0)
    run(task, regime("low", JAN_2, JAN_2_CURVE, freezes=WINDOW), mark(OPENS - MINUTE))
    (held_up,) = run(task, portfolio(as_of=OPENS + MINUTE))
    assert held_up.blocked == (FROZEN,)
    (released,) = run(task, mark(ENDS + MINUTE, freezes=()))
    assert (released.trigger, released.blocked) == ("freeze", ())
    assert released.trades


def test_entering_high_does_not_wait() -> None:
    task = before({NEXT: 29.0}, fills="modelled")
    (event,) = run(task, mark(OPENS + MINUTE, "high"))
    assert event.state == "high"
    assert event.blocked == ()
    assert event.vectors["paced"]["L2"] == pytest.approx(0.225), "all of the way to the band's edge at once"
    assert 0.1 < event.targets["L2"] < 0.225, "as far as the carry budget goes: such contango is dear"
    assert 0.019 < event.limits["carry"] <= 0.02
    assert event.timing == ("urgent",)
    assert event.effective_ts == OPENS + MINUTE


def test_a_step_up_that_is_not_high_waits() -> None:
    task = before({NEXT: 29.0}, fills="modelled")
    (event,) = run(task, mark(OPENS + MINUTE, "elevated"))
    assert event.blocked == (FROZEN,)
    assert event.vectors["paced"]["L2"] > event.targets["L2"] == event.vectors["held"]["L2"]
    (later,) = run(task, mark(ENDS + MINUTE, "elevated"))
    assert later.trigger == "freeze"
    assert later.targets["L2"] > event.targets["L2"]


def test_high_that_was_entered_on_an_earlier_day_waits() -> None:
    task = HEDGER.task(0)
    run(task, regime("high", JAN_2, JAN_2_CURVE, freezes=WINDOW), portfolio(as_of=at(JAN_2, 17)))
    (event,) = run(task, mark(OPENS + MINUTE, "high"))
    assert event.blocked == (FROZEN,)


def test_reductions_are_always_possible() -> None:
    task = before({NEXT: 120.0})
    run(task, mark(OPENS))
    (event,) = run(task, portfolio({NEXT: 110.0}, as_of=OPENS + MINUTE))
    assert event.blocked == (FROZEN,)
    assert event.trades
    assert all(leg.side == "sell" for leg in event.trades)


@pytest.mark.parametrize("word", ["known", "cancelled", "moved"])
def test_a_window_that_is_announced_called_off_or_moved_while_open_is_decided_anew(word: str) -> None:
    task = HEDGER.task(0)
    moved = (Freeze(series_id="FOMC_MINUTES", from_ts=OPENS + 60 * MINUTE, until_ts=ENDS + 60 * MINUTE),)
    first, second = {"known": ((), WINDOW), "cancelled": (WINDOW, ()), "moved": (WINDOW, moved)}[word]
    run(task, regime("low", JAN_2, JAN_2_CURVE), mark(OPENS + MINUTE, freezes=first))
    (one,) = run(task, portfolio(as_of=OPENS + 2 * MINUTE))
    (two,) = run(task, mark(OPENS + 3 * MINUTE, freezes=second))
    assert one.blocked == ((FROZEN,) if word != "known" else ())
    assert two.trigger == "freeze"
    assert two.blocked == ((FROZEN,) if word == "known" else ())


def test_a_window_alone_changes_no_evaluation_of_a_portfolio_without_anything_to_do() -> None:
    """Its book is where it should be: the block is still told, since the next add would wait."""
    task = before({NEXT: 29.0})
    events = run(task, mark(OPENS), mark(OPENS + MINUTE), mark(ENDS + MINUTE))
    assert [event.blocked for event in events] == [(FROZEN,), ()]
    assert all(not event.trades for event in events)


@pytest.mark.parametrize("cut", range(7))
def test_a_restart_anywhere_gives_the_same_bytes(cut: int) -> None:
    story: list[Message] = [
        regime("low", JAN_2, JAN_2_CURVE, freezes=WINDOW),
        mark(OPENS - MINUTE),
        portfolio(as_of=OPENS + MINUTE),
        mark(OPENS + 2 * MINUTE),
        portfolio({NEXT: 3.0}, as_of=OPENS + 3 * MINUTE),
        mark(ENDS + MINUTE, freezes=()),
    ]
    whole = [event.canonical() for event in run(HEDGER.task(0), *story)]
    first, second = HEDGER.task(0), HEDGER.task(0)
    found = run(first, *story[:cut])
    for key, value in first.snapshot().items():
        assert value is not None
        second.restore(key, value)
    found += run(second, *story[cut:])
    assert [event.canonical() for event in found] == whole
    assert len(whole) >= 2
