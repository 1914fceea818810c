"""The demo: two years with the shock of February 2018, from a feed to alerts, in one process and on one machine.

It is the running system in small: a feed and three processors in threads of their own, coupled by nothing but topics in
a SQLite file in a temporary directory, which is gone at the end.
"""

from __future__ import annotations

import hashlib
import json
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import Any, Final

from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from processors.alerter import Alerter
from processors.errors import UserError
from processors.feeds.feed import FeedReport, feed
from processors.feeds.history import LAST_SESSION, sessions, write_history
from processors.feeds.pace import Timetable
from processors.feeds.topics import create_topics
from processors.hedger import Hedger
from processors.market import Market
from processors.stream.log import Cluster, Member, TopicPartition
from processors.stream.metrics import Metrics
from processors.stream.open import open_cluster
from processors.stream.processor import Processor
from processors.stream.runner import Runner
from processors.view import STATE_STYLES, SVG_FORMAT, WIDTH, View, event_line, layer_text, packages_text, study_text
from topics.calibration import Calibration
from topics.catalog import (
    ALERTS,
    DEAD_LETTERS,
    HEDGE_REBALANCES,
    HEDGE_REGIMES,
    REGIME_STATES,
    REGIME_TRANSITIONS,
)
from topics.message import STATES

FIRST: Final = date(2017, 6, 1)
LAST: Final = LAST_SESSION
#: Sessions before the window, fed at once so that every signal is there when the window begins.
WARM_UP: Final = timedelta(days=515)

#: The days that pass slowly, and how many seconds each session takes there and elsewhere.
SHOCK: Final = (date(2018, 1, 30), date(2018, 2, 12))
_SLOW, _FAST = 0.9, 0.06

#: What is shown and counted. Sessions are read from hedge.regimes: regime.states keeps the newest one alone.
_OUTPUTS: Final = (HEDGE_REGIMES, REGIME_TRANSITIONS, HEDGE_REBALANCES, ALERTS, DEAD_LETTERS)
_BLOCK_ROWS: Final = 512
_FRAME: Final = 0.1
_EXIT_INTERRUPTED: Final = 130


def demo(
    *,
    first: date = FIRST,
    last: date = LAST,
    speed: float | None = 1.0,
    svg: Path | None = None,
    console: Console | None = None,
) -> int:
    """Play the recorded history from ``first`` to ``last`` and return the exit status: 0, or 130 when interrupted.

    On a terminal it takes about 35 seconds with a live view; elsewhere it runs at full speed and writes lines.

    Args:
        first, last: sessions to show, from 2014-01-03 to 2018-12-31.
        speed: multiplies the pace on a terminal; None is as fast as possible.
        svg: write the last screen there as SVG.
        console: where to show it.

    Raises UserError for a window, speed or file that cannot be used.
    """
    screen = console or Console()
    days = sessions(first, last)
    if len(days) < 2:
        raise UserError(f"{first} to {last} holds {len(days)} session; give at least 2.")
    if speed is not None and not speed > 0:
        raise UserError(f"a speed of {speed} is not possible; give a number above 0, 2 for twice as fast, or `max`.")
    if svg is not None and not svg.parent.is_dir():
        raise UserError(f"{svg}: there is no directory {svg.parent}; make it, or give another file.")
    pace = _timetable(days, speed) if speed is not None and screen.is_terminal else None
    with _interruptible():
        try:
            with tempfile.TemporaryDirectory(prefix="alvh-demo-") as folder:
                play = _Play(Path(folder), days, pace, screen)
                play.run()
            play.summary(screen)
            if svg is not None:
                _write_svg(play.view, svg)
                screen.print(f"The last screen is in {svg}.", highlight=False)
        except KeyboardInterrupt:
            screen.print("Interrupted; every thread has ended and the temporary files are gone.", highlight=False)
            return _EXIT_INTERRUPTED
    return 0


def _timetable(days: list[date], speed: float) -> Timetable:
    """Noon UTC of each session, and when it is reached: quick, but for the days of the shock."""
    moments, seconds, at = [], [], 0.0
    for day in days:
        moments.append(_noon(day))
        seconds.append(at / speed)
        at += _SLOW if SHOCK[0] <= day <= SHOCK[1] else _FAST
    return Timetable([*moments, moments[-1] + 86_400 * 10**9], [*seconds, at / speed])


def _noon(day: date) -> int:
    return ((day - date(1970, 1, 1)).days * 86_400 + 43_200) * 10**9


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM interrupts as Ctrl-C does, and only once: what follows puts things in order undisturbed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise KeyboardInterrupt

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class _Stage:
    """One thread: what it does, what it counts, and whether it has done all there was to do."""

    name: str
    work: Callable[[_Stage], None]
    metrics: Metrics | None = None
    done: threading.Event = field(default_factory=threading.Event)


class _Play:
    """One run: the threads, and what the main thread reads of their outputs."""

    def __init__(self, folder: Path, days: list[date], pace: Timetable | None, screen: Console) -> None:
        self.view = View()
        self.days = days
        self._folder = folder
        self._url = f"sqlite://{folder / 'demo.sqlite'}"
        self._pace = pace
        self._screen = screen
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._report: FeedReport | None = None
        self._fed = 0
        self._stages: list[_Stage] = []
        self._started = time.monotonic()
        self._next = dict.fromkeys(_OUTPUTS, 0)
        self._counts: Counter[str] = Counter()
        self._lines: dict[str, list[bytes]] = {topic: [] for topic in _OUTPUTS}
        self._states: list[dict[str, Any]] = []
        self._events: list[tuple[str, dict[str, Any]]] = []

    def run(self) -> None:
        """Feed, process and show until everything is through. KeyboardInterrupt after all threads have ended."""
        screen = self._screen
        screen.print(
            Text(
                "An educational demo of the software. It is no investment advice, and it sends no orders.", style="bold"
            )
        )
        write_history(self._folder / "recording", self.days[0] - WARM_UP, self.days[-1], self.days[0])
        with closing(open_cluster(self._url)) as cluster:
            create_topics(cluster, 1)
            self._start()
            try:
                if screen.is_terminal:
                    with Live(self.view.render(), console=screen, auto_refresh=False, transient=False) as live:
                        self._watch(cluster, lambda: live.update(self.view.render(), refresh=True))
                else:
                    self._watch(cluster, lambda: None)
            finally:
                self._stop.set()
                for thread in threading.enumerate():
                    if thread.name.startswith("alvh-demo-"):
                        thread.join()
        if self._error is not None:
            raise self._error

    # Threads

    def _start(self) -> None:
        calibration = Calibration()
        upstream = _Stage("feed", self._feed)
        self._stages = [upstream]
        # Portfolios wait for regimes however long they take: what comes out must not depend on the pace.
        chain: tuple[Processor, ...] = (Market(calibration), Hedger(calibration, regime_max_idle=3600.0), Alerter())
        for processor in chain:
            metrics = Metrics(processor.name, processor.metrics, CollectorRegistry())
            stage = _Stage(processor.name, self._processing(processor, metrics, upstream.done), metrics)
            self._stages.append(stage)
            upstream = stage
        for stage in self._stages:
            threading.Thread(target=self._guarded, args=(stage,), name=f"alvh-demo-{stage.name}", daemon=True).start()

    def _guarded(self, stage: _Stage) -> None:
        try:
            stage.work(stage)
        except BaseException as error:  # whatever it is, the main thread must know and say it
            self._error = self._error or error
            self._stop.set()
        finally:
            stage.done.set()

    def _feed(self, stage: _Stage) -> None:
        def progress(rows: int, reached: int, share: float) -> None:
            self._fed = rows

        with closing(open_cluster(self._url)) as cluster:
            self._report = feed(
                self._folder / "recording",
                cluster,
                block_size=_BLOCK_ROWS,
                pace=self._pace,
                progress=progress,
                stop=self._stop.is_set,
            )

    def _processing(self, processor: Processor, metrics: Metrics, before: threading.Event) -> Callable[[_Stage], None]:
        def work(stage: _Stage) -> None:
            with closing(open_cluster(self._url)) as cluster:
                inputs = tuple(given.topic for given in processor.inputs)
                runner = Runner(cluster.member(Member(f"alvh.{processor.name}", "demo", inputs)), processor, metrics)
                try:
                    while not before.is_set() and not self._stop.is_set():
                        runner.step(0.05)
                    if not self._stop.is_set():
                        runner.drain(exhausted=True)
                finally:
                    runner.close()

        return work

    # What is shown

    def _watch(self, cluster: Cluster, draw: Callable[[], None]) -> None:
        """Read the outputs and show them until every stage is done. The last look sees everything."""
        while True:
            finished = all(stage.done.is_set() for stage in self._stages)
            self._read(cluster)
            self.view.rates = self._rates()
            self.view.phase = self._phase(finished)
            draw()
            if finished:
                return
            time.sleep(_FRAME)

    def _read(self, cluster: Cluster) -> None:
        """Take up what has come, in the order of events."""
        found: list[tuple[str, dict[str, Any]]] = []
        for topic in _OUTPUTS:
            for record in cluster.read(TopicPartition(topic, 0), self._next[topic]):
                self._next[topic] = record.offset + 1
                value = record.value or b""
                self._lines[topic].append(value + b"\n")
                document = json.loads(value)
                if "expiries" not in document:  # an option chain is not shown
                    found.append((topic, document))
        found.sort(key=lambda entry: str(entry[1]["event_ts"]))
        for topic, document in found:
            self._take(topic, document)

    def _take(self, topic: str, document: dict[str, Any]) -> None:
        day = document.get("session_date") or document["event_ts"][:10]
        session = topic == HEDGE_REGIMES and document["kind"] == "close"
        in_window = day >= self.days[0].isoformat()
        self.view.take(REGIME_STATES if session else topic, document, quiet=not in_window)
        if not in_window:
            return
        self._counts[topic] += 1
        if session:
            self._states.append(document)
        elif topic in (REGIME_TRANSITIONS, HEDGE_REBALANCES):
            self._events.append((topic, document))
            if not self._screen.is_terminal:
                self._screen.print(event_line(topic, document), soft_wrap=True)

    def _phase(self, finished: bool) -> str:
        if finished:
            return "the end"
        if not self._states:
            return f"warming up before {self.days[0]}"
        day = date.fromisoformat(self._states[-1]["session_date"])
        return "slow motion: February 2018" if self._pace and SHOCK[0] <= day <= SHOCK[1] else "playing"

    def _rates(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-9)
        commits = {
            stage.name: _sample(stage.metrics, "alvh_commits_total", outcome="committed") for stage in self._stages[1:]
        }
        lag = sum(_lag(stage.metrics) for stage in self._stages[1:])
        words = ", ".join(f"{name} {count:.0f}" for name, count in commits.items())
        rate = f"{self._fed:,} ticks, {self._fed / seconds:,.0f}/s"
        return f"{rate}   commits: {words}   lag {lag:.0f} records   exactly once"

    # At the end

    def summary(self, screen: Console) -> None:
        """Say what happened, and where to look next."""
        states = Counter(document["state"] for document in self._states)
        total = max(states.total(), 1)
        table = Table(title=f"{self.days[0]} to {self.days[-1]}", title_justify="left")
        table.add_column("state")
        table.add_column("sessions", justify="right")
        table.add_column("share", justify="right")
        for state in STATES:
            table.add_row(
                Text(state, style=STATE_STYLES[state]), str(states[state]), f"{100 * states[state] / total:.1f} %"
            )
        table.add_row("all", str(states.total()), "")
        screen.print(table)
        self._print_transitions(screen)
        self._print_shock(screen)
        rebalances, dead = self._counts[HEDGE_REBALANCES], self._counts[DEAD_LETTERS]
        lines = (
            f"{states.total()} sessions, {self._counts[REGIME_TRANSITIONS]} changes of state, {rebalances} rebalances,"
            f" {self._counts[ALERTS]} alerts, {dead} dead letters",
            f"digest of all outputs {self.digest()}, the same in every run",
            "",
            "Where to look next",
            "  alvh replay DIR --out OUT        the same processors over your own recording, into files",
            "  alvh feed DIR; alvh run all      the running system over one SQLite file",
            "  alvh tail hedge.rebalances -f    what comes out of it",
            "  alvh --help                      everything else",
            "  alvh explain --last              the newest rebalance as one page: what, why, limits, evidence",
            "",
            "SPX and VIX are real closes; VVIX is missing; the VX curve, VIX3M and all option prices are modelled:",
            "the rebalances are a study, not to be acted on. No investment advice.",
        )
        for line in lines:
            screen.print(line, highlight=False, soft_wrap=True)

    def digest(self) -> str:
        """SHA-256 over the SHA-256 of every output topic, warm-up included.

        Alerts and dead letters are taken in sorted order: several processors have a part in them, and which of these is
        quicker changes their order there, though never what they say.
        """
        whole = hashlib.sha256()
        for topic, lines in sorted(self._lines.items()):
            content = hashlib.sha256()
            for line in sorted(lines) if topic in (ALERTS, DEAD_LETTERS) else lines:
                content.update(line)
            whole.update(f"{topic} {content.hexdigest()}\n".encode())
        return "sha256:" + whole.hexdigest()

    def _print_transitions(self, screen: Console) -> None:
        changes = [document for topic, document in self._events if topic == REGIME_TRANSITIONS]
        text = Text("changes of state: ")
        for i, change in enumerate(changes):
            text.append(", " if i else "")
            text.append(change["event_ts"][:10] + " ")
            text.append(change["state"], style=STATE_STYLES[change["state"]])
        screen.print(text)

    def _print_shock(self, screen: Console) -> None:
        """The sessions of the shock, line by line, when they are in the window."""
        begin, end = date(2018, 2, 1).isoformat(), SHOCK[1].isoformat()
        days = [document for document in self._states if begin <= document["session_date"] <= end]
        if not days:
            return
        screen.print(Text("February 2018", style="bold"))
        for document in days:
            features = document["features"]
            screen.print(
                Text.assemble(
                    f"  {document['session_date']}  SPX {features['spx']:>8.2f}  VIX {features['vix']:>5.2f}  ",
                    f"ratio {features['ratio']:.3f}  score {document['score']:>5.1f}  ",
                    (document["state"], STATE_STYLES[document["state"]]),
                ),
                soft_wrap=True,
            )
        for topic, document in self._events:
            if topic == HEDGE_REBALANCES and begin <= document["event_ts"][:10] <= end:
                words = f"  {document['event_ts'][:10]}  {study_text(document)}{document['state']}: "
                words += f"{layer_text(document['targets'])}; {packages_text(document)}"
                screen.print(words, highlight=False, markup=False, soft_wrap=True)


def _sample(metrics: Metrics | None, name: str, **labels: str) -> float:
    if metrics is None:
        return 0.0
    return metrics.registry.get_sample_value(name, {"processor": metrics.processor, **labels}) or 0.0


def _lag(metrics: Metrics | None) -> float:
    if metrics is None:
        return 0.0
    samples = (sample for family in metrics.registry.collect() for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == "alvh_lag_records")


def _write_svg(view: View, file: Path) -> None:
    """The screen as SVG with nothing in it that would be fetched from elsewhere."""
    page = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor")
    page.print(view.render())
    text = page.export_svg(title="alvh demo", code_format=SVG_FORMAT, unique_id="alvh")
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error}).") from error
