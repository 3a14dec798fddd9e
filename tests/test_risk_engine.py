"""The gate as a service: over a real bus, told things twice, shuffled, broken and from before a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core import topics
from core.bus import InMemoryBus
from core.bus_redis import RedisStreamBus
from core.clock import ManualClock
from core.contracts import OHLCVBar, QuoteEvent
from core.disk_simulated import SimulatedDisk
from core.epochs import ReplacedError
from core.errors import FillwrightError
from core.journal import Journal
from core.journal_read import read
from risk.engine import RiskEngine, UnwrittenError, announce_kill
from risk.gate import RiskGate
from risk.kill import KillSwitch
from tests.redis_server import RedisServer, own_redis_server  # noqa: F401 - a fixture
from tests.risks import NO_KILL, S, X, cancel, child, closed, fill, loose, order

QUOTE = QuoteEvent(X, 5.0, 5.01, 0).to_dict()


class Desk:
    """A bus with a risk engine on it, and what came out of it."""

    def __init__(self, bus: InMemoryBus, engine: RiskEngine, refused: list[tuple[str, str]]) -> None:
        self.bus = bus
        self.engine = engine
        self.refused = refused
        self.decisions: list[dict[str, Any]] = []
        self.orders: list[str] = []

    async def say(self, topic: str, *payloads: dict[str, Any]) -> None:
        for payload in payloads:
            await self.bus.publish_json(topic, payload)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(60):
            await asyncio.sleep(0)

    @property
    def answers(self) -> list[tuple[str, bool]]:
        return [(said["intent_id"], said["allowed"]) for said in self.decisions]


@asynccontextmanager
async def desk(
    *,
    journal: Any = None,
    recalled: list[dict[str, Any]] | None = None,
    kill: KillSwitch = NO_KILL,
    epoch: int = 0,
    **limits: Any,
) -> AsyncIterator[Desk]:
    bus = InMemoryBus(retry_s=0.001)
    refused: list[tuple[str, str]] = []
    engine = RiskEngine(
        bus, RiskGate(loose(**limits), kill=kill), [X], clock=ManualClock(S), journal=journal, epoch=epoch,
        on_refused=lambda topic, why: refused.append((topic, why)),
    )  # fmt: skip
    engine.recall(recalled or [])
    made = Desk(bus, engine, refused)

    async def listen(topic: str, take: Callable[[dict[str, Any]], None]) -> None:
        async for message in bus.subscribe(topic):
            take(message)

    tasks = [
        asyncio.create_task(listen(topics.RISK, made.decisions.append)),
        asyncio.create_task(listen(topics.ORDERS, lambda message: made.orders.append(message["intent_id"]))),
        asyncio.create_task(engine.run()),
    ]
    try:
        await made.settle()
        await made.say(topics.quotes(X), QUOTE)
        yield made
    finally:
        await bus.close()
        await asyncio.gather(*tasks)


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 10))


def test_what_is_allowed_goes_on_and_what_is_not_is_answered() -> None:
    async def story() -> None:
        async with desk(limits={"max_order_qty": 10.0}) as risk:
            await risk.say(topics.INTENT, order("a").to_dict(), order("b", 11.0).to_dict(), cancel("c", "a").to_dict())
            assert risk.answers == [("a", True), ("b", False), ("c", True)]
            assert risk.orders == ["a", "c"]
            assert "R01" in risk.decisions[1]["reason"]

    play(story)


def test_an_intent_that_comes_again_gets_the_same_answer_and_goes_on_once() -> None:
    # pitfalls 18 and 28
    async def story() -> None:
        async with desk(limits={"max_position_qty": 10.0}) as risk:
            await risk.say(topics.INTENT, *[order("a").to_dict()] * 3, order("b").to_dict(), order("b").to_dict())
            assert risk.answers == [("a", True)] * 3 + [("b", False)] * 2
            assert risk.orders == ["a"]
            assert risk.engine.gate.reserved(X) == (10.0, 0.0)

    play(story)


def test_an_id_that_another_order_has_is_reported_and_not_answered() -> None:
    """A refusal under the id of an order that is in the market would set its lots free."""

    async def story() -> None:
        async with desk() as risk:
            await risk.say(topics.INTENT, order("a", 1.0).to_dict(), order("a", 2.0).to_dict())
            assert risk.answers == [("a", True)]
            assert risk.refused == [(topics.INTENT, "intent id a was used for another order before")]

    play(story)


def test_fills_and_closes_make_room_and_parents_cap_their_children() -> None:
    async def story() -> None:
        async with desk(limits={"max_position_qty": 10.0}, parents="required") as risk:
            nested = {"execution_id": "x-2", "algo": {"symbol": X, "side": "buy", "total_quantity": 5.0}}
            await risk.say(topics.PARENT, {"execution_id": "x-1", "symbol": X, "side": "buy", "qty": 20.0}, nested)
            await risk.say(topics.PARENT, order("wish").to_dict())  # has no execution yet
            first = child("a", "x-1", 10.0)
            await risk.say(topics.INTENT, first.to_dict(), child("b", "x-1").to_dict())
            await risk.say(topics.INTENT, child("n", "x-9").to_dict())
            await risk.say(topics.FILLS, *[fill(first, 4.0, "f1").to_dict()] * 2)
            await risk.say(topics.CLOSED, closed(first, 4.0).to_dict())
            await risk.say(topics.INTENT, child("c", "x-1", 6.0).to_dict())
            await risk.say(topics.INTENT, child("d", "x-2", 6.0).to_dict())
            assert risk.answers == [("a", True), ("b", False), ("n", False), ("c", True), ("d", False)]
            assert "R08" in risk.decisions[1]["reason"]
            assert "R11 no parent x-9" in risk.decisions[2]["reason"]
            assert "R11 children of x-2" in risk.decisions[4]["reason"]
            assert risk.engine.gate.position(X) == 4.0

    play(story)


@pytest.mark.parametrize(
    "quote",
    [
        {"bid": None, "ask": 5.0, "ts_ns": 1},
        {"bid": 5.1, "ask": 5.0, "ts_ns": 1},
        {"bid": "5", "ask": "6", "ts_ns": 1},
        {},
    ],
)
def test_a_quote_that_makes_no_sense_shuts_the_gate_until_the_next_good_one(quote: dict[str, Any]) -> None:
    async def story() -> None:
        async with desk() as risk:
            await risk.say(topics.quotes(X), quote)
            await risk.say(topics.INTENT, order("a").to_dict())
            await risk.say(topics.quotes(X), {**QUOTE, "ts_ns": 2})
            await risk.say(topics.INTENT, order("b").to_dict())
            assert risk.answers == [("a", False), ("b", True)]
            assert "R04 reference price is not usable" in risk.decisions[0]["reason"]

    play(story)


def test_bars_are_the_reference_only_where_there_are_no_quotes() -> None:
    bar = OHLCVBar(X, 0, S, 4.0, 4.0, 4.0, 4.0, 1.0).to_dict()

    async def story() -> None:
        async with desk(limits={"price_collar_bps": 10.0}) as risk:
            await risk.say(topics.bars(X), bar)
            assert risk.engine.gate.reference(X) == (5.0, 5.01, 0)
            risk.engine._quoted.clear()
            await risk.say(topics.bars(X), bar)
            assert risk.engine.gate.reference(X) == (4.0, 4.0, S)

    play(story)


def test_messages_that_cannot_be_read_pass_nothing_and_stop_nobody() -> None:
    async def story() -> None:
        async with desk() as risk:
            await risk.say(topics.INTENT, {"intent_id": "bad", "qty": -1}, {"nonsense": 1}, order("a").to_dict())
            assert risk.answers == [("bad", False), ("a", True)]
            assert len(risk.refused) == 2
            await risk.say(topics.FILLS, {"fill_id": "f"})
            async with asyncio.timeout(60):
                while not await risk.bus.dead_letters(topics.FILLS):
                    await asyncio.sleep(0.005)
            assert [letter.attempts for letter in await risk.bus.dead_letters(topics.FILLS)] == [5]
            await risk.say(topics.INTENT, order("b").to_dict())
            assert risk.answers[-1] == ("b", True)

    play(story)


def test_ctl_kill_trips_the_switch_and_cannot_clear_it(tmp_path: Path) -> None:
    async def story() -> None:
        switch = KillSwitch(tmp_path / "kill")
        async with desk(kill=switch) as risk:
            await risk.say(topics.KILL, {"by": " ", "reason": "venue is mad"})
            await risk.say(topics.KILL, {"action": "clear", "by": "ann", "reason": "well again"})
            await risk.say(topics.INTENT, order("a").to_dict(), cancel("c").to_dict())
            assert risk.answers == [("a", False), ("c", True)]
            assert risk.decisions[0]["reason"] == "R18 kill switch tripped by unknown: venue is mad"

    play(story)


def test_after_a_restart_answers_and_reservations_are_those_of_before(tmp_path: Path) -> None:
    # pitfalls 27 and 28
    intents = [order("a", 6.0), order("b", 6.0), replace(order("k", 1.0), strategy_id="t")]
    limits: dict[str, Any] = {"limits": {"max_position_qty": 10.0}, "repeats": {"max_executions": 1, "window_s": 1e6}}

    async def before() -> None:
        with Journal(tmp_path / "journal") as journal:
            async with desk(journal=journal, **limits) as risk:
                await risk.say(topics.INTENT, *[intent.to_dict() for intent in intents])
                await risk.say(
                    topics.FILLS, fill(intents[0], 2.0, "f1").to_dict(), fill(intents[2], 1.0, "f2").to_dict()
                )
                assert risk.answers == [("a", True), ("b", False), ("k", True)]

    async def after() -> None:
        entries = [entry.data for entry in read(tmp_path / "journal")]
        async with desk(recalled=entries, **limits) as risk:
            assert risk.engine.gate.reserved(X) == (4.0, 0.0)
            assert risk.engine.gate.position(X) == 3.0
            await risk.say(topics.FILLS, fill(intents[0], 2.0, "f1").to_dict())  # comes again
            await risk.say(topics.INTENT, *[intent.to_dict() for intent in intents], order("c", 4.0).to_dict())
            assert risk.answers == [("a", True), ("b", False), ("k", True), ("c", False)]
            assert risk.engine.gate.position(X) == 3.0

    play(before)
    play(after)


@pytest.mark.parametrize("last", [topics.FILLS, topics.INTENT])
def test_what_it_has_heard_survives_a_power_cut_as_it_does_not_come_again(last: str) -> None:  # pitfall 28
    a, disk, folder = child("a", "x-1", 6.0), SimulatedDisk(), Path("/journal")
    parent = {"execution_id": "x-1", "symbol": X, "side": "buy", "qty": 6.0}

    async def before() -> None:
        async with desk(journal=Journal(folder, disk=disk), parents="required") as risk:
            await risk.say(topics.INTENT, parent, a.to_dict())
            if last == topics.FILLS:
                await risk.say(topics.INTENT, parent | {"qty": 3.0})
            await risk.say(topics.CLOSED, closed(a, 2.0).to_dict())
            await risk.say(topics.FILLS, fill(a, 2.0, "f1").to_dict())
            if last == topics.INTENT:
                await risk.say(topics.INTENT, parent | {"qty": 3.0})

    async def after() -> None:
        entries = [entry.data for entry in read(folder, disk=disk)]
        async with desk(recalled=entries, parents="required") as risk:
            assert (risk.engine.gate.position(X), risk.engine.gate.reserved(X)) == (2.0, (0.0, 0.0))
            await risk.say(topics.INTENT, child("b", "x-1", 2.0).to_dict())
            assert risk.answers == [("b", False)]  # three in all, two are there

    play(before)
    disk.restart(power_cut=True)
    play(after)


def test_what_is_rearmed_is_on_record(tmp_path: Path) -> None:
    async def story() -> None:
        limits: dict[str, Any] = {"rejects": {"last_orders": 2, "max_rejects": 1, "window_s": 60.0}}
        with Journal(tmp_path / "journal") as journal:
            async with desk(journal=journal, **limits) as risk:
                for name in ("a", "b"):
                    await risk.say(topics.INTENT, order(name).to_dict())
                    await risk.say(topics.CLOSED, closed(order(name), 0.0, "rejected").to_dict())
                await risk.say(topics.INTENT, order("c").to_dict())
                with pytest.raises(ValueError, match="must be a name"):
                    risk.engine.rearm("rejects", "", "x")
                risk.engine.rearm("rejects", "ann", "the key is renewed")
                await risk.say(topics.INTENT, order("d").to_dict())
                assert risk.answers == [("a", True), ("b", True), ("c", False), ("d", True)]
        entries = [entry.data for entry in read(tmp_path / "journal")]
        async with desk(recalled=entries, **limits) as risk:
            assert risk.engine.gate.disabled == {}

    play(story)


def test_a_key_can_be_rearmed_over_the_bus_and_a_wrong_one_is_reported() -> None:
    async def story() -> None:
        async with desk(rejects={"last_orders": 2, "max_rejects": 1, "window_s": 60.0}) as risk:
            for name in ("a", "b"):
                await risk.say(topics.INTENT, order(name).to_dict())
                await risk.say(topics.CLOSED, closed(order(name), 0.0, "rejected").to_dict())
            await risk.say(topics.REARM, {"key": "reject", "by": "ann", "reason": "new key"}, {"key": "rejects"})
            assert [why for _, why in risk.refused] == [
                "'reject' is not disabled; disabled: rejects",
                "by must be a name without surrounding blanks, was ''",
            ]
            await risk.say(topics.INTENT, order("c").to_dict())
            await risk.say(topics.REARM, {"key": "rejects", "by": "ann", "reason": "new key"})
            await risk.say(topics.INTENT, order("d").to_dict())
            assert risk.answers == [("a", True), ("b", True), ("c", False), ("d", True)]

    play(story)


def test_a_router_that_was_replaced_is_refused_and_still_is_after_a_restart(tmp_path: Path) -> None:
    # pitfall 28: what a process does that does not know that it has been replaced
    def of(epoch: int, name: str, **more: Any) -> dict[str, Any]:
        return order(name, meta={"execution_id": "x", "slice_id": name, "epoch": epoch}, **more).to_dict()

    def cap(epoch: int, qty: float) -> dict[str, Any]:
        return {"execution_id": "x", "symbol": X, "side": "buy", "qty": qty, "epoch": epoch}

    async def before() -> None:
        with Journal(tmp_path / "journal") as journal:
            async with desk(journal=journal, parents="required") as risk:
                await risk.say(topics.INTENT, cap(1, 100.0), of(1, "a"))
                await risk.say(topics.EPOCH, {"of": "router", "epoch": 2})
                await risk.say(topics.INTENT, of(1, "b"), cap(1, 5000.0), of(2, "a"), of(2, "c", qty=5.0))
                await risk.say(topics.INTENT, of(2, "d", qty=1000.0))
                assert risk.answers == [("a", True), ("b", False), ("a", True), ("c", True), ("d", False)]
                assert risk.decisions[1]["reason"] == "R20 epoch 1 is over, the current one is 2"
                assert list(risk.decisions[4]["caps"]) == ["R11"]
                assert not risk.refused

    async def after() -> None:
        entries = [entry.data for entry in read(tmp_path / "journal")]
        async with desk(recalled=entries) as risk:
            await risk.say(topics.INTENT, of(1, "e"), of(2, "f"))
            assert risk.answers == [("e", False), ("f", True)]

    play(before)
    play(after)


def test_an_engine_says_which_start_it_is_and_ends_when_another_has_begun() -> None:
    async def story() -> None:
        with pytest.raises(ExceptionGroup) as ended:
            await replaced()
        assert ended.group_contains(ReplacedError, match="this is start number 3, that one number 4")

    async def replaced() -> None:
        async with desk(epoch=3) as risk:
            seen = risk.bus.subscribe(topics.ORDERS)
            await risk.say(topics.INTENT, order("a").to_dict())
            assert (await anext(seen))["meta"]["gate_epoch"] == 3
            await risk.say(topics.EPOCH, {"of": "risk", "epoch": 4})

    play(story)


class Full:
    """A disk that is full."""

    def append(self, entry: dict[str, Any]) -> object:
        raise OSError(28, "No space left on device")

    def sync(self) -> None: ...


@pytest.mark.parametrize("topic", [topics.INTENT, topics.FILLS])
def test_where_nothing_can_be_written_down_nothing_is_answered_and_the_engine_ends(topic: str) -> None:
    """The message is not finished: it comes again to the next start, which knows what the journal has."""
    first = order("a").to_dict() if topic == topics.INTENT else fill(order("a"), 1.0, "f1").to_dict()

    async def story() -> None:
        with pytest.raises(ExceptionGroup) as ended:
            await full()
        assert ended.group_contains(UnwrittenError, match="No space left")

    async def full() -> None:
        async with desk(journal=Full()) as risk:
            await risk.bus.publish_json(topic, first)
            await risk.bus.publish_json(topics.INTENT, order("b").to_dict())
            await asyncio.sleep(0.01)
            assert risk.answers == []
            assert risk.orders == []
            assert sum(risk.bus.backlog(topics.INTENT)) >= 1
            assert not await risk.bus.dead_letters(topic)

    play(story)


def test_a_rule_that_fails_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with desk() as risk:

            def fail(*_: object) -> None:
                raise ZeroDivisionError("a bug")

            monkeypatch.setattr(risk.engine.gate, "check", fail)
            await risk.say(topics.INTENT, order("a").to_dict())
            assert risk.answers == [("a", False)]
            assert risk.decisions[0]["reason"] == "risk engine: ZeroDivisionError: a bug"
            assert risk.orders == []

    play(story)


def test_over_redis_a_kill_from_another_process_arrives_and_orders_pass_until_then(
    own_redis_server: RedisServer,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with await RedisStreamBus.connect(own_redis_server.url) as bus:
            gate = RiskGate(loose(), kill=KillSwitch(tmp_path / "kill"))
            gate.on_price(X, 5.0, 5.01, 0)
            serving = asyncio.create_task(RiskEngine(bus, gate, [X], clock=ManualClock(S)).run())
            decisions, orders = bus.subscribe(topics.RISK), bus.subscribe(topics.ORDERS)
            await bus.publish_json(topics.INTENT, order("a").to_dict())
            await bus.publish_json(topics.INTENT, order("a").to_dict())
            assert [(await anext(decisions))["allowed"] for _ in range(2)] == [True, True]
            assert (await anext(orders))["intent_id"] == "a"
            await asyncio.to_thread(announce_kill, own_redis_server.url, "ann", "venue is mad", S)
            while not (tmp_path / "kill").exists():
                await asyncio.sleep(0.01)
            await bus.publish_json(topics.INTENT, order("b").to_dict())
            assert (await anext(decisions))["reason"] == "R18 kill switch tripped by ann: venue is mad"
            await bus.close()
            await asyncio.wait([serving], timeout=5)

    play(story)


def test_a_bus_that_does_not_answer_is_one_error() -> None:
    with pytest.raises(FillwrightError):
        announce_kill("unix:///no/such/redis.sock", "ann", "venue is mad", S, patience_s=0.2)
