"""Why adds are blocked. What is missing is never taken for zero, and nothing is bought on it."""

from __future__ import annotations

from collections.abc import Iterator

from processors.hedge.book import Book, Contract
from topics.calibration import HedgeRules
from topics.portfolio import Portfolio
from topics.regime import Regime
from topics.times import SECOND

#: Faults of VIX that leave the state without its main input. A last price that stands in for the official close is not
#: one of them: the state is decided from it and says so.
_BLIND = frozenset({"vix:missing", "vix:stale"})


def blocked(
    rules: HedgeRules, regime: Regime, portfolio: Portfolio, book: Book, opening: Contract | None
) -> tuple[str, ...]:
    """Reasons that block adds, sorted; reductions stay possible under every one of them.

    ====================================  ==========================================================================
    ``regime:held``                       the state is held because VIX is missing or stale
    ``portfolio:beta``                    beta is missing: H cannot be sized
    ``portfolio:beta_not_positive``       H is 0: there is nothing to hedge
    ``portfolio:cash``                    free cash is negative
    ``portfolio:stale``                   reported holdings are older than ``holdings_max_age_seconds``
    ``curve:missing``                     there is no VX curve
    ``curve:no_contract_15_62``           no VX contract in Layer 1's window (days to expiry)
    ``price:SYMBOL``                      a holding has no price of its own
    ====================================  ==========================================================================
    """
    return tuple(sorted(_reasons(rules, regime, portfolio, book, opening)))


def _reasons(
    rules: HedgeRules, regime: Regime, portfolio: Portfolio, book: Book, opening: Contract | None
) -> Iterator[str]:
    if regime.held or _BLIND.intersection(regime.degraded):
        yield "regime:held"
    if portfolio.beta is None:
        yield "portfolio:beta"
    elif portfolio.beta <= 0:
        yield "portfolio:beta_not_positive"
    if portfolio.cash is not None and portfolio.cash < 0:
        yield "portfolio:cash"
    age = regime.event_ts - portfolio.as_of
    if portfolio.fills == "reported" and age > rules.holdings_max_age_seconds * SECOND:
        yield "portfolio:stale"
    if not regime.curve:
        yield "curve:missing"
    elif opening is None:
        window = rules.windows["L1"]
        yield f"curve:no_contract_{window.dte_min}_{'up' if window.dte_max is None else window.dte_max}"
    yield from (f"price:{symbol}" for symbol in book.unpriced)
