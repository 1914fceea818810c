"""State at rest: few bytes, the same again when it is looked at, and told apart from what is no state."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hedge_support import CALIBRATION, JAN_2, at, flat_curve, regime, sessions

from processors.errors import StateMismatch
from processors.hedge.at_rest import AtRest
from processors.hedge.band import Step
from processors.hedge.held import Held
from processors.hedge.memo import Memo
from processors.hedge.memory import Capital, Memory, Premium
from processors.hedge.watch import Watch
from processors.hedger import Hedger, HedgeTask
from processors.stream.log import Record
from processors.stream.processor import Segment
from topics.catalog import HEDGE_REGIMES, PORTFOLIO_SNAPSHOTS
from topics.codec import encode
from topics.message import canonical_json
from topics.portfolio import Portfolio, Position
from topics.regime import Regime

HEDGER = Hedger(CALIBRATION)
DAYS = sessions(40)
DIGEST = "sha256:" + "0123456789abcdef" * 4

BARE = Held(Portfolio(portfolio_id="bare", as_of=at(JAN_2, 10), mv=1e6), Memory())
FULL = Held(
    Portfolio(
        portfolio_id="full",
        as_of=at(JAN_2, 10) + 123_456_789,
        market="EU",
        source="desk 7",
        seq=12,
        mv=123_456_789.01,
        beta=1.12345678901,
        cash=-0.5,
        margin_req=1.0,
        receivable_vm=2.0,
        margin_req_stress=3.0,
        premium_due=4.0,
        net_flow=-5.25,
        hedge_value=6.0,
        hedge_flow=-7.0,
        equity_value=8.0,
        debt_value=9.0,
        cost_equity=0.09,
        cost_debt=0.05,
        tax_rate=0.25,
        policy="promoter",
        fills="modelled",
        positions=(
            Position(symbol="VX/2018-02-14", quantity=-3.0),
            Position(symbol="SPX", quantity=0.1234567890123456),
            Position(symbol="VIX/2018-02-14/C/12.5", quantity=7.0, layer="L2"),
            Position(symbol="VIX/2018-02-14/C/20", quantity=-7.0, layer="L2", price=1.23456789012),
            Position(symbol="VXX", quantity=2e9, price=18.0),
        ),
    ),
    Memory(
        state="high",
        entered_high=date(2018, 2, 5),
        l3_on=True,
        engine_on=True,
        engine_ready=True,
        engine_session=date(2018, 2, 5),
        levered=0.0625,
        capital=Capital(month=date(2018, 2, 1), cost=0.081),
        watches={"L2:VIX/2018-02-14/C/20": Watch(break_even=21.5, alert=True)},
        premiums=(Premium(day=date(2018, 1, 3), paid=-10.25), Premium(day=date(2018, 1, 4), paid=400.0)),
        steps={
            "L1": Step(
                session_date=date(2018, 2, 5),
                key="high|held",
                goes=("VX/2018-02-14:short",),
                outside=True,
                h=1e6,
                held={"VX/2018-02-14": -3},
                advised={"VX/2018-02-14": 0},
            )
        },
        targets={"L1": 0.1, "L2": 0.2, "L3": 0.0, "TT": 0.05, "R": 0.65},
        positions=(),
        content=DIGEST,
        legs=DIGEST,
    ),
)


def _segment(message: Regime | Portfolio) -> Segment:
    value, headers = encode(message)
    topic, key, ts = (
        (HEDGE_REGIMES, message.market, message.event_ts)
        if isinstance(message, Regime)
        else (PORTFOLIO_SNAPSHOTS, message.portfolio_id, message.as_of)
    )
    record = Record(topic, 0, 0, ts, key.encode(), value, headers)
    decoded = HEDGER.decode(record)
    return Segment([record], decoded.body, 0, 1, decoded.times)


def _close(number: int, state: Any = "moderate", level: float = 18.0) -> Regime:
    day = DAYS[number]
    return regime(state, day, flat_curve(day, level), features={"vix": 18.0, "spx": 2700.0})


def _state(*names: str) -> dict[bytes, bytes]:
    """What a task has kept once the hedges of these portfolios have come to rest."""
    task, state = HEDGER.task(0), dict[bytes, bytes]()
    books = [
        Portfolio(portfolio_id=n, as_of=at(JAN_2, 10), mv=50e6 + i, beta=1.0, fills="assumed")
        for i, n in enumerate(names)
    ]
    for message in [*books, *(_close(number) for number in range(12))]:
        task.process([_segment(message)])
        state |= {key: value for key, value in task.snapshot().items() if value is not None}
    return state


def _restored(state: dict[bytes, bytes]) -> HedgeTask:
    task = HEDGER.task(0)
    for key, value in state.items():
        task.restore(key, value)
    assert task.snapshot() == {}
    return task


def _outs(task: HedgeTask, *messages: Regime | Portfolio) -> list[bytes | None]:
    return [out.value for out in task.process([_segment(message) for message in messages])]


@pytest.mark.parametrize("held", [BARE, FULL], ids=["bare", "full"])
def test_a_portfolio_is_the_same_from_its_document_and_from_the_one_before(held: Held) -> None:
    name = held.portfolio.portfolio_id
    short = canonical_json({"version": 4, **held.document()})
    assert Held.read(name, json.loads(short)) == held
    whole = {"version": 3, "portfolio": held.portfolio.document(), "memory": held.memory.document()}
    assert Held.read(name, json.loads(canonical_json(whole))) == held
    assert len(short) < len(canonical_json(whole))


def test_a_portfolio_at_rest_takes_less_than_a_kilobyte() -> None:
    state = _state("pension")
    value = state[b"portfolio/pension"]
    kept = AtRest("portfolio", 4, Held.document, Held.read)
    kept.restore("pension", value)
    assert len(value) < 1024
    assert len(kept._kept["pension"]) < 512


def test_what_is_set_again_unchanged_is_no_change() -> None:
    kept = AtRest("portfolio", 4, Held.document, Held.read)
    kept["full"] = FULL
    assert list(kept.changed()) == [b"portfolio/full"]
    kept["full"] = kept["full"]
    assert kept.changed() == {}
    assert (len(kept), "full" in kept, kept.get("bare")) == (1, True, None)


def test_state_that_was_restored_and_not_touched_is_as_it_was() -> None:
    state = _state("a", "b")
    task = _restored(state)
    again = {name: task._portfolios[name] for name in ("a", "b")}
    assert _outs(task, _close(12)) == []
    assert set(task.snapshot()) == {b"regime/US"}
    assert {name: task._portfolios[name] for name in ("a", "b")} == again


def test_state_of_the_version_before_gives_the_same_bytes() -> None:
    state = _state("a", "b")
    old = dict(state)
    for name in ("a", "b"):
        held = Held.read(name, json.loads(state[f"portfolio/{name}".encode()]))
        whole = {"portfolio": held.portfolio.document(), "memory": held.memory.document()}
        old[f"portfolio/{name}".encode()] = canonical_json({"version": 3, **whole})
    new_task, old_task = _restored(state), _restored(old)
    storm = _close(12, "high", 30.0)
    assert _outs(old_task, storm) == _outs(new_task, storm) != []
    assert old_task.snapshot() == new_task.snapshot()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"portfolio/a", b""),
        (b"portfolio/a", b"null"),
        (b"portfolio/a", b"[]"),
        (b"portfolio/a", b"\xff"),
        (b"portfolio/a", b'{"version":4}'),
        (b"portfolio/a", b'{"memory":{},"portfolio":[],"version":4}'),
        (b"portfolio/a", b'{"memory":null,"portfolio":{},"version":4}'),
        (b"portfolio/a", b'{"memory":{},"portfolio":{"market":7},"version":4}'),
        (b"beta/a", b'{"beta":{},"values":{"yesterday":[1,2]},"version":3}'),
        (b"beta/a", b'{"values":{},"version":3}'),
        (b"drag/a", b'{"newest":null,"version":3}'),
    ],
)
def test_what_is_no_state_is_refused_at_once(key: bytes, value: bytes) -> None:
    with pytest.raises((ValueError, AttributeError)):
        HEDGER.task(0).restore(key, value)


@pytest.mark.parametrize(("key", "version"), [(b"portfolio/a", 5), (b"portfolio/a", 2), (b"beta/a", 4), (b"drag/a", 1)])
def test_another_version_is_named(key: bytes, version: int) -> None:
    with pytest.raises(ValueError, match=f"has version {version}; this code knows 3"):
        HEDGER.task(0).restore(key, canonical_json({"version": version}))


def test_what_turns_out_to_be_no_state_says_what_to_do() -> None:
    state = _state("a")
    document = json.loads(state[b"portfolio/a"])
    document["memory"]["positions"] = [["VX/2018-02-14", "many"]]
    task = _restored(state | {b"portfolio/a": canonical_json(document)})
    with pytest.raises(StateMismatch, match=r"(?s)portfolio/a.*cannot be read.*reset the group"):
        _outs(task, _close(12))


def test_a_long_update_shows_life_portfolio_by_portfolio() -> None:
    names = [f"p{number:02d}" for number in range(50)]
    task, beats = _restored(_state(*names)), list[int]()
    task.process([_segment(_close(12, "high", 30.0))], lambda: beats.append(1))
    assert len(beats) >= len(names)


def test_what_was_worked_out_is_forgotten_with_its_origin() -> None:
    memo, one, other = Memo(), object(), object()
    memo.of(one, 18.0)["x"] = 1
    assert memo.of(one, 18.0) == {"x": 1}
    assert memo.of(one, 19.0) == {}
    memo.of(one)["y"] = 2
    assert memo.of(other) == {}
