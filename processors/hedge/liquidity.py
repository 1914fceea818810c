"""Whether the market can absorb the hedge: the quick ratio of a portfolio at an instant."""

from __future__ import annotations

from processors.signals.liquidity import QuickRatio, quick_ratio
from topics.message import feature_number
from topics.portfolio import Portfolio
from topics.regime import Regime


def portfolio_quick_ratio(regime: Regime, portfolio: Portfolio, exit_notional: float = 0.0) -> QuickRatio | None:
    """What is liquid against what falls due; None when a part of it is missing or the book is stale.

    Depth is that of the bid side, which a long hedge must hit to leave: as published for the top five levels, else what
    stands at the best bid of the front contract. ``exit_notional``: USD that the second engine would have to unwind.
    """
    depth = feature_number(regime.features, "depth_bid_usd")
    if depth is None:
        depth = feature_number(regime.features, "top_bid_usd")
    stress, due = portfolio.margin_req_stress, portfolio.premium_due
    if stress is None or due is None:
        return None
    return quick_ratio(portfolio.cash, depth, portfolio.receivable_vm, stress + due + exit_notional)
