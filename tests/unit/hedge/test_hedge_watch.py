"""Break-evens of what is held, from evaluation to evaluation."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hedge_support import EXPIRIES, RULES

from processors.hedge.book import Book, Lot
from processors.hedge.structure import LegValue, Moves, Valuation
from processors.hedge.watch import Watch, watched
from topics.hedge_rules import Sleeve

MAR = EXPIRIES[2]
LOW, HIGH = f"VIX/{MAR}/C/23", f"VIX/{MAR}/C/28"
#: A vol of 1 and a year to expiry: the distance in standard deviations is ln(BE / F).
YEAR = 365


def _value(ratios: tuple[tuple[str, int], ...]) -> Valuation:
    legs = tuple(LegValue(symbol, ratio, 1.0, 1.0, True, 1.0) for symbol, ratio in ratios)
    return Valuation(legs, 1.0, 1.0, 1.0, Moves(0.0, 0.0, 0.0, 0.0), 0.0)


def _spread(cushion: float, layer: Sleeve = "L2", break_even: float | None = 25.0) -> Lot:
    """A bought spread whose forward is so many standard deviations above its break-even."""
    ratios = ((LOW, 1), (HIGH, -1))
    forward = (25.0 if break_even is None else break_even) * math.exp(cushion)
    return Lot(
        layer, "call_spread", ratios, 1, 1.0, YEAR, value=_value(ratios), forward=forward, break_even=break_even
    )


def _sold(cushion: float) -> Lot:
    """A sold spread whose forward is so many standard deviations below its break-even."""
    ratios = ((LOW, -1), (HIGH, 1))
    forward = 24.0 * math.exp(-cushion)
    return Lot("TT", "call_credit_spread", ratios, 1, 1.0, YEAR, value=_value(ratios), forward=forward, break_even=24.0)


def _run(lots: list[Lot]) -> list[tuple[tuple[str, ...], frozenset[Sleeve], bool]]:
    """Alerts, layers too near, and whether it is watched, from one evaluation to the next through the wire."""
    before: dict[str, Watch] = {}
    found = []
    for lot in lots:
        kept, alerts, near = watched(RULES.break_even, before, Book({lot.layer: (lot,)}))
        found.append((alerts, near, bool(kept)))
        before = {name: Watch.model_validate_json(watch.canonical()) for name, watch in kept.items()}
    return found


NAME = f"break_even:VIX/{MAR}/C/23/28"


def test_a_bought_spread_is_watched_once_it_has_gained() -> None:
    # Never above its break-even by 0.75: nothing to lose, nothing watched.
    quiet = ((), frozenset(), False)
    assert _run([_spread(x) for x in (-1.0, 0.2, 0.74, 0.1)]) == [quiet] * 4


def test_the_alert_has_hysteresis_from_evaluation_to_evaluation() -> None:
    on, off = ((NAME,), frozenset({"L2"}), True), ((), frozenset(), True)
    # on below 0.5, off from 0.75; far on the other side the gain is gone and it is watched no more
    walk = [0.76, 0.51, 0.49, 0.74, 0.76, 0.3, -0.5, -0.76]
    assert _run([_spread(x) for x in walk]) == [off, off, on, on, off, on, on, ((), frozenset(), False)]


def test_a_sold_spread_is_watched_from_the_first_moment_and_beyond() -> None:
    on, off = ((NAME,), frozenset({"TT"}), True), ((), frozenset(), True)
    assert _run([_sold(x) for x in (1.0, 0.4, 0.7, 0.8, -2.0)]) == [off, on, on, off, on]


def test_another_break_even_is_another_watch() -> None:
    # What was added at another price has another break-even: it must gain first.
    first, second = _spread(0.8), _spread(0.3, break_even=26.0)
    assert _run([first, second])[1] == ((), frozenset(), False)
    assert _run([first, _spread(0.3)])[1] == ((NAME,), frozenset({"L2"}), True)


def test_layers_are_apart() -> None:
    kept, _, _ = watched(RULES.break_even, {}, Book({"L2": (_spread(0.8),), "L3": (_spread(0.8, "L3"),)}))
    assert set(kept) == {f"L2:VIX/{MAR}/C/23/28", f"L3:VIX/{MAR}/C/23/28"}
    after, alerts, near = watched(RULES.break_even, kept, Book({"L2": (_spread(0.8),), "L3": (_spread(0.1, "L3"),)}))
    assert near == {"L3"}
    assert alerts == (NAME,)
    assert not after[f"L2:VIX/{MAR}/C/23/28"].alert


def test_what_is_no_longer_held_is_forgotten() -> None:
    kept, _, _ = watched(RULES.break_even, {}, Book({"L2": (_spread(0.8),)}))
    assert watched(RULES.break_even, kept, Book()) == ({}, (), frozenset())


@pytest.mark.parametrize("missing", ["break_even", "value", "forward", "kind"])
def test_what_has_no_break_even_is_not_watched(missing: str) -> None:
    lot = replace(_sold(0.1), **{missing: "mixed" if missing == "kind" else None})  # type: ignore[arg-type]
    assert watched(RULES.break_even, {}, Book({"TT": (lot,)})) == ({}, (), frozenset())
