"""What follows from a market alone, worked out once for all of its portfolios."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any


class Memo:
    """Results by key, all of the same origin."""

    __slots__ = ("_found", "_origin")

    def __init__(self) -> None:
        self._origin: tuple[object, ...] = ()
        self._found: dict[Hashable, Any] = {}

    def of(self, *origin: object) -> dict[Hashable, Any]:
        """The results so far; none when the last ones were of another origin."""
        if len(origin) != len(self._origin) or any(
            mine is not given and mine != given for mine, given in zip(self._origin, origin, strict=True)
        ):
            self._origin, self._found = origin, {}
        return self._found
