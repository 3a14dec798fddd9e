"""Parents and bars as the batch driver's tables, as far as the loop covers them."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from execution.batch_memory import fresh_memory, plain_memory
from execution.batch_plans import EXACT, FITS, Intake
from execution.batch_tables import (
    Alarm,
    Bar,
    Brief,
    Depth,
    Fill,
    Floor,
    Order,
    Place,
    Seat,
    Tables,
    blank,
    dtype_of,
    objects,
    records,
)
from execution.batch_taker_tables import FILLED, SENT, Filled, Sent, Taken, TakerTables, Taking
from execution.conditions import running
from execution.impact import permanent_shift
from execution.plan import Plan, View
from execution.slippage import PowerLawSlippageModel
from execution.venue import Venue

BARS: Final = ("open", "high", "low", "close", "volume")
PIECE: Final = 2048  # bars
ROWS: Final = 4096  # of a log that is read and begun anew whenever it is full: it stays in the processor's cache


def is_loop_venue(venue: Venue) -> bool:
    """Whether the loop knows this venue's impact, and its grids are exact in floating point and 64 bits."""
    model, bars = venue.slippage, venue.bars
    known = model is None or (
        isinstance(model, PowerLawSlippageModel) and type(model).estimate is PowerLawSlippageModel.estimate
    )
    lot, tick = Fraction(venue.instrument.lot), Fraction(venue.instrument.tick)
    grids = all(
        part < EXACT or int(float(part)) == part < FITS for grid in (lot, tick) for part in grid.as_integer_ratio()
    )
    most = 10 * float(bars.high.max()) + 2000 * float(venue.half_spread.max())  # no limit is as far away
    prices = most / float(tick) * tick.numerator < EXACT
    return bool(known and grids and prices and float(bars.volume.sum()) / float(lot) < FITS)


class Ground(NamedTuple):
    """What all parents of a venue share: the record of `Place`, and the bars."""

    places: NDArray[np.void]
    bars: NDArray[np.void]


def ground(venue: Venue) -> Ground:
    return Ground(records(Place, [_place(venue)]), _bars(venue))


def packed(
    shared: Ground,
    taken: Intake,
    numbers: NDArray[np.int64],
    rows: int | None = None,
    memory: NDArray[np.void] | None = None,
) -> Tables:
    """The tables of some of these parents, as numpy records. rows: of the logs; None: as many as they are likely to
    need, up to ROWS. memory: one in which nobody trades any more; None: a fresh one."""
    rows = min(64 + 32 * len(numbers), ROWS) if rows is None else rows
    return Tables(
        plans=taken.plans[numbers],
        views=blank(View, len(numbers)),
        briefs=taken.briefs[numbers],
        seats=blank(Seat, len(numbers)),
        floors=blank(Floor, 1),
        depths=blank(Depth, 1),
        wakes=blank(Alarm, 1),
        memory=fresh_memory() if memory is None else memory,
        places=shared.places,
        bars=shared.bars,
        starts=taken.starts.joined(),
        targets=taken.targets.joined(),
        volume=taken.volume.joined(),
        draws=taken.draws.joined(),
        orders=np.empty(rows, dtype_of(Order)),  # whoever takes a row fills it in
        fills=np.empty(rows, dtype_of(Fill)),
    )


def packed_takers(
    shared: Ground, taken: Intake, numbers: NDArray[np.int64], memory: NDArray[np.void] | None = None
) -> TakerTables:
    """The tables of some of these parents, of which `batch_takers.only_takes` is true, as numpy records and columns.

    memory: as in `packed`.
    """
    every = len(numbers) == len(taken.plans)
    plans = taken.plans if every else taken.plans[numbers]
    rows = min(64 + int(plans["slices"].sum()) + 2 * len(plans), 2 * ROWS)
    return TakerTables(
        plans=plans,
        briefs=taken.briefs if every else taken.briefs[numbers],
        taken=blank(Taken, len(numbers)),
        seats=blank(Taking, 1),
        views=blank(View, 1),
        depths=blank(Depth, 1),
        memory=fresh_memory() if memory is None else memory,
        places=shared.places,
        bars=shared.bars,
        starts=taken.starts.joined(),
        targets=taken.targets.joined(),
        volume=taken.volume.joined(),
        sent=Sent(*(np.empty(rows, kind) for kind in SENT)),
        fills=Filled(*(np.empty(2 * rows, kind) for kind in FILLED)),
    )


def plain_takers(tables: TakerTables) -> TakerTables:
    """The same as lists, for the loop as plain Python."""
    kinds: dict[str, type] = {
        "plans": Plan,
        "briefs": Brief,
        "taken": Taken,
        "seats": Taking,
        "views": View,
        "depths": Depth,
        "places": Place,
        "bars": Bar,
    }
    columns = {name: getattr(tables, name).tolist() for name in ("starts", "targets", "volume")}
    return tables._replace(
        **{name: objects(kind, getattr(tables, name)) for name, kind in kinds.items()},
        **columns,
        memory=plain_memory(),
        sent=Sent(*(column.tolist() for column in tables.sent)),
        fills=Filled(*(column.tolist() for column in tables.fills)),
    )


def enlarged_takers(tables: TakerTables) -> TakerTables:
    """The same tables with logs of twice the length."""
    return tables._replace(
        sent=Sent(*(_twice(column) for column in tables.sent)),
        fills=Filled(*(_twice(column) for column in tables.fills)),
    )


def _twice(column: Any) -> Any:
    return np.concatenate((column, np.empty_like(column))) if isinstance(column, np.ndarray) else 2 * column


def plain(tables: Tables) -> Tables:
    """The same tables as lists of objects, ints and floats, for the loop as plain Python."""
    kinds: dict[str, type] = {
        "plans": Plan,
        "views": View,
        "briefs": Brief,
        "seats": Seat,
        "depths": Depth,
        "places": Place,
        "bars": Bar,
        "orders": Order,
        "fills": Fill,
        "floors": Floor,
        "wakes": Alarm,
    }
    return Tables(
        **{
            name: objects(kinds[name], column) if name in kinds else column.tolist()
            for name, column in tables._asdict().items()
            if name != "memory"
        },
        memory=plain_memory(),
    )


def begin_anew(tables: Tables, number: int) -> None:
    """This parent, whose play had no room, is as new."""
    for name, kind in (("views", View), ("seats", Seat)):
        table = getattr(tables, name)
        table[number] = _fresh(kind) if isinstance(table, np.ndarray) else kind()


@cache
def _fresh(kind: type) -> np.void:
    """A record that nobody has written to."""
    return blank(kind, 1)[0]  # type: ignore[no-any-return]


def enlarged(tables: Tables) -> Tables:
    """The same tables with logs of twice the length."""
    return tables._replace(
        orders=_doubled(tables.orders, Order),
        fills=_doubled(tables.fills, Fill),
    )


def _doubled(table: Any, kind: type) -> Any:
    if not isinstance(table, np.ndarray):
        return table + [kind() for _ in table]
    return np.concatenate((table, np.zeros_like(table)))


def _place(venue: Venue) -> Place:
    model, instrument = venue.slippage, venue.instrument
    power = model if isinstance(model, PowerLawSlippageModel) else None
    coefficient = power.impact_coefficient if power is not None else 0.0
    volatility = power.volatility if power is not None else None
    exponent = power.exponent if power is not None else 1.0
    lot, tick = Fraction(instrument.lot), Fraction(instrument.tick)
    return Place(
        lot=instrument.qty(1),
        tick=instrument.price(1),
        lot_above=lot.numerator,
        lot_below=lot.denominator,
        tick_above=tick.numerator,
        tick_below=tick.denominator,
        min_qty=float(instrument.min_qty),
        min_notional=instrument.min_notional,
        multiplier=instrument.multiplier,
        maker_fee_bps=instrument.maker_fee_bps,
        taker_fee_bps=instrument.taker_fee_bps,
        max_participation=venue.fills.max_participation,
        touch=int(venue.fills.limit_rule == "touch"),
        impact=int(power is not None),
        coefficient=coefficient,
        exponent=exponent,
        bare=coefficient * (1.0 if volatility is None else volatility),
        permanent_share=venue.permanent_share,
        lasting=permanent_shift(1.0, 1.0, exponent, venue.permanent_share, 1.0),
    )


def _bars(venue: Venue) -> NDArray[np.void]:
    """The bars as records, written a piece at a time, which stays in the processor's cache."""
    bars, conditions = venue.bars, venue.conditions
    columns: dict[str, NDArray[Any]] = {
        "open_ns": bars.ts_open_ns,
        "close_ns": bars.ts_close_ns,
        **{name: getattr(bars, name) for name in BARS},
        "budget": _budgets(venue),
        "half": venue.half_spread,
        "tape": running(bars.volume)[1:] / venue.instrument.qty(1),
        "volatility": conditions.volatility,
        "daily_volume": conditions.daily_volume,
    }
    table = np.empty(len(bars) + 1, dtype_of(Bar))
    for first in range(0, len(bars), PIECE):
        part = slice(first, min(first + PIECE, len(bars)))
        piece = table[part]
        for name, column in columns.items():
            piece[name] = column[part]
        piece["volume_days"] = conditions.volume_days[part]
    table[-1] = np.zeros((), table.dtype)
    table[-1]["volume_days"] = conditions.volume_days[-1]
    return table


def _budgets(venue: Venue) -> NDArray[np.float64]:
    """`execution.fills.volume_budget` of each bar, bit by bit."""
    lots: NDArray[np.float64] = venue.fills.max_participation * venue.bars.volume / venue.instrument.qty(1)
    return np.floor(lots * (1 + 1e-12))
