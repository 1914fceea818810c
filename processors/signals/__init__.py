"""Rolling statistics of a volatility market, and the panel that holds a market's set.

Pure: values in, values out. No clock, no I/O, no randomness.
"""

from processors.signals.bear_steepening import BearSteepening
from processors.signals.calendar import SessionCalendar
from processors.signals.change import SessionChange
from processors.signals.compression import Compression
from processors.signals.curve import VxCurve
from processors.signals.expiry import is_monthly, vx_expiries, vx_expiry
from processors.signals.inputs import SessionInputs
from processors.signals.macd import Cross, Macd, MacdValue
from processors.signals.panel import Panel, PanelParameters
from processors.signals.realised import RealisedVolatility
from processors.signals.rsi import Rsi
from processors.signals.signals import Signals
from processors.signals.statistic import Json, Statistic
from processors.signals.window import TrailingWindow

__all__ = [
    "BearSteepening",
    "Compression",
    "Cross",
    "Json",
    "Macd",
    "MacdValue",
    "Panel",
    "PanelParameters",
    "RealisedVolatility",
    "Rsi",
    "SessionCalendar",
    "SessionChange",
    "SessionInputs",
    "Signals",
    "Statistic",
    "TrailingWindow",
    "VxCurve",
    "is_monthly",
    "vx_expiries",
    "vx_expiry",
]
