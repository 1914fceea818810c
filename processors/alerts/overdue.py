"""Scheduled releases that have not come: told when they are overdue and when they have come after all."""

from __future__ import annotations

from collections.abc import Collection

from topics.alert import Alert
from topics.message import digest
from topics.regime import Regime


def overdue_alerts(regime: Regime, told: Collection[str]) -> list[Alert]:
    """Alerts for the releases whose condition changed since what was ``told``."""
    changed = sorted({*regime.overdue} ^ {*told})
    return [_alert(regime, release, release in regime.overdue) for release in changed]


def _alert(regime: Regime, release: str, overdue: bool) -> Alert:
    if overdue:
        summary = f"{regime.market}: the release {release} was due and has not come; what it would say is missing"
    else:
        summary = f"{regime.market}: the release {release} is no longer waited for"
    return Alert(
        event_id=digest({"of": "alert:overdue", "cause": regime.event_id, "release": release, "overdue": overdue}),
        event_ts=regime.event_ts,
        severity="warning" if overdue else "info",
        kind="overdue",
        dedupe_key=f"overdue:{regime.market}:{release}",
        market=regime.market,
        resolved=not overdue,
        summary=summary,
        cause_event_id=regime.event_id,
        details={"release": release},
    )
