"""``hedge.rebalances``: what a portfolio's hedge should become and how it was decided, keyed by portfolio_id."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from topics.market import Symbol
from topics.message import (
    Day,
    Digest,
    Layer,
    Market,
    Message,
    Money,
    Name,
    Number,
    Price,
    Record,
    State,
    Timestamp,
)

Weights = dict[Layer, Number]


class Trade(Record):
    """One leg that moves the held position towards the target."""

    layer: Layer = Field(description="layer it belongs to")
    symbol: Symbol = Field(description="instrument to trade")
    side: Literal["buy", "sell"] = Field(description="direction")
    quantity: int = Field(gt=0, description="contracts")
    held: int = Field(description="contracts held before, signed")
    target: int = Field(description="contracts held after, signed")
    price: Price = Field(gt=0, description="price that sized it, vol points")
    notional: Money = Field(gt=0, description="quantity x multiplier x price, USD")


class Window(Record):
    """Days to expiry that a layer opens contracts in."""

    dte_min: int = Field(ge=0, description="fewest calendar days to expiry")
    dte_max: int | None = Field(default=None, description="most calendar days to expiry; absent: no upper end")
    dte_target: int = Field(ge=0, description="the tenor aimed at, calendar days")


class Rebalance(Message):
    """A layer rebalance. It advises: nothing is sent to a venue, and adds wait for approval."""

    event_id: Digest = Field(description="hash of inputs, calibration, target vector and instant")
    portfolio_id: Name = Field(description="the topic's key")
    market: Market = Field(description="market whose regime decided")
    event_ts: Timestamp = Field(description="event-time instant of the decision")
    effective_ts: Timestamp = Field(description="from when it may be acted on")
    session_date: Day = Field(description="session of the regime that decided")
    trigger: Literal["close", "fast_path", "degraded", "freeze", "snapshot"] = Field(
        description="what caused the evaluation; `freeze`: the window around a release opened or closed"
    )
    state_prev: State = Field(description="state that the portfolio's last evaluation used")
    state: State = Field(description="state in force")
    score: Number | None = Field(default=None, description="score in force")
    floors_hit: tuple[str, ...] = Field(description="floors whose condition holds")
    policy: Literal["steward", "promoter"] = Field(description="posture of the portfolio")
    hedge_notional: Money | None = Field(
        default=None, ge=0, description="H, the budgeted hedge notional, USD; absent while beta is missing"
    )
    beta: Number | None = Field(default=None, description="beta that sized H; absent when there is none")
    beta_source: Literal["stated", "estimated"] | None = Field(
        default=None, description="`estimated`: from the portfolio's own values at the close, half-life 63 sessions"
    )
    beta_ols: Number | None = Field(default=None, description="for comparison: least squares over 252 sessions")
    vectors: dict[str, Weights] = Field(
        description="weights of H after each pure step, in order: held, base, tilted, activated, capped, aim, target, "
        "whole (target in whole contracts, the residual in R); held and whole are absent when nothing can be sized"
    )
    targets: Weights = Field(description="weights of H advised now; they sum to 1 with the reserve R")
    windows: dict[Layer, Window] = Field(description="tenor window of each layer with weight")
    trades: tuple[Trade, ...] = Field(description="legs with whole contracts; empty when only weights change")
    limits: dict[str, Number] = Field(description="each limit's value after the trade, and its bound as `NAME_max`")
    blocked: tuple[str, ...] = Field(description="reasons why adds are blocked; reductions stay possible")
    degraded: tuple[str, ...] = Field(description="inputs missing, stale or stand-ins")
    regime_event_id: Digest = Field(description="the regime event that decided")
    calibration_digest: Digest = Field(description="digest of the calibration document in force")
    inputs_digest: Digest = Field(description="digest of portfolio, regime and curve that decided")
    approvals_required: int = Field(ge=0, description="signatures needed before it may be acted on")
    status: Literal["pending", "reduce_only"] = Field(description="`pending`: awaits approval; `reduce_only`: no adds")
    advisory: Literal[True] = Field(default=True, description="the software advises; it is no investment advice")
