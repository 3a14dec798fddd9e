"""The trader's engine: the desk's decisions, a journal from which every state can be made again, and a latched kill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from broker.paper import PaperVenue
from core import codec, topics
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent, QuoteEvent, RiskDecision, Side
from execution.config import ExecutionConfig, FillConfig
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.desk import Worked
from execution.events import Amend, Cancel
from execution.intake import Intake, Request
from execution.market import BarMarket
from execution.timed import TimedBars
from live.engine import Engine
from live.recovery import recall
from live.replay import Moment, Replay
from tests.lines import KilledError, Lines
from tests.markets import INSTRUMENT, SYMBOL
from tests.naive import START_NS
from tests.stage import Refuses, Trace, trace
from tests.test_three_drivers_async import (
    ALGORITHMS,
    lively,
    market_in,
    on_desk,
    parent_in,
    refuses_in,
    scenes,
    start_of,
)


@dataclass
class Gate:
    """Asks nobody but the test, and remembers its answers."""

    refuses: Refuses
    commands: list[Trace] = field(default_factory=list)
    caps: list[float] = field(default_factory=list)

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
        self.commands.append(trace(intent))
        allowed = not self.refuses(intent)
        return RiskDecision(intent.intent_id, allowed, None if allowed else "not today")

    def recall(self, intent: OrderIntent, decision: RiskDecision, now_ns: int) -> None:
        self.commands.append(trace(intent))

    def on_fill(self, fill: FillEvent) -> None: ...
    def on_closed(self, closed: OrderClosed) -> None: ...

    def on_parent(self, execution_id: str, symbol: str, side: Side, qty: float) -> None:
        self.caps.append(qty)

    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None: ...


@dataclass
class Switch:
    """A kill switch in memory."""

    on: bool = False

    def tripped(self) -> bool:
        return self.on

    def trip(self, by: str, reason: str, ts_ns: int) -> None:
        self.on = True

    def clear(self, by: str, reason: str, ts_ns: int) -> None:
        self.on = False


def tape_of(market: BarMarket) -> list[Moment]:
    """Bars as they close, each with the quote that the desk would see then."""
    price = market.instrument.price

    def news(k: int) -> list[tuple[str, Any]]:
        seen = market.quote(k)
        quote = QuoteEvent(SYMBOL, price(seen.bid_ticks), price(seen.ask_ticks), seen.ts_ns)
        bar = [(topics.bars(SYMBOL), market.bars.bar(k))] if k >= 0 else []
        return [*bar, (topics.quotes(SYMBOL), quote)]

    times = [int(market.bars.ts_open_ns[0]), *market.bars.ts_close_ns.tolist()]
    return [Moment(ns, partial(news, k)) for k, ns in enumerate(times, -1)]


@dataclass
class Trader:
    """An engine over the scene's market, from its journal on: what a process is from its start to its end.

    `requests`: the venue's journal. Lines of one block are there once it is over; it may die in the n-th block of any.
    """

    scene: dict[str, Any]
    lines: Lines
    requests: list[dict[str, Any]]
    dies_in: int | None = None
    blocks: int = 0

    def run(self) -> None:
        """From wherever the journal ends to the end of the tape."""
        scene = self.scene
        market = market_in(scene)
        self._held: list[dict[str, Any]] | None = None
        self.fills: list[FillEvent] = []
        self.gate = Gate(refuses_in(scene))
        self.engine = Engine(
            self.lines, self.gate, Switch(), {SYMBOL: INSTRUMENT}, self._make, on_fill=self.fills.append
        )
        seen = recall(self.engine, self.lines.read())
        before = list(self.requests)
        venue = PaperVenue("sim", TimedBars(market), note=self._written)
        replay = Replay(self.engine, venue, tape_of(market), decide=self._decide, together=self._together)
        if seen:
            replay.recover(before)
        while replay.step(int(market.bars.ts_close_ns[-1])):
            pass

    def _written(self, line: dict[str, Any]) -> None:
        into = self.requests if self._held is None else self._held
        into.append(codec.from_json(codec.to_json(line)))

    @contextmanager
    def _together(self) -> Iterator[None]:
        self._held = []
        yield
        held, self._held = self._held, None
        self.blocks += bool(held)
        if held and self.blocks == self.dies_in:
            raise KilledError
        self.requests += held

    def _make(self, request: Request) -> Worked:
        return parent_in(self.scene)

    def _decide(self, moment: Moment) -> Any:
        if moment.ts_ns != start_of(self.scene) or "x-1" in self.engine.parents:
            return ()
        algo = self.scene["algo"]
        return self.engine.start(Request("x-1", "p-1", "tester", algo, moment.ts_ns, 100.0), moment.ts_ns)


def fits(scene: dict[str, Any]) -> None:
    try:
        parent_in(scene)
    except ValueError:
        assume(False)
    assume(scene["start"] < len(scene["bars"]) - 1)


@pytest.mark.parametrize("algo_type", ALGORITHMS)
def test_the_engine_makes_the_decisions_of_the_desk(algo_type: AlgoType) -> None:
    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(scenes(algo_type))
    def same(scene: dict[str, Any]) -> None:
        fits(scene)
        commands, fills, (report,) = on_desk(scene)
        trader = Trader(scene, Lines(), [])
        trader.run()
        assert trader.gate.commands == commands
        assert [fill.fill_id for fill in trader.fills] == [fill.fill_id for fill in fills]
        if report.done:
            assert trader.engine.reports["x-1"].fills == report.fills

    same()


def test_answers_that_nobody_heard_are_heard_in_the_order_of_what_they_answer() -> None:
    """A refusal makes its parent wait, and a close makes it send: whoever hears them the other way round sends less."""
    params = {"completion": "extend", "extend_seconds": 60.0, "completion_seconds": 1.0, "repeg_ticks": 1}
    params |= {"retry_seconds": 60.0, "levels": (3.0, 2.0, 1.0)}
    scene = {
        "bars": lively(83), "half": 0.01, "impact": False, "fills": FillConfig(max_participation=0.1),
        "algo": ExecutionAlgorithm("Iceberg", SYMBOL, "buy", 40.0, 120, params),
        "refused": 3, "requests": [], "start": -1,
    }  # fmt: skip
    whole = Trader(scene, Lines(), [])
    whole.run()
    wanted = [order["i"] for order in whole.lines.read() if order["k"] == "order"]
    for line in range(len(whole.lines.written)):
        for torn in (False, True):
            lines, requests = Lines(dies_at=line, torn=torn), list[dict[str, Any]]()
            with suppress(KilledError):
                Trader(scene, lines, requests).run()
            lines.dies_at = None
            Trader(scene, lines, requests).run()
            assert [order["i"] for order in lines.read() if order["k"] == "order"] == wanted, (line, torn)


@pytest.mark.parametrize("algo_type", ALGORITHMS)
def test_killed_at_any_line_of_its_journal_it_ends_as_if_nothing_had_happened(algo_type: AlgoType) -> None:
    # pitfall 27, pitfall 28: nothing doubled, nothing lost, nothing dead comes back
    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(scenes(algo_type), st.data())
    def holds(scene: dict[str, Any], data: st.DataObject) -> None:
        fits(scene)
        whole = Trader(scene, Lines(), [])
        whole.run()
        wanted = [order["i"] for order in whole.lines.read() if order["k"] == "order"]
        lines = Lines()
        requests: list[dict[str, Any]] = []
        for _ in range(data.draw(st.integers(1, 3), "deaths")):
            if len(lines.written) >= len(whole.lines.written):
                break
            lines.dies_at = data.draw(st.integers(len(lines.written), len(whole.lines.written) - 1), "dies at line")
            lines.torn = data.draw(st.booleans(), "torn")
            with suppress(KilledError):  # a second life may need fewer lines
                Trader(scene, lines, requests).run()
        lines.dies_at = None
        again = Trader(scene, lines, requests)
        again.run()
        assert [order["i"] for order in lines.read() if order["k"] == "order"] == wanted
        assert again.gate.commands == whole.gate.commands
        sent = [request["intent"]["intent_id"] for request in requests if request["intent"]]
        assert len(set(sent)) == len(sent), "sent twice"
        assert [fill.fill_id for fill in again.fills] == [fill.fill_id for fill in whole.fills]
        assert {name: report.fills for name, report in again.engine.reports.items()} == {
            name: report.fills for name, report in whole.engine.reports.items()
        }

    holds()


def test_killed_between_the_requests_of_a_turn_and_their_lines_at_the_venue_it_ends_as_if_nothing_had_happened() -> (
    None
):
    params = {"price": "peg", "levels": (0.6, 0.4), "clip_jitter": 0.2, "visible_ratio": 0.3}
    scene = {
        "bars": lively(83), "half": 0.01, "impact": False, "fills": FillConfig(max_participation=0.1),
        "algo": ExecutionAlgorithm("Iceberg", SYMBOL, "buy", 40.0, 120, params),
        "refused": 0, "requests": [], "start": -1,
    }  # fmt: skip
    whole = Trader(scene, Lines(), [])
    whole.run()
    assert whole.blocks > 3
    wanted = [order["i"] for order in whole.lines.read() if order["k"] == "order"]
    for block in range(1, whole.blocks + 1):
        lines, requests = Lines(), list[dict[str, Any]]()
        with pytest.raises(KilledError):
            Trader(scene, lines, requests, dies_in=block).run()
        again = Trader(scene, lines, requests)
        again.run()
        assert [order["i"] for order in lines.read() if order["k"] == "order"] == wanted
        sent = [request["intent"]["intent_id"] for request in requests if request["intent"]]
        assert len(set(sent)) == len(sent), "sent twice"
        assert [fill.fill_id for fill in again.fills] == [fill.fill_id for fill in whole.fills]


def test_the_gate_follows_the_quantities_that_a_parent_takes_and_no_others() -> None:
    lines, gate = Lines(), Gate(lambda _intent: False)
    work = Intake(instrument=INSTRUMENT, config=ExecutionConfig()).work
    engine = Engine(lines, gate, Switch(), {SYMBOL: INSTRUMENT}, work)
    engine.market(topics.quotes(SYMBOL), QuoteEvent(SYMBOL, 100.0, 100.1, START_NS), START_NS)
    algo = ExecutionAlgorithm("TWAP", SYMBOL, "buy", 60.0, 600, {"order_type": "limit"})
    engine.start(Request("x-0123456789", "p", "s", algo, START_NS, 100.0), START_NS)
    child = next(engine.orders.live()).intent
    engine.venue(OrderEvent.of(child, "sim", START_NS), START_NS)
    engine.tell("x-0123456789", Amend(quantity=INSTRUMENT.lots(80.0)), START_NS)
    assert gate.caps == [60.0, 80.0]
    engine.tell("x-0123456789", Cancel("no longer wanted"), START_NS)
    engine.tell("x-0123456789", Amend(quantity=INSTRUMENT.lots(90.0)), START_NS)  # it waits for the end of its child
    engine.venue(OrderClosed(child.intent_id, "sim", "cancelled", 0.0, START_NS), START_NS)
    engine.tell("x-0123456789", Amend(quantity=INSTRUMENT.lots(95.0)), START_NS)  # it has ended
    assert engine.reports["x-0123456789"].status == "cancelled"
    assert gate.caps == [60.0, 80.0]
    again = Gate(lambda _intent: False)
    recall(Engine(Lines(), again, Switch(), {SYMBOL: INSTRUMENT}, work), lines.read())
    assert again.caps == gate.caps
