"""Which ticks count: each instrument's own time and sequence decide, not the order of arrival.

``used``: not older than anything seen of its instrument. ``out_of_order``: older than that, but within the allowed
lateness; it never replaces a newer value. ``duplicate``: its source has sent this sequence number before. ``late``:
older than the allowed lateness; refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topics.ticks import MISSING

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def running_max(groups: Ints, values: Ints, carried: Ints) -> Ints:
    """For each row the largest value of its group in earlier rows, or what the group has ``carried``.

    Args:
        groups: group of each row, shape (n,).
        values: int64, shape (n,).
        carried: the largest value of each group before the first row, shape (groups,).
    """
    order = np.argsort(groups, kind="stable")
    sorted_groups, sorted_values = groups[order], values[order]
    before = np.empty(len(values), dtype=np.int64)
    if not len(values):
        return before
    cuts = (np.flatnonzero(sorted_groups[1:] != sorted_groups[:-1]) + 1).tolist()
    for start, stop in zip([0, *cuts], [*cuts, len(values)], strict=True):
        known = carried[sorted_groups[start]]
        before[order[start]] = known
        before[order[start + 1 : stop]] = np.maximum(np.maximum.accumulate(sorted_values[start : stop - 1]), known)
    return before


@dataclass(slots=True)
class Sequences:
    """The newest sequence number and event time of each (instrument, source) that numbers its ticks."""

    newest: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    def duplicates(self, pairs: list[tuple[str, str]], pair: Ints, seq: Ints, ts: Ints) -> Bools:
        """Rows whose sequence number and event time have both been reached before by their instrument and source.

        ``pair`` points into ``pairs``; rows without a sequence number are never duplicates. A source that starts its
        numbers anew goes on with newer event times and is not taken for a repetition.
        """
        result: Bools = np.zeros(len(seq), dtype=np.bool_)
        numbered = np.flatnonzero(seq != MISSING)
        if not len(numbered):
            return result
        seqs = np.array([self.newest.get(p, (-1, 0))[0] for p in pairs], dtype=np.int64)
        times = np.array([self.newest.get(p, (-1, 0))[1] for p in pairs], dtype=np.int64)
        group, numbers, stamps = (
            (pair, seq, ts) if len(numbered) == len(seq) else (pair[numbered], seq[numbered], ts[numbered])
        )
        if not ((numbers[1:] > numbers[:-1]).all() and (numbers > seqs[group]).all()):  # else each is new, as it should
            result[numbered] = (numbers <= running_max(group, numbers, seqs)) & (
                stamps <= running_max(group, stamps, times)
            )
        np.maximum.at(seqs, group, numbers)
        np.maximum.at(times, group, stamps)
        for i in np.flatnonzero(np.bincount(group, minlength=len(pairs))).tolist():
            self.newest[pairs[i]] = (int(seqs[i]), int(times[i]))
        return result

    def forget(self, before: int) -> None:
        """Drop what was last reached before a moment, ns: a repetition that is older still is refused as late."""
        self.newest = {pair: reached for pair, reached in self.newest.items() if reached[1] >= before}

    def snapshot(self) -> list[Any]:
        """As JSON values."""
        return [[symbol, source, seq, ts] for (symbol, source), (seq, ts) in sorted(self.newest.items())]

    @classmethod
    def restore(cls, rows: list[Any]) -> Sequences:
        """The sequences that gave ``rows``."""
        return cls({(symbol, source): (seq, ts) for symbol, source, seq, ts in rows})
