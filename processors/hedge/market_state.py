"""What the hedge remembers of a market: its newest regime and option chain, and what it estimates from its closes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from processors.hedge.blocks import market_blocks
from processors.hedge.futures import vx_curve
from processors.hedge.kappa import CurveAndIndex, Kappa
from processors.hedge.openings import Modelled, Openings, open_market
from processors.hedge.theta import DAYS
from processors.hedge.track import MarketClose
from processors.hedge.view import MarketView
from topics.calibration import HedgeRules
from topics.message import Feature, canonical_json, feature_number
from topics.option_chain import OptionChain
from topics.regime import Regime

#: Committed sessions that betas need: the one that is counted next and the one before it.
_CLOSES: Final = 2


@dataclass(slots=True)
class MarketState:
    """One market.

    Attributes:
        regime: its newest update. signals: those of the last committed session.
        chain: its newest option chain; None before the first.
        closes: its last committed closes, as betas need them.
        vix: VIX at its last committed closes, by session.
        kappa: estimated from its settlements.
    """

    regime: Regime
    signals: Mapping[str, Feature]
    kappa: Kappa
    chain: OptionChain | None = None
    closes: list[MarketClose] = field(default_factory=list)
    vix: dict[date, float] = field(default_factory=dict)
    _openings: dict[Modelled, Openings] = field(default_factory=dict)
    _blocks: dict[Modelled, tuple[str, ...]] = field(default_factory=dict)
    _view: MarketView | None = None

    @classmethod
    def first(cls, rules: HedgeRules, regime: Regime, chain: OptionChain | None) -> MarketState:
        """A market at its first regime."""
        k = rules.kappa
        return cls(regime, {}, Kappa(k.half_life, k.minimum, k.low, k.high), chain)

    def take(self, regime: Regime) -> tuple[MarketClose, MarketClose] | None:
        """Take up a regime; at a close, the two closes before it whose session betas may count now."""
        self.regime = regime
        self._forget()
        if regime.kind != "close":
            return None
        self.signals = regime.features
        vix, spx = feature_number(regime.features, "vix"), feature_number(regime.features, "spx")
        if vix is not None:
            self.vix[regime.session_date] = vix
            for day in sorted(self.vix)[: -DAYS - 1]:
                del self.vix[day]
        if spx is not None and spx > 0.0 and regime.curve:
            self._estimate(regime, spx)
        before = (self.closes[0], self.closes[1]) if len(self.closes) == _CLOSES else None
        self.closes.append(MarketClose.of(regime.session_date, regime.features))
        del self.closes[:-_CLOSES]
        return before

    def _estimate(self, regime: Regime, spx: float) -> None:
        curve = vx_curve(regime)
        last = self.kappa.last_session
        if len(curve) and (last is None or regime.session_date > last):
            self.kappa.update(CurveAndIndex(curve, spx))

    def take_chain(self, chain: OptionChain) -> None:
        """Take up an option chain, which replaces the one before."""
        self.chain = chain
        self._forget()

    def _forget(self) -> None:
        """What was worked out of the market is no longer so."""
        self._openings.clear()
        self._blocks.clear()
        self._view = None

    @property
    def view(self) -> MarketView:
        """The market as the hedge sees it."""
        if self._view is None:
            kappa = self.kappa.value
            before = sorted(day for day in self.vix if day < self.regime.session_date)
            closes = tuple(self.vix[day] for day in before[-DAYS:])
            value = None if kappa is None else kappa.value
            self._view = MarketView(self.regime, self.signals, self.chain, value, closes)
        return self._view

    def openings(self, rules: HedgeRules, modelled: Modelled) -> Openings:
        """What the market's layers would open; worked out once for all of its portfolios."""
        if modelled not in self._openings:
            self._openings[modelled] = open_market(rules, self.view, modelled)
        return self._openings[modelled]

    def blocks(self, rules: HedgeRules, modelled: Modelled) -> tuple[str, ...]:
        """Why adds of all of its portfolios are blocked at its newest update; worked out once."""
        if modelled not in self._blocks:
            regime, openings = self.regime, self.openings(rules, modelled)
            self._blocks[modelled] = market_blocks(rules, regime, openings, regime.event_ts, urgent=False)
        return self._blocks[modelled]

    def document(self) -> dict[str, Any]:
        """As JSON values, without the chain."""
        return {
            "regime": self.regime.document(),
            "signals": dict(self.signals),
            "closes": [[c.session_date.isoformat(), c.spx, c.spxtr, c.rate_free] for c in self.closes],
            "vix": {day.isoformat(): value for day, value in sorted(self.vix.items())},
            "kappa": self.kappa.snapshot(),
        }

    @classmethod
    def restore(cls, saved: Mapping[str, Any], chain: OptionChain | None) -> MarketState:
        """The state that gave ``saved``."""
        return cls(
            regime=Regime.model_validate_json(canonical_json(saved["regime"])),
            signals=saved["signals"],
            kappa=Kappa.restore(saved["kappa"]),
            chain=chain,
            closes=[MarketClose(date.fromisoformat(day), *rest) for day, *rest in saved["closes"]],
            vix={date.fromisoformat(day): value for day, value in saved["vix"].items()},
        )
