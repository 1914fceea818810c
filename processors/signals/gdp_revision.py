"""Revisions of growth figures, always between figures of the same period."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final, NamedTuple, Self

from processors.signals._reading import (
    as_object,
    read_float,
    read_int,
    read_list,
    read_optional_float,
    read_optional_int,
    read_strings,
)
from processors.signals.statistic import Json, at_least
from processors.signals.zscore import bounded, checked_window, kept, read_past, standardise

#: Growth is published to a few decimals: what a difference shows beyond this place is rounding, and no revision.
_PLACES: Final = 12
#: Periods that are nowcast side by side: the last quarter until it is published, and the next ones.
_NOWCAST_PERIODS: Final = 4
#: Periods of published figures that are remembered: an annual revision reaches back five years, some further.
_VINTAGE_PERIODS: Final = 64


class GrowthFigure(NamedTuple):
    """A nowcast as published.

    Attributes:
        period: the quarter that it is of; any text that names it.
        value: growth, percent (quarter on quarter at an annual rate, as a rule).
        session: number of the session in which it became known.
    """

    period: str
    value: float
    session: int


class Vintage(NamedTuple):
    """A figure as published: vintage 1 is the first print, 2 its first revision, and so on; growth in percent."""

    period: str
    vintage: int
    value: float


class RevisionValue(NamedTuple):
    """A revision.

    Attributes:
        revision: the figure less the earlier one of the same period, percentage points; up is positive.
        z: standard deviations against the revisions before it, of whatever period; None while there are too few.
        period: what the figure is of.
    """

    revision: float
    z: float | None
    period: str


class _Nowcasts(NamedTuple):
    held: tuple[tuple[GrowthFigure, ...], ...]  # figures by period, the period that was updated last at the end
    revision: float | None  # of the last figure
    past: tuple[float, ...]  # revisions before it, oldest first, at most the window


class NowcastRevision:
    """Change of a nowcast over `sessions` sessions within one period, z-scored over the last `window` revisions.

    The figure is compared with the one that was in force `sessions` sessions earlier *for the same period*. While the
    period is younger than that there is no revision (None) and nothing is counted: what happens when the nowcast moves
    on to the next quarter is no revision. Several periods may be nowcast side by side; the four updated last are
    remembered.

    A figure that directly follows one of the same period and session corrects it: judged against the same past and
    counted once. Sessions must not go back (ValueError). With six or seven nowcasts a month, 160 revisions are about
    eight quarters. Revisions are rounded to 12 decimals of a percentage point.

    Memory: `sessions` + 1 figures of each of four periods, and the window.
    """

    __slots__ = ("_minimum", "_sessions", "_state", "_window")

    def __init__(self, sessions: int = 20, window: int = 160, minimum: int = 24) -> None:
        self._sessions = at_least(sessions, 1, "sessions")
        self._window, self._minimum = checked_window(window, minimum)
        self._state = _Nowcasts((), None, ())

    def _step(self, figure: GrowthFigure) -> _Nowcasts:
        figure = figure._replace(value=bounded(figure.value, "growth"))
        held, revision, past = self._state
        last = held[-1][-1] if held else None
        if last is not None and figure.session < last.session:
            raise ValueError(f"a figure of session {figure.session} cannot follow one of session {last.session}")
        if last is None or (last.period, last.session) != (figure.period, figure.session):
            past = kept(past, revision, self._window)
        earlier = next((figures for figures in held if figures[0].period == figure.period), ())
        figures = (*(f for f in earlier if f.session < figure.session), figure)
        due = figure.session - self._sessions
        known = sum(f.session <= due for f in figures)  # the last of these was in force then, those before it no more
        figures = figures[max(known - 1, 0) :]
        others = tuple(other for other in held if other[0].period != figure.period)
        return _Nowcasts(
            held=(*others, figures)[-_NOWCAST_PERIODS:],
            revision=round(figure.value - figures[0].value, _PLACES) if known else None,
            past=past,
        )

    def _read(self, state: _Nowcasts) -> RevisionValue | None:
        if state.revision is None:
            return None
        z = standardise(state.revision, state.past, self._minimum)
        return RevisionValue(state.revision, z, state.held[-1][-1].period)

    def update(self, figure: GrowthFigure, /) -> None:
        """Commit one nowcast. ValueError when its session is before that of the last one."""
        self._state = self._step(figure)

    def peek(self, figure: GrowthFigure, /) -> RevisionValue | None:
        """The value if `figure` were the next nowcast."""
        return self._read(self._step(figure))

    @property
    def value(self) -> RevisionValue | None:
        """The revision at the last nowcast, None where its period is too young."""
        return self._read(self._state)

    @property
    def ready(self) -> bool:
        """Whether the last nowcast was a revision."""
        return self._state.revision is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        held, revision, past = self._state
        return {
            "sessions": self._sessions,
            "window": self._window,
            "minimum": self._minimum,
            "periods": [figure.period for figures in held for figure in figures],
            "figures": [{"value": f.value, "session": f.session} for figures in held for f in figures],
            "revision": revision,
            "past": list(past),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        nowcast = cls(*(read_int(snapshot, key) for key in ("sessions", "window", "minimum")))
        figures: dict[str, list[GrowthFigure]] = {}
        for period, figure in _by_period(snapshot, "figures"):
            named = GrowthFigure(period, read_float(figure, "value"), read_int(figure, "session"))
            figures.setdefault(period, []).append(named)
        for known in figures.values():
            if any(after.session <= before.session for before, after in pairwise(known)):
                raise ValueError(f"snapshot key 'figures' must be in the order of their sessions, got {known}")
        revision = read_optional_float(snapshot, "revision")
        if revision is not None and not figures:
            raise ValueError(f"snapshot key 'revision' is {revision} without any figure")
        held = tuple(map(tuple, figures.values()))
        nowcast._state = _Nowcasts(held, revision, read_past(snapshot, nowcast._window))
        return nowcast


class _Held(NamedTuple):
    vintage: int  # the newest vintage of its period
    value: float
    before: float | None  # the vintage that it revised


class _Vintages(NamedTuple):
    held: tuple[tuple[str, _Held], ...]  # by period, the one updated last at the end
    last: tuple[str, int] | None  # period and vintage of the last figure
    revision: float | None  # of the last figure
    past: tuple[float, ...]  # revisions before it, oldest first, at most the window


class VintageRevision:
    """Revision of a published figure by its next vintage, with its z-score over the last `window` revisions.

    revision = figure - the newest earlier vintage of the same period; a vintage that was left out is skipped over. The
    first vintage known of a period revises nothing (None). A figure that repeats the last one's period and vintage is a
    correction of it: judged against the same past and counted once. A vintage older than the one held comes too late to
    revise anything, and a repeat of one that others have followed only replaces what is held (both None, not counted).

    Revisions of all periods and ranks are judged by one scale. An annual benchmark revision gives one per period.
    Revisions are rounded to 12 decimals of a percentage point. Memory: the 64 periods updated last, and the window.
    """

    __slots__ = ("_minimum", "_state", "_window")

    def __init__(self, window: int = 16, minimum: int = 16) -> None:
        self._window, self._minimum = checked_window(window, minimum)
        self._state = _Vintages((), None, None, ())

    def _step(self, x: Vintage) -> _Vintages:
        value, vintage = bounded(x.value, "growth"), at_least(x.vintage, 1, "vintage")
        held, last, revision, past = self._state
        corrects_last = last == (x.period, vintage)
        if not corrects_last:
            past = kept(past, revision, self._window)
        known = next((entry for period, entry in held if period == x.period), None)
        match known:
            case None:
                entry, counts = _Held(vintage, value, None), False
            case _Held() if vintage > known.vintage:
                entry, counts = _Held(vintage, value, known.value), True
            case _Held() if vintage == known.vintage:
                entry, counts = known._replace(value=value), corrects_last and revision is not None
            case _Held():
                entry, counts = known, False
        others = tuple((period, other) for period, other in held if period != x.period)
        return _Vintages(
            held=(*others, (x.period, entry))[-_VINTAGE_PERIODS:],
            last=(x.period, vintage),
            revision=round(value - entry.before, _PLACES) if counts and entry.before is not None else None,
            past=past,
        )

    def _read(self, state: _Vintages) -> RevisionValue | None:
        if state.revision is None:
            return None
        return RevisionValue(state.revision, standardise(state.revision, state.past, self._minimum), state.held[-1][0])

    def update(self, x: Vintage, /) -> None:
        """Commit one figure."""
        self._state = self._step(x)

    def peek(self, x: Vintage, /) -> RevisionValue | None:
        """The value if `x` were the next figure."""
        return self._read(self._step(x))

    @property
    def value(self) -> RevisionValue | None:
        """The revision at the last figure, None where it revised nothing."""
        return self._read(self._state)

    @property
    def ready(self) -> bool:
        """Whether the last figure was a revision."""
        return self._state.revision is not None

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        held, last, revision, past = self._state
        return {
            "window": self._window,
            "minimum": self._minimum,
            "periods": [period for period, _ in held],
            "held": [entry._asdict() for _, entry in held],
            "last_vintage": None if last is None else last[1],
            "revision": revision,
            "past": list(past),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        revisions = cls(read_int(snapshot, "window"), read_int(snapshot, "minimum"))
        held = tuple(
            (
                period,
                _Held(
                    at_least(read_int(entry, "vintage"), 1, "vintage"),
                    read_float(entry, "value"),
                    read_optional_float(entry, "before"),
                ),
            )
            for period, entry in _by_period(snapshot, "held")
        )
        vintage, revision = read_optional_int(snapshot, "last_vintage"), read_optional_float(snapshot, "revision")
        if (vintage is None) != (not held) or (revision is not None and not held):
            raise ValueError(
                f"snapshot keys 'last_vintage' {vintage} and 'revision' {revision} with {len(held)} periods"
            )
        last = None if vintage is None else (held[-1][0], vintage)
        revisions._state = _Vintages(held, last, revision, read_past(snapshot, revisions._window))
        return revisions


def _by_period(snapshot: Mapping[str, Json], key: str) -> list[tuple[str, Mapping[str, Json]]]:
    """The objects of an array with the periods that stand beside it."""
    periods, found = read_strings(snapshot, "periods"), read_list(snapshot, key)
    if len(periods) != len(found):
        raise ValueError(f"snapshot keys 'periods' and {key!r} hold {len(periods)} and {len(found)}")
    return [(period, as_object(item, key)) for period, item in zip(periods, found, strict=True)]
