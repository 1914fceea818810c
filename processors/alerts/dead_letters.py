"""Dead letters of one topic and reason: told at the first one, and once more when they become many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from topics.alert import Alert
from topics.dead_letter import DeadLetter
from topics.message import digest
from topics.times import MINUTE

#: So many dead letters of one topic and reason within this event time are a burst.
BURST: Final = 10
WINDOW: Final = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class Burst:
    """Dead letters of one topic and reason since ``since``, ns; a quiet window ends it."""

    since: int
    last: int
    count: int
    digest: str


def dead_letter_alerts(letter: DeadLetter, before: Burst | None) -> tuple[list[Alert], Burst]:
    """Alerts that a dead letter causes, and the burst it now belongs to.

    The digest of a burst chains its letters, so that the same letters give the same event ids in every replay.
    """
    if before is None or letter.event_ts - before.last > WINDOW:
        burst = Burst(letter.event_ts, letter.event_ts, 1, digest({"first": letter.document()}))
        return [_alert(letter, burst, critical=False)], burst
    chained = digest({"before": before.digest, "letter": letter.sha256})
    burst = Burst(before.since, max(before.last, letter.event_ts), before.count + 1, chained)
    return ([_alert(letter, burst, critical=True)] if burst.count == BURST else []), burst


def _alert(letter: DeadLetter, burst: Burst, critical: bool) -> Alert:
    many = f"{burst.count} dead letters" if critical else "a dead letter"
    return Alert(
        event_id=digest({"of": "alert:dead_letters", "burst": burst.digest, "critical": critical}),
        event_ts=letter.event_ts,
        severity="critical" if critical else "warning",
        kind="dead_letters",
        dedupe_key=f"dead:{letter.topic}:{letter.reason}",
        summary=f"{many} of {letter.topic}: {letter.reason}; the latest: {letter.detail}"[:500],
        details={"count": burst.count, "reason": letter.reason, "topic": letter.topic},
    )
