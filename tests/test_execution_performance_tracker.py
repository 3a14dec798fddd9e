"""The performance tracker, line by line of the specification, 8.9."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd
import pytest

from core.contracts import Side, sign
from execution.contracts import ExecutionReport
from execution.costs.completion import completed
from execution.costs.market_record import MarketRecord
from execution.performance import AGAINST, ExecutionPerformanceTracker
from execution.tca import PARTS
from research.data_reader import DataReader
from research.sample import write_sample
from tests import golden
from tests.test_execution_tca import MINUTE_NS, START_NS, check_identity, example, fill, report
from tests.test_execution_tca_market import at, tape

SECOND_NS = 1_000_000_000


# ---- the specification, 8.9, line by line


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> DataReader:
    """Three days of the sample market."""
    folder: Path = tmp_path_factory.mktemp("data")
    write_sample(folder, start="2025-01-01", end="2025-01-04")
    return DataReader(folder)


def test_the_four_methods_have_the_signatures_of_the_specification() -> None:
    wanted = {
        "__init__": ["self", "data_reader"],
        "calculate_implementation_shortfall": ["self", "report", "arrival_price"],
        "compare_to_benchmark": ["self", "report", "benchmark"],
        "analyze_algorithm_performance": ["self", "reports"],
        "score_venue_quality": ["self", "venue", "symbol", "lookback_days"],
    }
    for name, parameters in wanted.items():
        method = inspect.signature(getattr(ExecutionPerformanceTracker, name))
        positional = [each.name for each in method.parameters.values() if each.kind is not each.KEYWORD_ONLY]
        assert positional == parameters, name
    assert inspect.signature(ExecutionPerformanceTracker.score_venue_quality).parameters["lookback_days"].default == 30
    returned = get_type_hints(ExecutionPerformanceTracker.calculate_implementation_shortfall)["return"]
    assert returned == dict[str, float]


def test_implementation_shortfall_is_calculated_to_the_cent() -> None:
    found = ExecutionPerformanceTracker(None).calculate_implementation_shortfall(example("G3"), 50.10)

    assert set(found) >= {"total_shortfall_bps", "market_impact_bps", "timing_cost_bps", "fees_bps"}
    assert found["total_shortfall_bps"] == pytest.approx(65.08)
    assert found["market_impact_bps"] == pytest.approx(12.0921, abs=5e-5)
    assert found["timing_cost_bps"] == pytest.approx(11.9079, abs=5e-5)
    assert found["fees_bps"] == pytest.approx(0.28)
    assert found["shortfall"] == pytest.approx(32_540)
    parts = ("delay", "spread", "market_impact", "opportunity", "fees")
    total = math.fsum(found[f"{name}_bps"] for name in parts) + found["timing_cost_bps"]
    assert total == pytest.approx(found["total_shortfall_bps"], rel=1e-12)


def plain(**fields: Any) -> ExecutionReport:
    """A report with the fields of the specification alone."""
    return ExecutionReport(
        **{
            "execution_id": "x",
            "symbol": "ATOM/USDT",
            "total_quantity": 100.0,
            "filled_quantity": 100.0,
            "remaining_quantity": 0.0,
            "avg_fill_price": 101.0,
            "total_fees": 10.0,
            "slices_completed": 10,
            "slices_total": 10,
            "status": "completed",
            "start_ts_ns": START_NS,
            "end_ts_ns": START_NS + MINUTE_NS,
            **fields,
        }
    )


@pytest.mark.parametrize(("side", "wanted"), [("buy", 100.0), ("sell", -100.0)])
def test_a_report_of_the_specifications_fields_alone_is_measured_from_the_arrival_price(
    side: Side, wanted: float
) -> None:
    found = ExecutionPerformanceTracker(None).calculate_implementation_shortfall(plain(side=side), 100.0)

    assert found["arrival_slippage_bps"] == pytest.approx(wanted)
    assert found["timing_cost_bps"] == pytest.approx(wanted)  # nobody says what of it was impact
    assert math.isnan(found["market_impact_bps"])
    assert found["fees_bps"] == pytest.approx(10)
    assert found["total_shortfall_bps"] == pytest.approx(wanted + 10)


def test_zero_slippage_is_zero() -> None:
    tracker = ExecutionPerformanceTracker(None)
    one = plain(avg_fill_price=100.0, total_fees=0.0, arrival_price=100.0, benchmark_vwap=100.0)

    assert tracker.calculate_implementation_shortfall(one, 100.0)["total_shortfall_bps"] == 0
    assert tracker.compare_to_benchmark(one, "arrival") == 0
    assert tracker.compare_to_benchmark(one, "vwap") == 0


def test_an_execution_that_failed_to_fill_costs_what_it_missed_and_not_zero() -> None:
    tracker = ExecutionPerformanceTracker(None)  # pitfall 30
    nothing: dict[str, Any] = {
        "filled_quantity": 0.0,
        "remaining_quantity": 100.0,
        "avg_fill_price": 0.0,
        "total_fees": 0.0,
        "status": "failed",
    }

    missed = tracker.calculate_implementation_shortfall(plain(**nothing, end_price=102.0), 100.0)
    assert missed["total_shortfall_bps"] == pytest.approx(200)
    assert missed["opportunity_bps"] == pytest.approx(200)
    unknown = tracker.calculate_implementation_shortfall(plain(**nothing), 100.0)
    assert math.isnan(unknown["total_shortfall_bps"])
    assert all(math.isnan(tracker.compare_to_benchmark(plain(**nothing), name)) for name in AGAINST)


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_an_arrival_price_that_is_none_is_refused(price: float) -> None:
    with pytest.raises(ValueError, match="arrival_price"):
        ExecutionPerformanceTracker(None).calculate_implementation_shortfall(plain(), price)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_benchmark_comparisons_are_the_known_values_of_g7(side: Side) -> None:
    fills = [fill(30, 100.1, side=side), fill(50, 99.9, n=1, side=side)]
    own = replace(report(80, fills, side=side), end_ts_ns=at(59))
    own = completed(replace(own, fills=tuple(replace(one, ts_fill_ns=at(59)) for one in own.fills)), tape())
    tracker = ExecutionPerformanceTracker(None)
    wanted = {row["number"]: float(row["value"]) for row in golden.rows("tca_tape_prices.csv")}
    s = sign(side)

    assert tracker.compare_to_benchmark(own, "vwap") == pytest.approx(s * wanted["vwap_slippage_bps"], abs=5e-6)
    assert tracker.compare_to_benchmark(own, "vwap_own") == pytest.approx(s * wanted["vwap_own_slippage_bps"], abs=5e-6)
    assert tracker.compare_to_benchmark(own, "arrival") == pytest.approx(s * -2.5, abs=1e-6)
    with pytest.raises(ValueError, match="did you mean 'vwap'"):
        tracker.compare_to_benchmark(own, "vwpa")  # type: ignore[arg-type]


def sampled(reader: DataReader, n: int = 6) -> list[ExecutionReport]:
    """Foreign fills on the sample market: they know prices, quantities and times."""
    first = reader.dataset("ATOM/USDT").start_ns + 36 * 3600 * SECOND_NS
    market = tracker_market(reader, first)
    out = []
    for k in range(n):
        side: Side = "buy" if k % 2 else "sell"
        start = first + k * 3600 * SECOND_NS
        parts = []
        for j in range(4):
            ts = start + j * 5 * MINUTE_NS
            price = float(market.mid_before(ts)) + sign(side) * 0.002
            parts.append(replace(fill(200.0, price, n=j, side=side, fee=0.1), ts_fill_ns=ts, fill_id=f"{k}-{j}"))
        one = report(800.0, parts, side=side, execution_id=f"x{k}", start_ts_ns=start, venue="sample")
        out.append(replace(one, end_ts_ns=start + 20 * MINUTE_NS, algo_type="TWAP" if k < n // 2 else "POV"))
    return out


def tracker_market(reader: DataReader, ts_ns: int) -> MarketRecord:
    from execution.costs.completion import read_market

    return read_market(reader, "ATOM/USDT", ts_ns, ts_ns + 86_400 * SECOND_NS)


def test_foreign_fills_are_completed_and_attributed_from_the_store(reader: DataReader) -> None:
    tracker = ExecutionPerformanceTracker(reader)
    found = tracker.measurement(sampled(reader)[0])

    assert found.impact_method.startswith("participation: propagator, exponent 0.5, Y 0.8")
    assert found.cost.measured
    assert all(not math.isnan(part) for part in found.cost.parts)
    assert found.cost.parts.spread == pytest.approx(0.002 * 800, rel=1e-6)
    assert found.cost.parts.impact > 0
    check_identity(found.cost)
    assert math.isnan(found.quality.markout["all"]["1s"].bps)
    assert math.isfinite(found.quality.markout["all"]["5m"].bps)
    assert "market_too_coarse" in found.flags


def test_algorithm_performance_is_a_frame_with_one_row_per_algorithm_and_venue(reader: DataReader) -> None:
    frame = ExecutionPerformanceTracker(reader).analyze_algorithm_performance(sampled(reader))

    assert isinstance(frame, pd.DataFrame)
    assert frame["algo_type"].tolist() == ["POV", "TWAP"]
    assert frame["executions"].tolist() == [3, 3]
    for row in frame.to_dict("records"):
        assert math.fsum(row[f"{name}_bps"] for name in PARTS) == pytest.approx(row["shortfall_bps"])
        assert math.isfinite(row["vwap_slippage_bps"])
        assert math.isfinite(row["markout_5m_bps"])
        assert row["shortfall_orders_for_1bp"] > 0
    empty = ExecutionPerformanceTracker(None).analyze_algorithm_performance([])
    assert list(empty.columns) == list(frame.columns)
    assert len(empty) == 0


def test_algorithm_means_are_ratios_of_sums() -> None:
    small = report(1, [fill(1, 101.0, half_spread=0.0, impact=0.0)], decision_price=100.0, arrival_price=100.0)
    large = report(99, [fill(99, 100.0, half_spread=0.0, impact=0.0)], decision_price=100.0, arrival_price=100.0)
    frame = ExecutionPerformanceTracker(None).analyze_algorithm_performance(  # pitfall 30
        [small, replace(large, execution_id="y")]
    )

    assert frame["shortfall_bps"].tolist() == pytest.approx([1.0])
    assert frame["arrival_slippage_bps"].tolist() == pytest.approx([1.0])


def test_a_symbol_without_market_data_is_measured_from_its_report_alone_and_flagged(reader: DataReader) -> None:
    stranger = replace(example("G3"), symbol="GOLD/USD")
    found = ExecutionPerformanceTracker(reader).measurement(stranger)

    assert "no_market_record" in found.flags
    assert found.cost.shortfall == pytest.approx(32_540)


def test_the_same_execution_counts_once_however_often_it_is_reported() -> None:
    tracker = ExecutionPerformanceTracker(None, reports=[example("G3")])
    tracker.add(example("G3"), replace(example("G4"), execution_id="other"))

    assert [one.execution_id for one in tracker.reports] == ["x", "other"]


def at_venue(name: str, price: float, *, n: int, filled: float = 10.0, day: int = 0) -> ExecutionReport:
    """Ten ordered from 100, bought at a price, sent 5 ms before."""
    start = START_NS + day * 86_400 * SECOND_NS
    parts = [
        replace(
            fill(filled, price),
            fill_id=f"{name}-{n}",
            order_id=f"{name}-{n}",
            ts_fill_ns=start + 5_000_000,
            meta={"scheduled_ts_ns": start},
        )
    ]
    one = report(10, parts, execution_id=f"{name}-{n}", arrival_price=100.0, end_price=100.0)
    return replace(one, venue=name, start_ts_ns=start, end_ts_ns=start + MINUTE_NS)


def test_a_venue_is_scored_by_slippage_fill_rate_and_latency() -> None:
    tracker = ExecutionPerformanceTracker(None)
    for n in range(40):
        tracker.add(at_venue("dear", 100.1, n=n, day=n % 20), at_venue("cheap", 100.02, n=n, filled=9.0, day=n % 20))
    dear, cheap = (tracker.score_venue_quality(name, "ATOM/USDT") for name in ("dear", "cheap"))

    assert list(dear)[:3] == ["avg_slippage_bps", "fill_rate", "avg_latency_ms"]
    assert dear["avg_slippage_bps"] == pytest.approx(10, rel=0.05)
    assert cheap["avg_slippage_bps"] == pytest.approx(2, rel=0.1)
    assert (dear["fill_rate"], cheap["fill_rate"]) == pytest.approx((1, 0.9), abs=0.02)
    assert dear["avg_latency_ms"] == pytest.approx(5)
    assert dear["executions"] == 40


def test_a_venue_is_scored_over_the_days_asked_for_and_an_unknown_one_from_nothing() -> None:
    tracker = ExecutionPerformanceTracker(None, reports=[at_venue("one", 100.1, n=n, day=10 * n) for n in range(9)])

    assert tracker.score_venue_quality("one", "ATOM/USDT")["executions"] == 4
    assert tracker.score_venue_quality("one", "ATOM/USDT", 1)["executions"] == 1
    nothing = tracker.score_venue_quality("one", "BTC/USDT")
    assert nothing["executions"] == 0
    assert math.isnan(nothing["avg_slippage_bps"])
    with pytest.raises(ValueError, match="lookback_days"):
        tracker.score_venue_quality("one", "ATOM/USDT", 0)


def test_a_venue_is_scored_with_the_market_beside_it(reader: DataReader) -> None:
    tracker = ExecutionPerformanceTracker(reader, reports=sampled(reader))
    found = tracker.score_venue_quality("sample", "ATOM/USDT")

    assert math.isfinite(found["avg_slippage_bps"])
    assert math.isfinite(found["markout_5m_bps"])
