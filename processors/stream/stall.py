"""Partitions that have something to read and stand still, although the loop turns: which, for how long, and why.

A client can keep a partition silent without a word: one that it kept over a rebalance, one that was paused and never
resumed, a fetch that is never answered. Nothing else would show it: the loop ticks, and the other partitions flow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from processors.stream.log import Reach, TopicPartition

#: Looks in a row that a partition stands still before it can be called stalled.
LOOKS = 4


class Cause(Enum):
    """Why a partition that has something to read is not read on."""

    #: Nobody knows a reason.
    STALLED = "stalled"
    #: What was read of it waits for another input, and no more is read until that has come.
    ANOTHER_INPUT = "another_input"
    #: What comes next lies behind a transaction of another producer that is neither committed nor aborted.
    OPEN_TRANSACTION = "open_transaction"


@dataclass(frozen=True, slots=True)
class Silence:
    """A partition that has something to read and has not moved for ``seconds``.

    Attributes:
        seconds: for how long nothing has moved without a reason; 0 while there is one.
        records: offsets between where it stands and its end.
        waits_for: other inputs that what was read of it waits for.
    """

    tp: TopicPartition
    cause: Cause
    seconds: float
    records: int
    waits_for: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"{self.tp.topic}/{self.tp.partition}"
        if self.cause is Cause.OPEN_TRANSACTION:
            return f"{where} is behind an open transaction of another producer, {self.records:,} records to its end"
        if self.cause is Cause.ANOTHER_INPUT:
            return f"{where} is held until {' and '.join(self.waits_for)} has been read"
        return f"{where} has {self.records:,} records to read and has not moved for {self.seconds:.0f} s"


@dataclass(slots=True)
class _Stand:
    position: int
    looked: float
    seconds: float = 0.0


class StallDetector:
    """Remembers of each partition where it stood and how long it has stood there.

    Only time in which the loop turned counts: between two looks at most a quarter of ``stall_seconds``, so that a long
    batch, commit or restore is no silence. So a partition is stalled after four looks at the earliest.

    Args:
        stall_seconds: a partition that stands for so long without a reason is stalled.
        clock: monotonic seconds.
    """

    def __init__(self, stall_seconds: float, clock: Callable[[], float]) -> None:
        self.stall_seconds = stall_seconds
        self._clock = clock
        self._stands: dict[TopicPartition, _Stand] = {}

    def forget(self) -> None:
        """Partitions were given anew: everything begins again."""
        self._stands.clear()

    def look(self, tp: TopicPartition, reach: Reach, waits_for: Sequence[str] = ()) -> Silence | None:
        """What is to be said of a partition now; None when it moves or has nothing to read.

        ``waits_for``: other inputs that keep it from being read on. A partition that merely stands for a moment is
        told too, with its seconds; see :meth:`stalled`.
        """
        now = self._clock()
        stand = self._stands.get(tp)
        records = max(reach.end - reach.position, 0)
        cause = _cause(reach, waits_for)
        if stand is None or stand.position != reach.position or records == 0 or cause is not Cause.STALLED:
            self._stands[tp] = stand = _Stand(reach.position, now)
        else:
            stand.seconds += min(now - stand.looked, self.stall_seconds / LOOKS)
            stand.looked = now
        if records == 0 or (cause is Cause.STALLED and stand.seconds == 0):
            return None
        return Silence(tp, cause, stand.seconds, records, tuple(waits_for) if cause is Cause.ANOTHER_INPUT else ())

    def stalled(self, silence: Silence) -> bool:
        """True when a partition has stood for too long without a reason."""
        return silence.cause is Cause.STALLED and silence.seconds >= self.stall_seconds


def _cause(reach: Reach, waits_for: Sequence[str]) -> Cause:
    if waits_for:
        return Cause.ANOTHER_INPUT
    return Cause.OPEN_TRANSACTION if reach.position >= reach.stable else Cause.STALLED
