"""The paper venue's faults, one by one, and the paper broker in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from broker.base import Answer, BrokerUnavailableError
from broker.faults import Faults, FaultyVenue, Told
from broker.paper import PaperVenue
from broker.paper_broker import PaperBroker
from core.clock import ManualClock
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent
from execution.events import OrderUnknown
from execution.timed import TimedBars
from tests.markets import INSTRUMENT, SYMBOL, flat, market_of
from tests.naive import MINUTE_NS, START_NS

SECOND = 1_000_000_000


def venue(faults: Faults, *seed: object, minutes: int = 10) -> FaultyVenue:
    return FaultyVenue(PaperVenue("sim", TimedBars(market_of(flat(minutes)))), INSTRUMENT, faults, *seed)


def order(name: str = "x-1-0", qty: float = 10.0, limit: float | None = None) -> OrderIntent:
    return OrderIntent(name, START_NS, "s", SYMBOL, "buy", "limit" if limit else "market", qty, limit)


def cancel(target: str = "x-1-0") -> OrderIntent:
    return OrderIntent(
        f"{target}-c1", START_NS, "s", SYMBOL, "buy", "market", 10.0, action="cancel", target_intent_id=target
    )


def played(place: FaultyVenue, until_ns: int) -> list[tuple[float, Told]]:
    """News with the seconds at which they came."""
    told: list[tuple[float, Told]] = []
    while True:
        heard_ns, news = place.run(until_ns)
        told += [((heard_ns - START_NS) / SECOND, one) for one in news]
        if not news and heard_ns >= until_ns:
            return told


def names(told: list[tuple[float, Told]]) -> list[str]:
    return [type(one).__name__ for _, one in told]


def test_without_faults_it_is_the_venue_behind_it() -> None:
    place = venue(Faults())
    assert [type(one) for one in place.submit(order(), START_NS)] == [OrderEvent]
    assert names(played(place, START_NS + MINUTE_NS)) == ["FillEvent"]
    found = place.order("x-1-0")
    assert found is not None
    assert (found.status, found.cumulative_qty, len(found.fills)) == ("filled", 10.0, 1)
    assert place.log == []


def test_a_lost_request_never_arrives_and_a_lost_answer_does() -> None:
    lost = venue(Faults(lost_request=1.0))
    assert lost.submit(order(), START_NS) == [OrderUnknown("x-1-0")]
    assert played(lost, START_NS + MINUTE_NS) == []
    assert lost.order("x-1-0") is None
    arrived = venue(Faults(lost_answer=1.0))
    assert arrived.submit(order(), START_NS) == [OrderUnknown("x-1-0")]
    assert arrived.order("x-1-0") is not None
    assert venue(Faults(silence=1.0)).submit(order(), START_NS) == []


def test_a_late_request_arrives_within_its_time_and_is_under_way_until_then() -> None:
    place = venue(Faults(late_request=1.0, arrival_ns=5 * SECOND))
    assert place.submit(order(), START_NS) in ([], [OrderUnknown("x-1-0")])
    assert [one.intent_id for one in place.under_way] == ["x-1-0"]
    assert place.next_ns is not None
    assert START_NS < place.next_ns <= START_NS + 5 * SECOND
    ((at_s, accepted), *_) = played(place, START_NS + 6 * SECOND)
    assert isinstance(accepted, OrderEvent)
    assert 0 < at_s <= 5
    assert not place.under_way


def test_a_late_cancel_loses_the_race_against_a_fill() -> None:  # pitfall 9
    place = venue(Faults())
    place.submit(order(), START_NS)
    place.faults = Faults(late_request=1.0, arrival_ns=2 * SECOND)
    place.cancel(cancel(), START_NS)
    assert [type(one) for _, one in played(place, START_NS + MINUTE_NS)] == [FillEvent]


def test_news_are_lost_repeated_late_and_cut_but_the_venue_tells_the_truth_when_asked() -> None:  # pitfall 37
    silent = venue(Faults(lost_news=1.0))
    assert silent.submit(order(), START_NS) == []
    assert played(silent, START_NS + MINUTE_NS) == []
    found = silent.order("x-1-0")
    assert found is not None
    assert found.cumulative_qty == 10.0
    loud = venue(Faults(repeated_news=1.0, cut_fill=1.0, told_full=1.0))
    assert len(loud.submit(order(), START_NS)) == 2
    told = [one for _, one in played(loud, START_NS + MINUTE_NS)]
    fills = [one for one in told if isinstance(one, FillEvent)]
    assert [fill.fill_id for fill in fills] == ["x-1-0-f1-a"] * 2 + ["x-1-0-f1-b"] * 2
    assert sum(fill.qty for fill in fills) == 20.0
    assert [one.cumulative_qty for one in told if isinstance(one, OrderClosed)] == [10.0, 10.0]
    found = loud.order("x-1-0")
    assert found is not None
    assert [fill.fill_id for fill in found.fills] == ["x-1-0-f1-a", "x-1-0-f1-b"]
    whole = venue(Faults()).submit(order(), START_NS)
    assert sum(fill.fee for fill in found.fills) == pytest.approx(10 * 100.0 * 5e-4)
    assert len(whole) == 1


def test_a_close_may_come_before_its_fills() -> None:
    orders_of_news = set()
    for seed in range(30):
        place = venue(Faults(late_news=0.5, told_full=1.0, delay_ns=20 * SECOND), seed)
        place.submit(order(), START_NS)
        orders_of_news.add(
            tuple(name for name in names(played(place, START_NS + 2 * MINUTE_NS)) if name != "OrderEvent")
        )
    assert {("FillEvent", "OrderClosed"), ("OrderClosed", "FillEvent")} <= orders_of_news


def test_a_rejection_is_final_and_known() -> None:
    place = venue(Faults(rejected=1.0))
    (closed,) = place.submit(order(), START_NS)
    assert isinstance(closed, OrderClosed)
    assert closed.status == "rejected"
    found = place.order("x-1-0")
    assert found is not None
    assert (found.status, found.reason) == ("rejected", closed.reason)


def test_an_order_that_is_too_young_to_be_found_is_found_later() -> None:
    place = venue(Faults(hidden=1.0, arrival_ns=5 * SECOND))
    place.submit(order(), START_NS)
    assert place.order("x-1-0") is None
    place.run(START_NS + 5 * SECOND)
    assert place.order("x-1-0") is not None


def test_a_venue_that_forgets_what_is_closed_still_lists_its_fills() -> None:  # pitfall 40
    place = venue(Faults(forgotten=1.0))
    place.submit(order(), START_NS)
    assert place.order("x-1-0") is not None
    played(place, START_NS + MINUTE_NS)
    assert place.order("x-1-0") is None
    assert [fill.qty for fill in place.fills_since(0)] == [10.0]


def test_an_outage_answers_nothing_for_its_time() -> None:
    place = venue(Faults(outage=1.0, outage_ns=30 * SECOND))
    assert place.submit(order(), START_NS) == [OrderUnknown("x-1-0")]
    for question in (lambda: place.order("x-1-0"), place.open_orders, lambda: place.fills_since(0)):
        with pytest.raises(BrokerUnavailableError):
            question()
    place.run(START_NS + 31 * SECOND)
    place.faults = Faults()
    assert place.order("x-1-0") is None
    broken = venue(Faults(unavailable=1.0))
    with pytest.raises(BrokerUnavailableError):
        broken.order("x-1-0")


def test_the_same_seed_has_the_same_faults() -> None:
    def log(seed: int) -> Any:
        place = venue(Faults(lost_request=0.3, late_news=0.5, cut_fill=0.5, repeated_news=0.5), seed)
        for number in range(20):
            place.submit(order(f"x-1-{number}"), START_NS)
        return played(place, START_NS + 5 * MINUTE_NS), place.log

    assert log(1) == log(1) != log(2)


def test_a_fault_is_never_more_often_than_always() -> None:
    with pytest.raises(ValueError, match="lost_news"):
        Faults(lost_news=1.5)


# ---------------------------------------------------------------- the broker


def scene(play: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(play, timeout=120))


def test_the_paper_broker_answers_and_tells() -> None:
    clock = ManualClock(START_NS)
    broker = PaperBroker("paper", venue(Faults()), clock)

    async def play() -> None:
        events = broker.events()
        assert broker.venue == "paper"
        assert (await broker.submit(order())).answer is Answer.ACCEPTED
        assert (await broker.submit(order())).answer is Answer.UNKNOWN  # an id that it has: ask, and see
        off = await broker.submit(order("x-1-1", qty=0.5))
        assert (off.answer, off.closed is not None) == (Answer.REJECTED, True)
        assert [one.intent_id for one in await broker.open_orders()] == ["x-1-0"]
        clock.advance(MINUTE_NS)
        broker.play()
        kinds = [type(await anext(events)) for _ in range(3)]
        assert kinds == [OrderEvent, OrderClosed, FillEvent]
        assert len(await broker.fills_since(START_NS)) == 1
        assert await broker.order("x-9") is None
        resting = order("x-1-2", limit=90.0)
        await broker.submit(resting)
        assert (await broker.cancel(cancel("x-1-2"))).answer is Answer.ACCEPTED
        assert (await broker.cancel(cancel("x-1-2"))).answer is Answer.REJECTED
        with pytest.raises(ValueError, match="client order id"):
            await broker.submit(order("X"))

    scene(play())


def test_the_paper_broker_passes_on_that_nobody_knows() -> None:
    broker = PaperBroker("paper", venue(Faults(lost_answer=1.0)), ManualClock(START_NS))

    async def play() -> None:
        assert (await broker.submit(order())).answer is Answer.UNKNOWN
        assert (await broker.cancel(cancel())).answer is Answer.UNKNOWN
        found = await broker.order("x-1-0")
        assert found is not None
        assert found.status == "cancelled"

    scene(play())


def test_the_paper_broker_plays_by_itself() -> None:
    clock = ManualClock(START_NS)
    broker = PaperBroker("paper", venue(Faults()), clock)

    async def play() -> None:
        events = broker.events()

        async def passes(seconds: float) -> None:
            clock.advance(round(seconds * SECOND))
            await asyncio.sleep(0)

        running = asyncio.create_task(broker.run(passes))
        await broker.submit(order())
        told = [await anext(events) for _ in range(2)]
        running.cancel()
        assert [type(one) for one in told] == [OrderEvent, FillEvent]

    scene(play())
