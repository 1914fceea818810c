"""What the secondary signals cost: closes, marks and ticks a second, side by side in one run.

    python tests/bench/signals.py                      # this checkout
    python tests/bench/signals.py --against ../other   # and another one, round by round

Each measure runs in its own process, the rounds of all measures taken in turn, so that a machine that slows down slows
all of them. The table gives medians and, as what one can rely on, ratios of medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("signals.md")


# Measures: each returns (amount of work, seconds).


def _sessions(n: int) -> list[Any]:
    from processors.signals.calendar import SessionCalendar

    calendar = SessionCalendar()
    first = calendar.next_session(date(2015, 1, 1))
    days = [first]
    while len(days) < n:
        days.append(calendar.next_session(days[-1]))
    return days


def _closes(n: int) -> list[Any]:
    from processors.signals.curve import VxCurve
    from processors.signals.expiry import vx_expiries
    from processors.signals.inputs import SessionInputs

    draw = np.random.default_rng(1)
    spx, vix = 2000 * np.exp(np.cumsum(draw.normal(0, 0.01, n))), 15 + 5 * np.abs(draw.normal(0, 1, n))
    found = []
    for i, day in enumerate(_sessions(n)):
        expiries = vx_expiries(day, day + timedelta(days=330))[:8]
        curve = VxCurve.from_settles(day, {e: 15.0 + k + draw.random() for k, e in enumerate(expiries) if e > day})
        found.append(SessionInputs(day, float(vix[i]), float(vix[i]) + 2, 90.0, float(spx[i]), curve))
    return found


def core_closes() -> tuple[int, float]:
    """Closes of the core panel alone, with the decision."""
    from processors.regime.machine import Memory, decide_close
    from processors.sessions.evidence import regime_inputs
    from processors.signals.panel import Panel
    from topics.calibration import RegimeRules

    inputs, panel, memory, rules = _closes(1500), Panel(), Memory(), RegimeRules()
    started = time.perf_counter()
    for close in inputs:
        panel.update(close)
        decision = decide_close(rules, memory, regime_inputs(panel.signals))
        assert decision is not None
        memory = decision.memory
    return len(inputs), time.perf_counter() - started


def all_closes() -> tuple[int, float]:
    """Closes of both panels with every input of the equity side, the modifier and the decision."""
    from processors.regime.machine import Memory, decide_close
    from processors.regime.modifier import modifier
    from processors.sessions.evidence import regime_inputs
    from processors.signals.panel import Panel
    from processors.signals.secondary import SecondaryPanel
    from topics.calibration import RegimeRules
    from topics.macro import Release
    from topics.times import DAY

    inputs, panel, memory, rules = _closes(1500), Panel(), Memory(), RegimeRules()
    secondary = SecondaryPanel(rules.signals)
    draw = np.random.default_rng(2)
    issues = draw.integers(500, 2500, (len(inputs), 2)).tolist()
    spent = 0.0
    for i, close in enumerate(inputs):
        ts = 1_420_000_000_000_000_000 + i * DAY
        for series in ("US_2Y", "DE_2Y", "US_10Y", "US_3M"):
            day = close.session_date.isoformat()
            actual = 2 + 0.1 * float(draw.random())
            secondary.release(Release(series_id=series, release_ts=ts, ref_period=day, actual=actual), True)
        closes = {
            "ADVN": float(issues[i][0]),
            "DECN": float(issues[i][1]),
            "SKEW": 120.0 + i % 7,
            "SPXTR": close.spx * (1 + i * 1e-4),
            "SPY": close.spx / 10,
            "XLRE": 30.0 + i % 5,
        }
        started = time.perf_counter()
        panel.update(close)
        found = secondary.commit(close.session_date, ts, closes, panel.signals, {}, None)
        points = modifier(rules.modifier, found.acting)
        decision = decide_close(rules, memory, regime_inputs(panel.signals), points.value)
        secondary.next_session()
        spent += time.perf_counter() - started
        assert decision is not None
        memory = decision.memory
    return len(inputs), spent


def _blocks(kind: str) -> list[Any]:
    """Blocks of 1,000 ticks, 200 of them a second."""
    from processors.signals.calendar import SessionCalendar
    from topics.market import VALUES
    from topics.ticks import MISSING, TickColumns

    start, n, blocks = SessionCalendar().open_ts(date(2018, 2, 1)), 1000, 60
    plain = ("VIX", "SPX", "VIX3M", "VVIX", "VX/2018-02-14", "VX/2018-03-21", "VX/2018-04-18")
    strips = tuple(f"SPX/2018-{m}/{r}/{k}" for m in ("02-16", "03-16") for r in "CP" for k in range(2400, 3200, 10))
    symbols = strips if kind == "options" else plain
    price = {"VIX": 14.0, "SPX": 2800.0, "VIX3M": 16.0, "VVIX": 95.0}
    draw, made = np.random.default_rng(3), []
    for b in range(blocks):
        code = draw.integers(0, len(symbols), n).astype(np.int32)
        base = np.array([price.get(s, 15.0) for s in symbols])[code] * (1 + draw.normal(0, 1e-4, n))
        values = {name: np.full(n, np.nan) for name in VALUES}
        if kind == "last":
            values["last"] = np.round(base, 2)
        else:
            values["bid"], values["ask"] = np.round(base, 2), np.round(base, 2) + 0.05
        if kind == "quotes":
            values["bid_size"], values["ask_size"] = draw.integers(1, 90, (2, n)).astype(float)
        ts = start + (np.arange(n, dtype=np.int64) + b * n) * 5_000_000
        made.append(
            TickColumns(
                market="US",
                event_ts=ts,
                symbols=symbols,
                symbol=code,
                sources=("bench",),
                source=np.zeros(n, dtype=np.int32),
                seq=np.full(n, MISSING, dtype=np.int64),
                recv_ts=np.full(n, MISSING, dtype=np.int64),
                values=values,
                official=np.zeros(n, dtype=np.bool_),
                invalid=np.zeros(n, dtype=np.bool_),
            )
        )
    return made


def _through(kind: str) -> tuple[int, float]:
    from processors.sessions.engine import Engine, Pace
    from processors.signals.calendar import SessionCalendar
    from topics.calibration import Calibration

    engine, blocks = Engine("US", Calibration(), SessionCalendar(), Pace()), _blocks(kind)
    started = time.perf_counter()
    for block in blocks:
        engine.ticks(block)
    return sum(len(block) for block in blocks), time.perf_counter() - started


def ticks_last() -> tuple[int, float]:
    """Last prices of indices and VX in blocks of 1,000 through the market's engine, marks each minute."""
    return _through("last")


def ticks_quotes() -> tuple[int, float]:
    """The same with bid, ask and sizes: order flow and books of VX advance too."""
    return _through("quotes")


def ticks_options() -> tuple[int, float]:
    """Quotes of 320 SPX options of two expiries: the strips advance."""
    return _through("options")


MEASURES: dict[str, Callable[[], tuple[int, float]]] = {
    measure.__name__: measure for measure in (core_closes, all_closes, ticks_last, ticks_quotes, ticks_options)
}
#: What a checkout without secondary signals has too.
COMMON = ("core_closes", "ticks_last", "ticks_quotes")


def _run(checkout: Path, measure: str) -> float:
    """Work a second of one measure in a fresh process of a checkout."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), "--measure", measure],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=True,
    )
    amount, seconds = json.loads(done.stdout)
    return float(amount / seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", choices=MEASURES, help="run one measure here and print [amount, seconds]")
    parser.add_argument("--against", type=Path, help="another checkout, measured round by round beside this one")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(MEASURES[given.measure]()))
        return
    rates: dict[tuple[str, str], list[float]] = {}
    for _ in range(given.rounds):
        for name in MEASURES:
            rates.setdefault(("here", name), []).append(_run(ROOT, name))
            if given.against and name in COMMON:
                rates.setdefault(("there", name), []).append(_run(given.against.resolve(), name))
    median = {key: statistics.median(values) for key, values in rates.items()}
    lines = ["| measure | a second | spread | against | ratio |", "|---|---:|---|---|---:|"]
    base = {"all_closes": "core_closes", "ticks_quotes": "ticks_last", "ticks_options": "ticks_last"}
    for name, measure in MEASURES.items():
        rate, values = median["here", name], rates["here", name]
        other = f"`{base[name]}`" if name in base else "-"
        ratio = f"{rate / median['here', base[name]]:.2f}" if name in base else "-"
        about = (measure.__doc__ or "").strip()
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        lines.append(f"| `{name}`: {about} | {rate:,.0f} | {spread} | {other} | {ratio} |")
        if ("there", name) in median:
            there = median["there", name]
            lines.append(f"| `{name}` in the other checkout | {there:,.0f} | | this one | {rate / there:.2f} |")
    text = "\n".join([f"`python tests/bench/signals.py`, medians of {given.rounds} rounds.", "", *lines, ""])
    TABLE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
