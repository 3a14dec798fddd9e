"""The quick look at an order and the rules, one by one, say the same, whatever has happened before."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision
from core.instrument import Instrument
from risk.gate import RiskGate
from risk.limits import RiskLimits
from tests.risks import LOOSE, NO_KILL, S, X, breached, cancel, child, closed, fill, gate_at, loose, order

TIGHT = loose(
    symbols=(X, "B/USDT"),
    limits={
        "max_order_qty": 6.0, "max_order_notional": 31.0, "max_position_qty": 9.0, "max_open_orders": 3,
        "price_collar_bps": 1000.0, "max_reference_age_s": 5.0,
    },
    account={"max_open_notional": 70.0, "buying_power": 60.0, "max_open_orders": 4, "max_daily_loss": 1.0},
    rate={"window_s": 4.0, "max_orders": 3},
    repeats={"window_s": 4.0, "max_executions": 3},
    rejects={"window_s": 9.0, "last_orders": 5, "max_rejects": 1},
    intents={"max_age_s": 6.0, "duplicate_window_s": 3.0},
)  # fmt: skip
ATOM = Instrument(X, tick="0.1", lot="0.5", min_qty="1", min_notional=6.0)


class NeverQuick:
    """So each rule is asked about each order."""

    def passes(self, *_: object) -> bool:
        return False


def both(limits: RiskLimits, **settings: Any) -> tuple[RiskGate, RiskGate]:
    """A gate, and one that asks each rule."""
    quick, plain = (RiskGate(limits, **{"kill": NO_KILL, **settings}) for _ in range(2))
    plain._quick = NeverQuick()  # type: ignore[assignment]
    return quick, plain


PRICES = st.sampled_from([4.4, 4.5, 4.6, 5.0, 5.1, 5.5, 5.6, 5.05])
QUANTITIES = st.sampled_from([0.5, 0.7, 1.0, 2.0, 3.0, 5.5, 6.0, 6.5])
STEPS = st.one_of(
    st.tuples(
        st.just("order"), QUANTITIES, st.none() | PRICES, st.sampled_from(["buy", "sell"]),
        st.sampled_from([X, X, X, "B/USDT", "C/USDT"]), st.sampled_from([None, "x-1", "x-2", "x-9"]),
        st.sampled_from([None, None, 1, 2, "2"]), st.sampled_from([0, 0, 0, -7, -6, 6, 7]),
        st.sampled_from([None, None, None, 0, 1]),
    ),
    st.tuples(st.just("price"), st.sampled_from([X, "B/USDT"]), PRICES, st.sampled_from([0.0, 0.1, -0.1, math.nan])),
    st.tuples(st.just("fill"), st.integers(0, 9), st.sampled_from([0.5, 1.0, 6.0])),
    st.tuples(st.just("close"), st.integers(0, 9), st.sampled_from(["cancelled", "rejected"])),
    st.tuples(st.just("wait"), st.sampled_from([1, 2, 4, 5])),
    st.tuples(st.just("fence"), st.integers(1, 2)),
    st.tuples(st.just("rearm")),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=25),
    policy=st.sampled_from(["required", "if_known"]),
    known=st.booleans(),
    filters=st.sampled_from(["required", "if_known"]),
)
def test_quick_and_plain_gates_answer_alike(steps: list[Any], policy: Any, known: bool, filters: Any) -> None:
    limits = dataclasses.replace(TIGHT, parents=policy, venue_filters=filters)
    gates = both(limits, instruments={X: ATOM} if known else {})
    now, passed = 10 * S, list[OrderIntent]()

    def tell(name: str, *told: Any) -> None:
        for gate in gates:
            getattr(gate, name)(*told)

    tell("on_price", X, 5.0, 5.1, now)
    tell("on_price", "B/USDT", 5.0, 5.1, now)
    for name, side in (("x-1", "buy"), ("x-2", "sell")):
        tell("on_parent", name, X, side, 6.0)
    for number, (what, *told) in enumerate(steps):
        if what == "order":
            qty, price, side, symbol, execution, epoch, age_s, expires_s = told
            meta = {"execution_id": execution, "epoch": epoch}
            intent = order(
                f"o{number}", qty, price, side=side, symbol=symbol, ts_local_ns=now + age_s * S,
                expires_ts_ns=None if expires_s is None else now + expires_s * S,
                meta={key: value for key, value in meta.items() if value is not None},
            )  # fmt: skip
            answers = [gate.check(intent, now) for gate in gates]
            assert answers[0] == answers[1]
            if answers[0].allowed:
                passed.append(intent)
        elif what == "price":
            symbol, bid, spread = told
            tell("on_price", symbol, bid, bid + spread, now)
        elif what == "wait":
            now += told[0] * S
        elif what == "fence":
            tell("fence", *told)
        elif what == "rearm":
            for key in gates[0].disabled:
                tell("rearm", key, "ann", "looked at it")
        elif passed:
            pick, more = told
            intent = passed[pick % len(passed)]
            if what == "fill":
                tell("on_fill", fill(intent, min(more, intent.qty), f"f{number}", ts_ns=now))
            else:
                tell("on_closed", closed(intent, 0.0, more, ts_ns=now))
        for symbol in (X, "B/USDT"):
            assert gates[0].reserved(symbol) == gates[1].reserved(symbol)
            assert gates[0].position(symbol) == gates[1].position(symbol)
        assert gates[0].disabled == gates[1].disabled
        assert gates[0].profit == gates[1].profit


def test_an_order_that_passes_is_seldom_put_to_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = gate_at(instruments={X: ATOM})
    monkeypatch.setattr(gate, "_by_the_rules", _never)
    for number in range(20):
        assert gate.check(order(f"o{number}", 2.0, None if number % 2 else 5.0), number).allowed


def _never(*_: object) -> RiskDecision:
    raise AssertionError("an order that every rule lets pass was put to them one by one")


@pytest.mark.parametrize(
    ("section", "name"),
    [
        (section.name, limit.name)
        for section in dataclasses.fields(LOOSE)
        if dataclasses.is_dataclass(getattr(LOOSE, section.name))
        for limit in dataclasses.fields(getattr(LOOSE, section.name))
        if limit.name != "max_cancels"
    ]
    + [("symbols", None), ("parents", None), ("venue_filters", None)],
)
def test_a_missing_limit_is_never_overlooked(section: str, name: str | None) -> None:
    quick, plain = both(loose(**{section: None if name is None else {name: None}}))
    for gate in (quick, plain):
        gate.on_price(X, 5.0, 5.01, 0)
    assert breached(quick.check(order(), 0)) == breached(plain.check(order(), 0)) != []


def test_a_gate_without_a_kill_switch_lets_nothing_pass() -> None:
    gate = RiskGate(LOOSE)
    gate.on_price(X, 5.0, 5.01, 0)
    assert breached(gate.check(order(), 0)) == ["R18"]


def test_an_equal_price_is_fresh_again_and_changes_nothing_else() -> None:
    gate = gate_at(limits={"max_reference_age_s": 5.0})
    first = child("o1", "x", 10.0)
    assert gate.check(first, 0).allowed
    gate.on_fill(FillEvent("f1", "o1", X, "buy", 10.0, 5.0, 0))
    before = gate.profit
    gate.on_price(X, 5.0, 5.01, 60 * S)
    assert gate.profit == before
    assert gate.reference(X) == (5.0, 5.01, 60 * S)
    assert gate.check(dataclasses.replace(order("o2"), ts_local_ns=60 * S), 60 * S).allowed
    gate.on_closed(OrderClosed("o2", "sim", "cancelled", 0.0, 60 * S))
    assert gate.check(cancel("c1"), 60 * S).allowed
