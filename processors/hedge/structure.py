"""A structure that a layer can open: its legs at prices that can be dealt on, what it can lose, and how it moves.

A leg is bought at the ask, rounded up to the tick, and sold at the bid, rounded down. Prices and greeks are in vol
points a unit; one point of a VIX option is 100 USD.

No structure is naked: of each right, at least as many legs are long as short, or it is unbuildable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from processors.hedge.chain import Chain, ExpiryQuotes
from processors.pricing import CALL, PUT, Unavailable, greeks, intrinsic
from topics.hedge_rules import Costs, Sleeve
from topics.message import decimal_text, tidy

Kind = Literal["call", "call_spread", "call_credit_spread"]
Right = Literal["C", "P"]

#: US dollars for one point of one VIX option.
MULTIPLIER: Final = 100.0
_SIGN: Final[Mapping[str, int]] = {"C": CALL, "P": PUT}

#: The ticks of VIX options became pennies below 3 points and nickels from there; before, nickels and dimes (Cboe, "Why
#: VIX Index Options and Mini VIX Futures Got a Tick Update", 2022). Net prices of several legs move in pennies.
_PENNIES_FROM: Final = date(2022, 10, 3)
_TICK_CHANGES_AT: Final = 3.0
#: A quote on the tick stays where it is, whatever its last binary digits.
_TOLERANCE: Final = 1e-7


@dataclass(frozen=True, slots=True)
class Unbuildable:
    """In place of a structure: why there is none now."""

    reason: str


@dataclass(frozen=True, slots=True)
class Leg:
    """One option of a structure.

    Attributes:
        symbol: like VIX/2018-05-16/C/23.
        ratio: options for each unit, below 0 when sold.
        price: what it is bought or sold at, vol points, on the tick.
        bid, ask: the quote behind it, vol points.
        vol: implied, a decimal a year.
    """

    symbol: str
    right: Right
    strike: float
    ratio: int
    price: float
    bid: float
    ask: float
    vol: float


@dataclass(frozen=True, slots=True)
class Moves:
    """How the value of one unit moves, in vol points.

    ``delta``: per point of the future, discounted. ``gamma``: delta per point. ``vega``: per vol point of implied
    volatility. ``theta``: per *calendar* day at an unchanged future; what a future slides down its curve is not in it.
    """

    delta: float
    gamma: float
    vega: float
    theta: float


@dataclass(frozen=True, slots=True)
class Structure:
    """One unit of what a layer would open.

    Attributes:
        layer, kind: whose it is, and what.
        legs: bought legs first.
        debit: vol points paid for a unit, before fees; below 0 when it is received.
        fees: of opening a unit, vol points.
        max_loss: vol points that a unit can lose by its expiry at any settlement, fees included. Limits count this.
        max_gain: the most it can gain, vol points; None when there is no bound.
        notional: 100 x (sum of ratio x delta) x forward, USD of VX-equivalent notional; below 0 when short.
        moves: greeks of a unit.
        break_even: settlement at which a unit gives back its cost, fees included.
        extrinsic: debit less the discounted intrinsic value on the forward, vol points.
        forward: vol points; its vols are those of the legs.
        expiry, dte: final settlement date, and calendar days to it.
        executable: False when the quotes are modelled.
        source: of the quotes.
        reason: why this one, in words.
    """

    layer: Sleeve
    kind: Kind
    legs: tuple[Leg, ...]
    debit: float
    fees: float
    max_loss: float
    max_gain: float | None
    notional: float
    moves: Moves
    break_even: float
    extrinsic: float
    forward: float
    expiry: date
    dte: int
    executable: bool
    source: str
    reason: str

    @property
    def credit(self) -> float:
        """Vol points received for a unit, before fees; below 0 when it is paid."""
        return -self.debit

    @property
    def max_loss_usd(self) -> float:
        """The most that a unit can lose, USD: the premium at risk."""
        return MULTIPLIER * self.max_loss


@dataclass(frozen=True, slots=True)
class LegValue:
    """A held option at a chain's quotes.

    Attributes:
        quantity: held, below 0 when short.
        mid: vol points: the mid quote, or without one the price at the vol between the strikes around it.
        close: what it can be closed at, on the tick: the bid of a long one, the ask of a short one; None without it.
        from_quote: whether ``mid`` is a quote.
        vol: implied, a decimal a year; its own, else that between the strikes around it.
    """

    symbol: str
    quantity: float
    mid: float
    close: float | None
    from_quote: bool
    vol: float


@dataclass(frozen=True, slots=True)
class Valuation:
    """Held options together, in vol points x options; x 100 is USD.

    Attributes:
        mid: worth at mid quotes, below 0 when it would cost to be rid of them.
        close: what closing all of it brings; None when a leg has no quote on that side, or the quotes are modelled.
        notional: USD of VX-equivalent notional, each leg on the forward of its own expiry.
        extrinsic: ``mid`` less the discounted intrinsic value.
    """

    legs: tuple[LegValue, ...]
    mid: float
    close: float | None
    notional: float
    moves: Moves
    extrinsic: float


def option_symbol(expiry: date, right: Right, strike: float) -> str:
    """The symbol of a VIX option: ``VIX/2018-05-16/C/23``."""
    return f"VIX/{expiry.isoformat()}/{right}/{decimal_text(strike)}"


def tick(price: float, day: date) -> float:
    """The tick of a VIX option at a price, vol points, in a session."""
    low, high = (0.01, 0.05) if day >= _PENNIES_FROM else (0.05, 0.10)
    return low if price < _TICK_CHANGES_AT else high


def buy_at(ask: float, day: date) -> float:
    """The lowest price on the tick that is not below an ask."""
    step = tick(ask, day)
    return round(math.ceil(ask / step - _TOLERANCE) * step, 2)


def sell_at(bid: float, day: date) -> float:
    """The highest price on the tick that is not above a bid."""
    step = tick(bid, day)
    return round(math.floor(bid / step + _TOLERANCE) * step, 2)


def payoff(legs: Sequence[Leg], settlement: ArrayLike) -> NDArray[np.float64]:
    """What a unit is worth at its expiry, vol points; broadcasts over settlements."""
    s = np.asarray(settlement, dtype=np.float64)
    worth = [leg.ratio * np.maximum(_SIGN[leg.right] * (s - leg.strike), 0.0) for leg in legs]
    return np.asarray(sum(worth, np.zeros_like(s)))


def build(
    chain: Chain,
    quotes: ExpiryQuotes,
    layer: Sleeve,
    kind: Kind,
    options: Sequence[tuple[int, Right, float]],
    reason: str,
    costs: Costs | None = None,
) -> Structure | Unbuildable:
    """One unit of (ratio, right, strike) in an expiry of a chain.

    Unbuildable, with the reason: when a leg is naked, is not listed, cannot be dealt on or has no vol; when the quotes
    give something for nothing; when no settlement gains.
    """
    if naked := _naked(options):
        return Unbuildable(naked)
    legs = []
    for ratio, right, strike in sorted(options, key=lambda option: (option[0] < 0, option[2])):
        leg = _leg(quotes, right, strike, ratio, chain.session_date)
        if isinstance(leg, Unbuildable):
            return leg
        legs.append(leg)
    fees = (Costs() if costs is None else costs).fee * sum(abs(leg.ratio) for leg in legs) / MULTIPLIER
    debit = round(sum(leg.ratio * leg.price for leg in legs), 2)
    # The payoff is linear between strikes, so that its extremes are at one of them, at 0 or without bound.
    kinks = np.array([0.0, *sorted(leg.strike for leg in legs)])
    profit = payoff(legs, kinks) - debit - fees
    if not profit.min() < 0.0:
        return Unbuildable(f"{_names(legs)} cannot lose at {debit:g}: at least one quote is stale")
    slope = sum(leg.ratio for leg in legs if leg.right == "C")
    break_even = _break_even(kinks, profit, slope)
    if break_even is None:
        return Unbuildable(f"{_names(legs)} cannot gain at {debit:g} and {fees:g} of fees")
    ratios = np.array([leg.ratio for leg in legs], dtype=np.float64)
    arguments = (quotes.forward, [leg.strike for leg in legs])
    signs = [_SIGN[leg.right] for leg in legs]
    found = greeks(*arguments, [leg.vol for leg in legs], quotes.t, chain.rate, signs)
    inside = float(ratios @ intrinsic(*arguments, quotes.t, chain.rate, signs))
    delta = float(ratios @ found.delta)
    return Structure(
        layer=layer,
        kind=kind,
        legs=tuple(legs),
        debit=debit,
        fees=fees,
        max_loss=tidy(-float(profit.min())),
        max_gain=None if slope > 0 else tidy(float(profit.max())),
        notional=MULTIPLIER * delta * quotes.forward,
        moves=Moves(delta, float(ratios @ found.gamma), float(ratios @ found.vega), float(ratios @ found.theta)),
        break_even=tidy(break_even),
        extrinsic=debit - inside,
        forward=quotes.forward,
        expiry=quotes.expiry,
        dte=quotes.dte,
        executable=chain.executable,
        source=chain.source,
        reason=reason,
    )


def value(holdings: Mapping[str, float], chain: Chain) -> Valuation | Unavailable:
    """Held VIX options, ``{symbol: quantity}``, at a chain's quotes.

    An option without a two-sided quote is valued at the vol between the strikes around it; nothing is extrapolated.
    Unavailable, naming the option, when one has settled by the chain's session or cannot be valued. ValueError for a
    symbol that is no VIX option and a quantity that is not finite.
    """
    legs: list[LegValue] = []
    sums = dict.fromkeys(("mid", "intrinsic", "notional", "delta", "gamma", "vega", "theta"), 0.0)
    for symbol, quantity in sorted(holdings.items()):
        worth = chain.worth(symbol)
        if not math.isfinite(quantity):
            raise ValueError(f"the quantity of {symbol} must be a finite number, got {quantity!r}")
        if isinstance(worth, Unavailable):
            return worth
        close = _close(quantity, worth.bid, worth.ask, chain.session_date)
        quoted = worth.bid is not None and worth.ask is not None
        legs.append(LegValue(symbol, quantity, worth.mid, close, quoted, worth.vol))
        sums["notional"] += MULTIPLIER * quantity * worth.delta * worth.forward
        for name in ("mid", "intrinsic", "delta", "gamma", "vega", "theta"):
            sums[name] += quantity * float(getattr(worth, name))
    closes = [None if leg.close is None else leg.quantity * leg.close for leg in legs]
    there = [close for close in closes if close is not None]
    return Valuation(
        legs=tuple(legs),
        mid=sums["mid"],
        close=sum(there, 0.0) if chain.executable and len(there) == len(legs) else None,
        notional=sums["notional"],
        moves=Moves(sums["delta"], sums["gamma"], sums["vega"], sums["theta"]),
        extrinsic=sums["mid"] - sums["intrinsic"],
    )


def _naked(options: Sequence[tuple[int, Right, float]]) -> str | None:
    if not options or any(ratio == 0 for ratio, _, _ in options):
        return "a structure needs legs, each with a ratio other than 0"
    for right, name in (("C", "call"), ("P", "put")):
        of_right = [ratio for ratio, its, _ in options if its == right]
        if sum(of_right) < 0:
            return f"a short {name} without its long one is naked"
    return None


def _leg(quotes: ExpiryQuotes, right: Right, strike: float, ratio: int, day: date) -> Leg | Unbuildable:
    symbol, i = option_symbol(quotes.expiry, right, strike), quotes.at(strike)
    if i is None:
        return Unbuildable(f"{symbol} is not listed")
    bids, asks, liquid = quotes.sides(_SIGN[right])
    vol = float(quotes.vols[i])
    if not liquid[i]:
        return Unbuildable(f"{symbol} cannot be dealt on: no bid, too wide, or too little open")
    if math.isnan(vol):
        return Unbuildable(f"{symbol} has no implied vol")
    bid, ask = float(bids[i]), float(asks[i])
    price = buy_at(ask, day) if ratio > 0 else sell_at(bid, day)
    if not price > 0.0:
        return Unbuildable(f"{symbol} is bid {bid:g}, less than a tick")
    return Leg(symbol, right, strike, ratio, price, bid, ask, vol)


def _break_even(kinks: NDArray[np.float64], profit: NDArray[np.float64], slope: int) -> float | None:
    """The lowest settlement at which the profit changes its sign; beyond the last kink it rises by ``slope``."""
    for i in range(len(kinks) - 1):
        here, following = float(profit[i]), float(profit[i + 1])
        if here * following < 0.0:
            return float(kinks[i]) + float(kinks[i + 1] - kinks[i]) * (here / (here - following))
    last = float(profit[-1])
    return float(kinks[-1]) - last / slope if slope > 0 and last < 0.0 else None


def _close(quantity: float, bid: float | None, ask: float | None, day: date) -> float | None:
    if quantity >= 0:
        return None if bid is None else sell_at(bid, day)
    return None if ask is None else buy_at(ask, day)


def _names(legs: Sequence[Leg]) -> str:
    return " ".join(f"{leg.ratio:+d} {leg.symbol}" for leg in legs)
