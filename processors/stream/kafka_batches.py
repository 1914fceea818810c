"""Fetched record batches as columns, in place of the client's own loop over single records.

The client makes three objects of each record and reads it byte by byte, which costs more than all that a processor
then does with a tick. Here only the lengths are walked through one after the other; everything else is read for a
whole batch at once. What a fetch means - aborted transactions, markers, checksums, where to fetch on - stays the same.

The format is Kafka's record batch of version 2 (https://kafka.apache.org/documentation/#recordbatch).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from kafka import KafkaConsumer
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from processors.stream.log import Headers, Records

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]

#: Longest varint: 64 bits, seven a byte.
_LONGEST: Final = 10
#: Keys and headers of at most so many bytes are looked at together, to see whether all are equal.
_SHORT: Final = 128


def read_columns(consumer: KafkaConsumer) -> None:
    """Make a consumer return :class:`processors.stream.log.Records` instead of single records.

    Its polls then give a list of them for each partition; together they hold at most about ``max_poll_records``.
    """
    consumer._fetcher.PartitionRecords = Fetched


class Taken:
    """Columns that a poll takes from one fetch. The client adds up its length as so many records."""

    def __init__(self, parts: Sequence[Records]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __iter__(self) -> Iterator[Records]:
        return iter(self._parts)


class Fetched(Fetcher.PartitionRecords):  # type: ignore[misc]
    """What one fetch brought of one partition, in the shape that the client's fetcher works with."""

    _rest: Records | None = None

    def _maybe_skip_record(self, record: Records) -> bool:
        """Nothing: :meth:`_unpack_records` leaves out what lies before the offset that was asked for."""
        return False

    def take(self, n: int) -> Taken:
        """Up to ``n`` records. What is wrong behind them is raised at the next call."""
        self._maybe_raise_next_inline_exception()
        parts: list[Records] = []
        try:
            while n > 0:
                part = self._rest or next(self.record_iterator, None)
                self._rest = None
                if part is None:
                    break
                if len(part) > n:
                    part, self._rest = part[:n], part[n:]
                parts.append(part)
                n -= len(part)
                self.next_fetch_offset = part.offsets[-1] + 1
        except Exception as error:
            if not parts:
                raise
            self._next_inline_exception = error
        return Taken(parts)

    def _unpack_records(self, tp: Any, records: Any, *deserializers: None) -> Iterator[Records]:
        """The records of each batch that is committed, from the offset on that was asked for."""
        while (batch := records.next_batch()) is not None:
            if self.check_crcs and not batch.validate_crc():
                raise CorruptRecordError(
                    f"{tp.topic} partition {tp.partition}: the batch at offset {batch.base_offset} has a wrong checksum"
                )
            self.bytes_read += batch.size_in_bytes
            if batch.magic < 2:
                found = _slowly(tp, batch)
            else:
                self.leader_epoch = batch.leader_epoch
                found = None if self._is_no_data(batch) else _records(tp, batch)
            if found and found.offsets[0] < self.fetch_offset:  # a batch is fetched whole
                found = found[bisect_left(found.offsets, self.fetch_offset) :]
            if found:
                self.records_read += len(found)
                yield found
            if batch.magic >= 2:
                # behind the batch, not behind its last record, which compaction may have removed
                self.next_fetch_offset = batch.next_offset
        self.drain()

    def _is_no_data(self, batch: Any) -> bool:
        """Whether a batch is a marker, or belongs to an aborted transaction that must not be seen."""
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            if self._contains_abort_marker(batch):
                self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return True
        return bool(batch.is_control_batch)


def _slowly(tp: Any, batch: Any) -> Records | None:
    """A batch of the formats before version 2, which brokers no longer write, read by the client."""
    found = list(batch)
    return Records(
        tp.topic,
        tp.partition,
        [r.offset for r in found],
        [r.timestamp * 1_000_000 for r in found],
        [r.key for r in found],
        [r.value for r in found],
        [()] * len(found),
    )


def _records(tp: Any, batch: Any) -> Records | None:
    """The records of a batch of version 2. CorruptRecordError when its bytes are none."""
    if not batch.records_count:
        return None
    iter(batch)  # unpacks what is compressed
    data = bytes(memoryview(batch._buffer)[batch._pos :])
    try:
        return _read(tp, batch, data)
    except (IndexError, ValueError) as error:
        raise CorruptRecordError(
            f"{tp.topic} partition {tp.partition}: the batch at offset {batch.base_offset} cannot be read: {error}"
        ) from error


def _read(tp: Any, batch: Any, data: bytes) -> Records:
    array = np.frombuffer(data, dtype=np.uint8)
    begins, ends = _bounds(data, batch.records_count)
    delta, at = _varints(array, begins + 1)  # the byte before is of attributes that nothing uses
    place, at = _varints(array, at)
    if place[0] < 0 or place[-1] > batch.last_offset_delta or (place[1:] <= place[:-1]).any():
        raise ValueError("its offsets do not rise")
    keys, at = _texts(array, data, at, ends)
    values, at = _texts(array, data, at, ends)
    headers = _each(_headers, _slices(array, data, at, ends))
    if batch.timestamp_type == batch.LOG_APPEND_TIME:
        timestamps = [batch.max_timestamp * 1_000_000] * len(values)
    else:
        timestamps = ((delta + batch.first_timestamp) * 1_000_000).tolist()
    return Records(tp.topic, tp.partition, (place + batch.base_offset).tolist(), timestamps, keys, values, headers)


def _bounds(data: bytes, count: int) -> tuple[Places, Places]:
    """Where each record begins, behind its length, and ends."""
    begins, ends, at = [], [], 0
    for _ in range(count):
        # two bytes hold the length of nearly every record
        first = data[at]
        if first < 0x80:
            length, at = first, at + 1
        elif (second := data[at + 1]) < 0x80:
            length, at = first & 0x7F | second << 7, at + 2
        else:
            length, at = _varint(data, at)
        begins.append(at)
        at += length >> 1  # never negative: a zigzag number that is, is odd, and too short to hold a record
        ends.append(at)
    if at != len(data):
        raise ValueError(f"{count} records end at byte {at} of {len(data)}")
    return np.array(begins, dtype=np.int64), np.array(ends, dtype=np.int64)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """One unsigned varint and the place behind it."""
    value = 0
    for shift in range(0, 7 * _LONGEST, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f"a number of more than {_LONGEST} bytes ends at byte {at}")


def _varints(data: Bytes, at: Places) -> tuple[Places, Places]:
    """The zigzag varints at these places, and the places behind them."""
    byte = data[at]
    value = (byte & 0x7F).astype(np.uint64)
    at = at + 1
    more = np.flatnonzero(byte >= 0x80)
    shift = 7
    while len(more):
        if shift >= 7 * _LONGEST:
            raise ValueError(f"a number of more than {_LONGEST} bytes")
        byte = data[at[more]]
        value[more] |= (byte & 0x7F).astype(np.uint64) << np.uint64(shift)
        at[more] += 1
        more = more[byte >= 0x80]
        shift += 7
    return (value >> np.uint64(1)).astype(np.int64) ^ -(value & np.uint64(1)).astype(np.int64), at


def _texts(array: Bytes, data: bytes, at: Places, ends: Places) -> tuple[Sequence[bytes | None], Places]:
    """Byte strings with their lengths before them, None where the length says so, and the places behind them."""
    length, start = _varints(array, at)
    stop = start + np.maximum(length, 0)
    if (stop > ends).any():
        raise ValueError("a key or a value is longer than its record")
    found = _slices(array, data, start, stop)
    if (length < 0).any():
        return [None if size < 0 else text for size, text in zip(length.tolist(), found, strict=True)], stop
    return found, stop


def _slices(array: Bytes, data: bytes, start: Places, stop: Places) -> list[bytes]:
    """The bytes between these places; the same object for all when they are equal, as keys and headers mostly are."""
    first, size = data[start[0] : stop[0]], int(stop[0] - start[0])
    if size <= _SHORT and ((stop - start) == size).all():
        there = sliding_window_view(array, size)[start] if size else array[:0]
        if (there == np.frombuffer(first, dtype=np.uint8)).all():
            return [first] * len(start)
    return [data[a:b] for a, b in zip(start.tolist(), stop.tolist(), strict=True)]


def _each(read: Callable[[bytes], Headers], blocks: Sequence[bytes]) -> list[Headers]:
    """What is read from each block, once for equal ones."""
    known = {block: read(block) for block in set(blocks)}
    return [known[block] for block in blocks]


def _headers(block: bytes) -> Headers:
    """Headers of one record. A value that is missing is empty here, and a name is text whatever its bytes are."""
    found = []
    count, at = _zigzag(block, 0)
    for _ in range(count):
        name, at = _text(block, at)
        value, at = _text(block, at)
        found.append((name.decode(errors="replace"), value))
    if count < 0 or at != len(block):
        raise ValueError(f"{count} headers end at byte {at} of {len(block)}")
    return tuple(found)


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    size, at = _zigzag(block, at)
    stop = at + max(size, 0)
    if stop > len(block):
        raise ValueError("a header is longer than its record")
    return block[at:stop], stop


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return value >> 1 ^ -(value & 1), at
