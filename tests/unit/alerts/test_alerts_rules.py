"""Each rule by hand: what is told, how loudly, once, and when it ends."""

from __future__ import annotations

from datetime import date

import pytest

from processors.alerter import Alerter
from processors.alerts.dead_letters import BURST, WINDOW, dead_letter_alerts
from processors.alerts.degraded import degraded_alerts
from processors.alerts.rebalance import rebalance_alerts
from processors.alerts.transition import transition_alert
from processors.stream.log import Record
from processors.stream.processor import Segment
from topics.alert import Alert
from topics.catalog import ALERTS, DEAD_LETTERS, HEDGE_REBALANCES, HEDGE_REGIMES
from topics.codec import JSON_HEADERS
from topics.dead_letter import DeadLetter, Refused, dead_letter
from topics.message import Message, State, digest
from topics.rebalance import Rebalance, Trade
from topics.regime import Regime
from topics.times import SECOND, parse_ts

NOON = parse_ts("2018-02-05T17:00:00Z")
SOME = digest({"some": "thing"})


def regime(state_prev: State, state: State, *degraded: str, held: bool = False, ts: int = NOON) -> Regime:
    return Regime(
        event_id=digest({"at": ts, "state": state, "degraded": degraded}),
        market="US",
        kind="mark",
        session_date=date(2018, 2, 5),
        event_ts=ts,
        state=state,
        state_prev=state_prev,
        score=71.25,
        score_parts={},
        features={"vix": 37.32, "ratio": 1.1, "rsi14": 20.0},
        floors_hit=("high:vix>=30",) if state == "high" else (),
        below=0,
        held=held,
        degraded=degraded,
        stand_ins=(),
        curve=(),
        sources={},
        releases=(),
        calibration_digest=SOME,
        inputs_digest=SOME,
    )


def rebalance(*trades: Trade, blocked: tuple[str, ...] = (), ts: int = NOON) -> Rebalance:
    return Rebalance(
        event_id=digest({"at": ts, "blocked": blocked}),
        portfolio_id="book-1",
        market="US",
        event_ts=ts,
        effective_ts=ts,
        session_date=date(2018, 2, 5),
        trigger="close",
        state_prev="low",
        state="high",
        floors_hit=(),
        policy="steward",
        hedge_notional=100_000.0,
        vectors={},
        targets={"L1": 0.05, "L2": 0.25, "L3": 0.2, "TT": 0.25, "R": 0.25},
        windows={},
        trades=trades,
        kappa=4.0,
        attribution=(),
        limits={},
        limits_before={},
        valid_until_ts=ts,
        blocked=blocked,
        degraded=(),
        regime_event_id=SOME,
        calibration_digest=SOME,
        inputs_digest=SOME,
        approvals_required=1,
        status="pending",
    )


SALE = Trade(
    layer="L1",
    symbol="VX/2018-03-21",
    side="sell",
    quantity=13,
    held=15,
    target=2,
    price=25.2,
    notional=327_600.0,
    package=0,
)


@pytest.mark.parametrize(
    ("before", "after", "severity"),
    [
        ("elevated", "high", "critical"),
        ("low", "high", "critical"),
        ("low", "moderate", "warning"),
        ("moderate", "elevated", "warning"),
        ("high", "elevated", "info"),
        ("moderate", "low", "info"),
    ],
)
def test_a_change_of_state_is_told_as_loudly_as_it_is_dangerous(before: State, after: State, severity: str) -> None:
    alert = transition_alert(regime(before, after))
    assert alert is not None
    assert (alert.severity, alert.dedupe_key) == (severity, "regime:US")
    assert f"{before} -> {after}" in alert.summary
    assert ("high:vix>=30" in alert.summary) == (after == "high")
    assert alert.details["vix"] == 37.32


def test_no_change_of_state_is_no_news() -> None:
    assert transition_alert(regime("high", "high")) is None


def test_a_degraded_input_is_told_when_it_begins_and_when_it_ends_and_not_in_between() -> None:
    alerts, told = degraded_alerts(regime("low", "low", "vvix:missing"), {})
    assert [(a.severity, a.dedupe_key, a.resolved) for a in alerts] == [("warning", "degraded:US:vvix", False)]
    alerts, told = degraded_alerts(regime("low", "low", "vvix:missing"), told)
    assert alerts == []
    alerts, told = degraded_alerts(regime("low", "low", "vvix:stale"), told)
    assert [a.details["fault"] for a in alerts] == ["stale"]
    alerts, told = degraded_alerts(regime("low", "low"), told)
    assert [(a.severity, a.resolved) for a in alerts] == [("info", True)]
    assert told == {}


def test_a_held_regime_is_critical_and_a_warm_up_calls_nobody() -> None:
    alerts, _ = degraded_alerts(regime("low", "low", "rv21:warm_up", "vix:missing", held=True), {})
    assert [(a.dedupe_key, a.severity) for a in alerts] == [("degraded:US:vix", "critical")]
    assert "adds are blocked" in alerts[0].summary


def test_a_rebalance_with_trades_is_a_warning_and_one_of_weights_alone_is_for_the_record() -> None:
    (alert,) = rebalance_alerts(rebalance(SALE), ())
    assert (alert.severity, alert.dedupe_key) == ("warning", "rebalance:book-1")
    assert "sell 13 VX/2018-03-21" in alert.summary
    assert alert.details["target_L1"] == 0.05
    (alert,) = rebalance_alerts(rebalance(), ())
    assert alert.severity == "info"


def test_blocked_adds_are_told_with_their_reasons_once_and_when_they_end() -> None:
    _, blocked = rebalance_alerts(rebalance(blocked=("curve:missing",)), ())
    assert (blocked.severity, blocked.dedupe_key, blocked.resolved) == ("warning", "blocked:book-1", False)
    assert "curve:missing" in blocked.summary
    assert len(rebalance_alerts(rebalance(blocked=("curve:missing",)), ("curve:missing",))) == 1
    _, ended = rebalance_alerts(rebalance(), ("curve:missing",))
    assert (ended.severity, ended.resolved) == ("info", True)


def letter(ts: int, original: bytes = b"{") -> DeadLetter:
    return dead_letter("market.ticks", Refused("not_json", "the bytes are no JSON"), ts, b"US", original)


def test_dead_letters_are_told_at_the_first_and_once_more_when_they_are_many() -> None:
    told, burst = [], None
    for i in range(3 * BURST):
        alerts, burst = dead_letter_alerts(letter(NOON + i * SECOND, str(i).encode()), burst)
        told += [(i, a.severity) for a in alerts]
    assert burst is not None
    assert told == [(0, "warning"), (BURST - 1, "critical")]
    alerts, burst = dead_letter_alerts(letter(burst.last + WINDOW), burst)
    assert alerts == [], "within the window of the last one it is still the same burst"
    alerts, _ = dead_letter_alerts(letter(burst.last + WINDOW + 1), burst)
    assert [a.severity for a in alerts] == ["warning"], "after a quiet window it is a new one"


def segment(topic: str, message: Message, offset: int) -> Segment:
    record = Record(topic, 0, offset, NOON, b"key", message.canonical(), JSON_HEADERS)
    decoded = Alerter().decode(record)
    return Segment([record], decoded.body, 0, 1, decoded.times)


def story() -> list[Segment]:
    """A short history with every kind of alert."""
    messages: list[tuple[str, Message]] = [
        (HEDGE_REGIMES, regime("low", "low", "vvix:missing")),
        (HEDGE_REBALANCES, rebalance(SALE, blocked=("curve:missing",))),
        *((DEAD_LETTERS, letter(NOON + i, str(i).encode())) for i in range(BURST + 1)),
        (HEDGE_REGIMES, regime("low", "high", "vvix:missing", ts=NOON + SECOND)),
        (HEDGE_REBALANCES, rebalance(ts=NOON + SECOND)),
        (HEDGE_REGIMES, regime("high", "high", ts=NOON + 2 * SECOND)),
        (DEAD_LETTERS, letter(NOON + 2 * WINDOW)),
    ]
    return [segment(topic, message, i) for i, (topic, message) in enumerate(messages)]


def test_the_processor_tells_each_thing_once_under_its_own_key() -> None:
    outs = Alerter().task(0).process(story())
    alerts = [Alert.model_validate_json(out.value or b"") for out in outs]
    assert {out.topic for out in outs} == {ALERTS}
    assert all(out.key == alert.dedupe_key.encode() for out, alert in zip(outs, alerts, strict=True))
    assert [(a.dedupe_key, a.severity) for a in alerts] == [
        ("degraded:US:vvix", "warning"),
        ("rebalance:book-1", "warning"),
        ("blocked:book-1", "warning"),
        ("dead:market.ticks:not_json", "warning"),
        ("dead:market.ticks:not_json", "critical"),
        ("regime:US", "critical"),
        ("rebalance:book-1", "info"),
        ("blocked:book-1", "info"),
        ("degraded:US:vvix", "info"),
        ("dead:market.ticks:not_json", "warning"),
    ]
    assert len({a.event_id for a in alerts}) == len(alerts)


@pytest.mark.parametrize("cut", range(len(story()) + 1))
def test_a_restart_anywhere_gives_the_same_bytes(cut: int) -> None:
    whole = Alerter().task(0).process(story())
    first = Alerter().task(0)
    outs = first.process(story()[:cut])
    second = Alerter().task(0)
    for key, value in first.snapshot().items():
        assert value is not None
        second.restore(key, value)
    outs += second.process(story()[cut:])
    assert [(o.key, o.value) for o in outs] == [(o.key, o.value) for o in whole]


def test_a_market_is_watched_in_one_partition_alone() -> None:
    told = [len(Alerter(8).task(p).process([segment(HEDGE_REGIMES, regime("low", "high"), 0)])) for p in range(8)]
    assert sorted(told) == [0] * 7 + [1]


def test_state_of_an_unknown_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 2"):
        Alerter().task(0).restore(b"faults/US", b'{"version":2,"told":{}}')
    with pytest.raises(ValueError, match="unknown state key"):
        Alerter().task(0).restore(b"other/US", b'{"version":1,"told":{}}')


def test_a_break_even_that_is_near_is_said_and_makes_it_a_warning() -> None:
    calm = rebalance().model_copy(update={"alerts": ("carry:soft",)})
    near = rebalance().model_copy(update={"alerts": ("break_even:VIX/2018-05-16/C/20/30", "carry:soft")})
    (first, *_), (second, *_) = rebalance_alerts(calm, ()), rebalance_alerts(near, ())
    assert (first.severity, second.severity) == ("info", "warning")
    assert "break_even" not in first.summary
    assert second.summary.endswith("; break_even:VIX/2018-05-16/C/20/30")
    assert second.details["alerts"] == "break_even:VIX/2018-05-16/C/20/30, carry:soft"
