"""Simulated markets as things that happen in time: what the replayed trader and the paper venue trade in.

`run(until_ns)` plays on, and stops at the first moment at which there is something for us. A market of bars has two
such moments a bar: its open, which comes after everything else that happens at that nanosecond (an order sent then
still trades in the bar), and its close.
"""

from __future__ import annotations

from typing import Protocol

from core.contracts import OrderClosed, OrderIntent
from core.instrument import Instrument
from execution.events import Market
from execution.market import BarMarket, VenueEvent


class TimedMarket(Protocol):
    """A market that is played by the clock."""

    @property
    def instrument(self) -> Instrument: ...
    @property
    def busy(self) -> bool: ...
    def submit(self, intent: OrderIntent, now_ns: int) -> OrderClosed | None: ...
    def cancel(self, intent: OrderIntent, now_ns: int) -> OrderClosed | None: ...
    def run(self, until_ns: int) -> tuple[int, list[VenueEvent]]: ...
    def view(self, now_ns: int) -> Market: ...
    def mid(self, now_ns: int) -> float: ...


class TimedBars:
    """A `BarMarket` by the clock. After its last bar nothing happens any more."""

    def __init__(self, market: BarMarket) -> None:
        self._market = market
        self._opens = market.bars.ts_open_ns.tolist()
        self._closes = market.bars.ts_close_ns.tolist()
        self._bar = 0  # the next one to close
        self._is_open = False

    @property
    def instrument(self) -> Instrument:
        return self._market.instrument

    @property
    def busy(self) -> bool:
        return self._market.busy

    def submit(self, intent: OrderIntent, now_ns: int) -> OrderClosed | None:
        return self._market.submit(intent, now_ns)

    def cancel(self, intent: OrderIntent, now_ns: int) -> OrderClosed | None:
        return self._market.cancel(intent, now_ns)

    def run(self, until_ns: int) -> tuple[int, list[VenueEvent]]:
        """Opens before `until_ns` and closes up to it, as far as the first that has something for us."""
        while self._bar < len(self._opens):
            k = self._bar
            if not self._is_open:
                if self._opens[k] >= until_ns:
                    break
                self._is_open = True
                events = self._market.open(k)
                if events:
                    return self._opens[k], events
            if self._closes[k] > until_ns:
                break
            self._is_open = False
            self._bar += 1
            events = self._market.close(k)
            if events:
                return self._closes[k], events
        return until_ns, []

    def view(self, now_ns: int) -> Market:  # noqa: ARG002 - what is known is what has closed
        """The market as of the last close."""
        return self._market.quote(self._bar - 1)

    def mid(self, now_ns: int) -> float:  # noqa: ARG002 - the same
        return self._market.mid(self._bar - 1)
