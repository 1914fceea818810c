"""What contracts are worth at a committed session, and what a day's carry of one is.

Futures are worth the settlement of their own contract. Options on VIX are worth what the model of
:mod:`processors.hedge.model_chain` says on the session's curve and VVIX, the middle of the quotes that a study deals
on: a replay keeps no option quotes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from processors.hedge.carry import roll_yields
from processors.hedge.futures import MULTIPLIER, Contract, list_contracts
from processors.hedge.model_chain import ChainModel
from processors.hedge.structure import MULTIPLIER as OPTION_MULTIPLIER
from processors.pricing import CALL, MINUTES_PER_YEAR, PUT, greeks
from processors.signals.surface import minutes_to
from topics.instrument import Instrument, parse_symbol
from topics.message import feature_number
from topics.regime import Regime

_MODEL = ChainModel()


@dataclass(frozen=True, slots=True)
class Mark:
    """What a contract or share is worth, and what it earns.

    Attributes:
        price: vol points; USD for shares.
        carry: what a contract earns for its holder in a calendar day in which the curve over days to expiry stays as it
            is, USD, below 0 when it costs: the slide of the future down the curve, and for an option that of its
            forward times its delta, and its theta. 0 for shares; None without a slope to slide down.
    """

    price: float
    carry: float | None


def multiplier(symbol: str) -> float:
    """USD of one point of one contract; 1 for a share."""
    instrument = parse_symbol(symbol)
    if instrument.kind == "option":
        return OPTION_MULTIPLIER
    return MULTIPLIER.get(instrument.root, 1.0)


def marks(regime: Regime, symbols: Iterable[str]) -> dict[str, Mark]:
    """The marks of those of these symbols that a session says anything of."""
    contracts = {contract.expiry: contract for contract in list_contracts(regime.curve)}
    slides = _slides(regime.session_date, contracts)
    found: dict[str, Mark] = {}
    options: list[Instrument] = []
    for symbol in sorted(symbols):
        instrument = parse_symbol(symbol)
        if instrument.expiry is None:
            price = next((fund.price for fund in regime.funds if fund.symbol == symbol), None)
            if price is not None:
                found[symbol] = Mark(price, 0.0)
        elif instrument.expiry not in contracts:
            continue
        elif instrument.kind == "option":
            options.append(instrument)
        else:
            slide = slides.get(instrument.expiry)
            carry = None if slide is None else slide * multiplier(symbol)
            found[symbol] = Mark(contracts[instrument.expiry].price, carry)
    return found | _options(regime, contracts, slides, options)


def _slides(today: date, contracts: Mapping[date, Contract]) -> dict[date, float]:
    """Points that each future slides in a calendar day; empty without a curve of two."""
    days = [(expiry - today).days for expiry in contracts]
    prices = [contract.price for contract in contracts.values()]
    rolls = roll_yields(days, prices, days)
    if rolls is None:
        return {}
    return {expiry: p * roll for expiry, p, roll in zip(contracts, prices, rolls.tolist(), strict=True)}


def _options(
    regime: Regime, contracts: Mapping[date, Contract], slides: Mapping[date, float], options: Iterable[Instrument]
) -> dict[str, Mark]:
    vvix, free = (feature_number(regime.features, name) for name in ("vvix", "rate_free"))
    rate = float(np.log1p(free / 100.0)) if free is not None and free > -100.0 else 0.0
    rows: list[tuple[Instrument, float, float, float, float]] = []
    for option in options:
        assert option.expiry is not None
        assert option.strike is not None
        t = minutes_to("VIX", option.expiry, regime.event_ts) / MINUTES_PER_YEAR
        forward = contracts[option.expiry].price
        if t > 0.0:
            vol = float(_MODEL.vols(option.strike, forward, t, vvix))
            rows.append((option, forward, option.strike, vol, t))
    if not rows:
        return {}
    forwards, strikes, vols, times = (np.array([row[i] for row in rows]) for i in (1, 2, 3, 4))
    its = greeks(forwards, strikes, vols, times, rate, np.array([CALL if r[0].right == "C" else PUT for r in rows]))
    found: dict[str, Mark] = {}
    for row, price, delta, theta in zip(
        rows, its.price.tolist(), its.delta.tolist(), its.theta.tolist(), strict=True
    ):
        option = row[0]
        assert option.expiry is not None
        slide = slides.get(option.expiry)
        carry = None if slide is None else (delta * slide + theta) * OPTION_MULTIPLIER
        found[option.symbol] = Mark(price, carry)
    return found
