"""Does a series grow? Slopes with their intervals, and quantiles of a histogram between two moments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import statsmodels.api as sm
from scipy import stats


@dataclass(frozen=True, slots=True)
class Slope:
    """A slope, and the interval in which it lies with 95 % confidence."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Slope:
        """The same per another unit."""
        return Slope(self.value * factor, self.low * factor, self.high * factor)


def line(x: Sequence[float], y: Sequence[float]) -> Slope:
    """The least-squares slope of ``y`` over ``x``.

    Neighbouring samples of memory are alike, so the interval allows for autocorrelation (Newey and West), over a tenth
    of the series.
    """
    fit = sm.OLS(np.asarray(y, dtype=float), sm.add_constant(np.asarray(x, dtype=float))).fit(
        cov_type="HAC", cov_kwds={"maxlags": max(1, len(x) // 10), "use_correction": True}, use_t=True
    )
    low, high = fit.conf_int()[1]
    return Slope(float(fit.params[1]), float(low), float(high))


def robust_line(x: Sequence[float], y: Sequence[float]) -> Slope:
    """The median of the slopes of all pairs (Theil and Sen): single outliers do not move it."""
    fit = stats.theilslopes(y, x, alpha=0.95)
    return Slope(float(fit.slope), float(fit.low_slope), float(fit.high_slope))


def rising(y: Sequence[float]) -> float:
    """Mann and Kendall's test: how probable a trend as clear as this one would be if there were none."""
    return float(stats.kendalltau(range(len(y)), y).pvalue)


def quantile(before: Mapping[float, float], after: Mapping[float, float], share: float) -> float:
    """The quantile of what a histogram counted between two moments, linear within a bucket; NaN for nothing.

    Both are cumulative counts by upper bound. What lies above the last finite bound is said to lie there.
    """
    counted = [(bound, count - before.get(bound, 0.0)) for bound, count in sorted(after.items())]
    if not counted or counted[-1][1] <= 0:
        return math.nan
    wanted = share * counted[-1][1]
    low_bound, low_count = 0.0, 0.0
    for bound, count in counted:
        if count >= wanted:
            if math.isinf(bound):
                return low_bound
            return low_bound + (bound - low_bound) * (wanted - low_count) / max(count - low_count, 1e-12)
        low_bound, low_count = bound, count
    return low_bound
