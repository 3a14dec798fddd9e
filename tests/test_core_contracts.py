"""Messages are frozen, checked when made, and come back exactly from dictionaries and JSON."""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import codec
from core.contracts import (
    SIDES,
    Contract,
    FillEvent,
    OHLCVBar,
    OrderClosed,
    OrderEvent,
    OrderIntent,
    OrderType,
    PositionSnapshot,
    QuoteEvent,
    RiskDecision,
    Side,
    TradeEvent,
    sign,
)
from core.frozen import EMPTY, FrozenDict

ROOT = Path(__file__).resolve().parents[1]

names = st.text(min_size=1, max_size=12).filter(lambda text: text == text.strip())
amounts = st.floats(min_value=1e-12, max_value=1e15)
prices = st.floats(min_value=1e-9, max_value=1e9)
times = st.integers(0, 2**63 - 1)
sides: st.SearchStrategy[Side] = st.sampled_from(SIDES)
kinds: st.SearchStrategy[OrderType] = st.sampled_from(["limit", "market"])
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
metas = st.dictionaries(names, json_values, max_size=4)


@st.composite
def intents(draw: st.DrawFn) -> OrderIntent:
    kind = draw(kinds)
    cancel = draw(st.booleans())
    return OrderIntent(
        draw(names),
        draw(times),
        draw(names),
        draw(names),
        draw(sides),
        kind,
        draw(amounts),
        draw(prices) if kind == "limit" else None,
        draw(metas),
        "cancel" if cancel else "new",
        draw(names) if cancel else None,
        draw(st.none() | times),
    )


@st.composite
def bars(draw: st.DrawFn) -> OHLCVBar:
    low, *inner, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    first, last = draw(st.permutations(inner))
    opened = draw(st.integers(0, 2**62))
    return OHLCVBar(draw(names), opened, opened + draw(st.integers(1, 10**15)), first, high, low, last, draw(amounts))


contracts = st.one_of(
    intents(),
    bars(),
    st.builds(RiskDecision, names, st.booleans(), st.none() | names, metas),
    st.builds(OrderEvent, names, names, names, names, sides, kinds, amounts, times, st.none() | prices, metas),
    st.builds(
        OrderClosed,
        names,
        names,
        st.sampled_from(["filled", "cancelled", "expired", "rejected"]),
        st.just(0.0) | amounts,
        times,
        st.none() | names,
    ),
    st.builds(
        FillEvent,
        names,
        names,
        names,
        sides,
        amounts,
        prices,
        times,
        st.floats(-1e9, 1e9),
        st.sampled_from(["maker", "taker"]),
        metas,
    ),
    st.builds(TradeEvent, names, prices, amounts, times, st.none() | sides, st.none() | names),
    st.builds(QuoteEvent, names, st.floats(1, 2), st.floats(2, 3), times, amounts, amounts),
    st.builds(PositionSnapshot, names, names, st.floats(-1e9, 1e9), prices, st.floats(-1e9, 1e9), times),
)


def intent(**changes: Any) -> OrderIntent:
    settings: dict[str, Any] = {
        "intent_id": "x-1",
        "ts_local_ns": 1,
        "strategy_id": "s",
        "symbol": "ATOM/USDT",
        "side": "buy",
        "type": "limit",
        "qty": 1.5,
        "limit_price": 5.0,
    }
    return OrderIntent(**{**settings, **changes})


@given(contracts)
def test_a_contract_comes_back_from_its_dictionary_and_its_json(contract: Contract) -> None:
    as_dict = contract.to_dict()
    assert type(contract).from_dict(as_dict) == contract
    line = codec.to_json(contract)
    assert type(contract).from_dict(codec.from_json(line)) == contract
    assert type(contract).from_json(line) == contract


def outcome(make: Any) -> Any:
    """What comes of it: what is made, or why not."""
    try:
        return make()
    except (ValueError, TypeError) as error:
        return type(error), str(error)


@given(contracts, st.data())
def test_json_is_read_and_refused_as_its_dictionary_is(contract: Contract, data: st.DataObject) -> None:
    fields = contract.to_dict()
    name = data.draw(st.sampled_from([*fields, "more"]))
    if data.draw(st.booleans()):
        fields[name] = data.draw(json_values | st.sampled_from(["", " x", 1.0, 10**25, -1, 0, "buy", "cancel"]))
    else:
        fields.pop(name, None)
    line = codec.to_json(fields)
    kind = type(contract)
    assert repr(outcome(lambda: kind.from_json(line))) == repr(outcome(lambda: kind.from_dict(codec.from_json(line))))


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"null", b'{"qty":1}{}', b"\xff"])
def test_what_is_no_contract_is_refused_in_the_same_words(line: bytes) -> None:
    words = outcome(lambda: OrderIntent.from_json(line))
    assert words == outcome(lambda: OrderIntent.from_dict(codec.from_json(line)))
    assert words[0] is ValueError


@given(
    st.fixed_dictionaries(
        {
            "intent_id": st.sampled_from(["x-1", "", " x", "x ", "\t"]),
            "ts_local_ns": st.sampled_from([0, 5, -1, 10**19]),
            "symbol": st.sampled_from(["X/Y", "", " X"]),
            "side": st.sampled_from(["buy", "sell", "hold"]),
            "type": st.sampled_from(["limit", "market", "stop"]),
            "qty": st.sampled_from([1, 1.5, 0.0, -1.0, math.nan, math.inf]),
            "limit_price": st.sampled_from([None, 2, 5.0, 0.0, -1.0, math.nan, math.inf]),
            "action": st.sampled_from(["new", "new", "cancel", "amend"]),
            "target_intent_id": st.sampled_from([None, None, "", "x-0"]),
        }
    )
)
def test_all_checks_of_an_intent_at_once_say_what_they_say_one_by_one(changes: dict[str, Any]) -> None:
    bare = copy.copy(intent())
    for name, value in changes.items():
        object.__setattr__(bare, name, value)
    made = outcome(lambda: intent(**changes))
    assert (None if isinstance(made, OrderIntent) else made) == outcome(bare._check)


@given(contracts)
def test_a_dictionary_has_the_fields_in_the_order_of_their_definition(contract: Contract) -> None:
    assert list(contract.to_dict()) == [field.name for field in dataclasses.fields(contract)]  # type: ignore[arg-type]


@given(contracts)
def test_contracts_survive_copying_and_pickling_as_bus_and_workers_do(contract: Contract) -> None:
    assert copy.deepcopy(contract) == contract
    assert pickle.loads(pickle.dumps(contract)) == contract


def test_json_bytes_are_the_same_under_every_hash_seed() -> None:
    code = (
        "from tests.test_core_contracts import intent; from core import codec; import sys\n"
        "names = {'s', 'zeta', 'al', 'mid', 'execution_id'}\n"
        "meta = {name: set('abcdef') if name == 's' else len(name) for name in names}\n"
        "sys.stdout.buffer.write(codec.to_json(intent(meta=meta)))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2", "3")
    }
    assert len(outputs) == 1
    assert b'"meta":{"al":2,"execution_id":12,"mid":3,"s":["a","b","c","d","e","f"],"zeta":4}' in outputs.pop()


def test_fields_cannot_be_set_and_meta_cannot_be_changed() -> None:
    order = intent(meta={"slice_idx": 1})
    with pytest.raises(dataclasses.FrozenInstanceError):
        order.qty = 2.0  # type: ignore[misc]
    with pytest.raises(TypeError, match="frozen contract"):
        order.meta["slice_idx"] = 2
    with pytest.raises((AttributeError, TypeError)):
        order.other = 1  # type: ignore[attr-defined]


def test_meta_is_not_the_dictionary_that_was_handed_in() -> None:
    meta = {"slice_idx": 1}
    order = intent(meta=meta)
    meta["slice_idx"] = 2
    assert order.meta == {"slice_idx": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"qty": 0.0}, "qty must be a finite number above 0, was 0"),  # pitfall 19: no cancel by quantity 0
        ({"qty": -1.0}, "qty must be"),
        ({"qty": math.nan}, "qty must be"),
        ({"qty": math.inf}, "qty must be"),
        ({"limit_price": math.nan}, "limit_price must be"),
        ({"limit_price": 0.0}, "limit_price must be"),
        ({"limit_price": None}, "limit_price must be set for a limit order and only there, was None"),
        ({"type": "market"}, "limit_price must be set for a limit order and only there, was 5"),
        ({"type": "stop"}, "type must be one of limit, market, was 'stop'"),
        ({"side": "Buy"}, "side must be one of buy, sell, was 'Buy'"),
        ({"action": "amend"}, "action must be one of new, cancel, was 'amend'"),
        ({"action": "cancel"}, "target_intent_id must name the intent to cancel"),
        ({"target_intent_id": "x-0"}, "target_intent_id belongs to a cancel only"),
        ({"intent_id": ""}, "intent_id must be a name"),
        ({"symbol": " ATOM"}, "symbol must be a name"),
        ({"ts_local_ns": -1}, "ts_local_ns must be"),
    ],
)
def test_an_intent_that_cannot_be_meant_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        intent(**changes)


def test_a_cancel_names_its_target() -> None:
    order = intent(action="cancel", target_intent_id="x-0", type="market", limit_price=None)
    assert order.target_intent_id == "x-0"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FillEvent("", "o", "X", "buy", 1.0, 1.0, 0), "fill_id must be a name"),
        (lambda: FillEvent("f", "o", "X", "buy", 1.0, 0.0, 0), "price must be"),  # pitfall 30: no fill at 0
        (lambda: FillEvent("f", "o", "X", "buy", 1.0, 1.0, 0, math.nan), "fee must be a finite number, was nan"),
        (lambda: FillEvent("f", "o", "X", "buy", 1.0, 1.0, 0, 0.0, "none"), "liquidity must be"),  # type: ignore[arg-type]
        (lambda: OrderEvent("i", "v", "w", "X", "buy", "limit", 0.0, 0), "qty must be"),
        (lambda: OrderClosed("i", "v", "done", 0.0, 0), "status must be one of"),  # type: ignore[arg-type]
        (lambda: OrderClosed("i", "v", "filled", -1.0, 0), "cumulative_qty must be"),
        (lambda: TradeEvent("X", math.inf, 1.0, 0), "price must be"),
        (lambda: QuoteEvent("X", 2.0, 1.0, 0), "bid must not be above ask, was 2.0 above 1.0"),
        (lambda: OHLCVBar("X", 5, 5, 1.0, 1.0, 1.0, 1.0, 0.0), "ts_close_ns must be after ts_open_ns 5, was 5"),
        (lambda: OHLCVBar("X", 0, 5, 1.0, 0.9, 0.8, 0.85, 0.0), "low <= open, close <= high must hold"),
        (lambda: OHLCVBar("X", 0, 5, 1.0, math.nan, 0.8, 0.9, 0.0), "high"),
        (lambda: OHLCVBar("X", 0, 5, 1.0, 1.0, 0.0, 1.0, 0.0), "low must be"),
        (lambda: OHLCVBar("X", 0, 5, 1.0, 1.0, 1.0, 1.0, math.nan), "volume must be"),
    ],
)
def test_events_that_cannot_be_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_unknown_field_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"OrderIntent has no field 'zzz': known are action, expires_ts_ns"):
        OrderIntent.from_dict({**intent().to_dict(), "zzz": 1.0})
    with pytest.raises(ValueError, match=r"OrderIntent has no field 'limt_price': did you mean 'limit_price'\?"):
        OrderIntent.from_dict({**intent().to_dict(), "limt_price": 1.0})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"qty": "1"}, "OrderIntent: .*qty"),
        ({"ts_local_ns": 1.5}, "OrderIntent: .*ts_local_ns"),
        ({"side": "long"}, "OrderIntent: .*"),
        ({"qty": -1.0}, "OrderIntent: qty must be a finite number above 0, was -1.0"),
        ({"meta": [1]}, "OrderIntent: .*meta"),
    ],
)
def test_a_dictionary_with_a_wrong_value_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OrderIntent.from_dict({**intent().to_dict(), **changes})


def test_a_dictionary_without_a_required_field_is_refused() -> None:
    data = intent().to_dict()
    del data["symbol"]
    with pytest.raises(ValueError, match=r"OrderIntent: .*symbol"):
        OrderIntent.from_dict(data)
    with pytest.raises(ValueError, match="OrderIntent is made from a dictionary, was list"):
        OrderIntent.from_dict([])  # type: ignore[arg-type]


def test_optional_fields_may_be_left_out() -> None:
    data = intent().to_dict()
    for name in ("meta", "action", "target_intent_id", "expires_ts_ns"):
        del data[name]
    assert OrderIntent.from_dict(data) == intent()


def test_nan_travels_as_null_and_comes_back_as_nan() -> None:
    flat = PositionSnapshot("s", "X", 0.0, math.nan, 1.0, 5)
    line = codec.to_json(flat)
    assert b'"avg_price":null' in line
    assert math.isnan(PositionSnapshot.from_dict(codec.from_json(line)).avg_price)
    assert OrderIntent.from_dict(intent(type="market", limit_price=None).to_dict()).limit_price is None


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        codec.from_json(b"{")


def test_buys_count_up_and_sells_down() -> None:
    assert (sign("buy"), sign("sell")) == (1, -1)


def test_a_frozen_dictionary_refuses_every_change() -> None:
    frozen = FrozenDict({"a": 1})
    changes: list[Any] = [
        lambda: frozen.__setitem__("a", 2),
        lambda: frozen.__delitem__("a"),
        lambda: frozen.pop("a"),
        lambda: frozen.popitem(),
        lambda: frozen.clear(),
        lambda: frozen.update(b=1),
        lambda: frozen.setdefault("b", 1),
        lambda: frozen.__ior__({"b": 1}),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="build a new one"):
            change()
    assert frozen == {"a": 1}
    assert {**frozen, "b": 2} == {"a": 1, "b": 2}
    assert type(copy.copy(frozen)) is type(copy.deepcopy(frozen)) is FrozenDict
    assert EMPTY == {}
