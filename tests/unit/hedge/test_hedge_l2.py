"""Layer 2: strikes, width by dispersion, break-even by growth."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hedge_support import EXPIRIES, RULES
from hypothesis import given, settings
from hypothesis import strategies as st
from test_hedge_chain import NOW, RATE, expiry_of, message, quoted_chain, quoted_chains, wild_chains

from processors.hedge.chain import Chain, read_chain
from processors.hedge.l2 import break_even_limit, build_l2, spread_width, theta_scale
from processors.hedge.structure import Structure, Unbuildable
from topics.hedge_rules import Costs, PivotRules

WINDOW = RULES.windows["L2"]
RULE = PivotRules()
zs = st.none() | st.floats(-5, 5)


def _chain(calls: dict[float, tuple[float | None, float | None]], forward: float = 20.0) -> Chain:
    """April, 106 days, with these calls and nothing else."""
    strikes = tuple(sorted(calls))
    made = expiry_of(
        strikes=strikes,
        forward=forward,
        call_bid=tuple(calls[k][0] for k in strikes),
        call_ask=tuple(calls[k][1] for k in strikes),
        put_bid=(None,) * len(strikes),
        put_ask=(None,) * len(strikes),
    )
    return read_chain(message(made), NOW, RATE)


#: On a forward of 20: 1.15 F = 23. Quotes of a smooth strip.
CALLS: dict[float, tuple[float | None, float | None]] = {
    20.0: (3.10, 3.30),
    21.0: (2.75, 2.90),
    22.0: (2.45, 2.60),
    23.0: (2.20, 2.35),
    24.0: (1.95, 2.10),
    30.0: (1.05, 1.15),
    32.5: (0.85, 0.95),
    35.0: (0.70, 0.80),
    37.5: (0.60, 0.70),
    40.0: (0.50, 0.60),
    42.5: (0.45, 0.50),
}


def _strikes(found: Structure | Unbuildable) -> tuple[float, float]:
    assert isinstance(found, Structure), found
    return found.legs[0].strike, found.legs[1].strike


def _without(*strikes: float) -> Chain:
    return _chain({k: (None, None) if k in strikes else q for k, q in CALLS.items()})


def test_a_quiet_market_by_hand() -> None:
    found = build_l2(_chain(CALLS), WINDOW)
    # 1.15 x 20 = 23, though 1.15 * 20 is 22.999... in binary. 23 + 10 = 33: of 32.5 and 35 the first is nearer.
    assert _strikes(found) == (23.0, 32.5)
    assert isinstance(found, Structure)
    # 2.35 paid, 0.85 received: 1.50, and 0.02 of fees; 24.52 is below 20 x 1.25 = 25.
    assert (found.debit, found.max_loss, found.break_even) == (1.50, 1.52, 24.52)
    assert (found.layer, found.kind, found.dte) == ("L2", "call_spread", 106)
    assert found.reason == "long 23 from 1.15 x 20 = 23, width 9.5 from 10, break-even at most 25"


@pytest.mark.parametrize(
    ("z", "change", "width"),
    [
        (None, 1.0, 10.0),
        (2.0, None, 10.0),
        (2.0, 0.0, 10.0),
        (2.0, -0.1, 10.0),
        (-1.0, 0.1, 10.0),
        (0.0, 0.1, 10.0),
        (1.0, 0.1, 12.5),
        (3.0, 0.1, 17.5),
        (9.0, 0.1, 17.5),
    ],
)
def test_the_spread_widens_while_dispersion_rises(z: float | None, change: float | None, width: float) -> None:
    assert spread_width(RULE, z, change) == width


def test_a_dispersing_market_sells_a_higher_strike() -> None:
    chain = _chain(CALLS)
    assert _strikes(build_l2(chain, WINDOW, 1.0, 0.1)) == (23.0, 35.0)  # 35.5 wanted
    # 40.5 wanted. The widest allowed from 23 is 40.5, so 42.5 is none, however near.
    assert _strikes(build_l2(chain, WINDOW, 3.0, 0.1)) == (23.0, 40.0)
    # 8.75 is half of 17.5: 32.5 will do, 30 is too near.
    assert _strikes(build_l2(_without(35.0, 37.5, 40.0), WINDOW, 3.0, 0.1, gdp_z=2.0)) == (23.0, 32.5)
    near = build_l2(_without(32.5, 35.0, 37.5, 40.0, 42.5), WINDOW, 3.0, 0.1, gdp_z=2.0)
    assert isinstance(near, Structure)
    assert _strikes(near) == (21.0, 30.0)


def test_growth_revised_down_brings_the_long_strike_down() -> None:
    chain = _chain(CALLS)
    # At z = -1 the limit is 20 x 1.20 = 24: 23 breaks even at 24.52. 22/32.5 costs 2.60 - 0.85 + 0.02: 23.77.
    found = build_l2(chain, WINDOW, gdp_z=-1.0)
    assert _strikes(found) == (22.0, 32.5)
    assert isinstance(found, Structure)
    assert found.break_even == 23.77
    # At z = -2, and beyond, 23: 20/30 costs 3.30 - 1.05 + 0.02 and breaks even at 22.27, but 21 at 2.90 - 1.05 + 0.02
    # already does at 22.87.
    assert _strikes(build_l2(chain, WINDOW, gdp_z=-2.0)) == (21.0, 30.0)
    assert _strikes(build_l2(chain, WINDOW, gdp_z=-9.0)) == (21.0, 30.0)
    low = build_l2(chain, WINDOW, rules=PivotRules(m0=0.05))
    assert isinstance(low, Unbuildable)
    assert low.reason == "the spread 20/30 breaks even at 22.27, beyond 21"


def test_the_limit_and_the_theta_budget_move_with_growth() -> None:
    assert break_even_limit(RULE, 20.0, None) == 25.0
    assert break_even_limit(RULE, 20.0, 1.0) == pytest.approx(26.0)
    assert break_even_limit(RULE, 20.0, 9.0) == pytest.approx(27.0)
    assert [theta_scale(RULE, z) for z in (None, 0.0, 1.0, -1.0, -2.0, -7.0, 7.0)] == [1, 1, 0.75, 1.25, 1.5, 1.5, 0.5]


def test_a_strike_that_cannot_be_dealt_on_is_passed_over() -> None:
    assert _strikes(build_l2(_without(23.0), WINDOW, gdp_z=2.0)) == (24.0, 35.0)
    assert _strikes(build_l2(_without(32.5), WINDOW)) == (23.0, 35.0)


def test_a_break_even_at_or_beyond_the_short_strike_is_refused() -> None:
    # 23 at 7.40 on the tick, 28 at 2.40: 5.00 on five points of width.
    found = build_l2(_chain({23.0: (6.70, 7.35), 28.0: (2.40, 2.60)}), WINDOW)
    assert isinstance(found, Unbuildable)
    assert "cannot gain" in found.reason


def test_quotes_that_give_the_spread_away_are_stale() -> None:
    found = build_l2(_chain({23.0: (2.20, 2.35), 32.5: (2.35, 2.45)}), WINDOW, costs=Costs(fee=10.0))
    assert isinstance(found, Unbuildable)
    assert found.reason == "the spread 23/32.5 costs 0: at least one quote is stale"


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        (_chain(CALLS, forward=40.0), "no call at or above 46"),
        (_without(30.0, 32.5, 35.0, 37.5, 40.0, 42.5), "no call to sell near 30"),
        (read_chain(message(expiry_of(EXPIRIES[2])), NOW, RATE), "no expiry at 90 to 185 days"),
    ],
)
def test_what_cannot_be_built_says_why(chain: Chain, words: str) -> None:
    found = build_l2(chain, WINDOW)
    assert isinstance(found, Unbuildable)
    assert words in found.reason


def test_a_modelled_chain_gives_a_structure_that_is_not_executable() -> None:
    found = build_l2(quoted_chain(source="model"), WINDOW)
    assert isinstance(found, Structure)
    assert not found.executable
    assert found.source == "model"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_figures_and_rules_that_are_no_numbers_are_refused(bad: float) -> None:
    chain = _chain(CALLS)
    more: list[dict[str, Any]] = [{"dispersion_z": bad}, {"dispersion_change": bad}, {"gdp_z": bad}]
    for arguments in more:
        with pytest.raises(ValueError, match=next(iter(arguments))):
            build_l2(chain, WINDOW, **arguments)
    for name in ("k1", "width", "widen", "m0", "m1"):
        with pytest.raises(ValueError, match=rf"{name}\s+Value error, expected a finite number"):
            PivotRules(**{name: bad})
    with pytest.raises(ValueError, match=r"k1_least must be at most k1, got 1\.2 and 1\.15"):
        PivotRules(k1_least=1.2)
    for name, value in (("k1_least", 0.0), ("width", 0.0), ("widen_max", -0.1), ("theta_gdp", -0.1)):
        with pytest.raises(ValueError, match=rf"{name}\s+Input should be greater than"):
            PivotRules(**{name: value})


@given(st.one_of(quoted_chains, wild_chains()), zs, zs, zs)
@settings(max_examples=250, deadline=None)
def test_whatever_the_market_the_spread_keeps_its_rules(
    chain: Chain, z: float | None, change: float | None, gdp: float | None
) -> None:
    found = build_l2(chain, WINDOW, z, change, gdp)
    if isinstance(found, Unbuildable):
        assert found.reason
        return
    k1, k2 = _strikes(found)
    forward = found.forward
    quotes = chain.nearest(WINDOW)
    strikes = quotes.open_calls()  # type: ignore[union-attr]
    assert 90 <= found.dte <= 185
    assert forward - 1e-9 <= k1 < k2 <= k1 + 17.5 + 1e-9
    limit = forward * (1.25 + 0.05 * min(max(gdp or 0.0, -2.0), 2.0))
    assert found.break_even <= limit + 1e-8
    assert k1 < found.break_even < k2
    assert found.debit > 0
    assert found.max_loss == pytest.approx(found.debit + 0.02)
    # No other short strike within reach is nearer to the width.
    width = 10 * (1 + 0.25 * min(max(z or 0.0, 0.0), 3.0)) if change is not None and change > 0 else 10
    assert all(abs(k - k1 - width) >= abs(k2 - k1 - width) for k in strikes if k1 + width / 2 <= k <= k1 + 17.5)
    assert k2 - k1 >= width / 2 - 1e-9
    # A long strike at or above 1.15 F is the first there.
    wanted = [k for k in strikes if k >= 1.15 * forward - 1e-9]
    assert k1 <= wanted[0]
