"""Histories of a market and a portfolio, made at random: regimes, curves, option chains, holdings, and what comes of
them over up to eight evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Literal

from hedge_support import CALIBRATION, RULES, at, regime
from hypothesis import strategies as st

from processors.hedge import MarketView, Memory, Openings, evaluate, open_market, opened
from processors.hedge.book import Book, ExitView, read_book
from processors.hedge.model_chain import model_chain
from processors.signals.calendar import SessionCalendar
from processors.signals.curve import VxCurve
from processors.signals.expiry import vx_expiries
from topics.calibration import HedgeRules
from topics.message import STATES, Feature, State, decimal_text, feature_number
from topics.option_chain import ChainExpiry, OptionChain
from topics.portfolio import Fills, Portfolio, Position
from topics.rebalance import Rebalance
from topics.regime import Freeze, FundFigure, Regime
from topics.times import MINUTE, SECOND

DIGEST = CALIBRATION.digest()
SESSIONS = SessionCalendar("XNYS").sessions(date(2018, 1, 2), date(2018, 12, 31))
EXPIRIES = vx_expiries(date(2018, 1, 1), date(2019, 12, 31))
#: Contracts on a curve: the last one settles 210 to 245 days on.
CONTRACTS = 8

Quotes = Literal[
    "live",
    "thinned",
    "widened",
    "one_sided",
    "stale",
    "stale_expiries",
    "weekly",
    "empty",
    "missing",
    "model",
    "no_forward",
    "newer",
]
Fill = Literal["none", "half", "whole"]


@dataclass(frozen=True)
class Curve:
    """VX futures: the first price, a growth from contract to contract, and which of them are missing."""

    level: float = 20.0
    growth: float = 0.03
    bump: float = 0.0
    missing: frozenset[int] = frozenset()

    def prices(self, day: date) -> dict[date, float]:
        """By expiry, on the tick of a settlement."""
        live = [expiry for expiry in EXPIRIES if expiry > day][:CONTRACTS]
        found = {}
        for i, expiry in enumerate(live):
            price = self.level * (1.0 + self.growth) ** i + (self.bump if i % 2 else 0.0)
            found[expiry] = round(min(max(price, 9.0), 90.0), 2)
        return found

    def listed(self, day: date) -> dict[date, float]:
        """Without what is missing."""
        return {expiry: price for i, (expiry, price) in enumerate(self.prices(day).items()) if i not in self.missing}


@dataclass(frozen=True)
class Holding:
    """Something held: what, at which expiry and strike (by their places), how many, and in which layer."""

    kind: str
    expiry: int
    strike: int
    width: int
    quantity: int
    layer: str | None = None
    priced: bool = True


@dataclass(frozen=True)
class Moment:
    """One instant of a history, and what the portfolio's snapshot of it says."""

    state: State = "moderate"
    days: int = 1
    curve: Curve = field(default_factory=Curve)
    quotes: Quotes = "live"
    seed: int = 0
    vvix: float = 95.0
    vix: float = 1.0
    gate: bool = False
    signals: tuple[tuple[str, Feature], ...] = ()
    held: bool = False
    blind: bool = False
    frozen: bool = False
    liquid: Literal["unknown", "ample", "thin"] = "unknown"
    kappa: float | None = None
    drag: float | None = None
    notes: Literal["none", "fair", "dear"] = "fair"
    fill: Fill = "whole"
    fresh: bool = False
    holdings: tuple[Holding, ...] = ()
    mv: float = 20_000_000.0
    beta: float | None = 1.0
    cash: float | None = None
    stale: bool = False
    equity: float | None = None


@lru_cache(maxsize=512)
def quotes_of(curve: Curve, day: date, ts: int, vvix: float, kind: Quotes, seed: int) -> OptionChain | None:
    """The option chain of an instant; its quotes are made by the model, its source says that somebody made them."""
    if kind == "missing":
        return None
    prices = curve.prices(day)
    event_ts = ts - 7_200 * SECOND if kind == "stale" else ts + 5 * MINUTE if kind == "newer" else ts - 60 * SECOND
    chain = model_chain(VxCurve.from_settles(day, prices), vvix, event_ts, 0.015)
    expiries = tuple(_faulty(_near(each), kind, seed + i) for i, each in enumerate(chain.expiries))
    if kind == "empty":
        expiries = ()
    return chain.model_copy(update={"source": "model" if kind == "model" else "opra", "expiries": expiries})


def _near(each: ChainExpiry) -> ChainExpiry:
    """Without the strikes far from the forward, which only take time."""
    assert each.forward is not None
    kept = [i for i, k in enumerate(each.strikes) if 0.7 * each.forward - 4.0 <= k <= 3.5 * each.forward]
    names = ("strikes", "call_bid", "call_ask", "put_bid", "put_ask")
    return each.model_copy(update={name: tuple(getattr(each, name)[i] for i in kept) for name in names})


def _faulty(each: ChainExpiry, kind: Quotes, seed: int) -> ChainExpiry:
    if kind == "weekly":
        return each.model_copy(update={"expiry": each.expiry + timedelta(days=7), "forward": None})
    if kind == "stale_expiries" and seed % 3:
        return each.model_copy(update={"quotes_ts": each.quotes_ts - 7_200 * SECOND})
    if kind == "no_forward":
        return each.model_copy(update={"forward": None})
    if kind not in ("thinned", "widened", "one_sided"):
        return each
    columns: dict[str, tuple[float | None, ...]] = {
        name: getattr(each, name) for name in ("call_bid", "call_ask", "put_bid", "put_ask")
    }
    hit = [(i * 7 + seed * 13) % 10 < 4 for i in range(len(each.strikes))]
    for right in ("call", "put"):
        bids, asks = columns[f"{right}_bid"], columns[f"{right}_ask"]
        if kind == "thinned":
            columns[f"{right}_bid"] = tuple(None if h else b for h, b in zip(hit, bids, strict=True))
            columns[f"{right}_ask"] = tuple(None if h else a for h, a in zip(hit, asks, strict=True))
        elif kind == "one_sided":
            columns[f"{right}_bid"] = tuple(None if h else b for h, b in zip(hit, bids, strict=True))
        else:
            columns[f"{right}_bid"] = tuple(
                b if b is None or not h else round(0.5 * b, 4) for h, b in zip(hit, bids, strict=True)
            )
            columns[f"{right}_ask"] = tuple(
                a if a is None or not h else round(1.6 * a + 0.2, 4) for h, a in zip(hit, asks, strict=True)
            )
    return each.model_copy(update=columns)


def market_of(moment: Moment, day: date, ts: int, closes: Sequence[float]) -> MarketView:
    """The market at an instant; the gate of Temporal Theta is open when the moment says so and the state is high."""
    vix = round(moment.curve.level * moment.vix, 2)
    if moment.gate and len(closes) >= 5:
        vix = round(0.8 * max(closes[-5:]), 2)
    features: dict[str, Feature] = {"vix": vix, "vvix": moment.vvix, **dict(moment.signals)}
    features |= {"rv21": vix - 2.0, "macd_hist": -0.5} if moment.gate else {"rv21": vix + 1.0, "macd_hist": 0.5}
    features |= {"ample": {"depth_bid_usd": 5e10}, "thin": {"depth_bid_usd": 0.0}, "unknown": {}}[moment.liquid]
    degraded: tuple[str, ...] = ()
    if moment.blind:
        del features["vix"]
        degraded = ("vix:missing",)
    freeze = Freeze(series_id="CPI_CORE_MOM", from_ts=ts - MINUTE, until_ts=ts + 20 * MINUTE)
    price = 40.0 if moment.notes == "fair" else 44.0
    funds = (
        FundFigure(symbol="SVXY", leverage=-0.5, price=50.0, nav=50.0),
        FundFigure(symbol="UVXY", leverage=1.5, price=12.0, nav=12.0),
        FundFigure(symbol="VXX", leverage=1.0, price=price, nav=40.0),
    )
    now: Regime = regime(
        moment.state,
        day,
        moment.curve.listed(day),
        event_ts=ts,
        features=features,
        held=moment.held,
        degraded=degraded,
        freezes=(freeze,) if moment.frozen else (),
        funds=() if moment.notes == "none" else funds,
    )
    chain = quotes_of(replace(moment.curve, missing=frozenset()), day, ts, moment.vvix, moment.quotes, moment.seed)
    return MarketView(now, features, chain, moment.kappa, tuple(closes[-5:]))


def positions_of(moment: Moment, day: date) -> tuple[Position, ...]:
    """The holdings of a moment as positions, each symbol once in a layer."""
    prices = list(moment.curve.prices(day).items())
    settled = [expiry for expiry in EXPIRIES if expiry <= day]
    scale = max(1.0, moment.mv / 20_000_000.0)
    found: dict[tuple[str, str | None], Position] = {}
    for each in moment.holdings:
        expiry, forward = prices[each.expiry % len(prices)]
        strikes = [float(k) for k in (*range(9, 30), *range(30, 50, 5), *range(50, 100, 10))]
        start = min(range(len(strikes)), key=lambda i: abs(strikes[i] - forward))
        low = strikes[min(max(start + each.strike, 0), len(strikes) - 2)]
        high = strikes[min(strikes.index(low) + each.width, len(strikes) - 1)]
        n = float(max(1, round(each.quantity * scale)))
        many = 10 * n
        call = f"VIX/{expiry}/C"
        gone = settled[-1] if settled else day
        lots: dict[str, list[tuple[str, float]]] = {
            "long_future": [(f"VX/{expiry}", n)],
            "short_future": [(f"VX/{expiry}", -n)],
            "mini": [(f"VXM/{expiry}", many)],
            "spread": [(f"{call}/{decimal_text(low)}", many), (f"{call}/{decimal_text(high)}", -many)],
            "uneven": [(f"{call}/{decimal_text(low)}", many), (f"{call}/{decimal_text(high)}", -n)],
            "credit": [(f"{call}/{decimal_text(low)}", -many), (f"{call}/{decimal_text(high)}", many)],
            "call": [(f"{call}/{decimal_text(low)}", many)],
            "naked": [(f"{call}/{decimal_text(high)}", -many)],
            "odd_strike": [(f"{call}/{decimal_text(low + 0.25)}", many)],
            "far_strike": [(f"{call}/250", many)],
            "put": [(f"VIX/{expiry}/P/{decimal_text(low)}", many)],
            "note": [("VXX", 100.0 * n)],
            "short_note": [("VXX", -100.0 * n)],
            "inverse_note": [("SVXY", 100.0 * n)],
            "unknown_note": [("VXZ", 100.0 * n)],
            "share": [("SPY", 10.5)],
            "expired_call": [(f"VIX/{gone}/C/20", many)],
            "expired_future": [(f"VX/{gone}", n)],
            "other_root": [(f"SPX/{expiry}/C/2800", n)],
            "other_future": [(f"ES/{expiry}", n)],
        }
        for symbol, quantity in lots[each.kind]:
            option = symbol.startswith("VIX/")
            layer = each.layer if option else None
            price = round(max(0.05, 0.1 * forward), 2) if each.priced and option else None
            found[symbol, layer] = Position(symbol=symbol, quantity=quantity, layer=layer, price=price)  # type: ignore[arg-type]
    return tuple(found.values())


def snapshot_of(
    moment: Moment, day: date, ts: int, policy: str, fills: Fills, positions: tuple[Position, ...]
) -> Portfolio:
    """The portfolio of a moment."""
    figures: dict[str, Any] = {"mv": moment.mv, "beta": moment.beta, "cash": moment.cash}
    if moment.liquid != "unknown":
        figures |= {"receivable_vm": 0.0, "margin_req_stress": 50_000.0, "premium_due": 10_000.0}
        figures["cash"] = 0.0 if moment.cash is None else moment.cash
    if moment.equity is not None:
        figures |= {"equity_value": moment.equity * moment.mv, "debt_value": (1.0 - moment.equity) * moment.mv}
        figures |= {"cost_debt": 0.05, "cost_equity": 0.02 if moment.equity > 0.5 else 0.3}
    as_of = ts - (6 * 86_400 if moment.stale else 60) * SECOND
    return Portfolio(
        portfolio_id="p", as_of=as_of, policy=policy, fills=fills, positions=positions, **figures  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class Seen:
    """One evaluation of a history.

    Attributes:
        memory: before it. after: after it.
        event: what it published. said: the same, or what it would have published had nothing been said before.
    """

    rules: HedgeRules
    view: MarketView
    openings: Openings
    portfolio: Portfolio
    drag: float | None
    trigger: Literal["close", "snapshot"]
    memory: Memory
    after: Memory
    event: Rebalance | None
    said: Rebalance

    @property
    def state(self) -> State:
        return self.view.regime.state

    @property
    def today(self) -> date:
        return self.view.regime.session_date

    @property
    def sized(self) -> bool:
        return "held" in self.said.vectors

    def book(self) -> Book:
        """What is held before the trade."""
        held = self.portfolio.positions if self.memory.positions is None else self.memory.positions
        exits = ExitView(feature_number(self.view.regime.features, "vix"), self.view.closes)
        return read_book(self.rules, held, self.openings, self.today, exits)

    def again(self, memory: Memory) -> tuple[Memory, Rebalance | None]:
        """Evaluated once more, with another memory."""
        return evaluate(
            self.rules, DIGEST, self.view, self.portfolio, memory, self.trigger, None, self.drag, self.openings
        )


def walk(
    history: Sequence[Moment], policy: str, fills: Fills, rules: HedgeRules = RULES
) -> Iterator[Seen]:
    """Every evaluation of a history, memory carried on; a reported book is filled as each moment says."""
    memory, session, last_ts = Memory(), 2, 0
    closes: list[float] = [16.0, 18.0, 35.0, 30.0, 28.0]
    book: Portfolio | None = None
    said: Rebalance | None = None
    for number, moment in enumerate(history):
        ahead = moment.days if number else 0
        session = min(session + ahead, len(SESSIONS) - 1)
        day = SESSIONS[session]
        ts = max(at(day, 13), last_ts + 20 * MINUTE)
        last_ts = ts
        view = market_of(moment, day, ts, closes)
        if book is None or fills == "reported":
            if book is None or moment.fresh:
                positions = positions_of(moment, day)
            else:
                positions = _filled(book.positions, said, moment.fill, day)
            book = snapshot_of(moment, day, ts, policy, fills, positions)
            memory = memory.model_copy(update={"positions": None})
        openings = open_market(rules, view, opened(book, memory))
        trigger: Literal["close", "snapshot"] = "close" if ahead or not number else "snapshot"
        arguments = (trigger, None, moment.drag, openings)
        after, event = evaluate(rules, DIGEST, view, book, memory, *arguments)
        said = event
        if said is None:
            silent = memory.model_copy(update={"content": None, "legs": None})
            said = evaluate(rules, DIGEST, view, book, silent, *arguments)[1]
        assert said is not None
        yield Seen(rules, view, openings, book, moment.drag, trigger, memory, after, event, said)
        memory = after
        vix = feature_number(view.regime.features, "vix")
        if vix is not None and ahead:
            closes.append(vix)


def _filled(
    positions: Sequence[Position], event: Rebalance | None, fill: Fill, day: date
) -> tuple[Position, ...]:
    """A book after the legs of an event: none of them, about half of each, or all."""
    if event is None or fill == "none" or not event.trades:
        return tuple(positions)
    layers: dict[tuple[str, str | None], float] = {(p.symbol, p.layer): p.quantity for p in positions}
    paid = {(p.symbol, p.layer): p.price for p in positions}
    for leg in event.trades:
        mine = [key for key in layers if key[0] == leg.symbol and key[1] in (leg.layer, None)]
        named = [key for key in mine if key[1] == leg.layer] or mine
        key = named[0] if named else (leg.symbol, leg.layer)
        move = (leg.target - leg.held) if fill == "whole" else int((leg.target - leg.held) / 2)
        layers[key] = layers.get(key, 0.0) + move
        paid.setdefault(key, leg.limit or leg.price or None)
    return tuple(
        Position(symbol=symbol, layer=layer, quantity=n, price=paid[symbol, layer])  # type: ignore[arg-type]
        for (symbol, layer), n in layers.items()
        if n
    )


# What hypothesis makes of it

curves = st.builds(
    Curve,
    level=st.sampled_from([10.0, 13.0, 17.0, 22.0, 30.0, 45.0, 60.0]) | st.floats(9.5, 70).map(lambda x: round(x, 2)),
    growth=st.sampled_from([0.04, 0.03, 0.02, 0.0, -0.03, -0.08, 0.08]),
    bump=st.sampled_from([0.0, 0.0, 0.0, 0.5, -0.7]),
    missing=st.sampled_from(
        [frozenset[int]()] * 10
        + [frozenset({0}), frozenset({1}), frozenset({0, 1, 2}), frozenset({2, 3, 4, 5}), frozenset({5, 6, 7})]
        + [frozenset(range(CONTRACTS)), frozenset(range(1, CONTRACTS))]
    ),
)
_KINDS = (
    ["long_future"] * 5
    + ["spread"] * 6
    + ["credit"] * 4
    + ["call"] * 2
    + ["short_future", "mini", "uneven", "naked", "note", "note"]
    + ["expired_call", "expired_future"]
)
_ODD = [
    "odd_strike",
    "far_strike",
    "put",
    "short_note",
    "inverse_note",
    "unknown_note",
    "share",
    "other_root",
    "other_future",
]
_LAYERS = st.sampled_from([None, None, "L2", "L3", "TT"])


def _holdings(kinds: list[str]) -> st.SearchStrategy[Holding]:
    return st.builds(
        Holding,
        kind=st.sampled_from(kinds),
        expiry=st.integers(0, CONTRACTS - 1),
        strike=st.integers(-4, 8),
        width=st.sampled_from([1, 3, 5, 10]),
        quantity=st.integers(1, 60),
        layer=_LAYERS,
        priced=st.booleans(),
    )


holdings = _holdings(_KINDS)
odd_holdings = _holdings(_ODD)
signals = st.fixed_dictionaries(
    {},
    optional={
        "macd_acting": st.just(True),
        "macd_last_cross": st.sampled_from(["bullish", "bearish"]),
        "macd_sessions_since_cross": st.integers(0, 12).map(float),
        "rsi14": st.sampled_from([30.0, 45.0, 60.0]),
        "rate_free": st.sampled_from([0.0, 1.5, 5.0]),
        "gdp_z": st.sampled_from([-2.0, 0.0, 2.0]),
        "dispersion_z": st.just(1.5),
        "dispersion_change": st.sampled_from([-0.1, 0.1]),
        "ddm_drip_sharp": st.booleans(),
        "slope": st.sampled_from([-0.1, 0.05]),
    },
).map(lambda found: tuple(sorted(found.items())))
_GOOD: list[Quotes] = ["live"] * 9
_BAD: list[Quotes] = [
    "thinned",
    "widened",
    "one_sided",
    "stale",
    "stale_expiries",
    "weekly",
    "empty",
    "missing",
    "model",
    "no_forward",
    "newer",
]
betas = st.sampled_from([None, -0.2, 0.0, 0.8, 1.0, 1.0, 1.07, 1.1, 1.15, 1.2, 1.6]) | st.floats(0.5, 1.5)
moments = st.builds(
    Moment,
    state=st.sampled_from(STATES),
    days=st.sampled_from([0, 0, 1, 1, 1, 1, 3, 8, 20]),
    curve=curves,
    quotes=st.sampled_from(_GOOD + _BAD),
    seed=st.integers(0, 9),
    vvix=st.sampled_from([70.0, 95.0, 130.0, 180.0]),
    vix=st.sampled_from([0.8, 0.95, 1.0, 1.2]),
    gate=st.booleans(),
    signals=signals,
    held=st.sampled_from([False] * 9 + [True]),
    blind=st.sampled_from([False] * 9 + [True]),
    frozen=st.sampled_from([False] * 7 + [True]),
    liquid=st.sampled_from(["unknown", "ample", "ample", "thin"]),
    kappa=st.sampled_from([None, None, 1.5, 3.0, 8.0]),
    drag=st.sampled_from([None, None, 0.02]),
    notes=st.sampled_from(["none", "fair", "fair", "dear"]),
    fill=st.sampled_from(["whole", "whole", "half", "none"]),
    fresh=st.sampled_from([False] * 4 + [True]),
    holdings=st.tuples(
        st.lists(holdings, max_size=4), st.lists(odd_holdings, max_size=1) | st.just([])
    ).map(lambda found: tuple(found[0] + found[1])),
    mv=st.sampled_from([50_000.0, 2_000_000.0, 20_000_000.0, 20_000_000.0, 150_000_000.0, 900_000_000.0]),
    beta=betas,
    cash=st.sampled_from([None, None, None, 1e6, -1.0]),
    stale=st.sampled_from([False] * 9 + [True]),
    equity=st.sampled_from([None, None, 0.4, 0.9]),
)


@st.composite
def _histories(draw: st.DrawFn) -> list[Moment]:
    """Two thirds of the histories keep much from one moment to the next, so that a hedge is built up, rolled and run
    down; in the others everything changes at every moment."""
    found = draw(st.lists(moments, min_size=1, max_size=8))
    kind = draw(st.sampled_from(["wild", "sound", "sound"]))
    if kind == "sound":
        first = found[0]
        steady: dict[str, Any] = {
            "mv": first.mv,
            "beta": first.beta if first.beta is not None and first.beta > 0 else 1.2,
            "notes": "fair",
            "kappa": first.kappa,
            "equity": first.equity,
            "liquid": draw(st.sampled_from(["unknown", "ample"])),
            "cash": None,
            "held": False,
            "blind": False,
            "stale": False,
            "fresh": False,
            "quotes": draw(st.sampled_from(_GOOD + _BAD)) if draw(st.booleans()) else "live",
        }
        kept = draw(st.sampled_from(["curve", "state", "both", "neither"]))
        if kept in ("state", "both"):
            steady["state"] = draw(st.sampled_from(STATES))
        sound = tuple(each for each in first.holdings if each.kind not in (*_ODD, "unknown_note"))
        curve = replace(first.curve, missing=frozenset()) if kept in ("curve", "both") else None
        found = [
            replace(
                moment,
                holdings=sound,
                curve=curve or replace(moment.curve, missing=frozenset()),
                **steady,
            )
            for moment in found
        ]
    return found


histories = _histories()
policies = st.sampled_from(["steward", "promoter"])
all_fills: st.SearchStrategy[Fills] = st.sampled_from(["reported", "assumed", "modelled"])
