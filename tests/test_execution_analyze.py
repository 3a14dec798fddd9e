"""Execution reports on disk, and `fillwright analyze` as its caller sees it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from core.console import run
from core.errors import DataError
from execution.analyze import clock, command, money, percent, worst_of
from execution.contracts import ExecutionReport
from execution.reports import provenance, read_reports, shared_settings, write_reports
from execution.tca import measure
from tests.test_execution_tca import example, fill, report

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = {"data": "ATOM/USDT 1m", "synthetic": True, "impact": {"model": "square_root", "coefficient": 0.5}}


def three() -> list[ExecutionReport]:
    """G3 by TWAP, G3 sold at mirrored prices by POV, and one that filled nothing."""
    unfilled = report(
        50,
        execution_id="none",
        algo="POV",
        status="cancelled",
        decision_price=50.0,
        arrival_price=50.0,
        end_price=50.0,
        unfilled_reason="no volume",
        settings=SETTINGS,
    )
    return [
        replace(example("G3"), execution_id="bought", settings=SETTINGS),
        replace(example("G3", mirrored=True), execution_id="sold", algo_type="POV", settings=SETTINGS),
        unfilled,
    ]


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    path = tmp_path / "executions.ndjson"
    write_reports(path, three())
    return path


def outcome(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as leaving:
        run(command, [str(word) for word in words], prog_name="analyze")
    out, err = capsys.readouterr()
    return leaving.value.code, out, err


# ---- the file


def test_reports_come_back_as_they_were_and_unknown_prices_are_null_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "executions.ndjson"
    written = [report(1, [fill(1, 100.0, half_spread=0.5)]), report(2, execution_id="y", status="running")]

    assert write_reports(path, written) == 2
    assert list(read_reports(path)) == written
    assert b'"arrival_price":null' in path.read_bytes()
    assert b"NaN" not in path.read_bytes()


def test_the_same_reports_give_the_same_bytes(tmp_path: Path) -> None:
    forth: dict[str, Any] = {"a": 1, "b": {"x": 1, "y": 2}}
    back: dict[str, Any] = {"b": {"y": 2, "x": 1}, "a": 1}
    for name, settings in (("one", forth), ("two", back)):
        write_reports(tmp_path / name, [report(1, [fill(1, 100.0, **settings)], settings=settings)])

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_run_that_breaks_off_leaves_the_old_file_and_no_half_one(reports: Path) -> None:
    before = reports.read_bytes()

    def broken() -> Any:
        yield three()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_reports(reports, broken())
    assert reports.read_bytes() == before
    assert list(reports.parent.iterdir()) == [reports]


def test_reports_are_read_one_at_a_time(reports: Path) -> None:
    with reports.open("ab") as file:
        file.write(b"broken\n")

    reader = read_reports(reports)

    assert next(reader).execution_id == "bought"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "holds no execution reports"),
        ("\n\n", "holds no execution reports"),
        ("time,price\n1,2\n", "line 1: not JSON"),
        ("GOOD\n\n{broken\n", "line 3: not JSON"),
        ("GOOD\n[1, 2]\n", "line 2: ExecutionReport is made from a dictionary"),
        ('GOOD\n{"execution_id": "y"}\n', "line 2: ExecutionReport: Object missing required field"),
        ('{"sidee": "buy"}\n', "did you mean 'side'?"),
        ("GOOD\nGOOD\n", "line 2: execution 'bought' was already reported in line 1"),
        ("\ufeff\u0000\n", "line 1"),
    ],
)
def test_a_file_that_is_not_execution_reports_is_named_with_the_line(
    tmp_path: Path, reports: Path, content: str, says: str
) -> None:
    good = reports.read_text(encoding="utf-8").splitlines()[0]
    path = tmp_path / "bad.ndjson"
    path.write_text(content.replace("GOOD", good), encoding="utf-8")

    with pytest.raises(DataError) as raised:
        list(read_reports(path))
    assert says in str(raised.value)
    assert str(path) in str(raised.value)


def test_settings_that_all_share_and_those_that_differ_are_told_apart() -> None:
    one, other = {"data": "a", "seed": 1, "synthetic": False}, {"data": "a", "seed": 2, "synthetic": False}

    assert shared_settings([one, other]) == {"data": "a", "synthetic": False}
    assert provenance([one, other]) == ["market data: real", "data a, seed differs"]
    assert provenance([one, {**one, "paused": 2}])[1:] == ["some executions: paused", "data a, seed 1"]
    assert "SYNTHETIC" in provenance([SETTINGS])[0]
    assert "Some" in provenance([SETTINGS, one])[0]
    assert "do not say" in provenance([{}])[0]


# ---- the command


def test_the_csv_has_one_row_per_execution_with_every_number_of_it(
    reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "execution_analysis.csv"

    code, out, _ = outcome(capsys, "--execution-reports", reports, "--output", output)

    rows = {row["execution_id"]: row for row in pl.read_csv(output).iter_rows(named=True)}
    assert code == 0
    assert list(rows) == ["bought", "sold", "none"]
    assert rows["bought"]["shortfall"] == pytest.approx(32_540)
    assert rows["bought"]["shortfall_bps"] == pytest.approx(65.08)
    assert rows["bought"]["impact_bps"] == pytest.approx(12.0921, abs=5e-5)
    assert rows["bought"]["start"] == "2025-01-01T10:00:00.000Z"
    assert rows["sold"]["shortfall"] == pytest.approx(32_540)
    assert rows["none"]["unfilled_reason"] == "no volume"
    assert rows["none"]["arrival_slippage_bps"] is None
    assert "nothing_filled" in rows["none"]["flags"]
    assert f"3 executions written to {output}" in out
    assert "NaN" not in output.read_text(encoding="utf-8")


def test_the_same_table_can_be_parquet(reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.parquet", "a.csv"):
        assert outcome(capsys, "--execution-reports", reports, "--output", tmp_path / name)[0] == 0

    parquet = pl.read_parquet(tmp_path / "a.parquet")
    assert parquet["shortfall"].to_list() == pl.read_csv(tmp_path / "a.csv")["shortfall"].to_list()


def test_columns_have_their_types_even_where_no_early_execution_knows_the_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = tmp_path / "late.ndjson", tmp_path / "late.parquet"
    unknown = [report(1, execution_id=f"n{n}", status="running") for n in range(150)]
    write_reports(path, [*unknown, replace(example("G3"), execution_id="g3", unfilled_reason="no volume")])

    assert outcome(capsys, "--execution-reports", path, "--output", output)[0] == 0
    last = pl.read_parquet(output).row(-1, named=True)
    assert last["shortfall"] == pytest.approx(32_540)
    assert last["end_ts_ns"] == example("G3").end_ts_ns
    write_reports(path, unknown)
    assert outcome(capsys, "--execution-reports", path, "--output", output)[0] == 0
    types = dict(pl.read_parquet_schema(output))
    kinds = [str(types[name]) for name in ("end_ts_ns", "unfilled_reason", "shortfall")]
    assert kinds == ["Int64", "String", "Float64"]


def cells(out: str, label: str) -> list[str]:
    (line,) = (line for line in out.splitlines() if line.startswith(label))
    return line.removeprefix(label).split()


def test_the_table_shows_each_algorithm_and_all_of_them_as_ratios_of_sums(
    reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = outcome(capsys, "--execution-reports", reports)

    assert code == 0
    assert cells(out, "positive is worse") == ["unit", "POV", "TWAP", "all"]
    assert cells(out, "executions") == ["2", "1", "3"]
    assert cells(out, "implementation shortfall") == ["bps", "65.05", "65.08", "65.06"]
    assert cells(out, "  delay") == ["bps", "19.99", "20.00", "20.00"]
    assert cells(out, "the same in money") == ["USDT", "32,540", "32,540", "65,080"]


def test_the_foot_says_synthetic_and_names_what_is_unknown(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = outcome(capsys, "--execution-reports", reports)

    assert "SYNTHETIC market data" in out
    assert "impact: coefficient 0.5, model square_root" in out
    assert "1 of 3 not filled to the end: no volume" in out
    assert "1 of 3: nothing was filled" in out
    assert "2 of 3: the interval VWAP is unknown" in out


def test_worst_lists_the_dearest_executions_first_and_none_on_request(
    reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = [measure(one) for one in three()]
    cheap = measure(replace(example("G3"), execution_id="unknown", total_fees=math.nan))

    assert [cost.execution_id for cost in worst_of([*costs, cheap], 2)] == ["bought", "sold"]
    assert "cost the most money" in outcome(capsys, "--execution-reports", reports, "--worst", 1)[1]
    assert "cost the most" not in outcome(capsys, "--execution-reports", reports, "--worst", 0)[1]


def test_json_is_all_that_is_on_stdout(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = outcome(capsys, "--execution-reports", reports, "--json")
    document = json.loads(out)

    assert list(document["algorithms"]) == ["POV", "TWAP", "all"]
    twap = document["algorithms"]["TWAP"]
    parts = ("delay", "spread", "impact", "timing", "opportunity", "fees")
    assert sum(twap[f"{name}_bps"] for name in parts) == pytest.approx(twap["shortfall_bps"])
    assert twap["vwap_slippage_bps"] is None
    assert document["settings"]["synthetic"] is True
    assert document["worst"][0]["execution_id"] == "bought"


@pytest.mark.parametrize(
    ("option", "value", "left"),
    [("--algo", "pov", 2), ("--symbol", "ATOM/USDT", 3), ("--strategy", "trendline_break_v1", 3)],
)
def test_filters_keep_the_executions_they_name(
    option: str, value: str, left: int, reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = outcome(capsys, "--execution-reports", reports, option, value, "--json")

    assert sum(one["executions"] for name, one in json.loads(out)["algorithms"].items() if name != "all") == left


def test_a_filter_that_nothing_matches_names_what_there_is(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = outcome(capsys, "--execution-reports", reports, "--algo", "TWAB")

    assert code == 1
    assert "no execution with --algo TWAB: did you mean 'TWAP'? Known: POV, TWAP" in err


def test_money_of_several_quote_currencies_is_not_added_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "two.ndjson"
    write_reports(path, [three()[0], replace(three()[1], symbol="ATOM/EUR")])

    assert "different quote currencies (EUR, USDT)" in outcome(capsys, "--execution-reports", path)[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--execution-reports", "no/such.ndjson"], "no/such.ndjson does not exist: `fillwright backtest` writes"),
        (["--execution-reports", "."], ". is a folder: name the NDJSON file in it"),
        (["--execution-reports", "empty.ndjson"], "empty.ndjson holds no execution reports"),
        (["--execution-reports", "executions.ndjson", "--output", "."], ". is a folder: name a file in it"),
        (["--execution-reports", "executions.ndjson", "--output", "executions.ndjson"], "choose another --output"),
        (["--execution-reports", "executions.ndjson", "--output", "empty.ndjson/x.csv"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    words: list[str], says: str, reports: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(reports.parent)
    Path("empty.ndjson").touch()
    before = reports.read_bytes()

    code, out, err = outcome(capsys, *words)

    assert (code, out) == (1, "")
    assert says in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["empty.ndjson", "executions.ndjson"]
    assert reports.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports.parent.chmod(0o555)
    try:
        code, _, err = outcome(capsys, "--execution-reports", reports, "--output", reports.parent / "a.csv")
    finally:
        reports.parent.chmod(0o755)
    assert code == 1
    assert f"{reports.parent / 'a.csv'} cannot be written: Permission denied" in err


def test_two_runs_write_the_same_bytes_whatever_the_hash_seed(reports: Path, tmp_path: Path) -> None:
    outputs = []
    for seed in ("0", "1", "77"):
        output = tmp_path / f"{seed}.csv"
        words = [
            sys.executable,
            "-m",
            "execution.analyze",
            "--execution-reports",
            str(reports),
            "--output",
            str(output),
        ]
        done = subprocess.run(
            words, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True, text=True
        )
        outputs.append((output.read_bytes(), done.stdout.replace(f"{seed}.csv", "")))
    assert outputs[0] == outputs[1] == outputs[2]


@pytest.mark.parametrize("module", ["execution.analyze", "execution.compare"])
def test_the_commands_start_quickly_because_they_import_late(module: str) -> None:
    loads = (
        f"import sys, {module}; print([m for m in ('polars', 'pandas', 'numpy', 'scipy', 'rich') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", loads], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"


def test_numbers_for_people() -> None:
    assert percent(0.99999) == ">99.9"
    assert percent(1.0) == "100.0"
    assert percent(math.nan) == "-"
    assert money(-0.001) == "0.00"
    assert money(-12_345.6) == "-12,346"
    assert clock(3_725) == "62:05"


# ---- with the market beside the reports


def on_the_sample(folder: Path) -> Path:
    """Market data of two days, and reports of fills that know neither prices around them nor spreads."""
    from execution.costs.completion import read_market
    from research.data_reader import DataReader
    from research.sample import write_sample

    write_sample(folder / "data", start="2025-01-01", end="2025-01-03")
    start = 1_735_689_600_000_000_000 + 30 * 3600 * 1_000_000_000
    market = read_market(DataReader(folder / "data"), "ATOM/USDT", start, start)
    made = []
    for n in range(4):
        ts = start + n * 600_000_000_000
        price = float(market.mid_at(ts)) + 0.002
        parts = [replace(fill(50.0, price, n=n), fill_id=f"f{n}", ts_fill_ns=ts)]
        made.append(replace(report(50.0, parts, execution_id=f"x{n}", venue="sample"), start_ts_ns=ts, end_ts_ns=ts))
    path = folder / "foreign.ndjson"
    write_reports(path, made)
    return path


def test_market_data_fill_in_what_reports_lack_and_add_markouts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = on_the_sample(tmp_path)
    output = tmp_path / "costs.csv"

    code, out, err = outcome(
        capsys, "--execution-reports", path, "--data-dir", tmp_path / "data", "--output", output, "--json"
    )
    assert (code, err) == (0, "")
    summary = json.loads(out)["algorithms"]["TWAP"]
    assert summary["measured"] == 4
    assert summary["spread_bps"] > 0
    assert summary["markout_5m_bps"] is not None
    assert summary["markout_1s_bps"] is None  # quotes by the minute do not tell
    assert summary["impact_methods"] == ["participation"]
    frame = pl.read_csv(output)
    assert {"pwp_slippage_bps", "reversion_5m_bps", "latency_p50_ms", "schedule_deviation"} <= set(frame.columns)
    assert frame["market_source"].unique().to_list() == ["mids: quotes; volume: bars, typical price (H+L+C)/3"]
    code, out, _ = outcome(capsys, "--execution-reports", path, "--data-dir", tmp_path / "data")
    assert code == 0
    assert "markout after 5 min" in out
    assert "4 of 4: nobody says when it was decided" in out
    code, out, _ = outcome(capsys, "--execution-reports", path)
    assert code == 0
    assert "markout" not in out


def test_a_folder_without_market_data_is_refused(
    reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = outcome(capsys, "--execution-reports", reports, "--data-dir", tmp_path / "nothing")

    assert (code, out) == (1, "")
    assert "holds no market data" in err
