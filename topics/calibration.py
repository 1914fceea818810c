"""``hedge.calibrations``: every table and threshold of the strategy in one document, cited by digest in every event.

The defaults are readings of the methodology, each a choice and none of them fitted out of sample; ``docs/readings.md``
says what each one rests on.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from topics.hedge_rules import (
    BreakEvenRules,
    CarryRules,
    ChainRules,
    ConvexityRules,
    Costs,
    DragRules,
    EngineRules,
    EtnRules,
    KappaRules,
    LayerWindow,
    PivotRules,
    Policy,
    Sleeve,
    StressRules,
    ThetaRules,
    TimingRules,
    WaccRules,
)
from topics.message import LAYERS, STATES, Digest, Layer, Message, Name, Number, Record, State, digest

ScoreName = Literal["vix", "ratio", "rv21", "vvix"]
Curve = tuple[Number, Number, Number, Number, Number]
Weights = dict[Layer, Number]


class ScoreFeature(Record):
    """A feature of the core score: its weight and the values that score 0, 25, 50, 75 and 100 points."""

    weight: Number = Field(gt=0, le=1, description="share of the core score before renormalising")
    anchors: Curve = Field(description="values at 0, 25, 50, 75, 100 points, rising; linear between, clamped outside")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(a >= b for a, b in pairwise(self.anchors)):
            raise ValueError(f"anchors {self.anchors} must rise")
        return self


class Floors(Record):
    """Conditions that lift the state whatever the score. Levels: vol points; ratio: VIX/VIX3M; change: a fraction."""

    high_vix: Number = Field(default=30.0, description="high when VIX is at or above")
    high_ratio_vix: Number = Field(default=20.0, description="high when VIX is at or above this and ...")
    high_ratio: Number = Field(default=1.10, description="... VIX/VIX3M at or above this")
    high_jump_vix: Number = Field(default=25.0, description="high when VIX is at or above this and ...")
    high_jump: Number = Field(default=0.40, description="... its change on one day at or above this")
    elevated_vix: Number = Field(default=22.0, description="elevated when VIX is at or above")
    elevated_ratio_vix: Number = Field(default=18.0, description="elevated when VIX is at or above this and ...")
    elevated_ratio: Number = Field(default=1.00, description="... VIX/VIX3M at or above this")
    elevated_inversion: bool = Field(
        default=False, description="elevated also when VX1 is above VX2 and VIX at or above elevated_ratio_vix"
    )
    moderate_vix: Number = Field(default=17.0, description="moderate when VIX is at or above")


def _score() -> dict[ScoreName, ScoreFeature]:
    return {
        "vix": ScoreFeature(weight=0.45, anchors=(10, 15, 20, 30, 45)),
        "ratio": ScoreFeature(weight=0.25, anchors=(0.80, 0.88, 0.95, 1.05, 1.20)),
        "rv21": ScoreFeature(weight=0.20, anchors=(6, 10, 16, 25, 40)),
        "vvix": ScoreFeature(weight=0.10, anchors=(75, 85, 100, 120, 150)),
    }


#: Parts of the secondary modifier that rest on on-chain figures; their total has a bound of its own.
ChainPart = Literal["dex_iv_spread", "amm_depth", "tvl", "peg", "ido"]
ModifierPartName = (
    Literal[
        "advance_decline",
        "divergence",
        "cpi",
        "ppi",
        "fomc",
        "gdp",
        "reer",
        "rate_differential",
        "cash_quality",
        "bear_steepening",
        "rsi",
        "ipo",
    ]
    | ChainPart
)


def _modifier_weights() -> dict[ModifierPartName, Number]:
    return {
        "advance_decline": -1.5,
        "divergence": 1.0,
        "cpi": 1.0,
        "ppi": 0.5,
        "fomc": 1.0,
        "gdp": -0.5,
        "reer": 0.5,
        "rate_differential": 0.5,
        "cash_quality": 0.5,
        "bear_steepening": 1.5,
        "rsi": 0.5,
        "ipo": 0.25,
        "dex_iv_spread": 0.5,
        "amm_depth": -0.25,
        "tvl": 1.0,
        "peg": 1.0,
        "ido": 0.1,
    }


class ModifierRules(Record):
    """The secondary modifier: signals in standard deviations, weighted into score points."""

    weights: dict[ModifierPartName, Number] = Field(
        default_factory=_modifier_weights,
        description="score points per unit of each part; a part without a weight does not count",
    )
    winsor: Number = Field(default=3.0, gt=0, le=3, description="each part is held within this, either way")
    limit: Number = Field(default=10.0, ge=0, le=10, description="score points that all parts move at most, either way")
    chain_limit: Number = Field(default=2.0, ge=0, le=10, description="the same for all on-chain parts together")
    half_life_releases: Number = Field(default=5.0, gt=0, description="sessions in which a release fades by half")
    half_life_monthly: Number = Field(default=21.0, gt=0, description="the same for monthly figures")


class SignalRules(Record):
    """Which series feed the secondary signals, and the choices in them."""

    cpi: Name = Field(default="CPI_CORE_MOM", description="series of the CPI surprise")
    ppi: Name = Field(default="PPI_FD_MOM", description="series of the PPI surprise")
    fomc: Name = Field(default="FOMC_MINUTES", description="series of the minutes")
    gdp: Name = Field(default="GDP", description="series whose vintages are revised growth")
    nowcast: Name = Field(default="GDPNOW", description="series of the growth nowcast")
    reer: Name = Field(default="REER_US", description="series of the real effective exchange rate")
    rate_home: Name = Field(default="US_2Y", description="series of the home yield, percent")
    rate_foreign: Name = Field(default="DE_2Y", description="series of the foreign yield, percent")
    rate_free: Name = Field(default="US_3M", description="series of the risk-free rate, percent")
    rate_long: Name = Field(default="US_10Y", description="series of the rate that discounts dividends, percent")
    eps: Name = Field(default="SPX_EPS_TTM", description="series of trailing earnings per index unit, USD")
    cfps: Name = Field(default="SPX_CFPS_TTM", description="series of trailing cash flow per index unit, USD")
    dps: Name = Field(default="SPX_DPS_TTM", description="series of trailing dividends per index unit, USD")
    rate_max_age_days: int = Field(default=5, ge=1, description="oldest usable yield, calendar days")
    freeze_minutes: int = Field(default=30, ge=0, description="minutes around the FOMC minutes in which adds wait")
    overdue_minutes: int = Field(default=60, ge=1, description="minutes after which a scheduled release is overdue")
    dividend_growth: Number = Field(default=0.045, description="g of the dividend discount model, a year")
    equity_premium: Number = Field(default=0.046, description="equity risk premium, a year")
    divergence_on: Number = Field(default=2.0, description="abs(z) from which value and yield diverge sharply ...")
    divergence_off: Number = Field(default=1.5, description="... and below which no longer")
    tvl_fall: Number = Field(default=0.05, gt=0, lt=1, description="fall of locked value in a day that counts")
    peg_bps: Number = Field(default=50.0, gt=0, description="deviation of a stablecoin that counts, basis points")


class RegimeRules(Record):
    """From signals to state."""

    score: dict[ScoreName, ScoreFeature] = Field(
        default_factory=_score,
        description="features of the core score",
    )
    cuts: tuple[Number, Number, Number] = Field(
        default=(27.5, 47.5, 70.0), description="scores from which the state is moderate, elevated, high"
    )
    margin: Number = Field(default=4.0, ge=0, description="score points a change must clear a cut by")
    dwell: int = Field(default=3, ge=1, description="committed sessions in a row before one step down")
    floors: Floors = Field(default_factory=Floors, description="conditions that lift the state")
    modifier: ModifierRules = Field(default_factory=ModifierRules, description="secondary signals in score points")
    signals: SignalRules = Field(default_factory=SignalRules, description="series and choices of the secondary signals")
    cap_vix: Number = Field(default=13.0, description="below this VIX the state is capped")
    cap_ratio: Number = Field(
        default=0.95, description="capped at low below this VIX/VIX3M or without it, else moderate"
    )
    fast_path_seconds: int = Field(
        default=60, ge=1, description="event time a floor must hold, on fresh VIX quotes, before it acts intraday"
    )
    max_age_session_seconds: int = Field(default=900, ge=1, description="oldest usable quote within a session")
    max_age_seconds: int = Field(default=4 * 86_400, ge=1, description="oldest usable quote outside sessions")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "vix" not in self.score:
            raise ValueError("the score needs the feature vix")
        total = sum(part.weight for part in self.score.values())
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the weights of the score sum to {total:g}; they must sum to 1")
        if any(a >= b for a, b in pairwise(self.cuts)):
            raise ValueError(f"cuts {self.cuts} must rise")
        return self


class Posture(Record):
    """Limits and pace of a policy (steward or promoter)."""

    pace: Number = Field(gt=0, le=1, description="share of the gap beyond the band that is traded per session")
    reserve_min: Number = Field(ge=0, le=1, description="least reserve, fraction of H")
    reserve_min_low: Number = Field(ge=0, le=1, description="least reserve in `low`, fraction of H")
    theta_max: Number = Field(ge=0, le=1, description="most Temporal Theta by maximum loss, fraction of H")


def _weights(*values: float) -> Weights:
    return dict(zip(LAYERS, values, strict=True))


def _table() -> dict[State, Weights]:
    return {
        "low": _weights(0.20, 0.10, 0.05, 0.0, 0.65),
        "moderate": _weights(0.20, 0.25, 0.10, 0.0, 0.45),
        "elevated": _weights(0.15, 0.35, 0.20, 0.05, 0.25),
        "high": _weights(0.05, 0.25, 0.20, 0.25, 0.25),
    }


def _windows() -> dict[Sleeve, LayerWindow]:
    return {
        "L1": LayerWindow(dte_min=15, dte_max=62, dte_target=30, roll_dte=21),
        "L2": LayerWindow(dte_min=90, dte_max=185, dte_target=110, roll_dte=35),
        "L3": LayerWindow(dte_min=186, dte_max=None, dte_target=220, roll_dte=110),
        "TT": LayerWindow(dte_min=21, dte_max=45, dte_target=45, roll_dte=21),
    }


def _postures() -> dict[Policy, Posture]:
    return {
        "steward": Posture(pace=0.5, reserve_min=0.25, reserve_min_low=0.50, theta_max=0.25),
        "promoter": Posture(pace=1.0, reserve_min=0.10, reserve_min_low=0.10, theta_max=0.25),
    }


class HedgeRules(Record):
    """From state and portfolio to layers."""

    weights: dict[State, Weights] = Field(
        default_factory=_table,
        description="base weights of H by state",
    )
    l1_low: tuple[Number, Number] = Field(default=(0.15, 0.25), description="hard band of L1 in `low`, fractions of H")
    l1_tilt: Number = Field(default=0.05, ge=0, description="largest tilt of L1 either way")
    macd_tilt: Number = Field(default=0.05, ge=0, description="tilt of L1 after a MACD crossover on VIX")
    macd_decay: int = Field(default=10, ge=1, description="sessions over which that tilt decays to zero")
    rsi_tilt: Number = Field(default=0.025, ge=0, description="tilt of L1 in `low` at or below rsi_low")
    rsi_low: Number = Field(default=45.0, description="RSI(14) of SPX at or below which the tilt applies")
    h0: Number = Field(default=0.10, gt=0, le=1, description="H = h0 x beta x market value")
    layer_max: Number = Field(default=0.40, gt=0, le=1, description="most of H in L1, L2 or L3 each")
    deployed_share_max: Number = Field(
        default=0.60, gt=0, le=1, description="most of the deployed weight in one layer ..."
    )
    deployed_from: Number = Field(default=0.50, ge=0, le=1, description="... once this much of H is deployed")
    gross_max: Number = Field(default=1.25, gt=0, description="most gross notional of all layers, fraction of H")
    l3_inactive: Number = Field(default=0.25, ge=0, le=1, description="share of L3's weight while no trigger is on")
    l3_beta_on: Number = Field(default=1.10, description="portfolio beta above which L3 is active")
    l3_beta_off: Number = Field(default=1.05, description="portfolio beta below which it is inactive again")
    band: Number = Field(default=0.025, ge=0, le=1, description="no-trade band per layer, fraction of H")
    step_min: Number = Field(
        default=0.005, ge=0, le=1, description="least step beyond the band; a smaller excess is left, fraction of H"
    )
    exposure_max: Number = Field(
        default=0.50, gt=0, description="most beta-dollars of hedge, share of beta x market value"
    )
    vx_beta: Number = Field(
        default=4.0, gt=0, description="kappa until it can be estimated: rise of VX1 in percent per percent fall of SPX"
    )
    quick_ratio_min: Number = Field(
        default=1.0, ge=0, description="quick ratio of market liquidity below which nothing is added"
    )
    holdings_max_age_seconds: int = Field(default=5 * 86_400, ge=1, description="older holdings block adds")
    windows: dict[Sleeve, LayerWindow] = Field(
        default_factory=_windows,
        description="tenor windows by layer",
    )
    postures: dict[Policy, Posture] = Field(
        default_factory=_postures,
        description="policies",
    )
    spread_spent: Number = Field(
        default=0.8,
        gt=0,
        le=1,
        description="share of its width that a debit spread is worth from which it is closed: it can gain little more "
        "and its delta is gone",
    )
    h_tolerance: Number = Field(
        default=0.10, ge=0, description="change of H within a session from which a step is decided anew, a fraction"
    )
    chain: ChainRules = Field(default_factory=ChainRules, description="quotes of options that can be dealt on")
    notes: EtnRules = Field(default_factory=EtnRules, description="volatility notes that may stand in for VX in L1")
    pivot: PivotRules = Field(default_factory=PivotRules, description="strikes of L2")
    convexity: ConvexityRules = Field(default_factory=ConvexityRules, description="strikes of L3 and of its tail")
    theta: ThetaRules = Field(default_factory=ThetaRules, description="entry, strikes and exit of Temporal Theta")
    costs: Costs = Field(default_factory=Costs, description="what dealing costs beside the quotes")
    wacc: WaccRules = Field(default_factory=WaccRules, description="scale of H by the cost of capital")
    carry: CarryRules = Field(default_factory=CarryRules, description="budget for the carry of the hedge")
    drag: DragRules = Field(default_factory=DragRules, description="drag on the internal rate of return accepted")
    kappa: KappaRules = Field(default_factory=KappaRules, description="estimate of what VX1 moves when the SPX does")
    engine: EngineRules = Field(default_factory=EngineRules, description="bounds of the second engine on L2 and L3")
    stress: StressRules = Field(default_factory=StressRules, description="scenarios and limits of the stress test")
    break_even: BreakEvenRules = Field(
        default_factory=BreakEvenRules, description="cushion of an open structure that is too small"
    )
    timing: TimingRules = Field(
        default_factory=TimingRules, description="when a rebalance that is not urgent is traded"
    )
    approvals: int = Field(default=2, ge=1, description="signatures that adds need")
    approvals_reduce: int = Field(default=1, ge=0, description="signatures that pure reductions need")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for state in STATES:
            row = self.weights.get(state)
            if row is None or set(row) != set(LAYERS):
                raise ValueError(f"weights need the layers {', '.join(LAYERS)} for the state {state}")
            if abs(sum(row.values()) - 1) > 1e-9 or min(row.values()) < 0:
                total = sum(row.values())
                raise ValueError(f"weights of {state} must be at least 0 and sum to 1; they sum to {total:g}")
        if lacking := sorted({"steward", "promoter"} - set(self.postures)):
            raise ValueError(f"postures lack {', '.join(lacking)}")
        if lacking := sorted({"steward", "promoter"} - set(self.engine.most)):
            raise ValueError(f"engine.most lacks {', '.join(lacking)}")
        if lacking := sorted({"L1", "L2", "L3", "TT"} - set(self.windows)):
            raise ValueError(f"windows lack {', '.join(lacking)}")
        low, high = self.l1_low
        if not low <= self.weights["low"]["L1"] <= high:
            raise ValueError(f"L1 in low is {self.weights['low']['L1']:g}, outside its hard band {low:g} to {high:g}")
        return self


class Calibration(Message):
    """All strategy numbers. Two calibrations with the same digest decide alike."""

    name: Name = Field(default="default", description="the topic's key")
    regime: RegimeRules = Field(default_factory=RegimeRules, description="from signals to state")
    hedge: HedgeRules = Field(default_factory=HedgeRules, description="from state and portfolio to layers")

    def digest(self) -> Digest:
        """``sha256:`` digest of the canonical document without its name."""
        return digest({k: v for k, v in self.document().items() if k != "name"})
