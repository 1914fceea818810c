"""A market as the hedge sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from topics.message import Feature
from topics.regime import Regime


@dataclass(frozen=True, slots=True)
class MarketView:
    """State and curve of the newest regime update, and the signals of the last committed session.

    Daily signals of a mark are provisional: what they say now may be gone at the close, so no tilt follows them.
    """

    regime: Regime
    signals: Mapping[str, Feature] = field(default_factory=dict)
