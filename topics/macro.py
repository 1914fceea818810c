"""``macro.releases``: figures and texts at the moment of their publication, keyed by market."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date
from functools import lru_cache
from typing import Self

from pydantic import Field, model_validator

from topics.message import Market, Message, Name, Price, Timestamp

_MONTHS_IN_QUARTER = 3
_PERIOD = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?|-?Q[1-4])?", re.ASCII)


#: No published figure, in the units of its publisher, is larger.
_LARGEST = 1e15
_FIGURES = ("actual", "consensus", "prior_as_first", "prior_revised", "y2_pre", "y2_post")


@lru_cache(maxsize=65_536)
def period(ref_period: str) -> tuple[date, date]:
    """First and last day of a reference period. ValueError for what is none of YYYY, YYYY-MM, YYYY-MM-DD, YYYY-Qn."""
    if not _PERIOD.fullmatch(ref_period):
        raise ValueError(f"ref_period {ref_period!r} is none of YYYY, YYYY-MM, YYYY-MM-DD, YYYY-Qn")
    year = int(ref_period[:4])
    if len(ref_period) == len("2018-01-31"):
        day = date.fromisoformat(ref_period)
        return day, day
    if len(ref_period) == len("2018"):
        first, months = 1, 12
    elif "Q" in ref_period:
        first, months = _MONTHS_IN_QUARTER * int(ref_period[-1]) - 2, _MONTHS_IN_QUARTER
    else:
        first, months = int(ref_period[-2:]), 1
    last = first + months - 1
    return date(year, first, 1), date(year, last, monthrange(year, last)[1])


class Release(Message):
    """One publication of one figure. A revision is a new release with a higher ``vintage``, never an overwrite."""

    series_id: Name = Field(description="series: CPI_CORE_MOM, PPI_FD_MOM, FOMC_MINUTES, GDP, REER_US, ...")
    release_ts: Timestamp = Field(description="when it became public, RFC 3339 UTC; usable from then on, never before")
    ref_period: str = Field(description="what it measures: 2018-01, 2018-Q1, 2018 or 2018-01-31; never used as a time")
    actual: Price | None = Field(default=None, description="published value, in `unit`; absent for a pure text release")
    market: Market = Field(default="US", description="market whose regime it touches; the topic's key")
    source: Name = Field(default="unspecified", description="publisher or vendor")
    vintage: int = Field(default=1, ge=1, description="1 for the first print, 2 for its first revision, ...")
    consensus: Price | None = Field(default=None, description="median forecast before the release, in `unit`")
    consensus_n: int | None = Field(default=None, ge=1, description="number of forecasts in the consensus")
    prior_as_first: Price | None = Field(default=None, description="the previous period as first printed, in `unit`")
    prior_revised: Price | None = Field(default=None, description="the previous period as revised now, in `unit`")
    y2_pre: Price | None = Field(default=None, description="2-year yield 10 minutes before, percent (FOMC minutes)")
    y2_post: Price | None = Field(default=None, description="2-year yield 30 minutes after, percent (FOMC minutes)")
    unit: str | None = Field(default=None, max_length=32, description="percent, index, ... as the publisher states it")
    sa: bool | None = Field(default=None, description="true when seasonally adjusted")

    @model_validator(mode="after")
    def _check(self) -> Self:
        period(self.ref_period)
        for name in _FIGURES:
            figure = getattr(self, name)
            if figure is not None and abs(figure) > _LARGEST:
                raise ValueError(f"{name} {figure:g} of {self.series_id} is outside the plausible range +-{_LARGEST:g}")
        return self


class Schedule(Message):
    """That a release is expected, as its publisher's calendar says. A change is a new one for the same vintage."""

    series_id: Name = Field(description="series that will be released: CPI_CORE_MOM, FOMC_MINUTES, ...")
    ref_period: str = Field(description="what it will measure: 2018-01, 2018-Q1, 2018-01-31")
    vintage: int = Field(default=1, ge=1, description="1 for the first print, 2 for its first revision, ...")
    scheduled_ts: Timestamp = Field(description="when it is due, RFC 3339 UTC")
    event_ts: Timestamp = Field(description="when this became known, RFC 3339 UTC; acts from then on, never before")
    market: Market = Field(default="US", description="the topic's key")
    source: Name = Field(default="unspecified", description="publisher of the calendar")
    cancelled: bool = Field(default=False, description="true when the release was called off")

    @model_validator(mode="after")
    def _check(self) -> Self:
        period(self.ref_period)
        return self
