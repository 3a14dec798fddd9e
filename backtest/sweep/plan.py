"""The tasks of a sweep: every setting under every condition, each with the key under which its result is kept."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.sweep.contenders import Contender, contenders
from backtest.sweep.settings import BacktestStudy, SweepSettings
from backtest.sweep.work import Work, data_digest
from core import config
from core.errors import ConfigError
from execution.stored import asked_period, program_version
from research.data_reader import DataReader
from risk.limits import RiskLimits, load_limits
from strategies.registry import find


@dataclass(frozen=True, slots=True)
class Condition:
    """What every setting goes through. `data`: digest of what a task may read of it."""

    symbol: str
    venue: str | None
    start_ns: int | None
    end_ns: int | None
    seed: int
    data: str


@dataclass(frozen=True, slots=True)
class Task:
    """`setting` and `condition` count from 0 within the plan."""

    setting: int
    condition: int
    work: Work
    key: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Tasks of one condition stand together, so that a worker reads a market once for many settings."""

    settings: tuple[Contender, ...]
    conditions: tuple[Condition, ...]
    tasks: tuple[Task, ...]
    synthetic: bool

    def describe(self, task: Task) -> str:
        """A task in words: its setting and what of its condition differs from others."""
        where = self.conditions[task.condition]
        words = [where.symbol] if len({one.symbol for one in self.conditions}) > 1 else []
        if len({(one.start_ns, one.end_ns) for one in self.conditions}) > 1:
            from research.times import period

            words.append(period(where.start_ns, where.end_ns))
        if len({one.seed for one in self.conditions}) > 1:
            words.append(f"seed {where.seed}")
        return " · ".join([self.settings[task.setting].label, *words])


def plan(settings: SweepSettings, reader: DataReader, source: str) -> Plan:
    """Raises FillwrightError for settings that cannot be meant and data that are not there: before a task is run."""
    found = contenders(settings, source)
    limits, capital = None, 0.0
    if isinstance(settings.study, BacktestStudy):
        limits, capital = _limits(settings.study), settings.study.capital
    conditions = tuple(_conditions(settings, reader))
    digests = {one.strategy: _source(one.strategy) for one in found if one.strategy is not None}
    tasks = [
        _task(number, where, settings, one, condition, limits, capital, digests)
        for where, condition in enumerate(conditions)
        for number, one in enumerate(found)
    ]
    synthetic = any(reader.dataset(one.symbol, _bars(reader, one), one.venue).synthetic for one in conditions)
    return Plan(tuple(found), conditions, tuple(tasks), synthetic)


def _bars(reader: DataReader, condition: Condition) -> str:
    """The kind of bars that are stored; the shortest, where there are several."""
    from research.resample import shorter_bars
    from research.schema import kind_of

    of_symbol = reader.describe(condition.symbol, venue=condition.venue)
    return shorter_bars(of_symbol, kind_of("ohlcv_1m")) or "ohlcv_1m"


def _conditions(settings: SweepSettings, reader: DataReader) -> Iterator[Condition]:
    for symbol in settings.symbols:
        for k, one in enumerate(settings.periods):
            start_ns, end_ns = asked_period(one.start, one.end, f"periods[{k}].start", f"periods[{k}].end")
            data = data_digest(reader, symbol, settings.venue, start_ns, end_ns)
            for seed in settings.seeds:
                yield Condition(symbol, settings.venue, start_ns, end_ns, seed, data)


def _task(
    number: int,
    where: int,
    settings: SweepSettings,
    one: Contender,
    condition: Condition,
    limits: RiskLimits | None,
    capital: float,
    digests: dict[str, str | None],
) -> Task:
    work = Work(
        parents=None if isinstance(settings.study, BacktestStudy) else settings.study,
        strategy=one.strategy,
        strategy_params=one.strategy_params,
        limits=limits,
        capital=capital,
        source=None if one.strategy is None else digests[one.strategy],
        execution=one.execution,
        whole=one.whole,
        parent_params=one.parent_params,
        symbol=condition.symbol,
        venue=condition.venue,
        start_ns=condition.start_ns,
        end_ns=condition.end_ns,
        seed=condition.seed,
        data=condition.data,
        version=program_version(),
    )
    return Task(number, where, work, work.key)


def _limits(study: BacktestStudy) -> RiskLimits:
    file = Path(study.risk_config) if study.risk_config else config.find("risk.yaml")
    if file is None:
        raise ConfigError("config/risk.yaml does not exist, and without limits nothing may trade: write it")
    return load_limits(file)


def _source(strategy: str) -> str | None:
    """Digest of the file of a strategy of the user's own, which the program's version says nothing of."""
    if ":" not in strategy:
        return None
    return hashlib.sha256(Path(inspect.getfile(find(strategy))).read_bytes()).hexdigest()[:16]


def columns_of(contender: Contender, condition: Condition) -> dict[str, Any]:
    """What a row of the table says of its settings."""
    return {
        "label": contender.label,
        **contender.tried,
        "symbol": condition.symbol,
        "venue": condition.venue,
        "start_ns": condition.start_ns,
        "end_ns": condition.end_ns,
        "seed": condition.seed,
    }
