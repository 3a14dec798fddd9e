"""What every broker can do, and what it answers; nobody but the live flow talks to one.

An answer may be that nobody knows: a request whose reply was lost is `UNKNOWN`, never a failure and never a success,
until the venue has been asked again. Orders are known by their intent's id, which is the client order id on the wire;
a venue gives nothing else back, so `meta` is the order store's to remember.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, Protocol

from core import checks
from core.contracts import Contract, FillEvent, OrderClosed, OrderEvent, OrderIntent

WIRE_ID: Final = re.compile(r"[a-z0-9-]{1,32}")
BrokerEvent = OrderEvent | FillEvent | OrderClosed


class BrokerUnavailableError(ConnectionError):
    """The venue cannot be asked now; nothing is known that was not known before."""


class Answer(Enum):
    """What became of a request, as far as its reply says."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"  # the reply was lost, or made no sense: ask `order`


@dataclass(frozen=True, slots=True)
class VenueOrder(Contract):
    """An order as the venue has it. `cumulative_qty` is all that it ever filled; `fills` are those it still lists."""

    intent_id: str
    symbol: str
    status: Literal["open", "filled", "cancelled", "expired", "rejected"]
    qty: float
    cumulative_qty: float
    fills: tuple[FillEvent, ...] = ()
    reason: str | None = None

    def __post_init__(self) -> None:
        checks.one_of("status", self.status, ("open", "filled", "cancelled", "expired", "rejected"))
        checks.not_negative("cumulative_qty", self.cumulative_qty)

    @property
    def is_open(self) -> bool:
        return self.status == "open"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, with what the venue said beside it: the close where it rejected, the reason where it is unknown."""

    answer: Answer
    closed: OrderClosed | None = None
    reason: str | None = None


class Broker(Protocol):
    """A connection to a venue. Every method may raise `BrokerUnavailableError`; none of them retries an order."""

    @property
    def venue(self) -> str: ...

    async def submit(self, intent: OrderIntent) -> Reply:
        """Sends a new order once. UNKNOWN where the reply is missing: it may stand in the book."""
        ...

    async def cancel(self, intent: OrderIntent) -> Reply:
        """Asks for the end of `intent.target_intent_id`. ACCEPTED means that it was asked for; the close is an event.

        REJECTED: the venue does not have it open any more; its fate is known by `order`.
        """
        ...

    async def order(self, intent_id: str) -> VenueOrder | None:
        """One order by its client order id; None where the venue has definitely never had it."""
        ...

    async def open_orders(self) -> Sequence[VenueOrder]:
        """All that is open in this account, whoever sent it."""
        ...

    async def fills_since(self, ts_ns: int) -> Sequence[FillEvent]:
        """Fills of this account from a moment on, in order of time; overlap is harmless, fills count by their id."""
        ...

    def events(self) -> AsyncIterator[BrokerEvent]:
        """Acceptances, fills and closes as they come, from the call on; some may be missing, some come twice."""
        ...


def wire_id(intent_id: str) -> str:
    """The client order id of an intent. Raises ValueError where a venue would not take it."""
    if not WIRE_ID.fullmatch(intent_id):
        raise ValueError(f"intent_id {intent_id!r} cannot be a client order id: 1 to 32 of a-z, 0-9 and - are allowed")
    return intent_id
