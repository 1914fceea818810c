"""From signals to a state: core score, floors and cap, hysteresis and dwell, and the fast path between closes."""

from processors.regime.fast_path import FastPath
from processors.regime.floors import Floor, cap_level, floor_level, floors_hit
from processors.regime.inputs import RegimeInputs
from processors.regime.machine import MODIFIER_MAX, Decision, Memory, decide_close, decide_mark
from processors.regime.score import CoreScore, core_score, points

__all__ = [
    "MODIFIER_MAX",
    "CoreScore",
    "Decision",
    "FastPath",
    "Floor",
    "Memory",
    "RegimeInputs",
    "cap_level",
    "core_score",
    "decide_close",
    "decide_mark",
    "floor_level",
    "floors_hit",
    "points",
]
