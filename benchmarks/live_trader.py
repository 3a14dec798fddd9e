"""The trader's speed: intents per second from wire to broker, and the time from a market event to the child it causes.

Intents per second: decode the intent's JSON, ask the risk gate, write the journal, hand it to the paper broker and book
its answer; one intent to a turn, and sixteen, as they come where several parents act at one moment or a bus hands over
what has piled up. What is written in a turn is made durable once, before the first of its orders leaves. The paper
broker keeps a journal of its own, with a line for each request; that is in the figure too.

Latency: from a quote in hand to the child at the broker, parents, gate and journal included; beside it, in the same
run, one hop of asyncio: a queue between two tasks.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from broker.paper import PaperVenue
from core import codec, topics
from core.contracts import FillEvent, OrderClosed, OrderIntent, QuoteEvent
from core.instrument import Instrument
from core.journal import Journal
from execution.config import ExecutionConfig
from execution.contracts import ExecutionAlgorithm
from execution.events import Market
from execution.intake import Intake, Request
from live import entries
from live.effects import Submit
from live.engine import Engine
from live.memory import set_aside
from live.orders import OrderStore
from risk.gate import RiskGate
from risk.kill import KillSwitch
from risk.limits import RiskLimits, load_limits

SYMBOL = "ATOM/USDT"
INSTRUMENT = Instrument(SYMBOL, tick="0.001", lot="0.01")
START_NS = 1_735_689_600_000_000_000
STEP_NS = 1_000_000
INTENTS = 20_000
TURNS = (1, 16)
QUOTES = 5_000
HOPS = 20_000


class Counter:
    """A market that takes every order and never fills it."""

    instrument = INSTRUMENT
    busy = True

    def submit(self, _intent: OrderIntent, _now_ns: int) -> OrderClosed | None:
        return None

    def cancel(self, intent: OrderIntent, now_ns: int) -> OrderClosed | None:
        return OrderClosed(intent.target_intent_id or "", "", "cancelled", 0.0, now_ns)

    def run(self, until_ns: int) -> tuple[int, list[Any]]:
        return until_ns, []

    def view(self, now_ns: int) -> Market:
        return Market(now_ns, 6_500, 6_501)

    def mid(self, _now_ns: int) -> float:
        return 6.5005


def limits() -> RiskLimits:
    """Those that ship, with room for a benchmark: every rule runs, none refuses."""
    path = Path(__file__).resolve().parents[1] / "config" / "risk.yaml"
    shipped = load_limits(path)
    wide = 10**9
    rate = replace(shipped.rate, max_orders=wide, max_cancels=wide)
    one = replace(shipped.limits, max_position_qty=1e12, max_open_orders=wide)
    account = replace(shipped.account, max_open_notional=1e15, buying_power=1e15, max_open_orders=wide)
    repeats = replace(shipped.repeats, max_executions=wide)
    return replace(shipped, rate=rate, limits=one, account=account, repeats=repeats)


def child(n: int) -> OrderIntent:
    """The n-th of many: ten to a parent."""
    meta = {"execution_id": f"x-{n // 10}", "slice_idx": n % 10, "algo_type": "TWAP"}
    qty = (100 + n % 100_000) / 100
    return OrderIntent(f"x-{n // 10}-{n % 10}", START_NS + n * STEP_NS, "bench", SYMBOL, "buy", "limit", qty, 6.5, meta)


def intents_per_second(
    folder: Path, fsync: Literal["on_sync", "never"], count: int, turn: int = 1
) -> tuple[float, int]:
    """Through decode, gate, journal and broker, so many to a turn; how many the gate let pass."""
    gate = RiskGate(limits(), kill=KillSwitch(folder / "kill"), instruments={SYMBOL: INSTRUMENT})
    store, passed = OrderStore(), 0
    lines = [codec.to_json(child(n).to_dict()) for n in range(count)]
    turns = [lines[n : n + turn] for n in range(0, count, turn)]
    for n in range(count // 10 + 1):
        gate.on_parent(f"x-{n}", SYMBOL, "buy", 1e6)
    with (
        Journal(folder / f"journal-{fsync}-{turn}", fsync=fsync) as journal,
        Journal(folder / f"v-{fsync}-{turn}", fsync="never") as v,
    ):

        def note(line: dict[str, Any]) -> None:
            v.append({"k": entries.VENUE, **line})

        venue = PaperVenue("bench", Counter(), note=note)
        set_aside()
        began = time.perf_counter()
        for some in turns:
            decided: list[dict[str, Any]] = []
            for intent in map(OrderIntent.from_json, some):
                now_ns = intent.ts_local_ns
                gate.on_price(SYMBOL, 6.5, 6.501, now_ns)
                decision = gate.check(intent, now_ns)
                decided.append(entries.of_order(intent, decision, now_ns))
                if decision.allowed:
                    store.sent(intent)
                    passed += 1
            for entry in decided:
                journal.append(entry)
            journal.sync()
            answers: list[Any] = []
            with v.together():
                for entry in decided:
                    if entry["ok"]:
                        answers += venue.submit(entry["i"], entry["t"])
            for answer in answers:
                store.accepted(answer.intent_id)
        took = time.perf_counter() - began
    gc.unfreeze()
    return count / took, passed


def event_to_child(folder: Path, fsync: Literal["on_sync", "never"], quotes: int) -> list[float]:
    """Microseconds from a quote to the child at the broker: a TWAP with a slice at each quote."""
    took: list[float] = []
    intake = Intake(instrument=INSTRUMENT, config=ExecutionConfig())
    with Journal(folder / f"events-{fsync}", fsync=fsync) as journal:
        gate = RiskGate(limits(), kill=KillSwitch(folder / "kill"), instruments={SYMBOL: INSTRUMENT})
        engine = Engine(journal, gate, KillSwitch(folder / "kill"), {SYMBOL: INSTRUMENT}, intake.work)
        venue = PaperVenue("bench", Counter())
        for parent in range(quotes // 100):
            start_ns = START_NS + parent * 200 * 10**9
            engine.market(topics.quotes(SYMBOL), QuoteEvent(SYMBOL, 6.5, 6.501, start_ns - 1), start_ns - 1)
            params = {"slice_count": 100, "order_type": "market"}
            algo = ExecutionAlgorithm("TWAP", SYMBOL, "buy", 100.0 + parent, 100, params)
            for effect in engine.start(Request(f"x-{parent}", "p", "bench", algo, start_ns, 6.5), start_ns):
                if isinstance(effect, Submit):
                    engine.venue(filled(effect.intent, start_ns), start_ns)
            for slice_ in range(1, 100):
                now_ns = start_ns + slice_ * 10**9
                quote = QuoteEvent(SYMBOL, 6.5, 6.501 + slice_ % 3 / 1000, now_ns)
                began = time.perf_counter_ns()
                effects = engine.market(topics.quotes(SYMBOL), quote, now_ns)
                effects += engine.wake(now_ns)
                sent: list[OrderIntent] = []
                answers: list[Any] = []
                for effect in effects:
                    if isinstance(effect, Submit):
                        answers += venue.submit(effect.intent, now_ns)
                        sent.append(effect.intent)
                ended = time.perf_counter_ns()
                if sent:
                    took.append((ended - began) / 1000)
                for answer in (*answers, *(filled(intent, now_ns) for intent in sent)):
                    engine.venue(answer, now_ns)
    return took


def filled(intent: OrderIntent, now_ns: int) -> FillEvent:
    """All of it, at once."""
    name = intent.intent_id
    return FillEvent(f"{name}-f1", name, intent.symbol, intent.side, intent.qty, 6.5, now_ns, 0.0, "taker")


async def asyncio_hop(count: int) -> list[float]:
    """Microseconds from a put in one task to the get in another."""
    there: asyncio.Queue[int] = asyncio.Queue()
    back: asyncio.Queue[int] = asyncio.Queue()
    took: list[float] = []

    async def other() -> None:
        for _ in range(count):
            began = await there.get()
            took.append((time.perf_counter_ns() - began) / 1000)
            back.put_nowait(0)

    task = asyncio.create_task(other())
    for _ in range(count):
        there.put_nowait(time.perf_counter_ns())
        await back.get()
    await task
    return took


def quantiles(took: list[float]) -> str:
    ordered = sorted(took)
    high = ordered[int(0.99 * len(ordered))]
    return f"p50 {statistics.median(ordered):7.1f} us   p99 {high:8.1f} us   n {len(ordered):,}"


def main(say: Callable[[str], object] = print, *, share: float = 1.0) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for fsync, count in (("never", INTENTS), ("on_sync", INTENTS // 20)):
            for turn in TURNS:
                speed, passed = intents_per_second(folder, fsync, max(100, int(count * share)), turn)  # type: ignore[arg-type]
                word = f"{'without sync' if fsync == 'never' else 'fdatasync'}, {turn} to a turn"
                say(f"intents per second, {word:26} {speed:10,.0f}   ({passed:,} passed the gate)")
        for fsync, count in (("never", QUOTES), ("on_sync", QUOTES // 5)):
            took = event_to_child(folder, fsync, max(200, int(count * share)))  # type: ignore[arg-type]
            word = "without sync" if fsync == "never" else "fdatasync"
            say(f"market event to child at the broker, {word:13} {quantiles(took)}")
    hops = asyncio.run(asyncio_hop(max(100, int(HOPS * share))))
    say(f"one hop of asyncio, for comparison                {quantiles(hops)}")


if __name__ == "__main__":
    main()
