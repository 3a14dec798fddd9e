"""Executors that follow the market over the bus: icebergs and shares of the volume, 8.4 and 8.5."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core import topics
from core.bus import InMemoryBus
from core.clock import ManualClock
from core.contracts import (
    FillEvent,
    OHLCVBar,
    OrderIntent,
    QuoteEvent,
    RiskDecision,
    TradeEvent,
)
from execution.contracts import ExecutionReport
from execution.events import Market, Wake
from execution.iceberg import IcebergExecutor
from execution.pov import POVExecutor
from execution.twap import TWAPExecutor
from tests.naive import MINUTE_NS, START_NS
from tests.parents import SECOND, subscribed
from tests.talk import (
    INSTRUMENT,
    SYMBOL,
    Hall,
    Message,
    algorithm,
    closed,
    fill_of,
    keywords,
    play,
    quiet,
    say,
    through,
)
from tests.test_execution_async import META

# ---------------------------------------------------------------- 8.4: Iceberg


class Replenishing:
    """An iceberg of 100 that shows 10, its clips as they come, and a venue that says what the test says."""

    def __init__(self, *, seconds: int = 1000, quantity: float = 100, **params: Any) -> None:
        self.bus, self.clock = InMemoryBus(), ManualClock(START_NS)
        self.executor = IcebergExecutor("tester", **keywords(self.clock, quotes=None))
        self.algo = algorithm("Iceberg", quantity, seconds, **{"limit_price": 10.0, **params})
        self.clips: list[OrderIntent] = []
        self.cancels: list[OrderIntent] = []
        self.sent_at: list[float] = []

    async def begin(self) -> Replenishing:
        self.clips += await self.executor.plan_execution(self.algo)
        self.execution_id = self.clips[0].meta["execution_id"]
        self.sent_at += [0.0] * len(self.clips)
        stream = self.executor._monitor_and_replenish(self.bus, self.execution_id, self.algo)
        self.task = asyncio.create_task(self._collect(stream))
        await quiet(self.bus)
        return self

    async def _collect(self, stream: AsyncIterator[OrderIntent]) -> None:
        async for intent in stream:
            (self.clips if intent.action == "new" else self.cancels).append(intent)
            if intent.action == "new":
                self.sent_at.append((self.clock.now_ns() - START_NS) / SECOND)

    async def say(self, *messages: Message) -> None:
        for message in messages:
            await say(self.bus, message)
        await quiet(self.bus)

    async def at(self, seconds: float) -> None:
        await through(self.bus, self.clock, START_NS + round(seconds * SECOND))

    @property
    def sizes(self) -> list[float]:
        return [clip.qty for clip in self.clips]

    @property
    def report(self) -> ExecutionReport:
        return self.executor.machine(self.execution_id).report()


@META
def test_an_iceberg_is_replenished_cycle_by_cycle_until_all_is_done(meta: bool) -> None:
    async def scene() -> None:
        berg = await Replenishing().begin()
        watching = asyncio.create_task(berg.executor._monitor_fills(berg.bus, berg.execution_id))
        await quiet(berg.bus)
        for cycle in range(10):
            assert berg.sizes == [10.0] * (cycle + 1)
            await berg.say(FillEvent.from_dict(fill_of(berg.clips[-1], meta=meta).to_dict()))
        await berg.task  # ends with the parent
        assert sum(berg.sizes) == 100
        assert len({clip.intent_id for clip in berg.clips}) == 10
        assert [clip.meta["slice_id"] for clip in berg.clips] == [f"{berg.execution_id}_{n}" for n in range(10)]
        assert {clip.limit_price for clip in berg.clips} == {10.0}
        report = await watching
        assert (report.status, report.filled_quantity, report.slices_completed, report.slices_total) == (
            "completed",
            100,
            10,
            10,
        )
        assert berg.report.filled_quantity == 100

    play(scene)


def test_clips_after_the_first_are_heard_from_the_call_on() -> None:
    async def scene() -> None:
        bus, clock = InMemoryBus(), ManualClock(START_NS)
        executor = IcebergExecutor("tester", **keywords(clock))
        algo = algorithm("Iceberg", limit_price=10.0)
        (first,) = await executor.plan_execution(algo)
        stream = executor._monitor_and_replenish(bus, first.meta["execution_id"], algo)
        await say(bus, fill_of(first))
        second = await anext(stream)
        assert (second.intent_id, second.qty) == (f"{first.meta['execution_id']}-1", 10)
        await stream.aclose()  # type: ignore[attr-defined]

    play(scene)


def test_partial_fills_replenish_at_the_threshold_and_never_above_the_display() -> None:
    async def scene() -> None:
        berg = await Replenishing().begin()  # pitfall 8
        await berg.say(fill_of(berg.clips[0], 4.0, name="a"))
        assert berg.sizes == [10]
        await berg.say(fill_of(berg.clips[0], 1.0, name="b"), fill_of(berg.clips[0], 1.0, name="b"))
        assert berg.sizes == [10, 5]  # half is gone: as much again, so that ten are shown
        await berg.say(fill_of(berg.clips[1], 5.0))
        assert berg.sizes == [10, 5, 5]
        berg.task.cancel()

    play(scene)


def test_a_cancelled_clip_is_shown_again_only_once_its_close_says_how_much_is_left() -> None:
    async def scene() -> None:
        berg = await Replenishing(retry_seconds=1.0).begin()  # pitfall 9, pitfall 37
        await berg.say(closed(berg.clips[0], 3.0))
        assert berg.sizes == [10]  # three more have filled, says the venue: seven are free, and trouble is waited out
        await berg.at(1)
        assert berg.sizes == [10, 7]
        await berg.say(fill_of(berg.clips[0], 3.0))
        assert berg.sizes == [10, 7]  # 7 of 10 are shown: not yet at the threshold
        berg.task.cancel()

    play(scene)


def test_refused_clips_are_tried_again_ever_later_and_then_the_parent_fails() -> None:
    async def scene() -> None:
        berg = await Replenishing(retries=3, retry_seconds=1.0).begin()  # pitfall 14
        for wait in (1, 3, 7):
            await berg.say(RiskDecision(berg.clips[-1].intent_id, False, "too big"))
            await berg.at(wait)
        assert berg.sent_at == [0, 1, 3, 7]
        assert len({clip.intent_id for clip in berg.clips}) == 4
        await berg.say(RiskDecision(berg.clips[-1].intent_id, False, "too big"))
        await berg.task
        assert (berg.report.status, berg.report.unfilled_reason) == ("failed", "too big")
        assert len(berg.report.denials) == 4

    play(scene)


def test_a_rejected_clip_is_tried_again_and_a_fill_forgives() -> None:
    async def scene() -> None:
        berg = await Replenishing(retries=1, retry_seconds=1.0).begin()
        await berg.say(closed(berg.clips[0], status="rejected", reason="busy"))
        await berg.at(1)
        await berg.say(fill_of(berg.clips[1]))
        await berg.say(closed(berg.clips[2], status="rejected", reason="busy"))
        await berg.at(2)
        assert berg.sizes == [10, 10, 10, 10]
        await berg.say(closed(berg.clips[3], status="rejected", reason="busy"))
        await berg.task
        assert berg.report.unfilled_reason == "rejected by the venue: busy"

    play(scene)


def test_the_end_of_the_horizon_yields_the_cancels_and_ends() -> None:
    async def scene() -> None:
        berg = await Replenishing(seconds=400).begin()  # pitfall 16
        await berg.at(350)
        await berg.say(fill_of(berg.clips[0], 6.0))
        assert berg.sizes == [10, 6]  # an old market is no obstacle where every clip rests at the limit
        await berg.at(400)
        await berg.task
        assert [(one.target_intent_id, one.qty) for one in berg.cancels] == [
            (berg.clips[0].intent_id, 4),
            (berg.clips[1].intent_id, 6),
        ]
        assert all(one.ts_local_ns == START_NS + 400 * SECOND for one in berg.cancels)

    play(scene)


def test_a_pegged_iceberg_follows_the_quotes_of_the_bus() -> None:
    async def scene() -> None:
        berg = await Replenishing(price="peg", limit_price=20.0).begin()
        quote = QuoteEvent(SYMBOL, 10.05, 10.07, START_NS + SECOND)
        berg.clock.set(START_NS + SECOND)
        await berg.bus.publish_json(topics.quotes(SYMBOL), quote.to_dict())
        await quiet(berg.bus)
        assert [one.target_intent_id for one in berg.cancels] == [berg.clips[0].intent_id]
        assert berg.sizes == [10]
        await berg.say(closed(berg.clips[0], 0.0))
        assert [clip.limit_price for clip in berg.clips[1:]] == [10.05]
        berg.task.cancel()

    play(scene)


def test_a_bus_that_closes_ends_the_replenishing() -> None:
    async def scene() -> None:
        berg = await Replenishing().begin()
        await berg.bus.close()
        await berg.task
        assert berg.cancels == []

    play(scene)


@pytest.mark.parametrize("seed", range(8))
def test_a_clip_of_random_size_is_not_topped_up_by_the_next_event(seed: int) -> None:
    executor = IcebergExecutor("tester", 0.1, 0.5, clip_jitter=0.9, seed=seed, **keywords(ManualClock(START_NS)))
    machine = executor.start(algorithm("Iceberg", 1000, limit_price=10.0), start_ns=START_NS, price=10.0)
    (first,) = machine.on(Market(START_NS, 999, 1001), START_NS).commands
    assert 50 < first.qty <= 100
    for second in range(1, 50):
        assert machine.on(Wake(), START_NS + second * SECOND).commands == ()


def test_nothing_that_leaves_shows_the_size_of_the_parent() -> None:
    async def scene() -> None:
        berg = await Replenishing(quantity=7919, display_quantity=10.0).begin()
        for _ in range(3):
            await berg.say(fill_of(berg.clips[-1]))
        for clip in berg.clips:
            assert "7919" not in str(clip.to_dict())
            assert clip.qty <= 10
        berg.task.cancel()

    play(scene)


def test_a_visible_intent_is_on_the_grid_and_within_the_display() -> None:
    async def scene() -> None:
        berg = await Replenishing().begin()
        made = berg.executor._create_visible_intent(berg.execution_id, 9.7, 10.019, START_NS + SECOND)
        assert (made.qty, made.limit_price, made.type) == (9, 10.01, "limit")
        assert made.meta["execution_id"] == berg.execution_id
        assert made.meta["slice_id"] == f"{berg.execution_id}_1"
        assert made.meta["scheduled_ts_ns"] == START_NS + SECOND
        for wrong in (0.5, 11.0):
            with pytest.raises(ValueError, match="visible_qty must be between a lot of 1 and 10"):
                berg.executor._create_visible_intent(berg.execution_id, wrong, 10.0, START_NS)
        berg.task.cancel()

    play(scene)


def test_an_iceberg_that_was_not_started_here_is_refused_at_the_call() -> None:
    executor = IcebergExecutor("tester", **keywords(ManualClock(START_NS)))

    async def scene() -> None:
        with pytest.raises(ValueError, match="'x-9' was not started by this executor"):
            executor._monitor_and_replenish(InMemoryBus(), "x-9", algorithm("Iceberg"))

    play(scene)


# ---------------------------------------------------------------- 8.5: POV


def pov(clock: ManualClock, **params: Any) -> POVExecutor:
    return POVExecutor("tester", None, 0.2, 0.0, **keywords(clock, **params))


def trade(qty: float, name: str | None = None) -> dict[str, Any]:
    return TradeEvent(SYMBOL, 10.0, qty, START_NS, trade_id=name).to_dict()


def minute(number: int, volume: float) -> dict[str, Any]:
    opens = START_NS + number * MINUTE_NS
    return OHLCVBar(SYMBOL, opens, opens + MINUTE_NS, 10.0, 10.0, 10.0, 10.0, volume).to_dict()


def test_monitor_volume_measures_one_period_of_the_clock_without_real_waiting() -> None:
    async def scene() -> None:
        bus, clock = InMemoryBus(), ManualClock(START_NS)
        measuring = asyncio.create_task(pov(clock, interval_seconds=3600.0)._monitor_volume(bus, SYMBOL))
        await subscribed(bus, topics.trades(SYMBOL))
        await bus.publish_json(topics.trades(SYMBOL), trade(5.0, "1"))
        await bus.publish_json(topics.trades(SYMBOL), trade(5.0, "1"))  # repeated by the bus
        await bus.publish_json(topics.trades(SYMBOL), trade(2.5))
        await bus.publish_json(topics.trades(SYMBOL), trade(2.5))
        await bus.publish_json(topics.trades("BTC/USDT"), trade(99.0))
        await bus.publish_json(topics.bars(SYMBOL), minute(0, 10.0))  # the same volume once more, as a bar
        clock.set(START_NS + 3600 * SECOND - 1)
        await quiet(bus)
        assert not measuring.done()
        clock.advance(1)
        assert await measuring == 10
        assert bus.backlog(topics.trades(SYMBOL)) == []

    play(scene)


def test_monitor_volume_takes_bars_where_there_are_no_trades() -> None:
    async def scene() -> None:
        bus, clock = InMemoryBus(), ManualClock(START_NS)
        measuring = asyncio.create_task(pov(clock, interval_seconds=120.0)._monitor_volume(bus, SYMBOL))
        await subscribed(bus, topics.bars(SYMBOL))
        for number, volume in ((0, 7.0), (1, 8.0), (1, 8.0)):
            await bus.publish_json(topics.bars(SYMBOL), minute(number, volume))
        clock.advance(120 * SECOND)
        assert await measuring == 15

    play(scene)


def test_a_period_without_a_trade_has_no_volume_and_a_closed_bus_ends_it() -> None:
    async def scene() -> None:
        bus, clock = InMemoryBus(), ManualClock(START_NS)
        first = asyncio.create_task(pov(clock)._monitor_volume(bus, SYMBOL))
        await subscribed(bus, topics.bars(SYMBOL))
        clock.advance(60 * SECOND)
        assert await first == 0
        second = asyncio.create_task(pov(clock)._monitor_volume(bus, SYMBOL))
        await subscribed(bus, topics.bars(SYMBOL))
        await bus.publish_json(topics.trades(SYMBOL), trade(5.0))
        await bus.close()
        assert await second == 5

    play(scene)


@pytest.mark.parametrize(
    ("volume", "remaining", "seconds", "size"),
    [
        (4000, 100_000, 10_000_000, 1000),  # 20 % of all is a quarter of the others'
        (4000, 600, 10_000_000, 600),  # no more than what remains
        (4000, 100_000, 60, 2666),  # behind: up to 40 % of all, two thirds of the others'
        (4000, 15_000, 600, 1500),  # behind: what the ten periods left require
        (999, 100_000, 600, 0),  # below the threshold
        (0, 100_000, 600, 0),
        (4000, 0, 600, 0),
        (4000, 100_000, -5, 2666),
    ],
)
def test_the_size_of_a_slice_follows_volume_and_what_is_left(
    volume: float, remaining: float, seconds: int, size: float
) -> None:
    executor = POVExecutor("tester", None, 0.2, 1000.0, instrument=INSTRUMENT)
    assert executor._calculate_slice_size(volume, remaining, seconds * SECOND) == size


def test_the_size_of_a_slice_needs_real_numbers() -> None:
    executor = POVExecutor("tester", None)
    with pytest.raises(ValueError, match="market_volume"):
        executor._calculate_slice_size(float("nan"), 1.0, 1)
    with pytest.raises(ValueError, match="remaining_quantity"):
        executor._calculate_slice_size(1.0, -1.0, 1)
    assert POVExecutor("tester", None, 0.5, 0.0)._calculate_slice_size(0.3, 10.0, 10**15) == pytest.approx(0.3)


@META
def test_pov_round_trip_with_slices_sized_by_the_volume_that_comes_in(meta: bool) -> None:
    async def scene() -> None:
        hall = Hall(meta=meta)
        await quiet(hall.bus)
        await hall.quote()
        name = await hall.start(
            "POV", 10_000, 600, target_pov=0.2, feed_forward=False, min_volume_threshold=100.0, spike=0
        )
        volumes = [400.0, 800.0, 50.0, 1200.0, 0.0, 400.0]
        for number, volume in enumerate(volumes):
            await hall.at(60 * (number + 1) - 1)
            await hall.bus.publish_json(
                topics.trades(SYMBOL), TradeEvent(SYMBOL, 10.0, max(volume, 1e-9), START_NS).to_dict()
            )
            await hall.quote()
        await hall.at(601)
        await quiet(hall.bus)
        # a quarter of the others' volume; 50 and 0 are below the threshold, and made up for afterwards
        assert hall.venue.sizes == [100, 200, 312, 100]
        assert hall.venue.at == [60, 120, 240, 360]
        (report,) = hall.venue.reports
        assert (report.execution_id, report.algo_type, report.filled_quantity) == (name, "POV", 712)
        assert report.status == "cancelled"
        traded = sum(volumes)
        assert abs(712 / (712 + traded) / 0.2 - 1) <= 0.05
        assert {fill.order_id for fill in report.fills} == {f"{name}-{n}" for n in range(4)}
        await hall.end()

    play(scene)


def test_the_methods_keep_the_signatures_of_the_specification() -> None:
    for kind, name, names in (
        (TWAPExecutor, "track_fills", ["self", "bus", "execution_id"]),
        (TWAPExecutor, "_monitor_fills", ["self", "bus", "execution_id"]),
        (IcebergExecutor, "_monitor_and_replenish", ["self", "bus", "execution_id", "algo"]),
        (
            IcebergExecutor,
            "_create_visible_intent",
            ["self", "execution_id", "visible_qty", "limit_price", "scheduled_ts_ns"],
        ),
        (POVExecutor, "_monitor_volume", ["self", "bus", "symbol"]),
        (POVExecutor, "_calculate_slice_size", ["self", "market_volume", "remaining_quantity", "time_remaining_ns"]),
    ):
        assert list(inspect.signature(getattr(kind, name)).parameters) == names
    assert inspect.iscoroutinefunction(TWAPExecutor._monitor_fills)
    assert inspect.iscoroutinefunction(POVExecutor._monitor_volume)
