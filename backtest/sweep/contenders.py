"""The settings of a sweep: every combination of strategy and algorithm values, or draws of them, checked.

All files are read here, so that a worker needs nothing but the market data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from backtest.sweep.settings import BacktestStudy, RandomSearch, SweepSettings
from backtest.sweep.values import Axis, axes_of, combinations, drawn
from core import config
from core.chance import generator
from core.errors import ConfigError, nearest
from execution.config import (
    AlgorithmConfig,
    ExecutionConfig,
    IcebergConfig,
    IsConfig,
    PovConfig,
    TwapConfig,
    VwapConfig,
)
from execution.config import load as load_execution
from execution.contracts import ExecutionAlgorithm
from execution.executors import executor
from strategies.registry import find, make

MARKET: Final = "MARKET"
_CONFIGS: Final[dict[str, type[AlgorithmConfig]]] = {
    "TWAP": TwapConfig,
    "VWAP": VwapConfig,
    "Iceberg": IcebergConfig,
    "POV": PovConfig,
    "IS": IsConfig,
}
_DRAWS_WITHOUT_NEWS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One setting. `execution`: resolved; `whole`: each parent as one market order. `tried`: the values that make it
    what it is, under the names of the columns. `parent_params`: what parents say of themselves, in a study of parents.
    """

    label: str
    execution: ExecutionConfig
    whole: bool = False
    strategy: str | None = None
    strategy_params: dict[str, Any] = field(default_factory=dict)
    parent_params: dict[str, Any] = field(default_factory=dict)
    tried: dict[str, Any] = field(default_factory=dict)


def contenders(settings: SweepSettings, source: str) -> list[Contender]:
    """The settings to compare, each once, in order. Raises ConfigError: one line with the place in `source`."""
    file = settings.execution_config or config.find("execution.yaml")
    base = ExecutionConfig() if file is None else load_execution(file)
    strategies = _strategies(settings.study, source) if isinstance(settings.study, BacktestStudy) else [{}]
    algorithms = [_named(block, f"{source}: algorithms[{k}]") for k, block in enumerate(settings.algorithms)] or [{}]
    search = settings.search
    pairs = _drawn(strategies, algorithms, search) if isinstance(search, RandomSearch) else _all(strategies, algorithms)
    found: dict[str, Contender] = {}
    for strategy, algorithm in pairs:
        one = _contender(settings, base, strategy, algorithm, source)
        found.setdefault(one.label, one)
    return list(found.values())


Axes = dict[str, Axis]
Chosen = tuple[dict[str, Any], dict[str, Any]]


def _all(strategies: Sequence[Axes], algorithms: Sequence[Axes]) -> Iterator[Chosen]:
    for strategy in strategies:
        for params in combinations(strategy):
            for algorithm in algorithms:
                for values in combinations(algorithm):
                    yield params, values


def _drawn(strategies: Sequence[Axes], algorithms: Sequence[Axes], search: RandomSearch) -> Iterator[Chosen]:
    """Different settings until there are enough, or a thousand draws have brought no new one."""
    seen: set[str] = set()
    draw = stale = 0
    while len(seen) < search.settings and stale < _DRAWS_WITHOUT_NEWS:
        chance = generator(search.seed, "sweep", draw)
        draw += 1
        chosen = tuple(drawn(blocks[int(chance.integers(len(blocks)))], chance) for blocks in (strategies, algorithms))
        stale = stale + 1 if repr(chosen) in seen else 0
        if not stale:
            seen.add(repr(chosen))
            yield chosen[0], chosen[1]


def _strategies(study: BacktestStudy, source: str) -> list[Axes]:
    out = []
    for k, block in enumerate(study.strategies):
        where = f"{source}: study.strategies[{k}]"
        if not isinstance(block.get("id"), str):
            raise ConfigError(f"{where}.id: must be a strategy's id, or package.module:ClassName of your own")
        known = [one.name for one in fields(find(block["id"]).params_type)]
        for name in block:
            if name not in ("id", *known):
                raise ConfigError(f"{where}.{name}: {block['id']} has no such parameter: {nearest(name, known)}")
        out.append(axes_of(block, where))
    return out


def _named(block: dict[str, Any], where: str) -> Axes:
    kind = block.get("type")
    if kind not in _CONFIGS and kind != MARKET:
        raise ConfigError(f"{where}.type: unknown type {kind!r}: {nearest(str(kind or ''), [*_CONFIGS, MARKET])}")
    if kind == MARKET and len(block) > 1:
        raise ConfigError(
            f"{where}.{list(block)[1]}: {MARKET} is each parent as one market order and has no parameters"
        )
    return axes_of(block, where)


def _contender(
    settings: SweepSettings, base: ExecutionConfig, strategy: dict[str, Any], algorithm: dict[str, Any], source: str
) -> Contender:
    study = settings.study
    params: dict[str, Any] = {}
    name: str | None = None
    tried: dict[str, Any] = {}
    if isinstance(study, BacktestStudy):
        name = strategy["id"]
        given = {key: value for key, value in strategy.items() if key != "id"}
        file = Path(study.strategies_config) if study.strategies_config else config.find("strategies.yaml")
        params = asdict(make(name, settings.symbols[0], given, file).params)
        tried = {"strategy": name, **{f"strategy.{key}": value for key, value in given.items()}}
    execution = base
    parent_params: dict[str, Any] = {}
    kind = algorithm.get("type")
    given = {key: value for key, value in algorithm.items() if key != "type"}
    if kind is not None:
        tried |= {"algorithm": kind, **{f"algorithm.{key}": value for key, value in given.items()}}
    if kind in _CONFIGS:
        execution, parent_params = _with_algorithm(base, kind, given, settings, source)
    return Contender(
        label=_label(strategy, algorithm) or base.routing.router or base.routing.default_algo,
        execution=execution,
        whole=kind == MARKET,
        strategy=name,
        strategy_params=params,
        parent_params=parent_params,
        tried=tried,
    )


def _with_algorithm(
    base: ExecutionConfig, kind: Any, given: dict[str, Any], settings: SweepSettings, source: str
) -> tuple[ExecutionConfig, dict[str, Any]]:
    """The execution with this algorithm for all parents, and what parents say of themselves, which wins over it.

    A strategy's parents say what it has them say, so for these only the execution config can be tried.
    """
    where = f"{source}: algorithms: {kind}"
    configurable = [one.name for one in fields(_CONFIGS[kind]) if one.name != "type"]
    sayable = [one.name for one in fields(executor(kind, "sweep").params_type)]
    if isinstance(settings.study, BacktestStudy):
        sayable = []
    for name in given:
        if name not in configurable and name not in sayable:
            raise ConfigError(f"{where}.{name}: unknown setting: {nearest(name, {*configurable, *sayable})}")
    configured = next((asdict(one) for one in base.algorithms if one.type == kind), {"type": kind})
    changed = configured | {key: value for key, value in given.items() if key not in sayable}
    made: AlgorithmConfig = config.parse(changed, _CONFIGS[kind], source=where)
    others = tuple(one for one in base.algorithms if one.type != kind)
    execution = replace(base, algorithms=(*others, made), routing=replace(base.routing, default_algo=kind, router=None))
    params = {key: value for key, value in given.items() if key in sayable}
    try:
        algo = ExecutionAlgorithm(kind, settings.symbols[0], "buy", 1.0, 3600, params)
        executor(kind, "sweep", **execution.defaults(kind)).params(algo)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    return execution, params


def _label(strategy: dict[str, Any], algorithm: dict[str, Any]) -> str:
    words = []
    for block, name in ((strategy, "id"), (algorithm, "type")):
        if block:
            given = " ".join(f"{key}={_text(value)}" for key, value in block.items() if key != name)
            words.append(f"{block[name]} {given}".strip())
    return ", ".join(words)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
