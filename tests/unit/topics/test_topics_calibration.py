"""The calibration document: closed, finite, read back as it was written, each number in its digest."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from topics import calibration, hedge_rules
from topics.calibration import Calibration, HedgeRules
from topics.codec import decode
from topics.dead_letter import Refused
from topics.hedge_rules import (
    ChainRules,
    EngineRules,
    EtnRules,
    KappaRules,
    LayerWindow,
    Scenario,
    StressRules,
    ThetaRules,
    TimingRules,
)
from topics.message import Record, canonical_json, tidy

DOCUMENT = Calibration().document()
#: Every class of rules of the hedge, with what it cannot do without.
KINDS = sorted(
    (kind for kind in vars(hedge_rules).values() if isinstance(kind, type) and issubclass(kind, Record)),
    key=lambda kind: kind.__name__,
)
KINDS.remove(Record)
NEEDED: dict[type[Record], dict[str, Any]] = {
    LayerWindow: {"dte_min": 20, "dte_max": 50, "dte_target": 30, "roll_dte": 21},
    Scenario: {"name": "up"},
}
#: Numbers that the defaults leave out.
OPTIONAL: dict[tuple[str, ...], Any] = {
    ("hedge", "theta", "iv_premium_min"): 0.18,
    ("hedge", "theta", "contango_min"): 0.12,
    ("hedge", "windows", "L3", "dte_max"): 400,
}
by_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)

Path = tuple[str | int, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from leaves(each, (*path, i))
    else:
        yield path, value


def tables(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where the document has a table with named keys, or a mapping."""
    if isinstance(value, dict):
        yield path
        for key, each in value.items():
            yield from tables(each, (*path, key))
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from tables(each, (*path, i))


def put(path: Path, value: Any) -> dict[str, Any]:
    """The default document with one value replaced or added."""
    document = copy.deepcopy(DOCUMENT)
    *way, last = path
    inner: Any = document
    for key in way:
        inner = inner[key]
    inner[last] = value
    return document


def changed(value: Any) -> tuple[Any, ...]:
    """Values near this one, of which a bound or an order of numbers may refuse some."""
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return value + 1, value - 1
    if isinstance(value, float):
        return tidy(value * 1.001 + 1e-6), tidy(value * 0.999 - 1e-6)
    return {"close": "settle"}.get(value, value + "X"), value + "X"


def of_table(path: Path) -> bool:
    """Weights that sum to 1: one alone cannot change."""
    return path[:2] == ("hedge", "weights") or (path[:2] == ("regime", "score") and path[-1] == "weight")


LEAVES = [(path, value) for path, value in leaves(DOCUMENT) if path not in (("schema_version",), ("name",))]
FREE = [(path, value) for path, value in LEAVES if not of_table(path)]
NUMBERS = [path for path, value in LEAVES if isinstance(value, int | float) and not isinstance(value, bool)]


def name_of(value: Any) -> str | None:
    return ".".join(map(str, value)) if isinstance(value, tuple) else None


# The document


def test_the_document_reads_back_as_it_was_written() -> None:
    written = Calibration().canonical()
    read = decode(Calibration, written)
    assert read == Calibration()
    assert read.canonical() == written
    assert read.digest() == Calibration().digest()


def test_the_name_is_no_part_of_the_digest() -> None:
    assert Calibration(name="other").digest() == Calibration().digest()


@pytest.mark.parametrize(("path", "value"), FREE, ids=name_of)
def test_each_number_word_and_flag_is_in_the_digest_and_reads_back(path: Path, value: Any) -> None:
    accepted = []
    for other in changed(value):
        try:
            accepted.append(decode(Calibration, canonical_json(put(path, other))))
        except Refused:
            continue
    assert accepted, f"{path} can be nothing but {value}"
    for found in accepted:
        assert found.digest() != Calibration().digest()
        assert decode(Calibration, found.canonical()) == found


@pytest.mark.parametrize(("path", "value"), list(OPTIONAL.items()), ids=name_of)
def test_what_the_defaults_leave_out_is_in_the_digest_once_given(path: Path, value: Any) -> None:
    assert path not in dict(leaves(DOCUMENT))
    found = decode(Calibration, canonical_json(put(path, value)))
    assert found.digest() != Calibration().digest()
    assert decode(Calibration, found.canonical()) == found
    assert dict(leaves(found.document()))[path] == value


@pytest.mark.parametrize("state", ["low", "moderate", "elevated", "high"])
@pytest.mark.parametrize("layer", ["L1", "L2", "L3", "TT"])
def test_each_weight_is_in_the_digest(state: str, layer: str) -> None:
    row = dict(DOCUMENT["hedge"]["weights"][state])
    row |= {layer: row[layer] + 0.001, "R": row["R"] - 0.001}
    found = decode(Calibration, canonical_json(put(("hedge", "weights", state), row)))
    assert found.digest() != Calibration().digest()


@pytest.mark.parametrize("feature", ["ratio", "rv21", "vvix"])
def test_each_weight_of_the_score_is_in_the_digest(feature: str) -> None:
    score = copy.deepcopy(DOCUMENT["regime"]["score"])
    score["vix"]["weight"] -= 0.01
    score[feature]["weight"] += 0.01
    found = decode(Calibration, canonical_json(put(("regime", "score"), score)))
    assert found.digest() != Calibration().digest()


@pytest.mark.parametrize("path", list(tables(DOCUMENT)), ids=name_of)
def test_keys_that_are_unknown_are_refused_everywhere(path: Path) -> None:
    with pytest.raises(Refused, match="surprise") as caught:
        decode(Calibration, canonical_json(put((*path, "surprise"), 1.0)))
    assert caught.value.reason == "invalid"


@pytest.mark.parametrize("path", NUMBERS, ids=name_of)
def test_a_number_that_is_none_is_refused_everywhere(path: Path) -> None:
    null = [] if path[-1] in ("dte_max", "roll_dte") else [None]  # these two may be left out
    for bad in (math.nan, math.inf, -math.inf, True, "much", *null):
        with pytest.raises(Refused):
            decode(Calibration, json.dumps(put(path, bad)).encode())


# The rule sets of the hedge


def test_every_rule_set_of_the_hedge_is_in_the_calibration() -> None:
    held: set[type] = set()

    def walk(value: Any) -> None:
        if isinstance(value, Record):
            held.add(type(value))
            for name in type(value).model_fields:
                walk(getattr(value, name))
        elif isinstance(value, dict):
            for each in value.values():
                walk(each)
        elif isinstance(value, tuple):
            for each in value:
                walk(each)

    walk(Calibration())
    kinds = (kind for kind in vars(calibration).values() if isinstance(kind, type) and issubclass(kind, Record))
    assert set(KINDS) | {kind for kind in kinds if kind.__module__ == "topics.calibration"} <= held
    assert len(KINDS) == 16


@by_kind
def test_each_field_says_what_it_is(kind: type[Record]) -> None:
    for name, field in kind.model_fields.items():
        assert field.description, f"{kind.__name__}.{name}"


@by_kind
def test_rules_read_back_from_their_canonical_bytes(kind: type[Record]) -> None:
    rules = kind(**NEEDED.get(kind, {}))
    assert kind.model_validate_json(rules.canonical()) == rules
    assert kind.model_validate_json(rules.canonical()).canonical() == rules.canonical()


@by_kind
def test_rules_are_closed_and_cannot_be_changed(kind: type[Record]) -> None:
    rules = kind(**NEEDED.get(kind, {}))
    with pytest.raises(ValidationError, match="surprise"):
        kind(**NEEDED.get(kind, {}), surprise=1.0)
    name = next(iter(kind.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(rules, name, getattr(rules, name))


@by_kind
def test_rules_refuse_by_name_what_is_no_number(kind: type[Record]) -> None:
    needed = NEEDED.get(kind, {})
    given = kind(**needed).model_dump() | {"iv_premium_min": 0.1, "contango_min": 0.1}
    numeric = [name for name in kind.model_fields if type(given[name]) in (int, float)]
    assert numeric
    for name in numeric:
        for bad in (math.nan, math.inf, -math.inf, True):
            with pytest.raises(ValidationError) as caught:
                kind(**{**needed, name: bad})
            assert {str(error["loc"][0]) for error in caught.value.errors()} == {name}


def test_what_is_not_asked_is_absent_and_never_null() -> None:
    assert {"iv_premium_min", "contango_min"}.isdisjoint(ThetaRules().document())
    assert ThetaRules(contango_min=0.0).document()["contango_min"] == 0.0
    assert LayerWindow(dte_min=186, dte_target=220).document() == {"dte_min": 186, "dte_target": 220}


def test_when_each_layer_rolls() -> None:
    windows = HedgeRules().windows
    assert {layer: window.roll_dte for layer, window in windows.items()} == {"L1": 21, "L2": 35, "L3": 110, "TT": 21}
    for window in windows.values():
        assert window.roll_dte is not None
        assert window.roll_dte <= window.dte_target
    with pytest.raises(ValidationError, match=r"roll_dte\s+Input should be greater than or equal to 0"):
        LayerWindow(dte_min=0, dte_target=0, roll_dte=-1)


def test_whole_numbers_are_whole() -> None:
    with pytest.raises(ValidationError, match=r"open_interest_min\s+Input should be a valid integer"):
        ChainRules(open_interest_min=100.0)
    with pytest.raises(ValidationError, match=r"exit_dte\s+Input should be a valid integer"):
        ThetaRules(exit_dte="21")


def test_a_bound_of_kappa_is_a_bound() -> None:
    assert KappaRules(low=2.0, high=2.0).low == 2.0
    with pytest.raises(ValidationError, match=r"low must be at most high, got 9 and 8"):
        KappaRules(low=9.0)
    with pytest.raises(ValidationError, match=r"minimum\s+Input should be greater than or equal to 2"):
        KappaRules(minimum=1)


def test_names_are_short_and_of_plain_letters() -> None:
    for bad in ("", " VXX", "VXX\n", "x" * 65):
        with pytest.raises(ValidationError, match="symbols"):
            EtnRules(symbols=(bad,))
        with pytest.raises(ValidationError, match="name"):
            Scenario(name=bad)


def test_words_that_are_no_choice_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"anchor\s+Input should be 'close' or 'settle'"):
        TimingRules(anchor="open")
    with pytest.raises(ValidationError, match=r"Input should be 'steward' or 'promoter'"):
        EngineRules(most={"steward": 1.0, "raider": 2.0})


def test_scenarios_of_one_name_are_refused_in_the_document_too() -> None:
    twice = [{"name": "gap", "points": 20.0}, {"name": "gap", "points": 40.0}]
    with pytest.raises(Refused, match="names of scenarios must differ"):
        decode(Calibration, canonical_json(put(("hedge", "stress", "scenarios"), twice)))
    assert StressRules(scenarios=()).scenarios == ()


def test_the_second_engine_needs_a_bound_for_each_policy() -> None:
    for most, lacking in (({"promoter": 1.1}, "steward"), ({"steward": 1.0}, "promoter"), ({}, "promoter, steward")):
        with pytest.raises(Refused, match=rf"engine\.most lacks {lacking}"):
            decode(Calibration, canonical_json(put(("hedge", "engine", "most"), most)))


def test_shares_of_the_hedge_stay_shares() -> None:
    for bad in (0.0, -0.1, 1.01):
        with pytest.raises(ValidationError, match=r"spread_spent\s+Input should be"):
            HedgeRules(spread_spent=bad)
    with pytest.raises(ValidationError, match=r"h_tolerance\s+Input should be"):
        HedgeRules(h_tolerance=-0.01)
