"""The history checker itself, against histories that are bad on purpose."""

from __future__ import annotations

import random

import pytest
from history import KINDS, Entry, check, compare, digests

GOOD: list[Entry] = [(b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"b", b"2"), (b"a", b"3"), (b"a", b"3"), (None, b"4")]


def counts(seen: list[Entry], expected: list[Entry] = GOOD) -> dict[str, int]:
    verdict = compare({("t", 0): expected}, {("t", 0): seen})
    assert verdict.clean == (not any(verdict.counts.values()))
    return {kind: verdict.counts[kind] for kind in KINDS if verdict.counts[kind]}


def test_the_same_history_is_clean() -> None:
    assert check(GOOD, list(GOOD)) == {}
    assert check([], []) == {}
    assert counts(list(GOOD)) == {}


@pytest.mark.parametrize("gone", range(len(GOOD)))
def test_a_lost_entry_is_found_wherever_it_stood(gone: int) -> None:
    assert counts(GOOD[:gone] + GOOD[gone + 1 :]) == {"lost": 1}
    faults = check(GOOD, GOOD[:gone] + GOOD[gone + 1 :])
    assert list(faults) == [GOOD[gone][0]]
    (place,) = faults[GOOD[gone][0]].lost
    assert GOOD[place] == GOOD[gone]


@pytest.mark.parametrize("twice", range(len(GOOD)))
def test_a_doubled_entry_is_found_whether_it_follows_at_once_or_at_the_end(twice: int) -> None:
    assert counts([*GOOD[:twice], GOOD[twice], *GOOD[twice:]]) == {"duplicate": 1}
    assert counts([*GOOD, GOOD[twice]]) == {"duplicate": 1}


def test_an_entry_that_is_expected_twice_is_no_duplicate_and_may_not_come_once() -> None:
    twice = [(b"a", b"x"), (b"a", b"x")]
    assert counts(twice, twice) == {}
    assert counts(twice[:1], twice) == {"lost": 1}
    assert counts(twice * 2, twice) == {"duplicate": 2}


def test_neighbours_that_change_places_are_one_move() -> None:
    seen = list(GOOD)
    seen[0], seen[1] = seen[1], seen[0]  # of two keys: within each the order is right, in the partition it is not
    assert counts(seen) == {"reordered": 1}
    seen = list(GOOD)
    seen[4], seen[5], seen[6] = seen[6], seen[4], seen[5]
    assert counts(seen) == {"reordered": 1}
    assert set(check(GOOD, seen)) == {None}
    of_one_key: list[Entry] = [(b"a", b"1"), (b"a", b"2")]
    assert counts(of_one_key[::-1], of_one_key) == {"reordered": 1}


def test_one_entry_that_moves_far_is_one_fault_not_many() -> None:
    many: list[Entry] = [(b"k", b"%d" % i) for i in range(100)]
    assert counts([*many[1:], many[0]], many) == {"reordered": 1}


def test_a_changed_entry_is_divergent_and_the_expected_one_lost() -> None:
    seen = list(GOOD)
    seen[3] = (b"b", b"2!")
    assert counts(seen) == {"lost": 1, "divergent": 1}
    seen[3] = (b"c", b"2")  # under another key
    assert counts(seen) == {"lost": 1, "divergent": 1}
    assert set(check(GOOD, seen)) == {b"b", b"c"}


def test_a_topic_that_is_missing_altogether_is_lost_and_one_that_nobody_expected_is_divergent() -> None:
    other: dict[tuple[str, int], list[Entry]] = {("u", 0): [(b"a", b"1")]}
    verdict = compare({("t", 0): GOOD}, other)
    assert verdict.counts == {"lost": len(GOOD), "divergent": 1, "duplicate": 0, "reordered": 0}
    assert "lost" in str(verdict)
    assert not verdict.clean


def test_a_dump_of_a_killed_writer_that_read_on_too_early_or_too_late() -> None:
    values: list[Entry] = [(b"k%d" % (i % 3), b"%d" % i) for i in range(50)]
    assert counts(values[:20] + values[15:], values) == {"duplicate": 5}
    assert counts(values[:20] + values[25:], values) == {"lost": 5}


def test_random_damage_is_counted_exactly() -> None:
    rng = random.Random(7)
    for _ in range(200):
        values: list[Entry] = [(b"k%d" % rng.randrange(3), b"%d" % i) for i in range(30)]
        gone = set(rng.sample(range(30), rng.randrange(4)))
        seen = [entry for i, entry in enumerate(values) if i not in gone]
        doubled = rng.sample(seen, rng.randrange(4))
        seen += doubled
        extra: list[Entry] = [(b"k0", b"new%d" % i) for i in range(rng.randrange(4))]
        for entry in extra:
            seen.insert(rng.randrange(len(seen) + 1), entry)
        wanted = {"lost": len(gone), "duplicate": len(doubled), "divergent": len(extra)}
        assert counts(seen, values) == {kind: count for kind, count in wanted.items() if count}


def test_digests_tell_keys_values_order_and_nothing_apart() -> None:
    histories: list[list[Entry]] = [
        [(b"a", b"bc")], [(b"ab", b"c")], [(None, b"abc")], [(b"", b"abc")], [(b"abc", None)], [(b"abc", b"")], [],
        [(b"a", b"1"), (b"b", b"1")], [(b"b", b"1"), (b"a", b"1")],
    ]  # fmt: skip
    found = [digests({("t", 0): history})["t/0"] for history in histories]
    assert len(set(found)) == len(histories)
