"""What a panel is told of one session."""

from dataclasses import dataclass
from datetime import date

from processors.signals.curve import VxCurve
from processors.signals.statistic import positive


@dataclass(frozen=True, slots=True)
class SessionInputs:
    """The prices of one session: official at its close, or provisional marks before it.

    Indices in points, None when missing. ValueError when a price is not a finite number above 0 (0 is how missing data
    look at many sources, never a price), or when the curve is of another session.
    """

    session_date: date
    vix: float | None = None
    vix3m: float | None = None
    vvix: float | None = None
    spx: float | None = None
    curve: VxCurve | None = None

    def __post_init__(self) -> None:
        for name in ("vix", "vix3m", "vvix", "spx"):
            price = getattr(self, name)
            if price is not None:
                positive(price, name)
        if self.curve is not None and self.curve.session_date != self.session_date:
            raise ValueError(f"the inputs of {self.session_date} hold the curve of {self.curve.session_date}")
