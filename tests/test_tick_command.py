"""`fillwright backtest --fills trades|quotes|book`: bars decide or trades are heard, recorded events fill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backtest.runner import command
from core.chance import generator
from core.console import run
from execution.reports import read_reports
from execution.run_files import REPORTS
from research.store import Store

ROOT = Path(__file__).resolve().parents[1]
SYMBOL = "ATOM/USDT"
START_NS = 1_735_689_600_000_000_000
MINUTE_NS = 60_000_000_000
MINE = """
from dataclasses import dataclass
from strategies.base import Strategy, TickStrategy

@dataclass(frozen=True, slots=True)
class Params:
    every: int = 300

class Hears(TickStrategy[Params]):
    strategy_id = "hears"
    params_type = Params
    heard = 0

    def on_trade(self, ts_ns, price, qty, side, account):
        self.heard += 1
        if self.heard % self.params.every:
            return ()
        known = account()
        wanted = "sell" if known.position_qty + known.working_qty > 0 else "buy"
        return [self.parent(known, wanted, 30.0, duration_seconds=120)]

class Sees(Strategy[Params]):
    strategy_id = "sees"
    params_type = Params
    seen = 0

    def on_bar(self, bar, account):
        self.seen += 1
        return [self.parent(account, "buy", 5.0, duration_seconds=60)] if self.seen % 10 == 0 else []
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half an hour of bars, and of trades with a quote and a book just before each."""
    folder = tmp_path_factory.mktemp("ticks")
    draw, n = generator("tick command"), 1500
    ts = START_NS + 1_000_000 * draw.integers(200, 2200, n).cumsum()
    mid, side = 6500 + draw.integers(-1, 2, n).cumsum(), draw.integers(0, 2, n)
    bid, ask = (mid - 1) / 1000, (mid + 1) / 1000
    shown = {"bid_qty": [400.0] * n, "ask_qty": [400.0] * n}
    trades: dict[str, Any] = {
        "ts_ns": ts,
        "price": (mid + 2 * side - 1) / 1000,
        "qty": draw.integers(1000, 9000, n) / 100,
    }
    trades["side"] = ["buy" if one else "sell" for one in side.tolist()]
    quotes = {"ts_ns": ts - 1, "bid": bid, "ask": ask, **shown}
    flat = dict.fromkeys(("open", "high", "low", "close"), [6.5] * 30) | {"volume": [1000.0] * 30}
    opens = [START_NS + k * MINUTE_NS for k in range(30)]
    bars = {"ts_open_ns": opens, "ts_close_ns": [at + MINUTE_NS for at in opens], **flat}
    store = Store(folder / "store")
    for kind, columns in (("trades", trades), ("quotes", quotes), ("ohlcv_1m", bars)):
        frame = pl.DataFrame(columns)
        store.commit(
            frame, venue="paper", symbol=SYMBOL, kind=kind, source="test", instrument={"tick": "0.001", "lot": "0.01"}
        )
    levels: dict[str, Any] = {"side": ["bid", "ask"] * n, "qty": [400.0] * (2 * n), "is_snapshot": [True] * (2 * n)}
    levels |= {"ts_ns": (ts - 1).repeat(2), "price": [one for pair in zip(bid, ask, strict=True) for one in pair]}
    pl.DataFrame(levels).write_parquet(folder / "depth.parquet")
    return folder


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tick_command_strategies.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def call(data: Path, *args: object, strategy: str = "Hears") -> int:
    words = ["--strategy", f"tick_command_strategies:{strategy}", "--symbol", SYMBOL, "--data-dir", data / "store"]
    words += ["--risk-config", ROOT / "config" / "risk.yaml", "--execution-config", ROOT / "config" / "execution.yaml"]
    words += ["--output-dir", "out", "--no-report", *args]
    with pytest.raises(SystemExit) as leaving:
        run(command, [str(word) for word in words], prog_name="fillwright backtest")
    assert isinstance(leaving.value.code, int)
    return leaving.value.code


@pytest.mark.parametrize("strategy", ["Hears", "Sees"])
@pytest.mark.parametrize(
    ("fills", "content"), [("trades", "trades"), ("quotes", "quotes and trades"), ("book", "book and trades")]
)
def test_a_run_on_events_writes_what_a_run_on_bars_does_and_says_what_filled_it(
    strategy: str, fills: str, content: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--depth", data / "depth.parquet", "--twin") if fills == "book" else ()
    assert call(data, "--fills", fills, *more, strategy=strategy) == 0, capsys.readouterr().err
    assert f"filled by recorded {content}" in " ".join(capsys.readouterr().out.split())
    reports = list(read_reports(Path("out") / REPORTS))
    assert sum(len(report.fills) for report in reports) > 3
    assert {report.settings["fill_model"].partition(":")[0] for report in reports} == {content}
    if strategy == "Sees":
        assert {report.start_ts_ns % MINUTE_NS for report in reports} == {0}
    equity = pl.read_parquet(Path("out") / "equity.parquet")
    assert equity["position"][-1] == pytest.approx(
        sum((1 if report.side == "buy" else -1) * report.filled_quantity for report in reports)
    )


@pytest.mark.parametrize(
    ("args", "strategy", "told"),
    [
        ((), "Hears", "strategy hears hears trades: add --fills trades (or quotes, or book)"),
        (("--fills", "book"), "Hears", "--fills book needs --depth FILE"),
        (("--fills", "trades", "--router", "rules"), "Sees", "--router rules chooses on bars only"),
        (("--fills", "book", "--depth", "no.parquet"), "Sees", "no.parquet does not exist"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    args: tuple[str, ...], strategy: str, told: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(data, *args, strategy=strategy) == 1
    error = capsys.readouterr().err.strip()
    assert told in error
    assert error.count("\n") == 0


@pytest.mark.parametrize("kind", ["trades", "quotes"])
def test_a_kind_that_is_not_stored_names_the_command_that_adds_it(
    kind: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "store")
    have = "ohlcv_1m" if kind == "trades" else "trades"
    there = Store(data / "store")
    (dataset,) = [one for one in there.datasets() if one.kind == have]
    store.commit(there.scan(dataset).collect(), venue="paper", symbol=SYMBOL, kind=have, source="test")
    assert call(tmp_path, "--fills", kind, strategy="Sees") == 1
    error = capsys.readouterr().err
    assert f"no {kind} of {SYMBOL}" in error
    assert f"fillwright data import FILE --kind {kind} --symbol {SYMBOL}" in error


def test_a_book_without_its_columns_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl.DataFrame({"ts_ns": [START_NS], "price": [1.0], "qty": [1.0]}).write_parquet("wrong.parquet")
    assert call(data, "--fills", "book", "--depth", "wrong.parquet") == 1
    assert "wrong.parquet: column side is missing; a book is a table with ts_ns" in capsys.readouterr().err
