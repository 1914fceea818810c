"""The second engine: a multiplier on Layers 2 and 3, lent out of the reserve while the market is liquid.

Leverage has to fall before liquidity does, so it comes slowly and goes at once. It deploys more of what the layers
hold already; ratio spreads, which some call by the same name, have a short tail and are no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from processors.hedge.weights import Vector, gross, sleeves, vector
from processors.signals._reading import as_object, read
from processors.signals.liquidity import QuickRatio, QuickRatioGate
from processors.signals.statistic import Json, finite
from topics.hedge_rules import EngineRules, Policy, Sleeve
from topics.message import State, tidy

_LEVERED: Final[tuple[Sleeve, ...]] = ("L2", "L3")
#: The states in which the engine may run.
RUNS: Final[frozenset[State]] = frozenset({"moderate", "elevated"})


class EngineReading(NamedTuple):
    """What the engine's switch looks at.

    Attributes:
        state: state in force.
        quick_ratio: what is liquid over what falls due; None when a part of it is missing or stale.
        deployed: whether the engine holds anything now, so that its exit has to be among what falls due.
    """

    state: State
    quick_ratio: QuickRatio | None
    deployed: bool = False


class EngineSwitch:
    """Whether the engine may run: in `moderate` and `elevated` only, on two quick ratios in a row of at least `on`.

    It stops at once on a ratio below `off`, a missing one, or any other state, and is then to be proven anew: ratios of
    `low` or `high` do not count towards the two. A ratio that is unbounded, because nothing falls due, passes only
    while the engine holds nothing; when it does, its exit was left out, and the ratio counts as missing.
    """

    __slots__ = ("_gate",)

    def __init__(self, on: float = 1.2, off: float = 1.0) -> None:
        self._gate = QuickRatioGate(on, off)

    @staticmethod
    def _counted(x: EngineReading) -> QuickRatio | None:
        if x.state not in RUNS or x.quick_ratio is None or (x.quick_ratio.unbounded and x.deployed):
            return None
        return x.quick_ratio

    def update(self, x: EngineReading, /) -> None:
        """Commit one reading."""
        self._gate.update(self._counted(x))

    def peek(self, x: EngineReading, /) -> bool:
        """Whether the engine might run after `x`."""
        return self._gate.peek(self._counted(x))

    @property
    def value(self) -> bool:
        """Whether the engine may run."""
        return self._gate.value

    @property
    def ready(self) -> bool:
        """Always: what has seen nothing is off."""
        return True

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {"gate": self._gate.snapshot()}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        switch = cls()
        switch._gate = QuickRatioGate.restore(as_object(read(snapshot, "gate"), "gate"))
        return switch


@dataclass(frozen=True, slots=True)
class Engaged:
    """Weights with the second engine, its multiplier, and what it added, fraction of H."""

    weights: Vector
    multiplier: float
    added: float


def engage(
    rules: EngineRules,
    policy: Policy,
    on: bool,
    weights: Vector,
    *,
    layer_max: float,
    gross_max: float,
    reserve_min: float,
    losses: Mapping[Sleeve, float] | None,
) -> Engaged:
    """`weights` with Layers 2 and 3 times the largest multiplier of 1 to `most` that keeps every bound.

    Both have the same multiplier, so their mix stays. What it adds comes out of the reserve, down to its floor. Where a
    bound is already reached, or broken, the multiplier is 1: the engine repairs nothing and breaks nothing.

    Args:
        policy: whose multiplier bounds it.
        on: the switch; off gives a multiplier of 1.
        weights: fractions of H before the engine.
        layer_max: most in one layer, fraction of H.
        gross_max: most in all layers, fraction of H.
        reserve_min: least reserve, fraction of H.
        losses: what a weight of 1 loses in its worst stress scenario, fraction of H at least 0, for L2 and L3; None
            when that is not known, and then the engine does not run.
    """
    excess = rules.most[policy] - 1.0
    carried = sum(weights[layer] for layer in _LEVERED)
    if not on or losses is None or carried <= 0 or any(weights[layer] < 0 for layer in _LEVERED):
        return Engaged(weights, 1.0, 0.0)
    for layer in _LEVERED:
        if finite(losses[layer], f"loss of {layer}") < 0:
            raise ValueError(f"loss of {layer} must be at least 0, got {losses[layer]!r}")
        if weights[layer] > 0:
            excess = min(excess, layer_max / weights[layer] - 1.0)
    excess = min(excess, (weights["R"] - reserve_min) / carried, (gross_max - gross(weights)) / carried)
    loss = sum(weights[layer] * losses[layer] for layer in _LEVERED)
    if loss > 0:
        excess = min(excess, rules.loss_max / loss)
    multiplier = _down(1.0 + excess)
    if multiplier <= 1.0:
        return Engaged(weights, 1.0, 0.0)
    levered = vector(
        {**sleeves(weights), **{layer: min(weights[layer] * multiplier, layer_max) for layer in _LEVERED}}
    )
    return Engaged(levered, multiplier, tidy(sum(levered[layer] for layer in _LEVERED) - carried))


def _down(multiplier: float) -> float:
    """Towards 1 by what rounding may have added: 0.4 / 0.3 x 0.3 must not come out above 0.4."""
    return tidy(multiplier - 1e-12) if multiplier > 1.0 + 1e-9 else 1.0
