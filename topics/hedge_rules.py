"""What each step of the hedge goes by: windows, quotes, strikes, costs, budgets, stress and timing.

They are parts of the calibration document (:mod:`topics.calibration`). Every number is a choice.
"""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from topics.message import Name, Number, Record

Sleeve = Literal["L1", "L2", "L3", "TT"]
Policy = Literal["steward", "promoter"]


class LayerWindow(Record):
    """Calendar days to expiry in which a layer opens, its tenor target, and when what it holds is rolled."""

    dte_min: int = Field(ge=0, description="fewest days to expiry")
    dte_max: int | None = Field(default=None, description="most days to expiry; absent: no upper end")
    dte_target: int = Field(ge=0, description="tenor aimed at")
    roll_dte: int | None = Field(
        default=None, ge=0, description="days to expiry below which what is held is rolled; absent: dte_min"
    )


# Quotes, instruments and strikes


class ChainRules(Record):
    """What makes a quote of an option one to deal on."""

    spread_relative: Number = Field(
        default=0.25, ge=0, description="widest bid to ask, as a fraction of the mid quote ..."
    )
    spread_floor: Number = Field(
        default=0.10,
        ge=0,
        description="... though never below this many vol points, for cheap options trade a few ticks wide",
    )
    spread_max: Number = Field(default=1.00, ge=0, description="widest bid to ask in any case, vol points")
    open_interest_min: int = Field(
        default=100, ge=0, description="fewest open contracts; acts only where open interest is reported"
    )
    max_age_seconds: int = Field(default=3_600, ge=0, description="oldest quote of an expiry that is used")
    monthly_only: bool = Field(
        default=True,
        description="leave weekly expiries out, most of which have no liquid future and no depth at far strikes",
    )


class EtnRules(Record):
    """Which volatility notes may stand in for VX futures."""

    symbols: tuple[Name, ...] = Field(
        default=("VXX",),
        description="those allowed, best first; notes of a higher daily multiple lose to its reset in choppy markets",
    )
    premium_max: Number = Field(
        default=0.02, ge=0, description="most that the price may differ from the indicative value, a fraction"
    )


class Costs(Record):
    """What dealing costs beside the quotes."""

    fee: Number = Field(
        default=1.0, ge=0, description="US dollars for each option and side; to be replaced by what is paid"
    )


class PivotRules(Record):
    """Strikes of Layer 2."""

    k1: Number = Field(default=1.15, ge=0, description="long strike, times the forward")
    k1_least: Number = Field(
        default=1.00, gt=0, description="lowest long strike that the break-even may bring it down to, times the forward"
    )
    width: Number = Field(
        default=10.0, gt=0, description="points between the strikes in a market that does not disperse"
    )
    width_least: Number = Field(
        default=0.5, ge=0, description="least share of the width wanted that a listed short strike must leave"
    )
    widen: Number = Field(default=0.25, ge=0, description="share that one standard deviation of dispersion adds ...")
    widen_max: Number = Field(default=3.0, ge=0, description="... up to this many standard deviations")
    m0: Number = Field(
        default=0.25, ge=0, description="most that the break-even may be above the forward, a fraction of it ..."
    )
    m1: Number = Field(default=0.05, ge=0, description="... and what one standard deviation of growth revision adds")
    gdp_max: Number = Field(
        default=2.0, ge=0, description="standard deviations of growth revision that count at most, either way"
    )
    theta_gdp: Number = Field(
        default=0.25,
        ge=0,
        description="share by which one standard deviation of growth revision scales the theta budget, downward",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.k1_least > self.k1:
            raise ValueError(f"k1_least must be at most k1, got {self.k1_least:g} and {self.k1:g}")
        return self

    @property
    def width_max(self) -> float:
        """The widest spread there is, points: 17.5 by default."""
        return self.width * (1.0 + self.widen * self.widen_max)


class ConvexityRules(Record):
    """Strikes of Layer 3."""

    k1: Number = Field(default=1.3, gt=0, description="lowest long strike, times the forward")
    k2: Number = Field(default=1.8, gt=0, description="lowest short strike, times the forward")
    spot_beta: Number = Field(
        default=0.4,
        ge=0,
        le=1,
        description="points that a future of the layer's tenor moves for one of spot VIX; 0.3 to 0.5 in practice",
    )
    tail_max: Number = Field(
        default=0.30, ge=0, le=1, description="most of the layer in calls of the tail, a fraction of its weight"
    )
    tail_delta: Number = Field(default=0.30, gt=0, lt=1, description="forward delta of those calls")
    tail_window: LayerWindow = Field(
        default_factory=lambda: LayerWindow(dte_min=21, dte_max=45, dte_target=30, roll_dte=3),
        description="their days to expiry; held nearly to it, as in the VIX Tail Hedge Index",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.k1 < self.k2:
            raise ValueError(f"k1 must be below k2, got {self.k1:g} and {self.k2:g}")
        return self


class ThetaRules(Record):
    """Entry, strikes and exit of Temporal Theta."""

    fall: Number = Field(
        default=0.9, gt=0, le=1, description="VIX must be below this share of its highest close of five sessions"
    )
    above_average: bool = Field(
        default=False, description="whether VIX must also be above its mean of 200 sessions"
    )
    iv_premium_min: Number | None = Field(
        default=None, description="least implied over realised volatility, less 1, a fraction; absent: not asked"
    )
    contango_min: Number | None = Field(
        default=None, description="least VX2 / VX1 - 1; absent: not asked, for it rarely holds in `high`"
    )
    short_delta: Number = Field(default=0.40, gt=0, le=1, description="forward delta of the call that is sold")
    width: Number = Field(
        default=5.0, gt=0, description="points to the call that is bought; the listed one may be up to twice as far"
    )
    credit_min: Number = Field(
        default=0.10, ge=0, lt=1, description="least credit, a share of the width; below it the risk is not paid for"
    )
    profit: Number = Field(default=0.50, gt=0, le=1, description="share of the credit at which the spread is closed")
    exit_dte: int = Field(
        default=21, ge=0, description="days to expiry at which it is closed; it is opened only above them"
    )
    hold_min: int = Field(default=7, ge=1, description="fewest days from its opening to that")


# How large the hedge is


class KappaRules(Record):
    """The estimate of kappa: how far VX1 moves when the SPX does."""

    half_life: Number = Field(default=126.0, gt=0, description="sessions after which an observation weighs half")
    minimum: int = Field(default=126, ge=2, description="fewest returns that it is estimated from")
    low: Number = Field(default=1.5, gt=0, description="least kappa to size by ...")
    high: Number = Field(default=8.0, gt=0, description="... and the largest")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low must be at most high, got {self.low:g} and {self.high:g}")
        return self


class WaccRules(Record):
    """How the cost of capital scales the hedge notional H: by clip(reference / WACC, least, most)."""

    reference: Number = Field(default=0.085, gt=0, description="cost of capital at which H is unscaled, decimal a year")
    premium: Number = Field(default=0.046, description="equity risk premium a year, where no cost of equity is stated")
    least: Number = Field(default=0.5, gt=0, description="smallest scale of H")
    most: Number = Field(default=1.5, gt=0, description="largest scale of H")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.least <= 1.0 <= self.most:
            raise ValueError(f"least and most must enclose 1, got {self.least:g} and {self.most:g}")
        return self


class CarryRules(Record):
    """The carry budget, fractions of the portfolio's market value."""

    soft: Number = Field(default=0.01, ge=0, description="cost a year from which an alert is raised")
    hard: Number = Field(default=0.02, ge=0, description="cost a year beyond which nothing is added")
    premium: Number = Field(
        default=0.05, ge=0, description="option premiums paid, less received, in a year beyond which nothing is added"
    )
    horizon_days: Number = Field(default=30.0, gt=0, description="calendar days over which carry is projected")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.soft > self.hard:
            raise ValueError(f"soft must lie between 0 and hard, got {self.soft:g} and {self.hard:g}")
        return self


class DragRules(Record):
    """How much drag on the investor's internal rate of return is accepted."""

    cap: Number = Field(
        default=0.01, ge=0, description="drag beyond which Layer 1 is held at its floor in `low`, decimal a year"
    )


def _most() -> dict[Policy, Number]:
    return {"steward": 1.0, "promoter": 1.25}


class EngineRules(Record):
    """Bounds of the second engine, the multiplier on Layers 2 and 3."""

    most: dict[Policy, Number] = Field(
        default_factory=_most,
        description="largest multiplier by policy, at least 1; at 1 the engine is off, as it is for a steward",
    )
    on: Number = Field(
        default=1.2, gt=0, description="quick ratio that two readings in a row must reach for it to start"
    )
    off: Number = Field(default=1.0, gt=0, description="quick ratio below which it stops")
    loss_max: Number = Field(
        default=0.10, ge=0, description="most that what it added may lose in any stress scenario, fraction of H"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for policy, most in self.most.items():
            if most < 1:
                raise ValueError(f"the multiplier of {policy} must be at least 1, got {most:g}")
        if self.off > self.on:
            raise ValueError(f"off must be at most on, got {self.off:g} and {self.on:g}")
        return self


# What is watched, and when to trade


class Scenario(Record):
    """A move of spot VIX and of the vols of its options, at once."""

    name: Name = Field(description="as published")
    points: Number = Field(default=0.0, description="change of spot VIX, vol points")
    relative: Number = Field(default=0.0, description="change of spot VIX as a fraction of it, on top of points")
    vol: Number = Field(
        default=0.0,
        description="change of the vol of options at 0 days to expiry, decimal; it falls with the days as the futures'",
    )
    power: Number = Field(
        default=0.6, ge=0, description="how fast the share of the move falls with the days to expiry"
    )


#: The scenarios by default. VIX doubled between two closes once, on 2018-02-05 (17.31 to 37.32, VVIX from 126 to 177);
#: its largest fall in a session before 2020 was that of 2010-05-10 (40.95 to 28.84, VVIX from 135 to 111).
SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(name="vix_up_20", points=20.0, vol=0.50),
    Scenario(name="vix_up_40", points=40.0, vol=0.75),
    # The front rises and the back does not follow: what is held far out is no help.
    Scenario(name="inversion", points=20.0, vol=0.30, power=1.2),
    Scenario(name="vol_crush", relative=-0.30, vol=-0.50),
    Scenario(name="gap", relative=1.0, vol=1.0),
)


class StressRules(Record):
    """Scenarios and limits of the stress test."""

    scenarios: tuple[Scenario, ...] = Field(default=SCENARIOS, description="the moves; their names differ")
    tenor_days: Number = Field(
        default=10.0, gt=0, description="days to expiry by which the share of a move is 2^-power"
    )
    least_forward: Number = Field(
        default=8.0, gt=0, description="no forward falls below this, vol points; VIX has not closed under 9 since 1990"
    )
    least_vol: Number = Field(default=0.20, ge=0, description="no vol of an option falls below this, decimal")
    share_max: Number = Field(default=0.50, ge=0, description="most of all losses in one layer ...")
    judged_from: Number = Field(
        default=0.05, ge=0, description="... where the hedge as a whole loses more than this, fraction of H"
    )
    engine_max: Number = Field(default=0.10, ge=0, description="most that the second engine loses, fraction of H")

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [scenario.name for scenario in self.scenarios]
        if len(set(names)) < len(names):
            raise ValueError(f"names of scenarios must differ, got {names}")
        return self


class BreakEvenRules(Record):
    """When the break-even is too near."""

    alert: Number = Field(default=0.5, ge=0, description="standard deviations of cushion below which it is")
    clear: Number = Field(default=0.75, ge=0, description="cushion from which it is no longer; at least alert")
    crossing: Number = Field(
        default=0.1, ge=0, description="standard deviations beyond the break-even from which the forward has crossed it"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.crossing <= self.alert <= self.clear:
            raise ValueError(
                "crossing, alert and clear must rise from 0, got "
                f"{self.crossing:g}, {self.alert:g} and {self.clear:g}"
            )
        return self


class TimingRules(Record):
    """When a rebalance that is not urgent is traded."""

    flow_minutes: int = Field(
        default=15,
        ge=0,
        le=180,
        description="length of the window of mechanical flow, which ends at the close (16:00 New York, 13:00 on "
        "an early close)",
    )
    blackout_minutes: int = Field(
        default=15, ge=0, le=180, description="length of a blackout, which ends there too; 0: there are none"
    )
    flow_share: Number = Field(
        default=0.05,
        ge=0,
        description="share of a contract's average daily volume above which its expected flow counts",
    )
    anchor: Literal["close", "settle"] = Field(
        default="close",
        description="where those windows end: `close` with the SPX, `settle` with the daily settlement of VX, "
        "which came a quarter of an hour later until 2020-10-23; from 2020-10-26 on both are the same moment",
    )
