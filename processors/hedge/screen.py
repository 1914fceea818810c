"""Thousands of portfolios at one regime update, as columns: which of them could have anything new to say.

What is held weighs what its symbols weigh, so that the weights of all portfolios follow from one table of symbols. A
portfolio is quiet when all that decides its advice is as it was when it was evaluated last, and every layer is within
its band, or cannot move by a whole contract. Then evaluating it would say nothing and leave its memory as it is, and it
is passed over. Whatever is not certain counts as loud and is evaluated: the screen saves work and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.hedge.activation import beta_trigger
from processors.hedge.aims import Stance, aims
from processors.hedge.blocks import holdings_max_age, shut_layers
from processors.hedge.book import roll_dte
from processors.hedge.caps import most_deployed
from processors.hedge.carry import carry_budget
from processors.hedge.evaluate import levers, opened
from processors.hedge.futures import MULTIPLIER
from processors.hedge.market_state import MarketState
from processors.hedge.memory import Memory
from processors.hedge.openings import Modelled, Openings
from processors.hedge.plan import SLOTS
from processors.hedge.sizing import deployable, hedge_notional
from processors.hedge.structure import MULTIPLIER as OPTION_MULTIPLIER
from processors.hedge.view import MarketView
from processors.hedge.wacc import hedge_scale
from processors.hedge.weights import EPSILON, SLEEVES
from processors.pricing import CALL, Unavailable, greeks
from topics.calibration import HedgeRules
from topics.hedge_rules import Policy, Sleeve
from topics.instrument import Instrument, parse_symbol
from topics.message import STATES
from topics.portfolio import Portfolio, Position

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: The most holdings that a row may have; a portfolio with more is evaluated each time.
WIDTH: Final = 16
#: The layers that the columns hold; what has Temporal Theta is evaluated each time.
_LAYERS: Final[tuple[Sleeve, ...]] = ("L1", "L2", "L3")
_MODES: Final[tuple[Modelled, ...]] = ("nothing", "values", "study")
_POLICIES: Final[tuple[Policy, ...]] = ("steward", "promoter")
#: Weights nearer to an edge than this are not certain: sums in another order differ in their last digits.
_CLOSE: Final = 1e-7
_GROW: Final = 64
#: Rows that are looked at together: what they take in between stays in the processor's cache.
_BLOCK: Final = 4096
_MOST_HELD: Final = np.iinfo(np.int32).max

_ROW: Final = np.dtype(
    [
        ("loud", np.bool_),
        ("mode", np.int8),
        ("policy", np.int8),
        ("state", np.int8),
        ("l3_on", np.bool_),
        ("stale", np.bool_),
        ("reported", np.bool_),
        ("blocked", np.bool_),
        ("month", np.int32),
        ("blocks", np.int32),
        ("entered_high", np.int32),
        ("as_of", np.int64),
        ("h", np.float64),
        ("mv", np.float64),
        ("scale", np.float64),
        ("drag", np.float64),
    ]
)


@dataclass(frozen=True, slots=True)
class _Market:
    """What a regime update says to every row of one mode.

    Attributes:
        worth: what one of each kind of holding weighs in each of the layers, USD, shape (kinds, layers); NaN where it
            takes a closer look.
        capped: the aims of all layers before the limit of exposure, by policy, trigger of Layer 3 and drag.
    """

    openings: Openings
    worth: Floats
    blocks: int
    shut: tuple[bool, bool, bool]
    smallest: Floats
    capped: Floats


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of holding: what, in which layer, when it is rolled, and what a US dollar of its notional weighs there."""

    symbol: str
    layer: Sleeve
    roll_dte: int
    factor: float = 1.0


class Screen:
    """The portfolios of one market, one row each; holdings in columns, the first of each, the second, and so on.

    ``few``: with fewer portfolios than that to look at them all costs no more than the table of kinds.
    """

    few: int = 32

    def __init__(self, rules: HedgeRules) -> None:
        self._rules = rules
        self._rows = _blank(_GROW)
        #: Kinds of what is held, and how many: shape (holdings, rows). Of kind 0 is what nobody holds.
        self._held = np.zeros((1, _GROW), dtype=np.int32)
        self._quantities = np.zeros((1, _GROW), dtype=np.int32)
        self._places: dict[str, int] = {}
        self._names: list[str] = []
        self._kinds: dict[_Kind, int] = {}
        self._blocks: dict[tuple[str, ...], int] = {}

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    @property
    def nbytes(self) -> int:
        """Bytes of all rows in use."""
        n = len(self)
        return int(self._rows[:n].nbytes + self._held[:, :n].nbytes + self._quantities[:, :n].nbytes)

    def add(self, name: str) -> None:
        """A portfolio is evaluated at the next update whatever it is."""
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = len(self._names)
            self._names.append(name)
            if place >= len(self._rows):
                self._rows = np.concatenate([self._rows, _blank(len(self._rows))])
                self._held, self._quantities = (np.hstack([c, np.zeros_like(c)]) for c in self._columns)
        self._rows["loud"][place] = True

    def forget(self, name: str) -> None:
        """A portfolio is hedged by another market now; the last row takes its place."""
        place, last = self._places.pop(name), len(self._names) - 1
        moved = self._names.pop()
        if place != last:
            self._names[place], self._places[moved] = moved, place
            self._rows[place] = self._rows[last]
            for column in self._columns:
                column[:, place] = column[:, last]

    def put(self, market: MarketState, portfolio: Portfolio, memory: Memory, drag: float | None) -> None:
        """Take up a portfolio as it is after an evaluation."""
        self.add(portfolio.portfolio_id)
        holdings = self._holdings(market, portfolio, memory)
        if holdings is None or not self._at_rest(market, portfolio, memory):
            return
        place = self._places[portfolio.portfolio_id]
        if len(holdings) > len(self._held):
            more = ((0, len(holdings) - len(self._held)), (0, 0))
            self._held, self._quantities = (np.pad(column, more) for column in self._columns)
        for column in self._columns:
            column[len(holdings) :, place] = 0
        for k, (kind, quantity) in enumerate(holdings):
            self._held[k, place], self._quantities[k, place] = kind, quantity
        self._rows[place] = self._row(market, portfolio, memory, drag)

    def loud(self, market: MarketState) -> list[str]:
        """The portfolios that have to be evaluated at the market's newest update, in the order of their names."""
        n = len(self)
        if n < self.few:
            return sorted(self._names)
        loud = self._rows["loud"][:n].copy()
        for number in np.unique(self._rows["mode"][:n][~loud]).tolist():
            said = self._market(market, _MODES[number])
            for start in range(0, n, _BLOCK):
                block = slice(start, min(start + _BLOCK, n))
                asked = ~loud[block] & (self._rows["mode"][block] == number)
                if asked.any():
                    loud[block] |= asked & self._look(block, market, said)
        names = self._names
        return sorted(names[i] for i in np.flatnonzero(loud).tolist())

    @property
    def _columns(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        return self._held, self._quantities

    def _at_rest(self, market: MarketState, portfolio: Portfolio, memory: Memory) -> bool:
        """Whether a portfolio can be judged by its row."""
        rules, regime = self._rules, market.regime
        if memory.state is None or memory.state != regime.state or memory.content is None:
            return False
        if memory.steps or memory.watches or memory.legs is not None or memory.levered or memory.engine_on:
            return False
        if levers(rules, portfolio) or memory.l3_on != beta_trigger(rules, portfolio.beta, memory.l3_on):
            return False
        if portfolio.margin_req_stress is not None and portfolio.premium_due is not None:
            return False  # its quick ratio moves with the depth of the market
        if portfolio.as_of > regime.event_ts or memory.entered_high == regime.session_date:
            return False
        h = hedge_notional(rules, portfolio.beta, portfolio.mv, self._scale(memory))
        return h is not None and h > 0.0

    def _scale(self, memory: Memory) -> float:
        scale = hedge_scale(self._rules.wacc, None if memory.capital is None else memory.capital.cost)
        return 1.0 if scale is None else scale

    def _row(
        self, market: MarketState, portfolio: Portfolio, memory: Memory, drag: float | None
    ) -> tuple[bool | int | float, ...]:
        """The fields of a row, in their order."""
        rules, regime = self._rules, market.regime
        mode = opened(portfolio, memory)
        blocks = market.blocks(rules, mode)
        reported, scale = portfolio.fills == "reported", self._scale(memory)
        stale = reported and regime.event_ts - portfolio.as_of > holdings_max_age(rules)
        return (
            False,
            _MODES.index(mode),
            _POLICIES.index(portfolio.policy),
            STATES.index(regime.state),
            memory.l3_on,
            stale,
            reported,
            bool(blocks) or stale or (portfolio.cash is not None and portfolio.cash < 0),
            -1 if portfolio.equity_value is None else _month(regime.session_date),
            self._code(blocks),
            -1 if memory.entered_high is None else memory.entered_high.toordinal(),
            portfolio.as_of,
            hedge_notional(rules, portfolio.beta, portfolio.mv, scale) or 0.0,
            portfolio.mv,
            scale,
            np.nan if drag is None else drag,
        )

    def _holdings(
        self, market: MarketState, portfolio: Portfolio, memory: Memory
    ) -> list[tuple[int, int]] | None:
        """The kinds of what a portfolio holds, and how many of each; None where something takes a closer look."""
        positions, found = memory.holdings(portfolio), []
        if len(positions) > WIDTH:
            return None
        for position in positions:
            kind = self._kind_of(position, positions, market.regime.session_date)
            if kind is None or abs(position.quantity) > _MOST_HELD:
                return None
            found.append((self._kinds.setdefault(kind, len(self._kinds) + 1), int(position.quantity)))
        return found

    def _kind_of(self, position: Position, positions: Sequence[Position], session: date) -> _Kind | None:
        """What a holding is; None where it takes a closer look."""
        rules, symbol, instrument = self._rules, position.symbol, parse_symbol(position.symbol)
        future = instrument.kind == "future" and instrument.root in MULTIPLIER
        if future or instrument.kind == "etp":
            return _Kind(symbol, "L1", roll_dte(rules, "L1") if future else -1) if position.quantity > 0 else None
        if instrument.root != "VIX" or instrument.right != "C" or instrument.expiry is None:
            return None
        if position.layer == "L2":
            return _Kind(symbol, "L2", roll_dte(rules, "L2"))
        if position.layer != "L3":
            return None
        tail = rules.convexity.tail_window
        days = (instrument.expiry - session).days
        if tail.dte_max is None or days > tail.dte_max:
            return _Kind(
                symbol, "L3", max(roll_dte(rules, "L3"), (tail.dte_max or 0) + 1), rules.convexity.spot_beta
            )
        sold = any(
            p.quantity < 0 and p.layer == "L3" and parse_symbol(p.symbol).expiry == instrument.expiry
            for p in positions
        )
        return None if sold else _Kind(symbol, "L3", tail.dte_min if tail.roll_dte is None else tail.roll_dte)

    def _code(self, blocks: tuple[str, ...]) -> int:
        return self._blocks.setdefault(blocks, len(self._blocks))

    def _look(self, block: slice, market: MarketState, said: _Market) -> Bools:
        """Which rows are loud."""
        rules, regime, rows = self._rules, market.regime, self._rows[block]
        session = regime.session_date
        loud = np.asarray(rows["state"] != STATES.index(regime.state))
        loud |= rows["blocks"] != said.blocks
        loud |= (rows["month"] >= 0) & (rows["month"] != _month(session))
        loud |= rows["entered_high"] == session.toordinal()
        loud |= rows["as_of"] > regime.event_ts
        stale = rows["reported"] & (regime.event_ts - rows["as_of"] > holdings_max_age(rules))
        loud |= stale != rows["stale"]
        weights = np.zeros((len(rows), len(_LAYERS)))
        for kinds, quantities in zip(self._held[:, block], self._quantities[:, block], strict=True):
            weights += said.worth[kinds] * quantities[:, None]
        loud |= np.isnan(weights).any(axis=1)
        h = rows["h"]
        weights /= h[:, None]
        aim = self._aims(rows, market, said)
        room = self._room(rows, weights, market, said.openings)
        for k, layer in enumerate(_LAYERS):
            weight = weights[:, k]
            gap = aim[:, k] - weight
            excess = np.abs(gap) - np.where(aim[:, k] <= EPSILON, 0.0, rules.band)
            moves = excess > rules.step_min - _CLOSE
            most = np.minimum(gap, room[:, k])
            if layer == "L1" and regime.state == "low":
                low, high = rules.l1_low
                moves |= (weight < low + _CLOSE) | (weight > high - _CLOSE)
                most = np.maximum(most, low - weight)
            can_add = ~rows["blocked"] & (not said.shut[k]) & (most > said.smallest[k] / h - _CLOSE)
            falls = (gap < 0.0) | ((weight > rules.l1_low[1] - _CLOSE) if layer == "L1" else False)
            loud |= moves & (falls | can_add)
        return loud

    def _room(self, rows: NDArray[np.void], weights: Floats, market: MarketState, openings: Openings) -> Floats:
        """The most that each of Layers 1 to 3 could grow by under what is deployed already and the carry budget."""
        rules, view = self._rules, market.view
        most = np.array([most_deployed(rules, rules.postures[p], view.regime.state) for p in _POLICIES])
        left = np.minimum(most[rows["policy"]], self._exposed(rows, market)) - weights.sum(axis=1)
        room = np.repeat(left[:, None], len(_LAYERS), axis=1)
        if all(layer in openings.cost for layer in _LAYERS):
            costs = np.array([max(0.0, openings.cost[layer]) for layer in _LAYERS])
            share = rows["h"] / rows["mv"]
            budget = np.maximum(carry_budget(rules, view.signals) / share - weights @ costs, 0.0)
            for k in np.flatnonzero(costs > 0.0).tolist():
                room[:, k] = np.minimum(room[:, k], budget / costs[k])
        return room

    def _exposed(self, rows: NDArray[np.void], market: MarketState) -> Floats:
        """The deployed weight at which the exposure of each row reaches its limit."""
        kappa = market.view.kappa
        most = deployable(self._rules, self._rules.vx_beta if kappa is None else kappa, 1.0)
        return np.asarray(most / rows["scale"])

    def _aims(self, rows: NDArray[np.void], market: MarketState, said: _Market) -> Floats:
        """The aim of Layers 1 to 3 of every row."""
        # A missing drag is no reason to hold back, and compares as none.
        costly = rows["drag"] > self._rules.drag.cap
        capped = said.capped[rows["policy"], rows["l3_on"].astype(np.intp), costly.astype(np.intp)]
        total = capped.sum(axis=1)
        exposed = self._exposed(rows, market)
        share = np.where(total > exposed, exposed / np.where(total > exposed, total, 1.0), 1.0)
        return np.asarray(capped[:, : len(_LAYERS)] * share[:, None])

    def _capped(self, view: MarketView, openings: Openings) -> Floats:
        """The aims before the limit of exposure: shape (policies, trigger, drag, sleeves); both off, then on."""
        rules = self._rules
        found = np.empty((len(_POLICIES), 2, 2, len(SLEEVES)))
        for p, policy in enumerate(_POLICIES):
            for on in (False, True):
                for costly in (False, True):
                    stance = Stance(
                        policy=policy,
                        l3_on=on,
                        engine_on=False,
                        drag=2.0 * rules.drag.cap + 1.0 if costly else None,
                        theta=0.0,
                        deployable=np.inf,
                    )
                    aim = aims(rules, view.regime.state, view.signals, openings, stance).aim
                    found[p, int(on), int(costly)] = [aim[sleeve] for sleeve in SLEEVES]
        return found

    def _market(self, market: MarketState, mode: Modelled) -> _Market:
        openings = market.openings(self._rules, mode)
        shut = shut_layers(openings, market.regime.state, mode == "study")
        smallest = [
            min((openings.found[slot].unit for slot in SLOTS[layer] if slot in openings.found), default=np.inf)
            for layer in _LAYERS
        ]
        return _Market(
            openings,
            self._worth(openings, market.regime.session_date),
            self._code(market.blocks(self._rules, mode)),
            (bool(shut["L1"]), bool(shut["L2"]), bool(shut["L3"])),
            np.array(smallest),
            self._capped(market.view, openings),
        )

    def _worth(self, openings: Openings, session: date) -> Floats:
        """What one of each kind weighs in each layer, USD; NaN where it takes a closer look."""
        worth = np.zeros((len(self._kinds) + 1, len(_LAYERS)))
        units = self._units(openings, session)
        for kind, code in self._kinds.items():
            expiry = parse_symbol(kind.symbol).expiry
            rolls = expiry is not None and (expiry - session).days < kind.roll_dte
            unit = np.nan if rolls else units.get(kind.symbol, np.nan)
            worth[code, _LAYERS.index(kind.layer)] = unit * kind.factor
        return worth

    def _units(self, openings: Openings, session: date) -> dict[str, float]:
        """What one of each symbol weighs, USD; without those that take a closer look."""
        units: dict[str, float] = {}
        prices = {contract.expiry: contract.price for contract in openings.futures}
        options: list[Instrument] = []
        for instrument in {parse_symbol(kind.symbol) for kind in self._kinds}:
            if instrument.expiry is None:
                note = openings.notes.get(instrument.symbol)
                if note is not None and note.leverage > 0.0:
                    units[instrument.symbol] = note.unit
            elif instrument.expiry <= session:
                continue
            elif instrument.kind == "option":
                options.append(instrument)
            elif instrument.expiry in prices:
                units[instrument.symbol] = prices[instrument.expiry] * MULTIPLIER[instrument.root]
        return units | _option_units(openings, options)


def _option_units(openings: Openings, options: Sequence[Instrument]) -> dict[str, float]:
    """Delta notional of calls out of the money; one in the money may have to be closed or watched."""
    chain = openings.chain
    rows: list[tuple[float, float, float, float]] = []
    symbols: list[str] = []
    for instrument in options if chain is not None else ():
        assert chain is not None
        assert instrument.expiry is not None
        assert instrument.strike is not None
        quotes = chain.on(instrument.expiry)
        if isinstance(quotes, Unavailable) or instrument.strike <= quotes.forward:
            continue
        vol = quotes.vol(instrument.strike)
        if vol is not None:
            rows.append((quotes.forward, instrument.strike, vol, quotes.t))
            symbols.append(instrument.symbol)
    if chain is None or not rows:
        return {}
    forwards, strikes, vols, times = np.array(rows).T
    delta = greeks(forwards, strikes, vols, times, chain.rate, CALL).delta
    worth: list[float] = (OPTION_MULTIPLIER * delta * forwards).tolist()
    return dict(zip(symbols, worth, strict=True))


def _blank(count: int) -> NDArray[np.void]:
    """Rows of nobody, which nothing divides by zero in."""
    rows = np.zeros(count, dtype=_ROW)
    for name in ("h", "mv", "scale"):
        rows[name] = 1.0
    return rows


def _month(day: date) -> int:
    return day.year * 12 + day.month
