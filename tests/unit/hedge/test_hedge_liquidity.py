"""The quick ratio of a portfolio: it stops adds below 1 and nothing else, and a missing part stops nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hedge_support import CALIBRATION, JAN_2, JAN_2_CURVE, RULES, at, portfolio, regime
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.hedge import MarketView, Memory, evaluate
from processors.hedge.liquidity import portfolio_quick_ratio
from processors.hedger import Hedger
from processors.stream.log import Record
from topics.catalog import PORTFOLIO_SNAPSHOTS
from topics.dead_letter import Refused
from topics.message import canonical_json
from topics.portfolio import Portfolio
from topics.rebalance import Rebalance

#: Liquid: 1 million + half of 400 thousand + 100 thousand = 1.3 million. Due: 900 + 100 thousand = 1 million.
PARTS: dict[str, float] = {
    "cash": 1_000_000.0,
    "receivable_vm": 100_000.0,
    "margin_req_stress": 900_000.0,
    "premium_due": 100_000.0,
}
DEPTH = {"depth_bid_usd": 400_000.0}
BLOCK = "liquidity:quick_ratio"


def advised(held: dict[str, float] | None = None, features: dict[str, Any] | None = None, **parts: Any) -> Rebalance:
    given_ = regime("low", JAN_2, JAN_2_CURVE, features={"vix": 11.0, **(DEPTH if features is None else features)})
    book = portfolio(held, **{**PARTS, **parts})
    _, event = evaluate(RULES, CALIBRATION.digest(), MarketView(given_, given_.features), book, Memory(), "close")
    assert event is not None
    return event


def test_the_ratio_is_what_is_liquid_over_what_falls_due() -> None:
    event = advised()
    assert event.limits["quick_ratio"] == pytest.approx(1.3, abs=1e-12)
    assert event.limits["quick_ratio_min"] == 1.0
    assert event.blocked == ()
    assert [leg.side for leg in event.trades] == ["buy"]


@pytest.mark.parametrize(
    ("cash", "ratio", "stopped"),
    [(700_000.0, 1.0, False), (699_999.0, 0.999999, True), (0.0, 0.3, True)],
)
def test_below_one_nothing_is_added(cash: float, ratio: float, stopped: bool) -> None:
    event = advised(cash=cash)
    assert event.limits["quick_ratio"] == pytest.approx(ratio, abs=1e-9)
    assert (BLOCK in event.blocked) is stopped
    assert (event.status == "reduce_only") is stopped
    assert bool(event.trades) is not stopped


def test_reductions_stay_possible() -> None:
    event = advised({"VX/2018-01-17": 90.0}, cash=0.0)
    assert BLOCK in event.blocked
    assert event.trades
    assert all(leg.side == "sell" for leg in event.trades)


@pytest.mark.parametrize("missing", [*PARTS, "depth"])
def test_a_missing_part_gives_no_ratio_and_blocks_nothing(missing: str) -> None:
    features: dict[str, Any] | None = {} if missing == "depth" else None
    parts = {} if missing == "depth" else {missing: None}
    event = advised(features=features, **parts)
    assert "quick_ratio" not in event.limits
    assert "quick_ratio_min" not in event.limits
    assert event.blocked == ()
    assert [leg.side for leg in event.trades] == ["buy"]


def test_nothing_due_is_no_limit() -> None:
    event = advised(margin_req_stress=0.0, premium_due=0.0, cash=0.0)
    assert "quick_ratio" not in event.limits
    assert event.blocked == ()


@pytest.mark.parametrize(
    ("features", "ratio"),
    [
        ({"depth_bid_usd": 400_000.0, "top_bid_usd": 9e9}, 1.3),
        ({"top_bid_usd": 200_000.0}, 1.2),
        ({"depth_ask_usd": 9e9, "top_ask_usd": 9e9, "top_bid_usd": 200_000.0}, 1.2),
        ({"depth_bid_usd": 0.0, "top_bid_usd": 9e9}, 1.1),
        ({"depth_bid_usd": True, "top_bid_usd": "deep"}, None),
        ({"depth_bid_usd": 400_000}, 1.3),
    ],
)
def test_depth_is_that_of_the_bids_as_published_else_of_the_front_contract(
    features: dict[str, Any], ratio: float | None
) -> None:
    found = portfolio_quick_ratio(regime("low", features=features), portfolio(**PARTS))
    assert (None if found is None else found.value) == (None if ratio is None else pytest.approx(ratio, abs=1e-12))


def _cents(amount: float) -> float:
    return round(amount, 2)


amounts = st.one_of(st.none(), st.sampled_from((0.0, 0.01, 1e15)), st.floats(0, 1e15).map(_cents))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    st.fixed_dictionaries(dict.fromkeys(PARTS, amounts)),
    st.one_of(st.none(), st.sampled_from((-1e15, -1.0))),
    amounts,
    st.sampled_from((0.01, 2e7, 1e15)),
)
def test_no_amounts_that_a_snapshot_may_carry_stop_the_hedge(
    parts: dict[str, Any], overdraft: float | None, depth: float | None, mv: float
) -> None:
    if overdraft is not None:
        parts["cash"] = overdraft
    features = {} if depth is None else {"depth_bid_usd": depth}
    given_ = regime("low", JAN_2, JAN_2_CURVE, features=features)
    book = portfolio(**parts, mv=mv)
    _, event = evaluate(RULES, CALIBRATION.digest(), MarketView(given_, {}), book, Memory(), "close")
    ratio = portfolio_quick_ratio(given_, book)
    if event is not None:
        stopped = ratio is not None and ratio.value is not None and ratio.value < 1
        assert (BLOCK in event.blocked) is stopped
        if ratio is not None and ratio.value is not None:
            due = parts["margin_req_stress"] + parts["premium_due"]
            expected = (parts["cash"] + 0.5 * (depth or 0) + parts["receivable_vm"]) / due
            assert event.limits["quick_ratio"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["mv", *PARTS, "net_flow", "margin_req"])
def test_an_amount_that_cannot_be_is_refused(name: str) -> None:
    document = portfolio().document() | {name: "1" + "0" * 200}
    record = Record(PORTFOLIO_SNAPSHOTS, 0, 0, at(JAN_2), b"pension", canonical_json(document), ())
    with pytest.raises(Refused, match=name) as caught:
        Hedger(CALIBRATION).decode(record)
    assert caught.value.reason == "implausible"
    assert Portfolio.model_validate(portfolio().model_dump()) == portfolio()
