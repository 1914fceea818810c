"""The VX futures curve of one session."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

from processors.signals._reading import read_date, read_dates, read_floats
from processors.signals.expiry import is_monthly
from processors.signals.realised import SESSIONS_PER_YEAR
from processors.signals.statistic import Json

RANGE_CONTRACTS = 7
"""The curve range looks at VX1 to VX7."""

RANGE_MIN_CONTRACTS = 5
RANGE_MIN_DTE = 5
"""Below five days the front contract converges on its opening-auction settlement and says little of the curve."""


_RANGE_MIN_LIFE = timedelta(days=RANGE_MIN_DTE)


def spread(settles: Sequence[float]) -> float:
    """Highest less lowest, in vol points.

    Rounded to 1e-9 of a point, far under a tick, so that two curves of the same decimal range compare equal.
    """
    return round(max(settles) - min(settles), 9)


@dataclass(frozen=True, slots=True)
class VxCurve:
    """Prices of the live monthly VX contracts of one session, nearest first: `settles[n - 1]` is VXn in vol points.

    A contract is live while its expiry lies strictly after the session: on the expiry morning VX1 is already the next
    one. Rank is by expiry date. The constructor raises ValueError when expiries are not monthly, ascending and after
    the session, or a settle is not a finite number above 0; `from_settles` selects such contracts from whatever is
    quoted. A curve may be empty. What the contracts at hand do not define is None.
    """

    session_date: date
    expiries: tuple[date, ...]
    settles: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.expiries) != len(self.settles):
            raise ValueError(f"{len(self.expiries)} expiries but {len(self.settles)} settles")
        before = self.session_date
        for expiry, settle in zip(self.expiries, self.settles, strict=True):
            if expiry <= before:
                raise ValueError(f"expiries must ascend from after the session {self.session_date}, got {expiry}")
            if not is_monthly(expiry):
                raise ValueError(f"{expiry} is not the expiry of a monthly VX contract")
            if not (math.isfinite(settle) and settle > 0):
                raise ValueError(f"settle of {expiry} must be a finite number above 0, got {settle!r}")
            before = expiry

    @classmethod
    def from_settles(cls, session_date: date, settles: Mapping[date, float]) -> Self:
        """The curve among the quoted contracts, `{expiry: settle}` in any order.

        Left out: expired contracts, weeklies, and settles of 0 or less, which are how missing data look at the source.
        NaN and infinities raise ValueError.
        """
        expiries: list[date] = []
        prices: list[float] = []
        for expiry in sorted(settles):
            settle = settles[expiry]
            if not math.isfinite(settle):
                raise ValueError(f"settle of {expiry} must be a finite number, got {settle!r}")
            if settle > 0 and expiry > session_date and is_monthly(expiry):
                expiries.append(expiry)
                prices.append(float(settle))
        return cls(session_date, tuple(expiries), tuple(prices))

    def __len__(self) -> int:
        return len(self.expiries)

    def vx(self, n: int) -> float | None:
        """The price of VXn, n from 1."""
        return self.settles[n - 1] if 1 <= n <= len(self.settles) else None

    def settle_of(self, expiry: date) -> float | None:
        """The price of the contract that settles on `expiry`."""
        try:
            return self.settles[self.expiries.index(expiry)]
        except ValueError:
            return None

    def dte(self, n: int) -> int | None:
        """Calendar days from the session to the expiry of VXn."""
        return (self.expiries[n - 1] - self.session_date).days if 1 <= n <= len(self.expiries) else None

    @property
    def slope(self) -> float | None:
        """VX2 / VX1 - 1: positive in contango, negative in backwardation."""
        return self.settles[1] / self.settles[0] - 1.0 if len(self.settles) >= 2 else None

    @property
    def inverted(self) -> bool | None:
        """Whether VX1 is above VX2."""
        return self.settles[0] > self.settles[1] if len(self.settles) >= 2 else None

    @property
    def roll_yield_long(self) -> float | None:
        """ln(VX1 / VX2) / days between the two expiries: what a calendar day of VX2 rolling down to VX1 returns.

        Signed for the *long* holder, who pays in contango (negative). The days are those between the expiries, not 30.
        """
        if len(self.settles) < 2:
            return None
        return math.log(self.settles[0] / self.settles[1]) / (self.expiries[1] - self.expiries[0]).days

    @property
    def roll_yield_long_annual(self) -> float | None:
        """The daily roll yield x 252, the convention of this project for a year of roll."""
        daily = self.roll_yield_long
        return None if daily is None else daily * SESSIONS_PER_YEAR

    def constant_maturity(self, days: int = 30) -> float | None:
        """The price of a constant maturity of `days` calendar days, linear between the two contracts around it.

        None when no two contracts bracket it, which includes the few days after an expiry when even VX1 is more than
        `days` away: nothing is extrapolated. A contract exactly `days` away is the answer itself.
        """
        previous: tuple[int, float] | None = None
        for expiry, settle in zip(self.expiries, self.settles, strict=True):
            dte = (expiry - self.session_date).days
            if dte == days:
                return settle
            if dte > days:
                if previous is None:
                    return None
                near, price = previous
                return price + (settle - price) * ((days - near) / (dte - near))
            previous = dte, settle
        return None

    def settles_clear_of_expiry(self) -> tuple[float, ...] | None:
        """The prices among VX1..VX7 that are at least 5 days from expiry; None when fewer than 5 are left."""
        soon = bisect_left(self.expiries, self.session_date + _RANGE_MIN_LIFE)
        settles = self.settles[soon:RANGE_CONTRACTS]
        return settles if len(settles) >= RANGE_MIN_CONTRACTS else None

    @property
    def range(self) -> float | None:
        """The spread of VX1..VX7 in vol points; contracts under 5 days to expiry are dropped, 5 must be left."""
        settles = self.settles_clear_of_expiry()
        return None if settles is None else spread(settles)

    def snapshot(self) -> dict[str, Json]:
        """The curve as JSON-able values."""
        return {
            "session_date": self.session_date.isoformat(),
            "expiries": [expiry.isoformat() for expiry in self.expiries],
            "settles": list(self.settles),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """The curve that gave `snapshot`; ValueError when it is malformed."""
        return cls(
            read_date(snapshot, "session_date"),
            tuple(read_dates(snapshot, "expiries")),
            tuple(read_floats(snapshot, "settles")),
        )
