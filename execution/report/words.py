"""Words, times and money as the pages write them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from execution.costs.statistics import FEW_CLUSTERS
from execution.report.page import Html, facts, tag

if TYPE_CHECKING:
    from execution.report.run import Run

WORDS: Final = {
    "parent order": "What the strategy wanted. It is worked as many small child orders: that is an execution.",
    "bps": "Basis points, hundredths of a per cent.",
    "paper notional": "The ordered quantity at the decision price: what the trade would have been on paper.",
    "implementation shortfall": "What the executions did worse than the paper trade, fees and what was not filled "
    "included. Positive is worse, for buys and for sells.",
    "delay": "Ordered quantity times the move from the decision price to the arrival price.",
    "spread": "Half spreads that the fills paid; fills that waited in the book paid none.",
    "impact": "What our own orders moved the price by, as the impact model says.",
    "timing": "The rest of the fills' slippage against arrival: what the market did meanwhile.",
    "opportunity": "What the market did, from arrival to end, to the quantity that was not filled.",
    "arrival": "The mid when the execution began.",
    "VWAP, TWAP": "The market's volume- and time-weighted average price while the execution ran.",
    "maker, taker": "A maker's order waited in the book, a taker's order met one that waited.",
    "95 % interval": "Over symbol-days, because orders of one day share its market: a BCa bootstrap, or below "
    f"{FEW_CLUSTERS} of them Student's t. Of a hundred such intervals about five miss the long-run mean. Those "
    "of venues belong to figures that were pulled towards the mean of all venues (empirical Bayes).",
}


def glossary() -> Html:
    return facts(WORDS.items())


def moment(ts_ns: int) -> str:
    """A day and a time of it, UTC; seconds only where they are not zero."""
    at = datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}" if at.second else f"{at:%Y-%m-%d %H:%M}"


def period(run: Run) -> str:
    """The days from the first to the last execution."""
    starts = [report.start_ts_ns for report in run.reports]
    first, last = moment(min(starts))[:10], moment(max(starts))[:10]
    return f"{first} to {last}" if first != last else first


def money(value: float) -> str:
    """Money: cents up to ten thousand, a dash for unknown, a true minus."""
    if math.isnan(value):
        return "–"
    text = f"{value:,.0f}" if abs(value) >= 1e4 else f"{round(value, 2) + 0.0:,.2f}"
    return text.replace("-", "−")


def plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def with_unit(figure: str, unit: str) -> Html:
    """A figure of a tile and, smaller, its unit."""
    return tag("span", figure, tag("small", f" {unit}")) if unit else tag("span", figure)
