"""From a regime and a portfolio to layer targets, contracts and limits. Pure: no clock, no log, no randomness."""

from processors.hedge.evaluate import Trigger, evaluate
from processors.hedge.memory import Memory
from processors.hedge.plan import Plan, plan
from processors.hedge.view import MarketView

__all__ = ["MarketView", "Memory", "Plan", "Trigger", "evaluate", "plan"]
