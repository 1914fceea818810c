"""The checker of the chaos runs, on histories that are bad in one way each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chaos.checker import CLASSES, History, Record, Send, judge, misplaced, summary

IN, OUT = "in", "out"


def record(topic: str, offset: int, content: str, lane: str = "k") -> Record:
    return Record(topic, 0, offset, lane, content.encode())


def send(transaction: int, content: str) -> Send:
    return Send(transaction, IN, "k", content.encode())


#: Offsets 1, 3 and 6 are markers; transaction 2 was aborted, 3 of unknown outcome and is not there.
SENDS = (send(0, "a"), send(1, "b"), send(2, "x"), send(3, "y"), send(3, "z"), send(4, "c"), send(4, "d"))
INPUTS = (record(IN, 0, "a"), record(IN, 2, "b"), record(IN, 4, "c"), record(IN, 5, "d"))
OUTPUTS = (record(OUT, 0, "A"), record(OUT, 1, "B"), record(OUT, 3, "other", "l"), record(OUT, 4, "A"))
GOOD = History(
    sends=SENDS,
    outcomes={0: "committed", 1: "committed", 2: "aborted", 3: "unknown", 4: "committed"},
    inputs=INPUTS,
    outputs=OUTPUTS,
    expected={(OUT, "k"): [b"A", b"B", b"A"], (OUT, "l"): [b"other"]},
    polls={"reader": [*OUTPUTS[:2], *INPUTS, *OUTPUTS[2:]]},
    positions={"group": {(IN, 0): 6}},
    read={"group": [(IN, 0)]},
    state={("changelog", 0): {"key": b"1"}},
    expected_state={("changelog", 0): {"key": b"1"}},
)


def test_a_good_history_has_no_finding() -> None:
    assert judge(GOOD) == []


def given(history: History, *offsets: tuple[str, int]) -> History:
    """What the reader was given, by topic and offset."""
    known = {(r.topic, r.offset): r for r in (*INPUTS, *OUTPUTS)}
    return replace(history, polls={"reader": [known[place] for place in offsets]})


EVERYTHING = tuple((r.topic, r.offset) for r in (*INPUTS, *OUTPUTS))
BAD: dict[str, tuple[History, dict[str, int]]] = {
    "an input that was committed is gone": (
        replace(GOOD, inputs=INPUTS[:1] + INPUTS[2:], polls={"reader": [*INPUTS[:1], *INPUTS[2:], *OUTPUTS]}),
        {"lost": 1},
    ),
    "an input stands twice": (
        replace(
            GOOD,
            inputs=(*INPUTS, record(IN, 7, "a")),
            polls={"reader": [*INPUTS, record(IN, 7, "a"), *OUTPUTS]},
            positions={"group": {(IN, 0): 8}},
        ),
        {"duplicate": 1, "reordered": 1},
    ),
    "inputs of one key changed places": (
        replace(
            GOOD,
            inputs=(record(IN, 0, "b"), record(IN, 2, "a"), *INPUTS[2:]),
            polls={"reader": [record(IN, 0, "b"), record(IN, 2, "a"), *INPUTS[2:], *OUTPUTS]},
        ),
        {"reordered": 1},
    ),
    "an input that nobody sent": (
        replace(
            GOOD,
            inputs=(*INPUTS[:3], record(IN, 5, "e")),
            polls={"reader": [*INPUTS[:3], record(IN, 5, "e"), *OUTPUTS]},
        ),
        {"divergent": 1, "lost": 1},
    ),
    "half of a transaction": (
        replace(
            GOOD,
            inputs=(*INPUTS, record(IN, 7, "y")),
            polls={"reader": [*INPUTS, record(IN, 7, "y"), *OUTPUTS]},
            positions={"group": {(IN, 0): 8}},
        ),
        {"torn": 1, "reordered": 1},
    ),
    "an aborted input is there": (
        replace(GOOD, outcomes={**GOOD.outcomes, 1: "aborted"}),
        {"aborted-read": 1},
    ),
    "a reader saw what is not there": (
        replace(GOOD, polls={"reader": [*INPUTS, *OUTPUTS, record(OUT, 9, "ghost")]}),
        {"aborted-read": 1},
    ),
    "a reader saw something else in its place": (
        replace(GOOD, polls={"reader": [*INPUTS, record(OUT, 0, "C"), *OUTPUTS[1:]]}),
        {"aborted-read": 1},
    ),
    "a reader went back": (given(GOOD, *EVERYTHING, (OUT, 1)), {"nonmonotonic": 1}),
    "a reader missed one": (given(GOOD, *(p for p in EVERYTHING if p != (OUT, 1))), {"skipped": 1}),
    "a reader never came to the end": (given(GOOD, *EVERYTHING[:-1]), {"unseen": 1}),
    "a group never came to the end": (replace(GOOD, positions={"group": {(IN, 0): 5}}), {"unseen": 1}),
    "a group never began": (replace(GOOD, positions={}), {"unseen": 1}),
    "an output is missing": (
        replace(GOOD, expected={**GOOD.expected, (OUT, "k"): [b"A", b"B", b"A", b"C"]}),
        {"lost": 1},
    ),
    "an output is missing that comes twice": (
        replace(GOOD, expected={**GOOD.expected, (OUT, "k"): [b"A", b"B", b"A", b"B"]}),
        {"lost": 1},
    ),
    "a whole lane of outputs is missing": (
        replace(GOOD, expected={**GOOD.expected, (OUT, "m"): [b"D", b"E"]}),
        {"lost": 2},
    ),
    "an output was written twice": (
        replace(GOOD, expected={**GOOD.expected, (OUT, "k"): [b"A", b"B"]}),
        {"duplicate": 1},
    ),
    "an output that nothing asks for": (
        replace(GOOD, expected={(OUT, "k"): [b"A", b"B", b"A"]}),
        {"divergent": 1},
    ),
    "outputs of one lane changed places": (
        replace(GOOD, expected={**GOOD.expected, (OUT, "k"): [b"A", b"A", b"B"]}),
        {"reordered": 1},
    ),
    "a state that differs": (replace(GOOD, expected_state={("changelog", 0): {"key": b"2"}}), {"state": 1}),
    "a state that is gone": (replace(GOOD, state={}), {"state": 1}),
    "a state too many": (replace(GOOD, expected_state={}), {"state": 1}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_told_by_its_class(name: str) -> None:
    history, classes = BAD[name]
    assert summary(judge(history)) == classes


def test_every_class_has_a_bad_history() -> None:
    assert {kind for _, classes in BAD.values() for kind in classes} == set(CLASSES)


@pytest.mark.parametrize(
    ("places", "moved"),
    [([], []), ([0, 1, 2], []), ([2, 0, 1], [2]), ([1, 2, 0], [0]), ([0, 3, 1, 2], [3]), ([2, 1, 0], [2, 1])],
)
def test_as_few_as_possible_are_called_out_of_order(places: list[int], moved: list[int]) -> None:
    assert misplaced([(place, place) for place in places]) == moved


def test_a_finding_says_where_and_what() -> None:
    history, _ = BAD["a group never came to the end"]
    assert [str(finding) for finding in judge(history)] == [
        "unseen: in/0: group group stands at 5, the log ends at 6"
    ]
