"""Sweeps for tests: a few days of a market, small studies, and workers that count, fail or die."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from backtest.sweep.plan import Plan, plan
from backtest.sweep.run import Swept, sweep
from backtest.sweep.settings import SweepSettings
from backtest.sweep.work import Failed, Work, do
from core.config import parse
from research.data_reader import DataReader
from research.sample import write_sample

SYMBOL = "ATOM/USDT"
CALLS = "calls.txt"
BY_ALGORITHM: list[dict[str, Any]] = [
    {"type": "MARKET"},
    {"type": "TWAP", "default_slices": [2, 5], "order_type": "market"},
]


def settings_of(**changes: Any) -> SweepSettings:
    """Three settings on two days, four parents a task, unless told otherwise."""
    told = {
        "study": {"type": "parents", "parents": 4, "seconds": [300]},
        "algorithms": BY_ALGORITHM,
        "symbols": [SYMBOL],
        "periods": [{"start": "2025-01-02", "end": "2025-01-03"}],
    }
    return parse(told | changes, SweepSettings, source="sweep.yaml")


def market(folder: Path) -> Path:
    """Four days of the sample market."""
    write_sample(folder / "data", start="2025-01-01", end="2025-01-05")
    return folder / "data"


def planned(data: Path, **changes: Any) -> Plan:
    return plan(settings_of(**changes), DataReader(data), "sweep.yaml")


def counted(work: Work, data_dir: str) -> bytes | Failed:
    """The real work, and a line in the folder of the data for every time that it is begun."""
    with (Path(data_dir) / CALLS).open("a") as file:
        file.write(f"{os.environ.get('SWEEP_RUN', '0')} {work.key}\n")
    return do(work, data_dir)


def calls(data: Path) -> list[tuple[str, str]]:
    """Run and key of every call to `counted`."""
    file = data / CALLS
    lines = file.read_text().splitlines() if file.exists() else []
    return [(line.split()[0], line.split()[1]) for line in lines]


def deadly(work: Work, data_dir: str) -> bytes | Failed:
    """Takes its worker along where the seed is 13."""
    if work.seed == 13:
        os._exit(7)
    return do(work, data_dir)


def many(data: Path) -> Plan:
    """Forty tasks of some milliseconds each."""
    return planned(data, seeds=list(range(20)), algorithms=[{"type": "MARKET"}, {"type": "TWAP", "default_slices": 3}])


def swept(data: Path, output: Path) -> Swept:
    """What the test kills: all of `many`, counted."""
    return sweep(many(data), str(data), output, workers=2, function=counted)
