"""The concepts of the methodology: what each is taken to mean, what it rests on and where it acts.

One entry a concept, numbered as ever. Nothing is computed here: this is what `alvh signals` prints and what the page of
the methodology says, held to the code by tests. A `fact` has one definition in its field; a `reading` is a choice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from topics.calibration import ModifierPartName, ScoreName


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept.

    Attributes:
        number: 1 to 63; it never changes.
        words: the methodology's own, shortened.
        kind: `fact` has one definition in its field, `reading` is a choice.
        meaning: what it means here, and what of it is not in this version.
        features: names in the evidence of a regime that say it.
        inputs: instruments, series and figures that it rests on.
        source: paper, rule book or publisher; "choice" where there is none.
        default: numbers in force unless the calibration says otherwise; ``key = value`` names its key.
        weights: parts of the core score or of the modifier through which it moves the score.
        place: module in which it acts, or, where it does not act, the one that stands in its place.
        test: path of the file that tests that module.
    """

    number: int
    words: str
    kind: Literal["fact", "reading"]
    meaning: str
    features: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    source: str = "choice"
    default: str = ""
    weights: tuple[ScoreName | ModifierPartName, ...] = ()
    place: str = ""
    test: str = ""


CATALOGUE: Final = (
    Concept(
        1,
        "ALVH, the Adaptive Layered VIX Hedge",
        "reading",
        "The way from a regime to advice: table of weights, tilts, triggers and gates, caps, limits, band and pace, "
        "whole contracts of every layer. A hedge and no source of return: judge it by the drawdown it saves for what "
        "it costs.",
        inputs=("portfolio",),
        default="hedge.h0 = 0.1",
        place="processors.hedge.plan",
        test="tests/unit/hedge/test_hedge_plan.py",
    ),
    Concept(
        2,
        "regime identification",
        "reading",
        "A score of 0 to 100 from VIX, VIX/VIX3M, realised volatility and VVIX, moved by at most 10 points of "
        "secondary signals; floors, a cap, a margin and a dwell turn it into a state.",
        features=("vix", "vix_change", "spx", "rv21"),
        inputs=("VIX", "SPX"),
        source="bands in common use; realised volatility with n-1 and the root of 252",
        default="regime.cuts = 27.5, 47.5, 70; regime.margin = 4; regime.dwell = 3; regime.modifier.limit = 10",
        weights=("vix", "rv21"),
        place="processors.regime.machine",
        test="tests/unit/regime/test_regime_machine.py",
    ),
    Concept(
        3,
        "avoids static positioning",
        "reading",
        "Targets are worked out anew from the whole state at every committed session, and published when what is "
        "advised has changed. The comparison with a static hedge that is only rolled is not in this version.",
        inputs=("portfolio",),
        place="processors.hedge.evaluate",
        test="tests/unit/hedge/test_hedge_plan.py",
    ),
    Concept(
        4,
        "Time-Shifting (Time Travel)",
        "reading",
        "Moving exposure between expiries so that a layer stays in its tenor: what falls below the days to roll is "
        "closed and opened anew, futures and spreads alike, all legs in one package. No later data is ever used.",
        inputs=("VX", "portfolio"),
        default="hedge.windows.L1.roll_dte = 21; hedge.windows.L2.roll_dte = 35; hedge.windows.L3.roll_dte = 110",
        place="processors.hedge.contracts",
        test="tests/unit/hedge/test_hedge_contracts.py",
    ),
    Concept(
        5,
        "shifts in the volatility surface",
        "reading",
        "Level, term structure, skew and volatility of volatility, each as a value and, for the main ones, as its "
        "change over 5 sessions; where option strips are quoted also model-free over 30 days. Term structure and "
        "VVIX are in the score; the rest is evidence.",
        features=(
            "vix3m",
            "ratio",
            "vvix",
            "vix9d",
            "vix6m",
            "skew",
            "vix_change5",
            "ratio_change5",
            "vvix_change5",
            "skew_change5",
            "mfiv30",
            "skew25",
            "vov30",
        ),
        inputs=("VIX", "VIX3M", "VVIX", "VIX9D", "VIX6M", "SKEW", "SPX options", "VIX options", "US_3M"),
        source="Cboe indices; Cboe Volatility Index white paper for option strips",
        default="5 sessions",
        weights=("ratio", "vvix"),
        place="processors.regime.score",
        test="tests/unit/regime/test_regime_score_floors.py",
    ),
    Concept(
        6,
        "short-term, intermediate, and longer-dated VIX instruments",
        "reading",
        "Tenor windows in calendar days to expiry. The gap between the first two is meant: a contract there is held "
        "by its layer and not opened.",
        default="hedge.windows.L1.dte_max = 62; hedge.windows.L2.dte_min = 90; hedge.windows.L2.dte_max = 185; "
        "hedge.windows.L3.dte_min = 186",
        place="processors.hedge.contracts",
        test="tests/unit/hedge/test_hedge_contracts.py",
    ),
    Concept(
        7,
        "VIX futures",
        "fact",
        "Monthly VX contracts ranked by their date of final settlement, as traded and never back-adjusted; weeklies "
        "do not count. 1000 dollars a point.",
        features=("vx1", "vx2", "cm30"),
        inputs=("VX",),
        source="Cboe Futures Exchange rule book, Rules 1202 and 1203",
        default="30 days for the constant maturity",
        place="processors.signals.curve",
        test="tests/unit/signals/test_signals_curve.py",
    ),
    Concept(
        8,
        "ETNs",
        "fact",
        "Notes and funds on short-term VIX futures. A note, VXX by default, stands in Layer 1 where less than one "
        "future is left, unless its price is more than 2 % away from its indicative value. One without a price is "
        "named and blocks adds.",
        inputs=("portfolio",),
        source="iPath VXX and VXZ pricing supplement, November 2022",
        default="hedge.notes.premium_max = 0.02",
        place="processors.hedge.l1",
        test="tests/unit/hedge/test_hedge_structure.py",
    ),
    Concept(
        9,
        "modest call spreads",
        "fact",
        "A call bought and a higher one of the same expiry sold, each priced by Black-76 on the VX future of that "
        "expiry, never on spot VIX. Advised with its legs, limit prices, largest loss and break-even, wherever "
        "quotes can be dealt on.",
        source="Black (1976)",
        default="hedge.chain.spread_relative = 0.25; hedge.chain.spread_max = 1",
        place="processors.hedge.structure",
        test="tests/unit/hedge/test_hedge_structure.py",
    ),
    Concept(
        10,
        "FOMC minutes",
        "reading",
        "Two things: a window around the scheduled release in which adds that are not urgent wait, and a surprise, "
        "the change of the 2-year yield over the release against its spread over the last 16. Hawkish counts in "
        "full, dovish by a quarter.",
        features=("fomc_z",),
        inputs=("FOMC_MINUTES",),
        source="Federal Reserve, 14:00 New York, three weeks after the meeting",
        default="regime.signals.freeze_minutes = 30; last 16 releases",
        weights=("fomc",),
        place="processors.signals.surprise",
        test="tests/unit/signals/test_signals_surprise.py",
    ),
    Concept(
        11,
        "CPI",
        "reading",
        "Surprise of the first print of the core monthly rate: actual less consensus, against the spread of past "
        "surprises. Higher counts in full, lower by a quarter; it halves in 5 sessions.",
        features=("cpi_z",),
        inputs=("CPI_CORE_MOM",),
        source="Bureau of Labor Statistics, 8:30 New York",
        default="regime.modifier.half_life_releases = 5; last 36 releases, at least 24",
        weights=("cpi",),
        place="processors.signals.surprise",
        test="tests/unit/signals/test_signals_surprise.py",
    ),
    Concept(
        12,
        "PPI",
        "reading",
        "The same surprise for producer prices of final demand.",
        features=("ppi_z",),
        inputs=("PPI_FD_MOM",),
        source="Bureau of Labor Statistics, 8:30 New York",
        default="last 36 releases, at least 24",
        weights=("ppi",),
        place="processors.signals.surprise",
        test="tests/unit/signals/test_signals_surprise.py",
    ),
    Concept(
        13,
        "Real Effective Exchange Rate",
        "reading",
        "Log change of the trade-weighted, price-deflated dollar over 3 months, in standard deviations of 60 months; "
        "up is appreciation, which tightens. Levels of different base years are never compared.",
        features=("reer_change", "reer_z"),
        inputs=("REER_US",),
        source="Bank for International Settlements, broad basket",
        default="regime.modifier.half_life_monthly = 21; 3 months against 60",
        weights=("reer",),
        place="processors.signals.reer",
        test="tests/unit/signals/test_signals_reer.py",
    ),
    Concept(
        14,
        "Advance-Decline Line",
        "reading",
        "Running sum of advancing less declining issues, of which only differences count: the net ratio, its "
        "20-session sum in standard deviations of 252, and a flag when the SPX is at its 63-session high and the "
        "line is not.",
        features=("ad_net_ratio", "ad_sum20", "ad_z", "ad_divergence"),
        inputs=("ADVN", "DECN", "SPX"),
        source="NYSE; windows are choices",
        default="20, 63 and 252 sessions",
        weights=("advance_decline", "divergence"),
        place="processors.signals.breadth",
        test="tests/unit/signals/test_signals_breadth.py",
    ),
    Concept(
        15,
        "low-volatility regimes",
        "reading",
        "The state `low`. Below VIX 13 nothing but an inverted or flat term structure makes it `moderate`.",
        source="share of sessions since 1990",
        default="regime.cuts = 27.5, 47.5, 70; regime.cap_vix = 13; regime.cap_ratio = 0.95",
        place="processors.regime.floors",
        test="tests/unit/regime/test_regime_score_floors.py",
    ),
    Concept(
        16,
        "compressed VIX futures curves",
        "reading",
        "A low and narrow curve: VX1 in the lowest third of a year and the spread between the highest and the lowest "
        "of seven contracts below its median of that year. Evidence, no score.",
        features=("curve_range", "compressed"),
        inputs=("VX",),
        default="252 sessions, a third, at least 5 contracts",
        place="processors.signals.compression",
        test="tests/unit/signals/test_signals_term.py",
    ),
    Concept(
        17,
        "low RSI on the SPX",
        "reading",
        "Wilder's RSI(14) is a fact. It enters the modifier with the sign of the data, falling RSI being stress; in "
        "`low` an RSI at or below 45 tilts Layer 1 up, as the words ask.",
        features=("rsi14",),
        inputs=("SPX",),
        source="Wilder (1978)",
        default="hedge.rsi_low = 45; hedge.rsi_tilt = 0.025",
        weights=("rsi",),
        place="processors.hedge.tilt",
        test="tests/unit/hedge/test_hedge_steps.py",
    ),
    Concept(
        18,
        "cost-efficient insurance policy",
        "reading",
        "A budget for the carry of Layers 1 to 3, a year and of market value: above 1 % there is an alert, beyond 2 "
        "% nothing is added, and premiums are bound too. The floor of Layer 1 in `low` is exempt; nothing is ever "
        "sold because carry rose.",
        default="hedge.carry.soft = 0.01; hedge.carry.hard = 0.02; hedge.carry.premium = 0.05",
        place="processors.hedge.carry",
        test="tests/unit/hedge/test_hedge_carry.py",
    ),
    Concept(
        19,
        "natural roll yield in contango",
        "fact",
        "What the holder of VX earns by the roll, as a log return a day: negative in contango, which a long hedge "
        "pays. It is charged to the carry budget and nowhere counted as income.",
        features=("slope", "roll_yield_daily", "roll_yield_annual"),
        inputs=("VX",),
        source="Cboe Futures Exchange rule book, Rules 1202 and 1203",
        default="252 days a year",
        place="processors.signals.curve",
        test="tests/unit/signals/test_signals_curve.py",
    ),
    Concept(
        20,
        "position sizing by the WACC",
        "reading",
        "H is scaled by 8.5 % over the portfolio's weighted cost of capital, within 0.5 and 1.5, once a month: "
        "costlier capital keeps less of it idle. Without the figures H is not scaled.",
        inputs=("portfolio",),
        default="hedge.wacc.reference = 0.085; hedge.wacc.least = 0.5; hedge.wacc.most = 1.5",
        place="processors.hedge.wacc",
        test="tests/unit/hedge/test_hedge_wacc.py",
    ),
    Concept(
        21,
        "minimize drag on IRR",
        "reading",
        "The money-weighted return of the portfolio without its hedge less that with it, where snapshots state what "
        "the hedge is worth and cost. Beyond 1 % a year Layer 1 is held at its floor in `low`.",
        default="hedge.drag.cap = 0.01",
        place="processors.hedge.irr",
        test="tests/unit/hedge/test_hedge_irr.py",
    ),
    Concept(
        22,
        "moderate or elevated states",
        "reading",
        "The two states between `low` and `high`. Layers 2 and 3 grow with them.",
        default="hedge.weights.moderate.L2 = 0.25; hedge.weights.elevated.L2 = 0.35",
        place="processors.hedge.weights",
        test="tests/unit/hedge/test_hedge_steps.py",
    ),
    Concept(
        23,
        "steepening VIX futures curve",
        "reading",
        "Bear steepening: over 5 sessions the front rises and the absolute distance to the back grows, the same "
        "contracts compared. Inversion is VX1 above VX2; it is a floor when that is switched on.",
        features=("bear_steepening", "inverted"),
        inputs=("VX",),
        default="regime.floors.elevated_inversion = false; 5 sessions",
        weights=("bear_steepening",),
        place="processors.signals.bear_steepening",
        test="tests/unit/signals/test_signals_term.py",
    ),
    Concept(
        24,
        "rising Interest Rate Differential",
        "reading",
        "The 2-year yield at home less that abroad; its change over 20 sessions in standard deviations of 252. Only "
        "a rising one counts. A yield older than 5 days is missing.",
        features=("rate_differential", "rate_differential_change", "rate_differential_z"),
        inputs=("US_2Y", "DE_2Y"),
        source="US Treasury, Bundesbank",
        default="regime.signals.rate_max_age_days = 5; 20 and 252 sessions",
        weights=("rate_differential",),
        place="processors.signals.rate_differential",
        test="tests/unit/signals/test_signals_rates.py",
    ),
    Concept(
        25,
        "divergence between P/E and P/CF",
        "reading",
        "The price cancels: it is the log of cash flow over earnings, in standard deviations of 60 figures. Either "
        "direction counts. Undefined for losses.",
        features=("cash_quality", "cash_quality_z"),
        inputs=("SPX_EPS_TTM", "SPX_CFPS_TTM"),
        source="index publisher, as reported",
        default="regime.modifier.half_life_monthly = 21; 60 figures, at least 24",
        weights=("cash_quality",),
        place="processors.signals.cash_quality",
        test="tests/unit/signals/test_signals_valuation.py",
    ),
    Concept(
        26,
        "Conversion (Options Arbitrage)",
        "fact",
        "Underlying and put bought, call sold, at one strike and expiry: neutral, without gamma or vega, and so "
        "never counted as convexity. The best edge of VIX options against VX at executable prices, after fees, is "
        "evidence; advice of it is not in this version.",
        features=("conversion_edge",),
        inputs=("VIX options", "VX quotes", "US_3M"),
        source="put-call parity",
        default="fees of 1 USD an option and 2 USD a future, a side",
        place="processors.sessions.parity",
        test="tests/unit/sessions/test_sessions_parity.py",
    ),
    Concept(
        27,
        "Reversal (Options Arbitrage)",
        "fact",
        "The conversion turned round: underlying and put sold, call bought. Both with an edge at once are stale "
        "quotes: the expiry is left out of the chain, and the regime says so. Advice of it is not in this version.",
        features=("reversal_edge",),
        inputs=("VIX options", "VX quotes", "US_3M"),
        source="put-call parity",
        default="fees of 1 USD an option and 2 USD a future, a side",
        place="processors.sessions.parity",
        test="tests/unit/sessions/test_sessions_parity.py",
    ),
    Concept(
        28,
        "capture convexity",
        "reading",
        "Convexity comes from the long calls out of the money of Layers 2 and 3; gamma and vega stand with every "
        "leg. In `high` no future is bought.",
        default="hedge.weights.elevated.L3 = 0.2",
        place="processors.hedge.structure",
        test="tests/unit/hedge/test_hedge_structure.py",
    ),
    Concept(
        29,
        "Second Engine / Private Leverage Layer",
        "reading",
        "A multiplier on Layers 2 and 3, lent out of the reserve in `moderate` and `elevated`: up to 1.25 for a "
        "promoter, never for a steward. It starts after two quick ratios from 1.2 on, stops below 1, and may lose 10 "
        "% of H in no scenario.",
        default="hedge.engine.most.promoter = 1.25; hedge.engine.on = 1.2; hedge.engine.off = 1; "
        "hedge.engine.loss_max = 0.1",
        place="processors.hedge.second_engine",
        test="tests/unit/hedge/test_hedge_second_engine.py",
    ),
    Concept(
        30,
        "Quick Ratio (Acid-Test Ratio) of market liquidity",
        "reading",
        "Free cash, half of the executable depth on the side to be hit, and margin to be received, against stress "
        "margin and premium due. Below 1 nothing is added; a book older than 5 seconds is missing.",
        features=("depth_bid_usd", "depth_ask_usd", "top_bid_usd", "top_ask_usd"),
        inputs=("VX depth", "VX quotes", "portfolio"),
        source="acid-test ratio of accounting, read for markets",
        default="hedge.quick_ratio_min = 1; half of the depth; 5 seconds",
        place="processors.signals.liquidity",
        test="tests/unit/signals/test_signals_liquidity.py",
    ),
    Concept(
        31,
        "prevents over-leveraging",
        "reading",
        "The gross weight of all layers is bounded, measured on what is aimed at.",
        default="hedge.gross_max = 1.25",
        place="processors.hedge.caps",
        test="tests/unit/hedge/test_hedge_caps.py",
    ),
    Concept(
        32,
        "The False Binary (Loyalty vs. Motion)",
        "reading",
        "A no-trade band around the aim; beyond it part of the gap is traded each session, and an excess below half "
        "a point of H is left. In the session that enters `high` all of the gap is.",
        source="Gârleanu and Pedersen (2013)",
        default="hedge.band = 0.025; hedge.step_min = 0.005; hedge.postures.steward.pace = 0.5",
        place="processors.hedge.band",
        test="tests/unit/hedge/test_hedge_steps.py",
    ),
    Concept(
        33,
        "Layer 1 (Base Defense): short-dated, 15–25% of total hedge notional in low-vol",
        "reading",
        "VX futures of 15 to 62 days in whole contracts. The band is hard in `low` and holds for the target, with H "
        "including the reserve.",
        inputs=("VX", "portfolio"),
        source="the methodology; the centre is a choice",
        default="hedge.l1_low = 0.15, 0.25; hedge.weights.low.L1 = 0.2",
        place="processors.hedge.tilt",
        test="tests/unit/hedge/test_hedge_steps.py",
    ),
    Concept(
        34,
        "MACD crossovers on the VIX index itself",
        "reading",
        "MACD(12, 26, 9) of VIX closes is a fact, its seed is a choice. A crossover tilts Layer 1 by 5 points of H, "
        "up when bullish, fading over 10 sessions; not before 120 closes.",
        features=(
            "macd",
            "macd_signal",
            "macd_hist",
            "macd_cross",
            "macd_acting",
            "macd_last_cross",
            "macd_sessions_since_cross",
        ),
        inputs=("VIX",),
        source="Appel",
        default="hedge.macd_tilt = 0.05; hedge.macd_decay = 10; 120 closes",
        place="processors.signals.macd",
        test="tests/unit/signals/test_signals_macd.py",
    ),
    Concept(
        35,
        "Layer 2 (Adaptive Pivot): intermediate VIX call spreads (3–6 months)",
        "reading",
        "Call spreads of 90 to 185 days on the VX future of their expiry: the long strike from 1.15 of it on, 10 "
        "points to the short one. A spread that is worth 80 % of the most it can be is closed.",
        default="hedge.windows.L2.dte_target = 110; hedge.pivot.k1 = 1.15; hedge.pivot.width = 10; "
        "hedge.spread_spent = 0.8",
        place="processors.hedge.l2",
        test="tests/unit/hedge/test_hedge_l2.py",
    ),
    Concept(
        36,
        "widen during rising Market Cap dispersion",
        "reading",
        "Spread of the members' returns around the index's, weighted by the capitalisation of the close before: "
        "20-session mean, its change, and standard deviations of 252. While it rises Layer 2's width grows by a "
        "quarter a standard deviation, up to three.",
        features=("dispersion", "dispersion_change", "dispersion_z", "dspx"),
        inputs=("cross-section", "DSPX"),
        source="Cboe S&P 500 Dispersion Index for the implied one",
        default="20 and 252 sessions; hedge.pivot.widen = 0.25; hedge.pivot.widen_max = 3",
        place="processors.signals.dispersion",
        test="tests/unit/signals/test_signals_dispersion.py",
    ),
    Concept(
        37,
        "Break-Even Point (Options)",
        "fact",
        "Lower strike plus debit and fees at expiry, against the VX future of the same expiry; before it, where the "
        "spread is worth its debit. Layer 2's strikes go down until it is at most a quarter above the future, and "
        "farther when growth is revised up.",
        default="hedge.pivot.m0 = 0.25; hedge.pivot.m1 = 0.05",
        place="processors.hedge.l2",
        test="tests/unit/hedge/test_hedge_l2.py",
    ),
    Concept(
        38,
        "Time Value (Extrinsic Value) decay",
        "fact",
        "Premium above the discounted intrinsic value, and what it loses in a calendar day. What all options lose in "
        "30 days at unchanged vols counts against the carry budget.",
        source="Black (1976)",
        default="hedge.carry.horizon_days = 30; hedge.pivot.theta_gdp = 0.25",
        place="processors.hedge.carry",
        test="tests/unit/hedge/test_hedge_carry.py",
    ),
    Concept(
        39,
        "expected GDP growth revisions",
        "reading",
        "Change of a growth figure for the same quarter: a nowcast against that of 20 sessions before, or a new "
        "vintage against the one before it, in standard deviations. Revisions down raise the score. A new quarter is "
        "no revision.",
        features=("gdp_revision", "nowcast_revision", "gdp_z"),
        inputs=("GDP", "GDPNOW"),
        source="Bureau of Economic Analysis, Federal Reserve Bank of Atlanta",
        default="20 sessions; last 16 vintages; regime.modifier.half_life_releases = 5",
        weights=("gdp",),
        place="processors.signals.gdp_revision",
        test="tests/unit/signals/test_signals_gdp.py",
    ),
    Concept(
        40,
        "Layer 3 (Convexity Engine): longer-dated OTM VIX call spreads",
        "reading",
        "Call spreads from 186 days on, strikes from 1.3 and 1.8 of the future on, weighed by 0.4 of their delta, "
        "for that far out a future moves less than VIX. A quarter of the weight while no trigger is on.",
        default="hedge.windows.L3.dte_target = 220; hedge.convexity.k1 = 1.3; hedge.convexity.k2 = 1.8; "
        "hedge.convexity.spot_beta = 0.4; hedge.l3_inactive = 0.25",
        place="processors.hedge.l3",
        test="tests/unit/hedge/test_hedge_l3.py",
    ),
    Concept(
        41,
        "tail-risk structures",
        "reading",
        "Calls of a month with a delta of 0.30, at most 30 % of Layer 3, while the beta trigger is on and the "
        "forward is one at which the VXTH schedule holds calls.",
        source="Cboe VIX Tail Hedge Index for comparison",
        default="hedge.convexity.tail_max = 0.3; hedge.convexity.tail_delta = 0.3",
        place="processors.hedge.l3",
        test="tests/unit/hedge/test_hedge_l3.py",
    ),
    Concept(
        42,
        "CAPM beta of the SPX portfolio exceeds 1.1",
        "reading",
        "Beta of the held equity portfolio against the SPX, as stated with each snapshot, else from its own excess "
        "returns with a half-life of 63 sessions. Strictly above 1.10 Layer 3 is on, below 1.05 it is off.",
        features=("rate_free", "spxtr"),
        inputs=("portfolio", "SPX", "SPXTR", "US_3M"),
        source="Sharpe (1964)",
        default="hedge.l3_beta_on = 1.1; hedge.l3_beta_off = 1.05; at least 126 sessions",
        place="processors.hedge.activation",
        test="tests/unit/hedge/test_hedge_steps.py",
    ),
    Concept(
        43,
        "Dividend Discount Model (DDM) valuations",
        "reading",
        "Gordon's price from trailing dividends, a fixed growth, and the long rate plus an equity premium; its gap "
        "to the index and the yield that it implies. Undefined, and so missing, when growth is not below the return "
        "asked for.",
        features=("ddm_gap", "ddm_implied_yield"),
        inputs=("SPX", "SPX_DPS_TTM", "US_10Y"),
        source="Gordon's growth model",
        default="regime.signals.dividend_growth = 0.045; regime.signals.equity_premium = 0.046",
        place="processors.signals.dividends",
        test="tests/unit/signals/test_signals_valuation.py",
    ),
    Concept(
        44,
        "diverge sharply from realized DRIP yields",
        "reading",
        "Log of the implied dividend yield less log of the yield that reinvested dividends realised over 252 "
        "sessions, in standard deviations of 60 months; at 2 it switches Layer 3 on, below 1.5 off.",
        features=("drip_yield", "ddm_drip_z", "ddm_drip_sharp"),
        inputs=("SPX", "SPXTR", "SPX_DPS_TTM", "US_10Y"),
        source="S&P total return index",
        default="regime.signals.divergence_on = 2; regime.signals.divergence_off = 1.5",
        place="processors.signals.dividends",
        test="tests/unit/signals/test_signals_valuation.py",
    ),
    Concept(
        45,
        "concepts from decentralized finance, on-chain signals from DeFi",
        "reading",
        "Fall of locked value in a day and deviation of a stablecoin from one dollar act as flags; traded volume and "
        "funding are evidence. Finalised blocks only. All on-chain parts together move 2 points at most.",
        features=("tvl_change_1d", "peg_bps", "dex_volume_usd", "funding_rate"),
        inputs=("locked value", "stablecoins", "DEX volume", "funding"),
        source="the chains themselves",
        default="regime.signals.tvl_fall = 0.05; regime.signals.peg_bps = 50; regime.modifier.chain_limit = 2",
        weights=("tvl", "peg"),
        place="processors.signals.chain",
        test="tests/unit/signals/test_signals_chain.py",
    ),
    Concept(
        46,
        "MEV analogs: optimizing the timing of hedge adjustments",
        "reading",
        "Placing trades that are not urgent around mechanical flow that everybody can foresee: with it before the "
        "last quarter of an hour, against it after the close. Entry into `high` never waits. No client's order is "
        "looked at.",
        source="Cheng and Madhavan (2009)",
        default="hedge.timing.flow_share = 0.05; hedge.timing.flow_minutes = 15; hedge.timing.blackout_minutes = 15",
        place="processors.hedge.timing",
        test="tests/unit/hedge/test_hedge_timing.py",
    ),
    Concept(
        47,
        "ETF rebalancing",
        "reading",
        "The notes' daily roll and the calendars of index rebalances and roll periods, from published rules and "
        "assets. What funds rebalance counts for nothing, since the day's return is not known before; flow moves the "
        "time of a trade and nothing else.",
        source="Cheng and Madhavan (2009)",
        place="processors.hedge.etp_flow",
        test="tests/unit/hedge/test_hedge_etp_flow.py",
    ),
    Concept(
        48,
        "REIT sector rotations",
        "reading",
        "Log of XLRE over SPY, its 20-session change in standard deviations of 252; a flag from 1.5 on. No score; "
        "while it is up nothing that can wait is traded in the quarter of an hour before the close.",
        features=("reit_z", "reit_rotation"),
        inputs=("XLRE", "SPY"),
        source="NYSE Arca; the threshold is a choice",
        default="20 and 252 sessions, 1.5",
        place="processors.signals.rotation",
        test="tests/unit/signals/test_signals_rotation.py",
    ),
    Concept(
        49,
        "In high-volatility regimes, we reduce reliance on static futures",
        "reading",
        "In `high` Layer 1 aims at 5 % of H and no future is bought into the spike; what is held is reduced by band "
        "and pace.",
        source="the methodology; the weight is a choice",
        default="hedge.weights.high.L1 = 0.05",
        place="processors.hedge.plan",
        test="tests/unit/hedge/test_hedge_plan.py",
    ),
    Concept(
        50,
        "Big Top \"Temporal Theta\" Cash Press",
        "reading",
        "A call credit spread, sold in `high` once VIX is below 0.9 of its high of five sessions, its MACD has "
        "turned down and it pays over realised volatility; weighed by its largest loss. Closed at half of the "
        "credit, at 21 days, or at a new high.",
        features=("implied_minus_realised",),
        inputs=("VIX", "SPX"),
        default="hedge.weights.high.TT = 0.25; hedge.theta.fall = 0.9; hedge.theta.short_delta = 0.4; "
        "hedge.theta.width = 5; hedge.theta.profit = 0.5; hedge.theta.exit_dte = 21; "
        "hedge.postures.steward.theta_max = 0.25",
        place="processors.hedge.theta",
        test="tests/unit/hedge/test_hedge_theta.py",
    ),
    Concept(
        51,
        "Steward vs. Promoter Distinction",
        "reading",
        "Two postures of pace and reserve, named by each portfolio and in every event. Neither loosens a hard limit.",
        inputs=("portfolio",),
        default="hedge.postures.steward.reserve_min = 0.25; hedge.postures.promoter.reserve_min = 0.1; "
        "hedge.postures.promoter.pace = 1",
        place="processors.hedge.caps",
        test="tests/unit/hedge/test_hedge_caps.py",
    ),
    Concept(
        52,
        "IPO (Initial Public Offering) activity as a sentiment proxy",
        "reading",
        "Offerings priced over 63 sessions, without blank-cheque companies, in standard deviations of five years. "
        "Many are froth and count in full, few a shut window and count by half.",
        features=("ipo_trailing", "ipo_z"),
        inputs=("ipo",),
        source="exchanges and EDGAR; the use of counts follows Baker and Wurgler",
        default="63 and 1260 sessions",
        weights=("ipo",),
        place="processors.signals.offerings",
        test="tests/unit/signals/test_signals_offerings.py",
    ),
    Concept(
        53,
        "IDO (Initial DEX Offering) activity",
        "reading",
        "Token launches over about 30 days, in standard deviations of a year.",
        features=("ido_trailing", "ido_z"),
        inputs=("ido",),
        source="launchpads",
        default="21 and 252 sessions",
        weights=("ido",),
        place="processors.signals.offerings",
        test="tests/unit/signals/test_signals_offerings.py",
    ),
    Concept(
        54,
        "DAO (Decentralized Autonomous Organization)",
        "reading",
        "Executed decisions of a session that take money out of a treasury or raise collateral: their number, as "
        "evidence. A proposal that was only created or passed is none.",
        features=("governance_stress",),
        inputs=("governance",),
        source="the chains themselves",
        place="processors.signals.onchain",
        test="tests/unit/signals/test_signals_catalogue.py",
    ),
    Concept(
        55,
        "AMM (Automated Market Maker) liquidity pools",
        "reading",
        "Dollars that move the price of a constant-product pool by one percent, the smaller of both sides, median of "
        "five blocks; in standard deviations of 30 sessions. Thin pools raise the score.",
        features=("amm_depth_usd", "amm_depth_z"),
        inputs=("pools",),
        source="constant-product formula x y = k",
        default="5 blocks, 30 sessions",
        weights=("amm_depth",),
        place="processors.signals.amm",
        test="tests/unit/signals/test_signals_amm.py",
    ),
    Concept(
        56,
        "HFT (High-Frequency Trading) flows",
        "reading",
        "What can be seen of them: order-flow imbalance of the front VX contract by the minute, quotes for each "
        "trade, depth at the best prices, and how the imbalance goes with the depth of pools. Evidence, no score.",
        features=("ofi", "quote_to_trade", "book_depth", "ofi_depth_correlation"),
        inputs=("VX quotes", "pools"),
        source="Cont, Kukanov and Stoikov",
        default="1 minute; 63 sessions for the correlation",
        place="processors.signals.order_flow",
        test="tests/unit/signals/test_signals_order_flow.py",
    ),
    Concept(
        57,
        "Multi-Signature (Multi-Sig) risk controls",
        "reading",
        "Each rebalance says how many approvals it needs, fewer for reductions, and the contract of a signed "
        "approval is laid down. Nothing checks signatures in this version and nothing is sent anywhere.",
        source="Ed25519, RFC 8032",
        default="hedge.approvals = 2; hedge.approvals_reduce = 1",
        place="processors.hedge.evaluate",
        test="tests/unit/hedge/test_hedge_plan.py",
    ),
    Concept(
        58,
        "no single layer can overwhelm the structure",
        "reading",
        "Caps on each layer, on its share of what is deployed, on Temporal Theta, and on its share of a loss under "
        "stress where the hedge loses more than 5 % of H. What a cap takes goes to the reserve, never to another "
        "layer.",
        default="hedge.layer_max = 0.4; hedge.deployed_share_max = 0.6; hedge.deployed_from = 0.5; "
        "hedge.stress.share_max = 0.5; hedge.stress.judged_from = 0.05",
        place="processors.hedge.caps",
        test="tests/unit/hedge/test_hedge_caps.py",
    ),
    Concept(
        59,
        "respect the portfolio's overall Market Capitalization exposure",
        "reading",
        "The hedge offsets at most half of beta times market value of the portfolio, by the kappa estimated from VX1 "
        "and the SPX, 4 before there is one. Holdings older than five days block adds.",
        inputs=("portfolio",),
        default="hedge.exposure_max = 0.5; hedge.vx_beta = 4; hedge.holdings_max_age_seconds = 432000",
        place="processors.hedge.sizing",
        test="tests/unit/hedge/test_hedge_steps.py",
    ),
    Concept(
        60,
        "avoid crossing critical Break-Even Point thresholds",
        "reading",
        "Distance of the future to a break-even in standard deviations, of sold spreads from the start, of bought "
        "ones once they are well beyond it. Below 0.5 there is an alert and the layer is not added to, until it is "
        "0.75 again.",
        default="hedge.break_even.alert = 0.5; hedge.break_even.clear = 0.75",
        place="processors.hedge.break_even",
        test="tests/unit/hedge/test_hedge_break_even.py",
    ),
    Concept(
        61,
        "Decentralized Exchange (DEX) implied volatility surfaces",
        "reading",
        "Model-free 30-day volatility of on-chain option quotes by the method of the VIX, and its spread to VIX in "
        "standard deviations of 90 sessions.",
        features=("dex_iv30", "dex_iv_spread", "dex_iv_spread_z"),
        inputs=("coin options", "VIX"),
        source="Cboe Volatility Index white paper; its use on chains is an adaptation",
        default="90 sessions; at least 5 strikes out of the money on each side; regime.modifier.chain_limit = 2",
        weights=("dex_iv_spread",),
        place="processors.pricing.variance",
        test="tests/unit/pricing/test_pricing_variance.py",
    ),
    Concept(
        62,
        "professional iron condor signals",
        "reading",
        "A product of the methodology's publisher, not of this software. As an instrument it could only be part of "
        "Temporal Theta, which sells call spreads alone.",
        place="processors.hedge.theta",
        test="tests/unit/hedge/test_hedge_theta.py",
    ),
    Concept(
        63,
        "educational purposes only",
        "fact",
        "Every regime and every rebalance carries `advisory: true`. No order is sent and no venue is connected.",
        place="topics.rebalance",
        test="tests/unit/signals/test_signals_catalogue.py",
    ),
)

#: What each feature needs, all of it; ``A|B``: either. A name of its own is a symbol, a series, or a kind of figure.
NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("vix", "vix_change", "vix_change5"), ("VIX",)),
    **dict.fromkeys(
        (
            "macd",
            "macd_signal",
            "macd_hist",
            "macd_cross",
            "macd_acting",
            "macd_last_cross",
            "macd_sessions_since_cross",
        ),
        ("VIX",),
    ),
    "vix3m": ("VIX3M",),
    **dict.fromkeys(("ratio", "ratio_change5"), ("VIX", "VIX3M")),
    **dict.fromkeys(("vvix", "vvix_change5"), ("VVIX",)),
    **dict.fromkeys(("skew", "skew_change5"), ("SKEW",)),
    "vix9d": ("VIX9D",),
    "vix6m": ("VIX6M",),
    "dspx": ("DSPX",),
    **dict.fromkeys(("spx", "rv21", "rsi14"), ("SPX",)),
    "implied_minus_realised": ("VIX", "SPX"),
    **dict.fromkeys(("vx1", "vx2", "cm30", "slope", "inverted", "roll_yield_daily", "roll_yield_annual"), ("VX",)),
    **dict.fromkeys(("curve_range", "bear_steepening", "compressed"), ("VX",)),
    "cpi_z": ("CPI_CORE_MOM",),
    "ppi_z": ("PPI_FD_MOM",),
    "fomc_z": ("FOMC_MINUTES",),
    **dict.fromkeys(("reer_change", "reer_z"), ("REER_US",)),
    "gdp_revision": ("GDP",),
    "nowcast_revision": ("GDPNOW",),
    "gdp_z": ("GDP|GDPNOW",),
    **dict.fromkeys(("cash_quality", "cash_quality_z"), ("SPX_EPS_TTM", "SPX_CFPS_TTM")),
    **dict.fromkeys(("rate_differential", "rate_differential_change", "rate_differential_z"), ("US_2Y", "DE_2Y")),
    "rate_free": ("US_3M",),
    "spxtr": ("SPXTR",),
    **dict.fromkeys(("ad_net_ratio", "ad_sum20", "ad_z"), ("ADVN", "DECN")),
    "ad_divergence": ("ADVN", "DECN", "SPX"),
    **dict.fromkeys(("reit_z", "reit_rotation"), ("XLRE", "SPY")),
    **dict.fromkeys(("dispersion", "dispersion_change", "dispersion_z"), ("cross-section",)),
    **dict.fromkeys(("ddm_gap", "ddm_implied_yield"), ("SPX", "SPX_DPS_TTM", "US_10Y")),
    "drip_yield": ("SPX", "SPXTR"),
    **dict.fromkeys(("ddm_drip_z", "ddm_drip_sharp"), ("SPX", "SPXTR", "SPX_DPS_TTM", "US_10Y")),
    "tvl_change_1d": ("locked value",),
    "peg_bps": ("stablecoins",),
    "dex_volume_usd": ("DEX volume",),
    "funding_rate": ("funding",),
    "governance_stress": ("governance",),
    **dict.fromkeys(("amm_depth_usd", "amm_depth_z"), ("pools",)),
    **dict.fromkeys(("ipo_trailing", "ipo_z"), ("ipo",)),
    **dict.fromkeys(("ido_trailing", "ido_z"), ("ido",)),
    **dict.fromkeys(("mfiv30", "skew25"), ("SPX options", "US_3M")),
    "vov30": ("VIX options", "US_3M"),
    **dict.fromkeys(("conversion_edge", "reversal_edge"), ("VIX options", "VX quotes", "US_3M")),
    "dex_iv30": ("coin options",),
    **dict.fromkeys(("dex_iv_spread", "dex_iv_spread_z"), ("coin options", "VIX")),
    **dict.fromkeys(("ofi", "quote_to_trade", "book_depth", "top_bid_usd", "top_ask_usd"), ("VX quotes",)),
    "ofi_depth_correlation": ("VX quotes", "pools"),
    **dict.fromkeys(("depth_bid_usd", "depth_ask_usd"), ("VX depth",)),
}

#: Features that are there only when something has happened, and the feature that says that it could have been seen.
EVENTS: Final[Mapping[str, str | None]] = {
    "macd_cross": "macd_signal",
    "macd_last_cross": "macd_signal",
    "macd_sessions_since_cross": "macd_signal",
    "governance_stress": None,
}
