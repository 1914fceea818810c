"""The processors of one process: each in a thread of its own over one log, with health pages and a watchdog.

The process is crash-only. What it cannot mend ends it with status 70, whatever the other threads do; started again it
goes on from the last commit. A signal ends it in order: finish the batch, commit, leave, status 0.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from types import FrameType
from typing import Final, NoReturn

from prometheus_client import CollectorRegistry

from processors.alerter import Alerter
from processors.config import Settings
from processors.errors import EXIT_FATAL, EXIT_USAGE, Fatal, UserError
from processors.feeds.topics import create_topics
from processors.hedger import Hedger
from processors.market import Market
from processors.sessions.engine import Pace
from processors.stream.health import Health, HealthServer, Watchdog
from processors.stream.lifecycle import Lifecycle
from processors.stream.log import Cluster, Member
from processors.stream.metrics import Metrics
from processors.stream.open import open_cluster
from processors.stream.processor import Processor
from processors.stream.runner import Runner
from topics.calibration import Calibration
from topics.catalog import DEAD_LETTERS, PROCESSORS, changelog
from topics.times import SECOND

logger = logging.getLogger("alvh.run")

#: Seconds between two looks of the main thread at the others; a signal is seen at once.
_LOOK: Final = 0.2


def processors_for(names: Sequence[str], calibration: Calibration, settings: Settings) -> tuple[Processor, ...]:
    """The processors of these names, in the order in which data flow through them; ``all`` names every one.

    Raises UserError for a name that is none of them.
    """
    makers: Mapping[str, Callable[[], Processor]] = {
        "market": lambda: Market(calibration, settings.partitions, pace_of(settings), settings.future_seconds * SECOND),
        "hedge": lambda: Hedger(calibration, regime_max_idle=settings.regime_max_idle_seconds),
        "alerts": lambda: Alerter(settings.partitions),
    }
    unknown = [name for name in names if name not in makers and name != "all"]
    if unknown or not names:
        given = ", ".join(repr(name) for name in unknown) or "nothing"
        raise UserError(f"{given} given as processors; allowed: {', '.join(PROCESSORS)}, or all")
    return tuple(makers[name]() for name in PROCESSORS if name in names or "all" in names)


def pace_of(settings: Settings) -> Pace:
    """The event-time settings of the market processor."""
    return Pace(
        late=settings.late_seconds * SECOND,
        evaluation=settings.evaluation_interval_seconds * SECOND,
        close_grace=settings.close_grace_seconds * SECOND,
        official_wait=settings.official_wait_seconds * SECOND,
    )


def connect(settings: Settings) -> Cluster:
    """The log that the settings name, with their deadlines."""
    return open_cluster(
        settings.log,
        security=settings.security,
        deadline=settings.call_deadline_seconds,
        transaction_timeout=settings.transaction_timeout_seconds,
        session_timeout=settings.session_timeout_seconds,
        max_records=settings.max_poll_records,
    )


def member_of(processor: Processor, settings: Settings) -> Member:
    """Who a processor of this deployment is to the log."""
    return Member(f"alvh.{processor.name}", settings.instance, tuple(given.topic for given in processor.inputs))


def topics_of(processor: Processor) -> tuple[str, ...]:
    """Every topic that a processor reads or writes."""
    inputs = (given.topic for given in processor.inputs)
    return (*inputs, *processor.outputs, DEAD_LETTERS, changelog(processor.name))


def prepare_topics(cluster: Cluster, settings: Settings, needed: Iterable[str]) -> None:
    """Make sure that every topic that is needed is there with as many partitions as the settings say.

    In a file or in memory all are made. On Kafka a person decides: UserError when one is missing, Denied when this
    user may not use it.
    """
    if not settings.log.startswith("kafka://"):
        create_topics(cluster, settings.partitions)
        return
    names = sorted(set(needed))
    existing = cluster.topics(names)
    if missing := [name for name in names if name not in existing]:
        raise UserError(
            f"{settings.log} has no topic {', '.join(missing)}; `alvh topics apply` creates what is missing"
        )
    if wrong := [f"{name} {existing[name]}" for name in names if existing[name] != settings.partitions]:
        raise UserError(
            f"every topic needs the {settings.partitions} partitions that the setting `partitions` says; on"
            f" {settings.log} these have others: {', '.join(wrong)}. Set `partitions` to what is there."
        )


def run(names: tuple[str, ...], settings: Settings) -> int:
    """Run the processors until a signal comes, and return the exit status. A fatal error ends the process instead.

    Raises UserError for names, topics or an address of the health pages that cannot be used.
    """
    processors = processors_for(names, settings.load_calibration(), settings)
    with closing(connect(settings)) as cluster:
        prepare_topics(cluster, settings, (topic for p in processors for topic in topics_of(p)))
    registry = CollectorRegistry()
    metrics = {p.name: Metrics(p.name, p.metrics, registry) for p in processors}

    def changed(name: str, entered: Lifecycle) -> None:
        for state in Lifecycle:
            metrics[name].set("alvh_lifecycle", float(state is entered), state.value)
        metrics[name].set("alvh_lifecycle_timestamp_seconds", time.time())

    for each in metrics.values():
        each.set("alvh_start_timestamp_seconds", time.time())

    health = Health(metrics, seconds=settings.watchdog_seconds, changed=changed)
    stop = threading.Event()
    threads = [
        threading.Thread(
            target=_work, args=(p, settings, metrics[p.name], health, stop), name=f"alvh-{p.name}", daemon=True
        )
        for p in processors
    ]
    with ExitStack() as open_now:
        open_now.enter_context(HealthServer(health, registry, host=settings.http_host, port=settings.http_port))
        open_now.enter_context(Watchdog(health))
        open_now.enter_context(_signals(stop))
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(_LOOK)
    return 0


def _work(processor: Processor, settings: Settings, metrics: Metrics, health: Health, stop: threading.Event) -> None:
    """One processor's thread, with connections of its own. Whatever it cannot mend ends the process."""
    name = processor.name
    try:
        with closing(connect(settings)) as cluster:
            runner = Runner(
                cluster.member(member_of(processor, settings)),
                processor,
                metrics,
                commit_interval=settings.commit_interval_seconds,
                enter=lambda state: health.enter(name, state),
                tick=lambda: health.tick(name),
                stall_seconds=settings.stall_seconds,
                give_up_seconds=settings.watchdog_seconds,
                quiet=lambda stalled, held: health.quiet(name, stalled, held),
            )
            runner.run(stop.is_set, settings.poll_timeout_seconds)
    except UserError as error:
        logger.critical("%s cannot run: %s", name, error)
        _end(EXIT_USAGE)
    except Fatal as error:
        logger.critical("%s ends, to be started again: %s: %s", name, type(error).__name__, error)
        _end(EXIT_FATAL)
    except BaseException:
        logger.critical("%s ends by an error that nobody foresaw", name, exc_info=True)
        _end(EXIT_FATAL)


def _end(status: int) -> NoReturn:
    """End the process now. The other threads hold nothing that is not in the log or can be computed again."""
    logging.shutdown()
    os._exit(status)


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """The first SIGTERM or SIGINT sets ``stop``, the second ends the process. Only the main thread can be told."""

    def asked(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            _end(128 + number)
        logger.info("%s: finishing, then leaving; again to end at once", signal.Signals(number).name)
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
