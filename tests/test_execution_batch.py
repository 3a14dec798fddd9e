"""The batch driver: what it takes, what it gives, what it leaves to the machine, and numbers at their bounds."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.bars import Bars
from core.chance import generator
from core.instrument import MAX_LOTS, Instrument
from execution import batch, iceberg, pov, rules, twap, volume, vwap
from execution.batch import Batch, Engine, Job, Jobs, Setting, play, play_in_blocks
from execution.batch_lots import lots_of
from execution.batch_tables import blank, dtype_of, objects, records
from execution.config import FillConfig
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.executors import executor
from execution.kernel import kernel
from execution.machine_code import compiled_function
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
            elif column == "slippage_bps":
                np.testing.assert_allclose(left[column], right[column], rtol=0, atol=2e-5)
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


def test_of_logs_that_run_full_nothing_is_lost_or_repeated() -> None:
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


def test_nothing_is_linked_or_compiled_before_the_first_run() -> None:
    code = "import sys, execution.batch; sys.exit('numba' in sys.modules or 'llvmlite' in sys.modules)"
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


@kernel
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


def _write_answers(plans: Any, curve: Any, views: Any, into: Any) -> int:
    for at, answer in enumerate(_answers(plans[0], curve, views[0])):
        into[at] = answer
    return len(into)


def test_every_rule_at_its_bounds_answers_alike_compiled_and_not() -> None:
    # pitfall 38: 10**11 lots, 24 hours, 100,000 slices, all the tape there may be
    answers = compiled_function(_write_answers)
    assert answers is not None
    for plan, curve, view in _bounds():
        no_starts: NDArray[np.int64] = np.zeros(0, np.int64)
        tables = Curve(no_starts, *(np.array(part, np.int64) for part in curve[1:]))  # type: ignore[arg-type]
        expected = _answers(plan, curve, view)
        into = np.zeros(len(expected), np.int64)
        answers(records(Plan, [plan]), tables, records(View, [view]), into)
        assert tuple(into.tolist()) == expected


# ---------------------------------------------------------------- columns in, blocks and workers


_WAYS: tuple[tuple[AlgoType, dict[str, Any]], ...] = (
    ("TWAP", {"slice_count": 7, "order_type": "market"}),
    ("TWAP", {"interval_seconds": 50.0, "order_type": "limit_then_cross", "limit_price": 100.4}),
    ("TWAP", {"randomize_time": 0.4, "randomize_size": 0.5}),
    ("VWAP", {"order_type": "market", "min_volume_threshold": 10.0}),
    ("VWAP", {"slice_count": 9, "max_participation": 0.2}),
    ("POV", {"target_pov": 0.3, "pov_completion": "sweep"}),
    ("IS", {"urgency": "high", "slice_count": 11}),
    ("IS", {"half_life_seconds": 300.0, "volume_time": True}),
    ("IS", {"risk_aversion": 1e-3}),
    ("Iceberg", {"price": "peg", "visible_ratio": 0.17, "levels": (2.0, 1.0, 1.0)}),
    ("Iceberg", {"display_quantity": 20.0, "clip_jitter": 0.5, "start_ts_ns": START_NS + 5 * MINUTE_NS}),
    ("Iceberg", {"display_quantity": 30.0, "start_ts_ns": START_NS + 5 * MINUTE_NS, "price": "peg"}),
)
SETTINGS = tuple(Setting(algo_type, batches.SYMBOL, params) for algo_type, params in _WAYS)


def columns(seed: int, count: int) -> dict[str, NDArray[Any]]:
    """Parents of every setting, many of which begin together."""
    draws = generator(seed, "columns")
    return {
        "setting": draws.integers(0, len(SETTINGS), count),
        "side": draws.choice(["buy", "sell"], count),
        "quantity": np.where(draws.random(count) < 0.3, draws.integers(3, 40, count), draws.uniform(20, 3000, count)),
        "start_ns": START_NS + draws.integers(-3, 50, count) * MINUTE_NS // 2,
        "duration_seconds": draws.choice([60, 600, 1800, 3001], count),
    }


@pytest.mark.parametrize("facts", [{}, {"lot": "0.03"}, {"min_notional": 900.0, "min_qty": "2.5", "lot": "0.1"}])
def test_columns_play_as_their_parents_do_one_by_one(facts: dict[str, Any]) -> None:
    past = batches.wild_bars(6, 10_000, START_NS - 14_000 * MINUTE_NS)
    half = Spread(np.full(90, 0.02), "test")
    instrument = Instrument(batches.SYMBOL, tick="0.01", **{"lot": "1", **facts})
    market = venue(batches.wild_bars(5, 90), instrument, SquareRootSlippageModel(0.5), spread=half, before=past)
    table = columns(1, 240)
    table["quantity"] = np.maximum(table["quantity"], 30.0)
    wanted = Jobs.of(SETTINGS, table)
    got = play(market, wanted)
    assert got.parents["looped"].all()
    same(got, play(market, list(wanted), engine="machine"))
    structured = np.zeros(len(wanted), [(name, column.dtype) for name, column in table.items()])
    for name, column in table.items():
        structured[name] = column
    for other in (pl.DataFrame(table), structured):
        again = play(market, Jobs.of(SETTINGS, other))
        assert again.children["ts_ns"].tolist() == got.children["ts_ns"].tolist()


def test_blocks_and_workers_give_the_same_bits_in_the_same_order() -> None:
    market = place(90, SquareRootSlippageModel(0.5))
    table = columns(2, 200)
    table["quantity"] = np.maximum(table["quantity"], 30.0)
    wanted = Jobs.of(SETTINGS, table)
    whole = play(market, wanted)
    for workers, block in ((1, 7), (3, 16), (2, 300)):
        blocks = list(play_in_blocks(market, wanted, workers=workers, block=block))
        assert [one.first for one in blocks] == list(range(0, len(wanted), block))
        for part in ("children", "fills", "parents"):
            for name, column in getattr(whole, part).items():
                found = np.concatenate([getattr(one, part)[name] for one in blocks])
                assert found.tobytes() == column.tobytes() or found.tolist() == column.tolist(), (part, name)
    last = blocks[-1]
    assert last.reports([199])[0].execution_id == whole.parents["execution_id"][199]


def test_where_only_parents_are_kept_their_table_is_the_same() -> None:
    market, wanted = place(90), Jobs.of(SETTINGS[:2], columns(3, 50) | {"setting": np.arange(50) % 2})
    whole, summed = play(market, wanted), play(market, wanted, keep="parents")
    assert len(summed.children["parent"]) == len(summed.fills["parent"]) == 0
    for name in whole.parents:
        np.testing.assert_array_equal(summed.parents[name], whole.parents[name])
    counted = np.bincount(whole.children["parent"][whole.children["action"] == "new"], minlength=50)
    assert summed.parents["children"].tolist() == counted.tolist()
    frames = whole.frames()
    assert frames["fills"]["lots"].sum() == frames["parents"]["filled"].sum()


def test_the_first_parent_that_is_refused_is_named_in_columns_too() -> None:
    table = columns(4, 20) | {"setting": np.zeros(20, np.int64), "quantity": np.full(20, 500.0)}
    table["quantity"][13] = np.nan
    with pytest.raises(ValueError, match=r"^job 13: total_quantity must be"):
        play(place(), Jobs.of(SETTINGS[:1], table))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"side": np.array(["buy", "long"])}, "side must be buy or sell, was 'long'"),
        ({"start_ns": np.array([0.5, 1.0])}, "start_ns must hold integers"),
        ({"quantity": np.ones(3)}, r"the column quantity has shape \(3,\), side has \(2,\)"),
        ({"setting": np.array([0, 12])}, "setting must be a place among 12 settings, was 12"),
    ],
)
def test_columns_that_hold_what_they_must_not_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Jobs.of(SETTINGS, columns(5, 2) | change)
    with pytest.raises(ValueError, match="the column quantity is missing"):
        Jobs.of(SETTINGS[:1], {"side": np.array(["buy"])})


@given(
    st.sampled_from(("1", "0.1", "0.03", "0.00000001", "7", "0.000000000000000007", "1000")),
    st.lists(st.floats(0, 2e11) | st.integers(0, 10**6).map(lambda n: n * 0.03) | st.floats(0, 10), max_size=8),
)
def test_lots_of_many_quantities_are_those_of_each(lot: str, quantities: list[float]) -> None:
    instrument = Instrument(batches.SYMBOL, tick="0.01", lot=lot)

    def one(quantity: float) -> int:
        try:
            return instrument.lots(quantity)
        except ValueError:
            return 0

    assert lots_of(instrument, np.array(quantities, np.float64)).tolist() == [one(quantity) for quantity in quantities]


@pytest.mark.slow
def test_a_stream_of_two_hundred_thousand_parents_does_not_grow() -> None:
    market, count = place(90), 200_000
    table = columns(6, count) | {"setting": np.zeros(count, np.int64), "quantity": np.full(count, 300.0)}
    wanted = Jobs.of(SETTINGS[:1], table)
    for _ in play_in_blocks(market, wanted[:9000]):
        pass
    tracemalloc.start()
    filled = sum(int(one.parents["filled"].sum()) for one in play_in_blocks(market, wanted, keep="parents"))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert filled > 10**6
    assert most < 60e6  # a block of 8,192 parents and the room to play it; all children would take 200 MB
