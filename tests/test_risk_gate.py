"""The gate: every limit holds, everything is listed, nothing is released without evidence."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.codec import from_json, to_json
from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision
from risk.gate import REMEMBERED_S, RiskGate
from risk.kill import KillSwitch
from risk.limits import RateLimits, RiskLimits, SymbolLimits
from risk.rules import CANCEL_RULES, NEW_ORDER_RULES
from tests.risks import LOOSE, NO_KILL, S, X, breached, cancel, closed, fill, order

FULL = SymbolLimits(
    max_order_qty=100.0,
    max_order_notional=600.0,
    max_position_qty=150.0,
    max_open_orders=1000,
    price_collar_bps=100.0,
    max_reference_age_s=60.0,
)
RATE = RateLimits(window_s=10.0, max_orders=1000, max_cancels=2)
LIMITS = dataclasses.replace(LOOSE, symbols=(X,), limits=FULL, rate=RATE)


def gate_with(*, rate: RateLimits = RATE, kill: KillSwitch | None = NO_KILL, **changes: Any) -> RiskGate:
    """A gate at time 0 with a market of 5.00 to 5.01."""
    limits = dataclasses.replace(LIMITS, limits=dataclasses.replace(FULL, **changes), rate=rate)
    gate = RiskGate(limits, kill=kill)
    gate.on_price(X, 5.0, 5.01, 0)
    return gate


def test_an_order_within_all_limits_passes_and_is_reserved() -> None:
    gate = gate_with()
    assert gate.check(order(), 0) == RiskDecision("o1", True)
    assert gate.reserved(X) == (10.0, 0.0)


@pytest.mark.parametrize(
    ("intent", "rules", "text"),
    [
        (order(qty=100.0), [], ""),
        (order(qty=100.0001), ["R01"], "R01 quantity 100 is above max_order_qty 100"),
        (order(qty=100.0, price=5.06), [], ""),
        (order(qty=118.0, price=5.06), ["R01"], ""),
        (order(qty=119.0, price=5.06), ["R01", "R02"], "R02 notional 602.14 is above max_order_notional 600"),
        (order(price=4.95), [], ""),
        (order(price=4.949), ["R03"], "R03 limit price 4.949 is outside the collar 4.95 to 5.0601"),
        (order(price=5.0601), [], ""),
        (order(price=5.061), ["R03"], "R03 limit price 5.061"),
        (order(side="sell", price=4.9), ["R03"], "R03 limit price 4.9"),
        (order(price=None), [], ""),
        (order(symbol="BTC/USDT"), ["R04", "R14"], "R14 symbol BTC/USDT is not in the list of allowed symbols"),
    ],
)
def test_each_limit_holds_and_its_edge_passes(intent: OrderIntent, rules: list[str], text: str) -> None:
    decision = gate_with().check(intent, 0)
    assert breached(decision) == rules
    assert text in (decision.reason or "")


def test_a_market_order_is_priced_at_the_collars_edge() -> None:
    # 5.01 * 1.01 * 118 = 597.1; at the ask alone 119 would pass with 596.2
    gate = gate_with(max_order_qty=1000.0)
    assert breached(gate.check(order("a", 118.0, None), 0)) == []
    assert breached(gate.check(order("b", 119.0, None, side="sell"), 0)) == ["R02"]


def test_all_breaches_are_listed_with_value_and_limit() -> None:
    decision = gate_with(kill=None).check(order(qty=1e6, price=50.0, symbol="X"), 0)
    assert breached(decision) == ["R01", "R02", "R04", "R08", "R14", "R18"]
    assert decision.caps["R01"] == {"value": 1e6, "limit": 100.0}
    assert decision.caps["R14"] == {"value": "X", "limit": [X]}
    assert decision.reason is not None
    assert [part.split()[0] for part in decision.reason.split("; ")] == breached(decision)
    assert from_json(to_json(decision))["caps"]["R02"] == {"value": 5e7, "limit": 600.0}


@pytest.mark.parametrize(
    ("bid", "ask", "age_s", "text"),
    [
        (math.nan, 5.01, 0, "not usable: bid nan, ask 5.01"),
        (5.0, math.nan, 0, "not usable"),
        (5.0, math.inf, 0, "not usable"),
        (0.0, 5.01, 0, "not usable"),
        (-1.0, 5.01, 0, "not usable"),
        (5.02, 5.01, 0, "not usable: bid 5.02, ask 5.01"),
        (5.0, 5.01, 61, "reference price is 61 s old, max_reference_age_s is 60"),
        (5.0, 5.01, -61, "reference price is -61 s old"),
    ],
)
@pytest.mark.parametrize("price", [5.0, None])
def test_without_a_sane_fresh_reference_nothing_passes(
    bid: float, ask: float, age_s: int, text: str, price: float | None
) -> None:
    gate = RiskGate(LIMITS, kill=NO_KILL)
    gate.on_price(X, bid, ask, 1000 * S)
    decision = gate.check(order(price=price), (1000 + age_s) * S)
    assert "R04" in breached(decision)
    assert text in (decision.reason or "")


def test_a_locked_market_and_a_reference_of_just_the_age_pass() -> None:
    gate = gate_with()
    gate.on_price(X, 5.0, 5.0, S)
    assert breached(gate.check(order(), 61 * S)) == []


def test_a_symbol_that_was_never_priced_is_refused() -> None:
    gate = RiskGate(dataclasses.replace(LIMITS, symbols=("*",)), kill=NO_KILL)
    assert "R04 no reference price for NEW/USDT" in (gate.check(order(symbol="NEW/USDT"), 0).reason or "")


def test_an_older_price_does_not_replace_a_newer_one() -> None:
    gate = gate_with()
    gate.on_price(X, 6.0, 6.01, 50 * S)
    gate.on_price(X, 5.0, 5.01, 40 * S)
    assert breached(gate.check(order(price=5.0), 100 * S)) == ["R03"]


def test_open_and_unknown_orders_count_as_position() -> None:
    gate = gate_with()
    assert breached(gate.check(order("a", 90.0), 0)) == []
    assert breached(gate.check(order("b", 61.0), 0)) == ["R08"]
    assert breached(gate.check(order("c", 60.0), 0)) == []
    assert breached(gate.check(order("d", 1.0), 0)) == ["R08"]


def test_open_orders_on_the_other_side_do_not_make_room() -> None:
    gate = gate_with()
    assert breached(gate.check(order("a", 100.0), 0)) == []
    assert breached(gate.check(order("b", 100.0, price=5.01, side="sell"), 0)) == []
    assert breached(gate.check(order("c", 51.0), 0)) == ["R08"]
    assert breached(gate.check(order("d", 51.0, price=5.01, side="sell"), 0)) == ["R08"]


def test_a_position_above_the_limit_may_be_reduced_but_not_grown() -> None:
    gate = RiskGate(LIMITS, kill=NO_KILL, positions={X: 200.0})
    gate.on_price(X, 5.0, 5.01, 0)
    assert breached(gate.check(order("a", 1.0), 0)) == ["R08"]
    assert breached(gate.check(order("b", 50.0, side="sell"), 0)) == []


def test_fills_move_the_reservation_into_the_position() -> None:
    gate = gate_with()
    intent = order(qty=10.0)
    gate.check(intent, 0)
    gate.on_fill(fill(intent, 4.0, "f1"))
    assert (gate.position(X), gate.reserved(X)) == (4.0, (6.0, 0.0))
    gate.on_fill(fill(intent, 4.0, "f1"))  # told twice, counts once
    assert (gate.position(X), gate.reserved(X)) == (4.0, (6.0, 0.0))
    gate.on_closed(closed(intent, 4.0))
    assert (gate.position(X), gate.reserved(X)) == (4.0, (0.0, 0.0))


def test_a_close_does_not_release_fills_that_are_still_on_their_way() -> None:
    # pitfall 37: the close overtakes a fill
    gate = gate_with()
    intent = order(qty=10.0)
    gate.check(intent, 0)
    gate.on_closed(closed(intent, 7.0))
    assert (gate.position(X), gate.reserved(X)) == (0.0, (7.0, 0.0))
    gate.on_fill(fill(intent, 3.0, "f1"))
    gate.on_closed(closed(intent, 7.0))
    assert (gate.position(X), gate.reserved(X)) == (3.0, (4.0, 0.0))
    gate.on_fill(fill(intent, 4.0, "f2"))
    assert (gate.position(X), gate.reserved(X)) == (7.0, (0.0, 0.0))
    gate.on_closed(closed(intent, 7.0))
    assert gate.reserved(X) == (0.0, 0.0)


def test_a_cancel_request_releases_nothing() -> None:
    # pitfall 9: until the venue answers, the order may still fill
    gate = gate_with()
    gate.check(order("o1", 100.0), 0)
    assert gate.check(cancel("c1"), 0).allowed
    assert gate.reserved(X) == (100.0, 0.0)


def test_a_fill_of_an_order_that_never_passed_moves_the_position() -> None:
    gate = gate_with()
    gate.on_fill(FillEvent("f", "stranger", X, "sell", 100.0, 5.0, 0))
    assert gate.position(X) == -100.0
    assert breached(gate.check(order(qty=60.0, side="sell"), 0)) == ["R08"]
    gate.on_closed(OrderClosed("stranger", "sim", "filled", 100.0, 0))


def test_the_same_intent_again_gets_the_same_answer_and_reserves_once() -> None:
    gate = gate_with()
    for intent in (order("good"), order("bad", 1e6)):
        first = gate.check(intent, 0)
        assert gate.check(intent, 500 * S) == first  # the reference is stale by now: the answer is still the first one
    assert gate.reserved(X) == (10.0, 0.0)


def test_another_order_behind_a_used_id_is_refused() -> None:
    gate = gate_with()
    gate.check(order("o1", 1.0), 0)
    decision = gate.check(order("o1", 100.0), 0)
    assert breached(decision) == ["R07"]
    assert decision.reason == "R07 intent id o1 was used for another order before"
    assert gate.check(order("o1", 1.0), 0).allowed
    assert gate.reserved(X) == (1.0, 0.0)


def test_orders_have_a_rate_and_the_window_slides() -> None:
    gate = gate_with(rate=RateLimits(window_s=10.0, max_orders=2, max_cancels=1))
    assert gate.check(order("a", 1.0), 0).allowed
    assert gate.check(order("b", 1.0), 5 * S).allowed
    refused = gate.check(order("c", 1.0), 10 * S - 1)
    assert refused.reason == "R05 message 3 within 10 s is above rate.max_orders 2"
    assert gate.check(order("d", 1.0), 10 * S).allowed
    assert not gate.check(order("e", 1.0), 10 * S).allowed


def test_cancels_have_their_own_budget() -> None:
    gate = gate_with(rate=RateLimits(window_s=10.0, max_orders=1, max_cancels=2))
    assert gate.check(order("a", 1.0), 0).allowed
    assert gate.check(cancel("c1"), 0).allowed
    assert gate.check(cancel("c2"), 0).allowed
    assert breached(gate.check(cancel("c3"), 0)) == ["R05"]
    assert breached(gate.check(order("b", 1.0), 0)) == ["R05"]


def test_a_cancel_passes_where_nothing_else_does(tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "kill")
    gate = RiskGate(RiskLimits(rate=RATE), kill=switch)
    switch.trip("ann", "stop", 0)
    assert gate.check(cancel("c", qty=1e9, price=1e6, symbol="NEVER/SEEN"), 0).allowed


def test_a_tripped_switch_stops_new_orders_until_it_is_cleared(tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "kill")
    gate = gate_with(kill=switch)
    assert gate.check(order("a", 1.0), 0).allowed
    KillSwitch(tmp_path / "kill").trip("ann", "venue is mad", 1)
    decision = gate.check(order("b", 1.0), 0)
    assert decision.reason == "R18 kill switch tripped by ann: venue is mad"
    switch.clear("bob", "venue is well", 2)
    assert gate.check(order("c", 1.0), 0).allowed


def test_a_switch_that_cannot_be_read_stops_new_orders(tmp_path: Path) -> None:
    # pitfall 29
    (tmp_path / "file").touch()
    decision = gate_with(kill=KillSwitch(tmp_path / "file" / "kill")).check(order(), 0)
    assert breached(decision) == ["R18"]
    assert "cannot be read" in (decision.reason or "")


def test_the_switch_of_the_limits_is_watched(tmp_path: Path) -> None:
    (tmp_path / "kill").touch()
    limits = dataclasses.replace(LIMITS, kill_switch_file=str(tmp_path / "kill"))
    gate = RiskGate(limits)
    gate.on_price(X, 5.0, 5.01, 0)
    assert breached(gate.check(order(), 0)) == ["R18"]


@pytest.mark.parametrize(
    ("missing", "rules"),
    [
        ("max_order_qty", ["R01"]),
        ("max_order_notional", ["R02"]),
        ("price_collar_bps", ["R03"]),
        ("max_reference_age_s", ["R04"]),
        ("max_position_qty", ["R08"]),
    ],
)
def test_a_limit_that_is_not_set_refuses_and_is_named(missing: str, rules: list[str]) -> None:
    changes: dict[str, Any] = {missing: None}
    decision = gate_with(**changes).check(order(qty=1.0), 0)
    assert breached(decision) == rules
    assert f"no limit {missing} is set" in (decision.reason or "")


@pytest.mark.parametrize("missing", ["window_s", "max_orders"])
def test_a_rate_that_is_not_set_refuses_and_is_named(missing: str) -> None:
    gate = gate_with(rate=dataclasses.replace(RATE, **{missing: None}))
    assert f"R05 no limit rate.{missing} is set" in (gate.check(order(), 0).reason or "")


def test_without_any_limits_every_rule_refuses() -> None:
    decision = RiskGate(RiskLimits()).check(order(), 0)
    assert breached(decision) == [rule for rule in NEW_ORDER_RULES if rule not in ("R13", "R20")]  # have no limit
    assert breached(RiskGate(RiskLimits()).check(cancel("c"), 0)) == list(CANCEL_RULES)


def test_rounding_does_not_use_up_a_limit() -> None:
    gate = gate_with(max_position_qty=0.3)
    for k in range(3):
        assert gate.check(order(f"o{k}", 0.1), 0).allowed  # 0.1 + 0.1 + 0.1 > 0.3 in floats
    assert breached(gate.check(order("o3", 0.0001), 0)) == ["R08"]


actions = st.lists(
    st.tuples(
        st.sampled_from(["new", "new", "fill", "fill", "close", "repeat", "cancel"]),
        st.integers(0, 30),
        st.integers(1, 40),
        st.sampled_from(["buy", "sell"]),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(actions)
def test_no_sequence_of_orders_fills_and_closes_passes_the_position_limit(
    script: list[tuple[str, int, int, str]],
) -> None:
    """The venue fills, shuffles and repeats as it likes; a slow twin in tenths of a lot keeps the truth."""
    gate = gate_with(max_position_qty=10.0, max_order_qty=3.0)
    intents: list[OrderIntent] = []
    open_qty: list[int] = []  # per accepted order, in tenths: what the venue may still fill
    filled: list[int] = []
    is_closed: list[bool] = []
    seen: list[FillEvent] = []
    position = 0
    for n, (action, pick, tenths, side) in enumerate(script):
        k = pick % len(intents) if intents else 0
        if action == "new":
            intent = order(f"o{n}", tenths / 10, 5.0 if side == "buy" else 5.01, side=side)
            if gate.check(intent, n).allowed:
                intents.append(intent)
                open_qty.append(tenths)
                filled.append(0)
                is_closed.append(False)
        elif action == "cancel":
            gate.check(cancel(f"c{n}", side=side), n * 10 * S)
        elif action == "repeat" and seen:
            gate.on_fill(seen[pick % len(seen)])
        elif intents and action == "close" and not is_closed[k]:
            # The venue's total counts a fill that the gate hears of later.
            late = min(open_qty[k], tenths % 3)
            open_qty[k] = late
            is_closed[k] = True
            gate.on_closed(closed(intents[k], (filled[k] + late) / 10))
        elif intents and action == "fill" and open_qty[k]:
            part = min(tenths, open_qty[k])
            open_qty[k] -= part
            filled[k] += part
            position += part if intents[k].side == "buy" else -part
            seen.append(fill(intents[k], part / 10, f"f{n}"))
            gate.on_fill(seen[-1])
        buys = sum(left for left, intent in zip(open_qty, intents, strict=True) if intent.side == "buy")
        sells = sum(left for left, intent in zip(open_qty, intents, strict=True) if intent.side == "sell")
        assert position + buys <= 100
        assert sells - position <= 100
        assert gate.position(X) == pytest.approx(position / 10, abs=1e-9)
        assert gate.reserved(X) == pytest.approx((buys / 10, sells / 10), abs=1e-9)


# ---------------------------------------------------------------- memory


def test_what_is_settled_is_forgotten_and_what_is_open_is_not() -> None:
    limits = dataclasses.replace(LIMITS, intents=dataclasses.replace(LIMITS.intents, max_age_s=60.0))
    gate = RiskGate(limits, kill=NO_KILL)
    late = int((REMEMBERED_S + 60) * S)
    gate.on_price(X, 5.0, 5.01, 0)
    gate.check(order("open", 1.0), 0)
    for n in range(5):
        gate.check(order(f"o{n}", 1.0), n)
        gate.on_closed(closed(order(f"o{n}", 1.0), 0.0))
        gate.check(order(f"bad{n}", 1e6), n)
    assert gate.remembered == 11
    gate.check(cancel("c"), late)
    assert gate.remembered == 2
    assert gate.check(order("open", 1.0), late).allowed  # the same answer as an hour ago
    gate.on_price(X, 5.0, 5.01, late)
    assert breached(gate.check(order("o1", 1.0), late)) == ["R15"]  # forgotten, and too old


def test_a_fill_that_comes_again_after_its_order_is_forgotten_counts_once() -> None:
    # pitfall 28
    gate = RiskGate(
        dataclasses.replace(LIMITS, intents=dataclasses.replace(LIMITS.intents, max_age_s=60.0)), kill=NO_KILL
    )
    gate.on_price(X, 5.0, 5.01, 0)
    first, late = order("o1", 1.0), int((REMEMBERED_S + 60) * S)
    gate.check(first, S)
    gate.on_fill(fill(first, 1.0, "f1", ts_ns=2 * S))
    gate.on_fill(FillEvent("s1", "stranger", X, "buy", 1.0, 5.0, 2 * S))
    gate.check(cancel("c"), late)
    gate.on_fill(fill(first, 1.0, "f1", ts_ns=2 * S))
    gate.on_fill(FillEvent("s1", "stranger", X, "buy", 1.0, 5.0, 2 * S))
    assert gate.position(X) == 2.0
    gate.on_fill(FillEvent("s2", "stranger", X, "buy", 1.0, 5.0, late))
    assert gate.position(X) == 3.0


def test_names_that_may_not_trade_leave_nothing_behind() -> None:
    gate = gate_with()
    for n in range(3):
        gate.check(order(f"o{n}", symbol=f"COIN{n}/USDT"), n)
    assert set(gate._account.books) == {X}


# ---------------------------------------------------------------- a restart


def test_what_was_recalled_counts_as_what_was_checked() -> None:
    # pitfall 27, 28
    first, again = gate_with(max_position_qty=20.0), gate_with(max_position_qty=20.0)
    intents = [order("a", 10.0), order("b", 15.0), order("c", 10.0), cancel("x"), cancel("y"), order("d", 1.0)]
    answers = [first.check(intent, n * S) for n, intent in enumerate(intents)]
    for n, (intent, answer) in enumerate(zip(intents, answers, strict=True)):
        again.recall(intent, answer, n * S)
        again.recall(intent, answer, n * S)  # a journal that is read twice
    assert again.reserved(X) == first.reserved(X) == (20.0, 0.0)
    for intent in (*intents, order("e", 1.0), cancel("z")):
        assert again.check(intent, 7 * S) == first.check(intent, 7 * S)
