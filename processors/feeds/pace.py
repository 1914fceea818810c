"""Event time that passes in step with wall time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from topics.times import LAST_TS, SECOND


class EventClock(Protocol):
    """When rows of a recording fall due."""

    def reached(self) -> int:
        """Event time reached now, ns; rows up to it are due."""

    def wait(self, ts: int, stop: Callable[[], bool]) -> bool:
        """Sleep until event time has reached ``ts``, above 0. False when ``stop()`` became true before."""


class Pace:
    """``speed`` seconds of event time pass in a second of wall time, counted from the first time waited for.

    ``nap`` is the longest sleep in seconds, and how finely time is cut: what falls due within one goes out together.
    """

    def __init__(
        self,
        speed: float,
        *,
        nap: float = 0.02,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.speed = speed
        self._nap = nap
        self._clock = clock
        self._sleep = sleep
        self._first: int | None = None
        self._started = 0.0

    def reached(self) -> int:
        """Event time reached now, ns; 0 before anything was waited for."""
        if self._first is None:
            return 0
        return self._first + int((self._clock() - self._started) * self.speed * SECOND)

    def wait(self, ts: int, stop: Callable[[], bool]) -> bool:
        """Sleep until event time has reached ``ts``, above 0. False when ``stop()`` became true before."""
        if self._first is None:
            self._first, self._started = ts, self._clock()
        while (left := ts - self.reached()) > 0:
            if stop():
                return False
            self._sleep(min(self._nap, left / SECOND / self.speed))
        return True


class Timetable:
    """Event time by a table of moments, so that some of a recording passes faster than the rest.

    Everything before the first moment is due at once; the clock starts when something after it is waited for. Between
    moments time runs evenly, and after the last one everything is due.

    Args:
        moments: event times, ns, rising.
        seconds: seconds of wall time at which each is reached, rising from 0.
        nap: longest sleep, seconds.
    """

    def __init__(self, moments: Sequence[int], seconds: Sequence[float], *, nap: float = 0.02) -> None:
        if not moments or len(moments) != len(seconds):
            raise ValueError(f"{len(moments)} moments and {len(seconds)} seconds; a timetable needs as many of both")
        self._moments = np.asarray(moments, dtype=np.int64)
        self._seconds = np.asarray(seconds, dtype=np.float64)
        self._nap = nap
        self._started: float | None = None

    def reached(self) -> int:
        """Event time reached now, ns."""
        if self._started is None:
            return int(self._moments[0])
        elapsed = time.monotonic() - self._started
        if elapsed >= self._seconds[-1]:
            return LAST_TS
        i = int(np.searchsorted(self._seconds, elapsed, side="right")) - 1
        share = (elapsed - self._seconds[i]) / (self._seconds[i + 1] - self._seconds[i])
        return int(self._moments[i]) + int(share * (int(self._moments[i + 1]) - int(self._moments[i])))

    def wait(self, ts: int, stop: Callable[[], bool]) -> bool:
        """Sleep until ``ts`` is reached. False when ``stop()`` became true before."""
        if self._started is None and ts > self._moments[0]:
            self._started = time.monotonic()
        while self.reached() < ts:
            if stop():
                return False
            time.sleep(self._nap)
        return True
