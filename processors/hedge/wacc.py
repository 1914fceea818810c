"""What the investor's capital costs, and how it scales the hedge: costlier capital keeps less of it idle.

The weighted average cost of capital of the textbook, E/V re + D/V rd (1 - t), at market values (Modigliani and Miller,
American Economic Review 53, 1963, for the tax shield). For a fund re is the return that the CAPM requires, and D its
margin or financing balance.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from processors.signals.statistic import finite, positive
from topics.hedge_rules import WaccRules

#: A month's cost of capital counts in that month and the next one.
_MONTHS_KEPT: Final = 1


@dataclass(frozen=True, slots=True)
class Capital:
    """What finances a portfolio, at market values and never at book values. Missing figures are None.

    Attributes:
        equity_value: market value of the equity, USD, at least 0.
        debt_value: market value of the debt, or the financing balance, USD, at least 0.
        cost_equity: required return on equity, decimal a year (see :func:`required_return`).
        cost_debt: interest on the debt, decimal a year.
        tax_rate: 0 to 1, below 1. The default of 0 says that interest saves no tax, as in a fund that pays none; None
            says that the rate is not known.

    Raises ValueError for a figure out of range, NaN or infinite.
    """

    equity_value: float | None
    debt_value: float | None
    cost_equity: float | None
    cost_debt: float | None
    tax_rate: float | None = 0.0

    def __post_init__(self) -> None:
        for name in ("equity_value", "debt_value"):
            value = getattr(self, name)
            if value is not None and finite(value, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {value!r}")
        for name in ("cost_equity", "cost_debt"):
            cost = getattr(self, name)
            if cost is not None and finite(cost, name) <= -1:
                raise ValueError(f"{name} must be above -1, got {cost!r}")
        if self.tax_rate is not None and not 0 <= finite(self.tax_rate, "tax_rate") < 1:
            raise ValueError(f"tax_rate must lie in 0 to below 1, got {self.tax_rate!r}")


def required_return(rate_free: float, beta: float, premium: float) -> float:
    """The CAPM's return on equity, `rate_free + beta x premium`, decimals a year. Sharpe (1964)."""
    return finite(rate_free, "rate_free") + finite(beta, "beta") * finite(premium, "premium")


def wacc(capital: Capital) -> float | None:
    """`E/V re + D/V rd (1 - t)`, V = E + D; decimal a year.

    None when a value is missing, when a cost is missing that has any weight, or when there is no capital at all. A cost
    without weight may be missing: a portfolio without debt needs no rate for it.
    """
    equity, debt = capital.equity_value, capital.debt_value
    if equity is None or debt is None or not equity + debt > 0:
        return None
    total, cost = equity + debt, 0.0
    if equity > 0:
        if capital.cost_equity is None:
            return None
        cost += equity / total * capital.cost_equity
    if debt > 0:
        if capital.cost_debt is None or capital.tax_rate is None:
            return None
        cost += debt / total * capital.cost_debt * (1.0 - capital.tax_rate)
    return finite(cost, "cost of capital")


def hedge_scale(rules: WaccRules, cost: float | None) -> float | None:
    """`clip(reference / cost, least, most)`: the factor of H; None, which scales nothing, when the cost is missing.

    A cost of 0 or below is cheaper than any above it and gives `most`.
    """
    if cost is None:
        return None
    if finite(cost, "cost of capital") * rules.most <= rules.reference:
        return rules.most
    return max(rules.least, rules.reference / cost)


def scaled_h0(rules: WaccRules, h0: float, cost: float | None) -> float:
    """The share of the beta-adjusted market value that is budgeted for the hedge: `h0` x scale, else `h0` itself."""
    scale = hedge_scale(rules, cost)
    return positive(h0, "h0") * (1.0 if scale is None else scale)


@dataclass(frozen=True, slots=True)
class MonthlyWacc:
    """The cost of capital as of a month, so that its daily noise moves nothing.

    Attributes:
        month: first day of the month.
        cost: decimal a year.
    """

    month: date
    cost: float


def monthly(last: MonthlyWacc | None, day: date, cost: float | None) -> MonthlyWacc | None:
    """The month's cost of capital: the first one of each month stands until the next month has one.

    One that is more than a month behind is given up: None until there is another. ValueError when `day` lies before
    the month of `last`.
    """
    month = day.replace(day=1)
    cost = None if cost is None else finite(cost, "cost of capital")
    if last is not None:
        behind = (month.year - last.month.year) * 12 + month.month - last.month.month
        if behind < 0:
            raise ValueError(f"{day} lies before the month of the last cost of capital, {last.month}")
        if behind == 0 or (cost is None and behind <= _MONTHS_KEPT):
            return last
    return None if cost is None else MonthlyWacc(month, cost)
