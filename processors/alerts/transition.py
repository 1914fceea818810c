"""Changes of a market's state."""

from __future__ import annotations

from topics.alert import Alert, Severity
from topics.message import STATES, Feature, digest
from topics.regime import Regime


def transition_alert(regime: Regime) -> Alert | None:
    """The alert of a change of state; None when the state stays as it is."""
    if regime.state == regime.state_prev:
        return None
    up = STATES.index(regime.state) > STATES.index(regime.state_prev)
    severity: Severity = "info" if not up else "critical" if regime.state == "high" else "warning"
    how = "at the close" if regime.kind == "close" else "intraday, by a floor that held"
    score = "" if regime.score is None else f", score {regime.score:.1f}"
    floors = f", floors {', '.join(regime.floors_hit)}" if regime.floors_hit and up else ""
    details: dict[str, Feature] = {"state": regime.state, "state_prev": regime.state_prev}
    details |= {name: regime.features[name] for name in ("vix", "ratio", "rv21", "vvix") if name in regime.features}
    return Alert(
        event_id=digest({"of": "alert:transition", "cause": regime.event_id}),
        event_ts=regime.event_ts,
        severity=severity,
        kind="transition",
        dedupe_key=f"regime:{regime.market}",
        market=regime.market,
        summary=f"{regime.market} volatility regime {regime.state_prev} -> {regime.state} {how}{score}{floors}"[:500],
        cause_event_id=regime.event_id,
        details=details,
    )
