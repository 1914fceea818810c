"""``regime.states``, ``regime.marks``, ``hedge.regimes`` and ``regime.transitions``: the regime with its evidence.

One :class:`Regime` describes a market at one event-time instant. Committed sessions (`close`) go to ``regime.states``,
provisional ones (`mark`) to ``regime.marks``, and both, once to every partition, to ``hedge.regimes``. A change of
state is also a :class:`Transition`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from topics.market import Symbol
from topics.message import Day, Digest, Feature, Market, Message, Money, Name, Number, Price, Record, State, Timestamp


class ScorePart(Record):
    """What one feature adds to the core score."""

    value: Number = Field(description="the feature's value, in its own unit")
    points: Number = Field(ge=0, le=100, description="its place on the piecewise-linear scale, 0 to 100")
    weight: Number = Field(ge=0, le=1, description="its weight after renormalising over the features present")


class CurvePoint(Record):
    """One live VX contract."""

    symbol: Symbol = Field(description="contract, like VX/2018-03-21")
    price: Price = Field(gt=0, description="settlement at a close, last or mid price at a mark; vol points")
    dte: int = Field(ge=1, description="calendar days from the session to the final settlement date")


class Bar(Record):
    """A session's prices of one index within the exchange's hours; the close is official or stands in for it."""

    open: Price = Field(description="first price, index points")
    high: Price = Field(description="highest price, index points")
    low: Price = Field(description="lowest price, index points")
    close: Price = Field(description="closing price, index points")


class AppliedRelease(Record):
    """A release that the stream had taken up when it decided."""

    series_id: Name = Field(description="series of the release")
    ref_period: str = Field(description="what the release measures")
    vintage: int = Field(ge=1, description="1 for the first print")
    release_ts: Timestamp = Field(description="when it became public")
    applied_ts: Timestamp = Field(description="event time at which the stream took it up; later when it arrived late")
    actual: Price | None = Field(default=None, description="published value, in the release's unit")
    consensus: Price | None = Field(default=None, description="median forecast, in the release's unit")


class ModifierPart(Record):
    """What one secondary signal adds to the score."""

    value: Number = Field(description="the signal after its rule of direction, within +-3, before it decays")
    weight: Number = Field(description="score points per unit of value")
    decay: Number = Field(ge=0, le=1, description="what is left of it after its age, 1 when it is new")
    points: Number = Field(ge=-10, le=10, description="value x weight x decay, scaled when a bound of a group acts")
    age: int = Field(ge=0, description="sessions since it was taken up")


class Freeze(Record):
    """A window around a scheduled release in which adds that are not urgent wait."""

    series_id: Name = Field(description="series of the release")
    from_ts: Timestamp = Field(description="first moment of the window")
    until_ts: Timestamp = Field(description="last moment of the window")


class FundFigure(Record):
    """The newest published figures of one volatility product, and what it trades at."""

    symbol: Symbol = Field(description="product, like UVXY")
    leverage: Number | None = Field(default=None, ge=-5, le=5, description="daily multiple of the product's index")
    aum: Money | None = Field(default=None, ge=0, description="assets under management, USD")
    nav_date: Day | None = Field(default=None, description="session that `aum` belongs to")
    price: Price | None = Field(default=None, description="last or mid price now, USD a share; absent when it is stale")
    nav: Price | None = Field(default=None, gt=0, description="net asset value or indicative value, USD a share")
    volume: Number | None = Field(default=None, gt=0, description="average daily volume, shares")


class Regime(Message):
    """The volatility regime of one market at one instant, with everything that decided it."""

    event_id: Digest = Field(description="hash of what decided it: the same decision has the same id in every replay")
    market: Market = Field(description="the topic's key")
    kind: Literal["close", "mark"] = Field(description="`close`: committed session; `mark`: provisional, intraday")
    session_date: Day = Field(description="session that is closed, or that the mark belongs to")
    event_ts: Timestamp = Field(description="event-time instant of the decision")
    state: State = Field(description="state in force after this instant")
    state_prev: State = Field(description="state in force before it")
    raw: State | None = Field(default=None, description="state by cuts, floors and cap alone; absent when held")
    score: Number | None = Field(default=None, ge=0, le=100, description="core score and modifier; absent when held")
    core_score: Number | None = Field(default=None, ge=0, le=100, description="weighted points; absent when held")
    modifier: Number = Field(default=0.0, ge=-10, le=10, description="secondary modifier, score points")
    score_parts: dict[str, ScorePart] = Field(description="part scores by feature; only features present")
    modifier_parts: dict[str, ModifierPart] = Field(
        default_factory=dict, description="secondary signals that act, by name; their points sum to the modifier"
    )
    features: dict[str, Feature] = Field(description="every signal that has a value: name to value in its own unit")
    floors_hit: tuple[str, ...] = Field(description="floors whose condition holds, as `high:vix>=30`")
    cap: State | None = Field(default=None, description="state that a very low VIX caps the regime at")
    below: int = Field(ge=0, description="committed sessions in a row that spoke for a lower state")
    held: bool = Field(description="true when the state was held because VIX is missing or stale")
    degraded: tuple[str, ...] = Field(description="inputs that are missing, stale or stand-ins, as `vvix:missing`")
    stand_ins: tuple[Symbol, ...] = Field(description="instruments whose last value stands in for an official close")
    curve: tuple[CurvePoint, ...] = Field(description="live monthly VX contracts by expiry")
    bars: dict[str, Bar] = Field(default_factory=dict, description="session bars by index; at a close only")
    sources: dict[str, Name] = Field(description="source of each input used; `model` for modelled values")
    releases: tuple[AppliedRelease, ...] = Field(description="the newest release of each series that was applied")
    freezes: tuple[Freeze, ...] = Field(default=(), description="windows of scheduled releases that are near, by time")
    overdue: tuple[str, ...] = Field(default=(), description="scheduled releases that have not come, as `GDP:2018-Q1`")
    funds: tuple[FundFigure, ...] = Field(
        default=(), description="published figures of volatility products, the newest of each, by symbol"
    )
    volumes: dict[Symbol, Number] = Field(
        default_factory=dict, description="newest average daily volume of VX contracts, contracts, by symbol"
    )
    calibration_digest: Digest = Field(description="digest of the calibration document in force")
    inputs_digest: Digest = Field(description="digest of the inputs that decided")
    advisory: Literal[True] = Field(default=True, description="the software advises; it is no investment advice")


class Transition(Message):
    """A change of a market's state."""

    event_id: Digest = Field(description="hash of what decided it")
    market: Market = Field(description="the topic's key")
    event_ts: Timestamp = Field(description="event-time instant of the change")
    session_date: Day = Field(description="session it belongs to")
    trigger: Literal["close", "fast_path"] = Field(description="a committed session, or a floor held intraday")
    state_prev: State = Field(description="state before")
    state: State = Field(description="state after")
    score: Number | None = Field(default=None, ge=0, le=100, description="score at the change")
    core_score: Number | None = Field(default=None, ge=0, le=100, description="score without modifier")
    floors_hit: tuple[str, ...] = Field(description="floors whose condition holds")
    features: dict[str, Feature] = Field(description="signals at the change")
    degraded: tuple[str, ...] = Field(description="inputs missing, stale or stand-ins")
    regime_event_id: Digest = Field(description="the regime event that holds the whole evidence")
    calibration_digest: Digest = Field(description="digest of the calibration document in force")
    advisory: Literal[True] = Field(default=True, description="the software advises; it is no investment advice")
