"""A portfolio with what is remembered of it, as one document of few bytes.

Defaults and the name, which the document's key states, are left out; holdings, premiums and weights are rows:

==============  ====================================================================
``positions``   ``[symbol, quantity, layer, price]``, what is missing at the end left out
``premiums``    ``[day, USD]``
``targets``     weights of L1, L2, L3, TT and R
==============  ====================================================================

A default that changes is another version: what was left out would come back as something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from processors.hedge.memory import Memory
from topics.message import LAYERS, tidy
from topics.portfolio import Portfolio, Position

#: Version of documents that hold portfolio and memory as they are, nothing left out.
_WHOLE: Final = 3

_ROWS: Final = frozenset({"positions", "premiums", "targets"})

_MARKET: Final = Portfolio.model_fields["market"].default


class Held(NamedTuple):
    """A portfolio's newest snapshot, and what is remembered of it."""

    portfolio: Portfolio
    memory: Memory

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        portfolio = self.portfolio.model_dump(
            mode="json", exclude_defaults=True, exclude={"portfolio_id", "positions"}
        )
        if self.portfolio.positions:
            portfolio["positions"] = _rows(self.portfolio.positions)
        remembered = self.memory
        memory = remembered.model_dump(mode="json", exclude_defaults=True, exclude=set(_ROWS))
        if remembered.positions is not None:
            memory["positions"] = _rows(remembered.positions)
        if remembered.premiums:
            memory["premiums"] = [[each.day.isoformat(), _short(round(each.paid, 2))] for each in remembered.premiums]
        if remembered.targets is not None:
            weights = remembered.targets
            memory["targets"] = [tidy(weights[layer]) if layer in weights else None for layer in LAYERS]
        return {"portfolio": portfolio, "memory": memory}

    @classmethod
    def read(cls, name: str, saved: Mapping[str, Any]) -> Held:
        """What gave ``saved`` under the name. ValueError, TypeError or KeyError when nothing did."""
        portfolio, memory = saved["portfolio"], saved["memory"]
        if saved["version"] == _WHOLE:
            return cls(Portfolio.model_validate(_tuples(portfolio)), Memory.model_validate(_tuples(memory)))
        given = {**portfolio, "portfolio_id": name, "positions": _positions(portfolio.get("positions", ()))}
        remembered = dict(memory)
        if "positions" in memory:
            remembered["positions"] = _positions(memory["positions"])
        if "premiums" in memory:
            remembered["premiums"] = tuple({"day": day, "paid": paid} for day, paid in memory["premiums"])
        if "targets" in memory:
            weights = zip(LAYERS, memory["targets"], strict=True)
            remembered["targets"] = {layer: weight for layer, weight in weights if weight is not None}
        return cls(Portfolio.model_validate(given), Memory.model_validate(_tuples(remembered)))


def market_of(saved: Mapping[str, Any]) -> str:
    """The market of the portfolio in a document. ValueError when it names none."""
    market = saved["portfolio"].get("market", _MARKET)
    if not isinstance(market, str):
        raise ValueError(f"market {market!r} is no name")
    return market


def _rows(positions: Iterable[Position]) -> list[list[Any]]:
    return [_row(position) for position in positions]


def _row(position: Position) -> list[Any]:
    row: list[Any] = [position.symbol, _short(position.quantity)]
    if position.layer is not None or position.price is not None:
        row.append(position.layer)
    if position.price is not None:
        row.append(_short(position.price))
    return row


def _positions(rows: Iterable[Iterable[Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(dict(zip(("symbol", "quantity", "layer", "price"), row, strict=False)) for row in rows)


def _short(number: float) -> float | int:
    """A whole number without its ``.0``."""
    return int(number) if number.is_integer() else number


def _tuples(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with its lists as the tuples that strict fields ask for."""
    return {name: _tupled(value) for name, value in document.items()}


def _tupled(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_tupled, value))
    return _tuples(value) if isinstance(value, dict) else value
