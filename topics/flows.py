"""``market.flows``: published assets, leverage, volume and depth behind mechanical flow, keyed by market."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from topics.market import Symbol
from topics.message import Day, Market, Message, Money, Name, Number, Price, Timestamp, largest


class Flow(Message):
    """Public figures of one exchange-traded product or one book, at the moment they were published."""

    symbol: Symbol = Field(description="product or instrument: UVXY, SVXY, VX/2026-12-16")
    event_ts: Timestamp = Field(description="when it became public, RFC 3339 UTC")
    market: Market = Field(default="US", description="the topic's key")
    source: Name = Field(default="unspecified", description="publisher or vendor")
    leverage: Number | None = Field(default=None, ge=-5, le=5, description="daily multiple of the product's index")
    aum: Money | None = Field(default=None, ge=0, description="assets under management, USD")
    nav_date: Day | None = Field(default=None, description="session that `aum` belongs to")
    nav: Price | None = Field(default=None, gt=0, description="net asset value or indicative value, USD a share")
    volume: Number | None = Field(default=None, gt=0, description="average daily volume, contracts or shares")
    depth_bid_usd: Money | None = Field(default=None, ge=0, description="top five levels on the bid side, USD")
    depth_ask_usd: Money | None = Field(default=None, ge=0, description="top five levels on the ask side, USD")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("aum", "nav", "volume", "depth_bid_usd", "depth_ask_usd"):
            largest(getattr(self, name), name)
        return self
