"""A portfolio's hedge, session by session, from its rebalance events as if every leg had been dealt.

Each leg is dealt at the event's instant at its ``limit``, the worst price that the event names, else at its ``price``.
Marks are those of the committed sessions. What settles does so at the last settlement known of its future, from the
session before: the auction's own value stands in no event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from processors.hedge.futures import list_contracts
from processors.hedge.weights import SLEEVES
from processors.study.ledger import Earned, Fill, Ledger
from processors.study.marks import Mark, marks, multiplier
from topics.calibration import HedgeRules
from topics.hedge_rules import Sleeve
from topics.instrument import parse_symbol
from topics.message import feature_number
from topics.rebalance import Rebalance, Trade
from topics.regime import Regime

#: Fee of a VX contract and side, USD: a choice, near what exchange and broker take together. Options pay the
#: calibration's ``costs.fee``; shares nothing.
FUTURE_FEE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Dealt:
    """What a layer dealt in a session.

    Attributes:
        events: rebalances with a leg of it. rolls: packages that roll it.
        contracts: futures and options dealt, either side.
        turnover: notional dealt as a share of H: futures at price x multiplier, options at their premium.
    """

    events: int = 0
    rolls: int = 0
    contracts: int = 0
    turnover: float = 0.0


@dataclass(frozen=True, slots=True)
class Session:
    """One session of one portfolio.

    Attributes:
        change: of the SPX since the session before, a fraction; None where a close is missing.
        mv, beta: of the portfolio, as its newest event sized it; None before the first that did.
        events, trading: rebalances published, and those of them with legs. rolls: packages that roll.
        earned, dealt: by layer.
        carry: what each layer would have earned since the session before on an unchanged curve, USD.
    """

    session_date: date
    change: float | None
    mv: float | None
    beta: float | None
    events: int
    trading: int
    rolls: int
    earned: Mapping[Sleeve, Earned]
    dealt: Mapping[Sleeve, Dealt]
    carry: Mapping[Sleeve, float]

    @property
    def pnl(self) -> float:
        """What the hedge earned, USD."""
        return sum(earned.pnl for earned in self.earned.values())


@dataclass(frozen=True, slots=True)
class Followed:
    """A portfolio's hedge over all sessions.

    Attributes:
        differences: contracts that an event says were held before it and that no event had dealt: they are taken over
            at the price of its leg.
        value, cash: at the end, USD by layer.
    """

    portfolio_id: str
    sessions: tuple[Session, ...]
    differences: int
    value: Mapping[Sleeve, float]
    cash: Mapping[Sleeve, float]


@dataclass(slots=True)
class _Count:
    events: int = 0
    rolls: int = 0
    contracts: int = 0
    turnover: float = 0.0


@dataclass(slots=True)
class _Follower:
    rules: HedgeRules
    ledger: Ledger = field(default_factory=Ledger)
    settles: dict[date, float] = field(default_factory=dict)
    differences: int = 0
    mv: float | None = None
    beta: float | None = None
    spx: float | None = None
    carry: dict[Sleeve, float] = field(default_factory=lambda: dict.fromkeys(SLEEVES, 0.0))

    def take(self, event: Rebalance, counts: Mapping[Sleeve, _Count]) -> None:
        """Deal what an event advises."""
        h = event.hedge_notional
        if h and event.beta:
            self.mv, self.beta = h / (self.rules.h0 * event.beta * event.h_scale), event.beta
        for sleeve in SLEEVES:
            legs = [leg for leg in event.trades if leg.layer == sleeve]
            counts[sleeve].events += bool(legs)
            counts[sleeve].rolls += sum(p.action == "roll" for p in event.packages if p.layer == sleeve)
            for leg in legs:
                self._deal(sleeve, leg)
                if parse_symbol(leg.symbol).expiry is not None:
                    counts[sleeve].contracts += leg.quantity
                if h:
                    counts[sleeve].turnover += leg.notional / h

    def _deal(self, sleeve: Sleeve, leg: Trade) -> None:
        instrument = parse_symbol(leg.symbol)
        size = multiplier(leg.symbol)
        known = self.ledger.quantities.get((sleeve, leg.symbol), 0)
        if leg.held != known:
            self.differences += abs(leg.held - known)
            self.ledger.fill(Fill(sleeve, leg.symbol, leg.held - known, leg.price, size))
        fee = {"option": self.rules.costs.fee, "future": FUTURE_FEE}.get(instrument.kind, 0.0)
        at = leg.price if leg.limit is None else leg.limit
        self.ledger.fill(Fill(sleeve, leg.symbol, leg.target - leg.held, at, size, fee * leg.quantity))

    def close(self, regime: Regime, events: Sequence[Rebalance], days: int) -> Session:
        """A session with its events; ``days``: calendar days to the next one."""
        counts = {sleeve: _Count() for sleeve in SLEEVES}
        for event in events:
            self.take(event, counts)
        settlements = self._settlements(regime.session_date)
        known = marks(regime, self.ledger.symbols)
        earned = self.ledger.close({symbol: mark.price for symbol, mark in known.items()}, settlements)
        self.settles |= {contract.expiry: contract.price for contract in list_contracts(regime.curve)}
        spx = feature_number(regime.features, "spx")
        change = None if spx is None or self.spx is None else spx / self.spx - 1
        self.spx = spx
        found = Session(
            session_date=regime.session_date,
            change=change,
            mv=self.mv,
            beta=self.beta,
            events=len(events),
            trading=sum(bool(event.trades) for event in events),
            rolls=sum(count.rolls for count in counts.values()),
            earned=earned,
            dealt={s: Dealt(c.events, c.rolls, c.contracts, c.turnover) for s, c in counts.items()},
            carry=self.carry,
        )
        self.carry = self._carry(known, regime.session_date, days)
        return found

    def _settlements(self, today: date) -> dict[str, float | None]:
        """What expires by today, at the last settlement known of its expiry; None without one."""
        found: dict[str, float | None] = {}
        for symbol in self.ledger.expiring(today):
            instrument = parse_symbol(symbol)
            assert instrument.expiry is not None
            settle = self.settles.get(instrument.expiry)
            if settle is not None and instrument.kind == "option":
                assert instrument.strike is not None
                found[symbol] = max(0.0, (settle - instrument.strike) * (1 if instrument.right == "C" else -1))
            else:
                found[symbol] = settle
        return found

    def _carry(self, known: Mapping[str, Mark], today: date, days: int) -> dict[Sleeve, float]:
        """What each layer earns on an unchanged curve until the next session or an expiry, whichever comes first."""
        found = dict.fromkeys(SLEEVES, 0.0)
        for (sleeve, symbol), quantity in self.ledger.quantities.items():
            mark, expiry = known.get(symbol), parse_symbol(symbol).expiry
            if mark is not None and mark.carry is not None:
                found[sleeve] += quantity * mark.carry * (days if expiry is None else min(days, (expiry - today).days))
        return found


def follow(rules: HedgeRules, states: Sequence[Regime], events: Iterable[Rebalance]) -> Followed:
    """The hedge of one portfolio over the committed sessions of its market, both in their order.

    It begins with the first event. An event belongs to the first session whose close is not before it; what comes after
    the last close, to that one.
    """
    waiting = list(events)
    names = {event.portfolio_id for event in waiting}
    if len(names) > 1:
        raise ValueError(f"the events of one portfolio are followed at a time, got {sorted(names)}")
    follower = _Follower(rules)
    found: list[Session] = []
    at = 0
    for number, regime in enumerate(states):
        last = number + 1 == len(states)
        first = at
        while at < len(waiting) and (last or waiting[at].event_ts <= regime.event_ts):
            at += 1
        if not at:
            continue
        days = 0 if last else (states[number + 1].session_date - regime.session_date).days
        found.append(follower.close(regime, waiting[first:at], days))
    ledger = follower.ledger
    return Followed(
        next(iter(names), ""), tuple(found), follower.differences, ledger.value(), ledger.cash
    )
