"""How far VX1 moves when the SPX does: dV / V = -kappa x r_spx.

The exposure of the hedge in beta-dollars, and so the limit on it, stands and falls with this number. A continuous
series of "VX1" jumps at every roll from one contract to another; here each return is that of a single contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple, Self

from processors.signals._reading import as_object, read, read_float, read_optional_float
from processors.signals.beta import Beta, ExcessReturns
from processors.signals.curve import VxCurve
from processors.signals.statistic import Json, positive


class CurveAndIndex(NamedTuple):
    """One session's VX settlements, and the SPX at its close (index points)."""

    curve: VxCurve
    spx: float


class KappaValue(NamedTuple):
    """Kappa at one session, a positive number while volatility rises as the market falls.

    Attributes:
        value: the estimate within its bounds: what to size by.
        estimate: the estimate as it came.
    """

    value: float
    estimate: float


class Kappa:
    """Exponentially weighted regression of VX1's simple return on that of the SPX; kappa is minus its slope.

    The return of a session is that of the contract which is VX1 *now*, between its own settlements at the two last
    sessions; before an expiry it was VX2 then. So no return spans two contracts, and none contains the jump to the
    final settlement value. A session at which that contract has no price on either day gives no return. The regression
    has an intercept, which takes up what the contract loses by rolling down the curve, whatever the market does.

    An observation of age a sessions weighs 0.5^(a / half_life). None with fewer than `minimum` returns, and where the
    market has not varied. Bounds keep a quiet market, in which a few ticks are a large ratio, from deciding how much
    hedge there may be: 1.5 to 8 leave 99 in 100 of the sessions from 2004 to 2019 as they are.

    Until 2020-10-26 VX settled 15 minutes after the SPX close; what happened in these weakens the estimate a little.
    """

    __slots__ = ("_beta", "_high", "_last", "_low")

    def __init__(self, half_life: float = 126, minimum: int = 126, low: float = 1.5, high: float = 8.0) -> None:
        self._low, self._high = positive(low, "low"), positive(high, "high")
        if not self._low <= self._high:
            raise ValueError(f"low must be at most high, got {low!r} and {high!r}")
        # The window of least squares is not read: the least one is kept.
        self._beta = Beta(half_life, minimum, 2)
        self._last: CurveAndIndex | None = None

    def _returns(self, x: CurveAndIndex) -> ExcessReturns | None:
        positive(x.spx, "spx")
        last = self._last
        if last is None:
            return None
        if x.curve.session_date <= last.curve.session_date:
            raise ValueError(f"a curve of {x.curve.session_date} cannot follow the one of {last.curve.session_date}")
        now = x.curve.vx(1)
        then = last.curve.settle_of(x.curve.expiries[0]) if now is not None else None
        if now is None or then is None:
            return None
        return ExcessReturns(now / then - 1.0, x.spx / last.spx - 1.0)

    def _bounded(self, slope: float) -> KappaValue:
        return KappaValue(min(max(-slope, self._low), self._high), -slope)

    def update(self, x: CurveAndIndex, /) -> None:
        """Commit one session. ValueError unless it comes after the last."""
        returns = self._returns(x)
        if returns is not None:
            self._beta.update(returns)
        self._last = CurveAndIndex(x.curve, float(x.spx))

    def peek(self, x: CurveAndIndex, /) -> KappaValue | None:
        """Kappa if `x` were the next session."""
        returns = self._returns(x)
        if returns is None:
            return self.value
        beta = self._beta.peek(returns)
        return None if beta is None else self._bounded(beta.ew)

    @property
    def value(self) -> KappaValue | None:
        """Kappa as of the last session."""
        beta = self._beta.value
        return None if beta is None else self._bounded(beta.ew)

    @property
    def last_session(self) -> date | None:
        """The last session committed; None before the first."""
        return None if self._last is None else self._last.curve.session_date

    @property
    def ready(self) -> bool:
        """Whether there are enough returns and the market has varied."""
        return self._beta.ready

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        last = self._last
        return {
            "low": self._low,
            "high": self._high,
            "curve": None if last is None else last.curve.snapshot(),
            "spx": None if last is None else last.spx,
            "beta": self._beta.snapshot(),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        kappa = cls(low=read_float(snapshot, "low"), high=read_float(snapshot, "high"))
        kappa._beta = Beta.restore(as_object(read(snapshot, "beta"), "beta"))
        spx, curve = read_optional_float(snapshot, "spx"), read(snapshot, "curve")
        if (spx is None) != (curve is None):
            raise ValueError("snapshot keys 'curve' and 'spx' must both be there or both be null")
        if spx is not None:
            last = VxCurve.restore(as_object(curve, "curve"))
            kappa._last = CurveAndIndex(last, positive(spx, "snapshot key 'spx'"))
        return kappa
