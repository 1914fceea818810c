"""Floors, which lift the state whatever the score says, and the cap of a very low VIX."""

from __future__ import annotations

from dataclasses import dataclass

from processors.regime.inputs import RegimeInputs
from topics.calibration import Floors, RegimeRules
from topics.message import STATES, State


@dataclass(frozen=True, slots=True)
class Floor:
    """A floor whose condition holds: the state that it lifts to, and the condition, as in ``vix>=20&ratio>=1.1``."""

    state: State
    condition: str

    @property
    def name(self) -> str:
        """``high:vix>=20&ratio>=1.1``."""
        return f"{self.state}:{self.condition}"


def floors_hit(floors: Floors, inputs: RegimeInputs) -> tuple[Floor, ...]:
    """Every floor whose condition holds, highest state first. A condition on a missing feature does not hold."""
    f = floors
    vix = inputs.vix
    if vix is None:
        return ()
    hits: list[Floor] = []

    def check(state: State, level: float, also: bool = True, also_text: str = "") -> None:
        if vix >= level and also:
            hits.append(Floor(state, f"vix>={level:g}{also_text}"))

    check("high", f.high_vix)
    check("high", f.high_ratio_vix, _at_least(inputs.ratio, f.high_ratio), f"&ratio>={f.high_ratio:g}")
    check("high", f.high_jump_vix, _at_least(inputs.vix_change, f.high_jump), f"&change>={f.high_jump:g}")
    check("elevated", f.elevated_vix)
    check("elevated", f.elevated_ratio_vix, _at_least(inputs.ratio, f.elevated_ratio), f"&ratio>={f.elevated_ratio:g}")
    if f.elevated_inversion:
        check("elevated", f.elevated_ratio_vix, inputs.inverted is True, "&inverted")
    check("moderate", f.moderate_vix)
    return tuple(hits)


def floor_level(hits: tuple[Floor, ...]) -> int:
    """The highest state that the floors lift to, as 0 (low) to 3 (high); 0 when none holds."""
    return max((STATES.index(hit.state) for hit in hits), default=0)


def cap_level(rules: RegimeRules, inputs: RegimeInputs) -> int | None:
    """The highest state that a very low VIX allows, as 0 to 3; None when there is no cap.

    Low while the term structure is in contango or unknown, else moderate.
    """
    if inputs.vix is None or inputs.vix >= rules.cap_vix:
        return None
    return 0 if inputs.ratio is None or inputs.ratio < rules.cap_ratio else 1


def _at_least(value: float | None, bound: float) -> bool:
    return value is not None and value >= bound
