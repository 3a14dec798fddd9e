"""`fillwright import-fills`: what it prints, what it writes, and that nothing half-written stays."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from core.console import run
from execution.analyze import command as analyze
from execution.foreign.command import command
from execution.reports import read_reports

HEAD = "trade_id,order_id,symbol,side,order_qty,filled_size,price,time,fee,fee_coin,note\n"
FILLS = (
    "1,a,ATOM/USDT,buy,10,4,5.0,2025-01-01T00:00:10Z,0.02,USDT,x\n"
    "2,a,ATOM/USDT,buy,10,4,5.1,2025-01-01T00:01:10Z,0.02,USDT,y\n"
    "2,a,ATOM/USDT,buy,10,4,5.1,2025-01-01T00:01:10Z,0.02,USDT,y\n"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("fills.csv").write_text(HEAD + FILLS)
    return tmp_path


def outcome(
    capsys: pytest.CaptureFixture[str], *words: object, verb: click.Command = command
) -> tuple[object, str, str]:  # fmt: skip
    with pytest.raises(SystemExit) as left:
        run(verb, [str(word) for word in words], prog_name="fillwright")
    out, err = capsys.readouterr()
    return left.value.code, out, err


def test_it_prints_what_was_recognised_and_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys, "fills.csv")
    assert (code, err) == (0, "")
    assert "fills.csv: 3 rows of fills (table)" in out
    assert "fill_id = trade_id, qty = filled_size, fee_currency = fee_coin, order_id, symbol, side" in out
    assert "not used  note" in out
    assert "1 executions of 1 orders, 2 fills, 2025-01-01T00:00:10 to 2025-01-01T00:01:10 UTC" in out
    assert "1 fills came again and count once" in out
    assert "no time of the order" in out
    assert "prices that the files do not have stay unknown" in out
    assert "next: fillwright analyze --execution-reports executions.ndjson" in out
    (report,) = read_reports(Path("executions.ndjson"))
    assert (report.filled_quantity, report.total_quantity, report.status) == (8, 10, "cancelled")


def test_the_next_step_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(capsys, "fills.csv", "--algorithm", "BrokerTWAP")[0] == 0
    code, out, _ = outcome(capsys, "--execution-reports", "executions.ndjson", verb=analyze)
    assert code == 0
    assert "BrokerTWAP" in out
    assert "fills: imported from fills.csv (table)" in out


def test_json_says_the_same_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys, "fills.csv", "--json", "--output", "x.ndjson")
    said = json.loads(out)
    assert (code, err, said["format"], said["executions"], said["fills"]) == (0, "", "table", 1, 2)
    assert said["files"][0]["columns"]["qty"] == "filled_size"
    assert said["repeated_fills"] == 1


def test_a_map_and_options_say_what_is_what(capsys: pytest.CaptureFixture[str]) -> None:
    Path("map.yaml").write_text("columns: {qty: menge, time: zeit}\nsides: {K: buy}\ntimezone: Europe/Berlin\n")
    Path("f.csv").write_text("order,menge,preis,zeit,richtung\na,4,5.0,2025-01-01 01:00:00,K\n")
    words = [
        "f.csv",
        "--map",
        "map.yaml",
        "--column",
        "price=preis",
        "--column",
        "side=richtung",
        "--symbol",
        "ATOM/USDT",
    ]
    assert outcome(capsys, *words)[0] == 0
    (report,) = read_reports(Path("executions.ndjson"))
    assert (report.symbol, report.side, report.start_ts_ns) == ("ATOM/USDT", "buy", 1_735_689_600_000_000_000)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.csv"], "error: nowhere.csv does not exist, or is not a file"),
        (["fills.csv", "--column", "qty"], "error: --column must be NAME=VALUE, was 'qty'"),
        (["fills.csv", "--column", "size=filled_size"], "the unknown field 'size'"),
        (["fills.csv", "--side", "K=up"], "sides[K] must be one of buy, sell, was 'up'"),
        (["fills.csv", "--fee-rate", "BNB=-1"], "fee_rates[BNB] must be a finite number above 0, was -1"),
        (["fills.csv", "--preset", "ibkr"], "--preset 'ibkr' is unknown: did you mean 'ibkr-flex'"),
        (["fills.csv", "--map", "m.yaml", "--preset", "ibkr-flex"], "--map and --preset are both given"),
        (["fills.csv", "--output", "fills.csv"], "fills.csv is one of the files to read: choose another --output"),
        (["fills.csv", "--data-dir", "nowhere"], "no market data is stored in nowhere"),
        (["fills.csv", "--timezone", "Mars"], "timezone must be a name such as Europe/Berlin, was 'Mars'"),
        (["fills.csv", "--multiplier", "0"], "multiplier must be a finite number above 0, was 0.0"),
        (["fills.csv", "--symbol", "BTC/USDT"], "no order of BTC/USDT; there are orders of ATOM/USDT"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], folder: Path, words: list[str], message: str
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code, out, err = outcome(capsys, *words)
    assert (code, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_bad_row_leaves_the_output_of_before_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    Path("executions.ndjson").write_text("before")
    Path("bad.csv").write_text(HEAD + FILLS + "3,a,ATOM/USDT,buy,10,2,,2025-01-01T00:02:10Z,0.02,USDT,y\n")
    code, _, err = outcome(capsys, "bad.csv")
    assert code == 1
    assert "bad.csv, line 5: price is missing" in err
    assert Path("executions.ndjson").read_text() == "before"
    assert outcome(capsys, "bad.csv", "--on-bad", "skip")[0] == 0
    (report,) = read_reports(Path("executions.ndjson"))
    assert report.filled_quantity == 8


def test_the_same_files_give_the_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    outcome(capsys, "fills.csv", "--output", "a.ndjson")
    outcome(capsys, "fills.csv", "--output", "b.ndjson")
    assert Path("a.ndjson").read_bytes() == Path("b.ndjson").read_bytes()


EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"


@pytest.mark.parametrize(
    ("files", "executions", "filled"),
    [
        (["fills.csv"], 2, 350.0), (["orders.csv", "fills.csv"], 3, 350.0), (["trades.json"], 2, 350.0),
        (["session.log"], 1, 200.0),
    ],
)  # fmt: skip
def test_the_example_files_are_read(
    capsys: pytest.CaptureFixture[str], files: list[str], executions: int, filled: float
) -> None:
    assert outcome(capsys, *(EXAMPLES / name for name in files))[0] == 0
    reports = list(read_reports(Path("executions.ndjson")))
    assert (len(reports), sum(one.filled_quantity for one in reports)) == (executions, filled)


def test_the_example_files_are_those_of_the_guide() -> None:
    guide = (EXAMPLES.parent / "foreign_fills.md").read_text(encoding="utf-8")
    for name in ("fills.csv", "orders.csv", "fills_map.yaml"):
        assert (EXAMPLES / name).read_text(encoding="utf-8") in guide, name
