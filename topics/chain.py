"""On-chain figures on ``market.flows``: what a blockchain shows at one block, keyed by market."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from topics.message import Market, Message, Money, Name, Number, Price, Record, Timestamp


class Pool(Record):
    """Reserves of one liquidity pool of an automated market maker, in whole tokens (decimals already applied)."""

    pool: Name = Field(description="pool, by address or name")
    kind: Literal["constant_product", "concentrated"] = Field(
        default="constant_product", description="`concentrated` is refused: its reserves are not virtual reserves"
    )
    reserve_x: Price = Field(gt=0, le=1e30, description="reserve of token x, whole tokens")
    reserve_y: Price = Field(gt=0, le=1e30, description="reserve of token y, whole tokens")
    fee: Number = Field(default=0.003, ge=0, lt=1, description="swap fee, a fraction")
    usd_x: Price = Field(gt=0, le=1e12, description="value of one token x, USD, at the block's time")


class Stablecoin(Record):
    """Price of a stablecoin."""

    symbol: Name = Field(description="stablecoin: USDC, USDT, DAI")
    usd: Price = Field(gt=0, le=1e6, description="price of one coin, USD")


class Proposal(Record):
    """A governance decision that took effect. A proposal that was only created or passed is none."""

    proposal_id: Name = Field(description="id within its organisation")
    kind: Literal["withdraw", "collateral", "other"] = Field(description="treasury withdrawal, collateral rise, other")


class ChainFigure(Message):
    """Figures of one chain at one block. At least one must be there; missing is absent, never 0."""

    chain: Name = Field(description="chain: ethereum, solana, ...")
    block_number: int = Field(ge=0, description="height or slot")
    block_ts: Timestamp = Field(description="time of the block, RFC 3339 UTC; usable once the block is final")
    finalized: bool = Field(description="true when the block can no longer be reorganised; others are not used")
    market: Market = Field(default="US", description="market whose regime it touches; the topic's key")
    source: Name = Field(default="unspecified", description="node or indexer")
    pool: Pool | None = Field(default=None, description="reserves of a liquidity pool")
    tvl_usd: Money | None = Field(default=None, gt=0, le=1e15, description="value locked, USD")
    tvl_native: Price | None = Field(default=None, gt=0, le=1e18, description="the same in the chain's coin")
    stablecoin: Stablecoin | None = Field(default=None, description="price of a stablecoin")
    dex_volume_usd: Money | None = Field(default=None, ge=0, le=1e15, description="DEX volume of 24 hours, USD")
    funding_rate: Number | None = Field(default=None, ge=-1, le=1, description="funding, fraction for 8 hours")
    proposal: Proposal | None = Field(default=None, description="a governance decision executed in this block")

    @model_validator(mode="after")
    def _check(self) -> Self:
        figures = ("pool", "tvl_usd", "tvl_native", "stablecoin", "dex_volume_usd", "funding_rate", "proposal")
        if all(getattr(self, name) is None for name in figures):
            raise ValueError(f"a chain figure needs at least one of {', '.join(figures)}")
        if self.pool is not None and self.pool.kind == "concentrated":
            raise ValueError(
                f"pool {self.pool.pool} has concentrated liquidity: its reserves are not the virtual reserves that "
                "depth and slippage follow from; send constant_product pools only"
            )
        return self
