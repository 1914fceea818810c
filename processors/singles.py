"""Single ticks of a poll on their way to the market's engines, decoded together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.stream.log import Records
from processors.stream.processor import Run
from topics.codec import plain_json
from topics.tick_json import TickRun, read_ticks

#: Shorter runs of records cost more together than one by one.
_SHORTEST: Final = 8


@dataclass(frozen=True, slots=True)
class Singles:
    """Ticks of several markets in the order of their records. The rows of the runs are places in that order."""

    runs: tuple[TickRun, ...]

    def take(self, start: int, stop: int) -> Singles:
        """Ticks ``start`` to ``stop``."""
        parts = []
        for run in self.runs:
            first, last = np.searchsorted(run.rows, (start, stop))
            if first < last:
                parts.append(TickRun(run.rows[first:last] - start, run.columns.take(int(first), int(last))))
        return Singles(tuple(parts))


def gather(records: Records, future: int) -> list[Run]:
    """The runs of valid ticks among records of ``market.ticks``.

    A tick may be dated ``future`` ns later than its record. What is no valid tick, or has another market's key, is in
    no run.
    """
    plain, documents = plain_json(records.values, records.headers)
    if len(plain) < _SHORTEST:
        return []
    whole = len(plain) == len(records)
    found, _ = read_ticks(documents)
    keys = set(records.keys)
    latest = np.asarray(records.timestamps, dtype=np.int64) + future
    times = np.zeros(len(records), dtype=np.int64)
    good = np.zeros(len(records), dtype=np.bool_)
    kept = []
    for run in found:
        key = run.columns.market.encode()
        rows = run.rows if whole else np.asarray(plain, dtype=np.intp)[run.rows]
        mine = run.columns.event_ts <= latest[rows]
        if keys != {key}:
            mine &= [records.keys[i] == key for i in rows.tolist()]
        times[rows], good[rows] = run.columns.event_ts, mine
        kept.append(TickRun(rows[mine], run.columns if mine.all() else run.columns.pick(np.flatnonzero(mine))))
    ticks = Singles(tuple(kept))
    return [Run(start, stop, times[start:stop], ticks.take(start, stop)) for start, stop in _stretches(good)]


def _stretches(good: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Begin and end of each stretch that is long enough."""
    edges = np.flatnonzero(np.diff(good, prepend=False, append=False))
    for start, stop in edges.reshape(-1, 2).tolist():
        if stop - start >= _SHORTEST:
            yield start, stop
