"""What the gate knows of one symbol: position, open orders, reference price, and what that is worth.

Quantities are floats. The gate compares them with limits that are policy, not accounting, so being right to one part
in 10**9 is enough (`EPSILON`), and an error of rounding cannot build up: every order's share is computed from its own
few fills, and the sums of open orders restart from exactly 0 whenever nothing is open. Lots would be exact, but they
would tie the gate to one venue's grid, and positions in a symbol may come from several venues.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from core.contracts import Side
from core.instrument import Instrument
from risk.limits import SymbolLimits

EPSILON = 1e-9
BPS = 1e-4


@dataclass(slots=True)
class OpenOrders:
    """The orders of one side that may still trade: open, or of unknown fate."""

    side: Side
    orders: int = 0
    qty: float = 0.0
    limit_worth: float = 0.0  # quantity times limit price
    market_qty: float = 0.0
    best: float | None = None  # the limit price that trades first
    _resting: dict[str, float] = field(default_factory=dict)

    def reserve(self, qty: float, price: float | None) -> None:
        """Add to (or, below 0, take from) what may still trade."""
        self.qty += qty
        if price is None:
            self.market_qty += qty
        else:
            self.limit_worth += qty * price

    def begin(self, intent_id: str, qty: float, price: float | None) -> None:
        self.orders += 1
        self.qty += qty
        if price is None:
            self.market_qty += qty
            return
        self.limit_worth += qty * price
        self._resting[intent_id] = price
        best = self.best
        if best is None or (price > best if self.side == "buy" else price < best):
            self.best = price

    def rest_no_more(self, intent_id: str) -> None:
        """It is not in the venue's book any more; fills may still be on their way."""
        price = self._resting.pop(intent_id, None)
        if price is not None and price == self.best:
            prices = self._resting.values()
            self.best = None if not prices else max(prices) if self.side == "buy" else min(prices)

    def end(self, intent_id: str) -> None:
        self.rest_no_more(intent_id)
        self.orders -= 1
        if self.orders == 0:
            self.qty = self.limit_worth = self.market_qty = 0.0


@dataclass(slots=True)
class Book:
    """One symbol of the account: all strategies together, because the venue nets them in one position.

    `mark` (mid) and `edge` (the ask with the collar on it) are of the newest price that could be used, however old: one
    symbol without data must not stop the others. `value`, `buys_worth`,
    `sells_worth` and `exposure` are what the account has counted of it.
    """

    symbol: str
    limits: SymbolLimits
    instrument: Instrument | None = None
    position: float = 0.0
    buys: OpenOrders = field(default_factory=lambda: OpenOrders("buy"))
    sells: OpenOrders = field(default_factory=lambda: OpenOrders("sell"))
    bid: float = math.nan
    ask: float = math.nan
    reference_ts_ns: int | None = None
    mark: float = math.nan
    edge: float = math.nan
    value: float = 0.0  # of the position
    buys_worth: float = 0.0
    sells_worth: float = 0.0
    exposure: float = 0.0
    multiplier: float = 1.0
    lot: float = math.nan
    tick: float = math.nan

    def __post_init__(self) -> None:
        if self.instrument is not None:
            self.multiplier = self.instrument.multiplier
            self.lot, self.tick = self.instrument.qty(1), self.instrument.price(1)

    @property
    def open_orders(self) -> int:
        return self.buys.orders + self.sells.orders

    def own(self, side: Side) -> OpenOrders:
        return self.buys if side == "buy" else self.sells

    def price(self, bid: float, ask: float, ts_ns: int) -> None:
        """The reference price; one that is not sane is kept to be refused, but worth nothing."""
        self.bid, self.ask, self.reference_ts_ns = bid, ask, ts_ns
        if sane(bid, ask):
            self.mark = (bid + ask) / 2
            self.edge = ask * (1.0 + (self.limits.price_collar_bps or 0.0) * BPS)

    def appraise(self) -> None:
        """Works out what it is worth: NaN where something is held or open that has never had a price.

        exposure = max(value + open buys, open sells - value): the larger of the positions that may come of it.
        """
        size, position, bought, sold = self.multiplier, self.position, self.buys, self.sells
        value = position * self.mark * size if position else 0.0
        buys, sells = bought.limit_worth, sold.limit_worth
        if bought.market_qty:
            buys += bought.market_qty * self.edge
        if sold.market_qty:
            sells += sold.market_qty * self.edge
        self.value, self.buys_worth, self.sells_worth = value, buys * size, sells * size
        up, down = value + self.buys_worth, self.sells_worth - value
        self.exposure = up if up >= down or up != up else down  # NaN in either stays NaN


def sane(bid: float, ask: float) -> bool:
    """Infinity and NaN fail the chain of comparisons; a locked market (bid = ask) is a price."""
    return 0.0 < bid <= ask < math.inf
