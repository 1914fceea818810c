"""``execution.intents`` and ``execution.reports``: what an execution system may do and did, by portfolio_id."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from topics.market import Symbol
from topics.message import Digest, Layer, Message, Money, Name, Price, Timestamp


class Intent(Message):
    """One approved leg. It is an intent, never an order: this software is connected to no venue."""

    intent_id: Digest = Field(description="hash of rebalance event and leg")
    event_id: Digest = Field(description="the approved rebalance event")
    portfolio_id: Name = Field(description="the topic's key")
    event_ts: Timestamp = Field(description="when it was released, RFC 3339 UTC")
    valid_until: Timestamp = Field(description="when it lapses, RFC 3339 UTC")
    layer: Layer = Field(description="layer it belongs to")
    symbol: Symbol = Field(description="instrument")
    side: Literal["buy", "sell"] = Field(description="direction")
    quantity: int = Field(gt=0, description="contracts")
    limit_price: Price = Field(gt=0, description="worst price accepted, vol points")
    advisory: Literal[True] = Field(default=True, description="the software advises; it is no investment advice")


class Report(Message):
    """What became of an intent."""

    report_id: Name = Field(description="unique id given by the execution system")
    intent_id: Digest = Field(description="the intent it reports on")
    portfolio_id: Name = Field(description="the topic's key")
    event_ts: Timestamp = Field(description="when it happened, RFC 3339 UTC")
    status: Literal["accepted", "partial", "filled", "cancelled", "rejected"] = Field(description="what happened")
    quantity: int = Field(ge=0, description="contracts filled so far")
    price: Price | None = Field(default=None, description="average price of the fills, vol points")
    fees: Money | None = Field(default=None, description="fees paid so far, USD")
