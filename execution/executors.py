"""The executor of each algorithm by its name, and a parent at work under any executor."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any, Final

from execution.base import BaseExecutor, RuleExecutor
from execution.children import Parent
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.desk import Worked
from execution.profile import VolumeHistory
from execution.scheduled import ScheduledParent
from research.data_reader import DataReader

_CLASSES: Final[dict[AlgoType, str]] = {
    "TWAP": "execution.twap:TWAPExecutor",
    "VWAP": "execution.vwap:VWAPExecutor",
    "Iceberg": "execution.iceberg:IcebergExecutor",
    "POV": "execution.pov:POVExecutor",
    "IS": "execution.shortfall:ISExecutor",
}
_READ_HISTORY: Final = ("VWAP", "POV", "IS")


def executor(
    algo_type: AlgoType,
    strategy_id: str,
    *,
    data_reader: DataReader | None = None,
    volumes: VolumeHistory | None = None,
    **arguments: Any,
) -> RuleExecutor:
    """A fresh executor; past volumes come from `volumes`, else from the reader. Raises ValueError for bad arguments."""
    module, _, name = _CLASSES[algo_type].partition(":")
    if algo_type in _READ_HISTORY:
        arguments = {"data_reader": data_reader, "history": volumes, **arguments}
    made: RuleExecutor = getattr(import_module(module), name)(strategy_id, **arguments)
    return made


def work(
    executor: BaseExecutor,
    algo: ExecutionAlgorithm,
    *,
    start_ns: int,
    price: float,
    execution_id: str | None = None,
    parent_intent_id: str = "",
    venue: str | None = None,
) -> Worked:
    """A parent at work: the machine for a rule, the plan played as it is for an executor that can only plan."""
    if isinstance(executor, RuleExecutor):
        return executor.start(
            algo,
            start_ns=start_ns,
            price=price,
            execution_id=execution_id,
            parent_intent_id=parent_intent_id,
            venue=venue,
        )
    from execution.adapters import SyncExecutionWrapper

    planned = SyncExecutionWrapper(executor).plan_execution_sync(algo)
    if not planned:
        raise ValueError(f"{type(executor).__name__} planned no children for {algo.total_quantity} {algo.symbol}")
    shift_ns = start_ns - min(int(intent.meta["scheduled_ts_ns"]) for intent in planned)
    moved = [
        replace(intent, meta={**intent.meta, "scheduled_ts_ns": int(intent.meta["scheduled_ts_ns"]) + shift_ns})
        for intent in planned
    ]
    meta = moved[0].meta
    parent = Parent(
        execution_id=str(meta["execution_id"]),
        strategy_id=executor.strategy_id,
        parent_intent_id=parent_intent_id or str(meta.get("parent_intent_id", "")),
        algo_type=algo.algo_type,
        symbol=algo.symbol,
        side=algo.side,
        total_quantity=algo.total_quantity,
        start_ns=start_ns,
    )
    return ScheduledParent(algo, parent, moved)
