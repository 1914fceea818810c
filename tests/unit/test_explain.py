"""The page that explains a rebalance: complete, true to the event, and whole at every width."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from processors.explain import LEAST_WIDTH, WIDTH, explain, explain_text
from processors.hedge import MarketView, Memory, evaluate
from processors.hedge.timing import EffectiveWindow, effective_window
from processors.signals import vx_expiries
from topics.calibration import Calibration
from topics.examples import EXAMPLES
from topics.message import LAYERS, STATES, State, digest
from topics.portfolio import Portfolio, Position
from topics.rebalance import Rebalance
from topics.regime import CurvePoint, Freeze, ModifierPart, Regime
from topics.times import HOUR, MINUTE, SECOND

CALIBRATION = Calibration()
NEW_YORK = ZoneInfo("America/New_York")
DAYS = (date(2018, 1, 30), date(2018, 1, 31), date(2018, 2, 5), date(2018, 2, 6))
EXPIRIES = vx_expiries(DAYS[0], date(2018, 9, 30))
FEB_14, MAR_21 = "VX/2018-02-14", "VX/2018-03-21"
SECTIONS = ("WHAT TO DO", "WHY", "WHICH RULE MOVED WHAT", "LIMITS", "BLOCKED", "WHEN", "EVIDENCE")


def close(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, 16, 15, tzinfo=NEW_YORK).timestamp()) * SECOND


def regime(state: State, day: date = DAYS[0], price: float | None = 20.0, **changes: Any) -> Regime:
    """A regime event of a close, with the evidence of the published example."""
    example = EXAMPLES[Regime]
    assert isinstance(example, Regime)
    curve = tuple(
        CurvePoint(symbol=f"VX/{expiry}", price=price, dte=(expiry - day).days)
        for expiry in EXPIRIES
        if price is not None and expiry > day
    )
    fields = {"state": state, "session_date": day, "event_ts": close(day), "curve": curve, "freezes": ()} | changes
    found = example.model_copy(update=fields)
    return found.model_copy(update={"event_id": digest([found.document(), 1])})


def book(positions: dict[str, float] | None = None, day: date = DAYS[0], **changes: Any) -> Portfolio:
    fields: dict[str, Any] = {
        "portfolio_id": "pension",
        "as_of": close(day) - HOUR,
        "mv": 20_000_000.0,
        "beta": 1.0,
        "positions": tuple(Position(symbol=s, quantity=q) for s, q in (positions or {}).items()),
    } | changes
    return Portfolio(**fields)


def rebalance(
    now: Regime, held: Portfolio, memory: Memory | None = None, trigger: str = "close"
) -> tuple[Memory, Rebalance | None]:
    market = MarketView(now, now.features)
    return evaluate(CALIBRATION.hedge, CALIBRATION.digest(), market, held, memory or Memory(), trigger)  # type: ignore[arg-type]


def made(now: Regime, held: Portfolio, memory: Memory | None = None) -> Rebalance:
    event = rebalance(now, held, memory)[1]
    assert event is not None
    return event


def section(page: str, title: str) -> list[str]:
    """The lines of a section, without its heading and blank lines."""
    lines = page.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(title))
    end = next((i for i in range(start + 1, len(lines)) if lines[i] and lines[i][0] != " "), len(lines))
    return [line.strip() for line in lines[start + 1 : end] if line.strip()]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_the_first_hedge_of_a_calm_market() -> None:
    now = regime("low", price=12.0)
    event = made(now, book())
    page = explain_text(event, now)
    # H is 2 million. March 2018 is 50 days away, 14 February 15: the nearer to 30 days is February. 17.5% are 350,000
    # USD, 29 contracts at 12,000.
    todo = section(page, "WHAT TO DO")
    assert todo[1].split() == ["BUY", "29", FEB_14, "L1", "0", "29", "12", "348,000"]
    assert ["L1", "base", "0%", "17.5%", "17.4%", "15", "to", "62,", "aim", "30"] in [line.split() for line in todo]
    moves = [line.split("  ") for line in section(page, "WHICH RULE")]
    assert moves[-1][0] == "then whole contracts"
    assert "H 2,000,000 USD, beta 1 (stated)" in page
    assert "pending, needs 2 approvals" in page
    assert section(page, "BLOCKED") == ["Nothing is blocked."]
    assert page.rstrip().endswith("Advisory only: it informs and sends no orders. Educational, no investment advice.")


def test_a_page_has_every_section_and_every_id() -> None:
    now = regime("moderate")
    event = made(now, book({FEB_14: 3}))
    page = explain_text(event, now)
    for title in SECTIONS:
        assert any(line.startswith(title) for line in page.splitlines()), title
    for identity in (event.event_id, event.regime_event_id, event.calibration_digest, event.inputs_digest):
        assert identity in page
    assert "policy   steward" in page
    assert len(page.splitlines()) <= 80


def test_the_parts_of_score_and_modifier_are_shown_and_add_up() -> None:
    parts = {
        name: ModifierPart(value=1.0, weight=points, decay=1.0, points=points, age=0)
        for name, points in zip("abcdefghi", (3.0, -2.0, 1.0, 0.5, -0.25, 0.25, 0.1, -0.05, 0.02), strict=True)
    }
    now = regime("elevated", modifier_parts=parts, modifier=2.57)
    why = section(explain_text(made(now, book()), now), "WHY")
    start = next(i for i, line in enumerate(why) if line.startswith("modifier part"))
    shown = [line.split() for line in why[start + 1 :]]
    assert [line[0] for line in shown] == ["a", "b", "c", "d", "e", "f", "3"]
    assert shown[-1] == ["3", "more", "+0.07"]
    assert sum(Decimal(line[-1]) for line in shown) == Decimal("2.57")
    points = [line.split() for line in why if line.split()[0] in now.score_parts]
    assert [line[0] for line in points] == ["vix", "ratio", "rv21"]
    assert sum(float(line[-1]) for line in points) == pytest.approx(
        sum(part.points * part.weight for part in now.score_parts.values()), abs=0.02
    )


def test_the_table_of_rules_adds_up_to_target_less_held() -> None:
    held = book({FEB_14: 20}, beta=1.2)
    now = regime("high", DAYS[2], price=33.0)
    event = made(now, held, Memory(state="low", weights={"L2": 0.1, "L3": 0.05, "TT": 0.0}))
    page = explain_text(event, now)
    lines = section(page, "WHICH RULE")
    sums = dict.fromkeys(LAYERS, Decimal(0))
    for line in lines[1:]:
        found = _cells(line, lines[0])
        if line.startswith("target less"):
            assert found == {layer: sums[layer] for layer in LAYERS}
            for layer in LAYERS:
                exact = 100 * (event.targets[layer] - event.vectors["held"][layer])
                assert float(sums[layer]) == pytest.approx(exact, abs=0.011)
            break
        for layer, change in found.items():
            sums[layer] += change
    else:
        pytest.fail("no line of the sum")


def _cells(line: str, heading: str) -> dict[str, Decimal]:
    """The numbers of a line by the layer under whose heading (flush right) they end."""
    ends = {match.end(): match.group() for match in re.finditer(r"\S+", heading)}
    numbers = (match for match in re.finditer(r"\S+", line) if match.end() in ends and ends[match.end()] in LAYERS)
    return {ends[match.end()]: Decimal(match.group()) for match in numbers}


def test_limits_before_and_after_with_headroom() -> None:
    # 1 contract at 20 is 1% of H: 50% in L1 is beyond the cap of 40%, and a session at pace 0.5 does not mend it.
    now = regime("moderate", DAYS[1])
    event = made(now, book({MAR_21: 50}, DAYS[1]), Memory(state="moderate", weights={"L2": 0.2, "L3": 0.1, "TT": 0.0}))
    rows = {line.split()[0]: line.split()[1:] for line in section(explain_text(event, now), "LIMITS")}
    whole = event.vectors["whole"]
    deployed = sum(whole[layer] for layer in ("L1", "L2", "L3", "TT"))
    assert rows["gross"][0] == "0.8"
    assert float(rows["gross"][1]) == pytest.approx(deployed, abs=1e-4)
    assert float(rows["gross"][-1]) == pytest.approx(1.25 - deployed, abs=1e-4)
    assert rows["layer"][0] == "0.5"
    assert rows["layer"][2:4] == ["<=", "0.4"]
    assert float(rows["exposure"][0]) == pytest.approx(4.0 * 0.1 * 0.8)  # kappa x h0 x deployed
    assert float(rows["share"][0]) == pytest.approx(0.5 / 0.8)
    assert rows["reserve"][0] == "0.2"
    assert rows["reserve"][2:4] == [">=", "0.25"]
    beyond = whole["L1"] - 0.4
    assert (rows["layer"][4:6] == ["BEYOND", "by"]) is (beyond > 0)
    short = 0.25 - whole["R"]
    if short > 0:
        assert rows["reserve"][4:6] == ["BEYOND", "by"]
        assert float(rows["reserve"][6]) == pytest.approx(short, abs=1e-4)


def test_a_limit_that_nothing_here_knows_is_shown_too() -> None:
    now = regime("moderate")
    event = made(now, book())
    event = event.model_copy(update={"limits": {"carry": 0.012, "carry_max": 0.01, "stress": 3.0}})
    rows = [line.split() for line in section(explain_text(event, now), "LIMITS")]
    assert ["carry", "-", "0.012", "<=", "0.01", "BEYOND", "by", "0.002"] in rows
    assert ["stress", "-", "3", "-", "-"] in rows


def test_every_block_says_what_would_end_it() -> None:
    calm = regime("low", price=12.0)
    window = Freeze(series_id="FOMC_MINUTES", from_ts=calm.event_ts - MINUTE, until_ts=calm.event_ts + 29 * MINUTE)
    far = tuple(point for point in calm.curve if point.dte > 62)
    liquid = {"margin_req_stress": 1e6, "premium_due": 0.0, "cash": 0.0, "receivable_vm": 0.0}
    deep = {**calm.features, "depth_bid_usd": 1000.0}
    cases: dict[str, tuple[Regime, Portfolio, str]] = {
        "regime:held": (calm.model_copy(update={"held": True}), book(), "a fresh VIX"),
        "portfolio:beta": (calm, book(beta=None), "states beta"),
        "portfolio:beta_not_positive": (calm, book(beta=0.0), "a beta above 0"),
        "portfolio:cash": (calm, book(cash=-1.0), "free cash is not negative"),
        "portfolio:stale": (calm, book(as_of=calm.event_ts - 6 * 24 * HOUR), "a newer snapshot"),
        "curve:missing": (calm.model_copy(update={"curve": ()}), book(), "prices of VX contracts"),
        "curve:no_contract_15_62": (calm.model_copy(update={"curve": far}), book(), "a VX contract listed"),
        "price:VXX": (calm, book({"VXX": 100.0}), "a price of VXX of its own"),
        "freeze:FOMC_MINUTES": (
            calm.model_copy(update={"freezes": (window,)}),
            book(),
            "the end of the window around FOMC_MINUTES, 2018-01-30 21:44:00Z (16:44 New York)",
        ),
        "liquidity:quick_ratio": (calm.model_copy(update={"features": deep}), book(**liquid), "more cash, depth"),
    }
    for reason, (now, held, words) in cases.items():
        event = made(now, held)
        assert reason in event.blocked
        lines = section(explain_text(event, now, width=160), "BLOCKED")
        assert lines[0].startswith("Nothing becomes larger; reductions stay possible.")
        (line,) = [line for line in lines if line.startswith(reason + " ")]
        assert words in line
        assert "reduce_only" in explain_text(event, now)
        assert reason in explain_text(event, None)
    other = made(calm, book()).model_copy(update={"blocked": ("moon:full",)})
    assert "the end of that condition" in explain_text(other, calm)


def test_nothing_is_attributed_while_nothing_can_be_sized() -> None:
    now = regime("elevated")
    page = explain_text(made(now, book(beta=None)), now)
    assert "H cannot be sized while beta is missing" in page
    assert section(page, "WHICH RULE")[0].startswith("Nothing can be sized: all stays as it is, last advised L1 0%")
    assert section(page, "LIMITS") == ["None: nothing is sized."]
    assert "No contracts to trade." in page
    closing = explain_text(made(now, book({FEB_14: 3}, beta=-0.5)), now)
    assert "SELL 3" in closing


def test_without_the_regime_the_event_speaks_for_itself() -> None:
    now = regime("elevated", degraded=("vvix:missing",), floors_hit=("elevated:vix>=22",))
    page = explain_text(made(now, book()), None)
    why = section(page, "WHY")
    assert why == [
        "floors    elevated:vix>=22",
        "degraded  vvix:missing",
        "The regime that decided is not at hand: the parts of its score are not shown.",
    ]


def test_a_state_that_is_held_says_so() -> None:
    nothing: dict[str, Any] = {"raw": None, "score": None, "core_score": None, "score_parts": {}, "modifier_parts": {}}
    now = regime("elevated", held=True, below=2, **nothing)
    page = explain_text(made(now, book()), now)
    assert "held at elevated: VIX is missing or stale" in page
    assert "no score" in page
    assert "2 sessions in a row spoke for a lower state" in page


def test_another_regime_explains_nothing() -> None:
    now, other = regime("elevated"), regime("low")
    with pytest.raises(ValueError, match="did not decide this rebalance"):
        explain_text(made(now, book()), other)


def test_the_window_and_its_reasons() -> None:
    now = regime("moderate")
    event = made(now, book())
    when = section(explain_text(event, now), "WHEN")
    assert when[0] == "effective  from 2018-01-30 21:15:00Z (16:15 New York)"
    assert when[1].split() == ["window", "none", "worked", "out"]
    blackout = date(2018, 3, 16)
    ts = close(blackout) - 5 * HOUR
    timed = section(explain_text(event, now, effective_window(ts, {})), "WHEN")
    assert timed[1].endswith("  2018-03-16 15:15:00Z (11:15 New York)")
    assert timed[2].endswith("  2018-03-16 19:45:00Z (15:45 New York)")
    assert timed[3].endswith("the S&P indices are rebalanced at the close")
    urgent = section(explain_text(event, now, effective_window(ts, {}, urgent=True)), "WHEN")
    assert urgent[2].endswith("  no end")
    assert urgent[3].endswith("entry into high, which nothing delays")


def test_every_reason_of_a_window_has_words() -> None:
    reasons = re.findall(r"``([a-z]+(?::[a-z_]+)?)``   *\S", EffectiveWindow.__doc__ or "")
    assert len(reasons) >= 7
    now = regime("moderate")
    event = made(now, book())
    for reason in reasons:
        page = explain_text(event, now, EffectiveWindow(event.event_ts, None, (reason,)), width=140)
        (line,) = [line for line in section(page, "WHEN") if line.startswith(reason + " ")]
        assert len(line.split("  ", 1)[1].strip()) > 10


def test_what_a_message_says_cannot_steer_the_page() -> None:
    now = regime("moderate", floors_hit=("[red]high[/red]", "bell\x07\x1b[31m"), degraded=(":warning:",))
    page = explain_text(made(now, book()), now)
    assert "[red]high[/red]" in page
    assert ":warning:" in page
    assert "\x07" not in page
    assert "\x1b" not in page
    screen = Console(file=io.StringIO(), width=WIDTH, force_terminal=True, color_system="truecolor")
    with screen.capture() as captured:
        screen.print(explain(made(now, book()), now))
    coloured = re.sub(r"\x1b\[[0-9;]*m", "", captured.get())
    assert squeezed(coloured) == squeezed(page)


def test_a_page_too_narrow_is_refused() -> None:
    now = regime("moderate")
    with pytest.raises(ValueError, match="width must be at least 72"):
        explain_text(made(now, book()), now, width=LEAST_WIDTH - 1)


def test_the_published_examples() -> None:
    event, now = EXAMPLES[Rebalance], EXAMPLES[Regime]
    assert isinstance(event, Rebalance)
    assert isinstance(now, Regime)
    page = explain_text(event, now)
    assert "SELL 65" in page
    assert "bear_steepening" in page
    assert page == explain_text(Rebalance.model_validate_json(event.canonical()), now)


@dataclass
class Moment:
    """One instant of a history."""

    state: State
    price: float | None
    held: bool
    quantities: dict[str, int]
    fields: dict[str, Any]


moments = st.builds(
    Moment,
    state=st.sampled_from(STATES),
    price=st.sampled_from([None, 9.5, 20.0, 33.225, 199.0]),
    held=st.sampled_from([False, False, False, True]),
    quantities=st.dictionaries(st.sampled_from([FEB_14, MAR_21, "VXX", "VXM/2018-03-21"]), st.integers(-3, 20_000)),
    fields=st.fixed_dictionaries(
        {
            "mv": st.sampled_from([50_000.0, 20_000_000.0, 9e13]),
            "beta": st.sampled_from([None, -0.5, 0.0, 0.8, 1.2, 4.999]),
            "cash": st.sampled_from([None, 0.0, -1.0]),
            "policy": st.sampled_from(["steward", "promoter"]),
            "fills": st.sampled_from(["assumed", "reported"]),
        }
    ),
)
triggers = st.sampled_from(["close", "fast_path", "degraded", "freeze", "snapshot"])


@given(st.lists(moments, min_size=1, max_size=4), st.lists(triggers, min_size=4, max_size=4))
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
def test_every_event_that_is_emitted_can_be_explained(history: list[Moment], causes: list[str]) -> None:
    memory = Memory()
    for day, moment, cause in zip(DAYS, history, causes, strict=False):
        now = regime(moment.state, day, moment.price, held=moment.held)
        held = book({s: float(n) for s, n in moment.quantities.items() if n}, day, **moment.fields)
        memory, event = rebalance(now, held, memory, cause)
        if event is None:
            continue
        for width, known in ((LEAST_WIDTH, now), (80, None), (WIDTH, now)):
            page = explain_text(event, known, width=width)
            assert max(len(line) for line in page.splitlines()) <= width
            assert "…" not in page
            together = squeezed(page)
            assert all(title in page for title in SECTIONS)
            assert event.event_id in together
            assert "nan" not in page.lower().split()
            for leg in event.trades:
                assert f"{leg.side.upper()}{leg.quantity}" in together
                assert f"{leg.notional:,.0f}" in page
                assert f" {leg.target} " in page
        wide = squeezed(explain_text(event, now, width=200))
        assert all(reason in wide for reason in event.blocked)
