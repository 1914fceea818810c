"""VX futures: what one is worth, which ones a curve has, and which one a window opens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from processors.signals.curve import VxCurve
from topics.hedge_rules import LayerWindow
from topics.instrument import parse_symbol
from topics.regime import CurvePoint, Regime

#: US dollars for one vol point of one contract; the mini contract settles on the same value as VX of the same expiry.
MULTIPLIER: Final[Mapping[str, float]] = {"VX": 1000.0, "VXM": 100.0}


@dataclass(frozen=True, slots=True)
class Contract:
    """A futures contract with its price.

    ``stand_in``: the curve has no price of this expiry, and that of the nearest expiry stands in for it.
    """

    symbol: str
    expiry: date
    price: float
    multiplier: float
    stand_in: bool = False

    @property
    def unit(self) -> float:
        """Notional of one contract, USD."""
        return self.price * self.multiplier


def list_contracts(curve: Iterable[CurvePoint]) -> tuple[Contract, ...]:
    """The contracts of a curve that can be opened, by expiry."""
    found = []
    for point in curve:
        instrument = parse_symbol(point.symbol)
        if instrument.expiry is not None:
            found.append(Contract(point.symbol, instrument.expiry, point.price, MULTIPLIER["VX"]))
    return tuple(sorted(found, key=lambda contract: contract.expiry))


def vx_curve(regime: Regime) -> VxCurve:
    """The monthly contracts of a regime's curve, as the signals see them."""
    settles = {contract.expiry: contract.price for contract in list_contracts(regime.curve)}
    return VxCurve.from_settles(regime.session_date, settles)


def price(symbol: str, expiry: date, multiplier: float, contracts: Iterable[Contract]) -> Contract | None:
    """The contract with the curve's price of its expiry, else of the nearest expiry, named a stand-in; None without."""
    nearest = min(contracts, key=lambda contract: (abs((contract.expiry - expiry).days), contract.expiry), default=None)
    if nearest is None:
        return None
    return Contract(symbol, expiry, nearest.price, multiplier, stand_in=nearest.expiry != expiry)


def choose(contracts: Sequence[Contract], window: LayerWindow, session_date: date) -> Contract | None:
    """The contract in the window that is nearest to its target tenor, the earlier of two; None when there is none."""
    inside = [c for c in contracts if _inside((c.expiry - session_date).days, window)]
    return min(inside, key=lambda c: (abs((c.expiry - session_date).days - window.dte_target), c.expiry), default=None)


def _inside(dte: int, window: LayerWindow) -> bool:
    return dte >= window.dte_min and (window.dte_max is None or dte <= window.dte_max)
