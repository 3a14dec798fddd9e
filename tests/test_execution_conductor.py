"""The async driver: parents over a bus, each child at its time, whatever comes back and in whatever order."""

from __future__ import annotations

import pytest

from core import topics
from core.bus import InMemoryBus
from core.clock import WallClock
from core.contracts import TradeEvent
from execution.conductor import Conductor
from execution.contracts import ExecutionAlgorithm
from execution.events import Amend, Cancel, Pause, Resume
from execution.twap import TWAPExecutor
from tests.naive import START_NS
from tests.parents import SECOND, subscribed
from tests.talk import INSTRUMENT, SYMBOL, Hall, Venue, algorithm, closed, fill_of, play, quiet, say


def test_no_child_is_published_before_its_time() -> None:  # pitfall 19
    async def scene() -> None:
        hall = Hall()
        await quiet(hall.bus)
        await hall.quote()
        await hall.start("TWAP", start_ns=START_NS + 30 * SECOND, slice_count=4, order_type="market")
        for second in range(0, 131, 5):
            await hall.at(second)
            await hall.quote()
            assert len(hall.venue.sent) == sum(at <= second for at in (30, 55, 80, 105))
        assert hall.venue.at == [30, 55, 80, 105]
        assert [one.meta["scheduled_ts_ns"] for one in hall.venue.sent] == [one.ts_local_ns for one in hall.venue.sent]
        assert [report.status for report in hall.venue.reports] == ["completed"]
        assert await hall.end() == []

    play(scene)


def test_the_run_ends_when_no_parent_is_left() -> None:
    async def scene() -> None:
        hall = Hall(forever=False)
        await hall.start("TWAP", slice_count=1, order_type="market", stale_seconds=0.0)
        assert await hall.running == []
        (report,) = hall.venue.reports
        assert (report.status, report.filled_quantity) == ("completed", 100)

    play(scene)


def test_the_report_has_the_prices_and_the_volume_of_its_time() -> None:
    async def scene() -> None:
        hall = Hall()
        await quiet(hall.bus)
        await hall.quote()
        await hall.start("TWAP", slice_count=2, order_type="market")
        await hall.bus.publish_json(topics.trades(SYMBOL), TradeEvent(SYMBOL, 10.5, 300.0, START_NS + 1).to_dict())
        await hall.at(25)
        await hall.quote(11.99, 12.01)
        await hall.at(50)
        (report,) = hall.venue.reports
        assert (report.decision_price, report.arrival_price, report.end_price) == (9.9, 10.0, 12.0)
        assert (report.market_volume, report.benchmark_vwap) == (300, 10.5)
        assert report.benchmark_vwap_own == pytest.approx((300 * 10.5 + 100 * 10.0) / 400)
        assert report.benchmark_twap == pytest.approx(11.0)
        assert report.spread_bps == pytest.approx((20 + 20 / 1.2) / 2, rel=1e-3)
        await hall.end()

    play(scene)


def test_several_parents_are_worked_at_once_and_their_fills_told_apart() -> None:
    async def scene() -> None:
        hall = Hall(meta=False)
        await quiet(hall.bus)
        await hall.quote()
        names = {
            await hall.start("TWAP", 100, 100, slice_count=4, order_type="market", arguments={"execution_id": "a"}),
            await hall.start(
                "VWAP", 60, 100, slice_count=3, order_type="market", side="sell", arguments={"execution_id": "b"}
            ),
            await hall.start("Iceberg", 50, 100, limit_price=10.0, arguments={"execution_id": "c"}),
        }
        await hall.at(100)
        assert {report.execution_id: report.filled_quantity for report in hall.venue.reports} == {
            "a": 100,
            "b": 60,
            "c": 50,
        }
        assert names == {"a", "b", "c"}
        await hall.end()

    play(scene)


def test_the_same_execution_is_not_started_twice_nor_one_of_an_unknown_symbol() -> None:  # pitfall 18
    async def scene() -> None:
        hall = Hall()
        await hall.start("TWAP", order_type="market", slice_count=1, stale_seconds=0.0, arguments={"execution_id": "a"})
        with pytest.raises(ValueError, match="execution_id 'a' is at work already, or has been"):
            await hall.start("TWAP", order_type="market", arguments={"execution_id": "a"})
        made = TWAPExecutor("tester").start(
            ExecutionAlgorithm("TWAP", "BTC/USDT", "buy", 1.0, 60), start_ns=START_NS, price=10.0
        )
        with pytest.raises(ValueError, match="symbol 'BTC/USDT' has no instrument here; known: ATOM/USDT"):
            hall.conductor.start(made)
        await hall.end()

    play(scene)


def test_a_pause_a_resume_and_an_amendment_reach_their_parent() -> None:
    async def scene() -> None:
        hall = Hall()
        await quiet(hall.bus)
        name = await hall.start("TWAP", slice_count=10, order_type="market", stale_seconds=0.0)
        hall.conductor.tell(name, Pause("lunch"))
        await hall.at(45)
        assert hall.venue.at == [0]
        hall.conductor.tell(name, Resume())
        await hall.at(46)
        assert hall.venue.sizes == [10, 30]  # caught up within bounds
        hall.conductor.tell(name, Amend(quantity=41))
        await hall.at(100)
        (report,) = hall.venue.reports
        assert (report.status, report.total_quantity, report.filled_quantity) == ("completed", 41, 41)
        hall.conductor.tell(name, Cancel())  # of one that has ended: nothing
        await quiet(hall.bus)
        assert len(hall.venue.reports) == 1
        await hall.end()

    play(scene)


def test_a_stop_cancels_everything_and_waits_for_the_evidence() -> None:
    async def scene() -> None:
        hall = Hall(fills=False)
        await hall.start("TWAP", slice_count=4, order_type="market", stale_seconds=0.0)
        assert hall.venue.sizes == [25]
        hall.conductor.stop("going home")
        await quiet(hall.bus)
        assert [one.target_intent_id for one in hall.venue.cancels] == [hall.venue.sent[0].intent_id]
        assert not hall.running.done()
        with pytest.raises(ValueError, match="stopping"):
            await hall.start("TWAP", order_type="market")
        await say(hall.bus, closed(hall.venue.sent[0], 5.0))
        await quiet(hall.bus)
        assert not hall.running.done()  # five more have filled, and the fill has not come
        await say(hall.bus, fill_of(hall.venue.sent[0], 5.0))
        assert await hall.running == []
        await quiet(hall.bus)
        (report,) = hall.venue.reports
        assert (report.status, report.filled_quantity, report.unfilled_reason) == ("cancelled", 5, "going home")

    play(scene)


def test_a_stop_that_gets_no_answer_gives_up_in_time_and_says_what_is_left() -> None:
    async def scene() -> None:
        hall = Hall(fills=False)
        name = await hall.start("TWAP", slice_count=4, order_type="market", stale_seconds=0.0)
        hall.conductor.stop(within_seconds=20)
        await hall.at(19)
        assert not hall.running.done()
        assert len(hall.venue.cancels) > 1  # asked again
        await hall.at(20)
        (left,) = await hall.running
        assert (left.execution_id, left.status, left.filled_quantity) == (name, "running", 0)
        assert hall.venue.reports == []

    play(scene)


def test_a_stop_without_parents_ends_a_run_that_would_go_on_for_ever() -> None:
    async def scene() -> None:
        hall = Hall()
        await quiet(hall.bus)
        assert not hall.running.done()
        hall.conductor.stop()
        assert await hall.running == []

    play(scene)


def test_messages_that_cannot_be_read_are_counted_and_told_and_stop_nobody() -> None:  # pitfall 36
    async def scene() -> None:
        hall = Hall()
        await quiet(hall.bus)
        await hall.bus.publish_json(topics.FILLS, {"nonsense": 1})
        await hall.bus.publish_json(topics.quotes(SYMBOL), {"symbol": SYMBOL, "bid": 11.0, "ask": 10.0, "ts_ns": 1})
        await quiet(hall.bus)
        assert hall.conductor.refused == 2
        assert [topic for topic, _ in hall.refusals] == [topics.FILLS, topics.quotes(SYMBOL)]
        assert "bid must not be above ask" in hall.refusals[1][1]
        await hall.start("TWAP", slice_count=1, order_type="market", stale_seconds=0.0)
        assert [report.status for report in hall.venue.reports] == ["completed"]
        await hall.end()

    play(scene)


def test_a_fill_that_comes_after_the_report_makes_a_new_one() -> None:
    async def scene() -> None:
        hall = Hall(fills=False)
        await hall.start("TWAP", 10, 60, slice_count=1, order_type="market", stale_seconds=0.0, retries=0)
        (child,) = hall.venue.sent
        await say(hall.bus, closed(child, 0.0, "rejected", "closed for the day"))
        await quiet(hall.bus)
        assert [report.filled_quantity for report in hall.venue.reports][-1] == 0
        count = len(hall.venue.reports)
        for _ in range(3):
            await say(hall.bus, fill_of(child, 4.0))  # the venue contradicts itself: its word is final
        await quiet(hall.bus)
        assert len(hall.venue.reports) == count + 1
        assert hall.venue.reports[-1].filled_quantity == 4
        await hall.end()

    play(scene)


def test_a_bus_that_closes_ends_the_run_with_what_is_unfinished() -> None:
    async def scene() -> None:
        hall = Hall(fills=False)
        name = await hall.start("TWAP", slice_count=2, order_type="market", stale_seconds=0.0)
        (left,) = await hall.end()
        assert (left.execution_id, left.status) == (name, "running")

    play(scene)


def test_the_conductor_also_works_in_real_time() -> None:
    async def scene() -> None:
        bus, clock = InMemoryBus(), WallClock()
        conductor = Conductor(bus, {SYMBOL: INSTRUMENT})
        venue = Venue(bus, clock)  # type: ignore[arg-type]
        made = TWAPExecutor("tester", 4, "market", instrument=INSTRUMENT, stale_seconds=0.0)
        await subscribed(bus, topics.INTENT)
        start_ns = clock.now_ns()
        conductor.start(made.start(algorithm("TWAP", 8, 1), start_ns=start_ns, price=10.0))
        assert await conductor.run() == []
        waits = [intent.ts_local_ns - start_ns for intent in venue.sent]
        assert venue.sizes == [2, 2, 2, 2]
        assert all(wait >= k * SECOND // 4 for k, wait in enumerate(waits))
        for task in venue.tasks:
            task.cancel()

    play(scene)
