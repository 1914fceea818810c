"""What each secondary signal did over a replay: where it had a value, how far it moved the score, what it changed.

A signal's own doing is found by deciding every committed session anew: once from the core alone, once with that
signal's published points and no other's. A change of state in one of the two paths and not in the other, in the same
session and to the same state, was caused or prevented by the signal; one that only comes a session earlier counts once
as each. What the fast path did between two closes rests on floors alone and is taken over into every path as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from processors.errors import UserError
from processors.regime.inputs import RegimeInputs
from processors.regime.machine import Memory, decide_close
from processors.regime.modifier import DIRECTIONS
from processors.replayed import messages
from processors.signals.catalogue import NEEDS
from processors.view import printable
from topics.calibration import Calibration, ModifierPartName, RegimeRules
from topics.catalog import REGIME_STATES
from topics.message import STATES, Feature, State, feature_number
from topics.regime import Regime

#: The feature that a part of the modifier stands on.
FEATURES: Final[Mapping[ModifierPartName, str]] = {
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

#: Features side by side in a table.
_COLUMNS: Final = 3

Change = tuple[date, State]


@dataclass(frozen=True, slots=True)
class Row:
    """One part of the modifier over all sessions, or all parts together.

    Attributes:
        covered: share of sessions in which its signal, of all parts any, has a value. first: the first of them.
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
    """What the signals did over the sessions of one market.

    Attributes:
        sessions: committed sessions.
        core_changes: changes of state from the core alone.
        rows: one a part, and at last one of all parts together.
        features: share of sessions in which each other feature has a value, 0 for one that never had.
    """

    sessions: int
    core_changes: int
    rows: tuple[Row, ...]
    features: Mapping[str, float]


def read_states(folder: Path) -> list[Regime]:
    """The committed sessions in the folder of a replay, in their order. UserError when they cannot be read."""
    return messages(folder, REGIME_STATES, Regime)


def sessions_of(states: Sequence[Regime], market: str, calibration: Calibration) -> list[Regime]:
    """Those of one market. UserError when there are none, and when another calibration decided them."""
    found = [regime for regime in states if regime.market == market]
    if not found:
        known = ", ".join(sorted({printable(regime.market) for regime in states})) or "none"
        raise UserError(f"no session of market {printable(market)!r} is in this replay; markets in it: {known}")
    others = sorted({regime.calibration_digest for regime in found} - {calibration.digest()})
    if others:
        raise UserError(
            f"this replay was decided with the calibration {others[0]}, in force is {calibration.digest()}; "
            "give the settings file of the replay with --config"
        )
    return found


def coverage(rules: RegimeRules, states: Sequence[Regime]) -> Coverage:
    """What each signal did over the sessions ``states`` of one market, in their order, decided under ``rules``."""
    core = path(rules, states, lambda regime: 0.0)
    rows = [_row(rules, states, core, name, (FEATURES[name],), partial(_points, name)) for name in DIRECTIONS]
    rows.append(_row(rules, states, core, ALL, tuple(FEATURES.values()), _modifier))
    names = sorted((NEEDS.keys() | {name for regime in states for name in regime.features}) - set(FEATURES.values()))
    shares = {name: _share(name in regime.features for regime in states) for name in names}
    return Coverage(len(states), len(_changes(states, core)), tuple(rows), shares)


def path(rules: RegimeRules, states: Sequence[Regime], points: Callable[[Regime], float]) -> list[State]:
    """The state after each of the sessions ``states`` when the modifier is ``points``, score points."""
    memory = Memory()
    found: list[State] = []
    published: State | None = None
    for regime in states:
        if published is not None and memory.state is not None and _above(regime.state_prev, published):
            memory = Memory(regime.state_prev) if _above(regime.state_prev, memory.state) else memory
        decision = decide_close(rules, memory, _inputs(regime.features), points(regime))
        if decision is not None:
            memory = decision.memory
        found.append(memory.state or STATES[0])
        published = regime.state
    return found


def _above(state: State, other: State) -> bool:
    return STATES.index(state) > STATES.index(other)


def _row(
    rules: RegimeRules,
    states: Sequence[Regime],
    core: Sequence[State],
    name: str,
    features: Sequence[str],
    points: Callable[[Regime], float],
) -> Row:
    mine = path(rules, states, points)
    with_it, without = set(_changes(states, mine)), set(_changes(states, core))
    moved = [points(regime) for regime in states if points(regime)]
    there = [regime.session_date for regime in states if any(feature in regime.features for feature in features)]
    return Row(
        name=name,
        covered=len(there) / len(states) if states else 0.0,
        first=there[0] if there else None,
        active=len(moved) / len(states) if states else 0.0,
        mean=sum(moved) / len(moved) if moved else 0.0,
        mean_size=sum(map(abs, moved)) / len(moved) if moved else 0.0,
        caused=len(with_it - without),
        prevented=len(without - with_it),
        differs=_share(a != b for a, b in zip(mine, core, strict=True)),
    )


def _points(name: str, regime: Regime) -> float:
    part = regime.modifier_parts.get(name)
    return 0.0 if part is None else part.points


def _modifier(regime: Regime) -> float:
    return regime.modifier


def _inputs(features: Mapping[str, Feature]) -> RegimeInputs:
    number = partial(feature_number, features)
    inverted = features.get("inverted")
    return RegimeInputs(
        vix=number("vix"),
        vix_change=number("vix_change"),
        ratio=number("ratio"),
        rv21=number("rv21"),
        vvix=number("vvix"),
        inverted=inverted if isinstance(inverted, bool) else None,
    )


def _changes(states: Sequence[Regime], found: Sequence[State]) -> list[Change]:
    """Sessions whose state is another than that of the session before, with the new state."""
    dates = (regime.session_date for regime in states[1:])
    return [(day, after) for day, (before, after) in zip(dates, pairwise(found), strict=True) if before != after]


def _share(found: Iterable[bool]) -> float:
    flags = list(found)
    return sum(flags) / len(flags) if flags else 0.0


# Showing


def document(found: Coverage) -> dict[str, Any]:
    """The coverage as JSON values."""
    return {
        "sessions": found.sessions,
        "core_changes": found.core_changes,
        "parts": [{**asdict(row), "first": None if row.first is None else row.first.isoformat()} for row in found.rows],
        "features": dict(found.features),
    }


def tables(found: Coverage) -> RenderableType:
    """The coverage for people: the parts of the modifier, then every other feature."""
    return Group(_parts(found), Text(), _features(found))


def _parts(found: Coverage) -> Table:
    title = f"parts of the modifier, {found.sessions:,} sessions, {found.core_changes:,} changes of state from the core"
    table = Table(title=title, title_justify="left", pad_edge=False)
    table.add_column("part")
    for column in ("value", "since", "active", "mean", "mean size", "caused", "prevented", "other state"):
        table.add_column(column, justify="right")
    for row in found.rows:
        table.add_row(
            row.name,
            f"{row.covered:.1%}",
            "-" if row.first is None else row.first.isoformat(),
            f"{row.active:.1%}",
            f"{row.mean:+.2f}" if row.active else "-",
            f"{row.mean_size:.2f}" if row.active else "-",
            str(row.caused),
            str(row.prevented),
            f"{row.differs:.2%}",
            end_section=row is found.rows[-2],
        )
    return table


def _features(found: Coverage) -> Table:
    table = Table(title="other features, share of sessions with a value", title_justify="left", pad_edge=False)
    for column in ("feature", "value") * _COLUMNS:
        table.add_column(column, justify="right" if column == "value" else "left")
    cells = [(printable(name), f"{share:.1%}") for name, share in found.features.items()]
    height = -(-len(cells) // _COLUMNS)
    for row in range(height):
        table.add_row(*(cell for pair in cells[row::height] for cell in pair))
    return table
