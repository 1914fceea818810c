"""From a decision to the messages that carry it, with everything that decided it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from processors.regime.inputs import RegimeInputs
from processors.regime.machine import Decision
from processors.regime.modifier import Modifier
from processors.signals.curve import VxCurve
from processors.signals.signals import Signals
from topics.instrument import future_symbol
from topics.message import Digest, Feature, digest, tidy
from topics.regime import AppliedRelease, Bar, CurvePoint, Freeze, FundFigure, Regime, Transition


@dataclass(frozen=True, slots=True)
class Instant:
    """What is known of a market at one event-time instant, before anything is decided.

    Attributes:
        kind: a committed session or a provisional mark.
        degraded: inputs missing, stale or stood in for, as ``vvix:missing``.
        stand_ins: instruments whose last price stands in for an official close.
        sources: source of each input.
        secondary: values of the secondary signals, by name.
        modifier: what they add to the score.
        freezes: windows of scheduled releases that are near.
        overdue: scheduled releases that have not come.
        funds, volumes: published figures of volatility products and volumes of VX contracts. They decide nothing here.
    """

    market: str
    kind: Literal["close", "mark"]
    session_date: date
    event_ts: int
    signals: Signals
    curve: VxCurve | None
    degraded: tuple[str, ...]
    stand_ins: tuple[str, ...] = ()
    bars: Mapping[str, list[float]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    releases: tuple[AppliedRelease, ...] = ()
    secondary: Mapping[str, Feature] = field(default_factory=dict)
    modifier: Modifier = field(default_factory=Modifier)
    freezes: tuple[Freeze, ...] = ()
    overdue: tuple[str, ...] = ()
    funds: tuple[FundFigure, ...] = ()
    volumes: Mapping[str, float] = field(default_factory=dict)


def regime_inputs(signals: Signals) -> RegimeInputs:
    """The features that the regime is decided from."""
    return RegimeInputs(
        vix=signals.vix,
        vix_change=signals.vix_change,
        ratio=signals.ratio,
        rv21=signals.rv21,
        vvix=signals.vvix,
        inverted=signals.inverted,
    )


def regime_event(at: Instant, decision: Decision, below_before: int, calibration_digest: Digest) -> Regime:
    """The regime event of a decision. Its id is a hash of inputs, memory, calibration and outcome."""
    features = features_of(at.signals, at.secondary)
    curve = curve_points(at.curve)
    inputs_digest = digest(
        {
            "market": at.market,
            "kind": at.kind,
            "session_date": at.session_date.isoformat(),
            "event_ts": at.event_ts,
            "features": features,
            "curve": [point.document() for point in curve],
            "degraded": at.degraded,
            "releases": [release.document() for release in at.releases],
            "modifier": {name: part.document() for name, part in at.modifier.parts.items()},
            "freezes": [freeze.document() for freeze in at.freezes],
            "overdue": at.overdue,
            "memory": [decision.state_prev, below_before],
        }
    )
    event_id = digest(
        {"of": "regime", "inputs": inputs_digest, "calibration": calibration_digest, "state": decision.state}
    )
    return Regime(
        event_id=event_id,
        market=at.market,
        kind=at.kind,
        session_date=at.session_date,
        event_ts=at.event_ts,
        state=decision.state,
        state_prev=decision.state_prev,
        raw=decision.raw,
        score=decision.score,
        core_score=decision.core_score,
        modifier=decision.modifier,
        score_parts=dict(decision.parts),
        modifier_parts=dict(at.modifier.parts),
        features=features,
        floors_hit=decision.floors_hit,
        cap=decision.cap,
        below=decision.memory.below,
        held=decision.held,
        degraded=at.degraded,
        stand_ins=at.stand_ins,
        curve=curve,
        bars={s: Bar(open=o, high=h, low=low, close=c) for s, (o, h, low, c) in sorted(at.bars.items())},
        sources=dict(at.sources),
        releases=at.releases,
        freezes=at.freezes,
        overdue=at.overdue,
        funds=at.funds,
        volumes=dict(at.volumes),
        calibration_digest=calibration_digest,
        inputs_digest=inputs_digest,
    )


def transition_event(regime: Regime) -> Transition | None:
    """The change of state in a regime event; None when there is none."""
    if regime.state == regime.state_prev:
        return None
    return Transition(
        event_id=digest({"of": "transition", "regime": regime.event_id}),
        market=regime.market,
        event_ts=regime.event_ts,
        session_date=regime.session_date,
        trigger="close" if regime.kind == "close" else "fast_path",
        state_prev=regime.state_prev,
        state=regime.state,
        score=regime.score,
        core_score=regime.core_score,
        floors_hit=regime.floors_hit,
        features=regime.features,
        degraded=regime.degraded,
        regime_event_id=regime.event_id,
        calibration_digest=regime.calibration_digest,
    )


def features_of(signals: Signals, secondary: Mapping[str, Feature]) -> dict[str, Feature]:
    """Signals that have a value, numbers at the digits that are published."""
    found = {**signals.as_features(), **secondary}
    return {name: tidy(value) if isinstance(value, float) else value for name, value in found.items()}


def curve_points(curve: VxCurve | None) -> tuple[CurvePoint, ...]:
    """The live contracts of a curve."""
    if curve is None:
        return ()
    return tuple(
        CurvePoint(symbol=future_symbol("VX", expiry), price=settle, dte=(expiry - curve.session_date).days)
        for expiry, settle in zip(curve.expiries, curve.settles, strict=True)
    )
