"""What each layer would open now. It follows from the market alone, so every portfolio of a market shares it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np

from processors.hedge.book import NOTE_DTE
from processors.hedge.carry import projected
from processors.hedge.chain import Chain, read_chain
from processors.hedge.futures import Contract, choose, list_contracts, vx_curve
from processors.hedge.l1 import Etn, closed
from processors.hedge.l2 import build_l2
from processors.hedge.l3 import build_l3, build_tail, split_l3, spot_notional, vxth_share
from processors.hedge.lines import Line, Lines
from processors.hedge.memo import Memo
from processors.hedge.model_chain import modelled as modelled_chain
from processors.hedge.stress import Outcome, stress, unit_losses
from processors.hedge.structure import MULTIPLIER, Structure, Unbuildable
from processors.hedge.theta import DAYS, ThetaView, build_theta, shut
from processors.hedge.view import MarketView
from processors.hedge.weights import SLEEVES
from topics.calibration import HedgeRules
from topics.hedge_rules import Sleeve
from topics.message import feature_number
from topics.times import SECOND

#: What a layer holds one of: Layer 1 futures or notes, Layer 3 spreads or calls of the tail.
Slot = Literal["future", "note", "L2", "L3", "tail", "TT"]
LAYER: Final[Mapping[Slot, Sleeve]] = {
    "future": "L1",
    "note": "L1",
    "L2": "L2",
    "L3": "L3",
    "tail": "L3",
    "TT": "TT",
}


@dataclass(frozen=True, slots=True)
class Opening:
    """One unit of what a slot would open.

    Attributes:
        ratios: symbols with contracts or shares a unit, negative when sold.
        unit: what a unit weighs, USD of H: notional; premium at risk for Temporal Theta.
        dte: calendar days to its expiry.
        structure: the option structure; None for futures and notes.
        reason: why this one.
    """

    slot: Slot
    ratios: tuple[tuple[str, int], ...]
    unit: float
    dte: int
    reason: str
    structure: Structure | None = None

    @property
    def layer(self) -> Sleeve:
        """Whose it is."""
        return LAYER[self.slot]


@dataclass(frozen=True, slots=True)
class Openings:
    """What the layers would open, and the option quotes behind it.

    Attributes:
        futures: contracts on the curve, by expiry.
        notes: volatility notes with a price, by symbol.
        chain: option quotes, live or modelled; None when there is neither.
        quotes: ``live``; else why they are none to deal on: ``chain:missing``, ``chain:stale`` or ``chain:modelled``.
        found: what each slot opens.
        refused: why a slot opens nothing.
        theta_shut: why the gate of Temporal Theta is shut; empty when it is open.
        cost: carry of a US dollar of each layer's weight, USD a year, above 0 when it costs; absent when not known.
        premium: premium paid for a US dollar of weight; absent where none is.
        outcomes: P&L of a US dollar of each layer's weight under each scenario; empty while VIX is missing.
        aims, valued, shocks, moves: what portfolios have asked of this market so far: aims by stance, packages of
            options, contracts under stress, and greeks.
    """

    futures: tuple[Contract, ...]
    notes: Mapping[str, Etn]
    chain: Chain | None
    quotes: str
    found: Mapping[Slot, Opening]
    refused: Mapping[Slot, str]
    theta_shut: tuple[str, ...]
    cost: Mapping[Sleeve, float] = field(default_factory=dict)
    premium: Mapping[Sleeve, float] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()
    aims: Memo = field(default_factory=Memo, init=False, repr=False, compare=False)
    valued: Memo = field(default_factory=Memo, init=False, repr=False, compare=False)
    shocks: Memo = field(default_factory=Memo, init=False, repr=False, compare=False)
    moves: Memo = field(default_factory=Memo, init=False, repr=False, compare=False)

    @property
    def future(self) -> Contract | None:
        """The contract that Layer 1 opens."""
        opening = self.found.get("future")
        return None if opening is None else next(c for c in self.futures if c.symbol == opening.ratios[0][0])

    def losses(self) -> dict[Sleeve, float] | None:
        """What a weight of 1 loses in its worst scenario, by layer; None when a scenario cannot be valued."""
        if not self.outcomes or any(layer not in self.cost for layer in ("L2", "L3")):
            return None
        return unit_losses(self.outcomes, dict.fromkeys(SLEEVES, 1.0), 1.0)


#: What modelled option prices are for, where there is no chain: nothing; to value what is held; to open on, in a study.
Modelled = Literal["nothing", "values", "study"]


def open_market(rules: HedgeRules, view: MarketView, modelled: Modelled = "nothing") -> Openings:
    """What each layer would open under ``view``; ``modelled`` says what the model is for without a live chain."""
    regime = view.regime
    futures = list_contracts(regime.curve)
    notes = {note.symbol: note for note in _notes(view)}
    chain, quotes = _chain(rules, view, modelled != "nothing")
    gate = _theta_view(view)
    reasons = shut(gate, rules.theta)
    found: dict[Slot, Opening] = {}
    refused: dict[Slot, str] = {}
    own = rules.windows["L1"]
    # What would be rolled at once is not opened.
    window = own.model_copy(update={"dte_min": max(own.dte_min, own.roll_dte or 0)})
    future = choose(futures, window, regime.session_date)
    if future is None:
        refused["future"] = f"no contract at {window.dte_min} to {window.dte_max or 'more'} days"
    else:
        days = (future.expiry - regime.session_date).days
        found["future"] = Opening(
            "future", ((future.symbol, 1),), future.unit, days, f"{days} days, target {window.dte_target}"
        )
    for note in (notes[symbol] for symbol in rules.notes.symbols if symbol in notes):
        why = closed(note, rules.notes)
        if why is None and "note" not in found:
            found["note"] = Opening("note", ((note.symbol, 1),), note.unit, NOTE_DTE, "less than one contract is left")
        elif why is not None:
            refused["note"] = why
    if chain is None:
        refused |= dict.fromkeys(("L2", "L3", "tail", "TT"), "no option chain")
    elif quotes != "live" and modelled != "study":
        refused |= dict.fromkeys(("L2", "L3", "tail", "TT"), f"options cannot be dealt on: {quotes}")
    else:
        for slot, built in _structures(rules, view, chain, gate):
            if isinstance(built, Unbuildable):
                refused[slot] = built.reason
                continue
            unit = _unit(rules, slot, built)
            if unit > 0.0:
                ratios = tuple(sorted((leg.symbol, leg.ratio) for leg in built.legs))
                found[slot] = Opening(slot, ratios, unit, built.dte, built.reason, built)
            else:
                refused[slot] = f"a unit of {built.kind} weighs {unit:.4g} USD"
    openings = Openings(futures, notes, chain, quotes, found, refused, reasons)
    return _priced(rules, view, openings)


def _notes(view: MarketView) -> Iterator[Etn]:
    for fund in view.regime.funds:
        if fund.price is not None and fund.leverage is not None:
            yield Etn(fund.symbol, fund.price, fund.leverage, fund.nav)


def _chain(rules: HedgeRules, view: MarketView, model: bool) -> tuple[Chain | None, str]:
    rate = feature_number(view.signals, "rate_free")
    # Without a rate nothing is discounted: over a year a rate of 5 % is a twentieth of a premium.
    continuous = 0.0 if rate is None else float(np.log1p(rate / 100.0)) if rate > -100.0 else 0.0
    why = "chain:missing"
    message = view.chain
    if message is not None and message.expiries:
        age = (view.now - message.event_ts) // SECOND
        if age <= rules.chain.max_age_seconds:
            chain = read_chain(message, view.now, continuous, rules.chain)
            return chain, "live" if chain.executable else "chain:modelled"
        why = "chain:stale"
    curve = vx_curve(view.regime)
    if not model or not len(curve):
        return None, why
    vvix = feature_number(view.regime.features, "vvix")
    return modelled_chain(curve, vvix, view.regime.event_ts, continuous, rules.chain), why


def _theta_view(view: MarketView) -> ThetaView:
    features = view.regime.features
    return ThetaView(
        state=view.regime.state,
        vix=feature_number(features, "vix"),
        closes=view.closes[-DAYS:],
        macd_hist=feature_number(view.signals, "macd_hist"),
        rv21=feature_number(features, "rv21"),
        contango=feature_number(features, "slope"),
    )


def _structures(
    rules: HedgeRules, view: MarketView, chain: Chain, gate: ThetaView
) -> Iterator[tuple[Slot, Structure | Unbuildable]]:
    dispersion, change, gdp = (
        feature_number(view.signals, name) for name in ("dispersion_z", "dispersion_change", "gdp_z")
    )
    yield "L2", build_l2(chain, rules.windows["L2"], dispersion, change, gdp, rules.pivot, rules.costs)
    yield "L3", build_l3(chain, rules.windows["L3"], rules.convexity, rules.costs)
    tail = build_tail(chain, rules.convexity, rules.costs)
    if isinstance(tail, Structure) and not vxth_share(tail.forward):
        tail = Unbuildable(f"at a forward of {tail.forward:.4g} the VXTH schedule holds no calls")
    yield "tail", tail
    yield "TT", build_theta(chain, rules.windows["TT"], gate, rules.theta, rules.costs)


def _unit(rules: HedgeRules, slot: Slot, structure: Structure) -> float:
    if slot == "TT":
        return structure.max_loss_usd
    # Far out a future moves less with spot VIX, and what hedges is that move.
    return spot_notional(structure, rules.convexity) if slot == "L3" else structure.notional


def _priced(rules: HedgeRules, view: MarketView, openings: Openings) -> Openings:
    """The openings with what a US dollar of each layer's weight costs to carry and makes under stress."""
    lines, layers = per_dollar(rules, openings)
    if not len(lines):
        return openings
    carry = projected(rules.carry, lines, openings.futures, view.regime.session_date)
    cost = {} if carry is None else {layer: -carry.total(layer) for layer in layers}
    vix = feature_number(view.regime.features, "vix")
    outcomes = () if vix is None else stress(rules.stress, lines, vix)
    premium: dict[Sleeve, float] = {}
    for layer, slots in _shares(rules, openings).items():
        paid = 0.0
        for slot, share in slots:
            structure = openings.found[slot].structure
            if structure is not None and structure.debit > 0.0:
                paid += share * MULTIPLIER * (structure.debit + structure.fees) / openings.found[slot].unit
        if paid > 0.0:
            premium[layer] = paid
    return replace(openings, cost=cost, premium=premium, outcomes=outcomes)


def _shares(rules: HedgeRules, openings: Openings) -> dict[Sleeve, list[tuple[Slot, float]]]:
    """The slots of each layer, and how a US dollar of its weight is spread over them."""
    shares: dict[Sleeve, list[tuple[Slot, float]]] = {}
    found = openings.found
    if "future" in found:
        shares["L1"] = [("future", 1.0)]
    if "L2" in found:
        shares["L2"] = [("L2", 1.0)]
    if "L3" in found:
        spread, tail = split_l3(1.0, "tail" in found, rules.convexity)
        shares["L3"] = [("L3", spread)]
        if tail > 0.0:
            shares["L3"].append(("tail", tail))
    if "TT" in found:
        shares["TT"] = [("TT", 1.0)]
    return shares


def per_dollar(rules: HedgeRules, openings: Openings) -> tuple[Lines, Sequence[Sleeve]]:
    """A US dollar of weight of every layer that opens anything, as lines, and these layers."""
    shares = _shares(rules, openings)
    lines: list[Line] = []
    for layer, slots in shares.items():
        for slot, share in slots:
            opening = openings.found[slot]
            units = share / opening.unit
            if opening.structure is None:
                future = openings.future
                assert future is not None
                lines.append(Line(layer, units, future.multiplier, future.price, float(opening.dte)))
                continue
            structure = opening.structure
            rate = 0.0 if openings.chain is None else openings.chain.rate
            for leg in structure.legs:
                lines.append(
                    Line(
                        layer,
                        units * leg.ratio,
                        MULTIPLIER,
                        structure.forward,
                        float(structure.dte),
                        1 if leg.right == "C" else -1,
                        leg.strike,
                        leg.vol,
                        rate,
                    )
                )
    return Lines.of(lines), tuple(shares)
