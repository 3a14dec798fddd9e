"""The messages that everybody exchanges: frozen, validated when made, exact to and from dictionaries.

Quantities and prices are floats in the symbol's own units; every time is an integer of nanoseconds since the epoch
(`*_ns`). Rules and machines count in lots and ticks instead; `core.instrument` converts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from core import checks, codec
from core.frozen import EMPTY, FrozenDict

Side = Literal["buy", "sell"]
OrderType = Literal["limit", "market"]
Liquidity = Literal["maker", "taker"]
CloseReason = Literal["filled", "cancelled", "expired", "rejected"]

SIDES: tuple[Side, ...] = ("buy", "sell")
TYPES: tuple[OrderType, ...] = ("limit", "market")
ACTIONS: tuple[Literal["new", "cancel"], ...] = ("new", "cancel")


def sign(side: Side) -> int:
    """+1 for a buy, -1 for a sell."""
    return 1 if side == "buy" else -1


class Contract:
    """What every message can do."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        return codec.to_dict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return codec.from_dict(cls, data)

    @classmethod
    def from_json(cls, line: bytes | str) -> Self:
        """What `from_dict` makes of a line of JSON, and refuses for the same reasons."""
        return codec.read_json(cls, line)

    def _freeze_meta(self) -> None:
        meta = self.meta  # type: ignore[attr-defined]
        if type(meta) is not FrozenDict:
            object.__setattr__(self, "meta", FrozenDict(meta))


@dataclass(frozen=True, slots=True)
class OrderIntent(Contract):
    """A wish to trade, or to cancel a wish (`action="cancel"` with `target_intent_id`); nothing trades before the gate.

    `intent_id` is the client order id. A cancel repeats the target's side and type; its `qty` is what is still open.
    """

    intent_id: str
    ts_local_ns: int
    strategy_id: str
    symbol: str
    side: Side
    type: OrderType
    qty: float
    limit_price: float | None = None
    meta: dict[str, Any] = field(default=EMPTY)
    action: Literal["new", "cancel"] = "new"
    target_intent_id: str | None = None
    expires_ts_ns: int | None = None

    def __post_init__(self) -> None:
        name, symbol, price = self.intent_id, self.symbol, self.limit_price
        if not (  # the usual order passes all checks in one go; they are asked what is wrong with another one
            self.action == "new"
            and self.type in TYPES
            and (price is None if self.type == "market" else price is not None and 0.0 < price < math.inf)
            and 0.0 < self.qty < math.inf
            and self.side in SIDES
            and self.target_intent_id is None
            and 0 <= self.ts_local_ns < math.inf
            and name
            and name == name.strip()
            and symbol
            and symbol == symbol.strip()
        ):
            self._check()
        self._freeze_meta()

    def _check(self) -> None:
        checks.named("intent_id", self.intent_id)
        checks.named("symbol", self.symbol)
        checks.not_negative("ts_local_ns", self.ts_local_ns)
        checks.one_of("side", self.side, SIDES)
        checks.one_of("type", self.type, TYPES)
        checks.one_of("action", self.action, ACTIONS)
        checks.positive("qty", self.qty)
        if self.limit_price is not None:
            checks.positive("limit_price", self.limit_price)
        if self.action == "cancel":
            if not self.target_intent_id:
                raise ValueError("target_intent_id must name the intent to cancel, was None")
        elif self.target_intent_id is not None:
            raise ValueError(f"target_intent_id belongs to a cancel only, was {self.target_intent_id!r} on a new order")
        elif (self.type == "limit") != (self.limit_price is not None):
            raise ValueError(f"limit_price must be set for a limit order and only there, was {self.limit_price}")


@dataclass(frozen=True, slots=True)
class RiskDecision(Contract):
    """The gate's answer. `reason` joins all breaches; `caps` holds each breached rule's id with value and limit."""

    intent_id: str
    allowed: bool
    reason: str | None = None
    caps: dict[str, Any] = field(default=EMPTY)


@dataclass(frozen=True, slots=True)
class OrderEvent(Contract):
    """A venue took the order: it is open there under `wire_id`."""

    intent_id: str
    venue: str
    wire_id: str
    symbol: str
    side: Side
    type: OrderType
    qty: float
    ts_accepted_ns: int
    limit_price: float | None = None
    meta: dict[str, Any] = field(default=EMPTY)

    def __post_init__(self) -> None:
        checks.positive("qty", self.qty)
        self._freeze_meta()

    @classmethod
    def of(cls, intent: OrderIntent, venue: str, now_ns: int) -> Self:
        """The acceptance of an intent that is known at the venue by its own id."""
        name = intent.intent_id
        return cls(name, venue, name, intent.symbol, intent.side, intent.type, intent.qty, now_ns, intent.limit_price)


@dataclass(frozen=True, slots=True)
class OrderClosed(Contract):
    """The venue's last word on an order. `cumulative_qty` is all that it ever filled, in or out of our sight."""

    intent_id: str
    venue: str
    status: CloseReason
    cumulative_qty: float
    ts_closed_ns: int
    reason: str | None = None

    def __post_init__(self) -> None:
        checks.one_of("status", self.status, ("filled", "cancelled", "expired", "rejected"))
        checks.not_negative("cumulative_qty", self.cumulative_qty)


@dataclass(frozen=True, slots=True)
class FillEvent(Contract):
    """A trade of ours. `order_id` is the intent's id; `fee` is in quote currency, negative for a rebate."""

    fill_id: str
    order_id: str
    symbol: str
    side: Side
    qty: float
    price: float
    ts_fill_ns: int
    fee: float = 0.0
    liquidity: Liquidity = "taker"
    meta: dict[str, Any] = field(default=EMPTY)

    def __post_init__(self) -> None:
        checks.named("fill_id", self.fill_id)
        checks.one_of("side", self.side, SIDES)
        checks.one_of("liquidity", self.liquidity, ("maker", "taker"))
        checks.positive("qty", self.qty)
        checks.positive("price", self.price)
        checks.finite("fee", self.fee)
        self._freeze_meta()


@dataclass(frozen=True, slots=True)
class TradeEvent(Contract):
    """A public trade; `side` is the aggressor's, where the venue tells."""

    symbol: str
    price: float
    qty: float
    ts_ns: int
    side: Side | None = None
    trade_id: str | None = None

    def __post_init__(self) -> None:
        checks.positive("price", self.price)
        checks.positive("qty", self.qty)


@dataclass(frozen=True, slots=True)
class QuoteEvent(Contract):
    """The best bid and ask. A crossed quote is refused."""

    symbol: str
    bid: float
    ask: float
    ts_ns: int
    bid_qty: float = 0.0
    ask_qty: float = 0.0

    def __post_init__(self) -> None:
        checks.positive("bid", self.bid)
        checks.positive("ask", self.ask)
        if self.bid > self.ask:
            raise ValueError(f"bid must not be above ask, was {self.bid} above {self.ask}")


@dataclass(frozen=True, slots=True)
class OHLCVBar(Contract):
    """Open, high, low, close and volume of [ts_open_ns, ts_close_ns); nobody knows it before ts_close_ns."""

    symbol: str
    ts_open_ns: int
    ts_close_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    def __post_init__(self) -> None:
        if not self.ts_open_ns < self.ts_close_ns:
            raise ValueError(f"ts_close_ns must be after ts_open_ns {self.ts_open_ns}, was {self.ts_close_ns}")
        for name in ("open", "high", "low", "close"):
            checks.positive(name, getattr(self, name))
        checks.not_negative("volume", self.volume)
        if not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise ValueError(
                f"low <= open, close <= high must hold, was low {self.low}, open {self.open}, "
                f"close {self.close}, high {self.high}"
            )


@dataclass(frozen=True, slots=True)
class PositionSnapshot(Contract):
    """What a strategy holds: signed quantity, average entry price (NaN when flat), profit realised so far."""

    strategy_id: str
    symbol: str
    qty: float
    avg_price: float
    realized_pnl: float
    ts_ns: int
