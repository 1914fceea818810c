"""The hedge processor: regimes and portfolio snapshots in, rebalances out. It joins the pure hedge to the stream."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, TypeVar

import numpy as np

from processors.hedge import MarketView, Memory, Trigger, evaluate
from processors.hedge.blocks import frozen
from processors.hedge.track import MarketClose, Track, valued_session
from processors.signals.calendar import SessionCalendar
from processors.stream.log import Out, Record
from processors.stream.metrics import Metric
from processors.stream.processor import Decoded, Input, Segment
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

#: Version of this processor's state in the changelog.
VERSION: Final = 2

#: Committed sessions of a market that are remembered: the one that is counted next and the one before it.
_CLOSES: Final = 2

METRICS: Final = (
    Metric("alvh_portfolios", "gauge", "Portfolios known."),
    Metric("alvh_rebalances_total", "counter", "Rebalances published, by state in force.", ("state",)),
    Metric("alvh_adds_blocked_total", "counter", "Rebalances published with adds blocked, by reason.", ("reason",)),
    Metric("alvh_snapshots_ignored_total", "counter", "Snapshots that a newer one had replaced.", ("cause",)),
    Metric("alvh_regimes_ignored_total", "counter", "Regimes that were repeated or overtaken.", ("cause",)),
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

    def task(self, partition: int) -> HedgeTask:
        """A task with no history."""
        return HedgeTask(self._calibration)


class HedgeTask:
    """Portfolios of one partition, and every market's newest regime.

    A committed session, a change of state, a change of what is degraded and a new snapshot are evaluated, a regime for
    all of its portfolios in the order of their names. Any other mark only brings prices.
    """

    def __init__(self, calibration: Calibration) -> None:
        self._rules = calibration.hedge
        self._calibration_digest = calibration.digest()
        self._markets: dict[str, MarketView] = {}
        self._portfolios: dict[str, Portfolio] = {}
        self._memories: dict[str, Memory] = {}
        self._closes: dict[str, list[MarketClose]] = {}
        self._tracks: dict[str, Track] = {}
        self._calendar = SessionCalendar("XNYS")
        self._changed_markets: set[str] = set()
        self._changed_tracks: set[str] = set()
        self._changed_portfolios: set[str] = set()
        self._counts: Counter[tuple[str, ...]] = Counter()

    def process(self, segments: Sequence[Segment]) -> list[Out]:
        """Apply regimes and snapshots in order and return the rebalances that they cause, in order."""
        outs: list[Out] = []
        for segment in segments:
            body = segment.body
            if isinstance(body, OptionChain):
                continue
            outs += self._regime(body) if isinstance(body, Regime) else self._snapshot(body)
        return outs

    def _regime(self, regime: Regime) -> list[Out]:
        before = self._markets.get(regime.market)
        cause = None if before is None else _repeated(before.regime, regime)
        if cause is not None:
            self._counts[("alvh_regimes_ignored_total", cause)] += 1
            return []
        signals = regime.features if regime.kind == "close" else before.signals if before is not None else {}
        self._markets[regime.market] = MarketView(regime, signals)
        self._changed_markets.add(regime.market)
        if regime.kind == "close":
            self._count(regime)
        trigger = _trigger(None if before is None else before.regime, regime)
        if trigger is None:
            return []
        names = sorted(name for name, portfolio in self._portfolios.items() if portfolio.market == regime.market)
        return [out for name in names for out in self._evaluate(name, trigger)]

    def _count(self, regime: Regime) -> None:
        """Count the session before the one that is committed now in the betas of the market's portfolios."""
        closes = self._closes.setdefault(regime.market, [])
        if len(closes) == _CLOSES:
            for name, track in self._tracks.items():
                if self._portfolios[name].market == regime.market and track.count(closes[0], closes[1]):
                    self._changed_tracks.add(name)
        closes.append(MarketClose.of(regime.session_date, regime.features))
        del closes[:-_CLOSES]

    def _snapshot(self, portfolio: Portfolio) -> list[Out]:
        name = portfolio.portfolio_id
        known = self._portfolios.get(name)
        cause = None if known is None else _superseded(known, portfolio)
        if cause is not None:
            self._counts[("alvh_snapshots_ignored_total", cause)] += 1
            return []
        self._portfolios[name] = portfolio
        memory = self._memories.get(name, Memory())
        self._memories[name] = memory.model_copy(update={"positions": None})
        self._changed_portfolios.add(name)
        session = valued_session(self._calendar, portfolio.as_of)
        if session is not None:
            self._tracks.setdefault(name, Track()).snapshot_taken(portfolio, session)
            self._changed_tracks.add(name)
        return self._evaluate(name, "snapshot") if portfolio.market in self._markets else []

    def _evaluate(self, name: str, trigger: Trigger) -> list[Out]:
        portfolio = self._portfolios[name]
        market = self._markets[portfolio.market]
        memory = self._memories[name]
        estimate = self._tracks[name].estimate if name in self._tracks else None
        self._memories[name], event = evaluate(
            self._rules, self._calibration_digest, market, portfolio, memory, trigger, estimate
        )
        self._changed_portfolios.add(name)
        if event is None:
            return []
        self._counts[("alvh_rebalances_total", event.state)] += 1
        for reason in event.blocked:
            self._counts[("alvh_adds_blocked_total", _label(reason))] += 1
        return [Out(HEDGE_REBALANCES, name.encode(), event.canonical(), JSON_HEADERS, urgent=True)]

    def snapshot(self) -> Mapping[bytes, bytes | None]:
        """State of the markets and portfolios that changed since the last call."""
        changed: dict[bytes, bytes | None] = {}
        for name in sorted(self._changed_markets):
            market = self._markets[name]
            changed[f"regime/{name}".encode()] = canonical_json(
                {
                    "version": VERSION,
                    "regime": market.regime.document(),
                    "signals": dict(market.signals),
                    "closes": self._saved(name),
                }
            )
        for name in sorted(self._changed_portfolios):
            changed[f"portfolio/{name}".encode()] = canonical_json(
                {
                    "version": VERSION,
                    "portfolio": self._portfolios[name].document(),
                    "memory": self._memories[name].document(),
                }
            )
        for name in sorted(self._changed_tracks):
            changed[f"beta/{name}".encode()] = canonical_json({"version": VERSION, **self._tracks[name].document()})
        self._changed_tracks.clear()
        self._changed_markets.clear()
        self._changed_portfolios.clear()
        return changed

    def _saved(self, market: str) -> list[list[Any]]:
        closes = self._closes.get(market, [])
        return [[c.session_date.isoformat(), c.spx, c.spxtr, c.rate_free] for c in closes]

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back one key's state. Raises ValueError for a key or version that this code does not know."""
        kind, _, name = key.decode().partition("/")
        state = json.loads(value)
        if state.get("version") != VERSION:
            raise ValueError(f"state {key!r} has version {state.get('version')!r}; this code knows {VERSION}")
        if kind == "regime":
            regime = _read(Regime, state["regime"])
            self._markets[name] = MarketView(regime, state["signals"])
            self._closes[name] = [MarketClose(date.fromisoformat(day), *rest) for day, *rest in state["closes"]]
        elif kind == "portfolio":
            self._portfolios[name] = _read(Portfolio, state["portfolio"])
            self._memories[name] = Memory.model_validate_json(canonical_json(state["memory"]))
        elif kind == "beta":
            self._tracks[name] = Track.restore(state)
        else:
            raise ValueError(f"unknown state key {key!r}")

    def counts(self) -> Mapping[tuple[str, ...], float]:
        """Rebalances, blocked adds and ignored snapshots since the last call."""
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
    return "price" if reason.startswith("price:") else reason


def _settled(kind: type[M], message: M) -> M:
    """The message as it reads after one trip over the wire.

    State is kept as canonical bytes. What is decided before a restart must not have digits that are gone after it.
    """
    return decode(kind, message.canonical())


def _read(kind: type[M], document: Any) -> M:
    return kind.model_validate_json(canonical_json(document))


def _single(ts: int, body: Message) -> Decoded:
    return Decoded(np.array([ts], dtype=np.int64), body)


def _check_key(record: Record, key: str, what: str) -> None:
    if record.key != key.encode():
        given = "no key" if record.key is None else f"the key {record.key[:40]!r}"
        raise Refused("wrong_market", f"{what} must have the key {key}; this one has {given}")


def _check_quantities(portfolio: Portfolio) -> None:
    for number, position in enumerate(portfolio.positions):
        if parse_symbol(position.symbol).kind == "future" and not position.quantity.is_integer():
            raise Refused(
                "invalid",
                f"positions.{number}.quantity: futures come in whole contracts (given {position.quantity:g} of "
                f"{position.symbol})",
            )
