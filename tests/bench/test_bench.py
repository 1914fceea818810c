"""The arithmetic, the page and the workload of the side-by-side bench: quick, without a broker."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from datetime import date
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parent / "peers"))

import job
import page
import reference
import workload
from arithmetic import Look, paired, rate, share, slope

from topics.codec import JSON_HEADERS, decode_market
from topics.market import Tick
from topics.ticks import decode_block, invalid_rows


@pytest.fixture(scope="module")
def week() -> workload.Week:
    """A made-up week: prices that go up and down."""
    draw = np.random.default_rng(3)
    level = np.array([2700.0, 16.0, 270.0, 17.0, 82.0, 16.5, 17.0])
    shape = (5, workload.MINUTES, len(workload.NAMES))
    opened = np.round(level * (1 + 0.02 * draw.standard_normal(shape)), 2)
    closed = np.round(level * (1 + 0.02 * draw.standard_normal(shape)), 2)
    high, low = np.maximum(opened, closed) + 0.1, np.minimum(opened, closed) - 0.1
    days = workload.CALENDAR.sessions(date(2019, 2, 7), date(2019, 2, 8))
    return workload.Week(
        np.round(np.stack([opened, high, low, closed], axis=3), 2), closed[:, -1], closed[:2, 0], tuple(days)
    )


def test_the_rate_leaves_out_what_was_before_the_first_commit() -> None:
    looks = [Look(10.0, 3.0, 500), Look(11.0, 3.5, 900), Look(14.0, 5.0, 4500)]
    assert rate(looks).clock == 1000.0
    assert rate(looks).cpu == 2000.0
    with pytest.raises(ValueError, match="fewer than two"):
        rate(looks[:1])


def test_ratios_are_taken_round_by_round() -> None:
    rates = {"a": [10.0, 40.0, 90.0], "b": [10.0, 10.0, 30.0]}
    found = paired(rates, "a", "b")
    assert (found.rate, found.ratio, found.low, found.high) == (40.0, 3.0, 1.0, 4.0)
    with pytest.raises(ValueError, match="zip"):
        paired({"a": [1.0], "b": [1.0, 2.0]}, "a", "b")


def test_a_quantile_is_a_value_that_was_seen() -> None:
    assert share([3.0, 1.0, 2.0], 0.5) == 2.0
    assert share([float(i) for i in range(100)], 0.99) == 98.0
    assert share([5.0], 0.99) == 5.0


def test_the_slope_of_a_line_is_its_slope() -> None:
    assert slope([0.0, 1.0, 2.0], [5.0, 7.0, 9.0]) == pytest.approx(2.0)


def test_a_section_replaces_what_stood_in_it_and_nothing_else() -> None:
    given = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n"
    assert page.with_section(given, "x", "new") == "a\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\nb\n"
    with pytest.raises(ValueError, match="no section"):
        page.with_section(given, "y", "new")


def test_the_plot_is_svg_with_the_longest_bar_first() -> None:
    drawn = page.bars("ticks <a second>", {"slow": 10.0, "alvh": 1000.0})
    texts = [each.text for each in ET.fromstring(drawn).iter() if each.tag.endswith("text")]
    assert texts == ["ticks <a second>", "alvh", "1,000", "slow", "10"]


def test_a_bar_is_walked_over_its_extremes() -> None:
    up, down = workload.walk((10.0, 12.0, 9.0, 11.0), 187), workload.walk((11.0, 12.0, 9.0, 10.0), 187)
    assert (up[0], up.max(), up.min(), up[-1]) == (10.0, 12.0, 9.0, 11.0)
    assert up.argmin() < up.argmax()
    assert down.argmax() < down.argmin()


def test_ticks_rise_in_time_and_number_and_are_valid(week: workload.Week) -> None:
    made = list(workload.sessions(week, 25_000, 7))
    assert np.array_equal(np.concatenate([each.seq for each in made]), np.arange(sum(map(len, made))))
    assert (np.diff(np.concatenate([each.event_ts for each in made])) >= 0).all()
    assert not any(invalid_rows(each).any() for each in made)


def test_lines_and_blocks_are_what_the_feed_would_send(week: workload.Week) -> None:
    for columns in workload.sessions(week, 30, 4):
        texts = list(workload.lines(columns))
        assert texts[:50] == [columns.row_bytes(i) for i in range(min(50, len(columns)))]
        assert isinstance(decode_market(texts[-1], JSON_HEADERS), Tick)
        parts = [decode_block(block) for block, _ in workload.blocks(columns, 1000)]
        assert [row for part in parts for row in part.seq.tolist()] == columns.seq.tolist()


def test_the_job_of_the_peers_comes_to_what_numpy_and_talib_come_to(week: workload.Week) -> None:
    made = list(workload.sessions(week, 30, 4))
    market, messages = job.Market(), []
    for columns in made:
        for line in workload.lines(columns):
            found = market.tick(json.loads(line))
            if found is not None:
                messages.append(found)
    trades = reference.Trades.of(made)
    for message in (messages[0], messages[20], messages[60], messages[-1]):
        assert reference.differences(trades, message) == []
    assert reference.ours_differ(trades, messages[-1]["n"]) == []
    spoilt = json.loads(json.dumps(messages[-1]))
    spoilt["symbols"]["SPX"]["rsi"] += 1e-6
    assert len(reference.differences(trades, spoilt)) == 1


def test_a_score_says_its_state() -> None:
    assert [job.state_of(points) for points in (0.0, 25.0, 50.0, 75.0)] == ["low", "moderate", "elevated", "high"]
