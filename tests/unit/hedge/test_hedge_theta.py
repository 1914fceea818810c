"""Temporal Theta: the gate, the spread, its exits; never naked, never into a rise."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hedge_support import EXPIRIES, RULES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from test_hedge_chain import NOW, RATE, expiry_of, message, quoted_chain, quoted_chains, wild_chains

from processors.hedge.chain import Chain, read_chain
from processors.hedge.structure import Structure, Unbuildable, payoff
from processors.hedge.theta import ThetaView, build_theta, exits, shut
from processors.pricing import Unavailable
from topics.hedge_rules import Costs, LayerWindow, ThetaRules
from topics.message import STATES

WINDOW = RULES.windows["TT"]
#: Days after a spike to 40: VIX 30, falling, above realised volatility.
OPEN = ThetaView("high", 30.0, (33.0, 40.0, 38.0, 35.0, 32.0), -0.5, 25.0)
SITE = ThetaRules(above_average=True, iv_premium_min=0.18, contango_min=0.12)
FULL = replace(OPEN, vix_mean200=18.0, iv_premium=0.2, contango=0.12)


# The gate


def test_the_gate_is_open_when_all_holds() -> None:
    assert shut(OPEN) == ()
    assert shut(FULL, SITE) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "elevated"}, "the state is elevated, not high"),
        ({"vix": 36.0}, "VIX 36 is not below 0.9 x its high of five sessions, 40"),  # 0.9 x 40, not strictly below
        ({"vix": 41.0}, "VIX 41 is not below"),
        ({"closes": (33.0, 32.0, 32.0, 32.0, 32.0)}, "VIX 30 is not below 0.9 x its high of five sessions, 33"),
        ({"closes": (40.0, 33.0, 33.0, 33.0, 33.0, 33.0)}, "of five sessions, 33"),  # the sixth last does not count
        ({"closes": (33.0, 40.0, 38.0, 35.0)}, "VIX or its high of five sessions is missing"),
        ({"vix": None}, "VIX or its high of five sessions is missing"),
        ({"macd_hist": 0.0}, "the MACD histogram of VIX is 0, not below 0"),
        ({"macd_hist": None}, "the MACD histogram of VIX is missing"),
        ({"rv21": 30.01}, "VIX 30 is below realised volatility 30.01"),
        ({"rv21": None}, "VIX or realised volatility is missing"),
    ],
)
def test_each_condition_shuts_it_alone_and_so_does_a_missing_figure(changes: dict[str, Any], words: str) -> None:
    reasons = shut(replace(OPEN, **changes))
    assert any(words in reason for reason in reasons), reasons
    assert len(reasons) == (2 if changes.get("vix", 0) is None else 1)


def test_a_difference_of_nothing_to_realised_volatility_is_enough() -> None:
    assert shut(replace(OPEN, rv21=30.0)) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vix_mean200": 30.0}, "not above its mean of 200 sessions"),
        ({"vix_mean200": None}, "mean of 200 sessions is missing"),
        ({"iv_premium": 0.179}, "realised volatility is 17.9%, below 18.0%"),
        ({"iv_premium": None}, "realised volatility is missing"),
        ({"contango": 0.119}, "contango is 11.9%, below 12.0%"),
        ({"contango": None}, "contango is missing"),
    ],
)
def test_the_optional_conditions_count_only_when_asked_for(changes: dict[str, Any], words: str) -> None:
    view = replace(FULL, **changes)
    assert shut(view) == ()
    (reason,) = shut(view, SITE)
    assert words in reason


numbers = st.none() | st.floats(5, 90)
views = st.builds(
    ThetaView,
    state=st.sampled_from(STATES),
    vix=numbers,
    closes=st.lists(st.floats(5, 90), max_size=7).map(tuple),
    macd_hist=st.none() | st.floats(-5, 5),
    rv21=numbers,
)


@given(st.one_of(views, views.map(lambda view: replace(view, state="high"))))
def test_it_is_open_only_in_high_below_the_peak_and_while_the_momentum_falls(view: ThetaView) -> None:
    if shut(view):
        return
    assert view.state == "high"
    assert view.vix is not None
    assert view.macd_hist is not None
    assert view.rv21 is not None
    assert len(view.closes) >= 5
    assert view.vix < 0.9 * max(view.closes[-5:])
    assert view.macd_hist < 0
    assert view.vix >= view.rv21
    # What opens the gate is never what closes a spread for a rise.
    assert exits(1.0, None, 40, view.vix, view.closes) == ()


# The spread


def _chain(calls: dict[float, tuple[float | None, float | None]]) -> Chain:
    """February, 43 days, on a forward of 20, with these calls and nothing else."""
    strikes = tuple(sorted(calls))
    made = expiry_of(
        EXPIRIES[1],
        strikes=strikes,
        forward=20.0,
        call_bid=tuple(calls[k][0] for k in strikes),
        call_ask=tuple(calls[k][1] for k in strikes),
        put_bid=(None,) * len(strikes),
        put_ask=(None,) * len(strikes),
    )
    return read_chain(message(made), NOW, RATE)


CALLS: dict[float, tuple[float | None, float | None]] = {
    20.0: (2.60, 2.75),
    22.0: (1.95, 2.05),
    23.0: (1.70, 1.80),
    27.5: (0.90, 1.00),
    30.0: (0.65, 0.75),
}


def test_the_spread_by_hand() -> None:
    found = build_theta(_chain(CALLS), WINDOW, OPEN)
    assert isinstance(found, Structure)
    # Forward deltas of 22, 23, 27.5 near 0.44, 0.39 and 0.24: sells 23, buys 27.5, the nearest to 28.
    # 1.70 received, 1.00 paid: credit 0.70; loss 4.50 - 0.70 + 0.02 = 3.82; break-even 23 + 0.68.
    assert [(leg.strike, leg.ratio) for leg in found.legs] == [(27.5, 1), (23.0, -1)]
    assert (found.credit, found.max_loss, found.max_gain, found.break_even) == (0.70, 3.82, 0.68, 23.68)
    assert (found.layer, found.kind, found.dte) == ("TT", "call_credit_spread", 43)
    assert found.notional < 0
    assert found.max_loss_usd == pytest.approx(382.0)
    assert found.reason == "sold after a spike: VIX 30 from 40, short 23 against long 27.5"


def test_a_shut_gate_builds_nothing_and_says_why() -> None:
    found = build_theta(_chain(CALLS), WINDOW, replace(OPEN, state="elevated", macd_hist=1.0))
    assert isinstance(found, Unbuildable)
    assert found.reason == "the state is elevated, not high; the MACD histogram of VIX is 1, not below 0"


def test_a_short_call_that_nothing_covers_is_unbuildable() -> None:
    only = _chain({23.0: (1.70, 1.80)})
    far = _chain({23.0: (1.70, 1.80), 40.0: (0.30, 0.40)})
    unquoted = _chain({23.0: (1.70, 1.80), 27.5: (None, 1.00), 30.0: (None, None)})
    for chain in (only, far, unquoted):
        assert isinstance(build_theta(chain, WINDOW, OPEN), Unbuildable)
    found = build_theta(far, WINDOW, OPEN)
    assert isinstance(found, Unbuildable)
    assert found.reason == "no call near 28 to cover the short 23 can be dealt on"


def test_a_credit_that_does_not_pay_for_the_risk_is_refused() -> None:
    # 1.70 - 1.25 = 0.45, less 0.02, on 4.50: under a tenth of it.
    calls = {23.0: (1.70, 1.80), 27.5: (1.15, 1.25)}
    found = build_theta(_chain(calls), WINDOW, OPEN)
    assert isinstance(found, Unbuildable)
    assert found.reason == "the credit 0.45 less fees 0.02 is below 0.45"
    assert isinstance(build_theta(_chain(calls), WINDOW, OPEN, costs=Costs(fee=0.0)), Structure)


def test_an_expiry_that_would_be_closed_at_once_is_not_opened() -> None:
    chain = quoted_chain()  # 15, 43 and more days
    for rules in (ThetaRules(exit_dte=43), ThetaRules(exit_dte=50)):
        found = build_theta(chain, WINDOW, OPEN, rules)
        assert isinstance(found, Unbuildable)
        assert found.reason.startswith("no expiry at")
    low = LayerWindow(dte_min=0, dte_max=45, dte_target=0)
    found = build_theta(quoted_chain(25.0, -0.3, 110.0), low, OPEN)
    assert isinstance(found, Structure)
    assert found.dte == 43


@given(st.one_of(quoted_chains, wild_chains()), st.floats(0.1, 0.6), st.floats(1, 20), st.floats(0, 0.3))
@settings(max_examples=150, deadline=None)
def test_whatever_the_market_it_is_never_naked_and_never_loses_more_than_width_less_credit(
    chain: Chain, delta: float, width: float, least: float
) -> None:
    rules = ThetaRules(short_delta=delta, width=width, credit_min=least)
    found = build_theta(chain, WINDOW, OPEN, rules)
    if isinstance(found, Unbuildable):
        assert found.reason
        return
    long, short = found.legs
    assert (long.ratio, short.ratio) == (1, -1)
    assert long.right == short.right == "C"
    assert long.symbol.split("/")[1] == short.symbol.split("/")[1]
    assert found.forward < short.strike < long.strike <= short.strike + 2 * width + 1e-9
    assert found.credit - found.fees >= least * (long.strike - short.strike) - 1e-9
    assert found.credit > 0
    assert found.max_loss == pytest.approx(long.strike - short.strike - found.credit + found.fees)
    settlements = np.linspace(0, 1_000, 5_001)
    assert (payoff(found.legs, settlements) + found.credit - found.fees).min() >= -found.max_loss - 1e-9
    assert 22 <= found.dte <= 45
    quotes = chain.on(found.expiry)
    assert not isinstance(quotes, Unavailable)

    def away(k: float) -> float:
        s = (quotes.vol(k) or 0.0) * math.sqrt(quotes.t)
        return abs(float(norm.cdf(math.log(quotes.forward / k) / s + s / 2)) - delta)

    outside = [k for k in quotes.open_calls() if k > quotes.forward]
    assert all(away(short.strike) <= away(k) + 1e-9 for k in outside[:-1])


# Exits


@pytest.mark.parametrize(
    ("cost", "dte", "vix", "reasons"),
    [
        (0.60, 40, 30.0, ()),
        (0.36, 40, 30.0, ()),
        (0.35, 40, 30.0, ("profit",)),  # half of 0.70
        (0.01, 40, 30.0, ("profit",)),
        (0.60, 22, 30.0, ()),
        (0.60, 21, 30.0, ("time",)),
        (0.60, 1, 30.0, ("time",)),
        (0.60, 40, 40.0, ()),  # at the high is no new high
        (0.60, 40, 40.01, ("rise",)),
        (0.35, 21, 41.0, ("profit", "time", "rise")),
        (None, 40, None, ()),
        (None, 21, None, ("time",)),
    ],
)
def test_a_spread_is_closed_for_profit_for_time_or_for_a_rise(
    cost: float | None, dte: int, vix: float | None, reasons: tuple[str, ...]
) -> None:
    found = exits(0.70, cost, dte, vix, OPEN.closes)
    assert tuple(reason.split(":")[0] for reason in found) == reasons


def test_a_high_of_five_sessions_needs_five() -> None:
    assert exits(0.70, 0.60, 40, 90.0, OPEN.closes[-4:]) == ()
    assert exits(0.70, 0.60, 40, 35.5, (40.0, 35.0, 34.0, 33.0, 32.0, 31.0)) == (
        "rise: VIX 35.5 is a new high of five sessions",
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_figures_and_rules_that_are_no_numbers_are_refused(bad: float) -> None:
    for name in ("vix", "macd_hist", "rv21", "vix_mean200", "iv_premium", "contango"):
        with pytest.raises(ValueError, match=name):
            replace(OPEN, **{name: bad})
    with pytest.raises(ValueError, match="closes"):
        replace(OPEN, closes=(bad,))
    good: dict[str, Any] = {"credit": 0.7, "cost": 0.6, "dte": 40, "vix": 30.0, "closes": OPEN.closes}
    for name in ("credit", "cost", "vix"):
        with pytest.raises(ValueError, match=name):
            exits(**(good | {name: bad}))
    with pytest.raises(ValueError, match="closes"):
        exits(**(good | {"closes": (bad,)}))
    for name in ("fall", "short_delta", "profit", "width", "credit_min", "iv_premium_min", "contango_min"):
        with pytest.raises(ValueError, match=rf"{name}\s+Value error, expected a finite number"):
            ThetaRules(**{name: bad})
