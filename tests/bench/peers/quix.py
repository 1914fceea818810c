"""Quix Streams: a StreamingDataFrame with state in its RocksDB store, backed by a changelog topic.

The fifth argument is the processing guarantee, ``at-least-once`` or ``exactly-once``.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

from job import add, message, start
from quixstreams import Application, State


def work(tick: dict[str, Any], state: State) -> dict[str, Any] | None:
    """One tick; a symbol's list is one value of the market's state."""
    if tick.get("official"):
        return None
    symbol, price, minute = tick["symbol"], float(tick["last"]), tick["event_ts"][:16]
    mine = state.get(symbol)
    if mine is None:
        state.set(symbol, start(minute, price))
        state.set("symbols", [*state.get("symbols", []), symbol])
        return None
    ended = add(mine, minute, price)
    state.set(symbol, mine)
    if not ended or symbol != "VIX":
        return None
    found = message(tick, {name: state.get(name) for name in state.get("symbols")}, state.get("score"))
    if found is not None:
        state.set("score", found["score"])
    return found


def main(servers: str, source: str, target: str, group: str, guarantee: str) -> None:
    """Run until told to end."""
    app = Application(
        broker_address=servers,
        consumer_group=group,
        processing_guarantee=guarantee,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        auto_create_topics=True,
        state_dir=tempfile.mkdtemp(prefix="alvh-bench-quix-"),
        loglevel="WARNING",
    )
    frame = app.dataframe(app.topic(source, value_deserializer="json"))
    frame = frame.apply(work, stateful=True)
    frame = frame.filter(lambda found: found is not None)
    frame.to_topic(app.topic(target, value_serializer="json"))
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
