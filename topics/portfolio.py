"""``portfolio.snapshots``: what is to be hedged and what is held, keyed by portfolio_id."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import AliasChoices, Field, model_validator

from topics.instrument import parse_symbol
from topics.market import Symbol
from topics.message import Layer, Market, Message, Money, Name, Number, Price, Record, Timestamp, largest

Fills = Literal["reported", "assumed", "modelled"]

_AMOUNTS = (
    "mv",
    "cash",
    "margin_req",
    "receivable_vm",
    "margin_req_stress",
    "premium_due",
    "net_flow",
    "hedge_value",
    "hedge_flow",
    "equity_value",
    "debt_value",
)


class Position(Record):
    """One holding of the hedge book."""

    symbol: Symbol = Field(description="instrument held: VX/2026-12-16, VXX, VIX/2026-12-16/C/20")
    quantity: Price = Field(description="contracts or shares; negative when short")
    layer: Layer | None = Field(default=None, description="layer it was bought for; absent: by its days to expiry")
    price: Price | None = Field(
        default=None, gt=0, description="average price paid or received; what a sold spread has earned needs it"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        parse_symbol(self.symbol)
        return self


class Portfolio(Message):
    """A portfolio as of a moment. The newest snapshot replaces the ones before it as a whole."""

    portfolio_id: Name = Field(description="the topic's key")
    as_of: Timestamp = Field(
        validation_alias=AliasChoices("as_of", "event_ts"), description="moment the snapshot describes, RFC 3339 UTC"
    )
    market: Market = Field(default="US", description="market whose regime hedges it")
    source: Name = Field(default="unspecified", description="system that sent it")
    seq: int | None = Field(default=None, ge=0, description="sequence number within the portfolio, rising")
    mv: Money = Field(gt=0, description="market value of the equity holdings, USD")
    beta: Number | None = Field(default=None, ge=-5, le=5, description="CAPM beta to SPX; absent blocks adds")
    cash: Money | None = Field(default=None, description="free cash, USD")
    margin_req: Money | None = Field(default=None, ge=0, description="margin required now, USD")
    receivable_vm: Money | None = Field(default=None, ge=0, description="variation margin to be received, USD")
    margin_req_stress: Money | None = Field(
        default=None, ge=0, description="initial and variation margin of the next five days under stress, USD"
    )
    premium_due: Money | None = Field(default=None, ge=0, description="premium due in the next five days, USD")
    net_flow: Money | None = Field(
        default=None, description="cash paid in (or out, negative) since the last session's close, USD; not a return"
    )
    hedge_value: Money | None = Field(
        default=None, description="worth of the hedge's options and notes at their marks, USD; futures settle daily"
    )
    hedge_flow: Money | None = Field(
        default=None, description="paid for the hedge (or received, negative) since the last session's close, USD"
    )
    equity_value: Money | None = Field(default=None, ge=0, description="market value of the capital's equity, USD")
    debt_value: Money | None = Field(default=None, ge=0, description="debt or financing balance at market value, USD")
    cost_equity: Number | None = Field(
        default=None, gt=-1, description="return required on equity, decimal a year; absent: by the CAPM"
    )
    cost_debt: Number | None = Field(default=None, gt=-1, description="interest on the debt, decimal a year")
    tax_rate: Number = Field(default=0.0, ge=0, lt=1, description="share of interest that saves tax")
    policy: Literal["steward", "promoter"] = Field(default="steward", description="posture: limits and pace")
    fills: Fills = Field(
        default="reported",
        description="`reported`: holdings move by snapshots alone; `assumed`: by each rebalance too, as if filled; "
        "`modelled`: a study, in which modelled option prices count as if they could be dealt on",
    )
    positions: tuple[Position, ...] = Field(default=(), description="the hedge book; empty when nothing is held")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in _AMOUNTS:
            largest(getattr(self, name), name)
        held = [(p.symbol, p.layer) for p in self.positions]
        if len(set(held)) != len(held):
            raise ValueError(f"portfolio {self.portfolio_id}: a symbol stands twice in the same layer")
        return self
