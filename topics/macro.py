"""``macro.releases``: figures and texts at the moment of their publication, keyed by market."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, model_validator

from topics.message import Market, Message, Name, Price, Timestamp

_PERIOD = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?|-?Q[1-4])?", re.ASCII)


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
        if not _PERIOD.fullmatch(self.ref_period):
            raise ValueError(f"ref_period {self.ref_period!r} is none of YYYY, YYYY-MM, YYYY-MM-DD, YYYY-Qn")
        return self
