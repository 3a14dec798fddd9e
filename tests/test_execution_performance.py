"""What stands under the performance tracker: attribution, markouts, promptness."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import FillEvent, Side, sign
from execution.contracts import ExecutionReport
from execution.costs.attribution import (
    ParticipationModel,
    SquareRootModel,
    TwinRun,
    attributed,
    market_adjusted,
    mean_root,
)
from execution.costs.market_record import MarketRecord
from execution.costs.measurement import FLAGS, Forecast, measured
from execution.costs.quality import HORIZONS, latencies_ms, pooled_quality, quality, schedule_deviation
from execution.tca import measure
from tests import golden
from tests.test_execution_tca import MINUTE_NS, START_NS, check_identity, example, fill, report, reports
from tests.test_execution_tca_market import at, minutes, quotes, tape, trades

LAW = SquareRootModel(coefficient=0.8, volatility=0.02, volume=4_000_000)


def reflected(one: ExecutionReport, around: float) -> ExecutionReport:
    """The other side, every price p at 2 * around - p."""
    side: Side = "sell" if one.side == "buy" else "buy"
    prices = {name: 2 * around - getattr(one, name) for name in ("decision_price", "arrival_price", "end_price")}
    fills = tuple(replace(part, side=side, price=2 * around - part.price) for part in one.fills)
    average = 2 * around - one.avg_fill_price
    return replace(one, side=side, fills=fills, avg_fill_price=average, **prices)


def silent(one: ExecutionReport) -> ExecutionReport:
    return replace(one, fills=tuple(replace(part, meta={}, liquidity="taker") for part in one.fills))


# ---- impact by a method that is named


def test_the_square_root_law_shares_out_the_impact_of_g3_fill_by_fill() -> None:
    one = example("G3")
    told = LAW.per_unit(one)
    wanted = golden.rows("tca_impact_shares.csv")

    assert LAW.peak(one) == pytest.approx(0.113363359, abs=5e-10)
    for row, part, impact in zip(wanted, one.fills, told, strict=True):
        assert part.qty * impact == pytest.approx(float(row["money"]), abs=0.005)
    total = math.fsum(part.qty * impact for part, impact in zip(one.fills, told, strict=True))
    assert total == pytest.approx(2 / 3 * LAW.peak(one) * 80_000)
    assert total == pytest.approx(6046.05, abs=0.005)


@pytest.mark.parametrize("mirrored", [False, True], ids=["buy", "sell"])
def test_g3_comes_out_whole_from_mids_and_model_for_both_sides(mirrored: bool) -> None:
    one = example("G3")
    mids = [float(row["mid"]) for row in golden.rows("tca_market_adjusted.csv")]
    bare = replace(
        one, fills=tuple(replace(part, meta={"mid": mid}) for part, mid in zip(one.fills, mids, strict=True))
    )
    if mirrored:
        bare = reflected(bare, 50.10)
        bare = replace(bare, fills=tuple(replace(part, meta={"mid": 100.20 - part.meta["mid"]}) for part in bare.fills))
    market = MarketRecord.of("X", quotes=quotes((0, 49, 51), (700, 49, 51)))  # the report knows all but the spreads
    found = measured(bare, market, impact=LAW)
    parts = found.cost.parts

    assert [round(part, 2) for part in parts] == [10_000.0, 400.0, 6_046.05, 5_953.95, 10_000.0, 140.0]
    assert found.cost.shortfall == pytest.approx(32_540)
    assert found.impact_method == "model: square root, Y 0.8, volatility 0.02, volume 4e+06"
    assert (found.cost.delay_filled, found.cost.delay_unfilled) == pytest.approx((8_000, 2_000))
    check_identity(found.cost)


def test_an_index_takes_its_part_out_of_the_timing_of_g3() -> None:
    rows = golden.rows("tca_market_adjusted.csv")
    returns = [float(row["index_return"]) for row in rows]
    one = example("G3")
    timing = measure(attributed(one, LAW)).parts.timing
    found = market_adjusted(one, timing, returns, 1.2)

    assert found.market == pytest.approx(3847.68)
    assert found.timing == pytest.approx(2106.27, abs=0.005)
    sold = market_adjusted(reflected(one, 50.10), timing, [-back for back in returns], 1.2)
    assert sold.market == pytest.approx(found.market)
    with pytest.raises(ValueError, match=r"one per fill, 4, was 2"):
        market_adjusted(one, timing, returns[:2], 1.2)


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_mean_root_is_between_the_roots_and_adds_up(one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert math.sqrt(low) * (1 - 1e-12) <= mean_root(low, high) <= math.sqrt(high) * (1 + 1e-12)
    middle = (low + high) / 2
    halves = mean_root(low, middle) * (middle - low) + mean_root(middle, high) * (high - middle)
    assert halves == pytest.approx(mean_root(low, high) * (high - low), abs=1e-12)


def evenly(qty: float, volume: float, *, side: Side = "buy", n: int = 60) -> ExecutionReport:
    """n equal fills, one a minute, in a market of this much volume a minute; one part of it ours."""
    parts = [replace(fill(qty, 100.0, n=k, side=side), ts_fill_ns=START_NS + k * MINUTE_NS) for k in range(n)]
    whole = report(n * qty, parts, side=side, arrival_price=100.0, decision_price=100.0, market_volume=n * volume)
    return replace(whole, end_ts_ns=START_NS + n * MINUTE_NS)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_participation_at_an_even_rate_without_a_permanent_part_is_the_square_root_law(side: Side) -> None:
    one = evenly(10, 100, side=side)
    steady = ParticipationModel(
        coefficient=0.8,
        volatility=0.02,
        daily_volume=144_000,
        volume_between=lambda start, end: 100 * (end - start) / MINUTE_NS,
        permanent_share=0.0,
    )
    law = SquareRootModel(coefficient=0.8, volatility=0.02, volume=144_000)

    assert measure(attributed(one, steady)).parts.impact == pytest.approx(
        measure(attributed(one, law)).parts.impact, rel=1e-5
    )
    assert all(impact > 0 for impact in steady.per_unit(one))


def test_a_maker_pays_what_was_pushed_before_and_not_his_own_push() -> None:
    one = evenly(10, 100, n=3)
    first_rested = replace(one, fills=(replace(one.fills[0], liquidity="maker"), *one.fills[1:]))
    model = ParticipationModel(
        coefficient=0.8, volatility=0.02, daily_volume=144_000, volume_between=lambda a, b: 100 * (b - a) / MINUTE_NS
    )

    assert model.per_unit(first_rested)[0] == 0
    assert model.per_unit(first_rested)[1:] == pytest.approx(model.per_unit(one)[1:])


def test_a_market_whose_volume_is_unknown_leaves_the_impact_unknown_and_inside_timing() -> None:
    model = ParticipationModel(
        coefficient=0.8, volatility=0.02, daily_volume=1e6, volume_between=lambda _start, _end: math.nan
    )
    cost = measure(attributed(evenly(10, 100), model))

    assert math.isnan(cost.parts.impact)
    assert "no_impact" in cost.flags
    assert cost.parts.timing == pytest.approx(0)


def test_a_twin_run_says_the_truth_and_its_seed() -> None:
    one = evenly(10, 100, side="sell")
    cost = measure(attributed(one, TwinRun(moved=lambda _fill: -0.5, seed=7)))

    assert cost.parts.impact == pytest.approx(0.5 * 600)
    assert attributed(one, TwinRun(moved=lambda _fill: 0.0, seed=7)).notes["impact_method"] == "twin run, seed 7"


methods = st.sampled_from(
    [
        LAW,
        TwinRun(moved=lambda part: part.price / 1000),
        ParticipationModel(coefficient=1, volatility=0.1, daily_volume=1e6, volume_between=lambda a, b: (b - a) / 1e9),
    ]
)


@given(reports(), methods)
def test_the_parts_add_up_whatever_the_method(one: ExecutionReport, method: Any) -> None:
    cost = measure(attributed(one, method))

    check_identity(cost)
    assert cost.shortfall == pytest.approx(measure(one).shortfall, nan_ok=True)


@given(reports(), methods)
def test_buys_and_sells_mirror_in_every_part(one: ExecutionReport, method: Any) -> None:  # pitfall 30
    around = 1e6  # far above every price, so that no mirrored one is below zero
    shifted = replace(
        one,
        **{name: getattr(one, name) + around for name in ("decision_price", "arrival_price", "end_price")},
        avg_fill_price=one.avg_fill_price + around,
        fills=tuple(replace(part, price=part.price + around) for part in one.fills),
    )
    if isinstance(method, TwinRun):
        return  # its truth is of one side only
    straight = measure(attributed(shifted, method))
    turned = reflected(shifted, shifted.arrival_price)
    mirror = measure(attributed(turned, method))

    scale = max(1.0, *(abs(part) for part in straight.parts if not math.isnan(part)))
    for here, there in zip(straight.parts, mirror.parts, strict=True):
        assert there == pytest.approx(here, abs=1e-6 * scale, nan_ok=True)


# ---- fills against the market around them


def g6(side: Side = "buy") -> tuple[ExecutionReport, MarketRecord]:
    """The mid of 100.01 at the fill, then those of the table."""
    later = {"1s": 1, "10s": 10, "1m": 60, "5m": 300}
    s = sign(side)

    def price(buy: float) -> float:
        return 100.01 + s * (buy - 100.01)

    rows = [(0.0, 100.01)] + [
        (30 + later[row["horizon"]] - 0.5, price(float(row["later_mid"]))) for row in golden.rows("tca_markouts.csv")
    ]
    market = MarketRecord.of(
        "X", quotes=quotes(*((second, mid - 0.01, mid + 0.01) for second, mid in rows), (2000, 99, 101))
    )
    one = replace(fill(50, price(100.02), side=side), ts_fill_ns=at(30))
    return replace(report(50, [one], side=side), end_ts_ns=at(30)), market


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("row", golden.rows("tca_markouts.csv"), ids=lambda row: str(row["horizon"]))
def test_spreads_and_markouts_are_g6(row: dict[str, str], side: Side) -> None:
    found = quality(*g6(side))
    horizon: Any = row["horizon"]

    assert found.effective.bps == pytest.approx(float(row["effective_bps"]), abs=5e-5)
    assert found.realised[horizon].bps == pytest.approx(float(row["realised_bps"]), abs=5e-5)
    assert found.impact[horizon].bps == pytest.approx(float(row["impact_bps"]), abs=5e-5)
    if side == "buy":
        assert found.markout["all"][horizon].bps == pytest.approx(float(row["markout_bps"]), abs=5e-5)
    assert found.effective.cost == pytest.approx(found.realised[horizon].cost + found.impact[horizon].cost)
    assert found.effective_over_quoted == pytest.approx(1)
    assert found.flags == ()


def test_reversion_is_positive_where_the_price_came_back() -> None:
    bought, market = g6()
    found = quality(bought, market)

    # from 100.01 at the end to 99.98 five minutes later: the buyer's push is gone
    assert found.reversion["5m"].bps == pytest.approx(1e4 * 0.03 / 100.01)
    assert found.reversion["10s"].bps < 0


def test_markouts_tell_makers_from_takers_and_are_ratios_of_sums() -> None:
    market = MarketRecord.of("X", quotes=quotes((0, 99, 101), (70, 98, 100), (400, 98, 100)))
    small = replace(fill(1, 99.0, liquidity="maker"), ts_fill_ns=at(10))
    large = replace(fill(99, 101.0, n=1), ts_fill_ns=at(10))
    found = quality(report(100, [small, large]), market)
    whose = found.markout

    assert whose["maker"]["1m"].bps == pytest.approx(0)
    assert whose["taker"]["1m"].bps == pytest.approx(1e4 * 2 / 101)
    assert whose["all"]["1m"].bps == pytest.approx(1e4 * 198 / (99 + 99 * 101))  # pitfall 30
    pool = pooled_quality([found, quality(report(1, [replace(fill(1, 100.0), ts_fill_ns=at(10))]), market)])
    assert pool.markout["all"]["1m"].bps == pytest.approx(1e4 * (198 + 1) / (99 + 99 * 101 + 100))


def test_a_fill_without_a_later_mid_is_left_out_and_flagged() -> None:
    market = MarketRecord.of("X", quotes=quotes((0, 99, 101), (100, 98, 100)))
    near_the_end = replace(fill(1, 101.0, n=1), ts_fill_ns=at(90))
    found = quality(report(2, [replace(fill(1, 101.0), ts_fill_ns=at(1)), near_the_end]), market)

    assert found.markout["all"]["1m"].notional == pytest.approx(101)
    assert math.isnan(found.markout["all"]["5m"].bps)
    assert "some_later_mids_unknown" in found.flags


def test_simulated_fills_beside_a_recorded_market_are_flagged() -> None:
    one, market = g6()

    assert quality(replace(one, settings={"fill_model": "bars"}), market).flags == ("market_without_us",)


def test_no_fills_have_no_quality_and_nothing_raises() -> None:
    found = quality(report(10, status="cancelled"), g6()[1])

    assert math.isnan(found.effective.bps)
    assert all(math.isnan(found.markout["all"][name].bps) for name in HORIZONS)
    assert math.isnan(pooled_quality([]).effective.bps)


# ---- promptness


def test_latency_is_from_sending_to_the_first_fill_of_orders_that_took() -> None:
    def sent(n: int, order: str, after_ms: float, liquidity: Any = "taker", **meta: Any) -> FillEvent:
        one = replace(fill(1, 100.0, n=n, liquidity=liquidity), order_id=order)
        return replace(one, ts_fill_ns=START_NS + round(after_ms * 1e6), meta=meta)

    told = [
        sent(1, "a", 30, scheduled_ts_ns=START_NS),
        sent(2, "a", 90, scheduled_ts_ns=START_NS),  # the rest of the same order
        sent(3, "b", 50, scheduled_ts_ns=START_NS, submitted_ts_ns=START_NS + 20_000_000),
        sent(4, "c", 9_000, "maker", scheduled_ts_ns=START_NS),
        sent(5, "d", 70),
        sent(6, "e", 1, scheduled_ts_ns=START_NS + 10**9),
    ]

    assert latencies_ms(told) == [30, 30]
    assert latencies_ms([]) == []


def test_schedule_deviation_is_the_share_of_the_order_that_was_late_on_average() -> None:
    parts = [
        replace(fill(50, 100.0, n=0), ts_fill_ns=START_NS, meta={"scheduled_ts_ns": START_NS}),
        replace(
            fill(50, 100.0, n=1),
            ts_fill_ns=START_NS + 6 * MINUTE_NS,
            meta={"scheduled_ts_ns": START_NS + 5 * MINUTE_NS},
        ),
    ]
    one = report(100, parts)  # ends after ten minutes

    assert schedule_deviation(one) == pytest.approx(0.5 * 1 / 10)
    straight = [(START_NS, 50.0), (START_NS + 3 * MINUTE_NS, 100.0)]
    assert schedule_deviation(one, straight) == pytest.approx(0.5 * 3 / 10)
    assert math.isnan(schedule_deviation(report(100, [fill(50, 100.0)])))
    assert schedule_deviation(report(100), straight) == pytest.approx((50 * 3 + 100 * 7) / 1000)


def test_a_cost_far_from_its_forecast_is_flagged_and_not_judged() -> None:
    usual = Forecast.of(12.0, volatility=0.02, days=1 / 24)

    assert usual.sd_bps == pytest.approx(200 * math.sqrt(1 / 72))
    assert measured(example("G3"), forecast=usual).forecast_z == pytest.approx((65.08 - 12) / usual.sd_bps)
    assert "surprising" not in measured(example("G3"), forecast=usual).flags
    assert "surprising" in measured(example("G3"), forecast=Forecast(12.0, 10.0)).flags
    noted = replace(example("G3"), notes={"forecast": {"mean_bps": 12.0, "sd_bps": 10.0}})
    assert measured(noted).forecast_z == pytest.approx(5.308)
    assert math.isnan(measured(replace(noted, notes={"forecast": {"mean_bps": 12.0, "sd_bps": 0.0}})).forecast_z)
    assert math.isnan(measured(example("G3")).forecast_z)


# ---- one execution, whole


def test_a_measurement_holds_the_fills_against_prices_of_the_day_and_pwp() -> None:
    own = report(80, [fill(30, 100.1), fill(50, 99.9, n=1)])
    own = replace(own, end_ts_ns=at(59), fills=tuple(replace(one, ts_fill_ns=at(59)) for one in own.fills))
    found = measured(own, tape(), pwp_rate=0.2)

    assert found.against["pwp"].price == pytest.approx(100.05)
    assert found.against["pwp"].bps == pytest.approx(1e4 * (99.975 / 100.05 - 1))
    assert found.against["open"].price == 100
    assert math.isnan(found.against["previous_close"].bps)
    assert found.market_source == "mids: last trades; volume: trades"
    assert {"no_latency", "no_schedule", "decision_at_arrival"} <= set(found.flags)
    assert set(found.flags) - set(found.cost.flags) <= set(FLAGS)


unsure = st.one_of(st.sampled_from([math.nan, 0.0, math.inf, -5.0]), st.floats(0.01, 1e5))


@given(reports(), st.lists(unsure, min_size=6, max_size=6), st.booleans(), st.sampled_from([0, 1, 2, 3]))
def test_nothing_that_is_missing_raises_and_no_unknown_number_is_a_zero(
    one: ExecutionReport, prices: list[float], keep_fills: bool, which: int
) -> None:
    names = ("decision_price", "arrival_price", "end_price", "benchmark_vwap", "benchmark_twap", "market_volume")
    fields: dict[str, Any] = dict(zip(names, prices, strict=True))
    markets = [
        None,
        MarketRecord.of("X", bars=minutes([10, 11, 50, 51], [5, 0, 0, 5], skip=2)),
        MarketRecord.of("X", quotes=quotes((0, 99, 101))),
        MarketRecord.of("X", trades=trades((-90_000, 10, 1), (30, 12, 1), (90_000, 11, 2))),
    ]
    found = measured(replace(one, **fields, fills=one.fills if keep_fills else ()), markets[which])

    if not (keep_fills and one.fills):
        of_fills = ("spread", "markout", "reversion", "price_impact", "latency", "deviation")
        numbers = {name: value for name, value in found.row().items() if any(word in name for word in of_fills)}
        assert len(numbers) > 20
        assert all(math.isnan(value) for value in numbers.values())
    if found.cost.measured:
        check_identity(found.cost)
    assert found.flags
