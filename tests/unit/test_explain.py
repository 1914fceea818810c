"""The page that explains a rebalance: complete, true to the event, and whole at every width."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from processors.explain import _LIMITS, LEAST_WIDTH, WIDTH, explain, explain_text
from processors.hedge import MarketView, Memory, evaluate
from processors.hedge.attribution import ORDER
from processors.hedge.timing import EffectiveWindow
from processors.signals import vx_expiries
from topics.calibration import Calibration
from topics.examples import EXAMPLES
from topics.message import LAYERS, STATES, Layer, State, digest
from topics.portfolio import Portfolio, Position
from topics.rebalance import Moved, Package, Rebalance
from topics.regime import CurvePoint, Freeze, ModifierPart, Regime
from topics.times import HOUR, MINUTE, SECOND

PAGES = Path(__file__).resolve().parents[1] / "golden/pages"
CALIBRATION = Calibration()
NEW_YORK = ZoneInfo("America/New_York")
DAYS = (date(2018, 1, 30), date(2018, 1, 31), date(2018, 2, 5), date(2018, 2, 6))
EXPIRIES = vx_expiries(DAYS[0], date(2018, 11, 30))
FEB_14, MAR_21 = "VX/2018-02-14", "VX/2018-03-21"
SECTIONS = (
    "WHAT TO DO",
    "WHY",
    "WHICH RULE MOVED WHAT",
    "LIMITS",
    "STRESS",
    "BLOCKED, SHUT, ALERTS",
    "WHEN",
    "EVIDENCE",
)


def golden(name: str) -> tuple[Rebalance, Regime]:
    """An event that the hedge once put out, and the regime that decided it."""
    event = Rebalance.model_validate_json((PAGES / f"{name}.event.json").read_bytes())
    return event, Regime.model_validate_json((PAGES / f"{name}.regime.json").read_bytes())


def changed(name: str, **changes: Any) -> tuple[Rebalance, Regime]:
    event, now = golden(name)
    return event.model_copy(update=changes), now


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


# The whole page


@pytest.mark.parametrize("name", ["study", "blocked"])
def test_the_page_of_an_event_is_the_one_that_was_looked_at(name: str) -> None:
    # After a wanted change: python tests/golden/write_pages.py, and look at the difference.
    assert explain_text(*golden(name)) == (PAGES / f"{name}.txt").read_text()


def test_the_study_has_legs_of_all_four_layers_and_says_that_it_is_one() -> None:
    event, now = golden("study")
    assert {leg.layer for leg in event.trades} == {"L1", "L2", "L3", "TT"}
    page = explain_text(event, now)
    assert page.splitlines()[1] == "*** STUDY: modelled prices: not to be acted on ***"
    assert page.count("NOT EXECUTABLE: modelled prices") == 4  # all packages but that of the future
    assert "model (a model: nobody quoted these options)" in page
    pending, _ = changed("study", status="pending", chain_source="cboe")
    assert "STUDY" not in explain_text(pending, now)
    assert "nobody quoted" not in explain_text(pending, now)


def test_a_page_has_every_section_and_every_id() -> None:
    now = regime("moderate")
    event = made(now, book({FEB_14: 3}))
    page = explain_text(event, now)
    for title in SECTIONS:
        assert any(line.startswith(title) for line in page.splitlines()), title
    for identity in (event.event_id, event.regime_event_id, event.calibration_digest, event.inputs_digest):
        assert identity in page
    assert "policy   steward" in page
    assert len(page.splitlines()) <= 100


def test_a_regime_that_did_not_decide_explains_nothing() -> None:
    event, _ = golden("study")
    with pytest.raises(ValueError, match="did not decide this rebalance"):
        explain_text(event, regime("low"))


def test_a_page_too_narrow_is_refused() -> None:
    with pytest.raises(ValueError, match="width must be at least 72"):
        explain_text(*golden("study"), width=LEAST_WIDTH - 1)


def test_the_published_examples() -> None:
    event, now = EXAMPLES[Rebalance], EXAMPLES[Regime]
    assert isinstance(event, Rebalance)
    assert isinstance(now, Regime)
    known = now if now.event_id == event.regime_event_id else None
    page = explain_text(event, known)
    for leg in event.trades:
        assert f"{leg.side.upper()} {leg.quantity}" in page
    assert page == explain_text(Rebalance.model_validate_json(event.canonical()), known)


def test_what_a_message_says_cannot_steer_the_page() -> None:
    now = regime("moderate", floors_hit=("[red]high[/red]", "bell\x07\x1b[31m"), degraded=(":warning:",))
    event = made(now, book())
    package = Package(layer="L1", action="open", kind="future", units=1, executable=True, reason="\x1b[2J[b]x[/b]")
    event = event.model_copy(update={"packages": (package, *event.packages[1:]), "alerts": ("\x1b]0;x\x07",)})
    page = explain_text(event, now)
    assert "[red]high[/red]" in page
    assert "[b]x[/b]" in page
    assert ":warning:" in page
    assert "\x07" not in page
    assert "\x1b" not in page
    screen = Console(file=io.StringIO(), width=WIDTH, force_terminal=True, color_system="truecolor")
    with screen.capture() as captured:
        screen.print(explain(event, now))
    coloured = re.sub(r"\x1b\[[0-9;]*m", "", captured.get())
    assert squeezed(coloured) == squeezed(page)


# What to do


def test_each_package_has_its_terms_and_its_legs_below_it() -> None:
    event, now = golden("study")
    todo = section(explain_text(event, now, width=200), "WHAT TO DO")
    heads = [i for i, line in enumerate(todo) if re.match(r"(OPEN|CLOSE|ROLL) ", line)]
    assert len(heads) == len(event.packages)
    for number, (package, at) in enumerate(zip(event.packages, heads, strict=True)):
        assert todo[at].startswith(package.action.upper())
        assert todo[at].partition(";")[0].endswith(f", {package.layer}")
        assert package.reason in todo[at + 1]
        if package.max_loss is not None:
            assert f"largest loss {package.max_loss:,.0f} USD" in todo[at + 1]
        end = heads[number + 1] if number + 1 < len(heads) else len(todo)
        for leg in (leg for leg in event.trades if leg.package == number):
            (line,) = [line.split() for line in todo[at:end] if leg.symbol in line.split()]
            assert line[:2] == [leg.side.upper(), str(leg.quantity)]
            assert leg.expiry is not None
            assert line[3] == str((leg.expiry - event.session_date).days)
            assert line[4:7] == [str(leg.held), "->", str(leg.target)]
            assert float(line[7]) == leg.limit
            assert float(line[8]) == pytest.approx(leg.price, rel=1e-3)
            assert leg.greeks is not None
            assert float(line[9]) == pytest.approx(leg.greeks.delta, rel=5e-3)


def test_the_columns_of_all_packages_line_up() -> None:
    page = explain_text(*golden("study"))
    legs = [line for line in page.splitlines() if re.match(r"\s+(BUY|SELL) \d", line)]
    assert len(legs) == 8
    assert len({line.index("V") for line in legs}) == 1
    assert len({line.index("->") - len(line[: line.index("->")].split()[-1]) for line in legs}) == 1


def test_a_leg_of_no_package_is_shown_all_the_same() -> None:
    event, now = changed("study", packages=())
    page = explain_text(event, now)
    assert "Legs of no package" in page
    assert all(leg.symbol in page for leg in event.trades)


def test_a_leg_without_quote_and_greeks_has_dashes() -> None:
    event, now = golden("blocked")
    leg = event.trades[0].model_copy(update={"limit": None, "greeks": None, "expiry": None, "symbol": "VXX"})
    page = explain_text(event.model_copy(update={"trades": (leg,)}), now)
    (line,) = [line for line in page.splitlines() if line.strip().startswith("SELL")]
    assert line.split() == ["SELL", "27", "VXX", "-", "60", "->", "33", "-", "13.6", "-"]


def test_the_weights_stand_beside_each_other() -> None:
    event, now = golden("study")
    todo = {line.split()[0]: line.split()[2:] for line in section(explain_text(event, now), "WHAT TO DO")[-7:]}
    for layer in LAYERS:
        shown = [float(cell.rstrip("%")) for cell in todo[layer][:4]]
        exact = [event.vectors["held"], event.vectors["aim"], event.targets, event.vectors["whole"]]
        assert shown == pytest.approx([100 * weights[layer] for weights in exact], abs=0.0051)
    assert todo["L3"][4:] == ["219", "76", "186", "and", "more,", "aim", "220"]


def test_no_number_of_days_loses_its_zeros() -> None:
    event, now = changed("study", dte={"L1": 100.0}, dte_before={"L1": 30.4})
    assert re.search(r"L1 base .* 30 +100 ", explain_text(event, now))


def test_nothing_is_attributed_while_nothing_can_be_sized() -> None:
    now = regime("elevated")
    page = explain_text(made(now, book(beta=None)), now)
    assert "H cannot be sized while beta is missing" in page
    assert section(page, "WHICH RULE")[0].startswith("Nothing can be sized: all stays as it is, last advised L1 0%")
    assert section(page, "LIMITS") == ["None: nothing is sized."]
    assert "No contracts to trade." in page
    closing = explain_text(made(now, book({FEB_14: 3}, beta=-0.5)), now)
    assert "SELL 3" in closing


# Why


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


def test_without_the_regime_the_event_speaks_for_itself() -> None:
    event, _ = changed("blocked", floors_hit=("elevated:vix>=22",), degraded=("vvix:missing",))
    assert section(explain_text(event, None), "WHY") == [
        "floors    elevated:vix>=22",
        "degraded  vvix:missing",
        "L3        no trigger is on: 1.25% of H instead of 5%",
        "The regime that decided is not at hand: the parts of its score are not shown.",
    ]


def test_a_state_that_is_held_says_so() -> None:
    nothing: dict[str, Any] = {"raw": None, "score": None, "core_score": None, "score_parts": {}, "modifier_parts": {}}
    now = regime("elevated", held=True, below=2, **nothing)
    page = explain_text(made(now, book()), now)
    assert "held at elevated: VIX is missing or stale" in page
    assert "no score" in page
    assert "2 sessions in a row spoke for a lower state" in page


def test_what_the_switches_did_follows_from_the_vectors_around_them() -> None:
    event, now = golden("study")
    assert "a trigger is on, by beta or by dividends" in explain_text(event, now)
    assert "its gate is open" in explain_text(event, now)
    vectors = {name: dict(weights) for name, weights in event.vectors.items()}
    vectors["gated"]["TT"] = 0.0
    vectors["levered"]["L2"] = vectors["gated"]["L2"] + 0.05
    shut: dict[Layer, tuple[str, ...]] = {"TT": ("VIX is too high",)}
    why = section(explain_text(*changed("study", vectors=vectors, shut=shut)), "WHY")
    assert "TT        its gate is shut, see below" in why
    assert "engine    the second engine adds 5% of H to L2 and L3" in why


# Which rule moved what


def _cells(line: str, heading: str) -> dict[str, Decimal]:
    """The numbers of a line by the layer under whose heading (flush right) they end."""
    ends = {match.end(): match.group() for match in re.finditer(r"\S+", heading)}
    numbers = (match for match in re.finditer(r"\S+", line) if match.end() in ends and ends[match.end()] in LAYERS)
    return {ends[match.end()]: Decimal(match.group()) for match in numbers}


@pytest.mark.parametrize("name", ["study", "blocked"])
def test_the_moves_are_those_of_the_event_and_add_up_as_they_are_printed(name: str) -> None:
    event, now = golden(name)
    lines = section(explain_text(event, now), "WHICH RULE")
    sums = dict.fromkeys(LAYERS, Decimal(0))
    for line in lines[1:-1]:
        for layer, change in _cells(line, lines[0]).items():
            sums[layer] += change
    assert lines[-1].startswith("whole less held")
    assert _cells(lines[-1], lines[0]) == sums
    for layer in LAYERS:
        exact = sum(Decimal(repr(move.change)) for move in event.attribution if move.layer == layer)
        assert abs(100 * exact - sums[layer]) <= Decimal("0.005")


@given(
    st.lists(
        st.tuples(st.sampled_from(ORDER[1:]), st.sampled_from(LAYERS), st.floats(-2, 2).map(lambda x: round(x, 12))),
        min_size=1,
        max_size=40,
        unique_by=lambda move: (move[0], move[1]),
    )
)
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
def test_whatever_the_moves_are_their_lines_add_up(moves: list[tuple[str, Layer, float]]) -> None:
    ordered = sorted(moves, key=lambda move: ORDER.index(move[0]))
    event, now = changed("study", attribution=tuple(Moved(rule=r, layer=layer, change=c) for r, layer, c in ordered))
    lines = section(explain_text(event, now), "WHICH RULE")
    sums = dict.fromkeys(LAYERS, Decimal(0))
    for line in lines[1:-1]:
        for layer, change in _cells(line, lines[0]).items():
            sums[layer] += change
    assert _cells(lines[-1], lines[0]) == sums


def test_every_step_has_plain_words() -> None:
    steps = tuple(Moved(rule=rule, layer="L1", change=0.01) for rule in ORDER[1:])
    event, now = changed("study", attribution=steps)
    lines = section(explain_text(event, now), "WHICH RULE")[1:-1]
    assert len(lines) == 12
    assert not {line.split("  ")[0] for line in lines} & set(ORDER)


def test_the_page_does_not_work_the_moves_out_again() -> None:
    event, now = changed("study", attribution=(Moved(rule="gated", layer="TT", change=-0.5),))
    assert section(explain_text(event, now), "WHICH RULE")[1].split() == ["gate", "of", "TT", "-50.00"]


# Limits and stress


def test_limits_before_and_after_with_headroom() -> None:
    event, now = golden("blocked")
    rows = {re.split(r"\s{2,}", line)[0]: re.split(r"\s{2,}", line)[1:] for line in _limits(event, now)}
    assert rows["largest of L1, L2, L3, of H"] == ["40.8%", "22.44%", "<= 40%", "17.56%"]
    assert rows["reserve, of H"] == ["59.2%", "77.56%", ">= 50%", "27.56%"]
    assert rows["quick ratio of liquidity"] == ["-0.0045", "-0.0045", ">= 1", "BEYOND by 1.0045"]


def test_a_limit_that_nothing_here_knows_is_shown_too() -> None:
    limits = {"carry": 0.012, "carry_max": 0.01, "moon_phase": 3.0}
    event, now = changed("study", limits=limits, limits_before={"carry": 0.02})
    rows = _limits(event, now)
    assert [line.split() for line in rows] == [
        ["carry", "a", "year,", "of", "market", "value", "2%", "1.2%", "<=", "1%", "BEYOND", "by", "0.2%"],
        ["moon", "phase", "-", "3", "-", "-"],
    ]


def _limits(event: Rebalance, now: Regime) -> list[str]:
    return section(explain_text(event, now), "LIMITS")[1:]


def test_every_limit_of_the_hedge_has_plain_words() -> None:
    for name in ("study", "blocked"):
        event, _ = golden(name)
        assert {limit for limit in event.limits if not limit.endswith(("_max", "_min"))} <= set(_LIMITS)


def test_stress_in_dollars_and_of_h() -> None:
    event, now = changed("study", stress={"gap": 115_000.0, "vol_crush": -11_500.0})
    lines = [line.split() for line in section(explain_text(event, now), "STRESS")]
    assert lines[1:] == [["gap", "+115,000", "+10.0%"], ["vol", "crush", "-11,500", "-1.0%"]]
    nothing = section(explain_text(*changed("study", stress={})), "STRESS")
    assert nothing == ["None: nothing is held after the trade, or it cannot be valued."]


# What stands against it


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
        "outside:VIX/2018-03-21/P/12": (calm, book({"VIX/2018-03-21/P/12": 1.0}), "the sale of VIX/2018-03-21/P/12"),
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
        assert lines[0].startswith("Blocked: nothing becomes larger; reductions stay possible.")
        (line,) = [line for line in lines if line.startswith(reason + " ")]
        assert words in line
        assert "reduce_only" in explain_text(event, now)
        assert reason in explain_text(event, None)
    other, now = changed("study", blocked=("moon:full",))
    assert "the end of that condition" in explain_text(other, now)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("chain:missing", "an option chain: there is none"),
        ("chain:modelled", "a live option chain"),
        ("chain:stale", "a newer option chain"),
        ("state:high", "another state"),
        ("break_even", "more distance to the break-even"),
        ("limits", "room under a cap or a stress limit"),
        ("no call at or above 30 can be dealt on", "the end of this: no call at or above 30 can be dealt on"),
    ],
)
def test_every_shut_layer_says_what_would_open_it(reason: str, words: str) -> None:
    event, now = changed("study", shut={"L3": (reason,)})
    lines = section(explain_text(event, now), "BLOCKED")
    (line,) = [line for line in lines if line.startswith("L3 ")]
    assert words in line
    both, _ = changed("study", shut={"TT": (reason, "one", "two")})
    shown = squeezed(explain_text(both, now))
    assert squeezed("the end of all of this:") in shown
    assert squeezed("one; two") in shown


def test_alerts_say_what_to_look_at() -> None:
    event, now = changed("study", alerts=("break_even:VIX/2018-05-16/C/17/27", "carry:soft", "moon:full"))
    lines = section(explain_text(event, now, width=160), "BLOCKED")
    found = {line.split("  ")[0]: line for line in lines}
    assert found["break_even:VIX/2018-05-16/C/17/27"].endswith("the break-even of VIX/2018-05-16/C/17/27")
    assert "adds go on up to the hard one" in found["carry:soft"]
    assert "moon:full" in found


# When


def test_the_window_and_its_reasons() -> None:
    event, now = golden("study")
    when = section(explain_text(event, now), "WHEN")
    assert when[0] == "act from              2018-02-12 21:15:00Z (16:15 New York)"
    assert when[1] == "act until             2018-02-13 20:45:00Z (15:45 New York)"
    assert when[2] == "blackout:vx_roll_end  a VX roll period ends"
    assert when[3].startswith("void after            2018-02-13 21:00:00Z (16:00 New York)")
    free = section(explain_text(*changed("study", effective_until_ts=None, timing=())), "WHEN")
    assert free[1].endswith("no flow and no blackout ends it")
    assert len(free) == 3


def test_every_reason_of_a_window_has_words() -> None:
    reasons = re.findall(r"``([a-z]+(?::[a-z_]+)?)``   *\S", EffectiveWindow.__doc__ or "")
    assert len(reasons) >= 7
    for reason in reasons:
        event, now = changed("study", timing=(reason,))
        (line,) = [line for line in section(explain_text(event, now, width=140), "WHEN") if line.startswith(reason)]
        assert len(line.split("  ", 1)[1].strip()) > 10


def test_every_trigger_has_words() -> None:
    for trigger in get_args(Rebalance.model_fields["trigger"].annotation):
        event, now = changed("study", trigger=trigger)
        assert "; cause: " in explain_text(event, now)


# Whatever the hedge puts out


@dataclass
class Moment:
    """One instant of a history."""

    state: State
    price: float | None
    held: bool
    quantities: dict[str, int]
    fields: dict[str, Any]


HELD = [
    *(FEB_14, MAR_21, "VXX", "VXM/2018-03-21", "VIX/2018-03-21/C/20", "VIX/2018-03-21/C/25"),
    *("VIX/2018-05-16/C/17", "VIX/2018-05-16/C/27", "VIX/2018-08-22/C/30", "VIX/2018-03-21/P/12"),
]
moments = st.builds(
    Moment,
    state=st.sampled_from(STATES),
    price=st.sampled_from([None, 9.5, 20.0, 33.225, 199.0]),
    held=st.sampled_from([False, False, False, True]),
    quantities=st.dictionaries(st.sampled_from(HELD), st.integers(-3, 20_000), max_size=5),
    fields=st.fixed_dictionaries(
        {
            "mv": st.sampled_from([50_000.0, 20_000_000.0, 9e13]),
            "beta": st.sampled_from([None, -0.5, 0.0, 0.8, 1.2, 4.999]),
            "cash": st.sampled_from([None, 0.0, -1.0]),
            "policy": st.sampled_from(["steward", "promoter"]),
            "fills": st.sampled_from(["assumed", "reported", "modelled", "modelled"]),
        }
    ),
)
triggers = st.sampled_from(["close", "fast_path", "degraded", "freeze", "snapshot"])


@given(st.lists(moments, min_size=1, max_size=3), st.lists(triggers, min_size=4, max_size=4))
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
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
        wide = squeezed(explain_text(event, now, width=240))
        assert all(reason in wide for reason in event.blocked)
        assert all(squeezed(reason) in wide for reasons in event.shut.values() for reason in reasons)
        assert all(squeezed(package.reason) in wide for package in event.packages)
        for leg in event.trades:
            assert f"{leg.side.upper()}{leg.quantity}{leg.symbol}" in wide
            assert f"{leg.held}->{leg.target}" in wide
