"""The gate's verdict on a whole run at once: would it have passed every order?

A run that is simulated in one go has sent thousands of orders before anybody can ask, and asking one by one costs more
than simulating. `clears` reads the run as columns and answers yes only where every rule of `risk.rules` would have let
every order pass: each rule is computed as the gate does, or by a bound that is on the safe side. No means: not known;
then every order must go through the gate itself.

Time in here is counted in commands. What was heard before command c stands before it, the check of c comes next, then
its reservation, then the close that answers it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from risk.account import DAY_NS
from risk.book import BPS
from risk.breakers import NS_PER_S
from risk.gate import RiskGate
from risk.limits import RiskLimits, SymbolLimits
from risk.parents import FORGOTTEN_AFTER_NS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_HEARD, _CHECKED, _SENT, _CLOSED = range(4)  # within a command
_NEVER: Final = 2**62
_SLACK: Final = 1e-9  # relative: what sums of floats may be off


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """What one strategy has sent in one symbol, and what became of it: columns in order of time.

    Orders, shape (n,): `order_at` the place among all `commands`, cancels counted; `limit` NaN for a market order;
    `content` what tells the children of a parent apart, shape (n, m); `taken` lots filled in all; `closed_at` the
    command that the venue answered with the order's close, -1 for none; `bid`, `ask`, `price_ns` the newest reference
    price. Fills, shape (m,): `fill_order` the order's row, `fill_before` how many commands were sent before it was
    heard, `fill_cash` what it changed in money. Parents, shape (p,).
    """

    symbol: str
    lot: float
    order_at: Ints
    ts_ns: Ints
    side: Ints
    lots: Ints
    qty: Floats
    limit: Floats
    parent: Ints
    content: Ints
    expires_ns: Ints
    taken: Ints
    closed_at: Ints
    bid: Floats
    ask: Floats
    price_ns: Ints
    commands: int
    cancel_ns: Ints
    fill_order: Ints
    fill_before: Ints
    fill_lots: Ints
    fill_ts_ns: Ints
    fill_cash: Floats
    parent_ids: list[str]
    parent_side: Ints
    parent_qty: Floats
    begun_ns: Ints


def clears(gate: RiskGate, conduct: Conduct) -> bool:
    """Whether this gate, which has heard nothing yet, would have passed every order and cancel of a run.

    All rules but the kill switch (R18), which is no part of a simulated world: ask it when orders are sent.
    """
    limits, instrument = gate._limits, gate._instruments.get(conduct.symbol)
    here = limits.for_symbol(conduct.symbol)
    fresh = gate.remembered == 0 and not gate.disabled and not gate._account.books
    if not fresh or _unset(limits, here) or gate._view.epoch is not None:
        return False
    if len(set(conduct.parent_ids)) < len(conduct.parent_ids):
        return False
    if len(conduct.order_at) == 0:
        return True
    if not limits.allows(conduct.symbol) or (instrument is None and limits.venue_filters == "required"):
        return False
    size = 1.0 if instrument is None else instrument.multiplier
    if instrument is not None:
        price = np.where(np.isnan(conduct.limit), conduct.bid, conduct.limit)
        small = (conduct.qty < float(instrument.min_qty)) | (conduct.qty * price * size < instrument.min_notional)
        if instrument.qty(1) != conduct.lot or small.any():
            return False
    run = _Run(conduct, here, size)
    return bool(
        run.in_order()
        and run.each_order_passes(limits)
        and run.rates_pass(limits)
        and run.no_doubles(limits)
        and run.parents_pass()
        and run.positions_pass(limits)
        and run.loss_passes(limits)
    )


def _unset(limits: RiskLimits, here: SymbolLimits) -> bool:
    """Whether a limit is missing, for which its rule refuses everything."""
    needed: tuple[Any, ...] = (
        *(here.max_order_qty, here.max_order_notional, here.max_position_qty, here.max_open_orders),
        *(here.price_collar_bps, here.max_reference_age_s),
        *(limits.account.max_open_notional, limits.account.buying_power, limits.account.max_open_orders),
        *(limits.account.max_daily_loss, limits.rate.window_s, limits.rate.max_orders, limits.rate.max_cancels),
        *(limits.repeats.window_s, limits.repeats.max_executions),
        *(limits.rejects.window_s, limits.rejects.last_orders, limits.rejects.max_rejects),
        *(limits.intents.max_age_s, limits.intents.duplicate_window_s, limits.parents, limits.venue_filters),
        limits.symbols,
    )
    return any(limit is None for limit in needed)


def _set(limit: float | None) -> float:
    """A limit that is there: `_unset` has looked."""
    assert limit is not None
    return limit


class _Run:
    """A run, with the moments of its events and what was open and held at each check."""

    def __init__(self, conduct: Conduct, limits: SymbolLimits, size: float) -> None:
        self._it = conduct
        self._limits = limits
        self._size = size
        self._checked = 4 * conduct.order_at + _CHECKED
        self._sent = 4 * conduct.order_at + _SENT
        self._heard = 4 * conduct.fill_before + _HEARD
        closed = conduct.closed_at >= 0
        self._closed = np.where(closed, 4 * conduct.closed_at + _CLOSED, _NEVER)
        last_heard = np.full(len(conduct.order_at), -1)
        np.maximum.at(last_heard, conduct.fill_order, self._heard)
        filled = conduct.taken >= conduct.lots
        self._done = np.where(closed, np.maximum(self._closed, last_heard), np.where(filled, last_heard, _NEVER))
        at = np.concatenate((self._sent, self._heard, self._closed[closed]))
        self._gone = closed
        self._time = np.argsort(at, kind="stable")  # of all that is sent, heard and closed, in that order
        self._known = np.searchsorted(at[self._time], self._checked)  # at each check
        collar = (limits.price_collar_bps or 0.0) * BPS
        self._edge = conduct.ask * (1.0 + collar)
        self._low = conduct.bid * (1.0 - collar)
        self._market = np.isnan(conduct.limit)
        self._price = np.where(self._market, self._edge, conduct.limit)

    def in_order(self) -> bool:
        """Whether time goes forward, as the sums over it take for granted."""
        it = self._it
        rising = (it.order_at, it.ts_ns, it.price_ns, it.cancel_ns, it.fill_before)
        return all(bool((np.diff(column) >= 0).all()) for column in rising)

    def each_order_passes(self, limits: RiskLimits) -> bool:
        """R01, R02, R03, R04, R15: what an order is, whatever else there is."""
        it, here = self._it, self._limits
        age_s = (it.ts_ns - it.price_ns) / NS_PER_S
        fits = (
            (it.qty <= _set(here.max_order_qty))
            & (it.qty * self._price * self._size <= _set(here.max_order_notional))
            & (self._market | ((self._low <= it.limit) & (it.limit <= self._edge)))
            & (it.bid > 0.0)
            & (it.bid <= it.ask)
            & (it.ask < math.inf)
            & (np.abs(age_s) <= _set(here.max_reference_age_s))
            & (it.ts_ns < it.expires_ns)
        )
        return bool(fits.all() and limits.intents.max_age_s is not None)

    def rates_pass(self, limits: RiskLimits) -> bool:
        """R05, R06, R16: how many in any window."""
        it, rate, repeats, rejects = self._it, limits.rate, limits.repeats, limits.rejects
        assert rate.window_s is not None and repeats.window_s is not None and rejects.window_s is not None  # noqa: PT018
        window_ns = int(rate.window_s * NS_PER_S)
        passes = _most(it.ts_ns, window_ns) <= (rate.max_orders or 0)
        passes &= _most(it.cancel_ns, window_ns) <= (rate.max_cancels or 0)
        first = _firsts(it.fill_order)
        for side in (1, -1):
            mine = it.fill_ts_ns[first][it.side[it.fill_order[first]] == side]
            rising = bool((np.diff(mine) >= 0).all())
            passes &= rising and _most(mine, int(repeats.window_s * NS_PER_S)) <= (repeats.max_executions or 0)
        rejected = it.closed_at == it.order_at
        return passes and _most(it.ts_ns[rejected], int(rejects.window_s * NS_PER_S)) <= (rejects.max_rejects or 0)

    def no_doubles(self, limits: RiskLimits) -> bool:
        """R07: no order like the last one of its kind within the window, unless that came to nothing."""
        it = self._it
        window_ns = int((limits.intents.duplicate_window_s or 0.0) * NS_PER_S)
        told_apart = (*it.content.T, it.parent)
        order = np.lexsort(told_apart)
        if not np.logical_and.reduce([np.diff(column[order]) == 0 for column in told_apart]).any():
            return True  # the usual case: no parent sends the same child twice
        columns = (it.order_at, np.nan_to_num(it.limit), it.lots, it.side, *it.content.T, it.parent)
        order = np.lexsort(columns)
        same = np.ones(len(order) - 1, np.bool_)
        for column in columns[1:]:
            same &= column[order][1:] == column[order][:-1]
        before, after = order[:-1][same], order[1:][same]
        dropped = (it.taken[before] < it.lots[before]) & (self._closed[before] < self._checked[after])
        return bool((dropped | (it.ts_ns[after] - it.ts_ns[before] >= window_ns)).all())

    def parents_pass(self) -> bool:
        """R11: what a parent's children have filled and may still fill stays within it."""
        it = self._it
        freed = (it.taken - it.lots)[self._gone]
        change = np.concatenate((it.lots, np.zeros(len(it.fill_lots), np.int64), freed))[self._time]
        parent = np.concatenate((it.parent, it.parent[it.fill_order], it.parent[self._gone]))[self._time]
        order = np.argsort(parent, kind="stable")
        total = np.cumsum(change[order])
        starts = np.flatnonzero(np.diff(parent[order], prepend=-1))
        base = np.repeat(np.concatenate(([0], total[starts[1:] - 1])), np.diff(np.append(starts, len(order))))
        within = (total - base) * self._it.lot <= it.parent_qty[parent[order]] * (1 + _SLACK)
        same_side = it.parent_side[it.parent] == it.side
        remembered = it.ts_ns - it.begun_ns[it.parent] < FORGOTTEN_AFTER_NS
        return bool(within.all() and same_side.all() and remembered.all())

    def positions_pass(self, limits: RiskLimits) -> bool:
        """R08, R09, R10, R13: what is held and open when an order comes."""
        it, here, account = self._it, self._limits, limits.account
        lots = it.lots
        position = self._known_sum(heard=it.side[it.fill_order] * it.fill_lots)
        buys, sells = (self._open(it.side == side) for side in (1, -1))
        buy = it.side > 0
        worst = np.where(buy, position + buys + lots, sells + lots - position) * it.lot
        count = self._count(self._sent, self._done, np.ones(len(lots), np.bool_)) + 1
        if not self._market.all() and self._may_meet(buy):
            return False  # whether they do is for the gate to say
        buys_worth, sells_worth = self._worth(it.side > 0, buys), self._worth(it.side < 0, sells)
        worth = it.qty * self._price * self._size
        value = position * it.lot * (it.bid + it.ask) / 2 * self._size
        up = value + buys_worth + np.where(buy, worth, 0.0)
        down = sells_worth - value + np.where(buy, 0.0, worth)
        slack = _SLACK * (np.abs(value) + buys_worth + sells_worth + worth)
        fits = (
            (worst <= _set(here.max_position_qty))
            & (count <= min(here.max_open_orders or 0, account.max_open_orders or 0))
            & (buys_worth + sells_worth + worth + slack <= _set(account.max_open_notional))
            & (np.maximum(up, down) + slack <= _set(account.buying_power))
        )
        return bool(fits.all())

    def _may_meet(self, buy: NDArray[np.bool_]) -> bool:
        """Whether a limit order of the other side was in the market when any order came."""
        resting = np.minimum(self._done, self._closed)
        to_sell = self._count(self._sent, resting, ~buy & ~self._market)
        to_buy = self._count(self._sent, resting, buy & ~self._market)
        return bool((np.where(buy, to_sell, to_buy) > 0).any())

    def loss_passes(self, limits: RiskLimits) -> bool:
        """R12, by a bound: against the most that the account was worth since the last event of another day."""
        it = self._it
        most = _set(limits.account.max_daily_loss)
        at = np.concatenate((self._heard, self._checked))
        order = np.argsort(at, kind="stable")
        fills, checks = len(self._heard), len(self._checked)
        cash = np.cumsum(np.concatenate((it.fill_cash, np.zeros(checks)))[order])
        held = np.cumsum(np.concatenate((it.side[it.fill_order] * it.fill_lots, np.zeros(checks, np.int64)))[order])
        mark = np.concatenate((np.zeros(fills), (it.bid + it.ask) / 2))[order]
        is_check = order >= fills
        known = np.maximum.accumulate(np.where(is_check, np.arange(len(mark)), 0))
        equity = np.concatenate(([0.0], cash + held * it.lot * mark[known] * self._size))
        days = _days(it.fill_ts_ns, it.price_ns, order)
        today = _days(it.fill_ts_ns, it.ts_ns, order)
        is_check = np.concatenate(([False], is_check))
        noise = 1e-6 * (1.0 + float(np.abs(equity).max()))
        asked = np.flatnonzero(is_check)
        of_days = np.unique(today[asked])
        firsts = np.maximum(0, np.searchsorted(days, of_days) - 1)
        lasts = np.searchsorted(today, of_days, side="right")
        # Of most days their highest and lowest say enough; of the others, what came first.
        spans = np.stack((firsts, lasts), axis=1).ravel()
        most_worth, least_worth = (
            extreme.reduceat(np.append(equity, equity[-1]), spans)[::2] for extreme in (np.maximum, np.minimum)
        )
        for number in np.flatnonzero(most_worth - least_worth + noise > most).tolist():
            part = slice(firsts[number], lasts[number])
            peak = np.maximum.accumulate(equity[part])
            of_day = is_check[part] & (today[part] == of_days[number])
            if ((peak - equity[part])[of_day] + noise > most).any():
                return False
        return True

    # ---- sums over time

    def _known_sum(
        self, *, sent: NDArray[Any] | None = None, heard: NDArray[Any], closed: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """At each check, the sum of all changes before it: by orders sent, by fills heard, by orders closed."""
        sent = np.zeros(len(self._sent), heard.dtype) if sent is None else sent
        closed = np.zeros(int(self._gone.sum()), heard.dtype) if closed is None else closed[self._gone]
        changes = np.concatenate((sent, heard, closed))[self._time]
        total = np.concatenate((np.zeros(1, changes.dtype), np.cumsum(changes)))
        found: NDArray[Any] = total[self._known]
        return found

    def _open(self, mine: NDArray[np.bool_], worth: NDArray[Any] | int = 1) -> NDArray[Any]:
        """At each check, the lots of these orders that may still fill, each counted with what it is worth."""
        it = self._it
        each = np.where(mine, worth, 0)
        return self._known_sum(
            sent=it.lots * each, heard=-it.fill_lots * each[it.fill_order], closed=(it.taken - it.lots) * each
        )

    def _worth(self, mine: NDArray[np.bool_], lots: Ints) -> Floats:
        """At each check, what they are worth: limits at their price, market orders at the collar's edge now.

        lots: of all of them, as `_open` says.
        """
        it, market = self._it, self._market
        if market.all():
            return lots * it.lot * self._edge * self._size
        limits = self._open(mine & ~market, np.where(market, 0.0, it.limit) * it.lot)
        return (limits + self._open(mine & market) * it.lot * self._edge) * self._size

    def _count(self, begins: Ints, ends: Ints, mine: NDArray[np.bool_]) -> Ints:
        """At each check, how many of these have begun and not ended."""
        begun = np.searchsorted(np.sort(begins[mine]), self._checked)
        over = np.searchsorted(np.sort(ends[mine]), self._checked)
        return begun - over


def _most(times: Ints, window_ns: int) -> int:
    """The most events in any (t - window, t]."""
    if len(times) == 0:
        return 0
    return int((np.arange(1, len(times) + 1) - np.searchsorted(times, times - window_ns, side="right")).max())


def _firsts(rows: Ints) -> Ints:
    """Where each value stands for the first time."""
    if (np.diff(rows) >= 0).all():
        return np.flatnonzero(np.diff(rows, prepend=-1))
    return np.sort(np.unique(rows, return_index=True)[1])


def _days(fills_ns: Ints, checks_ns: Ints, order: Ints) -> Ints:
    """The day of each of these events in their order, after one of no day; never back."""
    stamps = np.concatenate((fills_ns, checks_ns))[order]
    return np.concatenate(([-1], np.maximum.accumulate(stamps // DAY_NS)))
