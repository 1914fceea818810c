"""The core score: each feature's place on a piecewise-linear scale of 0 to 100 points, weighted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from processors.regime.inputs import RegimeInputs
from topics.calibration import Curve, ScoreFeature, ScoreName
from topics.message import tidy
from topics.regime import ScorePart

#: Points of the five anchors of a feature.
ANCHOR_POINTS: Final = (0.0, 25.0, 50.0, 75.0, 100.0)

#: The order of summation: that of a calibration's own mapping is lost when it travels as JSON.
ORDER: Final[tuple[ScoreName, ...]] = ("vix", "ratio", "rv21", "vvix")


@dataclass(frozen=True, slots=True)
class CoreScore:
    """The weighted points, 0 to 100, and what each feature contributed."""

    value: float
    parts: Mapping[str, ScorePart]


def points(value: float, anchors: Curve) -> float:
    """0 to 100: linear between the anchors at 0, 25, 50, 75 and 100 points, clamped outside of them."""
    if value <= anchors[0]:
        return ANCHOR_POINTS[0]
    for (low, high), base in zip(pairwise(anchors), ANCHOR_POINTS, strict=False):
        if value < high:
            return base + 25.0 * ((value - low) / (high - low))
    return ANCHOR_POINTS[-1]


def core_score(features: Mapping[ScoreName, ScoreFeature], inputs: RegimeInputs) -> CoreScore | None:
    """The score over the features present, their weights renormalised to sum to 1; None without VIX.

    The value has twelve significant digits, so that the score that is published is the very one that decides.
    """
    if inputs.vix is None:
        return None
    values: dict[ScoreName, float | None] = {name: getattr(inputs, name) for name in ORDER if name in features}
    present = [(name, value) for name, value in values.items() if value is not None]
    total = sum(features[name].weight for name, _ in present)
    parts: dict[str, ScorePart] = {}
    score = 0.0
    for name, value in present:
        feature = features[name]
        part = ScorePart(
            value=value, points=points(value, feature.anchors), weight=min(tidy(feature.weight / total), 1.0)
        )
        parts[name] = part
        score += part.points * part.weight
    return CoreScore(min(max(tidy(score), 0.0), 100.0), parts)
