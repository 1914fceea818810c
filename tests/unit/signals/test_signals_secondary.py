"""The panel of secondary signals over a made history of three years: cuts, gaps, marks."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from signals_support import through_json

from processors.signals.calendar import SessionCalendar
from processors.signals.secondary import Secondary, SecondaryPanel
from processors.signals.signals import Signals
from topics.calibration import SignalRules
from topics.chain import ChainFigure, Pool, Proposal, Stablecoin
from topics.constituents import CrossSection, Member
from topics.macro import Release
from topics.message import canonical_json
from topics.offering import Offering
from topics.times import DAY, MINUTE

CALENDAR = SessionCalendar()
RULES = SignalRules()
SESSIONS = tuple(CALENDAR.sessions(date(2015, 1, 2), date(2018, 1, 31)))
SYMBOLS = ("ADVN", "DECN", "SPXTR", "SPY", "XLRE", "SKEW", "DSPX", "VIX9D", "VIX6M")


@dataclass(frozen=True)
class Day:
    """Everything that is told of one session."""

    session: date
    ts: int
    closes: dict[str, float]
    core: Signals
    surface: dict[str, float]
    ofi: float | None
    releases: list[tuple[Release, bool]] = field(default_factory=list)
    flows: list[CrossSection | Offering | ChainFigure] = field(default_factory=list)


@lru_cache
def history() -> tuple[Day, ...]:
    chance, spx, tr, days = random.Random(23), 2000.0, 4000.0, []
    for n, session in enumerate(SESSIONS):
        move = chance.gauss(0.0003, 0.009)
        spx, tr = spx * (1 + move), tr * (1 + move + 0.00008 * (1 + chance.random()))
        vix = 15 * math.exp(-20 * move) + chance.random()
        closes = {
            "ADVN": float(chance.randint(300, 2500)),
            "DECN": float(chance.randint(300, 2500)),
            "SPXTR": tr,
            "SPY": spx / 10,
            "XLRE": 30 * (1 + 0.1 * chance.random()),
            "SKEW": 130 + 5 * chance.random(),
            "DSPX": 20 + chance.random(),
            "VIX9D": vix * 0.95,
            "VIX6M": vix * 1.2,
        }
        core = Signals(
            vix=vix,
            vix3m=vix * 1.1,
            vvix=85 + chance.random(),
            spx=spx,
            ratio=0.9 + 0.1 * chance.random(),
            rv21=12 + chance.random(),
            rsi14=40 + 20 * chance.random(),
        )
        ts = CALENDAR.vix_close_ts(session)
        days.append(
            Day(
                session,
                ts,
                closes,
                core,
                {"dex_iv30": 60 + 10 * chance.random()},
                chance.gauss(0, 100),
                list(_releases(session, SESSIONS[n - 1] if n else None, ts - MINUTE, chance)),
                list(_flows(session, n, ts - MINUTE, chance)),
            )
        )
    return tuple(days)


def _releases(day: date, before: date | None, ts: int, chance: random.Random) -> Iterator[tuple[Release, bool]]:
    def of(series: str, period: str, actual: float | None, vintage: int = 1, **more: float) -> tuple[Release, bool]:
        made = Release(series_id=series, release_ts=ts, ref_period=period, actual=actual, vintage=vintage, **more)
        return made, vintage == 1

    for series in ("US_2Y", "DE_2Y", "US_3M", "US_10Y"):
        yield of(series, day.isoformat(), 2 + chance.random())
    quarter = f"{day.year}-Q{(day.month + 2) // 3}"
    yield of("GDPNOW", quarter, 2 + chance.random(), vintage=day.timetuple().tm_yday + 1)
    if before is None or before.month == day.month:
        return
    period = f"{before.year}-{before.month:02}"
    for series in ("CPI_CORE_MOM", "PPI_FD_MOM"):
        yield of(series, period, 0.2 + chance.gauss(0, 0.1), consensus=0.2)
    yield of("FOMC_MINUTES", period, None, y2_pre=2.0, y2_post=2.0 + chance.gauss(0, 0.1))
    yield of("REER_US", period, 100 + chance.random())
    for series in ("SPX_EPS_TTM", "SPX_CFPS_TTM", "SPX_DPS_TTM"):
        yield of(series, period, 40 + chance.random())


def _flows(day: date, n: int, ts: int, chance: random.Random) -> Iterator[CrossSection | Offering | ChainFigure]:
    members = tuple(Member(id=f"M{i}", ret=chance.gauss(0, 0.02), mcap_prev=1 + i) for i in range(4))
    before = CALENDAR.previous_session(day)
    yield CrossSection(universe="SPX", session_date=day, session_prev=before, event_ts=ts, members=members)
    for kind in ("ipo", "ido"):
        for i in range(chance.randrange(3)):
            yield Offering(offering_id=f"{kind}-{n}-{i}", kind=kind, pricing_ts=ts)  # type: ignore[arg-type]
    yield ChainFigure(
        chain="ethereum",
        block_number=n,
        block_ts=ts,
        finalized=True,
        pool=Pool(pool="WETH-USDC", reserve_x=1000 + chance.random(), reserve_y=2e6, usd_x=2000),
        tvl_native=5e6 * (1 + 0.1 * chance.random()),
        stablecoin=Stablecoin(symbol="USDC", usd=1 + chance.gauss(0, 0.004)),
        dex_volume_usd=1e9,
        funding_rate=0.0001,
        proposal=Proposal(proposal_id=f"P{n}", kind="withdraw") if n % 9 == 0 else None,
    )


def tell(panel: SecondaryPanel, day: Day) -> None:
    for release, first in day.releases:
        panel.release(release, first)
    for flow in day.flows:
        panel.flow(flow, CALENDAR.previous_session(day.session))


def close(panel: SecondaryPanel, day: Day) -> Secondary:
    return panel.commit(day.session, day.ts, day.closes, day.core, day.surface, day.ofi)


def session(panel: SecondaryPanel, day: Day) -> list[Secondary]:
    """A mark before anything of the day is known, the close, and a mark after it."""
    provisional = replace(day.core, vix=(day.core.vix or 0) + 1)
    before = panel.read(day.ts - 2 * MINUTE, provisional, day.surface)
    tell(panel, day)
    at_close = close(panel, day)
    panel.next_session()
    return [before, at_close, panel.read(day.ts + MINUTE, provisional, day.surface)]


@lru_cache
def _warm() -> dict[str, Any]:
    panel = SecondaryPanel(RULES)
    for day in history()[:-2]:
        session(panel, day)
    return through_json(panel.snapshot())


def warm() -> SecondaryPanel:
    """A panel that has seen all sessions but the last two."""
    return SecondaryPanel.restore(RULES, copy.deepcopy(_warm()))


def test_every_cut_equals_the_uninterrupted_run_bit_for_bit_and_nothing_is_ever_nan() -> None:
    """Each session begins from the bytes of the one before: were one cut to lose a bit, all after it would differ."""
    whole, cut = SecondaryPanel(RULES), SecondaryPanel(RULES)
    names: set[str] = set()
    acted: set[str] = set()
    for n, day in enumerate(history()):
        expected, found = session(whole, day), session(cut, day)
        assert found == expected
        snapshot = canonical_json(cut.snapshot())
        assert n % 20 or canonical_json(whole.snapshot()) == snapshot
        cut = SecondaryPanel.restore(RULES, json.loads(snapshot))
        for secondary in expected:
            assert all(math.isfinite(x) for x in secondary.features.values() if isinstance(x, float))
            assert all(math.isfinite(acting.z) and acting.age >= 0 for acting in secondary.acting)
            assert None not in secondary.features.values()
            names |= secondary.features.keys()
            acted |= {acting.name for acting in secondary.acting}
    assert canonical_json(whole.snapshot()) == canonical_json(cut.snapshot())
    # The history is worth something: everything but what order books show has spoken.
    assert {"ad_z", "reit_z", "dispersion_z", "ddm_drip_z", "gdp_z", "cpi_z", "ppi_z", "reer_z", "fomc_z"} <= names
    assert {"rate_differential_z", "cash_quality_z", "amm_depth_z", "dex_iv_spread_z", "ipo_z", "ido_z"} <= names
    assert {"ofi_depth_correlation", "tvl_change_1d", "peg_bps", "governance_stress"} <= names
    assert {"cpi", "gdp", "reer", "cash_quality", "advance_decline", "rsi", "peg", "tvl", "amm_depth", "ipo"} <= acted


@pytest.mark.parametrize("cut", [0, 1, 100, 400, 700])
def test_a_cut_within_a_session_loses_nothing(cut: int) -> None:
    """Between what is told, the commit and the next session."""
    days = history()[: cut + 3]
    whole, broken = SecondaryPanel(RULES), SecondaryPanel(RULES)

    def again(panel: SecondaryPanel) -> SecondaryPanel:
        return SecondaryPanel.restore(RULES, json.loads(canonical_json(panel.snapshot())))

    for n, day in enumerate(days):
        expected = session(whole, day)
        provisional = replace(day.core, vix=(day.core.vix or 0) + 1)
        found = [broken.read(day.ts - 2 * MINUTE, provisional, day.surface)]
        tell(broken, day)
        broken = again(broken) if n >= cut else broken
        found.append(close(broken, day))
        broken = again(broken) if n >= cut else broken
        broken.next_session()
        broken = again(broken) if n >= cut else broken
        found.append(broken.read(day.ts + MINUTE, provisional, day.surface))
        assert found == expected
    assert broken.snapshot() == whole.snapshot()


BREADTH = ("ad_net_ratio", "ad_sum20", "ad_z", "ad_divergence")
ROTATION = ("reit_z", "reit_rotation")
DIVIDENDS = ("ddm_gap", "ddm_implied_yield", "ddm_drip_z")
CHAIN = (
    "amm_depth_usd",
    "amm_depth_z",
    "peg_bps",
    "tvl_change_1d",
    "dex_volume_usd",
    "funding_rate",
    "governance_stress",
)
#: What is left out, the features that are then absent, and the state that does not advance.
GAPS = {
    "ADVN": (BREADTH, ("equity", "breadth")),
    "DECN": (BREADTH, ("equity", "breadth")),
    "XLRE": (ROTATION, ("equity", "rotation")),
    "SPY": (ROTATION, ("equity", "rotation")),
    "SPXTR": (("spxtr", "drip_yield", "ddm_drip_z"), ("equity", "drip")),
    "SKEW": (("skew", "skew_change5"), ("equity", "surface", "skew")),
    "DSPX": (("dspx",), ()),
    "VIX9D": (("vix9d",), ()),
    "VIX6M": (("vix6m",), ()),
    "vix": (("vix_change5", "dex_iv_spread", "dex_iv_spread_z", "implied_minus_realised"), ("onchain", "spread_z")),
    "vvix": (("vvix_change5",), ("equity", "surface", "vvix")),
    "ratio": (("ratio_change5",), ("equity", "surface", "ratio")),
    "spx": ((*DIVIDENDS, "drip_yield", "ad_divergence"), ("equity", "divergence")),
    "rv21": (("implied_minus_realised",), ()),
    "US_2Y": (("rate_differential", "rate_differential_change", "rate_differential_z"), ("macro", "differential")),
    "DE_2Y": (("rate_differential", "rate_differential_change", "rate_differential_z"), ("macro", "differential")),
    "US_3M": (("rate_free",), ()),
    "US_10Y": (DIVIDENDS, ("equity", "divergence")),
    "dex_iv30": (("dex_iv30", "dex_iv_spread", "dex_iv_spread_z"), ("onchain", "spread_z")),
    "ofi": ((), ("onchain", "flow_depth")),
    "chain": (CHAIN, ("onchain", "depth_z")),
}


def without(day: Day, missing: str) -> Day:
    """The day without one input."""
    closes = {name: value for name, value in day.closes.items() if name != missing}
    surface = {name: value for name, value in day.surface.items() if name != missing}
    core = replace(day.core, **{missing: None}) if missing in Signals.__dataclass_fields__ else day.core
    ofi = None if missing == "ofi" else day.ofi
    releases = [(release, first) for release, first in day.releases if release.series_id != missing]
    flows = [flow for flow in day.flows if missing != "chain" or not isinstance(flow, ChainFigure)]
    return replace(day, closes=closes, surface=surface, core=core, ofi=ofi, releases=releases, flows=flows)


def part(panel: SecondaryPanel, path: tuple[str, ...]) -> Any:
    found: Any = panel.snapshot()
    for name in path:
        found = found[name]
    return found


@pytest.mark.parametrize("missing", GAPS)
def test_a_missing_input_makes_its_features_absent_and_does_not_advance(missing: str) -> None:
    absent, path = GAPS[missing]
    # A week later a rate and a block are too old.
    late = missing in ("US_2Y", "DE_2Y", "US_3M", "US_10Y", "chain")
    day = history()[-2]
    day = replace(day, ts=day.ts + 9 * DAY if late else day.ts)
    if late:
        renewed = [(r.model_copy(update={"release_ts": day.ts - MINUTE}), first) for r, first in day.releases]
        flows = [
            f.model_copy(update={"block_ts": day.ts - MINUTE}) if isinstance(f, ChainFigure) else f for f in day.flows
        ]
        day = replace(day, releases=renewed, flows=flows)
    full, gap = warm(), warm()
    tell(full, day)
    tell(gap, without(day, missing))
    before, grown = part(gap, path), part(full, path)
    there, found = close(full, day), close(gap, without(day, missing))
    rare = {"governance_stress", *({"tvl_change_1d"} if late else set())}
    present = {*absent} - rare
    assert present <= there.features.keys(), "otherwise their absence says nothing"
    assert not {*absent} & found.features.keys()
    assert there.features.keys() - found.features.keys() <= {*absent}, "nothing else is missing"
    if "ddm_drip_z" in absent:  # what diverged sharply is not switched off by missing evidence
        assert part(full, ("equity", "divergence"))["sharp"] is True
        assert found.features["ddm_drip_sharp"] is True
    if path:
        assert part(gap, path) == before
        assert part(full, path) != grown


def test_a_session_without_anything_changes_no_statistic() -> None:
    panel = warm()
    before = panel.snapshot()
    day = history()[-2]
    panel.commit(day.session, day.ts, {}, Signals(), {}, None)
    after = panel.snapshot()
    still = ("breadth", "rotation", "dispersion", "drip", "divergence", "surface")
    assert {name: after["equity"][name] for name in still} == {name: before["equity"][name] for name in still}
    for name in ("cpi", "ppi", "fomc", "gdp", "nowcast", "reer", "quality", "held", "levels"):
        assert after["macro"][name] == before["macro"][name]
    for name in ("spread_z", "flow_depth", "blocks", "pegs"):
        assert after["onchain"][name] == before["onchain"][name]


def test_an_empty_panel_says_nothing() -> None:
    panel = SecondaryPanel(RULES)
    day = SESSIONS[0]
    assert panel.commit(day, CALENDAR.vix_close_ts(day), {}, Signals(), {}, None) == Secondary({}, ())
    assert panel.read(CALENDAR.vix_close_ts(day) + 1, Signals(), {}) == Secondary({}, ())


def test_marks_keep_the_committed_values_of_what_rests_on_closes() -> None:
    panel, last, next_day = warm(), history()[-2], history()[-1]
    tell(panel, last)
    committed = close(panel, last)
    panel.next_session()
    between = panel.read(next_day.ts - 60 * MINUTE, replace(last.core, vix=40.0, vvix=150.0, ratio=1.3, spx=1.0), {})
    of_closes = {
        *BREADTH, *ROTATION, *DIVIDENDS, "drip_yield", "ddm_drip_sharp", "dispersion", "dispersion_z", "skew", "spxtr",
        "vix_change5", "vvix_change5", "ratio_change5", "skew_change5", "rate_differential", "rate_differential_z",
        "ipo_z", "ido_z", "ipo_trailing", "ofi_depth_correlation",
    }  # fmt: skip
    shown = of_closes & committed.features.keys()
    assert len(shown) >= 18
    assert {name: between.features.get(name) for name in shown} == {name: committed.features[name] for name in shown}
    assert between.features["implied_minus_realised"] == 40.0 - (last.core.rv21 or 0), "but what is quoted now is new"
    # Releases are one session older, and what comes now acts at once.
    ages = {acting.name: acting.age for acting in committed.acting}
    for acting in between.acting:
        if acting.name in ("cpi", "ppi", "fomc", "gdp", "reer", "cash_quality"):
            assert acting.age == ages[acting.name] + 1
    release = Release(
        series_id="CPI_CORE_MOM",
        release_ts=next_day.ts - 30 * MINUTE,
        ref_period="2017-12",
        actual=0.5,
        consensus=0.2,
    )
    panel.release(release, first=True)
    at_once = panel.read(next_day.ts - 20 * MINUTE, last.core, {})
    (cpi,) = [acting for acting in at_once.acting if acting.name == "cpi"]
    assert cpi.age == 0
    assert at_once.features["cpi_z"] == cpi.z != between.features["cpi_z"]


def test_reading_changes_nothing() -> None:
    panel = warm()
    before = json.dumps(panel.snapshot())
    for minutes in range(5):
        panel.read(history()[-1].ts + minutes * MINUTE, history()[-1].core, {"dex_iv30": 99.0})
    assert json.dumps(panel.snapshot()) == before


def test_breadth_in_the_panel_is_that_of_numpy() -> None:
    panel = warm()
    day = history()[-2]
    tell(panel, day)
    found = close(panel, day).features
    ratios = []
    for each in history()[:-1]:
        a, d = each.closes["ADVN"], each.closes["DECN"]
        ratios.append((a - d) / (a + d))
    sums = np.convolve(ratios, np.ones(20), "valid")
    z = (sums[-1] - sums[-253:-1].mean()) / sums[-253:-1].std(ddof=1)
    assert found["ad_sum20"] == pytest.approx(sums[-1], abs=1e-12)
    assert found["ad_z"] == pytest.approx(z, abs=1e-9)
    spread = np.array([each.surface["dex_iv30"] - (each.core.vix or 0) for each in history()[:-1]])
    z = (spread[-1] - spread[-91:-1].mean()) / spread[-91:-1].std(ddof=1)
    assert found["dex_iv_spread_z"] == pytest.approx(z, abs=1e-9)


@pytest.mark.parametrize("version", [0, 2, None, "1"])
def test_another_version_is_refused(version: object) -> None:
    with pytest.raises(ValueError, match="version"):
        SecondaryPanel.restore(RULES, {**_warm(), "version": version})


@pytest.mark.parametrize("key", ["macro", "equity", "onchain", "seen"])
def test_a_snapshot_that_lacks_something_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        SecondaryPanel.restore(RULES, {name: value for name, value in _warm().items() if name != key})
