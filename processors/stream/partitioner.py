"""Which partition a key belongs to: the same answer as every Kafka client's default, for all three logs.

Written out here, and held to the client's own function by a test, so that the logs that need no Kafka do not load it.
"""

from __future__ import annotations

from functools import lru_cache

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995


@lru_cache(maxsize=65_536)  # keys are markets and portfolios: few, and asked for with every record
def murmur2(data: bytes) -> int:
    """MurmurHash2 of ``data`` with the seed that Kafka's clients use, as an unsigned 32-bit number."""
    size = len(data)
    whole = size & ~3
    h = 0x9747B28C ^ size
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if whole < size:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_for(key: bytes | None, partitions: int) -> int:
    """The partition of ``key`` among ``partitions``. A record without a key goes to partition 0, so order is kept."""
    return 0 if key is None else (murmur2(key) & 0x7FFFFFFF) % partitions
