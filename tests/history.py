"""What the integration proofs share: a history checker that knows nothing of the project, and helpers that do.

The checker compares two histories of one topic partition, each a list of (key, value) in log order, one of an
uninterrupted run and one of a run that was killed, and says what was lost, doubled, moved or changed.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from chaos.checker import misplaced, numbered
from datasets import build_real

from processors.config import Settings
from processors.feeds.feed import records_of
from processors.feeds.items import Item, Single, tight
from processors.feeds.recorded import Recording
from processors.run import member_of, processors_for
from processors.signals.calendar import SessionCalendar
from processors.stream.log import Cluster, Log, Out, TopicPartition
from processors.stream.metrics import Metrics
from processors.stream.open import open_cluster
from processors.stream.processor import Processor
from processors.stream.runner import Runner
from topics.calibration import Calibration
from topics.catalog import (
    ALERTS,
    ALL_TOPICS,
    COMPACTED,
    DEAD_LETTERS,
    HEDGE_REBALANCES,
    HEDGE_REGIMES,
    MACRO_RELEASES,
    MARKET_FLOWS,
    MARKET_TICKS,
    PORTFOLIO_SNAPSHOTS,
    REGIME_MARKS,
    REGIME_STATES,
    REGIME_TRANSITIONS,
)
from topics.chain import ChainFigure, Pool, Proposal, Stablecoin
from topics.codec import AnyFlow, encode, flow_ts
from topics.constituents import CrossSection, Member
from topics.flows import Flow
from topics.macro import Release, Schedule
from topics.market import VALUES, Watermark
from topics.message import Message
from topics.offering import Offering
from topics.portfolio import Portfolio, Position
from topics.ticks import MISSING, TickColumns, invalid_rows
from topics.times import DAY, HOUR, MINUTE, SECOND, format_ts

Entry = tuple[bytes | None, bytes | None]
#: A history by topic and partition.
Dump = dict[tuple[str, int], list[Entry]]


# The checker: the standard library alone


@dataclass(slots=True)
class Faults:
    """What is wrong with one key, as places in the expected history (``lost``) or in the seen one (the others).

    Attributes:
        lost: expected and never seen.
        duplicate: seen more often than expected.
        divergent: seen and never expected.
        reordered: in both, but not where it should stand among the others of the partition.
    """

    lost: list[int] = field(default_factory=list)
    duplicate: list[int] = field(default_factory=list)
    divergent: list[int] = field(default_factory=list)
    reordered: list[int] = field(default_factory=list)


KINDS = ("lost", "duplicate", "divergent", "reordered")


def check(expected: Sequence[Entry], seen: Sequence[Entry]) -> dict[bytes | None, Faults]:
    """Faults of one partition by key; empty when the two histories are the same.

    The n-th occurrence of an entry in one history stands for its n-th occurrence in the other.
    """
    faults: defaultdict[bytes | None, Faults] = defaultdict(Faults)
    places: dict[tuple[Entry, int], int] = {}
    for place, (entry, nth) in enumerate(numbered(expected)):
        places[entry, nth] = place
    known = {entry for entry, _ in places}
    found: list[tuple[int, int]] = []  # place in expected, place in seen
    for at, (entry, nth) in enumerate(numbered(seen)):
        place = places.pop((entry, nth), None)
        if place is not None:
            found.append((place, at))
        elif entry in known:
            faults[entry[0]].duplicate.append(at)
        else:
            faults[entry[0]].divergent.append(at)
    for place in places.values():
        faults[expected[place][0]].lost.append(place)
    for at in misplaced(found):
        faults[seen[at][0]].reordered.append(at)
    return dict(faults)


@dataclass(slots=True)
class Verdict:
    """All partitions together: how many entries were expected and seen, and the faults by kind and by place."""

    expected: int = 0
    seen: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    where: dict[tuple[str, int, bytes | None], Faults] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not self.where

    def __str__(self) -> str:
        text = f"{self.expected} expected, {self.seen} seen: " + ", ".join(f"{self.counts[k]} {k}" for k in KINDS)
        for (topic, partition, key), faults in list(self.where.items())[:5]:
            for kind in KINDS:
                if places := getattr(faults, kind):
                    text += f"\n  {topic}/{partition} key {key!r}: {kind} at {places[:5]} ({len(places)})"
        return text


def compare(
    expected: Mapping[tuple[str, int], Sequence[Entry]], seen: Mapping[tuple[str, int], Sequence[Entry]]
) -> Verdict:
    """The verdict over every topic partition that is in either dump."""
    verdict = Verdict(sum(map(len, expected.values())), sum(map(len, seen.values())))
    for topic, partition in sorted(expected.keys() | seen.keys()):
        found = check(expected.get((topic, partition), ()), seen.get((topic, partition), ()))
        for key, faults in found.items():
            verdict.where[topic, partition, key] = faults
            for kind in KINDS:
                verdict.counts[kind] += len(getattr(faults, kind))
    return verdict


def digests(dump: Mapping[tuple[str, int], Sequence[Entry]]) -> dict[str, str]:
    """SHA-256 of each topic partition's whole history: lengths and bytes of every key and value in order."""
    found = {}
    for (topic, partition), entries in sorted(dump.items()):
        content = hashlib.sha256()
        for entry in entries:
            for part in entry:
                content.update((-1 if part is None else len(part)).to_bytes(8, "big", signed=True) + (part or b""))
        found[f"{topic}/{partition}"] = content.hexdigest()
    return found


# What follows knows the project: inputs, runs and dumps

OUTPUTS = (
    REGIME_STATES,
    REGIME_MARKS,
    REGIME_TRANSITIONS,
    HEDGE_REGIMES,
    HEDGE_REBALANCES,
    ALERTS,
    DEAD_LETTERS,
)
CALENDAR = SessionCalendar()
CALIBRATION = Calibration()
#: Real sessions, from the calm before February 2018 to the calm after it; four months of warm-up come before.
FIRST, LAST = date(2018, 3, 1), date(2018, 4, 30)
#: Synthetic sessions with ticks between the closes.
DAYS = (date(2018, 5, 1), date(2018, 5, 2))
#: In the first of them: a release; a block of a chain; the minutes; a figure of growth, revised.
NOON = CALENDAR.open_ts(DAYS[0]) + 2 * HOUR
BLOCK = NOON + 45 * MINUTE
MINUTES = NOON + HOUR
REVISION = NOON + 2 * HOUR
#: Breadth begins before everything else, so that its z-score has its year in time.
BREADTH_FIRST = date(2017, 7, 20)


def columns_of(rows: Sequence[Mapping[str, Any]], market: str = "US") -> TickColumns:
    """Rows as they could come in a block, good and bad."""
    symbols = list(dict.fromkeys(row["symbol"] for row in rows))
    sources = list(dict.fromkeys(row.get("source", "test") for row in rows))
    columns = TickColumns(
        market=market,
        event_ts=np.array([row["ts"] for row in rows], dtype=np.int64),
        symbols=tuple(symbols),
        symbol=np.array([symbols.index(row["symbol"]) for row in rows], dtype=np.int32),
        sources=tuple(sources),
        source=np.array([sources.index(row.get("source", "test")) for row in rows], dtype=np.int32),
        seq=np.array([row.get("seq", MISSING) for row in rows], dtype=np.int64),
        recv_ts=np.array([row.get("recv", MISSING) for row in rows], dtype=np.int64),
        values={name: np.array([row.get(name, np.nan) for row in rows], dtype=np.float64) for name in VALUES},
        official=np.array([row.get("official", False) for row in rows], dtype=np.bool_),
        invalid=np.zeros(len(rows), dtype=np.bool_),
    )
    columns.invalid[:] = invalid_rows(columns)
    return columns


def single(topic: str, key: str | None, value: bytes, ts: int = 0) -> Single:
    return Single(topic, None if key is None else key.encode(), value, ts)


def message(topic: str, document: Message, key: str, ts: int = 0) -> Single:
    return single(topic, key, encode(document)[0], ts)


def watermark(ts: int, market: str = "US") -> Single:
    return message(MARKET_TICKS, Watermark(watermark_ts=ts, market=market, source="test"), market, ts)


def release(series: str, ts: int, actual: float, vintage: int = 1) -> Single:
    made = Release(series_id=series, release_ts=ts, ref_period="2018-04", actual=actual, consensus=0.2, vintage=vintage)
    return message(MACRO_RELEASES, made, "US", ts)


def portfolio(name: str, ts: int, **fields: Any) -> Single:
    made = Portfolio(portfolio_id=name, as_of=ts, **{"mv": 5_000_000.0, "beta": 1.1, "cash": 500_000.0, **fields})
    return message(PORTFOLIO_SNAPSHOTS, made, name, ts)


def _held(quantity: float) -> tuple[Position, ...]:
    return (Position(symbol="VX/2018-06-20", quantity=quantity, layer="L2"),)


def session_rows(
    day: date, vix: Sequence[float], rng: random.Random, *, step: int = 60, messy: bool = True
) -> list[dict[str, Any]]:
    """Ticks of one session: VIX along ``vix`` from the open to its close, what goes with it, and what goes wrong."""
    start, stop = CALENDAR.open_ts(day), CALENDAR.vix_close_ts(day)
    moments = range(start, stop + 1, step * SECOND)
    path = np.interp(np.linspace(0, 1, len(moments)), np.linspace(0, 1, len(vix)), vix)
    rows: list[dict[str, Any]] = []
    futures = [f"VX/{expiry}" for expiry in ("2018-05-16", "2018-06-20", "2018-07-18", "2018-08-22")]
    for number, (ts, level) in enumerate(zip(moments, path, strict=True)):
        jitter = [rng.uniform(-0.05, 0.05) for _ in range(8)]
        at = [ts + rng.randrange(step * SECOND) for _ in range(8)]
        spx = 2650 - 8 * (level - 16)
        now: list[dict[str, Any]] = [
            {"ts": at[0], "symbol": "VIX", "last": round(level + jitter[0], 2), "seq": number, "source": "cboe"},
            {"ts": at[1], "symbol": "SPX", "last": round(spx + jitter[1], 2), "size": 3.0},
            {"ts": at[2], "symbol": "VIX3M", "last": round(17 + (level - 16) * 0.6 + jitter[2], 2)},
            {"ts": at[3], "symbol": "VVIX", "last": round(95 + (level - 16) * 2 + jitter[3], 2), "recv": at[3] + 5},
        ]
        for i, symbol in enumerate(futures):
            price = round((level * (4 - i) + 17 * (3 + i)) / 7 + jitter[4 + i], 2)
            now.append({"ts": at[4 + i], "symbol": symbol, "bid": price - 0.05, "ask": price, "bid_size": 9.0})
        now.sort(key=lambda row: row["ts"])
        if messy:
            now += _messy(number, ts, level, rows, rng)
        rows += now
    return rows


def _messy(
    number: int, ts: int, level: float, before: list[dict[str, Any]], rng: random.Random
) -> list[dict[str, Any]]:
    """Rows that are refused, and rows that come late, out of order or twice."""
    kinds: list[dict[str, Any]] = [
        {"ts": ts, "symbol": "VIX", "last": 5000.0},
        {"ts": ts, "symbol": "NOSUCH", "last": 1.0},
        {"ts": ts, "symbol": "SPX", "bid": 2651.0, "ask": 2650.0},
        {"ts": ts, "symbol": "SPX"},
        {"ts": ts, "symbol": "VX/2018-05-16", "last": 18.0, "size": -1.0},
        {"ts": ts, "symbol": "VVIX", "last": float("inf")},
        {"ts": ts + 40_000 * DAY, "symbol": "VIX", "last": 17.0},
        {"ts": CALENDAR.close_ts(date(2018, 4, 27)), "symbol": "SPX", "last": 2669.0, "official": True},
        {"ts": ts - 7 * MINUTE, "symbol": "VIX", "last": round(level, 2)},
        {"ts": ts - 3 * MINUTE, "symbol": "VIX", "last": round(level, 2)},
        {"ts": ts - 90 * SECOND, "symbol": "SPX", "last": 2640.5},
    ]
    found = [kinds[number % len(kinds)]] if number % 3 == 1 else []
    if number % 11 == 5:
        found.append(rng.choice(before[-30:]))
    return found


def close_rows(day: date, vix: float) -> list[dict[str, Any]]:
    """The official closes of a session."""
    late = CALENDAR.vix_close_ts(day)
    closes = (("VIX", vix), ("VIX3M", 17 + (vix - 16) * 0.6), ("VVIX", 95 + (vix - 16) * 2))
    return [
        {"ts": CALENDAR.close_ts(day), "symbol": "SPX", "last": round(2650 - 8 * (vix - 16), 2), "official": True},
        *({"ts": late, "symbol": symbol, "last": round(value, 2), "official": True} for symbol, value in closes),
        *(
            {"ts": CALENDAR.vx_settle_ts(day), "symbol": f"VX/{expiry}", "settle": settle, "official": True}
            for expiry, settle in (("2018-05-16", 17.2), ("2018-06-20", 17.6), ("2018-07-18", 17.9))
        ),
    ]


# What the secondary signals live on. All of it is made up.


def flow(figure: AnyFlow) -> Single:
    return message(MARKET_FLOWS, figure, "US", flow_ts(figure))


def figure(series: str, ts: int, period: str, actual: float | None, **fields: Any) -> Single:
    made = Release(series_id=series, release_ts=ts, ref_period=period, actual=actual, **fields)
    return message(MACRO_RELEASES, made, "US", ts)


def due(series: str, period: str, ts: int, known: int, cancelled: bool = False) -> Single:
    made = Schedule(series_id=series, ref_period=period, scheduled_ts=ts, event_ts=known, cancelled=cancelled)
    return message(MACRO_RELEASES, made, "US", known)


def _utc(day: date, hours: float = 13.5) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND + round(hours * HOUR)


def _months(first: date, count: int) -> list[date]:
    """First days of ``count`` months."""
    return [date(first.year + (first.month - 1 + n) // 12, (first.month - 1 + n) % 12 + 1, 1) for n in range(count)]


def more_closes(folder: Path) -> Path:
    """Add breadth, total return and skew to the closes of a recorded directory."""
    rng = random.Random(1)
    file = folder / "ticks.csv"
    header, *lines = file.read_text(encoding="utf-8").splitlines()
    place = {name: n for n, name in enumerate(header.split(","))}
    for number, day in enumerate(CALENDAR.sessions(BREADTH_FIRST, LAST)):
        advances = rng.randint(900, 2100)
        closes = [("ADVN", advances, CALENDAR.close_ts(day)), ("DECN", 3000 - advances, CALENDAR.close_ts(day))]
        if day >= FIRST:
            closes += [
                ("SPXTR", 5200 + number, CALENDAR.close_ts(day)),
                ("SKEW", 120 + number % 30, CALENDAR.vix_close_ts(day)),
            ]
        for symbol, value, ts in closes:
            cells = [""] * len(place)
            known = {"event_ts": format_ts(ts), "symbol": symbol, "last": str(value), "official": "true"}
            for name, cell in {**known, "source": "breadth"}.items():
                cells[place[name]] = cell
            lines.append(",".join(cells))
    lines.sort(key=lambda line: line.split(",")[place["event_ts"]])
    file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder


def past_figures() -> list[Single]:
    """Releases before the synthetic days: enough of each series that the next figure can be standardised."""
    rng = random.Random(2)
    found = []
    for month in _months(date(2015, 8, 1), 26):
        out = _utc(_months(month, 2)[1].replace(day=13))
        for series in ("CPI_CORE_MOM", "PPI_FD_MOM"):
            actual = round(rng.gauss(0.2, 0.1), 1)
            found.append(figure(series, out, f"{month:%Y-%m}", actual, consensus=0.2, unit="percent"))
        for series, usual in (("SPX_EPS_TTM", 110.0), ("SPX_CFPS_TTM", 150.0)):
            found.append(figure(series, out + HOUR, f"{month:%Y-%m}", round(usual + rng.gauss(0, 3), 2)))
    for month in _months(date(2015, 6, 1), 28):
        out = _utc(_months(month, 2)[1].replace(day=20))
        found.append(figure("REER_US", out, f"{month:%Y-%m}", round(100 + rng.gauss(0, 3), 2), unit="2020=100"))
    for n, month in enumerate(_months(date(2015, 4, 1), 27)[::3]):
        for vintage in (1, 2, 3):
            out, growth = _utc(_months(month, 3 + vintage)[-1].replace(day=28)), round(2 + rng.gauss(0, 0.5), 1)
            period = f"{month.year}-Q{(month.month + 2) // 3}"
            found.append(figure("GDP", out, period, growth + n % 3, vintage=vintage))
    for n in range(17):
        day = date(2015, 10, 7) + timedelta(weeks=6 * n)
        after = round(1 + rng.gauss(0, 0.03), 3)
        found.append(figure("FOMC_MINUTES", _utc(day, 18), day.isoformat(), None, y2_pre=1.0, y2_post=after))
    for n in range(32):
        day = date(2017, 9, 25) + timedelta(weeks=n)
        for series, level in (("US_2Y", 1.4 + 0.03 * n + 0.3 * (n > 29)), ("DE_2Y", -0.7 + 0.004 * n)):
            found.append(figure(series, _utc(day), day.isoformat(), round(level + rng.gauss(0, 0.05), 2)))
    day = CALENDAR.previous_session(DAYS[0])
    for series, level in (("US_3M", 1.85), ("US_10Y", 2.95), ("SPX_DPS_TTM", 50.0)):
        found.append(figure(series, _utc(day, 12), day.isoformat(), level))
    known = _utc(day, 14)
    found += [
        due("FOMC_MINUTES", DAYS[0].isoformat(), MINUTES, known),
        due("PPI_FD_MOM", "2018-03", NOON - HOUR, known),  # comes hours later
        due("GDPNOW", "2018-Q2", NOON - 2 * HOUR, known),  # never comes
        due("NFP", "2018-03", NOON, known, cancelled=True),
    ]
    return found


def _block(ts: int, number: int, tvl: float, coin: float, reserve: float) -> ChainFigure:
    return ChainFigure(
        chain="ethereum",
        block_number=number,
        block_ts=ts,
        finalized=True,
        pool=Pool(pool="eth-usdc", reserve_x=reserve, reserve_y=3000 * reserve, usd_x=3000.0),
        tvl_native=tvl,
        stablecoin=Stablecoin(symbol="USDC", usd=coin),
        dex_volume_usd=1e9 + number,
        funding_rate=0.0001,
    )


def _cross_section(day: date, before: date, spread: float) -> CrossSection:
    members = tuple(Member(id=f"M{n}", ret=round(spread * (n - 2), 4), mcap_prev=100.0 + n) for n in range(5))
    return CrossSection(
        universe="SPX",
        session_date=day,
        session_prev=before,
        event_ts=CALENDAR.close_ts(day) + 20 * MINUTE,
        members=members,
    )


def past_flows() -> list[Single]:
    """Offerings, a block a session, and cross-sections before the synthetic days."""
    rng = random.Random(3)
    found: list[AnyFlow] = []
    for kind, first, step in (("ipo", date(2017, 7, 24), 9), ("ido", date(2017, 8, 30), 14)):
        for n in range(400):
            day = first + timedelta(days=step * n)
            if day > LAST:
                break
            ts = _utc(day, 20)
            found.append(Offering(offering_id=f"{kind}-{n}", kind=kind, pricing_ts=ts, spac=n % 7 == 6))  # type: ignore[arg-type]
    found.append(Offering(offering_id="ipo-20", kind="ipo", pricing_ts=_utc(LAST, 20.5)))  # a second time
    sessions = CALENDAR.sessions(BREADTH_FIRST, LAST)[-40:]
    for n, day in enumerate(sessions):
        ts, reserve = CALENDAR.close_ts(day) - 10 * MINUTE, 900 + rng.gauss(0, 40)
        if day == LAST:  # to compare the next day with
            found.append(_block(BLOCK - DAY, 1000 + 2 * n, 1e6 + n, 1.0, reserve))
        found.append(_block(ts, 1001 + 2 * n, 1e6 + n, 1 + rng.gauss(0, 1e-4), reserve))
    pairs = pairwise(sessions[-23:])
    found += [_cross_section(day, before, 0.002 + 0.0001 * n) for n, (before, day) in enumerate(pairs)]
    return [flow(each) for each in found]


def day_flows() -> list[Single]:
    """Blocks and depth in the first synthetic day: locked value falls, a coin loses its peg, a pool empties."""
    first, before = DAYS[0], CALENDAR.previous_session(DAYS[0])
    later = [
        _block(BLOCK + 5 * n * MINUTE, 2001 + n, 9e5 - 1e4 * n, 0.98 + 0.001 * n, 300.0 - 40 * n) for n in range(4)
    ]
    pending = later[0].model_copy(update={"block_number": 2000, "block_ts": BLOCK - MINUTE, "finalized": False})
    raised = ChainFigure(
        chain="ethereum",
        block_number=2010,
        block_ts=BLOCK + HOUR,
        finalized=True,
        proposal=Proposal(proposal_id="raise-7", kind="collateral"),
    )
    wide = (
        b'{"block_number":1,"block_ts":"%s","chain":"x","finalized":true,'
        b'"pool":{"kind":"concentrated","pool":"p","reserve_x":"1","reserve_y":"1","usd_x":"1"}}'
    )
    return [
        flow(Flow(symbol="UVXY", event_ts=NOON - 3 * SECOND, leverage=1.5, aum=4e8, nav_date=before, nav=15.2)),
        flow(Flow(symbol="VX/2018-05-16", event_ts=NOON - 2 * SECOND, depth_bid_usd=4e6, depth_ask_usd=5e6)),
        flow(Flow(symbol="VX/2018-05-16", event_ts=NOON - SECOND, volume=120_000.0)),
        *(flow(each) for each in (pending, *later)),
        # Refused, so that its place is that of the message before it.
        single(MARKET_FLOWS, "US", wide % format_ts(BLOCK + 30 * MINUTE).encode(), later[-1].block_ts),
        flow(later[0]),  # once more, and behind newer ones
        flow(raised),
        flow(_cross_section(first, CALENDAR.previous_session(before), 0.02)),  # of two sessions
        flow(_cross_section(first, before, 0.01)),
    ]


def _black(forward: float, strike: float, years: float, vol: float, call: bool) -> float:
    """Undiscounted Black-76."""
    spread = vol * math.sqrt(years)
    d1 = math.log(forward / strike) / spread + spread / 2
    d2 = d1 - spread
    sign = 1 if call else -1
    return sign * (forward * _normal(sign * d1) - strike * _normal(sign * d2))


def _normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def strip_rows(ts: int, vol: float) -> list[dict[str, Any]]:
    """Quotes of options on the SPX, and on a coin in that coin, at two expiries around thirty days, and on VIX."""
    rows: list[dict[str, Any]] = []
    strips = (
        ("SPX", 2630.0, range(2230, 2931, 70), vol, 1.0, ("2018-05-18", "2018-06-15")),
        ("BTC", 9100.0, range(4600, 15_801, 800), 4 * vol, 9100.0, ("2018-05-25", "2018-06-29")),
        ("VIX", 18.0, range(12, 31, 2), 4 * vol, 1.0, ("2018-05-16", "2018-06-20", "2018-12-19")),
    )
    for root, forward, strikes, sigma, unit, expiries in strips:
        for expiry in expiries:
            years = (date.fromisoformat(expiry) - DAYS[0]).days / 365
            for n, strike in enumerate(strikes):
                for right in "CP":
                    price = _black(forward, strike, years, sigma, right == "C") / unit
                    symbol = f"{root}/{expiry}/{right}/{strike}"
                    bid, ask = round(price * 0.98, 5), round(price * 1.02 + 1e-4, 5)
                    rows.append({"ts": ts + n * SECOND, "symbol": symbol, "bid": bid, "ask": ask})
    return sorted(rows, key=lambda row: row["ts"])


def book_rows(start: int, minutes: int, rng: random.Random) -> list[dict[str, Any]]:
    """The best prices of the front VX contract with their sizes, and trades, every twenty seconds."""
    rows = []
    for ts in range(start, start + minutes * MINUTE, 20 * SECOND):
        bid = round(18 + rng.randint(0, 4) * 0.05, 2)
        sizes = {"bid_size": float(rng.randint(1, 90)), "ask_size": float(rng.randint(1, 90))}
        rows.append({"ts": ts, "symbol": "VX/2018-05-16", "bid": bid, "ask": round(bid + 0.05, 2), **sizes})
        if rng.random() < 0.3:
            rows.append({"ts": ts + SECOND, "symbol": "VX/2018-05-16", "last": bid, "size": 1.0})
    return rows


def more_close_rows(day: date) -> list[dict[str, Any]]:
    """The official closes beside volatility of a session."""
    closes = (("ADVN", 1000.0), ("DECN", 2000.0), ("SPXTR", 5230.0))
    return [
        *({"ts": CALENDAR.close_ts(day), "symbol": s, "last": value, "official": True} for s, value in closes),
        {"ts": CALENDAR.vix_close_ts(day), "symbol": "SKEW", "last": 131.0, "official": True},
    ]


def interleaved(rows: Sequence[dict[str, Any]], more: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """More rows among those of one session, each before the first row that is later."""
    waiting = sorted(more, key=lambda row: row["ts"])
    found: list[dict[str, Any]] = []
    at = 0
    for row in rows:
        while at < len(waiting) and waiting[at]["ts"] < row["ts"] < waiting[at]["ts"] + DAY:
            found.append(waiting[at])
            at += 1
        found.append(row)
    return [*found, *waiting[at:]]


def whole_story(folder: Path) -> list[Item]:
    """Six months of real daily data, then two synthetic sessions with everything that can go wrong among the ticks.

    Two markets, releases (one later than the stream, revised ones, one that is none), schedules, flows, option strips,
    and four portfolios that change within the day.
    """
    recorded = list(Recording(more_closes(build_real(folder / "real", FIRST, LAST))).items())
    past = [item for item in recorded if isinstance(item, Single)] + past_figures() + past_flows()
    # Each topic has its own partitions: that messages come before the ticks leaves the ticks in long blocks.
    items: list[Item] = [
        *sorted(past, key=lambda item: item.time),
        *(item for item in recorded if isinstance(item, TickColumns)),
    ]
    rng = random.Random(20180205)
    first, second = DAYS
    opened, noon = CALENDAR.open_ts(first), NOON
    rows = session_rows(first, (15.5, 16, 17, 24, 31, 36, 33, 28), rng, step=120)
    rows += close_rows(first, 28.4)
    closing = CALENDAR.close_ts(first)
    more = strip_rows(NOON + 20 * SECOND, 0.2) + strip_rows(closing - 10 * MINUTE, 0.3)
    more += book_rows(NOON - 10 * MINUTE, 20, random.Random(4)) + book_rows(closing + 10 * MINUTE, 20, random.Random(5))
    more += [{"ts": NOON + n * MINUTE, "symbol": "UVXY", "last": 15.0 + 0.01 * n} for n in range(30)]
    # Sides that come one by one and cross by more than all widths.
    more.append({"ts": NOON + 3 * MINUTE, "symbol": "VIX/2018-05-16/C/18", "bid": 25.0})
    rows = interleaved(rows, more + more_close_rows(first))
    half = len(rows) // 2
    items += [
        portfolio("alpha", opened - HOUR, fills="assumed"),
        portfolio("beta-less", opened - HOUR, beta=None),
        portfolio("promoter", opened - HOUR, policy="promoter", fills="assumed", mv=20_000_000.0),
        portfolio("holder", opened - HOUR, positions=_held(12)),
        columns_of(rows[:half]),
        single(MARKET_TICKS, "US", b'{"market":"US","symbol":"VIX","last":'),
        single(MARKET_TICKS, "EU", b'{"market":"US","symbol":"VIX","last":"17","event_ts":"2018-05-01T15:00:00Z"}'),
        columns_of(
            [{"ts": rows[half]["ts"], "symbol": s, "last": v} for s, v in (("VIX", 21.0), ("SPX", 3500.0))], "EU"
        ),
        columns_of(rows[half:]),
    ]
    items += [
        figure("GDP", noon - 30 * MINUTE, "2018-Q1", 2.3),
        release("CPI_CORE_MOM", noon, 0.4),
        release("NFP", noon - HOUR, 164.0),  # behind one that is newer: it comes late
        single(MACRO_RELEASES, "US", b'{"series_id":"GDP"}'),
        figure("FOMC_MINUTES", MINUTES, first.isoformat(), None, y2_pre=2.5, y2_post=2.56),
        figure("REER_US", MINUTES + MINUTE, "2017-10", 93.0, unit="2020=100"),
        figure("PPI_FD_MOM", MINUTES + 30 * MINUTE, "2018-03", 0.5, consensus=0.2),
        figure("SPX_EPS_TTM", MINUTES + 31 * MINUTE, "2018-03", 118.0),
        figure("SPX_CFPS_TTM", MINUTES + 31 * MINUTE, "2018-03", 140.0),
        figure("GDP", REVISION, "2018-Q1", 3.4, vintage=2),
        release("CPI_CORE_MOM", noon + 3 * HOUR, 0.3, vintage=2),
        *day_flows(),
        portfolio("alpha", noon, fills="assumed", mv=6_000_000.0),
        portfolio("holder", noon + HOUR, positions=_held(30)),
        single(PORTFOLIO_SNAPSHOTS, "alpha", b'{"portfolio_id":"alpha","mv":-1}'),
        portfolio("promoter", noon + 4 * HOUR, policy="promoter", fills="assumed", mv=1_000_000.0),
    ]
    rows = session_rows(second, (27, 22, 18, 15, 14), rng, step=120)  # no official closes
    more = strip_rows(CALENDAR.close_ts(second) - 5 * MINUTE, 0.18)
    items.append(columns_of(interleaved(rows, more)))
    items += [watermark(CALENDAR.vix_close_ts(second) + 12 * HOUR, market) for market in ("US", "EU")]
    return items


def outs_of(items: Iterable[Item], *, block: int | None, seed: int = 0) -> list[Out]:
    """The records of the items: each tick by itself (None), or blocks of at most that many rows, cut anywhere."""
    outs: list[Out] = []
    rng = random.Random(seed)
    for item in items:
        if isinstance(item, Single) or block is None:
            outs += records_of(item, single=True)
            continue
        at = 0
        while at < len(item):
            stop = min(len(item), at + rng.randint(1, block))
            outs += records_of(tight(item.take(at, stop)), single=False)
            at = stop
    return outs


def create(cluster: Cluster, partitions: int = 1) -> None:
    """Every topic. The states are kept whole here, where a SQLite file would keep the newest alone."""
    cluster.create(dict.fromkeys(ALL_TOPICS, partitions), compacted=COMPACTED - {REGIME_STATES})


def publish(cluster: Cluster, outs: Sequence[Out], batch: int = 1000) -> None:
    for at in range(0, len(outs), batch):
        cluster.publish(outs[at : at + batch])


def settings_of(log: str = "memory://unused", **given: Any) -> Settings:
    return Settings(log=log, **given)


def processors(partitions: int = 1, **given: Any) -> tuple[Processor, ...]:
    """Market, hedge and alerts, as a process would run them."""
    return processors_for(("all",), CALIBRATION, settings_of(partitions=partitions, **given))


def join(cluster: Cluster, processor: Processor) -> Log:
    return cluster.member(member_of(processor, settings_of()))


def runner_of(log: Log, processor: Processor, commit_interval: float = 0.0, kind: type[Runner] = Runner) -> Runner:
    return kind(log, processor, Metrics(processor.name, processor.metrics), commit_interval=commit_interval)


def work_off(
    cluster: Cluster, processor: Processor, *, restarts: int = 0, seed: int = 0, timeout: float = 0.0, steps: int = 30
) -> None:
    """Run a processor to the end of its inputs, and on the way end it at seeded places, in order or dead."""
    rng = random.Random(seed)
    for _ in range(restarts):
        runner = runner_of(join(cluster, processor), processor, rng.choice((0.0, 3600.0)))
        for _ in range(rng.randint(1, steps)):
            runner.step(timeout, exhausted=True)
        if rng.random() < 0.5:
            runner.close()
        else:
            runner.log.end()  # nothing of what was not committed
    runner = runner_of(join(cluster, processor), processor, rng.choice((0.0, 3600.0)))
    runner.drain(exhausted=True)
    runner.close()


def fresh_topics(servers: str, partitions: int = 1) -> None:
    """Delete every topic of the catalog on a broker that a test started, and create it anew.

    Never for a broker that was there before: its topics belong to someone.
    """
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=servers)
    try:
        if known := set(admin.list_topics()) & set(ALL_TOPICS):
            admin.delete_topics(sorted(known))
        deadline = time.monotonic() + 30
        while set(admin.list_topics()) & set(ALL_TOPICS):
            assert time.monotonic() < deadline, "the broker keeps its topics"
            time.sleep(0.05)
    finally:
        admin.close()
    cluster = open_cluster(f"kafka://{servers}")
    create(cluster, partitions)
    cluster.close()


def dump(cluster: Cluster, topics: Iterable[str] = OUTPUTS) -> Dump:
    """Every committed record of the topics: key and value, in log order."""
    counts = cluster.topics()
    return {
        (topic, number): [(r.key, r.value) for r in cluster.read(TopicPartition(topic, number))]
        for topic in topics
        for number in range(counts[topic])
    }


def by_key(history: Dump) -> dict[tuple[str, bytes | None], list[bytes | None]]:
    """The values of each key in their order, whatever partition they are in."""
    found: defaultdict[tuple[str, bytes | None], list[bytes | None]] = defaultdict(list)
    for (topic, _), entries in sorted(history.items()):
        for key, value in entries:
            found[topic, key].append(value)
    return dict(found)


def shown(history: Dump) -> str:
    """One line a topic partition: how many records, and their digest."""
    found = digests(history)
    return "\n".join(
        f"  {f'{topic}/{number}':22} {len(entries):6} records  sha256 {found[f'{topic}/{number}']}"
        for (topic, number), entries in sorted(history.items())
    )
