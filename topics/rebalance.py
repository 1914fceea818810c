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


class Greeks(Record):
    """How one contract moves, USD."""

    delta: Number = Field(description="per point of the VX future of its expiry")
    gamma: Number = Field(description="change of delta per point")
    vega: Number = Field(description="per vol point of its implied volatility")
    theta: Number = Field(description="per calendar day, the future unchanged")


class Package(Record):
    """Legs that are one trade: what a layer opens, closes, or rolls from one expiry to another."""

    layer: Layer = Field(description="layer it belongs to")
    action: Literal["open", "close", "roll"] = Field(description="`roll`: closes and opens in one, never half of it")
    kind: Literal["future", "note", "call_spread", "call", "call_credit_spread", "mixed"] = Field(
        description="what is opened, else what is closed"
    )
    units: int = Field(ge=0, description="units opened; 0 when it only closes")
    debit: Price | None = Field(
        default=None, description="vol points paid for each unit opened, negative when received; absent for futures"
    )
    max_loss: Money | None = Field(
        default=None, ge=0, description="most that what is opened can lose by its expiry, USD, fees included"
    )
    max_gain: Money | None = Field(default=None, description="most that it can gain, USD; absent when unbounded")
    break_even: Price | None = Field(default=None, description="settlement at which it gives back its cost, vol points")
    executable: bool = Field(description="false when a price comes from a model: not to be dealt on")
    reason: str = Field(description="why this one, or why it is closed")


class Moved(Record):
    """What one rule did to one layer. All moves of a layer sum to its weight after the trade less the one before."""

    rule: str = Field(description="the step, named as in `vectors`")
    layer: Layer = Field(description="the layer")
    change: Number = Field(description="fraction of H; positive is more")


class Trade(Record):
    """One leg that moves the held position towards the target."""

    layer: Layer = Field(description="layer it belongs to")
    symbol: Symbol = Field(description="instrument to trade")
    side: Literal["buy", "sell"] = Field(description="direction")
    quantity: int = Field(gt=0, description="contracts or shares")
    held: int = Field(description="held before, signed")
    target: int = Field(description="held after, signed")
    price: Price = Field(ge=0, description="price that sized it: vol points, USD for shares")
    notional: Money = Field(ge=0, description="quantity x multiplier x price, USD")
    limit: Price | None = Field(
        default=None, ge=0, description="worst price to deal at, on the tick; absent where no quote can be dealt on"
    )
    expiry: Day | None = Field(default=None, description="final settlement; absent for shares")
    greeks: Greeks | None = Field(default=None, description="of one contract; absent for shares")
    package: int = Field(ge=0, description="its place among the packages; the legs of one are dealt together")


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
    effective_until_ts: Timestamp | None = Field(
        default=None, description="until when it is best acted on; absent: no flow or blackout ends it"
    )
    valid_until_ts: Timestamp = Field(description="after that it is void, whether a later one replaced it or not")
    timing: tuple[str, ...] = Field(default=(), description="why that window, as `blackout:sp_rebalance`")
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
    h_scale: Number = Field(default=1.0, gt=0, description="what the cost of capital multiplied H by")
    kappa: Number = Field(gt=0, description="percent that VX1 rises per percent of fall of the SPX, as used")
    vectors: dict[str, Weights] = Field(
        description="weights of H after each pure step: held, base, tilted, dragged, activated, gated, levered, "
        "capped, aim, paced, blocked, limited, whole (in contracts, the residual in R); held, paced, blocked, limited "
        "and whole are absent when nothing can be sized"
    )
    attribution: tuple[Moved, ...] = Field(
        description="which rule moved what: the moves of a layer sum to whole less held"
    )
    targets: Weights = Field(description="weights of H advised now; they sum to 1 with the reserve R")
    windows: dict[Layer, Window] = Field(description="tenor window of each layer with weight")
    packages: tuple[Package, ...] = Field(default=(), description="what is opened, closed and rolled")
    trades: tuple[Trade, ...] = Field(description="the legs of the packages, sales first")
    limits: dict[str, Number] = Field(description="each limit's value after the trade, and its bound as `NAME_max`")
    limits_before: dict[str, Number] = Field(description="the same values of what is held before the trade")
    dte: dict[Layer, Number] = Field(
        default_factory=dict, description="days to expiry after the trade, weighted by notional"
    )
    dte_before: dict[Layer, Number] = Field(default_factory=dict, description="the same before the trade")
    premium_at_risk: dict[Layer, Money] = Field(
        default_factory=dict, description="most that the options held after the trade can lose, USD"
    )
    stress: dict[str, Money] = Field(
        default_factory=dict, description="P&L of what is held after the trade by scenario, USD"
    )
    blocked: tuple[str, ...] = Field(description="reasons why adds are blocked; reductions stay possible")
    shut: dict[Layer, tuple[str, ...]] = Field(
        default_factory=dict, description="reasons why a single layer is not added to"
    )
    alerts: tuple[str, ...] = Field(default=(), description="what to look at, as `break_even:VIX/2018-05-16`")
    degraded: tuple[str, ...] = Field(description="inputs missing, stale or stand-ins")
    regime_event_id: Digest = Field(description="the regime event that decided")
    calibration_digest: Digest = Field(description="digest of the calibration document in force")
    inputs_digest: Digest = Field(description="digest of portfolio, regime and curve that decided")
    approvals_required: int = Field(ge=0, description="signatures needed before it may be acted on")
    chain_source: Name | None = Field(default=None, description="who quoted the options used; `model`: nobody did")
    chain_ts: Timestamp | None = Field(default=None, description="instant of the option quotes used")
    status: Literal["pending", "reduce_only", "study"] = Field(
        description="`pending`: awaits approval; `reduce_only`: no adds; `study`: modelled prices, not to be acted on"
    )
    advisory: Literal[True] = Field(default=True, description="the software advises; it is no investment advice")
