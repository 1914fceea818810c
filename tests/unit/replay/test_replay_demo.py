"""The demo: to its end without a terminal, on a terminal, and interrupted."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from datetime import date
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest
from rich.console import Console

from processors.demo import FIRST, LAST, SHOCK, _Play, _timetable, demo
from processors.errors import UserError
from processors.feeds.history import sessions
from processors.feeds.pace import Timetable
from processors.replay import replay
from processors.view import View, packages_text, printable, sparkline, study_text
from topics.calibration import Calibration

_DEMO = """
import sys, warnings
warnings.simplefilter("error")
from datetime import date
from processors.demo import demo
sys.exit(demo(first=date(2018, 1, 2), last=date(2018, 3, 29)))
"""


def start(tmp_path: Path, **given: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "120", "LINES": "40", "TERM": "xterm-256color"}
    return subprocess.Popen([sys.executable, "-c", _DEMO], text=True, env=environment, **given)  # type: ignore[call-overload, no-any-return]


def leftovers(tmp_path: Path) -> list[str]:
    return [file.name for file in tmp_path.iterdir() if file.name.startswith("alvh-demo-")]


def test_without_a_terminal_it_runs_through_and_sums_up(tmp_path: Path) -> None:
    child = start(tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors
    assert errors == ""
    assert "no investment advice" in output
    assert re.search(r"2018-02-05\s+regime\s+\w+ -> high", output)
    assert re.search(r"2018-02-0\d\s+rebalance", output)
    assert "2018-02-05  SPX  2648.94  VIX 37.32" in output
    assert re.search(r"61 sessions, \d+ changes of state, \d+ rebalances", output)
    assert "alvh tail hedge.rebalances" in output
    assert "alvh explain --last" in output
    assert "option prices are modelled" in output
    lines = [line for line in output.splitlines() if "  rebalance  " in line]
    assert lines
    assert all("  rebalance  study: L1 " in line and len(line) < 200 for line in lines)
    for layer in ("L1", "L2", "L3"):
        assert any(re.search(rf"; .*{layer} (open|roll) \d", line) for line in lines)
    assert "\x1b" not in output
    assert leftovers(tmp_path) == []
    again = start(tmp_path, stdout=subprocess.PIPE).communicate(timeout=120)[0]
    digest = re.compile(r"sha256:[0-9a-f]{64}")
    assert digest.findall(again) == digest.findall(output) != []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    master, slave = pty.openpty()
    child = start(tmp_path, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = _read_until(master, "playing", 60)
    assert "playing" in seen
    assert len(leftovers(tmp_path)) == 1
    children = psutil.Process(child.pid).children(recursive=True)
    child.send_signal(number)
    seen = _read_until(master, "temporary files are gone", 30)
    assert child.wait(timeout=30) == 130
    assert "Interrupted" in seen
    os.close(master)
    assert leftovers(tmp_path) == []
    assert children == []


def _read_until(terminal: int, word: str, seconds: float) -> str:
    seen, end = "", time.monotonic() + seconds
    while word not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                seen += os.read(terminal, 65_536).decode(errors="replace")
            except OSError:  # the other side has closed
                break
    return seen


def test_a_terminal_gets_a_live_view_and_the_svg_fetches_nothing(tmp_path: Path) -> None:
    text = StringIO()
    console = Console(file=text, force_terminal=True, width=120, height=45, legacy_windows=False)
    file = tmp_path / "view.svg"
    assert demo(first=date(2018, 1, 25), last=date(2018, 2, 16), speed=2.0, svg=file, console=console) == 0
    for word in ("VX curve, modelled", "layers, share of hedge notional", "slow motion", "the end"):
        assert word in text.getvalue()
    svg = file.read_text()
    ElementTree.fromstring(svg)
    assert "2018-02-16" in svg.replace("&#160;", " ")
    assert "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "font-face" not in svg
    assert "url(" not in svg.replace("url(#", "")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"first": date(2019, 6, 3), "last": date(2019, 6, 30)}, "2014-01-03 to 2018-12-31"),
        ({"first": date(2018, 2, 5), "last": date(2018, 2, 5)}, "at least 2"),
        ({"speed": 0.0}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"svg": Path("/no/such/folder/x.svg")}, "no directory"),
    ],
)
def test_what_cannot_be_shown(given: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        demo(**given)  # type: ignore[arg-type]


def test_the_default_takes_half_a_minute_and_slows_down_in_the_shock() -> None:
    days = sessions(FIRST, LAST)
    table = _timetable(days, 1.0)
    assert 30 <= table._seconds[-1] <= 45
    steps = dict(zip(days, table._seconds[1:] - table._seconds[:-1], strict=True))
    assert steps[date(2018, 2, 5)] > 10 * steps[date(2017, 7, 3)]
    assert steps[SHOCK[1]] == pytest.approx(steps[SHOCK[0]])


def test_a_timetable_runs_from_moment_to_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [50.0]
    monkeypatch.setattr("processors.feeds.pace.time.monotonic", lambda: now[0])
    monkeypatch.setattr("processors.feeds.pace.time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    second = 10**9
    table = Timetable([1000 * second, 2000 * second, 2100 * second], [0.0, 1.0, 2.0])
    assert table.reached() == 1000 * second
    assert table.wait(900 * second, lambda: False)
    assert now == [50.0]
    assert table.wait(1500 * second, lambda: False)
    assert now[0] == pytest.approx(50.5, abs=0.03)
    assert table.wait(2050 * second, lambda: False)
    assert now[0] == pytest.approx(51.5, abs=0.03)
    assert not table.wait(2090 * second, lambda: True)
    assert table.wait(9000 * second, lambda: False)
    with pytest.raises(ValueError, match="as many of both"):
        Timetable([], [])


def test_an_empty_view_can_be_drawn() -> None:
    console = Console(file=StringIO(), width=120, record=True)
    console.print(View().render())
    assert "regime" in console.export_text()


def _trade(package: int, layer: str, symbol: str, held: int, target: int) -> dict[str, object]:
    of = {"package": package, "layer": layer, "symbol": symbol, "held": held, "target": target}
    return of | {"side": "buy" if target > held else "sell", "quantity": abs(target - held)}


def test_packages_in_a_line() -> None:
    document = {
        "status": "study",
        "packages": [
            {"layer": "L1", "action": "close", "kind": "future", "units": 0},
            {"layer": "L2", "action": "roll", "kind": "call_spread", "units": 5},
            {"layer": "L3", "action": "open", "kind": "call", "units": 1},
            {"layer": "TT", "action": "close", "kind": "mixed", "units": 0},
        ],
        "trades": [
            _trade(0, "L1", "VX/2018-03-21", 3, 2),
            _trade(1, "L2", "VIX/2018-05-16/C/20", 0, 5),
            _trade(1, "L2", "VIX/2018-05-16/C/30", 0, -5),
            _trade(2, "L3", "VIX/2018-09-19/C/30", 0, 1),
            _trade(3, "TT", "VIX/2018-03-21/C/25", -4, 0),
            _trade(3, "TT", "VIX/2018-03-21/C/30", 6, 0),
        ],
    }
    words = "L1 close 1 future, L2 roll 5 call spreads, L3 open 1 call, TT close 2 legs"
    assert packages_text(document) == words
    assert packages_text({"packages": [], "trades": []}) == "no trade"
    assert study_text(document) == "study: "
    assert study_text({"status": "pending"}) == ""


def test_what_is_held_is_shown_by_layer() -> None:
    view = View()
    trades = [
        _trade(0, "L1", "VX/2018-03-21", 0, 16),
        _trade(1, "L2", "VIX/2018-05-16/C/20", 0, 40),
        _trade(1, "L2", "VIX/2018-05-16/C/30", 0, -40),
        _trade(2, "L3", "VIX/2018-03-21/C/30", 0, 1200),
        _trade(2, "L3", "VIX/2018-09-19/C/30", 0, 7),
        _trade(3, "TT", "VIX/2018-12-19/C/30", 0, 2),
        _trade(3, "TT", "VIX/2019-01-16/C/30", 0, 2),
    ]
    document = {"trades": trades, "targets": {}, "packages": [], "status": "study", "event_ts": "2018-02-05T21:15:00Z"}
    view.take("hedge.rebalances", document)
    console = Console(file=StringIO(), width=120, record=True)
    console.print(view.render())
    shown = [" ".join(line.split()) for line in console.export_text().splitlines()]
    for words in (
        "L1 +16 futures Mar 2018",
        "L2 +40 -40 calls May 2018",
        "L3 +1,207 calls Mar to Sep 2018",
        "TT +4 calls Dec 2018 to Jan 2019",
    ):
        assert any(words in line for line in shown), words
    view.take("hedge.rebalances", document | {"trades": [_trade(0, "L1", "VX/2018-03-21", 16, 0)]})
    assert ("L1", "VX/2018-03-21") not in view.held


def test_sparkline_and_printable() -> None:
    assert sparkline([]) == ""
    assert sparkline([1.0, 1.0]) == "▁▁"
    assert sparkline([0.0, 7.0, 3.5]) == "▁█▄"
    assert printable("a\x1b[0m\u200bb") == "a\\x1b[0m\\x200bb"


def test_the_running_system_puts_out_what_a_replay_does(tmp_path: Path) -> None:
    first, last = date(2018, 1, 25), date(2018, 2, 16)
    play = _Play(tmp_path, sessions(first, last), None, Console(file=StringIO()))
    play.run()
    replayed = replay(tmp_path / "recording", tmp_path / "out", Calibration(), progress=False, regimes=True)
    written = {
        topic: (tmp_path / "out" / f"{topic}.jsonl").read_bytes().splitlines(keepends=True) for topic in play._lines
    }
    for topic in ("hedge.regimes", "regime.transitions", "hedge.rebalances"):
        assert play._lines[topic] == written[topic], topic
    assert sorted(play._lines["alerts"]) == sorted(written["alerts"])
    assert replayed.outputs["hedge.rebalances"] > 10
