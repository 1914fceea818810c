"""The recording of every real series of 2004 to 2019: it reads whole, and nothing in it comes before it was public."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from datasets import build_full

from processors.feeds.items import Item, Single
from processors.feeds.recorded import Recording
from topics.catalog import MACRO_RELEASES, MARKET_FLOWS
from topics.codec import decode_flow, decode_macro
from topics.constituents import CrossSection
from topics.macro import Release, Schedule, period
from topics.offering import Offering
from topics.ticks import TickColumns
from topics.times import DAY, SECOND, parse_ts

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    folder: Path = build_full(tmp_path_factory.mktemp("full") / "full", date(2004, 1, 2), date(2019, 12, 31))
    return list(Recording(folder).items())


@pytest.fixture(scope="module")
def macro(items: list[Item]) -> list[Release | Schedule]:
    return [decode_macro(i.value) for i in items if isinstance(i, Single) and i.topic == MACRO_RELEASES]


def day_of(ts: int) -> date:
    return datetime.fromtimestamp(ts // SECOND, UTC).date()


def test_only_prints_that_are_known_to_be_bad_are_refused(items: list[Item]) -> None:
    refused: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for item in items:
        if isinstance(item, TickColumns):
            roots = np.array([symbol.split("/")[0] for symbol in item.symbols])[item.symbol]
            found.update(roots.tolist())
            refused.update(roots[item.invalid].tolist())
    # VVIX under 50 in March and November 2006, and two settlements of 1.00 on 2008-04-21.
    assert refused == {"VVIX": 6, "VX": 2}
    assert set(found) == {
        *("SPX", "VIX", "VIX3M", "VVIX", "VX", "ADVN", "DECN", "UNCN"),
        *("SKEW", "VIX9D", "VIX6M", "SPXTR", "SPY", "VXX"),
    }
    assert min(found.values()) > 2200


def test_every_message_is_one_and_stands_in_the_order_of_events(
    items: list[Item], macro: list[Release | Schedule]
) -> None:
    times = [item.time for item in items if isinstance(item, Single)]
    assert times == sorted(times)
    series = Counter(message.series_id for message in macro if isinstance(message, Release))
    assert {"US_2Y", "US_3M", "US_10Y", "JP_2Y", "REER_US", "GDP", "SPX_DPS_TTM", "SPX_EPS_TTM"} <= set(series)
    flows = [decode_flow(item.value) for item in items if isinstance(item, Single) and item.topic == MARKET_FLOWS]
    assert Counter(type(flow) for flow in flows) == {CrossSection: 28, Offering: 232}
    assert sum(flow.spac for flow in flows if isinstance(flow, Offering)) == 38


def test_no_figure_comes_before_what_it_measures_is_over(macro: list[Release | Schedule]) -> None:
    for release in macro:
        if isinstance(release, Release):
            last = period(release.ref_period)[1]
            assert day_of(release.release_ts) > last or release.series_id == "FOMC_DECISION", release
            if release.series_id in ("SPX_DPS_TTM", "SPX_EPS_TTM"):
                # Interpolated between quarters: even January rests on the end of March.
                quarter = (last.month - 1) // 3 + 1
                assert day_of(release.release_ts) >= period(f"{last.year}-Q{quarter}")[1] + timedelta(days=75)


def test_growth_that_a_shutdown_delayed_is_delayed(macro: list[Release | Schedule]) -> None:
    prints = {(m.ref_period, m.vintage): m for m in macro if isinstance(m, Release) and m.series_id == "GDP"}
    # The Bureau of Economic Analysis published these on 2013-11-07, 2013-12-05, 2013-12-20 and 2019-02-28.
    for key, published in (
        (("2013-Q3", 1), "2013-11-07T13:30:00Z"),
        (("2013-Q3", 2), "2013-12-05T13:30:00Z"),
        (("2013-Q3", 3), "2013-12-20T13:30:00Z"),
        (("2018-Q4", 1), "2019-02-28T13:30:00Z"),
    ):
        assert prints[key].release_ts >= parse_ts(published)
    assert ("2018-Q4", 2) not in prints  # there was none
    assert prints["2018-Q4", 1].release_ts == parse_ts("2019-02-28T13:30:00Z")
    assert prints["2019-Q3", 1].consensus is not None
    assert prints["2019-Q3", 2].consensus is None


@pytest.mark.parametrize(
    ("decision", "published"),
    [
        ("2004-11-10", "2004-12-16T19:00:00Z"),
        ("2004-12-14", "2005-01-04T19:00:00Z"),
        ("2006-12-12", "2007-01-03T19:00:00Z"),
        ("2007-12-11", "2008-01-02T19:00:00Z"),
        ("2012-12-12", "2013-01-03T19:00:00Z"),
        ("2018-01-31", "2018-02-21T19:00:00Z"),
    ],
)
def test_minutes_come_when_they_were_out_or_a_few_days_later(
    macro: list[Release | Schedule], decision: str, published: str
) -> None:
    found = [m for m in macro if m.series_id == "FOMC_MINUTES" and m.ref_period == decision]
    (release,) = [m for m in found if isinstance(m, Release)]
    (due,) = [m for m in found if isinstance(m, Schedule)]
    assert parse_ts(published) <= release.release_ts <= parse_ts(published) + 4 * DAY
    assert release.actual is None
    assert due.scheduled_ts == release.release_ts == due.event_ts + 7 * DAY


def test_every_recorded_date_of_growth_finds_its_release(macro: list[Release | Schedule]) -> None:
    released = {(m.series_id, m.ref_period, m.release_ts) for m in macro if isinstance(m, Release)}
    due = [m for m in macro if isinstance(m, Schedule)]
    assert {m.series_id for m in due} == {"FOMC_MINUTES", "CPI_CORE_MOM", "GDP", "NFP"}
    for schedule in due:
        if schedule.series_id == "GDP":
            assert ("GDP", schedule.ref_period, schedule.scheduled_ts) in released
