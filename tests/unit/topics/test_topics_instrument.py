"""The grammar of instruments."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics.instrument import (
    BREADTH,
    ETPS,
    FUTURES,
    INDICES,
    OPTION_ROOTS,
    PLAUSIBLE,
    SHARES,
    VOLATILITY_INDICES,
    future_symbol,
    parse_symbol,
)

ALONE = sorted(VOLATILITY_INDICES | INDICES | BREADTH | ETPS | SHARES)
days = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@pytest.mark.parametrize("root", ALONE)
def test_a_root_alone(root: str) -> None:
    found = parse_symbol(root)
    assert (found.root, found.expiry, found.right, found.strike) == (root, None, None, None)
    low, high = found.plausible
    assert 0 <= low < high


@given(st.sampled_from(sorted(FUTURES)), days)
def test_a_future_has_its_settlement_date(root: str, expiry: date) -> None:
    found = parse_symbol(future_symbol(root, expiry))
    assert (found.kind, found.root, found.expiry) == ("future", root, expiry)


@given(st.sampled_from(sorted(OPTION_ROOTS)), days, st.sampled_from("CP"), st.integers(1, 999_999))
def test_an_option_has_expiry_right_and_strike(root: str, expiry: date, right: str, strike: int) -> None:
    found = parse_symbol(f"{root}/{expiry}/{right}/{strike}")
    assert (found.kind, found.expiry, found.right, found.strike) == ("option", expiry, right, float(strike))
    assert found.plausible == PLAUSIBLE["option"]


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        ("", "is none of ROOT"),
        ("vix", "is none of ROOT"),
        ("VIX ", "is none of ROOT"),
        ("VX/2018-3-21", "is none of ROOT"),
        ("VX/2018-03-21/C", "is none of ROOT"),
        ("VIX/2018-03-21/X/20", "is none of ROOT"),
        ("VIX/2018-03-21/C/20.12345", "is none of ROOT"),
        ("VIX/2018-03-21/C/-20", "is none of ROOT"),
        ("VIX/2018-03-21/C/2e1", "is none of ROOT"),
        ("VIX/2018-03-21/C/20/5", "is none of ROOT"),
        ("VX/٢018-03-21", "is none of ROOT"),
        ("VX/2018-02-30", "is no date"),
        ("VX/0000-01-01", "is no date"),
        ("VIX/2018-03-21", "no known future"),
        ("SPX/2018-03-21", "known are BTC, ES, ETH, VX, VXM"),
        ("GLD/2018-03-16/C/120", "no options on GLD"),
        ("VIX/2018-03-21/C/0", "greater than zero"),
        ("VX", "carries its expiry"),
        ("NOPE", "is unknown"),
    ],
)
def test_anything_else_says_what_is_allowed(symbol: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_symbol(symbol)


@given(st.text(max_size=45))
def test_any_text_is_an_instrument_or_a_value_error(symbol: str) -> None:
    try:
        found = parse_symbol(symbol)
    except ValueError:
        return
    assert found.symbol == symbol
