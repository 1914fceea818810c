"""Sixteen years of real curves with a hedge on them: what its events keep to, and what it earned and cost.

One replay serves all tests. It holds the data set's portfolio of 1,000,000 USD and one a hundred times as large, in
which whole contracts matter little. Options are modelled throughout: no chain was recorded.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from processors.coverage import read_states
from processors.replay import replay
from processors.study.follow import Followed, follow
from processors.study.read import read_events
from processors.study.show import tables
from processors.study.table import ALL, TOTAL, Row, rows
from topics.calibration import Calibration
from topics.hedge_rules import Sleeve
from topics.instrument import parse_symbol
from topics.message import STATES
from topics.rebalance import Package, Rebalance, Trade
from topics.regime import Regime

pytestmark = [pytest.mark.data, pytest.mark.timeout(1800)]

FIRST, LAST = date(2004, 1, 2), date(2019, 12, 31)
SMALL, LARGE = "spx-1m", "spx-100m"
CALIBRATION = Calibration()
RULES = CALIBRATION.hedge
LAYERS: tuple[Sleeve, ...] = ("L1", "L2", "L3", "TT")
#: The decimals that attributions are exact on.
GRID = Decimal("1E-12")
TOLERANCE = 1e-9
STRESS = [date(2008, 10, 15), date(2010, 5, 20), date(2011, 8, 8), date(2015, 8, 24), date(2018, 2, 5)]
#: Early in 2004 and 2005 contracts of some months were not listed, and what was held could not be rolled.
GAPS = {date(2004, 11, 17), date(2005, 3, 16), date(2005, 6, 15), date(2005, 8, 17)}


@pytest.fixture(scope="module")
def datasets() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    try:
        module = importlib.import_module("datasets")
    finally:
        sys.path.pop(0)
    if not module.available():
        if os.environ.get("ALVH_REQUIRE_DATA"):
            pytest.fail(f"ALVH_REQUIRE_DATA is set but there are no data sets in {module.data_directory()}")
        pytest.skip(f"no data sets in {module.data_directory()}; set ALVH_DATA")
    return module


@dataclass(frozen=True)
class Run:
    """A finished replay: its sessions, and events and study of each portfolio."""

    seconds: float
    states: list[Regime]
    events: dict[str, list[Rebalance]]
    raw: list[dict[str, Any]]
    studies: dict[str, Followed]


def read(out: Path, seconds: float = 0.0) -> Run:
    states, events = read_states(out), read_events(out)
    by_name = {name: [e for e in events if e.portfolio_id == name] for name in (SMALL, LARGE)}
    studies = {name: follow(RULES, states, mine) for name, mine in by_name.items()}
    lines = (out / "hedge.rebalances.jsonl").read_text().splitlines()
    return Run(seconds, states, by_name, [json.loads(line, parse_float=Decimal) for line in lines], studies)


@pytest.fixture(scope="module")
def run(datasets: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Run:
    recording = datasets.build_real(tmp_path_factory.mktemp("study") / "recording", FIRST, LAST)
    file = recording / "portfolios.jsonl"
    small = json.loads(file.read_text())
    assert small["portfolio_id"] == SMALL
    large = {**small, "portfolio_id": LARGE, "mv": "100000000.00", "cash": "10000000.00"}
    file.write_text("".join(json.dumps(each) + "\n" for each in (small, large)))
    out = recording.with_name("out")
    started = time.monotonic()
    replay(recording, out, CALIBRATION, progress=False, fills="modelled")
    return read(out, time.monotonic() - started)


@pytest.fixture(scope="module")
def expiries(datasets: ModuleType) -> set[date]:
    """Final settlement dates of the contracts that there were."""
    table = pd.read_csv(datasets.data_directory() / "vix-futures/vx_contracts_2004_2019.csv.gz")
    return {date.fromisoformat(day) for day in table.expiry.unique()}


def every(run: Run) -> Iterator[Rebalance]:
    for events in run.events.values():
        yield from events


def opens(leg: Trade) -> bool:
    return abs(leg.target) > abs(leg.held)


def days(event: Rebalance, leg: Trade) -> int:
    expiry = parse_symbol(leg.symbol).expiry
    assert expiry is not None
    return (expiry - event.session_date).days


def table(found: Followed) -> dict[tuple[str, str], Row]:
    return {(row.period, row.part): row for row in rows(found)}


def show(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")


def test_the_table_by_year(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    shown = StringIO()
    Console(file=shown, width=150).print(tables(list(run.studies.values())))
    counts = ", ".join(f"{name} {len(events)} events" for name, events in run.events.items())
    show(f"{len(run.states)} sessions in {run.seconds:.1f} s, {counts}\n{shown.getvalue()}", capsys)
    for found in run.studies.values():
        assert found.differences == 0
        total = table(found)[TOTAL, ALL]
        balance = sum(found.value.values()) + sum(found.cash.values())
        assert total.pnl == pytest.approx(balance, abs=0.01)
        assert total.unmarked == 0


def test_each_state_occurs_and_has_events(run: Run) -> None:
    assert {regime.state for regime in run.states} == set(STATES)
    for events in run.events.values():
        assert {event.state for event in events} == set(STATES)


def test_an_attribution_adds_up_exactly_in_every_event(run: Run) -> None:
    seen = 0
    for document in run.raw:
        vectors = document["vectors"]
        if "whole" not in vectors:
            assert document["attribution"] == []
            continue
        for layer in (*LAYERS, "R"):
            moved = sum((Decimal(m["change"]) for m in document["attribution"] if m["layer"] == layer), Decimal(0))
            held, whole = (Decimal(vectors[name][layer]).quantize(GRID) for name in ("held", "whole"))
            assert moved == whole - held, (document["session_date"], layer)
            seen += 1
    assert seen > 10_000


# Limits


def grown(event: Rebalance) -> set[str]:
    """Layers that weigh more after the trade than before it."""
    held, whole = event.vectors.get("held"), event.vectors.get("whole")
    if held is None or whole is None:
        return set()
    return {layer for layer in LAYERS if whole[layer] > held[layer] + TOLERANCE}


def beyond(event: Rebalance) -> dict[str, float]:
    """Limits that the trade leads beyond, and further than what was held: name to value, of trades that add."""
    found = {}
    for bound, most in event.limits.items():
        name, _, kind = bound.rpartition("_")
        if kind not in ("max", "min") or name not in event.limits:
            continue
        sign = 1.0 if kind == "max" else -1.0
        value, before = event.limits[name], event.limits_before.get(name)
        worse = before is None or sign * (value - before) > TOLERANCE
        if sign * (value - most) > TOLERANCE and worse and grown(event):
            found[name] = value
    return found


def rolled(event: Rebalance) -> bool:
    """Whether Layer 1 keeps its number of contracts while it is rolled."""
    legs = [leg for leg in event.trades if leg.layer == "L1"]
    sold = sum(leg.quantity for leg in legs if leg.side == "sell")
    return bool(legs) and sold == sum(leg.quantity for leg in legs if leg.side == "buy")


def at_fault(event: Rebalance, limit: str) -> bool:
    """Whether a layer that has grown is to blame: of a share of the whole that is the largest layer."""
    if limit != "share":
        return True
    whole = event.vectors["whole"]
    largest = max(("L1", "L2", "L3"), key=lambda layer: whole[layer])  # type: ignore[index]
    return largest in grown(event)


def test_no_trade_that_adds_leads_beyond_a_limit(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A roll that keeps its number of futures may cost more, and lose more, by what each of them is worth more."""
    counted: Counter[tuple[str, str]] = Counter()
    for name, events in run.events.items():
        for event in events:
            for limit in beyond(event):
                if at_fault(event, limit):
                    assert limit in ("carry", "stress_share"), (name, event.session_date, limit)
                    assert rolled(event), (name, event.session_date, limit)
                    counted[name, limit] += 1
    show(f"rolls of futures that end beyond a limit, further than before: {dict(counted)}", capsys)


def test_layer_1_aims_at_its_hard_band_in_low(run: Run) -> None:
    least, most = RULES.l1_low
    for event in every(run):
        if event.state == "low" and not event.blocked:
            assert least - TOLERANCE <= event.targets["L1"] <= most + TOLERANCE, event.session_date


# Rolls and windows


def lowest(layer: str, dte: int) -> int:
    """Days to expiry below which a layer rolls what it holds; Layer 3 rolls its tail later."""
    own = RULES.windows[layer]  # type: ignore[index]
    tail = RULES.convexity.tail_window
    if layer == "L3" and tail.dte_max is not None and dte <= tail.dte_max:
        return tail.dte_min
    return own.dte_min if own.roll_dte is None else own.roll_dte


def test_what_is_opened_lies_in_the_window_of_its_layer_and_on_a_real_expiry(run: Run, expiries: set[date]) -> None:
    curves = {regime.session_date: {point.symbol for point in regime.curve} for regime in run.states}
    seen: Counter[str] = Counter()
    for event in every(run):
        for leg in filter(opens, event.trades):
            dte, own, tail = days(event, leg), RULES.windows[leg.layer], RULES.convexity.tail_window  # type: ignore[index]
            inside = [(max(own.dte_min, own.roll_dte or 0), own.dte_max)]
            if leg.layer == "L3":
                inside.append((tail.dte_min, tail.dte_max))
            place = (event.session_date, leg.symbol, dte)
            assert any(least <= dte and (most is None or dte <= most) for least, most in inside), place
            assert leg.expiry in expiries, place
            assert f"VX/{leg.expiry}" in curves[event.session_date], place
            seen[leg.layer] += 1
    assert min(seen[layer] for layer in LAYERS) > 0


def test_what_a_roll_closes_is_below_its_tenor_or_has_a_reason(run: Run) -> None:
    seen = 0
    for event in every(run):
        for number, package in enumerate(event.packages):
            if package.action != "roll":
                continue
            for leg in event.trades:
                if leg.package == number and not opens(leg):
                    dte = days(event, leg)
                    assert dte < lowest(package.layer, dte) or reason(package, leg) not in ("", "rolled"), (
                        event.session_date,
                        leg.symbol,
                        package.reason,
                    )
                    seen += 1
    assert seen > 500


def reason(package: Package, leg: Trade) -> str:
    """Why a leg is closed, as the package says of the lot that it belongs to; empty when it says nothing."""
    symbol = parse_symbol(leg.symbol)
    strike = leg.symbol.rpartition("/")[2]
    for words in package.reason.split("; "):
        name, found, why = words.partition(": ")
        if not found or f"/{symbol.expiry}" not in name:
            continue
        if symbol.kind == "future" or strike in name.split("/")[3:]:
            return why
    return ""


def settled(events: list[Rebalance]) -> list[tuple[str, str, int]]:
    """What was held at its expiry: layer, symbol and how many, by the events alone."""
    held: dict[tuple[str, str], int] = {}
    found = []
    for event in events:
        for key in [key for key in held if (parse_symbol(key[1]).expiry or event.session_date) < event.session_date]:
            if quantity := held.pop(key):
                found.append((*key, quantity))
        for leg in event.trades:
            held[leg.layer, leg.symbol] = leg.target
    return found


def test_nothing_but_calls_of_the_tail_is_held_at_its_expiry_where_there_was_something_to_roll_into(run: Run) -> None:
    for name, events in run.events.items():
        found = settled(events)
        for layer, symbol, quantity in found:
            if layer == "L3":
                assert quantity > 0, (name, symbol)
                assert (layer, symbol.rpartition("/")[0]) not in {
                    (other, each.rpartition("/")[0]) for other, each, n in found if n < 0
                }
            else:
                assert parse_symbol(symbol).expiry in GAPS, (name, symbol)


def test_no_event_deals_a_contract_both_ways_within_a_layer(run: Run) -> None:
    for event in every(run):
        legs = [(leg.layer, leg.symbol) for leg in event.trades]
        assert len(set(legs)) == len(legs), event.session_date


# What it is for


@pytest.mark.parametrize("day", STRESS)
def test_in_a_panic_the_state_is_high_and_the_week_up_to_it_paid(
    run: Run, day: date, capsys: pytest.CaptureFixture[str]
) -> None:
    assert next(regime.state for regime in run.states if regime.session_date == day) == "high"
    for name, found in run.studies.items():
        at = next(number for number, session in enumerate(found.sessions) if session.session_date == day)
        week = found.sessions[at - 4 : at + 1]
        by_layer: Mapping[str, int] = {s: round(sum(each.earned[s].pnl for each in week)) for s in LAYERS}
        show(f"{day} {name}: day {week[-1].pnl:,.0f}, five sessions {sum(s.pnl for s in week):,.0f} {by_layer}", capsys)
        assert sum(session.pnl for session in week) > 0.0
        assert week[-1].pnl > 0.0


@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_in_the_worst_sessions_of_every_year_it_paid_and_over_all_of_them_it_cost(run: Run, name: str) -> None:
    found = table(run.studies[name])
    for year in range(FIRST.year, LAST.year + 1):
        assert found[str(year), ALL].worst > 0.0, year
    total = found[TOTAL, ALL]
    assert total.pnl < 0.0
    assert total.carry < 0.0
    assert total.dealing > 0.0
    assert total.offset is not None
    assert 0.0 < total.offset < RULES.exposure_max
