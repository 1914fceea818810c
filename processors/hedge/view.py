"""A market as the hedge sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from topics.message import Digest, Feature, digest
from topics.option_chain import OptionChain
from topics.regime import Regime


@dataclass(frozen=True)
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

    @cached_property
    def digest(self) -> Digest:
        """The digest of all of it, worked out once for all portfolios of the market."""
        return digest(
            {
                "regime": self.regime.event_id,
                "curve": [point.document() for point in self.regime.curve],
                "funds": [fund.document() for fund in self.regime.funds],
                "volumes": dict(self.regime.volumes),
                "signals": dict(self.signals),
                "chain": None if self.chain is None else self.chain.document(),
                "kappa": self.kappa,
                "closes": list(self.closes),
            }
        )

    @property
    def now(self) -> int:
        """The latest instant that anything here shows, ns."""
        return self.regime.event_ts if self.chain is None else max(self.regime.event_ts, self.chain.event_ts)
