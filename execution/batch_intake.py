"""What the batch driver is asked to play: parents one by one, or as columns with settings that many of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, overload

import numpy as np
from numpy.typing import NDArray

from core import codec, ids
from core.contracts import Side
from core.instrument import Instrument
from execution.base import BaseExecutor, RuleExecutor
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.desk import Worked
from execution.executors import executor as make_executor
from execution.executors import work
from execution.parent import ParentOrder
from execution.venue import Venue

STRATEGY: Final = "batch"
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Job:
    """A parent to play. `executor` None: that of the algorithm, with what the venue knows.

    `execution_id` "": derived from the rest, so that a parent plays alike wherever it stands in the batch.
    """

    algo: ExecutionAlgorithm
    start_ns: int
    executor: BaseExecutor | None = None
    execution_id: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """What parents have in common: an algorithm with its parameters. `executor` as in `Job`."""

    algo_type: AlgoType
    symbol: str
    params: Mapping[str, Any] = field(default_factory=dict)
    executor: BaseExecutor | None = None


@dataclass(frozen=True, slots=True)
class Jobs(Sequence[Job]):
    """Parents as columns of equal length, read as a sequence of `Job`s too. Made by `of` or `one_by_one`.

    setting: its place in `settings`. side: 1 buys, -1 sells. quantity: as the venue counts, or money where the setting
    says so. start_ns; duration_seconds. given_ids: execution ids, "" where one is derived; None: all are.
    """

    settings: tuple[Setting, ...]
    setting: Ints
    side: Ints
    quantity: NDArray[np.float64]
    start_ns: Ints
    duration_seconds: Ints
    given_ids: tuple[str, ...] | None = None

    @classmethod
    def of(cls, settings: Sequence[Setting], columns: Any) -> Self:
        """From a frame, a structured array or a mapping with side ("buy", "sell"), quantity, start_ns,
        duration_seconds and, where there is more than one setting, setting.

        Raises ValueError naming the column where one is missing, of another length, or holds what it must not.
        """
        names = getattr(columns, "columns", None)
        if names is None:
            names = columns.dtype.names if isinstance(columns, np.ndarray) else list(columns)
        wanted = ["side", "quantity", "start_ns", "duration_seconds"]
        if "setting" in names or len(settings) != 1:
            wanted.append("setting")
        for name in wanted:
            if name not in names:
                raise ValueError(f"the column {name} is missing; there are {', '.join(map(str, names)) or 'none'}")
        given = {name: np.asarray(columns[name]) for name in wanted}
        count = len(given["side"])
        for name, column in given.items():
            if column.shape != (count,):
                raise ValueError(f"the column {name} has shape {column.shape}, side has ({count},)")
        side = np.where(given["side"] == "buy", 1, np.where(given["side"] == "sell", -1, 0))
        if count and not side.all():
            raise ValueError(f"side must be buy or sell, was {str(given['side'][int(np.argmin(np.abs(side)))])!r}")
        setting = _whole("setting", given.get("setting", np.zeros(count, np.int64)))
        if count and not (setting.min() >= 0 and setting.max() < len(settings)):
            raise ValueError(f"setting must be a place among {len(settings)} settings, was {setting.max()}")
        quantity = np.ascontiguousarray(given["quantity"], np.float64)
        starts, lengths = _whole("start_ns", given["start_ns"]), _whole("duration_seconds", given["duration_seconds"])
        return cls(tuple(settings), setting, side, quantity, starts, lengths)

    @classmethod
    def one_by_one(cls, jobs: Sequence[Job]) -> Self:
        """The columns of single parents; those with the same algorithm, parameters and executor share a setting."""
        places: dict[Any, int] = {}
        settings: list[Setting] = []
        setting = np.zeros(len(jobs), np.int64)
        for number, job in enumerate(jobs):
            algo = job.algo
            key = (id(algo.params), algo.algo_type, algo.symbol, id(job.executor))
            place = places.get(key)
            if place is None:
                named = (codec.to_json(algo.params), *key[1:])
                place = places[key] = places.setdefault(named, len(settings))
                if place == len(settings):
                    settings.append(Setting(algo.algo_type, algo.symbol, algo.params, job.executor))
            setting[number] = place
        return cls(
            tuple(settings),
            setting,
            np.array([1 if job.algo.side == "buy" else -1 for job in jobs], np.int64),
            np.array([job.algo.total_quantity for job in jobs], np.float64),
            np.array([job.start_ns for job in jobs], np.int64),
            np.array([job.algo.duration_seconds for job in jobs], np.int64),
            tuple(job.execution_id for job in jobs),
        )

    def __len__(self) -> int:
        return len(self.setting)

    @overload
    def __getitem__(self, at: int) -> Job: ...

    @overload
    def __getitem__(self, at: slice) -> Jobs: ...

    def __getitem__(self, at: int | slice) -> Job | Jobs:
        """One parent, or some of them. Raises ValueError where its algorithm has no such parents."""
        if isinstance(at, slice):
            ids = None if self.given_ids is None else self.given_ids[at]
            return Jobs(
                self.settings,
                self.setting[at],
                self.side[at],
                self.quantity[at],
                self.start_ns[at],
                self.duration_seconds[at],
                ids,
            )
        setting = self.settings[self.setting[at]]
        side: Side = "buy" if self.side[at] > 0 else "sell"
        algo = ExecutionAlgorithm(
            setting.algo_type,
            setting.symbol,
            side,
            float(self.quantity[at]),
            int(self.duration_seconds[at]),
            setting.params,
        )
        given = "" if self.given_ids is None else self.given_ids[at]
        return Job(algo, int(self.start_ns[at]), setting.executor, given)


def _whole(name: str, column: NDArray[Any]) -> Ints:
    if len(column) and column.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integers, has {column.dtype}")
    return np.ascontiguousarray(column, np.int64)


# ---- one parent at its start


@dataclass(frozen=True, slots=True)
class Handed:
    """A parent that has been handed over at `now_ns`, when bar `seen_bar` was the last one known."""

    worked: Worked
    now_ns: int
    seen_bar: int

    @property
    def execution_id(self) -> str:
        worked = self.worked
        return worked.parent.execution_id if isinstance(worked, ParentOrder) else worked.report().execution_id

    def lots(self, instrument: Instrument) -> int:
        """The whole quantity."""
        worked = self.worked
        return worked.quantity if isinstance(worked, ParentOrder) else instrument.lots(worked.report().total_quantity)

    @property
    def order(self) -> ParentOrder:
        """The machine, for parents that have one: those of the loop do."""
        assert isinstance(self.worked, ParentOrder)
        return self.worked


def executor_of(venue: Venue, setting: Setting) -> BaseExecutor:
    """The setting's own executor, or that of its algorithm with what the venue knows."""
    if setting.executor is not None:
        return setting.executor
    return make_executor(setting.algo_type, STRATEGY, volumes=venue.volumes, **venue.executor_arguments)


def execution_id(job: Job, executor: BaseExecutor) -> str:
    """The id that was given, or one that follows from all that the parent is."""
    if job.execution_id:
        return job.execution_id
    seed = executor.seed if isinstance(executor, RuleExecutor) else 0
    return ids.execution_id(seed, executor.strategy_id, f"{job.start_ns} {codec.to_json(job.algo).decode()}")


def hand_over(venue: Venue, job: Job, executor: BaseExecutor) -> Handed:
    """The parent as the simulator would start it. Raises ValueError where its algorithm refuses it."""
    named = execution_id(job, executor)
    seen_bar = int(np.searchsorted(venue.bars.ts_close_ns, job.start_ns, side="right")) - 1
    price = float(venue.bars.close[seen_bar] if seen_bar >= 0 else venue.bars.open[0])
    worked = work(executor, job.algo, start_ns=job.start_ns, price=price, execution_id=named, parent_intent_id=named)
    return Handed(worked, job.start_ns, seen_bar)
