from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core.errors import FillwrightError
from research.cli import data
from research.store import Store
from tests.real_data import real
from tests.test_research_importers import HEADER, kline, write
from tests.test_research_store import JANUARY, commit, minutes


def call(*args: str | Path, fails: bool = False) -> Result:
    result = CliRunner().invoke(data, [str(arg) for arg in args], standalone_mode=False)
    if not fails and result.exception is not None:
        raise result.exception
    return result


def answer(*args: str | Path) -> Any:
    return json.loads(call(*args, "--json").stdout)


def test_import_list_and_check_agree(tmp_path: Path) -> None:
    path = write(tmp_path, "ATOMUSDT-1m-2025-01.csv", HEADER, *(kline(k) for k in (0, 1, 5)))
    store = ("--data-dir", tmp_path / "data")
    (imported,) = answer("import", path, "--symbol", "ATOM/USDT", "--venue", "binance", "--tick", "0.001", *store)
    assert (imported["rows"], imported["gaps"], imported["missing_bars"]) == (3, 1, 3)
    assert imported["instrument"] == {"tick": "0.001"}
    assert answer("list", *store) == [imported]
    (checked,) = answer("check", *store)
    assert checked == {**imported, "ok": True, "problems": []}
    shown = call("check", *store).stdout
    assert "gap of 3 min, 2025-01-01T00:02 to 2025-01-01T00:05" in shown
    assert "checked 1: all sound" in shown


def test_options_of_the_import_reach_it(tmp_path: Path) -> None:
    rows = [f"2025-01-01T{hour:02}:00,{name},6.5,6.6,6.4,6.5,{hour - 2}" for hour in (1, 3, 2) for name in "AB"]
    path = write(tmp_path, "bars.csv", "t,coin,open,high,low,close,v", *rows)
    (imported,) = answer(
        *("import", path, "--symbol", "B", "--venue", "v", "--kind", "ohlcv_1h", "--map", "ts_open=t,volume=v"),
        *("--where", "coin=B", "--timezone", "Europe/Berlin", "--bar-stamp", "close", "--on-bad", "skip"),
        *("--data-dir", tmp_path / "data"),
    )
    assert imported["start_ns"] == 1735689600 * 10**9
    assert imported["skipped"] == {"table bars.csv": {"out of order": 1, "volume is negative": 1}}


def test_all_files_are_read_before_any_is_stored(tmp_path: Path) -> None:
    good, bad = write(tmp_path, "a.csv", kline(0)), write(tmp_path, "b.csv", "rubbish")
    target = tmp_path / "data"
    result = call("import", good, bad, "--symbol", "A", "--venue", "v", "--data-dir", target, fails=True)
    assert isinstance(result.exception, FillwrightError)
    assert not target.exists()


def test_broken_data_is_told_with_exit_code_1(tmp_path: Path) -> None:
    store = Store(tmp_path)
    dataset = commit(store, minutes(JANUARY, [6.5, 6.6, 6.4]))
    folder = store.folder("binance", "ATOM/USDT", "ohlcv_1m")
    january, february = (folder / month.file for month in dataset.months.values())
    minutes(JANUARY, [6.5, 6.7]).write_parquet(january)
    february.write_bytes(february.read_bytes()[:100])
    result = call("check", "--data-dir", tmp_path)
    assert result.return_value == 1
    assert "is not what was stored: rows, times or content differ" in result.stdout
    assert "is not readable" in result.stdout
    assert "checked 1: 1 broken" in result.stdout
    (finding,) = answer("check", "--data-dir", tmp_path)
    assert not finding["ok"]
    assert len(finding["problems"]) == 2


def test_the_sample_is_labelled(tmp_path: Path) -> None:
    arguments = ("sample", "--end", "2025-01-03", "--data-dir", tmp_path)
    bars, quotes = answer(*arguments)
    assert bars["synthetic"]
    assert quotes["synthetic"]
    assert answer(*arguments) == [bars, quotes]
    assert "SYNTHETIC" in call("list", "--data-dir", tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        ("import no.csv --symbol A --venue v", 1, "no.csv does not exist"),
        ("import no.csv --venue v", 2, "Missing option '--symbol'"),
        ("import no.csv --symbol A --venue v --map open", 2, "--map takes name=value, was 'open'"),
        ("import no.csv --symbol A --venue v --tick nought", 1, "tick must be a decimal number"),
        ("import no.csv --symbol A --venue v --timezone Mars", 1, "timezone must be a name"),
        ("sample --daily-vol 0", 1, "daily_vol must be a finite number above 0"),
        ("sample --tick 0.3", 1, "tick must be one part in a whole number, such as 0.001, was 0.3"),
        ("sample --start-price 0.1", 1, "start_price must be at least 200 ticks of 0.001, was 0.1"),
        ("sample --start yesterday", 1, "start must be a date such as 2025-01-31"),
        ("check", 1, "no such market data in data: get real data with"),
        ("download --symbol A/B --start 2025-13-01", 1, "start must be a date"),
        ("list --debug", 0, "no such market data in data"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(tmp_path: Path, arguments: str, code: int, reason: str) -> None:
    command = [sys.executable, "-m", "fillwright", "data", *arguments.split()]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert reason in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_data_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    command = [sys.executable, "-m", "research.cli", "sample", "--end", "2025-01-02", "--data-dir", "data/store"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "data" in ended.stderr


def test_the_module_of_the_download_runs_by_itself() -> None:
    command = [sys.executable, "-m", "research.download", "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Only what is not stored yet is asked for" in ended.stdout


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    script = "import sys, research.cli; print(sorted({'polars', 'numpy', 'pandas', 'rich', 'ccxt'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_real_bars_by_command_line(tmp_path: Path) -> None:
    (imported,) = answer(
        *("import", real("binance_spot_1m_202104_05.parquet"), "--map", "ts_open=open_time_ms"),
        *("--where", "symbol=ATOMUSDT", "--symbol", "ATOM/USDT", "--venue", "binance", "--data-dir", tmp_path),
    )
    assert (imported["rows"], imported["gaps"], imported["longest_gap_s"]) == (42_915, 1, 284 * 60)
