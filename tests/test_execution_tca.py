"""Costs of one execution: worked examples, the identity, the mirror, and what is unknown."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import FillEvent, Liquidity, Side, sign
from execution.contracts import ExecutionReport, average_price
from execution.costs.measurement import FLAGS as MARKET_FLAGS
from execution.tca import BENCHMARKS, FLAGS, PARTS, ExecutionCost, measure, pooled

GOLDEN = Path(__file__).parent / "golden"
START_NS = 1_735_725_600_000_000_000
MINUTE_NS = 60_000_000_000


def fill(
    qty: float,
    price: float,
    *,
    n: int = 0,
    side: Side = "buy",
    fee: float = 0.0,
    liquidity: Liquidity = "taker",
    **meta: Any,
) -> FillEvent:
    return FillEvent(
        f"f{n}", f"x-{n}", "ATOM/USDT", side, qty, price, START_NS + (n + 1) * MINUTE_NS, fee, liquidity, meta
    )


def report(
    quantity: float,
    fills: Sequence[FillEvent] = (),
    *,
    execution_id: str = "x",
    side: Side = "buy",
    status: Literal["running", "completed", "cancelled", "failed"] = "completed",
    algo: Literal["TWAP", "VWAP", "Iceberg", "POV", "MARKET"] = "TWAP",
    start_ts_ns: int = START_NS,
    **fields: Any,
) -> ExecutionReport:
    filled = math.fsum(one.qty for one in fills)
    return ExecutionReport(
        **{
            "execution_id": execution_id,
            "symbol": "ATOM/USDT",
            "total_quantity": quantity,
            "filled_quantity": filled,
            "remaining_quantity": max(0.0, quantity - filled),
            "avg_fill_price": average_price(fills),
            "total_fees": math.fsum(one.fee for one in fills),
            "slices_completed": len(fills),
            "slices_total": len(fills),
            "status": status,
            "start_ts_ns": start_ts_ns,
            "end_ts_ns": None if status == "running" else start_ts_ns + 10 * MINUTE_NS,
            "side": side,
            "algo_type": algo,
            "venue": "paper",
            "strategy_id": "trendline_break_v1",
            "fills": tuple(fills),
            **fields,
        }
    )


def golden(name: str) -> list[dict[str, str]]:
    with (GOLDEN / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def example(name: str, *, mirrored: bool = False) -> ExecutionReport:
    """A worked example from the tables; mirrored: a sell, with every price p at 100 - p."""
    (inputs,) = (line for line in golden("tca_inputs.csv") if line["example"] == name)
    side: Side = "sell" if mirrored else "buy"

    def price(text: str) -> float:
        return 100 - float(text) if mirrored else float(text)

    fills = [
        fill(
            float(line["qty"]),
            price(line["price"]),
            n=n,
            side=side,
            fee=float(line["fee"]),
            liquidity="maker" if line["liquidity"] == "maker" else "taker",
            **{key: float(line[key]) for key in ("half_spread", "impact") if line[key]},
        )
        for n, line in enumerate(line for line in golden("tca_fills.csv") if line["example"] == name)
    ]
    return report(
        float(inputs["quantity"]),
        fills,
        side=side,
        decision_price=price(inputs["decision_price"]),
        arrival_price=price(inputs["arrival_price"]),
        end_price=price(inputs["end_price"]),
    )


def check_identity(cost: ExecutionCost) -> None:
    scale = max(abs(cost.shortfall), *(abs(part) for part in cost.parts if not math.isnan(part)), 1e-300)
    assert abs(cost.parts.total - cost.shortfall) <= 1e-9 * scale


@pytest.mark.parametrize("mirrored", [False, True], ids=["buy", "sell at 100 - price"])
@pytest.mark.parametrize("line", golden("tca_parts.csv"), ids=lambda line: f"{line['example']} {line['number']}")
def test_worked_examples_come_out_to_the_cent_for_buys_and_for_sells(line: dict[str, str], mirrored: bool) -> None:
    cost = measure(example(line["example"], mirrored=mirrored))  # pitfall 30
    number, wanted = line["number"], float(line["money"])
    found = getattr(cost.parts, number) if number in PARTS else getattr(cost, number)

    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-6)
    if line["bps"] and not mirrored:
        found_bps = getattr(cost.parts.bps(cost.notional), number) if number in PARTS else cost.shortfall_bps
        assert found_bps == pytest.approx(float(line["bps"]), abs=5e-5)


def test_g3_is_measured_on_the_paper_notional_and_its_fills_against_arrival() -> None:
    cost = measure(example("G3"))

    assert cost.notional == pytest.approx(5_000_000)
    assert cost.avg_fill_price == pytest.approx(50.255)
    assert cost.against["arrival"].bps == pytest.approx(30.9381, abs=5e-5)
    assert cost.maker_share == pytest.approx(0.25)
    assert cost.fill_rate == pytest.approx(0.8)
    assert cost.measured


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_slippage_against_vwap_with_and_without_own_volume_and_twap_is_g7(side: Side) -> None:
    """Sells at the same prices gain what buys lose."""
    fills = [fill(30, 100.1, side=side), fill(50, 99.9, n=1, side=side)]
    tape = [(100, 200), (100.1, 300), (100.2, 100), (100, 400), (99.9, 500), (100.3, 100)]
    money, volume = math.fsum(p * v for p, v in tape), sum(v for _, v in tape)
    own = math.fsum(one.qty * one.price for one in fills)
    benchmarks: dict[str, Any] = {"benchmark_vwap_own": money / volume, "benchmark_vwap": (money - own) / (volume - 80)}

    cost = measure(report(80, fills, side=side, benchmark_twap=math.fsum(p for p, _ in tape) / 6, **benchmarks))

    s = sign(side)
    assert cost.against["vwap_own"].bps == pytest.approx(-4.37418 * s, abs=5e-6)
    assert cost.against["vwap"].bps == pytest.approx(-4.60429 * s, abs=5e-6)
    assert cost.against["twap"].bps == pytest.approx(1e4 * s * (99.975 / 100.0833333333 - 1), abs=1e-5)
    rho = 80 / volume
    assert cost.against["vwap_own"].cost == pytest.approx((1 - rho) * cost.against["vwap"].cost)


def test_nothing_filled_is_opportunity_cost_and_not_silence() -> None:
    cost = measure(  # pitfall 30
        report(100, decision_price=50.0, arrival_price=50.1, end_price=50.6, status="cancelled", total_fees=0.0)
    )

    assert cost.shortfall == pytest.approx(60)
    assert cost.parts.delay == pytest.approx(10)
    assert cost.parts.opportunity == pytest.approx(50)
    assert (cost.parts.spread, cost.parts.impact, cost.parts.timing, cost.parts.fees) == (0, 0, 0, 0)
    assert all(math.isnan(cost.against[name].bps) for name in BENCHMARKS)
    assert math.isnan(cost.avg_fill_price)
    assert math.isnan(cost.maker_share)
    assert "nothing_filled" in cost.flags
    assert "no_fills" not in cost.flags


@pytest.mark.parametrize(
    ("missing", "flag", "unknown"),
    [
        ("decision_price", "no_decision_price", {"delay"}),
        ("arrival_price", "no_arrival_price", {"delay", "timing", "opportunity"}),
        ("end_price", "no_end_price", {"opportunity"}),
    ],
)
def test_a_missing_price_makes_only_the_numbers_that_need_it_unknown(
    missing: str, flag: str, unknown: set[str]
) -> None:
    whole = measure(example("G3"))
    nothing: dict[str, Any] = {missing: math.nan}
    cost = measure(replace(example("G3"), **nothing))

    assert flag in cost.flags
    assert {name for name in PARTS if math.isnan(getattr(cost.parts, name))} == unknown
    for name in set(PARTS) - unknown:
        assert getattr(cost.parts, name) == pytest.approx(getattr(whole.parts, name))
    assert math.isnan(cost.shortfall) == (missing != "arrival_price")
    assert not cost.measured


def test_without_a_decision_price_basis_points_are_of_the_arrival_notional() -> None:
    cost = measure(replace(example("G3"), decision_price=math.nan))

    assert cost.notional == pytest.approx(100_000 * 50.1)


@pytest.mark.parametrize("price", [0.0, -1.0, math.inf, -math.inf])
def test_a_price_that_cannot_be_one_counts_as_missing(price: float) -> None:
    assert "no_arrival_price" in measure(replace(example("G3"), arrival_price=price)).flags


def test_fills_that_do_not_say_what_they_paid_leave_spread_and_impact_unknown_inside_timing() -> None:
    whole = measure(example("G3"))
    silent = [replace(one, meta={}, liquidity="taker") for one in example("G3").fills]

    cost = measure(replace(example("G3"), fills=tuple(silent)))

    assert math.isnan(cost.parts.spread)
    assert math.isnan(cost.parts.impact)
    assert cost.parts.timing == pytest.approx(whole.parts.spread + whole.parts.impact + whole.parts.timing)
    assert cost.parts.total == pytest.approx(cost.shortfall)
    assert {"no_spread", "no_impact"} <= set(cost.flags)
    assert cost.measured


def test_a_maker_that_says_nothing_paid_neither_spread_nor_impact() -> None:
    cost = measure(report(10, [fill(10, 99.0, liquidity="maker")], decision_price=100.0, arrival_price=100.0))

    assert (cost.parts.spread, cost.parts.impact) == (0, 0)
    assert cost.parts.timing == pytest.approx(-10)


@pytest.mark.parametrize("value", ["0.01", None, math.nan, [0.01]])
def test_a_half_spread_that_is_not_a_number_is_unknown(value: object) -> None:
    cost = measure(
        report(10, [fill(10, 99.0, half_spread=value, impact=0.0)], decision_price=100.0, arrival_price=100.0)
    )

    assert "no_spread" in cost.flags
    assert math.isnan(cost.parts.spread)


def test_a_report_without_its_fills_is_measured_by_its_average_price() -> None:
    whole = measure(example("G3"))
    cost = measure(replace(example("G3"), fills=()))

    assert "no_fills" in cost.flags
    assert cost.shortfall == pytest.approx(whole.shortfall)
    assert cost.parts.total == pytest.approx(cost.shortfall)
    assert cost.against["arrival"].bps == pytest.approx(whole.against["arrival"].bps)


def test_fills_that_do_not_add_up_are_flagged_and_the_reports_totals_hold() -> None:
    whole = example("G3")
    cost = measure(replace(whole, fills=whole.fills[:2]))

    assert {"fills_disagree", "fees_disagree"} <= set(cost.flags)
    assert cost.shortfall == pytest.approx(32_540)
    assert math.isnan(cost.parts.spread)
    assert cost.parts.total == pytest.approx(cost.shortfall)


def test_a_filled_quantity_without_any_price_has_no_known_cost() -> None:
    cost = measure(replace(example("G3"), fills=(), avg_fill_price=math.nan))  # pitfall 30

    assert "no_fill_price" in cost.flags
    assert math.isnan(cost.shortfall)
    assert math.isnan(cost.parts.timing)


def test_more_filled_than_ordered_is_flagged_and_still_adds_up() -> None:
    cost = measure(replace(example("G3"), total_quantity=70_000.0))

    assert "overfilled" in cost.flags
    check_identity(cost)


def test_unknown_fees_make_the_shortfall_unknown() -> None:
    cost = measure(replace(example("G3"), total_fees=math.nan))

    assert "no_fees" in cost.flags
    assert math.isnan(cost.shortfall)


def test_a_running_execution_is_flagged_and_lasts_to_its_last_fill() -> None:
    cost = measure(replace(example("G3"), status="running", end_ts_ns=None))

    assert "running" in cost.flags
    assert cost.duration_s == 240
    assert measure(example("G3")).duration_s == 600


def test_no_market_volume_means_an_unknown_participation() -> None:
    silent = measure(replace(example("G3"), market_volume=0.0))

    assert math.isnan(silent.participation)
    assert "no_market_volume" in silent.flags
    assert measure(replace(example("G3"), market_volume=1_600_000.0)).participation == pytest.approx(0.05)


prices = st.floats(0.01, 1e5)
quantities = st.floats(1e-6, 1e9)
paid = st.floats(-10, 10)
TOLD: list[tuple[str, ...]] = [(), ("half_spread",), ("half_spread", "impact")]


@st.composite
def reports(draw: st.DrawFn) -> ExecutionReport:
    side: Side = draw(st.sampled_from(["buy", "sell"]))
    fills = []
    for n in range(draw(st.integers(0, 5))):
        told: dict[str, Any] = {name: draw(paid) for name in draw(st.sampled_from(TOLD))}
        fills.append(fill(draw(quantities), draw(prices), n=n, side=side, fee=draw(paid), **told))
    filled = math.fsum(one.qty for one in fills)
    quantity = max(filled * draw(st.sampled_from([1.0, 1.0001, 3.0])), draw(quantities))
    market: dict[str, Any] = {name: draw(prices) for name in ("decision_price", "arrival_price", "end_price")}
    return report(quantity, fills, side=side, **market)


@given(reports())
def test_the_parts_add_up_to_the_shortfall_for_any_fills(one: ExecutionReport) -> None:
    check_identity(measure(one))


@given(reports(), st.floats(0.001, 1000))
def test_costs_scale_with_the_quantity(one: ExecutionReport, times: float) -> None:
    larger = replace(
        one,
        total_quantity=one.total_quantity * times,
        filled_quantity=one.filled_quantity * times,
        total_fees=one.total_fees * times,
        fills=tuple(replace(part, qty=part.qty * times, fee=part.fee * times) for part in one.fills),
    )
    small, large = measure(one), measure(larger)

    scale = 1e-6 * max(abs(part) for part in small.parts.bps(small.notional) if not math.isnan(part)) + 1e-9
    for a, b in zip(small.parts.bps(small.notional), large.parts.bps(large.notional), strict=True):
        assert b == pytest.approx(a, abs=scale, nan_ok=True)


unsure = st.one_of(st.sampled_from([math.nan, 0.0, math.inf, -5.0]), prices)


@given(reports(), st.lists(unsure, min_size=7, max_size=7), st.booleans())
def test_nothing_that_is_missing_raises_and_every_unknown_number_has_a_flag(
    one: ExecutionReport, market: list[float], keep_fills: bool
) -> None:
    names = ("decision_price", "arrival_price", "end_price", "benchmark_vwap", "benchmark_vwap_own", "benchmark_twap")
    fields: dict[str, Any] = dict(zip((*names, "market_volume"), market, strict=True))
    cost = measure(replace(one, **fields, fills=one.fills if keep_fills else ()))

    assert set(cost.flags) <= set(FLAGS)
    unknown = [cost.shortfall, *cost.parts, cost.participation, *(cost.against[name].bps for name in BENCHMARKS)]
    if any(map(math.isnan, unknown)):
        assert cost.flags
    if cost.measured:
        check_identity(cost)


def test_pooling_is_a_ratio_of_sums_and_not_a_mean_of_basis_points() -> None:
    small = report(1, [fill(1, 101.0, half_spread=0.0, impact=0.0)], decision_price=100.0, arrival_price=100.0)
    large = report(99, [fill(99, 100.0, half_spread=0.0, impact=0.0)], decision_price=100.0, arrival_price=100.0)

    pool = pooled([measure(small), measure(large)])  # pitfall 30

    assert pool.shortfall_bps == pytest.approx(1.0)
    assert pool.against["arrival"].bps == pytest.approx(1.0)
    assert pool.parts_bps.total == pytest.approx(pool.shortfall_bps)


@given(st.lists(reports(), min_size=1, max_size=4))
def test_pooled_parts_add_up_to_the_pooled_shortfall(some: list[ExecutionReport]) -> None:
    pool = pooled(map(measure, some))

    scale = max(abs(part) for part in pool.parts if not math.isnan(part))
    assert abs(pool.parts.total - pool.shortfall) <= 1e-9 * max(scale, abs(pool.shortfall), 1e-300)


def test_an_execution_with_an_unknown_shortfall_is_counted_but_not_in_the_sums() -> None:
    pool = pooled([measure(example("G3")), measure(replace(example("G3"), decision_price=math.nan))])

    assert (pool.executions, pool.measured) == (2, 1)
    assert pool.shortfall == pytest.approx(32_540)
    assert pool.against["arrival"].notional == pytest.approx(2 * 80_000 * 50.1)


def test_pooling_nothing_answers_nan() -> None:
    pool = pooled([])

    assert (pool.executions, pool.measured) == (0, 0)
    assert all(map(math.isnan, (pool.shortfall_bps, pool.fill_rate, pool.duration_s, pool.against["vwap"].bps)))


def test_participation_of_several_symbols_is_weighted_by_money_and_not_by_units() -> None:
    coins = report(1000, [fill(1000, 1.0)], decision_price=1.0, arrival_price=1.0, market_volume=100_000.0)
    gold = report(1, [fill(1, 1000.0)], decision_price=1000.0, arrival_price=1000.0, market_volume=10.0)

    assert pooled([measure(coins), measure(gold)]).participation == pytest.approx(2000 / 110_000)


def test_the_guide_names_every_flag_and_its_worked_examples_run() -> None:
    guide = (Path(__file__).resolve().parents[1] / "docs" / "tca.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)

    assert len(blocks) >= 2
    for block in blocks:
        exec(block, {})
    assert [flag for flag in (*FLAGS, *MARKET_FLAGS) if f"`{flag}`" not in guide] == []
