"""Every decoder, alone: bytes become a message or a refusal with a reason, and nothing else ever happens."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from fuzz_arrow import mutated_block, mutated_rows
from fuzz_bytes import mutated
from fuzz_inputs import GOLDEN, Good
from fuzz_json import mutated_document
from fuzz_strict import check_message

from topics import codec
from topics.catalog import CATALOG, MARKET_TICKS
from topics.dead_letter import Refused, dead_letter
from topics.message import Message
from topics.ticks import MAX_ROWS, TickColumns
from topics.times import FIRST_TS

Decoder = Callable[[bytes | None, codec.Headers], Any]

_KINDS: Mapping[str, type[Message]] = {kind.__name__: kind for topic in CATALOG.values() for kind in topic.messages}

#: Each decoder with the golden messages that it is made for.
DECODERS: Mapping[str, tuple[Decoder, tuple[str, ...]]] = {
    "market.ticks": (lambda value, headers: codec.decode_market(value, headers), ("Tick", "Watermark")),
    "macro.releases": (lambda value, headers: codec.decode_macro(value, headers), ("Release", "Schedule")),
    "market.flows": (
        lambda value, headers: codec.decode_flow(value, headers),
        ("Flow", "CrossSection", "Offering", "ChainFigure"),
    ),
    "hedge.regimes": (lambda value, headers: codec.decode_hedge_input(value, headers), ("Regime", "OptionChain")),
    **{name: (partial(codec.decode, kind), (name,)) for name, kind in _KINDS.items()},
}


class Wrong(Exception):
    """A decoder did what no decoder may."""


def probe(name: str, value: bytes | None, headers: codec.Headers, rows: int | None = None) -> str:
    """What became of an input: ``used`` or the reason of its refusal.

    Raises Wrong for any exception but Refused, for rows that are gone, and for a message that does not survive its own
    bytes.
    """
    decoder, _ = DECODERS[name]
    try:
        found = decoder(value, headers)
    except Refused as refused:
        letter = dead_letter(name, refused, FIRST_TS, b"\xffkey", value or b"")
        check_message(type(letter), letter.canonical())
        return refused.reason
    except Exception as error:
        raise Wrong(f"{type(error).__name__}: {str(error)[:200]}") from error
    try:
        if isinstance(found, TickColumns):
            _check_block(found, rows)
        else:
            settled = type(found).model_validate_json(found.canonical())
            check_message(type(found), settled.canonical())
    except Exception as error:
        raise Wrong(f"taken, but {type(error).__name__}: {str(error)[:300]}") from error
    return "used"


def _check_block(columns: TickColumns, rows: int | None) -> None:
    n = len(columns)
    if not 0 < n <= MAX_ROWS or (rows is not None and n != rows):
        raise ValueError(f"{n} rows of {rows}")
    for row in {0, n // 2, n - 1}:
        why = codec.refusal(columns, row)
        if (why is not None) != bool(columns.invalid[row]):
            raise ValueError(f"row {row} is invalid: {columns.invalid[row]}, but its single tick is refused: {why}")
    if (codec.usable_times(columns)[columns.invalid] != 0).any() or columns.event_ts.dtype != np.int64:
        raise ValueError("a row that is invalid has a time")


class Shots:
    """Seeded inputs for all decoders in turn."""

    def __init__(self, rng: random.Random, goods: Sequence[Good], block: bytes) -> None:
        self._rng = rng
        self._names = sorted(DECODERS)
        self._blocks = [block, *(good.value for good in goods if good.arrow)]

    def shot(self) -> tuple[str, bytes | None, codec.Headers, int | None]:
        """The next decoder and input, with its number of rows when that is known."""
        rng = self._rng
        name = rng.choice(self._names)
        if name == MARKET_TICKS and rng.random() < 0.6:
            block = rng.choice(self._blocks)
            if rng.random() < 0.4:
                return name, mutated(rng, block, rng.choice(self._blocks)), codec.ARROW_HEADERS, None
            change = mutated_rows if rng.random() < 0.5 else mutated_block
            value, rows = change(rng, block)
            return name, value, codec.ARROW_HEADERS, rows
        made_for = rng.choice(DECODERS[name][1])
        way = rng.randrange(10)
        if way < 3:
            other = GOLDEN[rng.choice(sorted(GOLDEN))]
            return name, mutated(rng, GOLDEN[made_for], other), codec.JSON_HEADERS, None
        if way == 3:
            return name, GOLDEN[rng.choice(sorted(GOLDEN))], codec.JSON_HEADERS, None
        return name, mutated_document(rng, GOLDEN[made_for]), codec.JSON_HEADERS, None
