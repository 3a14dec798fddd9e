"""A trader split over services: what each does by itself, and all three on one bus inside one process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from core import codec, topics
from core.bus import InMemoryBus, Said
from core.contracts import FillEvent, OrderIntent
from execution.config import ExecutionConfig
from execution.contracts import ExecutionReport
from execution.intake import Intake
from execution.profile import VolumeHistory
from live.questions import Patience
from live.serve_books import SHUT, Books
from live.serve_broker import BrokerService
from live.serve_router import RouterService
from live.serve_run import OtherRunError, begin
from live.serve_time import TRUSTED_S, Beat, FollowedClock, TapeClock
from live.session import OtherSettingsError
from live.tape import BarTape
from live.wanted import Wanted
from risk.engine import RiskEngine
from risk.gate import RiskGate
from risk.kill import KillSwitch
from tests.markets import INSTRUMENT, SYMBOL, flat, market_of
from tests.naive import MINUTE_NS, START_NS
from tests.parents import past_bars
from tests.risks import loose

S = 1_000_000_000


class DiedError(Exception):
    """The process ends here."""


@dataclass
class Lines:
    """A journal in memory, as bytes on disk would have it; it may die right after, or with, the n-th line."""

    dies_at: int | None = None
    written: list[bytes] = field(default_factory=list)

    def append(self, entry: dict[str, Any]) -> None:
        assert entry.keys().isdisjoint({"n", "b"}), "these are the journal's own"
        self.written.append(codec.to_json(entry))
        if self.dies_at is not None and len(self.written) >= self.dies_at:
            raise DiedError

    def sync(self) -> None: ...

    def read(self) -> list[dict[str, Any]]:
        return [codec.from_json(line) for line in self.written]


def tape(minutes: int = 30) -> BarTape:
    return BarTape(market_of(flat(minutes, reach=0.05, volume=2000.0)))


def order(name: str, qty: float = 40.0, *, ts_ns: int = START_NS, limit: float | None = None) -> OrderIntent:
    meta = {"execution_id": "x-0123456789", "slice_id": name}
    kind: Any = "market" if limit is None else "limit"
    return OrderIntent(name, ts_ns, "s", SYMBOL, "buy", kind, qty, limit, meta)


def cancel(target: str) -> OrderIntent:
    return OrderIntent(
        f"{target}-c1", START_NS, "s", SYMBOL, "buy", "market", 1.0, action="cancel", target_intent_id=target
    )


def books(lines: Lines, folder: Path, **settings: Any) -> Books:
    return Books("sim", tape(), lines, KillSwitch(folder / "kill"), **settings)


def closes(said: Iterable[Said]) -> list[tuple[str, str]]:
    return [(one.payload["intent_id"], one.payload["status"]) for one in said if one.topic == topics.CLOSED]


# ---- the broker's books


def test_an_order_that_comes_twice_is_sent_once_and_answered_twice(tmp_path: Path) -> None:
    venue = books(lines := Lines(), tmp_path)
    assert venue.obey(order("x-1")) == ()
    list(venue.play(START_NS + 2 * MINUTE_NS))
    first_answers = venue.unsaid()
    assert [one.topic for one in first_answers] == [topics.ACCEPTED, topics.FILLS]
    again = venue.obey(order("x-1"))
    assert [(one.topic, one.payload, one.message_id) for one in again] == [
        (one.topic, one.payload, None) for one in first_answers
    ]
    sent = [line for line in lines.read() if line.get("intent")]
    assert len(sent) == 1


def test_what_is_killed_before_it_is_sent_is_never_sent(tmp_path: Path) -> None:
    venue, switch = books(lines := Lines(), tmp_path), KillSwitch(tmp_path / "kill")
    venue.obey(order("x-1", limit=90.0))
    switch.trip("me", "test", 1)
    venue.obey(order("x-2"))
    assert [one.intent_id for one in venue.open_orders] == ["x-1"]
    venue.withdraw_all()
    assert not venue.open_orders
    assert closes(venue.unsaid()) == [("x-2", "cancelled"), ("x-1", "cancelled")]
    switch.clear("me", "test", 2)
    assert closes(venue.obey(order("x-2"))) == [("x-2", "cancelled")]
    assert venue.order("x-2") is None
    restored = books(Lines(), tmp_path)
    restored.restore(lines.read())
    assert closes(restored.obey(order("x-2"))) == [("x-2", "cancelled")]


def test_who_asks_of_an_order_that_never_came_gets_a_final_answer(tmp_path: Path) -> None:
    venue = books(Lines(), tmp_path)
    assert venue.ask("x-1") == ()
    assert closes(venue.unsaid()) == [("x-1", "cancelled")]
    assert closes(venue.obey(order("x-1"))) == [("x-1", "cancelled")]
    assert venue.order("x-1") is None


def test_a_cancel_that_overtakes_its_order_keeps_it_out(tmp_path: Path) -> None:
    venue = books(Lines(), tmp_path)
    venue.obey(cancel("x-1"))
    assert closes(venue.obey(order("x-1"))) == [("x-1", "cancelled")]


def test_an_order_for_another_market_is_not_taken(tmp_path: Path) -> None:
    venue = books(Lines(), tmp_path, max_age_s=60.0)
    list(venue.play(START_NS + 5 * MINUTE_NS))
    venue.obey(order("x-1", ts_ns=START_NS))
    venue.obey(order("x-2", ts_ns=START_NS + 5 * MINUTE_NS))
    assert closes(venue.unsaid()) == [("x-1", "expired")]
    assert venue.order("x-2") is not None


@pytest.mark.parametrize("name", ["X 1", "x" * 33])
def test_an_id_that_no_venue_takes_is_rejected_and_does_not_stop_the_books(name: str, tmp_path: Path) -> None:
    venue = books(lines := Lines(), tmp_path)
    venue.obey(order(name))
    assert closes(venue.unsaid()) == [(name, "rejected")]
    books(Lines(), tmp_path).restore(lines.read())


def _life(venue: Books, said: dict[str, Said], twice: list[str]) -> None:
    """A little trading: everything is delivered, some of it for the second time."""

    def say(more: Iterable[Said] = ()) -> None:
        for one in [*more, *(news := venue.unsaid())]:
            assert one.message_id is not None
            if one.message_id in said:
                assert said[one.message_id] == one
                twice.append(one.message_id)
            said[one.message_id] = one
        venue.told(len(news))

    script: list[OrderIntent] = [
        order("x-1"), order("x-2", limit=90.0), order("x-3", 400.0), cancel("x-2"), order("x-4", 30.0, limit=99.98),
    ]  # fmt: skip
    for minute in range(12):
        now_ns = START_NS + minute * MINUTE_NS
        if now_ns >= venue.now_ns:
            say(venue.play(now_ns))
        if minute < len(script):
            venue.obey(script[minute])
            say()
    venue.ask("x-9")
    say()


def test_killed_at_any_line_the_books_end_as_if_nothing_had_happened(tmp_path: Path) -> None:
    # pitfall 28
    whole: dict[str, Said] = {}
    _life(books(lines := Lines(), tmp_path), whole, [])
    assert {one.topic for one in whole.values()} >= {topics.ACCEPTED, topics.FILLS, topics.CLOSED}
    for dies_at in range(1, len(lines.written)):
        said: dict[str, Said] = {}
        torn = Lines(dies_at)
        with suppress(DiedError):
            _life(books(torn, tmp_path), said, [])
        again = books(Lines(), tmp_path)
        again.restore(torn.read())
        _life(again, said, [])
        fates = {name: one for name, one in said.items() if not one.topic.startswith("md.")}
        assert fates == {name: one for name, one in whole.items() if not one.topic.startswith("md.")}
        assert said.keys() == whole.keys(), "the market is published without a gap"


def test_what_has_been_told_is_not_told_again(tmp_path: Path) -> None:
    _life(books(lines := Lines(), tmp_path), {}, [])
    again = books(Lines(), tmp_path)
    again.restore(lines.read())
    assert again.unsaid() == []


def test_books_that_come_again_know_the_newest_quote(tmp_path: Path) -> None:
    """Whoever starts after them may have to wait long for the next one, after the tape's end for ever."""
    venue = books(lines := Lines(), tmp_path)
    assert venue.newest() == []
    shown = list(venue.play(START_NS + 5 * MINUTE_NS))
    venue.told(0)
    again = books(Lines(), tmp_path)
    again.restore(lines.read())
    assert again.newest() == venue.newest() == shown[-2:]


# ---- time


def test_a_follower_stands_still_without_beats_and_never_goes_back() -> None:
    now_s = 100.0
    clock = FollowedClock(lambda: now_s)
    assert clock.now_ns() == 0
    clock.hear(Beat(50 * S, 10.0, "r"))
    now_s += 0.1
    assert clock.now_ns() == 51 * S
    now_s += 60
    assert clock.now_ns() == 50 * S + round(TRUSTED_S * 10 * S)
    clock.hear(Beat(52 * S, 10.0, "r"))
    assert clock.now_ns() == 50 * S + round(TRUSTED_S * 10 * S)
    now_s += 0.5
    assert clock.now_ns() == 57 * S
    assert clock.seconds_until(67 * S) == pytest.approx(1.0)
    now_s += 60
    assert clock.seconds_until(99 * S) == math.inf, "whoever waited for a moment of a clock that stands would spin"
    assert clock.seconds_until(57 * S) == 0.0


# ---- journals that belong together


def test_a_journal_of_another_run_or_of_other_settings_is_refused() -> None:
    lines = Lines()
    assert begin(lines, [], {"seed": 1}, "run", 5) == 1
    assert begin(lines, lines.read(), {"seed": 1}, "run", 6) == 2
    with pytest.raises(OtherRunError, match="belongs to run run, the broker's to run other"):
        begin(lines, lines.read(), {"seed": 1}, "other", 7)
    with pytest.raises(OtherSettingsError, match="seed was 1, is 2"):
        begin(lines, lines.read(), {"seed": 2}, "run", 7)
    assert [line["epoch"] for line in lines.read()] == [1, 2]


# ---- all of it, on one bus


@dataclass
class World:
    """Three services in one process; journals outlive them."""

    folder: Path
    speed: float = 1500.0
    patience: Patience = field(default_factory=Patience)
    limits: dict[str, Any] = field(default_factory=dict)
    journals: dict[str, Lines] = field(
        default_factory=lambda: {name: Lines() for name in ("broker", "risk", "router", "tape")}
    )
    reports: dict[str, ExecutionReport] = field(default_factory=dict)
    services: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bus = InMemoryBus(retry_s=0.01)
        self.kill = KillSwitch(self.folder / "kill")
        self.seen = self.bus.subscribe_many(topics.INTENT, topics.ORDERS, topics.RISK, topics.REPORT)
        self.heard: dict[str, list[dict[str, Any]]] = {}
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for topic, payload in self.seen:
            self.heard.setdefault(topic, []).append(payload)
            if topic == topics.REPORT:
                report = ExecutionReport.from_dict(payload)
                self.reports[report.execution_id] = report

    def intake(self) -> Intake:
        return Intake(instrument=INSTRUMENT, config=ExecutionConfig(), volumes=VolumeHistory(past_bars([400.0] * 4320)))

    def broker(self) -> BrokerService:
        journal = self.journals["broker"]
        self.books = Books("sim", tape(240), journal, self.kill)
        self.books.restore(journal.read())
        self.clock = TapeClock(self.books.now_ns, self.speed, asyncio.get_running_loop().time)
        return BrokerService(self.bus, self.books, journal, self.kill, self.clock, run_name="r")

    def risk(self) -> RiskEngine:
        journal = self.journals["risk"]
        limits = loose(parents="required", limits={"max_reference_age_s": 1e6, **self.limits})
        gate = RiskGate(limits, kill=self.kill, instruments={SYMBOL: INSTRUMENT})
        engine = RiskEngine(self.bus, gate, [SYMBOL], clock=self.clock, journal=journal)
        engine.recall(journal.read())
        return engine

    def router(self) -> RouterService:
        journal, heard = self.journals["router"], self.journals["tape"]
        service = RouterService(
            self.bus, self.intake(), journal, heard, self.kill, self.clock,
            switch_file=str(self.folder / "kill"), patience=self.patience,
        )  # fmt: skip
        service.recall(journal.read(), heard.read())
        self.engine = service.engine
        return service

    async def place(self, wanted: Wanted) -> str:
        await self.bus.publish_json(topics.PARENT, wanted.intent(self.clock.now_ns()).to_dict())
        return self.intake().name("orders", wanted.id)

    async def until(self, condition: Any, within_s: float = 120.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.005)
                assert not any(one.done() for one in self.services), [one.exception() for one in self.services]

    def fills(self) -> list[FillEvent]:
        """From the venue's own journal."""
        again = Books("sim", tape(240), Lines(), self.kill)
        again.restore(self.journals["broker"].read())
        return again.fills()

    def serve(self, *services: Any) -> None:
        self.services += [asyncio.create_task(one.run()) for one in services]

    async def die(self, number: int) -> None:
        """As suddenly as a task can."""
        self.services[number].cancel()
        await asyncio.gather(self.services.pop(number), return_exceptions=True)

    async def close(self) -> None:
        while self.services:
            await self.die(0)
        await self.bus.close()
        await self._listening


def wanted(kind: Any, qty: float = 60.0, seconds: int = 600, **params: Any) -> Wanted:
    completion = {} if kind == "POV" else {"completion": "complete"}
    return Wanted(f"o-{kind}", SYMBOL, "buy", qty, kind, seconds, None, {**completion, **params})


def test_three_services_work_a_parent_of_each_algorithm(tmp_path: Path) -> None:
    async def scene() -> None:
        world = World(tmp_path)
        world.serve(world.broker(), world.risk(), world.router())
        await asyncio.sleep(0.05)
        names = [await world.place(wanted(kind)) for kind in ("TWAP", "VWAP", "POV", "Iceberg", "IS")]
        again = await world.place(wanted("TWAP"))
        await world.until(lambda: world.reports.keys() >= set(names))
        assert again == names[0]
        await world.close()
        filled: dict[str, float] = dict.fromkeys(names, 0.0)
        for fill in world.fills():
            filled[str(fill.meta["execution_id"])] += fill.qty
        for name in names:
            report = world.reports[name]
            assert report.filled_quantity == filled[name]
            assert report.filled_quantity == report.total_quantity or report.unfilled_reason
        assert sum(filled.values()) >= 240
        orders = [payload["intent_id"] for payload in world.heard[topics.ORDERS]]
        assert len(set(orders)) == len(orders), "an order went on to the broker twice"
        assert set(orders) <= {payload.get("intent_id") for payload in world.heard[topics.INTENT]}

    asyncio.run(scene())


def new_orders(world: World) -> list[dict[str, Any]]:
    """What the venue was sent, cancels apart."""
    intents = [line["intent"] for line in world.journals["broker"].read() if line.get("intent")]
    return [intent for intent in intents if intent["action"] == "new"]


def checked(world: World, name: str) -> float:
    """What the venue filled for an execution; no order twice anywhere, and no order that nobody wanted."""
    sent = [intent["intent_id"] for intent in new_orders(world)]
    assert len(set(sent)) == len(sent), "sent twice"
    asked = [line["i"]["intent_id"] for line in world.journals["router"].read() if line["k"] == "order"]
    assert len(set(asked)) == len(asked)
    passed = {line["i"]["intent_id"] for line in world.journals["risk"].read() if line["k"] == "order" and line["ok"]}
    assert set(sent) <= passed & set(asked), "somebody went round risk"
    return sum(fill.qty for fill in world.fills() if fill.meta["execution_id"] == name)


@pytest.mark.parametrize("kind", ["TWAP", "VWAP", "POV", "Iceberg", "IS"])
def test_each_service_may_die_and_come_again(kind: str, tmp_path: Path) -> None:
    # pitfall 27, pitfall 28
    async def scene() -> None:
        world = World(tmp_path)
        world.serve(world.broker(), world.risk(), world.router())
        await asyncio.sleep(0.05)
        name = await world.place(wanted(kind, seconds=1200))
        for death in range(9):
            await asyncio.sleep(0.03)
            await world.die(0)
            makers = (world.broker, world.risk, world.router)
            world.serve(makers[death % 3]())  # the oldest has died, and is the newest now
        await world.until(lambda: name in world.reports)
        await world.until(lambda: not world.books.open_orders)
        await world.close()
        report = world.reports[name]
        assert checked(world, name) == report.filled_quantity
        assert report.filled_quantity == 60.0 or report.unfilled_reason

    asyncio.run(scene())


def test_a_refusal_by_the_gate_reaches_the_parent_and_holds_after_a_restart(tmp_path: Path) -> None:
    async def scene() -> None:
        world = World(tmp_path, limits={"max_order_qty": 0.5})
        world.serve(world.broker(), world.risk(), world.router())
        await asyncio.sleep(0.05)
        name = await world.place(wanted("TWAP", retries=1, retry_seconds=5.0))
        await world.until(lambda: name in world.reports)
        await world.close()
        assert world.reports[name].status == "failed"
        assert "R01" in str(world.reports[name].unfilled_reason)
        assert not list(world.engine.orders.live())
        world.router()
        assert not list(world.engine.orders.live()), "what was refused is not at work after a restart"
        assert checked(world, name) == 0.0

    asyncio.run(scene())


def test_a_child_that_got_lost_is_asked_after_and_replaced(tmp_path: Path) -> None:
    async def scene() -> None:
        world = World(tmp_path, patience=Patience(answer_ns=S // 20, quiet_ns=S // 20, most_ns=S // 20))
        world.serve(world.broker(), world.router())
        await asyncio.sleep(0.05)
        name = await world.place(wanted("TWAP", slice_count=2, retries=50))
        await world.until(lambda: any(line["k"] == SHUT for line in world.journals["broker"].read()))
        world.serve(world.risk())
        await world.until(lambda: name in world.reports)
        await world.close()
        assert checked(world, name) == world.reports[name].filled_quantity

    asyncio.run(scene())


def test_a_parent_that_comes_before_the_market_waits_for_it(tmp_path: Path) -> None:
    async def scene() -> None:
        world = World(tmp_path)
        broker = world.broker()
        world.serve(world.router(), world.risk())
        await asyncio.sleep(0.02)
        name = await world.place(wanted("TWAP", slice_count=2))
        await asyncio.sleep(0.05)
        assert not world.engine.parents
        world.serve(broker)
        await world.until(lambda: name in world.reports)
        await world.close()
        assert checked(world, name) == 60.0

    asyncio.run(scene())


def test_killed_nothing_more_is_sent_until_somebody_clears_it_by_name(tmp_path: Path) -> None:
    # pitfall 29
    async def scene() -> None:
        world = World(tmp_path)
        world.serve(world.broker(), world.risk(), world.router())
        await asyncio.sleep(0.05)
        names = [await world.place(wanted(kind, 600.0, 3600)) for kind in ("TWAP", "Iceberg")]
        await world.until(lambda: len(world.fills()) > 2)
        world.kill.trip("me", "test", 1)
        sent = len(new_orders(world))
        await world.until(lambda: world.reports.keys() >= set(names))
        assert not world.books.open_orders
        refused = await world.place(wanted("POV"))
        await world.until(lambda: refused in world.reports)
        assert "kill" in str(world.reports[refused].unfilled_reason)
        await world.die(2)
        world.serve(world.router())
        await asyncio.sleep(0.1)
        assert world.engine.latched is not None
        assert len(new_orders(world)) == sent, "an order was sent after the latch"
        for name in names:
            assert world.reports[name].status == "cancelled"
            assert checked(world, name) == world.reports[name].filled_quantity
        world.kill.clear("me", "over", 2)
        again = await world.place(wanted("VWAP"))
        await world.until(lambda: again in world.reports)
        await world.close()
        assert checked(world, again) == 60.0

    asyncio.run(scene())


def test_pause_resume_amend_and_cancel_arrive_over_the_bus(tmp_path: Path) -> None:
    async def scene() -> None:
        world = World(tmp_path, speed=600.0)
        world.serve(world.broker(), world.risk(), world.router())
        await asyncio.sleep(0.05)
        names = [await world.place(wanted(kind, 60.0, 3600)) for kind in ("TWAP", "VWAP")]
        twap, vwap = names
        await world.until(lambda: world.engine.parents.keys() >= set(names))

        async def wish(do: str, name: str, **more: Any) -> None:
            await world.bus.publish_json(topics.PARENT, {"do": do, "id": name, **more})

        def state(name: str) -> str:
            return str(world.engine.board.state(name))

        await wish("pause", "o-TWAP", reason="lunch")
        await world.until(lambda: state(twap) == "paused")
        await wish("resume", twap)
        await world.until(lambda: state(twap) == "working")
        await wish("amend", "o-TWAP", quantity=80.0)
        await wish("cancel", "o-VWAP", reason="no longer wanted")
        await world.until(lambda: world.reports.keys() >= set(names))
        await world.close()
        assert world.reports[vwap].unfilled_reason == "no longer wanted"
        assert checked(world, vwap) == world.reports[vwap].filled_quantity < 60.0
        assert world.reports[twap].filled_quantity == checked(world, twap) == 80.0

    asyncio.run(scene())


def test_a_wish_that_cannot_be_meant_ends_in_the_dead_letters(tmp_path: Path) -> None:
    async def scene() -> None:
        world = World(tmp_path)
        world.serve(world.broker(), world.risk(), world.router())
        await asyncio.sleep(0.05)
        await world.bus.publish_json(topics.PARENT, {"do": "cancel", "id": "nobody"})
        letters: list[Any] = []
        async with asyncio.timeout(20):
            while not letters:
                await asyncio.sleep(0.02)
                letters = await world.bus.dead_letters(topics.PARENT)
        assert letters[0].reason == "order 'nobody' is not here"
        await world.close()

    asyncio.run(scene())


def test_no_child_is_refused_because_its_parent_is_not_known_yet(tmp_path: Path) -> None:
    async def scene() -> None:
        world = World(tmp_path)
        world.serve(world.broker(), world.risk(), world.router())
        await asyncio.sleep(0.05)
        names = [await world.place(wanted(kind)) for kind in ("TWAP", "VWAP", "Iceberg", "IS")]
        await world.until(lambda: world.reports.keys() >= set(names))
        await world.close()
        assert not [one for one in world.heard[topics.RISK] if "R11" in one["caps"]]
        caps = [one for one in world.heard[topics.INTENT] if "intent_id" not in one]
        assert {one["execution_id"] for one in caps} == set(names)

    asyncio.run(scene())


def test_the_books_obey_nobody_who_has_been_replaced(tmp_path: Path) -> None:
    # pitfall 28: what a process does that does not know that it has been replaced
    def of(name: str, **epochs: int) -> OrderIntent:
        return replace(order(name), meta={**order(name).meta, **epochs})

    venue = books(lines := Lines(), tmp_path)
    venue.obey(of("x-1", epoch=1))
    venue.fence("router", 2)
    venue.fence("risk", 5)
    venue.fence("router", 1)
    for again in (venue, books(Lines(), tmp_path)):
        if again is not venue:
            again.restore(lines.read())
        again.obey(of("x-2", epoch=1, gate_epoch=5))
        again.obey(of("x-3", epoch=2, gate_epoch=4))
        again.obey(of("x-4", epoch=2))
        again.obey(of("x-5", epoch=3, gate_epoch=5))
        assert [one.intent_id for one in again.open_orders] == ["x-1", "x-5"]
        shut = [one.payload for one in again.unsaid() if one.topic == topics.CLOSED]
        assert [(one["intent_id"], one["reason"]) for one in shut] == [
            ("x-2", "R20 router number 1 is over, number 2 has taken over"),
            ("x-3", "R20 risk number 4 is over, number 5 has taken over"),
            ("x-4", "R20 it does not say which risk sent it, and number 5 is the current one"),
        ]
