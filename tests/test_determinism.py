"""The same seed and data give the same bytes, in any process; the future changes nothing that was done before it.

`python -m tests.test_determinism` writes the golden table anew, for changes that are meant to change executions.
"""

from __future__ import annotations

import csv
import io
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from core.codec import from_json
from execution.reports import read_reports
from execution.run_files import FILES, REPORTS
from research.sample import write_sample
from research.times import parse_ns

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).parent / "golden" / "executions_of_a_week.csv"
COLUMNS = (
    "start_ts_ns",
    "side",
    "total_quantity",
    "status",
    "filled_quantity",
    "fills",
    "avg_fill_price",
    "total_fees",
)


def make_market(folder: Path) -> None:
    write_sample(folder, start="2025-01-01", end="2025-01-11")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten days of the sample market."""
    folder = tmp_path_factory.mktemp("market")
    make_market(folder)
    return folder


def start(market: Path, output: Path, *options: str, hash_seed: str = "0") -> subprocess.Popen[str]:
    """A run in a process of its own."""
    command = [sys.executable, "-m", "backtest.runner", "--strategy", "trendline_break_v1", "--symbol", "ATOM/USDT"]
    command += ["--execution-config", str(ROOT / "config" / "execution.yaml"), "--data-dir", str(market)]
    command += ["--risk-config", str(ROOT / "config" / "risk.yaml"), "--output-dir", str(output), "--quiet", *options]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*started: subprocess.Popen[str]) -> None:
    for process in started:
        _, err = process.communicate()
        assert process.returncode == 0, err


def test_every_file_is_the_same_to_the_byte_under_any_hash_seed(market: Path, tmp_path: Path) -> None:
    seeds = ("0", "1", "random")
    finish(*(start(market, tmp_path / seed, "--seed", "7", hash_seed=seed) for seed in seeds))
    first, *others = ({name: (tmp_path / seed / name).read_bytes() for name in FILES} for seed in seeds)
    assert len(first[REPORTS].splitlines()) > 10
    for other in others:
        assert other == first


def test_a_run_that_ends_earlier_has_the_same_executions_until_then(market: Path, tmp_path: Path) -> None:  # pitfall 24
    ends = {"2025-01-07": parse_ns("2025-01-08"), "2025-01-08T09:17": parse_ns("2025-01-08T09:17")}
    finish(*(start(market, tmp_path / end, "--end", end) for end in ("2025-01-10", *ends)))
    for end, cut_ns in ends.items():
        lines = ended_until(tmp_path / end / REPORTS, cut_ns)
        assert len(lines) > 5
        assert lines == ended_until(tmp_path / "2025-01-10" / REPORTS, cut_ns)


def ended_until(path: Path, cut_ns: int) -> list[bytes]:
    """The lines of the executions that had ended by then."""
    lines = path.read_bytes().splitlines()
    return [line for line in lines if (from_json(line)["end_ts_ns"] or math.inf) <= cut_ns]


def test_executions_are_those_of_the_golden_table(market: Path, tmp_path: Path) -> None:
    finish(start(market, tmp_path))
    assert table(tmp_path / REPORTS).splitlines() == GOLDEN.read_text().splitlines()


def table(path: Path) -> str:
    """The executions of a file as CSV; prices and fees to eight digits, which no machine's arithmetic reaches."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for report in read_reports(path):
        row = {**report.to_dict(), "fills": len(report.fills)}
        writer.writerow([f"{row[name]:.8g}" if isinstance(row[name], float) else row[name] for name in COLUMNS])
    return out.getvalue()


def write_golden() -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_market(Path(folder, "data"))
        finish(start(Path(folder, "data"), Path(folder, "run")))
        GOLDEN.write_text(table(Path(folder, "run", REPORTS)))


if __name__ == "__main__":
    write_golden()
