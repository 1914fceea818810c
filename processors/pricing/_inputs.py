"""Reading what a caller gives: arrays of numbers, and strips of quotes in which some are absent."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
MaskedFloats: TypeAlias = np.ma.MaskedArray[Any, np.dtype[np.float64]]

Quotes: TypeAlias = Sequence[float | None] | FloatArray | MaskedFloats
"""One number a strike. An absent one is None in a sequence, or masked in a masked array; never 0 and never NaN."""


def finite(x: ArrayLike, name: str) -> FloatArray:
    """`x` as float64, or ValueError at the first NaN, infinity or masked element."""
    if np.ma.is_masked(x):
        raise ValueError(f"{name} must be there, got a masked value")
    array = np.asarray(x, dtype=np.float64)
    return _all(np.isfinite(array), array, f"{name} must be finite numbers")


def positive(x: ArrayLike, name: str) -> FloatArray:
    """`x` as float64, or ValueError at the first that is not a finite number above 0."""
    array = finite(x, name)
    return _all(array > 0.0, array, f"{name} must be above 0")


def not_negative(x: ArrayLike, name: str) -> FloatArray:
    """`x` as float64, or ValueError at the first that is not a finite number of at least 0."""
    array = finite(x, name)
    return _all(array >= 0.0, array, f"{name} must not be negative")


def signs(right: ArrayLike) -> FloatArray:
    """`right` as float64, or ValueError at the first that is neither +1 (call) nor -1 (put)."""
    array = finite(right, "right")
    return _all(np.abs(array) == 1.0, array, "right must be +1 (call) or -1 (put)")


def discount_factor(t: FloatArray, r: FloatArray) -> FloatArray:
    """e^{-rt}; ValueError when that is no finite number above 0."""
    with np.errstate(over="ignore", under="ignore"):
        discount = np.exp(-r * t)
    if not (np.isfinite(discount) & (discount > 0.0)).all():
        raise ValueError(f"r x t is out of range: r={r}, t={t}")
    return np.asarray(discount)


def ascending(strikes: ArrayLike) -> FloatArray:
    """Strikes above 0 in strictly ascending order, or ValueError."""
    array = positive(strikes, "strikes")
    if array.ndim != 1 or not (np.diff(array) > 0.0).all():
        raise ValueError("strikes must be one row in strictly ascending order")
    return array


def quotes(x: Quotes, strikes: FloatArray, name: str) -> tuple[FloatArray, BoolArray]:
    """The numbers, and which of them are there (an absent one reads 0 and is not to be used).

    ValueError for NaN, infinities, negative numbers, and when there is not one for each strike.
    """
    if isinstance(x, np.ma.MaskedArray):
        known: BoolArray = ~np.ma.getmaskarray(x)
        values = np.where(known, np.ma.getdata(x), 0.0)
    elif isinstance(x, np.ndarray):
        known, values = np.ones(x.shape, dtype=np.bool_), x
    else:
        known = np.array([value is not None for value in x], dtype=np.bool_)
        values = np.array([0.0 if value is None else value for value in x], dtype=np.float64)
    if values.shape != strikes.shape:
        raise ValueError(f"{name} must hold one entry for each of the {strikes.size} strikes, got shape {values.shape}")
    return not_negative(values, name), known


def number(x: float, name: str) -> float:
    """`x` as a plain float, or ValueError when it is not one finite number."""
    array = finite(x, name)
    if array.ndim:
        raise ValueError(f"{name} must be one number, got shape {array.shape}")
    return float(array)


def _all(good: BoolArray, array: FloatArray, complaint: str) -> FloatArray:
    if not np.all(good):
        raise ValueError(f"{complaint}, got {float(array[~np.asarray(good)].flat[0])!r}")
    return array
