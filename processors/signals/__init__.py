"""Rolling statistics of a volatility market, and the panel that holds a market's set.

Pure: values in, values out. No clock, no I/O, no randomness.
"""

from processors.signals.acting import Acting
from processors.signals.amm import BlockMedian, amount_out, one_percent_depth, slippage, spot_price
from processors.signals.bear_steepening import BearSteepening
from processors.signals.beta import Beta, BetaValue, ExcessReturns
from processors.signals.breadth import AdvanceDecline, Breadth, BreadthValue
from processors.signals.calendar import SessionCalendar
from processors.signals.cash_quality import CashQuality, Fundamentals
from processors.signals.chain import Correlation, DayChange, peg_deviation_bps
from processors.signals.change import SessionChange
from processors.signals.compression import Compression
from processors.signals.curve import VxCurve
from processors.signals.dispersion import Dispersion, concentration, daily_dispersion
from processors.signals.dividends import (
    DividendDivergence,
    DividendYields,
    DripYield,
    TotalReturn,
    dividend_gap,
    gordon_price,
    two_stage_price,
)
from processors.signals.expiry import is_monthly, vx_expiries, vx_expiry
from processors.signals.gdp_revision import GrowthFigure, NowcastRevision, Vintage, VintageRevision
from processors.signals.inputs import SessionInputs
from processors.signals.liquidity import QuickRatio, QuickRatioGate, quick_ratio, top_depth_usd
from processors.signals.macd import Cross, Macd, MacdValue
from processors.signals.offerings import OfferingCount
from processors.signals.order_flow import OrderFlow, OrderFlowValue
from processors.signals.panel import Panel, PanelParameters
from processors.signals.rate_differential import RateDifferential
from processors.signals.realised import RealisedVolatility
from processors.signals.reer import MonthlyFigure, ReerChange
from processors.signals.rotation import Rotation, SectorPair
from processors.signals.rsi import Rsi
from processors.signals.secondary import Secondary, SecondaryPanel
from processors.signals.signals import Signals
from processors.signals.statistic import Json, Statistic
from processors.signals.surface import Strip
from processors.signals.surprise import Surprise
from processors.signals.window import TrailingWindow
from processors.signals.zscore import TrailingZ

__all__ = [
    "Acting",
    "AdvanceDecline",
    "BearSteepening",
    "Beta",
    "BetaValue",
    "BlockMedian",
    "Breadth",
    "BreadthValue",
    "CashQuality",
    "Compression",
    "Correlation",
    "Cross",
    "DayChange",
    "Dispersion",
    "DividendDivergence",
    "DividendYields",
    "DripYield",
    "ExcessReturns",
    "Fundamentals",
    "GrowthFigure",
    "Json",
    "Macd",
    "MacdValue",
    "MonthlyFigure",
    "NowcastRevision",
    "OfferingCount",
    "OrderFlow",
    "OrderFlowValue",
    "Panel",
    "PanelParameters",
    "QuickRatio",
    "QuickRatioGate",
    "RateDifferential",
    "RealisedVolatility",
    "ReerChange",
    "Rotation",
    "Rsi",
    "Secondary",
    "SecondaryPanel",
    "SectorPair",
    "SessionCalendar",
    "SessionChange",
    "SessionInputs",
    "Signals",
    "Statistic",
    "Strip",
    "Surprise",
    "TotalReturn",
    "TrailingWindow",
    "TrailingZ",
    "Vintage",
    "VintageRevision",
    "VxCurve",
    "amount_out",
    "concentration",
    "daily_dispersion",
    "dividend_gap",
    "gordon_price",
    "is_monthly",
    "one_percent_depth",
    "peg_deviation_bps",
    "quick_ratio",
    "slippage",
    "spot_price",
    "top_depth_usd",
    "two_stage_price",
    "vx_expiries",
    "vx_expiry",
]
