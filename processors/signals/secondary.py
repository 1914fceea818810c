"""The second line of signals of one market: everything that the methodology reads beside the core of volatility."""

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple, Self

from processors.signals._reading import read_object, read_pairs
from processors.signals.acting import Acting
from processors.signals.equity import EquitySignals
from processors.signals.macro import MacroSignals
from processors.signals.onchain import OnchainSignals
from processors.signals.signals import Signals
from processors.signals.statistic import Json
from topics.calibration import SignalRules
from topics.chain import ChainFigure
from topics.constituents import CrossSection
from topics.macro import Release
from topics.message import Feature
from topics.offering import Offering

_VERSION = 1


class Secondary(NamedTuple):
    """Values by name, and the standardised ones that move the score."""

    features: dict[str, Feature]
    acting: tuple[Acting, ...]


class SecondaryPanel:
    """A market's secondary signals: releases and figures as they come, closes once a session.

    `commit` closes a session, `read` says what there is at a moment, `next_session` lets the next one begin. Between
    commits only what came since acts: a release, a block; whatever rests on closes keeps the value of the last commit.

    Attributes:
        seen: stream time, ns, and kind of each input when it last came: what there is to warm up from.
    """

    __slots__ = ("_equity", "_macro", "_onchain", "_rules", "seen")

    def __init__(self, rules: SignalRules) -> None:
        self._rules = rules
        self._macro = MacroSignals(rules)
        self._equity = EquitySignals(rules)
        self._onchain = OnchainSignals(rules)
        self.seen: dict[str, tuple[int, str]] = {}

    def release(self, release: Release, first: bool, latest: bool = True) -> None:
        """Take up a release; see :class:`MacroSignals`."""
        self._macro.release(release, first, latest)
        self.seen[release.series_id] = (release.release_ts, "release")

    def flow(self, message: CrossSection | Offering | ChainFigure, previous_session: date | None = None) -> str:
        """Take up a figure of ``market.flows`` and say what became of it.

        ``previous_session``: the session before that of a cross-section.
        """
        if isinstance(message, CrossSection):
            self.seen[f"cross-section {message.universe}"] = (message.event_ts, "flow")
            daily = previous_session is not None and self._equity.cross_section(message, previous_session)
            return "used" if daily else "superseded"
        if isinstance(message, Offering):
            self.seen[message.kind] = (message.pricing_ts, "flow")
            return self._onchain.offering(message)
        outcome = self._onchain.figure(message)
        if outcome == "used":
            self.seen[f"chain {message.chain}"] = (message.block_ts, "flow")
        return outcome

    def commit(
        self,
        session_date: date,
        ts: int,
        closes: Mapping[str, float],
        core: Signals,
        surface: Mapping[str, float],
        ofi: float | None,
    ) -> Secondary:
        """Commit a session at ``ts``, ns, and read it.

        Args:
            closes: closes by symbol; absent is missing.
            core: the core signals of the same session.
            surface: what option strips say, by name.
            ofi: the newest order-flow imbalance, contracts.
        """
        for symbol in closes:
            self.seen[symbol] = (ts, "close")
        rules = self._rules
        self._macro.commit(ts)
        dividend, rate_long = self._macro.level(rules.dps), self._macro.rate(rules.rate_long, ts)
        self._equity.commit(session_date, closes, core, dividend, rate_long)
        self._onchain.commit(ts, surface.get("dex_iv30"), core.vix, ofi)
        return self._read(ts, core, surface, closing=True)

    def read(self, ts: int, core: Signals, surface: Mapping[str, float]) -> Secondary:
        """What there is at ``ts``, ns, between two commits."""
        return self._read(ts, core, surface, closing=False)

    def next_session(self) -> None:
        """The committed session has been decided on: everything of it is older by one session from now on."""
        self._macro.next_session()
        self._onchain.next_session()

    def rate_free(self, ts: int) -> float | None:
        """The risk-free rate, percent a year."""
        return self._macro.rate(self._rules.rate_free, ts)

    def _read(self, ts: int, core: Signals, surface: Mapping[str, float], closing: bool) -> Secondary:
        onchain = self._onchain.features(ts, surface.get("dex_iv30"), core.vix, closing)
        features = {**self._macro.features(ts), **self._equity.features(), **onchain, **surface}
        if core.vix is not None and core.rv21 is not None:
            features["implied_minus_realised"] = core.vix - core.rv21
        acting = [*self._macro.acting(), *self._equity.acting(), *self._onchain.acting(onchain)]
        if core.rsi14 is not None:
            acting.append(Acting("rsi", (50 - core.rsi14) / 10))
        if core.bear_steepening:
            acting.append(Acting("bear_steepening", 1.0))
        return Secondary(features, tuple(acting))

    def snapshot(self) -> dict[str, Json]:
        """The whole state as JSON-able values; `restore` continues from it bit for bit."""
        return {
            "version": _VERSION,
            "macro": self._macro.snapshot(),
            "equity": self._equity.snapshot(),
            "onchain": self._onchain.snapshot(),
            "seen": {name: list(last) for name, last in self.seen.items()},
        }

    @classmethod
    def restore(cls, rules: SignalRules, snapshot: Mapping[str, Json]) -> Self:
        """The panel that gave `snapshot`. ValueError for another version, and for a malformed snapshot."""
        version = snapshot.get("version")
        if version != _VERSION:
            raise ValueError(f"secondary signals of version {version!r} cannot be read, only {_VERSION}")
        panel = cls(rules)
        panel._macro = MacroSignals.restore(rules, read_object(snapshot, "macro"))
        panel._equity = EquitySignals.restore(rules, read_object(snapshot, "equity"))
        panel._onchain = OnchainSignals.restore(rules, read_object(snapshot, "onchain"))
        panel.seen = read_pairs(snapshot, "seen", int, str)
        return panel
