"""Option pricing on forwards, and what a strip of options says without a model.

Pure functions of arrays, float64: Black-76 and its greeks, implied vols, call spreads, forwards and edges from put-call
parity, model-free variance, skew. Vols and rates are decimals a year, option time is calendar days over 365 (or minutes
over 525,600), premiums are in the units of the forward. NaN and infinities are refused with a ValueError; a figure that
the market does not give now is None, masked, or an `Unavailable` with its reason.
"""

from processors.pricing.black76 import CALL, DAYS_PER_YEAR, PUT, Greeks, extrinsic, greeks, intrinsic, price
from processors.pricing.conversion import Lots, conversion_edge, reversal_edge, stale
from processors.pricing.implied import ImpliedVols, VolStatus, implied_vol
from processors.pricing.parity import ParityFit, ParityForward, coin_to_quote, forward_fit, forward_nearest
from processors.pricing.skew import delta_skew, vol_at_delta
from processors.pricing.spread import CallSpread
from processors.pricing.unavailable import Unavailable
from processors.pricing.variance import (
    MINUTES_PER_YEAR,
    THIRTY_DAYS,
    TermVariance,
    constant_maturity,
    pool_quotes,
    term_variance,
    vix_style,
)

__all__ = [
    "CALL",
    "DAYS_PER_YEAR",
    "MINUTES_PER_YEAR",
    "PUT",
    "THIRTY_DAYS",
    "CallSpread",
    "Greeks",
    "ImpliedVols",
    "Lots",
    "ParityFit",
    "ParityForward",
    "TermVariance",
    "Unavailable",
    "VolStatus",
    "coin_to_quote",
    "constant_maturity",
    "conversion_edge",
    "delta_skew",
    "extrinsic",
    "forward_fit",
    "forward_nearest",
    "greeks",
    "implied_vol",
    "intrinsic",
    "pool_quotes",
    "price",
    "reversal_edge",
    "stale",
    "term_variance",
    "vix_style",
    "vol_at_delta",
]
