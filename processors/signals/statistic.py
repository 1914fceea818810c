"""The contract of a streaming statistic.

A statistic is fed one *official session* at a time. Between two closes it can be asked what it would say if a given
observation were the next close; the answer is provisional and leaves no trace. Counting an intraday mark as a session
is the classic error of streaming indicators (one day is then counted many times), so the two are separate calls.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, Self, TypeAlias, TypeVar

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""What `json.dumps` writes and `json.loads` gives back; floats survive exactly (shortest repr)."""

ObservationT = TypeVar("ObservationT", contravariant=True)
ValueT = TypeVar("ValueT", covariant=True)


class Statistic(Protocol[ObservationT, ValueT]):
    """One rolling statistic of one series, in memory bounded by its window.

    Laws, checked for every implementation by one battery of tests:

    * `peek(x)` changes nothing, and equals `value` right after `update(x)`.
    * `value` is None until `ready`: missing is missing, never 0 and never NaN.
    * `restore(json.loads(json.dumps(s.snapshot())))` continues bit for bit as `s` would.
    * `update` and `peek` refuse NaN and infinities with a ValueError that names the value, and are then unchanged.
    """

    def update(self, x: ObservationT, /) -> None:
        """Commit the observation of one official session."""

    def peek(self, x: ObservationT, /) -> ValueT | None:
        """The value if `x` were the next session's observation; nothing is committed."""

    @property
    def value(self) -> ValueT | None:
        """The value at the last committed session, None while it is not defined."""

    @property
    def ready(self) -> bool:
        """Whether `value` is defined."""

    def snapshot(self) -> dict[str, Json]:
        """The whole state, parameters included, as JSON-able values."""

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """The statistic that gave `snapshot`. Raises ValueError naming what is wrong with a malformed one."""


def finite(x: float, name: str) -> float:
    """`x` as a plain float, or ValueError when it is NaN or infinite."""
    if not math.isfinite(x):
        raise ValueError(f"{name} must be a finite number, got {x!r}")
    return float(x)


def positive(x: float, name: str) -> float:
    """`x` as a plain float, or ValueError when it is not a finite number above zero."""
    if not (math.isfinite(x) and x > 0):
        raise ValueError(f"{name} must be a finite number above 0, got {x!r}")
    return float(x)


def at_least(n: int, least: int, name: str) -> int:
    """`n`, or ValueError when it is below `least`."""
    if n < least:
        raise ValueError(f"{name} must be at least {least}, got {n!r}")
    return n
