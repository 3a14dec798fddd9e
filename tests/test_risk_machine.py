"""No sequence of orders, fills, closes, prices and restarts passes a limit.

A slow account beside the gate keeps the truth in whole tenths and cents: every order as the venue has it, every fill
that the gate has been told. Nothing of it is shared with the gate. It looks after every order that was let through.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision
from risk.gate import RiskGate
from tests.risks import NO_KILL, loose

SYMBOLS = ("A/USDT", "B/USDT")
MAX_QTY, MAX_POSITION, MAX_OPEN, MAX_OPEN_ALL = 4.0, 5.0, 2, 3
MAX_NOTIONAL, POWER, MAX_LOSS, COLLAR = 45.0, 35.0, 0.2, 0.1
PARENT = 8.0
LIMITS = loose(
    limits={
        "max_order_qty": MAX_QTY, "max_position_qty": MAX_POSITION, "max_open_orders": MAX_OPEN,
        "price_collar_bps": COLLAR * 1e4, "max_reference_age_s": 1e9,
    },
    account={
        "max_open_notional": MAX_NOTIONAL, "buying_power": POWER, "max_open_orders": MAX_OPEN_ALL,
        "max_daily_loss": MAX_LOSS,
    },
    parents="required",
)  # fmt: skip
SLACK = 1e-6


@dataclass
class Placed:
    """An order as the venue has it, in tenths: what it may still fill, and fills that the gate has not heard of."""

    intent: OrderIntent
    left: int
    unheard: list[FillEvent]
    heard: int = 0
    filled: int = 0
    closed: bool = False

    @property
    def may_come(self) -> float:
        return (self.left + sum(round(fill.qty * 10) for fill in self.unheard)) / 10


class Account(RuleBasedStateMachine):
    """The machine that hypothesis drives."""

    @initialize()
    def begin(self) -> None:
        self.journal: list[tuple[str, Any]] = []
        self.gate = RiskGate(LIMITS, kill=NO_KILL)
        self.orders: list[Placed] = []
        self.told: list[FillEvent] = []
        self.position = dict.fromkeys(SYMBOLS, 0)
        self.cash = 0.0
        self.now = 0
        self.market = dict.fromkeys(SYMBOLS, (math.nan, math.nan))
        for symbol in SYMBOLS:
            self._tell("on_price", symbol, 5.0, 5.0, 0)
            self.market[symbol] = (5.0, 5.0)
            for side in ("buy", "sell"):
                for number in range(2):
                    self._tell("on_parent", f"{symbol} {side} {number}", symbol, side, PARENT)

    def _tell(self, name: str, *told: Any) -> None:
        self.journal.append((name, told))
        getattr(self.gate, name)(*told)

    # ---- what may happen

    @rule(
        symbol=st.sampled_from(SYMBOLS), side=st.sampled_from(["buy", "sell"]), tenths=st.integers(1, 45),
        cents=st.none() | st.integers(450, 550), number=st.sampled_from([0, 1, 1, 2]),
        filled=st.sampled_from([0, 0, 5, 45]),
    )  # fmt: skip
    def order(self, symbol: str, side: Any, tenths: int, cents: int | None, number: int, filled: int = 0) -> None:
        self.now += 1
        price = None if cents is None else cents / 100
        name = f"o{self.now}"
        meta = {"execution_id": f"{symbol} {side} {number}", "slice_id": name}
        kind: Any = "market" if price is None else "limit"
        intent = OrderIntent(name, self.now, "s", symbol, side, kind, tenths / 10, price, meta)
        before = self._exposure(symbol)
        reduces = self._reduces(intent)
        decision = self.gate.check(intent, self.now)
        self.journal.append(("recall", (intent, decision, self.now)))
        assert self.gate.check(intent, self.now + 1) == decision
        if decision.allowed:
            self._must_not_match_our_own(intent)
            assert -self.profit <= MAX_LOSS + SLACK or reduces
            self.orders.append(Placed(intent, tenths, []))
            self._within_all_limits(intent, before)
            self._fill(self.orders[-1], filled, late=False)

    @precondition(lambda self: self.orders)
    @rule(pick=st.integers(0, 1000), tenths=st.integers(1, 60), late=st.booleans())
    def fills(self, pick: int, tenths: int, late: bool) -> None:
        self._fill(self.orders[pick % len(self.orders)], tenths, late)

    def _fill(self, one: Placed, tenths: int, late: bool) -> None:
        part = min(tenths, one.left)
        if part == 0:
            return
        self.now += 1
        limit = one.intent.limit_price
        price = self.market[one.intent.symbol][0] if limit is None else limit
        fill = FillEvent(
            f"f{self.now}", one.intent.intent_id, one.intent.symbol, one.intent.side, part / 10, price, self.now, 0.01
        )
        one.left -= part
        one.filled += part
        if late:
            one.unheard.append(fill)
        else:
            self._hear(one, fill)

    @rule(pick=st.integers(0, 1000))
    def late_fill_arrives(self, pick: int) -> None:
        waiting = [one for one in self.orders if one.unheard]
        if waiting:
            one = waiting[pick % len(waiting)]
            self._hear(one, one.unheard.pop(pick % len(one.unheard)))

    @precondition(lambda self: self.told)
    @rule(pick=st.integers(0, 1000))
    def fill_comes_again(self, pick: int) -> None:
        self._tell("on_fill", self.told[pick % len(self.told)])

    @precondition(lambda self: self.orders)
    @rule(pick=st.integers(0, 1000), rejects=st.booleans())
    def closes(self, pick: int, rejects: bool) -> None:
        one = self.orders[pick % len(self.orders)]
        if not one.closed:
            one.closed, one.left = True, 0
        status: Any = "rejected" if rejects and not one.filled else "cancelled"
        self._tell("on_closed", OrderClosed(one.intent.intent_id, "sim", status, one.filled / 10, self.now))

    @rule(pick=st.integers(0, 1000))
    def cancel(self, pick: int) -> None:
        """Asking for an end releases nothing."""
        if self.orders:
            intent = self.orders[pick % len(self.orders)].intent
            self.now += 1
            asked = dataclasses.replace(
                intent, intent_id=f"c{self.now}", action="cancel", target_intent_id=intent.intent_id
            )
            decision = self.gate.check(asked, self.now)
            self.journal.append(("recall", (asked, decision, self.now)))
            assert decision.allowed

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        bid=st.sampled_from([4.6, 5.0, 5.3]),
        spread=st.sampled_from([0.0, 0.01, 0.1]),
    )
    def price(self, symbol: str, bid: float, spread: float) -> None:
        self.now += 1
        self._tell("on_price", symbol, bid, bid + spread, self.now)
        self.market[symbol] = (bid, bid + spread)

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        broken=st.sampled_from(
            [(math.nan, 5.0), (5.0, math.nan), (5.0, math.inf), (-1.0, 5.0), (0.0, 5.0), (5.1, 5.0)]
        ),
        side=st.sampled_from(["buy", "sell"]),
        cents=st.none() | st.just(500),
    )
    def price_breaks(self, symbol: str, broken: tuple[float, float], side: Any, cents: int | None) -> None:
        """Nothing passes until it is a price again."""
        self.now += 1
        self._tell("on_price", symbol, *broken, self.now)
        count = len(self.orders)
        self.order(symbol, side, 1, cents, 0)
        assert len(self.orders) == count
        self._tell("on_price", symbol, *self.market[symbol], self.now)

    @rule()
    def restart(self) -> None:
        """pitfalls 27 and 28: what was let through before is counted again, from the journal alone."""
        self.gate = RiskGate(LIMITS, kill=NO_KILL)
        for name, told in self.journal:
            getattr(self.gate, name)(*told)

    # ---- what must hold

    @invariant()
    def the_gate_knows_what_is_held_and_open(self) -> None:
        for symbol in SYMBOLS:
            assert math.isclose(self.gate.position(symbol), self.position[symbol] / 10, abs_tol=SLACK)
            buys, sells = self.gate.reserved(symbol)
            assert math.isclose(buys, self._open(symbol, "buy"), abs_tol=SLACK)
            assert math.isclose(sells, self._open(symbol, "sell"), abs_tol=SLACK)
        assert math.isclose(self.gate.profit, self.profit, abs_tol=SLACK)

    @invariant()
    def no_parent_and_no_position_can_go_beyond(self) -> None:
        for symbol in SYMBOLS:
            held = self.position[symbol] / 10
            assert held + self._open(symbol, "buy") <= MAX_POSITION + SLACK
            assert self._open(symbol, "sell") - held <= MAX_POSITION + SLACK
        for name in {str(one.intent.meta["execution_id"]) for one in self.orders}:
            children = [one for one in self.orders if one.intent.meta["execution_id"] == name]
            assert sum(one.heard / 10 + one.may_come for one in children) <= PARENT + SLACK

    def _within_all_limits(self, intent: OrderIntent, before: float) -> None:
        symbol = intent.symbol
        assert intent.qty <= MAX_QTY + SLACK
        working = [one for one in self.orders if one.may_come]
        assert len([one for one in working if one.intent.symbol == symbol]) <= MAX_OPEN
        assert len(working) <= MAX_OPEN_ALL
        assert sum(one.may_come * self._worth(one.intent) for one in working) <= MAX_NOTIONAL + SLACK
        exposure = sum(self._exposure(each) for each in SYMBOLS)
        assert exposure <= POWER + SLACK or self._exposure(symbol) <= before + SLACK
        bid, ask = self.market[symbol]
        price = intent.limit_price
        assert price is None or bid * (1 - COLLAR) - SLACK <= price <= ask * (1 + COLLAR) + SLACK

    def _must_not_match_our_own(self, intent: OrderIntent) -> None:
        for one in self.orders:
            other = one.intent
            if one.closed or not one.may_come or other.symbol != intent.symbol or other.limit_price is None:
                continue
            if other.side == intent.side:
                continue
            assert intent.limit_price is not None
            if intent.side == "buy":
                assert intent.limit_price < other.limit_price
            else:
                assert intent.limit_price > other.limit_price

    # ---- the account, by hand

    @property
    def profit(self) -> float:
        return self.cash + sum(self._value(symbol) for symbol in SYMBOLS)

    def _hear(self, one: Placed, fill: FillEvent) -> None:
        tenths = round(fill.qty * 10)
        sign = 1 if fill.side == "buy" else -1
        one.heard += tenths
        self.position[fill.symbol] += sign * tenths
        self.cash -= sign * fill.qty * fill.price + fill.fee
        self.told.append(fill)
        self._tell("on_fill", fill)

    def _open(self, symbol: str, side: str) -> float:
        mine = [one for one in self.orders if one.intent.symbol == symbol and one.intent.side == side]
        return sum(one.may_come for one in mine)

    def _worth(self, intent: OrderIntent) -> float:
        edge = self.market[intent.symbol][1] * (1 + COLLAR)
        return edge if intent.limit_price is None else intent.limit_price

    def _value(self, symbol: str) -> float:
        return self.position[symbol] / 10 * sum(self.market[symbol]) / 2

    def _exposure(self, symbol: str) -> float:
        worth = {"buy": 0.0, "sell": 0.0}
        for one in self.orders:
            if one.intent.symbol == symbol:
                worth[one.intent.side] += one.may_come * self._worth(one.intent)
        value = self._value(symbol)
        return max(value + worth["buy"], worth["sell"] - value)

    def _reduces(self, intent: OrderIntent) -> bool:
        held = self.position[intent.symbol] / 10
        if intent.side == "buy":
            return held + self._open(intent.symbol, "buy") + intent.qty <= SLACK
        return held - self._open(intent.symbol, "sell") - intent.qty >= -SLACK


Account.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
TestAccount = Account.TestCase


steps = st.lists(
    st.tuples(
        st.sampled_from(["new", "new", "fill", "close"]), st.integers(0, 20), st.booleans(), st.integers(1, 45),
        st.none() | st.integers(-30, 30),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(steps)
def test_what_holds_for_buys_holds_for_sells(script: list[tuple[str, int, bool, int, int | None]]) -> None:
    """The same account in the mirror: sides swapped, prices reflected at the mid; notionals are not the same there."""
    limits = dataclasses.replace(
        LIMITS, account=dataclasses.replace(LIMITS.account, max_open_notional=1e9, buying_power=1e9)
    )
    answers = []
    for flip in (False, True):
        gate = RiskGate(limits, kill=NO_KILL)
        gate.on_price(SYMBOLS[0], 5.0, 5.0, 0)
        for side in ("buy", "sell"):
            gate.on_parent(f"x {side}", SYMBOLS[0], side, 20.0)
        answers.append(_played(gate, script, flip=flip))
    assert answers[0] == answers[1]


def _played(gate: RiskGate, script: list[tuple[str, int, bool, int, int | None]], *, flip: bool) -> list[Any]:
    sent: list[OrderIntent] = []
    answers: list[Any] = []
    for n, (action, pick, buys, tenths, cents) in enumerate(script):
        if action == "new":
            side: Any = "buy" if buys != flip else "sell"
            price = None if cents is None else 5.0 + (-cents if flip else cents) / 100
            meta = {"execution_id": f"x {side}", "slice_id": str(n)}
            kind: Any = "market" if price is None else "limit"
            intent = OrderIntent(f"o{n}", n, "s", SYMBOLS[0], side, kind, tenths / 10, price, meta)
            decision: RiskDecision = gate.check(intent, n)
            answers.append(list(decision.caps))
            if decision.allowed:
                sent.append(intent)
        elif sent:
            one = sent[pick % len(sent)]
            if action == "fill":
                gate.on_fill(FillEvent(f"f{n}", one.intent_id, one.symbol, one.side, 0.1, 5.0, n))
            else:
                gate.on_closed(OrderClosed(one.intent_id, "sim", "cancelled", 0.0, n))
        held, (buys_open, sells_open) = gate.position(SYMBOLS[0]), gate.reserved(SYMBOLS[0])
        answers.append((-held, sells_open, buys_open) if flip else (held, buys_open, sells_open))
    return answers
