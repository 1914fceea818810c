"""Bytes that were a message once: flipped, cut, spliced with another, doubled, filled with what breaks parsers."""

from __future__ import annotations

import random
from collections.abc import Callable

#: What sits on edges of parsers: ends, signs, widths, marks of other encodings, numbers that no float can hold.
_EDGES = (
    b"\x00",
    b"\xff",
    b"\x80",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"\xff" * 8,
    b"\x7f" * 8,
    b"\x00" * 16,
    b'"',
    b"\\",
    b"\\ud800",
    b"\\u0000",
    b"{",
    b"}",
    b"[" * 200,
    b"]",
    b",",
    b":",
    b"-",
    b"1e999",
    b"NaN",
    b"-Infinity",
    b"9" * 400,
    b"\xe2\x80\xa8",
    b"\xd9\xa1",
)


def _flip(rng: random.Random, data: bytearray, other: bytes) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(rng: random.Random, data: bytearray, other: bytes) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _cut(rng: random.Random, data: bytearray, other: bytes) -> None:
    at = rng.randint(0, len(data))
    del data[at : at + rng.choice((1, 2, 4, 8, 64, len(data)))]


def _splice(rng: random.Random, data: bytearray, other: bytes) -> None:
    data[rng.randint(0, len(data)) :] = other[rng.randint(0, len(other)) :]


def _double(rng: random.Random, data: bytearray, other: bytes) -> None:
    start = rng.randint(0, len(data))
    piece = data[start : start + rng.choice((1, 4, 16, 64, 256))]
    at = rng.randint(0, len(data))
    data[at:at] = piece * rng.choice((1, 1, 2, 50))


def _insert(rng: random.Random, data: bytearray, other: bytes) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = rng.choice(_EDGES)


def _overwrite(rng: random.Random, data: bytearray, other: bytes) -> None:
    edge = rng.choice(_EDGES)
    at = rng.randint(0, len(data))
    data[at : at + len(edge)] = edge


_WAYS: tuple[Callable[[random.Random, bytearray, bytes], None], ...] = (
    _flip,
    _flip,
    _set,
    _cut,
    _splice,
    _double,
    _insert,
    _overwrite,
)


def mutated(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """``data`` after one to four changes; ``other`` is what it may be spliced with."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(_WAYS)(rng, changed, other)
    return bytes(changed)
