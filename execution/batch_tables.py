"""The tables of the batch driver: one row per parent, bar, order and fill, with the field names of the plan and view.

Each table is described by a dataclass of plain numbers. The compiled loop reads numpy records made from it, the
uncompiled one reads the objects themselves: `table.field` means the same in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from execution.plan import Curve

NEVER: Final = -(2**62)  # a time that does not come, or has not been
_KINDS: Final = {"int": np.int64, "float": np.float64}


@dataclass(slots=True, kw_only=True)
class Place:
    """What holds for the whole venue: its grids and minima, the fill rules, the impact of trading."""

    lot: float
    tick: float
    lot_above: int  # lot and tick as fractions: quantity = lots * lot_above / lot_below
    lot_below: int
    tick_above: int
    tick_below: int
    min_qty: float
    min_notional: float
    multiplier: float
    max_participation: float
    touch: int
    impact: int  # 1: trading moves the price
    coefficient: float
    exponent: float
    bare: float  # the coefficient where no volatility is known
    permanent_share: float


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
    """Where a parent stands, besides its view: the machine's own state, and the desk's."""

    number: int = 0
    state: int = 0
    waits: int = 0
    outcome: int = 0
    slice_idx: int = -1
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
    wake_ns: int = NEVER
    seen_bar: int = -2
    commands: int = 0  # rows used so far in the table of orders, and of fills
    fills: int = 0
    live: int = 0  # entries in the lists of `Slot`
    working: int = 0
    heard: int = 0
    answers: int = 0
    answered: int = 0
    full: int = 0  # FULL or LEFT, see `execution.batch_market`


@dataclass(slots=True, kw_only=True)
class Depth:
    """A parent's own market: what is left of the bar's budget, what it traded, how far that has moved the price."""

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
    fresh: int = 0  # filled and not heard of yet


@dataclass(slots=True, kw_only=True)
class Fill:
    parent: int = 0
    child: int = 0
    ts_ns: int = 0
    bar: int = 0
    lots: int = 0
    price: float = 0.0
    maker: int = 0


@dataclass(slots=True, kw_only=True)
class Node:
    """A decaying exponential of the memory of impact: where it stands, and two factors noted for later."""

    state: float = 0.0
    kept: float = 1.0  # after the last rest that was asked about
    decayed: float = 0.0  # the integral of its decay over the bar that is loaded


@dataclass(slots=True, kw_only=True)
class Slot:
    """Four lists of rows of orders, side by side; their lengths stand in the seat."""

    live: int = 0  # those that may still fill, oldest first
    book: int = 0  # those in the market, the best limit first
    heard: int = 0  # those with fills of which the parent has not heard
    answers: int = 0  # those that the venue has closed at the parent's request, or refused


class Tables(NamedTuple):
    """All parents, the bars that they share, and the logs that they write, one parent after the other."""

    plans: Any
    views: Any
    briefs: Any
    seats: Any
    depths: Any
    memory: Any  # of impact: one row per node, cleared for each parent
    places: Any  # one row
    bars: Any
    starts: Any
    targets: Any
    volume: Any
    draws: Any
    orders: Any
    fills: Any
    slots: Any


class Game(NamedTuple):
    """One parent with everything that its play touches; see `Tables`."""

    plan: Any
    curve: Curve
    sight: Any  # the view; numba keeps that name for itself
    brief: Any
    seat: Any
    depth: Any
    memory: Any
    place: Any
    bars: Any
    draws: Any
    orders: Any
    fills: Any
    slots: Any


def dtype_of(kind: type) -> np.dtype[np.void]:
    """The record of a dataclass of ints and floats: the same names in the same order."""
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
