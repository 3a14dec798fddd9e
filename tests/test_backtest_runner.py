"""The runner: what it writes, what it prints, and one line for whatever cannot be run."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backtest.runner import command
from core.console import run
from core.folders import sync
from execution import run_files
from execution.analyze import command as analyze
from execution.reports import read_reports
from execution.run_files import EQUITY, FILES, FILLS, REPORTS, RUN
from research.data_reader import DataReader
from research.grid import grid_of, step_of
from research.sample import write_sample
from research.store import Store
from tests.backtests import bars_from

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config" / "execution.yaml"
DAY_NS = 86_400_000_000_000
JANUARY_NS = 1_735_689_600_000_000_000

WARM_UP_STRATEGY = """
import os, signal
from dataclasses import dataclass
from strategies.base import Strategy

@dataclass(frozen=True, slots=True, kw_only=True)
class NoParams:
    pass

class Interrupted(Strategy[NoParams]):
    strategy_id = "interrupted"
    params_type = NoParams

    def on_bar(self, bar, account):
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen == 500:
            os.kill(os.getpid(), signal.SIGINT)
        return ()
"""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the sample market of 2025-01-01 to 2025-01-14: about twenty parents of the trend line."""
    folder = tmp_path_factory.mktemp("market")
    write_sample(folder, start="2025-01-01", end="2025-01-15")
    return folder


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory is empty, so that relative paths and `config/` are the test's own."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("COLUMNS", "80")


def call(*args: object, strategy: str = "trendline_break_v1", symbol: str = "ATOM/USDT") -> int:
    words = ["--strategy", strategy, "--symbol", symbol, *map(str, args)]
    with pytest.raises(SystemExit) as leaving:
        run(command, words, prog_name="fillwright backtest")
    assert isinstance(leaving.value.code, int)
    return leaving.value.code


def answer(capsys: pytest.CaptureFixture[str], *args: object, **words: str) -> dict[str, Any]:
    """The JSON that a run prints."""
    code = call(*args, "--json", **words)
    out, err = capsys.readouterr()
    assert code == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.exists() else {}


# ---------------------------------------------------------------- what a run writes and prints


def test_the_files_agree_with_each_other(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(capsys, "--data-dir", market, "--execution-config", CONFIG)
    folder = Path("var/backtest")
    assert sorted(contents(folder)) == sorted(FILES)
    document = json.loads((folder / RUN).read_bytes())
    assert document == {name: value for name, value in told.items() if name != "output_dir"}

    reports = list(read_reports(folder / REPORTS))
    fills = pl.read_parquet(folder / FILLS)
    equity = pl.read_parquet(folder / EQUITY)
    summary = document["summary"]
    assert len(reports) == summary["executions"] == document["files"][REPORTS]["rows"] > 10
    assert len(fills) == summary["fills"] == document["files"][FILLS]["rows"] == sum(len(r.fills) for r in reports)
    assert len(equity) == document["period"]["bars"] + 1 == 14 * 1440 + 1
    assert equity.columns == ["ts_ns", "equity", "cash", "position"]
    assert equity["equity"][0] == summary["capital"] == 10_000
    assert equity["equity"][-1] == summary["final_equity"]
    for name, seal in document["files"].items():
        assert seal["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()

    told_fills = sorted((f.fill_id, f.qty, f.price, f.fee, f.ts_fill_ns) for r in reports for f in r.fills)
    assert sorted(fills.select("fill_id", "qty", "price", "fee", "ts_fill_ns").iter_rows()) == told_fills
    assert fills["ts_fill_ns"].is_sorted()
    assert set(fills["execution_id"]) <= {report.execution_id for report in reports}
    read = DataReader(market).read_fills("trendline_break_v1", path=folder, format="polars")
    assert read.equals(fills)

    signed = fills.with_columns(signed=pl.col("qty") * pl.when(pl.col("side") == "buy").then(1).otherwise(-1))
    cash = 10_000 - float((signed["signed"] * signed["price"] + signed["fee"]).sum())
    assert equity["cash"][-1] == pytest.approx(cash, abs=1e-6)
    assert equity["position"][-1] == pytest.approx(signed["signed"].sum(), abs=1e-9)


def test_every_file_says_how_to_repeat_it(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(capsys, "--data-dir", market, "--execution-config", CONFIG, "--seed", 5)
    assert told["data"]["synthetic"] is True
    assert told["data"]["data_id"] == DataReader(market).dataset("ATOM/USDT").data_id
    assert (told["seed"], told["version"]) == (5, told["settings"]["version"])
    for report in read_reports(Path("var/backtest") / REPORTS):
        assert report.settings["config_hash"] == told["config_hash"]
        assert report.settings["data_id"] == told["data"]["data_id"]
        assert report.settings["synthetic"] is True
    for name in (FILLS, EQUITY):
        kept = json.loads(pl.read_parquet_metadata(Path("var/backtest") / name)["fillwright"])
        assert kept["config_hash"] == told["config_hash"]
        assert kept["data"]["synthetic"] is True


def test_the_costs_are_those_of_the_analysis(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs = answer(capsys, "--data-dir", market, "--execution-config", CONFIG)["summary"]["costs"]
    with pytest.raises(SystemExit):
        run(analyze, ["--json"])
    pool = json.loads(capsys.readouterr().out)["algorithms"]["TWAP"]
    assert costs["shortfall"] == {"money": pool["shortfall"], "bps": pool["shortfall_bps"]}
    assert costs["arrival"]["bps"] == pool["arrival_slippage_bps"]
    for part in ("spread", "impact", "timing", "fees"):
        assert costs[part]["money"] == pytest.approx(pool[f"{part}_bps"] * pool["notional"] / 1e4)
        assert costs[part]["bps"] == pytest.approx(costs[part]["money"] / costs["notional"] * 1e4)
    parts = sum(costs[part]["money"] for part in ("spread", "impact", "timing"))
    assert costs["arrival"]["money"] == pytest.approx(parts)
    assert costs["total"]["money"] == pytest.approx(parts + costs["fees"]["money"])
    assert costs["shortfall"]["money"] == pytest.approx(
        sum(costs[part]["money"] for part in ("total", "delay", "opportunity"))
    )


def test_the_table_is_labelled_and_says_what_comes_next(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--data-dir", market, "--execution-config", CONFIG) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for words in (
        "SYNTHETIC market",
        "2025-01-01 to 2025-01-14, 14 days",
        "20,160, no gaps",
        "final equity",
        "Sharpe ratio",
        "max drawdown",
        "fill rate",
        "denied by the risk gate",
        "= slippage against arrival",
        "implementation shortfall",
        "spread: quotes of sample",
        "fillwright analyze --execution-reports var/backtest/executions.ndjson",
        "fillwright compare --reports var/backtest/executions.ndjson",
    ):
        assert words in out, words


def test_quiet_leaves_out_the_remarks(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--data-dir", market, "--quiet") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "spread: quotes" not in out
    assert "SYNTHETIC market" in out


def test_an_end_that_is_a_day_includes_it_and_a_time_does_not(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = answer(capsys, "--data-dir", market, "--start", "2025-01-03", "--end", "2025-01-04")["period"]
    assert (day["start_ns"], day["end_ns"]) == (JANUARY_NS + 2 * DAY_NS, JANUARY_NS + 4 * DAY_NS)
    times = ("--start", "2025-01-03T12:00", "--end", "2025-01-04T00:00")
    assert answer(capsys, "--data-dir", market, *times)["period"]["bars"] == 720
    assert answer(capsys, "--data-dir", market, "--start", "20250103", "--end", "20250103")["period"]["bars"] == 1440


def test_a_period_that_the_data_cover_in_part_is_told(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(capsys, "--data-dir", market, "--start", "2024-12-25", "--end", "2025-01-02")
    assert told["remarks"] == ["the data cover 2025-01-01 to 2025-01-03 of the 2024-12-25 to 2025-01-03 asked for"]
    assert told["period"]["bars"] == 2880


def test_commission_and_slippage_model_win_over_data_and_config(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--data-dir", market, "--execution-config", CONFIG)
    usual = answer(capsys, *options)
    free = answer(capsys, *options, "--commission", "0", "--slippage-model", "none")
    assert usual["summary"]["costs"]["fees"]["bps"] == pytest.approx(10.0, rel=0.01)
    assert usual["summary"]["costs"]["impact"]["money"] > 0
    assert free["summary"]["costs"]["fees"]["money"] == 0
    assert free["summary"]["costs"]["impact"]["money"] == pytest.approx(0, abs=1e-9)
    assert free["settings"]["impact"] == "none: the spread alone"
    assert free["config_hash"] != usual["config_hash"]
    linear = answer(capsys, *options, "--slippage-model", "linear")
    assert linear["market"]["slippage"]["model"] == "linear"
    assert linear["settings"]["impact"].startswith("power 1 of participation, coefficient 0.5")


def test_without_an_execution_config_every_parent_is_one_market_order(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = answer(capsys, "--data-dir", market)
    assert told["execution"] is None
    reports = list(read_reports(Path("var/backtest") / REPORTS))
    assert {report.algo_type for report in reports} == {"MARKET"}
    assert {fill.liquidity for report in reports for fill in report.fills} == {"taker"}
    assert told["summary"]["costs"]["impact"]["money"] > 0


def test_the_days_before_the_start_are_known_to_the_impact_model(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(capsys, "--data-dir", market, "--start", "2025-01-09", "--strategy", "trendline_break_v1")
    late = next(read_reports(Path("var/backtest") / REPORTS))
    for fill in late.fills:  # without a past the raw formula would charge 0.5 * sqrt(share of the bar)
        assert 0 < fill.meta["impact"] / fill.price < 0.01


def test_the_twin_run_is_in_every_report_where_it_is_wanted(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(capsys, "--data-dir", market, "--twin")
    reports = list(read_reports(Path("var/backtest") / REPORTS))
    impacts = [report.notes["twin"]["impact"] for report in reports]
    money = told["summary"]["costs"]["impact"]["money"]
    assert sum(impacts) == pytest.approx(money)  # market orders: all of it was charged
    assert money > 0
    answer(capsys, "--data-dir", market)
    assert all("twin" not in report.notes for report in read_reports(Path("var/backtest") / REPORTS))


def test_denials_are_counted_and_told(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limits = (ROOT / "config" / "risk.yaml").read_text().replace("max_order_qty: 10_000", "max_order_qty: 1")
    Path("tight.yaml").write_text(limits)
    assert call("--data-dir", market, "--execution-config", CONFIG, "--risk-config", "tight.yaml") == 0
    out = capsys.readouterr().out
    assert "denials: " in out
    assert "R01" in out
    document = json.loads(Path("var/backtest", RUN).read_bytes())
    assert document["summary"]["denials"] > 0
    assert document["summary"]["fills"] == 0
    assert document["summary"]["costs"]["arrival"]["bps"] is None


def test_the_kill_file_of_the_working_directory_stops_every_order(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("var").mkdir()
    Path("var/kill").touch()
    told = answer(capsys, "--data-dir", market, "--execution-config", CONFIG)
    assert told["summary"]["fills"] == 0
    assert "kill switch" in told["summary"]["first_denial"]


def test_steps_and_fees_that_nobody_told_are_inferred_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["ts_open,open,high,low,close,volume"]
    rows += [
        f"{JANUARY_NS + k * 60 * 10**9},{p},{p + 0.25},{p},{p},{100.5 + k}" for k in range(900) for p in [50 + k / 4]
    ]
    Path("bars.csv").write_text("\n".join(rows))
    from research.cli import data

    with pytest.raises(SystemExit):
        run(data, ["import", "bars.csv", "--symbol", "ATOM/USDT", "--venue", "binance", "--json"])
    capsys.readouterr()
    assert call() == 0
    out = capsys.readouterr().out
    assert "real, venue binance" in out
    assert "tick 0.01 and lot 0.1 inferred from data" in out
    assert "fees are not known and none are charged" in out
    assert json.loads(Path("var/backtest", RUN).read_bytes())["instrument"]["tick"] == "0.01"


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([1.0, 20.0], "1"),
        ([1.25, 3.5], "0.01"),
        ([0.1 + 0.2], "0.1"),
        ([0.00000812, 31.0], "0.00000001"),
        ([1 / 3], "0.0001"),
        ([], "1"),
    ],
)
def test_a_step_is_the_finest_decimal_place_in_use(values: list[float], step: str) -> None:
    import numpy as np

    assert step_of(np.array(values)) == step


def test_bars_that_come_later_do_not_change_the_grid() -> None:
    bars = bars_from([(1.5, 1.5, 1.5, 1.5, 3.0)] * 10_000 + [(1.125, 1.125, 1.125, 1.125, 0.5)])
    assert grid_of(bars) == grid_of(bars[:10_000]) == {"tick": "0.1", "lot": "1"}


# ---------------------------------------------------------------- what cannot be run


def _bars_file(path: Path, *lines: str) -> None:
    path.write_text("\n".join(["ts_open,open,high,low,close,volume", *lines]))


BROKEN = {
    "broken.yaml": "execution: [unclosed\n",
    "unknown.yaml": "execution:\n  algorithms:\n    - type: TWAB\n",
    "empty.yaml": "",
    "slip.yaml": "execution:\n  slipage:\n    model: linear\n",
}


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        ("--capital 0", 2, "'--capital': must be above 0, was 0"),
        ("--capital -5", 2, "'--capital': must be above 0, was -5"),
        ("--capital abc", 2, "'--capital': 'abc' is not a valid float"),
        ("--capital nan", 2, "'--capital': must be a finite number, was nan"),
        ("--commission inf", 2, "'--commission': must be a finite number, was inf"),
        (
            "--slippage-model cubic",
            2,
            "'cubic' is not one of 'square_root', 'linear', 'power', 'almgren', 'fixed_bps',",
        ),
        ("--strategy trendline_brake_v1", 1, "did you mean 'trendline_break_v1'? Known: "),
        ("--symbol ATM/USDT", 1, "no data for symbol 'ATM/USDT' in"),
        ("--symbol ATM/USDT", 1, "did you mean 'ATOM/USDT'?"),
        ("--venue nowhere", 1, "at venue 'nowhere'"),
        ("--start 2025-02-30", 1, "--start must be a date such as"),
        ("--start 2025-01-09 --end 2025-01-08", 1, "--start must be before --end, was 2025-01-09 and 2025-01-08"),
        ("--start 2024-01-01 --end 2024-02-01", 1, "no data from 2024-01-01 to 2024-02-02"),
        ("--start 2030-01-01", 1, "`fillwright data download`"),
        ("--execution-config none.yaml", 1, "none.yaml"),
        ("--execution-config broken.yaml", 1, "broken.yaml"),
        ("--execution-config unknown.yaml", 1, "did you mean 'TWAP'?"),
        ("--execution-config empty.yaml", 1, "empty.yaml: is empty"),
        ("--execution-config slip.yaml", 1, "slippage"),
        ("--risk-config none.yaml", 1, "none.yaml"),
        ("--strategies-config none.yaml", 1, "none.yaml"),
        ("--output-dir afile", 1, "afile cannot be written"),
        ("--output-dir afile/below", 1, "afile is a file; choose another --output-dir"),
        ("--bogus", 2, "No such option"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    market: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    code: int,
    reason: str,
) -> None:
    for name, text in {**BROKEN, "afile": ""}.items():
        Path(name).write_text(text)
    before = sorted(Path.cwd().rglob("*"))
    assert call("--data-dir", market, *arguments.split()) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1, err
    assert reason in err
    assert sorted(Path.cwd().rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist"),
        ([], "empty"),
        (["1,2,3"], "column"),
    ],
)
def test_a_file_that_is_no_market_never_gets_into_a_store(
    capsys: pytest.CaptureFixture[str], content: list[str] | None, reason: str
) -> None:
    from research.cli import data

    if content is not None:
        Path("bars.csv").write_text("\n".join(content))
    with pytest.raises(SystemExit) as leaving:
        run(data, ["import", "bars.csv", "--symbol", "ATOM/USDT", "--venue", "v"])
    assert leaving.value.code == 1
    err = capsys.readouterr().err
    assert reason in err
    assert len(err.splitlines()) == 1
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([(1, 10.0), (0, 10.0)], "order"),
        ([(0, 10.0), (0, 10.5)], "duplicate"),
        ([(0, float("nan"))], "row"),
    ],
)
def test_bars_that_cannot_be_are_refused_with_the_first_bad_row(
    capsys: pytest.CaptureFixture[str], rows: list[tuple[int, float]], reason: str
) -> None:
    from research.cli import data

    _bars_file(Path("bars.csv"), *(f"{JANUARY_NS + k * 60 * 10**9},{p},{p},{p},{p},1" for k, p in rows))
    with pytest.raises(SystemExit) as leaving:
        run(data, ["import", "bars.csv", "--symbol", "ATOM/USDT", "--venue", "v"])
    assert leaving.value.code == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert reason in err, err
    assert not Path("data").exists()


def test_a_store_without_the_data_is_not_helped_out_with_the_sample(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = Store(market).datasets()
    assert call("--data-dir", market, symbol="BTC/USDT") == 1
    err = capsys.readouterr().err
    assert "no data for symbol 'BTC/USDT'" in err
    assert "fillwright data import" in err
    assert Store(market).datasets() == held


def test_no_risk_limits_means_no_run(
    market: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from core import config

    monkeypatch.setattr(config, "find", lambda _name: None)
    assert call("--data-dir", market) == 1
    assert "without limits nothing may trade" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_output_folder_is_one_line(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("locked").mkdir(mode=0o555)
    assert call("--data-dir", market, "--output-dir", "locked/run") == 1
    assert "no permission to write in" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc here")
def test_a_folder_that_takes_no_files_is_one_line_even_for_root(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--data-dir", market, "--output-dir", "/proc/run") == 1
    err = capsys.readouterr().err
    assert err.startswith("error: /proc/run cannot be written")
    assert len(err.splitlines()) == 1


# ---------------------------------------------------------------- all files or none


def test_an_interrupted_run_leaves_the_files_of_the_one_before(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(capsys, "--data-dir", market)
    before = contents(Path("var/backtest"))
    Path("mine.py").write_text(WARM_UP_STRATEGY)
    words = f"-m backtest.runner --strategy mine:Interrupted --symbol ATOM/USDT --data-dir {market}"
    ended = subprocess.run([sys.executable, *words.split()], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.strip()) == (130, "", "error: interrupted")
    assert contents(Path("var/backtest")) == before
    elsewhere = subprocess.run(
        [sys.executable, *words.split(), "--output-dir", "new/run"], capture_output=True, text=True, check=False
    )
    assert elsewhere.returncode == 130
    assert not Path("new").exists()


def test_ctrl_c_while_the_files_move_in_waits_until_they_are_all_there(
    market: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer(capsys, "--data-dir", market, "--commission", "1")
    move = Path.replace
    moved: list[str] = []

    def pressed(self: Path, target: Path) -> Path:
        if self.name in FILES:
            moved.append(self.name)
            assert not Path("var/backtest", RUN).exists(), "a mixed folder must not look like a run"
            if self.name == FILLS:
                signal.raise_signal(signal.SIGINT)
        return move(self, target)

    monkeypatch.setattr(Path, "replace", pressed)
    assert call("--data-dir", market, "--commission", "2") == 130
    assert moved == list(FILES)
    document = json.loads(Path("var/backtest", RUN).read_bytes())
    assert document["instrument"]["taker_fee_bps"] == 2.0
    for name, seal in document["files"].items():
        assert seal["sha256"] == hashlib.sha256(Path("var/backtest", name).read_bytes()).hexdigest()
    assert sorted(contents(Path("var/backtest"))) == sorted(FILES)


def test_files_that_could_not_all_move_in_are_not_sealed(
    market: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer(capsys, "--data-dir", market)

    # the last thing before the moves
    def full_disk(path: Path) -> None:
        if path.name == RUN:
            raise OSError(28, "No space left on device")
        sync(path)

    monkeypatch.setattr(run_files, "sync", full_disk)
    before = contents(Path("var/backtest"))
    assert call("--data-dir", market, "--seed", "9") == 1
    assert capsys.readouterr().err == "error: var/backtest cannot be written: No space left on device\n"
    assert contents(Path("var/backtest")) == before
    assert call("--data-dir", market, "--output-dir", "new/run") == 1
    assert not Path("new").exists()


def test_what_a_killed_run_left_is_swept_away(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = Path("var/backtest/.run.partial")
    left.mkdir(parents=True)
    (left / REPORTS).write_text("half a li")
    answer(capsys, "--data-dir", market)
    assert sorted(contents(Path("var/backtest"))) == sorted(FILES)


def test_two_runs_at_once_into_one_folder_do_not_mix(market: Path) -> None:
    words = f"-m backtest.runner --strategy trendline_break_v1 --symbol ATOM/USDT --data-dir {market} --json"
    started = [
        subprocess.Popen(
            [sys.executable, *words.split(), "--seed", seed], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for seed in ("1", "2")
    ]
    for process in started:
        _, err = process.communicate()
        assert (process.returncode, err) == (0, b"")
    for name, seal in json.loads(Path("var/backtest", RUN).read_bytes())["files"].items():
        assert seal["sha256"] == hashlib.sha256(Path("var/backtest", name).read_bytes()).hexdigest()
    assert sorted(contents(Path("var/backtest"))) == sorted(FILES)


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    heavy = {"numpy", "polars", "pandas", "numba", "rich", "msgspec", "yaml", "execution.market", "research.store"}
    script = f"import sys, backtest.runner; print(sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
