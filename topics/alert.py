"""``alerts``: what a person should look at, keyed by dedupe_key."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from topics.message import Digest, Feature, Market, Message, Name, Timestamp

Severity = Literal["info", "warning", "critical"]


class Alert(Message):
    """One alert. Consumers show one row per ``dedupe_key``; a later alert with the same key replaces it."""

    event_id: Digest = Field(description="hash of what caused it: a repeated delivery has the same id")
    event_ts: Timestamp = Field(description="event-time instant of the cause")
    severity: Severity = Field(description="info: for the record; warning: look today; critical: look now")
    kind: Literal["transition", "rebalance", "blocked", "degraded", "overdue", "dead_letters"] = Field(
        description="what it is of"
    )
    dedupe_key: str = Field(min_length=1, max_length=160, description="what it is about; the topic's key")
    market: Market | None = Field(default=None, description="market concerned")
    portfolio_id: Name | None = Field(default=None, description="portfolio concerned")
    resolved: bool = Field(default=False, description="true when the condition has ended")
    summary: str = Field(max_length=500, description="one sentence for a person")
    cause_event_id: Digest | None = Field(default=None, description="event that caused it")
    details: dict[str, Feature] = Field(default_factory=dict, description="figures that go with the sentence")
