"""What is due and when: windows around scheduled releases, and releases that have not come."""

from __future__ import annotations

from typing import Any

from topics.calibration import SignalRules
from topics.macro import Release, Schedule
from topics.regime import Freeze
from topics.times import DAY, MINUTE

#: A window is announced this long before it opens, so that whoever decides between two regimes knows of it.
_NEAR = DAY
#: An overdue release is named for so long; after that nobody waits for it any more.
_GIVEN_UP = 30 * DAY


#: Series, period and vintage.
Key = tuple[str, str, int]


class Schedules:
    """Scheduled releases as of the stream's time. A later word on one replaces an earlier one.

    A year's calendar is known in advance, with the first estimate of a period and those after it: each is waited for by
    itself.
    """

    def __init__(self, rules: SignalRules) -> None:
        self._rules = rules
        self._due: dict[Key, Schedule] = {}
        self._came: set[Key] = set()

    def apply(self, schedule: Schedule, came: bool) -> bool:
        """Take up a schedule; False when a newer one is known of the same release.

        ``came``: its release has been taken up already, so that nobody waits for it.
        """
        key = (schedule.series_id, schedule.ref_period, schedule.vintage)
        known = self._due.get(key)
        if known is not None and known.event_ts > schedule.event_ts:
            return False
        self._due[key] = schedule
        if came:
            self._came.add(key)
        return True

    def released(self, release: Release) -> None:
        """The release has come, and with it every vintage before; its window stays until it has passed."""
        this = (release.series_id, release.ref_period)
        self._came |= {key for key in self._due if key[:2] == this and key[2] <= release.vintage}

    def freezes(self, ts: int) -> tuple[Freeze, ...]:
        """Windows without adds that are not urgent: open at ``ts``, ns, or opening within a day."""
        half = self._rules.freeze_minutes * MINUTE
        found = [
            Freeze(series_id=due.series_id, from_ts=due.scheduled_ts - half, until_ts=due.scheduled_ts + half)
            for due in self._due.values()
            if due.series_id == self._rules.fomc
            and not due.cancelled
            and due.scheduled_ts - half - _NEAR <= ts <= due.scheduled_ts + half
        ]
        return tuple(sorted(found, key=lambda freeze: (freeze.from_ts, freeze.series_id)))

    def overdue(self, ts: int) -> tuple[str, ...]:
        """Releases that should have come by ``ts``, ns, as ``GDP:2018-Q1``, and ``GDP:2018-Q1:2`` for a revision."""
        patience = self._rules.overdue_minutes * MINUTE
        return tuple(
            sorted(
                f"{due.series_id}:{due.ref_period}" + (f":{due.vintage}" if due.vintage > 1 else "")
                for key, due in self._due.items()
                if not due.cancelled and key not in self._came and due.scheduled_ts + patience < ts
            )
        )

    def forget(self, ts: int) -> None:
        """Drop what lies so far back that it concerns nobody at ``ts``, ns."""
        half = self._rules.freeze_minutes * MINUTE
        self._due = {
            key: due
            for key, due in self._due.items()
            if due.scheduled_ts + (half if due.cancelled or key in self._came else _GIVEN_UP) >= ts
        }
        self._came &= self._due.keys()

    def snapshot(self) -> list[Any]:
        """As JSON values: each schedule, and whether its release has come."""
        return [[self._due[key].document(), key in self._came] for key in sorted(self._due)]

    @classmethod
    def restore(cls, rules: SignalRules, saved: list[Any]) -> Schedules:
        """The schedules that gave ``saved``."""
        schedules = cls(rules)
        for document, came in saved:
            schedule = Schedule.model_validate(document)
            key = (schedule.series_id, schedule.ref_period, schedule.vintage)
            schedules._due[key] = schedule
            if came:
                schedules._came.add(key)
        return schedules
