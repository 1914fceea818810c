"""The hedge processor: regimes and portfolio snapshots in, rebalances out. It joins the pure hedge to the stream."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any, Final, TypeVar

import numpy as np

from processors.hedge import MarketState, Memory, Trigger, evaluate, opened
from processors.hedge.at_rest import AtRest
from processors.hedge.blocks import frozen
from processors.hedge.drag import DragTrack
from processors.hedge.held import Held, market_of
from processors.hedge.screen import Screen
from processors.hedge.track import MarketClose, Track, valued_session
from processors.signals.calendar import SessionCalendar
from processors.stream.log import Out, Record, Records
from processors.stream.metrics import Metric
from processors.stream.processor import Alive, Decoded, Input, Run, Segment, unseen
from topics.calibration import Calibration
from topics.catalog import HEDGE_REBALANCES, HEDGE_REGIMES, PORTFOLIO_SNAPSHOTS
from topics.codec import JSON_HEADERS, decode, decode_hedge_input
from topics.dead_letter import Refused
from topics.instrument import parse_symbol
from topics.message import Message, canonical_json
from topics.option_chain import OptionChain
from topics.portfolio import Portfolio
from topics.regime import Regime
from topics.times import MINUTE, format_ts

M = TypeVar("M", bound=Message)

#: How far a snapshot may be ahead of the log's own time of writing.
FUTURE: Final = 5 * MINUTE

#: What is held in whole numbers.
_WHOLE: Final = ("future", "option", "etp")

#: Versions of the state in the changelog that this code reads, by kind; the last one is written.
VERSIONS: Final[Mapping[str, tuple[int, ...]]] = {
    "regime": (3,),
    "chain": (3,),
    "portfolio": (3, 4),
    "beta": (3,),
    "drag": (3,),
}

METRICS: Final = (
    Metric("alvh_portfolios", "gauge", "Portfolios known."),
    Metric("alvh_rebalances_total", "counter", "Rebalances published, by state in force.", ("state",)),
    Metric("alvh_adds_blocked_total", "counter", "Rebalances published with adds blocked, by reason.", ("reason",)),
    Metric(
        "alvh_portfolios_screened_total",
        "counter",
        "Portfolios looked at by a regime update: evaluated, or quiet and passed over.",
        ("outcome",),
    ),
    Metric("alvh_snapshots_ignored_total", "counter", "Snapshots that a newer one had replaced.", ("cause",)),
    Metric("alvh_regimes_ignored_total", "counter", "Regimes that were repeated or overtaken.", ("cause",)),
    Metric("alvh_chains_ignored_total", "counter", "Option chains that were repeated or overtaken.", ("cause",)),
)


class Hedger:
    """The processor ``hedge``.

    Args:
        calibration: strategy numbers in force.
        regime_max_idle: seconds to wait for a regime when snapshots are there and no regime is (see :class:`Input`).
    """

    name = "hedge"
    outputs = (HEDGE_REBALANCES,)
    metrics = METRICS

    def __init__(self, calibration: Calibration, regime_max_idle: float = 1.0) -> None:
        self._calibration = calibration
        # Of equal event times the regime comes first: a snapshot of that instant is hedged by it.
        self.inputs = (Input(HEDGE_REGIMES, max_idle=regime_max_idle), Input(PORTFOLIO_SNAPSHOTS, max_idle=0.0))

    def decode(self, record: Record) -> Decoded:
        """A regime, an option chain or a snapshot. Raises Refused for what cannot be used."""
        if record.topic == HEDGE_REGIMES:
            market = decode_hedge_input(record.value, record.headers)
            what = "an option chain" if isinstance(market, OptionChain) else "a regime"
            _check_key(record, market.market, f"{what} of market {market.market}")
            return _single(market.event_ts, _settled(type(market), market))
        portfolio = _settled(Portfolio, decode(Portfolio, record.value, record.headers))
        _check_key(record, portfolio.portfolio_id, f"a snapshot of portfolio {portfolio.portfolio_id}")
        _check_quantities(portfolio)
        if portfolio.as_of > record.timestamp + FUTURE:
            written = format_ts(record.timestamp)
            raise Refused(
                "future",
                f"as_of {format_ts(portfolio.as_of)} is more than 5 minutes later than the log's own time, {written}",
            )
        return _single(portfolio.as_of, portfolio)

    def gather(self, records: Records) -> Sequence[Run]:
        """None: each record is a document of its own."""
        return ()

    def task(self, partition: int) -> HedgeTask:
        """A task with no history."""
        return HedgeTask(self._calibration)


class HedgeTask:
    """Portfolios of one partition, and what the hedge knows of every market.

    A committed session, a change of state, a change of what is degraded and a new snapshot are evaluated, a regime for
    all of its portfolios in the order of their names. Any other mark, and an option chain, only bring prices.
    """

    def __init__(self, calibration: Calibration) -> None:
        self._rules = calibration.hedge
        self._calibration_digest = calibration.digest()
        self._markets: dict[str, MarketState] = {}
        #: Chains of markets that have no regime yet.
        self._early: dict[str, OptionChain] = {}
        self._portfolios = AtRest("portfolio", VERSIONS["portfolio"][-1], Held.document, Held.read)
        self._tracks = AtRest("beta", VERSIONS["beta"][-1], Track.document, lambda name, saved: Track.restore(saved))
        self._drags = AtRest(
            "drag", VERSIONS["drag"][-1], DragTrack.document, lambda name, saved: DragTrack.restore(saved)
        )
        #: What the drags come to, once somebody has asked.
        self._dragged: dict[str, float | None] = {}
        #: Portfolios by the sessions at whose close they have a value.
        self._valued: dict[date, set[str]] = {}
        self._screens: dict[str, Screen] = {}
        self._calendar = SessionCalendar("XNYS")
        self._changed: dict[str, set[str]] = {"regime": set(), "chain": set()}
        self._counts: Counter[tuple[str, ...]] = Counter()

    def process(self, segments: Sequence[Segment], alive: Alive = unseen) -> list[Out]:
        """Apply regimes, chains and snapshots in order and return the rebalances that they cause, in order."""
        outs: list[Out] = []
        for segment in segments:
            body = segment.body
            if isinstance(body, OptionChain):
                self._chain(body)
            else:
                outs += self._regime(body, alive) if isinstance(body, Regime) else self._snapshot(body)
        return outs

    def _chain(self, chain: OptionChain) -> None:
        state = self._markets.get(chain.market)
        newest = self._early.get(chain.market) if state is None else state.chain
        if newest is not None and chain.event_ts <= newest.event_ts:
            cause = "duplicate" if chain.event_ts == newest.event_ts else "out_of_order"
            self._counts[("alvh_chains_ignored_total", cause)] += 1
            return
        if state is None:
            self._early[chain.market] = chain
        else:
            state.take_chain(chain)
        self._changed["chain"].add(chain.market)

    def _regime(self, regime: Regime, alive: Alive) -> list[Out]:
        state = self._markets.get(regime.market)
        before = None if state is None else state.regime
        cause = None if before is None else _repeated(before, regime)
        if cause is not None:
            self._counts[("alvh_regimes_ignored_total", cause)] += 1
            return []
        if state is None:
            state = MarketState.first(self._rules, regime, self._early.pop(regime.market, None))
            self._markets[regime.market] = state
        counted = state.take(regime)
        self._changed["regime"].add(regime.market)
        screen = self._screen(regime.market)
        if counted is not None:
            self._count(screen, *counted, alive)
        trigger = _trigger(before, regime)
        if trigger is None:
            return []
        names = screen.loud(state)
        quiet = len(screen) - len(names)
        for outcome, amount in (("evaluated", len(names)), ("quiet", quiet)):
            if amount:
                self._counts[("alvh_portfolios_screened_total", outcome)] += amount
        outs: list[Out] = []
        for name in names:
            alive()
            outs += self._evaluate(name, self._portfolios[name], trigger)
        return outs

    def _count(self, screen: Screen, before: MarketClose, now: MarketClose, alive: Alive) -> None:
        """Count a session for the betas of the portfolios that have a value at its close and at the one before."""
        valued = self._valued.get(before.session_date, set()) & self._valued.get(now.session_date, set())
        for name in valued:
            if name in screen:
                alive()
                track = self._tracks[name]
                if track.count(before, now):
                    self._tracks[name] = track

    def _snapshot(self, portfolio: Portfolio) -> list[Out]:
        name = portfolio.portfolio_id
        known = self._portfolios.get(name)
        cause = None if known is None else _superseded(known.portfolio, portfolio)
        if cause is not None:
            self._counts[("alvh_snapshots_ignored_total", cause)] += 1
            return []
        if known is not None and known.portfolio.market != portfolio.market:
            self._screens[known.portfolio.market].forget(name)
        self._screen(portfolio.market).add(name)
        memory = Memory() if known is None else known.memory.model_copy(update={"positions": None})
        held = self._portfolios[name] = Held(portfolio, memory)
        session = valued_session(self._calendar, portfolio.as_of)
        if session is not None:
            self._take_values(portfolio, session)
        return self._evaluate(name, held, "snapshot") if portfolio.market in self._markets else []

    def _take_values(self, portfolio: Portfolio, session: date) -> None:
        """Take up what a portfolio, and its hedge, was worth at the close of a session."""
        name = portfolio.portfolio_id
        track = self._tracks.get(name) or Track()
        before = tuple(track.values)
        track.snapshot_taken(portfolio, session)
        self._tracks[name] = track
        self._index(name, before, track.values)
        drag = self._drags.get(name) or DragTrack()
        if drag.snapshot_taken(portfolio, session):
            self._drags[name] = drag
            self._dragged[name] = drag.value

    def _index(self, name: str, before: Collection[date], now: Collection[date]) -> None:
        """A portfolio has values at the closes of other sessions than before."""
        for gone in set(before).difference(now):
            self._valued[gone].discard(name)
            if not self._valued[gone]:
                del self._valued[gone]
        for day in now:
            self._valued.setdefault(day, set()).add(name)

    def _screen(self, market: str) -> Screen:
        if market not in self._screens:
            self._screens[market] = Screen(self._rules)
        return self._screens[market]

    def _drag(self, name: str) -> float | None:
        """What the hedge of a portfolio has cost; worked out once, since it takes long."""
        if name not in self._dragged and name in self._drags:
            self._dragged[name] = self._drags[name].value
        return self._dragged.get(name)

    def _evaluate(self, name: str, held: Held, trigger: Trigger) -> list[Out]:
        portfolio, before = held
        state = self._markets[portfolio.market]
        drag = self._drag(name)
        memory, event = evaluate(
            self._rules,
            self._calibration_digest,
            state.view,
            portfolio,
            before,
            trigger,
            self._tracks[name].estimate if name in self._tracks else None,
            drag,
            state.openings(self._rules, opened(portfolio, before)),
        )
        self._screens[portfolio.market].put(state, portfolio, memory, drag)
        if memory != before:
            self._portfolios[name] = Held(portfolio, memory)
        if event is None:
            return []
        self._counts[("alvh_rebalances_total", event.state)] += 1
        for reason in event.blocked:
            self._counts[("alvh_adds_blocked_total", _label(reason))] += 1
        return [Out(HEDGE_REBALANCES, name.encode(), event.canonical(), JSON_HEADERS, urgent=True)]

    def snapshot(self) -> Mapping[bytes, bytes | None]:
        """State of the markets and portfolios that changed since the last call."""
        documents: dict[str, Callable[[str], dict[str, Any]]] = {
            "regime": lambda name: self._markets[name].document(),
            "chain": self._saved_chain,
        }
        changed: dict[bytes, bytes | None] = {}
        for kind, names in self._changed.items():
            for name in sorted(names):
                saved = canonical_json({"version": VERSIONS[kind][-1], **documents[kind](name)})
                changed[f"{kind}/{name}".encode()] = saved
            names.clear()
        return changed | self._portfolios.changed() | self._tracks.changed() | self._drags.changed()

    def _saved_chain(self, market: str) -> dict[str, Any]:
        state = self._markets.get(market)
        chain = self._early.get(market) if state is None else state.chain
        return {"chain": None if chain is None else chain.document()}

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back one key's state. Raises ValueError for a key or version that this code does not know."""
        kind, _, name = key.decode().partition("/")
        state = json.loads(value.decode())
        if kind not in VERSIONS:
            raise ValueError(f"unknown state key {key!r}")
        if (version := state.get("version")) not in VERSIONS[kind]:
            known = " and ".join(map(str, VERSIONS[kind]))
            raise ValueError(f"state {key!r} has version {version!r}; this code knows {known}")
        if kind == "regime":
            self._markets[name] = MarketState.restore(state, self._early.pop(name, None))
        elif kind == "chain":
            chain = None if state["chain"] is None else _read(OptionChain, state["chain"])
            market = self._markets.get(name)
            if chain is None:
                return
            if market is None:
                self._early[name] = chain
            else:
                market.take_chain(chain)
        elif kind == "portfolio":
            _check_parts(state, "portfolio", "memory")
            self._screen(market_of(state)).add(name)
            self._portfolios.restore(name, value)
        elif kind == "beta":
            _check_parts(state, "values", "beta")
            self._index(name, (), [date.fromisoformat(day) for day in state["values"]])
            self._tracks.restore(name, value)
        else:
            _check_parts(state, "drag")
            self._drags.restore(name, value)

    def counts(self) -> Mapping[tuple[str, ...], float]:
        """Rebalances, blocked adds and what was ignored since the last call."""
        counts = {key: float(amount) for key, amount in sorted(self._counts.items())}
        self._counts.clear()
        return counts

    def gauges(self) -> Mapping[tuple[str, ...], float]:
        """Portfolios known."""
        return {("alvh_portfolios",): float(len(self._portfolios))}


def _trigger(before: Regime | None, now: Regime) -> Trigger | None:
    """What a regime update causes; None for a mark that only brings prices.

    When the window around a release opens or closes, what it holds up is decided anew.
    """
    if now.kind == "close":
        return "close"
    if before is None:
        return "snapshot"  # the portfolios that have been waiting for a first regime
    if now.state != before.state:
        return "fast_path"
    if (now.held, sorted(now.degraded)) != (before.held, sorted(before.degraded)):
        return "degraded"
    if frozen(now, now.event_ts) != frozen(before, before.event_ts) or _passed_window(before, now):
        return "freeze"
    return None


def _passed_window(before: Regime, now: Regime) -> bool:
    """Whether a window opened and closed again between two updates: a snapshot within it may have been held up."""
    return any(before.event_ts < freeze.from_ts and freeze.until_ts < now.event_ts for freeze in before.freezes)


def _repeated(newest: Regime, regime: Regime) -> str | None:
    """Why a regime update brings nothing; None when it does.

    The order of the log is that of the market's decisions: a close counts whatever its time, since marks of the next
    session may have been decided before a late one.
    """
    if regime.event_id == newest.event_id:
        return "duplicate"
    return "out_of_order" if regime.kind == "mark" and regime.event_ts < newest.event_ts else None


def _superseded(known: Portfolio, new: Portfolio) -> str | None:
    """Why ``new`` says nothing that ``known`` did not; None when it is newer."""
    if new.as_of != known.as_of:
        return None if new.as_of > known.as_of else "out_of_order"
    if new.seq is not None and known.seq is not None and new.seq > known.seq:
        return None
    return "duplicate"


def _label(reason: str) -> str:
    """A reason as a metric label: without the instrument, of which there may be any number."""
    kind, found, _ = reason.partition(":")
    return kind if found and kind in ("price", "outside") else reason


def _settled(kind: type[M], message: M) -> M:
    """The message as it reads after one trip over the wire.

    State is kept as canonical bytes. What is decided before a restart must not have digits that are gone after it.
    """
    return decode(kind, message.canonical())


def _read(kind: type[M], document: Any) -> M:
    return kind.model_validate_json(canonical_json(document))


def _check_parts(state: Mapping[str, Any], *parts: str) -> None:
    """ValueError where a part of a state that is looked at only later on is none."""
    for part in parts:
        if not isinstance(state.get(part), dict):
            raise ValueError(f"it has no {part}")


def _single(ts: int, body: Message) -> Decoded:
    return Decoded(np.array([ts], dtype=np.int64), body)


def _check_key(record: Record, key: str, what: str) -> None:
    if record.key != key.encode():
        given = "no key" if record.key is None else f"the key {record.key[:40]!r}"
        raise Refused("wrong_market", f"{what} must have the key {key}; this one has {given}")


def _check_quantities(portfolio: Portfolio) -> None:
    for number, position in enumerate(portfolio.positions):
        if parse_symbol(position.symbol).kind in _WHOLE and not position.quantity.is_integer():
            raise Refused(
                "invalid",
                f"positions.{number}.quantity: it comes in whole numbers (given {position.quantity:g} of "
                f"{position.symbol})",
            )
