"""Metrics: what is counted, declared once, and a registry that holds the counts.

Names follow the Prometheus conventions: prefix ``alvh_``, base units, ``_total`` for counters. Children are kept, so
that counting on the hot path is one dictionary look-up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics


@dataclass(frozen=True, slots=True)
class Metric:
    """A declared metric. ``labels`` come after the label ``processor``, which every metric has."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    about: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


# The time at which each child was made is of no use here and would double the page.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: What the runtime itself counts, for every processor.
STREAM_METRICS: tuple[Metric, ...] = (
    Metric("alvh_records_total", "counter", "Records read, by outcome: used or refused.", ("topic", "outcome")),
    Metric("alvh_rows_total", "counter", "Rows read: one a single message, many a tick block.", ("topic",)),
    Metric("alvh_dead_letters_total", "counter", "Inputs sent to dead.letters.", ("topic", "reason")),
    Metric("alvh_outputs_total", "counter", "Records committed to output topics.", ("topic",)),
    Metric("alvh_commits_total", "counter", "Transactions, by outcome: committed or rebalanced.", ("outcome",)),
    Metric("alvh_commit_seconds", "histogram", "Time of one commit.", (), _SECONDS),
    Metric("alvh_process_seconds", "histogram", "Time of one batch through the task.", (), _SECONDS),
    Metric(
        "alvh_end_to_end_seconds",
        "histogram",
        "Wall time from the writing of the newest record of a commit to that commit.",
        (),
        (*_SECONDS, 30.0, 60.0, 300.0, 3600.0),
    ),
    Metric("alvh_restore_seconds", "histogram", "Time to restore one partition's state.", (), _SECONDS),
    Metric("alvh_restore_records_total", "counter", "Changelog records read to restore state."),
    Metric("alvh_assignments_total", "counter", "Times the group gave partitions to this member.", ()),
    Metric("alvh_assignment_timestamp_seconds", "gauge", "Wall time of the last of these, Unix seconds."),
    Metric(
        "alvh_lag_records",
        "gauge",
        "Offsets between what was read and the end of the log, transaction markers included.",
        ("topic", "partition"),
    ),
    Metric(
        "alvh_partition_stalled",
        "gauge",
        "1 while a partition has something to read and stands, without a reason, for too long.",
        ("topic", "partition"),
    ),
    Metric(
        "alvh_partition_stalled_seconds",
        "gauge",
        "Seconds that a partition with something to read stands without a reason.",
        ("topic", "partition"),
    ),
    Metric(
        "alvh_partition_held",
        "gauge",
        "1 while there is a reason not to read on: another_input, or open_transaction of another producer.",
        ("topic", "partition", "reason"),
    ),
    Metric("alvh_buffered_records", "gauge", "Records read that wait for another input.", ("topic", "partition")),
    Metric("alvh_stream_time_seconds", "gauge", "Event time reached, Unix seconds.", ("topic", "partition")),
    Metric("alvh_last_poll_timestamp_seconds", "gauge", "Wall time of the last poll, Unix seconds.", ()),
    Metric("alvh_lifecycle", "gauge", "1 for the state the processor is in, 0 for the others.", ("state",)),
    Metric("alvh_lifecycle_timestamp_seconds", "gauge", "Wall time at which it entered that state, Unix seconds."),
    Metric("alvh_start_timestamp_seconds", "gauge", "Wall time at which the process started, Unix seconds."),
)


class Metrics:
    """The counts of one processor in one registry."""

    def __init__(
        self, processor: str, metrics: Iterable[Metric] = (), registry: CollectorRegistry | None = None
    ) -> None:
        self.processor = processor
        self.registry = registry if registry is not None else CollectorRegistry()
        self.declared = (*STREAM_METRICS, *metrics)
        self._families: dict[str, Counter | Gauge | Histogram] = {}
        for metric in self.declared:
            self._families[metric.name] = _family(metric, self.registry)
        self._children: dict[tuple[str, ...], Counter | Gauge | Histogram] = {}

    def inc(self, name: str, amount: float = 1, *labels: str) -> None:
        """Add ``amount`` to a counter."""
        self._child(name, labels).inc(amount)  # type: ignore[union-attr]

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        self._child(name, labels).set(value)  # type: ignore[union-attr]

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add an observation to a histogram."""
        self._child(name, labels).observe(value)  # type: ignore[union-attr]

    def forget(self, name: str, *labels: str) -> None:
        """Drop every child of a metric whose first labels are these."""
        start = (name, *labels)
        for key in [key for key in self._children if key[: len(start)] == start]:
            del self._children[key]
            self._families[name].remove(self.processor, *key[1:])

    def _child(self, name: str, labels: tuple[str, ...]) -> Counter | Gauge | Histogram:
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._families[name].labels(self.processor, *labels)
        return child


def _family(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    """The family of that name in ``registry``, made when the first processor of a process declares it."""
    known = registry._names_to_collectors.get(metric.name)
    if isinstance(known, Counter | Gauge | Histogram):
        return known
    labels = ("processor", *metric.labels)
    if metric.kind == "counter":
        return Counter(metric.name, metric.about, labels, registry=registry)
    if metric.kind == "gauge":
        return Gauge(metric.name, metric.about, labels, registry=registry)
    return Histogram(metric.name, metric.about, labels, buckets=metric.buckets, registry=registry)
