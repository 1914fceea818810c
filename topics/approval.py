"""``hedge.approvals``: signatures over rebalance events, keyed by portfolio_id."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from topics.message import Digest, Message, Name, Timestamp

Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]+$")]


class Approval(Message):
    """One key's decision about one rebalance event. Ed25519 (RFC 8032) over the event's canonical bytes."""

    portfolio_id: Name = Field(description="the topic's key")
    event_id: Digest = Field(description="the rebalance event decided about")
    decision: Literal["approve", "reject"] = Field(description="what the signer decided")
    key_id: Name = Field(description="registered key that signed; M distinct keys are needed, not M signatures")
    signed_at: Timestamp = Field(description="when it was signed, RFC 3339 UTC")
    expires_at: Timestamp = Field(description="when the signature lapses, RFC 3339 UTC")
    nonce: Annotated[Hex, Field(min_length=16, max_length=64)] = Field(description="random, unrepeated")
    signature: Annotated[Hex, Field(min_length=128, max_length=128)] = Field(description="64 bytes, hexadecimal")
