"""Reading many documents at once gives what reading them one by one gives, or leaves them to that."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from topics.market import Tick, Watermark
from topics.message import canonical_json
from topics.tick_json import read_ticks
from topics.ticks import columns_of

TS = "2018-05-01T14:30:00Z"
BASE: dict[str, Any] = {"symbol": "VIX", "event_ts": TS, "last": "17.25"}


def singly(documents: list[bytes]) -> dict[int, Tick]:
    """What the class for one tick makes of them; documents that are none are absent."""
    found = {}
    for place, document in enumerate(documents):
        try:
            found[place] = Tick.model_validate_json(document)
        except ValidationError:
            continue
    return found


def check(documents: list[bytes]) -> int:
    """Compare with the class for one tick, and return how many documents were read as columns."""
    expected = singly(documents)
    runs, rest = read_ticks(documents)
    read: set[int] = set()
    for run in runs:
        assert not run.columns.invalid.any()
        assert (np.diff(run.rows) > 0).all()
        assert not read & set(run.rows.tolist())
        read |= set(run.rows.tolist())
        one_by_one = columns_of([expected[place] for place in run.rows.tolist()])
        assert run.columns.market == one_by_one.market
        assert [run.columns.row(i) for i in range(len(run.rows))] == [one_by_one.row(i) for i in range(len(run.rows))]
        for name, column in run.columns.values.items():
            np.testing.assert_array_equal(column, one_by_one.values[name])
    assert sorted(read | set(rest.tolist())) == list(range(len(documents)))
    assert (np.diff(rest) > 0).all()
    return len(read)


def plain(n: int, rng: random.Random, **fields: Any) -> bytes:
    document = BASE | {"symbol": rng.choice(("VIX", "VVIX", "VX/2018-05-16")), "seq": n, "last": f"{60 + n % 9}.25"}
    return canonical_json(document | fields)


def test_plain_ticks_are_all_read_as_columns() -> None:
    rng = random.Random(1)
    documents = [plain(n, rng) for n in range(500)]
    assert check(documents) == 500
    numbers = [document.replace(b'"last":"', b'"last":').replace(b'25","', b'25,"') for document in documents]
    assert check(numbers) == 500
    quotes = {"bid": "60", "ask": "60.05", "bid_size": "3", "source": "x y"}
    quotes["recv_ts"] = "2018-05-01T14:30:00.123456789Z"
    assert check([plain(n, rng, **quotes, official=n % 2 == 0) for n in range(500)]) == 500


def test_no_documents_are_no_ticks() -> None:
    assert check([]) == 0


def test_a_document_that_is_none_costs_its_neighbours_little() -> None:
    rng = random.Random(2)
    documents = [plain(n, rng) for n in range(2000)]
    for place in (0, 777, 1999):
        documents[place] = b'{"symbol":"VIX","last":'
    documents[1200] = canonical_json(BASE | {"extra": 1})
    documents[1300] = canonical_json(BASE | {"last": "5000"})
    documents[1400] = Watermark(watermark_ts=1_525_185_000_000_000_000, market="US", source="x").canonical()
    assert check(documents) > 1900


def test_markets_are_kept_apart() -> None:
    rng = random.Random(3)
    documents = [plain(n, rng, market=rng.choice(("US", "EU", "JP"))) for n in range(300)]
    assert check(documents) == 300
    runs, _ = read_ticks(documents)
    assert sorted(run.columns.market for run in runs) == ["EU", "JP", "US"]


@pytest.mark.parametrize(
    "change",
    [
        {"seq": -1},
        {"seq": 2**63},
        {"seq": 1.0},
        {"seq": True},
        {"seq": "1"},
        {"schema_version": 2},
        {"schema_version": True},
        {"official": 1},
        {"official": None},
        {"official": True, "last": None, "bid": "17"},
        {"last": None},
        {"last": "NaN"},
        {"last": "inf"},
        {"last": "-Infinity"},
        {"last": " 17 "},
        {"last": "1_7"},
        {"last": "+17"},
        {"last": "17."},
        {"last": "1.7e1"},
        {"last": "1e400"},
        {"last": ""},
        {"last": "0x11"},
        {"last": True},
        {"last": [17]},
        {"last": 17},
        {"last": "5000"},
        {"bid": "18", "ask": "17"},
        {"bid_size": "-1"},
        {"event_ts": "2018-05-01T14:30:00"},
        {"event_ts": "2018-05-01T14:30Z"},
        {"event_ts": "2018-05-01"},
        {"event_ts": "2018-05-01 14:30:00Z"},
        {"event_ts": "2018-05-01t14:30:00z"},
        {"event_ts": "2018-05-01T14:30:00+01:00"},
        {"event_ts": "2018-05-01T14:30:00+0100"},
        {"event_ts": "2018-05-01T14:30:00.1234567891Z"},
        {"event_ts": "2018-02-30T14:30:00Z"},
        {"event_ts": "1969-12-31T23:59:59.999999999Z"},
        {"event_ts": "2600-01-01T00:00:00Z"},
        {"event_ts": "0001-01-01T00:00:00Z"},
        {"event_ts": 1_525_185_000_000_000_000},
        {"recv_ts": "1969-12-31T23:59:59.999999999Z"},
        {"recv_ts": "2018-05-01T14:30:00.5Z"},
        {"market": "us"},
        {"market": ""},
        {"source": ""},
        {"source": "nullable"},
        {"source": "caf\u00e9"},
        {"symbol": "NOSUCH"},
        {"symbol": "VX/2018-13-01"},
        {"symbol": "VIX\n"},
        {"symbol": ""},
        {"symbol": None},
    ],
    ids=str,
)
def test_a_document_that_is_not_plain_means_what_it_means_alone(change: dict[str, Any]) -> None:
    odd = json.dumps(BASE | change).encode()
    rng = random.Random(4)
    others = [plain(n, rng) for n in range(40)]
    assert check([odd]) <= 1
    assert check([*others[:20], odd, *others[20:]]) >= 20
    without = {name: value for name, value in (BASE | change).items() if value is not None}
    assert check([json.dumps(without).encode(), *others]) >= 20


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"symbol":"VIX","symbol":"SPX","event_ts":"2018-05-01T14:30:00Z","last":"17"}',
        b'{"symbol":"VIX","event_ts":"2018-05-01T14:30:00Z","last":"17"} ',
        b'{"symbol":"VIX","event_ts":"2018-05-01T14:30:00Z","last":"17"}{"symbol":"VIX"}',
        b'{"symbol":"VIX",\n"event_ts":"2018-05-01T14:30:00Z","last":"17"}',
        b'{"symbol":"VIX}\n{","event_ts":"2018-05-01T14:30:00Z","last":"17"}',
        b'{"symbol":"\\u0056IX","event_ts":"2018-05-01T14:30:00Z","last":"17"}',
        b'{"symbol":"VIX","event_ts":"2018-05-01T14:30:00Z","last":NaN}',
        b'{"symbol":"VIX","event_ts":"2018-05-01T14:30:00Z","last":017}',
        b'{"symbol":"VIX","event_ts":"2018-05-01T14:30:00Z","last":17,}',
        b'\xef\xbb\xbf{"symbol":"VIX","event_ts":"2018-05-01T14:30:00Z","last":17}',
    ],
    ids=lambda document: document[-40:].decode(errors="replace"),
)
def test_strange_bytes(document: bytes) -> None:
    rng = random.Random(5)
    others = [plain(n, rng) for n in range(40)]
    check([document])
    check([document, document])
    assert check([*others, document, *others]) >= 60


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(0, 300, places=2).map(str),
    st.text(max_size=6),
    st.sampled_from(("US", "VIX", "SPX", "17.5", "1e3", TS, "2018-05-01T14:30:00.25Z")),
)
ticks = st.fixed_dictionaries(
    {"symbol": st.sampled_from(("VIX", "SPX", "VX/2018-05-16")), "event_ts": st.just(TS), "last": st.just("19.5")},
    optional={name: values for name in Tick.model_fields if name not in ("symbol", "event_ts", "last")},
)
broken = st.dictionaries(st.sampled_from((*Tick.model_fields, "extra")), values, max_size=6)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.one_of(ticks, ticks, ticks, broken), max_size=40), st.booleans())
def test_whatever_is_among_them(documents: list[dict[str, Any]], ascii_only: bool) -> None:
    check([json.dumps(document, ensure_ascii=ascii_only).encode(errors="replace") for document in documents])


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(ticks, st.integers(0, 200), st.binary(max_size=3)), max_size=20))
def test_bytes_that_were_broken_on_the_way(documents: list[tuple[dict[str, Any], int, bytes]]) -> None:
    made = []
    for document, place, patch in documents:
        text = json.dumps(document).encode()
        made.append(text[:place] + patch + text[place + len(patch) :])
    check(made)
