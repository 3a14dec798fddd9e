"""The controls one by one: each holds, its edge passes, it names itself, and it refuses where it is not set."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from core.contracts import FillEvent, OrderIntent
from core.instrument import Instrument
from risk.breakers import REJECTS
from risk.gate import RiskGate
from risk.rules import NEW_ORDER_RULES
from tests.risks import DAY, LOOSE, NO_KILL, S, X, breached, cancel, child, closed, fill, gate_at, loose, order

SELL: dict[str, Any] = {"side": "sell", "price": 5.01}


def reason(gate: RiskGate, intent: OrderIntent, now_ns: int = 0) -> str:
    return gate.check(intent, now_ns).reason or ""


def test_every_control_of_the_list_is_there() -> None:
    assert list(NEW_ORDER_RULES) == [*(f"R{n:02d}" for n in range(1, 19)), "R20"]


@pytest.mark.parametrize(
    ("section", "name", "rule"),
    [
        ("limits", "max_open_orders", "R10"),
        ("account", "max_open_notional", "R09"),
        ("account", "buying_power", "R09"),
        ("account", "max_open_orders", "R10"),
        ("account", "max_daily_loss", "R12"),
        ("repeats", "window_s", "R06"),
        ("repeats", "max_executions", "R06"),
        ("rejects", "window_s", "R16"),
        ("rejects", "last_orders", "R16"),
        ("rejects", "max_rejects", "R16"),
        ("intents", "max_age_s", "R15"),
        ("intents", "duplicate_window_s", "R07"),
        ("parents", "", "R11"),
        ("venue_filters", "", "R17"),
    ],
)
def test_a_limit_that_is_not_set_refuses_and_names_itself(section: str, name: str, rule: str) -> None:
    changes: dict[str, Any] = {section: {name: None} if name else None}
    decision = gate_at(**changes).check(order(), 0)
    assert breached(decision) == [rule]
    assert "no limit " in (decision.reason or "")
    assert (name or section) in (decision.reason or "")


# ---------------------------------------------------------------- R06 repeated executions


def executed(gate: RiskGate, name: str, now_ns: int, **changes: Any) -> bool:
    intent = order(name, 1.0, **changes)
    allowed = gate.check(intent, now_ns).allowed
    if allowed:
        gate.on_fill(fill(intent, 0.5, f"{name}-1", ts_ns=now_ns))
        gate.on_fill(fill(intent, 0.5, f"{name}-2", ts_ns=now_ns))  # one order, one execution
    return allowed


def test_a_key_that_is_executed_too_often_is_disabled_until_it_is_rearmed_by_name() -> None:
    gate = gate_at(repeats={"max_executions": 3, "window_s": 10.0}, limits={"max_reference_age_s": 1e9})
    assert all(executed(gate, f"o{n}", n * S) for n in range(4))  # the fourth is one too many
    key = f"s {X} buy"
    assert gate.disabled == {key: f"more than 3 orders of {key} were executed within 10 s"}
    assert "R06 more than 3 orders" in reason(gate, order("o5"), 1000 * S)  # also much later
    assert executed(gate, "other side", 1000 * S, **SELL)
    assert executed(gate, "other strategy", 1000 * S, strategy_id="t")
    for by, why in (("", "x"), ("ann", "")):
        with pytest.raises(ValueError, match="must be a name"):
            gate.rearm(key, by, why)
    with pytest.raises(ValueError, match="'nobody' is not disabled; disabled: s ATOM/USDT buy"):
        gate.rearm("nobody", "ann", "why not")
    gate.rearm(key, "ann", "the loop is fixed")
    assert all(executed(gate, f"p{n}", 2000 * S + n) for n in range(3))
    assert gate.disabled == {}


def test_executions_that_are_far_enough_apart_disable_nothing() -> None:
    gate = gate_at(repeats={"max_executions": 3, "window_s": 10.0})
    assert all(executed(gate, f"o{n}", n * 4 * S) for n in range(20))


# ---------------------------------------------------------------- R07 the same order twice


def test_the_same_content_under_another_id_is_refused_for_a_while() -> None:
    gate = gate_at(intents={"duplicate_window_s": 30.0})
    meta = {"execution_id": "x-1", "slice_id": "x-1_0", "scheduled_ts_ns": 0}
    assert gate.check(order("a", meta=meta), 0).allowed
    doubled = gate.check(order("b", meta=meta), 5 * S)
    assert breached(doubled) == ["R07"]
    assert doubled.reason == "R07 same order as a 5 s before, intents.duplicate_window_s is 30"
    others: list[dict[str, Any]] = [{"qty": 9.0}, {"price": 4.9}, {"meta": {**meta, "slice_id": "x-1_1"}}]
    for n, change in enumerate(others):
        assert gate.check(order(f"c{n}", **{"meta": meta, **change}), 5 * S).allowed
    assert gate.check(order("d", meta=meta), 30 * S).allowed


def test_equal_slices_of_a_twap_are_no_doubles() -> None:
    gate = gate_at(intents={"duplicate_window_s": 1000.0}, parents="required")
    gate.on_parent("x-1", X, "buy", 100.0)
    assert all(gate.check(child(f"x-1-{n}", "x-1"), n * S).allowed for n in range(10))


def test_a_doubled_child_is_refused_even_after_the_first_has_filled_and_not_after_it_came_to_nothing() -> None:
    gate = gate_at(intents={"duplicate_window_s": 1000.0})
    first = order("a", meta={"slice_id": "1"})
    gate.check(first, 0)
    gate.on_fill(fill(first, 10.0, "f"))
    assert breached(gate.check(order("b", meta={"slice_id": "1"}), 1)) == ["R07"]
    rejected = order("c", meta={"slice_id": "2"})
    gate.check(rejected, 2)
    gate.on_closed(closed(rejected, 0.0, "rejected"))
    assert gate.check(order("d", meta={"slice_id": "2"}), 3).allowed  # pitfall 14: a retry is not a double


def test_a_cancel_may_be_said_again() -> None:
    gate = gate_at(intents={"duplicate_window_s": 1000.0})
    assert gate.check(cancel("c1"), 0).allowed
    assert gate.check(cancel("c2"), 0).allowed


# ---------------------------------------------------------------- R09, R10 what is open and held


def test_open_notional_adds_both_sides_and_comes_free_on_evidence() -> None:
    gate = gate_at(account={"max_open_notional": 100.0})
    first = order("a", 10.0, 5.0)
    assert gate.check(first, 0).allowed
    assert gate.check(order("b", 9.0, 5.5, side="sell"), 0).allowed  # 50 + 49.5
    assert reason(gate, order("c", 1.0)) == "R09 open notional 104.5 is above account.max_open_notional 100"
    gate.on_fill(fill(first, 4.0, "f1"))
    assert gate.check(order("d", 4.0), 0).allowed
    gate.on_closed(closed(first, 4.0))
    assert gate.check(order("e", 6.0), 0).allowed
    assert breached(gate.check(order("f", 1.0), 0)) == ["R09"]


def test_open_market_orders_are_priced_at_the_collars_edge() -> None:
    gate = gate_at(account={"max_open_notional": 100.0}, limits={"price_collar_bps": 100.0})
    assert gate.check(order("a", 10.0, None), 0).allowed  # 5.01 * 1.01 * 10 = 50.6
    assert breached(gate.check(order("b", 10.0, None), 0)) == ["R09"]
    gate.on_price(X, 4.0, 4.01, 1)  # 40.5 now, and 40.5 more
    assert gate.check(order("c", 10.0, None), 1).allowed


@pytest.mark.parametrize(("side", "price", "other"), [("buy", 5.0, "sell"), ("sell", 5.01, "buy")])
def test_buying_power_counts_what_is_held_and_may_come_to_be_held(side: Any, price: float, other: Any) -> None:
    gate = gate_at(5.0, 5.01, account={"buying_power": 101.0})
    first = order("a", 10.0, price, side=side)
    gate.check(first, 0)
    gate.on_fill(fill(first, 10.0, "f", price))  # worth 50.05
    assert gate.check(order("b", 10.0, price, side=side), 0).allowed
    assert "above account.buying_power 101" in reason(gate, order("c", 1.0, price, side=side))
    back = 5.5 if other == "sell" else 4.6
    assert gate.check(order("d", 19.0, back, side=other), 0).allowed  # to 9 the other way
    assert breached(gate.check(order("e", 30.0, back, side=other), 0)) == ["R09"]


def test_a_position_in_a_symbol_without_any_price_stops_what_hangs_on_its_worth() -> None:
    gate = gate_at(positions={"OLD/USDT": 5.0})
    assert reason(gate, order("a")) == "R09 what is held and open in OLD/USDT has never had a price"
    gate.on_price("OLD/USDT", 1.0, 1.1, 0)
    gate.on_price("OLD/USDT", math.nan, 1.1, 1)  # pitfall 36: a symbol that goes silent does not stop the others
    assert gate.check(order("b"), 1).allowed


def test_open_orders_are_counted_here_and_everywhere() -> None:
    gate = gate_at(limits={"max_open_orders": 2}, account={"max_open_orders": 3})
    gate.on_price("B/USDT", 5.0, 5.01, 0)
    assert gate.check(order("a"), 0).allowed
    assert gate.check(order("b"), 0).allowed
    assert reason(gate, order("c")) == f"R10 open order 3 in {X} is above max_open_orders 2"
    assert gate.check(order("d", symbol="B/USDT"), 0).allowed
    assert reason(gate, order("e", symbol="B/USDT")) == "R10 open order 4 is above account.max_open_orders 3"
    gate.on_closed(closed(order("a"), 0.0))
    assert gate.check(order("f"), 0).allowed


# ---------------------------------------------------------------- R11 the parent's quantity


def test_children_never_add_up_to_more_than_their_parent() -> None:
    # pitfall 8
    gate = gate_at(parents="required")
    gate.on_parent("x-1", X, "buy", 30.0)
    a, b = child("a", "x-1", 10.0), child("b", "x-1", 20.0)
    assert gate.check(a, 0).allowed
    assert gate.check(b, 0).allowed
    assert reason(gate, child("c", "x-1", 1.0)) == "R11 children of x-1 could fill 31, above its quantity 30"
    gate.on_fill(fill(a, 4.0, "f1"))
    gate.on_closed(closed(a, 6.0))  # 2 are on their way, pitfall 37
    assert breached(gate.check(child("d", "x-1", 5.0), 0)) == ["R11"]
    assert gate.check(child("e", "x-1", 4.0), 0).allowed
    gate.on_fill(fill(a, 2.0, "f2"))
    assert breached(gate.check(child("f", "x-1", 0.5), 0)) == ["R11"]


def test_a_cancel_request_gives_the_parent_nothing_back() -> None:
    # pitfall 9
    gate = gate_at(parents="required")
    gate.on_parent("x-1", X, "buy", 10.0)
    assert gate.check(child("a", "x-1", 10.0), 0).allowed
    assert gate.check(cancel("c", "a"), 0).allowed
    assert breached(gate.check(child("b", "x-1", 10.0), 0)) == ["R11"]


def test_a_venue_that_overfills_a_child_uses_up_its_parent() -> None:
    # pitfall 10
    gate = gate_at(parents="required")
    gate.on_parent("x-1", X, "buy", 20.0)
    first = child("a", "x-1", 10.0)
    gate.check(first, 0)
    gate.on_fill(fill(first, 10.0, "f1"))
    gate.on_fill(fill(first, 5.0, "f2"))
    assert breached(gate.check(child("b", "x-1", 6.0), 0)) == ["R11"]
    assert gate.check(child("c", "x-1", 5.0), 0).allowed


def test_an_amendment_moves_the_cap_and_an_unknown_or_foreign_parent_refuses() -> None:
    gate = gate_at(parents="required")
    gate.on_parent("x-1", X, "buy", 10.0)
    assert gate.check(child("a", "x-1", 10.0), 0).allowed
    gate.on_parent("x-1", X, "buy", 15.0)
    assert gate.check(child("b", "x-1", 5.0), 0).allowed
    assert reason(gate, child("c", "x-2")) == "R11 no parent x-2 is known, and parents are required"
    assert reason(gate, order("d")) == "R11 the order names no execution, and parents are required"
    assert "R11 parent x-1 is a buy of ATOM/USDT, its child a sell" in reason(gate, child("e", "x-1", side="sell"))
    with pytest.raises(ValueError, match="parent x-1 is a buy of ATOM/USDT, not a sell"):
        gate.on_parent("x-1", X, "sell", 5.0)
    for qty in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="qty must be a finite number above 0"):
            gate.on_parent("x-3", X, "sell", qty)


def test_a_parent_without_children_for_two_days_is_forgotten_and_one_at_work_is_not() -> None:
    gate = gate_at(parents="required", limits={"max_reference_age_s": 1e9})
    gate.on_parent("idle", X, "buy", 10.0)
    gate.on_parent("open", X, "buy", 10.0)
    gate.check(child("a", "open", 1.0), 0)
    for day in range(1, 8):
        gate.check(cancel(f"c{day}"), day * DAY)
    assert gate.check(child("b", "open", 1.0), 7 * DAY).allowed
    assert breached(gate.check(child("c", "idle", 1.0), 7 * DAY)) == ["R11"]


# ---------------------------------------------------------------- R12 the day's loss


@pytest.mark.parametrize(("side", "price", "worse"), [("buy", 5.0, 4.0), ("sell", 5.0, 6.0)])
def test_a_loss_stops_everything_but_the_way_back(side: Any, price: float, worse: float) -> None:
    gate = gate_at(5.0, 5.0, account={"max_daily_loss": 50.0})
    first = order("a", 50.0, price, side=side)
    gate.check(first, 0)
    gate.on_fill(fill(first, 50.0, "f", price, fee=1.0))
    assert gate.profit == -1.0
    assert gate.check(order("b", 1.0, price, side=side), 1).allowed
    gate.on_closed(closed(order("b"), 0.0))
    gate.on_price(X, worse, worse, 2)
    assert gate.profit == -51.0
    assert "R12 the day's loss of 51 is above account.max_daily_loss 50" in reason(
        gate, order("c", 1.0, worse, side=side), 2
    )
    other = "sell" if side == "buy" else "buy"
    assert gate.check(order("d", 30.0, worse, side=other), 2).allowed
    assert gate.check(order("e", 20.0, worse, side=other), 2).allowed
    assert breached(gate.check(order("f", 1.0, worse, side=other), 2)) == ["R12"]  # through 0


def test_a_new_day_begins_at_midnight_with_the_prices_of_then() -> None:
    gate = gate_at(5.0, 5.0, account={"max_daily_loss": 50.0}, limits={"max_reference_age_s": 1e6})
    first = order("a", 100.0, 5.0)
    gate.check(first, 0)
    gate.on_fill(fill(first, 100.0, "f", 5.0))
    gate.on_price(X, 4.0, 4.0, DAY - 1)
    assert breached(gate.check(order("b", 1.0, 4.0), DAY - 1)) == ["R12"]
    gate.on_price(X, 3.7, 3.7, DAY + S)  # nobody has asked the gate anything in the new day
    assert gate.check(order("c", 1.0, 4.0), DAY + 2 * S).allowed
    assert gate.profit == pytest.approx(-30.0)
    gate.on_price(X, 3.4, 3.4, DAY + 3 * S)
    assert breached(gate.check(order("d", 1.0, 3.5), DAY + 3 * S)) == ["R12"]


def test_a_price_from_the_far_future_does_not_begin_a_day() -> None:
    gate = gate_at(5.0, 5.0, account={"max_daily_loss": 50.0})
    first = order("a", 100.0, 5.0)
    gate.check(first, 0)
    gate.on_fill(fill(first, 100.0, "f", 5.0))
    gate.on_price(X, 4.0, 4.0, 1000 * DAY)
    assert gate.profit == -100.0
    assert "R12" in breached(gate.check(order("b", 1.0, 4.0), S))


def test_what_was_held_before_there_was_a_price_is_no_profit() -> None:
    gate = RiskGate(LOOSE, kill=NO_KILL, positions={X: 100.0})
    gate.check(cancel("c"), 0)
    gate.on_price(X, 5.0, 5.0, 0)
    assert gate.profit == 0.0
    gate.on_price(X, 4.0, 4.0, 1)
    assert gate.profit == -100.0


# ---------------------------------------------------------------- R13 ourselves on the other side


@pytest.mark.parametrize(("mine", "resting", "crosses", "free"), [("buy", 5.2, 5.2, 5.1), ("sell", 4.9, 4.9, 5.0)])
def test_an_order_that_would_trade_with_our_own_is_refused(
    mine: Any, resting: float, crosses: float, free: float
) -> None:
    gate = gate_at()
    other = "sell" if mine == "buy" else "buy"
    own = order("own", 1.0, resting, side=other)
    far = order("far", 1.0, resting + (0.1 if other == "sell" else -0.1), side=other)
    assert gate.check(own, 0).allowed
    assert gate.check(far, 0).allowed
    assert gate.check(order("a", 1.0, free, side=mine), 0).allowed
    assert breached(gate.check(order("b", 1.0, crosses, side=mine), 0)) == ["R13"]
    assert f"a {mine} at any price would trade with our own {other} at {resting:g}" in reason(
        gate, order("c", 1.0, None, side=mine)
    )
    gate.on_closed(closed(own, 0.0))
    assert gate.check(order("d", 1.0, crosses, side=mine), 0).allowed
    gate.on_fill(fill(far, 1.0, "f"))
    assert gate.check(order("e", 1.0, None, side=mine), 0).allowed


# ---------------------------------------------------------------- R15 too late


def test_an_intent_that_is_over_or_too_old_or_from_the_future_is_refused() -> None:
    gate = gate_at(ts_ns=100 * S, intents={"max_age_s": 10.0})
    fresh: dict[str, Any] = {"ts_local_ns": 100 * S}
    assert gate.check(order("a", **fresh, expires_ts_ns=100 * S + 1), 100 * S).allowed
    assert reason(gate, order("b", **fresh, expires_ts_ns=99 * S), 100 * S) == "R15 intent expired 1 s ago"
    assert breached(gate.check(order("c", **fresh, expires_ts_ns=100 * S), 100 * S)) == ["R15"]
    assert gate.check(order("d", ts_local_ns=90 * S), 100 * S).allowed
    assert reason(gate, order("e", ts_local_ns=89 * S), 100 * S) == "R15 intent is 11 s old, intents.max_age_s is 10"
    assert breached(gate.check(order("f", ts_local_ns=111 * S), 100 * S)) == ["R15"]


# ---------------------------------------------------------------- R16 a venue that rejects


def test_a_venue_that_rejects_too_much_shuts_the_gate_until_it_is_rearmed() -> None:
    # pitfall 14: nothing is sent forever into a venue that says no
    gate = gate_at(rejects={"last_orders": 5, "max_rejects": 2, "window_s": 60.0})
    for n in range(3):
        intent = order(f"o{n}", 1.0)
        assert gate.check(intent, n * S).allowed
        gate.on_closed(closed(intent, 0.0, "rejected", n * S))
        gate.on_closed(closed(intent, 0.0, "rejected", n * S))  # told twice, counts once
    assert "R16 the venue rejected 3 of the last 5 orders within 60 s" in reason(gate, order("o3"), 3 * S)
    assert gate.check(cancel("c"), 3 * S).allowed
    gate.rearm(REJECTS, "ann", "the key is renewed")
    assert gate.check(order("o4"), 4 * S).allowed


def test_rejects_that_are_rare_or_long_ago_shut_nothing() -> None:
    gate = gate_at(rejects={"last_orders": 5, "max_rejects": 2, "window_s": 60.0}, limits={"max_reference_age_s": 1e6})
    for n in range(20):
        intent = order(f"o{n}", 1.0)
        assert gate.check(intent, n * S).allowed
        if n % 3 == 0:  # two of five
            gate.on_closed(closed(intent, 0.0, "rejected", n * S))
    for n in range(20, 30):
        intent = order(f"o{n}", 1.0)
        assert gate.check(intent, n * 100 * S).allowed
        gate.on_closed(closed(intent, 0.0, "rejected", n * 100 * S))


# ---------------------------------------------------------------- R17 the venue's filters

ATOM = Instrument(X, tick="0.01", lot="0.1", min_qty="0.5", min_notional=5.0)


@pytest.mark.parametrize(
    ("qty", "price", "text"),
    [
        (1.1, 5.0, None),
        (0.3, None, "R17 quantity 0.3, worth 1.5, is below the venue's minimum of 0.5 and 5 of notional"),
        (1.05, 5.0, "R17 quantity 1.05 is off the lot of 0.1"),
        (0.1 + 0.2 + 0.9, 5.0, "R17 quantity 1.2000000000000002 is off the lot of 0.1"),  # pitfall 7
        (1.0, 5.001, "R17 price 5.001 is off the tick of 0.01"),
        (1.0, 4.99, "R17 quantity 1, worth 4.99, is below"),
        (1.0, None, None),
        (0.4, 5.0, "is below the venue's minimum of 0.5"),
    ],
)
def test_what_the_venue_would_reject_is_not_sent(qty: float, price: float | None, text: str | None) -> None:
    # pitfalls 5, 7 and 26
    gate = gate_at(venue_filters="required", instruments={X: ATOM})
    decision = gate.check(order("a", qty, price), 0)
    assert decision.allowed == (text is None), decision.reason
    assert (text or "") in (decision.reason or "")


def test_a_symbol_without_an_instrument_is_refused_where_filters_are_required() -> None:
    gate = gate_at(venue_filters="required")
    assert reason(gate, order()) == f"R17 no instrument is known for {X}, so the venue's filters are not"


def test_a_contract_is_worth_its_size() -> None:
    big = dataclasses.replace(ATOM, multiplier=100.0)
    gate = gate_at(instruments={X: big}, limits={"max_order_notional": 1000.0}, account={"max_daily_loss": 90.0})
    assert reason(gate, order("a", 3.0)) == "R02 notional 1500 is above max_order_notional 1000"
    first = order("b", 1.0)
    gate.check(first, 0)
    gate.on_fill(fill(first, 1.0, "f"))
    gate.on_price(X, 4.0, 4.0, 1)
    assert gate.profit == -100.0


# ---------------------------------------------------------------- R20 who speaks


def at(epoch: object, name: str) -> OrderIntent:
    return order(name, meta={"slice_id": name} if epoch is None else {"slice_id": name, "epoch": epoch})


def test_a_process_that_was_replaced_may_not_trade_any_more() -> None:
    # pitfall 27
    gate = gate_at(epoch=3)
    assert reason(gate, at(2, "a")) == "R20 epoch 2 is over, the current one is 3"
    assert reason(gate, at(None, "b")) == "R20 intent has no epoch, the current one is 3"
    assert gate.check(at(3, "c"), 0).allowed
    assert gate.check(at(5, "d"), 0).allowed
    assert breached(gate.check(at(4, "e"), 0)) == ["R20"]
    gate.fence(7)
    assert breached(gate.check(at(6, "f"), 0)) == ["R20"]
    assert breached(gate.check(at("7", "g"), 0)) == ["R20"]
    assert breached(gate.check(at(True, "h"), 0)) == ["R20"]


def test_without_any_epoch_none_is_needed() -> None:
    gate = gate_at()
    assert gate.check(at(None, "a"), 0).allowed
    assert gate.check(at(1, "b"), 0).allowed
    assert breached(gate.check(at(None, "c"), 0)) == ["R20"]


# ---------------------------------------------------------------- what is not a number


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_what_is_not_a_number_passes_nowhere(bad: float, side: str) -> None:
    """A contract refuses it; behind a contract that did not, so do the rules."""
    gate = gate_at(venue_filters="required", parents="required", instruments={X: ATOM})
    gate.on_parent("x-1", X, "buy", 1e6)
    gate.on_parent("x-2", X, "sell", 1e6)
    for field in ("qty", "limit_price"):
        intent = child(f"o-{field}-{bad}", "x-1" if side == "buy" else "x-2", side=side)
        object.__setattr__(intent, field, bad)
        assert not gate.check(intent, 0).allowed
    for bid, ask in ((bad, 5.0), (5.0, bad), (bad, bad)):
        gate.on_price(X, bid, ask, 1)
        assert "R04" in breached(gate.check(child(f"p{bid}{ask}", "x-1", 1.0, None), 1))
    assert gate.reserved(X) == (0.0, 0.0)


def test_a_fill_in_another_symbol_than_its_order_moves_the_symbol_that_it_names() -> None:
    gate = gate_at()
    first = order("a", 10.0)
    gate.check(first, 0)
    gate.on_fill(FillEvent("f", "a", "B/USDT", "buy", 10.0, 1.0, 0))
    assert (gate.position(X), gate.position("B/USDT"), gate.reserved(X)) == (0.0, 10.0, (0.0, 0.0))


def test_a_symbols_own_limits_hold_for_it_alone() -> None:
    other = dataclasses.replace(LOOSE.limits, max_open_orders=1)
    gate = RiskGate(loose(overrides={"B/USDT": other}), kill=NO_KILL)
    for symbol, most in ((X, 3), ("B/USDT", 1)):
        gate.on_price(symbol, 5.0, 5.01, 0)
        passed = [gate.check(order(f"{symbol}{n}", symbol=symbol), 0).allowed for n in range(3)]
        assert sum(passed) == most
