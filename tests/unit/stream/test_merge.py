"""The merge of inputs: however their records arrive, all rows come out, in one order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.stream.log import Record
from processors.stream.merge import Channel, holding, merge
from processors.stream.processor import Decoded, Run, Segment
from topics.dead_letter import Refused

generated = settings(
    max_examples=400, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)

#: Event times of one record's rows; None is a record that is refused, 0 a row that is.
Times = list[int] | None
_ROWS = st.one_of(*(st.lists(st.integers(0, 12), min_size=1, max_size=most) for most in (1, 1, 5)))
_RECORDS = st.lists(st.one_of(st.none(), _ROWS, _ROWS), max_size=8)
_INPUTS = st.lists(_RECORDS, min_size=1, max_size=4)


def record(topic: int, offset: int) -> Record:
    return Record(f"t{topic}", 0, offset, 0, None, b"")


@dataclass
class Source:
    """One input: its records, how many have arrived, and the channel that they go to."""

    topic: int
    records: Sequence[Times]
    arrived: int = 0
    channel: Channel = field(init=False)

    def __post_init__(self) -> None:
        self.channel = Channel(f"t{self.topic}", 0.0, 0)

    @property
    def exhausted(self) -> bool:
        return self.arrived == len(self.records)

    def arrive(self) -> None:
        times = self.records[self.arrived]
        content = (
            Refused("invalid", "no good")
            if times is None
            else Decoded(np.array(times, dtype=np.int64), (self.topic, self.arrived))
        )
        rows = self.channel.put(record(self.topic, self.arrived), content)
        assert rows == (1 if times is None else len(times))
        self.arrived += 1

    def arrive_together(self, most: int) -> None:
        """Up to ``most`` records, as a run when each has a row, else the first of them alone."""
        count = 0
        for times in self.records[self.arrived : self.arrived + most]:
            if times is None or len(times) > 1:
                break
            count += 1
        if not count:
            self.arrive()
            return
        coming = range(self.arrived, self.arrived + count)
        times = np.array([(self.records[offset] or [0])[0] for offset in coming], dtype=np.int64)
        run = Run(0, count, times, [(self.topic, offset) for offset in coming])
        assert self.channel.put_run([record(self.topic, offset) for offset in coming], run) == count
        self.arrived += count


def oracle(inputs: Sequence[Sequence[Times]]) -> list[tuple[int, int, int, int]]:
    """(key, input, offset, row) of every row in merged order: by the largest time that its input had reached."""
    rows = []
    for topic, records in enumerate(inputs):
        reached = 0
        for offset, times in enumerate(records):
            for row, ts in enumerate([0] if times is None else times):
                reached = max(reached, ts)
                rows.append((reached, topic, offset, row))
    return sorted(rows, key=lambda given: given[:2])  # stable: places within an input stay


def rows_of(segments: Sequence[Segment]) -> list[tuple[int, int, int, int]]:
    found = []
    for s in segments:
        for key, row in zip(s.keys, range(s.start, s.stop), strict=True):
            record, place = s.place(row)
            found.append((int(key), int(record.topic[1:]), record.offset, place))
    return found


@generated
@given(inputs=_INPUTS, data=st.data())
def test_rows_come_in_one_order_however_their_records_arrive(inputs: list[list[Times]], data: st.DataObject) -> None:
    sources = [Source(topic, records) for topic, records in enumerate(inputs)]
    channels = [source.channel for source in sources]
    segments: list[Segment] = []
    while any(not source.exhausted for source in sources):
        for source in sources:
            for _ in range(data.draw(st.integers(0, 4))):
                if not source.exhausted:
                    source.arrive_together(data.draw(st.integers(0, 3)))
        # An input is silent only when it has really shown everything; it need not be noticed at once.
        silent = [source.exhausted and data.draw(st.booleans()) for source in sources]
        taken = merge(channels, silent)
        assert all(len(s.keys) == s.stop - s.start > 0 for s in taken)
        for source in sources:  # a committed position is the start of a record: each one is taken whole or not at all
            seen = {
                (s.place(row)[0].offset, s.place(row)[1])
                for s in taken
                if s.record.topic == source.channel.topic
                for row in range(s.start, s.stop)
            }
            whole = {(o, r) for o, _ in seen for r in range(len(source.records[o] or [0]))}
            assert seen == whole
        segments += taken
        if not taken and any(channel.queue for channel in channels):
            held = holding(channels, silent)
            assert held, "nothing can be taken, so some input must be read on"
            assert all(not silent[channels.index(channel)] for channel in held)
    segments += merge(channels, [True] * len(channels))
    assert rows_of(segments) == oracle(inputs)
    assert all(not channel.queue for channel in channels)
    for source, records in zip(sources, inputs, strict=True):
        assert source.channel.position == len(records)
        assert source.channel.time == source.channel.ahead == max((t for r in records for t in r or [0]), default=0)


@generated
@given(inputs=_INPUTS)
def test_what_is_refused_keeps_its_place_and_its_time(inputs: list[list[Times]]) -> None:
    sources = [Source(topic, records) for topic, records in enumerate(inputs)]
    for source in sources:
        for _ in source.records:
            source.arrive()
    segments = merge([source.channel for source in sources], [True] * len(sources))
    for segment in segments:
        times = inputs[int(segment.record.topic[1:])][segment.record.offset]
        assert isinstance(segment.body, Refused) == (times is None)
    refused = [(s.record.topic, s.record.offset) for s in segments if isinstance(s.body, Refused)]
    assert len(refused) == sum(times is None for records in inputs for times in records)


@generated
@given(inputs=_INPUTS, cut=st.integers(0, 30))
def test_a_channel_that_is_taken_up_again_goes_on_with_the_same_keys(inputs: list[list[Times]], cut: int) -> None:
    """A restart between two merges: new channels begin at the committed positions and times."""
    first = [Source(topic, records) for topic, records in enumerate(inputs)]
    for source in first:
        for _ in source.records[: 1 + cut % 5]:
            source.arrive()
    segments = merge([s.channel for s in first], [s.exhausted for s in first])
    second = [Source(topic, records) for topic, records in enumerate(inputs)]
    for before, source in zip(first, second, strict=True):
        at, position = before.channel.time, before.channel.position
        source.channel = Channel(before.channel.topic, 0.0, position, time=at, ahead=at)
        source.arrived = position
        while not source.exhausted:
            source.arrive()
    segments += merge([s.channel for s in second], [True] * len(second))
    assert rows_of(segments) == oracle(inputs)


def _two(first: list[list[int]], second: list[list[int]]) -> tuple[Source, Source]:
    sources = (Source(0, first), Source(1, second))
    for source in sources:
        while not source.exhausted:
            source.arrive()
    return sources


def test_of_equal_keys_the_earlier_input_goes_first_and_the_later_one_waits() -> None:
    a, b = _two([[5]], [[5]])
    assert rows_of(merge([a.channel, b.channel], [False, False])) == [(5, 0, 0, 0)]
    assert holding([a.channel, b.channel], [False, False]) == [a.channel]
    assert rows_of(merge([a.channel, b.channel], [True, False])) == [(5, 1, 0, 0)]


def test_a_run_is_taken_as_far_as_it_can_be() -> None:
    a, b = Source(0, [[5]]), Source(1, [[1], [4], [5], [6], [9]])
    a.arrive()
    b.arrive_together(5)
    assert rows_of(merge([a.channel, b.channel], [False, True])) == [(1, 1, 0, 0), (4, 1, 1, 0), (5, 0, 0, 0)]
    assert b.channel.position == 2
    assert (b.channel.waiting, b.channel.rows) == (3, 3)
    assert holding([a.channel, b.channel], [False, True]) == [a.channel]
    assert rows_of(merge([a.channel, b.channel], [True, True])) == [(5, 1, 2, 0), (6, 1, 3, 0), (9, 1, 4, 0)]
    assert (b.channel.position, b.channel.waiting, b.channel.rows, b.channel.time) == (5, 0, 0, 9)


def test_a_record_amid_the_rows_of_a_block_waits_with_it_and_splits_it() -> None:
    a, b = _two([[10]], [[5, 15]])
    assert merge([a.channel, b.channel], [False, False]) == []
    assert holding([a.channel, b.channel], [False, False]) == [a.channel]
    segments = merge([a.channel, b.channel], [True, False])
    assert [(s.record.topic, s.start, s.stop) for s in segments] == [("t1", 0, 1), ("t0", 0, 1), ("t1", 1, 2)]


def test_the_input_that_everything_waits_for_is_told_apart_from_those_that_wait() -> None:
    a, b, c = Source(0, [[1], [2]]), Source(1, [[3, 9]]), Source(2, [[20]])
    for source in (a, b, c):
        source.arrive()
    merge([s.channel for s in (a, b, c)], [False, True, False])
    assert holding([s.channel for s in (a, b, c)], [False, True, False]) == [a.channel]
    assert holding([Channel("t", 0.0, 0)], [False]) == []


def test_one_input_alone_never_waits() -> None:
    source = Source(0, [[3], None, [1, 4]])
    for _ in source.records:
        source.arrive()
    assert rows_of(merge([source.channel], [False])) == [(3, 0, 0, 0), (3, 0, 1, 0), (3, 0, 2, 0), (4, 0, 2, 1)]
