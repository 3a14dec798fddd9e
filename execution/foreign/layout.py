"""How a table says what it says: which column is which, units, words. From YAML, from options, or ready-made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from core import checks
from core.config import load
from core.contracts import SIDES
from core.errors import ConfigError, nearest
from execution.foreign.fields import FIELDS
from execution.foreign.records import Ending
from research.columns import TimeUnit

Grouping = Literal["order", "fill", "moment"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The column map and all that goes with it. In YAML, each line may be left out:

    columns: {qty: filled_size, time: executed_at}   # our field: the file's column
    orders: {order_qty: size}                        # the same, in the file of orders, where there is one
    where: {account: main}                           # only rows with these values
    where_present: {LevelOfDetail: EXECUTION}        # the same, if there is such a column
    time_unit: ms                                    # of times in numbers: auto, s, ms, us, ns
    timezone: Europe/Berlin                          # of times that carry none
    signed_quantity: false                           # a quantity below 0 is a sell
    fees: paid                                       # a fee above 0 was paid; `earned`: below 0 was paid
    sides: {K: buy, V: sell}                         # further words
    statuses: {Erledigt: completed}                  # running, completed, cancelled, failed
    symbols: {ATOMUSDT: ATOM/USDT}                   # what to call a symbol
    group: order                                     # what is one order: see docs/foreign_fills.md
    units_in_cells: false                            # "0.5DOGE" is 0.5; of a fee, the unit is its currency
    """

    columns: dict[str, str] = field(default_factory=dict)
    orders: dict[str, str] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    where_present: dict[str, str] = field(default_factory=dict)
    time_unit: TimeUnit = "auto"
    timezone: str = "UTC"
    signed_quantity: bool = False
    fees: Literal["paid", "earned"] = "paid"
    sides: dict[str, Literal["buy", "sell"]] = field(default_factory=dict)
    statuses: dict[str, Literal["running", "completed", "cancelled", "failed"]] = field(default_factory=dict)
    symbols: dict[str, str] = field(default_factory=dict)
    group: Grouping = "order"
    units_in_cells: bool = False

    def __post_init__(self) -> None:
        for name in ("columns", "orders"):
            for ours in getattr(self, name):
                if ours not in FIELDS:
                    raise ValueError(f"{name} names the unknown field {ours!r}: {nearest(ours, FIELDS)}")
        for name, meanings in (("sides", SIDES), ("statuses", get_args(Ending))):
            for word, meaning in getattr(self, name).items():
                checks.one_of(f"{name}[{word}]", meaning, meanings)

    def given(self, **settings: Any) -> Layout:
        """With these in place of its own; mappings are added to, None changes nothing."""
        changes: dict[str, Any] = {}
        for name, value in settings.items():
            if value is None:
                continue
            mine = getattr(self, name)
            changes[name] = {**mine, **value} if isinstance(mine, Mapping) else value
        return replace(self, **changes)


PRESETS: Final[Mapping[str, Layout]] = {
    # Spot, Trade History: Date(UTC),Market,Type,Price,Amount,Total,Fee,Fee Coin until about 2021.
    "binance-trades-2018": Layout(
        columns={
            **{"time": "Date(UTC)", "symbol": "Market", "side": "Type", "price": "Price", "qty": "Amount"},
            **{"fee": "Fee", "fee_currency": "Fee Coin"},
        },
        group="moment",
    ),
    # The same since: Date(UTC),Pair,Side,Price,Executed,Amount,Fee with "500DOGE" in cells.
    "binance-trades": Layout(
        columns={
            **{"time": "Date(UTC)", "symbol": "Pair", "side": "Side", "price": "Price", "qty": "Executed"},
            "fee": "Fee",
        },
        units_in_cells=True,
        group="moment",
    ),
    # Flex query, Trades, at the level of executions; commissions are cash flows, sells have quantities below 0.
    "ibkr-flex": Layout(
        columns={
            **{"time": "DateTime", "symbol": "Symbol", "price": "TradePrice", "qty": "Quantity"},
            **{"order_id": "IBOrderID", "fill_id": "IBExecID", "currency": "CurrencyPrimary"},
            **{"fee": "IBCommission", "fee_currency": "IBCommissionCurrency"},
        },
        where_present={"LevelOfDetail": "EXECUTION"},
        signed_quantity=True,
        fees="earned",
    ),
}


def read_layout(path: Path | str) -> Layout:
    """The layout in a YAML file. Raises ConfigError with file, setting and line."""
    return load(path, Layout)


def preset(name: str) -> Layout:
    """A ready-made layout. Raises ConfigError for a name that is none."""
    if name not in PRESETS:
        raise ConfigError(f"--preset {name!r} is unknown: {nearest(name, PRESETS)}")
    return PRESETS[name]
