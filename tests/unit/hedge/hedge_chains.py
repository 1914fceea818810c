"""Option chains that can be dealt on, and markets that have one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from hedge_support import JAN_2, RULES, at, flat_curve, regime

from processors.hedge import MarketView, Openings, open_market
from processors.hedge.model_chain import model_chain
from processors.hedge.openings import Modelled
from processors.signals.curve import VxCurve
from topics.message import Feature, State
from topics.option_chain import OptionChain
from topics.regime import Regime


def live_chain(day: date, curve: Mapping[date, float], vvix: float = 100.0, ts: int | None = None) -> OptionChain:
    """Quotes of a model, named as those of a feed, so that they can be dealt on."""
    settles = {expiry: price for expiry, price in curve.items() if expiry > day}
    found = model_chain(VxCurve.from_settles(day, settles), vvix, at(day) if ts is None else ts, 0.0)
    return found.model_copy(update={"source": "feed"})


def view(
    now: Regime,
    chain: OptionChain | None = None,
    closes: tuple[float, ...] = (),
    signals: Mapping[str, Feature] | None = None,
) -> MarketView:
    """A market whose signals are those of the regime."""
    return MarketView(now, now.features if signals is None else signals, chain, None, closes)


def quoted(
    state: State, day: date = JAN_2, curve: Mapping[date, float] | None = None, vvix: float = 100.0, **changes: object
) -> MarketView:
    """A market of a close with a live chain."""
    prices = dict(flat_curve(day) if curve is None else curve)
    closes = changes.pop("closes", ())
    assert isinstance(closes, tuple)
    now = regime(state, day, prices, **changes)
    return view(now, live_chain(day, prices, vvix), closes)


def opened_in(market: MarketView, modelled: Modelled = "nothing") -> Openings:
    """What the layers open there."""
    return open_market(RULES, market, modelled)


#: VIX after a spike: below nine tenths of its high of five sessions, above realised volatility, and falling.
AFTER_A_SPIKE: Mapping[str, Feature] = {"vix": 25.0, "macd_hist": -0.5, "rv21": 20.0}
SPIKE = (20.0, 37.0, 33.0, 30.0, 29.0)
