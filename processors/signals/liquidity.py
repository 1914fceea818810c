"""Whether what is liquid covers what falls due: the acid test of accounting, read for a hedge."""

from collections.abc import Mapping
from typing import NamedTuple, Self

from processors.signals._reading import read_bool, read_float
from processors.signals.statistic import Json, finite, positive


class QuickRatio(NamedTuple):
    """Liquid means over obligations."""

    value: float | None
    """The ratio; None exactly when it is unbounded."""
    unbounded: bool
    """Whether nothing falls due: any amount covers it, and no number says so."""


def quick_ratio(
    cash: float | None,
    depth_usd: float | None,
    receivable_vm: float | None,
    obligations: float | None,
    haircut: float = 0.5,
) -> QuickRatio | None:
    """`(cash + haircut x depth + receivable) / obligations`, None when any of the four is missing.

    The quick ratio of accounting, (cash + marketable securities + receivables) / current liabilities, with the hedge's
    own terms; 1 is its textbook threshold. A missing term must close whatever the ratio opens. Nothing falling due
    (obligations of 0) gives `unbounded`, whatever the rest.

    Args:
        cash: free cash, USD; negative when overdrawn.
        depth_usd: executable depth of the hedge's instruments in USD, at least 0: the top five levels on the side that
            must be hit (the bids, for leaving a long hedge), see `top_depth_usd`.
        receivable_vm: variation margin to be received, USD, at least 0.
        obligations: what falls due over the next five days, USD, at least 0: margin under stress, premium due, and the
            exit notional of an overlay.
        haircut: share of the depth that counts, 0 to 1. Half of it, because displayed depth goes when it is needed.

    Raises:
        ValueError: a term out of range, NaN or infinite.
    """
    if not 0 <= haircut <= 1:
        raise ValueError(f"haircut must lie in 0 to 1, got {haircut!r}")
    cash = None if cash is None else finite(cash, "cash")
    depth_usd = _optional_amount(depth_usd, "depth_usd")
    receivable_vm = _optional_amount(receivable_vm, "receivable_vm")
    obligations = _optional_amount(obligations, "obligations")
    if cash is None or depth_usd is None or receivable_vm is None or obligations is None:
        return None
    if obligations == 0:
        return QuickRatio(None, True)
    liquid = cash + haircut * depth_usd + receivable_vm
    return QuickRatio(finite(liquid / obligations, "quick ratio"), False)


def top_depth_usd(price: float, size: float, multiplier: float) -> float:
    """USD that can be traded at one level of a book: `price x size x multiplier`. Add up the top five levels.

    Args:
        price: of the level, at least 0.
        size: contracts or shares there, at least 0.
        multiplier: USD of one point of price for one of them, above 0 (1000 for VX futures, 100 for VIX options).

    Raises:
        ValueError: a figure out of range, NaN or infinite.
    """
    return _amount(price, "price") * _amount(size, "size") * positive(multiplier, "multiplier")


def _amount(x: float, name: str) -> float:
    x = finite(x, name)
    if x < 0:
        raise ValueError(f"{name} must be at least 0, got {x!r}")
    return x


def _optional_amount(x: float | None, name: str) -> float | None:
    return None if x is None else _amount(x, name)


class QuickRatioGate:
    """Whether liquidity allows adding exposure: slow to open, quick to close.

    Opens after two successive readings of at least `on`; closes at once on a reading below `off` or a missing one; a
    reading between the two keeps it as it is, and breaks a row of two. An unbounded ratio counts as one of at least
    `on`. Closed until proven open, so there is always a value.
    """

    __slots__ = ("_off", "_on", "_open", "_passed")

    def __init__(self, on: float = 1.2, off: float = 1.0) -> None:
        self._on = positive(on, "on")
        self._off = positive(off, "off")
        if not self._off <= self._on:
            raise ValueError(f"off must be at most on, got {off!r} and {on!r}")
        self._open = False
        self._passed = False  # whether the last reading reached `on`

    def _step(self, reading: QuickRatio | None) -> tuple[bool, bool]:
        if reading is None:
            return False, False
        if reading.unbounded:
            return self._open or self._passed, True
        if reading.value is None:
            raise ValueError("value must be a number unless the ratio is unbounded, got None")
        ratio = finite(reading.value, "value")
        passed = ratio >= self._on
        return ratio >= self._off and (self._open or (passed and self._passed)), passed

    def update(self, reading: QuickRatio | None, /) -> None:
        """Commit one reading; None is a missing one."""
        self._open, self._passed = self._step(reading)

    def peek(self, reading: QuickRatio | None, /) -> bool:
        """Whether the gate would be open after `reading`."""
        return self._step(reading)[0]

    @property
    def value(self) -> bool:
        """Whether the gate is open."""
        return self._open

    @property
    def ready(self) -> bool:
        """Always: a gate that has seen nothing is closed."""
        return True

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {"on": self._on, "off": self._off, "open": self._open, "passed": self._passed}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        gate = cls(read_float(snapshot, "on"), read_float(snapshot, "off"))
        gate._open, gate._passed = read_bool(snapshot, "open"), read_bool(snapshot, "passed")
        return gate
