"""From option quotes on the wire to legs that can be dealt on: recorded futures, with a quoted chain beside them."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from processors.hedge.model_chain import model_chain
from processors.replay import replay
from processors.signals.calendar import SessionCalendar
from processors.signals.curve import VxCurve
from topics.calibration import Calibration
from topics.instrument import parse_symbol
from topics.times import MINUTE, format_ts, parse_ts

pytestmark = pytest.mark.data

FIRST, LAST = date(2018, 1, 2), date(2018, 2, 28)
#: From this session on nobody quotes options any more.
SILENT = date(2018, 2, 16)


def _quotes(folder: Path) -> pd.DataFrame:
    """Bids and asks of VIX options and VX, a minute before the close of each session."""
    ticks = pd.read_csv(folder / "ticks.csv", dtype=str, keep_default_na=False)
    settled = ticks[ticks.symbol.str.startswith("VX/") & (ticks.settle != "")]
    vvix = ticks[ticks.symbol == "VVIX"]
    by_day = {row.event_ts[:10]: float(row.last) for row in vvix.itertuples()}
    calendar, rows = SessionCalendar(), []
    for day, group in settled.groupby(settled.event_ts.str[:10]):
        session = date.fromisoformat(str(day))
        if not FIRST <= session < SILENT:
            continue
        settles = {}
        for row in group.itertuples():
            expiry = parse_symbol(row.symbol).expiry
            assert expiry is not None
            if expiry > session:
                settles[expiry] = float(row.settle)
        curve = VxCurve.from_settles(session, settles)
        ts = calendar.vix_close_ts(session) - MINUTE
        chain = model_chain(curve, by_day.get(str(day), 90.0), ts, 0.0)
        for each in chain.expiries:
            rows.append((ts, f"VX/{each.expiry}", (each.forward or 0) - 0.025, (each.forward or 0) + 0.025))
            for k, strike in enumerate(each.strikes):
                for right, bids, asks in (("C", each.call_bid, each.call_ask), ("P", each.put_bid, each.put_ask)):
                    symbol = f"VIX/{each.expiry}/{right}/{strike:g}"
                    rows.append((ts, symbol, bids[k], asks[k]))
    frame = pd.DataFrame(rows, columns=["event_ts", "symbol", "bid", "ask"])
    frame["event_ts"] = [format_ts(int(ts)) for ts in frame.event_ts]
    frame["source"] = "feed"
    return frame


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Rebalances of a portfolio whose fills are assumed, and which is no study."""
    home = tmp_path_factory.mktemp("quoted")
    folder = datasets.build_real(home / "in", FIRST, LAST)
    ticks = pd.read_csv(folder / "ticks.csv", dtype=str, keep_default_na=False)
    both = pd.concat([ticks, _quotes(folder).astype(str)], ignore_index=True).fillna("")
    both = both.replace({"nan": "", "None": ""})
    both = both.assign(key=[parse_ts(ts) for ts in both.event_ts]).sort_values("key", kind="stable")
    both.drop(columns="key").to_csv(folder / "ticks.csv", index=False, lineterminator="\n")
    book = json.loads((folder / "portfolios.jsonl").read_text())
    book |= {"mv": "50000000.00", "cash": "5000000.00"}
    (folder / "portfolios.jsonl").write_text(json.dumps(book) + "\n")
    summary = replay(folder, home / "out", Calibration(), progress=False)
    assert "unreadable" not in summary.dead_letters
    lines = (home / "out" / "hedge.rebalances.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_layers_two_and_three_are_opened_on_quotes(events: list[dict[str, Any]]) -> None:
    quoted = [event for event in events if event["session_date"] < str(SILENT)]
    packages = [p for event in quoted for p in event["packages"] if p["layer"] in ("L2", "L3")]
    assert {p["kind"] for p in packages if p["action"] == "open"} >= {"call_spread"}
    assert all(p["executable"] for p in packages)
    dealt = [event for event in quoted if any(p["layer"] != "L1" for p in event["packages"])]
    # Options are the feed's, settlements of their futures another source's.
    assert {event["chain_source"] for event in dealt} == {"several"}
    assert {event["status"] for event in quoted} <= {"pending", "reduce_only"}
    legs = [leg for event in quoted for leg in event["trades"] if leg["symbol"].startswith("VIX/")]
    assert legs
    for leg in legs:
        limit, mark = float(leg["limit"]), float(leg["price"])
        assert limit >= mark - 1e-9 if leg["side"] == "buy" else limit <= mark + 1e-9
        assert leg["greeks"]["vega"] > 0


def test_when_the_quotes_end_nothing_is_added_and_what_is_held_can_still_be_reduced(
    events: list[dict[str, Any]],
) -> None:
    later = [event for event in events if date.fromisoformat(event["session_date"]) >= SILENT + timedelta(days=1)]
    assert later
    for event in later:
        assert event["shut"]["L2"][0].startswith("chain:")
        for leg in event["trades"]:
            if leg["symbol"].startswith("VIX/"):
                assert abs(leg["target"]) < abs(leg["held"])
                assert "limit" not in leg or event["chain_source"] != "model"


def test_the_moves_of_every_event_sum_to_its_change(events: list[dict[str, Any]]) -> None:
    for event in events:
        held, whole = event["vectors"].get("held"), event["vectors"].get("whole")
        if held is None:
            continue
        for layer in held:
            moved = sum(move["change"] for move in event["attribution"] if move["layer"] == layer)
            assert moved == pytest.approx(whole[layer] - held[layer], abs=1e-9)
