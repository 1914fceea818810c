"""What is held against each limit, before and after the trade."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from processors.hedge.book import Book
from processors.hedge.book_lines import book_lines, layer_cost
from processors.hedge.caps import reserve_floor
from processors.hedge.openings import Openings
from processors.hedge.sizing import exposure
from processors.hedge.stress import Outcome, stress
from processors.hedge.weights import EPSILON, SLEEVES, Vector, deployed, gross, vector
from processors.signals.liquidity import QuickRatio
from topics.calibration import HedgeRules
from topics.hedge_rules import Sleeve
from topics.message import Layer, State, tidy
from topics.portfolio import Portfolio


@dataclass(frozen=True, slots=True)
class Standing:
    """What is held, measured.

    Attributes:
        limits: each limit's value and its bound as ``NAME_max`` or ``NAME_min``.
        dte: days to expiry by layer, weighted by what the lots weigh.
        at_risk: most that the options of a layer can lose, USD.
        outcomes: P&L by scenario.
    """

    limits: Mapping[str, float] = field(default_factory=dict)
    dte: Mapping[Layer, float] = field(default_factory=dict)
    at_risk: Mapping[Layer, float] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()


def measure(
    rules: HedgeRules,
    openings: Openings,
    portfolio: Portfolio,
    book: Book,
    state: State,
    session_date: date,
    *,
    h: float,
    kappa: float,
    scale: float,
    carry_max: float,
    engine_share: float,
    vix: float | None,
    quick_ratio: QuickRatio | None,
) -> Standing:
    """A book against every limit; ``h`` is the hedge notional, USD, above 0.

    Carry counts what each of Layers 1 to 3 costs, earnings of another apart, beyond the lower end of Layer 1's hard
    band in ``low``, which no budget stands against.
    """
    posture = rules.postures[portfolio.policy]
    weights = vector({sleeve: book.weight(sleeve) / h for sleeve in SLEEVES})
    total, largest = deployed(weights), max(weights["L1"], weights["L2"], weights["L3"])
    limits = {
        "layer": largest,
        "layer_max": rules.layer_max,
        "theta": weights["TT"],
        "theta_max": posture.theta_max,
        "reserve": weights["R"],
        "reserve_min": reserve_floor(posture, state),
        "gross": gross(weights),
        "gross_max": rules.gross_max,
        "exposure": exposure(rules, weights, kappa, scale),
        "exposure_max": rules.exposure_max,
    }
    if total >= rules.deployed_from - EPSILON and total > EPSILON:
        limits |= {"share": largest / total, "share_max": rules.deployed_share_max}
    if quick_ratio is not None and quick_ratio.value is not None:
        limits |= {"quick_ratio": quick_ratio.value, "quick_ratio_min": rules.quick_ratio_min}
    floor = rules.l1_low[0] if state == "low" else 0.0
    carry = _carry(rules, openings, book, weights, floor, h / portfolio.mv, session_date)
    if carry is not None:
        limits |= {"carry": carry, "carry_max": carry_max}
    lots = [lot for each in book.layers.values() for lot in each]
    lines = book_lines(openings, lots, engine_share)
    outcomes: tuple[Outcome, ...] = ()
    if lines is not None and len(lines) and vix is not None:
        outcomes = stress(rules.stress, lines, vix, openings.shocks)
    if outcomes:
        engine = max(0.0, *(-outcome.engine / h for outcome in outcomes))
        limits |= {"stress_engine": engine, "stress_engine_max": rules.stress.engine_max}
    at_risk: dict[Layer, float] = {}
    for sleeve in SLEEVES:
        risk = sum(lot.at_risk * lot.units for lot in book.layers.get(sleeve, ()) if lot.value is not None)
        if risk > 0.0:
            at_risk[sleeve] = risk
    return Standing(
        limits={name: tidy(value) for name, value in limits.items()},
        dte=_dte(book),
        at_risk=at_risk,
        outcomes=outcomes,
    )


def _carry(
    rules: HedgeRules, openings: Openings, book: Book, weights: Vector, floor: float, share: float, session_date: date
) -> float | None:
    """Projected carry cost of Layers 1 to 3 but ``floor`` of Layer 1, fraction of market value a year."""
    total = 0.0
    layers: tuple[Sleeve, ...] = ("L1", "L2", "L3")
    for layer in layers:
        if abs(weights[layer]) <= EPSILON:
            continue
        cost = openings.cost.get(layer)
        if cost is None:
            cost = layer_cost(rules, openings, book, layer, session_date)
        if cost is None:
            return None
        counted = max(0.0, weights[layer] - floor) if layer == "L1" else weights[layer]
        total += counted * max(0.0, cost) * share
    return total


def stress_shares(
    rules: HedgeRules, before: Standing, after: Standing, h: float
) -> tuple[dict[str, float], dict[str, float]]:
    """The largest share of one layer in the loss of a scenario, before and after the trade, with its bound.

    Only scenarios count in which the hedge as a whole loses enough after the trade; with none there is no such limit.
    """
    judged = [o for o in after.outcomes if -o.total > rules.stress.judged_from * h and o.loss_share is not None]
    if not judged:
        return {}, {}
    names = {outcome.scenario for outcome in judged}
    then = max(outcome.loss_share or 0.0 for outcome in judged)
    now = max((o.loss_share or 0.0 for o in before.outcomes if o.scenario in names), default=0.0)
    bound = {"stress_share_max": rules.stress.share_max}
    return {"stress_share": tidy(now), **bound}, {"stress_share": tidy(then), **bound}


def _dte(book: Book) -> dict[Layer, float]:
    found: dict[Layer, float] = {}
    for sleeve in SLEEVES:
        lots = [lot for lot in book.layers.get(sleeve, ()) if lot.weight > 0.0]
        weight = sum(lot.weight for lot in lots)
        if weight > 0.0:
            found[sleeve] = tidy(sum(lot.weight * lot.dte for lot in lots) / weight)
    return found
