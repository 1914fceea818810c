"""Putting refused inputs back on their topics, each once.

What goes back is the record itself, as it still lies on its topic: key, bytes, headers and partition. When retention
has taken it, or the input was a row of a tick block, the letter's own copy goes back, if that is whole.

That a letter has been put back is noted on ``alvh.requeues``, in the same transaction: the note is kept as long as the
topic, while the record itself may be gone after some days. One writer at a time can do it on Kafka, since all of them
use one transactional id and take it before they read the notes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from processors.dead_letters import Letter
from processors.errors import UserError
from processors.stream.log import Cluster, Headers, Out, Record, TopicPartition
from topics.asyncapi import RECEIVES, SENDS
from topics.catalog import REQUEUES
from topics.codec import JSON_HEADERS
from topics.message import canonical_json

#: Header of a record that was put back: the id of the letter.
HEADER: Final = "alvh-requeued"
#: Name under which all of them write.
PRODUCER: Final = "alvh.requeue"
#: Topics that are fed from outside: nothing else may be written by hand.
FED: Final = tuple(topic for topic in RECEIVES if topic not in SENDS)
#: A key of this length may have been cut when the letter was written.
_KEY_CUT: Final = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done: what goes back for each letter, and why others stay."""

    outs: tuple[tuple[Letter, Out], ...]
    refused: tuple[tuple[Letter, str], ...]


def plan(cluster: Cluster, chosen: Iterable[Letter], *, again: bool = False) -> Plan:
    """What to put back for these letters; ``again``: also for those that were put back before."""
    done = set() if again else requeued(cluster)
    outs: list[tuple[Letter, Out]] = []
    refused: list[tuple[Letter, str]] = []
    for letter in chosen:
        made = "it has been put back already; --again does it once more" if letter.id in done else back(cluster, letter)
        if isinstance(made, str):
            refused.append((letter, made))
        else:
            outs.append((letter, made))
    return Plan(tuple(outs), tuple(refused))


def requeue(cluster: Cluster, chosen: Sequence[Letter], *, again: bool = False) -> Plan:
    """Put these letters back, all that can be in one transaction, and say what was done.

    Raises Fenced when another requeue took this one's place meanwhile: then nothing of this one was done.
    """
    if REQUEUES not in cluster.topics():
        raise UserError(
            f"this log has no topic {REQUEUES}, which notes what was put back; create it with `alvh topics apply`"
        )
    cluster.publish((), producer=PRODUCER)  # from here on no other one can commit, so the notes are the last word
    made = plan(cluster, chosen, again=again)
    outs = [out for _, out in made.outs]
    if outs:
        cluster.publish([*outs, *(_note(letter) for letter, _ in made.outs)], producer=PRODUCER)
    return made


def requeued(cluster: Cluster) -> set[str]:
    """Ids of the letters that have been put back."""
    if REQUEUES not in cluster.topics():
        return set()
    return {record.key.decode() for record in cluster.read(TopicPartition(REQUEUES, 0)) if record.key is not None}


def back(cluster: Cluster, letter: Letter) -> Out | str:
    """The record to write for a letter; or why there is none, in words."""
    topic = letter.letter.topic
    if topic not in FED:
        return f"{topic} is written by the processors themselves; a copy put there by hand would be read as news"
    record = _stood(cluster, letter)
    if record is not None and _digest(record.value) == letter.letter.sha256:
        return Out(topic, record.key, record.value, _headers(record.headers, letter), record.partition)
    return _copy(letter, record)


def _copy(letter: Letter, record: Record | None) -> Out | str:
    """The letter's own copy: of a record that is gone, or of a row of the block that ``record`` is."""
    told = letter.letter
    gone = "the record is no longer on its topic, and the letter's copy" if record is None else "the letter's copy"
    if told.truncated:
        return f"{gone} was cut to {len(letter.original()):,} of {told.length:,} bytes"
    if not _is_object(letter.original()):
        return f"{gone} holds no JSON object; what else the record said of it, in its headers, is not kept in a letter"
    if record is not None:
        key = record.key
    elif told.original_key is None:
        key = None
    elif "\ufffd" in told.original_key or len(told.original_key) >= _KEY_CUT:
        return f"{gone} does not hold the whole key of the record"
    else:
        key = told.original_key.encode()
    partition = None if letter.source is None else letter.source.partition
    return Out(told.topic, key, letter.original(), _headers(JSON_HEADERS, letter), partition)


def _stood(cluster: Cluster, letter: Letter) -> Record | None:
    """The record that was refused, if its topic still has it."""
    source = letter.source
    if source is None or source.partition >= cluster.topics().get(source.topic, 0):
        return None
    first = next(cluster.read(TopicPartition(source.topic, source.partition), source.offset), None)
    return first if first is not None and first.offset == source.offset else None


def _note(letter: Letter) -> Out:
    value = canonical_json({"schema_version": 1, "topic": letter.letter.topic, "reason": letter.letter.reason})
    return Out(REQUEUES, letter.id.encode(), value, JSON_HEADERS, partition=0)


def _headers(given: Headers, letter: Letter) -> Headers:
    """The headers of the record that goes back, with the id of the letter that it goes back for."""
    return (*((name, value) for name, value in given if name != HEADER), (HEADER, letter.id.encode()))


def _digest(value: bytes | None) -> str:
    return "sha256:" + hashlib.sha256(value or b"").hexdigest()


def _is_object(value: bytes) -> bool:
    try:
        return isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        return False
