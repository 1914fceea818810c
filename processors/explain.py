"""One page that a trader reads: what a rebalance advises, why, which rule moved what, and what stands against it.

Everything comes from the event and from the regime that decided it; nothing of the strategy is computed again. Nothing
depends on colour: signs and words say it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from processors.hedge.attribution import ORDER, attribute, total
from processors.hedge.timing import EffectiveWindow
from processors.hedge.weights import EPSILON, deployed, gross
from processors.view import layer_text, printable
from topics.message import LAYERS, Digest, Layer
from topics.rebalance import Rebalance, Weights
from topics.regime import Regime
from topics.times import SECOND, format_ts

#: Columns of the plain text when none are asked for.
WIDTH: Final = 100
#: Columns that hold every table without cutting a number.
LEAST_WIDTH: Final = 72
#: Parts of the modifier shown, the largest first; the rest in one line.
_PARTS: Final = 6
#: Weights and changes are shown in hundredths of a percentage point of H.
_SHOWN: Final = 4
_NEW_YORK: Final = ZoneInfo("America/New_York")

_LAYER_NAMES: Final[Mapping[Layer, str]] = {
    "L1": "L1 base",
    "L2": "L2 pivot",
    "L3": "L3 convexity",
    "TT": "TT theta",
    "R": "R reserve",
}
_RULES: Final[Mapping[str, str]] = {
    "base": "table of the state",
    "tilted": "tilts of L1 (MACD, RSI)",
    "activated": "trigger of L3",
    "gated": "gate of TT",
    "engine": "second engine",
    "capped": "caps, reserve",
    "aim": "limit of exposure",
    "target": "band, pace, blocks",
    "whole": "whole contracts",
}
_TRIGGERS: Final[Mapping[str, str]] = {
    "close": "the close of a session",
    "fast_path": "a floor held intraday (fast path)",
    "degraded": "an input came or went",
    "freeze": "the window around a release opened or closed",
    "snapshot": "a new portfolio snapshot",
}
#: What would end a block, by the block or by what stands before its colon.
_UNBLOCKS: Final[Mapping[str, str]] = {
    "regime:held": "a fresh VIX: the state is held because VIX is missing or stale",
    "portfolio:beta": "a snapshot that states beta, or enough returns to estimate it: H cannot be sized",
    "portfolio:beta_not_positive": "a beta above 0: at 0 or below there is nothing to hedge",
    "portfolio:cash": "a snapshot whose free cash is not negative",
    "portfolio:stale": "a newer snapshot of the holdings",
    "curve:missing": "prices of VX contracts: there is no curve",
    "liquidity:quick_ratio": "more cash, depth or margin to be received, or less that falls due",
    "price": "a price of {} of its own, or its sale",
    "curve": "a VX contract listed within that many days to expiry",
    "freeze": "the end of the window around {}",
}
_TIMING: Final[Mapping[str, str]] = {
    "urgent": "entry into high, which nothing delays",
    "flow:same_sign": "it trades with the mechanical flow into the close: be done before it",
    "flow:opposite_sign": "it trades against the mechanical flow into the close: wait until it is over",
    "blackout:sp_rebalance": "the S&P indices are rebalanced at the close",
    "blackout:vx_roll_start": "a VX roll period begins",
    "blackout:vx_roll_end": "a VX roll period ends",
    "blackout:rotation": "a sector rotation crowds the close",
}
_ADVISORY: Final = "Advisory only: it informs and sends no orders. Educational, no investment advice."


def explain(event: Rebalance, regime: Regime | None, timing: EffectiveWindow | None = None) -> RenderableType:
    """The page of a rebalance.

    Args:
        event: the rebalance.
        regime: the regime that decided it, None when it is not at hand; then only what the event itself says of it.
        timing: its window, None when none was worked out.

    Raises:
        ValueError: another regime than the one that decided.
    """
    if regime is not None and regime.event_id != event.regime_event_id:
        raise ValueError(f"regime {regime.event_id} did not decide this rebalance, {event.regime_event_id} did")
    return Group(
        _head(event),
        *_section("WHAT TO DO", _legs(event), _weights(event)),
        *_section("WHY", *_why(event, regime)),
        *_section("WHICH RULE MOVED WHAT, percentage points of H", _attribution(event)),
        *_section("LIMITS", _limits(event)),
        *_section("BLOCKED", _blocked(event, regime)),
        *_section("WHEN", _when(event, timing)),
        *_section("EVIDENCE", _evidence(event)),
        Text(),
        Text(_ADVISORY),
    )


def explain_text(
    event: Rebalance, regime: Regime | None, timing: EffectiveWindow | None = None, width: int = WIDTH
) -> str:
    """The page as plain text, at most ``width`` columns wide; arguments and errors as in `explain`.

    ValueError also when ``width`` is less than :data:`LEAST_WIDTH`.
    """
    if width < LEAST_WIDTH:
        raise ValueError(f"width must be at least {LEAST_WIDTH}, got {width!r}")
    screen = Console(
        file=io.StringIO(), width=width, color_system=None, force_terminal=False, force_jupyter=False, _environ={}
    )
    with screen.capture() as captured:
        screen.print(explain(event, regime, timing), highlight=False, markup=False, emoji=False)
    return "".join(line.rstrip() + "\n" for line in captured.get().splitlines())


def _section(title: str, *parts: RenderableType) -> Iterator[RenderableType]:
    yield Text()
    yield Text(title, style="bold")
    for number, part in enumerate(parts):
        if number and isinstance(part, Table):
            yield Text()
        yield Padding(part, (0, 0, 0, 2))


def _table(*columns: str, right: Iterable[str] = (), whole: Iterable[str] = ()) -> Table:
    """An empty table; ``right``: columns of numbers, flush right. Neither these nor ``whole`` ones are broken."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    numbers, unbroken = frozenset(right), frozenset(whole)
    for column in columns:
        side: Literal["left", "right"] = "right" if column in numbers else "left"
        # A number that is broken into two lines reads as two numbers: rather mark that it does not fit.
        if column in numbers | unbroken:
            table.add_column(Text(column), justify=side, no_wrap=True, overflow="ellipsis")
        else:
            table.add_column(Text(column), justify=side, overflow="fold")
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(printable(cell)) for cell in cells))


def _facts(facts: Iterable[tuple[str, str]]) -> Table:
    """Names and what stands behind them, one below the other."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", ratio=1)
    for name, words in facts:
        table.add_row(Text(name), Text(printable(words)))
    return table


def _head(event: Rebalance) -> RenderableType:
    moved = event.state if event.state == event.state_prev else f"{event.state_prev} -> {event.state}"
    score = "no score" if event.score is None else f"score {event.score:.1f}"
    return Group(
        Text(printable(f"REBALANCE of {event.portfolio_id}, {event.market}, session {event.session_date}"), "bold"),
        _facts(
            [
                ("state", f"{moved.upper()}, {score}"),
                ("decided", f"{_time(event.event_ts)}, by {_TRIGGERS[event.trigger]}"),
                ("policy", event.policy),
                ("hedge", _hedge(event)),
                ("status", _status(event)),
            ]
        ),
    )


def _hedge(event: Rebalance) -> str:
    if event.hedge_notional is None:
        return "H cannot be sized while beta is missing"
    words = f"H {event.hedge_notional:,.0f} USD"
    if event.beta is not None:
        words += f", beta {event.beta:.3g} ({event.beta_source or 'of no stated source'})"
    return words if event.beta_ols is None else f"{words}, least squares {event.beta_ols:.3g}"


def _status(event: Rebalance) -> str:
    count = event.approvals_required
    needs = "needs no approval" if not count else f"needs {count} approval{'' if count == 1 else 's'}"
    return f"{event.status}, {needs}" + ("; reductions only" if event.status == "reduce_only" else "")


# What to do


def _legs(event: Rebalance) -> RenderableType:
    if not event.trades:
        return Text("No contracts to trade.")
    table = _table(
        "do",
        "contract",
        "layer",
        "held",
        "target",
        "at",
        "notional USD",
        right=("held", "target", "at", "notional USD"),
        whole=("do",),
    )
    for leg in event.trades:
        cells = (f"{leg.held:d}", f"{leg.target:d}", f"{leg.price:.4g}", f"{leg.notional:,.0f}")
        _row(table, f"{leg.side.upper()} {leg.quantity}", leg.symbol, leg.layer, *cells)
    return table


def _weights(event: Rebalance) -> RenderableType:
    """Weights of H by layer, held where it is known, and the tenor in which each is opened."""
    held, whole = event.vectors.get("held"), event.vectors.get("whole")
    numbers = ("held", "target", "in whole")
    table = _table("layer, % of H", *numbers, "days to expiry", right=numbers)
    for layer in LAYERS:
        window = event.windows.get(layer)
        tenor = ""
        if window is not None:
            most = " and more" if window.dte_max is None else f" to {window.dte_max}"
            tenor = f"{window.dte_min}{most}, aim {window.dte_target}"
        cells = [_share(weights, layer) for weights in (held, event.targets, whole)]
        _row(table, _LAYER_NAMES[layer], *cells, tenor)
    return table


def _share(weights: Weights | None, layer: Layer) -> str:
    return "-" if weights is None or layer not in weights else f"{_plain(100 * weights[layer], 2)}%"


# Why


def _why(event: Rebalance, regime: Regime | None) -> Iterator[RenderableType]:
    if regime is None:
        yield _facts([("floors", _listed(event.floors_hit)), ("degraded", _listed(event.degraded))])
        yield Text("The regime that decided is not at hand: the parts of its score are not shown.")
        return
    yield _facts(_regime_facts(event, regime))
    if regime.score_parts:
        table = _table("score part", "value", "points", "weight", "adds", right=("value", "points", "weight", "adds"))
        for name, part in regime.score_parts.items():
            adds = f"{part.points * part.weight:.2f}"
            _row(table, name, f"{part.value:.4g}", f"{part.points:.1f}", f"{part.weight:.3f}", adds)
        yield table
    if regime.modifier_parts:
        yield _modifier(regime)


def _regime_facts(event: Rebalance, regime: Regime) -> Iterator[tuple[str, str]]:
    if regime.held:
        yield "state", f"held at {regime.state}: VIX is missing or stale"
    else:
        raw = "" if regime.raw is None else f"; by score, floors and cap alone {regime.raw}"
        yield "state", f"{regime.state}, before it {regime.state_prev}{raw}"
    if regime.score is not None and regime.core_score is not None:
        modifier = _signed(regime.modifier, 2)
        yield "score", f"{regime.score:.2f}, from a core of {regime.core_score:.2f} and a modifier of {modifier}"
    yield "floors", _listed(regime.floors_hit)
    if regime.cap is not None:
        yield "cap", f"at most {regime.cap}, because VIX is very low"
    if regime.below:
        yield "below", f"{regime.below} sessions in a row spoke for a lower state"
    yield "degraded", _listed(event.degraded)


def _modifier(regime: Regime) -> Table:
    """The parts of the modifier, the largest first; what is left of them in one line, so that all still add up."""
    table = _table(
        "modifier part", "value", "weight", "fades to", "adds", right=("value", "weight", "fades to", "adds")
    )
    parts = sorted(regime.modifier_parts.items(), key=lambda item: (-abs(item[1].points), item[0]))
    for name, part in parts[:_PARTS]:
        value, weight = _signed(part.value, 2), _signed(part.weight, 2)
        _row(table, name, value, weight, f"{part.decay:.2f}", _signed(part.points, 2))
    if rest := parts[_PARTS:]:
        _row(table, f"{len(rest)} more", "", "", "", _signed(sum(part.points for _, part in rest), 2))
    return table


# Which rule moved what


def _attribution(event: Rebalance) -> RenderableType:
    moves = attribute(event.vectors, digits=_SHOWN)
    if "held" not in event.vectors:
        last = layer_text({layer: event.targets[layer] for layer in event.targets})
        return Text(f"Nothing can be sized: all stays as it is, last advised {last}.")
    table = _table("rule", *LAYERS, right=LAYERS)
    for step in ORDER:
        changes = {move.layer: move.change for move in moves if move.rule == step}
        if changes:
            _row(table, _RULES.get(step, step), *(_points(changes.get(layer)) for layer in LAYERS))
    sums = total(moves)
    _row(table, "target less held", *(_points(sums.get(layer, 0.0)) for layer in LAYERS))
    rounded = {move.layer: move.change for move in attribute(event.vectors, ("target", "whole"), _SHOWN)}
    if rounded:
        _row(table, f"then {_RULES['whole']}", *(_points(rounded.get(layer)) for layer in LAYERS))
    return table


def _points(change: float | None) -> str:
    """A fraction of H in percentage points, signed; blank when nothing changed."""
    return "" if change is None else _signed(100 * change, _SHOWN - 2)


# Limits


def _limits(event: Rebalance) -> RenderableType:
    """Each limit before and after the trade, its bound, and how far away that is."""
    names = [name for name in event.limits if not _is_bound(name, event.limits)]
    if not names:
        return Text("None: nothing is sized.")
    before = _before(event)
    table = _table("limit", "before", "after", "bound", "headroom", right=("before", "after", "bound", "headroom"))
    for name in names:
        value, then = event.limits[name], before.get(name)
        most, least = event.limits.get(f"{name}_max"), event.limits.get(f"{name}_min")
        bound, headroom = "-", "-"
        if most is not None:
            bound, headroom = f"<= {_plain(most, 4)}", _headroom(most - value)
        elif least is not None:
            bound, headroom = f">= {_plain(least, 4)}", _headroom(value - least)
        shown = "-" if then is None else _plain(then, 4)
        _row(table, name.replace("_", " "), shown, _plain(value, 4), bound, headroom)
    return table


def _is_bound(name: str, limits: Mapping[str, float]) -> bool:
    return name[-4:] in ("_max", "_min") and name[:-4] in limits


def _headroom(left: float) -> str:
    return f"BEYOND by {_plain(-left, 4)}" if left < -EPSILON else _plain(max(left, 0.0), 4)


def _before(event: Rebalance) -> dict[str, float]:
    """The limits that follow from weights alone, of what is held before the trade."""
    held, whole = event.vectors.get("held"), event.vectors.get("whole")
    if held is None:
        return {}
    largest, used = max(held["L1"], held["L2"], held["L3"]), deployed(held)
    before = {"layer": largest, "theta": held["TT"], "reserve": held["R"], "gross": gross(held)}
    if used > EPSILON:
        before["share"] = largest / used
    # Exposure is proportional to what is deployed; the factor is that of the event's own figures.
    if whole is not None and abs(deployed(whole)) > EPSILON and "exposure" in event.limits:
        before["exposure"] = event.limits["exposure"] * abs(used / deployed(whole))
    return before


# What stands against it, when, and on what evidence


def _blocked(event: Rebalance, regime: Regime | None) -> RenderableType:
    if not event.blocked:
        return Text("Nothing is blocked.")
    return Group(
        Text("Nothing becomes larger; reductions stay possible. What would unblock adds:"),
        _facts((reason, _unblock(reason, regime)) for reason in event.blocked),
    )


def _unblock(reason: str, regime: Regime | None) -> str:
    kind, _, what = reason.partition(":")
    words = _UNBLOCKS.get(reason) or _UNBLOCKS.get(kind)
    if words is None:
        return "the end of that condition"
    freezes = regime.freezes if regime is not None and kind == "freeze" else ()
    ends = [freeze.until_ts for freeze in freezes if freeze.series_id == what]
    return words.format(what) + (f", {_time(max(ends))}" if ends else "")


def _when(event: Rebalance, timing: EffectiveWindow | None) -> RenderableType:
    facts = [("effective", f"from {_time(event.effective_ts)}")]
    if timing is None:
        facts.append(("window", "none worked out"))
    else:
        end = timing.until_ts
        facts += [("act from", _time(timing.from_ts)), ("act until", "no end" if end is None else _time(end))]
        facts += [(reason, _TIMING.get(reason, "")) for reason in timing.reasons]
    facts.append(("valid", "until a later rebalance of this portfolio replaces it"))
    return _facts(facts)


def _evidence(event: Rebalance) -> RenderableType:
    ids: Sequence[tuple[str, Digest]] = (
        ("event", event.event_id),
        ("regime", event.regime_event_id),
        ("calibration", event.calibration_digest),
        ("inputs", event.inputs_digest),
    )
    return _facts(ids)


# Numbers and words


def _time(ts: int) -> str:
    """UTC, and the time of day in New York: ``2018-02-05 21:15:00Z (16:15 New York)``."""
    local = datetime.fromtimestamp(ts // SECOND, UTC).astimezone(_NEW_YORK)
    return f"{format_ts(ts).replace('T', ' ')} ({local:%H:%M} New York)"


def _signed(value: float, places: int) -> str:
    text = f"{value:+.{places}f}"
    return text[1:] if float(text) == 0 else text


def _plain(value: float, places: int) -> str:
    """At most so many decimals, trailing zeros dropped, never -0."""
    text = f"{value:.{places}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"
