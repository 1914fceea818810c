"""What the hedge has cost a portfolio, from the values that its snapshots state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from processors.hedge.irr import HedgeDrag, HedgedSession
from topics.portfolio import Portfolio


@dataclass(slots=True)
class DragTrack:
    """A portfolio's values with and without its hedge, session by session.

    A session counts once a snapshot of a later one is there: until then its values may still be reported anew. Only
    portfolios that state both ``hedge_value`` and ``hedge_flow`` have a drag.
    """

    drag: HedgeDrag = field(default_factory=HedgeDrag)
    newest: HedgedSession | None = None

    def snapshot_taken(self, portfolio: Portfolio, session: date) -> bool:
        """Take up the values at the close of a session; False when the snapshot says nothing of it."""
        if portfolio.hedge_value is None or portfolio.hedge_flow is None:
            return False
        now = HedgedSession(
            session, portfolio.mv, portfolio.hedge_value, portfolio.net_flow or 0.0, portfolio.hedge_flow
        )
        if self.newest is not None and session < self.newest.session_date:
            return False
        if self.newest is not None and session > self.newest.session_date:
            self.drag.update(self.newest)
        self.newest = now
        return True

    @property
    def value(self) -> float | None:
        """Decimal a year, as of the last session counted; None before there are enough."""
        return self.drag.value

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        newest = None if self.newest is None else list(self.newest)
        if newest is not None and self.newest is not None:
            newest[0] = self.newest.session_date.isoformat()
        return {"drag": self.drag.snapshot(), "newest": newest}

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> DragTrack:
        """The track that gave ``saved``."""
        newest = saved["newest"]
        session = None if newest is None else HedgedSession(date.fromisoformat(newest[0]), *newest[1:])
        return cls(HedgeDrag.restore(saved["drag"]), session)
