"""A modelled option chain from the VX curve, where no chain is available. Modelled values, not market data.

Level: the vol of a VX future of 30 days follows VVIX, the model-free vol of VIX options over 30 days.

Tenor: a future moves less the further its expiry is (P. Samuelson, "Proof that properly anticipated prices fluctuate
randomly", 1965). With the vol of a future tau years before its expiry s(tau)^2 = s0^2 [f^2 + (1 - f^2) exp(-2 a tau)],
an option to the same expiry has the mean of that over its life: s0^2 [f^2 + (1 - f^2) (1 - exp(-2 a T)) / (2 a T)].
a = 5.6 and f = 0.35 are a least-squares fit to the standard deviations of daily settlement changes of monthly VX
futures, by days to expiry from 8 to 270, April 2007 to December 2013. Against 30 days it leaves 73 % of the vol at 110
days and 60 % at 220. It meets those deviations within 11 % to 240 days and is 21 % too low beyond; on 2014 to 2018,
which took no part in the fit, it meets them within 28 %. What futures did stands here for what options imply.

Strike: vols rise with ln(K/F), by the surface of J. Gatheral and A. Jacquier, "Arbitrage-free SVI volatility surfaces",
Quantitative Finance 14 (2014): with w = vol^2 T, theta its value at the money and k = ln(K/F),
w = theta/2 [1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2)], phi = eta / sqrt(theta (1 + theta)). While
eta (1 + abs(rho)) <= 2 there is no butterfly arbitrage at any level. rho = 0.8 and eta = 0.62 are choices, set by eye:
they stand for no fit to recorded VIX options. Vols rise from K = F exp(-2 rho / phi) on; below it, deep in the money
for a call, they rise again slowly.

The vol at the money is 0.96 of VVIX: with this skew the strip of 30 days then has a model-free vol within 2 %
of VVIX from 60 to 120, and 4 % below it at 180.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from processors.hedge.chain import MODEL, Chain, ExpiryQuotes, liquid
from processors.pricing import CALL, MINUTES_PER_YEAR, PUT, price
from processors.signals.curve import VxCurve
from processors.signals.surface import minutes_to
from topics.hedge_rules import ChainRules
from topics.message import Market
from topics.option_chain import DECIMALS, ChainExpiry, OptionChain, Premiums

Floats = NDArray[np.float64]

_THIRTY_DAYS: Final = 30 / 365
#: Strikes by (first, step): 1 point apart to 30, 2.5 to 50, 5 to 100 and 10 to 200, as VIX options of the serial months
#: were listed in 2012 and 2013. The exchange's rules allow less between two strikes (0.50 below 15, 1 below 200).
_BANDS: Final = ((9.0, 1.0), (30.0, 2.5), (50.0, 5.0), (100.0, 10.0))
_LAST: Final = 200.0
#: Half points from 10 to 15, in the near-term month only (Cboe, May 2014).
_HALVES: Final = (10.5, 11.5, 12.5, 13.5, 14.5)
_NEAR_DTE: Final = 35


@dataclass(frozen=True, slots=True)
class ChainModel:
    """Constants of the model.

    Attributes:
        vvix: stands in for VVIX when it is missing, vol points; near its median from 2006 to 2019, 87.
        atm_share: vol at the money of a 30-day option, as a share of VVIX.
        speed: a, a year.
        floor: f, the share of the vol that stays however far the expiry is.
        rho, eta: skew and curvature over strikes.
        half_spread: half of bid to ask, as a share of the premium ...
        half_spread_min: ... and at least this, vol points; an option worth less has no bid.
    """

    vvix: float = 90.0
    atm_share: float = 0.96
    speed: float = 5.6
    floor: float = 0.35
    rho: float = 0.8
    eta: float = 0.62
    half_spread: float = 0.03
    half_spread_min: float = 0.02

    def __post_init__(self) -> None:
        for name in ("vvix", "atm_share", "speed", "half_spread_min"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a finite number above 0, got {getattr(self, name)!r}")
        for name in ("floor", "half_spread"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)!r}")
        if not (0.0 < self.rho < 1.0 and 0.0 < self.eta * (1.0 + self.rho) <= 2.0):
            raise ValueError(
                f"rho must lie between 0 and 1 and eta x (1 + rho) be above 0 and at most 2, got {self.rho}, {self.eta}"
            )

    def atm_vol(self, t: float, vvix: float | None) -> float:
        """Vol at the money of an option of ``t`` years on the future of its expiry, a decimal a year."""
        level = self.vvix if vvix is None else vvix
        if not 0.0 < level < math.inf:
            raise ValueError(f"vvix must be a finite number above 0, got {level!r}")
        if not 0.0 < t < math.inf:
            raise ValueError(f"t must be a finite number above 0, got {t!r}")
        return self.atm_share * level / 100.0 * math.sqrt(self._variance(t) / self._variance(_THIRTY_DAYS))

    def vols(self, strikes: ArrayLike, forward: float, t: float, vvix: float | None) -> Floats:
        """Vols of strikes, decimals a year."""
        theta = self.atm_vol(t, vvix) ** 2 * t
        phi = self.eta / math.sqrt(theta * (1.0 + theta))
        x = phi * np.log(np.asarray(strikes, dtype=np.float64) / forward)
        w = 0.5 * theta * (1.0 + self.rho * x + np.sqrt((x + self.rho) ** 2 + 1.0 - self.rho**2))
        return np.asarray(np.sqrt(w / t))

    def quotes(self, premiums: Floats) -> tuple[Premiums, Premiums]:
        """Bids and asks around premiums, vol points; an option that its half spread eats up has no bid."""
        half = np.maximum(self.half_spread * premiums, self.half_spread_min)
        bids, asks = np.round(premiums - half, DECIMALS).tolist(), np.round(premiums + half, DECIMALS).tolist()
        return tuple(bid if bid > 0.0 else None for bid in bids), tuple(asks)

    def _variance(self, t: float) -> float:
        """Mean variance over the life of an option, relative to that of a future at its expiry."""
        decay = 2.0 * self.speed * t
        return self.floor**2 - (1.0 - self.floor**2) * math.expm1(-decay) / decay


def strike_grid(dte: int) -> tuple[float, ...]:
    """Strikes that the model lists, by rising strike."""
    strikes: list[float] = []
    ends = [first for first, _ in _BANDS[1:]] + [_LAST + 1e-9]
    for (first, step), end in zip(_BANDS, ends, strict=True):
        strikes += np.arange(first, end, step).tolist()
    if dte <= _NEAR_DTE:
        strikes += _HALVES
    return tuple(sorted(strikes))


def model_chain(
    curve: VxCurve,
    vvix: float | None,
    event_ts: int,
    rate: float,
    market: Market = "US",
    model: ChainModel | None = None,
) -> OptionChain:
    """The modelled chain of a curve: one expiry for each of its contracts, source ``model``, four decimals.

    ``vvix`` in vol points, None when missing. ``rate`` is continuous, a decimal a year. ValueError for NaN, infinities
    and a VVIX not above 0. A contract that settles before ``event_ts`` is left out.
    """
    model = ChainModel() if model is None else model
    found = []
    for expiry, forward in zip(curve.expiries, curve.settles, strict=True):
        t = minutes_to("VIX", expiry, event_ts) / MINUTES_PER_YEAR
        if t <= 0.0:
            continue
        strikes = strike_grid((expiry - curve.session_date).days)
        vols = model.vols(strikes, forward, t, vvix)
        call_bid, call_ask = model.quotes(price(forward, strikes, vols, t, rate, CALL))
        put_bid, put_ask = model.quotes(price(forward, strikes, vols, t, rate, PUT))
        found.append(
            ChainExpiry(
                expiry=expiry,
                forward=round(forward, DECIMALS),
                quotes_ts=event_ts,
                strikes=strikes,
                call_bid=call_bid,
                call_ask=call_ask,
                put_bid=put_bid,
                put_ask=put_ask,
            )
        )
    return OptionChain(
        market=market, event_ts=event_ts, session_date=curve.session_date, source=MODEL, expiries=tuple(found)
    )


def modelled(
    curve: VxCurve, vvix: float | None, event_ts: int, rate: float, rules: ChainRules, model: ChainModel | None = None
) -> Chain:
    """The same as a chain to choose from, without the way through a message: calls alone, at the model's own vols.

    Arguments and errors as in :func:`model_chain`. Of puts nothing is quoted: no layer deals in them.
    """
    model = ChainModel() if model is None else model
    rows: list[tuple[date, int, float, float, Floats, Floats]] = []
    for expiry, settle in zip(curve.expiries, curve.settles, strict=True):
        t = minutes_to("VIX", expiry, event_ts) / MINUTES_PER_YEAR
        if t > 0.0:
            dte, forward = (expiry - curve.session_date).days, round(settle, DECIMALS)
            strikes = np.array(strike_grid(dte))
            rows.append((expiry, dte, t, forward, strikes, model.vols(strikes, forward, t, vvix)))
    found: list[ExpiryQuotes] = []
    if rows:
        sizes = [len(row[4]) for row in rows]
        forwards, times = (np.repeat([row[i] for row in rows], sizes) for i in (3, 2))
        strikes, vols = (np.concatenate([row[i] for row in rows]) for i in (4, 5))
        premiums = price(forwards, strikes, vols, times, rate, CALL)
        half = np.maximum(model.half_spread * premiums, model.half_spread_min)
        bids, asks = np.round(premiums - half, DECIMALS), np.round(premiums + half, DECIMALS)
        bids = np.where(bids > 0.0, bids, np.nan)
        ends = np.cumsum(sizes)[:-1]
        for row, bid, ask in zip(rows, np.split(bids, ends), np.split(asks, ends), strict=True):
            nothing = np.full(len(bid), np.nan)
            no_put = np.zeros(len(bid), dtype=np.bool_)
            expiry, dte, t, forward, strikes, vols = row
            calls = liquid(bid, ask, rules)
            found.append(
                ExpiryQuotes(
                    expiry, dte, t, forward, "vx", strikes, bid, ask, nothing, nothing, vols, calls, no_put
                )
            )
    return Chain(curve.session_date, event_ts, MODEL, False, float(rate), tuple(found), {})
