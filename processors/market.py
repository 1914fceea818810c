"""The market processor: ticks and releases in, regimes out. It joins the pure engine to the stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from processors.regime.modifier import DIRECTIONS
from processors.sessions.engine import Emission, Engine, Pace, future
from processors.signals.calendar import SessionCalendar
from processors.signals.panel import Panel
from processors.singles import Singles, gather
from processors.stream.log import Out, Record, Records
from processors.stream.metrics import Metric
from processors.stream.processor import Alive, Decoded, Input, Run, Segment, unseen
from processors.stream.runner import dead_letter_out
from topics.calibration import Calibration
from topics.catalog import (
    HEDGE_REGIMES,
    MACRO_RELEASES,
    MARKET_FLOWS,
    MARKET_TICKS,
    REGIME_MARKS,
    REGIME_STATES,
    REGIME_TRANSITIONS,
)
from topics.codec import JSON_HEADERS, AnyFlow, decode_flow, decode_macro, decode_market, flow_ts, usable_times
from topics.dead_letter import Refused
from topics.macro import Release, Schedule
from topics.market import Tick, Watermark
from topics.message import STATES, canonical_json
from topics.option_chain import OptionChain
from topics.regime import Regime
from topics.ticks import TickColumns, columns_of
from topics.times import DAY, MINUTE

METRICS: Final = (
    Metric("alvh_ticks_total", "counter", "Ticks by what became of them.", ("market", "outcome")),
    Metric("alvh_releases_total", "counter", "Releases by what became of them.", ("market", "outcome")),
    Metric("alvh_schedules_total", "counter", "Schedules of releases by what became of them.", ("market", "outcome")),
    Metric("alvh_flows_total", "counter", "Figures of market.flows by what became of them.", ("market", "outcome")),
    Metric("alvh_regimes_total", "counter", "Regime events, committed sessions and marks.", ("market", "kind")),
    Metric("alvh_regime_state", "gauge", "1 for the state in force, 0 for the others.", ("market", "state")),
    Metric("alvh_regime_score", "gauge", "Score in force, 0 to 100 points.", ("market",)),
    Metric("alvh_regime_modifier", "gauge", "Score points that a secondary signal adds, by part.", ("market", "part")),
    Metric("alvh_releases_overdue", "gauge", "Scheduled releases that have not come.", ("market",)),
    Metric("alvh_regime_degraded", "gauge", "1 for an input missing, stale or stood in for.", ("market", "input")),
)

#: A watermark may speak of some hours ahead: a finished recording closes its last session with one.
_WATERMARK_AHEAD: Final = DAY


class Market:
    """The processor ``market``.

    Args:
        calibration: strategy numbers in force.
        partitions: partitions of ``hedge.regimes``; each regime and chain is written once to every one of them.
        pace: event-time settings.
        future: ns that an event time may be later than the log's own time of writing.
    """

    name = "market"
    inputs = (Input(MACRO_RELEASES), Input(MARKET_FLOWS), Input(MARKET_TICKS))
    outputs = (REGIME_STATES, REGIME_MARKS, REGIME_TRANSITIONS, HEDGE_REGIMES)
    metrics = METRICS

    def __init__(
        self, calibration: Calibration, partitions: int = 1, pace: Pace | None = None, future: int = 5 * MINUTE
    ) -> None:
        self._calibration = calibration
        self._partitions = partitions
        self._pace = pace or Pace()
        self._future = future
        self._calendar = SessionCalendar("XNYS")

    def decode(self, record: Record) -> Decoded:
        """A release, a schedule, a flow, a tick, a watermark or a block. Raises Refused for what cannot be used."""
        latest = record.timestamp + self._future
        if record.topic == MACRO_RELEASES:
            macro = decode_macro(record.value, record.headers)
            ts = macro.release_ts if isinstance(macro, Release) else macro.event_ts
            return self._single(record, macro.market, ts, macro, latest)
        if record.topic == MARKET_FLOWS:
            flow = decode_flow(record.value, record.headers)
            return self._single(record, flow.market, flow_ts(flow), flow, latest)
        body = decode_market(record.value, record.headers)
        if isinstance(body, Tick):
            return self._single(record, body.market, body.event_ts, body, latest)
        if isinstance(body, Watermark):
            return self._single(record, body.market, body.watermark_ts, body, record.timestamp + _WATERMARK_AHEAD)
        _check_key(record, body.market)
        body.invalid[body.event_ts > latest] = True
        return Decoded(usable_times(body), body)

    def _single(self, record: Record, market: str, ts: int, body: Any, latest: int) -> Decoded:
        _check_key(record, market)
        if ts > latest:
            raise future(ts)
        return Decoded(np.array([ts], dtype=np.int64), body)

    def gather(self, records: Records) -> Sequence[Run]:
        """Single ticks, which are many, are decoded together."""
        return gather(records, self._future) if records.topic == MARKET_TICKS else ()

    def task(self, partition: int) -> MarketTask:
        """A task with no history."""
        return MarketTask(self._engine, self._partitions)

    def _engine(self, market: str) -> Engine:
        return Engine(market, self._calibration, self._calendar, self._pace)


def _check_key(record: Record, market: str) -> None:
    if record.key != market.encode():
        given = "no key" if record.key is None else f"the key {record.key[:40]!r}"
        raise Refused("wrong_market", f"a record of market {market} must have the key {market}; this one has {given}")


class MarketTask:
    """The markets of one partition."""

    def __init__(self, engine: Callable[[str], Engine], partitions: int) -> None:
        self._new_engine = engine
        self._partitions = partitions
        self._engines: dict[str, Engine] = {}
        self._changed: set[str] = set()

    def process(self, segments: Sequence[Segment], alive: Alive = unseen) -> list[Out]:
        """Apply the segments in order; outputs come in the order of the rows that caused them."""
        run = _Run(self)
        for segment in segments:
            run.add(segment)
        return run.finish()

    def engine(self, market: str) -> Engine:
        """The engine of a market, made when it is first seen."""
        self._changed.add(market)
        if market not in self._engines:
            self._engines[market] = self._new_engine(market)
        return self._engines[market]

    def outs(self, emission: Emission, segment: Segment, row: int) -> list[Out]:
        """The records of what row ``row`` of a segment's record caused."""
        message = emission.message
        if isinstance(message, Refused):
            reached = int(segment.keys[row - segment.start])
            record, row_of_record = segment.place(row)
            return [dead_letter_out(record, row_of_record, message, reached, _original(segment, row))]
        key, value = message.market.encode(), message.canonical()
        to_hedge = [Out(HEDGE_REGIMES, key, value, JSON_HEADERS, partition=p) for p in range(self._partitions)]
        if isinstance(message, OptionChain):
            return to_hedge
        if not isinstance(message, Regime):
            return [Out(REGIME_TRANSITIONS, key, value, JSON_HEADERS, urgent=True)]
        close = message.kind == "close"
        own = Out(REGIME_STATES if close else REGIME_MARKS, key, value, JSON_HEADERS, urgent=close)
        return [own, *to_hedge]

    def snapshot(self) -> Mapping[bytes, bytes | None]:
        """State of the markets that changed: the engine at every commit, the rest when it has changed."""
        changed: dict[bytes, bytes | None] = {}
        for market in sorted(self._changed):
            engine = self._engines[market]
            changed[f"market/{market}".encode()] = canonical_json(engine.snapshot())
            if engine.panel_changed:
                changed[f"panel/{market}".encode()] = canonical_json(engine.panel.snapshot())
                engine.panel_changed = False
            if engine.secondary_changed:
                changed[f"secondary/{market}".encode()] = canonical_json(engine.secondary.snapshot())
                engine.secondary_changed = False
            for name, strip in engine.prices.strips.changed():
                changed[f"strip/{market}/{name}".encode()] = strip
        self._changed.clear()
        return changed

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back one key's state."""
        kind, market, *_ = key.decode().split("/")
        engine = self.engine(market)
        if kind == "market":
            engine.restore(json.loads(value))
        elif kind == "panel":
            engine.panel = Panel.restore(json.loads(value))
            engine.panel_changed = False
        elif kind == "secondary":
            engine.restore_secondary(json.loads(value))
        elif kind == "strip":
            engine.prices.strips.restore(value)
        else:
            raise ValueError(f"unknown state key {key!r}")

    def counts(self) -> Mapping[tuple[str, ...], float]:
        """Ticks, releases and regimes since the last call."""
        counts: dict[tuple[str, ...], float] = {}
        for market, engine in self._engines.items():
            for what, amount in engine.counts.items():
                name, _, outcome = what.partition(":")
                if amount:
                    counts[(f"alvh_{name}_total", market, outcome)] = amount
            engine.counts.clear()
        return counts

    def gauges(self) -> Mapping[tuple[str, ...], float]:
        """State, score and degraded inputs in force."""
        gauges: dict[tuple[str, ...], float] = {}
        for market, engine in self._engines.items():
            if engine.memory.state is not None:
                for state in STATES:
                    gauges[("alvh_regime_state", market, state)] = float(state == engine.memory.state)
            newest = engine.newest
            if newest is None:
                continue
            if newest.score is not None:
                gauges[("alvh_regime_score", market)] = newest.score
            for part in DIRECTIONS:
                added = newest.modifier_parts.get(part)
                gauges[("alvh_regime_modifier", market, part)] = added.points if added else 0.0
            gauges[("alvh_releases_overdue", market)] = float(len(newest.overdue))
            faults = {fault.partition(":")[0] for fault in newest.degraded}
            for name in ("vix", "vix3m", "vvix", "spx", "vx", "rv21", "chain"):
                gauges[("alvh_regime_degraded", market, name)] = float(name in faults)
        return gauges


class _Run:
    """One batch on its way through the engines: single ticks gathered into columns, outputs put back in row order."""

    def __init__(self, task: MarketTask) -> None:
        self._task = task
        self._place = 0
        self._waiting: dict[str, list[tuple[int, Segment]]] = {}
        self._outs: list[tuple[int, list[Out]]] = []

    def add(self, segment: Segment) -> None:
        body, place = segment.body, self._place
        self._place += segment.stop - segment.start
        if isinstance(body, Singles):
            for run in body.take(segment.start, segment.stop).runs:
                self._flush(run.columns.market)
                for emission in self._task.engine(run.columns.market).ticks(run.columns):
                    row = int(run.rows[emission.row])
                    self._put(place + row, emission, segment, segment.start + row)
            return
        if isinstance(body, Tick):
            self._waiting.setdefault(body.market, []).append((place, segment))
            return
        self._flush(body.market)
        engine = self._task.engine(body.market)
        if isinstance(body, TickColumns):
            for emission in engine.ticks(body.take(segment.start, segment.stop)):
                self._put(place + emission.row, emission, segment, segment.start + emission.row)
            return
        for emission in _single(engine, body):
            self._put(place, emission, segment, 0)

    def finish(self) -> list[Out]:
        for market in list(self._waiting):
            self._flush(market)
        self._outs.sort(key=lambda placed: placed[0])
        return [out for _, outs in self._outs for out in outs]

    def _flush(self, market: str) -> None:
        waiting = self._waiting.pop(market, [])
        if not waiting:
            return
        columns = columns_of([segment.body for _, segment in waiting])
        for emission in self._task.engine(market).ticks(columns):
            place, segment = waiting[emission.row]
            self._put(place, emission, segment, 0)

    def _put(self, place: int, emission: Emission, segment: Segment, row: int) -> None:
        self._outs.append((place, self._task.outs(emission, segment, row)))


def _single(engine: Engine, body: Release | Schedule | Watermark | AnyFlow) -> list[Emission]:
    if isinstance(body, Release):
        return engine.release(body)
    if isinstance(body, Schedule):
        return engine.schedule(body)
    return engine.watermark(body) if isinstance(body, Watermark) else engine.flow(body)


def _original(segment: Segment, row: int) -> bytes:
    """The refused bytes: the record's own, or the block's row as the single tick that it stands for."""
    if isinstance(segment.body, TickColumns):
        return segment.body.row_bytes(row)
    return segment.place(row)[0].value or b""
