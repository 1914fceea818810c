"""Measure 4: the memory of ``alvh run market`` over ten million ticks as blocks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import psutil
from alvh_process import Process
from brokers import Positions, broker, load_blocks
from programs import pin
from workload import Week, blocks, sessions

PATIENCE = 600.0


def memory(week: Week, ticks: int, steps: int = 5) -> list[tuple[int, float]]:
    """Ticks read, and mebibytes resident then, ``steps`` times. The ticks are fed step by step and worked off."""
    found: list[tuple[int, float]] = []
    with broker() as servers, tempfile.TemporaryDirectory(prefix="alvh-bench-") as folder:
        process = Process(f"kafka://{servers}", Path(folder))
        process.start("market")
        try:
            pin(process.pid(), 0)
            positions = Positions(servers, "alvh.market")
            fed = records = 0
            feed = chain.from_iterable(blocks(columns) for columns in sessions(week, ticks))
            for step in range(1, steps + 1):
                some = list(_until(feed, ticks * step // steps - fed))
                load_blocks(servers, (block for block, _ in some))
                fed, records = fed + sum(rows for _, rows in some), records + len(some)
                deadline = time.monotonic() + PATIENCE
                while positions.look() < records:
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"not worked off: {process.tail()}")
                    time.sleep(0.2)
                found.append((fed, psutil.Process(process.pid()).memory_info().rss / 2**20))
                print(f"{fed:,} ticks: {found[-1][1]:.1f} MiB", flush=True)
            positions.close()
            process.terminate()
        finally:
            process.end()
    return found


def _until(feed: Iterator[tuple[bytes, int]], rows: int) -> Iterator[tuple[bytes, int]]:
    """Blocks of at least so many rows, as long as there are any."""
    while rows > 0 and (block := next(feed, None)) is not None:
        rows -= block[1]
        yield block
