"""`config/sweep.yaml`: what a sweep tries, and under which conditions it tries all of it.

A *setting* is what is compared: a strategy's parameters and an algorithm with its own. A *condition* is what every
setting must go through: a symbol, a period, a seed. A task is one setting under one condition, so that whatever is
compared has seen the same market, and in a study of parents has worked the same orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core import checks
from core.config import load

MOST_PARENTS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentsStudy:
    """Orders without a strategy: each parent works alone in the market, the same ones under every setting.

    parents   how many per condition, at times drawn from the seed
    notional  their size in quote currency, drawn between these two, evenly over the logarithm
    seconds   how long one may take, drawn from these
    """

    type: Literal["parents"] = "parents"
    parents: int = 200
    notional: tuple[float, float] = (1_000.0, 50_000.0)
    seconds: tuple[int, ...] = (600, 1800, 3600)

    def __post_init__(self) -> None:
        checks.between("parents", self.parents, 1, MOST_PARENTS)
        low, high = self.notional
        checks.positive("notional", low)
        checks.positive("notional", high)
        if low > high:
            raise ValueError(f"notional must be the smaller and the larger one, was {low:g} and {high:g}")
        if not self.seconds:
            raise ValueError("seconds must name at least one duration")
        for one in self.seconds:
            checks.between("seconds", one, 1, 24 * 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestStudy:
    """Strategies over bars, as `fillwright backtest` runs them, the risk gate included.

    strategies  each with its `id` and values to try for any of its parameters; the others are those of the file
    """

    type: Literal["backtest"] = "backtest"
    strategies: tuple[dict[str, Any], ...]
    capital: float = 10_000.0
    strategies_config: str | None = None
    risk_config: str | None = None

    def __post_init__(self) -> None:
        checks.positive("capital", self.capital)
        if not self.strategies:
            raise ValueError("strategies must name at least one")


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSearch:
    """Every combination of the values."""

    type: Literal["grid"] = "grid"


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSearch:
    """So many settings drawn from the values; more of them with the same seed are these and others."""

    type: Literal["random"] = "random"
    settings: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        checks.between("settings", self.settings, 1, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """start <= time < end; a day as `end` is included; None: as far as there are data."""

    start: str | None = None
    end: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSettings:
    """study             what a task does
    search            how settings are taken from the values
    algorithms        each with its `type` and values to try; none: as the execution config has it
    execution_config  how parents are worked and the market fills, where `algorithms` say nothing; None: `config/`'s
    symbols, periods, seeds   the conditions: every setting goes through all combinations
    venue             whose data, where several venues have a symbol
    """

    study: ParentsStudy | BacktestStudy
    search: GridSearch | RandomSearch = GridSearch()
    algorithms: tuple[dict[str, Any], ...] = ()
    execution_config: str | None = None
    symbols: tuple[str, ...]
    venue: str | None = None
    periods: tuple[Period, ...] = (Period(),)
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        for name in ("symbols", "periods", "seeds"):
            values = getattr(self, name)
            if not values:
                raise ValueError(f"{name} must name at least one")
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"{name} must name each once, was {value} {values.count(value)} times")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFile:
    sweep: SweepSettings


def load_sweep(path: Path | str) -> SweepSettings:
    """Raises ConfigError: one line with file, place and remedy."""
    return load(path, SweepFile).sweep
