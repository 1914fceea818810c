"""Option chains of VIX as they travel to the hedge, on ``hedge.regimes``, before the regime of the same instant.

Quotes stand in columns, one entry a strike, so that a whole chain fits into one message.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from topics.message import Day, Market, Message, Name, Price, Record, Timestamp
from topics.times import SECOND, format_ts

#: Most expiries in a chain: 12 monthly ones, 6 weekly ones and room for more.
MAX_EXPIRIES: Final = 24
#: Most strikes of all expiries together. A strike takes at most 66 bytes and an expiry 400 more, so that the largest
#: chain there can be stays under the 64 KiB of a message.
MAX_STRIKES: Final = 800
#: Decimals of a premium, strike or forward. Exchanges quote at most two.
DECIMALS: Final = 4
#: No premium, strike or forward is higher.
HIGHEST: Final = 1_000.0
#: Most calendar days to an expiry: exchanges list VIX options up to a year ahead.
_FARTHEST: Final = 400
#: Most calendar days between an instant and the session that it belongs to, either way.
_SESSION_NEAR: Final = 7
_MOST_OPEN: Final = 99_999_999


def _short(value: float) -> float:
    if round(value, DECIMALS) != value:
        raise ValueError(f"{value!r} has more than {DECIMALS} decimals")
    return value


#: A premium: at least 0, at most four decimals. A bid of 0 is no bid.
Premium = Annotated[Price, Field(ge=0, le=HIGHEST), AfterValidator(_short)]
#: A strike or a forward: the same, above 0.
Level = Annotated[Price, Field(gt=0, le=HIGHEST), AfterValidator(_short)]
Premiums = tuple[Premium | None, ...]
OpenInterest = Annotated[int, Field(ge=0, le=_MOST_OPEN)]

_QUOTES: Final = ("call_bid", "call_ask", "put_bid", "put_ask")


class ChainExpiry(Record):
    """The quotes of one expiry by rising strike, in vol points; null where a side is not quoted."""

    expiry: Day = Field(description="final settlement date")
    forward: Level | None = Field(
        default=None, description="price of the VX future of the same expiry, vol points; absent when it has none"
    )
    forward_bid: Level | None = Field(default=None, description="best bid of that future; absent when it has none")
    forward_ask: Level | None = Field(default=None, description="best ask of that future; absent when it has none")
    quotes_ts: Timestamp = Field(description="event time of the oldest quote in the columns")
    strikes: tuple[Level, ...] = Field(min_length=1, max_length=MAX_STRIKES, description="strikes, ascending")
    call_bid: Premiums = Field(description="best bid of each call")
    call_ask: Premiums = Field(description="best ask of each call")
    put_bid: Premiums = Field(description="best bid of each put")
    put_ask: Premiums = Field(description="best ask of each put")
    open_interest: tuple[OpenInterest | None, ...] | None = Field(
        default=None, description="open calls at the end of the day before; absent when not reported"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(a >= b for a, b in pairwise(self.strikes)):
            raise ValueError(f"the strikes of {self.expiry} must ascend")
        for name in (*_QUOTES, "open_interest"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.strikes):
                raise ValueError(f"{name} of {self.expiry} has {len(column)} entries for {len(self.strikes)} strikes")
        if self.forward_bid is not None and self.forward_ask is not None and self.forward_bid > self.forward_ask:
            raise ValueError(
                f"the future of {self.expiry}: bid {self.forward_bid:g} is above its ask {self.forward_ask:g}"
            )
        for right in ("call", "put"):
            sides = zip(self.strikes, getattr(self, f"{right}_bid"), getattr(self, f"{right}_ask"), strict=True)
            for strike, bid, ask in sides:
                if bid is not None and ask is not None and bid > ask:
                    raise ValueError(f"{right} {strike:g} of {self.expiry}: bid {bid:g} is above its ask {ask:g}")
        return self


class OptionChain(Message):
    """The option chain of a market at one instant. It replaces the one before it as a whole."""

    market: Market = Field(default="US", description="the topic's key")
    root: Literal["VIX"] = Field(default="VIX", description="root of the options")
    event_ts: Timestamp = Field(description="instant that the chain shows, RFC 3339 UTC")
    session_date: Day = Field(description="session that the instant belongs to; days to expiry count from it")
    source: Name = Field(default="unspecified", description="feed or vendor; `model` for values that are modelled")
    expiries: tuple[ChainExpiry, ...] = Field(
        max_length=MAX_EXPIRIES, description="by rising expiry; empty when nothing is quoted"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        day = datetime.fromtimestamp(self.event_ts / SECOND, UTC).date()
        if abs((self.session_date - day).days) > _SESSION_NEAR:
            raise ValueError(f"the session {self.session_date} is not that of {format_ts(self.event_ts)}")
        if any(a.expiry >= b.expiry for a, b in pairwise(self.expiries)):
            raise ValueError("the expiries of a chain must ascend")
        for each in self.expiries:
            if each.expiry <= self.session_date:
                raise ValueError(f"{each.expiry} has settled by the session {self.session_date}")
            if (each.expiry - self.session_date).days > _FARTHEST:
                raise ValueError(f"{each.expiry} is more than {_FARTHEST} days after the session {self.session_date}")
            if each.quotes_ts > self.event_ts:
                raise ValueError(f"quotes of {each.expiry} are later than the chain itself")
        total = sum(len(each.strikes) for each in self.expiries)
        if total > MAX_STRIKES:
            raise ValueError(f"{total} strikes in a chain; at most {MAX_STRIKES} are taken")
        return self
