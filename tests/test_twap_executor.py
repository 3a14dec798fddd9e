"""Acceptance list 8.2 of the specification: TWAP as intents on a schedule, and the report of what came of them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import topics
from core.bus import InMemoryBus
from core.clock import ManualClock
from core.contracts import FillEvent, OrderIntent, Side
from core.instrument import Instrument
from execution.adapters import SyncExecutionWrapper
from execution.base import BaseExecutor
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.events import Market
from execution.parent import ParentOrder
from execution.twap import MOST_ALIKE, TWAPExecutor
from tests import golden
from tests.naive import START_NS
from tests.parents import SECOND, filled_at_once, play_out, subscribed

SYMBOL = "ATOM/USDT"


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), timeout=120))


def executor(slices: int = 10, **keywords: Any) -> TWAPExecutor:
    keywords = {
        "clock": ManualClock(START_NS),
        "instrument": Instrument(SYMBOL, tick="0.01", lot="1"),
        "quotes": lambda symbol: 10.005,
        **keywords,
    }
    return TWAPExecutor("tester", slices, **keywords)


def algorithm(quantity: float = 100, seconds: int = 100, side: Side = "buy", **params: Any) -> ExecutionAlgorithm:
    return ExecutionAlgorithm("TWAP", SYMBOL, side, quantity, seconds, params)


def plan(twap: TWAPExecutor, algo: ExecutionAlgorithm) -> list[OrderIntent]:
    return SyncExecutionWrapper(twap).plan_execution_sync(algo)


def fill_of(intent: OrderIntent, qty: float | None = None, *, name: str = "f", price: float = 10.0) -> FillEvent:
    return FillEvent(
        f"{intent.intent_id}-{name}",
        intent.intent_id,
        SYMBOL,
        intent.side,
        intent.qty if qty is None else qty,
        price,
        START_NS + 5 * SECOND,
        0.01,
        meta=intent.meta,
    )


def test_the_signatures_are_those_of_the_specification() -> None:
    made = inspect.signature(TWAPExecutor.__init__).parameters
    assert list(made)[:4] == ["self", "strategy_id", "slice_count", "order_type"]
    assert (made["slice_count"].default, made["order_type"].default) == (10, "limit")
    slice_parameters = list(inspect.signature(TWAPExecutor._create_slice_intent).parameters)
    assert slice_parameters[1:] == ["execution_id", "slice_idx", "quantity", "scheduled_ts_ns", "current_price"]
    assert inspect.iscoroutinefunction(TWAPExecutor._monitor_fills)
    assert inspect.iscoroutinefunction(TWAPExecutor.plan_execution)
    assert issubclass(TWAPExecutor, BaseExecutor)


def test_plan_execution_returns_a_list_of_new_order_intents() -> None:
    intents = plan(executor(), algorithm())
    assert isinstance(intents, list)
    assert {type(intent) for intent in intents} == {OrderIntent}
    assert {intent.action for intent in intents} == {"new"}
    assert {(intent.strategy_id, intent.symbol, intent.side) for intent in intents} == {("tester", SYMBOL, "buy")}


@pytest.mark.parametrize("slices", [1, 2, 7, 10, 100])
def test_slices_are_scheduled_at_equal_intervals_from_the_start(slices: int) -> None:
    intents = plan(executor(slices), algorithm(1000, 100))
    times = np.array([intent.meta["scheduled_ts_ns"] - START_NS for intent in intents])
    exact = np.arange(slices) * 100 * SECOND / slices
    assert times[0] == 0
    assert ((times >= exact) & (times < exact + 1_000_000)).all()  # to the next millisecond
    assert times[-1] < 100 * SECOND


def test_an_interval_may_be_given_in_place_of_a_count() -> None:
    intents = plan(executor(), algorithm(100, 60, interval_seconds=20))
    assert [(intent.meta["scheduled_ts_ns"] - START_NS) // SECOND for intent in intents] == [0, 20, 40]
    assert [intent.qty for intent in intents] == [33, 33, 34]  # pitfall 31


@pytest.mark.parametrize("row", golden.rows("twap_slices.csv"), ids=lambda row: f"{row['quantity']} in {row['slices']}")
def test_the_total_is_distributed_evenly_as_in_the_table(row: dict[str, str]) -> None:
    instrument = Instrument(SYMBOL, lot="1", min_qty=row["min_lots"])  # pitfall 1, pitfall 2, pitfall 4
    intents = plan(executor(int(row["slices"]), instrument=instrument), algorithm(int(row["quantity"]), 600))
    assert [intent.qty for intent in intents] == [int(size) for size in row["sizes"].split()]


@given(st.integers(1, 10**11), st.integers(1, 300), st.integers(1, 86_400))
def test_any_plan_adds_up_exactly_in_slices_that_differ_by_one_lot_at_most(
    lots: int, slices: int, seconds: int
) -> None:
    intents = plan(executor(slices), algorithm(lots, seconds))
    sizes = [round(intent.qty) for intent in intents]
    assert sum(sizes) == lots
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == min(slices, lots, seconds * 1000)
    times = [intent.meta["scheduled_ts_ns"] for intent in intents]
    assert times == sorted(set(times))
    assert len({intent.intent_id for intent in intents}) == len(intents)


def test_each_meta_has_execution_and_slice() -> None:
    intents = plan(executor(), algorithm())
    (execution_id,) = {intent.meta["execution_id"] for intent in intents}
    assert [intent.meta["slice_id"] for intent in intents] == [f"{execution_id}_{index}" for index in range(10)]
    assert [intent.meta["slice_idx"] for intent in intents] == list(range(10))
    assert {intent.meta["algo_type"] for intent in intents} == {"TWAP"}


@pytest.mark.parametrize(("side", "price"), [("buy", 10.0), ("sell", 10.01)])
def test_limit_slices_are_at_the_mid_rounded_to_our_side_of_the_grid(side: Side, price: float) -> None:
    intents = plan(executor(), algorithm(side=side))
    assert {(intent.type, intent.limit_price) for intent in intents} == {("limit", price)}


@pytest.mark.parametrize(("side", "limit", "price"), [("buy", 9.5, 9.5), ("buy", 11, 10), ("sell", 10.5, 10.5)])
def test_limit_slices_are_never_beyond_the_limit_of_the_parent(side: Side, limit: float, price: float) -> None:
    intents = plan(executor(), algorithm(side=side, limit_price=limit))
    assert {intent.limit_price for intent in intents} == {price}


def test_market_slices_have_no_price_and_need_no_quotes() -> None:
    intents = plan(executor(order_type="market", quotes=None), algorithm())
    assert {(intent.type, intent.limit_price) for intent in intents} == {("market", None)}


def test_market_slices_of_a_parent_with_a_limit_keep_it() -> None:
    intents = plan(executor(order_type="market"), algorithm(limit_price=10.5))
    assert {(intent.type, intent.limit_price) for intent in intents} == {("limit", 10.5)}


def test_limit_slices_without_any_price_are_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"need a price: give quotes= .*limit_price.*market"):
        plan(executor(quotes=None), algorithm())
    with pytest.raises(ValueError, match="need a price"):
        plan(executor(quotes=lambda symbol: None), algorithm())


def test_a_start_of_its_own_moves_the_schedule() -> None:
    later = START_NS + 3600 * SECOND  # pitfall 19
    intents = plan(executor(), algorithm(start_ts_ns=later))
    assert intents[0].meta["scheduled_ts_ns"] == later
    assert intents[0].ts_local_ns == START_NS


@pytest.mark.parametrize("quantity", [7, 100, 1003])
def test_the_machine_sends_what_was_planned_when_it_was_planned(quantity: int) -> None:
    algo = algorithm(quantity)
    intents = plan(executor(), algo)
    parent = executor().start(algo, start_ns=START_NS, price=10.0)
    sent = play_out(parent, filled_at_once).commands
    assert [(one.intent_id, one.qty, one.ts_local_ns, one.meta) for one in sent] == [
        (one.intent_id, one.qty, one.meta["scheduled_ts_ns"], one.meta) for one in intents
    ]


def test_the_machine_prices_a_child_when_it_is_released() -> None:
    parent = executor().start(algorithm(), start_ns=START_NS)
    parent.on(Market(START_NS, 999, 1001), START_NS)
    later = START_NS + 10 * SECOND
    (intent,) = parent.on(Market(later, 1099, 1101), later).commands
    assert intent.limit_price == 11.0


# ---------------------------------------------------------------- fills over the bus


async def followed(
    twap: TWAPExecutor, clock: ManualClock, fills: Callable[[list[OrderIntent]], list[FillEvent]]
) -> tuple[ExecutionReport, list[OrderIntent]]:
    """The report after these fills came over a bus and the time of the execution is over."""
    bus = InMemoryBus()
    intents = await twap.plan_execution(algorithm())
    watching = asyncio.create_task(twap._monitor_fills(bus, intents[0].meta["execution_id"]))
    await subscribed(bus, topics.FILLS)
    for fill in fills(intents):
        await bus.publish_json(topics.FILLS, fill.to_dict())
    clock.set(START_NS + 100 * SECOND)
    return await watching, intents


def test_all_slices_filled_complete_the_report() -> None:
    async def scene() -> None:
        clock = ManualClock(START_NS)
        report, _ = await followed(
            executor(clock=clock),
            clock,
            lambda planned: [fill_of(one, price=10 + 0.01 * k) for k, one in enumerate(planned)],
        )
        assert (report.status, report.filled_quantity, report.remaining_quantity) == ("completed", 100, 0)
        assert (report.slices_completed, report.slices_total) == (10, 10)
        assert report.avg_fill_price == pytest.approx(10.045)
        assert report.end_ts_ns == START_NS + 5 * SECOND
        assert report.unfilled_reason is None
        assert report.start_ts_ns == START_NS
        assert (report.side, report.algo_type, report.strategy_id) == ("buy", "TWAP", "tester")

    play(scene)


def test_a_partial_fill_shows_in_the_report_and_its_rest_is_cancelled() -> None:
    async def scene() -> None:
        clock = ManualClock(START_NS)
        twap = executor(clock=clock)
        report, intents = await followed(
            twap,
            clock,
            lambda intents: [fill_of(one) for one in intents[:8]] + [fill_of(intents[8], 4.0)],
        )
        assert (report.status, report.filled_quantity, report.remaining_quantity) == ("cancelled", 84, 16)
        assert (report.slices_completed, report.slices_total) == (8, 10)
        assert report.end_ts_ns == START_NS + 100 * SECOND
        cancels = twap.tracker(report.execution_id).cancels(START_NS + 100 * SECOND)
        assert [(one.target_intent_id, one.qty) for one in cancels] == [
            (intents[8].intent_id, 6),
            (intents[9].intent_id, 10),
        ]

    play(scene)


def test_nothing_filled_has_no_price() -> None:
    async def scene() -> None:
        clock = ManualClock(START_NS)
        report, _ = await followed(executor(clock=clock), clock, lambda intents: [])
        assert (report.filled_quantity, report.slices_completed, report.fills) == (0, 0, ())
        assert report.avg_fill_price != report.avg_fill_price

    play(scene)


def test_several_fills_of_one_slice_make_one_slice() -> None:
    async def scene() -> None:
        clock = ManualClock(START_NS)
        report, _ = await followed(
            executor(clock=clock),
            clock,
            lambda intents: [fill_of(intents[0], 2.5, name=f"{k}") for k in range(4)],
        )
        assert (report.filled_quantity, report.slices_completed, len(report.fills)) == (10, 1, 4)

    play(scene)


def test_the_fills_of_two_executions_are_told_apart() -> None:
    async def scene() -> None:
        bus, clock = InMemoryBus(), ManualClock(START_NS)
        twap = executor(clock=clock)
        plans = [await twap.plan_execution(algorithm(10.0, side=side)) for side in ("buy", "sell")]
        watching = [asyncio.create_task(twap._monitor_fills(bus, intents[0].meta["execution_id"])) for intents in plans]
        await subscribed(bus, topics.FILLS, by=2)
        for pair in zip(*plans, strict=True):
            for intent in pair:
                without_meta = replace(fill_of(intent), meta={})
                await bus.publish_json(topics.FILLS, without_meta.to_dict())
        reports = await asyncio.gather(*watching)
        assert [(report.side, report.status, report.filled_quantity) for report in reports] == [
            ("buy", "completed", 10),
            ("sell", "completed", 10),
        ]
        assert len({report.execution_id for report in reports}) == 2

    play(scene)


def test_parents_that_differ_in_their_times_alone_share_a_plan_unless_it_is_drawn() -> None:
    twap = executor(4)

    def made(twap: TWAPExecutor, at_ns: int, **wanted: Any) -> ParentOrder:
        return twap.start(algorithm(**wanted), start_ns=at_ns, price=10.0)

    first, later = (made(twap, at_ns) for at_ns in (START_NS, START_NS + 1))
    assert first.plan is later.plan
    for other in (
        made(twap, START_NS, quantity=101),
        made(twap, START_NS, seconds=101),
        made(twap, START_NS, side="sell"),
        made(twap, START_NS, limit_price=10.0),
        made(twap, START_NS, slice_count=5),
        made(twap, START_NS, order_type="market"),
    ):
        assert other.plan != first.plan
    for quantity in range(100, 100 + 2 * MOST_ALIKE):  # more of them than are kept
        assert made(twap, START_NS, quantity=quantity).plan == made(executor(4), START_NS, quantity=quantity).plan
    drawn = executor(4, randomize_size=0.3)
    assert made(drawn, START_NS).curve != made(drawn, START_NS).curve
