"""The gate: every order intent passes here or does not trade.

All rules hold for every order, all breaches are listed, and what passes is reserved in the same step, so that two
orders cannot share one limit. `risk/quick.py` holds an order against all rules at once; what it does not pass is put
to each of them. Reservations shrink on evidence only: a fill, or the venue's last word on an order.

What is settled is forgotten an hour later (`REMEMBERED_S`), so that memory follows the orders at work. An intent that
comes again after that is refused for its age; a fill of an order that is no longer known, from before what was
forgotten, is taken for a repeat. Whatever is open or of unknown fate is never forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from typing import Any, Final

from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision, Side
from core.epochs import without_epochs
from core.frozen import FrozenDict
from core.instrument import Instrument
from risk.account import DAY_NS, Account
from risk.book import Book
from risk.breakers import NS_PER_S, Breakers
from risk.kill import KillSwitch
from risk.limits import RiskLimits
from risk.orders import Order
from risk.parents import Parent, Parents
from risk.quick import Quick
from risk.rules import CANCEL_RULES, DUPLICATE, NEW_ORDER_RULES
from risk.view import Breach, View, content_of
from risk.windows import Contents, Window

REMEMBERED_S: Final = 3600.0


class RiskGate:
    """One account's gate. Not thread-safe: it belongs to the loop that sends the orders.

    kill         defaults to a switch on `limits.kill_switch_file`
    positions    symbol -> signed base quantity that the account holds at the start
    instruments  symbol -> the venue's grid, minima and contract size
    epoch        orders of a lower one are refused; without one, the highest that has been seen counts
    """

    def __init__(
        self,
        limits: RiskLimits,
        *,
        kill: KillSwitch | None = None,
        positions: Mapping[str, float] | None = None,
        instruments: Mapping[str, Instrument] | None = None,
        epoch: int | None = None,
    ) -> None:
        if kill is None and limits.kill_switch_file is not None:
            kill = KillSwitch(limits.kill_switch_file)
        self.kill = kill
        self._limits = limits
        self._instruments = dict(instruments or {})
        self._account = Account()
        self._parents = Parents()
        self._breakers = Breakers(limits.repeats, limits.rejects)
        self._contents = Contents()
        self._orders = Window()
        self._cancels = Window()
        self._view = View(
            limits,
            kill,
            self._account,
            self._parents,
            self._breakers,
            self._contents,
            self._orders,
            self._cancels,
            epoch,
        )
        self._quick = Quick(limits, kill, self._account, self._breakers, self._contents, self._orders)
        self._passed: dict[str, Order] = {}
        self._answers: dict[str, tuple[OrderIntent, RiskDecision]] = {}  # to all other intents
        self._strays: dict[tuple[str, str], int] = {}
        self._settled: deque[tuple[int, str | tuple[str, str]]] = deque()
        self._forgotten_until_ns = -1
        self._remembered_ns = int(max(REMEMBERED_S, 2 * (limits.intents.max_age_s or 0.0)) * NS_PER_S)
        self._now_ns = 0
        self._tidy_ns = 0
        self._new_order_rules = tuple(NEW_ORDER_RULES.items())
        self._cancel_rules = tuple(CANCEL_RULES.items())
        for symbol, qty in (positions or {}).items():
            book = self._book(symbol)
            book.position = qty
            self._account.follow(book)

    # ---- the question

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
        """May this intent go to a venue? The same intent again gets the same answer, and reserves nothing more."""
        name, symbol = intent.intent_id, intent.symbol
        if name in self._passed or name in self._answers:
            return self._replay(intent)
        if now_ns > self._now_ns or now_ns >= self._tidy_ns:
            self._pass_time(now_ns)
        book = self._account.books.get(symbol) or self._book_to_look_at(symbol)
        content = content_of(intent)
        parent = self._parents.get(intent.meta.get("execution_id"))
        if intent.action == "new" and self._quick.passes(intent, now_ns, book, content, parent, self._view.epoch):
            self._reserve(intent, now_ns, book, content, parent)
            return RiskDecision(name, True)
        decision = self._by_the_rules(intent, now_ns, book, content)
        self._count(intent, decision, now_ns, content)
        return decision

    def recall(self, intent: OrderIntent, decision: RiskDecision, now_ns: int) -> None:
        """An answer of before a restart: given again, and counted and reserved again where it let an order pass."""
        if not self.remembers(intent.intent_id):
            self._pass_time(now_ns)
            self._count(intent, decision, now_ns, content_of(intent))

    # ---- what it hears

    def on_parent(self, execution_id: str, symbol: str, side: Side, qty: float) -> None:
        """A parent begins, or is amended: its children together may trade this quantity.

        Raises ValueError for a quantity that is not finite and above 0, or a parent that changes its symbol or side.
        """
        self._parents.put(execution_id, symbol, side, qty)

    def on_fill(self, fill: FillEvent) -> None:
        """Book a fill, once per order and fill id; a fill of an order that never passed here moves the position too."""
        order = self._passed.get(fill.order_id)
        if order is None:
            if self._is_repeat(fill):
                return
            self._account.fill(self._book(fill.symbol), fill)
            return
        if fill.fill_id in order.fill_ids:
            return
        if not order.fill_ids:
            self._breakers.executed(order.intent, fill.ts_fill_ns)
        was_done = order.done
        order.fill(fill)
        self._account.fill(self._book(fill.symbol), fill)
        if order.book.symbol != fill.symbol:
            self._account.follow(order.book)
        self._settle(order, was_done)

    def on_closed(self, closed: OrderClosed) -> None:
        """Release what an order will not trade any more: all but fills that the venue counts and nobody has seen."""
        order = self._passed.get(closed.intent_id)
        if order is None or order.done:
            return
        if closed.status == "rejected" and not order.closed:
            self._breakers.rejected(closed.intent_id, closed.ts_closed_ns)
        if closed.cumulative_qty < order.intent.qty:
            self._contents.drop(order.content, closed.intent_id)
        order.close(closed.cumulative_qty)
        self._account.follow(order.book)
        self._settle(order, was_done=False)

    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None:
        """The reference price. An older one than the last is ignored; one that is not sane shuts the symbol's gate."""
        book = self._account.books.get(symbol) or self._book(symbol)
        if book.reference_ts_ns is None or ts_ns >= book.reference_ts_ns:
            self._account.price(book, bid, ask, ts_ns)

    def rearm(self, key: str, by: str, reason: str) -> None:
        """Enables again what R06 or R16 has disabled: a key of `disabled`.

        Nothing here remembers who did it: the caller writes that down. After a restart, breakers follow from the fills
        and rejects that are told again, so a key may be disabled once more.
        Raises ValueError without a name and a reason, or for a key that is not disabled.
        """
        self._breakers.rearm(key, by, reason)

    def fence(self, epoch: int) -> None:
        """From now on orders of a lower epoch are refused."""
        view = self._view
        view.epoch = epoch if view.epoch is None else max(view.epoch, epoch)

    # ---- what it knows

    @property
    def epoch(self) -> int | None:
        """Below which orders are refused; None: all may pass."""
        return self._view.epoch

    @property
    def disabled(self) -> dict[str, str]:
        """What is disabled until it is re-armed: key -> why."""
        return dict(self._breakers.disabled)

    @property
    def profit(self) -> float:
        """Of the day, in quote currency: realised and unrealised since midnight UTC, fees taken off."""
        return self._account.profit

    @property
    def remembered(self) -> int:
        """How many answers are remembered."""
        return len(self._passed) + len(self._answers)

    def remembers(self, intent_id: str) -> bool:
        """Whether an intent of this id has been answered."""
        return intent_id in self._passed or intent_id in self._answers

    def is_taken(self, intent: OrderIntent) -> bool:
        """Whether another order was answered under this id."""
        return self.remembers(intent.intent_id) and not _is_same(self._answered(intent.intent_id)[0], intent)

    def reference(self, symbol: str) -> tuple[float, float, int] | None:
        """(bid, ask, when) of the newest reference price, sane or not; None where none has been seen."""
        book = self._account.books.get(symbol)
        return None if book is None or book.reference_ts_ns is None else (book.bid, book.ask, book.reference_ts_ns)

    def position(self, symbol: str) -> float:
        """Signed base quantity."""
        return self._book(symbol).position

    def reserved(self, symbol: str) -> tuple[float, float]:
        """Quantities (to buy, to sell) of orders that are open or of unknown fate."""
        book = self._book(symbol)
        return book.buys.qty, book.sells.qty

    # ---- inside

    def _answered(self, intent_id: str) -> tuple[OrderIntent, RiskDecision]:
        """An intent that is remembered, and its answer."""
        order = self._passed.get(intent_id)
        return self._answers[intent_id] if order is None else (order.intent, RiskDecision(intent_id, True))

    def _replay(self, again: OrderIntent) -> RiskDecision:
        """The answer given before, unless another order hides behind the same id."""
        first, decision = self._answered(again.intent_id)
        if _is_same(first, again):
            return decision
        text = f"intent id {again.intent_id} was used for another order before"
        return _refusal(again.intent_id, [(DUPLICATE, Breach(again.intent_id, None, text))])

    def _by_the_rules(self, intent: OrderIntent, now_ns: int, book: Book, content: Hashable) -> RiskDecision:
        """Each rule is asked, whatever the others say."""
        view = self._view
        view.look(intent, now_ns, book, content)
        breaches: list[tuple[str, Breach]] = []
        for rule_id, rule in self._cancel_rules if intent.action == "cancel" else self._new_order_rules:
            breach = rule(view)
            if breach is not None:
                breaches.append((rule_id, breach))
        return _refusal(intent.intent_id, breaches) if breaches else RiskDecision(intent.intent_id, True)

    def _count(self, intent: OrderIntent, decision: RiskDecision, now_ns: int, content: Hashable) -> None:
        """An answer, and if it let something pass: a message to the venue, or an order."""
        if intent.action == "cancel" or not decision.allowed:
            self._answers[intent.intent_id] = (intent, decision)
            self._settled.append((self._now_ns, intent.intent_id))
            if decision.allowed:
                self._cancels.add(now_ns)
        else:
            parent = self._parents.get(intent.meta.get("execution_id"))
            self._reserve(intent, now_ns, self._book(intent.symbol), content, parent)

    def _reserve(self, intent: OrderIntent, now_ns: int, book: Book, content: Hashable, parent: Parent | None) -> None:
        """An order is on its way to the venue."""
        name, account = intent.intent_id, self._account
        self._orders.add(now_ns)
        self._contents.add(content, name, now_ns)
        self._breakers.sent(name, now_ns)
        if parent is not None:
            parent.touched_ns = now_ns
        self._passed[name] = Order(intent, book, parent, content)
        account.open_orders += 1
        account.follow(book)
        epoch = intent.meta.get("epoch")
        if type(epoch) is int:
            self.fence(epoch)

    def _book(self, symbol: str) -> Book:
        book = self._account.books.get(symbol)
        if book is None:
            book = Book(symbol, self._limits.for_symbol(symbol), self._instruments.get(symbol))
            self._account.books[symbol] = book
        return book

    def _book_to_look_at(self, symbol: str) -> Book:
        """Of a symbol that is not allowed nothing is kept: names are free, and memory is not."""
        book = self._account.books.get(symbol)
        if book is None and self._limits.allows(symbol):
            return self._book(symbol)
        return book or Book(symbol, self._limits.for_symbol(symbol), self._instruments.get(symbol))

    def _settle(self, order: Order, was_done: bool) -> None:
        if order.done and not was_done:
            self._account.open_orders -= 1
            self._settled.append((self._now_ns, order.intent.intent_id))

    def _is_repeat(self, fill: FillEvent) -> bool:
        """Whether a fill of an order that is not known has been booked before."""
        key = (fill.order_id, fill.fill_id)
        if key in self._strays or fill.ts_fill_ns <= self._forgotten_until_ns:
            return True
        self._strays[key] = fill.ts_fill_ns
        self._settled.append((self._now_ns, key))
        return False

    def _pass_time(self, now_ns: int) -> None:
        if now_ns > self._now_ns:
            if self._now_ns == 0:  # what was told before anybody said what time it is has just happened
                self._settled = deque((now_ns, name) for _, name in self._settled)
            self._now_ns = now_ns
        if now_ns >= self._tidy_ns:
            self._tidy()

    def _tidy(self) -> None:
        """Once a second of the gate's time, and at midnight."""
        now_ns = self._now_ns
        self._tidy_ns = min(now_ns + NS_PER_S, (now_ns // DAY_NS + 1) * DAY_NS)
        self._account.begin_day(now_ns)
        oldest_ns = now_ns - self._remembered_ns
        while self._settled and self._settled[0][0] < oldest_ns:
            self._forget(*self._settled.popleft())
        self._parents.forget(now_ns)

    def _forget(self, settled_ns: int, name: str | tuple[str, str]) -> None:
        if isinstance(name, tuple):
            last_ns = self._strays.pop(name)
        else:
            order = self._passed.pop(name, None)
            if order is None:
                del self._answers[name]
                return
            last_ns = order.last_fill_ns
        self._forgotten_until_ns = max(self._forgotten_until_ns, settled_ns, last_ns)


def _is_same(first: OrderIntent, again: OrderIntent) -> bool:
    """A process that has come again repeats its orders under its new epoch."""
    return first == again or without_epochs(first) == without_epochs(again)


def _refusal(intent_id: str, breaches: list[tuple[str, Breach]]) -> RiskDecision:
    reason = "; ".join(f"{rule_id} {breach.text}" for rule_id, breach in breaches)
    caps: dict[str, Any] = {rule_id: {"value": breach.value, "limit": breach.limit} for rule_id, breach in breaches}
    return RiskDecision(intent_id, False, reason, FrozenDict(caps))
