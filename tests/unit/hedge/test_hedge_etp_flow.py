"""What leveraged and inverse products trade into the close: by hand, by law, and in contracts."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.hedge.etp_flow import Fund, contracts_flow, expected_flow, fund, rebalancing_flow
from processors.hedge.index_roll import roll, roll_trade, split
from processors.signals import SessionCalendar
from topics.flows import Flow
from topics.times import parse_ts

FEB_2, FEB_5 = date(2018, 2, 2), date(2018, 2, 5)

leverages = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0]) | st.floats(-3.0, 3.0)
amounts = st.floats(0.0, 1e10)
returns = st.floats(-0.5, 0.5)
quiet = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def _fund(symbol: str, leverage: float | None, aum: float | None, nav_date: date | None = FEB_2) -> Fund:
    return Fund(symbol, leverage, aum, nav_date)


def test_the_flow_by_hand() -> None:
    # 500 million at 2x and a rise of 10%: assets 600, exposure wanted 1,200, held 1,100: buy 100 = 2 x 1 x 500 x 0.1.
    # 500 million at -1x: assets 450, exposure wanted -450, held -550: buy 100 as well.
    found = rebalancing_flow([2.0, -1.0, 1.0, 0.0, 1.5, -0.5], [500e6] * 6, 0.10)
    assert found == pytest.approx([100e6, 100e6, 0.0, 0.0, 0.75 * 50e6, 0.75 * 50e6])


def test_the_eve_of_the_collapse_by_hand() -> None:
    # UVXY at 2x and SVXY and XIV at -1x, in round figures, at +33% by 16:00: 2 x 0.33 x (0.4 + 0.9 + 1.9) bn = 2.112 bn
    funds = [_fund("UVXY", 2.0, 0.4e9), _fund("SVXY", -1.0, 0.9e9), _fund("XIV", -1.0, 1.9e9), _fund("VXX", 1.0, 1e9)]
    flow = expected_flow(funds, FEB_5, 0.33)
    assert flow.total == pytest.approx(2.112e9)
    assert flow.rebalancing[3] == 0.0
    assert flow.missing == ()
    # exposure before: (2 x 0.4 - 0.9 - 1.9 + 1) bn x 1.33
    assert flow.total_exposure == pytest.approx(-1.33e9)


@given(leverages, amounts, returns)
@quiet
def test_it_is_what_restores_the_promised_multiple(leverage: float, aum: float, change: float) -> None:
    # Independent of the formula: the assets after the return, times the multiple, less what the exposure has become.
    assets = aum + leverage * aum * change
    wanted = leverage * max(assets, 0.0)
    held = leverage * aum * (1 + change)
    assert float(rebalancing_flow(leverage, aum, change)) == pytest.approx(wanted - held, rel=1e-9, abs=1e-5)


@given(st.floats(1.01, 3.0) | st.floats(-3.0, -0.01), st.floats(1.0, 1e10), st.floats(0.001, 0.3))
@quiet
def test_leveraged_and_inverse_products_both_go_with_the_market(leverage: float, aum: float, change: float) -> None:
    assert float(rebalancing_flow(leverage, aum, change)) > 0
    assert float(rebalancing_flow(leverage, aum, -change)) < 0


@given(amounts, returns)
@quiet
def test_a_product_of_one_times_its_index_trades_nothing(aum: float, change: float) -> None:
    assert float(rebalancing_flow(1.0, aum, change)) == 0.0
    assert math.copysign(1.0, float(rebalancing_flow(0.0, aum, change))) == 1.0


def test_what_has_lost_everything_closes_and_borrows_nothing() -> None:
    # -1x and the index at +100% or more: all is lost, and the short of 2 (or 2.5) times the assets is bought back.
    assert rebalancing_flow(-1.0, 100.0, [0.999999, 1.0, 1.5]) == pytest.approx([199.9998, 200.0, 250.0])


@given(st.lists(st.tuples(leverages, amounts), min_size=1, max_size=8), returns)
@quiet
def test_all_at_once_is_one_after_the_other(products: list[tuple[float, float]], change: float) -> None:
    at_once = rebalancing_flow([p[0] for p in products], [p[1] for p in products], change)
    assert at_once.tolist() == [float(rebalancing_flow(leverage, aum, change)) for leverage, aum in products]
    table = rebalancing_flow(
        np.array([[p[0]] for p in products]), np.array([[p[1]] for p in products]), np.array([change, 0.0, -change])
    )
    assert table.shape == (len(products), 3)
    assert table[:, 0].tolist() == at_once.tolist()
    assert not table[:, 1].any()


def test_assets_must_be_those_of_the_session_before() -> None:
    # FEB_5 is a Monday: the session before is Friday the 2nd.
    for nav_date in (date(2018, 2, 1), date(2018, 2, 4), FEB_5, None):
        flow = expected_flow([_fund("UVXY", 1.5, 1e9, nav_date)], FEB_5, 0.1)
        assert flow.rebalancing == flow.exposure == (None,)
        assert flow.missing == ("UVXY",)
        assert flow.total is flow.total_exposure is None
    assert expected_flow([_fund("UVXY", 1.5, 1e9)], FEB_5, 0.1).total == pytest.approx(0.75e8)
    # after a long weekend it is the Friday as well
    monday = date(2018, 2, 19)
    assert not SessionCalendar().is_session(monday)
    assert expected_flow([_fund("UVXY", 1.5, 1e9, date(2018, 2, 16))], date(2018, 2, 20), 0.1).missing == ()


def test_what_is_missing_is_missing_and_not_nothing() -> None:
    good = _fund("UVIX", 2.0, 1e8)
    for bad in (_fund("X", None, 1e9), _fund("X", -1.0, None)):
        flow = expected_flow([good, bad], FEB_5, 0.1)
        assert flow.rebalancing == (pytest.approx(2e7), None)
        assert (flow.total, flow.missing) == (None, ("X",))
        assert contracts_flow(flow, roll(FEB_5), 20.0, 19.0) is None
    assert expected_flow([good], FEB_5, None).rebalancing == (None,)


def test_one_times_the_index_rebalances_nothing_even_with_assets_unknown() -> None:
    flow = expected_flow([_fund("VXX", 1.0, None), _fund("UVIX", 2.0, 1e8)], FEB_5, 0.1)
    assert flow.total == pytest.approx(2e7)
    assert flow.total_exposure is None  # yet what it rolls is not known
    assert contracts_flow(flow, roll(FEB_5), 20.0, 19.0) is None


def test_no_products_have_no_flow() -> None:
    flow = expected_flow([], FEB_5, 0.1)
    assert (flow.total, flow.total_exposure, flow.missing) == (0.0, 0.0, ())


def test_a_published_figure_is_a_product() -> None:
    published = Flow(
        symbol="SVXY", event_ts=parse_ts("2018-02-02T23:00:00Z"), leverage=-1.0, aum=9e8, nav_date=FEB_2, source="x"
    )
    assert fund(published) == _fund("SVXY", -1.0, 9e8)


def test_contracts_by_hand() -> None:
    # 2018-02-05: 7/20 near before the close, 6/20 after. One product at -1x of 100 million, +10%: it holds -110 million
    # and needs -90. At 25 and 20 points: before 0.35 x 25 + 0.65 x 20 = 21.75, so -5057.471 contracts, 35% of them
    # near; after 0.3 x 25 + 0.7 x 20 = 21.5, so -4186.047, 30% near.
    flow = expected_flow([_fund("SVXY", -1.0, 1e8)], FEB_5, 0.10)
    found = contracts_flow(flow, roll(FEB_5), 25.0, 20.0)
    near = 0.30 * -90e6 / 21_500 - 0.35 * -110e6 / 21_750
    far = 0.70 * -90e6 / 21_500 - 0.65 * -110e6 / 21_750
    assert found == pytest.approx({"VX/2018-02-14": near, "VX/2018-03-21": far})
    assert near > 0  # the inverse product buys back the near contract twice: to rebalance and to roll
    assert 1000 * (25 * near + 20 * far) == pytest.approx(20e6)


@given(st.lists(st.tuples(leverages, amounts), max_size=6), returns, st.floats(9.0, 80.0), st.floats(9.0, 80.0))
@quiet
def test_contracts_are_the_rebalancing_and_the_roll(
    products: list[tuple[float, float]], change: float, near_price: float, far_price: float
) -> None:
    funds = [_fund(f"F{i}", leverage, aum) for i, (leverage, aum) in enumerate(products)]
    flow, day = expected_flow(funds, FEB_5, change), roll(FEB_5)
    found = contracts_flow(flow, day, near_price, far_price)
    assert found is not None
    assert flow.total is not None
    assert flow.total_exposure is not None
    rebalanced = split(flow.total, day.near_weight, near_price, far_price)
    rolled = roll_trade(day, flow.total_exposure, near_price, far_price)
    scale = 1e-9 * sum(abs(leverage) * aum for leverage, aum in products) + 1e-9
    assert found["VX/2018-02-14"] == pytest.approx(rebalanced.near + rolled.near, abs=scale)
    assert found["VX/2018-03-21"] == pytest.approx(rebalanced.far + rolled.far, abs=scale)
    worth = 1000 * (found["VX/2018-02-14"] * near_price + found["VX/2018-03-21"] * far_price)
    assert worth == pytest.approx(flow.total, rel=1e-9, abs=1000 * scale)


def test_the_roll_of_another_session_is_refused() -> None:
    flow = expected_flow([], FEB_5, 0.1)
    with pytest.raises(ValueError, match="roll is of 2018-02-02, the flow of 2018-02-05"):
        contracts_flow(flow, roll(FEB_2), 20.0, 19.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused_by_name(bad: float) -> None:
    with pytest.raises(ValueError, match="leverage"):
        rebalancing_flow([1.0, bad], 1.0, 0.1)
    with pytest.raises(ValueError, match="aum_prev"):
        rebalancing_flow(2.0, [1.0, bad], 0.1)
    with pytest.raises(ValueError, match="index_return"):
        rebalancing_flow(2.0, 1.0, bad)
    with pytest.raises(ValueError, match="index_return"):
        expected_flow([], FEB_5, bad)
    with pytest.raises(ValueError, match="leverage of UVXY"):
        _fund("UVXY", bad, 1.0)
    with pytest.raises(ValueError, match="aum of UVXY"):
        _fund("UVXY", 2.0, bad)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"aum_prev must be a finite number of at least 0, got -1\.0"):
        rebalancing_flow(2.0, -1.0, 0.1)
    with pytest.raises(ValueError, match=r"index_return must be a finite number of at least -1, got -1\.1"):
        rebalancing_flow(2.0, 1.0, -1.1)
    with pytest.raises(ValueError, match="aum of UVXY must be at least 0"):
        _fund("UVXY", 2.0, -1.0)
    with pytest.raises(ValueError, match="broadcast"):
        rebalancing_flow([2.0, 1.0], [1.0, 2.0, 3.0], 0.1)
