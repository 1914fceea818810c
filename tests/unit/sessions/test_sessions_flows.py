"""Figures of ``market.flows`` through the engine: cross-sections, chains, offerings and depth."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions_support import (
    CALIBRATION,
    Row,
    at,
    closes,
    day_of_closes,
    generated,
    give,
    mark_until,
    marks,
    new_engine,
    restarted,
    sessions_from,
    text,
)

from processors.market import Market
from processors.sessions.engine import Engine
from processors.stream.log import Record
from topics.catalog import MARKET_FLOWS
from topics.chain import ChainFigure, Pool, Proposal, Stablecoin
from topics.codec import AnyFlow, encode
from topics.constituents import CrossSection, Member
from topics.dead_letter import Refused
from topics.flows import Flow
from topics.market import Watermark
from topics.message import canonical_json
from topics.offering import Offering
from topics.regime import Regime
from topics.times import DAY, HOUR, MINUTE, SECOND

DAYS = sessions_from("2018-01-02", 40)
DEPTH = 1.0 - 1.0 / math.sqrt(1.01)  # share of token x that moves the price by one percent

Item = Row | Watermark | AnyFlow


def push(engine: Engine, items: Iterable[Item]) -> list[Any]:
    """The messages that the items cause, each by itself."""
    out: list[Any] = []
    for item in items:
        emissions = give(engine, [item]) if isinstance(item, Row | Watermark) else engine.flow(item)
        out += [emission.message for emission in emissions]
    return out


def outcomes(engine: Engine) -> dict[str, int]:
    """What became of the figures since the last call."""
    found = {name.partition(":")[2]: n for name, n in engine.counts.items() if name.startswith("flows:")}
    engine.counts.clear()
    return found


def started(sessions: int = 2) -> Engine:
    """An engine that has committed so many sessions."""
    engine = new_engine()
    rows = [row for day in DAYS[:sessions] for row in day_of_closes(day)]
    push(engine, [*rows, mark_until(at(DAYS[sessions - 1], "17:00"))])
    outcomes(engine)
    return engine


def close_of(engine: Engine, day: int) -> Regime:
    """The close of that session."""
    out = push(engine, [*day_of_closes(DAYS[day]), mark_until(at(DAYS[day], "17:00"))])
    return closes((0, m) for m in out)[-1]


def mark_at(engine: Engine, ts: int) -> Regime:
    """A mark at that minute."""
    assert ts % MINUTE == 0
    found = marks((0, m) for m in push(engine, [Row("VIX", ts - SECOND, last=15.0), mark_until(ts + 1)]))
    return found[-1]


def section(day: int, returns: Sequence[float], *, before: int = 1, ts: int | None = None) -> CrossSection:
    return CrossSection(
        universe="SPX",
        session_date=DAYS[day],
        session_prev=DAYS[day - before],
        event_ts=at(DAYS[day], "16:05") if ts is None else ts,
        members=tuple(Member(id=f"M{i}", ret=r, mcap_prev=1.0 + i) for i, r in enumerate(returns)),
    )


def block(number: int, ts: int, *, chain: str = "ethereum", finalized: bool = True, **figures: Any) -> ChainFigure:
    return ChainFigure(chain=chain, block_number=number, block_ts=ts, finalized=finalized, **figures)


def pool(x: float, usd: float = 2000.0, name: str = "eth-usdc") -> Pool:
    return Pool(pool=name, reserve_x=x, reserve_y=x * usd, usd_x=usd)


# Cross-sections


def test_dispersion_is_that_of_numpy_over_twenty_sessions() -> None:
    engine, chance, daily = started(2), random.Random(3), []
    for day in range(2, 23):
        returns = [chance.gauss(0, 0.02) for _ in range(9)]
        push(engine, [section(day, returns)])
        regime = close_of(engine, day)
        r, w = np.array(returns), np.arange(1.0, 10.0) / np.arange(1.0, 10.0).sum()
        daily.append(math.sqrt(w @ (r - w @ r) ** 2))
        if len(daily) < 20:
            assert "dispersion" not in regime.features
    assert regime.features["dispersion"] == pytest.approx(np.mean(daily[-20:]) * math.sqrt(252), rel=1e-11)
    assert outcomes(engine) == {"used": 21}


def test_returns_over_several_sessions_do_not_count() -> None:
    engine = started(5)
    before = engine.secondary.snapshot()["equity"]
    assert push(engine, [section(5, (0.01, -0.02), before=2)]) == []
    assert outcomes(engine) == {"superseded": 1}
    assert engine.secondary.snapshot()["equity"] == before


def test_a_cross_section_counts_once_and_never_after_a_newer_one() -> None:
    engine = started(6)
    push(engine, [section(5, (0.01, -0.02))])
    before = engine.secondary.snapshot()["equity"]
    push(engine, [section(5, (0.05, -0.02)), section(4, (0.05, -0.02), ts=at(DAYS[5], "16:06"))])
    assert outcomes(engine) == {"used": 1, "superseded": 2}
    assert engine.secondary.snapshot()["equity"] == before


@pytest.mark.parametrize(
    ("day", "before"),
    [
        (date(1, 1, 2), date(1, 1, 1)),
        (date(1980, 1, 3), date(1980, 1, 2)),
        (date(2018, 1, 6), date(2018, 1, 5)),  # a Saturday
        (DAYS[3], DAYS[2]),  # two weeks old
        (DAYS[16], DAYS[15]),  # not over
        (date(2200, 1, 3), date(2200, 1, 2)),
        (date(9999, 12, 31), date(9999, 12, 30)),
    ],
)
def test_a_cross_section_of_another_time_changes_nothing(day: date, before: date) -> None:
    engine = started(15)
    earlier = engine.secondary.snapshot()["equity"]
    members = (Member(id="A", ret=0.01, mcap_prev=1.0), Member(id="B", ret=-0.01, mcap_prev=1.0))
    given_ = CrossSection(
        universe="SPX", session_date=day, session_prev=before, event_ts=at(DAYS[15], "09:00"), members=members
    )
    assert push(engine, [given_]) == []
    assert outcomes(engine) == {"superseded": 1}
    assert engine.secondary.snapshot()["equity"] == earlier


@pytest.mark.parametrize("year", [1990, 2098])
def test_a_figure_dated_outside_the_calendar_is_refused(year: int) -> None:
    engine = started()
    time = engine.time
    ts = int((date(year, 1, 1) - date(1970, 1, 1)).days) * DAY
    for given_ in (
        block(1, ts, tvl_usd=1e9),
        Flow(symbol="UVXY", event_ts=ts, depth_bid_usd=1.0),
        Offering(offering_id="a", kind="ipo", pricing_ts=ts),
        section(1, (0.1, 0.2), ts=ts),
    ):
        (refused,) = push(engine, [given_])
        assert refused.reason == "invalid"
        assert "outside the exchange calendar" in refused.detail
    assert outcomes(engine) == {"refused": 4}
    assert engine.time == time


# Chains


def test_blocks_that_are_not_final_are_not_used() -> None:
    engine = started()
    figures = {"pool": pool(1000.0), "tvl_usd": 1e9, "stablecoin": Stablecoin(symbol="USDC", usd=0.9)}
    before = canonical_json(engine.secondary.snapshot())
    assert push(engine, [block(1, at(DAYS[2], "09:00"), finalized=False, **figures)]) == []
    assert outcomes(engine) == {"unfinalized": 1}
    assert canonical_json(engine.secondary.snapshot()) == before


def test_a_pool_of_concentrated_liquidity_is_refused_with_the_reason() -> None:
    ts = at(DAYS[2], "09:00")
    good = block(1, ts, pool=pool(1000.0))
    value, headers = encode(good)
    document = json.loads(value)
    document["pool"]["kind"] = "concentrated"
    record = Record(MARKET_FLOWS, 0, 0, ts, b"US", canonical_json(document), headers)
    with pytest.raises(Refused, match="concentrated liquidity") as caught:
        Market(CALIBRATION).decode(record)
    assert caught.value.reason == "invalid"
    assert "eth-usdc" in caught.value.detail
    assert Market(CALIBRATION).decode(Record(MARKET_FLOWS, 0, 0, ts, b"US", value, headers)).body == good


def test_the_depth_of_a_pool_is_the_median_of_its_last_five_blocks() -> None:
    engine, ts = started(), at(DAYS[2], "09:00")
    reserves = (1000.0, 1010.0, 1.0, 990.0, 1005.0)  # a loan empties it within the third block
    push(engine, [block(i, ts + i * SECOND, pool=pool(x)) for i, x in enumerate(reserves[:4])])
    assert "amm_depth_usd" not in mark_at(engine, ts + MINUTE).features
    push(engine, [block(4, ts + 2 * MINUTE, pool=pool(reserves[4]))])
    depth = mark_at(engine, ts + 3 * MINUTE).features["amm_depth_usd"]
    assert depth == pytest.approx(1000.0 * DEPTH * 2000.0, rel=1e-11)


def test_older_blocks_of_the_same_thing_are_superseded() -> None:
    engine, ts = started(), at(DAYS[2], "09:00")
    push(engine, [block(10, ts, tvl_usd=1e9), block(10, ts, stablecoin=Stablecoin(symbol="DAI", usd=1.0))])
    assert outcomes(engine) == {"used": 2}, "another figure of the same block is another thing"
    before = canonical_json(engine.secondary.snapshot())
    push(engine, [block(10, ts, tvl_usd=2e9), block(9, ts + SECOND, tvl_usd=2e9), block(11, ts - SECOND, tvl_usd=2e9)])
    assert outcomes(engine) == {"superseded": 3}
    assert canonical_json(engine.secondary.snapshot()) == before
    push(engine, [block(3, ts + SECOND, chain="solana", tvl_usd=2e9)])
    assert outcomes(engine) == {"used": 1}


def test_a_figure_older_than_a_day_is_missing_and_does_not_act() -> None:
    engine, ts = started(), at(DAYS[3], "10:00") - DAY
    push(engine, [block(1, ts, stablecoin=Stablecoin(symbol="USDC", usd=0.9), dex_volume_usd=5e9, funding_rate=1e-4)])
    fresh = mark_at(engine, ts + DAY)
    found = {name: fresh.features.get(name) for name in ("peg_bps", "dex_volume_usd", "funding_rate")}
    assert found == {"peg_bps": pytest.approx(1000.0), "dex_volume_usd": 5e9, "funding_rate": 1e-4}
    assert "peg" in fresh.modifier_parts
    stale = mark_at(engine, ts + DAY + MINUTE)
    assert not {"peg_bps", "dex_volume_usd", "funding_rate"} & stale.features.keys()
    assert "peg" not in stale.modifier_parts


@pytest.mark.parametrize(("usd", "acts"), [(0.995, False), (1.00501, True), (0.9949, True), (1.0, False)])
def test_a_peg_acts_beyond_fifty_basis_points_either_way(usd: float, acts: bool) -> None:
    engine, ts = started(), at(DAYS[2], "09:00")
    push(engine, [block(1, ts, stablecoin=Stablecoin(symbol="USDC", usd=usd))])
    regime = mark_at(engine, ts + MINUTE)
    assert ("peg" in regime.modifier_parts) is acts
    if acts:
        assert regime.modifier_parts["peg"].points == 1.0


@pytest.mark.parametrize(("fall", "acts"), [(0.04, False), (0.05, False), (0.051, True), (-0.2, False)])
def test_locked_value_acts_when_it_falls_by_more_than_a_twentieth_in_a_day(fall: float, acts: bool) -> None:
    engine, ts = started(), at(DAYS[2], "09:00")
    push(engine, [block(1, ts, tvl_usd=1e9), block(2, ts + DAY, tvl_usd=1e9 * (1 - fall))])
    regime = mark_at(engine, ts + DAY + MINUTE)
    assert regime.features["tvl_change_1d"] == pytest.approx(-fall, abs=1e-12)
    assert ("tvl" in regime.modifier_parts) is acts


def test_value_in_the_coin_itself_goes_before_value_in_dollars() -> None:
    engine, ts = started(), at(DAYS[2], "09:00")
    push(engine, [block(1, ts, tvl_usd=1e9, tvl_native=5e5), block(2, ts + DAY, tvl_usd=5e8, tvl_native=5e5)])
    assert mark_at(engine, ts + DAY + MINUTE).features["tvl_change_1d"] == 0.0, "its price halved, nobody left"


def test_all_parts_of_chains_together_move_the_score_by_two_points_at_most() -> None:
    engine, chance = started(2), random.Random(5)
    for day in range(2, 36):
        calm = day < 35
        ts = at(DAYS[day], "12:00")
        figures: list[AnyFlow] = [
            block(10 * day + i, ts + i, pool=pool((1000.0 + chance.random()) * (1 if calm else 0.1))) for i in range(5)
        ]
        figures.append(block(day, ts, tvl_usd=1e9 if calm else 5e8))
        figures.append(block(day, ts, stablecoin=Stablecoin(symbol="USDC", usd=1.0 if calm else 0.8)))
        push(engine, [*figures, block(day + 1000, ts + HOUR, chain="solana", tvl_usd=1e9)])
        regime = close_of(engine, day)
    chain = {name: p.points for name, p in regime.modifier_parts.items() if name in ("tvl", "peg", "amm_depth")}
    assert chain.keys() == {"peg", "tvl", "amm_depth"}
    # 1 + 1 + 0.25 x 3 points, scaled to 2.
    assert sum(chain.values()) == pytest.approx(2.0, abs=1e-11)
    assert chain["peg"] == pytest.approx(2.0 / 2.75, abs=1e-11)
    assert regime.modifier == pytest.approx(sum(p.points for p in regime.modifier_parts.values()), abs=1e-11)


@settings(generated, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("pool", "tvl", "native", "coin", "volume", "proposal", "ido", "depth", "section")),
            st.floats(5e-324, 1e15),
            st.integers(0, 3),
            st.sampled_from((0, SECOND, HOUR, 25 * HOUR)),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_no_figure_that_a_flow_may_carry_stops_the_stream_and_chains_stay_within_their_bound(
    steps: list[tuple[str, float, int, int, bool]],
) -> None:
    engine, now = started(3), at(DAYS[3], "08:00")
    regimes: list[Any] = []
    for i, (kind, value, of, later, final) in enumerate(steps):
        now += later
        chain = f"chain{of}"
        made: dict[str, Any] = {
            "pool": {"pool": Pool(pool="p", reserve_x=value, reserve_y=1.0, usd_x=min(value, 1e12))},
            "tvl": {"tvl_usd": value},
            "native": {"tvl_native": value},
            "coin": {"stablecoin": Stablecoin(symbol="USDC", usd=min(value, 1e6))},
            "volume": {"dex_volume_usd": value, "funding_rate": 1.0 if final else -1.0},
            "proposal": {"proposal": Proposal(proposal_id=f"{of}", kind="withdraw")},
        }
        flow: AnyFlow
        if kind in made:
            flow = block(i, now, chain=chain, finalized=final, **made[kind])
        elif kind == "ido":
            flow = Offering(offering_id=f"{of}", kind="ido", pricing_ts=now, spac=final)
        elif kind == "depth":
            flow = Flow(symbol=("UVXY", "SVXY", "VXX", "SPY")[of], event_ts=now, depth_bid_usd=value)
        else:
            day = DAYS[0] + timedelta(days=of)
            members = (Member(id="A", ret=20.0, mcap_prev=min(value, 1e18)), Member(id="B", ret=-0.5, mcap_prev=1e18))
            flow = CrossSection(
                universe="SPX", session_date=day + timedelta(days=1), session_prev=day, event_ts=now, members=members
            )
        regimes += push(engine, [flow, Row("VIX", now, last=15.0)])
    regimes += push(engine, [Row("VIX", now + MINUTE, last=15.0), mark_until(now + 3 * DAY)])
    assert not [m for m in regimes if isinstance(m, Refused)]
    for regime in regimes:
        if isinstance(regime, Regime):
            points = [
                part.points
                for name, part in regime.modifier_parts.items()
                if name in ("tvl", "peg", "amm_depth", "ido", "dex_iv_spread")
            ]
            assert abs(sum(points)) <= 2.0 + 1e-9
    assert canonical_json(restarted(engine).secondary.snapshot()) == canonical_json(engine.secondary.snapshot())


@pytest.mark.parametrize("name", ["depth_bid_usd", "depth_ask_usd", "aum"])
def test_an_amount_that_cannot_be_is_refused(name: str) -> None:
    value = canonical_json({"symbol": "UVXY", "event_ts": "2018-01-04T15:00:00Z", name: 1e300, "schema_version": 1})
    with pytest.raises(Refused, match=name) as caught:
        Market(CALIBRATION).decode(Record(MARKET_FLOWS, 0, 0, at(DAYS[2], "12:00"), b"US", value, ()))
    assert caught.value.reason == "implausible"


def test_figures_of_several_chains_do_not_depend_on_the_order_of_their_names() -> None:
    """After a restart the state stands in another order; neither a sum nor a tie may follow it."""
    ts = at(DAYS[2], "10:00")
    engine = started()
    for i, (name, volume, rate) in enumerate((("c", 0.1, 0.02), ("a", 0.7, -0.02), ("b", 1e15, 0.0), ("d", 0.3, 0.0))):
        push(engine, [block(i, ts, chain=name, dex_volume_usd=volume, funding_rate=rate)])
    symbols = ("VX/2018-02-14", "SPY", "UVXY")
    push(engine, [depth(ts, bid=value, symbol=s) for s, value in zip(symbols, (0.1, 0.7, 1e15), strict=True)])
    other = restarted(engine)
    assert other.depths.features(ts) == engine.depths.features(ts)
    ours, theirs = mark_at(engine, ts + MINUTE), mark_at(other, ts + MINUTE)
    assert text(ours) == text(theirs)
    assert ours.features["funding_rate"] == 0.02, "of the same size the one that longs pay"


# Governance and offerings


def test_executed_decisions_are_counted_in_their_session_alone() -> None:
    engine, ts = started(), at(DAYS[2], "12:00")
    push(
        engine,
        [
            block(1, ts, proposal=Proposal(proposal_id="1", kind="withdraw")),
            block(2, ts, proposal=Proposal(proposal_id="1", kind="withdraw")),  # the same once more
            block(3, ts, proposal=Proposal(proposal_id="2", kind="other")),
            block(4, ts, proposal=Proposal(proposal_id="3", kind="collateral")),
        ],
    )
    assert outcomes(engine) == {"used": 3, "superseded": 1}
    assert mark_at(engine, ts + HOUR).features["governance_stress"] == 2
    assert close_of(engine, 2).features["governance_stress"] == 2
    assert "governance_stress" not in close_of(engine, 3).features


def offering(name: str, ts: int, **more: Any) -> Offering:
    return Offering(**{"offering_id": name, "kind": "ido", "pricing_ts": ts, **more})


def test_offerings_are_counted_once_and_blank_cheques_never() -> None:
    engine = started(2)
    for day in range(2, 23):
        ts = at(DAYS[day], "12:00")
        push(engine, [offering(f"d{day}", ts), offering(f"d{day}", ts + 1), offering(f"s{day}", ts, spac=True)])
        regime = close_of(engine, day)
        if day < 22:
            assert "ido_trailing" not in regime.features, "21 sessions are not full"
    assert regime.features["ido_trailing"] == 21
    assert outcomes(engine) == {"used": 21, "superseded": 42}
    assert "ipo_trailing" not in regime.features
    assert close_of(engine, 23).features["ido_trailing"] == 20, "a session without one counts as one without"


def test_an_ipo_and_an_ido_of_the_same_id_are_two() -> None:
    engine = started()
    ts = at(DAYS[2], "12:00")
    push(engine, [offering("a", ts), offering("a", ts, kind="ipo"), offering("a", ts, kind="ipo")])
    assert outcomes(engine) == {"used": 2, "superseded": 1}


# Depth


def depth(ts: int, bid: float | None = 1e6, ask: float | None = 2e6, symbol: str = "VX/2018-02-14") -> Flow:
    return Flow(symbol=symbol, event_ts=ts, depth_bid_usd=bid, depth_ask_usd=ask)


def shown(engine: Engine, ts: int) -> dict[str, Any]:
    features = mark_at(engine, ts).features
    return {name: features[name] for name in ("depth_bid_usd", "depth_ask_usd") if name in features}


@pytest.mark.parametrize(("age", "there"), [(0, True), (5 * SECOND, True), (5 * SECOND + 1, False), (HOUR, False)])
def test_depth_is_stale_after_five_seconds(age: int, there: bool) -> None:
    engine, ts = started(), at(DAYS[2], "10:00")
    push(engine, [depth(ts - age)])
    assert shown(engine, ts) == ({"depth_bid_usd": 1e6, "depth_ask_usd": 2e6} if there else {})


def test_depths_of_instruments_add_up_and_a_missing_side_is_not_zero() -> None:
    engine, ts = started(), at(DAYS[2], "10:00")
    stale = depth(ts - 9 * SECOND, symbol="UVXY")
    push(engine, [stale, depth(ts - 2), depth(ts - 1, bid=5e5, ask=None, symbol="VX/2018-03-21")])
    assert shown(engine, ts) == {"depth_bid_usd": 1.5e6, "depth_ask_usd": 2e6}
    push(engine, [depth(ts + MINUTE - 1, bid=None, ask=3e6)])
    assert shown(engine, ts + MINUTE) == {"depth_ask_usd": 3e6}


def test_a_flow_without_depth_is_not_followed_and_an_older_one_replaces_nothing() -> None:
    engine, ts = started(), at(DAYS[2], "10:00")
    push(engine, [depth(ts - 1), depth(ts - 2, bid=9e9), depth(ts - 1, bid=9e9), Flow(symbol="UVXY", event_ts=ts)])
    assert outcomes(engine) == {"used": 1, "superseded": 2, "unfollowed": 1}
    assert shown(engine, ts + MINUTE) == {}
    assert engine.depths.features(ts)["depth_bid_usd"] == 1e6


# Everything


@pytest.mark.parametrize("cut", range(7))
def test_a_restart_anywhere_gives_the_same_bytes(cut: int) -> None:
    ts = at(DAYS[2], "12:00")
    pieces: list[list[Item]] = [
        [block(i, ts + i, pool=pool(1000.0 + i)) for i in range(4)],
        [block(4, ts + 4, pool=pool(900.0)), depth(ts + 5), Row("VIX", ts + 4 * SECOND, last=15.0)],
        [offering("a", ts + HOUR), offering("b", ts + HOUR, kind="ipo"), *day_of_closes(DAYS[2])],
        [block(5, ts + DAY, tvl_native=4.0, dex_volume_usd=1.0), section(2, (0.1, -0.2), ts=ts + DAY)],
        [block(6, ts + DAY, proposal=Proposal(proposal_id="p", kind="withdraw")), Row("VIX", ts + DAY, last=16.0)],
        [*day_of_closes(DAYS[3]), offering("a", ts + 2 * DAY)],
        [block(7, ts + 2 * DAY, stablecoin=Stablecoin(symbol="USDC", usd=0.9)), mark_until(ts + 9 * DAY)],
    ]
    whole, broken = started(), started()
    expected = [text(m) for piece in pieces for m in push(whole, piece)]
    found = [text(m) for piece in pieces[:cut] for m in push(broken, piece)]
    broken = restarted(broken)
    found += [text(m) for piece in pieces[cut:] for m in push(broken, piece)]
    assert found == expected
    assert canonical_json(broken.snapshot()) == canonical_json(whole.snapshot())
    assert canonical_json(broken.secondary.snapshot()) == canonical_json(whole.secondary.snapshot())


def test_figures_after_a_moment_change_nothing_before_it() -> None:
    then = at(DAYS[4], "10:00")
    rows = [row for d in range(2, 6) for row in (Row("VIX", at(DAYS[d], "09:00"), last=15.0), *day_of_closes(DAYS[d]))]

    def decided(seed: int) -> list[bytes]:
        chance, tail = random.Random(4), random.Random(seed)
        flows = []
        for i in range(120):
            ts = at(DAYS[2], "01:00") + i * HOUR
            use = chance if ts <= then else tail
            flows += [
                block(i, ts, pool=pool(1000 + use.random())),
                block(i, ts, tvl_usd=1e9 * (1 + use.random())),
                block(i, ts, stablecoin=Stablecoin(symbol="DAI", usd=0.9 + use.random() / 5)),
                depth(ts, bid=use.random()),
            ]
        items = sorted([*rows, *flows], key=lambda x: x.ts if isinstance(x, Row) else _ts(x))
        found = push(started(), [*items, mark_until(at(DAYS[7], "12:00"))])
        return [text(m) for m in found if isinstance(m, Regime) and m.event_ts <= then]

    assert len(decided(1)) >= 4
    assert decided(1) == decided(2)


def _ts(flow: AnyFlow) -> int:
    return flow.block_ts if isinstance(flow, ChainFigure) else flow.event_ts  # type: ignore[union-attr]
