"""Event time that passes in step with wall time."""

from __future__ import annotations

import time
from collections.abc import Callable

from topics.times import SECOND


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
