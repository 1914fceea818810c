"""Features by name: what has no value is absent."""

from typing import TypeVar

T = TypeVar("T")


def put(features: dict[str, T], name: str, value: T | None) -> None:
    """Add a feature, unless it is missing."""
    if value is not None:
        features[name] = value
