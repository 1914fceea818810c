"""From when to when a rebalance is best acted on, and until when it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from processors.hedge.etp_flow import Fund, contracts_flow, expected_flow
from processors.hedge.index_roll import roll
from processors.hedge.openings import Openings
from processors.hedge.timing import EffectiveWindow, MechanicalFlow, effective_window
from processors.hedge.view import MarketView
from processors.signals.calendar import SessionCalendar
from topics.calibration import HedgeRules
from topics.instrument import parse_symbol
from topics.rebalance import Trade

#: Products on the mid-term index, whose contracts are others.
_OTHER_INDEX: Final = frozenset({"VXZ"})


@dataclass(frozen=True, slots=True)
class Schedule:
    """A window to act in, why, and the moment after which the advice is void; ns UTC."""

    from_ts: int
    until_ts: int | None
    valid_until_ts: int
    reasons: tuple[str, ...]


def schedule(
    rules: HedgeRules, market: MarketView, openings: Openings, trades: Sequence[Trade], ts: int, urgent: bool
) -> Schedule:
    """The window of trades that are decided at ``ts``.

    Advice holds until the first close after its window begins: what is decided there replaces it. Beyond the session
    calendar no close is known, and it is void at once, reason ``calendar:unknown``.
    """
    calendar = SessionCalendar("XNYS")
    if not calendar.covers(ts):
        return Schedule(ts, None, ts, ("calendar:unknown",))
    quantities = _futures(trades)
    if not trades:
        window = EffectiveWindow(ts, None, ())
    else:
        crowded = market.signals.get("reit_rotation") is True
        flow = mechanical_flow(market, openings, ts) if quantities and not urgent else None
        window = effective_window(ts, quantities, flow, urgent=urgent, crowded=crowded, rules=rules.timing)
    session = calendar.session_of(window.from_ts)
    if calendar.close_ts(session) <= window.from_ts:
        session = calendar.next_session(session)
    return Schedule(window.from_ts, window.until_ts, calendar.close_ts(session), window.reasons)


def mechanical_flow(market: MarketView, openings: Openings, ts: int) -> MechanicalFlow | None:
    """What volatility products must trade at the next close, by published figures; None when one is missing.

    The return of their index since the close before is not known here, so that what counts is the roll, which is known
    for certain, and of rebalancing nothing: it is as likely to buy as to sell.
    """
    funds = [
        Fund(fund.symbol, fund.leverage, fund.aum, fund.nav_date)
        for fund in market.regime.funds
        if fund.symbol not in _OTHER_INDEX and fund.leverage is not None and fund.aum is not None
    ]
    volumes = market.regime.volumes
    if not funds or not volumes:
        return None
    calendar = SessionCalendar("XNYS")
    session = calendar.session_of(ts)
    if calendar.close_ts(session) <= ts:
        session = calendar.next_session(session)
    day = roll(session)
    prices = {contract.expiry: contract.price for contract in openings.futures}
    if day.near not in prices or day.far not in prices:
        return None
    contracts = contracts_flow(expected_flow(funds, session, 0.0), day, prices[day.near], prices[day.far])
    return None if contracts is None else MechanicalFlow(session, contracts, dict(volumes))


def _futures(trades: Sequence[Trade]) -> Mapping[str, float]:
    """Futures to trade, signed; what options need of them later moves no flow now."""
    return {
        leg.symbol: float(leg.quantity if leg.side == "buy" else -leg.quantity)
        for leg in trades
        if parse_symbol(leg.symbol).kind == "future"
    }
