"""The secondary modifier: what all signals beside volatility may add to the score, a few points either way.

Each signal comes standardised. A rule of direction says which way, and whether both ways, it counts; the result is held
within three standard deviations, loses its effect with its age, is weighted into score points, and the whole is
bounded: on-chain figures together, and everything together. So macro alone moves the state by one neighbour at most:
the cuts lie further apart than twice the bound.

The weights are choices without a published calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, get_args

from processors.signals.acting import Acting
from topics.calibration import ChainPart, ModifierPartName, ModifierRules
from topics.message import tidy
from topics.regime import ModifierPart

_CHAIN: Final = frozenset(get_args(ChainPart))

Direction = Callable[[float], float]


def _as_is(z: float) -> float:
    return z


def _surprise(z: float) -> float:
    """Higher than expected tightens; lower than expected unsettles by a quarter of that."""
    return max(z, -0.25 * z)


def _rising(z: float) -> float:
    return max(z, 0.0)


def _froth(z: float) -> float:
    """Many offerings are froth; few of them, at half the effect, a window that is shut."""
    return max(z, 0.0) + max(-z, 0.0) / 2


#: How a standardised signal counts. A sign of its own stands in its weight.
DIRECTIONS: Final[Mapping[ModifierPartName, Direction]] = {
    "advance_decline": _as_is,
    "divergence": _rising,
    "cpi": _surprise,
    "ppi": _surprise,
    "fomc": _surprise,
    "gdp": _as_is,
    "reer": _as_is,
    "rate_differential": _rising,
    "cash_quality": abs,
    "bear_steepening": _rising,
    "rsi": _as_is,
    "ipo": _froth,
    "dex_iv_spread": _as_is,
    "amm_depth": _as_is,
    "tvl": _rising,
    "peg": _rising,
    "ido": _as_is,
}
#: Releases and monthly figures fade; everything else is replaced every session.
_RELEASES: Final = frozenset({"cpi", "ppi", "fomc", "gdp"})
_MONTHLY: Final = frozenset({"reer", "cash_quality"})
#: A part of which less than this is left counts no more.
_FORGOTTEN: Final = 0.01


@dataclass(frozen=True, slots=True)
class Modifier:
    """Score points within the bound, and what each part gives of them; the parts sum to the value."""

    value: float = 0.0
    parts: Mapping[str, ModifierPart] = field(default_factory=dict)


def modifier(rules: ModifierRules, acting: Iterable[Acting]) -> Modifier:
    """The modifier of the parts that act. A part without a weight does not count."""
    counted: dict[ModifierPartName, tuple[float, float, float, int]] = {}
    for part in sorted(acting):  # so that the order in which they came is nothing, to the last bit
        weight = rules.weights.get(part.name)
        if not weight:
            continue
        value = min(max(DIRECTIONS[part.name](part.z), -rules.winsor), rules.winsor)
        decay = _decay(rules, part)
        if decay < _FORGOTTEN:
            continue
        counted[part.name] = (value, weight, decay, part.age)
    points = {name: value * weight * decay for name, (value, weight, decay, _) in counted.items()}
    _bound(points, [name for name in points if name in _CHAIN], rules.chain_limit)
    _bound(points, list(points), rules.limit)
    found: dict[str, ModifierPart] = {
        name: ModifierPart(value=tidy(value), weight=weight, decay=tidy(decay), points=tidy(points[name]), age=age)
        for name, (value, weight, decay, age) in sorted(counted.items())
    }
    total = tidy(sum(part.points for part in found.values()))
    return Modifier(min(max(total, -rules.limit), rules.limit), found)


def _decay(rules: ModifierRules, part: Acting) -> float:
    if part.name in _RELEASES:
        return float(0.5 ** (part.age / rules.half_life_releases))
    if part.name in _MONTHLY:
        return float(0.5 ** (part.age / rules.half_life_monthly))
    return 1.0


def _bound(points: dict[ModifierPartName, float], names: list[ModifierPartName], limit: float) -> None:
    """Scale the named points, all alike, until their sum is within the limit."""
    total = sum(points[name] for name in names)
    if abs(total) > limit:
        for name in names:
            points[name] *= limit / abs(total)
