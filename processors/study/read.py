"""The rebalance events in the folder of a replay."""

from __future__ import annotations

from pathlib import Path

from processors.coverage import read_states, sessions_of
from processors.errors import UserError
from processors.replayed import messages
from processors.study.follow import Followed, follow
from processors.view import printable
from topics.calibration import Calibration
from topics.catalog import HEDGE_REBALANCES
from topics.rebalance import Rebalance


def read_events(folder: Path) -> list[Rebalance]:
    """The rebalances in the folder of a replay, in their order. UserError when they cannot be read."""
    return messages(folder, HEDGE_REBALANCES, Rebalance)


def followed(folder: Path, calibration: Calibration, portfolio: str | None = None) -> list[Followed]:
    """Every portfolio in the folder of a replay, by its name, or one; UserError when there is none of it."""
    states = read_states(folder)
    events = read_events(folder)
    names = sorted({event.portfolio_id for event in events})
    if portfolio is not None and portfolio not in names:
        known = ", ".join(printable(name) for name in names) or "none"
        raise UserError(f"no rebalance of portfolio {printable(portfolio)!r} is in this replay; portfolios: {known}")
    if not names:
        raise UserError(f"{folder}: no rebalance is in this replay; it needs a portfolio")
    found = []
    for name in names if portfolio is None else (portfolio,):
        mine = [event for event in events if event.portfolio_id == name]
        market = sessions_of(states, mine[-1].market, calibration)
        found.append(follow(calibration.hedge, market, mine))
    return found
