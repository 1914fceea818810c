"""How long `alvh run hedge` takes from its start to ready, on a real Kafka, with 10,000 portfolios of state.

    python tests/bench/start.py

A Kafka is started from its jars for each history, and the changelog is filled with what it leaves: each portfolio
written once, and each written many times, with compaction left to the broker as `alvh topics apply` has set it up. Then
the process is started and killed several times.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
sys.path.insert(2, str(Path(__file__).resolve().parents[1] / "integration"))

from alvh_process import Process, total
from hedge import HEDGER, Clock, many, settled
from kafka_broker import end_when_told, start_kafka

from processors.stream.log import Cluster, Out, TopicPartition
from processors.stream.open import open_cluster
from processors.stream.runner import POSITIONS_KEY
from topics.catalog import changelog
from topics.message import canonical_json

TABLE = Path(__file__).with_name("start.md")
CHANGELOG = changelog(HEDGER.name)
#: Records of a transaction.
BATCH = 2000
PATIENCE = 120.0
#: Seconds after which a segment of a changelog is closed by the next record, so that it can be compacted.
SEGMENT = 61.0


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds since the start of the process to its pages and to ready, and those spent in restoring."""

    pages: float
    ready: float
    restore: float


def fill(cluster: Cluster, state: Mapping[bytes, bytes], times: int) -> tuple[int, int]:
    """Write the state so many times over, as its commits would have, and wait until compaction has seen it.

    Returns the records that are left in the changelog, and their bytes.
    """
    inputs = {given.topic: 0 for given in HEDGER.inputs}
    positions = canonical_json({"version": 1, "positions": inputs, "times": inputs})
    items = [*state.items()] * times
    for start in range(0, len(items), BATCH):
        outs = [Out(CHANGELOG, key, value, partition=0) for key, value in items[start : start + BATCH]]
        cluster.publish([*outs, Out(CHANGELOG, POSITIONS_KEY, positions, partition=0)])
    if times > 1:
        sleep(SEGMENT)
        cluster.publish([Out(CHANGELOG, POSITIONS_KEY, positions, partition=0)])  # rolls the segment
    deadline = monotonic() + PATIENCE
    while True:
        kept = [len(r.key or b"") + len(r.value or b"") for r in cluster.read(TopicPartition(CHANGELOG, 0))]
        if len(kept) < 2 * len(state) or monotonic() > deadline:
            return len(kept), sum(kept)
        sleep(2.0)


def starts(process: Process, rounds: int) -> list[Start]:
    """Start and kill the process so many times."""
    found = []
    for _ in range(rounds):
        begun = monotonic()
        process.start(HEDGER.name)
        process.wait("the pages", lambda: bool(process.metrics()), PATIENCE, 0.01)
        pages = monotonic() - begun
        process.wait("ready", process.ready, PATIENCE, 0.01)
        ready = monotonic() - begun
        page = process.metrics()
        found.append(Start(pages, ready, total(page, "alvh_restore_seconds_sum")))
        print(found[-1], file=sys.stderr, flush=True)
        process.kill()
    return found


def measured(state: Mapping[bytes, bytes], times: int, rounds: int) -> str:
    """A row of the table: starts after the state was written so many times."""
    with ExitStack() as cleanup:
        url = f"kafka://{cleanup.enter_context(start_kafka()).bootstrap}"
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="alvh-start-")))
        process = Process(url, folder, {"ALVH_SESSION_TIMEOUT_SECONDS": "6"})
        cleanup.callback(process.end)
        process.call("topics", "apply")
        cluster = cleanup.enter_context(closing(open_cluster(url)))
        records, size = fill(cluster, state, times) if state else (0, 0)
        found = starts(process, rounds)
    portfolios = sum(key.startswith(b"portfolio/") for key in state)
    seconds = (statistics.median(getattr(start, name) for start in found) for name in ("pages", "restore", "ready"))
    cells = (f"{portfolios:,}", f"{times}", f"{records:,}", f"{size / 2**20:,.1f}", *(f"{s:.2f}" for s in seconds))
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portfolios", type=int, default=10_000, help="how many (default 10000)")
    parser.add_argument("--times", type=int, default=10, help="times that the long history wrote each (default 10)")
    parser.add_argument("--rounds", type=int, default=5, help="starts of which the median is taken (default 5)")
    given = parser.parse_args()
    end_when_told()
    state = many(settled(Clock(), betas=True), given.portfolios)
    rows = [measured(*case, given.rounds) for case in (({}, 1), (state, 1), (state, given.times))]
    lines = [
        f"`python tests/bench/start.py --portfolios {given.portfolios} --times {given.times}`: `alvh run hedge` on "
        f"a real Kafka, seconds since the start of the process, medians of {given.rounds}.",
        "",
        "| portfolios | times written | records in the changelog | MiB | to the pages | in restoring | to ready |",
        "|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
    ]
    text = "\n".join(lines)
    if given.portfolios >= 10_000:
        TABLE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
