"""Dead letters put back, and state worked out anew, on a real Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from history import (
    CALENDAR,
    close_rows,
    columns_of,
    fresh_topics,
    join,
    outs_of,
    portfolio,
    processors,
    publish,
    release,
    runner_of,
    watermark,
)

from processors.dead_letters import letters
from processors.dead_letters_requeue import HEADER, PRODUCER, requeue
from processors.errors import Fenced
from processors.state import saved_states
from processors.state_verify import COMMITS, MERGED, verify
from processors.stream.kafka import KafkaCluster
from processors.stream.log import Out, TopicPartition
from topics.catalog import MACRO_RELEASES, MARKET_TICKS, changelog
from topics.codec import JSON_HEADERS
from topics.message import canonical_json
from topics.times import HOUR, MINUTE, SECOND

pytestmark = pytest.mark.kafka

DAYS = (date(2018, 5, 1), date(2018, 5, 2))
BAD = b'{"symbol":"NOPE","event_ts":"2018-05-01T15:00:00Z","last":1.0,"market":"US"}'


@pytest.fixture
def cluster(kafka: str) -> Iterator[KafkaCluster]:
    fresh_topics(kafka)
    made = KafkaCluster(kafka, deadline=20.0)
    yield made
    made.close()


def story() -> list[Out]:
    """Two sessions, a portfolio, a release, and a tick that is refused."""
    opened = CALENDAR.open_ts(DAYS[0])
    items: list[Any] = [portfolio("alpha", opened, fills="assumed")]
    for day, close, vix in zip(DAYS, (14.0, 31.0), (14.0, 33.0), strict=True):
        for i in range(4):
            ts = CALENDAR.open_ts(day) + HOUR + i * 50 * SECOND
            spx = {"ts": ts, "symbol": "SPX", "last": 2650.0}
            items.append(columns_of([{"ts": ts, "symbol": "VIX", "last": vix + i}, spx]))
        items.append(columns_of(close_rows(day, close)))
    items += [release("NFP", opened + HOUR + 70 * SECOND, 164.0)]
    items += [watermark(CALENDAR.vix_close_ts(DAYS[1]) + 30 * MINUTE)]
    return [*outs_of(items, block=64), Out(MARKET_TICKS, b"US", BAD, JSON_HEADERS)]


def test_state_and_outputs_are_worked_out_anew_and_a_change_is_found(cluster: KafkaCluster) -> None:
    outs = story()
    market, hedge, alerts = processors()
    runner = runner_of(join(cluster, market), market)
    publish(cluster, [out for out in outs if out.topic != MACRO_RELEASES])
    runner.drain()
    publish(cluster, [out for out in outs if out.topic == MACRO_RELEASES])  # when later ticks have been taken
    runner.drain()
    runner.close()
    for processor in (hedge, alerts):
        runner = runner_of(join(cluster, processor), processor)
        runner.drain()
        runner.close()
    for processor, order in ((market, COMMITS), (hedge, MERGED), (alerts, MERGED)):
        (state,) = saved_states(cluster, processor.name)
        found = verify(cluster, processor, state, outputs=True)
        assert (found.state, found.outputs, found.order) == ((), (), order), processor.name
        assert found.outs > 0
    (state,) = saved_states(cluster, "hedge")
    document = json.loads(state.entries[b"portfolio/alpha"].value)
    document["portfolio"]["mv"] = 1.0
    cluster.publish([Out(changelog("hedge"), b"portfolio/alpha", canonical_json(document), partition=0)])
    (state,) = saved_states(cluster, "hedge")
    (difference,) = verify(cluster, hedge, state).state
    assert (difference.where, difference.path) == ("portfolio/alpha", "portfolio.mv")


def test_a_letter_goes_back_once_and_a_second_requeue_at_the_same_time_is_fenced(
    cluster: KafkaCluster, kafka: str
) -> None:
    market, *_ = processors()
    cluster.publish([Out(MARKET_TICKS, b"US", BAD, (*JSON_HEADERS, ("trace", b"7")))])
    runner = runner_of(join(cluster, market), market)
    runner.drain()
    runner.close()
    (letter,) = letters(cluster)
    other = KafkaCluster(kafka, deadline=20.0)
    try:
        other.publish((), producer=PRODUCER)  # it has begun, and read its notes
        assert len(requeue(cluster, [letter]).outs) == 1
        with pytest.raises(Fenced):
            other.publish([Out(MARKET_TICKS, b"US", BAD)], producer=PRODUCER)
        assert requeue(other, [letter]).outs == ()
    finally:
        other.close()
    back = [r for r in cluster.read(TopicPartition(MARKET_TICKS, 0)) if r.header(HEADER)]
    assert [(r.key, r.value, r.header("trace")) for r in back] == [(b"US", BAD, b"7")]
