"""Calls that must not hang the process: made on another thread, with a time by which they have to answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from processors.errors import DeadlineExceeded

T = TypeVar("T")


class Caller:
    """Makes calls one after the other on a thread of its own.

    The thread is a daemon: a call that never returns does not keep the process from ending. After the first missed
    deadline every further call is refused, for the one before it may still take effect.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.stuck: str | None = None

    def call(self, what: str, seconds: float, function: Callable[[], T]) -> T:
        """The result of ``function()``, or its error; DeadlineExceeded when there is none after ``seconds``."""
        if self.stuck is not None:
            raise DeadlineExceeded(f"{what}: {self.stuck} has still not been answered")
        answer = self._begin(function)
        try:
            return answer.result(seconds)
        except TimeoutError:
            if answer.done():
                raise  # the function's own
            self.stuck = what
            raise DeadlineExceeded(f"{what}: no answer in {seconds:g} s") from None

    def begin(self, function: Callable[[], T]) -> Future[T] | None:
        """Have ``function()`` called without waiting for it; None when an earlier call has missed its deadline."""
        return None if self.stuck is not None else self._begin(function)

    def _begin(self, function: Callable[[], T]) -> Future[T]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        answer: Future[T] = Future()
        self._calls.put((answer, function))
        return answer

    def close(self) -> None:
        """End the thread, unless a call holds it; safe to call twice."""
        if self._thread is not None:
            self._calls.put(None)
            if self.stuck is None:
                self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            answer, function = item
            try:
                answer.set_result(function())
            except BaseException as error:
                answer.set_exception(error)
            del item, answer, function  # or the last call's objects live until the next call
