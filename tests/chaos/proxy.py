"""Links of TCP through this process, which can be cut or made slow: a network between processes of one machine."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

_CHUNK = 64 << 10


@dataclass(eq=False)
class Link:
    """From a port that clients know to the one that a broker listens on, both on 127.0.0.1.

    Attributes:
        cut: nothing passes, and nobody is told: bytes wait, new connections are taken and lead nowhere.
        delay: seconds that every chunk waits, in each direction.
    """

    port: int
    target: int
    cut: bool = False
    delay: float = 0.0
    ends: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self) -> asyncio.Server:
        """Listen until the server is closed."""
        return await asyncio.start_server(self._taken, "127.0.0.1", self.port)

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.ends.add(writer)
        try:
            await self._open()
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:  # the broker is down: the client finds its connection closed
            self._close(writer)
            return
        self.ends.add(back)
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # either end may go at any time; the other is closed then
            while chunk := await reader.read(_CHUNK):
                await asyncio.sleep(self.delay)
                await self._open()
                writer.write(chunk)
                await writer.drain()
        self._close(writer)

    async def _open(self) -> None:
        while self.cut:
            await asyncio.sleep(0.02)

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self.ends.discard(writer)
        writer.close()


class Network:
    """Links served by a thread of their own. A context manager."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = links
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-network", daemon=True)
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Network:
        self._thread.start()
        for link in self._links:
            self._servers.append(asyncio.run_coroutine_threadsafe(link.serve(), self._loop).result(10))
        return self

    def __exit__(self, *raised: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for link in self._links:
            for writer in link.ends:
                writer.close()
            link.ends.clear()
