"""A figure that the market does not give now, and why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unavailable:
    """In place of a figure: well-formed quotes which do not determine it. Malformed quotes raise ValueError."""

    reason: str
