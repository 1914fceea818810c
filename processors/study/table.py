"""What a hedge earned and cost, by year and layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, Final, Literal

from processors.hedge.weights import SLEEVES
from processors.study.follow import Followed, Session
from topics.hedge_rules import Sleeve

#: All layers together.
ALL: Final = "all"
TOTAL: Final = "total"
#: Sessions of a year in which the SPX fell most: those that a hedge is for.
WORST: Final = 5

Part = Sleeve | Literal["all"]


@dataclass(frozen=True, slots=True)
class Row:
    """A layer, or all of them, in a year or over all sessions.

    Attributes:
        events: rebalances with legs of it. rolls: packages that roll it. contracts: dealt, either side.
        turnover: notional dealt over H; of options the premium.
        dealing: what dealing cost, USD: fees, and fills against the marks of their session.
        carry: what it would have earned on an unchanged curve, USD, below 0 when it costs.
        pnl: USD. carry_share, pnl_share: the same as sums of each session's share of market value then.
        drawdown: largest fall of the P&L summed up, USD, at least 0.
        worst: P&L in the sessions in which the SPX fell most; over all years the sum of the years'.
        offset: the same as a share of what the portfolio lost in them by its beta; None where that is not known.
        unmarked: contracts that kept their last mark, by session. settled: contracts held at their expiry.
    """

    period: str
    part: Part
    events: int
    rolls: int
    contracts: int
    turnover: float
    dealing: float
    carry: float
    carry_share: float
    pnl: float
    pnl_share: float
    drawdown: float
    worst: float
    offset: float | None
    unmarked: int
    settled: int


def rows(found: Followed) -> list[Row]:
    """A row for each year and layer, one for all layers, and the same for all years at last."""
    years: dict[str, list[Session]] = {}
    for session in found.sessions:
        years.setdefault(str(session.session_date.year), []).append(session)
    worst = {year: _worst(sessions) for year, sessions in years.items()}
    parts: tuple[Part, ...] = (*SLEEVES, ALL)
    table = [_row(year, part, sessions, worst[year]) for year, sessions in years.items() for part in parts]
    every = [session for sessions in worst.values() for session in sessions]
    return table + [_row(TOTAL, part, found.sessions, every) for part in parts]


def _worst(sessions: Iterable[Session]) -> list[Session]:
    """The sessions in which the SPX fell most, the worst first."""
    fell = [session for session in sessions if session.change is not None and session.change < 0.0]
    return sorted(fell, key=lambda session: (session.change, session.session_date))[:WORST]


def _row(period: str, part: Part, sessions: Sequence[Session], worst: Sequence[Session]) -> Row:
    own: tuple[Sleeve, ...] = SLEEVES if part == ALL else (part,)

    def pnl(session: Session) -> float:
        return sum(session.earned[sleeve].pnl for sleeve in own)

    def carry(session: Session) -> float:
        return sum(session.carry[sleeve] for sleeve in own)

    dealt = [session.dealt[sleeve] for session in sessions for sleeve in own]
    earned = [session.earned[sleeve] for session in sessions for sleeve in own]
    fell = sum(pnl(session) for session in worst)
    lost = [-s.beta * s.mv * s.change for s in worst if s.beta is not None and s.mv and s.change is not None]
    return Row(
        period=period,
        part=part,
        events=sum(s.trading for s in sessions) if part == ALL else sum(each.events for each in dealt),
        rolls=sum(each.rolls for each in dealt),
        contracts=sum(each.contracts for each in dealt),
        turnover=sum(each.turnover for each in dealt),
        dealing=sum(each.fees - each.dealt for each in earned),
        carry=sum(carry(session) for session in sessions),
        carry_share=_shares(sessions, carry),
        pnl=sum(pnl(session) for session in sessions),
        pnl_share=_shares(sessions, pnl),
        drawdown=_drawdown(pnl(session) for session in sessions),
        worst=fell,
        offset=fell / sum(lost) if len(lost) == len(worst) and sum(lost) > 0.0 else None,
        unmarked=sum(each.unmarked for each in earned),
        settled=sum(each.settled for each in earned),
    )


def _shares(sessions: Iterable[Session], amount: Callable[[Session], float]) -> float:
    return sum(amount(session) / session.mv for session in sessions if session.mv)


def _drawdown(amounts: Iterable[float]) -> float:
    """Largest fall of the running sum, from its beginning on."""
    sums = list(accumulate(amounts, initial=0.0))
    return max(peak - now for peak, now in zip(accumulate(sums, max), sums, strict=True))


def document(found: Followed) -> dict[str, Any]:
    """The study of a portfolio as JSON values."""
    return {
        "portfolio_id": found.portfolio_id,
        "sessions": len(found.sessions),
        "events": sum(session.events for session in found.sessions),
        "differences": found.differences,
        "rows": [asdict(row) for row in rows(found)],
    }
