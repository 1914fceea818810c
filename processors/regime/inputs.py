"""What the regime is decided from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from topics.message import tidy


@dataclass(frozen=True, slots=True)
class RegimeInputs:
    """The features of one instant; None is missing, which is not zero and not false.

    Every number is taken at twelve significant digits, as it is published: a VIX of 28 after 20 is a change of 0.4 to
    whoever reads the event, so it must be 0.4 to the floor that asks for 0.4, whatever the last bit of ``28 / 20 - 1``.
    ValueError for NaN and infinities.

    Attributes:
        vix: VIX, vol points.
        vix_change: relative change of VIX against the last committed close; 0.4 is +40 %.
        ratio: VIX / VIX3M.
        rv21: realised volatility of the SPX over 21 returns, percent a year.
        vvix: VVIX, vol points.
        inverted: whether VX1 is above VX2.
    """

    vix: float | None = None
    vix_change: float | None = None
    ratio: float | None = None
    rv21: float | None = None
    vvix: float | None = None
    inverted: bool | None = None

    def __post_init__(self) -> None:
        for name in ("vix", "vix_change", "ratio", "rv21", "vvix"):
            value = getattr(self, name)
            if value is None:
                continue
            if not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number or missing, got {value!r}")
            object.__setattr__(self, name, tidy(value))
