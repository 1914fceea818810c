"""What each secondary signal did over a replay: where it had a value, how far it moved the score, what it changed.

A signal's own doing is found by deciding every committed session anew: once from the core alone, once with that
signal's points and no other's. A change of state in one of the two paths and not in the other, in the same session and
to the same state, was caused or prevented by the signal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from processors.errors import UserError
from processors.regime.inputs import RegimeInputs
from processors.regime.machine import Memory, decide_close
from processors.regime.modifier import DIRECTIONS
from topics.calibration import RegimeRules
from topics.message import STATES, Feature
from topics.regime import Regime

#: The feature that a part of the modifier stands on.
FEATURES: Final[Mapping[str, str]] = {
    "advance_decline": "ad_z",
    "divergence": "ad_divergence",
    "cpi": "cpi_z",
    "ppi": "ppi_z",
    "fomc": "fomc_z",
    "gdp": "gdp_z",
    "reer": "reer_z",
    "rate_differential": "rate_differential_z",
    "cash_quality": "cash_quality_z",
    "bear_steepening": "bear_steepening",
    "rsi": "rsi14",
    "ipo": "ipo_z",
    "dex_iv_spread": "dex_iv_spread_z",
    "amm_depth": "amm_depth_z",
    "tvl": "tvl_change_1d",
    "peg": "peg_bps",
    "ido": "ido_z",
}
#: All parts together, as they were published.
ALL: Final = "all parts"

Change = tuple[date, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One part of the modifier over all sessions.

    Attributes:
        covered: share of sessions in which its signal has a value. first: the first of them.
        active: share of sessions in which it moved the score.
        mean, mean_size: mean points, and mean size of the points, over the sessions in which it was active.
        caused, prevented: changes of state with it and not without it, and the other way round.
        differs: share of sessions whose state is another with it than from the core alone.
    """

    name: str
    covered: float
    first: date | None
    active: float
    mean: float
    mean_size: float
    caused: int
    prevented: int
    differs: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """A replay's sessions, rows by part, and the share of sessions of every other signal that had a value."""

    sessions: int
    core_changes: int
    rows: tuple[Row, ...]
    features: Mapping[str, float]


def read_states(file: Path) -> list[Regime]:
    """The committed sessions of a replay's ``regime.states.jsonl``. UserError when it cannot be read."""
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); give the folder that a replay wrote") from error
    try:
        return [Regime.model_validate_json(line) for line in lines]
    except ValidationError as error:
        raise UserError(f"{file}: no regimes of this version ({error.error_count()} errors)") from error


def coverage(rules: RegimeRules, states: Sequence[Regime]) -> Coverage:
    """What each signal did over the sessions ``states``, in their order, under ``rules``."""
    core = _path(rules, states, lambda regime: 0.0)
    rows = [_row(rules, states, core, name, partial(_points, name)) for name in DIRECTIONS]
    rows.append(_row(rules, states, core, ALL, lambda regime: regime.modifier))
    names = sorted({name for regime in states for name in regime.features})
    shares = {name: _share(name in regime.features for regime in states) for name in names}
    return Coverage(len(states), len(_changes(states, core)), tuple(rows), shares)


def _row(
    rules: RegimeRules, states: Sequence[Regime], core: list[str], name: str, points: Callable[[Regime], float]
) -> Row:
    path = _path(rules, states, points)
    with_it, without = set(_changes(states, path)), set(_changes(states, core))
    moved = [points(regime) for regime in states if points(regime)]
    feature = FEATURES.get(name)
    there = [regime.session_date for regime in states if feature in regime.features or name == ALL]
    return Row(
        name=name,
        covered=len(there) / len(states) if states else 0.0,
        first=there[0] if there else None,
        active=len(moved) / len(states) if states else 0.0,
        mean=sum(moved) / len(moved) if moved else 0.0,
        mean_size=sum(map(abs, moved)) / len(moved) if moved else 0.0,
        caused=len(with_it - without),
        prevented=len(without - with_it),
        differs=_share(a != b for a, b in zip(path, core, strict=True)),
    )


def _points(name: str, regime: Regime) -> float:
    part = regime.modifier_parts.get(name)
    return 0.0 if part is None else part.points


def _path(rules: RegimeRules, states: Sequence[Regime], points: Callable[[Regime], float]) -> list[str]:
    """The state after each session when the modifier is ``points``."""
    memory = Memory()
    path: list[str] = []
    for regime in states:
        decision = decide_close(rules, memory, _inputs(regime.features), points(regime))
        if decision is not None:
            memory = decision.memory
        path.append(memory.state or STATES[0])
    return path


def _inputs(features: Mapping[str, Feature]) -> RegimeInputs:
    def number(name: str) -> float | None:
        value = features.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    inverted = features.get("inverted")
    return RegimeInputs(
        vix=number("vix"),
        vix_change=number("vix_change"),
        ratio=number("ratio"),
        rv21=number("rv21"),
        vvix=number("vvix"),
        inverted=inverted if isinstance(inverted, bool) else None,
    )


def _changes(states: Sequence[Regime], path: Sequence[str]) -> list[Change]:
    return [
        (regime.session_date, after)
        for regime, before, after in zip(states[1:], path, path[1:], strict=False)
        if before != after
    ]


def _share(found: Iterable[bool]) -> float:
    flags = list(found)
    return sum(flags) / len(flags) if flags else 0.0
