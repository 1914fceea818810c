"""Partitions that stand still: what is a stall, what has a reason, and what only takes its time."""

from __future__ import annotations

import pytest

from processors.stream.log import Reach, TopicPartition
from processors.stream.stall import Cause, StallDetector

TP = TopicPartition("market.ticks", 0)
BEHIND = Reach(10, 15, 15)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def detector(clock: Clock) -> StallDetector:
    return StallDetector(60.0, clock)


def stalled(detector: StallDetector, clock: Clock, seconds: int, reach: Reach = BEHIND, *waits_for: str) -> bool:
    """Look once a second for that long; whether the partition is stalled in the end."""
    for _ in range(seconds):
        clock.now += 1
        silence = detector.look(TP, reach, waits_for)
    return silence is not None and detector.stalled(silence)


def test_it_is_stalled_when_it_has_something_to_read_and_stands_for_so_long(
    detector: StallDetector, clock: Clock
) -> None:
    detector.look(TP, BEHIND)
    assert not stalled(detector, clock, 59)
    assert stalled(detector, clock, 1)
    silence = detector.look(TP, BEHIND)
    assert silence is not None
    assert str(silence) == "market.ticks/0 has 5 records to read and has not moved for 60 s"


def test_more_that_is_written_does_not_begin_the_time_anew(detector: StallDetector, clock: Clock) -> None:
    detector.look(TP, BEHIND)
    assert not stalled(detector, clock, 59)
    assert stalled(detector, clock, 1, Reach(10, 99, 99))


def test_whatever_moves_is_not_stalled(detector: StallDetector, clock: Clock) -> None:
    detector.look(TP, BEHIND)
    assert not stalled(detector, clock, 59)
    assert not stalled(detector, clock, 59, Reach(11, 15, 15))
    assert stalled(detector, clock, 2, Reach(11, 15, 15))


def test_nothing_to_read_is_no_silence(detector: StallDetector, clock: Clock) -> None:
    for _ in range(1000):
        clock.now += 1
        assert detector.look(TP, Reach(15, 15, 15)) is None
    detector.look(TP, BEHIND)
    assert not stalled(detector, clock, 59)


def test_a_position_before_an_end_that_was_known_earlier_has_nothing_to_read(detector: StallDetector) -> None:
    assert detector.look(TP, Reach(16, 15, 15)) is None


def test_behind_an_open_transaction_is_told_apart_however_long_it_lasts(detector: StallDetector, clock: Clock) -> None:
    reach = Reach(10, 10, 15)
    assert not stalled(detector, clock, 1000, reach)
    silence = detector.look(TP, reach)
    assert silence is not None
    assert (silence.cause, silence.seconds) == (Cause.OPEN_TRANSACTION, 0)
    assert "behind an open transaction of another producer" in str(silence)
    assert stalled(detector, clock, 61), "its end makes the records readable, and they are not read"


def test_records_before_an_open_transaction_must_be_read(detector: StallDetector, clock: Clock) -> None:
    assert stalled(detector, clock, 61, Reach(10, 11, 15))


def test_held_until_another_input_has_been_read_is_told_apart(detector: StallDetector, clock: Clock) -> None:
    assert not stalled(detector, clock, 1000, BEHIND, "macro.releases")
    silence = detector.look(TP, BEHIND, ("macro.releases",))
    assert silence is not None
    assert str(silence) == "market.ticks/0 is held until macro.releases has been read"


def test_time_in_which_the_loop_did_not_turn_does_not_count(detector: StallDetector, clock: Clock) -> None:
    detector.look(TP, BEHIND)
    for expected in (15.0, 30.0, 45.0):
        clock.now += 3600  # a batch, a commit or a restore that took an hour
        silence = detector.look(TP, BEHIND)
        assert silence is not None
        assert (silence.seconds, detector.stalled(silence)) == (expected, False)


def test_an_assignment_begins_the_time_anew(detector: StallDetector, clock: Clock) -> None:
    assert stalled(detector, clock, 61)
    detector.forget()
    assert detector.look(TP, BEHIND) is None
    assert not stalled(detector, clock, 59)


def test_partitions_are_looked_at_by_themselves(detector: StallDetector, clock: Clock) -> None:
    other = TopicPartition("market.ticks", 1)
    for second in range(62):
        clock.now += 1
        detector.look(other, Reach(second, 100, 100))
        silent = detector.look(TP, BEHIND)
    assert silent is not None
    assert detector.stalled(silent)
    flowing = detector.look(other, Reach(61, 100, 100))
    assert flowing is None or not detector.stalled(flowing)
