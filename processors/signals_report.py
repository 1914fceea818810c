"""What ``alvh signals`` shows: the concepts of the methodology and, of a log, what a market has of their signals.

A log is read without being a member of any group, whether processors run on it or not: the newest regime of the market
has the values, the changelog of the market processor knows when each input last came.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from processors.errors import UserError
from processors.signals.catalogue import CATALOGUE, EVENTS, NEEDS, Concept
from processors.stream.log import Cluster, Record, TopicPartition
from processors.stream.partitioner import partition_for
from processors.view import STATE_STYLES, printable
from topics.calibration import Calibration, SignalRules
from topics.catalog import REGIME_MARKS, REGIME_STATES, changelog
from topics.codec import decode
from topics.dead_letter import Refused
from topics.instrument import COINS, parse_symbol
from topics.message import Feature
from topics.regime import Regime
from topics.times import DAY, HOUR, MINUTE, SECOND, format_ts

#: ``ready``: it has a value. ``warming up``: all that it needs has come, and it has none yet, or none now.
#: ``no event``: it is only there when something has happened, and nothing has. ``no input``: something that it needs
#: has never come.
State = Literal["ready", "warming up", "no event", "no input"]

_STYLES: Final[Mapping[State, str]] = {"ready": "green", "warming up": "yellow", "no event": "dim", "no input": "red"}
_CHANGELOG: Final = changelog("market")
#: Kinds of on-chain figures, and how the names of their blocks begin in the state.
_BLOCKS: Final = {
    "pools": "pool ",
    "locked value": "tvl ",
    "stablecoins": "peg ",
    "DEX volume": "dex_volume_usd ",
    "funding": "funding_rate ",
}
#: Options by what they are on.
_OPTIONS: Final = {"VIX": "VIX options", "SPX": "SPX options", "SPXW": "SPX options"} | dict.fromkeys(
    COINS, "coin options"
)
#: Records read at once when the newest of a key is looked for from the end.
_WINDOW: Final = 64


@dataclass(frozen=True, slots=True)
class Signal:
    """One feature at a market's newest instant.

    Attributes:
        value: None when the evidence does not have it.
        age: seconds of event time since the oldest of its inputs last came; None when one never came.
        missing: inputs that never came.
    """

    name: str
    value: Feature | None
    state: State
    age: float | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """What a log says of one market.

    Attributes:
        regime: its newest regime, of a close or a mark; None when there is none.
        time: the newest event time of the market, ns; None when nothing of it was ever taken up.
        came: when each input last came, ns.
        notes: what a person should know of all this.
    """

    market: str
    regime: Regime | None
    time: int | None
    came: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def signal(self, name: str, series: Mapping[str, str]) -> Signal:
        """A feature; ``series`` has the names in force of the series that are called otherwise by default."""
        needs = tuple("|".join(series.get(one, one) for one in need.split("|")) for need in NEEDS.get(name, ()))
        last = [self._last(need) for need in needs]
        missing = tuple(need for need, ts in zip(needs, last, strict=True) if ts is None)
        there = [ts for ts in last if ts is not None]
        age = None if missing or not there or self.time is None else max(self.time - min(there), 0) / SECOND
        features = {} if self.regime is None else self.regime.features
        value = features.get(name)
        return Signal(name, value, _state(name, features, missing), age, missing)

    def _last(self, need: str) -> int | None:
        return max((self.came[one] for one in need.split("|") if one in self.came), default=None)


def _state(name: str, features: Mapping[str, Feature], missing: tuple[str, ...]) -> State:
    if name in features:
        return "ready"
    if missing:
        return "no input"
    witness = EVENTS.get(name)
    return "no event" if name in EVENTS and (witness is None or witness in features) else "warming up"


# Reading a log


def observe(cluster: Cluster, market: str) -> Observed:
    """What the log says of a market, running or stopped.

    Raises UserError when the log lacks the topics, has other markets but not this one, or holds a regime that this
    version cannot read.
    """
    there = cluster.topics((REGIME_STATES, REGIME_MARKS, _CHANGELOG))
    if lacking := [topic for topic in (REGIME_STATES, REGIME_MARKS, _CHANGELOG) if topic not in there]:
        raise UserError(
            f"this log has no topic {', '.join(lacking)}; feed something and run the market processor, or create the "
            "topics with `alvh topics apply`"
        )
    regime = _newest_regime(cluster, there, market)
    states = _changelog(cluster, there[_CHANGELOG])
    known = sorted(key.split("/", 1)[1] for key in states if key.startswith("market/"))
    if regime is None and market not in known:
        if known:
            raise UserError(f"this log has nothing of market {market!r}; it has {', '.join(known)}")
        note = "the market processor has written nothing here yet: feed something and run it"
        return Observed(market, None, None, {}, (note,))
    try:
        came, time = _arrivals(states, market)
        notes: tuple[str, ...] = ()
    except (KeyError, TypeError, ValueError, AttributeError):
        came, time = {}, None
        notes = ("the state of the market processor is of another version: when inputs came is not known",)
    if not notes and market not in known:
        notes = ("the market processor keeps no state here: when inputs came is not known",)
    if regime is None:
        notes += (f"no session of {market} is committed yet: there are no values",)
    else:
        time = max(time or 0, regime.event_ts)
    return Observed(market, regime, time, came, notes)


def newest(cluster: Cluster, topic: str, partitions: int, key: bytes) -> Record | None:
    """The newest record of a key, looked for from the end of the topic; None when it has none."""
    home = partition_for(key, partitions)
    for partition in sorted(range(partitions), key=lambda number: number != home):
        tp = TopicPartition(topic, partition)
        stop, size = cluster.end_offset(tp), _WINDOW
        while stop > 0:
            start, found = max(stop - size, 0), None
            for record in cluster.read(tp, start):
                if record.offset >= stop:
                    break
                if record.key == key and record.value is not None:
                    found = record
            if found is not None:
                return found
            stop, size = start, 4 * size
    return None


def _newest_regime(cluster: Cluster, there: Mapping[str, int], market: str) -> Regime | None:
    """The later of the last close and the last mark; the close when they are of the same instant."""
    regimes = []
    for topic in (REGIME_STATES, REGIME_MARKS):
        record = newest(cluster, topic, there[topic], market.encode())
        if record is None:
            continue
        try:
            regimes.append(decode(Regime, record.value, record.headers))
        except Refused as refused:
            raise UserError(f"the newest record of {market} in {topic} cannot be read: {refused.detail}") from refused
    return max(regimes, key=lambda regime: regime.event_ts, default=None)


def _changelog(cluster: Cluster, partitions: int) -> dict[str, bytes]:
    """The newest state of each key, as a start of the market processor would restore it."""
    states: dict[str, bytes] = {}
    for partition in range(partitions):
        for record in cluster.read(TopicPartition(_CHANGELOG, partition)):
            key = (record.key or b"").decode(errors="replace")
            if record.value is None:
                states.pop(key, None)
            else:
                states[key] = record.value
    return states


def _arrivals(states: Mapping[str, bytes], market: str) -> tuple[dict[str, int], int | None]:
    """When each input last came, and the stream's time, ns. An error of any kind when the state has another form."""
    came: dict[str, int] = {}
    time: int | None = None
    for name, ts in _all_arrivals(states, market):
        came[name] = max(came.get(name, ts), ts)
    if (state := states.get(f"market/{market}")) is not None:
        time = int(json.loads(state)["time"])
    return came, time


def _all_arrivals(states: Mapping[str, bytes], market: str) -> Iterator[tuple[str, int]]:
    if (state := states.get(f"market/{market}")) is not None:
        yield from _prices(json.loads(state))
    if (state := states.get(f"secondary/{market}")) is not None:
        yield from _figures(json.loads(state))
    for key, value in states.items():
        root = key.removeprefix(f"strip/{market}/").split("/")[0]
        if key.startswith(f"strip/{market}/") and root in _OPTIONS:
            quoted = np.frombuffer(base64.b64decode(json.loads(value)["ts"]), dtype="<i8")
            if len(quoted):
                yield _OPTIONS[root], int(quoted.max())


def _prices(state: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Instruments on the board, VX by its root; books and stated depths of VX."""
    prices = state["prices"]
    for symbol, row in prices["board"].items():
        instrument = parse_symbol(symbol)
        yield symbol, int(row[0])
        if instrument.kind == "future":
            yield instrument.root, int(row[0])
            if symbol in prices["books"]:
                yield f"{instrument.root} quotes", int(row[0])
    yield from (("VX depth", int(depth[0])) for depth in state["depths"].values())


def _figures(state: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Series and offerings by name, cross-sections and chains as such, blocks by what they show."""
    for name, (ts, _kind) in state["seen"].items():
        yield name, int(ts)
        if name.startswith("cross-section "):
            yield "cross-section", int(ts)
        elif name.startswith("chain "):
            yield "governance", int(ts)
    for of, (_height, ts) in state["onchain"]["blocks"].items():
        yield from ((kind, int(ts)) for kind, start in _BLOCKS.items() if of.startswith(start))


# Showing


def series_in_force(rules: SignalRules) -> dict[str, str]:
    """Names of series, from those that the catalogue uses to those that a calibration gives."""
    default = SignalRules()
    names = (name for name in SignalRules.model_fields if isinstance(getattr(default, name), str))
    return {getattr(default, name): getattr(rules, name) for name in names}


def document(calibration: Calibration, observed: Observed | None = None) -> dict[str, Any]:
    """The catalogue as JSON values, with the signals of a market when one was looked at."""
    series = series_in_force(calibration.regime.signals)
    shown: dict[str, Any] = {}
    if observed is not None:
        regime = observed.regime
        shown["market"] = {
            "market": observed.market,
            "event_ts": None if observed.time is None else format_ts(observed.time),
            "regime": None
            if regime is None
            else {
                "kind": regime.kind,
                "session_date": regime.session_date.isoformat(),
                "event_ts": format_ts(regime.event_ts),
                "state": regime.state,
                "score": regime.score,
                "modifier": regime.modifier,
            },
            "notes": list(notes(calibration, observed)),
            "others": dict(_others(observed)),
        }
    shown["concepts"] = [_concept(concept, calibration, series, observed) for concept in CATALOGUE]
    return shown


def _concept(
    concept: Concept, calibration: Calibration, series: Mapping[str, str], observed: Observed | None
) -> dict[str, Any]:
    return {
        "number": concept.number,
        "words": concept.words,
        "kind": concept.kind,
        "meaning": concept.meaning,
        "features": [_feature(name, series, observed) for name in concept.features],
        "inputs": [series.get(name, name) for name in concept.inputs],
        "source": concept.source,
        "default": concept.default,
        "weights": dict(_weights(concept, calibration)),
        "place": concept.place,
        "test": concept.test,
    }


def _feature(name: str, series: Mapping[str, str], observed: Observed | None) -> dict[str, Any]:
    if observed is None:
        return {"name": name}
    signal = observed.signal(name, series)
    return {
        "name": name,
        "value": signal.value,
        "state": signal.state,
        "age_seconds": signal.age,
        "missing": list(signal.missing),
    }


def _weights(concept: Concept, calibration: Calibration) -> Iterator[tuple[str, float]]:
    """Weights in force: shares of the core score, score points of the modifier; 0 for a part without one."""
    weights: dict[str, float] = {name: feature.weight for name, feature in calibration.regime.score.items()}
    weights.update(calibration.regime.modifier.weights.items())
    yield from ((part, weights.get(part, 0.0)) for part in concept.weights)


def _others(observed: Observed) -> Iterator[tuple[str, Feature]]:
    """Features in the evidence that the catalogue does not know: a log may be of another version."""
    if observed.regime is not None:
        yield from ((name, value) for name, value in observed.regime.features.items() if name not in NEEDS)


def notes(calibration: Calibration, observed: Observed) -> tuple[str, ...]:
    """What a person should know of the values."""
    if observed.regime is None or observed.regime.calibration_digest == calibration.digest():
        return observed.notes
    return (*observed.notes, "the regime was decided with another calibration than the one in force here")


def tables(calibration: Calibration, observed: Observed | None = None) -> RenderableType:
    """The catalogue for people, and a table of the signals of a market when one was looked at."""
    catalogue = _catalogue(calibration)
    return catalogue if observed is None else Group(catalogue, Text(), _signals(calibration, observed))


def _catalogue(calibration: Calibration) -> Table:
    table = Table(title="concepts of the methodology", title_justify="left", show_lines=True, pad_edge=False)
    for column in ("no.", "words", "features", "inputs", "source", "default", "weight", "where it acts"):
        table.add_column(column, overflow="fold")
    series = series_in_force(calibration.regime.signals)
    for concept in CATALOGUE:
        table.add_row(
            str(concept.number),
            Text(concept.words),
            _listed(concept.features),
            _listed(series.get(name, name) for name in concept.inputs),
            Text(concept.source),
            _listed(filter(None, concept.default.split("; "))),
            _listed(f"{part} {weight:g}" for part, weight in _weights(concept, calibration)),
            Text(concept.place.removeprefix("processors.")),
        )
    return table


def _signals(calibration: Calibration, observed: Observed) -> Table:
    table = Table(title=_title(observed), title_justify="left")
    table.add_column("no.", justify="right")
    for column in ("feature", "value", "state", "age", "what is missing"):
        table.add_column(column, overflow="fold", justify="right" if column in ("value", "age") else "left")
    series = series_in_force(calibration.regime.signals)
    for concept in CATALOGUE:
        for name in concept.features:
            signal = observed.signal(name, series)
            table.add_row(
                str(concept.number),
                name,
                _value(signal.value),
                Text(signal.state, style=_STYLES[signal.state]),
                "-" if signal.age is None else _age(round(signal.age * SECOND)),
                Text(", ".join(need.replace("|", " or ") for need in signal.missing)),
            )
    for name, value in _others(observed):
        table.add_row("-", Text(printable(name)), _value(value), Text("ready", style=_STYLES["ready"]), "-", "")
    return table


def _title(observed: Observed) -> Text:
    regime = observed.regime
    if regime is None:
        return Text(f"signals of {printable(observed.market)}")
    return Text.assemble(
        f"signals of {observed.market}, {regime.kind} of {format_ts(regime.event_ts)}, ",
        (regime.state, STATE_STYLES[regime.state]),
    )


def _listed(names: Iterable[str]) -> Text:
    return Text("\n".join(names) or "-")


def _value(value: Feature | None) -> Text:
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    return Text(f"{value:.6g}" if isinstance(value, float) else printable(str(value)))


def _age(ns: int) -> str:
    for unit, word in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if ns >= unit:
            return f"{ns / unit:.1f} {word}"
    return f"{ns / SECOND:.0f} s"
