"""The fast path: what confirms a floor and what does not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.regime import FastPath
from topics.times import SECOND

marks = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3), st.booleans()), max_size=40)


def _at(seconds: float) -> int:
    return 1_500_000_000 * SECOND + round(seconds * SECOND)


def test_a_floor_that_holds_for_the_time_is_confirmed() -> None:
    path = FastPath(60)
    assert [path.update(_at(t), 2, True) for t in (0, 15, 30, 45, 59.9, 60, 75)] == [0, 0, 0, 0, 0, 2, 2]


def test_a_single_print_confirms_nothing_however_long_it_stands() -> None:
    path = FastPath(60)
    assert path.update(_at(0), 3, True) == 0
    assert [path.update(_at(t), 3, False) for t in (60, 120, 240, 400)] == [0, 0, 0, 0]


def test_a_fresh_mark_below_resets_the_levels_above_it_alone() -> None:
    path = FastPath(60)
    assert path.update(_at(0), 3, True) == 0
    assert path.update(_at(30), 1, True) == 0
    assert path.update(_at(60), 3, True) == 1
    assert path.update(_at(119), 3, True) == 1
    assert path.update(_at(120), 3, True) == 3
    assert path.update(_at(130), 0, True) == 0
    assert path.update(_at(140), 2, True) == 0


def test_a_mark_that_is_not_fresh_neither_confirms_nor_resets() -> None:
    path = FastPath(60)
    path.update(_at(0), 2, True)
    assert path.update(_at(30), 0, False) == 0
    assert path.update(_at(60), 2, False) == 0
    assert path.update(_at(61), 2, True) == 2
    assert path.update(_at(62), 0, False) == 2
    assert path.update(_at(61 + 301), 0, False) == 0


def test_a_mark_not_later_than_the_last_counts_for_nothing() -> None:
    path = FastPath(60)
    path.update(_at(0), 2, True)
    path.update(_at(60), 2, True)
    assert path.update(_at(60), 0, True) == 2
    assert path.update(_at(59), 0, True) == 2
    assert path.update(_at(61), 2, True) == 2


def test_a_gap_starts_anew() -> None:
    path = FastPath(60)
    path.update(_at(0), 3, True)
    assert path.update(_at(300), 3, True) == 3
    assert path.update(_at(601), 3, True) == 0
    assert path.update(_at(661), 3, True) == 3
    narrow = FastPath(60, max_gap_seconds=90)
    narrow.update(_at(0), 3, True)
    assert narrow.update(_at(91), 3, True) == 0


def test_reset_forgets() -> None:
    path = FastPath(60)
    path.update(_at(0), 3, True)
    path.reset()
    assert path.update(_at(60), 3, True) == 0


@given(marks, st.integers(0, 39))
@settings(max_examples=200, deadline=None)
def test_restored_it_goes_on_as_if_nothing_had_happened(sequence: list[tuple[int, int, bool]], cut: int) -> None:
    whole, first = FastPath(60), FastPath(60)
    second = FastPath(60)
    ts, expected, got = _at(0), [], []
    for number, (step, floor, fresh) in enumerate(sequence):
        ts += step * SECOND
        expected.append(whole.update(ts, floor, fresh))
        if number == cut:
            second.restore(json.loads(json.dumps(first.snapshot())))
        got.append((second if number >= cut else first).update(ts, floor, fresh))
    assert got == expected


@given(marks)
@settings(max_examples=300, deadline=None)
def test_against_a_search_through_the_whole_history(sequence: list[tuple[int, int, bool]]) -> None:
    path, ts = FastPath(60), _at(0)
    history: list[tuple[int, int]] = []
    for step, floor, fresh in sequence:
        ts += step * SECOND
        result = path.update(ts, floor, fresh)
        if fresh and (not history or ts > history[-1][0]):
            if history and ts - history[-1][0] > 300 * SECOND:
                history.clear()
            history.append((ts, floor))
        expected = 0
        for level in (1, 2, 3):
            first = None
            for at, there in reversed(history):
                if there < level:
                    break
                first = at
            if first is not None and history[-1][0] - first >= 60 * SECOND and ts - history[-1][0] <= 300 * SECOND:
                expected = level
        assert result == expected


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_single_print_cannot_be_made_enough(seconds: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        FastPath(seconds)


@pytest.mark.parametrize("broken", [{}, {"last": None, "since": [1]}, {"last": "now", "since": [None] * 3}])
def test_malformed_snapshots_are_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected|needs"):
        FastPath(60).restore(broken)


def test_a_floor_is_zero_to_three() -> None:
    with pytest.raises(ValueError, match="floor"):
        FastPath(60).update(_at(0), 4, True)
