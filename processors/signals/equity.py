"""Signals of the equity market beside volatility: breadth, rotation, dispersion, dividends, and surface changes."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final, Self

from processors.signals._reading import read_features, read_object, read_optional_date
from processors.signals.acting import Acting
from processors.signals.breadth import AdvanceDecline, Breadth
from processors.signals.change import SessionChange
from processors.signals.dispersion import Dispersion, daily_dispersion
from processors.signals.dividends import (
    DividendDivergence,
    DividendYields,
    DripYield,
    TotalReturn,
    dividend_gap,
)
from processors.signals.features import put
from processors.signals.rotation import Rotation, SectorPair
from processors.signals.signals import Signals
from processors.signals.statistic import Json
from topics.calibration import SignalRules
from topics.constituents import CrossSection
from topics.message import Feature

#: Instruments whose closes feed these signals.
EQUITY_SYMBOLS: Final = ("ADVN", "DECN", "SPXTR", "SPY", "XLRE", "SKEW", "DSPX", "VIX9D", "VIX6M")
#: Sessions over which a change of the surface is taken.
_SURFACE_SESSIONS: Final = 5
_SURFACE: Final = ("vix", "ratio", "vvix", "skew")


class EquitySignals:
    """Session by session from closes. A missing input makes its signals missing and does not advance them."""

    __slots__ = (
        "_breadth",
        "_crossed",
        "_dispersion",
        "_divergence",
        "_drip",
        "_rotation",
        "_rules",
        "_surface",
        "_today",
    )

    def __init__(self, rules: SignalRules) -> None:
        self._rules = rules
        self._breadth = AdvanceDecline()
        self._rotation = Rotation()
        self._dispersion = Dispersion()
        self._drip = DripYield()
        self._divergence = DividendDivergence(on=rules.divergence_on, off=rules.divergence_off)
        self._surface = {name: SessionChange(_SURFACE_SESSIONS) for name in _SURFACE}
        self._crossed: date | None = None
        self._today: dict[str, Feature] = {}

    def cross_section(self, section: CrossSection, previous_session: date) -> bool:
        """Take up a cross-section; False when it is not of one session or not newer than the last one."""
        if section.session_prev != previous_session or (self._crossed or date.min) >= section.session_date:
            return False
        self._crossed = section.session_date
        members = section.members
        self._dispersion.update(daily_dispersion([m.ret for m in members], [m.mcap_prev for m in members]))
        return True

    def commit(
        self,
        session_date: date,
        closes: Mapping[str, float],
        core: Signals,
        dividend: float | None,
        rate_long: float | None,
    ) -> None:
        """Commit one session.

        Args:
            closes: closes by symbol; absent is missing.
            core: the core signals of the same session.
            dividend: trailing dividends per index unit, USD.
            rate_long: rate that dividends are discounted from, percent a year.
        """
        today: dict[str, Feature] = {}
        self._today = today
        self._commit_surface(closes, core)
        advances, declines = closes.get("ADVN"), closes.get("DECN")
        if advances is not None and declines is not None and advances + declines > 0:
            self._breadth.update(Breadth(advances, declines, core.spx))
            breadth = self._breadth.value
            if breadth is not None:
                today["ad_net_ratio"] = breadth.net_ratio
                put(today, "ad_sum20", breadth.sum20)
                put(today, "ad_z", breadth.z)
                put(today, "ad_divergence", breadth.divergence)
        if "XLRE" in closes and "SPY" in closes:
            self._rotation.update(SectorPair(closes["XLRE"], closes["SPY"]))
            rotation = self._rotation.value
            if rotation is not None:
                put(today, "reit_z", rotation.z)
                today["reit_rotation"] = rotation.rotating
        self._commit_dividends(session_date, closes.get("SPXTR"), core.spx, dividend, rate_long)

    def _commit_surface(self, closes: Mapping[str, float], core: Signals) -> None:
        today = self._today
        for symbol in ("SPXTR", "SKEW", "DSPX", "VIX9D", "VIX6M"):
            put(today, symbol.lower(), closes.get(symbol))
        levels = {"vix": core.vix, "ratio": core.ratio, "vvix": core.vvix, "skew": closes.get("SKEW")}
        for name, level in levels.items():
            if level is not None:
                self._surface[name].update(level)
                put(today, f"{name}_change5", self._surface[name].value)

    def _commit_dividends(
        self, session_date: date, tr: float | None, spx: float | None, dividend: float | None, rate_long: float | None
    ) -> None:
        today, rules = self._today, self._rules
        drip = gap = None
        if tr is not None and spx is not None:
            self._drip.update(TotalReturn(tr, spx))
            drip = self._drip.value
            put(today, "drip_yield", drip)
        if spx is not None and dividend is not None and rate_long is not None:
            # The index itself has a beta of 1.
            gap = dividend_gap(spx, dividend, rules.dividend_growth, rate_long / 100 + rules.equity_premium)
        if gap is not None:
            today["ddm_gap"] = gap.gap
            today["ddm_implied_yield"] = gap.implied_yield
        if gap is not None and drip is not None:
            self._divergence.update(DividendYields(session_date, gap.implied_yield, drip))
            found = self._divergence.value
            if found is not None:
                put(today, "ddm_drip_z", found.z)
                today["ddm_drip_sharp"] = found.sharp
        if self._divergence.sharp:
            today["ddm_drip_sharp"] = True  # missing evidence does not switch it off

    def features(self) -> dict[str, Feature]:
        """Every value of the last committed session, by name, and the newest dispersion."""
        found = dict(self._today)
        dispersion = self._dispersion.value
        if dispersion is not None:
            found["dispersion"] = dispersion.mean
            put(found, "dispersion_change", dispersion.change)
            put(found, "dispersion_z", dispersion.z)
        return found

    def acting(self) -> Iterator[Acting]:
        """The standardised signals that act."""
        z = self._today.get("ad_z")
        if isinstance(z, float):
            yield Acting("advance_decline", z)
        if self._today.get("ad_divergence") is True:
            yield Acting("divergence", 1.0)

    def snapshot(self) -> dict[str, Json]:
        """The whole state as JSON-able values."""
        return {
            "breadth": self._breadth.snapshot(),
            "rotation": self._rotation.snapshot(),
            "dispersion": self._dispersion.snapshot(),
            "drip": self._drip.snapshot(),
            "divergence": self._divergence.snapshot(),
            "surface": {name: change.snapshot() for name, change in self._surface.items()},
            "crossed": None if self._crossed is None else self._crossed.isoformat(),
            "today": dict(self._today),
        }

    @classmethod
    def restore(cls, rules: SignalRules, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        signals = cls(rules)
        signals._breadth = AdvanceDecline.restore(read_object(snapshot, "breadth"))
        signals._rotation = Rotation.restore(read_object(snapshot, "rotation"))
        signals._dispersion = Dispersion.restore(read_object(snapshot, "dispersion"))
        signals._drip = DripYield.restore(read_object(snapshot, "drip"))
        signals._divergence = DividendDivergence.restore(read_object(snapshot, "divergence"))
        surface = read_object(snapshot, "surface")
        signals._surface = {name: SessionChange.restore(read_object(surface, name)) for name in _SURFACE}
        signals._crossed = read_optional_date(snapshot, "crossed")
        signals._today = read_features(snapshot, "today")
        return signals
