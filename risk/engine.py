"""The gate as a service on a bus: intents in, decisions and allowed orders out.

    strat.intent               -> risk.decision, and what is allowed on to the broker: orders.new
    fills.new, orders.closed   what became of it
    strat.parent               what children may add up to: execution_id, and symbol, side, qty or an `algo` with them;
                               the same on strat.intent arrives before the children that are published there after it
    md.quotes.*, md.bars.*     the reference price; a bar's close where a symbol has no quotes
    ctl.kill                   trips the switch; clearing it takes a person at the file
    ctl.rearm                  enables what R06 or R16 has disabled: key, by, reason
    ctl.epoch                  a newer router has begun: orders of older ones are refused from now on (R20)

It may be told anything twice: an intent that comes again gets the answer that it got, an allowed order goes on once.
With a journal every answer is durable before anybody hears it, and what it has heard before the bus forgets it;
`recall` makes the gate again from what is there.
Whatever goes wrong in here, the answer is no; where the journal cannot be written there is none, and `run` ends.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from core import epochs, topics
from core.bus import GroupBus, Said
from core.bus_groups import Delivery, work
from core.clock import Clock, WallClock
from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision
from core.errors import FillwrightError
from risk.gate import RiskGate

GROUP: Final = "risk"
ORDER, FILL, CLOSED, PARENT, REARM, FENCE = "order", "fill", "closed", "parent", "rearm", "fence"
Entry = Mapping[str, Any]


class Log(Protocol):
    """`core.journal.Journal`, or anything that keeps entries in order."""

    def append(self, entry: dict[str, Any]) -> object: ...
    def sync(self) -> None: ...


class UnwrittenError(FillwrightError):
    """The journal refuses: nobody knows what a restart will find in it, so only a restart may answer."""


class RiskEngine:
    """Serves one gate from `run` until the bus is closed. `symbols`: whose prices it follows.

    epoch: of this start (`core/epochs.py`); it goes along with the orders that pass, and `run` raises ReplacedError
    once a newer engine has begun. 0: there is only this one. It raises UnwrittenError where the journal refuses.
    starts: `ctl.epoch`, subscribed to before the epoch was taken: a newer engine may begin before this one runs.
    on_refused(topic, why) hears of what could not be read and of ids that were used twice.
    """

    def __init__(
        self,
        bus: GroupBus,
        gate: RiskGate,
        symbols: Iterable[str],
        *,
        clock: Clock | None = None,
        journal: Log | None = None,
        group: str = GROUP,
        epoch: int = 0,
        starts: AsyncIterator[dict[str, Any]] | None = None,
        on_refused: Callable[[str, str], None] = lambda _topic, _why: None,
    ) -> None:
        self.gate = gate
        self._bus = bus
        self._symbols = tuple(symbols)
        self._clock = clock if clock is not None else WallClock()
        self._journal = journal
        self._group = group
        self._epoch = epoch
        self._starts = starts
        self._on_refused = on_refused
        self._broken: str | None = None  # why nothing may pass any more
        self._quoted: set[str] = set()
        self._handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            topics.FILLS: self._fill,
            topics.CLOSED: self._closed,
            topics.PARENT: self._parent,
            topics.KILL: self._kill,
            topics.REARM: self._rearm,
            topics.EPOCH: self._fence,
        }

    async def run(self) -> None:
        """Works until the bus is closed. Messages that came before it began wait for it in its group."""
        prices = [(topics.quotes(symbol), symbol, self._quote) for symbol in self._symbols]
        prices += [(topics.bars(symbol), symbol, self._bar) for symbol in self._symbols]
        feeds = [(self._bus.subscribe(topic), symbol, take) for topic, symbol, take in prices]
        starts = self._starts if self._starts is not None else self._bus.subscribe(topics.EPOCH)
        name = f"{self._group}#{self._epoch}"
        async with (
            # Intents last: of what arrives together, a fill is heard before an order.
            self._bus.consume(self._group, *self._handlers, topics.INTENT, consumer=name) as consumer,
            asyncio.TaskGroup() as tasks,
        ):
            if self._epoch:
                await epochs.announce(self._bus, epochs.RISK, self._epoch)
                tasks.create_task(epochs.until_replaced(starts, epochs.RISK, self._epoch))
            for feed, symbol, take in feeds:
                tasks.create_task(self._follow(feed, symbol, take))
            tasks.create_task(work(consumer, self._handle, ends=UnwrittenError))

    def recall(self, journal: Iterable[Entry]) -> int:
        """Makes the gate again from what a journal says, before `run`; returns how many entries were its own."""
        count = 0
        for entry in journal:
            told = _RECALL.get(entry["k"])
            if told is not None:
                told(self.gate, entry)
                count += 1
        return count

    def rearm(self, key: str, by: str, reason: str) -> None:
        """Enables again what the gate has disabled, and writes down who did it. Raises ValueError as the gate does."""
        self.gate.rearm(key, by, reason)
        self._write({"k": REARM, "key": key, "by": by, "reason": reason})
        self._sync()

    # ---- intents

    async def _handle(self, delivery: Delivery) -> None:
        if delivery.topic != topics.INTENT:
            self._handlers[delivery.topic](delivery.payload)
            self._sync()  # it does not come again
            return
        if "intent_id" not in delivery.payload and "execution_id" in delivery.payload:
            self._parent(delivery.payload)
            self._sync()
            return
        try:
            intent = OrderIntent.from_dict(delivery.payload)
        except ValueError as error:
            await self._refuse_unread(delivery.payload, str(error))
            return
        if self.gate.is_taken(intent):
            # A refusal under this id would be taken for one of the order that has it, which may be in the market.
            self._on_refused(topics.INTENT, f"intent id {intent.intent_id} was used for another order before")
            return
        decision = self._decide(intent)
        said = [Said(topics.RISK, decision.to_dict())]
        if decision.allowed:
            said.append(Said(topics.ORDERS, self._sent_on(intent), f"{topics.ORDERS}/{intent.intent_id}"))
        await self._bus.publish_all(said)

    def _decide(self, intent: OrderIntent) -> RiskDecision:
        """The gate's answer, durable; no where anything fails on the way to it."""
        now_ns = self._clock.now_ns()
        if self._broken is not None:
            return RiskDecision(intent.intent_id, False, f"risk engine: {self._broken}")
        try:
            known = self.gate.remembers(intent.intent_id)
            decision = self.gate.check(intent, now_ns)
            if not known:
                self._write(self._order_entry(intent, decision, now_ns))
                self._sync()
        except UnwrittenError:
            raise
        except Exception as error:  # noqa: BLE001 - fail closed: whatever happened, this order does not pass
            self._broken = f"{type(error).__name__}: {error}"
            self._on_refused(topics.INTENT, self._broken)
            return RiskDecision(intent.intent_id, False, f"risk engine: {self._broken}")
        return decision

    def _sent_on(self, intent: OrderIntent) -> dict[str, Any]:
        return epochs.stamped(intent, epochs.RISK, self._epoch)

    def _order_entry(self, intent: OrderIntent, decision: RiskDecision, now_ns: int) -> dict[str, Any]:
        entry: dict[str, Any] = {"k": ORDER, "t": now_ns, "i": intent.to_dict(), "ok": decision.allowed}
        seen = self.gate.reference(intent.symbol)
        if seen is not None:
            entry["q"] = list(seen)
        if not decision.allowed:
            entry |= {"why": decision.reason, "caps": decision.caps}
        return entry

    async def _refuse_unread(self, payload: dict[str, Any], why: str) -> None:
        """What cannot be read cannot be allowed; who can be answered is answered."""
        self._on_refused(topics.INTENT, why)
        name = payload.get("intent_id")
        if isinstance(name, str) and name and not self.gate.remembers(name):
            await self._bus.publish_json(topics.RISK, RiskDecision(name, False, f"cannot be read: {why}").to_dict())

    # ---- what it hears; a message that cannot be read raises, comes again, and ends in the dead letters

    def _fill(self, payload: dict[str, Any]) -> None:
        fill = FillEvent.from_dict(payload)
        self.gate.on_fill(fill)
        self._write({"k": FILL, "e": fill.to_dict()})

    def _closed(self, payload: dict[str, Any]) -> None:
        closed = OrderClosed.from_dict(payload)
        self.gate.on_closed(closed)
        self._write({"k": CLOSED, "e": closed.to_dict()})

    def _parent(self, payload: dict[str, Any]) -> None:
        if "execution_id" not in payload:  # a wish for the router, which has no execution yet
            return
        epoch = payload.get("epoch")
        if type(epoch) is int and self.gate.epoch is not None and epoch < self.gate.epoch:
            return  # a router that has been replaced does not know what has become of it
        algo = payload.get("algo", payload)
        parent = {"execution_id": payload["execution_id"], "symbol": algo["symbol"], "side": algo["side"]}
        parent["qty"] = _number(algo.get("total_quantity", algo.get("qty")))
        self.gate.on_parent(**parent)
        self._write({"k": PARENT, **parent})

    def _kill(self, payload: dict[str, Any]) -> None:
        if self.gate.kill is None:
            raise FillwrightError("the gate watches no kill switch: kill_switch_file is not set in the risk limits")
        by = str(payload.get("by", "")).strip() or "unknown"
        reason = str(payload.get("reason", "")).strip() or "no reason given"
        self.gate.kill.trip(by, reason, self._clock.now_ns())

    def _rearm(self, payload: dict[str, Any]) -> None:
        try:
            self.rearm(*(str(payload.get(name) or "") for name in ("key", "by", "reason")))
        except ValueError as error:  # it has been done already, or cannot be meant: again would not help
            self._on_refused(topics.REARM, str(error))

    def _fence(self, payload: dict[str, Any]) -> None:
        kind, epoch = epochs.read_announcement(payload)
        if kind == epochs.ROUTER and epoch > (self.gate.epoch or 0):
            self.gate.fence(epoch)
            self._write({"k": FENCE, "epoch": epoch})

    # ---- prices

    async def _follow(self, feed: Any, symbol: str, take: Callable[[str, dict[str, Any]], None]) -> None:
        async for message in feed:
            take(symbol, message)

    def _quote(self, symbol: str, message: dict[str, Any]) -> None:
        self._quoted.add(symbol)
        self._price(symbol, message.get("bid"), message.get("ask"), message.get("ts_ns"))

    def _bar(self, symbol: str, message: dict[str, Any]) -> None:
        if symbol not in self._quoted:
            close = message.get("close")
            self._price(symbol, close, close, message.get("ts_close_ns"))

    def _price(self, symbol: str, bid: object, ask: object, ts_ns: object) -> None:
        """What is no price is told as NaN, which shuts the symbol's gate: better than trading on the one before."""
        if type(ts_ns) is not int:
            seen = self.gate.reference(symbol)
            self.gate.on_price(symbol, math.nan, math.nan, 0 if seen is None else seen[2])
        else:
            self.gate.on_price(symbol, _number(bid), _number(ask), ts_ns)

    # ---- the journal

    def _write(self, entry: dict[str, Any]) -> None:
        """What cannot be written down would be forgotten in a restart: then nothing may pass any more."""
        if self._journal is not None:
            entry = {"t": self._clock.now_ns(), **entry}
            try:
                self._journal.append(entry)
            except (FillwrightError, OSError) as error:
                raise UnwrittenError(str(error)) from error

    def _sync(self) -> None:
        if self._journal is not None:
            try:
                self._journal.sync()
            except (FillwrightError, OSError) as error:
                raise UnwrittenError(str(error)) from error


def announce_kill(url: str, by: str, reason: str, ts_ns: int, *, patience_s: float = 5.0) -> None:
    """Publishes `ctl.kill` on the Redis bus at `url`. Raises FillwrightError where it cannot be reached in time."""

    async def publish() -> None:
        from core.bus_redis import RedisStreamBus

        async with await RedisStreamBus.connect(url, outage_s=patience_s) as bus:
            await bus.publish_json(topics.KILL, {"by": by, "reason": reason, "ts_ns": ts_ns})

    asyncio.run(publish())


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _recall_order(gate: RiskGate, entry: Entry) -> None:
    intent = OrderIntent.from_dict(entry["i"])
    if "q" in entry:
        bid, ask, ts_ns = entry["q"]
        gate.on_price(intent.symbol, _number(bid), _number(ask), ts_ns)
    decision = RiskDecision(intent.intent_id, bool(entry["ok"]), entry.get("why"), entry.get("caps", {}))
    gate.recall(intent, decision, int(entry["t"]))


def _recall_rearm(gate: RiskGate, entry: Entry) -> None:
    if entry["key"] in gate.disabled:
        gate.rearm(entry["key"], entry["by"], entry["reason"])


_RECALL: Final[dict[str, Callable[[RiskGate, Entry], None]]] = {
    ORDER: _recall_order,
    FILL: lambda gate, entry: gate.on_fill(FillEvent.from_dict(entry["e"])),
    CLOSED: lambda gate, entry: gate.on_closed(OrderClosed.from_dict(entry["e"])),
    PARENT: lambda gate, entry: gate.on_parent(entry["execution_id"], entry["symbol"], entry["side"], entry["qty"]),
    REARM: _recall_rearm,
    FENCE: lambda gate, entry: gate.fence(int(entry["epoch"])),
}
