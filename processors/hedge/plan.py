"""From a market and a portfolio to layer targets and whole contracts: the pure steps, joined in their order.

base (table) -> tilted (MACD, RSI) -> dragged (cost in return) -> activated (Layer 3) -> gated (Temporal Theta) ->
levered (second engine) -> capped -> aim (exposure). These say what the hedge should be. From what is held towards it:
paced (band and pace) -> blocked (what may not grow) -> limited (caps, carry, premium, stress) -> whole (contracts).
Every vector between is kept, for whoever has to explain the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

from processors.hedge.activation import beta_trigger
from processors.hedge.aims import Aims, Stance, aims
from processors.hedge.band import Pace, Step, stands, target
from processors.hedge.blocks import blocked, shut_layers
from processors.hedge.book import Book, ExitView, read_book
from processors.hedge.book_lines import book_lines, layer_cost
from processors.hedge.caps import cap_adds
from processors.hedge.carry import carry_budget, limit_carry, limit_premium, premium_room
from processors.hedge.contracts import changes, size, smallest
from processors.hedge.futures import MULTIPLIER
from processors.hedge.liquidity import portfolio_quick_ratio
from processors.hedge.memory import Memory
from processors.hedge.openings import Opening, Openings, Slot
from processors.hedge.second_engine import RUNS
from processors.hedge.sizing import deployable, hedge_notional
from processors.hedge.stress import Outcome, breaches, stress
from processors.hedge.view import MarketView
from processors.hedge.wacc import hedge_scale
from processors.hedge.watch import watched
from processors.hedge.weights import EPSILON, SLEEVES, Vector, sleeves, vector
from processors.signals.liquidity import QuickRatio
from topics.calibration import HedgeRules, Posture
from topics.hedge_rules import Sleeve
from topics.message import feature_number, tidy
from topics.portfolio import Portfolio, Position

#: Everything in reserve.
_EMPTY: Mapping[Sleeve, float] = dict.fromkeys(SLEEVES, 0.0)
#: The slots of each layer, in the order in which they are filled.
SLOTS: Final[Mapping[Sleeve, tuple[Slot, ...]]] = {
    "L1": ("future", "note"),
    "L2": ("L2",),
    "L3": ("tail", "L3"),
    "TT": ("TT",),
}
#: The least share of an add that is tried before it is given up.
_LEAST_CUT: Final = 0.125
#: Limits are not broken by less than this.
_CLOSE: Final = 1e-6

Quantities = Mapping[Sleeve, Mapping[str, int]]


@dataclass(frozen=True)
class Plan:
    """What a portfolio's hedge should become.

    Attributes:
        h: hedge notional H, USD; None while beta is missing.
        h_scale: what the cost of capital multiplied H by. kappa: as used.
        vectors: weights after each step, in order.
        target: weights advised now.
        held: what is held, read at the market's prices. after: the same after the trade.
        contracts: contracts and shares to hold by layer and symbol; None when something cannot be valued: all is kept.
        blocked: why adds are blocked. shut: why a single layer is not added to.
        alerts: what to look at.
        adds: whether anything becomes larger. reduces: whether anything becomes smaller.
        memory: what the next evaluation is told.
        quick_ratio: what is liquid over what falls due; None when a part of it is missing.
        engine_share: the part of Layers 2 and 3 that the second engine adds.
    """

    h: float | None
    h_scale: float
    kappa: float
    vectors: Mapping[str, Vector]
    target: Vector
    held: Book
    after: Book
    contracts: Quantities | None
    blocked: tuple[str, ...]
    shut: Mapping[Sleeve, tuple[str, ...]]
    alerts: tuple[str, ...]
    memory: Memory
    quick_ratio: QuickRatio | None
    engine_share: float

    @cached_property
    def moves(self) -> dict[Sleeve, dict[str, tuple[int, int]]]:
        """What is held before and after by symbol, for each layer in which anything changes."""
        if self.contracts is None:
            return {}
        found = {sleeve: changes(self.held.quantities(sleeve), self.contracts.get(sleeve, {})) for sleeve in SLEEVES}
        return {sleeve: moves for sleeve, moves in found.items() if moves}

    @property
    def adds(self) -> bool:
        """Whether any position becomes larger, regardless of its sign."""
        return any(abs(after) > abs(before) for moves in self.moves.values() for before, after in moves.values())

    @property
    def reduces(self) -> bool:
        """Whether any position becomes smaller."""
        return any(abs(after) < abs(before) for moves in self.moves.values() for before, after in moves.values())


def plan(
    rules: HedgeRules,
    market: MarketView,
    openings: Openings,
    portfolio: Portfolio,
    memory: Memory,
    drag: float | None = None,
) -> Plan:
    """The plan for a portfolio under the newest regime of its market. Pure: the same arguments give the same plan.

    ``openings``: what the market's layers would open (see :func:`processors.hedge.openings.open_market`).
    ``drag``: what the hedge has cost in money-weighted return, decimal a year; None when not known.
    """
    return _Planner(rules, market, openings, portfolio, memory, drag).plan()


class _Planner:
    """One planning: the arguments and what follows from them directly."""

    def __init__(
        self,
        rules: HedgeRules,
        market: MarketView,
        openings: Openings,
        portfolio: Portfolio,
        memory: Memory,
        drag: float | None,
    ) -> None:
        regime = market.regime
        self.rules, self.market, self.openings, self.portfolio = rules, market, openings, portfolio
        self.state, self.session_date = regime.state, regime.session_date
        self.posture: Posture = rules.postures[portfolio.policy]
        self.exits = ExitView(feature_number(regime.features, "vix"), market.closes)
        self.book = self.read(memory.holdings(portfolio))
        self.kappa = rules.vx_beta if market.kappa is None else market.kappa
        scale = hedge_scale(rules.wacc, None if memory.capital is None else memory.capital.cost)
        self.scale = 1.0 if scale is None else scale
        self.h = hedge_notional(rules, portfolio.beta, portfolio.mv, self.scale)
        self.deployable = deployable(rules, self.kappa, self.scale)
        entered = None
        if self.state == "high":
            entered = memory.entered_high if memory.state == "high" else self.session_date
        self.urgent = self.state == "high" and entered == self.session_date
        self.watches, self.alerts, self.near = watched(rules.break_even, memory.watches, self.book)
        self.shut = shut_layers(openings, self.state, portfolio.fills == "modelled")
        for sleeve in self.near:
            self.shut[sleeve] = (*self.shut[sleeve], "break_even")
        self.memory = memory.model_copy(
            update={
                "state": self.state,
                "entered_high": entered,
                "l3_on": beta_trigger(rules, portfolio.beta, memory.l3_on),
                # Its switch is read at closes; a state that comes in between stops it at once.
                "engine_on": memory.engine_on and self.state in RUNS,
                "engine_ready": memory.engine_ready and self.state in RUNS,
                "watches": self.watches,
            }
        )
        self.remembered = memory.steps if memory.state == self.state else {}
        stance = Stance(
            policy=portfolio.policy,
            l3_on=self.memory.l3_on,
            engine_on=self.memory.engine_on,
            drag=drag,
            theta=self._owned("TT") / self.h if self.h else 0.0,
            deployable=self.deployable,
        )
        known = openings.aims.of(rules, market)
        if stance not in known:
            known[stance] = aims(rules, self.state, market.signals, openings, stance)
        found: Aims = known[stance]
        self.vectors, self.levered = dict(found.vectors), found.levered
        # With the exit of what the second engine adds now: by what it added before, the next look would block instead.
        self.quick_ratio = portfolio_quick_ratio(regime, portfolio, tidy(self.levered) * (self.h or 0.0))
        self.blocked = blocked(rules, regime, portfolio, self.book, openings, self.quick_ratio, self.urgent)

    def read(self, positions: Sequence[Position]) -> Book:
        return read_book(self.rules, positions, self.openings, self.session_date, self.exits)

    def plan(self) -> Plan:
        if self.h is None or not self.book.valued:
            return self._unsized()
        return self._sized(self.h) if self.h > 0 else self._nothing_to_hedge()

    def _unsized(self) -> Plan:
        """Something is held that nothing can value: keep everything as it is.

        While beta is missing nothing has a weight, but what has to go goes whatever the weights say.
        """
        last = self.memory.targets
        kept = vector(_EMPTY if last is None else sleeves(last))
        if not self.book.valued:
            return self._plan(self.h, self.vectors, kept, self.book, None, self.memory.steps)
        contracts = {sleeve: self._staying(sleeve) for sleeve in SLEEVES}
        after = self.read(self._positions(contracts))
        return self._plan(self.h, self.vectors, kept, after, contracts, self.memory.steps)

    def _staying(self, sleeve: Sleeve) -> dict[str, int]:
        """Contracts of a layer without those that have to go."""
        staying = dict.fromkeys(self.book.quantities(sleeve), 0)
        for lot in self.book.layers.get(sleeve, ()):
            for symbol, ratio in lot.ratios:
                staying[symbol] += 0 if lot.close else lot.units * ratio
        return staying

    def _nothing_to_hedge(self) -> Plan:
        """Beta is 0 or negative, so H is 0: every contract is closed and every layer is empty."""
        contracts = {sleeve: dict.fromkeys(self.book.quantities(sleeve), 0) for sleeve in SLEEVES}
        return self._plan(0.0, self.vectors, vector(_EMPTY), Book(), contracts, {})

    def _sized(self, h: float) -> Plan:
        held = vector({sleeve: self.book.weight(sleeve) / h for sleeve in SLEEVES})
        owned = vector({sleeve: self._owned(sleeve) / h for sleeve in SLEEVES})
        wanted = vector({sleeve: self._wanted(sleeve, owned[sleeve], h) for sleeve in SLEEVES})
        frozen = self._frozen()
        allowed = _without_adds(frozen, owned, wanted)
        limited = self._limited(owned, allowed, h)
        contracts, after, steps, limited = self._contracts(owned, limited, frozen, h)
        whole = vector({sleeve: after.weight(sleeve) / h for sleeve in SLEEVES})
        steps_taken = {"paced": wanted, "blocked": allowed, "limited": limited, "whole": whole}
        vectors = {"held": held, **self.vectors, **steps_taken}
        return self._plan(h, vectors, limited, after, contracts, steps)

    def _plan(
        self,
        h: float | None,
        vectors: Mapping[str, Vector],
        advised: Vector,
        after: Book,
        contracts: Quantities | None,
        steps: Mapping[Sleeve, Step],
    ) -> Plan:
        # The steps of a session stand together: what one layer frees is not spent by another before the next.
        moved = dict(steps) if any(step.advised != step.held for step in steps.values()) else {}
        return Plan(
            h=h,
            h_scale=self.scale,
            kappa=self.kappa,
            vectors=vectors,
            target=advised,
            held=self.book,
            after=after,
            contracts=contracts,
            blocked=self.blocked,
            shut={sleeve: reasons for sleeve, reasons in self.shut.items() if reasons},
            alerts=self.alerts,
            memory=self.memory.model_copy(update={"steps": moved, "levered": tidy(self.levered)}),
            quick_ratio=self.quick_ratio,
            engine_share=self.engine_share,
        )

    def _owned(self, sleeve: Sleeve) -> float:
        """What a layer may keep, USD of H: what has to go is gone whatever the weights say."""
        return sum(max(lot.weight, 0.0) for lot in self.book.layers.get(sleeve, ()) if not lot.close)

    def _slots(self, sleeve: Sleeve, budget: float) -> list[tuple[Opening, float]]:
        """What a layer would open, each with the most USD that may be held of it."""
        found = self.openings.found
        if sleeve == "L3" and "L3" in found and "tail" in found:
            most = self.rules.convexity.tail_max * budget
            return [(found["tail"], most), (found["L3"], budget)] if self.memory.l3_on else [(found["L3"], budget)]
        if sleeve == "L3" and "L3" not in found:
            return []
        return [(found[slot], budget) for slot in SLOTS[sleeve] if slot in found]

    def _wanted(self, sleeve: Sleeve, owned: float, h: float) -> float:
        """Where band and pace lead a layer."""
        hard = self.rules.l1_low if sleeve == "L1" and self.state == "low" else None
        pace = 1.0 if self.urgent else self.posture.pace
        unit = smallest(self._slots(sleeve, h)) / h
        how = Pace(self.rules.band, pace, self.rules.step_min, unit)
        return tidy(target(owned, self.vectors["aim"][sleeve], how, hard))

    def _frozen(self) -> tuple[Sleeve, ...]:
        """Layers that may not become larger: all while adds are blocked."""
        return SLEEVES if self.blocked else tuple(sleeve for sleeve in SLEEVES if self.shut[sleeve])

    def _opens(self, sleeve: Sleeve) -> bool:
        """Whether a layer may open and roll at all. In `high`, and near a break-even, what is held is still rolled."""
        if self.blocked:
            return False
        return not self.shut[sleeve] or all(reason in ("state:high", "break_even") for reason in self.shut[sleeve])

    def _limited(self, owned: Vector, allowed: Vector, h: float) -> Vector:
        """What was allowed with its adds within caps, carry budget and premium budget."""
        rules, have = self.rules, sleeves(owned)
        capped = cap_adds(rules, self.posture, self.state, have, allowed, self.deployable)
        if all(capped[sleeve] <= owned[sleeve] + EPSILON for sleeve in SLEEVES):
            return capped
        share = h / self.portfolio.mv
        costs = {sleeve: cost * share for sleeve, cost in self._costs(owned, capped).items()}
        floors: dict[Sleeve, float] = {"L1": rules.l1_low[0]} if self.state == "low" else {}
        within = limit_carry(carry_budget(rules, self.market.signals), have, capped, costs, floors).weights
        room = premium_room(rules.carry, self.portfolio.mv, self.memory.premium_paid(self.session_date))
        return limit_premium(have, within, {layer: paid * h for layer, paid in self.openings.premium.items()}, room)

    def _costs(self, owned: Vector, weights: Vector) -> dict[Sleeve, float]:
        """Carry of a US dollar of each layer's weight a year: of what it opens, else of what it holds."""
        costs = dict(self.openings.cost)
        for sleeve in ("L1", "L2", "L3"):
            if sleeve in costs:
                continue
            if owned[sleeve] <= EPSILON and weights[sleeve] <= EPSILON:
                costs[sleeve] = 0.0
            else:
                cost = layer_cost(self.rules, self.openings, self.book, sleeve, self.session_date)
                if cost is not None:
                    costs[sleeve] = cost
        return costs

    def _contracts(
        self, owned: Vector, limited: Vector, frozen: Sequence[Sleeve], h: float
    ) -> tuple[dict[Sleeve, dict[str, int]], Book, dict[Sleeve, Step], Vector]:
        """Whole contracts by layer, the book after the trade, and the steps, with adds cut until no limit is broken."""
        standing = True
        left: dict[Sleeve, float] = {}
        weights = limited
        while True:
            contracts: dict[Sleeve, dict[str, int]] = {}
            steps: dict[Sleeve, Step] = {}
            for sleeve in SLEEVES:
                cut = left.get(sleeve, 1.0)
                steps[sleeve] = self._step(sleeve, owned, weights, sleeve in frozen, cut, h, standing)
                contracts[sleeve] = steps[sleeve].advised
            same = all(not changes(self.book.quantities(s), contracts[s]) for s in SLEEVES)
            after = self.book if same else self.read(self._positions(contracts))
            grown = [s for s in SLEEVES if self._grows(s, after, owned, h)]
            lost = not after.valued or not set(after.unpriced) <= set(self.book.unpriced)
            beyond = self._beyond(owned, after, grown, h)
            if standing and (lost or beyond):
                # What was advised earlier in the session has no price any more, or would break a cap at those of now.
                standing = False
                continue
            broken = beyond or self._broken(after, grown, h)
            if not broken:
                for sleeve in left:
                    self.shut[sleeve] = (*self.shut[sleeve], "limits")
                return contracts, after, steps, weights
            for sleeve in broken:
                now = left.get(sleeve, 1.0)
                left[sleeve] = now / 2 if now > _LEAST_CUT else 0.0
            kept = {s: owned[s] + cut * max(0.0, limited[s] - owned[s]) for s, cut in left.items()}
            weights = vector({**sleeves(weights), **{s: min(limited[s], weight) for s, weight in kept.items()}})

    def _grows(self, sleeve: Sleeve, after: Book, owned: Vector, h: float) -> bool:
        """Whether a layer becomes larger by more than what its contracts are worth more after a roll."""
        if after.long(sleeve) / h <= max(owned[sleeve], 0.0) + EPSILON:
            return False
        price = self.openings.futures[0].price if self.openings.futures else 1.0
        return sleeve != "L1" or _flat(after, price) > _flat(self.book, price) * (1.0 + EPSILON)

    def _step(
        self, sleeve: Sleeve, owned: Vector, weights: Vector, frozen: bool, cut: float, h: float, standing: bool
    ) -> Step:
        """A layer's step of the session: the one that stands, or a new one from what is held now."""
        lots = self.book.layers.get(sleeve, ())
        have = self.book.quantities(sleeve)
        aim = self.vectors["aim"][sleeve]
        goes = tuple(f"{lot.name}:{lot.close.partition(':')[0]}" for lot in lots if lot.close)
        hard = sleeve == "L1" and self.state == "low" and not _within(owned["L1"], self.rules.l1_low)
        key = "|".join(
            (
                self.state,
                "held" if abs(aim - owned[sleeve]) <= EPSILON else f"{aim:.3f}",
                *(("frozen",) if frozen else ()),
                *((f"cut to {cut:g}",) if cut < 1.0 else ()),
            )
        )
        begun = partial(
            Step, session_date=self.session_date, key=key, goes=goes, outside=hard, h=tidy(h), held=have
        )
        last = self.remembered.get(sleeve)
        if standing and last is not None and stands(last, begun(advised={}), self.rules.h_tolerance):
            return last
        budget = max(weights[sleeve], 0.0) * h
        opens = self._opens(sleeve) and cut > 0.0
        sized = size(lots, self._slots(sleeve, budget), budget, opens, max(aim, 0.0) * h, rolls_only=frozen)
        return begun(advised={symbol: n for symbol, n in sized.quantities().items() if n or symbol in have})

    def _positions(self, contracts: Quantities) -> list[Position]:
        """The book after the trade, at what was paid for what is kept and what is asked for what is added."""
        paid = {(p.layer, p.symbol): p.price for p in self.memory.holdings(self.portfolio)}
        found: list[Position] = []
        for sleeve in SLEEVES:
            asked = self._asked(sleeve)
            for symbol, quantity in contracts[sleeve].items():
                if quantity:
                    known = paid.get((sleeve, symbol), paid.get((None, symbol)))
                    price = asked.get(symbol) if known is None else known
                    found.append(Position(symbol=symbol, quantity=float(quantity), layer=sleeve, price=price))
        return found

    def _asked(self, sleeve: Sleeve) -> dict[str, float]:
        structures = [self.openings.found[slot].structure for slot in SLOTS[sleeve] if slot in self.openings.found]
        return {leg.symbol: leg.price for structure in structures if structure is not None for leg in structure.legs}

    def _beyond(self, owned: Vector, after: Book, grown: Sequence[Sleeve], h: float) -> set[Sleeve]:
        """Layers whose adds, in whole contracts, lead beyond a cap that what is held does not already break."""
        if not grown:
            return set()
        weights = vector({sleeve: max(after.long(sleeve), 0.0) / h for sleeve in SLEEVES})
        within = cap_adds(self.rules, self.posture, self.state, sleeves(owned), weights, self.deployable)
        return {sleeve for sleeve in grown if weights[sleeve] - within[sleeve] > _CLOSE}

    def _broken(self, after: Book, grown: Sequence[Sleeve], h: float) -> set[Sleeve]:
        """Layers whose adds break a stress limit, or make worse what breaks one already."""
        then = self._stressed(after) if grown else None
        found: set[Sleeve] = set()
        broken = () if then is None else breaches(self.rules.stress, then, h)
        if not broken:
            return found
        now = self._stressed(self.book)
        shares = {} if now is None else {outcome.scenario: outcome.loss_share or 0.0 for outcome in now}
        for breach in broken:
            if breach.layer is None:
                found |= {sleeve for sleeve in grown if sleeve in ("L2", "L3")}
            elif breach.value > shares.get(breach.scenario, 0.0) + _CLOSE:
                # The layer that loses most; where that has not grown, what did made the hedge large enough to judge.
                found |= {breach.layer} & set(grown) or set(grown)
        return found

    def _stressed(self, book: Book) -> tuple[Outcome, ...] | None:
        lines = book_lines(self.openings, [lot for lots in book.layers.values() for lot in lots], self.engine_share)
        if lines is None or not len(lines) or self.exits.vix is None:
            return None
        return stress(self.rules.stress, lines, self.exits.vix, self.openings.shocks)

    @property
    def engine_share(self) -> float:
        """The part of Layers 2 and 3 that the second engine adds."""
        total = self.vectors["levered"]["L2"] + self.vectors["levered"]["L3"]
        return self.levered / total if total > 0.0 else 0.0


def _without_adds(frozen: Sequence[Sleeve], owned: Vector, wanted: Vector) -> Vector:
    """``wanted`` with the frozen layers no larger than what is owned."""
    least = {sleeve: min(wanted[sleeve], max(owned[sleeve], 0.0)) for sleeve in frozen}
    return vector({**sleeves(wanted), **least})


def _flat(book: Book, price: float) -> float:
    """What Layer 1 would weigh if every future stood at one price: a roll that keeps its contracts changes nothing."""
    total = 0.0
    for lot in book.layers.get("L1", ()):
        unit = MULTIPLIER[lot.ratios[0][0].split("/")[0]] * price if lot.kind == "future" else lot.unit
        total += max(lot.units, 0) * unit
    return total


def _within(weight: float, hard: tuple[float, float]) -> bool:
    return hard[0] - EPSILON <= weight <= hard[1] + EPSILON
