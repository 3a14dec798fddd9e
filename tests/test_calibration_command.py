"""`fillwright calibrate`: executions of the simulator give its coefficient back, and settings can name it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from core.contracts import Side
from core.errors import ConfigError, DataError
from execution.calibrate import command
from execution.config import FillConfig, load
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.costs.observations import observe
from execution.reports import write_reports
from execution.simulator import ExecutionSimulator
from execution.slippage import FixedBpsSlippageModel, SquareRootSlippageModel, slippage_model
from research.calibration.result import read_slippage, write
from research.data_reader import DataReader
from research.sample import write_sample
from tests.test_calibration_market import write_market

DAY_NS = 86_400_000_000_000
MINUTE_NS = 60_000_000_000
PLANTED = 3.0  # far from the prior's median, so that the prior cannot be what comes back
SYMBOL = "ATOM/USDT"
EXECUTION = """\
execution:
  slippage:
    calibration: {file}
    permanent_share: 0.2
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_sample(folder, end="2025-01-26")
    return folder


@pytest.fixture(scope="module")
def reports(data_dir: Path) -> list[ExecutionReport]:
    """Three parents a day, of 0.3 to 9 % of a day's volume over three hours, each in its own world."""
    reader = DataReader(data_dir)
    simulator = ExecutionSimulator(
        SquareRootSlippageModel(PLANTED), reader, fills=FillConfig(max_participation=1.0), permanent_share=1 / 3
    )
    found: list[ExecutionReport] = []
    first = reader.dataset(SYMBOL).start_ns + 8 * DAY_NS
    for n in range(51):
        start = first + n // 3 * DAY_NS + (2 + 7 * (n % 3)) * 60 * MINUTE_NS
        bars = reader.read_ohlcv(SYMBOL, "1m", start, start + 190 * MINUTE_NS)
        side: Side = "buy" if (n * 7) % 3 else "sell"
        size = 20_000.0 * (1 + n % 5) ** 2
        params = {"order_type": "market", "slice_count": 30}
        algo = ExecutionAlgorithm("TWAP", SYMBOL, side, size, 3 * 3600, params)
        report = simulator.simulate_execution(algo, bars)
        found.append(replace(report, execution_id=f"x{n}"))
    return found


@pytest.fixture
def file(tmp_path: Path, reports: list[ExecutionReport]) -> Path:
    write_reports(tmp_path / "executions.ndjson", reports)
    return tmp_path / "executions.ndjson"


def calibrate(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=True)
    if code:
        assert done.exception is not None
        return str(done.exception)
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.stdout


def test_the_simulators_coefficient_comes_back(file: Path, data_dir: Path, tmp_path: Path) -> None:
    output = tmp_path / "calibration.yaml"
    said = json.loads(calibrate("executions", file, "--data-dir", data_dir, "--output", output, "--json"))

    fitted = said["laws"]["square_root"]["coefficient"]
    assert fitted["interval"][0] < PLANTED < fitted["interval"][1]
    assert fitted["standard_error"] < PLANTED / 3
    assert said["use"] == "square_root"
    assert said["slippage"]["impact_coefficient"] == said["coefficient"]["value"]
    assert said["orders"] == 51
    assert said["days"] == 17
    assert any("SYNTHETIC" not in line and "simulated" in line for line in said["warnings"])
    on_disk = yaml.safe_load(output.read_text())
    assert on_disk["slippage"] == said["slippage"]
    assert on_disk["data"] == said["data"]
    assert len(on_disk["data"][0]["data_id"]) == 16


def test_the_same_command_writes_the_same_bytes(file: Path, data_dir: Path, tmp_path: Path) -> None:
    texts = []
    for name in ("a.yaml", "b.yaml"):
        calibrate("executions", file, "--data-dir", data_dir, "--output", tmp_path / name, "--resamples", 200)
        texts.append((tmp_path / name).read_bytes())
    assert texts[0] == texts[1]


def test_people_get_tables_with_the_verdict(file: Path, data_dir: Path, tmp_path: Path) -> None:
    text = calibrate("executions", file, "--data-dir", data_dir, "--output", tmp_path / "c.yaml", "--resamples", 200)

    for words in (
        "use: square_root",
        "beats a constant",
        "later orders",
        "prior: lognormal",
        "51 executions on 17 days",
    ):
        assert words in text


def test_settings_take_what_the_calibration_found(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    settings = tmp_path / "config" / "execution.yaml"
    settings.write_text(EXECUTION.format(file="../c.yaml"))
    write(tmp_path / "c.yaml", {"kind": "market", "slippage": {"model": "square_root", "impact_coefficient": 0.7}})
    found = load(settings).slippage

    assert found.impact_coefficient == 0.7
    assert found.permanent_share == 0.2  # what the file does not say stays
    assert found.calibration == read_slippage(tmp_path / "c.yaml")[1]
    model = slippage_model(found)
    assert isinstance(model, SquareRootSlippageModel)

    write(tmp_path / "c.yaml", {"kind": "executions", "slippage": {"model": "fixed_bps", "fixed_bps": 3.5}})
    constant = slippage_model(load(settings).slippage)
    assert isinstance(constant, FixedBpsSlippageModel)
    assert constant.bps == 3.5


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "c.yaml: no such file"),
        ("hello: 1\n", "is not a calibration"),
        ("kind: market\nslippage: {model: cubic}\n", "model: must be one of"),
        ("kind: market\nslippage: {impact_coefficient: -1}\n", "impact_coefficient: must be"),
    ],
)
def test_settings_with_a_calibration_that_is_none_say_which_file(
    tmp_path: Path, text: str | None, line: str
) -> None:  # fmt: skip
    (tmp_path / "execution.yaml").write_text(EXECUTION.format(file="c.yaml"))
    if text is not None:
        (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=line) as caught:
        load(tmp_path / "execution.yaml")
    assert "c.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_conditions_are_those_before_each_order(reports: list[ExecutionReport], data_dir: Path) -> None:
    """Bars from the start of an order on change nothing of what is known about the market at its start (pitfall 24)."""
    reader = DataReader(data_dir)
    one = [replace(report, venue="sample") for report in reports[:12]]
    seen = observe(one, reader)
    last = one[-1]

    class Past(DataReader):
        def bars(self, symbol, timeframe="1m", start_ns=None, end_ns=None, *, venue=None):  # type: ignore[no-untyped-def]
            bars = super().bars(symbol, timeframe, start_ns, end_ns, venue=venue)
            future = bars.ts_open_ns >= last.start_ts_ns
            columns = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")}
            for name, column in columns.items():
                column[future] *= 3 if name != "volume" else 7
            return replace(bars, **columns)

    spoiled = observe(one, Past(data_dir))
    assert spoiled.orders.volatility.tolist() == seen.orders.volatility.tolist()
    assert spoiled.orders.size.tolist() == seen.orders.size.tolist()
    assert spoiled.orders.days[-1] == pytest.approx(7 * seen.orders.days[-1])


def test_what_cannot_be_used_is_counted(reports: list[ExecutionReport], data_dir: Path) -> None:
    nan = math.nan
    odd: Sequence[ExecutionReport] = [
        replace(reports[0], execution_id="a", status="running"),
        replace(reports[1], execution_id="b", filled_quantity=0.0, fills=(), avg_fill_price=nan),
        replace(reports[2], execution_id="c", arrival_price=nan),
        replace(reports[3], execution_id="d", start_ts_ns=0),
    ]
    seen = observe([*reports, *odd], DataReader(data_dir))

    assert len(seen.orders) == 51
    assert seen.left_out == {
        "still running": 1, "without fills": 1, "without an arrival price": 1, "without stored bars before them": 1
    }  # fmt: skip
    with pytest.raises(DataError, match="none of the 4 executions can be used: 1 still running"):
        observe(odd, DataReader(data_dir))


def test_unfilled_quantity_is_fitted_too_and_warned_of(reports: list[ExecutionReport], data_dir: Path) -> None:
    half = [
        replace(
            report,
            total_quantity=2 * report.filled_quantity,
            remaining_quantity=report.filled_quantity,
            end_price=report.arrival_price * (1.02 if report.side == "buy" else 0.98),
        )
        for report in reports
    ]
    seen = observe(half, DataReader(data_dir))

    assert seen.ordered is not None
    assert seen.ordered.size.tolist() == pytest.approx((2 * seen.orders.size).tolist())
    missed = 0.02 / seen.orders.volatility
    assert seen.ordered.cost.tolist() == pytest.approx((seen.orders.cost / 2 + missed / 2).tolist())
    assert any("50% of what was ordered was not filled" in line for line in seen.warnings)
    whole = [report for report in reports if report.filled_quantity == report.total_quantity]
    assert observe(whole, DataReader(data_dir)).ordered is None


def test_errors_are_one_line(file: Path, data_dir: Path, tmp_path: Path, reports: list[ExecutionReport]) -> None:
    store = ("--data-dir", data_dir, "--output", tmp_path / "c.yaml")
    assert "no execution in 'ATOM/USD': did you mean 'ATOM/USDT'" in calibrate(
        "executions", file, "--symbol", "ATOM/USD", *store, code=1
    )
    assert "no market data is stored" in calibrate("executions", file, "--data-dir", tmp_path / "none", code=1)
    assert "does not exist" in calibrate("executions", tmp_path / "nothing.ndjson", *store, code=1)
    assert "choose another --output" in calibrate("executions", file, "--output", file, code=1)
    assert "no trades data for ATOM/USDT" in calibrate("market", "--symbol", SYMBOL, *store, code=1)
    write_reports(file, reports[:4])
    assert "4 usable orders are too few to calibrate on" in calibrate("executions", file, *store, code=1)
    assert not (tmp_path / "c.yaml").exists()


def test_a_market_is_measured_and_written(tmp_path: Path) -> None:
    write_market(tmp_path / "data", sides=True)
    store = ("--data-dir", tmp_path / "data", "--output", tmp_path / "m.yaml", "--resamples", 200)
    text = calibrate("market", "--symbol", "X/Y", *store)
    said = json.loads(calibrate("market", "--symbol", "X/Y", *store, "--json"))

    assert "signed volume (Kyle)" in text
    assert f"use: {said['use']}" in text
    assert said["kyle"]["interval"][0] < 1e-3 < said["kyle"]["interval"][1]
    assert {one["kind"] for one in said["data"]} == {"trades", "quotes"}
    assert read_slippage(tmp_path / "m.yaml")[0] == said["slippage"]
