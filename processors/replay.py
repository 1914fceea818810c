"""A recorded directory through the processors, in one process and without a broker, into files.

It is the same code that runs on a stream: the processors, the runtime and a log in memory. What it writes is a function
of the recording, the calibration and the number of partitions alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import BinaryIO, Final

from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from processors.alerter import Alerter
from processors.errors import UserError
from processors.feeds.feed import records_of, watermarks_of
from processors.feeds.items import Item, Single, rows
from processors.feeds.recorded import Recording, last_times
from processors.feeds.topics import create_topics
from processors.hedger import Hedger
from processors.market import Market
from processors.sessions.engine import Pace
from processors.stream.log import Member, Out, Record, TopicPartition
from processors.stream.memory import MemoryCluster
from processors.stream.metrics import Metrics
from processors.stream.processor import Processor
from processors.stream.runner import Runner
from topics.calibration import Calibration
from topics.catalog import (
    ALERTS,
    CHANGELOGS,
    DEAD_LETTERS,
    HEDGE_REBALANCES,
    HEDGE_REGIMES,
    MACRO_RELEASES,
    MARKET_FLOWS,
    MARKET_TICKS,
    PORTFOLIO_SNAPSHOTS,
    REGIME_MARKS,
    REGIME_STATES,
    REGIME_TRANSITIONS,
)
from topics.message import STATES
from topics.portfolio import Fills, Portfolio
from topics.times import format_ts

#: What is written, one file a topic.
OUTPUTS: Final = (REGIME_STATES, REGIME_MARKS, REGIME_TRANSITIONS, HEDGE_REBALANCES, ALERTS, DEAD_LETTERS)
SUMMARY_FILE: Final = "summary.json"

_KIND: Final = "alvh.replay"
_PARTIAL: Final = ".replay-unfinished"
_BLOCK_ROWS: Final = 2048
#: Rows fed between two turns of the processors.
_TURN_ROWS: Final = 2048
_DAYS_A_YEAR: Final = 365.25



@dataclass(frozen=True, slots=True)
class MarketSummary:
    """The sessions of one market.

    Attributes:
        sessions: committed sessions.
        first_session, last_session: ISO dates.
        share: state to its share of the sessions, 0 to 1.
        changes: calendar year to changes of state.
        changes_a_year: mean over the whole time.
        held: sessions whose state was held because VIX was missing or stale.
    """

    sessions: int
    first_session: str
    last_session: str
    share: dict[str, float]
    changes: dict[str, int]
    changes_a_year: float
    held: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What a replay read and wrote.

    Attributes:
        recording: digest of the recording's files.
        calibration: digest of the calibration.
        partitions: partitions of every topic.
        inputs: rows by kind: ticks, releases, schedules, flows, portfolios; ``unreadable`` are those of the ticks that
            are no ticks.
        outputs: records by topic.
        markets: sessions by market.
        dead_letters: refused inputs by reason.
        digests: SHA-256 of every output file; only they and what is above decide whether two replays are the same.
        digest: SHA-256 over all of ``digests``.
        wall_seconds: how long it took; no part of any digest.
    """

    recording: str
    calibration: str
    partitions: int
    inputs: dict[str, int]
    outputs: dict[str, int]
    markets: dict[str, MarketSummary]
    dead_letters: dict[str, int]
    digests: dict[str, str]
    digest: str
    wall_seconds: float

    def text(self) -> str:
        """The summary as JSON for a file."""
        return json.dumps({"kind": _KIND, "schema_version": 1, **asdict(self)}, indent=2, sort_keys=True) + "\n"

    def table(self) -> Table:
        """The summary for a person."""
        table = Table(title="replay", title_justify="left", show_header=False)
        table.add_row("read", ", ".join(f"{count:,} {kind}" for kind, count in self.inputs.items()))
        table.add_row("written", ", ".join(f"{count:,} {topic}" for topic, count in self.outputs.items()))
        for market, found in self.markets.items():
            share = ", ".join(f"{state} {100 * part:.1f} %" for state, part in found.share.items())
            table.add_row(market, f"{found.sessions:,} sessions, {found.first_session} to {found.last_session}")
            table.add_row("", f"{share}; {found.changes_a_year:.1f} changes of state a year")
        dead = ", ".join(f"{count:,} {reason}" for reason, count in self.dead_letters.items())
        table.add_row("dead letters", dead or "none")
        table.add_row("digest", self.digest)
        table.add_row("took", f"{self.wall_seconds:.1f} s")
        return table


def replay(
    directory: Path,
    out: Path,
    calibration: Calibration,
    *,
    progress: bool = True,
    fills: Fills | None = None,
    partitions: int = 1,
    pace: Pace | None = None,
    regimes: bool = False,
    console: Console | None = None,
) -> Summary:
    """Replay the recording in ``directory`` into files in ``out``, and return what ``summary.json`` says.

    Args:
        directory: what :class:`processors.feeds.recorded.Recording` reads.
        out: made when missing. One that holds anything but an earlier replay's output is refused.
        calibration: strategy numbers.
        progress: show a progress bar on ``console``.
        fills: replaces the ``fills`` of every portfolio: ``assumed`` lets holdings follow the advice,
            ``modelled`` opens options on modelled prices too.
        partitions: partitions of every topic.
        pace: event-time settings of the market processor; its defaults when None.
        regimes: write ``hedge.regimes`` too, which repeats the other regime topics once a partition.
        console: where the progress bar is drawn; standard error by default.

    Files come under their final names together, when all is done: an interrupted replay leaves what was there before.
    Raises UserError for a recording or an output directory that cannot be used.
    """
    started = time.monotonic()
    recording = Recording(directory)
    topics = (*OUTPUTS, HEDGE_REGIMES) if regimes else OUTPUTS
    with _unfinished(out) as folder:
        writer = _Writer(folder, topics, partitions)
        processors = (Market(calibration, partitions, pace), Hedger(calibration), Alerter(partitions))
        play = _Play(processors, partitions, writer, fills)
        try:
            with _bar(recording, progress, console or Console(stderr=True)) as show:
                for item in recording.items(_BLOCK_ROWS):
                    play.take(item)
                    show(play.reached, play.inputs)
                play.finish()
        finally:
            play.close()
            writer.close()
        digests = writer.join()
        summary = Summary(
            recording=recording.identity(),
            calibration=calibration.digest(),
            partitions=partitions,
            inputs=dict(sorted(play.inputs.items())),
            outputs={topic: writer.counts[topic] for topic in topics},
            markets=writer.tally.markets(),
            dead_letters=dict(sorted(writer.tally.dead_letters.items())),
            digests=digests,
            digest=_digest_of(digests),
            wall_seconds=round(time.monotonic() - started, 3),
        )
        (folder / SUMMARY_FILE).write_text(summary.text(), encoding="utf-8")
        _put_in_place(folder, out)
    return summary


class _Play:
    """The processors over a log in memory that forgets what everybody has read."""

    def __init__(
        self, processors: Sequence[Processor], partitions: int, writer: _Writer, fills: Fills | None
    ) -> None:
        self.inputs: Counter[str] = Counter()
        self.reached = 0
        self._fills = fills
        self._partitions = partitions
        self._writer = writer
        self._cluster = MemoryCluster()
        create_topics(self._cluster, partitions)
        self._runners = [self._runner(processor) for processor in processors]
        self._last: dict[str, int] = {}
        self._waiting: list[Out] = []
        self._rows = 0

    def _runner(self, processor: Processor) -> Runner:
        inputs = tuple(given.topic for given in processor.inputs)
        log = self._cluster.member(Member(f"alvh.{processor.name}", "replay", inputs))
        metrics = Metrics(processor.name, processor.metrics, CollectorRegistry())
        # The clock stands still: an input that is waited for is waited for until it comes or all is fed.
        return Runner(log, processor, metrics, clock=lambda: 0.0)

    def take(self, item: Item) -> None:
        """Feed an item, and let the processors run now and then."""
        last_times(item, self._last)
        self._count(item)
        self._waiting += records_of(self._filled(item), single=False)
        self._rows += rows(item)
        if self._rows >= _TURN_ROWS:
            self._turn(exhausted=False)

    def finish(self) -> None:
        """Say that nothing more will come, and let everything that waits be used."""
        self._waiting += watermarks_of(self._last)
        self._turn(exhausted=False)
        self._turn(exhausted=True)

    def close(self) -> None:
        """Leave the log."""
        for runner in self._runners:
            runner.log.end()

    def _count(self, item: Item) -> None:
        if isinstance(item, Single):
            self.inputs[_kind(item)] += 1
            if item.topic == MARKET_TICKS:
                self.inputs["unreadable"] += 1
            self.reached = max(self.reached, item.time)
        else:
            self.inputs["ticks"] += len(item)
            self.reached = max(self.reached, self._last.get(item.market, 0))

    def _filled(self, item: Item) -> Item:
        if self._fills is None or not isinstance(item, Single) or item.topic != PORTFOLIO_SNAPSHOTS:
            return item
        try:
            portfolio = Portfolio.model_validate_json(item.value)
        except ValidationError:
            return item
        return Single(item.topic, item.key, portfolio.model_copy(update={"fills": self._fills}).canonical(), item.time)

    def _turn(self, *, exhausted: bool) -> None:
        if self._waiting:
            self._cluster.publish(self._waiting, producer="replay")
        self._waiting, self._rows = [], 0
        for runner in self._runners:
            runner.drain(exhausted=exhausted)
        self._writer.take(self._cluster)
        self._forget()

    def _forget(self) -> None:
        """Delete what every reader has behind it, and all of the changelogs but the newest state."""
        for topic in CHANGELOGS:
            self._cluster.compact(topic)
        readers: dict[str, list[Runner]] = defaultdict(list)
        for runner in self._runners:
            for given in runner.processor.inputs:
                readers[given.topic].append(runner)
        for topic in (*readers, *(topic for topic in (*OUTPUTS, HEDGE_REGIMES) if topic not in readers)):
            for partition in range(self._partitions):
                tp = TopicPartition(topic, partition)
                read = [runner.log.committed(tp) for runner in readers.get(topic, [])]
                kept = min((position or 0 for position in read), default=self._cluster.end_offset(tp))
                self._cluster.trim(topic, partition, min(kept, self._writer.position(tp, kept)))


#: What a message of a topic is counted as.
_KINDS: Final = {
    MARKET_TICKS: "ticks",
    MACRO_RELEASES: "releases",
    MARKET_FLOWS: "flows",
    PORTFOLIO_SNAPSHOTS: "portfolios",
}


def _kind(single: Single) -> str:
    """What a message is counted as. Schedules share a topic with releases and alone say when something is due."""
    if single.topic == MACRO_RELEASES and b'"scheduled_ts"' in single.value:
        return "schedules"
    return _KINDS[single.topic]


# Files


class _Writer:
    """Output topics to files, one a topic.

    Outputs of several partitions, and dead letters that different processors write, come into the log in an order that
    depends on how the recording was cut. So each has a part of its own, and the parts are joined in a fixed order.
    """

    def __init__(self, folder: Path, topics: Sequence[str], partitions: int) -> None:
        self.counts: Counter[str] = Counter()
        self.tally = _Tally()
        self._folder = folder
        self._topics = topics
        self._partitions = partitions
        self._read: dict[TopicPartition, int] = {}
        self._parts: dict[tuple[str, int, bytes], BinaryIO] = {}

    def take(self, cluster: MemoryCluster) -> None:
        """Write what has come since the last call."""
        for topic in self._topics:
            for partition in range(self._partitions):
                tp = TopicPartition(topic, partition)
                end = cluster.end_offset(tp)
                for record in cluster.read(tp, self._read.get(tp, 0)):
                    value = record.value or b""
                    self._part(topic, partition, _source(record)).write(value + b"\n")
                    self.counts[topic] += 1
                    self.tally.count(topic, value)
                self._read[tp] = end

    def position(self, tp: TopicPartition, otherwise: int) -> int:
        """The next offset to write; ``otherwise`` for a topic that is not written."""
        return self._read.get(tp, otherwise)

    def _part(self, topic: str, partition: int, key: bytes) -> BinaryIO:
        place = (topic, partition, key)
        if place not in self._parts:
            name = f"{topic}.{partition}.{key.hex()}.part"
            self._parts[place] = (self._folder / name).open("wb")
        return self._parts[place]

    def close(self) -> None:
        """Close the parts. Safe to call twice."""
        for part in self._parts.values():
            part.close()

    def join(self) -> dict[str, str]:
        """Join the parts to one file a topic; SHA-256 by file name."""
        self.close()
        digests = {}
        for topic in self._topics:
            file = self._folder / f"{topic}.jsonl"
            content = hashlib.sha256()
            with file.open("wb") as joined:
                for place in sorted(place for place in self._parts if place[0] == topic):
                    part = Path(self._parts[place].name)
                    with part.open("rb") as stream:
                        while block := stream.read(1 << 20):
                            content.update(block)
                            joined.write(block)
                    part.unlink()
            digests[file.name] = "sha256:" + content.hexdigest()
        return digests


def _source(record: Record) -> bytes:
    """What the order of a record is kept within, beside its topic and partition."""
    key = record.key or b""
    if record.topic == DEAD_LETTERS or (record.topic == ALERTS and b'"kind":"dead_letters"' in (record.value or b"")):
        return key
    return b""


def _digest_of(digests: dict[str, str]) -> str:
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


@contextmanager
def _unfinished(out: Path) -> Iterator[Path]:
    """A folder in ``out`` for what is not finished, gone at the end. UserError when ``out`` is not ours to write."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = [entry.name for entry in out.iterdir() if entry.name != _PARTIAL]
    except OSError as error:
        raise UserError(f"{out}: cannot be used as a directory for output ({error}).") from error
    if there and not _is_replay(out / SUMMARY_FILE):
        raise UserError(
            f"{out}: is not empty and holds no earlier replay ({', '.join(sorted(there)[:3])} ...);"
            " nothing was written. Give a new or empty directory."
        )
    folder = out / _PARTIAL
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_replay(summary: Path) -> bool:
    try:
        document = json.loads(summary.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("kind") == _KIND


def _put_in_place(folder: Path, out: Path) -> None:
    """Give the finished files their final names; the summary last, after what an earlier replay left is gone."""
    finished = sorted((file for file in folder.iterdir() if file.name != SUMMARY_FILE), key=lambda file: file.name)
    names = {file.name for file in finished}
    for topic in (*OUTPUTS, HEDGE_REGIMES):
        if f"{topic}.jsonl" not in names:
            (out / f"{topic}.jsonl").unlink(missing_ok=True)
    for file in (*finished, folder / SUMMARY_FILE):
        os.replace(file, out / file.name)


# What is counted


class _Tally:
    """Sessions, changes and dead letters, as they are written."""

    def __init__(self) -> None:
        self.dead_letters: Counter[str] = Counter()
        self._states: dict[str, Counter[str]] = defaultdict(Counter)
        self._sessions: dict[str, list[str]] = {}
        self._held: Counter[str] = Counter()
        self._changes: dict[str, Counter[str]] = defaultdict(Counter)

    def count(self, topic: str, value: bytes) -> None:
        """Count one record of an output topic."""
        if topic == DEAD_LETTERS:
            self.dead_letters[json.loads(value)["reason"]] += 1
        elif topic == REGIME_TRANSITIONS:
            document = json.loads(value)
            self._changes[document["market"]][document["event_ts"][:4]] += 1
        elif topic == REGIME_STATES:
            document = json.loads(value)
            market, day = document["market"], document["session_date"]
            self._states[market][document["state"]] += 1
            self._held[market] += document["held"]
            first, last = self._sessions.setdefault(market, [day, day])
            self._sessions[market] = [min(first, day), max(last, day)]

    def markets(self) -> dict[str, MarketSummary]:
        """The sessions by market."""
        found = {}
        for market, (first, last) in sorted(self._sessions.items()):
            states, changes = self._states[market], self._changes[market]
            sessions = states.total()
            years = ((date.fromisoformat(last) - date.fromisoformat(first)).days + 1) / _DAYS_A_YEAR
            every = range(int(first[:4]), int(last[:4]) + 1)
            found[market] = MarketSummary(
                sessions=sessions,
                first_session=first,
                last_session=last,
                share={state: round(states[state] / sessions, 6) for state in STATES},
                changes={str(year): changes[str(year)] for year in every},
                changes_a_year=round(changes.total() / years, 3),
                held=self._held[market],
            )
        return found


# Progress


class _Show:
    def __init__(self, bar: Progress, task: TaskID, recording: Recording) -> None:
        self._bar = bar
        self._task = task
        self._recording = recording

    def __call__(self, reached: int, inputs: Counter[str]) -> None:
        """Show the event time reached and the rows read."""
        day = format_ts(reached)[:10] if reached else "-"
        text = f"{day}  {inputs['ticks']:,} ticks"
        self._bar.update(self._task, completed=self._recording.fraction, description=text)


@contextmanager
def _bar(recording: Recording, shown: bool, console: Console) -> Iterator[_Show]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        yield _Show(bar, bar.add_task("reading", total=1.0), recording)
