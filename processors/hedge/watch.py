"""Break-evens of what is held, watched from evaluation to evaluation."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from processors.hedge.book import Book, Lot
from processors.hedge.break_even import BreakEvenMark, BreakEvenWatch
from topics.hedge_rules import BreakEvenRules, Sleeve
from topics.message import Number, Record, tidy


class Watch(Record):
    """A break-even that was in reach at the last evaluation."""

    break_even: Number = Field(description="vol points")
    alert: bool = Field(description="whether the good side of it is about to be left, or was just left")


def watched(
    rules: BreakEvenRules, before: Mapping[str, Watch], book: Book
) -> tuple[dict[str, Watch], tuple[str, ...], frozenset[Sleeve]]:
    """The watches to remember, alerts by name, and the layers that are not added to while one of theirs is too near.

    A sold spread is watched from the first moment on, a bought one once it has been well on the good side of its
    break-even. Only what is being watched is remembered.
    """
    kept: dict[str, Watch] = {}
    alerts: list[str] = []
    near: set[Sleeve] = set()
    for layer, lots in book.layers.items():
        for lot in lots:
            name = f"{layer}:{lot.name}"
            found = _watch(rules, before.get(name), lot)
            if found is None:
                continue
            kept[name] = found
            if found.alert:
                alerts.append(f"break_even:{lot.name}")
                near.add(layer)
    return kept, tuple(sorted(alerts)), frozenset(near)


def _watch(rules: BreakEvenRules, before: Watch | None, lot: Lot) -> Watch | None:
    if lot.break_even is None or lot.value is None or lot.forward is None or lot.kind not in _GOOD:
        return None
    short = lot.kind == "call_credit_spread"
    watch = BreakEvenWatch(lot.break_even, "below" if short else "above", short, rules)
    if before is not None and abs(before.break_even - lot.break_even) <= _SAME:
        watch.resume(before.alert)
    watch.update(BreakEvenMark(lot.forward, lot.value.legs[0].vol, float(lot.dte)))
    if not watch.armed:
        return None
    value = watch.value
    return Watch(break_even=tidy(lot.break_even), alert=value is not None and value.alert)


_GOOD = frozenset({"call_credit_spread", "call_spread", "call"})
_SAME = 1e-9
