"""The hedge in lines: its futures and option legs, valued all at once under other market figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from processors.hedge.weights import SLEEVES
from processors.pricing import DAYS_PER_YEAR, price
from processors.signals.statistic import finite, positive
from topics.hedge_rules import Sleeve

FloatArray: TypeAlias = NDArray[np.float64]

FUTURE: Final = 0
"""The `right` of a future, beside +1 of a call and -1 of a put."""


@dataclass(frozen=True, slots=True)
class Line:
    """One future or one option leg of the hedge.

    Attributes:
        layer: the layer it belongs to.
        quantity: contracts, negative when short.
        multiplier: USD of one point (VX 1000, VXM and VIX options 100).
        forward: price of the VX future of its expiry, vol points.
        dte: calendar days to expiry, above 0.
        right: 0 for a future, +1 for a call, -1 for a put.
        strike: vol points; options only.
        vol: vol of the option, decimal a year; options only.
        rate: continuous rate to its expiry, decimal a year.
        engine: contracts of `quantity` that the second engine added, of the same sign.

    Raises ValueError for a figure out of range, NaN or infinite.
    """

    layer: Sleeve
    quantity: float
    multiplier: float
    forward: float
    dte: float
    right: Literal[0, 1, -1] = 0
    strike: float | None = None
    vol: float | None = None
    rate: float = 0.0
    engine: float = 0.0

    def __post_init__(self) -> None:
        sound = math.isfinite(self.quantity + self.rate) and min(self.multiplier, self.forward, self.dte) > 0.0
        if not (sound and math.isfinite(self.multiplier + self.forward + self.dte)):
            finite(self.quantity, "quantity")
            finite(self.rate, "rate")
            for name in ("multiplier", "forward", "dte"):
                positive(getattr(self, name), name)
        if self.right not in (FUTURE, 1, -1):
            raise ValueError(f"right must be 0 (future), +1 (call) or -1 (put), got {self.right!r}")
        if (self.right == FUTURE) != (self.strike is None) or (self.right == FUTURE) != (self.vol is None):
            raise ValueError(f"an option has strike and vol, a future neither, got {self.strike!r} and {self.vol!r}")
        if self.strike is not None and self.vol is not None:
            positive(self.strike, "strike")
            if finite(self.vol, "vol") < 0:
                raise ValueError(f"vol must be at least 0, got {self.vol!r}")
        if finite(self.engine, "engine") * self.quantity < 0 or abs(self.engine) > abs(self.quantity):
            raise ValueError(f"engine must be a part of the quantity {self.quantity!r}, got {self.engine!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The hedge in columns, one entry a line; `strike` and `vol` of a future are placeholders that nothing reads."""

    layer: tuple[Sleeve, ...]
    quantity: FloatArray
    multiplier: FloatArray
    forward: FloatArray
    dte: FloatArray
    right: FloatArray
    strike: FloatArray
    vol: FloatArray
    rate: FloatArray
    engine: FloatArray

    @classmethod
    def of(cls, lines: Iterable[Line]) -> Self:
        """The columns of these lines."""
        rows = tuple(lines)
        table = np.array(
            [
                (
                    row.quantity,
                    row.multiplier,
                    row.forward,
                    row.dte,
                    row.right,
                    row.forward if row.strike is None else row.strike,
                    0.0 if row.vol is None else row.vol,
                    row.rate,
                    row.engine,
                )
                for row in rows
            ],
            dtype=np.float64,
        )
        return cls(tuple(row.layer for row in rows), *np.ascontiguousarray(table.reshape(len(rows), 9).T))

    def __len__(self) -> int:
        return len(self.layer)

    def contracts(self) -> list[tuple[float, ...]]:
        """What one contract of each line is: all of its figures but layer and quantities."""
        columns = (self.multiplier, self.forward, self.dte, self.right, self.strike, self.vol, self.rate)
        return list(zip(*(each.tolist() for each in columns), strict=True))

    def take(self, which: Sequence[int]) -> Self:
        """Some of the lines, in the order of their places."""
        of = {each.name: getattr(self, each.name)[which] for each in fields(self) if each.name != "layer"}
        return replace(self, layer=tuple(self.layer[i] for i in which), **of)

    @property
    def option(self) -> NDArray[np.bool_]:
        """Which lines are options."""
        return np.asarray(self.right != FUTURE)

    def points(self, forward: FloatArray, vol: FloatArray, dte: FloatArray) -> FloatArray:
        """Price of one contract of each line, vol points, under other market figures; broadcasts over leading axes.

        A future is worth its forward, an option its Black-76 premium.
        """
        shape = np.broadcast_shapes(forward.shape, vol.shape, dte.shape, self.right.shape)
        worth = np.broadcast_to(forward, shape).copy()
        option = self.option
        if option.any():
            f, v, d = (np.broadcast_to(x, shape)[..., option] for x in (forward, vol, dte))
            worth[..., option] = price(
                f, self.strike[option], v, d / DAYS_PER_YEAR, self.rate[option], self.right[option]
            )
        return worth

    def by_layer(self, amounts: FloatArray) -> dict[Sleeve, float]:
        """Amounts of the lines added up by layer; a layer without lines has 0."""
        listed: list[float] = amounts.tolist()
        found: dict[Sleeve, list[float]] = {sleeve: [] for sleeve in SLEEVES}
        for layer, amount in zip(self.layer, listed, strict=True):
            found[layer].append(amount)
        return {sleeve: math.fsum(found[sleeve]) for sleeve in SLEEVES}


def column(values: Iterable[float]) -> FloatArray:
    """One number a line, or a scenario."""
    return np.array(list(values), dtype=np.float64)
