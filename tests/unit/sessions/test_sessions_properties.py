"""Properties of the engine over random streams: how rows are cut does not matter, nor what comes after an instant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from sessions_support import (
    CALENDAR,
    Item,
    Row,
    at,
    closes,
    feed,
    generated,
    give,
    history,
    mark_until,
    new_engine,
    restarted,
    text,
)

from processors.sessions.engine import Engine, Pace
from topics.macro import Release
from topics.market import Watermark
from topics.message import canonical_json
from topics.option_chain import OptionChain
from topics.regime import Regime, Transition
from topics.ticks import MISSING
from topics.times import HOUR, LAST_TS, MINUTE, SECOND

# Where a stream begins: before a change to daylight saving, before Thanksgiving and the early close after it, before
# the change of the VX settlement time, a jump of VIX, a day of mourning without session, an expiry, a year's end.
STARTS = [
    ("2018-03-09", ("2018-03-21", "2018-04-18", "2018-03-14")),
    ("2018-11-21", ("2018-12-19", "2019-01-16", "2018-11-28")),
    ("2020-10-23", ("2020-11-18", "2020-12-16", "2020-10-28")),
    ("2018-02-02", ("2018-02-14", "2018-03-21", "2018-02-07")),
    ("2018-12-04", ("2018-12-19", "2019-01-16", "2018-12-12")),
    ("2018-02-13", ("2018-02-14", "2018-03-21", "2018-04-18")),
    ("2017-12-29", ("2018-01-17", "2018-02-14", "2018-01-10")),
]
VIX = (11.5, 16.0, 18.0, 21.0, 26.0, 31.0, 31.5, 45.0)
OTHERS = (
    *("VIX3M", "VVIX", "SPX", "VX1", "VX2", "VX3", "VIX/2018-12-19/C/20", "SPY", "ES/2018-12-21", "UVXY"),
    *("C1/16", "P1/16", "C1/20", "P1/20", "C2/16", "P2/20"),  # VIX options of the first and the second expiry
)
_PAIRED = frozenset({"C1/16", "P1/16", "C1/20", "P1/20"})

# One step of a stream: kind, how time goes on, an offset into the past, a value, an instrument, a source.
_STEPS = st.tuples(
    st.sampled_from(
        ("vix", "vix", "vix", "tick", "tick", "tick", "tick", "official", "closes", "evening", "odd", "again")
    ),
    st.sampled_from(tuple(range(14)) * 3 + (14,)),
    st.sampled_from((0, 0, 0, 0, 0, 0, 1, 30, 240, 301, 900)),
    st.integers(0, 7),
    st.integers(0, 15),
    st.integers(0, 3),
)
_EVENTS = st.tuples(
    st.sampled_from(("release", "watermark")),
    st.sampled_from((0, 1, 2, 5, 8, 9, 10)),
    st.sampled_from((0, 0, 0, 60, 3600)),
    st.integers(0, 7),
    st.integers(0, 8),
    st.integers(0, 3),
)
_STREAMS = st.lists(st.one_of(_STEPS, _STEPS, _STEPS, _STEPS, _STEPS, _EVENTS), min_size=5, max_size=90)
_CUTS = st.lists(st.tuples(st.sampled_from((1, 1, 2, 3, 5, 8, 20, 60)), st.booleans()), min_size=1, max_size=40)
_PACES = st.sampled_from(
    (
        Pace(),
        Pace(late=0, evaluation=5 * MINUTE, close_grace=0, official_wait=HOUR),
        Pace(late=HOUR, evaluation=30 * SECOND, close_grace=HOUR, official_wait=24 * HOUR),
    )
)


class Writer:
    """Turns steps into the items of a stream. ``floor``: no item is earlier than this, ns."""

    def __init__(self, start: int, now: int | None = None, floor: int = 0) -> None:
        first, self.expiries = STARTS[start]
        self.first = date.fromisoformat(first)
        self.now = at(first, "09:25") if now is None else now
        self.floor = floor
        self.seqs: dict[tuple[str, str], int] = defaultdict(int)
        self.sent: list[Row] = []

    def items(self, steps: Sequence[tuple[str, int, int, int, int, int]]) -> list[Item]:
        out: list[Item] = []
        for kind, pace, back, level, which, who in steps:
            self._go_on(pace)
            ts = max(self.now - back * SECOND, self.floor)
            source = ("cboe", "model", "cboe", "opra")[who]
            if kind == "release":
                series = ("CPI", "PPI", "FOMC_MINUTES")[who % 3]
                out.append(
                    Release(series_id=series, release_ts=ts, ref_period="2018-01", vintage=1 + who, actual=level / 10)
                )
            elif kind == "watermark":
                out.append(Watermark(watermark_ts=max(self.now + back * SECOND, self.floor)))
            elif kind == "closes":
                out += self._official_closes(which, level, source, who)
            elif kind == "evening":
                out += self._evening(which, level, source, who)
            elif kind == "again" and self.sent:
                again = self.sent[-1 - (level * 5 + which) % len(self.sent)]
                if again.ts >= self.floor:
                    out.append(again)
            else:
                rows = [self._row(kind, ts, level, which, source, who)]
                if kind == "tick" and OTHERS[which] in _PAIRED:  # with the other right and the future
                    rows.append(self._row(kind, ts, level, which ^ 1, source, 0))
                    rows.append(self._row(kind, ts, level, OTHERS.index("VX1"), source, 0))
                self.sent += rows
                out += rows
        return out

    def _go_on(self, pace: int) -> None:
        day = CALENDAR.session_of(self.now)
        moments = (
            CALENDAR.open_ts(day),
            CALENDAR.close_ts(day),
            CALENDAR.vix_close_ts(day),
            CALENDAR.vix_close_ts(day) + 15 * MINUTE,
        )
        step = (0, 1, 7, 20, 45, 60, 61, 150, 600, 3600)
        if pace < len(step):
            self.now += step[pace] * SECOND
            # Off the whole second now and then.
            self.now += 250_000_000 if pace == 3 else 0
        elif pace == 14:  # months without a word
            self.now += 40 * 24 * HOUR
        else:  # to a moment of the session, or just beyond
            self.now = max(self.now, moments[pace - len(step)] + (pace % 2))

    def _row(self, kind: str, ts: int, level: int, which: int, source: str, who: int) -> Row:
        symbol, values = self._quote("VIX" if kind == "vix" else OTHERS[which], level, who)
        seq = MISSING
        if who % 2:
            seq = self.seqs[symbol, source] = self.seqs[symbol, source] + 1
        if kind == "official" and not symbol.startswith("VIX/"):
            name = "settle" if symbol.startswith("VX/") else "last"
            return Row(symbol, ts, **{name: next(iter(values.values()))}, official=True, source=source, seq=seq)
        if kind == "odd":
            odd = (
                Row("", ts, last=20.0),
                Row("NOPE", ts, last=20.0),
                Row("VIX", ts, last=300.0, source=source),
                Row("VIX", ts, last=float("inf"), source=source),
                Row("VIX", ts, bid=21.0, ask=20.0, source=source),
                Row("VIX", ts + 40 * HOUR, last=20.0, source=source, spoiled=True),
                Row("VIX", 1, last=20.0, source=source),
                Row("VIX", LAST_TS - 1, last=20.0, source=source),
                Row("VIX", ts, size=1.0, source=source, seq=seq),
            )
            return odd[which % len(odd)]
        return Row(symbol, ts, **values, source=source, seq=seq)

    def _quote(self, symbol: str, level: int, who: int) -> tuple[str, dict[str, float]]:
        vix = VIX[level]
        if symbol.startswith("VX") and len(symbol) == 3:
            expiry = self.expiries[int(symbol[2]) - 1]
            values = {"settle": vix + 1} if who == 1 else {"bid": vix + 0.5, "ask": vix + 0.6}
            return f"VX/{expiry}", values
        if symbol[0] in "CP" and symbol[2] == "/":
            right, expiry, strike = symbol[0], self.expiries[int(symbol[1]) - 1], float(symbol[3:])
            inside = max(vix + 0.5 - strike if right == "C" else strike - vix - 0.5, 0.0) + 0.5
            sides = (
                {"bid": round(inside, 2), "ask": round(inside + 0.1, 2)},
                {"bid": round(inside + level / 4, 2)},
                {"bid": 0.0, "ask": round(inside, 2)},
                {"ask": round(inside, 2), "open_interest": 100.0 * level},
            )
            return f"VIX/{expiry}/{right}/{strike:g}", sides[who]
        base = {"VIX": vix, "VIX3M": vix + 2 - level / 2, "VVIX": 80 + 5 * level, "SPX": 2700.0 + 10 * level}
        price = base.get(symbol, 5.0 + level)
        if who == 2 and symbol != "SPX":
            return symbol, {"bid": price - 0.5, "ask": price + 0.5}
        return symbol, {"last": price}

    def _evening(self, which: int, level: int, source: str, who: int) -> list[Row]:
        """Official closes that come late, one after the other, between ticks of the very moment."""
        self._go_on(12)
        self.now += (0, 1, 30, 600, 1200, 5400, 10_800, 1)[level] * SECOND
        closes = self._official_closes(4, level, source, 1 + 2 * (who % 2))
        closes = closes[which % 4 :] + closes[: which % 4]
        rows = [self._row("tick", self.now, level, 4, source, who)]
        for row in closes[: 6 - (who == 3)]:
            self.now += (which % 3 == 2) * SECOND
            rows += [row, self._row("vix" if which % 2 else "tick", self.now, which % 8, 5, source, who)]
        return rows

    def _official_closes(self, which: int, level: int, source: str, who: int) -> list[Row]:
        """Official closes of the day, all or some, stamped at their own times or at the stream's."""
        day = CALENDAR.local_date(self.now)
        symbols = [("SPX", 0), ("VIX3M", 15), ("VIX", 15), ("VVIX", 15), ("VX1", 0), ("VX2", 15)]
        rows = []
        for symbol, after in symbols[: 2 + which % 5]:
            named, values = self._quote(symbol, level, 1)
            ts = self.now
            if CALENDAR.is_session(day) and who % 2:
                ts = CALENDAR.close_ts(day) + after * MINUTE
            name = "settle" if named.startswith("VX/") else "last"
            value = next(iter(values.values()))
            rows.append(Row(named, max(ts, self.floor), **{name: value}, official=True, source=source))
        return rows


def cut(items: Sequence[Item], cuts: Sequence[tuple[int, bool]], pace: Pace) -> tuple[list[tuple[int, bytes]], Engine]:
    """The emissions of the items in pieces of the given sizes, with restarts between some of them."""
    engine = new_engine(pace)
    out: list[tuple[int, bytes]] = []
    place = turn = 0
    while place < len(items):
        size, restart = cuts[turn % len(cuts)]
        turn += 1
        piece = list(items[place : place + 1])
        while isinstance(items[place], Row) and len(piece) < size and place + len(piece) < len(items):
            if not isinstance(items[place + len(piece)], Row):
                break
            piece.append(items[place + len(piece)])
        out += [(place + emission.row, text(emission.message)) for emission in give(engine, piece)]
        place += len(piece)
        if restart:
            engine = restarted(engine, pace)
    return out, engine


def _state(engine: Engine) -> bytes:
    strips = [strip.decode() for strip in engine.prices.strips.snapshot()]
    return canonical_json([engine.snapshot(), engine.panel.snapshot(), engine.secondary.snapshot(), strips])


def _warm(start: int) -> list[Item]:
    """Some sessions before the start, so that there is a state in force and most signals have values, and a rate."""
    first = date.fromisoformat(STARTS[start][0])
    days = CALENDAR.sessions(date(first.year - 1, 1, 1), first)
    rate = Release(series_id="US_3M", release_ts=at(days[-2], "18:00"), ref_period=str(days[-2]), actual=1.5)
    return [*history(days[-24], 23), rate]


@settings(generated, max_examples=40)
@given(start=st.integers(0, len(STARTS) - 1), steps=_STREAMS)
def test_every_chain_is_followed_by_the_regime_of_its_instant(
    start: int, steps: list[tuple[str, int, int, int, int, int]]
) -> None:
    writer = Writer(start)
    out = feed(new_engine(), [*_warm(start), *writer.items(steps), mark_until(writer.now + 70 * HOUR)])
    messages = [m for _, m in out if isinstance(m, Regime | OptionChain)]
    for message, following in pairwise([*messages, None]):
        if isinstance(message, OptionChain):
            assert isinstance(following, Regime)
            assert following.event_ts == message.event_ts


@settings(generated, max_examples=60)
@given(start=st.integers(0, len(STARTS) - 1), warm=st.booleans(), steps=_STREAMS, cuts=_CUTS, pace=_PACES)
def test_rows_give_the_same_emissions_and_the_same_state_however_they_are_cut(
    start: int, warm: bool, steps: list[tuple[str, int, int, int, int, int]], cuts: list[tuple[int, bool]], pace: Pace
) -> None:
    writer = Writer(start)
    items = [*(_warm(start) if warm else ()), *writer.items(steps), mark_until(writer.now + 70 * HOUR)]
    singly = new_engine(pace)
    expected = [(place, text(message)) for place, message in feed(singly, items)]
    seen, engine = cut(items, cuts, pace)
    assert seen == expected
    assert _state(engine) == _state(singly)


@settings(generated, max_examples=40)
@given(start=st.integers(0, len(STARTS) - 1), steps=_STREAMS, pace=_PACES)
def test_decisions_come_in_the_order_of_their_event_times(
    start: int, steps: list[tuple[str, int, int, int, int, int]], pace: Pace
) -> None:
    writer = Writer(start)
    items = [*_warm(start), *writer.items(steps), mark_until(writer.now + 70 * HOUR)]
    out = feed(new_engine(pace), items)
    times = [m.event_ts for _, m in out if isinstance(m, Regime)]
    days = [m.session_date for m in closes(out)]
    assert times == sorted(times)
    assert days == sorted(set(days)), "each session is committed once"


@settings(generated, max_examples=60)
@given(
    start=st.integers(0, len(STARTS) - 1),
    steps=_STREAMS,
    tails=st.tuples(_STREAMS, _STREAMS),
    share=st.floats(0, 1),
    pace=_PACES,
)
def test_nothing_that_comes_after_an_instant_changes_what_was_decided_up_to_it(
    start: int,
    steps: list[tuple[str, int, int, int, int, int]],
    tails: tuple[list[tuple[str, int, int, int, int, int]], list[tuple[str, int, int, int, int, int]]],
    share: float,
    pace: Pace,
) -> None:
    items = [*_warm(start), *Writer(start).items(steps)]
    items = items[: max(1, round(share * len(items)))]
    before = new_engine(pace)
    feed(before, items)
    x = before.time

    def decided(tail: list[tuple[str, int, int, int, int, int]]) -> list[bytes]:
        rest = Writer(start, now=x + 1, floor=x + 1).items(tail)
        out = feed(new_engine(pace), [*items, *rest, mark_until(x + 40 * HOUR)])
        return [text(m) for _, m in out if isinstance(m, Regime | Transition | OptionChain) and m.event_ts <= x]

    assert decided(tails[0]) == decided(tails[1])
