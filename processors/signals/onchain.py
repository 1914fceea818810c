"""Signals of blockchains and offerings: pool depth, locked value, pegs, implied volatility, governance, IPO and IDO."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, Self

from processors.signals._reading import read_float, read_int, read_object, read_pairs, read_strings
from processors.signals.acting import Acting
from processors.signals.amm import BlockMedian, one_percent_depth
from processors.signals.chain import Correlation, DayChange, peg_deviation_bps
from processors.signals.features import put
from processors.signals.offerings import OfferingCount
from processors.signals.statistic import Json
from processors.signals.zscore import TrailingZ
from topics.calibration import ModifierPartName, SignalRules
from topics.chain import ChainFigure, Pool
from topics.message import Feature, tidy
from topics.offering import Offering
from topics.times import DAY

#: Chains never close; a figure older than this is missing at a decision.
_MAX_AGE: Final = DAY
#: A pool, chain or coin that shows nothing for so long is forgotten.
_FORGOTTEN: Final = 30 * DAY
#: Sessions of the trailing windows: 90 days of implied volatility, 30 of depth.
_SPREAD_DAYS, _DEPTH_DAYS = 90, 30
#: An IDO is counted over 30 days, about 21 sessions, against a year.
_IDO_SESSIONS, _IDO_WINDOW = 21, 252
#: Offerings whose ids are remembered, so that one sent twice counts once.
_IDS: Final = 512

Outcome = Literal["used", "unfinalized", "superseded"]


class OnchainSignals:
    """The state of chains as of the stream's time, and what a session's close samples of it.

    Only finalised blocks count, and of each pool, chain and coin only newer blocks than the last. A pool's depth is the
    median of its last five blocks, so that a loan within one block shows nothing.
    """

    def __init__(self, rules: SignalRules) -> None:
        self._rules = rules
        self._blocks: dict[str, tuple[int, int]] = {}  # height and time, ns, of the newest figure, by what it is of
        self._depths: dict[str, BlockMedian] = {}
        self._tvl: dict[str, DayChange] = {}
        self._pegs: dict[str, float] = {}
        self._levels: dict[str, float] = {}  # 24-hour volume and funding, by chain
        self._depth_z = TrailingZ(_DEPTH_DAYS, _DEPTH_DAYS)
        self._spread_z = TrailingZ(_SPREAD_DAYS, _SPREAD_DAYS)
        self._flow_depth = Correlation()
        self._ipo, self._ido = OfferingCount(), OfferingCount(_IDO_SESSIONS, _IDO_WINDOW)
        self._counts: dict[str, int] = {}  # offerings of the running session; a kind is in it once one was ever seen
        self._ids: list[str] = []
        self._governance: list[str] = []  # executed decisions of the running session that stress a treasury

    def figure(self, figure: ChainFigure) -> Outcome:
        """Take up what a block shows."""
        if not figure.finalized:
            return "unfinalized"
        used = False
        if figure.pool is not None and self._newer(figure, f"pool {figure.chain} {figure.pool.pool}"):
            self._pool(figure.chain, figure.pool)
            used = True
        # Locked value falls with the price of the coin; counted in the coin it does not.
        tvl = figure.tvl_native if figure.tvl_native is not None else figure.tvl_usd
        unit = "native" if figure.tvl_native is not None else "usd"
        if tvl is not None and self._newer(figure, f"tvl {figure.chain} {unit}"):
            self._tvl.setdefault(f"tvl {figure.chain} {unit}", DayChange()).update((figure.block_ts, tvl))
            used = True
        coin = figure.stablecoin
        if coin is not None and self._newer(figure, f"peg {coin.symbol}"):
            self._pegs[f"peg {coin.symbol}"] = peg_deviation_bps(coin.usd)
            used = True
        for name, level in (("dex_volume_usd", figure.dex_volume_usd), ("funding_rate", figure.funding_rate)):
            if level is not None and self._newer(figure, f"{name} {figure.chain}"):
                self._levels[f"{name} {figure.chain}"] = level
                used = True
        if figure.proposal is not None and self._once(f"proposal {figure.chain} {figure.proposal.proposal_id}"):
            if figure.proposal.kind != "other":
                self._governance.append(figure.proposal.proposal_id)
            used = True
        return "used" if used else "superseded"

    def offering(self, offering: Offering) -> Outcome:
        """Count an offering in the running session; a blank-cheque company is none."""
        if offering.spac or not self._once(f"{offering.kind} {offering.offering_id}"):
            return "superseded"
        self._counts[offering.kind] = self._counts.get(offering.kind, 0) + 1
        return "used"

    def commit(self, ts: int, dex_iv: float | None, vix: float | None, ofi: float | None) -> None:
        """Commit the session at ``ts``, ns: sample what the chains show. Volatilities in vol points."""
        self._forget(ts - _FORGOTTEN)
        depth = self._depth(ts)
        if depth is not None:
            self._depth_z.update(depth)
        if dex_iv is not None and vix is not None:
            self._spread_z.update(dex_iv - vix)
        if ofi is not None and depth is not None:
            self._flow_depth.update((ofi, depth))
        if "ipo" in self._counts:
            self._ipo.update(self._counts["ipo"])
        if "ido" in self._counts:
            self._ido.update(self._counts["ido"])

    def next_session(self) -> None:
        """The committed session has been decided on: counts start anew."""
        self._counts = dict.fromkeys(self._counts, 0)
        self._governance = []

    def features(self, ts: int, dex_iv: float | None, vix: float | None, closing: bool) -> dict[str, Feature]:
        """Every value that there is at ``ts``, ns, by name. ``closing``: right after :meth:`commit` at that moment."""
        found: dict[str, Feature] = {}
        depth = self._depth(ts)
        if depth is not None:
            found["amm_depth_usd"] = depth
            put(found, "amm_depth_z", self._depth_z.value if closing else self._depth_z.peek(depth))
        put(found, "tvl_change_1d", self._worst_tvl(ts))
        put(found, "peg_bps", self._worst_peg(ts))
        for name in ("dex_volume_usd", "funding_rate"):
            levels = [v for key, v in self._levels.items() if key.startswith(name) and self._fresh(key, ts)]
            if levels:
                # By value alone: after a restart the chains stand in another order.
                by_size = max(levels, key=lambda level: (abs(level), level))
                found[name] = math.fsum(levels) if name == "dex_volume_usd" else by_size
        if self._governance:
            found["governance_stress"] = len(self._governance)
        if dex_iv is not None and vix is not None:
            found["dex_iv_spread"] = dex_iv - vix
            spread_z = self._spread_z.value if closing else self._spread_z.peek(dex_iv - vix)
            put(found, "dex_iv_spread_z", spread_z)
        put(found, "ofi_depth_correlation", self._flow_depth.value)
        for name, statistic in (("ipo", self._ipo), ("ido", self._ido)):
            value = statistic.value
            if value is not None and value.trailing > 0:  # none at all in so long a time is a feed that has ended
                found[f"{name}_trailing"] = value.trailing
                put(found, f"{name}_z", value.z)
        return found

    def acting(self, features: Mapping[str, Feature]) -> Iterator[Acting]:
        """The standardised signals among ``features`` that act."""
        for name, feature in _Z.items():
            z = features.get(feature)
            if isinstance(z, float):
                yield Acting(name, z)
        tvl, peg = features.get("tvl_change_1d"), features.get("peg_bps")
        # At the digits that are published: what is shown as the threshold is not beyond it.
        if isinstance(tvl, float) and tidy(tvl) < -self._rules.tvl_fall:
            yield Acting("tvl", 1.0)
        if isinstance(peg, float) and tidy(peg) > self._rules.peg_bps:
            yield Acting("peg", 1.0)

    def _forget(self, before: int) -> None:
        """Drop what no block has shown since ``before``, ns: pools and coins come and go."""
        gone = {of for of, (_, ts) in self._blocks.items() if ts < before}
        kept: tuple[dict[str, Any], ...] = (self._blocks, self._depths, self._tvl, self._pegs, self._levels)
        for of in gone:
            for each in kept:
                each.pop(of, None)

    def _newer(self, figure: ChainFigure, of: str) -> bool:
        """Whether the block is later than the last one that showed ``of``; it is the last one from now on."""
        height, ts = self._blocks.get(of, (-1, 0))
        if figure.block_number <= height or figure.block_ts < ts:
            return False
        self._blocks[of] = (figure.block_number, figure.block_ts)
        return True

    def _once(self, name: str) -> bool:
        if name in self._ids:
            return False
        self._ids = [*self._ids[-_IDS + 1 :], name]
        return True

    def _fresh(self, of: str, ts: int) -> bool:
        return ts - self._blocks[of][1] <= _MAX_AGE

    def _pool(self, chain: str, pool: Pool) -> None:
        depth = one_percent_depth(pool.reserve_x, pool.reserve_y, pool.usd_x)
        self._depths.setdefault(f"pool {chain} {pool.pool}", BlockMedian()).update(depth)

    def _depth(self, ts: int) -> float | None:
        """Depth of all pools together, USD."""
        depths = [median.value for of, median in self._depths.items() if self._fresh(of, ts)]
        there = [depth for depth in depths if depth is not None]
        return math.fsum(there) if there else None

    def _worst_tvl(self, ts: int) -> float | None:
        """The largest fall of locked value in a day, over the chains, as a fraction."""
        changes = [change.value for of, change in self._tvl.items() if self._fresh(of, ts)]
        return min((change for change in changes if change is not None), default=None)

    def _worst_peg(self, ts: int) -> float | None:
        """The largest deviation from one dollar, over the coins, basis points."""
        return max((bps for of, bps in self._pegs.items() if self._fresh(of, ts)), default=None)

    def snapshot(self) -> dict[str, Json]:
        """The whole state as JSON-able values."""
        return {
            "blocks": {of: list(block) for of, block in self._blocks.items()},
            "depths": {of: median.snapshot() for of, median in self._depths.items()},
            "tvl": {of: change.snapshot() for of, change in self._tvl.items()},
            "pegs": dict(self._pegs),
            "levels": dict(self._levels),
            "depth_z": self._depth_z.snapshot(),
            "spread_z": self._spread_z.snapshot(),
            "flow_depth": self._flow_depth.snapshot(),
            "ipo": self._ipo.snapshot(),
            "ido": self._ido.snapshot(),
            "counts": dict(self._counts),
            "ids": list(self._ids),
            "governance": list(self._governance),
        }

    @classmethod
    def restore(cls, rules: SignalRules, snapshot: Mapping[str, Json]) -> Self:
        """Continue from a snapshot; ValueError when it is malformed."""
        signals = cls(rules)
        signals._blocks = read_pairs(snapshot, "blocks", int, int)
        depths, tvl = read_object(snapshot, "depths"), read_object(snapshot, "tvl")
        signals._depths = {of: BlockMedian.restore(read_object(depths, of)) for of in depths}
        signals._tvl = {of: DayChange.restore(read_object(tvl, of)) for of in tvl}
        for name, levels in (("pegs", signals._pegs), ("levels", signals._levels)):
            saved = read_object(snapshot, name)
            levels.update({of: read_float(saved, of) for of in saved})
        signals._depth_z = TrailingZ.restore(read_object(snapshot, "depth_z"))
        signals._spread_z = TrailingZ.restore(read_object(snapshot, "spread_z"))
        signals._flow_depth = Correlation.restore(read_object(snapshot, "flow_depth"))
        signals._ipo = OfferingCount.restore(read_object(snapshot, "ipo"))
        signals._ido = OfferingCount.restore(read_object(snapshot, "ido"))
        counts = read_object(snapshot, "counts")
        signals._counts = {kind: read_int(counts, kind) for kind in counts}
        signals._ids = read_strings(snapshot, "ids")
        signals._governance = read_strings(snapshot, "governance")
        return signals


#: Features that act as they are, by the modifier's part.
_Z: Final[Mapping[ModifierPartName, str]] = {
    "dex_iv_spread": "dex_iv_spread_z",
    "amm_depth": "amm_depth_z",
    "ipo": "ipo_z",
    "ido": "ido_z",
}
