"""How far a structure is from its break-even, in standard deviations, and when that is too near.

The break-even is compared with the VX future of the structure's own expiry, never with spot VIX. A structure has a good
side of it, and what matters is leaving that side: a short spread that loses its credit, a long one that loses a gain. A
long spread out of the money has not been there yet; that it is far from its break-even is what it was bought as.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from processors.pricing import DAYS_PER_YEAR
from processors.signals._reading import read, read_bool, read_float, read_object, read_optional_string
from processors.signals.statistic import Json, positive
from topics.hedge_rules import BreakEvenRules

Side: TypeAlias = Literal["above", "below"]

_OPPOSITE: Final[Mapping[Side, Side]] = {"above": "below", "below": "above"}


def distance(break_even: ArrayLike, forward: ArrayLike, vol: ArrayLike, dte: ArrayLike) -> NDArray[np.float64]:
    """`ln(BE / F) / (vol sqrt(dte / 365))`: standard deviations from the forward up to the break-even.

    Above 0 while the forward is below it. `break_even` and `forward` in vol points, `vol` decimal a year, `dte` in
    calendar days, all above 0; ValueError otherwise. Broadcasts.
    """
    be, f, s, days = (
        _positive(x, name)
        for x, name in ((break_even, "break_even"), (forward, "forward"), (vol, "vol"), (dte, "dte"))
    )
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        away = np.asarray((np.log(be) - np.log(f)) / (s * np.sqrt(days / DAYS_PER_YEAR)))
    if not np.isfinite(away).all():
        raise ValueError(f"distance must be finite: vol {s} and dte {days} leave no standard deviation to count in")
    return away


class BreakEvenMark(NamedTuple):
    """The market of a structure: the future of its expiry (vol points), its vol there (decimal), days to expiry."""

    forward: float
    vol: float
    dte: float


class BreakEvenValue(NamedTuple):
    """A structure at one mark.

    Attributes:
        distance: standard deviations from the forward up to the break-even; below 0 when the forward is above it.
        cushion: the same from the structure's own view: above 0 on its good side.
        alert: whether the good side is about to be left, or was just left.
        crossed: `up` or `down` when this mark is the one at which the forward crossed the break-even.
    """

    distance: float
    cushion: float
    alert: bool
    crossed: Literal["up", "down"] | None


class BreakEvenWatch:
    """The break-even of one structure, watched from mark to mark with direction and hysteresis.

    The alert starts when the cushion is below `alert` and ends when it is `clear` again. A short structure was sold on
    its good side, so it is watched from the first mark on, and its alert stays for as long as it is beyond its
    break-even. A long one is watched once it has had a cushion of `clear`; when it is as far again on the other side,
    the gain is gone, the alert ends, and it is watched no more until it has a cushion again.

    A crossing counts when the forward is `crossing` standard deviations beyond the break-even, seen from the side
    where it was before, so a forward that sits on the break-even crosses nothing.

    Args:
        break_even: at expiry, vol points (of the lower strike plus debit, or plus credit).
        good: the side on which the structure gains: `above` for a debit call spread, `below` for a credit call spread.
        short: whether it was sold for a credit.
    """

    __slots__ = ("_alert", "_armed", "_break_even", "_good", "_rules", "_short", "_side", "_value")

    def __init__(self, break_even: float, good: Side, short: bool, rules: BreakEvenRules | None = None) -> None:
        if good not in _OPPOSITE:
            raise ValueError(f"good must be 'above' or 'below', got {good!r}")
        self._break_even = positive(break_even, "break_even")
        self._good, self._short = good, short
        self._rules = BreakEvenRules() if rules is None else rules
        self._armed = short
        self._alert = False
        self._side: Side | None = None
        self._value: BreakEvenValue | None = None

    def _step(self, x: BreakEvenMark) -> tuple[BreakEvenValue, bool, Side]:
        rules = self._rules
        away = _distance(self._break_even, x)
        cushion = -away if self._good == "above" else away
        armed = self._armed or cushion >= rules.clear
        if not self._short and cushion <= -rules.clear:
            armed = False
        alert = armed and cushion < (rules.clear if self._alert else rules.alert)
        side = self._side
        crossed: Literal["up", "down"] | None = None
        if side is None:
            side = "above" if away < 0 else "below"
        elif side == "below" and away < 0 and away <= -rules.crossing:
            side, crossed = "above", "up"
        elif side == "above" and away > 0 and away >= rules.crossing:
            side, crossed = "below", "down"
        return BreakEvenValue(away, cushion, alert, crossed), armed, side

    def resume(self, alert: bool) -> None:
        """Go on as a watch that was armed: the good side has been seen, and the alert was on or not."""
        self._armed, self._alert = True, alert

    @property
    def armed(self) -> bool:
        """Whether there is a good side to lose."""
        return self._armed

    def update(self, x: BreakEvenMark, /) -> None:
        """Commit one mark."""
        self._value, self._armed, self._side = self._step(x)
        self._alert = self._value.alert

    def peek(self, x: BreakEvenMark, /) -> BreakEvenValue:
        """The value if `x` were the next mark."""
        return self._step(x)[0]

    @property
    def value(self) -> BreakEvenValue | None:
        """The structure at the last mark; None before the first."""
        return self._value

    @property
    def ready(self) -> bool:
        """Whether there was a mark."""
        return self._value is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        rules, value = self._rules, self._value
        return {
            "break_even": self._break_even,
            "good": self._good,
            "short": self._short,
            "rules": {"alert": rules.alert, "clear": rules.clear, "crossing": rules.crossing},
            "armed": self._armed,
            "side": self._side,
            "value": None if value is None else dict(value._asdict()),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        saved = read_object(snapshot, "rules")
        rules = BreakEvenRules(**{name: read_float(saved, name) for name in ("alert", "clear", "crossing")})
        good = _side(snapshot, "good")
        if good is None:
            raise ValueError("snapshot key 'good' must be 'above' or 'below', got None")
        watch = cls(read_float(snapshot, "break_even"), good, read_bool(snapshot, "short"), rules)
        watch._armed, watch._side = read_bool(snapshot, "armed"), _side(snapshot, "side")
        if (read(snapshot, "value") is None) != (watch._side is None):
            raise ValueError("snapshot keys 'side' and 'value' must both be there or both be null")
        if watch._side is not None:
            value = read_object(snapshot, "value")
            crossed = read_optional_string(value, "crossed")
            if crossed not in ("up", "down", None):
                raise ValueError(f"snapshot key 'crossed' must be 'up', 'down' or null, got {crossed!r}")
            watch._value = BreakEvenValue(
                read_float(value, "distance"),
                read_float(value, "cushion"),
                read_bool(value, "alert"),
                "up" if crossed == "up" else "down" if crossed == "down" else None,
            )
            watch._alert = watch._value.alert
        return watch


def _side(snapshot: Mapping[str, Json], key: str) -> Side | None:
    found = read_optional_string(snapshot, key)
    if found not in ("above", "below", None):
        raise ValueError(f"snapshot key {key!r} must be 'above', 'below' or null, got {found!r}")
    return "above" if found == "above" else "below" if found == "below" else None


def _distance(break_even: float, x: BreakEvenMark) -> float:
    """:func:`distance` of one mark: an array of one number costs ten times as much."""
    forward, vol, days = positive(x.forward, "forward"), positive(x.vol, "vol"), positive(x.dte, "dte")
    deviation = vol * math.sqrt(days / DAYS_PER_YEAR)
    away = (math.log(break_even) - math.log(forward)) / deviation if deviation else math.inf
    if not math.isfinite(away):
        raise ValueError(f"distance must be finite: vol {vol} and dte {days} leave no standard deviation to count in")
    return away


def _positive(x: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(x, dtype=np.float64)
    good = np.isfinite(array) & (array > 0)
    if not good.all():
        raise ValueError(f"{name} must be a finite number above 0, got {float(array[~good].flat[0])!r}")
    return array
