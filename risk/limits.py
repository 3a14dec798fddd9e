"""The limits of config/risk.yaml. A limit that is not set is not unlimited: its rule refuses every order."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from core import checks
from core.config import load

EVERY_SYMBOL = "*"
Policy = Literal["required", "if_known"]


def _check_positive(limits: Any) -> None:
    for each in fields(limits):
        limit = getattr(limits, each.name)
        if limit is not None:
            checks.positive(each.name, limit)


@dataclass(frozen=True, kw_only=True, slots=True)
class SymbolLimits:
    """What orders in one symbol may do."""

    max_order_qty: float | None = None  # base currency
    max_order_notional: float | None = None  # quote currency
    max_position_qty: float | None = None  # base currency, long or short
    max_open_orders: int | None = None
    price_collar_bps: float | None = None  # below the bid and above the ask
    max_reference_age_s: float | None = None

    def __post_init__(self) -> None:
        _check_positive(self)
        if self.price_collar_bps is not None and self.price_collar_bps >= 10_000:
            raise ValueError(f"price_collar_bps must be below 10000, was {self.price_collar_bps}")

    def over(self, base: SymbolLimits) -> SymbolLimits:
        """These limits where they are set, and the base's where they are not."""
        mine = {each.name: getattr(self, each.name) for each in fields(self)}
        return SymbolLimits(**{name: getattr(base, name) if limit is None else limit for name, limit in mine.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountLimits:
    """What all symbols together may do, in the quote currency, of which an account has one."""

    max_open_notional: float | None = None  # of what is open, buys and sells added
    buying_power: float | None = None  # of positions, long and short added, with open orders as if filled
    max_open_orders: int | None = None
    max_daily_loss: float | None = None  # realised and unrealised, since midnight UTC

    def __post_init__(self) -> None:
        _check_positive(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimits:
    """How many messages may go to the venue in any window of `window_s`; cancels have their own budget."""

    window_s: float | None = None
    max_orders: int | None = None
    max_cancels: int | None = None

    def __post_init__(self) -> None:
        _check_positive(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatLimits:
    """How many orders of one strategy, symbol and side may be executed in any window of `window_s`."""

    window_s: float | None = None
    max_executions: int | None = None

    def __post_init__(self) -> None:
        _check_positive(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectLimits:
    """How many of the last `last_orders` orders, those of `window_s`, the venue may reject."""

    window_s: float | None = None
    last_orders: int | None = None
    max_rejects: int | None = None

    def __post_init__(self) -> None:
        _check_positive(self)
        if self.last_orders is not None and self.max_rejects is not None and self.max_rejects >= self.last_orders:
            raise ValueError(f"max_rejects must be below last_orders {self.last_orders}, was {self.max_rejects}")


@dataclass(frozen=True, kw_only=True, slots=True)
class IntentLimits:
    """How old an intent may be, and for how long another one with the same content counts as its double."""

    max_age_s: float | None = None
    duplicate_window_s: float | None = None

    def __post_init__(self) -> None:
        _check_positive(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskLimits:
    """All limits of a gate; `for_symbol` gives those of one symbol.

    parents, venue_filters: "required" refuses children whose parent, and symbols whose instrument, nobody has told
    the gate; "if_known" lets them pass unchecked. `kill_bus`: where `fillwright kill` also publishes `ctl.kill`.
    """

    symbols: tuple[str, ...] | None = None  # the allow-list; "*" allows every symbol
    limits: SymbolLimits = field(default_factory=SymbolLimits)
    overrides: dict[str, SymbolLimits] = field(default_factory=dict)
    account: AccountLimits = field(default_factory=AccountLimits)
    rate: RateLimits = field(default_factory=RateLimits)
    repeats: RepeatLimits = field(default_factory=RepeatLimits)
    rejects: RejectLimits = field(default_factory=RejectLimits)
    intents: IntentLimits = field(default_factory=IntentLimits)
    parents: Policy | None = None
    venue_filters: Policy | None = None
    kill_switch_file: str | None = None
    kill_bus: str | None = None

    def for_symbol(self, symbol: str) -> SymbolLimits:
        return self.overrides[symbol].over(self.limits) if symbol in self.overrides else self.limits

    def allows(self, symbol: str) -> bool:
        """Whether the symbol is in the allow-list."""
        return self.symbols is not None and (symbol in self.symbols or EVERY_SYMBOL in self.symbols)


def load_limits(path: Path | str) -> RiskLimits:
    """The limits in a file. Raises ConfigError: one line."""
    return load(path, RiskLimits)
