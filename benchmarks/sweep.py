"""What a sweep costs beside its work: tasks a second with one worker and two, against calling the function in a loop.

    python -m benchmarks.sweep [--rounds N] [--parents N] [--seeds N]

The work is that of a small task: some parents under TWAP on two days of the sample market. Every round does all tasks
in a loop in this process, then as a sweep with one worker, then with two, each into a new folder; the start of the
workers is counted, and once more apart as a sweep of one task. Medians over the rounds.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from backtest.sweep.plan import Plan, plan
from backtest.sweep.run import sweep
from backtest.sweep.settings import SweepSettings
from backtest.sweep.work import do
from core.config import parse
from research.data_reader import DataReader
from research.sample import write_sample


def main() -> None:
    arguments = argparse.ArgumentParser(description="The overhead of a sweep.")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--parents", type=int, default=10)
    arguments.add_argument("--seeds", type=int, default=60)
    chosen = arguments.parse_args()
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_sample(data, start="2025-01-01", end="2025-01-05")
        many, one = (tasks(data, chosen.parents, seeds) for seeds in (chosen.seeds, 1))
        seconds: dict[str, list[float]] = {}
        for number in range(chosen.rounds + 1):
            found = {
                "in a loop": looped(many, data),
                "one worker": swept(many, data, Path(folder) / f"{number}-1", 1),
                "two workers": swept(many, data, Path(folder) / f"{number}-2", 2),
                "one worker, one task": swept(one, data, Path(folder) / f"{number}-0", 1),
                "all kept": swept(many, data, Path(folder) / f"{number}-1", 1),
            }
            if number:  # the first round warms caches
                for name, value in found.items():
                    seconds.setdefault(name, []).append(value)
    show(seconds, len(many.tasks))


def tasks(data: Path, parents: int, seeds: int) -> Plan:
    told = {
        "study": {"type": "parents", "parents": parents, "seconds": [600]},
        "algorithms": [{"type": "TWAP", "default_slices": [5, 10]}],
        "symbols": ["ATOM/USDT"],
        "periods": [{"start": "2025-01-02", "end": "2025-01-03"}],
        "seeds": list(range(seeds)),
    }
    return plan(parse(told, SweepSettings), DataReader(data), "benchmark")


def looped(many: Plan, data: Path) -> float:
    start = perf_counter()
    for task in many.tasks:
        assert isinstance(do(task.work, str(data)), bytes)
    return perf_counter() - start


def swept(many: Plan, data: Path, output: Path, workers: int) -> float:
    start = perf_counter()
    assert not sweep(many, str(data), output, workers=workers).failures
    return perf_counter() - start


def show(seconds: dict[str, list[float]], count: int) -> None:
    """Times, tasks a second, and what a task costs beyond its work once the workers are there."""
    middle = {name: median(values) for name, values in seconds.items()}
    loop, begin = middle["in a loop"], middle["one worker, one task"]
    print(f"{count} tasks, {1e3 * loop / count:.1f} ms each; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':22}{'seconds':>9}{'spread':>16}{'tasks/s':>9}{'against loop':>14}")
    for name, value in middle.items():
        done = 2 if name == "one worker, one task" else count
        spread = f"{min(seconds[name]):.2f} to {max(seconds[name]):.2f}"
        ratio = f"{value / loop:.2f}" if done == count else ""
        print(f"{name:22}{value:9.2f}{spread:>16}{done / value:9.1f}{ratio:>14}")
    overhead = 1e3 * (middle["one worker"] - begin - loop) / count
    print(f"one worker, beyond its start and the work: {overhead:.1f} ms a task")


if __name__ == "__main__":
    main()
