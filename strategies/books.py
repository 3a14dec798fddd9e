"""A strategy's account while it trades: lots and cash, exact to the fill, in every driver the same arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from core.contracts import FillEvent, sign
from core.instrument import Instrument
from strategies.base import Account


@dataclass(slots=True)
class Books:
    """`lots`: the signed position. What is on its way is for the driver to know: parents start and end there."""

    instrument: Instrument
    cash: float
    lots: int = 0

    def fill(self, fill: FillEvent) -> int:
        """Lots and money move; returns the signed lots that did."""
        change = sign(fill.side) * self.instrument.lots(fill.qty)
        self.lots += change
        self.cash += -sign(fill.side) * self.instrument.notional(fill.qty, fill.price) - fill.fee
        return change

    def account(self, ts_ns: int, price: float, working_lots: int) -> Account:
        """What the strategy sees at this moment, valued at this price. `working_lots`: signed, on their way."""
        instrument = self.instrument
        position = instrument.qty(self.lots)
        return Account(
            instrument.symbol,
            ts_ns,
            price,
            position,
            instrument.qty(working_lots),
            self.cash + instrument.notional(position, price),
            self.cash,
        )
