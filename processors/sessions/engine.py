"""The event-time engine of one market: ticks in, regime decisions out at instants that event time alone fixes.

Instants, in event time:

* the closes of the calendar, when the last prices are kept as stand-ins for official closes that may not come;
* a *mark* at the end of every evaluation interval that had a tick: a provisional regime;
* the *commit* of a session, when its official closes are complete, or have been waited for long enough.

An instant fires when the stream's time passes it, before the row that passes it is applied. So a decision at T has seen
every row up to T that arrived before the stream went on, and nothing of later rows; and it does not depend on how rows
were cut into messages or batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.regime.fast_path import FastPath
from processors.regime.floors import floor_level, floors_hit
from processors.regime.machine import Decision, Memory, decide_close, decide_mark
from processors.regime.modifier import modifier
from processors.sessions.chains import ROOT, Future, Published, chain, sides
from processors.sessions.depths import Depths
from processors.sessions.evidence import Instant, regime_event, regime_inputs, transition_event
from processors.sessions.funds import Funds
from processors.sessions.parity import Parity, parity
from processors.sessions.prices import Batch, Prices
from processors.sessions.releases import Releases, Taken
from processors.sessions.schedule import Schedules
from processors.sessions.session import CORE, ESSENTIAL, FUTURE_ROOT, Close, Session, span
from processors.signals.calendar import SessionCalendar
from processors.signals.curve import VxCurve
from processors.signals.equity import EQUITY_SYMBOLS
from processors.signals.inputs import SessionInputs
from processors.signals.panel import Panel
from processors.signals.secondary import Secondary, SecondaryPanel
from processors.signals.signals import Signals
from topics.calibration import Calibration
from topics.codec import AnyFlow, flow_ts, refusal
from topics.constituents import CrossSection
from topics.dead_letter import Refused
from topics.flows import Flow
from topics.instrument import future_symbol, parse_symbol
from topics.macro import Release, Schedule
from topics.market import Watermark
from topics.message import STATES, Feature, State
from topics.option_chain import OptionChain
from topics.regime import FundFigure, Regime, Transition
from topics.ticks import TickColumns
from topics.times import MINUTE, SECOND, format_ts

Ints = NDArray[np.int64]
_FOREVER: Final = int(np.iinfo(np.int64).max)
_VERSION: Final = 3
#: A cross-section that comes later than this is of no use.
_CROSS_SECTION_DAYS: Final = 7
#: Order of instants at the same time.
_CLOSES, _MARK, _COMMIT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Pace:
    """Event-time settings, ns.

    Attributes:
        late: how much older than the stream's time a tick may be.
        evaluation: interval of the marks.
        close_grace: how long a session waits for official closes after the last calendar close.
        official_wait: how long it waits for those of VIX and SPX when their feed has sent them before.
    """

    late: int = 5 * MINUTE
    evaluation: int = MINUTE
    close_grace: int = 15 * MINUTE
    official_wait: int = 360 * MINUTE


@dataclass(frozen=True, slots=True)
class Emission:
    """Something that row ``row`` of the input caused."""

    row: int
    message: Regime | Transition | OptionChain | Refused


class Engine:
    """State of one market and the pure steps over it."""

    def __init__(self, market: str, calibration: Calibration, calendar: SessionCalendar, pace: Pace) -> None:
        self.market = market
        self.calibration_digest = calibration.digest()
        self._rules = calibration.regime
        self._calendar = calendar
        self._span = span(calendar)
        self._pace = pace
        self.time = 0
        self.counts: Counter[str] = Counter()
        self.prices = Prices(calendar, self.counts)
        self.panel = Panel()
        self.memory = Memory()
        self.releases = Releases(self._rules.signals)
        self.schedules = Schedules(self._rules.signals)
        self.secondary = SecondaryPanel(self._rules.signals)
        self.depths = Depths()
        self.funds = Funds()
        self.published = Published()
        self.newest: Regime | None = None
        self.panel_changed = True
        self.secondary_changed = True
        self._fast = FastPath(self._rules.fast_path_seconds)
        self._session: Session | None = None
        self._expected: frozenset[str] = frozenset()
        self._mark: int | None = None
        self._vix_counted = 0
        self._committed_at = 0
        self._out: list[Emission] = []

    # Inputs

    def ticks(self, columns: TickColumns) -> list[Emission]:
        """Apply ticks of this market in their order. Returns what they caused, by row."""
        self._out = []
        usable = ~columns.invalid & (columns.event_ts >= self._span[0]) & (columns.event_ts <= self._span[1])
        for row in np.flatnonzero(~usable).tolist():
            self._refuse(row, self._why(columns, row))
        if not usable.any():
            return self._sorted()
        # The stream's time at each row; rows that cannot be used never move it.
        time = np.maximum.accumulate(np.maximum(np.where(usable, columns.event_ts, 0), self.time))
        late = usable & ~columns.official & (columns.event_ts < time - self._pace.late)
        for row in np.flatnonzero(late).tolist():
            self._refuse(row, _late(columns, row, int(time[row]), self._pace.late))
        usable &= ~late
        if not usable.any():
            return self._sorted()
        row, n = int(np.argmax(usable)), len(columns)
        if self._session is None:
            self._session = self._first_session(columns, row, int(time[row]))
        batch = Batch.of(columns, usable, time)
        while row < n:
            instant, kind = self._next_instant()
            if time[row] > instant:
                self._fire(instant, kind, row)
                continue
            stop = self._segment_end(batch, row, instant)
            now = int(time[stop - 1])
            applied = self.prices.apply(batch, slice(row, stop), self._session, self.time, now)
            for at, refused in applied.refused:
                self._refuse(at, refused)
            self._expected |= applied.missed  # their feeds do send official closes, only later than was waited for
            self.time = now
            if applied.ticked and self._mark is None:
                self._mark = self._mark_after(now)
            row = stop
        return self._sorted()

    def release(self, release: Release) -> list[Emission]:
        """Take up a release. Instants before its publication fire first, without it."""
        self._out = []
        # What is refused does not move the stream's time.
        refused = self._outside(release.release_ts) or self.releases.unfit(release)
        if refused is None:
            self._advance(release.release_ts)
            refused = self._take(release)
        if refused is not None:
            self.counts["releases:refused"] += 1
            self._out.append(Emission(0, refused))
        return self._sorted()

    def _take(self, release: Release) -> Refused | None:
        """Take up a release at the stream's time, or say why it cannot be."""
        taken = self.releases.look(release, self.time)
        if taken is not None:
            try:
                self.secondary.release(taken.release, taken.first, taken.latest)
            except ValueError as error:  # a statistic that cannot take the figure says why, and is unchanged
                return Refused("invalid", f"{release.series_id}: {error}")
            self.secondary_changed = True
            self.releases.take(release, self.time)
        self.counts[f"releases:{_outcome(taken)}"] += 1
        self.schedules.released(release)
        return None

    def schedule(self, schedule: Schedule) -> list[Emission]:
        """Take up that a release is due. Instants before this became known fire first, without it."""
        self._out = []
        refused = self._outside(schedule.event_ts)
        if refused is not None:
            self.counts["schedules:refused"] += 1
            return [Emission(0, refused)]
        self._advance(schedule.event_ts)
        used = self.schedules.apply(schedule, self.releases.came(schedule))
        self.counts["schedules:used" if used else "schedules:superseded"] += 1
        return self._sorted()

    def flow(self, flow: AnyFlow) -> list[Emission]:
        """Take up a figure of ``market.flows``. Instants before it became public fire first, without it."""
        self._out = []
        ts = flow_ts(flow)
        refused = self._outside(ts)
        if refused is not None:
            self.counts["flows:refused"] += 1
            return [Emission(0, refused)]
        self._advance(ts)
        outcome: str
        if isinstance(flow, Flow):
            outcome = _better(self.depths.apply(flow), self.funds.apply(flow, self._calendar.local_date(self.time)))
        else:
            try:
                outcome = self.secondary.flow(flow, self._session_before(flow, ts))
            except ValueError as error:  # a statistic that cannot take the figure says why, and is unchanged
                self.counts["flows:refused"] += 1
                self._out.append(Emission(0, Refused("invalid", str(error))))
                return self._sorted()
            self.secondary_changed = True
        self.counts[f"flows:{outcome}"] += 1
        return self._sorted()

    def watermark(self, watermark: Watermark) -> list[Emission]:
        """Move the stream's time: every instant before the watermark fires."""
        self._out = []
        outside = self._outside(watermark.watermark_ts)
        if outside is not None:
            return [Emission(0, outside)]
        self._advance(watermark.watermark_ts)
        return self._sorted()

    def _session_before(self, flow: AnyFlow, ts: int) -> date | None:
        """The session before that of a cross-section published at ``ts``, ns; None when it is of no recent session."""
        if not isinstance(flow, CrossSection):
            return None
        age = (self._calendar.local_date(ts) - flow.session_date).days
        if not 0 <= age <= _CROSS_SECTION_DAYS or not self._calendar.is_session(flow.session_date):
            return None
        return self._calendar.previous_session(flow.session_date)

    def _advance(self, ts: int) -> None:
        while self._session is not None:
            instant, kind = self._next_instant()
            if ts <= instant:
                break
            self._fire(instant, kind, 0)
        self.time = max(self.time, ts)

    def _outside(self, ts: int) -> Refused | None:
        """The refusal of an event time that has no session; None for one that has."""
        first, last = self._span
        if first <= ts <= last:
            return None
        return Refused(
            "invalid",
            f"event time {format_ts(ts)} is outside the exchange calendar, {format_ts(first)} to {format_ts(last)}",
        )

    def _why(self, columns: TickColumns, row: int) -> Refused:
        """Why a row is unusable: no valid tick, no session for it, or dated later than the log's own time."""
        ts = int(columns.event_ts[row])
        return refusal(columns, row) or self._outside(ts) or future(ts)

    # Rows

    def _first_session(self, columns: TickColumns, row: int, now: int) -> Session:
        """The session that the first tick ever belongs to; an official close is of its own day, however late."""
        ts = int(columns.event_ts[row])
        day = self._calendar.local_date(ts)
        if not (columns.official[row] and self._calendar.is_session(day)):
            return Session.of(self._calendar, self._calendar.session_of(ts))
        session = Session.of(self._calendar, day)
        session.reached = now  # it may come later than a session is waited for that nothing is known of
        return session

    def _segment_end(self, batch: Batch, row: int, at: int) -> int:
        """Rows from ``row`` that can be applied before any instant can fire, when the next one is ``at``, ns."""
        time = batch.time
        stop = int(np.searchsorted(time, at, side="right"))
        # An official close may bring the commit nearer: stop behind the rows of its moment.
        k = int(np.searchsorted(batch.officials, row))
        if k < len(batch.officials) and batch.officials[k] < stop:
            stop = min(stop, int(np.searchsorted(time, time[batch.officials[k]], side="right")))
        if self._mark is None:
            k = int(np.searchsorted(batch.ordinary, row))
            if k < len(batch.ordinary) and batch.ordinary[k] < stop:
                mark = self._mark_after(int(time[batch.ordinary[k]]))
                stop = min(stop, int(np.searchsorted(time, mark, side="right")))
        return stop

    def _mark_after(self, ts: int) -> int:
        return -(-ts // self._pace.evaluation) * self._pace.evaluation

    # Instants

    def _next_instant(self) -> tuple[int, int]:
        """Time, ns, and kind of the next instant."""
        session = self._session
        if session is None:
            return _FOREVER, _COMMIT
        moments = session.moments
        closes = moments[session.passed] if session.passed < len(moments) else _FOREVER
        mark = _FOREVER if self._mark is None else self._mark
        return min((closes, _CLOSES), (mark, _MARK), (self._commit_ts(session), _COMMIT))

    def _commit_ts(self, session: Session) -> int:
        """When the session commits, as far as is known now, ns. Never before the stream's time."""
        last_close = session.moments[-1]
        missing = self._expected - session.officials.keys()
        if self._expected and not missing:
            at = max(last_close, session.reached)
        elif not missing & ESSENTIAL:
            at = max(last_close + self._pace.close_grace, session.reached)
        else:
            at = last_close + self._pace.official_wait
        return min(at, session.latest_ts)

    def _fire(self, ts: int, kind: int, row: int) -> None:
        session = self._session
        assert session is not None
        self.time = max(self.time, ts)
        if kind == _CLOSES:
            self._stand_ins(session, ts)
            session.passed += 1
        elif kind == _MARK:
            self._mark = None
            self._evaluate(session, ts, row)
        else:
            self._commit(session, ts, row)

    def _stand_ins(self, session: Session, ts: int) -> None:
        """Keep the last prices within the session of the instruments that close at ``ts``."""
        for symbol in self.prices.board.symbols:
            quote = self.prices.board.quote(symbol) if session.closing_ts(symbol) == ts else None
            if quote is not None and quote.ts >= session.open_ts:
                session.stand_ins[symbol] = Close(quote.price, quote.ts, quote.source)

    def _commit(self, session: Session, ts: int, row: int) -> None:
        """Commit the session: advance the recursive signals once and decide."""
        closes = {name: session.close_of(symbol) for name, symbol in CORE.items()}
        futures = dict(self._future_closes(session))
        curve = VxCurve.from_settles(session.day, {expiry: close.value for expiry, close in futures.items()})
        present = {name: close.value for name, close in closes.items() if close is not None}
        if present or self.panel.session_date is not None:
            self.panel.update(SessionInputs(session_date=session.day, curve=curve if curve else None, **present))
            self.panel_changed = True
        signals = self.panel.signals
        rate = self.secondary.rate_free(ts)
        surface = self.prices.strips.surface(ts, rate)
        settled = {expiry: (close.value, close.source) for expiry, close in futures.items()}
        found = self._chain(session, ts, rate, settled, row, closing=True)
        secondary = self.secondary.commit(
            session.day, ts, _values(session, EQUITY_SYMBOLS), signals, surface, self._order_flow(ts, curve)
        )
        self.secondary_changed = True
        stand_ins = tuple(
            sorted(
                symbol
                for symbol in (*CORE.values(), *(f"{FUTURE_ROOT}/{e.isoformat()}" for e in curve.expiries))
                if symbol not in session.officials and symbol in session.stand_ins
            )
        )
        degraded = _degraded(
            {name: "missing" if closes[name] is None else None for name in CORE},
            signals,
            None if curve else "missing",
            stand_ins,
            found,
        )
        sources = {name: close.source for name, close in closes.items() if close is not None}
        if curve:
            sources["vx"] = futures[curve.expiries[0]].source
        at = Instant(
            self.market,
            "close",
            session.day,
            ts,
            signals,
            curve if curve else None,
            degraded,
            stand_ins,
            session.closed_bars(),
            sources,
            self.releases.newest,
            self._features(ts, secondary, curve, found),
            modifier(self._rules.modifier, secondary.acting),
            self.schedules.freezes(ts),
            self.schedules.overdue(ts),
            self._fund_figures(session, ts),
            self.funds.volumes(ts, session.day),
        )
        self._emit(at, decide_close(self._rules, self.memory, regime_inputs(signals), at.modifier.value), row)
        self.secondary.next_session()
        self.schedules.forget(ts)
        self.depths.forget(ts)
        self.funds.forget(ts, session.day)
        following = self._calendar.next_session(session.day)
        if session.officials:
            # A contract has no settlement on the day it expires, so nobody waits for one.
            self._expected = frozenset(s for s in session.officials if _alive(s, following))
        self.prices.forget(session.day, ts - self._pace.late)
        # A floor must hold anew: what it was measured against has changed.
        self._fast.reset()
        self._committed_at = ts
        self._session = Session.of(self._calendar, following)

    def _future_closes(self, session: Session) -> Iterator[tuple[date, Close]]:
        """Closes of the VX contracts that are still alive after the session."""
        for symbol in {**session.stand_ins, **session.officials}:
            instrument = parse_symbol(symbol)
            close = session.close_of(symbol)
            if instrument.kind == "future" and instrument.root == FUTURE_ROOT and instrument.expiry and close:
                yield instrument.expiry, close

    def _evaluate(self, session: Session, ts: int, row: int) -> None:
        """A mark: the regime as it would be now. The state may go up by the fast path; nothing else is committed."""
        oldest = ts - self._rules.max_age_seconds * SECOND
        oldest_within = ts - self._rules.max_age_session_seconds * SECOND
        quotes = {name: self.prices.board.quote(symbol) for name, symbol in CORE.items()}
        usable = {
            name: quote
            for name, quote in quotes.items()
            if quote is not None and quote.ts >= (oldest_within if session.within(CORE[name], ts) else oldest)
        }
        contracts = {
            expiry: quote
            for expiry, symbol in self.prices.board.futures(FUTURE_ROOT)
            if (quote := self.prices.board.quote(symbol)) is not None and quote.ts >= oldest
        }
        futures = {expiry: quote.price for expiry, quote in contracts.items()}
        curve = VxCurve.from_settles(session.day, futures)
        signals = self._provisional(
            SessionInputs(
                session_date=session.day,
                curve=curve if curve else None,
                **{name: quote.price for name, quote in usable.items()},
            ),
            {name for name, quote in usable.items() if quote.ts > self._committed_at},
            any(contracts[expiry].ts > self._committed_at for expiry in curve.expiries),
        )
        inputs = regime_inputs(signals)
        vix = usable.get("vix")
        fresh = vix is not None and vix.ts > self._vix_counted
        if vix is not None and fresh:
            self._vix_counted = vix.ts
        level = self._fast.update(ts, floor_level(floors_hit(self._rules.floors, inputs)), fresh)
        confirmed: State | None = STATES[level] if level else None
        faults = {
            name: None if name in usable else "missing" if quote is None else "stale" for name, quote in quotes.items()
        }
        sources = {name: quote.source for name, quote in usable.items()}
        if curve:
            sources["vx"] = contracts[curve.expiries[0]].source
        rate = self.secondary.rate_free(ts)
        surface = self.prices.strips.surface(ts, rate)
        priced = {expiry: (quote.price, quote.source) for expiry, quote in contracts.items()}
        found = self._chain(session, ts, rate, priced, row, closing=False)
        secondary = self.secondary.read(ts, signals, surface)
        at = Instant(
            self.market,
            "mark",
            session.day,
            ts,
            signals,
            curve if curve else None,
            _degraded(faults, signals, None if curve else "missing", (), found),
            sources=sources,
            releases=self.releases.newest,
            secondary=self._features(ts, secondary, curve, found),
            modifier=modifier(self._rules.modifier, secondary.acting),
            freezes=self.schedules.freezes(ts),
            overdue=self.schedules.overdue(ts),
            funds=self._fund_figures(session, ts),
            volumes=self.funds.volumes(ts, session.day),
        )
        self._emit(at, decide_mark(self._rules, self.memory, inputs, at.modifier.value, confirmed), row)

    def _provisional(self, inputs: SessionInputs, quoted: set[str], curve_quoted: bool) -> Signals:
        """Signals as if the session ended now.

        What has not been ``quoted`` since the last commit keeps its committed value: otherwise yesterday's close would
        count once more, as a day without change.
        """
        committed = self.panel.signals
        signals = self.panel.peek(inputs)
        kept: dict[str, Any] = {}
        if inputs.spx is not None and "spx" not in quoted:
            kept |= {name: getattr(committed, name) for name in _OF_SPX}
        if inputs.vix is not None and "vix" not in quoted:
            kept |= {name: getattr(committed, name) for name in _OF_VIX}
        if inputs.curve is not None and not curve_quoted:
            kept |= {name: getattr(committed, name) for name in _OF_CURVE}
        return _replaced(signals, kept) if kept else signals

    def _order_flow(self, ts: int, curve: VxCurve) -> float | None:
        """Order-flow imbalance of the front contract over the last finished minute, contracts."""
        found = self.prices.books.flow(future_symbol(FUTURE_ROOT, curve.expiries[0]), ts) if curve else None
        return None if found is None else found.ofi

    def _chain(
        self,
        session: Session,
        ts: int,
        rate: float | None,
        prices: Mapping[date, tuple[float, str]],
        row: int,
        *,
        closing: bool,
    ) -> Parity:
        """Publish the chain of VIX options when it is time, and return what parity says of it.

        ``rate`` in percent a year; ``prices`` of the VX contracts and their sources, by expiry.
        """
        quotes = self.prices.strips.quotes(ROOT, ts)
        futures = {}
        for each in quotes:
            price, source = prices.get(each.expiry, (None, None))
            quote = self.prices.board.sides(future_symbol(FUTURE_ROOT, each.expiry))
            futures[each.expiry] = Future.of(price, quote, ts, source)
        quoted = sides(quotes, futures, session.day, ts)
        found = parity(quoted, None if rate is None else rate / 100)
        usable = [each for each in quoted if each.expiry not in found.stale]
        if self.published.due(ts, closing, bool(usable)):
            made = chain(ts, session.day, self.market, usable)
            if self.published.take(made, closing):
                self._out.append(Emission(row, made))
        return found

    def _fund_figures(self, session: Session, ts: int) -> tuple[FundFigure, ...]:
        """Published figures of volatility products at ``ts``, ns, and their prices, unless these are stale."""

        def price(symbol: str) -> float | None:
            rules, quote = self._rules, self.prices.products.quote(symbol)
            most = rules.max_age_session_seconds if session.within(symbol, ts) else rules.max_age_seconds
            return quote.price if quote is not None and ts - quote.ts <= most * SECOND else None

        return self.funds.figures(ts, price)

    def _features(self, ts: int, secondary: Secondary, curve: VxCurve, found: Parity) -> dict[str, Feature]:
        """Every secondary value at ``ts``, ns, with those of the order books and of parity."""
        front = None if not curve else self.prices.books.features(future_symbol(FUTURE_ROOT, curve.expiries[0]), ts)
        return {**secondary.features, **(front or {}), **self.depths.features(ts), **found.features}

    # Outputs

    def _emit(self, at: Instant, decision: Decision | None, row: int) -> None:
        if decision is None:
            return
        regime = regime_event(at, decision, self.memory.below, self.calibration_digest)
        self.memory = decision.memory
        self.newest = regime
        self.counts[f"regimes:{at.kind}"] += 1
        self._out.append(Emission(row, regime))
        transition = transition_event(regime)
        if transition is not None:
            self._out.append(Emission(row, transition))

    def _refuse(self, row: int, refused: Refused) -> None:
        self.counts["ticks:refused"] += 1
        self._out.append(Emission(row, refused))

    def _sorted(self) -> list[Emission]:
        out, self._out = sorted(self._out, key=lambda emission: emission.row), []
        return out

    # State

    def snapshot(self) -> dict[str, Any]:
        """Everything but the panel, as JSON values. The panel changes once a session and is kept apart."""
        return {
            "version": _VERSION,
            "time": self.time,
            "prices": self.prices.snapshot(),
            "memory": [self.memory.state, self.memory.below],
            "releases": self.releases.snapshot(),
            "schedules": self.schedules.snapshot(),
            "depths": self.depths.snapshot(),
            "funds": self.funds.snapshot(),
            "chain": self.published.snapshot(),
            "fast_path": self._fast.snapshot(),
            "session": None if self._session is None else self._session.snapshot(),
            "expected": sorted(self._expected),
            "mark": self._mark,
            "vix_counted": self._vix_counted,
            "committed_at": self._committed_at,
        }

    def restore_secondary(self, saved: Mapping[str, Any]) -> None:
        """Take back what the secondary panel's snapshot gave."""
        self.secondary = SecondaryPanel.restore(self._rules.signals, saved)
        self.secondary_changed = False

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take back what :meth:`snapshot` gave. ValueError for another version."""
        if saved.get("version") != _VERSION:
            raise ValueError(f"market state of version {saved.get('version')!r} cannot be read, only {_VERSION}")
        self.time = saved["time"]
        self.prices.restore(saved["prices"])
        state, below = saved["memory"]
        self.memory = Memory(state, below)
        self.releases = Releases.restore(self._rules.signals, saved["releases"])
        self.schedules = Schedules.restore(self._rules.signals, saved["schedules"])
        self.depths = Depths.restore(saved["depths"])
        self.funds = Funds.restore(saved["funds"])
        self.published = Published.restore(saved["chain"])
        self._fast.restore(saved["fast_path"])
        session = saved["session"]
        self._session = None if session is None else Session.restore(self._calendar, session)
        self._expected = frozenset(saved["expected"])
        self._mark = saved["mark"]
        self._vix_counted = saved["vix_counted"]
        self._committed_at = saved["committed_at"]


#: Signals that rest on one input and count sessions.
_OF_SPX: Final = ("rv21", "rsi14")
_OF_CURVE: Final = ("bear_steepening", "compressed")
_OF_VIX: Final = (
    "vix_change",
    "macd",
    "macd_signal",
    "macd_hist",
    "macd_cross",
    "macd_acting",
    "macd_sessions_since_cross",
    "macd_last_cross",
)


def _replaced(signals: Signals, kept: Mapping[str, Any]) -> Signals:
    return Signals(**{name: kept.get(name, getattr(signals, name)) for name in Signals.__dataclass_fields__})


def _alive(symbol: str, day: date) -> bool:
    expiry = parse_symbol(symbol).expiry
    return expiry is None or expiry > day


def _degraded(
    faults: Mapping[str, str | None], signals: Signals, vx: str | None, stand_ins: tuple[str, ...], found: Parity
) -> tuple[str, ...]:
    """Inputs that are not what they should be, as ``name:fault``, sorted."""
    degraded = [f"{name}:{fault}" for name, fault in faults.items() if fault is not None]
    if vx is not None:
        degraded.append(f"vx:{vx}")
    degraded += [f"{name}:stand_in" for name, symbol in CORE.items() if symbol in stand_ins]
    if any(symbol.startswith(f"{FUTURE_ROOT}/") for symbol in stand_ins):
        degraded.append("vx:stand_in")
    if signals.spx is not None and signals.rv21 is None:
        degraded.append("rv21:warm_up")
    if found.stale:
        degraded.append("chain:stale")
    return tuple(sorted(degraded))


def future(ts: int) -> Refused:
    """The refusal of an event time that the log's own clock has not reached."""
    return Refused("future", f"event time {format_ts(ts)} is later than the log's own time at which it was written")


def _late(columns: TickColumns, row: int, now: int, allowed: int) -> Refused:
    symbol, ts = columns.symbols[columns.symbol[row]], int(columns.event_ts[row])
    return Refused(
        "late",
        f"{symbol} at {format_ts(ts)} came when the stream had reached {format_ts(now)}; "
        f"ticks may be {allowed // SECOND} s late",
    )


def _better(*outcomes: str) -> str:
    """What became of a message that several have looked at."""
    return next(outcome for outcome in ("used", "superseded", "unfollowed") if outcome in outcomes)


def _outcome(taken: Taken | None) -> str:
    if taken is None:
        return "superseded"
    return "late" if taken.late else "used"


def _values(session: Session, symbols: tuple[str, ...]) -> dict[str, float]:
    return {symbol: close.value for symbol in symbols if (close := session.close_of(symbol)) is not None}
