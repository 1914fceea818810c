"""Whether the state and the outputs of a processor are what its inputs give.

Its inputs are read again from their beginning, through the same processor in memory, and what comes out is compared
with the log. One thing a log does not record: what had been written when a row was taken. A release that was written
after later ticks had been taken acted from then on, but in a log that is read again it comes before them. So when the
merged order gives something else, two more orders are tried: that of the commits which the changelog still tells of,
and that in which the records were written. A state that follows from one of the three is right.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from processors.errors import UserError
from processors.state import Saved, saved
from processors.state_outputs import Difference, first_difference, output_differences
from processors.state_recompute import Computed, Steps, check_complete, recompute, written_order
from processors.stream.log import Cluster, TopicPartition
from processors.stream.processor import Processor
from processors.stream.runner import POSITIONS_KEY
from topics.catalog import changelog

#: Orders in which inputs are taken: by event time, commit by commit, by the log's time of writing.
MERGED: Final = "merged"
COMMITS: Final = "commits"
WRITTEN: Final = "written"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of one partition.

    Attributes:
        order: the order of inputs that gave what is compared; when none did, the one that came closest.
        state: differences of the state, the first of each key.
        outputs: differences of the outputs, the first of each key; empty when they were not asked for.
    """

    partition: int
    order: str
    keys: int
    rows: int
    outs: int
    state: tuple[Difference, ...]
    outputs: tuple[Difference, ...] = ()

    @property
    def equal(self) -> bool:
        """True when all that was compared is the same."""
        return self.count() == 0

    def count(self) -> int:
        """How many keys differ."""
        return len(self.state) + len(self.outputs)

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "partition": self.partition,
            "equal": self.equal,
            "order": self.order,
            "keys": self.keys,
            "rows": self.rows,
            "outputs_computed": self.outs,
            "state": [one.document() for one in self.state],
            "outputs": [one.document() for one in self.outputs],
        }


def verify(cluster: Cluster, processor: Processor, found: Saved, *, outputs: bool = False) -> Verdict:
    """Work the state of one partition out anew and compare it, with ``outputs`` the outputs too.

    Raises UserError when there is nothing to compare, when inputs are past their retention, and when the processor has
    gone on meanwhile and something differs.
    """
    if not found.positions:
        raise UserError(f"{changelog(processor.name)}/{found.partition} holds no state: nothing was ever committed")
    check_complete(cluster, processor, found)
    best = _try(cluster, processor, found, MERGED, (found.positions,), outputs)
    for order, steps in _other_orders(cluster, found):
        if best.equal:
            return best
        best = min(best, _try(cluster, processor, found, order, steps, outputs), key=Verdict.count)
    if not best.equal:
        _check_stood_still(cluster, processor, found)
    return best


def _try(cluster: Cluster, processor: Processor, found: Saved, order: str, steps: Steps, outputs: bool) -> Verdict:
    """What the inputs give in one order, compared."""
    computed = recompute(cluster, processor, found.partition, steps)
    state = tuple(_state_differences(found, computed))
    told = tuple(output_differences(cluster, computed.outs)) if outputs else ()
    return Verdict(found.partition, order, len(found.entries), computed.rows, len(computed.outs), state, told)


def _other_orders(cluster: Cluster, found: Saved) -> Iterator[tuple[str, Steps]]:
    if len(found.commits) > 1:
        yield COMMITS, found.commits
    if len(found.positions) > 1:
        yield WRITTEN, written_order(cluster, found)


def _state_differences(found: Saved, computed: Computed) -> Iterable[Difference]:
    """The first difference of every key that differs."""
    kept: Mapping[bytes, bytes] = {key: entry.value for key, entry in found.entries.items()}
    anew = {key: value for key, value in computed.state.items() if key != POSITIONS_KEY}
    for key in sorted(kept.keys() | anew.keys()):
        if kept.get(key) != anew.get(key):
            yield first_difference(key.decode(errors="replace"), kept.get(key), anew.get(key))
    times = json.loads(computed.state.get(POSITIONS_KEY, b'{"times":{}}'))["times"]
    if times != found.times:
        yield Difference("stream times", "", dict(found.times), times)


def _check_stood_still(cluster: Cluster, processor: Processor, found: Saved) -> None:
    now = saved(cluster, TopicPartition(changelog(processor.name), found.partition))
    if now.positions != found.positions:
        raise UserError(
            f"{processor.name} is running and has gone on while partition {found.partition} was looked at, so that"
            " what differs says nothing; stop it, and verify again"
        )
