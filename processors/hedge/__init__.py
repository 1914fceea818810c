"""From a market and a portfolio to layer targets, contracts and limits. Pure: no clock, no log, no randomness."""

from processors.hedge.evaluate import Trigger, evaluate, opened
from processors.hedge.market_state import MarketState
from processors.hedge.memory import Memory
from processors.hedge.openings import Openings, open_market
from processors.hedge.plan import Plan, plan
from processors.hedge.view import MarketView

__all__ = [
    "MarketState",
    "MarketView",
    "Memory",
    "Openings",
    "Plan",
    "Trigger",
    "evaluate",
    "open_market",
    "opened",
    "plan",
]
