"""Inputs of a market that are missing, stale or stood in for: told when it begins and when it ends."""

from __future__ import annotations

from collections.abc import Mapping

from topics.alert import Alert
from topics.message import digest
from topics.regime import Regime

#: Not a fault of a feed, so nobody is called for it: statistics that have not seen enough sessions yet.
_QUIET = "warm_up"


def degraded_alerts(regime: Regime, told: Mapping[str, str]) -> tuple[list[Alert], dict[str, str]]:
    """Alerts for inputs whose condition changed, and what has now been told: input to fault.

    A market whose state is held because VIX is missing is critical; everything else is a warning.
    """
    faults = {name: fault for name, _, fault in (each.partition(":") for each in regime.degraded) if fault != _QUIET}
    changed = [name for name in sorted({*faults, *told}) if faults.get(name) != told.get(name)]
    return [_alert(regime, name, faults.get(name)) for name in changed], faults


def _alert(regime: Regime, name: str, fault: str | None) -> Alert:
    held = name == "vix" and regime.held
    if fault is None:
        summary = f"{regime.market}: {name} is back"
    elif held:
        summary = f"{regime.market}: {name} is {fault}; the regime is held at {regime.state} and adds are blocked"
    else:
        summary = f"{regime.market}: {name} is {fault}; the regime is decided without it or from its last value"
    return Alert(
        event_id=digest({"of": "alert:degraded", "cause": regime.event_id, "input": name, "fault": fault}),
        event_ts=regime.event_ts,
        severity="info" if fault is None else "critical" if held else "warning",
        kind="degraded",
        dedupe_key=f"degraded:{regime.market}:{name}",
        market=regime.market,
        resolved=fault is None,
        summary=summary,
        cause_event_id=regime.event_id,
        details={} if fault is None else {"fault": fault},
    )
