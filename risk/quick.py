"""All rules for a new order in one go, for the usual case: it says yes only where each of them would.

The rules (`risk/rules.py`, `risk/rules_account.py`) define what may pass and say why something may not. Asking
nineteen functions costs more than all else that happens to an order, and almost every order passes. So the gate asks
here first; anything but a yes goes to the rules, whose word counts. Whoever changes a rule changes its line here too:
`tests/test_risk_quick.py` holds both against each other.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from decimal import Decimal
from fractions import Fraction

from core.contracts import OrderIntent
from core.instrument import Instrument
from risk.account import Account
from risk.book import BPS, EPSILON, Book
from risk.breakers import NS_PER_S, Breakers
from risk.kill import KillSwitch
from risk.limits import RiskLimits
from risk.parents import Parent
from risk.windows import Contents, Window

_MORE = 1 + EPSILON  # what a limit allows for rounding


class _Bounds:
    """One symbol's limits as the comparisons need them. `set`: none is missing."""

    __slots__ = (
        "age_s", "collar", "filtered", "lot", "lot_steps", "min_notional", "min_qty", "multiplier", "notional",
        "orders", "position", "qty", "set", "tick", "tick_steps",
    )  # fmt: skip

    def __init__(self, limits: RiskLimits, book: Book) -> None:
        own = book.limits
        needed = (
            own.max_order_qty, own.max_order_notional, own.max_position_qty, own.max_open_orders, own.price_collar_bps,
            own.max_reference_age_s,
        )  # fmt: skip
        self.set = None not in needed and limits.allows(book.symbol)
        self.qty = (own.max_order_qty or 0.0) * _MORE
        self.notional = (own.max_order_notional or 0.0) * _MORE
        self.position = (own.max_position_qty or 0.0) * _MORE
        self.orders = own.max_open_orders or 0
        self.collar = (own.price_collar_bps or 0.0) * BPS
        self.age_s = own.max_reference_age_s or 0.0
        self.multiplier = book.multiplier
        venue = book.instrument
        self.filtered = venue is not None
        if venue is None:
            self.set = self.set and limits.venue_filters == "if_known"
        else:
            self._take_filters(venue, book)

    def _take_filters(self, venue: Instrument, book: Book) -> None:
        lot, tick = Fraction(Decimal(venue.lot)), Fraction(Decimal(venue.tick))
        self.lot, self.lot_steps = book.lot, (lot.numerator, lot.denominator)
        self.tick, self.tick_steps = book.tick, (tick.numerator, tick.denominator)
        self.min_qty, self.min_notional = float(venue.min_qty), venue.min_notional


class Quick:
    """`passes` of one gate, whose parts it reads."""

    def __init__(
        self,
        limits: RiskLimits,
        kill: KillSwitch | None,
        account: Account,
        breakers: Breakers,
        contents: Contents,
        orders: Window,
    ) -> None:
        self._limits = limits
        self._kill = kill
        self._account = account
        self._breakers = breakers
        self._contents = contents
        self._orders = orders
        self._bounds: dict[str, _Bounds] = {}
        needed = (
            limits.symbols, limits.account.max_open_notional, limits.account.buying_power,
            limits.account.max_open_orders, limits.account.max_daily_loss, limits.rate.window_s, limits.rate.max_orders,
            limits.repeats.max_executions, limits.repeats.window_s, limits.rejects.max_rejects,
            limits.rejects.last_orders, limits.rejects.window_s, limits.intents.max_age_s,
            limits.intents.duplicate_window_s, limits.parents, limits.venue_filters, kill,
        )  # fmt: skip
        self._set = None not in needed
        self._open_notional = (limits.account.max_open_notional or 0.0) * _MORE
        self._power = (limits.account.buying_power or 0.0) * _MORE
        self._open_orders = limits.account.max_open_orders or 0
        self._loss = limits.account.max_daily_loss or 0.0
        self._rate_ns = int((limits.rate.window_s or 0.0) * NS_PER_S)
        self._rate = limits.rate.max_orders or 0
        self._age_s = limits.intents.max_age_s or 0.0
        self._duplicate_ns = int((limits.intents.duplicate_window_s or 0.0) * NS_PER_S)
        self._parents_required = limits.parents == "required"

    def passes(
        self, intent: OrderIntent, now_ns: int, book: Book, content: Hashable, parent: Parent | None, epoch: int | None
    ) -> bool:
        """Whether no rule refuses this new order of `parent`; False: ask them. `epoch`: the highest known."""
        bounds = self._bounds.get(book.symbol) or self._bounds_of(book)
        qty, limit, side, sent_by = intent.qty, intent.limit_price, intent.side, intent.meta.get("epoch")
        bid, ask, seen_ns = book.bid, book.ask, book.reference_ts_ns
        return (
            self._set
            and bounds.set
            and not self._breakers.disabled  # R06, R16
            and seen_ns is not None  # R04
            and 0.0 < bid <= ask < math.inf
            and -bounds.age_s <= (now_ns - seen_ns) / NS_PER_S <= bounds.age_s
            and qty <= bounds.qty  # R01
            and (
                limit is None  # R03
                or bid * (1 - bounds.collar) * (1 - EPSILON) <= limit <= ask * (1 + bounds.collar) * _MORE
            )
            and self._is_affordable(side == "buy", qty, limit, book, bounds)
            and book.buys.orders + book.sells.orders < bounds.orders  # R10
            and (
                not self._parents_required  # R11
                if parent is None
                else parent.symbol == intent.symbol
                and parent.side == side
                and parent.filled + parent.reserved + qty <= parent.qty * _MORE
            )
            and -self._age_s <= (now_ns - intent.ts_local_ns) / NS_PER_S <= self._age_s  # R15
            and (intent.expires_ts_ns is None or now_ns < intent.expires_ts_ns)
            and (not bounds.filtered or _is_on_grid(qty, limit, bid, bounds))  # R17
            and (
                epoch is None if sent_by is None else type(sent_by) is int and (epoch is None or sent_by >= epoch)
            )  # R20
            and self._orders.count(now_ns, self._rate_ns) < self._rate  # R05
            and self._contents.find(content, now_ns, self._duplicate_ns) is None  # R07
            and not self._kill.tripped()  # type: ignore[union-attr]  # R18
        )

    def _bounds_of(self, book: Book) -> _Bounds:
        """Kept for symbols of the allow-list only: names are free, and memory is not."""
        bounds = _Bounds(self._limits, book)
        if bounds.set:
            self._bounds[book.symbol] = bounds
        return bounds

    def _is_affordable(self, buys: bool, qty: float, limit: float | None, book: Book, bounds: _Bounds) -> bool:
        """R02, R08, R09, R10 of the account, R12, R13."""
        account, position = self._account, book.position
        price = book.ask * (1.0 + bounds.collar) if limit is None else limit
        worth = qty * price * bounds.multiplier
        if buys:
            own, resting = book.buys, book.sells.best
            apart = resting is None or (limit is not None and limit < resting)
            could_be = book.value + book.buys_worth + worth
        else:
            own, resting = book.sells, book.buys.best
            apart = resting is None or (limit is not None and limit > resting)
            could_be = book.sells_worth + worth - book.value
            position = -position
        exposure = book.exposure
        return (
            apart
            and worth <= bounds.notional
            and position + own.qty + qty <= bounds.position
            and not account.unpriced
            and account.open_worth + worth <= self._open_notional
            and account.exposure - exposure + (could_be if could_be > exposure else exposure) <= self._power
            and account.open_orders < self._open_orders
            and -account.profit <= self._loss
        )


def _is_on_grid(qty: float, limit: float | None, bid: float, bounds: _Bounds) -> bool:
    try:
        numerator, denominator = bounds.lot_steps
        if round(qty / bounds.lot) * numerator / denominator != qty:
            return False
        if limit is not None:
            numerator, denominator = bounds.tick_steps
            if round(limit / bounds.tick) * numerator / denominator != limit:
                return False
    except (ValueError, OverflowError):  # NaN or infinite
        return False
    price = bid if limit is None else limit
    return qty >= bounds.min_qty and qty * price * bounds.multiplier >= bounds.min_notional
