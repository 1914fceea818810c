"""Real effective exchange rates."""

import math
import re
from collections.abc import Mapping
from typing import Final, NamedTuple, Self

from processors.signals._reading import as_object, read, read_float, read_int, read_list, read_strings
from processors.signals.statistic import Json, at_least, positive
from processors.signals.zscore import checked_window, kept, read_past, standardise

_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


class MonthlyFigure(NamedTuple):
    """An index level of one month, as published.

    Attributes:
        period: the month it measures, YYYY-MM.
        value: index level, above 0.
        unit: unit with its base year ("index 2020=100"); None when it is not stated.
    """

    period: str
    value: float
    unit: str | None


class ReerValue(NamedTuple):
    """The change of the newest month.

    Attributes:
        change: logarithm of the level over the level `months` months before; above 0 is appreciation.
        z: standard deviations against the changes of earlier months; None while there are too few.
    """

    change: float
    z: float | None


class _State(NamedTuple):
    levels: tuple[MonthlyFigure, ...]  # the newest month and the `months` before it as far as known, oldest first
    past: tuple[float, ...]  # changes of earlier months as last known while each was the newest, at most the window


class ReerChange:
    """ln(REER_t / REER_{t - months}) with its z-score over the last `window` monthly changes.

    The real effective exchange rate is the geometric trade-weighted average of exchange rates deflated by relative
    consumer prices (BIS: broad basket of 64 economies, 2020 = 100, monthly, up = appreciation).

    A month after all others is a new observation. Any other month within reach is a revision, or a gap that is filled:
    it replaces that level, and where it touches the newest month's change, that change is judged again against the same
    past. Changes of finished months stay as they were last known while they were the newest: history is not rewritten
    with hindsight. Older months than the newest one is compared with change nothing.

    Levels of different units are never compared: a new base year makes the value None until both ends are published
    on it. So does a month that is missing at the other end; neither is counted.
    """

    __slots__ = ("_minimum", "_months", "_state", "_window")

    def __init__(self, months: int = 3, window: int = 60, minimum: int = 24) -> None:
        self._months = at_least(months, 1, "months")
        self._window, self._minimum = checked_window(window, minimum)
        self._state = _State((), ())

    def _change(self, levels: tuple[MonthlyFigure, ...]) -> float | None:
        if not levels:
            return None
        then, now = levels[0], levels[-1]
        if _month(now.period) - _month(then.period) != self._months or now.unit != then.unit:
            return None
        return math.log(now.value) - math.log(then.value)

    def _step(self, figure: MonthlyFigure) -> _State:
        month = _month(figure.period)
        figure = figure._replace(value=positive(figure.value, "level"))
        levels, past = self._state
        newest = _month(levels[-1].period) if levels else month
        if month < newest - self._months:
            return self._state
        if month > newest:
            past, newest = kept(past, self._change(levels), self._window), month
        others = (held for held in levels if held.period != figure.period)
        within = [held for held in (*others, figure) if _month(held.period) >= newest - self._months]
        return _State(tuple(sorted(within)), past)

    def _read(self, state: _State) -> ReerValue | None:
        change = self._change(state.levels)
        return None if change is None else ReerValue(change, standardise(change, state.past, self._minimum))

    def update(self, figure: MonthlyFigure, /) -> None:
        """Commit one publication. ValueError for a period that is no YYYY-MM and a level that is not above 0."""
        self._state = self._step(figure)

    def peek(self, figure: MonthlyFigure, /) -> ReerValue | None:
        """The value if `figure` were published next."""
        return self._read(self._step(figure))

    @property
    def value(self) -> ReerValue | None:
        """The change of the newest month, None where it is undefined."""
        return self._read(self._state)

    @property
    def ready(self) -> bool:
        """Whether the newest month has a change."""
        return self.value is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        levels, past = self._state
        return {
            "months": self._months,
            "window": self._window,
            "minimum": self._minimum,
            "periods": [level.period for level in levels],
            "levels": [{"value": level.value, "unit": level.unit} for level in levels],
            "past": list(past),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        reer = cls(*(read_int(snapshot, key) for key in ("months", "window", "minimum")))
        periods = read_strings(snapshot, "periods")
        levels = [as_object(level, "levels") for level in read_list(snapshot, "levels")]
        if len(periods) != len(levels) or len(levels) > reer._months + 1:
            raise ValueError(
                f"snapshot keys 'periods' and 'levels' hold {len(periods)} and {len(levels)}, "
                f"at most {reer._months + 1}"
            )
        for period, level in zip(periods, levels, strict=True):
            reer.update(MonthlyFigure(period, read_float(level, "value"), _unit(level)))
        kept_periods = [level.period for level in reer._state.levels]
        if kept_periods != periods:
            raise ValueError(f"snapshot key 'periods' must be months in order and within reach, got {periods}")
        reer._state = reer._state._replace(past=read_past(snapshot, reer._window))
        return reer


def _month(period: str) -> int:
    """Months since year 0."""
    if not _MONTH.fullmatch(period):
        raise ValueError(f"period must be a month YYYY-MM, got {period!r}")
    return int(period[:4]) * 12 + int(period[5:])


def _unit(level: Mapping[str, Json]) -> str | None:
    unit = read(level, "unit")
    if unit is not None and not isinstance(unit, str):
        raise ValueError(f"snapshot key 'unit' must be a string or null, got {unit!r}")
    return unit
