"""A loopback proxy in front of one Kafka broker that knows which request passes.

It can be told to call something when a certain request of a certain client comes by: before the broker sees it, or
after the broker has answered it and before the client learns the answer. While it is down, connections are refused,
as they are by a machine whose broker has died.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

#: The requests of a transaction, by their number in Kafka's protocol.
API: Final = {"Produce": 0, "AddPartitionsToTxn": 24, "AddOffsetsToTxn": 25, "EndTxn": 26, "TxnOffsetCommit": 28}
#: Brokers ask each other about transactions too, in versions that the client does not speak.
_OF_BROKERS: Final = {24: 4}


@dataclass(slots=True)
class Trap:
    """Springs once, at a request of this kind that holds ``mark``.

    Attributes:
        request: a name of :data:`API`.
        mark: bytes that the request holds, such as a transactional id.
        answered: spring when the broker has answered, and keep the answer; else before the broker sees the request.
        spring: called once, on a thread of the proxy. The connection is closed afterwards.
    """

    request: str
    mark: bytes
    answered: bool
    spring: Callable[[], None]
    _taken: threading.Lock = field(default_factory=threading.Lock)

    def take(self, request: bytes) -> bool:
        """True for the one request that it is for."""
        api, version = struct.unpack_from(">hh", request)
        if api != API[self.request] or version >= _OF_BROKERS.get(api, 1 << 15) or self.mark not in request:
            return False
        return self._taken.acquire(blocking=False)


class Proxy:
    """Listens on a port of its own on 127.0.0.1 and passes on to ``broker``, another port there."""

    def __init__(self, broker: int) -> None:
        self._broker = broker
        self.trap: Trap | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.up()

    def up(self) -> None:
        """Accept connections."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections and close those that are open; safe to call twice."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):  # wakes the thread that accepts; some systems say it is not connected
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            found = list(self._open)
        for one in found:
            _shut(one)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # it was closed: the proxy is down
            try:
                broker = socket.create_connection(("127.0.0.1", self._broker), 5.0)
            except OSError:
                client.close()  # the broker is starting
                continue
            broker.settimeout(None)
            _Connection(self, client, broker).start()

    def keep(self, *sockets: socket.socket) -> None:
        """These are to be closed when the proxy goes down."""
        with self._lock:
            self._open.update(sockets)

    def drop(self, *sockets: socket.socket) -> None:
        """Close these."""
        with self._lock:
            self._open.difference_update(sockets)
        for one in sockets:
            one.close()


class _Connection:
    """One client's connection, and the one to the broker that stands for it: a thread for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, broker: socket.socket) -> None:
        self._proxy, self._client, self._broker = proxy, client, broker
        self._kept: tuple[Trap, bytes] | None = None  # whose answer is kept, by its correlation id
        self._left = 2
        self._lock = threading.Lock()

    def start(self) -> None:
        self._proxy.keep(self._client, self._broker)
        for run in (self._requests, self._answers):
            threading.Thread(target=self._pump, args=(run,), daemon=True).start()

    def _pump(self, run: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):  # either side has gone: so does the other
            run()
        _shut(self._client)
        _shut(self._broker)
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._proxy.drop(self._client, self._broker)

    def _requests(self) -> None:
        while (request := _frame(self._client)) is not None:
            trap = self._proxy.trap
            if trap is not None and trap.take(request):
                if not trap.answered:
                    trap.spring()
                    return
                self._kept = trap, request[4:8]
            self._broker.sendall(struct.pack(">i", len(request)) + request)

    def _answers(self) -> None:
        while (answer := _frame(self._broker)) is not None:
            if self._kept is not None and answer[:4] == self._kept[1]:
                self._kept[0].spring()
                return
            self._client.sendall(struct.pack(">i", len(answer)) + answer)


def _frame(one: socket.socket) -> bytes | None:
    """The next request or answer, without its length; None at the end."""
    head = _read(one, 4)
    return None if head is None else _read(one, struct.unpack(">i", head)[0])


def _read(one: socket.socket, count: int) -> bytes | None:
    found = bytearray()
    while len(found) < count:
        part = one.recv(min(count - len(found), 1 << 16))
        if not part:
            return None
        found += part
    return bytes(found)


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        one.shutdown(socket.SHUT_RDWR)
