"""Real venues through ccxt, as the protocol of `broker/base.py`; extra `ccxt`.

ccxt is trusted with addresses, signatures and names, and with nothing that could trade twice or otherwise than asked:

- Its retries are off: an order is posted once.
- It truncates amounts and rounds prices to what it believes are the venue's grids, without a word. We round ourselves;
  an order that ccxt would change is not sent.
- A refused id is not an error. Resending the id of a live order raises `InvalidOrder`, as a bad price does: the venue
  is asked whether it has the order, and that is the answer.
- No exchange's duplicate check makes resending safe: Binance takes an id again once its first order is filled. Nothing
  here ever sends an order again.
- A request that timed out, met a busy venue or got an answer without sense is UNKNOWN.

News comes by polling. Of what trades of ours look like, `fee` is in quote currency where the venue charges base or
quote; another currency's fee is left at 0 and named in the fill's meta.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, Literal

from broker.base import Answer, BrokerEvent, BrokerUnavailableError, Reply, VenueOrder, wire_id
from core.clock import Clock
from core.contracts import FillEvent, OrderClosed, OrderIntent
from core.errors import ConfigError
from core.instrument import Instrument

MS_NS: Final = 1_000_000
_STATUS: Final[dict[str, Literal["open", "filled", "cancelled", "expired", "rejected"]]] = {
    "open": "open",
    "closed": "filled",
    "canceled": "cancelled",
    "canceling": "open",
    "expired": "expired",
    "rejected": "rejected",
}


class CcxtBroker:
    """One account at one venue. `exchange`: an exchange of `ccxt.async_support`; it stays the caller's to close.

    `instruments`: every symbol that may have orders of ours. Raises ConfigError without ccxt.
    """

    def __init__(
        self, exchange: Any, instruments: Mapping[str, Instrument], clock: Clock, *, poll_s: float = 1.0
    ) -> None:
        try:
            import ccxt
        except ImportError as error:
            raise ConfigError("live venues need the extra: pip install 'fillwright[ccxt]'") from error
        self._ccxt: Any = ccxt
        self._exchange = exchange
        self._instruments = dict(instruments)
        self._clock = clock
        self._poll_s = poll_s
        self._symbols: dict[str, str] = {}  # of the orders that we know, by intent id
        self._ids: dict[str, str] = {}  # intent id by the venue's own order id
        exchange.options["maxRetriesOnFailure"] = 0

    @property
    def venue(self) -> str:
        return str(self._exchange.id)

    async def submit(self, intent: OrderIntent) -> Reply:
        """Raises ValueError for an id, quantity or price that could not be sent exactly as it is."""
        name = wire_id(intent.intent_id)
        amount, price = await self._exact(intent)
        self._symbols[name] = intent.symbol
        try:
            made = await self._exchange.create_order(
                intent.symbol, intent.type, intent.side, amount, price, {"clientOrderId": name}
            )
        except self._ccxt.OperationFailed as error:  # a network error, a time-out, a venue that is busy
            return Reply(Answer.UNKNOWN, reason=_line(error))
        except self._ccxt.InvalidOrder as error:
            return await self._already_there(intent, error)
        except self._refusals() as error:
            return self._rejected(intent, error)
        except (self._ccxt.BaseError, ValueError, TypeError, KeyError) as error:
            return Reply(Answer.UNKNOWN, reason=_line(error))  # an answer that makes no sense
        if not isinstance(made, Mapping) or not made.get("id"):  # ccxt makes an order even of a gateway's web page
            return Reply(Answer.UNKNOWN, reason="the answer names no order")
        self._ids[str(made["id"])] = name
        return Reply(Answer.ACCEPTED)

    async def cancel(self, intent: OrderIntent) -> Reply:
        target = wire_id(str(intent.target_intent_id))
        try:
            await self._exchange.cancel_order("", intent.symbol, {"clientOrderId": target})
        except self._ccxt.OrderNotFound as error:
            return Reply(Answer.REJECTED, reason=_line(error))
        except self._ccxt.BaseError as error:
            return Reply(Answer.UNKNOWN, reason=_line(error))
        return Reply(Answer.ACCEPTED)

    async def order(self, intent_id: str) -> VenueOrder | None:
        known = self._symbols.get(intent_id)
        for symbol in self._instruments if known is None else (known,):
            try:
                found = await self._exchange.fetch_order("", symbol, {"clientOrderId": intent_id})
            except self._ccxt.OrderNotFound:
                continue
            except self._ccxt.BaseError as error:
                raise BrokerUnavailableError(_line(error)) from error
            self._symbols[intent_id] = symbol
            return await self._seen(found, with_fills=True)
        return None

    async def open_orders(self) -> Sequence[VenueOrder]:
        seen: list[VenueOrder] = []
        for symbol in self._instruments:
            found = await self._ask(self._exchange.fetch_open_orders, symbol)
            seen += [await self._seen(one, with_fills=False) for one in found]
        return seen

    async def fills_since(self, ts_ns: int) -> Sequence[FillEvent]:
        """Fills of orders whose client id is not ours any more to find have the venue's id as `order_id`."""
        fills: list[FillEvent] = []
        for symbol in self._instruments:
            trades = await self._ask(self._exchange.fetch_my_trades, symbol, ts_ns // MS_NS)
            fills += [await self._fill(trade) for trade in trades]
        return sorted((fill for fill in fills if fill.ts_fill_ns >= ts_ns), key=lambda fill: fill.ts_fill_ns)

    def events(self) -> AsyncIterator[BrokerEvent]:
        """Fills as they are found, and the closes of orders that were open when we last looked."""
        return self._events(self._clock.now_ns())

    # ---- inside

    async def _events(self, since_ns: int) -> AsyncIterator[BrokerEvent]:
        told: set[tuple[str, str]] = set()
        open_before: set[str] = set()
        while True:
            try:
                fills = await self.fills_since(since_ns)
                open_now = {order.intent_id for order in await self.open_orders()}
                gone = [found for name in sorted(open_before - open_now) if (found := await self.order(name))]
            except BrokerUnavailableError:
                await asyncio.sleep(self._poll_s)
                continue
            for fill in (*fills, *(late for order in gone for late in order.fills)):
                if (fill.symbol, fill.fill_id) not in told:
                    told.add((fill.symbol, fill.fill_id))
                    yield fill
            for order in gone:
                if not order.is_open:
                    yield self._closed(order)
            open_before = open_now
            await asyncio.sleep(self._poll_s)

    async def _exact(self, intent: OrderIntent) -> tuple[str, str | None]:
        """Quantity and price as text on the venue's grids, which ccxt must leave as they are."""
        instrument = self._instruments.get(intent.symbol)
        if instrument is None:
            raise ValueError(f"symbol {intent.symbol!r} has no instrument here; known: {', '.join(self._instruments)}")
        await self._exchange.load_markets()
        lots = instrument.lots(intent.qty)
        amount = instrument.wire_qty(lots)
        price = None if intent.limit_price is None else instrument.wire_price(instrument.ticks(intent.limit_price))
        if instrument.qty(lots) != intent.qty:
            raise ValueError(f"quantity {intent.qty} of {intent.intent_id} is off the lot of {instrument.lot}")
        if price is not None and float(price) != intent.limit_price:
            raise ValueError(f"price {intent.limit_price} of {intent.intent_id} is off the tick of {instrument.tick}")
        sent = [("quantity", amount, self._exchange.amount_to_precision(intent.symbol, amount))]
        if price is not None:
            sent.append(("price", price, self._exchange.price_to_precision(intent.symbol, price)))
        for what, wanted, would_be in sent:
            if float(wanted) != float(would_be):
                raise ValueError(
                    f"{what} {wanted} of {intent.intent_id} would be sent as {would_be}: check the instrument"
                )
        return amount, price

    async def _already_there(self, intent: OrderIntent, error: Exception) -> Reply:
        """The venue would not take it: because it has it, or because it does not like it."""
        try:
            found = await self.order(intent.intent_id)
        except BrokerUnavailableError:
            return Reply(Answer.UNKNOWN, reason=_line(error))
        return self._rejected(intent, error) if found is None else Reply(Answer.ACCEPTED, reason="it was there before")

    def _rejected(self, intent: OrderIntent, error: Exception) -> Reply:
        reason = _line(error)
        closed = OrderClosed(intent.intent_id, self.venue, "rejected", 0.0, self._clock.now_ns(), reason)
        return Reply(Answer.REJECTED, closed, reason)

    def _refusals(self) -> tuple[type[Exception], ...]:
        """Answers that say for certain that there is no order."""
        ccxt = self._ccxt
        return (
            ccxt.InsufficientFunds,
            ccxt.BadRequest,
            ccxt.AuthenticationError,
            ccxt.ArgumentsRequired,
            ccxt.NotSupported,
        )

    async def _ask(self, question: Any, *arguments: Any) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = await question(*arguments)
        except self._ccxt.BaseError as error:
            raise BrokerUnavailableError(_line(error)) from error
        return found

    async def _seen(self, found: Mapping[str, Any], *, with_fills: bool) -> VenueOrder:
        name = str(found.get("clientOrderId") or found["id"])
        self._ids[str(found["id"])] = name
        self._symbols.setdefault(name, found["symbol"])
        filled = float(found["filled"] or 0.0)
        fills: tuple[FillEvent, ...] = ()
        if with_fills and filled:
            trades = await self._ask(
                self._exchange.fetch_my_trades, found["symbol"], None, None, {"orderId": found["id"]}
            )
            fills = tuple([await self._fill(one) for one in trades if str(one["order"]) == str(found["id"])])
        status = _STATUS.get(str(found["status"]), "open")
        return VenueOrder(name, found["symbol"], status, float(found["amount"]), filled, fills)

    async def _fill(self, trade: Mapping[str, Any]) -> FillEvent:
        symbol, price, qty = trade["symbol"], float(trade["price"]), float(trade["amount"])
        fee, meta = self._fee(trade, price)
        return FillEvent(
            str(trade["id"]),
            await self._owner(str(trade["order"]), symbol),
            symbol,
            trade["side"],
            qty,
            price,
            int(trade["timestamp"]) * MS_NS,
            fee,
            "maker" if trade.get("takerOrMaker") == "maker" else "taker",
            meta,
        )

    async def _owner(self, venue_id: str, symbol: str) -> str:
        """The client order id behind a venue's order id, which is all that a trade names."""
        if venue_id not in self._ids:
            try:
                found = await self._exchange.fetch_order(venue_id, symbol)
            except self._ccxt.OrderNotFound:
                return venue_id
            except self._ccxt.BaseError as error:
                raise BrokerUnavailableError(_line(error)) from error
            self._ids[venue_id] = str(found.get("clientOrderId") or venue_id)
        return self._ids[venue_id]

    @staticmethod
    def _fee(trade: Mapping[str, Any], price: float) -> tuple[float, dict[str, Any]]:
        fee = trade.get("fee") or {}
        cost, currency = float(fee.get("cost") or 0.0), fee.get("currency")
        base, _, quote = str(trade["symbol"]).partition(":")[0].partition("/")
        if currency in (None, quote):
            return cost, {}
        if currency == base:
            return cost * price, {}
        return 0.0, {"fee_currency": currency, "fee_cost": cost}

    def _closed(self, order: VenueOrder) -> OrderClosed:
        status: Any = order.status
        return OrderClosed(order.intent_id, self.venue, status, order.cumulative_qty, self._clock.now_ns())


def _line(error: BaseException) -> str:
    """What it says, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
