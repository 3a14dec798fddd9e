"""What a backtest needs, from files and options: settings resolved, data read, venue and strategy made.

Everything that can be wrong is found here, cheapest first, before a bar is played.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import config
from core.bars import Bars
from core.errors import ConfigError, DataError
from core.instrument import Instrument
from execution.conditions import DAY_NS, WINDOW_DAYS
from execution.config import ExecutionConfig, SlippageName
from execution.config import load as load_execution
from execution.slippage import slippage_model
from execution.spread import bar_spread
from execution.venue import Venue, venue
from research.data_reader import DataReader
from research.dataset import Dataset
from research.grid import grid_of
from research.resample import shorter_bars
from research.schema import kind_of
from research.times import period
from risk.limits import RiskLimits, load_limits
from strategies.registry import make

if TYPE_CHECKING:
    from strategies.base import Strategy

TIMEFRAME = "1m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A backtest as its user asks for it. Bars with start_ns <= open < end_ns; None leaves a side open.

    `execution_config` None: a parent is one market order. `commission_bps` and `slippage_model` win over what the data
    and the file say. `risk_config` and `strategies_config` None: those of `config/`.
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


@dataclass(frozen=True, slots=True)
class Settings:
    """What the files say: read before the data, because a slip in a file should not cost the wait for them."""

    wanted: Wanted
    strategy: Strategy[Any]
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
    dataset: Dataset
    bars: Bars
    instrument: Instrument
    venue: Venue
    config_hash: str
    remarks: tuple[str, ...]

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
    strategy = make(wanted.strategy, wanted.symbol, config_path=strategies_file, seed=wanted.seed)
    execution = None if wanted.execution_config is None else load_execution(wanted.execution_config)
    risk_file = wanted.risk_config or config.find("risk.yaml")
    if risk_file is None:
        raise ConfigError(
            "config/risk.yaml does not exist, and without limits nothing may trade: write it, or name one with "
            "--risk-config"
        )
    return Settings(wanted, strategy, execution, load_limits(risk_file))


def prepare(settings: Settings, reader: DataReader) -> Session:
    """Reads the data and makes the venue. Raises DataError where the store does not have them."""
    wanted = settings.wanted
    shorter = shorter_bars(reader.describe(wanted.symbol, venue=wanted.venue), kind_of(f"ohlcv_{TIMEFRAME}"))
    dataset = reader.dataset(wanted.symbol, shorter or f"ohlcv_{TIMEFRAME}", wanted.venue)
    bars = reader.bars(wanted.symbol, TIMEFRAME, wanted.start_ns, wanted.end_ns, venue=dataset.venue)
    instrument, remarks = _instrument(reader, dataset, bars, settings.commission_bps)
    remarks += _not_covered(wanted, bars)
    market = settings.market
    facts = instrument_facts(instrument)
    # The period and the capital are left out: a run that only ends earlier says the same of what it did before.
    identity = {
        "strategy": {"id": settings.strategy.strategy_id, "params": settings.strategy.params},
        "execution": settings.execution,
        "market": {"slippage": market.slippage, "fills": market.fills},
        "risk": settings.limits,
        "instrument": facts,
    }
    config_hash = config.config_hash(identity)
    made = venue(
        bars,
        instrument,
        slippage_model(market.slippage),
        spread=bar_spread(bars, instrument, reader, market.fills.assumed_spread_bps),
        fills=market.fills,
        permanent_share=market.slippage.permanent_share,
        before=_before(reader, dataset, bars),
        data={
            "synthetic": dataset.synthetic,
            "data": f"{dataset.symbol} at {dataset.venue}, {dataset.kind}",
            "data_id": dataset.data_id,
            "config_hash": config_hash,
            "seed": wanted.seed,
            "version": program_version(),
        },
    )
    return Session(settings, dataset, bars, instrument, made, config_hash, tuple(remarks))


def instrument_facts(instrument: Instrument) -> dict[str, Any]:
    """What `Instrument` is made from, without what it computes."""
    return {field.name: getattr(instrument, field.name) for field in fields(instrument) if field.init}


def program_version() -> str:
    try:
        return version("fillwright")
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "unknown"


def _instrument(
    reader: DataReader, dataset: Dataset, bars: Bars, commission_bps: float | None
) -> tuple[Instrument, list[str]]:
    """The instrument as far as the data tell; what nobody has told is read off the bars, or none, and said."""
    remarks = []
    instrument = reader.instrument(dataset.symbol, dataset.venue)
    told: set[str] = set()
    for one in reader.describe(dataset.symbol, venue=dataset.venue):
        told.update(one.instrument)
    inferred = {name: step for name, step in grid_of(bars).items() if name not in told}
    if inferred:
        tick, lot = inferred.get("tick", instrument.tick), inferred.get("lot", instrument.lot)
        instrument = replace(instrument, tick=tick, lot=lot)
        steps = " and ".join(f"{name} {step}" for name, step in inferred.items())
        remarks.append(f"{steps} inferred from data: `fillwright data import --tick ... --lot ...` tells them")
    if commission_bps is not None:
        instrument = replace(instrument, maker_fee_bps=commission_bps, taker_fee_bps=commission_bps)
    elif not told & {"maker_fee_bps", "taker_fee_bps"}:
        remarks.append("fees are not known and none are charged: --commission sets them")
    return instrument, remarks


def _not_covered(wanted: Wanted, bars: Bars) -> list[str]:
    """A remark where bars are missing at either end of the period asked for, beyond one bar."""
    first, last = int(bars.ts_open_ns[0]), int(bars.ts_close_ns[-1])
    early = wanted.start_ns is not None and first > wanted.start_ns
    late = wanted.end_ns is not None and last < wanted.end_ns
    if not (early or late):
        return []
    return [f"the data cover {period(first, last)} of the {period(wanted.start_ns, wanted.end_ns)} asked for"]


def _before(reader: DataReader, dataset: Dataset, bars: Bars) -> Bars | None:
    """The bars of the days before the first bar's day began, up to it; None where nothing is stored of them."""
    first = int(bars.ts_open_ns[0])
    if dataset.start_ns >= first:
        return None
    start_ns = (first // DAY_NS - WINDOW_DAYS) * DAY_NS
    try:
        return reader.bars(dataset.symbol, TIMEFRAME, start_ns, first, venue=dataset.venue)
    except DataError:  # a gap as long as that: the days before it are too old to tell anything
        return None
