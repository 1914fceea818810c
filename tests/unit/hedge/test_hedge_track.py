"""Beta from a portfolio's own values at the close, and the second trigger of Layer 3."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import statsmodels.api as sm
from hedge_support import CALIBRATION, at, flat_curve, portfolio, regime

from processors.hedge.track import CLOSING, Track, valued_session
from processors.hedger import Hedger, HedgeTask
from processors.signals.calendar import SessionCalendar
from processors.stream.log import Record
from processors.stream.processor import Segment
from topics.catalog import HEDGE_REGIMES, PORTFOLIO_SNAPSHOTS
from topics.codec import encode
from topics.dead_letter import Refused
from topics.message import Message, canonical_json
from topics.portfolio import Portfolio
from topics.rebalance import Rebalance
from topics.regime import Regime
from topics.times import SECOND

HEDGER = Hedger(CALIBRATION)
CALENDAR = SessionCalendar()
SESSIONS = tuple(CALENDAR.sessions(date(2018, 1, 2), date(2019, 3, 29)))
NEW_YORK = ZoneInfo("America/New_York")


def segment(message: Message) -> Segment:
    value, headers = encode(message)
    if isinstance(message, Regime):
        record = Record(HEDGE_REGIMES, 0, 0, message.event_ts, message.market.encode(), value, headers)
    else:
        assert isinstance(message, Portfolio)
        record = Record(PORTFOLIO_SNAPSHOTS, 0, 0, message.as_of, message.portfolio_id.encode(), value, headers)
    decoded = HEDGER.decode(record)
    return Segment([record], decoded.body, 0, 1, decoded.times)


def run(task: HedgeTask, messages: Sequence[Message]) -> list[Rebalance]:
    outs = task.process([segment(message) for message in messages])
    return [Rebalance.model_validate_json(out.value or b"") for out in outs]


@lru_cache
def market() -> tuple[tuple[date, float, float, float | None], ...]:
    """Session, SPX, SPXTR and rate; now and then the rate is missing."""
    chance, spx, tr, days = random.Random(41), 2700.0, 5400.0, []
    for n, day in enumerate(SESSIONS):
        move = chance.gauss(0.0004, 0.011)
        spx, tr = round(spx * (1 + move), 2), round(tr * (1 + move + 0.00007), 2)
        days.append((day, spx, tr, None if n % 17 == 5 else 1.4 + n / 400))
    return tuple(days)


@lru_cache
def values(beta: float, seed: int = 3) -> tuple[tuple[float, float], ...]:
    """Value at each close and what was paid in during the session, to the cent."""
    chance, mv, out = random.Random(seed), 20_000_000.0, []
    before = market()[0][2]
    for n, (_, _, tr, _) in enumerate(market()):
        flow = round(chance.choice((0.0, 0.0, 0.0, 5e5, -4e5)), 2) if n else 0.0
        mv = round(mv * (1 + beta * (tr / before - 1) + chance.gauss(0, 0.002)) + flow, 2)
        before = tr
        out.append((mv, flow))
    return tuple(out)


def close(n: int, *, total_return: bool = True, **features: Any) -> Regime:
    day, spx, tr, rate = market()[n]
    found: dict[str, Any] = {"vix": 15.0, "spx": spx, **({"spxtr": tr} if total_return else {}), **features}
    if rate is not None:
        found["rate_free"] = rate
    later = dict.fromkeys((day + timedelta(days=30), day + timedelta(days=60)), 20.0)
    return regime("low", day, later, features=found)


def snapshot(n: int, track: Sequence[tuple[float, float]], beta: float | None = None, **more: Any) -> Portfolio:
    mv, flow = track[n]
    day = market()[n][0]
    return portfolio(
        day=day, **{"as_of": at(day, 16, 30), "mv": mv, "beta": beta, "net_flow": flow or None, **more}
    )


def anew(n: int, track: Sequence[tuple[float, float]], **more: Any) -> Portfolio:
    """The portfolio later in the evening, under another policy, so that it must be advised anew."""
    return snapshot(n, track, as_of=at(market()[n][0], 19), policy="promoter", **more)


def story(count: int, track: Sequence[tuple[float, float]], **more: Any) -> list[Message]:
    """So many sessions, each with its close and then the portfolio's value at it."""
    return [message for n in range(count) for message in (close(n), snapshot(n, track, **more))]


def returns(count: int, track: Sequence[tuple[float, float]], column: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Excess returns of the sessions that are counted at the close of session ``count - 1``, by pandas' way."""
    free = np.array([0.0 if rate is None else rate / 100 / 252 for _, _, _, rate in market()[:count]])
    mv = np.array([value for value, _ in track[:count]])
    flow = np.array([paid for _, paid in track[:count]])
    level = np.array([row[column] for row in market()[:count]])
    earned = (mv[1:] - flow[1:]) / mv[:-1] - 1 - free[1:]
    gained = level[1:] / level[:-1] - 1 - free[1:]
    return earned[:-1], gained[:-1]  # the last session is counted when the next one is committed


def wls(earned: np.ndarray, gained: np.ndarray) -> float:
    weights = 0.5 ** (np.arange(len(gained))[::-1] / 63)
    return float(sm.WLS(earned, sm.add_constant(gained), weights=weights).fit().params[1])


@pytest.mark.parametrize("true_beta", [0.6, 1.0, 1.3])
@pytest.mark.parametrize("count", [128, 129, 200, 300])
def test_the_estimate_is_that_of_weighted_least_squares_and_sizes_the_hedge(true_beta: float, count: int) -> None:
    track = values(true_beta)
    task = HEDGER.task(0)
    run(task, story(count, track))
    last = anew(count - 1, track)
    (event,) = run(task, [last])
    earned, gained = returns(count, track)
    assert len(earned) >= 126
    expected = wls(earned, gained)
    assert event.beta == pytest.approx(expected, abs=1e-9)
    assert event.beta == pytest.approx(true_beta, abs=0.1)
    assert event.beta_source == "estimated"
    assert event.hedge_notional == pytest.approx(0.1 * expected * last.mv, abs=0.01)
    assert not {"portfolio:beta"} & {*event.blocked}
    if len(earned) >= 252:
        ols = sm.OLS(earned[-252:], sm.add_constant(gained[-252:])).fit().params[1]
        assert event.beta_ols == pytest.approx(float(ols), abs=1e-9)
    else:
        assert event.beta_ols is None


def test_before_there_are_126_returns_adds_are_blocked() -> None:
    task, track = HEDGER.task(0), values(1.0)
    events = run(task, story(127, track))
    assert {event.beta for event in events} == {None}
    assert {event.beta_source for event in events} == {None}
    assert {event.blocked for event in events} == {("portfolio:beta",)}
    (event,) = run(task, [close(127)])
    assert event.beta_source == "estimated"
    assert event.blocked == ()


def test_without_total_returns_the_index_itself_serves() -> None:
    task, track, count = HEDGER.task(0), values(1.0), 140
    run(task, [m for n in range(count) for m in (close(n, total_return=False), snapshot(n, track))])
    (event,) = run(task, [anew(count - 1, track)])
    assert event.beta == pytest.approx(wls(*returns(count, track, column=1)), abs=1e-9)


def test_a_stated_beta_wins_and_the_estimate_stands_beside_it() -> None:
    task, track = HEDGER.task(0), values(1.3)
    run(task, story(300, track))
    (event,) = run(task, [anew(299, track, beta=0.8)])
    assert (event.beta, event.beta_source) == (0.8, "stated")
    assert event.beta_ols == pytest.approx(1.3, abs=0.1)
    assert event.hedge_notional == pytest.approx(0.1 * 0.8 * track[299][0], abs=0.01)


@pytest.mark.parametrize(("missing", "lost"), [(60, 2), (0, 1), (133, 2)])
def test_a_session_without_a_value_is_not_counted(missing: int, lost: int) -> None:
    task, track, count = HEDGER.task(0), values(1.0), 136
    skipped = close(missing).session_date
    run(
        task,
        [
            m
            for m in story(count, track)
            if isinstance(m, Regime) or CALENDAR.local_date(m.as_of) != skipped  # type: ignore[attr-defined]
        ],
    )
    held = task._tracks["pension"].beta
    assert len(held.snapshot()["markets"]) == count - 2 - lost  # type: ignore[arg-type]
    earned, gained = returns(count, track)
    there = [n for n in range(len(earned)) if missing not in (n, n + 1)]
    assert held.value is not None
    assert held.value.ew == pytest.approx(wls(earned[there], gained[there]), abs=1e-9)


def test_the_newest_snapshot_of_a_close_counts_and_one_within_the_session_does_not() -> None:
    track, count = values(1.0), 130
    whole, other = HEDGER.task(0), HEDGER.task(0)
    run(whole, story(count, track))
    noisy: list[Message] = []
    for n in range(count):
        day = market()[n][0]
        noon = snapshot(n, track, as_of=at(day, 12), mv=1e6, net_flow=3e5)
        first = snapshot(n, track, as_of=at(day, 16, 0), mv=2e6)
        noisy += [noon, first, close(n), snapshot(n, track)]
    run(other, noisy)
    assert other._tracks["pension"].beta.snapshot() == whole._tracks["pension"].beta.snapshot()


def test_a_portfolio_of_another_market_is_counted_against_its_own() -> None:
    task, track = HEDGER.task(0), values(1.0)
    run(task, story(130, track, market="EU", portfolio_id="eu"))
    assert task._tracks["eu"].estimate is None


def test_an_estimate_beyond_any_portfolio_is_held_at_five() -> None:
    task, track, count = HEDGER.task(0), values(9.0), 140
    run(task, story(count, track))
    (event,) = run(task, [anew(count - 1, track)])
    assert event.beta == 5.0


@pytest.mark.parametrize("cut", [1, 60, 127, 253, 254, 255, 256, 259])
def test_a_restart_in_the_middle_gives_the_same_bytes(cut: int) -> None:
    messages = [*story(129, values(1.12)), close(129), snapshot(129, values(1.12), mv=5e7)]
    whole = [event.canonical() for event in run(HEDGER.task(0), messages)]
    first, second = HEDGER.task(0), HEDGER.task(0)
    log: dict[bytes, bytes] = {}
    found: list[Rebalance] = []
    for start in range(0, cut, 40):  # the state is kept now and then, only what changed
        found += run(first, messages[start : min(start + 40, cut)])
        log |= {key: value for key, value in first.snapshot().items() if value is not None}
    for key, value in log.items():
        second.restore(key, value)
    assert second.snapshot() == {}
    found += run(second, messages[cut:])
    assert [event.canonical() for event in found] == whole
    assert any(event.beta_source == "estimated" for event in found)


# Dates


@pytest.mark.parametrize("day", ["1990-01-01", "1990-06-01", "2060-01-03", "2098-12-30"])
def test_snapshots_dated_outside_the_calendar_are_hedged_but_value_no_close(day: str) -> None:
    task = HEDGER.task(0)
    ts = int(datetime.fromisoformat(f"{day}T18:00:00+00:00").timestamp()) * SECOND
    events = run(task, [close(0), portfolio(as_of=ts)])
    assert len(events) == 1
    if not CALENDAR.covers(ts):
        assert "pension" not in task._tracks
    run(task, [close(1), close(2), close(3)])


@pytest.mark.parametrize("year", [1980, 2200])
def test_a_year_that_no_message_may_have_is_refused(year: int) -> None:
    document = portfolio().document() | {"as_of": f"{year}-01-02T18:00:00Z"}
    record = Record(PORTFOLIO_SNAPSHOTS, 0, 0, at(SESSIONS[0]), b"pension", canonical_json(document), ())
    with pytest.raises(Refused, match="as_of") as caught:
        HEDGER.decode(record)
    assert caught.value.reason == "invalid"


def test_the_first_and_last_moments_of_the_calendar_are_safe() -> None:
    low, high = 0, 2**62
    while high - low > 1:  # the first moment that is covered, by halving: all later ones up to today are
        middle = (low + high) // 2
        if middle >= at(SESSIONS[0]) or CALENDAR.covers(middle):
            high = middle
        else:
            low = middle
    assert valued_session(CALENDAR, high - 1) is None
    assert CALENDAR.covers(high)
    valued_session(CALENDAR, high)
    low, high = at(SESSIONS[0]), 2**62
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if CALENDAR.covers(middle) else (low, middle)
    assert valued_session(CALENDAR, high) is None
    valued_session(CALENDAR, low)


def ny(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("moment", "valued"),
    [
        ("2018-01-05T09:29:59", date(2018, 1, 4)),
        ("2018-01-05T09:30:00", None),
        ("2018-01-05T15:44:59", None),
        ("2018-01-05T15:45:00", date(2018, 1, 5)),
        ("2018-01-05T23:59:59", date(2018, 1, 5)),
        ("2018-01-06T12:00:00", date(2018, 1, 5)),  # Saturday
        ("2018-01-08T08:00:00", date(2018, 1, 5)),
        ("2018-01-15T12:00:00", date(2018, 1, 12)),  # Martin Luther King's day
        ("2018-11-23T12:44:59", None),  # closes at 13:00
        ("2018-11-23T12:45:00", date(2018, 11, 23)),
    ],
)
def test_which_close_a_snapshot_values(moment: str, valued: date | None) -> None:
    assert CLOSING == 15 * 60 * SECOND
    assert valued_session(CALENDAR, ny(moment)) == valued


def test_few_values_are_kept() -> None:
    track, task = values(1.0), HEDGER.task(0)
    run(task, story(30, track))
    kept = task._tracks["pension"].values
    assert len(kept) == 4
    assert max(kept) == market()[29][0]
    assert Track.restore(task._tracks["pension"].document()).document() == task._tracks["pension"].document()


# Layer 3


@pytest.mark.parametrize(("beta", "sharp", "share"), [(1.0, False, 0.25), (1.0, True, 1.0), (1.2, False, 1.0)])
def test_layer_3_has_its_whole_weight_while_a_trigger_is_on(beta: float, sharp: bool, share: float) -> None:
    day = SESSIONS[0]
    given = regime("moderate", day, flat_curve(day), features={"vix": 15.0, "ddm_drip_sharp": sharp})
    (event,) = run(HEDGER.task(0), [given, portfolio(beta=beta)])
    assert event.vectors["activated"]["L3"] == pytest.approx(share * event.vectors["tilted"]["L3"], abs=1e-12)
    freed = (1 - share) * event.vectors["tilted"]["L3"]
    assert event.vectors["activated"]["R"] == pytest.approx(event.vectors["tilted"]["R"] + freed, abs=1e-12)


def test_a_divergence_that_ends_or_is_missing_switches_layer_3_off_again_and_a_mark_does_not() -> None:
    day, later = SESSIONS[0], SESSIONS[1]
    on, off = {"vix": 15.0, "ddm_drip_sharp": True}, {"vix": 15.0}
    task = HEDGER.task(0)
    (first,) = run(task, [regime("moderate", day, flat_curve(day), features=on), portfolio()])
    mark = regime("elevated", later, flat_curve(later), kind="mark", event_ts=at(later, 11), features=off)
    (second,) = run(task, [mark])
    (third,) = run(task, [regime("moderate", later, flat_curve(later), features=off)])
    shares = [event.vectors["activated"]["L3"] / event.vectors["tilted"]["L3"] for event in (first, second, third)]
    assert shares == pytest.approx([1.0, 1.0, 0.25])
