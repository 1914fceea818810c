"""From when to when trades are acted on, and until when the advice holds, around real sessions of 2018."""

from __future__ import annotations

from datetime import date

import pytest
from hedge_chains import opened_in, view
from hedge_support import EXPIRIES, JAN_2, RULES, at, flat_curve, regime

from processors.hedge import MarketView
from processors.hedge.schedule import Schedule, mechanical_flow, schedule
from topics.message import Feature
from topics.rebalance import Trade
from topics.regime import FundFigure
from topics.times import MINUTE, SECOND

JAN, FEB, MAR = (f"VX/{EXPIRIES[i]}" for i in range(3))
OPTION = "VIX/2018-04-18/C/23"
#: 17 January is a settlement date: 3 January is an ordinary day in the middle of a roll period.
PLAIN = date(2018, 1, 3)
VXX = FundFigure(symbol="VXX", leverage=1.0, aum=1_000_000_000.0, nav_date=JAN_2)


def _leg(symbol: str = FEB, side: str = "buy", quantity: int = 10) -> Trade:
    target = quantity if side == "buy" else 0
    return Trade(
        layer="L1",
        symbol=symbol,
        side=side,  # type: ignore[arg-type]
        quantity=quantity,
        held=quantity - target,
        target=target,
        price=20.0,
        notional=1.0,
        package=0,
    )


def _market(day: date = PLAIN, signals: dict[str, Feature] | None = None, **changes: object) -> MarketView:
    return view(regime("low", day, flat_curve(day), **changes), signals=signals or {})


def _at(ts: int, *legs: Trade, market: MarketView | None = None, urgent: bool = False) -> Schedule:
    market = _market() if market is None else market
    return schedule(RULES, market, opened_in(market), legs, ts, urgent)


def test_without_trades_there_is_nothing_to_time() -> None:
    assert _at(at(PLAIN, 11)) == Schedule(at(PLAIN, 11), None, at(PLAIN, 16, 0), ())


def test_on_a_plain_day_it_is_at_once_until_the_close() -> None:
    assert _at(at(PLAIN, 11), _leg()) == Schedule(at(PLAIN, 11), None, at(PLAIN, 16, 0), ())


def test_what_is_decided_at_a_close_holds_until_the_next_one() -> None:
    # 15 January 2018 is a holiday: after Friday's close comes that of Tuesday.
    for ts, ends in (
        (at(PLAIN, 15, 59), at(PLAIN, 16, 0)),
        (at(PLAIN, 16, 0), at(date(2018, 1, 4), 16, 0)),
        (at(date(2018, 1, 12), 16, 15), at(date(2018, 1, 16), 16, 0)),
        (at(date(2018, 1, 13), 12), at(date(2018, 1, 16), 16, 0)),
        (at(date(2018, 7, 3), 13, 0) - SECOND, at(date(2018, 7, 3), 13, 0)),  # an early close
    ):
        for legs in ((), (_leg(),)):
            assert _at(ts, *legs).valid_until_ts == ends


def test_a_blackout_ends_the_window_a_quarter_of_an_hour_before_the_close() -> None:
    # 16 March 2018 is the third Friday of a quarter's end.
    day = date(2018, 3, 16)
    found = _at(at(day, 11), _leg(MAR), market=_market(day))
    assert found == Schedule(at(day, 11), at(day, 15, 45), at(day, 16, 0), ("blackout:sp_rebalance",))
    # Decided within it: after the close, and so until the close of Monday.
    late = _at(at(day, 15, 50), _leg(MAR), market=_market(day))
    monday = at(date(2018, 3, 19), 16, 0)
    assert late == Schedule(at(day, 16, 0), None, monday, ("blackout:sp_rebalance",))
    # Nothing to trade waits for nothing.
    assert _at(at(day, 15, 50), market=_market(day)).reasons == ()


def test_a_rotation_is_a_blackout_by_the_signal_of_the_last_session() -> None:
    crowded = _market(signals={"reit_rotation": True})
    found = _at(at(PLAIN, 11), _leg(), market=crowded)
    assert (found.until_ts, found.reasons) == (at(PLAIN, 15, 45), ("blackout:rotation",))
    for value in (False, 1.0, None):
        signals: dict[str, Feature] = {} if value is None else {"reit_rotation": value}
        assert _at(at(PLAIN, 11), _leg(), market=_market(signals=signals)).reasons == ()


def test_entry_into_high_waits_for_nothing() -> None:
    day = date(2018, 3, 16)
    found = _at(at(day, 15, 50), _leg(MAR), market=_market(day, funds=(VXX,), volumes={MAR: 1.0}), urgent=True)
    assert found == Schedule(at(day, 15, 50), None, at(day, 16, 0), ("urgent",))


# Mechanical flow


def _flowing(*funds: FundFigure, volumes: dict[str, float] | None = None) -> MarketView:
    found = {JAN: 1_000.0, FEB: 1_000.0} if volumes is None else volumes
    return _market(funds=funds or (VXX,), volumes=found)


def test_the_roll_of_a_long_fund_by_hand() -> None:
    # The roll period that ends before 17 January has 17 sessions; at each close a seventeenth goes from January to
    # February: 1e9 / 17 USD, with both contracts at 20,000 USD 2,941.18 of each.
    market = _flowing()
    flow = mechanical_flow(market, opened_in(market), at(PLAIN, 11))
    assert flow is not None
    assert flow.session_date == PLAIN
    assert flow.contracts == pytest.approx({JAN: -1e9 / 17 / 20_000, FEB: 1e9 / 17 / 20_000}, rel=1e-9)
    assert dict(flow.volume) == {JAN: 1_000.0, FEB: 1_000.0}


def test_futures_bought_with_the_flow_go_before_it_and_against_it_after() -> None:
    with_it = _at(at(PLAIN, 11), _leg(FEB, "buy"), market=_flowing())
    assert with_it == Schedule(at(PLAIN, 11), at(PLAIN, 15, 45), at(PLAIN, 16, 0), ("flow:same_sign",))
    against = _at(at(PLAIN, 11), _leg(FEB, "sell"), market=_flowing())
    next_close = at(date(2018, 1, 4), 16, 0)
    assert against == Schedule(at(PLAIN, 16, 0), None, next_close, ("flow:opposite_sign",))
    # A roll out of January into February is what the funds do too.
    rolled = _at(at(PLAIN, 11), _leg(JAN, "sell"), _leg(FEB, "buy"), market=_flowing())
    assert rolled.reasons == ("flow:same_sign",)


def test_options_move_no_flow() -> None:
    assert _at(at(PLAIN, 11), _leg(OPTION), market=_flowing()).reasons == ()
    assert _at(at(PLAIN, 11), _leg("VXX", "sell"), market=_flowing()).reasons == ()


def test_flow_that_is_small_beside_the_volume_does_not_count() -> None:
    market = _flowing(volumes={JAN: 1e9, FEB: 1e9})
    assert _at(at(PLAIN, 11), _leg(FEB, "buy"), market=market).reasons == ()


@pytest.mark.parametrize(
    "market",
    [
        _market(),
        _market(funds=(VXX,)),
        _market(volumes={FEB: 1_000.0}),
        _flowing(VXX.model_copy(update={"leverage": None})),
        _flowing(VXX.model_copy(update={"aum": None})),
        _flowing(VXX.model_copy(update={"symbol": "VXZ"})),  # on another index, with other contracts
    ],
)
def test_where_a_figure_is_missing_nothing_is_expected(market: MarketView) -> None:
    assert mechanical_flow(market, opened_in(market), at(PLAIN, 11)) is None
    assert _at(at(PLAIN, 11), _leg(), market=market).reasons == ()


def test_without_a_price_of_both_contracts_nothing_is_expected() -> None:
    now = regime("low", PLAIN, {EXPIRIES[1]: 20.0, EXPIRIES[2]: 20.0}, funds=(VXX,), volumes={FEB: 1_000.0})
    market = view(now)
    assert mechanical_flow(market, opened_in(market), at(PLAIN, 11)) is None


@pytest.mark.parametrize(
    ("nav_date", "minute", "session"),
    [
        (JAN_2, 59, PLAIN),  # a minute before the close, by figures of the session before
        (PLAIN, 60, date(2018, 1, 4)),  # from the close on it is the next session's
        (JAN_2, 60, None),  # figures of the session before that one are needed
        (PLAIN, 59, None),
    ],
)
def test_it_is_the_flow_of_the_next_close_by_figures_of_the_session_before_it(
    nav_date: date, minute: int, session: date | None
) -> None:
    market = _flowing(VXX.model_copy(update={"nav_date": nav_date}))
    flow = mechanical_flow(market, opened_in(market), at(PLAIN, 15, 0) + minute * MINUTE)
    assert (None if flow is None else flow.session_date) == session


def test_beyond_the_calendar_no_close_is_known_and_the_advice_is_void_at_once() -> None:
    ts = at(date(2060, 1, 5), 12)
    assert _at(ts, _leg()) == Schedule(ts, None, ts, ("calendar:unknown",))
    last = at(date(2035, 12, 31), 12)
    assert _at(last).valid_until_ts >= last
