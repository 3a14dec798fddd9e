"""The tables of the compiled loop: one row per parent, bar, order and fill, with the field names of the plan and view.

Each table is described by a dataclass of plain numbers. The compiled loop reads numpy records made from it, the
uncompiled one reads the objects themselves: `table.field` means the same in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from execution.plan import Curve

NEVER: Final = -(2**62)  # a time that does not come, or has not been
NONE: Final = -1  # no row: the end of a list that runs through a table
_KINDS: Final = {"int": np.int64, "float": np.float64}


@dataclass(slots=True, kw_only=True)
class Place:
    """What holds for the whole venue: its grids, minima and fees, the fill rules, the impact of trading."""

    lot: float
    tick: float
    lot_above: int  # lot and tick as fractions: quantity = lots * lot_above / lot_below
    lot_below: int
    tick_above: int
    tick_below: int
    min_qty: float
    min_notional: float
    multiplier: float
    maker_fee_bps: float
    taker_fee_bps: float
    max_participation: float
    touch: int
    impact: int  # 1: trading moves the price
    coefficient: float
    exponent: float
    bare: float  # the coefficient where no volatility is known
    permanent_share: float
    lasting: float  # the permanent effect of one volume-day at a participation of 1, per unit of its scale


@dataclass(slots=True, kw_only=True)
class Bar:
    """A bar and what was known before it. One more row behind the last has `volume_days` alone."""

    open_ns: int = 0
    close_ns: int = 0
    open: float = 0.0
    high: float = 0.0
    low: float = 0.0
    close: float = 0.0
    volume: float = 0.0
    budget: int = 0  # lots that all orders together may trade in it
    half: float = 0.0
    tape: int = 0  # lots traded by its close
    volatility: float = 0.0
    daily_volume: float = 0.0
    volume_days: float = 0.0


@dataclass(slots=True, kw_only=True)
class Brief:
    """What a parent is told besides its plan. Curves and draws lie in shared columns, from `..._from` to `..._to`."""

    rule: int
    start_ns: int  # of the plan's clock
    now_ns: int  # when it is handed over, with `seen_bar` the last bar known
    seen_bar: int
    retries: int
    retry_ms: int
    starts_from: int = 0
    starts_to: int = 0
    targets_from: int = 0
    targets_to: int = 0
    volume_from: int = 0
    volume_to: int = 0
    draws_from: int = 0
    draws_to: int = 0


@dataclass(slots=True, kw_only=True)
class Seat:
    """Where a parent stands, besides its view: the machine's own state, and what the desk remembers of it."""

    number: int = 0
    state: int = 0
    waits: int = 0
    outcome: int = 0
    slice_idx: int = -1
    slice_ends_ms: int = NEVER  # when the next one begins
    cross_ms: int = 0  # when children that rest begin to cross, in this one
    due: int = 0  # lots, as long as it lasts
    now_ns: int = 0
    market_ns: int = NEVER
    tape: int = 0
    tape_before: int = -1
    filled: int = 0
    reserved: int = 0
    children: int = 0
    refusals: int = 0  # in a row
    not_before_ns: int = 0
    refused_lots: int = 0
    refused_near: float = 0.0
    ended_ns: int = NEVER
    no_data: int = 0  # how often it has paused, and why
    thin: int = 0
    wants_ns: int = NEVER  # to be woken
    wants_all: int = 0  # 1: every market
    wake_ns: int = NEVER  # will be woken
    heap: int = NONE  # where its wake stands among those of others
    seated: int = 0
    listening: int = 0
    before: int = NONE  # its neighbours at the desk
    after: int = NONE
    seen_bar: int = -2
    begin_bar: int = 0  # its first
    arrival: float = 0.0  # the mid when it came, and when it left, `end_bar` being the last bar known
    end_mid: float = 0.0
    end_bar: int = -2
    last_fill: int = NONE  # the bar
    live_first: int = NONE  # its orders that may still fill, oldest first
    live_last: int = NONE
    answer_first: int = NONE  # its orders that the venue has closed at its request, or refused, and nobody has heard of
    answer_last: int = NONE
    commands: int = 0  # of a batch: rows used in the log of orders by it and those before it, and in that of fills
    fills: int = 0
    full: int = 0  # FULL or LEFT, see `execution.batch_market`


@dataclass(slots=True, kw_only=True)
class Floor:
    """All that happens in one market: who is there, how far the logs are written, what the account has become."""

    full: int = 0  # FULL or LEFT, see `execution.batch_market`: play stops
    commands: int = 0
    fills: int = 0
    heard: int = 0  # fills that their parents know of
    bar: int = 0  # the one that is played
    seated: int = 0
    first: int = NONE  # the seats taken, in their order
    last: int = NONE
    listening: int = 0  # seats that want every market
    waking: int = 0  # entries in the heap of wakes
    working: int = 0  # orders in the market: two lists, the best limit first
    best_buy: int = NONE
    last_buy: int = NONE
    best_sell: int = NONE
    last_sell: int = NONE
    quoted: int = -2  # the bar at whose close bid and ask are known
    bid: int = 0
    ask: int = 0
    lots: int = 0  # held, and still to be traded by the parents at work, signed
    to_trade: int = 0
    cash: float = 0.0


@dataclass(slots=True, kw_only=True)
class Alarm:
    """When a seat wants to be woken: an entry of a heap in order of time, then of seats."""

    ts_ns: int = 0
    number: int = 0


@dataclass(slots=True, kw_only=True)
class Depth:
    """The market: what is left of the bar's budget, what we traded in it, how far we have moved the price."""

    left: int = 0
    net: int = 0
    traded: int = 0
    clock: int = 0  # the bar before which the memory stands
    asked: int = 0  # the last bar that was asked about, and the displacement there
    shift: float = 0.0
    permanent: float = 0.0
    loaded: int = -1  # the bar for which the two sums over the memory are known
    carried: float = 0.0
    own: float = 0.0


@dataclass(slots=True, kw_only=True)
class Order:
    """A command: a new child, with what became of it, or (`cancel` 1) a request to cancel one."""

    parent: int = 0
    number: int = 0
    cancel: int = 0
    ts_ns: int = 0
    slice_idx: int = 0
    lots: int = 0
    limit_ticks: int = 0
    marketable: int = 0
    scheduled_ns: int = 0
    seen_bar: int = 0  # the last one known, and bid and ask then, in ticks
    bid: int = 0
    ask: int = 0
    target: int = NONE  # of a request to cancel: the child's row
    closed_at: int = NONE  # the row of the command that the venue answered with the order's close
    side: int = 0
    level: int = 0
    filled: int = 0  # as far as the parent has heard
    total: int = -1  # the venue's last word, likewise
    cancels: int = 0
    ask_again_ns: int = 0
    price: float = 0.0
    near: float = 0.0  # the price against which the venue's minima were held
    first_bar: int = 0
    left: int = 0  # in the market
    taken: int = 0
    rested: int = 0
    fills: int = 0
    live_before: int = NONE  # neighbours in the lists of its seat, and of the market
    live_after: int = NONE
    answer_after: int = NONE
    book_before: int = NONE
    book_after: int = NONE


@dataclass(slots=True, kw_only=True)
class Fill:
    parent: int = 0
    child: int = 0
    ts_ns: int = 0
    bar: int = 0
    lots: int = 0
    price: float = 0.0
    maker: int = 0
    row: int = 0  # of the order
    number: int = 0  # of the order's fills, from 1
    commands: int = 0  # sent before anybody heard of it


class Tables(NamedTuple):
    """Parents, the market that they share, and the logs that they write.

    A batch plays parents one after the other, each in a market that is cleared for it; the logs go on.
    """

    plans: Any
    views: Any
    briefs: Any
    seats: Any
    floors: Any  # one row
    depths: Any  # one row
    memory: Any  # of impact: `execution.batch_memory.Memory`
    wakes: Any
    places: Any  # one row
    bars: Any
    starts: Any
    targets: Any
    volume: Any
    draws: Any
    orders: Any
    fills: Any


class Game(NamedTuple):
    """One parent with everything that its play touches; see `Tables`."""

    plan: Any
    curve: Curve
    sight: Any  # the view; numba keeps that name for itself
    brief: Any
    seat: Any
    floor: Any
    depth: Any
    memory: Any
    place: Any
    bars: Any
    draws: Any
    orders: Any
    fills: Any


class Market(NamedTuple):
    """The market that parents share, and the logs."""

    floor: Any
    depth: Any
    memory: Any
    place: Any
    bars: Any
    orders: Any
    fills: Any


class Player(Protocol):
    """What a parent decides upon: of a `Game`, or of anything smaller that has it."""

    @property
    def plan(self) -> Any: ...
    @property
    def curve(self) -> Curve: ...
    @property
    def sight(self) -> Any: ...
    @property
    def brief(self) -> Any: ...
    @property
    def seat(self) -> Any: ...


class Moved(Protocol):
    """A market that our trading moves: likewise."""

    @property
    def depth(self) -> Any: ...
    @property
    def memory(self) -> Any: ...
    @property
    def place(self) -> Any: ...
    @property
    def bars(self) -> Any: ...


class Traded(Moved, Protocol):
    """A market in which orders stand."""

    @property
    def floor(self) -> Any: ...
    @property
    def orders(self) -> Any: ...
    @property
    def fills(self) -> Any: ...


@cache
def dtype_of(kind: type) -> np.dtype[np.void]:
    """The record of a dataclass of ints and floats: the same names in the same order.

    One object for each kind: a call of compiled code knows it at sight, and would compare others field by field.
    """
    return np.dtype([(f.name, _KINDS[str(f.type)]) for f in fields(kind)], align=True)


def records(kind: type, rows: Iterable[Any]) -> NDArray[np.void]:
    """Dataclass instances as an array of records."""
    values = attrgetter(*(f.name for f in fields(kind)))
    return np.array([values(row) for row in rows], dtype_of(kind))


def blank(kind: type, count: int) -> NDArray[np.void]:
    """`count` records as the dataclass makes them."""
    return np.repeat(records(kind, [kind()]), count)


def objects(kind: type, table: NDArray[np.void]) -> list[Any]:
    """Records as dataclass instances of plain ints and floats."""
    names = [f.name for f in fields(kind)]
    columns = (table[name].tolist() for name in names)
    return [kind(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def written(kind: type, table: NDArray[np.void] | Sequence[Any], count: int) -> NDArray[np.void]:
    """The first `count` rows of a log, of records or of objects."""
    if isinstance(table, np.ndarray):
        return table[:count]
    return records(kind, table[:count]) if count else np.zeros(0, dtype_of(kind))
