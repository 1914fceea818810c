"""Sensitivity of a portfolio to its market."""

import math
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Self

from processors.signals._reading import read_float, read_floats, read_int
from processors.signals.statistic import Json, at_least, finite, positive

_RESOLUTION: Final = 1e-12  # a spread below this share of its mean is rounding, not variation


class ExcessReturns(NamedTuple):
    """Simple returns of one session less the risk-free rate, decimal: portfolio and market between the same closes."""

    portfolio: float
    market: float


class BetaValue(NamedTuple):
    """Beta at one session.

    Attributes:
        ew: exponentially weighted, over all sessions so far.
        ols: ordinary least squares over the last `ols` sessions; None while they are fewer, or the market stood still.
    """

    ew: float
    ols: float | None


class _Moments(NamedTuple):
    seen: int  # observations so far, counted up to `minimum`
    weight: float  # sum of the weights, the newest observation weighing 1
    portfolio: float  # weighted means
    market: float
    variance: float  # weighted sum of squared deviations of the market
    covariance: float  # weighted sum of products of deviations


class Beta:
    """CAPM beta: covariance of excess returns with the market's over the market's variance. Sharpe (1964).

    `ew` weighs an observation of age a sessions by 0.5^(a / half_life) and takes off the means under the same weights:
    it is the slope of weighted least squares with an intercept. The weighted moments are carried about their running
    means (Welford 1962, West 1979, with decay), never as differences of raw sums of products, and every step shrinks
    earlier rounding by the same decay: it does not build up. `ols` is computed afresh over its window when it is read.

    None with fewer than `minimum` observations, and where the market has not varied. An update costs O(1), a reading
    and the memory the window of `ols` sessions.
    """

    __slots__ = ("_decay", "_half_life", "_minimum", "_moments", "_ols", "_window")

    def __init__(self, half_life: float = 63, minimum: int = 126, ols: int = 252) -> None:
        self._half_life = positive(half_life, "half_life")
        self._minimum = at_least(minimum, 2, "minimum")
        self._decay = 0.5 ** (1.0 / self._half_life)
        self._moments = _Moments(0, 0.0, 0.0, 0.0, 0.0, 0.0)
        self._ols = at_least(ols, 2, "ols")
        self._window: deque[ExcessReturns] = deque(maxlen=ols)

    def _step(self, x: ExcessReturns) -> _Moments:
        portfolio, market = finite(x.portfolio, "portfolio return"), finite(x.market, "market return")
        before, decay = self._moments, self._decay
        weight = decay * before.weight + 1.0
        off_portfolio, off_market = portfolio - before.portfolio, market - before.market
        mean = before.market + off_market / weight
        return _Moments(
            seen=min(before.seen + 1, self._minimum),
            weight=weight,
            portfolio=before.portfolio + off_portfolio / weight,
            market=mean,
            variance=finite(decay * before.variance + off_market * (market - mean), "variance"),
            covariance=finite(decay * before.covariance + off_portfolio * (market - mean), "covariance"),
        )

    def _known(self, moments: _Moments) -> bool:
        return moments.seen == self._minimum and _varies(moments.variance / moments.weight, moments.market)

    def _read(self, moments: _Moments, window: Sequence[ExcessReturns]) -> BetaValue | None:
        if not self._known(moments):
            return None
        ols = _slope(window) if len(window) == self._ols else None
        return BetaValue(moments.covariance / moments.variance, ols)

    def update(self, x: ExcessReturns, /) -> None:
        """Commit one session's returns."""
        self._moments = self._step(x)
        self._window.append(ExcessReturns(float(x.portfolio), float(x.market)))

    def peek(self, x: ExcessReturns, /) -> BetaValue | None:
        """The value if `x` were the next session's returns."""
        return self._read(self._step(x), [*self._window, x][-self._ols :])

    @property
    def value(self) -> BetaValue | None:
        """Beta at the last session."""
        return self._read(self._moments, self._window)

    @property
    def ready(self) -> bool:
        """Whether there are enough observations and the market has varied."""
        return self._known(self._moments)

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {
            "half_life": self._half_life,
            "minimum": self._minimum,
            "ols": self._ols,
            **self._moments._asdict(),
            "portfolios": [x.portfolio for x in self._window],
            "markets": [x.market for x in self._window],
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        beta = cls(read_float(snapshot, "half_life"), read_int(snapshot, "minimum"), read_int(snapshot, "ols"))
        moments = _Moments(
            seen=read_int(snapshot, "seen"),
            weight=read_float(snapshot, "weight"),
            portfolio=read_float(snapshot, "portfolio"),
            market=read_float(snapshot, "market"),
            variance=read_float(snapshot, "variance"),
            covariance=read_float(snapshot, "covariance"),
        )
        portfolios, markets = read_floats(snapshot, "portfolios"), read_floats(snapshot, "markets")
        held, seen = len(markets), moments.seen
        if len(portfolios) != held or held > beta._ols:
            raise ValueError(
                f"snapshot keys 'portfolios' and 'markets' hold {len(portfolios)} and {held}, at most {beta._ols}"
            )
        counted = min(held, beta._minimum) <= seen <= beta._minimum and (held > 0 or seen == 0)
        if not counted or moments.variance < 0 or moments.weight < min(seen, 1):
            raise ValueError(
                f"not the state of a beta of at least {beta._minimum} sessions: seen={seen} with {held} returns, "
                f"weight={moments.weight}, variance={moments.variance}"
            )
        beta._moments = moments
        beta._window.extend(map(ExcessReturns, portfolios, markets))
        return beta


def _varies(variance: float, mean: float) -> bool:
    return variance > max(sys.float_info.min, (_RESOLUTION * mean) ** 2)


def _slope(returns: Sequence[ExcessReturns]) -> float | None:
    n = len(returns)
    portfolio = math.fsum([x.portfolio for x in returns]) / n
    market = math.fsum([x.market for x in returns]) / n
    variance = math.fsum([(x.market - market) ** 2 for x in returns])
    if not _varies(variance / n, market):
        return None
    return math.fsum([(x.market - market) * (x.portfolio - portfolio) for x in returns]) / variance
