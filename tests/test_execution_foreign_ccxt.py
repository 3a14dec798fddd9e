"""ccxt's fetchMyTrades and fetchOrders as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from core.errors import DataError
from execution.foreign.reading import Choices, Imported, read_foreign
from execution.tca import measure

TRADE: dict[str, Any] = {
    "id": "t1", "order": "o1", "timestamp": 1735689660000, "datetime": "2025-01-01T00:01:00.000Z",
    "symbol": "ATOM/USDT", "type": None, "side": "buy", "takerOrMaker": "taker", "price": 5.0, "amount": 4.0,
    "cost": 20.0, "fee": {"cost": 0.02, "currency": "USDT"}, "fees": [{"cost": 0.02, "currency": "USDT"}],
    "info": {"x": "y"},
}  # fmt: skip
ORDER: dict[str, Any] = {
    "id": "o1", "timestamp": 1735689600000, "symbol": "ATOM/USDT", "side": "buy", "amount": 10, "filled": 4,
    "remaining": 6, "average": 5.0, "price": 5.1, "status": "canceled", "info": {},
    "lastUpdateTimestamp": 1735693200000,
}  # fmt: skip


def read(tmp_path: Path, *lists: Any, choices: Choices | None = None) -> Imported:
    files = []
    for number, value in enumerate(lists):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(value))
    return read_foreign(files, choices)


def test_trades_of_one_order_are_one_execution(tmp_path: Path) -> None:
    trades = [TRADE, TRADE | {"id": "t2", "price": 5.2, "takerOrMaker": "maker"}, TRADE | {"id": "t3", "order": "o2"}]
    first, second = read(tmp_path, trades).reports
    assert (first.execution_id, first.filled_quantity, first.avg_fill_price) == ("o1", 8, 5.1)
    assert [fill.liquidity for fill in first.fills] == ["taker", "maker"]
    assert (second.execution_id, second.total_fees) == ("o2", 0.02)


def test_orders_beside_trades_tell_what_was_wanted(tmp_path: Path) -> None:
    (report,) = read(tmp_path, [TRADE], [ORDER]).reports
    assert (report.total_quantity, report.filled_quantity, report.status) == (10, 4, "cancelled")
    assert report.end_ts_ns == 1735693200000_000_000
    assert report.start_ts_ns == 1735689600000_000_000


def test_an_order_that_got_nothing_is_kept(tmp_path: Path) -> None:
    empty = ORDER | {"id": "o2", "filled": 0, "average": None}
    kept = read(tmp_path, [TRADE], [ORDER, empty]).reports[1]
    assert (kept.execution_id, kept.filled_quantity, kept.total_quantity) == ("o2", 0, 10)
    assert "nothing_filled" in measure(kept).flags


def test_lists_by_symbol_are_read(tmp_path: Path) -> None:
    assert len(read(tmp_path, {"ATOM/USDT": [TRADE], "ETH/USDT": [TRADE | {"symbol": "ETH/USDT"}]}).reports) == 2


def test_numbers_may_be_text_and_fees_several(tmp_path: Path) -> None:
    trade = TRADE | {"price": "5.0", "amount": "4", "fee": None, "fees": [{"cost": "0.01", "currency": "USDT"}] * 2}
    (report,) = read(tmp_path, [trade]).reports
    assert (report.avg_fill_price, report.total_fees) == (5.0, 0.02)


def test_a_fee_that_is_not_known_is_not_zero(tmp_path: Path) -> None:
    (report,) = read(tmp_path, [TRADE | {"fee": {"cost": None, "currency": None}, "fees": []}]).reports
    assert math.isnan(report.total_fees)
    assert "no_fees" in measure(report).flags


def test_amounts_in_contracts_are_pointed_out(tmp_path: Path) -> None:
    found = read(tmp_path, [TRADE | {"cost": 0.2}])
    assert any("contracts" in remark for remark in found.sources[0].said)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"price": None}, r"0.json, element 1: price is nan: a fill has a price above 0"),  # pitfall 30
        ({"price": 0}, r"price is 0"),
        ({"price": "5,0"}, r"price has a decimal comma, was '5,0': write 5.0"),
        ({"price": [5]}, r"price is \[5\]: a number is expected"),
        ({"amount": 0}, r"amount is 0"),
        ({"amount": True}, r"amount is True"),
        ({"timestamp": None}, r"timestamp is missing"),
        ({"timestamp": 1735689660}, r"timestamp is 1735689660: ccxt gives whole milliseconds"),
        ({"side": "up"}, r"side is 'up': ccxt says buy or sell"),
        ({"order": None}, r"there is no order id.*--group"),
        ({"symbol": None}, r"there is no symbol"),
        (
            {"fee": None, "fees": [{"cost": 1, "currency": "A"}, {"cost": 1, "currency": "B"}]},
            r"currencies, A, B",
        ),
    ],
)
def test_a_bad_trade_is_one_line_with_file_element_field_and_remedy(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, [TRADE | changes])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", r"not JSON"), ("[]", r"holds no trades"), ("[1]", r"must hold a list"), ('{"a": 1}', r"must hold a list"),
        (json.dumps([TRADE, {k: v for k, v in ORDER.items() if k != "order"}]), r"element 2 is an order among trades"),
    ],
)  # fmt: skip
def test_a_file_that_is_something_else_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_foreign([tmp_path / "t.json"])
