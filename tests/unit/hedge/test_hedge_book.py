"""The hedge book in lots: pairs, layers, what has to go, what is rolled, and what nothing can value."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hedge_chains import opened_in, quoted, view
from hedge_support import EXPIRIES, FEB_5, FEB_5_CURVE, JAN_2, RULES, regime
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm  # type: ignore[import-untyped]

from processors.hedge import MarketView, Openings
from processors.hedge.book import Book, ExitView, Lot, read_book
from processors.pricing import CALL, Unavailable
from topics.message import Layer
from topics.portfolio import Position
from topics.regime import FundFigure

#: A flat curve at 20 and quotes of every monthly expiry; the forward of each is 20.
MARKET = quoted("low")
OPENINGS = opened_in(MARKET)
JAN, FEB, MAR, APR, MAY, JUN, JUL, AUG = EXPIRIES[:8]


def _call(expiry: date, strike: float) -> str:
    return f"VIX/{expiry}/C/{strike:g}"


def _at(symbol: str, quantity: float, layer: Layer | None = None, price: float | None = None) -> Position:
    return Position(symbol=symbol, quantity=quantity, layer=layer, price=price)


def _read(
    *positions: Position,
    openings: Openings = OPENINGS,
    day: date = JAN_2,
    vix: float | None = None,
    closes: tuple[float, ...] = (),
) -> Book:
    return read_book(RULES, positions, openings, day, ExitView(vix, closes))


def _mid(expiry: date, strike: float, openings: Openings = OPENINGS) -> float:
    assert openings.chain is not None
    quotes = openings.chain.on(expiry)
    assert not isinstance(quotes, Unavailable)
    bid, ask = quotes.quote(CALL, strike)
    assert bid is not None
    assert ask is not None
    return 0.5 * (bid + ask)


def _notional(expiry: date, *ratios: tuple[int, float]) -> float:
    """100 x forward x delta, with the delta of Black-76 taken from the quotes' vols."""
    assert OPENINGS.chain is not None
    quotes = OPENINGS.chain.on(expiry)
    assert not isinstance(quotes, Unavailable)
    total = 0.0
    for ratio, strike in ratios:
        vol = quotes.vol(strike)
        assert vol is not None
        d1 = (np.log(20.0 / strike) + 0.5 * vol**2 * quotes.t) / (vol * np.sqrt(quotes.t))
        total += ratio * float(norm.cdf(d1))
    return 100.0 * 20.0 * total


def _one(book: Book) -> Lot:
    (lot,) = (lot for lots in book.layers.values() for lot in lots)
    return lot


# Futures and notes


def test_a_future_is_its_notional_and_is_rolled_below_three_weeks() -> None:
    lot = _one(_read(_at(f"VX/{FEB}", 3)))
    assert (lot.layer, lot.kind, lot.units, lot.unit, lot.dte) == ("L1", "future", 3, 20_000.0, 43)
    assert (lot.close, lot.roll, lot.weight) == ("", False, 60_000.0)
    assert _one(_read(_at(f"VXM/{FEB}", 30))).weight == pytest.approx(60_000.0)
    for day, roll in ((FEB - timedelta(days=21), False), (FEB - timedelta(days=20), True)):
        assert _one(_read(_at(f"VX/{FEB}", 3), day=day)).roll is roll
    # Mini and full, named or not: all are Layer 1's, and the same symbol is one lot.
    book = _read(_at(f"VX/{FEB}", 1), _at(f"VX/{FEB}", 2, "L1"), _at(f"VX/{MAR}", 1, "L2"))
    assert [(lot.name, lot.units) for lot in book.layers["L1"]] == [(f"VX/{FEB}", 3), (f"VX/{MAR}", 1)]
    assert _read(_at(f"VX/{FEB}", 2), _at(f"VX/{FEB}", -2, "L1")).layers == {}


def test_what_has_settled_is_no_longer_held() -> None:
    book = _read(_at(f"VX/{FEB}", 4), _at(_call(FEB, 20), 4), _at(f"VX/{MAR}", 2), day=FEB)
    assert [lot.name for lot in book.layers["L1"]] == [f"VX/{MAR}"]
    assert set(book.layers) == {"L1"}
    assert book.valued
    assert book.unpriced == ()


def test_a_short_future_has_to_go() -> None:
    book = _read(_at(f"VX/{FEB}", -3))
    assert _one(book).close == "short"
    assert (book.weight("L1"), book.long("L1")) == (-60_000.0, 0.0)


def test_a_missing_price_is_stood_in_for_and_named() -> None:
    market = view(regime("low", FEB_5, {d: p for d, p in FEB_5_CURVE.items() if d != APR}))
    openings = opened_in(market)
    book = _read(_at(f"VX/{APR}", 2), _at("VXX", 100), openings=openings, day=FEB_5)
    assert book.unpriced == (f"VX/{APR}", "VXX")
    assert book.weight("L1") == pytest.approx(2 * 25_200)  # March and May are as near: the earlier one
    assert book.valued
    bare = opened_in(view(regime("low", FEB_5, {})))
    nothing = _read(_at(f"VX/{APR}", 2), openings=bare, day=FEB_5)
    assert (nothing.valued, nothing.unpriced) == (False, (f"VX/{APR}",))
    assert _read(openings=bare, day=FEB_5).valued


def _with_funds(*funds: FundFigure) -> Openings:
    return opened_in(MarketView(MARKET.regime.model_copy(update={"funds": funds}), {}, MARKET.chain))


def test_notes_weigh_price_times_leverage() -> None:
    long = FundFigure(symbol="VXX", leverage=1.0, price=50.0, nav=50.0)
    twice = FundFigure(symbol="UVXY", leverage=1.5, price=10.0)
    inverse = FundFigure(symbol="SVXY", leverage=-0.5, price=80.0)
    openings = _with_funds(long, twice, inverse)
    lot = _one(_read(_at("VXX", 400), openings=openings))
    assert (lot.kind, lot.unit, lot.dte, lot.weight) == ("note", 50.0, 30, 20_000.0)
    assert _one(_read(_at("UVXY", 100), openings=openings)).weight == pytest.approx(1_500.0)
    assert _one(_read(_at("VXX", -5), openings=openings)).close == "short"
    # A note that is short volatility has no place in the plan.
    book = _read(_at("SVXY", 100), openings=openings)
    assert (book.layers, book.outside) == ({}, ("SVXY",))
    # What has no price is not guessed at, and takes nothing else with it.
    missing = _read(_at("VXX", 400), _at(f"VX/{FEB}", 1))
    assert (missing.unpriced, missing.valued) == (("VXX",), True)


# Options


def test_a_bought_and_a_sold_call_are_a_spread() -> None:
    book = _read(_at(_call(APR, 23), 10, price=2.0), _at(_call(APR, 33), -10, price=0.8))
    lot = _one(book)
    assert (lot.layer, lot.kind, lot.units, lot.dte) == ("L2", "call_spread", 10, 106)
    assert lot.ratios == ((_call(APR, 23), 1), (_call(APR, 33), -1))
    assert lot.name == f"VIX/{APR}/C/23/33"
    # A strike that is not listed has the price at the vol between those around it.
    assert lot.value is not None
    assert lot.at_risk == pytest.approx(100 * lot.value.mid)
    assert lot.unit == pytest.approx(_notional(APR, (1, 23.0), (-1, 33.0)), rel=1e-6)
    assert lot.break_even == pytest.approx(24.2)  # 23 + 2.0 - 0.8
    assert (lot.close, lot.roll) == ("", False)
    assert book.quantities("L2") == {_call(APR, 23): 10, _call(APR, 33): -10}


def test_what_was_paid_must_be_known_for_a_break_even() -> None:
    assert _one(_read(_at(_call(APR, 23), 10, price=2.0), _at(_call(APR, 35), -10))).break_even is None
    assert _one(_read(_at(_call(APR, 23), 10, price=2.0))).break_even == pytest.approx(25.0)
    # More was paid than the spread can ever be worth: there is none.
    assert _one(_read(_at(_call(APR, 23), 1, price=14.0), _at(_call(APR, 35), -1, price=1.0))).break_even is None


def test_calls_are_paired_one_for_one_from_the_lowest_strike_up() -> None:
    # 10 at 20 and 5 at 25 bought, 12 at 30 sold: 10 of 20/30, 2 of 25/30, 3 of 25 alone.
    book = _read(_at(_call(APR, 20), 10), _at(_call(APR, 25), 5), _at(_call(APR, 30), -12))
    lots = [(lot.kind, lot.name, lot.units) for lot in book.layers["L2"]]
    assert sorted(lots) == sorted(
        [
            ("call_spread", f"VIX/{APR}/C/20/30", 10),
            ("call_spread", f"VIX/{APR}/C/25/30", 2),
            ("call", _call(APR, 25), 3),
        ]
    )
    assert book.quantities("L2") == {_call(APR, 20): 10, _call(APR, 25): 5, _call(APR, 30): -12}
    # Other expiries are other lots.
    apart = _read(_at(_call(APR, 20), 10), _at(_call(MAY, 30), -10))
    assert sorted(lot.close for lots in apart.layers.values() for lot in lots) == ["", "naked"]


def test_a_sold_call_without_a_bought_one_is_naked_and_has_to_go() -> None:
    book = _read(_at(_call(APR, 23), 10), _at(_call(APR, 35), -14))
    found = {(lot.kind, lot.units, lot.close) for lots in book.layers.values() for lot in lots}
    assert found == {("call_spread", 10, ""), ("mixed", 4, "naked")}
    # The weight that may be kept leaves it out.
    assert book.long("L2") == pytest.approx(10 * _notional(APR, (1, 23.0), (-1, 35.0)), rel=1e-6)


def test_the_same_call_in_two_lines_offsets() -> None:
    book = _read(_at(_call(APR, 23), -4, "L2", 2.0), _at(_call(APR, 23), 10, price=1.0))
    assert [(lot.name, lot.units) for lot in book.layers["L2"]] == [(_call(APR, 23), 6)]
    assert book.layers["L2"][0].break_even is None  # two prices, of which none is the average


def test_a_spread_that_can_gain_little_more_is_spent() -> None:
    # With the future at 60 a spread 25/30 is worth nearly all of its 5 points: more than 0.8 of them.
    rich = dict.fromkeys(EXPIRIES, 60.0)
    openings = opened_in(quoted("high", curve=rich))
    book = _read(_at(_call(APR, 25), 5), _at(_call(APR, 30), -5), openings=openings)
    lot = _one(book)
    assert lot.value is not None
    assert lot.value.mid >= 0.8 * 5.0
    assert lot.close.startswith("spent: worth ")
    # With the future at 20, a spread of 12 points that is out of the money is not.
    assert _one(_read(_at(_call(APR, 23), 5), _at(_call(APR, 35), -5))).close == ""


@pytest.mark.parametrize(
    ("expiry", "strike", "layer"),
    [(JUN, 25, "L2"), (JUL, 25, "L3"), (AUG, 25, "L3"), (FEB, 25, "L2")],
)
def test_a_call_without_a_layer_belongs_to_the_window_that_it_lies_in(
    expiry: date, strike: float, layer: str
) -> None:
    # 186 days and more are Layer 3's: 18 July is 197 days away, 20 June 169.
    assert _one(_read(_at(_call(expiry, strike), 1))).layer == layer


def test_a_lower_strike_sold_than_bought_is_temporal_theta() -> None:
    for expiry in (FEB, AUG):
        lot = _one(_read(_at(_call(expiry, 23), -10), _at(_call(expiry, 30), 10)))
        assert (lot.layer, lot.kind) == ("TT", "call_credit_spread")
    assert _one(_read(_at(_call(FEB, 23), -10))).layer == "TT"


def test_a_layer_that_is_named_is_kept() -> None:
    assert _one(_read(_at(_call(FEB, 26), 10, "L3"))).layer == "L3"
    assert _one(_read(_at(_call(AUG, 26), 10, "L2"))).layer == "L2"
    # Layer 1 and the reserve hold no calls: as if none was named.
    assert [_one(_read(_at(_call(AUG, 26), 1, name))).layer for name in ("L1", "R")] == ["L3", "L3"]
    # A named one and one without are merged where they come to the same layer.
    book = _read(_at(_call(APR, 23), 10, "L2"), _at(_call(APR, 35), -10))
    named = {lot.layer: (lot.kind, lot.units, lot.close) for lots in book.layers.values() for lot in lots}
    assert named == {"L2": ("call", 10, ""), "TT": ("mixed", 10, "naked")}


def test_a_credit_spread_outside_of_temporal_theta_is_short_volatility() -> None:
    lot = _one(_read(_at(_call(APR, 23), -10, "L2"), _at(_call(APR, 30), 10, "L2")))
    assert lot.close == "short volatility"
    assert _one(_read(_at(_call(FEB, 23), 10, "TT"))).close == "outside of the plan"


def test_far_calls_of_layer_3_weigh_by_what_spot_moves_them_and_its_tail_in_full() -> None:
    far = _one(_read(_at(_call(AUG, 26), 1, "L3")))
    near = _one(_read(_at(_call(FEB, 26), 1, "L3")))
    assert far.unit == pytest.approx(0.4 * _notional(AUG, (1, 26.0)), rel=1e-6)
    assert near.unit == pytest.approx(_notional(FEB, (1, 26.0)), rel=1e-6)


@pytest.mark.parametrize(
    ("layer", "tail", "first"),
    [("L2", False, 34), ("L3", False, 109), ("L3", True, 2)],
)
def test_options_are_rolled_below_the_tenor_of_their_layer(layer: Layer, tail: bool, first: int) -> None:
    """The first day to expiry at which it is rolled: 35 and 110 days; the tail in the last three."""
    expiry = FEB if tail else AUG
    for days, roll in ((first + 1, False), (first, True)):
        day = expiry - timedelta(days=days)
        openings = opened_in(quoted("low", day))
        legs = [_at(_call(expiry, 23), 5, layer)] if tail else [
            _at(_call(expiry, 23), 5, layer),
            _at(_call(expiry, 35), -5, layer),
        ]
        lot = _one(_read(*legs, openings=openings, day=day))
        assert (lot.dte, lot.roll) == (days, roll)


# Exits of Temporal Theta

SOLD = (_at(_call(MAR, 23), -10, "TT", 2.0), _at(_call(MAR, 28), 10, "TT", 1.2))


def test_what_was_sold_is_at_risk_by_its_width_less_the_credit() -> None:
    lot = _one(_read(*SOLD))
    assert lot.at_risk == pytest.approx(100 * (5.0 - 0.8))
    assert lot.unit == lot.at_risk
    assert lot.break_even == pytest.approx(23.8)
    assert lot.close == ""
    assert not lot.roll
    # Without a known credit the whole width is at risk, and only days and VIX end it.
    blank = _one(_read(*(_at(p.symbol, p.quantity, "TT") for p in SOLD)))
    assert blank.at_risk == pytest.approx(500.0)
    assert (blank.close, blank.break_even) == ("", None)


def test_it_is_closed_by_time_at_21_days() -> None:
    for days, closed in ((22, ""), (21, "time: 21 days to expiry, at most 21")):
        day = MAR - timedelta(days=days)
        assert _one(_read(*SOLD, openings=opened_in(quoted("high", day)), day=day)).close == closed


def test_it_is_closed_when_half_of_its_credit_is_earned() -> None:
    # It was sold for 3.00 when it can be closed for less than half of that.
    rich = (_at(_call(MAR, 23), -10, "TT", 4.0), _at(_call(MAR, 28), 10, "TT", 1.0))
    lot = _one(_read(*rich))
    assert lot.value is not None
    assert lot.value.close is not None
    assert -lot.value.close <= 1.5
    assert lot.close == f"profit: {3.0 + lot.value.close:.4g} of the credit 3 is earned"
    # Modelled quotes close nothing: nobody would deal on them.
    modelled = opened_in(view(MARKET.regime), "values")
    assert _one(_read(*rich, openings=modelled)).close == ""


def test_it_is_closed_when_vix_makes_a_new_high_of_five_sessions() -> None:
    closes = (25.0, 24.0, 23.0, 22.0, 21.0)
    assert _one(_read(*SOLD, vix=25.0, closes=closes)).close == ""
    assert _one(_read(*SOLD, vix=25.1, closes=closes)).close == "rise: VIX 25.1 is a new high of five sessions"
    assert _one(_read(*SOLD, vix=25.1, closes=closes[1:])).close == ""


# What the plan has no place for, and what has no price


def test_everything_else_is_left_alone() -> None:
    odd = (f"VIX/{APR}/P/15", "SPY", f"BTC/{MAR}", f"SPX/{MAR}/C/2800")
    book = _read(*(_at(symbol, 5) for symbol in odd))
    assert (book.layers, book.outside, book.valued) == ({}, tuple(sorted(odd)), True)


def test_an_option_without_quotes_leaves_the_book_unvalued() -> None:
    for symbol in (_call(APR + timedelta(days=1), 23), _call(APR, 500)):
        book = _read(_at(symbol, 5))
        assert (book.layers, book.unpriced, book.valued) == ({}, (symbol,), False)
    no_chain = opened_in(view(MARKET.regime))
    assert not _read(_at(_call(APR, 23), 5), openings=no_chain).valued


def test_lots_stand_by_days_to_expiry() -> None:
    symbols = [f"VX/{MAY}", f"VX/{FEB}", f"VX/{APR}"]
    assert [lot.name for lot in _read(*(_at(s, 1) for s in symbols)).layers["L1"]] == sorted(symbols)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from([MAR, APR]), st.sampled_from([15.0, 20.0, 23.0, 28.0, 35.0])),
        st.integers(-9, 9).filter(bool),
        max_size=8,
    )
)
def test_pairs_keep_every_contract_and_leave_no_more_naked_than_there_is(held: dict[tuple[date, float], int]) -> None:
    book = _read(*(_at(_call(expiry, strike), n, "L2") for (expiry, strike), n in held.items()))
    assert book.quantities("L2") == {_call(*each): n for each, n in held.items()}
    for expiry in (MAR, APR):
        net = sum(n for (its, _), n in held.items() if its == expiry)
        lots = [lot for lot in book.layers.get("L2", ()) if lot.expiry == expiry]
        naked = sum(lot.units for lot in lots if lot.close == "naked")
        assert naked == max(0, -net)
        assert all(lot.units > 0 for lot in lots)
        assert all(len(lot.ratios) <= 2 and sum(ratio for _, ratio in lot.ratios) in (1, 0, -1) for lot in lots)
