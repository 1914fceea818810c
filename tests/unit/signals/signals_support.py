"""What the tests of the signals share: series, curves and the recorded data."""

import json
import os
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

from processors.signals import SessionCalendar, VxCurve, vx_expiries

REPOSITORY = Path(__file__).resolve().parents[3]

# No deadline: the machine may be busy. Derandomised: a test that fails must fail again.
generated = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def recorded(name: str) -> pd.DataFrame:
    """A recorded data set as text and numbers, or a loud skip when it is not on this machine."""
    path = Path(os.environ.get("ALVH_DATA", REPOSITORY / ".." / "shared" / "data")) / name
    if not path.exists():
        pytest.skip(f"RECORDED DATA MISSING: {path} is not there; set ALVH_DATA to the folder of the data sets")
    return _read(path)


@cache
def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, low_memory=False)


def recorded_closes(name: str) -> pd.Series:
    """The close column of a recorded daily file, indexed by date."""
    frame = recorded(name)
    return pd.Series(frame["close"].to_numpy(float), index=[date.fromisoformat(d) for d in frame["date"]]).dropna()


def recorded_settles() -> dict[date, dict[date, float]]:
    """{trade date: {expiry: settle}} of every recorded VX contract, weeklies included."""
    frame = recorded("vix-futures/vx_contracts_2004_2019.csv.gz")
    frame = frame[~frame["flag"].fillna("").str.contains("suspect_settle")]
    days: dict[date, dict[date, float]] = {}
    for day, expiry, settle in zip(frame["trade_date"], frame["expiry"], frame["settle"], strict=True):
        days.setdefault(date.fromisoformat(day), {})[date.fromisoformat(expiry)] = float(settle)
    return days


def random_closes(n: int, seed: int, scale: float = 20.0) -> np.ndarray:
    """A positive random walk with jumps, ties and quiet stretches, in cents as quoted."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0, 0.03, n) * (rng.random(n) < 0.8) + rng.normal(0, 0.2, n) * (rng.random(n) < 0.02)
    level = np.zeros(n)
    for i in range(1, n):
        level[i] = 0.98 * level[i - 1] + returns[i]
    return np.round(scale * np.exp(level), 2)


def sessions_from(first: date, n: int) -> list[date]:
    """`n` sessions from `first` on."""
    return SessionCalendar().sessions(first, first + timedelta(days=2 * n + 20))[:n]


def made_curves(n: int, seed: int, first: date = date(2015, 1, 5), contracts: int = 9) -> list[VxCurve]:
    """Curves of `n` successive sessions, contract prices walking on their own."""
    rng = np.random.default_rng(seed)
    price: dict[date, float] = {}
    curves = []
    for session in sessions_from(first, n):
        expiries = vx_expiries(session + timedelta(days=1), session + timedelta(days=400))[:contracts]
        shock = rng.normal(0, 0.5)
        for rank, expiry in enumerate(expiries):
            drawn = price.get(expiry, 16.0 + 0.5 * rank) + shock / (rank + 1) + rng.normal(0, 0.1)
            price[expiry] = round(float(np.clip(drawn, 9.0, 80.0)), 2)
        curves.append(VxCurve.from_settles(session, {expiry: price[expiry] for expiry in expiries}))
    return curves


def through_json(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """What comes back of a snapshot that was written as strict JSON."""
    return json.loads(json.dumps(snapshot, allow_nan=False))


def run(statistic: Any, observations: Iterable[Any]) -> list[Any]:
    """The value after each observation."""
    values = []
    for observation in observations:
        statistic.update(observation)
        values.append(statistic.value)
    return values
