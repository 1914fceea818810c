"""State that is not what it was: a processor that reads it back says StateMismatch, or takes it, and nothing else."""

from __future__ import annotations

import random
from collections import Counter

from fuzz_bytes import mutated
from fuzz_json import mutated_document
from fuzz_world import Fault, State, fault_of
from history import create, join, processors

from processors.errors import StateMismatch
from processors.stream.log import Out
from processors.stream.memory import MemoryCluster
from processors.stream.metrics import Metrics
from processors.stream.runner import POSITIONS_KEY, Runner
from topics.catalog import changelog
from topics.message import canonical_json

_KEYS = (
    b"",
    b"market",
    b"market/",
    b"market/US/x/y",
    b"nothing/US",
    b"\xff\xfe",
    b"chain/US",
    b"strip/US",
    b"burst/a/b",
)


def poisoned(rng: random.Random, state: dict[bytes, bytes], name: str) -> dict[bytes, bytes]:
    """The state with one key, or its value, spoiled."""
    inputs = {given.topic: 0 for processor in processors() if processor.name == name for given in processor.inputs}
    positions = canonical_json({"version": 1, "positions": inputs, "times": inputs})
    spoiled = {**state, POSITIONS_KEY: positions}
    key = rng.choice(sorted(spoiled))
    way = rng.randrange(10)
    if way == 0:
        spoiled[rng.choice(_KEYS)] = spoiled[key]
    elif way < 4:
        spoiled[key] = mutated(rng, spoiled[key], spoiled[rng.choice(sorted(spoiled))])
    elif way == 4:
        spoiled[key] = rng.choice((b"", b"null", b"[]", b"3", b'"x"', b"{}", b"\xff", b"[" * 100_000, b'{"version":1}'))
    else:
        spoiled[key] = mutated_document(rng, spoiled[key])
    return spoiled


def probe_state(name: str, state: dict[bytes, bytes]) -> tuple[str, Fault | None]:
    """What became of a restart with that state: ``taken`` or ``refused``, and what is wrong with it."""
    cluster = MemoryCluster()
    create(cluster)
    cluster.publish([Out(changelog(name), key, value) for key, value in state.items()])
    processor = next(processor for processor in processors() if processor.name == name)
    runner = Runner(join(cluster, processor), processor, Metrics(name, processor.metrics))
    try:
        runner.step(0.0)  # the first poll restores
    except StateMismatch:
        return "refused", None
    except Exception as error:
        return "failed", fault_of(f"{name} restores", error)
    finally:
        runner.log.end()
    return "taken", None


def poison(rng: random.Random, state: State, count: int) -> tuple[Counter[tuple[str, str]], list[tuple[Fault, bytes]]]:
    """Outcomes of ``count`` restarts with spoiled state, and the faults."""
    outcomes: Counter[tuple[str, str]] = Counter()
    faults: list[tuple[Fault, bytes]] = []
    names = [name for name in sorted(state) if state[name]]
    for _ in range(count if names else 0):  # a world that broke in its first batch has none
        name = rng.choice(names)
        spoiled = poisoned(rng, dict(state[name]), name)
        outcome, fault = probe_state(name, spoiled)
        outcomes[name, outcome] += 1
        if fault is not None:
            odd = next(key for key, value in spoiled.items() if state[name].get(key) != value)
            faults.append((fault, odd + b" = " + spoiled[odd][:200]))
    return outcomes, faults
