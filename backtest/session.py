"""What a backtest needs, from files and options: settings resolved, data read, venue and strategy made.

Everything that can be wrong is found here, cheapest first, before a bar is played.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from backtest.tick_session import check_hears, tick_market
from core import config
from core.bars import Bars
from core.errors import ConfigError
from core.instrument import Instrument
from execution.config import ExecutionConfig, SlippageName
from execution.config import load as load_execution
from execution.stored import StoredMarket, instrument_facts, program_version, stored_market
from execution.venue import Venue
from research.data_reader import DataReader
from research.dataset import Dataset
from risk.limits import RiskLimits, load_limits
from strategies.registry import make_any

if TYPE_CHECKING:
    from execution.ticks.stored import StoredTicks
    from execution.ticks.venue import TickVenue
    from strategies.base import AnyStrategy

FillData = Literal["bars", "trades", "quotes", "book"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A backtest as its user asks for it. Bars with start_ns <= open < end_ns; None leaves a side open.

    `execution_config` None: a parent is one market order. `commission_bps` and `slippage_model` win over what the data
    and the file say, `router` over the settings' `routing.router`; with it, parents are worked by default settings
    where there is no file. `fills`: the data that fill orders; the levels of a book are in the file `depth`.
    `risk_config` and `strategies_config` None: those of `config/`.
    """

    strategy: str
    symbol: str
    start_ns: int | None = None
    end_ns: int | None = None
    capital: float = 10_000.0
    execution_config: Path | None = None
    risk_config: Path | None = None
    strategies_config: Path | None = None
    commission_bps: float | None = None
    slippage_model: SlippageName | None = None
    venue: str | None = None
    seed: int = 0
    router: str | None = None
    fills: FillData = "bars"
    depth: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the files say: read before the data, because a slip in a file should not cost the wait for them."""

    wanted: Wanted
    strategy: AnyStrategy
    execution: ExecutionConfig | None
    limits: RiskLimits

    @property
    def market(self) -> ExecutionConfig:
        """How the simulated market behaves, with or without an execution config."""
        settings = self.execution or ExecutionConfig()
        model = self.wanted.slippage_model
        return settings if model is None else replace(settings, slippage=replace(settings.slippage, model=model))

    @property
    def commission_bps(self) -> float | None:
        return self.wanted.commission_bps


@dataclass(frozen=True, slots=True)
class Session:
    """Ready to run. `remarks` are lines for the reader: what was assumed, and what the data do not cover."""

    settings: Settings
    market: StoredMarket | StoredTicks

    @property
    def dataset(self) -> Dataset:
        return self.market.dataset

    @property
    def bars(self) -> Bars:
        return self.market.bars

    @property
    def instrument(self) -> Instrument:
        return self.market.instrument

    @property
    def venue(self) -> Venue | TickVenue:
        return self.market.venue

    @property
    def config_hash(self) -> str:
        return self.market.config_hash

    @property
    def remarks(self) -> tuple[str, ...]:
        return self.market.remarks

    @property
    def gaps(self) -> list[int]:
        """Lengths of the gaps between bars, in nanoseconds, in order of time."""
        silence = self.bars.ts_open_ns[1:] - self.bars.ts_close_ns[:-1]
        return [int(length) for length in silence[silence > 0]]

    def about(self) -> dict[str, Any]:
        """Everything that decides the result, and nothing that does not: no paths, no times of day."""
        wanted, settings, bars = self.settings.wanted, self.settings, self.bars
        return {
            "version": program_version(),
            "seed": wanted.seed,
            "config_hash": self.config_hash,
            "strategy": {"id": settings.strategy.strategy_id, "params": settings.strategy.params},
            "symbol": wanted.symbol,
            "capital": wanted.capital,
            "period": {
                "start_ns": int(bars.ts_open_ns[0]),
                "end_ns": int(bars.ts_close_ns[-1]),
                "asked_start_ns": wanted.start_ns,
                "asked_end_ns": wanted.end_ns,
                "bars": len(bars),
                "gaps": len(self.gaps),
                "longest_gap_s": max(self.gaps, default=0) / 1e9,
            },
            "data": {
                "synthetic": self.dataset.synthetic,
                "venue": self.dataset.venue,
                "kind": self.dataset.kind,
                "data_id": self.dataset.data_id,
                "source": list(self.dataset.source),
                "synthesis": self.dataset.synthesis,
            },
            "instrument": instrument_facts(self.instrument),
            "execution": settings.execution,
            "market": {"slippage": settings.market.slippage, "fills": settings.market.fills},
            "risk": settings.limits,
            "settings": self.venue.settings,
            "remarks": list(self.remarks),
        }


def read_settings(wanted: Wanted) -> Settings:
    """Strategy, execution and risk settings. Raises FillwrightError: one line with the file or the word at fault."""
    strategies_file = wanted.strategies_config or config.find("strategies.yaml")
    strategy = make_any(wanted.strategy, wanted.symbol, config_path=strategies_file, seed=wanted.seed)
    execution = None if wanted.execution_config is None else load_execution(wanted.execution_config)
    if wanted.router is not None:
        execution = execution or ExecutionConfig()
        execution = replace(execution, routing=replace(execution.routing, router=wanted.router))
    check_hears(strategy, wanted.fills, execution)
    risk_file = wanted.risk_config or config.find("risk.yaml")
    if risk_file is None:
        raise ConfigError(
            "config/risk.yaml does not exist, and without limits nothing may trade: write it, or name one with "
            "--risk-config"
        )
    return Settings(wanted, strategy, execution, load_limits(risk_file))


def prepare(settings: Settings, reader: DataReader) -> Session:
    """Reads the data and makes the venue. Raises DataError where the store does not have them."""
    wanted, strategy = settings.wanted, settings.strategy
    told: dict[str, Any] = {
        "start_ns": wanted.start_ns,
        "end_ns": wanted.end_ns,
        "venue_name": wanted.venue,
        "commission_bps": settings.commission_bps,
        "seed": wanted.seed,
    }
    # The period and the capital are left out: a run that only ends earlier says the same of what it did before.
    identity: dict[str, Any] = {
        "strategy": {"id": strategy.strategy_id, "params": strategy.params},
        "execution": settings.execution,
        "risk": settings.limits,
    }
    if wanted.fills == "bars":
        market = stored_market(reader, wanted.symbol, settings.market, identity=identity, **told)
        return Session(settings, market)
    identity["filled_by"] = wanted.fills
    ticks = tick_market(
        reader, wanted.symbol, settings.market, strategy, data=wanted.fills, depth=wanted.depth, identity=identity,
        **told,
    )  # fmt: skip
    return Session(settings, ticks)
