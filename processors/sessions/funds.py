"""Published figures of volatility products, and the volume of VX contracts, each from the moment it was public."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, Literal

from topics.flows import Flow
from topics.instrument import ETPS, parse_symbol
from topics.regime import FundFigure
from topics.times import DAY

#: A figure that was not published again within this is forgotten.
MAX_AGE: Final = 10 * DAY
#: VX contracts are listed for less than a year; a volume of one beyond this many calendar days is of none that trades.
_FARTHEST: Final = 400
#: What a product publishes; ``aum`` is of the session ``nav_date``, and the two go together.
_FIGURES: Final = ("leverage", "aum", "nav", "volume")


class Funds:
    """The newest of each figure by product, and the newest volume by VX contract.

    Figures of one product come in messages of their own: each is replaced by a newer one of its kind alone.
    """

    def __init__(self) -> None:
        self._newest: dict[str, dict[str, tuple[int, float, date | None]]] = {}

    def apply(self, flow: Flow, day: date) -> Literal["used", "unfollowed", "superseded"]:
        """Take up a figure that came on ``day`` and say what became of it: ``unfollowed`` has nothing of interest."""
        names = _FIGURES if flow.symbol in ETPS else ("volume",) if _listed(flow.symbol, day) else ()
        stated = [name for name in names if getattr(flow, name) is not None]
        if not stated:
            return "unfollowed"
        newer = [name for name in stated if self._ts(flow.symbol, name) < flow.event_ts]
        figures = self._newest.setdefault(flow.symbol, {})
        for name in newer:
            figures[name] = (flow.event_ts, getattr(flow, name), flow.nav_date if name == "aum" else None)
        return "used" if newer else "superseded"

    def _ts(self, symbol: str, name: str) -> int:
        known = self._newest.get(symbol, {}).get(name)
        return 0 if known is None else known[0]

    def figures(self, ts: int, price: Callable[[str], float | None]) -> tuple[FundFigure, ...]:
        """The products that have published leverage, assets or value, at ``ts``, ns, with their ``price`` by symbol."""
        found = []
        for symbol in sorted(ETPS & self._newest.keys()):
            known = self._known(symbol, ts)
            if known.keys() & {"leverage", "aum", "nav"}:
                figures = {name: value for name, (_, value, _) in known.items()}
                nav_date = known["aum"][2] if "aum" in known else None
                found.append(FundFigure(symbol=symbol, nav_date=nav_date, price=price(symbol), **figures))
        return tuple(found)

    def volumes(self, ts: int, day: date) -> dict[str, float]:
        """Average daily volume of the VX contracts that settle after ``day``, contracts, by symbol."""
        found = {}
        for symbol in sorted(self._newest.keys() - ETPS):
            known = self._known(symbol, ts)
            if _listed(symbol, day) and "volume" in known:
                found[symbol] = known["volume"][1]
        return found

    def _known(self, symbol: str, ts: int) -> dict[str, tuple[int, float, date | None]]:
        return {name: figure for name, figure in self._newest[symbol].items() if ts - figure[0] <= MAX_AGE}

    def forget(self, ts: int, day: date) -> None:
        """Drop figures that are too old at ``ts``, ns, and contracts that have settled by ``day``."""
        kept = {symbol: self._known(symbol, ts) for symbol in self._newest if symbol in ETPS or _listed(symbol, day)}
        self._newest = {symbol: figures for symbol, figures in kept.items() if figures}

    def snapshot(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            symbol: {name: [ts, value, day and day.isoformat()] for name, (ts, value, day) in figures.items()}
            for symbol, figures in self._newest.items()
        }

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> Funds:
        """The figures that gave ``saved``."""
        funds = cls()
        funds._newest = {
            symbol: {name: (ts, value, day and date.fromisoformat(day)) for name, (ts, value, day) in figures.items()}
            for symbol, figures in saved.items()
        }
        return funds


def _listed(symbol: str, day: date) -> bool:
    """Whether a symbol is that of a VX contract that can be live after a day."""
    try:
        instrument = parse_symbol(symbol)
    except ValueError:
        return False
    if instrument.root != "VX" or instrument.kind != "future" or instrument.expiry is None:
        return False
    return 0 < (instrument.expiry - day).days <= _FARTHEST
