"""Recorded option chains: Deribit ETH of 2024-01-08 (premiums in coin) and SPX of 2015-12-22."""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from pricing_support import loop_variance

from processors.pricing import (
    CALL,
    PUT,
    ParityFit,
    ParityForward,
    TermVariance,
    Unavailable,
    coin_to_quote,
    constant_maturity,
    delta_skew,
    forward_fit,
    forward_nearest,
    greeks,
    implied_vol,
    price,
    term_variance,
    vix_style,
)

pytestmark = pytest.mark.data

YEAR = 525_600
DATA = Path(os.environ.get("ALVH_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")


class Chain(NamedTuple):
    strikes: np.ndarray
    sides: list[list[float | None]]  # call bid, call ask, put bid, put ask
    marks: list[np.ndarray]  # call, put
    forward: float
    minutes: float


def present(column: pd.Series) -> list[float | None]:
    return [None if pd.isna(value) else float(value) for value in column]


def eth_chains() -> Iterator[Chain]:
    """Quotes and marks in coin, by expiry (08:00 UTC)."""
    table = pd.read_csv(DATA / "options" / "deribit_eth_chain_20240108.csv")
    now = datetime.fromisoformat(table.creation_utc[0])
    table["expiry"] = [datetime.strptime(e, "%d%b%y").replace(hour=8, tzinfo=UTC) for e in table.expire_date]
    for expiry, rows in table.groupby("expiry"):
        wide = rows.pivot(index="strike_price", columns="option_type")
        yield Chain(
            wide.index.to_numpy(float),
            [present(wide[name, right]) for right in "CP" for name in ("bid_price", "ask_price")],
            [wide["mark_price", right].to_numpy(float) for right in "CP"],
            float(rows.underlying_price.median()),
            (expiry - now).total_seconds() / 60,
        )


def in_usd(chain: Chain) -> list[list[float | None]]:
    return [[None if q is None else float(coin_to_quote(q, chain.forward)) for q in side] for side in chain.sides]


@pytest.mark.parametrize("convention", ["listed", "on_chain"])
@pytest.mark.parametrize("given_forward", [True, False])
def test_every_eth_expiry_equals_the_independent_loop(convention: str, given_forward: bool) -> None:
    seen = 0
    for chain in eth_chains():
        sides = in_usd(chain)
        forward = chain.forward if given_forward else None
        out = term_variance(chain.strikes, *sides, chain.minutes, 0.0, forward=forward, convention=convention)
        assert isinstance(out, TermVariance)
        theirs = loop_variance(
            list(zip(chain.strikes.tolist(), *sides, strict=True)),
            chain.minutes / YEAR,
            0.0,
            forward,
            convention == "listed",
        )
        assert out.variance == pytest.approx(theirs, abs=1e-9, rel=1e-9)
        seen += 1
    assert seen == 11


def test_the_thirty_day_vol_of_eth_lies_between_its_neighbours() -> None:
    terms = [term_variance(c.strikes, *in_usd(c), c.minutes, 0.0, forward=c.forward) for c in eth_chains()]
    near, following = (t for t in terms if isinstance(t, TermVariance) and 17 < t.minutes / 1440 < 46)
    level = vix_style(constant_maturity(near, following))
    assert vix_style(following.variance) < level < vix_style(near.variance)
    assert 70 < level < 85


def test_parity_of_the_eth_marks_gives_the_published_future() -> None:
    for chain in eth_chains():
        out = forward_nearest(chain.strikes, *chain.marks, chain.minutes / YEAR, 0.0, coin_settled=True)
        assert isinstance(out, ParityForward)
        assert out.forward == pytest.approx(chain.forward, rel=1e-4)
        fit = forward_fit(
            chain.strikes, *[chain.marks[0]] * 2, *[chain.marks[1]] * 2, coin_settled=True, minimum=10
        )
        assert isinstance(fit, ParityFit)
        assert fit.forward == pytest.approx(chain.forward, rel=2e-4)
        assert fit.discount == pytest.approx(1.0, abs=1e-3)


def test_every_vol_of_the_eth_marks_prices_its_mark_again() -> None:
    found = 0
    for chain in eth_chains():
        t = chain.minutes / YEAR
        for right, mark in zip((CALL, PUT), chain.marks, strict=True):
            premium = coin_to_quote(mark, chain.forward)
            implied = implied_vol(premium, chain.forward, chain.strikes, t, 0.0, right)
            k, vol = chain.strikes[implied.found], implied.vol.compressed()
            error = np.abs(price(chain.forward, k, vol, t, 0.0, right) - premium[implied.found])
            assert error.max() <= 1e-12 * chain.forward
            assert all(v is None or 0.1 < v < 6 for v in implied.vol.tolist())
            found += int(implied.found.sum())
    assert found > 600


def test_the_eth_smile_leans_to_puts_up_front_and_to_calls_far_out() -> None:
    values = []
    for chain in eth_chains():
        t = chain.minutes / YEAR
        call, put = (
            implied_vol(coin_to_quote(mark, chain.forward), chain.forward, chain.strikes, t, 0.0, right).vol
            for right, mark in zip((CALL, PUT), chain.marks, strict=True)
        )
        values.append(delta_skew(chain.strikes, put, call, chain.forward, t))
    assert all(value is not None and abs(value) < 0.1 for value in values)
    assert values[0] > 0 > values[-1]


def spx_chain(expiry: int) -> pd.DataFrame:
    table = pd.read_csv(DATA / "options" / "spx_chain_20151222.csv")
    return table[table.expiry == expiry].pivot(index="strike", columns="right", values="close").sort_index()


def test_the_spx_chain_completed_by_parity_equals_the_independent_loop() -> None:
    # The file has one side of most strikes. Six have both, and give forward and discount; parity gives the other side.
    wide = spx_chain(20160219)
    k = wide.index.to_numpy(float)
    fit = forward_fit(k, *[present(wide.C)] * 2, *[present(wide.P)] * 2)
    assert isinstance(fit, ParityFit)
    assert fit.strikes == 6
    assert fit.forward == pytest.approx(2038.97, rel=5e-3)  # the SPX close, less dividends
    parity = fit.discount * (fit.forward - k)
    call = np.where(wide.C.isna(), wide.P.to_numpy() + parity, wide.C)
    put = np.where(wide.P.isna(), wide.C.to_numpy() - parity, wide.P)
    call, put = np.maximum(call, 0.0), np.maximum(put, 0.0)
    minutes = (date(2016, 2, 19) - date(2015, 12, 22)).days * 1440
    rate = -np.log(fit.discount) / (minutes / YEAR)
    for convention in ("listed", "on_chain"):
        out = term_variance(k, call, call, put, put, minutes, rate, forward=fit.forward, convention=convention)
        assert isinstance(out, TermVariance)
        theirs = loop_variance(
            list(zip(*(side.tolist() for side in (k, call, call, put, put)), strict=True)),
            minutes / YEAR,
            rate,
            fit.forward,
            convention == "listed",
        )
        assert out.variance == pytest.approx(theirs, abs=1e-9, rel=1e-9)
        # VIX closed at 16.60 and VIX3M at 19.84 that day; the expiry lies between them.
        assert 16 < vix_style(out.variance) < 20.5


@pytest.mark.parametrize("expiry", [20160115, 20160318, 20161216, 20171215])
def test_an_spx_expiry_without_both_sides_at_the_forward_has_no_variance(expiry: int) -> None:
    wide = spx_chain(expiry)
    call, put = present(wide.C), present(wide.P)
    out = term_variance(wide.index.to_numpy(float), call, call, put, put, 24 * 1440, 0.004)
    assert isinstance(out, Unavailable)


def test_the_greeks_of_the_spx_file_agree_with_its_own_vols() -> None:
    # Its model and its rates are not stated, hence the width; the units (vega a point, theta a day) are seen at once.
    table = pd.read_csv(DATA / "options" / "spx_chain_20151222.csv")
    rows = table[(table.expiry == 20160219) & (table.implied_volatility > 0.01)]
    right = np.where(rows.right == "C", CALL, PUT)
    out = greeks(2035.07, rows.strike.to_numpy(float), rows.implied_volatility.to_numpy(), 59 / 365, 0.0, right)
    assert np.max(np.abs(out.delta - rows.delta)) < 0.03
    assert np.max(np.abs(out.vega - rows.vega)) < 0.2
