"""What the hedge would gain and lose, layer by layer, if volatility moved at once.

A scenario moves spot VIX. Each VX future moves by a share of that which falls with its days to expiry, since spot
volatility is expected to come back; each option is revalued by Black-76 on the future of its own expiry, at a vol that
has moved too. Time stands still.

The share is beta(d) = (1 + d / 10)^-0.6 for d calendar days: 0.44 at 30, 0.23 at 110, 0.15 at 220. It follows the
regression of daily changes of VX settlements on those of VIX from 2007 to 2019, contract by contract, within 0.05 from
one week on; in sessions in which VIX moved by 4 points or more it was lower in most tenors, by up to 0.08.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from processors.hedge.weights import SLEEVES
from processors.pricing import DAYS_PER_YEAR, price
from processors.signals.statistic import finite, positive
from topics.calibration import Sleeve

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
        return cls(
            layer=tuple(row.layer for row in rows),
            quantity=_column(row.quantity for row in rows),
            multiplier=_column(row.multiplier for row in rows),
            forward=_column(row.forward for row in rows),
            dte=_column(row.dte for row in rows),
            right=_column(row.right for row in rows),
            strike=_column(row.forward if row.strike is None else row.strike for row in rows),
            vol=_column(0.0 if row.vol is None else row.vol for row in rows),
            rate=_column(row.rate for row in rows),
            engine=_column(row.engine for row in rows),
        )

    def __len__(self) -> int:
        return len(self.layer)

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


@dataclass(frozen=True, slots=True)
class Scenario:
    """A move of spot VIX and of the vols of its options, at once.

    Attributes:
        name: as published.
        points: change of spot VIX, vol points.
        relative: change of spot VIX as a fraction of it, on top of `points`.
        vol: change of the vol of options at 0 days to expiry, decimal; it falls with the days as the futures' does.
        power: how fast the share of the move falls with the days to expiry.
    """

    name: str
    points: float = 0.0
    relative: float = 0.0
    vol: float = 0.0
    power: float = 0.6

    def __post_init__(self) -> None:
        for name in ("points", "relative", "vol"):
            finite(getattr(self, name), name)
        if finite(self.power, "power") < 0:
            raise ValueError(f"power must be at least 0, so that the share falls with the tenor, got {self.power!r}")


#: The scenarios by default. VIX doubled between two closes once, on 2018-02-05 (17.31 to 37.32, VVIX from 126 to 177);
#: its largest fall in a session before 2020 was that of 2010-05-10 (40.95 to 28.84, VVIX from 135 to 111).
SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario("vix_up_20", points=20.0, vol=0.50),
    Scenario("vix_up_40", points=40.0, vol=0.75),
    # The front rises and the back does not follow: what is held far out is no help.
    Scenario("inversion", points=20.0, vol=0.30, power=1.2),
    Scenario("vol_crush", relative=-0.30, vol=-0.50),
    Scenario("gap", relative=1.0, vol=1.0),
)


@dataclass(frozen=True, slots=True)
class StressRules:
    """Scenarios and limits.

    Attributes:
        scenarios: the moves; their names differ.
        tenor_days: days to expiry by which the share of a move is 2^-power.
        least_forward: no forward falls below this, vol points; VIX has not closed under 9 since 1990.
        least_vol: no vol of an option falls below this, decimal.
        share_max: most of all losses in one layer ...
        judged_from: ... where the hedge as a whole loses more than this, fraction of H.
        engine_max: most that the second engine loses, fraction of H.
    """

    scenarios: tuple[Scenario, ...] = SCENARIOS
    tenor_days: float = 10.0
    least_forward: float = 8.0
    least_vol: float = 0.20
    share_max: float = 0.50
    judged_from: float = 0.05
    engine_max: float = 0.10

    def __post_init__(self) -> None:
        names = [scenario.name for scenario in self.scenarios]
        if len(set(names)) < len(names):
            raise ValueError(f"names of scenarios must differ, got {names}")
        positive(self.tenor_days, "tenor_days")
        positive(self.least_forward, "least_forward")
        for name in ("least_vol", "share_max", "judged_from", "engine_max"):
            if finite(getattr(self, name), name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)!r}")


def tenor_beta(dte: ArrayLike, power: ArrayLike = 0.6, tenor_days: float = 10.0) -> FloatArray:
    """Points that a VX future moves for a point of spot VIX: (1 + dte / tenor_days)^-power, from 1 at 0 days down."""
    days = np.asarray(dte, dtype=np.float64)
    if not (np.isfinite(days) & (days >= 0)).all():
        raise ValueError(f"dte must be finite numbers of at least 0, got {days}")
    return np.asarray((1.0 + days / positive(tenor_days, "tenor_days")) ** -np.asarray(power, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A hedge under one scenario, USD.

    Attributes:
        scenario: its name.
        layers: P&L by layer.
        engine: P&L of what the second engine added, which is part of the layers' too.
    """

    scenario: str
    layers: Mapping[Sleeve, float]
    engine: float

    @property
    def total(self) -> float:
        """P&L of the whole hedge."""
        return math.fsum(self.layers.values())

    @property
    def losses(self) -> float:
        """The sum of the losing layers' losses, at least 0."""
        return math.fsum(max(0.0, -pnl) for pnl in self.layers.values())

    @property
    def worst_layer(self) -> Sleeve | None:
        """The layer that loses most; None when none loses."""
        worst = min(self.layers, key=lambda layer: self.layers[layer], default=None)
        return worst if worst is not None and self.layers[worst] < 0 else None

    @property
    def loss_share(self) -> float | None:
        """The worst layer's part of the losses; None when no layer loses."""
        worst = self.worst_layer
        return None if worst is None else -self.layers[worst] / self.losses


def stress(rules: StressRules, lines: Lines, vix: float) -> tuple[Outcome, ...]:
    """The hedge under every scenario, in their order; all lines under all scenarios are valued in one sweep.

    `vix` is spot VIX, vol points, for the scenarios that move it by a share of itself.
    """
    vix = positive(vix, "vix")
    scenarios = rules.scenarios
    moves = _column(s.points + s.relative * vix for s in scenarios)[:, None]
    vols = _column(s.vol for s in scenarios)[:, None]
    powers = _column(s.power for s in scenarios)[:, None]
    share = tenor_beta(lines.dte[None, :], powers, rules.tenor_days)
    # A floor never lifts what is below it already.
    forward = np.maximum(lines.forward + moves * share, np.minimum(lines.forward, rules.least_forward))
    vol = np.maximum(lines.vol + vols * share, np.minimum(lines.vol, rules.least_vol))
    before = lines.points(lines.forward, lines.vol, lines.dte)
    change = (lines.points(forward, vol, lines.dte) - before) * lines.multiplier
    return tuple(
        Outcome(s.name, lines.by_layer(row * lines.quantity), math.fsum((row * lines.engine).tolist()))
        for s, row in zip(scenarios, change, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that a scenario breaks.

    Attributes:
        limit: `stress_share` (one layer's part of the losses) or `stress_engine` (loss of the second engine over H).
        scenario: its name.
        layer: the layer that loses most; None for the engine.
        value: what was found.
        bound: the most allowed.
    """

    limit: Literal["stress_share", "stress_engine"]
    scenario: str
    layer: Sleeve | None
    value: float
    bound: float


def breaches(rules: StressRules, outcomes: Sequence[Outcome], h: float) -> tuple[Breach, ...]:
    """The limits that are broken, in the order of the scenarios; `h` is the hedge notional H, USD.

    A layer's share of the losses is judged only where the hedge as a whole loses more than `judged_from` of H: with a
    single layer the share is always 1, and a small hedge must be able to begin with one. Where the hedge gains as a
    whole, the layer that loses is paid for by the others.
    """
    h = positive(h, "h")
    found: list[Breach] = []
    for outcome in outcomes:
        share = outcome.loss_share
        if share is not None and -outcome.total > rules.judged_from * h and share > rules.share_max:
            found.append(Breach("stress_share", outcome.scenario, outcome.worst_layer, share, rules.share_max))
        loss = -outcome.engine / h
        if loss > rules.engine_max:
            found.append(Breach("stress_engine", outcome.scenario, None, loss, rules.engine_max))
    return tuple(found)


def unit_losses(outcomes: Sequence[Outcome], weights: Mapping[Sleeve, float], h: float) -> dict[Sleeve, float]:
    """What a weight of 1 loses in its worst scenario, fraction of H, for each layer with weight; at least 0.

    The loss of a layer is proportional to its size, so this is what more of the same would lose.
    """
    h = positive(h, "h")
    return {
        layer: max((max(0.0, -outcome.layers[layer]) for outcome in outcomes), default=0.0) / (weight * h)
        for layer, weight in weights.items()
        if weight > 0
    }


def _column(values: Iterable[float]) -> FloatArray:
    return np.array(list(values), dtype=np.float64)
