"""Option strips through the engine: what is kept, for how long, and that what they say is what pricing says."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sessions_support import (
    CALIBRATION,
    Item,
    Row,
    at,
    closes,
    columns,
    day_of_closes,
    feed,
    generated,
    history,
    mark_until,
    marks,
    new_engine,
    restarted,
    text,
)

from processors.market import Market, MarketTask
from processors.pricing import constant_maturity, term_variance, vix_style
from processors.pricing.variance import TermVariance
from processors.sessions import strips as strips_module
from processors.sessions.engine import Engine
from topics.macro import Release
from topics.message import canonical_json
from topics.times import HOUR, MINUTE, SECOND

DAY = "2018-01-05"
NOON = at(DAY, "12:00")
#: Expiries on either side of 30 days.
NEAR, NEXT = date(2018, 1, 19), date(2018, 2, 16)
VIX_NEAR, VIX_NEXT = date(2018, 1, 17), date(2018, 2, 14)
COIN_NEAR, COIN_NEXT = date(2018, 1, 26), date(2018, 2, 23)
RATE = 1.4


def black(forward: float, strike: float, vol: float, years: float, rate: float, right: str) -> float:
    """Black (1976), written here on its own."""
    sd = vol * math.sqrt(years)
    d1 = math.log(forward / strike) / sd + sd / 2
    sign = 1 if right == "C" else -1
    worth = forward * norm.cdf(sign * d1) - strike * norm.cdf(sign * (d1 - sd))
    return float(sign * math.exp(-rate * years) * worth)


def years_to(expiry: date, ts: int, coin: bool = False) -> float:
    settled = at(expiry, "03:00" if coin else "09:30")  # 8:00 UTC is 3:00 in New York in winter
    return (settled - ts) / (365 * 24 * HOUR)


def strip(
    root: str, expiry: date, strikes: Sequence[float], vol: float, forward: float, ts: int = NOON, spread: float = 0.0
) -> list[Row]:
    """A strip of quotes at one flat vol, premiums of coins in the coin."""
    coin = root in ("BTC", "ETH")
    years, rate, unit = years_to(expiry, ts, coin), 0.0 if coin else RATE / 100, forward if coin else 1.0
    rows = []
    for strike in strikes:
        for right in "CP":
            mid = black(forward, strike, vol, years, rate, right) / unit
            if mid > 1e-7:
                symbol = f"{root}/{expiry}/{right}/{strike:g}"
                rows.append(Row(symbol, ts, bid=mid * (1 - spread), ask=mid * (1 + spread), source="opra"))
    return rows


def rate(value: float = RATE, ts: int | None = None) -> Release:
    ts = at(DAY, "08:00") if ts is None else ts
    return Release(series_id="US_3M", ref_period="2018-01-04", release_ts=ts, actual=value)


def started(with_rate: bool = True) -> Engine:
    """An engine that has committed three sessions and stands before the morning of the fourth."""
    engine = new_engine()
    feed(engine, [*history("2018-01-02", 3), mark_until(at("2018-01-04", "17:00"))])
    if with_rate:
        engine.release(rate())
    return engine


def block(engine: Engine, rows: Sequence[Row]) -> list[tuple[int, Any]]:
    return [(e.row, e.message) for e in engine.ticks(columns(rows))]


def features(engine: Engine, ts: int) -> dict[str, Any]:
    """Those of the mark at that minute."""
    found = marks(feed(engine, [Row("VIX", ts - SECOND, last=15.0), mark_until(ts + 1)]))
    assert found[-1].event_ts == ts
    return found[-1].features


SPX_STRIKES = range(1500, 4005, 5)
SMALL = range(2500, 2925, 25)


def spx(vol: float = 0.2, ts: int = NOON, strikes: Sequence[float] = SPX_STRIKES, **more: Any) -> list[Row]:
    near = strip("SPX", NEAR, strikes, vol, 2700.0, ts, **more)
    return [*near, *strip("SPX", NEXT, strikes, vol, 2705.0, ts, **more)]


# What they say


@pytest.mark.parametrize("vol", [0.1, 0.2, 0.45])
def test_prices_at_one_vol_give_back_that_vol(vol: float) -> None:
    engine = started()
    block(engine, spx(vol))
    found = features(engine, NOON + MINUTE)
    assert found["mfiv30"] == pytest.approx(100 * vol, abs=0.2)
    assert found["skew25"] == pytest.approx(0.0, abs=0.01), "a flat surface has no skew"


def test_options_on_vix_give_the_volatility_of_volatility() -> None:
    engine = started()
    strikes = [5 + 0.25 * i for i in range(400)]
    rows = [*strip("VIX", VIX_NEAR, strikes, 0.8, 15.0), *strip("VIX", VIX_NEXT, strikes, 0.8, 16.0)]
    block(engine, rows)
    assert features(engine, NOON + MINUTE)["vov30"] == pytest.approx(80.0, abs=0.2)


@pytest.mark.parametrize("coins", [("BTC",), ("ETH",), ("BTC", "ETH")])
def test_options_on_coins_need_no_rate_and_their_mean_is_taken(coins: tuple[str, ...]) -> None:
    engine = started(with_rate=False)
    vols = {"BTC": 0.7, "ETH": 0.9}
    for coin in coins:
        strikes = range(4000, 60000, 200)
        for expiry in (COIN_NEAR, COIN_NEXT):
            block(engine, strip(coin, expiry, strikes, vols[coin], 16000.0))
    found = features(engine, NOON + MINUTE)
    assert found["dex_iv30"] == pytest.approx(100 * sum(vols[c] for c in coins) / len(coins), abs=0.2)
    assert found["dex_iv_spread"] == pytest.approx(found["dex_iv30"] - 15.0, abs=1e-9)
    assert not {"mfiv30", "vov30", "skew25"} & found.keys()


def test_the_stream_says_what_pricing_says_to_the_last_bit() -> None:
    engine = started()
    rows = spx(0.22, strikes=SMALL, spread=0.01)
    block(engine, rows)
    ts = NOON + MINUTE
    terms = []
    for expiry in (NEAR, NEXT):
        quotes = {row.symbol: row for row in rows}
        sides = [
            np.array([getattr(quotes[f"SPX/{expiry}/{right}/{strike}"], side) for strike in SMALL])
            for right in "CP"
            for side in ("bid", "ask")
        ]
        minutes = (at(expiry, "09:30") - ts) / MINUTE
        terms.append(term_variance(np.array(SMALL, dtype=float), *sides, minutes, RATE / 100))
    near, following = terms
    assert isinstance(near, TermVariance)
    assert isinstance(following, TermVariance)
    expected = vix_style(constant_maturity(near, following))
    assert engine.prices.strips.surface(ts, RATE)["mfiv30"] == expected
    assert features(engine, ts)["mfiv30"] == float(f"{expected:.12g}")


def test_a_close_has_what_a_mark_has() -> None:
    engine = started()
    block(engine, spx(strikes=SMALL, ts=at(DAY, "16:00")))
    (close,) = closes(feed(engine, [*day_of_closes(DAY), mark_until(at(DAY, "17:00"))]))
    assert close.features["mfiv30"] == pytest.approx(20.0, abs=1.0)


# What is missing


def test_without_a_rate_listed_options_are_missing_and_not_zero() -> None:
    engine = started(with_rate=False)
    block(engine, spx(strikes=SMALL))
    names = {"mfiv30", "skew25", "vov30", "dex_iv30", "rate_free"}
    assert not names & features(engine, NOON + MINUTE).keys()
    engine.release(rate(ts=NOON + 2 * MINUTE))
    assert {"mfiv30", "skew25"} <= features(engine, NOON + 3 * MINUTE).keys()


def test_a_rate_that_is_too_old_is_missing() -> None:
    engine = started(with_rate=False)
    engine.release(rate(ts=at("2018-01-04", "20:00")))
    ts = at("2018-01-10", "12:00")
    feed(engine, [row for day in ("2018-01-05", "2018-01-08", "2018-01-09") for row in day_of_closes(day)])
    block(engine, spx(strikes=SMALL, ts=ts))
    assert not {"mfiv30", "rate_free"} & features(engine, ts + MINUTE).keys()


@pytest.mark.parametrize(("age", "there"), [(HOUR, True), (HOUR + MINUTE, False)])
def test_a_quote_older_than_an_hour_is_missing(age: int, there: bool) -> None:
    engine = started()
    block(engine, spx(strikes=SMALL))
    assert ("mfiv30" in features(engine, NOON + age)) is there


def test_one_expiry_alone_says_nothing_of_thirty_days() -> None:
    engine = started()
    block(engine, strip("SPX", NEAR, SMALL, 0.2, 2700.0))
    found = features(engine, NOON + MINUTE)
    assert "mfiv30" not in found
    assert "skew25" in found


def test_an_older_quote_replaces_nothing() -> None:
    engine = started()
    rows = spx(strikes=SMALL)
    block(engine, rows)
    before = engine.prices.strips.snapshot()
    worse = [Row(row.symbol, row.ts - MINUTE, bid=(row.bid or 0) * 2, ask=(row.ask or 0) * 2) for row in rows]
    assert block(engine, worse) == []
    assert engine.prices.strips.snapshot() == before


def test_expiries_that_are_not_read_are_not_kept() -> None:
    engine = started()
    rows = [
        Row(f"{root}/{expiry}/C/2700", NOON, bid=1.0, ask=2.0)
        for root, expiry in (
            ("SPX", "2018-01-11"),  # within the last week
            ("SPX", "2018-06-15"),  # too far
            ("SPXW", "2018-01-24"),  # a Wednesday
            ("SPY", "2018-01-19"),
            ("SPXW", "2018-01-26"),
        )
    ]
    engine.counts.clear()
    block(engine, rows)
    assert len(engine.prices.strips) == 1
    assert (engine.counts["ticks:used"], engine.counts["ticks:unfollowed"]) == (1, 4)


# Cuts, room, state


def _random_rows(seed: int) -> list[Row]:
    """Quotes of small strips and ticks of VIX over some minutes, some of them old, one-sided or without bid."""
    chance = random.Random(seed)
    base = [
        *spx(strikes=range(2450, 2925, 25)),
        *strip("VIX", VIX_NEAR, range(11, 22), 0.8, 15.0),
        *strip("VIX", VIX_NEXT, range(11, 22), 0.8, 16.0),
        *strip("BTC", COIN_NEAR, range(11200, 21600, 800), 0.7, 16000.0),
        *strip("BTC", COIN_NEXT, range(11200, 21600, 800), 0.7, 16000.0),
    ]
    chance.shuffle(base)
    rows, now = list(base), NOON
    for row in base * 2:
        now += chance.choice((0, 0, SECOND, 3 * SECOND))
        ts = now - chance.choice((0, 0, 0, MINUTE, 6 * MINUTE))
        bid, ask = row.bid or 0.0, row.ask or 0.0
        noise = 1 + 0.02 * chance.random()
        sides: dict[str, float] = chance.choice(
            (
                *[{"bid": bid, "ask": ask * noise}] * 12,
                {"bid": bid},
                {"ask": ask * noise},
                {"bid": 0.0, "ask": ask},
            )
        )
        rows.append(Row(row.symbol, ts, **sides))
        if chance.random() < 0.1:
            rows.append(Row("VIX", now, last=15.0))
    return rows


@settings(generated, max_examples=15)
@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.sampled_from((1, 2, 7, 40, 200)), st.booleans()), min_size=1, max_size=20),
)
def test_singles_and_blocks_of_any_cut_with_restarts_give_the_same_bits(
    seed: int, cuts: list[tuple[int, bool]]
) -> None:
    rows = _random_rows(seed)
    whole = started()
    expected = [text(m) for _, m in block(whole, rows)]
    engine, found, place, turn = started(), [], 0, 0
    while place < len(rows):
        size, restart = cuts[turn % len(cuts)]
        found += [text(m) for _, m in block(engine, rows[place : place + size])]
        place, turn = place + size, turn + 1
        if restart and turn < 12:
            engine = restarted(engine)
    assert found == expected
    ts = engine.time + MINUTE
    ours, theirs = engine.prices.strips.surface(ts, RATE), whole.prices.strips.surface(ts, RATE)
    assert ours == theirs
    assert sorted(engine.prices.strips.snapshot()) == sorted(whole.prices.strips.snapshot())


def test_the_random_rows_say_something() -> None:
    engine = started()
    found = [regime.features for regime in marks(block(engine, _random_rows(3)))]
    for name in ("dex_iv30", "mfiv30", "skew25", "vov30"):
        assert len({features.get(name) for features in found}) > 2, "it changes from mark to mark"


def test_a_restart_in_the_middle_gives_the_same_bytes() -> None:
    rows = _random_rows(17)
    tail: list[Item] = [*day_of_closes(DAY), mark_until(at("2018-01-08", "12:00"))]
    whole = started()
    expected = [text(m) for _, m in [*block(whole, rows), *feed(whole, tail)]]
    for cut in range(0, len(rows), len(rows) // 6):
        engine = started()
        found = block(engine, rows[:cut])
        engine = restarted(engine)
        found += [*block(engine, rows[cut:]), *feed(engine, tail)]
        assert [text(m) for _, m in found] == expected


@pytest.mark.parametrize("size", [1, 5, 100])
def test_there_is_room_for_so_many_options_by_the_order_of_their_arrival(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(strips_module, "_MOST", 6)
    engine = started()
    engine.counts.clear()
    names = [f"SPX/{NEAR}/{right}/{strike}" for strike in (2900, 2500, 2700, 2600, 2800) for right in "PC"]
    rows = [Row(name, NOON + i, bid=1.0, ask=2.0) for i, name in enumerate(names * 2)]
    for i in range(0, len(rows), size):
        block(engine, rows[i : i + size])
    assert len(engine.prices.strips) == 6
    assert set(engine.prices.strips._codes) == set(names[:6]), "the first ones that came"
    assert (engine.counts["ticks:used"], engine.counts["ticks:unfollowed"]) == (12, 8)


def test_the_room_is_ample() -> None:
    assert strips_module._MOST >= 4096


def test_strips_that_expire_leave_the_state() -> None:
    task = Market(CALIBRATION).task(0)
    assert isinstance(task, MarketTask)
    engine = task.engine("US")
    feed(engine, [*history("2018-01-02", 3), mark_until(at("2018-01-04", "17:00")), rate()])
    block(engine, spx(strikes=SMALL))
    first = task.snapshot()
    gone, kept = f"strip/US/SPX/{NEAR}".encode(), f"strip/US/SPX/{NEXT}".encode()
    assert first[gone] is not None
    assert first[kept] is not None
    task.engine("US")
    assert not {gone, kept} & task.snapshot().keys(), "unchanged strips are not written again"
    # The last week of the near one begins on the 12th: with its eighth day, the 11th, it leaves.
    for day, there in (("2018-01-05", True), ("2018-01-08", True), ("2018-01-09", True), ("2018-01-10", True)):
        feed(task.engine("US"), [*day_of_closes(day), mark_until(at(day, "17:00"))])
        assert (gone not in task.snapshot()) is there
    feed(task.engine("US"), [*day_of_closes("2018-01-11"), mark_until(at("2018-01-11", "17:00"))])
    last = task.snapshot()
    assert last[gone] is None
    assert kept not in last
    assert {symbol.split("/")[1] for symbol in engine.prices.strips._symbols} == {str(NEXT)}


def test_a_task_that_is_restored_from_its_snapshot_goes_on_with_the_same_bytes() -> None:
    def new() -> MarketTask:
        task = Market(CALIBRATION).task(0)
        assert isinstance(task, MarketTask)
        return task

    first, rows = new(), _random_rows(5)
    log: dict[bytes, bytes | None] = {}
    feed(first.engine("US"), [*history("2018-01-02", 3), mark_until(at("2018-01-04", "17:00")), rate()])
    log |= first.snapshot()
    block(first.engine("US"), rows[:100])
    log |= first.snapshot()
    second = new()
    for key, value in log.items():
        assert value is not None
        second.restore(key, value)
    tail = [text(m) for _, m in block(first.engine("US"), rows[100:])]
    assert [text(m) for _, m in block(second.engine("US"), rows[100:])] == tail
    assert tail


@settings(generated, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("SPX", "VIX", "BTC")),
            st.booleans(),
            st.sampled_from(("0.0001", "1", "1.0", "15", "2700", "2725", "2750", "999999.9999")),
            st.sampled_from("CP"),
            st.sampled_from((None, 0.0, 5e-324, 1e-9, 0.05, 3.0, 100.0, 1e6)),
            st.sampled_from((None, 0.0, 5e-324, 1e-9, 0.05, 3.0, 100.0, 1e6)),
        ),
        max_size=60,
    ),
    st.sampled_from((-100.0, 0.0, 1.4, 100.0)),
)
def test_no_quotes_stop_the_stream(
    quotes: list[tuple[str, bool, str, str, float | None, float | None]], percent: float
) -> None:
    expiries = {"SPX": (NEAR, NEXT), "VIX": (VIX_NEAR, VIX_NEXT), "BTC": (COIN_NEAR, COIN_NEXT)}
    engine = started(with_rate=False)
    engine.release(rate(percent))
    rows = [
        Row(f"{root}/{expiries[root][far]}/{right}/{strike}", NOON, bid=bid, ask=ask)
        for root, far, strike, right, bid, ask in quotes
    ]
    if rows:
        block(engine, rows)
    found = features(engine, NOON + MINUTE)
    canonical_json(found)
    surface = [found[name] for name in ("mfiv30", "vov30", "dex_iv30") if name in found]
    assert all(value > 0 for value in surface)
