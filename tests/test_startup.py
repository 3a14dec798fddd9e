"""What a fresh process imports before its first result: nothing that it does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BACKTEST = "import backtest.session, backtest.engine, execution.batch, execution.ticks.market, strategies.registry"
FORECAST = """
from execution.pretrade.forecast import quantile
from execution.pretrade.volume_outlook import VolumeOutlook
quantile(10.0, 5.0, 0.95)
"""


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        (BACKTEST, ("numba", "llvmlite", "scipy", "pandas", "asyncio", "rich", "plotly")),
        (FORECAST, ("numba", "llvmlite", "scipy", "pandas", "asyncio")),
    ],
    ids=["backtest", "forecast"],
)
def test_no_process_imports_what_it_does_not_need(program: str, unwanted: tuple[str, ...]) -> None:
    told = f"{program}\nimport sys\nprint([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
