"""From looks at a program to rates, and from the rates of paired rounds to ratios."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """How far a program was when it was looked at.

    Attributes:
        at: seconds on the clock.
        cpu: seconds of processor time that it had used.
        place: ticks whose results were committed.
    """

    at: float
    cpu: float
    place: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Ticks of one run: a second of the clock, and a second of processor time."""

    clock: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Paired:
    """One program against another: the medians of both, and the median of the ratios of the rounds."""

    rate: float
    ratio: float
    low: float
    high: float


def rate(looks: Sequence[Look]) -> Rate:
    """Ticks between the first commit and the last, by their time. Raises ValueError for fewer than two commits."""
    if len(looks) < 2:
        raise ValueError("fewer than two commits were seen")
    first, last = looks[0], looks[-1]
    ticks = last.place - first.place
    spent = last.cpu - first.cpu
    return Rate(ticks / (last.at - first.at), ticks / spent if spent > 0 else math.nan)


def paired(rates: Mapping[str, Sequence[float]], name: str, against: str) -> Paired:
    """``name`` over ``against``, round by round. Raises ValueError when they have no rounds in common."""
    ratios = [mine / theirs for mine, theirs in zip(rates[name], rates[against], strict=True)]
    if not ratios:
        raise ValueError(f"{name} and {against} have no rounds")
    return Paired(statistics.median(rates[name]), statistics.median(ratios), min(ratios), max(ratios))


def share(values: Sequence[float], which: float) -> float:
    """The quantile ``which`` (0 to 1), the value itself that stands there: none is made up between two."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(which * len(ordered)) - 1))]


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the line of least squares."""
    middle_x, middle_y = statistics.fmean(x), statistics.fmean(y)
    squares = sum((one - middle_x) ** 2 for one in x)
    return sum((one - middle_x) * (other - middle_y) for one, other in zip(x, y, strict=True)) / squares
