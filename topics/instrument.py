"""One grammar for instruments.

======================  ==============================================================
``SPX`` ``VIX`` ``VXX``  an index, a breadth series, an ETN or a share: a root alone
``VX/2026-12-16``        a future: root and expiry (final settlement date)
``VIX/2026-12-16/C/20``  an option: root, expiry, right (C or P) and strike
======================  ==============================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal

Kind = Literal["volatility_index", "index", "breadth", "etp", "share", "coin", "future", "option"]

VOLATILITY_INDICES = frozenset(
    {"VIX", "VIX1D", "VIX9D", "VIX3M", "VIX6M", "VIX1Y", "VVIX", "SKEW", "VXN", "VXD", "OVX", "GVZ", "DSPX", "MOVE"}
)
INDICES = frozenset({"SPX", "SPXTR", "NDX", "RUT", "DJI"})
BREADTH = frozenset({"ADVN", "DECN", "UNCN"})
ETPS = frozenset({"VXX", "VXZ", "UVXY", "SVXY", "UVIX", "SVIX"})
SHARES = frozenset({"SPY", "IVV", "VOO", "QQQ", "IWM", "XLRE", "GLD", "TLT"})
#: Quoted in USD. Their options are settled and quoted in the coin itself, as on Deribit.
COINS = frozenset({"BTC", "ETH"})
FUTURES = frozenset({"VX", "VXM", "ES", *COINS})
OPTION_ROOTS = frozenset({"VIX", "SPX", "SPXW", "SPY", "VXX", "ES", *COINS})

#: Plausible values of a price, by kind or by symbol: (lowest, highest). Outside of it a tick is a dead letter.
#: VIX has closed between 9.14 and 82.69 since 1990 and VVIX not under 59; recorded files hold prints like 2.58 and
#: 15.71.
PLAUSIBLE: dict[str, tuple[float, float]] = {
    "VVIX": (50.0, 400.0),
    "SKEW": (80.0, 250.0),
    "MOVE": (20.0, 500.0),
    "volatility_index": (5.0, 200.0),
    "index": (10.0, 1_000_000.0),
    "breadth": (0.0, 20_000.0),
    "etp": (0.01, 1_000_000.0),
    "coin": (0.01, 10_000_000.0),
    "share": (0.0001, 10_000_000.0),
    "VX": (5.0, 200.0),
    "VXM": (5.0, 200.0),
    "future": (0.0001, 1_000_000.0),
    "option": (0.0, 1_000_000.0),
}

_SYMBOL = re.compile(r"([A-Z][A-Z0-9.]{0,11})(?:/(\d{4}-\d\d-\d\d)(?:/([CP])/(\d{1,6}(?:\.\d{1,4})?))?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a symbol names. ``expiry`` is set for futures and options, ``right`` and ``strike`` for options only."""

    symbol: str
    root: str
    kind: Kind
    expiry: date | None = None
    right: Literal["C", "P"] | None = None
    strike: float | None = None

    @property
    def plausible(self) -> tuple[float, float]:
        """Lowest and highest plausible price."""
        if self.kind == "option":
            return PLAUSIBLE["option"]
        return PLAUSIBLE.get(self.root, PLAUSIBLE[self.kind])


@lru_cache(maxsize=65_536)
def parse_symbol(symbol: str) -> Instrument:
    """The instrument that ``symbol`` names.

    Raises ValueError, saying what is allowed, for anything else: outside the grammar, an unknown root, a date that
    does not exist, a strike of zero.
    """
    match = _SYMBOL.fullmatch(symbol)
    if match is None:
        raise ValueError(f"symbol {symbol!r} is none of ROOT, ROOT/YYYY-MM-DD, ROOT/YYYY-MM-DD/C|P/STRIKE")
    root, expiry_text, right, strike_text = match.groups()
    if expiry_text is None:
        return Instrument(symbol, root, _kind(root))
    try:
        expiry = date.fromisoformat(expiry_text)
    except ValueError as error:
        raise ValueError(f"symbol {symbol!r}: {expiry_text} is no date") from error
    if right is None:
        if root not in FUTURES:
            raise ValueError(f"symbol {symbol!r}: {root} is no known future; known are {', '.join(sorted(FUTURES))}")
        return Instrument(symbol, root, "future", expiry)
    if root not in OPTION_ROOTS:
        raise ValueError(f"symbol {symbol!r}: no options on {root}; known are {', '.join(sorted(OPTION_ROOTS))}")
    strike = float(strike_text)
    if strike <= 0:
        raise ValueError(f"symbol {symbol!r}: a strike is greater than zero")
    return Instrument(symbol, root, "option", expiry, "C" if right == "C" else "P", strike)


def _kind(root: str) -> Kind:
    if root in VOLATILITY_INDICES:
        return "volatility_index"
    if root in INDICES:
        return "index"
    if root in BREADTH:
        return "breadth"
    if root in ETPS:
        return "etp"
    if root in COINS:
        return "coin"
    if root in FUTURES:
        raise ValueError(f"symbol {root!r}: a future carries its expiry, like {root}/2026-12-16")
    if root in SHARES:
        return "share"
    raise ValueError(f"symbol {root!r} is unknown")


def future_symbol(root: str, expiry: date) -> str:
    """The symbol of a future: ``VX/2026-12-16``."""
    return f"{root}/{expiry.isoformat()}"
