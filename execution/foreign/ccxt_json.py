"""ccxt's `fetchMyTrades`, and `fetchOrders` beside it, saved as JSON: lists of its unified trades and orders."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final

from core.codec import from_json
from core.errors import DataError
from execution.foreign.cells import FIRST_NS, LAST_NS
from execution.foreign.naming import Naming
from execution.foreign.records import Ending, Fill, Refusals, Refused, Row, Source
from execution.foreign.words import SIDES, STATUSES, odd_number, plain

_MS: Final = 1_000_000
_CONTRACTS = "cost is not price * amount: the amounts are contracts; --multiplier says how much one of them is"


def read_ccxt(path: Path, naming: Naming, refusals: Refusals) -> tuple[list[Row], Source]:
    """The rows of one file: trades (which have `order`) or orders (which have `status` and `filled`).

    A file may hold the list itself, or an object with lists, such as one by symbol.
    Raises DataError naming file, element, field, value and remedy.
    """
    elements = list(_elements(path))
    orders = [_is_order(element) for element in elements]
    role = "orders" if all(orders) else "fills"
    if any(orders) and role == "fills":
        place = orders.index(True) + 1
        raise DataError(f"{path}, element {place} is an order among trades: save fetchOrders to a file of its own")
    source = Source(path.name, "ccxt", len(elements), role)
    rows: list[Row] = []
    for place, element in enumerate(elements, 1):
        one = _Element(f"{path.name}, element {place}", element, refusals)
        try:
            symbol = naming.of(one.text("symbol"))
            if naming.unwanted(symbol):
                continue
            rows.append(_order(one, symbol) if role == "orders" else _trade(one, symbol, source))
        except Refused:
            continue
    return rows, source


class _Element:
    """One trade or order, read with the same refusals as a table."""

    def __init__(self, where: str, data: Mapping[str, Any], refusals: Refusals) -> None:
        self.where = where
        self._data = data
        self._refusals = refusals

    def text(self, name: str) -> str | None:
        value = self._data.get(name)
        return None if value in (None, "") else str(value)

    def number(self, name: str, value: Any = ...) -> float:
        """A number, or the text of one; NaN where there is none."""
        value = self._data.get(name) if value is ... else value
        if value is None or value == "":
            return math.nan
        if isinstance(value, str):
            try:
                number = float(value)
            except ValueError:
                problem, remedy = odd_number(value)
                raise self.refuse(f"{name} {problem}, was {value!r}", remedy, reason=f"{name} {problem}") from None
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(f"{name} is {value!r}", "a number is expected", reason=f"{name} is not a number")
        else:
            number = float(value)
        if math.isinf(number):
            raise self.refuse(f"{name} is infinite", "write the number", reason=f"{name} is infinite")
        return number

    def time(self, *names: str) -> int | None:
        """The first of these times that is there, in milliseconds, as nanoseconds."""
        for name in names:
            ms = self._data.get(name)
            if ms is None:
                continue
            whole = isinstance(ms, int) and not isinstance(ms, bool)
            if not whole or not FIRST_NS <= ms * _MS < LAST_NS:
                raise self.refuse(
                    f"{name} is {ms!r}", "ccxt gives whole milliseconds since 1970", reason=f"{name} is no time"
                )
            return int(ms) * _MS
        return None

    def side(self) -> Any:
        word = self.text("side")
        if word is None or plain(word) not in SIDES:
            raise self.refuse(f"side is {word!r}", "ccxt says buy or sell", reason="side is neither buy nor sell")
        return SIDES[plain(word)]

    def mapping(self, name: str) -> Mapping[str, Any] | None:
        value = self._data.get(name)
        return value if isinstance(value, Mapping) and value else None

    def listed(self, name: str) -> list[Mapping[str, Any]]:
        value = self._data.get(name)
        return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []

    def refuse(self, problem: str, remedy: str, *, reason: str) -> Refused:
        return self._refusals.refuse(self.where, problem, remedy, reason=reason)


def _trade(one: _Element, symbol: str | None, source: Source) -> Row:
    price, amount, ts_ns = one.number("price"), one.number("amount"), one.time("timestamp")
    if not price > 0:  # pitfall 30
        raise one.refuse(f"price is {price:g}", "a fill has a price above 0", reason="fill without a price")
    if not amount > 0:
        raise one.refuse(f"amount is {amount:g}", "a fill has a quantity above 0", reason="fill without a quantity")
    if ts_ns is None:
        raise one.refuse("timestamp is missing", "a fill has a time", reason="fill without a time")
    cost = one.number("cost")
    if not math.isnan(cost) and not math.isclose(cost, price * amount, rel_tol=1e-3) and _CONTRACTS not in source.said:
        source.said.append(_CONTRACTS)
    rested = one.text("takerOrMaker")
    fee, currency = _fee(one)
    fill = Fill(
        fill_id=one.text("id"),
        qty=amount,
        price=price,
        ts_ns=ts_ns,
        fee=fee,
        fee_currency=currency,
        liquidity="maker" if rested == "maker" else "taker" if rested == "taker" else None,
    )
    return Row(where=one.where, ts_ns=ts_ns, order_id=one.text("order"), symbol=symbol, side=one.side(), fill=fill)


def _fee(one: _Element) -> tuple[float, str | None]:
    """`fee`, else the sum of `fees`, which must be in one currency; NaN where neither says anything."""
    fees = [fee] if (fee := one.mapping("fee")) and fee.get("cost") is not None else one.listed("fees")
    fees = [fee for fee in fees if fee.get("cost") is not None]
    if not fees:
        return math.nan, None
    costs: dict[str, list[float]] = {}
    for fee in fees:
        costs.setdefault(str(fee.get("currency") or ""), []).append(one.number("fee.cost", fee["cost"]))
    if len(costs) > 1:
        raise one.refuse(
            f"fees are in several currencies, {', '.join(sorted(costs))}", "put them into one, as `fee`",
            reason="fees in several currencies",
        )  # fmt: skip
    ((currency, paid),) = costs.items()
    return math.fsum(paid), currency or None


def _order(one: _Element, symbol: str | None) -> Row:
    amount, filled, word = one.number("amount"), one.number("filled"), one.text("status")
    if amount <= 0:
        raise one.refuse(f"amount is {amount:g}", "an order wants something", reason="amount is not above 0")
    if word is not None and plain(word) not in STATUSES:
        raise one.refuse(
            f"status is {word!r}", "ccxt says open, closed, canceled, expired or rejected", reason="status"
        )
    status: Ending | None = None if word is None else STATUSES[plain(word)]
    ended = status not in (None, "running")
    return Row(
        where=one.where,
        ts_ns=None,
        order_id=one.text("id"),
        symbol=symbol,
        side=one.side(),
        order_qty=amount,
        order_ns=one.time("timestamp"),
        end_ns=one.time("lastUpdateTimestamp", "lastTradeTimestamp") if ended else None,
        status=status,
        filled_qty=filled,
        avg_price=one.number("average"),
        limit_price=one.number("price"),
    )


def _elements(path: Path) -> Iterator[Mapping[str, Any]]:
    if not path.is_file():
        raise DataError(f"{path} does not exist, or is not a file")
    try:
        value = from_json(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path}: {error}; expected the list that fetchMyTrades gives") from error
    if isinstance(value, Mapping) and value and all(isinstance(inner, list) for inner in value.values()):
        value = list(chain.from_iterable(value.values()))
    if not isinstance(value, list) or not all(isinstance(element, Mapping) for element in value):
        raise DataError(f"{path} must hold a list of trades, [{{...}}, ...], as fetchMyTrades gives it")
    if not value:
        raise DataError(f"{path} holds no trades")
    yield from value


def _is_order(element: Mapping[str, Any]) -> bool:
    return "order" not in element and "takerOrMaker" not in element and ("filled" in element or "remaining" in element)
