"""Constant-product pools: what a swap gives, what it costs, and how deep the pool is.

A pool of reserves x and y (whole tokens) keeps `x y = k` through every swap, but for the fee, which stays inside. This
is the pool of Uniswap v2. Reserves of concentrated liquidity (v3) are *not* these x and y.
"""

import math
from collections.abc import Mapping
from statistics import median
from typing import Final, Self

from processors.signals._reading import read_floats, read_int
from processors.signals.statistic import Json, at_least, finite, positive

#: Shares of the reserve that buying takes out to raise the price by 1%, and that selling puts in to lower it by 1%.
_BUY_SHARE: Final = 1.0 - 1.0 / math.sqrt(1.01)
_SELL_SHARE: Final = 1.0 / math.sqrt(0.99) - 1.0


def amount_out(x: float, y: float, dx: float, fee: float) -> float:
    """Tokens y that `dx` tokens x buy: `y dx (1 - fee) / (x + dx (1 - fee))`.

    Args:
        x: reserve of the token put in, above 0.
        y: reserve of the token taken out, above 0.
        dx: tokens put in, at least 0.
        fee: swap fee as a fraction of `dx`, at least 0 and below 1 (0.003 in Uniswap v2).

    Raises:
        ValueError: a figure out of range, NaN or infinite.
    """
    x, y, paid = positive(x, "x"), positive(y, "y"), _amount(dx) * (1.0 - _fee(fee))
    return y * paid / (x + paid)


def spot_price(x: float, y: float) -> float:
    """Price of one token x in tokens y before any swap: `y / x`. Both reserves above 0 (ValueError)."""
    return positive(y, "y") / positive(x, "x")


def slippage(x: float, y: float, dx: float, fee: float) -> float:
    """Average price of swapping `dx` tokens x, against the spot price: `(amount_out / dx) / (y / x) - 1`.

    Seen by whoever sells x: never above 0, -0.01 is one percent worse than spot. The fee is inside; without a fee it is
    `-dx / (x + dx)`, and for a swap towards 0 it is `-fee`. Arguments and errors as in `amount_out`.
    """
    x, fee = positive(x, "x"), _fee(fee)
    positive(y, "y")
    paid = _amount(dx) * (1.0 - fee)
    # The definition with the 1 taken off beforehand: a small swap would otherwise cancel almost every digit.
    return -(fee * x + paid) / (x + paid)


def one_percent_depth(x: float, y: float, usd_x: float) -> float:
    """USD of token x that move the price of a pool by one percent, on the thinner side, fee excluded.

    Buying `x (1 - 1/sqrt(1.01))` raises the price y / x by 1%, selling `x (1/sqrt(0.99) - 1)` lowers it by 1%; the
    smaller of both (always the first) times the price of token x.

    Args:
        x: reserve of token x, above 0.
        y: reserve of token y, above 0; its value equals that of x at the pool's price, so it adds no depth.
        usd_x: USD of one token x, above 0.

    Raises:
        ValueError: a figure that is not a finite number above 0.
    """
    positive(y, "y")
    return positive(x, "x") * min(_BUY_SHARE, _SELL_SHARE) * positive(usd_x, "usd_x")


def _amount(dx: float) -> float:
    dx = finite(dx, "dx")
    if dx < 0:
        raise ValueError(f"dx must be at least 0, got {dx!r}")
    return dx


def _fee(fee: float) -> float:
    if not 0 <= fee < 1:
        raise ValueError(f"fee must be a fraction of at least 0 and below 1, got {fee!r}")
    return fee


class BlockMedian:
    """Median over the last `blocks` blocks of one pool.

    What a flash loan does to a pool is undone within its block, and a figure read in the midst of it is wrong by any
    factor. The other blocks outvote it: of 5, up to two manipulated ones do not show. Fed one figure for each block, in
    the order of the chain. First value at block `blocks`; with an even number the mean of the middle two.
    """

    __slots__ = ("_blocks", "_ring")

    def __init__(self, blocks: int = 5) -> None:
        self._blocks = at_least(blocks, 1, "blocks")
        self._ring: tuple[float, ...] = ()

    def _step(self, x: float) -> tuple[float, ...]:
        return (*self._ring, finite(x, "observation"))[-self._blocks :]

    def _read(self, ring: tuple[float, ...]) -> float | None:
        return median(ring) if len(ring) == self._blocks else None

    def update(self, x: float, /) -> None:
        """Commit one block's figure."""
        self._ring = self._step(x)

    def peek(self, x: float, /) -> float | None:
        """The median if `x` were the next block's figure."""
        return self._read(self._step(x))

    @property
    def value(self) -> float | None:
        """The median at the last block, None before block `blocks`."""
        return self._read(self._ring)

    @property
    def ready(self) -> bool:
        """Whether `blocks` blocks have been seen."""
        return len(self._ring) == self._blocks

    def snapshot(self) -> dict[str, Json]:
        """Parameters and state."""
        return {"blocks": self._blocks, "ring": list(self._ring)}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        blocks = cls(read_int(snapshot, "blocks"))
        ring = tuple(read_floats(snapshot, "ring"))
        if len(ring) > blocks._blocks:
            raise ValueError(f"a median over {blocks._blocks} blocks cannot hold {len(ring)} of them")
        blocks._ring = ring
        return blocks
