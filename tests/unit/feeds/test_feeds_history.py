"""The recorded history that comes with the package, and the modelled curve in it."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import date
from pathlib import Path

import pytest
from feeds_support import documents

from processors.errors import UserError
from processors.feeds.history import FIRST_SESSION, LAST_SESSION, closes, write_history
from processors.feeds.model_curve import CurveModel, Tendency
from processors.feeds.recorded import Recording
from processors.signals.calendar import SessionCalendar
from processors.signals.expiry import is_monthly
from topics.market import Tick
from topics.message import canonical_json
from topics.portfolio import Portfolio


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("history"))


def test_every_session_has_its_closes_at_the_real_time(history: Path) -> None:
    calendar = SessionCalendar()
    found: dict[str, set[str]] = defaultdict(set)
    with (history / "ticks.csv").open() as stream:
        for row in csv.DictReader(stream):
            found[row["symbol"]].add(row["event_ts"])
    days = calendar.sessions(FIRST_SESSION, LAST_SESSION)
    assert len(found["SPX"]) == len(found["VIX"]) == len(found["VIX3M"]) == len(days)
    assert "2017-11-24T18:00:00Z" in found["SPX"]  # an early close, 13:00 New York
    assert "2017-11-24T18:15:00Z" in found["VIX"]
    assert "2018-07-02T20:15:00Z" in found["VIX"]  # summer time
    assert "VVIX" not in found
    assert all(is_monthly(date.fromisoformat(symbol[3:])) for symbol in found if symbol.startswith("VX/"))


def test_every_row_is_a_valid_official_tick_and_says_where_it_is_from(history: Path) -> None:
    rows = documents(Recording(history))
    ticks = [Tick.model_validate_json(canonical_json(row)) for row in rows if "symbol" in row][::17]
    assert all(tick.official for tick in ticks)
    real = {"SPX": "arch.data.sp500", "VIX": "arch.data.vix"}
    assert all(tick.source == real.get(tick.symbol, "model") for tick in ticks)
    assert rows[0]["portfolio_id"] == "demo"


def test_the_portfolio_is_a_study_from_its_first_session_on(tmp_path: Path) -> None:
    first, last = date(2018, 1, 2), date(2018, 1, 31)
    for hedged, since in ((None, first), (date(2018, 1, 16), date(2018, 1, 16))):
        folder = write_history(tmp_path / str(hedged), first, last, hedged)
        portfolio = Portfolio.model_validate_json((folder / "portfolios.jsonl").read_bytes())
        assert portfolio.fills == "modelled"
        assert portfolio.as_of == SessionCalendar().open_ts(since)


def test_the_real_closes_are_those_known(history: Path) -> None:
    assert closes("VIX")[date(2018, 2, 5)] == 37.32
    assert closes("SPX")[date(2018, 2, 5)] == pytest.approx(2648.94, abs=0.01)
    with pytest.raises(UserError, match="there are SPX and VIX"):
        closes("VVIX")


def test_a_window_does_not_change_its_values(tmp_path: Path, history: Path) -> None:
    part = write_history(tmp_path / "part", date(2018, 1, 2), date(2018, 3, 29))
    wanted = (part / "ticks.csv").read_text().splitlines()[1:]
    whole = set((history / "ticks.csv").read_text().splitlines())
    assert len(wanted) > 500
    assert set(wanted) <= whole


@pytest.mark.parametrize(
    ("first", "last"), [(date(2019, 2, 1), date(2019, 3, 1)), (date(2018, 3, 1), date(2018, 1, 1))]
)
def test_a_window_without_sessions(tmp_path: Path, first: date, last: date) -> None:
    with pytest.raises(UserError, match="2014-01-03 to 2018-12-31"):
        write_history(tmp_path, first, last)


def test_the_model_is_steep_in_calm_and_inverted_in_stress() -> None:
    model = CurveModel()
    tendency = Tendency(model)
    for _ in range(400):
        calm = tendency.update(11.0)
    curve = [model.future(11.0, calm, days) for days in (20, 50, 80, 110, 140, 170, 200)]
    assert curve == sorted(curve)
    assert curve[-1] / curve[0] > 1.3
    assert 11.0 / model.vix3m(11.0, calm) < 0.92
    shock = tendency.update(37.0)
    stressed = [model.future(37.0, shock, days) for days in (20, 50, 80, 110)]
    assert stressed == sorted(stressed, reverse=True)
    assert 37.0 / model.vix3m(37.0, shock) > 1.05
    assert model.future(20.0, calm, 0) == pytest.approx(20.0)


def test_the_tendency_of_a_constant_is_itself_with_the_premium() -> None:
    model = CurveModel()
    tendency = Tendency(model)
    for _ in range(5):
        level = tendency.update(20.0)
    assert level == pytest.approx(2.995732 + model.premium, abs=1e-6)
