"""Which faults come when: a pure function of the seed.

A schedule is a row of waves. Each takes a random subset of the classes of faults, none at times, so that recovery alone
is seen too, and of each class one fault: those of one wave overlap, and two brokers are never hurt at once but by the
kind that does it on purpose.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

#: What each kind needs: its class, and the shortest and longest time in seconds for which it lasts.
KINDS: Final = {
    "kill": ("process", 0.0, 0.0),
    "zombie": ("process", 8.0, 10.0),
    "terminate": ("process", 0.0, 0.0),
    "scale": ("process", 4.0, 7.0),
    "cold_start": ("process", 0.0, 0.0),
    "clock_step": ("process", 3.0, 6.0),
    "broker_kill": ("broker", 1.0, 4.0),
    "full_disk": ("broker", 1.0, 3.0),
    "quorum_loss": ("broker", 2.0, 5.0),
    "leader_move": ("broker", 0.0, 0.0),
    "coordinator_move": ("broker", 0.0, 0.0),
    "min_isr": ("network", 5.0, 8.0),
    "cut": ("network", 2.0, 8.0),
    "delay": ("network", 3.0, 8.0),
    "poison": ("data", 0.0, 0.0),
    "compaction": ("data", 3.0, 5.0),
}
CLASSES: Final = ("process", "broker", "network", "data")
WAVES: Final = 8
#: Seconds from one wave to the next: longer than any fault lasts but that of a zombie, whose class then waits.
WAVE: Final = 7.0


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault: when it begins, in seconds of the load, for how many, and a number to choose a victim by."""

    at: float
    kind: str
    seconds: float
    choice: int


def schedule(seed: int, waves: int = WAVES) -> list[Injection]:
    """The faults of a seed in the order in which they begin."""
    rng = random.Random(f"chaos {seed}")
    # a shuffled deck: rare kinds come as often as all others
    deck = {name: _shuffled(rng, name) for name in CLASSES}
    injections: list[Injection] = []
    free = dict.fromkeys(CLASSES, 0.0)
    for wave in range(waves):
        begins = 2.0 + wave * WAVE
        for name in CLASSES:
            if rng.random() > _OFTEN[name] or free[name] > begins:
                continue
            if not deck[name]:
                deck[name] = _shuffled(rng, name)
            kind = deck[name].pop()
            _, shortest, longest = KINDS[kind]
            at, seconds = begins + rng.uniform(0, 3), rng.uniform(shortest, longest)
            injections.append(Injection(round(at, 2), kind, round(seconds, 2), rng.randrange(1 << 30)))
            free[name] = at + seconds
    return sorted(injections, key=lambda injection: injection.at)


#: How likely a wave has a fault of each class.
_OFTEN: Final = {"process": 0.55, "broker": 0.4, "network": 0.35, "data": 0.3}


def _shuffled(rng: random.Random, name: str) -> list[str]:
    kinds = [kind for kind, (own, _, _) in KINDS.items() if own == name]
    rng.shuffle(kinds)
    return kinds
