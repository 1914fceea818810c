import math
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, made_curves, recorded, recorded_settles, through_json

from processors.signals import VxCurve, vx_expiries

SESSION = date(2019, 6, 3)
EXPIRIES = tuple(date(2019, m, d) for m, d in ((6, 19), (7, 17), (8, 21), (9, 18), (10, 16), (11, 20), (12, 18)))
CONTANGO = (18.0, 18.9, 19.2, 19.5, 19.8, 20.0, 20.1)


def curve(*settles: float, session: date = SESSION) -> VxCurve:
    return VxCurve.from_settles(session, dict(zip(EXPIRIES, settles, strict=False)))


def test_a_curve_in_contango_by_hand() -> None:
    c = curve(*CONTANGO)
    assert (c.vx(1), c.vx(2), c.vx(7), c.vx(8), c.vx(0)) == (18.0, 18.9, 20.1, None, None)
    assert (c.dte(1), c.dte(2), c.dte(8)) == (16, 44, None)
    assert c.slope == pytest.approx(0.05, rel=1e-12)
    assert c.inverted is False
    # A holder of VX2 pays ln(18.9 / 18) over the 28 days between the expiries.
    assert c.roll_yield_long == pytest.approx(-math.log(1.05) / 28, rel=1e-12)
    assert c.roll_yield_long_annual == pytest.approx(-252 * math.log(1.05) / 28, rel=1e-12)
    # 30 days lie half way between 16 and 44.
    assert c.constant_maturity() == pytest.approx(18.45, rel=1e-12)
    assert c.range == pytest.approx(2.1, abs=1e-12)


def test_a_curve_in_backwardation_pays_the_long_holder() -> None:
    c = curve(30.0, 27.0, 25.0, 24.0, 23.0)
    assert c.inverted is True
    assert c.slope == pytest.approx(-0.1, rel=1e-12)
    assert c.roll_yield_long == pytest.approx(math.log(30 / 27) / 28, rel=1e-12)
    assert c.range == 7.0


def test_equal_fronts_are_not_inverted() -> None:
    c = curve(20.0, 20.0)
    assert (c.slope, c.inverted, c.roll_yield_long) == (0.0, False, 0.0)


@pytest.mark.parametrize("contracts", [0, 1])
def test_what_a_short_curve_does_not_define_is_missing(contracts: int) -> None:
    c = curve(*CONTANGO[:contracts])
    assert len(c) == contracts
    missing = (c.slope, c.inverted, c.roll_yield_long, c.roll_yield_long_annual, c.constant_maturity(), c.range)
    assert missing == (None,) * 6


def test_only_live_monthlies_with_a_price_count_and_the_order_given_does_not() -> None:
    c = VxCurve.from_settles(
        SESSION,
        {
            EXPIRIES[2]: 19.2,
            date(2019, 6, 12): 17.7,  # a weekly
            EXPIRIES[1]: 0.0,  # a listing day without trades
            date(2019, 5, 22): 16.0,  # expired
            EXPIRIES[3]: -1.0,
            EXPIRIES[0]: 18.0,
        },
    )
    assert c == VxCurve(SESSION, (EXPIRIES[0], EXPIRIES[2]), (18.0, 19.2))


def test_on_the_expiry_morning_the_next_contract_is_the_front() -> None:
    settles = dict(zip(EXPIRIES, CONTANGO, strict=True))
    assert VxCurve.from_settles(EXPIRIES[0] - timedelta(days=1), settles).vx(1) == 18.0
    assert VxCurve.from_settles(EXPIRIES[0], settles).vx(1) == 18.9


def test_constant_maturity_is_exact_at_a_contract_and_never_extrapolated() -> None:
    settles = dict(zip(EXPIRIES, CONTANGO, strict=True))
    thirty_before = EXPIRIES[1] - timedelta(days=30)
    assert VxCurve.from_settles(thirty_before, settles).constant_maturity() == 18.9
    # After the July expiry the August contract is 35 days away: nothing brackets 30 days.
    after_july = VxCurve.from_settles(EXPIRIES[1], settles)
    assert after_july.dte(1) == 35
    assert after_july.constant_maturity() is None
    c = curve(*CONTANGO)
    assert (c.constant_maturity(15), c.constant_maturity(16), c.constant_maturity(198)) == (None, 18.0, 20.1)
    assert c.constant_maturity(199) is None


def test_contracts_about_to_settle_do_not_count_in_the_range() -> None:
    settles = dict(zip(EXPIRIES, (35.0, *CONTANGO[1:]), strict=True))
    five = VxCurve.from_settles(EXPIRIES[0] - timedelta(days=5), settles)
    four = VxCurve.from_settles(EXPIRIES[0] - timedelta(days=4), settles)
    assert five.range == pytest.approx(35.0 - 18.9, abs=1e-9)
    assert four.range == pytest.approx(20.1 - 18.9, abs=1e-9)
    assert four.vx(1) == 35.0


def test_the_range_needs_five_contracts_and_looks_at_seven() -> None:
    assert curve(*CONTANGO[:4]).range is None
    assert curve(*CONTANGO[:5]).range is not None
    dropped = dict(zip(EXPIRIES[:5], CONTANGO, strict=False))
    assert VxCurve.from_settles(EXPIRIES[0] - timedelta(days=4), dropped).range is None
    nine = vx_expiries(SESSION + timedelta(days=1), date(2020, 3, 1))
    assert VxCurve.from_settles(SESSION, dict(zip(nine, (*CONTANGO, 50.0, 60.0), strict=True))).range == 2.1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinities_are_refused_by_name(bad: float) -> None:
    with pytest.raises(ValueError, match=f"settle of 2019-06-19 must be a finite number, got {bad}"):
        curve(bad)


@pytest.mark.parametrize(
    ("expiries", "settles", "message"),
    [
        ((EXPIRIES[0],), (18.0, 19.0), "1 expiries but 2 settles"),
        ((EXPIRIES[1], EXPIRIES[0]), (18.0, 19.0), "ascend"),
        ((EXPIRIES[0], EXPIRIES[0]), (18.0, 19.0), "ascend"),
        ((date(2019, 5, 22),), (18.0,), "after the session 2019-06-03, got 2019-05-22"),
        ((date(2019, 6, 12),), (18.0,), "2019-06-12 is not the expiry of a monthly"),
        ((EXPIRIES[0],), (0.0,), "above 0"),
        ((EXPIRIES[0],), (float("nan"),), "above 0"),
    ],
)
def test_a_curve_that_breaks_its_promise_is_refused(
    expiries: tuple[date, ...], settles: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        VxCurve(SESSION, expiries, settles)


prices = st.lists(st.integers(900, 8000).map(lambda cents: cents / 100), min_size=2, max_size=7)


@generated
@given(prices, st.integers(0, 15))
def test_properties_of_any_curve(settles: list[float], day: int) -> None:
    c = curve(*settles, session=SESSION + timedelta(days=day))
    assert c.settles == tuple(settles)
    assert c.inverted == (c.slope < 0) == (c.roll_yield_long > 0)
    days = [(expiry - c.session_date).days for expiry in c.expiries]
    for maturity in (20, 30, 45, 60, 200):
        inside = days[0] <= maturity <= days[-1]
        expected = pytest.approx(np.interp(maturity, days, c.settles), rel=1e-12) if inside else None
        assert c.constant_maturity(maturity) == expected
    assert VxCurve.restore(through_json(c.snapshot())) == c


@pytest.mark.data
def test_ranks_agree_with_a_continuous_series_made_by_others() -> None:
    theirs = recorded("vix-futures/vx1_vx8_settle_2007_2019.csv")
    days = recorded_settles()
    compared = unequal = 0
    for row in theirs.to_dict("records"):
        day = date.fromisoformat(row["date"])
        if day.year < 2009 or day not in days:
            continue
        ours = VxCurve.from_settles(day, days[day])
        for n in range(1, 8):
            if not math.isnan(row[f"vx{n}"]) and ours.vx(n) is not None:
                compared += 1
                unequal += abs(ours.vx(n) - row[f"vx{n}"]) > 0.0101
    assert compared > 19_000
    assert unequal == 0


def test_made_curves_roll_through_expiries() -> None:
    fronts = {c.expiries[0] for c in made_curves(120, seed=0)}
    assert len(fronts) >= 5
