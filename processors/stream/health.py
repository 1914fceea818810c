"""Health of a process: what its processors are doing, three pages that tell it, and a watchdog that acts on it.

``/healthz``  200 while every loop ticks within the watchdog time, else 503
``/readyz``   200 when every processor is assigned and restored and no partition is stalled, else 503; says what is
              waited for, and which partitions are held for a reason
``/metrics``  the counts, in the format that the scraper asks for
"""

from __future__ import annotations

import json
import logging
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from processors.errors import EXIT_FATAL, UserError
from processors.stream.lifecycle import Lifecycle

logger = logging.getLogger("alvh.stream.health")

#: What a processor in this state waits for, in the words of ``/readyz``.
_WAITS_FOR: Mapping[Lifecycle, str] = {
    Lifecycle.CREATED: "it has not been started",
    Lifecycle.JOINING: "the group has given it no partitions yet",
    Lifecycle.RESTORING: "its state is being read from the changelog",
    Lifecycle.STOPPING: "it is stopping",
    Lifecycle.STOPPED: "it has stopped",
    Lifecycle.FAILED: "it has failed; the process must be started again",
}


@dataclass(slots=True)
class _Pulse:
    state: Lifecycle
    ticked: float
    stalled: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


def _waits_for(pulse: _Pulse) -> str:
    """What a processor waits for; nothing when it is ready."""
    return "; ".join(pulse.stalled) if pulse.state is Lifecycle.RUNNING else _WAITS_FOR[pulse.state]


class Health:
    """What the processors of this process are doing. Every method may be called from any thread.

    Args:
        processors: names of the processors that this process runs.
        seconds: a loop that has not ticked for longer is stalled.
        clock: monotonic seconds.
        changed: told of each state that a processor enters.
    """

    def __init__(
        self,
        processors: Iterable[str],
        *,
        seconds: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[str, Lifecycle], None] = lambda processor, state: None,
    ) -> None:
        self.seconds = seconds
        self._clock = clock
        self._changed = changed
        self._lock = threading.Lock()
        self._pulses = {name: _Pulse(Lifecycle.CREATED, clock()) for name in processors}

    def tick(self, processor: str) -> None:
        """The processor's loop has come round."""
        self._pulses[processor].ticked = self._clock()

    def enter(self, processor: str, state: Lifecycle) -> None:
        """The processor enters ``state``. Raises ValueError for a way that does not exist."""
        with self._lock:
            pulse = self._pulses[processor]
            if not pulse.state.may_become(state):
                raise ValueError(f"{processor} is {pulse.state.value} and cannot become {state.value}")
            entered = pulse.state is not state
            pulse.state, pulse.ticked = state, self._clock()
            pulse.stalled = pulse.held = ()
        if entered:
            logger.info("%s is %s", processor, state.value)
        self._changed(processor, state)

    def quiet(self, processor: str, stalled: Sequence[object], held: Sequence[object]) -> None:
        """Partitions that have something to read and are not read on: without a reason, and with one; in words."""
        pulse = self._pulses[processor]
        pulse.stalled, pulse.held = tuple(map(str, stalled)), tuple(map(str, held))

    def state(self, processor: str) -> Lifecycle:
        """The state that the processor is in."""
        return self._pulses[processor].state

    def stalled(self) -> dict[str, float]:
        """Processors whose loop has not ticked in time, with the seconds since; those that have ended are not asked."""
        now = self._clock()
        silent = {name: now - p.ticked for name, p in self._pulses.items() if not p.state.final}
        return {name: seconds for name, seconds in silent.items() if seconds > self.seconds}

    def alive(self) -> bool:
        """True while no loop is stalled and no processor has failed."""
        return not self.stalled() and not any(p.state is Lifecycle.FAILED for p in self._pulses.values())

    def waiting(self) -> dict[str, str]:
        """Processors that are not ready, with what each waits for."""
        reasons = {name: _waits_for(pulse) for name, pulse in self._pulses.items()}
        return {name: reason for name, reason in reasons.items() if reason}

    def document(self) -> dict[str, Any]:
        """What the pages say, as JSON values."""
        now = self._clock()
        return {
            "processors": {
                name: {"state": p.state.value, "seconds_since_tick": round(max(0.0, now - p.ticked), 3)}
                for name, p in self._pulses.items()
            },
            "stalled": sorted(self.stalled()),
            "waiting": self.waiting(),
            "held": {name: list(p.held) for name, p in self._pulses.items() if p.held},
        }


def die(stalled: Mapping[str, float]) -> None:
    """End the process at once: a loop that hangs cannot be asked to stop. The supervisor starts it again."""
    listed = ", ".join(f"{name} for {seconds:.0f} s" for name, seconds in sorted(stalled.items()))
    logger.critical("no sign of life from %s; the process ends to be started again", listed)
    logging.shutdown()
    os._exit(EXIT_FATAL)


class Watchdog:
    """A thread that calls ``on_stall`` once when a loop has stalled. Use it in a ``with`` block, or :meth:`stop` it."""

    def __init__(
        self, health: Health, on_stall: Callable[[Mapping[str, float]], None] = die, *, every: float | None = None
    ) -> None:
        self._health = health
        self._on_stall = on_stall
        self._every = every if every is not None else min(1.0, health.seconds / 4)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="alvh-watchdog", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            stalled = self._health.stalled()
            if stalled:
                self._on_stall(stalled)
                return

    def stop(self) -> None:
        """End the thread; safe to call twice."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def watchdog(
    health: Health, seconds: float | None = None, on_stall: Callable[[Mapping[str, float]], None] = die
) -> Watchdog:
    """Start a watchdog over ``health``; ``seconds`` replaces its own time."""
    if seconds is not None:
        health.seconds = seconds
    return Watchdog(health, on_stall)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], family: socket.AddressFamily, health: Health, registry: Any) -> None:
        self.address_family = family
        self.health = health
        self.registry: CollectorRegistry = registry
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # without the look-up of this machine's name, which can take seconds
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a request from %s ended early", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "alvh"
    sys_version = ""
    timeout = 5.0

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._document(self.server.health.alive())
        elif path == "/readyz":
            health = self.server.health
            self._document(health.alive() and not health.waiting())
        elif path == "/metrics":
            encoder, content_type = choose_encoder(self.headers.get("Accept") or "")
            self._answer(HTTPStatus.OK, content_type, encoder(self.server.registry))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"not here: /healthz /readyz /metrics\n")

    do_HEAD = do_GET  # noqa: N815

    def _refuse(self) -> None:
        self.close_connection = True
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", b"only GET and HEAD\n")

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse  # noqa: N815

    def _document(self, good: bool) -> None:
        body = json.dumps({"ok": good, **self.server.health.document()}, indent=1).encode() + b"\n"
        status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
        self._answer(status, "application/json", body)

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        logger.debug("%s %s", self.address_string(), format % args)


class HealthServer:
    """The pages, served by one thread. Use it in a ``with`` block, or :meth:`close` it.

    Args:
        health: what ``/healthz`` and ``/readyz`` tell.
        registry: what ``/metrics`` tells.
        host: address to listen on; loopback, so that only this machine can ask.
        port: port to listen on; 0 is any free one, see :attr:`port`.

    Raises UserError when the address cannot be listened on.
    """

    def __init__(
        self, health: Health, registry: CollectorRegistry, *, host: str = "127.0.0.1", port: int = 9464
    ) -> None:
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self._server = _Server((str(address[0]), port), family, health, registry)
        except (OSError, OverflowError) as error:
            words = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"cannot serve the health pages on {host}:{port}: {words}."
                " Give another http_port (0 takes any free one) or http_host, or stop what listens there."
            ) from error
        self.host = host
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="alvh-http", daemon=True
        )
        self._thread.start()
        logger.info("health pages on %s", self.url)

    @property
    def url(self) -> str:
        """Where the pages are."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def close(self) -> None:
        """Stop serving; safe to call twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
