"""The batch driver: what it takes, what it gives, what it leaves to the machine, and numbers at their bounds."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from core.bars import Bars
from core.instrument import MAX_LOTS, Instrument
from execution import batch, iceberg, pov, rules, twap, volume, vwap
from execution.batch import Batch, Engine, Job, play
from execution.batch_tables import blank, dtype_of, objects, records
from execution.config import FillConfig
from execution.contracts import ExecutionAlgorithm
from execution.executors import executor
from execution.plan import MAX_HORIZON_MS, MAX_RATIO_PPM, MAX_TAPE_LOTS, Curve, Plan, View
from execution.slippage import SlippageModel, SquareRootSlippageModel
from execution.spread import Spread
from execution.venue import Venue, venue
from tests import batches
from tests.naive import MINUTE_NS, START_NS


def place(count: int = 60, slippage: SlippageModel | None = None, **facts: Any) -> Venue:
    instrument = Instrument(batches.SYMBOL, tick="0.01", **{"lot": "1", **facts})
    return venue(batches.wild_bars(5, count), instrument, slippage, spread=Spread(np.full(count, 0.02), "test"))


def job(minute: int = 0, quantity: float = 500.0, algo_type: Any = "TWAP", **params: Any) -> Job:
    algo = ExecutionAlgorithm(algo_type, batches.SYMBOL, "buy", quantity, 1800, params)
    return Job(algo, START_NS + minute * MINUTE_NS)


def mixed() -> list[Job]:
    return [
        job(0, slice_count=5, order_type="market"),
        job(3, algo_type="Iceberg", price="peg"),
        job(7, slice_count=8, order_type="limit_then_cross"),
        job(11, algo_type="POV", target_pov=0.3),
        job(11, algo_type="VWAP"),
        job(15, order_type="limit", completion="complete"),
    ]


def same(one: Batch, other: Batch) -> None:
    for name in ("children", "fills", "parents"):
        left, right = getattr(one, name), getattr(other, name)
        assert list(left) == list(right)
        for column in left:
            if column in ("price", "avg_price"):
                np.testing.assert_allclose(left[column], right[column], rtol=1e-9)
            elif column != "looped":
                assert left[column].tolist() == right[column].tolist(), (name, column)


@pytest.mark.parametrize("engine", ["compiled", "loop"])
def test_the_loop_says_what_the_machine_says(engine: Engine) -> None:
    market = place(slippage=SquareRootSlippageModel(0.5))
    fast, slow = play(market, mixed(), engine=engine), play(market, mixed(), engine="machine")
    assert fast.parents["looped"].all()
    assert not slow.parents["looped"].any()
    assert len(fast.fills["parent"]) > 20
    same(fast, slow)


def test_a_parent_plays_alike_wherever_it_stands_in_the_batch() -> None:
    # pitfall 18, pitfall 33
    market, wanted = place(slippage=SquareRootSlippageModel(0.5)), mixed()
    wanted += [job(2, randomize_time=0.4, randomize_size=0.5), job(2, algo_type="Iceberg", clip_jitter=0.5)]
    forth, back = play(market, wanted), play(market, wanted[::-1])
    for number in range(len(wanted)):
        mirror = len(wanted) - 1 - number
        batches.assert_same(batches.in_batch(forth, number), batches.in_batch(back, mirror))
        assert forth.parents["execution_id"][number] == back.parents["execution_id"][mirror]


def test_logs_that_run_full_are_doubled_and_nothing_is_lost_or_repeated() -> None:
    market = place(120)
    busy = job(0, 3000.0, "Iceberg", visible_ratio=0.003, price="peg", repeg_ticks=1)
    wanted = [replace(busy, start_ns=busy.start_ns + n) for n in range(5)]
    for engine in ("compiled", "loop"):
        got = play(market, wanted, engine=engine)
        assert len(got.children["parent"]) > 64 + 32 * len(wanted)
        same(got, play(market, wanted, engine="machine"))


def test_columns_make_frames_and_add_up() -> None:
    got = play(place(), mixed())
    children, fills, parents = (pl.DataFrame(dict(part)) for part in (got.children, got.fills, got.parents))
    assert children["parent"].is_sorted()
    assert fills["parent"].is_sorted()
    filled = [int(fills.filter(pl.col("parent") == n)["lots"].sum()) for n in range(len(parents))]
    assert parents["filled"].to_list() == filled
    assert (parents["filled"] <= parents["quantity"]).all()
    assert set(children["action"].unique()) <= {"new", "cancel"}


def test_reports_on_demand_agree_with_the_summary() -> None:
    got = play(place(slippage=SquareRootSlippageModel(0.5)), mixed())
    for number, report in zip((1, 4), got.reports((1, 4)), strict=True):
        assert report.execution_id == got.parents["execution_id"][number]
        assert report.status == got.parents["status"][number]
        assert report.filled_quantity == got.parents["filled"][number]
        assert report.avg_fill_price == pytest.approx(got.parents["avg_price"][number], rel=1e-9)
        assert report.arrival_price == pytest.approx(got.parents["arrival_price"][number], rel=1e-12)
    assert len(got.reports()) == len(mixed())


def test_no_parents_give_empty_columns() -> None:
    got = play(place(), [])
    assert all(len(column) == 0 for part in (got.children, got.fills, got.parents) for column in part.values())


def test_a_parent_that_its_algorithm_refuses_is_named() -> None:
    with pytest.raises(ValueError, match=r"^job 1: .*below the venue's minimum"):
        play(place(min_qty="50"), [job(), job(quantity=3.0)])


def test_what_the_loop_does_not_cover_goes_to_the_machine_parent_by_parent() -> None:
    class Odd(twap.TWAPExecutor):
        @staticmethod
        def due(plan: Plan, curve: Curve, view: View) -> int:
            return plan.quantity if view.now_ms >= 60_000 else 0

    market = place()
    odd = replace(job(4), executor=Odd("tester", 5, "market", **market.executor_arguments))
    other_grid = replace(job(5), executor=executor("TWAP", "tester", instrument=Instrument(batches.SYMBOL, lot="2")))
    got = play(market, [job(2), odd, other_grid, job(6)])
    assert got.parents["looped"].tolist() == [True, False, False, True]
    assert got.children["ts_ns"][got.children["parent"] == 1][0] >= odd.start_ns + MINUTE_NS
    same(got, play(market, [job(2), odd, other_grid, job(6)], engine="machine"))


def test_other_slippage_models_go_to_the_machine() -> None:
    class Flat(SlippageModel):
        def calculate_slippage(
            self, order_size: float, market_volume: float, bid_ask_spread: float, reference_price: float
        ) -> float:
            return 0.001 * reference_price + bid_ask_spread / 2

    assert not play(place(slippage=Flat()), [job()]).parents["looped"].any()


def test_a_grid_too_fine_for_floats_goes_to_the_machine() -> None:
    market = place(lot="0.000000000000000007")
    assert not play(market, [job(quantity=1e-10)]).parents["looped"].any()


def test_without_numba_the_machine_plays_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    batch.compiled.cache_clear()
    try:
        got = play(place(), [job()])
    finally:
        batch.compiled.cache_clear()
    assert got.parents["looped"].tolist() == [False]
    same(got, play(place(), [job()], engine="loop"))


def test_where_nothing_can_be_kept_on_disk_the_loop_is_compiled_for_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import numba

    def njit(*, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available for file")
        return lambda function: ("compiled without a cache", options, function)

    monkeypatch.setattr(numba, "njit", njit)
    batch.compiled.cache_clear()
    try:
        assert batch.compiled()[0] == "compiled without a cache"  # type: ignore[index]
    finally:
        batch.compiled.cache_clear()


def test_numba_is_imported_by_the_first_run_and_not_before() -> None:
    code = "import sys, execution.batch; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tables_have_the_fields_of_the_dataclasses_and_keep_their_values() -> None:
    plan = Plan(side=-1, quantity=MAX_LOTS, horizon_ms=MAX_HORIZON_MS, slices=7)
    assert dtype_of(Plan).names == tuple(Plan.__dataclass_fields__)
    assert dtype_of(View).names == tuple(View.__dataclass_fields__)
    assert objects(Plan, records(Plan, [plan])) == [plan]
    assert objects(View, blank(View, 2)) == [View(), View()]


# ---------------------------------------------------------------- bounds


def huge(volume_lots: float, count: int = 30) -> Venue:
    """Bars an hour long, around 1.00, with volume in the order of the largest quantity."""
    hour = 60 * MINUTE_NS
    opens = START_NS + np.arange(count) * hour
    flat = np.ones(count)
    bars = Bars(batches.SYMBOL, opens, opens + hour, flat, flat * 1.01, flat * 0.99, flat, flat * volume_lots)
    fills = FillConfig(max_participation=1.0)
    instrument = Instrument(batches.SYMBOL, tick="0.01", lot="1")
    return venue(bars, instrument, None, spread=Spread(np.full(count, 0.005), "test"), fills=fills)


@pytest.mark.parametrize("volume_lots", [1.0, 3e9, 5e10])
@pytest.mark.parametrize(
    ("algo_type", "params"),
    [
        ("TWAP", {"slice_count": 100_000, "order_type": "market"}),
        ("TWAP", {"slice_count": 24, "order_type": "limit_then_cross", "catch_up": 1000}),
        ("VWAP", {"slice_count": 96, "order_type": "market"}),
        ("POV", {"target_pov": 0.99, "pov_completion": "complete", "spike": 1000}),
        ("POV", {"target_pov": 0.01, "max_participation": 0.99, "pov_completion": "complete", "of_total": True}),
        ("Iceberg", {"visible_ratio": 1.0, "price": "peg"}),
    ],
)
def test_the_largest_parent_over_a_whole_day_plays_alike(
    algo_type: Any, params: dict[str, Any], volume_lots: float
) -> None:
    # pitfall 38
    algo = ExecutionAlgorithm(algo_type, batches.SYMBOL, "sell", float(MAX_LOTS), 24 * 3600, params)
    market = huge(volume_lots)
    wanted = [Job(algo, START_NS)]
    fast, slow = play(market, wanted), play(market, wanted, engine="machine")
    assert fast.parents["looped"].all()
    same(fast, slow)


def _bounds() -> list[tuple[Plan, Curve, View]]:
    found = []
    for slices in (1, 2, 100_000):
        for ratio in (1, 1_000_000, MAX_RATIO_PPM):
            plan = Plan(
                side=1,
                quantity=MAX_LOTS,
                horizon_ms=MAX_HORIZON_MS,
                slices=slices,
                nominal=MAX_LOTS,
                catch_up=1000,
                ratio_ppm=ratio,
                cap_ppm=ratio,
                feed_forward=1,
                hurry=1,
                reweight=1,
                spike=1000,
                display=MAX_LOTS,
                refill_ppm=1_000_000,
            )
            steps = np.arange(1, slices + 1, dtype=np.int64)
            targets, expected = steps * MAX_LOTS // slices, steps * (MAX_TAPE_LOTS // slices)
            for now_ms in (0, MAX_HORIZON_MS // 2, 2 * MAX_HORIZON_MS):
                view = View(now_ms=now_ms, tape=MAX_TAPE_LOTS, last=MAX_TAPE_LOTS, counted=MAX_TAPE_LOTS)
                found.append((plan, Curve((), targets.tolist(), expected.tolist()), view))
    return found


def _answers(plan: Any, curve: Any, view: Any) -> tuple[int, ...]:
    index = rules.slices_begun(plan, curve, view.now_ms) - 1
    return (
        twap.due(plan, curve, view),
        vwap.due(plan, curve, view),
        pov.due(plan, curve, view),
        iceberg.due(plan, curve, view),
        rules.slice_room(plan, curve, view, index),
        rules.slice_start_ms(plan, curve, plan.slices),
        rules.clip_lots(plan, plan.display, 0, view, 0.5),
        volume.next_volume(plan, curve, view, index),
    )


def test_every_rule_at_its_bounds_answers_alike_compiled_and_not() -> None:
    # pitfall 38: 10**11 lots, 24 hours, 100,000 slices, all the tape there may be
    from numba import njit

    assert batch.compiled() is not None  # all kernels are known to numba now
    answers = njit(_answers)
    for plan, curve, view in _bounds():
        no_starts: NDArray[np.int64] = np.zeros(0, np.int64)
        tables = Curve(no_starts, *(np.array(part, np.int64) for part in curve[1:]))  # type: ignore[arg-type]
        assert answers(records(Plan, [plan])[0], tables, records(View, [view])[0]) == _answers(plan, curve, view)
