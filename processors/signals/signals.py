"""The signal values of one session."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from processors.signals.macd import Cross, as_cross
from processors.signals.statistic import Json, finite

Feature = float | bool | str | int


@dataclass(frozen=True, slots=True)
class Signals:
    """Every core signal of one session; None is missing.

    Vol points unless said otherwise. Field by field:

    * `vix`, `vix3m`, `vvix`, `spx`: the inputs, unchanged.
    * `vix_change`: relative change against the last committed VIX close (0.40 is +40%).
    * `ratio`: VIX / VIX3M; above 1 the term structure of implied volatility is inverted.
    * `rv21`: realised volatility of the SPX over 21 returns, percent a year. `rsi14`: Wilder RSI of the SPX, 0 to 100.
    * `macd`, `macd_signal`, `macd_hist`: MACD(12, 26, 9) of the VIX. `macd_cross`: crossover at this session;
      `macd_last_cross`, `macd_sessions_since_cross`: the latest one and its age in sessions with a VIX close (0 on its
      own session); `macd_acting`: False while the seed still shows, and whenever the MACD is missing.
    * `vx1`, `vx2`, `slope` (VX2 / VX1 - 1), `inverted` (VX1 > VX2), `roll_yield_daily` and `roll_yield_annual` (log
      return of the long holder, negative in contango), `cm30` (constant 30-day maturity), `curve_range`,
      `bear_steepening`, `compressed`: see `VxCurve`, `BearSteepening` and `Compression`.
    """

    vix: float | None = None
    vix3m: float | None = None
    vvix: float | None = None
    spx: float | None = None
    vix_change: float | None = None
    ratio: float | None = None
    rv21: float | None = None
    rsi14: float | None = None
    macd: float | None = None
    macd_signal: float | None = None
    macd_hist: float | None = None
    macd_cross: Cross | None = None
    macd_acting: bool = False
    macd_sessions_since_cross: int | None = None
    macd_last_cross: Cross | None = None
    vx1: float | None = None
    vx2: float | None = None
    slope: float | None = None
    inverted: bool | None = None
    roll_yield_daily: float | None = None
    roll_yield_annual: float | None = None
    cm30: float | None = None
    curve_range: float | None = None
    bear_steepening: bool | None = None
    compressed: bool | None = None

    def as_features(self) -> dict[str, Feature]:
        """Name to value in the order of the fields, without the missing ones."""
        features: dict[str, Feature] = {}
        for name in FIELDS:
            value = getattr(self, name)
            if value is not None:
                features[name] = value
        return features

    @classmethod
    def from_features(cls, features: Mapping[str, Json]) -> Self:
        """The signals that gave `features`; ValueError naming an unknown field or one of the wrong type."""
        if unknown := sorted(features.keys() - set(FIELDS)):
            raise ValueError(f"no signals are called {unknown}")
        for name, value in features.items():
            _check(name, value)
        return cls(**features)  # type: ignore[arg-type]  # each one checked just above


FIELDS = tuple(field.name for field in fields(Signals))

_FLAGS = frozenset({"macd_acting", "inverted", "bear_steepening", "compressed"})
_CROSSES = frozenset({"macd_cross", "macd_last_cross"})


def _check(name: str, value: Json) -> None:
    if name in _CROSSES:
        as_cross(value)
    elif name in _FLAGS:
        if not isinstance(value, bool):
            raise ValueError(f"signal {name!r} must be true or false, got {value!r}")
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"signal {name!r} must be a number, got {value!r}")
    else:
        finite(value, f"signal {name!r}")
