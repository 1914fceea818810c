"""How long `alvh run all` takes from a kill -9 to being caught up, after a short and after a long history.

    python tests/soak/recovery.py                       # 100 thousand against 5 million ticks, then 10,000 portfolios
    python tests/soak/recovery.py --long 500000 --rounds 3
    python tests/soak/recovery.py --write               # and put the figures into docs/soak.md

Two Kafkas are started from their jars, one with each history. In every round both processes are killed while they work
on the same small backlog, one after the other in changing order, and started again; so what else the machine does
touches both. The exit status is 1 when the longer history takes longer.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
sys.path.insert(2, str(Path(__file__).resolve().parents[1] / "integration"))

import soak_page
from alvh_process import Page, Process, last_poll, rows_read, total
from history import CALENDAR, processors
from kafka_broker import KafkaNodes, end_when_told, start_kafka
from soak_market import RECORDS, Market, batches, book

from processors.feeds.feed import records_of
from processors.stream.log import Cluster, TopicPartition
from processors.stream.open import open_cluster
from topics.catalog import PROCESSORS, changelog
from topics.times import MINUTE

#: Ticks of the backlog that waits when a process is started.
BACKLOG = 2000
#: The longer history may take so much longer before this is called growth: the noise of a start.
LIMIT = 1.15
PATIENCE = 1800.0
#: What the processors read.
INPUTS = {f"{one.name}/{given.topic}" for one in processors() for given in one.inputs}


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start of a process to its pages, to ready, to caught up; and those spent in restoring."""

    pages: float
    ready: float
    caught_up: float
    restore: float


@dataclass(slots=True)
class Place:
    """A Kafka with a history, and the process that works on it."""

    nodes: KafkaNodes
    cluster: Cluster
    process: Process
    market: Market
    fed: int = 0

    def feed(self, ticks: int) -> None:
        """Put so many more ticks into the log."""
        for session in self.market.sessions(ticks):
            for outs, rows in batches(session):
                self.cluster.publish(outs)
                self.fed += rows

    def settle(self) -> None:
        """Wait until the process, started just before the first feed, has read all and published what follows."""
        self.process.wait("the end of it", lambda: rows_read(self.process.metrics()) >= self.fed, PATIENCE, 0.5)
        self.quiet()

    def quiet(self) -> None:
        """Wait until nothing is left to read and every processor polls without news."""
        seen: list[float] = []
        polled: set[float] = set()

        def still() -> bool:
            page = self.process.metrics()
            outputs = total(page, "alvh_outputs_total")
            if not seen or outputs != seen[-1] or not caught_up(page):
                seen.append(outputs)
                polled.clear()
            polled.add(last_poll(page))
            return len(polled) > 5

        self.process.wait("quiet", still, PATIENCE, 1.0)

    def portfolios(self, count: int) -> None:
        """Publish portfolios, and wait until the hedge knows them all and has looked at each in one more session."""
        as_of = self.cluster_time()
        outs = [out for n in range(count) for out in records_of(book(f"q{n:05d}", n, as_of), single=True)]
        for at in range(0, len(outs), RECORDS):
            self.cluster.publish(outs[at : at + RECORDS])
        self.process.wait(
            "the portfolios", lambda: total(self.process.metrics(), "alvh_portfolios") >= count, PATIENCE, 0.5
        )
        self.cluster.publish(self.market.session().outs)
        self.quiet()

    def cluster_time(self) -> int:
        """An event time behind the newest session."""
        return CALENDAR.vix_close_ts(CALENDAR.previous_session(self.market.day)) + MINUTE

    def kill_and_start(self, rng: random.Random, *, backlog: bool = True) -> Start:
        """Kill the process, with a backlog while it works on it, start it again, and time it until it is caught up."""
        if backlog:
            self.cluster.publish(self.market.session().outs)
            time.sleep(rng.uniform(0.0, 0.2))
        self.process.kill()
        begun = time.monotonic()
        self.process.start("all")
        self.process.wait("the pages", lambda: bool(self.process.metrics()), PATIENCE, 0.01)
        pages = time.monotonic() - begun
        self.process.wait("ready", self.process.ready, PATIENCE, 0.01)
        ready = time.monotonic() - begun
        self.process.wait("the end of the backlog", lambda: caught_up(self.process.metrics()), PATIENCE, 0.05)
        whole = time.monotonic() - begun
        return Start(pages, ready, whole, total(self.process.metrics(), "alvh_restore_seconds_sum"))

    def changelogs(self) -> tuple[int, int]:
        """Records that a start reads, and their bytes."""
        records = [r for name in PROCESSORS for r in self.cluster.read(TopicPartition(changelog(name), 0))]
        return len(records), sum(len(r.key or b"") + len(r.value or b"") for r in records)


def caught_up(page: Page) -> bool:
    """Every processor knows how far each of its inputs reaches, and nothing is left to read or to be processed."""
    labels = [dict(given) for name, given in page if name == "alvh_lag_records"]
    known = {f"{given['processor']}/{given['topic']}" for given in labels}
    left = total(page, "alvh_lag_records") + total(page, "alvh_buffered_records")
    return known == INPUTS and left == 0


@contextmanager
def place(ticks: int, session: int) -> Iterator[Place]:
    """A Kafka whose history has so many ticks, all worked off, with the process idle."""
    with ExitStack() as cleanup:
        nodes = cleanup.enter_context(start_kafka())
        url = f"kafka://{nodes.bootstrap}"
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="alvh-recovery-")))
        # many commits: what grows with history, if anything does, is the changelog
        process = Process(url, folder, {"ALVH_COMMIT_INTERVAL_SECONDS": "0.02", "ALVH_WATCHDOG_SECONDS": "900"})
        cleanup.callback(process.end)
        process.call("topics", "apply")
        cluster = cleanup.enter_context(closing(open_cluster(url)))
        made = Place(nodes, cluster, process, Market(session, "blocks", portfolios=20))
        process.start("all")
        made.feed(ticks)
        made.settle()
        made.market.ticks = BACKLOG
        yield made


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", type=int, default=100_000, help="ticks of the short history (default 100000)")
    parser.add_argument("--long", type=int, default=5_000_000, help="ticks of the long one (default 5000000)")
    parser.add_argument("--session", type=int, default=100_000, help="ticks of a session (default 100000)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds (default 7)")
    parser.add_argument("--portfolios", type=int, default=10_000, help="portfolios in the end (default 10000)")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/soak.md")
    given = parser.parse_args()
    end_when_told()
    rng = random.Random(70)
    with place(given.long, given.session) as long, place(given.short, min(given.session, given.short)) as short:
        rounds = []
        lengths = [one.changelogs() for one in (short, long)]
        for number in range(given.rounds):
            order = (short, long) if number % 2 else (long, short)
            starts = {id(one): one.kill_and_start(rng) for one in order}
            rounds.append((starts[id(short)], starts[id(long)]))
            print(rounds[-1], file=sys.stderr, flush=True)
        short.portfolios(given.portfolios)
        many = [short.kill_and_start(rng, backlog=False) for _ in range(given.rounds)]
        lengths.append(short.changelogs())
    text, kept = report(given, rounds, many, lengths)
    print(text)
    if given.write:
        soak_page.write("recovery", text)
    return 0 if kept else 1


def report(
    given: argparse.Namespace,
    rounds: Sequence[tuple[Start, Start]],
    many: Sequence[Start],
    lengths: Sequence[tuple[int, int]],
) -> tuple[str, bool]:
    """The figures as Markdown, and whether a start takes as long after either history."""
    ratios = {
        name: [getattr(after_long, name) / getattr(after_short, name) for after_short, after_long in rounds]
        for name in ("ready", "caught_up")
    }
    columns = (
        (f"after {given.short:,} ticks", [pair[0] for pair in rounds], lengths[0]),
        (f"after {given.long:,} ticks", [pair[1] for pair in rounds], lengths[1]),
        (f"with {given.portfolios:,} portfolios", many, lengths[2]),
    )
    moments = ("pages", "restore", "ready", "caught_up")
    rows = [
        [
            what,
            *(_spread([getattr(start, name) for start in starts]) for name in moments),
            f"{records:,}",
            f"{size / 1024:,.0f}",
        ]
        for what, starts, (records, size) in columns
    ]
    kept = statistics.median(ratios["caught_up"]) <= LIMIT
    command = "python tests/soak/recovery.py" + "".join(
        f" --{name} {getattr(given, name)}" for name in ("short", "long", "session", "rounds", "portfolios")
    )
    text = [
        f"`{command}`, medians (and ranges) of seconds since the start. {soak_page.machine()}",
        "",
        soak_page.table(
            ("", "pages", "restore", "ready", "caught up", "records restored", "KiB restored"),
            rows,
        ),
        "",
        "Long against short history, round by round: ready "
        f"{_spread(ratios['ready'])}, caught up {_spread(ratios['caught_up'])};"
        f" at most {LIMIT} is allowed for the median: {'kept' if kept else '**not kept**'}.",
    ]
    return "\n".join(text), kept


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    sys.exit(main())
