"""A small processor on the SQLite log, as a process: it adds up numbers, and keeps the sum as its state.

    python sqlite_worker.py FILE INSTANCE TARGET [BYTES]

It ends with status 0 when it has read TARGET numbers, and as every processor does (2 or 70) when it cannot go on.
No file may become larger than BYTES: a disk that is full. With BYTES below zero the process dies at that byte instead.
"""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from processors.errors import EXIT_FATAL, EXIT_USAGE, Fatal, Rebalanced, UserError
from processors.stream import sqlite_file
from processors.stream.log import Cluster, Member, Out, TopicPartition
from processors.stream.sqlite import SqliteCluster

IN, OUT, STATE = TopicPartition("in", 0), TopicPartition("out", 0), TopicPartition("state", 0)
TOPICS = {"in": 1, "out": 1, "state": 1}
#: Numbers a commit.
STEP = 5


def create(cluster: Cluster) -> None:
    cluster.create(TOPICS, compacted=frozenset({"state"}))


def work(cluster: Cluster, instance: str, target: int, size: int = 12_000) -> None:
    """Read up to the offset ``target``; each output is the sum so far and ``size`` bytes."""
    log = cluster.member(Member("group", instance, ("in",)))
    generation, position, total = None, 0, 0
    try:
        while position < target:
            polled = log.poll(0.05)
            if polled.generation != generation:
                generation = polled.generation
                if polled.partitions:
                    position = log.committed(IN) or 0
                    total = next((int(record.value or b"") for record in log.read(STATE)), 0)
                    log.seek(IN, position)
                    print("running", flush=True)
                continue
            records = polled.records.get(IN, ())
            for at in range(0, len(records), STEP):
                for record in records[at : at + STEP]:
                    total += int(record.value or b"")
                    log.send(Out("out", b"sum", b"%d " % total + bytes(size)))
                log.send(Out("state", b"sum", b"%d" % total))
                try:
                    log.commit({IN: (position := records[min(at + STEP, len(records)) - 1].offset + 1)})
                except Rebalanced:
                    generation = None
                    break
    finally:
        log.end()


def main(path: str, instance: str, target: str, limit: str = "") -> int:
    sqlite_file.BUSY_TIMEOUT = 2.0
    if limit:
        if int(limit) < 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (abs(int(limit)), abs(int(limit))))
    try:
        cluster = SqliteCluster(path, lease=1.0)
        create(cluster)
        work(cluster, instance, int(target))
    except UserError as error:
        print(f"UserError: {error}", flush=True)
        return EXIT_USAGE
    except Fatal as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return EXIT_FATAL
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
