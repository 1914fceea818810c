"""What the hedge should be, step by step, before anything that is held comes in but Temporal Theta."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from processors.hedge.activation import activate, divergence_trigger
from processors.hedge.caps import cap, reserve_floor
from processors.hedge.irr import limit_drag
from processors.hedge.openings import Openings
from processors.hedge.second_engine import engage
from processors.hedge.sizing import limit_exposure
from processors.hedge.tilt import tilt
from processors.hedge.weights import Vector, base, sleeves, vector
from topics.calibration import HedgeRules
from topics.hedge_rules import Policy
from topics.message import Feature, State


@dataclass(frozen=True, slots=True)
class Stance:
    """What of a portfolio its aim depends on.

    Attributes:
        policy: steward or promoter.
        l3_on: whether the beta trigger of Layer 3 is on.
        engine_on: whether the second engine may run.
        drag: what the hedge has cost in money-weighted return, decimal a year; None when not known.
        theta: Temporal Theta held, fraction of H: what was sold is kept to its exits.
        deployable: the deployed weight at which the exposure reaches its limit.
    """

    policy: Policy
    l3_on: bool
    engine_on: bool
    drag: float | None
    theta: float
    deployable: float


@dataclass(frozen=True, slots=True)
class Aims:
    """The weights after each step, the last of them the aim, and what the second engine added, fraction of H."""

    vectors: Mapping[str, Vector]
    levered: float

    @property
    def aim(self) -> Vector:
        """What the hedge should be."""
        return self.vectors["aim"]


def aims(
    rules: HedgeRules, state: State, signals: Mapping[str, Feature], openings: Openings, stance: Stance
) -> Aims:
    """From the table to the aim: base, tilted, dragged, activated, gated, levered, capped, aim."""
    table = base(rules, state)
    tilted = tilt(rules, state, table, signals)
    dragged = limit_drag(rules.drag, state, stance.drag, rules.l1_low[0], tilted)
    activated = activate(rules, dragged, stance.l3_on or divergence_trigger(signals))
    gated = activated
    if openings.theta_shut:
        gated = vector({**sleeves(activated), "TT": min(activated["TT"], stance.theta)})
    posture = rules.postures[stance.policy]
    engaged = engage(
        rules.engine,
        stance.policy,
        stance.engine_on,
        gated,
        layer_max=rules.layer_max,
        gross_max=rules.gross_max,
        reserve_min=reserve_floor(posture, state),
        losses=openings.losses(),
    )
    capped = cap(rules, posture, state, engaged.weights)
    vectors = {
        "base": table,
        "tilted": tilted,
        "dragged": dragged,
        "activated": activated,
        "gated": gated,
        "levered": engaged.weights,
        "capped": capped,
        "aim": limit_exposure(capped, stance.deployable),
    }
    return Aims(vectors, engaged.added)
