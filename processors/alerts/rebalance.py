"""Rebalances, and adds that are blocked."""

from __future__ import annotations

from topics.alert import Alert
from topics.message import Feature, digest
from topics.rebalance import Rebalance


def rebalance_alerts(rebalance: Rebalance, blocked_before: tuple[str, ...]) -> list[Alert]:
    """The alert of a rebalance, and one when the reasons that block adds have changed since the last one."""
    alerts = [_rebalance(rebalance)]
    if rebalance.blocked != blocked_before:
        alerts.append(_blocked(rebalance))
    return alerts


def _rebalance(rebalance: Rebalance) -> Alert:
    legs = ", ".join(f"{t.side} {t.quantity} {t.symbol}" for t in rebalance.trades)
    weights = ", ".join(f"{layer} {weight:.1%}" for layer, weight in sorted(rebalance.targets.items()))
    details: dict[str, Feature] = {f"target_{layer}": weight for layer, weight in rebalance.targets.items()}
    near = "".join(f"; {what}" for what in rebalance.alerts if what.startswith("break_even:"))
    if rebalance.alerts:
        details["alerts"] = ", ".join(rebalance.alerts)[:500]
    return Alert(
        event_id=digest({"of": "alert:rebalance", "cause": rebalance.event_id}),
        event_ts=rebalance.event_ts,
        severity="warning" if legs or near else "info",
        kind="rebalance",
        dedupe_key=f"rebalance:{rebalance.portfolio_id}",
        market=rebalance.market,
        portfolio_id=rebalance.portfolio_id,
        summary=f"{rebalance.portfolio_id} in {rebalance.state}: {legs or 'no legs'}; {weights}{near}"[:500],
        cause_event_id=rebalance.event_id,
        details={**details, "state": rebalance.state, "policy": rebalance.policy},
    )


def _blocked(rebalance: Rebalance) -> Alert:
    reasons = ", ".join(rebalance.blocked)
    what = f"blocked by {reasons}" if reasons else "possible again"
    return Alert(
        event_id=digest({"of": "alert:blocked", "cause": rebalance.event_id}),
        event_ts=rebalance.event_ts,
        severity="warning" if reasons else "info",
        kind="blocked",
        dedupe_key=f"blocked:{rebalance.portfolio_id}",
        market=rebalance.market,
        portfolio_id=rebalance.portfolio_id,
        resolved=not reasons,
        summary=f"{rebalance.portfolio_id}: adds are {what}"[:500],
        cause_event_id=rebalance.event_id,
        details={"reasons": reasons} if reasons else {},
    )
