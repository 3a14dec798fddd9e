"""The specification's example session, as its page prints it; and the same session on a month of real bars."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from core.bars import Bars
from core.contracts import sign
from execution.contracts import ExecutionReport
from execution.reports import read_reports
from research.data_reader import DataReader
from tests.once import once
from tests.real_data import real
from tests.shell import Done, shell
from tests.specification import SESSION

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT.parent / "shared" / "spec" / "phase-8-execution.md"
MINUTE_NS = 60_000_000_000


def play(session: str, folder: Path) -> Done:
    """Runs a session with bash in a folder that has a `config/`; `python` is the one that runs this test."""
    (folder / "config").mkdir(exist_ok=True)
    return shell(["bash", "-euo", "pipefail", "-c", session], folder, COLUMNS="120")


bash = pytest.mark.skipif(shutil.which("bash") is None, reason="the session is written for bash")


@pytest.mark.skipif(not PAGE.is_file(), reason="the specification is not in ../shared/spec")
def test_the_session_is_the_one_on_the_page() -> None:
    page = PAGE.read_text()
    fence = page.split("### Example Execution Session\n```bash\n")[1].split("```")[0]
    assert fence == SESSION


@bash
def test_the_example_session_runs_line_for_line_on_an_empty_machine(tmp_path: Path) -> None:
    done = play(SESSION, tmp_path)
    assert done.returncode == 0, done.stderr
    (announced,) = done.stderr.splitlines()
    assert "making the SYNTHETIC sample market" in announced
    assert {path.name for path in tmp_path.iterdir()} == {"config", "data", "var", "execution_analysis.csv"}
    written = tmp_path / "var" / "backtest"
    assert {path.name for path in written.iterdir()} == {
        "executions.ndjson",
        "fills.parquet",
        "equity.parquet",
        "run.json",
        "report",
    }
    assert f"report: {Path('var/backtest/report/index.html')}" in done.stdout.splitlines()

    about = json.loads((written / "run.json").read_bytes())
    assert about["data"]["synthetic"] is True
    assert about["period"]["bars"] == 273 * 1440
    assert about["summary"]["executions"] >= 300
    reports = list(read_reports(written / "executions.ndjson"))
    assert {report.algo_type for report in reports} == {"TWAP"}
    with (tmp_path / "execution_analysis.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["execution_id"] for row in rows] == [report.execution_id for report in reports]
    for words in ("Backtest of trendline_break_v1", "implementation shortfall", "VWAP", "TWAP", "SYNTHETIC"):
        assert words in done.stdout


REAL_SESSION = """\
fillwright data import {bars} --map ts_open=open_time_ms --where symbol=ATOMUSDT \\
    --symbol ATOM/USDT --venue binance --taker-fee-bps 10 --maker-fee-bps 10 --min-notional 10 --json > import.json
python -m backtest.runner --strategy trendline_break_v1 --symbol ATOM/USDT --start 2021-04-20 --end 2021-05-20 \\
    --execution-config config/execution.yaml --capital 10000
python -m execution.analyze --execution-reports var/backtest/executions.ndjson --output execution_analysis.csv
python -m execution.compare --reports var/backtest/executions.ndjson --benchmark vwap
"""


@pytest.fixture(scope="module")
def real_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the session on real bars, and what it printed."""
    bars = real("binance_spot_1m_202104_05.parquet")
    if shutil.which("bash") is None:
        pytest.skip("the session is written for bash")

    def make(folder: Path) -> None:
        (folder / "config").mkdir()
        shutil.copy(ROOT / "config" / "execution.yaml", folder / "config")
        done = play(REAL_SESSION.format(bars=bars), folder)
        assert (done.returncode, done.stderr) == (0, "")
        (folder / "shown.txt").write_text(done.stdout, encoding="utf-8")

    folder = once(tmp_path_factory, "real-session", make)
    return folder, (folder / "shown.txt").read_text(encoding="utf-8")


def reports_of(folder: Path) -> list[ExecutionReport]:
    return list(read_reports(folder / "var" / "backtest" / "executions.ndjson"))


def bars_of(folder: Path) -> Bars:
    start, end = 1_618_876_800_000_000_000, 1_621_555_200_000_000_000  # 2021-04-20, 2021-05-21
    return DataReader(folder / "data").bars("ATOM/USDT", "1m", start, end)


def at(bars: Bars, ts_ns: int, liquidity: str) -> int:
    """The bar of a fill: takers fill at its open, makers at its close."""
    side: Any = "right" if liquidity == "taker" else "left"
    return int(np.searchsorted(bars.ts_open_ns, ts_ns, side=side)) - 1


def test_the_session_on_real_bars_prints_what_it_assumed(real_run: tuple[Path, str]) -> None:
    folder, shown = real_run
    assert "real, venue binance" in shown
    assert "SYNTHETIC" not in shown
    assert "tick 0.001 and lot 0.001 inferred from data" in shown
    assert "spread: estimated" in shown
    about = json.loads((folder / "var" / "backtest" / "run.json").read_bytes())
    assert (about["period"]["gaps"], about["period"]["longest_gap_s"]) == (1, 284 * 60)
    assert len(reports_of(folder)) > 20
    assert any(report.fills for report in reports_of(folder))


def test_nothing_fills_while_the_exchange_is_out(real_run: tuple[Path, str]) -> None:
    folder, _ = real_run
    bars = bars_of(folder)
    (gap,) = np.flatnonzero(bars.ts_open_ns[1:] > bars.ts_close_ns[:-1])
    out, back = int(bars.ts_close_ns[gap]), int(bars.ts_open_ns[gap + 1])
    assert back - out == 284 * MINUTE_NS
    fills = [fill for report in reports_of(folder) for fill in report.fills]
    assert not [fill for fill in fills if out < fill.ts_fill_ns < back]


def test_fills_stay_inside_their_bars_and_inside_the_volume(real_run: tuple[Path, str]) -> None:
    folder, _ = real_run
    bars = bars_of(folder)
    own = np.zeros(len(bars))
    on_the_crash = 0
    for report in reports_of(folder):
        for fill in report.fills:
            k = at(bars, fill.ts_fill_ns, fill.liquidity)
            own[k] += fill.qty
            on_the_crash += fill.ts_fill_ns // (1440 * MINUTE_NS) == 18_766  # 2021-05-19
            paid = fill.meta["half_spread"] + abs(fill.meta["impact"])
            moved = 1e-3 * fill.price  # where our own earlier trades hold the market
            assert bars.low[k] - paid - moved <= fill.price <= bars.high[k] + paid + moved
            if fill.liquidity == "taker":
                assert fill.ts_fill_ns == bars.ts_open_ns[k]
                cost = fill.meta["half_spread"] + fill.meta["impact"]
                assert fill.price == pytest.approx(bars.open[k] + sign(fill.side) * cost)
            else:
                assert fill.ts_fill_ns == bars.ts_close_ns[k]
            assert report.start_ts_ns <= fill.ts_fill_ns <= (report.end_ts_ns or bars.ts_close_ns[-1])
    assert (own <= 0.1 * bars.volume + 1e-9).all()
    assert on_the_crash > 0, "the day that it fell 59 % must be part of this"


def test_reports_and_account_of_the_real_session_add_up(real_run: tuple[Path, str]) -> None:
    folder, _ = real_run
    bars = bars_of(folder)
    reports = reports_of(folder)
    for report in reports:
        assert report.filled_quantity + report.remaining_quantity == pytest.approx(report.total_quantity, abs=1e-9)
        assert sum(fill.qty for fill in report.fills) == pytest.approx(report.filled_quantity, abs=1e-9)
        assert (report.status == "completed") == (report.remaining_quantity == 0)
    equity = pl.read_parquet(folder / "var" / "backtest" / "equity.parquet")
    cash, position = np.zeros(len(bars) + 1), np.zeros(len(bars) + 1)
    cash[0] = 10_000.0
    for fill in (fill for report in reports for fill in report.fills):
        k = at(bars, fill.ts_fill_ns, fill.liquidity) + 1
        cash[k] -= sign(fill.side) * fill.qty * fill.price + fill.fee
        position[k] += sign(fill.side) * fill.qty
    cash, position = cash.cumsum(), position.cumsum()
    marks = np.concatenate((bars.open[:1], bars.close))
    assert np.abs(equity["cash"].to_numpy() - cash).max() < 1e-6
    assert np.abs(equity["position"].to_numpy() - position).max() < 1e-6
    assert np.abs(equity["equity"].to_numpy() - (cash + position * marks)).max() < 1e-6
    assert position.min() > -1e-9, "the strategy never goes short"
