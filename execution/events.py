"""What a parent hears besides the contracts `OrderEvent`, `FillEvent`, `OrderClosed` and `RiskDecision`."""

from __future__ import annotations

from dataclasses import dataclass

from core import checks
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent, RiskDecision


@dataclass(frozen=True, slots=True)
class Wake:
    """Time has passed. Lost, late and repeated ones change nothing."""


@dataclass(frozen=True, slots=True)
class Market:
    """The market as of `ts_ns`: best bid and ask in ticks, and all lots that have traded since some fixed moment."""

    ts_ns: int
    bid_ticks: int
    ask_ticks: int
    tape_lots: int = 0


@dataclass(frozen=True, slots=True)
class OrderUnknown:
    """Nobody can say whether the venue has this order; its lots stay reserved until there is evidence."""

    intent_id: str


@dataclass(frozen=True, slots=True)
class Pause:
    reason: str = "paused by request"


@dataclass(frozen=True, slots=True)
class Resume:
    pass


@dataclass(frozen=True, slots=True)
class Cancel:
    reason: str = "cancelled by request"


@dataclass(frozen=True, slots=True)
class Amend:
    """New total quantity (lots), new end (ns) or new limit (ticks, 0: none); None leaves a thing as it is.

    Raises ValueError for a quantity below 1, which is a `Cancel`, and for a limit below 0.
    """

    quantity: int | None = None
    end_ns: int | None = None
    limit_ticks: int | None = None

    def __post_init__(self) -> None:
        if self.quantity is not None:
            checks.positive("quantity", self.quantity)
        if self.limit_ticks is not None:
            checks.not_negative("limit_ticks", self.limit_ticks)


Event = (
    Wake | Market | OrderEvent | FillEvent | OrderClosed | RiskDecision | OrderUnknown | Pause | Resume | Cancel | Amend
)


@dataclass(frozen=True, slots=True)
class Step:
    """A parent's answer: what to publish now, and when to wake it next (None: it waits for events, or has ended)."""

    commands: tuple[OrderIntent, ...]
    wake_ns: int | None
