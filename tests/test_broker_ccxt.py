"""The broker over ccxt, against an exchange on this machine that speaks as much of Binance's REST as it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from broker.base import Answer, BrokerUnavailableError
from broker.ccxt_broker import CcxtBroker
from core.clock import ManualClock
from core.contracts import FillEvent, OrderClosed, OrderIntent
from core.instrument import Instrument
from tests import exchanges

pytest.importorskip("ccxt")

SYMBOL = "ATOM/USDT"
INSTRUMENT = Instrument(SYMBOL, venue="binance", tick="0.001", lot="0.01", min_notional=5.0)
NOW_MS = 1_735_689_600_000


@dataclass
class Book:
    """What the exchange knows; `mood` of the next order: None, `silent`, `busy`, `nonsense`."""

    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    trades: list[dict[str, Any]] = field(default_factory=list)
    posted: list[dict[str, str]] = field(default_factory=list)
    mood: str | None = None

    def new(self, query: dict[str, str]) -> dict[str, Any] | str:
        self.posted.append(query)
        name = query["newClientOrderId"]
        if any(one["status"] == "NEW" for one in self.orders.values() if one["clientOrderId"] == name):
            return "Duplicate order sent."
        if query.get("price") == "0.001":
            return "Filter failure: PERCENT_PRICE_BY_SIDE"
        number = len(self.orders) + 1
        made = {
            "symbol": "ATOMUSDT",
            "orderId": number,
            "clientOrderId": name,
            "price": query.get("price", "0"),
            "origQty": query["quantity"],
            "executedQty": "0",
            "status": "NEW",
            "type": query["type"],
            "side": query["side"],
            "time": NOW_MS,
            "transactTime": NOW_MS,
        }
        self.orders[str(number)] = made
        return made

    def find(self, query: dict[str, str]) -> dict[str, Any] | None:
        if "orderId" in query:
            return self.orders.get(query["orderId"])
        named = [one for one in self.orders.values() if one["clientOrderId"] == query.get("origClientOrderId")]
        return named[-1] if named else None

    def fill(self, number: int, qty: str, price: str, commission: tuple[str, str] = ("0.01", "USDT")) -> None:
        order = self.orders[str(number)]
        done = float(order["executedQty"]) + float(qty)
        order["executedQty"] = f"{done:g}"
        order["status"] = "FILLED" if done >= float(order["origQty"]) else "PARTIALLY_FILLED"
        trade = {"symbol": "ATOMUSDT", "id": len(self.trades) + 1, "orderId": number, "price": price, "qty": qty}
        told = {"commission": commission[0], "commissionAsset": commission[1], "isBuyer": True, "isMaker": False}
        self.trades.append({**trade, **told, "time": NOW_MS + len(self.trades)})


class Handler(exchanges.Handler):
    server: Exchange

    def get(self) -> None:
        book, query, name = self.server.book, self.query(), self.path_name()
        if name == "exchangeInfo":
            return self.answer(self.markets())
        if name == "allPairs":  # of margin
            return self.answer([])
        if book.mood == "down":
            return self.answer({"code": -1001, "msg": "Internal error"}, 503)
        if name == "openOrders":
            return self.answer([one for one in book.orders.values() if one["status"] in ("NEW", "PARTIALLY_FILLED")])
        if name == "myTrades":
            number = query.get("orderId")
            return self.answer([one for one in book.trades if number in (None, str(one["orderId"]))])
        found = book.find(query)
        if found is None:
            return self.answer({"code": -2013, "msg": "Order does not exist."}, 400)
        return self.answer(found)

    def post(self) -> None:
        book = self.server.book
        mood, book.mood = book.mood, None
        made = book.new(self.query())
        if isinstance(made, str):
            self.answer({"code": -2010, "msg": made}, 400)
        elif mood == "silent":  # it is in the book, but nobody hears of it
            self.close_connection = True
        elif mood == "busy":
            self.answer({"code": -1007, "msg": "Timeout waiting for response from backend server."}, 408)
        else:
            self.answer("<html>gateway</html>" if mood == "nonsense" else made)

    def delete(self) -> None:
        found = self.server.book.find(self.query())
        if found is None or found["status"] != "NEW":
            return self.answer({"code": -2011, "msg": "Unknown order sent."}, 400)
        found["status"] = "CANCELED"
        return self.answer(found)


class Exchange(exchanges.Server):
    handler = Handler

    def __init__(self) -> None:
        super().__init__()
        self.book = Book()


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    server = Exchange()
    with exchanges.serving(server):
        yield server


def at(exchange: Exchange, play: Any) -> None:
    """Runs `play(broker)` against the exchange."""
    from ccxt.async_support import binance

    def moved(urls: Any) -> Any:
        if isinstance(urls, dict):
            return {name: moved(value) for name, value in urls.items()}
        return f"http://127.0.0.1:{exchange.server_port}{urlsplit(urls).path}" if isinstance(urls, str) else urls

    async def scene() -> None:
        client = binance({"apiKey": "key", "secret": "secret", "enableRateLimit": False})
        client.urls["api"] = moved(client.urls["api"])
        client.options["fetchCurrencies"] = False
        client.options["fetchMarkets"] = {"types": ["spot"]}
        try:
            await play(CcxtBroker(client, {SYMBOL: INSTRUMENT}, ManualClock(NOW_MS * 1_000_000), poll_s=0.01))
        finally:
            await client.close()

    work: Coroutine[Any, Any, None] = asyncio.wait_for(scene(), timeout=120)
    asyncio.run(work)


def order(name: str = "x-1-0", qty: float = 2.0, limit: float | None = 10.0) -> OrderIntent:
    return OrderIntent(name, 0, "s", SYMBOL, "buy", "limit" if limit else "market", qty, limit)


def cancel(target: str = "x-1-0") -> OrderIntent:
    return OrderIntent(
        f"{target}-c1", 0, "s", SYMBOL, "buy", "limit", 2.0, 10.0, action="cancel", target_intent_id=target
    )


def test_an_order_is_posted_once_under_its_own_id_and_found_by_it(exchange: Exchange) -> None:
    async def play(broker: CcxtBroker) -> None:
        assert (await broker.submit(order())).answer is Answer.ACCEPTED
        (posted,) = exchange.book.posted
        assert (posted["newClientOrderId"], posted["quantity"], posted["price"]) == ("x-1-0", "2", "10")
        exchange.book.fill(1, "0.5", "9.999")
        seen = await broker.order("x-1-0")
        assert seen is not None
        assert (seen.status, seen.cumulative_qty) == ("open", 0.5)
        (fill,) = seen.fills
        assert (fill.order_id, fill.qty, fill.price, fill.fee) == ("x-1-0", 0.5, 9.999, 0.01)
        assert [one.intent_id for one in await broker.open_orders()] == ["x-1-0"]
        assert await broker.order("x-9-9") is None
        assert list(await broker.fills_since(0)) == [fill]

    at(exchange, play)


@pytest.mark.parametrize("mood", ["silent", "busy", "nonsense"])
def test_an_answer_that_is_lost_leaves_an_order_unknown_and_is_never_sent_again(exchange: Exchange, mood: str) -> None:
    # pitfall 39
    async def play(broker: CcxtBroker) -> None:
        exchange.book.mood = mood
        reply = await broker.submit(order())
        assert reply.answer is Answer.UNKNOWN
        assert len(exchange.book.posted) == 1
        seen = await broker.order("x-1-0")
        assert seen is not None
        assert seen.is_open

    at(exchange, play)


def test_an_id_that_is_there_already_is_an_answer_and_a_bad_order_is_a_rejection(exchange: Exchange) -> None:
    # pitfalls 39, 40: ccxt raises InvalidOrder for both
    async def play(broker: CcxtBroker) -> None:
        assert (await broker.submit(order())).answer is Answer.ACCEPTED
        assert (await broker.submit(order())).answer is Answer.ACCEPTED
        assert len(exchange.book.orders) == 1
        reply = await broker.submit(order("x-1-1", limit=0.001))
        assert reply.answer is Answer.REJECTED
        assert reply.closed is not None
        assert reply.closed.cumulative_qty == 0.0

    at(exchange, play)


def test_what_ccxt_would_round_is_not_sent(exchange: Exchange) -> None:
    # pitfalls 5, 39
    async def play(broker: CcxtBroker) -> None:
        finer = Instrument(SYMBOL, tick="0.0001", lot="0.001")
        rough = CcxtBroker(broker._exchange, {SYMBOL: finer}, ManualClock())
        with pytest.raises(ValueError, match="would be sent as"):
            await rough.submit(order(qty=2.005))
        with pytest.raises(ValueError, match="would be sent as"):
            await rough.submit(order(limit=10.0005))
        with pytest.raises(ValueError, match="off the lot"):
            await broker.submit(order(qty=2.005))
        with pytest.raises(ValueError, match="client order id"):
            await broker.submit(order("X 1"))
        assert not exchange.book.posted

    at(exchange, play)


def test_a_cancel_of_what_is_gone_is_refused_and_a_venue_that_is_down_is_unavailable(exchange: Exchange) -> None:
    async def play(broker: CcxtBroker) -> None:
        await broker.submit(order())
        assert (await broker.cancel(cancel())).answer is Answer.ACCEPTED
        assert (await broker.cancel(cancel())).answer is Answer.REJECTED
        seen = await broker.order("x-1-0")
        assert seen is not None
        assert seen.status == "cancelled"
        exchange.book.mood = "down"
        for question in (broker.order("x-1-0"), broker.open_orders(), broker.fills_since(0)):
            with pytest.raises(BrokerUnavailableError):
                await question

    at(exchange, play)


def test_fees_in_base_are_money_and_in_another_currency_are_named(exchange: Exchange) -> None:
    async def play(broker: CcxtBroker) -> None:
        await broker.submit(order())
        exchange.book.fill(1, "1", "10", ("0.001", "ATOM"))
        exchange.book.fill(1, "1", "10", ("0.0001", "BNB"))
        base, other = await broker.fills_since(0)
        assert base.fee == pytest.approx(0.01)
        assert (other.fee, other.meta["fee_currency"]) == (0.0, "BNB")

    at(exchange, play)


def test_news_are_fills_once_and_the_close(exchange: Exchange) -> None:
    async def play(broker: CcxtBroker) -> None:
        events = broker.events()
        await broker.submit(order())
        exchange.book.fill(1, "0.5", "10")
        first = await anext(events)
        assert isinstance(first, FillEvent)
        coming = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.05)
        exchange.book.fill(1, "1.5", "10")
        second = await coming
        assert isinstance(second, FillEvent)
        assert second.qty == 1.5
        closed = await anext(events)
        assert isinstance(closed, OrderClosed)
        assert (closed.status, closed.cumulative_qty) == ("filled", 2.0)

    at(exchange, play)
