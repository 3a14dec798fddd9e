"""How long messages travel between us and a venue."""

from __future__ import annotations

from dataclasses import dataclass

from core import checks

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds; all zero: we stand in the venue.

    feed_ms       from a change of the market until we see it
    order_ms      from our sending an order until it is in the market
    cancel_ms     from our asking to cancel until the venue acts; what fills before then is filled
    response_ms   from a fill, close or reject until we hear of it
    """

    feed_ms: int = 0
    order_ms: int = 0
    cancel_ms: int = 0
    response_ms: int = 0

    def __post_init__(self) -> None:
        for name in ("feed_ms", "order_ms", "cancel_ms", "response_ms"):
            value = getattr(self, name)
            checks.not_negative(name, value)
            if value != int(value):
                raise ValueError(f"{name} must be a whole number of milliseconds, was {value}")

    @property
    def feed_ns(self) -> int:
        return self.feed_ms * NS_PER_MS

    @property
    def order_ns(self) -> int:
        return self.order_ms * NS_PER_MS

    @property
    def cancel_ns(self) -> int:
        return self.cancel_ms * NS_PER_MS

    @property
    def response_ns(self) -> int:
        return self.response_ms * NS_PER_MS
