"""``market.ticks``: quotes, trades, settlements and official closes, keyed by market.

One tick as JSON (:class:`Tick`), many ticks as an Arrow block (:mod:`topics.ticks`), or a :class:`Watermark`.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from topics.instrument import parse_symbol
from topics.message import Market, Message, Name, Price, Timestamp

#: The largest sequence number: that of a tick block's column.
SEQ_MAX = 2**63 - 1
#: The longest symbol of the grammar.
Symbol = Annotated[str, StringConstraints(min_length=1, max_length=40)]

#: The numeric fields of a tick, each a float64 column of a tick block.
VALUES = ("last", "bid", "ask", "bid_size", "ask_size", "size", "settle", "open_interest", "iv")
#: Those that are prices of the instrument and must be plausible for its kind.
PRICES = ("last", "bid", "ask", "settle")
#: Those that count something and must not be negative.
COUNTS = ("bid_size", "ask_size", "size", "open_interest", "iv")
#: The largest of those: more than is ever traded, and so little that sums and squares of many stay finite.
COUNT_MAX = 1e12


class Tick(Message):
    """One observation of one instrument. Every value is optional but one must be there; missing is absent, never 0."""

    symbol: Symbol = Field(description="instrument: SPX, VIX, VX/2026-12-16, VIX/2026-12-16/C/20")
    event_ts: Timestamp = Field(description="when it became true, RFC 3339 UTC; nanoseconds in memory")
    market: Market = Field(default="US", description="market whose regime it feeds; the topic's key")
    source: Name = Field(default="unspecified", description="feed or vendor; `model` for values that are modelled")
    seq: int | None = Field(default=None, ge=0, le=SEQ_MAX, description="number within (symbol, source), rising")
    recv_ts: Timestamp | None = Field(default=None, description="when the feed handler received it, RFC 3339 UTC")
    last: Price | None = Field(default=None, description="last trade or index value, in the instrument's own unit")
    bid: Price | None = Field(default=None, description="best bid, in the instrument's own unit")
    ask: Price | None = Field(default=None, description="best ask, in the instrument's own unit")
    bid_size: Price | None = Field(default=None, description="size at the best bid, contracts or shares")
    ask_size: Price | None = Field(default=None, description="size at the best ask, contracts or shares")
    size: Price | None = Field(default=None, description="size of the last trade, contracts or shares")
    settle: Price | None = Field(default=None, description="daily settlement price of a future")
    open_interest: Price | None = Field(default=None, description="open contracts at the end of the day before")
    iv: Price | None = Field(default=None, description="implied volatility of an option, decimal (0.185 is 18.5 %)")
    official: bool = Field(default=False, description="true for the session's official close or settlement")

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = parse_symbol(self.symbol).plausible
        values = [name for name in VALUES if getattr(self, name) is not None]
        if not values:
            raise ValueError(f"a tick needs at least one of {', '.join(VALUES)}")
        for name in PRICES:
            price = getattr(self, name)
            if price is not None and not low <= price <= high:
                raise ValueError(
                    f"{name} {price:g} of {self.symbol} is outside the plausible range {low:g} to {high:g}"
                )
        for name in COUNTS:
            count = getattr(self, name)
            if count is not None and count < 0:
                raise ValueError(f"{name} {count:g} of {self.symbol} is negative")
            if count is not None and count > COUNT_MAX:
                raise ValueError(f"{name} {count:g} of {self.symbol} is outside the plausible range 0 to {COUNT_MAX:g}")
        if self.bid is not None and self.ask is not None and self.bid > self.ask:
            raise ValueError(f"bid {self.bid:g} of {self.symbol} is above its ask {self.ask:g}")
        if self.official and self.last is None and self.settle is None:
            raise ValueError(f"an official close of {self.symbol} needs last or settle")
        return self


class Watermark(Message):
    """A feed's word that no tick of this market with an earlier event time will follow.

    A quiet market still closes its session on time, and a finished recording closes its last one.
    """

    watermark_ts: Timestamp = Field(description="no later tick has an event_ts before this, RFC 3339 UTC")
    market: Market = Field(default="US", description="the market it speaks of; the topic's key")
    source: Name = Field(default="unspecified", description="feed that says so")
