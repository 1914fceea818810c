"""The terminal view of a running demo: regime, score, curve, layers, contracts, events and rates on one screen."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from rich.align import Align
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from topics.catalog import ALERTS, HEDGE_REBALANCES, REGIME_STATES, REGIME_TRANSITIONS
from topics.message import LAYERS

STATE_STYLES: Final = {"low": "green", "moderate": "yellow", "elevated": "dark_orange", "high": "bold red"}
_BADGES: Final = {
    "low": "black on green",
    "moderate": "black on yellow",
    "elevated": "black on dark_orange",
    "high": "bold white on red",
}
_LAYER_STYLES: Final = {"L1": "cyan", "L2": "blue", "L3": "magenta", "TT": "yellow", "R": "bright_black"}
_LAYER_NAMES: Final = {"L1": "L1 base", "L2": "L2 pivot", "L3": "L3 convexity", "TT": "TT theta", "R": "R reserve"}

WIDTH: Final = 110
_HISTORY: Final = 46
_EVENTS: Final = 7
_CURVE_ROWS: Final = 5
_CUTS: Final = (27.5, 47.5, 70.0)
_LEVELS: Final = " ▁▂▃▄▅▆▇█"


def printable(text: str) -> str:
    """``text`` with control characters written out, so that nothing in a message can steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def layer_text(weights: Mapping[str, float]) -> str:
    """Weights as ``L1 20% L2 25% ...``."""
    return " ".join(f"{layer} {100 * weights.get(layer, 0.0):.0f}%" for layer in LAYERS)


def trades_text(trades: Sequence[Mapping[str, Any]]) -> str:
    """Trades as ``buy 3 VX/2018-03-21 (L1), ...``."""
    words = (f"{t['side']} {t['quantity']} {t['symbol']} ({t['layer']})" for t in trades)
    return printable(", ".join(words)) or "no trade"


_KINDS: Final = {
    "future": "future",
    "note": "note",
    "call_spread": "call spread",
    "call": "call",
    "call_credit_spread": "call credit spread",
}


def packages_text(document: Mapping[str, Any]) -> str:
    """The packages of a rebalance as ``L1 roll 7 futures, L2 open 161 call spreads, ...``."""
    words = []
    for number, package in enumerate(document["packages"]):
        legs = [trade["quantity"] for trade in document["trades"] if trade["package"] == number]
        units = package["units"] or math.gcd(*legs)
        kind = _KINDS.get(package["kind"])
        what = "legs" if kind is None else kind if units == 1 else f"{kind}s"
        words.append(f"{package['layer']} {package['action']} {units} {what}")
    return printable(", ".join(words)) or "no trade"


def study_text(document: Mapping[str, Any]) -> str:
    """``study: `` before what rests on modelled prices, else nothing."""
    return "study: " if document["status"] == "study" else ""


def sparkline(values: Iterable[float]) -> str:
    """Values as blocks, from the lowest to the highest of them."""
    series = list(values)
    if not series:
        return ""
    low, high = min(series), max(series)
    span = high - low or 1.0
    return "".join(_LEVELS[1 + int(7 * (value - low) / span)] for value in series)


class View:
    """What the screen shows, from the messages of the output topics as they come.

    Everything is taken from messages; the view computes nothing of the strategy.
    """

    def __init__(self) -> None:
        self.regime: dict[str, Any] | None = None
        self.rebalance: dict[str, Any] | None = None
        self.held: dict[tuple[str, str], int] = {}
        self.vix: deque[float] = deque(maxlen=_HISTORY)
        self.ratio: deque[float] = deque(maxlen=_HISTORY)
        self.events: deque[Text] = deque(maxlen=_EVENTS)
        self.rates = ""
        self.phase = "starting"

    def take(self, topic: str, document: dict[str, Any], *, quiet: bool = False) -> None:
        """Take up one message; ``quiet``: it makes no line among the events."""
        if topic == REGIME_STATES:
            self._regime(document)
        elif topic == HEDGE_REBALANCES:
            self._rebalance(document)
        if not quiet:
            line = event_line(topic, document)
            if line is not None:
                self.events.append(line)

    def _regime(self, document: dict[str, Any]) -> None:
        self.regime = document
        features = document["features"]
        for series, name in ((self.vix, "vix"), (self.ratio, "ratio")):
            if name in features:
                series.append(float(features[name]))
        today = date.fromisoformat(document["session_date"])
        self.held = {key: count for key, count in self.held.items() if _expiry(key[1]) > today}

    def _rebalance(self, document: dict[str, Any]) -> None:
        self.rebalance = document
        for trade in document["trades"]:
            key = (trade["layer"], trade["symbol"])
            self.held[key] = trade["target"]
            if not trade["target"]:
                del self.held[key]

    # The screen

    def render(self) -> RenderableType:
        """The whole screen, :data:`WIDTH` columns wide."""
        left = Group(self._score_panel(), self._curve_panel())
        right = Group(self._layers_panel(), self._held_panel())
        columns = Table.grid(expand=False, padding=0)
        columns.add_column(width=56)
        columns.add_column(width=WIDTH - 56)
        columns.add_row(left, right)
        footer = Text.assemble((f" {self.rates}", "dim"))
        return Group(self._head(), columns, self._events_panel(), footer)

    def _head(self) -> RenderableType:
        day = self.regime["session_date"] if self.regime else "----------"
        state = self.regime["state"] if self.regime else ""
        badge = Text(f"  {state.upper() or '...':^10}  ", style=_BADGES.get(state, "dim"))
        head = Table.grid(expand=True)
        head.add_column(ratio=1)
        head.add_column(justify="center", ratio=1)
        head.add_column(justify="right", ratio=1)
        head.add_row(Text(f" {day}", style="bold"), badge, Text(f"{self.phase} ", style="dim"))
        words = "educational, no investment advice; a study: VX curve, VIX3M and option prices are modelled"
        note = Align.center(Text(words, style="dim"))
        return Panel(Group(head, note), title="alvh  adaptive layered VIX hedge", width=WIDTH)

    def _score_panel(self) -> Panel:
        features = self.regime["features"] if self.regime else {}
        score = self.regime.get("score") if self.regime else None
        state = self.regime["state"] if self.regime else ""
        table = Table.grid(padding=(0, 1))
        table.add_column(width=5)
        table.add_column(justify="right", width=6)
        table.add_column()
        table.add_row("score", _figure(score, 1), _score_bar(score, STATE_STYLES.get(state, "white"), 38))
        table.add_row("VIX", _figure(features.get("vix"), 2), Text(sparkline(self.vix)[-38:], style="red"))
        table.add_row("ratio", _figure(features.get("ratio"), 3), Text(sparkline(self.ratio)[-38:], style="cyan"))
        rsi, rv = (_figure(features.get(name), 1) for name in ("rsi14", "rv21"))
        table.add_row("SPX", _figure(features.get("spx"), 0), Text(f"RSI {rsi}   RV21 {rv} %", style="dim"))
        return Panel(table, title="regime", title_align="left", width=56, height=6)

    def _curve_panel(self) -> Panel:
        curve = self.regime["curve"][:8] if self.regime else []
        prices = [float(point["price"]) for point in curve]
        rows: list[Text] = []
        if prices:
            low, high = min(prices), max(prices)
            base, span = low - 0.25 * (high - low or 1), 1.25 * (high - low or 1)
            style = "red" if len(prices) > 1 and prices[0] > prices[1] else "green"
            for level in range(_CURVE_ROWS - 1, -1, -1):
                cells = (_cell((price - base) / span * _CURVE_ROWS - level) for price in prices)
                rows.append(Text("".join(f" {cell * 4} " for cell in cells), style=style))
            rows.append(Text("".join(f"{price:^6.1f}" for price in prices)))
            rows.append(Text("".join(f"{_month(point['symbol']):^6}" for point in curve), style="dim"))
        title = "VX curve, modelled"
        if len(prices) > 1:
            title += ", inverted" if prices[0] > prices[1] else ", contango"
        return Panel(Group(*rows), title=title, title_align="left", width=56, height=_CURVE_ROWS + 4)

    def _layers_panel(self) -> Panel:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=12)
        table.add_column(justify="right", width=4)
        table.add_column()
        targets = self.rebalance["targets"] if self.rebalance else {}
        for layer in LAYERS:
            weight = float(targets.get(layer, 0.0))
            bar = Text("█" * round(weight * 30), style=_LAYER_STYLES[layer])
            table.add_row(_LAYER_NAMES[layer], f"{100 * weight:.0f}%", bar)
        title = "layers, share of hedge notional"
        return Panel(table, title=title, title_align="left", width=WIDTH - 56, height=7)

    def _held_panel(self) -> Panel:
        table = Table.grid(padding=(0, 2))
        for layer in LAYERS:
            for what, symbols in (("futures", "VX/"), ("calls", "VIX/")):
                counts = {s: n for (of, s), n in self.held.items() if of == layer and s.startswith(symbols)}
                if counts:
                    table.add_row(Text(layer, style=_LAYER_STYLES[layer]), _long_short(counts), what, _tenors(counts))
        body: RenderableType = table if self.held else Text("nothing yet", style="dim")
        return Panel(body, title="contracts, as if filled", title_align="left", width=WIDTH - 56, height=8)

    def _events_panel(self) -> Panel:
        lines = [*self.events, *[Text("")] * (_EVENTS - len(self.events))]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Panel(Group(*lines), title="events", title_align="left", width=WIDTH, height=_EVENTS + 2)


def event_line(topic: str, document: dict[str, Any]) -> Text | None:
    """A message as one line of the event list; None for what is shown elsewhere."""
    if topic == REGIME_TRANSITIONS:
        vix = document["features"].get("vix")
        return Text.assemble(
            (document["event_ts"][:10], "dim"),
            "  regime     ",
            (document["state_prev"], STATE_STYLES.get(document["state_prev"], "")),
            " -> ",
            (document["state"], STATE_STYLES.get(document["state"], "")),
            f"  score {_figure(document.get('score'), 1)}  VIX {_figure(vix, 2)}",
            ("  " + " ".join(document["floors_hit"][:2]), "dim"),
        )
    if topic == HEDGE_REBALANCES:
        words = f"{study_text(document)}{layer_text(document['targets'])}; {packages_text(document)}"
        return Text.assemble((document["event_ts"][:10], "dim"), "  rebalance  ", words)
    if topic == ALERTS and document["severity"] == "critical" and document["kind"] not in ("transition", "rebalance"):
        return Text.assemble(
            (document["event_ts"][:10], "dim"), "  ", ("alert", "bold red"), "      ", printable(document["summary"])
        )
    return None


def _figure(value: Any, places: int) -> str:
    return "-" if value is None else f"{float(value):.{places}f}"


def _score_bar(score: Any, style: str, width: int) -> Text:
    filled = 0 if score is None else round(float(score) / 100 * width)
    bar = Text("█" * filled, style=style) + Text("─" * (width - filled), style="bright_black")
    for cut in _CUTS:
        at = int(cut / 100 * width)
        if at >= filled:
            bar.stylize("white", at, at + 1)
    return bar


def _cell(level: float) -> str:
    return _LEVELS[max(0, min(8, round(level * 8)))]


def _long_short(counts: Mapping[str, int]) -> Text:
    bought = sum(count for count in counts.values() if count > 0)
    sold = sum(count for count in counts.values() if count < 0)
    words = [f"{total:+,}" for total in (bought, sold) if total]
    return Text(" ".join(words), justify="right")


def _tenors(counts: Mapping[str, int]) -> str:
    first, last = (f"{pick(map(_expiry, counts)):%b %Y}" for pick in (min, max))
    return first if first == last else f"{first[:3] if first[3:] == last[3:] else first} to {last}"


def _month(symbol: str) -> str:
    return _expiry(symbol).strftime("%b") if "/" in symbol else symbol[:5]


def _expiry(symbol: str) -> date:
    parts = symbol.split("/")
    return date.fromisoformat(parts[1]) if len(parts) > 1 else date.max


#: rich's own page for a screen as SVG, without the fonts that it would fetch from the network.
SVG_FORMAT: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
  <style>
  .{unique_id}-matrix {{
    font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
    font-variant-east-asian: full-width;
  }}
  .{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
  {styles}
  </style>
  <defs>
  <clipPath id="{unique_id}-clip-terminal">
    <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
  </clipPath>
  {lines}
  </defs>
  {chrome}
  <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
  {backgrounds}
  <g class="{unique_id}-matrix">
  {matrix}
  </g>
  </g>
</svg>
"""
