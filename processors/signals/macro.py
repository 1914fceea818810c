"""Signals of macro releases: surprises, revisions, exchange rate, rates and earnings quality of one market."""

from collections.abc import Iterator, Mapping
from typing import Final, Self

from processors.signals._reading import read_bool, read_int, read_object, read_optional_string, read_pairs
from processors.signals.acting import Acting
from processors.signals.cash_quality import CashQuality, Fundamentals
from processors.signals.gdp_revision import GrowthFigure, NowcastRevision, Vintage, VintageRevision
from processors.signals.rate_differential import RateDifferential
from processors.signals.reer import MonthlyFigure, ReerChange
from processors.signals.statistic import Json
from processors.signals.surprise import Surprise
from topics.calibration import ModifierPartName, SignalRules
from topics.macro import Release
from topics.message import Feature
from topics.times import DAY

#: Minutes come eight times a year: two years of them.
_FOMC_WINDOW: Final = 16


#: Signals of releases, in the order of the evidence.
_HELD: Final[tuple[ModifierPartName, ...]] = ("cpi", "ppi", "fomc", "gdp", "reer", "cash_quality")


class MacroSignals:
    """What releases say. A release acts from the session in which it was taken up, whatever it measures.

    Memory: the windows of the statistics and the newest figure of each series.
    """

    __slots__ = (
        "_counted",
        "_cpi",
        "_differential",
        "_differs",
        "_fomc",
        "_gdp",
        "_grown",
        "_held",
        "_levels",
        "_nowcast",
        "_parts",
        "_ppi",
        "_quality",
        "_reer",
        "_rules",
        "_session",
    )

    def __init__(self, rules: SignalRules) -> None:
        self._rules = rules
        self._session = 0
        self._cpi, self._ppi = Surprise(), Surprise()
        self._fomc = Surprise(_FOMC_WINDOW, _FOMC_WINDOW)
        self._gdp = VintageRevision()
        self._nowcast = NowcastRevision()
        self._reer = ReerChange()
        self._quality = CashQuality()
        self._differential = RateDifferential()
        self._differs = False  # whether the committed session had both rates
        self._grown = 0  # release time, ns, of the growth figure that acts
        #: z and session, counted from 0, in which it was taken up.
        self._held: dict[ModifierPartName, tuple[float, int]] = {}
        #: Newest figure and its release time, ns, by series.
        self._levels: dict[str, tuple[float, int]] = {}
        #: Period and figure of earnings and cash flow, which count together.
        self._parts: dict[str, tuple[str, float]] = {}
        self._counted: str | None = None

    def release(self, release: Release, first: bool, latest: bool = True) -> None:
        """Take up a release.

        Args:
            first: it is the first print of a new period, which alone can surprise.
            latest: no later period of its series is known; of levels and fundamentals only the latest period acts.
        """
        rules, series, actual = self._rules, release.series_id, release.actual
        if series == rules.fomc:
            if first and release.y2_pre is not None and release.y2_post is not None:
                self._surprise("fomc", self._fomc, release.y2_post - release.y2_pre)
            return
        if actual is None:
            return
        if first and release.consensus is not None:
            if series == rules.cpi:
                self._surprise("cpi", self._cpi, actual - release.consensus)
            elif series == rules.ppi:
                self._surprise("ppi", self._ppi, actual - release.consensus)
        if series == rules.gdp:
            self._gdp.update(Vintage(release.ref_period, release.vintage, actual))
            self._grow(release.release_ts, None if self._gdp.value is None else self._gdp.value.z)
        elif series == rules.nowcast:
            self._nowcast.update(GrowthFigure(release.ref_period, actual, self._session))
            self._grow(release.release_ts, None if self._nowcast.value is None else self._nowcast.value.z)
        elif series == rules.reer:
            before = self._reer.value
            self._reer.update(MonthlyFigure(release.ref_period, actual, release.unit))
            if self._reer.value is not None and self._reer.value != before:  # a revision of an old month is no news
                self._hold("reer", self._reer.value.z)
        elif latest and series in (rules.eps, rules.cfps):
            self._fundamental(release.ref_period, series, actual)
        if latest and series in self._kept():
            self._levels[series] = (actual, release.release_ts)

    def commit(self, ts: int) -> None:
        """Commit the session at ``ts``, ns: the daily signals advance."""
        home, foreign = self.rate(self._rules.rate_home, ts), self.rate(self._rules.rate_foreign, ts)
        self._differs = home is not None and foreign is not None
        if home is not None and foreign is not None:
            self._differential.update(home - foreign)

    def next_session(self) -> None:
        """The committed session has been decided on: from now on every release is older by one session."""
        self._session += 1

    def rate(self, series: str, ts: int) -> float | None:
        """The newest rate of a series, percent, as of ``ts``, ns; None when there is none or it is too old."""
        known = self._levels.get(series)
        if known is None or ts - known[1] > self._rules.rate_max_age_days * DAY:
            return None
        return known[0]

    def level(self, series: str) -> float | None:
        """The newest figure of a series without an age limit; None when there is none."""
        known = self._levels.get(series)
        return None if known is None else known[0]

    def features(self, ts: int) -> dict[str, Feature]:
        """Every value that there is at ``ts``, ns, by name."""
        found: dict[str, Feature] = {f"{name}_z": z for name, (z, _) in self._held.items()}
        if self._gdp.value is not None:
            found["gdp_revision"] = self._gdp.value.revision
        if self._nowcast.value is not None:
            found["nowcast_revision"] = self._nowcast.value.revision
        if self._reer.value is not None:
            found["reer_change"] = self._reer.value.change
        if self._quality.value is not None:
            found["cash_quality"] = self._quality.value.log_ratio
        free = self.rate(self._rules.rate_free, ts)
        if free is not None:
            found["rate_free"] = free
        differs = self._differential.value if self._differs else None
        if differs is not None:
            found["rate_differential"] = differs.level
            found["rate_differential_change"] = differs.change
            if differs.z is not None:
                found["rate_differential_z"] = differs.z
        return found

    def acting(self) -> Iterator[Acting]:
        """The standardised signals that act, releases with their age in sessions."""
        for name, (z, session) in self._held.items():
            yield Acting(name, z, self._session - session)
        differs = self._differential.value if self._differs else None
        if differs is not None and differs.z is not None:
            yield Acting("rate_differential", differs.z)

    def _kept(self) -> tuple[str, ...]:
        rules = self._rules
        return (rules.rate_home, rules.rate_foreign, rules.rate_free, rules.rate_long, rules.dps)

    def _surprise(self, name: ModifierPartName, statistic: Surprise, surprise: float) -> None:
        statistic.update(surprise)
        self._hold(name, statistic.value)

    def _hold(self, name: ModifierPartName, z: float | None) -> None:
        if z is not None:
            held = {**self._held, name: (z, self._session)}
            self._held = {each: held[each] for each in _HELD if each in held}

    def _grow(self, release_ts: int, z: float | None) -> None:
        """Hold a revision of growth; one published before that which acts comes too late to say anything."""
        if z is not None and release_ts >= self._grown:
            self._grown = release_ts
            self._hold("gdp", z)

    def _fundamental(self, period: str, series: str, value: float) -> None:
        """A period counts once, when both of its figures are there; what is revised later changes nothing."""
        self._parts[series] = (period, value)
        eps, cfps = self._parts.get(self._rules.eps), self._parts.get(self._rules.cfps)
        if eps is None or cfps is None or eps[0] != cfps[0] or eps[0] == self._counted:
            return
        self._quality.update(Fundamentals(eps[1], cfps[1]))
        self._counted = period
        self._hold("cash_quality", None if self._quality.value is None else self._quality.value.z)

    def snapshot(self) -> dict[str, Json]:
        """The whole state as JSON-able values."""
        return {
            "session": self._session,
            "cpi": self._cpi.snapshot(),
            "ppi": self._ppi.snapshot(),
            "fomc": self._fomc.snapshot(),
            "gdp": self._gdp.snapshot(),
            "nowcast": self._nowcast.snapshot(),
            "reer": self._reer.snapshot(),
            "quality": self._quality.snapshot(),
            "differential": self._differential.snapshot(),
            "differs": self._differs,
            "grown": self._grown,
            "held": {name: list(held) for name, held in self._held.items()},
            "levels": {series: list(level) for series, level in self._levels.items()},
            "counted": self._counted,
            "parts": {series: list(part) for series, part in self._parts.items()},
        }

    @classmethod
    def restore(cls, rules: SignalRules, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        signals = cls(rules)
        signals._session = read_int(snapshot, "session")
        signals._cpi = Surprise.restore(read_object(snapshot, "cpi"))
        signals._ppi = Surprise.restore(read_object(snapshot, "ppi"))
        signals._fomc = Surprise.restore(read_object(snapshot, "fomc"))
        signals._gdp = VintageRevision.restore(read_object(snapshot, "gdp"))
        signals._nowcast = NowcastRevision.restore(read_object(snapshot, "nowcast"))
        signals._reer = ReerChange.restore(read_object(snapshot, "reer"))
        signals._quality = CashQuality.restore(read_object(snapshot, "quality"))
        signals._differential = RateDifferential.restore(read_object(snapshot, "differential"))
        signals._differs = read_bool(snapshot, "differs")
        signals._grown = read_int(snapshot, "grown")
        held = read_pairs(snapshot, "held", float, int)
        signals._held = {name: held[name] for name in _HELD if name in held}
        signals._levels = read_pairs(snapshot, "levels", float, int)
        signals._counted = read_optional_string(snapshot, "counted")
        signals._parts = read_pairs(snapshot, "parts", str, float)
        return signals
