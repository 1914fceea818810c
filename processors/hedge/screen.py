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
from processors.hedge.blocks import holdings_max_age, market_blocks, shut_layers
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
from processors.hedge.wacc import hedge_scale
from processors.hedge.weights import EPSILON
from processors.pricing import CALL, Unavailable, greeks
from topics.calibration import HedgeRules
from topics.hedge_rules import Policy, Sleeve
from topics.instrument import Instrument, parse_symbol
from topics.message import STATES, State
from topics.portfolio import Portfolio, Position
from topics.regime import Regime

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Holdings of a portfolio that fit into its row; one with more is evaluated each time.
WIDTH: Final = 16
#: The layers that the columns hold; what has Temporal Theta is evaluated each time.
_LAYERS: Final[tuple[Sleeve, ...]] = ("L1", "L2", "L3")
_MODES: Final[tuple[Modelled, ...]] = ("nothing", "values", "study")
_POLICIES: Final[tuple[Policy, ...]] = ("steward", "promoter")
#: Weights nearer to an edge than this are not certain: sums in another order differ in their last digits.
_CLOSE: Final = 1e-7
_GROW: Final = 64

_ROW: Final = np.dtype(
    [
        ("loud", np.bool_),
        ("mode", np.int8),
        ("policy", np.int8),
        ("state", np.int8),
        ("l3_on", np.bool_),
        ("stale", np.bool_),
        ("reported", np.bool_),
        ("month", np.int32),
        ("blocks", np.int32),
        ("blocked", np.bool_),
        ("entered_high", np.int32),
        ("as_of", np.int64),
        ("h", np.float64),
        ("mv", np.float64),
        ("scale", np.float64),
        ("drag", np.float64),
        ("symbol", np.int32, (WIDTH,)),
        ("layer", np.int8, (WIDTH,)),
        ("roll", np.int16, (WIDTH,)),
        ("quantity", np.float64, (WIDTH,)),
        ("factor", np.float64, (WIDTH,)),
    ]
)


@dataclass(frozen=True, slots=True)
class _Market:
    """What a regime update says to every row of one mode."""

    unit: Floats
    days: NDArray[np.int64]
    uncertain: Bools
    blocks: int
    shut: tuple[bool, bool, bool]
    smallest: Floats


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a holding weighs, what a US dollar of its notional weighs there, and when it is rolled."""

    layer: Sleeve
    roll_dte: int
    factor: float = 1.0


class Screen:
    """The portfolios of one market, one row each.

    ``few``: with fewer portfolios than that to look at them all costs no more than the table of symbols.
    """

    few: int = 32

    def __init__(self, rules: HedgeRules) -> None:
        self._rules = rules
        self._rows = np.zeros(_GROW, dtype=_ROW)
        self._places: dict[str, int] = {}
        self._names: list[str] = []
        self._symbols: dict[str, int] = {}
        self._instruments: list[Instrument] = []
        self._blocks: dict[tuple[str, ...], int] = {}

    def __len__(self) -> int:
        return len(self._names)

    @property
    def nbytes(self) -> int:
        """Bytes of all rows in use."""
        return int(self._rows[: len(self)].nbytes)

    def add(self, name: str) -> None:
        """A portfolio is evaluated at the next update whatever it is."""
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = len(self._names)
            self._names.append(name)
            if place >= len(self._rows):
                self._rows = np.concatenate([self._rows, np.zeros(len(self._rows), dtype=_ROW)])
        self._rows[place]["loud"] = True

    def forget(self, name: str) -> None:
        """A portfolio is hedged by another market now; the last row takes its place."""
        place, last = self._places.pop(name), len(self._names) - 1
        moved = self._names.pop()
        if place != last:
            self._names[place], self._places[moved] = moved, place
            self._rows[place] = self._rows[last]

    def put(self, market: MarketState, portfolio: Portfolio, memory: Memory, drag: float | None) -> None:
        """Take up a portfolio as it is after an evaluation."""
        self.add(portfolio.portfolio_id)
        row = self._rows[self._places[portfolio.portfolio_id]]
        row["loud"] = not self._settled(row, market, portfolio, memory, drag)

    def loud(self, market: MarketState) -> list[str]:
        """The portfolios that have to be evaluated at the market's newest update, in the order of their names."""
        n = len(self)
        if n < self.few:
            return sorted(self._names)
        rows = self._rows[:n]
        loud = rows["loud"].copy()
        for number, mode in enumerate(_MODES):
            of_mode = np.flatnonzero(~loud & (rows["mode"] == number))
            if len(of_mode):
                openings = market.openings(self._rules, mode)
                loud[of_mode] = self._look(rows[of_mode], market, openings, mode == "study")
        names = self._names
        return sorted(names[i] for i in np.flatnonzero(loud).tolist())

    def _settled(
        self, row: np.void, market: MarketState, portfolio: Portfolio, memory: Memory, drag: float | None
    ) -> bool:
        """Fill a row; False when the portfolio cannot be judged by it."""
        rules, regime = self._rules, market.regime
        scale = hedge_scale(rules.wacc, None if memory.capital is None else memory.capital.cost)
        factor = 1.0 if scale is None else scale
        h = hedge_notional(rules, portfolio.beta, portfolio.mv, factor)
        state = memory.state
        if h is None or not h > 0.0 or state is None or state != regime.state or memory.content is None:
            return False
        if memory.steps or memory.watches or memory.legs is not None or memory.levered or memory.engine_on:
            return False
        if levers(rules, portfolio) or memory.l3_on != beta_trigger(rules, portfolio.beta, memory.l3_on):
            return False
        if portfolio.margin_req_stress is not None and portfolio.premium_due is not None:
            return False  # its quick ratio moves with the depth of the market
        positions = memory.holdings(portfolio)
        if len(positions) > WIDTH or portfolio.as_of > regime.event_ts:
            return False
        row["symbol"], row["layer"], row["roll"], row["quantity"], row["factor"] = -1, -1, -1, 0.0, 0.0
        for k, position in enumerate(positions):
            place = self._place_of(position, positions, regime.session_date)
            if place is None:
                return False
            row["symbol"][k] = self._symbol(position.symbol)
            row["layer"][k] = _LAYERS.index(place.layer)
            row["roll"][k], row["factor"][k] = place.roll_dte, place.factor
            row["quantity"][k] = position.quantity
        mode = opened(portfolio, memory)
        blocks = market_blocks(rules, regime, market.openings(rules, mode), regime.event_ts, urgent=False)
        row["mode"], row["policy"] = _MODES.index(mode), _POLICIES.index(portfolio.policy)
        row["state"], row["l3_on"] = STATES.index(state), memory.l3_on
        row["reported"] = portfolio.fills == "reported"
        row["stale"] = row["reported"] and regime.event_ts - portfolio.as_of > holdings_max_age(rules)
        row["month"] = _month(regime.session_date) if portfolio.equity_value is not None else -1
        row["blocks"] = self._code(blocks)
        row["blocked"] = bool(blocks) or bool(row["stale"]) or (portfolio.cash is not None and portfolio.cash < 0)
        row["entered_high"] = -1 if memory.entered_high is None else memory.entered_high.toordinal()
        row["as_of"], row["h"], row["mv"], row["scale"] = portfolio.as_of, h, portfolio.mv, factor
        row["drag"] = np.nan if drag is None else drag
        return memory.entered_high != regime.session_date

    def _place_of(self, position: Position, positions: Sequence[Position], session: date) -> _Place | None:
        """Where a holding weighs; None where it takes a closer look."""
        rules, instrument = self._rules, parse_symbol(position.symbol)
        future = instrument.kind == "future" and instrument.root in MULTIPLIER
        if future or instrument.kind == "etp":
            return _Place("L1", roll_dte(rules, "L1") if future else -1) if position.quantity > 0 else None
        if instrument.root != "VIX" or instrument.right != "C" or instrument.expiry is None:
            return None
        if position.layer == "L2":
            return _Place("L2", roll_dte(rules, "L2"))
        if position.layer != "L3":
            return None
        tail = rules.convexity.tail_window
        days = (instrument.expiry - session).days
        if tail.dte_max is None or days > tail.dte_max:
            return _Place("L3", max(roll_dte(rules, "L3"), (tail.dte_max or 0) + 1), rules.convexity.spot_beta)
        sold = any(
            p.quantity < 0 and p.layer == "L3" and parse_symbol(p.symbol).expiry == instrument.expiry
            for p in positions
        )
        return None if sold else _Place("L3", tail.dte_min if tail.roll_dte is None else tail.roll_dte)

    def _symbol(self, symbol: str) -> int:
        code = self._symbols.get(symbol)
        if code is None:
            code = self._symbols[symbol] = len(self._instruments)
            self._instruments.append(parse_symbol(symbol))
        return code

    def _code(self, blocks: tuple[str, ...]) -> int:
        return self._blocks.setdefault(blocks, len(self._blocks))

    def _look(self, rows: NDArray[np.void], market: MarketState, openings: Openings, study: bool) -> Bools:
        """Which rows are loud."""
        rules, regime = self._rules, market.regime
        said = self._market(rules, regime, openings, study)
        session = regime.session_date
        loud = np.asarray(rows["state"] != STATES.index(regime.state))
        loud |= rows["blocks"] != said.blocks
        loud |= (rows["month"] >= 0) & (rows["month"] != _month(session))
        loud |= rows["entered_high"] == session.toordinal()
        loud |= rows["as_of"] > regime.event_ts
        stale = rows["reported"] & (regime.event_ts - rows["as_of"] > holdings_max_age(rules))
        loud |= stale != rows["stale"]
        held = rows["symbol"] >= 0
        codes = np.where(held, rows["symbol"], 0)
        loud |= (held & said.uncertain[codes]).any(axis=1)
        loud |= (held & (said.days[codes] < rows["roll"])).any(axis=1)
        worth = np.where(held, rows["quantity"] * rows["factor"] * said.unit[codes], 0.0)
        blocked = rows["blocked"]
        aim = self._aims(rows, market, openings)
        weights = np.stack([np.where(rows["layer"] == k, worth, 0.0).sum(axis=1) / rows["h"] for k in range(3)], axis=1)
        room = self._room(rows, weights, market, openings)
        for k, layer in enumerate(_LAYERS):
            weight = weights[:, k]
            gap = aim[:, k] - weight
            excess = np.abs(gap) - np.where(aim[:, k] <= EPSILON, 0.0, rules.band)
            moves = excess > rules.step_min - _CLOSE
            most = np.minimum(gap, room[:, k])
            if layer == "L1" and regime.state == "low":
                low, high = rules.l1_low
                outside = (weight < low + _CLOSE) | (weight > high - _CLOSE)
                moves |= outside
                most = np.maximum(np.minimum(gap, room[:, k]), low - weight)
            can_add = ~blocked & (not said.shut[k]) & (most > said.smallest[k] / rows["h"] - _CLOSE)
            falls = (gap < 0.0) | ((weight > rules.l1_low[1] - _CLOSE) if layer == "L1" else False)
            loud |= moves & (falls | can_add)
        return loud

    def _room(self, rows: NDArray[np.void], weights: Floats, market: MarketState, openings: Openings) -> Floats:
        """The most that each of Layers 1 to 3 could grow by under what is deployed already and the carry budget."""
        rules, view = self._rules, market.view
        kappa = rules.vx_beta if view.kappa is None else view.kappa
        most = np.array([most_deployed(rules, rules.postures[p], view.regime.state) for p in _POLICIES])
        exposed = deployable(rules, kappa, 1.0) / rows["scale"]
        left = np.minimum(most[rows["policy"]], exposed) - weights.sum(axis=1)
        room = np.repeat(left[:, None], len(_LAYERS), axis=1)
        if all(layer in openings.cost for layer in _LAYERS):
            costs = np.array([max(0.0, openings.cost[layer]) for layer in _LAYERS])
            share = rows["h"] / rows["mv"]
            budget = carry_budget(rules, view.signals) / share - weights @ costs
            for k in np.flatnonzero(costs > 0.0).tolist():
                room[:, k] = np.minimum(room[:, k], np.maximum(budget, 0.0) / costs[k])
        return room

    def _aims(self, rows: NDArray[np.void], market: MarketState, openings: Openings) -> Floats:
        """The aim of Layers 1 to 3 of every row; worked out once for all rows that stand alike."""
        rules, view = self._rules, market.view
        kappa = rules.vx_beta if view.kappa is None else view.kappa
        scales, of_scale = np.unique(rows["scale"], return_inverse=True)
        # A missing drag is no reason to hold back, and compares as none.
        costly = (view.regime.state == "low") & (rows["drag"] > rules.drag.cap)
        codes = ((of_scale * len(_POLICIES) + rows["policy"]) * 2 + rows["l3_on"]) * 2 + costly
        keys, inverse = np.unique(codes, return_inverse=True)
        found = np.empty((len(keys), len(_LAYERS)))
        for i, key in enumerate(keys.tolist()):
            rest, dear = divmod(key, 2)
            rest, l3_on = divmod(rest, 2)
            scale, policy = divmod(rest, len(_POLICIES))
            stance = Stance(
                policy=_POLICIES[policy],
                l3_on=bool(l3_on),
                engine_on=False,
                drag=2.0 * rules.drag.cap + 1.0 if dear else None,
                theta=0.0,
                deployable=deployable(rules, kappa, float(scales[scale])),
            )
            aim = aims(rules, view.regime.state, view.signals, openings, stance).aim
            found[i] = [aim[layer] for layer in _LAYERS]
        return found[inverse]

    def _market(self, rules: HedgeRules, regime: Regime, openings: Openings, study: bool) -> _Market:
        state: State = regime.state
        shut = shut_layers(openings, state, study)
        blocks = market_blocks(rules, regime, openings, regime.event_ts, urgent=False)
        unit, days, uncertain = self._table(openings, regime.session_date)
        smallest = [
            min((openings.found[slot].unit for slot in SLOTS[layer] if slot in openings.found), default=np.inf)
            for layer in _LAYERS
        ]
        return _Market(
            unit,
            days,
            uncertain,
            self._code(blocks),
            (bool(shut["L1"]), bool(shut["L2"]), bool(shut["L3"])),
            np.array(smallest),
        )

    def _table(self, openings: Openings, session: date) -> tuple[Floats, NDArray[np.int64], Bools]:
        """Every symbol's weight (USD of one), days to expiry, and whether it takes a closer look."""
        count = max(1, len(self._instruments))
        unit, days = np.zeros(count), np.full(count, np.iinfo(np.int64).max)
        uncertain = np.ones(count, dtype=np.bool_)
        prices = {contract.expiry: contract.price for contract in openings.futures}
        options: list[tuple[int, Instrument]] = []
        for code, instrument in enumerate(self._instruments):
            if instrument.expiry is None:
                note = openings.notes.get(instrument.symbol)
                if note is not None and note.leverage > 0.0:
                    unit[code], uncertain[code] = note.unit, False
                continue
            days[code] = (instrument.expiry - session).days
            if days[code] <= 0:
                continue
            if instrument.kind == "future":
                price = prices.get(instrument.expiry)
                if price is not None:
                    unit[code], uncertain[code] = price * MULTIPLIER[instrument.root], False
            else:
                options.append((code, instrument))
        self._options(openings, options, unit, uncertain)
        return unit, days, uncertain

    def _options(
        self, openings: Openings, options: Sequence[tuple[int, Instrument]], unit: Floats, uncertain: Bools
    ) -> None:
        """Delta notional of calls out of the money; one in the money may have to be closed or watched."""
        chain = openings.chain
        if chain is None or not options:
            return
        rows: list[tuple[int, float, float, float, float]] = []
        for code, instrument in options:
            assert instrument.expiry is not None
            assert instrument.strike is not None
            quotes = chain.on(instrument.expiry)
            if isinstance(quotes, Unavailable) or instrument.strike <= quotes.forward:
                continue
            vol = quotes.vol(instrument.strike)
            if vol is not None:
                rows.append((code, quotes.forward, instrument.strike, vol, quotes.t))
        if not rows:
            return
        table = np.array(rows)
        places, forwards = table[:, 0].astype(np.intp), table[:, 1]
        delta = greeks(forwards, table[:, 2], table[:, 3], table[:, 4], chain.rate, CALL).delta
        unit[places] = OPTION_MULTIPLIER * delta * forwards
        uncertain[places] = False


def _month(day: date) -> int:
    return day.year * 12 + day.month
