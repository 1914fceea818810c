"""Judges a history of a log in the classes of Jepsen. The standard library alone: it knows nothing of the project.

===============  ======================================================================================
lost             committed by the feeder, or written by the uninterrupted run, and not in the log
duplicate        in the log more often than sent, or than the uninterrupted run wrote it
reordered        in both, but not where it stands among the others of its lane
divergent        in the log, and neither sent nor written by the uninterrupted run
torn             some records of one transaction are in the log and others are not
aborted-read     of an aborted transaction, and in the log or seen by a reader of committed records
nonmonotonic     a reader was given an offset at or below one that it had been given before
skipped          a reader was given what comes behind a record, and never that record
unseen           what the log ends with was never read: by a reader, or by a group that should have
state            the last state of a key differs from that of the uninterrupted run
===============  ======================================================================================

A *lane* is what must keep its order: the records of one key of a partition, or those that one task wrote there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

CLASSES = (
    "lost",
    "duplicate",
    "reordered",
    "divergent",
    "torn",
    "aborted-read",
    "nonmonotonic",
    "skipped",
    "unseen",
    "state",
)

Outcome = Literal["committed", "aborted", "unknown"]
Place = tuple[str, int]
T = TypeVar("T")
H = TypeVar("H", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Record:
    """A committed record as it stands in the log. ``content``: all that must not change, such as key, value, id."""

    topic: str
    partition: int
    offset: int
    lane: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """A record that the feeder was about to send, in its transaction; noted before it was sent."""

    transaction: int
    topic: str
    lane: str
    content: bytes


@dataclass(slots=True)
class History:
    """All that is known of a run.

    Attributes:
        sends: what the feeder sent, in order. Contents are unique.
        outcomes: what became of each transaction of the feeder.
        inputs: the topics that the feeder wrote, as they are in the end.
        outputs: the topics that the processes under test wrote, as they are in the end.
        expected: what an uninterrupted run writes, by topic and lane, in order.
        polls: what each live reader of committed records was given, in order.
        positions: group to the next offset that it will read, by topic and partition.
        read: group to the topic partitions that it has to read to their end.
        state: the last state of each key, by topic and partition; ``expected_state``: that of the uninterrupted run.
    """

    sends: Sequence[Send] = ()
    outcomes: Mapping[int, Outcome] = field(default_factory=dict)
    inputs: Sequence[Record] = ()
    outputs: Sequence[Record] = ()
    expected: Mapping[tuple[str, str], Sequence[bytes]] = field(default_factory=dict)
    polls: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    positions: Mapping[str, Mapping[Place, int]] = field(default_factory=dict)
    read: Mapping[str, Sequence[Place]] = field(default_factory=dict)
    state: Mapping[Place, Mapping[str, bytes]] = field(default_factory=dict)
    expected_state: Mapping[Place, Mapping[str, bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: its class, where, and what."""

    kind: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.what}"


def judge(history: History) -> list[Finding]:
    """Everything that is wrong with the history; empty when nothing is."""
    ends = {(r.topic, r.partition): r.offset + 1 for r in _in_order([*history.inputs, *history.outputs])}
    findings = [*_inputs(history), *_outputs(history)]
    for name, polls in history.polls.items():
        findings += _reader(name, polls, [*history.inputs, *history.outputs])
    for group, places in history.read.items():
        for place in places:
            position, end = history.positions.get(group, {}).get(place), ends.get(place)
            if end is not None and (position is None or position < end):
                where = f"{place[0]}/{place[1]}"
                findings.append(Finding("unseen", where, f"group {group} stands at {position}, the log ends at {end}"))
    findings += _states(history)
    return findings


def summary(findings: Iterable[Finding]) -> Counter[str]:
    """How many findings there are of each class."""
    return Counter(finding.kind for finding in findings)


def _inputs(history: History) -> Iterator[Finding]:
    """What was sent against what is in the log."""
    found = Counter((r.topic, r.lane, r.content) for r in history.inputs)
    present: defaultdict[int, list[Send]] = defaultdict(list)
    absent: defaultdict[int, list[Send]] = defaultdict(list)
    sent = set()
    for send in history.sends:
        mine = (send.topic, send.lane, send.content)
        sent.add(mine)
        (present if found[mine] else absent)[send.transaction].append(send)
        if found[mine] > 1:
            yield Finding("duplicate", send.topic, f"{send.content!r} is there {found[mine]} times")
    for number in sorted({*present, *absent}):
        outcome = history.outcomes.get(number, "unknown")
        if outcome == "aborted":
            yield from (Finding("aborted-read", s.topic, f"{s.content!r} was aborted") for s in present[number])
        elif outcome == "committed":
            yield from (Finding("lost", s.topic, f"{s.content!r} was committed") for s in absent[number])
        elif present[number] and absent[number]:
            there, gone = len(present[number]), len(absent[number])
            yield Finding("torn", f"transaction {number}", f"{there} are there, {gone} are not")
    yield from (Finding("divergent", m[0], f"{m[2]!r} was never sent") for m in found if m not in sent)
    places = {(s.topic, s.lane, s.content): place for place, s in enumerate(history.sends)}
    for (topic, lane), records in _by_lane(history.inputs).items():
        known = [(places[topic, lane, c], c) for c in records if (topic, lane, c) in places]
        for content in misplaced(known):
            yield Finding("reordered", f"{topic} {lane}", repr(content))


def _outputs(history: History) -> Iterator[Finding]:
    """What was written against what an uninterrupted run writes, lane by lane."""
    seen = _by_lane(history.outputs)
    for topic, lane in sorted({*seen, *history.expected}):
        mine, theirs = seen.get((topic, lane), []), history.expected.get((topic, lane), [])
        where = f"{topic} {lane}"
        have, want = Counter(mine), Counter(theirs)
        for content in dict.fromkeys([*theirs, *mine]):
            more = have[content] - want[content]
            if more:
                kind = "lost" if more < 0 else "duplicate" if want[content] else "divergent"
                yield Finding(kind, where, f"{abs(more)} x {content[:200]!r}")
        # the n-th of equal contents stands for the n-th
        places = {one: place for place, one in enumerate(numbered(theirs))}
        known = [(places[one], one[0]) for one in numbered(mine) if one in places]
        yield from (Finding("reordered", where, repr(content[:200])) for content in misplaced(known))


def _reader(name: str, polls: Sequence[Record], log: Sequence[Record]) -> Iterator[Finding]:
    """What a live reader was given against the log as it is in the end."""
    final: defaultdict[Place, dict[int, Record]] = defaultdict(dict)
    for record in log:
        final[record.topic, record.partition][record.offset] = record
    given: defaultdict[Place, list[Record]] = defaultdict(list)
    for record in polls:
        given[record.topic, record.partition].append(record)
    for place, records in sorted(final.items()):
        where = f"{place[0]}/{place[1]} read by {name}"
        seen = given.get(place, [])
        last = -1
        for record in seen:
            if record.offset <= last:
                yield Finding("nonmonotonic", where, f"offset {record.offset} after {last}")
            last = max(last, record.offset)
        offsets = {record.offset for record in seen}
        for offset in sorted(records.keys() - offsets):
            yield Finding("skipped" if offset < last else "unseen", where, f"offset {offset}")
    for place, seen in sorted(given.items()):
        for record in seen:
            if final[place].get(record.offset) != record:
                where = f"{place[0]}/{place[1]} read by {name}"
                yield Finding("aborted-read", where, f"offset {record.offset}: {record.content[:200]!r}")


def _states(history: History) -> Iterator[Finding]:
    for place in sorted({*history.state, *history.expected_state}):
        mine, theirs = history.state.get(place, {}), history.expected_state.get(place, {})
        for key in sorted({*mine, *theirs}):
            if mine.get(key) != theirs.get(key):
                what = f"{key}: {_start(mine.get(key))} instead of {_start(theirs.get(key))}"
                yield Finding("state", f"{place[0]}/{place[1]}", what)


def _start(value: bytes | None) -> str:
    return "nothing" if value is None else repr(value[:200])


def _in_order(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda r: (r.topic, r.partition, r.offset))


def _by_lane(records: Iterable[Record]) -> dict[tuple[str, str], list[bytes]]:
    lanes: defaultdict[tuple[str, str], list[bytes]] = defaultdict(list)
    for record in _in_order(records):
        lanes[record.topic, record.lane].append(record.content)
    return dict(lanes)


def numbered(things: Iterable[H]) -> Iterator[tuple[H, int]]:
    """Each thing with how often it came before."""
    times: Counter[H] = Counter()
    for thing in things:
        yield thing, times[thing]
        times[thing] += 1


def misplaced(found: Sequence[tuple[int, T]]) -> list[T]:
    """Of things in the order in which they were found, each with its right place: the fewest that are out of order."""
    tails: list[int] = []  # smallest last place of a rising run of each length
    ends: list[int] = []  # which of the found that is
    before: list[int] = []
    for i, (place, _) in enumerate(found):
        length = bisect_left(tails, place)
        before.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [place]
        ends[length : length + 1] = [i]
    kept = set()
    i = ends[-1] if ends else -1
    while i >= 0:
        kept.add(i)
        i = before[i]
    return [thing for i, (_, thing) in enumerate(found) if i not in kept]
