"""A plan as a rebalance event, and whether it says anything new.

Level, not edge: the target is worked out from the whole state each time, and published when what is advised differs
from what was advised last. A lost trigger cannot leave a portfolio wrong, and unchanged advice is not repeated.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, Literal

from processors.hedge.attribution import attribute
from processors.hedge.book import ExitView, read_book
from processors.hedge.carry import carry_budget
from processors.hedge.limits import Standing, measure, stress_shares
from processors.hedge.liquidity import portfolio_quick_ratio
from processors.hedge.memory import Capital, Memory
from processors.hedge.openings import Modelled, Openings, open_market
from processors.hedge.packages import pack
from processors.hedge.plan import Plan, plan
from processors.hedge.schedule import schedule
from processors.hedge.second_engine import EngineReading, EngineSwitch
from processors.hedge.structure import MULTIPLIER as OPTION_MULTIPLIER
from processors.hedge.view import MarketView
from processors.hedge.wacc import Capital as Figures
from processors.hedge.wacc import MonthlyWacc, monthly, required_return, wacc
from processors.hedge.watch import Watch, watched
from processors.hedge.weights import EPSILON, SLEEVES
from processors.signals.beta import BetaValue
from topics.calibration import HedgeRules
from topics.instrument import parse_symbol
from topics.message import Digest, Layer, digest, feature_number, tidy
from topics.portfolio import Portfolio, Position
from topics.rebalance import Moved, Rebalance, Trade, Window

Trigger = Literal["close", "fast_path", "degraded", "freeze", "snapshot"]
#: The largest beta that a portfolio may state, either way; an estimate beyond it counts as this.
BETA_MAX = 5.0


def evaluate(
    rules: HedgeRules,
    calibration_digest: Digest,
    market: MarketView,
    portfolio: Portfolio,
    memory: Memory,
    trigger: Trigger,
    estimate: BetaValue | None = None,
    drag: float | None = None,
    openings: Openings | None = None,
) -> tuple[Memory, Rebalance | None]:
    """The memory after this evaluation, and the rebalance to publish; None when its advice stands already.

    Advice is new when its contents differ from those last published, or when there are legs to trade that differ from
    those of the last evaluation: a fill that was undone must be advised again although the target never changed.

    Args:
        estimate: beta of the portfolio's own returns, for a portfolio that does not state one.
        drag: what the hedge has cost in money-weighted return, decimal a year; None when not known.
        openings: what the market's layers would open, when it is known already (see :func:`opened`).
    """
    stated = portfolio.beta is not None
    if not stated and estimate is not None:
        portfolio = portfolio.model_copy(update={"beta": tidy(min(max(estimate.ew, -BETA_MAX), BETA_MAX))})
    if openings is None:
        openings = open_market(rules, market, opened(portfolio, memory))
    before = _prepared(rules, market, portfolio, memory, trigger)
    found = plan(rules, market, openings, portfolio, before, drag)
    moves = found.moves
    content = digest(_content(market, portfolio, found))
    legs = digest([[sleeve, symbol, *move] for sleeve, each in moves.items() for symbol, move in each.items()])
    after = found.memory.model_copy(update={"legs": legs if moves else None})
    if content == memory.content and (not moves or legs == memory.legs):
        return after, None
    packages, trades = pack(rules, openings, found, market.regime.session_date)
    event = _event(rules, calibration_digest, market, openings, portfolio, memory, found, trigger, trades, drag)
    source: Literal["stated", "estimated"] = "stated" if stated else "estimated"
    event = event.model_copy(
        update={
            "packages": packages,
            "beta": portfolio.beta,
            "beta_source": None if portfolio.beta is None else source,
            "beta_ols": None if estimate is None or estimate.ols is None else tidy(estimate.ols),
        }
    )
    after = after.model_copy(update={"content": content, "targets": dict(found.target)})
    if portfolio.fills != "reported" and found.contracts is not None:
        after = _filled(after, portfolio, memory, found, trades, market.regime.session_date)
        # What is too near to its break-even as soon as it is dealt is said with the trade, not by the next look.
        watches, alerts = _watched(rules, market, openings, after)
        content = digest(_content(market, portfolio, replace(found, alerts=alerts)))
        after = after.model_copy(update={"watches": watches, "content": content})
        event = event.model_copy(update={"alerts": (*event.alerts, *(a for a in alerts if a not in event.alerts))})
    return after, event


def opened(portfolio: Portfolio, memory: Memory) -> Modelled:
    """What modelled option prices are for: in a study to open on, else to value options that are held."""
    if portfolio.fills == "modelled":
        return "study"
    positions = memory.holdings(portfolio)
    return "values" if any(p.symbol.startswith("VIX/") for p in positions) else "nothing"


def _prepared(
    rules: HedgeRules, market: MarketView, portfolio: Portfolio, memory: Memory, trigger: Trigger
) -> Memory:
    """The memory with this month's cost of capital, and the second engine's switch after this session's quick ratio."""
    session = market.regime.session_date
    updates: dict[str, Any] = {}
    cost = _cost_of_capital(rules, market, portfolio)
    last = None if memory.capital is None else MonthlyWacc(memory.capital.month, memory.capital.cost)
    if last is not None or cost is not None:
        of_month = monthly(last, session if last is None else max(session, last.month), cost)
        updates["capital"] = None if of_month is None else Capital(month=of_month.month, cost=tidy(of_month.cost))
    if not levers(rules, portfolio):
        if memory.engine_on or memory.engine_ready:
            updates |= {"engine_on": False, "engine_ready": False}
    elif trigger == "close" and memory.engine_session != session:
        gate = {"on": rules.engine.on, "off": rules.engine.off, "open": memory.engine_on, "passed": memory.engine_ready}
        switch = EngineSwitch.restore({"gate": gate})
        h = rules.h0 * max(portfolio.beta or 0.0, 0.0) * portfolio.mv
        ratio = portfolio_quick_ratio(market.regime, portfolio, memory.levered * h)
        switch.update(EngineReading(market.regime.state, ratio, memory.levered > EPSILON))
        saved = switch.snapshot()["gate"]
        assert isinstance(saved, dict)
        updates |= {"engine_on": saved["open"], "engine_ready": saved["passed"], "engine_session": session}
    return memory.model_copy(update=updates) if updates else memory


def levers(rules: HedgeRules, portfolio: Portfolio) -> bool:
    """Whether the second engine may ever run for a portfolio: by its policy, and as what falls due is stated."""
    stated = portfolio.margin_req_stress is not None and portfolio.premium_due is not None
    return stated and rules.engine.most[portfolio.policy] > 1.0


def _cost_of_capital(rules: HedgeRules, market: MarketView, portfolio: Portfolio) -> float | None:
    equity = portfolio.cost_equity
    free = feature_number(market.signals, "rate_free")
    if equity is None and free is not None and portfolio.beta is not None:
        equity = required_return(free / 100.0, portfolio.beta, rules.wacc.premium)
    figures = Figures(portfolio.equity_value, portfolio.debt_value, equity, portfolio.cost_debt, portfolio.tax_rate)
    return wacc(figures)


def _content(market: MarketView, portfolio: Portfolio, found: Plan) -> dict[str, Any]:
    """What is advised, and nothing that moves with each price."""
    contracts: Any
    if found.contracts is None:
        contracts = [position.document() for position in portfolio.positions]
    else:
        layers = {sleeve: {s: n for s, n in held.items() if n} for sleeve, held in found.contracts.items()}
        contracts = {sleeve: held for sleeve, held in layers.items() if held}
    return {
        "contracts": contracts,
        "blocked": found.blocked,
        "alerts": found.alerts,
        "state": market.regime.state,
        "policy": portfolio.policy,
    }


def _event(
    rules: HedgeRules,
    calibration_digest: Digest,
    market: MarketView,
    openings: Openings,
    portfolio: Portfolio,
    memory: Memory,
    found: Plan,
    trigger: Trigger,
    trades: tuple[Trade, ...],
    drag: float | None,
) -> Rebalance:
    regime = market.regime
    event_ts = max(market.now, portfolio.as_of)
    inputs_digest = digest(
        {"portfolio": portfolio.document(), "memory": memory.document(), "market": market.digest, "drag": drag}
    )
    if found.adds:
        approvals = rules.approvals
    else:
        approvals = rules.approvals_reduce if found.reduces else 0
    before, after = _measured(rules, market, openings, portfolio, found)
    share_before, share_after = stress_shares(rules, before, after, found.h) if found.h else ({}, {})
    timing = schedule(rules, market, openings, trades, event_ts, found.memory.entered_high == regime.session_date)
    vectors = {name: dict(weights) for name, weights in found.vectors.items()}
    options = any(parse_symbol(leg.symbol).kind == "option" for leg in trades)
    status: Literal["pending", "reduce_only", "study"] = "reduce_only" if found.blocked else "pending"
    event = Rebalance(
        event_id=inputs_digest,
        portfolio_id=portfolio.portfolio_id,
        market=portfolio.market,
        event_ts=event_ts,
        effective_ts=timing.from_ts,
        effective_until_ts=timing.until_ts,
        valid_until_ts=timing.valid_until_ts,
        timing=timing.reasons,
        session_date=regime.session_date,
        trigger=trigger,
        state_prev=memory.state or regime.state,
        state=regime.state,
        score=regime.score,
        floors_hit=regime.floors_hit,
        policy=portfolio.policy,
        hedge_notional=found.h,
        h_scale=tidy(found.h_scale),
        kappa=tidy(found.kappa),
        vectors=vectors,
        attribution=tuple(
            Moved(rule=move.rule, layer=move.layer, change=move.change) for move in attribute(vectors)
        ),
        targets=dict(found.target),
        windows=_windows(rules, found),
        trades=trades,
        limits={**after.limits, **share_after},
        limits_before={**before.limits, **share_before},
        dte=dict(after.dte),
        dte_before=dict(before.dte),
        premium_at_risk=dict(after.at_risk),
        stress={outcome.scenario: outcome.total for outcome in after.outcomes},
        blocked=found.blocked,
        shut={layer: found.shut[layer] for layer in SLEEVES if layer in found.shut},
        alerts=(*found.alerts, *(("carry:soft",) if after.limits.get("carry", 0.0) > rules.carry.soft else ())),
        degraded=regime.degraded,
        chain_source=None if openings.chain is None or not options else openings.chain.source,
        chain_ts=None if openings.chain is None or not options else openings.chain.event_ts,
        regime_event_id=regime.event_id,
        calibration_digest=calibration_digest,
        inputs_digest=inputs_digest,
        approvals_required=approvals,
        status="study" if portfolio.fills == "modelled" else status,
    )
    document = event.model_dump(mode="json", include={"targets", "trades"}, exclude_none=True)
    identity = {
        "of": "rebalance",
        "inputs": inputs_digest,
        "calibration": calibration_digest,
        "targets": document["targets"],
        "trades": document["trades"],
        "effective_ts": event.effective_ts,
        "portfolio_id": portfolio.portfolio_id,
    }
    return event.model_copy(update={"event_id": digest(identity)})


def _measured(
    rules: HedgeRules, market: MarketView, openings: Openings, portfolio: Portfolio, found: Plan
) -> tuple[Standing, Standing]:
    """The limits before and after; empty where nothing can be sized."""
    if not found.h or found.contracts is None:
        return Standing(), Standing()
    first, second = (
        measure(
            rules,
            openings,
            portfolio,
            book,
            market.regime.state,
            market.regime.session_date,
            h=found.h,
            kappa=found.kappa,
            scale=found.h_scale,
            carry_max=carry_budget(rules, market.signals),
            engine_share=found.engine_share,
            vix=feature_number(market.regime.features, "vix"),
            quick_ratio=found.quick_ratio,
        )
        for book in (found.held, found.after)
    )
    return first, second


def _windows(rules: HedgeRules, found: Plan) -> dict[Layer, Window]:
    """Tenor windows of the layers that have weight."""
    windows: dict[Layer, Window] = {}
    for sleeve in SLEEVES:
        if found.target[sleeve] > EPSILON:
            own = rules.windows[sleeve]
            windows[sleeve] = Window(dte_min=own.dte_min, dte_max=own.dte_max, dte_target=own.dte_target)
    return windows


def _filled(
    after: Memory, portfolio: Portfolio, memory: Memory, found: Plan, trades: tuple[Trade, ...], session: date
) -> Memory:
    """The memory as if the legs had been filled at their limits: what is planned is held, what has settled is gone."""
    positions = memory.holdings(portfolio)
    assert found.contracts is not None
    dealt = {(leg.layer, leg.symbol): leg for leg in trades}
    known: dict[tuple[Layer | None, str], float] = {(p.layer, p.symbol): p.price for p in positions if p.price}
    # A note without a price is in no lot; it is still there.
    lots = {symbol for quantities in found.contracts.values() for symbol in quantities}
    left = {*found.held.outside, *found.held.unpriced} - lots
    filled: list[Position] = [p for p in positions if p.symbol in left]
    paid = 0.0
    for sleeve, quantities in sorted(found.contracts.items()):
        for symbol, quantity in sorted(quantities.items()):
            leg = dealt.get((sleeve, symbol))
            price = known.get((sleeve, symbol), known.get((None, symbol)))
            if leg is not None:
                at = leg.price if leg.limit is None else leg.limit
                if parse_symbol(symbol).kind == "option":
                    paid += (quantity - leg.held) * at * OPTION_MULTIPLIER
                price = _average(leg, price, at)
            if quantity:
                filled.append(Position(symbol=symbol, quantity=float(quantity), layer=sleeve, price=price))
    after = after.model_copy(update={"positions": tuple(filled)})
    return after.with_premium(session, round(paid, 2)) if paid else after


def _watched(
    rules: HedgeRules, market: MarketView, openings: Openings, after: Memory
) -> tuple[dict[str, Watch], tuple[str, ...]]:
    """The watches and alerts of the book after assumed fills."""
    exits = ExitView(feature_number(market.regime.features, "vix"), market.closes)
    book = read_book(rules, after.positions or (), openings, market.regime.session_date, exits)
    watches, alerts, _ = watched(rules.break_even, after.watches, book)
    return watches, alerts


def _average(leg: Trade, before: float | None, at: float) -> float | None:
    """The average price after a fill: of what was added to what was held; reductions leave it as it is."""
    if not leg.held or leg.held * leg.target < 0:
        return at or None
    if abs(leg.target) < abs(leg.held):
        return before
    if before is None:
        return None
    return tidy((before * abs(leg.held) + at * leg.quantity) / abs(leg.target)) or None

