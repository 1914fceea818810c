"""What is remembered of a portfolio between evaluations."""

from __future__ import annotations

from datetime import date, timedelta

from pydantic import Field

from processors.hedge.band import Step
from processors.hedge.watch import Watch
from topics.hedge_rules import Sleeve
from topics.message import Day, Digest, Money, Number, Record, State
from topics.portfolio import Portfolio, Position
from topics.rebalance import Weights

#: Premiums count against the budget of a year.
_YEAR = timedelta(days=365)


class Capital(Record):
    """The cost of capital of a month."""

    month: Day = Field(description="first day of the month")
    cost: Number = Field(description="decimal a year")


class Premium(Record):
    """Premium paid for options on a day."""

    day: Day = Field(description="session")
    paid: Money = Field(description="USD; negative when received")


class Memory(Record):
    """Memory of one portfolio. A portfolio never seen before has an empty one."""

    state: State | None = Field(default=None, description="state that the last evaluation used")
    entered_high: Day | None = Field(default=None, description="session in which the portfolio's state became `high`")
    l3_on: bool = Field(default=False, description="whether the beta trigger of Layer 3 is on")
    engine_on: bool = Field(default=False, description="whether the second engine may run")
    engine_ready: bool = Field(default=False, description="whether the last quick ratio reached its upper bound")
    engine_session: Day | None = Field(default=None, description="session of that quick ratio")
    levered: Number = Field(default=0.0, description="weight that the second engine adds, fraction of H")
    capital: Capital | None = Field(default=None, description="the month's cost of capital")
    watches: dict[str, Watch] = Field(default_factory=dict, description="break-evens in reach, by layer and expiry")
    premiums: tuple[Premium, ...] = Field(
        default=(), description="premiums of the last year by day, where fills are assumed"
    )
    steps: dict[Sleeve, Step] = Field(default_factory=dict, description="the session's steps, once a layer moves")
    targets: Weights | None = Field(default=None, description="weights last published; absent before the first")
    positions: tuple[Position, ...] | None = Field(
        default=None, description="the book after assumed fills; absent: as in the newest snapshot"
    )
    content: Digest | None = Field(default=None, description="what the last published rebalance advised, without legs")
    legs: Digest | None = Field(default=None, description="legs of the last evaluation; absent without any")

    def holdings(self, portfolio: Portfolio) -> tuple[Position, ...]:
        """What a portfolio holds now: as in its newest snapshot, or after assumed fills."""
        return portfolio.positions if self.positions is None else self.positions

    def premium_paid(self, session_date: date) -> float:
        """Premiums paid less received over the 365 days up to a session, USD."""
        return sum(each.paid for each in self.premiums if session_date - each.day < _YEAR)

    def with_premium(self, session_date: date, paid: float) -> Memory:
        """With a day's premium, and without those older than a year."""
        kept = [each for each in self.premiums if session_date - each.day < _YEAR and each.day != session_date]
        today = sum(each.paid for each in self.premiums if each.day == session_date) + paid
        return self.model_copy(update={"premiums": (*kept, Premium(day=session_date, paid=today))})
