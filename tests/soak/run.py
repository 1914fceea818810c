"""Soak: millions of ticks through `alvh run all` on a real Kafka, and whether anything grows on the way.

    python tests/soak/run.py                            # ten million ticks; a real broker is started from its jars
    python tests/soak/run.py --ticks 300000 --form singles
    python tests/soak/run.py --write                    # and put the figures into docs/soak.md

The feed keeps at most --ahead ticks in front of the processor, or sends --rate ticks a second. Memory, commit times
and lag are looked at every few seconds from outside of the process. The exit status is 1 when a limit is not kept.
With ALVH_KAFKA_BOOTSTRAP_SERVERS that Kafka is used; its topics are created and written to.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
sys.path.insert(2, str(Path(__file__).resolve().parents[1] / "integration"))

import soak_page
from alvh_process import Process, Sample, buckets, lag, last_poll, rows_read, sample, total
from kafka_broker import end_when_told, start_kafka
from soak_market import Market, batches
from soak_trend import line, quantile, rising, robust_line

from processors.config import Settings
from processors.stream.log import Cluster, Out, TopicPartition
from processors.stream.open import open_cluster
from processors.topic_admin import topic_admin
from topics.catalog import DEAD_LETTERS, MARKET_TICKS
from topics.dead_letter import DeadLetter

MIB = 2**20
MILLION = 1e6
#: The first part of a run, in which pools and caches fill, is not judged.
WARM_UP = 0.2
#: Memory may grow by so many bytes per million ticks after the first fifth, while windows of sessions fill, and after
#: the first half.
MEMORY_LIMITS = ((WARM_UP, MIB), (0.5, MIB / 4))
#: Growth of the median commit over the run, as a share of it, before it is called growth.
COMMIT_LIMIT = 0.10
#: A topic that nobody reads: what one small transaction takes, whatever the processors have to do.
PROBE = "soak.probe"
#: Kept of the ticks on disk.
RETENTION = {"retention.bytes": str(512 * MIB), "segment.bytes": str(64 * MIB)}
PROCESSORS = ("market", "hedge", "alerts")
STRETCHES = 30
PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A limit, what was found, and whether it is kept."""

    what: str
    found: str
    limit: str
    kept: bool


@dataclass(slots=True)
class Soak:
    """What a run has seen so far."""

    process: Process
    cluster: Cluster
    every: float
    begun: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list)
    fed: int = 0

    def look(self) -> None:
        """Take a sample when one is due."""
        at = time.monotonic() - self.begun
        if not self.samples or at - self.samples[-1].at >= self.every:
            self.samples.append(sample(self.process, at, self._probe()))

    def _probe(self) -> float:
        """Seconds of one small transaction: what the broker and the machine give now."""
        begun = time.monotonic()
        self.cluster.publish([Out(PROBE, None, b"probe")], producer="probe")
        return time.monotonic() - begun

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        """Wait, and take samples meanwhile."""

        def look_and_ask() -> bool:
            self.look()
            return done()

        self.process.wait(what, look_and_ask, PATIENCE, every=0.1)

    def rest(self) -> float:
        """Wait until all that was fed is read, and every processor has polled five times with no news; the lag left."""
        seen: list[tuple[float, ...]] = []
        polled: set[float] = set()

        def still() -> bool:
            page = self.process.metrics()
            now = (rows_read(page), total(page, "alvh_outputs_total"), lag(page))
            if not seen or now != seen[-1] or now[0] < self.fed or total(page, "alvh_buffered_records"):
                seen.append(now)
                polled.clear()
            polled.add(last_poll(page))
            time.sleep(1.0)
            return len(polled) > 5

        self.wait("the end of what was fed", still)
        return seen[-1][-1]


def main() -> int:
    """Run, print, and judge."""
    given = _arguments()
    end_when_told()
    market = Market(given.session, given.form, given.portfolios)
    with ExitStack() as cleanup:
        url = f"kafka://{_servers(cleanup)}"
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="alvh-soak-")))
        process = Process(url, folder)
        cleanup.callback(process.end)
        process.call("topics", "apply")
        with topic_admin(Settings(log=url)) as admin:
            admin.change(MARKET_TICKS, RETENTION)
        cluster = cleanup.enter_context(closing(open_cluster(url)))
        process.start("all")
        process.wait("the start", process.ready, 120)
        cluster.create({PROBE: 1})
        soak = Soak(process, cluster, given.every)
        refused, sessions, rest = _feed(soak, market, given)
        last = soak.rest()
        soak.every = 0.0  # once more, whenever the last was
        soak.look()
        status = process.terminate()
        letters = _letters(cluster)
    text, kept = report(soak, Outcome(rest, last, status, refused, letters, sessions), given)
    print(text)
    if given.write:
        soak_page.write("soak", text)
    return 0 if kept else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks", type=int, default=10_000_000, help="how many, at least (default 10000000)")
    parser.add_argument("--form", choices=("blocks", "singles", "mixed"), default="mixed", help="default mixed")
    parser.add_argument("--rate", type=float, default=math.inf, help="ticks a second (default: no limit)")
    parser.add_argument("--ahead", type=int, default=60_000, help="ticks in front of the processor (default 60000)")
    parser.add_argument("--session", type=int, default=100_000, help="ticks of a session (default 100000)")
    parser.add_argument("--portfolios", type=int, default=50, help="portfolios (default 50)")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two looks (default 3)")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/soak.md")
    return parser.parse_args()


def _servers(cleanup: ExitStack) -> str:
    given = os.environ.get("ALVH_KAFKA_BOOTSTRAP_SERVERS")
    return given or cleanup.enter_context(start_kafka()).bootstrap


def _feed(soak: Soak, market: Market, given: argparse.Namespace) -> tuple[Counter[str], int, float]:
    """Feed all sessions: rows that must be refused, sessions, and the lag at rest after the first of them."""
    refused: Counter[str] = Counter()
    sessions, rest = 0, math.nan
    for session in market.sessions(given.ticks):
        refused += session.refused
        sessions += 1
        for outs, rows in batches(session):
            soak.wait("room for more", lambda: rows_read(soak.process.metrics()) >= soak.fed - given.ahead)
            due = soak.begun + (soak.fed + rows) / given.rate
            soak.wait("the time to send", lambda due=due: time.monotonic() >= due)  # type: ignore[misc]
            soak.cluster.publish(outs)
            soak.fed += rows
        if sessions == 1:
            rest = soak.rest()
        newest = soak.samples[-1]
        print(f"{session.day} {soak.fed:,} fed, {newest.uss / MIB:.1f} MiB, lag {newest.lag:.0f}", file=sys.stderr)
    soak.cluster.publish([market.last_word()])
    soak.fed += 1
    return refused, sessions, rest


def _letters(cluster: Cluster) -> Counter[str]:
    """Dead letters by reason."""
    found = cluster.read(TopicPartition(DEAD_LETTERS, 0))
    return Counter(DeadLetter.model_validate_json(record.value or b"").reason for record in found)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run ended with: lag at rest before and after, exit status, refused rows and dead letters, sessions."""

    rest: float
    last: float
    status: int
    refused: Counter[str]
    letters: Counter[str]
    sessions: int


def report(soak: Soak, outcome: Outcome, given: argparse.Namespace) -> tuple[str, bool]:
    """The figures as Markdown, and whether every limit is kept."""
    found = verdicts(soak, outcome)
    samples, page = soak.samples, soak.samples[-1].page
    seconds = samples[-1].at - samples[0].at
    command = f"python tests/soak/run.py --ticks {given.ticks} --form {given.form} --session {given.session}"
    outputs = Counter(
        {
            dict(labels)["topic"]: int(value)
            for (name, labels), value in page.items()
            if name == "alvh_outputs_total" and dict(labels)["topic"] != DEAD_LETTERS
        }
    )
    published = ", ".join(f"{count:,} {topic}" for topic, count in sorted(outputs.items()))
    text = [
        f"`{command} --portfolios {given.portfolios}`: {soak.fed:,} ticks of {outcome.sessions} sessions in"
        f" {seconds:,.0f} s, {len(samples)} looks. {soak_page.machine()}",
        "",
        soak_page.table(
            ("limit", "found", "allowed", "kept"),
            ((v.what, v.found, v.limit, "yes" if v.kept else "**no**") for v in found),
        ),
        "",
        "By tenth of the run; commits as p50 / p99 milliseconds, the probe as p50, memory as mean MiB:",
        "",
        soak_page.table(
            ("ticks", "ticks/s", "USS", "RSS", *(f"commit {p}" for p in PROCESSORS), "probe", "threads", "files"),
            tenths(samples),
        ),
        "",
        f"Published: {published}. Refused, and found as dead letters: {sum(outcome.refused.values()):,} rows"
        f" ({', '.join(f'{count:,} {reason}' for reason, count in sorted(outcome.refused.items()))}).",
    ]
    return "\n".join(text), all(v.kept for v in found)


def verdicts(soak: Soak, outcome: Outcome) -> list[Verdict]:
    """Every limit."""
    found = []
    for share, limit in MEMORY_LIMITS:
        late = _after(soak, share)
        for name in ("uss", "rss"):
            slope = line([s.ticks / MILLION for s in late], [getattr(s, name) for s in late])
            found.append(
                Verdict(
                    f"slope of {name.upper()} after the first {share:.0%}, KiB per million ticks",
                    f"{slope.value / 1024:+,.0f} ({slope.low / 1024:+,.0f} to {slope.high / 1024:+,.0f})",
                    f"below {limit / 1024:,.0f}",
                    slope.value < limit,
                )
            )
    judged = _after(soak, WARM_UP)
    for name in PROCESSORS:
        at, ratios = commits(judged, name)
        whole = robust_line(at, ratios).times((at[-1] - at[0]) / statistics.median(ratios))
        found.append(
            Verdict(
                f"growth over the run of a commit of {name} against the probe",
                f"{whole.value:+.1%} ({whole.low:+.1%} to {whole.high:+.1%}), p {rising(ratios):.2f}",
                f"not shown to be above {COMMIT_LIMIT:.0%}",
                whole.low <= COMMIT_LIMIT,
            )
        )
    first, last = judged[0], judged[-1]
    read = int(rows_read(last.page))
    sessions = int(total(last.page, "alvh_regimes_total", kind="close"))
    return [
        *found,
        Verdict("lag at rest, records", f"{outcome.last:.0f}", f"{outcome.rest:.0f}", outcome.last == outcome.rest),
        Verdict("ticks read", f"{read:,}", f"{soak.fed:,}", read == soak.fed),
        Verdict("sessions committed", str(sessions), str(outcome.sessions), sessions == outcome.sessions),
        Verdict(
            "dead letters, by reason",
            f"{sum(outcome.letters.values()):,}",
            f"{sum(outcome.refused.values()):,}",
            outcome.letters == outcome.refused,
        ),
        Verdict("threads", str(last.threads), f"{first.threads}", last.threads <= first.threads),
        Verdict("open files", str(last.files), f"{first.files}", last.files <= first.files),
        Verdict("exit status when asked to end", str(outcome.status), "0", outcome.status == 0),
    ]


def _after(soak: Soak, share: float) -> list[Sample]:
    return [s for s in soak.samples if s.ticks >= share * soak.fed]


def commits(samples: Sequence[Sample], processor: str) -> tuple[list[float], list[float]]:
    """Thirty stretches of equally many looks: where they end in millions of ticks, and their median commit and probe.

    The two are given as a ratio: what else the machine does slows both.
    """
    marks = [round(i * (len(samples) - 1) / STRETCHES) for i in range(STRETCHES + 1)]
    at, ratios = [], []
    for start, stop in pairwise(marks):
        middle = quantile(*_commits(samples[start], samples[stop], processor), 0.5)
        if not math.isnan(middle):
            at.append(samples[stop].ticks / MILLION)
            ratios.append(middle / statistics.median(s.probe for s in samples[start : stop + 1]))
    return at, ratios


def tenths(samples: Sequence[Sample]) -> Iterator[list[str]]:
    """A row for each tenth of the ticks."""
    whole = samples[-1].ticks
    for tenth in range(10):
        mine = [s for s in samples if tenth * whole / 10 <= s.ticks <= (tenth + 1) * whole / 10]
        if len(mine) < 2:
            continue
        first, last = mine[0], mine[-1]
        yield [
            f"{last.ticks:,.0f}",
            f"{(last.ticks - first.ticks) / (last.at - first.at):,.0f}",
            f"{statistics.fmean(s.uss for s in mine) / MIB:,.1f}",
            f"{statistics.fmean(s.rss for s in mine) / MIB:,.1f}",
            *(
                " / ".join(f"{1e3 * quantile(*_commits(first, last, name), share):,.0f}" for share in (0.5, 0.99))
                for name in PROCESSORS
            ),
            f"{1e3 * statistics.median(s.probe for s in mine):,.0f}",
            str(max(s.threads for s in mine)),
            str(max(s.files for s in mine)),
        ]


def _commits(before: Sample, after: Sample, processor: str) -> tuple[dict[float, float], dict[float, float]]:
    name = "alvh_commit_seconds"
    return buckets(before.page, name, processor=processor), buckets(after.page, name, processor=processor)


if __name__ == "__main__":
    sys.exit(main())
