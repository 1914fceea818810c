"""A book of contracts that is filled, marked and settled, and what each layer earns by it.

What a layer earns in a session is the change of the marks of what it carried in, plus what it dealt in the session
against the new marks, less fees. Summed over sessions that is the value of what it holds plus all cash it was paid, to
the cent: nothing is earned twice and nothing between two sessions is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from processors.hedge.weights import SLEEVES
from topics.hedge_rules import Sleeve
from topics.instrument import parse_symbol

#: A holding: one symbol of one layer.
Key = tuple[Sleeve, str]


@dataclass(frozen=True, slots=True)
class Fill:
    """Contracts that change hands.

    Attributes:
        quantity: contracts or shares, below 0 when sold.
        price: vol points; USD for shares.
        multiplier: USD of one point of one contract.
        fee: USD for all of them.
    """

    layer: Sleeve
    symbol: str
    quantity: int
    price: float
    multiplier: float
    fee: float = 0.0


@dataclass(frozen=True, slots=True)
class Earned:
    """What a layer earned in a session, USD, and what stands behind it.

    Attributes:
        carried: change of the marks of what was held from the session before.
        dealt: what was dealt in the session, against the marks at its end: mostly what the quotes cost.
        fees: paid.
        unmarked: contracts that had no price and kept their last mark.
        settled: contracts that were held at their expiry.
    """

    carried: float = 0.0
    dealt: float = 0.0
    fees: float = 0.0
    unmarked: int = 0
    settled: int = 0

    @property
    def pnl(self) -> float:
        """All of it, USD."""
        return self.carried + self.dealt - self.fees


@dataclass(slots=True)
class _Holding:
    multiplier: float
    quantity: int = 0
    carried: int = 0
    mark: float | None = None
    dealt: list[tuple[int, float]] = field(default_factory=list)


class Ledger:
    """Holdings and cash by layer. It begins empty."""

    def __init__(self) -> None:
        self._held: dict[Key, _Holding] = {}
        self._fees: dict[Sleeve, float] = dict.fromkeys(SLEEVES, 0.0)
        self._cash: dict[Sleeve, float] = dict.fromkeys(SLEEVES, 0.0)

    @property
    def cash(self) -> dict[Sleeve, float]:
        """Received less paid since the beginning, USD by layer, fees included."""
        return dict(self._cash)

    @property
    def quantities(self) -> dict[Key, int]:
        """Contracts held, signed."""
        return {key: held.quantity for key, held in self._held.items() if held.quantity}

    @property
    def symbols(self) -> set[str]:
        """Symbols held, and those dealt in this session though nothing is left of them."""
        return {symbol for _, symbol in self._held}

    def value(self) -> dict[Sleeve, float]:
        """What is held at its marks, USD by layer; what was never marked counts at its last fill."""
        found: dict[Sleeve, float] = dict.fromkeys(SLEEVES, 0.0)
        for (layer, _), held in self._held.items():
            found[layer] += held.quantity * held.multiplier * _last(held)
        return found

    def fill(self, fill: Fill) -> None:
        """Book a fill: cash moves now, what it earned shows at the end of the session."""
        held = self._held.setdefault((fill.layer, fill.symbol), _Holding(fill.multiplier))
        held.quantity += fill.quantity
        held.dealt.append((fill.quantity, fill.price))
        self._cash[fill.layer] -= fill.quantity * fill.price * fill.multiplier + fill.fee
        self._fees[fill.layer] += fill.fee

    def expiring(self, today: date) -> list[str]:
        """Symbols held whose expiry has come, sorted."""
        return sorted({symbol for _, symbol in self.quantities if _expired(symbol, today)})

    def close(
        self, prices: Mapping[str, float], settlements: Mapping[str, float | None] | None = None
    ) -> dict[Sleeve, Earned]:
        """End a session: what each layer earned in it.

        Args:
            prices: marks by symbol. A holding without one keeps its last mark.
            settlements: those that settle now, with what a contract is worth then, in points; None: its last mark.
        """
        settling = settlements or {}
        carried, dealt = dict.fromkeys(SLEEVES, 0.0), dict.fromkeys(SLEEVES, 0.0)
        unmarked, settled = dict.fromkeys(SLEEVES, 0), dict.fromkeys(SLEEVES, 0)
        for (layer, symbol), held in list(self._held.items()):
            price = settling[symbol] if symbol in settling else prices.get(symbol)
            mark = _last(held) if price is None else price
            if held.mark is not None:
                carried[layer] += held.carried * (mark - held.mark) * held.multiplier
            dealt[layer] += sum(quantity * (mark - at) for quantity, at in held.dealt) * held.multiplier
            if price is None:
                unmarked[layer] += abs(held.quantity)
            if symbol in settling:
                self._cash[layer] += held.quantity * mark * held.multiplier
                settled[layer] += abs(held.quantity)
                held.quantity = 0
            held.mark, held.carried, held.dealt = mark, held.quantity, []
            if not held.quantity:
                del self._held[layer, symbol]
        fees, self._fees = self._fees, dict.fromkeys(SLEEVES, 0.0)
        return {s: Earned(carried[s], dealt[s], fees[s], unmarked[s], settled[s]) for s in SLEEVES}


def _last(held: _Holding) -> float:
    """The last price known: of the newest fill since the last mark, where there was none yet."""
    return held.mark if held.mark is not None else held.dealt[-1][1]


def _expired(symbol: str, today: date) -> bool:
    expiry = parse_symbol(symbol).expiry
    return expiry is not None and expiry <= today
