"""Parent orders for tests: a builder, a venue that answers as the test says, the books checked after every event."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from core.bars import Bars
from core.bus import InMemoryBus
from core.contracts import CloseReason, FillEvent, OrderClosed, OrderEvent, OrderIntent, RiskDecision, Side
from core.instrument import Instrument
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.events import Event, Market, OrderUnknown, Wake
from execution.executors import executor
from execution.parent import ParentOrder
from execution.profile import VolumeHistory
from execution.states import MOVES, State
from execution.twap import TWAPExecutor
from tests.naive import MINUTE_NS, START_NS

SECOND = 1_000_000_000
MS = 1_000_000
SYMBOL = "ATOM/USDT"


def twap(
    quantity: float = 100,
    seconds: int = 100,
    *,
    side: Side = "buy",
    slices: int = 10,
    order_type: Literal["limit", "market"] = "market",
    lot: str = "1",
    min_qty: float = 0,
    start_ns: int = START_NS,
    **params: Any,
) -> ParentOrder:
    """A parent of 100 lots over 100 s in 10 slices, unless told otherwise; ticks of 0.01."""
    instrument = Instrument(SYMBOL, tick="0.01", lot=lot, min_qty=str(min_qty))
    executor = TWAPExecutor("tester", slices, order_type, instrument=instrument, **params)
    algo = ExecutionAlgorithm("TWAP", SYMBOL, side, quantity, seconds)
    return executor.start(algo, start_ns=start_ns, execution_id="x-1", price=10.0)


def parent_of(
    algo_type: AlgoType,
    quantity: float = 100,
    seconds: int = 100,
    *,
    side: Side = "buy",
    lot: str = "1",
    min_qty: float = 0,
    start_ns: int = START_NS,
    volumes: VolumeHistory | None = None,
    **params: Any,
) -> ParentOrder:
    """A parent of any algorithm; ticks of 0.01, the same id and draws for both sides."""
    if algo_type in ("VWAP", "POV", "IS"):
        params["volumes"] = volumes
    made = executor(
        algo_type, "tester", instrument=Instrument(SYMBOL, tick="0.01", lot=lot, min_qty=str(min_qty)), **params
    )
    algo = ExecutionAlgorithm(algo_type, SYMBOL, side, quantity, seconds)
    return made.start(algo, start_ns=start_ns, execution_id="x-1", price=10.0)


def past_bars(volumes: ArrayLike, end_ns: int = START_NS) -> Bars:
    """One-minute bars of these volumes, the last of which closes at `end_ns`; the price stands still."""
    volume = np.asarray(volumes, np.float64).ravel()
    opens = end_ns - np.arange(len(volume), 0, -1, dtype=np.int64) * MINUTE_NS
    price = np.full(len(volume), 10.0)
    return Bars(SYMBOL, opens, opens + MINUTE_NS, price, price, price, price, volume)


def _reachable() -> dict[State, frozenset[State]]:
    """Where one event may lead: it may make several moves at once, each of them legal."""
    found = {}
    for start in State:
        seen = {start}
        while more := {new for state in seen for new in MOVES[state]} - seen:
            seen |= more
        found[start] = frozenset(seen)
    return found


REACHABLE = _reachable()


def check_books(parent: ParentOrder) -> None:
    """What must hold after every event, whatever the event was."""
    children = list(parent.children)
    assert parent.children.reserved == sum(child.reserved for child in children)
    assert parent.children.filled == sum(child.filled for child in children)
    assert {child.intent_id for child in parent.children.live()} == {
        child.intent_id for child in children if child.reserved
    }
    assert [child.number for child in children] == list(range(len(children)))


class Play:
    """A parent at work, driven by hand. Times are in seconds since its start, children are named by their number.

    It keeps all commands (`sent`, `cancels`), those of the last event (`new`) and the next wake-up (`wake_ns`).
    """

    def __init__(self, parent: ParentOrder, *, bid: int = 999, ask: int = 1001, sees_market: bool = True) -> None:
        self.parent = parent
        self.now_ns = START_NS
        self.sent: list[OrderIntent] = []
        self.cancels: list[OrderIntent] = []
        self.new: tuple[OrderIntent, ...] = ()
        self.wake_ns: int | None = None
        self._fill_ids = count()
        if sees_market:
            self.market(bid, ask)

    def on(self, event: Event) -> Play:
        before = self.parent.state
        step = self.parent.on(event, self.now_ns)
        assert self.parent.state in REACHABLE[before]
        check_books(self.parent)
        for intent in step.commands:
            (self.sent if intent.action == "new" else self.cancels).append(intent)
        ids = [intent.intent_id for intent in self.sent + self.cancels]
        assert len(set(ids)) == len(ids), "an id was used twice"
        assert step.wake_ns is None or step.wake_ns > self.now_ns
        self.new = step.commands
        self.wake_ns = step.wake_ns
        return self

    def at(self, seconds: float) -> Play:
        """Time passes, and the parent is woken."""
        self.now_ns = START_NS + round(seconds * SECOND)
        return self.on(Wake())

    def market(self, bid: int = 999, ask: int = 1001, *, age_s: float = 0, tape: int = 0) -> Play:
        return self.on(Market(self.now_ns - round(age_s * SECOND), bid, ask, tape))

    def accept(self, number: int) -> Play:
        intent = self.sent[number]
        return self.on(
            OrderEvent(
                intent.intent_id,
                "sim",
                f"w{number}",
                SYMBOL,
                intent.side,
                intent.type,
                intent.qty,
                self.now_ns,
                intent.limit_price,
            )
        )

    def fill(self, number: int, qty: float | None = None, price: float = 10.0, *, fill_id: str | None = None) -> Play:
        """All of the child unless told how much."""
        intent = self.sent[number]
        name = fill_id or f"f{next(self._fill_ids)}"
        return self.on(
            FillEvent(
                name,
                intent.intent_id,
                SYMBOL,
                intent.side,
                intent.qty if qty is None else qty,
                price,
                self.now_ns,
                fee=0.01,
            )
        )

    def close(
        self, number: int, filled: float = 0.0, status: CloseReason = "cancelled", reason: str | None = None
    ) -> Play:
        return self.on(OrderClosed(self.sent[number].intent_id, "sim", status, filled, self.now_ns, reason))

    def deny(self, intent: OrderIntent, reason: str = "too big") -> Play:
        return self.on(RiskDecision(intent.intent_id, False, reason))

    def unknown(self, number: int) -> Play:
        return self.on(OrderUnknown(self.sent[number].intent_id))

    def listens(self) -> bool:
        return self.parent.listens

    @property
    def sizes(self) -> list[float]:
        return [intent.qty for intent in self.sent]

    @property
    def times(self) -> list[float]:
        """When each child was sent, in seconds since the start."""
        return [(intent.ts_local_ns - START_NS) / SECOND for intent in self.sent]

    @property
    def state(self) -> str:  # not State: mypy would take it for constant between two events
        return self.parent.state


Answer = Callable[[OrderIntent, int], Sequence[tuple[int, Event]]]
"""What the venue says of an intent sent at a time: (when in ns, event)."""


def filled_at_once(intent: OrderIntent, now_ns: int) -> list[tuple[int, Event]]:
    """A venue that fills everything, and has always closed what it is asked to cancel."""
    if intent.action == "cancel":
        return []
    return [
        (now_ns, FillEvent(f"{intent.intent_id}-f", intent.intent_id, SYMBOL, intent.side, intent.qty, 10.0, now_ns))
    ]


def never_filled(intent: OrderIntent, now_ns: int) -> list[tuple[int, Event]]:
    """A venue where everything rests until it is cancelled."""
    if intent.action == "new":
        return []
    return [(now_ns, OrderClosed(intent.target_intent_id or "", "sim", "cancelled", 0.0, now_ns))]


@dataclass
class Played:
    commands: list[OrderIntent] = field(default_factory=list)
    wakes: int = 0


def play_out(
    parent: ParentOrder,
    answer: Answer,
    *,
    events: Iterable[tuple[int, Event]] = (),
    extra_wakes: Iterable[int] = (),
    bid: int = 999,
    ask: int = 1001,
    limit: int = 10_000,
) -> Played:
    """Plays a parent to its end, waking it when it wants and at `extra_wakes`; `events` are (when in ns, event)."""
    order = count()
    start = parent.parent.start_ns
    queue: list[tuple[int, int, Event]] = [(start, next(order), Market(start, bid, ask))]
    queue += [(at, next(order), event) for at, event in events]
    queue += [(at, next(order), Wake()) for at in extra_wakes]
    heapq.heapify(queue)
    played = Played()
    wake: int | None = None
    for _ in range(limit):
        if parent.ended:
            return played
        if queue and (wake is None or queue[0][0] <= wake):
            now_ns, _, event = heapq.heappop(queue)
        else:
            assert wake is not None, f"stuck in {parent.state}: no event to come and no wake-up wanted"
            now_ns, event = wake, Wake()
            played.wakes += 1
        step = parent.on(event, now_ns)
        check_books(parent)
        assert parent.children.filled + parent.children.reserved <= parent.quantity
        wake = step.wake_ns
        for intent in step.commands:
            played.commands.append(intent)
            for at, reply in answer(intent, now_ns):
                heapq.heappush(queue, (at, next(order), reply))
    raise AssertionError(f"still {parent.state} after {limit} events")


def is_sorted(values: Sequence[float]) -> bool:
    return all(a <= b for a, b in pairwise(values))


async def subscribed(bus: InMemoryBus, topic: str, *, by: int = 1) -> None:
    """Waits until so many listen to a topic: a follower subscribes when its task first runs."""
    while len(bus.backlog(topic)) < by:
        await asyncio.sleep(0)
