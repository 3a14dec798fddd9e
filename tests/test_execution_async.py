"""Executors over a bus: fills followed to a report, icebergs replenished, volume measured, parents conducted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from core import topics
from core.bus import InMemoryBus
from core.clock import ManualClock
from core.contracts import (
    FillEvent,
    OrderIntent,
    RiskDecision,
)
from execution.base import LATE_NS, RuleExecutor
from execution.contracts import AlgoType, ExecutionReport
from execution.profile import VolumeHistory
from execution.twap import TWAPExecutor
from execution.vwap import VWAPExecutor
from tests.backtests import bars_from
from tests.naive import MINUTE_NS, START_NS
from tests.parents import SECOND, subscribed
from tests.talk import (
    Message,
    algorithm,
    closed,
    fill_of,
    keywords,
    play,
    say,
    through,
)

META = pytest.mark.parametrize("meta", [True, False], ids=["meta comes back", "only the client order id comes back"])


# ---------------------------------------------------------------- following fills


def twap(clock: ManualClock, slices: int = 4) -> TWAPExecutor:
    return TWAPExecutor("tester", slices, "market", **keywords(clock))


def test_track_fills_listens_from_the_call_on() -> None:
    async def scene() -> None:
        bus, executor = InMemoryBus(), twap(ManualClock(START_NS))
        intents = await executor.plan_execution(algorithm("TWAP"))
        stream = executor.track_fills(bus, intents[0].meta["execution_id"])
        for intent in (intents[0], intents[0], intents[1]):  # the first one repeated
            await say(bus, fill_of(intent))
        await bus.close()
        assert [fill.order_id async for fill in stream] == [intents[0].intent_id, intents[1].intent_id]

    play(scene)


def test_a_stream_of_fills_that_nobody_reads_leaves_the_bus() -> None:
    async def scene() -> None:
        bus, executor = InMemoryBus(), twap(ManualClock(START_NS))
        stream = executor.track_fills(bus, "x-1")
        assert bus.backlog(topics.FILLS) == [0]
        del stream
        assert bus.backlog(topics.FILLS) == []

    play(scene)


async def followed(
    answers: Callable[[list[OrderIntent]], Sequence[Message]],
    *,
    kind: AlgoType = "TWAP",
    later: Callable[[list[OrderIntent]], Sequence[Message]] | None = None,
    until_s: float = 100,
    made: RuleExecutor | None = None,
) -> tuple[ExecutionReport, RuleExecutor]:
    """The report after these answers came; `later` ones come a second after the horizon."""
    bus, clock = InMemoryBus(), ManualClock(START_NS)
    executor = made or twap(clock)
    executor.clock = clock
    intents = await executor.plan_execution(algorithm(kind))
    watching = asyncio.create_task(executor._monitor_fills(bus, intents[0].meta["execution_id"]))
    await subscribed(bus, topics.FILLS)
    for answer in answers(intents):
        await say(bus, answer)
    await through(bus, clock, START_NS + round(until_s * SECOND))
    if later is not None:
        assert not watching.done()
        clock.advance(SECOND)
        for answer in later(intents):
            await say(bus, answer)
    return await watching, executor


def test_a_plan_that_is_filled_is_completed_before_its_time() -> None:
    async def scene() -> None:
        report, _ = await followed(lambda intents: [fill_of(one) for one in intents], until_s=20)
        assert (report.status, report.filled_quantity, report.unfilled_reason) == ("completed", 100, None)
        assert report.end_ts_ns == START_NS + 5 * SECOND

    play(scene)


def test_time_that_runs_out_is_said_to_be_the_reason() -> None:
    async def scene() -> None:
        report, executor = await followed(lambda intents: [fill_of(intents[0]), fill_of(intents[1], 10.0)])
        assert (report.status, report.unfilled_reason) == ("cancelled", "end of horizon")
        assert (report.filled_quantity, report.remaining_quantity) == (35, 65)
        assert report.end_ts_ns == START_NS + 100 * SECOND
        cancels = executor.tracker(report.execution_id).cancels(START_NS)
        assert [one.qty for one in cancels] == [15, 25, 25]

    play(scene)


def test_children_that_were_cancelled_are_said_to_be_the_reason_at_once() -> None:
    async def scene() -> None:
        report, executor = await followed(
            lambda intents: [fill_of(intents[0], 5.0), closed(intents[0], 5.0), *(closed(one) for one in intents[1:])],
            until_s=20,
        )
        assert (report.status, report.unfilled_reason) == ("cancelled", "cancelled by the venue")
        assert report.filled_quantity == 5
        assert executor.tracker(report.execution_id).cancels(START_NS) == []

    play(scene)


def test_an_execution_that_is_refused_altogether_has_failed_and_says_why() -> None:  # pitfall 14
    async def scene() -> None:
        report, _ = await followed(
            lambda intents: [
                *(RiskDecision(one.intent_id, False, "too big") for one in intents[:2]),
                *(closed(one, status="rejected", reason="no margin") for one in intents[2:]),
            ],
            until_s=20,
        )
        assert (report.status, report.filled_quantity) == ("failed", 0)
        assert report.unfilled_reason == "too big; rejected by the venue: no margin"
        assert report.denials == tuple(f"{report.execution_id}-{n}: too big" for n in range(2))

    play(scene)


def test_a_partly_refused_execution_is_cancelled_with_all_reasons() -> None:
    async def scene() -> None:
        report, _ = await followed(
            lambda intents: [
                fill_of(intents[0]),
                closed(intents[1], status="expired"),
                RiskDecision(intents[2].intent_id, False),
            ]
        )
        assert report.status == "cancelled"
        assert report.unfilled_reason == "expired by the venue; refused by the risk gate; end of horizon"

    play(scene)


def test_leave_to_trade_and_refused_cancels_change_nothing() -> None:
    async def scene() -> None:
        report, _ = await followed(
            lambda intents: [
                *(RiskDecision(one.intent_id, True) for one in intents),
                RiskDecision(f"{intents[0].intent_id}-c1", False, "no"),
                *(fill_of(one) for one in intents),
                RiskDecision(intents[0].intent_id, False, "late and wrong: it has traded"),
            ],
            until_s=20,
        )
        assert (report.status, report.denials) == ("completed", ())

    play(scene)


def test_a_fill_that_comes_after_its_close_counts_and_is_waited_for() -> None:
    async def scene() -> None:
        report, _ = await followed(
            lambda intents: [closed(one, one.qty) for one in intents] + [fill_of(one) for one in intents], until_s=20
        )
        assert (report.status, report.filled_quantity) == ("completed", 100)
        report, _ = await followed(
            lambda intents: [fill_of(one) for one in intents[:3]] + [closed(intents[3], 10.0, "expired")],
            later=lambda intents: [fill_of(intents[3], 10.0)],
        )
        assert (report.status, report.filled_quantity) == ("cancelled", 85)
        assert report.unfilled_reason == "expired by the venue"

    play(scene)


def test_fills_that_never_come_are_missed_by_name() -> None:
    async def scene() -> None:
        report, _ = await followed(
            lambda intents: [fill_of(one) for one in intents[:3]] + [closed(intents[3], 10.0)],
            until_s=100 + LATE_NS / 1e9,
        )
        assert (report.status, report.filled_quantity) == ("cancelled", 75)
        assert report.unfilled_reason == "cancelled by the venue; the venue filled 10 more, of which no fill has come"

    play(scene)


def test_repeated_messages_count_once() -> None:
    async def scene() -> None:
        report, _ = await followed(
            lambda intents: [
                answer
                for one in intents
                for answer in (
                    fill_of(one, 10.0),
                    fill_of(one, 10.0),
                    closed(one, 10.0),
                    closed(one, 0.0),
                    closed(one, 10.0),
                )
            ],
            until_s=20,
        )
        assert report.filled_quantity == 40
        assert report.total_fees == pytest.approx(0.04)
        assert len(report.fills) == 4

    play(scene)


def test_a_bus_that_closes_leaves_the_execution_running() -> None:
    async def scene() -> None:
        bus, clock = InMemoryBus(), ManualClock(START_NS)
        executor = twap(clock)
        intents = await executor.plan_execution(algorithm("TWAP"))
        watching = asyncio.create_task(executor._monitor_fills(bus, intents[0].meta["execution_id"]))
        await subscribed(bus, topics.FILLS)
        await say(bus, fill_of(intents[0]))
        await bus.close()
        report = await watching
        assert (report.status, report.filled_quantity, report.end_ts_ns) == ("running", 25, None)
        assert report.unfilled_reason == "the bus was closed before the execution had ended"

    play(scene)


def test_money_is_followed_in_base_quantity() -> None:
    async def scene() -> None:
        clock = ManualClock(START_NS)
        made = TWAPExecutor("tester", 4, "market", quantity_currency="quote", **keywords(clock))
        report, _ = await followed(lambda intents: [fill_of(one) for one in intents], made=made, until_s=20)
        assert (report.status, report.total_quantity, report.filled_quantity) == ("completed", 10, 10)

    play(scene)


# ---------------------------------------------------------------- 8.3: VWAP


@META
def test_vwap_round_trip_from_intent_to_fill_to_report(meta: bool) -> None:
    async def scene() -> None:
        day = [(10.0, 10.0, 10.0, 10.0, 100.0 if k % 60 < 30 else 300.0) for k in range(1440)]
        past = bars_from(day)
        past = replace(
            past, ts_open_ns=past.ts_open_ns - 1440 * MINUTE_NS, ts_close_ns=past.ts_close_ns - 1440 * MINUTE_NS
        )
        bus, clock = InMemoryBus(), ManualClock(START_NS)
        executor = VWAPExecutor("tester", None, history=VolumeHistory(past), **keywords(clock))
        algo = algorithm("VWAP", 400, 3600, slice_count=2)
        planned = [OrderIntent.from_dict(one.to_dict()) for one in await executor.plan_execution(algo)]
        assert [intent.qty for intent in planned] == [100, 300]  # weighted by volume
        execution_id = planned[0].meta["execution_id"]
        watching = asyncio.create_task(executor._monitor_fills(bus, execution_id))
        await subscribed(bus, topics.FILLS)
        for intent, qty in zip(planned, (100.0, 250.0), strict=True):
            await say(bus, FillEvent.from_dict(fill_of(intent, qty, meta=meta).to_dict()))
        await through(bus, clock, START_NS + 3600 * SECOND)
        report = ExecutionReport.from_dict((await watching).to_dict())
        assert (report.execution_id, report.algo_type, report.filled_quantity) == (execution_id, "VWAP", 350)
        assert (report.slices_completed, report.slices_total, report.status) == (1, 2, "cancelled")
        if meta:
            assert [fill.meta["slice_id"] for fill in report.fills] == [f"{execution_id}_0", f"{execution_id}_1"]

    play(scene)
