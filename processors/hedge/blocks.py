"""Why adds are blocked. What is missing is never taken for zero, and nothing is bought on it."""

from __future__ import annotations

from collections.abc import Iterator

from processors.hedge.book import Book
from processors.hedge.openings import Openings
from processors.signals.liquidity import QuickRatio
from topics.calibration import HedgeRules
from topics.portfolio import Portfolio
from topics.regime import Regime
from topics.times import SECOND

#: Faults of VIX that leave the state without its main input. A last price that stands in for the official close is not
#: one of them: the state is decided from it and says so.
_BLIND = frozenset({"vix:missing", "vix:stale"})


def blocked(
    rules: HedgeRules,
    regime: Regime,
    portfolio: Portfolio,
    book: Book,
    openings: Openings,
    ratio: QuickRatio | None,
    urgent: bool,
) -> tuple[str, ...]:
    """Reasons that block adds, sorted; reductions stay possible under every one of them.

    ``ratio``: the portfolio's quick ratio; missing blocks nothing. ``urgent``: the state has just become `high`; no
    window around a release holds that up.

    ====================================  ==========================================================================
    ``regime:held``                       the state is held because VIX is missing or stale
    ``portfolio:beta``                    beta is missing: H cannot be sized
    ``portfolio:beta_not_positive``       H is 0: there is nothing to hedge
    ``portfolio:cash``                    free cash is negative
    ``portfolio:stale``                   reported holdings are older than ``holdings_max_age_seconds``
    ``curve:missing``                     there is no VX curve
    ``curve:no_contract_15_62``           no VX contract in Layer 1's window (days to expiry)
    ``price:SYMBOL``                      a holding has no price of its own
    ``freeze:SERIES``                     within the window around that scheduled release
    ``liquidity:quick_ratio``             less than ``quick_ratio_min`` is liquid of what falls due
    ====================================  ==========================================================================
    """
    return tuple(sorted(_reasons(rules, regime, portfolio, book, openings, ratio, urgent)))


def _reasons(
    rules: HedgeRules,
    regime: Regime,
    portfolio: Portfolio,
    book: Book,
    openings: Openings,
    ratio: QuickRatio | None,
    urgent: bool,
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
    elif "future" not in openings.found:
        window = rules.windows["L1"]
        yield f"curve:no_contract_{window.dte_min}_{'up' if window.dte_max is None else window.dte_max}"
    yield from (f"price:{symbol}" for symbol in book.unpriced)
    yield from (f"outside:{symbol}" for symbol in book.outside)
    if not urgent:
        yield from (f"freeze:{series}" for series in frozen(regime, max(regime.event_ts, portfolio.as_of)))
    if ratio is not None and ratio.value is not None and ratio.value < rules.quick_ratio_min:
        yield "liquidity:quick_ratio"


def frozen(regime: Regime, ts: int) -> frozenset[str]:
    """Series of the scheduled releases whose window is open at ``ts``, ns."""
    return frozenset(freeze.series_id for freeze in regime.freezes if freeze.from_ts <= ts <= freeze.until_ts)
