"""From a regime and a portfolio to layer targets and whole contracts: the pure steps, joined in their order.

base (table) -> tilted (Layer 1) -> activated (Layer 3) -> capped -> aim (exposure limit) -> target (band, pace, adds
within caps and blocks) -> whole contracts. Every vector between is kept, for whoever has to explain the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from processors.hedge.activation import activate, beta_trigger, divergence_trigger
from processors.hedge.band import Step, step
from processors.hedge.blocks import blocked
from processors.hedge.book import Book, Contract, Holding, list_contracts, read_book
from processors.hedge.caps import cap, cap_adds, reserve_floor
from processors.hedge.contracts import adds_to, choose, size, trades, worth
from processors.hedge.liquidity import portfolio_quick_ratio
from processors.hedge.memory import Memory
from processors.hedge.sizing import exposure, hedge_notional, limit_exposure
from processors.hedge.tilt import tilt
from processors.hedge.view import MarketView
from processors.hedge.weights import EPSILON, SLEEVES, Vector, base, deployed, gross, sleeves, vector
from topics.calibration import HedgeRules, Posture
from topics.hedge_rules import Sleeve
from topics.message import tidy
from topics.portfolio import Portfolio
from topics.rebalance import Trade

#: Everything in reserve.
_EMPTY: Mapping[Sleeve, float] = dict.fromkeys(SLEEVES, 0.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a portfolio's hedge should become.

    Attributes:
        h: hedge notional H, USD; None while beta is missing.
        vectors: weights after each step, in order.
        target: weights advised now.
        contracts: contracts of Layer 1 to hold, by symbol; None when nothing can be sized and all is held as it is.
        legs: trades from what is held to that.
        blocked: why adds are blocked.
        limits: values after the trade, each beside its bound.
        residual: USD of Layer 1's target that whole contracts leave in the reserve.
        adds: whether anything becomes larger. reduces: whether anything becomes smaller.
        steps: what each layer does in this session. l3_on: Layer 3's trigger. entered_high: see the memory.
    """

    h: float | None
    vectors: Mapping[str, Vector]
    target: Vector
    contracts: Mapping[str, int] | None
    legs: tuple[Trade, ...]
    blocked: tuple[str, ...]
    limits: Mapping[str, float]
    adds: bool
    reduces: bool
    steps: Mapping[Sleeve, Step] = field(default_factory=dict)
    residual: float = 0.0
    l3_on: bool = False
    entered_high: date | None = None


def plan(rules: HedgeRules, market: MarketView, portfolio: Portfolio, memory: Memory) -> Plan:
    """The plan for a portfolio under the newest regime of its market. Pure: the same arguments give the same plan."""
    return _Planner(rules, market, portfolio, memory).plan()


class _Planner:
    """One planning: the arguments and what follows from them directly."""

    def __init__(self, rules: HedgeRules, market: MarketView, portfolio: Portfolio, memory: Memory) -> None:
        regime = market.regime
        self.rules, self.portfolio, self.memory = rules, portfolio, memory
        self.state, self.session_date = regime.state, regime.session_date
        self.posture: Posture = rules.postures[portfolio.policy]
        positions = portfolio.positions if memory.positions is None else memory.positions
        self.book: Book = read_book(positions, regime.curve, self.session_date)
        self.opening: Contract | None = choose(list_contracts(regime.curve), rules.windows["L1"], self.session_date)
        self.h = hedge_notional(rules, portfolio.beta, portfolio.mv)
        self.l3_on = beta_trigger(rules, portfolio.beta, memory.l3_on)
        self.entered_high: date | None = None
        if self.state == "high":
            self.entered_high = memory.entered_high if memory.state == "high" else self.session_date
        urgent = self.state == "high" and self.entered_high == self.session_date
        self.quick_ratio = portfolio_quick_ratio(regime, portfolio)
        self.blocked = blocked(rules, regime, portfolio, self.book, self.opening, self.quick_ratio, urgent)
        self.vectors = self._aims(market)

    def plan(self) -> Plan:
        if self.h is None or not self.book.valued:
            return self._unsized(self.h)
        return self._sized(self.h) if self.h > 0 else self._nothing_to_hedge()

    def _aims(self, market: MarketView) -> dict[str, Vector]:
        """Base, tilted, activated, capped and aim: they depend on nothing that is held."""
        rules, state = self.rules, self.state
        table = base(rules, state)
        tilted = tilt(rules, state, table, market.signals)
        activated = activate(rules, tilted, self.l3_on or divergence_trigger(market.signals))
        capped = cap(rules, self.posture, state, activated)
        aim = limit_exposure(rules, capped)
        return {"base": table, "tilted": tilted, "activated": activated, "capped": capped, "aim": aim}

    def _unsized(self, h: float | None) -> Plan:
        """Beta is missing, or contracts are held that nothing can value: hold everything as it is."""
        last = self.memory.targets
        target = vector(_EMPTY if last is None else sleeves(last))
        return Plan(
            h=h,
            vectors={**self.vectors, "target": target},
            target=target,
            contracts=None,
            legs=(),
            blocked=self.blocked,
            limits={},
            adds=False,
            reduces=False,
            steps=self.memory.steps,
            l3_on=self.l3_on,
            entered_high=self.entered_high,
        )

    def _nothing_to_hedge(self) -> Plan:
        """Beta is 0 or negative, so H is 0: every contract is closed and every layer is empty."""
        target = vector(_EMPTY)
        contracts = size(self._l1(), None, 0.0, self.rules.windows["L1"], self.session_date, adds=False)
        legs = trades(self._l1(), None, contracts)
        return Plan(
            h=0.0,
            vectors={**self.vectors, "target": target},
            target=target,
            contracts=contracts,
            legs=legs,
            blocked=self.blocked,
            limits={},
            adds=False,
            reduces=bool(legs) or any(weight > EPSILON for weight in self.memory.weights.values()),
            l3_on=self.l3_on,
            entered_high=self.entered_high,
        )

    def _sized(self, h: float) -> Plan:
        held = self._held(h)
        owned = self._owned(h, held)
        start = self._start(h, owned)
        wanted, steps, stands = self._steps(h, start)
        frozen = self._frozen()
        allowed = _without_adds(frozen, start, wanted)
        # What whole contracts left of a target counts as held against the caps, though not beyond Layer 1's own.
        counted = min(start["L1"], max(owned["L1"], self.rules.layer_max))
        target = cap_adds(self.rules, self.posture, self.state, {**sleeves(owned), "L1": counted}, allowed)
        for sleeve, taken in steps.items():
            limited = allowed[sleeve] - target[sleeve] > EPSILON
            # A rising step that a block stopped does not stand: once the block is gone it is taken anew. A falling one
            # is stopped by nothing, though prices may have fallen below it since.
            stopped = wanted[sleeve] - allowed[sleeve] > EPSILON and taken.target > taken.anchor
            if limited or stopped:
                anchor = target[sleeve] if stopped else start[sleeve]
                stands = stands and sleeve != "L1"
                steps[sleeve] = taken.model_copy(update={"anchor": anchor, "target": target[sleeve]})
        contracts = size(
            self._l1(),
            self.opening,
            (target["L1"] if stands or "L1" not in frozen else min(target["L1"], owned["L1"])) * h,
            self.rules.windows["L1"],
            self.session_date,
            adds=not self.blocked,
            standing=self.memory.advised if stands else None,
        )
        legs = trades(self._l1(), self.opening, contracts)
        worth_now = worth(self._l1(), self.opening, contracts)
        whole = vector({**sleeves(target), "L1": worth_now / h})
        moves = [target[sleeve] - held[sleeve] for sleeve in SLEEVES if sleeve != "L1"]
        return Plan(
            h=h,
            vectors={"held": held, **self.vectors, "target": target, "whole": whole},
            target=target,
            contracts=contracts,
            legs=legs,
            blocked=self.blocked,
            limits=self._limits(whole),
            adds=any(adds_to(leg) for leg in legs) or any(move > EPSILON for move in moves),
            reduces=not all(adds_to(leg) for leg in legs) or any(move < -EPSILON for move in moves),
            steps=steps,
            residual=tidy(max(0.0, target["L1"] * h - worth_now)),
            l3_on=self.l3_on,
            entered_high=self.entered_high,
        )

    def _l1(self) -> tuple[Holding, ...]:
        return self.book.layers.get("L1", ())

    def _held(self, h: float) -> Vector:
        """Weights held: futures at the regime's prices; layers without legs at the weight last published for them."""
        return vector(
            {
                sleeve: self.book.notional(sleeve) / h
                if sleeve == "L1" or sleeve in self.book.layers
                else self.memory.weights.get(sleeve, 0.0)
                for sleeve in SLEEVES
            }
        )

    def _owned(self, h: float, held: Vector) -> Vector:
        """What is held without the short futures of Layer 1, which are closed whatever the weights say."""
        return vector({**sleeves(held), "L1": sum(max(holding.notional, 0.0) for holding in self._l1()) / h})

    def _start(self, h: float, owned: Vector) -> Vector:
        """Where this session's steps begin: what is owned, and what whole contracts left of the session's target.

        When the contracts are those advised earlier in the session, that residual is no gap to trade: it was less than
        one contract.
        """
        weight = owned["L1"]
        last, quantities = self.memory.steps.get("L1"), {x.contract.symbol: x.quantity for x in self._l1()}
        if last is not None and last.session_date == self.session_date and quantities == self._advised():
            weight += self.memory.residual / h
        return vector({**sleeves(owned), "L1": weight})

    def _advised(self) -> dict[str, int]:
        return {symbol: quantity for symbol, quantity in self.memory.advised.items() if quantity}

    def _steps(self, h: float, held: Vector) -> tuple[Vector, dict[Sleeve, Step], bool]:
        """Where band and pace lead, each layer's step, and whether Layer 1's step of earlier in the session stands."""
        pace = 1.0 if self.entered_high == self.session_date else self.posture.pace
        remembered = self.memory.steps if self.memory.state == self.state else {}
        steps: dict[Sleeve, Step] = {}
        wanted: dict[Sleeve, float] = {}
        for sleeve in SLEEVES:
            hard = self.rules.l1_low if sleeve == "L1" and self.state == "low" else None
            last, aim = remembered.get(sleeve), self.vectors["aim"][sleeve]
            steps[sleeve] = step(last, self.session_date, held[sleeve], aim, self.rules.band, pace, hard)
            wanted[sleeve] = steps[sleeve].target
        stands = steps["L1"] is remembered.get("L1")
        if stands:
            # What was advised stays advised: its contracts are worth what they are worth now, not when they were sized.
            marked = worth(self._l1(), self.opening, self.memory.advised) / h
            wanted["L1"] = tidy(max(wanted["L1"], marked))
            if steps["L1"].target < steps["L1"].anchor:
                wanted["L1"] = min(wanted["L1"], held["L1"])  # a falling step buys nothing back
            if self.state == "low":
                wanted["L1"] = min(max(wanted["L1"], self.rules.l1_low[0]), self.rules.l1_low[1])
        return vector(wanted), steps, stands

    def _frozen(self) -> tuple[Sleeve, ...]:
        """Layers that may not become larger: all while adds are blocked, Layer 1 in `high`.

        In `high` the hedge is made of convexity, not of futures bought into the spike; those held are reduced.
        """
        if self.blocked:
            return SLEEVES
        return ("L1",) if self.state == "high" else ()

    def _limits(self, whole: Vector) -> dict[str, float]:
        """What is held after the trade against each limit."""
        rules, posture, total = self.rules, self.posture, deployed(whole)
        largest = max(whole["L1"], whole["L2"], whole["L3"])
        limits = {
            "layer": largest,
            "layer_max": rules.layer_max,
            "theta": whole["TT"],
            "theta_max": posture.theta_max,
            "reserve": whole["R"],
            "reserve_min": reserve_floor(posture, self.state),
            "gross": gross(whole),
            "gross_max": rules.gross_max,
            "exposure": exposure(rules, whole),
            "exposure_max": rules.exposure_max,
        }
        if self.quick_ratio is not None and self.quick_ratio.value is not None:
            limits |= {"quick_ratio": self.quick_ratio.value, "quick_ratio_min": rules.quick_ratio_min}
        if total >= rules.deployed_from - EPSILON:
            limits |= {"share": largest / total, "share_max": rules.deployed_share_max}
        return {name: tidy(value) for name, value in limits.items()}


def _without_adds(frozen: tuple[Sleeve, ...], start: Vector, target: Vector) -> Vector:
    """``target`` with the frozen layers no larger than where they start from."""
    least = {sleeve: min(target[sleeve], max(start[sleeve], 0.0)) for sleeve in frozen}
    return vector({**sleeves(target), **least})
