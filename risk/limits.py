"""The limits of config/risk.yaml. A limit that is not set is not unlimited: its rule refuses every order."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

from core import checks
from core.config import load

EVERY_SYMBOL = "*"


@dataclass(frozen=True, kw_only=True, slots=True)
class SymbolLimits:
    """What orders in one symbol may do."""

    max_order_qty: float | None = None  # base currency
    max_order_notional: float | None = None  # quote currency
    max_position_qty: float | None = None  # base currency, long or short
    price_collar_bps: float | None = None  # below the bid and above the ask
    max_reference_age_s: float | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            limit = getattr(self, each.name)
            if limit is not None:
                checks.positive(each.name, limit)
        if self.price_collar_bps is not None and self.price_collar_bps >= 10_000:
            raise ValueError(f"price_collar_bps must be below 10000, was {self.price_collar_bps}")

    def over(self, base: SymbolLimits) -> SymbolLimits:
        """These limits where they are set, and the base's where they are not."""
        mine = {each.name: getattr(self, each.name) for each in fields(self)}
        return SymbolLimits(**{name: getattr(base, name) if limit is None else limit for name, limit in mine.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimits:
    """How many messages may go to the venue in any window of `window_s`; cancels have their own budget."""

    window_s: float | None = None
    max_orders: int | None = None
    max_cancels: int | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            limit = getattr(self, each.name)
            if limit is not None:
                checks.positive(each.name, limit)


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskLimits:
    """All limits of a gate; `for_symbol` gives those of one symbol."""

    symbols: tuple[str, ...] | None = None  # the allow-list; "*" allows every symbol
    limits: SymbolLimits = field(default_factory=SymbolLimits)
    overrides: dict[str, SymbolLimits] = field(default_factory=dict)
    rate: RateLimits = field(default_factory=RateLimits)
    kill_switch_file: str | None = None

    def for_symbol(self, symbol: str) -> SymbolLimits:
        return self.overrides[symbol].over(self.limits) if symbol in self.overrides else self.limits


def load_limits(path: Path | str) -> RiskLimits:
    """The limits in a file. Raises ConfigError: one line."""
    return load(path, RiskLimits)
