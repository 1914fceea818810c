"""Releases and their schedules through the engine: what acts, from when, how long, and what changes nothing."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions_support import (
    CALENDAR,
    CALIBRATION,
    Row,
    at,
    closes,
    day_of_closes,
    generated,
    give,
    history,
    mark_until,
    marks,
    new_engine,
    refusals,
    restarted,
    sessions_from,
    text,
)

from processors.sessions.engine import Engine
from topics.macro import Release, Schedule
from topics.market import Watermark
from topics.message import canonical_json
from topics.regime import Regime
from topics.times import DAY, HOUR, MINUTE, SECOND

SIGNALS = CALIBRATION.regime.signals
CPI, PPI, GDP, REER, MINUTES = SIGNALS.cpi, SIGNALS.ppi, SIGNALS.gdp, SIGNALS.reer, SIGNALS.fomc
DAYS = sessions_from("2018-01-02", 40)
#: Consecutive months and quarters; the first 30 and 26 are history, those after them are news. All of them are over.
MONTHS = [f"{2010 + i // 12}-{i % 12 + 1:02d}" for i in range(60)]
QUARTERS = [f"{2010 + i // 4}-Q{i % 4 + 1}" for i in range(32)]
KNOWN, KNOWN_QUARTERS, KNOWN_MINUTES = 30, 26, 20

Item = Row | Release | Watermark | Schedule


def push(engine: Engine, items: Iterable[Item]) -> list[tuple[int, Any]]:
    """Every item by itself; returns (place of the item, message)."""
    out: list[tuple[int, Any]] = []
    for place, item in enumerate(items):
        emissions = engine.schedule(item) if isinstance(item, Schedule) else give(engine, [item])
        out += [(place, emission.message) for emission in emissions]
    return out


def figure(series: str, period: str, ts: int, actual: float | None = None, **more: Any) -> Release:
    return Release(series_id=series, ref_period=period, release_ts=ts, actual=actual, **more)


def surprises(seed: int, count: int = KNOWN) -> list[float]:
    chance = random.Random(seed)
    return [round(chance.gauss(0, 0.1), 3) for _ in range(count)]


def past(months: Sequence[str] = MONTHS, quarters: Sequence[str] = QUARTERS) -> list[Release]:
    """What was published before the first session: enough of each series for the next one to be standardised."""
    out: list[Release] = []
    chance = random.Random(11)
    level = 100.0

    def ts() -> int:
        return at("2018-01-01", "08:00") + len(out) * SECOND

    for i, (cpi, ppi) in enumerate(zip(surprises(1), surprises(2), strict=True)):
        level *= 1 + chance.gauss(0, 0.01)
        out.append(figure(CPI, months[i], ts(), round(0.2 + cpi, 3), consensus=0.2))
        out.append(figure(PPI, months[i], ts(), round(0.3 + ppi, 3), consensus=0.3))
        out.append(figure(REER, months[i], ts(), round(level, 2), unit="index"))
    for i in range(KNOWN_QUARTERS):
        out.append(figure(GDP, quarters[i], ts(), 2.0))
        out.append(figure(GDP, quarters[i], ts(), round(2.0 + chance.gauss(0, 0.3), 2), vintage=2))
    for i in range(KNOWN_MINUTES):
        out.append(figure(MINUTES, months[i], ts(), y2_pre=1.0, y2_post=round(1.0 + chance.gauss(0, 0.05), 4)))
    return out


@lru_cache
def _warm() -> Engine:
    engine = new_engine()
    push(engine, past())
    push(engine, [*history(DAYS[0], 3), mark_until(at(DAYS[2], "17:00"))])
    return engine


def warm() -> Engine:
    """An engine with that past and three committed sessions."""
    return restarted(_warm())


def state(engine: Engine) -> tuple[bytes, bytes]:
    """Every byte of the state."""
    return canonical_json(engine.snapshot()), canonical_json(engine.secondary.snapshot())


def morning(day: int, clock: str = "08:30") -> int:
    return at(DAYS[day], clock)


def committed(engine: Engine, *days: int) -> list[Regime]:
    """Closes of those sessions, all committed."""
    rows = [row for day in days for row in day_of_closes(DAYS[day])]
    return closes(push(engine, [*rows, mark_until(at(DAYS[days[-1]], "17:00"))]))


def tick(ts: int, vix: float = 15.0) -> Row:
    return Row("VIX", ts, last=vix)


def z_of(surprise: float, earlier: Sequence[float]) -> float:
    return surprise / float(np.std(np.array(earlier), ddof=1))


# Once, late, revised


NEWS = {
    "cpi": figure(CPI, MONTHS[KNOWN], morning(3), 0.25, consensus=0.2),
    "ppi": figure(PPI, MONTHS[KNOWN], morning(3), 0.2, consensus=0.3),
    "fomc": figure(MINUTES, MONTHS[KNOWN], morning(3), y2_pre=2.0, y2_post=2.06),
    "gdp": figure(GDP, QUARTERS[KNOWN_QUARTERS - 1], morning(3), 2.7, vintage=3),
    "reer": figure(REER, MONTHS[KNOWN], morning(3), 103.0, unit="index"),
}


@pytest.mark.parametrize("part", NEWS)
def test_a_release_moves_the_score_once_however_often_it_comes(part: str) -> None:
    news = NEWS[part]
    once, twice, never = warm(), warm(), warm()
    assert push(once, [news]) == push(twice, [news])
    before = state(twice)
    twice.counts.clear()
    assert push(twice, [news, news]) == []
    assert dict(twice.counts) == {"releases:superseded": 2}
    assert state(twice) == before == state(once)
    ours, theirs, without = (committed(engine, 3, 4) for engine in (once, twice, never))
    assert [text(regime) for regime in ours] == [text(regime) for regime in theirs]
    assert part in ours[0].modifier_parts
    assert without[0].modifier_parts[part].age == 3, "that of history"
    assert ours[0].modifier_parts[part].age == 0
    assert ours[0].modifier != without[0].modifier


@pytest.mark.parametrize("part", NEWS)
@pytest.mark.parametrize("delay", [SECOND, 3 * HOUR, 50 * HOUR])
def test_a_late_release_acts_from_where_the_stream_is(part: str, delay: int) -> None:
    news, arrival = NEWS[part], morning(3) + delay
    engine, without = warm(), warm()
    reached = [tick(ts) for ts in range(morning(3), arrival, 10 * HOUR)] + [tick(arrival)]
    assert [text(m) for _, m in push(engine, reached)] == [text(m) for _, m in push(without, reached)]
    engine.counts.clear()
    assert engine.release(news) == [], "what has been decided stays"
    assert dict(engine.counts) == {"releases:late": 1}
    assert engine.time == arrival
    (cited,) = [r for r in engine.releases.newest if r.series_id == news.series_id]
    assert (cited.release_ts, cited.applied_ts) == (news.release_ts, arrival)
    first, last = committed(engine, 5, 6)[-2:]
    assert first.modifier_parts[part].age == 5 - DAYS.index(CALENDAR.session_of(arrival))
    assert last.modifier_parts[part].age == first.modifier_parts[part].age + 1


def test_the_mark_before_a_publication_is_without_the_release() -> None:
    engine = warm()
    push(engine, [tick(morning(3, "08:28") + SECOND)])
    (mark,) = marks([(0, e.message) for e in engine.release(NEWS["cpi"])])
    assert mark.event_ts == morning(3, "08:29")
    assert mark.modifier_parts["cpi"].age == 3, "that of history"


def test_the_mark_of_the_moment_of_publication_has_the_release() -> None:
    engine = warm()
    push(engine, [tick(morning(3, "08:29") + SECOND)])
    assert engine.release(NEWS["cpi"]) == []
    (mark,) = marks(push(engine, [tick(morning(3) + SECOND)]))
    assert mark.event_ts == morning(3)
    assert mark.modifier_parts["cpi"].age == 0
    (cited,) = [r for r in mark.releases if r.series_id == CPI]
    assert (cited.release_ts, cited.applied_ts) == (morning(3), morning(3))


def test_a_revision_makes_no_second_surprise() -> None:
    engine, first = warm(), NEWS["cpi"]
    push(engine, [first])
    held = engine.secondary.snapshot()["macro"]
    revised = first.model_copy(update={"vintage": 2, "actual": 0.9, "release_ts": morning(4)})
    same_print = first.model_copy(update={"actual": 0.9, "release_ts": morning(4, "09:00")})
    push(engine, [revised, same_print])
    assert engine.secondary.snapshot()["macro"]["cpi"] == held["cpi"]
    (regime,) = committed(engine, 4)[-1:]
    assert regime.features["cpi_z"] == pytest.approx(z_of(0.05, surprises(1)), abs=1e-11)
    (cited,) = [r for r in regime.releases if r.series_id == CPI]
    assert (cited.vintage, cited.actual) == (2, 0.9)


def test_a_second_print_of_the_same_vintage_is_taken_up_as_a_correction_without_surprise() -> None:
    engine, first = warm(), NEWS["cpi"]
    push(engine, [first])
    engine.counts.clear()
    push(engine, [first.model_copy(update={"actual": 0.9, "release_ts": morning(3, "09:00")})])
    assert dict(engine.counts) == {"releases:used": 1}
    assert engine.secondary.snapshot()["macro"]["cpi"]["now"] == pytest.approx(0.05)


def test_a_second_vintage_of_gdp_is_a_revision() -> None:
    engine = warm()
    quarter = QUARTERS[KNOWN_QUARTERS]
    push(engine, [figure(GDP, quarter, morning(3), 2.0)])
    (first,) = committed(engine, 3)[-1:]
    assert "gdp_revision" not in first.features
    push(engine, [figure(GDP, quarter, morning(4), 1.4, vintage=2)])
    (second,) = committed(engine, 4)[-1:]
    assert second.features["gdp_revision"] == pytest.approx(-0.6, abs=1e-12)
    earlier = [r.actual - 2.0 for r in past() if r.series_id == GDP and r.vintage == 2][-16:]
    z = (-0.6 - np.mean(earlier)) / np.std(earlier, ddof=1)
    assert second.features["gdp_z"] == pytest.approx(z, abs=1e-11)
    assert second.modifier_parts["gdp"].points == pytest.approx(-0.5 * max(z, -3), abs=1e-11)


def test_a_revision_of_the_exchange_rate_replaces_the_level() -> None:
    engine = warm()
    push(engine, [NEWS["reer"], figure(REER, MONTHS[KNOWN], morning(4), 105.0, unit="index", vintage=2)])
    (regime,) = committed(engine, 4)[-1:]
    then = next(r.actual for r in past() if r.series_id == REER and r.ref_period == MONTHS[KNOWN - 3])
    assert regime.features["reer_change"] == pytest.approx(np.log(105.0 / then), abs=1e-12)
    levels = [r.actual for r in past() if r.series_id == REER]
    changes = np.log(np.array(levels[3:]) / np.array(levels[:-3]))
    z = (np.log(105.0 / then) - changes.mean()) / changes.std(ddof=1)
    assert regime.features["reer_z"] == pytest.approx(z, abs=1e-10), "judged against the same past, counted once"


# Any order


_POOL = st.lists(
    st.tuples(
        st.sampled_from((CPI, PPI, GDP, REER, MINUTES, "US_3M", "GDPNOW", "SPX_EPS_TTM", "SPX_CFPS_TTM")),
        st.integers(0, 5),  # period
        st.integers(1, 3),  # vintage
        st.integers(0, 6),  # day of publication
        st.integers(-6, 6),  # figure
        st.sampled_from((0, 0, 1, 1, 2)),  # sessions that are committed before it arrives
    ),
    min_size=1,
    max_size=25,
)


def _of_pool(series: str, period: int, vintage: int, day: int, value: int) -> Release:
    ref = QUARTERS[KNOWN_QUARTERS + period] if series in (GDP, "GDPNOW") else MONTHS[KNOWN + period]
    ts = morning(3 + day) + vintage
    if series == MINUTES:
        return figure(series, ref, ts, y2_pre=1.0, y2_post=1.0 + value / 50, vintage=vintage)
    base = {REER: 100.0, "US_3M": 2.0, "SPX_EPS_TTM": 10.0, "SPX_CFPS_TTM": 12.0}.get(series, 0.0)
    return figure(series, ref, ts, base + value / 10, consensus=0.0, vintage=vintage)


@settings(generated, max_examples=100)
@given(_POOL)
def test_releases_in_any_order_never_let_something_older_act(pool: list[tuple[str, int, int, int, int, int]]) -> None:
    engine, day = warm(), 3
    newest: dict[str, int] = {}  # period by series
    rate: dict[int, tuple[int, int, float]] = {}
    grown, counted = 0, -1
    for series, period, vintage, published, value, sessions in pool:
        for _ in range(sessions):
            committed(engine, day)
            day += 1
        release = _of_pool(series, period, vintage, published, value)
        before = engine.secondary.snapshot()["macro"]
        assert refusals([(0, e.message) for e in engine.release(release)]) == []
        after = engine.secondary.snapshot()["macro"]
        later = period > newest.get(series, -1)
        statistic = {CPI: "cpi", PPI: "ppi", MINUTES: "fomc"}.get(series)
        if statistic:
            surprised = after[statistic] != before[statistic]
            assert surprised == (later and vintage == 1)
            assert surprised or after["held"] == before["held"]
        if series == "US_3M":
            known = rate.get(period)
            if known is None or (vintage, release.release_ts) > known[:2]:
                rate[period] = (vintage, release.release_ts, release.actual or 0.0)
            newest_rate = rate[max(rate)]
            assert after["levels"]["US_3M"] == [newest_rate[2], newest_rate[1]]
        if series in (GDP, "GDPNOW") and after["held"].get("gdp") != before["held"].get("gdp"):
            assert release.release_ts >= grown
            grown = release.release_ts
        if after["counted"] != before["counted"]:
            assert period > counted, "of earnings and cash flow an older period never follows a newer one"
            counted = period
        newest[series] = max(newest.get(series, -1), period)
    ages = [part.age for regime in committed(engine, day, day + 1) for part in regime.modifier_parts.values()]
    assert all(age >= 0 for age in ages)
    cited = [(r.series_id, r.release_ts <= r.applied_ts) for r in engine.releases.newest]
    assert all(fine for _, fine in cited)
    assert state(restarted(engine)) == state(engine)


def test_a_first_print_of_an_older_month_that_comes_after_a_newer_one_is_no_surprise() -> None:
    engine = warm()
    push(engine, [figure(CPI, MONTHS[KNOWN + 1], morning(3), 0.3, consensus=0.2)])
    before = engine.secondary.snapshot()["macro"]
    push(engine, [figure(CPI, MONTHS[KNOWN], morning(4), 0.9, consensus=0.2)])
    after = engine.secondary.snapshot()["macro"]
    assert (after["cpi"], after["held"]) == (before["cpi"], before["held"])


def test_a_revision_of_an_older_yield_does_not_replace_the_newest_one() -> None:
    engine = warm()
    push(engine, [figure("US_3M", "2018-01-04", morning(3), 1.40), figure("US_3M", "2018-01-05", morning(4), 1.45)])
    push(engine, [figure("US_3M", "2018-01-04", morning(5), 1.39, vintage=2)])
    (regime,) = committed(engine, 5)[-1:]
    assert regime.features["rate_free"] == 1.45


# What cannot be right


@pytest.mark.parametrize(
    ("release", "reason", "words"),
    [
        (figure(CPI, "2018-02", morning(3), 0.2, consensus=0.2), "invalid", f"{CPI} of 2018-02"),
        (figure(CPI, "2018-01", morning(3), 0.2, consensus=0.2), "invalid", "before that period was over"),
        (figure(GDP, "2018-Q1", morning(3), 2.0), "invalid", f"{GDP} of 2018-Q1"),
        (figure(REER, "2030-01", morning(3), 100.0), "invalid", f"{REER} of 2030-01"),
        (figure(CPI, "2017-Q4", morning(3), 0.2), "invalid", f"{CPI} is monthly, YYYY-MM .given '2017-Q4'"),
        (figure(PPI, "2017", morning(3), 0.2), "invalid", f"{PPI} is monthly"),
        (figure(REER, "2017-11-30", morning(3), 100.0), "invalid", f"{REER} is monthly"),
        (figure(GDP, "2017-12", morning(3), 2.0), "invalid", f"{GDP} is quarterly, YYYY-Qn .given '2017-12'"),
        (figure(REER, MONTHS[KNOWN], morning(3), 0.0), "implausible", REER),
        (figure(REER, MONTHS[KNOWN], morning(3), -3.0), "implausible", "above 0"),
        (figure("US_3M", "2018-01-04", morning(3), 1e6), "implausible", "US_3M"),
        (figure("DE_2Y", "2018-01-04", morning(3), -101.0), "implausible", "DE_2Y"),
    ],
)
def test_a_release_that_cannot_be_right_is_refused_and_changes_nothing(
    release: Release, reason: str, words: str
) -> None:
    engine = warm()
    before = state(engine)
    engine.counts.clear()
    ((_, refused),) = push(engine, [release])
    assert refused.reason == reason
    assert re.search(words, refused.detail)
    assert dict(engine.counts) == {"releases:refused": 1}
    assert state(engine) == before


def test_the_last_day_of_its_own_period_is_too_early_and_the_next_one_is_not() -> None:
    end = at("2018-01-31", "15:00")
    (refused,) = warm().release(figure(CPI, "2018-01", end, 0.2))
    assert refused.message.reason == "invalid"  # type: ignore[union-attr]
    assert refusals([(0, e.message) for e in warm().release(figure(CPI, "2018-01", end + 9 * HOUR, 0.2))]) == []


# Time


@pytest.mark.parametrize("shift", [1, 7, 24])
def test_reference_months_are_never_times(shift: int) -> None:
    """The same figures of earlier or later months give the same evidence at the same times, only other names."""
    early = [f"{2003 + (i + shift) // 12}-{(i + shift) % 12 + 1:02d}" for i in range(60)]

    def told(months: Sequence[str]) -> list[dict[str, Any]]:
        engine = new_engine()
        out = push(engine, past(months))
        for day in range(6):
            items: list[Item] = [tick(morning(day)), tick(morning(day, "10:00"))]
            if day == 3:
                items += [
                    figure(CPI, months[KNOWN], morning(3, "10:30"), 0.4, consensus=0.2),
                    figure(REER, months[KNOWN], morning(3, "10:30"), 104.0, unit="index"),
                    figure(MINUTES, months[KNOWN], morning(3, "14:00"), y2_pre=2.0, y2_post=2.1),
                ]
            out += push(engine, [*items, *day_of_closes(DAYS[day])])
        return [_timeless(message.document()) for _, message in out]

    found = told(early)
    assert found == told(MONTHS)
    assert any("reer" in regime.get("modifier_parts", {}) for regime in found)


def _timeless(document: dict[str, Any]) -> dict[str, Any]:
    names = ("event_id", "inputs_digest", "regime_event_id")
    for release in document.get("releases", ()):
        del release["ref_period"]
    return {name: value for name, value in document.items() if name not in names}


@pytest.mark.parametrize(("part", "half_life"), [("cpi", 5), ("reer", 21)])
def test_a_release_fades_by_half_in_its_half_life(part: str, half_life: int) -> None:
    engine = warm()
    push(engine, [NEWS[part]])
    found = committed(engine, *range(3, 13))[-10:]
    parts = [regime.modifier_parts[part] for regime in found]
    assert [p.age for p in parts] == list(range(10))
    first = parts[0]
    assert first.decay == 1.0, "at the close of its own session its age is 0"
    assert 0 < abs(first.points) < 1, "so that the digits published reach beyond 1e-12"
    for k, now in enumerate(parts):
        assert now.decay == pytest.approx(0.5 ** (k / half_life), abs=1e-12)
        assert now.points == pytest.approx(first.points * 0.5 ** (k / half_life), abs=1e-12)
    for regime in found:
        assert regime.modifier == pytest.approx(sum(p.points for p in regime.modifier_parts.values()), abs=1e-11)


def test_the_surprise_is_that_of_numpy() -> None:
    engine = warm()
    push(engine, [NEWS["cpi"], NEWS["ppi"]])
    (regime,) = committed(engine, 3)[-1:]
    cpi, ppi = z_of(0.05, surprises(1)), z_of(-0.1, surprises(2))
    assert regime.features["cpi_z"] == pytest.approx(cpi, abs=1e-11)
    assert regime.features["ppi_z"] == pytest.approx(ppi, abs=1e-11)
    assert regime.modifier_parts["cpi"].points == pytest.approx(1.0 * cpi, abs=1e-11)
    assert regime.modifier_parts["ppi"].points == pytest.approx(0.5 * min(-0.25 * ppi, 3), abs=1e-11)


_TAIL = st.lists(
    st.tuples(
        st.sampled_from((CPI, PPI, GDP, REER, MINUTES)), st.integers(0, 3), st.integers(1, 3), st.integers(-6, 6)
    ),
    max_size=12,
)


@settings(generated, max_examples=40)
@given(_TAIL, _TAIL, _TAIL, st.integers(4, 8))
def test_releases_of_the_future_change_nothing(
    known: list[tuple[str, int, int, int]],
    one: list[tuple[str, int, int, int]],
    other: list[tuple[str, int, int, int]],
    day: int,
) -> None:
    then = morning(day, "10:00")

    def decided(tail: list[tuple[str, int, int, int]]) -> list[bytes]:
        engine = warm()
        releases = [_of_pool(s, p, v, i % (day - 2), x) for i, (s, p, v, x) in enumerate(known)]
        later = [
            _of_pool(s, p, v, 0, x).model_copy(update={"release_ts": then + 1 + i * HOUR})
            for i, (s, p, v, x) in enumerate(tail)
        ]
        rows: list[Any] = [row for d in range(3, 10) for row in (tick(morning(d)), *day_of_closes(DAYS[d]))]
        items = sorted([*rows, *releases, *later], key=lambda x: x.ts if isinstance(x, Row) else x.release_ts)
        out = push(engine, [*items, mark_until(at(DAYS[12], "12:00"))])
        return [text(m) for _, m in out if isinstance(m, Regime) and m.event_ts <= then]

    found = decided(one)
    assert found == decided(other) == decided([])
    assert found


_OTHERS = ("GDPNOW", "US_2Y", "DE_2Y", "US_3M", "US_10Y", "SPX_EPS_TTM", "SPX_CFPS_TTM", "SPX_DPS_TTM", "OTHER")


@settings(generated, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((CPI, PPI, GDP, REER, MINUTES, *_OTHERS)),
            st.sampled_from((-1e15, -7.0, -1e-300, 0.0, 5e-324, 1e-300, 0.1, 3.0, 100.0, 1e15)),
            st.sampled_from((None, -1e15, 0.0, 1e15)),
            st.integers(0, 5),
        ),
        max_size=30,
    )
)
def test_no_figure_that_a_release_may_carry_stops_the_stream(
    given_: list[tuple[str, float, float | None, int]],
) -> None:
    engine = warm()
    strip = [
        Row(f"SPX/{expiry}/{right}/{strike}", at(DAYS[3], "15:50"), bid=20.0, ask=21.0)
        for expiry in ("2018-01-19", "2018-02-16")
        for strike in range(2600, 2900, 50)
        for right in "CP"
    ]
    for i, (series, actual, consensus, period) in enumerate(given_):
        of_quarter = series in (GDP, "GDPNOW") or series.startswith("SPX")
        ref = QUARTERS[KNOWN_QUARTERS + period] if of_quarter else MONTHS[KNOWN + period]
        y2 = {"y2_pre": actual, "y2_post": consensus}
        release = figure(series, ref, morning(3) + i, actual, consensus=consensus, **y2)
        push(engine, [release])
    regimes = closes(push(engine, [*strip, *day_of_closes(DAYS[3]), *day_of_closes(DAYS[4]), *day_of_closes(DAYS[5])]))
    assert len(regimes) >= 2
    assert all(abs(regime.modifier) <= 10 for regime in regimes)
    json.loads(canonical_json(engine.secondary.snapshot()))


# Minutes and schedules


def test_minutes_surprise_by_the_change_of_the_yield() -> None:
    engine = warm()
    push(engine, [NEWS["fomc"]])
    (regime,) = committed(engine, 3)[-1:]
    moves = [r.y2_post - r.y2_pre for r in past() if r.series_id == MINUTES][-16:]
    assert regime.features["fomc_z"] == pytest.approx(z_of(2.06 - 2.0, moves), abs=1e-9)


def test_a_text_alone_surprises_nobody() -> None:
    engine = warm()
    before = engine.secondary.snapshot()["macro"]
    for missing in ({}, {"y2_pre": 2.0}, {"y2_post": 2.0}, {"actual": 3.0, "consensus": 2.0}):
        given_ = {"actual": None, **missing}
        push(engine, [figure(MINUTES, MONTHS[KNOWN + len(given_)], morning(3), **given_)])  # type: ignore[arg-type]
    assert engine.secondary.snapshot()["macro"] == before
    (cited,) = [r for r in engine.releases.newest if r.series_id == MINUTES]
    assert cited.release_ts == morning(3), "but that it came is in evidence"


DUE = at(DAYS[5], "14:00")


def due(scheduled: int = DUE, known: int = morning(3), period: str = "2017-12", **more: Any) -> Schedule:
    return Schedule(series_id=MINUTES, ref_period=period, scheduled_ts=scheduled, event_ts=known, **more)


def seen(engine: Engine, *clocks: int) -> list[Regime]:
    """The marks at those moments."""
    items: list[Item] = [item for ts in clocks for item in (tick(ts - SECOND), mark_until(ts + 1))]
    return [m for m in marks(push(engine, items)) if m.event_ts in clocks]


def test_a_window_is_in_evidence_from_a_day_before_until_half_an_hour_after() -> None:
    engine = warm()
    push(engine, [due()])
    opens, ends = DUE - 30 * MINUTE, DUE + 30 * MINUTE
    early, near, inside, last, over = seen(engine, opens - DAY - MINUTE, opens - DAY, DUE, ends, ends + MINUTE)
    assert early.freezes == over.freezes == ()
    for regime in (near, inside, last):
        ((series, first, until),) = [(f.series_id, f.from_ts, f.until_ts) for f in regime.freezes]
        assert (series, first, until) == (MINUTES, opens, ends)


def test_only_minutes_freeze() -> None:
    engine = warm()
    push(engine, [due().model_copy(update={"series_id": CPI})])
    (inside,) = seen(engine, DUE)
    assert inside.freezes == ()


def test_a_schedule_that_is_known_later_acts_only_from_then() -> None:
    known = DUE + 10 * MINUTE
    engine, without = warm(), warm()
    clocks = (DUE - HOUR, DUE, DUE + 5 * MINUTE)
    before = [text(m) for m in seen(engine, *clocks)]
    assert before == [text(m) for m in seen(without, *clocks)]
    push(engine, [tick(known - MINUTE - SECOND), due(known=known)])
    at_known, after = seen(engine, known + MINUTE, known + 2 * MINUTE)
    assert at_known.freezes == after.freezes != ()


def test_marks_before_a_schedule_was_known_fire_without_it() -> None:
    engine = warm()
    push(engine, [tick(DUE - 70 * SECOND)])
    (mark,) = marks([(0, e.message) for e in engine.schedule(due(known=DUE + SECOND))])
    assert mark.event_ts == DUE - MINUTE
    assert mark.freezes == ()


def test_a_change_moves_the_window_and_an_older_word_does_not_move_it_back() -> None:
    engine = warm()
    moved = due(DUE + 2 * HOUR, morning(4))
    push(engine, [due(), moved])
    engine.counts.clear()
    push(engine, [due()])
    assert dict(engine.counts) == {"schedules:superseded": 1}
    (first, second) = seen(engine, DUE, DUE + 2 * HOUR)
    assert first.freezes == second.freezes
    assert [f.from_ts for f in second.freezes] == [DUE + 90 * MINUTE]


def test_what_was_called_off_neither_freezes_nor_is_overdue() -> None:
    engine = warm()
    push(engine, [due(), due(known=morning(4), cancelled=True)])
    (inside, later) = seen(engine, DUE, DUE + 2 * HOUR)
    assert inside.freezes == later.freezes == ()
    assert later.overdue == ()


def test_a_release_is_overdue_after_an_hour_and_no_longer_when_it_comes() -> None:
    engine = warm()
    push(engine, [due()])
    waits, late = seen(engine, DUE + HOUR, DUE + HOUR + MINUTE)
    assert (waits.overdue, late.overdue) == ((), (f"{MINUTES}:2017-12",))
    (regime,) = committed(engine, 5)[-1:]
    assert regime.overdue == (f"{MINUTES}:2017-12",)
    push(engine, [figure(MINUTES, "2017-12", at(DAYS[5], "20:00"))])
    (after,) = seen(engine, at(DAYS[5], "20:01"))
    assert after.overdue == ()


def test_nobody_waits_longer_than_thirty_days() -> None:
    engine = warm()
    push(engine, [due()])
    found = committed(engine, *range(3, 30))
    told = [regime.session_date for regime in found if regime.overdue]
    assert told[0] == DAYS[5]
    assert 29 <= (told[-1] - told[0]).days <= 31


def test_a_refused_release_is_still_waited_for_and_a_late_one_is_not() -> None:
    engine = warm()
    push(engine, [due().model_copy(update={"series_id": CPI})])
    push(engine, [figure(CPI, "2017-12-31", DUE, 0.2)])
    (late,) = seen(engine, DUE + 2 * HOUR)
    assert late.overdue == (f"{CPI}:2017-12",)
    push(engine, [figure(CPI, "2017-12", DUE, 0.2)])
    (after,) = seen(engine, DUE + 3 * HOUR)
    assert after.overdue == ()


@pytest.mark.parametrize("sessions", [0, 1, 3])
def test_a_schedule_that_is_repeated_after_its_release_makes_nobody_wait(sessions: int) -> None:
    engine = warm()
    push(engine, [due(), figure(MINUTES, "2017-12", DUE)])
    committed(engine, *range(5, 5 + sessions + 1))
    push(engine, [due(known=at(DAYS[9], "08:00"))])
    (later,) = seen(engine, at(DAYS[9], "12:00"))
    assert later.overdue == ()


def test_a_schedule_that_becomes_known_after_its_release_makes_nobody_wait() -> None:
    engine = warm()
    push(engine, [figure(MINUTES, "2017-12", DUE), due(known=DUE + SECOND)])
    (later,) = seen(engine, DUE + 2 * HOUR)
    assert later.overdue == ()


def test_a_second_estimate_is_waited_for_although_the_first_came() -> None:
    engine = warm()
    push(engine, [figure(GDP, "2017-Q3", morning(3), 2.0)])
    first = due(period="2017-Q3", known=morning(4)).model_copy(update={"series_id": GDP})
    push(engine, [first, first.model_copy(update={"vintage": 2})])
    (late,) = seen(engine, DUE + 2 * HOUR)
    assert late.overdue == (f"{GDP}:2017-Q3:2",)


def test_a_calendar_known_in_advance_waits_for_each_vintage_and_a_later_one_ends_the_waiting_for_all() -> None:
    engine = warm()
    first = due(period="2017-Q3", known=morning(3)).model_copy(update={"series_id": GDP})
    push(engine, [first, first.model_copy(update={"vintage": 2}), first.model_copy(update={"vintage": 3})])
    (late,) = seen(engine, DUE + 2 * HOUR)
    assert late.overdue == (f"{GDP}:2017-Q3", f"{GDP}:2017-Q3:2", f"{GDP}:2017-Q3:3")
    push(engine, [figure(GDP, "2017-Q3", DUE + 3 * HOUR, 2.0).model_copy(update={"vintage": 2})])
    (later,) = seen(engine, DUE + 4 * HOUR)
    assert later.overdue == (f"{GDP}:2017-Q3:3",)


@pytest.mark.parametrize("cut", range(6))
def test_a_restart_anywhere_gives_the_same_bytes(cut: int) -> None:
    pieces: list[list[Item]] = [
        [due(), tick(morning(3)), NEWS["cpi"]],
        [*day_of_closes(DAYS[3]), NEWS["reer"], tick(morning(4))],
        [due(DUE + HOUR, morning(4)), *day_of_closes(DAYS[4]), tick(DUE)],
        [NEWS["fomc"], tick(DUE + HOUR), tick(DUE + 3 * HOUR)],
        [*day_of_closes(DAYS[5]), figure(MINUTES, "2017-12", at(DAYS[5], "20:00"))],
        [*day_of_closes(DAYS[6]), mark_until(at(DAYS[7], "12:00"))],
    ]
    whole, broken = warm(), warm()
    expected = [text(m) for piece in pieces for _, m in push(whole, piece)]
    found = [text(m) for piece in pieces[:cut] for _, m in push(broken, piece)]
    broken = restarted(broken)
    found += [text(m) for piece in pieces[cut:] for _, m in push(broken, piece)]
    assert found == expected
    assert state(broken) == state(whole)
    assert CALENDAR.is_session(DAYS[7])
