"""Typed reading of snapshots: every failure is a ValueError that names the key and what stood there."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NoReturn, TypeVar

from processors.signals.statistic import Json, finite


def _wrong(key: str, wanted: str, found: Json) -> NoReturn:
    raise ValueError(f"snapshot key {key!r} must be {wanted}, got {found!r}")


def read(snapshot: Mapping[str, Json], key: str) -> Json:
    """Whatever stands there; only its absence is an error."""
    if key not in snapshot:
        raise ValueError(f"snapshot has no key {key!r}; its keys are {sorted(snapshot)}")
    return snapshot[key]


def read_int(snapshot: Mapping[str, Json], key: str) -> int:
    """An integer (a bool is not one)."""
    found = read(snapshot, key)
    if isinstance(found, bool) or not isinstance(found, int):
        _wrong(key, "an integer", found)
    return found


def read_optional_int(snapshot: Mapping[str, Json], key: str) -> int | None:
    """An integer or null."""
    return None if read(snapshot, key) is None else read_int(snapshot, key)


def read_bool(snapshot: Mapping[str, Json], key: str) -> bool:
    """A boolean."""
    found = read(snapshot, key)
    if not isinstance(found, bool):
        _wrong(key, "true or false", found)
    return found


def read_optional_bool(snapshot: Mapping[str, Json], key: str) -> bool | None:
    """A boolean or null."""
    return None if read(snapshot, key) is None else read_bool(snapshot, key)


def read_float(snapshot: Mapping[str, Json], key: str) -> float:
    """A finite number."""
    found = read(snapshot, key)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        _wrong(key, "a number", found)
    return finite(found, f"snapshot key {key!r}")


def read_optional_float(snapshot: Mapping[str, Json], key: str) -> float | None:
    """A finite number or null."""
    return None if read(snapshot, key) is None else read_float(snapshot, key)


def read_list(snapshot: Mapping[str, Json], key: str) -> Sequence[Json]:
    """An array."""
    found = read(snapshot, key)
    if isinstance(found, str) or not isinstance(found, Sequence):
        _wrong(key, "an array", found)
    return found


def read_floats(snapshot: Mapping[str, Json], key: str) -> list[float]:
    """An array of finite numbers."""
    numbers: list[float] = []
    for item in read_list(snapshot, key):
        if isinstance(item, bool) or not isinstance(item, (int, float)):
            _wrong(key, "an array of numbers", item)
        numbers.append(finite(item, f"snapshot key {key!r}"))
    return numbers


def read_object(snapshot: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    """An object."""
    return as_object(read(snapshot, key), key)


def as_object(found: Json, key: str) -> Mapping[str, Json]:
    """`found` itself when it is an object; `key` says where it stood."""
    if not isinstance(found, Mapping):
        _wrong(key, "an object", found)
    return found


def read_optional_string(snapshot: Mapping[str, Json], key: str) -> str | None:
    """A string or null."""
    found = read(snapshot, key)
    if found is not None and not isinstance(found, str):
        _wrong(key, "a string", found)
    return found


def read_strings(snapshot: Mapping[str, Json], key: str) -> list[str]:
    """An array of strings."""
    found = read_list(snapshot, key)
    for item in found:
        if not isinstance(item, str):
            _wrong(key, "an array of strings", item)
    return [str(item) for item in found]


def read_features(snapshot: Mapping[str, Json], key: str) -> dict[str, bool | int | float | str]:
    """An object of single values, none of them null."""
    features: dict[str, bool | int | float | str] = {}
    for name, value in read_object(snapshot, key).items():
        if not isinstance(value, (bool, int, float, str)):
            _wrong(key, "an object of single values", value)
        features[name] = value
    return features


def read_optional_date(snapshot: Mapping[str, Json], key: str) -> date | None:
    """An ISO date or null."""
    return None if read(snapshot, key) is None else read_date(snapshot, key)


def read_date(snapshot: Mapping[str, Json], key: str) -> date:
    """An ISO date."""
    return as_date(read(snapshot, key), key)


def read_dates(snapshot: Mapping[str, Json], key: str) -> list[date]:
    """An array of ISO dates."""
    return [as_date(item, key) for item in read_list(snapshot, key)]


def as_date(found: Json, key: str) -> date:
    """The date that an ISO string names; `key` says where it stood."""
    if not isinstance(found, str):
        _wrong(key, "an ISO date", found)
    try:
        return date.fromisoformat(found)
    except ValueError:
        _wrong(key, "an ISO date", found)


A = TypeVar("A", int, float, str)
B = TypeVar("B", int, float, str)


def read_pairs(snapshot: Mapping[str, Json], key: str, first: type[A], second: type[B]) -> dict[str, tuple[A, B]]:
    """An object of arrays of two, each of its own type."""
    pairs: dict[str, tuple[A, B]] = {}
    for name, found in read_object(snapshot, key).items():
        if isinstance(found, str) or not isinstance(found, Sequence) or len(found) != 2:
            _wrong(key, "an object of pairs", found)
        pairs[name] = (_typed(key, found[0], first), _typed(key, found[1], second))
    return pairs


def _typed(key: str, found: Json, kind: type[A]) -> A:
    if isinstance(found, kind) and not isinstance(found, bool):
        return kind(finite(found, f"snapshot key {key!r}")) if isinstance(found, float) else found
    if kind is float and isinstance(found, int) and not isinstance(found, bool):
        return kind(found)
    _wrong(key, f"pairs with a {kind.__name__}", found)
