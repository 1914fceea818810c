"""The catalogue of concepts against the code: places, tests, defaults, weights, and the names in the evidence."""

from __future__ import annotations

import importlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest
from pydantic import ValidationError

from processors.regime.modifier import DIRECTIONS
from processors.signals.calendar import SessionCalendar
from processors.signals.catalogue import CATALOGUE, EVENTS, NEEDS, Concept
from processors.signals.signals import FIELDS, Signals
from topics.calibration import Calibration, ModifierPartName, ScoreName, SignalRules
from topics.chain import ChainFigure, Pool, Proposal, Stablecoin
from topics.constituents import CrossSection, Member
from topics.examples import EXAMPLES
from topics.execution import Intent
from topics.flows import Flow
from topics.instrument import parse_symbol
from topics.macro import Release
from topics.message import Message
from topics.offering import Offering
from topics.rebalance import Rebalance
from topics.regime import Regime, Transition
from topics.times import MINUTE, SECOND

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/methodology.md").read_text()
CLAIMED = frozenset(name for concept in CATALOGUE for name in concept.features)

#: The concepts in the order in which the methodology's text first names them.
ORDER = (
    *(1, 3, 4, 6, 5, 2, 10, 11, 12, 13, 14, 15, 16, 17, 7, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25),
    *(26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50),
    *(51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 63, 61, 62),
)

by_number = pytest.mark.parametrize("concept", CATALOGUE, ids=lambda concept: str(concept.number))


# Entries


def test_the_numbers_are_1_to_63_in_order() -> None:
    assert [concept.number for concept in CATALOGUE] == list(range(1, 64))
    assert len({concept.words for concept in CATALOGUE}) == 63


@by_number
def test_each_concept_is_said_in_plain_words(concept: Concept) -> None:
    assert concept.words == concept.words.strip()
    assert concept.meaning.endswith(".")
    assert concept.kind in ("fact", "reading")
    assert concept.source
    for text in (concept.words, concept.meaning, concept.default, concept.source):
        assert "  " not in text
        assert not re.search(r"TODO|domain\.md|\|", text)


@by_number
def test_each_place_is_a_module_and_each_test_a_file(concept: Concept) -> None:
    module = importlib.import_module(concept.place)
    path = ROOT / concept.test
    assert path.is_file()
    assert path.name.startswith("test_")
    text = path.read_text()
    assert "def test_" in text
    own = {name for name, value in vars(module).items() if getattr(value, "__module__", None) == concept.place}
    assert concept.place in text or any(re.search(rf"\b{name}\b", text) for name in own)


@by_number
def test_each_default_that_names_a_key_has_the_value_of_the_calibration(concept: Concept) -> None:
    document = json.loads(Calibration().canonical())
    for key, text in re.findall(r"((?:regime|hedge)\.[A-Za-z0-9_.]+) = ([^;]+)", concept.default):
        found = document
        for part in key.split("."):
            found = found[part]
        assert found == json.loads(f"[{text}]" if isinstance(found, list) else text), key
    assert len(re.findall(r"(?:regime|hedge)\.", concept.default)) == concept.default.count(" = ")


def test_every_part_of_score_and_modifier_is_claimed_once() -> None:
    parts = Counter(part for concept in CATALOGUE for part in concept.weights)
    assert set(parts) == {*get_args(ScoreName), *DIRECTIONS}
    assert set(parts.values()) == {1}
    named = {name for one in get_args(ModifierPartName) for name in (get_args(one) or (one,))}
    assert set(DIRECTIONS) == named
    assert set(Calibration().regime.modifier.weights) == named


def test_what_is_not_in_this_version_moves_no_score() -> None:
    without = [concept for concept in CATALOGUE if "not in this version" in concept.meaning]
    assert {concept.number for concept in without} == {3, 26, 27}
    assert not [concept.number for concept in without if concept.weights]


# Names in the evidence


def test_each_feature_belongs_to_one_concept_that_names_its_inputs() -> None:
    assert max(Counter(name for concept in CATALOGUE for name in concept.features).values()) == 1
    assert set(NEEDS) == CLAIMED
    assert set(EVENTS) <= CLAIMED
    assert {witness for witness in EVENTS.values() if witness} <= CLAIMED
    for concept in CATALOGUE:
        needed = {one for name in concept.features for need in NEEDS[name] for one in need.split("|")}
        assert needed <= set(concept.inputs), concept.number


def test_every_symbol_and_series_is_one_that_the_product_knows() -> None:
    rules = SignalRules()
    series = {value for name in SignalRules.model_fields if isinstance(value := getattr(rules, name), str)}
    kinds = {
        *("cross-section", "ipo", "ido", "pools", "locked value", "stablecoins", "DEX volume", "funding"),
        *("governance", "VX", "VX quotes", "VX depth", "VIX options", "SPX options", "coin options", "portfolio"),
    }
    for name in {name for concept in CATALOGUE for name in concept.inputs} - series - kinds:
        assert parse_symbol(name).expiry is None


def test_every_core_signal_is_claimed() -> None:
    assert set(FIELDS) <= CLAIMED


# A market that is told everything


@pytest.fixture(scope="module")
def evidence() -> frozenset[str]:
    """Every name that a panel shows that is fed all there is for more than three years, and the books beside it."""
    from processors.signals.secondary import SecondaryPanel

    calendar = SessionCalendar()
    days = calendar.sessions(date(2015, 1, 2), date(2018, 6, 29))
    panel, chance = SecondaryPanel(SignalRules()), random.Random(7)
    found: set[str] = set()
    for n, day in enumerate(days):
        ts = calendar.vix_close_ts(day)
        for release, first in _releases(day, days[n - 1] if n else None, ts - MINUTE, chance):
            panel.release(release, first)
        for flow in _flows(day, n, ts - MINUTE, chance):
            panel.flow(flow, calendar.previous_session(day))
        closes = {name: 100 * (1 + 0.2 * chance.random()) for name in _SYMBOLS}
        core = Signals(vix=closes["VIX6M"] / 6, vix3m=18, vvix=closes["VIX9D"], spx=closes["SPX"], ratio=0.9, rv21=12.0)
        surface = {"dex_iv30": 60 + chance.random()}
        found |= panel.commit(day, ts, closes, core, surface, chance.random()).features.keys()
        found |= panel.read(ts + MINUTE, core, surface).features.keys()
        panel.next_session()
    return frozenset(found | _of_books() | _of_strips() | _of_parity())


_SYMBOLS = ("ADVN", "DECN", "SPXTR", "SPX", "SPY", "XLRE", "SKEW", "DSPX", "VIX9D", "VIX6M")


def _releases(day: date, before: date | None, ts: int, chance: random.Random) -> Iterator[tuple[Release, bool]]:
    """Daily rates and nowcasts, and on the first session of a month everything that is monthly."""

    def of(series: str, period: str, actual: float, vintage: int = 1, **more: float) -> tuple[Release, bool]:
        given = Release(series_id=series, release_ts=ts, ref_period=period, actual=actual, vintage=vintage, **more)
        return given, vintage == 1

    for series in ("US_2Y", "DE_2Y", "US_3M", "US_10Y"):
        yield of(series, day.isoformat(), 2 + chance.random())
    quarter = f"{day.year}-Q{(day.month + 2) // 3}"
    yield of("GDPNOW", quarter, 2 + chance.random(), vintage=day.timetuple().tm_yday + 1)
    if before is None or before.month == day.month:
        return
    period = f"{before.year}-{before.month:02}"
    for series in ("CPI_CORE_MOM", "PPI_FD_MOM"):
        yield of(series, period, 0.2 + 0.1 * chance.random(), consensus=0.2)
    yield of("FOMC_MINUTES", day.isoformat(), 0.0, y2_pre=2.0, y2_post=2.0 + 0.1 * chance.random())
    yield of("REER_US", period, 100 + chance.random())
    for series in ("SPX_EPS_TTM", "SPX_CFPS_TTM", "SPX_DPS_TTM"):
        yield of(series, period, 2 + chance.random())
    for vintage in (1, 2, 3):
        yield of("GDP", quarter, 2 + chance.random(), vintage=vintage + 3 * day.month)


def _flows(day: date, n: int, ts: int, chance: random.Random) -> Iterator[CrossSection | Offering | ChainFigure]:
    before = SessionCalendar().previous_session(day)
    members = tuple(Member(id=f"M{i}", ret=0.02 * chance.random(), mcap_prev=1 + chance.random()) for i in range(4))
    yield CrossSection(universe="SPX", session_date=day, session_prev=before, event_ts=ts, members=members)
    for kind in ("ipo", "ido"):
        for i in range(1 + chance.randrange(3)):
            yield Offering(offering_id=f"{kind}-{n}-{i}", kind=kind, pricing_ts=ts)  # type: ignore[arg-type]
    yield ChainFigure(
        chain="ethereum",
        block_number=n,
        block_ts=ts,
        finalized=True,
        pool=Pool(pool="WETH-USDC", reserve_x=1000 + chance.random(), reserve_y=2e6, usd_x=2000),
        tvl_usd=5e10 * (1 + 0.1 * chance.random()),
        stablecoin=Stablecoin(symbol="USDC", usd=0.999),
        dex_volume_usd=1e9,
        funding_rate=0.0001,
        proposal=Proposal(proposal_id=f"P{n}", kind="withdraw"),
    )


def _of_books() -> set[str]:
    from processors.sessions.books import Books
    from processors.sessions.depths import Depths
    from topics.market import VALUES
    from topics.ticks import MISSING, TickColumns

    n, ts, symbol = 200, 1_517_846_400 * SECOND, "VX/2018-03-21"
    values = {name: np.full(n, np.nan) for name in VALUES}
    values["bid"][:], values["ask"][:] = 17.0 + 0.05 * (np.arange(n) % 3), 17.25
    values["bid_size"][:], values["ask_size"][:] = 10.0, 20.0
    values["last"][::4], values["size"][::4] = 17.0, 1.0
    zeros = np.zeros(n, dtype=np.int32)
    columns = TickColumns(
        market="US",
        event_ts=ts + np.arange(n, dtype=np.int64) * SECOND,
        symbols=(symbol,),
        symbol=zeros,
        sources=("cboe",),
        source=zeros,
        seq=np.full(n, MISSING, dtype=np.int64),
        recv_ts=np.full(n, MISSING, dtype=np.int64),
        values=values,
        official=np.zeros(n, dtype=np.bool_),
        invalid=np.zeros(n, dtype=np.bool_),
    )
    now = int(columns.event_ts[-1])
    books, depths = Books(), Depths()
    books.apply(columns)
    depths.apply(Flow(symbol=symbol, event_ts=now, depth_bid_usd=1e6, depth_ask_usd=2e6))
    return {*books.features(symbol, now), *depths.features(now)}


def _of_strips() -> set[str]:
    from processors.pricing import CALL, PUT, price
    from processors.signals.surface import Strip, minutes_to, surface

    ts, strips = 1_517_846_400 * SECOND, []
    for root, forward, vol, width in (("SPX", 2700.0, 0.2, 10.0), ("VIX", 17.0, 0.9, 0.5), ("ETH", 800.0, 0.9, 10.0)):
        for expiry in (date(2018, 2, 28), date(2018, 3, 28)):
            years = minutes_to(root, expiry, ts) / 525_600
            strikes = forward + width * np.arange(-30, 31)
            calls = np.repeat([True, False], len(strikes))
            found = [price(forward, strikes, vol, years, 0.01, right) for right in (CALL, PUT)]
            mid = np.concatenate(found) / (forward if root == "ETH" else 1.0)
            strips.append(Strip(root, expiry, np.tile(strikes, 2), calls, 0.99 * mid, 1.01 * mid))
    return set(surface(strips, ts, 0.01))


def _of_parity() -> set[str]:
    from processors.sessions.chains import Future, Sides
    from processors.sessions.parity import parity

    quotes, times = np.array([[1.0], [1.1], [1.0], [1.1]]), np.zeros((4, 1), dtype=np.int64)
    one, sources = np.array([15.0]), frozenset({"opra"})
    sides = Sides(date(2018, 3, 21), 40_000.0, one, quotes, times, one, sources, Future(15.0, 14.95, 15.05))
    return set(parity([sides], 0.01).features)


def test_every_name_that_a_fully_fed_market_shows_is_claimed(evidence: frozenset[str]) -> None:
    assert evidence - CLAIMED == set()


def test_a_fully_fed_market_shows_every_claimed_name(evidence: frozenset[str]) -> None:
    assert CLAIMED - set(FIELDS) - evidence == set()


def test_an_executed_decision_over_a_treasury_counts_once_and_in_its_own_session() -> None:
    from processors.signals.onchain import OnchainSignals

    signals = OnchainSignals(SignalRules())
    ts = 1_517_846_400 * SECOND

    def decided(proposal_id: str, kind: Literal["withdraw", "collateral", "other"], finalized: bool = True) -> str:
        proposal = Proposal(proposal_id=proposal_id, kind=kind)
        return signals.figure(
            ChainFigure(chain="ethereum", block_number=1, block_ts=ts, finalized=finalized, proposal=proposal)
        )

    def stress() -> object:
        return signals.features(ts, None, None, closing=True).get("governance_stress")

    assert stress() is None
    assert decided("a", "withdraw", finalized=False) == "unfinalized"
    assert [decided("a", "withdraw"), decided("b", "collateral"), decided("c", "other")] == ["used"] * 3
    assert decided("a", "withdraw") == "superseded"
    assert stress() == 2
    signals.next_session()
    assert stress() is None
    assert decided("a", "withdraw") == "superseded"
    assert stress() is None


@pytest.mark.parametrize("kind", [Regime, Transition, Rebalance, Intent])
def test_whatever_is_put_out_advises_and_cannot_say_otherwise(kind: type[Message]) -> None:
    document = EXAMPLES[kind].document()
    assert document["advisory"] is True
    with pytest.raises(ValidationError, match="advisory"):
        kind.model_validate_json(json.dumps({**document, "advisory": False}))


# The page


def _rows() -> list[list[str]]:
    """Rows of the concepts: those of six cells."""
    rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines())
    return [row for row in rows if len(row) == 6 and row[0].isdecimal()]


def test_the_page_holds_every_concept_in_the_order_of_the_text() -> None:
    assert tuple(int(row[0]) for row in _rows()) == ORDER
    assert sorted(ORDER) == list(range(1, 64))


@by_number
def test_the_page_says_what_the_catalogue_says(concept: Concept) -> None:
    calibration = Calibration()
    score = {name: part.weight for name, part in calibration.regime.score.items()}
    weights = {**score, **calibration.regime.modifier.weights}
    (row,) = [row for row in _rows() if row[0] == str(concept.number)]
    _number, words, meaning, place, default, test = row
    assert words == f"*{concept.words}*"
    assert meaning == ("Fact. " if concept.kind == "fact" else "") + concept.meaning
    assert place == f"`{concept.place}`"
    parts = [f"`{part}` {weights[part]:g}" for part in concept.weights]
    default_text = re.sub(r"((?:regime|hedge)\.[A-Za-z0-9_.]+)", r"`\1`", concept.default)
    texts = [text for text in default_text.split("; ") if text]
    assert default == "; ".join((*parts, *texts))
    path = ROOT / "docs" / re.fullmatch(r"\[\w+\]\((.*)\)", test)[1]  # type: ignore[index]
    assert path.resolve() == ROOT / concept.test


def test_each_link_and_each_key_of_the_page_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    document = json.loads(Calibration().canonical())
    for key in set(re.findall(r"`((?:regime|hedge)\.[A-Za-z0-9_.]+)`", PAGE)):
        found = document
        for part in key.split("."):
            assert part in found, key
            found = found[part]


def test_the_page_is_no_investment_advice() -> None:
    assert "no investment advice" in PAGE
