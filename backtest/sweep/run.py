"""A sweep from its plan to its table: what is kept is taken, the rest is computed, and every result is kept at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.sweep.kept import Kept
from backtest.sweep.plan import Plan
from backtest.sweep.pools import BackendName, Function, pool_of, run
from backtest.sweep.table import RESULTS, table_of, write_table
from backtest.sweep.work import Failed, do
from core.config import config_hash
from core.console import progress
from core.folders import alone
from execution.stored import program_version

TASKS = "tasks"


class Results(Mapping[int, dict[str, Any]]):
    """Results by the task's place in the plan, read from disk whenever they are asked for: a sweep may be large."""

    def __init__(self, kept: Kept, keys: dict[int, str]) -> None:
        self._kept = kept
        self._keys = keys

    def __getitem__(self, place: int) -> dict[str, Any]:
        return self._kept.get(self._keys[place])

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


@dataclass(frozen=True, slots=True)
class Swept:
    """`results` and `failures` by the task's place in the plan, in its order. computed and kept count tasks."""

    results: Results
    failures: dict[int, str]
    computed: int
    kept: int


def sweep(
    plan: Plan,
    data_dir: str,
    folder: Path,
    *,
    backend: BackendName = "loky",
    address: str | None = None,
    workers: int | None = None,
    fresh: bool = False,
    quiet: bool = True,
    function: Function = do,
) -> Swept:
    """Runs what is not kept in `folder` and writes the table there. `data_dir`: as the workers see it.

    One sweep works in a folder at a time; another waits, and finds what the first has done. `fresh` takes nothing from
    before. `function`: what a worker calls.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        kept = Kept(folder / TASKS)
        kept.sweep_up()
        places: dict[str, list[int]] = {}  # settings that come to the same are computed once
        for place, task in enumerate(plan.tasks):
            places.setdefault(task.key, []).append(place)
        missing = [key for key in places if fresh or key not in kept]
        failures: dict[int, str] = {}
        if missing:
            calls = [(key, (plan.tasks[places[key][0]].work, data_dir)) for key in missing]
            with (
                progress("sweeping", total=len(missing), quiet=quiet) as bar,
                pool_of(backend, address=address, workers=workers) as pool,
            ):
                for key, answer in run(pool, function, calls):
                    if isinstance(answer, Failed):
                        failures |= dict.fromkeys(places[key], answer.reason)
                        bar.title(f"sweeping, {len(failures):,} failed")
                    else:
                        kept.put(key, answer)
                    bar.advance()
        failures = dict(sorted(failures.items()))
        results = Results(kept, {k: task.key for k, task in enumerate(plan.tasks) if k not in failures})
        provenance = {
            "version": program_version(),
            "tasks": config_hash([task.key for task in plan.tasks]),
            "data": sorted({one.data for one in plan.conditions}),
            "synthetic": plan.synthetic,
        }
        frame = table_of(plan, {k: _figures(result) for k, result in results.items()}, failures)
        write_table(frame, folder / RESULTS, provenance)
    return Swept(
        results, failures, len(missing) - len({plan.tasks[k].key for k in failures}), len(places) - len(missing)
    )


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: a figure without an answer is null there."""
    return {name: float("nan") if value is None else value for name, value in result["figures"].items()}
