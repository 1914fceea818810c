"""Stress steepening of the VX curve."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Self

from processors.signals._reading import as_object, read_int, read_list, read_optional_bool
from processors.signals.curve import VxCurve
from processors.signals.statistic import Json, at_least

_BACK = slice(3, 7)
"""VX4..VX7, the back of the curve."""


class BearSteepening:
    """Whether the front rises and the curve grows steeper either way, over `sessions` sessions.

    True when both the change of VX1 and the change of abs(mean(VX4..VX7) - VX1) are above 0. A rising *contango* is
    calm, not stress, hence the absolute slope together with a rising level.

    Both dates are read on the *same contracts*, those which are VX1 and VX4..VX7 now: a change of the n-th contract
    across an expiry would compare different months. None while there are fewer than `sessions` earlier curves, or when
    one of the five contracts is missing at either date. Sessions without a curve are not counted: the comparison is
    with the `sessions`-th committed curve before.

    Memory: the last `sessions` curves.
    """

    __slots__ = ("_curves", "_sessions", "_value")

    def __init__(self, sessions: int = 5) -> None:
        self._sessions = at_least(sessions, 1, "sessions")
        self._curves: deque[VxCurve] = deque(maxlen=sessions)
        self._value: bool | None = None

    def update(self, curve: VxCurve, /) -> None:
        """Commit one session's curve. ValueError unless its session is after the last."""
        self._value = self.peek(curve)
        self._curves.append(curve)

    def peek(self, curve: VxCurve, /) -> bool | None:
        """The answer if `curve` were the next session's."""
        if self._curves and curve.session_date <= self._curves[-1].session_date:
            raise ValueError(
                f"a curve of {curve.session_date} cannot follow the one of {self._curves[-1].session_date}"
            )
        if len(self._curves) < self._sessions or len(curve) < _BACK.stop:
            return None
        then = self._curves[0]
        front_then = then.settle_of(curve.expiries[0])
        back_then = [settle for expiry in curve.expiries[_BACK] if (settle := then.settle_of(expiry)) is not None]
        back_now = curve.settles[_BACK]
        if front_then is None or len(back_then) < len(back_now):
            return None
        front_now = curve.settles[0]
        steeper = _steepness(front_now, back_now) > _steepness(front_then, back_then)
        return front_now > front_then and steeper

    @property
    def value(self) -> bool | None:
        """The answer at the last session."""
        return self._value

    @property
    def ready(self) -> bool:
        """Whether the last session had an answer."""
        return self._value is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {
            "sessions": self._sessions,
            "value": self._value,
            "curves": [curve.snapshot() for curve in self._curves],
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        statistic = cls(read_int(snapshot, "sessions"))
        curves = [VxCurve.restore(as_object(curve, "curves")) for curve in read_list(snapshot, "curves")]
        if len(curves) > statistic._sessions:
            raise ValueError(f"a change over {statistic._sessions} sessions cannot hold {len(curves)} curves")
        for curve in curves:
            statistic.update(curve)
        statistic._value = read_optional_bool(snapshot, "value")
        return statistic


def _steepness(front: float, back: Sequence[float]) -> float:
    # Rounded like the curve range: prices are decimals, and float noise must not pass for a change.
    return round(abs(math.fsum(back) / len(back) - front), 9)
