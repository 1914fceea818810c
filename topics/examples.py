"""One example of each message, for the published contract and for tests. The figures are made up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final

from topics.alert import Alert
from topics.approval import Approval
from topics.calibration import Calibration
from topics.chain import ChainFigure, Pool, Stablecoin
from topics.constituents import CrossSection, Member
from topics.dead_letter import Refused, dead_letter
from topics.execution import Intent, Report
from topics.flows import Flow
from topics.macro import Release, Schedule
from topics.market import Tick, Watermark
from topics.message import Digest, Layer, Message
from topics.offering import Offering
from topics.option_chain import ChainExpiry, OptionChain
from topics.portfolio import Portfolio, Position
from topics.rebalance import Greeks, Moved, Package, Rebalance, Trade, Window
from topics.regime import (
    AppliedRelease,
    Bar,
    CurvePoint,
    Freeze,
    FundFigure,
    ModifierPart,
    Regime,
    ScorePart,
    Transition,
)
from topics.times import parse_ts

_CLOSE: Final = parse_ts("2018-02-05T21:15:00Z")
_DAY: Final = date(2018, 2, 5)


def _id(digit: str) -> Digest:
    return "sha256:" + digit * 64


def _weights(*values: float) -> dict[Layer, float]:
    return {"L1": values[0], "L2": values[1], "L3": values[2], "TT": values[3], "R": values[4]}


def _regime() -> Regime:
    return Regime(
        event_id=_id("1"),
        market="US",
        kind="close",
        session_date=_DAY,
        event_ts=_CLOSE,
        state="high",
        state_prev="low",
        raw="high",
        score=75.49,
        core_score=74.25,
        modifier=1.24,
        modifier_parts={
            "bear_steepening": ModifierPart(value=1.0, weight=1.5, decay=1.0, points=1.5, age=0),
            "gdp": ModifierPart(value=0.6, weight=-0.5, decay=0.866666666667, points=-0.26, age=1),
        },
        score_parts={
            "vix": ScorePart(value=37.32, points=87.2, weight=0.5),
            "ratio": ScorePart(value=1.31, points=100.0, weight=0.277777777778),
            "rv21": ScorePart(value=11.5, points=31.25, weight=0.222222222222),
        },
        features={"vix": 37.32, "vix3m": 28.5, "inversion": True, "curve_shape": "inverted"},
        floors_hit=("high:vix>=30",),
        below=0,
        held=False,
        degraded=("vvix:missing",),
        stand_ins=("SPX",),
        curve=(
            CurvePoint(symbol="VX/2018-02-14", price=33.225, dte=9),
            CurvePoint(symbol="VX/2018-03-21", price=25.5, dte=44),
        ),
        bars={"VIX": Bar(open=18.44, high=38.8, low=16.8, close=37.32)},
        sources={"VIX": "cboe", "VX": "model"},
        releases=(
            AppliedRelease(
                series_id="CPI_CORE_MOM",
                ref_period="2017-12",
                vintage=1,
                release_ts=parse_ts("2018-01-12T13:30:00Z"),
                applied_ts=parse_ts("2018-01-12T13:30:00Z"),
                actual=0.3,
                consensus=0.2,
            ),
        ),
        freezes=(
            Freeze(
                series_id="FOMC_MINUTES",
                from_ts=parse_ts("2018-02-21T18:30:00Z"),
                until_ts=parse_ts("2018-02-21T19:30:00Z"),
            ),
        ),
        overdue=("GDP:2017-Q4",),
        funds=(
            FundFigure(
                symbol="UVXY",
                leverage=2.0,
                aum=512_000_000.0,
                nav_date=date(2018, 2, 2),
                price=13.31,
                nav=13.27,
                volume=21_500_000.0,
            ),
        ),
        volumes={"VX/2018-02-14": 143_000.0},
        calibration_digest=Calibration().digest(),
        inputs_digest=_id("2"),
    )


def _rebalance() -> Rebalance:
    return Rebalance(
        event_id=_id("3"),
        portfolio_id="core",
        market="US",
        event_ts=_CLOSE,
        effective_ts=_CLOSE,
        effective_until_ts=parse_ts("2018-02-06T20:45:00Z"),
        valid_until_ts=parse_ts("2018-02-06T21:00:00Z"),
        timing=("flow:same_sign",),
        session_date=_DAY,
        trigger="close",
        state_prev="low",
        state="high",
        score=74.25,
        floors_hit=("high:vix>=30",),
        policy="steward",
        hedge_notional=11_000_000.0,
        h_scale=1.0,
        kappa=4.0,
        vectors={
            "held": _weights(0.2, 0.0, 0.0, 0.0, 0.8),
            "base": _weights(0.05, 0.25, 0.2, 0.25, 0.25),
            "aim": _weights(0.05, 0.25, 0.2, 0.25, 0.25),
            "blocked": _weights(0.05, 0.0, 0.0, 0.0, 0.95),
            "whole": _weights(0.051, 0.0, 0.0, 0.0, 0.949),
        },
        attribution=(
            Moved(rule="base", layer="L1", change=-0.15),
            Moved(rule="base", layer="L2", change=0.25),
            Moved(rule="base", layer="L3", change=0.2),
            Moved(rule="base", layer="TT", change=0.25),
            Moved(rule="base", layer="R", change=-0.55),
            Moved(rule="blocked", layer="L2", change=-0.25),
            Moved(rule="blocked", layer="L3", change=-0.2),
            Moved(rule="blocked", layer="TT", change=-0.25),
            Moved(rule="blocked", layer="R", change=0.7),
            Moved(rule="whole", layer="L1", change=0.001),
            Moved(rule="whole", layer="R", change=-0.001),
        ),
        targets=_weights(0.05, 0.0, 0.0, 0.0, 0.95),
        windows={"L1": Window(dte_min=15, dte_max=62, dte_target=30)},
        packages=(
            Package(layer="L1", action="close", kind="future", units=0, executable=True, reason="reduced"),
        ),
        trades=(
            Trade(
                layer="L1",
                symbol="VX/2018-03-21",
                side="sell",
                quantity=65,
                held=87,
                target=22,
                price=25.5,
                notional=1_657_500.0,
                limit=25.5,
                expiry=date(2018, 3, 21),
                greeks=Greeks(delta=1000.0, gamma=0.0, vega=0.0, theta=0.0),
                package=0,
            ),
        ),
        limits={"gross": 0.051, "gross_max": 1.25},
        limits_before={"gross": 0.2, "gross_max": 1.25},
        dte={"L1": 44.0},
        dte_before={"L1": 44.0},
        stress={"vix_up_20": 185_000.0},
        shut={"L2": ("chain:missing",), "L3": ("chain:missing",), "TT": ("chain:missing",)},
        blocked=(),
        degraded=("vvix:missing",),
        regime_event_id=_id("1"),
        calibration_digest=Calibration().digest(),
        inputs_digest=_id("4"),
        approvals_required=1,
        status="pending",
    )


def _examples() -> Iterator[Message]:
    regime = _regime()
    yield Tick(
        symbol="VX/2018-03-21",
        event_ts=_CLOSE + 250_000_000,
        source="cfe",
        seq=42,
        recv_ts=_CLOSE + 251_000_000,
        last=25.5,
        bid=25.45,
        ask=25.55,
        bid_size=120.0,
        ask_size=80.0,
        size=3.0,
    )
    yield Watermark(watermark_ts=_CLOSE, source="cfe")
    yield Release(
        series_id="CPI_CORE_MOM",
        release_ts=parse_ts("2018-01-12T13:30:00Z"),
        ref_period="2017-12",
        actual=0.3,
        source="bls",
        consensus=0.2,
        consensus_n=70,
        unit="percent",
        sa=True,
    )
    yield Schedule(
        series_id="CPI_CORE_MOM",
        ref_period="2018-01",
        scheduled_ts=parse_ts("2018-02-14T13:30:00Z"),
        event_ts=parse_ts("2017-09-01T14:00:00Z"),
        source="bls",
    )
    yield CrossSection(
        universe="SPX",
        session_date=_DAY,
        session_prev=date(2018, 2, 2),
        event_ts=parse_ts("2018-02-05T21:30:00Z"),
        source="vendor",
        members=(
            Member(id="AAPL", ret=-0.025, mcap_prev=814_000.0),
            Member(id="MSFT", ret=-0.0412, mcap_prev=707_000.0),
        ),
    )
    yield Offering(
        offering_id="0001193125-18-030000",
        kind="ipo",
        pricing_ts=parse_ts("2018-02-01T21:00:00Z"),
        source="edgar",
        raised_usd=250_000_000.0,
    )
    yield ChainFigure(
        chain="ethereum",
        block_number=5_038_000,
        block_ts=parse_ts("2018-02-05T21:00:00Z"),
        finalized=True,
        source="node",
        pool=Pool(pool="DAI/ETH", reserve_x=1250.0, reserve_y=950_000.0, usd_x=760.0),
        stablecoin=Stablecoin(symbol="DAI", usd=0.998),
    )
    yield Flow(
        symbol="UVXY",
        event_ts=_CLOSE,
        source="issuer",
        leverage=2.0,
        aum=512_000_000.0,
        nav_date=date(2018, 2, 2),
        nav=13.27,
        volume=21_500_000.0,
    )
    yield Portfolio(
        portfolio_id="core",
        as_of=_CLOSE,
        source="oms",
        seq=7,
        mv=100_000_000.0,
        beta=1.1,
        cash=4_500_000.0,
        margin_req=900_000.0,
        receivable_vm=0.0,
        margin_req_stress=2_100_000.0,
        premium_due=150_000.0,
        net_flow=0.0,
        positions=(Position(symbol="VX/2018-03-21", quantity=87.0, layer="L1"),),
    )
    yield Calibration()
    yield regime
    yield Transition(
        event_id=_id("5"),
        market="US",
        event_ts=_CLOSE,
        session_date=_DAY,
        trigger="close",
        state_prev="low",
        state="high",
        score=74.25,
        core_score=74.25,
        floors_hit=("high:vix>=30",),
        features={"vix": 37.32},
        degraded=("vvix:missing",),
        regime_event_id=regime.event_id,
        calibration_digest=Calibration().digest(),
    )
    yield OptionChain(
        event_ts=_CLOSE,
        session_date=_DAY,
        source="opra",
        expiries=(
            ChainExpiry(
                expiry=date(2018, 3, 21),
                forward=25.5,
                forward_bid=25.45,
                forward_ask=25.55,
                quotes_ts=_CLOSE - 12_500_000_000,
                strikes=(22.5, 25.0, 27.5),
                call_bid=(5.1, 3.9, None),
                call_ask=(5.4, 4.2, 3.3),
                put_bid=(2.1, 3.4, 4.9),
                put_ask=(2.4, 3.7, 5.3),
                open_interest=(18_250, 96_400, None),
            ),
        ),
    )
    yield _rebalance()
    yield Approval(
        portfolio_id="core",
        event_id=_id("3"),
        decision="approve",
        key_id="desk-1",
        signed_at=_CLOSE,
        expires_at=_CLOSE + 900_000_000_000,
        nonce="0123456789abcdef",
        signature="ab" * 64,
    )
    yield Intent(
        intent_id=_id("6"),
        event_id=_id("3"),
        portfolio_id="core",
        event_ts=_CLOSE,
        valid_until=_CLOSE + 900_000_000_000,
        layer="L1",
        symbol="VX/2018-03-21",
        side="sell",
        quantity=65,
        limit_price=25.45,
    )
    yield Report(
        report_id="fill-1",
        intent_id=_id("6"),
        portfolio_id="core",
        event_ts=_CLOSE,
        status="partial",
        quantity=40,
        price=25.475,
        fees=92.4,
    )
    yield Alert(
        event_id=_id("7"),
        event_ts=_CLOSE,
        severity="critical",
        kind="transition",
        dedupe_key="transition:US",
        market="US",
        summary="US is high, it was low: VIX 37.32.",
        cause_event_id=_id("5"),
        details={"vix": 37.32, "score": 74.25},
    )
    yield dead_letter("market.ticks", Refused("not_json", "the bytes are no JSON"), _CLOSE, b"US", b"\xff\x00?")


#: An example of every message class.
EXAMPLES: Final[Mapping[type[Message], Message]] = {type(message): message for message in _examples()}
