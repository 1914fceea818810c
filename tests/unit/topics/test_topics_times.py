"""Times, numbers and their one form in text."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics.message import canonical_json, decimal_text, digest, tidy
from topics.times import FIRST_TS, LAST_TS, SECOND, check_ts, format_ts, parse_ts

times = st.integers(FIRST_TS, LAST_TS - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(times)
def test_format_and_parse_are_inverse(ts: int) -> None:
    assert parse_ts(format_ts(ts)) == ts


@given(times, st.integers(-14 * 60, 14 * 60), st.sampled_from("T "))
def test_the_same_moment_in_another_zone_is_the_same_time(ts: int, minutes: int, separator: str) -> None:
    seconds, nanos = divmod(ts, SECOND)
    local = datetime.fromtimestamp(seconds, UTC).astimezone(timezone(timedelta(minutes=minutes)))
    text = local.strftime(f"%Y-%m-%d{separator}%H:%M:%S") + f".{nanos:09d}" + local.strftime("%z")
    assert parse_ts(text[:-2] + ":" + text[-2:]) == ts


@given(times, times)
def test_text_sorts_as_time_does_within_a_second_grid(a: int, b: int) -> None:
    a, b = a // SECOND * SECOND, b // SECOND * SECOND
    assert (format_ts(a) < format_ts(b)) == (a < b)


@pytest.mark.parametrize(
    "text",
    [
        "2018-02-05T21:15:00",
        "2018-02-05",
        "2018-02-05T21:15Z",
        "2018-02-30T00:00:00Z",
        "2018-02-05T24:00:00Z",
        "2018-02-05T21:15:60Z",
        "2018-02-05T21:15:00.1234567890Z",
        "2018-02-05T21:15:00+25:00",
        "1517865300",
        "1989-12-31T23:59:59Z",
        "2100-01-01T00:00:00Z",
        " 2018-02-05T21:15:00Z",
        "2018-02-05T21:15:00Z\n",
        "٢٠١٨-02-05T21:15:00Z",
        "",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are checked where they are shown
        parse_ts(text)


@given(st.integers())
def test_only_times_of_these_years_pass(ts: int) -> None:
    if FIRST_TS <= ts < LAST_TS:
        assert check_ts(ts) == ts
    else:
        with pytest.raises(ValueError, match="1990 to 2099"):
            check_ts(ts)


@given(finite)
def test_decimal_text_reads_back_as_the_same_number_and_has_no_exponent(value: float) -> None:
    text = decimal_text(value)
    assert float(text) == value
    assert set(text) <= set("-0123456789.")
    assert decimal_text(float(text)) == text
    assert text != "-0"


@given(finite)
def test_tidy_is_idempotent_and_close(value: float) -> None:
    try:
        tidied = tidy(value)
    except OverflowError:
        return
    if math.isfinite(tidied):
        assert tidy(tidied) == tidied
        assert math.isclose(tidied, value, rel_tol=1e-11, abs_tol=0) or value == tidied
        assert math.copysign(1, tidied) == 1 or tidied < 0


@given(documents)
def test_canonical_bytes_read_back_and_are_the_same_again(document: object) -> None:
    try:
        data = canonical_json(document)
    except UnicodeEncodeError:
        return  # half of a surrogate pair is no text
    assert json.loads(data) == document
    assert canonical_json(json.loads(data)) == data


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers()))
def test_the_order_of_keys_does_not_matter(document: dict[str, int]) -> None:
    shuffled = dict(reversed(document.items()))
    assert canonical_json(shuffled) == canonical_json(document)
    assert digest(shuffled) == digest(document)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_has_no_canonical_bytes(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"x": value})
