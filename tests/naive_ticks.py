"""A slow, obvious twin of `execution.ticks`: dictionaries and lists, one event after the other, nothing clever.

Prices in ticks, quantities in lots, half spreads in ticks; no impact. After every row each of our orders looks at the
whole book again, and everything that is due is looked for in plain lists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from execution.ticks.rows import ASK_LEVEL, BEST_ASK, BEST_BID, BID_LEVEL, TRADE

Row = tuple[int, int, int, float, int]
"""kind, ts_ns, ticks, quantity, aggressor"""
Heard = tuple[int, str, str, int, float, str, int]
"""when heard, "fill" or the status, order, lots (of the fill; of a close, in all), price in ticks, liquidity, when"""


@dataclass
class Wish:
    """An order of ours; `limit` None: a market order. `cancel_ns`: when we ask to cancel it."""

    name: str
    sent_ns: int
    sign: int
    lots: int
    limit: int | None = None
    expires_ns: int | None = None
    cancel_ns: int | None = None


@dataclass
class Mine:
    wish: Wish
    born: int
    left: int
    front: float
    shown: float
    traded: float = 0.0
    taker: bool = False
    given: float = 0.0  # of the next lot

    def gives(self, ticks: int) -> float:
        """How many ticks beyond this price it would go."""
        return math.inf if self.wish.limit is None else self.wish.sign * (self.wish.limit - ticks)


@dataclass
class Naive:
    shows: str  # "nothing", "best", "levels"
    participation: float = 0.1
    half: float = 0.0
    queue: str = "risk_averse"
    exponent: float = 2.0
    queue_ahead: float = math.inf
    order_ns: int = 0
    cancel_ns: int = 0
    response_ns: int = 0
    shown: dict[tuple[int, int], float] = field(default_factory=dict)  # by sign of the side and ticks
    taken: dict[tuple[int, int], float] = field(default_factory=dict)
    traded: dict[tuple[int, int], float] = field(default_factory=dict)
    mine: list[Mine] = field(default_factory=list)
    quoted: dict[int, int] = field(default_factory=dict)  # best prices by sign, where no more is shown
    last: tuple[int, int] | None = None
    credit: float = 0.0
    arrived: int = 0
    heard: list[Heard] = field(default_factory=list)

    def play(self, rows: list[Row], wishes: list[Wish]) -> list[Heard]:
        """Everything that we hear, in the order in which we do."""
        todo: list[tuple[int, int, int, str, object]] = []
        for at, row in enumerate(rows):
            todo.append((row[1], 0, at, "row", row))
        for at, wish in enumerate(wishes):
            arrives = wish.sent_ns + self.order_ns
            todo.append((arrives, 1, at, "arrives", wish))
            if wish.cancel_ns is not None:
                todo.append((wish.cancel_ns + self.cancel_ns, 2, at, "cancels", wish))
            if wish.expires_ns is not None:
                todo.append((max(wish.expires_ns - 1, arrives), 3, at, "expires", wish))
        todo.sort(key=lambda one: one[:3])
        for ts_ns, _, _, what, thing in todo:
            if what == "row":
                self._row(thing)  # type: ignore[arg-type]
            elif what == "arrives":
                self._arrives(thing, ts_ns)  # type: ignore[arg-type]
            elif what == "cancels":
                self._leaves(thing, "cancelled", ts_ns)  # type: ignore[arg-type]
            else:
                self._leaves(thing, "expired", thing.expires_ns)  # type: ignore[arg-type, attr-defined]
        return sorted(self.heard, key=lambda one: one[0])

    # ---- ours

    def _arrives(self, wish: Wish, ts_ns: int) -> None:
        order = Mine(wish, self.arrived, wish.lots, 0.0, 0.0)
        self.arrived += 1
        if wish.expires_ns is not None and wish.expires_ns <= ts_ns:
            self.mine.append(order)
            self._leaves(wish, "expired", max(wish.expires_ns, ts_ns), wish.expires_ns)
            return
        self.mine.append(order)
        if self.shows == "nothing":
            if not any(other.taker and other.left for other in self.mine[:-1]):
                self.credit = 0.0
            order.front = self.queue_ahead
            if self.last is None:
                order.taker = True
            else:
                ticks, aggressor = self.last
                order.taker = order.gives(0) - wish.sign * (ticks - aggressor * self.half) >= self.half - 1e-9
            return
        if wish.limit is not None:
            key = (wish.sign, wish.limit)
            if key in self.shown:
                order.front = max(self.shown[key] - self.traded.get(key, 0.0), 0.0)
                order.shown = order.front
            elif self.shows == "best":
                best = self._best(wish.sign)
                order.front = 0.0 if best is None or wish.sign * (wish.limit - best) > 0 else math.inf
        order.taker = True
        self._cross(order, ts_ns)
        order.taker = wish.limit is None

    def _leaves(self, wish: Wish, status: str, ts_ns: int, stamp: int | None = None) -> None:
        for order in self.mine:
            if order.wish is wish and order.left > 0:
                self.mine.remove(order)
                filled = wish.lots - order.left
                happened = ts_ns if stamp is None else stamp
                self.heard.append((ts_ns + self.response_ns, status, wish.name, filled, 0.0, "", happened))
                return

    def _fill(self, order: Mine, lots: int, price: float, liquidity: str, ts_ns: int) -> None:
        order.left -= lots
        self.heard.append((ts_ns + self.response_ns, "fill", order.wish.name, lots, price, liquidity, ts_ns))

    def _ranked(self, sign: int) -> list[Mine]:
        ours = [order for order in self.mine if order.wish.sign == sign and order.left > 0]
        return sorted(ours, key=lambda order: (-order.gives(0), order.born))

    # ---- the book

    def _best(self, sign: int) -> int | None:
        """Of quotes the price, also where it displays nothing."""
        if self.shows == "best":
            return self.quoted.get(sign)
        prices = [ticks for side, ticks in self.shown if side == sign]
        return None if not prices else sign * max(sign * ticks for ticks in prices)

    def _cross(self, order: Mine, ts_ns: int) -> None:
        other = -order.wish.sign
        for ticks in sorted((ticks for side, ticks in self.shown if side == other), key=lambda t: -other * t):
            if order.gives(ticks) < 0 or order.left == 0:
                return
            key = (other, ticks)
            room = self.shown[key] - self.traded.get(key, 0.0) - self.taken.get(key, 0.0)
            lots = min(math.floor(room + 1e-9), order.left)
            if lots > 0:
                self.taken[key] = self.taken.get(key, 0.0) + lots
                if order.taker:
                    self._fill(order, lots, ticks, "taker", ts_ns)
                else:
                    assert order.wish.limit is not None
                    self._fill(order, lots, order.wish.limit, "maker", ts_ns)

    def _displays(self, sign: int, ticks: int, quantity: float) -> None:
        key = (sign, ticks)
        taken = self.taken.get(key, 0.0)
        self.traded.pop(key, None)
        self.shown.pop(key, None)
        self.taken.pop(key, None)
        if quantity > 0:
            self.shown[key] = quantity
            self.taken[key] = min(taken, quantity)

    def _row(self, row: Row) -> None:
        kind, ts_ns, ticks, quantity, aggressor = row
        if kind == TRADE:
            self._trade(ticks, quantity, aggressor, ts_ns)
            return
        sign = 1 if kind in (BEST_BID, BID_LEVEL) else -1
        if kind in (BEST_BID, BEST_ASK):
            self.quoted.pop(sign, None)
            if ticks > 0:
                self.quoted[sign] = ticks
            for key in [key for key in self.shown if key[0] == sign and key[1] != ticks]:
                del self.shown[key]
                self.taken.pop(key, None)
                self.traded.pop(key, None)
            for order in self._ranked(sign):
                limit = order.wish.limit
                if limit is not None and (ticks == 0 or sign * (limit - ticks) > 0) and order.front > 0:
                    order.front = order.shown = order.traded = 0.0
        assert kind in (BEST_BID, BEST_ASK, BID_LEVEL, ASK_LEVEL)
        if ticks > 0:
            self._displays(sign, ticks, quantity)
            for order in self._ranked(sign):
                if order.wish.limit == ticks:
                    self._queue_moves(order, quantity)
        for order in self._ranked(-sign):
            self._cross(order, ts_ns)

    def _queue_moves(self, order: Mine, quantity: float) -> None:
        if order.front == math.inf:
            order.front = quantity
        elif order.front > 0:
            cancelled = order.shown - quantity - order.traded
            if self.queue == "risk_averse" or cancelled < 0:
                order.front = min(order.front, quantity)
            else:
                back = max(order.shown - order.front, 0.0)

                def weight(x: float) -> float:
                    return math.log1p(x) if self.queue == "log" else float(x**self.exponent)

                behind = weight(back) / (weight(back) + weight(order.front))
                left_behind = back - behind * cancelled
                order.front = min(order.front - (1 - behind) * cancelled + min(left_behind, 0.0), quantity)
        order.shown = quantity
        order.traded = 0.0

    # ---- trades

    def _trade(self, ticks: int, quantity: float, aggressor: int, ts_ns: int) -> None:
        self.last = (ticks, aggressor)
        hit = -aggressor
        if hit == 0:
            bid, ask = self._best(1), self._best(-1)
            sold, bought = bid is not None and ticks <= bid, ask is not None and ticks >= ask
            hit = int(sold) - int(bought)
        left = quantity
        if self.shows != "nothing" and hit != 0:
            if (hit, ticks) in self.shown:
                self.traded[hit, ticks] = self.traded.get((hit, ticks), 0.0) + quantity
            self._makers(hit, ticks, left, True, ts_ns)
            return
        first = hit
        if hit == 0:
            heads = [order for sign in (1, -1) for order in self._ranked(sign)[:1]]
            first = min(heads, key=lambda order: order.born).wish.sign if heads else 1
        if self.shows == "nothing":
            left = self._takers(first, ticks, left, aggressor, ts_ns)
        for sign in (first, -first):
            left = self._makers(sign, ticks, left, hit in (0, sign), ts_ns)

    def _takers(self, first: int, ticks: int, quantity: float, aggressor: int, ts_ns: int) -> float:
        joining = []
        mid = ticks - aggressor * self.half
        for sign in (first, -first):
            for order in self._ranked(sign):
                if order.taker and order.gives(0) - sign * mid < self.half - 1e-9:
                    order.taker = False
                    order.front = self.queue_ahead
                elif order.taker:
                    joining.append(order)
        if not joining:
            return quantity
        self.credit += self.participation * quantity
        room = math.floor(self.credit + 1e-9)
        self.credit = max(self.credit - room, 0.0)
        for order in joining:
            lots = min(room, order.left)
            if lots > 0:
                room -= lots
                quantity -= lots
                self._fill(order, lots, mid + order.wish.sign * self.half, "taker", ts_ns)
        return max(quantity, 0.0)

    def _makers(self, sign: int, ticks: int, quantity: float, at_price: bool, ts_ns: int) -> float:
        incoming = quantity
        for order in self._ranked(sign):
            beyond = order.gives(ticks)
            if order.taker or beyond < 0 or (beyond == 0 and not at_price):
                continue
            assert order.wish.limit is not None
            if beyond > 0:
                order.front = 0.0
            else:
                order.traded += quantity
            reaches = max(incoming - order.front, 0.0)
            order.front = max(order.front - incoming, 0.0)
            gets = min(reaches, order.left - order.given)
            order.given += gets
            incoming -= gets
            lots = math.floor(order.given + 1e-9)
            if lots > 0:
                order.given = max(order.given - lots, 0.0)
                self._fill(order, lots, order.wish.limit, "maker", ts_ns)
        return incoming
