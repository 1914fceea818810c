"""Nothing looks ahead: what is decided up to a moment does not change when everything after it does.

Real daily data and synthetic sessions go through all processors, with all secondary signals on. Then every input row
after a moment X is spoiled, of ticks and options, releases, schedules, flows and portfolios: values changed, exchanged
between rows, moved to other times, made invalid. Every output up to X must stay, byte for byte.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from history import (
    BLOCK,
    CALENDAR,
    DAYS,
    NOON,
    OUTPUTS,
    REVISION,
    Dump,
    Item,
    Single,
    compare,
    create,
    dump,
    outs_of,
    processors,
    publish,
    whole_story,
    work_off,
)

from processors.stream.memory import MemoryCluster
from topics.catalog import (
    ALERTS,
    DEAD_LETTERS,
    HEDGE_REBALANCES,
    MACRO_RELEASES,
    MARKET_FLOWS,
    MARKET_TICKS,
    REGIME_MARKS,
)
from topics.ticks import TickColumns, invalid_rows
from topics.times import HOUR, MINUTE, SECOND, format_ts, parse_ts

pytestmark = pytest.mark.data

#: Moments after which everything is spoiled.
MOMENTS = {
    "before an official close": CALENDAR.vix_close_ts(CALENDAR.previous_session(DAYS[0])) - SECOND,
    "at the SPX close in the storm of February 2018": parse_ts("2018-02-05T21:00:00Z"),
    "right before the VIX close of that day": parse_ts("2018-02-05T21:14:59.999999999Z"),
    "overnight": CALENDAR.open_ts(DAYS[0]) - 30 * MINUTE,
    "in the session, while a floor is being confirmed": CALENDAR.open_ts(DAYS[0]) + 3 * HOUR + 7 * SECOND,
    "in the session, at a release": NOON,
    "in the session, at a block of a chain": BLOCK,
    "in the session, right before a figure is revised": REVISION - 1,
    "between the closes of SPX and VIX": CALENDAR.close_ts(DAYS[0]) + 5 * MINUTE,
}


def run(items: list[Item]) -> Dump:
    cluster = MemoryCluster()
    create(cluster)
    publish(cluster, outs_of(items, block=500, seed=1))
    for processor in processors():
        work_off(cluster, processor)
    return dump(cluster)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    return whole_story(tmp_path_factory.mktemp("story"))


@pytest.fixture(scope="module")
def expected(story: list[Item]) -> Dump:
    return run(story)


def until(history: Dump, ts: int) -> Dump:
    """What was put out with an event time up to ``ts``."""
    return {
        place: [entry for entry in entries if parse_ts(json.loads(entry[1] or b"{}")["event_ts"]) <= ts]
        for place, entries in history.items()
    }


def spoiled(items: list[Item], after: int, seed: int) -> list[Item]:
    """The same inputs up to a moment, and others after it."""
    rng = np.random.default_rng(seed)
    result: list[Item] = []
    time = 0  # the stream's: a row that comes behind it is not after the moment unless the stream is
    for item in items:
        if isinstance(item, Single):
            result.append(item if item.topic == MARKET_TICKS or item.time <= after else _spoiled_single(item))
            continue
        reached = np.maximum.accumulate(np.maximum(np.where(item.invalid, 0, item.event_ts), time))
        time = int(reached[-1])
        cut = int(np.searchsorted(reached, after, side="right"))
        if cut:
            result.append(item.take(0, cut))
        if cut < len(item):
            result.append(_spoiled_ticks(item.take(cut, len(item)), after, rng))
    return result


#: Fields that are multiplied, by the field that tells the kind.
_FIGURES = ("actual", "consensus", "y2_post", "mv", "tvl_native", "dex_volume_usd", "depth_bid_usd")


def _spoiled_single(item: Single) -> Single:
    """Another message of the same kind, or none that can be read."""
    document = json.loads(item.value)
    for name in _FIGURES:
        if document.get(name) is not None:
            document[name] = str(round(float(document[name]) * 1.3, 4))
    if "mv" in document:
        document |= {"policy": "promoter"}
    elif "scheduled_ts" in document:
        document |= {"scheduled_ts": format_ts(parse_ts(document["scheduled_ts"]) + HOUR), "source": "spoiled"}
    elif "block_ts" in document:
        document |= {"block_number": document["block_number"] + 50, "stablecoin": {"symbol": "USDC", "usd": "0.5"}}
    elif "members" in document:
        document["members"] = document["members"][::-1][:2]
    elif "pricing_ts" in document:
        document |= {"kind": "ido" if document["kind"] == "ipo" else "ipo"}
    elif "symbol" in document:
        document |= {"depth_ask_usd": "1"}
    else:
        document |= {"unit": "spoiled"}
    return replace(item, value=json.dumps(document).encode())


def _spoiled_ticks(columns: TickColumns, after: int, rng: np.random.Generator) -> TickColumns:
    n = len(columns)
    values = {name: column.copy() for name, column in columns.values.items()}
    for name in ("last", "bid", "ask", "settle"):
        values[name] *= 1.3
    # The first row stays one that can be read: a refusal has the time that the stream had reached before it, which
    # would be one before the moment.
    swap = 1 + np.flatnonzero(rng.random(n - 1) < 0.2)
    for column in values.values():
        column[swap] = column[swap[::-1]]
    broken = rng.random(n) < 0.1
    broken[0] = False
    values["last"][broken] = np.inf
    later = np.where(columns.invalid, columns.event_ts, columns.event_ts + rng.integers(0, 3 * HOUR, n))
    made = replace(columns, values=values, event_ts=np.where(rng.random(n) < 0.3, later, columns.event_ts))
    late = made.event_ts <= after  # rows that came behind the stream stay behind it, but say something else
    made.event_ts[late] = np.minimum(made.event_ts[late], after - HOUR)
    return replace(made, invalid=invalid_rows(made))


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_comes_after_a_moment_changes_nothing_before_it(story: list[Item], expected: Dump, moment: str) -> None:
    after = MOMENTS[moment]
    seen = run(spoiled(story, after, seed=len(moment)))
    ours, theirs = until(seen, after), until(expected, after)
    verdict = compare(theirs, ours)
    kept = {topic: len(theirs[topic, 0]) for topic in OUTPUTS}
    print(f"\n{moment}: same up to it: {', '.join(f'{topic} {count}' for topic, count in kept.items() if count)}")
    assert verdict.clean, verdict
    assert ours == theirs
    assert compare(expected, seen).counts["divergent"] > 20, "what was spoiled must show afterwards"


def test_the_moments_have_something_before_them(expected: Dump) -> None:
    last = until(expected, max(MOMENTS.values()))
    for topic in (REGIME_MARKS, HEDGE_REBALANCES, ALERTS, DEAD_LETTERS):
        assert last[topic, 0], topic


def _vix(item: Item) -> Item | None:
    """A block with one VIX tick of the hour before noon changed."""
    if isinstance(item, Single):
        return None
    at = np.flatnonzero((item.event_ts < NOON) & (item.event_ts > NOON - HOUR) & ~item.invalid)
    vix = [i for i in at.tolist() if item.symbols[item.symbol[i]] == "VIX"]
    if not vix:
        return None
    values = {name: column.copy() for name, column in item.values.items()}
    values["last"][random.Random(3).choice(vix)] *= 1.01
    return replace(item, values=values)


def _option(item: Item) -> Item | None:
    """A block with the quotes of the options of that day changed."""
    if isinstance(item, Single) or not any(symbol.startswith("SPX/") for symbol in item.symbols):
        return None
    options = np.array([symbol.startswith("SPX/") for symbol in item.symbols])[item.symbol]
    values = {name: np.where(options, column * 1.01, column) for name, column in item.values.items()}
    return replace(item, values=values)


def _message(topic: str, what: bytes) -> Callable[[Item], Item | None]:
    def change(item: Item) -> Item | None:
        if isinstance(item, Single) and item.topic == topic and what in item.value:
            return _spoiled_single(item)
        return None

    return change


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (_vix, NOON),
        (_option, NOON + 5 * MINUTE),
        (_message(MACRO_RELEASES, b"release_ts\":\"" + format_ts(NOON).encode()), NOON + 5 * MINUTE),
        (_message(MARKET_FLOWS, format_ts(BLOCK).encode()), BLOCK + 5 * MINUTE),
    ],
    ids=["tick", "option", "release", "block"],
)
def test_the_check_finds_a_look_ahead(
    story: list[Item], expected: Dump, change: Callable[[Item], Item | None], after: int
) -> None:
    """One input before the moment that depends on what comes after it is found, of whatever kind."""
    leaking: list[Item] = []
    done = False
    for item in story:
        other = None if done else change(item)
        done = done or other is not None
        leaking.append(other or item)
    assert done
    assert not compare(until(expected, after), until(run(leaking), after)).clean


def test_every_kind_of_message_is_among_what_is_spoiled(story: list[Item]) -> None:
    items = [item for item in story if isinstance(item, Single) and item.topic != MARKET_TICKS and item.time > NOON]
    kinds: Counter[Any] = Counter()
    for item in items:
        assert _spoiled_single(item) != item
        document = json.loads(item.value)
        names = ("actual", "mv", "block_ts", "members")
        kinds.update(name for name in names if name in document)
    assert set(kinds) == {"actual", "mv", "block_ts", "members"}
    # Everything else is spoiled after the earliest moments.
    earlier = [item for item in story if isinstance(item, Single) and item.time > min(MOMENTS.values())]
    assert any(b"scheduled_ts" in item.value for item in earlier)
    assert any(b"pricing_ts" in item.value for item in earlier)
    assert any(b"depth_bid_usd" in item.value for item in earlier)
