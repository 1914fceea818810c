"""What a regime update costs the hedge of 10,000 portfolios: milliseconds and bytes a portfolio.

    python tests/bench/hedge.py

Every portfolio holds VX futures and VIX call spreads against a live option chain. Sizes and betas differ. All measures
run in one process, in turn, over several rounds; the table gives medians and, as what one can rely on, ratios.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from processors.hedge.market_state import MarketState
from processors.hedge.model_chain import model_chain
from processors.hedge.screen import Screen
from processors.hedger import Hedger, HedgeTask
from processors.signals.calendar import SessionCalendar
from processors.signals.curve import VxCurve
from processors.signals.expiry import vx_expiries
from processors.stream.log import Record
from processors.stream.processor import Segment
from topics.calibration import Calibration
from topics.catalog import HEDGE_REGIMES, PORTFOLIO_SNAPSHOTS
from topics.codec import encode
from topics.message import State, digest
from topics.option_chain import OptionChain
from topics.portfolio import Portfolio, Position
from topics.regime import CurvePoint, Regime

TABLE = Path(__file__).with_name("hedge.md")
CALIBRATION = Calibration()
HEDGER = Hedger(CALIBRATION)
FIRST = date(2017, 3, 1)
SIZES = 40
SETTLE = 22
SAMPLE = 400


class Everyone(Screen):
    """A screen that passes over nobody."""

    def loud(self, market: MarketState) -> list[str]:
        """All portfolios, by name."""
        return sorted(self._names)


@dataclass
class Clock:
    """Sessions one after the other, and what the market says in each."""

    day: date = FIRST
    calendar: SessionCalendar = field(default_factory=SessionCalendar)

    def next(self, state: State, level: float, slope: float = 0.5) -> list[Any]:
        """The option chain and the close of the next session."""
        self.day = self.calendar.next_session(self.day)
        ts = self.calendar.close_ts(self.day) + 15 * 60 * 1_000_000_000
        expiries = [e for e in vx_expiries(self.day, self.day + timedelta(days=300)) if e > self.day][:9]
        curve = VxCurve.from_settles(self.day, {e: round(level + slope * i, 2) for i, e in enumerate(expiries)})
        chain = model_chain(curve, 90.0, ts, 0.01).model_copy(update={"source": "feed"})
        return [chain, _regime(state, self.day, ts, level, curve)]


def _regime(state: State, day: date, ts: int, level: float, curve: VxCurve) -> Regime:
    return Regime(
        event_id=digest(["bench", state, ts, level]),
        market="US",
        kind="close",
        session_date=day,
        event_ts=ts,
        state=state,
        state_prev=state,
        score_parts={},
        features={"vix": level - 0.5, "vvix": 90.0, "spx": 2400.0, "rate_free": 1.0},
        floors_hit=(),
        below=0,
        held=False,
        degraded=(),
        stand_ins=(),
        curve=tuple(
            CurvePoint(symbol=f"VX/{e}", price=p, dte=(e - day).days)
            for e, p in zip(curve.expiries, curve.settles, strict=True)
        ),
        sources={},
        releases=(),
        calibration_digest=CALIBRATION.digest(),
        inputs_digest=digest(["inputs", ts]),
    )


def _segment(message: Regime | OptionChain | Portfolio) -> Segment:
    value, headers = encode(message)
    if isinstance(message, Portfolio):
        topic, key, ts = PORTFOLIO_SNAPSHOTS, message.portfolio_id, message.as_of
    else:
        topic, key, ts = HEDGE_REGIMES, message.market, message.event_ts
    record = Record(topic, 0, 0, ts, key.encode(), value, headers)
    decoded = HEDGER.decode(record)
    return Segment([record], decoded.body, 0, 1, decoded.times)


def _book(name: str, number: int, as_of: int, positions: Sequence[Position] = ()) -> Portfolio:
    return Portfolio(
        portfolio_id=name,
        as_of=as_of,
        mv=2e6 * 1.12 ** (number % SIZES),
        beta=0.8 + 0.01 * (number % SIZES),
        fills="assumed",
        positions=tuple(positions),
    )


def settled(clock: Clock, *, betas: bool = False) -> dict[bytes, bytes]:
    """State of a market and of one portfolio of each size, once their hedge has come to rest; without their betas."""
    task, state = HEDGER.task(0), dict[bytes, bytes]()
    start = clock.calendar.close_ts(clock.day)
    task.process([_segment(_book(f"t{number:02d}", number, start)) for number in range(SIZES)])
    for _ in range(SETTLE):
        task.process([_segment(message) for message in clock.next("moderate", 18.0)])
        state |= {key: value for key, value in task.snapshot().items() if value is not None}
    return {key: value for key, value in state.items() if betas or not key.startswith(b"beta/")}


def many(state: Mapping[bytes, bytes], n: int) -> dict[bytes, bytes]:
    """The same with as many portfolios as asked for, each like one of those."""
    found = {key: value for key, value in state.items() if key.startswith((b"regime/", b"chain/"))}
    for i in range(n):
        for kind in ("portfolio", "beta"):
            value = state.get(f"{kind}/t{i % SIZES:02d}".encode())
            if value is not None:
                found[f"{kind}/p{i:05d}".encode()] = value
    return found


def _restored(state: dict[bytes, bytes]) -> HedgeTask:
    task = HEDGER.task(0)
    for key, value in state.items():
        task.restore(key, value)
    return task


def _timed(task: HedgeTask, messages: list[Any]) -> tuple[float, int]:
    """Seconds of a regime update, its chain and its changes of state included, and events published."""
    segments = [_segment(message) for message in messages]
    gc.collect()
    start = time.perf_counter()
    outs = task.process(segments)
    task.snapshot()
    return time.perf_counter() - start, len(outs)


def _bytes(state: dict[bytes, bytes], clock: Clock) -> tuple[float, float]:
    """Bytes of memory, and of the changelog, that each portfolio takes."""
    sample = many(state, SAMPLE)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    task = _restored(sample)
    task.process([_segment(message) for message in Clock(clock.day).next("moderate", 18.0)])
    gc.collect()
    memory = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    changelog = sum(len(key) + len(value) for key, value in sample.items() if key.startswith(b"portfolio/"))
    return memory / SAMPLE, changelog / SAMPLE


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portfolios", type=int, default=10_000, help="how many (default 10000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    given = parser.parse_args()
    n, clock = given.portfolios, Clock()
    state = settled(clock)
    memory, changelog = _bytes(state, clock)
    task = _restored(many(state, n))
    _timed(task, clock.next("moderate", 18.0))  # after a restart all are evaluated once
    screen = task._screens["US"]
    quiet, all_of_them, passed = [], [], []
    while len(all_of_them) < given.rounds:
        task.counts()
        seconds, events = _timed(task, clock.next("moderate", 18.0))
        share = task.counts().get(("alvh_portfolios_screened_total", "quiet"), 0.0) / n
        if events:
            continue  # a day of rolls, and the one after it
        screen.__class__ = Everyone
        whole, events = _timed(task, clock.next("moderate", 18.0))
        screen.__class__ = Screen
        if not events:
            quiet.append(seconds)
            passed.append(share)
            all_of_them.append(whole)
    seconds, events = _timed(task, clock.next("elevated", 24.0))
    rest = {
        "quiet": statistics.median(quiet),
        "everyone": statistics.median(all_of_them),
        "moved": seconds,
    }
    lines = [
        f"`python tests/bench/hedge.py`, {n:,} portfolios, medians of {given.rounds} rounds.",
        "",
        "| measure | milliseconds an update | microseconds a portfolio | against | ratio |",
        "|---|---:|---:|---|---:|",
        f"| a close at which all are within their band, screened ({statistics.median(passed):.1%} passed over) "
        f"| {1e3 * rest['quiet']:,.1f} | {1e6 * rest['quiet'] / n:,.2f} | everyone evaluated "
        f"| {rest['quiet'] / rest['everyone']:.4f} |",
        f"| the same close, everyone evaluated | {1e3 * rest['everyone']:,.0f} "
        f"| {1e6 * rest['everyone'] / n:,.0f} | - | - |",
        f"| a change of state, {events:,} rebalances published | {1e3 * rest['moved']:,.0f} "
        f"| {1e6 * rest['moved'] / n:,.0f} | everyone evaluated | {rest['moved'] / rest['everyone']:.2f} |",
        "",
        "| bytes a portfolio | |",
        "|---|---:|",
        f"| its row of the screen | {screen.nbytes / n:,.0f} |",
        f"| all that the task holds of it, in memory | {memory:,.0f} |",
        f"| its state in the changelog | {changelog:,.0f} |",
        "",
    ]
    text = "\n".join(lines)
    if n >= 10_000:
        TABLE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
