"""Releases as the stream takes them up: each vintage once, the newest of each series in evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from topics.calibration import SignalRules
from topics.dead_letter import Refused
from topics.macro import Release, Schedule, period
from topics.regime import AppliedRelease
from topics.times import SECOND, format_ts

#: Periods of a series that are remembered: five years of months.
_PERIODS: Final = 64
#: No yield, percent a year either way, is further from 0.
_LARGEST_RATE: Final = 100.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A release that the stream has taken up.

    Attributes:
        first: it is the first print of a period later than all before, the only kind that can surprise.
        latest: no later period of the series has been taken up.
        late: the stream had passed its time; it acts from where the stream is.
    """

    release: Release
    first: bool
    latest: bool
    late: bool


class Releases:
    """Releases as of the stream's time: a figure counts from its ``release_ts``, never before; revisions are new."""

    def __init__(self, rules: SignalRules) -> None:
        self._rules = rules
        self._newest: dict[str, AppliedRelease] = {}
        #: (vintage, release_ts) taken up last, by series and, in their order, period.
        self._vintages: dict[str, dict[str, tuple[int, int]]] = {}

    def look(self, release: Release, now: int) -> Taken | None:
        """What a release brings at stream time ``now``, ns; None when that is nothing that is not known.

        A figure sent twice, an older vintage of a period and a period that is no longer remembered bring nothing.
        Nothing is taken up.
        """
        known = self._vintages.get(release.series_id, {})
        this = (release.vintage, release.release_ts)
        oldest, last = next(iter(known), None), next(reversed(known), None)
        forgotten = oldest is not None and len(known) >= _PERIODS and period(release.ref_period) < period(oldest)
        if forgotten or known.get(release.ref_period, (0, 0)) >= this:
            return None
        repeated = known.get(release.ref_period, (0, 0))[0] == release.vintage
        first = release.vintage == 1 and not repeated and (last is None or period(release.ref_period) > period(last))
        latest = last is None or period(release.ref_period) >= period(last)
        return Taken(release, first, latest, now > release.release_ts)

    def take(self, release: Release, now: int) -> None:
        """Take up a release that brings something at stream time ``now``, ns.

        One that comes after the stream has passed its time acts from ``now`` on; its ``applied_ts`` says so.
        """
        known = self._vintages.setdefault(release.series_id, {})
        last = next(reversed(known), None)
        known[release.ref_period] = (release.vintage, release.release_ts)
        if last is not None and period(release.ref_period) < period(last):
            known = self._vintages[release.series_id] = dict(sorted(known.items(), key=lambda each: period(each[0])))
        if len(known) > _PERIODS:
            del known[next(iter(known))]
        self._cite(release, now)

    def _cite(self, release: Release, now: int) -> None:
        cited = self._newest.get(release.series_id)
        if cited is not None and (cited.release_ts, cited.vintage) >= (release.release_ts, release.vintage):
            return
        self._newest[release.series_id] = AppliedRelease(
            series_id=release.series_id,
            ref_period=release.ref_period,
            vintage=release.vintage,
            release_ts=release.release_ts,
            applied_ts=max(now, release.release_ts),
            actual=release.actual,
            consensus=release.consensus,
        )

    def came(self, schedule: Schedule) -> bool:
        """Whether the release that is scheduled has been taken up, or a later vintage of its period."""
        known = self._vintages.get(schedule.series_id, {}).get(schedule.ref_period)
        return known is not None and known[0] >= schedule.vintage

    def unfit(self, release: Release) -> Refused | None:
        """Why a release cannot be right; None when it can.

        A figure of a month or quarter is published after it has ended, a yield has a size, and an index is above 0.
        """
        rules, series, actual = self._rules, release.series_id, release.actual
        rates = (rules.rate_home, rules.rate_foreign, rules.rate_free, rules.rate_long)
        if series in rates and actual is not None and abs(actual) > _LARGEST_RATE:
            return Refused(
                "implausible", f"actual: the yield {series} is within +-{_LARGEST_RATE:g} percent (given {actual:g})"
            )
        if series == rules.reer and actual is not None and actual <= 0:
            return Refused("implausible", f"actual: the index {series} is above 0 (given {actual:g})")
        given = release.ref_period
        if series in (rules.cpi, rules.ppi, rules.reer):
            if len(given) != len("2018-01") or "Q" in given:
                return Refused("invalid", f"ref_period: {series} is monthly, YYYY-MM (given {given!r})")
        elif series == rules.gdp:
            if "Q" not in given:
                return Refused("invalid", f"ref_period: {series} is quarterly, YYYY-Qn (given {given!r})")
        else:
            return None
        day = datetime.fromtimestamp(release.release_ts // SECOND, UTC).date()
        if period(given)[1] < day:
            return None
        when = format_ts(release.release_ts)
        return Refused("invalid", f"ref_period: {series} of {given} published {when}, before that period was over")

    @property
    def newest(self) -> tuple[AppliedRelease, ...]:
        """The newest release of each series, by name of the series."""
        return tuple(self._newest[series] for series in sorted(self._newest))

    def snapshot(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "newest": {series: release.document() for series, release in self._newest.items()},
            "vintages": {series: {p: list(v) for p, v in known.items()} for series, known in self._vintages.items()},
        }

    @classmethod
    def restore(cls, rules: SignalRules, saved: Mapping[str, Any]) -> Releases:
        """The releases that gave ``saved``."""
        releases = cls(rules)
        releases._newest = {s: AppliedRelease.model_validate(release) for s, release in saved["newest"].items()}
        for series, known in saved["vintages"].items():
            ordered = sorted(known.items(), key=lambda each: period(each[0]))
            releases._vintages[series] = {p: (vintage, ts) for p, (vintage, ts) in ordered}
        return releases
