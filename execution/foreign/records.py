"""What every reader of foreign files delivers: rows that say something about an order, and maybe a fill of it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from core.contracts import Liquidity, Side
from core.errors import DataError

Ending = Literal["running", "completed", "cancelled", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One fill. `qty` and `price` are above 0. NaN or None: the file does not say."""

    fill_id: str | None
    qty: float
    price: float
    ts_ns: int
    fee: float = math.nan
    fee_currency: str | None = None
    liquidity: Liquidity | None = None
    venue: str | None = None
    half_spread: float = math.nan
    impact: float = math.nan
    mid: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one row, or one message, says of the order it belongs to; `where` names it to people: file and row.

    `status`, `reason`, `end_ns`, `filled_qty` and `avg_price` are as of `ts_ns`, and the latest row knows best; all
    other facts may not change from row to row. `rank` puts rows of one time in order.
    """

    where: str
    ts_ns: int | None
    order_id: str | None
    rank: float = 0.0
    symbol: str | None = None
    side: Side | None = None
    parent_id: str | None = None
    order_qty: float = math.nan
    parent_qty: float = math.nan
    order_ns: int | None = None
    decision_ns: int | None = None
    end_ns: int | None = None
    status: Ending | None = None
    reason: str | None = None
    filled_qty: float = math.nan
    avg_price: float = math.nan
    limit_price: float = math.nan
    algorithm: str | None = None
    strategy: str | None = None
    venue: str | None = None
    currency: str | None = None
    decision_price: float = math.nan
    arrival_price: float = math.nan
    end_price: float = math.nan
    vwap: float = math.nan
    vwap_own: float = math.nan
    twap: float = math.nan
    spread_bps: float = math.nan
    market_volume: float = math.nan
    fill: Fill | None = None


class Refused(Exception):  # noqa: N818 - not an error: the row is left out, which has been counted
    """This row is left out."""


@dataclass(slots=True)
class Refusals:
    """What to do with rows that cannot be used: fail at the first, or leave them out and count them by reason."""

    skip: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    def refuse(self, where: str, problem: str, remedy: str, *, reason: str) -> Refused:
        """The exception to raise for a row. Raises DataError itself unless rows are to be skipped.

        `problem` names field and value, `reason` is what equal problems are counted under.
        """
        if not self.skip:
            raise DataError(f"{where}: {problem}: {remedy}; or leave such rows out with --on-bad skip")
        self.counts[reason] += 1
        return Refused()


@dataclass(slots=True)
class Source:
    """One file that was read, for the statement of what was understood."""

    name: str
    form: str
    rows: int
    role: str = "fills"
    columns: dict[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    said: list[str] = field(default_factory=list)


def say(notes: list[str], note: str) -> None:
    """Says something once."""
    if note not in notes:
        notes.append(note)
