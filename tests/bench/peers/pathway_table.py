"""Pathway: a stateful reducer over the ticks of each market, state in memory.

It hands the reducer all ticks of a batch at once, in no order, and shows one result for the batch: of several messages
that one batch brings, the newest is sent.
"""

from __future__ import annotations

import json
import pickle
import sys
from typing import Any

import pathway as pw
from job import Market


class Tick(pw.Schema):
    """The fields that the job reads."""

    market: str
    symbol: str
    event_ts: str
    seq: int
    official: bool
    last: str | None = pw.column_definition(default_value=None)


@pw.reducers.stateful_many
def work(state: bytes | None, rows: list[tuple[list[Any], int]]) -> bytes:
    """The market and its newest message after the ticks of a batch, as bytes, which the engine can keep."""
    market, newest = pickle.loads(state) if state is not None else (Market(), "")
    for seq, symbol, event_ts, official, last in sorted((row for row, _ in rows), key=lambda row: row[0]):
        tick = {"seq": seq, "symbol": symbol, "event_ts": event_ts, "official": official, "last": last}
        found = market.tick(tick)
        if found is not None:
            newest = json.dumps(found)
    return pickle.dumps((market, newest))


def newest_of(state: bytes) -> str:
    """The message in a state."""
    return str(pickle.loads(state)[1])


def main(servers: str, source: str, target: str, group: str) -> None:
    """Run until told to end."""
    settings = {"bootstrap.servers": servers, "group.id": group, "auto.offset.reset": "earliest"}
    ticks = pw.io.kafka.read(settings, source, schema=Tick, format="json", autocommit_duration_ms=100)
    this = pw.this
    states = ticks.groupby(this.market).reduce(
        this.market, state=work(this.seq, this.symbol, this.event_ts, this.official, this.last)
    )
    regimes = states.select(text=pw.apply_with_type(newest_of, str, this.state)).filter(this.text != "")
    pw.io.kafka.write(regimes, settings, target, format="plaintext", value=regimes.text)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main(*sys.argv[1:])
