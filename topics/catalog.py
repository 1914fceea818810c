"""Every topic once: its key, message, cleanup policy and retention.

All topics of a deployment have the same number of partitions, so that what is read together (ticks with releases,
portfolios with regimes) meets in one task, and a changelog matches its input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from topics.alert import Alert
from topics.approval import Approval
from topics.calibration import Calibration
from topics.chain import ChainFigure
from topics.constituents import CrossSection
from topics.dead_letter import DeadLetter
from topics.execution import Intent, Report
from topics.flows import Flow
from topics.macro import Release, Schedule
from topics.market import Tick, Watermark
from topics.message import Message
from topics.offering import Offering
from topics.option_chain import OptionChain
from topics.portfolio import Portfolio
from topics.rebalance import Rebalance
from topics.regime import Regime, Transition

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's contract.

    Attributes:
        name: its name in every log.
        key: the message field that is the record's key, or what the key is.
        messages: what it carries.
        cleanup: `delete` keeps records for ``retention_ms``; `compact` keeps the newest record of each key.
        retention_ms: milliseconds; None for compacted topics.
        about: one sentence for a reader.
        blocks: true when it carries Arrow blocks too.
        fan_out: true when each message is written once to every partition.
    """

    name: str
    key: str
    messages: tuple[type[Message], ...]
    cleanup: Literal["delete", "compact"]
    retention_ms: int | None
    about: str
    blocks: bool = False
    fan_out: bool = False


MARKET_TICKS: Final = "market.ticks"
MACRO_RELEASES: Final = "macro.releases"
MARKET_FLOWS: Final = "market.flows"
PORTFOLIO_SNAPSHOTS: Final = "portfolio.snapshots"
HEDGE_CALIBRATIONS: Final = "hedge.calibrations"
HEDGE_REGIMES: Final = "hedge.regimes"
REGIME_STATES: Final = "regime.states"
REGIME_MARKS: Final = "regime.marks"
REGIME_TRANSITIONS: Final = "regime.transitions"
HEDGE_REBALANCES: Final = "hedge.rebalances"
HEDGE_APPROVALS: Final = "hedge.approvals"
EXECUTION_INTENTS: Final = "execution.intents"
EXECUTION_REPORTS: Final = "execution.reports"
ALERTS: Final = "alerts"
DEAD_LETTERS: Final = "dead.letters"
FEED_POSITIONS: Final = "alvh.feed.positions"
REQUEUES: Final = "alvh.requeues"

_TOPICS: Final = (
    Topic(MARKET_TICKS, "market", (Tick, Watermark), "delete", 7 * DAY_MS, "Quotes, trades, closes.", blocks=True),
    Topic(MACRO_RELEASES, "market", (Release, Schedule), "delete", 3650 * DAY_MS, "Macro figures, and when due."),
    Topic(
        MARKET_FLOWS,
        "market",
        (Flow, CrossSection, Offering, ChainFigure),
        "delete",
        365 * DAY_MS,
        "Published assets and depth, cross-sections, offerings, on-chain figures.",
    ),
    Topic(PORTFOLIO_SNAPSHOTS, "portfolio_id", (Portfolio,), "delete", 365 * DAY_MS, "What is hedged and held."),
    Topic(HEDGE_CALIBRATIONS, "name", (Calibration,), "compact", None, "Every table and threshold of the strategy."),
    Topic(
        HEDGE_REGIMES,
        "market",
        (Regime, OptionChain),
        "delete",
        30 * DAY_MS,
        "Regime updates and option chains for the hedge.",
        fan_out=True,
    ),
    Topic(REGIME_STATES, "market", (Regime,), "compact", None, "The regime at each committed session."),
    Topic(REGIME_MARKS, "market", (Regime,), "delete", 7 * DAY_MS, "The provisional regime between closes."),
    Topic(REGIME_TRANSITIONS, "market", (Transition,), "delete", 3650 * DAY_MS, "Changes of state."),
    Topic(HEDGE_REBALANCES, "portfolio_id", (Rebalance,), "delete", 3650 * DAY_MS, "Layer rebalances, advisory."),
    Topic(HEDGE_APPROVALS, "portfolio_id", (Approval,), "delete", 3650 * DAY_MS, "Signatures over rebalances."),
    Topic(EXECUTION_INTENTS, "portfolio_id", (Intent,), "delete", 3650 * DAY_MS, "Approved legs."),
    Topic(EXECUTION_REPORTS, "portfolio_id", (Report,), "delete", 3650 * DAY_MS, "What became of intents."),
    Topic(ALERTS, "dedupe_key", (Alert,), "delete", 90 * DAY_MS, "What a person should look at."),
    Topic(DEAD_LETTERS, "topic", (DeadLetter,), "delete", 90 * DAY_MS, "Inputs that could not be used, whole."),
)

CATALOG: Final[Mapping[str, Topic]] = {topic.name: topic for topic in _TOPICS}

#: What a feed brings into the log.
FED: Final = (MARKET_TICKS, MACRO_RELEASES, MARKET_FLOWS, PORTFOLIO_SNAPSHOTS)
#: The processors that keep state; each has a changelog.
PROCESSORS: Final = ("market", "hedge", "alerts")


def changelog(processor: str) -> str:
    """Name of the compacted topic that holds a processor's state."""
    return f"alvh.{processor}.changelog"


CHANGELOGS: Final[Mapping[str, Topic]] = {
    changelog(name): Topic(
        changelog(name), "state key", (), "compact", None, f"State of the {name} processor, by key, versioned."
    )
    for name in PROCESSORS
}

_POSITIONS: Final = Topic(
    FEED_POSITIONS, "digest of the recording", (), "compact", None, "How far each recording has been fed."
)

_REQUEUES: Final = Topic(REQUEUES, "id of the letter", (), "compact", None, "Which dead letters have been put back.")

ALL_TOPICS: Final[Mapping[str, Topic]] = {
    **CATALOG,
    **CHANGELOGS,
    FEED_POSITIONS: _POSITIONS,
    REQUEUES: _REQUEUES,
}
COMPACTED: Final = frozenset(name for name, topic in ALL_TOPICS.items() if topic.cleanup == "compact")
