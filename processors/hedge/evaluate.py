"""A plan as a rebalance event, and whether it says anything new.

Level, not edge: the target is worked out from the whole state each time, and published when what is advised differs
from what was advised last. A lost trigger cannot leave a portfolio wrong, and unchanged advice is not repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from processors.hedge.book import MULTIPLIER
from processors.hedge.memory import Memory
from processors.hedge.plan import Plan, plan
from processors.hedge.view import MarketView
from processors.hedge.weights import EPSILON, SLEEVES
from processors.signals.beta import BetaValue
from topics.calibration import HedgeRules
from topics.hedge_rules import Sleeve
from topics.instrument import parse_symbol
from topics.message import Digest, Layer, digest, tidy
from topics.portfolio import Portfolio, Position
from topics.rebalance import Rebalance, Trade, Window

Trigger = Literal["close", "fast_path", "degraded", "freeze", "snapshot"]
#: The largest beta that a portfolio may state, either way; an estimate beyond it counts as this.
BETA_MAX = 5.0
#: Layers without legs of their own: the weight published for them is what they hold from then on.
_PAPER: tuple[Sleeve, ...] = ("L2", "L3", "TT")
#: Decimals of a weight that make new advice: a tenth of a percentage point of H. A partial adjustment halves the gap
#: each session and would otherwise advise ever smaller amounts for ever.
_DIGITS = 3


def evaluate(
    rules: HedgeRules,
    calibration_digest: Digest,
    market: MarketView,
    portfolio: Portfolio,
    memory: Memory,
    trigger: Trigger,
    estimate: BetaValue | None = None,
) -> tuple[Memory, Rebalance | None]:
    """The memory after this evaluation, and the rebalance to publish; None when its advice stands already.

    Advice is new when its contents differ from those last published, or when there are legs to trade that differ from
    those of the last evaluation: a fill that was undone must be advised again although the target never changed.

    ``estimate``: beta of the portfolio's own returns, for a portfolio that does not state one.
    """
    stated = portfolio.beta is not None
    if not stated and estimate is not None:
        portfolio = portfolio.model_copy(update={"beta": tidy(min(max(estimate.ew, -BETA_MAX), BETA_MAX))})
    found = plan(rules, market, portfolio, memory)
    content, legs = digest(_content(rules, market, portfolio, found)), digest([_leg(leg) for leg in found.legs])
    after = memory.model_copy(
        update={
            "state": market.regime.state,
            "entered_high": found.entered_high,
            "l3_on": found.l3_on,
            "residual": found.residual,
            "steps": dict(found.steps),
            "legs": legs,
            **({} if found.contracts is None else {"advised": dict(found.contracts)}),
        }
    )
    if content == memory.content and (not found.legs or legs == memory.legs):
        return after, None
    event = _event(rules, calibration_digest, market, portfolio, memory, found, trigger)
    source: Literal["stated", "estimated"] = "stated" if stated else "estimated"
    event = event.model_copy(
        update={
            "beta": portfolio.beta,
            "beta_source": None if portfolio.beta is None else source,
            "beta_ols": None if estimate is None or estimate.ols is None else tidy(estimate.ols),
        }
    )
    after = after.model_copy(update={"content": content, "targets": dict(found.target)})
    if found.h is not None:
        after = after.model_copy(update={"weights": {sleeve: found.target[sleeve] for sleeve in _PAPER}})
    if portfolio.fills == "assumed" and found.contracts is not None:
        after = after.model_copy(update={"positions": _filled(portfolio, memory, found.contracts)})
    return after, event


def _content(rules: HedgeRules, market: MarketView, portfolio: Portfolio, found: Plan) -> dict[str, Any]:
    """What is advised, and nothing that moves with each price.

    Layer 1 counts by its contracts: its weight moves with every mark, which is no news.
    """
    contracts: Any
    if found.contracts is None:
        contracts = [position.document() for position in portfolio.positions]
    else:
        contracts = {symbol: quantity for symbol, quantity in found.contracts.items() if quantity}
    windows = _windows(rules, found)
    if not contracts:
        windows.pop("L1", None)
    return {
        "contracts": contracts,
        "weights": {sleeve: round(found.target[sleeve], _DIGITS) for sleeve in _PAPER},
        "windows": {layer: window.document() for layer, window in windows.items()},
        "blocked": found.blocked,
        "state": market.regime.state,
        "policy": portfolio.policy,
    }


def _event(
    rules: HedgeRules,
    calibration_digest: Digest,
    market: MarketView,
    portfolio: Portfolio,
    memory: Memory,
    found: Plan,
    trigger: Trigger,
) -> Rebalance:
    regime = market.regime
    event_ts = max(regime.event_ts, portfolio.as_of)
    inputs_digest = digest(
        {
            "portfolio": portfolio.document(),
            "memory": memory.document(),
            "regime": regime.event_id,
            "curve": [point.document() for point in regime.curve],
            "signals": dict(market.signals),
        }
    )
    if found.adds:
        approvals = rules.approvals
    else:
        approvals = rules.approvals_reduce if found.reduces else 0
    event = Rebalance(
        event_id=inputs_digest,
        portfolio_id=portfolio.portfolio_id,
        market=portfolio.market,
        event_ts=event_ts,
        effective_ts=event_ts,
        session_date=regime.session_date,
        trigger=trigger,
        state_prev=memory.state or regime.state,
        state=regime.state,
        score=regime.score,
        floors_hit=regime.floors_hit,
        policy=portfolio.policy,
        hedge_notional=found.h,
        vectors={name: dict(weights) for name, weights in found.vectors.items()},
        targets=dict(found.target),
        windows=_windows(rules, found),
        trades=found.legs,
        limits=dict(found.limits),
        blocked=found.blocked,
        degraded=regime.degraded,
        regime_event_id=regime.event_id,
        calibration_digest=calibration_digest,
        inputs_digest=inputs_digest,
        approvals_required=approvals,
        status="reduce_only" if found.blocked else "pending",
    )
    document = event.document()
    identity = {
        "of": "rebalance",
        "inputs": inputs_digest,
        "calibration": calibration_digest,
        "targets": document["targets"],
        "trades": document["trades"],
        "effective_ts": event_ts,
        "portfolio_id": portfolio.portfolio_id,
    }
    return event.model_copy(update={"event_id": digest(identity)})


def _windows(rules: HedgeRules, found: Plan) -> dict[Layer, Window]:
    """Tenor windows of the layers that have weight."""
    windows: dict[Layer, Window] = {}
    for sleeve in SLEEVES:
        if found.target[sleeve] > EPSILON:
            own = rules.windows[sleeve]
            windows[sleeve] = Window(dte_min=own.dte_min, dte_max=own.dte_max, dte_target=own.dte_target)
    return windows


def _leg(leg: Trade) -> list[str | int]:
    return [leg.symbol, leg.held, leg.target]


def _filled(portfolio: Portfolio, memory: Memory, contracts: Mapping[str, int]) -> tuple[Position, ...]:
    """The book as if the legs had been filled: Layer 1's futures as planned, settled ones gone, the rest as it was."""
    positions = portfolio.positions if memory.positions is None else memory.positions
    others = tuple(position for position in positions if not _is_layer_1(position))
    filled = tuple(Position(symbol=s, quantity=float(n), layer="L1") for s, n in sorted(contracts.items()) if n)
    return others + filled


def _is_layer_1(position: Position) -> bool:
    instrument = parse_symbol(position.symbol)
    own = position.layer in (None, "L1", "R")
    return own and instrument.kind == "future" and instrument.root in MULTIPLIER
