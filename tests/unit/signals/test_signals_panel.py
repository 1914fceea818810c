import json
import math
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import talib
from signals_support import (
    made_curves,
    random_closes,
    recorded_closes,
    recorded_settles,
    sessions_from,
    through_json,
)

from processors.signals import Panel, PanelParameters, SessionCalendar, SessionInputs, Signals, VxCurve

GOLDEN = Path(__file__).parent / "golden" / "panel_snapshot_v1.json"
FIRST = date(2015, 1, 5)
QUICK = PanelParameters(macd_min_bars=40, compression_sessions=20)


def made_inputs(n: int, seed: int) -> list[SessionInputs]:
    """Sessions of random prices, every kind of input missing now and then."""
    rng = np.random.default_rng(seed)
    vix, vix3m, vvix = (random_closes(n, seed + i, scale) for i, scale in enumerate((18.0, 20.0, 95.0)))
    spx = random_closes(n, seed + 9, 3000.0)
    inputs = []
    for i, curve in enumerate(made_curves(n, seed, FIRST)):
        here = rng.random(5) > 0.03
        inputs.append(
            SessionInputs(
                curve.session_date,
                vix=vix[i].item() if here[0] else None,
                vix3m=vix3m[i].item() if here[1] else None,
                vvix=vvix[i].item() if here[2] else None,
                spx=spx[i].item() if here[3] else None,
                curve=curve if here[4] else None,
            )
        )
    return inputs


def simple_inputs(n: int) -> list[SessionInputs]:
    """Sessions by a rule of whole numbers, the same on every machine."""
    inputs = []
    for i, curve in enumerate(made_curves(n, 0, FIRST)):
        # Not the random prices: contract k of session i gets cents by arithmetic.
        settles = tuple((1500 + 40 * k + (i * 37 + k * 11) % 301) / 100 for k in range(len(curve)))
        inputs.append(
            SessionInputs(
                curve.session_date,
                vix=(1400 + i * 53 % 701) / 100,
                vix3m=(1650 + i * 31 % 401) / 100,
                vvix=(8500 + i * 71 % 2903) / 100,
                spx=(200_000 + i * 7919 % 9001) / 100 if i % 17 else None,
                curve=VxCurve(curve.session_date, curve.expiries, settles) if i % 23 else None,
            )
        )
    return inputs


def committed(inputs: list[SessionInputs], parameters: PanelParameters | None = None) -> list[Signals]:
    panel = Panel(parameters)
    signals = []
    for session in inputs:
        panel.update(session)
        signals.append(panel.signals)
    return signals


def assert_close(ours: Signals, expected: Signals) -> None:
    """Equal, up to the last digits of the platform's logarithm."""
    a, b = ours.as_features(), expected.as_features()
    assert list(a) == list(b)
    for name, value in a.items():
        assert value == (pytest.approx(b[name], rel=1e-12) if isinstance(value, float) else b[name]), name


def test_an_empty_panel_has_no_signals() -> None:
    panel = Panel()
    assert panel.session_date is None
    assert panel.signals == Signals()
    assert panel.signals.as_features() == {"macd_acting": False}
    assert Panel.restore(through_json(panel.snapshot())).snapshot() == panel.snapshot()


def test_a_session_by_hand() -> None:
    panel = Panel()
    panel.update(SessionInputs(date(2020, 2, 21), vix=17.08, vix3m=18.0, vvix=100.0, spx=3337.75))
    monday = panel.peek(SessionInputs(date(2020, 2, 24), vix=25.03, vix3m=22.75))
    assert monday.vix_change == pytest.approx(25.03 / 17.08 - 1, rel=1e-12)
    assert monday.ratio == pytest.approx(25.03 / 22.75, rel=1e-12)
    assert (monday.spx, monday.vvix, monday.slope, monday.rv21) == (None,) * 4
    assert monday.as_features() == {
        "vix": 25.03,
        "vix3m": 22.75,
        "vix_change": monday.vix_change,
        "ratio": monday.ratio,
        "macd_acting": False,
    }
    assert panel.session_date == date(2020, 2, 21)


def test_every_signal_appears_once_all_inputs_have_been_there_long_enough() -> None:
    features = committed([s for s in made_inputs(400, seed=1) if None not in (s.vix, s.spx, s.curve)])[-1].as_features()
    assert set(features) | {"macd_cross", "vix3m", "vvix", "ratio", "cm30"} == {field.name for field in fields(Signals)}
    assert [name for name in Signals.__slots__ if name in features] == list(features)


@pytest.mark.parametrize("seed", range(3))
def test_a_peek_is_what_the_update_commits_and_leaves_no_trace(seed: int) -> None:
    panel = Panel(QUICK)
    for session in made_inputs(150, seed):
        before = panel.snapshot()
        for other in (replace(session, vix=99.0, spx=1.0), replace(session, curve=None)):
            panel.peek(other)
        peeked = panel.peek(session)
        assert panel.snapshot() == before
        panel.update(session)
        assert panel.signals == peeked
        assert panel.session_date == session.session_date


def test_the_committed_signals_are_those_of_the_statistics_themselves() -> None:
    panel = Panel(QUICK)
    for session in made_inputs(150, seed=4):
        panel.update(session)
        s = panel.signals
        macd = panel._macd.value if session.vix else None
        assert s.vix_change == (panel._change.value if session.vix else None)
        assert (s.macd, s.macd_last_cross) == ((macd.macd, macd.last_cross) if macd else (None, None))
        assert (s.rsi14, s.rv21) == ((panel._rsi.value, panel._realised.value) if session.spx else (None, None))
        assert s.bear_steepening == (panel._steepening.value if session.curve else None)
        assert s.compressed == (panel._compression.value if session.curve else None)


def test_a_missing_session_is_missing_and_the_next_goes_on_from_the_last_known_close() -> None:
    inputs = [s for s in made_inputs(300, seed=6) if None not in (s.vix, s.spx, s.curve)]
    gap = 200
    holed = [*inputs[:gap], SessionInputs(inputs[gap].session_date, vvix=90.0), *inputs[gap + 1 :]]
    signals = committed(holed, QUICK)
    assert signals[gap].as_features() == {"vvix": 90.0, "macd_acting": False}
    # The sessions around the gap are as if the session had never been.
    assert signals[gap + 1 :] == committed(inputs[:gap] + inputs[gap + 1 :], QUICK)[gap:]
    expected = inputs[gap + 1].vix / inputs[gap - 1].vix - 1
    assert signals[gap + 1].vix_change == pytest.approx(expected, rel=1e-12)


def test_an_empty_curve_is_a_missing_curve() -> None:
    inputs = made_inputs(80, seed=7)
    i = next(i for i in range(60, 80) if inputs[i].curve)
    empty = replace(inputs[i], curve=VxCurve(inputs[i].session_date, (), ()))
    missing = replace(inputs[i], curve=None)
    assert committed([*inputs[:i], empty, *inputs[i + 1 :]]) == committed([*inputs[:i], missing, *inputs[i + 1 :]])


def test_a_session_cannot_be_counted_twice_and_a_refused_call_leaves_no_trace() -> None:
    panel = Panel()
    inputs = made_inputs(30, seed=8)
    for session in inputs:
        panel.update(session)
    before = panel.snapshot()
    for again in (inputs[-1], inputs[10]):
        for call in (panel.update, panel.peek):
            with pytest.raises(ValueError, match=f"session {again.session_date} is not after"):
                call(again)
    assert panel.snapshot() == before


@pytest.mark.parametrize("name", ["vix", "vix3m", "vvix", "spx"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_a_price_that_is_none_is_refused_by_name(name: str, bad: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be a finite number above 0, got {bad}"):
        SessionInputs(FIRST, **{name: bad})


def test_a_curve_of_another_session_is_refused() -> None:
    with pytest.raises(ValueError, match="hold the curve of 2019-06-03"):
        SessionInputs(FIRST, curve=VxCurve(date(2019, 6, 3), (), ()))


def test_a_restored_panel_goes_on_bit_for_bit_from_any_session() -> None:
    inputs = made_inputs(160, seed=9)
    whole = committed(inputs, QUICK)
    running = Panel(QUICK)
    for cut in range(0, len(inputs), 7):
        restored = Panel.restore(through_json(running.snapshot()))
        assert (restored.signals, restored.session_date) == (running.signals, running.session_date)
        for session, expected in zip(inputs[cut:], whole[cut:], strict=True):
            assert restored.peek(session) == expected
            restored.update(session)
            assert restored.signals == expected
        for session in inputs[cut : cut + 7]:
            running.update(session)


def test_a_snapshot_is_a_few_kilobytes() -> None:
    panel = Panel()
    for session in made_inputs(700, seed=10):
        panel.update(session)
    assert len(json.dumps(panel.snapshot(), separators=(",", ":"))) < 8_000


@pytest.mark.parametrize("version", [0, 2, 17])
def test_a_snapshot_of_another_version_is_refused_by_number(version: int) -> None:
    with pytest.raises(ValueError, match=f"version {version} cannot be read"):
        Panel.restore({**Panel().snapshot(), "version": version})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"version": "1"}, "'version' must be an integer"),
        ({"version": True}, "'version' must be an integer"),
        ({"session": "yesterday"}, "'session' must be an ISO date"),
        ({"session": 20200102}, "'session' must be an ISO date"),
        ({"signals": []}, "'signals' must be an object"),
        ({"signals": {"vix": "18"}}, "signal 'vix' must be a number"),
        ({"signals": {"vix": True}}, "signal 'vix' must be a number"),
        ({"signals": {"vix": math.nan}}, "signal 'vix' must be a finite number"),
        ({"signals": {"inverted": 1}}, "signal 'inverted' must be true or false"),
        ({"signals": {"macd_cross": "up"}}, "crossover must be"),
        ({"signals": {"vixx": 18.0}}, "no signals are called"),
        ({"macd": None}, "'macd' must be an object"),
        ({"realised": {"n": 21, "last": 1.0, "returns": "x"}}, "'returns' must be an array"),
        ({"realised": {"n": 21, "last": 1.0, "returns": [None]}}, "'returns' must be an array of numbers"),
    ],
)
def test_a_malformed_snapshot_is_refused_by_key(bad: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Panel.restore({**Panel().snapshot(), **bad})


@pytest.mark.parametrize("key", sorted(Panel().snapshot()))
def test_an_incomplete_snapshot_is_refused_by_key(key: str) -> None:
    with pytest.raises(ValueError, match=f"no key '{key}'"):
        Panel.restore({k: v for k, v in Panel().snapshot().items() if k != key})


def test_snapshots_written_by_the_first_version_can_still_be_read() -> None:
    # Written once, after 60 sessions, and never again: what is in the field must stay readable.
    golden = json.loads(GOLDEN.read_text())
    restored = Panel.restore(golden)
    assert through_json(restored.snapshot()) == golden
    inputs = simple_inputs(90)
    signals = committed(inputs, QUICK)
    assert restored.session_date == inputs[59].session_date
    assert_close(restored.signals, signals[59])
    for session, expected in zip(inputs[60:], signals[60:], strict=True):
        restored.update(session)
        assert_close(restored.signals, expected)


@pytest.mark.data
def test_a_panel_over_the_recorded_history_equals_the_batch_computations() -> None:
    sessions = SessionCalendar().sessions(date(2004, 1, 2), date(2019, 12, 31))
    vix, spx, vix3m = (
        recorded_closes(name)
        for name in (
            "vol-indices/vix_ohlc_1990_2019.csv",
            "spx/spx_daily_ohlc_2000_2019.csv",
            "vol-indices/vix3m_ohlc_2009_2019.csv",
        )
    )
    days = recorded_settles()
    inputs = [
        SessionInputs(
            day,
            vix=vix.get(day),
            vix3m=vix3m.get(day),
            spx=spx.get(day),
            curve=VxCurve.from_settles(day, days[day]) if day in days else None,
        )
        for day in sessions
    ]
    ours = pd.DataFrame([signals.as_features() for signals in committed(inputs)], index=sessions)

    vix, spx = vix[vix.index.isin(sessions)], spx[spx.index.isin(sessions)]
    assert len(spx) == len(sessions) == 4027
    batch = pd.DataFrame(index=sessions)
    batch["vix_change"] = vix.pct_change()
    batch["ratio"] = vix / vix3m.reindex(vix.index)
    batch["rv21"] = np.log(spx).diff().rolling(21).std() * np.sqrt(252) * 100
    batch["rsi14"] = pd.Series(talib.RSI(spx.to_numpy(), 14), index=spx.index)
    for name, line in zip(("macd", "macd_signal", "macd_hist"), talib.MACD(vix.to_numpy(), 12, 26, 9), strict=True):
        batch[name] = pd.Series(line, index=vix.index)
    for name in batch:
        assert ours[name].isna().equals(batch[name].isna()), name
        assert (ours[name] - batch[name]).abs().max() < 1e-9, name
    assert (ours["slope"] > 0).mean() > 0.7  # contango on most days


def test_the_calendar_of_the_made_sessions_is_the_real_one() -> None:
    assert [s.session_date for s in made_inputs(10, seed=0)] == sessions_from(FIRST, 10)
