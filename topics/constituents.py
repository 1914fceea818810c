"""Cross-sections on ``market.flows``: one session's returns of an index's members, keyed by market."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from topics.message import Day, Market, Message, Name, Number, Record, Timestamp


class Member(Record):
    """One member's session."""

    id: Name = Field(description="member, by ticker or permanent id")
    ret: Annotated[Number, Field(gt=-1, le=20)] = Field(description="simple return over the session, a fraction")
    mcap_prev: Number = Field(gt=0, le=1e18, description="free-float capitalisation at the close before, any one unit")


class CrossSection(Message):
    """Members of an index over one session. Weights come from the close before: the same day's would look ahead."""

    universe: Name = Field(description="index: SPX")
    session_date: Day = Field(description="session that the returns are of")
    session_prev: Day = Field(description="session that the returns start from; only the one right before counts")
    event_ts: Timestamp = Field(description="when the returns were known, RFC 3339 UTC")
    market: Market = Field(default="US", description="the topic's key")
    source: Name = Field(default="unspecified", description="vendor")
    members: tuple[Member, ...] = Field(min_length=2, max_length=1000, description="members with both figures")

    @model_validator(mode="after")
    def _check(self) -> Self:
        ids = [member.id for member in self.members]
        if len(set(ids)) != len(ids):
            raise ValueError(f"cross-section of {self.universe} on {self.session_date}: a member stands in it twice")
        if self.session_prev >= self.session_date:
            raise ValueError(f"session_prev {self.session_prev} is not before session_date {self.session_date}")
        return self
