"""Scheduled releases that have not come: told once when they are overdue and once when they no longer are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest

from processors.alerter import Alerter, AlerterTask
from processors.alerts.overdue import overdue_alerts
from processors.stream.log import Record
from processors.stream.processor import Segment
from topics.alert import Alert
from topics.catalog import ALERTS, HEDGE_REGIMES
from topics.codec import JSON_HEADERS
from topics.message import digest
from topics.regime import Regime
from topics.times import MINUTE, parse_ts

NOON = parse_ts("2018-02-05T17:00:00Z")
SOME = digest({"some": "thing"})
MINUTES, CPI = "FOMC_MINUTES:2017-12", "CPI_CORE_MOM:2017-12"


def regime(minute: int, *overdue: str, market: str = "US") -> Regime:
    return Regime(
        event_id=digest({"at": minute, "overdue": overdue, "market": market}),
        market=market,
        kind="mark",
        session_date=date(2018, 2, 5),
        event_ts=NOON + minute * MINUTE,
        state="low",
        state_prev="low",
        score=12.0,
        score_parts={},
        features={"vix": 12.0},
        floors_hit=(),
        below=0,
        held=False,
        degraded=(),
        stand_ins=(),
        curve=(),
        sources={},
        releases=(),
        overdue=overdue,
        calibration_digest=SOME,
        inputs_digest=SOME,
    )


def run(task: AlerterTask, regimes: Sequence[Regime]) -> list[Alert]:
    segments = []
    for n, message in enumerate(regimes):
        record = Record(
            HEDGE_REGIMES, 0, n, message.event_ts, message.market.encode(), message.canonical(), JSON_HEADERS
        )
        decoded = Alerter().decode(record)
        segments.append(Segment([record], decoded.body, 0, 1, decoded.times))
    outs = task.process(segments)
    assert {out.topic for out in outs} <= {ALERTS}
    alerts = [Alert.model_validate_json(out.value or b"") for out in outs]
    assert [out.key for out in outs] == [alert.dedupe_key.encode() for alert in alerts]
    return alerts


def told(alerts: Sequence[Alert]) -> list[tuple[str, bool, str]]:
    return [(alert.dedupe_key, alert.resolved, alert.severity) for alert in alerts]


def test_it_is_told_once_when_it_begins_and_once_when_it_ends() -> None:
    task = Alerter().task(0)
    assert run(task, [regime(0), regime(1)]) == []
    (begun,) = run(task, [regime(2, MINUTES)])
    assert told([begun]) == [(f"overdue:US:{MINUTES}", False, "warning")]
    assert begun.details == {"release": MINUTES}
    assert begun.cause_event_id == regime(2, MINUTES).event_id
    assert MINUTES in begun.summary
    assert run(task, [regime(3, MINUTES), regime(4, MINUTES)]) == []
    (ended,) = run(task, [regime(5)])
    assert told([ended]) == [(f"overdue:US:{MINUTES}", True, "info")]
    assert run(task, [regime(6)]) == []


def test_what_was_overdue_once_may_be_so_again() -> None:
    alerts = run(Alerter().task(0), [regime(0, CPI), regime(1), regime(2, CPI)])
    assert [alert.resolved for alert in alerts] == [False, True, False]
    assert len({alert.event_id for alert in alerts}) == 3


def test_each_release_and_each_market_is_told_by_itself() -> None:
    task = Alerter().task(0)
    assert told(run(task, [regime(0, CPI, MINUTES), regime(0, CPI, market="EU")])) == [
        (f"overdue:US:{CPI}", False, "warning"),
        (f"overdue:US:{MINUTES}", False, "warning"),
        (f"overdue:EU:{CPI}", False, "warning"),
    ]
    assert told(run(task, [regime(1, MINUTES)])) == [(f"overdue:US:{CPI}", True, "info")]
    assert told(run(task, [regime(2), regime(2, CPI, market="EU")])) == [(f"overdue:US:{MINUTES}", True, "info")]


def test_one_that_follows_another_is_told_beside_its_end() -> None:
    alerts = overdue_alerts(regime(0, MINUTES), (CPI,))
    assert told(alerts) == [(f"overdue:US:{CPI}", True, "info"), (f"overdue:US:{MINUTES}", False, "warning")]
    assert overdue_alerts(regime(0, MINUTES), (MINUTES,)) == []


STORY = [
    regime(0),
    regime(1, CPI),
    regime(2, CPI),
    regime(3, CPI, MINUTES),
    regime(4, MINUTES),
    regime(5, MINUTES),
    regime(6),
    regime(7),
]


@pytest.mark.parametrize("cut", range(len(STORY) + 1))
def test_a_restart_anywhere_tells_nothing_again(cut: int) -> None:
    whole = run(Alerter().task(0), STORY)
    assert [alert.resolved for alert in whole] == [False, False, True, True]
    first, second = Alerter().task(0), Alerter().task(0)
    found = run(first, STORY[:cut])
    for key, value in first.snapshot().items():
        assert value is not None
        second.restore(key, value)
    assert second.snapshot() == {}
    found += run(second, STORY[cut:])
    assert [alert.canonical() for alert in found] == [alert.canonical() for alert in whole]


def test_they_are_told_in_the_partition_of_the_market_alone() -> None:
    count = [len(run(Alerter(8).task(partition), [regime(0, CPI)])) for partition in range(8)]
    assert sorted(count) == [0] * 7 + [1]


def test_the_kinds_are_counted() -> None:
    task = Alerter().task(0)
    run(task, [regime(0, CPI), regime(1)])
    assert task.counts() == {
        ("alvh_alerts_total", "overdue", "warning"): 1,
        ("alvh_alerts_total", "overdue", "info"): 1,
    }
