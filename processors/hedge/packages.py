"""Contracts to trade as packages of legs, each leg at a price that can be dealt at.

All legs of a package are dealt together: a roll is never half done, a spread never left with its short leg alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import numpy as np

from processors.hedge.book import Kind, Lot
from processors.hedge.futures import MULTIPLIER
from processors.hedge.openings import Opening, Openings
from processors.hedge.plan import SLOTS, Plan
from processors.hedge.structure import MULTIPLIER as OPTION_MULTIPLIER
from processors.hedge.structure import Leg, buy_at, payoff, sell_at
from processors.pricing import CALL, Unavailable
from topics.calibration import HedgeRules
from topics.hedge_rules import Sleeve
from topics.instrument import Instrument, parse_symbol
from topics.message import tidy
from topics.rebalance import Greeks, Package, Trade

#: Ticks of VX, vol points: of one contract, and of the legs of a spread (CFE rule 1202).
_TICK: Final = 0.05
_SPREAD_TICK: Final = 0.01
_TOLERANCE: Final = 1e-7
#: Calendar days to expiry up to which options of Layer 3 are its tail: the gap between two tenors begins there.
_NEAR: Final = 62


@dataclass(frozen=True, slots=True)
class _Quote:
    """What a leg is worth, what it can be dealt at, and how it moves."""

    price: float
    limit: float | None
    multiplier: float
    greeks: Greeks | None


def pack(
    rules: HedgeRules, openings: Openings, found: Plan, today: date
) -> tuple[tuple[Package, ...], tuple[Trade, ...]]:
    """The packages of a plan and their legs, sales first, then by expiry."""
    packages: list[Package] = []
    legs: list[Trade] = []
    for sleeve, moves in found.moves.items():
        for group in _groups(sleeve, moves, today):
            part = {symbol: moves[symbol] for symbol in group}
            trades = [_leg(openings, found, sleeve, symbol, move, part, len(packages)) for symbol, move in part.items()]
            packages.append(_package(rules, openings, found, sleeve, part, trades))
            legs += trades
    legs.sort(key=lambda leg: (leg.side == "buy", leg.expiry is not None, leg.expiry, leg.symbol))
    return tuple(packages), tuple(legs)


def _groups(sleeve: Sleeve, moves: Mapping[str, tuple[int, int]], today: date) -> Iterator[list[str]]:
    """Symbols that are traded as one: futures apart from notes; options that are opened with those that are closed."""
    if sleeve == "L3":
        # What is near to its expiry is the tail, a trade of its own.
        near = {s: move for s, move in moves.items() if _days(s, today) <= _NEAR}
        if near and len(near) < len(moves):
            yield from _groups(sleeve, near, today)
            yield from _groups(sleeve, {s: move for s, move in moves.items() if s not in near}, today)
            return
    notes = [symbol for symbol in moves if parse_symbol(symbol).expiry is None]
    rest = [symbol for symbol in moves if symbol not in notes]
    grows = any(abs(after) > abs(before) for before, after in (moves[symbol] for symbol in rest))
    falls = any(abs(after) < abs(before) for before, after in (moves[symbol] for symbol in rest))
    if grows and falls:
        yield rest
    else:
        by_expiry: dict[object, list[str]] = {}
        for symbol in rest:
            by_expiry.setdefault(parse_symbol(symbol).expiry, []).append(symbol)
        yield from by_expiry.values()
    if notes:
        yield notes


def _days(symbol: str, today: date) -> int:
    expiry = parse_symbol(symbol).expiry
    return 0 if expiry is None else (expiry - today).days


def _leg(
    openings: Openings,
    found: Plan,
    sleeve: Sleeve,
    symbol: str,
    move: tuple[int, int],
    part: Mapping[str, tuple[int, int]],
    package: int,
) -> Trade:
    before, after = move
    quantity = abs(after - before)
    quote = _quote(openings, found, sleeve, symbol, after > before, len(part) > 1)
    return Trade(
        layer=sleeve,
        symbol=symbol,
        side="buy" if after > before else "sell",
        quantity=quantity,
        held=before,
        target=after,
        price=tidy(quote.price),
        notional=quantity * quote.multiplier * quote.price,
        limit=None if quote.limit is None else tidy(quote.limit),
        expiry=parse_symbol(symbol).expiry,
        greeks=quote.greeks,
        package=package,
    )


def _quote(openings: Openings, found: Plan, sleeve: Sleeve, symbol: str, buys: bool, spread: bool) -> _Quote:
    instrument = parse_symbol(symbol)
    if instrument.expiry is None:
        return _Quote(openings.notes[symbol].price, None, 1.0, None)
    if instrument.kind == "future":
        price = _future_price(openings, found, sleeve, symbol)
        multiplier = MULTIPLIER[instrument.root]
        tick = _SPREAD_TICK if spread else _TICK
        rounded = math.ceil(price / tick - _TOLERANCE) if buys else math.floor(price / tick + _TOLERANCE)
        moves = Greeks(delta=multiplier, gamma=0.0, vega=0.0, theta=0.0)
        return _Quote(price, round(rounded * tick, 2), multiplier, moves)
    return _option(openings, instrument, buys)


def _future_price(openings: Openings, found: Plan, sleeve: Sleeve, symbol: str) -> float:
    for contract in openings.futures:
        if contract.symbol == symbol:
            return contract.price
    held = (lot.prices[symbol] for lot in found.held.layers.get(sleeve, ()) if symbol in lot.prices)
    return next(held)


def _option(openings: Openings, option: Instrument, buys: bool) -> _Quote:
    chain = openings.chain
    assert option.expiry is not None
    assert option.strike is not None
    assert chain is not None
    mark = chain.mark(option.expiry, CALL, option.strike)
    if isinstance(mark, Unavailable):
        raise ValueError(f"{option.symbol} was sized without a price: {mark.reason}")
    side = mark.ask if buys else mark.bid
    limit = None if side is None else buy_at(side, chain.session_date) if buys else sell_at(side, chain.session_date)
    if limit == 0.0:
        limit = None  # bid at less than a tick: nobody can sell there
    known = openings.moves.of(chain)
    if option.symbol not in known:
        names = ("delta", "gamma", "vega", "theta")
        known[option.symbol] = Greeks(**{name: tidy(OPTION_MULTIPLIER * float(getattr(mark, name))) for name in names})
    return _Quote(mark.mid, limit, OPTION_MULTIPLIER, known[option.symbol])


def _package(
    rules: HedgeRules,
    openings: Openings,
    found: Plan,
    sleeve: Sleeve,
    part: Mapping[str, tuple[int, int]],
    trades: Sequence[Trade],
) -> Package:
    grown = {s: after - before for s, (before, after) in part.items() if abs(after) > abs(before)}
    shrunk = [symbol for symbol, (before, after) in part.items() if abs(after) < abs(before)]
    action: Literal["open", "close", "roll"] = "roll" if grown and shrunk else "open" if grown else "close"
    options = any(parse_symbol(symbol).kind == "option" for symbol in part)
    limits = {leg.symbol: leg.limit for leg in trades}
    bought = _bought(rules, grown, {leg.symbol: leg.price if leg.limit is None else leg.limit for leg in trades})
    return Package(
        layer=sleeve,
        action=action,
        kind=_kind(grown or dict.fromkeys(shrunk, 1), found, sleeve, bool(grown)),
        units=math.gcd(*grown.values()) if grown else 0,
        debit=bought.debit if options and grown else None,
        max_loss=bought.max_loss if options and grown else None,
        max_gain=bought.max_gain if options and grown else None,
        break_even=bought.break_even if options and grown else None,
        executable=not options
        or (openings.chain is not None and openings.chain.executable and None not in limits.values()),
        reason=_reason(openings, found, sleeve, grown, shrunk),
    )


@dataclass(frozen=True, slots=True)
class _Bought:
    debit: float | None = None
    max_loss: float | None = None
    max_gain: float | None = None
    break_even: float | None = None


def _bought(rules: HedgeRules, grown: Mapping[str, int], prices: Mapping[str, float]) -> _Bought:
    """What the opened calls cost a unit, and the most that all of them lose and gain by expiry."""
    options = {s: n for s, n in grown.items() if parse_symbol(s).kind == "option"}
    if not options:
        return _Bought()
    units = math.gcd(*options.values())
    legs = []
    for symbol, quantity in sorted(options.items()):
        strike = parse_symbol(symbol).strike
        assert strike is not None
        p = prices[symbol]
        legs.append(Leg(symbol, "C", strike, quantity // units, p, p, p, 0.0))
    fees = rules.costs.fee * sum(abs(leg.ratio) for leg in legs) / OPTION_MULTIPLIER
    debit = round(sum(leg.ratio * leg.price for leg in legs), 4)
    kinks = np.array([0.0, *sorted(leg.strike for leg in legs)])
    profit = payoff(legs, kinks) - debit - fees
    slope = sum(leg.ratio for leg in legs)
    size = OPTION_MULTIPLIER * units
    lowest = min(leg.strike for leg in legs)
    at = lowest + abs(debit + fees)
    simple = len(legs) <= 2 and slope >= 0
    return _Bought(
        debit=debit,
        max_loss=max(0.0, -float(profit.min())) * size,
        max_gain=None if slope > 0 else float(profit.max()) * size,
        break_even=tidy(at) if simple and at > 0 else None,
    )


def _kind(symbols: Mapping[str, int], found: Plan, sleeve: Sleeve, grown: bool) -> Kind:
    instruments = [parse_symbol(symbol) for symbol in symbols]
    if all(instrument.kind == "future" for instrument in instruments):
        return "future"
    if all(instrument.expiry is None for instrument in instruments):
        return "note"
    if not grown:
        kinds = {lot.kind for lot in _lots(found, sleeve, list(symbols))}
        return kinds.pop() if len(kinds) == 1 else "mixed"
    bought = [i.strike or 0.0 for i in instruments if symbols[i.symbol] > 0]
    sold = [i.strike or 0.0 for i in instruments if symbols[i.symbol] < 0]
    if not sold:
        return "call"
    if not bought:
        return "mixed"
    return "call_credit_spread" if min(sold) < min(bought) else "call_spread"


def _reason(
    openings: Openings, found: Plan, sleeve: Sleeve, grown: Mapping[str, int], shrunk: Sequence[str]
) -> str:
    parts: list[str] = []
    for lot in _lots(found, sleeve, shrunk):
        parts.append(f"{lot.name}: {lot.close or ('rolled' if lot.roll and grown else 'reduced')}")
    opened = [_opening(openings, sleeve, symbol) for symbol in grown]
    reasons = sorted({opening.reason for opening in opened if opening is not None})
    if grown and not reasons:
        reasons = ["as advised earlier in the session"]
    return "; ".join(parts + reasons) or "reduced"


def _lots(found: Plan, sleeve: Sleeve, symbols: Sequence[str]) -> list[Lot]:
    wanted = set(symbols)
    return [lot for lot in found.held.layers.get(sleeve, ()) if wanted & {symbol for symbol, _ in lot.ratios}]


def _opening(openings: Openings, sleeve: Sleeve, symbol: str) -> Opening | None:
    for slot in SLOTS[sleeve]:
        opening = openings.found.get(slot)
        if opening is not None and symbol in dict(opening.ratios):
            return opening
    return None



