"""Faust-streaming: an agent with a Table in memory, backed by a changelog topic; at least once."""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import faust
from job import add, message, start

SERVERS, SOURCE, TARGET, GROUP = sys.argv[1:5]

app = faust.App(
    GROUP,
    broker=f"kafka://{SERVERS}",
    store="memory://",
    datadir=tempfile.mkdtemp(prefix="alvh-bench-faust-"),
    topic_partitions=1,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    broker_commit_interval=1.0,
    broker_max_poll_records=2000,
    producer_linger=0.05,
    producer_max_batch_size=1 << 20,
    web_enabled=False,
)
ticks = app.topic(SOURCE, key_type=bytes, value_serializer="json")
regimes = app.topic(TARGET, key_type=bytes, value_serializer="json")
table = app.Table("symbols", partitions=1)


@app.agent(ticks)
async def work(stream: Any) -> None:
    """One tick after the other; a symbol's list is a value of the table, set again so that it is written."""
    async for tick in stream:
        if tick.get("official"):
            continue
        symbol, price, minute = tick["symbol"], float(tick["last"]), tick["event_ts"][:16]
        mine = table.get(symbol)
        if mine is None:
            table[symbol] = start(minute, price)
            continue
        ended = add(mine, minute, price)
        table[symbol] = mine
        if ended and symbol == "VIX":
            symbols = {name: value for name, value in table.items() if name != "score"}
            found = message(tick, symbols, table.get("score"))
            if found is not None:
                table["score"] = found["score"]
                await regimes.send(key=b"US", value=found)


if __name__ == "__main__":
    sys.argv = [sys.argv[0], "worker", "--loglevel", "WARN", "--without-web"]
    app.main()
