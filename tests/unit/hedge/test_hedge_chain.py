"""The chain as a message, and what is read from it: forwards, vols, which quotes can be dealt on, which expiry."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hedge_support import EXPIRIES, JAN_2, RULES, at
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from processors.hedge.chain import Chain, ExpiryQuotes, read_chain
from processors.hedge.model_chain import model_chain
from processors.pricing import CALL, PUT, Unavailable, price
from processors.signals.curve import VxCurve
from topics.codec import JSON_HEADERS, MAX_JSON, decode, encode
from topics.hedge_rules import ChainRules, LayerWindow
from topics.message import canonical_json
from topics.option_chain import MAX_EXPIRIES, MAX_STRIKES, ChainExpiry, OptionChain

NOW = at(JAN_2)
RATE = 0.015
STRIKES = (10.0, 12.0, 14.0, 15.0, 17.0, 20.0, 25.0, 30.0)


def years(expiry: date) -> float:
    """Minutes from 16:15 in New York to 9:30 there on the expiry, over 525,600."""
    return (at(expiry, 9, 30) - NOW) / 1e9 / 60 / 525_600


def expiry_of(
    expiry: date = EXPIRIES[3], forward: float | None = 14.0, vol: float = 0.8, half: float = 0.05, **changes: Any
) -> ChainExpiry:
    """An expiry quoted around Black-76 at one vol; parity holds at a forward of 14 whether or not VX is there."""
    strikes = changes.pop("strikes", STRIKES)
    at_forward = 14.0 if forward is None else forward
    sides = {}
    for name, right in (("call", CALL), ("put", PUT)):
        mid = price(at_forward, strikes, vol, years(expiry), RATE, right)
        sides[f"{name}_bid"] = tuple(x if x > 0 else None for x in np.round(mid - half, 4).tolist())
        sides[f"{name}_ask"] = tuple(np.round(mid + half, 4).tolist())
    fields = {"expiry": expiry, "forward": forward, "quotes_ts": NOW, "strikes": strikes, **sides, **changes}
    return ChainExpiry(**fields)


def message(*expiries: ChainExpiry, **changes: Any) -> OptionChain:
    fields = {"event_ts": NOW, "session_date": JAN_2, "source": "cboe", "expiries": expiries, **changes}
    return OptionChain(**fields)


def one(each: ChainExpiry, **changes: Any) -> ExpiryQuotes:
    chain = read_chain(message(each), NOW, RATE, ChainRules(**changes))
    assert not chain.unavailable, chain.unavailable
    return chain.expiries[0]


def quoted_chain(
    level: float = 14.0, slope: float = 0.3, vvix: float = 90.0, rate: float = RATE, source: str = "cboe"
) -> Chain:
    """A whole chain of nine monthly expiries, quoted around modelled prices."""
    settles = tuple(round(level + slope * i, 3) for i in range(9))
    made = model_chain(VxCurve(JAN_2, EXPIRIES[:9], settles), vvix, NOW, rate)
    return read_chain(made.model_copy(update={"source": source}), NOW, rate)


quoted_chains = st.builds(
    quoted_chain, st.floats(11, 60), st.floats(-0.8, 0.8), st.floats(55, 180), st.sampled_from([0.0, 0.015, 0.06])
)


@st.composite
def wild_chains(draw: st.DrawFn) -> Chain:
    """Chains of three expiries with any quotes at all that are not crossed: holes, arbitrage, no vols."""
    ticks = st.integers(0, 2_000).map(lambda n: n / 100)
    pairs = st.tuples(st.none() | ticks, st.none() | ticks)
    strikes = draw(st.lists(st.integers(8, 60), min_size=1, max_size=10, unique=True).map(sorted))
    found = []
    for expiry in draw(st.sampled_from([(EXPIRIES[1], EXPIRIES[4], EXPIRIES[8]), EXPIRIES[3:5], EXPIRIES[7:9]])):
        columns: dict[str, list[float | None]] = {n: [] for n in ("call_bid", "call_ask", "put_bid", "put_ask")}
        for right in ("call", "put"):
            for _ in strikes:
                bid, ask = draw(pairs)
                if bid is not None and ask is not None and bid > ask:
                    bid, ask = ask, bid
                columns[f"{right}_bid"].append(bid)
                columns[f"{right}_ask"].append(ask)
        forward = draw(st.none() | st.floats(9, 60).map(lambda x: round(x, 3)))
        sides = {name: tuple(column) for name, column in columns.items()}
        listed = tuple(float(k) for k in strikes)
        found.append(ChainExpiry(expiry=expiry, forward=forward, quotes_ts=NOW, strikes=listed, **sides))
    rules = ChainRules(spread_relative=2.0, spread_max=50.0)
    return read_chain(message(*found), NOW, draw(st.sampled_from([0.0, 0.05])), rules)


# The message


def test_a_chain_survives_the_wire_with_its_holes() -> None:
    sides = ((1.0, None, 0.0), (1.2, 0.4, None), (None, None, None), (0.1, 0.2, 0.3))
    names = ("call_bid", "call_ask", "put_bid", "put_ask")
    holes = ChainExpiry(
        expiry=EXPIRIES[3],
        quotes_ts=NOW,
        strikes=(15.0, 17.5, 20.0),
        open_interest=(100, None, 0),
        **dict(zip(names, sides, strict=True)),
    )
    sent = message(holes, expiry_of(EXPIRIES[4]))
    value, headers = encode(sent)
    assert decode(OptionChain, value, headers) == sent
    assert b"null" in value
    assert b'"forward"' not in value.split(b"2018-05-16")[0]


def test_the_largest_chain_there_can_be_fits_into_a_message() -> None:
    per = MAX_STRIKES // MAX_EXPIRIES
    sizes = [per] * (MAX_EXPIRIES - 1) + [MAX_STRIKES - per * (MAX_EXPIRIES - 1)]
    found = []
    for i, n in enumerate(sizes):
        wide = (999.9999,) * n
        found.append(
            ChainExpiry(
                expiry=JAN_2 + timedelta(days=i + 1),
                forward=999.9999,
                quotes_ts=NOW - 1,
                strikes=tuple(round(900.0001 + j / 1000, 4) for j in range(n)),
                call_bid=wide,
                call_ask=wide,
                put_bid=wide,
                put_ask=wide,
                open_interest=(99_999_999,) * n,
            )
        )
    largest = message(*found, event_ts=NOW + 1, market="ABCDEFGH", source="x" * 64)
    value, _ = encode(largest)
    assert len(value) < MAX_JSON
    assert decode(OptionChain, value, JSON_HEADERS) == largest


def _with(**changes: Any) -> Any:
    document = expiry_of().document() | changes
    return ChainExpiry.model_validate_json(canonical_json(document))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strikes": ["10", "12", "12", "15", "17", "20", "25", "30"]}, "must ascend"),
        ({"strikes": ["0", "12", "14", "15", "17", "20", "25", "30"]}, "greater than 0"),
        ({"call_bid": ["1"]}, "call_bid of 2018-04-18 has 1 entries for 8 strikes"),
        ({"open_interest": [1, 2]}, "open_interest of 2018-04-18 has 2 entries"),
        ({"call_bid": ["9"] * 8}, "is above its ask"),
        ({"put_bid": ["1001"] * 8}, "less than or equal to 1000"),
        ({"put_bid": ["-1"] * 8}, "greater than or equal to 0"),
        ({"put_bid": ["nan"] * 8}, "finite"),
        ({"put_ask": ["1.23456"] * 8}, "more than 4 decimals"),
        ({"open_interest": [1.5] * 8}, "valid integer"),
        ({"forward": "0"}, "greater than 0"),
    ],
)
def test_a_malformed_expiry_is_refused_in_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        _with(**changes)


def test_a_malformed_chain_is_refused_in_words() -> None:
    with pytest.raises(ValidationError, match="must ascend"):
        message(expiry_of(EXPIRIES[4]), expiry_of(EXPIRIES[3]))
    with pytest.raises(ValidationError, match="has settled by the session"):
        message(expiry_of(EXPIRIES[3]), session_date=EXPIRIES[3], event_ts=at(EXPIRIES[3]))
    with pytest.raises(ValidationError, match="later than the chain"):
        message(expiry_of(quotes_ts=NOW + 1))
    with pytest.raises(ValidationError, match="more than 400 days"):
        message(expiry_of(date(2019, 3, 20)))
    with pytest.raises(ValidationError, match="is not that of"):
        message(session_date=date(2018, 2, 1))
    strikes = tuple(10 + i / 10 for i in range(201))
    many = [expiry_of(expiry, strikes=strikes) for expiry in EXPIRIES[3:8]]
    with pytest.raises(ValidationError, match="1005 strikes in a chain"):
        message(*many)


# Forwards and vols


@pytest.mark.parametrize("forward", [14.0, None])
def test_vols_are_those_that_made_the_quotes(forward: float | None) -> None:
    quotes = one(expiry_of(forward=forward, half=0.01))
    assert quotes.forward_source == ("vx" if forward else "parity")
    assert quotes.forward == pytest.approx(14.0, abs=1e-3)
    assert quotes.t == pytest.approx(years(EXPIRIES[3]), rel=1e-15)
    assert quotes.dte == 106
    assert quotes.vols == pytest.approx(np.full(8, 0.8), abs=1e-3)


def test_the_vol_is_that_of_the_quote_out_of_the_money() -> None:
    made = expiry_of(half=0.01)
    shifted = tuple(None if bid is None else bid - 0.005 for bid in made.put_bid)
    # Puts above the forward are in the money: their quotes say nothing. Those below it move the vol.
    there = one(made.model_copy(update={"put_bid": shifted}))
    before = one(made)
    inside = before.strikes >= before.forward
    assert np.array_equal(there.vols[inside], before.vols[inside])
    assert np.all(there.vols[~inside] < before.vols[~inside])
    # Where only the option in the money is quoted it must do.
    gone = one(made.model_copy(update={"call_bid": (None,) * 8}))
    assert gone.vols == pytest.approx(np.full(8, 0.8), abs=5e-3)
    assert gone.open_calls() == []


def test_a_strike_without_a_vol_lies_between_its_neighbours_and_nothing_is_extrapolated() -> None:
    made = expiry_of(half=0.01)
    vols = one(made)
    sides = {n: tuple(None if k == 17.0 else q for k, q in zip(STRIKES, getattr(made, n), strict=True)) for n in
             ("call_bid", "put_bid")}
    holed = one(made.model_copy(update=sides))
    i, j = STRIKES.index(15.0), STRIKES.index(20.0)
    assert math.isnan(holed.vols[i + 1])
    share = math.log(17 / 15) / math.log(20 / 15)
    assert holed.vol(17.0) == pytest.approx(vols.vols[i] * (1 - share) + vols.vols[j] * share, rel=1e-12)
    assert holed.vol(15.0) == pytest.approx(vols.vols[i], rel=1e-14)
    assert holed.vol(9.5) is None
    assert holed.vol(31.0) is None
    assert holed.quote(CALL, 17.0) == (None, made.call_ask[4])
    assert holed.quote(PUT, 18.0) == (None, None)


def test_an_expiry_without_a_forward_is_unavailable_and_says_why() -> None:
    made = expiry_of(forward=None)
    chain = read_chain(message(made.model_copy(update={"put_bid": (None,) * 8})), NOW, RATE)
    assert chain.expiries == ()
    assert "no VX future, and no forward by parity" in chain.unavailable[EXPIRIES[3]]
    found = chain.on(EXPIRIES[3])
    assert isinstance(found, Unavailable)
    assert "parity" in found.reason
    missing = chain.on(EXPIRIES[5])
    assert isinstance(missing, Unavailable)
    assert missing.reason == "the chain has no options that settle on 2018-06-20"
    low = expiry_of(forward=None, strikes=(20.0, 22.0, 24.0, 26.0), half=0.001, vol=1.2)
    beyond = read_chain(message(low), NOW, RATE).unavailable
    assert "beyond its strikes" in beyond[EXPIRIES[3]]


def test_old_quotes_weeklies_and_what_settles_now_are_unavailable() -> None:
    second = 1_000_000_000
    old = expiry_of(EXPIRIES[3], quotes_ts=NOW - 10 * second)
    made = message(old, expiry_of(EXPIRIES[4]), expiry_of(date(2018, 6, 13)))
    chain = read_chain(made, NOW + 3_595 * second, RATE)
    assert [q.expiry for q in chain.expiries] == [EXPIRIES[4]]
    assert chain.unavailable == {
        EXPIRIES[3]: "its oldest quote is 3605 s old, more than 3600 s",
        date(2018, 6, 13): "a weekly expiry",
    }
    assert len(read_chain(made, NOW, RATE, ChainRules(monthly_only=False)).expiries) == 3
    morning = at(EXPIRIES[0], 9, 30)
    eve = EXPIRIES[0] - timedelta(days=1)
    last = message(expiry_of(EXPIRIES[0], quotes_ts=morning), session_date=eve, event_ts=morning)
    assert read_chain(last, morning, RATE).unavailable == {EXPIRIES[0]: "it settles now"}


def test_a_later_chain_and_a_rate_that_is_no_number_are_refused() -> None:
    with pytest.raises(ValueError, match="later than"):
        read_chain(message(), NOW - 1, RATE)
    for rate in (math.nan, math.inf):
        with pytest.raises(ValueError, match="rate must be a finite number"):
            read_chain(message(), NOW, rate)


@pytest.mark.parametrize("name", ["spread_relative", "spread_floor", "spread_max", "open_interest_min"])
def test_rules_that_are_no_numbers_are_refused(name: str) -> None:
    for value in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=rf"{name}\s+(Value error, expected a finite|Input should be)"):
            ChainRules(**{name: value})


# Liquidity


def _liquid(bid: float | None, ask: float | None, open_interest: int | None = None, **rules: Any) -> bool:
    made = ChainExpiry(
        expiry=EXPIRIES[3],
        forward=14.0,
        quotes_ts=NOW,
        strikes=(17.0,),
        call_bid=(bid,),
        call_ask=(ask,),
        put_bid=(None,),
        put_ask=(None,),
        open_interest=None if open_interest is None else (open_interest,),
    )
    return bool(one(made, **rules).calls[0])


def test_what_can_be_dealt_on() -> None:
    assert not _liquid(None, 0.5)
    assert not _liquid(0.0, 0.05)  # a bid of 0 is no bid
    assert not _liquid(0.5, None)
    assert _liquid(0.5, 0.5)
    assert _liquid(0.05, 0.15)  # 0.10 wide: the floor, though twice the mid quote
    assert not _liquid(0.05, 0.16)
    # Mid 2, a quarter of it 0.5.
    assert _liquid(1.75, 2.25)
    assert not _liquid(1.74, 2.26)
    # Mid 8, a quarter of it 2, but never above 1.
    assert _liquid(7.5, 8.5)
    assert not _liquid(7.49, 8.5)
    assert _liquid(7.0, 9.0, spread_max=2.0)
    assert not _liquid(1.9, 2.0, 99)
    assert _liquid(1.9, 2.0, 100)
    assert _liquid(1.9, 2.0, 99, open_interest_min=50)


# Choosing


def test_the_expiry_nearest_to_the_target_in_the_window_the_earlier_of_two() -> None:
    chain = quoted_chain()
    # 15, 43, 78, 106, 134, 169, 197, 232 and 260 days.
    assert [q.dte for q in chain.inside(RULES.windows["L2"])] == [106, 134, 169]
    assert _dte(chain.nearest(RULES.windows["L2"])) == 106
    assert [q.dte for q in chain.inside(RULES.windows["L3"])] == [197, 232, 260]
    assert _dte(chain.nearest(RULES.windows["L3"])) == 232
    assert _dte(chain.nearest(LayerWindow(dte_min=106, dte_max=134, dte_target=120))) == 106
    assert _dte(chain.nearest(LayerWindow(dte_min=107, dte_max=134, dte_target=0))) == 134
    none = chain.nearest(LayerWindow(dte_min=261, dte_target=300))
    assert isinstance(none, Unavailable)
    assert none.reason == "no expiry at 261 to more days"


def test_only_a_modelled_chain_cannot_be_dealt_on() -> None:
    assert quoted_chain(source="cboe").executable
    assert not quoted_chain(source="model").executable


def _dte(found: ExpiryQuotes | Unavailable) -> int:
    assert isinstance(found, ExpiryQuotes)
    return found.dte


@given(wild_chains())
@settings(max_examples=150, deadline=None)
def test_whatever_is_quoted_every_open_call_has_a_forward_two_sides_and_a_vol(chain: Chain) -> None:
    for quotes in chain.expiries:
        assert quotes.forward > 0
        for strike in quotes.open_calls():
            bid, ask = quotes.quote(CALL, strike)
            assert bid is not None
            assert ask is not None
            assert 0 < bid <= ask
            vol = quotes.vol(strike)
            assert vol is not None
            assert 0 < vol < math.inf
        # What the vol says is the premium of the side out of the money, or else of the other one.
        for i in np.flatnonzero(~np.isnan(quotes.vols)):
            found = []
            for right in (CALL, PUT):
                bids, asks, _ = quotes.sides(right)
                worth = float(price(quotes.forward, quotes.strikes[i], quotes.vols[i], quotes.t, chain.rate, right))
                found.append(abs(worth - 0.5 * (bids[i] + asks[i])))
            assert np.nanmin(found) < 1e-9
