"""Acceptance list 8.0 of the specification: layers, signatures, async and sync, the way from an order to a report."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from core import topics
from core.bus import BusProto, InMemoryBus
from core.clock import ManualClock
from core.contracts import FillEvent, OrderClosed, OrderIntent
from core.instrument import Instrument
from execution.adapters import SyncExecutionWrapper
from execution.algorithm import Terms
from execution.base import BaseExecutor, RuleExecutor, default_instrument
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.sliced import feasible_slices
from execution.twap import TWAPExecutor
from tests.naive import START_NS
from tests.parents import SECOND, subscribed

SYMBOL = "ATOM/USDT"
ALGO = ExecutionAlgorithm("TWAP", SYMBOL, "buy", 10.0, 100, {"slice_count": 4, "order_type": "market"})
ROOT = Path(__file__).parents[1]


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a scene; one that hangs fails."""
    asyncio.run(asyncio.wait_for(scene(), timeout=120))


def planned(executor: TWAPExecutor, algo: ExecutionAlgorithm = ALGO) -> list[OrderIntent]:
    return SyncExecutionWrapper(executor).plan_execution_sync(algo)


def twap(**keywords: Any) -> TWAPExecutor:
    keywords = {"clock": ManualClock(START_NS), "instrument": Instrument(SYMBOL, lot="0.1"), **keywords}
    return TWAPExecutor("tester", **keywords)


def fill_of(intent: OrderIntent, qty: float | None = None, *, name: str = "", meta: bool = True) -> FillEvent:
    return FillEvent(
        name or f"{intent.intent_id}-f",
        intent.intent_id,
        intent.symbol,
        intent.side,
        intent.qty if qty is None else qty,
        10.0,
        START_NS + SECOND,
        0.01,
        "taker",
        intent.meta if meta else {},
    )


# ---------------------------------------------------------------- the bus protocol


def test_busproto_is_defined_in_core() -> None:
    assert BusProto.__module__ == "core.bus"


def test_busproto_subscribe_is_a_plain_def_that_returns_an_async_iterator() -> None:
    assert not inspect.iscoroutinefunction(BusProto.subscribe)
    assert not inspect.isasyncgenfunction(BusProto.subscribe)
    assert inspect.iscoroutinefunction(BusProto.publish_json)
    assert get_type_hints(BusProto.subscribe)["return"] == AsyncIterator[dict[str, Any]]
    assert list(inspect.signature(BusProto.subscribe).parameters) == ["self", "topic"]
    assert list(inspect.signature(BusProto.publish_json).parameters) == ["self", "topic", "payload"]
    bus: BusProto = InMemoryBus()  # mypy checks the rest

    async def scene() -> None:
        assert isinstance(bus.subscribe("t"), AsyncIterator)

    play(scene)


# ---------------------------------------------------------------- executors emit intents, and know no broker


def imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("file", sorted((ROOT / "execution").glob("*.py")), ids=lambda file: file.name)
def test_executors_have_no_broker_dependency(file: Path) -> None:
    packages = {name.partition(".")[0] for name in imported(file)}
    assert not packages & {"broker", "live", "risk", "strategies", "backtest", "ccxt", "redis", "requests", "aiohttp"}


def test_baseexecutor_enforces_the_emission_of_intents() -> None:
    assert BaseExecutor.__abstractmethods__ == {"plan_execution"}
    assert inspect.iscoroutinefunction(BaseExecutor.plan_execution)
    assert get_type_hints(BaseExecutor.plan_execution)["return"] == list[OrderIntent]
    with pytest.raises(TypeError, match="plan_execution"):
        BaseExecutor("tester")  # type: ignore[abstract]


def test_an_executor_of_ones_own_needs_only_a_plan() -> None:
    class OneShot(BaseExecutor):
        async def plan_execution(self, algo: ExecutionAlgorithm) -> list[OrderIntent]:
            return [OrderIntent("a-0", 1, self.strategy_id, algo.symbol, algo.side, "market", algo.total_quantity)]

    (intent,) = SyncExecutionWrapper(OneShot("tester")).plan_execution_sync(ALGO)
    assert (intent.strategy_id, intent.qty, intent.action) == ("tester", 10.0, "new")


def test_executors_take_no_bus_no_broker_and_no_gate_in_their_constructors() -> None:
    for kind in (BaseExecutor, RuleExecutor, TWAPExecutor):
        names = " ".join(inspect.signature(kind.__init__).parameters)
        assert not re.search("broker|venue|gate|bus|exchange", names)


def test_a_strategy_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="strategy_id must be a name"):
        TWAPExecutor("")


# ---------------------------------------------------------------- async and sync


def test_the_sync_wrapper_plans_where_no_loop_runs() -> None:
    assert [intent.qty for intent in planned(twap())] == [2.5, 2.5, 2.5, 2.5]


def test_the_sync_wrapper_raises_inside_a_running_event_loop_and_leaves_no_coroutine_behind() -> None:
    wrapper = SyncExecutionWrapper(twap())

    async def scene() -> None:
        with pytest.raises(RuntimeError, match="await executor"):
            wrapper.plan_execution_sync(ALGO)

    play(scene)  # a coroutine that nobody awaits would be a warning, which is an error here


def test_asyncio_run_itself_raises_inside_a_running_event_loop() -> None:
    async def scene() -> None:
        plan = twap().plan_execution(ALGO)
        with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
            asyncio.run(plan)
        plan.close()

    play(scene)


def test_the_sync_wrapper_warns_in_its_documentation() -> None:
    text = inspect.getdoc(SyncExecutionWrapper) or ""
    for words in ("asyncio.run", "event loop", "backtest", "RuntimeError"):
        assert words in text


def test_only_sync_code_uses_the_sync_wrapper() -> None:
    users = [
        file.relative_to(ROOT).as_posix()
        for package in ("core", "research", "strategies", "execution", "risk", "backtest", "broker", "live")
        for file in (ROOT / package).glob("**/*.py")
        if "execution.adapters.SyncExecutionWrapper" in imported(file)
    ]
    assert {name.partition("/")[0] for name in users} <= {"execution", "backtest"}
    for name in users:
        assert not any(
            isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(ast.parse((ROOT / name).read_text()))
        )


def test_errors_of_the_plan_reach_the_sync_caller() -> None:
    with pytest.raises(ValueError, match="limit slices of ATOM/USDT need a price"):
        planned(twap(), replace(ALGO, params={}))


# ---------------------------------------------------------------- ids and meta


def test_the_client_order_id_of_a_slice_is_the_intent_id() -> None:
    executor = twap()
    intents = planned(executor)
    slices = executor.tracker(intents[0].meta["execution_id"]).slices(START_NS)
    assert [one.client_order_id for one in slices] == [intent.intent_id for intent in intents]
    assert [one.slice_id for one in slices] == [intent.meta["slice_id"] for intent in intents]
    assert [one.scheduled_ts_ns for one in slices] == [intent.meta["scheduled_ts_ns"] for intent in intents]


def test_every_child_packs_its_execution_and_slice_into_meta() -> None:
    for index, intent in enumerate(planned(twap())):
        assert intent.meta["slice_id"] == f"{intent.meta['execution_id']}_{index}"
        assert intent.intent_id.startswith(intent.meta["execution_id"])


def test_ids_fit_on_the_wire_and_never_collide() -> None:
    seen: set[str] = set()  # pitfall 18
    for strategy in ("one", "two"):
        for seed in (0, 1):
            executor = TWAPExecutor(strategy, 4, "market", seed=seed, clock=ManualClock(START_NS))
            for _ in range(3):
                for intent in planned(executor):
                    assert re.fullmatch("[a-z0-9-]{1,32}", intent.intent_id)
                    assert intent.intent_id not in seen
                    seen.add(intent.intent_id)


def test_the_same_seed_makes_the_same_plan() -> None:
    assert planned(twap(seed=3)) == planned(twap(seed=3))


def test_a_planned_and_a_started_parent_make_the_same_first_children() -> None:
    executor = twap()
    first = planned(executor)[0]
    parent = twap().start(ALGO, start_ns=START_NS)
    assert parent.parent.execution_id == first.meta["execution_id"]
    assert parent.plan.slices == 4


# ---------------------------------------------------------------- intent, fill, report


@pytest.mark.parametrize("meta", [True, False], ids=["the venue returns meta", "only the client order id comes back"])
def test_round_trip_from_intent_meta_to_fill_to_report_with_a_partial_fill(meta: bool) -> None:
    async def scene() -> None:
        bus, clock = InMemoryBus(), ManualClock(START_NS)
        executor = twap(clock=clock)
        intents = [OrderIntent.from_dict(one.to_dict()) for one in await executor.plan_execution(ALGO)]
        execution_id = intents[0].meta["execution_id"]
        watching = asyncio.create_task(executor._monitor_fills(bus, execution_id))
        await subscribed(bus, topics.FILLS)
        fills = [
            fill_of(intents[0], meta=meta),
            fill_of(intents[1], 1.0, name="part", meta=meta),
            fill_of(intents[1], 1.0, name="part", meta=meta),  # repeated by the bus
            fill_of(intents[2], meta=meta),
        ]
        for fill in fills:
            await bus.publish_json(topics.FILLS, fill.to_dict())
        clock.set(START_NS + 100 * SECOND)
        report = ExecutionReport.from_dict((await watching).to_dict())
        assert report.execution_id == execution_id
        assert (report.filled_quantity, report.remaining_quantity, report.total_quantity) == (6.0, 4.0, 10.0)
        assert (report.slices_completed, report.slices_total) == (2, 4)
        assert (report.status, report.unfilled_reason) == ("cancelled", "end of horizon")
        assert report.avg_fill_price == 10.0
        assert report.total_fees == pytest.approx(0.03)
        assert [fill.fill_id for fill in report.fills] == [fills[0].fill_id, "part", fills[3].fill_id]

    play(scene)


@pytest.mark.parametrize("meta", [True, False], ids=["the venue returns meta", "only the client order id comes back"])
def test_track_fills_gives_the_fills_of_one_execution_only(meta: bool) -> None:
    async def scene() -> None:
        bus = InMemoryBus()
        executor = twap()
        ours, theirs = await executor.plan_execution(ALGO), await executor.plan_execution(ALGO)
        got: list[FillEvent] = []

        async def watch() -> None:
            got.extend([fill async for fill in executor.track_fills(bus, ours[0].meta["execution_id"])])

        watching = asyncio.create_task(watch())
        await subscribed(bus, topics.FILLS)
        for intent in (theirs[0], ours[0], theirs[1], ours[3]):
            await bus.publish_json(topics.FILLS, fill_of(intent, meta=meta).to_dict())
        await bus.publish_json(
            topics.FILLS, replace(fill_of(ours[0], meta=False), order_id="somebody", fill_id="z").to_dict()
        )
        await bus.close()
        await watching
        assert [fill.order_id for fill in got] == [ours[0].intent_id, ours[3].intent_id]

    play(scene)


def test_fills_of_an_execution_that_another_process_planned_are_found_by_meta() -> None:
    async def scene() -> None:
        bus = InMemoryBus()
        intents = await twap().plan_execution(ALGO)
        elsewhere = TWAPExecutor("watcher", order_type="market")
        stream = elsewhere.track_fills(bus, intents[0].meta["execution_id"])
        first = asyncio.ensure_future(anext(stream))
        await subscribed(bus, topics.FILLS)
        await bus.publish_json(topics.FILLS, fill_of(intents[2]).to_dict())
        assert (await first).order_id == intents[2].intent_id
        await stream.aclose()  # type: ignore[attr-defined]

    play(scene)


def test_an_execution_that_was_never_planned_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'x-9' was not planned by this executor"):
        twap().tracker("x-9")


# ---------------------------------------------------------------- the tracker


def test_the_tracker_makes_a_cancel_for_every_child_that_is_open() -> None:
    executor = twap()
    intents = planned(executor)
    tracker = executor.tracker(intents[0].meta["execution_id"])
    tracker.on_fill(fill_of(intents[0]))
    tracker.on_fill(fill_of(intents[1], 1.0))
    tracker.on_closed(OrderClosed(intents[2].intent_id, "sim", "rejected", 0.0, START_NS))
    cancels = tracker.cancels(START_NS + 100 * SECOND)
    assert [(cancel.target_intent_id, cancel.qty) for cancel in cancels] == [
        (intents[1].intent_id, 1.5),
        (intents[3].intent_id, 2.5),
    ]
    for cancel in cancels:
        assert (cancel.action, cancel.ts_local_ns) == ("cancel", START_NS + 100 * SECOND)
        assert cancel.meta["execution_id"] == intents[0].meta["execution_id"]
        assert cancel.expires_ts_ns is None
        assert OrderIntent.from_dict(cancel.to_dict()) == cancel
    assert tracker.cancels(START_NS + 100 * SECOND) == cancels


def test_the_tracker_shows_how_each_slice_stands() -> None:
    executor = twap()
    intents = planned(executor)
    tracker = executor.tracker(intents[0].meta["execution_id"])
    tracker.on_fill(fill_of(intents[0]))
    tracker.on_closed(OrderClosed(intents[1].intent_id, "sim", "cancelled", 0.0, START_NS))
    assert [one.status for one in tracker.slices(START_NS + 50 * SECOND)] == [
        "filled",
        "cancelled",
        "submitted",
        "pending",
    ]


def test_the_tracker_counts_a_fill_once_and_foreign_fills_never() -> None:
    executor = twap()
    intents = planned(executor)
    tracker = executor.tracker(intents[0].meta["execution_id"])
    assert tracker.on_fill(fill_of(intents[0]))
    assert not tracker.on_fill(fill_of(intents[0]))
    assert not tracker.on_fill(replace(fill_of(intents[0], meta=False), order_id="x", fill_id="y"))
    tracker.on_closed(OrderClosed("x", "sim", "cancelled", 0.0, START_NS))
    assert tracker.filled == 2.5
    assert not tracker.complete


def test_fills_that_add_up_in_tenths_complete_an_execution() -> None:
    executor = twap()  # pitfall 7
    intents = planned(executor, replace(ALGO, total_quantity=0.3, params={"slice_count": 3, "order_type": "market"}))
    tracker = executor.tracker(intents[0].meta["execution_id"])
    for intent in intents:
        tracker.on_fill(fill_of(intent))
    assert tracker.complete
    assert tracker.cancels(START_NS) == []
    assert tracker.report(end_ns=None, status="completed").remaining_quantity == 0


# ---------------------------------------------------------------- what executors share


@pytest.mark.parametrize(
    ("quantity", "wanted", "min_lots", "slices"), [(100, 10, 1, 10), (5, 10, 1, 5), (100, 10, 30, 3), (30, 10, 30, 1)]
)
def test_slices_that_are_too_small_become_fewer(quantity: int, wanted: int, min_lots: int, slices: int) -> None:
    terms = Terms(quantity=quantity, horizon_ms=10_000, limit_ticks=0, start_ns=0)
    assert feasible_slices(terms, wanted, min_lots) == slices  # pitfall 1, pitfall 4


def test_a_quantity_below_the_minimum_of_the_venue_is_refused_with_both_numbers() -> None:
    with pytest.raises(ValueError, match="29 lots is below the venue's minimum of 30 lots"):
        feasible_slices(Terms(quantity=29, horizon_ms=10, limit_ticks=0, start_ns=0), 1, 30)


def test_a_symbol_that_nobody_described_has_a_fine_grid() -> None:
    made = default_instrument(SYMBOL)
    assert (made.lot, made.tick) == ("0.0001", "0.00000001")


def test_less_than_one_lot_is_refused_and_the_least_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"total_quantity 0.05 is less than one lot of 0.1 ATOM/USDT: the least is 0.1"
    ):
        twap().start(replace(ALGO, total_quantity=0.05), start_ns=START_NS)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"slice_cuont": 5}, "TWAP has no parameter 'slice_cuont'.*slice_count"),
        ({"slice_count": 0}, "slice_count"),
        ({"slice_count": 2.5}, "slice_count"),
        ({"slice_count": 100_001}, "slice_count"),
        ({"order_type": "stop"}, "order_type"),
        ({"limit_price": -1.0}, "limit_price"),
        ({"interval_seconds": 0}, "interval_seconds"),
        ({"catch_up": 0}, "catch_up"),
        ({"completion": "never"}, "completion"),
        ({"completion": "extend"}, "extend_seconds"),
    ],
)
def test_wrong_parameters_are_refused_by_name_in_the_parent_and_in_the_constructor(
    params: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        planned(twap(), replace(ALGO, params=params))
    with pytest.raises(ValueError, match=text):
        TWAPExecutor("tester", **params)


def test_an_algorithm_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="algo_type must be TWAP for TWAPExecutor, was VWAP"):
        planned(twap(), replace(ALGO, algo_type="VWAP"))
    with pytest.raises(ValueError, match="algo_type must be TWAP"):
        twap().start(replace(ALGO, algo_type="VWAP"), start_ns=START_NS)


def test_the_parameters_of_a_parent_override_those_of_the_executor() -> None:
    executor = twap(slice_count=8, order_type="market")
    assert len(planned(executor, replace(ALGO, params={}))) == 8
    assert len(planned(executor, replace(ALGO, params={"slice_count": 2}))) == 2
