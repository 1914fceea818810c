"""How far the members of an index move apart."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from processors.signals._reading import read_floats, read_int, read_object
from processors.signals.realised import SESSIONS_PER_YEAR
from processors.signals.statistic import Json, at_least, finite, positive
from processors.signals.zscore import TrailingZ


def daily_dispersion(returns: Iterable[float], caps_prev: Iterable[float]) -> float:
    """Cap-weighted cross-sectional standard deviation of one session's returns, a fraction per session.

    `sqrt(sum w_i (r_i - r_m)^2)` with `r_m = sum w_i r_i`, the index's own return. The weights are the shares in the
    capitalisation at the close *before*: those of the same close already hold the returns they are to weigh. The sums
    are exact, so the order of the members does not matter.

    Args:
        returns: simple returns of the members, fractions, shape (n,) with n >= 2.
        caps_prev: their capitalisations at the prior close, any one unit, above 0, shape (n,).

    Raises:
        ValueError: lengths differ, fewer than two members, or a figure that is not finite or not above 0.
    """
    r = [finite(x, "return") for x in returns]
    w = _weights(caps_prev)
    if len(r) != len(w):
        raise ValueError(f"every member needs a return and a capitalisation, got {len(r)} and {len(w)}")
    if len(r) < 2:
        raise ValueError(f"a cross-section needs at least 2 members, got {len(r)}")
    market = math.fsum([weight * x for weight, x in zip(w, r, strict=True)])
    return math.sqrt(math.fsum([weight * (x - market) ** 2 for weight, x in zip(w, r, strict=True)]))


def concentration(caps: Iterable[float]) -> float:
    """Herfindahl index of the capitalisations: sum of the squared shares, 1/n (all alike) to 1 (one member).

    The other reading of "dispersion of market capitalisations", for reports. ValueError when there is no member or a
    capitalisation is not a finite number above 0.
    """
    return math.fsum([weight * weight for weight in _weights(caps)])


def _weights(caps: Iterable[float]) -> list[float]:
    checked = [positive(cap, "capitalisation") for cap in caps]
    if not checked:
        raise ValueError("a cross-section needs at least one member, got none")
    total = math.fsum(checked)
    return [cap / total for cap in checked]


class DispersionValue(NamedTuple):
    """Dispersion at one session."""

    daily: float
    """The session's own dispersion, a fraction per session, not annualised."""
    mean: float
    """Mean over `mean_sessions` sessions x sqrt(252): a fraction a year (0.20 is 20%)."""
    change: float | None
    """Change of `mean` over `mean_sessions` sessions, a fraction a year."""
    z: float | None
    """`mean` in standard deviations of its own past."""
    rising: bool | None
    """Whether `change` is above 0; None while it is missing."""


class _State(NamedTuple):
    dailies: tuple[float, ...]  # the last mean_sessions
    means: tuple[float, ...]  # the last mean_sessions + 1


class Dispersion:
    """Realised cross-sectional dispersion: its level, its direction and how unusual it is.

    Fed one `daily_dispersion` a session. `mean` is the mean of `mean_sessions` of them, annualised by sqrt(252);
    `change` compares it with the mean `mean_sessions` sessions before, so the two windows share no session; `z`
    standardises it against its own past `window` values (`minimum` of them at least), the current one excluded.

    First value at observation `mean_sessions`; first change at `2 x mean_sessions`; first z `minimum` observations
    after the first value. The implied counterpart is Cboe's S&P 500 Dispersion Index (DSPX).
    """

    __slots__ = ("_mean_sessions", "_state", "_z")

    def __init__(self, mean_sessions: int = 20, window: int = 252, minimum: int = 126) -> None:
        self._mean_sessions = at_least(mean_sessions, 1, "mean_sessions")
        self._z = TrailingZ(window, minimum)
        self._state = _State((), ())

    def _step(self, daily: float) -> _State:
        daily = finite(daily, "daily dispersion")
        if daily < 0:
            raise ValueError(f"daily dispersion must be at least 0, got {daily!r}")
        n = self._mean_sessions
        dailies = (*self._state.dailies, daily)[-n:]
        if len(dailies) < n:
            return _State(dailies, ())
        mean = math.fsum(dailies) / n * math.sqrt(SESSIONS_PER_YEAR)
        return _State(dailies, (*self._state.means, mean)[-n - 1 :])

    def _read(self, state: _State, z: float | None) -> DispersionValue | None:
        if not state.means:
            return None
        full = len(state.means) == self._mean_sessions + 1
        change = state.means[-1] - state.means[0] if full else None
        return DispersionValue(state.dailies[-1], state.means[-1], change, z, None if change is None else change > 0)

    def update(self, daily: float, /) -> None:
        """Commit one session's dispersion."""
        state = self._step(daily)
        if state.means:
            self._z.update(state.means[-1])
        self._state = state

    def peek(self, daily: float, /) -> DispersionValue | None:
        """The value if `daily` were the next session's dispersion."""
        state = self._step(daily)
        return self._read(state, self._z.peek(state.means[-1]) if state.means else None)

    @property
    def value(self) -> DispersionValue | None:
        """The value at the last session, None before observation `mean_sessions`."""
        return self._read(self._state, self._z.value)

    @property
    def ready(self) -> bool:
        """Whether `mean_sessions` observations have been seen."""
        return bool(self._state.means)

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {
            "mean_sessions": self._mean_sessions,
            "dailies": list(self._state.dailies),
            "means": list(self._state.means),
            "z": self._z.snapshot(),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        dispersion = cls(read_int(snapshot, "mean_sessions"))
        dispersion._z = TrailingZ.restore(read_object(snapshot, "z"))
        n = dispersion._mean_sessions
        dailies, means = tuple(read_floats(snapshot, "dailies")), tuple(read_floats(snapshot, "means"))
        if len(dailies) > n or len(means) > n + 1 or bool(means) != (len(dailies) == n):
            raise ValueError(f"not the state of a dispersion over {n} sessions: {len(dailies)}, {len(means)} means")
        dispersion._state = _State(dailies, means)
        return dispersion
