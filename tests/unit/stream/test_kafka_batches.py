"""Record batches as columns: exactly what the client itself reads from the same bytes."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from kafka.record.util import calc_crc32c, encode_varint
from kafka.structs import TopicPartition

from processors.stream.kafka_batches import Fetched

TP = TopicPartition("market.ticks", 3)
NONE, GZIP, LZ4, ZSTD = 0, 1, 3, 4

Given = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes]]]


def batch(records: Sequence[Given], base: int = 0, compression: int = NONE, **producer: Any) -> bytearray:
    """A batch as the client's own producer builds it, beginning at offset ``base``."""
    builder = MemoryRecordsBuilder(2, compression, 1 << 30, **producer)
    for timestamp, key, value, headers in records:
        assert builder.append(timestamp, key, value, headers) is not None
    builder.close()
    built = bytearray(builder.buffer())
    struct.pack_into(">q", built, 0, base)  # as the broker does: the checksum does not cover it
    return built


def control(base: int, producer_id: int, *, abort: bool) -> bytearray:
    """A transaction marker."""
    built = batch(
        [(0, struct.pack(">hh", 0, 0 if abort else 1), b"", [])],
        base,
        transactional=True,
        producer_id=producer_id,
        producer_epoch=0,
        base_sequence=0,
    )
    at = DefaultRecordBatch.ATTRIBUTES_OFFSET
    struct.pack_into(">h", built, at, struct.unpack_from(">h", built, at)[0] | DefaultRecordBatch.CONTROL_MASK)
    return sealed(built)


def sealed(built: bytearray) -> bytearray:
    """The batch with the checksum that its bytes have now."""
    at = DefaultRecordBatch.ATTRIBUTES_OFFSET
    struct.pack_into(">I", built, DefaultRecordBatch.CRC_OFFSET, calc_crc32c(memoryview(built)[at:]))
    return built


def theirs(data: bytes, start: int = 0, **settings: Any) -> list[Any]:
    return list(Fetcher.PartitionRecords(start, TP, MemoryRecords(data), **settings).take())


def ours(data: bytes, start: int = 0, most: int = 1 << 30, **settings: Any) -> list[Any]:
    fetched = Fetched(start, TP, MemoryRecords(data), **settings)
    found: list[Any] = []
    while fetched:
        taken = fetched.take(most)
        assert len(taken) <= most
        found += [record for part in taken for record in part]
    return found


def assert_same(data: bytes, start: int = 0, **settings: Any) -> None:
    expected = theirs(data, start, **settings)
    for most in (1, 3, 1000):
        found = ours(data, start, most, **settings)
        assert [(r.topic, r.partition) for r in found] == [TP] * len(expected)
        assert [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in found] == [
            (r.offset, r.timestamp * 1_000_000, r.key, r.value, r.headers) for r in expected
        ]


RECORDS = st.lists(
    st.tuples(
        st.integers(0, 1 << 42),
        st.none() | st.binary(max_size=40),
        st.none() | st.binary(max_size=9000),
        st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=200)), max_size=3),
    ),
    min_size=1,
    max_size=40,
)


@given(RECORDS, st.sampled_from([NONE, GZIP, LZ4, ZSTD]), st.integers(0, 1 << 50))
def test_a_batch_reads_as_the_client_reads_it(records: list[Given], compression: int, base: int) -> None:
    assert_same(bytes(batch(records, base, compression)), base)


@given(RECORDS, st.data())
def test_reading_begins_at_the_offset_that_was_asked_for(records: list[Given], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(records) + 2))
    assert_same(bytes(batch(records) + batch(records, len(records))), start)


def test_a_record_of_every_length_is_read() -> None:
    sizes = [*range(130), *range(8100, 8300), 1 << 20, (1 << 21) + 7]
    assert_same(bytes(batch([(n, None, b"x" * n, []) for n in sizes])))


def test_timestamps_of_the_log_hold_for_the_whole_batch() -> None:
    built = batch([(5, b"k", b"v", []), (9, b"k", b"w", [])])
    at = DefaultRecordBatch.ATTRIBUTES_OFFSET
    struct.pack_into(">h", built, at, DefaultRecordBatch.TIMESTAMP_TYPE_MASK)
    sealed(built)
    assert [r.timestamp for r in ours(bytes(built))] == [9_000_000, 9_000_000]
    assert_same(bytes(built))


class _Aborted:
    def __init__(self, producer_id: int, first_offset: int) -> None:
        self.producer_id, self.first_offset = producer_id, first_offset


def transactions() -> bytes:
    """Two producers, in turn: what 7 wrote is aborted, then it writes again and commits; 8 commits."""

    def part(base: int, producer_id: int, value: bytes) -> bytearray:
        given = [(1, b"k", value, []), (2, b"k", value, [])]
        return batch(
            given, base, transactional=True, producer_id=producer_id, producer_epoch=0, base_sequence=0
        )

    parts = [
        part(0, 7, b"aborted"),
        part(2, 8, b"kept"),
        control(4, 7, abort=True),
        part(5, 7, b"again"),
        control(7, 8, abort=False),
        control(8, 7, abort=False),
    ]
    return bytes(b"".join(parts))


def test_aborted_records_and_markers_are_passed_over() -> None:
    settings = {"isolation_level": IsolationLevel.READ_COMMITTED}
    found = ours(transactions(), aborted_transactions=[_Aborted(7, 0)], **settings)
    assert [(r.offset, r.value) for r in found] == [(2, b"kept"), (3, b"kept"), (5, b"again"), (6, b"again")]
    assert_same(transactions(), aborted_transactions=[_Aborted(7, 0)], **settings)
    assert_same(transactions())


def test_the_next_fetch_begins_behind_all_that_was_looked_at() -> None:
    fetched = Fetched(0, TP, MemoryRecords(transactions()), isolation_level=IsolationLevel.READ_COMMITTED)
    steps = []
    while fetched:
        taken = len(fetched.take(3))
        steps.append((taken, fetched.next_fetch_offset))
    assert steps == [(3, 3), (3, 7), (0, 9)]


def test_the_end_of_a_compacted_batch_is_passed_over() -> None:
    built = batch([(1, b"k", b"v", [])])
    at = DefaultRecordBatch.ATTRIBUTES_OFFSET + 2
    struct.pack_into(">i", built, at, 9)  # nine more were there once
    fetched = Fetched(0, TP, MemoryRecords(bytes(sealed(built))))
    assert len(fetched.take(100)) == 1
    assert fetched.next_fetch_offset == 10
    assert not fetched


def test_a_wrong_checksum_is_raised_behind_the_records_before_it() -> None:
    broken = batch([(1, b"k", b"w", [])], 1)
    broken[-1] ^= 1
    fetched = Fetched(0, TP, MemoryRecords(bytes(batch([(1, b"k", b"v", [])]) + broken)))
    assert [r.value for part in fetched.take(10) for r in part] == [b"v"]
    with pytest.raises(CorruptRecordError, match="partition 3: the batch at offset 1 has a wrong checksum"):
        fetched.take(10)


def test_bytes_that_are_no_records_are_an_error_and_never_records() -> None:
    whole = batch([(n, b"key", b"value" * n, [("name", b"x")]) for n in range(20)])
    first, random_ = DefaultRecordBatch.HEADER_STRUCT.size, random.Random(1)
    refused = 0
    for _ in range(3000):
        spoiled = bytearray(whole)
        for _ in range(random_.randint(1, 4)):
            spoiled[random_.randrange(first, len(spoiled))] = random_.randrange(256)
        sealed(spoiled)
        try:
            found = ours(bytes(spoiled))
        except CorruptRecordError:
            refused += 1
        else:
            assert len(found) == 20
    assert refused > 500


def raw_record(headers: bytes) -> bytes:
    """A record without key or value, with header bytes of our own."""

    def varint(number: int) -> bytes:
        out = bytearray()
        encode_varint(number, out.append)
        return bytes(out)

    body = b"\x00" + varint(0) + varint(0) + varint(-1) + varint(-1) + headers
    return varint(len(body)) + body


def with_record(record: bytes) -> bytes:
    """A batch of that one record."""
    built = batch([(1, None, None, [])])[: DefaultRecordBatch.HEADER_STRUCT.size] + record
    struct.pack_into(">i", built, 8, len(built) - DefaultRecordBatch.AFTER_LEN_OFFSET)
    return bytes(sealed(built))


def test_a_header_without_a_value_is_empty_and_one_with_a_strange_name_is_text() -> None:
    # one header: a name of two bytes that are no UTF-8, a value of length -1
    (record,) = ours(with_record(raw_record(b"\x02\x04\xff\xfe\x01")))
    assert record.headers == (("\ufffd\ufffd", b""),)


@pytest.mark.parametrize("headers", [b"", b"\x02\x04a", b"\x02\x02a\x08b", b"\x01", b"\x00\x00", b"\xff" * 12])
def test_headers_that_do_not_end_with_their_record_are_an_error(headers: bytes) -> None:
    with pytest.raises(CorruptRecordError, match="the batch at offset 0 cannot be read"):
        ours(with_record(raw_record(headers)))
