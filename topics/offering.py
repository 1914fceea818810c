"""Offerings on ``market.flows``: shares priced in an IPO, tokens launched in an IDO, keyed by market."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from topics.message import Market, Message, Money, Name, Timestamp


class Offering(Message):
    """One offering at the moment it was priced; the day of a filing is not the day of a pricing."""

    offering_id: Name = Field(description="id of the offering; a second one with the same id counts nothing")
    kind: Literal["ipo", "ido"] = Field(description="`ipo`: shares on an exchange; `ido`: tokens on a DEX launchpad")
    pricing_ts: Timestamp = Field(description="when it was priced, RFC 3339 UTC; an IDO: time of its final block")
    market: Market = Field(default="US", description="the topic's key")
    source: Name = Field(default="unspecified", description="exchange, EDGAR, launchpad")
    raised_usd: Money | None = Field(default=None, ge=0, description="proceeds at the rates of that moment, USD")
    spac: bool = Field(default=False, description="a blank-cheque company; not counted")
