"""The newest release of each series that the stream has taken up, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from topics.macro import Release
from topics.regime import AppliedRelease


class Releases:
    """Releases as of the stream's time: a figure counts from its ``release_ts``, never before; revisions are new."""

    def __init__(self) -> None:
        self._newest: dict[str, AppliedRelease] = {}

    def apply(self, release: Release, now: int) -> bool:
        """Take up a release at stream time ``now``, ns; False when it is not newer than what the series has.

        One that comes after the stream has passed its time acts from ``now`` on; its ``applied_ts`` says so.
        """
        known = self._newest.get(release.series_id)
        if known is not None and (known.release_ts, known.vintage) >= (release.release_ts, release.vintage):
            return False
        self._newest[release.series_id] = AppliedRelease(
            series_id=release.series_id,
            ref_period=release.ref_period,
            vintage=release.vintage,
            release_ts=release.release_ts,
            applied_ts=max(now, release.release_ts),
            actual=release.actual,
            consensus=release.consensus,
        )
        return True

    @property
    def newest(self) -> tuple[AppliedRelease, ...]:
        """The newest release of each series, by name of the series."""
        return tuple(self._newest[series] for series in sorted(self._newest))

    def snapshot(self) -> dict[str, Any]:
        """As JSON values."""
        return {series: release.document() for series, release in self._newest.items()}

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> Releases:
        """The releases that gave ``saved``."""
        releases = cls()
        releases._newest = {series: AppliedRelease.model_validate(release) for series, release in saved.items()}
        return releases
