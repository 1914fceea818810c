"""The alerts processor: regimes, rebalances and dead letters in, alerts out. It joins the rules to the stream."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

import numpy as np

from processors.alerts.dead_letters import Burst, dead_letter_alerts
from processors.alerts.degraded import degraded_alerts
from processors.alerts.overdue import overdue_alerts
from processors.alerts.rebalance import rebalance_alerts
from processors.alerts.transition import transition_alert
from processors.stream.log import Out, Record, Records
from processors.stream.metrics import Metric
from processors.stream.partitioner import partition_for
from processors.stream.processor import Alive, Decoded, Input, Run, Segment, unseen
from topics.alert import Alert
from topics.catalog import ALERTS, DEAD_LETTERS, HEDGE_REBALANCES, HEDGE_REGIMES
from topics.codec import JSON_HEADERS, decode, decode_hedge_input
from topics.dead_letter import DeadLetter
from topics.message import canonical_json
from topics.option_chain import OptionChain
from topics.rebalance import Rebalance
from topics.regime import Regime

METRICS: Final = (Metric("alvh_alerts_total", "counter", "Alerts raised or resolved.", ("kind", "severity")),)

_VERSION: Final = 1


class Alerter:
    """The processor ``alerts``.

    ``hedge.regimes`` carries every regime update, closes and marks in one order, once in each of its ``partitions``;
    a market's updates are looked at in the one partition that its key belongs to. Option chains are passed over.
    """

    name = "alerts"
    inputs = (Input(HEDGE_REGIMES), Input(HEDGE_REBALANCES), Input(DEAD_LETTERS))
    outputs = (ALERTS,)
    metrics = METRICS

    def __init__(self, partitions: int = 1) -> None:
        self._partitions = partitions

    def decode(self, record: Record) -> Decoded:
        """A regime, an option chain, a rebalance or a dead letter. Raises Refused for anything else."""
        body: Regime | OptionChain | Rebalance | DeadLetter
        if record.topic == HEDGE_REGIMES:
            body = decode_hedge_input(record.value, record.headers)
        elif record.topic == HEDGE_REBALANCES:
            body = decode(Rebalance, record.value, record.headers)
        else:
            body = decode(DeadLetter, record.value, record.headers)
        return Decoded(np.array([body.event_ts], dtype=np.int64), body)

    def gather(self, records: Records) -> Sequence[Run]:
        """None: each record is a document of its own."""
        return ()

    def task(self, partition: int) -> AlerterTask:
        """A task with no history."""
        return AlerterTask(partition, self._partitions)


class AlerterTask:
    """What has been told in one partition: faults and overdue releases by market, blocks by portfolio, bursts."""

    def __init__(self, partition: int, partitions: int) -> None:
        self._partition = partition
        self._partitions = partitions
        self._faults: dict[str, dict[str, str]] = {}
        self._overdue: dict[str, tuple[str, ...]] = {}
        self._blocked: dict[str, tuple[str, ...]] = {}
        self._bursts: dict[str, Burst] = {}
        self._changed: set[bytes] = set()
        self._counts: Counter[tuple[str, ...]] = Counter()

    def process(self, segments: Sequence[Segment], alive: Alive = unseen) -> list[Out]:
        """The alerts that the segments cause, in order."""
        outs = []
        for segment in segments:
            body = segment.body
            if isinstance(body, OptionChain):
                continue  # what is wrong with it is among what is degraded of the regime
            if isinstance(body, Regime):
                alerts = self._regime(body)
            elif isinstance(body, Rebalance):
                alerts = self._rebalance(body)
            else:
                alerts = self._dead_letter(body)
            for alert in alerts:
                self._counts["alvh_alerts_total", alert.kind, alert.severity] += 1
                critical = alert.severity == "critical"
                outs.append(Out(ALERTS, alert.dedupe_key.encode(), alert.canonical(), JSON_HEADERS, urgent=critical))
        return outs

    def _regime(self, regime: Regime) -> list[Alert]:
        if partition_for(regime.market.encode(), self._partitions) != self._partition:
            return []
        told = self._faults.get(regime.market, {})
        alerts, faults = degraded_alerts(regime, told)
        if faults != told:
            self._faults[regime.market] = faults
            self._changed.add(f"faults/{regime.market}".encode())
        waited = self._overdue.get(regime.market, ())
        if regime.overdue != waited:
            alerts += overdue_alerts(regime, waited)
            self._overdue[regime.market] = regime.overdue
            self._changed.add(f"overdue/{regime.market}".encode())
        transition = transition_alert(regime)
        return alerts if transition is None else [transition, *alerts]

    def _rebalance(self, rebalance: Rebalance) -> list[Alert]:
        before = self._blocked.get(rebalance.portfolio_id, ())
        if rebalance.blocked != before:
            self._blocked[rebalance.portfolio_id] = rebalance.blocked
            self._changed.add(f"blocked/{rebalance.portfolio_id}".encode())
        return rebalance_alerts(rebalance, before)

    def _dead_letter(self, letter: DeadLetter) -> list[Alert]:
        key = f"{letter.topic}/{letter.reason}"
        alerts, self._bursts[key] = dead_letter_alerts(letter, self._bursts.get(key))
        self._changed.add(f"burst/{key}".encode())
        return alerts

    def snapshot(self) -> Mapping[bytes, bytes | None]:
        """What was told under the keys that changed."""
        changed: dict[bytes, bytes | None] = {}
        for key in sorted(self._changed):
            kind, _, name = key.decode().partition("/")
            told: object
            if kind == "faults":
                told = self._faults[name]
            elif kind == "overdue":
                told = self._overdue[name]
            elif kind == "blocked":
                told = self._blocked[name]
            else:
                told = asdict(self._bursts[name])
            changed[key] = canonical_json({"version": _VERSION, "told": told})
        self._changed.clear()
        return changed

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back what was told under one key. ValueError for another version or an unknown key."""
        kind, _, name = key.decode().partition("/")
        saved = json.loads(value)
        if saved.get("version") != _VERSION:
            raise ValueError(f"alert state of version {saved.get('version')!r} cannot be read, only {_VERSION}")
        told = saved["told"]
        if kind == "faults":
            self._faults[name] = dict(told)
        elif kind == "overdue":
            self._overdue[name] = tuple(told)
        elif kind == "blocked":
            self._blocked[name] = tuple(told)
        elif kind == "burst":
            self._bursts[name] = Burst(**told)
        else:
            raise ValueError(f"unknown state key {key!r}")

    def counts(self) -> Mapping[tuple[str, ...], float]:
        """Alerts since the last call."""
        counts, self._counts = dict(self._counts), Counter()
        return counts

    def gauges(self) -> Mapping[tuple[str, ...], float]:
        """None."""
        return {}
