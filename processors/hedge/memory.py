"""What is remembered of a portfolio between evaluations."""

from __future__ import annotations

from pydantic import Field

from processors.hedge.band import Step
from topics.hedge_rules import Sleeve
from topics.message import Day, Digest, Number, Record, State
from topics.portfolio import Position
from topics.rebalance import Weights


class Memory(Record):
    """Memory of one portfolio. A portfolio never seen before has an empty one."""

    state: State | None = Field(default=None, description="state that the last evaluation used")
    entered_high: Day | None = Field(default=None, description="session in which the portfolio's state became `high`")
    l3_on: bool = Field(default=False, description="whether the beta trigger of Layer 3 is on")
    steps: dict[Sleeve, Step] = Field(default_factory=dict, description="the newest step of each layer")
    advised: dict[str, int] = Field(default_factory=dict, description="contracts of Layer 1 last evaluated, by symbol")
    residual: Number = Field(
        default=0.0, description="USD of Layer 1's target that whole contracts left in the reserve"
    )
    weights: dict[Sleeve, Number] = Field(
        default_factory=dict, description="weights last published of the layers that have no legs of their own"
    )
    targets: Weights | None = Field(default=None, description="weights last published; absent before the first")
    positions: tuple[Position, ...] | None = Field(
        default=None, description="the book after assumed fills; absent: as in the newest snapshot"
    )
    content: Digest | None = Field(default=None, description="what the last published rebalance advised, without legs")
    legs: Digest | None = Field(default=None, description="legs of the last evaluation")
