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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from processors.hedge.lines import FloatArray, Lines, column
from processors.hedge.memo import Memo
from processors.signals.statistic import positive
from topics.hedge_rules import Sleeve, StressRules


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


def stress(rules: StressRules, lines: Lines, vix: float, shocks: Memo | None = None) -> tuple[Outcome, ...]:
    """The hedge under every scenario, in their order; all lines under all scenarios are valued in one sweep.

    `vix` is spot VIX, vol points, for the scenarios that move it by a share of itself. `shocks`: what single contracts
    have made before, so that those of many portfolios are valued once.
    """
    vix = positive(vix, "vix")
    change = _changes(rules, lines, vix) if shocks is None or not len(lines) else _known(rules, lines, vix, shocks)
    made: list[list[float]] = (change * lines.engine).tolist()
    return tuple(
        Outcome(s.name, lines.by_layer(row), math.fsum(engine))
        for s, row, engine in zip(rules.scenarios, change * lines.quantity, made, strict=True)
    )


def _known(rules: StressRules, lines: Lines, vix: float, shocks: Memo) -> FloatArray:
    """What one contract of each line makes under each scenario, from what is known and what is added to it."""
    known, contracts = shocks.of(rules, vix), lines.contracts()
    new = {contract: i for i, contract in enumerate(contracts) if contract not in known}
    if new:
        known.update(zip(new, _changes(rules, lines.take(list(new.values())), vix).T, strict=True))
    return np.stack([known[contract] for contract in contracts], axis=1)


def _changes(rules: StressRules, lines: Lines, vix: float) -> FloatArray:
    """What one contract of each line makes under each scenario, USD, shape (scenarios, lines)."""
    scenarios = rules.scenarios
    moves = column(s.points + s.relative * vix for s in scenarios)[:, None]
    vols = column(s.vol for s in scenarios)[:, None]
    powers = column(s.power for s in scenarios)[:, None]
    share = tenor_beta(lines.dte[None, :], powers, rules.tenor_days)
    # A floor never lifts what is below it already.
    forward = np.maximum(lines.forward + moves * share, np.minimum(lines.forward, rules.least_forward))
    vol = np.maximum(lines.vol + vols * share, np.minimum(lines.vol, rules.least_vol))
    before = lines.points(lines.forward, lines.vol, lines.dte)
    return np.asarray((lines.points(forward, vol, lines.dte) - before) * lines.multiplier)


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
