"""The page of `fillwright plan`: what is on it, that it loads nothing, and how a browser shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from core.errors import ConfigError
from core.instrument import Instrument
from execution.contracts import ExecutionAlgorithm
from execution.executors import executor
from execution.pretrade.command import command
from execution.pretrade.forecast import Forecaster, Impact, Market
from execution.pretrade.orders import order_of, preview_words
from execution.pretrade.volume_outlook import VolumeOutlook
from execution.slippage import FixedBpsSlippageModel, SquareRootSlippageModel
from research.cli import data
from research.sample import write_sample
from tests.browser import Seen, seen
from tests.naive import START_NS
from tests.real_data import real

TOLD = (
    "--symbol",
    "XYZ/USD",
    "--side",
    "sell",
    "--quantity",
    "20000",
    "--price",
    "50",
    "--sigma",
    "2%",
    "--adv",
    "2e6",
)
CHARTS = ("distribution", "by-duration", "efficient-frontier", "trajectory")


def call(*words: str | Path) -> str:
    result = CliRunner().invoke(command, [str(word) for word in words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def made(path: Path, *words: str | Path) -> str:
    call(*words, "--html", path)
    return path.read_text(encoding="utf-8")


def spec(page: str, name: str) -> Any:
    found = re.search(
        rf'<div id="{name}" class="plot".*?<script type="application/json">(.*?)</script>', page, re.DOTALL
    )
    assert found is not None, name
    return json.loads(found[1])


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan page")
    write_sample(str(folder / "data"), end="2025-01-15")
    words = ("--symbol", "ATOM/USDT", "--side", "buy", "--quantity", "20000", "--data-dir", folder / "data")
    made(folder / "plan.html", *words)
    return folder / "plan.html"


# ---------------------------------------------------------------- what is on it


def test_everything_that_a_plan_is_stands_on_the_page(sample: Path) -> None:
    page = sample.read_text(encoding="utf-8")
    for words in (
        "Buy 20,000 ATOM/USDT", "SYNTHETIC data: these numbers say nothing of a real market", "expected cost",
        "one in twenty costs more than", "chance to be done", "recommended", "against the first", "fillwright preview",
        "SYNTHETIC bars of 60 s, sample ATOM/USDT, 2025-01-01", "7 days before", "not of this market",
    ):  # fmt: skip
        assert words in page
    for name in CHARTS:
        layout = spec(page, name)["layout"]
        for axis in ("xaxis", "yaxis"):
            text = layout[axis]["title"]["text"]
            unit = "," in text or layout[axis].get("type") == "category"
            assert unit, f"{name}: {axis} {text!r} has no unit"


def test_the_page_has_the_numbers_of_the_json(tmp_path: Path) -> None:
    page = made(tmp_path / "plan.html", *TOLD, "--duration", "4h")
    found = json.loads(call(*TOLD, "--duration", "4h", "--json"))
    best = found["recommended"]
    assert f"{best['mean_bps']:,.2f}<small> bps" in page
    assert f"{best['p95_bps']:,.2f}<small> bps" in page
    thin = [
        trace
        for trace in spec(page, "distribution")["data"]
        if trace["mode"] == "lines" and trace["line"]["width"] == 2
    ]
    assert sorted(t["x"][0] for t in thin) == pytest.approx(sorted(r["p5_bps"] for r in found["forecasts"]), rel=1e-6)
    line, marks = spec(page, "efficient-frontier")["data"]
    notional = found["order"]["notional"]
    assert line["x"] == pytest.approx([1e4 * p["sd"] / notional for p in found["frontier"]["points"]], rel=1e-6)
    assert marks["text"] == ["low", "medium", "high"]
    for trace in spec(page, "trajectory")["data"]:
        assert (trace["y"][0], trace["y"][-1]) == (100, pytest.approx(0, abs=1e-6))
        assert trace["y"] == sorted(trace["y"], reverse=True)


def test_without_a_frontier_and_with_one_duration_there_are_fewer_charts(tmp_path: Path) -> None:
    config = tmp_path / "execution.yaml"
    config.write_text("execution:\n  slippage:\n    model: fixed_bps\n", encoding="utf-8")
    page = made(tmp_path / "plan.html", *TOLD, "--duration", "4h", "--execution-config", config)
    ids = re.findall(r'<div id="([\w-]+)" class="plot"', page)
    assert ids == ["distribution", "trajectory"]
    assert "#frontier" not in page


def test_the_same_plan_is_the_same_page_to_the_byte(tmp_path: Path) -> None:
    assert made(tmp_path / "one.html", *TOLD) == made(tmp_path / "other.html", *TOLD)


def test_a_symbol_that_is_markup_is_shown_as_it_is_called(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>/USD"
    page = made(tmp_path / "plan.html", "--symbol", evil, *TOLD[2:])
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_page_loads_nothing_from_a_network(sample: Path) -> None:
    page = sample.read_text(encoding="utf-8")
    markup = re.sub(r"data:image/svg\+xml,[^\"]*", "", page)
    assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", markup) == []
    assert re.findall(r'(?:src|href)="([^"#]+)"', markup) == ["plotly.min.js"]
    assert sorted(path.name for path in sample.parent.iterdir()) == ["data", "plan.html", "plotly.min.js"]


def test_json_stays_alone_on_stdout_when_a_page_is_written_too(tmp_path: Path) -> None:
    out = call(*TOLD, "--json", "--html", tmp_path / "plan.html")
    assert json.loads(out)["order"]["symbol"] == "XYZ/USD"
    assert (tmp_path / "plan.html").is_file()


def test_a_folder_that_is_not_there_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--html: the folder .*nowhere does not exist"):
        made(tmp_path / "nowhere" / "plan.html", *TOLD)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- what it says can be done


def test_every_forecast_names_an_order_that_its_executor_takes_as_it_is() -> None:
    found = json.loads(call(*TOLD, "--json"))
    assert len(found["forecasts"]) == 25
    for row in found["forecasts"]:
        algo = ExecutionAlgorithm.from_dict(row["order"])
        assert (algo.algo_type, algo.duration_seconds, algo.total_quantity) == (row["algo"], row["duration_s"], 20_000)
        parent = executor(algo.algo_type, "tester", instrument=Instrument("XYZ/USD")).start(
            algo, start_ns=START_NS, price=50.0
        )
        assert parent.plan.quantity > 0


@pytest.mark.parametrize("urgency", ["low", "medium", "high"])
def test_is_as_recommended_trades_as_was_forecast(urgency: Any) -> None:
    market = Market(price=50.0, volatility=0.02, outlook=VolumeOutlook(2e6), spread_bps=4.0)
    impact = Impact(model=SquareRootSlippageModel(0.5))
    forecaster = Forecaster(quantity=20_000, market=market, impact=impact, urgency=urgency)
    algo = order_of(forecaster.forecast("IS", 14_400), forecaster, "XYZ/USD", "buy")
    worker = executor("IS", "tester", instrument=Instrument("XYZ/USD", lot="1"))
    targets = worker.start(algo, start_ns=START_NS, price=50.0).curve.targets
    shares = forecaster.schedule("IS", market.outlook.expected(14_400), 14_400)
    assert targets == pytest.approx(shares.cumsum() * 20_000, abs=1)


def test_where_speed_costs_nothing_is_goes_at_once() -> None:
    market = Market(price=50.0, volatility=0.02, outlook=VolumeOutlook(2e6), spread_bps=4.0)
    forecaster = Forecaster(quantity=20_000, market=market, impact=Impact(model=FixedBpsSlippageModel(5.0)))
    algo = order_of(forecaster.forecast("IS", 3_600), forecaster, "XYZ/USD", "buy")
    worker = executor("IS", "tester", instrument=Instrument("XYZ/USD", lot="1"))
    assert worker.start(algo, start_ns=START_NS, price=50.0).curve.targets[0] == 20_000


def test_an_iceberg_rests_at_the_limit_or_follows_the_touch() -> None:
    fixed = json.loads(call(*TOLD, "--limit", "51", "--json"))["recommended"]["order"]
    assert (fixed["algo_type"], fixed["params"]) == ("Iceberg", {"price": "fixed", "limit_price": 51.0})
    rows = json.loads(call(*TOLD, "--json"))["forecasts"]
    assert all(row["order"]["params"] == {"price": "peg"} for row in rows if row["algo"] == "Iceberg")


def test_the_command_can_be_pasted_into_a_shell() -> None:
    algo = ExecutionAlgorithm("IS", "A B/USD", "buy", 1234.5, 900, {"half_life_seconds": 450.0, "slice_count": 24})
    assert preview_words(algo, "--data-dir", "my data") == (
        "fillwright preview --algo IS --symbol 'A B/USD' --side buy --quantity 1234.5 --duration 900s "
        "--param half_life_seconds=450 --param slice_count=24 --data-dir 'my data'"
    )


# ---------------------------------------------------------------- in a browser


def check(found: Seen, width: int) -> None:
    assert found.said == []
    assert found.width <= width, "the page is wider than its window"
    assert found.plots == len(CHARTS)
    assert found.drawn == found.plots


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_browser_shows_the_page_without_complaint(sample: Path, width: int, scheme: Any) -> None:
    check(seen(sample, width=width, scheme=scheme), width)


def test_real_bars_are_planned_and_shown(tmp_path: Path) -> None:
    file = real("binance_spot_1m_202104_05.parquet")
    words = [
        "import", str(file), "--map", "ts_open=open_time_ms", "--where", "symbol=ATOMUSDT", "--symbol", "ATOM/USDT",
        "--venue", "binance", "--tick", "0.001", "--lot", "0.01", "--data-dir", str(tmp_path / "data"),
    ]  # fmt: skip
    CliRunner().invoke(data, words, catch_exceptions=False, standalone_mode=False)
    order = ("--symbol", "ATOM/USDT", "--side", "sell", "--quantity", "20000", "--data-dir", tmp_path / "data")
    page = made(tmp_path / "plan.html", *order, "--urgency", "high")
    assert "real bars of 60 s, binance ATOM/USDT, 2021-04-20T20:39 to 2021-05-20T20:38 UTC" in page
    assert "SYNTHETIC" not in page
    assert "<h2>IS over 4h</h2>" in page
    check(seen(tmp_path / "plan.html", width=390), 390)
