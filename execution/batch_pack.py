"""Parents and bars as the batch driver's tables, as far as the loop covers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Any, Final, TypeVar

import numpy as np

from core.instrument import Instrument
from execution.algorithm import Algorithm
from execution.batch_loop import RULES
from execution.batch_tables import (
    Bar,
    Brief,
    Depth,
    Fill,
    Node,
    Order,
    Place,
    Seat,
    Slot,
    Tables,
    blank,
    objects,
    records,
)
from execution.conditions import running
from execution.desk import Worked
from execution.impact import RATES
from execution.parent import MOST_DOUBLINGS, ParentOrder
from execution.plan import NS_PER_MS, Plan, View
from execution.slippage import PowerLawSlippageModel
from execution.venue import Venue

T = TypeVar("T")
EXACT: Final = 2**53  # below it a float holds every integer
FITS: Final = 2**62
SPARE_DRAWS: Final = 64  # a pegged clip that is pulled back draws again


@dataclass(frozen=True, slots=True)
class Handed:
    """A parent that has been handed over at `now_ns`, when bar `seen_bar` was the last one known."""

    worked: Worked
    now_ns: int
    seen_bar: int

    @property
    def execution_id(self) -> str:
        worked = self.worked
        return worked.parent.execution_id if isinstance(worked, ParentOrder) else worked.report().execution_id

    def lots(self, instrument: Instrument) -> int:
        """The whole quantity."""
        worked = self.worked
        return worked.quantity if isinstance(worked, ParentOrder) else instrument.lots(worked.report().total_quantity)

    @property
    def order(self) -> ParentOrder:
        """The machine, for parents that have one: those of the loop do."""
        assert isinstance(self.worked, ParentOrder)
        return self.worked


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


def is_loop_parent(machine: Worked, venue: Venue) -> bool:
    """Whether the loop plays this parent as the machine would, in a venue that it knows."""
    if not isinstance(machine, ParentOrder) or machine.instrument != venue.instrument:
        return False
    plan, curve, algorithm = machine.plan, machine.curve, machine.algorithm
    lot, tick = Fraction(venue.instrument.lot), Fraction(venue.instrument.tick)
    return (
        algorithm.due in RULES
        and plan.quantity * lot.numerator < EXACT
        and plan.limit_ticks * tick.numerator < EXACT
        and (len(curve.volume) == 0 or curve.volume[-1] < EXACT)
        and (algorithm.retry_ms << MOST_DOUBLINGS) * NS_PER_MS < FITS
    )


def packed(venue: Venue, parents: Sequence[Handed], rows: int | None = None) -> Tables:
    """The tables of these parents, as numpy records. rows: of the logs; None: a few of each parent."""
    plans = [parent.order.plan for parent in parents]
    curves = [parent.order.curve for parent in parents]
    draws = [_draws(parent.order.algorithm, parent.order.plan) for parent in parents]
    starts, targets, volume, drawn = (
        _joined(rows)
        for rows in ([c.starts_ms for c in curves], [c.targets for c in curves], [c.volume for c in curves], draws)
    )
    briefs = [
        Brief(
            rule=RULES.index(parent.order.algorithm.due),
            start_ns=parent.order.parent.start_ns,
            now_ns=parent.now_ns,
            seen_bar=parent.seen_bar,
            retries=parent.order.algorithm.retries,
            retry_ms=parent.order.algorithm.retry_ms,
            starts_from=starts[1][n],
            starts_to=starts[1][n + 1],
            targets_from=targets[1][n],
            targets_to=targets[1][n + 1],
            volume_from=volume[1][n],
            volume_to=volume[1][n + 1],
            draws_from=drawn[1][n],
            draws_to=drawn[1][n + 1],
        )
        for n, parent in enumerate(parents)
    ]
    rows = 64 + 32 * len(parents) if rows is None else rows
    return Tables(
        plans=records(Plan, plans),
        views=blank(View, len(parents)),
        briefs=records(Brief, briefs),
        seats=blank(Seat, len(parents)),
        depths=blank(Depth, len(parents)),
        memory=blank(Node, len(RATES)),
        places=records(Place, [_place(venue)]),
        bars=_bars(venue),
        starts=np.array(starts[0], np.int64),
        targets=np.array(targets[0], np.int64),
        volume=np.array(volume[0], np.int64),
        draws=np.array(drawn[0], np.float64),
        orders=blank(Order, rows),
        fills=blank(Fill, rows),
        slots=blank(Slot, rows),
    )


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
        "slots": Slot,
        "memory": Node,
    }
    return Tables(
        **{
            name: objects(kinds[name], column) if name in kinds else column.tolist()
            for name, column in tables._asdict().items()
        }
    )


def enlarged(tables: Tables, first: int) -> Tables:
    """The same tables with logs of twice the length, and parent `first`, whose play had no room, as new."""
    for name, kind in (("views", View), ("seats", Seat), ("depths", Depth)):
        table = getattr(tables, name)
        table[first] = blank(kind, 1)[0] if isinstance(table, np.ndarray) else kind()
    return tables._replace(
        orders=_doubled(tables.orders, Order),
        fills=_doubled(tables.fills, Fill),
        slots=_doubled(tables.slots, Slot),
    )


def _doubled(table: Any, kind: type) -> Any:
    if not isinstance(table, np.ndarray):
        return table + [kind() for _ in table]
    return np.concatenate((table, np.zeros_like(table)))


def _joined(rows: Sequence[Sequence[T]]) -> tuple[list[T], list[int]]:
    """All rows in one column, and where each begins and ends."""
    return [value for row in rows for value in row], [0, *accumulate(len(row) for row in rows)]


def _draws(algorithm: Algorithm, plan: Plan) -> list[float]:
    """The draws of as many children as a display with jitter is likely to need."""
    if plan.jitter_ppm == 0:
        return []
    smallest = max(plan.min_lots, plan.display * (1_000_000 - plan.jitter_ppm) // 1_000_000 // plan.levels, 1)
    return [algorithm.draw(number) for number in range(SPARE_DRAWS + min(10_000, 2 * plan.quantity // smallest))]


def _place(venue: Venue) -> Place:
    model, instrument = venue.slippage, venue.instrument
    power = model if isinstance(model, PowerLawSlippageModel) else None
    coefficient = power.impact_coefficient if power is not None else 0.0
    volatility = power.volatility if power is not None else None
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
        max_participation=venue.fills.max_participation,
        touch=int(venue.fills.limit_rule == "touch"),
        impact=int(power is not None),
        coefficient=coefficient,
        exponent=power.exponent if power is not None else 1.0,
        bare=coefficient * (1.0 if volatility is None else volatility),
        permanent_share=venue.permanent_share,
    )


def _bars(venue: Venue) -> Any:
    bars, conditions = venue.bars, venue.conditions
    table = blank(Bar, len(bars) + 1)
    table["open_ns"][:-1], table["close_ns"][:-1] = bars.ts_open_ns, bars.ts_close_ns
    for name in ("open", "high", "low", "close", "volume"):
        table[name][:-1] = getattr(bars, name)
    table["half"][:-1] = venue.half_spread
    table["tape"][:-1] = running(bars.volume)[1:] / venue.instrument.qty(1)
    table["volatility"][:-1], table["daily_volume"][:-1] = conditions.volatility, conditions.daily_volume
    table["volume_days"] = conditions.volume_days
    return table
