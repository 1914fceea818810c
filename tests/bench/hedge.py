"""What a regime update costs the hedge of very many portfolios: time and bytes a portfolio.

    python tests/bench/hedge.py
    python tests/bench/hedge.py --portfolios 10000 --rounds 3

Every portfolio holds VX futures and VIX call spreads against a live option chain. Sizes and betas differ. All measures
run in one process, one core, in turn, over several rounds; the table gives medians.
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

from processors.hedge.model_chain import model_chain
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


def _held(state: Mapping[bytes, bytes], clock: Clock, n: int) -> int:
    """Bytes of memory that a task with so many portfolios at rest takes, its market included."""
    sample = many(state, n)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    task = _restored(sample)
    task.process([_segment(message) for message in Clock(clock.day).next("moderate", 18.0)])
    task.snapshot()
    gc.collect()
    memory = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return memory


def _at_rest(task: HedgeTask, clock: Clock, n: int, rounds: int) -> tuple[float, float]:
    """Median seconds of a close at which nothing is published, and the share of portfolios that it passed over."""
    found: list[tuple[float, float]] = []
    while len(found) < rounds:
        task.counts()
        seconds, events = _timed(task, clock.next("moderate", 18.0))
        quiet = task.counts().get(("alvh_portfolios_screened_total", "quiet"), 0.0) / n
        if not events and quiet > 0.9:  # else a day of rolls, and the one after it
            found.append((seconds, quiet))
    return statistics.median(seconds for seconds, _ in found), statistics.median(quiet for _, quiet in found)


def _share(task: HedgeTask, clock: Clock, n: int, every: int, rounds: int) -> tuple[float, int]:
    """Median seconds of a close at which every so-manieth portfolio is evaluated, and how many that are."""
    found: list[tuple[float, int]] = []
    while len(found) < rounds:
        for number in range(0, n, every) if every else ():
            task._screens["US"].add(f"p{number:05d}")
        task.counts()
        seconds, events = _timed(task, clock.next("moderate", 18.0))
        evaluated = int(task.counts().get(("alvh_portfolios_screened_total", "evaluated"), 0.0))
        if not events and evaluated == (len(range(0, n, every)) if every else 0):
            found.append((seconds, evaluated))
    return statistics.median(seconds for seconds, _ in found), found[0][1]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = [10_000, 100_000]
    parser.add_argument("--portfolios", type=int, nargs="+", default=sizes, help="how many (default 10000 100000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    given = parser.parse_args()
    clock = Clock()
    state = settled(clock)
    few, more = (_held(state, clock, n) for n in (SAMPLE, 4 * SAMPLE))
    memory = (more - few) / (3 * SAMPLE)
    changelog = sum(len(key) + len(value) for key, value in state.items() if key.startswith(b"portfolio/")) / SIZES
    rows: list[tuple[str, int, int, float]] = []
    row_bytes = 0.0
    for place, n in enumerate(given.portfolios):
        task = _restored(many(state, n))
        now = Clock(clock.day)
        _timed(task, now.next("moderate", 18.0))  # after a restart all are evaluated once
        seconds, quiet = _at_rest(task, now, n, given.rounds)
        rows.append((f"a close at which all are within their band ({quiet:.1%} passed over)", n, 0, seconds))
        row_bytes = task._screens["US"].nbytes / n
        if place:
            continue
        for every in (100, 10, 1):
            seconds, evaluated = _share(task, now, n, every, given.rounds)
            rows.append(("the same, some of them evaluated, with nothing new to say", n, evaluated, seconds))
        seconds, events = _timed(task, now.next("elevated", 24.0))
        rows.append(("a change of state, a rebalance published for each", n, events, seconds))
    lines = [
        f"`python tests/bench/hedge.py --portfolios {' '.join(map(str, given.portfolios))} --rounds {given.rounds}`, "
        f"one process, medians of {given.rounds} rounds.",
        "",
        "| regime update | portfolios | evaluated | seconds | microseconds a portfolio | and for each evaluated |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for what, n, evaluated, seconds in rows:
        each = f"{1e6 * (seconds - rows[0][-1]) / evaluated:,.0f}" if evaluated else "-"
        lines.append(f"| {what} | {n:,} | {evaluated:,} | {seconds:,.3f} | {1e6 * seconds / n:,.2f} | {each} |")
    lines += [
        "",
        "| bytes a portfolio | |",
        "|---|---:|",
        f"| its row of the screen | {row_bytes:,.0f} |",
        f"| all that the task holds of it, in memory | {memory:,.0f} |",
        f"| its state in the changelog | {changelog:,.0f} |",
        "",
    ]
    text = "\n".join(lines)
    if max(given.portfolios) >= 100_000:
        TABLE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
