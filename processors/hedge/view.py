"""A market as the hedge sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from topics.message import Feature
from topics.option_chain import OptionChain
from topics.regime import Regime


@dataclass(frozen=True, slots=True)
class MarketView:
    """State and curve of the newest regime update, the signals of the last committed session, and option quotes.

    Daily signals of a mark are provisional: what they say now may be gone at the close, so no tilt follows them.

    Attributes:
        chain: the newest option chain; None before the first.
        kappa: percent that VX1 rises per percent of fall of the SPX, None until it can be estimated.
        closes: VIX at the last committed closes, oldest first.
    """

    regime: Regime
    signals: Mapping[str, Feature] = field(default_factory=dict)
    chain: OptionChain | None = None
    kappa: float | None = None
    closes: tuple[float, ...] = ()

    @property
    def now(self) -> int:
        """The latest instant that anything here shows, ns."""
        return self.regime.event_ts if self.chain is None else max(self.regime.event_ts, self.chain.event_ts)
