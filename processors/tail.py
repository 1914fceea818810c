"""What a topic holds, for a person: one line a record."""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from processors.errors import UserError
from processors.stream.log import Cluster, Record, TopicPartition
from processors.view import STATE_STYLES, layer_text, printable, trades_text
from topics.catalog import (
    ALERTS,
    ALL_TOPICS,
    DEAD_LETTERS,
    HEDGE_REBALANCES,
    HEDGE_REGIMES,
    MACRO_RELEASES,
    MARKET_TICKS,
    PORTFOLIO_SNAPSHOTS,
    REGIME_MARKS,
    REGIME_STATES,
    REGIME_TRANSITIONS,
)
from topics.codec import decode_market
from topics.dead_letter import Refused
from topics.ticks import TickColumns
from topics.times import format_ts

#: Records shown when no count is given.
LAST: Final = 10
_NAP: Final = 0.25
_SEVERITIES: Final = {"info": "cyan", "warning": "yellow", "critical": "bold red"}
_LONGEST: Final = 160


def tail(
    topic: str,
    cluster: Cluster,
    *,
    follow: bool = False,
    count: int | None = None,
    raw: bool = False,
    from_beginning: bool = False,
    console: Console | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Show the newest ``count`` records of a topic (10), and with ``follow`` every one that comes. Returns how many.

    ``from_beginning`` starts with the oldest record instead, and ends after ``count`` when that is given. ``raw``
    writes the values as they are: JSON, and the rows of a tick block one JSON document a line. Records of several
    partitions come in the order of the log's own time.

    Raises UserError, with the topics that there are, when there is none of that name.
    """
    screen = console or Console()
    partitions = partitions_of(topic, cluster)
    shown = 0
    following = _Following(cluster, partitions)
    batch = following.new() if from_beginning else following.newest(LAST if count is None else count)
    while True:
        for record in batch:
            if from_beginning and count is not None and shown >= count:
                return shown
            for line in _raw(record) if raw else [line_of(record)]:
                if isinstance(line, Text):
                    screen.print(line, soft_wrap=True)
                else:
                    screen.out(printable(line) if screen.is_terminal else line, highlight=False)
            shown += 1
        if not follow or stop() or (from_beginning and count is not None and shown >= count):
            return shown
        time.sleep(_NAP)
        batch = following.new()


def partitions_of(topic: str, cluster: Cluster) -> list[TopicPartition]:
    """The partitions of a topic. UserError, with the topics that there are, when there is none of that name."""
    if topic in (named := cluster.topics((topic,))):
        return [TopicPartition(topic, number) for number in range(named[topic])]
    there = cluster.topics()
    listed = ", ".join(sorted(there)) or "none yet: feed something first, or create the topics"
    near = difflib.get_close_matches(topic, sorted(there), n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    known = " It is a topic of this system, but this log does not have it yet." if topic in ALL_TOPICS else ""
    raise UserError(f"there is no topic {topic!r}.{hint}{known} Topics of this log: {listed}.")


class _Following:
    """How far each partition has been read."""

    def __init__(self, cluster: Cluster, partitions: list[TopicPartition]) -> None:
        self._cluster = cluster
        self._next = dict.fromkeys(partitions, 0)
        self._seen = dict.fromkeys(partitions, -1)

    def newest(self, count: int) -> list[Record]:
        """The last ``count`` records of all partitions together."""
        found: list[Record] = []
        for tp in self._next:
            end = self._cluster.end_offset(tp)
            back = 2 * count + 8  # some offsets hold no record
            while True:
                start = max(end - back, 0)
                records = list(self._cluster.read(tp, start))
                if len(records) >= count or start == 0:
                    break
                back *= 4
            found += records[-count:] if count else []
            self._next[tp] = records[-1].offset + 1 if records else end
        return _ordered(found)[-count:] if count else []

    def new(self) -> list[Record]:
        """Records that have come since the last call."""
        found: list[Record] = []
        for tp, start in self._next.items():
            end = self._cluster.end_offset(tp)
            if end == self._seen[tp]:
                continue
            self._seen[tp] = end
            records = list(self._cluster.read(tp, start))
            if records:
                self._next[tp] = records[-1].offset + 1
            found += records
        return _ordered(found)


def _ordered(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.timestamp, record.partition, record.offset))


def _raw(record: Record) -> Iterator[str]:
    if record.value is None:
        yield "null"
        return
    try:
        body = decode_market(record.value, record.headers) if record.topic == MARKET_TICKS else None
    except Refused:
        body = None
    if isinstance(body, TickColumns):
        for row in range(len(body)):
            yield body.row_bytes(row).decode()
    else:
        yield record.value.decode(errors="replace")


# One line a record


def line_of(record: Record) -> Text:
    """A record as one line for a person; what it does not know it shows as it is."""
    if record.value is None:
        return Text(f"{_key(record)}: removed", style="dim")
    if record.topic == MARKET_TICKS:
        return _ticks(record)
    try:
        document = json.loads(record.value)
    except ValueError:
        document = None
    make = _LINES.get(record.topic)
    if make is not None and isinstance(document, dict):
        try:
            return make(document)
        except (KeyError, TypeError, ValueError):
            return _plain(record)
    return _plain(record)


def _plain(record: Record) -> Text:
    text = printable((record.value or b"").decode(errors="replace"))
    return Text.assemble((_key(record), "bold"), " ", text)


def _key(record: Record) -> str:
    return printable((record.key or b"-").decode(errors="replace"))


def _when(text: str) -> tuple[str, str]:
    return printable(text.replace("T", " ")), "dim"


def _state(name: str) -> tuple[str, str]:
    return f"{name.upper():<8}", STATE_STYLES.get(name, "bold")


def _number(name: str, value: Any, places: int) -> str:
    return f"  {name} {float(value):.{places}f}" if value is not None else f"  {name} -"


def _ticks(record: Record) -> Text:
    try:
        body = decode_market(record.value, record.headers)
    except Refused as refused:
        return Text.assemble(("unreadable ", "red"), printable(f"{refused.reason}: {refused.detail}"[:_LONGEST]))
    if isinstance(body, TickColumns):
        first, last = (format_ts(int(ts)) for ts in (body.event_ts[0], body.event_ts[-1]))
        bad = int(body.invalid.sum())
        words = f"  block of {len(body)} ticks, {len(body.symbols)} symbols, to {last}"
        return Text.assemble(_when(first), f"  {body.market}", words, (f"  {bad} invalid" if bad else "", "red"))
    document = body.document()
    if "watermark_ts" in document:
        return Text.assemble(_when(document["watermark_ts"]), f"  {document['market']}  watermark")
    skipped = ("schema_version", "symbol", "event_ts", "market", "source", "official", "recv_ts")
    values = "  ".join(f"{name} {value}" for name, value in document.items() if name not in skipped)
    official = "  official" if document["official"] else ""
    head = f"  {document['market']}  {document['symbol']:<16}"
    return Text.assemble(_when(document["event_ts"]), head, values, official, (f"  {document['source']}", "dim"))


def _release(document: dict[str, Any]) -> Text:
    figures = "  ".join(f"{name} {document[name]}" for name in ("actual", "consensus") if name in document)
    head = f"  {document['market']}  {document['series_id']} of {document['ref_period']}  "
    return Text.assemble(_when(document["release_ts"]), printable(head), figures or "no figure")


def _portfolio(document: dict[str, Any]) -> Text:
    held = ", ".join(f"{p['quantity']} {p['symbol']}" for p in document.get("positions", ())) or "nothing"
    words = f"  market value {document['mv']}  beta {document.get('beta', '-')}  holds {held}"
    return Text.assemble(
        _when(document["as_of"]), "  ", (printable(document["portfolio_id"]), "bold"), printable(words)
    )


def _regime(document: dict[str, Any]) -> Text:
    features = document["features"]
    text = Text.assemble(
        _when(document["event_ts"]),
        f"  {document['market']}  {document['kind']:<5}  ",
        _state(document["state"]),
        _number("score", document.get("score"), 1),
        _number("VIX", features.get("vix"), 2),
        _number("ratio", features.get("ratio"), 3),
        _number("RV21", features.get("rv21"), 1),
        _number("VVIX", features.get("vvix"), 1),
    )
    if document["held"]:
        text.append("  held", style="magenta")
    if document["floors_hit"]:
        text.append("  " + " ".join(document["floors_hit"]), style="dim")
    if document["degraded"]:
        text.append("  degraded " + " ".join(document["degraded"]), style="magenta")
    return text


def _hedge_input(document: dict[str, Any]) -> Text:
    return _chain(document) if "expiries" in document else _regime(document)


def _chain(document: dict[str, Any]) -> Text:
    expiries = document["expiries"]
    strikes = sum(len(expiry["strikes"]) for expiry in expiries)
    head = f"  {document['market']}  chain  {document['root']}  {len(expiries)} expiries, {strikes} strikes"
    days = f"  {expiries[0]['expiry']} to {expiries[-1]['expiry']}" if expiries else ""
    return Text.assemble(_when(document["event_ts"]), printable(head + days), (f"  {document['source']}", "dim"))


def _transition(document: dict[str, Any]) -> Text:
    vix = document["features"].get("vix")
    return Text.assemble(
        _when(document["event_ts"]),
        f"  {document['market']}  ",
        _state(document["state_prev"]),
        " -> ",
        _state(document["state"]),
        _number("score", document.get("score"), 1),
        _number("VIX", vix, 2),
        ("  " + " ".join(document["floors_hit"]), "dim"),
    )


def _rebalance(document: dict[str, Any]) -> Text:
    text = Text.assemble(
        _when(document["event_ts"]),
        "  ",
        (printable(document["portfolio_id"]), "bold"),
        "  ",
        _state(document["state"]),
        f"  {layer_text(document['targets'])}  {trades_text(document['trades'])}",
        (f"  {document['status']}, {document['approvals_required']} approvals", "dim"),
    )
    if document["blocked"]:
        text.append("  blocked " + " ".join(document["blocked"]), style="magenta")
    return text


def _alert(document: dict[str, Any]) -> Text:
    style = _SEVERITIES.get(document["severity"], "")
    done = "  resolved" if document.get("resolved") else ""
    summary = printable(document["summary"])
    return Text.assemble(_when(document["event_ts"]), "  ", (f"{document['severity']:<8}", style), f"  {summary}{done}")


def _dead_letter(document: dict[str, Any]) -> Text:
    original = printable(document["original"])
    shown = original if len(original) <= _LONGEST else original[:_LONGEST] + "..."
    return Text.assemble(
        _when(document["event_ts"]),
        f"  {document['topic']}  ",
        (document["reason"], "bold red"),
        f"  {printable(document['detail'])}",
        (f"  {shown}", "dim"),
    )


_LINES: Final[dict[str, Callable[[dict[str, Any]], Text]]] = {
    MACRO_RELEASES: _release,
    PORTFOLIO_SNAPSHOTS: _portfolio,
    HEDGE_REGIMES: _hedge_input,
    REGIME_STATES: _regime,
    REGIME_MARKS: _regime,
    REGIME_TRANSITIONS: _transition,
    HEDGE_REBALANCES: _rebalance,
    ALERTS: _alert,
    DEAD_LETTERS: _dead_letter,
}
