import math
import statistics
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import test_signals_battery as battery
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, random_closes, recorded, run

from processors.signals.amm import BlockMedian, amount_out, one_percent_depth, slippage, spot_price

reserves = st.floats(min_value=1e-3, max_value=1e12)
fees = st.floats(min_value=0.0, max_value=0.5)
shares = st.floats(min_value=1e-9, max_value=10.0)
each_bad_number = pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0])


def test_the_worked_swap() -> None:
    # 1000 x against 2000 y, 100 x put in, fee 0.3%: 99.7 work.
    # Out = 2000 x 99.7 / 1099.7 = 199400 / 1099.7 = 181.32217877...
    assert amount_out(1000, 2000, 100, 0.003) == pytest.approx(199_400 / 1099.7, abs=1e-9)
    assert amount_out(1000, 2000, 100, 0.003) == pytest.approx(181.3221787760, abs=1e-9)
    # Spot 2. Average 1.813221787760, which is 0.906610893880 of spot.
    assert spot_price(1000, 2000) == 2.0
    assert slippage(1000, 2000, 100, 0.003) == pytest.approx(-0.093389106120, abs=1e-9)
    # Without a fee: out 2000 x 100 / 1100 = 181.81..., slippage -100 / 1100.
    assert amount_out(1000, 2000, 100, 0.0) == pytest.approx(2000 / 11, abs=1e-9)
    assert slippage(1000, 2000, 100, 0.0) == pytest.approx(-1 / 11, abs=1e-9)


def test_the_worked_depth() -> None:
    # 1 / sqrt(1.01) = 0.995037190209989, so 0.004962809790011 of the reserve is bought away; selling would take
    # 1 / sqrt(0.99) - 1 = 0.005037815259212. The smaller is 4.962809790011 of 1000 tokens, at 2500 USD each.
    assert one_percent_depth(1000.0, 2_500_000.0, 2500.0) == pytest.approx(12_407.024475028, abs=1e-8)
    # Buying them does raise the price by one percent: y pays x y / (x - dx) - y.
    x, y, dx = 1000.0, 2_500_000.0, 1000 * 0.004962809790011
    assert spot_price(x - dx, x * y / (x - dx)) / spot_price(x, y) == pytest.approx(1.01, abs=1e-12)


@generated
@given(reserves, reserves, shares, fees)
def test_the_product_of_the_reserves_never_falls_and_stays_without_a_fee(
    x: float, y: float, share: float, fee: float
) -> None:
    dx = share * x
    k = Fraction(x) * Fraction(y)
    after = (Fraction(x) + Fraction(dx)) * (Fraction(y) - Fraction(amount_out(x, y, dx, fee)))
    # Rounding of the output, at most a few units in the last place of y, times the reserve x + dx.
    slack = Fraction(8 * math.ulp(y)) * (Fraction(x) + Fraction(dx))
    assert after >= k - slack
    without = (Fraction(x) + Fraction(dx)) * (Fraction(y) - Fraction(amount_out(x, y, dx, 0.0)))
    assert abs(without - k) <= slack


@generated
@given(reserves, reserves, shares, fees)
def test_slippage_is_the_average_price_against_the_spot_price(x: float, y: float, share: float, fee: float) -> None:
    dx = Fraction(share * x)
    paid = dx * (1 - Fraction(fee))
    out = Fraction(y) * paid / (Fraction(x) + paid)
    exact = float((out / dx) / (Fraction(y) / Fraction(x)) - 1)
    assert slippage(x, y, float(dx), fee) == pytest.approx(exact, rel=1e-9, abs=1e-300)
    assert -1.0 <= slippage(x, y, float(dx), fee) <= 0.0


@generated
@given(reserves, reserves, fees, shares, shares)
def test_a_larger_swap_gives_more_at_a_worse_price_and_never_the_whole_reserve(
    x: float, y: float, fee: float, one: float, other: float
) -> None:
    small, large = sorted((one * x, other * x))
    assert 0 <= amount_out(x, y, small, fee) <= amount_out(x, y, large, fee) <= y
    assert slippage(x, y, large, fee) <= slippage(x, y, small, fee)


@generated
@given(reserves, reserves, st.floats(min_value=1e-6, max_value=1e6))
def test_depth_is_the_smaller_of_what_moves_the_price_up_and_down(x: float, y: float, usd: float) -> None:
    bought, sold = x * (1 - 1 / math.sqrt(1.01)), x * (1 / math.sqrt(0.99) - 1)
    up, down = x * y / (x - bought) / (x - bought), x * y / (x + sold) / (x + sold)
    assert up / spot_price(x, y) == pytest.approx(1.01, abs=1e-12)
    assert down / spot_price(x, y) == pytest.approx(0.99, abs=1e-12)
    assert one_percent_depth(x, y, usd) == pytest.approx(min(bought, sold) * usd, rel=1e-12)


def test_nothing_swapped_gives_nothing_and_costs_the_fee() -> None:
    assert amount_out(10.0, 20.0, 0.0, 0.003) == 0.0
    assert slippage(10.0, 20.0, 0.0, 0.003) == pytest.approx(-0.003, abs=1e-15)


@each_bad_number
def test_impossible_figures_of_a_pool_are_refused_by_name(bad: float) -> None:
    for call, name in (
        (lambda: amount_out(bad, 1.0, 1.0, 0.0), "x"),
        (lambda: amount_out(1.0, bad, 1.0, 0.0), "y"),
        (lambda: amount_out(1.0, 1.0, bad, 0.0), "dx"),
        (lambda: amount_out(1.0, 1.0, 1.0, bad), "fee"),
        (lambda: slippage(bad, 1.0, 1.0, 0.0), "x"),
        (lambda: slippage(1.0, bad, 1.0, 0.0), "y"),
        (lambda: slippage(1.0, 1.0, bad, 0.0), "dx"),
        (lambda: slippage(1.0, 1.0, 1.0, bad), "fee"),
        (lambda: spot_price(bad, 1.0), "x"),
        (lambda: spot_price(1.0, bad), "y"),
        (lambda: one_percent_depth(bad, 1.0, 1.0), "x"),
        (lambda: one_percent_depth(1.0, bad, 1.0), "y"),
        (lambda: one_percent_depth(1.0, 1.0, bad), "usd_x"),
    ):
        with pytest.raises(ValueError, match=f"^{name} must"):
            call()


def test_a_fee_of_everything_and_an_empty_reserve_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^fee must be a fraction of at least 0 and below 1, got 1\.0"):
        amount_out(1.0, 1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"^x must"):
        spot_price(0.0, 1.0)


@dataclass(frozen=True)
class BlockCase(battery.Case):
    def observations(self, n: int, seed: int) -> list[Any]:
        return random_closes(n, seed).tolist()


@pytest.mark.parametrize(
    "law",
    [
        battery.test_there_is_no_value_before_it_is_ready_and_one_ever_after,
        battery.test_a_peek_changes_nothing_and_is_the_value_that_an_update_gives,
        battery.test_a_restored_snapshot_goes_on_bit_for_bit_from_any_point,
        battery.test_a_snapshot_is_not_touched_by_what_comes_later,
        battery.test_a_snapshot_with_a_key_missing_or_of_the_wrong_type_is_refused_by_name,
    ],
)
@pytest.mark.parametrize("blocks", [4, 5])
def test_the_median_keeps_the_laws_of_a_statistic(law: Any, blocks: int) -> None:
    law(BlockCase(lambda: BlockMedian(blocks), first_value=blocks))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_median_refuses_nan_and_infinities_by_name_and_without_a_trace(bad: float) -> None:
    battery.test_nan_and_infinities_are_refused_by_name_and_leave_no_trace(BlockCase(BlockMedian, 5), bad)


def test_two_manipulated_blocks_of_five_do_not_show() -> None:
    depths = [100.0, 101.0, 0.5, 0.1, 102.0, 103.0, 104.0]
    # Sorted fives: .1 .5 100 101 102; .1 .5 101 102 103; .1 .5 102 103 104.
    assert run(BlockMedian(), depths) == [None] * 4 + [100.0, 101.0, 102.0]


def test_the_median_of_an_even_number_of_blocks_is_the_mean_of_the_middle_two() -> None:
    assert run(BlockMedian(4), [4.0, 1.0, 3.0, 9.0])[-1] == 3.5


@pytest.mark.data
@pytest.mark.parametrize("blocks", [2, 5])
def test_the_median_equals_pandas_on_a_recorded_pool(blocks: int) -> None:
    liquidity = recorded("crypto/uniswap_v3_usdc_eth_hourly_202311_202401.csv")["liquidity"]
    theirs = liquidity.rolling(blocks).median()
    ours = pd.Series(run(BlockMedian(blocks), liquidity.tolist()), dtype=float)
    assert ours.isna().equals(theirs.isna())
    assert float((ours / theirs - 1).abs().max()) < 1e-9


def test_what_comes_later_changes_nothing_before_it() -> None:
    one, other = random_closes(100, 1).tolist(), random_closes(100, 2).tolist()
    assert run(BlockMedian(), one[:50] + other[50:])[:50] == run(BlockMedian(), one)[:50]


def test_a_million_blocks_do_not_drift() -> None:
    depths = np.random.default_rng(3).lognormal(15, 1, 1_000_000).tolist()
    block_median = BlockMedian()
    for depth in depths:
        block_median.update(depth)
    assert block_median.value == statistics.median(depths[-5:])


def test_impossible_medians_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^blocks must"):
        BlockMedian(0)
    with pytest.raises(ValueError, match="cannot hold 6"):
        BlockMedian.restore({"blocks": 5, "ring": [1.0] * 6})
