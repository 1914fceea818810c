"""Documents that are nearly messages: other types, edge numbers and dates, deep and long values, odd encodings."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

#: A string of this form becomes the raw text between its marks: what ``json.dumps`` would never write.
_RAW = "@@raw:%s@@"
_RAWS = ("1e999", "-1e999", "NaN", "Infinity", "1" * 5000, "1e-400", "-0.0", "017", "+1", ".5", "1.", "'x'", "nul", "")

_NUMBERS: tuple[Any, ...] = (
    0,
    1,
    -1,
    2,
    -0.0,
    0.1,
    1e-320,
    5e-324,
    2.2e-308,
    1e15,
    -1e15,
    1.0000001e15,
    1e17,
    1.7e308,
    -1.7e308,
    1e-9,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**30,
    10**400,
    True,
    False,
    "0",
    "-0",
    "1e5",
    "1e308",
    "1e309",
    "0.1",
    " 1 ",
    "1_0",
    "0x1F",
    "1,5",
    "١٧",
    "１７",
    "Ⅳ",
    "1" * 400,
    "+1",
    "1e",
)
_TIMES: tuple[Any, ...] = (
    "1990-01-01T00:00:00Z",
    "1989-12-31T23:59:59.999999999Z",
    "2099-12-31T23:59:59.999999999Z",
    "2100-01-01T00:00:00Z",
    "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2018-02-30T00:00:00Z",
    "2016-12-31T23:59:60Z",
    "2018-05-01T24:00:00Z",
    "2018-05-01t14:00:00z",
    "2018-05-01 14:00:00+00:00",
    "2018-05-01T14:00:00.1234567891Z",
    "2018-05-01T14:00:00+99:99",
    "２０１８-05-01T14:00:00Z",
    "2018-05-01",
    "1990-01-02T14:30:00Z",
    "2000-02-29T21:00:00Z",
    "2018-03-11T07:30:00Z",
    "2018-11-04T06:30:00Z",
    "2018-05-01T20:15:00Z",
    "2018-05-01T20:15:00.000000001Z",
    "2018-05-02T20:00:00Z",
    "0000-00-00",
    "9999-12-31",
    "1990-01-01",
    "2018-W18-2",
    "20180501",
    "2018-05-31",
    "2024-02-29",
)
_TEXTS: tuple[Any, ...] = (
    "",
    " ",
    "a",
    "A" * 8,
    "A" * 9,
    "x" * 64,
    "x" * 65,
    "x" * 2000,
    "\x00",
    "\ud800",
    "\udfff\ud800",
    "e\u0301",
    "\u202e",
    "\u2028",
    "\U0001f4a9",
    "ÄÖ",
    "a\nb",
    "../../etc",
    "%s%n",
    "{}",
    "US",
    "EU",
    "NaN",
    "null",
    "SPX",
    "VIX",
    "VX",
    "VX/2018-05-16",
    "VX/2018-02-30",
    "VX/0001-01-01",
    "VX/9999-12-31",
    "VIX/2018-05-16/C/20",
    "VIX/2018-05-16/P/0.0001",
    "VIX/2018-05-16/C/999999.9999",
    "SPX/2018-05-18/P/2600",
    "BTC/2018-05-25/C/9000",
    "ES/2018-06-15",
    "VXX",
    "SVXY",
    "high",
    "low",
    "close",
    "mark",
    "L1",
    "TT",
    "sha256:" + "0" * 64,
    "2018-Q1",
    "2018-04",
    "2018",
    "CPI_CORE_MOM",
    "GDP",
    "FOMC_MINUTES",
    "steward",
    "promoter",
    "modelled",
    "assumed",
)


def _deep(depth: int) -> Any:
    value: Any = 0
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def _hostile(rng: random.Random) -> Any:
    """A value that a field may not expect."""
    way = rng.randrange(12)
    if way < 4:
        return rng.choice(_NUMBERS)
    if way < 6:
        return rng.choice(_TIMES)
    if way < 8:
        return rng.choice(_TEXTS)
    if way == 8:
        return _RAW % rng.choice(_RAWS)
    if way == 9:
        return rng.choice(
            (None, [], {}, [None], [[]], {"": {}}, {"a": None}, [1, "1"], _deep(rng.choice((3, 60, 300))))
        )
    if way == 10:
        return rng.uniform(-10, 10) * 10.0 ** rng.randint(-20, 20)
    return rng.randint(-100, 100_000)


def _near(rng: random.Random, value: Any) -> Any:
    """A value like the one that stands there, so that it may well be taken."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        if abs(value) > 10**300:
            return 1.0
        return value * rng.choice((-1, 0, 0.5, 1.0000001, 2, 10, 1e3, 1e6, 1e-6)) + rng.choice((0, 0, 1, -1))
    if isinstance(value, str):
        try:
            return format(float(value) * rng.choice((-1, 0, 0.5, 1.001, 2, 10, 1e4, 1e-4)), ".6f")
        except (ValueError, OverflowError):
            return rng.choice(_TIMES) if value[:1].isdigit() else rng.choice(_TEXTS)
    if isinstance(value, list) and value:
        return rng.choice((value * 2, value[:1], value[::-1], [*value, copy.deepcopy(rng.choice(value))], value * 40))
    if isinstance(value, dict) and value:
        kept = dict(value)
        kept.pop(rng.choice(sorted(kept)))
        return kept
    return _hostile(rng)


def _keys(holder: Any) -> list[Any]:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder))) if isinstance(holder, list) else []


def _place(rng: random.Random, document: dict[str, Any]) -> tuple[Any, Any]:
    """A container and one of its keys, found by a walk from the top that may end at every level."""
    holder: Any = document
    while True:
        key = rng.choice(_keys(holder))
        if not _keys(holder[key]) or rng.random() < 0.4:
            return holder, key
        holder = holder[key]


def _change(rng: random.Random, document: dict[str, Any]) -> None:
    if not document:
        document[rng.choice(_TEXTS)] = _hostile(rng)
        return
    holder, key = _place(rng, document)
    way = rng.randrange(10)
    if way < 4:
        holder[key] = _hostile(rng)
    elif way < 7:
        holder[key] = _near(rng, holder[key])
    elif way == 7:
        del holder[key]
    elif way == 8 and isinstance(holder, dict):
        holder[rng.choice((*_TEXTS, "schema_version", "extra", "event_ts", "market"))] = _hostile(rng)
    else:
        other, name = _place(rng, document)
        holder[key] = copy.deepcopy(other[name])


_ENCODINGS: tuple[Callable[[str], bytes], ...] = (
    lambda text: text.encode("utf-16", "surrogatepass"),
    lambda text: text.encode("utf-32-le", "surrogatepass"),
    lambda text: text.encode("latin-1", "replace"),
    lambda text: b"\xef\xbb\xbf" + text.encode("utf-8", "surrogatepass"),
    lambda text: text.encode("utf-8", "surrogatepass") + b"\n\n",
    lambda text: b" " * 40 + text.encode("utf-8", "surrogatepass"),
)


def _written(rng: random.Random, document: dict[str, Any]) -> str:
    odd = rng.random() < 0.1
    text = json.dumps(document, ensure_ascii=rng.random() < 0.5, separators=(" , ", " : ") if odd else (",", ":"))
    while (at := text.find('"@@raw:')) >= 0:
        end = text.index('@@"', at)
        text = text[:at] + text[at + 7 : end] + text[end + 3 :]
    if rng.random() < 0.05 and document:
        name = rng.choice(sorted(document))
        text = "{" + f"{json.dumps(name)}:{json.dumps(rng.choice(_TEXTS))}," + text[1:]  # the same key twice
    return text


def mutated_document(rng: random.Random, data: bytes) -> bytes:
    """The document in ``data`` after one to three changes, as bytes; mostly UTF-8."""
    changed = json.loads(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _change(rng, changed)
    text = _written(rng, changed)
    if rng.random() < 0.03:
        return rng.choice(_ENCODINGS)(text)
    return text.encode("utf-8", "surrogatepass")
