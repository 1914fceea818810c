"""The study of a portfolio for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from processors.study.follow import Followed
from processors.study.table import ALL, Row, rows
from processors.view import printable

#: What stands behind the numbers, in the words of the help too.
ASSUMPTIONS = (
    "Every leg is taken to be dealt at its limit, the worst price its event names. Futures are worth the settlement of "
    "their own contract. Option prices are modelled from the VX curve and VVIX where no chain was recorded, and marks "
    "of options always are: nobody quoted them. Fees are the calibration's for options and 2 USD a side for futures."
)

_COLUMNS = ("events", "rolls", "contracts", "turnover", "dealing", "carry", "", "P&L", "", "drawdown", "worst 5", "")


def tables(studies: Sequence[Followed]) -> RenderableType:
    """One table a portfolio, and what stands behind the numbers."""
    return Group(*(part for found in studies for part in (_table(found), Text())), Text(ASSUMPTIONS))


def _table(found: Followed) -> Table:
    held = f"; {found.differences:,} contracts were held that no event had dealt" if found.differences else ""
    table = Table(
        title=f"{printable(found.portfolio_id)}: {len(found.sessions):,} sessions, "
        f"rebalances published: {sum(session.events for session in found.sessions):,}{held}",
        title_justify="left",
        pad_edge=False,
        caption="USD; % of market value; worst 5: the sessions of a year in which SPX fell most, and % of the loss",
        caption_justify="left",
    )
    table.add_column("year")
    table.add_column("")
    for column in _COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for period, group in groupby(rows(found), key=lambda row: row.period):
        shown = [row for row in group if row.part == ALL or row.events or row.pnl]
        for number, row in enumerate(shown):
            table.add_row("" if number else period, row.part, *cells(row), end_section=row.part == ALL)
    return table


def cells(row: Row) -> tuple[str, ...]:
    """A row's figures as they are shown."""
    return (
        f"{row.events:,}",
        f"{row.rolls:,}",
        f"{row.contracts:,}",
        f"{row.turnover:.2f}",
        f"{row.dealing:,.0f}",
        f"{row.carry:,.0f}",
        f"{row.carry_share:.2%}",
        f"{row.pnl:,.0f}",
        f"{row.pnl_share:.2%}",
        f"{row.drawdown:,.0f}",
        f"{row.worst:,.0f}",
        "-" if row.offset is None else f"{row.offset:.1%}",
    )
