"""What each layer would open, and what a US dollar of it costs and makes under stress."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hedge_chains import AFTER_A_SPIKE, SPIKE, live_chain, opened_in, quoted, view
from hedge_support import EXPIRIES, JAN_2, JAN_2_CURVE, at, flat_curve, regime

from processors.hedge import MarketView
from processors.hedge.openings import per_dollar
from topics.calibration import HedgeRules
from topics.message import STATES, State
from topics.option_chain import OptionChain
from topics.regime import FundFigure
from topics.times import SECOND

RULES = HedgeRules()
FEB = f"VX/{EXPIRIES[1]}"
OPTIONS = ("L2", "L3", "tail", "TT")


# Which quotes


def test_a_live_chain_is_dealt_on() -> None:
    found = opened_in(quoted("low"))
    assert found.quotes == "live"
    assert found.chain is not None
    assert found.chain.executable
    assert set(found.found) == {"future", "L2", "L3", "tail"}
    assert set(found.refused) == {"TT"}


def test_without_a_chain_a_model_values_or_studies_and_nothing_else() -> None:
    market = view(regime("low"))
    nothing = opened_in(market)
    assert (nothing.quotes, nothing.chain) == ("chain:missing", None)
    assert {nothing.refused[slot] for slot in ("L2", "L3", "tail", "TT")} == {"no option chain"}
    values = opened_in(market, "values")
    assert values.chain is not None
    assert not values.chain.executable
    assert set(values.found) == {"future"}
    assert {values.refused[slot] for slot in ("L2", "L3", "tail", "TT")} == {
        "options cannot be dealt on: chain:missing"
    }
    study = opened_in(market, "study")
    assert set(study.found) == {"future", "L2", "L3", "tail"}
    assert study.quotes == "chain:missing"
    structure = study.found["L2"].structure
    assert structure is not None
    assert not structure.executable


def test_an_empty_chain_and_a_missing_curve_leave_nothing() -> None:
    now = regime("low")
    empty = OptionChain(market="US", event_ts=now.event_ts, session_date=JAN_2, source="feed", expiries=())
    for market in (view(now, empty), view(regime("low", JAN_2, {}))):
        found = opened_in(market)
        assert (found.quotes, found.chain) == ("chain:missing", None)
        assert not set(found.found) & set(OPTIONS)


def test_a_chain_is_stale_after_an_hour() -> None:
    now = regime("low")
    for age, word in ((3_600, "live"), (3_601, "chain:stale")):
        chain = live_chain(JAN_2, flat_curve(JAN_2), ts=now.event_ts - age * SECOND)
        found = opened_in(view(now, chain))
        assert found.quotes == word, age
        assert ("L2" in found.found) == (word == "live")
    # A chain may be newer than the regime: it is then what shows the time.
    later = live_chain(JAN_2, flat_curve(JAN_2), ts=now.event_ts + 60 * SECOND)
    assert view(now, later).now == later.event_ts
    assert opened_in(view(now, later)).quotes == "live"


# Layer 1


def test_what_would_be_rolled_at_once_is_not_opened() -> None:
    # 14 February is 21 days after 24 January, and on the day after only March, 55 days away, is left.
    for days, symbol in ((21, FEB), (20, f"VX/{EXPIRIES[2]}")):
        day = EXPIRIES[1] - timedelta(days=days)
        found = opened_in(view(regime("low", day)))
        assert found.found["future"].ratios == ((symbol, 1),)
        assert found.future is not None
        assert found.future.symbol == symbol
    # 20 and 63 days: neither is in the window.
    day = EXPIRIES[1] - timedelta(days=20)
    far = opened_in(view(regime("low", day, {EXPIRIES[1]: 20.0, day + timedelta(days=63): 20.0})))
    assert far.refused["future"] == "no contract at 21 to 62 days"
    assert far.future is None


@pytest.mark.parametrize(
    ("figure", "reason"),
    [
        ({"price": 50.0, "nav": 50.5}, None),
        ({"price": 52.0, "nav": 50.0}, "VXX trades +4.0% from its indicative value, beyond 2.0%"),
        ({"price": 50.0}, "VXX has no indicative value to judge its price by"),
    ],
)
def test_a_note_is_opened_near_its_indicative_value_alone(figure: dict[str, float], reason: str | None) -> None:
    fund = FundFigure(symbol="VXX", leverage=1.0, **figure)
    now = regime("low").model_copy(update={"funds": (fund,)})
    found = opened_in(MarketView(now))
    assert found.refused.get("note") == reason
    assert ("note" in found.found) == (reason is None)
    if reason is None:
        assert found.found["note"].unit == 50.0
    assert found.notes["VXX"].price == figure["price"]  # what is held is valued all the same


def test_other_notes_are_valued_but_not_opened() -> None:
    funds = (FundFigure(symbol="UVXY", leverage=1.5, price=10.0, nav=10.0), FundFigure(symbol="VIXY", leverage=1.0))
    found = opened_in(MarketView(regime("low").model_copy(update={"funds": funds})))
    assert set(found.notes) == {"UVXY"}
    assert "note" not in found.found
    assert "note" not in found.refused


# Option layers


def test_units_weigh_notional_spot_notional_or_premium_at_risk() -> None:
    found = opened_in(quoted("high", features=dict(AFTER_A_SPIKE), closes=SPIKE)).found
    assert set(found) == {"future", "L2", "L3", "tail", "TT"}
    for slot, factor in (("L2", 1.0), ("L3", 0.4), ("tail", 1.0)):
        structure = found[slot].structure  # type: ignore[index]
        assert structure is not None
        assert found[slot].unit == pytest.approx(factor * 100 * 20.0 * structure.moves.delta)  # type: ignore[index]
    theta = found["TT"].structure
    assert theta is not None
    # Sold at the bid and bought at the ask; 2 USD of fees.
    assert found["TT"].unit == pytest.approx(100 * (5.0 - theta.credit) + 2.0)
    assert [(opening.slot, opening.layer) for opening in found.values()] == [
        ("future", "L1"),
        ("L2", "L2"),
        ("L3", "L3"),
        ("tail", "L3"),
        ("TT", "TT"),
    ]


def test_every_expiry_opened_lies_in_the_window_of_its_slot() -> None:
    windows = {
        "L2": RULES.windows["L2"],
        "L3": RULES.windows["L3"],
        "tail": RULES.convexity.tail_window,
        "TT": RULES.windows["TT"],
    }
    for days in range(0, 60, 3):
        day = JAN_2 + timedelta(days=days)
        market = quoted("high", day, features=dict(AFTER_A_SPIKE), closes=SPIKE)
        for slot, opening in opened_in(market).found.items():
            if slot == "future":
                assert 21 <= opening.dte <= 62
                continue
            window = windows[slot]
            roll = 22 if slot == "TT" else window.roll_dte or window.dte_min  # one day above the exit by time
            assert max(window.dte_min, roll) <= opening.dte <= (window.dte_max or math.inf), (day, slot)


def test_the_tail_is_shut_where_its_benchmark_holds_no_calls() -> None:
    found = opened_in(quoted("low", curve=flat_curve(JAN_2, 14.0)))
    assert found.refused["tail"] == "at a forward of 14 the VXTH schedule holds no calls"
    assert "L3" in found.found


@pytest.mark.parametrize("state", ["low", "moderate", "elevated"])
def test_temporal_theta_waits_for_high(state: State) -> None:
    found = opened_in(quoted(state, features=dict(AFTER_A_SPIKE), closes=SPIKE))
    assert found.theta_shut == (f"the state is {state}, not high",)
    assert "TT" not in found.found


# What a US dollar costs and makes


def test_a_flat_curve_costs_a_future_nothing_and_contango_its_roll() -> None:
    assert opened_in(quoted("low")).cost["L1"] == pytest.approx(0.0, abs=1e-12)
    # February at 12 is the second of the curve: its roll is that between 15 and 43 days, ln(11 / 12) / 28 a day;
    # over 30 days 12 becomes 12 x (11 / 12)^(30 / 28), times 365 / 30 a year.
    found = opened_in(view(regime("low", JAN_2, JAN_2_CURVE)))
    yearly = (1.0 - (11 / 12) ** (30 / 28)) * 365 / 30
    assert found.cost["L1"] == pytest.approx(yearly, rel=1e-9)
    assert yearly == pytest.approx(1.083, abs=1e-3)


def test_premium_of_a_dollar_is_debit_and_fees_over_the_unit() -> None:
    found = opened_in(quoted("low"))
    structure = found.found["L2"].structure
    assert structure is not None
    assert found.premium["L2"] == pytest.approx(100 * (structure.debit + 0.02) / found.found["L2"].unit)
    spread, tail = found.found["L3"].structure, found.found["tail"].structure
    assert spread is not None
    assert tail is not None
    # Seven tenths in the spread, three in calls.
    wanted = 70 * (spread.debit + 0.02) / found.found["L3"].unit + 30 * (tail.debit + 0.01) / found.found["tail"].unit
    assert found.premium["L3"] == pytest.approx(wanted)
    assert set(found.premium) == {"L2", "L3"}


def test_a_dollar_of_futures_under_stress_by_hand() -> None:
    # 43 days: (1 + 4.3)^-0.6 = 0.3677 of 20 points on a future of 20 is 0.3677 a dollar.
    found = opened_in(quoted("low"))
    outcome = {each.scenario: each for each in found.outcomes}["vix_up_20"]
    assert outcome.layers["L1"] == pytest.approx(5.3**-0.6, rel=1e-9)
    losses = found.losses()
    assert losses is not None
    # VIX at 11 falls by 30 %: 3.3 x 0.3677 / 20.
    assert losses["L1"] == pytest.approx(3.3 * 5.3**-0.6 / 20, rel=1e-9)
    assert losses["L2"] > 0.0


def test_without_vix_or_options_the_losses_of_a_dollar_are_not_known() -> None:
    blind = opened_in(quoted("low", features={}))
    assert blind.outcomes == ()
    assert blind.losses() is None
    assert opened_in(view(regime("low"))).losses() is None


def test_lines_of_a_dollar_weigh_a_dollar() -> None:
    found = opened_in(quoted("high", features=dict(AFTER_A_SPIKE), closes=SPIKE))
    lines, layers = per_dollar(RULES, found)
    assert tuple(layers) == ("L1", "L2", "L3", "TT")
    notional = lines.quantity * lines.multiplier * lines.forward
    futures = [n for n, right in zip(notional.tolist(), lines.right.tolist(), strict=True) if right == 0]
    assert futures == pytest.approx([1.0])


@pytest.mark.parametrize("state", STATES)
def test_the_same_market_opens_the_same(state: State) -> None:
    one, two = (opened_in(quoted(state)) for _ in range(2))
    assert one.found == two.found
    assert (one.cost, one.premium, one.outcomes) == (two.cost, two.premium, two.outcomes)
    assert at(JAN_2) == regime(state).event_ts
