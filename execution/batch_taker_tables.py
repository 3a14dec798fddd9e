"""The tables of the loop for parents that only take: `execution.batch_takers`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from execution.batch_tables import NEVER
from execution.plan import Curve


class Sent(NamedTuple):
    """The log of commands: what each says, as columns; see `execution.batch_tables.Order`."""

    number: Any
    cancel: Any
    ts_ns: Any
    seen_bar: Any
    slice_idx: Any
    lots: Any


SENT: Final = Sent(np.int32, np.int8, np.int64, np.int32, np.int32, np.int64)


class Filled(NamedTuple):
    """The log of fills; see `execution.batch_tables.Fill`."""

    child: Any
    ts_ns: Any
    bar: Any
    lots: Any
    price: Any


FILLED: Final = Filled(np.int32, np.int64, np.int32, np.int64, np.float64)


@dataclass(slots=True, kw_only=True)
class Taking:
    """Where a parent stands, by the names of `Seat`, and its orders in the market."""

    state: int = 0
    waits: int = 0
    outcome: int = 0
    slice_idx: int = -1
    slice_ends_ms: int = NEVER
    cross_ms: int = 0
    due: int = 0
    now_ns: int = 0
    market_ns: int = NEVER
    tape: int = 0
    tape_before: int = -1
    filled: int = 0
    reserved: int = 0
    children: int = 0
    not_before_ns: int = 0
    ended_ns: int = NEVER
    no_data: int = 0
    thin: int = 0
    seen_bar: int = -2
    bar: int = 0  # the one that is played
    opened: int = 0  # 1: it has
    stride: int = 1  # bars from one wake-up to the next, the last time
    first: int = 0  # rows of the log: the first order that still works, of which `left` lots do, and the log's end
    left: int = 0
    commands: int = 0
    fills: int = 0
    paid: float = 0.0  # the sum of lots times price
    full: int = 0  # FULL or LEFT, see `execution.batch_market`


@dataclass(slots=True, kw_only=True)
class Taken:
    """What came of a parent: rows used in the logs by it and those before it, and whether it is left to the loop."""

    state: int = 0
    children: int = 0
    filled: int = 0
    paid: float = 0.0
    ended_ns: int = NEVER
    commands: int = 0
    fills: int = 0
    left: int = 0


class TakerTables(NamedTuple):
    """Parents that only take, and the logs that they write; the rest as in `execution.batch_tables.Tables`."""

    plans: Any
    briefs: Any
    taken: Any
    seats: Any  # one row, for one parent after the other, and so are views and depths
    views: Any
    depths: Any
    memory: Any
    places: Any
    bars: Any
    starts: Any
    targets: Any
    volume: Any
    sent: Sent
    fills: Filled


class Taker(NamedTuple):
    """One of them, with all that its play touches: what the kernels call a game."""

    plan: Any
    curve: Curve
    sight: Any
    brief: Any
    seat: Any
    depth: Any
    memory: Any
    place: Any
    bars: Any
    sent: Sent
    fills: Filled
