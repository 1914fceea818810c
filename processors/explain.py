"""One page that a trader reads: what a rebalance advises, why, which rule moved what, and what stands against it.

Everything comes from the event and from the regime that decided it; nothing of the strategy is computed again. Nothing
depends on colour: signs and words say it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Literal
from zoneinfo import ZoneInfo

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from processors.hedge.chain import MODEL
from processors.hedge.weights import EPSILON
from processors.view import layer_text, printable
from topics.message import LAYERS, Layer
from topics.rebalance import Package, Rebalance, Trade, Weights
from topics.regime import Regime
from topics.times import SECOND, format_ts

#: Columns of the plain text when none are asked for.
WIDTH: Final = 100
#: Columns that hold every table without cutting a number.
LEAST_WIDTH: Final = 72
#: Parts of the modifier shown, the largest first; the rest in one line.
_PARTS: Final = 6
#: Changes are shown in hundredths of a percentage point of H.
_GRID: Final = Decimal("0.01")
_NEW_YORK: Final = ZoneInfo("America/New_York")

_LAYER_NAMES: Final[Mapping[Layer, str]] = {
    "L1": "L1 base",
    "L2": "L2 pivot",
    "L3": "L3 convexity",
    "TT": "TT theta",
    "R": "R reserve",
}
_KINDS: Final[Mapping[str, str]] = {
    "future": "future",
    "note": "note",
    "call_spread": "call spread",
    "call": "call",
    "call_credit_spread": "call credit spread",
    "mixed": "mixed legs",
}
#: The steps of an event in plain words, by the name of the vector that each leads to.
_RULES: Final[Mapping[str, str]] = {
    "base": "table of the state",
    "tilted": "tilts of L1 (MACD, RSI)",
    "dragged": "drag on the return",
    "activated": "triggers of L3",
    "gated": "gate of TT",
    "levered": "second engine",
    "capped": "caps and reserve",
    "aim": "limit of exposure",
    "paced": "band and pace",
    "blocked": "blocks, shut layers",
    "limited": "caps, carry, premium of adds",
    "whole": "whole contracts, stress",
}
#: Limits in plain words; all but those of the last line are fractions, shown as percent.
_LIMITS: Final[Mapping[str, str]] = {
    "layer": "largest of L1, L2, L3, of H",
    "theta": "TT by its largest loss, of H",
    "reserve": "reserve, of H",
    "gross": "all layers, of H",
    "exposure": "beta dollars offset",
    "share": "largest layer, of what is deployed",
    "carry": "carry a year, of market value",
    "stress_share": "largest layer, of a stress loss",
    "stress_engine": "second engine's stress loss, of H",
    "quick_ratio": "quick ratio of liquidity",
}
_RATIOS: Final = frozenset({"quick_ratio"})
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
    "outside": "the sale of {}, for which the hedge has no layer",
    "curve": "a VX contract listed within that many days to expiry",
    "freeze": "the end of the window around {}",
}
#: The same for single layers; a reason of other words says itself which condition fails.
_OPENS: Final[Mapping[str, str]] = {
    "chain:missing": "an option chain: there is none",
    "chain:modelled": "a live option chain: there are modelled prices alone",
    "chain:stale": "a newer option chain",
    "state:high": "another state: in high no future is bought into the spike",
    "break_even": "more distance to the break-even of what is held, or its sale",
    "limits": "room under a cap or a stress limit: more of it would break one",
}
_ALERTS: Final[Mapping[str, str]] = {
    "carry:soft": "the carry is above the soft budget; adds go on up to the hard one",
    "break_even": "the future is about to cross, or has crossed, the break-even of {}",
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
_STUDY: Final = "*** STUDY: modelled prices: not to be acted on ***"
_ADVISORY: Final = "Advisory only: it informs and sends no orders. Educational, no investment advice."


def explain(event: Rebalance, regime: Regime | None) -> RenderableType:
    """The page of a rebalance.

    Args:
        event: the rebalance.
        regime: the regime that decided it, None when it is not at hand; then only what the event itself says of it.

    Raises:
        ValueError: another regime than the one that decided.
    """
    if regime is not None and regime.event_id != event.regime_event_id:
        raise ValueError(f"regime {regime.event_id} did not decide this rebalance, {event.regime_event_id} did")
    return Group(
        *_head(event),
        *_section("WHAT TO DO", *_packages(event), _weights(event), *_at_risk(event)),
        *_section("WHY", *_why(event, regime)),
        *_section("WHICH RULE MOVED WHAT, percentage points of H", _attribution(event)),
        *_section("LIMITS", _limits(event)),
        *_section("STRESS", _stress(event)),
        *_section("BLOCKED, SHUT, ALERTS", *_against(event, regime)),
        *_section("WHEN", _when(event)),
        *_section("EVIDENCE", _evidence(event)),
        Text(),
        Text(_ADVISORY),
    )


def explain_text(event: Rebalance, regime: Regime | None, width: int = WIDTH) -> str:
    """The page as plain text, at most ``width`` columns wide; arguments and errors as in `explain`.

    ValueError also when ``width`` is less than :data:`LEAST_WIDTH`.
    """
    if width < LEAST_WIDTH:
        raise ValueError(f"width must be at least {LEAST_WIDTH}, got {width!r}")
    screen = Console(
        file=io.StringIO(), width=width, color_system=None, force_terminal=False, force_jupyter=False, _environ={}
    )
    with screen.capture() as captured:
        screen.print(explain(event, regime), highlight=False, markup=False, emoji=False)
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
        table.add_row(Text(printable(name)), Text(printable(words)))
    return table


def _head(event: Rebalance) -> Iterator[RenderableType]:
    yield Text(printable(f"REBALANCE of {event.portfolio_id}, {event.market}, session {event.session_date}"), "bold")
    if event.status == "study":
        yield Text(_STUDY, "bold red")
    moved = event.state if event.state == event.state_prev else f"{event.state_prev} -> {event.state}"
    score = "no score" if event.score is None else f"score {event.score:.1f}"
    yield _facts(
        [
            ("state", f"{moved.upper()}, {score}"),
            ("decided", f"{_time(event.event_ts)}; cause: {_TRIGGERS[event.trigger]}"),
            ("policy", event.policy),
            ("hedge", _hedge(event)),
            ("status", _status(event)),
        ]
    )


def _hedge(event: Rebalance) -> str:
    if event.hedge_notional is None:
        return "H cannot be sized while beta is missing"
    words = f"H {event.hedge_notional:,.0f} USD"
    if event.beta is not None:
        words += f", beta {event.beta:.3g} ({event.beta_source or 'of no stated source'})"
    if event.beta_ols is not None:
        words += f", least squares {event.beta_ols:.3g}"
    if event.h_scale != 1.0:
        words += f", scaled by {event.h_scale:.3g} for the cost of capital"
    return f"{words}, kappa {event.kappa:.3g}"


def _status(event: Rebalance) -> str:
    count = event.approvals_required
    needs = "needs no approval" if not count else f"needs {count} approval{'' if count == 1 else 's'}"
    extra = {"study": "; no price here was quoted by anybody", "reduce_only": "; reductions only"}
    return f"{event.status}, {needs}{extra.get(event.status, '')}"


# What to do


def _packages(event: Rebalance) -> Iterator[RenderableType]:
    """Each package with its legs, the columns of all of them aligned."""
    if not event.trades:
        yield Text("No contracts to trade.")
        return
    cells = [_leg(event, leg) for leg in event.trades]
    widths = [max(map(len, column)) for column in zip(_LEG, *cells, strict=True)]
    for number, package in enumerate(event.packages):
        legs = [leg for leg, trade in zip(cells, event.trades, strict=True) if trade.package == number]
        yield Text(printable(_package(event, package)), "bold")
        yield Padding(Text(printable(_terms(package))), (0, 0, 0, 2))
        yield Padding(_legs([_LEG, *legs] if number == 0 else legs, widths), (0, 0, 0, 2))
    loose = [leg for leg, trade in zip(cells, event.trades, strict=True) if trade.package >= len(event.packages)]
    if loose:
        yield Text("Legs of no package", "bold")
        yield Padding(_legs([_LEG, *loose], widths), (0, 0, 0, 2))


def _package(event: Rebalance, package: Package) -> str:
    what = _KINDS[package.kind] + ("" if package.units == 1 or package.kind == "mixed" else "s")
    units = f"{package.units} " if package.units else ""
    why = "modelled prices" if event.chain_source == MODEL else "a leg without a quote to deal on"
    deal = "" if package.executable else f"; NOT EXECUTABLE: {why}"
    return f"{package.action.upper()} {units}{what}, {package.layer}{deal}"


def _terms(package: Package) -> str:
    terms: list[str] = []
    if package.debit is not None:
        side = "credit" if package.debit < 0 else "debit"
        terms.append(f"{side} {_plain(abs(package.debit), 4)}")
    if package.max_loss is not None:
        gain = "not bounded" if package.max_gain is None else f"{package.max_gain:,.0f} USD"
        terms.append(f"largest loss {package.max_loss:,.0f} USD, largest gain {gain}")
    if package.break_even is not None:
        terms.append(f"break-even {_plain(package.break_even, 4)}")
    return "; ".join([", ".join(terms), package.reason] if terms else [package.reason])


_Leg = tuple[str, str, str, str, str, str, str]
_LEG: Final[_Leg] = ("do", "contract", "days", "held -> target", "limit", "mark", "delta gamma vega theta")
#: Columns of numbers, flush right, and those that may be broken into lines.
_NUMBERS: Final = frozenset({"days", "limit", "mark"})
_FOLDED: Final = frozenset({"held -> target", "delta gamma vega theta"})


def _leg(event: Rebalance, leg: Trade) -> _Leg:
    return (
        f"{leg.side.upper()} {leg.quantity}",
        leg.symbol,
        "-" if leg.expiry is None else f"{(leg.expiry - event.session_date).days:d}",
        f"{leg.held} -> {leg.target}",
        "-" if leg.limit is None else _plain(leg.limit, 4),
        f"{leg.price:.4g}",
        _greeks(leg),
    )


def _greeks(leg: Trade) -> str:
    """Of one contract, USD; of a future, which moves with nothing else, delta alone."""
    if leg.greeks is None:
        return "-"
    its = leg.greeks
    if its.gamma == its.vega == its.theta == 0.0:
        return f"{its.delta:.3g}" if abs(its.delta) < 1000 else f"{its.delta:.0f}"
    return " ".join(f"{number:.3g}" for number in (its.delta, its.gamma, its.vega, its.theta))


def _legs(rows: Sequence[_Leg], widths: Sequence[int]) -> Table:
    """Legs of one package. Every cell is as wide as the widest of all packages, so that their columns line up."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    for name in _LEG:
        table.add_column(no_wrap=name not in _FOLDED, overflow="fold")
    for row in rows:
        cells = zip(_LEG, row, widths, strict=True)
        _row(table, *(cell.rjust(n) if name in _NUMBERS else cell.ljust(n) for name, cell, n in cells))
    return table


def _weights(event: Rebalance) -> RenderableType:
    """Weights of H by layer, held where it is known, the days to expiry, and the tenor in which each is opened."""
    numbers = ("held", "aim", "target", "whole", "days", "after")
    table = _table("layer, % of H", *numbers, "opened at days", right=numbers)
    vectors = (event.vectors.get("held"), event.vectors.get("aim"), event.targets, event.vectors.get("whole"))
    for layer in LAYERS:
        window = event.windows.get(layer)
        tenor = ""
        if window is not None:
            most = " and more" if window.dte_max is None else f" to {window.dte_max}"
            tenor = f"{window.dte_min}{most}, aim {window.dte_target}"
        cells = [_share(weights, layer) for weights in vectors]
        days = (_days(event.dte_before.get(layer)), _days(event.dte.get(layer)))
        _row(table, _LAYER_NAMES[layer], *cells, *days, tenor)
    return table


def _share(weights: Weights | None, layer: Layer) -> str:
    return "-" if weights is None or layer not in weights else f"{_plain(100 * weights[layer], 2)}%"


def _days(days: float | None) -> str:
    return "" if days is None else f"{days:.0f}"


def _at_risk(event: Rebalance) -> Iterator[RenderableType]:
    if event.premium_at_risk:
        listed = ", ".join(f"{layer} {usd:,.0f} USD" for layer, usd in event.premium_at_risk.items())
        yield Text(f"Premium at risk after the trade: {listed}.")


# Why


def _why(event: Rebalance, regime: Regime | None) -> Iterator[RenderableType]:
    if regime is None:
        yield _facts([("floors", _listed(event.floors_hit)), ("degraded", _listed(event.degraded)), *_gates(event)])
        yield Text("The regime that decided is not at hand: the parts of its score are not shown.")
        return
    yield _facts([*_regime_facts(event, regime), *_gates(event)])
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
        spoke = "1 session spoke" if regime.below == 1 else f"{regime.below} sessions in a row spoke"
        yield "below", f"{spoke} for a lower state"
    yield "degraded", _listed(event.degraded)


def _gates(event: Rebalance) -> Iterator[tuple[str, str]]:
    """What the switches of Layer 3, Temporal Theta and the second engine did, as the vectors around them show it."""
    before, active, gated, levered = (event.vectors.get(n) for n in ("dragged", "activated", "gated", "levered"))
    if before is None or active is None or gated is None or levered is None:
        return
    if active["L3"] < before["L3"] - EPSILON:
        least = f"{_plain(100 * active['L3'], 2)}% of H instead of {_plain(100 * before['L3'], 2)}%"
        yield "L3", f"no trigger is on: {least}"
    elif before["L3"] > EPSILON:
        yield "L3", "a trigger is on, by beta or by dividends"
    if gated["TT"] < active["TT"] - EPSILON:
        yield "TT", "its gate is shut, see below"
    elif active["TT"] > EPSILON:
        yield "TT", "its gate is open" if "TT" not in event.shut else "shut to adds, see below"
    added = sum(levered[layer] - gated[layer] for layer in ("L2", "L3"))
    if added > EPSILON:
        yield "engine", f"the second engine adds {_plain(100 * added, 2)}% of H to L2 and L3"


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
    """The moves of the event, on a grid of hundredths of a point: the lines add up exactly to the last one."""
    if not event.attribution:
        if "held" in event.vectors:
            return Text("Nothing moved.")
        last = layer_text({layer: event.targets[layer] for layer in event.targets})
        return Text(f"Nothing can be sized: all stays as it is, last advised {last}.")
    table = _table("rule", *LAYERS, right=LAYERS)
    exact: dict[Layer, Decimal] = dict.fromkeys(LAYERS, Decimal(0))
    shown: dict[Layer, Decimal] = dict.fromkeys(LAYERS, Decimal(0))
    for rule in dict.fromkeys(move.rule for move in event.attribution):
        cells: dict[Layer, str] = {}
        for move in event.attribution:
            if move.rule == rule:
                exact[move.layer] += 100 * Decimal(repr(move.change))
                step = exact[move.layer].quantize(_GRID) - shown[move.layer]
                shown[move.layer] += step
                cells[move.layer] = f"{step:+f}" if step else ""
        if any(cells.values()):
            _row(table, _RULES.get(rule, rule), *(cells.get(layer, "") for layer in LAYERS))
    _row(table, "whole less held", *(f"{total:+f}" if total else "0.00" for total in shown.values()))
    return table


# Limits and stress


def _limits(event: Rebalance) -> RenderableType:
    """Each limit before and after the trade, its bound, and how far away that is."""
    names = [name for name in event.limits if not _is_bound(name, event.limits)]
    if not names:
        return Text("None: nothing is sized.")
    numbers = ("before", "after", "bound", "headroom")
    table = _table("limit", *numbers, right=numbers)
    for name in [*(name for name in _LIMITS if name in names), *(name for name in names if name not in _LIMITS)]:
        value, then = event.limits[name], event.limits_before.get(name)
        most, least = event.limits.get(f"{name}_max"), event.limits.get(f"{name}_min")
        bound, headroom = "-", "-"
        if most is not None:
            bound, headroom = f"<= {_amount(name, most)}", _headroom(name, most - value)
        elif least is not None:
            bound, headroom = f">= {_amount(name, least)}", _headroom(name, value - least)
        shown = "-" if then is None else _amount(name, then)
        _row(table, _LIMITS.get(name, name.replace("_", " ")), shown, _amount(name, value), bound, headroom)
    return table


def _is_bound(name: str, limits: Mapping[str, float]) -> bool:
    return name[-4:] in ("_max", "_min") and name[:-4] in limits


def _amount(name: str, value: float) -> str:
    percent = name in _LIMITS and name not in _RATIOS
    return f"{_plain(100 * value, 2)}%" if percent else _plain(value, 4)


def _headroom(name: str, left: float) -> str:
    return f"BEYOND by {_amount(name, -left)}" if left < -EPSILON else _amount(name, max(left, 0.0))


def _stress(event: Rebalance) -> RenderableType:
    if not event.stress:
        return Text("None: nothing is held after the trade, or it cannot be valued.")
    h = event.hedge_notional
    table = _table("scenario", "P&L, USD", "of H", right=("P&L, USD", "of H"))
    for name, usd in sorted(event.stress.items()):
        of_h = "-" if not h else f"{_signed(100 * usd / h, 1)}%"
        _row(table, name.replace("_", " "), f"{usd:+,.0f}", of_h)
    return table


# What stands against it, when, and on what evidence


def _against(event: Rebalance, regime: Regime | None) -> Iterator[RenderableType]:
    if event.blocked:
        yield Text("Blocked: nothing becomes larger; reductions stay possible. What would unblock adds:")
        yield _listing((reason, _unblock(reason, regime)) for reason in event.blocked)
    else:
        yield Text("Nothing is blocked as a whole.")
    if event.shut:
        yield Text("Shut: these layers are not added to. What would open them:")
        yield _listing(_shut(event))
    if event.alerts:
        yield Text("Alerts:")
        yield _listing((alert, _alert(alert)) for alert in event.alerts)


def _listing(facts: Iterable[tuple[str, str]]) -> RenderableType:
    return Padding(_facts(facts), (0, 0, 0, 2))


def _unblock(reason: str, regime: Regime | None) -> str:
    kind, _, what = reason.partition(":")
    words = _UNBLOCKS.get(reason) or _UNBLOCKS.get(kind)
    if words is None:
        return "the end of that condition"
    freezes = regime.freezes if regime is not None and kind == "freeze" else ()
    ends = [freeze.until_ts for freeze in freezes if freeze.series_id == what]
    return words.format(what) + (f", {_time(max(ends))}" if ends else "")


def _shut(event: Rebalance) -> Iterator[tuple[str, str]]:
    for layer in LAYERS:
        reasons = event.shut.get(layer, ())
        yield from ((f"{layer} {reason}", _OPENS[reason]) for reason in reasons if reason in _OPENS)
        if rest := [reason for reason in reasons if reason not in _OPENS]:
            yield layer, f"the end of {'this' if len(rest) == 1 else 'all of this'}: {'; '.join(rest)}"


def _alert(alert: str) -> str:
    kind, _, what = alert.partition(":")
    return (_ALERTS.get(alert) or _ALERTS.get(kind, "")).format(what)


def _when(event: Rebalance) -> RenderableType:
    until = event.effective_until_ts
    facts = [
        ("act from", _time(event.effective_ts)),
        ("act until", "no flow and no blackout ends it" if until is None else _time(until)),
        *((reason, _TIMING.get(reason, "")) for reason in event.timing),
        ("void after", f"{_time(event.valid_until_ts)}, or once a later rebalance replaces it"),
    ]
    return _facts(facts)


def _evidence(event: Rebalance) -> RenderableType:
    facts = [
        ("event", event.event_id),
        ("regime", event.regime_event_id),
        ("calibration", event.calibration_digest),
        ("inputs", event.inputs_digest),
    ]
    if event.chain_source is not None:
        at = "" if event.chain_ts is None else f", {_time(event.chain_ts)}"
        modelled = " (a model: nobody quoted these options)" if event.chain_source == MODEL else ""
        facts.append(("options", f"{event.chain_source}{modelled}{at}"))
    return _facts(facts)


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
