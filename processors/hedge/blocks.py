"""Why adds are blocked. What is missing is never taken for zero, and nothing is bought on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from processors.hedge.book import Book
from processors.hedge.openings import Openings
from processors.hedge.weights import SLEEVES
from processors.signals.liquidity import QuickRatio
from topics.calibration import HedgeRules
from topics.hedge_rules import Sleeve
from topics.message import State
from topics.portfolio import Portfolio
from topics.regime import Regime
from topics.times import SECOND

#: Faults of VIX that leave the state without its main input. A last price that stands in for the official close is not
#: one of them: the state is decided from it and says so.
_BLIND = frozenset({"vix:missing", "vix:stale"})

#: The layers that deal in options, each with a slot of its own name.
_OPTIONS: Final[tuple[Literal["L2", "L3", "TT"], ...]] = ("L2", "L3", "TT")


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
    ``outside:SYMBOL``                    a holding that the plan has no place for
    ``freeze:SERIES``                     within the window around that scheduled release
    ``liquidity:quick_ratio``             less than ``quick_ratio_min`` is liquid of what falls due
    ====================================  ==========================================================================
    """
    own = _own(rules, regime, portfolio, book, ratio)
    return tuple(sorted({*market_blocks(rules, regime, openings, max(regime.event_ts, portfolio.as_of), urgent), *own}))


def market_blocks(rules: HedgeRules, regime: Regime, openings: Openings, ts: int, urgent: bool) -> tuple[str, ...]:
    """The reasons that hold for every portfolio of a market at ``ts``, ns, sorted."""
    return tuple(sorted(_market(rules, regime, openings, ts, urgent)))


def _market(rules: HedgeRules, regime: Regime, openings: Openings, ts: int, urgent: bool) -> Iterator[str]:
    if regime.held or _BLIND.intersection(regime.degraded):
        yield "regime:held"
    if not regime.curve:
        yield "curve:missing"
    elif "future" not in openings.found:
        window = rules.windows["L1"]
        yield f"curve:no_contract_{window.dte_min}_{'up' if window.dte_max is None else window.dte_max}"
    if not urgent:
        yield from (f"freeze:{series}" for series in frozen(regime, ts))


def _own(
    rules: HedgeRules, regime: Regime, portfolio: Portfolio, book: Book, ratio: QuickRatio | None
) -> Iterator[str]:
    if portfolio.beta is None:
        yield "portfolio:beta"
    elif portfolio.beta <= 0:
        yield "portfolio:beta_not_positive"
    if portfolio.cash is not None and portfolio.cash < 0:
        yield "portfolio:cash"
    if portfolio.fills == "reported" and regime.event_ts - portfolio.as_of > holdings_max_age(rules):
        yield "portfolio:stale"
    yield from (f"price:{symbol}" for symbol in book.unpriced)
    yield from (f"outside:{symbol}" for symbol in book.outside)
    if ratio is not None and ratio.value is not None and ratio.value < rules.quick_ratio_min:
        yield "liquidity:quick_ratio"


def holdings_max_age(rules: HedgeRules) -> int:
    """Age from which reported holdings are stale, ns."""
    return rules.holdings_max_age_seconds * SECOND


def shut_layers(openings: Openings, state: State, study: bool) -> dict[Sleeve, tuple[str, ...]]:
    """Why single layers are not added to, by layer; empty for those that are.

    ====================================  ==========================================================================
    ``state:high``                        Layer 1: in `high` the hedge is made of convexity, not of futures bought
                                          into the spike; those held are reduced
    ``chain:missing`` ``chain:stale``     there are no option quotes, or none that are new enough
    ``chain:modelled``                    option prices come from a model; a study deals on them
    other words                           why Temporal Theta's gate is shut, or nothing can be built from the quotes
    ====================================  ==========================================================================
    """
    shut: dict[Sleeve, tuple[str, ...]] = dict.fromkeys(SLEEVES, ())
    if state == "high":
        shut["L1"] = ("state:high",)
    for layer in _OPTIONS:
        reasons = [] if openings.quotes == "live" or study else [openings.quotes]
        if layer == "TT" and openings.theta_shut:
            reasons += openings.theta_shut
        elif layer in openings.refused and not reasons:
            reasons.append(openings.refused[layer])
        shut[layer] = tuple(reasons)
    return shut


def frozen(regime: Regime, ts: int) -> frozenset[str]:
    """Series of the scheduled releases whose window is open at ``ts``, ns."""
    return frozenset(freeze.series_id for freeze in regime.freezes if freeze.from_ts <= ts <= freeze.until_ts)
